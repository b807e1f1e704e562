//! The data of an answer to exact values, clock and status.
//!
//! Digits are BCD and stay decimal. A value whose digits or unit cannot be read is `invalid` with its bytes, and the
//! rest of the frame stands: one register filled with FF must not cost the others. What has no agreed layout is kept
//! as bytes, because a wrong number is worse than none.

use weir_meter::{Answer, Fault};
use weir_wire::{Content, Identity, Medium, Number, Quantity, Raw, Unit, Value};

use self::clock::{Clock, clock};
use crate::bcd::bcd;
use crate::frame::Frame;
use crate::request::name_of;
use crate::status::{in_words, status};
use crate::units::{quantity_of, unit_of};
use crate::{Address, ByteOrder, Profile};

pub(crate) mod clock;

/// Data identifier of the metering data.
pub const DI_METERING: u16 = 0x901F;

/// Reads one telegram of a meter: a whole frame, with any number of wake-up bytes in front.
///
/// Every value carries its bytes, and the answer the frame's.
///
/// # Errors
/// [`Fault::Garbled`] when it is no whole and undamaged answer, [`Fault::Refused`] when the meter reports an error or
/// its answer has no data.
pub fn decode(telegram: &[u8], profile: &Profile) -> Result<Answer, Fault> {
    let frame = Frame::parse(telegram).map_err(|error| Fault::garbled(error.to_string()))?;
    if !frame.is_answer() {
        return Err(Fault::garbled(format!("a request (C={:02X}), not an answer", frame.control)));
    }
    let bytes = telegram.iter().copied().skip_while(|byte| *byte == crate::frame::WAKE_UP).collect();
    let mut answer = if frame.is_error() { Err(refusal(&frame, profile)) } else { values(&frame, profile) }?;
    answer.identity = identity(&frame.address);
    answer.raw = Some(Raw(bytes));
    Ok(answer)
}

/// The data identifier at the start of data, in whichever order its bytes came.
///
/// The pair is unambiguous: of all identifiers only the high byte (81, 90, 91, A0, A1, D1 to D4) has its top bit set.
pub fn di_of(data: &[u8]) -> Option<u16> {
    match data {
        [high, low @ 0x00..=0x7F, ..] | [low, high, ..] => Some(u16::from_be_bytes([*high, *low])),
        _ => None,
    }
}

pub(crate) fn refusal(frame: &Frame<'_>, profile: &Profile) -> Fault {
    let what = name_of(frame.control);
    match frame.data {
        [_, st0, st1] | [st0, st1] => {
            Fault::refused(format!("error answer to {what}: {}", in_words([*st0, *st1], &profile.status)))
        }
        data => Fault::refused(format!("error answer to {what} with data [{}]", Raw(data.to_vec()))),
    }
}

fn identity(address: &Address) -> Identity {
    Identity {
        manufacturer: Some(address.manufacturer()),
        number: Some(address.number()),
        version: None,
        medium: Some(address.medium()),
    }
}

/// What a meter of this type measures in.
pub(crate) fn medium(meter_type: u8) -> Medium {
    match meter_type {
        0x10 => Medium::ColdWater,
        0x11 => Medium::HotWater,
        0x12 => Medium::DrinkingWater,
        0x13 => Medium::ReclaimedWater,
        0x14..=0x19 => Medium::Water,
        0x20 => Medium::Heat,
        // EN 13757-3 knows cooling only with the place of the sensor, which this protocol does not tell.
        0x21 => Medium::from("cooling"),
        0x22 => Medium::HeatCooling,
        0x30 => Medium::Gas,
        0x40 => Medium::Electricity,
        _ => Medium::Unknown,
    }
}

fn values(frame: &Frame<'_>, profile: &Profile) -> Result<Answer, Fault> {
    let Some(di) = di_of(frame.data) else {
        return Err(Fault::refused("the answer has no data identifier"));
    };
    let after_di = frame.data.get(2..).unwrap_or_default();
    let ser_bytes = match (di, after_di.len()) {
        // The metering data tell by their length whether SER is there, whatever the profile expects.
        (DI_METERING, VOLUME_BYTES | SHORT_HEAT_BYTES | HEAT_BYTES) => 0,
        (DI_METERING, length)
            if matches!(length.checked_sub(1), Some(VOLUME_BYTES | SHORT_HEAT_BYTES | HEAT_BYTES)) =>
        {
            1
        }
        _ => profile.ser_bytes(),
    };
    let payload = after_di.get(ser_bytes..).unwrap_or_default();
    // Counted from 1 for the latest.
    let back = u64::from(di & 0x7F) + 1;
    let is_heat = matches!(frame.address.meter_type(), 0x20..=0x22);
    let mut reader = Reader { rest: payload, profile, answer: Answer::default() };
    match (di, payload.len()) {
        (DI_METERING, VOLUME_BYTES) => reader.volume_layout(),
        (DI_METERING, HEAT_BYTES) if is_heat => reader.heat_layout(),
        (DI_METERING, SHORT_HEAT_BYTES) if is_heat => reader.short_heat_layout(),
        (DI_METERING, 0) => return Err(Fault::refused("the answer has no metering data in it")),
        // D120 to D12B: what the meter showed at the last, last but one, … settlement day.
        (0xD120..=0xD12B, 5) => reader.measured(TOTAL, (di - 0xD11F).into()),
        (0xD200..=0xD27F, 5) => reader.measured(TOTAL, back),
        (0xD300..=0xD37F | 0xD400..=0xD47F, FROZEN_BYTES) if !is_heat => reader.frozen(back),
        // Answers to the price table, counter base and valve writes.
        (0xA010 | 0xA016 | 0xA017, 2) => reader.status(),
        (_, 0) => {}
        _ => reader.opaque(di),
    }
    Ok(reader.answer)
}

/// 901F of water and gas meters: two totals with unit, clock, status.
const VOLUME_BYTES: usize = 5 + 5 + 7 + 2;
/// 901F of heat meters: five values with unit, two temperatures, hours, clock, status.
const HEAT_BYTES: usize = 5 * 5 + 3 * 3 + 7 + 2;
/// 901F of heat meters in ng-gateway: power and flow of three bytes, temperatures of two, hours of four.
const SHORT_HEAT_BYTES: usize = 3 * 5 + 2 * 4 + 2 * 2 + 4 + 7 + 2;
/// D3xx and D4xx of water and gas meters: clock, total, flow, temperature, pressure.
const FROZEN_BYTES: usize = 7 + 5 + 5 + 3 + 3;
/// Decimal places of the flow in the short layout of heat meters.
const SHORT_FLOW_PLACES: u8 = 3;

/// What a meter counts.
const TOTAL: &[Quantity] = &[Quantity::Volume, Quantity::Energy];

/// Reads payload from the front into an answer.
struct Reader<'a> {
    rest: &'a [u8],
    profile: &'a Profile,
    answer: Answer,
}

impl<'a> Reader<'a> {
    fn volume_layout(&mut self) {
        self.measured(TOTAL, 0);
        self.measured(TOTAL, 1);
        self.clock();
        self.status();
    }

    /// The layout of implementations of the 2004 edition.
    fn heat_layout(&mut self) {
        self.measured(&[Quantity::Energy], 1);
        self.measured(&[Quantity::Energy], 0);
        self.measured(&[Quantity::Power], 0);
        self.measured(&[Quantity::VolumeFlow], 0);
        self.measured(&[Quantity::Volume], 0);
        let places = self.profile.places;
        self.plain(Quantity::FlowTemperature, 3, Unit::Celsius, places, 0);
        self.plain(Quantity::ReturnTemperature, 3, Unit::Celsius, places, 0);
        self.plain(Quantity::OperatingTime, 3, Unit::Hour, 0, 0);
        self.clock();
        self.status();
    }

    /// The layout of an implementation of the 2018 edition (shiyuecamus/ng-gateway, a921c6dd, `di_schema.rs`).
    fn short_heat_layout(&mut self) {
        let places = self.profile.places;
        self.measured(&[Quantity::Energy], 1);
        self.measured(&[Quantity::Energy], 0);
        self.digits(3, &[Quantity::Power], 0, places);
        self.digits(3, &[Quantity::VolumeFlow], 0, SHORT_FLOW_PLACES);
        self.measured(&[Quantity::Volume], 0);
        self.plain(Quantity::FlowTemperature, 2, Unit::Celsius, places, 0);
        self.plain(Quantity::ReturnTemperature, 2, Unit::Celsius, places, 0);
        self.plain(Quantity::OperatingTime, 4, Unit::Hour, 0, 0);
        self.clock();
        self.status();
    }

    /// A frozen record of the 2018 edition (the same source). It names no unit for the pressure, so that stays bytes.
    fn frozen(&mut self, back: u64) {
        let bytes = self.take(7);
        let frozen_at = match clock(bytes, self.profile.clock_order) {
            Clock::Tells(time) => Content::DateTime(time),
            Clock::None => Content::Invalid("no clock".into()),
            Clock::Wrong(why) => Content::Invalid(why),
        };
        self.push(Value { storage: back, ..Value::new(Quantity::DateTime, frozen_at) }, bytes);
        self.measured(TOTAL, back);
        self.measured(&[Quantity::VolumeFlow], back);
        self.plain(Quantity::FlowTemperature, 3, Unit::Celsius, self.profile.places, back);
        let bytes = self.take(3);
        self.push(Value { storage: back, ..Value::new(Quantity::Pressure, Content::Opaque) }, bytes);
    }

    fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at_checked(count).unwrap_or((self.rest, &[]));
        self.rest = rest;
        taken
    }

    /// Four bytes of digits and a unit that must be one for what belongs here.
    fn measured(&mut self, belongs: &[Quantity], storage: u64) {
        let flow_places = self.profile.flow_places;
        self.digits(4, belongs, storage, flow_places);
    }

    /// So many bytes of digits and a unit.
    fn digits(&mut self, count: usize, belongs: &[Quantity], storage: u64, flow_places: u8) {
        let bytes = self.take(count + 1);
        let (code, digits) = bytes.split_last().unwrap_or((&0, &[]));
        let named = unit_of(*code, self.profile);
        let quantity = named.as_ref().and_then(|named| quantity_of(&named.unit));
        let (quantity, content, unit) = match (named, quantity) {
            (Some(named), Some(quantity)) if belongs.contains(&quantity) => {
                let is_flow = quantity == Quantity::VolumeFlow;
                let places = if is_flow { flow_places } else { self.profile.places };
                let exponent = i32::from(named.power) - i32::from(places);
                (quantity, number(digits, self.profile.value_order, exponent), Some(named.unit))
            }
            (named, _) => {
                let expected = belongs.first().cloned().unwrap_or(Quantity::Dimensionless);
                let why = match named {
                    Some(named) => format!("unit code {code:02X} is {}, which is no {expected}", named.unit),
                    None => format!("unit code {code:02X} is not known"),
                };
                (expected, Content::Invalid(why), None)
            }
        };
        self.push(Value { unit, storage, ..Value::new(quantity, content) }, bytes);
    }

    /// Digits whose unit is fixed.
    fn plain(&mut self, quantity: Quantity, count: usize, unit: Unit, places: u8, storage: u64) {
        let bytes = self.take(count);
        let content = number(bytes, self.profile.value_order, -i32::from(places));
        self.push(Value { unit: Some(unit), storage, ..Value::new(quantity, content) }, bytes);
    }

    fn clock(&mut self) {
        let bytes = self.take(7);
        match clock(bytes, self.profile.clock_order) {
            Clock::Tells(time) => self.answer.meter_time = Some(time),
            Clock::None => {}
            Clock::Wrong(why) => self.push(Value::new(Quantity::DateTime, Content::Invalid(why)), bytes),
        }
    }

    fn status(&mut self) {
        if let [st0, st1] = self.take(2) {
            self.answer.status = status([*st0, *st1], &self.profile.status);
        }
    }

    fn opaque(&mut self, di: u16) {
        let bytes = self.take(self.rest.len());
        self.push(Value::new(Quantity::Other(format!("di:{di:04X}").into()), Content::Opaque), bytes);
    }

    fn push(&mut self, value: Value, bytes: &[u8]) {
        self.answer.values.push(Value { raw: Some(Raw(bytes.to_vec())), ..value });
    }
}

fn number(digits: &[u8], order: ByteOrder, exponent: i32) -> Content {
    match bcd(digits, order).and_then(|digits| Number::scaled(digits.into(), exponent).ok()) {
        Some(number) => Content::Number(number),
        None => Content::Invalid(format!("{} are no decimal digits", Raw(digits.to_vec()))),
    }
}

#[cfg(test)]
mod tests;
