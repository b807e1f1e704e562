//! The clerk at a desk of its own: a journal in a folder, a disk that fails on request, a crew that goes nowhere.

use std::sync::{Arc, Mutex};

use serde_json::json;
use tempfile::TempDir;
use tokio::sync::mpsc;
use weir_wire::stored::Outcome;
use weir_wire::{Clock, Command, CommandState, Reason};

use super::super::clerk::{Clerk, Crew, stamp};
use super::super::config::Rules;
use super::super::desk::{End, Origin, Reception};
use super::super::execute::Deadline;
use super::super::journal::tests::failing;
use super::super::journal::{Journal, Stamp};
use super::super::stop_switch::StopSwitch;
use super::super::teller::{Tell, Teller};
use super::*;
use crate::clock;

/// Who was sent out, and whether to carry out or to recover.
type Sent = Arc<Mutex<Vec<(&'static str, String)>>>;

#[derive(Clone, Default)]
pub(super) struct Nobody(Sent);

impl Crew for Nobody {
    fn carry_out(&self, command: Command, _: Deadline) {
        self.0.lock().unwrap().push(("carry out", command.id));
    }

    fn recover(&self, command: Command) {
        self.0.lock().unwrap().push(("recover", command.id));
    }
}

pub(super) fn rules() -> Rules {
    let lifetime_max = Duration::from_secs(24 * 3600);
    Rules { lifetime_max, skew: Duration::from_secs(120), trust_clock: false, policy: policy() }
}

pub(super) struct Office {
    pub(super) clerk: Clerk<Nobody>,
    crew: Nobody,
    pub(super) told: mpsc::Receiver<Tell>,
    /// Of the disk, each once.
    pub(super) faults: failing::Faults,
    pub(super) folder: TempDir,
}

impl Office {
    /// Of a gateway that was commissioned an hour ago.
    pub(super) fn opened() -> Self {
        Self::since(1)
    }

    /// Of a gateway that was commissioned so many hours ago.
    pub(super) fn since(hours_ago: i64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = stamp(&rules()).at - jiff::SignedDuration::from_hours(hours_ago);
        drop(Journal::open(folder.path(), Stamp { at, ..stamp(&rules()) }).unwrap());
        Self::in_folder(folder)
    }

    pub(super) fn in_folder(folder: TempDir) -> Self {
        let rules = rules();
        let journal = Journal::open(folder.path(), stamp(&rules)).unwrap();
        let (journal, faults) = failing::with(&[], journal);
        let (teller, told) = Teller::to_nobody();
        let crew = Nobody::default();
        let switch = StopSwitch::in_directory(folder.path());
        let mut clerk = Clerk::new(GATEWAY.into(), rules, journal, switch, teller, crew.clone());
        clerk.resume();
        Self { clerk, crew, told, faults, folder }
    }

    pub(super) fn fails(&self, faults: &[&'static str]) {
        self.faults.lock().unwrap().extend(faults);
    }

    pub(super) fn journal(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("journal.jsonl")).unwrap()
    }

    /// The daemon is killed and started again.
    pub(super) fn restarted(self) -> Self {
        let Self { clerk, folder, .. } = self;
        drop(clerk);
        Self::in_folder(folder)
    }

    pub(super) fn take(&mut self, jws: &str) -> Reception {
        self.clerk.take(jws.as_bytes(), &Origin::Local)
    }

    pub(super) fn outcomes(&mut self) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        while let Ok(tell) = self.told.try_recv() {
            if let Tell::Outcome { outcome, .. } = tell {
                outcomes.push(outcome);
            }
        }
        outcomes
    }

    /// State and reason of every outcome since this was last asked.
    pub(super) fn said(&mut self) -> Vec<(CommandState, Option<Reason>)> {
        self.outcomes().into_iter().map(|outcome| (outcome.state, outcome.reason)).collect()
    }

    pub(super) fn sent(&self) -> Vec<(&'static str, String)> {
        std::mem::take(&mut self.crew.0.lock().unwrap())
    }

    pub(super) fn finish(&mut self, id: &str, state: CommandState) {
        self.clerk.finish(id, End { state, reason: None, detail: "so".into(), observed: None });
    }
}

/// The id of the n-th command.
pub(super) fn id(n: u32) -> String {
    format!("0192f0c1-7d1c-7a53-9f0e-{n:012}")
}

/// The n-th command, issued this many seconds ago and valid for ten minutes more.
pub(super) fn issued(n: u32, action: &str, meter: &str, seconds_ago: i64) -> String {
    let now = clock::wall();
    let ago = jiff::SignedDuration::from_secs(seconds_ago);
    signed(&json!({
        "id": id(n), "action": action, "meter": meter,
        "issued_at": (now - ago).to_string(),
        "not_after": (now + jiff::SignedDuration::from_secs(600)).to_string(),
    }))
}

pub(super) fn is_accepted(reception: &Reception) -> bool {
    matches!(reception, Reception::Accepted { .. })
}

pub(super) fn rejected_for(reception: &Reception) -> Option<Reason> {
    match reception {
        Reception::Rejected { reason, .. } => reason.clone(),
        _ => None,
    }
}

/// The clock that this test sees, trusted or not.
pub(super) fn clock_is(clock: Clock) {
    clock::simulated::set_wall(now());
    clock::simulated::set_synced(clock == Clock::Synced);
}
