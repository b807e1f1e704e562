//! Frames built, taken apart, and found in what a line received.

use super::*;
use proptest::prelude::*;

type Recogniser<'a> = &'a dyn Fn(&[u8]) -> Recognised;

fn answer(address: u8, data: &[u8]) -> Vec<u8> {
    long(RSP_UD, address, 0x72, data).unwrap()
}

fn whole(start: usize, end: usize) -> Recognised {
    Recognised::Answer { start, end }
}

#[test]
fn requests_are_those_of_the_standard() {
    assert_eq!(short(SND_NKE, 1), [0x10, 0x40, 0x01, 0x41, 0x16]);
    assert_eq!(short(REQ_UD2, 254), [0x10, 0x5B, 0xFE, 0x59, 0x16]);
    assert_eq!(short(REQ_UD2 | FRAME_COUNT_BIT, 1), [0x10, 0x7B, 0x01, 0x7C, 0x16]);
    // The baud rate set to 2400 by CI BB: a control frame.
    assert_eq!(long(0x53, 0xFE, 0xBB, &[]).unwrap(), [0x68, 3, 3, 0x68, 0x53, 0xFE, 0xBB, 0x0C, 0x16]);
    assert_eq!(long(0x53, 1, 0x51, &[0; 252]).unwrap().len(), LONGEST);
    assert_eq!(long(0x53, 1, 0x51, &[0; 253]), None);
}

#[test]
fn a_frame_comes_apart_as_it_was_put_together() {
    let bytes = answer(7, &[1, 2, 3]);
    assert_eq!(parse(&bytes), Ok(Frame { control: 8, address: 7, information: 0x72, data: &[1, 2, 3] }));
}

#[test]
fn what_is_wrong_with_a_frame_is_said() {
    let good = answer(7, &[1, 2, 3]);
    let why = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        parse(&bytes).unwrap_err().to_string()
    };
    assert_eq!(why(8, 0xFF), "garbled: checksum 87 instead of 84");
    assert_eq!(why(11, 0x17), "garbled: frame ends with 17 instead of 16");
    assert_eq!(why(2, 5), "garbled: no long frame starts here");
    assert_eq!(parse(&good[..11]).unwrap_err().to_string(), "garbled: frame of 12 bytes in 11 bytes");
    assert_eq!(parse(&[]).unwrap_err().to_string(), "garbled: no long frame starts here");
}

#[test]
fn the_end_comes_from_the_length_and_every_prefix_says_what_is_missing() {
    let bytes = answer(7, &[0x68; 60]);
    for length in 0..bytes.len() {
        let Recognised::Incomplete { missing } = recognise_response(&bytes[..length], Some(7)) else {
            panic!("{length} bytes are recognised");
        };
        assert!((1..=bytes.len() - length).contains(&missing), "{missing} missing of {length}");
        // Once the header is whole it is known exactly; before, a beginning may still turn out to be noise.
        assert!(length < 4 || missing == bytes.len() - length, "{missing} missing after {length}");
    }
    assert_eq!(recognise_response(&bytes, Some(7)), whole(0, bytes.len()));
}

#[test]
fn a_beginning_that_may_be_noise_does_not_promise_a_long_frame() {
    assert_eq!(recognise_response(&[LONG_START, 0xFF], None), Recognised::Incomplete { missing: 9 });
    assert_eq!(recognise_response(&[LONG_START, LONG_START], None), Recognised::Incomplete { missing: 8 });
}

#[test]
fn noise_before_the_answer_is_skipped_even_if_it_looks_like_a_beginning() {
    let frame = answer(7, &[1, 2, 3]);
    for noise in [
        &[0xFF][..],
        &[0xE5],
        &[0x68],
        &[0x68, 0x68],
        &[0x68, 5, 6],
        &[0x68, 2, 2, 0x68],
        &[0x10, 0x7B, 7, 0x82, 0x16],
    ] {
        let bytes = [noise, &frame].concat();
        assert_eq!(recognise_response(&bytes, Some(7)), whole(noise.len(), bytes.len()), "{noise:02X?}");
    }
}

#[test]
fn another_meters_answer_is_foreign_and_can_be_cut_away() {
    let (other, own) = (answer(8, &[1, 2, 3]), answer(7, &[4, 5]));
    let bytes = [&[0xFF], &other[..], &own].concat();
    let Recognised::Foreign { end, why } = recognise_response(&bytes, Some(7)) else { panic!() };
    assert_eq!((end, why.as_str()), (1 + other.len(), "answer of address 8 instead of 7"));
    assert_eq!(recognise_response(&bytes[end..], Some(7)), whole(0, own.len()));
    assert_eq!(recognise_response(&other, None), whole(0, other.len()));
}

#[test]
fn a_frame_that_no_meter_sends_is_foreign_whatever_its_address() {
    let request = long(0x53, 7, 0x51, &[1, 2]).unwrap();
    assert!(matches!(recognise_response(&request, Some(7)), Recognised::Foreign { .. }));
    assert!(matches!(recognise_response(&request, None), Recognised::Foreign { .. }));
    for control in [0x08, 0x18, 0x28, 0x38] {
        let frame = long(control, 7, 0x72, &[]).unwrap();
        assert_eq!(recognise_response(&frame, Some(7)), whole(0, 9), "C field {control:02X}");
    }
}

#[test]
fn an_acknowledgement_inside_a_late_answer_is_none() {
    let late = answer(7, &[ACKNOWLEDGE; 5]);
    for length in 1..late.len() {
        let recognised = recognise_acknowledge(&late[..length]);
        assert!(matches!(recognised, Recognised::Incomplete { .. }), "{length}: {recognised:?}");
    }
    // Here the length byte itself looks like one.
    assert_eq!(recognise_acknowledge(&[LONG_START, ACKNOWLEDGE]), Recognised::Incomplete { missing: 1 });
    let bytes = [&late[..], &[ACKNOWLEDGE]].concat();
    let Recognised::Foreign { end, .. } = recognise_acknowledge(&bytes) else { panic!() };
    assert_eq!(recognise_acknowledge(&bytes[end..]), whole(0, 1));
    assert_eq!(recognise_acknowledge(&[0x00, 0xFF, ACKNOWLEDGE, 0x68]), whole(2, 3));
    assert_eq!(recognise_acknowledge(&[0x00]), Recognised::Incomplete { missing: 1 });
}

proptest! {
    #[test]
    fn any_frame_round_trips(control: u8, address: u8, information: u8, data in prop::collection::vec(any::<u8>(), 0..=252)) {
        let bytes = long(control, address, information, &data).unwrap();
        prop_assert_eq!(parse(&bytes), Ok(Frame { control, address, information, data: &data }));
    }

    /// Bytes that are likely to be taken for a frame.
    #[test]
    fn what_was_recognised_stays_recognised_when_more_follows(
        bytes in prop::collection::vec(prop_oneof![Just(0x68), Just(0x03), Just(0x16), Just(0x08), Just(0xE5), any::<u8>()], 0..300),
        address in prop::option::of(any::<u8>()),
    ) {
        let recognisers: [Recogniser<'_>; 2] =
            [&|bytes| recognise_response(bytes, address), &recognise_acknowledge];
        for recognise in recognisers {
            let mut settled = None;
            for length in 0..=bytes.len() {
                let now = recognise(&bytes[..length]);
                match (&settled, &now) {
                    (Some(before), now) => prop_assert_eq!(before, now),
                    (None, Recognised::Incomplete { missing }) => prop_assert!(*missing > 0),
                    (None, _) => settled = Some(now),
                }
            }
        }
    }

    #[test]
    fn an_answer_behind_noise_is_found_and_never_announced_too_far_away(
        noise in prop::collection::vec(any::<u8>().prop_filter("a start", |byte| *byte != LONG_START), 0..40),
        data in prop::collection::vec(any::<u8>(), 0..=252),
    ) {
        let bytes = [&noise[..], &answer(7, &data)].concat();
        for length in 0..bytes.len() {
            let recognised = recognise_response(&bytes[..length], Some(7));
            prop_assert!(
                matches!(recognised, Recognised::Incomplete { missing } if (1..=bytes.len() - length).contains(&missing)),
                "{} of {}: {:?}", length, bytes.len(), recognised
            );
        }
        prop_assert_eq!(recognise_response(&bytes, Some(7)), whole(noise.len(), bytes.len()));
    }

    #[test]
    fn one_flipped_bit_never_makes_another_answer_of_it(
        data in prop::collection::vec(any::<u8>(), 0..=60),
        flip in any::<prop::sample::Index>(),
    ) {
        let mut bytes = answer(7, &data);
        let bit = flip.index(bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        let accepted = matches!(recognise_response(&bytes, Some(7)), Recognised::Answer { .. });
        prop_assert!(!accepted, "bit {bit}");
        prop_assert!(parse(&bytes).is_err());
    }
}
