//! Waiting for a condition, never for a while.
//!
//! A condition outside this process cannot wake us, so it is looked at again and again. The time allowed is only
//! there to end a test that would hang: make it generous, it costs nothing when all is well.

use std::time::{Duration, Instant};

/// Short beside everything waited for, long enough to leave the machine to those who work.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// The moment at which waiting becomes failing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    end: Instant,
}

impl Deadline {
    /// A deadline `time` from now.
    #[expect(clippy::disallowed_methods, reason = "a test's patience is not the daemon's clock")]
    pub(crate) fn within(time: Duration) -> Self {
        Self { end: Instant::now() + time }
    }

    /// What is left of it; zero once it is over.
    #[expect(clippy::disallowed_methods, reason = "a test's patience is not the daemon's clock")]
    pub(crate) fn left(self) -> Duration {
        self.end.saturating_duration_since(Instant::now())
    }

    pub(crate) fn is_over(self) -> bool {
        self.left().is_zero()
    }
}

/// Probes until there is an answer. Panics, naming `what`, when there is none within `time`.
#[track_caller]
pub(crate) fn wait_for<T>(what: &str, time: Duration, mut probe: impl FnMut() -> Option<T>) -> T {
    let deadline = Deadline::within(time);
    loop {
        if let Some(answer) = probe() {
            return answer;
        }
        assert!(!deadline.is_over(), "waited {time:?} in vain for {what}");
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// [`wait_for`] something that is true or not yet.
#[track_caller]
pub(crate) fn wait_until(what: &str, time: Duration, mut is_so: impl FnMut() -> bool) {
    wait_for(what, time, || is_so().then_some(()));
}
