//! Whole lines of meters without a wire: sharing, faults, chance, and hostile bytes.

use jiff::civil::date;
use proptest::prelude::*;

use super::*;
use crate::config::Plan;
use crate::{Config, LineConfig, MeterConfig};

const REQ_UD2: [u8; 5] = [0x10, 0x7B, 0x01, 0x7C, 0x16];
const REQ_UD2_TOGGLED: [u8; 5] = [0x10, 0x5B, 0x01, 0x5C, 0x16];
const READ_MODBUS: [u8; 8] = [0x01, 0x03, 0x00, 0x00, 0x00, 0x02, 0xC4, 0x0B];
const READ_CJT188: [u8; 16] =
    [0x68, 0x10, 0x44, 0x33, 0x22, 0x11, 0x00, 0x33, 0x78, 0x01, 0x03, 0x1F, 0x90, 0x00, 0x80, 0x16];
const READ_DLT645: [u8; 16] =
    [0x68, 0x61, 0x01, 0x00, 0x00, 0x00, 0x00, 0x68, 0x11, 0x04, 0x33, 0x33, 0x34, 0x33, 0x14, 0x16];

fn noon() -> DateTime {
    date(2026, 11, 23).at(12, 0, 0, 0)
}

fn bus_of(line: LineConfig, seed: u64) -> Bus {
    let plan = Plan::of(&Config { lines: vec![line], ..Config::default() }).unwrap();
    Bus::new(&plan.lines[0], seed)
}

fn four_meters() -> [MeterConfig; 4] {
    [
        MeterConfig::mbus("m").address(1),
        MeterConfig::modbus("r").address(1),
        MeterConfig { preamble_bytes: Some(2), ..MeterConfig::cjt188("c").address("78330011223344") },
        MeterConfig { preamble_bytes: Some(2), ..MeterConfig::dlt645("e").address("000000000161") },
    ]
}

/// A line with the four meters, all with this fault.
fn faulty(fault: Option<Fault>) -> Bus {
    let meters = four_meters().map(|meter| match fault {
        Some(fault) => meter.fault(fault),
        None => meter,
    });
    bus_of(LineConfig::memory("L").with(meters), 1)
}

fn requests() -> [(Protocol, &'static [u8]); 4] {
    [
        (Protocol::Mbus, &REQ_UD2),
        (Protocol::Modbus, &READ_MODBUS),
        (Protocol::Cjt188, &READ_CJT188),
        (Protocol::Dlt645, &READ_DLT645),
    ]
}

fn one_reply(bus: &mut Bus, (protocol, frame): (Protocol, &[u8])) -> Reply {
    let mut replies = bus.hear(protocol, frame, noon(), None);
    assert_eq!(replies.len(), 1);
    replies.remove(0)
}

/// Each protocol's faultless answer beside the one with the fault.
fn beside(fault: Fault) -> Vec<(Protocol, Reply, Reply)> {
    let (mut sound, mut faulty) = (faulty(None), faulty(Some(fault)));
    let pair =
        |request: (Protocol, _)| (request.0, one_reply(&mut sound, request), one_reply(&mut faulty, request));
    requests().into_iter().map(pair).collect()
}

fn is_whole(bus: &Bus, bytes: &[u8]) -> bool {
    matches!(bus.recognise(bytes), Recognition::Frame { len, .. } if len == bytes.len())
        || (bytes.len() > 4 && crate::modbus::crc(bytes) == 0)
}

#[test]
fn each_request_is_recognised_among_four_protocols_and_answered_by_the_right_meter() {
    let mut bus = faulty(None);
    for (protocol, frame) in requests() {
        for len in 1..frame.len() {
            assert_eq!(bus.recognise(&frame[..len]), Recognition::Incomplete, "{protocol:?} {len}");
        }
        assert_eq!(bus.recognise(frame), Recognition::Frame { protocol, len: frame.len() });
        let reply = one_reply(&mut bus, (protocol, frame));
        assert!(is_whole(&bus, &reply.bytes), "{protocol:?} {:02X?}", reply.bytes);
        assert!(reply.spoilt.is_none() && reply.said.is_some_and(|said| said.sequence == 1));
    }
}

#[test]
fn a_cjt188_number_that_looks_like_an_mbus_length_is_still_understood() {
    // 68 10 10 68 is how a long M-Bus frame of 16 bytes starts.
    let meter = MeterConfig::cjt188("c").address("78330000006810");
    let bus = bus_of(LineConfig::memory("L").with([MeterConfig::mbus("m"), meter]), 1);
    let mut frame = vec![0x68, 0x10, 0x10, 0x68, 0, 0, 0, 0x33, 0x78, 0x01, 0x03, 0x1F, 0x90, 0x00];
    frame.extend([crate::mbus::checksum(&frame), 0x16]);
    assert_eq!(bus.recognise(&frame), Recognition::Frame { protocol: Protocol::Cjt188, len: 16 });
}

#[test]
fn the_register_grows_with_every_new_answer_and_not_with_a_repeated_one() {
    let mut bus = faulty(None);
    let mut say = |frame: &[u8]| one_reply(&mut bus, (Protocol::Mbus, frame)).said.unwrap();
    let first = say(&REQ_UD2);
    let again = say(&REQ_UD2);
    let second = say(&REQ_UD2_TOGGLED);
    assert_eq!((again.sequence, &again.volume, again.repeated), (1, &first.volume, true));
    assert!(!first.repeated && !second.repeated);
    assert_eq!(second.sequence, 2);
    let number = |said: &Said| said.volume.parse::<rust_decimal::Decimal>().unwrap();
    assert!(number(&second) > number(&first));
    assert_eq!(first.volume.split_once('.').unwrap().1.len(), 3, "as many decimals as the model sends");
}

#[test]
fn the_first_answer_says_the_configured_volume() {
    let volume = |protocol, model: &str, volume: &str| {
        let meter = MeterConfig { volume: Some(volume.to_owned()), ..MeterConfig::new("m", protocol) };
        let meter = match protocol {
            Protocol::Cjt188 => meter.address("78330011223344"),
            Protocol::Dlt645 => meter.address("000000000161"),
            Protocol::Mbus | Protocol::Modbus => meter.address(1),
        };
        let mut bus = bus_of(LineConfig::memory("L").with([meter.model(model)]), 1);
        let (_, frame) = requests().into_iter().find(|(one, _)| *one == protocol).unwrap();
        let mut frame = frame.to_vec();
        if protocol == Protocol::Modbus {
            frame = vec![1, 3, 0, 0, 0, 20];
            frame.extend(crate::modbus::crc(&frame).to_le_bytes());
        }
        one_reply(&mut bus, (protocol, &frame)).said.unwrap().volume
    };
    assert_eq!(volume(Protocol::Mbus, "short", "12"), "12.0");
    assert_eq!(volume(Protocol::Mbus, "long", "12.3"), "12.30");
    assert_eq!(volume(Protocol::Mbus, "typical", "12.345"), "12.345");
    assert_eq!(volume(Protocol::Modbus, "bench", "0.001"), "0.001");
    assert_eq!(volume(Protocol::Modbus, "xintai", "12.340"), "12.34", "a float has no trailing zeros");
    assert_eq!(volume(Protocol::Cjt188, "cold", "999999.99"), "999999.99");
    assert_eq!(volume(Protocol::Dlt645, "single-phase", "317.76"), "317.76");
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_one_others() {
    let bytes = |seed| {
        let meters = four_meters().map(|meter| meter.fault(Fault::Noise));
        let mut bus = bus_of(LineConfig::memory("L").with(meters), seed);
        requests().map(|request| one_reply(&mut bus, request).bytes)
    };
    assert_eq!(bytes(5), bytes(5));
    assert_ne!(bytes(5), bytes(6));
}

#[test]
fn another_meter_on_the_line_does_not_change_ones_chances() {
    let alone = bus_of(LineConfig::memory("L").with([MeterConfig::mbus("m").address(1)]), 1);
    let among = faulty(None);
    assert_eq!(alone.meters()[0].latency(), among.meters()[0].latency());
}

#[test]
fn a_silent_or_dead_meter_says_nothing_and_its_register_stands_still() {
    let mut bus = faulty(Some(Fault::Silent));
    for (protocol, frame) in requests() {
        assert!(bus.hear(protocol, frame, noon(), None).is_empty());
    }
    bus.meters()[0].control().set_faults(Vec::new());
    bus.meters()[0].control().set_dead(true);
    assert!(bus.hear(Protocol::Mbus, &REQ_UD2, noon(), None).is_empty());
    bus.meters()[0].control().set_dead(false);
    assert_eq!(one_reply(&mut bus, (Protocol::Mbus, &REQ_UD2)).said.unwrap().sequence, 1);
}

#[test]
fn a_slow_meter_is_late_by_slow_ms_and_its_answer_is_sound() {
    for (_, sound, slow) in beside(Fault::Slow) {
        assert_eq!(slow.after, sound.after + Duration::from_secs(2));
        assert_eq!((slow.bytes, slow.spoilt), (sound.bytes, Some(Fault::Slow)));
    }
}

#[test]
fn noise_stands_before_the_answer_or_damages_it() {
    let (mut before, mut within) = (0, 0);
    let (mut sound, mut noisy) = (faulty(None), faulty(Some(Fault::Noise)));
    for round in 0..40 {
        for (protocol, frame) in requests() {
            // The frame count bit has to change for a new answer.
            let frame =
                if protocol == Protocol::Mbus && round % 2 == 1 { &REQ_UD2_TOGGLED[..] } else { frame };
            let good = one_reply(&mut sound, (protocol, frame)).bytes.len();
            let bad = one_reply(&mut noisy, (protocol, frame)).bytes;
            if bad.len() > good {
                assert!(is_whole(&sound, &bad[bad.len() - good..]), "sound after 1 to 4 stray bytes");
                before += 1;
            } else {
                assert!(bad.len() == good && !is_whole(&sound, &bad));
                within += 1;
            }
        }
    }
    assert!(before > 20 && within > 20, "{before} {within}");
}

#[test]
fn a_truncated_answer_is_a_beginning_of_the_sound_one() {
    for (_, sound, cut) in beside(Fault::Truncated) {
        assert!(!cut.bytes.is_empty() && cut.bytes.len() < sound.bytes.len());
        assert!(sound.bytes.starts_with(&cut.bytes));
    }
}

#[test]
fn a_wrong_checksum_differs_in_the_checksum_alone() {
    let bus = faulty(None);
    for (protocol, sound, wrong) in beside(Fault::WrongChecksum) {
        let differing: Vec<_> =
            (0..sound.bytes.len()).filter(|at| sound.bytes[*at] != wrong.bytes[*at]).collect();
        let last = sound.bytes.len() - 1;
        assert_eq!(differing, [if protocol == Protocol::Modbus { last } else { last - 1 }]);
        assert!(!is_whole(&bus, &wrong.bytes));
    }
}

#[test]
fn an_echoing_meter_has_the_request_sent_back() {
    for (_, sound, echo) in beside(Fault::Echo) {
        assert!(echo.echoed && !sound.echoed);
        assert_eq!(echo.bytes, sound.bytes);
    }
}

#[test]
fn a_collision_begins_like_the_answer_lasts_longer_and_is_no_frame() {
    let bus = faulty(None);
    for (_, sound, mixed) in beside(Fault::Collision) {
        let lag = mixed.bytes.len() - sound.bytes.len();
        assert!((1..=3).contains(&lag));
        assert_eq!(mixed.bytes[..lag], sound.bytes[..lag]);
        assert!(!is_whole(&bus, &mixed.bytes) && !is_whole(&bus, &mixed.bytes[..sound.bytes.len()]));
    }
}

#[test]
fn a_wrong_address_is_a_sound_answer_of_somebody_else() {
    let bus = faulty(None);
    for (protocol, sound, other) in beside(Fault::WrongAddress) {
        assert!(is_whole(&bus, &other.bytes));
        let address = match protocol {
            Protocol::Mbus => 5,
            Protocol::Modbus => 0,
            Protocol::Cjt188 => 4, // two FE, 68, type
            Protocol::Dlt645 => 3, // two FE, 68
        };
        assert_ne!(other.bytes[address], sound.bytes[address]);
        if protocol == Protocol::Mbus {
            assert_ne!(other.bytes[7], sound.bytes[7], "serial number");
        }
        assert_eq!(other.spoilt, Some(Fault::WrongAddress));
    }
}

#[test]
fn a_low_battery_shows_in_the_status() {
    for (protocol, sound, low) in beside(Fault::LowBattery) {
        let (at, bit) = match protocol {
            Protocol::Mbus => (16, 0x04),
            Protocol::Modbus => continue, // register 7, not asked for here
            Protocol::Cjt188 => (2 + 31, 0x04),
            Protocol::Dlt645 => continue, // it has none
        };
        assert_eq!((sound.bytes[at], low.bytes[at]), (0, bit), "{protocol:?}");
        assert_eq!(low.spoilt, None);
    }
    let status = [0x01, 0x03, 0x00, 0x07, 0x00, 0x01, 0x35, 0xCB];
    let reply = one_reply(&mut faulty(Some(Fault::LowBattery)), (Protocol::Modbus, &status));
    assert_eq!(reply.bytes[..5], [1, 3, 2, 0, 1]);
    assert!(reply.said.is_none(), "the volume was not asked for");
}

#[test]
fn a_clock_that_is_off_is_slow_by_the_documented_time() {
    for (protocol, sound, off) in beside(Fault::ClockOff) {
        if protocol == Protocol::Cjt188 {
            let clock = 2 + 24..2 + 31;
            assert_eq!(sound.bytes[clock.clone()], [0x00, 0x00, 0x12, 0x23, 0x11, 0x26, 0x20]);
            assert_eq!(off.bytes[clock], [0x00, 0x43, 0x10, 0x22, 0x11, 0x26, 0x20], "CLOCK_OFF_S before");
        } else if protocol == Protocol::Mbus {
            assert_ne!(sound.bytes, off.bytes);
        }
    }
}

#[test]
fn a_register_rolls_over_once_for_each_time_the_fault_is_set() {
    let mut bus = faulty(Some(Fault::RollOver));
    let say = |bus: &mut Bus| one_reply(bus, (Protocol::Cjt188, &READ_CJT188)).said.unwrap().volume;
    assert_eq!(say(&mut bus), "999999.99");
    let after = say(&mut bus);
    assert!(after.starts_with("0.0"), "{after}");
    assert_ne!(say(&mut bus), "999999.99");
    bus.meters()[2].control().set_faults(vec![Fault::RollOver.into()]);
    assert_eq!(say(&mut bus), "999999.99");
}

/// Closes the valve of the third meter.
fn closing() -> Vec<u8> {
    let body = [0x68, 0x10, 0x44, 0x33, 0x22, 0x11, 0x00, 0x33, 0x78, 0x04, 0x04, 0xA0, 0x17, 0x01, 0x99];
    [&body[..], &[crate::mbus::checksum(&body), 0x16]].concat()
}

#[test]
fn an_order_whose_answer_is_lost_is_obeyed_all_the_same() {
    let close = closing();
    for (fault, obeyed) in
        [(Fault::Mute, 1), (Fault::Truncated, 1), (Fault::StuckValve, 1), (Fault::Silent, 0)]
    {
        let mut bus = faulty(Some(fault));
        let replies = bus.hear(Protocol::Cjt188, &close, noon(), None);
        assert_eq!(replies.is_empty(), matches!(fault, Fault::Mute | Fault::Silent), "{fault:?}");
        assert_eq!(bus.meters()[2].control().obeyed().valve, obeyed, "{fault:?}");
    }
}

#[test]
fn a_meter_that_loses_its_answer_to_an_order_answers_what_else_it_is_asked_unless_it_is_mute_from_then_on() {
    let read = requests()[2];
    for (fault, answers_after) in [(Fault::OrdersUnanswered, true), (Fault::MuteOnceOrdered, false)] {
        let mut bus = faulty(Some(fault));
        let mut answers = |request: &[u8]| !bus.hear(Protocol::Cjt188, request, noon(), None).is_empty();
        assert!(answers(read.1), "{fault:?}");
        assert!(!answers(&closing()), "{fault:?}");
        assert_eq!(answers(read.1), answers_after, "{fault:?}");
        assert_eq!(bus.meters()[2].control().obeyed().valve, 1, "{fault:?}");
    }
}

#[test]
fn a_swapped_meter_answers_under_the_address_with_another_number() {
    let (mut sound, mut swapped) = (faulty(None), faulty(Some(Fault::Swapped)));
    let [mbus, _, cjt188, dlt645] = requests();
    let (first, second) = (one_reply(&mut sound, mbus).bytes, one_reply(&mut swapped, mbus).bytes);
    assert_eq!((first[5], first[7] + 1), (second[5], second[7]), "address and lowest digits of the number");
    let number = [0x01, 0x03, 0x00, 0x09, 0x00, 0x02, 0x14, 0x09];
    let of = |bus: &mut Bus| one_reply(bus, (Protocol::Modbus, &number)).bytes;
    let (first, second) = (of(&mut sound), of(&mut swapped));
    assert_eq!((first[0], first[6] + 1), (second[0], second[6]));
    for (protocol, frame) in [cjt188, dlt645] {
        assert!(swapped.hear(protocol, frame, noon(), None).is_empty(), "its address was its number");
    }
}

#[test]
fn a_stuck_valve_is_acknowledged_and_stays() {
    let body = [0x68, 0x10, 0x44, 0x33, 0x22, 0x11, 0x00, 0x33, 0x78, 0x04, 0x04, 0xA0, 0x17, 0x01, 0x99];
    let close = [&body[..], &[crate::mbus::checksum(&body), 0x16]].concat();
    let status = |fault| one_reply(&mut faulty(fault), (Protocol::Cjt188, &close)).bytes[2 + 14] & 0b11;
    assert_eq!((status(None), status(Some(Fault::StuckValve))), (0b01, 0b00));
}

#[test]
fn a_fault_strikes_about_as_often_as_it_should() {
    let mut bus = faulty(None);
    let rule = crate::FaultRule { fault: Fault::Silent, probability: 0.25 };
    bus.meters()[1].control().set_faults(vec![rule]);
    let answered =
        (0..1000).filter(|_| !bus.hear(Protocol::Modbus, &READ_MODBUS, noon(), None).is_empty()).count();
    assert!((700..800).contains(&answered), "{answered}");
}

#[test]
fn on_modbus_tcp_faults_never_touch_what_no_checksum_protects() {
    let read = [0, 9, 0, 0, 0, 6, 1, 3, 0, 0, 0, 2];
    let reply = |fault: Option<Fault>| {
        let meter = MeterConfig::modbus("r").address(1);
        let meter = fault.into_iter().fold(meter, MeterConfig::fault);
        let line = LineConfig { modbus: ModbusFraming::Tcp, ..LineConfig::memory("L") };
        one_reply(&mut bus_of(line.with([meter]), 3), (Protocol::Modbus, &read)).bytes
    };
    let sound = reply(None);
    assert_eq!(sound.len(), 13);
    assert_ne!(reply(Some(Fault::WrongChecksum))[..2], sound[..2], "transaction identifier");
    let collided = reply(Some(Fault::Collision));
    assert_eq!((collided[6], &collided[13..]), (2, &sound[..]), "another unit first, then the right one");
    let noisy = reply(Some(Fault::Noise));
    assert!(noisy.len() > 13 || (noisy[2..4] != [0, 0] && noisy[4..] == sound[4..]));
}

#[test]
fn a_meter_is_deaf_at_another_speed_only_where_the_line_is_strict() {
    let heard = |strict_baud, baud| {
        let line = LineConfig { strict_baud, ..LineConfig::pty("L", "/nowhere") };
        let mut bus = bus_of(line.with([MeterConfig::mbus("m").address(1)]), 1);
        !bus.hear(Protocol::Mbus, &REQ_UD2, noon(), Some(baud)).is_empty()
    };
    assert!(heard(true, 2400) && !heard(true, 9600) && heard(false, 9600));
}

proptest! {
    #[test]
    fn no_bytes_make_a_line_panic_or_wait_for_ever(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let mut bus = faulty(None);
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            match bus.recognise(rest) {
                Recognition::Frame { protocol, len } => {
                    prop_assert!(0 < len && len <= rest.len());
                    bus.hear(protocol, &rest[..len], noon(), None);
                    rest = &rest[len..];
                }
                Recognition::Incomplete => {
                    prop_assert!(rest.len() < REQUEST_BYTES_MAX);
                    break;
                }
                Recognition::Garbage => break,
            }
        }
    }

    #[test]
    fn any_content_in_a_sound_frame_is_answered_or_ignored(
        body in proptest::collection::vec(any::<u8>(), 3..120),
        fault in 0..3_usize,
    ) {
        let fault = [Fault::Collision, Fault::Noise, Fault::Truncated][fault];
        let mut bus = faulty(Some(fault));
        let sum = |bytes: &[u8]| [crate::mbus::checksum(bytes), 0x16];
        let len = u8::try_from(body.len()).unwrap();
        let long = [&[0x68, len, len, 0x68][..], &body, &sum(&body)].concat();
        let cjt188 = [&READ_CJT188[..9], &[body[0] & 0x3F, len - 1], &body[1..]].concat();
        let cjt188 = [&cjt188[..], &sum(&cjt188)].concat();
        let dlt645 = [&READ_DLT645[..8], &[body[0] & 0x1F, len - 1], &body[1..]].concat();
        let dlt645 = [&dlt645[..], &sum(&dlt645)].concat();
        let mut modbus = [&[1][..], &body].concat();
        modbus.extend(crate::modbus::crc(&modbus).to_le_bytes());
        for (protocol, frame) in
            [(Protocol::Mbus, long), (Protocol::Cjt188, cjt188), (Protocol::Modbus, modbus), (Protocol::Dlt645, dlt645)]
        {
            bus.recognise(&frame);
            for reply in bus.hear(protocol, &frame, noon(), None) {
                prop_assert!(reply.bytes.len() < 600);
            }
        }
    }
}
