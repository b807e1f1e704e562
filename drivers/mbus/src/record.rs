//! The data records of a telegram, one after another (EN 13757-3, variable data structure).
//!
//! A record says itself how long it is, so behind one that cannot be read nothing is certain any more. What came before
//! it stands; the rest becomes one value `unreadable`, with the reason and with its bytes. Only a telegram of which not
//! even the first record can be read is refused.

use weir_meter::Fault;
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
}

/// Why a record cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Broken {
    #[error("telegram ends inside a data information block")]
    EndsInDib,
    #[error("more than 10 DIFE")]
    TooManyDife,
    #[error("DIF {0:02X} is reserved")]
    ReservedDif(u8),
    #[error("telegram ends inside a value information block")]
    EndsInVib,
    #[error("more than 10 VIFE")]
    TooManyVife,
    #[error("VIF text of {length} characters with {left} bytes left")]
    TextTooLong { length: usize, left: usize },
    #[error("telegram ends {missing} bytes before the data does")]
    DataEnds { missing: usize },
    #[error("LVAR {0:02X} is reserved")]
    ReservedLvar(u8),
}

/// Reads all records.
///
/// # Errors
/// [`Fault::Refused`] when there is something and not even its first record can be read.
pub(crate) fn read(bytes: &[u8], text_order: VifText) -> Result<Records, Fault> {
    let mut records = Records::default();
    let mut rest = bytes;
    while let [first, after @ ..] = rest {
        match *first {
            FILLER => rest = after,
            MANUFACTURER | MORE_FOLLOW => {
                records.more_follow = *first == MORE_FOLLOW;
                if !after.is_empty() {
                    records.values.push(opaque(Quantity::ManufacturerSpecific, Content::Opaque, rest));
                }
                break;
            }
            _ => match record(rest, text_order) {
                Ok((value, length)) => {
                    records.values.push(value);
                    rest = rest.get(length..).unwrap_or_default();
                }
                Err(broken) if records.values.is_empty() => {
                    return Err(Fault::refused(format!("first record cannot be read: {broken}")));
                }
                Err(broken) => {
                    let why = Content::Invalid(broken.to_string());
                    records.values.push(opaque(Quantity::Unreadable, why, rest));
                    break;
                }
            },
        }
    }
    Ok(records)
}

fn opaque(quantity: Quantity, content: Content, bytes: &[u8]) -> Value {
    Value { raw: Some(Raw(bytes.to_vec())), ..Value::new(quantity, content) }
}

/// Reads the record at the start of `bytes`; with it comes how many bytes it takes.
fn record(bytes: &[u8], text_order: VifText) -> Result<(Value, usize), Broken> {
    let after = |length: usize| bytes.get(length..).unwrap_or_default();
    let (dib, mut length) = dif::split(bytes)?;
    let (vib, vib_length) = vif::split(after(length), text_order)?;
    length += vib_length;
    let (datum, data_length) = data::split(dib.coding, after(length))?;
    length += data_length;
    let meaning = vib.meaning();
    let content = meaning.content(&datum);
    let value = Value {
        unit: meaning.unit.filter(|_| !matches!(content, Content::Text(ref text) if !is_numeric(text))),
        quantity: meaning.quantity,
        name: None,
        content,
        function: dib.function,
        storage: dib.storage,
        tariff: dib.tariff,
        subunit: dib.subunit,
        raw: bytes.get(..length).map(|bytes| Raw(bytes.to_vec())),
    };
    Ok((value, length))
}

/// Whether a text is a number of more digits than a number holds: such a one keeps its unit.
fn is_numeric(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit() || b"-.e".contains(&byte))
}
