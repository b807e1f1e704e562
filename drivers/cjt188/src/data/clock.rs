//! The meter's clock: `ss mm hh DD MM YY CC` in BCD, lowest byte first unless the profile says otherwise.
//!
//! Meters without a clock send zeros. A date that cannot be, or lies in another century, is a clock that was never set
//! or one whose bytes come in the other order: it is not guessed at.

use jiff::civil::DateTime;

use crate::ByteOrder;
use crate::bcd::{bcd, to_bcd};

/// What the clock's bytes say.
pub(crate) enum Clock {
    Tells(DateTime),
    None,
    Wrong(String),
}

pub(crate) fn clock(bytes: &[u8], order: ByteOrder) -> Clock {
    if bytes.iter().all(|byte| *byte == 0) {
        return Clock::None;
    }
    let mut fields: Vec<Option<i8>> = bytes.iter().map(|byte| two_digits(*byte)).collect();
    if order == ByteOrder::HighFirst {
        fields.reverse();
    }
    let [Some(second), Some(minute), Some(hour), Some(day), Some(month), Some(year), Some(century)] =
        fields[..]
    else {
        return Clock::Wrong("clock has something else than decimal digits".into());
    };
    let year = i16::from(century) * 100 + i16::from(year);
    // The oldest edition known here is of 2004, but a clock may start at 2000.
    if !(2000..2100).contains(&year) {
        return Clock::Wrong(format!("clock is in the year {year:04}"));
    }
    match DateTime::new(year, month, day, hour, minute, second, 0) {
        Ok(time) => Clock::Tells(time),
        Err(error) => Clock::Wrong(format!("clock shows no possible time: {error}")),
    }
}

/// The bytes of a time, if the protocol can say it: whole seconds of this century.
pub(crate) fn to_wire(time: DateTime, order: ByteOrder) -> Option<[u8; 7]> {
    if !(2000..2100).contains(&time.year()) || time.subsec_nanosecond() != 0 {
        return None;
    }
    let pair = |number: i16| -> Option<u8> {
        let [byte] = to_bcd(u64::try_from(number).ok()?, ByteOrder::LowFirst)?;
        Some(byte)
    };
    let mut bytes = [
        pair(time.second().into())?,
        pair(time.minute().into())?,
        pair(time.hour().into())?,
        pair(time.day().into())?,
        pair(time.month().into())?,
        pair(time.year() % 100)?,
        pair(time.year() / 100)?,
    ];
    if order == ByteOrder::HighFirst {
        bytes.reverse();
    }
    Some(bytes)
}

fn two_digits(byte: u8) -> Option<i8> {
    i8::try_from(bcd(&[byte], ByteOrder::LowFirst)?).ok()
}
