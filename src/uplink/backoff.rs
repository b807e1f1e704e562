//! How long to wait before the next attempt. Pure: the caller waits.
//!
//! Decorrelated jitter: each pause is drawn between the shortest pause and three times the one before, up to a cap. A
//! thousand gateways that lost the same broker in the same second spread out from their first attempt on, which fixed
//! doubling with a little noise does not achieve.

use std::time::Duration;

use fastrand::Rng;

/// The shortest and the longest pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    min: Duration,
    max: Duration,
}

impl Bounds {
    /// The bounds; a longest pause below the shortest is raised to it, and none is shorter than a millisecond, so
    /// that no setting makes a loop without a pause.
    pub fn new(min: Duration, max: Duration) -> Self {
        let min = min.max(Duration::from_millis(1));
        Self { min, max: max.max(min) }
    }
}

impl Default for Bounds {
    /// Half a second to half a minute: the broker's return is noticed soon, and a thousand gateways that wait for it
    /// are some tens of attempts a second.
    fn default() -> Self {
        Self::new(Duration::from_millis(500), Duration::from_secs(30))
    }
}

/// The pauses of one lane.
#[derive(Clone, Debug)]
pub struct Backoff {
    bounds: Bounds,
    last: Duration,
    random: Rng,
}

impl Backoff {
    /// No pause was made yet.
    pub fn new(bounds: Bounds, random: Rng) -> Self {
        Self { bounds, last: bounds.min, random }
    }

    /// The next pause, within the bounds.
    pub fn pause(&mut self) -> Duration {
        let longest = self.last.saturating_mul(3).min(self.bounds.max);
        self.last = self.bounds.min + self.part_of(longest.saturating_sub(self.bounds.min));
        self.last
    }

    /// Something got through: the next pause is a short one again.
    pub fn reset(&mut self) {
        self.last = self.bounds.min;
    }

    /// A random part of this time.
    pub fn part_of(&mut self, time: Duration) -> Duration {
        time.mul_f64(self.random.f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIN: Duration = Duration::from_millis(500);
    const MAX: Duration = Duration::from_secs(30);

    fn backoff(seed: u64) -> Backoff {
        Backoff::new(Bounds::new(MIN, MAX), Rng::with_seed(seed))
    }

    #[test]
    fn every_pause_is_within_the_bounds_and_grows_at_most_threefold() {
        for seed in 0..200 {
            let mut backoff = backoff(seed);
            let mut before = MIN;
            for _ in 0..50 {
                let pause = backoff.pause();
                assert!(pause >= MIN && pause <= MAX && pause <= before * 3, "{pause:?} after {before:?}");
                before = pause;
            }
        }
    }

    #[test]
    fn a_long_outage_ends_in_long_pauses_and_progress_in_short_ones() {
        let mut total = Duration::ZERO;
        for seed in 0..200 {
            let mut backoff = backoff(seed);
            for _ in 0..20 {
                backoff.pause();
            }
            total += backoff.pause();
            backoff.reset();
            assert!(backoff.pause() <= MIN * 3);
        }
        assert!(total / 200 > MAX / 4, "mean {:?}", total / 200);
    }

    #[test]
    fn gateways_that_failed_together_do_not_come_back_together() {
        let mut first: Vec<_> = (0..1000).map(|seed| backoff(seed).pause()).collect();
        first.sort_unstable();
        for tenth in first.chunks(100) {
            let width = tenth[tenth.len() - 1] - tenth[0];
            assert!(width < Duration::from_millis(200) && width > Duration::from_millis(50), "{width:?}");
        }
    }

    #[test]
    fn bounds_that_contradict_each_other_still_make_a_pause() {
        let mut backoff = Backoff::new(Bounds::new(Duration::ZERO, Duration::ZERO), Rng::with_seed(1));
        assert_eq!(backoff.pause(), Duration::from_millis(1));
        let mut backoff =
            Backoff::new(Bounds::new(Duration::from_secs(9), Duration::from_secs(1)), Rng::with_seed(1));
        assert_eq!(backoff.pause(), Duration::from_secs(9));
        backoff = Backoff::new(Bounds::new(Duration::from_secs(1), Duration::MAX), Rng::with_seed(1));
        for _ in 0..200 {
            backoff.pause();
        }
    }
}
