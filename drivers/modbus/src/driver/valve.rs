//! Moving a valve: one order, the time it takes, and a look at where it then stands.
//!
//! ```text
//! drive_valve ── order ──► meter's answer ── settled(time) ── read back ──► Driven
//! ```
//!
//! No poll and no schedule comes here: only who has been told to move a valve calls it. What the meter answered to the
//! order is not what the valve did, so the two are reported apart, and a read-back that fails does not hide that the
//! order was taken.

use std::sync::Arc;
use std::time::Duration;

use weir_meter::{Ask, Fault, Line};
use weir_wire::{Raw, Status};

use super::{Framing, Modbus};
use crate::evaluate::{self, Image};
use crate::frame::{Write, exception_name, rtu, tcp};
use crate::plan::{Limits, plan};
use crate::profile::ValveMap;

/// What a valve is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ValveOrder {
    /// Open.
    Open,
    /// Close.
    Close,
}

/// What came of an order that the meter took.
#[derive(Clone, Debug, PartialEq)]
pub struct Driven {
    /// The frame with which the meter took the order.
    pub answer: Raw,
    /// What the meter says of its valve after the time that the profile gives it, or why it could not be asked.
    pub status: Result<Status, Fault>,
}

/// Each register by itself: what lies between is nobody's business here.
const READ_BACK: Limits =
    Limits { request_registers_max: 125, gap_registers_max: 0, even_count: false, avoid: Vec::new() };

impl Modbus {
    /// Whether the profile says how this meter's valve is moved.
    pub fn has_valve(&self) -> bool {
        self.profile.valve.is_some()
    }

    /// Orders the valve, lets `settled` wait as long as the profile says, and reads back where it stands.
    ///
    /// The line may repeat the order when no answer comes; the same order twice is one.
    ///
    /// # Errors
    /// The fault of the order itself, [`Fault::Refused`] also where the profile has no valve. After [`Fault::Silent`]
    /// and [`Fault::Garbled`] nobody knows whether the meter obeyed: [`Modbus::read_valve`] tells.
    pub async fn drive_valve<W: Future<Output = ()>>(
        &mut self,
        line: &mut dyn Line,
        order: ValveOrder,
        settled: impl FnOnce(Duration) -> W,
    ) -> Result<Driven, Fault> {
        let profile = Arc::clone(&self.profile);
        let valve = profile.valve.as_ref().ok_or_else(|| no_valve(&profile.model))?;
        let answer = self.order(line, valve, order).await?;
        settled(valve.settle).await;
        Ok(Driven { answer: Raw(answer), status: self.read_valve(line).await })
    }

    /// Reads where the valve stands, and whatever else the same registers tell.
    ///
    /// # Errors
    /// The fault of the exchange; [`Fault::Refused`] also where the profile has no valve.
    pub async fn read_valve(&mut self, line: &mut dyn Line) -> Result<Status, Fault> {
        let profile = Arc::clone(&self.profile);
        let valve = profile.valve.as_ref().ok_or_else(|| no_valve(&profile.model))?;
        let mut image = Image::default();
        for block in plan(valve.read_back.iter().map(|map| map.field.block()), &READ_BACK) {
            image.add(block.function, block.start, self.fetch(line, block).await?);
        }
        Ok(evaluate::status(&valve.read_back, &image))
    }

    async fn order(
        &mut self,
        line: &mut dyn Line,
        valve: &ValveMap,
        order: ValveOrder,
    ) -> Result<Vec<u8>, Fault> {
        let registers = match order {
            ValveOrder::Open => &valve.open,
            ValveOrder::Close => &valve.close,
        };
        let write = Write { unit: self.unit, function: valve.function, start: valve.address, registers };
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
            [code, ..] if *code == valve.function.code() => Ok(answer),
            [_, code, ..] => Err(Fault::refused(format!("exception {code:02X}, {}", exception_name(*code)))),
            _ => Err(Fault::garbled("an answer without a function")),
        }
    }
}

fn no_valve(model: &str) -> Fault {
    Fault::refused(format!("the profile {model:?} says of no valve how it is moved"))
}

#[cfg(test)]
mod tests;
