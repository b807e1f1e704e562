//! What is known of the machine's boots: their wall time, and up to where their readings go without one.
//!
//! A box without a battery clock boots in 1970, reads meters, and learns the time later or never. Its readings are stored
//! with boot and uptime and never rewritten; *when* they were read is settled here, once for each boot:
//!
//! ```text
//!                   learn: the clock was set
//!   undecided ───────────────────────────────► mended     boot's wall time + uptime
//!       │
//!       └─────────────────────────────────────► unsynced   what the box believed at the time
//!            let_go: `unsynced_hold` ran out, for the readings below an uptime
//! ```
//!
//! Neither is ever taken back, and both are flushed before anybody learns of them. So a reading has the same content
//! whenever it is made into a message, before and after a restart, and also when the clock is set after its time was given
//! up. The floor of the clock, a time that is certainly past, is kept in the same file.
//!
//! One boot knows one wall time: what a later jump of the clock says of it goes into an event and not in here.
//!
//! What this deliberately does not do: judge the clock (`timekeeper`), or decide how long to wait (the uplink).

mod file;
mod ledger;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

pub use ledger::Fate;
use ledger::Ledger;

/// The boots known to this gateway. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub struct Boots(Arc<Mutex<Kept>>);

#[derive(Debug)]
struct Kept {
    path: PathBuf,
    ledger: Ledger,
}

impl Boots {
    /// What is kept in this directory, which must be there. One process at a time; the outbox's lock sees to that.
    ///
    /// A file that cannot be used is said, set aside as `boots.damaged`, and gone on without: readings that wait then go
    /// as unsynced.
    pub fn open(directory: &Path) -> Self {
        let path = directory.join("boots");
        let ledger = file::read(&path);
        Self(Arc::new(Mutex::new(Kept { path, ledger })))
    }

    /// What becomes of a reading that was taken so long after this boot while the clock could not be trusted.
    pub fn fate(&self, boot: u32, uptime_ms: u64) -> Fate {
        self.kept().ledger.fate(boot, uptime_ms)
    }

    /// The wall time of this boot, where it is known.
    pub fn at(&self, boot: u32) -> Option<Timestamp> {
        self.kept().ledger.at(boot)
    }

    /// A wall time that is certainly past.
    pub fn floor(&self) -> Timestamp {
        self.kept().ledger.floor()
    }

    /// The clock was set: this was the wall time of that boot. Blocks until it is flushed. Whether it is news: the first
    /// that was learnt of a boot stays.
    ///
    /// # Errors
    /// When it could not be written. Then it does not count.
    pub fn learn(&self, boot: u32, at: Timestamp) -> io::Result<bool> {
        self.change(|ledger| ledger.learn(boot, at))
    }

    /// The readings of this boot up to there go as unsynced, unless its wall time is known. Blocks until that is flushed.
    ///
    /// # Errors
    /// When it could not be written. Then it does not count.
    pub fn let_go(&self, boot: u32, below_ms: u64) -> io::Result<()> {
        self.change(|ledger| ledger.let_go(boot, below_ms)).map(drop)
    }

    /// Moves the floor, also back when it was wrong. Blocks until it is flushed.
    ///
    /// # Errors
    /// When it could not be written. Then it does not count.
    pub fn set_floor(&self, floor: Timestamp) -> io::Result<()> {
        self.change(|ledger| ledger.set_floor(floor)).map(drop)
    }

    fn change(&self, change: impl FnOnce(&mut Ledger) -> bool) -> io::Result<bool> {
        let mut kept = self.kept();
        let mut changed = kept.ledger.clone();
        if !change(&mut changed) {
            return Ok(false);
        }
        changed.next_version();
        file::write(&kept.path, &changed)?;
        kept.ledger = changed;
        Ok(true)
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Nothing is half changed where it is locked: the new ledger takes the old one's place in one move.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
