//! What the simulated meters said, in the order in which they finished saying it.
//!
//! An entry is made just before an answer's last byte is handed to the line, so whatever a master has read is in here
//! already. The journal keeps the newest entries and counts all of them: a reader that fell behind sees that it did.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use crate::Fault;

/// One answer that carried the meter's volume register.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// The entry's place in the whole journal, from 0 and without gaps.
    pub position: u64,
    /// The meter's name.
    pub meter: Arc<str>,
    /// Counts the meter's different answers from 1. Gaps are answers that never went out whole.
    pub sequence: u64,
    /// The register's exact decimal digits, with as many decimals as the meter sends (`"123.450"`). Where a meter
    /// sends a binary float: the shortest digits that give that float again.
    pub volume: String,
    /// The unit of `volume`. All the models here count in `"m3"`.
    pub unit: &'static str,
    /// When the last byte went out.
    pub at: SystemTime,
    /// The same answer again: the master asked with an unchanged frame count bit (M-Bus).
    pub repeated: bool,
    /// The fault that struck this answer, if one did that may keep a master from reading it. `None`: it went out as
    /// it should, and a master that listened has it.
    pub spoilt: Option<Fault>,
}

/// A shared view of the journal. Clones show the same journal.
#[derive(Debug, Clone)]
pub struct Journal {
    entries: Arc<Mutex<Entries>>,
}

#[derive(Debug)]
struct Entries {
    newest: VecDeque<Said>,
    kept: usize,
    total: u64,
    total_of: HashMap<Arc<str>, u64>,
}

impl Journal {
    pub(crate) fn keeping(kept: usize) -> Self {
        let entries = Entries { newest: VecDeque::new(), kept, total: 0, total_of: HashMap::new() };
        Self { entries: Arc::new(Mutex::new(entries)) }
    }

    pub(crate) fn enter(&self, mut said: Said) {
        let mut entries = self.lock();
        said.position = entries.total;
        entries.total += 1;
        *entries.total_of.entry(Arc::clone(&said.meter)).or_default() += 1;
        entries.newest.push_back(said);
        if entries.newest.len() > entries.kept {
            entries.newest.pop_front();
        }
    }

    /// The kept entries from `position` on, oldest first. Read the journal bit by bit by asking for the position after
    /// the last one seen; a first entry beyond `position` means that the ones between have been dropped.
    #[must_use]
    pub fn since(&self, position: u64) -> Vec<Said> {
        let entries = self.lock();
        let first = entries.newest.partition_point(|said| said.position < position);
        entries.newest.range(first..).cloned().collect()
    }

    /// The kept entries of one meter, oldest first.
    #[must_use]
    pub fn of(&self, meter: &str) -> Vec<Said> {
        self.lock().newest.iter().filter(|said| &*said.meter == meter).cloned().collect()
    }

    /// How many entries were ever made; also the position of the next one.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.lock().total
    }

    /// How many entries were ever made for one meter.
    #[must_use]
    pub fn total_of(&self, meter: &str) -> u64 {
        self.lock().total_of.get(meter).copied().unwrap_or(0)
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(meter: &str, sequence: u64) -> Said {
        Said {
            position: 0,
            meter: meter.into(),
            sequence,
            volume: "1.000".to_owned(),
            unit: "m3",
            at: SystemTime::UNIX_EPOCH,
            repeated: false,
            spoilt: None,
        }
    }

    #[test]
    fn a_reader_that_fell_behind_sees_the_gap_and_the_totals_stay_right() {
        let journal = Journal::keeping(3);
        for sequence in 1..=5 {
            journal.enter(said(if sequence % 2 == 0 { "even" } else { "odd" }, sequence));
        }
        let seen = journal.since(1);
        assert_eq!(seen.iter().map(|s| s.position).collect::<Vec<_>>(), [2, 3, 4]);
        assert_eq!(journal.total(), 5);
        assert_eq!((journal.total_of("even"), journal.total_of("odd")), (2, 3));
        assert_eq!(journal.of("even").len(), 1, "the first of two has been dropped");
        assert!(journal.since(5).is_empty());
    }
}
