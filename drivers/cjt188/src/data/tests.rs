//! Layouts, value by value.

use super::*;
use crate::{StatusBits, UnitOfCode, encode};

fn answer_of(address: &str, data: &[u8], profile: &Profile) -> Answer {
    let telegram = encode(2, &address.parse().unwrap(), 0x81, data);
    decode(&telegram, profile).unwrap()
}

fn metering(current: [u8; 5], kept: [u8; 5], clock: [u8; 7], st: [u8; 2]) -> Vec<u8> {
    [&[0x1F, 0x90, 0x00][..], &current, &kept, &clock, &st].concat()
}

/// `quantity[storage] = content unit`, one line a value.
fn told(answer: &Answer) -> Vec<String> {
    let unit = |value: &Value| value.unit.as_ref().map(|unit| format!(" {unit}")).unwrap_or_default();
    let content = |value: &Value| match &value.content {
        Content::Number(number) => number.to_string(),
        Content::Invalid(why) => format!("invalid ({why})"),
        Content::Opaque => "opaque".into(),
        other => format!("{other:?}"),
    };
    let line =
        |value: &Value| format!("{}[{}] = {}{}", value.quantity, value.storage, content(value), unit(value));
    answer.values.iter().map(line).collect()
}

const NO_CLOCK: [u8; 7] = [0; 7];
const M3_556677: [u8; 5] = [0x00, 0x77, 0x66, 0x55, 0x2C];

#[test]
fn digits_keep_their_places_and_their_bytes() {
    let data = metering([0x05, 0, 0, 0, 0x2C], M3_556677, NO_CLOCK, [0, 0]);
    let answer = answer_of("78330011223344", &data, &Profile::default());
    assert_eq!(told(&answer), ["volume[0] = 0.05 m3", "volume[1] = 556677.00 m3"]);
    assert_eq!(answer.values[1].raw, Some(Raw(M3_556677.to_vec())));
    assert_eq!(answer.meter_time, None);
}

#[test]
fn every_unit_of_the_standard_is_exact() {
    for (code, says) in [
        (0x29, "volume[0] = 1234.56 l"),
        (0x2A, "volume[0] = 12345.6 l"),
        (0x2B, "volume[0] = 123456 l"),
        (0x2C, "volume[0] = 1234.56 m3"),
        (0x2D, "volume[0] = 12345.6 m3"),
        (0x2E, "volume[0] = 123456 m3"),
        (0x01, "energy[0] = 1234.56 J"),
        (0x02, "energy[0] = 1234.56 Wh"),
        (0x05, "energy[0] = 1234.56 kWh"),
        (0x08, "energy[0] = 1234.56 MWh"),
        (0x0A, "energy[0] = 123456 MWh"),
        (0x0B, "energy[0] = 1234.56 kJ"),
        (0x0E, "energy[0] = 1234.56 MJ"),
        (0x11, "energy[0] = 1234.56 GJ"),
        (0x13, "energy[0] = 123456 GJ"),
        (0x14, "volume[0] = invalid (unit code 14 is W, which is no volume)"),
        (0x35, "volume[0] = invalid (unit code 35 is m3/h, which is no volume)"),
        (0x00, "volume[0] = invalid (unit code 00 is not known)"),
        (0xFF, "volume[0] = invalid (unit code FF is not known)"),
    ] {
        let data = metering([0x56, 0x34, 0x12, 0x00, code], M3_556677, NO_CLOCK, [0, 0]);
        let answer = answer_of("78330011223344", &data, &Profile::default());
        assert_eq!(told(&answer)[0], says, "{code:02X}");
    }
}

#[test]
fn a_register_without_digits_is_invalid_and_the_rest_stands() {
    for fill in [0xFF, 0xEE, 0x0A, 0xA0] {
        let data = metering([fill, fill, fill, fill, 0x2C], M3_556677, NO_CLOCK, [1, 0]);
        let answer = answer_of("78330011223344", &data, &Profile::default());
        assert!(matches!(answer.values[0].content, Content::Invalid(_)), "{fill:02X}");
        assert_eq!(answer.values[0].raw, Some(Raw(vec![fill, fill, fill, fill, 0x2C])));
        assert_eq!(told(&answer)[1], "volume[1] = 556677.00 m3");
        assert_eq!(answer.status.valve, Some(weir_wire::Valve::Closed));
    }
}

#[test]
fn an_impossible_clock_is_absent_and_kept_as_bytes() {
    let plausible = [0x31, 0x01, 0x22, 0x11, 0x05, 0x15, 0x20];
    for (at, byte) in
        [(0, 0x60), (1, 0x60), (2, 0x24), (3, 0x32), (3, 0x00), (4, 0x13), (6, 0x19), (6, 0xFF), (0, 0x0A)]
    {
        let mut clock = plausible;
        clock[at] = byte;
        let data = metering(M3_556677, M3_556677, clock, [0, 0]);
        let answer = answer_of("78330011223344", &data, &Profile::default());
        assert_eq!(answer.meter_time, None, "{clock:02X?}");
        let kept = answer.values.last().unwrap();
        assert_eq!((&kept.quantity, &kept.raw), (&Quantity::DateTime, &Some(Raw(clock.to_vec()))));
        assert!(matches!(kept.content, Content::Invalid(_)));
    }
    let answer =
        answer_of("78330011223344", &metering(M3_556677, M3_556677, plausible, [0, 0]), &Profile::default());
    assert_eq!(answer.meter_time, Some("2015-05-11T22:01:31".parse().unwrap()));
    assert_eq!(answer.values.len(), 2);
}

#[test]
fn a_profile_turns_byte_orders_places_and_units() {
    let own = UnitOfCode { unit: Unit::CubicMetre, power: -1 };
    let profile = Profile {
        value_order: ByteOrder::HighFirst,
        clock_order: ByteOrder::HighFirst,
        places: 3,
        units: [("00".to_owned(), own)].into(),
        status: StatusBits { has_valve: false, ..StatusBits::default() },
        ..Profile::default()
    };
    let clock = [0x20, 0x16, 0x07, 0x15, 0x09, 0x59, 0x59];
    let data = metering([0x12, 0x34, 0x56, 0x78, 0x2C], [0x12, 0x34, 0x56, 0x78, 0x00], clock, [0, 0]);
    let answer = answer_of("78330011223344", &data, &profile);
    assert_eq!(told(&answer), ["volume[0] = 12345.678 m3", "volume[1] = 1234.5678 m3"]);
    assert_eq!(answer.meter_time, Some("2016-07-15T09:59:59".parse().unwrap()));
    assert_eq!(answer.status.valve, None);
}

#[test]
fn metering_data_without_serial_number_are_told_by_their_length() {
    let data = metering(M3_556677, M3_556677, NO_CLOCK, [0, 0]);
    let without = [&data[..2], &data[3..]].concat();
    for profile in [Profile::default(), Profile::built_in("no-ser").unwrap().unwrap()] {
        for data in [&data, &without] {
            let answer = answer_of("78330011223344", data, &profile);
            assert_eq!(told(&answer), ["volume[0] = 556677.00 m3", "volume[1] = 556677.00 m3"]);
        }
    }
}

#[test]
fn a_heat_meter_tells_all_its_registers() {
    let mut data = vec![0x90, 0x1F, 0x07];
    data.extend([0x00, 0x10, 0x00, 0x00, 0x05, 0x50, 0x12, 0x00, 0x00, 0x05]); // energies, settlement day first
    data.extend([0x34, 0x12, 0x00, 0x00, 0x17, 0x56, 0x34, 0x00, 0x00, 0x35]); // power, flow
    data.extend([0x78, 0x56, 0x34, 0x12, 0x2C]); // volume
    data.extend([0x55, 0x60, 0x00, 0x25, 0x40, 0x00, 0x34, 0x12, 0x00]); // temperatures, hours
    data.extend([0x31, 0x01, 0x22, 0x11, 0x05, 0x15, 0x20, 0x04, 0x00]);
    assert_eq!(data.len(), 0x2E);
    let answer = answer_of("20:00000000000012", &data, &Profile::default());
    assert_eq!(
        told(&answer),
        [
            "energy[1] = 10.00 kWh",
            "energy[0] = 12.50 kWh",
            "power[0] = 12.34 kW",
            "volume-flow[0] = 0.3456 m3/h",
            "volume[0] = 123456.78 m3",
            "flow-temperature[0] = 60.55 degC",
            "return-temperature[0] = 40.25 degC",
            "operating-time[0] = 1234 h",
        ]
    );
    assert_eq!(answer.meter_time, Some("2015-05-11T22:01:31".parse().unwrap()));
    assert_eq!(answer.status.battery_low, Some(true));
    let water = answer_of("00000000000012", &data, &Profile::default());
    assert_eq!(told(&water), ["di:901F[0] = opaque"], "a water meter has no such layout");
}

/// Metering data of a heat meter with these unit codes behind power and flow; the digits are 1234 and 123456.
fn heat(power: u8, flow: u8) -> Vec<u8> {
    [
        &[0x90, 0x1F, 0x00, 0x00, 0x10, 0x00, 0x00, 0x05, 0x50, 0x12, 0x00, 0x00, 0x05][..],
        &[0x34, 0x12, 0x00, 0x00, power, 0x56, 0x34, 0x12, 0x00, flow],
        &[0x78, 0x56, 0x34, 0x12, 0x2C, 0x55, 0x60, 0x00, 0x25, 0x40, 0x00, 0x34, 0x12, 0x00],
        &NO_CLOCK,
        &[0x00, 0x00],
    ]
    .concat()
}

#[test]
fn every_power_and_flow_of_the_standard_is_exact() {
    for (code, says) in [
        (0x14, "power[0] = 12.34 W"),
        (0x17, "power[0] = 12.34 kW"),
        (0x1A, "power[0] = 12.34 MW"),
        (0x05, "power[0] = invalid (unit code 05 is kWh, which is no power)"),
        (0x32, "power[0] = invalid (unit code 32 is l/h, which is no power)"),
    ] {
        let answer = answer_of("20:00000000000012", &heat(code, 0x35), &Profile::default());
        assert_eq!(told(&answer)[2], says, "{code:02X}");
    }
    for (code, says) in [
        (0x32, "volume-flow[0] = 12.3456 l/h"),
        (0x33, "volume-flow[0] = 123.456 l/h"),
        (0x34, "volume-flow[0] = 1234.56 l/h"),
        (0x35, "volume-flow[0] = 12.3456 m3/h"),
        (0x36, "volume-flow[0] = 123.456 m3/h"),
        (0x37, "volume-flow[0] = 1234.56 m3/h"),
        (0x2C, "volume-flow[0] = invalid (unit code 2C is m3, which is no volume-flow)"),
        (0x38, "volume-flow[0] = invalid (unit code 38 is not known)"),
    ] {
        let answer = answer_of("20:00000000000012", &heat(0x17, code), &Profile::default());
        assert_eq!(told(&answer)[3], says, "{code:02X}");
    }
}

#[test]
fn every_meter_type_is_named_or_unknown() {
    const MEDIA: [(u8, &str); 15] = [
        (0x10, "cold-water"),
        (0x11, "hot-water"),
        (0x12, "drinking-water"),
        (0x13, "reclaimed-water"),
        // 10 to 19 are water; these have no name of their own.
        (0x14, "water"),
        (0x15, "water"),
        (0x16, "water"),
        (0x17, "water"),
        (0x18, "water"),
        (0x19, "water"),
        (0x20, "heat"),
        (0x21, "cooling"),
        // Since 2018.
        (0x22, "heat-cooling"),
        (0x30, "gas"),
        (0x40, "electricity"),
    ];
    for meter_type in 0x00..=0xFF {
        let expected =
            MEDIA.iter().find(|(listed, _)| *listed == meter_type).map_or("unknown", |(_, name)| name);
        let address = Address::from_wire(meter_type, [0x12, 0, 0, 0, 0, 0, 0]);
        let telegram = encode(0, &address, 0x81, &metering(M3_556677, M3_556677, NO_CLOCK, [0, 0]));
        let medium = decode(&telegram, &Profile::default()).unwrap().identity.medium.unwrap();
        assert_eq!(medium.as_str(), expected, "{meter_type:02X}");
    }
}

#[test]
fn the_metering_data_of_heat_and_cold_together_are_kept_as_bytes() {
    let registers = [0x11; 59];
    let data = [&[0x1F, 0x91, 0x00][..], &registers].concat();
    let answer = answer_of("22:00000000000012", &data, &Profile::default());
    assert_eq!(told(&answer), ["di:911F[0] = opaque"]);
    assert_eq!(answer.values[0].raw, Some(Raw(registers.to_vec())));
}

#[test]
fn data_of_unknown_layout_are_kept_as_bytes() {
    let answer = answer_of("00000000000012", &[0x1F, 0x90, 0x00, 1, 2, 3], &Profile::default());
    assert_eq!(told(&answer), ["di:901F[0] = opaque"]);
    assert_eq!(answer.values[0].raw, Some(Raw(vec![1, 2, 3])));
    let empty = encode(0, &"00000000000012".parse().unwrap(), 0x81, &[0x1F, 0x90, 0x00]);
    assert!(matches!(decode(&empty, &Profile::default()), Err(Fault::Refused { .. })));
}

#[test]
fn the_last_twelve_settlement_days_have_storages_of_their_own() {
    for (low, storage) in [(0x20, 1), (0x2B, 12)] {
        let answer = answer_of(
            "00000000000012",
            &[low, 0xD1, 0x00, 0x00, 0x77, 0x66, 0x55, 0x2C],
            &Profile::default(),
        );
        assert_eq!(told(&answer), [format!("volume[{storage}] = 556677.00 m3")]);
    }
}

#[test]
fn an_identifier_is_the_same_in_either_order() {
    for di in [0x901F_u16, 0x810A, 0xD120, 0xA017, 0xA107] {
        assert_eq!(di_of(&di.to_be_bytes()), Some(di));
        assert_eq!(di_of(&di.to_le_bytes()), Some(di));
    }
    assert_eq!(di_of(&[0x90]), None);
}

#[test]
fn the_short_layout_of_a_heat_meter_is_known_by_its_length() {
    let data = [
        &[0x90, 0x1F, 0x00][..],
        &[0x00, 0x10, 0x00, 0x00, 0x05],
        &[0x00, 0x20, 0x00, 0x00, 0x05],
        &[0x56, 0x34, 0x12, 0x17],
        &[0x56, 0x34, 0x12, 0x35],
        &[0x34, 0x12, 0x00, 0x00, 0x2C],
        &[0x50, 0x45],
        &[0x25, 0x30],
        &[0x45, 0x23, 0x01, 0x00],
        &NO_CLOCK,
        &[0x00, 0x00],
    ]
    .concat();
    assert_eq!(data.len(), 43);
    let answer = answer_of("20:78330011223344", &data, &Profile::default());
    let expected = [
        "energy[1] = 10.00 kWh",
        "energy[0] = 20.00 kWh",
        "power[0] = 1234.56 kW",
        "volume-flow[0] = 123.456 m3/h",
        "volume[0] = 12.34 m3",
        "flow-temperature[0] = 45.50 degC",
        "return-temperature[0] = 30.25 degC",
        "operating-time[0] = 12345 h",
    ];
    assert_eq!(told(&answer), expected);
}

#[test]
fn an_identifier_with_nothing_behind_it_has_no_metering_data() {
    for data in [&[0x1F, 0x90][..], &[0x1F, 0x90, 0x00]] {
        let telegram = encode(0, &"78330011223344".parse().unwrap(), 0x81, data);
        let fault = decode(&telegram, &Profile::default()).unwrap_err();
        assert_eq!(fault, Fault::refused("the answer has no metering data in it"));
    }
}
