//! How far a topic has been read, and what of it was only counted: kept with the clerk, since neither may ever be ahead of
//! what the clerk has journalled.
//!
//! Behind a command it is journalled within a second. What is refused and nothing else costs two lines in
//! [`TOPICS_JOURNALLED_EVERY`], so that a flood cannot push the audit of years out of the files that are kept; what was read
//! in that time is read again after a crash, and refused again.

use std::collections::BTreeMap;

use super::{Clerk, Crew};
use crate::clock::{self, Moment};
use crate::command::desk::Positions;
use crate::command::journal::{Entry, Position};
use crate::command::refusals::Refusals;
use crate::limits::TOPICS_JOURNALLED_EVERY;

/// What has been dealt with and is not journalled.
#[derive(Debug)]
pub(super) struct Unjournalled {
    refusals: Refusals,
    /// By topic and partition.
    positions: BTreeMap<String, BTreeMap<i32, Position>>,
    due_at: Moment,
}

impl Unjournalled {
    pub(super) fn new() -> Self {
        Self { refusals: Refusals::default(), positions: BTreeMap::new(), due_at: clock::now() }
    }

    pub(super) fn read(&mut self, topic: &str, partition: i32, position: Position) {
        self.positions.entry(topic.to_owned()).or_default().insert(partition, position);
    }

    pub(super) fn refused(&mut self, cause: &'static str, kid: Option<String>) {
        self.refusals.add(cause, kid);
    }

    /// A command was journalled: it need not be read again.
    pub(super) fn hurry(&mut self) {
        self.due_at = clock::now();
    }

    pub(super) fn is_due(&self) -> bool {
        self.due_at <= clock::now()
    }
}

impl<C: Crew> Clerk<C> {
    /// From where a topic is read.
    pub(in crate::command) fn positions(&mut self, topic: &str) -> Positions {
        self.journal_topics();
        match self.journal.state().positions(topic) {
            Some(positions) => Positions::From(positions),
            None => Positions::Since(self.journal.state().began()),
        }
    }

    /// These partitions of a topic are read from here on, whatever was read of them before.
    pub(in crate::command) fn begin(&mut self, topic: &str, positions: &[(i32, Position)]) -> bool {
        if let Some(read) = self.unjournalled.positions.get_mut(topic) {
            read.retain(|partition, _| positions.iter().all(|(begun, _)| begun != partition));
        }
        // Those of partitions that are not there any more stay: they may come back.
        let kept = self.journal.state().positions(topic).unwrap_or_default();
        if positions.iter().all(|position| kept.contains(position)) {
            return true;
        }
        self.write(Entry::Positions { topic: topic.to_owned(), partitions: positions.to_vec() })
    }

    /// Puts on record what was refused, and then that it need not be read again.
    pub(super) fn journal_topics(&mut self) {
        if !self.unjournalled.refusals.is_empty() {
            let (counts, last_kid) = self.unjournalled.refusals.clone().take();
            if !self.write(Entry::Refused { counts, last_kid }) {
                return;
            }
            self.unjournalled.refusals = Refusals::default();
        }
        for (topic, partitions) in std::mem::take(&mut self.unjournalled.positions) {
            let partitions: Vec<(i32, Position)> = partitions.into_iter().collect();
            if !self.write(Entry::Positions { topic, partitions }) {
                return;
            }
        }
        self.unjournalled.due_at = clock::now() + TOPICS_JOURNALLED_EVERY;
    }
}
