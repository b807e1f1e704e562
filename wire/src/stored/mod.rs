//! The stored form: what lies in the outbox between a poll and its acknowledgement.
//!
//! A record is one version byte and then a `postcard` encoding of [`compact`]'s mirror types. Known words travel as their
//! one-byte codes, numbers as digits and places, times as milliseconds; a plain water reading takes some tens of bytes.
//! Later versions of the program read every version byte they ever wrote.
//!
//! A record has no id and no gateway: both are known to the outbox and are added when it becomes JSON.

mod compact;
mod json;

use jiff::Timestamp;
use serde::Serialize;

use crate::{
    Answer, Clock, EventKind, GapCause, GapOfMeter, Number, Quantity, SCHEMA_EVENT, SCHEMA_READING, Unit,
};

/// The version byte this program writes.
const VERSION: u8 = 1;

/// What the outbox keeps.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// What one meter answered to one poll.
    Reading(Reading),
    /// What the gateway has to say.
    Event(Event),
}

/// A reading before it has an id.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// The line's name.
    pub line: String,
    /// The meter's id.
    pub meter: String,
    /// The driver's name.
    pub driver: String,
    /// When the poll was due; `None` for a read that somebody asked for. Kept to the millisecond, as all times here.
    pub scheduled_at: Option<Timestamp>,
    /// When the answer was complete, by the gateway's clock.
    pub read_at: Timestamp,
    /// How far that clock could be trusted.
    pub clock: Clock,
    /// The gateway's boot.
    pub boot: u32,
    /// Milliseconds since that boot.
    pub uptime_ms: u64,
    /// The meter's part.
    pub answer: Answer,
}

/// An event before it has an id.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// When it happened, by the gateway's clock.
    pub at: Timestamp,
    /// How far that clock could be trusted.
    pub clock: Clock,
    /// The gateway's boot.
    pub boot: u32,
    /// Milliseconds since that boot.
    pub uptime_ms: u64,
    /// What happened.
    pub what: What,
}

/// What happened, each kind with what belongs to it.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// The daemon started.
    Started {
        /// The program's version.
        version: String,
        /// The generation before and its last sequences (readings, events); `None` on the first start.
        previous: Option<(u32, [u64; 2])>,
    },
    /// The daemon is stopping in good order.
    Stopping,
    /// A line's port cannot be used.
    LineDown {
        /// The line.
        line: String,
        /// The operating system's reason.
        detail: String,
    },
    /// A line's port can be used again.
    LineUp {
        /// The line.
        line: String,
    },
    /// A meter stopped answering.
    MeterSilent {
        /// The line.
        line: String,
        /// The meter.
        meter: String,
        /// The last fault.
        detail: String,
    },
    /// A silent meter answers again.
    MeterBack {
        /// The line.
        line: String,
        /// The meter.
        meter: String,
    },
    /// Another device answers at a meter's address.
    MeterChanged {
        /// The line.
        line: String,
        /// The meter.
        meter: String,
        /// The serial number seen before.
        was: String,
        /// The serial number seen now.
        now: String,
    },
    /// Readings were dropped or lost.
    Gap {
        /// Why.
        cause: GapCause,
        /// By meter; what cannot be told by meter is only in `lost`.
        meters: Vec<GapOfMeter>,
        /// Ids of the first and the last record that may be missing (damage).
        ids: Option<[String; 2]>,
        /// Records lost in all.
        lost: u64,
    },
    /// A segment of the outbox was damaged and set aside.
    OutboxDamaged {
        /// What was found.
        detail: String,
        /// Records that could be salvaged.
        salvaged: u64,
        /// Records that could not; `None` where nobody can tell how many there were.
        lost: Option<u64>,
    },
    /// The outbox is near or at its quota.
    OutboxPressure {
        /// How full it is and what happens.
        detail: String,
    },
    /// The broker refused a record for good.
    RecordRefused {
        /// Its id.
        record: String,
        /// The meter it was about.
        meter: Option<String>,
        /// The broker's reason.
        detail: String,
    },
    /// The gateway's clock became trustworthy, or jumped.
    ClockSet {
        /// The boot's wall time by the clock as it is now.
        boot_at: Timestamp,
        /// Milliseconds by which it moved since it was last told of; `None` the first time.
        step_ms: Option<i64>,
    },
    /// Somebody uses a line in place of its polls.
    LineLent {
        /// The line.
        line: String,
        /// For what and for how long at most.
        detail: String,
    },
    /// A lent line is polled again.
    LineReturned {
        /// The line.
        line: String,
        /// For what it was lent, for how long it was, and why that ended.
        detail: String,
    },
    /// A meter's register went over its last digit.
    RegisterRolledOver(Register),
    /// A meter's register is lower than it was.
    RegisterWentBack(Register),
}

/// A register of one meter that is lower than it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Register {
    /// The line.
    pub line: String,
    /// The meter.
    pub meter: String,
    /// What the register counts.
    pub quantity: Quantity,
    /// The unit of both values.
    pub unit: Option<Unit>,
    /// Its last value.
    pub was: Number,
    /// Its value now.
    pub now: Number,
}

/// Why stored bytes are not a record.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Written by a newer program.
    #[error("stored form {0} is not known to this version of the program")]
    UnknownVersion(u8),
    /// No bytes at all.
    #[error("empty record")]
    Empty,
    /// Not the encoding it claims to be.
    #[error("damaged record: {0}")]
    Damaged(#[from] postcard::Error),
    /// A field holds what it cannot hold.
    #[error("damaged record: {0} out of range")]
    OutOfRange(&'static str),
}

impl Record {
    /// The bytes for the outbox.
    pub fn encode(&self) -> Vec<u8> {
        // Writing mirror types of plain fields into a growing vector has no way to fail.
        postcard::to_extend(&compact::Record::from(self), vec![VERSION]).unwrap_or_default()
    }

    /// The record in these bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        match bytes.split_first() {
            None => Err(DecodeError::Empty),
            Some((&VERSION, rest)) => postcard::from_bytes::<compact::Record>(rest)?.try_into(),
            Some((&version, _)) => Err(DecodeError::UnknownVersion(version)),
        }
    }

    /// The meter it is about, if it is about one.
    pub fn meter(&self) -> Option<&str> {
        match self {
            Self::Reading(reading) => Some(&reading.meter),
            Self::Event(event) => match &event.what {
                What::MeterSilent { meter, .. }
                | What::MeterBack { meter, .. }
                | What::MeterChanged { meter, .. }
                | What::RegisterRolledOver(Register { meter, .. })
                | What::RegisterWentBack(Register { meter, .. }) => Some(meter),
                _ => None,
            },
        }
    }

    /// When it was read or happened, by the gateway's clock.
    pub fn at(&self) -> Timestamp {
        match self {
            Self::Reading(reading) => reading.read_at,
            Self::Event(event) => event.at,
        }
    }

    /// The `weir-schema` header.
    pub fn schema(&self) -> &'static str {
        match self {
            Self::Reading(_) => SCHEMA_READING,
            Self::Event(_) => SCHEMA_EVENT,
        }
    }

    /// The JSON of this record under its id.
    pub fn to_json(&self, id: &str, gateway: &str) -> Vec<u8> {
        match self {
            Self::Reading(reading) => json(&reading.clone().named(id, gateway)),
            Self::Event(event) => json(&event.clone().named(id, gateway)),
        }
    }
}

fn json(record: &impl Serialize) -> Vec<u8> {
    // Maps with string keys into a vector: there is no error to have.
    serde_json::to_vec(record).unwrap_or_default()
}

/// A boot as the topics name it.
fn boot_in_hex(boot: u32) -> String {
    format!("{boot:08x}")
}

impl Reading {
    /// The reading with its times worked out from the wall time of its boot. The schedule was followed by the same wrong
    /// clock as the answer was dated by, so the slot moves as far as the answer. A time beyond the calendar leaves it as
    /// it is.
    #[must_use]
    pub fn mended(self, boot_at: Timestamp) -> Self {
        let mended = || {
            let read_at = boot_at.checked_add(std::time::Duration::from_millis(self.uptime_ms)).ok()?;
            let moved = read_at.duration_since(self.read_at);
            let scheduled_at = match self.scheduled_at {
                Some(slot) => Some(slot.checked_add(moved).ok()?),
                None => None,
            };
            Some((read_at, scheduled_at))
        };
        match mended() {
            Some((read_at, scheduled_at)) => Self { read_at, scheduled_at, clock: Clock::Mended, ..self },
            None => self,
        }
    }

    /// The JSON of [`Reading::named`], put behind what is in `json`.
    pub fn write_json(&self, id: &str, gateway: &str, json: &mut Vec<u8>) {
        json::write(self, id, gateway, json);
    }

    /// The reading as the topic carries it.
    pub fn named(self, id: &str, gateway: &str) -> crate::Reading {
        crate::Reading {
            id: id.to_owned(),
            gateway: gateway.to_owned(),
            line: self.line,
            meter: self.meter,
            driver: self.driver,
            identity: self.answer.identity,
            scheduled_at: self.scheduled_at,
            read_at: self.read_at,
            meter_time: self.answer.meter_time,
            clock: self.clock,
            boot: boot_in_hex(self.boot),
            uptime_ms: self.uptime_ms,
            values: self.answer.values,
            status: self.answer.status,
            raw: self.answer.raw,
        }
    }
}

impl Event {
    /// The event as the topic carries it.
    pub fn named(self, id: &str, gateway: &str) -> crate::Event {
        let mut event = crate::Event {
            id: id.to_owned(),
            gateway: gateway.to_owned(),
            at: self.at,
            clock: self.clock,
            boot: boot_in_hex(self.boot),
            uptime_ms: self.uptime_ms,
            event: self.what.kind(),
            line: None,
            meter: None,
            detail: None,
            cause: None,
            meters: Vec::new(),
            ids: None,
            previous_generation: None,
            previous_last: None,
            version: None,
            was: None,
            now: None,
            quantity: None,
            unit: None,
            record: None,
            salvaged: None,
            lost: None,
            boot_at: None,
            step_ms: None,
        };
        match self.what {
            What::Started { version, previous } => {
                event.version = Some(version);
                event.previous_generation = previous.map(|(generation, _)| format!("{generation:08x}"));
                event.previous_last = previous.map(|(_, last)| last);
            }
            What::Stopping => {}
            What::LineDown { line, detail } => (event.line, event.detail) = (Some(line), Some(detail)),
            What::LineUp { line } => event.line = Some(line),
            What::MeterSilent { line, meter, detail } => {
                (event.line, event.meter, event.detail) = (Some(line), Some(meter), Some(detail));
            }
            What::MeterBack { line, meter } => (event.line, event.meter) = (Some(line), Some(meter)),
            What::MeterChanged { line, meter, was, now } => {
                (event.line, event.meter) = (Some(line), Some(meter));
                (event.was, event.now) = (Some(was), Some(now));
            }
            What::Gap { cause, meters, ids, lost } => {
                (event.cause, event.meters, event.ids, event.lost) = (Some(cause), meters, ids, Some(lost));
            }
            What::OutboxDamaged { detail, salvaged, lost } => {
                (event.detail, event.salvaged, event.lost) = (Some(detail), Some(salvaged), lost);
            }
            What::OutboxPressure { detail } => event.detail = Some(detail),
            What::RecordRefused { record, meter, detail } => {
                (event.record, event.meter, event.detail) = (Some(record), meter, Some(detail));
            }
            What::ClockSet { boot_at, step_ms } => (event.boot_at, event.step_ms) = (Some(boot_at), step_ms),
            What::LineLent { line, detail } | What::LineReturned { line, detail } => {
                (event.line, event.detail) = (Some(line), Some(detail));
            }
            What::RegisterRolledOver(register) | What::RegisterWentBack(register) => {
                let Register { line, meter, quantity, unit, was, now } = register;
                (event.line, event.meter) = (Some(line), Some(meter));
                (event.was, event.now) = (Some(was.to_string()), Some(now.to_string()));
                (event.quantity, event.unit) = (Some(quantity), unit);
            }
        }
        event
    }
}

impl What {
    fn kind(&self) -> EventKind {
        match self {
            Self::Started { .. } => EventKind::Started,
            Self::Stopping => EventKind::Stopping,
            Self::LineDown { .. } => EventKind::LineDown,
            Self::LineUp { .. } => EventKind::LineUp,
            Self::MeterSilent { .. } => EventKind::MeterSilent,
            Self::MeterBack { .. } => EventKind::MeterBack,
            Self::MeterChanged { .. } => EventKind::MeterChanged,
            Self::Gap { .. } => EventKind::Gap,
            Self::OutboxDamaged { .. } => EventKind::OutboxDamaged,
            Self::OutboxPressure { .. } => EventKind::OutboxPressure,
            Self::RecordRefused { .. } => EventKind::RecordRefused,
            Self::ClockSet { .. } => EventKind::ClockSet,
            Self::LineLent { .. } => EventKind::LineLent,
            Self::LineReturned { .. } => EventKind::LineReturned,
            Self::RegisterRolledOver(_) => EventKind::RegisterRolledOver,
            Self::RegisterWentBack(_) => EventKind::RegisterWentBack,
        }
    }
}

#[cfg(test)]
mod tests;
