//! Proof that a loop still turns.
//!
//! Each loop that must not stop (every line, the outbox's thread, every drain, the timekeeper) holds a [`Pulse`] and beats it once a
//! turn. Whoever feeds the service manager's watchdog asks [`Pulse::age`]. A loop that waits for work still turns: it
//! wakes up at least once in its own bound to beat.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::{self, Moment};

/// The last time a loop turned. Cheap to clone; all clones are one pulse.
#[derive(Clone, Debug)]
pub struct Pulse {
    name: Arc<str>,
    /// Nanoseconds since boot.
    last: Arc<AtomicU64>,
}

impl Pulse {
    /// A pulse that beats now for the first time. The name says which loop it is, for the log.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        let pulse = Self { name: name.into(), last: Arc::default() };
        pulse.beat();
        pulse
    }

    /// The loop turned.
    pub fn beat(&self) {
        let since_boot = u64::try_from(clock::now().since_boot().as_nanos()).unwrap_or(u64::MAX);
        self.last.store(since_boot, Ordering::Relaxed);
    }

    /// Time since the loop last turned.
    pub fn age(&self) -> Duration {
        let last = Moment::from_boot(Duration::from_nanos(self.last.load(Ordering::Relaxed)));
        clock::now().since(last)
    }

    /// Which loop it is.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// Looks at a pulse at regular times and counts how often in a row it had not beaten.
///
/// It counts its own looks and not the time: after the machine was suspended or the process stopped, every pulse is old and
/// nothing is wrong.
#[derive(Debug)]
pub struct Looks {
    pulse: Pulse,
    last: u64,
    in_vain: u32,
}

impl Looks {
    /// Begins to look at this pulse.
    pub fn at(pulse: Pulse) -> Self {
        let last = pulse.last.load(Ordering::Relaxed);
        Self { pulse, last, in_vain: 0 }
    }

    /// One more look: how many in a row, this one included, found no beat since the one before.
    pub fn look(&mut self) -> u32 {
        let last = self.pulse.last.load(Ordering::Relaxed);
        self.in_vain = if last == self.last { self.in_vain.saturating_add(1) } else { 0 };
        self.last = last;
        self.in_vain
    }

    /// What is looked at.
    pub fn pulse(&self) -> &Pulse {
        &self.pulse
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_in_vain_are_counted_until_the_next_beat() {
        let pulse = Pulse::new("loop");
        let mut looks = Looks::at(pulse.clone());
        assert_eq!([looks.look(), looks.look()], [1, 2]);
        let then = pulse.age();
        while pulse.age() <= then {}
        pulse.beat();
        assert_eq!([looks.look(), looks.look()], [0, 1]);
    }
}
