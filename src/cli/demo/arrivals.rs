//! What arrives at the broker, read back by a consumer that shares nothing with the uplink.
//!
//! It reads every partition by assignment from where it ended before the daemon was started, so that a real broker's
//! older records do not count. A record of a meter that does not go on from the last one of that meter is a repeat:
//! the uplink keeps a meter's order.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context as _;
use rdkafka::config::{ClientConfig, FromClientConfigAndContext as _};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::metadata::MetadataTopic;
use rdkafka::{Offset, TopicPartitionList};
use weir_wire::{Content, Quantity, Reading};

use super::broker::{EVENTS_TOPIC, READINGS_TOPIC};
use super::quiet::Quiet;
use crate::clock;

/// How long the broker may take to name its partitions.
const ANSWER_WAIT: Duration = Duration::from_secs(10);
/// The pause before partitions that are not ready are asked for again.
const ASK_AGAIN: Duration = Duration::from_millis(100);
/// How long a poll waits; the longest that a stop waits too.
const POLL_WAIT: Duration = Duration::from_millis(100);
/// The last readings that are kept for the eye.
const LATEST_MAX: usize = 32;

/// The consumer's thread. Dropping it ends it.
pub(super) struct Arrivals {
    tally: Arc<Mutex<Tally>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// What has arrived so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// Readings, each counted once.
    pub(super) readings: u64,
    /// Readings that came again under an id that was there before.
    pub(super) repeats: u64,
    /// Events.
    pub(super) events: u64,
    /// The last readings, the latest first.
    pub(super) latest: VecDeque<Arrived>,
}

/// What is kept besides, to tell repeats.
#[derive(Debug, Default)]
struct Tally {
    seen: Seen,
    /// The last sequence of each meter.
    last: HashMap<String, u64>,
}

/// A reading as a consumer finds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Arrived {
    /// The record's id.
    pub(super) id: String,
    /// The meter's id.
    pub(super) meter: String,
    /// Its volume or energy with the unit, if it tells one.
    pub(super) volume: String,
}

impl Arrivals {
    /// Finds the partitions and reads from their ends on. `gateway` tells this demo's records from another's.
    ///
    /// # Errors
    /// When the broker does not answer or does not know the topics.
    pub(super) fn start(servers: &str, gateway: &str) -> anyhow::Result<Self> {
        let consumer = consumer(servers).context("consumer")?;
        consumer.assign(&once_ready(ANSWER_WAIT, || ends(&consumer))?)?;
        let (tally, stop) = (Arc::<Mutex<Tally>>::default(), Arc::<AtomicBool>::default());
        let (into, until, prefix) = (Arc::clone(&tally), Arc::clone(&stop), format!("{gateway}:"));
        let read = move || {
            while !until.load(Ordering::Relaxed) {
                match consumer.poll(POLL_WAIT) {
                    Some(Ok(message)) => lock(&into).take(&message, &prefix),
                    // A broker that is down tells so again and again; the demo knows.
                    Some(Err(error)) => tracing::debug!(%error, "consumer"),
                    None => {}
                }
            }
        };
        let thread = std::thread::Builder::new().name("consumer".into()).spawn(read)?;
        Ok(Self { tally, stop, thread: Some(thread) })
    }

    /// What has arrived so far.
    pub(super) fn seen(&self) -> Seen {
        lock(&self.tally).seen.clone()
    }
}

impl Drop for Arrivals {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn lock(tally: &Mutex<Tally>) -> MutexGuard<'_, Tally> {
    tally.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Tally {
    fn take(&mut self, message: &BorrowedMessage<'_>, prefix: &str) {
        let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
        let id = headers.filter(|header| header.key == "weir-id").find_map(|header| header.value);
        let Some(id) = id.and_then(|id| std::str::from_utf8(id).ok()).filter(|id| id.starts_with(prefix))
        else {
            return;
        };
        if message.topic() == EVENTS_TOPIC {
            self.seen.events += 1;
            return;
        }
        match message.payload().map(serde_json::from_slice::<Reading>) {
            Some(Ok(reading)) => self.take_reading(id, &reading),
            _ => tracing::error!(id, "a record that is no reading arrived"),
        }
    }

    fn take_reading(&mut self, id: &str, reading: &Reading) {
        let sequence = id.rsplit_once(":r").and_then(|(_, sequence)| sequence.parse().ok()).unwrap_or(0);
        let last = self.last.entry(reading.meter.clone()).or_default();
        if sequence <= *last {
            self.seen.repeats += 1;
            return;
        }
        *last = sequence;
        self.seen.readings += 1;
        self.seen.latest.truncate(LATEST_MAX - 1);
        let (id, meter) = (id.to_owned(), reading.meter.clone());
        self.seen.latest.push_front(Arrived { id, meter, volume: volume(reading) });
    }
}

/// The current volume, of an electricity meter the energy, with its unit.
fn volume(reading: &Reading) -> String {
    let current = |quantity| {
        let mut of_it =
            reading.values.iter().filter(|value| value.quantity == quantity && value.storage == 0);
        of_it.find_map(|value| match (&value.content, &value.unit) {
            (Content::Number(number), Some(unit)) => Some(format!("{number} {unit}")),
            _ => None,
        })
    };
    current(Quantity::Volume).or_else(|| current(Quantity::ForwardEnergy)).unwrap_or_default()
}

fn consumer(servers: &str) -> Result<BaseConsumer<Quiet>, KafkaError> {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", servers)
        // Wanted by librdkafka also where no group is joined.
        .set("group.id", "weir-demo")
        .set("enable.auto.commit", "false")
        // The mock does not wake a fetch that waits when there is something new.
        .set("fetch.wait.max.ms", "10")
        // Back soon after the plug is.
        .set("reconnect.backoff.max.ms", "500");
    BaseConsumer::from_config_and_context(&config, Quiet)
}

/// Asks until it is answered well, for as long as the broker may take: topics that were just made have no leader for
/// a moment.
fn once_ready<T>(patience: Duration, mut ask: impl FnMut() -> anyhow::Result<T>) -> anyhow::Result<T> {
    let give_up = clock::now() + patience;
    loop {
        match ask() {
            Err(error) if clock::now() < give_up => tracing::debug!(%error, "partitions are not ready"),
            settled => return settled,
        }
        std::thread::sleep(ASK_AGAIN);
    }
}

/// Where every partition of both topics ends.
fn ends(consumer: &BaseConsumer<Quiet>) -> anyhow::Result<TopicPartitionList> {
    let mut ends = TopicPartitionList::new();
    for topic in [READINGS_TOPIC, EVENTS_TOPIC] {
        let metadata = consumer.fetch_metadata(Some(topic), ANSWER_WAIT).context("no answer")?;
        let partitions: Vec<_> = metadata.topics().iter().flat_map(MetadataTopic::partitions).collect();
        anyhow::ensure!(!partitions.is_empty(), "topic {topic} has no partitions");
        for partition in partitions {
            let (_, end) = consumer
                .fetch_watermarks(topic, partition.id(), ANSWER_WAIT)
                .with_context(|| format!("topic {topic}"))?;
            ends.add_partition_offset(topic, partition.id(), Offset::Offset(end))?;
        }
    }
    Ok(ends)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(meter: &str) -> Reading {
        let text = format!(
            r#"{{"id":"g:1:r1","gateway":"g","line":"l","meter":"{meter}","driver":"mbus","identity":{{}},
                "read_at":"2026-11-23T02:15:03.412Z","clock":"synced","boot":"5b1e","uptime_ms":1,
                "values":[{{"quantity":"volume","value":9.50,"unit":"m3","function":"instantaneous","storage":1,
                            "tariff":0,"subunit":0}},
                          {{"quantity":"volume","value":12.50,"unit":"m3","function":"instantaneous","storage":0,
                            "tariff":0,"subunit":0}}],
                "status":{{"alarms":[]}}}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn a_repeat_is_told_from_a_reading_and_meters_do_not_mix() {
        let mut tally = Tally::default();
        for (meter, sequence) in [("A", 1), ("A", 3), ("B", 2), ("A", 1), ("A", 3), ("A", 4), ("B", 2)] {
            tally.take_reading(&format!("g:7f3a9c01:r{sequence}"), &reading(meter));
        }
        assert_eq!((tally.seen.readings, tally.seen.repeats), (4, 3));
        let latest = tally.seen.latest.front().unwrap();
        assert_eq!((latest.id.as_str(), latest.volume.as_str()), ("g:7f3a9c01:r4", "12.50 m3"));
    }

    #[test]
    fn only_the_latest_readings_are_kept() {
        let mut tally = Tally::default();
        for sequence in 1..=100 {
            tally.take_reading(&format!("g:7f3a9c01:r{sequence}"), &reading("A"));
        }
        assert_eq!((tally.seen.readings, tally.seen.latest.len()), (100, LATEST_MAX));
    }

    #[test]
    fn partitions_that_are_not_ready_are_asked_for_again_and_not_for_ever() {
        let mut asked = 0;
        let mut not_yet = |ready_at: u32| {
            asked += 1;
            if asked < ready_at { Err(anyhow::anyhow!("not leader for partition")) } else { Ok(asked) }
        };
        assert_eq!(once_ready(ANSWER_WAIT, || not_yet(3)).unwrap(), 3);
        let refusal = once_ready(Duration::ZERO, || not_yet(u32::MAX)).unwrap_err();
        assert_eq!(refusal.to_string(), "not leader for partition");
        assert_eq!(asked, 4);
    }
}
