//! M-Bus: what a line brings, and what stands in a telegram, also in one that is encrypted.
//!
//! Holds also: an answer's checksum is right, by a sum of our own; no more values than bytes.

use aes::Aes128;
use cbc::Encryptor;
use cbc::cipher::{Block, BlockModeEncrypt as _, KeyIvInit as _};
use weir_mbus::{Key, MeterId, Options, Secondary, VifText, decode, frame};

use crate::outcome;
use crate::{selected, under};

/// Bytes as they came from a line.
const RECEIVED: u8 = 0;
/// The data of a long frame with CI 72, from the identification number on.
const LONG_HEADER: u8 = 1;
/// CI and data of a long frame.
const TELEGRAM: u8 = 2;
/// Records that are encrypted in mode 5 behind a long header.
const SEALED: u8 = 3;
/// A secondary address as somebody types it.
const TYPED: u8 = 4;
const RSP_UD: u8 = 0x08;

const KEY: [u8; 16] = [7; 16];
const METER: MeterId =
    MeterId { number: [0x78, 0x56, 0x34, 0x12], manufacturer: [0xE6, 0x1E], version: 0x3C, device: 7 };

/// Looks at one input.
pub fn run(data: &[u8]) {
    let Some((selector, rest)) = selected(data) else { return };
    match selector % 5 {
        RECEIVED => received(rest),
        LONG_HEADER => telegram(0x72, rest),
        SEALED => telegram(0x72, &sealed(rest)),
        TYPED => typed(rest),
        _ => {
            if let Some((&information, rest)) = rest.split_first() {
                telegram(information, rest);
            }
        }
    }
}

fn typed(text: &[u8]) {
    let Ok(text) = std::str::from_utf8(text) else { return };
    if let Ok(address) = text.parse::<Secondary>() {
        assert_eq!(Secondary::from_wire(address.wire()), address);
        assert!(address.covers(&address) && Secondary::ANY.covers(&address), "{text:?}");
        assert_eq!(address.to_string().parse(), Ok(address), "{text:?}");
    }
}

fn received(bytes: &[u8]) {
    let part = bytes.first().map_or(0, |byte| usize::from(*byte));
    for address in [None, Some(1), Some(254)] {
        let answer = outcome::recognised(bytes, part, |bytes| frame::recognise_response(bytes, address));
        if let Some(answer) = answer {
            assert!(has_right_sum(&answer), "an answer with a wrong checksum");
        }
    }
    outcome::recognised(bytes, part, frame::recognise_acknowledge);
    look(bytes);
}

fn telegram(information: u8, data: &[u8]) {
    if let Some(frame) = frame::long(RSP_UD, 1, information, data) {
        assert!(has_right_sum(&frame));
        look(&frame);
    }
}

/// The data of a telegram of mode 5: AES-128-CBC from manufacturer, number, version, device and 8 access numbers on.
fn sealed(records: &[u8]) -> Vec<u8> {
    const ACCESS: u8 = 0x2A;
    let MeterId { number, manufacturer, version, device } = METER;
    let head = [&number[..], &manufacturer, &[version, device, ACCESS, 0]].concat();
    let mut plain = [&[0x2F, 0x2F], records].concat();
    // 15 blocks are all that the configuration word can say, and a frame with them is nearly the longest there is.
    plain.resize(plain.len().next_multiple_of(16).min(14 * 16), 0x2F);
    let mut start = [ACCESS; 16];
    for (to, from) in start.iter_mut().zip(manufacturer.iter().chain(&number).chain(&[version, device])) {
        *to = *from;
    }
    let mut cipher = Encryptor::<Aes128>::new((&KEY).into(), (&start).into());
    for block in plain.as_chunks_mut::<16>().0 {
        let mut sealed: Block<Aes128> = (*block).into();
        cipher.encrypt_block(&mut sealed);
        *block = sealed.into();
    }
    let blocks = u8::try_from(plain.len() / 16).unwrap_or(0);
    [&head[..], &[blocks << 4, 5], &plain].concat()
}

fn look(bytes: &[u8]) {
    // One of the ways in which a meter may be configured.
    let with_key = bytes.len() & 1 == 0 || bytes.get(18) == Some(&5);
    let options = Options {
        key: with_key.then(|| Key::new(KEY)),
        meter: with_key.then_some(METER),
        vif_text: if bytes.len() & 2 == 0 { VifText::Auto } else { VifText::AsSent },
        valve: None,
    };
    if let Ok(answer) = decode(bytes, &options) {
        assert!(holds_right_sum(bytes), "values of a frame with a wrong checksum");
        outcome::answer(answer, bytes, bytes.len());
    }
}

/// Whether there is such a frame anywhere: a telegram in hand may have noise around it.
fn holds_right_sum(bytes: &[u8]) -> bool {
    (0..bytes.len()).any(|start| {
        let rest = bytes.get(start..).unwrap_or_default();
        let length = rest.get(1).map_or(0, |length| usize::from(*length));
        rest.get(..length + 6).is_some_and(has_right_sum)
    })
}

/// `68 L L 68 … CS 16`, summed here.
fn has_right_sum(frame: &[u8]) -> bool {
    let [0x68, first, second, 0x68, body @ .., sum, 0x16] = frame else { return false };
    let total: u32 = body.iter().copied().map(u32::from).sum();
    first == second && usize::from(*first) == body.len() && total % 256 == u32::from(*sum)
}

/// Made by the examples of EN 13757-3: a water meter with every kind of record.
pub fn seeds() -> Vec<Vec<u8>> {
    let header: &[u8] = &[0x78, 0x56, 0x34, 0x12, 0xE6, 0x1E, 0x3C, 0x07, 0x2A, 0x00, 0x00, 0x00];
    let records: &[&[u8]] = &[
        // Volume, flow, temperature; month-end volumes; errors; operating time; dates of types F, G, I, J.
        &[0x0C, 0x13, 0x27, 0x04, 0x85, 0x02, 0x04, 0x13, 0x15, 0xCD, 0x5B, 0x07],
        &[0x0B, 0x3B, 0x00, 0x01, 0xF0, 0x0A, 0x5A, 0x23, 0x01, 0x02, 0x65, 0x34, 0x12],
        &[0x42, 0x6C, 0x7F, 0x2C, 0x4C, 0x13, 0x11, 0x11, 0x11, 0x11, 0x82, 0x01, 0x6C, 0xE1, 0xF1],
        &[
            0x04, 0x6D, 0x1E, 0x0A, 0x77, 0x2B, 0x06, 0x6D, 0x1E, 0x0A, 0x0A, 0x77, 0x2B, 0x00, 0x03, 0x6D,
            1, 2, 3,
        ],
        &[
            0x05, 0x3E, 0x00, 0x00, 0xC0, 0x3F, 0x07, 0x13, 1, 2, 3, 4, 5, 6, 7, 8, 0x0E, 0x13, 1, 2, 3, 4,
            5, 6,
        ],
        &[0x0D, 0xFD, 0x11, 0x05, b'o', b'l', b'l', b'e', b'H', 0x0D, 0x78, 0xC2, 0x34, 0x12],
        &[
            0x02, 0xFD, 0x17, 0x04, 0x00, 0x01, 0xFD, 0x0C, 0x09, 0x01, 0xFD, 0x71, 0x9C, 0x32, 0xFB, 0x00,
            1, 2,
        ],
        &[0x01, 0xFC, 0x03, b'H', b'R', b'%', 0x74, 0x2F, 0x02, 0xFC, 3, b'm', b'b', b'a', 0x34, 0x12],
        &[
            0x84, 0x8F, 0x8F, 0x4F, 0x93, 0x7F, 0xFF, 0x15, 1, 2, 3, 4, 0x04, 0x93, 0x3C, 1, 0, 0, 0, 0x2F,
            0x2F,
        ],
        &[
            0x92, 0x00, 0x3B, 0x10, 0x27, 0xD2, 0x40, 0x3B, 0x10, 0x27, 0x62, 0x3B, 0, 0, 0x34, 0x6D, 0, 0,
            0, 0,
        ],
        &[0x0F, 0xDE, 0xAD, 0xBE, 0xEF],
        &[0x04, 0x13, 1, 0, 0, 0, 0x1F],
    ];
    let all: Vec<u8> = header.iter().chain(records.iter().take(10).copied().flatten()).copied().collect();
    let mut seeds = vec![under(LONG_HEADER, &all)];
    seeds.extend(records.iter().map(|record| under(LONG_HEADER, &[header, record].concat())));
    let short_header = [&[0x7A, 0x2A, 0x00, 0x00, 0x00][..], &[0x04, 0x13, 1, 0, 0, 0]].concat();
    let fixed = [0x73, 0x78, 0x56, 0x34, 0x12, 0x0A, 0x00, 0xE9, 0x7E, 0x01, 0, 0, 0, 0x35, 0x01, 0, 0];
    for telegram in [&short_header[..], &fixed, &[0x78, 0x04, 0x13, 1, 0, 0, 0], &[0x70, 0x08], &[0x71, 0x01]]
    {
        seeds.push(under(TELEGRAM, telegram));
    }
    if let Some(frame) = frame::long(RSP_UD, 1, 0x72, &all) {
        seeds.push(under(RECEIVED, &frame));
        seeds.push(under(RECEIVED, &[&[0x00, 0xFF, 0x68, 0x03], &frame[..], &[0xE5]].concat()));
    }
    seeds.push(under(RECEIVED, &[0xE5]));
    seeds.extend(records.iter().map(|record| under(SEALED, record)));
    let typed = ["12345678", "12345678.ELS.02.07", "1234????.???.FF.07", "12F45678.1EE6"];
    seeds.extend(typed.map(|text| under(TYPED, text.as_bytes())));
    // Mode 7 with its message counter, and an authentication layer in front: the codes are wrong.
    let mode7 =
        [header.get(..10).unwrap_or_default(), &[0x10, 0x27, 0x51, 0x09, 1, 0, 0, 0], &[0x5A; 16]].concat();
    seeds.push(under(LONG_HEADER, &mode7));
    let afl = [
        &[0x90, 0x0F, 0x00, 0x2C, 0x25, 1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0x7A, 0x2A, 0, 0x10, 0x25][..],
        &[0x5A; 16],
    ];
    seeds.push(under(TELEGRAM, &afl.concat()));
    seeds
}
