//! What a line carries besides the answer, and that none of it is taken for the answer.

use weir_cjt188::{Address, Expected, recognise};
use weir_meter::Recognised;

use crate::meter::*;

fn garbled(received: &[u8]) -> String {
    match recognise(received, &expecting(3)) {
        Recognised::Garbled { why } => why,
        other => panic!("{other:?}"),
    }
}

fn foreign(received: &[u8]) -> String {
    match recognise(received, &expecting(3)) {
        Recognised::Foreign { end, why } if end == received.len() => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_answer_ends_where_its_length_says() {
    for (wake_up, di) in [(0, LOW_FIRST), (1, HIGH_FIRST), (4, LOW_FIRST), (40, HIGH_FIRST)] {
        let received = [&vec![0xFE; wake_up][..], &answer(di, 3)].concat();
        let whole = Recognised::Answer { start: wake_up, end: wake_up + 35 };
        assert_eq!(recognise(&received, &expecting(3)), whole);
        let more = [&received[..], &[0xFF, 0x68, 0x00]].concat();
        assert_eq!(recognise(&more, &expecting(3)), whole, "stays the answer whatever follows");
    }
}

#[test]
fn how_much_is_missing_is_known_as_soon_as_the_length_is() {
    let received = answer(LOW_FIRST, 3);
    for count in 0..received.len() {
        let missing = if count < 11 { 13 - count } else { 35 - count };
        assert_eq!(
            recognise(&received[..count], &expecting(3)),
            Recognised::Incomplete { missing },
            "{count}"
        );
    }
}

#[test]
fn another_meters_answer_is_foreign() {
    let mut wire = WIRE;
    wire[1] = 0x45;
    let other = frame(wire, 0x81, &[&LOW_FIRST[..], &[3], &PAYLOAD].concat());
    assert_eq!(foreign(&other), "answer of meter 78330011223345, asked was 78330011223344");
    wire = WIRE;
    wire[0] = 0x11;
    let other_type = frame(wire, 0x81, &[&LOW_FIRST[..], &[3], &PAYLOAD].concat());
    assert_eq!(foreign(&other_type), "answer of meter 11:78330011223344, asked was 78330011223344");
}

#[test]
fn the_meters_answer_to_something_else_is_foreign() {
    assert!(foreign(&answer(LOW_FIRST, 2)).starts_with("answer with SER 02, asked was 03"));
    assert!(foreign(&error_answer(2, [0, 0])).starts_with("answer with SER 02, asked was 03"));
    assert_eq!(foreign(&frame(WIRE, 0x83, &[0x0A, 0x81, 3])), "answer to another request (C=83)");
    assert_eq!(foreign(&frame(WIRE, 0xC4, &[3, 0, 0])), "answer to another request (C=C4)");
    assert_eq!(foreign(&frame(WIRE, 0x81, &[0x03, 0x81, 3, 0x01])), "answer with DI 8103, asked was 901F");
    assert_eq!(foreign(&frame(WIRE, 0x81, &[0x1F])), "answer without DI");
    assert_eq!(foreign(&request(LOW_FIRST, 3)), "a request (C=01), not an answer");
}

#[test]
fn a_dlt645_frame_on_the_same_line_is_foreign_for_that_reason() {
    let dlt645 = [
        0x68, 0x94, 0x41, 0x03, 0x26, 0x12, 0x18, 0x68, 0x93, 0x06, 0xC7, 0x74, 0x36, 0x59, 0x45, 0x4B, 0xEB,
        0x16,
    ];
    assert_eq!(foreign(&dlt645), "a DL/T 645 frame (second 68 at offset 7)");
    let then_ours = [&dlt645[..], &answer(LOW_FIRST, 3)].concat();
    assert!(matches!(recognise(&then_ours, &expecting(3)), Recognised::Foreign { end: 18, .. }));
}

#[test]
fn a_damaged_dlt645_frame_is_not_called_one() {
    let mut dlt645 = [0x68, 0, 0, 0, 0, 0, 0x01, 0x68, 0x93, 0x02, 0x65, 0x66, 0x00, 0x16];
    let sum = dlt645[..12].iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
    dlt645[12] = sum;
    assert_eq!(foreign(&dlt645), "a DL/T 645 frame (second 68 at offset 7)");
    dlt645[12] = sum ^ 0x01;
    assert_eq!(recognise(&dlt645, &expecting(3)), Recognised::Incomplete { missing: 13 });
}

#[test]
fn a_length_that_dlt645_does_not_have_is_not_waited_for() {
    let mut wire = WIRE;
    wire[6] = 0x68;
    // Seen as DL/T 645 the control code D5 is the length, and over its limit of C8.
    for (control, is_waited_for) in [(0xD5, false), (0xC1, true)] {
        // The FF keeps the 68 at offset 7 from being a frame's start of its own.
        let mut other = frame(wire, control, &[3, 0, 0, 0, 0, 0, 0xFF]);
        other[13] ^= 0x01;
        let verdict = recognise(&other, &expecting(3));
        assert_eq!(matches!(verdict, Recognised::Incomplete { .. }), is_waited_for, "{verdict:?}");
    }
}

#[test]
fn an_answer_that_broke_off_does_not_hide_the_whole_one_behind_it() {
    let received = [&answer(LOW_FIRST, 3)[..20], &answer(LOW_FIRST, 3)].concat();
    assert_eq!(recognise(&received[..25], &expecting(3)), Recognised::Incomplete { missing: 8 });
    assert_eq!(recognise(&received[..33], &expecting(3)), Recognised::Incomplete { missing: 2 });
    assert_eq!(recognise(&received[..35], &expecting(3)), Recognised::Incomplete { missing: 20 });
    assert_eq!(recognise(&received, &expecting(3)), Recognised::Answer { start: 20, end: 55 });
}

#[test]
fn a_manufacturer_code_of_68_is_not_taken_for_dlt645() {
    let wire = [0x10, 0x44, 0x33, 0x22, 0x11, 0x00, 0x68, 0x78];
    let received = frame(wire, 0x81, &[&LOW_FIRST[..], &[3], &PAYLOAD].concat());
    let address = Address::from_wire(wire[0], wire[1..].try_into().unwrap());
    let expected = Expected::metering(address, Some(3));
    assert_eq!(recognise(&received, &expected), Recognised::Answer { start: 0, end: 35 });
    let mut damaged = received.clone();
    damaged[20] ^= 0x01;
    assert!(matches!(recognise(&damaged, &expected), Recognised::Garbled { .. }));
}

#[test]
fn a_damaged_answer_is_garbled_as_soon_as_it_is_whole() {
    let mut damaged = answer(LOW_FIRST, 3);
    damaged[14] ^= 0x40;
    assert!(garbled(&damaged).starts_with("checksum is 16, the bytes give "));
    let mut damaged = answer(LOW_FIRST, 3);
    damaged[34] = 0x17;
    assert_eq!(garbled(&damaged), "frame ends in 17, not 16");
    let mut damaged = answer(LOW_FIRST, 3);
    damaged[10] = 0x65;
    assert_eq!(garbled(&damaged), "length 65 is over the limit of 64");
    damaged[10] = 0x14;
    assert_eq!(garbled(&damaged), "neither checksum nor end byte are where the length says");
    let mut damaged = answer(LOW_FIRST, 3);
    damaged[1] = 0x11;
    assert!(garbled(&damaged).ends_with("and the address is not the one asked"));
}

#[test]
fn a_68_among_the_digits_does_not_delay_the_verdict() {
    let mut payload = PAYLOAD;
    payload[1] = 0x68;
    let mut damaged = frame(WIRE, 0x81, &[&LOW_FIRST[..], &[3], &payload].concat());
    assert_eq!(recognise(&damaged, &expecting(3)), Recognised::Answer { start: 0, end: 35 });
    damaged[16] ^= 0x01;
    assert!(garbled(&damaged).starts_with("checksum"));
}

#[test]
fn noise_that_looks_like_the_start_of_a_long_frame_does_not_swallow_the_answer() {
    let noise = [0x68, 0x10, 0x68, 0x68, 0x00, 0x00, 0x00, 0x00, 0x00, 0x81, 0x64, 0x68];
    let received = [&noise[..], &answer(LOW_FIRST, 3)].concat();
    assert_eq!(recognise(&received, &expecting(3)), Recognised::Answer { start: 12, end: 47 });
}

#[test]
fn a_line_full_of_noise_is_given_up_piece_by_piece() {
    for byte in [0x00, 0x68, 0xFE, 0x16] {
        let mut received = Vec::new();
        for _ in 0..2000 {
            received.push(byte);
            if let Recognised::Foreign { end, .. } = recognise(&received, &expecting(3)) {
                received.drain(..end);
            }
        }
        assert!(received.len() <= 512, "{byte:02X} leaves {} bytes", received.len());
    }
}

#[test]
fn a_wildcard_address_takes_the_answer_of_any_meter() {
    let expected = Expected::metering(Address::BROADCAST, Some(3));
    assert_eq!(recognise(&answer(LOW_FIRST, 3), &expected), Recognised::Answer { start: 0, end: 35 });
}
