//! The data records of a telegram, one after another (EN 13757-3, variable data structure).
//!
//! A record says itself how long it is. One whose length is known costs nobody else anything, whatever is wrong with it;
//! behind one whose length is not, nothing is certain any more, and the rest of the telegram is that record's. Either way
//! it becomes an invalid value with its bytes, with the reason, and with as much of its header as could be read. Only
//! while not even its value information is whole its quantity is `unreadable`.

use weir_wire::{Content, Quantity, Raw, Value};

use crate::{VifText, data, dif, vif};

/// DIF of a byte that fills a telegram up.
const FILLER: u8 = 0x2F;
/// DIF of the manufacturer's own data, which runs to the end of the telegram.
const MANUFACTURER: u8 = 0x0F;
/// The same, and further records follow in the next telegram.
const MORE_FOLLOW: u8 = 0x1F;

/// The records of one telegram.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Records {
    pub(crate) values: Vec<Value>,
    /// The meter has further telegrams.
    pub(crate) more_follow: bool,
    /// Why the last value's record has all the rest of the telegram, if it breaks.
    pub(crate) broken: Option<Broken>,
}

/// Why the length of a record is not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Broken {
    #[error("telegram ends inside a data information block")]
    EndsInDib,
    #[error("DIF {0:02X} is reserved")]
    ReservedDif(u8),
    #[error("telegram ends inside a value information block")]
    EndsInVib,
    #[error("VIF text of {length} characters with {left} bytes left")]
    TextTooLong { length: usize, left: usize },
    #[error("telegram ends {missing} bytes before the data does")]
    DataEnds { missing: usize },
    #[error("LVAR {0:02X} is reserved")]
    ReservedLvar(u8),
}

/// Reads all records.
pub(crate) fn read(bytes: &[u8], text_order: VifText) -> Records {
    let mut records = Records::default();
    let mut rest = bytes;
    while let [first, after @ ..] = rest {
        match *first {
            FILLER => rest = after,
            MANUFACTURER | MORE_FOLLOW => {
                records.more_follow = *first == MORE_FOLLOW;
                if !after.is_empty() {
                    let tail = Value::new(Quantity::ManufacturerSpecific, Content::Opaque);
                    records.values.push(Value { raw: Some(Raw(rest.to_vec())), ..tail });
                }
                break;
            }
            _ => {
                let (value, length) = record(rest, text_order);
                records.values.push(value);
                match length {
                    Ok(length) => rest = rest.get(length..).unwrap_or_default(),
                    Err(broken) => {
                        records.broken = Some(broken);
                        break;
                    }
                }
            }
        }
    }
    records
}

/// Reads the record at the start of `bytes`, as far as it goes; with it comes how many bytes it takes, or why it has them
/// all.
fn record(bytes: &[u8], text_order: VifText) -> (Value, Result<usize, Broken>) {
    let mut value = Value::new(Quantity::Unreadable, Content::Opaque);
    let length = fill(&mut value, bytes, text_order);
    if let Err(broken) = &length {
        value.content = Content::Invalid(broken.to_string());
    }
    let own = length.as_ref().map_or(bytes, |length| bytes.get(..*length).unwrap_or_default());
    value.raw = Some(Raw(own.to_vec()));
    (value, length)
}

/// Puts into `value` what the record says, until it breaks.
fn fill(value: &mut Value, bytes: &[u8], text_order: VifText) -> Result<usize, Broken> {
    let after = |length: usize| bytes.get(length..).unwrap_or_default();
    let (dib, dib_length) = dif::split(bytes);
    value.function = dib.function;
    value.storage = dib.storage;
    value.tariff = dib.tariff;
    value.subunit = dib.subunit;
    let mut length = dib_length?;
    let (vib, vib_length) = vif::split(after(length), text_order)?;
    length += vib_length;
    let meaning = vib.meaning();
    value.quantity = meaning.quantity.clone();
    value.unit = meaning.unit.clone();
    let (datum, data_length) = data::split(dib.coding, after(length))?;
    value.content =
        if dib.overlong { Content::Invalid("more than 10 DIFE".into()) } else { meaning.content(&datum) };
    if matches!(value.content, Content::Text(ref text) if !is_numeric(text)) {
        value.unit = None;
    }
    Ok(length + data_length)
}

/// Whether a text is a number of more digits than a number holds: such a one keeps its unit.
fn is_numeric(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit() || b"-.e".contains(&byte))
}

#[cfg(test)]
mod tests;
