//! All time in the daemon: the wall clock and how far it can be trusted, the time since boot, and exact waits.
//!
//! Two clocks, never mixed. *Wall time* is for people and for schedules; it jumps, and starts at 1970 on a box without a
//! battery clock. *Moments* count from the machine's boot, also while it is suspended, and never jump; every wait and
//! every age is one of those.
//!
//! Tokio's timer counts in milliseconds and overshoots a 3.6 ms wait by 1.3 ms (measured), which at 9600 Bd is more than
//! a character of silence. An [`Alarm`] is a timerfd instead and is exact to some tens of microseconds.

use std::io;
use std::ops::Add;
use std::time::Duration;

use jiff::Timestamp;
use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime,
    timerfd_create, timerfd_settime,
};
use tokio::io::unix::AsyncFd;

/// A point on the clock that counts from boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(Duration);

impl Moment {
    /// The moment this long after boot.
    pub const fn from_boot(since_boot: Duration) -> Self {
        Self(since_boot)
    }

    /// Time since boot.
    pub const fn since_boot(self) -> Duration {
        self.0
    }

    /// Time from `earlier` to this; zero when it is not earlier.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }
}

/// The moment it is.
pub fn now() -> Moment {
    let time = clock_gettime(ClockId::Boottime);
    Moment(Duration::new(
        time.tv_sec.try_into().unwrap_or_default(),
        time.tv_nsec.try_into().unwrap_or_default(),
    ))
}

/// The wall time, to the millisecond, as the machine believes it.
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the wall clock")]
pub fn wall() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
}

/// Whether the kernel holds the wall clock for synchronised (by NTP or whatever else steers it).
pub fn is_synced() -> bool {
    crate::sys::clock_is_synchronised()
}

/// A number for this boot of the machine, from the kernel's boot id; 0 where there is none to read.
pub fn boot() -> u32 {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.get(..8).and_then(|hex| u32::from_str_radix(hex, 16).ok()).unwrap_or_default()
}

/// A timer that is exact below a millisecond. Each task that needs one owns one.
#[derive(Debug)]
pub struct Alarm {
    timer: AsyncFd<std::os::fd::OwnedFd>,
}

impl Alarm {
    /// A new alarm, not yet set.
    ///
    /// # Errors
    /// When the process has no descriptor left, or no Tokio runtime with I/O is running.
    pub fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        Ok(Self { timer: crate::sys::watch_descriptor(timerfd_create(TimerfdClockId::Boottime, flags)?)? })
    }

    /// Waits until this moment; returns at once when it has passed. Safe to drop half-way and to call again.
    pub async fn until(&mut self, moment: Moment) {
        if moment <= now() || self.set(moment).is_err() {
            return;
        }
        // The timer is re-armed by every call, so an expiry left over from a dropped wait is cleared by `set`.
        while let Ok(mut ready) = self.timer.readable().await {
            if moment <= now() {
                return;
            }
            ready.clear_ready();
        }
    }

    fn set(&self, moment: Moment) -> io::Result<()> {
        let at = Timespec {
            tv_sec: i64::try_from(moment.0.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: moment.0.subsec_nanos().into(),
        };
        let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: at };
        timerfd_settime(self.timer.get_ref(), TimerfdTimerFlags::ABSTIME, &once)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_alarm_never_rings_early_and_can_be_set_again() {
        let mut alarm = Alarm::new().unwrap();
        for wait_us in [200, 3_600, 50, 12_000] {
            let due = now() + Duration::from_micros(wait_us);
            alarm.until(due).await;
            assert!(now() >= due);
        }
    }

    #[tokio::test]
    async fn a_wait_that_was_dropped_does_not_shorten_the_next() {
        let mut alarm = Alarm::new().unwrap();
        let soon = now() + Duration::from_millis(1);
        tokio::select! {
            biased;
            () = alarm.until(soon) => {}
            () = std::future::ready(()) => {}
        }
        let due = now() + Duration::from_millis(8);
        alarm.until(due).await;
        assert!(now() >= due);
    }
}
