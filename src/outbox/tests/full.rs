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

fn line_up() -> Record {
    Record::Event(event::now(What::LineUp { line: "riser-1".into() }))
}

async fn append(outbox: &Outbox, record: &Record) -> Result<(), AppendError> {
    outbox.append(record).await.unwrap().await.map(drop)
}

fn with_urgent(directory: &Path, segments: u64) -> Config {
    let one = crate::limits::segment_disk_bytes_max(SMALL_SEGMENT);
    Config { urgent_bytes_max: segments * one, ..config(directory) }
}

/// The outcomes among what waits in the urgent lane, sorted, and how much else there is.
async fn outcomes(outbox: &Outbox) -> (Vec<String>, usize) {
    let decode = |stored: &Stored| Record::decode(&stored.bytes).unwrap();
    let records: Vec<Record> = drain(outbox, Lane::Urgent).await.iter().map(decode).collect();
    let command = |record: &Record| match record {
        Record::Outcome(outcome) => Some(outcome.command.clone()),
        _ => None,
    };
    let mut commands: Vec<String> = records.iter().filter_map(command).collect();
    commands.sort();
    let others = records.len() - commands.len();
    (commands, others)
}

#[tokio::test]
async fn outcomes_outlive_the_events_that_fill_their_lane_and_a_restart_finds_them() {
    let folder = tempfile::tempdir().unwrap();
    let config = with_urgent(folder.path(), 3);
    let Opened { outbox, .. } = open(config.clone(), Pulse::new("outbox")).unwrap();
    for number in 0..3 {
        append(&outbox, &outcome(number)).await.unwrap();
    }
    let told = outcomes(&outbox).await.0;
    let mut appended = 0;
    // The segments that the outcomes lay in at first, and those that they were carried over into.
    while outbox.stats().await.unwrap().urgent.dropped < 300 {
        append(&outbox, &line_up()).await.unwrap();
        appended += 1;
        assert!(outbox.stats().await.unwrap().urgent.disk_bytes <= config.urgent_bytes_max);
        assert!(appended < 100_000, "the quota never bit");
    }
    let (left, others) = outcomes(&outbox).await;
    assert_eq!(left, told, "each once");
    assert!(others < appended, "events have gone");
    outbox.close().await.unwrap();
    let Opened { outbox, .. } = open(config, Pulse::new("outbox")).unwrap();
    assert_eq!(outcomes(&outbox).await.0, told);
}

#[tokio::test]
async fn a_lane_full_of_outcomes_stays_within_its_quota_and_counts_the_oldest_that_go() {
    let folder = tempfile::tempdir().unwrap();
    let config = with_urgent(folder.path(), 3);
    let Opened { outbox, .. } = open(config.clone(), Pulse::new("outbox")).unwrap();
    let mut appended = 0;
    while outbox.stats().await.unwrap().urgent.dropped < 30 {
        append(&outbox, &outcome(appended)).await.unwrap();
        appended += 1;
        assert!(outbox.stats().await.unwrap().urgent.disk_bytes <= config.urgent_bytes_max);
        assert!(appended < 100_000, "the quota never bit");
    }
    let left = outcomes(&outbox).await.0;
    assert!(left.contains(&format!("command-{}", appended - 1)), "the newest stay");
    let gone = (0..appended).filter(|number| !left.contains(&format!("command-{number}"))).count();
    let told = events(&outbox).await.into_iter().map(|what| match what {
        What::Gap { cause: GapCause::Retention, lost, ids: Some(_), .. } => lost,
        other => panic!("{other:?}"),
    });
    assert!(told.sum::<u64>() >= u64::try_from(gone).unwrap(), "{gone} are gone");
}

#[tokio::test]
async fn where_events_find_no_room_any_more_outcomes_still_do() {
    let folder = tempfile::tempdir().unwrap();
    // Not even a second segment may begin, so there is none to drop.
    let Opened { outbox, .. } = open(with_urgent(folder.path(), 1), Pulse::new("outbox")).unwrap();
    let mut stored = 0;
    while append(&outbox, &line_up()).await.is_ok() {
        stored += 1;
        assert!(stored < 100_000, "the quota never bit");
    }
    for number in 0..3 {
        append(&outbox, &outcome(number)).await.expect("a part of the lane is theirs");
    }
    assert_eq!(append(&outbox, &line_up()).await, Err(AppendError::Full));
    assert_eq!(
        outcomes(&outbox).await,
        (vec!["command-0".into(), "command-1".into(), "command-2".into()], stored)
    );
    let mut outcomes = 3;
    while append(&outbox, &outcome(outcomes)).await.is_ok() {
        outcomes += 1;
        assert!(outcomes < 100_000, "that part has an end");
    }
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
