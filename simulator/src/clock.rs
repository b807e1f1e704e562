//! The two clocks of a simulation: the monotonic one for deadlines, the wall clock for what meters' clocks show.
//!
//! Sleeps are to absolute deadlines, so that a late wake-up is not carried on into the next one.

use std::time::{Duration, SystemTime};

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use rustix::io::Errno;
use rustix::thread::{ClockId, clock_nanosleep_absolute};
use rustix::time::Timespec;

/// Nanoseconds of `CLOCK_MONOTONIC`.
pub(crate) fn monotonic_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(u64::try_from(now.tv_nsec).unwrap_or(0))
}

/// Returns at `deadline_ns`, never before.
pub(crate) fn sleep_until_ns(deadline_ns: u64) {
    let deadline = timespec(Duration::from_nanos(deadline_ns));
    while clock_nanosleep_absolute(ClockId::Monotonic, &deadline) == Err(Errno::INTR) {}
}

pub(crate) fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(duration.subsec_nanos()),
    }
}

/// The wall clock.
#[expect(clippy::disallowed_methods, reason = "this is the simulator's clock.rs")]
pub(crate) fn wall() -> SystemTime {
    SystemTime::now()
}

/// The wall clock as a meter in `zone` shows it.
pub(crate) fn civil(at: SystemTime, zone: &TimeZone) -> DateTime {
    jiff::Timestamp::try_from(at).map_or(DateTime::ZERO, |at| zone.to_datetime(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sleep_never_ends_before_its_deadline() {
        for wait_us in [1, 50, 700, 3000] {
            let deadline_ns = monotonic_ns() + wait_us * 1000;
            sleep_until_ns(deadline_ns);
            assert!(monotonic_ns() >= deadline_ns);
        }
    }

    #[test]
    fn a_meter_shows_its_zones_time() {
        let madrid = TimeZone::get("Europe/Madrid").unwrap();
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_782_864_000);
        assert_eq!(civil(at, &madrid).to_string(), "2026-07-01T02:00:00");
    }
}
