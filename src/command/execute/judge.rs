//! What a meter's answer says about an order: pure, and the same after a write as after a crash.

use jiff::civil::{Date, DateTime};
use weir_meter::{Order, ValveOrder};
use weir_wire::{Observed, Tariff, TariffStep, Valve};

use crate::limits::COMMAND_CLOCK_OFF_MAX;

/// What was seen of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// The meter shows what was ordered.
    Done,
    /// It shows something else; a valve may still be on its way.
    NotYet,
    /// It says that its valve is out of order.
    ValveFault,
    /// Its answer says nothing of what was ordered.
    Nothing,
}

/// What this answer says about this order. `now` is what the meter's clock should show.
pub(super) fn judge(order: &Order, observed: &Observed, now: DateTime) -> Seen {
    match order {
        Order::Valve(order) => valve(*order, observed.valve.as_ref()),
        Order::Tariff(tariff) => match &observed.tariff {
            None => Seen::Nothing,
            Some(steps) if is_same(steps, observed.tariff_from, tariff) => Seen::Done,
            Some(_) => Seen::NotYet,
        },
        Order::Clock(_) => match observed.meter_time {
            None => Seen::Nothing,
            Some(shown) if is_near(shown, now) => Seen::Done,
            Some(_) => Seen::NotYet,
        },
    }
}

fn valve(order: ValveOrder, valve: Option<&Valve>) -> Seen {
    match (order, valve) {
        (ValveOrder::Open, Some(Valve::Open)) | (ValveOrder::Close, Some(Valve::Closed)) => Seen::Done,
        (_, Some(Valve::Fault)) => Seen::ValveFault,
        (_, Some(_)) => Seen::NotYet,
        (_, None) => Seen::Nothing,
    }
}

/// Numbers are compared by their worth: `3.5` is `3.50`. A day that the meter does not tell is for [`Course::unseen`] to
/// say.
///
/// [`Course::unseen`]: weir_meter::Course::unseen
fn is_same(steps: &[TariffStep], from: Option<Date>, ordered: &Tariff) -> bool {
    steps == ordered.steps && from.is_none_or(|from| from == ordered.effective_from)
}

fn is_near(shown: DateTime, now: DateTime) -> bool {
    shown.duration_since(now).unsigned_abs() <= COMMAND_CLOCK_OFF_MAX
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::{date, datetime};

    fn shows(valve: Valve) -> Observed {
        Observed { valve: Some(valve), ..Observed::default() }
    }

    #[test]
    fn only_the_ordered_end_position_is_done() {
        let now = datetime(2026, 11, 28, 12, 0, 0, 0);
        for (order, end, other) in
            [(ValveOrder::Open, Valve::Open, Valve::Closed), (ValveOrder::Close, Valve::Closed, Valve::Open)]
        {
            let order = Order::Valve(order);
            assert_eq!(judge(&order, &shows(end), now), Seen::Done);
            for not_yet in [other, Valve::Moving, Valve::Unknown, Valve::Other("ajar".into())] {
                assert_eq!(judge(&order, &shows(not_yet), now), Seen::NotYet);
            }
            assert_eq!(judge(&order, &shows(Valve::Fault), now), Seen::ValveFault);
            assert_eq!(judge(&order, &Observed::default(), now), Seen::Nothing);
        }
    }

    #[test]
    fn a_tariff_is_done_when_every_step_has_the_same_worth() {
        let step = |from: &str, price: &str| TariffStep {
            from_m3: from.parse().unwrap(),
            price: price.parse().unwrap(),
        };
        let ordered = vec![step("0", "3.45"), step("220", "4.8")];
        let order = Order::Tariff(Tariff { effective_from: date(2027, 1, 1), steps: ordered.clone() });
        let shown = |steps| Observed { tariff: Some(steps), ..Observed::default() };
        let now = datetime(2026, 11, 28, 12, 0, 0, 0);
        assert_eq!(judge(&order, &shown(vec![step("0", "3.450"), step("220", "4.80")]), now), Seen::Done);
        assert_eq!(judge(&order, &shown(vec![step("0", "3.45"), step("220", "4.81")]), now), Seen::NotYet);
        assert_eq!(judge(&order, &shown(ordered[..1].to_vec()), now), Seen::NotYet);
        assert_eq!(judge(&order, &Observed::default(), now), Seen::Nothing);
        let from = |day| Observed { tariff_from: Some(day), ..shown(ordered.clone()) };
        assert_eq!(judge(&order, &from(date(2027, 1, 1)), now), Seen::Done);
        assert_eq!(judge(&order, &from(date(2027, 2, 1)), now), Seen::NotYet, "of another day");
    }

    #[test]
    fn a_clock_is_done_when_it_shows_the_minute() {
        let now = datetime(2026, 12, 31, 23, 59, 30, 0);
        let order = Order::Clock(now);
        let shown = |meter_time| Observed { meter_time: Some(meter_time), ..Observed::default() };
        assert_eq!(judge(&order, &shown(datetime(2027, 1, 1, 0, 0, 30, 0)), now), Seen::Done);
        assert_eq!(judge(&order, &shown(datetime(2027, 1, 1, 1, 0, 0, 0)), now), Seen::NotYet);
        assert_eq!(judge(&order, &Observed::default(), now), Seen::Nothing);
    }
}
