//! The structure as meters send it, and every unit and medium code there is.
//!
//! The rows are written down from the tables of EN 1434-3 anew, not from the code: what the standard has at each code, and
//! what one counter says in it. Codes that are not decoded stand in them too.

use super::*;

const DATA: [u8; 16] = [0x93, 0x92, 0x91, 0x90, 0x10, 0x00, 0x05, 0x69, 0x31, 0x65, 0, 0, 0x69, 0, 0, 0];

fn shown(data: &[u8]) -> Vec<String> {
    let show = |value: &Value| match &value.content {
        Content::Number(number) => {
            let unit = value.unit.as_ref().map_or("", |unit| unit.as_str());
            format!("{} {number} {unit} @{}", value.quantity, value.storage)
        }
        other => format!("{} {other:?}", value.quantity),
    };
    read(data).unwrap().values.iter().map(show).collect()
}

fn with(changes: &[(usize, u8)]) -> Vec<u8> {
    let mut data = DATA.to_vec();
    for (at, byte) in changes {
        data[*at] = *byte;
    }
    data
}

#[test]
fn two_counters_in_a_unit_each() {
    assert_eq!(shown(&DATA), ["energy 6531 kWh @0", "volume 69 l @0"]);
    let fixed = read(&DATA).unwrap();
    assert_eq!(
        (fixed.identity.number.as_deref(), fixed.identity.medium),
        (Some("90919293"), Some(Medium::Heat))
    );
}

#[test]
fn status_bits_choose_binary_and_kept_counters() {
    assert_eq!(shown(&with(&[(5, 0x01)])), ["energy 25905 kWh @0", "volume 105 l @0"]);
    assert_eq!(shown(&with(&[(5, 0x02)])), ["energy 6531 kWh @1", "volume 69 l @1"]);
    assert_eq!(shown(&with(&[(7, 0x7E)])), ["energy 6531 kWh @0", "energy 69 kWh @1"]);
    assert_eq!(read(&with(&[(5, 0x04)])).unwrap().status.battery_low, Some(true));
    assert_eq!(read(&with(&[(5, 0x09)])).unwrap().status.alarms, ["permanent-error"]);
}

#[test]
fn units_a_factor_of_ten_apart() {
    assert_eq!(shown(&with(&[(6, 0x2E), (7, 0x71)])), ["volume 653100 m3 @0", "volume-flow 6.9 l/h @0"][..]);
    assert_eq!(shown(&with(&[(6, 0x21), (7, 0x40)]))[0], "power 65310000000 J/h @0");
    assert_eq!(shown(&with(&[(6, 0x21), (7, 0x40)]))[1], "fixed-unit:00 69  @0");
}

#[test]
fn digits_that_are_none_and_mode_2_and_a_wrong_length() {
    assert!(shown(&with(&[(8, 0xAB)]))[0].contains("Invalid"));
    assert!(matches!(read(&with(&[(6, 0x85), (7, 0xA9)])), Err(Fault::Refused { .. })));
    for length in 0..16 {
        assert!(matches!(read(&DATA[..length]), Err(Fault::Refused { .. })));
    }
}

#[test]
fn the_example_of_the_mbus_documentation_is_two_volumes_of_a_water_meter() {
    // "The M-Bus: A Documentation", revision 4.8, page 35: number 12345678, water, 1 l now and 135 l at the due date.
    let data =
        [0x78, 0x56, 0x34, 0x12, 0x0A, 0x00, 0xE9, 0x7E, 0x01, 0x00, 0x00, 0x00, 0x35, 0x01, 0x00, 0x00];
    assert_eq!(shown(&data), ["volume 1 l @0", "volume 135 l @1"]);
    let identity = read(&data).unwrap().identity;
    assert_eq!((identity.number.as_deref(), identity.medium), (Some("12345678"), Some(Medium::Water)));
}

/// What a counter of digits 00001234 says in each unit code, 00 to 3F. Codes 3A to 3D are reserved; 3E is told of counter 2.
const UNITS: [&str; 64] = [
    // Hours, minutes and seconds; day, month and year.
    "fixed-unit:00 1234 ",
    "fixed-unit:01 1234 ",
    "energy 1234 Wh",
    "energy 12340 Wh",
    "energy 123400 Wh",
    "energy 1234 kWh",
    "energy 12340 kWh",
    "energy 123400 kWh",
    "energy 1234 MWh",
    "energy 12340 MWh",
    "energy 123400 MWh",
    "energy 1234 kJ",
    "energy 12340 kJ",
    "energy 123400 kJ",
    "energy 1234 MJ",
    "energy 12340 MJ",
    "energy 123400 MJ",
    "energy 1234 GJ",
    "energy 12340 GJ",
    "energy 123400 GJ",
    "power 1234 W",
    "power 12340 W",
    "power 123400 W",
    "power 1234 kW",
    "power 12340 kW",
    "power 123400 kW",
    "power 1234 MW",
    "power 12340 MW",
    "power 123400 MW",
    // kJ/h, MJ/h, GJ/h.
    "power 1234000 J/h",
    "power 12340000 J/h",
    "power 123400000 J/h",
    "power 1234000000 J/h",
    "power 12340000000 J/h",
    "power 123400000000 J/h",
    "power 1234000000000 J/h",
    "power 12340000000000 J/h",
    "power 123400000000000 J/h",
    "volume 1234 ml",
    "volume 12340 ml",
    "volume 123400 ml",
    "volume 1234 l",
    "volume 12340 l",
    "volume 123400 l",
    "volume 1234 m3",
    "volume 12340 m3",
    "volume 123400 m3",
    // ml/h.
    "volume-flow 1.234 l/h",
    "volume-flow 12.34 l/h",
    "volume-flow 123.4 l/h",
    "volume-flow 1234 l/h",
    "volume-flow 12340 l/h",
    "volume-flow 123400 l/h",
    "volume-flow 1234 m3/h",
    "volume-flow 12340 m3/h",
    "volume-flow 123400 m3/h",
    "temperature 1.234 degC",
    "heat-cost-allocation 1234 ",
    "fixed-unit:3A 1234 ",
    "fixed-unit:3B 1234 ",
    "fixed-unit:3C 1234 ",
    "fixed-unit:3D 1234 ",
    // As counter 1, but kept: of counter 1 itself it says nothing.
    "fixed-unit:3E 1234 ",
    "dimensionless 1234 ",
];

#[test]
fn every_unit_code_of_the_standard_is_decoded_exactly_or_kept_in_either_counter() {
    let digits = [(8, 0x34), (9, 0x12), (12, 0x34), (13, 0x12)];
    for (code, expected) in (0x00..=0x3F_u8).zip(UNITS) {
        let first = shown(&with(&[&digits[..], &[(6, code)]].concat()));
        assert_eq!(first[0], format!("{expected} @0"), "counter 1, code {code:02X}");
        let second = shown(&with(&[&digits[..], &[(7, 0x40 | code)]].concat()));
        let as_counter_1_but_kept = "energy 1234 kWh @1".to_owned();
        let expected = if code == 0x3E { as_counter_1_but_kept } else { format!("{expected} @0") };
        assert_eq!(second[1], expected, "counter 2, code {code:02X}");
    }
}

#[test]
fn every_medium_code_of_the_standard_is_named_or_refused() {
    let media = [
        Some("other"),
        Some("oil"),
        Some("electricity"),
        Some("gas"),
        Some("heat"),
        Some("steam"),
        Some("hot-water"),
        Some("water"),
        Some("heat-cost-allocator"),
        // Reserved.
        Some("unknown"),
        // Gas, heat, hot water, water and heat cost allocators of mode 2.
        None,
        None,
        None,
        None,
        None,
        // Reserved.
        Some("unknown"),
    ];
    for (code, expected) in (0x0..=0xF_u8).zip(media) {
        // The two low bits of a code are above the unit of counter 1, the two high ones above that of counter 2.
        let data = with(&[(6, code << 6 | 0x05), (7, code >> 2 << 6 | 0x29)]);
        let medium = read(&data).ok().and_then(|fixed| fixed.identity.medium);
        assert_eq!(medium.as_ref().map(Medium::as_str), expected, "medium code {code:X}");
        if expected.is_none() {
            assert!(matches!(read(&data), Err(Fault::Refused { why }) if why.contains("mode 2")), "{code:X}");
        }
    }
}
