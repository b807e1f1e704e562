//! A full outbox that thins out: what is not there is inside a reported gap, and the registers survive.

use super::*;
use crate::limits::{THIN_ROOM_SEGMENTS, segment_disk_bytes_max};
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use weir_wire::{GapCause, GapOfMeter};

/// Some hundred and fifty readings. An eighth of the disk is three or four such segments.
const SEGMENT: u64 = 16_000;
const METERS: u64 = 3;
/// The first of the month.
const BEGIN: &str = "2026-09-01T00:00:00Z";

fn tight(directory: &Path) -> Config {
    let readings_bytes_max = THIN_ROOM_SEGMENTS * segment_disk_bytes_max(SEGMENT);
    let when_full = WhenFull::Thin;
    Config { readings_bytes_max, when_full, segment_payload_bytes: SEGMENT, ..config(directory) }
}

fn at(number: u64) -> Timestamp {
    let begin: Timestamp = BEGIN.parse().unwrap();
    begin + jiff::SignedDuration::from_mins(15 * i64::try_from(number / METERS).unwrap())
}

/// Each meter is read every quarter of an hour.
fn quarter_hourly(number: u64) -> Record {
    let Record::Reading(reading) = reading(number) else { unreachable!() };
    Record::Reading(Reading { scheduled_at: Some(at(number)), read_at: at(number), ..reading })
}

async fn store_all(outbox: &Outbox, numbers: std::ops::Range<u64>) {
    let mut receipts = Vec::new();
    for number in numbers {
        receipts.push(outbox.append(&quarter_hourly(number)).await.unwrap());
    }
    for receipt in receipts {
        receipt.await.unwrap();
    }
}

async fn gaps(outbox: &Outbox) -> Vec<GapOfMeter> {
    let mut gaps = Vec::new();
    for event in events(outbox).await {
        match event {
            What::Gap { cause: GapCause::Retention, meters, lost, ids: Some(_) } => {
                assert_eq!(meters.iter().map(|gap| gap.count).sum::<u64>(), lost);
                gaps.extend(meters);
            }
            What::OutboxPressure { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    gaps
}

/// Whether each reading is there or inside a gap of its meter. Gives what is there.
async fn assert_conserved(outbox: &Outbox, appended: u64) -> Vec<u64> {
    let there: Vec<u64> = drain(outbox, Lane::Readings).await.iter().map(number_of).collect();
    assert!(there.is_sorted_by(|a, b| a < b));
    let gaps = gaps(outbox).await;
    for number in (0..appended).filter(|number| there.binary_search(number).is_err()) {
        let meter = format!("A-{}", number % METERS);
        let is_told = gaps.iter().any(|gap| gap.meter == meter && (gap.from..=gap.to).contains(&at(number)));
        assert!(is_told, "reading {number} of {} is gone and nobody says so", at(number));
    }
    there
}

async fn is_thinned(outbox: &Outbox, than: u64) -> Option<u64> {
    Some(outbox.stats().await.unwrap().readings.dropped).filter(|dropped| *dropped > than)
}

#[tokio::test]
async fn weeks_without_a_broker_cost_detail_and_every_reading_is_there_or_in_a_reported_gap() {
    let folder = tempfile::tempdir().unwrap();
    let config = tight(folder.path());
    let mut outbox = open(config.clone(), Pulse::new("outbox")).unwrap().outbox;
    // Thirteen weeks, with a restart each.
    let per_week = METERS * 4 * 24 * 7;
    for week in 0..13 {
        for day in 0..7 {
            let from = week * per_week + day * per_week / 7;
            store_all(&outbox, from..from + per_week / 7).await;
            let disk_bytes = outbox.stats().await.unwrap().readings.disk_bytes;
            assert!(disk_bytes <= config.readings_bytes_max, "{disk_bytes} in week {week}");
        }
        outbox.close().await.unwrap();
        outbox = open(config.clone(), Pulse::new("outbox")).unwrap().outbox;
    }
    let appended = 13 * per_week;
    let there = assert_conserved(&outbox, appended).await;
    let gone = gaps(&outbox).await.iter().map(|gap| gap.count).sum::<u64>();
    assert_eq!(gone + u64::try_from(there.len()).unwrap(), appended, "each is counted once");
    assert!(there.len() < usize::try_from(appended / 2).unwrap(), "hardly a reading went: {}", there.len());
    let newest = appended - 3 * per_week / 7;
    assert!(there.ends_with(&(newest..appended).collect::<Vec<_>>()), "the newest three days are not whole");
    // What a bill and a total need.
    let mut month_ends = BTreeMap::new();
    for number in 0..appended {
        let month = jiff::tz::TimeZone::UTC.to_datetime(at(number)).month();
        month_ends.insert((number % METERS, month), number);
    }
    for number in month_ends.into_values().chain(0..METERS) {
        assert!(there.binary_search(&number).is_ok(), "the reading of {} is gone", at(number));
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(fs::copy(entry.path(), target).unwrap()),
        }
    }
}

fn names(lane: &Path) -> Vec<PathBuf> {
    let mut names: Vec<PathBuf> =
        fs::read_dir(lane).unwrap().map(|entry| entry.unwrap().file_name().into()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_crash_before_the_thinned_segments_went_is_no_damage_and_tells_of_the_same_again() {
    let folder = tempfile::tempdir().unwrap();
    let (lane, saved) = (folder.path().join("readings"), folder.path().join("saved"));
    let config = tight(folder.path());
    let outbox = open(config.clone(), Pulse::new("outbox")).unwrap().outbox;
    let mut appended = 0;
    while is_thinned(&outbox, 0).await.is_none() {
        let _ = fs::remove_dir_all(&saved);
        copy(&lane, &saved);
        store_all(&outbox, appended..appended + 50).await;
        appended += 50;
        assert!(appended < 100_000, "the quota never bit");
    }
    outbox.close().await.unwrap();
    let now = names(&lane);
    let gone: Vec<PathBuf> = names(&saved).into_iter().filter(|name| !now.contains(name)).collect();
    assert!(!gone.is_empty(), "no two segments became one");
    gone.iter().for_each(|name| copy(&saved.join(name), &lane.join(name)));
    fs::remove_dir_all(&saved).unwrap();

    let outbox = open(config, Pulse::new("outbox")).unwrap().outbox;
    let before = assert_conserved(&outbox, appended).await.len();
    let told = gaps(&outbox).await;
    while is_thinned(&outbox, 0).await.is_none() {
        store_all(&outbox, appended..appended + 50).await;
        appended += 50;
    }
    let stats = outbox.stats().await.unwrap();
    assert_eq!((stats.readings.lost, stats.quarantined_segments), (0, 0));
    assert_conserved(&outbox, appended).await;
    let twice = gaps(&outbox).await;
    assert!(twice.len() > told.len() && before > 0);
}
