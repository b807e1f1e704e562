//! Orders to valves, in both framings and by all three functions, and what is made of the answers.

use std::cell::Cell;
use std::rc::Rc;

use tokio_modbus::client::Writer as _;
use tokio_modbus::prelude::Slave;
use weir_meter::scripted::ScriptedLine;
use weir_wire::Valve;

use super::*;
use crate::frame::WriteFunction;
use crate::profile::Profile;

fn profile(valve: &str) -> Arc<Profile> {
    let text = format!("model = \"t\"\n[[value]]\nquantity = \"volume\"\nat = 1\ntype = \"u16\"\n{valve}");
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

fn rtu_meter(valve: &str) -> Modbus {
    Modbus::new(0x11, Framing::Rtu, profile(valve)).unwrap()
}

/// Drives the valve and returns with it for how long the meter was given time.
fn drive(
    meter: &mut Modbus,
    line: &mut ScriptedLine,
    order: ValveOrder,
) -> (Result<Driven, Fault>, Duration) {
    let waited = Rc::new(Cell::new(Duration::ZERO));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let settled = |time| {
        waited.set(time);
        std::future::ready(())
    };
    (runtime.block_on(meter.drive_valve(line, order, settled)), waited.get())
}

#[test]
fn a_valve_is_ordered_given_its_time_and_read_back() {
    let order = framed(&[0x11, 6, 0, 0x1C, 0, 2]);
    let mut line = ScriptedLine::new()
        .expect(&order, &order)
        .expect(&framed(&[0x11, 3, 0, 0x1C, 0, 1]), &framed(&[0x11, 3, 2, 0, 2]));
    let (driven, waited) = drive(&mut rtu_meter(BY_REGISTER), &mut line, ValveOrder::Close);
    let driven = driven.unwrap();
    assert_eq!(waited, Duration::from_secs(20));
    assert_eq!(driven.answer, Raw(order));
    assert_eq!(driven.status.unwrap().valve, Some(Valve::Closed));
    assert!(line.is_finished());
}

#[test]
fn what_the_valve_did_is_told_apart_from_what_the_meter_said() {
    let order = framed(&[0x11, 6, 0, 0x1C, 0, 1]);
    for (read_back, position) in
        [(1, Valve::Open), (2, Valve::Closed), (4, Valve::Fault), (0, Valve::Unknown)]
    {
        let mut line = ScriptedLine::new().answer(&order).answer(&framed(&[0x11, 3, 2, 0, read_back]));
        let (driven, _) = drive(&mut rtu_meter(BY_REGISTER), &mut line, ValveOrder::Open);
        assert_eq!(driven.unwrap().status.unwrap().valve, Some(position));
    }
    let mut line = ScriptedLine::new().answer(&order);
    let (driven, _) = drive(&mut rtu_meter(BY_REGISTER), &mut line, ValveOrder::Open);
    assert_eq!(driven.unwrap().status, Err(Fault::Silent { window_ms: 0 }), "and the order stands as taken");
}

#[test]
fn a_refused_order_is_not_waited_for() {
    let mut line = ScriptedLine::new().answer(&framed(&[0x11, 0x86, 4]));
    let (driven, waited) = drive(&mut rtu_meter(BY_REGISTER), &mut line, ValveOrder::Open);
    assert_eq!(driven, Err(Fault::refused("exception 04, server device failure")));
    assert_eq!((waited, line.requests.len()), (Duration::ZERO, 1));

    let (driven, _) = drive(&mut rtu_meter(""), &mut ScriptedLine::new(), ValveOrder::Open);
    assert!(matches!(driven, Err(Fault::Refused { why }) if why.contains("no valve")));
    assert!(!rtu_meter("").has_valve() && rtu_meter(BY_REGISTER).has_valve());
}

#[test]
fn only_the_answer_to_this_order_is_taken_for_it() {
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
        let (driven, _) =
            drive(&mut rtu_meter(BY_REGISTER), &mut ScriptedLine::new().answer(&answer), ValveOrder::Close);
        assert!(matches!(driven, Err(Fault::Garbled { .. })), "{answer:02X?} {driven:?}");
    }
    let noisy = [&[0x00, 0x11, 0x55][..], &framed(&[0x12, 3, 2, 9, 9]), &order].concat();
    let mut line = ScriptedLine::new().answer(&noisy).answer(&framed(&[0x11, 3, 2, 0, 2]));
    assert!(drive(&mut rtu_meter(BY_REGISTER), &mut line, ValveOrder::Close).0.is_ok());
}

#[test]
fn several_registers_are_written_at_once_and_an_echo_of_that_is_no_answer() {
    let valve = BY_REGISTER
        .replace("function_code = 6", "function_code = 16")
        .replace("open = 1", "open = [1, 0xA5A5]")
        .replace("close = 2", "close = [2, 0xA5A5]");
    let order = framed(&[0x11, 16, 0, 0x1C, 0, 2, 4, 0, 2, 0xA5, 0xA5]);
    let taken = framed(&[0x11, 16, 0, 0x1C, 0, 2]);
    for answer in [taken.clone(), [order.clone(), taken.clone()].concat()] {
        let mut line = ScriptedLine::new().expect(&order, &answer).answer(&framed(&[0x11, 3, 2, 0, 2]));
        let (driven, _) = drive(&mut rtu_meter(&valve), &mut line, ValveOrder::Close);
        assert_eq!(driven.unwrap().answer, Raw(taken.clone()));
    }
    let (driven, _) =
        drive(&mut rtu_meter(&valve), &mut ScriptedLine::new().answer(&order), ValveOrder::Close);
    assert!(matches!(driven, Err(Fault::Garbled { why }) if why.contains("echo")));
}

#[test]
fn modbus_tcp_orders_have_their_own_transactions() {
    let mut meter = Modbus::new(7, Framing::Tcp, profile(BY_REGISTER)).unwrap();
    let order = |id| vec![0, id, 0, 0, 0, 6, 7, 6, 0, 0x1C, 0, 1];
    let late = [order(9), order(1)].concat();
    let mut line = ScriptedLine::new()
        .expect(&order(1), &late)
        .expect(&[0, 2, 0, 0, 0, 6, 7, 3, 0, 0x1C, 0, 1], &[0, 2, 0, 0, 0, 5, 7, 3, 2, 0, 1]);
    let (driven, _) = drive(&mut meter, &mut line, ValveOrder::Open);
    assert_eq!(driven.unwrap().status.unwrap().valve, Some(Valve::Open));

    let mut line = ScriptedLine::new().answer(&[0, 3, 0, 0, 0, 3, 7, 0x86, 1]);
    let (driven, _) = drive(&mut meter, &mut line, ValveOrder::Open);
    assert_eq!(driven, Err(Fault::refused("exception 01, illegal function")));
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
