//! What the measuring programs share: an outbox full of readings, what the kernel counts of a process, and the middle
//! of several figures.
//!
//! Deliberately no statistics beyond median, least and greatest: with five rounds there is nothing more to know.
#![allow(dead_code, reason = "each measuring program uses its own part")]

pub(crate) mod kernel;
pub(crate) mod readings;

use std::fmt;

/// Several measurements of one thing.
#[derive(Clone, Debug)]
pub(crate) struct Rounds(Vec<f64>);

impl Rounds {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn add(&mut self, figure: f64) {
        self.0.push(figure);
        self.0.sort_by(f64::total_cmp);
    }

    /// The one in the middle; the lower one of two.
    pub(crate) fn median(&self) -> f64 {
        self.0.get(self.0.len().saturating_sub(1) / 2).copied().unwrap_or(f64::NAN)
    }

    pub(crate) fn least(&self) -> f64 {
        self.0.first().copied().unwrap_or(f64::NAN)
    }

    pub(crate) fn greatest(&self) -> f64 {
        self.0.last().copied().unwrap_or(f64::NAN)
    }
}

/// `median (least to greatest)`, with the precision asked for.
impl fmt::Display for Rounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(0);
        write!(f, "{:.digits$} ({:.digits$} to {:.digits$})", self.median(), self.least(), self.greatest())
    }
}

/// So many in a second.
#[expect(clippy::cast_precision_loss, reason = "figures for people")]
pub(crate) fn per(count: u64, seconds: f64) -> f64 {
    count as f64 / seconds
}

/// One count as a share of another.
#[expect(clippy::cast_precision_loss, reason = "figures for people")]
pub(crate) fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}
