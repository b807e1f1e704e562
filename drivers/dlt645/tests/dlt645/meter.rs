//! A meter's side of the protocol, put together byte by byte and not by the crate under test.

use std::sync::Arc;

use weir_dlt645::{Address, Dlt645, Expected, Profile, READ};

pub(crate) const NUMBER: &str = "202107072529";
pub(crate) const WIRE: [u8; 6] = [0x29, 0x25, 0x07, 0x07, 0x21, 0x20];
/// Forward active energy, total.
pub(crate) const ENERGY: u32 = 0x0001_0000;

pub(crate) fn address() -> Address {
    NUMBER.parse().unwrap()
}

pub(crate) fn named(profile: &str) -> Profile {
    Profile::built_in(profile).unwrap().unwrap()
}

pub(crate) fn driver(profile: &str) -> Dlt645 {
    Dlt645::new(address(), Arc::new(named(profile)))
}

pub(crate) fn expecting(di: u32) -> Expected {
    Expected { address: address(), control: READ, di: Some(di), sequence: None }
}

pub(crate) fn frame(wire: [u8; 6], control: u8, data: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x68];
    frame.extend(wire);
    frame.extend([0x68, control, u8::try_from(data.len()).unwrap()]);
    frame.extend(data.iter().map(|byte| byte.wrapping_add(0x33)));
    let sum = frame.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
    frame.extend([sum, 0x16]);
    frame
}

/// A positive answer to the read of an identifier.
pub(crate) fn answer(di: u32, payload: &[u8]) -> Vec<u8> {
    frame(WIRE, 0x91, &[&di.to_le_bytes()[..], payload].concat())
}

/// A request with the standard's four wake-up bytes.
pub(crate) fn asked(control: u8, data: &[u8]) -> Vec<u8> {
    [&[0xFE; 4][..], &frame(WIRE, control, data)].concat()
}

pub(crate) fn read_of(di: u32) -> Vec<u8> {
    asked(0x11, &di.to_le_bytes())
}
