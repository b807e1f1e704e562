//! How far a topic has been read: kept with the clerk, since it must never be ahead of what the clerk has journalled.

use super::{Clerk, Crew};
use crate::command::desk::Positions;
use crate::command::journal::Entry;

impl<C: Crew> Clerk<C> {
    /// From where a topic is read.
    pub(in crate::command) fn positions(&mut self, topic: &str) -> Positions {
        self.journal_positions();
        match self.journal.state().positions(topic) {
            Some(positions) => Positions::From(positions),
            None => Positions::End,
        }
    }

    /// A topic is read from these offsets on.
    pub(in crate::command) fn begin(&mut self, topic: &str, offsets: &[(i32, i64)]) -> bool {
        if self.journal.state().positions(topic).as_deref() == Some(offsets) {
            return true;
        }
        self.positions.remove(topic);
        self.write(Entry::Positions { topic: topic.to_owned(), partitions: offsets.to_vec() })
    }

    /// What has been read and dealt with need not be read again. Behind the entries of the commands themselves, so that
    /// a position is never ahead of them.
    pub(super) fn journal_positions(&mut self) {
        for (topic, partitions) in std::mem::take(&mut self.positions) {
            let partitions: Vec<(i32, i64)> = partitions.into_iter().collect();
            if !self.write(Entry::Positions { topic, partitions }) {
                return;
            }
        }
    }
}
