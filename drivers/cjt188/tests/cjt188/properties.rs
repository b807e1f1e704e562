//! What must hold for any bytes whatever.

use proptest::prelude::*;
use weir_cjt188::{Address, ByteOrder, Expected, Frame, Profile, decode, encode, recognise};
use weir_meter::Recognised;

use crate::meter::*;

/// Bytes as a line has them: mostly those that mean something in a frame.
fn telling_bytes(count: usize) -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        2 => any::<u8>(),
        1 => Just(0x68),
        1 => Just(0x16),
        1 => Just(0xFE),
        1 => prop::sample::select(&[0x10, 0x81, 0xC1, 0x03, 0x1F, 0x90, 0x00, 0x02][..]),
    ];
    prop::collection::vec(byte, 0..count)
}

/// Any data, also those that have the identifier and length of a layout.
fn data() -> impl Strategy<Value = Vec<u8>> {
    let of_layout = (prop::sample::select(&[19_usize, 20, 43, 44, 2, 5, 6][..]), any::<bool>())
        .prop_flat_map(|(count, low_first)| {
            let di = if low_first { LOW_FIRST } else { HIGH_FIRST };
            prop::collection::vec(any::<u8>(), count).prop_map(move |rest| [&di[..], &rest].concat())
        });
    prop_oneof![of_layout, prop::collection::vec(any::<u8>(), 0..=100)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn no_bytes_panic(bytes in telling_bytes(700), ser in any::<u8>()) {
        let _ = decode(&bytes, &Profile::default());
        let broadcast = Expected::metering(Address::BROADCAST, None);
        for expected in [expecting(ser), broadcast] {
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
        data in data(), meter_type in prop::sample::select(&[0x10, 0x20, 0x30, 0xAA, 0xFF][..]),
        control in any::<u8>(), high_first in any::<bool>(),
    ) {
        let order = if high_first { ByteOrder::HighFirst } else { ByteOrder::LowFirst };
        let profile = Profile { value_order: order, clock_order: order, ..Profile::default() };
        let telegram = encode(0, &Address::from_wire(meter_type, [0xFF; 7]), control, &data);
        if let Ok(answer) = decode(&telegram, &profile) {
            prop_assert!(answer.values.iter().all(|value| value.raw.is_some()));
            serde_json::to_string(&answer).unwrap();
        }
    }

    #[test]
    fn what_is_encoded_is_read_back(
        wire in any::<[u8; 8]>(), control in any::<u8>(), data in prop::collection::vec(any::<u8>(), 0..=100),
        wake_up in 0_u8..=64,
    ) {
        let [meter_type, address @ ..] = wire;
        let address = Address::from_wire(meter_type, address);
        let telegram = encode(wake_up, &address, control, &data);
        prop_assert_eq!(&telegram[wake_up.into()..], &frame(wire, control, &data)[..]);
        prop_assert_eq!(Frame::parse(&telegram), Ok(Frame { address, control, data: &data }));
    }

    #[test]
    fn any_address_is_read_back_from_its_text(digits in "[0-9]{14}", meter_type in any::<u8>()) {
        prop_assume!(digits != "99999999999999" && meter_type != 0xAA);
        let address: Address = format!("{meter_type:02X}:{digits}").parse().unwrap();
        prop_assert_eq!(address.number(), digits);
        prop_assert_eq!(address.meter_type(), meter_type);
        prop_assert_eq!(address.to_string().parse(), Ok(address));
    }

    #[test]
    fn no_text_panics_as_address_or_profile(text in "\\PC{0,40}") {
        let _ = text.parse::<Address>();
        let _ = Profile::parse(&text);
    }

    #[test]
    fn a_prefix_of_an_answer_is_incomplete(ser in any::<u8>(), wake_up in 0_usize..6, cut in 0_usize..41) {
        let received = [&vec![0xFE; wake_up][..], &answer(LOW_FIRST, ser)].concat();
        prop_assume!(cut < received.len());
        let verdict = recognise(&received[..cut], &expecting(ser));
        let Recognised::Incomplete { missing } = verdict else { panic!("{verdict:?}") };
        prop_assert!(cut + missing <= received.len(), "asks for bytes that never come");
    }

    #[test]
    fn one_or_two_flipped_bits_are_never_accepted(
        payload in any::<[u8; 19]>(), ser in any::<u8>(), a in 0_usize..280, b in 0_usize..280,
    ) {
        let good = frame(WIRE, 0x81, &[&LOW_FIRST[..], &[ser], &payload].concat());
        let mut bad = good.clone();
        bad[a / 8] ^= 1 << (a % 8);
        // A sum cannot see two flips of the same bit position in opposite directions: that is the checksum's limit.
        if b / 8 != a / 8 && b % 8 != a % 8 {
            bad[b / 8] ^= 1 << (b % 8);
        }
        let is_answer = matches!(recognise(&bad, &expecting(ser)), Recognised::Answer { .. });
        prop_assert!(!is_answer);
        prop_assert!(decode(&bad, &Profile::default()).is_err());
    }

    #[test]
    fn noise_in_front_is_skipped(noise in telling_bytes(13), ser in any::<u8>()) {
        let received = [&noise[..], &answer(HIGH_FIRST, ser)].concat();
        let whole = Recognised::Answer { start: noise.len(), end: received.len() };
        for cut in 0..received.len() {
            let verdict = recognise(&received[..cut], &expecting(ser));
            let growing = matches!(verdict, Recognised::Incomplete { .. });
            prop_assert!(growing, "at {}: {:?}", cut, verdict);
        }
        prop_assert_eq!(recognise(&received, &expecting(ser)), whole);
    }

    #[test]
    fn an_answer_stays_the_answer_whatever_follows(tail in telling_bytes(200), ser in any::<u8>()) {
        let received = [answer(LOW_FIRST, ser), tail].concat();
        prop_assert_eq!(recognise(&received, &expecting(ser)), Recognised::Answer { start: 0, end: 35 });
    }
}
