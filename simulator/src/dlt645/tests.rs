//! Frames against the worked ones of the project's protocol sheet.

use jiff::civil::date;

use super::*;
use crate::Fault;

fn hex(text: &str) -> Vec<u8> {
    text.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
}

fn at(volume: u64, clock: DateTime) -> Snapshot {
    Snapshot {
        serial: 1,
        volume,
        due_volume: 0,
        flow_l_per_h: 100,
        clock,
        low_battery: false,
        valve_fault: None,
        now: date(2026, 11, 23).at(12, 0, 0, 0),
    }
}

fn noon() -> DateTime {
    date(2026, 11, 23).at(12, 0, 0, 0)
}

fn slave(digits: &str, preamble: u8) -> Slave {
    Slave::new(address_of(digits).unwrap(), preamble)
}

fn ask(slave: &mut Slave, frame: &[u8], snapshot: &Snapshot) -> Option<Vec<u8>> {
    let whole = Recognition::Frame { protocol: Protocol::Dlt645, len: frame.len() };
    assert_eq!(recognise(frame), whole);
    slave.concerned_by(frame).then(|| slave.hear(frame, snapshot)).flatten().map(|answer| answer.bytes)
}

/// A request to the meter 000000000161 with these data before the offset.
fn to_meter(c: u8, data: &str) -> Vec<u8> {
    slave("000000000161", 0).frame(c, &hex(data))
}

/// C and data of the answer, offset taken off.
fn told(slave: &mut Slave, c: u8, data: &str, snapshot: &Snapshot) -> (u8, Vec<u8>) {
    let parts = parts(&ask(slave, &to_meter(c, data), snapshot).unwrap()).unwrap();
    (parts.c, parts.data)
}

#[test]
fn the_worked_reads_get_the_worked_answers() {
    let read = hex("68 61 01 00 00 00 00 68 11 04 33 33 34 33 14 16");
    let answer = hex("68 61 01 00 00 00 00 68 91 08 33 33 34 33 59 33 33 33 8A 16");
    assert_eq!(ask(&mut slave("000000000161", 0), &read, &at(26, noon())).unwrap(), answer);

    let anybody = hex("FE FE FE FE 68 AA AA AA AA AA AA 68 13 00 DF 16");
    let answer = hex("FE FE FE FE 68 94 41 03 26 12 18 68 93 06 C7 74 36 59 45 4B EB 16");
    assert_eq!(ask(&mut slave("181226034194", 4), &anybody, &at(0, noon())).unwrap(), answer);
}

#[test]
fn a_block_comes_in_three_frames() {
    let (mut slave, now) = (slave("000000000161", 0), at(1000, noon()));
    assert_eq!(
        told(&mut slave, 0x11, "00 FF 01 00", &now),
        (0xB1, hex("00 FF 01 00 00 10 00 00 00 01 00 00"))
    );
    assert_eq!(
        told(&mut slave, 0x12, "00 FF 01 00 01", &now),
        (0xB2, hex("00 FF 01 00 00 02 00 00 00 03 00 00 01"))
    );
    assert_eq!(told(&mut slave, 0x12, "00 FF 01 00 02", &now), (0x92, hex("00 FF 01 00 00 04 00 00 02")));
    assert_eq!(told(&mut slave, 0x12, "00 FF 01 00 03", &now), (0xD2, hex("02")));
}

#[test]
fn the_worked_relay_orders_are_obeyed_refused_or_too_late() {
    let worked = hex("68 98 99 21 00 00 00 68 1C 10 35 33 33 33 63 63 63 63 4D 33 33 33 33 33 33 33 5A 16");
    let mut relay = slave("000000219998", 0);
    assert_eq!(ask(&mut relay, &worked, &at(0, noon())).unwrap()[8..10], [0x9C, 0x00]);
    assert!(relay.relay_open);
    let wrong_password =
        hex("68 61 10 01 30 12 15 68 1C 10 35 6A 39 35 34 33 33 33 4E 33 33 33 33 63 45 CC 2D 16");
    let refused = ask(&mut slave("151230011061", 0), &wrong_password, &at(0, noon())).unwrap();
    assert_eq!(refused[8..11], [0xDC, 0x01, 0x37]);

    let order = |expiry| format!("02 00 00 00 00 00 00 00 1A 00 {expiry}");
    let mut slave = slave("000000000161", 0);
    let now = at(0, noon());
    assert_eq!(told(&mut slave, 0x1C, &order("59 59 11 23 11 26"), &now), (0xDC, vec![OTHER_ERROR]));
    assert_eq!(told(&mut slave, 0x11, "03 05 00 04", &now), (0x91, hex("03 05 00 04 00 00")));
    assert_eq!(told(&mut slave, 0x1C, &order("00 05 12 23 11 26"), &now), (0x9C, vec![]));
    assert_eq!(told(&mut slave, 0x11, "03 05 00 04", &now), (0x91, hex("03 05 00 04 10 00")));
}

#[test]
fn a_stuck_relay_takes_the_order_and_stays() {
    let mut slave = slave("000000000161", 0);
    let stuck = Snapshot { valve_fault: Some(Fault::StuckValve), ..at(0, noon()) };
    let trip = "02 00 00 00 00 00 00 00 1A 00 00 00 00 00 00 00";
    assert_eq!(told(&mut slave, 0x1C, trip, &stuck), (0x9C, vec![]));
    assert_eq!(told(&mut slave, 0x11, "03 05 00 04", &stuck), (0x91, hex("03 05 00 04 00 00")));
}

#[test]
fn what_it_does_not_know_gets_an_error_and_a_shortened_address_the_whole_one() {
    let (mut slave, now) = (slave("000000000161", 0), at(0, noon()));
    assert_eq!(told(&mut slave, 0x11, "01 02 03 04", &now), (0xD1, vec![NO_SUCH_DATA]));
    assert_eq!(told(&mut slave, 0x14, "01", &now), (0xD4, vec![OTHER_ERROR]));
    let short = Slave::new([0x61, 0xAA, 0xAA, 0xAA, 0xAA, 0xAA], 0).frame(0x11, &hex("00 00 01 00"));
    assert_eq!(ask(&mut slave, &short, &now).unwrap()[1..7], slave.address);
    let all = Slave::new([0x99; 6], 0).frame(0x08, &[]);
    assert_eq!(ask(&mut slave, &all, &now), None);
    let other = Slave::new([0x62, 0, 0, 0, 0, 0], 0).frame(0x11, &hex("00 00 01 00"));
    assert_eq!(ask(&mut slave, &other, &now), None);
}
