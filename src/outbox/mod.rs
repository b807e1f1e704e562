//! The outbox: where a record waits, on flash, from the poll to the broker's acknowledgement.
//!
//! # Promises
//!
//! 1. **Flushed before it counts.** A [`Receipt`] resolves, and the uplink sees a record, only after the record and
//!    everything needed to find it again has been flushed to the device: sled's `flush()`, and then an `fdatasync` of
//!    our own, because sled's ends in `sync_file_range`, which makes nothing durable (measured; see `store`).
//! 2. **One name, one content.** A record has its name (generation, lane, sequence) from its group commit on, and is
//!    read back under that name, unchanged, until it is acknowledged.
//! 3. **In order, from the cursor.** A [`Reader`] hands out records in sequence, starting after the last acknowledged
//!    one. Acknowledging moves the cursor; nothing else ever removes a record, except the policy of promise 4.
//! 4. **Bounded.** Lanes never take more disk than their quota. At the quota the configured policy decides, every
//!    dropped reading is counted by meter and time, and the count is flushed in the urgent lane before the drop. Of that
//!    lane the oldest events go; outcomes of commands are stored again, and outlive them (see `room`).
//! 5. **Always opens.** Segments are read by their raw bytes: every record that is whole is found under its name, whatever
//!    became of the database around it. What is missing is counted and reported, once, and the damaged file is kept aside.
//!
//! What can be lost to a power cut is what had not been told: at most one commit window (1 s by default) or
//! [`COMMIT_RECORDS_MAX`](crate::limits::COMMIT_RECORDS_MAX) records of each lane.
//!
//! # On disk
//!
//! ```text
//! outbox/
//!   lock                        one process at a time (flock)
//!   boots                       wall times of the boots whose readings lie here; not the outbox's own, see `crate::boots`
//!   urgent/  readings/  refused/
//!     00000000000000000001/     a segment: one small sled database, named after its first sequence
//!     00000000000000018273/     the newest one is active: appends go there, and the cursor lives there
//!     new-00000000000000020001/    being made; a start removes it
//!     dead-00000000000000000001/   drained and being removed; a start finishes that
//!     moving-00000000000000018273/ its records are being moved into a fresh file; a start finishes that
//!   reserve                     disk to get out of a full one with (see `full_disk`)
//!   quarantine/
//!     000001-readings-00000000000000000001/ damaged segments, whole, a bounded number of them
//! ```
//!
//! A record's value is cut into *frames* (see `frame`), each with a header of its own and a CRC, so that records can be
//! found in the raw bytes of a database that no longer opens, and so that retention need not decode what it counts.
//! The lane `refused` holds what the broker refused for good; it is never sent and drops its oldest segment when full.
//!
//! # Operations
//!
//! All of it happens on one thread of its own (`keeper`), because sled blocks and may panic. Lines and uplink hold
//! handles with bounded queues. **append** → pending → *group commit* (one flush for all that came within the window;
//! the urgent lane does not wait) → receipts. **read** → frames after a position, durable ones only. **acknowledge** →
//! the cursor moves in memory at once, and on disk with the next group commit; a segment wholly behind the flushed
//! cursor is renamed `dead-…` and removed. A crash before that repeats records under the same names.
//!
//! The command line's tools look at a stopped outbox through [`inspect`], which reads raw bytes and changes nothing.

mod device;
mod frame;
mod full_disk;
mod handle;
pub mod inspect;
mod keeper;
mod kept;
mod lane;
mod layout;
mod moving;
mod renewed;
mod retention;
mod room;
mod scanned;
mod store;
mod thinning;

pub use handle::{AppendError, Closed, LaneStats, Outbox, Previous, Reader, Receipt, Stats, Stored};
pub use keeper::{OpenError, Opened, open};

use std::path::PathBuf;
use std::time::Duration;

use jiff::tz::TimeZone;

/// What an outbox is made with.
#[derive(Clone, Debug)]
pub struct Config {
    /// The gateway's id, which stands in the ids of lost records that are reported.
    pub gateway: String,
    /// Its directory; made when missing.
    pub directory: PathBuf,
    /// Disk that readings may take, in bytes.
    pub readings_bytes_max: u64,
    /// Disk that urgent records may take, in bytes.
    pub urgent_bytes_max: u64,
    /// Free space that is left to the rest of the file system, in bytes; below it the outbox behaves as at its quota.
    pub free_bytes_min: u64,
    /// How long a reading may wait for others to share its flush. Zero flushes each one alone.
    pub commit_window: Duration,
    /// What happens to readings at the quota.
    pub when_full: WhenFull,
    /// Where the hours, days and months of thinning begin and end.
    pub time_zone: TimeZone,
    /// Payload of one segment, in bytes; [`SEGMENT_PAYLOAD_BYTES`](crate::limits::SEGMENT_PAYLOAD_BYTES) but in tests.
    pub segment_payload_bytes: u64,
}

/// What happens when readings have reached their quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// Of the older history ever fewer readings are kept, down to one a month of each meter; what goes is counted and
    /// reported. See `retention` for the rule. Then as [`WhenFull::DropOldest`].
    Thin,
    /// The oldest segment goes, counted and reported.
    DropOldest,
    /// Nothing goes; new readings are refused, so the lines pause until there is room.
    StopPolling,
}

/// For tests of other rooms: a real outbox on a flash in memory, on the thread and the time of whoever asks.
#[cfg(test)]
pub(crate) mod in_memory {
    pub(crate) use super::keeper::open_in_memory as open;
    pub(crate) use super::store::volatile::Volatile as Flash;
}

#[cfg(test)]
mod tests;
