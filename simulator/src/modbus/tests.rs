//! Frames against the examples of the specifications and against the maps in the docs.

use jiff::civil::date;

use super::*;
use crate::Fault;

fn snapshot() -> Snapshot {
    Snapshot {
        serial: 12_345_678,
        volume: 545,
        due_volume: 500_000,
        flow_l_per_h: 640,
        clock: date(2026, 11, 23).at(14, 5, 9, 0),
        low_battery: false,
        valve_fault: None,
        now: date(2026, 11, 23).at(12, 0, 0, 0),
    }
}

fn rtu(model: Model) -> Slave {
    Slave::new(17, model, ModbusFraming::Rtu)
}

/// The PDU of the answer to a PDU on RTU, after its CRC has been checked.
fn ask(slave: &mut Slave, pdu: &[u8]) -> Vec<u8> {
    ask_with(slave, pdu, &snapshot())
}

fn ask_with(slave: &mut Slave, pdu: &[u8], snapshot: &Snapshot) -> Vec<u8> {
    let frame = frame_around(None, 17, pdu);
    assert!(slave.concerned_by(&frame));
    let answer = slave.hear(&frame, snapshot).unwrap().bytes;
    assert_eq!(crc(&answer), 0);
    assert_eq!(answer[0], 17);
    answer[1..answer.len() - 2].to_vec()
}

#[test]
fn the_crc_is_that_of_a_published_frame() {
    // Read 2 holding registers from 0 of unit 1: the frame in every Modbus primer.
    assert_eq!(crc(&[0x01, 0x03, 0x00, 0x00, 0x00, 0x02]).to_le_bytes(), [0xC4, 0x0B]);
    assert_eq!(crc(&[0x01, 0x03, 0x00, 0x00, 0x00, 0x02, 0xC4, 0x0B]), 0);
}

#[test]
fn the_published_float_of_the_xintai_meter_comes_out_low_byte_first() {
    // Published is 1E 85 0B 3F for 0.545, cut off; the nearest float ends in 1F.
    assert_eq!(ask(&mut rtu(Model::Xintai), &[3, 0, 1, 0, 2]), [3, 4, 0x1F, 0x85, 0x0B, 0x3F]);
}

#[test]
fn word_orders_are_those_of_the_tables() {
    let big = Snapshot { volume: 0x0102_0304, ..snapshot() };
    assert_eq!(ask_with(&mut rtu(Model::Ultrasonic), &[4, 0, 0, 0, 2], &big), [4, 4, 1, 2, 3, 4]);
    assert_eq!(ask_with(&mut rtu(Model::Bove), &[3, 0, 7, 0, 2], &big), [3, 4, 3, 4, 1, 2]);
    assert_eq!(
        ask_with(&mut rtu(Model::Bove), &[3, 0, 33, 0, 2], &big),
        [3, 4, 0x56, 0x78, 0x12, 0x34],
        "serial number as BCD, low word first"
    );
    assert_eq!(
        ask_with(&mut rtu(Model::Xintai), &[3, 0, 0x12, 0, 8], &big),
        [3, 16, 0, 0, 0, 0, 0x12, 0x34, 0x56, 0x78, 0x20, 0x26, 0x11, 0x23, 0x14, 0x05, 0x09, 0x00]
    );
    assert_eq!(ask_with(&mut rtu(Model::Bench), &[3, 0, 0, 0, 20], &big).len(), 42);
}

#[test]
fn only_reading_the_first_word_of_the_volume_counts_as_saying_it() {
    let mut slave = rtu(Model::Bove);
    let mut said = |address: u8, count: u8| {
        let frame = frame_around(None, 17, &[3, 0, address, 0, count]);
        slave.hear(&frame, &snapshot()).unwrap().register
    };
    assert_eq!(said(7, 2), RegisterSaid::Anew);
    assert_eq!(said(0, 38), RegisterSaid::Anew);
    assert_eq!(said(8, 2), RegisterSaid::No);
    assert_eq!(said(33, 2), RegisterSaid::No);
}

#[test]
fn what_cannot_be_gets_the_exception_the_specification_asks_for() {
    let mut ultrasonic = rtu(Model::Ultrasonic);
    let mut xintai = rtu(Model::Xintai);
    assert_eq!(ask(&mut ultrasonic, &[1, 0, 0, 0, 1]), [0x81, 1], "coils");
    assert_eq!(ask(&mut ultrasonic, &[0x2B, 14, 1, 0]), [0xAB, 1], "unknown function");
    assert_eq!(ask(&mut ultrasonic, &[6, 0, 0, 0, 1]), [0x86, 1], "nothing to write");
    assert_eq!(ask(&mut xintai, &[4, 0, 0, 0, 1]), [0x84, 1], "has holding registers only");
    assert_eq!(ask(&mut ultrasonic, &[3, 0, 17, 0, 2]), [0x83, 2], "beyond the end");
    assert_eq!(ask(&mut ultrasonic, &[3, 0xFF, 0xFF, 0, 125]), [0x83, 2]);
    assert_eq!(ask(&mut ultrasonic, &[3, 0, 0, 0, 0]), [0x83, 3], "no register at all");
    assert_eq!(ask(&mut ultrasonic, &[3, 0, 0, 0, 126]), [0x83, 3], "too many");
    assert_eq!(ask(&mut xintai, &[6, 0, 1, 0, 1]), [0x86, 2], "not writable");
    assert_eq!(ask(&mut xintai, &[6, 0, 0x1C, 0, 3]), [0x86, 3], "no valve position");
    assert_eq!(ask(&mut xintai, &[16, 0, 0x1C, 0, 1, 4, 0, 1, 0, 1]), [0x90, 3], "length does not fit");
}

#[test]
fn the_valve_moves_by_either_write_and_reads_back() {
    let mut slave = rtu(Model::Xintai);
    let read_back = [3, 0, 0x1C, 0, 1];
    assert_eq!(ask(&mut slave, &read_back), [3, 2, 0, 1]);
    assert_eq!(ask(&mut slave, &[6, 0, 0x1C, 0, 2]), [6, 0, 0x1C, 0, 2]);
    assert_eq!(ask(&mut slave, &read_back), [3, 2, 0, 2]);
    assert_eq!(ask(&mut slave, &[16, 0, 0x1C, 0, 1, 2, 0, 1]), [16, 0, 0x1C, 0, 1]);
    assert_eq!(ask(&mut slave, &read_back), [3, 2, 0, 1]);
    let stuck = Snapshot { valve_fault: Some(Fault::StuckValve), low_battery: true, ..snapshot() };
    assert_eq!(ask_with(&mut slave, &[6, 0, 0x1C, 0, 2], &stuck), [6, 0, 0x1C, 0, 2], "acknowledged");
    assert_eq!(ask_with(&mut slave, &read_back, &stuck), [3, 2, 0, 9], "still open, battery low");
}

#[test]
fn a_valve_on_its_way_is_neither_open_nor_closed() {
    let mut slave = rtu(Model::Xintai).with_valve(Valve::new(Duration::from_millis(1500)));
    let after = |milliseconds| {
        let now = snapshot().now.saturating_add(jiff::SignedDuration::from_millis(milliseconds));
        Snapshot { now, ..snapshot() }
    };
    assert_eq!(ask_with(&mut slave, &[6, 0, 0x1C, 0, 2], &after(0)), [6, 0, 0x1C, 0, 2]);
    let read_back = [3, 0, 0x1C, 0, 1];
    assert_eq!(ask_with(&mut slave, &read_back, &after(1499)), [3, 2, 0, 0]);
    assert_eq!(ask_with(&mut slave, &read_back, &after(1500)), [3, 2, 0, 2]);
    let faulty = Snapshot { valve_fault: Some(Fault::ValveFault), ..after(1500) };
    assert_eq!(ask_with(&mut slave, &read_back, &faulty), [3, 2, 0, 4]);
    assert_eq!(ask(&mut slave, &[6, 0, 0x1C, 0, 3]), [0x86, 3]);
    assert_eq!(slave.obeyed.valve, 1, "a value that is none is not obeyed");
}

#[test]
fn a_tariff_is_kept_whole_but_for_a_day_that_not_every_month_has() {
    let mut slave = rtu(Model::Tariff);
    let table = [0, 0, 1, 0x59, 0, 0, 0, 220, 0, 0, 2, 0, 0x07, 0xEB, 0, 1, 0];
    let write = |day: u8| [&[16, 0, 16, 0, 9, 18][..], &table, &[day]].concat();
    assert_eq!(ask(&mut slave, &write(28)), [16, 0, 16, 0, 9]);
    assert_eq!(ask(&mut slave, &write(31)), [16, 0, 16, 0, 9]);
    assert_eq!(ask(&mut slave, &[3, 0, 16, 0, 9]), [&[3, 18][..], &table, &[28]].concat());
    assert_eq!(ask(&mut slave, &[16, 0, 16, 0, 1, 2, 0, 1]), [0x90, 2], "a part of it");
    let elsewhere = [&[16, 0, 15, 0, 9, 18][..], &table, &[1]].concat();
    assert_eq!(ask(&mut slave, &elsewhere), [0x90, 2]);
    assert_eq!(ask(&mut slave, &[6, 0, 16, 0, 1]), [0x86, 1]);
    assert_eq!(slave.obeyed.tariff, 2);
}

#[test]
fn a_broadcast_is_obeyed_and_not_answered() {
    let mut slave = rtu(Model::Xintai);
    let close = frame_around(None, 0, &[6, 0, 0x1C, 0, 2]);
    assert!(slave.concerned_by(&close));
    assert_eq!(slave.hear(&close, &snapshot()), None);
    assert_eq!((ask(&mut slave, &[3, 0, 0x1C, 0, 1]), slave.obeyed.valve), (vec![3, 2, 0, 2], 1));
}

#[test]
fn tcp_keeps_the_transaction_and_reaches_a_lone_meter_by_units_0_and_255() {
    let request = |unit| [0x12, 0x34, 0, 0, 0, 6, unit, 3, 0, 0, 0, 2];
    assert_eq!(recognise_tcp(&request(1)), Recognition::Frame { protocol: Protocol::Modbus, len: 12 });
    assert_eq!(recognise_tcp(&request(1)[..9]), Recognition::Incomplete);
    assert_eq!(recognise_tcp(&[0x12, 0x34, 0, 1, 0, 6, 1]), Recognition::Garbage);
    assert_eq!(recognise_tcp(&[0x12, 0x34, 0, 0, 1, 6, 1]), Recognition::Garbage);
    let mut slave = Slave::new(17, Model::Ultrasonic, ModbusFraming::Tcp);
    let answer = slave.hear(&request(17), &snapshot()).unwrap().bytes;
    assert_eq!(answer, [0x12, 0x34, 0, 0, 0, 7, 17, 3, 4, 0, 0, 0x02, 0x21]);
    assert!(!slave.concerned_by(&request(255)));
    slave.set_alone();
    assert!(slave.concerned_by(&request(255)) && slave.concerned_by(&request(0)));
    assert!(!slave.concerned_by(&request(18)));
}

#[test]
fn rtu_frames_are_recognised_by_function_length_and_crc() {
    let whole = |len| Recognition::Frame { protocol: Protocol::Modbus, len };
    let read = frame_around(None, 1, &[3, 0, 0, 0, 2]);
    assert_eq!(recognise_rtu(&read), whole(8));
    assert_eq!(recognise_rtu(&read[..7]), Recognition::Incomplete);
    assert_eq!(recognise_rtu(&[&read[..], &[0xFF]].concat()), whole(8));
    let write = frame_around(None, 1, &[16, 0, 0, 0, 1, 2, 0, 1]);
    assert_eq!(recognise_rtu(&write), whole(11));
    let mut damaged = read;
    damaged[3] ^= 1;
    assert_eq!(recognise_rtu(&damaged), Recognition::Garbage);
    assert_eq!(recognise_rtu(&frame_around(None, 1, &[0x2B, 14, 1, 0])), whole(7), "unknown function");
}

#[test]
fn litres_as_float_are_the_nearest_float() {
    assert_eq!(litres_as_float(545), 0.545);
    assert_eq!(litres_as_float(9_999_999).to_string(), "9999.999");
}
