//! Every code of every table, 00 to 7F: what the standard has there, and that it is decoded exactly or not at all.
//!
//! The rows are written down from EN 13757-3 anew, not from the code: quantity, unit, power of ten, type of the data.
//! Codes that are not decoded stand in them too, with what the standard has there, and must keep their bytes as their name
//! and the digits as they were sent. Where nothing is said of a code it is reserved.

use std::ops::RangeInclusive;

use super::super::split;
use super::*;
use crate::VifText;
use crate::data::Datum;
use Is::{Date, Decades, Digits, Kept, Named, Unsigned, With};
use weir_wire::{Content, Number};

/// What a run of codes is.
#[derive(Clone, Copy)]
enum Is {
    /// Type B: quantity, unit, power of ten of the first code; each further one ten times the one before.
    Decades(&'static str, &'static str, i32),
    /// Type B, unscaled, with a unit for each code.
    With(&'static str, &'static [&'static str]),
    /// Type C or D.
    Unsigned(&'static str),
    /// An identification.
    Digits(&'static str),
    /// A date, or date and time.
    Date(&'static str),
    /// A code with its own names: what these bytes are to be.
    Named(&'static str, &'static [u8], &'static str),
    /// Known to the standard, or reserved, and not decoded here.
    Kept(&'static str),
}

type Rows = &'static [(RangeInclusive<u8>, Is)];

/// Seconds to days, as `nn` counts them; hours to years, as `pp` does.
const NN: &[&str] = &["s", "min", "h", "d"];
const PP: &[&str] = &["h", "d", "month", "year"];

const PRIMARY: Rows = &[
    (0x00..=0x07, Decades("energy", "Wh", -3)),
    (0x08..=0x0F, Decades("energy", "J", 0)),
    (0x10..=0x17, Decades("volume", "m3", -6)),
    (0x18..=0x1F, Decades("mass", "kg", -3)),
    (0x20..=0x23, With("on-time", NN)),
    (0x24..=0x27, With("operating-time", NN)),
    (0x28..=0x2F, Decades("power", "W", -3)),
    (0x30..=0x37, Decades("power", "J/h", 0)),
    (0x38..=0x3F, Decades("volume-flow", "m3/h", -6)),
    (0x40..=0x47, Decades("volume-flow", "m3/min", -7)),
    (0x48..=0x4F, Decades("volume-flow", "m3/s", -9)),
    (0x50..=0x57, Decades("mass-flow", "kg/h", -3)),
    (0x58..=0x5B, Decades("flow-temperature", "degC", -3)),
    (0x5C..=0x5F, Decades("return-temperature", "degC", -3)),
    (0x60..=0x63, Decades("temperature-difference", "K", -3)),
    (0x64..=0x67, Decades("external-temperature", "degC", -3)),
    (0x68..=0x6B, Decades("pressure", "bar", -3)),
    (0x6C..=0x6C, Date("date")),
    (0x6D..=0x6D, Date("date-time")),
    (0x6E..=0x6E, With("heat-cost-allocation", &[""])),
    (0x6F..=0x6F, Kept("")),
    (0x70..=0x73, With("averaging-duration", NN)),
    (0x74..=0x77, With("actuality-duration", NN)),
    (0x78..=0x78, Digits("fabrication-number")),
    (0x79..=0x79, Digits("enhanced-identification")),
    (0x7A..=0x7A, Unsigned("bus-address")),
    (0x7B..=0x7B, Kept("first extension, which needs a code behind it")),
    // 7C is a length and a text: in the tests of `text`.
    (0x7D..=0x7D, Kept("second extension, which needs a code behind it")),
    (0x7E..=0x7E, Kept("any VIF: a request's")),
    (0x7F..=0x7F, With("manufacturer-specific", &[""])),
];

const BEHIND_FD: Rows = &[
    (0x00..=0x03, Kept("credit in the local currency")),
    (0x04..=0x07, Kept("debit in the local currency")),
    (0x08..=0x08, Unsigned("access-number")),
    (0x09..=0x09, Named("medium", &[0x07], "water")),
    (0x0A..=0x0A, Named("manufacturer", &[0x93, 0x15], "ELS")),
    (0x0B..=0x0B, Digits("parameter-set")),
    (0x0C..=0x0C, Digits("model-version")),
    (0x0D..=0x0D, Digits("hardware-version")),
    (0x0E..=0x0E, Digits("firmware-version")),
    (0x0F..=0x0F, Digits("software-version")),
    (0x10..=0x10, Digits("customer-location")),
    (0x11..=0x11, Digits("customer")),
    (0x12..=0x15, Kept("access codes of user, operator, system operator and developer")),
    (0x16..=0x16, Kept("password")),
    (0x17..=0x17, Unsigned("error-flags")),
    (0x18..=0x18, Unsigned("error-mask")),
    (0x19..=0x19, Kept("security key")),
    (0x1A..=0x1A, Unsigned("digital-output")),
    (0x1B..=0x1B, Unsigned("digital-input")),
    (0x1C..=0x1F, Kept("baud rate, response delay, retry, remote control")),
    (0x20..=0x22, Kept("first and last storage, size of a storage block")),
    (0x23..=0x23, Kept("descriptor for tariff and subunit")),
    (0x24..=0x27, With("storage-interval", NN)),
    (0x28..=0x29, With("storage-interval", &["month", "year"])),
    (0x2A..=0x2B, Kept("operator's data, second of a time")),
    (0x2C..=0x2F, With("duration-since-readout", NN)),
    (0x30..=0x33, Kept("start and duration of a tariff")),
    (0x34..=0x39, Kept("period of a tariff")),
    (0x3A..=0x3A, With("dimensionless", &[""])),
    (0x3B..=0x3F, Kept("container of wireless M-Bus, period of its transmissions")),
    (0x40..=0x4F, Decades("voltage", "V", -9)),
    (0x50..=0x5F, Decades("current", "A", -12)),
    (0x60..=0x60, Unsigned("reset-counter")),
    (0x61..=0x61, Unsigned("cumulation-counter")),
    (0x62..=0x67, Kept("control signal, day, week, change of day, parameters, supplier")),
    (0x68..=0x6B, Kept("duration since the last cumulation")),
    (0x6C..=0x6F, With("battery-operating-time", PP)),
    (0x70..=0x70, Date("battery-change")),
    (0x71..=0x73, Kept("reception level, daylight saving, listening window")),
    (0x74..=0x74, With("remaining-battery-time", &["d"])),
    (0x75..=0x7F, Kept("stops of the meter, manufacturer's container; 7D is the next table")),
];

const BEHIND_FD_FD: Rows = &[
    (0x00..=0x01, Kept("selected application")),
    (0x02..=0x03, With("remaining-battery-time", &["month", "year"])),
    (0x04..=0x7F, Kept("")),
];

const BEHIND_FB: Rows = &[
    (0x00..=0x01, Decades("energy", "MWh", -1)),
    (0x02..=0x05, Kept("reactive and apparent energy")),
    (0x06..=0x07, Kept("")),
    (0x08..=0x09, Decades("energy", "GJ", -1)),
    (0x0A..=0x0F, Kept("0C to 0F: energy in Mcal")),
    (0x10..=0x11, Decades("volume", "m3", 2)),
    (0x12..=0x17, Kept("14 to 17: reactive power")),
    // 10² and 10³ t.
    (0x18..=0x19, Decades("mass", "kg", 5)),
    (0x1A..=0x1B, Decades("relative-humidity", "%", -1)),
    (0x1C..=0x1F, Kept("")),
    (0x20..=0x20, Decades("volume", "ft3", 0)),
    (0x21..=0x21, Decades("volume", "ft3", -1)),
    (0x22..=0x27, Kept("once US gallons and flows of them, given up")),
    (0x28..=0x29, Decades("power", "MW", -1)),
    (0x2A..=0x2F, Kept("phases and frequency")),
    // 10⁻¹ and 10⁰ GJ/h.
    (0x30..=0x31, Decades("power", "J/h", 8)),
    (0x32..=0x57, Kept("34 to 37: apparent power")),
    (0x58..=0x67, Kept("once temperatures in Fahrenheit, given up")),
    (0x68..=0x7F, Kept("limits of temperature, cumulated maximum power")),
];

/// One byte: -2 where it has a sign, 254 where it has none.
const BYTE: &[u8] = &[0xFE];
const MOMENT: &[u8] = &[0x32, 0x14, 0x7A, 0x18];

/// What a value of these codes says of this datum.
fn shown(codes: &[u8], datum: &[u8]) -> String {
    let (vib, length) = split(codes, VifText::Auto).unwrap();
    assert_eq!(length, codes.len());
    let meaning = vib.meaning();
    let content = match meaning.content(&Datum::Integer(datum)) {
        Content::Number(number) => number.to_string(),
        Content::Text(text) => text,
        Content::DateTime(moment) => moment.to_string(),
        other => format!("{other:?}"),
    };
    let unit = meaning.unit.as_ref().map_or("", Unit::as_str);
    format!("{} {content} {unit}", meaning.quantity)
}

/// The datum for the code at this place in its row, and what is to be said of it.
fn expected(is: Is, codes: &[u8], place: u8) -> (&'static [u8], String) {
    match is {
        Decades(quantity, unit, first) => {
            let number = Number::scaled(-2, first + i32::from(place)).unwrap();
            (BYTE, format!("{quantity} {number} {unit}"))
        }
        With(quantity, units) => (BYTE, format!("{quantity} -2 {}", units[usize::from(place)])),
        Unsigned(quantity) | Digits(quantity) => (BYTE, format!("{quantity} 254 ")),
        Date(quantity) => (MOMENT, format!("{quantity} 2011-08-26T20:50:00 ")),
        Named(quantity, datum, name) => (datum, format!("{quantity} {name} ")),
        Kept(_) => (BYTE, format!("{} -2 ", Quantity::vif(codes))),
    }
}

/// Holds a table against its rows, in which every code of `codes` must stand once and in order.
fn check(behind: &[u8], rows: Rows, codes: impl Iterator<Item = u8>) {
    let told =
        rows.iter().flat_map(|(run, is)| run.clone().zip(0_u8..).map(move |(code, at)| (code, at, *is)));
    let told: Vec<(u8, u8, Is)> = told.collect();
    assert!(told.iter().map(|(code, ..)| *code).eq(codes), "a code is missing, or stands there twice");
    for (code, place, is) in told {
        let codes = [behind, &[code]].concat();
        let (datum, expected) = expected(is, &codes, place);
        let what = if let Kept(what) = is { what } else { "" };
        assert_eq!(shown(&codes, datum), expected, "{codes:02X?} {what}");
        // The extension bit does not change a code: here with a VIFE that says "no error".
        let known_and_not_the_manufacturers = !matches!(is, Kept(_)) && codes != [0x7F];
        if known_and_not_the_manufacturers {
            let extended = [behind, &[code | EXTENSION, 0x00]].concat();
            assert_eq!(shown(&extended, datum), expected, "{extended:02X?}");
        }
    }
}

#[test]
fn every_primary_code_is_decoded_exactly_or_kept() {
    check(&[], PRIMARY, (0x00..=0x7F).filter(|code| *code != 0x7C));
}

#[test]
fn every_code_behind_fd_is_decoded_exactly_or_kept() {
    check(&[0xFD], BEHIND_FD, 0x00..=0x7F);
}

#[test]
fn every_code_behind_fd_fd_is_decoded_exactly_or_kept() {
    check(&[0xFD, 0xFD], BEHIND_FD_FD, 0x00..=0x7F);
}

#[test]
fn every_code_behind_fb_is_decoded_exactly_or_kept() {
    check(&[0xFB], BEHIND_FB, 0x00..=0x7F);
}

#[test]
fn every_code_behind_those_without_a_table_is_kept() {
    for behind in [0xEF, 0xFE, 0xFF] {
        for code in 0x00..=0x7F {
            let codes = [behind, code];
            assert_eq!(shown(&codes, BYTE), format!("{} -2 ", Quantity::vif(&codes)), "{codes:02X?}");
        }
    }
}
