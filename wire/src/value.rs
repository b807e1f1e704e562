//! One value of a reading: what was measured, the exact number, and where it belongs in the meter.

use std::fmt;

use jiff::civil::{Date, DateTime};
use serde::ser::SerializeStruct;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Function, Number, Quantity, Unit};

/// One value of a meter's answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Value {
    /// What is measured.
    pub quantity: Quantity,
    /// What the utility calls this value, where it has given it a name.
    pub name: Option<String>,
    /// The number, text or date, or why there is none.
    pub content: Content,
    /// The unit of a number; absent for texts, dates and pure numbers.
    pub unit: Option<Unit>,
    /// Over which time the value was formed.
    pub function: Function,
    /// Storage number: 0 is the current value, 1 and up are kept ones (due dates, history). 41 bits at most.
    pub storage: u64,
    /// Tariff register, 0 for the total. 20 bits at most.
    pub tariff: u32,
    /// Subunit of the device, 0 for the meter itself. 10 bits at most.
    pub subunit: u16,
    /// The record's own bytes. Always there for what could not be interpreted.
    pub raw: Option<Raw>,
}

/// What a [`Value`] says.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// An exact number.
    Number(Number),
    /// A text, or a number of more digits than [`Number`] holds.
    Text(String),
    /// A date in the meter's own local time.
    Date(Date),
    /// A date and time in the meter's own local time.
    DateTime(DateTime),
    /// The meter marked the value as invalid, or its digits cannot be read. The rest of the telegram stands.
    Invalid(String),
    /// Bytes with no meaning known here; see [`Value::raw`].
    Opaque,
}

impl Value {
    /// A current number of the meter itself: instantaneous, storage 0, tariff 0, subunit 0.
    pub fn number(quantity: Quantity, number: Number, unit: Unit) -> Self {
        Self { unit: Some(unit), ..Self::new(quantity, Content::Number(number)) }
    }

    /// A current value without a unit.
    pub fn new(quantity: Quantity, content: Content) -> Self {
        Self {
            quantity,
            name: None,
            content,
            unit: None,
            function: Function::Instantaneous,
            storage: 0,
            tariff: 0,
            subunit: 0,
            raw: None,
        }
    }
}

/// The JSON shape of a [`Value`]: exactly one of `value`, `text`, `date`, `invalid`, or only `raw`.
#[derive(Deserialize)]
struct ValueJson {
    quantity: Quantity,
    name: Option<String>,
    value: Option<Number>,
    text: Option<String>,
    date: Option<String>,
    invalid: Option<String>,
    unit: Option<Unit>,
    function: Function,
    storage: u64,
    tariff: u32,
    subunit: u16,
    raw: Option<Raw>,
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { quantity, name, content, unit, function, storage, tariff, subunit, raw } = self;
        let mut json = serializer.serialize_struct("Value", 9)?;
        json.serialize_field("quantity", quantity)?;
        if let Some(name) = name {
            json.serialize_field("name", name)?;
        }
        match content {
            Content::Number(number) => json.serialize_field("value", number)?,
            Content::Text(text) => json.serialize_field("text", text)?,
            Content::Date(date) => json.serialize_field("date", date)?,
            Content::DateTime(date) => json.serialize_field("date", date)?,
            Content::Invalid(why) => json.serialize_field("invalid", why)?,
            Content::Opaque => {}
        }
        if let Some(unit) = unit {
            json.serialize_field("unit", unit)?;
        }
        json.serialize_field("function", function)?;
        json.serialize_field("storage", storage)?;
        json.serialize_field("tariff", tariff)?;
        json.serialize_field("subunit", subunit)?;
        if let Some(raw) = raw {
            json.serialize_field("raw", raw)?;
        }
        json.end()
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        let json = ValueJson::deserialize(deserializer)?;
        let content = match (json.value, json.text, json.date, json.invalid) {
            (Some(number), None, None, None) => Content::Number(number),
            (None, Some(text), None, None) => Content::Text(text),
            (None, None, Some(date), None) => parse_date(&date).map_err(D::Error::custom)?,
            (None, None, None, Some(why)) => Content::Invalid(why),
            (None, None, None, None) => Content::Opaque,
            _ => return Err(D::Error::custom("more than one of value, text, date, invalid")),
        };
        Ok(Self {
            quantity: json.quantity,
            name: json.name,
            content,
            unit: json.unit,
            function: json.function,
            storage: json.storage,
            tariff: json.tariff,
            subunit: json.subunit,
            raw: json.raw,
        })
    }
}

fn parse_date(text: &str) -> Result<Content, jiff::Error> {
    // jiff reads a date out of a date-time as well, so the longer form is recognised by its separator.
    if text.contains('T') { text.parse().map(Content::DateTime) } else { text.parse().map(Content::Date) }
}

/// Raw bytes, written in JSON as upper-case hex.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Raw(pub Vec<u8>);

impl fmt::Display for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02X}"))
    }
}

impl fmt::Debug for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Raw({self})")
    }
}

impl Serialize for Raw {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let hex = String::deserialize(deserializer)?;
        let nibbles: Option<Vec<u8>> = hex
            .chars()
            .map(|digit| digit.to_digit(16).and_then(|nibble| u8::try_from(nibble).ok()))
            .collect();
        let nibbles = nibbles.filter(|nibbles| nibbles.len() % 2 == 0);
        let nibbles = nibbles.ok_or_else(|| serde::de::Error::custom("not an even number of hex digits"))?;
        Ok(Self(
            nibbles
                .chunks_exact(2)
                .map(|pair| pair.iter().fold(0, |byte, nibble| byte << 4 | nibble))
                .collect(),
        ))
    }
}
