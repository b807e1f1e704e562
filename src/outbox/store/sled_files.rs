//! Segments on flash, each a small sled database: the only file that knows sled.
//!
//! # What sled 0.34.7 is trusted with, and what it is not
//!
//! * Writing: a value that was put lies in the raw file as it was given, in one piece, until its segment is removed.
//!   Trusted, because values are never replaced or removed, and stay far below sled's size for blobs.
//! * Durability: **not** trusted. `flush()` ends in `sync_file_range`, which neither flushes the drive's cache nor
//!   commits the file's size: under simulated power cuts it lost records it had confirmed in 10 of 15 rounds. With an
//!   `fdatasync` of our own after it: none in 174. [`SledSegment::sync`] is both.
//! * Reading: **not** trusted. `open()` panics on most damage, or rolls back to it and overwrites what lies behind. So a
//!   database is opened only by the process that made it, and is read by its raw bytes.
//! * Large values: **not** trusted. Pages above a quarter of `segment_size` spill into `blobs/`, which is never synced;
//!   values are kept below [`STORED_VALUE_BYTES_MAX`](crate::limits::STORED_VALUE_BYTES_MAX), and every sync checks that
//!   `blobs/` is empty.
//! * Giving disk back: **not** trusted. Records are never removed one by one; a segment goes as a whole.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate, statvfs};
use rustix::io::Errno;

use super::{Key, Segment, Store, StoreError};
use crate::clock;
use crate::limits::{SEGMENT_FILE_BYTES_MAX, STORE_LOCK_PAUSE, STORE_LOCK_WAIT};

/// sled's own unit of disk space; far above a page of our values, far below a segment's payload.
const SLED_SEGMENT_BYTES: usize = 128 * 1024;
/// Nothing is read through sled, so a cache has nothing to remember.
const SLED_CACHE_BYTES: u64 = 1024 * 1024;
/// The unit in which a device fails to read.
const BLOCK_BYTES: usize = 4096;

/// Real files.
#[derive(Clone, Copy, Debug)]
pub(in crate::outbox) struct SledFiles;

/// One database.
#[derive(Debug)]
pub(in crate::outbox) struct SledSegment {
    directory: PathBuf,
    /// Our own descriptor on sled's data file, for the sync that sled leaves out.
    data: File,
    values: sled::Tree,
    marks: sled::Tree,
    // Dropped last: the trees belong to it.
    database: sled::Db,
}

impl Store for SledFiles {
    type Segment = SledSegment;

    fn make(&self, segment: &Path) -> Result<SledSegment, StoreError> {
        open(segment)
    }

    fn open(&self, segment: &Path) -> Result<SledSegment, StoreError> {
        // sled would make what is missing.
        fs::metadata(data_path(segment))?;
        open(segment)
    }

    fn raw(&self, segment: &Path) -> io::Result<Vec<u8>> {
        let file = match File::open(data_path(segment)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            file => file?,
        };
        let mut raw = Vec::new();
        match (&file).take(SEGMENT_FILE_BYTES_MAX).read_to_end(&mut raw) {
            Ok(_) => Ok(raw),
            Err(error) if error.raw_os_error() == Some(Errno::IO.raw_os_error()) => readable_blocks(&file),
            Err(error) => Err(error),
        }
    }

    fn names(&self, directory: &Path) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    }

    fn make_directory(&self, directory: &Path) -> io::Result<()> {
        fs::create_dir_all(directory)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, directory: &Path) -> io::Result<()> {
        fs::remove_dir_all(directory)
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        File::open(directory)?.sync_all()
    }

    fn disk_bytes(&self, directory: &Path) -> u64 {
        disk_bytes(directory)
    }

    fn free_bytes(&self, directory: &Path) -> io::Result<u64> {
        let free = statvfs(directory)?;
        Ok(free.f_bavail.saturating_mul(free.f_frsize))
    }

    fn reserve(&self, file: &Path, bytes: u64) -> io::Result<()> {
        let made = File::create(file).and_then(|made| {
            fallocate(&made, FallocateFlags::empty(), 0, bytes)?;
            made.sync_all()
        });
        made.or_else(|error| fs::remove_file(file).and(Err(error)))
    }

    fn give_up(&self, file: &Path) -> io::Result<()> {
        fs::remove_file(file)?;
        // ext4 gives the blocks back when the removal is committed.
        file.parent().map_or(Ok(()), |parent| self.sync_directory(parent))
    }
}

impl Segment for SledSegment {
    fn put(&mut self, values: &[(Key, Vec<u8>)], marks: &[(&str, Vec<u8>)]) -> Result<(), StoreError> {
        unpanicked(|| {
            let mut batch = sled::Batch::default();
            for (key, value) in values {
                batch.insert(&key_bytes(*key), value.as_slice());
            }
            self.values.apply_batch(batch)?;
            for (name, value) in marks {
                self.marks.insert(name, value.as_slice())?;
            }
            Ok(())
        })
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        unpanicked(|| {
            self.database.flush()?;
            self.data.sync_data()?;
            let blobs = self.directory.join("blobs");
            match SledFiles.names(&blobs)?.is_empty() {
                true => Ok(()),
                false => Err(StoreError::Spilled(blobs)),
            }
        })
    }

    fn sync_new(&mut self) -> Result<(), StoreError> {
        self.sync()?;
        for entry in fs::read_dir(&self.directory)? {
            File::open(entry?.path())?.sync_all()?;
        }
        Ok(SledFiles.sync_directory(&self.directory)?)
    }

    /// sled writes on closing too, and may panic there as anywhere.
    fn close(self) -> Result<(), StoreError> {
        unpanicked(move || {
            drop(self);
            Ok(())
        })
    }
}

impl From<sled::Error> for StoreError {
    fn from(error: sled::Error) -> Self {
        match error {
            sled::Error::Io(error) => Self::Io(error),
            other => Self::Database(other.to_string()),
        }
    }
}

/// Opens the database. One that was dropped a moment ago is let go of by sled's own threads only a little later, so its
/// lock is waited for.
fn open(directory: &Path) -> Result<SledSegment, StoreError> {
    let since = clock::now();
    loop {
        match try_open(directory) {
            Err(error) if is_of_the_lock(&error) && clock::now().since(since) < STORE_LOCK_WAIT => {
                std::thread::sleep(STORE_LOCK_PAUSE);
            }
            opened => return opened,
        }
    }
}

fn try_open(directory: &Path) -> Result<SledSegment, StoreError> {
    unpanicked(|| {
        let database = sled::Config::new()
            .path(directory)
            .segment_size(SLED_SEGMENT_BYTES)
            .cache_capacity(SLED_CACHE_BYTES)
            // Only `sync` flushes; a timer inside sled would flush without our sync and on a thread of its own.
            .flush_every_ms(None)
            .open()?;
        Ok(SledSegment {
            directory: directory.to_owned(),
            data: File::open(data_path(directory))?,
            values: database.open_tree("values")?,
            marks: database.open_tree("marks")?,
            database,
        })
    })
}

/// Whether sled could not lock its file. It says so in words only.
fn is_of_the_lock(error: &StoreError) -> bool {
    matches!(error, StoreError::Io(error) if error.to_string().contains("could not acquire lock"))
}

fn data_path(segment: &Path) -> PathBuf {
    segment.join("db")
}

/// What can be read of a file on a device with bad blocks.
fn readable_blocks(file: &File) -> io::Result<Vec<u8>> {
    let length = file.metadata()?.len().min(SEGMENT_FILE_BYTES_MAX);
    let mut raw = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    for (offset, block) in (0_u64..).step_by(BLOCK_BYTES).zip(raw.chunks_mut(BLOCK_BYTES)) {
        if file.read_exact_at(block, offset).is_err() {
            block.fill(0);
        }
    }
    Ok(raw)
}

fn disk_bytes(directory: &Path) -> u64 {
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

/// Runs a call into sled and turns a panic into an error.
///
/// What a panic left behind is dropped by the caller, so no broken state is looked at again.
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
