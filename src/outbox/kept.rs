//! One lane as the keeper knows it: the segments, and beside them who waits for the commit to come, since when, and what
//! is counted.

use tokio::sync::{oneshot, watch};

use super::handle::{AppendError, LaneStats};
use super::lane::{Damage, SegmentedLane, Written};
use super::store::{Store, StoreError};
use crate::clock::{self, Moment};
use crate::id::{Generation, Lane, RecordName};
use crate::limits;

/// One lane with what the keeper remembers beside the store.
pub(super) struct Kept<S: Store> {
    pub(super) lane: Lane,
    pub(super) store: SegmentedLane<S>,
    pub(super) disk_bytes_max: u64,
    /// Whether there is no room to begin a further segment, or to write at all.
    pub(super) full: bool,
    /// Whether a segment was given for disk that something else had filled, and no segment could be begun since.
    pub(super) has_given: bool,
    /// Who waits for the commit to come.
    pub(super) receipts: Vec<(u64, oneshot::Sender<Result<RecordName, AppendError>>)>,
    /// Since when the oldest of them waits.
    pub(super) since: Option<Moment>,
    pub(super) cursor_moved: Option<Moment>,
    pub(super) durable: watch::Sender<u64>,
    pub(super) counted: LaneStats,
}

impl<S: Store + Clone> Kept<S> {
    pub(super) fn new(
        lane: Lane,
        store: SegmentedLane<S>,
        disk_bytes_max: u64,
    ) -> (Self, watch::Receiver<u64>) {
        let (durable, receiver) = watch::channel(store.durable());
        let counted = LaneStats::default();
        let (receipts, since, cursor_moved) = (Vec::new(), None, None);
        (
            Self {
                lane,
                store,
                disk_bytes_max,
                full: false,
                has_given: false,
                receipts,
                since,
                cursor_moved,
                durable,
                counted,
            },
            receiver,
        )
    }

    pub(super) fn is_full(&self) -> bool {
        self.receipts.len() >= limits::COMMIT_RECORDS_MAX
            || self.store.pending_bytes() >= limits::COMMIT_BYTES_MAX
    }

    pub(super) fn acknowledge(&mut self, up_to: u64) {
        let before = self.store.cursor();
        self.store.acknowledge(up_to);
        self.counted.acknowledged += self.store.cursor() - before;
        if self.store.cursor_is_unflushed() {
            self.cursor_moved.get_or_insert_with(clock::now);
        }
    }

    /// Whether the cursor should be flushed although no append does it: it frees segments, or has waited long enough.
    pub(super) fn cursor_is_due(&self) -> bool {
        let waited = self.cursor_moved.map(|since| clock::now().since(since));
        self.store.drained_segments() >= limits::DRAINED_SEGMENTS_MAX
            || waited.is_some_and(|waited| waited >= limits::CURSOR_FLUSH_AFTER)
    }

    /// Notes whether there is room, and says so when that has changed.
    pub(super) fn set_full(&mut self, full: bool) {
        if self.full != full {
            self.full = full;
            tracing::warn!(lane = %self.lane, full, "room for more in the outbox");
        }
    }

    /// Tells all that wait that their records are not stored.
    pub(super) fn fail(&mut self, why: &str) {
        for (_, receipt) in self.receipts.drain(..) {
            let _ = receipt.send(Err(AppendError::Store(why.to_owned())));
        }
    }

    pub(super) fn commit(&mut self, generation: Generation) -> Result<(), StoreError> {
        let before = self.store.durable();
        // After a failure they go on waiting: on a full disk the same records are tried again.
        self.store.commit()?;
        (self.since, self.cursor_moved) = (None, None);
        let durable = self.store.durable();
        if durable > before {
            // The one line that says which records count: whoever tests the promise reads it here.
            tracing::debug!(lane = %self.lane, %generation, first = before + 1, last = durable, "flushed");
            self.counted.stored += durable - before;
            self.counted.commits += 1;
            for (sequence, receipt) in self.receipts.drain(..) {
                let _ = receipt.send(Ok(RecordName { generation, lane: self.lane, sequence }));
            }
            self.durable.send_replace(durable);
        }
        self.store.drop_drained()
    }

    pub(super) fn stats(&mut self, damage: &mut Vec<Damage>) -> Result<LaneStats, StoreError> {
        let oldest = self.store.read(0, 1, usize::MAX, damage)?;
        let Written { flushes, frame_bytes } = self.store.written();
        Ok(LaneStats {
            waiting: self.store.waiting(),
            oldest_waiting_at: oldest.first().map(|read| read.at),
            last_sequence: self.store.durable(),
            acknowledged_sequence: self.store.cursor(),
            segments: self.store.segments(),
            disk_bytes: self.store.disk_bytes(),
            disk_bytes_max: self.disk_bytes_max,
            flushes,
            frame_bytes,
            flash_bytes_estimate: limits::flash_bytes(flushes, frame_bytes),
            ..self.counted.clone()
        })
    }
}
