//! Damage done by hand: it always opens, saves what is whole, and says what is not.

use super::*;
use std::fs;
use weir_wire::GapCause;

/// A closed outbox with readings `1..=count` waiting, and its segments' directories.
pub(super) async fn prepared(folder: &Path, count: u64) -> Vec<PathBuf> {
    let Opened { outbox, .. } = open_small(folder);
    store(&outbox, 1..=count).await;
    outbox.close().await.unwrap();
    segments(folder)
}

fn segments(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder.join("readings")).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn first_of(segment: &Path) -> u64 {
    segment.file_name().unwrap().to_str().unwrap().parse().unwrap()
}

/// Opens, drains, and checks the books: every number is either there or inside a reported gap.
async fn opens_and_accounts_for(folder: &Path, count: u64) -> Vec<u64> {
    let Opened { outbox, .. } = open_small(folder);
    store(&outbox, [1_000_000]).await;
    let found: Vec<u64> = drain(&outbox, Lane::Readings).await.iter().map(number_of).collect();
    assert!(found.is_sorted() && found.last() == Some(&1_000_000), "{found:?}");
    let mut lost = 0;
    let mut damaged = 0;
    for event in events(&outbox).await {
        match event {
            What::Gap { cause: GapCause::Damage, lost: n, ids: Some(_), .. } => lost += n,
            What::OutboxDamaged { .. } => damaged += 1,
            other => panic!("{other:?}"),
        }
    }
    let there = u64::try_from(found.len()).unwrap() - 1;
    assert_eq!(there + lost, count, "found {found:?}");
    assert_eq!(outbox.stats().await.unwrap().quarantined_segments, damaged);
    // And it goes on in good order afterwards.
    outbox.reader(Lane::Readings).acknowledge(u64::MAX).await.unwrap();
    store(&outbox, [1_000_001]).await;
    outbox.close().await.unwrap();
    let again = open_small(folder);
    assert_eq!(
        drain(&again.outbox, Lane::Readings).await.iter().map(number_of).collect::<Vec<_>>(),
        [1_000_001]
    );
    again.outbox.close().await.unwrap();
    found
}

#[tokio::test]
async fn a_closed_segment_whose_file_is_rubbish_is_lost_counted_and_the_rest_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let segments = prepared(folder.path(), 60).await;
    let db = segments[1].join("db");
    fs::write(&db, vec![0x55; fs::metadata(&db).unwrap().len().try_into().unwrap()]).unwrap();
    let found = opens_and_accounts_for(folder.path(), 60).await;
    let (gone_from, gone_to) = (first_of(&segments[1]), first_of(&segments[2]) - 1);
    assert!(!found.iter().any(|number| (gone_from..=gone_to).contains(number)));
    assert!(found.contains(&(gone_from - 1)) && found.contains(&(gone_to + 1)));
}

#[tokio::test]
async fn a_segment_that_is_missing_altogether_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let segments = prepared(folder.path(), 60).await;
    fs::remove_dir_all(&segments[1]).unwrap();
    opens_and_accounts_for(folder.path(), 60).await;
}

#[tokio::test]
async fn records_are_salvaged_from_a_segment_whose_head_is_destroyed() {
    let folder = tempfile::tempdir().unwrap();
    let segments = prepared(folder.path(), 60).await;
    fs::write(segments[1].join("conf"), b"rubbish").unwrap();
    let found = opens_and_accounts_for(folder.path(), 60).await;
    assert_eq!(found.len(), 61, "every record was whole in the raw bytes: {found:?}");
}

#[tokio::test]
async fn a_destroyed_newest_segment_does_not_keep_the_outbox_from_opening() {
    let folder = tempfile::tempdir().unwrap();
    let segments = prepared(folder.path(), 60).await;
    let newest = segments.last().unwrap();
    fs::write(newest.join("conf"), b"rubbish").unwrap();
    let found = opens_and_accounts_for(folder.path(), 60).await;
    assert_eq!(found.len(), 61, "{found:?}");
}

/// Flips one bit of a segment's used part.
fn flip_a_bit(segment: &Path, random: &mut fastrand::Rng) {
    let db = segment.join("db");
    let mut bytes = fs::read(&db).unwrap();
    let used = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    bytes[random.usize(..used)] ^= 1 << random.u8(..8);
    fs::write(&db, bytes).unwrap();
}

#[tokio::test]
async fn one_flipped_bit_in_a_closed_segment_costs_at_most_the_record_it_hits() {
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..12 {
        let folder = tempfile::tempdir().unwrap();
        let segments = prepared(folder.path(), 40).await;
        flip_a_bit(&segments[random.usize(..segments.len() - 1)], &mut random);
        let found = opens_and_accounts_for(folder.path(), 40).await;
        assert!(found.len() >= 40, "{found:?}");
    }
}

/// What is hit here may be the very last record: then nothing after it tells that it is missing.
#[tokio::test]
async fn one_flipped_bit_in_the_newest_segment_costs_at_most_the_record_it_hits() {
    let mut random = fastrand::Rng::with_seed(11);
    for _ in 0..12 {
        let folder = tempfile::tempdir().unwrap();
        let segments = prepared(folder.path(), 40).await;
        flip_a_bit(segments.last().unwrap(), &mut random);
        let Opened { outbox, .. } = open_small(folder.path());
        store(&outbox, [1_000_000]).await;
        let found: Vec<u64> = drain(&outbox, Lane::Readings).await.iter().map(number_of).collect();
        assert!(found.is_sorted() && found.len() >= 40, "{found:?}");
    }
}

#[tokio::test]
async fn damage_in_the_urgent_lane_is_reported_under_its_own_names() {
    let folder = tempfile::tempdir().unwrap();
    let Opened { outbox, .. } = open_small(folder.path());
    for number in 0..60_u64 {
        let detail = format!("{number:0>200}");
        let event = Record::Event(event::now(What::OutboxPressure { detail }));
        outbox.append(&event).await.unwrap().await.unwrap();
    }
    outbox.close().await.unwrap();
    let urgent = folder.path().join("urgent");
    fs::write(urgent.join("00000000000000000001").join("db"), b"rubbish").unwrap();

    let Opened { outbox, .. } = open_small(folder.path());
    let stats = outbox.stats().await.unwrap();
    assert_eq!(stats.readings.lost, 0);
    let gap = events(&outbox).await.into_iter().find_map(|event| match event {
        What::Gap { ids: Some([first, _]), lost, .. } => Some((first, lost)),
        _ => None,
    });
    let (first, lost) = gap.unwrap();
    assert!(first.ends_with(":u1"), "{first}");
    assert_eq!(outbox.stats().await.unwrap().urgent.lost, lost);
}

#[tokio::test]
async fn what_an_interrupted_step_left_behind_is_finished() {
    let folder = tempfile::tempdir().unwrap();
    let segments = prepared(folder.path(), 60).await;
    let lane = folder.path().join("readings");
    // A roll that stopped while the new segment was being made.
    fs::create_dir(lane.join("new-00000000000000000061")).unwrap();
    fs::write(lane.join("new-00000000000000000061").join("db"), b"half").unwrap();
    // A removal that stopped after the rename.
    fs::create_dir(lane.join("dead-00000000000000000000")).unwrap();
    // A move into a fresh file that stopped after the rename.
    let name = segments[1].file_name().unwrap().to_str().unwrap();
    fs::rename(&segments[1], lane.join(format!("moving-{name}"))).unwrap();
    // A snapshot that sled was writing.
    fs::write(segments[2].join("snap.0000000000000001.generating"), b"half").unwrap();
    let found = opens_and_accounts_for(folder.path(), 60).await;
    assert_eq!(found.len(), 61, "{found:?}");
    assert!(
        !lane.join("new-00000000000000000061").exists() && !lane.join("dead-00000000000000000000").exists()
    );
}
