//! An exact decimal number: the digits a meter showed, with the places it showed them in.
//!
//! `123.450` stays `123.450` through the outbox, the topic and the database. In JSON it is a plain number, written and
//! read through `RawValue`, because `serde_json`'s own number is a binary float and its `arbitrary_precision` switch
//! changes the behaviour of every other crate in the build.

use std::fmt;
use std::str::FromStr;

use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

/// An exact decimal of at most 28 digits.
///
/// Equality is numeric (`1.0 == 1.00`); [`fmt::Display`] keeps the places.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Number(Decimal);

/// Why digits did not become a [`Number`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NumberError {
    /// More digits or places than the type holds. The caller keeps such a number as text.
    #[error("more than 28 digits")]
    TooLong,
    /// Not a number at all: NaN, infinity, or letters.
    #[error("not a number")]
    NotANumber,
}

impl Number {
    /// `digits × 10^exponent`, exactly.
    ///
    /// A negative exponent gives decimal places (`Number::scaled(123_450, -3)` is `123.450`), a positive one appends
    /// zeros.
    pub fn scaled(digits: i128, exponent: i32) -> Result<Self, NumberError> {
        if exponent <= 0 {
            let places = exponent.unsigned_abs();
            return Decimal::try_from_i128_with_scale(digits, places)
                .map(Self)
                .map_err(|_| NumberError::TooLong);
        }
        let factor = 10_i128.checked_pow(exponent.unsigned_abs()).ok_or(NumberError::TooLong)?;
        let digits = digits.checked_mul(factor).ok_or(NumberError::TooLong)?;
        Decimal::try_from_i128_with_scale(digits, 0).map(Self).map_err(|_| NumberError::TooLong)
    }

    /// The shortest decimal that names this single-precision float, for meters that send floats themselves.
    pub fn from_f32(float: f32) -> Result<Self, NumberError> {
        Self::from_shortest(float.is_finite(), &float)
    }

    /// The shortest decimal that names this double-precision float, for meters that send floats themselves.
    pub fn from_f64(float: f64) -> Result<Self, NumberError> {
        Self::from_shortest(float.is_finite(), &float)
    }

    fn from_shortest(finite: bool, float: &dyn fmt::Display) -> Result<Self, NumberError> {
        if !finite {
            return Err(NumberError::NotANumber);
        }
        // Rust's `Display` of a float is the shortest text that reads back as the same float.
        float.to_string().parse()
    }

    /// This number times another, exactly; for a scale that a register profile gives.
    pub fn times(self, factor: Number) -> Result<Self, NumberError> {
        let (a, b) = (self.digits(), factor.digits());
        let places = i32::try_from(self.places() + factor.places()).map_err(|_| NumberError::TooLong)?;
        Self::scaled(a.checked_mul(b).ok_or(NumberError::TooLong)?, -places)
    }

    /// The sum of two numbers, exactly; for meters that keep whole units and fractions apart.
    pub fn plus(self, other: Number) -> Result<Self, NumberError> {
        let places = self.places().max(other.places());
        let widen = |number: Number| {
            10_i128
                .checked_pow(places - number.places())
                .and_then(|factor| number.digits().checked_mul(factor))
        };
        let sum =
            widen(self).zip(widen(other)).and_then(|(a, b)| a.checked_add(b)).ok_or(NumberError::TooLong)?;
        Self::scaled(sum, -i32::try_from(places).map_err(|_| NumberError::TooLong)?)
    }

    /// All digits as one integer; the value is `digits × 10^-places`.
    pub fn digits(&self) -> i128 {
        self.0.mantissa()
    }

    /// Decimal places, 0 to 28.
    pub fn places(&self) -> u32 {
        self.0.scale()
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Number {
    type Err = NumberError;

    /// Reads plain (`-12.50`) and scientific (`1.25e3`) notation; refuses what it cannot hold exactly.
    fn from_str(text: &str) -> Result<Self, NumberError> {
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => {
                (mantissa, exponent.parse::<i32>().map_err(|_| NumberError::TooLong)?)
            }
            None => (text, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = format!("{whole}{fraction}");
        let unsigned = digits.strip_prefix('-').unwrap_or(&digits);
        if whole.trim_start_matches('-').is_empty() || !unsigned.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(NumberError::NotANumber);
        }
        let places = i32::try_from(fraction.len()).map_err(|_| NumberError::TooLong)?;
        let exponent = exponent.checked_sub(places).ok_or(NumberError::TooLong)?;
        Self::scaled(digits.parse().map_err(|_| NumberError::TooLong)?, exponent)
    }
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Borrowed: a number has no quotes to allocate for.
        let digits = self.to_string();
        serde_json::from_str::<&RawValue>(&digits).map_err(serde::ser::Error::custom)?.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        raw.get().parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn trailing_zeros_survive_json() {
        let number = Number::scaled(123_450, -3).unwrap();
        let json = serde_json::to_string(&number).unwrap();
        assert_eq!(json, "123.450");
        assert_eq!(serde_json::from_str::<Number>(&json).unwrap().to_string(), "123.450");
    }

    #[test]
    fn a_float_becomes_its_shortest_decimal() {
        assert_eq!(Number::from_f32(0.545).unwrap().to_string(), "0.545");
        assert_eq!(Number::from_f32(f32::NAN), Err(NumberError::NotANumber));
        assert_eq!(Number::from_f32(f32::MAX), Err(NumberError::TooLong));
    }

    #[test]
    fn what_cannot_be_held_exactly_is_refused() {
        assert_eq!("123456789012345678901234567890".parse::<Number>(), Err(NumberError::TooLong));
        assert_eq!(Number::scaled(1, -29), Err(NumberError::TooLong));
        assert_eq!(Number::scaled(1, 29), Err(NumberError::TooLong));
        for not_a_number in ["", "-", ".5", "1.2.3", "NaN", "--1", "1e", "+1"] {
            assert!(not_a_number.parse::<Number>().is_err(), "{not_a_number:?}");
        }
    }

    proptest! {
        #[test]
        fn any_number_reads_back_as_written(digits in -(1_i128 << 90)..(1_i128 << 90), places in 0_i32..=27) {
            let number = Number::scaled(digits, -places).unwrap();
            let back: Number = number.to_string().parse().unwrap();
            prop_assert_eq!((back.digits(), back.places()), (number.digits(), number.places()));
        }

        #[test]
        fn no_text_panics(text in ".{0,40}") {
            let _ = text.parse::<Number>();
        }

        #[test]
        fn sums_and_products_are_exact(a in -1_000_000_i64..1_000_000, b in -1_000_000_i64..1_000_000, places in 0_i32..6) {
            let (x, y) = (Number::scaled(a.into(), -places).unwrap(), Number::scaled(b.into(), -3).unwrap());
            let wide = |digits: i64, places: i32| i128::from(digits) * 10_i128.pow(6 - places.unsigned_abs());
            prop_assert_eq!(x.plus(y).unwrap(), Number::scaled(wide(a, places) + wide(b, 3), -6).unwrap());
            prop_assert_eq!(x.times(y).unwrap(), Number::scaled(i128::from(a) * i128::from(b), -places - 3).unwrap());
        }
    }
}
