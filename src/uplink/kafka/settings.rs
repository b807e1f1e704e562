//! The settings of the Kafka uplink, and librdkafka's properties that follow from them.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::producer::BaseProducer;

use super::super::Topic;
use crate::limits::{UPLINK_WINDOW_BYTES, UPLINK_WINDOW_RECORDS};

/// What the connection to Kafka is made with.
#[derive(Clone, PartialEq, Eq)]
pub struct Config {
    /// `host:port` of one or more brokers, separated by commas; the others are learnt from them.
    pub bootstrap: String,
    /// The topic of readings.
    pub readings_topic: String,
    /// The topic of events.
    pub events_topic: String,
    /// The topic of outcomes.
    pub outcomes_topic: String,
    /// How batches are compressed.
    pub compression: Compression,
    /// librdkafka's `message.timeout.ms`: after this long without an acknowledgement a message is reported as failed, and
    /// the drain sends it again from the outbox. It does not limit how long a record may wait.
    pub message_timeout: Duration,
    /// How long a message waits for others to share its batch.
    pub linger: Duration,
    /// Further properties of librdkafka, such as those for TLS and SASL; none of [`OWNED_PROPERTIES`].
    pub properties: BTreeMap<String, String>,
}

impl fmt::Debug for Config {
    /// Without the values of properties: some are passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("bootstrap", &self.bootstrap)
            .field("readings_topic", &self.readings_topic)
            .field("events_topic", &self.events_topic)
            .field("outcomes_topic", &self.outcomes_topic)
            .field("compression", &self.compression)
            .field("message_timeout", &self.message_timeout)
            .field("linger", &self.linger)
            .field("properties", &self.properties.keys())
            .finish()
    }
}

/// A compression that every Kafka broker since 2.1 knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// None.
    None,
    /// gzip.
    Gzip,
    /// Snappy.
    Snappy,
    /// LZ4: the least work.
    Lz4,
    /// Zstandard: the fewest bytes.
    Zstd,
}

impl Compression {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];

    /// Its name, in the configuration as at librdkafka.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

/// Properties of librdkafka that are Weir's own, each with the reason: the configuration may not set them.
pub const OWNED_PROPERTIES: &[(&str, &str)] = &[
    ("bootstrap.servers", "it has a setting of its own"),
    ("metadata.broker.list", "the brokers have a setting of their own"),
    ("compression.codec", "compression has a setting of its own"),
    ("compression.type", "compression has a setting of its own"),
    ("message.timeout.ms", "it has a setting of its own"),
    ("delivery.timeout.ms", "it is another name of message.timeout.ms, which has a setting of its own"),
    ("linger.ms", "it has a setting of its own"),
    ("queue.buffering.max.ms", "it is another name of linger.ms, which has a setting of its own"),
    ("enable.idempotence", "without it the broker would store repeats of librdkafka's own"),
    ("acks", "a record counts only when all replicas in sync have it"),
    ("request.required.acks", "a record counts only when all replicas in sync have it"),
    ("enable.gapless.guarantee", "the drain sends again what failed"),
    ("transactional.id", "Weir uses no transactions"),
    ("delivery.report.only.error", "every record must be reported"),
    ("partitioner", "a meter must stay on one partition, whoever writes"),
    ("queue.buffering.max.messages", "the drain bounds what is in flight"),
    ("queue.buffering.max.kbytes", "the drain bounds what is in flight"),
    ("queue.buffering.backpressure.threshold", "the drain bounds what is in flight"),
    ("queuing.strategy", "records go in order"),
    ("log.queue", "the log goes where the daemon's goes"),
    ("test.mock.num.brokers", "it would answer in the brokers' place"),
    ("plugin.library.paths", "it loads foreign code"),
];

/// A setting that librdkafka or Weir refuses. Never shows a value: it may be a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// One of [`OWNED_PROPERTIES`].
    #[error("property {name} cannot be set: {why}")]
    Owned {
        /// The property.
        name: String,
        /// Why Weir keeps it to itself.
        why: &'static str,
    },
    /// librdkafka does not know the property, or its value is not one.
    #[error("property {name}: {why}")]
    Property {
        /// The property.
        name: String,
        /// librdkafka's reason.
        why: String,
    },
    /// librdkafka refuses the settings together, or cannot read a file that they name.
    #[error("the Kafka client refuses its settings: {why}")]
    Together {
        /// librdkafka's reason.
        why: String,
    },
}

impl Config {
    /// What the broker calls a topic.
    pub(super) fn name_of(&self, topic: Topic) -> &str {
        match topic {
            Topic::Readings => &self.readings_topic,
            Topic::Events => &self.events_topic,
            Topic::Outcomes => &self.outcomes_topic,
        }
    }

    /// Whether librdkafka takes these settings. Talks to no broker; reads the files they name.
    ///
    /// # Errors
    /// The first setting that is refused.
    pub fn check(&self) -> Result<(), ConfigError> {
        for name in self.properties.keys() {
            if let Some((_, why)) = OWNED_PROPERTIES.iter().find(|(owned, _)| owned == name) {
                return Err(ConfigError::Owned { name: name.clone(), why });
            }
        }
        let mut config = self.client_config("check");
        // Without an address the client has nobody to connect to.
        config.remove("bootstrap.servers");
        match config.create::<BaseProducer>() {
            Ok(_) => Ok(()),
            Err(KafkaError::ClientConfig(_, why, name, value)) => {
                Err(ConfigError::Property { name, why: without(&why, &value) })
            }
            Err(refusal) => Err(ConfigError::Together { why: why(&refusal) }),
        }
    }

    /// librdkafka's properties for a gateway; a bench makes a bare producer of them.
    pub fn client_config(&self, gateway: &str) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            // How an operator finds the gateway in the broker's log and quotas.
            .set("client.id", format!("weir-{gateway}"))
            // A missing topic is named after this long, and not only after half a minute. Only the time in which a fresh
            // topic spreads among brokers must fit in.
            .set("topic.metadata.propagation.max.ms", "5000")
            // A topic that was missing, or that has more partitions now, is found within this time.
            .set("topic.metadata.refresh.interval.ms", "30000")
            .set("log.connection.close", "false")
            // A link that died without a word (mobile network, NAT) is noticed while idle.
            .set("socket.keepalive.enable", "true");
        for (name, value) in &self.properties {
            config.set(name, value);
        }
        config
            .set("bootstrap.servers", &self.bootstrap)
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("compression.type", self.compression.name())
            .set("message.timeout.ms", self.message_timeout.as_millis().to_string())
            .set("linger.ms", self.linger.as_millis().to_string())
            // What the Java clients and Kafka's own tools do, so that a meter is on the same partition whoever writes.
            .set("partitioner", "murmur2_random")
            // Larger than the drain's window in both measures, so that it is never this queue that is full.
            .set("queue.buffering.max.messages", (2 * UPLINK_WINDOW_RECORDS).to_string())
            .set("queue.buffering.max.kbytes", (2 * UPLINK_WINDOW_BYTES / 1024).to_string());
        config
    }
}

/// librdkafka's reason, without the value of a setting.
pub(super) fn why(refusal: &KafkaError) -> String {
    match refusal {
        KafkaError::ClientConfig(_, why, name, value) => format!("{name}: {}", without(why, value)),
        KafkaError::ClientCreation(why) => why.clone(),
        other => other.to_string(),
    }
}

/// librdkafka quotes the value it refuses.
fn without(why: &str, value: &str) -> String {
    if value.is_empty() { why.to_owned() } else { why.replace(value, "…") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(properties: &[(&str, &str)]) -> Config {
        Config {
            bootstrap: "127.0.0.1:1".into(),
            readings_topic: "weir.readings".into(),
            events_topic: "weir.events".into(),
            outcomes_topic: "weir.outcomes".into(),
            compression: Compression::Zstd,
            message_timeout: Duration::from_secs(60),
            linger: Duration::from_millis(20),
            properties: properties
                .iter()
                .map(|(name, value)| (name.to_string(), value.to_string()))
                .collect(),
        }
    }

    #[test]
    fn every_compression_that_can_be_chosen_is_in_this_build() {
        for compression in Compression::ALL {
            assert_eq!(Config { compression, ..config(&[]) }.check(), Ok(()), "{compression:?}");
        }
    }

    #[test]
    fn a_property_of_weirs_own_is_refused_with_the_reason() {
        for (name, why) in OWNED_PROPERTIES {
            let expected = ConfigError::Owned { name: name.to_string(), why };
            assert_eq!(config(&[(name, "1")]).check(), Err(expected));
        }
    }

    #[test]
    fn an_unknown_property_and_a_bad_value_are_named() {
        let unknown = config(&[("sokcet.timeout.ms", "1000")]).check().unwrap_err();
        assert!(unknown.to_string().starts_with("property sokcet.timeout.ms: "), "{unknown}");
        let bad = config(&[("socket.timeout.ms", "soon")]).check().unwrap_err();
        assert!(bad.to_string().starts_with("property socket.timeout.ms: "), "{bad}");
    }

    #[test]
    fn settings_that_contradict_each_other_are_refused_before_anything_starts() {
        let linger = Duration::from_secs(61);
        let refusal = Config { linger, ..config(&[]) }.check().unwrap_err();
        assert!(matches!(refusal, ConfigError::Together { .. }), "{refusal:?}");
        let missing = config(&[("max.in.flight", "1000")]).check().unwrap_err();
        assert!(matches!(missing, ConfigError::Together { .. }), "{missing:?}");
    }

    #[test]
    fn a_password_is_in_no_error_and_no_debug_output() {
        let secret = "hunter2-and-more";
        let names = ["sasl.password", "socket.timeout.ms", "no.such.property", "security.protocol"];
        for name in names {
            let config = config(&[(name, secret)]);
            let shown = format!("{config:?} {:?}", config.check());
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}
