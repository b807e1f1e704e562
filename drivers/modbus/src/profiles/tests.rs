//! Every shipped profile loads, and reads what its source says.

use weir_wire::{Content, Valve};

use super::*;
use crate::evaluate::{Image, KeepRaw, answer};
use crate::frame::FunctionCode;

mod images;

fn good(name: &str) -> Profile {
    let text = text(name).unwrap();
    load(name).unwrap().unwrap_or_else(|faults| {
        let told: Vec<String> =
            faults.iter().map(|fault| format!("{:?}: {fault}", fault.position(text))).collect();
        panic!("{name}: {}", told.join("\n"))
    })
}

#[test]
fn every_shipped_profile_is_good_and_says_where_it_comes_from() {
    for name in names() {
        let profile = good(name);
        assert!(!profile.requests().is_empty(), "{name}");
        assert!(profile.source().is_some_and(|source| !source.is_empty()), "{name}");
        assert!(text(name).unwrap().contains("\nverified = false\n"), "{name}: who has seen the meter?");
    }
}

#[test]
fn every_profile_file_is_shipped() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/profiles");
    let mut files: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .filter_map(|file| file.unwrap().file_name().to_str()?.strip_suffix(".toml").map(str::to_owned))
        .collect();
    files.sort();
    assert_eq!(files, names().collect::<Vec<_>>());
}

#[test]
fn every_profile_is_read_in_as_few_requests_as_its_source_allows() {
    let requests = |name| {
        let blocks = good(name).requests().to_vec();
        blocks.iter().map(|block| (block.function.code(), block.start, block.count)).collect::<Vec<_>>()
    };
    assert_eq!(requests("generic-20"), [(3, 0, 20)]);
    assert_eq!(requests("generic-ultrasonic"), [(3, 0, 17)]);
    assert_eq!(requests("bove-ultrasonic"), [(3, 1, 34)]);
    assert_eq!(requests("xintai-valve"), [(3, 1, 28)]);
    assert_eq!(requests("dynaflox-ultrad"), [(3, 0, 17)]);
    assert_eq!(requests("siemens-mag-6000"), [(3, 3002, 16)]);
    assert_eq!(requests("abb-aquamaster-3"), [(3, 12_002, 2), (4, 1022, 2), (4, 4012, 2)]);
    assert_eq!(requests("tuf-2000m"), [(3, 0, 10), (3, 32, 2), (3, 71, 1)]);
    assert_eq!(requests("kamstrup-hc-003"), [(3, 0, 14)]);
    assert_eq!(requests("kamstrup-multical").len(), 9);
    let sharky = [(8, 2), (18, 2), (28, 2), (38, 2), (46, 2), (54, 2), (152, 2), (162, 5)];
    assert_eq!(requests("diehl-sharky-775"), sharky.map(|(start, count)| (3, start, count)));
    assert_eq!(requests("arad-octave"), [(4, 0, 28), (4, 0x20, 4), (4, 0x29, 4), (4, 0x32, 1)]);
}

#[test]
fn a_xintai_meter_with_a_closed_valve_and_a_low_battery_is_understood() {
    let mut registers = [0_u16; 28];
    let mut put =
        |address: usize, words: &[u16]| registers[address - 1..][..words.len()].copy_from_slice(words);
    put(0x01, &[0x1F85, 0x0B3F]);
    put(0x07, &[0x0055]);
    put(0x12, &[0x0000, 0x0000, 0x4000, 0x0001]);
    put(0x16, &[0x2026, 0x1123, 0x0314, 0x5900]);
    put(0x1C, &[0b1010]);
    let mut image = Image::default();
    let data = registers.iter().flat_map(|register| register.to_be_bytes()).collect();
    image.add(FunctionCode::ReadHoldingRegisters, 1, data);
    let answer = answer(&good("xintai-valve"), &image, KeepRaw::Uninterpreted);
    assert_eq!(answer.values[0].content, Content::Number("0.545".parse().unwrap()));
    assert_eq!(answer.identity.number.as_deref(), Some("0000000040000001"));
    assert_eq!(answer.meter_time.unwrap().to_string(), "2026-11-23T03:14:59");
    assert_eq!(answer.status.valve, Some(Valve::Closed));
    assert_eq!(answer.status.battery_low, Some(true));
    assert_eq!(answer.status.alarms, ["empty-pipe"]);
}

#[test]
fn an_octave_tells_its_volume_in_the_unit_it_is_set_to() {
    let mut image = Image::default();
    let mut registers = [0_u16; 28];
    registers[1..5].copy_from_slice(&[0x4F31, 0x3233, 0x3400, 0]);
    registers[0x11..0x18].copy_from_slice(&[1, 23, 11, 26, 3, 14, 8]);
    // 12345.678 is 40 C8 1C D6 C8 B4 39 58, all eight bytes low byte first.
    registers[0x18..].copy_from_slice(&[0x5839, 0xB4C8, 0xD61C, 0xC840]);
    let data = registers.iter().flat_map(|register| register.to_be_bytes()).collect();
    image.add(FunctionCode::ReadInputRegisters, 0, data);
    let answer = answer(&good("arad-octave"), &image, KeepRaw::Uninterpreted);
    assert_eq!(answer.identity.number.as_deref(), Some("O1234"));
    assert_eq!(answer.meter_time.unwrap().to_string(), "2026-11-23T03:14:00");
    assert_eq!(answer.values[0].content, Content::Number("12345.678".parse().unwrap()));
    assert_eq!(answer.values[0].unit, Some(weir_wire::Unit::Litre));
    assert_eq!(answer.values.len(), 1, "the other blocks were not read");
}

#[test]
fn the_one_meter_with_a_valve_says_how_it_is_moved() {
    let told = names().filter_map(|name| Some((name, good(name).valve()?))).collect::<Vec<_>>();
    let xintai = "function 06 at 28, open 0001, close 0002; read back from 28 after 3000 to 30000 ms";
    assert_eq!(told, [("xintai-valve", xintai.to_owned())]);
}
