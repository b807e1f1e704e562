//! DL/T 645: what a line brings after a request, what stands in a frame, and any text as a profile.
//!
//! Holds also: the checksum of what gave values is right, by a sum of our own; a frame is read as it was written; no more
//! values than bytes.

use std::sync::OnceLock;

use weir_dlt645::{Address, Expected, Frame, Profile, READ, READ_NEXT, decode, encode, recognise};

use crate::outcome;
use crate::profiles::have_places;
use crate::{selected, under};

/// Bytes as they came from a line.
const RECEIVED: u8 = 0;
/// Number of a profile, control code and data of a frame, without the offset.
const FRAME: u8 = 1;
/// The text of a profile.
const PROFILE: u8 = 2;
/// The meter whose frames these are.
const METER: &str = "202107072529";
/// Energy taken, and the block of its tariffs.
const ENERGY: u32 = 0x0001_0000;
const TARIFFS: u32 = 0x0001_FF00;
/// C of the address reading and of the relay's order.
const READ_ADDRESS: u8 = 0x13;
const RELAY: u8 = 0x1C;
/// Most bytes of data in a frame.
const DATA_MAX: usize = 200;

/// Looks at one input.
pub fn run(data: &[u8]) {
    let Some((selector, rest)) = selected(data) else { return };
    let Ok(address) = METER.parse::<Address>() else { return };
    match selector % 3 {
        RECEIVED => received(&address, rest),
        PROFILE => {
            let Ok(text) = std::str::from_utf8(rest) else { return };
            Profile::parse(text).err().iter().for_each(|faults| have_places(faults, text));
        }
        _ => {
            let &[profile, control, ref data @ ..] = rest else { return };
            let data = data.get(..data.len().min(DATA_MAX)).unwrap_or_default();
            let frame = encode(profile >> 6, &address, control, data);
            assert!(has_right_sum(&frame));
            let read = Frame::parse(&frame).ok();
            assert!(
                read.is_some_and(|read| read.address == address
                    && read.control == control
                    && read.data == data),
                "a frame is not read as it was written"
            );
            look(profile, &frame);
        }
    }
}

fn received(address: &Address, bytes: &[u8]) {
    let part = bytes.first().map_or(0, |byte| usize::from(*byte));
    for (address, control, di, sequence) in [
        (*address, READ, Some(ENERGY), None),
        (*address, READ_NEXT, Some(TARIFFS), Some(1)),
        (Address::ANY, READ_ADDRESS, None, None),
        (*address, RELAY, None, None),
    ] {
        let expected = Expected { address, control, di, sequence };
        if let Some(answer) = outcome::recognised(bytes, part, |bytes| recognise(bytes, &expected)) {
            assert!(has_right_sum(&answer), "an answer with a wrong checksum");
        }
    }
    if let Ok(frame) = Frame::parse(bytes) {
        assert!(has_right_sum(bytes), "a frame with a wrong checksum");
        assert!(frame.data.len() < bytes.len());
    }
    look(bytes.len().to_le_bytes()[0], bytes);
}

fn look(number: u8, bytes: &[u8]) {
    static PROFILES: OnceLock<Vec<Profile>> = OnceLock::new();
    let profiles = PROFILES.get_or_init(|| {
        Profile::BUILT_IN.iter().filter_map(|(name, _)| Profile::built_in(name)?.ok()).collect()
    });
    let Some(profile) = profiles.get(usize::from(number) % profiles.len().max(1)) else { return };
    if let Ok(answer) = decode(bytes, profile) {
        assert!(has_right_sum(bytes), "values of a frame with a wrong checksum");
        outcome::answer(answer, bytes, bytes.len());
    }
}

/// `FE… 68 A0…A5 68 C L … CS 16`, summed here.
fn has_right_sum(frame: &[u8]) -> bool {
    let awake = frame.iter().take_while(|byte| **byte == 0xFE).count();
    let Some([0x68, body @ .., sum, 0x16]) = frame.get(awake..) else { return false };
    let total: u32 = 0x68 + body.iter().copied().map(u32::from).sum::<u32>();
    body.get(6) == Some(&0x68)
        && body.get(8).is_some_and(|length| usize::from(*length) + 9 == body.len())
        && total % 256 == u32::from(*sum)
}

/// Answers to all that the profiles ask for, further frames, errors, and what stands on a line.
pub fn seeds() -> Vec<Vec<u8>> {
    let digits = [0x56, 0x34, 0x12, 0x80, 0x78, 0x00, 0xFF, 0xFF, 0xFF, 0x99, 0x05, 0x22];
    let mut seeds = Vec::new();
    for di in [ENERGY, 0x0002_0000, TARIFFS, 0x0201_FF00, 0x0202_FF00, 0x0203_0000, 0x0400_0503] {
        for (profile, control, bytes) in [(0, 0x91, 4), (0x41, 0x91, 12), (2, 0xB1, 8), (0x82, 0x92, 5)] {
            let payload = digits.iter().take(bytes).copied();
            let data: Vec<u8> = di.to_le_bytes().into_iter().chain(payload).collect();
            seeds.push(under(FRAME, &[&[profile, control][..], &data].concat()));
        }
    }
    seeds.extend(Profile::BUILT_IN.iter().map(|(_, text)| under(PROFILE, text.as_bytes())));
    seeds.push(under(FRAME, &[0, 0xD1, 0x02]));
    seeds.push(under(FRAME, &[0, 0x9C]));
    if let Ok(address) = METER.parse::<Address>() {
        let energy = [&ENERGY.to_le_bytes()[..], &[0x56, 0x34, 0x12, 0x00]].concat();
        let frame = encode(4, &address, 0x91, &energy);
        let next =
            encode(0, &address, 0x92, &[&TARIFFS.to_le_bytes()[..], &[0x00, 0x01, 0, 0, 0x01]].concat());
        let who = encode(2, &address, 0x93, &address.wire());
        for frame in [&frame, &next, &who] {
            seeds.push(under(RECEIVED, frame));
        }
        seeds.push(under(RECEIVED, &[&[0x68, 0x10, 0x00][..], &frame, &next].concat()));
    }
    seeds
}
