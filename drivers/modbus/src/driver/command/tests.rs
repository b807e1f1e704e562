//! Orders on a scripted line, in both framings and by all three functions, and what is made of the answers.

use jiff::civil::{Date, date};
use tokio_modbus::client::Writer as _;
use tokio_modbus::prelude::Slave;
use weir_meter::Driver as _;
use weir_meter::scripted::ScriptedLine;
use weir_wire::Valve;

use super::*;

const OPEN: Order = Order::Valve(ValveOrder::Open);
const CLOSE: Order = Order::Valve(ValveOrder::Close);

fn profile(more: &str) -> Arc<Profile> {
    let text = format!("model = \"t\"\n[[value]]\nquantity = \"volume\"\nat = 1\ntype = \"u16\"\n{more}");
    Arc::new(Profile::parse(&text).unwrap())
}

const BY_REGISTER: &str = "
[valve]
function_code = 6
at = 0x1C
open = 1
close = 2
settle_ms = 20000
read_back = { at = 0x1C, bits = { 0 = \"valve:open\", 1 = \"valve:closed\", 2 = \"valve:fault\" } }
";

fn framed(body: &[u8]) -> Vec<u8> {
    [body, &rtu::crc(body).to_le_bytes()].concat()
}

fn rtu_meter(more: &str) -> Modbus {
    Modbus::new(0x11, Framing::Rtu, profile(more)).unwrap()
}

fn course(more: &str, order: &Order) -> Result<Course, Unsupported> {
    rtu_meter(more).course(order)
}

#[test]
fn a_valve_has_the_times_of_its_profile() {
    let of = |more: &str| {
        course(more, &CLOSE).map(|course| (course.travel, course.settle, course.unseen)).unwrap()
    };
    let seconds = Duration::from_secs;
    assert_eq!(of(BY_REGISTER), (seconds(2), seconds(20), None));
    let travel = BY_REGISTER.replace("settle_ms", "travel_ms = 5000\nsettle_ms");
    assert_eq!(of(&travel), (seconds(5), seconds(20), None));
}

#[tokio::test]
async fn a_valve_is_told_once_and_its_registers_are_read_afterwards() {
    let order = framed(&[0x11, 6, 0, 0x1C, 0, 2]);
    let mut line = ScriptedLine::new()
        .expect(&order, &order)
        .expect(&framed(&[0x11, 3, 0, 0x1C, 0, 1]), &framed(&[0x11, 3, 2, 0, 2]));
    let mut meter = rtu_meter(BY_REGISTER);
    assert_eq!(meter.carry_out(&mut line, &CLOSE).await, Ok(Observed::default()), "the echo shows nothing");
    assert_eq!(meter.observe(&mut line, &CLOSE).await.unwrap().valve, Some(Valve::Closed));
    assert!(line.is_finished());

    let mut silent = ScriptedLine::new();
    assert_eq!(meter.carry_out(&mut silent, &CLOSE).await.unwrap_err().name(), "silent");
    assert_eq!(silent.requests.len(), 1);
}

#[tokio::test]
async fn the_valve_is_where_its_bits_say_and_nowhere_while_it_moves() {
    for (bits, position) in [(1, Valve::Open), (2, Valve::Closed), (4, Valve::Fault), (0, Valve::Unknown)] {
        let mut line = ScriptedLine::new().answer(&framed(&[0x11, 3, 2, 0, bits]));
        let seen = rtu_meter(BY_REGISTER).observe(&mut line, &OPEN).await.unwrap();
        assert_eq!((seen.valve, seen.number), (Some(position), None));
    }
}

#[tokio::test]
async fn the_number_of_the_meter_is_read_with_its_valve() {
    let numbered = "\n[identity]\nnumber = { at = 0x12, type = \"bcd\", registers = 2 }\n";
    let mut line = ScriptedLine::new()
        .expect(&framed(&[0x11, 3, 0, 0x12, 0, 2]), &framed(&[0x11, 3, 4, 0x40, 0x00, 0x00, 0x07]))
        .expect(&framed(&[0x11, 3, 0, 0x1C, 0, 1]), &framed(&[0x11, 3, 2, 0, 1]));
    let mut meter = rtu_meter(&format!("{BY_REGISTER}{numbered}"));
    let seen = meter.observe(&mut line, &OPEN).await.unwrap();
    assert_eq!((seen.valve, seen.number.as_deref()), (Some(Valve::Open), Some("40000007")));
}

#[tokio::test]
async fn only_an_exception_before_anything_is_done_is_a_no() {
    for code in 1..=0x0B {
        let mut line = ScriptedLine::new().answer(&framed(&[0x11, 0x86, code]));
        let told = rtu_meter(BY_REGISTER).carry_out(&mut line, &OPEN).await;
        let name = told.as_ref().map_or_else(Fault::name, |_| "taken");
        let wanted = match code {
            0x01 | 0x02 | 0x03 | 0x06 | 0x0A => "refused",
            0x05 => "taken",
            _ => "garbled",
        };
        assert_eq!(name, wanted, "{code:02X}");
    }
}

#[tokio::test]
async fn what_the_profile_does_not_know_is_not_written() {
    let clock = Order::Clock(date(2026, 1, 1).at(0, 0, 0, 0));
    for (order, says) in [(CLOSE, "no valve"), (tariff(&STEPS), "no tariff"), (clock, "no clock")] {
        assert!(course("", &order).unwrap_err().why.contains(says));
        let mut line = ScriptedLine::new();
        assert_eq!(rtu_meter("").carry_out(&mut line, &order).await.unwrap_err().name(), "refused");
        assert_eq!(rtu_meter("").observe(&mut line, &order).await.unwrap_err().name(), "refused");
        assert!(line.requests.is_empty());
    }
}

#[tokio::test]
async fn a_broadcast_is_never_told_anything() {
    assert!(Modbus::new(0, Framing::Rtu, profile(BY_REGISTER)).is_err());
    // Behind Modbus/TCP a gateway may pass it on to a serial line.
    let mut meter = Modbus::new(0, Framing::Tcp, profile(BY_REGISTER)).unwrap();
    assert!(meter.course(&CLOSE).unwrap_err().why.contains("unit 0"));
    let mut line = ScriptedLine::new();
    assert_eq!(meter.carry_out(&mut line, &CLOSE).await.unwrap_err().name(), "refused");
    assert!(line.requests.is_empty());
    assert!(Modbus::new(255, Framing::Tcp, profile(BY_REGISTER)).unwrap().course(&CLOSE).is_ok());
}

#[tokio::test]
async fn only_the_answer_to_this_order_is_taken_for_it() {
    let order = framed(&[0x11, 6, 0, 0x1C, 0, 2]);
    let mut damaged = order.clone();
    damaged[5] ^= 1;
    for answer in [
        framed(&[0x11, 6, 0, 0x1C, 0, 1]),
        framed(&[0x11, 6, 0, 0x1D, 0, 2]),
        framed(&[0x12, 6, 0, 0x1C, 0, 2]),
        damaged,
        framed(&[0x11, 3, 2, 0, 2]),
    ] {
        let mut line = ScriptedLine::new().answer(&answer);
        let told = rtu_meter(BY_REGISTER).carry_out(&mut line, &CLOSE).await;
        assert!(matches!(told, Err(Fault::Garbled { .. })), "{answer:02X?} {told:?}");
    }
    let noisy = [&[0x00, 0x11, 0x55][..], &framed(&[0x12, 3, 2, 9, 9]), &order].concat();
    let mut line = ScriptedLine::new().answer(&noisy);
    assert!(rtu_meter(BY_REGISTER).carry_out(&mut line, &CLOSE).await.is_ok());
}

#[tokio::test]
async fn several_registers_are_written_at_once_and_an_echo_of_that_is_no_answer() {
    let valve = BY_REGISTER
        .replace("function_code = 6", "function_code = 16")
        .replace("open = 1", "open = [1, 0xA5A5]")
        .replace("close = 2", "close = [2, 0xA5A5]");
    let order = framed(&[0x11, 16, 0, 0x1C, 0, 2, 4, 0, 2, 0xA5, 0xA5]);
    let taken = framed(&[0x11, 16, 0, 0x1C, 0, 2]);
    for answer in [taken.clone(), [order.clone(), taken.clone()].concat()] {
        let mut line = ScriptedLine::new().expect(&order, &answer);
        assert!(rtu_meter(&valve).carry_out(&mut line, &CLOSE).await.is_ok());
    }
    let told = rtu_meter(&valve).carry_out(&mut ScriptedLine::new().answer(&order), &CLOSE).await;
    assert!(matches!(told, Err(Fault::Garbled { why }) if why.contains("echo")));
}

#[tokio::test]
async fn modbus_tcp_orders_have_their_own_transactions() {
    let mut meter = Modbus::new(7, Framing::Tcp, profile(BY_REGISTER)).unwrap();
    let order = |id| vec![0, id, 0, 0, 0, 6, 7, 6, 0, 0x1C, 0, 1];
    let late = [order(9), order(1)].concat();
    let mut line = ScriptedLine::new()
        .expect(&order(1), &late)
        .expect(&[0, 2, 0, 0, 0, 6, 7, 3, 0, 0x1C, 0, 1], &[0, 2, 0, 0, 0, 5, 7, 3, 2, 0, 1]);
    meter.carry_out(&mut line, &OPEN).await.unwrap();
    assert_eq!(meter.observe(&mut line, &OPEN).await.unwrap().valve, Some(Valve::Open));

    let mut line = ScriptedLine::new().answer(&[0, 3, 0, 0, 0, 3, 7, 0x86, 1]);
    let told = meter.carry_out(&mut line, &OPEN).await;
    assert_eq!(told, Err(Fault::refused("exception 01, illegal function")));
}

/// Made up: no meter with such registers is known.
const TARIFF: &str = "
[tariff]
at = 0x40
type = \"u32\"
order = \"CDAB\"
from_places = 1
price_places = 2
layout = [\"price\", \"from\", \"price\", \"year\", \"month\", \"day\"]
";
const STEPS: [(&str, &str); 2] = [("0", "3.45"), ("220.5", "655.37")];

fn tariff(steps: &[(&str, &str)]) -> Order {
    tariff_from(date(2027, 1, 31), steps)
}

fn tariff_from(effective_from: Date, steps: &[(&str, &str)]) -> Order {
    let step = |(from_m3, price): &(&str, &str)| TariffStep {
        from_m3: from_m3.parse().unwrap(),
        price: price.parse().unwrap(),
    };
    Order::Tariff(Tariff { effective_from, steps: steps.iter().map(step).collect() })
}

/// 345; 2205; 65537, low register first; 2027-01-31.
const KEPT: [u8; 18] = [0x01, 0x59, 0, 0, 0x08, 0x9D, 0, 0, 0, 1, 0, 1, 0x07, 0xEB, 0, 1, 0, 31];

#[tokio::test]
async fn a_tariff_is_written_by_one_request_and_read_back_to_the_digit() {
    let mut meter = rtu_meter(TARIFF);
    let order = tariff(&STEPS);
    assert_eq!(meter.course(&order).unwrap().unseen, None);
    let write = framed(&[&[0x11, 16, 0, 0x40, 0, 9, 18][..], &KEPT].concat());
    let mut line = ScriptedLine::new()
        .expect(&write, &framed(&[0x11, 16, 0, 0x40, 0, 9]))
        .expect(&framed(&[0x11, 3, 0, 0x40, 0, 9]), &framed(&[&[0x11, 3, 18][..], &KEPT].concat()));
    meter.carry_out(&mut line, &order).await.unwrap();
    let seen = meter.observe(&mut line, &order).await.unwrap().tariff.unwrap();
    let told: Vec<String> = seen.iter().map(|step| format!("{} {}", step.from_m3, step.price)).collect();
    assert_eq!(told, ["0 3.45", "220.5 655.37"]);
    assert!(line.is_finished());
}

#[tokio::test]
async fn a_tariff_of_another_day_or_with_other_prices_does_not_pass_for_the_one_ordered() {
    let shown = || ScriptedLine::new().answer(&framed(&[&[0x11, 3, 18][..], &KEPT].concat()));
    let mut meter = rtu_meter(TARIFF);
    let other_day = tariff_from(date(2027, 2, 1), &STEPS);
    let seen = meter.observe(&mut shown(), &other_day).await.unwrap();
    assert_eq!((seen.tariff_from, seen.tariff.unwrap().len()), (Some(date(2027, 1, 31)), 2));
    let one_price = tariff(&STEPS[..1]);
    assert_eq!(meter.observe(&mut shown(), &one_price).await.unwrap().tariff.unwrap().len(), 2);
}

#[tokio::test]
async fn a_step_that_a_tariff_does_not_need_repeats_its_last_price() {
    let kept = [0x01, 0x59, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0x01, 0x59, 0, 0, 0x07, 0xEB, 0, 1, 0, 31];
    let order = tariff(&STEPS[..1]);
    let mut meter = rtu_meter(TARIFF);
    let mut line = ScriptedLine::new()
        .expect(
            &framed(&[&[0x11, 16, 0, 0x40, 0, 9, 18][..], &kept].concat()),
            &framed(&[0x11, 16, 0, 0x40, 0, 9]),
        )
        .answer(&framed(&[&[0x11, 3, 18][..], &kept].concat()));
    meter.carry_out(&mut line, &order).await.unwrap();
    assert_eq!(meter.observe(&mut line, &order).await.unwrap().tariff.unwrap().len(), 1);
}

#[test]
fn a_tariff_that_the_registers_cannot_hold_is_not_supported() {
    let says = |more: &str, steps: &[(&str, &str)]| course(more, &tariff(steps)).unwrap_err().why;
    assert_eq!(says(TARIFF, &[]), "the tariff has no step");
    assert_eq!(says(TARIFF, &[("1", "2")]), "the first step begins at 1 m3, not at 0");
    assert_eq!(says(TARIFF, &[("0", "2"), ("0", "2")]), "the tariff's steps do not rise");
    assert_eq!(says(TARIFF, &[("0", "1"), ("1", "2"), ("2", "3")]), "the tariff has 3 steps, the meter 2");
    assert!(says(TARIFF, &[("0", "0.001")]).starts_with("price 0.001"));
    assert!(says(TARIFF, &[("0", "-1")]).starts_with("price -1"));
    assert!(says(TARIFF, &[("0", "1"), ("0.25", "2")]).starts_with("step 0.25"));
    assert!(
        says(&TARIFF.replace("u32", "u16"), &STEPS)
            .starts_with("price 655.37: the registers hold 0 to 65535")
    );
    assert!(course(TARIFF, &tariff(&[("0.0", "3.4500")])).is_ok(), "zeros are no digits");
}

#[tokio::test]
async fn every_step_may_have_its_beginning_and_any_order_of_bytes() {
    let map = TARIFF
        .replace("u32", "u16")
        .replace("CDAB", "BADC")
        .replace("\"price\", \"from\", \"price\"", "\"from\", \"price\", \"from\", \"price\"");
    let kept = [0, 0, 0x59, 0x01, 0x9D, 0x08, 0x64, 0x00, 0xEB, 0x07, 1, 0, 31, 0];
    let order = tariff(&[("0", "3.45"), ("220.5", "1")]);
    let mut meter = rtu_meter(&map);
    let mut line = ScriptedLine::new()
        .expect(
            &framed(&[&[0x11, 16, 0, 0x40, 0, 7, 14][..], &kept].concat()),
            &framed(&[0x11, 16, 0, 0x40, 0, 7]),
        )
        .answer(&framed(&[&[0x11, 3, 14][..], &kept].concat()));
    meter.carry_out(&mut line, &order).await.unwrap();
    let Order::Tariff(wanted) = &order else { panic!() };
    assert_eq!(meter.observe(&mut line, &order).await.unwrap().tariff.as_ref(), Some(&wanted.steps));
}

#[test]
fn a_layout_of_no_tariff_is_a_fault() {
    let faults = |from: &str, to: &str| {
        let text = format!(
            "model = \"t\"\n[[value]]\nquantity = \"volume\"\nat = 1\ntype = \"u16\"\n{}",
            TARIFF.replace(from, to)
        );
        Profile::parse(&text).unwrap_err()[0].to_string()
    };
    for (from, to) in [
        ("\"day\"]", "\"day\", \"day\"]"),
        (", \"day\"]", "]"),
        ("\"from\"", "\"since\""),
        ("\"from\", ", ""),
        ("\"price\", \"from\", \"price\", ", ""),
    ] {
        let fault = faults(from, to);
        assert!(fault.starts_with("layout is that of no tariff"), "{to}: {fault}");
    }
    assert!(faults("0x40", "65530").starts_with("9 registers from here"));
    assert!(faults("u32", "f32").starts_with("type"));
}

/// What tokio-modbus, which nobody here wrote, puts on the wire for the same order.
async fn theirs(framing: Framing, write: Write<'_>) -> Vec<u8> {
    use tokio::io::AsyncReadExt as _;
    let (near, mut far) = tokio::io::duplex(512);
    let mut client = match framing {
        Framing::Rtu => tokio_modbus::client::rtu::attach_slave(near, Slave(write.unit)),
        Framing::Tcp => tokio_modbus::client::tcp::attach_slave(near, Slave(write.unit)),
    };
    let written = async {
        // It is answered by nothing but the end of the wire.
        let _ = match write.function {
            WriteFunction::Coil => client.write_single_coil(write.start, write.registers[0] == 0xFF00).await,
            WriteFunction::Register => client.write_single_register(write.start, write.registers[0]).await,
            WriteFunction::Registers => client.write_multiple_registers(write.start, write.registers).await,
        };
    };
    let read = async {
        let mut bytes = vec![0; 512];
        let count = far.read(&mut bytes).await.unwrap();
        drop(far);
        bytes.truncate(count);
        bytes
    };
    tokio::join!(written, read).1
}

#[tokio::test]
async fn orders_are_on_the_wire_what_tokio_modbus_makes_of_them() {
    for (function, registers) in [
        (WriteFunction::Coil, &[0xFF00][..]),
        (WriteFunction::Coil, &[0]),
        (WriteFunction::Register, &[0xABCD]),
        (WriteFunction::Registers, &[1, 2, 0xFFFF]),
    ] {
        let write = Write { unit: 9, function, start: 0x1234, registers };
        assert_eq!(rtu::write_request(&write), theirs(Framing::Rtu, write).await);
        let tcp = theirs(Framing::Tcp, write).await;
        let transaction = u16::from_be_bytes([tcp[0], tcp[1]]);
        assert_eq!(tcp::write_request(&write, transaction), tcp);
    }
}
