//! Every VIFE, 00 to 7F, behind a volume of two litres less than none (VIF 13): what the standard makes of it.
//!
//! Written down from EN 13757-3 (combinable VIFE, record errors) anew, not from the code.

use std::ops::RangeInclusive;

use weir_wire::{Content, Number};

use crate::VifText;
use crate::data::Datum;
use crate::vif::split;

/// What a VIFE makes of the volume.
#[derive(Clone, Copy)]
enum Makes {
    /// A volume, in m³ times this power of ten.
    Volume(i32),
    /// One direction's volume.
    Named(&'static str),
    /// No value, but the meter's word for why.
    Error(&'static str),
    /// Another thing in m³.
    Another,
    /// Another thing in a unit that has no name here.
    AnotherUnit,
    /// A count.
    Count,
    /// A time in this unit.
    Lasts(&'static str),
    /// A date.
    Moment,
    /// Nothing certain: the digits as they were sent.
    Kept,
}

use Makes::{Another, AnotherUnit, Count, Error, Kept, Lasts, Moment, Named, Volume};

const VIFE: &[(RangeInclusive<u8>, Makes)] = &[
    // Record errors of the first block, with three codes reserved.
    (0x00..=0x00, Volume(-3)),
    (0x01..=0x01, Error("too many DIFE")),
    (0x02..=0x02, Error("storage number not implemented")),
    (0x03..=0x03, Error("unit number not implemented")),
    (0x04..=0x04, Error("tariff number not implemented")),
    (0x05..=0x05, Error("function not implemented")),
    (0x06..=0x06, Error("data class not implemented")),
    (0x07..=0x07, Error("data size not implemented")),
    (0x08..=0x0A, Kept),
    (0x0B..=0x0B, Error("too many VIFE")),
    (0x0C..=0x0C, Error("illegal VIF group")),
    (0x0D..=0x0D, Error("illegal VIF exponent")),
    (0x0E..=0x0E, Error("VIF and DIF do not match")),
    (0x0F..=0x0F, Error("action not implemented")),
    (0x10..=0x11, Kept),
    // Average; inverse compact profile and relative deviation, which are no volumes.
    (0x12..=0x12, Another),
    (0x13..=0x14, Kept),
    (0x15..=0x15, Error("no data available")),
    (0x16..=0x16, Error("data overflow")),
    (0x17..=0x17, Error("data underflow")),
    (0x18..=0x18, Error("data error")),
    (0x19..=0x1B, Kept),
    (0x1C..=0x1C, Error("premature end of record")),
    // Content as the standard says; compact profiles.
    (0x1D..=0x1D, Volume(-3)),
    (0x1E..=0x1F, Kept),
    // Per second to per ampere, times seconds.
    (0x20..=0x38, AnotherUnit),
    // Start of; at metering conditions; one direction each; other units; at base conditions; OBIS.
    (0x39..=0x39, Moment),
    (0x3A..=0x3A, Another),
    (0x3B..=0x3B, Named("forward-volume")),
    (0x3C..=0x3C, Named("reverse-volume")),
    (0x3D..=0x3D, Kept),
    (0x3E..=0x3E, Another),
    (0x3F..=0x3F, Kept),
    // E100u000 a limit, E100u001 how often exceeded, E100uf1b when.
    (0x40..=0x40, Another),
    (0x41..=0x41, Count),
    (0x42..=0x43, Moment),
    (0x44..=0x45, Kept),
    (0x46..=0x47, Moment),
    (0x48..=0x48, Another),
    (0x49..=0x49, Count),
    (0x4A..=0x4B, Moment),
    (0x4C..=0x4D, Kept),
    (0x4E..=0x4F, Moment),
    // E101ufnn and E1100fnn: how long.
    (0x50..=0x50, Lasts("s")),
    (0x51..=0x51, Lasts("min")),
    (0x52..=0x52, Lasts("h")),
    (0x53..=0x53, Lasts("d")),
    (0x54..=0x54, Lasts("s")),
    (0x55..=0x55, Lasts("min")),
    (0x56..=0x56, Lasts("h")),
    (0x57..=0x57, Lasts("d")),
    (0x58..=0x58, Lasts("s")),
    (0x59..=0x59, Lasts("min")),
    (0x5A..=0x5A, Lasts("h")),
    (0x5B..=0x5B, Lasts("d")),
    (0x5C..=0x5C, Lasts("s")),
    (0x5D..=0x5D, Lasts("min")),
    (0x5E..=0x5E, Lasts("h")),
    (0x5F..=0x5F, Lasts("d")),
    (0x60..=0x60, Lasts("s")),
    (0x61..=0x61, Lasts("min")),
    (0x62..=0x62, Lasts("h")),
    (0x63..=0x63, Lasts("d")),
    (0x64..=0x64, Lasts("s")),
    (0x65..=0x65, Lasts("min")),
    (0x66..=0x66, Lasts("h")),
    (0x67..=0x67, Lasts("d")),
    // E1101u00 while a limit was exceeded, leakage, overflow; E1101f1b when.
    (0x68..=0x69, Another),
    (0x6A..=0x6B, Moment),
    (0x6C..=0x6D, Another),
    (0x6E..=0x6F, Moment),
    // E1110nnn: 10^(nnn-6).
    (0x70..=0x70, Volume(-9)),
    (0x71..=0x71, Volume(-8)),
    (0x72..=0x72, Volume(-7)),
    (0x73..=0x73, Volume(-6)),
    (0x74..=0x74, Volume(-5)),
    (0x75..=0x75, Volume(-4)),
    (0x76..=0x76, Volume(-3)),
    (0x77..=0x77, Volume(-2)),
    // E11110nn: a constant to be added, 10^(nn-3) of the unit; a further table.
    (0x78..=0x7C, Kept),
    (0x7D..=0x7D, Volume(0)),
    // To come; the manufacturer's own.
    (0x7E..=0x7E, Another),
    (0x7F..=0x7F, Kept),
];

fn shown(codes: &[u8], datum: &[u8]) -> String {
    let (vib, length) = split(codes, VifText::Auto).unwrap();
    assert_eq!(length, codes.len());
    let meaning = vib.meaning();
    let content = match meaning.content(&Datum::Integer(datum)) {
        Content::Number(number) => number.to_string(),
        Content::DateTime(moment) => moment.to_string(),
        Content::Invalid(why) => why,
        other => format!("{other:?}"),
    };
    format!("{} {content} {}", meaning.quantity, meaning.unit.as_ref().map_or("", |unit| unit.as_str()))
}

fn expected(makes: Makes, code: u8) -> (&'static [u8], String) {
    let vif = format!("vif:93{code:02X}");
    let text = match makes {
        Volume(exponent) => format!("volume {} m3", Number::scaled(-2, exponent).unwrap()),
        Named(quantity) => format!("{quantity} -0.002 m3"),
        Error(why) => format!("volume {why} m3"),
        Another => format!("{vif} -0.002 m3"),
        AnotherUnit => format!("{vif} -0.002 "),
        Count | Kept => format!("{vif} -2 "),
        Lasts(unit) => format!("{vif} -2 {unit}"),
        Moment => return (&[0x32, 0x14, 0x7A, 0x18], format!("{vif} 2011-08-26T20:50:00 ")),
    };
    (&[0xFE], text)
}

#[test]
fn every_vife_makes_of_a_volume_what_the_standard_says_or_takes_its_name() {
    let told = VIFE.iter().flat_map(|(run, makes)| run.clone().map(move |code| (code, *makes)));
    assert!(told.clone().map(|(code, _)| code).eq(0x00..=0x7F), "a code is missing, or stands there twice");
    for (code, makes) in told {
        let (datum, expected) = expected(makes, code);
        assert_eq!(shown(&[0x93, code], datum), expected, "VIFE {code:02X}");
    }
}

#[test]
fn corrections_add_up_in_any_order_and_reach_ten() {
    assert_eq!(shown(&[0x93, 0xF0, 0x7D], &[0xFE]), shown(&[0x93, 0xFD, 0x70], &[0xFE]));
    let ten = [&[0x97][..], &[0xFD; 9], &[0x7D]].concat();
    assert_eq!(shown(&ten, &[0xFE]), "volume Text(\"-2e31\") m3");
}
