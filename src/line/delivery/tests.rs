//! An outbox at its quota that may drop nothing: polls pause, nothing is lost, and they go on when there is room.

use jiff::Timestamp;
use weir_wire::stored::Reading;
use weir_wire::{Answer, Clock, Content, Quantity, Value};

use super::*;
use crate::id::Lane;
use crate::outbox::{self, Opened, WhenFull};

const SMALL_SEGMENT: u64 = 2_000;

fn open_tight() -> (Outbox, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let config = outbox::Config {
        gateway: "gw-1".into(),
        directory: directory.path().join("outbox"),
        readings_bytes_max: 3 * crate::limits::segment_disk_bytes_max(SMALL_SEGMENT),
        urgent_bytes_max: 1 << 30,
        free_bytes_min: 0,
        commit_window: std::time::Duration::ZERO,
        when_full: WhenFull::StopPolling,
        time_zone: jiff::tz::TimeZone::UTC,
        segment_payload_bytes: SMALL_SEGMENT,
    };
    let Opened { outbox, .. } = outbox::open(config, Pulse::new("outbox")).unwrap();
    (outbox, directory)
}

fn reading(number: u64, text: String) -> Record {
    Record::Reading(Reading {
        line: "riser-1".into(),
        meter: "A-101".into(),
        driver: "mbus".into(),
        scheduled_at: None,
        read_at: Timestamp::from_second(1_795_392_000).unwrap(),
        clock: Clock::Synced,
        boot: 1,
        uptime_ms: number,
        answer: Answer {
            values: vec![Value::new(Quantity::Customer, Content::Text(text))],
            ..Answer::default()
        },
    })
}

/// Sends readings until the outbox refuses one; returns how many were sent.
async fn fill(delivery: &mut Delivery) -> u64 {
    let mut sent = 0;
    while delivery.paused().is_none() {
        sent += 1;
        delivery.send(reading(sent, String::new())).await;
        delivery.turn().await;
        assert!(sent < 100_000, "the quota never bit");
    }
    sent
}

#[tokio::test]
async fn a_full_outbox_pauses_the_polls_and_loses_none_of_what_was_read() {
    let (outbox, _directory) = open_tight();
    let mut delivery = Delivery::new(outbox.clone(), Pulse::new("line"));
    let mut sent = fill(&mut delivery).await;
    assert_eq!(delivery.paused(), Some(&AppendError::Full));
    // Somebody asks for a read meanwhile.
    sent += 1;
    delivery.send(reading(sent, String::new())).await;
    delivery.offer_at = now();
    delivery.turn().await;
    assert_eq!(delivery.paused(), Some(&AppendError::Full), "there is still no room");
    assert!(delivery.offer_at > now(), "and it is not offered again at once");

    let (mut reader, mut numbers) = (outbox.reader(Lane::Readings), Vec::new());
    while numbers.len() < usize::try_from(sent).unwrap() {
        for stored in reader.next(50, 1 << 20).await.unwrap() {
            let Record::Reading(reading) = Record::decode(&stored.bytes).unwrap() else { panic!() };
            numbers.push(reading.uptime_ms);
            reader.acknowledge(stored.name.sequence).await.unwrap();
        }
        delivery.look();
        delivery.offer_at = now();
        delivery.turn().await;
    }
    assert!(numbers == (1..=sent).collect::<Vec<_>>(), "each one once, in order");
    assert_eq!((delivery.paused(), delivery.readings_lost()), (None, 0));
}

#[tokio::test]
async fn a_record_that_no_outbox_takes_is_lost_alone_and_counted() {
    let (outbox, _directory) = open_tight();
    let mut delivery = Delivery::new(outbox.clone(), Pulse::new("line"));
    delivery.send(reading(1, "x".repeat(crate::limits::RECORD_BYTES_MAX))).await;
    delivery.send(reading(2, String::new())).await;
    while !delivery.unsettled.is_empty() {
        delivery.turn().await;
        tokio::task::yield_now().await;
    }
    assert_eq!((delivery.paused(), delivery.readings_lost()), (None, 1));
    assert_eq!(outbox.stats().await.unwrap().readings.stored, 1);
}

#[tokio::test]
async fn what_is_still_refused_at_the_end_is_counted_as_lost() {
    let (outbox, _directory) = open_tight();
    outbox.close().await.unwrap();
    let mut delivery = Delivery::new(outbox, Pulse::new("line"));
    delivery.send(reading(1, String::new())).await;
    assert!(matches!(delivery.paused(), Some(AppendError::Closed(_))));
    for number in 2..=u64::try_from(REFUSED_RECORDS_MAX).unwrap() + 3 {
        delivery.send(reading(number, String::new())).await;
    }
    assert_eq!(delivery.refused.len(), REFUSED_RECORDS_MAX, "what is kept is bounded");
    assert_eq!(delivery.readings_lost(), 3);
    delivery.close().await;
}
