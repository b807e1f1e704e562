//! Whole polls on a scripted line.

use std::sync::Arc;
use std::time::Duration;

use weir_cjt188::{Cjt188, DiOrder, Profile, Ser};
use weir_meter::scripted::ScriptedLine;
use weir_meter::{Answer, Driver, Fault, Serial};
use weir_wire::{Content, Medium, Raw, Valve};

use crate::meter::*;

fn driver(profile: Profile) -> Cjt188 {
    Cjt188::new(address(), Arc::new(profile))
}

fn in_order(di_order: DiOrder) -> Profile {
    Profile { di_order, ..Profile::default() }
}

/// Polls once, and insists that the whole script was played.
async fn poll(driver: &mut Cjt188, mut line: ScriptedLine) -> Result<Answer, Fault> {
    let result = driver.read(&mut line).await;
    assert!(line.is_finished(), "exchanges left over after {:02X?}", line.requests);
    result
}

#[tokio::test]
async fn a_poll_is_one_exchange_and_gives_the_whole_reading() {
    let mut driver = driver(in_order(DiOrder::LowFirst));
    let wire = [&[0xFE, 0xFE][..], &answer(LOW_FIRST, 0)].concat();
    let reading = poll(&mut driver, ScriptedLine::new().expect(&request(LOW_FIRST, 0), &wire)).await.unwrap();
    assert_eq!(reading.identity.number.as_deref(), Some(NUMBER));
    assert_eq!(reading.identity.manufacturer.as_deref(), Some("7833"));
    assert_eq!(reading.identity.medium, Some(Medium::ColdWater));
    assert_eq!(reading.meter_time, Some("2015-05-11T22:01:31".parse().unwrap()));
    assert_eq!(reading.status.valve, Some(Valve::Closed));
    assert_eq!(reading.status.alarms, ["bit-5", "bit-10", "bit-15"]);
    assert_eq!(reading.raw, Some(Raw(answer(LOW_FIRST, 0))), "without wake-up bytes");
    let json = serde_json::to_value(&reading.values[0]).unwrap();
    assert_eq!((json["quantity"].as_str(), json["raw"].as_str()), (Some("volume"), Some("007766552C")));
    assert!(
        matches!(&reading.values[0].content, Content::Number(number) if number.to_string() == "556677.00")
    );
}

#[tokio::test]
async fn each_new_request_has_the_next_serial_number() {
    let mut driver = driver(in_order(DiOrder::HighFirst));
    for ser in (0..=255).chain(0..=1) {
        let line = ScriptedLine::new().expect(&request(HIGH_FIRST, ser), &answer(HIGH_FIRST, ser));
        poll(&mut driver, line).await.unwrap();
    }
}

#[tokio::test]
async fn an_answer_in_the_other_byte_order_is_understood() {
    let line = ScriptedLine::new().expect(&request(LOW_FIRST, 0), &answer(HIGH_FIRST, 0));
    poll(&mut driver(Profile::default()), line).await.unwrap();
}

#[tokio::test]
async fn a_meter_of_the_other_byte_order_is_found_once_and_remembered() {
    let refusal = error_answer(0, [0, 0]);
    for first in [&[][..], &refusal] {
        let mut driver = driver(in_order(DiOrder::Auto));
        let probe = ScriptedLine::new()
            .expect(&request(LOW_FIRST, 0), first)
            .expect(&request(HIGH_FIRST, 1), &answer(HIGH_FIRST, 1));
        poll(&mut driver, probe).await.unwrap();
        let steady = ScriptedLine::new().expect(&request(HIGH_FIRST, 2), &answer(HIGH_FIRST, 2));
        poll(&mut driver, steady).await.unwrap();
    }
}

#[tokio::test]
async fn a_profile_that_names_the_byte_order_asks_in_no_other() {
    for (order, di) in [(DiOrder::LowFirst, LOW_FIRST), (DiOrder::HighFirst, HIGH_FIRST)] {
        let line = ScriptedLine::new().expect(&request(di, 0), &[]);
        let fault = poll(&mut driver(in_order(order)), line).await.unwrap_err();
        assert_eq!(fault.name(), "silent");
    }
}

#[tokio::test]
async fn a_meter_that_was_replaced_by_one_of_the_other_order_is_found_again() {
    let mut driver = driver(in_order(DiOrder::Auto));
    poll(&mut driver, ScriptedLine::new().answer(&answer(LOW_FIRST, 0))).await.unwrap();
    for ser in 1..=2 {
        let fault =
            poll(&mut driver, ScriptedLine::new().expect(&request(LOW_FIRST, ser), &[])).await.unwrap_err();
        assert_eq!(fault.name(), "silent", "one exchange while the meter may only be slow");
    }
    let probe = ScriptedLine::new()
        .expect(&request(LOW_FIRST, 3), &[])
        .expect(&request(HIGH_FIRST, 4), &answer(HIGH_FIRST, 4));
    poll(&mut driver, probe).await.unwrap();
    poll(&mut driver, ScriptedLine::new().expect(&request(HIGH_FIRST, 5), &answer(HIGH_FIRST, 5)))
        .await
        .unwrap();
}

#[tokio::test]
async fn only_failures_in_a_row_count_towards_a_new_probe() {
    let mut driver = driver(in_order(DiOrder::Auto));
    let mut ser = 0;
    for _ in 0..3 {
        poll(&mut driver, ScriptedLine::new().expect(&request(LOW_FIRST, ser), &answer(LOW_FIRST, ser)))
            .await
            .unwrap();
        for silent in [ser + 1, ser + 2] {
            poll(&mut driver, ScriptedLine::new().expect(&request(LOW_FIRST, silent), &[]))
                .await
                .unwrap_err();
        }
        ser += 3;
    }
}

#[tokio::test]
async fn a_refusal_tells_the_status_word_and_is_not_hidden_by_silence() {
    let line = ScriptedLine::new().answer(&error_answer(0, [0x11, 0x22])).answer(&[]);
    let fault = poll(&mut driver(Profile::default()), line).await.unwrap_err();
    let why = "error answer to the read: ST 11 22, valve closed, battery good, bit-4, bit-9, bit-13";
    assert_eq!(fault, Fault::refused(why));
}

#[tokio::test]
async fn garbled_answers_are_no_reason_to_try_the_other_byte_order() {
    let mut damaged = answer(LOW_FIRST, 0);
    damaged[15] ^= 0x10;
    let fault =
        poll(&mut driver(Profile::default()), ScriptedLine::new().answer(&damaged)).await.unwrap_err();
    assert_eq!(fault.name(), "garbled");
}

#[tokio::test]
async fn a_late_answer_is_skipped_and_the_right_one_taken() {
    let mut driver = driver(in_order(DiOrder::LowFirst));
    poll(&mut driver, ScriptedLine::new().answer(&[])).await.unwrap_err();
    let both = [answer(LOW_FIRST, 0), answer(LOW_FIRST, 1)].concat();
    let reading = poll(&mut driver, ScriptedLine::new().answer(&both)).await.unwrap();
    assert_eq!(reading.raw, Some(Raw(answer(LOW_FIRST, 1))));
}

#[tokio::test]
async fn the_wrong_meter_or_serial_number_gives_no_reading() {
    let mut wire = WIRE;
    wire[2] = 0x34;
    let other = frame(wire, 0x81, &[&LOW_FIRST[..], &[0], &PAYLOAD].concat());
    let fault = poll(&mut driver(Profile::default()), ScriptedLine::new().answer(&other)).await.unwrap_err();
    assert_eq!(fault, Fault::garbled("answer of meter 78330011223444, asked was 78330011223344"));
    let line = ScriptedLine::new().answer(&answer(LOW_FIRST, 9));
    let fault = poll(&mut driver(Profile::default()), line).await.unwrap_err();
    assert!(fault.to_string().contains("SER 09, asked was 00"), "{fault}");
}

#[tokio::test]
async fn meters_that_handle_the_serial_number_their_own_way_are_read_with_their_profile() {
    let unchecked = Profile { ser: Ser::Unchecked, ..in_order(DiOrder::LowFirst) };
    let line = ScriptedLine::new().expect(&request(LOW_FIRST, 0), &answer(LOW_FIRST, 0xFF));
    poll(&mut driver(unchecked.clone()), line).await.unwrap();

    let omitted = Profile { ser: Ser::Omitted, ..unchecked };
    let asked = [&[0xFE; 4][..], &frame(WIRE, 0x01, &LOW_FIRST)].concat();
    let answered = frame(WIRE, 0x81, &[&LOW_FIRST[..], &PAYLOAD].concat());
    let reading = poll(&mut driver(omitted), ScriptedLine::new().expect(&asked, &answered)).await.unwrap();
    assert_eq!(reading.meter_time, Some("2015-05-11T22:01:31".parse().unwrap()));
}

#[tokio::test]
async fn wake_up_bytes_are_the_profiles() {
    for count in [0_u8, 2, 64] {
        let profile = Profile { wake_up_bytes: count, ..in_order(DiOrder::LowFirst) };
        let asked = [&vec![0xFE; count.into()][..], &request(LOW_FIRST, 0)[4..]].concat();
        let mut driver = driver(profile);
        assert_eq!(driver.load()[0].request, asked.len());
        poll(&mut driver, ScriptedLine::new().expect(&asked, &answer(LOW_FIRST, 0))).await.unwrap();
    }
}

#[test]
fn the_forecast_counts_the_bytes_that_go_over_the_wire() {
    let load = driver(Profile::default()).load();
    assert_eq!(load.len(), 1);
    assert_eq!(load[0].request, request(LOW_FIRST, 0).len());
    assert_eq!(load[0].shortest_answer, answer(LOW_FIRST, 0).len());
    assert_eq!(load[0].typical_answer, 39);
}

#[test]
fn only_a_repeated_serial_number_tells_late_answers_apart() {
    let late = |ser| driver(Profile { ser, ..Profile::default() }).timing(&Serial::DEFAULT).late_window;
    assert_eq!(late(Ser::Echoed), Duration::ZERO);
    assert!(late(Ser::Unchecked) > Duration::ZERO);
    assert!(late(Ser::Omitted) > Duration::ZERO);
}
