//! A valve that takes its time, and does not always get there.

use jiff::SignedDuration;
use jiff::civil::DateTime;

use super::Snapshot;

/// Where a valve stands, or how it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Valve {
    Open,
    Closed,
    /// On its way; protocols without a word for it show neither end.
    Moving,
}

/// A valve with its motor.
#[derive(Debug)]
pub(crate) struct Actuator {
    stands: Valve,
    /// Where it goes, and when it is there.
    goes: Option<(Valve, DateTime)>,
    travel: SignedDuration,
    /// Orders that the meter took since they were last taken from here.
    orders: u64,
}

impl Actuator {
    pub(crate) fn new(travel: SignedDuration) -> Self {
        Self { stands: Valve::Open, goes: None, travel, orders: 0 }
    }

    /// The meter takes an order. A stuck valve does not move for it.
    pub(crate) fn turn(&mut self, to: Valve, snapshot: &Snapshot) {
        self.orders += 1;
        if !snapshot.stuck_valve {
            self.stands = self.stands(snapshot);
            self.goes = Some((to, snapshot.now.saturating_add(self.travel)));
        }
    }

    /// Where it stands now.
    pub(crate) fn stands(&self, snapshot: &Snapshot) -> Valve {
        match self.goes {
            None => self.stands,
            Some((to, at)) if snapshot.now >= at && !snapshot.restless_valve => to,
            Some(_) => Valve::Moving,
        }
    }

    /// How many orders were taken since this was last asked.
    pub(crate) fn take_orders(&mut self) -> u64 {
        std::mem::take(&mut self.orders)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::datetime;

    fn at(second: i8) -> Snapshot {
        Snapshot { now: datetime(2026, 11, 28, 12, 0, second, 0), ..Snapshot::default() }
    }

    #[test]
    fn a_valve_travels_and_arrives() {
        let mut valve = Actuator::new(SignedDuration::from_secs(5));
        valve.turn(Valve::Closed, &at(0));
        assert_eq!(valve.stands(&at(4)), Valve::Moving);
        assert_eq!(valve.stands(&at(5)), Valve::Closed);
        valve.turn(Valve::Open, &at(10));
        assert_eq!(valve.stands(&at(16)), Valve::Open);
        assert_eq!((valve.take_orders(), valve.take_orders()), (2, 0));
    }

    #[test]
    fn a_stuck_valve_stays_and_a_restless_one_never_arrives() {
        let mut valve = Actuator::new(SignedDuration::ZERO);
        valve.turn(Valve::Closed, &Snapshot { stuck_valve: true, ..at(0) });
        assert_eq!(valve.stands(&at(59)), Valve::Open);
        valve.turn(Valve::Closed, &at(0));
        assert_eq!(valve.stands(&Snapshot { restless_valve: true, ..at(59) }), Valve::Moving);
        assert_eq!(valve.take_orders(), 2);
    }
}
