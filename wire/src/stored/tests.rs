//! Every shape of the contract, through JSON, through the stored form, and against its golden file.

mod commands;

use super::*;
use crate::{
    Action, CommandState, Content, Function, GapCause, GapOfMeter, Identity, LineStatus, Medium, Number,
    Observed, Quantity, Raw, Reason, RefusalCause, RefusedCount, Status, Tariff, TariffStep, Unit, Value,
    Valve, Waiting,
};
use proptest::prelude::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// The reading of the contract's own example.
fn a_water_reading() -> Reading {
    Reading {
        line: "riser-1".into(),
        meter: "A-101".into(),
        driver: "mbus".into(),
        scheduled_at: Some(at("2026-11-23T02:15:00Z")),
        read_at: at("2026-11-23T02:15:03.412Z"),
        clock: Clock::Synced,
        boot: 0x5b1e,
        uptime_ms: 86_400_123,
        answer: Answer {
            identity: Identity {
                manufacturer: Some("ELS".into()),
                number: Some("12345678".into()),
                version: Some(2),
                medium: Some(Medium::ColdWater),
            },
            meter_time: Some("2026-11-23T03:14:00".parse().unwrap()),
            values: vec![Value::number(
                Quantity::Volume,
                Number::scaled(123_450, -3).unwrap(),
                Unit::CubicMetre,
            )],
            status: Status {
                valve: Some(Valve::Open),
                battery_low: Some(false),
                alarms: vec!["leak".into()],
            },
            raw: None,
        },
    }
}

/// One record of every shape the contract has, with the name of its golden file.
fn every_shape() -> Vec<(&'static str, Record)> {
    let mut all_values = a_water_reading();
    all_values.answer.raw = Some(Raw(vec![0x68, 0x16]));
    all_values.scheduled_at = None;
    all_values.clock = Clock::Mended;
    all_values.answer.values.extend([
        Value {
            function: Function::Maximum,
            name: Some("peak \"A\"".into()),
            storage: 1,
            tariff: 2,
            subunit: 3,
            ..Value::number(Quantity::VolumeFlow, Number::scaled(-25, -1).unwrap(), Unit::CubicMetrePerHour)
        },
        Value::new(Quantity::Customer, Content::Text("Flat 12".into())),
        Value::new(Quantity::Date, Content::Date("2026-12-31".parse().unwrap())),
        Value::new(Quantity::DateTime, Content::DateTime("2026-12-31T23:59:00".parse().unwrap())),
        Value {
            unit: Some(Unit::Celsius),
            ..Value::new(Quantity::FlowTemperature, Content::Invalid("BCD FF".into()))
        },
        Value {
            raw: Some(Raw(vec![0xFD, 0x3B])),
            ..Value::new(Quantity::vif(&[0xFD, 0x3B]), Content::Opaque)
        },
        Value {
            name: Some("kept".into()),
            raw: Some(Raw(vec![0x13])),
            ..Value::new(Quantity::Volume, Content::Opaque)
        },
    ]);
    let event = |what| {
        Record::Event(Event {
            at: at("2026-11-23T02:15:03.412Z"),
            clock: Clock::Synced,
            boot: 0x5b1e,
            uptime_ms: 86_400_123,
            what,
        })
    };
    let (line, meter) = ("riser-1".to_owned(), "A-101".to_owned());
    let register = |was: &str, now: &str| Register {
        line: line.clone(),
        meter: meter.clone(),
        quantity: Quantity::Volume,
        unit: Some(Unit::CubicMetre),
        was: was.parse().unwrap(),
        now: now.parse().unwrap(),
    };
    let gap = GapOfMeter {
        meter: meter.clone(),
        count: 96,
        from: at("2026-11-01T00:00:00Z"),
        to: at("2026-11-01T23:45:00Z"),
    };
    let mut shapes = vec![
        ("reading", Record::Reading(a_water_reading())),
        ("reading-all-values", Record::Reading(all_values)),
        (
            "event-started",
            event(What::Started { version: "0.1.0".into(), previous: Some((0x7f3a_9c01, [18273, 300])) }),
        ),
        ("event-stopping", event(What::Stopping)),
        ("event-line-down", event(What::LineDown { line: line.clone(), detail: "no such device".into() })),
        ("event-line-up", event(What::LineUp { line: line.clone() })),
        (
            "event-meter-silent",
            event(What::MeterSilent {
                line: line.clone(),
                meter: meter.clone(),
                detail: "no answer in 188 ms".into(),
            }),
        ),
        ("event-meter-back", event(What::MeterBack { line: line.clone(), meter: meter.clone() })),
        (
            "event-meter-changed",
            event(What::MeterChanged {
                line: line.clone(),
                meter: meter.clone(),
                was: "12345678".into(),
                now: "87654321".into(),
            }),
        ),
        (
            "event-gap",
            event(What::Gap { cause: GapCause::Retention, meters: vec![gap], ids: None, lost: 96 }),
        ),
        (
            "event-gap-damage",
            event(What::Gap {
                cause: GapCause::Damage,
                meters: vec![],
                ids: Some(["gw-0421:7f3a9c01:r100".into(), "gw-0421:7f3a9c01:r180".into()]),
                lost: 81,
            }),
        ),
        (
            "event-outbox-damaged",
            event(What::OutboxDamaged {
                detail: "segment r-100 would not open".into(),
                salvaged: 900,
                lost: Some(81),
            }),
        ),
        ("event-outbox-pressure", event(What::OutboxPressure { detail: "480 MiB of 512 MiB".into() })),
        (
            "event-record-refused",
            event(What::RecordRefused {
                record: "gw-0421:7f3a9c01:r7".into(),
                meter: Some(meter.clone()),
                detail: "MessageSizeTooLarge".into(),
            }),
        ),
        (
            "event-clock-set",
            event(What::ClockSet {
                boot_at: at("2026-11-22T02:15:03.289Z"),
                step_ms: Some(1_795_313_700_000),
            }),
        ),
        (
            "event-line-lent",
            event(What::LineLent { line: line.clone(), detail: "/dev/pts/7, for 15m at most".into() }),
        ),
        (
            "event-line-returned",
            event(What::LineReturned {
                line: line.clone(),
                detail: "/dev/pts/7, after 2m 3s: given back".into(),
            }),
        ),
        ("event-register-rolled-over", event(What::RegisterRolledOver(register("99999.998", "0.013")))),
        ("event-register-went-back", event(What::RegisterWentBack(register("123.450", "0.000")))),
    ];
    shapes.extend(commands::every_event().map(|(name, what)| (name, event(what))));
    shapes.extend(commands::every_outcome().map(|(name, outcome)| (name, Record::Outcome(outcome))));
    shapes
}

fn golden(name: &str, record: &Record) -> (std::path::PathBuf, String) {
    let text = match record.clone() {
        Record::Reading(reading) => {
            serde_json::to_string_pretty(&reading.named("gw-0421:7f3a9c01:r18273", "gw-0421"))
        }
        Record::Event(event) => {
            serde_json::to_string_pretty(&event.named("gw-0421:7f3a9c01:u300", "gw-0421"))
        }
        Record::Outcome(outcome) => serde_json::to_string_pretty(&outcome.named("gw-0421")),
    };
    (golden_file(name), text.unwrap() + "\n")
}

fn golden_file(name: &str) -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(format!("{name}.json"))
}

/// Run once with `WEIR_WRITE_GOLDEN=1` after a deliberate change of the contract; the diff is the review.
#[test]
fn every_shape_is_what_its_golden_file_says() {
    for (name, record) in every_shape() {
        let (path, text) = golden(name, &record);
        assert_golden(&path, &text);
    }
}

fn assert_golden(path: &std::path::Path, text: &str) {
    if std::env::var_os("WEIR_WRITE_GOLDEN").is_some() {
        std::fs::write(path, text).unwrap();
    }
    let expected =
        std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(text, expected, "{}", path.display());
}

#[test]
fn the_exact_digits_stand_in_the_json_of_a_reading() {
    let json =
        String::from_utf8(Record::Reading(a_water_reading()).to_json("gw-0421:7f3a9c01:r1", "gw-0421"))
            .unwrap();
    assert!(json.contains(r#""value":123.450,"unit":"m3""#), "{json}");
    let back: crate::Reading = serde_json::from_str(&json).unwrap();
    assert_eq!(back, a_water_reading().named("gw-0421:7f3a9c01:r1", "gw-0421"));
}

#[test]
fn every_shape_survives_the_outbox_and_the_topic() {
    for (name, record) in every_shape() {
        assert_eq!(Record::decode(&record.encode()).unwrap(), record, "{name}");
        let json = record.to_json("id", "gw");
        match &record {
            Record::Reading(reading) => {
                assert_eq!(
                    serde_json::from_slice::<crate::Reading>(&json).unwrap(),
                    reading.clone().named("id", "gw")
                );
            }
            Record::Event(event) => {
                assert_eq!(
                    serde_json::from_slice::<crate::Event>(&json).unwrap(),
                    event.clone().named("id", "gw")
                );
            }
            Record::Outcome(outcome) => {
                assert_eq!(
                    serde_json::from_slice::<crate::Outcome>(&json).unwrap(),
                    outcome.clone().named("gw")
                );
            }
        }
    }
}

fn written(reading: &Reading, id: &str, gateway: &str) -> String {
    let mut json = b"behind ".to_vec();
    reading.write_json(id, gateway, &mut json);
    String::from_utf8(json.split_off(7)).unwrap()
}

fn by_serde(reading: &Reading, id: &str, gateway: &str) -> String {
    serde_json::to_string(&reading.clone().named(id, gateway)).unwrap()
}

#[test]
fn the_json_written_straight_is_serdes_for_every_shape_and_for_a_reading_with_nothing_in_it() {
    let readings = every_shape().into_iter().filter_map(|(_, record)| match record {
        Record::Reading(reading) => Some(reading),
        Record::Event(_) | Record::Outcome(_) => None,
    });
    let empty = Reading { answer: Answer::default(), scheduled_at: None, boot: 0, ..a_water_reading() };
    for reading in readings.chain([empty]) {
        assert_eq!(written(&reading, "id", "gw"), by_serde(&reading, "id", "gw"));
    }
}

#[test]
fn a_reading_of_1970_is_mended_with_its_slot_and_one_beyond_the_calendar_stays() {
    let believed = Reading {
        scheduled_at: Some(at("1970-01-01T00:15:00Z")),
        read_at: at("1970-01-01T00:15:03.412Z"),
        clock: Clock::Unsynced,
        uptime_ms: 903_412,
        ..a_water_reading()
    };
    let mended = believed.clone().mended(at("2026-11-23T02:00:00.5Z"));
    assert_eq!(mended.read_at, at("2026-11-23T02:15:03.912Z"));
    assert_eq!(mended.scheduled_at, Some(at("2026-11-23T02:15:00.5Z")));
    assert_eq!((mended.clock, mended.uptime_ms, mended.boot), (Clock::Mended, 903_412, 0x5b1e));
    let endless = Reading { uptime_ms: u64::MAX, ..believed };
    assert_eq!(endless.clone().mended(at("2026-11-23T02:00:00Z")), endless);
}

#[test]
fn a_plain_water_reading_takes_some_tens_of_bytes() {
    let bytes = Record::Reading(a_water_reading()).encode().len();
    assert!(bytes < 100, "{bytes}");
}

/// The bytes of version 1, as they may lie on the flash of a gateway that is upgraded: one line for each shape. What is
/// there is never changed; a new shape adds its line.
const STORED: &str = include_str!("../../golden/stored-v1.txt");

#[test]
fn the_stored_form_of_version_1_does_not_change() {
    let lines = every_shape().into_iter().map(|(name, record)| format!("{name} {}\n", Raw(record.encode())));
    assert_eq!(lines.collect::<String>(), STORED);
}

#[test]
fn what_version_1_stored_is_read_as_what_it_was() {
    let shapes = every_shape();
    assert_eq!(STORED.lines().count(), shapes.len(), "every shape has its bytes");
    for (line, (name, record)) in STORED.lines().zip(shapes) {
        let (stored, hex) = line.split_once(' ').unwrap();
        let Raw(bytes) = serde_json::from_str(&format!("\"{hex}\"")).unwrap();
        assert_eq!((stored, Record::decode(&bytes).unwrap()), (name, record));
    }
}

#[test]
fn a_newer_version_is_named_and_not_guessed_at() {
    assert!(matches!(Record::decode(&[2, 0, 0]), Err(DecodeError::UnknownVersion(2))));
    assert!(matches!(Record::decode(&[]), Err(DecodeError::Empty)));
}

/// Any text, and often one with what JSON escapes.
fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z-]{0,12}", "[\"\\\\/\n\r\t\u{0}-\u{20}\u{7f}\u{2028}é😀]{0,6}", ".{0,12}"]
}

fn raw() -> impl Strategy<Value = Option<Raw>> {
    proptest::option::of(proptest::collection::vec(any::<u8>(), 0..4).prop_map(Raw))
}

fn time() -> impl Strategy<Value = Timestamp> {
    (-62_000_000_000_000_i64..253_000_000_000_000).prop_map(|ms| Timestamp::from_millisecond(ms).unwrap())
}

prop_compose! {
    fn value()(
        quantity in text(), name in proptest::option::of(text()), unit in proptest::option::of(text()), function in text(),
        kind in 0..5, text in text(), digits in any::<i64>(), places in 0..=20_i32, time in time(),
        storage: u64, tariff: u32, subunit: u16, raw in raw(),
    ) -> Value {
        let local = jiff::tz::Offset::UTC.to_datetime(time);
        let content = match kind {
            0 => Content::Number(Number::scaled(digits.into(), -places).unwrap()),
            1 => Content::Text(text),
            2 => Content::Date(local.date()),
            3 => Content::DateTime(local),
            _ => Content::Invalid(text),
        };
        let (quantity, unit) = (quantity.as_str().into(), unit.map(|unit| unit.as_str().into()));
        Value { quantity, name, content, unit, function: function.as_str().into(), storage, tariff, subunit, raw }
    }
}

prop_compose! {
    fn reading()(
        [line, meter, driver, alarm] in [text(), text(), text(), text()],
        [manufacturer, number, medium, valve] in [(); 4].map(|()| proptest::option::of(text())),
        (scheduled_at, read_at) in (proptest::option::of(time()), time()),
        clock in proptest::sample::select(vec![Clock::Synced, Clock::Mended, Clock::Unsynced]),
        boot: u32, uptime_ms: u64, version: Option<u8>, battery_low: Option<bool>,
        alarms in 0_usize..3, values in proptest::collection::vec(value(), 0..4), raw in raw(),
    ) -> Reading {
        let meter_time = scheduled_at.map(|at| jiff::tz::Offset::UTC.to_datetime(at));
        let identity =
            Identity { manufacturer, number, version, medium: medium.map(|medium| medium.as_str().into()) };
        let valve = valve.map(|valve| valve.as_str().into());
        let status = Status { valve, battery_low, alarms: vec![alarm; alarms] };
        let answer = Answer { identity, meter_time, values, status, raw };
        Reading { line, meter, driver, scheduled_at, read_at, clock, boot, uptime_ms, answer }
    }
}

proptest! {
    #[test]
    fn the_json_written_straight_is_serdes(reading in reading(), id in text(), gateway in text()) {
        prop_assert_eq!(written(&reading, &id, &gateway), by_serde(&reading, &id, &gateway));
    }

    #[test]
    fn no_stored_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Record::decode(&bytes);
    }

    #[test]
    fn no_damage_to_a_record_panics(at in 0_usize..90, bit in 0_u8..8) {
        let mut bytes = Record::Reading(a_water_reading()).encode();
        let at = at % bytes.len();
        bytes[at] ^= 1 << bit;
        let _ = Record::decode(&bytes);
    }

    #[test]
    fn no_json_panics(text in ".{0,80}") {
        let _ = serde_json::from_str::<crate::Reading>(&text);
        let _ = serde_json::from_str::<Value>(&text);
    }
}
