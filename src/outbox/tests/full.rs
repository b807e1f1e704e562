//! At the quota: bounded, counted, reported.

use super::*;
use std::collections::BTreeMap;
use weir_wire::GapCause;

/// Room for a few segments of the test's size.
fn tight(directory: &Path, when_full: WhenFull) -> Config {
    let one = crate::limits::segment_disk_bytes_max(SMALL_SEGMENT);
    Config { readings_bytes_max: 3 * one, when_full, ..config(directory) }
}

#[tokio::test]
async fn at_the_quota_the_oldest_go_and_every_one_of_them_is_reported_by_meter() {
    let folder = tempfile::tempdir().unwrap();
    let tight = tight(folder.path(), WhenFull::DropOldest);
    let Opened { outbox, .. } = open(tight.clone(), Pulse::new("outbox")).unwrap();
    let mut appended = 0;
    while outbox.stats().await.unwrap().readings.dropped < 40 {
        store(&outbox, appended + 1..=appended + 10).await;
        appended += 10;
        assert!(outbox.stats().await.unwrap().readings.disk_bytes <= tight.readings_bytes_max);
        assert!(appended < 100_000, "the quota never bit");
    }
    let waiting = drain(&outbox, Lane::Readings).await;
    let mut books = BTreeMap::<String, u64>::new();
    for stored in &waiting {
        *books.entry(format!("A-{}", number_of(stored) % 3)).or_default() += 1;
    }
    for event in events(&outbox).await {
        match event {
            What::Gap { cause: GapCause::Retention, meters, lost, .. } => {
                assert_eq!(meters.iter().map(|gap| gap.count).sum::<u64>(), lost);
                meters.into_iter().for_each(|gap| *books.entry(gap.meter).or_default() += gap.count);
            }
            What::OutboxPressure { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    let expected = |rest: u64| (1..=appended).filter(|number| number % 3 == rest).count();
    for rest in 0..3 {
        assert_eq!(books[&format!("A-{rest}")], u64::try_from(expected(rest)).unwrap());
    }
    assert_eq!(number_of(waiting.last().unwrap()), appended, "the newest stay");
}

#[tokio::test]
async fn a_full_outbox_that_must_not_drop_refuses_until_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let Opened { outbox, .. } =
        open(tight(folder.path(), WhenFull::StopPolling), Pulse::new("outbox")).unwrap();
    let mut stored = 0;
    loop {
        match outbox.append(&reading(stored + 1)).await.unwrap().await {
            Ok(_) => stored += 1,
            Err(error) => {
                assert_eq!(error, AppendError::Full);
                break;
            }
        }
        assert!(stored < 100_000, "the quota never bit");
    }
    let event = Record::Event(event::now(What::Stopping));
    outbox.append(&event).await.unwrap().await.expect("events have a lane of their own");
    let kept: Vec<u64> = drain(&outbox, Lane::Readings).await.iter().map(number_of).collect();
    assert_eq!(kept, (1..=stored).collect::<Vec<_>>(), "nothing that was told is gone");

    outbox.reader(Lane::Readings).acknowledge(stored).await.unwrap();
    store(&outbox, [stored + 1]).await;
}
