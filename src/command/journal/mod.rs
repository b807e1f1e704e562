//! The journal of commands: one append-only file, hash-chained and flushed line by line. It is the commands' state, the
//! set of ids that were seen, the topic's position and the audit, all in one.
//!
//! # Promises
//!
//! - What [`Journal::append`] has returned is on flash, whole. On an error nothing of it is there; where even that cannot
//!   be had, the journal is poisoned and takes no more.
//! - A torn last line, which a power cut leaves, was never told to anybody, and is cut off.
//! - Nothing that was issued before a journal was begun, or begun anew, is carried out ([`State::began`]).
//! - Any other damage is found: the chain is cut at the break, the damaged file kept aside, and what the lost lines may
//!   have said is assumed where that is the safe side (see [`State`]). Lines behind the break that are whole in themselves
//!   still say which commands were seen and how they ended.
//!
//! # On disk
//!
//! | file | what |
//! |---|---|
//! | `journal.jsonl` | the one that is written |
//! | `journal-<sequence>.jsonl` | older ones, named by their last line's sequence; [`JOURNAL_FILES_MAX`] are kept |
//! | `damaged-<sequence>.jsonl` | damaged ones, for a person; [`JOURNAL_DAMAGED_MAX`] are kept |
//! | `lock` | held by the daemon |
//!
//! A file begins with a checkpoint that holds all that the lines before come to. When a file is long enough, the next one
//! is written whole under another name and takes the place of the old one in one step.
//!
//! # Limits
//!
//! The chain shows what was changed, not what was cut off cleanly at its end: whoever can write the file can also cut it.
//! Outcomes in the centre tell of that. The clock of the lines is the gateway's.

mod audit;
mod entry;
mod files;
mod state;

#[cfg(test)]
pub(super) mod tests;

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

pub use audit::{Audit, AuditError, audit, history, lines};
pub use entry::{Break, Checkpoint, Digest, Entry, Line, Position, Stamp, Why};
pub use state::{Open, Phase, Seen, State};

use crate::limits::{JOURNAL_BYTES_MAX, JOURNAL_DAMAGED_MAX, JOURNAL_FILES_MAX};
use files::{CURRENT, Replay};

/// The journal, open for writing.
#[derive(Debug)]
pub struct Journal {
    directory: PathBuf,
    medium: Box<dyn Medium>,
    /// Bytes that are known to be whole.
    length: u64,
    /// How long the file was when it was begun.
    began_at: u64,
    sequence: u64,
    hash: Digest,
    state: State,
    poisoned: Option<String>,
    _lock: File,
}

/// What a journal is written to: a file, or in tests something that fails.
trait Medium: std::fmt::Debug + Send {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    fn flush(&mut self) -> io::Result<()>;
    fn cut(&mut self, length: u64) -> io::Result<()>;
}

impl Medium for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)?;
        self.sync_data()
    }
}

/// What was found damaged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Damage {
    /// Where, and what, and where it is kept.
    pub detail: String,
    /// Lines that were lost; `None` where nobody can tell.
    pub lost: Option<u64>,
}

/// Why the journal could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("{0}: another process writes it")]
    InUse(PathBuf),
    /// The operating system refused.
    #[error("{path}: {source}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
}

/// Why a line was not written. Nothing of it is there.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// This time.
    #[error("journal: {0}")]
    Io(#[from] io::Error),
    /// What is in the file is not known any more; the next start finds out.
    #[error("journal cannot be trusted since an earlier failure: {0}")]
    Poisoned(String),
}

impl Journal {
    /// Opens the journal in this directory, which is made where it is missing.
    ///
    /// # Errors
    /// See [`OpenError`]. Damage is none: see [`State::damage`].
    pub fn open(directory: &Path, now: Stamp) -> Result<Self, OpenError> {
        let io_error = |path: &Path| {
            let path = path.to_owned();
            move |source| OpenError::Io { path, source }
        };
        fs::create_dir_all(directory).map_err(io_error(directory))?;
        let lock = lock(directory)?;
        files::undo_keep(directory).map_err(io_error(directory))?;
        let path = directory.join(CURRENT);
        let found = files::read(&path).map_err(io_error(&path))?;
        let older = files::older(directory).map_err(io_error(directory))?;
        let (mut replay, why) = match found {
            Some(replay) if replay.damage.is_none() => (replay, None),
            Some(replay) => {
                let kept = files::set_aside(directory, replay.sequence).map_err(io_error(&path))?;
                if let Err(error) = files::drop_damaged(directory, JOURNAL_DAMAGED_MAX) {
                    tracing::warn!(%error, "old damaged journals of commands are not removed");
                }
                let what = replay.damage.as_ref().map_or_else(String::new, ToString::to_string);
                let detail = format!("{CURRENT}, line {}: {what}; kept as {kept}", replay.lines + 1);
                let (lost, from) = (replay.lost, replay.length);
                // Without its first line a file says nothing of what was before it; the one before does.
                let before = if replay.lines == 0 { older.last() } else { None };
                let mut replay = match before {
                    Some(last) => files::read(last).map_err(io_error(last))?.unwrap_or_default(),
                    None => replay,
                };
                let count = files::salvage(&path, from, &mut replay);
                let detail =
                    format!("{detail}; {count} lines behind it could be read that are about commands");
                let damage = Damage { detail, lost };
                (replay, Some((Why::Recovered, Some(damage))))
            }
            None => match older.last() {
                None => (Replay::default(), Some((Why::FirstStart, None))),
                Some(last) => {
                    let replay = files::read(last).map_err(io_error(last))?.unwrap_or_default();
                    let damage = Damage { detail: format!("{CURRENT} is gone"), lost: None };
                    (replay, Some((Why::Recovered, Some(damage))))
                }
            },
        };
        let begin = why.map(|(why, damage)| {
            match damage {
                Some(damage) => replay.state.recover(now, damage),
                None => replay.state.begin(now),
            }
            // Whatever the chain was, it has ended.
            replay.hash = Digest::default();
            why
        });
        let (length, began_at) = (replay.length, replay.began_at);
        let mut journal = Self {
            directory: directory.to_owned(),
            medium: Box::new(Nothing),
            length,
            began_at,
            sequence: replay.sequence,
            hash: replay.hash,
            state: replay.state,
            poisoned: None,
            _lock: lock,
        };
        match begin {
            Some(why) => journal.begin_file(why, now).map_err(io_error(&path))?,
            None => {
                let mut file = File::options().append(true).open(&path).map_err(io_error(&path))?;
                // The torn end of a line that nobody was told of.
                file.cut(length).map_err(io_error(&path))?;
                journal.medium = Box::new(file);
            }
        }
        Ok(journal)
    }

    /// What it comes to.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Why it takes no more, if so.
    pub fn poisoned(&self) -> Option<&str> {
        self.poisoned.as_deref()
    }

    /// Outcomes up to this sequence are in the outbox. The next line says so; over a crash before that they are told again.
    pub fn told(&mut self, sequence: u64) {
        self.state.note_told(sequence);
    }

    /// Writes a line and returns its sequence when it is on flash.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub fn append(&mut self, entry: Entry, stamp: Stamp) -> Result<u64, WriteError> {
        if let Some(why) = &self.poisoned {
            return Err(WriteError::Poisoned(why.clone()));
        }
        if self.length.saturating_sub(self.began_at) >= JOURNAL_BYTES_MAX {
            self.rotate(stamp)?;
        }
        let line = self.line(entry, stamp);
        let (bytes, hash) = entry::encode(&line, self.hash);
        if let Err(error) = self.medium.append(&bytes).and_then(|()| self.medium.flush()) {
            if let Err(worse) = self.medium.cut(self.length) {
                self.poisoned = Some(format!("{error}; and it could not be taken back: {worse}"));
            }
            return Err(error.into());
        }
        self.length += u64::try_from(bytes.len()).unwrap_or_default();
        (self.sequence, self.hash) = (line.sequence, hash);
        self.state.take(&line);
        Ok(line.sequence)
    }

    fn line(&self, entry: Entry, stamp: Stamp) -> Line {
        let Stamp { at, clock } = stamp;
        Line { sequence: self.sequence + 1, at, clock, told: self.state.told(), entry }
    }

    /// A file that cannot be begun, most likely for want of disk, leaves the present one in use.
    fn rotate(&mut self, stamp: Stamp) -> Result<(), WriteError> {
        if let Err(error) = self.begin_file(Why::Rotated, stamp) {
            tracing::warn!(%error, "the journal of commands goes on in a file that is longer than it should be");
        }
        self.poisoned.clone().map_or(Ok(()), |why| Err(WriteError::Poisoned(why)))
    }

    /// Writes a new file whole, and puts it in the place of the present one, which is kept under another name.
    fn begin_file(&mut self, why: Why, stamp: Stamp) -> io::Result<()> {
        let checkpoint = Checkpoint { why, chained_to: self.hash, state: self.state.clone() };
        let line = self.line(Entry::Checkpoint(Box::new(checkpoint)), stamp);
        let (bytes, hash) = entry::encode(&line, self.hash);
        let file = files::prepare(&self.directory, &bytes)?;
        if why == Why::Rotated {
            files::keep(&self.directory, self.sequence)?;
        }
        // From here on nobody knows which of the two files is found after a failure.
        files::put_in_place(&self.directory).inspect_err(|error| self.poisoned = Some(error.to_string()))?;
        self.medium = Box::new(file);
        self.length = u64::try_from(bytes.len()).unwrap_or_default();
        self.began_at = self.length;
        (self.sequence, self.hash) = (line.sequence, hash);
        if let Err(error) = files::drop_oldest(&self.directory, JOURNAL_FILES_MAX) {
            tracing::warn!(%error, "old journals of commands are not removed");
        }
        Ok(())
    }
}

/// In place of a file that is not open yet.
#[derive(Debug)]
struct Nothing;

impl Medium for Nothing {
    fn append(&mut self, _: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::NotConnected.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Err(io::ErrorKind::NotConnected.into())
    }

    fn cut(&mut self, _: u64) -> io::Result<()> {
        Ok(())
    }
}

fn lock(directory: &Path) -> Result<File, OpenError> {
    let path = directory.join("lock");
    let opened = File::options().create(true).truncate(false).write(true).open(&path);
    let file = opened.map_err(|source| OpenError::Io { path: path.clone(), source })?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(OpenError::InUse(directory.to_owned())),
        Err(error) => Err(OpenError::Io { path, source: error.into() }),
    }
}
