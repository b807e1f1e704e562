//! What must hold for any bytes whatever.

use proptest::prelude::*;
use weir_dlt645::{Address, Expected, Frame, Profile, decode, encode, recognise};
use weir_meter::Recognised;

use crate::meter::*;

/// Bytes as a line has them: mostly those that mean something in a frame.
fn telling_bytes(count: usize) -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        2 => any::<u8>(),
        1 => Just(0x68),
        1 => Just(0x16),
        1 => Just(0xFE),
        1 => prop::sample::select(&[0x91, 0xB1, 0xD1, 0x11, 0x08, 0x33, 0x34][..]),
    ];
    prop::collection::vec(byte, 0..count)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn no_bytes_panic(bytes in telling_bytes(700), next in any::<bool>()) {
        let _ = decode(&bytes, &named("electrical"));
        let further = Expected { control: 0x12, sequence: Some(1), ..expecting(ENERGY) };
        for expected in [if next { further } else { expecting(ENERGY) }, Expected { address: Address::ANY, ..further }] {
            match recognise(&bytes, &expected) {
                Recognised::Incomplete { missing } => prop_assert!(missing > 0),
                Recognised::Answer { start, end } => prop_assert!(start < end && end <= bytes.len()),
                Recognised::Foreign { end, .. } => prop_assert!(end > 0 && end <= bytes.len()),
                Recognised::Garbled { .. } => {}
            }
        }
    }

    #[test]
    fn no_data_in_a_good_frame_panic_and_every_value_has_its_bytes(
        di in prop::sample::select(&[ENERGY, 0x0201_FF00, 0x0202_FF00, 0x0203_0000, 7][..]),
        rest in prop::collection::vec(any::<u8>(), 0..=196), control in any::<u8>(),
    ) {
        let telegram = frame(WIRE, control, &[&di.to_le_bytes()[..], &rest].concat());
        if let Ok(answer) = decode(&telegram, &named("electrical")) {
            prop_assert!(answer.values.iter().all(|value| value.raw.is_some()));
            serde_json::to_string(&answer).unwrap();
        }
    }

    #[test]
    fn what_is_encoded_is_read_back(
        wire in any::<[u8; 6]>(), control in any::<u8>(), data in prop::collection::vec(any::<u8>(), 0..=200),
        wake_up in 0_u8..=64,
    ) {
        let address = Address::from_wire(wire);
        let telegram = encode(wake_up, &address, control, &data);
        prop_assert_eq!(&telegram[wake_up.into()..], &frame(wire, control, &data)[..]);
        prop_assert_eq!(Frame::parse(&telegram), Ok(Frame { address, control, data }));
    }

    #[test]
    fn any_register_is_read_to_the_digit(hundredths in 0_u32..100_000_000) {
        let digits = format!("{hundredths:08}");
        let bytes: Vec<u8> =
            (0..4).rev().map(|pair| u8::from_str_radix(&digits[2 * pair..][..2], 16).unwrap()).collect();
        let answer = decode(&answer(ENERGY, &bytes), &named("standard")).unwrap();
        let json = serde_json::to_string(&answer.values[0]).unwrap();
        let said = format!("\"value\":{}.{},", hundredths / 100, &digits[6..]);
        prop_assert!(json.contains(&said), "{} has no {}", json, said);
    }

    #[test]
    fn any_address_is_read_back_from_its_text(digits in "(AA){0,5}[0-9]{2}") {
        let text = format!("{}{}", digits, "0".repeat(12 - digits.len().min(12)));
        let address: Address = text.parse().unwrap();
        prop_assert_eq!(address.to_string(), text);
    }

    #[test]
    fn no_text_panics_as_address_or_profile(text in "\\PC{0,40}") {
        let _ = text.parse::<Address>();
        let _ = Profile::parse(&text);
    }

    #[test]
    fn every_prefix_of_an_answer_is_incomplete_and_gives_no_value(wake_up in 0_usize..6, payload in any::<[u8; 4]>()) {
        let received = [&vec![0xFE; wake_up][..], &answer(ENERGY, &payload)].concat();
        for cut in 0..received.len() {
            let verdict = recognise(&received[..cut], &expecting(ENERGY));
            let Recognised::Incomplete { missing } = verdict else { panic!("at {cut}: {verdict:?}") };
            prop_assert!(cut + missing <= received.len(), "asks for bytes that never come");
            prop_assert!(decode(&received[..cut], &named("standard")).is_err());
        }
    }

    #[test]
    fn every_flipped_bit_is_refused(payload in any::<[u8; 4]>()) {
        let good = answer(ENERGY, &payload);
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let verdict = recognise(&bad, &expecting(ENERGY));
            let is_answer = matches!(verdict, Recognised::Answer { .. });
            prop_assert!(!is_answer, "bit {}: {:?}", bit, verdict);
            prop_assert!(decode(&bad, &named("standard")).is_err(), "bit {}", bit);
        }
    }

    #[test]
    fn noise_in_front_is_skipped(noise in telling_bytes(12), payload in any::<[u8; 4]>()) {
        let received = [&noise[..], &answer(ENERGY, &payload)].concat();
        let verdict = recognise(&received, &expecting(ENERGY));
        prop_assert_eq!(verdict, Recognised::Answer { start: noise.len(), end: received.len() });
    }

    #[test]
    fn an_answer_stays_the_answer_whatever_follows(tail in telling_bytes(200), payload in any::<[u8; 4]>()) {
        let received = [answer(ENERGY, &payload), tail].concat();
        prop_assert_eq!(recognise(&received, &expecting(ENERGY)), Recognised::Answer { start: 0, end: 20 });
    }
}
