//! What a meter has kept: identifiers count back from the latest, up to where their bytes still tell their order.

use std::sync::Arc;

use weir_cjt188::{Address, Cjt188, Inexpressible, OrderError, Profile, Request, decode};
use weir_meter::Answer;
use weir_meter::scripted::ScriptedLine;
use weir_wire::{Content, Value};

use crate::meter::*;

/// 2015-05-11 22:01:31; 556677.00 m3; 12.3456 m3/h; 18.50 degC; a pressure without a unit.
const RECORD: [u8; 23] = [
    0x31, 0x01, 0x22, 0x11, 0x05, 0x15, 0x20, 0x00, 0x77, 0x66, 0x55, 0x2C, 0x56, 0x34, 0x12, 0x00, 0x35,
    0x50, 0x18, 0x00, 0x35, 0x00, 0x00,
];

/// What asks for a record so far back.
type Asking = fn(u8) -> Result<Request, Inexpressible>;

/// `quantity[storage] content`, one line a value.
fn told(answer: &Answer) -> Vec<String> {
    let content = |value: &Value| match &value.content {
        Content::Number(number) => format!("{number} {}", value.unit.as_ref().unwrap()),
        Content::DateTime(time) => time.to_string(),
        _ => value.raw.as_ref().unwrap().to_string(),
    };
    answer
        .values
        .iter()
        .map(|value| format!("{}[{}] {}", value.quantity, value.storage, content(value)))
        .collect()
}

/// Asks a meter of this type for what stands under `di`, in the order of this edition, and lets it answer with `payload`.
async fn read(edition: &str, meter_type: u8, request: &Request, di: [u8; 2], payload: &[u8]) -> Vec<String> {
    let wire = [meter_type, 0x44, 0x33, 0x22, 0x11, 0x00, 0x33, 0x78];
    let data = [&di[..], &[0], payload].concat();
    let asked = [&[0xFE; 4][..], &frame(wire, 0x01, &data[..3])].concat();
    let mut line = ScriptedLine::new().expect(&asked, &frame(wire, 0x81, &data));
    let profile = Profile::built_in(edition).unwrap().unwrap();
    let address = Address::from_wire(meter_type, wire[1..].try_into().unwrap());
    let answer = Cjt188::new(address, Arc::new(profile)).read_values(&mut line, request).await.unwrap();
    assert!(line.is_finished());
    told(&answer)
}

#[tokio::test]
async fn a_month_of_the_longer_history_is_told_by_its_storage_number() {
    for (back, low) in [(1, 0x00), (2, 0x01), (128, 0x7F)] {
        let request = Request::long_history(back).unwrap();
        let payload = [0x13, 0x23, 0x33, 0x43, 0x2C];
        let expected = [format!("volume[{back}] 433323.13 m3")];
        assert_eq!(read("2018", 0x10, &request, [low, 0xD2], &payload).await, expected);
        assert_eq!(read("2004", 0x10, &request, [0xD2, low], &payload).await, expected);
    }
}

#[tokio::test]
async fn what_was_frozen_on_command_is_read_like_what_was_frozen_at_a_set_time() {
    for (back, low) in [(1, 0x00), (2, 0x01), (128, 0x7F)] {
        let expected = [
            format!("date-time[{back}] 2015-05-11T22:01:31"),
            format!("volume[{back}] 556677.00 m3"),
            format!("volume-flow[{back}] 12.3456 m3/h"),
            format!("flow-temperature[{back}] 18.50 degC"),
            format!("pressure[{back}] 350000"),
        ];
        let on_command = Request::instant_freeze(back).unwrap();
        assert_eq!(read("2018", 0x10, &on_command, [low, 0xD4], &RECORD).await, expected);
        assert_eq!(read("2004", 0x30, &on_command, [0xD4, low], &RECORD).await, expected);
        let at_a_set_time = Request::timed_freeze(back).unwrap();
        assert_eq!(read("2018", 0x10, &at_a_set_time, [low, 0xD3], &RECORD).await, expected);
    }
}

#[tokio::test]
async fn what_heat_meters_keep_beside_their_energy_comes_as_bytes() {
    let hex: String = RECORD.iter().map(|byte| format!("{byte:02X}")).collect();
    let request = Request::instant_freeze(1).unwrap();
    assert_eq!(read("2018", 0x20, &request, [0x00, 0xD4], &RECORD).await, [format!("di:D400[0] {hex}")]);
    // Heat, cold and volume of a settlement day: shiyuecamus/ng-gateway, `di_schema.rs`.
    let request = Request::long_history(1).unwrap();
    let three = [0x00, 0x10, 0, 0, 0x05, 0x00, 0x20, 0, 0, 0x05, 0x34, 0x12, 0, 0, 0x2C];
    let hex: String = three.iter().map(|byte| format!("{byte:02X}")).collect();
    assert_eq!(read("2018", 0x20, &request, [0x00, 0xD2], &three).await, [format!("di:D200[0] {hex}")]);
}

#[tokio::test]
async fn nothing_is_asked_for_beyond_the_latest_128_or_before_the_latest() {
    let requests: [(Asking, &str); 3] = [
        (Request::long_history, "history"),
        (Request::timed_freeze, "freeze"),
        (Request::instant_freeze, "freeze"),
    ];
    for (request, what) in requests {
        for back in [0, 129, 255] {
            let error: OrderError = request(back).unwrap_err().into();
            assert_eq!(error.to_string(), format!("not sent: {what} {back} is not within 1 to 128"));
        }
        assert!((1..=128).all(|back| request(back).is_ok()), "{what}");
    }
}

/// One more would have its top bit set, and `80 D2` would no longer tell which of its bytes is the high one.
#[test]
fn a_record_beyond_the_latest_128_is_not_taken_for_one_of_them() {
    let profile = Profile::built_in("2004").unwrap().unwrap();
    for high in [0xD2, 0xD3, 0xD4] {
        let telegram = frame(WIRE, 0x81, &[high, 0x80, 0, 0x13, 0x23, 0x33, 0x43, 0x2C]);
        let answer = decode(&telegram, &profile).unwrap();
        assert!(told(&answer)[0].starts_with("di:"), "{high:02X}: {:?}", told(&answer));
    }
}
