//! The tools' view of a stopped outbox: it tells what a start would find, and changes nothing.

use super::damage::prepared;
use super::*;
use crate::outbox::inspect::{self, Held, Range, Remains, Salvage, SegmentReport};
use std::collections::BTreeSet;
use std::fs;

fn verified(folder: &Path) -> Vec<SegmentReport> {
    let mut reports = Vec::new();
    inspect::verify(&Held::take(folder).unwrap(), |report| {
        reports.push(report);
        Ok(())
    })
    .unwrap();
    reports
}

fn of_readings(folder: &Path) -> Vec<SegmentReport> {
    verified(folder).into_iter().filter(|report| report.lane == "readings").collect()
}

fn exported(folder: &Path) -> Vec<Stored> {
    let mut all = Vec::new();
    inspect::waiting(&Held::take(folder).unwrap(), Lane::Readings, |stored| {
        all.push(stored);
        Ok(())
    })
    .unwrap();
    all
}

fn salvaged(directory: &Path) -> (Vec<String>, Salvage) {
    let mut ids = Vec::new();
    let told = inspect::salvage(&Remains::take(directory).unwrap(), "gw-1", |found| {
        Record::decode(&found.bytes).unwrap();
        ids.push(found.id);
        Ok(())
    });
    (ids, told.unwrap())
}

/// Every file below a folder with its bytes.
fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(files(&path))
        } else {
            all.push((path.clone(), fs::read(path).unwrap()))
        }
    }
    all.sort();
    all
}

#[tokio::test]
async fn a_whole_outbox_is_told_as_whole_and_looking_changes_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let first = open_small(folder.path());
    store(&first.outbox, 1..=120).await;
    let read = drain(&first.outbox, Lane::Readings).await;
    first.outbox.reader(Lane::Readings).acknowledge(25).await.unwrap();
    first.outbox.close().await.unwrap();
    let before = files(folder.path());

    let reports = of_readings(folder.path());
    assert!(reports.len() > 3 && reports.iter().all(SegmentReport::is_whole), "{reports:#?}");
    assert_eq!(reports.iter().map(|report| report.waiting).sum::<u64>(), 95);
    assert_eq!(reports.iter().filter_map(|report| report.last).max(), Some(120));
    assert_eq!(reports.last().unwrap().cursor, Some(25));
    assert_eq!(exported(folder.path()), read[25..]);
    let (ids, told) = salvaged(folder.path());
    assert!(told.records >= 95 && ids.contains(&read[119].name.id("gw-1")), "{told:?}");
    assert_eq!(files(folder.path()), before);
}

#[tokio::test]
async fn what_the_next_start_reports_as_lost_is_told_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let segments = prepared(folder.path(), 120).await;
    fs::write(segments[1].join("db"), b"rubbish").unwrap();
    fs::remove_dir_all(&segments[0]).unwrap();
    fs::remove_dir_all(&segments[3]).unwrap();
    let missing: Vec<Range> = of_readings(folder.path()).into_iter().flat_map(|it| it.missing).collect();
    let lost: u64 = missing.iter().map(|range| range.records).sum();
    assert!(lost >= 15, "{missing:?}");
    assert_eq!(exported(folder.path()).len(), 120 - usize::try_from(lost).unwrap());

    let Opened { outbox, .. } = open_small(folder.path());
    let found = drain(&outbox, Lane::Readings).await;
    assert_eq!(outbox.stats().await.unwrap().readings.lost, lost);
    outbox.close().await.unwrap();
    // What was reported is no longer missing but gone.
    let after = of_readings(folder.path());
    assert!(after.iter().all(SegmentReport::is_whole), "{after:#?}");
    assert!(after.iter().any(|report| !report.gone.is_empty()), "{after:#?}");
    assert_eq!(exported(folder.path()), found);
}

#[tokio::test]
async fn a_newest_segment_of_which_nothing_can_be_read_is_not_told_as_whole() {
    let folder = tempfile::tempdir().unwrap();
    let segments = prepared(folder.path(), 20).await;
    fs::write(segments.last().unwrap().join("db"), vec![0; 4096]).unwrap();
    let reports = of_readings(folder.path());
    assert!(reports.last().unwrap().unreadable && !reports.last().unwrap().is_whole(), "{reports:#?}");
}

#[tokio::test]
async fn every_single_segment_and_one_in_quarantine_beside_a_running_daemon_can_be_salvaged() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("outbox");
    let segments = prepared(&directory, 60).await;
    let each: Vec<String> = segments.iter().flat_map(|segment| salvaged(segment).0).collect();
    assert_eq!(each.iter().collect::<BTreeSet<_>>().len(), 60);
    let mut raw = fs::read(segments[1].join("db")).unwrap();
    let used = raw.iter().rposition(|byte| *byte != 0).unwrap();
    raw[used / 2..].fill(0);
    fs::write(segments[1].join("db"), raw).unwrap();
    let whole = salvaged(&segments[1]).0;
    assert!(!whole.is_empty());

    let Opened { outbox, .. } = open_small(&directory);
    drain(&outbox, Lane::Readings).await;
    let quarantine = directory.join("quarantine");
    assert_eq!(salvaged(&quarantine).0, whole);
    for written in [directory.parent().unwrap(), &directory, &directory.join("readings"), &segments[0]] {
        let refused = Remains::take(written);
        assert!(matches!(refused, Err(OpenError::InUse(_))), "{}: {refused:?}", written.display());
    }
    assert!(matches!(Held::take(&directory), Err(OpenError::InUse(_))));
    outbox.close().await.unwrap();
    assert_eq!(inspect::quarantine(&Held::take(&directory).unwrap()).unwrap().len(), 1);
}

#[tokio::test]
async fn a_daemon_does_not_open_what_is_being_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    prepared(folder.path(), 3).await;
    let held = Held::take(folder.path()).unwrap();
    let _another = Held::take(folder.path()).unwrap();
    let refused = open(config(folder.path()), Pulse::new("outbox"));
    assert!(matches!(refused, Err(OpenError::InUse(_))));
    drop((held, _another));
    open_small(folder.path()).outbox.close().await.unwrap();
}

#[tokio::test]
async fn a_refused_record_is_salvaged_under_its_own_id() {
    let folder = tempfile::tempdir().unwrap();
    let Opened { outbox, .. } = open_small(folder.path());
    let ids = store(&outbox, 1..=2).await;
    outbox.reader(Lane::Readings).set_aside(1, "message too large".into()).await.unwrap();
    outbox.close().await.unwrap();
    assert_eq!(salvaged(&folder.path().join("refused")).0, ids[..1]);
}
