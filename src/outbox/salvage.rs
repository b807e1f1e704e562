//! Setting a damaged segment aside and saving what is whole in it.
//!
//! ```text
//!   <first>/ ──rename──► damaged-<first>/ ──scan, write──► new-<first>/ ──rename──► <first>/
//!                               └────────────rename (once <first>/ exists again)────► quarantine/<lane>-<first>/
//! ```
//!
//! Each step can be the last before a power cut: a start that finds `damaged-<first>` goes on from there ([`finish`]), and
//! the damaged files are only ever moved, so doing it twice gives the same.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use super::frame::{self, Class};
use super::lane::{self, segment_path};
use super::store::{self, Key, StoreError};
use crate::limits::QUARANTINE_SEGMENTS_MAX;

const DAMAGED: &str = "damaged-";

/// A segment that was set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Damage {
    /// The lane and first sequence, and what the store said.
    pub(super) detail: String,
    /// Records found whole in its raw bytes, acknowledged ones included.
    pub(super) salvaged: u64,
}

/// Sets the segment aside and puts one in its place with every record that is whole.
pub(super) fn set_aside(
    directory: &Path,
    quarantine: &Path,
    first: u64,
    why: &StoreError,
) -> Result<Damage, StoreError> {
    tracing::error!(lane = %directory.display(), segment = first, error = %why, "damaged segment, setting it aside");
    let damaged = directory.join(format!("{DAMAGED}{first:020}"));
    fs::rename(segment_path(directory, first), &damaged)?;
    store::sync_directory(directory)?;
    replace(directory, quarantine, first, &why.to_string())
}

/// Goes on with what a stop interrupted.
pub(super) fn finish(directory: &Path, quarantine: &Path) -> Result<Vec<Damage>, StoreError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let Some(first) = name.strip_prefix(DAMAGED).and_then(|first| first.parse().ok()) else { continue };
        found.push(replace(directory, quarantine, first, "salvage was interrupted")?);
    }
    Ok(found)
}

fn replace(directory: &Path, quarantine: &Path, first: u64, why: &str) -> Result<Damage, StoreError> {
    let damaged = directory.join(format!("{DAMAGED}{first:020}"));
    let (values, cursor) = whole_records(&store::raw_data_path(&damaged))?;
    let salvaged = values.keys().filter(|(_, part)| *part == 0).count();
    if !segment_path(directory, first).exists() {
        let marks: Vec<_> = cursor.map(lane::cursor_mark).into_iter().collect();
        lane::fill_segment(directory, first, values, &marks)?;
    }
    let lane = directory.file_name().unwrap_or_default().to_string_lossy();
    keep(&damaged, quarantine, &format!("{lane}-{first:020}"))?;
    let detail = format!("{lane} segment {first}: {why}");
    Ok(Damage { detail, salvaged: u64::try_from(salvaged).unwrap_or(u64::MAX) })
}

/// Every whole frame in a raw data file, and the furthest cursor. An unreadable file has none.
#[expect(clippy::type_complexity, reason = "used once, next to its definition")]
fn whole_records(path: &Path) -> io::Result<(BTreeMap<Key, Vec<u8>>, Option<u64>)> {
    let raw = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        raw => raw?,
    };
    let (mut values, mut latest) = (BTreeMap::<Key, Vec<u8>>::new(), BTreeMap::new());
    let mut cursor = None;
    for frame in frame::scan(&raw) {
        if frame.header.class == Class::Cursor {
            cursor = cursor.max(Some(frame.header.sequence));
            continue;
        }
        // sled rewrites pages, so a frame is found several times. Two generations under one sequence can only come from
        // a tail that rolled back before: the later record is the one that was given out last.
        let key = (frame.header.sequence, frame.part);
        if latest.get(&key).is_none_or(|at| *at <= frame.header.at) {
            latest.insert(key, frame.header.at);
            values.insert(key, frame.bytes.to_vec());
        }
    }
    Ok((values, cursor))
}

/// Moves damaged files into the quarantine, which keeps a bounded number of them.
fn keep(damaged: &Path, quarantine: &Path, name: &str) -> io::Result<()> {
    fs::create_dir_all(quarantine)?;
    let taken = |n: &u32| quarantine.join(format!("{name}.{n}")).exists();
    let free = (0..).find(|n| !taken(n)).unwrap_or_default();
    fs::rename(damaged, quarantine.join(format!("{name}.{free}")))?;
    store::sync_directory(quarantine)?;
    let mut kept: Vec<_> = fs::read_dir(quarantine)?.collect::<Result<_, _>>()?;
    kept.sort_by_cached_key(|entry| entry.metadata().and_then(|metadata| metadata.modified()).ok());
    for oldest in kept.iter().take(kept.len().saturating_sub(QUARANTINE_SEGMENTS_MAX)) {
        tracing::warn!(path = %oldest.path().display(), "quarantine is full, removing the oldest");
        fs::remove_dir_all(oldest.path())?;
    }
    Ok(())
}
