//! What a start makes of the newest segment: a fresh file with what waits in it, so that the file that takes appends is one
//! that this process has made; see `moving` for why. On a full disk the old one stays, and only the next one is appended to.

use std::collections::VecDeque;
use std::path::Path;

use super::frame::{Gone, ThinnedTo};
use super::lane::{Damage, describe, marks_of, thinned_mark, told_mark};
use super::layout::segment_path;
use super::moving::{self, Contents, Old};
use super::scanned::{Missing, Scanned};
use super::store::{Key, Store, StoreError};
use crate::id::Generation;

/// What a start makes of the newest segment.
#[derive(Debug, Default)]
pub(super) struct Renewed {
    pub(super) first: u64,
    pub(super) cursor: u64,
    /// The last sequence given.
    pub(super) last: u64,
    pub(super) previous: Option<(Generation, u64)>,
    pub(super) waiting: VecDeque<(Key, Vec<u8>)>,
    pub(super) thinned: ThinnedTo,
    pub(super) is_renewed: bool,
}

impl Renewed {
    /// Moves what waits in the newest segment into a fresh file. `before` is the first sequence of the one before it.
    pub(super) fn of<S: Store>(
        store: &S,
        directory: &Path,
        quarantine: &Path,
        first: u64,
        before: Option<u64>,
        needed: u64,
    ) -> Result<(Self, Option<Damage>), StoreError> {
        let scanned = Scanned::of(store.raw(&segment_path(directory, first))?);
        let is_blank = scanned.cursor.is_none() && scanned.last().is_none();
        // Where its own is lost, the cursor that the segment before knew when it was closed.
        let cursor = match (scanned.cursor, before) {
            (Some(cursor), _) => cursor,
            (None, Some(before)) => {
                Scanned::of(store.raw(&segment_path(directory, before))?).cursor.unwrap_or(before - 1)
            }
            (None, None) => first - 1,
        };
        let previous = scanned.last().or(scanned.begun).filter(|(_, sequence)| *sequence > 0);
        let last = previous.map_or(first - 1, |(_, sequence)| sequence).max(first - 1).max(cursor);
        let (missing, torn) = missing_in_newest(&scanned, first.max(cursor + 1), last);
        let values = scanned.values_from(cursor + 1);
        let salvaged = u64::try_from(scanned.records_from(cursor + 1).count()).unwrap_or(u64::MAX);
        let damage = (is_blank || !missing.is_empty()).then(|| {
            let what = if is_blank { "nothing can be read" } else { "records are missing" };
            Damage { segment: first, detail: describe(directory, first, what), salvaged, missing }
        });
        let thinned = scanned.thinned;
        let marks = [marks_of(Some(cursor), previous), vec![told_mark(last), thinned_mark(thinned)]].concat();
        let gone = scanned.gone_after(cursor).into_iter().chain(torn).collect();
        let old = if damage.is_some() { Old::Kept(quarantine) } else { Old::Removed };
        let contents = Contents { values: values.clone(), gone, marks: &marks };
        let is_renewed = match moving::replace(store, directory, first, contents, old) {
            Err(error) if error.is_of_full_disk(store, directory, needed) => {
                tracing::error!(%error, lane = %directory.display(), "disk full, nothing can be stored");
                false
            }
            replaced => replaced.map(|()| true)?,
        };
        Ok((Self { first, cursor, last, previous, waiting: values.into(), thinned, is_renewed }, damage))
    }
}

/// What is missing in the newest segment: what was told, and what a power cut tore while it was being written.
pub(super) fn missing_in_newest(scanned: &Scanned, from: u64, last: u64) -> (Vec<Missing>, Vec<Gone>) {
    let told = scanned.told.min(last);
    let torn = scanned.missing(from.max(told + 1), last);
    let torn = torn.into_iter().map(|Missing { from, to, .. }| Gone { from, to, left: 0 }).collect();
    (scanned.missing(from, told), torn)
}
