//! The stored form: what lies in the outbox between a poll and its acknowledgement.
//!
//! A record is one version byte and then a `postcard` encoding of [`compact`]'s mirror types. Known words travel as their
//! one-byte codes, numbers as digits and places, times as milliseconds; a plain water reading takes some tens of bytes.
//! Later versions of the program read every version byte they ever wrote.
//!
//! A record has no id and no gateway: both are known to the outbox and are added when it becomes JSON. (An outcome's id is
//! made of the command and its state.)

mod compact;
mod event;
mod json;
mod outcome;

use jiff::Timestamp;
use serde::Serialize;

pub use event::{Event, Register, What};
pub use outcome::Outcome;

use crate::{Answer, Clock, SCHEMA_EVENT, SCHEMA_OUTCOME, SCHEMA_READING};

/// The version byte this program writes.
const VERSION: u8 = 1;

/// What the outbox keeps.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// What one meter answered to one poll.
    Reading(Reading),
    /// What the gateway has to say.
    Event(Event),
    /// What has become of a command.
    Outcome(Outcome),
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
            Self::Outcome(outcome) => Some(&outcome.meter),
        }
    }

    /// When it was read or happened, by the gateway's clock.
    pub fn at(&self) -> Timestamp {
        match self {
            Self::Reading(reading) => reading.read_at,
            Self::Event(event) => event.at,
            Self::Outcome(outcome) => outcome.at,
        }
    }

    /// The `weir-schema` header.
    pub fn schema(&self) -> &'static str {
        match self {
            Self::Reading(_) => SCHEMA_READING,
            Self::Event(_) => SCHEMA_EVENT,
            Self::Outcome(_) => SCHEMA_OUTCOME,
        }
    }

    /// The record's id, which is the `weir-id` header too. A reading and an event are called as the outbox calls them
    /// (`name`: `<gateway>:<generation>:<lane><sequence>`), an outcome has an id of its own.
    pub fn id(&self, name: String, gateway: &str) -> String {
        match self {
            Self::Reading(_) | Self::Event(_) => name,
            Self::Outcome(outcome) => outcome.id(gateway),
        }
    }

    /// The JSON of this record, which the outbox calls by this name; see [`Record::id`].
    pub fn to_json(&self, name: &str, gateway: &str) -> Vec<u8> {
        match self {
            Self::Reading(reading) => json(&reading.clone().named(name, gateway)),
            Self::Event(event) => json(&event.clone().named(name, gateway)),
            Self::Outcome(outcome) => json(&outcome.clone().named(gateway)),
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

#[cfg(test)]
mod tests;
