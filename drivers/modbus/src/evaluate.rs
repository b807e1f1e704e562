//! From registers to the meter's answer: what the profile says about the image that the requests brought.
//!
//! A value that cannot be read (marked invalid, unknown code) is reported as invalid with its bytes; the others stand.
//! What the image does not hold is left out, so that a single telegram of several can be looked at.

use jiff::civil::DateTime;
use weir_wire::{Answer, Content, Identity, Number, NumberError, Raw, Status, Unit, Value, Valve};

use crate::frame::FunctionCode;
use crate::plan::Block;
use crate::profile::{Amount, Clock, ClockPart, Profile, Scale, State, StatusMap, UnitMap, ValueMap, Words};
use crate::types::Field;

/// Registers by function and address, as they came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Image(Vec<(Block, Vec<u8>)>);

impl Image {
    /// Adds what a request brought.
    pub(crate) fn add(&mut self, function: FunctionCode, start: u16, data: Vec<u8>) {
        let count = u16::try_from(data.len() / 2).unwrap_or(u16::MAX);
        self.0.push((Block { function, start, count }, data));
    }

    /// The bytes of a field in wire order; the latest where a register came twice.
    fn of(&self, field: &Field) -> Option<&[u8]> {
        self.registers(field.block())
    }

    /// The bytes of whole registers in wire order.
    pub(crate) fn registers(&self, wanted: Block) -> Option<&[u8]> {
        self.0.iter().rev().find_map(|(block, data)| {
            let inside = block.function == wanted.function && wanted.end() <= block.end();
            let first = usize::from(wanted.start.checked_sub(block.start)?) * 2;
            inside.then(|| data.get(first..first + usize::from(wanted.count) * 2))?
        })
    }
}

/// When a value carries its own bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeepRaw {
    /// Where they could not be interpreted.
    Uninterpreted,
    /// Always.
    All,
}

/// The meter's answer.
pub(crate) fn answer(profile: &Profile, image: &Image, keep: KeepRaw) -> Answer {
    let number = number(profile, image);
    Answer {
        identity: Identity {
            manufacturer: profile.manufacturer.clone(),
            number,
            version: None,
            medium: profile.medium.clone(),
        },
        meter_time: profile.clock.as_ref().and_then(|clock| time(clock, image.of(&clock.field)?)),
        values: profile.values.iter().filter_map(|map| value(map, image, keep)).collect(),
        status: status(&profile.status, image),
        raw: None,
    }
}

/// The meter's own number.
pub(crate) fn number(profile: &Profile, image: &Image) -> Option<String> {
    profile.number.as_ref().and_then(|field| field.identification(image.of(field)?))
}

fn value(map: &ValueMap, image: &Image, keep: KeepRaw) -> Option<Value> {
    let mut raw = image.of(&map.amount.field)?.to_vec();
    let mut content = scaled(&map.amount, image)?;
    if let Some(plus) = &map.plus {
        raw.extend(image.of(&plus.field)?);
        content = sum(content, scaled(plus, image)?);
    }
    let unit = match unit(&map.unit, image)? {
        Ok(unit) => unit,
        Err(why) => {
            content = Content::Invalid(why);
            None
        }
    };
    let unit = unit.filter(|_| matches!(content, Content::Number(_) | Content::Invalid(_)));
    let uninterpreted = matches!(content, Content::Invalid(_));
    Some(Value {
        function: map.function.clone(),
        storage: map.storage,
        tariff: map.tariff,
        subunit: map.subunit,
        raw: (uninterpreted || keep == KeepRaw::All).then_some(Raw(raw)),
        unit,
        ..Value::new(map.quantity.clone(), content)
    })
}

/// `None` where the image lacks a register.
fn scaled(amount: &Amount, image: &Image) -> Option<Content> {
    let content = amount.field.content(image.of(&amount.field)?);
    let Content::Number(number) = content else { return Some(content) };
    let product = match &amount.scale {
        Scale::One => Ok(number),
        Scale::Fixed(factor) => number.times(*factor),
        Scale::Codes(field, factors) => {
            let code = field.bits(image.of(field)?);
            match code.and_then(|code| factors.get(&code)) {
                Some(factor) => number.times(*factor),
                None => return Some(Content::Invalid(unknown_code("scale", code))),
            }
        }
        Scale::PowerOfTen(field) => match power_of_ten(&field.content(image.of(field)?)) {
            Some(factor) => number.times(factor),
            None => return Some(Content::Invalid("the scale register holds no power of ten".into())),
        },
    };
    Some(product.map_or_else(not_held, Content::Number))
}

fn power_of_ten(content: &Content) -> Option<Number> {
    let Content::Number(exponent) = content else { return None };
    let exponent = i32::try_from(exponent.digits()).ok().filter(|_| exponent.places() == 0)?;
    Number::scaled(1, exponent).ok()
}

fn sum(a: Content, b: Content) -> Content {
    match (a, b) {
        (Content::Number(a), Content::Number(b)) => a.plus(b).map_or_else(not_held, Content::Number),
        (Content::Invalid(why), _) | (_, Content::Invalid(why)) => Content::Invalid(why),
        _ => Content::Invalid("the sum of what is not both numbers".into()),
    }
}

fn not_held(why: NumberError) -> Content {
    Content::Invalid(why.to_string())
}

fn unknown_code(what: &str, code: Option<u64>) -> String {
    match code {
        Some(code) => format!("{what} code {code} is not in the profile"),
        None => format!("the {what} register is marked invalid"),
    }
}

fn unit(map: &UnitMap, image: &Image) -> Option<Result<Option<Unit>, String>> {
    Some(match map {
        UnitMap::None => Ok(None),
        UnitMap::Fixed(unit) => Ok(Some(unit.clone())),
        UnitMap::Codes(field, units) => {
            let code = field.bits(image.of(field)?);
            match code.and_then(|code| units.get(&code)) {
                Some(unit) => Ok(Some(unit.clone())),
                None => Err(unknown_code("unit", code)),
            }
        }
    })
}

/// What the status registers say together. A register that is missing or invalid says nothing.
pub(crate) fn status(maps: &[StatusMap], image: &Image) -> Status {
    let mut status = Status::default();
    let mut positions: Vec<&Valve> = Vec::new();
    for map in maps {
        let Some(bits) = image.of(&map.field).and_then(|wire| map.field.bits(wire)) else { continue };
        for state in map.words.states() {
            match state {
                State::BatteryLow => status.battery_low = status.battery_low.or(Some(false)),
                State::Valve(_) => status.valve = Some(Valve::Unknown),
                State::Ok | State::Alarm(_) => {}
            }
        }
        for state in said(&map.words, bits) {
            match state {
                Ok(State::Ok) => {}
                Ok(State::BatteryLow) => status.battery_low = Some(true),
                Ok(State::Valve(valve)) => positions.push(valve),
                Ok(State::Alarm(alarm)) => add_alarm(&mut status, alarm.clone()),
                Err(unknown) => add_alarm(&mut status, unknown),
            }
        }
    }
    if let Some(position) = position(&positions) {
        status.valve = Some(position);
    }
    status
}

fn add_alarm(status: &mut Status, alarm: String) {
    if !status.alarms.contains(&alarm) {
        status.alarms.push(alarm);
    }
}

/// The states that are set; as an error the name of what the profile does not know.
fn said(words: &Words, bits: u64) -> Vec<Result<&State, String>> {
    match words {
        Words::Bits(states) => (0..64)
            .filter(|bit| bits >> bit & 1 == 1)
            .map(|bit| states.get(&bit).ok_or_else(|| format!("bit-{bit}")))
            .collect(),
        Words::Codes(states) => vec![states.get(&bits).ok_or_else(|| format!("code-{bits}"))],
    }
}

/// A fault goes before everything; two different positions at once are none.
fn position(said: &[&Valve]) -> Option<Valve> {
    let first = said.first()?;
    if said.contains(&&Valve::Fault) {
        return Some(Valve::Fault);
    }
    Some(if said.iter().all(|valve| valve == first) { (*first).clone() } else { Valve::Unknown })
}

/// The meter's time; `None` where its digits are no date.
fn time(clock: &Clock, wire: &[u8]) -> Option<DateTime> {
    let sorted = clock.field.sorted(wire);
    let part = |part: ClockPart| -> Option<u16> {
        let bytes = clock.layout.iter().zip(&sorted).filter(|(other, _)| **other == part);
        bytes.map(|(_, byte)| *byte).try_fold(0_u16, |number, byte| {
            if !clock.is_bcd {
                return number.checked_mul(256)?.checked_add(byte.into());
            }
            let (tens, ones) = (byte >> 4, byte & 0x0F);
            let decimal = (tens < 10 && ones < 10).then_some(u16::from(tens) * 10 + u16::from(ones))?;
            number.checked_mul(100)?.checked_add(decimal)
        })
    };
    let small = |of| i8::try_from(part(of)?).ok();
    let year = i16::try_from(part(ClockPart::Year)?).ok()?;
    // Meters that keep two digits of the year are younger than 2000.
    let year = if year < 100 { year + 2000 } else { year };
    let (month, day) = (small(ClockPart::Month)?, small(ClockPart::Day)?);
    let (hour, minute, second) =
        (small(ClockPart::Hour)?, small(ClockPart::Minute)?, small(ClockPart::Second)?);
    DateTime::new(year, month, day, hour, minute, second, 0).ok()
}

#[cfg(test)]
mod tests;
