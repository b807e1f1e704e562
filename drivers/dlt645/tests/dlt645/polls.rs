//! Whole polls on a scripted line.

use std::sync::Arc;
use std::time::Duration;

use weir_dlt645::{Dlt645, Profile, who_is_there};
use weir_meter::scripted::ScriptedLine;
use weir_meter::{Answer, Driver, Fault, Presence, Serial};
use weir_wire::{Content, Medium};

use crate::meter::*;

async fn poll(driver: &mut Dlt645, mut line: ScriptedLine) -> Result<Answer, Fault> {
    let result = driver.read(&mut line).await;
    assert!(line.is_finished(), "exchanges left over after {:02X?}", line.requests);
    result
}

fn told(answer: &Answer) -> Vec<String> {
    let line = |value: &weir_wire::Value| match &value.content {
        Content::Number(number) => {
            format!("{}/{} {number} {}", value.quantity, value.subunit, value.unit.as_ref().unwrap())
        }
        Content::Invalid(why) => format!("{}/{} invalid: {why}", value.quantity, value.subunit),
        other => panic!("{other:?}"),
    };
    answer.values.iter().map(line).collect()
}

#[tokio::test]
async fn a_poll_is_one_exchange_and_gives_the_energy() {
    let wire = [&[0xFE; 4][..], &answer(ENERGY, &[0x76, 0x17, 0x03, 0x00])].concat();
    let line = ScriptedLine::new().expect(&read_of(ENERGY), &wire);
    let reading = poll(&mut driver("standard"), line).await.unwrap();
    assert_eq!(reading.identity.number.as_deref(), Some(NUMBER));
    assert_eq!(reading.identity.medium, Some(Medium::Electricity));
    assert_eq!(told(&reading), ["forward-energy/0 317.76 kWh"]);
    assert_eq!(reading.raw.unwrap().0, wire[4..]);
}

#[tokio::test]
async fn what_a_meter_has_not_costs_nothing_else() {
    let refused = |what: u8| frame(WIRE, 0xD1, &[what]);
    let line = ScriptedLine::new()
        .expect(&read_of(ENERGY), &answer(ENERGY, &[0x26, 0, 0, 0]))
        .expect(&read_of(0x0002_0000), &refused(0x02))
        .expect(&read_of(0x0201_FF00), &answer(0x0201_FF00, &[0x01, 0x22, 0xFF, 0xFF, 0xFF, 0xFF]))
        .expect(&read_of(0x0202_FF00), &answer(0x0202_FF00, &[0x34, 0x12, 0x80]))
        .expect(&read_of(0x0203_0000), &refused(0x02));
    let reading = poll(&mut driver("electrical"), line).await.unwrap();
    let expected = [
        "forward-energy/0 0.26 kWh",
        "voltage/1 220.1 V",
        "voltage/2 invalid: FFFF are no decimal digits",
        "voltage/3 invalid: FFFF are no decimal digits",
        "current/1 -1.234 A",
    ];
    assert_eq!(told(&reading), expected);
}

#[tokio::test]
async fn what_must_be_there_and_is_refused_is_a_refusal_in_words() {
    let line = ScriptedLine::new().expect(&read_of(ENERGY), &frame(WIRE, 0xD1, &[0x02]));
    let fault = poll(&mut driver("standard"), line).await.unwrap_err();
    assert_eq!(fault, Fault::refused("error answer to the read: ERR 02, no such data"));
}

#[tokio::test]
async fn silence_in_the_middle_of_a_poll_is_no_half_reading() {
    let line = ScriptedLine::new().answer(&answer(ENERGY, &[0; 4])).answer(&[]);
    let fault = poll(&mut driver("electrical"), line).await.unwrap_err();
    assert_eq!(fault.name(), "silent");
}

#[tokio::test]
async fn further_frames_are_asked_for_until_the_last() {
    let block = 0x0001_FF00_u32;
    let di = block.to_le_bytes();
    let part = |control, payload: &[u8], sequence: &[u8]| {
        frame(WIRE, control, &[&di[..], payload, sequence].concat())
    };
    let next = |sequence| asked(0x12, &[&di[..], &[sequence]].concat());
    let line = ScriptedLine::new()
        .expect(&read_of(block), &part(0xB1, &[0x00, 0x03, 0, 0], &[]))
        .expect(&next(1), &part(0xB2, &[0x00, 0x01, 0, 0], &[1]))
        .expect(&next(2), &part(0x92, &[0x00, 0x02, 0, 0], &[2]));
    let reading = poll(&mut driver("tariffs"), line).await.unwrap();
    let values: Vec<_> =
        reading.values.iter().map(|value| (value.tariff, value.raw.clone().unwrap().0)).collect();
    assert_eq!(values, [(0, vec![0, 3, 0, 0]), (1, vec![0, 1, 0, 0]), (2, vec![0, 2, 0, 0])]);
}

#[tokio::test]
async fn a_further_frame_out_of_turn_is_not_put_in_its_place() {
    let di = 0x0001_FF00_u32.to_le_bytes();
    let line = ScriptedLine::new().answer(&frame(WIRE, 0xB1, &[&di[..], &[0; 4]].concat())).answer(&frame(
        WIRE,
        0x92,
        &[&di[..], &[0; 4], &[2]].concat(),
    ));
    let fault = poll(&mut driver("tariffs"), line).await.unwrap_err();
    assert_eq!(fault, Fault::garbled("further frame Some(02), asked was 01"));
}

#[tokio::test]
async fn a_meter_that_never_ends_is_given_up() {
    let di = 0x0001_FF00_u32.to_le_bytes();
    let mut line = ScriptedLine::new().answer(&frame(WIRE, 0xB1, &[&di[..], &[0; 4]].concat()));
    for sequence in 1..=40 {
        line = line.answer(&frame(WIRE, 0xB2, &[&di[..], &[0; 4], &[sequence]].concat()));
    }
    let fault = driver("tariffs").read(&mut line).await.unwrap_err();
    assert_eq!((fault.name(), line.requests.len()), ("refused", 17));
}

#[tokio::test]
async fn a_shortened_address_is_answered_with_the_whole_one_and_asked_by_it_from_then_on() {
    let profile = Arc::new(named("electrical"));
    let mut driver = Dlt645::new("AAAAAAAA2529".parse().unwrap(), profile);
    let wire = [0x29, 0x25, 0xAA, 0xAA, 0xAA, 0xAA];
    let first = [&[0xFE; 4][..], &frame(wire, 0x11, &ENERGY.to_le_bytes())].concat();
    let mut line = ScriptedLine::new()
        .expect(&first, &answer(ENERGY, &[0; 4]))
        .expect(&read_of(0x0002_0000), &answer(0x0002_0000, &[0; 4]))
        .expect(&read_of(0x0201_FF00), &frame(WIRE, 0xD1, &[2]))
        .expect(&read_of(0x0202_FF00), &frame(WIRE, 0xD1, &[2]))
        .expect(&read_of(0x0203_0000), &frame(WIRE, 0xD1, &[2]));
    let reading = driver.read(&mut line).await.unwrap();
    assert_eq!(reading.identity.number.as_deref(), Some(NUMBER));
}

#[tokio::test]
async fn whoever_is_alone_on_a_line_tells_its_address_twice() {
    let to_all = [&[0xFE; 4][..], &frame([0xAA; 6], 0x13, &[])].concat();
    let profile = Profile::default();
    let nobody = Presence { meters: Vec::new(), unconfirmed: Vec::new(), is_jumbled: false };
    let mut line = ScriptedLine::new()
        .expect(&to_all, &frame(WIRE, 0x93, &WIRE))
        .expect(&read_of(ENERGY), &answer(ENERGY, &[0; 4]));
    let found = Presence { meters: vec![address()], ..nobody.clone() };
    assert_eq!(who_is_there(&mut line, &profile, 1).await, Ok(found));
    // Silence is asked again before it is believed.
    let mut line = ScriptedLine::new().expect(&to_all, &[]).expect(&to_all, &[]);
    assert_eq!(who_is_there(&mut line, &profile, 2).await, Ok(nobody.clone()));
    assert_eq!(line.requests.len(), 2);
    // Two at once seldom agree about it.
    let mut other = WIRE;
    other[0] = 0x30;
    for data in [&other[..], &WIRE[..5], &[]] {
        let said = frame(WIRE, 0x93, data);
        let mut line = ScriptedLine::new().answer(&said).answer(&said).answer(&said);
        let jumble = Presence { is_jumbled: true, ..nobody.clone() };
        assert_eq!(who_is_there(&mut line, &profile, 1).await, Ok(jumble), "{data:02X?}");
    }
    let mut line = ScriptedLine::new().expect(&asked(0x13, &[]), &frame(WIRE, 0x93, &WIRE));
    assert_eq!(driver("standard").read_address(&mut line).await, Ok(address()));
}

#[test]
fn the_forecast_counts_the_bytes_that_go_over_the_wire() {
    let load = driver("standard").load();
    assert_eq!(load.len(), 1);
    assert_eq!(load[0].request, read_of(ENERGY).len());
    assert_eq!(load[0].shortest_answer, answer(ENERGY, &[0; 4]).len());
    assert_eq!(load[0].typical_answer, answer(ENERGY, &[0; 4]).len() + 4);
    assert_eq!(driver("electrical").load().len(), 5);
}

#[test]
fn a_meter_is_left_alone_after_a_time_out_since_its_answers_have_no_number() {
    assert!(driver("standard").timing(&Serial::DEFAULT).late_window > Duration::ZERO);
}
