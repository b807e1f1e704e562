//! `[uplink.kafka]`.

use std::collections::{BTreeMap, HashMap};
use std::ops::RangeInclusive;
use std::time::Duration;

use super::super::Kafka;
use super::super::file;
use super::super::notice::Findings;
use super::super::source::{At, MAIN, Place};
use super::{duration_within, names};

const READINGS_TOPIC: &str = "weir.readings";
const EVENTS_TOPIC: &str = "weir.events";
const COMPRESSION: &str = "zstd";
const MESSAGE_TIMEOUT: Duration = Duration::from_secs(30);
/// Shorter, a mobile link's ordinary delays look like failures; longer, a stuck connection is noticed too late. Nothing
/// is lost in either case: what timed out is still in the outbox.
const MESSAGE_TIMEOUTS: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(900);
const LINGER: Duration = Duration::from_millis(50);
/// Beyond it nobody would find the readings that are on their way.
const LINGERS: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(10);

/// Properties of librdkafka that Weir's promises rest on, and what to do instead. A name with a dot at its end stands for
/// all that begin with it.
const OWNED: [(&str, &str); 20] = [
    ("bootstrap.servers", "set `brokers`"),
    ("metadata.broker.list", "set `brokers`"),
    ("compression.", "set `compression`"),
    ("message.timeout.ms", "set `message_timeout`"),
    ("delivery.timeout.ms", "set `message_timeout`"),
    ("linger.ms", "set `linger`"),
    ("log.queue", "the log goes where the daemon's goes"),
    ("acks", "a reading leaves the outbox only when all replicas have it"),
    ("request.required.acks", "a reading leaves the outbox only when all replicas have it"),
    ("enable.idempotence", "always on, so that a retry cannot store a reading twice or out of order"),
    ("enable.gapless.guarantee", "the outbox sends again whatever was not acknowledged"),
    ("transactional.id", "the outbox needs no transactions, and consumers deduplicate on the id"),
    ("max.in.flight", "the idempotent producer needs it as it is"),
    ("max.in.flight.requests.per.connection", "the idempotent producer needs it as it is"),
    ("retries", "the outbox repeats for as long as it takes"),
    ("message.send.max.retries", "the outbox repeats for as long as it takes"),
    ("queue.", "the outbox is the queue, and bounds what is under way"),
    ("partitioner", "all readings of a meter go to one partition"),
    ("delivery.report.only.error", "the outbox waits for the broker's word on every record"),
    ("plugin.library.paths", "the daemon loads no foreign code"),
];

/// Checks `[uplink]`.
pub(super) fn uplink(typed: Option<&file::Uplink>, findings: &mut Findings) -> Option<Kafka> {
    let hint = "readings have to go somewhere: add [uplink.kafka] with its brokers";
    let Some(typed) = typed else {
        if !findings.is_spoilt(&Place::top_of(MAIN), "uplink") {
            let message =
                format!("table [uplink.kafka] is missing in {}", findings.sources.path(MAIN).display());
            findings.fault_of_file(message).hint(hint);
        }
        return None;
    };
    findings.require("kafka", &typed.kafka, &typed.place, hint);
    typed.kafka.as_ref().map(|kafka| self::kafka(kafka, findings))
}

fn kafka(typed: &file::Kafka, findings: &mut Findings) -> Kafka {
    findings.require("brokers", &typed.brokers, &typed.place, "list at least one: brokers = [\"host:9092\"]");
    let readings = topic("readings_topic", typed.readings_topic.as_ref(), READINGS_TOPIC, findings);
    let events = topic("events_topic", typed.events_topic.as_ref(), EVENTS_TOPIC, findings);
    if let (true, Some(at)) =
        (readings == events, typed.events_topic.as_ref().or(typed.readings_topic.as_ref()))
    {
        let hint = "give them a topic each; consumers tell them apart by the header `weir-schema` alone";
        findings.warn(&at.place, "readings and events go to the same topic").hint(hint);
    }
    let timeout =
        duration_within("message_timeout", typed.message_timeout.as_ref(), MESSAGE_TIMEOUTS, findings);
    let linger = duration_within("linger", typed.linger.as_ref(), LINGERS, findings);
    Kafka {
        brokers: brokers(typed, findings),
        readings_topic: readings,
        events_topic: events,
        compression: typed
            .compression
            .as_ref()
            .map_or(COMPRESSION, |compression| compression.value)
            .to_owned(),
        message_timeout: timeout.unwrap_or(MESSAGE_TIMEOUT),
        linger: linger.unwrap_or(LINGER),
        properties: properties(&typed.properties, findings),
    }
}

fn brokers(typed: &file::Kafka, findings: &mut Findings) -> Vec<String> {
    let brokers = typed.brokers.as_deref();
    if brokers.is_some_and(<[_]>::is_empty) {
        findings
            .fault(&typed.place, "`brokers` is empty")
            .hint("list at least one: brokers = [\"host:9092\"]");
    }
    let mut seen: HashMap<&str, &Place> = HashMap::new();
    for broker in brokers.unwrap_or_default() {
        // More than one in a string would work with librdkafka, but be one here.
        names::is_host_and_port("brokers", broker, findings);
        if let Some(first) = seen.insert(&broker.value, &broker.place) {
            findings.warn(&broker.place, "the same broker twice").also(first, "first here");
        }
    }
    brokers.unwrap_or_default().iter().map(|broker| broker.value.clone()).collect()
}

fn topic(key: &str, typed: Option<&At<String>>, default: &str, findings: &mut Findings) -> String {
    match typed {
        Some(typed) => {
            names::is_topic(key, typed, findings);
            typed.value.clone()
        }
        None => default.to_owned(),
    }
}

fn properties(typed: &[(At<String>, String)], findings: &mut Findings) -> BTreeMap<String, String> {
    let mut properties = BTreeMap::new();
    let mut places: HashMap<&str, &Place> = HashMap::new();
    for (name, value) in typed {
        let owned = |(owned, _): &&(&str, &str)| {
            name.value == *owned || (owned.ends_with('.') && name.value.starts_with(owned))
        };
        if let Some((_, why)) = OWNED.iter().find(owned) {
            let message = format!("property `{}` is Weir's own", name.value.escape_debug());
            findings.fault(&name.place, message).hint(*why);
        }
        if let Some(first) = places.insert(&name.value, &name.place) {
            let message = format!("property `{}` is set twice", name.value.escape_debug());
            findings.fault(&name.place, message).also(first, "first here");
        }
        properties.insert(name.value.clone(), value.clone());
    }
    properties
}
