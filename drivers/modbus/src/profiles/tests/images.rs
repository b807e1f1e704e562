//! One image of each register map: registers as the source prints them, and what a meter that holds them means.
//!
//! Addresses are those on the wire and stand here once more, not taken from the profile, and each block is as long as its
//! values: a value that is looked for elsewhere is missing. The numbers were coded by hand so that another order of
//! words, type or scale gives another one.

use weir_wire::{Answer, Content, Value};

use super::good;
use crate::evaluate::{Image, KeepRaw, answer};
use crate::frame::FunctionCode;

use FunctionCode::{ReadHoldingRegisters as Holding, ReadInputRegisters as Input};

fn read(profile: &str, blocks: &[(FunctionCode, u16, &[u16])]) -> Answer {
    let mut image = Image::default();
    for (function, start, registers) in blocks {
        let data = registers.iter().flat_map(|register| register.to_be_bytes()).collect();
        image.add(*function, *start, data);
    }
    answer(&good(profile), &image, KeepRaw::Uninterpreted)
}

/// `quantity number unit`, one line a value, with subunit and function where they are not the usual ones.
fn told(answer: &Answer) -> Vec<String> {
    let line = |value: &Value| {
        let content = match &value.content {
            Content::Number(number) => number.to_string(),
            other => format!("{other:?}"),
        };
        let subunit = if value.subunit == 0 { String::new() } else { format!("/{}", value.subunit) };
        let function = match value.function.as_str() {
            "instantaneous" => String::new(),
            other => format!(" {other}"),
        };
        let unit = value.unit.as_ref().map(|unit| format!(" {unit}")).unwrap_or_default();
        format!("{}{subunit}{function} {content}{unit}", value.quantity)
    };
    answer.values.iter().map(line).collect()
}

#[test]
fn an_abb_aquamaster_is_read_one_below_its_printed_addresses() {
    let with_supply = |state| {
        // Printed as 12003 and 12004, 4013 and 4014, 1023.
        read(
            "abb-aquamaster-3",
            &[
                (Holding, 12_002, &[0x0001, 0xE240]),
                (Input, 4012, &[0x0012, 0xD687]),
                (Input, 1022, &[state, 0xFFFF]),
            ],
        )
    };
    let answer = with_supply(1);
    assert_eq!(told(&answer), ["volume 123456"]);
    assert_eq!(answer.identity.number.as_deref(), Some("1234567"));
    assert_eq!((answer.status.battery_low, answer.status.alarms), (Some(true), vec![]));
    let answer = with_supply(0);
    assert_eq!((answer.status.battery_low, answer.status.alarms), (Some(false), vec![]));
    assert_eq!(with_supply(2).status.alarms, ["internal-power-failed"]);
}

#[test]
fn a_dynaflox_adds_its_millilitres_to_its_cubic_metres() {
    let registers = [
        0xFFFF, 0xFA24, // flow -1500 l/h
        0x0000, 0x04D2, // forward 1234 m3
        0x0008, 0xAA52, // and 567890 ml
        0x0000, 0x000C, // reverse 12 m3
        0x0005, 0x464E, // and 345678 ml
        0x0001, 0x86A0, // running for 100000 s
        0x0001, 0x0001, // in error for 65537 s
        0x0000, 0x0E1C, // battery 3612 mV
        0x0005, // error bits 0 and 2
    ];
    let answer = read("dynaflox-ultrad", &[(Holding, 0, &registers)]);
    assert_eq!(
        told(&answer),
        [
            "volume 1234.567890 m3",
            "reverse-volume 12.345678 m3",
            "volume-flow -1500 l/h",
            "operating-time 100000 s",
            "operating-time during-error 65537 s",
            "battery-voltage 3.612 V",
        ]
    );
    assert_eq!(answer.status.alarms, ["bit-0", "bit-2"]);
}

#[test]
fn a_siemens_totalizer_is_a_double_and_its_flow_a_float() {
    let mut registers = [0xFFFF; 20];
    // 3002: 12.34; 3014: 12345.678; 3018, totalizer 2, is another one.
    registers[..2].copy_from_slice(&[0x4145, 0x70A4]);
    registers[12..16].copy_from_slice(&[0x40C8, 0x1CD6, 0xC8B4, 0x3958]);
    let answer = read("siemens-mag-6000", &[(Holding, 3002, &registers)]);
    assert_eq!(told(&answer), ["volume 12345.678", "volume-flow 12.34"]);
}

#[test]
fn a_tuf_sends_its_low_word_first_and_is_read_one_below_its_printed_addresses() {
    let answer = read(
        "tuf-2000m",
        &[
            (Holding, 0, &[0xF3B6, 0x3F9D]),
            (Holding, 8, &[0xE240, 0x0001]),
            (Holding, 32, &[0x6666, 0x41AA]),
            (Holding, 71, &[0x0009]),
        ],
    );
    assert_eq!(told(&answer), ["volume 123456 m3", "volume-flow 1.234 m3/h", "flow-temperature 21.3 degC"]);
    assert_eq!(answer.status.alarms, ["bit-0", "bit-3"]);
}

#[test]
fn a_sharky_is_read_by_its_floats_eight_registers_behind_their_whole_twins() {
    let answer = read(
        "diehl-sharky-775",
        &[
            (Holding, 8, &[0x449A, 0x5000]),
            // The whole number, which is not read, and its float: 123.25.
            (Holding, 10, &[0x0000, 0x007B, 0, 0, 0, 0, 0, 0, 0x42F6, 0x8000]),
            (Holding, 28, &[0x40D0, 0x0000]),
            (Holding, 38, &[0x3F40, 0x0000]),
            (Holding, 46, &[0x4283, 0x0000]),
            (Holding, 54, &[0x4221, 0x0000]),
            (Holding, 144, &[0x0000, 0x000B, 0, 0, 0, 0, 0, 0, 0x4138, 0x0000]),
            // 154 likewise; then error 3 and the number 9999999 of the meter.
            (Holding, 154, &[0x0000, 0x0016, 0, 0, 0, 0, 0, 0, 0x41B4, 0x0000, 0x0003, 0x0098, 0x967F]),
        ],
    );
    assert_eq!(
        told(&answer),
        [
            "energy 1234.5",
            "volume 123.25",
            "power 6.5",
            "volume-flow 0.75",
            "flow-temperature 65.5 degC",
            "return-temperature 40.25 degC",
            "volume/1 11.5",
            "volume/2 22.5",
        ]
    );
    assert_eq!(answer.identity.number.as_deref(), Some("9999999"));
    assert_eq!(answer.status.alarms, ["code-3"]);
}

#[test]
fn a_kamstrup_hc_003_has_seven_floats_of_which_an_absent_one_is_invalid() {
    let registers = [
        0x3FC0, 0x0000, // V1 1.5
        0x4010, 0x0000, // V2 2.25
        0x40F8, 0x0000, // power 7.75
        0x428D, 0x0000, // t1 70.5
        0x4235, 0x0000, // t2 45.25
        0x41AA, 0x6666, // t3 21.3
        0x7FC0, 0x0000, // t4 is not there
    ];
    let answer = read("kamstrup-hc-003", &[(Holding, 0x0000, &registers)]);
    assert_eq!(
        told(&answer),
        [
            "volume-flow 1.5",
            "volume-flow/1 2.25",
            "power 7.75",
            "flow-temperature 70.5 degC",
            "return-temperature 45.25 degC",
            "external-temperature/3 21.3 degC",
            "external-temperature/4 Invalid(\"NaN\") degC",
        ]
    );
}

#[test]
fn an_older_multical_has_four_registers_of_room_for_a_value() {
    let answer = read(
        "kamstrup-multical",
        &[
            (Holding, 4, &[0x3F9D, 0xF3B6]),
            (Holding, 8, &[0x4407, 0xCD71]),
            (Holding, 12, &[0x40F8, 0x0000]),
            (Holding, 16, &[0x428D, 0x0000]),
            (Holding, 20, &[0x4235, 0x0000]),
            // The whole-number twin of the volume and the version, which are not read.
            (Holding, 48, &[0x0000, 0x021F]),
            (Holding, 84, &[0x0102]),
            (Holding, 86, &[0x0005]),
            (Holding, 96, &[0x41B4, 0x0000]),
            (Holding, 144, &[0x0000, 0x0067]),
            (Holding, 152, &[0x0098, 0x967F]),
            (Holding, 168, &[0x0001, 0x86A0]),
        ],
    );
    assert_eq!(
        told(&answer),
        [
            "volume 543.21",
            "volume-flow 1.234",
            "power 7.75",
            "flow-temperature 70.5 degC",
            "return-temperature 45.25 degC",
            "volume/2 22.5",
            "operating-time 100000 h",
        ]
    );
    assert_eq!(answer.identity.number.as_deref(), Some("9999999"));
    assert_eq!(answer.status.alarms, ["bit-0", "bit-2"]);
}

#[test]
fn a_bove_sends_its_low_word_first_and_its_number_in_decimal_digits() {
    let mut registers = [0_u16; 34];
    let mut put =
        |address: usize, words: &[u16]| registers[address - 1..][..words.len()].copy_from_slice(words);
    put(1, &[0xE240, 0x0001]); // flow 123456 in hundredths of a litre
    put(7, &[0xD687, 0x0012]); // forward 1234567 l
    put(10, &[0x464E, 0x0005]); // reverse 345678 l
    put(19, &[0x015E]); // pressure 350 kPa
    put(20, &[0x0003]);
    put(30, &[0x0866]); // temperature 2150 in hundredths
    put(33, &[0x5678, 0x1234]);
    let answer = read("bove-ultrasonic", &[(Holding, 1, &registers)]);
    assert_eq!(
        told(&answer),
        [
            "volume 1234.567 m3",
            "reverse-volume 345.678 m3",
            "volume-flow 1234.56 l/h",
            "pressure 0.350 MPa",
            "flow-temperature 21.50 degC",
        ]
    );
    assert_eq!(answer.identity.number.as_deref(), Some("12345678"));
    assert_eq!(answer.status.alarms, ["bit-0", "bit-1"]);
}

#[test]
fn an_octave_tells_what_flowed_back_and_a_flow_with_its_sign_in_its_own_unit() {
    let answer = read(
        "arad-octave",
        &[
            (Input, 0x00, &[0x0881]),
            // Sixteen registers with a digit in each.
            (Input, 0x01, &[0x31, 0x37, 0x30, 0x34, 0x32, 0x35, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
            (Input, 0x17, &[0]),
            // 1.5 is 3F F8 and zeros, -12.5 is C0 29 and zeros; low byte first.
            (Input, 0x20, &[0x0000, 0x0000, 0x0000, 0xF83F]),
            (Input, 0x29, &[0x0000, 0x0000, 0x0000, 0x29C0]),
            (Input, 0x32, &[4]),
        ],
    );
    assert_eq!(told(&answer), ["reverse-volume 1.5 m3", "volume-flow -12.5 l/min"]);
    assert_eq!(answer.identity.number.as_deref(), Some("170425"));
    assert_eq!(
        (answer.status.battery_low, answer.status.alarms.join(" ")),
        (Some(true), "leak flow-cut-off".into())
    );
}

#[test]
fn a_xintai_sends_its_floats_low_byte_first() {
    let mut registers = [0_u16; 28];
    let mut put =
        |address: usize, words: &[u16]| registers[address - 1..][..words.len()].copy_from_slice(words);
    put(0x01, &[0xA470, 0x4541]); // 12.34
    put(0x03, &[0x0000, 0xC03F]); // 1.5
    put(0x05, &[0x0000, 0x403F]); // 0.75
    put(0x08, &[0x0050, 0x9A44]); // 1234.5
    put(0x0A, &[0xB6F3, 0x9D3F]); // 1.234
    put(0x0C, &[0x6666, 0xAA41]); // 21.3
    put(0x1A, &[0x0000, 0x1040]); // 2.25
    let answer = read("xintai-valve", &[(Holding, 1, &registers)]);
    assert_eq!(
        told(&answer),
        [
            "volume 12.34 m3",
            "reverse-volume 1.5 m3",
            "volume-flow 0.75 m3/h",
            "remaining-volume 1234.5 m3",
            "pressure 1.234 MPa",
            "flow-temperature 21.3 degC",
            "battery-voltage 2.25 V",
        ]
    );
}
