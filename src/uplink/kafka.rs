//! Kafka, through librdkafka.
//!
//! # Guarantee
//!
//! A message is reported as delivered only on a delivery report without an error from an idempotent producer with
//! `acks=all`: the partition's leader and all its in-sync replicas have it. That librdkafka took a message into its
//! memory means nothing here.
//!
//! # Limits of that guarantee
//!
//! - A message reported as failed may be stored all the same (its acknowledgement was lost). The producer's idempotence
//!   keeps librdkafka's own repeats out of the log; a repeat by the drain is a new message under the same id.
//! - Within a partition messages are stored in the order of hand-over, except for such repeats.
//! - A topic that takes nothing holds up the other one of its lane: the urgent lane has outcomes and events, in order, so
//!   events wait behind an outcome until its topic exists. Nothing is lost, and the lane's condition names the topic.
//! - A message's Kafka timestamp is that of its hand-over, by the gateway's clock, which may be wrong: topics should
//!   use `LogAppendTime`. When a reading was taken stands in its JSON.
//!
//! # Shape
//!
//! A [`Kafka`] belongs to one lane and owns one producer. librdkafka's reports come on rdkafka's polling thread, into an
//! inbox that is as bounded as the drain's window; the only allocation of a delivery is that vector's. The message's
//! ticket travels through librdkafka as its opaque pointer, as a plain number: nothing is left behind if a report never
//! comes. librdkafka's queue is larger than the window, so that it is never the one that is full.

mod errors;
mod settings;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::client::Client;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{
    BaseRecord, DeliveryResult, Producer, ProducerContext, PurgeConfig, ThreadedProducer,
};
use tokio::sync::Notify;
use tracing::{debug, error, warn};

pub use settings::{Compression, Config, ConfigError, OWNED_PROPERTIES};

use self::errors::{failure, failure_of};
use super::{Failure, FailureKind, Message, Report, Topic, Uplink};
use crate::id::Lane;

/// How long [`Uplink::diagnose`] may ask the broker: the drain turns once a second.
const DIAGNOSE: Duration = Duration::from_millis(900);

/// librdkafka looks for expired messages once a second, and a request on its way is given this much more.
const REPORT_SLACK: Duration = Duration::from_secs(60);

/// One lane's connection to Kafka.
pub struct Kafka {
    config: Config,
    gateway: String,
    lane: Lane,
    /// Where the last message went. When something is wrong one record goes alone, and this is its topic.
    last_topic: Option<Topic>,
    producer: Option<ThreadedProducer<Context>>,
    inbox: Arc<Inbox>,
}

/// What librdkafka's callbacks leave for the drain.
#[derive(Debug, Default)]
struct Inbox {
    mail: Mutex<Mail>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct Mail {
    /// At most one for each message in flight.
    reports: Vec<Report>,
    /// Trouble not yet fetched by the drain: the latest, or the fatal one.
    trouble: Option<Failure>,
    /// The last that was heard of the connection since the last delivery: the reason behind a time-out.
    behind: Option<Failure>,
}

struct Context {
    inbox: Arc<Inbox>,
    lane: Lane,
}

impl Kafka {
    /// Not connected yet.
    pub fn new(config: Config, lane: Lane, gateway: &str) -> Self {
        let gateway = gateway.to_owned();
        Self { config, gateway, lane, last_topic: None, producer: None, inbox: Arc::default() }
    }
}

impl Uplink for Kafka {
    fn connect(&mut self) -> Result<(), Failure> {
        // The old one first, so that there are never two, and with an inbox that nobody reads any more.
        self.producer = None;
        self.inbox = Arc::default();
        let context = Context { inbox: Arc::clone(&self.inbox), lane: self.lane };
        let config = self.config.client_config(&self.gateway);
        match ThreadedProducer::from_config_and_context(&config, context) {
            Ok(producer) => {
                self.producer = Some(producer);
                Ok(())
            }
            Err(refusal) => {
                let detail = settings::why(&refusal);
                Err(Failure::new(FailureKind::Fatal, "the Kafka client cannot be made", detail))
            }
        }
    }

    fn send(&mut self, ticket: usize, message: &Message) -> Result<(), Failure> {
        let Some(producer) = &self.producer else {
            return Err(Failure::new(FailureKind::Fatal, "there is no Kafka client", ""));
        };
        self.last_topic = Some(message.topic);
        let topic = self.config.name_of(message.topic);
        let headers = OwnedHeaders::new_with_capacity(2)
            .insert(Header { key: "weir-id", value: Some(&message.id) })
            .insert(Header { key: "weir-schema", value: Some(message.schema) });
        let record = BaseRecord::with_opaque_to(topic, ticket)
            .key(message.key.as_bytes())
            .payload(message.payload.as_slice())
            .headers(headers);
        producer.send(record).map_err(|(error, _)| failure_of(&error, topic))
    }

    async fn reports(&mut self, reports: &mut Vec<Report>) {
        loop {
            if self.inbox.fetch(reports) {
                return;
            }
            self.inbox.arrived.notified().await;
        }
    }

    fn abandon(&mut self) {
        if let Some(producer) = &self.producer {
            producer.purge(PurgeConfig::default().queue().inflight());
        }
    }

    fn diagnose(&mut self) -> Option<Failure> {
        let client = self.producer.as_ref()?.client();
        if let Some((code, reason)) = client.fatal_error() {
            return Some(Failure { kind: FailureKind::Fatal, ..failure(code, reason) });
        }
        let found = ask_for_topic(client, self.config.name_of(self.last_topic?))?;
        // A silent broker says less than what was heard of the connection before.
        let is_silence = found.kind == FailureKind::Retriable && errors::says_little(&found);
        if is_silence { self.inbox.lock().behind.clone().or(Some(found)) } else { Some(found) }
    }

    fn reports_within(&self) -> Duration {
        self.config.message_timeout + REPORT_SLACK
    }
}

/// What the broker has to say about a topic, if that is a reason not to deliver to it.
fn ask_for_topic(client: &Client<Context>, name: &str) -> Option<Failure> {
    let metadata = match client.fetch_metadata(Some(name), DIAGNOSE) {
        Ok(metadata) => metadata,
        Err(error) => return Some(failure_of(&error, name)),
    };
    let topic = metadata.topics().iter().find(|topic| topic.name() == name)?;
    if let Some(error) = topic.error() {
        return Some(failure(error.into(), format!("topic {name}")));
    }
    let leaderless = topic.partitions().iter().filter(|partition| partition.leader() < 0).count();
    let partitions = topic.partitions().len();
    (leaderless > 0).then(|| {
        let detail = format!("topic {name}, {leaderless} of {partitions} partitions");
        failure(RDKafkaErrorCode::LeaderNotAvailable, detail)
    })
}

impl Inbox {
    fn lock(&self) -> MutexGuard<'_, Mail> {
        // Nothing in there can be half done.
        self.mail.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there was anything.
    fn fetch(&self, reports: &mut Vec<Report>) -> bool {
        let mut mail = self.lock();
        if reports.is_empty() {
            std::mem::swap(reports, &mut mail.reports);
        } else {
            reports.append(&mut mail.reports);
        }
        reports.extend(mail.trouble.take().map(|trouble| Report::Trouble(Box::new(trouble))));
        !reports.is_empty()
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, ticket: usize) {
        let mut mail = self.inbox.lock();
        let was_empty = mail.reports.is_empty();
        match result {
            Ok(_) => {
                mail.behind = None;
                mail.reports.push(Report::Delivered(ticket));
            }
            Err((error, message)) => {
                let mut failure = failure_of(error, rdkafka::Message::topic(message));
                if let Some(behind) = mail.behind.as_ref().filter(|_| errors::says_little(&failure)) {
                    failure.what = behind.what;
                    failure.detail.clone_from(&behind.detail);
                }
                mail.reports.push(Report::Failed(ticket, Box::new(failure)));
            }
        }
        drop(mail);
        if was_empty {
            self.inbox.arrived.notify_one();
        }
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        let lane = self.lane;
        match level {
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
                error!(%lane, facility, message, "librdkafka");
            }
            // Every attempt to connect says these; the lane's condition says them once.
            _ if matches!(facility, "FAIL" | "ERROR") => debug!(%lane, facility, message, "librdkafka"),
            RDKafkaLogLevel::Error | RDKafkaLogLevel::Warning => {
                warn!(%lane, facility, message, "librdkafka");
            }
            _ => debug!(%lane, facility, message, "librdkafka"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let Some(code) = error.rdkafka_error_code() else { return };
        let failure = failure(code, reason);
        let mut mail = self.inbox.lock();
        match code {
            // One broker of several is no trouble yet, only the reason for what may follow.
            RDKafkaErrorCode::BrokerTransportFailure => {
                mail.behind = Some(failure);
                return;
            }
            // Says less than what was said of the brokers one by one.
            RDKafkaErrorCode::AllBrokersDown => {
                let reason = mail.behind.get_or_insert(failure).clone();
                mail.trouble.get_or_insert(reason);
            }
            _ => {
                mail.behind = Some(failure.clone());
                if mail.trouble.as_ref().is_none_or(|trouble| trouble.kind <= failure.kind) {
                    mail.trouble = Some(failure);
                }
            }
        }
        drop(mail);
        self.inbox.arrived.notify_one();
    }
}

#[cfg(test)]
mod tests;
