//! A meter's side of the protocol, put together byte by byte and not by the crate under test.

use weir_cjt188::{Address, Expected};

/// Number of the meter in the published 2018-order frames.
pub(crate) const NUMBER: &str = "78330011223344";
/// Its wire form: type T, then A0 to A6.
pub(crate) const WIRE: [u8; 8] = [0x10, 0x44, 0x33, 0x22, 0x11, 0x00, 0x33, 0x78];

/// Payload of the published answer: 556677.00 m3 twice, 2015-05-11 22:01:31, ST 21 84.
pub(crate) const PAYLOAD: [u8; 19] = [
    0x00, 0x77, 0x66, 0x55, 0x2C, 0x00, 0x77, 0x66, 0x55, 0x2C, 0x31, 0x01, 0x22, 0x11, 0x05, 0x15, 0x20,
    0x21, 0x84,
];

pub(crate) fn address() -> Address {
    NUMBER.parse().unwrap()
}

pub(crate) fn expecting(ser: u8) -> Expected {
    Expected::metering(address(), Some(ser))
}

pub(crate) fn frame(wire: [u8; 8], control: u8, data: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x68];
    frame.extend(wire);
    frame.extend([control, u8::try_from(data.len()).unwrap()]);
    frame.extend(data);
    let sum = frame.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
    frame.extend([sum, 0x16]);
    frame
}

/// The answer to a read, identifier in this order.
pub(crate) fn answer(di: [u8; 2], ser: u8) -> Vec<u8> {
    frame(WIRE, 0x81, &[&di[..], &[ser], &PAYLOAD].concat())
}

/// The request that this answer belongs to, with the standard's four wake-up bytes.
pub(crate) fn request(di: [u8; 2], ser: u8) -> Vec<u8> {
    [&[0xFE; 4][..], &frame(WIRE, 0x01, &[di[0], di[1], ser])].concat()
}

pub(crate) fn error_answer(ser: u8, st: [u8; 2]) -> Vec<u8> {
    frame(WIRE, 0xC1, &[ser, st[0], st[1]])
}

pub(crate) const LOW_FIRST: [u8; 2] = [0x1F, 0x90];
pub(crate) const HIGH_FIRST: [u8; 2] = [0x90, 0x1F];
