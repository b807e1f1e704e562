//! The data of a record (EN 13757-3, data field and LVAR): from bytes to digits or text.

use weir_wire::{Content, Number, NumberError};

use crate::dif::Coding;
use crate::record::Broken;

/// Data as its coding gives it, before the value information says what it means.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Datum<'a> {
    /// There is none, and why.
    Missing(&'static str),
    /// A binary integer, least significant byte first.
    Integer(&'a [u8]),
    /// Packed decimal digits, least significant byte first.
    Bcd {
        bytes: &'a [u8],
        /// Negative by its LVAR. (By an F as its first digit it is found negative on reading.)
        negative: bool,
    },
    /// A 32-bit real.
    Real(f32),
    /// A text.
    Text(String),
    /// Binary data longer than any number.
    Blob,
}

/// Takes the data of this coding off the start of `bytes`; with it comes how many bytes it takes.
pub(crate) fn split(coding: Coding, bytes: &[u8]) -> Result<(Datum<'_>, usize), Broken> {
    let take = |length: usize| {
        bytes.get(..length).ok_or_else(|| Broken::DataEnds { missing: length.saturating_sub(bytes.len()) })
    };
    match coding {
        Coding::None => Ok((Datum::Missing("no data"), 0)),
        Coding::Selection => Ok((Datum::Missing("selected for readout, no data"), 0)),
        Coding::Integer(length) => Ok((Datum::Integer(take(length)?), length)),
        Coding::Bcd(length) => Ok((Datum::Bcd { bytes: take(length)?, negative: false }, length)),
        Coding::Real => {
            let bits = take(4)?.iter().rev().fold(0, |bits: u32, byte| bits << 8 | u32::from(*byte));
            Ok((Datum::Real(f32::from_bits(bits)), 4))
        }
        Coding::Variable => {
            let (lvar, rest) = bytes.split_first().ok_or(Broken::DataEnds { missing: 1 })?;
            let (datum, length) = variable(*lvar, rest)?;
            Ok((datum, 1 + length))
        }
    }
}

/// Data of variable length: the LVAR byte gives kind and length (EN 13757-3, table of LVAR).
fn variable(lvar: u8, rest: &[u8]) -> Result<(Datum<'_>, usize), Broken> {
    let take = |length: usize| {
        rest.get(..length).ok_or_else(|| Broken::DataEnds { missing: length.saturating_sub(rest.len()) })
    };
    let count = |first: u8| usize::from(lvar - first);
    Ok(match lvar {
        0x00..=0xBF => (Datum::Text(text(take(count(0))?)), count(0)),
        0xC0..=0xC9 => (Datum::Bcd { bytes: take(count(0xC0))?, negative: false }, count(0xC0)),
        0xD0..=0xD9 => (Datum::Bcd { bytes: take(count(0xD0))?, negative: true }, count(0xD0)),
        0xE0..=0xE8 => (Datum::Integer(take(count(0xE0))?), count(0xE0)),
        0xE9..=0xEF => take(count(0xE0)).map(|bytes| (Datum::Blob, bytes.len()))?,
        0xF0..=0xF4 => take(4 * count(0xEC)).map(|bytes| (Datum::Blob, bytes.len()))?,
        0xF5 => take(48).map(|bytes| (Datum::Blob, bytes.len()))?,
        0xF6 => take(64).map(|bytes| (Datum::Blob, bytes.len()))?,
        _ => return Err(Broken::ReservedLvar(lvar)),
    })
}

/// A text of ISO 8859-1, which M-Bus transmits last character first. A control character becomes U+FFFD.
pub(crate) fn text(bytes: &[u8]) -> String {
    let character = |byte: &u8| {
        let character = char::from(*byte);
        if character.is_control() { char::REPLACEMENT_CHARACTER } else { character }
    };
    bytes.iter().rev().map(character).collect()
}

/// How the value information wants a number to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sign {
    /// Binary data is a signed integer (type B); its lowest value says "not available".
    Signed,
    /// Binary data is unsigned (types C and D): flags, versions, identifications.
    Unsigned,
}

/// The datum as a number times a power of ten.
pub(crate) fn number(datum: &Datum<'_>, sign: Sign, exponent: i32) -> Content {
    match datum {
        Datum::Missing(why) => Content::Invalid((*why).into()),
        Datum::Text(text) => Content::Text(text.clone()),
        Datum::Blob => Content::Opaque,
        Datum::Real(real) => self::real(*real, exponent),
        Datum::Integer(bytes) => match (sign, integer(bytes, sign)) {
            (_, None) => Content::Invalid("no data".into()),
            (Sign::Signed, Some(value)) if is_lowest(bytes) => {
                Content::Invalid(format!("not available ({value})"))
            }
            (_, Some(value)) => scaled(value, exponent),
        },
        Datum::Bcd { bytes, negative } => match bcd(bytes) {
            Ok(value) => scaled(if *negative { -value } else { value }, exponent),
            Err(why) => Content::Invalid(why),
        },
    }
}

/// The datum as an identification: digits with their leading zeros, or a text as it is.
pub(crate) fn identification(datum: &Datum<'_>) -> Content {
    match datum {
        Datum::Bcd { bytes, negative: false } if !bytes.is_empty() => Content::Text(hex(bytes)),
        Datum::Integer(bytes) => match integer(bytes, Sign::Unsigned) {
            Some(value) => Content::Text(value.to_string()),
            None => Content::Invalid("no data".into()),
        },
        other => number(other, Sign::Unsigned, 0),
    }
}

/// `digits × 10^exponent`, as text where [`Number`] cannot hold it.
fn scaled(digits: i128, exponent: i32) -> Content {
    Number::scaled(digits, exponent)
        .map_or_else(|_| Content::Text(format!("{digits}e{exponent}")), Content::Number)
}

fn real(real: f32, exponent: i32) -> Content {
    // By its places and not by a multiplication, which would append zeros that the float does not have.
    let number = Number::from_f32(real).and_then(|number| {
        let places = i32::try_from(number.places()).map_err(|_| NumberError::TooLong)?;
        Number::scaled(number.digits(), exponent - places)
    });
    match number {
        Ok(number) => Content::Number(number),
        Err(NumberError::NotANumber) => Content::Invalid(format!("{real} is no number")),
        Err(NumberError::TooLong) => {
            let text = format!("{real:e}");
            let (digits, own) = text.split_once('e').unwrap_or((&text, "0"));
            Content::Text(format!("{digits}e{}", own.parse::<i32>().unwrap_or_default() + exponent))
        }
    }
}

/// At most eight bytes, least significant first; `None` of none.
pub(crate) fn integer(bytes: &[u8], sign: Sign) -> Option<i128> {
    let top = *bytes.last()?;
    let fill = if sign == Sign::Signed && top & 0x80 != 0 { -1 } else { 0 };
    Some(bytes.iter().rev().fold(fill, |value: i128, byte| value << 8 | i128::from(*byte)))
}

fn is_lowest(bytes: &[u8]) -> bool {
    bytes.split_last().is_some_and(|(top, rest)| *top == 0x80 && rest.iter().all(|byte| *byte == 0))
}

/// Packed decimal digits (type A): an F in front is the sign, any other digit above nine makes it no number.
pub(crate) fn bcd(bytes: &[u8]) -> Result<i128, String> {
    let shown = hex(bytes);
    if shown.is_empty() {
        return Err("no data".into());
    }
    let (digits, negative) = match shown.strip_prefix('F') {
        Some(digits) => (digits, true),
        None => (shown.as_str(), false),
    };
    match digits.parse::<i128>() {
        Ok(value) => Ok(if negative { -value } else { value }),
        Err(_) => Err(format!("digits {shown} are no number")),
    }
}

/// The digits of packed decimals in reading order.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().rev().map(|byte| format!("{byte:02X}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(coding: Coding, bytes: &[u8], exponent: i32) -> String {
        let (datum, length) = split(coding, bytes).unwrap();
        assert_eq!(length, bytes.len());
        match number(&datum, Sign::Signed, exponent) {
            Content::Number(number) => number.to_string(),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn digits_keep_the_places_their_scale_gives_them() {
        assert_eq!(shown(Coding::Bcd(4), &[0x50, 0x34, 0x12, 0x00], -3), "123.450");
        assert_eq!(shown(Coding::Integer(2), &[0x39, 0x30], 2), "1234500");
        assert_eq!(shown(Coding::Integer(8), &[0xFF; 8], -6), "-0.000001");
        assert_eq!(
            shown(Coding::Integer(8), &[0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F], 0),
            i64::MAX.to_string()
        );
    }

    #[test]
    fn an_f_in_front_is_a_minus_sign_and_nowhere_else() {
        assert_eq!(shown(Coding::Bcd(3), &[0x02, 0x00, 0xF0], -1), "-0.2");
        assert_eq!(shown(Coding::Bcd(6), &[0x99, 0x99, 0x99, 0x99, 0x99, 0xF9], 0), "-99999999999");
        for broken in [[0x02, 0xF0, 0x00], [0xAA, 0x00, 0x00], [0xFF, 0xFF, 0xFF], [0x00, 0x00, 0xE1]] {
            let shown = shown(Coding::Bcd(3), &broken, 0);
            assert!(shown.starts_with("Invalid(\"digits"), "{shown}");
        }
    }

    #[test]
    fn the_lowest_binary_value_says_that_there_is_none() {
        assert_eq!(shown(Coding::Integer(2), &[0x00, 0x80], 0), "Invalid(\"not available (-32768)\")");
        assert_eq!(shown(Coding::Integer(2), &[0x01, 0x80], 0), "-32767");
        assert_eq!(
            number(&Datum::Integer(&[0x00, 0x80]), Sign::Unsigned, 0),
            Content::Number(Number::scaled(32768, 0).unwrap())
        );
    }

    #[test]
    fn a_real_is_its_shortest_decimal_or_says_why_not() {
        assert_eq!(shown(Coding::Real, &0.545_f32.to_le_bytes(), 0), "0.545");
        assert_eq!(shown(Coding::Real, &0.545_f32.to_le_bytes(), 2), "54.5");
        assert_eq!(shown(Coding::Real, &f32::NAN.to_le_bytes(), 0), "Invalid(\"NaN is no number\")");
        assert_eq!(
            shown(Coding::Real, &f32::NEG_INFINITY.to_le_bytes(), 0),
            "Invalid(\"-inf is no number\")"
        );
        assert_eq!(shown(Coding::Real, &1.5e-35_f32.to_le_bytes(), 3), "Text(\"1.5e-32\")");
        assert_eq!(shown(Coding::Real, &1.5e35_f32.to_le_bytes(), 0), "Text(\"1.5e35\")");
    }

    #[test]
    fn what_is_too_long_for_a_number_becomes_text() {
        assert_eq!(scaled(i128::from(u64::MAX), 10), Content::Text("18446744073709551615e10".into()));
    }

    #[test]
    fn every_lvar_has_its_length() {
        let lengths = |lvar: u8| variable(lvar, &[0x31; 255]);
        assert_eq!(lengths(0x00).unwrap(), (Datum::Text(String::new()), 0));
        assert_eq!(lengths(0xBF).unwrap().1, 191);
        assert_eq!(lengths(0xC2).unwrap(), (Datum::Bcd { bytes: &[0x31; 2], negative: false }, 2));
        assert_eq!(lengths(0xD9).unwrap(), (Datum::Bcd { bytes: &[0x31; 9], negative: true }, 9));
        assert_eq!(lengths(0xE3).unwrap(), (Datum::Integer(&[0x31; 3]), 3));
        assert_eq!(lengths(0xEF).unwrap(), (Datum::Blob, 15));
        assert_eq!(lengths(0xF0).unwrap(), (Datum::Blob, 16));
        assert_eq!(lengths(0xF4).unwrap(), (Datum::Blob, 32));
        assert_eq!(lengths(0xF6).unwrap(), (Datum::Blob, 64));
        for reserved in [0xCA, 0xCF, 0xDA, 0xF7, 0xFF] {
            assert_eq!(lengths(reserved), Err(Broken::ReservedLvar(reserved)));
        }
    }

    #[test]
    fn texts_are_read_backwards_in_latin_1() {
        assert_eq!(text(&[0x35, 0x33, 0x32, 0x44, 0x56, 0x52]), "RVD235");
        assert_eq!(text(&[0x0A, 0xE9]), "é\u{FFFD}");
        assert_eq!(shown(Coding::Variable, &[0xD1, 0x25], -1), "-2.5");
    }

    proptest! {
        #[test]
        fn a_signed_integer_of_any_length_reads_as_rust_reads_it(value: i64) {
            prop_assert_eq!(integer(&value.to_le_bytes(), Sign::Signed), Some(value.into()));
            let three = (value << 40) >> 40;
            prop_assert_eq!(integer(&three.to_le_bytes()[..3], Sign::Signed), Some(three.into()));
        }
    }
}
