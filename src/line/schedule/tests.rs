//! Slots on a virtual clock: plain days, both changes of the clocks, and any zone, interval and time against a slow
//! model.

use std::collections::BTreeSet;

use jiff::ZonedDateTime;
use jiff::civil::{Date, date};
use proptest::prelude::*;

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).unwrap()
}

fn time(text: &str) -> Timestamp {
    text.parse::<ZonedDateTime>().unwrap().timestamp()
}

/// The wall times of all slots of a local day, with their offsets from UTC in hours.
fn slots_of(day: Date, schedule: &Schedule) -> Vec<String> {
    let zone = schedule.zone.clone();
    let midnight = day.to_zoned_datetime(zone.clone()).unwrap().timestamp();
    let end = day.tomorrow().unwrap().to_zoned_datetime(zone.clone()).unwrap().timestamp();
    let mut slot = Timestamp::from_millisecond(midnight.as_millisecond() - 1).unwrap();
    let mut slots = Vec::new();
    loop {
        slot = schedule.next(slot);
        if slot >= end {
            return slots;
        }
        slots.push(slot.to_zoned_datetime(zone.clone()).strftime("%H:%M%:::z").to_string());
    }
}

#[test]
fn a_quarter_of_an_hour_means_00_15_30_45() {
    let schedule = Schedule::new(15 * MINUTE, Duration::ZERO, zone("Asia/Shanghai"));
    assert_eq!(
        schedule.next(time("2026-11-23T12:07:00+08[Asia/Shanghai]")),
        time("2026-11-23T12:15:00+08[Asia/Shanghai]")
    );
    assert_eq!(
        schedule.next(time("2026-11-23T12:15:00+08[Asia/Shanghai]")),
        time("2026-11-23T12:30:00+08[Asia/Shanghai]")
    );
    assert_eq!(
        schedule.latest(time("2026-11-23T12:15:00+08[Asia/Shanghai]")),
        time("2026-11-23T12:15:00+08[Asia/Shanghai]")
    );
    assert_eq!(
        schedule.latest(time("2026-11-23T12:14:59.999+08[Asia/Shanghai]")),
        time("2026-11-23T12:00:00+08[Asia/Shanghai]")
    );
}

#[test]
fn an_interval_that_does_not_divide_the_day_starts_afresh_at_midnight() {
    let schedule = Schedule::new(420 * MINUTE, 30 * MINUTE, TimeZone::UTC);
    let day = slots_of(date(2026, 11, 23), &schedule);
    assert_eq!(day, ["00:30+00", "07:30+00", "14:30+00", "21:30+00"]);
    assert_eq!(slots_of(date(2026, 11, 24), &schedule), day);
}

#[test]
fn a_daily_slot_in_the_hour_that_is_skipped_comes_when_the_clocks_go_forward() {
    let schedule = Schedule::new(1440 * MINUTE, 150 * MINUTE, zone("Europe/Berlin"));
    assert_eq!(slots_of(date(2026, 3, 28), &schedule), ["02:30+01"]);
    assert_eq!(slots_of(date(2026, 3, 29), &schedule), ["03:00+02"]);
    assert_eq!(slots_of(date(2026, 3, 30), &schedule), ["02:30+02"]);
}

#[test]
fn a_daily_slot_in_the_hour_that_is_repeated_comes_once() {
    let schedule = Schedule::new(1440 * MINUTE, 150 * MINUTE, zone("Europe/Berlin"));
    assert_eq!(slots_of(date(2026, 10, 25), &schedule), ["02:30+02"]);
    assert_eq!(slots_of(date(2026, 10, 26), &schedule), ["02:30+01"]);
}

#[test]
fn quarter_hours_go_on_through_both_changes_of_the_clocks() {
    let schedule = Schedule::new(15 * MINUTE, Duration::ZERO, zone("Europe/Berlin"));
    assert_eq!(slots_of(date(2026, 3, 29), &schedule).len(), 23 * 4);
    let long_day = slots_of(date(2026, 10, 25), &schedule);
    assert_eq!(long_day.len(), 25 * 4);
    assert!(long_day.contains(&"02:45+02".to_owned()) && long_day.contains(&"02:45+01".to_owned()));
}

#[test]
fn six_hourly_slots_stay_on_the_wall_clock_when_it_changes() {
    let schedule = Schedule::new(360 * MINUTE, Duration::ZERO, zone("Europe/Berlin"));
    assert_eq!(slots_of(date(2026, 3, 29), &schedule), ["00:00+01", "06:00+02", "12:00+02", "18:00+02"]);
    assert_eq!(slots_of(date(2026, 10, 25), &schedule), ["00:00+02", "06:00+01", "12:00+01", "18:00+01"]);
}

#[test]
fn a_day_that_begins_at_one_o_clock_has_its_midnight_slot() {
    let schedule = Schedule::new(1440 * MINUTE, Duration::ZERO, zone("America/Santiago"));
    assert_eq!(slots_of(date(2026, 9, 6), &schedule), ["01:00-03"]);
    assert_eq!(slots_of(date(2026, 4, 5), &schedule), ["00:00-04"]);
}

#[test]
fn from_1970_the_newest_slot_of_today_is_found_at_once() {
    let schedule = Schedule::new(MINUTE, Duration::ZERO, zone("Europe/Berlin"));
    assert_eq!(
        schedule.latest(time("2026-11-23T12:07:30+01[Europe/Berlin]")),
        time("2026-11-23T12:07:00+01[Europe/Berlin]")
    );
    assert_eq!(schedule.latest(Timestamp::UNIX_EPOCH), Timestamp::UNIX_EPOCH);
}

/// Slots by walking every minute of a window: slow, and nothing of the code under test.
fn model(window: (i64, i64), every_min: i64, offset_min: i64, zone: &TimeZone) -> BTreeSet<i64> {
    let wall = |minute: i64| {
        let shift = i64::from(zone.to_offset(Timestamp::from_second(minute * 60).unwrap()).seconds()) / 60;
        minute + shift
    };
    let is_aligned = |local: i64| {
        let past = local.rem_euclid(1440) - offset_min;
        past >= 0 && past % every_min == 0
    };
    let (mut slots, mut furthest, mut last) = (BTreeSet::new(), i64::MIN, i64::MIN / 2);
    for minute in window.0..window.1 {
        let local = wall(minute);
        let jumped_over = wall(minute - 1) + 1..local;
        let is_repeated = local <= furthest;
        let is_slot = is_aligned(local) || jumped_over.clone().any(is_aligned);
        if is_slot && (!is_repeated || minute - last >= every_min) {
            slots.insert(minute);
            last = minute;
        }
        furthest = furthest.max(local);
    }
    slots
}

const ZONES: [&str; 6] =
    ["Europe/Berlin", "America/Santiago", "Australia/Lord_Howe", "Asia/Shanghai", "UTC", "America/New_York"];

/// Around the changes of 2026 in those zones, where everything interesting lies.
fn interesting_day() -> impl Strategy<Value = Date> {
    prop_oneof![
        Just(date(2026, 3, 29)),
        Just(date(2026, 10, 25)),
        Just(date(2026, 4, 5)),
        Just(date(2026, 9, 6)),
        Just(date(2026, 10, 4)),
        Just(date(2026, 3, 8)),
        Just(date(2026, 11, 1)),
        Just(date(2026, 6, 1)),
    ]
}

proptest! {
    #[test]
    fn slots_are_those_of_the_slow_model(
        zone_name in prop::sample::select(&ZONES[..]), day in interesting_day(),
        every_min in 1_i64..=1440, offset_share in 0_i64..1000,
    ) {
        let offset_min = every_min * offset_share / 1000;
        let zone = zone(zone_name);
        let schedule = Schedule::new(
            MINUTE * u32::try_from(every_min).unwrap(), MINUTE * u32::try_from(offset_min).unwrap(), zone.clone(),
        );
        let noon = day.at(12, 0, 0, 0).to_zoned_datetime(TimeZone::UTC).unwrap().timestamp().as_second() / 60;
        // The model starts two days early, so that it knows the slot before the window.
        let expected = model((noon - 4 * 1440, noon + 2 * 1440), every_min, offset_min, &zone);
        let expected: Vec<i64> = expected.range(noon - 2 * 1440..).copied().collect();
        let mut slot = Timestamp::from_second((noon - 2 * 1440) * 60 - 1).unwrap();
        for minute in expected {
            slot = schedule.next(slot);
            prop_assert_eq!(slot.as_second(), minute * 60, "{}", slot.to_zoned_datetime(zone));
        }
    }

    #[test]
    fn next_and_latest_agree_at_any_time(
        zone_name in prop::sample::select(&ZONES[..]), at_s in -1_000_000_000_i64..4_000_000_000,
        every_s in 1_u64..=86_400, offset_share in 0_u64..1000,
    ) {
        let every = Duration::from_secs(every_s);
        let schedule = Schedule::new(every, every * u32::try_from(offset_share).unwrap() / 1000, zone(zone_name));
        let at = Timestamp::from_second(at_s).unwrap();
        let (latest, next) = (schedule.latest(at), schedule.next(at));
        prop_assert!(latest <= at && at < next);
        prop_assert_eq!(schedule.next(latest), next);
        prop_assert_eq!(schedule.latest(next), next);
        prop_assert_eq!(schedule.latest(latest), latest);
    }

    #[test]
    fn no_settings_panic(every in any::<u64>(), offset in any::<u64>(), at_ms in any::<i64>()) {
        let schedule =
            Schedule::new(Duration::from_millis(every), Duration::from_millis(offset), zone("Europe/Berlin"));
        let at = timestamp(at_ms);
        let _ = (schedule.next(at), schedule.latest(at));
    }
}
