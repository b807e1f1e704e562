//! A disk that fails: what was not written is not there, and what cannot be known stops everything.

use std::io;
use std::sync::{Arc, Mutex};

use super::*;

/// What goes wrong, each once, in this order.
pub(in crate::command) type Faults = Arc<Mutex<Vec<&'static str>>>;

/// A file with faults.
#[derive(Debug)]
struct Failing {
    file: Box<dyn Medium>,
    faults: Faults,
}

impl Failing {
    fn fails(&self, what: &str) -> bool {
        let mut faults = self.faults.lock().unwrap();
        let hit = faults.first().is_some_and(|fault| *fault == what);
        if hit {
            faults.remove(0);
        }
        hit
    }
}

impl Medium for Failing {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.fails("short write") {
            self.file.append(&bytes[..bytes.len() / 2])?;
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.file.append(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.fails("flush") { Err(io::ErrorKind::Other.into()) } else { self.file.flush() }
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        if self.fails("cut") { Err(io::ErrorKind::Other.into()) } else { self.file.cut(length) }
    }
}

pub(in crate::command) fn with(faults: &[&'static str], journal: Journal) -> (Journal, Faults) {
    let faults = Arc::new(Mutex::new(faults.to_vec()));
    let mut journal = journal;
    let file = std::mem::replace(&mut journal.medium, Box::new(Nothing));
    journal.medium = Box::new(Failing { file, faults: Arc::clone(&faults) });
    (journal, faults)
}

#[test]
fn a_line_that_could_not_be_flushed_is_not_there_and_the_next_one_is() {
    for faults in [&["short write"][..], &["flush"]] {
        let folder = tempfile::tempdir().unwrap();
        let (mut journal, left) = with(faults, open(folder.path()));
        let [first, second] = [1, 2].map(|number| command(number, Action::ValveClose, 1));
        let before = journal.state().clone();
        journal.append(accepted(&first), at(1)).unwrap_err();
        assert_eq!(journal.state(), &before, "{faults:?}");
        assert!(left.lock().unwrap().is_empty());
        journal.append(accepted(&second), at(2)).unwrap();
        drop(journal);
        let journal = open(folder.path());
        assert_eq!(journal.state().damage(), None, "{faults:?}");
        assert!(journal.state().seen(&first.id).is_none());
        assert!(journal.state().seen(&second.id).is_some());
    }
}

#[test]
fn a_journal_that_cannot_take_back_what_it_wrote_takes_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let (mut journal, _) = with(&["flush", "cut"], open(folder.path()));
    let first = command(1, Action::ValveClose, 1);
    journal.append(accepted(&first), at(1)).unwrap_err();
    assert!(journal.poisoned().is_some());
    let error = journal.append(Entry::ClockTrusted, at(2)).unwrap_err();
    assert!(matches!(error, WriteError::Poisoned(_)), "{error}");
    assert!(journal.state().seen(&first.id).is_none());
    // It was written after all; the next start takes it for what it is.
    drop(journal);
    assert!(open(folder.path()).state().seen(&first.id).is_some());
}
