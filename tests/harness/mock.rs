//! librdkafka's mock cluster as a broker of its own: the real protocol, no Java, no disk.
//!
//! The handle of a cluster may not leave its thread, so it lives on one that obeys orders. Its limits (measured): it
//! judges no idempotence, so a repeat says nothing here; it keeps only the newest 5 MiB of a partition; and while it is
//! down it keeps what it has, as a broker with a disk.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use rdkafka::ClientConfig;
use rdkafka::mocking::MockCluster;

use super::consumed::{Consumed, read_all_quickly};

const BROKER: i32 = 1;
const PARTITIONS: i32 = 4;

enum Order {
    Down(SyncSender<()>),
    Up(SyncSender<()>),
}

/// A running mock cluster of one broker. It has the topics of a gateway.
#[derive(Debug)]
pub(crate) struct MockBroker {
    bootstrap: String,
    /// `None` once it is being dropped.
    orders: Option<SyncSender<Order>>,
    thread: Option<JoinHandle<()>>,
}

impl MockBroker {
    pub(crate) fn start() -> Self {
        let (orders, received) = sync_channel(1);
        let (tell, told) = sync_channel(1);
        let thread = std::thread::spawn(move || serve(&tell, &received));
        let bootstrap = told.recv().expect("a mock cluster starts");
        Self { bootstrap, orders: Some(orders), thread: Some(thread) }
    }

    pub(crate) fn bootstrap(&self) -> String {
        self.bootstrap.clone()
    }

    /// Closes every connection and refuses new ones, until [`MockBroker::up`].
    pub(crate) fn down(&self) {
        self.order(Order::Down);
    }

    /// Serves again, with all it had.
    pub(crate) fn up(&self) {
        self.order(Order::Up);
    }

    /// Every record of the topic, ordered by partition and offset. The broker must be up.
    #[track_caller]
    pub(crate) fn read_all(&self, topic: &str) -> Vec<Consumed> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.bootstrap());
        read_all_quickly(config, topic)
    }

    fn order(&self, order: impl FnOnce(SyncSender<()>) -> Order) {
        let (done, is_done) = sync_channel(1);
        self.orders.as_ref().expect("it runs").send(order(done)).expect("the cluster's thread runs");
        is_done.recv().expect("the cluster obeys");
    }
}

/// All that a topic of a mock cluster ever held, as long as it is gathered before the cluster forgets it.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    records: Vec<Consumed>,
    /// The next offset of each partition.
    next: BTreeMap<i32, i64>,
}

impl Gathered {
    /// Adds what came since the last time, and gives that, ordered by partition and offset. The broker must be up.
    #[track_caller]
    pub(crate) fn gather(&mut self, broker: &MockBroker, topic: &str) -> &[Consumed] {
        let before = self.records.len();
        for record in broker.read_all(topic) {
            let next = self.next.entry(record.partition).or_default();
            if record.offset >= *next {
                assert_eq!(record.offset, *next, "{topic}: not gathered in time");
                *next += 1;
                self.records.push(record);
            }
        }
        &self.records[before..]
    }

    pub(crate) fn all(&self) -> &[Consumed] {
        &self.records
    }
}

impl Drop for MockBroker {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(tell: &SyncSender<String>, orders: &Receiver<Order>) {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("weir.readings", PARTITIONS, 1).unwrap();
    cluster.create_topic("weir.events", 1, 1).unwrap();
    cluster.create_topic("weir.outcomes", PARTITIONS, 1).unwrap();
    cluster.create_topic("weir.commands", 2, 1).unwrap();
    tell.send(cluster.bootstrap_servers()).unwrap();
    for order in orders {
        let done = match order {
            Order::Down(done) => {
                cluster.broker_down(BROKER).unwrap();
                done
            }
            Order::Up(done) => {
                cluster.broker_up(BROKER).unwrap();
                done
            }
        };
        let _ = done.send(());
    }
}
