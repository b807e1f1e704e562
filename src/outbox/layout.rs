//! A lane's directory: how segments are named, made, found and removed, each so that a power cut between any two steps
//! leaves something that the next start can finish.

use std::io;
use std::path::{Path, PathBuf};

use super::store::{Key, Segment, Store, StoreError};

/// A segment that is being made.
const NEW: &str = "new-";
/// A segment that is being removed.
const DEAD: &str = "dead-";
/// A segment whose records are being moved into a fresh file; see `moving`.
const MOVING: &str = "moving-";

/// The path of the segment with this first sequence.
pub(super) fn segment_path(lane: &Path, first: u64) -> PathBuf {
    lane.join(format!("{first:020}"))
}

/// The path of the segment while its records are being moved.
pub(super) fn moving_path(lane: &Path, first: u64) -> PathBuf {
    lane.join(format!("{MOVING}{first:020}"))
}

/// What a name in a lane's directory stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// A segment with this first sequence.
    Segment(u64),
    /// A segment whose records were being moved.
    Moving(u64),
    /// Half made or half removed.
    Leftover,
    /// Not part of the outbox.
    Foreign,
}

/// What this name in a lane's directory stands for.
pub(super) fn entry(name: &str) -> Entry {
    if name.starts_with(NEW) || name.starts_with(DEAD) {
        Entry::Leftover
    } else if let Some(first) = name.parse().ok().filter(|first| *first > 0) {
        Entry::Segment(first)
    } else if let Some(first) = name.strip_prefix(MOVING).and_then(|first| first.parse().ok()) {
        Entry::Moving(first)
    } else {
        Entry::Foreign
    }
}

/// What a lane's directory holds.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// First sequences of the segments, ascending.
    pub(super) firsts: Vec<u64>,
    /// First sequences of those whose move was interrupted.
    pub(super) moving: Vec<u64>,
}

/// Lists a lane. Removes what was half made or half removed.
pub(super) fn list(store: &impl Store, lane: &Path) -> io::Result<Listing> {
    let mut listing = Listing::default();
    for name in store.names(lane)? {
        match entry(&name) {
            Entry::Leftover => store.remove(&lane.join(name))?,
            Entry::Segment(first) => listing.firsts.push(first),
            Entry::Moving(first) => listing.moving.push(first),
            Entry::Foreign => {
                tracing::warn!(lane = %lane.display(), name, "not part of the outbox, left alone");
            }
        }
    }
    listing.firsts.sort_unstable();
    listing.moving.sort_unstable();
    Ok(listing)
}

/// Makes a durable, closed segment with these contents under its final name.
///
/// It is made under another name, closed, and renamed, so that a segment with its final name was whole once.
pub(super) fn make_segment<S: Store>(
    store: &S,
    lane: &Path,
    first: u64,
    values: &[(Key, Vec<u8>)],
    marks: &[(&str, Vec<u8>)],
) -> Result<(), StoreError> {
    let making = lane.join(format!("{NEW}{first:020}"));
    // Left by an attempt that failed.
    if !store.names(&making)?.is_empty() {
        store.remove(&making)?;
    }
    let mut segment = store.make(&making)?;
    segment.put(values, marks)?;
    segment.sync_new()?;
    segment.close()?;
    store.rename(&making, &segment_path(lane, first))?;
    Ok(store.sync_directory(lane)?)
}

/// Removes closed segments. One that damage has taken away is not there to be removed.
pub(super) fn remove_segments(store: &impl Store, lane: &Path, firsts: &[u64]) -> Result<(), StoreError> {
    let mut dead = Vec::new();
    for first in firsts {
        let segment = segment_path(lane, *first);
        if !store.names(&segment)?.is_empty() {
            let path = lane.join(format!("{DEAD}{first:020}"));
            store.rename(&segment, &path)?;
            dead.push(path);
        }
    }
    if !dead.is_empty() {
        store.sync_directory(lane)?;
    }
    Ok(dead.iter().try_for_each(|path| store.remove(path))?)
}
