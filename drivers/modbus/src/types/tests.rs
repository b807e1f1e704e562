//! Every type and order against bytes worked out by hand or printed in a source.

use proptest::prelude::*;

use super::*;

fn field(type_name: &str, order: &str, registers: u16) -> Field {
    let (kind, fixed) = TYPES.iter().find(|(name, _)| *name == type_name).unwrap().1;
    let order = Order::NAMES.iter().find(|(name, _)| *name == order).unwrap().1;
    Field {
        function: FunctionCode::ReadHoldingRegisters,
        address: 0,
        length: if registers == 0 { fixed.unwrap() } else { registers },
        kind,
        order,
        invalid: Vec::new(),
        mask: None,
    }
}

/// What is read, as text: the number with its places, or `!why`.
fn read(type_name: &str, order: &str, wire: &[u8]) -> String {
    let registers = u16::try_from(wire.len() / 2).unwrap();
    match field(type_name, order, registers).content(wire) {
        Content::Number(number) => number.to_string(),
        Content::Text(text) => text,
        Content::Invalid(why) => format!("!{why}"),
        other => panic!("{other:?}"),
    }
}

/// The sheet prints 0.545, to three places; the float it gives is the one just below the nearest to that.
#[test]
fn the_xintai_sheets_example_is_0_545_to_its_three_places() {
    assert_eq!(read("f32", "DCBA", &[0x1F, 0x85, 0x0B, 0x3F]), "0.545");
    assert_eq!(read("f32", "DCBA", &[0x1E, 0x85, 0x0B, 0x3F]), "0.54499996");
}

#[test]
fn the_same_number_in_all_four_orders() {
    // 0x01020304 = 16909060.
    for (order, wire) in
        [("ABCD", [1, 2, 3, 4]), ("CDAB", [3, 4, 1, 2]), ("BADC", [2, 1, 4, 3]), ("DCBA", [4, 3, 2, 1])]
    {
        assert_eq!(read("u32", order, &wire), "16909060", "{order}");
    }
    let eight = [
        ("ABCD", [1, 2, 3, 4, 5, 6, 7, 8]),
        ("CDAB", [7, 8, 5, 6, 3, 4, 1, 2]),
        ("BADC", [2, 1, 4, 3, 6, 5, 8, 7]),
        ("DCBA", [8, 7, 6, 5, 4, 3, 2, 1]),
    ];
    for (order, wire) in eight {
        assert_eq!(read("u64", order, &wire), "72623859790382856", "{order}");
    }
    assert_eq!(read("u16", "ABCD", &[1, 2]), "258");
    assert_eq!(read("u16", "CDAB", &[1, 2]), "258");
    assert_eq!(read("u16", "DCBA", &[1, 2]), "513");
}

#[test]
fn signs_are_twos_complement() {
    assert_eq!(read("i16", "ABCD", &[0xFF, 0xFE]), "-2");
    assert_eq!(read("i16", "ABCD", &[0x80, 0x00]), "-32768");
    assert_eq!(read("u16", "ABCD", &[0x80, 0x00]), "32768");
    assert_eq!(read("i32", "CDAB", &[0xFF, 0x9C, 0xFF, 0xFF]), "-100");
    assert_eq!(read("i64", "ABCD", &[0xFF; 8]), "-1");
    assert_eq!(read("u64", "ABCD", &[0xFF; 8]), "18446744073709551615");
    assert_eq!(read("i32", "ABCD", &[0x7F, 0xFF, 0xFF, 0xFF]), "2147483647");
}

#[test]
fn floats_are_the_shortest_decimal_that_names_them() {
    // 123.456 as f32 is 0x42F6E979; 12345.678 as f64 is 0x40C81CD6C8B43958.
    assert_eq!(read("f32", "ABCD", &[0x42, 0xF6, 0xE9, 0x79]), "123.456");
    assert_eq!(read("f32", "CDAB", &[0xE9, 0x79, 0x42, 0xF6]), "123.456");
    assert_eq!(read("f64", "ABCD", &[0x40, 0xC8, 0x1C, 0xD6, 0xC8, 0xB4, 0x39, 0x58]), "12345.678");
    assert_eq!(read("f64", "DCBA", &[0x58, 0x39, 0xB4, 0xC8, 0xD6, 0x1C, 0xC8, 0x40]), "12345.678");
}

#[test]
fn not_a_number_is_invalid_and_too_many_digits_are_text() {
    assert_eq!(read("f32", "ABCD", &[0x7F, 0xC0, 0, 0]), "!NaN");
    assert_eq!(read("f32", "ABCD", &[0x7F, 0x80, 0, 0]), "!inf");
    assert_eq!(read("f32", "ABCD", &[0x7F, 0x7F, 0xFF, 0xFF]), "340282350000000000000000000000000000000");
}

#[test]
fn bcd_keeps_leading_zeros_where_it_is_an_identification() {
    // The BOVE sheet: serial digits low register first.
    assert_eq!(read("bcd", "CDAB", &[0x56, 0x78, 0x00, 0x34]), "345678");
    let serial = field("bcd", "CDAB", 2);
    assert_eq!(serial.identification(&[0x56, 0x78, 0x00, 0x34]).unwrap(), "00345678");
    assert_eq!(serial.identification(&[0x56, 0x7A, 0x00, 0x34]), None);
    assert_eq!(read("bcd", "ABCD", &[0x12, 0x3F]), "!not decimal digits");
    // 32 digits are more than a number holds.
    assert_eq!(read("bcd", "ABCD", &[0x99; 16]), "99".repeat(16));
}

#[test]
fn text_loses_its_padding_only() {
    assert_eq!(read("ascii", "ABCD", b"A-17  "), "A-17");
    assert_eq!(read("ascii", "ABCD", b"OCT4\0\0"), "OCT4");
    assert_eq!(read("ascii", "BADC", b"-A71"), "A-17");
    assert_eq!(read("ascii", "ABCD", &[b'A', 0, b'B', 0]), "!not printable ASCII");
    assert_eq!(read("ascii", "ABCD", &[0, b'A', b'B', b'C']), "!not printable ASCII");
    assert_eq!(read("ascii", "ABCD", &[0xC3, 0xA4]), "!not printable ASCII");
    assert_eq!(field("ascii", "ABCD", 2).identification(&[0; 4]), None);
}

#[test]
fn text_may_have_one_character_in_each_register() {
    assert_eq!(read("ascii", "ABCD", &[0, b'4', 0, b'7', 0, b'1']), "471");
    assert_eq!(read("ascii", "ABCD", &[0, b'4', 0, b'7', 0, 0, 0, 0]), "47");
    assert_eq!(read("ascii", "BADC", &[b'4', 0, b'7', 0]), "47");
    assert_eq!(read("ascii", "ABCD", &[0, b'4', 0, 0, 0, b'7']), "!not printable ASCII");
}

#[test]
fn a_marked_pattern_is_invalid_in_the_order_of_the_value() {
    let marked = Field { invalid: vec![0x8000_0000], ..field("i32", "CDAB", 0) };
    assert!(matches!(marked.content(&[0, 0, 0x80, 0]), Content::Invalid(why) if why.contains("0x80000000")));
    assert_eq!(marked.bits(&[0, 0, 0x80, 0]), None);
    assert!(matches!(marked.content(&[0x80, 0, 0, 0]), Content::Number(_)));
}

proptest! {
    #[test]
    fn integers_come_back_from_any_order(number: i32, which in 0_usize..4) {
        let [a, b, c, d] = number.to_be_bytes();
        let wire = [[a, b, c, d], [c, d, a, b], [b, a, d, c], [d, c, b, a]][which];
        prop_assert_eq!(read("i32", Order::NAMES[which].0, &wire), number.to_string());
    }

    #[test]
    fn no_bytes_panic(which in 0_usize..TYPES.len(), order in 0_usize..4, wire: Vec<u8>) {
        let field = Field { kind: TYPES[which].1.0, ..field("u16", Order::NAMES[order].0, 0) };
        let _ = (field.content(&wire), field.bits(&wire), field.identification(&wire));
    }
}

#[test]
fn a_mask_takes_some_bits_out_of_a_register() {
    let masked = |mask| Field { mask: Some(mask), ..field("u16", "ABCD", 1) };
    let wire = [0b1100_0101, 0b0001_0111];
    assert_eq!(masked(0xC000).bits(&wire), Some(3));
    assert_eq!(masked(0x00F0).bits(&wire), Some(1));
    assert_eq!(masked(0xFFFF).bits(&wire), Some(0xC517));
    assert_eq!(masked(0x0F00).content(&wire), Content::Number("5".parse().unwrap()));
    let marked = Field { invalid: vec![0xC517], ..masked(0x000F) };
    assert_eq!(marked.bits(&wire), None, "the whole register says that there is no value");
}

#[test]
fn a_field_names_its_coding_as_a_profile_does() {
    let named = |name, order, registers| field(name, order, registers).coding();
    assert_eq!(named("u16", "CDAB", 0), "u16");
    assert_eq!(named("f64", "DCBA", 0), "f64 DCBA");
    assert_eq!(named("bitfield", "ABCD", 2), "u32");
    assert_eq!(named("bcd", "CDAB", 2), "bcd, 8 digits CDAB");
    assert_eq!(named("ascii", "ABCD", 16), "ascii, 32 bytes");
    assert_eq!(Field { mask: Some(0xC0), ..field("u16", "ABCD", 0) }.coding(), "u16 mask 0xC0");
}
