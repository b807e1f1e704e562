//! An outcome: what has become of a command.
//!
//! A command has several, one for each state that it comes through, and exactly one that is final, from the gateway that it
//! is for.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use serde::{Deserialize, Serialize};

use crate::{Action, Clock, CommandState, Reason, TariffStep, Valve};

/// An outcome as it stands in the outcomes topic.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// `<gateway>:<command>:<state>`. Of another command under a known id: `<gateway>:<command>:duplicate`.
    pub id: String,
    /// The command's id.
    pub command: String,
    /// The gateway's id.
    pub gateway: String,
    /// The meter's id, as the command named it.
    pub meter: String,
    /// What was ordered.
    pub action: Action,
    /// What has become of it.
    pub state: CommandState,
    /// Whether the command ends with it. False too of a `duplicate`, since the command of that id has an end of its own, and
    /// of `wrong-gateway`, since that other gateway may have carried it out.
    pub r#final: bool,
    /// When, as the gateway believed at the time.
    pub at: Timestamp,
    /// How far that can be trusted: `synced` or `unsynced`.
    pub clock: Clock,
    /// Why it did not end as ordered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// What the meter showed afterwards, or before where nothing was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed: Option<Observed>,
    /// What happened, in words for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// What a meter shows of what a command is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed {
    /// Where the valve stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valve: Option<Valve>,
    /// The meter's clock, local and without a zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meter_time: Option<DateTime>,
    /// The steps of its tariff.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tariff: Option<Vec<TariffStep>>,
    /// The local day from which that tariff counts, where the meter tells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tariff_from: Option<Date>,
    /// The serial number with which it answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<String>,
}
