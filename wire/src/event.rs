//! Events: what a gateway has to say about itself, its lines and its meters.
//!
//! One flat object with optional fields, because that is what consumers read most easily. Inside the gateway an event
//! is a [`crate::stored::Event`], an enum in which each kind has exactly the fields it needs.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Clock, Quantity, RefusalCause, Unit};

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventKind {
    /// The daemon started; tells the previous generation and its last sequences.
    Started,
    /// The daemon is stopping in good order.
    Stopping,
    /// A line's port cannot be used.
    LineDown,
    /// A line's port can be used again.
    LineUp,
    /// A meter stopped answering and is being backed off from.
    MeterSilent,
    /// A silent meter answers again.
    MeterBack,
    /// Another meter answers at this address.
    MeterChanged,
    /// Readings were dropped or lost.
    Gap,
    /// A part of the outbox was damaged and set aside.
    OutboxDamaged,
    /// The outbox is near or at its quota.
    OutboxPressure,
    /// A record cannot be delivered, nearly always because the broker refuses it for good; it is kept in the gateway's outbox.
    RecordRefused,
    /// The gateway's clock became trustworthy, or jumped.
    ClockSet,
    /// Somebody uses a line in place of its polls (a vendor's tool, a search for meters); readings are missing meanwhile.
    LineLent,
    /// A lent line is polled again.
    LineReturned,
    /// A meter's register went over its last digit and counts on from zero.
    RegisterRolledOver,
    /// A meter's register is lower than it was, and it is the same meter: it was reset, or tampered with.
    RegisterWentBack,
    /// Messages on the command topic that prove nothing about their sender, counted over some time.
    CommandsRefused,
    /// The record of commands was damaged or is gone.
    JournalLost,
    /// A changed configuration is in force.
    ConfigReloaded,
    /// How the gateway does, told every few minutes.
    Status,
}

/// Why readings are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GapCause {
    /// The outbox was full and its policy dropped them.
    Retention,
    /// Stored data was damaged.
    Damage,
}

/// How many readings of one meter a gap holds, and over which time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GapOfMeter {
    /// The meter's id.
    pub meter: String,
    /// Readings lost.
    pub count: u64,
    /// The earliest of them.
    pub from: Timestamp,
    /// The latest of them.
    pub to: Timestamp,
}

/// How many messages were refused for one cause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedCount {
    /// The cause.
    pub cause: RefusalCause,
    /// Messages since the last event of the kind.
    pub count: u64,
}

/// Records that wait in the outbox, by lane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// Outcomes and events.
    pub urgent: u64,
    /// Readings.
    pub readings: u64,
}

/// How a line does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineStatus {
    /// The line's name.
    pub line: String,
    /// Whether its port can be used.
    pub up: bool,
    /// The share of the time in which it was busy, in percent, 0 to 100.
    pub load: u8,
}

/// An event as it stands in the events topic.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// `<gateway>:<generation>:u<sequence>`.
    pub id: String,
    /// The gateway's id.
    pub gateway: String,
    /// When it happened, as the gateway believed at the time.
    pub at: Timestamp,
    /// How far that can be trusted: `synced` or `unsynced`, and never `mended`, since an event does not wait for the clock.
    pub clock: Clock,
    /// The gateway's boot in which it happened. The `clock-set` event of the same boot tells that boot's wall time.
    pub boot: String,
    /// Milliseconds since that boot.
    pub uptime_ms: u64,
    /// What happened.
    pub event: EventKind,
    /// The line it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<String>,
    /// The meter it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meter: Option<String>,
    /// Why, in words for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// `gap`: why readings are missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<GapCause>,
    /// `gap`: what is missing, by meter. A long list is spread over several events.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub meters: Vec<GapOfMeter>,
    /// `gap`: ids of the first and the last record that are missing, or may be. Others between them may be there: after
    /// damage, and where an outbox was thinned out. The same gap told twice has the same ids. Of lane `u` some may be outcomes,
    /// which have other ids in their topic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ids: Option<[String; 2]>,
    /// `started`: the generation before this one, in hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_generation: Option<String>,
    /// `started`: the last sequence of readings, and of events and outcomes together, that the previous generation gave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_last: Option<[u64; 2]>,
    /// `started`, `status`: the program's version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// `meter-changed`: the serial number seen before. `register-rolled-over`, `register-went-back`: the register's last
    /// value, all its digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub was: Option<String>,
    /// `meter-changed`: the serial number seen now. `register-rolled-over`, `register-went-back`: the register's value now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub now: Option<String>,
    /// `register-rolled-over`, `register-went-back`: what the register counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantity: Option<Quantity>,
    /// `register-rolled-over`, `register-went-back`: the unit of `was` and `now`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<Unit>,
    /// `record-refused`: the id of the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<String>,
    /// `outbox-damaged`: records salvaged from the damaged part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub salvaged: Option<u64>,
    /// `outbox-damaged`, `gap`, `journal-lost`: records lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost: Option<u64>,
    /// `clock-set`: the wall time of the boot by the clock as it is now. A record's `uptime_ms` added to it is when the meter
    /// was read or the thing happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_at: Option<Timestamp>,
    /// `clock-set`: by how much it moved since it was last told of, in milliseconds; absent the first time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step_ms: Option<i64>,
    /// `commands-refused`: how many messages, by cause.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<RefusedCount>,
    /// `commands-refused`: the key that the last of them named, as it came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_kid: Option<String>,
    /// `status`: the nonce that a command may echo to prove that it is fresh.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub challenge: Option<String>,
    /// `status`: records that wait in the outbox.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<Waiting>,
    /// `status`: when the oldest of them was read or happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_waiting_at: Option<Timestamp>,
    /// `status`: bytes that the outbox takes on disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_bytes: Option<u64>,
    /// `status`: the lines.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<LineStatus>,
}
