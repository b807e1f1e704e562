//! `[uplink]` and `[uplink.kafka]`.

use std::collections::{BTreeMap, HashMap};
use std::ops::RangeInclusive;
use std::time::Duration;

use super::super::file;
use super::super::notice::Findings;
use super::super::quantity::Shown;
use super::super::source::{At, MAIN, Place};
use super::{duration_within, names, secured};
use crate::limits::CONFIG_PROPERTIES_MAX;
use crate::uplink::backoff::Bounds;
use crate::uplink::{self, kafka};

const READINGS_TOPIC: &str = "weir.readings";
const EVENTS_TOPIC: &str = "weir.events";
const OUTCOMES_TOPIC: &str = "weir.outcomes";
const COMPRESSION: kafka::Compression = kafka::Compression::Zstd;
const MESSAGE_TIMEOUT: Duration = Duration::from_secs(30);
/// Shorter, a mobile link's ordinary delays look like failures; longer, a stuck connection is noticed too late. Nothing
/// is lost in either case: what timed out is still in the outbox.
const MESSAGE_TIMEOUTS: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(900);
/// The outbox hands over what one flush has made durable, which is a batch already.
const LINGER: Duration = Duration::from_millis(20);
const LINGERS: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(10);
/// A thousand gateways that were switched on together are then some hundred connections a second.
const START_SPREAD: Duration = Duration::from_secs(10);
const START_SPREADS: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(600);
const STOP_WAIT: Duration = Duration::from_secs(5);
/// The unit gives a stop 30 s in all, and the lines and the outbox have their part of it.
const STOP_WAITS: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(20);
/// A time server is asked within minutes of a boot, or of the link's return.
const UNSYNCED_HOLD: Duration = Duration::from_secs(15 * 60);
/// From nothing, for a gateway that is never told the time, to a day.
const UNSYNCED_HOLDS: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(24 * 3600);
const RETRY_MIN: Duration = Duration::from_millis(500);
const RETRY_MAX: Duration = Duration::from_secs(30);
const RETRIES: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(3600);

/// Checks `[uplink]`.
pub(super) fn uplink(typed: Option<&file::Uplink>, findings: &mut Findings) -> Option<uplink::Config> {
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
    let mut duration = |key: &str, typed: &Option<At<Duration>>, range, default| {
        duration_within(key, typed.as_ref(), range, findings).unwrap_or(default)
    };
    let start_spread = duration("start_spread", &typed.start_spread, START_SPREADS, START_SPREAD);
    let stop_wait = duration("stop_wait", &typed.stop_wait, STOP_WAITS, STOP_WAIT);
    let unsynced_hold = duration("unsynced_hold", &typed.unsynced_hold, UNSYNCED_HOLDS, UNSYNCED_HOLD);
    let retry_min = duration("retry_min", &typed.retry_min, RETRIES, RETRY_MIN);
    let retry_max = duration("retry_max", &typed.retry_max, RETRIES, RETRY_MAX);
    if let (true, Some(at)) = (retry_max < retry_min, typed.retry_max.as_ref().or(typed.retry_min.as_ref())) {
        let message =
            format!("`retry_max`, {}, is shorter than `retry_min`, {}", Shown(retry_max), Shown(retry_min));
        findings.fault(&at.place, message);
    }
    let kafka = kafka(typed.kafka.as_ref()?, findings);
    let backoff = Bounds::new(retry_min, retry_max);
    Some(uplink::Config { kafka, backoff, start_spread, stop_wait, unsynced_hold })
}

fn kafka(typed: &file::Kafka, findings: &mut Findings) -> kafka::Config {
    let readings_topic = topic("readings_topic", typed.readings_topic.as_ref(), READINGS_TOPIC, findings);
    let events_topic = topic("events_topic", typed.events_topic.as_ref(), EVENTS_TOPIC, findings);
    let outcomes_topic = topic("outcomes_topic", typed.outcomes_topic.as_ref(), OUTCOMES_TOPIC, findings);
    let readings = ("readings", &readings_topic, &typed.readings_topic);
    let events = ("events", &events_topic, &typed.events_topic);
    let outcomes = ("outcomes", &outcomes_topic, &typed.outcomes_topic);
    for (one, other) in [(readings, events), (readings, outcomes), (events, outcomes)] {
        if let (true, Some(at)) = (one.1 == other.1, other.2.as_ref().or(one.2.as_ref())) {
            let hint = "give them a topic each; consumers tell them apart by the header `weir-schema` alone";
            findings.warn(&at.place, format!("{} and {} go to the same topic", one.0, other.0)).hint(hint);
        }
    }
    let timeout =
        duration_within("message_timeout", typed.message_timeout.as_ref(), MESSAGE_TIMEOUTS, findings);
    let linger = duration_within("linger", typed.linger.as_ref(), LINGERS, findings).unwrap_or(LINGER);
    if let (Some(timeout), Some(at)) = (timeout.filter(|timeout| linger >= *timeout), &typed.linger) {
        let message =
            format!("`linger` is {}, not less than `message_timeout`, {}", Shown(linger), Shown(timeout));
        findings.fault(&at.place, message);
    }
    let mut config = kafka::Config {
        bootstrap: brokers(typed, findings).join(","),
        readings_topic,
        events_topic,
        outcomes_topic,
        compression: typed.compression.as_ref().map_or(COMPRESSION, |compression| compression.value),
        message_timeout: timeout.unwrap_or(MESSAGE_TIMEOUT),
        linger: linger.min(timeout.unwrap_or(MESSAGE_TIMEOUT) / 2),
        properties: BTreeMap::new(),
    };
    config.properties = properties(typed, &config, findings);
    config
}

fn brokers(typed: &file::Kafka, findings: &mut Findings) -> Vec<String> {
    const HINT: &str = "list at least one: brokers = [\"host:9092\"]";
    findings.require("brokers", &typed.brokers, &typed.place, HINT);
    if typed.brokers.as_deref().is_some_and(<[_]>::is_empty) {
        findings.fault(&typed.place, "`brokers` is empty").hint(HINT);
    }
    let brokers = typed.brokers.as_deref().unwrap_or_default();
    let mut seen: HashMap<&str, &Place> = HashMap::new();
    for broker in brokers {
        names::is_host_and_port("brokers", broker, findings);
        if let Some(first) = seen.insert(&broker.value, &broker.place) {
            findings.warn(&broker.place, "the same broker twice").also(first, "first here");
        }
    }
    brokers.iter().map(|broker| broker.value.clone()).collect()
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

/// The properties that librdkafka takes, each once. It knows them best, so it is asked.
fn properties(
    typed: &file::Kafka,
    config: &kafka::Config,
    findings: &mut Findings,
) -> BTreeMap<String, String> {
    let mut asked = config.clone();
    let mut places: HashMap<&str, &Place> = HashMap::new();
    for (name, value) in typed.properties.iter().take(CONFIG_PROPERTIES_MAX) {
        if let Some(first) = places.insert(&name.value, &name.place) {
            let message = format!("property `{}` is set twice", name.value.escape_debug());
            findings.fault(&name.place, message).also(first, "first here");
        }
        asked.properties.insert(name.value.clone(), value.clone());
    }
    if typed.properties.len() > CONFIG_PROPERTIES_MAX {
        let message = format!("more than {CONFIG_PROPERTIES_MAX} properties");
        findings.fault(&typed.place, message);
    }
    secured::without_effect(&typed.properties, findings);
    let unreadable = secured::files(&typed.properties, &mut asked.properties, findings);
    let properties = asked.properties.clone();
    let mut refused = unreadable.len();
    asked.properties.retain(|name, _| !unreadable.contains(name));
    // It names one at a time: take that one away and ask again.
    while let Err(error) = asked.check() {
        let message = error.to_string();
        let (place, can_go_on) = match &error {
            kafka::ConfigError::Owned { name, .. } | kafka::ConfigError::Property { name, .. } => {
                let place = asked.properties.remove(name).and(places.get(name.as_str()));
                (place, place.is_some())
            }
            // Of some, such as a file that is no certificate, it says the name first.
            kafka::ConfigError::Together { why } => {
                let named = places.iter().find(|(name, _)| why.starts_with(&format!("{name} ")));
                (named.map(|(_, place)| place), false)
            }
        };
        // What does not go together after some were taken away may well do so with them.
        if !can_go_on && refused > 0 {
            break;
        }
        refused += 1;
        let notice = findings.fault(place.unwrap_or(&&typed.place), message.trim_end());
        let is_left_out =
            ["not available at build time", "recompile librdkafka"].iter().any(|it| message.contains(it));
        if is_left_out && !cfg!(feature = "tls") {
            notice.hint("this program was built without TLS: cargo build --release --features tls");
        }
        if !can_go_on {
            break;
        }
    }
    properties
}
