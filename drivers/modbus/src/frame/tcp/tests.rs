//! Headers that fit, headers that do not, and connections out of step.

use proptest::prelude::*;

use super::*;

const METER: Read = Read { unit: 1, function: FunctionCode::ReadHoldingRegisters, start: 4, count: 2 };
const TRANSACTION: u16 = 0x1501;

/// Messaging on TCP/IP V1.0b, 4.4.2.1 builds its example on transaction 1501; the PDU is that of a two-register answer.
const ANSWER: [u8; 13] = [0x15, 0x01, 0, 0, 0, 7, 1, 3, 4, 0x00, 0x05, 0x12, 0x34];

fn verdict(received: &[u8]) -> Recognised {
    recognise(&METER, TRANSACTION, received)
}

#[test]
fn an_answer_ends_where_its_header_says() {
    for length in 0..ANSWER.len() {
        let Recognised::Incomplete { missing } = verdict(&ANSWER[..length]) else { panic!("{length}") };
        assert!(length + missing <= ANSWER.len());
    }
    assert_eq!(verdict(&ANSWER[..6]), Recognised::Incomplete { missing: 7 });
    assert_eq!(verdict(&ANSWER), Recognised::Answer { start: 0, end: 13 });
    assert_eq!(verdict(&[&ANSWER[..], &[9; 20]].concat()), Recognised::Answer { start: 0, end: 13 });
}

#[test]
fn an_exception_is_an_answer() {
    assert_eq!(verdict(&[0x15, 0x01, 0, 0, 0, 3, 1, 0x83, 2]), Recognised::Answer { start: 0, end: 9 });
}

#[test]
fn a_late_answer_to_an_earlier_transaction_is_foreign() {
    let mut late = ANSWER;
    late[1] = 0x00;
    let Recognised::Foreign { end: 13, why } = verdict(&late) else { panic!("not foreign") };
    assert!(why.contains("5376") && why.contains("5377"), "{why}");
}

#[test]
fn another_units_answer_is_foreign() {
    let mut other = ANSWER;
    other[6] = 2;
    assert!(matches!(verdict(&other), Recognised::Foreign { end: 13, .. }));
}

#[test]
fn a_connection_out_of_step_is_garbled_at_once() {
    assert!(matches!(verdict(&[0x15, 0x01, 1]), Recognised::Garbled { .. }));
    assert!(matches!(verdict(&[0x15, 0x01, 0, 0, 0xFF, 0xFF]), Recognised::Garbled { .. }));
    assert!(matches!(verdict(&[0x15, 0x01, 0, 0, 0, 0]), Recognised::Garbled { .. }));
    assert!(matches!(verdict(&[0x15, 0x01, 0, 0, 0, 255]), Recognised::Garbled { .. }));
}

#[test]
fn an_answer_that_contradicts_the_request_is_garbled() {
    let wrong_count = [0x15, 0x01, 0, 0, 0, 5, 1, 3, 2, 0x00, 0x05];
    let lying_count = [0x15, 0x01, 0, 0, 0, 6, 1, 3, 4, 0x00, 0x05, 0x12];
    let wrong_function = [0x15, 0x01, 0, 0, 0, 7, 1, 4, 4, 0x00, 0x05, 0x12, 0x34];
    for frame in [&wrong_count[..], &lying_count, &wrong_function] {
        assert!(matches!(verdict(frame), Recognised::Garbled { .. }), "{frame:02X?}");
    }
}

proptest! {
    #[test]
    fn no_bytes_panic_and_only_the_own_answer_passes(received: Vec<u8>) {
        if let Recognised::Answer { start, end } = verdict(&received) {
            prop_assert_eq!(start, 0);
            prop_assert_eq!(&received[..4], &[0x15, 0x01, 0, 0]);
            prop_assert_eq!(received[6], 1);
            prop_assert!(end <= received.len());
        }
    }

    #[test]
    fn a_damaged_header_never_passes(at in 0_usize..9, bit in 0_u8..8) {
        let mut damaged = ANSWER;
        damaged[at] ^= 1 << bit;
        // The one flip that makes a good exception of a function code leaves a wrong length behind.
        let passed = matches!(verdict(&damaged), Recognised::Answer { .. });
        prop_assert!(!passed);
    }
}
