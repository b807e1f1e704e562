//! A valve that takes its time, and what a meter has obeyed.
//!
//! It knows no clock of its own: where it stands is reckoned from when it was told, by the time at which it is asked. If that
//! time goes backwards, as a zone's does once a year, the valve is there.

use std::time::Duration;

use jiff::SignedDuration;
use jiff::civil::DateTime;

use super::Snapshot;
use crate::Fault;

/// Where a valve stands, as far as its meter tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Position {
    Open,
    Closed,
    Moving,
    Fault,
}

/// A meter's valve. It is open until told.
#[derive(Debug)]
pub(crate) struct Valve {
    /// From end to end.
    travel: SignedDuration,
    is_open: bool,
    /// When it last began to move.
    told: Option<DateTime>,
}

impl Valve {
    pub(crate) fn new(travel: Duration) -> Self {
        let travel = SignedDuration::try_from(travel).unwrap_or(SignedDuration::MAX);
        Self { travel, is_open: true, told: None }
    }

    /// Told again to go where it goes already, it goes on.
    pub(crate) fn turn(&mut self, open: bool, snapshot: &Snapshot) {
        let sticks = matches!(snapshot.valve_fault, Some(Fault::StuckValve | Fault::ValveFault));
        if !sticks && open != self.is_open {
            (self.is_open, self.told) = (open, Some(snapshot.now));
        }
    }

    pub(crate) fn position(&self, snapshot: &Snapshot) -> Position {
        let moves = self.told.is_some_and(|told| {
            let since = snapshot.now.duration_since(told);
            snapshot.valve_fault == Some(Fault::MovingForEver)
                || (!since.is_negative() && since < self.travel)
        });
        match (snapshot.valve_fault, moves, self.is_open) {
            (Some(Fault::ValveFault), _, _) => Position::Fault,
            (_, true, _) => Position::Moving,
            (_, false, true) => Position::Open,
            (_, false, false) => Position::Closed,
        }
    }
}

/// Orders that a meter took since the start, whether or not its answer arrived and whatever its valve then did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Obeyed {
    /// Orders to the valve, or to the relay of an electricity meter; also those to where it stands already.
    pub valve: u64,
    /// Price tables written.
    pub tariff: u64,
    /// Clocks set.
    pub clock: u64,
}
