//! Everything wired to one line, without the wire: a frame comes in, replies with their delays go out.
//!
//! Pure but for the state of the meters: no descriptors, no clock, no threads.

mod meter;
mod recognise;
mod spoil;
#[cfg(test)]
mod tests;
mod valve;

use std::time::Duration;

use jiff::civil::DateTime;

use crate::config::LinePlan;
use crate::pacing::Character;
use crate::{Fault, ModbusFraming, Protocol, Said};

pub use meter::CLOCK_OFF_S;
pub(crate) use meter::{Meter, MeterControl, Snapshot};
pub(crate) use recognise::{REQUEST_BYTES_MAX, Recognition, by_length};
pub(crate) use spoil::lay_over;
pub use valve::Obeyed;
pub(crate) use valve::{Position, Valve};

/// What a meter says to a frame, before any fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) bytes: Vec<u8>,
    pub(crate) register: RegisterSaid,
}

/// Whether an answer carries the volume register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RegisterSaid {
    No,
    Anew,
    /// The same answer as last time.
    Again,
}

/// An answer on its way to the wire.
#[derive(Debug)]
pub(crate) struct Reply {
    /// From the end of the request.
    pub(crate) after: Duration,
    pub(crate) bytes: Vec<u8>,
    pub(crate) character: Character,
    /// For the journal, as soon as the last byte is out.
    pub(crate) said: Option<Said>,
    pub(crate) spoilt: Option<Fault>,
    /// The request is echoed before it.
    pub(crate) echoed: bool,
}

#[derive(Debug)]
pub(crate) struct Bus {
    meters: Vec<Meter>,
    protocols: Vec<Protocol>,
    framing: ModbusFraming,
    strict_baud: bool,
}

impl Bus {
    pub(crate) fn new(plan: &LinePlan, seed: u64) -> Self {
        let mut meters: Vec<_> =
            plan.meters.iter().map(|meter| Meter::new(meter, seed, plan.paced, plan.modbus)).collect();
        if let [only] = meters.as_mut_slice() {
            only.set_alone();
        }
        let mut protocols: Vec<_> = meters.iter().map(Meter::protocol).collect();
        protocols.sort_by_key(|protocol| *protocol as u8);
        protocols.dedup();
        Self { meters, protocols, framing: plan.modbus, strict_baud: plan.strict_baud }
    }

    pub(crate) fn meters(&self) -> &[Meter] {
        &self.meters
    }

    /// What the bytes received so far are, tried by each protocol spoken on this line.
    pub(crate) fn recognise(&self, buffer: &[u8]) -> Recognition {
        recognise::among(&self.protocols, self.framing, buffer)
    }

    /// What the meters reply to a whole frame. `baud` is the speed at which it was sent, where that is known.
    pub(crate) fn hear(
        &mut self,
        protocol: Protocol,
        frame: &[u8],
        now: DateTime,
        baud: Option<u32>,
    ) -> Vec<Reply> {
        let strict_baud = self.strict_baud;
        let heard = self.meters.iter_mut().filter(|meter| meter.protocol() == protocol);
        let heard =
            heard.filter(|meter| !strict_baud || baud.is_none_or(|baud| baud == meter.character().baud()));
        heard.filter_map(|meter| meter.hear(frame, now)).collect()
    }
}
