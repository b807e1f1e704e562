//! The orders of the command path: a valve's, and a tariff's where the profile has registers for one.
//!
//! Each order is one request to write, and what the meter answers to it is not what it did: that is told by the
//! registers read afterwards, with the meter's number beside them where it has one. No poll comes here.
//!
//! An exception is not always a no. 04, 08 and 0B may come from a meter that has begun, and 05 says that it has: only
//! those that are given before anything is done count as a refusal (Application Protocol V1.1b3, 7).

use std::sync::Arc;
use std::time::Duration;

use jiff::civil::Date;
use weir_meter::{Ask, Course, Fault, Line, Observed, Order, Unsupported, ValveOrder};
use weir_wire::{Tariff, TariffStep};

use super::{Framing, Modbus};
use crate::evaluate::{self, Image};
use crate::frame::{Write, WriteFunction, exception_name, rtu, tcp};
use crate::plan::{Block, Limits, plan};
use crate::profile::{Profile, TariffMap};
use crate::types::Field;

/// Each register by itself: what lies between is nobody's business here.
const READ_BACK: Limits =
    Limits { request_registers_max: 125, gap_registers_max: 0, even_count: false, avoid: Vec::new() };
/// For how long a meter may show its old tariff after it took a new one. It has only to store it; a choice.
const STORED_WITHIN: Duration = Duration::from_secs(10);
/// To a serial line the broadcast, also where a gateway behind Modbus/TCP passes it on.
const BROADCAST: u8 = 0;

/// Its request is on its way: the order has been taken.
const ACKNOWLEDGE: u8 = 0x05;
/// Given before anything is done: illegal function, address or value, busy, gateway path unavailable.
const REFUSALS: [u8; 5] = [0x01, 0x02, 0x03, 0x06, 0x0A];

/// What one request writes.
struct Writing {
    function: WriteFunction,
    start: u16,
    registers: Vec<u16>,
}

impl Modbus {
    pub(super) fn course_of(&self, order: &Order) -> Result<Course, Unsupported> {
        if self.unit == BROADCAST {
            return Err(Unsupported::new(
                "unit 0 may reach every meter; Modbus/TCP has 255 for the device itself",
            ));
        }
        writing(&self.profile, order)?;
        let (travel, settle) = match (&self.profile.valve, order) {
            (Some(valve), Order::Valve(_)) => (valve.travel, valve.settle),
            _ => (Duration::ZERO, STORED_WITHIN),
        };
        Ok(Course { travel, settle, unseen: None })
    }

    pub(super) async fn tell(&mut self, line: &mut dyn Line, order: &Order) -> Result<Observed, Fault> {
        let unwritten = |error: Unsupported| Fault::refused(format!("nothing was written: {error}"));
        self.course_of(order).map_err(unwritten)?;
        let writing = writing(&self.profile, order).map_err(unwritten)?;
        self.write(line, &writing).await?;
        Ok(Observed::default())
    }

    pub(super) async fn look(&mut self, line: &mut dyn Line, order: &Order) -> Result<Observed, Fault> {
        let profile = Arc::clone(&self.profile);
        let about: Vec<Block> = match (order, &profile.valve, &profile.tariff) {
            (Order::Valve(_), Some(valve), _) => {
                valve.read_back.iter().map(|map| map.field.block()).collect()
            }
            (Order::Tariff(_), _, Some(tariff)) => vec![tariff.block()],
            _ => return Err(Fault::refused(unsupported(&profile, order).why)),
        };
        let number = profile.number.iter().map(Field::block);
        let mut image = Image::default();
        for block in plan(about.into_iter().chain(number), &READ_BACK) {
            image.add(block.function, block.start, self.fetch(line, block).await?);
        }
        let number = evaluate::number(&profile, &image);
        Ok(match (order, &profile.valve, &profile.tariff) {
            (Order::Valve(_), Some(valve), _) => {
                let valve = evaluate::status(&valve.read_back, &image).valve;
                Observed { valve, number, ..Observed::default() }
            }
            (Order::Tariff(ordered), _, Some(map)) => {
                let shown = image.registers(map.block()).and_then(|wire| tariff(map, ordered, wire));
                let (tariff_from, tariff) = shown.unzip();
                Observed { tariff, tariff_from, number, ..Observed::default() }
            }
            _ => Observed { number, ..Observed::default() },
        })
    }

    async fn write(&mut self, line: &mut dyn Line, writing: &Writing) -> Result<(), Fault> {
        let Writing { function, start, registers } = writing;
        let write = Write { unit: self.unit, function: *function, start: *start, registers };
        let (answer, header) = match self.framing {
            Framing::Rtu => {
                let recognise = |received: &[u8]| rtu::recognise_write(&write, received);
                let request = rtu::write_request(&write);
                (line.exchange(Ask { request: &request, recognise: &recognise }).await?, 1)
            }
            Framing::Tcp => {
                let transaction = self.transaction;
                self.transaction = transaction.wrapping_add(1);
                let recognise = |received: &[u8]| tcp::recognise_write(&write, transaction, received);
                let request = tcp::write_request(&write, transaction);
                (line.exchange(Ask { request: &request, recognise: &recognise }).await?, tcp::HEADER_LEN)
            }
        };
        match answer.get(header..).unwrap_or_default() {
            [code, ..] if *code == function.code() => Ok(()),
            [_, ACKNOWLEDGE, ..] => Ok(()),
            [_, code, ..] => {
                let why = format!("exception {code:02X}, {}", exception_name(*code));
                Err(if REFUSALS.contains(code) { Fault::refused(why) } else { Fault::garbled(why) })
            }
            _ => Err(Fault::garbled("an answer without a function")),
        }
    }
}

fn writing(profile: &Profile, order: &Order) -> Result<Writing, Unsupported> {
    match (order, &profile.valve, &profile.tariff) {
        (Order::Valve(order), Some(valve), _) => {
            let registers = match order {
                ValveOrder::Open => &valve.open,
                ValveOrder::Close => &valve.close,
            };
            Ok(Writing { function: valve.function, start: valve.address, registers: registers.clone() })
        }
        (Order::Tariff(tariff), _, Some(map)) => {
            let registers = map.registers(tariff).map_err(Unsupported::new)?;
            Ok(Writing { function: WriteFunction::Registers, start: map.address, registers })
        }
        _ => Err(unsupported(profile, order)),
    }
}

fn unsupported(profile: &Profile, order: &Order) -> Unsupported {
    let lacking = match order {
        Order::Valve(_) => "no valve how it is moved",
        Order::Tariff(_) => "no tariff where it stands",
        Order::Clock(_) => "no clock how it is set",
    };
    Unsupported::new(format!("the profile {:?} says of {lacking}", profile.model))
}

/// The tariff in the meter's registers, with as many steps as were ordered where all registers are as ordered.
fn tariff(map: &TariffMap, ordered: &Tariff, wire: &[u8]) -> Option<(Date, Vec<TariffStep>)> {
    let (from, mut steps) = map.tariff(wire)?;
    let registers = map.registers(ordered).ok()?.into_iter().flat_map(u16::to_be_bytes);
    if registers.eq(wire.iter().copied()) {
        steps.truncate(ordered.steps.len());
    }
    Some((from, steps))
}

#[cfg(test)]
mod tests;
