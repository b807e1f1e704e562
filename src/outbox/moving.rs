//! Moving the records of a segment into a fresh file, and keeping the old one aside where it was damaged.
//!
//! ```text
//!   <first>/ ──rename──► moving-<first>/       new-<first>/ ──rename──► <first>/
//!                              └── once <first>/ is there again: removed, or damaged: into quarantine/
//! ```
//!
//! Three things are such a move: a start, so that the file that takes appends is one that this process has made (sled's
//! `open()` on a damaged file rolls back to the damage *and overwrites what lies behind it*: one flipped bit cost 50 to 200
//! of 2300 stored records in 40 of 40 trials); damage found in a closed segment; and thinning out.
//!
//! Each step can be the last before a power cut. A start that finds `moving-<first>` without `<first>` takes it back, and
//! with it, finishes. The old file is only renamed until its records are durable elsewhere, so doing it twice gives the same.

use std::path::Path;

use super::frame::Gone;
use super::layout::{make_segment, moving_path, segment_path};
use super::store::{Key, Store, StoreError};
use crate::limits::QUARANTINE_SEGMENTS_MAX;

/// What a fresh segment begins with.
pub(super) struct Contents<'a> {
    pub(super) values: Vec<(Key, Vec<u8>)>,
    pub(super) gone: Vec<Gone>,
    pub(super) marks: &'a [(&'a str, Vec<u8>)],
}

/// What becomes of the old file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Old<'a> {
    Removed,
    /// It goes into this directory.
    Kept(&'a Path),
}

/// Puts a fresh file with these contents in the place of a segment, or where there is none.
pub(super) fn replace(
    store: &impl Store,
    lane: &Path,
    first: u64,
    contents: Contents<'_>,
    old: Old<'_>,
) -> Result<(), StoreError> {
    let had_one = !store.names(&segment_path(lane, first))?.is_empty();
    if had_one {
        store.rename(&segment_path(lane, first), &moving_path(lane, first))?;
        store.sync_directory(lane)?;
    }
    let mut values = contents.values;
    values.extend(contents.gone.into_iter().map(|gone| ((gone.from, u8::MAX), gone.frame())));
    if let Err(error) = make_segment(store, lane, first, &values, contents.marks) {
        // The disk may be full. What was there stays where it is looked for.
        if had_one && store.names(&segment_path(lane, first))?.is_empty() {
            settle(store, lane, first, old)?;
        }
        return Err(error);
    }
    if had_one {
        let_go(store, lane, first, old)?;
    }
    Ok(())
}

/// Finishes or takes back a move that was interrupted.
pub(super) fn settle(store: &impl Store, lane: &Path, first: u64, old: Old<'_>) -> Result<(), StoreError> {
    if store.names(&segment_path(lane, first))?.is_empty() {
        store.rename(&moving_path(lane, first), &segment_path(lane, first))?;
        Ok(store.sync_directory(lane)?)
    } else {
        let_go(store, lane, first, old)
    }
}

fn let_go(store: &impl Store, lane: &Path, first: u64, old: Old<'_>) -> Result<(), StoreError> {
    let moving = moving_path(lane, first);
    match old {
        Old::Removed => Ok(store.remove(&moving)?),
        Old::Kept(quarantine) => {
            let lane = lane.file_name().unwrap_or_default().to_string_lossy();
            keep(store, &moving, quarantine, &format!("{lane}-{first:020}"))
        }
    }
}

/// Moves damaged files into the quarantine, which keeps a bounded number of them: numbered, the oldest goes first.
fn keep(store: &impl Store, damaged: &Path, quarantine: &Path, name: &str) -> Result<(), StoreError> {
    store.make_directory(quarantine)?;
    let mut kept = store.names(quarantine)?;
    kept.sort_unstable();
    let number = |name: &String| name.split('-').next().and_then(|number| number.parse::<u32>().ok());
    let next = kept.iter().rev().find_map(number).map_or(1, |number| number.saturating_add(1));
    store.rename(damaged, &quarantine.join(format!("{next:06}-{name}")))?;
    store.sync_directory(quarantine)?;
    for oldest in kept.iter().take((kept.len() + 1).saturating_sub(QUARANTINE_SEGMENTS_MAX)) {
        tracing::warn!(name = oldest, "quarantine is full, removing the oldest");
        store.remove(&quarantine.join(oldest))?;
    }
    Ok(())
}
