//! What follows from how the clock looks, second by second. Pure.

use jiff::{SignedDuration, Timestamp};

use crate::clock::Moment;
use crate::limits::{
    CLOCK_DISPUTE_MAX, CLOCK_FLOOR_EVERY, CLOCK_FLOOR_MARGIN, CLOCK_JUMP, CLOCK_SET_EVERY, CLOCK_SETTLED,
};

/// One look at the clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) wall: Timestamp,
    pub(super) now: Moment,
    /// What the kernel says.
    pub(super) is_synced: bool,
}

impl Seen {
    /// The wall time of the boot, if the clock is right.
    pub(super) fn boot_at(&self) -> Timestamp {
        self.wall.checked_sub(self.now.since_boot()).unwrap_or(Timestamp::MIN)
    }
}

/// What is to be done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) is_trusted: bool,
    /// The floor is to be kept here.
    pub(super) floor: Option<Timestamp>,
    pub(super) event: Option<ClockSet>,
}

/// What the `clock-set` event tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ClockSet {
    pub(super) boot_at: Timestamp,
    pub(super) is_trusted: bool,
    pub(super) step_ms: Option<i64>,
}

#[derive(Clone, Copy, Debug)]
struct Told {
    boot_at: Timestamp,
    is_trusted: bool,
}

#[derive(Debug)]
pub(super) struct Judge {
    floor: Timestamp,
    floor_kept: Option<Moment>,
    /// What the topic knows, or what it need not be told.
    told: Option<Told>,
    event_made: Option<Moment>,
    last_boot_at: Option<Timestamp>,
    trusted_since: Option<Moment>,
    /// Since when the kernel vouches for a clock that is before the floor.
    disputed_since: Option<Moment>,
}

impl Judge {
    /// `boot_at` is what was learnt of this boot before.
    pub(super) fn new(floor: Timestamp, boot_at: Option<Timestamp>) -> Self {
        Self {
            floor,
            floor_kept: None,
            told: boot_at.map(|boot_at| Told { boot_at, is_trusted: true }),
            event_made: None,
            last_boot_at: None,
            trusted_since: None,
            disputed_since: None,
        }
    }

    pub(super) fn look(&mut self, seen: Seen) -> Verdict {
        let mut floor = self.end_of_dispute(seen);
        let is_trusted = seen.is_synced && seen.wall >= self.floor;
        let boot_at = seen.boot_at();
        let last_boot_at = self.last_boot_at.replace(boot_at).unwrap_or(boot_at);
        if !is_trusted || is_jump(boot_at.duration_since(last_boot_at)) {
            self.trusted_since = None;
        }
        if is_trusted {
            self.trusted_since.get_or_insert(seen.now);
        }
        let is_due = self.floor_kept.is_none_or(|kept| seen.now.since(kept) >= CLOCK_FLOOR_EVERY);
        if let (true, Some(risen)) = (is_due, self.risen_floor(seen)) {
            floor = Some(risen);
        }
        if let Some(floor) = floor {
            (self.floor, self.floor_kept) = (floor, Some(seen.now));
        }
        Verdict { is_trusted, floor, event: self.event(seen, boot_at, is_trusted) }
    }

    /// Where the floor may be put now: nowhere unless the clock has been trusted for long enough.
    pub(super) fn risen_floor(&self, seen: Seen) -> Option<Timestamp> {
        let is_settled = self.trusted_since.is_some_and(|since| seen.now.since(since) >= CLOCK_SETTLED);
        let risen = seen.wall.checked_sub(CLOCK_FLOOR_MARGIN).ok()?;
        (is_settled && risen > self.floor).then_some(risen)
    }

    /// The floor, where it was held against a clock that the kernel has vouched for all the while.
    fn end_of_dispute(&mut self, seen: Seen) -> Option<Timestamp> {
        if !seen.is_synced || seen.wall >= self.floor {
            self.disputed_since = None;
            return None;
        }
        let since = *self.disputed_since.get_or_insert(seen.now);
        if seen.now.since(since) < CLOCK_DISPUTE_MAX {
            return None;
        }
        self.disputed_since = None;
        self.floor = seen.wall.checked_sub(CLOCK_FLOOR_MARGIN).ok()?;
        Some(self.floor)
    }

    fn event(&mut self, seen: Seen, boot_at: Timestamp, is_trusted: bool) -> Option<ClockSet> {
        let Some(told) = &mut self.told else {
            // A boot that nobody has heard of: news if it knows its time.
            self.told = Some(Told { boot_at, is_trusted });
            self.event_made = is_trusted.then_some(seen.now);
            return is_trusted.then_some(ClockSet { boot_at, is_trusted, step_ms: None });
        };
        let step = boot_at.duration_since(told.boot_at);
        let became_trusted = is_trusted && !told.is_trusted;
        told.is_trusted &= is_trusted;
        let may_tell = self.event_made.is_none_or(|made| seen.now.since(made) >= CLOCK_SET_EVERY);
        if !may_tell || !became_trusted && !is_jump(step) {
            return None;
        }
        (self.told, self.event_made) = (Some(Told { boot_at, is_trusted }), Some(seen.now));
        let step_ms = i64::try_from(step.as_millis()).ok();
        Some(ClockSet { boot_at, is_trusted, step_ms })
    }
}

fn is_jump(step: SignedDuration) -> bool {
    step.unsigned_abs() > CLOCK_JUMP
}

const _: () =
    assert!(CLOCK_SETTLED.as_secs() < CLOCK_FLOOR_EVERY.as_secs(), "a settled clock moves the floor");

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const YEAR_2027: i64 = 1_800_000_000;

    fn floor() -> Timestamp {
        Timestamp::from_second(YEAR_2027).unwrap()
    }

    /// The clock shows this many seconds after the floor, so many seconds after boot.
    fn seen(after_floor_s: i64, uptime_s: u64, is_synced: bool) -> Seen {
        let wall = Timestamp::from_second(YEAR_2027 + after_floor_s).unwrap();
        Seen { wall, now: Moment::from_boot(Duration::from_secs(uptime_s)), is_synced }
    }

    #[test]
    fn a_box_that_boots_in_1970_tells_once_when_it_is_set_and_by_how_much() {
        let mut judge = Judge::new(floor(), None);
        for second in 0..100 {
            let verdict = judge.look(seen(-YEAR_2027 + second, 20 + second.unsigned_abs(), false));
            assert_eq!(verdict, Verdict::default());
        }
        let set = judge.look(seen(5_000, 120, true));
        let boot_at = Timestamp::from_second(YEAR_2027 + 4_880).unwrap();
        let step_ms = Some((YEAR_2027 + 4_880 + 20) * 1000);
        assert_eq!(set.event, Some(ClockSet { boot_at, is_trusted: true, step_ms }));
        assert!(set.is_trusted);
        for second in 1..1_000 {
            assert_eq!(judge.look(seen(5_000 + second, 120 + second.unsigned_abs(), true)).event, None);
        }
    }

    #[test]
    fn a_clock_before_the_floor_is_not_trusted_whatever_the_kernel_says_until_it_insists_for_a_day() {
        let mut judge = Judge::new(floor(), None);
        let day = 24 * 3600;
        for minute in 0..day / 60 {
            let verdict = judge.look(seen(-1_000_000 + minute * 60, 60 + minute.unsigned_abs() * 60, true));
            assert_eq!(verdict, Verdict::default());
        }
        let healed = judge.look(seen(-1_000_000 + day, 60 + day.unsigned_abs(), true));
        assert!(healed.is_trusted && healed.event.is_some());
        assert_eq!(healed.floor, Timestamp::from_second(YEAR_2027 - 1_000_000 + day - 600).ok());
    }

    #[test]
    fn the_floor_rises_seldom_and_only_behind_a_clock_that_has_settled() {
        let mut judge = Judge::new(floor(), None);
        let mut floors = Vec::new();
        for second in 0..3 * 3600 + 700 {
            let looked = seen(100_000 + second, second.unsigned_abs(), true);
            floors.extend(judge.look(looked).floor.map(|floor| (second, floor.as_second() - YEAR_2027)));
        }
        let expected = [600, 4_200, 7_800, 11_400].map(|second| (second, 100_000 + second - 600));
        assert_eq!(floors, expected);
        // A receiver that is wrong for five minutes moves nothing, also not by a stop.
        let mut judge = Judge::new(floor(), None);
        for second in 0..300 {
            assert_eq!(judge.look(seen(900_000_000 + second, second.unsigned_abs(), true)).floor, None);
        }
        assert_eq!(judge.risen_floor(seen(900_000_300, 300, true)), None);
    }

    #[test]
    fn a_jump_is_told_a_slew_is_not_and_a_torn_clock_floods_nothing() {
        let mut judge = Judge::new(floor(), None);
        assert!(judge.look(seen(1_000, 0, true)).event.is_some());
        assert_eq!(judge.look(seen(1_102, 100, true)).event, None, "two seconds are no jump");
        let jump = judge.look(seen(4_700, 100, true)).event.unwrap();
        assert_eq!(jump.step_ms, Some(3_600_000));
        let events = (101..701).filter(|uptime| {
            let torn = if uptime % 2 == 0 { 1_000 } else { 9_000 };
            let wall = torn + i64::try_from(*uptime).unwrap();
            judge.look(seen(wall, *uptime, true)).event.is_some()
        });
        assert!((1..=10).contains(&events.count()));
    }

    #[test]
    fn after_a_restart_within_a_boot_that_is_known_there_is_nothing_to_tell_but_a_jump() {
        let known = seen(1_000, 100, true).boot_at();
        let mut judge = Judge::new(floor(), Some(known));
        assert_eq!(judge.look(seen(2_000, 1_100, true)).event, None);
        let mut judge = Judge::new(floor(), Some(known));
        let event = judge.look(seen(2_060, 1_100, true)).event.unwrap();
        assert_eq!((event.step_ms, event.is_trusted), (Some(60_000), true));
    }

    #[test]
    fn trust_that_is_lost_and_regained_is_told() {
        let mut judge = Judge::new(floor(), None);
        assert!(judge.look(seen(1_000, 0, true)).event.is_some());
        assert_eq!(judge.look(seen(1_100, 100, false)), Verdict::default());
        let again = judge.look(seen(1_200, 200, true)).event.unwrap();
        assert_eq!((again.step_ms, again.is_trusted), (Some(0), true));
    }
}
