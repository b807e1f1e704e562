//! How often a meter is read: slots, budgets, and what does not go together.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::super::file::Shared;
use super::super::notice::Findings;
use super::super::quantity::Shown;
use super::super::source::At;
use super::{duration_within, number_within};

/// A quarter of an hour is what utilities bill and balance by.
const EVERY: Duration = Duration::from_secs(15 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Below a second a meter's answer is hardly over before the next read; slots begin anew each midnight, so more than a day
/// would be a day.
const EVERIES: RangeInclusive<Duration> = Duration::from_secs(1)..=DAY;

/// When one meter is read.
pub(super) struct Schedule {
    pub(super) every: Duration,
    pub(super) offset: Duration,
    pub(super) reads_per_day_max: Option<u32>,
}

/// Checks the keys that say when a meter is read; its own and those of its line together.
pub(super) fn schedule(typed: &Shared, findings: &mut Findings) -> Schedule {
    let every = duration_within("every", typed.every.as_ref(), EVERIES, findings).unwrap_or(EVERY);
    let offset = duration_within("offset", typed.offset.as_ref(), Duration::ZERO..=DAY, findings);
    if let Some(at) = &typed.every {
        warn_of_short_slot(every, at, findings);
    }
    if let (Some(at), Some(true)) = (&typed.offset, offset.map(|offset| offset >= every)) {
        let message = format!("`offset` is {}, not less than `every`, {}", Shown(at.value), Shown(every));
        findings
            .fault(&at.place, message)
            .hint("it moves the slots, and from one slot to the next there is no more room");
    }
    let budget =
        number_within("reads_per_day_max", typed.reads_per_day_max.as_ref(), 1..=86_400, "", findings);
    if let (Some(at), Some(budget)) = (&typed.reads_per_day_max, budget) {
        warn_of_small_budget(every, budget, at, findings);
    }
    Schedule { every, offset: offset.unwrap_or_default(), reads_per_day_max: budget }
}

/// Slots of a day.
fn slots_per_day(every: Duration) -> u128 {
    DAY.as_nanos().div_ceil(every.as_nanos().max(1))
}

fn divides_a_day(every: Duration) -> bool {
    every.as_nanos() > 0 && DAY.as_nanos().is_multiple_of(every.as_nanos())
}

fn warn_of_short_slot(every: Duration, at: &At<Duration>, findings: &mut Findings) {
    if divides_a_day(every) || !EVERIES.contains(&at.value) {
        return;
    }
    let whole = (slots_per_day(every) - 1) * every.as_nanos();
    let rest = u64::try_from(DAY.as_nanos() - whole).map_or(every, Duration::from_nanos);
    let message = format!(
        "a day is no whole number of {}: slots begin anew at midnight, so the last one of each day is {} long",
        Shown(every),
        Shown(rest)
    );
    let near: Vec<_> = [dividing_below(every), dividing_from(every)]
        .into_iter()
        .flatten()
        .map(|near| format!("\"{}\"", Shown(near)))
        .collect();
    findings.warn(&at.place, message).hint(format!("a day divides by {}", near.join(" and ")));
}

/// In whole minutes from two minutes on, in whole seconds below: what a person would choose.
fn step(every: Duration) -> u64 {
    if every >= Duration::from_secs(120) { 60 } else { 1 }
}

/// The shortest time from this one on that divides a day.
pub(super) fn dividing_from(every: Duration) -> Option<Duration> {
    let step = step(every);
    let first = every.as_nanos().div_ceil(u128::from(step) * 1_000_000_000);
    let first = u64::try_from(first).ok()?.max(1);
    (first..=DAY.as_secs() / step)
        .map(|count| Duration::from_secs(count * step))
        .find(|near| divides_a_day(*near))
}

fn dividing_below(every: Duration) -> Option<Duration> {
    let step = step(every);
    let last = every.as_secs() / step;
    (1..=last).rev().map(|count| Duration::from_secs(count * step)).find(|near| divides_a_day(*near))
}

fn warn_of_small_budget(every: Duration, budget: u32, at: &At<i64>, findings: &mut Findings) {
    let slots = slots_per_day(every);
    if slots <= u128::from(budget) {
        return;
    }
    let fitting = dividing_from(DAY / budget).map_or(DAY, |fitting| fitting.max(every));
    let message =
        format!("every {} there are {slots} slots a day, and {budget} reads are allowed", Shown(every));
    let hint = format!("`every = \"{}\"` fits; as it is, slots beyond the budget stay empty", Shown(fitting));
    findings.warn(&at.place, message).hint(hint);
}
