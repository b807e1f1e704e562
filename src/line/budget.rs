//! How often a meter's battery allows it to be read in a day.
//!
//! Every request that makes the meter answer costs, so repeats count. The count is not kept across restarts; after one,
//! the rest of the day gets only its share of the budget, and so does the rest of a day into which the clock has jumped.
//! A budget is a bound, not a schedule: whoever polls every quarter of an hour with 24 reads a day has none left by six
//! in the morning, and `weir check` says so.
//!
//! Pure: it is handed the wall time.

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

/// One meter's budget.
#[derive(Debug)]
pub(super) struct Budget {
    reads_per_day_max: u32,
    zone: TimeZone,
    /// The local day the count is for.
    day: Option<jiff::civil::Date>,
    left: u32,
}

impl Budget {
    /// So many reads in each local day of this zone.
    pub(super) fn new(reads_per_day_max: u32, zone: TimeZone) -> Self {
        Self { reads_per_day_max, zone, day: None, left: 0 }
    }

    /// Reads left of the day that `now` lies in.
    pub(super) fn left(&mut self, now: Timestamp) -> u32 {
        let today = now.to_zoned_datetime(self.zone.clone()).date();
        if self.day != Some(today) {
            let follows = self.day.is_some_and(|day| day.tomorrow().is_ok_and(|next| next == today));
            self.left = if follows { self.reads_per_day_max } else { self.share_of_the_rest(now) };
            self.day = Some(today);
        }
        self.left
    }

    /// The meter was asked so many times.
    pub(super) fn spend(&mut self, now: Timestamp, reads: u32) {
        self.left = self.left(now).saturating_sub(reads);
    }

    /// Rounded up, so that a meter read once a day is not lost for a day by a restart.
    fn share_of_the_rest(&self, now: Timestamp) -> u32 {
        let now = now.to_zoned_datetime(self.zone.clone());
        let (Ok(midnight), Ok(next)) =
            (now.start_of_day(), now.checked_add(1.day()).and_then(|next| next.start_of_day()))
        else {
            return 0;
        };
        let ms = |zoned: &jiff::ZonedDateTime| i128::from(zoned.timestamp().as_millisecond());
        let (rest, day) = (ms(&next) - ms(&now), (ms(&next) - ms(&midnight)).max(1));
        let share = (i128::from(self.reads_per_day_max) * rest + day - 1) / day;
        u32::try_from(share).unwrap_or(self.reads_per_day_max).min(self.reads_per_day_max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn repeats_count_and_midnight_brings_a_new_budget() {
        let mut budget = Budget::new(4, TimeZone::UTC);
        assert_eq!(budget.left(at("2026-11-23T00:00:00Z")), 4);
        budget.spend(at("2026-11-23T01:00:00Z"), 3);
        assert_eq!(budget.left(at("2026-11-23T23:59:59Z")), 1);
        budget.spend(at("2026-11-23T23:59:59Z"), 3);
        assert_eq!(budget.left(at("2026-11-23T23:59:59Z")), 0);
        assert_eq!(budget.left(at("2026-11-24T00:00:00Z")), 4);
    }

    #[test]
    fn after_a_restart_the_rest_of_the_day_gets_its_share() {
        assert_eq!(Budget::new(24, TimeZone::UTC).left(at("2026-11-23T18:00:00Z")), 6);
        assert_eq!(Budget::new(1, TimeZone::UTC).left(at("2026-11-23T23:59:00Z")), 1);
        assert_eq!(Budget::new(0, TimeZone::UTC).left(at("2026-11-23T18:00:00Z")), 0);
    }

    #[test]
    fn a_jump_of_the_clock_gives_no_whole_budget() {
        let mut budget = Budget::new(24, TimeZone::UTC);
        assert_eq!(budget.left(at("1970-01-01T00:00:30Z")), 24);
        assert_eq!(budget.left(at("2026-11-23T18:00:00Z")), 6);
        assert_eq!(budget.left(at("2026-11-22T21:00:00Z")), 3);
    }

    #[test]
    fn a_day_is_local_and_may_have_25_hours() {
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        let mut budget = Budget::new(25, berlin);
        assert_eq!(budget.left(at("2026-10-25T21:00:00Z")), 2, "two hours of a day of 25 are left");
        assert_eq!(budget.left(at("2026-10-25T23:00:00Z")), 25);
    }
}
