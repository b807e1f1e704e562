//! A command: an order for one meter on one gateway.
//!
//! On the topic a command is the payload of a JWS in compact form (RFC 7515), signed with Ed25519. This is what is signed;
//! whether it is true is the gateway's to find out.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::{Action, Number, Valve};

/// What somebody wants done, as it was signed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Command {
    /// A UUID, never used for two different commands.
    pub id: String,
    /// The one gateway it is for.
    pub gateway: String,
    /// The meter's id.
    pub meter: String,
    /// What is to be done.
    pub action: Action,
    /// When it was signed. Of two valve commands for a meter the one issued later stands.
    pub issued_at: Timestamp,
    /// After this nothing is begun any more.
    pub not_after: Timestamp,
    /// Who wants it, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_by: Option<String>,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Carried out only when the valve stands so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub if_valve: Option<Valve>,
    /// The nonce of the gateway's latest `status` event: proves freshness to a gateway whose clock is not to be trusted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub challenge: Option<String>,
    /// `tariff.set`: the tariff.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tariff: Option<Tariff>,
}

/// A tariff of rising steps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tariff {
    /// The first day on which it counts.
    pub effective_from: Date,
    /// The steps, lowest first; the first begins at 0.
    pub steps: Vec<TariffStep>,
}

/// One step of a tariff.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TariffStep {
    /// The consumption in cubic metres from which it counts.
    pub from_m3: Number,
    /// The price of a cubic metre, in the utility's currency.
    pub price: Number,
}
