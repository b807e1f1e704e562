//! A full disk: another program has filled the file system, so that not even what the quota allows can be written.
//!
//! The way out is the **reserve**, a file of one segment's size at its largest. It is removed when a write fails for want of
//! disk, and what failed is tried once more: the commit, the gap of what the policy drops, the cursor. So records go on
//! being stored for as long as the policy can make room. What fails then is **borne**: what is pending stays pending, the lanes
//! are full, so that appends are refused and lines pause, and the keeper looks again every
//! [`OUTBOX_TICK`](crate::limits::OUTBOX_TICK). Nothing is told as stored, and nothing is given up, in between. When there is
//! disk again everything goes on by itself, and the reserve is made again.

use std::path::PathBuf;

use super::Config;
use super::keeper::Keeper;
use super::store::{Store, StoreError};
use crate::clock;
use crate::id::Lane;
use crate::limits::{OUTBOX_TICK, segment_disk_bytes_max};

fn reserve_path(config: &Config) -> PathBuf {
    config.directory.join("reserve")
}

/// Makes the disk ready for a start, which writes the newest segments anew: where there is little the reserve goes first.
/// Whether it is there.
pub(super) fn prepare(store: &impl Store, config: &Config) -> Result<bool, StoreError> {
    let has_reserve = store.names(&config.directory)?.iter().any(|name| name == "reserve");
    let needed = segment_disk_bytes_max(config.segment_payload_bytes);
    if has_reserve && store.free_bytes(&config.directory)? < needed {
        tracing::error!("disk full, giving up the outbox's reserve to start");
        store.give_up(&reserve_path(config))?;
        return Ok(false);
    }
    Ok(has_reserve)
}

impl<S: Store + Clone> Keeper<S> {
    /// Does it, and once more after giving up the reserve where a full disk made it fail. It must be such that it can be
    /// done again.
    pub(super) fn with_reserve<T>(
        &mut self,
        mut work: impl FnMut(&mut Self) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        match work(self) {
            Err(error) if self.has_reserve && self.is_of_full_disk(&error) => {
                tracing::error!(%error, "disk full, giving up the outbox's reserve");
                self.store.give_up(&reserve_path(&self.config))?;
                self.has_reserve = false;
                work(self)
            }
            done => done,
        }
    }

    /// Commits the outbox's own events, on which something else depends.
    pub(super) fn commit_urgent(&mut self) -> Result<(), StoreError> {
        let generation = self.generation;
        self.with_reserve(|keeper| keeper.urgent.commit(generation))
    }

    /// Bears a failure for want of disk; any other ends the keeper, and all that wait are told.
    pub(super) fn bear(&mut self, done: Result<(), StoreError>) -> Result<(), StoreError> {
        let Err(error) = done else { return Ok(()) };
        if !self.is_of_full_disk(&error) {
            Lane::ALL.into_iter().for_each(|lane| self.kept(lane).fail(&error.to_string()));
            return Err(error);
        }
        if !self.urgent.full || !self.readings.full {
            tracing::error!(%error, "disk full, nothing can be stored");
        }
        Lane::ALL.into_iter().for_each(|lane| self.kept(lane).set_full(true));
        self.found_full = Some(clock::now());
        Ok(())
    }

    /// Whether the disk was full a moment ago: looking again all the time would only wear it.
    pub(super) fn waits_for_disk(&self) -> bool {
        self.found_full.is_some_and(|found| clock::now().since(found) < OUTBOX_TICK)
    }

    /// Makes the reserve when it is missing and there is room for it beside a further segment.
    pub(super) fn renew_reserve(&mut self) -> Result<(), StoreError> {
        let bytes = segment_disk_bytes_max(self.config.segment_payload_bytes);
        let free_bytes = self.store.free_bytes(&self.config.directory)?;
        if self.has_reserve || free_bytes < self.config.free_bytes_min + 2 * bytes {
            return Ok(());
        }
        match self.store.reserve(&reserve_path(&self.config), bytes) {
            Ok(()) => self.has_reserve = true,
            // A file system that cannot keep room for a file works without; what it lacks is told when that is needed.
            Err(error) => tracing::debug!(%error, "no reserve for the outbox"),
        }
        Ok(())
    }

    fn is_of_full_disk(&self, error: &StoreError) -> bool {
        let needed = segment_disk_bytes_max(self.config.segment_payload_bytes);
        // A margin: what is free now may be what the failed write gave back.
        error.is_of_full_disk(&self.store, &self.config.directory, needed)
    }
}
