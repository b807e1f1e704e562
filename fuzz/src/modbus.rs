//! Modbus: what a line brings after a request, frames in hand, and what a profile makes of registers.
//!
//! Holds also: an RTU answer's CRC is right, by a CRC of our own; no more values than a profile has.

use std::sync::OnceLock;

use weir_modbus::frame::{FunctionCode, Read, Write, WriteFunction, rtu, tcp};
use weir_modbus::{DecodeError, Profile, decode, profiles};

use crate::outcome;
use crate::{selected, under};

/// Values of one profile at most, as the profile's own check has it.
const VALUES_MAX: usize = 256;

/// Bytes as they came from a serial line, behind a request of six bytes.
const RTU: u8 = 0;
/// Bytes as they came from a connection, behind a request of six bytes.
const TCP: u8 = 1;
/// Frames in hand, behind the number of a profile.
const FRAMES: u8 = 2;
/// Registers, behind the number of a profile.
const REGISTERS: u8 = 3;
/// Bytes as they came in either way, behind an order of eight bytes.
const WRITE: u8 = 4;

/// Looks at one input.
pub fn run(data: &[u8]) {
    let Some((selector, rest)) = selected(data) else { return };
    match selector % 5 {
        RTU => asked(rest, received_rtu),
        TCP => asked(rest, received_tcp),
        FRAMES => with_profile(rest, frames),
        REGISTERS => with_profile(rest, registers),
        _ => written(rest),
    }
}

fn asked(data: &[u8], look: fn(Read, usize, &[u8])) {
    let &[unit, function, s1, s0, count, part, ref received @ ..] = data else { return };
    let function =
        if function & 1 == 0 { FunctionCode::ReadInputRegisters } else { FunctionCode::ReadHoldingRegisters };
    let count = u16::from(count % 125) + 1;
    look(Read { unit, function, start: u16::from_be_bytes([s1, s0]), count }, part.into(), received);
}

fn received_rtu(read: Read, part: usize, received: &[u8]) {
    if let Some(answer) = outcome::recognised(received, part, |received| rtu::recognise(&read, received)) {
        assert!(has_right_crc(&answer), "an answer with a wrong CRC");
        assert_eq!(answer.first(), Some(&read.unit), "another unit's answer");
    }
}

fn received_tcp(read: Read, part: usize, received: &[u8]) {
    let transaction = read.start;
    let recognise = |received: &[u8]| tcp::recognise(&read, transaction, received);
    if let Some(answer) = outcome::recognised(received, part, recognise) {
        assert!(answer.starts_with(&transaction.to_be_bytes()), "another transaction's answer");
        assert_eq!(answer.get(6), Some(&read.unit), "another unit's answer");
    }
}

fn written(data: &[u8]) {
    let &[unit, function, s1, s0, v1, v0, part, framing, ref received @ ..] = data else { return };
    let (start, registers) = (u16::from_be_bytes([s1, s0]), [u16::from_be_bytes([v1, v0]); 2]);
    let function = match function % 3 {
        0 => WriteFunction::Coil,
        1 => WriteFunction::Register,
        _ => WriteFunction::Registers,
    };
    let write = Write { unit, function, start, registers: &registers };
    if framing & 1 == 0 {
        let recognise = |received: &[u8]| rtu::recognise_write(&write, received);
        if let Some(answer) = outcome::recognised(received, part.into(), recognise) {
            assert!(has_right_crc(&answer), "an answer with a wrong CRC");
            assert_eq!(answer.first(), Some(&unit), "another unit's answer");
        }
    } else {
        let recognise = |received: &[u8]| tcp::recognise_write(&write, start, received);
        if let Some(answer) = outcome::recognised(received, part.into(), recognise) {
            assert!(answer.starts_with(&start.to_be_bytes()), "another transaction's answer");
        }
    }
}

/// The shipped profiles, by number.
fn with_profile(data: &[u8], look: impl Fn(&Profile, &[u8])) {
    static PROFILES: OnceLock<Vec<Profile>> = OnceLock::new();
    let shipped =
        PROFILES.get_or_init(|| profiles::names().filter_map(|name| profiles::load(name)?.ok()).collect());
    let Some((number, rest)) = selected(data) else { return };
    if let Some(profile) = shipped.get(usize::from(number) % shipped.len().max(1)) {
        look(profile, rest);
    }
}

fn frames(profile: &Profile, bytes: &[u8]) {
    for start in [None, Some(0), Some(u16::MAX)] {
        if let Ok(answer) = decode(profile, bytes, start) {
            outcome::answer(answer, bytes, VALUES_MAX);
        }
    }
}

/// The whole of a profile's requests, answered from these bytes; what is too short goes on with zeros.
pub(crate) fn registers(profile: &Profile, data: &[u8]) {
    let mut data = data.iter().copied().chain(std::iter::repeat(0));
    let mut telegram = Vec::new();
    for block in profile.requests() {
        assert!((1..=125).contains(&block.count), "a request for {} registers", block.count);
        let read = Read { unit: 1, function: block.function, start: block.start, count: block.count };
        telegram.extend(rtu::request(&read));
        let mut body = vec![1, block.function.code(), u8::try_from(read.data_len()).unwrap_or_default()];
        body.extend(data.by_ref().take(read.data_len()));
        body.extend(crc(&body).to_le_bytes());
        assert!(rtu::is_whole(&body), "two CRCs");
        telegram.extend(body);
    }
    match decode(profile, &telegram, None) {
        Ok(answer) => outcome::answer(answer, &telegram, VALUES_MAX),
        Err(error) => assert!(matches!(error, DecodeError::Elsewhere { .. }), "{error}"),
    }
}

fn has_right_crc(frame: &[u8]) -> bool {
    frame.split_last_chunk().is_some_and(|(body, check)| crc(body) == u16::from_le_bytes(*check))
}

/// CRC-16 as "MODBUS over Serial Line" V1.02, 6.2.2 tells it, bit by bit.
fn crc(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xFFFF, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xA001 } else { crc >> 1 })
    })
}

/// The worked example of the standard, both framings, and registers of every profile.
pub fn seeds() -> Vec<Vec<u8>> {
    let request = [0x11, 0x03, 0x00, 0x6B, 0x02, 0xFF];
    let answer = with_crc(&[0x11, 0x03, 0x06, 0x02, 0x2B, 0x00, 0x00, 0x00, 0x64]);
    let exception = with_crc(&[0x11, 0x83, 0x02]);
    let other = with_crc(&[0x12, 0x03, 0x06, 0x02, 0x2B, 0x00, 0x00, 0x00, 0x64]);
    let tcp = [0x00, 0x6B, 0, 0, 0, 9, 0x11, 0x03, 0x06, 0x02, 0x2B, 0x00, 0x00, 0x00, 0x64];
    let mut seeds = vec![
        under(RTU, &[&request[..], &answer].concat()),
        under(RTU, &[&request[..], &exception].concat()),
        under(RTU, &[&request[..], &[0x00, 0x11], &other, &answer].concat()),
        under(TCP, &[&request[..], &tcp].concat()),
        under(TCP, &[&request[..], &[0x00, 0x6B, 0, 0, 0, 3, 0x11, 0x83, 0x02]].concat()),
    ];
    for (function, code) in [(0, 5), (1, 6), (2, 16)] {
        let value = if function == 2 { [0, 2] } else { [0xFF, 0] };
        let order = [0x11, function, 0x00, 0x1C, 0xFF, 0x00, 0x08];
        let taken = with_crc(&[&[0x11, code, 0x00, 0x1C][..], &value].concat());
        let echo = with_crc(&[0x11, 16, 0x00, 0x1C, 0, 2, 4, 0xFF, 0, 0xFF, 0]);
        let over_tcp = [&[0x00, 0x1C, 0, 0, 0, 6][..], taken.get(..6).unwrap_or_default()].concat();
        seeds.push(under(WRITE, &[&order[..], &[0], &taken].concat()));
        seeds.push(under(WRITE, &[&order[..], &[0, 0x11], &echo, &taken].concat()));
        seeds.push(under(WRITE, &[&order[..], &[1], &over_tcp].concat()));
    }
    let count = profiles::names().count();
    for number in (0..count).filter_map(|number| u8::try_from(number).ok()) {
        let floats: Vec<u8> = (0_u8..60).flat_map(|n| [0x42, 0xF6, n, 0x79]).collect();
        let small: Vec<u8> = (0_u8..120).flat_map(|n| [0, n]).collect();
        seeds.push(under(REGISTERS, &under(number, &floats)));
        seeds.push(under(REGISTERS, &under(number, &small)));
    }
    let asked = with_crc(&[0x11, 0x03, 0x00, 0x00, 0x00, 0x03]);
    seeds.push(under(FRAMES, &under(4, &[&asked[..], &answer].concat())));
    seeds.push(under(FRAMES, &under(5, &tcp)));
    seeds
}

fn with_crc(body: &[u8]) -> Vec<u8> {
    [body, &crc(body).to_le_bytes()].concat()
}
