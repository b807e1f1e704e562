//! Drain and Kafka uplink together against librdkafka's mock cluster, which speaks the real protocol. It does not
//! enforce idempotence, so repeats are never judged here; see the stories for Apache Kafka itself.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message as _};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use tokio::time::{sleep, timeout};

use super::super::condition::{Condition, State};
use super::super::doubles::{Running, Shared, event, outcome, reading, run};
use super::super::{Failure, Message, Report, Uplink};
use super::{Compression, Config, Kafka};
use crate::id::Lane;
use crate::outbox::Stored;

const PATIENCE: Duration = Duration::from_secs(60);
const PARTITIONS: i32 = 4;
const MESSAGE_TIMEOUT: Duration = Duration::from_millis(1500);

type Cluster = MockCluster<'static, DefaultProducerContext>;

fn cluster() -> Cluster {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("weir.readings", PARTITIONS, 1).unwrap();
    cluster.create_topic("weir.events", 1, 1).unwrap();
    cluster.create_topic("weir.outcomes", 2, 1).unwrap();
    cluster
}

fn config(cluster: &Cluster) -> Config {
    Config {
        bootstrap: cluster.bootstrap_servers(),
        readings_topic: "weir.readings".into(),
        events_topic: "weir.events".into(),
        outcomes_topic: "weir.outcomes".into(),
        compression: Compression::Lz4,
        message_timeout: MESSAGE_TIMEOUT,
        linger: Duration::from_millis(5),
        properties: BTreeMap::from([
            ("reconnect.backoff.max.ms".into(), "300".into()),
            ("topic.metadata.refresh.interval.ms".into(), "1000".into()),
        ]),
    }
}

/// Tells the outbox's double what Kafka reported, so that it can tell an early acknowledgement.
struct Spied {
    kafka: Kafka,
    shared: Shared,
    sent: HashMap<usize, Message>,
}

impl Uplink for Spied {
    fn connect(&mut self) -> Result<(), Failure> {
        self.shared.world.borrow_mut().connects += 1;
        self.kafka.connect()
    }

    fn send(&mut self, ticket: usize, message: &Message) -> Result<(), Failure> {
        self.sent.insert(ticket, message.clone());
        self.kafka.send(ticket, message)
    }

    async fn reports(&mut self, reports: &mut Vec<Report>) {
        self.kafka.reports(reports).await;
        for report in reports {
            match report {
                Report::Delivered(ticket) => self.shared.store(&self.sent.remove(ticket).unwrap()),
                Report::Failed(ticket, _) => assert!(self.sent.remove(ticket).is_some(), "reported once"),
                Report::Trouble(_) => {}
            }
        }
    }

    fn abandon(&mut self) {
        self.kafka.abandon();
    }

    fn diagnose(&mut self) -> Option<Failure> {
        self.kafka.diagnose()
    }

    fn reports_within(&self) -> Duration {
        self.kafka.reports_within()
    }
}

fn drain(shared: &Shared, config: Config, lane: Lane) -> Running {
    let kafka = Kafka::new(config, lane, "gw");
    run(shared, Spied { kafka, shared: shared.clone(), sent: HashMap::new() }, Duration::ZERO)
}

fn on_this_thread<T>(story: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, story)
}

async fn all_leave(shared: &Shared, running: Running) -> Condition {
    timeout(PATIENCE, shared.done()).await.expect("everything leaves the outbox");
    running.stop.send_replace(true);
    timeout(PATIENCE, running.drain).await.unwrap().unwrap();
    running.tracker.condition()
}

async fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let waiting = async {
        while !is_so() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("in vain: {what}"));
}

/// Waits until the lane waits for a reason that begins so.
async fn wait_for_reason(running: &Running, reason: &str) -> Condition {
    let mut last = running.tracker.condition();
    let waiting = async {
        while last.state != State::Waiting || !last.why.as_ref().unwrap().starts_with(reason) {
            sleep(Duration::from_millis(20)).await;
            last = running.tracker.condition();
        }
    };
    let outcome = timeout(PATIENCE, waiting).await;
    outcome.unwrap_or_else(|_| panic!("expected {reason:?}, have {:?}", running.tracker.condition()));
    last
}

fn readings(count: u64) -> Vec<Stored> {
    (1..=count).map(|nth| reading(nth, &format!("A-{}", nth % 20), 0)).collect()
}

/// What stands in a topic.
struct Consumed {
    partition: i32,
    key: String,
    id: String,
    schema: String,
    json: serde_json::Value,
}

/// Reads a topic until it has so many different ids.
fn consume(cluster: &Cluster, topic: &str, partitions: i32, ids: usize) -> Vec<Consumed> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", cluster.bootstrap_servers())
        .set("group.id", "test")
        .set("fetch.wait.max.ms", "10")
        .create()
        .unwrap();
    let mut assignment = TopicPartitionList::new();
    for partition in 0..partitions {
        assignment.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
    }
    consumer.assign(&assignment).unwrap();
    let mut consumed: Vec<Consumed> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    while seen.len() < ids {
        let message = consumer.poll(PATIENCE).expect("another message").unwrap();
        let headers: HashMap<_, _> = message
            .headers()
            .unwrap()
            .iter()
            .map(|header| (header.key, String::from_utf8(header.value.unwrap().to_vec()).unwrap()))
            .collect();
        assert_eq!(headers.len(), 2);
        seen.insert(headers["weir-id"].clone());
        consumed.push(Consumed {
            partition: message.partition(),
            key: String::from_utf8(message.key().unwrap().to_vec()).unwrap(),
            id: headers["weir-id"].clone(),
            schema: headers["weir-schema"].clone(),
            json: serde_json::from_slice(message.payload().unwrap()).unwrap(),
        });
    }
    consumed
}

#[test]
fn readings_arrive_once_in_order_with_key_id_and_schema() {
    let cluster = cluster();
    let shared = Shared::with(readings(3000));
    let condition = on_this_thread(async {
        let running = drain(&shared, config(&cluster), Lane::Readings);
        all_leave(&shared, running).await
    });
    assert_eq!((condition.acknowledged, condition.retried, condition.state), (3000, 0, State::Connected));

    let consumed = consume(&cluster, "weir.readings", PARTITIONS, 3000);
    let mut meters: HashMap<_, (i32, u64)> = HashMap::new();
    for it in &consumed {
        assert_eq!((it.json["id"].as_str(), it.json["meter"].as_str()), (Some(&*it.id), Some(&*it.key)));
        assert_eq!((it.json["gateway"].as_str(), it.schema.as_str()), (Some("gw"), "reading/1"));
        let sequence = it.json["uptime_ms"].as_u64().unwrap();
        assert_eq!(it.id, format!("gw:00000007:r{sequence}"));
        let (partition, before) = meters.entry(it.key.clone()).or_insert((it.partition, 0));
        assert_eq!(*partition, it.partition, "a meter stays on its partition");
        assert!(sequence > *before, "{} is out of order", it.id);
        *before = sequence;
    }
    assert_eq!((consumed.len(), meters.len()), (3000, 20));
}

#[test]
fn a_meter_is_on_the_partition_where_javas_clients_put_it() {
    let cluster = cluster();
    // Values of murmur2 as Kafka's own UtilsTest states them.
    let hashes = [("21", -973_932_308), ("foobar", -790_332_482), ("abc", 479_470_107)];
    let shared = Shared::with((1..).zip(&hashes).map(|(nth, (meter, _))| reading(nth, meter, 0)).collect());
    on_this_thread(async {
        let running = drain(&shared, config(&cluster), Lane::Readings);
        all_leave(&shared, running).await
    });
    let consumed = consume(&cluster, "weir.readings", PARTITIONS, 3);
    let hashes: HashMap<_, i32> = hashes.into();
    for it in consumed {
        assert_eq!(it.partition, (hashes[&*it.key] & i32::MAX) % PARTITIONS, "{}", it.key);
    }
}

#[test]
fn events_go_to_their_topic_under_the_gateways_key() {
    let cluster = cluster();
    let shared = Shared::with((1..=10).map(event).collect());
    on_this_thread(async {
        let running = drain(&shared, config(&cluster), Lane::Urgent);
        all_leave(&shared, running).await
    });
    for it in consume(&cluster, "weir.events", 1, 10) {
        assert_eq!((it.key.as_str(), it.schema.as_str()), ("gw", "event/1"));
        assert_eq!(it.json["event"].as_str(), Some("line-down"));
    }
}

/// Every third one an outcome.
fn urgent(count: u64) -> Vec<Stored> {
    (1..=count).map(|nth| if nth % 3 == 0 { outcome(nth, &format!("A-{nth}")) } else { event(nth) }).collect()
}

fn assert_outcomes_of(cluster: &Cluster, count: u64) {
    let outcomes: Vec<u64> = (1..=count).filter(|nth| nth % 3 == 0).collect();
    let consumed = consume(cluster, "weir.outcomes", 2, outcomes.len());
    for it in &consumed {
        assert_eq!((it.json["id"].as_str(), it.json["meter"].as_str()), (Some(&*it.id), Some(&*it.key)));
        assert_eq!((it.json["gateway"].as_str(), it.schema.as_str()), (Some("gw"), "outcome/1"));
    }
    let mut ids: Vec<&str> = consumed.iter().map(|it| it.id.as_str()).collect();
    let mut expected: Vec<String> = outcomes.iter().map(|nth| format!("gw:command-{nth}:accepted")).collect();
    ids.sort_unstable();
    ids.dedup();
    expected.sort_unstable();
    assert_eq!(ids, expected);
}

#[test]
fn outcomes_go_to_their_topic_under_their_meters_keys_and_events_to_theirs() {
    let cluster = cluster();
    let shared = Shared::with(urgent(30));
    let condition = on_this_thread(async {
        let running = drain(&shared, config(&cluster), Lane::Urgent);
        all_leave(&shared, running).await
    });
    assert_eq!((condition.acknowledged, condition.set_aside), (30, 0));
    assert_outcomes_of(&cluster, 30);
    consume(&cluster, "weir.events", 1, 20);
}

#[test]
fn a_missing_topic_of_outcomes_is_named_and_once_it_is_there_all_arrive() {
    let cluster = cluster();
    let missing = RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    cluster.topic_error("weir.outcomes", missing).unwrap();
    let shared = Shared::with(urgent(9));
    let condition = on_this_thread(async {
        let running = drain(&shared, config(&cluster), Lane::Urgent);
        let condition = wait_for_reason(&running, "the topic does not exist on the broker").await;
        assert!(condition.why.unwrap().contains("weir.outcomes"), "{:?}", running.tracker.condition());
        // What came before gets through; the order within the lane holds back what came behind.
        wait_for("the events before it", || shared.world.borrow().cursor == 2).await;
        assert_eq!(running.tracker.condition().set_aside, 0, "a person can mend it");
        cluster.topic_error("weir.outcomes", RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR).unwrap();
        all_leave(&shared, running).await
    });
    assert_eq!((condition.acknowledged, condition.set_aside), (9, 0));
    assert_outcomes_of(&cluster, 9);
    consume(&cluster, "weir.events", 1, 6);
}

#[test]
fn an_outage_longer_than_every_timeout_loses_nothing() {
    let cluster = cluster();
    let shared = Shared::with(readings(500));
    cluster.broker_down(1).unwrap();
    let condition = on_this_thread(async {
        let running = drain(&shared, config(&cluster), Lane::Readings);
        wait_for_reason(&running, "no broker can be reached").await;
        // A record that is handed over again has outlived its message.timeout.ms in librdkafka.
        wait_for("two further attempts", || running.tracker.condition().retried >= 2).await;
        let during = running.tracker.condition();
        assert_eq!((during.acknowledged, shared.world.borrow().cursor), (0, 0));
        assert!(running.pulse.age() < Duration::from_secs(5), "{:?}", running.pulse.age());
        cluster.broker_up(1).unwrap();
        all_leave(&shared, running).await
    });
    assert_eq!((condition.acknowledged, condition.set_aside), (500, 0));
    consume(&cluster, "weir.readings", PARTITIONS, 500);
}

#[test]
fn a_broker_lost_in_full_flow_costs_no_record() {
    let cluster = cluster();
    let shared = Shared::with(readings(20_000));
    let condition = on_this_thread(async {
        let running = drain(&shared, config(&cluster), Lane::Readings);
        wait_for("some to be acknowledged", || shared.world.borrow().cursor > 2000).await;
        cluster.broker_down(1).unwrap();
        wait_for("the first failure", || running.tracker.condition().retried > 0 || shared.is_done()).await;
        cluster.broker_up(1).unwrap();
        all_leave(&shared, running).await
    });
    assert_eq!((condition.acknowledged, condition.set_aside), (20_000, 0));
    consume(&cluster, "weir.readings", PARTITIONS, 20_000);
}

#[test]
fn errors_that_pass_are_outlived() {
    let cluster = cluster();
    let shared = Shared::with(readings(400));
    use RDKafkaRespErr as Error;
    let errors = [
        Error::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
        Error::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND,
        Error::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
        Error::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
        Error::RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP,
        Error::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
        Error::RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR,
        Error::RD_KAFKA_RESP_ERR__TRANSPORT,
    ];
    cluster.request_errors(RDKafkaApiKey::Produce, &errors);
    let condition = on_this_thread(async {
        let running = drain(&shared, config(&cluster), Lane::Readings);
        all_leave(&shared, running).await
    });
    assert_eq!((condition.acknowledged, condition.set_aside), (400, 0));
    assert!(condition.retried > 0);
    consume(&cluster, "weir.readings", PARTITIONS, 400);
}

#[test]
fn a_batch_refused_for_its_size_is_sent_in_parts_and_nobody_is_set_aside() {
    let cluster = cluster();
    let shared = Shared::with(readings(3000));
    let condition = on_this_thread(async {
        let running = drain(&shared, config(&cluster), Lane::Readings);
        wait_for("full flow", || shared.world.borrow().cursor > 500).await;
        let too_large = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE; 2];
        cluster.request_errors(RDKafkaApiKey::Produce, &too_large);
        all_leave(&shared, running).await
    });
    assert_eq!((condition.acknowledged, condition.set_aside), (3000, 0));
    consume(&cluster, "weir.readings", PARTITIONS, 3000);
}

#[test]
fn a_record_the_broker_refuses_alone_is_set_aside() {
    let cluster = cluster();
    let shared = Shared::with(readings(1));
    shared.world.borrow_mut().poison.insert(1);
    // Refused once in a window that had room for others, and then alone.
    let too_large = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE; 2];
    cluster.request_errors(RDKafkaApiKey::Produce, &too_large);
    let condition = on_this_thread(async {
        let running = drain(&shared, config(&cluster), Lane::Readings);
        all_leave(&shared, running).await
    });
    assert_eq!((condition.acknowledged, condition.set_aside), (0, 1));
}

#[test]
fn a_record_too_large_for_the_client_is_set_aside_and_its_neighbours_go_through() {
    let cluster = cluster();
    let mut records = readings(300);
    records[149] = reading(150, "A-10", 20_000);
    let shared = Shared::with(records);
    shared.world.borrow_mut().too_large.insert(150);
    let mut config = config(&cluster);
    config.properties.insert("message.max.bytes".into(), "30000".into());
    let condition = on_this_thread(async {
        let running = drain(&shared, config, Lane::Readings);
        all_leave(&shared, running).await
    });
    assert_eq!((condition.acknowledged, condition.set_aside, condition.retried), (299, 1, 0));
    let consumed = consume(&cluster, "weir.readings", PARTITIONS, 299);
    assert!(consumed.iter().all(|it| it.id != "gw:00000007:r150"));
}

#[test]
fn an_unknown_topic_is_named_and_everything_waits_until_it_exists() {
    let cluster = cluster();
    let shared = Shared::with(readings(100));
    let unknown = RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    cluster.topic_error("weir.readings", unknown).unwrap();
    let condition = on_this_thread(async {
        let running = drain(&shared, config(&cluster), Lane::Readings);
        let during = wait_for_reason(&running, "the topic does not exist on the broker").await;
        assert!(during.why.unwrap().contains("weir.readings"));
        assert_eq!(during.acknowledged, 0);
        cluster.topic_error("weir.readings", RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR).unwrap();
        all_leave(&shared, running).await
    });
    assert_eq!((condition.acknowledged, condition.set_aside), (100, 0));
}

#[test]
fn missing_rights_and_a_missing_leader_are_named() {
    let cluster = cluster();
    let shared = Shared::with(readings(100));
    let denied = RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    cluster.topic_error("weir.readings", denied).unwrap();
    on_this_thread(async {
        let running = drain(&shared, config(&cluster), Lane::Readings);
        wait_for_reason(&running, "this gateway has no right to write to the topic").await;
        cluster.topic_error("weir.readings", RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR).unwrap();
        for partition in 0..PARTITIONS {
            cluster.partition_leader("weir.readings", partition, None).unwrap();
        }
        wait_for_reason(&running, "the topic has no leader for now").await;
        for partition in 0..PARTITIONS {
            cluster.partition_leader("weir.readings", partition, Some(1)).unwrap();
        }
        all_leave(&shared, running).await
    });
}

#[test]
fn a_fatal_error_is_answered_with_a_fresh_producer() {
    let cluster = cluster();
    let shared = Shared::with(readings(200));
    // librdkafka holds this for fatal: without the right there is no idempotent producer.
    let denied = RDKafkaRespErr::RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED;
    cluster.request_errors(RDKafkaApiKey::InitProducerId, &[denied]);
    let condition = on_this_thread(async {
        let running = drain(&shared, config(&cluster), Lane::Readings);
        wait_for_reason(&running, "this gateway has no right to write idempotently").await;
        all_leave(&shared, running).await
    });
    assert!(shared.world.borrow().connects >= 2);
    assert_eq!((condition.acknowledged, condition.set_aside), (200, 0));
    consume(&cluster, "weir.readings", PARTITIONS, 200);
}

#[test]
fn a_stop_during_an_outage_is_bounded_and_what_was_in_flight_stays() {
    let cluster = cluster();
    let shared = Shared::with(readings(100));
    cluster.broker_down(1).unwrap();
    on_this_thread(async {
        let config = Config { message_timeout: Duration::from_secs(300), ..config(&cluster) };
        let running = drain(&shared, config, Lane::Readings);
        wait_for("something in flight", || running.tracker.condition().in_flight > 0).await;
        running.stop.send_replace(true);
        timeout(Duration::from_secs(20), running.drain).await.expect("within the bound").unwrap();
        assert_eq!((running.tracker.condition().acknowledged, shared.world.borrow().cursor), (0, 0));
    });
}
