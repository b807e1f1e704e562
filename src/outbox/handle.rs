//! What the other rooms hold of the outbox: a handle to append, a reader to drain, and the figures.
//!
//! Handles only talk to the keeper's thread through a bounded queue; there is no lock to share with it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};
use weir_wire::stored::Record;

use super::frame::Class;
use crate::id::{Generation, Lane, RecordName};

/// A handle to the outbox. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Outbox {
    pub(super) requests: mpsc::Sender<Request>,
    /// The last durable sequence of each lane, in [`Lane::ALL`]'s order.
    pub(super) durable: Arc<[watch::Receiver<u64>; 2]>,
}

/// What the keeper is asked to do.
#[derive(Debug)]
pub(super) enum Request {
    Append { record: Encoded, receipt: oneshot::Sender<Result<RecordName, AppendError>> },
    Read { lane: Lane, after: u64, records_max: usize, bytes_max: usize, reply: oneshot::Sender<Vec<Stored>> },
    Acknowledge { lane: Lane, up_to: u64 },
    SetAside { lane: Lane, sequence: u64, why: String, reply: oneshot::Sender<bool> },
    Stats { reply: oneshot::Sender<Stats> },
    Close { reply: oneshot::Sender<()> },
}

/// A record as the store takes it. Encoding is done by whoever appends, off the keeper's thread.
#[derive(Debug)]
pub(super) struct Encoded {
    pub(super) lane: Lane,
    pub(super) class: Class,
    pub(super) at: Timestamp,
    pub(super) meter: String,
    pub(super) bytes: Vec<u8>,
}

impl From<&Record> for Encoded {
    fn from(record: &Record) -> Self {
        let (lane, class) = match record {
            Record::Reading(_) => (Lane::Readings, Class::Reading),
            Record::Event(_) => (Lane::Urgent, Class::Event),
            Record::Outcome(_) => (Lane::Urgent, Class::Outcome),
        };
        let meter = record.meter().unwrap_or_default().to_owned();
        Self { lane, class, at: record.at(), meter, bytes: record.encode() }
    }
}

/// Why a record was not stored. Nothing of it is on disk, or nothing that anybody was told of.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The quota is reached and the policy is to stop.
    #[error("outbox full")]
    Full,
    /// Longer than [`RECORD_BYTES_MAX`](crate::limits::RECORD_BYTES_MAX).
    #[error("record of {bytes} bytes is too long for the outbox")]
    TooLong {
        /// Its encoded length.
        bytes: usize,
    },
    /// The store failed, also when opened anew.
    #[error("outbox store failed: {0}")]
    Store(String),
    /// The outbox is closed.
    #[error(transparent)]
    Closed(#[from] Closed),
}

/// The outbox has been closed, or its thread is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("outbox closed")]
pub struct Closed;

/// A promise: resolves to the record's name once it is durable.
#[derive(Debug)]
pub struct Receipt(oneshot::Receiver<Result<RecordName, AppendError>>);

impl Receipt {
    /// Waits until the event is stored, and says so when it is not.
    pub async fn or_said(self) {
        if let Err(error) = self.await {
            tracing::warn!(%error, "event not stored");
        }
    }
}

impl Future for Receipt {
    type Output = Result<RecordName, AppendError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map(|result| result.unwrap_or(Err(AppendError::Closed(Closed))))
    }
}

/// A durable record on its way up.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    /// Its name.
    pub name: RecordName,
    /// Its stored form; see [`Record::decode`]. A slice of what was read in one go, which lives as long as any of it.
    pub bytes: Bytes,
}

impl Outbox {
    /// Queues a record: readings go into the readings lane, all else into the urgent one.
    ///
    /// Waits while the queue is full. The record counts only when the returned receipt resolves.
    ///
    /// # Errors
    /// When the outbox is closed.
    pub async fn append(&self, record: &Record) -> Result<Receipt, Closed> {
        let (receipt, promise) = oneshot::channel();
        let record = Encoded::from(record);
        self.requests.send(Request::Append { record, receipt }).await.map_err(|_| Closed)?;
        Ok(Receipt(promise))
    }

    /// Appends an event and waits until it is stored; says so when it is not.
    pub async fn tell(&self, event: &Record) {
        match self.append(event).await {
            Ok(receipt) => receipt.or_said().await,
            Err(error) => tracing::warn!(%error, "event not stored"),
        }
    }

    /// A reader that starts at the lane's cursor. One reader that acknowledges a lane: acknowledgements of two would mix.
    pub fn reader(&self, lane: Lane) -> Reader {
        let [urgent, readings] = &*self.durable;
        let durable = if lane == Lane::Urgent { urgent } else { readings };
        Reader { lane, position: 0, requests: self.requests.clone(), durable: durable.clone() }
    }

    /// The figures as they are now.
    ///
    /// # Errors
    /// When the outbox is closed.
    pub async fn stats(&self) -> Result<Stats, Closed> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(Request::Stats { reply }).await.map_err(|_| Closed)?;
        answer.await.map_err(|_| Closed)
    }

    /// Commits what is pending, flushes the cursors and closes the store. Later requests find it closed.
    ///
    /// # Errors
    /// When it was closed already, or the store failed on closing.
    pub async fn close(&self) -> Result<(), Closed> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(Request::Close { reply }).await.map_err(|_| Closed)?;
        answer.await.map_err(|_| Closed)
    }
}

/// Reads one lane in order and acknowledges what the broker has.
#[derive(Debug)]
pub struct Reader {
    lane: Lane,
    /// The last sequence handed out; 0 before the first.
    position: u64,
    requests: mpsc::Sender<Request>,
    durable: watch::Receiver<u64>,
}

impl Reader {
    /// The next records in order, at least one and at most this many records and bytes. Waits until there is one.
    ///
    /// Safe to drop half-way: what was not returned is returned next time.
    ///
    /// # Errors
    /// When the outbox is closed.
    pub async fn next(&mut self, records_max: usize, bytes_max: usize) -> Result<Vec<Stored>, Closed> {
        loop {
            let durable = *self.durable.borrow_and_update();
            if durable > self.position {
                let (reply, answer) = oneshot::channel();
                let (lane, after) = (self.lane, self.position);
                let request = Request::Read { lane, after, records_max, bytes_max, reply };
                self.requests.send(request).await.map_err(|_| Closed)?;
                let records = answer.await.map_err(|_| Closed)?;
                if let Some(last) = records.last() {
                    self.position = last.name.sequence;
                    return Ok(records);
                }
                // Everything up to `durable` is acknowledged or gone: nothing to hand out before the next commit.
                self.position = durable;
            }
            self.durable.changed().await.map_err(|_| Closed)?;
        }
    }

    /// Starts again at the cursor: what was handed out and not acknowledged is handed out again, the same.
    pub fn rewind(&mut self) {
        self.position = 0;
        self.durable.mark_changed();
    }

    /// The broker has every record of this lane up to and including this sequence.
    ///
    /// # Errors
    /// When the outbox is closed.
    pub async fn acknowledge(&self, up_to: u64) -> Result<(), Closed> {
        self.requests.send(Request::Acknowledge { lane: self.lane, up_to }).await.map_err(|_| Closed)
    }

    /// The broker refused this record for good: moves it into the refused lane, durably, and reports it as an event.
    /// It must be the first one not yet acknowledged; it counts as acknowledged afterwards.
    ///
    /// # Errors
    /// When the outbox is closed.
    pub async fn set_aside(&self, sequence: u64, why: String) -> Result<bool, Closed> {
        let (reply, answer) = oneshot::channel();
        let request = Request::SetAside { lane: self.lane, sequence, why, reply };
        self.requests.send(request).await.map_err(|_| Closed)?;
        answer.await.map_err(|_| Closed)
    }
}

/// The outbox in figures.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Stats {
    /// This start's generation, in hex.
    pub generation: String,
    /// The urgent lane.
    pub urgent: LaneStats,
    /// The readings lane.
    pub readings: LaneStats,
    /// Records that the broker refused for good and that are kept.
    pub refused: u64,
    /// Damaged segments kept for a person to look at.
    pub quarantined_segments: u64,
    /// Seconds since the outbox was opened: the time in which the lanes' counts came together.
    #[serde(default)]
    pub open_s: u64,
    /// Bytes that the block device under the outbox has written since then, as the kernel counts them: everybody's, the file
    /// system's own included. `None` where no block device can be told.
    #[serde(default)]
    pub device_written_bytes: Option<u64>,
}

/// One lane in figures. Counts are since this start of the daemon, except where they say otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LaneStats {
    /// Records that wait for an acknowledgement, of any start.
    pub waiting: u64,
    /// When the oldest of them was read or happened.
    pub oldest_waiting_at: Option<Timestamp>,
    /// The last sequence given.
    pub last_sequence: u64,
    /// The last sequence acknowledged.
    pub acknowledged_sequence: u64,
    /// Segments on disk.
    pub segments: u64,
    /// Bytes on disk.
    pub disk_bytes: u64,
    /// Bytes it may take.
    pub disk_bytes_max: u64,
    /// Records stored.
    pub stored: u64,
    /// Group commits they took.
    pub commits: u64,
    /// Flushes: the commits, and those that only moved the cursor.
    #[serde(default)]
    pub flushes: u64,
    /// Bytes of records in their frames that were handed to the store.
    #[serde(default)]
    pub frame_bytes: u64,
    /// What these made the block device write, in bytes, estimated; see
    /// [`flash_bytes`](crate::limits::flash_bytes).
    #[serde(default)]
    pub flash_bytes_estimate: u64,
    /// Records acknowledged.
    pub acknowledged: u64,
    /// Records dropped by the policy for a full outbox.
    pub dropped: u64,
    /// Records refused because the outbox was full or failed.
    pub refused_appends: u64,
    /// Records lost to damage.
    pub lost: u64,
}

impl Stats {
    /// The figures of one lane.
    pub fn lane(&self, lane: Lane) -> &LaneStats {
        match lane {
            Lane::Urgent => &self.urgent,
            Lane::Readings => &self.readings,
        }
    }
}

/// What a start finds of the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Previous {
    /// Its generation.
    pub generation: Generation,
    /// The last sequences it gave: readings, urgent.
    pub last: [u64; 2],
}
