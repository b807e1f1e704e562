//! Every limit of the daemon in one place, with the reason for the number and what happens at it.
//!
//! Relations between limits are checked when the program is compiled. Settable bounds (quotas, windows) are not here but
//! in the `Config` of their room.

use std::time::Duration;

/// Longest frame of any protocol on a line, in bytes: M-Bus 261, Modbus 256 (TCP 260), CJ/T 188 113 with wake-up bytes.
/// More than this without an end is noise: the exchange ends as garbled.
pub const FRAME_BYTES_MAX: usize = 512;

/// Requests from the control socket that may wait for one line. One more is refused as busy.
pub const LINE_REQUESTS_MAX: usize = 16;

/// Records on their way to the outbox's thread. When it is full the lines wait: polling slows, nothing is lost.
pub const OUTBOX_QUEUE_RECORDS: usize = 1024;

/// Records in one group commit, whatever the window. 100 a flush cost a quarter of the flash writes of one a flush;
/// beyond that little is gained and more is at risk.
pub const COMMIT_RECORDS_MAX: usize = 100;

/// Bytes of frames in one group commit: long records make it due earlier.
pub const COMMIT_BYTES_MAX: usize = 256 * 1024;

/// How long the cursor may have moved without a group commit to ride on before it is flushed alone. A crash within it
/// only repeats records under their old ids.
pub const CURSOR_FLUSH_AFTER: Duration = Duration::from_secs(10);

/// Payload bytes in one segment of the outbox before the next one is begun.
pub const SEGMENT_PAYLOAD_BYTES: u64 = 2 * 1024 * 1024;

/// Disk that a segment of a given payload may come to take: sled's own factor (about 2.1, measured) with some room, and
/// its fixed part. Room for one such segment is kept free in the quota, so that sled itself never meets a full disk.
pub const fn segment_disk_bytes_max(payload_bytes: u64) -> u64 {
    payload_bytes * 5 / 2 + 2 * 1024 * 1024
}

/// Share of the quota, in percent, from which the outbox reports pressure.
pub const PRESSURE_PERCENT: u64 = 80;

/// Bytes of one framed value in the store. Above a quarter of its 128 KiB segment sled spills values into files it never
/// syncs; pages hold several values, so this stays far below.
pub const STORED_VALUE_BYTES_MAX: usize = 1024;

/// Bytes of one encoded record, which is split over several framed values. A longer one is refused when it is appended:
/// the longest answers of any meter (several M-Bus telegrams of 255 bytes with every record's raw bytes) stay well below.
pub const RECORD_BYTES_MAX: usize = 64 * 1024;

/// Bytes of a meter's id: it stands in every frame's header.
pub const METER_ID_BYTES_MAX: usize = 64;

/// Records that one read of the outbox hands to the uplink, and their bytes.
pub const READ_RECORDS_MAX: usize = 1000;
/// See [`READ_RECORDS_MAX`].
pub const READ_BYTES_MAX: usize = 512 * 1024;

/// Damaged segments kept for a person to look at. The oldest goes when there is one more.
pub const QUARANTINE_SEGMENTS_MAX: usize = 8;

/// Meters named in one `gap` event; a longer list is spread over several events.
pub const GAP_METERS_MAX: usize = 200;

/// Records set aside as refused by the broker: bytes of their lane. The oldest segment goes when it is full.
pub const REFUSED_LANE_BYTES: u64 = 16 * 1024 * 1024;

/// The outbox's thread turns at least this often, whether there is work or not, so that its silence means trouble.
pub const OUTBOX_TICK: Duration = Duration::from_secs(1);

/// Connections to the control socket at once; one more waits to be accepted.
pub const CONTROL_CONNECTIONS_MAX: usize = 8;

/// Bytes of one request line on the control socket; a longer one ends the connection.
pub const CONTROL_REQUEST_BYTES_MAX: usize = 4096;

const _: () =
    assert!(RECORD_BYTES_MAX / (STORED_VALUE_BYTES_MAX - 128) < 255, "a record's part number is one byte");
const _: () = assert!(METER_ID_BYTES_MAX < 128, "a frame's header must leave room for its payload");
const _: () = assert!(READ_BYTES_MAX > RECORD_BYTES_MAX, "a read returns at least one record");
