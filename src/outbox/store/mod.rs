//! What the outbox needs of the flash: directories whose entries are made, renamed and removed, and segments that take
//! values and can be read back byte by byte.
//!
//! Two implementations: [`sled_files`] on real files, and in tests a model of the page cache that forgets what was not synced.
//!
//! A segment is written through the store and **read as raw bytes only**: frames carry all that is needed to find and
//! check them, so nothing has to be believed of the database around them, and no damage to it costs a record that is
//! whole.

pub(super) mod sled_files;
#[cfg(test)]
pub(super) mod volatile;

use std::io;
use std::path::{Path, PathBuf};

/// A place in a segment: a record's sequence and one part of it.
pub(super) type Key = (u64, u8);

/// The flash under an outbox.
pub(super) trait Store {
    /// A segment that is open for writing.
    type Segment: Segment;

    /// Makes a segment in a directory that is missing. Not durable before [`Segment::sync_new`].
    fn make(&self, segment: &Path) -> Result<Self::Segment, StoreError>;

    /// Opens a segment that this process has made, to append to it.
    fn open(&self, segment: &Path) -> Result<Self::Segment, StoreError>;

    /// The raw bytes of a segment's data; none when they are missing. Bytes that the device cannot read are zeros.
    fn raw(&self, segment: &Path) -> io::Result<Vec<u8>>;

    /// The names in a directory, in no order; none when it is missing.
    fn names(&self, directory: &Path) -> io::Result<Vec<String>>;

    /// Makes a directory and its parents.
    fn make_directory(&self, directory: &Path) -> io::Result<()>;

    /// Renames a directory. Durable after [`Store::sync_directory`] of its parent.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a directory with all that is in it.
    fn remove(&self, directory: &Path) -> io::Result<()>;

    /// Makes additions, renames and removals in a directory durable.
    fn sync_directory(&self, directory: &Path) -> io::Result<()>;

    /// Bytes of disk that a directory takes.
    fn disk_bytes(&self, directory: &Path) -> u64;

    /// Bytes that are free on the file system of a directory.
    fn free_bytes(&self, directory: &Path) -> io::Result<u64>;

    /// Makes a file that takes so many bytes of disk, or leaves nothing of it.
    fn reserve(&self, file: &Path, bytes: u64) -> io::Result<()>;

    /// Removes such a file, so that its disk can be used at once.
    fn give_up(&self, file: &Path) -> io::Result<()>;
}

/// A segment that is open for writing.
pub(super) trait Segment {
    /// Writes values and marks, which replace marks of the same name; not durable before the next [`Segment::sync`].
    fn put(&mut self, values: &[(Key, Vec<u8>)], marks: &[(&str, Vec<u8>)]) -> Result<(), StoreError>;

    /// Makes everything written so far durable.
    fn sync(&mut self) -> Result<(), StoreError>;

    /// [`Segment::sync`] for a segment that has just been made: its files and its directory are durable too.
    fn sync_new(&mut self) -> Result<(), StoreError>;

    /// Closes it.
    fn close(self) -> Result<(), StoreError>;
}

/// What the store could not do.
#[derive(Debug, thiserror::Error)]
pub(super) enum StoreError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Database(String),
    #[error("the store panicked: {0}")]
    Panicked(String),
    #[error("values were spilled to {0}, which is never synced")]
    Spilled(PathBuf),
}

impl StoreError {
    /// Whether the disk under this directory being full is the reason. The database does not always say so itself: then
    /// less than `needed` bytes being free does.
    pub(super) fn is_of_full_disk(&self, store: &impl Store, directory: &Path, needed: u64) -> bool {
        let says_so = |error: &io::Error| {
            matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
        };
        let is_told = matches!(self, Self::Io(error) if says_so(error));
        is_told || store.free_bytes(directory).is_ok_and(|free| free < needed)
    }
}
