//! Telegrams against bytes worked out by hand from EN 13757-3, and the link layer's habits.

use jiff::civil::date;

use super::*;

fn snapshot() -> Snapshot {
    Snapshot {
        serial: 12_345_678,
        volume: 1_234_567,
        due_volume: 1_200_000,
        flow_l_per_h: 640,
        clock: date(2026, 11, 23).at(14, 5, 9, 0),
        low_battery: false,
        valve_fault: None,
        now: date(2026, 11, 23).at(12, 0, 0, 0),
    }
}

fn short_frame(c: u8, a: u8) -> [u8; 5] {
    [0x10, c, a, c.wrapping_add(a), 0x16]
}

fn slave(model: Model) -> Slave {
    Slave::new(5, manufacturer_code("SIM").unwrap(), VERSION, model)
}

fn ask(slave: &mut Slave, frame: &[u8]) -> Option<Answer> {
    slave.concerned_by(frame).then(|| slave.hear(frame, &snapshot())).flatten()
}

#[test]
fn a_manufacturer_is_packed_as_in_the_standard() {
    // (ASCII - 64) of S, I, M = 19, 9, 13: 19 * 1024 + 9 * 32 + 13 = 0x4D2D.
    assert_eq!(manufacturer_code("SIM"), Ok([0x2D, 0x4D]));
    // ELS, the example used with the DLMS manufacturer list.
    assert_eq!(manufacturer_code("ELS"), Ok([0x93, 0x15]));
    assert!(manufacturer_code("Els").is_err());
    assert!(manufacturer_code("ELSE").is_err());
}

#[test]
fn the_typical_telegram_is_66_bytes_and_each_of_them_is_as_worked_out() {
    let answer = ask(&mut slave(Model::Typical), &short_frame(0x7B, 5)).unwrap();
    #[rustfmt::skip]
    let worked_out = [
        0x68, 0x3C, 0x3C, 0x68, 0x08, 0x05, 0x72,
        0x78, 0x56, 0x34, 0x12, 0x2D, 0x4D, 0x01, 0x16, 0x00, 0x00, 0x00, 0x00,
        0x0C, 0x78, 0x78, 0x56, 0x34, 0x12,
        0x0C, 0x13, 0x67, 0x45, 0x23, 0x01,
        0x04, 0x6D, 0x05, 0x0E, 0x57, 0x3B, // 14:05, day 23, month 11, year 26 = 0b011_010
        0x42, 0x6C, 0x3F, 0x3C,             // day 31, month 12, year 25 = 0b011_001
        0x4C, 0x13, 0x00, 0x00, 0x20, 0x01,
        0x0B, 0x3B, 0x40, 0x06, 0x00,
        0x02, 0xFD, 0x17, 0x00, 0x00,
        0x0D, 0xFD, 0x0C, 0x03, b'M', b'I', b'S',
    ];
    let (telegram, tail) = answer.bytes.split_at(worked_out.len());
    assert_eq!(telegram, worked_out);
    let sum = worked_out[4..].iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
    assert_eq!(tail, [sum, 0x16]);
    assert_eq!(answer.bytes.len(), 66);
    assert_eq!(answer.register, RegisterSaid::Anew);
}

#[test]
fn every_model_has_the_length_its_table_says_and_is_a_whole_frame() {
    for (model, lengths) in [
        (Model::Short, &[39][..]),
        (Model::Typical, &[66]),
        (Model::Warm, &[66]),
        (Model::Long, &[120]),
        (Model::TwoTelegrams, &[50, 74]),
    ] {
        let mut slave = slave(model);
        for (index, length) in lengths.iter().enumerate() {
            let c = if index % 2 == 0 { 0x7B } else { 0x5B };
            let answer = ask(&mut slave, &short_frame(c, 5)).unwrap();
            assert_eq!(answer.bytes.len(), *length, "{model:?}");
            let whole = Recognition::Frame { protocol: Protocol::Mbus, len: *length };
            assert_eq!(recognise(&answer.bytes), whole, "{model:?}");
        }
    }
}

#[test]
fn warm_water_says_so_and_a_low_battery_too() {
    let mut slave = slave(Model::Warm);
    let sick = Snapshot { low_battery: true, ..snapshot() };
    let answer = slave.hear(&short_frame(0x7B, 5), &sick).unwrap();
    assert_eq!((answer.bytes[14], answer.bytes[16]), (0x06, 0x04), "medium and status");
}

#[test]
fn the_same_frame_count_bit_gets_the_same_telegram_and_a_reset_a_new_one() {
    let mut slave = slave(Model::Typical);
    assert_eq!(ask(&mut slave, &short_frame(0x40, 5)).unwrap().bytes, [0xE5]);
    let first = ask(&mut slave, &short_frame(0x7B, 5)).unwrap();
    let again = ask(&mut slave, &short_frame(0x7B, 5)).unwrap();
    assert_eq!((&again.bytes, again.register), (&first.bytes, RegisterSaid::Again));
    let next = ask(&mut slave, &short_frame(0x5B, 5)).unwrap();
    assert_eq!(next.bytes[15], first.bytes[15] + 1, "access number");
    assert_eq!(next.register, RegisterSaid::Anew);
    ask(&mut slave, &short_frame(0x40, 5));
    assert_eq!(ask(&mut slave, &short_frame(0x5B, 5)).unwrap().register, RegisterSaid::Anew);
}

#[test]
fn more_follows_until_the_last_telegram_and_only_the_first_carries_the_register() {
    let mut slave = slave(Model::TwoTelegrams);
    let first = ask(&mut slave, &short_frame(0x7B, 5)).unwrap();
    assert_eq!(first.bytes[first.bytes.len() - 3], 0x1F);
    let second = ask(&mut slave, &short_frame(0x5B, 5)).unwrap();
    assert_eq!(second.register, RegisterSaid::No);
    assert_ne!(second.bytes[second.bytes.len() - 3], 0x1F);
    let second_again = ask(&mut slave, &short_frame(0x5B, 5)).unwrap();
    assert_eq!(second_again, second, "a repeated second telegram is no reading either");
    assert_eq!(ask(&mut slave, &short_frame(0x7B, 5)).unwrap().register, RegisterSaid::Anew);
    ask(&mut slave, &short_frame(0x40, 5));
    assert_eq!(ask(&mut slave, &short_frame(0x7B, 5)).unwrap().register, RegisterSaid::Anew, "starts anew");
}

#[test]
fn addresses_253_254_and_255_mean_what_the_standard_says() {
    let mut slave = slave(Model::Short);
    assert_eq!(ask(&mut slave, &short_frame(0x7B, 6)), None);
    assert_eq!(ask(&mut slave, &short_frame(0x7B, 253)), None, "not selected");
    assert_eq!(ask(&mut slave, &short_frame(0x7B, 254)).unwrap().bytes[5], 5, "says its own address");
    assert_eq!(ask(&mut slave, &short_frame(0x40, 255)), None, "obeys and keeps still");
    assert_eq!(ask(&mut slave, &short_frame(0x7B, 5)).unwrap().register, RegisterSaid::Anew, "it did obey");
}

#[test]
fn a_secondary_address_selects_with_wildcards_and_another_deselects() {
    let mut slave = slave(Model::Short);
    let select = |id: [u8; 4], rest: [u8; 4]| {
        let body = [&[0x73, 253, 0x52][..], &id, &rest].concat();
        long_frame(&body)
    };
    let any = [0xFF; 4];
    assert!(ask(&mut slave, &select([0x78, 0x56, 0x34, 0x12], any)).is_some());
    assert_eq!(ask(&mut slave, &short_frame(0x7B, 253)).unwrap().bytes[5], 5);
    assert!(ask(&mut slave, &select([0x79, 0x56, 0x34, 0x12], any)).is_none());
    assert!(ask(&mut slave, &short_frame(0x7B, 253)).is_none(), "deselected by the other's address");
    assert!(ask(&mut slave, &select([0xFF, 0xFF, 0xF4, 0x1F], [0x2D, 0x4D, 0xFF, 0x16])).is_some());
    assert!(ask(&mut slave, &select(any, [0x2D, 0x4E, 0xFF, 0xFF])).is_none(), "another manufacturer");
    assert!(ask(&mut slave, &select([0xFF; 4], [0xFF; 4])[..]).is_some());
    assert!(ask(&mut slave, &short_frame(0x40, 253)).is_some());
    assert!(ask(&mut slave, &short_frame(0x7B, 253)).is_none(), "deselected by SND_NKE");
}

#[test]
fn bytes_are_recognised_by_start_length_and_checksum() {
    assert_eq!(recognise(&[0x10, 0x5B, 0x05]), Recognition::Incomplete);
    assert_eq!(recognise(&[0x10, 0x5B, 0x05, 0x61, 0x16]), Recognition::Garbage);
    assert_eq!(recognise(&[0x68, 0x03, 0x03, 0x68, 0x53]), Recognition::Incomplete);
    assert_eq!(recognise(&[0x68, 0x03, 0x04]), Recognition::Garbage);
    assert_eq!(recognise(&[0xE5]), Recognition::Garbage);
}

fn order(a: u8, ci: u8, data: &[u8]) -> Vec<u8> {
    long_frame(&[&[0x73, a, ci], data].concat())
}

#[test]
fn an_address_is_taken_once_it_is_acknowledged_and_none_above_250() {
    let mut slave = slave(Model::Short);
    assert_eq!(ask(&mut slave, &order(5, 0x51, &[0x01, 0x7A, 9])).unwrap().bytes, [ACKNOWLEDGE]);
    assert!(ask(&mut slave, &short_frame(0x40, 5)).is_none());
    assert_eq!(ask(&mut slave, &short_frame(0x7B, 9)).unwrap().bytes[5], 9);
    assert!(ask(&mut slave, &order(9, 0x51, &[0x01, 0x7A, 251])).is_some());
    assert!(ask(&mut slave, &short_frame(0x40, 9)).is_some());
}

#[test]
fn a_clock_is_set_by_types_f_and_i_and_runs_on_from_there() {
    let mut slave = slave(Model::Short);
    // 22:41, day 25, month 11, year 26.
    let clock = [41, 22, 25 | 2 << 5, 11 | 3 << 4];
    for data in [[&[0x04, 0x6D][..], &clock].concat(), [&[0x06, 0x6D, 17][..], &clock, &[0]].concat()] {
        ask(&mut slave, &short_frame(0x40, 5));
        ask(&mut slave, &order(5, 0x51, &data)).unwrap();
        let answer = ask(&mut slave, &short_frame(0x7B, 5)).unwrap().bytes;
        let at = answer.windows(2).position(|code| code == [0x04, 0x6D]).unwrap();
        assert_eq!(answer[at + 2..at + 6], clock);
    }
}

#[test]
fn a_speed_is_taken_after_the_acknowledgement_and_a_repeat_does_nothing_twice() {
    let mut slave = slave(Model::Short);
    let switch = order(5, 0xBD, &[]);
    assert_eq!(ask(&mut slave, &switch).unwrap().bytes, [ACKNOWLEDGE]);
    assert_eq!((slave.take_speed(), slave.take_speed()), (Some(9600), None));
    assert!(ask(&mut slave, &switch).is_some());
    assert_eq!(slave.take_speed(), None);
    ask(&mut slave, &short_frame(0x40, 5));
    ask(&mut slave, &switch);
    assert_eq!(slave.take_speed(), Some(9600));
}

#[test]
fn a_valve_obeys_each_frame_count_once_and_tells_its_position_in_the_last_record() {
    let mut slave = slave(Model::Valve).with_valve(Valve::new(Duration::from_secs(4)));
    let at = |seconds| {
        let now = snapshot().now.saturating_add(SignedDuration::from_secs(seconds));
        Snapshot { now, ..snapshot() }
    };
    let position = |slave: &mut Slave, seconds| {
        slave.hear(&short_frame(0x40, 5), &at(seconds));
        let bytes = slave.hear(&short_frame(0x7B, 5), &at(seconds)).unwrap().bytes;
        assert_eq!((bytes.len(), &bytes[64..67]), (70, &[0x01, 0xFD, 0x1A][..]));
        bytes[67]
    };
    assert_eq!(position(&mut slave, 0), 1);
    slave.hear(&short_frame(0x40, 5), &at(0));
    let close = long_frame(&[0x73, 5, 0x51, 0x01, 0xFD, 0x1A, 0x00]);
    for _ in 0..2 {
        assert_eq!(slave.hear(&close, &at(0)), Some(acknowledge()));
    }
    assert_eq!(slave.obeyed.valve, 1, "the line's repeat is none of its own");
    assert_eq!([position(&mut slave, 3), position(&mut slave, 4)], [2, 0]);
    let faulty = Snapshot { valve_fault: Some(crate::Fault::ValveFault), ..at(4) };
    slave.hear(&short_frame(0x40, 5), &faulty);
    assert_eq!(slave.hear(&short_frame(0x7B, 5), &faulty).unwrap().bytes[67], 3);
    let mut typical = self::slave(Model::Typical);
    ask(&mut typical, &close);
    assert_eq!(typical.obeyed.valve, 0, "it has no valve");
}
