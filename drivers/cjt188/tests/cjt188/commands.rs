//! The orders of the command path, on a scripted line: what is written, how often, and what is seen of it.

use std::sync::Arc;
use std::time::Duration;

use jiff::civil::{Date, date};
use weir_cjt188::{Address, Cjt188, Profile};
use weir_meter::scripted::ScriptedLine;
use weir_meter::{Driver as _, Fault, Order, ValveOrder};
use weir_wire::{Tariff, TariffStep, Valve};

use crate::meter::*;

const CLOSE: Order = Order::Valve(ValveOrder::Close);

fn driver(profile: &str) -> Cjt188 {
    Cjt188::new(address(), Arc::new(Profile::parse(profile).unwrap()))
}

/// High byte first, so that identifiers are written as they read.
fn of_2004() -> Cjt188 {
    driver("di_order = \"2004\"")
}

fn asked(control: u8, data: &[u8]) -> Vec<u8> {
    [&[0xFE; 4][..], &frame(WIRE, control, data)].concat()
}

fn answered(control: u8, data: &[u8]) -> Vec<u8> {
    frame(WIRE, control, data)
}

fn tariff(from: Date, steps: &[(&str, &str)]) -> Order {
    let step = |(from_m3, price): &(&str, &str)| TariffStep {
        from_m3: from_m3.parse().unwrap(),
        price: price.parse().unwrap(),
    };
    Order::Tariff(Tariff { effective_from: from, steps: steps.iter().map(step).collect() })
}

const THREE: [(&str, &str); 3] = [("0", "3.45"), ("220", "4.83"), ("300", "5.83")];
/// The same as the meter keeps it.
const TABLE: [u8; 15] = [0x45, 0x03, 0, 0x20, 0x02, 0, 0x83, 0x04, 0, 0x00, 0x03, 0, 0x83, 0x05, 0];

/// The metering data on this day, as answered with identifier and serial number before them.
fn metering(ser: u8, day: u8, month: u8) -> Vec<u8> {
    let mut payload = PAYLOAD;
    payload[10..17].copy_from_slice(&[0, 0, 0x12, day, month, 0x26, 0x20]);
    answered(0x81, &[&HIGH_FIRST[..], &[ser], &payload].concat())
}

fn why(fault: Fault) -> String {
    match fault {
        Fault::Refused { why } => why,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_valve_is_told_once_and_looked_at_after_its_time() {
    let mut driver = of_2004();
    let course = driver.course(&CLOSE).unwrap();
    assert_eq!((course.travel, course.settle), (Duration::from_secs(3), Duration::from_secs(60)));
    assert_eq!(course.unseen, None);
    let mut line = ScriptedLine::new()
        .expect(&asked(0x04, &[0xA0, 0x17, 0, 0x99]), &answered(0x84, &[0xA0, 0x17, 0, 0x00, 0x00]))
        .expect(&request(HIGH_FIRST, 1), &answer(HIGH_FIRST, 1));
    let before = driver.carry_out(&mut line, &CLOSE).await.unwrap();
    assert_eq!(
        (before.valve, before.number.as_deref()),
        (Some(Valve::Open), Some(NUMBER)),
        "still on its way"
    );
    let after = driver.observe(&mut line, &CLOSE).await.unwrap();
    assert_eq!((after.valve, after.number.as_deref()), (Some(Valve::Closed), Some(NUMBER)));
    assert!(line.is_finished());
}

#[tokio::test]
async fn a_valve_with_a_code_to_ask_it_is_asked_by_that_and_has_its_own_times() {
    let mut driver = driver("di_order = \"2004\"\n[valve]\nread = 0\ntravel_ms = 500\nsettle_ms = 20000");
    let course = driver.course(&CLOSE).unwrap();
    assert_eq!((course.travel, course.settle), (Duration::from_millis(500), Duration::from_secs(20)));
    let mut line = ScriptedLine::new()
        .expect(&asked(0x04, &[0xA0, 0x17, 0, 0x00]), &answered(0x84, &[0xA0, 0x17, 0, 0x01, 0x00]));
    assert_eq!(driver.observe(&mut line, &CLOSE).await.unwrap().valve, Some(Valve::Closed));
}

#[tokio::test]
async fn the_byte_order_is_found_by_a_read_and_where_that_fails_nothing_is_written() {
    let mut known = driver("");
    let mut line = ScriptedLine::new()
        .expect(&request(LOW_FIRST, 0), &[])
        .expect(&request(HIGH_FIRST, 1), &answer(HIGH_FIRST, 1))
        .expect(&asked(0x04, &[0xA0, 0x17, 2, 0x99]), &[]);
    let fault = known.carry_out(&mut line, &CLOSE).await.unwrap_err();
    assert_eq!((fault.name(), line.requests.len()), ("silent", 3), "the write goes out in one order, once");

    // A tariff is read before whatever is known of the byte order.
    let tariff = tariff(date(2027, 1, 1), &THREE);
    for (profile, order) in [("", CLOSE), ("di_order = \"2004\"", tariff)] {
        let breaks_off = ScriptedLine::new().answer(&answer(HIGH_FIRST, 0)[..20]);
        for (mut line, kind) in [(ScriptedLine::new(), "silent"), (breaks_off, "garbled")] {
            let fault = driver(profile).carry_out(&mut line, &order).await.unwrap_err();
            assert_eq!(fault.name(), kind, "{fault}");
            assert!(line.requests.iter().all(|sent| sent[13] == 0x01), "only reads: {:02X?}", line.requests);
        }
    }
}

#[tokio::test]
async fn a_meter_that_says_no_is_told_from_one_whose_yes_is_unclear() {
    let mut line = ScriptedLine::new().answer(&answered(0xC4, &[0, 0x03, 0x00]));
    let why = why(of_2004().carry_out(&mut line, &CLOSE).await.unwrap_err());
    assert!(why.contains("valve fault"), "{why}");
    // Half a status word: the meter has obeyed, and what it shows is not legible.
    let mut line = ScriptedLine::new().answer(&answered(0x84, &[0xA0, 0x17, 0, 0x01]));
    assert_eq!(of_2004().carry_out(&mut line, &CLOSE).await.unwrap().valve, None);
}

#[tokio::test]
async fn an_address_of_many_is_told_nothing_at_all() {
    let mut middle = address().bytes();
    middle[3] = 0xAA;
    for shared in [
        Address::BROADCAST,
        Address::from_wire(0x10, [0x99; 7]),
        Address::from_wire(0x10, middle),
        Address::from_wire(0xAA, address().bytes()),
    ] {
        let mut driver = Cjt188::new(shared, Arc::new(Profile::default()));
        for order in [CLOSE, tariff(date(2027, 1, 1), &THREE), Order::Clock(date(2026, 1, 1).at(0, 0, 0, 0))]
        {
            assert!(driver.course(&order).is_err());
            let mut line = ScriptedLine::new();
            assert_eq!(driver.carry_out(&mut line, &order).await.unwrap_err().name(), "refused");
            assert_eq!(driver.observe(&mut line, &order).await.unwrap_err().name(), "refused");
            assert!(line.requests.is_empty());
        }
    }
}

#[tokio::test]
async fn without_a_valve_there_is_no_course_and_no_write() {
    let mut driver = driver("[status]\nhas_valve = false");
    assert_eq!(driver.course(&CLOSE).unwrap_err().why, "the profile says that the meter has no valve");
    let mut line = ScriptedLine::new();
    assert!(driver.carry_out(&mut line, &CLOSE).await.is_err() && line.requests.is_empty());
}

#[tokio::test]
async fn a_tariff_is_written_for_the_next_such_day_by_the_meters_clock_and_its_prices_read_back() {
    let order = tariff(date(2027, 1, 1), &THREE);
    let mut driver = of_2004();
    assert_eq!(driver.course(&order).unwrap().unseen, Some("the day from which the prices count"));
    let write = [&[0xA0, 0x10, 1][..], &TABLE, &[0x01]].concat();
    let mut line = ScriptedLine::new()
        .expect(&request(HIGH_FIRST, 0), &metering(0, 0x20, 0x12))
        .expect(&asked(0x04, &write), &answered(0x84, &[0xA0, 0x10, 1, 0x00, 0xFF]))
        .expect(&asked(0x01, &[0x81, 0x02, 2]), &answered(0x81, &[&[0x81, 0x02, 2][..], &TABLE].concat()));
    driver.carry_out(&mut line, &order).await.unwrap();
    let Order::Tariff(wanted) = &order else { panic!() };
    let seen = driver.observe(&mut line, &order).await.unwrap();
    assert_eq!((seen.tariff.as_ref(), seen.number.as_deref()), (Some(&wanted.steps), Some(NUMBER)));
    assert!(line.is_finished());
}

#[tokio::test]
async fn a_start_day_that_the_meter_would_take_for_another_one_is_not_written() {
    // By the meter's clock it is the 20th of December 2026.
    for (from, begins) in [
        (date(2026, 12, 21), true),
        (date(2027, 1, 19), true),
        (date(2026, 12, 20), false),
        (date(2026, 12, 1), false),
        (date(2027, 1, 20), false),
        (date(2027, 2, 1), false),
    ] {
        let mut line = ScriptedLine::new()
            .answer(&metering(0, 0x20, 0x12))
            .answer(&answered(0x84, &[0xA0, 0x10, 1, 0x00, 0xFF]));
        let told = of_2004().carry_out(&mut line, &tariff(from, &THREE)).await;
        assert_eq!((told.is_ok(), line.requests.len()), (begins, if begins { 2 } else { 1 }), "{from}");
    }
    let mut line = ScriptedLine::new().answer(&metering(0, 0, 0));
    assert!(of_2004().carry_out(&mut line, &tariff(date(2027, 1, 1), &THREE)).await.is_err());
    assert_eq!(line.requests.len(), 1);
}

#[tokio::test]
async fn without_a_start_day_the_prices_count_from_the_meters_today() {
    let mut driver = driver("di_order = \"2004\"\nprice_start_day = false");
    let today = tariff(date(2026, 12, 20), &THREE);
    assert_eq!(driver.course(&today).unwrap().unseen, None);
    let write = [&[0xA0, 0x10, 1][..], &TABLE].concat();
    let mut line = ScriptedLine::new()
        .answer(&metering(0, 0x20, 0x12))
        .expect(&asked(0x04, &write), &answered(0x84, &[0xA0, 0x10, 1, 0x00, 0xFF]));
    driver.carry_out(&mut line, &today).await.unwrap();
    let mut line = ScriptedLine::new().answer(&metering(2, 0x20, 0x12));
    assert!(driver.carry_out(&mut line, &tariff(date(2026, 12, 21), &THREE)).await.is_err());
    assert_eq!(line.requests.len(), 1);
}

#[tokio::test]
async fn prices_that_a_tariff_does_not_need_repeat_its_last_one() {
    let nines = [0x99, 0x99, 0x99];
    let (low, high) = ([0x45, 0x03, 0], [0x83, 0x04, 0]);
    let one = [low, nines, low, nines, low].concat();
    let two = [low, [0x20, 0x02, 0], high, nines, high].concat();
    for (steps, table) in [(&THREE[..1], one), (&THREE[..2], two)] {
        let order = tariff(date(2027, 1, 1), steps);
        let write = [&[0xA0, 0x10, 1][..], &table, &[0x01]].concat();
        let mut driver = of_2004();
        let mut line = ScriptedLine::new()
            .answer(&metering(0, 0x20, 0x12))
            .expect(&asked(0x04, &write), &answered(0x84, &[0xA0, 0x10, 1, 0x00, 0xFF]))
            .answer(&answered(0x81, &[&[0x81, 0x02, 2][..], &table].concat()));
        driver.carry_out(&mut line, &order).await.unwrap();
        let Order::Tariff(wanted) = &order else { panic!() };
        assert_eq!(driver.observe(&mut line, &order).await.unwrap().tariff.as_ref(), Some(&wanted.steps));
    }
    // Another tariff's table is shown with all it has.
    let mut line = ScriptedLine::new().answer(&answered(0x81, &[&[0x81, 0x02, 0][..], &TABLE].concat()));
    let seen = of_2004().observe(&mut line, &tariff(date(2027, 1, 1), &THREE[..2])).await.unwrap();
    assert_eq!(seen.tariff.unwrap().len(), 3);
}

#[test]
fn a_tariff_that_the_table_cannot_hold_to_the_digit_is_not_supported() {
    let says = |steps: &[(&str, &str)]| of_2004().course(&tariff(date(2027, 1, 1), steps)).unwrap_err().why;
    assert_eq!(says(&[]), "the tariff has no step");
    assert_eq!(says(&[("1", "2")]), "the first step begins at 1 m3, not at 0");
    assert_eq!(
        says(&[("0", "1"), ("1", "2"), ("2", "3"), ("3", "4")]),
        "the tariff has 4 steps, the meter 3"
    );
    assert_eq!(says(&[("0", "1"), ("5", "2"), ("5", "3")]), "the tariff's steps do not rise");
    assert!(says(&[("0", "3.455")]).starts_with("price 3.455"));
    assert!(says(&[("0", "1"), ("2.5", "2")]).starts_with("step 2.5"));
    assert!(says(&[("0", "-1")]).starts_with("price -1"));
    assert!(
        of_2004().course(&tariff(date(2027, 1, 1), &[("0.00", "3.4500")])).is_ok(),
        "zeros are no digits"
    );
}

#[tokio::test]
async fn a_clock_is_set_and_read_from_the_metering_data() {
    let time = date(2026, 12, 20).at(12, 0, 0, 0);
    let mut driver = of_2004();
    assert_eq!(driver.course(&Order::Clock(time)).unwrap().unseen, None);
    let write = [0xA0, 0x15, 0, 0, 0, 0x12, 0x20, 0x12, 0x26, 0x20];
    let mut line = ScriptedLine::new()
        .expect(&asked(0x04, &write), &answered(0x84, &[0xA0, 0x15, 0]))
        .expect(&request(HIGH_FIRST, 1), &metering(1, 0x20, 0x12));
    driver.carry_out(&mut line, &Order::Clock(time)).await.unwrap();
    let seen = driver.observe(&mut line, &Order::Clock(time)).await.unwrap();
    assert_eq!(seen.meter_time, Some(time));
    assert!(driver.course(&Order::Clock(date(2100, 1, 1).at(0, 0, 0, 0))).is_err());
}
