//! A reading: what one meter answered to one poll.

use jiff::Timestamp;
use jiff::civil::DateTime;
use serde::{Deserialize, Serialize};

use crate::{Medium, Raw, Value, Valve};

/// The meter's part of a reading: what a driver makes of an answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// Who the meter says it is.
    pub identity: Identity,
    /// The meter's own clock, local and without a zone; absent when it tells none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meter_time: Option<DateTime>,
    /// Every value of the answer, in the meter's order.
    pub values: Vec<Value>,
    /// Valve, battery and alarms.
    pub status: Status,
    /// The answer's bytes, when they are to be kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<Raw>,
}

/// Who a meter says it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The manufacturer's three letters (M-Bus) or code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manufacturer: Option<String>,
    /// The serial number, with its leading zeros.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<String>,
    /// The model's version byte.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u8>,
    /// What the meter measures in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub medium: Option<Medium>,
}

/// What a meter says about itself besides its values.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Where the valve stands; absent when the meter has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valve: Option<Valve>,
    /// Whether the battery is low; absent when the meter does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub battery_low: Option<bool>,
    /// Alarms in kebab case, such as `leak`; a bit no table names is `bit-N`.
    #[serde(default)]
    pub alarms: Vec<String>,
}

/// How far `read_at` can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Clock {
    /// The gateway's clock was synchronised when the meter was read.
    Synced,
    /// The wall time was worked out afterwards from boot and uptime.
    Mended,
    /// The wall time is only what the gateway believed.
    Unsynced,
}

/// A reading as it stands in the readings topic.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// `<gateway>:<generation>:r<sequence>`; unique for ever, and its content never changes.
    pub id: String,
    /// The gateway's id.
    pub gateway: String,
    /// The line's name.
    pub line: String,
    /// The meter's id in the fleet.
    pub meter: String,
    /// The driver that read it.
    pub driver: String,
    /// Who the meter says it is.
    pub identity: Identity,
    /// When the poll was due; absent for a read that somebody asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduled_at: Option<Timestamp>,
    /// When the answer was complete.
    pub read_at: Timestamp,
    /// The meter's own clock, local and without a zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meter_time: Option<DateTime>,
    /// How far `read_at` can be trusted.
    pub clock: Clock,
    /// The gateway's boot the reading belongs to.
    pub boot: String,
    /// Milliseconds from that boot to the answer.
    pub uptime_ms: u64,
    /// Every value of the answer.
    pub values: Vec<Value>,
    /// Valve, battery and alarms.
    pub status: Status,
    /// The answer's bytes, when the line keeps them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<Raw>,
}
