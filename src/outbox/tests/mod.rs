//! The outbox on real files, with segments so small that rolling, dropping and carrying the cursor forward happen often.

mod damage;
mod full;
mod inspect;
mod model;
mod power;
mod thin;
mod trouble;

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use weir_wire::stored::{Event, Outcome, Reading, Record, What};
use weir_wire::{Answer, Clock, CommandState, Content, Number, Quantity, Unit, Value};

use super::*;
use crate::event;
use crate::id::Lane;
use crate::pulse::Pulse;

/// About ten plain readings.
const SMALL_SEGMENT: u64 = 2_000;

fn config(directory: &Path) -> Config {
    Config {
        gateway: "gw-1".into(),
        directory: directory.to_owned(),
        readings_bytes_max: 1 << 30,
        urgent_bytes_max: 1 << 30,
        free_bytes_min: 0,
        commit_window: Duration::ZERO,
        when_full: WhenFull::DropOldest,
        time_zone: jiff::tz::TimeZone::UTC,
        segment_payload_bytes: SMALL_SEGMENT,
    }
}

fn open_small(directory: &Path) -> Opened {
    open(config(directory), Pulse::new("outbox")).unwrap()
}

/// A reading that can be told from every other by its number.
fn reading(number: u64) -> Record {
    let value = Value::number(Quantity::Volume, Number::scaled(number.into(), -3).unwrap(), Unit::CubicMetre);
    let at = Timestamp::from_millisecond(1_790_000_000_000 + i64::try_from(number).unwrap() * 1000).unwrap();
    Record::Reading(Reading {
        line: "riser-1".into(),
        meter: format!("A-{}", number % 3),
        driver: "mbus".into(),
        scheduled_at: Some(at),
        read_at: at,
        clock: Clock::Synced,
        boot: 1,
        uptime_ms: number,
        answer: Answer { values: vec![value], ..Answer::default() },
    })
}

/// The end of a command that can be told from every other by its number.
fn outcome(number: usize) -> Record {
    Record::Outcome(Outcome {
        command: format!("command-{number}"),
        meter: "A-1".into(),
        action: weir_wire::Action::ValveClose,
        state: CommandState::Done,
        is_final: true,
        at: crate::clock::wall(),
        clock: Clock::Synced,
        reason: None,
        observed: None,
        detail: None,
    })
}

fn number_of(stored: &Stored) -> u64 {
    let Record::Reading(reading) = Record::decode(&stored.bytes).unwrap() else { panic!("not a reading") };
    assert!(matches!(reading.answer.values[0].content, Content::Number(_)));
    reading.uptime_ms
}

/// Appends readings, a few to a commit, and waits until they count; returns their ids in order.
async fn store(outbox: &Outbox, numbers: impl IntoIterator<Item = u64>) -> Vec<String> {
    let numbers: Vec<u64> = numbers.into_iter().collect();
    let mut ids = Vec::new();
    for few in numbers.chunks(5) {
        let mut receipts = Vec::new();
        for number in few {
            receipts.push(outbox.append(&reading(*number)).await.unwrap());
        }
        for receipt in receipts {
            ids.push(receipt.await.unwrap().id("gw-1"));
        }
    }
    ids
}

/// Everything that waits in a lane, from its cursor on.
async fn drain(outbox: &Outbox, lane: Lane) -> Vec<Stored> {
    let mut reader = outbox.reader(lane);
    let mut all: Vec<Stored> = Vec::new();
    let waiting = outbox.stats().await.unwrap().lane(lane).clone();
    if waiting.waiting == 0 {
        return all;
    }
    while all.last().is_none_or(|last| last.name.sequence < waiting.last_sequence) {
        all.extend(reader.next(7, 1 << 20).await.unwrap());
    }
    all
}

/// The events among what waits in the urgent lane.
async fn events(outbox: &Outbox) -> Vec<What> {
    let decode = |stored: Stored| match Record::decode(&stored.bytes).unwrap() {
        Record::Event(Event { what, .. }) => Some(what),
        Record::Outcome(_) => None,
        Record::Reading(_) => panic!("a reading in the urgent lane"),
    };
    drain(outbox, Lane::Urgent).await.into_iter().filter_map(decode).collect()
}

#[tokio::test]
async fn what_was_told_is_there_after_a_restart_under_the_same_ids() {
    let folder = tempfile::tempdir().unwrap();
    let first = open_small(folder.path());
    assert_eq!(first.previous, None);
    let told = store(&first.outbox, 1..=35).await;
    first.outbox.close().await.unwrap();

    let second = open_small(folder.path());
    assert_ne!(second.generation, first.generation);
    assert_eq!(second.previous, Some(Previous { generation: first.generation, last: [35, 0] }));
    let found = drain(&second.outbox, Lane::Readings).await;
    assert_eq!(found.iter().map(|stored| stored.name.id("gw-1")).collect::<Vec<_>>(), told);
    assert_eq!(found.iter().map(number_of).collect::<Vec<_>>(), (1..=35).collect::<Vec<_>>());
    let later = store(&second.outbox, [36]).await;
    assert_eq!(later, [format!("gw-1:{}:r36", second.generation)]);
}

#[tokio::test]
async fn acknowledged_segments_give_their_disk_back_and_a_restart_goes_on_after_the_cursor() {
    let folder = tempfile::tempdir().unwrap();
    let first = open_small(folder.path());
    store(&first.outbox, 1..=100).await;
    let before = first.outbox.stats().await.unwrap().readings;
    assert!(before.segments >= 4, "{before:?}");
    first.outbox.reader(Lane::Readings).acknowledge(95).await.unwrap();
    store(&first.outbox, [101]).await;
    let after = first.outbox.stats().await.unwrap().readings;
    assert!(after.segments <= 2 && after.disk_bytes < before.disk_bytes, "{after:?}");
    assert_eq!((after.waiting, after.acknowledged), (6, 95));
    first.outbox.close().await.unwrap();

    let second = open_small(folder.path());
    let found = drain(&second.outbox, Lane::Readings).await;
    assert_eq!(found.iter().map(number_of).collect::<Vec<_>>(), (96..=101).collect::<Vec<_>>());
}

#[tokio::test]
async fn an_acknowledgement_alone_reaches_the_disk_on_closing() {
    let folder = tempfile::tempdir().unwrap();
    let first = open_small(folder.path());
    store(&first.outbox, 1..=3).await;
    first.outbox.reader(Lane::Readings).acknowledge(2).await.unwrap();
    first.outbox.close().await.unwrap();
    let second = open_small(folder.path());
    assert_eq!(drain(&second.outbox, Lane::Readings).await.iter().map(number_of).collect::<Vec<_>>(), [3]);
}

#[tokio::test]
async fn a_rewound_reader_hands_out_the_same_records_again() {
    let folder = tempfile::tempdir().unwrap();
    let Opened { outbox, .. } = open_small(folder.path());
    store(&outbox, 1..=30).await;
    let mut reader = outbox.reader(Lane::Readings);
    let once = reader.next(20, 1 << 20).await.unwrap();
    reader.acknowledge(5).await.unwrap();
    reader.rewind();
    let again = reader.next(15, 1 << 20).await.unwrap();
    assert_eq!(again, once[5..]);
}

#[tokio::test]
async fn a_reader_waits_for_the_next_record() {
    let folder = tempfile::tempdir().unwrap();
    let Opened { outbox, .. } = open_small(folder.path());
    let mut reader = outbox.reader(Lane::Readings);
    let waiting = tokio::spawn(async move { reader.next(10, 1 << 20).await.unwrap() });
    store(&outbox, [7]).await;
    assert_eq!(number_of(&waiting.await.unwrap()[0]), 7);
}

#[tokio::test]
async fn a_record_longer_than_a_stored_value_comes_back_whole() {
    let folder = tempfile::tempdir().unwrap();
    let Opened { outbox, .. } = open_small(folder.path());
    let long: String = ('a'..='z').cycle().take(20_000).collect();
    let event = Record::Event(event::now(What::OutboxPressure { detail: long }));
    outbox.append(&event).await.unwrap().await.unwrap();
    outbox.close().await.unwrap();
    let Opened { outbox, .. } = open_small(folder.path());
    let found = drain(&outbox, Lane::Urgent).await;
    assert_eq!(Record::decode(&found[0].bytes).unwrap(), event);

    let longer = What::OutboxPressure { detail: "x".repeat(crate::limits::RECORD_BYTES_MAX) };
    let refused = outbox.append(&Record::Event(event::now(longer))).await.unwrap().await;
    assert!(matches!(refused, Err(AppendError::TooLong { .. })));
}

#[tokio::test]
async fn a_record_that_the_broker_refused_is_kept_aside_and_reported() {
    let folder = tempfile::tempdir().unwrap();
    let Opened { outbox, .. } = open_small(folder.path());
    let ids = store(&outbox, 1..=3).await;
    let reader = outbox.reader(Lane::Readings);
    reader.acknowledge(1).await.unwrap();
    reader.set_aside(2, "message too large".into()).await.unwrap();
    assert_eq!(drain(&outbox, Lane::Readings).await.iter().map(number_of).collect::<Vec<_>>(), [3]);
    assert_eq!(outbox.stats().await.unwrap().refused, 1);
    let reported = What::RecordRefused {
        record: ids[1].clone(),
        meter: Some("A-2".into()),
        detail: "message too large".into(),
    };
    assert_eq!(events(&outbox).await, [reported]);
    outbox.close().await.unwrap();
    assert_eq!(open_small(folder.path()).outbox.stats().await.unwrap().refused, 1);
}

#[tokio::test]
async fn a_refused_outcome_is_reported_by_its_own_id_and_a_refused_event_by_none() {
    let folder = tempfile::tempdir().unwrap();
    let Opened { outbox, .. } = open_small(folder.path());
    let stopping = Record::Event(event::now(What::Stopping));
    for record in [&outcome(1), &stopping] {
        outbox.append(record).await.unwrap().await.unwrap();
    }
    let reader = outbox.reader(Lane::Urgent);
    for sequence in [1, 2] {
        reader.set_aside(sequence, "message too large".into()).await.unwrap();
    }
    let record = "gw-1:command-1:done".to_owned();
    let reported = What::RecordRefused {
        record: record.clone(),
        meter: Some("A-1".into()),
        detail: "message too large".into(),
    };
    assert_eq!(events(&outbox).await, [reported]);
    assert_eq!(outbox.stats().await.unwrap().refused, 2);
    outbox.close().await.unwrap();

    let mut found = Vec::new();
    let remains = super::inspect::Remains::take(folder.path()).unwrap();
    super::inspect::salvage(&remains, "gw-1", |it| {
        let decoded = Record::decode(&it.bytes).unwrap();
        found.extend(matches!(decoded, Record::Outcome(_)).then(|| decoded.id(it.id, "gw-1")));
        Ok(())
    })
    .unwrap();
    assert_eq!(found, [record.clone(), record], "where it lay and where it was set aside");
}

#[tokio::test]
async fn two_processes_cannot_have_the_same_outbox() {
    let folder = tempfile::tempdir().unwrap();
    let first = open_small(folder.path());
    assert!(matches!(open(config(folder.path()), Pulse::new("outbox")), Err(OpenError::InUse(_))));
    first.outbox.close().await.unwrap();
    drop(first);
}

#[tokio::test]
async fn readings_share_a_flush_within_the_window_and_events_do_not_wait() {
    let folder = tempfile::tempdir().unwrap();
    let slow = Config { commit_window: Duration::from_secs(3600), ..config(folder.path()) };
    let Opened { outbox, .. } = open(slow, Pulse::new("outbox")).unwrap();
    let mut receipts = Vec::new();
    for number in 1..=99 {
        receipts.push(outbox.append(&reading(number)).await.unwrap());
    }
    let event = Record::Event(event::now(What::Stopping));
    outbox.append(&event).await.unwrap().await.unwrap();
    let stats = outbox.stats().await.unwrap();
    assert_eq!((stats.urgent.stored, stats.readings.stored), (1, 0));
    // The hundredth makes the commit due although the window is open for an hour.
    outbox.append(&reading(100)).await.unwrap().await.unwrap();
    assert_eq!(outbox.stats().await.unwrap().readings.commits, 1);
}

#[tokio::test]
async fn readers_that_never_pause_do_not_keep_a_commit_from_coming() {
    let folder = tempfile::tempdir().unwrap();
    let Opened { outbox, .. } = open_small(folder.path());
    store(&outbox, 1..=200).await;
    let ask_for_ever = |outbox: Outbox| async move {
        let mut reader = outbox.reader(Lane::Readings);
        while reader.next(500, 1 << 20).await.is_ok() {
            reader.rewind();
        }
    };
    let readers: Vec<_> = (0..8).map(|_| tokio::spawn(ask_for_ever(outbox.clone()))).collect();
    let stored = tokio::time::timeout(Duration::from_secs(30), store(&outbox, 201..=260)).await;
    readers.iter().for_each(tokio::task::JoinHandle::abort);
    assert_eq!(stored.expect("commits come although reads never end").len(), 60);
}
