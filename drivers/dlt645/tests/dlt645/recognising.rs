//! What a line carries besides the answer, and that none of it is taken for the answer.

use weir_dlt645::{Address, Expected, READ_NEXT, recognise};
use weir_meter::Recognised;

use crate::meter::*;

fn good() -> Vec<u8> {
    answer(ENERGY, &[0x76, 0x17, 0x03, 0x00])
}

fn garbled(received: &[u8]) -> String {
    match recognise(received, &expecting(ENERGY)) {
        Recognised::Garbled { why } => why,
        other => panic!("{other:?}"),
    }
}

fn foreign(received: &[u8]) -> String {
    match recognise(received, &expecting(ENERGY)) {
        Recognised::Foreign { end, why } if end == received.len() => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn how_much_is_missing_is_known_as_soon_as_the_length_is() {
    for count in 0..good().len() {
        let missing = if count < 10 { 12 - count } else { 20 - count };
        let verdict = recognise(&good()[..count], &expecting(ENERGY));
        assert_eq!(verdict, Recognised::Incomplete { missing }, "{count}");
    }
}

#[test]
fn the_answer_ends_where_its_length_says_whatever_stands_before_and_follows() {
    for wake_up in [0, 1, 4, 40] {
        let received = [&vec![0xFE; wake_up][..], &good(), &[0xFF, 0x68, 0x00]].concat();
        let whole = Recognised::Answer { start: wake_up, end: wake_up + 20 };
        assert_eq!(recognise(&received, &expecting(ENERGY)), whole);
    }
}

#[test]
fn somebody_elses_frames_are_foreign_for_their_reason() {
    let mut wire = WIRE;
    wire[0] = 0x30;
    let di = ENERGY.to_le_bytes();
    assert_eq!(
        foreign(&frame(wire, 0x91, &[&di[..], &[0; 4]].concat())),
        "answer of meter 202107072530, asked was 202107072529"
    );
    assert_eq!(foreign(&answer(0x0002_0000, &[0; 4])), "answer with DI 00020000, asked was 00010000");
    assert_eq!(foreign(&frame(WIRE, 0x91, &[0, 0])), "answer without DI");
    assert_eq!(foreign(&frame(WIRE, 0x93, &WIRE)), "answer to another request (C=93)");
    assert_eq!(foreign(&frame(WIRE, 0x11, &di)), "a request (C=11), not an answer");
}

#[test]
fn an_error_answer_is_the_answer() {
    let received = frame(WIRE, 0xD1, &[0x02]);
    assert_eq!(recognise(&received, &expecting(ENERGY)), Recognised::Answer { start: 0, end: 13 });
}

#[test]
fn a_cjt188_frame_on_the_same_line_is_foreign_for_that_reason() {
    let water = [
        0x68, 0x10, 0x44, 0x33, 0x22, 0x11, 0x00, 0x33, 0x78, 0x81, 0x16, 0x1F, 0x90, 0x00, 0x00, 0x77, 0x66,
        0x55, 0x2C, 0x00, 0x77, 0x66, 0x55, 0x2C, 0x31, 0x01, 0x22, 0x11, 0x05, 0x15, 0x20, 0x21, 0x84, 0x13,
        0x16,
    ];
    assert_eq!(foreign(&water), "a CJ/T 188 frame (no second 68)");
    let then_ours = [&water[..], &good()].concat();
    let verdict = recognise(&then_ours, &expecting(ENERGY));
    assert!(matches!(verdict, Recognised::Foreign { end: 35, .. }), "{verdict:?}");
}

#[test]
fn a_damaged_answer_is_garbled_as_soon_as_it_is_whole() {
    let mut damaged = good();
    damaged[15] ^= 0x40;
    assert!(garbled(&damaged).starts_with("checksum is "));
    let mut damaged = good();
    damaged[19] = 0x17;
    assert_eq!(garbled(&damaged), "frame ends in 17, not 16");
    damaged = good();
    damaged[9] = 0xC9;
    assert_eq!(garbled(&damaged), "length C9 is over the limit of C8");
    // With a damaged address its second 68 could still begin somebody else's frame, so that is waited for.
    let mut damaged = good();
    damaged[1] ^= 0x01;
    let verdict = recognise(&damaged, &expecting(ENERGY));
    assert!(matches!(verdict, Recognised::Incomplete { .. }), "{verdict:?}");
}

#[test]
fn an_answer_that_broke_off_does_not_hide_the_whole_one_behind_it() {
    let received = [&good()[..14], &good()].concat();
    assert_eq!(recognise(&received, &expecting(ENERGY)), Recognised::Answer { start: 14, end: 34 });
}

#[test]
fn a_further_frame_must_have_the_number_asked_for() {
    let di = ENERGY.to_le_bytes();
    let expected = Expected { control: READ_NEXT, sequence: Some(2), ..expecting(ENERGY) };
    let numbered = |number| frame(WIRE, 0x92, &[&di[..], &[0x11; 4], &[number]].concat());
    assert!(matches!(recognise(&numbered(2), &expected), Recognised::Answer { .. }));
    assert!(matches!(recognise(&numbered(1), &expected), Recognised::Foreign { .. }));
    assert!(matches!(recognise(&frame(WIRE, 0x92, &di), &expected), Recognised::Foreign { .. }));
}

#[test]
fn a_line_full_of_noise_is_given_up_piece_by_piece() {
    for byte in [0x00, 0x68, 0xFE, 0x16] {
        let mut received = Vec::new();
        for _ in 0..2000 {
            received.push(byte);
            if let Recognised::Foreign { end, .. } = recognise(&received, &expecting(ENERGY)) {
                received.drain(..end);
            }
        }
        assert!(received.len() <= 512, "{byte:02X} leaves {} bytes", received.len());
    }
}

#[test]
fn any_address_takes_the_answer_of_any_meter() {
    let expected = Expected { address: Address::ANY, ..expecting(ENERGY) };
    assert_eq!(recognise(&good(), &expected), Recognised::Answer { start: 0, end: 20 });
}
