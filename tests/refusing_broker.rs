//! A broker that refuses: for now, and everything waits; for good, and the one record is set aside.

use std::time::Duration;

use crate::harness::fleet::{Fleet, Street};
use crate::harness::kafka::Kafka;
use crate::harness::ledger;
use crate::harness::not_run::require;
use crate::harness::weir::Weir;

const PATIENCE: Duration = Duration::from_secs(90);
const EVERY: &str = "every = \"1s\"\nadapter_allowance = \"1s\"";

fn topics(name: &str) -> [String; 2] {
    [format!("{name}.readings"), format!("{name}.events")]
}

fn topic_keys(topics: &[String; 2]) -> String {
    format!("readings_topic = {:?}\nevents_topic = {:?}", topics[0], topics[1])
}

#[test]
fn a_topic_that_does_not_exist_is_named_and_all_that_waited_for_it_arrives_once_it_does() {
    let Some(kafka) = require("unknown topic", Kafka::shared()) else { return };
    let topics = topics("late");
    kafka.create_topic(&topics[1], 1, &[]);
    let fleet = Fleet::start(21, [Street::mbus("m", 2).key(EVERY), Street::cjt188("c", 2).key(EVERY)]);
    let mut weir = Weir::for_fleet(&fleet, &kafka.bootstrap(), &topic_keys(&topics));
    weir.start();
    weir.wait_ready(PATIENCE);

    weir.wait_stats("the daemon to name the topic", PATIENCE, |stats| {
        let why = stats["readings_uplink"]["why"].as_str().unwrap_or_default();
        stats["readings_uplink"]["state"] == "waiting"
            && why.contains("does not exist")
            && why.contains(&topics[0])
    });
    // The other lane has nothing to do with it: on a busy broker it may get through a little later, and here it has to.
    weir.wait_stats("the events to get through", PATIENCE, |stats| {
        stats["urgent_uplink"]["state"] == "connected" && stats["readings_uplink"]["state"] == "waiting"
    });
    let line = weir.process().wait_for_line("the topic does not exist on the broker", PATIENCE);
    assert!(line.contains("WARN") && line.contains(&topics[0]), "{line}");
    weir.wait_more_readings(10, PATIENCE);

    kafka.create_topic(&topics[0], 2, &[]);
    weir.wait_stats("the readings to get through", PATIENCE, |stats| {
        stats["readings_uplink"]["state"] == "connected"
    });
    let told = weir.drain_to_the_last(&fleet, PATIENCE);
    let readings = ledger::readings(&kafka.read_all(&topics[0]), &fleet);
    let events = ledger::events(&kafka.read_all(&topics[1]));
    ledger::assert_all_there(&told, &readings, &events);
    assert_eq!(weir.stats()["outbox"]["refused"], 0, "what a person can mend is never held against a record");
}

#[test]
fn a_record_too_large_for_the_topic_is_set_aside_with_an_event_and_the_others_go_on() {
    let Some(kafka) = require("too large record", Kafka::shared()) else { return };
    let topics = topics("narrow");
    // A plain reading takes about 1 KB as JSON; those of the talkative meter below, with raw bytes, several.
    kafka.create_topic(&topics[0], 2, &[("max.message.bytes", "2200")]);
    kafka.create_topic(&topics[1], 1, &[]);
    let mut talkative = Street::mbus("talkative", 1).key(EVERY).key("keep_raw = true");
    talkative.simulated.meters[0].model = Some("long".into());
    let fleet = Fleet::start(22, [talkative, Street::cjt188("c", 3).key(EVERY)]);
    // Without compression, so that a record is as large for the broker as it is written.
    let keys = format!("{}\ncompression = \"none\"", topic_keys(&topics));
    let mut weir = Weir::for_fleet(&fleet, &kafka.bootstrap(), &keys);
    weir.start();
    weir.wait_ready(PATIENCE);

    let stats = weir.wait_stats("three records to be set aside and others to arrive", PATIENCE, |stats| {
        stats["outbox"]["refused"].as_u64() >= Some(3)
            && stats["readings_uplink"]["acknowledged"].as_u64() >= Some(10)
    });
    assert!(stats["readings_uplink"]["set_aside"].as_u64() >= Some(3), "{stats:#}");
    let told = weir.drain_to_the_last(&fleet, PATIENCE);

    let readings = ledger::readings(&kafka.read_all(&topics[0]), &fleet);
    assert!(readings.iter().all(|reading| reading.meter != "talkative-1"), "{readings:#?}");
    let events = ledger::events(&kafka.read_all(&topics[1]));
    let refused = ledger::of_kind(&events, "record-refused");
    assert!(refused.len() >= 3);
    for event in &refused {
        assert_eq!(event["meter"], "talkative-1", "{event:#}");
        assert!(event["detail"].as_str().unwrap().contains("larger than the broker allows"), "{event:#}");
        assert!(told.contains(event["record"].as_str().unwrap()), "{event:#}");
    }
    // Every reading either arrived or was set aside with an event, exactly one of them.
    let arrived = readings.iter().map(|reading| reading.id.clone());
    let accounted: Vec<String> =
        arrived.chain(refused.iter().map(|event| event["record"].as_str().unwrap().to_owned())).collect();
    let readings_told = told.iter().filter(|id| id.contains(":r")).count();
    assert!(told.iter().filter(|id| id.contains(":r")).all(|id| accounted.contains(id)));
    assert_eq!(accounted.len(), readings_told, "no reading was both refused and delivered");
    let table = weir.command(&["outbox", "stats"]);
    let text = String::from_utf8(table.stdout).unwrap();
    assert!(text.contains(&format!("{} records refused by the broker for good", refused.len())), "{text}");
}
