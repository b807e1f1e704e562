//! The broker that the other stories trust: what it acknowledged is there, whatever happens to it.

use std::time::Duration;

use rdkafka::Timestamp;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};
use rdkafka::producer::{DefaultProducerContext, NoCustomPartitioner};

use crate::harness::consumed::Consumed;
use crate::harness::kafka::Kafka;
use crate::harness::not_run::require;

const PART: &str = "Apache Kafka";
const FLUSH_TIME: Duration = Duration::from_secs(30);

fn producer(kafka: &Kafka) -> ThreadedProducer<DefaultProducerContext, NoCustomPartitioner> {
    kafka.client_config().set("enable.idempotence", "true").create().unwrap()
}

/// Sends `count` readings of one meter and waits until the broker has acknowledged them all.
fn produce(kafka: &Kafka, topic: &str, meter: &str, count: usize) {
    let producer = producer(kafka);
    for number in 0..count {
        let payload = format!(r#"{{"meter":"{meter}","value":{number}.450}}"#);
        let id = format!("{meter}:{number}");
        let headers = OwnedHeaders::new()
            .insert(Header { key: "weir-id", value: Some(&id) })
            .insert(Header { key: "empty", value: None::<&str> });
        let record = BaseRecord::to(topic).key(meter).payload(&payload).headers(headers);
        assert!(producer.send(record).is_ok(), "the queue of a producer holds {count} records");
    }
    producer.flush(FLUSH_TIME).unwrap();
}

fn ids(read: &[Consumed]) -> Vec<String> {
    let mut ids: Vec<String> =
        read.iter().map(|it| String::from_utf8(it.header("weir-id").unwrap().to_vec()).unwrap()).collect();
    ids.sort();
    ids
}

#[test]
fn what_a_broker_acknowledged_is_there_after_it_was_killed_and_started_again() {
    let Some(mut kafka) = require(PART, Kafka::start()) else { return };
    kafka.create_topic("readings", 3, &[]);
    for meter in ["A-101", "A-102", "A-103"] {
        produce(&kafka, "readings", meter, 20);
    }
    let before = kafka.read_all("readings");
    assert_eq!(before.len(), 60);
    let first = before.iter().find(|it| it.header("weir-id") == Some(b"A-102:0")).unwrap();
    assert_eq!(first.key.as_deref(), Some(&b"A-102"[..]));
    assert_eq!(first.text(), r#"{"meter":"A-102","value":0.450}"#);
    assert_eq!(first.headers.len(), 2);
    assert_eq!(first.headers[1], ("empty".to_owned(), None));
    assert!(matches!(first.timestamp, Timestamp::CreateTime(1..)));

    kafka.kill();
    kafka.restart();
    assert_eq!(kafka.read_all("readings"), before);

    produce(&kafka, "readings", "A-104", 5);
    assert_eq!(kafka.stop().code(), Some(143), "SIGTERM ends a JVM in order");
    kafka.restart();
    assert_eq!(ids(&kafka.read_all("readings")).len(), 65);
}

#[test]
fn two_consumers_that_share_no_code_read_the_same_records() {
    let Some(kafka) = require(PART, Kafka::shared()) else { return };
    kafka.create_topic("two-consumers", 4, &[("message.timestamp.type", "LogAppendTime")]);
    assert_eq!(kafka.read_all("two-consumers"), []);
    assert_eq!(kafka.read_all_quickly("two-consumers"), []);

    for meter in ["B-1", "B-2", "B-3", "B-4", "B-5"] {
        produce(kafka, "two-consumers", meter, 100);
    }
    // No key, no value, no headers: what a tombstone without a name looks like.
    let bare = BaseRecord::<(), ()>::to("two-consumers").partition(2);
    let last = producer(kafka);
    assert!(last.send(bare).is_ok());
    last.flush(FLUSH_TIME).unwrap();

    let by_kafka = kafka.read_all("two-consumers");
    assert_eq!(by_kafka.len(), 501);
    assert_eq!(by_kafka, kafka.read_all_quickly("two-consumers"));
    assert!(by_kafka.iter().all(|it| matches!(it.timestamp, Timestamp::LogAppendTime(_))));
}

#[test]
fn a_frozen_broker_acknowledges_nothing_until_it_runs_again() {
    let Some(mut kafka) = require(PART, Kafka::start_with(&[("message.max.bytes", "2000")])) else { return };
    kafka.create_topic("frozen", 1, &[]);
    let producer = producer(&kafka);
    assert!(producer.send(BaseRecord::to("frozen").key("A").payload("passes")).is_ok());
    producer.flush(FLUSH_TIME).unwrap();

    // From here on an acknowledgement takes milliseconds, if there is one.
    kafka.freeze();
    assert!(producer.send(BaseRecord::to("frozen").key("A").payload("waits")).is_ok());
    assert!(producer.flush(Duration::from_millis(500)).is_err(), "nobody can have acknowledged it");
    kafka.thaw();
    producer.flush(FLUSH_TIME).unwrap();
    let read = kafka.read_all_quickly("frozen");
    assert_eq!(read.iter().map(Consumed::text).collect::<Vec<_>>(), ["passes", "waits"]);
}
