//! A lane's directory: how segments are named, made, found and removed, each so that a power cut between any two steps
//! leaves something that the next start can finish.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::store::{self, Key, Segment, StoreError};

/// A segment that is being made.
const NEW: &str = "new-";
/// A segment that is being removed.
const DEAD: &str = "dead-";
/// A segment whose records are being moved into a fresh file; see `salvage`.
pub(super) const MOVING: &str = "moving-";

/// The path of the segment with this first sequence.
pub(super) fn segment_path(lane: &Path, first: u64) -> PathBuf {
    lane.join(format!("{first:020}"))
}

/// Makes a durable, closed segment with these contents under its final name.
///
/// It is made under another name, closed, and renamed, so that a segment with its final name was whole once.
pub(super) fn make_segment(
    lane: &Path,
    first: u64,
    values: impl IntoIterator<Item = (Key, Vec<u8>)>,
    marks: &[(&str, Vec<u8>)],
) -> Result<(), StoreError> {
    let making = lane.join(format!("{NEW}{first:020}"));
    if making.exists() {
        fs::remove_dir_all(&making)?;
    }
    let mut segment = Segment::create(&making)?;
    segment.put(values, marks)?;
    segment.sync_new()?;
    segment.close()?;
    fs::rename(&making, segment_path(lane, first))?;
    Ok(store::sync_directory(lane)?)
}

/// Removes a closed segment.
pub(super) fn remove_segment(lane: &Path, first: u64) -> io::Result<()> {
    let dead = lane.join(format!("{DEAD}{first:020}"));
    fs::rename(segment_path(lane, first), &dead)?;
    store::sync_directory(lane)?;
    fs::remove_dir_all(dead)
}

/// First sequences of the segments in a lane, ascending. Removes what was half made or half removed.
pub(super) fn existing_segments(lane: &Path) -> io::Result<Vec<u64>> {
    let mut firsts = Vec::new();
    for entry in fs::read_dir(lane)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with(NEW) || name.starts_with(DEAD) {
            fs::remove_dir_all(entry.path())?;
        } else if let Some(first) = name.parse().ok().filter(|first| *first > 0) {
            firsts.push(first);
        } else {
            tracing::warn!(path = %entry.path().display(), "not part of the outbox, left alone");
        }
    }
    firsts.sort_unstable();
    Ok(firsts)
}

/// First sequences of segments whose move was interrupted.
pub(super) fn interrupted_moves(lane: &Path) -> io::Result<Vec<u64>> {
    let mut firsts = Vec::new();
    for entry in fs::read_dir(lane)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        firsts.extend(name.strip_prefix(MOVING).and_then(|first| first.parse::<u64>().ok()));
    }
    Ok(firsts)
}
