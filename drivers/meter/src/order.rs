//! Orders: what a meter can be told beside its poll, in words that every protocol shares.
//!
//! A driver says beforehand whether its meter can do an order and how long that takes ([`Course`]), puts it on the line,
//! and afterwards looks at what the meter shows. Whether an order may be given at all, and that it is given once, is the
//! command path's business; no poll comes here.

use std::time::Duration;

use jiff::civil::DateTime;
use weir_wire::Tariff;

/// What a meter is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Order {
    /// Move the valve.
    Valve(ValveOrder),
    /// Charge by this tariff.
    Tariff(Tariff),
    /// Set the clock to this, in the meter's local time.
    Clock(DateTime),
}

/// What a valve is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ValveOrder {
    /// Open.
    Open,
    /// Close.
    Close,
}

/// How an order runs its course on one meter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Course {
    /// From the write to the first look at what came of it: a valve has to travel.
    pub travel: Duration,
    /// From the write to when what was ordered must be seen; at least `travel`.
    pub settle: Duration,
    /// What of the order the meter cannot be asked back; `None` when it shows all of it.
    pub unseen: Option<&'static str>,
}

/// Why a meter cannot be told something. Nothing has gone on the line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct Unsupported {
    /// What stands in the way: no valve, no such service, or a wish that the meter's own form cannot hold exactly.
    pub why: String,
}

impl Unsupported {
    /// With this reason.
    pub fn new(why: impl Into<String>) -> Self {
        Self { why: why.into() }
    }
}
