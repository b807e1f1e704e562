//! The story the product is for: the broker is away for longer than every time-out, the daemon is killed in the middle
//! of it, and everything that had been flushed arrives, under its name, with the meters' own digits.

use std::time::Duration;

use rustix::process::Signal;

use crate::harness::consumed::Consumed;
use crate::harness::deadline::{Deadline, wait_until};
use crate::harness::fleet::{Fleet, Street};
use crate::harness::kafka::Kafka;
use crate::harness::ledger;
use crate::harness::mock::MockBroker;
use crate::harness::not_run::require;
use crate::harness::weir::{Flushed, Weir};

const PATIENCE: Duration = Duration::from_secs(90);
/// Three times the daemon's `message_timeout` in these stories.
const LONGER_THAN_MESSAGE_TIMEOUT: Duration = Duration::from_secs(3);

/// All four protocols, on ptys opened by path and on TCP, every meter once a second.
fn all_protocols(seed: u64) -> Fleet {
    let every = "every = \"1s\"";
    let streets = [
        Street::mbus("riser-1", 4).key(every),
        Street::modbus("pump-house", 4).key(every),
        Street::meter_room("riser-2", 3, 2).key(every),
        Street::modbus_tcp("plant", 2).key(every),
    ];
    // What a loaded machine may lack in time; on a good line it costs nothing.
    Fleet::start(seed, streets.map(|street| street.key("adapter_allowance = \"1s\"")))
}

/// A broker that can go away and come back with all it had.
trait Broker {
    fn bootstrap(&self) -> String;
    fn leave(&mut self);
    fn come_back(&mut self);
    fn read_all(&self, topic: &str) -> Vec<Consumed>;
}

impl Broker for Kafka {
    fn bootstrap(&self) -> String {
        Kafka::bootstrap(self)
    }

    fn leave(&mut self) {
        self.kill();
    }

    fn come_back(&mut self) {
        self.restart();
    }

    fn read_all(&self, topic: &str) -> Vec<Consumed> {
        Kafka::read_all(self, topic)
    }
}

impl Broker for MockBroker {
    fn bootstrap(&self) -> String {
        MockBroker::bootstrap(self)
    }

    fn leave(&mut self) {
        self.down();
    }

    fn come_back(&mut self) {
        self.up();
    }

    fn read_all(&self, topic: &str) -> Vec<Consumed> {
        MockBroker::read_all(self, topic)
    }
}

fn wait_acknowledged(weir: &Weir, what: &str) {
    let target = weir.stats()["outbox"]["readings"]["last_sequence"].as_u64().unwrap();
    weir.wait_stats(what, PATIENCE, |stats| {
        stats["outbox"]["readings"]["acknowledged_sequence"].as_u64() >= Some(target.max(1))
    });
}

/// Polls through an outage with a `kill -9` in it, and judges what has arrived in the end.
fn live_through_an_outage(broker: &mut impl Broker, fleet: &Fleet) {
    let mut weir = Weir::for_fleet(fleet, &broker.bootstrap(), "");
    weir.start();
    weir.wait_ready(PATIENCE);
    weir.wait_more_readings(20, PATIENCE);
    wait_acknowledged(&weir, "the first readings to arrive");

    broker.leave();
    let outage = Deadline::within(LONGER_THAN_MESSAGE_TIMEOUT);
    weir.wait_more_readings(30, PATIENCE);
    let waiting = weir.wait_stats("the daemon to say that nothing gets through", PATIENCE, |stats| {
        stats["readings_uplink"]["state"] == "waiting" && outage.is_over()
    });
    assert!(waiting["readings_uplink"]["why"].as_str().is_some_and(|why| !why.is_empty()), "{waiting:#}");
    assert!(waiting["outbox"]["readings"]["waiting"].as_u64() >= Some(30), "{waiting:#}");
    weir.process().wait_for_line("uplink waiting", PATIENCE);

    weir.kill();
    weir.start();
    // Ready without a broker: nothing about the daemon waits for one.
    weir.wait_ready(PATIENCE);
    weir.wait_more_readings(20, PATIENCE);

    broker.come_back();
    wait_acknowledged(&weir, "what waited to arrive");
    weir.wait_more_readings(10, PATIENCE);
    let told = weir.drain_to_the_last(fleet, PATIENCE);
    judge(broker, fleet, &weir, &told);
}

fn judge(broker: &impl Broker, fleet: &Fleet, weir: &Weir, told: &std::collections::BTreeSet<String>) {
    let readings = ledger::readings(&broker.read_all("weir.readings"), fleet);
    let events = ledger::events(&broker.read_all("weir.events"));
    ledger::assert_all_there(told, &readings, &events);
    for meter in fleet.meters() {
        let of_meter = readings.iter().filter(|reading| reading.meter == meter.name()).count();
        assert!(of_meter >= 3, "{} was read {of_meter} times", meter.name());
    }
    let whole_second = |it: &jiff::Timestamp| it.subsec_nanosecond() == 0;
    assert!(
        readings.iter().all(|it| it.scheduled_at.is_some_and(|at| whole_second(&at) && at <= it.read_at))
    );
    assert_lives_are_chained(&events, &weir.commits());
}

/// Each `started` event but the first names the generation before it, and the last sequences that this one gave.
fn assert_lives_are_chained(events: &[serde_json::Value], commits: &[Flushed]) {
    let mut generations: Vec<&str> = commits.iter().map(|it| it.generation.as_str()).collect();
    generations.dedup();
    let started = ledger::of_kind(events, "started");
    assert_eq!(started.len(), generations.len(), "{started:#?}");
    assert_eq!(started[0].get("previous_generation"), None);
    for ((event, previous), own) in started.iter().skip(1).zip(&generations).zip(&generations[1..]) {
        assert_eq!(event["previous_generation"], **previous, "{event:#}");
        assert!(event["id"].as_str().unwrap().contains(&format!(":{own}:")), "{event:#}");
        for (at, lane) in [(0, 'r'), (1, 'u')] {
            let of_previous = commits.iter().filter(|it| it.generation == **previous && it.lane == lane);
            let told = of_previous.map(|it| it.last).max();
            // A flush whose line a kill cut off may have given some more.
            assert!(event["previous_last"][at].as_u64() >= told, "{event:#}, told {told:?} of {lane}");
        }
    }
    assert_eq!(ledger::of_kind(events, "stopping").len(), 1, "one life ended in good order");
}

#[test]
fn an_outage_of_apache_kafka_longer_than_every_time_out_with_a_kill_9_in_it_loses_nothing() {
    let Some(mut kafka) = require("outage of Apache Kafka", Kafka::start()) else { return };
    kafka.create_topic("weir.readings", 4, &[]);
    kafka.create_topic("weir.events", 1, &[]);
    live_through_an_outage(&mut kafka, &all_protocols(11));
}

#[test]
fn an_outage_of_a_broker_with_a_kill_9_in_it_loses_nothing() {
    live_through_an_outage(&mut MockBroker::start(), &all_protocols(12));
}

/// The cruellest outage: connections stay open, requests are on their way, and nobody can say what the broker has.
#[test]
fn a_frozen_kafka_makes_readings_wait_and_perhaps_repeat_and_never_differ() {
    let Some(mut kafka) = require("frozen Apache Kafka", Kafka::start()) else { return };
    kafka.create_topic("weir.readings", 4, &[]);
    kafka.create_topic("weir.events", 1, &[]);
    let fleet = all_protocols(13);
    let mut weir = Weir::for_fleet(&fleet, &Broker::bootstrap(&kafka), "");
    weir.start();
    weir.wait_ready(PATIENCE);
    weir.wait_more_readings(20, PATIENCE);
    wait_acknowledged(&weir, "the first readings to arrive");

    kafka.freeze();
    weir.wait_stats("a message to time out", PATIENCE, |stats| {
        stats["readings_uplink"]["state"] == "waiting"
            && stats["readings_uplink"]["retried"].as_u64() > Some(0)
    });
    weir.wait_more_readings(20, PATIENCE);
    kafka.thaw();
    wait_acknowledged(&weir, "what waited to arrive");
    let told = weir.drain_to_the_last(&fleet, PATIENCE);
    judge(&kafka, &fleet, &weir, &told);
}

/// Two outages one after the other, the second before the first has been drained.
#[test]
fn a_broker_that_leaves_again_in_the_middle_of_the_drain_has_all_of_it_in_the_end() {
    let (broker, fleet) = (MockBroker::start(), all_protocols(14));
    broker.down();
    let mut weir = Weir::for_fleet(&fleet, &broker.bootstrap(), "");
    weir.start();
    weir.wait_ready(PATIENCE);
    for _ in 0..3 {
        weir.wait_more_readings(20, PATIENCE);
        broker.up();
        let before = weir.stats()["outbox"]["readings"]["acknowledged"].as_u64();
        weir.wait_stats("the drain to begin", PATIENCE, |stats| {
            stats["outbox"]["readings"]["acknowledged"].as_u64() > before
        });
        broker.down();
    }
    // A stop while nobody takes anything: bounded, in good order, and nothing is lost by it.
    weir.process().signal(Signal::TERM);
    assert_eq!(weir.process().wait_end(PATIENCE).code(), Some(0));
    broker.up();
    weir.start();
    weir.wait_ready(PATIENCE);
    wait_until("a poll after the stop", PATIENCE, || weir.readings_told() > 60);
    let told = weir.drain_to_the_last(&fleet, PATIENCE);
    let readings = ledger::readings(&broker.read_all("weir.readings"), &fleet);
    let events = ledger::events(&broker.read_all("weir.events"));
    ledger::assert_all_there(&told, &readings, &events);
}
