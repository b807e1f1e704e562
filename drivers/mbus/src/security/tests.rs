//! Published telegrams with their keys, and telegrams encrypted here.
//!
//! Published: OMS volume 2, annex N (message examples), as the test suites of other masters carry them, with the key that
//! stands beside each. Two of them are wireless there: what stands between the link layer and the records' end is the same
//! on a wire, so it is put into a wired frame here.

use aes::Aes128;
use cbc::Encryptor;
use cbc::cipher::{BlockModeEncrypt, KeyIvInit};
use proptest::prelude::*;
use weir_wire::{Answer, Content, Quantity};

use super::*;
use crate::{Options, decode, frame};

/// The gas meter of annex N: ELS, 12345678, version 51.
const GAS: MeterId =
    MeterId { number: [0x78, 0x56, 0x34, 0x12], manufacturer: [0x93, 0x15], version: 0x33, device: 0x03 };
/// Its key in security profile A, and in profile B.
const KEY_A: &str = "0102030405060708090A0B0C0D0E0F11";
const KEY_B: &str = "000102030405060708090A0B0C0D0E0F";

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex
        .chars()
        .filter(|c| !c.is_whitespace())
        .map(|c| c.to_digit(16).unwrap().try_into().unwrap())
        .collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// A wired frame around this: CI field and what follows.
fn wired(hex: &str) -> Vec<u8> {
    let data = bytes(hex);
    frame::long(0x08, 0xFD, data[0], &data[1..]).unwrap()
}

fn with(key: &str, meter: Option<MeterId>) -> Options {
    Options { key: Some(key.parse().unwrap()), meter, ..Options::default() }
}

fn shown(answer: &Answer) -> Vec<String> {
    let show = |content: &Content| match content {
        Content::Number(number) => number.to_string(),
        Content::Text(text) => text.clone(),
        Content::Date(date) => date.to_string(),
        Content::DateTime(moment) => moment.to_string(),
        other => format!("{other:?}"),
    };
    answer
        .values
        .iter()
        .map(|value| format!("{} @{} {}", value.quantity, value.storage, show(&value.content)))
        .collect()
}

fn fault(telegram: &[u8], options: &Options) -> String {
    decode(telegram, options).unwrap_err().to_string()
}

/// What the gas meter of annex N says in every one of its examples.
const GAS_SAYS: [&str; 3] = ["volume @0 28504.27", "date-time @0 2008-05-31T23:50:00", "error-flags @0 0"];

/// N.2.1, from CI 7A on.
const PROFILE_A: &str = "7A 2A 00 20 25 59 23 C9 5A AA 26 D1 B2 E7 49 3B 01 3E C4 A6 F6 D3 52 9B 52 0E DF F0 EA 6D EF C9 9D 6D 69 EB F3";
/// The meter with integrated radio and profile B, from CI 90 on.
const PROFILE_B_SHORT: &str = "90 0F 00 2C 25 B3 0A 00 00 21 92 4D 4F 2F B6 6E 01 7A 75 00 20 07 10 \
    90 58 47 5F 4B C9 1D F8 78 B8 0A 1B 0F 98 B6 29 02 4A AC 72 79 42 BF C5 49 23 3C 01 40 82 9B 93";
/// The same meter behind a radio adapter, from CI 90 on: with a long header.
const PROFILE_B_LONG: &str = "90 0F 00 2C 25 B3 0A 00 00 AF 5D 74 DF 73 A6 00 D9 72 78 56 34 12 93 15 33 03 75 00 20 07 10 \
    90 58 47 5F 4B C9 1D F8 78 B8 0A 1B 0F 98 B6 29 02 4A AC 72 79 42 BF C5 49 23 3C 01 40 82 9B 93";
/// N.5.4, a whole wired frame: the first block encrypted, the rest plain.
const PARTLY: &str = "68 2C 2C 68 08 FD 72 88 77 66 55 93 44 55 08 00 04 10 05 \
    00 DF E2 A7 82 14 6D 15 13 58 1C D2 F8 3F 39 04 0C FD 10 78 56 34 12 0C 78 44 33 22 11 26 16";

#[test]
fn oms_annex_n_wired_telegram_with_one_encrypted_block() {
    let answer = decode(&bytes(PARTLY), &with(KEY_B, None)).unwrap();
    assert_eq!(answer.identity.number.as_deref(), Some("55667788"));
    assert_eq!(answer.identity.manufacturer.as_deref(), Some("QDS"));
    assert_eq!(answer.status.battery_low, Some(true));
    assert_eq!(
        shown(&answer),
        [
            "heat-cost-allocation @0 1234",
            "date @1 2007-04-30",
            "heat-cost-allocation @1 23456",
            "customer-location @0 12345678",
            "fabrication-number @0 11223344",
        ]
    );
    // The frame is kept as it came, a value's own bytes are those that were read.
    assert_eq!(answer.raw.unwrap().0, bytes(PARTLY));
    assert_eq!(answer.values[0].raw.as_ref().unwrap().to_string(), "0B6E341200");
}

#[test]
fn oms_annex_n_gas_meter_in_every_profile() {
    let plain = "72 78 56 34 12 93 15 33 03 2A 00 00 00 0C 14 27 04 85 02 04 6D 32 37 1F 15 02 FD 17 00 00";
    assert_eq!(shown(&decode(&wired(plain), &Options::default()).unwrap()), GAS_SAYS);
    assert_eq!(shown(&decode(&wired(PROFILE_A), &with(KEY_A, Some(GAS))).unwrap()), GAS_SAYS);
    assert_eq!(shown(&decode(&wired(PROFILE_B_SHORT), &with(KEY_B, Some(GAS))).unwrap()), GAS_SAYS);
    let long = decode(&wired(PROFILE_B_LONG), &with(KEY_B, None)).unwrap();
    assert_eq!(shown(&long), GAS_SAYS);
    assert_eq!(long.identity.number.as_deref(), Some("12345678"));
}

#[test]
fn a_wrong_key_and_none_are_refused_clearly() {
    let wrong = "FF0102030405060708090A0B0C0D0E0F";
    let no_key = Options { meter: Some(GAS), ..Options::default() };
    assert_eq!(
        fault(&bytes(PARTLY), &with(wrong, None)),
        "refused: records do not decrypt with this meter's key (security mode 5): the key is wrong"
    );
    assert_eq!(
        fault(&wired(PROFILE_B_LONG), &with(wrong, None)),
        "refused: authentication code does not fit this meter's key: the key is wrong, or the telegram changed"
    );
    let without_code = format!("90 07 00 28 20 B3 0A 00 00 {}", &PROFILE_B_LONG[51..]);
    assert_eq!(shown(&decode(&wired(&without_code), &with(KEY_B, None)).unwrap()), GAS_SAYS);
    assert_eq!(
        fault(&wired(&without_code), &with(wrong, None)),
        "refused: records do not decrypt with this meter's key (security mode 7): the key is wrong"
    );
    for (telegram, mode) in [(PROFILE_A, 5), (PROFILE_B_SHORT, 7), (PROFILE_B_LONG, 7)] {
        assert_eq!(
            fault(&wired(telegram), &no_key),
            format!("refused: records are encrypted (security mode {mode}), and there is no key for them")
        );
    }
}

#[test]
fn a_short_header_is_not_decrypted_without_the_meters_address() {
    for (telegram, key, mode) in [(PROFILE_A, KEY_A, 5), (PROFILE_B_SHORT, KEY_B, 7)] {
        let why = fault(&wired(telegram), &with(key, None));
        let expected = format!("refused: records are encrypted (security mode {mode}) behind a short header");
        assert!(why.starts_with(&expected), "{why}");
        let stranger = MeterId { number: [0x79, 0x56, 0x34, 0x12], ..GAS };
        assert!(decode(&wired(telegram), &with(key, Some(stranger))).is_err());
    }
}

#[test]
fn a_telegram_that_was_changed_anywhere_behind_the_layer_is_not_authentic() {
    let whole = bytes(PROFILE_B_LONG);
    // Not the layer's own length and control field, which would make another layer of it, nor the header's CI field.
    for at in (5..whole.len()).filter(|at| *at != 17) {
        let mut changed = whole.clone();
        changed[at] ^= 0x01;
        let telegram = frame::long(0x08, 1, changed[0], &changed[1..]).unwrap();
        assert!(decode(&telegram, &with(KEY_B, None)).is_err(), "byte {at}");
    }
}

#[test]
fn headers_that_break_off_and_blocks_that_are_not_there() {
    let why = |hex: &str| fault(&wired(hex), &with(KEY_B, Some(GAS)));
    assert_eq!(why("7A 75 00 20 07"), "refused: header of security mode 7 breaks off");
    assert_eq!(why("7A 75 00 20 27 10 01 02 03"), "refused: header of security mode 7 breaks off");
    assert_eq!(why("7A 75 00 20 07 50"), "refused: header of security mode 7 breaks off");
    assert_eq!(
        why("7A 75 00 20 07 10"),
        "refused: 2 encrypted blocks are announced, and there are only 0 bytes"
    );
    assert_eq!(
        why(&PROFILE_A[..PROFILE_A.len() - 3]),
        "refused: 2 encrypted blocks are announced, and there are only 31 bytes"
    );
    let blocks = "00 ".repeat(32);
    assert_eq!(
        why(&format!("7A 75 00 20 07 10 {blocks}")),
        "refused: security mode 7 without a message counter"
    );
    assert_eq!(why(&format!("7A 75 00 20 07 30 {blocks}")), "refused: key derivation 3 is not known");
    assert_eq!(why("90 02 00 00"), "refused: nothing stands behind the authentication layer (CI 90)");
    assert_eq!(why("90 07 00 24 28 01 02 03 04 78"), "refused: authentication layer (CI 90) breaks off");
    let mac = "11".repeat(12);
    assert_eq!(
        why(&format!("90 0F 00 24 08 {mac} 7A 75 00 00 00")),
        "refused: authentication of kind 8 is not known"
    );
    assert_eq!(
        why("90 05 00 24 03 11 22 7A 75 00 00 00"),
        "refused: authentication does not say how its key is derived"
    );
}

#[test]
fn a_mode_that_encrypts_no_block_is_plain_unless_a_key_says_otherwise() {
    let header = "72 78 56 34 12 93 15 33 03 2A 00 00 05";
    let plain = format!("{header} {}", "0C 14 27 04 85 02 ".repeat(3));
    for options in [Options::default(), with(KEY_A, None)] {
        assert_eq!(shown(&decode(&wired(&plain), &options).unwrap()), ["volume @0 28504.27"; 3]);
    }
    let all = PROFILE_A.replacen("7A 2A 00 20 25", &header.replacen("00 05", "00 25", 1), 1);
    assert_eq!(shown(&decode(&wired(&all), &with(KEY_A, None)).unwrap()), GAS_SAYS);
}

/// The whole telegram of a meter that encrypts with this key, and everything optional in its header.
fn sealed(records: &[u8], key: &[u8; 16], mode: u8, derived: bool, counter: [u8; 4], access: u8) -> Vec<u8> {
    let mut plain = MARK.to_vec();
    plain.extend_from_slice(records);
    plain.resize(plain.len().next_multiple_of(BLOCK), 0x2F);
    let blocks = u8::try_from(plain.len() / BLOCK).unwrap();
    let number = GAS.number;
    let (key, start) = match (mode, derived) {
        (5, _) => (*key, start_value(&GAS, access)),
        (_, false) => (*key, [0; BLOCK]),
        (_, true) => {
            let mut mac = <Cmac<Aes128> as KeyInit>::new(key.into());
            mac.update(&[&[0], &counter[..], &number[..], &[7; 7]].concat());
            (mac.finalize().into_bytes().into(), [0; BLOCK])
        }
    };
    let mut cipher = Encryptor::<Aes128>::new((&key).into(), (&start).into());
    for block in plain.as_chunks_mut::<BLOCK>().0 {
        let mut sealed: Block<Aes128> = (*block).into();
        cipher.encrypt_block(&mut sealed);
        *block = sealed.into();
    }
    let mut data = [&number[..], &GAS.manufacturer, &[GAS.version, GAS.device, access, 0]].concat();
    data.extend([blocks << 4, mode]);
    if mode == 7 {
        // With a key version, and with the counter in the header.
        data.pop();
        data.extend([mode | 0x20, 0x40 | u8::from(derived) << 4, 0x09]);
        data.extend(counter);
    }
    data.extend(plain);
    frame::long(0x08, 1, 0x72, &data).unwrap()
}

proptest! {
    #[test]
    fn what_a_meter_seals_is_opened_with_its_key_and_no_other(
        litres: u32, key: [u8; 16], other: [u8; 16], mode in prop::sample::select(vec![5_u8, 7]), derived: bool,
        counter: [u8; 4], access: u8, records in 1_usize..20,
    ) {
        let record = [&[0x04, 0x13][..], &(litres & 0x7FFF_FFFF).to_le_bytes()].concat();
        let telegram = sealed(&record.repeat(records), &key, mode, derived, counter, access);
        let open = |key| decode(&telegram, &Options { key: Some(Key::new(key)), ..Options::default() });
        let answer = open(key).unwrap();
        prop_assert_eq!(answer.values.len(), records);
        for value in &answer.values {
            prop_assert_eq!(&value.quantity, &Quantity::Volume);
            prop_assert_eq!(&value.raw.as_ref().unwrap().0, &record);
        }
        // One key in 65,536 shows the mark by accident.
        if other != key && let Ok(answer) = open(other) {
            prop_assert!(answer.values.iter().all(|value| value.raw.as_ref().unwrap().0 != record));
        }
    }

    #[test]
    fn no_bytes_behind_a_protected_header_panic(data in prop::collection::vec(any::<u8>(), 0..240), information in prop::sample::select(vec![0x90_u8, 0x72, 0x7A])) {
        for mode in [5, 7, 0x27] {
            let mut data = data.clone();
            if let Some(at) = data.get_mut(if information == 0x72 { 11 } else { 3 }) {
                *at = mode;
            }
            let telegram = frame::long(0x08, 1, information, &data).unwrap();
            let _ = decode(&telegram, &with(KEY_A, Some(GAS)));
        }
    }
}
