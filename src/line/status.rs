//! What a line has to tell about itself and its meters, in figures.
//!
//! A snapshot is plain data that travels over the control socket; counts are since this start of the daemon.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use weir_meter::{Answer, Fault};
use weir_wire::{Content, Function, Number, Quantity, Unit, Value};

use super::health::MeterState;

/// A line in figures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LineStatus {
    /// Its name.
    pub name: String,
    /// Its device or address.
    pub port: String,
    /// Whether its port is open.
    pub up: bool,
    /// Why it is not; absent while it is up or has not been tried.
    pub down_reason: Option<String>,
    /// Why its polls pause although it is up: what the outbox says to its readings.
    pub paused_reason: Option<String>,
    /// Why its polls pause although it is up: what it is lent for.
    #[serde(default)]
    pub lent_to: Option<String>,
    /// Readings that were made and could not be kept, because the outbox refused them until the line had to stop, or
    /// for good.
    pub readings_lost: u64,
    /// Milliseconds since the line was started.
    pub running_ms: u64,
    /// Milliseconds of them in which a poll was under way.
    pub busy_ms: u64,
    /// Milliseconds that all bytes took on the wire, in both directions; the rest of the busy time is waiting.
    pub wire_ms: u64,
    /// Its meters, as configured.
    pub meters: Vec<MeterStatus>,
}

impl LineStatus {
    /// The share of its time in which the line was busy, 0 to 1.
    pub fn busy_share(&self) -> f64 {
        Duration::from_millis(self.busy_ms).as_secs_f64()
            / Duration::from_millis(self.running_ms.max(1)).as_secs_f64()
    }
}

/// A meter in figures.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MeterStatus {
    /// Its id.
    pub id: String,
    /// How it is.
    pub state: MeterState,
    /// Its last reading.
    pub last_reading: Option<LastReading>,
    /// Its last fault; an answer does not erase it.
    pub last_fault: Option<LastFault>,
    /// When it is polled next.
    pub next_due: Option<Timestamp>,
    /// Polls and how they ended.
    pub counters: Counters,
}

/// The gist of a reading.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LastReading {
    /// When it was read.
    pub read_at: Timestamp,
    /// The meter's current volume, or else the energy that it has counted, if it tells one.
    pub volume: Option<Number>,
    /// Its unit.
    pub unit: Option<Unit>,
}

impl LastReading {
    /// The gist of an answer.
    pub(super) fn of(answer: &Answer, read_at: Timestamp) -> Self {
        let number = |value: &Value| match value.content {
            Content::Number(number) => Some((number, value.unit.clone())),
            _ => None,
        };
        let current = |quantity: Quantity| {
            let mut of_it = answer.values.iter().filter(|value| {
                let is_total = (value.storage, value.tariff, value.subunit) == (0, 0, 0);
                is_total && value.quantity == quantity && value.function == Function::Instantaneous
            });
            of_it.find_map(number)
        };
        // Electricity meters have no volume.
        let register = current(Quantity::Volume).or_else(|| current(Quantity::ForwardEnergy));
        let (volume, unit) = register.unzip();
        Self { read_at, volume, unit: unit.flatten() }
    }
}

/// A fault that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastFault {
    /// When.
    pub at: Timestamp,
    /// `silent`, `garbled`, `refused` or `line-down`.
    pub fault: String,
    /// All of it, for a person.
    pub detail: String,
}

impl LastFault {
    /// This fault, at this time.
    pub(super) fn of(fault: &Fault, at: Timestamp) -> Self {
        Self { at, fault: fault.name().to_owned(), detail: fault.to_string() }
    }
}

/// A meter's polls and how they ended. A poll that the line's going down cut short is in `polls` alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Polls begun, also the ones that were asked for.
    pub polls: u64,
    /// Polls that gave a reading.
    pub answered: u64,
    /// Polls that met silence.
    pub silent: u64,
    /// Polls that were garbled.
    pub garbled: u64,
    /// Polls that were refused, by the meter or because the wrong meter answered.
    pub refused: u64,
    /// Requests that were repeated.
    pub repeats: u64,
    /// Slots that passed without a poll.
    pub missed_slots: u64,
}

impl Counters {
    /// Counts how a poll ended.
    pub(super) fn count(&mut self, fault: &Fault) {
        match fault {
            Fault::Silent { .. } => self.silent += 1,
            Fault::Garbled { .. } => self.garbled += 1,
            Fault::Refused { .. } => self.refused += 1,
            Fault::LineDown { .. } => {}
        }
    }
}
