//! One segment on flash: the only file that knows sled.
//!
//! # What sled 0.34.7 is trusted with, and what it is not
//!
//! * Ordered keys and batches that are whole or absent: trusted (values carry a CRC of their own all the same).
//! * Durability: **not** trusted. `flush()` ends in `sync_file_range`, which neither flushes the drive's cache nor
//!   commits the file's size: under simulated power cuts it lost records it had confirmed in 10 of 15 rounds. With an
//!   `fdatasync` of our own after it: none in 174. [`Segment::sync`] is both.
//! * Damaged files: **not** trusted. `open()` panics on most of them, so it runs inside `catch_unwind`.
//! * Large values: **not** trusted. Pages above a quarter of `segment_size` spill into `blobs/`, which is never synced;
//!   values are kept below [`STORED_VALUE_BYTES_MAX`](crate::limits::STORED_VALUE_BYTES_MAX), and every sync checks that
//!   `blobs/` is empty.
//! * Giving disk back: **not** trusted. Records are never removed one by one; a segment goes as a whole.
//!
//! Nothing here is told apart as damage or disk trouble; that is the lane's business.

use std::fs::{self, File};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::clock;
use crate::limits::{STORE_LOCK_PAUSE, STORE_LOCK_WAIT};

/// sled's own unit of disk space; far above a page of our values, far below a segment's payload.
const SLED_SEGMENT_BYTES: usize = 128 * 1024;
/// Appends go to the end and reads go through once, so a cache has nothing to remember.
const SLED_CACHE_BYTES: u64 = 1024 * 1024;

/// A place in a segment: a record's sequence and one part of it.
pub(super) type Key = (u64, u8);

/// A segment and, until it is closed, its database.
#[derive(Debug)]
pub(super) struct Segment {
    directory: PathBuf,
    opened: Option<Opened>,
}

#[derive(Debug)]
struct Opened {
    /// Our own descriptor on sled's data file, for the sync that sled leaves out.
    data: File,
    values: sled::Tree,
    marks: sled::Tree,
    // Dropped last: the trees belong to it.
    database: sled::Db,
}

/// What the store could not do.
#[derive(Debug, thiserror::Error)]
pub(super) enum StoreError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Sled(#[from] sled::Error),
    #[error("the store panicked: {0}")]
    Panicked(String),
    #[error("the segment is closed")]
    NotOpen,
    #[error("the store does not show sequence {0}, which is there")]
    Hides(u64),
    #[error("values were spilled to {0}, which is never synced")]
    Spilled(PathBuf),
}

impl StoreError {
    /// Whether the machine is to blame and not the segment's files: no descriptor, no memory, no rights, no space.
    /// Setting files aside would help nothing then.
    pub(super) fn is_the_machines(&self) -> bool {
        use io::ErrorKind::{OutOfMemory, PermissionDenied, ReadOnlyFilesystem, StorageFull};
        let kind_of = |error: &io::Error| match error.raw_os_error() {
            Some(code) if [Errno::MFILE, Errno::NFILE].iter().any(|errno| errno.raw_os_error() == code) => {
                true
            }
            _ => matches!(error.kind(), OutOfMemory | PermissionDenied | ReadOnlyFilesystem | StorageFull),
        };
        match self {
            Self::Io(error) | Self::Sled(sled::Error::Io(error)) => kind_of(error) || self.is_of_the_lock(),
            _ => false,
        }
    }

    /// Whether sled could not lock its file. It says so in words only.
    fn is_of_the_lock(&self) -> bool {
        matches!(self, Self::Sled(sled::Error::Io(error)) if error.to_string().contains("could not acquire lock"))
    }
}

impl Segment {
    /// Opens a segment that is there.
    pub(super) fn open(directory: &Path) -> Result<Self, StoreError> {
        // sled would make what is missing.
        fs::metadata(raw_data_path(directory))?;
        Self::create(directory)
    }

    /// Makes a segment in a directory that is missing. Not durable before [`Segment::sync_new`].
    pub(super) fn create(directory: &Path) -> Result<Self, StoreError> {
        let opened = Some(Opened::open(directory)?);
        Ok(Self { directory: directory.to_owned(), opened })
    }

    fn opened(&self) -> Result<&Opened, StoreError> {
        self.opened.as_ref().ok_or(StoreError::NotOpen)
    }

    /// Writes values and marks; not durable before the next [`Segment::sync`].
    pub(super) fn put(
        &self,
        values: impl IntoIterator<Item = (Key, Vec<u8>)>,
        marks: &[(&str, Vec<u8>)],
    ) -> Result<(), StoreError> {
        let opened = self.opened()?;
        unpanicked(|| {
            let mut batch = sled::Batch::default();
            for (key, value) in values {
                batch.insert(&key_bytes(key), value);
            }
            opened.values.apply_batch(batch)?;
            for (name, value) in marks {
                opened.marks.insert(name, value.as_slice())?;
            }
            Ok(())
        })
    }

    /// Makes everything written so far durable.
    pub(super) fn sync(&self) -> Result<(), StoreError> {
        let opened = self.opened()?;
        unpanicked(|| {
            opened.database.flush()?;
            opened.data.sync_data()?;
            let blobs = self.directory.join("blobs");
            match fs::read_dir(&blobs).map(Iterator::count) {
                Ok(0) => Ok(()),
                Ok(_) => Err(StoreError::Spilled(blobs)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                Err(error) => Err(error.into()),
            }
        })
    }

    /// [`Segment::sync`] for a segment that has just been made: its files and its directory are durable too.
    pub(super) fn sync_new(&self) -> Result<(), StoreError> {
        self.sync()?;
        for entry in fs::read_dir(&self.directory)? {
            File::open(entry?.path())?.sync_all()?;
        }
        sync_directory(&self.directory)?;
        Ok(())
    }

    /// Values from this key on, in order.
    pub(super) fn values_from(&self, from: Key) -> impl Iterator<Item = Result<(Key, Vec<u8>), StoreError>> {
        let mut range = self.opened.as_ref().map(|opened| opened.values.range(key_bytes(from)..));
        std::iter::from_fn(move || {
            let range = range.as_mut()?;
            match unpanicked(|| {
                Ok(range.next().transpose()?.map(|(key, value)| (key_from(&key), value.to_vec())))
            }) {
                Ok(next) => next.map(Ok),
                Err(error) => Some(Err(error)),
            }
        })
    }

    /// The key of the last value.
    pub(super) fn last_key(&self) -> Result<Option<Key>, StoreError> {
        let opened = self.opened()?;
        unpanicked(|| Ok(opened.values.last()?.map(|(key, _)| key_from(&key))))
    }

    /// Whether there is a value under this key.
    pub(super) fn has(&self, key: Key) -> Result<bool, StoreError> {
        let opened = self.opened()?;
        unpanicked(|| Ok(opened.values.contains_key(key_bytes(key))?))
    }

    /// A mark by its name.
    pub(super) fn mark(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let opened = self.opened()?;
        unpanicked(|| Ok(opened.marks.get(name)?.map(|value| value.to_vec())))
    }

    /// Bytes of disk that the segment takes.
    pub(super) fn disk_bytes(&self) -> u64 {
        disk_bytes(&self.directory)
    }

    /// Closes the segment; what is asked of it afterwards fails. sled writes on closing too, and may panic there as
    /// anywhere.
    pub(super) fn close(&mut self) -> Result<(), StoreError> {
        let opened = self.opened.take();
        unpanicked(move || {
            drop(opened);
            Ok(())
        })
    }
}

impl Opened {
    /// Opens the database. One that was dropped a moment ago is let go of by sled's own threads only a little later, so
    /// its lock is waited for.
    fn open(directory: &Path) -> Result<Self, StoreError> {
        let since = clock::now();
        loop {
            match Self::try_open(directory) {
                Err(error) if error.is_of_the_lock() && clock::now().since(since) < STORE_LOCK_WAIT => {
                    std::thread::sleep(STORE_LOCK_PAUSE);
                }
                opened => return opened,
            }
        }
    }

    fn try_open(directory: &Path) -> Result<Self, StoreError> {
        remove_half_written_snapshots(directory)?;
        unpanicked(|| {
            let database = sled::Config::new()
                .path(directory)
                .segment_size(SLED_SEGMENT_BYTES)
                .cache_capacity(SLED_CACHE_BYTES)
                // Only `sync` flushes; a timer inside sled would flush without our sync and on a thread of its own.
                .flush_every_ms(None)
                .open()?;
            Ok(Self {
                data: File::open(directory.join("db"))?,
                values: database.open_tree("values")?,
                marks: database.open_tree("marks")?,
                database,
            })
        })
    }
}

/// Bytes of disk that the files under a directory take.
pub(super) fn disk_bytes(directory: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let Ok(entries) = fs::read_dir(directory) else { return 0 };
    let size = |entry: fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => disk_bytes(&entry.path()),
        // Blocks and not length: sled's file has holes.
        Ok(metadata) => metadata.blocks() * 512,
        Err(_) => 0,
    };
    entries.flatten().map(size).sum()
}

/// Makes additions, renames and removals in a directory durable.
pub(super) fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// The raw data file of a segment, for salvage.
pub(super) fn raw_data_path(directory: &Path) -> PathBuf {
    directory.join("db")
}

/// A snapshot that was being written when the machine stopped keeps sled from ever opening again.
fn remove_half_written_snapshots(directory: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "generating") {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// Runs a call into sled and turns a panic into an error.
///
/// What a panic left behind is dropped and opened anew by the caller, so no broken state is looked at again.
fn unpanicked<T>(call: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        Err(StoreError::Panicked(text.unwrap_or_else(|| "no message".into())))
    })
}

fn key_bytes((sequence, part): Key) -> [u8; 9] {
    let mut bytes = [part; 9];
    if let Some(head) = bytes.first_chunk_mut::<8>() {
        *head = sequence.to_be_bytes();
    }
    bytes
}

fn key_from(bytes: &[u8]) -> Key {
    match bytes.split_first_chunk::<8>() {
        Some((sequence, [part])) => (u64::from_be_bytes(*sequence), *part),
        // Never written by this program; sorts after everything.
        _ => (u64::MAX, u8::MAX),
    }
}
