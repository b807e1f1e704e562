//! The whole room as `app` starts it: the outbox on disk, both lanes, the mock cluster.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::mocking::MockCluster;
use tokio::time::{sleep, timeout};
use weir_wire::stored::Record;

use super::doubles::{event, outcome, reading};
use super::{Config, State, backoff, kafka, start};
use crate::boots::Boots;
use crate::id::Lane;
use crate::outbox::{self, WhenFull};
use crate::pulse::Pulse;

const PATIENCE: Duration = Duration::from_secs(60);

fn kafka_config(bootstrap: String) -> kafka::Config {
    kafka::Config {
        bootstrap,
        readings_topic: "weir.readings".into(),
        events_topic: "weir.events".into(),
        outcomes_topic: "weir.outcomes".into(),
        compression: kafka::Compression::Zstd,
        message_timeout: Duration::from_secs(30),
        linger: Duration::from_millis(5),
        properties: BTreeMap::new(),
    }
}

/// Of no boot, and nothing is kept.
fn unknown_boots() -> Boots {
    Boots::open(std::path::Path::new("/nowhere"))
}

fn config(kafka: kafka::Config) -> Config {
    Config {
        kafka,
        backoff: backoff::Bounds::default(),
        start_spread: Duration::ZERO,
        unsynced_hold: Duration::ZERO,
        stop_wait: Duration::from_secs(3),
    }
}

fn outbox_config(directory: &std::path::Path) -> outbox::Config {
    outbox::Config {
        gateway: "gw".into(),
        directory: directory.to_owned(),
        readings_bytes_max: 64 << 20,
        urgent_bytes_max: 16 << 20,
        free_bytes_min: 0,
        commit_window: Duration::from_millis(20),
        when_full: WhenFull::DropOldest,
        time_zone: jiff::tz::TimeZone::UTC,
        segment_payload_bytes: crate::limits::SEGMENT_PAYLOAD_BYTES,
    }
}

#[tokio::test]
async fn both_lanes_leave_the_outbox_on_disk_once_the_broker_has_them() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("weir.readings", 2, 1).unwrap();
    cluster.create_topic("weir.events", 1, 1).unwrap();
    cluster.create_topic("weir.outcomes", 2, 1).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let opened = outbox::open(outbox_config(directory.path()), Pulse::new("outbox")).unwrap();
    let uplink =
        start(config(kafka_config(cluster.bootstrap_servers())), &opened.outbox, unknown_boots(), "gw")
            .unwrap();

    for sequence in 1..=300 {
        let stored = match sequence % 6 {
            0 => event(sequence),
            3 => outcome(sequence, "A-1"),
            _ => reading(sequence, "A-1", 0),
        };
        let record = Record::decode(&stored.bytes).unwrap();
        opened.outbox.append(&record).await.unwrap().await.unwrap();
    }
    let drained = async {
        loop {
            let stats = opened.outbox.stats().await.unwrap();
            if stats.urgent.waiting + stats.readings.waiting == 0 {
                break;
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, drained).await.expect("both lanes drain");
    for (lane, at_least) in [(Lane::Urgent, 100), (Lane::Readings, 200)] {
        let condition = uplink.condition(lane);
        assert_eq!((condition.state, condition.set_aside), (State::Connected, 0), "{lane}");
        assert!(condition.acknowledged >= at_least, "{lane}: {condition:?}");
    }
    timeout(PATIENCE, uplink.stop()).await.expect("it stops");
    opened.outbox.close().await.unwrap();
}

#[tokio::test]
async fn settings_the_client_refuses_start_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let opened = outbox::open(outbox_config(directory.path()), Pulse::new("outbox")).unwrap();
    let mut kafka = kafka_config("127.0.0.1:1".into());
    kafka.properties.insert("acks".into(), "0".into());
    let refusal = start(config(kafka), &opened.outbox, unknown_boots(), "gw").unwrap_err();
    assert!(refusal.to_string().starts_with("property acks cannot be set"), "{refusal}");
    opened.outbox.close().await.unwrap();
}
