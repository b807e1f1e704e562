//! What stays, what goes and what is told of it, for histories of all kinds.

use proptest::prelude::*;

use super::*;
use crate::id::Generation;

fn header(sequence: u64, meter: &str, at: Timestamp) -> Header<'_> {
    Header { class: Class::Reading, generation: Generation(1), sequence, at, meter }
}

#[test]
fn every_dropped_record_is_in_one_portion_and_no_portion_is_longer_than_an_event_may_be() {
    let meters: Vec<String> = (0..450).map(|n| format!("A-{n:03}")).collect();
    let mut dropped = Dropped::default();
    for n in 0..900_u16 {
        let at = Timestamp::from_second(n.into()).unwrap();
        dropped.add(&header(n.into(), &meters[usize::from(n) % 450], at));
    }
    assert_eq!(dropped.count(), 900);
    let portions = dropped.portions();
    assert_eq!(portions.iter().map(Vec::len).collect::<Vec<_>>(), [200, 200, 50]);
    assert_eq!(portions.iter().flatten().map(|gap| gap.count).sum::<u64>(), 900);
    let first = &portions[0][0];
    assert_eq!((first.from.as_second(), first.to.as_second()), (0, 450));
}

fn at(local: &str, zone: &TimeZone) -> Timestamp {
    zone.to_timestamp(local.parse().unwrap()).unwrap()
}

fn staying_of(times: &[&str], grain: Grain) -> Vec<usize> {
    let zone = TimeZone::get("Asia/Kolkata").unwrap();
    let headers: Vec<_> = (0..).zip(times).map(|(n, it)| header(n, "A-1", at(it, &zone))).collect();
    let staying = staying(&headers, grain, &zone);
    (0..times.len()).filter(|n| staying.contains(&u64::try_from(*n).unwrap())).collect()
}

#[test]
fn the_first_and_the_last_of_every_hour_day_or_month_of_the_time_zone_stay() {
    // Half an hour off the world's hours, and in UTC the month would end five and a half hours later.
    let times = [
        "2026-01-31T22:15",
        "2026-01-31T22:30",
        "2026-01-31T22:45",
        "2026-01-31T23:45",
        "2026-02-01T00:00",
        "2026-02-01T05:00",
        "2026-02-02T00:00",
        "2026-03-01T04:00",
    ];
    assert_eq!(staying_of(&times, Grain::Hour), [0, 2, 3, 4, 5, 6, 7]);
    assert_eq!(staying_of(&times, Grain::Day), [0, 3, 5, 6, 7]);
    assert_eq!(staying_of(&times, Grain::Month), [0, 3, 6, 7]);
    assert_eq!(staying_of(&times, Grain::Whole), [0, 1, 2, 3, 4, 5, 6, 7]);
}

#[test]
fn an_hour_that_the_clock_shows_twice_is_two_hours() {
    let zone = TimeZone::get("Europe/Berlin").unwrap();
    let begin: Timestamp = "2026-10-25T00:00:00Z".parse().unwrap();
    let quarters: Vec<_> =
        (0..8_u64).map(|n| begin + jiff::SignedDuration::from_mins(15 * i64::try_from(n).unwrap())).collect();
    let headers: Vec<_> = (0..).zip(quarters).map(|(n, at)| header(n, "A-1", at)).collect();
    assert_eq!(staying(&headers, Grain::Hour, &zone), HashSet::from([0, 3, 7]));
}

#[test]
fn what_is_no_reading_stays() {
    let at = Timestamp::UNIX_EPOCH;
    let of = |class, sequence| Header { class, ..header(sequence, "A-1", at) };
    let headers = [of(Class::Reading, 1), of(Class::Event, 2), of(Class::Event, 3), of(Class::Reading, 4)];
    assert_eq!(staying(&headers, Grain::Month, &TimeZone::UTC), HashSet::from([1, 2, 3, 4]));
}

#[test]
fn the_finest_grain_beyond_its_share_gives_the_older_half_of_its_segments() {
    use Grain::{Day, Hour, Month, Whole};
    let thin = |at, count_max, grain| Step::Thin { at, count_max, grain };
    let of = |grain, count| vec![(grain, 10_u64); count];
    assert_eq!(next_step(&of(Whole, 5), 10, 100), thin(0, 3, Hour));
    assert_eq!(next_step(&[of(Hour, 1), of(Whole, 30)].concat(), 0, 100), thin(1, THIN_SEGMENTS_MAX, Hour));
    assert_eq!(next_step(&[of(Hour, 3), of(Whole, 4)].concat(), 10, 100), thin(0, 2, Day));
    assert_eq!(next_step(&[of(Day, 2), of(Hour, 2), of(Whole, 4)].concat(), 10, 100), thin(0, 1, Month));
    let shared_out = [of(Month, 3), of(Day, 1), of(Hour, 2), of(Whole, 4)].concat();
    assert_eq!(next_step(&shared_out, 10, 100), Step::DropOldest);
    assert_eq!(next_step(&of(Month, 10), 50, 100), Step::DropOldest);
    assert_eq!(next_step(&of(Month, 10), 51, 100), Step::DropOldest, "there is nothing whole to give");
}

/// Readings of some meters over some months, at times that mostly go on but may jump back.
fn histories() -> impl Strategy<Value = Vec<(u8, i64)>> {
    let reading = (0_u8..4, prop_oneof![9 => 60_i64..40_000, 1 => -90_000_i64..900_000]);
    proptest::collection::vec(reading, 0..300)
}

fn headers_of(history: &[(u8, i64)]) -> Vec<Header<'static>> {
    let mut second = 1_790_000_000;
    let header = |(sequence, (meter, step)): (u64, &(u8, i64))| {
        second += step;
        let meter = ["A", "B", "C", "D"][usize::from(*meter)];
        header(sequence, meter, Timestamp::from_second(second).unwrap())
    };
    (0..).zip(history).map(header).collect()
}

fn only<'a>(headers: &[Header<'a>], staying: &HashSet<u64>) -> Vec<Header<'a>> {
    headers.iter().filter(|header| staying.contains(&header.sequence)).copied().collect()
}

proptest! {
    #[test]
    fn the_first_the_last_and_the_month_ends_of_each_meter_stay_at_every_grain(history in histories()) {
        let zone = TimeZone::get("America/Lima").unwrap();
        let headers = headers_of(&history);
        for grain in Grain::THINNED {
            let staying = staying(&headers, grain, &zone);
            for meter in ["A", "B", "C", "D"] {
                let of_it: Vec<_> = headers.iter().filter(|header| header.meter == meter).collect();
                let month = |header: &Header<'_>| period(header.at, Grain::Month, &zone);
                for (n, header) in of_it.iter().enumerate() {
                    let is_month_end = of_it[n + 1..].iter().all(|later| month(later) != month(header));
                    let must_stay = n == 0 || n + 1 == of_it.len() || is_month_end;
                    prop_assert!(!must_stay || staying.contains(&header.sequence));
                }
            }
        }
    }

    #[test]
    fn thinning_again_or_part_by_part_or_by_way_of_a_finer_grain_gives_the_same(
        history in histories(),
        cut in 0_usize..300,
    ) {
        let zone = TimeZone::get("America/Lima").unwrap();
        let headers = headers_of(&history);
        for grain in Grain::THINNED {
            let at_once = staying(&headers, grain, &zone);
            let thinned = only(&headers, &at_once);
            prop_assert_eq!(&staying(&thinned, grain, &zone), &at_once);
            let (older, newer) = headers.split_at(cut.min(headers.len()));
            let by_part = [only(older, &staying(older, grain, &zone)), newer.to_vec()].concat();
            prop_assert_eq!(&staying(&by_part, grain, &zone), &at_once);
            let finer = Grain::THINNED.into_iter().filter(|finer| *finer < grain);
            for finer in finer {
                let by_way = only(&headers, &staying(&headers, finer, &zone));
                prop_assert_eq!(&staying(&by_way, grain, &zone), &at_once);
            }
        }
    }

    #[test]
    fn what_stays_and_what_is_counted_as_dropped_add_up(history in histories()) {
        let headers = headers_of(&history);
        let staying = staying(&headers, Grain::Day, &TimeZone::UTC);
        let mut dropped = Dropped::default();
        headers.iter().filter(|header| !staying.contains(&header.sequence)).for_each(|it| dropped.add(it));
        prop_assert_eq!(dropped.count(), u64::try_from(headers.len() - staying.len()).unwrap());
        for gap in dropped.portions().into_iter().flatten() {
            let within = |header: &&Header<'_>| header.meter == gap.meter && (gap.from..=gap.to).contains(&header.at);
            let gone = headers.iter().filter(within).filter(|header| !staying.contains(&header.sequence));
            prop_assert_eq!(gone.count(), usize::try_from(gap.count).unwrap());
        }
    }

    /// A lane as sizes alone: each segment is `(grain, bytes, how often what is in it was written)`.
    #[test]
    fn a_full_lane_stays_within_its_disk_writes_nothing_more_than_three_times_again_and_keeps_the_newest_whole(
        thinned_percents in proptest::collection::vec(1_u64..=100, 1..20),
    ) {
        const SEGMENT: u64 = 100;
        const DISK: u64 = 2_000;
        let mut lane = Vec::<(Grain, u64, u32)>::new();
        let (mut begun, mut written) = (0_u64, 0_u64);
        let mut percents = thinned_percents.iter().copied().cycle();
        for _ in 0..400 {
            let taken = |lane: &[(Grain, u64, u32)]| lane.iter().map(|it| it.1).sum::<u64>() + SEGMENT;
            while taken(&lane) > DISK {
                let sizes: Vec<_> = lane.iter().map(|&(grain, bytes, _)| (grain, bytes)).collect();
                match next_step(&sizes, SEGMENT, DISK) {
                    Step::DropOldest => drop(lane.remove(0)),
                    Step::Thin { at, count_max, grain } => {
                        prop_assert!(lane[at..at + count_max].iter().all(|it| it.0 < grain));
                        let percent = percents.next().unwrap();
                        let thin = |it: &(Grain, u64, u32)| (it.1 * percent).div_ceil(100);
                        let fits = |count: &usize| lane[at..at + count].iter().map(thin).sum::<u64>() <= SEGMENT;
                        let count = (1..=count_max).take_while(fits).last().unwrap_or(1);
                        let row: Vec<_> = lane.drain(at..at + count).collect();
                        let bytes = row.iter().map(thin).sum();
                        written += bytes;
                        let rewrites = row.iter().map(|it| it.2).max().unwrap() + 1;
                        lane.insert(at, (grain, bytes, rewrites));
                    }
                }
            }
            prop_assert!(lane.iter().all(|it| it.2 <= 3));
            prop_assert!(lane.is_sorted_by(|older, newer| older.0 >= newer.0), "{:?}", lane);
            let whole: u64 = lane.iter().filter(|it| it.0 == Grain::Whole).map(|it| it.1).sum();
            prop_assert!(begun < 20 || whole >= DISK / 4 - 2 * SEGMENT, "{} whole of {:?}", whole, lane);
            lane.push((Grain::Whole, SEGMENT, 0));
            begun += 1;
        }
        prop_assert!(written <= 3 * begun * SEGMENT);
    }
}
