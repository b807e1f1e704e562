//! The mirror types that `postcard` writes. Their field order *is* the format of version 1: from the first release on never
//! reorder, insert or remove anything here. A new kind of event goes behind the last; any other new shape is a new version byte beside this
//! one.

mod event;
mod outcome;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use serde::{Deserialize, Serialize};

use super::DecodeError;
use crate::{
    Action, Answer, Clock, CommandState, Content, Function, Identity, Medium, Number, Quantity, Raw, Reason,
    RefusalCause, Status, Unit, Value, Valve,
};

#[derive(Serialize, Deserialize)]
pub(super) enum Record {
    Reading(Reading),
    Event(event::Event),
    Outcome(outcome::Outcome),
}

#[derive(Serialize, Deserialize)]
pub(super) struct Reading {
    line: String,
    meter: String,
    driver: String,
    scheduled_ms: Option<i64>,
    read_ms: i64,
    clock: u8,
    boot: u32,
    uptime_ms: u64,
    manufacturer: Option<String>,
    number: Option<String>,
    version: Option<u8>,
    medium: Option<Word>,
    meter_time: Option<LocalTime>,
    values: Vec<CompactValue>,
    valve: Option<Word>,
    battery_low: Option<bool>,
    alarms: Vec<String>,
    raw: Option<Vec<u8>>,
}

#[derive(Serialize, Deserialize)]
struct CompactValue {
    quantity: Word,
    content: CompactContent,
    unit: Option<Word>,
    function: Word,
    storage: u64,
    tariff: u32,
    subunit: u16,
    rare: Rare,
}

/// What most values do not have, so that having none of it takes one byte and not one for each.
#[derive(Serialize, Deserialize)]
enum Rare {
    Nothing,
    Raw(Vec<u8>),
    Name(String),
    NameAndRaw(String, Vec<u8>),
}

impl From<&Value> for Rare {
    fn from(value: &Value) -> Self {
        match (&value.name, &value.raw) {
            (None, None) => Self::Nothing,
            (None, Some(raw)) => Self::Raw(raw.0.clone()),
            (Some(name), None) => Self::Name(name.clone()),
            (Some(name), Some(raw)) => Self::NameAndRaw(name.clone(), raw.0.clone()),
        }
    }
}

impl Rare {
    fn split(self) -> (Option<String>, Option<Raw>) {
        match self {
            Self::Nothing => (None, None),
            Self::Raw(raw) => (None, Some(Raw(raw))),
            Self::Name(name) => (Some(name), None),
            Self::NameAndRaw(name, raw) => (Some(name), Some(Raw(raw))),
        }
    }
}

#[derive(Serialize, Deserialize)]
enum CompactContent {
    Number(i128, u8),
    Text(String),
    Date(LocalDate),
    DateTime(LocalTime),
    Invalid(String),
    Opaque,
}

/// A word of a vocabulary: its code, or itself.
#[derive(Serialize, Deserialize)]
enum Word {
    Code(u8),
    Text(String),
}

/// Year, month, day, hour, minute, second.
type LocalDate = (i16, i8, i8);
type LocalTime = (i16, i8, i8, i8, i8, i8);

macro_rules! word {
    ($name:ident, $field:literal) => {
        impl From<&$name> for Word {
            fn from(word: &$name) -> Self {
                word.code().map_or_else(|| Self::Text(word.as_str().to_owned()), Self::Code)
            }
        }

        impl TryFrom<Word> for $name {
            type Error = DecodeError;

            fn try_from(word: Word) -> Result<Self, DecodeError> {
                match word {
                    Word::Code(code) => Self::from_code(code).ok_or(DecodeError::OutOfRange($field)),
                    Word::Text(text) => Ok(Self::from(text.as_str())),
                }
            }
        }
    };
}

word!(Quantity, "quantity");
word!(Unit, "unit");
word!(Function, "function");
word!(Medium, "medium");
word!(Valve, "valve");
word!(Action, "action");
word!(CommandState, "state");
word!(Reason, "reason");
word!(RefusalCause, "cause");

impl From<&super::Record> for Record {
    fn from(record: &super::Record) -> Self {
        match record {
            super::Record::Reading(reading) => Self::Reading(reading.into()),
            super::Record::Event(event) => Self::Event(event.into()),
            super::Record::Outcome(outcome) => Self::Outcome(outcome.into()),
        }
    }
}

impl TryFrom<Record> for super::Record {
    type Error = DecodeError;

    fn try_from(record: Record) -> Result<Self, DecodeError> {
        Ok(match record {
            Record::Reading(reading) => Self::Reading(reading.try_into()?),
            Record::Event(event) => Self::Event(event.try_into()?),
            Record::Outcome(outcome) => Self::Outcome(outcome.try_into()?),
        })
    }
}

impl From<&super::Reading> for Reading {
    fn from(reading: &super::Reading) -> Self {
        let Answer { identity, meter_time, values, status, raw } = &reading.answer;
        Self {
            line: reading.line.clone(),
            meter: reading.meter.clone(),
            driver: reading.driver.clone(),
            scheduled_ms: reading.scheduled_at.map(Timestamp::as_millisecond),
            read_ms: reading.read_at.as_millisecond(),
            clock: compact_clock(reading.clock),
            boot: reading.boot,
            uptime_ms: reading.uptime_ms,
            manufacturer: identity.manufacturer.clone(),
            number: identity.number.clone(),
            version: identity.version,
            medium: identity.medium.as_ref().map(Word::from),
            meter_time: meter_time.map(local_time),
            values: values.iter().map(CompactValue::from).collect(),
            valve: status.valve.as_ref().map(Word::from),
            battery_low: status.battery_low,
            alarms: status.alarms.clone(),
            raw: raw.as_ref().map(|raw| raw.0.clone()),
        }
    }
}

impl TryFrom<Reading> for super::Reading {
    type Error = DecodeError;

    fn try_from(reading: Reading) -> Result<Self, DecodeError> {
        Ok(Self {
            line: reading.line,
            meter: reading.meter,
            driver: reading.driver,
            scheduled_at: reading.scheduled_ms.map(timestamp).transpose()?,
            read_at: timestamp(reading.read_ms)?,
            clock: clock(reading.clock)?,
            boot: reading.boot,
            uptime_ms: reading.uptime_ms,
            answer: Answer {
                identity: Identity {
                    manufacturer: reading.manufacturer,
                    number: reading.number,
                    version: reading.version,
                    medium: reading.medium.map(Medium::try_from).transpose()?,
                },
                meter_time: reading.meter_time.map(date_time).transpose()?,
                values: reading.values.into_iter().map(Value::try_from).collect::<Result<_, _>>()?,
                status: Status {
                    valve: reading.valve.map(Valve::try_from).transpose()?,
                    battery_low: reading.battery_low,
                    alarms: reading.alarms,
                },
                raw: reading.raw.map(Raw),
            },
        })
    }
}

impl From<&Value> for CompactValue {
    fn from(value: &Value) -> Self {
        Self {
            quantity: (&value.quantity).into(),
            content: match &value.content {
                Content::Number(number) => {
                    let (digits, places) = compact_number(*number);
                    CompactContent::Number(digits, places)
                }
                Content::Text(text) => CompactContent::Text(text.clone()),
                Content::Date(date) => CompactContent::Date(local_date(*date)),
                Content::DateTime(date) => CompactContent::DateTime(local_time(*date)),
                Content::Invalid(why) => CompactContent::Invalid(why.clone()),
                Content::Opaque => CompactContent::Opaque,
            },
            unit: value.unit.as_ref().map(Word::from),
            function: (&value.function).into(),
            storage: value.storage,
            tariff: value.tariff,
            subunit: value.subunit,
            rare: value.into(),
        }
    }
}

impl TryFrom<CompactValue> for Value {
    type Error = DecodeError;

    fn try_from(value: CompactValue) -> Result<Self, DecodeError> {
        let (name, raw) = value.rare.split();
        Ok(Self {
            quantity: value.quantity.try_into()?,
            name,
            content: match value.content {
                CompactContent::Number(digits, places) => Content::Number(number((digits, places))?),
                CompactContent::Text(text) => Content::Text(text),
                CompactContent::Date(day) => Content::Date(date(day)?),
                CompactContent::DateTime(time) => Content::DateTime(date_time(time)?),
                CompactContent::Invalid(why) => Content::Invalid(why),
                CompactContent::Opaque => Content::Opaque,
            },
            unit: value.unit.map(Unit::try_from).transpose()?,
            function: value.function.try_into()?,
            storage: value.storage,
            tariff: value.tariff,
            subunit: value.subunit,
            raw,
        })
    }
}

fn compact_number(number: Number) -> (i128, u8) {
    // `Number` has 28 places at most.
    (number.digits(), u8::try_from(number.places()).unwrap_or(u8::MAX))
}

fn number((digits, places): (i128, u8)) -> Result<Number, DecodeError> {
    Number::scaled(digits, -i32::from(places)).map_err(|_| DecodeError::OutOfRange("number"))
}

fn compact_clock(clock: Clock) -> u8 {
    match clock {
        Clock::Synced => 0,
        Clock::Mended => 1,
        Clock::Unsynced => 2,
    }
}

fn clock(code: u8) -> Result<Clock, DecodeError> {
    Ok(match code {
        0 => Clock::Synced,
        1 => Clock::Mended,
        2 => Clock::Unsynced,
        _ => return Err(DecodeError::OutOfRange("clock")),
    })
}

fn timestamp(ms: i64) -> Result<Timestamp, DecodeError> {
    Timestamp::from_millisecond(ms).map_err(|_| DecodeError::OutOfRange("time"))
}

fn local_date(date: Date) -> LocalDate {
    (date.year(), date.month(), date.day())
}

fn date((year, month, day): LocalDate) -> Result<Date, DecodeError> {
    Date::new(year, month, day).map_err(|_| DecodeError::OutOfRange("date"))
}

fn local_time(time: DateTime) -> LocalTime {
    (time.year(), time.month(), time.day(), time.hour(), time.minute(), time.second())
}

fn date_time((year, month, day, hour, minute, second): LocalTime) -> Result<DateTime, DecodeError> {
    DateTime::new(year, month, day, hour, minute, second, 0)
        .map_err(|_| DecodeError::OutOfRange("local time"))
}
