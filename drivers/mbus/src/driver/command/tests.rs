//! Orders on a scripted line: what is written, after what, and what is seen of it.

use std::sync::Arc;

use jiff::civil::{Date, date};
use weir_meter::scripted::ScriptedLine;
use weir_meter::{Driver as _, ValveOrder};
use weir_wire::{Tariff, Valve};

use super::*;
use crate::{Address, Options, Profile, Secondary};

const ACK: [u8; 1] = [0xE5];
const CLOSE: Order = Order::Valve(ValveOrder::Close);

const PROFILE: &str = "model = \"valve\"
[valve]
open = \"01 FD 1A 01\"
close = \"01 FD 1A 00\"
[valve.read_back]
quantity = \"digital-output\"
open = 1
closed = 0
moving = 2
fault = 3
";

fn meter(address: Address, profile: &str) -> Mbus {
    let valve = Profile::parse(profile).unwrap().valve.map(Arc::new);
    Mbus::new(address, Options { valve, ..Options::default() })
}

fn primary(address: u8) -> Address {
    Address::primary(address).unwrap()
}

fn secondary(text: &str) -> Address {
    Address::secondary(text.parse::<Secondary>().unwrap())
}

fn telegram(address: u8, records: &[u8]) -> Vec<u8> {
    let header = [0x78, 0x56, 0x34, 0x12, 0x93, 0x15, 0x0A, 0x07, 0x55, 0x00, 0x00, 0x00];
    frame::long(0x08, address, 0x72, &[&header[..], records].concat()).unwrap()
}

fn clock(time: &str) -> Order {
    Order::Clock(time.parse().unwrap())
}

fn new_year() -> Date {
    date(2027, 1, 1)
}

#[tokio::test]
async fn a_valve_is_told_by_one_frame_on_a_link_begun_anew_and_seen_in_the_next_answer() {
    let mut meter = meter(primary(7), PROFILE);
    let course = meter.course(&CLOSE).unwrap();
    assert_eq!((course.travel, course.settle), (Duration::from_secs(3), Duration::from_secs(60)));
    let close = frame::long(0x73, 7, 0x51, &[0x01, 0xFD, 0x1A, 0x00]).unwrap();
    let nke = frame::short(0x40, 7);
    let mut line = ScriptedLine::new()
        .expect(&nke, &ACK)
        .expect(&frame::short(0x7B, 7), &telegram(7, &[0x01, 0xFD, 0x1A, 0x01]))
        // In step from the poll, and begun anew all the same.
        .expect(&nke, &ACK)
        .expect(&close, &ACK)
        .expect(&nke, &ACK)
        .expect(&frame::short(0x7B, 7), &telegram(7, &[0x01, 0xFD, 0x1A, 0x02]))
        .expect(&frame::short(0x5B, 7), &telegram(7, &[0x01, 0xFD, 0x1A, 0x00]));
    assert_eq!(meter.read(&mut line).await.unwrap().status.valve, Some(Valve::Open), "polls tell it too");
    assert_eq!(meter.carry_out(&mut line, &CLOSE).await, Ok(Observed::default()));
    assert_eq!(meter.observe(&mut line, &CLOSE).await.unwrap().valve, Some(Valve::Moving));
    let seen = meter.observe(&mut line, &CLOSE).await.unwrap();
    assert_eq!((seen.valve, seen.number.as_deref()), (Some(Valve::Closed), Some("12345678")));
    assert!(line.is_finished());
}

#[tokio::test]
async fn a_selected_meter_is_told_and_let_go() {
    let address = secondary("12345678.ELS.0A.07");
    let mut meter = meter(address, PROFILE);
    let nke = frame::short(0x40, 253);
    let select = frame::long(0x53, 253, 0x52, &address.as_secondary().unwrap().wire()).unwrap();
    let open = frame::long(0x73, 253, 0x51, &[0x01, 0xFD, 0x1A, 0x01]).unwrap();
    let mut line =
        ScriptedLine::new().expect(&nke, &[]).expect(&select, &ACK).expect(&open, &ACK).expect(&nke, &ACK);
    meter.carry_out(&mut line, &Order::Valve(ValveOrder::Open)).await.unwrap();
    assert!(line.is_finished());
}

#[tokio::test]
async fn a_meter_that_cannot_be_begun_with_is_not_told_and_one_that_says_nothing_may_have_obeyed() {
    let selected = secondary("12345678.ELS.0A.07");
    // To the request that deselects nobody has to answer.
    for (address, answers, requests) in [(primary(7), 0, 1), (selected, 1, 2)] {
        for (last, kind) in [(None, "silent"), (Some([0x00]), "garbled")] {
            let line = (0..answers).fold(ScriptedLine::new(), |line, _| line.answer(&[]));
            let mut line = last.iter().fold(line, |line, noise| line.answer(noise));
            let fault = meter(address, PROFILE).carry_out(&mut line, &CLOSE).await.unwrap_err();
            assert_eq!((fault.name(), line.requests.len()), (kind, requests), "{address}: {fault}");
        }
    }
    let mut line = ScriptedLine::new().answer(&ACK);
    let fault = meter(primary(7), PROFILE).carry_out(&mut line, &CLOSE).await.unwrap_err();
    assert_eq!((fault.name(), line.requests.len()), ("silent", 2), "once");
}

#[tokio::test]
async fn no_address_that_several_meters_obey_is_told_anything() {
    for address in [
        primary(254),
        secondary("12345678"),
        secondary("1234567F.ELS.0A.07"),
        secondary("12345678.*.0A.07"),
        secondary("12345678.ELS.*.07"),
        secondary("12345678.ELS.0A"),
    ] {
        for order in [CLOSE, clock("2026-11-25T22:41:17")] {
            let mut meter = meter(address, PROFILE);
            assert!(meter.course(&order).is_err(), "{address}");
            let mut line = ScriptedLine::new();
            assert_eq!(meter.carry_out(&mut line, &order).await.unwrap_err().name(), "refused");
            assert!(line.requests.is_empty());
        }
    }
}

#[tokio::test]
async fn a_clock_is_set_to_the_nearest_minute_and_seen_in_the_next_answer() {
    let order = clock("2026-11-25T22:41:31");
    let record = [0x04, 0x6D, 42, 22, 25 | 2 << 5, 11 | 3 << 4];
    let mut meter = meter(primary(7), "model = \"plain\"");
    let mut line = ScriptedLine::new()
        .answer(&ACK)
        .expect(&frame::long(0x73, 7, 0x51, &record).unwrap(), &ACK)
        .answer(&ACK)
        .answer(&telegram(7, &record));
    meter.carry_out(&mut line, &order).await.unwrap();
    let seen = meter.observe(&mut line, &order).await.unwrap();
    assert_eq!(seen.meter_time, Some(date(2026, 11, 25).at(22, 42, 0, 0)));
    assert!(meter.course(&clock("2081-01-01T00:00:00")).is_err());
}

#[tokio::test]
async fn what_m_bus_or_the_profile_does_not_know_is_not_written() {
    let tariff = Order::Tariff(Tariff { effective_from: new_year(), steps: Vec::new() });
    for order in [CLOSE, tariff] {
        let mut meter = meter(primary(7), "model = \"plain\"");
        let mut line = ScriptedLine::new();
        assert!(meter.course(&order).is_err());
        assert_eq!(meter.carry_out(&mut line, &order).await.unwrap_err().name(), "refused");
        assert!(line.requests.is_empty());
    }
}
