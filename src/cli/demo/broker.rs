//! The broker that the demo sends to: librdkafka's mock cluster in this process, or a real one.
//!
//! The mock speaks Kafka's protocol over TCP on loopback and can be unplugged. Its handle may not leave its thread, so
//! it lives on one of its own and takes orders. What it does not do stands in its documentation: it is no proof of
//! anything about duplicates, and it keeps only the newest few megabytes.
//!
//! A real broker cannot be unplugged from here: clients connect to whatever address it advertises, past any proxy.

use std::collections::HashSet;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::mocking::MockCluster;

use super::quiet::Quiet;

/// Of the demo alone: simulated readings have no place in a utility's topics.
pub(super) const READINGS_TOPIC: &str = "weir.demo.readings";
/// See [`READINGS_TOPIC`].
pub(super) const EVENTS_TOPIC: &str = "weir.demo.events";

/// More than one, so that it shows that a meter's readings stay together.
const PARTITIONS: i32 = 3;
/// The mock cluster's only broker.
const BROKER: i32 = 1;
/// How long a broker may take to answer at the start.
const ANSWER_WAIT: Duration = Duration::from_secs(10);
/// Orders that may wait. One key press is one order, and the thread obeys at once.
const ORDERS_MAX: usize = 4;

/// A broker.
pub(super) enum Broker {
    /// librdkafka's mock cluster.
    Embedded(Embedded),
    /// The user's own, `host:port`.
    Real(String),
}

/// The mock cluster's thread.
pub(super) struct Embedded {
    servers: String,
    orders: Option<SyncSender<Plug>>,
    thread: Option<JoinHandle<()>>,
    plug: Plug,
}

/// Whether the uplink's plug is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plug {
    In,
    Out,
}

impl Plug {
    /// The other one.
    pub(super) fn turned(self) -> Self {
        match self {
            Self::In => Self::Out,
            Self::Out => Self::In,
        }
    }
}

impl Broker {
    /// Starts the mock cluster.
    ///
    /// # Errors
    /// When it cannot listen on loopback.
    pub(super) fn embedded() -> anyhow::Result<Self> {
        let (orders, incoming) = sync_channel(ORDERS_MAX);
        let (tell, told) = channel();
        let thread =
            std::thread::Builder::new().name("broker".into()).spawn(move || serve(&tell, &incoming))?;
        let servers = told.recv().context("its thread ended")??;
        let embedded = Embedded { servers, orders: Some(orders), thread: Some(thread), plug: Plug::In };
        Ok(Self::Embedded(embedded))
    }

    /// Looks for the user's broker and makes the demo's topics there if they are missing.
    ///
    /// # Errors
    /// When nobody answers, or the topics neither are there nor may be made.
    pub(super) async fn real(servers: &str) -> anyhow::Result<Self> {
        make_topics(servers).await.with_context(|| format!("broker {servers}"))?;
        Ok(Self::Real(servers.to_owned()))
    }

    /// Where clients connect to.
    pub(super) fn servers(&self) -> &str {
        match self {
            Self::Embedded(embedded) => &embedded.servers,
            Self::Real(servers) => servers,
        }
    }

    /// What a person should know about it.
    pub(super) fn description(&self) -> String {
        match self {
            Self::Embedded(_) => "embedded broker: librdkafka's mock".into(),
            Self::Real(servers) => format!("broker {servers}"),
        }
    }

    /// Where the plug is; `None` for a broker that has none.
    pub(super) fn plug(&self) -> Option<Plug> {
        match self {
            Self::Embedded(embedded) => Some(embedded.plug),
            Self::Real(_) => None,
        }
    }

    /// Pulls the plug or puts it back. A real broker has none: nothing happens.
    ///
    /// # Errors
    /// When the mock cluster is gone.
    pub(super) fn set_plug(&mut self, plug: Plug) -> anyhow::Result<()> {
        let Self::Embedded(embedded) = self else { return Ok(()) };
        let gone = || anyhow!("the embedded broker is gone");
        embedded.orders.as_ref().ok_or_else(gone)?.send(plug).map_err(|_| gone())?;
        embedded.plug = plug;
        Ok(())
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        // The thread ends when nobody can give it orders any more.
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The mock cluster's life, on its thread.
fn serve(tell: &Sender<Result<String, KafkaError>>, orders: &Receiver<Plug>) {
    let started = MockCluster::new(1).and_then(|cluster| {
        for topic in [READINGS_TOPIC, EVENTS_TOPIC] {
            cluster.create_topic(topic, PARTITIONS, 1)?;
        }
        Ok(cluster)
    });
    let cluster = match started {
        Ok(cluster) => cluster,
        Err(error) => return drop(tell.send(Err(error))),
    };
    let _ = tell.send(Ok(cluster.bootstrap_servers()));
    while let Ok(plug) = orders.recv() {
        let done = match plug {
            Plug::Out => cluster.broker_down(BROKER),
            Plug::In => cluster.broker_up(BROKER),
        };
        if let Err(error) = done {
            tracing::error!(%error, ?plug, "embedded broker");
        }
    }
}

async fn make_topics(servers: &str) -> anyhow::Result<()> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", servers);
    let client = AdminClient::from_config_and_context(&config, Quiet)?;
    // -1: as many replicas as the broker makes by itself.
    let topic = |name| NewTopic::new(name, PARTITIONS, TopicReplication::Fixed(-1));
    let topics = [topic(READINGS_TOPIC), topic(EVENTS_TOPIC)];
    let options = AdminOptions::new().operation_timeout(Some(ANSWER_WAIT)).request_timeout(Some(ANSWER_WAIT));
    let made = client.create_topics(&topics, &options).await.context("no answer")?;
    let mut failed = made.into_iter().filter_map(Result::err).peekable();
    let is_there = |(_, code): &(String, RDKafkaErrorCode)| *code == RDKafkaErrorCode::TopicAlreadyExists;
    if failed.peek().is_none() {
        return Ok(());
    }
    // Somebody may not make topics and yet use those that are there.
    let refusals: Vec<_> = failed.filter(|failure| !is_there(failure)).collect();
    let metadata = client.inner().fetch_metadata(None, ANSWER_WAIT)?;
    let there: HashSet<&str> = metadata.topics().iter().map(rdkafka::metadata::MetadataTopic::name).collect();
    match refusals.iter().find(|(topic, _)| !there.contains(topic.as_str())) {
        Some((topic, code)) => bail!("topic {topic} is missing and cannot be made: {code}"),
        None => Ok(()),
    }
}
