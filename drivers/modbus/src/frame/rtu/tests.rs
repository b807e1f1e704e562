//! Worked frames of the standard, and everything that must not be taken for an answer.

use proptest::prelude::*;

use super::*;

const METER: Read = Read { unit: 0x11, function: FunctionCode::ReadHoldingRegisters, start: 0x6B, count: 3 };

/// A frame with its CRC.
fn framed(body: &[u8]) -> Vec<u8> {
    let mut frame = body.to_vec();
    frame.extend(crc(body).to_le_bytes());
    frame
}

fn answer_to(read: &Read, data: &[u8]) -> Vec<u8> {
    let mut body = vec![read.unit, read.function.code(), u8::try_from(data.len()).unwrap()];
    body.extend(data);
    framed(&body)
}

/// The data of the worked example in Application Protocol V1.1b3, 6.3.
fn worked_answer() -> Vec<u8> {
    answer_to(&METER, &[0x02, 0x2B, 0x00, 0x00, 0x00, 0x64])
}

fn end_of(read: &Read, received: &[u8]) -> Option<(usize, usize)> {
    match recognise(read, received) {
        Recognised::Answer { start, end } => Some((start, end)),
        _ => None,
    }
}

#[test]
fn the_crc_is_that_of_published_vectors() {
    // Check value of CRC-16/MODBUS in the catalogue of parametrised CRC algorithms.
    assert_eq!(crc(b"123456789"), 0x4B37);
    // MODBUS over Serial Line V1.02, appendix B: 02 07 gives 41 12 on the wire.
    assert_eq!(crc(&[0x02, 0x07]).to_le_bytes(), [0x41, 0x12]);
    // The request that every Modbus tutorial shows.
    assert!(is_whole(&[0x01, 0x03, 0x00, 0x00, 0x00, 0x0A, 0xC5, 0xCD]));
    assert!(!is_whole(&[0x01, 0x03, 0x00, 0x00, 0x00, 0x0A, 0xCD, 0xC5]));
}

#[test]
fn the_standards_request_is_ours() {
    assert_eq!(request(&METER)[..6], [0x11, 0x03, 0x00, 0x6B, 0x00, 0x03]);
    assert_eq!(request(&METER)[6..], [0x76, 0x87]);
}

#[test]
fn an_answer_ends_with_its_last_byte_and_stays_one_when_more_follows() {
    let mut received = worked_answer();
    for length in 0..received.len() {
        assert!(matches!(recognise(&METER, &received[..length]), Recognised::Incomplete { .. }), "{length}");
    }
    assert_eq!(end_of(&METER, &received), Some((0, 11)));
    received.extend([0xFF; 300]);
    assert_eq!(end_of(&METER, &received), Some((0, 11)));
}

#[test]
fn what_is_missing_is_known_from_the_byte_count_on() {
    let answer = worked_answer();
    assert_eq!(recognise(&METER, &answer[..3]), Recognised::Incomplete { missing: 8 });
    assert_eq!(recognise(&METER, &answer[..10]), Recognised::Incomplete { missing: 1 });
    assert_eq!(recognise(&METER, &[]), Recognised::Incomplete { missing: 5 });
}

#[test]
fn an_exception_is_an_answer_of_five_bytes() {
    let exception = framed(&[0x11, 0x83, 0x02]);
    assert_eq!(end_of(&METER, &exception), Some((0, 5)));
    assert_eq!(recognise(&METER, &exception[..2]), Recognised::Incomplete { missing: 3 });
}

#[test]
fn noise_before_an_answer_is_skipped_even_when_it_looks_like_a_beginning() {
    for noise in
        [&[0x00][..], &[0xFF, 0xFF], &[0x11], &[0x11, 0x03], &[0x11, 0x03, 0x11], &[0x00, 0x11, 0x83]]
    {
        let received = [noise, &worked_answer()].concat();
        assert_eq!(end_of(&METER, &received), Some((noise.len(), received.len())), "{noise:02X?}");
    }
}

#[test]
fn another_meters_answer_is_foreign_and_the_own_one_is_found_behind_it() {
    let other = Read { unit: 0x12, ..METER };
    let strange = answer_to(&other, &[1, 2, 3, 4, 5, 6]);
    let Recognised::Foreign { end, why } = recognise(&METER, &strange) else { panic!("not foreign") };
    assert_eq!(end, strange.len());
    assert!(why.contains("unit 18") && why.contains("unit 17"), "{why}");
    let received = [strange, worked_answer()].concat();
    assert_eq!(end_of(&METER, &received), Some((11, 22)));
}

#[test]
fn a_late_answer_of_another_length_is_foreign() {
    let late = answer_to(&METER, &[1, 2, 3, 4]);
    assert!(matches!(recognise(&METER, &late), Recognised::Foreign { end: 9, .. }));
    let longer = answer_to(&METER, &[7; 20]);
    assert!(matches!(recognise(&METER, &longer), Recognised::Foreign { end: 25, .. }));
}

#[test]
fn an_answer_by_another_function_is_foreign() {
    let input = Read { function: FunctionCode::ReadInputRegisters, ..METER };
    assert!(matches!(recognise(&METER, &answer_to(&input, &[0; 6])), Recognised::Foreign { .. }));
    assert!(matches!(recognise(&METER, &framed(&[0x11, 0x84, 0x01])), Recognised::Foreign { .. }));
}

#[test]
fn an_echo_that_the_line_does_not_take_off_is_named() {
    let echoed = [&request(&METER)[..], &worked_answer()].concat();
    let Recognised::Foreign { end, why } = recognise(&METER, &echoed[..8]) else { panic!("not foreign") };
    assert_eq!(end, 8);
    assert!(why.contains("echo"), "{why}");
    assert_eq!(end_of(&METER, &echoed), Some((8, 19)));
}

#[test]
fn a_wrong_crc_is_garbled_and_says_so() {
    let mut damaged = worked_answer();
    damaged[5] ^= 0x10;
    let Recognised::Garbled { why } = recognise(&METER, &damaged) else { panic!("not garbled") };
    assert!(why.contains("CRC"), "{why}");
}

#[test]
fn a_damaged_answer_that_ends_on_the_units_number_is_garbled_at_once() {
    let mut damaged = worked_answer();
    *damaged.last_mut().unwrap() = METER.unit;
    assert!(matches!(recognise(&METER, &damaged), Recognised::Garbled { .. }));
}

#[test]
fn nothing_inside_the_own_answer_is_discarded_as_foreign() {
    let long = Read { count: 10, ..METER };
    let mut data = framed(&[0x12, 0x83, 0x02]);
    data.resize(long.data_len(), 0);
    let answer = answer_to(&long, &data);
    for length in 3..answer.len() {
        let missing = answer.len() - length;
        assert_eq!(recognise(&long, &answer[..length]), Recognised::Incomplete { missing });
    }
    assert_eq!(end_of(&long, &answer), Some((0, answer.len())));
}

#[test]
fn a_damaged_answer_that_looks_like_an_exception_is_awaited_to_its_end() {
    let mut damaged = worked_answer();
    damaged[1] |= 0x80;
    assert!(matches!(recognise(&METER, &damaged[..10]), Recognised::Incomplete { .. }));
    assert!(matches!(recognise(&METER, &damaged), Recognised::Garbled { .. }));
}

#[test]
fn a_damaged_byte_count_is_garbled_when_the_length_asked_for_has_come() {
    let mut damaged = worked_answer();
    damaged[2] = 0x26;
    let Recognised::Garbled { why } = recognise(&METER, &damaged) else { panic!("not garbled") };
    assert!(why.contains("38 data bytes"), "{why}");
}

#[test]
fn endless_noise_is_given_up() {
    let noise = vec![0x55; FRAME_LEN_MAX + answer_len(&METER) + 1];
    assert!(matches!(recognise(&METER, &noise), Recognised::Garbled { .. }));
    assert!(matches!(recognise(&METER, &noise[1..]), Recognised::Incomplete { .. }));
}

prop_compose! {
    fn any_read()(unit in 1_u8..=247, input: bool, start: u16, count in 1_u16..=125) -> Read {
        let function =
            if input { FunctionCode::ReadInputRegisters } else { FunctionCode::ReadHoldingRegisters };
        Read { unit, function, start, count }
    }
}

proptest! {
    #[test]
    fn no_bytes_panic_and_no_verdict_points_outside(read in any_read(), received: Vec<u8>) {
        match recognise(&read, &received) {
            Recognised::Answer { start, end } => prop_assert!(start < end && end <= received.len()),
            Recognised::Foreign { end, .. } => prop_assert!((1..=received.len()).contains(&end)),
            Recognised::Incomplete { missing } => prop_assert!(missing > 0),
            Recognised::Garbled { .. } => {}
        }
    }

    #[test]
    fn every_answer_is_recognised_at_its_last_byte_and_no_earlier(
        read in any_read(), seed: Vec<u8>, tail: Vec<u8>,
    ) {
        let data: Vec<u8> = seed.into_iter().chain(std::iter::repeat(0xA5)).take(read.data_len()).collect();
        let answer = answer_to(&read, &data);
        for length in 0..answer.len() {
            match recognise(&read, &answer[..length]) {
                Recognised::Incomplete { missing } => prop_assert!(length + missing <= answer.len()),
                other => prop_assert!(false, "{length}: {other:?}"),
            }
        }
        prop_assert_eq!(end_of(&read, &answer), Some((0, answer.len())));
        prop_assert_eq!(end_of(&read, &[answer.clone(), tail].concat()), Some((0, answer.len())));
    }

    #[test]
    fn an_answer_behind_noise_is_found(
        read in any_read(), noise in prop::collection::vec(any::<u8>(), 0..40), other: u8,
    ) {
        // What begins like the answer may hide it until its length has passed; that is a case of its own above.
        let noise: Vec<u8> = noise.into_iter().filter(|byte| *byte != read.unit).collect();
        let answer = answer_to(&read, &vec![other; read.data_len()]);
        let received = [&noise[..], &answer].concat();
        for length in 0..received.len() {
            prop_assert_eq!(end_of(&read, &received[..length]), None);
        }
        prop_assert_eq!(end_of(&read, &received), Some((noise.len(), received.len())));
    }

    #[test]
    fn one_or_two_flipped_bits_never_pass(read in any_read(), a in 0_usize..2048, b in 0_usize..2048) {
        let clean = answer_to(&read, &vec![0x3C; read.data_len()]);
        let mut damaged = clean.clone();
        for bit in [a, b].map(|bit| bit % (clean.len() * 8)) {
            damaged[bit / 8] ^= 1 << (bit % 8);
        }
        if damaged != clean {
            prop_assert_eq!(end_of(&read, &damaged), None);
        }
    }

    #[test]
    fn another_meters_answer_never_passes(read in any_read(), other in any_read()) {
        prop_assume!((other.unit, other.function, other.count) != (read.unit, read.function, read.count));
        let strange = answer_to(&other, &vec![0x5A; other.data_len()]);
        prop_assert_eq!(end_of(&read, &strange), None);
    }

    #[test]
    fn nothing_shorter_than_promised_can_finish(read in any_read(), received: Vec<u8>, more: Vec<u8>) {
        if let Recognised::Incomplete { missing } = recognise(&read, &received) {
            let more = &more[..more.len().min(missing - 1)];
            prop_assert_eq!(end_of(&read, &[&received, more].concat()), None);
        }
    }
}
