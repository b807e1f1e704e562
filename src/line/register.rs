//! A meter's register that is lower than it was: gone over its last digit, or set back. Either would look like consumption to
//! whoever subtracts two readings, so either is told as an event with both values.
//!
//! Watched are the meter's present totals of volume and of energy (instantaneous, storage, tariff and subunit 0; where a
//! quantity comes twice, the first). Another meter at the address is `meter-changed` and begins anew: its lower register says
//! nothing. Of a meter that tells no serial number (most Modbus meters) an exchange looks like a register that was set back,
//! and is told as that.
//!
//! **A roll-over is claimed only when it is certain enough to be added up**: the register stood just below its top and now
//! stands just above zero. The top is known when the configuration gives the digits (`register_digits`). Otherwise it is
//! guessed of a volume alone, as a power of ten of at least 10,000 m³ (a water meter's register holds at least 9999 m³, OIML
//! R 49-1, indicating range), and "just" is ten times stricter. Everything else went back, also the roll-over of a binary counter.
//!
//! A register that goes back a little again and again (water that flows back, a meter that rounds) must not flood the topic: one
//! event an hour, which then tells the whole way. Kept in memory only: what happened while the daemon was down is not noticed.

use weir_wire::{Answer, Content, Function, Number, Quantity, Unit, Value};

use crate::clock::Moment;
use crate::limits::REGISTER_EVENT_EVERY;

/// How far from the top, and from zero, a roll-over may have been seen: one part in this many of the range. Between two
/// readings no meter runs through a hundredth of its range, unless it was silent for very long.
const NEAR: i128 = 100;
/// The same where the range is a guess.
const NEAR_IF_GUESSED: i128 = 1000;
/// Powers of ten of cubic metres that are guessed as a register's range.
const GUESSED_RANGES: std::ops::RangeInclusive<u32> = 4..=9;

/// What of one meter is watched.
#[derive(Debug, Default)]
pub(super) struct Registers {
    digits: Option<u32>,
    watched: Vec<Watched>,
}

#[derive(Debug)]
struct Watched {
    last: Total,
    /// What it stood at before it went back, when that has not been told.
    untold: Option<Total>,
    told: Option<Moment>,
}

/// A present total.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Total {
    quantity: Quantity,
    unit: Option<Unit>,
    number: Number,
}

/// A register that is lower than it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lower {
    pub(super) quantity: Quantity,
    pub(super) unit: Option<Unit>,
    pub(super) was: Number,
    pub(super) now: Number,
    /// It went over its last digit, and counts on.
    pub(super) rolled_over: bool,
}

impl Registers {
    /// Nothing is known yet. `digits` are those of the register as it is sent, decimals included.
    pub(super) fn new(digits: Option<u32>) -> Self {
        Self { digits, watched: Vec::new() }
    }

    /// Another meter answers: its registers are not compared with those of the one before.
    pub(super) fn forget(&mut self) {
        self.watched.clear();
    }

    /// Looks at an answer of the meter.
    pub(super) fn see(&mut self, answer: &Answer, now: Moment) -> Vec<Lower> {
        let totals = [Quantity::Volume, Quantity::Energy].map(|quantity| total(answer, &quantity));
        let digits = self.digits;
        let mut lower = Vec::new();
        for total in totals.into_iter().flatten() {
            match self.watched.iter_mut().find(|watched| watched.last.quantity == total.quantity) {
                Some(watched) => lower.extend(watched.see(total, digits, now)),
                None => self.watched.push(Watched { last: total, untold: None, told: None }),
            }
        }
        lower
    }
}

impl Watched {
    fn see(&mut self, total: Total, digits: Option<u32>, now: Moment) -> Option<Lower> {
        let last = std::mem::replace(&mut self.last, total);
        // Also where the units cannot be compared: it begins anew.
        let (was, is) = alike(&last, &self.last)?;
        if is.number < was.number && has_rolled_over(&was, &is, digits) {
            self.untold = None;
            return Some(lower(was, is, true));
        }
        if is.number < was.number {
            self.untold.get_or_insert(last);
        }
        let (was, is) = alike(self.untold.as_ref()?, &self.last)?;
        if is.number >= was.number {
            self.untold = None;
            return None;
        }
        if self.told.is_some_and(|told| now.since(told) < REGISTER_EVENT_EVERY) {
            return None;
        }
        (self.untold, self.told) = (None, Some(now));
        Some(lower(was, is, false))
    }
}

fn lower(was: Total, is: Total, rolled_over: bool) -> Lower {
    Lower { quantity: is.quantity, unit: is.unit, was: was.number, now: is.number, rolled_over }
}

/// The present total of this quantity.
fn total(answer: &Answer, quantity: &Quantity) -> Option<Total> {
    let is_it = |value: &&Value| {
        let is_total = (value.storage, value.tariff, value.subunit) == (0, 0, 0);
        is_total && value.quantity == *quantity && value.function == Function::Instantaneous
    };
    answer.values.iter().filter(is_it).find_map(|value| match value.content {
        Content::Number(number) => {
            Some(Total { quantity: quantity.clone(), unit: value.unit.clone(), number })
        }
        _ => None,
    })
}

/// Both in one unit; `None` when that cannot be.
fn alike(was: &Total, is: &Total) -> Option<(Total, Total)> {
    if was.unit == is.unit {
        return Some((was.clone(), is.clone()));
    }
    let (was, is) = (was.in_base()?, is.in_base()?);
    (was.unit == is.unit).then_some((was, is))
}

impl Total {
    /// In cubic metres, watt hours or joules.
    fn in_base(&self) -> Option<Self> {
        let (unit, exponent) = match self.unit.as_ref()? {
            Unit::CubicMetre => (Unit::CubicMetre, 0),
            Unit::Litre => (Unit::CubicMetre, -3),
            Unit::Millilitre => (Unit::CubicMetre, -6),
            Unit::WattHour => (Unit::WattHour, 0),
            Unit::KilowattHour => (Unit::WattHour, 3),
            Unit::MegawattHour => (Unit::WattHour, 6),
            Unit::Joule => (Unit::Joule, 0),
            Unit::Kilojoule => (Unit::Joule, 3),
            Unit::Megajoule => (Unit::Joule, 6),
            Unit::Gigajoule => (Unit::Joule, 9),
            _ => return None,
        };
        let number = self.number.times(Number::scaled(1, exponent).ok()?).ok()?;
        Some(Self { quantity: self.quantity.clone(), unit: Some(unit), number })
    }
}

fn has_rolled_over(was: &Total, is: &Total, digits: Option<u32>) -> bool {
    match digits {
        Some(digits) => {
            let places = i32::try_from(was.number.places()).unwrap_or(i32::MAX);
            let range = 10_i128.checked_pow(digits).and_then(|range| Number::scaled(range, -places).ok());
            range.is_some_and(|range| is_over_the_top(was.number, is.number, range, NEAR))
        }
        None => {
            let (Some(was), Some(is)) = (was.in_base(), is.in_base()) else { return false };
            was.unit == Some(Unit::CubicMetre)
                && GUESSED_RANGES
                    .filter_map(|power| Number::scaled(10_i128.pow(power), 0).ok())
                    .any(|range| is_over_the_top(was.number, is.number, range, NEAR_IF_GUESSED))
        }
    }
}

/// Whether it went from just below `range` to just above zero.
fn is_over_the_top(was: Number, is: Number, range: Number, near: i128) -> bool {
    let parts = |number: Number| Number::scaled(near, 0).and_then(|near| number.times(near)).ok();
    let (Some(was_parts), Some(is_parts)) = (parts(was), parts(is)) else { return false };
    let below = Number::scaled(near - 1, 0).and_then(|most| range.times(most)).ok();
    let zero = Number::scaled(0, 0).ok();
    was < range
        && below.is_some_and(|below| was_parts >= below)
        && is_parts <= range
        && zero.is_some_and(|zero| is >= zero)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn volume(text: &str, unit: Unit) -> Answer {
        let other =
            Value { storage: 1, ..Value::number(Quantity::Volume, "5".parse().unwrap(), unit.clone()) };
        let total = Value::number(Quantity::Volume, text.parse().unwrap(), unit);
        Answer { values: vec![other, total], ..Answer::default() }
    }

    fn at(seconds: u64) -> Moment {
        Moment::from_boot(Duration::from_secs(seconds))
    }

    /// What two readings in m³ come to: `was`, `now`, and whether it rolled over.
    fn told(digits: Option<u32>, was: &str, now: &str) -> Option<(String, String, bool)> {
        let mut registers = Registers::new(digits);
        assert_eq!(registers.see(&volume(was, Unit::CubicMetre), at(0)), []);
        let mut lower = registers.see(&volume(now, Unit::CubicMetre), at(900));
        assert!(lower.len() <= 1);
        lower.pop().map(|lower| (lower.was.to_string(), lower.now.to_string(), lower.rolled_over))
    }

    #[test]
    fn forward_and_still_are_nothing_to_tell() {
        for now in ["123.450", "123.45", "123.451", "99999.999"] {
            assert_eq!(told(None, "123.450", now), None, "{now}");
        }
    }

    #[test]
    fn over_the_top_is_a_roll_over_only_where_the_range_can_be_known() {
        let rolled = |digits, was, now| told(digits, was, now).map(|told| told.2);
        for (was, now) in
            [("99999.998", "0.013"), ("9999.99", "0.00"), ("999999", "3"), ("99990.000", "100.000")]
        {
            assert_eq!(rolled(None, was, now), Some(true), "{was} {now}");
        }
        // No meter's range, not near the top, not near zero.
        for (was, now) in
            [("999.999", "0.001"), ("99800.000", "0.013"), ("99999.998", "120.000"), ("50000.000", "0.000")]
        {
            assert_eq!(rolled(None, was, now), Some(false), "{was} {now}");
        }
        assert_eq!(rolled(Some(6), "999.999", "0.001"), Some(true), "known to have six digits");
        assert_eq!(rolled(Some(8), "99100.000", "900.000"), Some(true));
        assert_eq!(rolled(Some(9), "99999.998", "0.013"), Some(false), "known to hold more");
        assert_eq!(rolled(Some(5), "99999.998", "0.013"), Some(false), "holds more than it is said to");
        assert_eq!(rolled(Some(4000), "99999.998", "0.013"), Some(false));
        assert_eq!(rolled(Some(8), "99999.998", "-0.013"), Some(false));
    }

    #[test]
    fn both_values_are_told_to_the_last_digit() {
        let told = |was, now| told(None, was, now).unwrap();
        assert_eq!(told("123.450", "0.000"), ("123.450".into(), "0.000".into(), false));
        assert_eq!(told("99999.998", "0.013"), ("99999.998".into(), "0.013".into(), true));
    }

    #[test]
    fn another_unit_is_compared_and_another_meter_is_not() {
        let mut registers = Registers::new(None);
        registers.see(&volume("123.450", Unit::CubicMetre), at(0));
        assert_eq!(registers.see(&volume("123451", Unit::Litre), at(1)), []);
        let lower = registers.see(&volume("122.000", Unit::CubicMetre), at(2));
        assert_eq!(
            (lower[0].was.to_string(), lower[0].unit.clone()),
            ("123.451".into(), Some(Unit::CubicMetre))
        );
        registers.forget();
        assert_eq!(registers.see(&volume("1.000", Unit::CubicMetre), at(3)), []);
    }

    #[test]
    fn one_that_trembles_is_told_once_an_hour_and_then_the_whole_way() {
        let mut registers = Registers::new(None);
        let mut see = |text: &str, seconds| {
            let lower = registers.see(&volume(text, Unit::CubicMetre), at(seconds));
            lower.first().map(|lower| (lower.was.to_string(), lower.now.to_string()))
        };
        let pair = |was: &str, now: &str| Some((was.to_owned(), now.to_owned()));
        assert_eq!(see("10.5", 0), None);
        assert_eq!(see("10.4", 900), pair("10.5", "10.4"));
        assert_eq!(see("10.3", 1800), None);
        assert_eq!(see("10.2", 2700), None);
        assert_eq!(see("10.2", 4500), pair("10.4", "10.2"), "an hour later, from where it was last told");
        assert_eq!(see("10.1", 5400), None);
        assert_eq!(see("10.6", 6300), None);
        assert_eq!(see("10.6", 9000), None, "it came back by itself");
    }

    #[test]
    fn energy_is_watched_apart_and_never_guessed_over_the_top() {
        let energy = |text: &str| Answer {
            values: vec![Value::number(Quantity::Energy, text.parse().unwrap(), Unit::KilowattHour)],
            ..Answer::default()
        };
        let mut registers = Registers::new(None);
        registers.see(&energy("99999"), at(0));
        registers.see(&volume("5.0", Unit::CubicMetre), at(1));
        assert!(!registers.see(&energy("1"), at(2))[0].rolled_over);
    }
}
