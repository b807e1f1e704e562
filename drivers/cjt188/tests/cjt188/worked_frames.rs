//! The published frames, each decoded to the meaning its source states.
//!
//! All of them stand in `protocols/frames.json` of the shared folder beside the repository; a few of each kind are
//! written out here too, so that the crate is tested where that folder is missing.

use std::io::Write;
use std::path::Path;

use weir_cjt188::{
    Address, DiOrder, Frame, FrameError, Inexpressible, Profile, Reply, Request, ValveOrder, decode, di_of,
};
use weir_meter::{Answer, Fault};
use weir_wire::Content;

const CORRECTED: &str = "68 10 44 33 22 11 00 33 78 81 16 1F 90 00 00 77 66 55 2C 00 77 66 55 2C 31 01 22 11 05 15 20 21 84 13 16";

/// Name in frames.json, and what the frame says: type, address, C, DI | what it decodes to.
const MEANINGS: &[(&str, &str)] = &[
    ("2004 read metering data, request", "10 00002020120218 01 901F | request"),
    ("2004 read metering data, answer", "10 00002020120218 81 901F | 0: 2.00 m3, 1: 2.00 m3, open"),
    ("read address, broadcast request", "AA AAAAAAAAAAAAAA 03 810A | request"),
    ("read address, answer", "10 00002020120218 83 810A | "),
    ("read address, answer (2)", "10 00000000000012 83 810A | "),
    ("2018-order read request", "10 78330011223344 01 901F | request"),
    (
        "2018-order read answer, as commonly printed",
        "10 78330011223344 81 901F | 0: 556677.00 m3, 1: 556677.00 m3, 2015-05-11T22:01:31, closed, bit-5, bit-10, bit-15",
    ),
    (
        "2018-order read answer, corrected",
        "10 78330011223344 81 901F | 0: 556677.00 m3, 1: 556677.00 m3, 2015-05-11T22:01:31, closed, bit-5, bit-10, bit-15",
    ),
    ("valve open, request", "10 78331505900569 04 A017 | request"),
    ("valve close, request", "10 78331505900569 04 A017 | request"),
    ("valve forced open", "10 00000019121301 04 A017 | request"),
    ("valve forced close", "10 00000019121301 04 A017 | request"),
    ("vendor: free open 66", "10 00000019121301 04 A017 | request"),
    ("vendor: free close 77", "10 00000019121301 04 A017 | request"),
    ("vendor: read valve state with 00", "10 00000019121301 04 A017 | request"),
    ("valve open in DI-low-first order (gas)", "30 00000000000003 04 A017 | request"),
    ("valve close in DI-low-first order (gas)", "30 00000000000003 04 A017 | request"),
    ("write meter base (sync) 12345678", "30 00000000000003 16 A016 | request"),
    ("write address", "30 00000000000003 15 A018 | request"),
    ("read metering (gas), SER=FF", "30 00000000000003 01 901F | request"),
    ("read answer, SER echo 04", "10 78330007061326 81 901F | 0: 68.00 m3, 1: 0.00 m3, open"),
    (
        "read answer with clock and status",
        "10 00201707010069 81 901F | 0: 0.00 m3, 1: 0.00 m3, 2017-08-19T16:54:59, fault, bit-4, bit-8",
    ),
    ("read answer zero", "10 00001811775450 81 901F | 0: 0.00 m3, 1: 0.00 m3, open"),
    ("broadcast read, 2004 order SER=01", "10 AAAAAAAAAAAAAA 01 901F | request"),
    ("read address, DI low first, SER=A7", "10 AAAAAAAAAAAAAA 03 810A | request"),
    ("read address answer", "10 78330123456789 83 810A | "),
    ("2004 read answer 123.00", "10 00000805000001 81 901F | 0: 123.00 m3, 1: 0.00 m3, open"),
    ("vendor valve command C=2A open", "10 00000805000001 2A A017 | request"),
    ("vendor valve command C=2A close", "10 00000805000001 2A A017 | request"),
    ("vendor valve answer AA, open", "10 00000805000001 AA A017 | open"),
    ("vendor valve answer AA, closed", "10 00000805000001 AA A017 | closed"),
    (
        "error answer",
        "10 77665544332211 C1 | error answer to the read: ST 11 22, valve closed, battery good, bit-4, bit-9, bit-13",
    ),
    (
        "read metering answer, big-endian vendor",
        "10 77665544332211 81 901F | 0: 433323.13 m3, 1: 443424.14 m3, 0: 20160715095959 invalid, closed, bit-4, bit-9, bit-13",
    ),
    ("valve write answer", "10 77665544332211 84 A017 | closed, bit-4, bit-9, bit-13"),
    ("read price table answer", "10 77665544332211 81 8102 | 0: 112232132333142434152535162636 opaque"),
    ("read settlement day", "20 77665544332211 81 8104 | 0: 11 opaque"),
    ("read meter-reading day", "10 77665544332211 81 8103 | 0: 11 opaque"),
    ("read purchase amount answer", "10 77665544332211 81 8105 | 0: 331121314111223242132333433344 opaque"),
    ("write purchase amount answer", "10 77665544332211 84 A013 | 0: 1122334455 opaque"),
    ("write new key answer", "10 77665544332211 84 A014 | 0: 11 opaque"),
    ("write clock answer", "10 77665544332211 84 A015 | "),
    ("write price table answer", "10 77665544332211 84 A010 | closed, bit-4, bit-9, bit-13"),
    ("write settlement day answer", "10 77665544332211 84 A011 | "),
    ("write address answer", "10 77665544332211 95 A018 | "),
    ("sync base answer", "10 77665544332211 96 A016 | closed, bit-4, bit-9, bit-13"),
    ("read key version answer", "10 77665544332211 89 8106 | 0: 11 opaque"),
    ("history month answer", "10 77665544332211 81 D120 | 1: 433323.13 m3"),
    ("write address answer 2", "10 00000805000001 95 A018 | "),
];

fn meaning_of(name: &str) -> &'static str {
    MEANINGS
        .iter()
        .find(|(known, _)| *known == name)
        .unwrap_or_else(|| panic!("{name:?} has no meaning here"))
        .1
}

fn bytes(hex: &str) -> Vec<u8> {
    hex.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
}

/// The frame and what it decodes to, in the notation of [`MEANINGS`].
fn said(telegram: &[u8]) -> String {
    let frame = Frame::parse(telegram).unwrap();
    let di = if frame.is_error() { String::new() } else { format!("{:04X} ", di_of(frame.data).unwrap()) };
    let head =
        format!("{:02X} {} {:02X} {di}", frame.address.meter_type(), frame.address.number(), frame.control);
    let decoded = match decode(telegram, &Profile::default()) {
        Ok(answer) => {
            assert_eq!(answer.identity.number, Some(frame.address.number()));
            contents(&answer)
        }
        Err(Fault::Refused { why }) => why,
        Err(Fault::Garbled { why }) if why.starts_with("a request") && !frame.is_answer() => "request".into(),
        Err(fault) => panic!("{fault}"),
    };
    format!("{head}| {decoded}")
}

fn contents(answer: &Answer) -> String {
    let value = |value: &weir_wire::Value| {
        let raw = value.raw.as_ref().expect("every value carries its bytes");
        let content = match &value.content {
            Content::Number(number) => format!("{number} {}", value.unit.as_ref().unwrap()),
            Content::Invalid(_) => format!("{raw} invalid"),
            Content::Opaque => format!("{raw} opaque"),
            other => panic!("{other:?}"),
        };
        format!("{}: {content}", value.storage)
    };
    let mut parts: Vec<String> = answer.values.iter().map(value).collect();
    parts.extend(answer.meter_time.map(|time| time.to_string()));
    parts.extend(answer.status.valve.as_ref().map(ToString::to_string));
    parts.extend(answer.status.battery_low.filter(|low| *low).map(|_| "battery low".into()));
    parts.extend(answer.status.alarms.iter().cloned());
    parts.join(", ")
}

/// Puts the right checksum into a frame that was published with a wrong one.
fn mended(telegram: &[u8]) -> Vec<u8> {
    let start = telegram.iter().position(|byte| *byte != 0xFE).unwrap();
    let at = telegram.len() - 2;
    let mut mended = telegram.to_vec();
    mended[at] = mended[start..at].iter().fold(0, |sum, byte| sum.wrapping_add(*byte));
    mended
}

#[derive(serde::Deserialize)]
struct Published {
    name: String,
    hex: String,
    checksum_ok: bool,
    checksum_calculated: String,
}

#[derive(serde::Deserialize)]
struct Sheet {
    cjt188: Vec<Published>,
}

/// The shared sheet, or the word on standard error that it is missing.
fn sheet() -> Option<Vec<Published>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/protocols/frames.json");
    match std::fs::read_to_string(&path) {
        Ok(text) => Some(serde_json::from_str::<Sheet>(&text).unwrap().cjt188),
        Err(error) => {
            let word = format!("NOT RUN: cjt188 worked frames: {}: {error}", path.display());
            assert_ne!(std::env::var("WEIR_REQUIRE").as_deref(), Ok("all"), "{word}");
            // Past the test harness's capture, so that it is seen in a run that passes.
            writeln!(std::io::stderr(), "{word}").unwrap();
            None
        }
    }
}

#[test]
fn every_published_frame_decodes_to_its_meaning() {
    let Some(sheet) = sheet() else { return };
    let mut names: Vec<&str> = sheet.iter().map(|published| published.name.as_str()).collect();
    for Published { name, hex, checksum_ok, checksum_calculated } in &sheet {
        let mut telegram = bytes(hex);
        if !checksum_ok {
            let calculated = u8::from_str_radix(checksum_calculated, 16).unwrap();
            let found = telegram[telegram.len() - 2];
            let wrong = FrameError::Checksum { found, calculated };
            assert_eq!(Frame::parse(&telegram), Err(wrong), "{name}");
            let fault = decode(&telegram, &Profile::default()).unwrap_err();
            assert_eq!(fault.name(), "garbled", "{name}");
            telegram = mended(&telegram);
        }
        assert_eq!(said(&telegram), meaning_of(name), "{name}");
    }
    let mut known: Vec<&str> = MEANINGS.iter().map(|(name, _)| *name).collect();
    names.sort_unstable();
    known.sort_unstable();
    assert_eq!(names, known, "every frame of the sheet has its meaning here, and the other way round");
}

#[test]
fn frames_of_every_kind_decode_where_the_sheet_is_missing() {
    for (name, hex) in [
        (
            "2004 read metering data, answer",
            "FE FE FE FE 68 10 18 02 12 20 20 00 00 81 16 90 1F 00 00 02 00 00 2C 00 02 00 00 2C 00 00 00 00 00 00 00 00 FF 85 16",
        ),
        ("2018-order read answer, corrected", CORRECTED),
        (
            "read answer, SER echo 04",
            "FE FE 68 10 26 13 06 07 00 33 78 81 16 1F 90 04 00 68 00 00 2C 00 00 00 00 2C 00 00 00 00 00 00 00 00 00 73 16",
        ),
        (
            "read answer with clock and status",
            "68 10 69 00 01 07 17 20 00 81 16 1F 90 02 00 00 00 00 2C 00 00 00 00 2C 59 54 16 19 08 17 20 13 01 EF 16",
        ),
        ("read address answer", "FE FE 68 10 89 67 45 23 01 33 78 83 03 0A 81 A7 34 16"),
        ("vendor valve answer AA, closed", "FE FE FE 68 10 01 00 00 05 08 00 00 AA 05 A0 17 00 01 FF EC 16"),
        ("2018-order read request", "FE FE FE FE 68 10 44 33 22 11 00 33 78 01 03 1F 90 00 80 16"),
        ("error answer", "68 10 11 22 33 44 55 66 77 C1 03 01 11 22 4C 16"),
    ] {
        assert_eq!(said(&bytes(hex)), meaning_of(name), "{name}");
    }
}

#[test]
fn the_wrong_checksum_that_pages_copy_from_each_other_is_refused() {
    let mut printed = bytes(CORRECTED);
    printed[33] = 0x08;
    let fault = decode(&printed, &Profile::default()).unwrap_err();
    assert_eq!(fault, Fault::garbled("checksum is 08, the bytes give 13"));
}

#[test]
fn a_clock_with_its_century_first_is_read_by_profile_only() {
    let printed = "68 10 11 22 33 44 55 66 77 81 16 90 1F 01 13 23 33 43 2C 14 24 34 44 2C \
                   20 16 07 15 09 59 59 11 22 8F 16";
    let profile = Profile::built_in("high-first").unwrap().unwrap();
    let answer = decode(&bytes(printed), &profile).unwrap();
    assert_eq!(answer.meter_time, Some("2016-07-15T09:59:59".parse().unwrap()));
    let answer = decode(&bytes(printed), &Profile::default()).unwrap();
    assert_eq!(answer.meter_time, None);
}

/// What makes a request.
type Asking = fn(&Profile) -> Result<Request, Inexpressible>;

const OPEN: Asking = |profile| Request::turn_valve(ValveOrder::Open, profile);
const CLOSE: Asking = |profile| Request::turn_valve(ValveOrder::Close, profile);
const ADDRESS: Asking = |_| Ok(Request::address());
const METERING: Asking = |_| Ok(Request::metering());

/// A valve with codes of its own.
fn coded(open: u8, close: u8, read: Option<u8>) -> String {
    let read = read.map(|code| format!("read = {code}\n")).unwrap_or_default();
    format!("[valve]\nopen = {open}\nclose = {close}\n{read}")
}

#[test]
fn every_published_request_is_what_we_send() {
    let (low, high) = (DiOrder::LowFirst, DiOrder::HighFirst);
    let (standard, vendor) = (String::new(), "[valve]\ncontrol = 0x2A\n".to_owned());
    let base: Asking = |profile| Request::write_counter_base(&"123456.78".parse().unwrap(), 0x00, profile);
    let renamed: Asking = |_| Request::write_address(&Address::from_wire(0x30, [5, 0, 0, 0, 0, 0, 0]));
    let table: [(&str, Asking, DiOrder, u8, &String); 18] = [
        ("FE FE FE FE 68 10 18 02 12 20 20 00 00 01 03 90 1F 00 97 16", METERING, high, 0, &standard),
        ("FE FE FE FE 68 AA AA AA AA AA AA AA AA 03 03 81 0A 00 49 16", ADDRESS, high, 0, &standard),
        ("FE FE FE FE 68 10 44 33 22 11 00 33 78 01 03 1F 90 00 80 16", METERING, low, 0, &standard),
        ("FE FE FE FE 68 10 69 05 90 05 15 33 78 04 04 A0 17 01 55 50 16", OPEN, high, 1, &standard),
        ("FE FE FE FE 68 10 69 05 90 05 15 33 78 04 04 A0 17 01 99 94 16", CLOSE, high, 1, &standard),
        ("FE FE FE 68 10 01 13 12 19 00 00 00 04 04 A0 17 01 55 CC 16", OPEN, high, 1, &standard),
        ("FE FE FE 68 10 01 13 12 19 00 00 00 04 04 A0 17 01 99 10 16", CLOSE, high, 1, &standard),
        (
            "FE FE FE 68 10 01 13 12 19 00 00 00 04 04 A0 17 01 66 DD 16",
            OPEN,
            high,
            1,
            &coded(0x66, 0x77, None),
        ),
        (
            "FE FE FE 68 10 01 13 12 19 00 00 00 04 04 A0 17 01 77 EE 16",
            CLOSE,
            high,
            1,
            &coded(0x66, 0x77, None),
        ),
        (
            "FE FE FE 68 10 01 13 12 19 00 00 00 04 04 A0 17 01 00 77 16",
            Request::read_valve,
            high,
            1,
            &coded(0x55, 0x99, Some(0)),
        ),
        ("FE FE FE 68 30 03 00 00 00 00 00 00 04 04 17 A0 01 55 B0 16", OPEN, low, 1, &standard),
        ("FE FE FE 68 30 03 00 00 00 00 00 00 04 04 17 A0 01 99 F4 16", CLOSE, low, 1, &standard),
        (
            "FE FE FE 68 30 03 00 00 00 00 00 00 16 08 16 A0 FF 78 56 34 12 00 82 16",
            base,
            low,
            0xFF,
            &standard,
        ),
        (
            "FE FE FE 68 30 03 00 00 00 00 00 00 15 0A 18 A0 FF 05 00 00 00 00 00 00 76 16",
            renamed,
            low,
            0xFF,
            &standard,
        ),
        ("FE FE FE 68 10 AA AA AA AA AA AA AA 01 03 90 1F 01 D2 16", METERING, high, 1, &standard),
        ("68 10 AA AA AA AA AA AA AA 03 03 0A 81 A7 56 16", ADDRESS, low, 0xA7, &standard),
        ("FE FE FE 68 10 01 00 00 05 08 00 00 2A 04 A0 17 00 55 C0 16", OPEN, high, 0, &vendor),
        ("FE FE FE 68 10 01 00 00 05 08 00 00 2A 04 A0 17 00 99 04 16", CLOSE, high, 0, &vendor),
    ];
    for (hex, asking, order, ser, profile) in table {
        let published = bytes(hex);
        let wake_up = published.iter().take_while(|byte| **byte == 0xFE).count();
        let profile = Profile::parse(&format!("wake_up_bytes = {wake_up}\n{profile}")).unwrap();
        let address = Frame::parse(&published).unwrap().address;
        assert_eq!(asking(&profile).unwrap().encode(&address, order, ser, &profile), published, "{hex}");
    }
}

/// Zhou-HR/zxemeter has meters whose valve obeys C=24 and a zero behind the code; data `24 05 A0 17 01 55 00` and `99 00`.
#[test]
fn the_bytes_behind_a_valves_code_go_on_the_wire_after_it_and_count_in_the_length() {
    let one =
        Profile::parse("wake_up_bytes = 3\n[valve]\ncontrol = 0x24\nread = 0x00\nafter = [0x00]\n").unwrap();
    let two = Profile::parse("wake_up_bytes = 3\n[valve]\ncontrol = 0x24\nafter = [0x12, 0x34]\n").unwrap();
    for (profile, asking, hex) in [
        (&one, OPEN, "FE FE FE 68 10 01 13 12 19 00 00 00 24 05 A0 17 01 55 00 ED 16"),
        (&one, CLOSE, "FE FE FE 68 10 01 13 12 19 00 00 00 24 05 A0 17 01 99 00 31 16"),
        (&one, Request::read_valve, "FE FE FE 68 10 01 13 12 19 00 00 00 24 05 A0 17 01 00 00 98 16"),
        (&two, CLOSE, "FE FE FE 68 10 01 13 12 19 00 00 00 24 06 A0 17 01 99 12 34 78 16"),
    ] {
        let address = "00000019121301".parse().unwrap();
        let sent = asking(profile).unwrap().encode(&address, DiOrder::HighFirst, 1, profile);
        assert_eq!(sent, bytes(hex), "{hex}");
    }
}

#[test]
fn a_meter_that_knows_free_moves_as_well_is_sent_the_forced_ones_that_its_profile_tells_of() {
    let built_in = Profile::built_in("valve-free").unwrap().unwrap();
    for code in ["55", "99", "66", "77", "00"] {
        assert!(built_in.description.contains(code), "{code}: {}", built_in.description);
    }
    let profile = Profile { wake_up_bytes: 3, ..built_in };
    for (asking, hex) in [
        (OPEN, "FE FE FE 68 10 01 13 12 19 00 00 00 04 04 A0 17 01 55 CC 16"),
        (CLOSE, "FE FE FE 68 10 01 13 12 19 00 00 00 04 04 A0 17 01 99 10 16"),
        (Request::read_valve, "FE FE FE 68 10 01 13 12 19 00 00 00 04 04 A0 17 01 00 77 16"),
    ] {
        let address = "00000019121301".parse().unwrap();
        assert_eq!(
            asking(&profile).unwrap().encode(&address, profile.di_order, 1, &profile),
            bytes(hex),
            "{hex}"
        );
    }
}

#[test]
fn the_published_layouts_of_answers_are_read_as_typed_values() {
    let profile = Profile::built_in("settlement-8104").unwrap().unwrap();
    let reply = |hex: &str| Reply::parse(&mended(&bytes(hex)), &profile).unwrap();
    let head = "68 10 11 22 33 44 55 66 77";

    let table = reply(&format!("{head} 81 12 81 02 01 11 22 32 13 23 33 14 24 34 15 25 35 16 26 36 A0 16"));
    let table = table.price_table(&profile).unwrap();
    assert_eq!(table.prices.map(|price| price.to_string()), ["3222.11", "3424.14", "3626.16"]);
    assert_eq!(table.steps.map(|step| step.to_string()), ["332313", "352515"]);

    let day = reply("68 20 11 22 33 44 55 66 77 81 04 81 04 01 11 97 16");
    assert_eq!(day.day(), Ok(11));

    let bought = reply(&format!("{head} 81 12 81 05 01 33 11 21 31 41 11 22 32 42 13 23 33 43 33 44 29 16"));
    let bought = bought.purchase(&profile).unwrap();
    let told = [bought.last, bought.total, bought.remaining].map(|amount| amount.to_string());
    assert_eq!((bought.sequence, told), (0x33, ["413121.11".into(), "423222.11".into(), "433323.13".into()]));

    let credited = reply(&format!("{head} 84 08 A0 13 01 11 22 33 44 55 B3 16")).credited(&profile).unwrap();
    assert_eq!((credited.sequence, credited.amount.to_string()), (0x11, "554433.22".into()));

    assert_eq!(reply(&format!("{head} 89 04 81 06 01 11 99 16")).key_version(), Ok(0x11));
    for with_status in ["84 05 A0 17 01 11 22 EB", "84 05 A0 10 01 11 22 E4", "96 05 A0 16 01 11 22 EA"] {
        let status = reply(&format!("{head} {with_status} 16")).written(&profile).unwrap().status.unwrap();
        assert_eq!(status.alarms, ["bit-4", "bit-9", "bit-13"], "{with_status}");
    }
    for without in ["84 03 A0 15 01 B6", "84 03 A0 11 01 B2", "95 03 A0 18 01 B9"] {
        assert_eq!(
            reply(&format!("{head} {without} 16")).written(&profile).unwrap().status,
            None,
            "{without}"
        );
    }
    let error = Reply::parse(&mended(&bytes(&format!("{head} C1 03 01 11 22 34 16"))), &profile).unwrap_err();
    assert_eq!(error.name(), "refused");
}
