//! Whole telegrams, put together by hand: headers, records, refusals, and bytes of any kind.

use super::*;
use proptest::prelude::*;
use weir_wire::{Medium, Number, Unit};

/// With the options of most meters.
fn decode(telegram: &[u8]) -> Result<Answer, Fault> {
    super::decode(telegram, &Options::default())
}

const HEADER: [u8; 12] = [0x78, 0x56, 0x34, 0x12, 0x93, 0x15, 0x0A, 0x07, 0x55, 0x14, 0x00, 0x00];

fn telegram(information: u8, data: &[&[u8]]) -> Vec<u8> {
    frame::long(0x08, 1, information, &data.concat()).unwrap()
}

fn fault(information: u8, data: &[&[u8]]) -> String {
    decode(&telegram(information, data)).unwrap_err().to_string()
}

fn cubic_metres(value: &Value) -> Option<String> {
    match (&value.quantity, &value.content, &value.unit) {
        (Quantity::Volume, Content::Number(number), Some(Unit::CubicMetre)) => Some(number.to_string()),
        _ => None,
    }
}

#[test]
fn a_long_header_names_the_meter_and_its_state() {
    let answer = decode(&telegram(0x72, &[&HEADER, &[0x0C, 0x13, 0x50, 0x34, 0x12, 0x00]])).unwrap();
    assert_eq!(answer.identity.manufacturer.as_deref(), Some("ELS"));
    assert_eq!(answer.identity.number.as_deref(), Some("12345678"));
    assert_eq!((answer.identity.version, &answer.identity.medium), (Some(10), &Some(Medium::Water)));
    assert_eq!(
        (answer.status.battery_low, &*answer.status.alarms),
        (Some(true), &["temporary-error".to_owned()][..])
    );
    assert_eq!(cubic_metres(&answer.values[0]).as_deref(), Some("123.450"));
    assert_eq!(answer.values[0].raw, Some(Raw(vec![0x0C, 0x13, 0x50, 0x34, 0x12, 0x00])));
    assert_eq!(answer.meter_time, None);
}

#[test]
fn a_short_header_and_none_at_all_leave_the_meter_unnamed() {
    let record = [0x0C, 0x13, 0x50, 0x34, 0x12, 0x00];
    let short = decode(&telegram(0x7A, &[&HEADER[8..], &record])).unwrap();
    assert_eq!((short.identity, short.status.battery_low), (Identity::default(), Some(true)));
    let none = decode(&telegram(0x78, &[&record])).unwrap();
    assert_eq!((none.identity, none.status), (Identity::default(), Status::default()));
    assert_eq!((cubic_metres(&short.values[0]), short.values.len()), (cubic_metres(&none.values[0]), 1));
}

#[test]
fn an_encrypted_telegram_is_refused_and_a_signature_of_old_is_not() {
    let with = |low, high| [&HEADER[..10], &[low, high]].concat();
    let record: &[u8] = &[0x01, 0x13, 0x05];
    let blocks: &[u8] = &[0x5A; 32];
    let why = "and there is no key for them";
    assert_eq!(
        fault(0x72, &[&with(0x20, 0x05), blocks]),
        format!("refused: records are encrypted (security mode 5), {why}")
    );
    assert_eq!(
        fault(0x7A, &[&with(0x10, 0x07)[8..], &[0x10], blocks]),
        format!("refused: records are encrypted (security mode 7), {why}")
    );
    for mode in [1, 2, 3, 4, 8, 9, 10, 13] {
        assert_eq!(
            fault(0x7A, &[&with(0x00, mode)[8..], record]),
            format!("refused: records are encrypted in security mode {mode}, which is not read")
        );
    }
    for (low, high) in [(0x27, 0xB6), (0x00, 0x15), (0x00, 0xE0)] {
        assert!(decode(&telegram(0x72, &[&with(low, high), record])).is_ok(), "{high:02X}{low:02X}");
    }
}

#[test]
fn what_the_meter_refuses_is_told_in_the_standards_words() {
    assert_eq!(fault(0x70, &[]), "refused: application error: unspecified error");
    for (code, words) in [
        (0x00, "unspecified error"),
        (0x01, "CI field not implemented"),
        (0x02, "buffer too long, cut off"),
        (0x03, "too many records"),
        (0x04, "premature end of record"),
        (0x05, "more than 10 DIFE"),
        (0x06, "more than 10 VIFE"),
        (0x08, "application too busy for the readout"),
        (0x09, "too many readouts"),
    ] {
        assert_eq!(fault(0x70, &[&[code]]), format!("refused: application error: {words}"));
    }
    assert_eq!(fault(0x70, &[&[0x42]]), "refused: application error: code 42");
    assert_eq!(fault(0x71, &[&[0x04]]), "refused: alarm telegram 04");
    assert_eq!(fault(0x76, &[&HEADER]), "refused: CI 76: mode 2 (most significant byte first) is not read");
    assert_eq!(fault(0x8E, &[]), "refused: CI 8E is not known");
    assert_eq!(fault(0x72, &[&HEADER[..11]]), "refused: CI 72 with a header of only 11 bytes");
    assert_eq!(fault(0x7A, &[&[1, 2, 3]]), "refused: CI 7A with a header of only 3 bytes");
}

#[test]
fn a_first_record_that_cannot_be_read_leaves_the_meter_its_answer() {
    for first in [&[0x04, 0x13, 0x01][..], &[0x3F, 0x13], &[0x84], &[0x04, 0x93]] {
        let answer = decode(&telegram(0x72, &[&HEADER, first])).unwrap();
        assert_eq!(answer.identity.number.as_deref(), Some("12345678"));
        assert_eq!(answer.status.battery_low, Some(true));
        assert_eq!(answer.values.len(), 1);
        assert_eq!(answer.values[0].raw, Some(Raw(first.to_vec())));
        assert!(matches!(answer.values[0].content, Content::Invalid(_)));
        assert_eq!(decode(&telegram(0x7A, &[&HEADER[8..], first])).unwrap().values, answer.values);
    }
    assert_eq!(decode(&telegram(0x72, &[&HEADER])).unwrap().values, []);
}

#[test]
fn only_a_telegram_of_which_nothing_can_be_told_is_refused() {
    assert_eq!(fault(0x78, &[&[0x3F, 0x13]]), "refused: no record can be read: DIF 3F is reserved");
    assert_eq!(
        fault(0x78, &[&[0x04, 0x93]]),
        "refused: no record can be read: telegram ends inside a value information block"
    );
    let quantity = |records: &[u8]| decode(&telegram(0x78, &[records])).unwrap().values[0].quantity.clone();
    assert_eq!(quantity(&[0x04, 0x13, 0x01]), Quantity::Volume);
    assert_eq!(quantity(&[0x01, 0x13, 0x01, 0x3F]), Quantity::Volume);
    assert_eq!(decode(&telegram(0x78, &[])).unwrap().values, []);
}

#[test]
fn one_value_that_cannot_be_read_does_not_spoil_its_neighbours() {
    let records = [
        0x0C, 0x13, 0x50, 0xB4, 0x12, 0x00, 0x02, 0x93, 0x15, 0, 0, 0x00, 0x13, 0x0C, 0x13, 0x50, 0x34, 0x12,
        0x00,
    ];
    let answer = decode(&telegram(0x72, &[&HEADER, &records])).unwrap();
    let contents: Vec<&Content> = answer.values.iter().map(|value| &value.content).collect();
    assert_eq!(
        contents,
        [
            &Content::Invalid("digits 0012B450 are no number".into()),
            &Content::Invalid("no data available".into()),
            &Content::Invalid("no data".into()),
            &Content::Number(Number::scaled(123_450, -3).unwrap()),
        ]
    );
    assert!(answer.values.iter().all(|value| value.quantity == Quantity::Volume));
}

#[test]
fn the_meters_clock_is_its_current_date_and_time_and_no_other() {
    let at = |day: u8| [0x1E, 0x15, 0xA0 | day, 0x1B];
    let clock = |records: &[&[u8]]| {
        let records: Vec<&[u8]> = [&HEADER[..]].into_iter().chain(records.iter().copied()).collect();
        decode(&telegram(0x72, &records)).unwrap().meter_time.map(|moment| moment.to_string())
    };
    let (due, maximum, now) = (at(1), at(2), at(3));
    let kept: &[u8] = &[&[0x44, 0x6D][..], &due].concat();
    let of_maximum: &[u8] = &[&[0x14, 0x6D][..], &maximum].concat();
    let of_subunit: &[u8] = &[&[0x84, 0x40, 0x6D][..], &maximum].concat();
    let future: &[u8] = &[&[0x04, 0xED, 0x7E][..], &maximum].concat();
    let current: &[u8] = &[&[0x04, 0x6D][..], &now].concat();
    assert_eq!(clock(&[kept, of_maximum, of_subunit, future]), None);
    assert_eq!(clock(&[kept, of_maximum, current, future]).as_deref(), Some("2013-11-03T21:30:00"));
    assert_eq!(clock(&[&[0x04, 0x6D, 0x9E, 0x15, 0xA3, 0x1B]]), None, "marked invalid");
}

#[test]
fn several_telegrams_of_one_meter_are_one_answer_and_of_two_are_none() {
    let first = telegram(0x72, &[&HEADER, &[0x01, 0x13, 0x05, 0x1F]]);
    let second = telegram(0x72, &[&HEADER, &[0x41, 0x13, 0x06]]);
    let both = [first.clone(), second].concat();
    let answer = decode(&both).unwrap();
    assert_eq!(answer.values.iter().map(|value| value.storage).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(answer.raw, Some(Raw(both)));
    let mut stranger = HEADER;
    stranger[0] = 0x79;
    let other = telegram(0x72, &[&stranger, &[0x41, 0x13, 0x06]]);
    assert_eq!(decode(&[first, other].concat()).unwrap_err().to_string(), "garbled: telegrams of two meters");
}

#[test]
fn what_is_no_telegram_is_garbled_with_the_reason() {
    let good = telegram(0x72, &[&HEADER]);
    let why = |bytes: &[u8]| decode(bytes).unwrap_err().to_string();
    assert_eq!(why(&[]), "garbled: telegram breaks off: at least 9 bytes are missing");
    assert_eq!(why(&good[..20]), "garbled: telegram breaks off: at least 1 bytes are missing");
    assert_eq!(
        why(&[&good[..], &[0]].concat()),
        "garbled: telegram breaks off: at least 9 bytes are missing"
    );
    assert_eq!(why(&frame::long(0x53, 1, 0x51, &[]).unwrap()), "garbled: C field 53 is no answer of a meter");
}

/// Records that are likely to be read for a while: common DIFs and VIFs, then anything.
fn records() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        prop::sample::select(vec![
            0x04, 0x0C, 0x0D, 0x05, 0x84, 0x8C, 0x13, 0x6D, 0xFD, 0xFB, 0x7C, 0xFC, 0xFF, 0x2F, 0x0F
        ]),
        any::<u8>(),
    ];
    prop::collection::vec(byte, 0..=240)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_records_panic_or_outgrow_their_telegram(records in records(), information in prop::sample::select(vec![0x72, 0x7A, 0x78, 0x73])) {
        let bytes = telegram(information, &[&HEADER, &records]);
        if let Ok(answer) = decode(&bytes) {
            let raw: usize = answer.values.iter().filter_map(|value| value.raw.as_ref()).map(|raw| raw.0.len()).sum();
            prop_assert!(raw <= records.len() + HEADER.len());
        }
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = decode(&bytes);
    }

    /// What the tables know comes back: a volume written with any coding, scale and place is read as it was written.
    #[test]
    fn a_volume_reads_back_as_it_was_coded(digits in 0_u32..100_000_000, scale in 0_u8..8, bcd: bool, storage in 0_u64..(1 << 41), tariff in 0_u32..(1 << 20), subunit in 0_u16..(1 << 10)) {
        let mut record = vec![(if bcd { 0x0C } else { 0x04 }) | 0x80 | u8::try_from(storage & 1).unwrap() << 6];
        for index in 0..10 {
            let dife = u8::try_from(storage >> (1 + 4 * index) & 0x0F).unwrap()
                | u8::try_from(tariff >> (2 * index) & 3).unwrap() << 4
                | u8::try_from(subunit >> index & 1).unwrap() << 6;
            record.push(if index < 9 { dife | 0x80 } else { dife });
        }
        record.push(0x10 | scale);
        let packed = u32::from_str_radix(&digits.to_string(), 16).unwrap();
        record.extend(if bcd { packed } else { digits }.to_le_bytes());
        let answer = decode(&telegram(0x72, &[&HEADER, &record])).unwrap();
        let expected = Number::scaled(digits.into(), i32::from(scale) - 6).unwrap();
        prop_assert_eq!(answer.values.len(), 1);
        prop_assert_eq!(cubic_metres(&answer.values[0]), Some(expected.to_string()));
        prop_assert_eq!((answer.values[0].storage, answer.values[0].tariff, answer.values[0].subunit), (storage, tariff, subunit));
    }
}
