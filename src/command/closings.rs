//! When valves were last closed: what the limits on closings count.
//!
//! Counted by the wall clock, for the limits outlive a restart. A closing that seems to lie in the future counts as recent:
//! after the clock was set back there are rather too few closings than too many. A clock that leaps ahead by a day frees the
//! limits, so they hold against a stolen key and not against one who steers the gateway's clock as well.

use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp};

use crate::limits::CLOSINGS_MAX;

/// The latest closings, as many as any limit could count.
#[derive(Clone, Debug, Default)]
pub struct Closings {
    times: VecDeque<Timestamp>,
}

impl Closings {
    /// A closing is about to go on its line. Whether it will be carried out does not matter.
    pub fn note(&mut self, at: Timestamp) {
        if self.times.len() >= usize::try_from(CLOSINGS_MAX).unwrap_or(usize::MAX) {
            self.times.pop_front();
        }
        self.times.push_back(at);
    }

    /// How many there were within this time before now, and after now.
    pub fn within(&self, window: SignedDuration, now: Timestamp) -> usize {
        self.times.iter().filter(|at| now.duration_since(**at) < window).count()
    }
}

impl FromIterator<Timestamp> for Closings {
    /// Of closings that are known, in their order.
    fn from_iter<T: IntoIterator<Item = Timestamp>>(times: T) -> Self {
        let mut closings = Self::default();
        times.into_iter().for_each(|at| closings.note(at));
        closings
    }
}
