//! The `[valve]` table of a profile: what moves a meter's valve, and what in its answer tells where it stands.
//!
//! M-Bus has no valve of its own. Makers take an output (VIF FD 1A), a record that only they know, or one of the three
//! bits of the status byte that EN 13757-3 leaves to them, so all of it is data. Where a profile names a valve, every
//! reading tells its position.

use std::time::Duration;

use weir_meter::selection::Selection;
use weir_meter::{Answer, ValveOrder};
use weir_wire::{Content, Number, Valve};

/// How the valve of one model is moved and watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValveMap {
    /// CI field of both orders.
    pub(crate) information: u8,
    /// What stands behind it to open the valve.
    pub(crate) open: Vec<u8>,
    /// The same to close it.
    pub(crate) close: Vec<u8>,
    /// From the order to the first look.
    pub(crate) travel: Duration,
    /// From the order to when the valve must stand where it was sent.
    pub(crate) settle: Duration,
    pub(crate) read_back: ReadBack,
    /// The positions that the profile knows: a number of the record, or a bit of the status byte.
    pub(crate) positions: Vec<(Valve, u32)>,
}

/// What tells the position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ReadBack {
    /// The number of this one record.
    Record(Selection),
    /// The status byte, as the alarms name its bits.
    Status,
}

impl ValveMap {
    /// The data of an order.
    pub(crate) fn data(&self, order: ValveOrder) -> &[u8] {
        match order {
            ValveOrder::Open => &self.open,
            ValveOrder::Close => &self.close,
        }
    }

    /// Puts the position into the answer's status. A bit that tells it is no alarm.
    pub(crate) fn place(&self, answer: &mut Answer) {
        answer.status.valve = Some(match &self.read_back {
            ReadBack::Record(selection) => self.by_record(&selection.apply(answer.values.clone())),
            ReadBack::Status => {
                let position = self.by_bits(&answer.status.alarms);
                let told: Vec<String> = self.positions.iter().map(|(_, bit)| bit_name(*bit)).collect();
                answer.status.alarms.retain(|alarm| !told.contains(alarm));
                position
            }
        });
    }

    /// Two records that contradict each other tell nothing.
    fn by_record(&self, values: &[weir_wire::Value]) -> Valve {
        let mut told = values.iter().map(|value| match &value.content {
            Content::Number(number) => {
                let is_it = |(_, code): &&(Valve, u32)| {
                    Number::scaled(i128::from(*code), 0).is_ok_and(|code| code == *number)
                };
                self.positions.iter().find(is_it).map_or(Valve::Unknown, |(position, _)| position.clone())
            }
            _ => Valve::Unknown,
        });
        let first = told.next().unwrap_or(Valve::Unknown);
        if told.all(|other| other == first) { first } else { Valve::Unknown }
    }

    /// A fault goes first. Where one end alone has a bit, no bit at all is the other.
    fn by_bits(&self, alarms: &[String]) -> Valve {
        let has = |position: &Valve| self.positions.iter().any(|(known, _)| known == position);
        let is_set = |position: &Valve| {
            self.positions.iter().any(|(known, bit)| known == position && alarms.contains(&bit_name(*bit)))
        };
        let by_itself = [Valve::Fault, Valve::Moving].into_iter().find(is_set);
        by_itself.unwrap_or_else(|| match (is_set(&Valve::Open), is_set(&Valve::Closed)) {
            (true, false) => Valve::Open,
            (false, true) => Valve::Closed,
            (false, false) if !has(&Valve::Open) => Valve::Open,
            (false, false) if !has(&Valve::Closed) => Valve::Closed,
            _ => Valve::Unknown,
        })
    }
}

fn bit_name(bit: u32) -> String {
    format!("bit-{bit}")
}

#[cfg(test)]
mod tests {
    use weir_meter::selection::Keep;
    use weir_wire::{Quantity, Status, Value};

    use super::*;

    fn map(read_back: ReadBack, positions: &[(Valve, u32)]) -> ValveMap {
        ValveMap {
            information: 0x51,
            open: vec![1],
            close: vec![0],
            travel: Duration::ZERO,
            settle: Duration::ZERO,
            read_back,
            positions: positions.to_vec(),
        }
    }

    #[test]
    fn a_record_tells_the_position_by_its_number_and_nothing_by_any_other() {
        let selection = Selection::new(vec![Keep::main(Quantity::DigitalOutput)]).unwrap();
        let map =
            map(ReadBack::Record(selection), &[(Valve::Open, 1), (Valve::Closed, 0), (Valve::Moving, 2)]);
        let output = |number: i128| {
            Value::new(Quantity::DigitalOutput, Content::Number(Number::scaled(number, 0).unwrap()))
        };
        let placed = |values: Vec<Value>| {
            let mut answer = Answer { values, ..Answer::default() };
            map.place(&mut answer);
            answer.status.valve.unwrap()
        };
        assert_eq!(
            [1, 0, 2, 7].map(|number| placed(vec![output(number)])),
            [Valve::Open, Valve::Closed, Valve::Moving, Valve::Unknown]
        );
        assert_eq!(placed(vec![]), Valve::Unknown, "the record is not in the answer");
        assert_eq!(placed(vec![output(1), output(0)]), Valve::Unknown, "one says this, one says that");
        let other = Value { storage: 1, ..output(0) };
        assert_eq!(placed(vec![output(1), other]), Valve::Open);
    }

    #[test]
    fn status_bits_tell_the_position_and_are_no_alarms_then() {
        let map = map(ReadBack::Status, &[(Valve::Closed, 5), (Valve::Fault, 6)]);
        let placed = |alarms: &[&str]| {
            let alarms = alarms.iter().map(|alarm| (*alarm).to_owned()).collect();
            let mut answer = Answer { status: Status { alarms, ..Status::default() }, ..Answer::default() };
            map.place(&mut answer);
            (answer.status.valve.unwrap(), answer.status.alarms)
        };
        assert_eq!(placed(&[]), (Valve::Open, vec![]));
        assert_eq!(placed(&["bit-5", "bit-7"]), (Valve::Closed, vec!["bit-7".to_owned()]));
        assert_eq!(placed(&["bit-5", "bit-6"]), (Valve::Fault, vec![]));
    }
}
