//! What the demo remembers from one moment to the next: the outbox's depth, and how busy the lines were.

use std::collections::VecDeque;
use std::time::Duration;

use crate::line::LineStatus;

/// Samples of the outbox's depth, one a second: as many as a wide terminal has columns.
const DEPTHS_MAX: usize = 300;
/// A line's load is told over this many seconds.
const LOAD_SECONDS: usize = 15;
/// A sample of depth and loads is taken so often.
const SAMPLE_EVERY: Duration = Duration::from_secs(1);

/// What is remembered from one moment to the next.
#[derive(Debug, Default)]
pub(super) struct History {
    due: Duration,
    /// How many readings waited, the latest last.
    pub(super) depths: VecDeque<u64>,
    /// Of every line: milliseconds run and busy.
    times: VecDeque<Vec<(u64, u64)>>,
}

impl History {
    /// Takes a sample when it is time.
    pub(super) fn sample(&mut self, running: Duration, depth: u64, lines: &[LineStatus]) {
        if running < self.due {
            return;
        }
        self.due = running + SAMPLE_EVERY;
        push(&mut self.depths, depth, DEPTHS_MAX);
        let times = lines.iter().map(|line| (line.running_ms, line.busy_ms)).collect();
        push(&mut self.times, times, LOAD_SECONDS + 1);
    }

    /// How busy each line was over the samples that are kept.
    pub(super) fn loads(&self, lines: usize) -> Vec<f64> {
        let (Some(first), Some(last)) = (self.times.front(), self.times.back()) else {
            return vec![0.0; lines];
        };
        let share = |((run, busy), (run_now, busy_now)): (&(u64, u64), &(u64, u64))| {
            let [run, busy] = [run_now.saturating_sub(*run), busy_now.saturating_sub(*busy)];
            Duration::from_millis(busy).as_secs_f64() / Duration::from_millis(run.max(1)).as_secs_f64()
        };
        first.iter().zip(last).map(share).collect()
    }
}

fn push<T>(samples: &mut VecDeque<T>, sample: T, samples_max: usize) {
    if samples.len() >= samples_max {
        samples.pop_front();
    }
    samples.push_back(sample);
}

#[cfg(test)]
mod tests {
    use super::super::view::tests::snapshot;
    use super::*;

    #[test]
    fn a_line_that_falls_idle_is_seen_idle_within_the_window() {
        let mut lines = snapshot().lines;
        let mut history = History::default();
        for second in 0..40 {
            for line in &mut lines {
                line.running_ms += 1000;
                line.busy_ms += if second < 20 { 500 } else { 0 };
            }
            // Looked at twice a second, sampled once.
            for half in [0, 500] {
                history.sample(Duration::from_millis(second * 1000 + half), second, &lines);
            }
            if second == 19 {
                assert_eq!(history.loads(3), [0.5; 3]);
            }
        }
        assert_eq!(history.loads(3), [0.0; 3]);
        assert_eq!(history.depths, (0..40).collect::<Vec<_>>());
    }

    #[test]
    fn nothing_grows_for_ever() {
        let mut history = History::default();
        for second in 0..10_000 {
            history.sample(Duration::from_secs(second), second, &[]);
        }
        assert_eq!((history.depths.len(), history.times.len()), (DEPTHS_MAX, LOAD_SECONDS + 1));
        assert_eq!(history.loads(0), [0.0; 0]);
    }
}
