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

/// Visits and reads of the command path that may wait for one line: one of each open command, and one more of each that
/// reads, so that none is ever told that the line is busy.
pub const LINE_VISITS_MAX: usize = COMMANDS_OPEN_MAX + READS_OPEN_MAX;

/// Repeats of one request that a configuration may ask for. Each costs an answer window; five already mean that the
/// wiring wants a visit.
pub const REPEATS_MAX: u32 = 5;

/// Bytes that one request may bring in before its answer, foreign frames and noise included. More means that somebody
/// talks without end: the request ends as garbled.
pub const REQUEST_BYTES_HEARD_MAX: usize = 4 * FRAME_BYTES_MAX;

/// Pause inside a frame that is forgiven besides the adapter's allowance. No protocol here allows one, but a loaded
/// single-core machine reads late. It is waited for only when a frame breaks off.
pub const PAUSE_IN_FRAME: Duration = Duration::from_millis(50);

/// How long a line may take to fall silent before a request. A frame of the greatest length takes this long at 1200 Bd;
/// a line that talks on has a fault, and the request ends as garbled.
pub const SILENCE_WAIT_MAX: Duration = Duration::from_secs(4);

/// How long the port may take to accept a request's bytes, beyond their time on the wire; then the line is down. Only a
/// dead adapter or serial server takes no bytes.
pub const WRITE_WAIT_MAX: Duration = Duration::from_secs(2);

/// Pause between two looks whether a port has sent everything, before its speed is changed. A character takes that long at
/// 9600 Bd.
pub const UNSENT_LOOK_EVERY: Duration = Duration::from_millis(1);

/// Wait before a port that vanished is opened again, doubled up to the second: a replugged adapter resumes within
/// seconds, and a failed open costs microseconds.
pub const REOPEN_WAIT_MIN: Duration = Duration::from_millis(250);
/// See [`REOPEN_WAIT_MIN`].
pub const REOPEN_WAIT_MAX: Duration = Duration::from_secs(10);

/// How long a serial server may take to accept a connection.
pub const CONNECT_WAIT_MAX: Duration = Duration::from_secs(5);

/// How long sent bytes may stay unacknowledged by a serial server before the connection counts as dead. Without it the
/// kernel would try for a quarter of an hour, and every meter behind it would be called silent.
pub const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(10);

/// Shortest back-off after a failed poll: with continuous polling a dead meter must not cost its time-out every cycle.
pub const BACK_OFF_MIN: Duration = Duration::from_secs(10);
/// Longest back-off: a meter that was repaired is back within an hour, and a dead one costs its line one answer window
/// an hour, less than a ten-thousandth of the time.
pub const BACK_OFF_MAX: Duration = Duration::from_secs(3600);

/// Longest time for which a probe of a meter that does not answer yields to the polls of those that do. With the answer
/// windows of the protocols here (0.2 to 1 s) an always busy line gives its dead meters less than a hundredth of its
/// time, and thirty of them are still probed within the hour of the longest back-off.
pub const PROBE_YIELDS_MAX: Duration = Duration::from_secs(120);

/// Failed polls in a row after which a meter is reported as silent. One is a disturbance and two a long one; with the
/// back-off three mean three quarters of an hour for a quarter-hourly meter.
pub const FAILED_POLLS_BEFORE_SILENT: u32 = 3;

/// Records a line has handed to the outbox without knowing yet whether they were stored. At one more the line waits.
pub const UNSETTLED_RECORDS_MAX: usize = 256;

/// Records that a line holds because the outbox refused them. All that was unsettled may come back refused, and events and
/// reads that were asked for come on top; one more is lost, counted and logged as an error.
pub const REFUSED_RECORDS_MAX: usize = 2 * UNSETTLED_RECORDS_MAX;

/// While the outbox refuses records, how often a line offers it the first one again.
pub const OFFER_AGAIN_EVERY: Duration = Duration::from_secs(5);

/// How long a poll that is under way may go on when the line is stopped; a frame of M-Bus at 300 Bd takes no longer
/// than twice this, and then it is given up. Well inside the service manager's 30 s.
pub const LINE_STOP_MAX: Duration = Duration::from_secs(5);

/// For how long a line may be lent to a job at once. Polls pause meanwhile, and a tool that somebody forgot on a line must
/// not cost a day's readings; a search of a long bus by secondary addresses takes an hour or two.
pub const LINE_LENT_MAX: Duration = Duration::from_secs(4 * 3600);

/// Speeds that one search for meters goes through; M-Bus knows eight.
pub const SCAN_BAUDS_MAX: usize = 16;

/// Steps of a search that wait to be told. More are not told: what counts is in its report.
pub const SCAN_STEPS_MAX: usize = 64;

/// Between two events about one register that goes back. A register that trembles by a litre at every poll must not fill the
/// events' lane; the next event tells the whole way since the last one.
pub const REGISTER_EVENT_EVERY: Duration = Duration::from_secs(3600);

/// Frames of a line that are kept for a slow watcher, a minute of a busy line; the next one overwrites the oldest.
pub const LINE_FRAMES_KEPT: usize = 512;

/// Watchers of one line at once. Each holds a connection to the control socket; one more is refused.
pub const LINE_WATCHERS_MAX: usize = 8;

/// A loop that waits wakes up at least this often to beat its pulse, and a line to look whether the wall clock jumped.
pub const LINE_TURN: Duration = Duration::from_secs(1);

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

/// Drained segments that wait for a flush of the cursor to be removed. A flush waits for the device, and a crash before it
/// repeats what was drained since the last one: some ten thousand records a segment.
pub const DRAINED_SEGMENTS_MAX: usize = 4;

/// Payload bytes in one segment of the outbox before the next one is begun.
pub const SEGMENT_PAYLOAD_BYTES: u64 = 2 * 1024 * 1024;

/// Disk that a segment of a given payload may come to take: sled's own factor (about 2.1, measured) with some room, and
/// its fixed part. Room for one such segment is kept free in the quota, so that sled itself never meets a full disk.
pub const fn segment_disk_bytes_max(payload_bytes: u64) -> u64 {
    payload_bytes * 5 / 2 + 2 * 1024 * 1024
}

/// Segments that thinning makes into one, at most: of quarter-hourly readings an hour keeps a fourth and a day a 24th, so
/// more would seldom fit, and reading them takes the outbox's thread a moment in which nothing is stored.
pub const THIN_SEGMENTS_MAX: usize = 8;

/// Room that a lane must have, in segments at their largest, to be thinned out: one that takes what comes, one that is being
/// made of older ones, and two of which the older can give. With less its oldest segments are dropped.
pub const THIN_ROOM_SEGMENTS: u64 = 4;

/// Payload that a segment may come to when no further one may begin: twice its fill. Beyond three halves of it only outcomes
/// are taken, hundreds of them with the default segment, so that what is told of the trouble leaves them room.
pub const fn overfull_bytes(payload_bytes: u64, is_outcome: bool) -> u64 {
    if is_outcome { 2 * payload_bytes } else { 3 * payload_bytes / 2 }
}

/// Bytes of outcomes that are stored again when the segment they lie in is given up. Less than a segment, or a lane full of
/// outcomes would never give room; a half fits into a segment that has its fill.
pub const fn carried_bytes_max(payload_bytes: u64) -> u64 {
    payload_bytes / 2
}

/// Bytes that are read of a segment's data file. Far above what one may come to take; a length that damage has made up
/// must not fill the memory.
pub const SEGMENT_FILE_BYTES_MAX: u64 = 4 * segment_disk_bytes_max(SEGMENT_PAYLOAD_BYTES);

/// Bytes that a block device is made to write by so many flushes of so many bytes of frames, estimated: two blocks a flush
/// and 6.3 times the frames. Within an eighth of what was measured on ext4 without a journal (plain readings of 124 bytes, 1
/// to 100 a flush); with a journal it was up to 1.7 times as much, see `docs/SIZING.md`. What the flash's own controller
/// writes beyond that nobody can see.
pub const fn flash_bytes(flushes: u64, frame_bytes: u64) -> u64 {
    flushes.saturating_mul(8250).saturating_add(frame_bytes.saturating_mul(63) / 10)
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

/// Bytes of a command as it comes, a JWS. The longest tariff takes some 4 KiB of it; a longer one is refused unread.
pub const COMMAND_BYTES_MAX: usize = 16 * 1024;

/// Bytes of a text in a command that is for people: who wants it, and why. A longer one makes the command malformed.
pub const COMMAND_TEXT_BYTES_MAX: usize = 512;

/// Bytes of a word in a command: an action, a valve's state, a challenge. The longest of ours has 32.
pub const COMMAND_WORD_BYTES_MAX: usize = 64;

/// Steps of a tariff in a command; the meters with a table of their own hold three to eight.
pub const TARIFF_STEPS_MAX: usize = 64;

/// Bytes of a key's id. It stands in every command's header, in the journal and in file names.
pub const KEY_ID_BYTES_MAX: usize = 64;

/// Keys that may command one gateway: people, and the console with its next key during a change. One more is a fault.
pub const COMMAND_KEYS_MAX: usize = 64;

/// Closings a day that a configuration may allow, and as many are remembered: more valves than hang on one gateway.
pub const CLOSINGS_MAX: u32 = 1000;

/// Records that one read of the outbox hands to the uplink, and their bytes. Enough to be made into messages, and then handed
/// over, for some milliseconds while others are read. A drain has at most two reads' worth of messages that wait for their
/// turn, and one that is being made: some 10 MiB in full flow, and next to nothing otherwise.
pub const READ_RECORDS_MAX: usize = 4000;
/// See [`READ_RECORDS_MAX`].
pub const READ_BYTES_MAX: usize = 1024 * 1024;

/// Damaged segments kept for a person to look at. The oldest goes when there is one more.
pub const QUARANTINE_SEGMENTS_MAX: usize = 8;

/// Meters named in one `gap` event; a longer list is spread over several events.
pub const GAP_METERS_MAX: usize = 200;

/// Records set aside as refused by the broker: bytes of their lane. The oldest segment goes when it is full.
pub const REFUSED_LANE_BYTES: u64 = 16 * 1024 * 1024;

/// Boots whose wall time, or the want of one, is kept. Only those matter of which readings wait; at one more the oldest is
/// forgotten, and its readings that still wait go as unsynced.
pub const BOOTS_MAX: usize = 128;

/// Bytes of one of the two slots of the boots' file: a page, which flash writes as one.
pub const BOOTS_SLOT_BYTES: usize = 4096;

/// Readings of so much uptime are given up as unsynced with one flush. Longer, more of them could not be mended when the
/// clock is set a moment later; shorter, a gateway that is never set would flush more often. A multiple of it since boot
/// is where one ends.
pub const UNSYNCED_STRETCH: Duration = Duration::from_secs(15 * 60);

/// The wall clock counts as jumped when it differs by more than this from what it was, counted from boot. A leap second
/// and the steps of a clock that is kept well stay below; what lies above moves a reading visibly.
pub const CLOCK_JUMP: Duration = Duration::from_secs(2);

/// `clock-set` events are at least this far apart, so that a clock that is torn between two sources floods no topic.
/// The later one tells the whole way.
pub const CLOCK_SET_EVERY: Duration = Duration::from_secs(60);

/// How long the clock must have been trusted, without a jump, before it moves the floor: a receiver that is wrong for some
/// minutes must not make the right time look like the past.
pub const CLOCK_SETTLED: Duration = Duration::from_secs(10 * 60);

/// How often the floor is kept: a page of flash each. A box that boots with a clock before it is off by more than that.
pub const CLOCK_FLOOR_EVERY: Duration = Duration::from_secs(3600);

/// How far the floor stays behind the clock, which may rightly be set back a little.
pub const CLOCK_FLOOR_MARGIN: Duration = Duration::from_secs(10 * 60);

/// When the kernel has held a clock before the floor for synchronised all this time, the floor is what is wrong.
pub const CLOCK_DISPUTE_MAX: Duration = Duration::from_secs(24 * 3600);

/// 2026-11-01, since when this program is written: no clock is right that shows an earlier time.
pub const CLOCK_FLOOR_FIRST: jiff::Timestamp = jiff::Timestamp::constant(1_793_491_200, 0);

/// 2080: a floor beyond is no gateway's, but a clock's that was wrong.
pub const CLOCK_FLOOR_LAST: jiff::Timestamp = jiff::Timestamp::constant(3_471_292_800, 0);

/// How long a database that was just closed may keep its lock, and the pause between looks. sled lets go of it from
/// threads of its own, within milliseconds on an idle machine.
pub const STORE_LOCK_WAIT: Duration = Duration::from_secs(10);
/// See [`STORE_LOCK_WAIT`].
pub const STORE_LOCK_PAUSE: Duration = Duration::from_millis(2);

/// The outbox's thread turns at least this often, whether there is work or not, so that its silence means trouble.
pub const OUTBOX_TICK: Duration = Duration::from_secs(1);

/// Records that one lane's drain has handed to the broker's client and not yet acknowledged to the outbox. Enough for
/// full batches of several partitions to be compressed while others are on their way; when it is full the drain waits for
/// reports.
pub const UPLINK_WINDOW_RECORDS: usize = 32_768;

/// Their bytes as JSON. With the client's copy and overhead a lane in full flow stays near twice this, and
/// [`READ_RECORDS_MAX`]'s messages.
pub const UPLINK_WINDOW_BYTES: usize = 16 * 1024 * 1024;

/// Records in the window before the first acknowledgement ever: what the client gathers while it connects. After a failure
/// it is one.
pub const UPLINK_START_RECORDS: usize = 4096;

/// Records handed over before the drain looks at reports, the stop signal and its pulse again: a fraction of a
/// millisecond. So many are also made into messages on the spot; more are worth another thread.
pub const UPLINK_FEED_RECORDS: usize = 64;

/// Refusals one after the other, nothing accepted in between, after which the topic is the suspect and not the records:
/// from then on each further one is set aside only after a back-off, so that a wrongly set-up topic empties no outbox.
pub const REFUSED_IN_A_ROW_MAX: u32 = 32;

/// Something is in flight and nothing was heard of it for this long: the drain asks why and says so.
pub const UPLINK_QUIET: Duration = Duration::from_secs(5);

/// Attempts that failed one after the other, with nothing acknowledged in between, after which the broker's client is made
/// anew. librdkafka 2.12.1 has been seen to reach no broker any more after one that had been frozen for some seconds, while
/// another client of the same process did.
pub const UPLINK_ATTEMPTS_MAX: u32 = 10;

/// How long a drain waits for the reports of what it has given up, before it drops the client that owes them.
pub const UPLINK_ABANDON: Duration = Duration::from_secs(5);

/// Characters of the broker's reason that are kept with a record set aside and in the uplink's condition.
pub const UPLINK_WHY_CHARS_MAX: usize = 300;

/// Connections to the control socket at once; one more waits to be accepted.
pub const CONTROL_CONNECTIONS_MAX: usize = 32;

/// How long a connection to the control socket may take for one request line, or for taking the answer; then it is
/// closed. The command line takes milliseconds, and a client that says nothing must not keep a place from others.
pub const CONTROL_IDLE_MAX: Duration = Duration::from_secs(10);

/// Bytes of one request line on the control socket; a longer one ends the connection. A signed command has to fit in.
pub const CONTROL_REQUEST_BYTES_MAX: usize = COMMAND_BYTES_MAX + 1024;

/// Bytes of one file of the configuration, or of a profile. A meter takes some 80 bytes, so this is some 50,000 meters; a
/// larger file is refused.
pub const CONFIG_FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Files that one configuration may include. One more is refused.
pub const CONFIG_FILES_MAX: usize = 1000;

/// Properties for the broker's client in one configuration; it knows fewer than this. One more is refused.
pub const CONFIG_PROPERTIES_MAX: usize = 200;

/// Faults and warnings of a configuration that are listed; of the rest only the number is told.
pub const CONFIG_NOTICES_MAX: usize = 1000;

const _: () =
    assert!(RECORD_BYTES_MAX / (STORED_VALUE_BYTES_MAX - 128) < 255, "a record's part number is one byte");
const _: () = assert!(METER_ID_BYTES_MAX < 128, "a frame's header must leave room for its payload");
const _: () = assert!(READ_BYTES_MAX > RECORD_BYTES_MAX, "a read returns at least one record");
const _: () = assert!(LINE_WATCHERS_MAX < CONTROL_CONNECTIONS_MAX, "watchers leave room for other requests");
const _: () = assert!(BACK_OFF_MIN.as_secs() < BACK_OFF_MAX.as_secs(), "a back-off has room to grow");
const _: () = assert!(UPLINK_WINDOW_RECORDS >= READ_RECORDS_MAX, "a read of the outbox fits into the window");
const _: () = assert!(UPLINK_FEED_RECORDS < READ_RECORDS_MAX, "reports are looked at within a read");

/// A loop that has not turned for this long is stuck. Loops turn every second; an `fdatasync` on worn flash may take many.
pub const PULSE_AGE_MAX: Duration = Duration::from_secs(60);

/// Time between two looks of the watcher at all loops.
pub const WATCHER_TURN: Duration = Duration::from_secs(1);

/// Looks of the watcher in a row at which a loop had not turned; then it is stuck and the process ends.
pub const WATCHER_LOOKS_MAX: u32 = 60;
const _: () = assert!(
    WATCHER_LOOKS_MAX as u64 * WATCHER_TURN.as_secs() == PULSE_AGE_MAX.as_secs(),
    "both call the same stuck"
);

/// How long the watcher's last words may take to reach the log.
pub const WATCHER_LAST_WORDS_WAIT: Duration = Duration::from_secs(1);

/// How long the command line waits for the daemon's answer: sixteen reads may wait for one line before this one.
pub const CONTROL_ANSWER_MAX: Duration = Duration::from_secs(180);

/// How long a stop waits for the outbox to take the last event and to close, each.
pub const OUTBOX_STOP_WAIT: Duration = Duration::from_secs(5);

/// Ids of commands that are remembered, so that none is carried out twice: a month of commands for a thousand meters, some
/// 500 bytes each. One more is refused until one can be forgotten.
pub const SEEN_MAX: usize = 10_000;

/// Of these, the ones of genuine commands to other gateways. More are counted and not remembered, so that nobody can take
/// the places by repeating what was said to others.
pub const SEEN_OF_OTHERS_MAX: usize = 500;

/// Of these, the ones of commands that one key has signed: a key in wrong hands must not take the places of all others.
pub const SEEN_OF_ONE_KEY_MAX: usize = SEEN_MAX / 2;

/// How long an id is remembered after its command was valid, at least: longer than a topic keeps messages by default, four
/// times over.
pub const SEEN_KEPT: Duration = Duration::from_secs(30 * 24 * 3600);

/// Bytes behind its first line at which a file of the journal of commands is followed by the next: some thousand commands.
pub const JOURNAL_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Older files of the journal that are kept: with the present one and their first lines 300 MiB at most, the audit of tens of thousands of
/// commands. The oldest goes when there is one more.
pub const JOURNAL_FILES_MAX: usize = 32;

/// How long a start of the daemon goes on without a journal of commands that fails for good, before it ends for a fresh one.
pub const CLERK_STUCK_AFTER: Duration = Duration::from_secs(3600);

/// Damaged files of the journal that are kept for a person. The oldest goes when there is one more.
pub const JOURNAL_DAMAGED_MAX: usize = 8;

/// Commands without an end on one gateway; one more is refused as `limit-reached`. Each costs a task and its text.
pub const COMMANDS_OPEN_MAX: usize = 128;

/// Of these, the ones that only read: a riser without power that is to be read must not hold up a valve.
pub const READS_OPEN_MAX: usize = COMMANDS_OPEN_MAX / 2;

/// Requests that may wait for the clerk of commands; whoever has one more waits.
pub const CLERK_ASKED_MAX: usize = 64;

/// How often the clerk looks whether something is due: positions behind commands to be written down, events to be told.
pub const CLERK_TICK: Duration = Duration::from_secs(1);

/// How often positions and counts are written down where messages were refused and nothing else came: a flood without end
/// takes some two months to push the oldest lines out of the journal's files.
pub const TOPICS_JOURNALLED_EVERY: Duration = Duration::from_secs(20);

/// Time between two `commands-refused` events: a flood is told in one line a minute.
pub const REFUSALS_TOLD_EVERY: Duration = Duration::from_secs(60);

/// Time between two tellings of the same command's state because it was handed in again; more are only counted.
pub const REPEATS_TOLD_EVERY: Duration = Duration::from_secs(60);

/// Outcomes that may wait for the outbox. At half of it no further command is taken, and those that are open have three
/// at most.
pub const OUTCOMES_WAITING_MAX: usize = 1024;
const _: () = assert!(OUTCOMES_WAITING_MAX / 2 > 3 * COMMANDS_OPEN_MAX, "open commands can still be told of");

/// Time until an outcome that the outbox did not take is tried again: a full disk is looked at as often.
pub const OUTCOME_RETRY_EVERY: Duration = Duration::from_secs(1);

/// Wait after a first visit that did not reach its meter, doubled up to [`COMMAND_TRY_MAX`]: a valve is waited for by a
/// person, and a line that was down may be up.
pub const COMMAND_TRY_MIN: Duration = Duration::from_secs(2);
/// See [`COMMAND_TRY_MIN`].
pub const COMMAND_TRY_MAX: Duration = Duration::from_secs(30);

/// Time between two looks at a meter after a write: a valve travels for some seconds to a minute, and a look costs its line
/// less than half a second.
pub const COMMAND_LOOK_EVERY: Duration = Duration::from_secs(3);

/// Looks without an answer, in a row and after the time to settle, until nobody looks any more.
pub const COMMAND_LOOKS_WITHOUT_ANSWER: u32 = 5;

/// How long a meter is looked at after an interrupted write whose time to settle cannot be told.
pub const COMMAND_RECOVERY_MAX: Duration = Duration::from_secs(120);

/// How far a meter's clock may be from the gateway's after it was set: many count in minutes.
pub const COMMAND_CLOCK_OFF_MAX: Duration = Duration::from_secs(90);

/// How long a stop waits for the clerk of commands to close its journal.
pub const COMMAND_STOP_MAX: Duration = Duration::from_secs(5);

/// Longest wait of the inbox for a message before it looks whether it is to stop.
pub const INBOX_POLL_MAX: Duration = Duration::from_millis(200);

/// Longest wait of the inbox for an answer of the broker.
pub const INBOX_ASK_MAX: Duration = Duration::from_secs(10);

/// Wait after trouble with the command topic, doubled up to [`INBOX_RETRY_MAX`].
pub const INBOX_RETRY_MIN: Duration = Duration::from_secs(1);
/// See [`INBOX_RETRY_MIN`].
pub const INBOX_RETRY_MAX: Duration = Duration::from_secs(30);

/// Time between two looks at the command topic's partitions.
pub const INBOX_PARTITIONS_EVERY: Duration = Duration::from_secs(60);

/// How far back a command topic is read that was made anew: the longest that a command is valid by default.
pub const INBOX_LOOK_BACK: Duration = Duration::from_secs(24 * 3600);

/// From how long before a journal was begun a topic is read that was never read: a broker's clock may be so far behind. What
/// was issued before the beginning is not carried out all the same.
pub const INBOX_BEGIN_BEFORE: Duration = Duration::from_secs(3600);

/// Time between two `status` events.
pub const STATUS_EVERY: Duration = Duration::from_secs(300);
