//! All time in the daemon: the wall clock and how far it can be trusted, the time since boot, and exact waits.
//!
//! Two clocks, never mixed. *Wall time* is for people and for schedules; it jumps, and starts at 1970 on a box without a
//! battery clock. *Moments* count from the machine's boot, also while it is suspended, and never jump; every wait and
//! every age is one of those.
//!
//! The wall clock is *trusted* when the kernel holds it for synchronised and it does not show a time before the *floor*,
//! one that is certainly past. Who keeps the floor, and says when trust begins, is `timekeeper`.
//!
//! Tokio's timer counts in milliseconds and overshoots a 3.6 ms wait by 1.3 ms (measured), which at 9600 Bd is more than
//! a character of silence. An [`Alarm`] is a timerfd instead and is exact to some tens of microseconds.

use std::io;
use std::ops::Add;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime,
    timerfd_create, timerfd_settime,
};
use tokio::io::unix::AsyncFd;
use weir_wire::Clock;

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
    #[cfg(test)]
    if let Some((moment, _)) = simulated::read() {
        return moment;
    }
    let time = clock_gettime(ClockId::Boottime);
    Moment(Duration::new(
        time.tv_sec.try_into().unwrap_or_default(),
        time.tv_nsec.try_into().unwrap_or_default(),
    ))
}

/// The wall time, to the millisecond, as the machine believes it.
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the wall clock")]
pub fn wall() -> Timestamp {
    #[cfg(test)]
    if let Some((_, wall)) = simulated::read() {
        return wall;
    }
    let now = Timestamp::now();
    Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
}

/// When something is, by every clock there is: what a record is dated with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dated {
    /// The wall time as the machine believes it.
    pub wall: Timestamp,
    /// How far that can be trusted; never [`Clock::Mended`].
    pub clock: Clock,
    /// The boot.
    pub boot: u32,
    /// Milliseconds since that boot.
    pub uptime_ms: u64,
}

/// When it is now.
pub fn dated() -> Dated {
    // First whether and then what: a clock that is set in between is not taken for having been set before.
    let is_synced = is_synced();
    let wall = wall();
    Dated {
        wall,
        clock: if is_synced && wall >= floor() { Clock::Synced } else { Clock::Unsynced },
        boot: boot(),
        uptime_ms: u64::try_from(now().since_boot().as_millis()).unwrap_or(u64::MAX),
    }
}

/// In milliseconds since 1970.
static FLOOR: AtomicI64 = AtomicI64::new(i64::MIN);

/// A wall clock that shows an earlier time than this is not trusted, whatever the kernel says.
pub fn floor() -> Timestamp {
    #[cfg(test)]
    if let Some(clocks) = simulated::clocks() {
        return clocks.floor;
    }
    Timestamp::from_millisecond(FLOOR.load(Ordering::Relaxed)).unwrap_or(Timestamp::MIN)
}

/// From now on no earlier time is trusted.
pub fn set_floor(floor: Timestamp) {
    #[cfg(test)]
    if simulated::set_floor(floor) {
        return;
    }
    FLOOR.store(floor.as_millisecond(), Ordering::Relaxed);
}

/// Whether the kernel holds the wall clock for synchronised (by NTP or whatever else steers it).
pub fn is_synced() -> bool {
    #[cfg(test)]
    if let Some(clocks) = simulated::clocks() {
        return clocks.is_synced;
    }
    crate::sys::clock_is_synchronised()
}

/// A number for this boot of the machine, from the kernel's boot id; 0 where there is none to read.
pub fn boot() -> u32 {
    #[cfg(test)]
    if let Some(clocks) = simulated::clocks() {
        return clocks.boot_id;
    }
    static BOOT: LazyLock<u32> = LazyLock::new(|| {
        let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        id.get(..8).and_then(|hex| u32::from_str_radix(hex, 16).ok()).unwrap_or_default()
    });
    *BOOT
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

/// For tests that live through weeks in a second: on a thread that asks for it, both clocks follow Tokio's, which jumps from
/// one timer to the next while it is paused.
#[cfg(test)]
pub(crate) mod simulated {
    use std::cell::Cell;

    use super::{Duration, Moment, Timestamp};

    #[derive(Clone, Copy)]
    pub(super) struct Clocks {
        pub(super) boot_id: u32,
        boot: tokio::time::Instant,
        pub(super) is_synced: bool,
        pub(super) floor: Timestamp,
        /// What the wall clock showed, and when.
        wall: (Timestamp, tokio::time::Instant),
    }

    thread_local! {
        static CLOCKS: Cell<Option<Clocks>> = const { Cell::new(None) };
    }

    /// From now on this thread's wall clock goes on from here; the first call is also the boot.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads Tokio's clock")]
    pub(crate) fn set_wall(wall: Timestamp) {
        let now = tokio::time::Instant::now();
        let first =
            Clocks { boot_id: 1, boot: now, is_synced: true, floor: Timestamp::MIN, wall: (wall, now) };
        CLOCKS.set(Some(Clocks { wall: (wall, now), ..CLOCKS.get().unwrap_or(first) }));
    }

    /// Tokio's moment, for waits until a point in simulated time.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads Tokio's clock")]
    pub(crate) fn instant() -> tokio::time::Instant {
        tokio::time::Instant::now()
    }

    /// The machine boots; each boot has its number.
    pub(crate) fn boot(wall: Timestamp) {
        let before = CLOCKS.take();
        set_wall(wall);
        change(|clocks| clocks.boot_id = before.map_or(1, |clocks| clocks.boot_id + 1));
    }

    /// Whether the kernel holds the clock for synchronised; it does when nobody says otherwise.
    pub(crate) fn set_synced(is_synced: bool) {
        change(|clocks| clocks.is_synced = is_synced);
    }

    /// Sets this thread's floor, if it lives on simulated time; whether it does.
    pub(super) fn set_floor(floor: Timestamp) -> bool {
        change(|clocks| clocks.floor = floor)
    }

    fn change(change: impl FnOnce(&mut Clocks)) -> bool {
        let mut clocks = CLOCKS.get();
        clocks.as_mut().map(change);
        CLOCKS.set(clocks);
        clocks.is_some()
    }

    pub(super) fn clocks() -> Option<Clocks> {
        CLOCKS.get()
    }

    pub(super) fn read() -> Option<(Moment, Timestamp)> {
        let Clocks { boot, wall: (wall, then), .. } = CLOCKS.get()?;
        let passed: Duration = then.elapsed();
        let shown = wall.checked_add(jiff::SignedDuration::try_from(passed).ok()?).ok()?;
        let shown = Timestamp::from_millisecond(shown.as_millisecond()).ok()?;
        Some((Moment(boot.elapsed()), shown))
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
