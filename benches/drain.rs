//! Drain rate: a full outbox emptied into Apache Kafka, beside a bare producer that sends the same messages.
//!
//! Both ways run in this process against the same broker, in turns, each into a topic of four partitions of its own.
//! *The drain* is the uplink as the daemon starts it, on a copy of the same full outbox; its time runs from its start
//! until the outbox's cursor has passed everything. *The bare producer* has librdkafka's settings of the uplink, and
//! has all messages (key, headers, JSON) ready in memory; its time runs from its making to the last acknowledgement.
//! So the ratio is what reading, decoding, making JSON, bookkeeping and acknowledging cost on top of Kafka itself.
//!
//! Broker, producer and drain share the machine's processors, so the processor time of each is told: where both
//! together fill the machine, the ratio says how much of it the drain takes from the broker.
//!
//! `cargo bench --bench drain -- --help`

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a measuring program stops at the first surprise"
)]

mod gauge;
#[path = "../tests/harness/mod.rs"]
mod harness;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clap::Parser;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use rdkafka::{ClientContext, Message as _};
use weir::boots::Boots;
use weir::clock;
use weir::id::Lane;
use weir::outbox::Outbox;
use weir::uplink::{self, backoff, kafka};
use weir_wire::stored::Record;

use gauge::kernel::{self, Usage};
use gauge::{Rounds, per, readings};
use harness::kafka::Kafka;
use harness::not_run::require;

const TOPIC_PARTITIONS: i32 = 4;

#[derive(Parser)]
struct Args {
    /// Readings to drain
    #[arg(long, default_value_t = 1_000_000)]
    readings: u64,
    /// Rounds of each way, in turns
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Where the outbox is made
    #[arg(long, default_value = env!("CARGO_TARGET_TMPDIR"))]
    directory: PathBuf,
    /// zstd, lz4, gzip, snappy or none
    #[arg(long, default_value = "zstd")]
    compression: String,
    /// How long a message waits for others
    #[arg(long, default_value_t = 20)]
    linger_ms: u64,
    /// A property of librdkafka for both ways, such as batch.num.messages=500
    #[arg(long, value_name = "NAME=VALUE")]
    property: Vec<String>,
    /// Where the processor time went, by thread
    #[arg(long)]
    threads: bool,
    /// What `cargo bench` passes
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    let args = Args::parse();
    println!("{}", kernel::machine());
    let Some(broker) = require("drain to Apache Kafka", Kafka::start()) else { return };
    let broker_id = kernel::child("java").expect("the broker is a child of this process");
    let folder = tempfile::tempdir_in(&args.directory).unwrap();
    let full = folder.path().join("full");
    let begin = clock::now();
    readings::fill(&full, args.readings);
    println!("{} readings put into the outbox in {:.1} s", args.readings, seconds_since(begin));

    let copy = folder.path().join("copy");
    kernel::copy(&full, &copy);
    let messages = messages(&copy);

    // A broker that has just started is slow for a while: whoever came first would pay for that.
    broker.create_topic("warm-up", TOPIC_PARTITIONS, &[]);
    produce(&messages, &args.uplink(&broker.bootstrap(), "warm-up", "unused").kafka);

    let [mut drained, mut bare, mut ratio] = [const { Rounds::new() }; 3];
    println!(
        "{:>5} {:<5} {:>10} {:>8} {:>12} {:>12}",
        "round", "way", "1/s", "s", "own cpu s", "broker cpu s"
    );
    for round in 1..=args.rounds {
        let topic = |way: &str| {
            let topic = format!("{way}-{round}");
            broker.create_topic(&topic, TOPIC_PARTITIONS, &[]);
            topic
        };
        let measured = |way: &str, work: &mut dyn FnMut() -> Duration| {
            let before = [std::process::id(), broker_id].map(|process| Usage::of(process).cpu);
            let seconds = work().as_secs_f64();
            let after = [std::process::id(), broker_id].map(|process| Usage::of(process).cpu);
            let [own, brokers] = [0, 1].map(|it| (after[it] - before[it]).as_secs_f64());
            let rate = per(args.readings, seconds);
            println!("{round:>5} {way:<5} {rate:>10.0} {seconds:>8.2} {own:>12.2} {brokers:>12.2}");
            rate
        };
        let config = args.uplink(&broker.bootstrap(), &topic("drain"), &topic("events"));
        fs::remove_dir_all(&copy).unwrap();
        kernel::copy(&full, &copy);
        let rate = measured("drain", &mut || drain(&copy, config.clone(), args.threads));
        drained.add(rate);
        let config = args.uplink(&broker.bootstrap(), &topic("bare"), "unused");
        let bare_rate = measured("bare", &mut || produce(&messages, &config.kafka));
        bare.add(bare_rate);
        ratio.add(rate / bare_rate);
    }
    println!("drain 1/s: {drained}");
    println!("bare  1/s: {bare}");
    println!("ratio:     {ratio:.3}");
}

fn seconds_since(begin: clock::Moment) -> f64 {
    clock::now().since(begin).as_secs_f64()
}

impl Args {
    /// As the daemon makes it by default.
    fn uplink(&self, bootstrap: &str, readings_topic: &str, events_topic: &str) -> uplink::Config {
        let properties = self.property.iter().map(|pair| pair.split_once('=').expect("NAME=VALUE"));
        let compression = kafka::Compression::ALL.into_iter().find(|it| it.name() == self.compression);
        uplink::Config {
            kafka: kafka::Config {
                bootstrap: bootstrap.into(),
                readings_topic: readings_topic.into(),
                events_topic: events_topic.into(),
                outcomes_topic: "unused".into(),
                compression: compression.expect("a compression that Kafka knows"),
                message_timeout: Duration::from_secs(30),
                linger: Duration::from_millis(self.linger_ms),
                properties: properties.map(|(name, value)| (name.into(), value.into())).collect(),
            },
            backoff: backoff::Bounds::default(),
            start_spread: Duration::ZERO,
            unsynced_hold: Duration::ZERO,
            stop_wait: Duration::from_secs(5),
        }
    }
}

/// Drains the outbox in this directory through the uplink.
fn drain(directory: &Path, config: uplink::Config, tell_threads: bool) -> Duration {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let outbox = readings::opened(readings::config(directory));
        let waiting = outbox.stats().await.unwrap().readings.waiting;
        let threads = kernel::threads();
        let begin = clock::now();
        let uplink = uplink::start(config, &outbox, Boots::open(directory), readings::GATEWAY).unwrap();
        // Not by the outbox's figures: those open the segment of the oldest reading, and so would disturb the drain.
        let condition = || uplink.condition(Lane::Readings);
        while condition().acknowledged < waiting {
            tokio::time::sleep(Duration::from_millis(10)).await;
            assert!(clock::now().since(begin) < Duration::from_secs(600), "{:?}", condition());
        }
        let elapsed = clock::now().since(begin);
        if tell_threads {
            for (name, time) in kernel::threads() {
                let spent = time.saturating_sub(threads.get(&name).copied().unwrap_or_default());
                if spent > elapsed / 100 {
                    println!("    {name:<16} {:.2} s of {:.2}", spent.as_secs_f64(), elapsed.as_secs_f64());
                }
            }
        }
        uplink.stop().await;
        assert_eq!(outbox.stats().await.unwrap().readings.waiting, 0, "the cursor has passed everything");
        outbox.close().await.unwrap();
        elapsed
    })
}

/// What the drain sends, made in advance.
struct Prepared {
    key: String,
    id: String,
    schema: &'static str,
    payload: Vec<u8>,
}

/// The messages of a full outbox.
fn messages(directory: &Path) -> Vec<Prepared> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let outbox: Outbox = readings::opened(readings::config(directory));
        let waiting = outbox.stats().await.unwrap().readings.waiting;
        let mut reader = outbox.reader(Lane::Readings);
        let mut messages = Vec::new();
        while u64::try_from(messages.len()).unwrap() < waiting {
            for stored in reader.next(1000, 512 * 1024).await.unwrap() {
                let record = Record::decode(&stored.bytes).unwrap();
                let id = stored.name.id(readings::GATEWAY);
                let payload = record.to_json(&id, readings::GATEWAY);
                let key = record.meter().unwrap().to_owned();
                messages.push(Prepared { key, id, schema: record.schema(), payload });
            }
        }
        outbox.close().await.unwrap();
        messages
    })
}

/// Counts what the broker has acknowledged.
struct Acknowledged(Arc<AtomicU64>);

impl ClientContext for Acknowledged {}

impl ProducerContext for Acknowledged {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, message)) = result {
            panic!("{error} with {:?}", message.key());
        }
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn produce(messages: &[Prepared], config: &kafka::Config) -> Duration {
    let acknowledged = Arc::new(AtomicU64::new(0));
    let begin = clock::now();
    let context = Acknowledged(Arc::clone(&acknowledged));
    let producer: BaseProducer<Acknowledged> =
        BaseProducer::from_config_and_context(&config.client_config(readings::GATEWAY), context).unwrap();
    for message in messages {
        let headers = OwnedHeaders::new_with_capacity(2)
            .insert(Header { key: "weir-id", value: Some(&message.id) })
            .insert(Header { key: "weir-schema", value: Some(message.schema) });
        let mut record = BaseRecord::to(&config.readings_topic)
            .key(message.key.as_bytes())
            .payload(message.payload.as_slice())
            .headers(headers);
        while let Err((error, back)) = producer.send(record) {
            assert_eq!(error, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull));
            producer.poll(Duration::from_millis(10));
            record = back;
        }
    }
    let count = u64::try_from(messages.len()).unwrap();
    while acknowledged.load(Ordering::Relaxed) < count {
        producer.poll(Duration::from_millis(10));
        assert!(clock::now().since(begin) < Duration::from_secs(600), "the broker acknowledges everything");
    }
    let elapsed = clock::now().since(begin);
    producer.flush(Duration::from_secs(5)).unwrap();
    elapsed
}
