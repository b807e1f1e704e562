//! CJ/T 188: what a line brings after a request, and what stands in a frame.
//!
//! Holds also: the checksum of what gave values is right, by a sum of our own; no more values than bytes.

use std::sync::OnceLock;

use weir_cjt188::{
    Address, DiOrder, Expected, Frame, Profile, Reply, Request, ValveOrder, decode, encode, recognise,
};

use crate::outcome;
use crate::{selected, under};

/// Bytes as they came from a line.
const RECEIVED: u8 = 0;
/// Number of a profile, control code and data of a frame.
const FRAME: u8 = 1;
/// The meter whose frames these are: type and number.
const METER: &str = "78330011223344";

/// Looks at one input.
pub fn run(data: &[u8]) {
    let Some((selector, rest)) = selected(data) else { return };
    let Ok(address) = METER.parse::<Address>() else { return };
    match selector % 2 {
        RECEIVED => received(&address, rest),
        _ => {
            let &[profile, control, ref data @ ..] = rest else { return };
            let data = data.get(..data.len().min(0xFF)).unwrap_or_default();
            let frame = encode(profile >> 6, &address, control, data);
            assert!(has_right_sum(&frame));
            look(profile, &frame);
        }
    }
}

fn received(address: &Address, bytes: &[u8]) {
    let part = bytes.first().map_or(0, |byte| usize::from(*byte));
    for (control, di, ser) in
        [(0x01, 0x901F, None), (0x01, 0x901F, Some(0)), (0x04, 0xA017, None), (0x03, 0x810A, None)]
    {
        let expected = Expected { address: *address, renamed: None, control, di, ser };
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
    if let Ok(reply) = Reply::parse(bytes, profile) {
        assert!(has_right_sum(bytes), "a reply of a frame with a wrong checksum");
        take_apart(&reply, profile);
    }
    if let Ok(answer) = decode(bytes, profile) {
        assert!(has_right_sum(bytes), "values of a frame with a wrong checksum");
        outcome::answer(answer, bytes, bytes.len());
    }
}

/// Everything that a reply may be read as, and what is written back of it.
fn take_apart(reply: &Reply, profile: &Profile) {
    if let Ok(table) = reply.price_table(profile)
        && let Ok(request) = Request::write_price_table(&table, 1, profile)
    {
        resent(&request, profile);
    }
    if let Ok(day) = reply.day() {
        assert!((1..=31).contains(&day));
    }
    if let Ok(purchase) = reply.purchase(profile) {
        let again = Request::write_purchase(purchase.sequence, &purchase.last, profile);
        again.iter().for_each(|request| resent(request, profile));
    }
    let _ = (reply.credited(profile), reply.key_version(), reply.written(profile));
    let valve = Request::turn_valve(ValveOrder::Open, profile);
    valve.iter().for_each(|request| resent(request, profile));
}

fn resent(request: &Request, profile: &Profile) {
    if let Ok(address) = METER.parse() {
        let frame = request.encode(&address, DiOrder::LowFirst, 0, profile);
        assert!(has_right_sum(&frame), "a request with a wrong checksum");
    }
}

/// `FE… 68 T A0…A6 C L … CS 16`, summed here.
fn has_right_sum(frame: &[u8]) -> bool {
    let awake = frame.iter().take_while(|byte| **byte == 0xFE).count();
    let Some([0x68, body @ .., sum, 0x16]) = frame.get(awake..) else { return false };
    let total: u32 = 0x68 + body.iter().copied().map(u32::from).sum::<u32>();
    body.get(9).is_some_and(|length| usize::from(*length) + 10 == body.len())
        && total % 256 == u32::from(*sum)
}

/// Answers by the layouts of the standard.
pub fn seeds() -> Vec<Vec<u8>> {
    let metering = [
        0x1F, 0x90, 0x00, 0x00, 0x77, 0x66, 0x55, 0x2C, 0x00, 0x77, 0x66, 0x55, 0x2C, 0x31, 0x01, 0x22, 0x11,
        0x05, 0x15, 0x20, 0x21, 0x84,
    ];
    let mut seeds: Vec<Vec<u8>> =
        (0..7).map(|n| under(FRAME, &[&[n, 0x81][..], &metering].concat())).collect();
    let identifiers = [
        [0x20, 0xD1],
        [0x2B, 0xD1],
        [0x02, 0x81],
        [0x03, 0x81],
        [0x04, 0x81],
        [0x05, 0x81],
        [0x0A, 0x81],
        [0x19, 0xA0],
    ];
    for di in identifiers {
        for control in [0x81, 0x84, 0x83, 0xC1] {
            seeds.push(under(FRAME, &[&[0, control][..], &di, &[0x00], &metering[3..]].concat()));
        }
    }
    seeds.push(under(FRAME, &[0, 0xC1, 0x00, 0x04, 0x80]));
    if let Ok(address) = METER.parse::<Address>() {
        let frame = encode(4, &address, 0x81, &metering);
        seeds.push(under(RECEIVED, &frame));
        seeds.push(under(RECEIVED, &[&[0x68, 0x10, 0x00][..], &frame, &frame].concat()));
    }
    seeds
}
