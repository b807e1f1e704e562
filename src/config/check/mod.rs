//! The second stage: what was typed becomes what the rooms are made with, or it is said what is wrong with it.
//!
//! Nothing stops at a fault. A value that cannot be is reported and then taken for its default, so that the rest is
//! checked as well and nothing is reported that only follows from it. Nothing is opened but profiles.

mod commands;
mod gateway;
mod lines;
mod meters;
mod names;
mod schedule;
mod secured;
mod selection;
mod uplink;

use std::ops::RangeInclusive;
use std::time::Duration;

use super::file::Typed;
use super::notice::Findings;
use super::quantity::{Shown, show_size};
use super::source::At;
use super::{Checked, forecast};

/// Checks everything. `None` when there are faults.
pub(super) fn check(typed: &Typed, findings: &mut Findings) -> Option<Checked> {
    let gateway = gateway::gateway(typed.gateway.as_ref(), findings);
    let outbox = gateway::outbox(&typed.outbox, gateway.as_ref(), findings);
    let uplink = uplink::uplink(typed.uplink.as_ref(), findings);
    let zone = gateway.as_ref().map(|gateway| gateway.time_zone.clone()).unwrap_or(jiff::tz::TimeZone::UTC);
    let mut lines = lines::lines(&typed.lines, &zone, findings);
    meters::meters(typed, &mut lines, findings);
    lines::finish(&lines, findings);
    let commands = commands::commands(typed, gateway.as_ref(), &outbox, uplink.as_ref(), &lines, findings);
    let lines: Vec<_> = lines.into_iter().map(|draft| draft.config).collect();
    if findings.has_faults() {
        return None;
    }
    let forecast = forecast::forecast(&lines);
    lines::judge(&forecast, &typed.lines, findings);
    let checked = Checked { gateway: gateway?, outbox, uplink: uplink?, commands, lines, forecast };
    Some(checked)
}

/// The value if it lies in the range; a fault otherwise.
fn within<T: PartialOrd + Copy>(
    key: &str,
    value: Option<&At<T>>,
    range: RangeInclusive<T>,
    show: impl Fn(T) -> String,
    findings: &mut Findings,
) -> Option<T> {
    let at = value?;
    if range.contains(&at.value) {
        return Some(at.value);
    }
    let message = format!("`{key}` is {}, outside its range", show(at.value));
    let hint = format!("from {} to {}", show(*range.start()), show(*range.end()));
    findings.fault(&at.place, message).hint(hint);
    None
}

/// [`within`] for durations.
fn duration_within(
    key: &str,
    value: Option<&At<Duration>>,
    range: RangeInclusive<Duration>,
    findings: &mut Findings,
) -> Option<Duration> {
    within(key, value, range, |duration| Shown(duration).to_string(), findings)
}

/// [`within`] for sizes in bytes.
fn size_within(
    key: &str,
    value: Option<&At<u64>>,
    range: RangeInclusive<u64>,
    findings: &mut Findings,
) -> Option<u64> {
    within(key, value, range, show_size, findings)
}

/// [`within`] for whole numbers that fit their type once they lie in the range.
fn number_within(
    key: &str,
    value: Option<&At<i64>>,
    range: RangeInclusive<u32>,
    unit: &str,
    findings: &mut Findings,
) -> Option<u32> {
    let range = i64::from(*range.start())..=i64::from(*range.end());
    let show = |number: i64| format!("{number}{unit}");
    within(key, value, range, show, findings).and_then(|number| u32::try_from(number).ok())
}
