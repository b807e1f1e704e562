//! For tests: an outbox in memory that knows what the broker has, and fails the test when it is told a lie.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::future::pending;
use std::rc::Rc;
use std::time::Duration;

use fastrand::Rng;
use jiff::Timestamp;
use tokio::sync::{Notify, watch};
use weir_wire::stored::{Event, Outcome, Reading, Record, What};
use weir_wire::{Action, Answer, Clock, CommandState};

use super::Uplink;
use super::backoff::{Backoff, Bounds};
use super::condition::Tracker;
use super::drain::{Drain, Parts};
use super::hold::Hold;
use super::message::Message;
use super::source::{Cursor, Source};
use crate::boots::Boots;
use crate::id::{Generation, Lane, RecordName};
use crate::outbox::{Closed, Stored};
use crate::pulse::Pulse;

/// What the outbox and the broker hold, and what must be true of both at all times.
#[derive(Default)]
pub(super) struct World {
    pub(super) records: Vec<Stored>,
    /// Sequences of records the broker refuses, and of those the client refuses; both fit for being set aside.
    pub(super) poison: BTreeSet<u64>,
    pub(super) too_large: BTreeSet<u64>,
    pub(super) undecodable: BTreeSet<u64>,
    /// So many times a record cannot be set aside.
    pub(super) full_disk: u32,
    pub(super) cursor: u64,
    pub(super) set_aside: Vec<u64>,
    /// By id: how often, and with which content.
    pub(super) broker: BTreeMap<String, (usize, Message)>,
    pub(super) refusals: usize,
    pub(super) connects: usize,
    pub(super) handed_over: usize,
    pub(super) outstanding_max: usize,
}

#[derive(Clone, Default)]
pub(super) struct Shared {
    pub(super) world: Rc<RefCell<World>>,
    pub(super) settled: Rc<Notify>,
}

impl Shared {
    pub(super) fn with(records: Vec<Stored>) -> Self {
        let shared = Self::default();
        shared.world.borrow_mut().records = records;
        shared
    }

    /// Makes a record undecodable.
    pub(super) fn spoil(&self, sequence: u64) {
        let mut world = self.world.borrow_mut();
        world.undecodable.insert(sequence);
        for stored in world.records.iter_mut().filter(|stored| stored.name.sequence == sequence) {
            stored.bytes = vec![200, 1, 2, 3].into();
        }
    }

    /// The broker stored a message.
    pub(super) fn store(&self, message: &Message) {
        let mut world = self.world.borrow_mut();
        let (count, content) = world.broker.entry(message.id.clone()).or_insert_with(|| (0, message.clone()));
        *count += 1;
        assert_eq!(content, message, "one id, one content");
    }

    pub(super) fn is_done(&self) -> bool {
        let world = self.world.borrow();
        world.records.last().is_none_or(|last| last.name.sequence <= world.cursor)
    }

    pub(super) async fn done(&self) {
        while !self.is_done() {
            self.settled.notified().await;
        }
    }
}

/// What the broker knows a record as.
fn id_of(stored: &Stored) -> String {
    let name = stored.name.id("gw");
    Record::decode(&stored.bytes).map_or(name.clone(), |record| record.id(name, "gw"))
}

/// An event under this sequence.
pub(super) fn event(sequence: u64) -> Stored {
    let record = Record::Event(Event {
        at: Timestamp::UNIX_EPOCH,
        clock: Clock::Synced,
        boot: 1,
        uptime_ms: 0,
        what: What::LineDown { line: format!("line-{sequence}"), detail: "x".repeat(20) },
    });
    let name = RecordName { generation: Generation(7), lane: Lane::Urgent, sequence };
    Stored { name, bytes: record.encode().into() }
}

/// A command's acceptance under this sequence.
pub(super) fn outcome(sequence: u64, meter: &str) -> Stored {
    let record = Record::Outcome(Outcome {
        command: format!("command-{sequence}"),
        meter: meter.into(),
        action: Action::ReadNow,
        state: CommandState::Accepted,
        is_final: false,
        at: Timestamp::UNIX_EPOCH,
        clock: Clock::Synced,
        reason: None,
        observed: None,
        detail: None,
    });
    let name = RecordName { generation: Generation(7), lane: Lane::Urgent, sequence };
    Stored { name, bytes: record.encode().into() }
}

struct Read {
    shared: Shared,
    position: u64,
}

impl Source for Read {
    async fn next(&mut self, records_max: usize, _bytes_max: usize) -> Result<Vec<Stored>, Closed> {
        tokio::task::yield_now().await;
        let after = self.position;
        let batch: Vec<_> = {
            let world = self.shared.world.borrow();
            let waiting = world.records.iter().filter(|stored| stored.name.sequence > after);
            waiting.take(records_max.min(37)).cloned().collect()
        };
        match batch.last() {
            Some(last) => {
                self.position = last.name.sequence;
                Ok(batch)
            }
            None => pending().await,
        }
    }

    fn rewind(&mut self) {
        self.position = self.shared.world.borrow().cursor;
    }
}

impl Cursor for Shared {
    async fn acknowledge(&self, up_to: u64) -> Result<(), Closed> {
        let mut world = self.world.borrow_mut();
        assert!(up_to > world.cursor, "the cursor only goes forward");
        for stored in &world.records {
            let sequence = stored.name.sequence;
            let is_meant = sequence > world.cursor && sequence <= up_to;
            assert!(
                !is_meant || world.broker.contains_key(&id_of(stored)),
                "{sequence} was acknowledged and the broker does not have it"
            );
        }
        world.cursor = up_to;
        self.settled.notify_one();
        Ok(())
    }

    async fn set_aside(&self, sequence: u64, why: String) -> Result<bool, Closed> {
        let mut world = self.world.borrow_mut();
        let first = world.records.iter().find(|stored| stored.name.sequence > world.cursor);
        assert_eq!(first.map(|stored| stored.name.sequence), Some(sequence), "only the first one waiting");
        let guilty = [&world.poison, &world.too_large, &world.undecodable];
        assert!(guilty.iter().any(|them| them.contains(&sequence)), "{sequence} is innocent: {why}");
        if world.full_disk > 0 {
            world.full_disk -= 1;
            return Ok(false);
        }
        world.set_aside.push(sequence);
        world.cursor = sequence;
        self.settled.notify_one();
        Ok(true)
    }
}

/// A reading of this meter under this sequence, with so many bytes kept of the telegram.
pub(super) fn reading(sequence: u64, meter: &str, raw: usize) -> Stored {
    let record = Record::Reading(Reading {
        line: "riser-1".into(),
        meter: meter.into(),
        driver: "mbus".into(),
        scheduled_at: None,
        read_at: Timestamp::UNIX_EPOCH,
        clock: Clock::Synced,
        boot: 7,
        uptime_ms: sequence,
        answer: Answer { raw: (raw > 0).then(|| weir_wire::Raw(vec![0x68; raw])), ..Answer::default() },
    });
    let name = RecordName { generation: Generation(7), lane: Lane::Readings, sequence };
    Stored { name, bytes: record.encode().into() }
}

/// A hold that knows of no boot and keeps nothing.
pub(super) fn hold() -> Hold {
    Hold::new(Boots::open(std::path::Path::new("/nowhere")), Duration::from_secs(900))
}

/// A drain on the local task set.
pub(super) struct Running {
    pub(super) tracker: Tracker,
    pub(super) pulse: Pulse,
    pub(super) stop: watch::Sender<bool>,
    pub(super) drain: tokio::task::JoinHandle<()>,
}

/// Runs a drain between this outbox and this uplink.
pub(super) fn run(shared: &Shared, uplink: impl Uplink + 'static, start_spread: Duration) -> Running {
    run_with(shared, uplink, start_spread, hold())
}

/// The same with this knowledge of the boots.
pub(super) fn run_with(
    shared: &Shared,
    uplink: impl Uplink + 'static,
    start_spread: Duration,
    hold: Hold,
) -> Running {
    let tracker = Tracker::new(Lane::Urgent);
    let pulse = Pulse::new("drain");
    let (stop, stopped) = watch::channel(false);
    let parts = Parts {
        source: Read { shared: shared.clone(), position: 0 },
        cursor: shared.clone(),
        uplink,
        gateway: "gw".into(),
        hold,
        backoff: Backoff::new(
            Bounds::new(Duration::from_millis(500), Duration::from_secs(30)),
            Rng::with_seed(1),
        ),
        start_spread,
        stop_wait: Duration::from_secs(3),
        tick: super::drain::TICK,
        pulse: pulse.clone(),
        tracker: tracker.clone(),
        stopped,
    };
    let drain = tokio::task::spawn_local(async move { Drain::new(parts).run().await });
    Running { tracker, pulse, stop, drain }
}
