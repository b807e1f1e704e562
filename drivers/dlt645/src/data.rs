//! The data of an answer to exact values.
//!
//! Digits are BCD and stay decimal. A value whose digits cannot be read (meters fill what they have not with FF) is
//! `invalid` with its bytes, and the others stand. An identifier that the profile does not name keeps its bytes.

use weir_meter::{Answer, Fault};
use weir_wire::{Content, Identity, Medium, Number, Quantity, Raw, Value};

use crate::frame::{ERROR, FROM_METER, Frame, MORE, READ, READ_NEXT, WAKE_UP};
use crate::recognise::di_of;
use crate::{Address, Block, Profile, Read};

/// Reads one telegram of a meter: a whole frame, with any number of wake-up bytes in front.
///
/// Every value carries its bytes, and the answer the frame's.
///
/// # Errors
/// [`Fault::Garbled`] when it is no whole and undamaged answer, [`Fault::Refused`] when the meter reports an error.
pub fn decode(telegram: &[u8], profile: &Profile) -> Result<Answer, Fault> {
    let frame = parse(telegram)?;
    let mut answer =
        Answer { identity: identity(&frame.address), raw: Some(raw(telegram)), ..Answer::default() };
    let payload = match frame.control & !(FROM_METER | MORE) {
        READ => frame.data.get(4..),
        // A further frame ends with its number.
        READ_NEXT => frame.data.get(4..frame.data.len().saturating_sub(1)),
        _ => None,
    };
    if let (Some(di), Some(payload)) = (di_of(&frame.data), payload) {
        match profile.read.iter().find(|read| read.di() == di) {
            Some(read) => answer.values = values(read, payload),
            None => answer.values.push(opaque(di, payload)),
        }
    }
    Ok(answer)
}

/// A whole positive answer.
pub(crate) fn parse(telegram: &[u8]) -> Result<Frame, Fault> {
    let frame = Frame::parse(telegram).map_err(|error| Fault::garbled(error.to_string()))?;
    if !frame.is_answer() {
        return Err(Fault::garbled(format!("a request (C={:02X}), not an answer", frame.control)));
    }
    if frame.is_error() { Err(refusal(&frame)) } else { Ok(frame) }
}

/// The telegram without its wake-up bytes.
pub(crate) fn raw(telegram: &[u8]) -> Raw {
    Raw(telegram.iter().copied().skip_while(|byte| *byte == WAKE_UP).collect())
}

fn refusal(frame: &Frame) -> Fault {
    let what = match frame.control & !(FROM_METER | ERROR | MORE) {
        READ | READ_NEXT => "the read".to_owned(),
        0x13 => "the address reading".to_owned(),
        0x1C => "the relay order".to_owned(),
        function => format!("function {function:02X}"),
    };
    match frame.data.as_slice() {
        [error] => Fault::refused(format!("error answer to {what}: {}", error_in_words(*error))),
        data => Fault::refused(format!("error answer to {what} with data [{}]", Raw(data.to_vec()))),
    }
}

/// The error byte of an error answer in words. The bits are those of a public Go driver's `ErrorCode`.
pub fn error_in_words(error: u8) -> String {
    const BITS: [&str; 8] = [
        "other error",
        "no such data",
        "wrong password or not authorised",
        "speed cannot be changed",
        "too many year zones",
        "too many day periods",
        "too many tariffs",
        "reserved bit 7",
    ];
    let set = BITS.iter().enumerate().filter(|(bit, _)| error >> bit & 1 == 1).map(|(_, word)| *word);
    let words: Vec<&str> = set.collect();
    format!("ERR {error:02X}, {}", if words.is_empty() { "no reason".into() } else { words.join(", ") })
}

pub(crate) fn identity(address: &Address) -> Identity {
    Identity {
        manufacturer: None,
        number: Some(address.to_string()),
        version: None,
        medium: Some(Medium::Electricity),
    }
}

/// The values of one identifier.
pub(crate) fn values(read: &Read, payload: &[u8]) -> Vec<Value> {
    let size = usize::from(read.bytes.max(1));
    let fits = match read.block {
        None => payload.len() == size,
        Some(_) => !payload.is_empty() && payload.len().is_multiple_of(size),
    };
    if !fits {
        let why = format!("{} bytes, where a value has {size}", payload.len());
        return vec![value(read, 0, Content::Invalid(why), payload)];
    }
    payload
        .chunks(size)
        .zip(0_u16..)
        .map(|(bytes, index)| value(read, index, number(bytes, read), bytes))
        .collect()
}

fn value(read: &Read, index: u16, content: Content, bytes: &[u8]) -> Value {
    let (tariff, subunit) = match read.block {
        Some(Block::Tariff) => (index.into(), 0),
        Some(Block::Subunit) => (0, index),
        None => (0, 0),
    };
    Value {
        unit: read.unit.clone(),
        storage: read.storage,
        tariff: read.tariff.saturating_add(tariff),
        subunit: read.subunit.saturating_add(subunit),
        raw: Some(Raw(bytes.to_vec())),
        ..Value::new(read.quantity.clone(), content)
    }
}

fn opaque(di: u32, payload: &[u8]) -> Value {
    let quantity = Quantity::Other(format!("di:{di:08X}").into());
    Value { raw: Some(Raw(payload.to_vec())), ..Value::new(quantity, Content::Opaque) }
}

fn number(bytes: &[u8], read: &Read) -> Content {
    let mut bytes = bytes.to_vec();
    // All bits set is a value that the meter has not, and no negative one.
    let is_filled = bytes.iter().all(|byte| *byte == 0xFF);
    let mut is_negative = false;
    if let (true, Some(highest)) = (read.signed && !is_filled, bytes.last_mut()) {
        is_negative = *highest & 0x80 != 0;
        *highest &= 0x7F;
    }
    let digits = bcd(&bytes).map(|digits| if is_negative { -i128::from(digits) } else { digits.into() });
    match digits.and_then(|digits| Number::scaled(digits, -i32::from(read.places)).ok()) {
        Some(number) => Content::Number(number),
        None => Content::Invalid(format!("{} are no decimal digits", Raw(bytes))),
    }
}

/// The number that these BCD bytes spell, lowest first, if each nibble is a digit. At most eight bytes.
pub(crate) fn bcd(bytes: &[u8]) -> Option<u64> {
    bytes.iter().rev().try_fold(0_u64, |number, byte| {
        let (high, low) = (byte >> 4, byte & 0x0F);
        if high > 9 || low > 9 {
            return None;
        }
        number.checked_mul(100)?.checked_add(u64::from(high * 10 + low))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(profile: &str, di: &str, payload: &[u8]) -> Vec<String> {
        let profile = Profile::built_in(profile).unwrap().unwrap();
        let read = profile.read.iter().find(|read| read.di == di).unwrap();
        let line = |value: Value| {
            let content = match value.content {
                Content::Number(number) => number.to_string(),
                Content::Invalid(why) => format!("invalid ({why})"),
                other => format!("{other:?}"),
            };
            format!("{}/{}: {content} {}", value.tariff, value.subunit, value.unit.unwrap())
        };
        values(read, payload).into_iter().map(line).collect()
    }

    #[test]
    fn digits_keep_their_places() {
        assert_eq!(said("standard", "00010000", &[0x56, 0x34, 0x12, 0x00]), ["0/0: 1234.56 kWh"]);
        assert_eq!(said("standard", "00010000", &[0x00; 4]), ["0/0: 0.00 kWh"]);
        assert_eq!(said("standard", "00010000", &[0x99; 4]), ["0/0: 999999.99 kWh"]);
    }

    #[test]
    fn the_highest_bit_is_the_sign_where_the_profile_says_so() {
        assert_eq!(said("electrical", "02030000", &[0x34, 0x12, 0x80]), ["0/0: -0.1234 kW"]);
        assert_eq!(said("electrical", "02030000", &[0x34, 0x12, 0x79]), ["0/0: 79.1234 kW"]);
        let energy = said("standard", "00010000", &[0x00, 0x00, 0x00, 0x80]);
        assert_eq!(energy, ["0/0: 800000.00 kWh"]);
    }

    #[test]
    fn a_block_counts_on_and_a_phase_that_is_not_there_costs_no_other() {
        let phases = said("electrical", "0201FF00", &[0x01, 0x10, 0xFF, 0xFF, 0x05, 0x22]);
        assert_eq!(phases, ["0/1: 100.1 V", "0/2: invalid (FFFF are no decimal digits) V", "0/3: 220.5 V"]);
        let filled = said("electrical", "0202FF00", &[0xFF; 3]);
        assert_eq!(filled, ["0/1: invalid (FFFFFF are no decimal digits) A"]);
        let tariffs = said("tariffs", "0001FF00", &[0x00, 0x03, 0, 0, 0x00, 0x01, 0, 0, 0x00, 0x02, 0, 0]);
        assert_eq!(tariffs, ["0/0: 3.00 kWh", "1/0: 1.00 kWh", "2/0: 2.00 kWh"]);
    }

    #[test]
    fn a_payload_of_another_length_is_no_number() {
        for payload in [&[0x56, 0x34, 0x12][..], &[0x56, 0x34, 0x12, 0x00, 0x00], &[]] {
            let told = said("standard", "00010000", payload);
            assert!(told[0].contains("where a value has 4"), "{told:?}");
        }
        assert!(said("tariffs", "0001FF00", &[0; 5])[0].contains("invalid"));
    }

    #[test]
    fn errors_are_told_in_words() {
        assert_eq!(error_in_words(0x02), "ERR 02, no such data");
        assert_eq!(error_in_words(0x05), "ERR 05, other error, wrong password or not authorised");
        assert_eq!(error_in_words(0x00), "ERR 00, no reason");
    }
}
