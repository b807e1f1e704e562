//! How much of a line's time its meters will take: a pure sum over what their drivers say that they exchange.
//!
//! A read costs, for each of its exchanges, the silence owed before it, the request and the answer at the wire's speed, and
//! the meter's delay before it answers. With the shortest answers that delay is nothing, which no schedule can beat. With
//! typical ones it is a quarter of the answer window, at most 50 ms, which is what good meters keep to. Repeats, meters
//! that do not answer, and commands come on top: a line should not be planned above some 80 %.

use std::fmt;
use std::time::Duration;

use weir_meter::Load;

use super::quantity::Shown;
use crate::line;

/// The share of the answer window that a typical meter takes before it answers.
const DELAY_SHARE: u32 = 4;
/// No more than this, however generous the window.
const DELAY_MAX: Duration = Duration::from_millis(50);
const DAY_SECS: f64 = 86_400.0;
/// Longer line names are cut in the table.
const NAME_WIDTH_MAX: usize = 24;

/// What each line's load will be.
#[derive(Clone, Debug, PartialEq)]
pub struct Forecast {
    /// In the order of the configuration.
    pub lines: Vec<LineForecast>,
}

/// What one line's load will be.
#[derive(Clone, Debug, PartialEq)]
pub struct LineForecast {
    /// The line's name.
    pub name: String,
    /// How many meters are on it.
    pub meters: usize,
    /// Reads an hour, on the average of a day.
    pub reads_per_hour: f64,
    /// How long it takes to read each of its meters once, with typical answers.
    pub round: Duration,
    /// Share of the time that the line is busy with the shortest answers there can be; 1.0 is all of it.
    pub shortest: f64,
    /// The same with typical answers.
    pub typical: f64,
}

impl LineForecast {
    /// [`shortest`](Self::shortest) in percent.
    pub fn shortest_percent(&self) -> String {
        format!("{:.1} %", self.shortest * 100.0)
    }

    /// [`typical`](Self::typical) in percent.
    pub fn typical_percent(&self) -> String {
        format!("{:.1} %", self.typical * 100.0)
    }
}

/// The load of these lines.
pub fn forecast(lines: &[line::Config]) -> Forecast {
    Forecast { lines: lines.iter().map(of_line).collect() }
}

fn of_line(line: &line::Config) -> LineForecast {
    let mut sum = LineForecast {
        name: line.name.clone(),
        meters: line.meters.len(),
        reads_per_hour: 0.0,
        round: Duration::ZERO,
        shortest: 0.0,
        typical: 0.0,
    };
    for meter in &line.meters {
        let reads_per_day = reads_per_day(meter);
        let (shortest, typical) = read_times(meter);
        sum.reads_per_hour += reads_per_day / 24.0;
        sum.round += typical;
        sum.shortest += shortest.as_secs_f64() * reads_per_day / DAY_SECS;
        sum.typical += typical.as_secs_f64() * reads_per_day / DAY_SECS;
    }
    sum
}

fn reads_per_day(meter: &line::Meter) -> f64 {
    let slots = (DAY_SECS / meter.every.as_secs_f64().max(0.001)).ceil();
    meter.reads_per_day_max.map_or(slots, |budget| slots.min(f64::from(budget)))
}

/// How long one read takes, with the shortest answers and with typical ones.
fn read_times(meter: &line::Meter) -> (Duration, Duration) {
    let timing = meter.driver.timing(&meter.serial);
    let window = meter.answer_window.unwrap_or(timing.answer_window);
    let delay = (window / DELAY_SHARE).min(DELAY_MAX);
    let wire = |load: &Load, answer: usize| {
        timing.silence + meter.serial.characters(load.request.saturating_add(answer))
    };
    let loads = meter.driver.load();
    let shortest = loads.iter().map(|load| wire(load, load.shortest_answer)).sum();
    let typical = loads.iter().map(|load| wire(load, load.typical_answer) + delay).sum();
    (shortest, typical)
}

impl fmt::Display for Forecast {
    /// A table, one row a line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.lines.iter().map(|line| line.name.chars().count()).max().unwrap_or(0);
        let width = width.clamp("line".len(), NAME_WIDTH_MAX);
        let head = ("line", "meters", "reads/h", "one round", "shortest", "typical");
        writeln!(
            f,
            "{:width$}  {:>6}  {:>8}  {:>12}  {:>8}  {:>8}",
            head.0, head.1, head.2, head.3, head.4, head.5
        )?;
        for line in &self.lines {
            let name: String = line.name.chars().take(width).collect();
            // Tenths of a second below ten seconds, whole seconds above.
            let step_ms = if line.round < Duration::from_secs(10) { 100 } else { 1000 };
            let steps = u64::try_from(line.round.as_millis() / step_ms).unwrap_or(u64::MAX);
            let round =
                Shown(Duration::from_millis(steps.saturating_mul(if step_ms == 100 { 100 } else { 1000 })));
            writeln!(
                f,
                "{name:width$}  {:>6}  {:>8.1}  {:>12}  {:>8}  {:>8}",
                line.meters,
                line.reads_per_hour,
                round.to_string(),
                line.shortest_percent(),
                line.typical_percent()
            )?;
        }
        Ok(())
    }
}
