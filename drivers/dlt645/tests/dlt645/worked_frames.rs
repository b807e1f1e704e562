//! The published frames, each decoded to the meaning its source states, and each request made as it was published.
//!
//! They stand in `protocols/frames.json` of the shared folder beside the repository; here they are written out, and
//! where the folder is there, it is checked that none was forgotten.

use std::io::Write;
use std::path::Path;

use weir_dlt645::{Address, Authority, Frame, READ, RelayOrder, decode, encode, relay_request};
use weir_meter::Fault;
use weir_wire::Content;

use crate::meter::named;

/// Name in frames.json, bytes, and what they say: address, C | what it decodes to.
const FRAMES: &[(&str, &str, &str)] = &[
    (
        "read address, broadcast",
        "FE FE FE FE 68 AA AA AA AA AA AA 68 13 00 DF 16",
        "AAAAAAAAAAAA 13 | request",
    ),
    (
        "read address, answer",
        "FE FE FE FE 68 94 41 03 26 12 18 68 93 06 C7 74 36 59 45 4B EB 16",
        "181226034194 93 | 181226034194",
    ),
    (
        "read address, answer 2",
        "FE FE FE FE FE FE FE 68 12 90 78 56 34 12 68 93 06 45 C3 AB 89 67 45 07 16",
        "123456789012 93 | 123456789012",
    ),
    (
        "read 00010000, request",
        "68 61 01 00 00 00 00 68 11 04 33 33 34 33 14 16",
        "000000000161 11 | request",
    ),
    (
        "read 00010000, answer",
        "68 61 01 00 00 00 00 68 91 08 33 33 34 33 59 33 33 33 8A 16",
        "000000000161 91 | 0.26 kWh",
    ),
    (
        "read 00010000, answer 2",
        "FE FE 68 12 90 78 56 34 12 68 91 08 33 33 34 33 89 67 45 33 54 16",
        "123456789012 91 | 1234.56 kWh",
    ),
    (
        "read 00010000, answer 3",
        "FE FE 68 72 00 32 09 17 20 68 91 08 33 33 34 33 B9 34 33 33 6D 16",
        "201709320072 91 | 1.86 kWh",
    ),
    (
        "read 00000000, request",
        "FE FE FE FE 68 29 25 07 07 21 20 68 11 04 33 33 33 33 4E 16",
        "202107072529 11 | request",
    ),
    (
        "read 00000000, answer",
        "FE FE FE FE 68 29 25 07 07 21 20 68 91 08 33 33 33 33 A9 4A 36 33 2E 16",
        "202107072529 91 | 317.76 kWh",
    ),
    (
        "read 02010100, answer",
        "68 61 01 00 00 00 00 68 91 06 33 34 34 35 34 43 10 16",
        "000000000161 91 | 100.1 V",
    ),
    (
        "relay trip 1A",
        "68 11 11 11 11 11 11 68 1C 10 33 33 33 33 33 33 33 33 4D 33 57 74 48 45 38 4B 55 16",
        "111111111111 1C | request",
    ),
    (
        "relay trip (2), level 02",
        "68 98 99 21 00 00 00 68 1C 10 35 33 33 33 63 63 63 63 4D 33 33 33 33 33 33 33 5A 16",
        "000000219998 1C | request",
    ),
    (
        "relay close 1B",
        "68 98 99 21 00 00 00 68 1C 10 35 33 33 33 63 63 63 63 4E 33 33 33 33 33 33 33 5B 16",
        "000000219998 1C | request",
    ),
    (
        "relay close 1B with password",
        "68 61 10 01 30 12 15 68 1C 10 35 6A 39 35 34 33 33 33 4E 33 33 33 33 63 45 CC 2D 16",
        "151230011061 1C | request",
    ),
    ("relay ok answer", "68 61 10 01 30 12 15 68 9C 00 35 16", "151230011061 9C | "),
    (
        "relay trip",
        "68 06 10 24 05 19 20 68 1C 10 35 33 33 33 33 33 33 33 4D 33 33 33 33 33 33 33 C0 16",
        "201905241006 1C | request",
    ),
];

/// The two identifiers of the sheet that no shipped profile reads, besides those that one does.
const MORE: &str = "[[read]]\ndi = \"00000000\"\nquantity = \"energy\"\nunit = \"kWh\"\nbytes = 4\nplaces = 2\nsigned = true\n\
                    [[read]]\ndi = \"00010000\"\nquantity = \"forward-energy\"\nunit = \"kWh\"\nbytes = 4\nplaces = 2\n\
                    [[read]]\ndi = \"02010100\"\nquantity = \"voltage\"\nunit = \"V\"\nbytes = 2\nplaces = 1\n";

fn bytes(hex: &str) -> Vec<u8> {
    hex.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
}

fn published(name: &str) -> Vec<u8> {
    bytes(FRAMES.iter().find(|(known, ..)| *known == name).unwrap().1)
}

#[test]
fn every_published_frame_decodes_to_its_meaning() {
    let profile = weir_dlt645::Profile::parse(MORE).unwrap();
    for (name, hex, says) in FRAMES {
        let frame = Frame::parse(&bytes(hex)).unwrap();
        let decoded = match decode(&bytes(hex), &profile) {
            Ok(answer) => {
                assert_eq!(answer.identity.number, Some(frame.address.to_string()));
                let value = answer.values.first().map(|value| match &value.content {
                    Content::Number(number) => format!("{number} {}", value.unit.as_ref().unwrap()),
                    other => panic!("{other:?}"),
                });
                let told = <[u8; 6]>::try_from(frame.data.as_slice());
                value.or(told.ok().map(|told| Address::from_wire(told).to_string())).unwrap_or_default()
            }
            Err(Fault::Garbled { why }) if why.starts_with("a request") => "request".into(),
            Err(fault) => panic!("{fault}"),
        };
        assert_eq!(format!("{} {:02X} | {decoded}", frame.address, frame.control), *says, "{name}");
    }
}

#[test]
fn every_published_request_is_what_we_send() {
    let address = |text: &str| text.parse::<Address>().unwrap();
    assert_eq!(encode(4, &Address::ANY, 0x13, &[]), published("read address, broadcast"));
    let energy = 0x0001_0000_u32.to_le_bytes();
    assert_eq!(encode(0, &address("000000000161"), READ, &energy), published("read 00010000, request"));
    assert_eq!(encode(4, &address("202107072529"), READ, &[0; 4]), published("read 00000000, request"));

    let plain = |level| Authority::new(level, [0; 3], [0; 4]);
    let thirty = Authority::new(2, [0; 3], [0x30; 4]);
    let known = Authority::new(2, [0x37, 0x06, 0x02], [1, 0, 0, 0]);
    for (name, meter, order, authority, expires) in [
        ("relay trip 1A", "111111111111", RelayOrder::Trip, plain(0), Some("2018-05-12T15:41:24")),
        ("relay trip (2), level 02", "000000219998", RelayOrder::Trip, thirty.clone(), None),
        ("relay close 1B", "000000219998", RelayOrder::AllowClose, thirty, None),
        (
            "relay close 1B with password",
            "151230011061",
            RelayOrder::AllowClose,
            known,
            Some("2099-12-30T00:00:00"),
        ),
        ("relay trip", "201905241006", RelayOrder::Trip, plain(2), None),
    ] {
        let expires = expires.map(|time| time.parse().unwrap());
        let data = relay_request(order, &authority, expires).unwrap();
        assert_eq!(encode(0, &address(meter), 0x1C, &data), published(name), "{name}");
    }
}

#[derive(serde::Deserialize)]
struct Published {
    name: String,
    hex: String,
}

#[derive(serde::Deserialize)]
struct Sheet {
    dlt645: Vec<Published>,
}

#[test]
fn no_frame_of_the_sheet_is_forgotten() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/protocols/frames.json");
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) => {
            let word = format!("NOT RUN: dlt645 worked frames: {}: {error}", path.display());
            assert_ne!(std::env::var("WEIR_REQUIRE").as_deref(), Ok("all"), "{word}");
            // Past the test harness's capture, so that it is seen in a run that passes.
            writeln!(std::io::stderr(), "{word}").unwrap();
            return;
        }
    };
    let sheet: Vec<(String, Vec<u8>)> = serde_json::from_str::<Sheet>(&text)
        .unwrap()
        .dlt645
        .into_iter()
        .map(|published| (published.name, bytes(&published.hex)))
        .collect();
    let here: Vec<(String, Vec<u8>)> =
        FRAMES.iter().map(|(name, hex, _)| ((*name).to_owned(), bytes(hex))).collect();
    assert_eq!(sheet, here);
    assert!(named("standard").read.len() == 1);
}
