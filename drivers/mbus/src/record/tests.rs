//! Records that break, and what is kept of them and around them.

use super::*;
use proptest::prelude::*;
use weir_wire::{Function, Unit};

fn values(bytes: &[u8]) -> Vec<Value> {
    read(bytes, VifText::Auto).values
}

/// What a value says, where it belongs, and how many bytes it has.
fn shown(value: &Value) -> String {
    let content = match &value.content {
        Content::Number(number) => number.to_string(),
        Content::Invalid(why) => format!("invalid: {why}"),
        other => format!("{other:?}"),
    };
    let unit = value.unit.as_ref().map(|unit| format!(" {unit}")).unwrap_or_default();
    let (storage, tariff, subunit) = (value.storage, value.tariff, value.subunit);
    let bytes = value.raw.as_ref().map_or(0, |raw| raw.0.len());
    format!("{} {content}{unit} {} {storage}/{tariff}/{subunit} [{bytes}]", value.quantity, value.function)
}

fn all_shown(bytes: &[u8]) -> Vec<String> {
    values(bytes).iter().map(shown).collect()
}

#[test]
fn data_that_breaks_off_keeps_its_headers_fields_and_its_bytes() {
    let record = [0xD4, 0x51, 0x93, 0x7D, 0x01, 0x02];
    let value = &values(&record)[0];
    assert_eq!((&value.quantity, &value.unit), (&Quantity::Volume, &Some(Unit::CubicMetre)));
    assert_eq!((&value.function, value.storage, value.tariff, value.subunit), (&Function::Maximum, 3, 1, 1));
    assert_eq!(value.content, Content::Invalid("telegram ends 2 bytes before the data does".into()));
    assert_eq!(value.raw, Some(Raw(record.to_vec())));
}

#[test]
fn each_break_keeps_as_much_of_the_header_as_stands_before_it() {
    for (record, expected) in [
        (&[0x3F, 0x13, 0x01][..], "unreadable invalid: DIF 3F is reserved instantaneous 0/0/0 [3]"),
        (&[0xA4], "unreadable invalid: telegram ends inside a data information block minimum 0/0/0 [1]"),
        (
            &[0xE4, 0x91],
            "unreadable invalid: telegram ends inside a data information block minimum 3/1/0 [2]",
        ),
        (
            &[0x44],
            "unreadable invalid: telegram ends inside a value information block instantaneous 1/0/0 [1]",
        ),
        (
            &[0x44, 0x93],
            "unreadable invalid: telegram ends inside a value information block instantaneous 1/0/0 [2]",
        ),
        (
            &[0x42, 0x7C, 3, b'a'],
            "unreadable invalid: VIF text of 3 characters with 1 bytes left instantaneous 1/0/0 [4]",
        ),
        (
            &[0x42, 0x7C, 1, b'a'],
            "text:a invalid: telegram ends 2 bytes before the data does instantaneous 1/0/0 [4]",
        ),
        (
            &[0x4D, 0x13],
            "volume invalid: telegram ends 1 bytes before the data does m3 instantaneous 1/0/0 [2]",
        ),
        (
            &[0x4D, 0x13, 0xC4, 0x01],
            "volume invalid: telegram ends 3 bytes before the data does m3 instantaneous 1/0/0 [4]",
        ),
        (&[0x4D, 0x13, 0xFF, 0x01], "volume invalid: LVAR FF is reserved m3 instantaneous 1/0/0 [4]"),
        (
            &[0x42, 0x6D, 0x01],
            "date-time invalid: telegram ends 1 bytes before the data does instantaneous 1/0/0 [3]",
        ),
    ] {
        assert_eq!(all_shown(record), [expected], "as the first record");
        let behind = [&[0x2F, 0x01, 0x3B, 0x05][..], record].concat();
        assert_eq!(
            all_shown(&behind),
            ["volume-flow 0.005 m3/h instantaneous 0/0/0 [3]", expected],
            "behind another"
        );
    }
}

#[test]
fn too_long_a_header_spoils_its_own_record_and_no_other() {
    let neighbour = [0x01, 0x3B, 0x05];
    let dife = [&[0xC1][..], &[0x80; 10], &[0x01, 0x13, 0x07]].concat();
    let vife = [&[0x41, 0x93][..], &[0xF4; 10], &[0x74, 0x07]].concat();
    let flow = "volume-flow 0.005 m3/h instantaneous 0/0/0 [3]";
    assert_eq!(
        all_shown(&[&dife[..], &neighbour, &vife, &neighbour].concat()),
        [
            "volume invalid: more than 10 DIFE m3 instantaneous 1/0/0 [14]",
            flow,
            "vif:93F4F4F4F4F4F4F4F4F4F4 invalid: more than 10 VIFE instantaneous 1/0/0 [14]",
            flow,
        ]
    );
}

/// Headers that never end, texts and data longer than anything, and nothing at all: in front of, behind and between each
/// other.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let dife = prop::sample::select(vec![0x80_u8, 0xC0, 0xF4, 0xFF]);
    let vife = prop::sample::select(vec![0x93_u8, 0xF4, 0xFB, 0xFC, 0xFD, 0xFF]);
    let part = prop_oneof![
        (dife, 0_usize..260).prop_map(|(dife, length)| vec![dife; length]),
        (vife, 0_usize..260).prop_map(|(vife, length)| [vec![0x04], vec![vife; length]].concat()),
        (any::<u8>(), 0_usize..20)
            .prop_map(|(lvar, left)| [vec![0x0D, 0x13, lvar], vec![0x31; left]].concat()),
        (any::<u8>(), 0_usize..20)
            .prop_map(|(length, left)| [vec![0x01, 0x7C, length], vec![0x41; left]].concat()),
        Just(vec![0x00, 0x13]),
        Just(vec![0x0D, 0x13, 0x00]),
        Just(vec![0x2F]),
    ];
    prop::collection::vec(part, 0..6).prop_map(|parts| {
        let mut bytes = parts.concat();
        bytes.truncate(252);
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// No record panics, every byte but a filler belongs to exactly one value, and no name outgrows a header.
    #[test]
    fn hostile_records_are_taken_apart_without_losing_or_inventing_a_byte(bytes in hostile()) {
        let values = values(&bytes);
        let mut rest = bytes.as_slice();
        for raw in values.iter().filter_map(|value| value.raw.as_ref()) {
            while !rest.starts_with(&raw.0) {
                prop_assert_eq!(rest.first(), Some(&FILLER));
                rest = &rest[1..];
            }
            prop_assert!(!raw.0.is_empty());
            rest = &rest[raw.0.len()..];
        }
        // Left are fillers, or the single byte that opens an empty manufacturer's block.
        prop_assert!(rest.iter().all(|byte| [FILLER, MANUFACTURER, MORE_FOLLOW].contains(byte)));
        for value in &values {
            if let Quantity::Other(name) = &value.quantity {
                let longest = if name.starts_with("text:") { 5 + 255 } else { 4 + 2 * 11 };
                prop_assert!(name.chars().count() <= longest, "{}", name);
            }
        }
    }
}

#[test]
fn every_length_of_every_chain_is_told_without_a_panic() {
    for byte in [0x80, 0xFF, 0xFD, 0xFB, 0xFC, 0x7C] {
        for length in 0..=252 {
            for record in [vec![byte; length], [vec![0x04], vec![byte; length]].concat()] {
                let raw: usize = values(&record)
                    .iter()
                    .filter_map(|value| value.raw.as_ref())
                    .map(|raw| raw.0.len())
                    .sum();
                assert_eq!(raw, record.len(), "{byte:02X} × {length}");
            }
        }
    }
}
