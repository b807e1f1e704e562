//! What the driver puts on the line, and what it makes of what comes back.

use super::*;
use weir_meter::scripted::ScriptedLine;
use weir_wire::{Content, Quantity, Value};

const ADDRESS: u8 = 5;
const NKE: [u8; 5] = [0x10, 0x40, 0x05, 0x45, 0x16];
const ASK_1: [u8; 5] = [0x10, 0x7B, 0x05, 0x80, 0x16];
const ASK_0: [u8; 5] = [0x10, 0x5B, 0x05, 0x60, 0x16];
const ACK: [u8; 1] = [0xE5];

fn meter() -> Mbus {
    Mbus::new(Address::primary(ADDRESS).unwrap(), Options::default())
}

/// A telegram with one volume of so many litres; `tail` follows the record.
fn telegram_from(address: u8, serial: u8, litres: u8, tail: &[u8]) -> Vec<u8> {
    let header = [serial, 0x56, 0x34, 0x12, 0x93, 0x15, 0x0A, 0x07, 0x55, 0x00, 0x00, 0x00];
    frame::long(0x08, address, 0x72, &[&header[..], &[0x01, 0x13, litres], tail].concat()).unwrap()
}

fn telegram(litres: u8) -> Vec<u8> {
    telegram_from(ADDRESS, 0x78, litres, &[])
}

fn announcing(litres: u8) -> Vec<u8> {
    telegram_from(ADDRESS, 0x78, litres, &[0x1F])
}

/// Every volume, as the digits behind VIF 13.
fn litres(answer: &Answer) -> Vec<i128> {
    let litres = |value: &Value| match value.content {
        Content::Number(number) => Some(number.digits()),
        _ => None,
    };
    answer.values.iter().filter_map(litres).collect()
}

fn note(answer: &Answer) -> Option<String> {
    answer
        .values
        .iter()
        .find(|value| value.quantity == Quantity::Unreadable)
        .map(|value| format!("{:?}", value.content))
}

#[tokio::test]
async fn the_first_contact_resets_and_then_a_poll_is_one_exchange_with_the_other_bit() {
    let mut line = ScriptedLine::new()
        .expect(&NKE, &ACK)
        .expect(&ASK_1, &telegram(1))
        .expect(&ASK_0, &telegram(2))
        .expect(&ASK_1, &telegram(3));
    let mut meter = meter();
    for expected in 1..=3 {
        assert_eq!(litres(&meter.read(&mut line).await.unwrap()), [expected]);
    }
    assert!(line.is_finished());
}

#[tokio::test]
async fn after_any_fault_the_link_begins_anew() {
    let mut broken = telegram(9);
    let last = broken.len() - 2;
    broken[last] ^= 1;
    let busy = frame::long(0x08, ADDRESS, 0x70, &[8]).unwrap();
    let faults: [(&[u8], &str); 4] = [
        (&[], "silent"),
        (&broken, "garbled"),
        (&busy, "refused"),
        (&telegram_from(6, 0x78, 9, &[]), "garbled"),
    ];
    for (answer, name) in faults {
        let mut line = ScriptedLine::new()
            .expect(&NKE, &ACK)
            .expect(&ASK_1, &telegram(1))
            .expect(&ASK_0, answer)
            .expect(&NKE, &ACK)
            .expect(&ASK_1, &telegram(2));
        let mut meter = meter();
        meter.read(&mut line).await.unwrap();
        assert_eq!(meter.read(&mut line).await.unwrap_err().name(), name);
        assert_eq!(litres(&meter.read(&mut line).await.unwrap()), [2]);
        assert!(line.is_finished());
    }
}

#[tokio::test]
async fn a_dead_meter_costs_one_exchange() {
    let mut line = ScriptedLine::new().expect(&NKE, &[]).expect(&NKE, &[]);
    let mut meter = meter();
    for _ in 0..2 {
        assert_eq!(meter.read(&mut line).await.unwrap_err().name(), "silent");
    }
    assert_eq!(line.requests.len(), 2);
}

#[tokio::test]
async fn another_meters_answer_before_the_own_one_is_thrown_away() {
    let both = [telegram_from(6, 0x79, 66, &[]), telegram(1)].concat();
    let mut line = ScriptedLine::new().expect(&NKE, &ACK).expect(&ASK_1, &both);
    assert_eq!(litres(&meter().read(&mut line).await.unwrap()), [1]);
}

#[tokio::test]
async fn a_late_answer_during_the_reset_is_not_the_reading() {
    let late = [telegram(66), ACK.to_vec()].concat();
    let mut line = ScriptedLine::new().expect(&NKE, &late).expect(&ASK_1, &telegram(1));
    assert_eq!(litres(&meter().read(&mut line).await.unwrap()), [1]);
}

#[tokio::test]
async fn at_the_test_address_the_meter_answers_with_its_own() {
    let mut line = ScriptedLine::new().answer(&ACK).answer(&telegram_from(17, 0x78, 1, &[]));
    let mut meter = Mbus::new(Address::primary(254).unwrap(), Options::default());
    assert_eq!(litres(&meter.read(&mut line).await.unwrap()), [1]);
    assert_eq!(line.requests, [[0x10, 0x40, 0xFE, 0x3E, 0x16], [0x10, 0x7B, 0xFE, 0x79, 0x16]]);
}

#[tokio::test]
async fn telegrams_that_announce_more_are_read_in_order_and_the_next_poll_starts_at_the_first() {
    let mut line = ScriptedLine::new()
        .expect(&NKE, &ACK)
        .expect(&ASK_1, &announcing(1))
        .expect(&ASK_0, &announcing(2))
        .expect(&ASK_1, &telegram(3))
        .expect(&NKE, &ACK)
        .expect(&ASK_1, &telegram(4));
    let mut meter = meter();
    let answer = meter.read(&mut line).await.unwrap();
    assert_eq!((litres(&answer), note(&answer)), (vec![1, 2, 3], None));
    assert_eq!(answer.raw.unwrap().0, [announcing(1), announcing(2), telegram(3)].concat());
    assert_eq!(litres(&meter.read(&mut line).await.unwrap()), [4]);
    assert!(line.is_finished());
}

#[tokio::test]
async fn a_meter_that_starts_over_is_done() {
    let mut line = ScriptedLine::new()
        .expect(&NKE, &ACK)
        .expect(&ASK_1, &announcing(1))
        .expect(&ASK_0, &announcing(2))
        .expect(&ASK_1, &announcing(1));
    let answer = meter().read(&mut line).await.unwrap();
    assert_eq!((litres(&answer), note(&answer)), (vec![1, 2], None));
}

#[tokio::test]
async fn a_meter_that_announces_for_ever_is_cut_off_with_a_note() {
    let mut line = ScriptedLine::new().answer(&ACK);
    for litres in 0..=u8::try_from(TELEGRAMS_MAX).unwrap() {
        line = line.answer(&announcing(litres));
    }
    let answer = meter().read(&mut line).await.unwrap();
    assert_eq!((litres(&answer).len(), line.requests.len()), (TELEGRAMS_MAX, 1 + TELEGRAMS_MAX));
    assert!(note(&answer).unwrap().contains("more than 16 telegrams"));
}

#[tokio::test]
async fn a_further_telegram_that_is_refused_leaves_the_first_with_a_note() {
    let refusal = frame::long(0x08, ADDRESS, 0x70, &[4]).unwrap();
    let mut line = ScriptedLine::new()
        .answer(&ACK)
        .answer(&announcing(1))
        .answer(&refusal)
        .expect(&NKE, &ACK)
        .answer(&telegram(2));
    let mut meter = meter();
    let answer = meter.read(&mut line).await.unwrap();
    assert_eq!(litres(&answer), [1]);
    assert!(note(&answer).unwrap().contains("premature end of record"));
    assert_eq!(litres(&meter.read(&mut line).await.unwrap()), [2]);
}

/// A read of a meter that announces another telegram and then says nothing.
fn breaking_off(line: ScriptedLine, litres: u8) -> ScriptedLine {
    line.expect(&NKE, &ACK).expect(&ASK_1, &announcing(litres)).expect(&ASK_0, &[])
}

/// A read of one that keeps its word.
fn going_on(line: ScriptedLine, litres: u8) -> ScriptedLine {
    line.expect(&NKE, &ACK).expect(&ASK_1, &announcing(litres)).expect(&ASK_0, &telegram(litres + 1))
}

#[tokio::test]
async fn a_further_telegram_that_was_lost_once_is_read_by_the_next_try() {
    let mut line = going_on(breaking_off(ScriptedLine::new(), 1), 1);
    // It kept its word in between, so one lost telegram is again one too few to give up.
    line = breaking_off(line, 3);
    let mut meter = meter();
    assert_eq!(meter.read(&mut line).await.unwrap_err().name(), "silent");
    let answer = meter.read(&mut line).await.unwrap();
    assert_eq!((litres(&answer), note(&answer)), (vec![1, 2], None));
    assert_eq!(meter.read(&mut line).await.unwrap_err().name(), "silent");
    assert!(line.is_finished());
}

#[tokio::test]
async fn a_meter_that_never_sends_what_it_announces_is_read_all_the_same_with_a_note() {
    let mut line = ScriptedLine::new();
    for litres in 1..=3 {
        line = breaking_off(line, litres);
    }
    let mut meter = meter();
    assert_eq!(meter.read(&mut line).await.unwrap_err().name(), "silent");
    for expected in 2..=3 {
        let answer = meter.read(&mut line).await.unwrap();
        assert_eq!(litres(&answer), [expected]);
        assert!(note(&answer).unwrap().contains("silent"));
    }
    assert!(line.is_finished());
}

#[tokio::test]
async fn a_further_telegram_that_is_damaged_or_of_another_meter_spoils_the_read() {
    let mut broken = telegram(2);
    broken[8] ^= 1;
    for second in [broken, telegram_from(ADDRESS, 0x79, 2, &[])] {
        let mut line = ScriptedLine::new().answer(&ACK).answer(&announcing(1)).answer(&second);
        assert_eq!(meter().read(&mut line).await.unwrap_err().name(), "garbled");
    }
}

#[test]
fn waits_are_those_of_the_standard() {
    let timing = meter().timing(&Serial::DEFAULT);
    assert_eq!(timing.answer_window, Duration::from_micros(187_500));
    assert_eq!(timing.silence_before_repeat, Duration::from_micros(13_750));
    assert_eq!(timing.silence, Duration::ZERO);
    assert_eq!(meter().load(), [Load { request: 5, shortest_answer: 9, typical_answer: 66 }]);
}

#[test]
fn a_silent_meter_is_left_alone_for_longer_than_an_answer_takes() {
    for baud in [300, 2400, 9600, 38_400] {
        let timing = meter().timing(&Serial { baud, ..Serial::DEFAULT });
        assert!(timing.late_window > timing.answer_window, "{baud} Bd");
        assert!(timing.late_window < Duration::from_secs(3), "{baud} Bd: it is to be read again soon");
    }
    assert_eq!(meter().timing(&Serial::DEFAULT).late_window, Duration::from_micros(1_137_500));
}

const SELECT: [u8; 17] =
    [0x68, 0x0B, 0x0B, 0x68, 0x53, 0xFD, 0x52, 0x78, 0x56, 0x34, 0x12, 0x93, 0x15, 0x0A, 0x07, 0x6F, 0x16];
const LET_GO: [u8; 5] = [0x10, 0x40, 0xFD, 0x3D, 0x16];
const ASK_SELECTED: [u8; 5] = [0x10, 0x7B, 0xFD, 0x78, 0x16];
const ASK_SELECTED_ON: [u8; 5] = [0x10, 0x5B, 0xFD, 0x58, 0x16];

fn selected_meter() -> Mbus {
    Mbus::new(Address::secondary("12345678.ELS.0A.07".parse().unwrap()), Options::default())
}

#[tokio::test]
async fn a_meter_with_a_secondary_address_is_selected_for_each_read_and_let_go() {
    let mut line = ScriptedLine::new().expect(&LET_GO, &[]);
    for answer in [telegram_from(17, 0x78, 1, &[]), telegram_from(253, 0x78, 2, &[])] {
        line = line.expect(&SELECT, &ACK).expect(&ASK_SELECTED, &answer).expect(&LET_GO, &ACK);
    }
    let mut meter = selected_meter();
    assert_eq!(litres(&meter.read(&mut line).await.unwrap()), [1]);
    assert_eq!(litres(&meter.read(&mut line).await.unwrap()), [2]);
    assert!(line.is_finished());
    let load: Vec<_> = meter.load().iter().map(|load| (load.request, load.typical_answer)).collect();
    assert_eq!(load, [(17, 1), (5, 66), (5, 1)]);
}

#[tokio::test]
async fn a_farewell_that_is_not_answered_is_not_said_again() {
    let mut line = ScriptedLine::new()
        .expect(&LET_GO, &[])
        .expect(&SELECT, &ACK)
        .expect(&ASK_SELECTED, &telegram(1))
        .expect(&LET_GO, &[])
        .expect(&SELECT, &ACK)
        .expect(&ASK_SELECTED, &telegram(2));
    let mut meter = selected_meter();
    assert_eq!(litres(&meter.read(&mut line).await.unwrap()), [1]);
    assert_eq!(litres(&meter.read(&mut line).await.unwrap()), [2]);
    assert!(line.is_finished());
}

#[tokio::test]
async fn an_answer_of_another_meter_than_the_selected_one_is_none() {
    // Number, manufacturer, version, medium: one of them differs.
    for index in [7, 11, 13, 14] {
        let mut other = telegram(66);
        other[index] ^= 1;
        let last = other.len() - 2;
        other[last] = other[4..last].iter().fold(0, |sum, byte| sum.wrapping_add(*byte));
        let mut line = ScriptedLine::new()
            .expect(&LET_GO, &[])
            .expect(&SELECT, &ACK)
            .expect(&ASK_SELECTED, &other)
            .expect(&LET_GO, &ACK)
            .expect(&SELECT, &ACK)
            .expect(&ASK_SELECTED, &[other, telegram(1)].concat())
            .expect(&LET_GO, &ACK);
        let mut meter = selected_meter();
        let fault = meter.read(&mut line).await.unwrap_err();
        assert_eq!(fault.name(), "garbled", "{fault}");
        assert_eq!(litres(&meter.read(&mut line).await.unwrap()), [1]);
        assert!(line.is_finished());
    }
}

#[tokio::test]
async fn the_telegrams_of_a_selected_meter_are_read_with_the_bit_toggling_and_each_read_begins_with_1() {
    let mut line = ScriptedLine::new().expect(&LET_GO, &[]);
    for litres in [1, 3] {
        line = line
            .expect(&SELECT, &ACK)
            .expect(&ASK_SELECTED, &announcing(litres))
            .expect(&ASK_SELECTED_ON, &telegram(litres + 1))
            .expect(&LET_GO, &ACK);
    }
    let mut meter = selected_meter();
    assert_eq!(litres(&meter.read(&mut line).await.unwrap()), [1, 2]);
    assert_eq!(litres(&meter.read(&mut line).await.unwrap()), [3, 4]);
    assert!(line.is_finished());
}

#[tokio::test]
async fn a_selection_that_nobody_acknowledges_is_silence_and_the_next_read_lets_all_go_first() {
    let mut line = ScriptedLine::new();
    for _ in 0..2 {
        line = line.expect(&LET_GO, &[]).expect(&SELECT, &[]);
    }
    let mut meter = selected_meter();
    for _ in 0..2 {
        assert_eq!(meter.read(&mut line).await.unwrap_err().name(), "silent");
    }
    assert!(line.is_finished());
}
