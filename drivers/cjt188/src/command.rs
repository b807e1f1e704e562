//! The orders of the command path: whether this meter can be told one, how it runs its course, and what is seen of it.
//!
//! A write goes out once, in the byte order that the meter is known to understand. What must be known before it is read
//! before it: where that read fails nothing is written, and the fault is the read's, since silence is no refusal. What
//! comes back after a write says only that the meter took it; a positive answer that cannot be understood is no refusal,
//! since the meter has obeyed.
//!
//! A price table has three prices and a start day, which is a day of the month without its month. By the meter's own
//! clock, read just before, the tariff must begin on the next such day, or nothing is written: a day that lies a month
//! ahead or is today may be taken for another one. Prices that a tariff does not need repeat its last one from the
//! highest step that the digits hold, so that the table charges the same whatever a meter makes of its end.

use std::sync::Arc;
use std::time::Duration;

use jiff::ToSpan as _;
use jiff::civil::{Date, DateTime};
use weir_meter::{Answer, Course, Fault, Line, Observed, Order, Unsupported};
use weir_wire::{Number, Tariff, TariffStep};

use crate::{Cjt188, Inexpressible, PriceTable, Profile, Reply, Request};

/// For how long a meter may show its old clock or prices after it took new ones. No source tells; it has only to store
/// them.
const STORED_WITHIN: Duration = Duration::from_secs(10);
/// The start day is in no answer of the protocol.
const START_DAY: &str = "the day from which the prices count";
/// Prices of a table.
const PRICES: usize = 3;
/// Three bytes of nines.
const STEP_MAX: i128 = 999_999;

impl From<Inexpressible> for Unsupported {
    fn from(wish: Inexpressible) -> Self {
        Self::new(wish.why)
    }
}

impl Cjt188 {
    pub(crate) fn course_of(&self, order: &Order) -> Result<Course, Unsupported> {
        if self.address.is_shared() {
            return Err(Unsupported::new(format!("{} is not the address of one meter", self.address)));
        }
        request_of(order, &self.profile)?;
        let stored = Course { travel: Duration::ZERO, settle: STORED_WITHIN, unseen: None };
        Ok(match order {
            Order::Valve(_) => Course {
                travel: Duration::from_millis(self.profile.valve.travel_ms.into()),
                settle: Duration::from_millis(self.profile.valve.settle_ms.into()),
                unseen: None,
            },
            // Without a start day they count at once, and the table that is shown is the one in force.
            Order::Tariff(_) => {
                Course { unseen: self.profile.price_start_day.then_some(START_DAY), ..stored }
            }
            Order::Clock(_) => stored,
        })
    }

    /// Whether the meter will understand the order, by its own clock.
    pub(crate) fn fits(&self, order: &Order, clock: Option<DateTime>) -> Result<(), Unsupported> {
        match order {
            Order::Tariff(tariff) => Ok(check_start(tariff.effective_from, clock, &self.profile)?),
            Order::Valve(_) | Order::Clock(_) => Ok(()),
        }
    }

    pub(crate) async fn tell(&mut self, line: &mut dyn Line, order: &Order) -> Result<Observed, Fault> {
        self.course_of(order).map_err(|error| unwritten(&error))?;
        let profile = Arc::clone(&self.profile);
        let request = request_of(order, &profile).map_err(|error| unwritten(&error))?;
        match order {
            Order::Tariff(_) => {
                let before = self.read_either(line).await?;
                self.fits(order, before.meter_time).map_err(|error| unwritten(&error))?;
            }
            _ if self.must_find_order() => {
                self.read_either(line).await?;
            }
            _ => {}
        }
        let reply = self.written(line, &request, None).await?;
        Ok(shown(&reply, &profile))
    }

    pub(crate) async fn look(&mut self, line: &mut dyn Line, order: &Order) -> Result<Observed, Fault> {
        if self.address.is_shared() {
            return Err(Fault::refused(format!("{} is not the address of one meter", self.address)));
        }
        let profile = Arc::clone(&self.profile);
        match (order, Request::read_valve(&profile)) {
            (Order::Valve(_), Ok(request)) => {
                let reply = self.reply(line, &request).await?;
                reply.written(&profile)?;
                Ok(shown(&reply, &profile))
            }
            (Order::Tariff(tariff), _) => {
                let reply = self.reply(line, &Request::price_table()).await?;
                let table = reply.price_table(&profile)?;
                let number = Some(reply.address.number());
                Ok(Observed {
                    tariff: Some(steps_of(&table, tariff, &profile)),
                    number,
                    ..Observed::default()
                })
            }
            (Order::Valve(_) | Order::Clock(_), _) => {
                let Answer { identity, meter_time, status, .. } = self.read_either(line).await?;
                let (valve, number) = (status.valve, identity.number);
                Ok(Observed { valve, meter_time, number, ..Observed::default() })
            }
        }
    }
}

fn request_of(order: &Order, profile: &Profile) -> Result<Request, Inexpressible> {
    match order {
        Order::Valve(valve) => Request::turn_valve(*valve, profile),
        Order::Clock(time) => Request::write_clock(*time, profile),
        Order::Tariff(tariff) => {
            let day = tariff.effective_from.day().unsigned_abs();
            Request::write_price_table(&table_of(tariff, profile)?, day, profile)
        }
    }
}

/// The table that charges exactly as the tariff does.
fn table_of(tariff: &Tariff, profile: &Profile) -> Result<PriceTable, Inexpressible> {
    let [first, behind @ ..] = tariff.steps.as_slice() else {
        return Err(Inexpressible::new("the tariff has no step"));
    };
    if first.from_m3.digits() != 0 {
        return Err(Inexpressible::new(format!("the first step begins at {} m3, not at 0", first.from_m3)));
    }
    if tariff.steps.len() > PRICES {
        let count = tariff.steps.len();
        return Err(Inexpressible::new(format!("the tariff has {count} steps, the meter {PRICES}")));
    }
    let falls = |pair: &[TariffStep]| matches!(pair, [low, high] if low.from_m3 >= high.from_m3);
    if tariff.steps.windows(2).any(falls) {
        return Err(Inexpressible::new("the tariff's steps do not rise"));
    }
    let end = Number::scaled(STEP_MAX, -i32::from(profile.step_places))
        .map_err(|error| Inexpressible::new(error.to_string()))?;
    let step = |index: usize| behind.get(index).map_or(end, |step| step.from_m3);
    let price = |index: usize| behind.get(index).or(behind.last()).unwrap_or(first).price;
    Ok(PriceTable { prices: [first.price, price(0), price(1)], steps: [step(0), step(1)] })
}

/// The table as steps: all three, or as many as the tariff has where it is that tariff's table.
fn steps_of(table: &PriceTable, ordered: &Tariff, profile: &Profile) -> Vec<TariffStep> {
    let is_ordered = table_of(ordered, profile).is_ok_and(|wanted| wanted == *table);
    let [second, third] = table.steps;
    let from = [Number::scaled(0, 0).unwrap_or(second), second, third];
    let steps = from.into_iter().zip(table.prices).map(|(from_m3, price)| TariffStep { from_m3, price });
    steps.take(if is_ordered { ordered.steps.len() } else { PRICES }).collect()
}

/// Whether the meter will understand this day, by its own clock.
fn check_start(from: Date, clock: Option<DateTime>, profile: &Profile) -> Result<(), Inexpressible> {
    let Some(today) = clock.map(DateTime::date) else {
        return Err(Inexpressible::new("the meter tells no time, so nobody knows when it would begin"));
    };
    if profile.price_start_day {
        // Within less than a month each number of a day occurs once.
        if from <= today || from >= today.saturating_add(1.month()) {
            return Err(Inexpressible::new(format!(
                "the meter's start day is a day of the month: from {today} on, by its clock, it cannot mean {from}"
            )));
        }
    } else if from != today {
        return Err(Inexpressible::new(format!(
            "the prices would count at once, {today} by the meter's clock"
        )));
    }
    Ok(())
}

/// What an answer to a write or to `valve.read` shows. What is not legible in it shows nothing.
fn shown(reply: &Reply, profile: &Profile) -> Observed {
    let status = reply.written(profile).ok().and_then(|written| written.status);
    Observed {
        valve: status.and_then(|status| status.valve),
        number: Some(reply.address.number()),
        ..Observed::default()
    }
}

fn unwritten(why: &dyn std::fmt::Display) -> Fault {
    Fault::refused(format!("nothing was written: {why}"))
}
