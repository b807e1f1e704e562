//! Commands from Kafka: every partition of the gateway's topic, read by assignment from where the journal says.
//!
//! There is no consumer group: the broker's memory of what was read is not the gateway's, and a rebalance must not decide
//! whether a valve is closed twice. A message has been dealt with when the clerk says so, one after the other; the
//! clerk keeps the position. Handing in a message again is harmless, skipping one is not, so everything here errs on
//! the side of reading twice.
//!
//! | what is found | read from |
//! |---|---|
//! | a new gateway, or a journal that was damaged | an hour before the journal was begun; behind what is there now where the clock could not be trusted then |
//! | a partition with a position | there |
//! | a partition that was added | its beginning |
//! | a position that the topic does not have, or behind another message than the last that was read (it was made anew or shortened) | a day back |
//!
//! The message before a position is read once more, at every start and every minute, to know the topic again by its
//! timestamp. What this does not see: a topic that was made anew and in the same minute, under a running gateway, grew beyond
//! the position; one that did before any message of it was read; one whose last message that was read is gone, because
//! its time was over or it was compacted away. It is then read from the position on.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};
use tokio::runtime;
use weir_wire::Clock;

use super::clerk::stamp_by;
use super::desk::{Ask, Desk, Origin, Positions, Reception};
use super::journal::{Position, Stamp};
use crate::clock;
use crate::limits::{
    COMMAND_BYTES_MAX, INBOX_ASK_MAX, INBOX_BEGIN_BEFORE, INBOX_LOOK_BACK, INBOX_PARTITIONS_EVERY,
    INBOX_POLL_MAX, INBOX_RETRY_MAX, INBOX_RETRY_MIN,
};
use crate::pulse::Pulse;

/// Where commands come from.
#[derive(Clone, PartialEq, Eq)]
pub struct Config {
    /// `host:port` of one or more brokers, separated by commas.
    pub bootstrap: String,
    /// Further properties of librdkafka, those of the uplink: TLS, SASL.
    pub properties: BTreeMap<String, String>,
    /// The gateway's topic.
    pub topic: String,
    /// The gateway's id.
    pub gateway: String,
}

impl fmt::Debug for Config {
    /// Without the values of properties: some are passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("bootstrap", &self.bootstrap)
            .field("topic", &self.topic)
            .field("properties", &self.properties.keys())
            .finish_non_exhaustive()
    }
}

impl Config {
    fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("client.id", format!("weir-{}-commands", self.gateway))
            .set("log.connection.close", "false");
        for (name, value) in self.properties.iter().filter(|(name, _)| is_shared(name)) {
            config.set(name, value);
        }
        config
            .set("bootstrap.servers", &self.bootstrap)
            .set("socket.keepalive.enable", "true")
            // librdkafka assigns nothing without one; nothing is ever committed under it.
            .set("group.id", format!("weir-{}-commands", self.gateway))
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            // A position that is not there is looked into here, and never answered by librdkafka with a guess.
            .set("auto.offset.reset", "error")
            .set("allow.auto.create.topics", "false")
            // A flood waits at the broker.
            .set("queued.max.messages.kbytes", "1024")
            .set("fetch.max.bytes", "1048576")
            // What a broker sends all the same is not even taken in.
            .set("receive.message.max.bytes", "2097152")
            .set("max.partition.fetch.bytes", (4 * COMMAND_BYTES_MAX).to_string());
        config
    }
}

/// Properties that a consumer takes as well: all but those of producers.
fn is_shared(name: &str) -> bool {
    [
        "security.",
        "ssl.",
        "sasl.",
        "enable.ssl.",
        "enable.sasl.",
        "socket.",
        "broker.",
        "reconnect.",
        "client.",
    ]
    .iter()
    .any(|prefix| name.starts_with(prefix))
}

/// The running inbox.
#[derive(Debug)]
pub struct Inbox {
    stop: Arc<AtomicBool>,
    pulse: Pulse,
}

/// Starts to read the topic, on a thread of its own.
///
/// # Errors
/// When librdkafka refuses its settings, or there is no thread to be had.
pub(super) fn start(config: Config, trust_clock: bool, desk: Desk) -> Result<Inbox, StartError> {
    let consumer: BaseConsumer<Context> = config
        .client()
        .create_with_context(Context)
        .map_err(|error| StartError::Client(error.to_string()))?;
    let (stop, pulse) = (Arc::new(AtomicBool::new(false)), Pulse::new("commands' inbox"));
    let reader = Reader {
        consumer,
        topic: config.topic,
        trust_clock,
        desk,
        runtime: runtime::Handle::current(),
        stop: Arc::clone(&stop),
        pulse: pulse.clone(),
    };
    std::thread::Builder::new().name("inbox".into()).spawn(move || reader.run())?;
    Ok(Inbox { stop, pulse })
}

/// Why the inbox did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// librdkafka refuses its settings.
    #[error("Kafka client: {0}")]
    Client(String),
    /// No thread.
    #[error("thread: {0}")]
    Thread(#[from] std::io::Error),
}

impl Inbox {
    /// Its pulse, for the watchdog.
    pub fn pulse(&self) -> Pulse {
        self.pulse.clone()
    }

    /// Reads no further. Not waited for: it may be waiting for a broker, and a message under way that is not dealt with is
    /// read again.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The last messages that were read, by partition.
type Known = HashMap<i32, Position>;

struct Reader {
    consumer: BaseConsumer<Context>,
    topic: String,
    trust_clock: bool,
    desk: Desk,
    runtime: runtime::Handle,
    stop: Arc<AtomicBool>,
    pulse: Pulse,
}

/// Why reading was given up for now.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("{0}")]
    Kafka(#[from] KafkaError),
    #[error("topic does not exist")]
    NoTopic,
    #[error("the journal takes no positions")]
    Journal,
}

impl Reader {
    fn run(self) {
        let mut wait = INBOX_RETRY_MIN;
        let mut last_said = String::new();
        while !self.is_stopping() {
            match self.read() {
                Ok(()) => wait = INBOX_RETRY_MIN,
                Err(trouble) => {
                    let trouble = trouble.to_string();
                    if trouble != last_said {
                        tracing::warn!(topic = self.topic, trouble, "no commands can be read");
                        last_said = trouble;
                    }
                    self.pause(wait);
                    wait = (wait * 2).min(INBOX_RETRY_MAX);
                }
            }
        }
    }

    /// Reads until the partitions are to be looked at again.
    fn read(&self) -> Result<(), Trouble> {
        let partitions = self.partitions()?;
        let (assignment, mut known) = self.assignment(&partitions)?;
        self.consumer.assign(&assignment)?;
        let until = clock::now() + INBOX_PARTITIONS_EVERY;
        while !self.is_stopping() {
            self.pulse.beat();
            match self.consumer.poll(INBOX_POLL_MAX) {
                None => {}
                Some(Ok(message)) => {
                    let (partition, next) = (message.partition(), message.offset() + 1);
                    let position = Position { next, last_ms: message.timestamp().to_millis() };
                    match known.remove(&partition) {
                        Some(last) if last == position => continue,
                        Some(last) if last.next == next => return self.begin_anew(partition, last),
                        _ => {}
                    }
                    let origin = Origin::Topic { topic: self.topic.clone(), partition, position };
                    if !self.hand_in(message.payload().unwrap_or_default(), &origin) {
                        return Ok(());
                    }
                }
                Some(Err(error)) if is_passing(&error) => {
                    tracing::debug!(topic = self.topic, %error, "inbox");
                }
                Some(Err(error)) => return Err(error.into()),
            }
            if clock::now() >= until {
                // Assigned anew from the clerk's positions, with whatever partitions there are now.
                return Ok(());
            }
        }
        Ok(())
    }

    /// Hands a message in until it has been dealt with. `false` when the inbox is to stop before that.
    fn hand_in(&self, payload: &[u8], origin: &Origin) -> bool {
        loop {
            let taken = self.desk.take(payload.to_vec(), origin.clone());
            match self.runtime.block_on(taken) {
                Reception::Busy { why } => {
                    tracing::debug!(topic = self.topic, why, "a command waits");
                    self.pause(INBOX_RETRY_MIN);
                    if self.is_stopping() {
                        return false;
                    }
                }
                _ => return true,
            }
        }
    }

    fn partitions(&self) -> Result<Vec<i32>, Trouble> {
        let metadata = self.consumer.fetch_metadata(Some(&self.topic), INBOX_ASK_MAX)?;
        let topic =
            metadata.topics().iter().find(|topic| topic.name() == self.topic).ok_or(Trouble::NoTopic)?;
        if let Some(error) = topic.error() {
            let code = RDKafkaErrorCode::from(error);
            if code == RDKafkaErrorCode::UnknownTopicOrPartition {
                return Err(Trouble::NoTopic);
            }
            return Err(KafkaError::MetadataFetch(code).into());
        }
        let mut partitions: Vec<i32> = topic.partitions().iter().map(|partition| partition.id()).collect();
        partitions.sort_unstable();
        if partitions.is_empty() { Err(Trouble::NoTopic) } else { Ok(partitions) }
    }

    /// From where each partition is read, and the messages among them that were read before.
    fn assignment(&self, partitions: &[i32]) -> Result<(TopicPartitionList, Known), Trouble> {
        let topic = self.topic.clone();
        let asked = self.desk.ask(|reply| Ask::Positions { topic, reply });
        let kept = self.runtime.block_on(asked).ok_or(Trouble::Journal)?;
        let mut positions = Vec::new();
        let (mut assignment, mut known) = (TopicPartitionList::new(), Known::new());
        for partition in partitions {
            self.pulse.beat();
            let (low, high) = self.consumer.fetch_watermarks(&self.topic, *partition, INBOX_ASK_MAX)?;
            let position = match &kept {
                Positions::Since(None) => Position::at(high),
                Positions::Since(Some(began)) => {
                    // The broker's clock, or a console's, may be behind.
                    let since = began.checked_sub(INBOX_BEGIN_BEFORE).unwrap_or(*began);
                    self.first_since(*partition, since)?
                }
                Positions::From(kept) => match kept.iter().find(|(id, _)| id == partition) {
                    None => Position::at(low),
                    Some((_, position)) if (low..=high).contains(&position.next) => *position,
                    Some((_, position)) => self.a_day_back(*partition, *position)?,
                },
            };
            positions.push((*partition, position));
            let knows_last = position.last_ms.is_some() && position.next > low;
            if knows_last {
                known.insert(*partition, position);
            }
            let from = Offset::Offset(position.next - i64::from(knows_last));
            assignment.add_partition_offset(&self.topic, *partition, from)?;
        }
        // Before the first message: a new gateway that stops here must not read later what it passes over now.
        self.begin(positions)?;
        Ok((assignment, known))
    }

    fn begin(&self, positions: Vec<(i32, Position)>) -> Result<(), Trouble> {
        let topic = self.topic.clone();
        let begin = self.desk.ask(|reply| Ask::Begin { topic, positions, reply });
        if self.runtime.block_on(begin).unwrap_or(false) { Ok(()) } else { Err(Trouble::Journal) }
    }

    /// Another message stands where the last one was read: the partition is assigned anew, from a day back.
    fn begin_anew(&self, partition: i32, was: Position) -> Result<(), Trouble> {
        let position = self.a_day_back(partition, was)?;
        self.begin(vec![(partition, position)])
    }

    /// The first message of the last day.
    fn a_day_back(&self, partition: i32, was: Position) -> Result<Position, Trouble> {
        let Stamp { at, clock } = stamp_by(self.trust_clock);
        // Without a clock nobody knows when that was.
        let look_back = if clock == Clock::Synced { INBOX_LOOK_BACK } else { Duration::MAX };
        let since = at.checked_sub(look_back).unwrap_or(Timestamp::UNIX_EPOCH);
        let position = self.first_since(partition, since)?;
        let (topic, was, now) = (&self.topic, was.next, position.next);
        tracing::warn!(topic, partition, was, now, "the topic was made anew or shortened");
        Ok(position)
    }

    /// The first message of this time or later.
    fn first_since(&self, partition: i32, since: Timestamp) -> Result<Position, Trouble> {
        let (low, high) = self.consumer.fetch_watermarks(&self.topic, partition, INBOX_ASK_MAX)?;
        let mut wanted = TopicPartitionList::new();
        wanted.add_partition_offset(&self.topic, partition, Offset::Offset(since.as_millisecond().max(0)))?;
        let found = self.consumer.offsets_for_times(wanted, INBOX_ASK_MAX)?;
        let offset = match found.find_partition(&self.topic, partition).map(|found| found.offset()) {
            Some(Offset::Offset(offset)) => offset.clamp(low, high),
            // All that is there is older.
            Some(Offset::End) => high,
            _ => low,
        };
        Ok(Position::at(offset))
    }

    fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    fn pause(&self, wait: Duration) {
        let until = clock::now() + wait;
        while clock::now() < until && !self.is_stopping() {
            self.pulse.beat();
            std::thread::sleep(INBOX_POLL_MAX.min(until.since(clock::now())));
        }
    }
}

/// Errors after which librdkafka goes on by itself.
fn is_passing(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::AllBrokersDown
                | RDKafkaErrorCode::Resolve
                | RDKafkaErrorCode::OperationTimedOut
                | RDKafkaErrorCode::PartitionEOF
                | RDKafkaErrorCode::NotLeaderForPartition
                | RDKafkaErrorCode::LeaderNotAvailable
        )
    )
}

struct Context;

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        match level {
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
                tracing::error!(facility, message, "librdkafka, commands");
            }
            // The uplink's lanes say the same of the same brokers.
            _ => tracing::debug!(facility, message, "librdkafka, commands"),
        }
    }
}

impl ConsumerContext for Context {}
