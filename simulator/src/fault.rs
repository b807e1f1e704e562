//! The faults a simulated meter can have, by the names they bear in configuration files.
//!
//! Which byte a fault hits is drawn from the meter's own seeded generator, so the same seed and the same order of
//! requests give the same bytes. What a fault does to an answer is in `bus/spoil.rs`.

use serde::{Deserialize, Serialize};

/// Something wrong with a meter or with the wire to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// Does not answer, and its register stands still.
    Silent,
    /// Answers `slow_ms` late, which should be after the master's answer window.
    Slow,
    /// One to four stray bytes before the answer, or one damaged byte within it.
    Noise,
    /// The answer stops somewhere before its end.
    Truncated,
    /// The checksum or CRC is wrong. On Modbus/TCP, which has none, the transaction identifier is wrong instead.
    WrongChecksum,
    /// The request comes back before the answer, as from a converter that hears itself.
    Echo,
    /// Another meter talks at the same time; where both talk, the wire carries the AND of their bytes.
    Collision,
    /// A faultless answer, but of a meter with another address and serial number.
    WrongAddress,
    /// Hears and obeys, and its answer is lost.
    Mute,
    /// Obeys an order to valve, tariff or clock, and its answer to that is lost; everything else is answered.
    OrdersUnanswered,
    /// As mute from the first order on that it obeyed, and sound before.
    MuteOnceOrdered,
    /// Another meter hangs in its place: the same address, and the serial number one higher. Where the address is the
    /// number (CJ/T 188, DL/T 645) nobody answers to it any more.
    Swapped,
    /// Valve commands are acknowledged, and the valve does not move and says so.
    StuckValve,
    /// Valve commands are acknowledged, the valve does not move, and the status says that it is faulty.
    ValveFault,
    /// The valve once told to move is on its way for as long as this lasts.
    MovingForEver,
    /// The status says that the battery is low.
    LowBattery,
    /// The meter's clock is [`CLOCK_OFF_S`](crate::CLOCK_OFF_S) seconds slow.
    ClockOff,
    /// The register stands at its highest value at the next answer and starts again from zero after it. Happens once
    /// for each time the fault is set.
    RollOver,
}

impl Fault {
    pub(crate) fn is_of_valve(self) -> bool {
        matches!(self, Self::StuckValve | Self::ValveFault | Self::MovingForEver)
    }

    /// Whether this fault can keep a correct master from getting the answer, or make it get another meter's.
    ///
    /// The remaining faults leave a faultless telegram with a sorry content.
    #[must_use]
    pub fn spoils(self) -> bool {
        match self {
            Self::Silent
            | Self::Slow
            | Self::Noise
            | Self::Truncated
            | Self::WrongChecksum
            | Self::Echo
            | Self::Collision
            | Self::WrongAddress
            | Self::Mute
            | Self::OrdersUnanswered
            | Self::MuteOnceOrdered
            | Self::Swapped => true,
            Self::StuckValve
            | Self::ValveFault
            | Self::MovingForEver
            | Self::LowBattery
            | Self::ClockOff
            | Self::RollOver => false,
        }
    }
}

/// A fault and how often it strikes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultRule {
    /// Which fault.
    pub fault: Fault,
    /// The share of requests it strikes, 0.0 to 1.0. Default 1.0: always.
    #[serde(default = "always")]
    pub probability: f64,
}

impl From<Fault> for FaultRule {
    fn from(fault: Fault) -> Self {
        Self { fault, probability: always() }
    }
}

fn always() -> f64 {
    1.0
}
