//! The uplink: hands what waits in the outbox to the broker, and lets it go once the broker has it.
//!
//! # Guarantee
//!
//! **At least once, in order, under one name.** A record is acknowledged to the outbox only after the broker has
//! reported it, and everything before it in its lane, as stored. A delivery error, a time-out, a purge, a fatal error
//! of the client, the end of the process: the record stays in the outbox and is sent again with the same id and the
//! same bytes. What the broker refuses *for good* is set aside inside the outbox, never thrown away, and only when it
//! was refused while nothing else was in flight: clients fail whole batches, so a refusal in company proves nothing.
//!
//! # Limits of that guarantee
//!
//! - The broker may hold a record twice, and a repeat may come after younger records: consumers deduplicate on the id
//!   and order by `read_at`. An idempotent producer spares most repeats, not those over a restart.
//! - "The broker has it" is as good as the topic's replication and `min.insync.replicas`.
//!
//! # Shape
//!
//! Each lane has its own [`drain`], its own client and its own back-off, so that a refused topic or a full queue of one
//! does not stop the other. A drain lives on a thread of its own with a small runtime, not on the daemon's: making
//! JSON of a thousand records takes milliseconds, and on the lines' runtime that would be a gap on every bus.
//!
//! ```text
//!   outbox ── Source ──► message ──► window ──► Uplink (kafka) ──► broker
//!      ▲                               │             │
//!      └─ Cursor: acknowledge ◄────────┴── reports ◄─┘
//! ```
//!
//! Readings whose time is not known yet wait, for a while, for the clock to be set; see `hold`.
//!
//! What this room deliberately does not do: choose what to drop (the outbox), or know a setting's name (`config`).

mod ahead;
pub mod backoff;
mod condition;
#[cfg(test)]
mod doubles;
mod drain;
mod flow;
mod hold;
pub mod kafka;
mod message;
mod source;
mod window;

use std::future::Future;
use std::io;
use std::thread;
use std::time::Duration;

use tokio::sync::{oneshot, watch};

pub use condition::{Condition, State};
pub use message::{Message, Topic, Unsendable};

use crate::boots::Boots;
use crate::id::Lane;
use crate::outbox::Outbox;
use crate::pulse::Pulse;

/// A connection to a broker, as a drain sees it: messages go in, reports come out.
///
/// Every message that [`send`](Uplink::send) took is reported exactly once, as delivered or as failed, within
/// [`reports_within`](Uplink::reports_within). Nothing is ever reported as delivered that the broker has not stored.
pub trait Uplink {
    /// Makes a fresh client and drops the one before, if any. Does not wait for the network.
    ///
    /// # Errors
    /// When the client cannot be made. Another try may help, for example when a certificate has been put in place.
    fn connect(&mut self) -> Result<(), Failure>;

    /// Hands a message over under a ticket, without waiting.
    ///
    /// # Errors
    /// When it was not taken; then it is not reported either. [`FailureKind::Refused`] here means this very message.
    fn send(&mut self, ticket: usize, message: &Message) -> Result<(), Failure>;

    /// Waits until there are reports and adds them to `reports`. Safe to drop half-way.
    fn reports(&mut self, reports: &mut Vec<Report>) -> impl Future<Output = ()>;

    /// Gives up everything in flight, which is then reported at once: as failed, unless the broker has it already.
    fn abandon(&mut self);

    /// Looks for the reason why nothing gets through. May block for a second; called only when something is wrong.
    fn diagnose(&mut self) -> Option<Failure> {
        None
    }

    /// The longest time from a message to its report. Beyond it the client counts as broken.
    fn reports_within(&self) -> Duration;
}

/// What an uplink has to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// The broker has stored the message with this ticket.
    Delivered(usize),
    /// The message with this ticket is not known to be stored.
    Failed(usize, Box<Failure>),
    /// No message in particular: the connection is in trouble.
    Trouble(Box<Failure>),
}

/// Why something did not get through, and what may help.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} ({detail})")]
pub struct Failure {
    /// What may help.
    pub kind: FailureKind,
    /// The reason for a person; the same words for the same reason, so that a change can be told.
    pub what: &'static str,
    /// The particulars: topic, address, the client's own words.
    pub detail: String,
}

/// What may help. In rising order: of several failures at once the greatest decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FailureKind {
    /// The broker will not take this message, or one of those sent with it, however often it is sent.
    Refused,
    /// The same message may get through later.
    Retriable,
    /// The client is of no further use; a fresh one may get through.
    Fatal,
}

impl Failure {
    fn new(kind: FailureKind, what: &'static str, detail: impl Into<String>) -> Self {
        Self { kind, what, detail: detail.into() }
    }

    /// The reason in one line of bounded length.
    fn why(&self) -> String {
        let why = self.to_string();
        match why.char_indices().nth(crate::limits::UPLINK_WHY_CHARS_MAX) {
            Some((end, _)) => format!("{}…", why.get(..end).unwrap_or_default()),
            None => why,
        }
    }
}

/// What the uplink is made with.
#[derive(Clone, Debug)]
pub struct Config {
    /// The broker.
    pub kafka: kafka::Config,
    /// Pauses between attempts.
    pub backoff: backoff::Bounds,
    /// The first connection is made at a random moment within this time from the start, because a whole city's
    /// gateways may have been switched on together. Zero connects at once.
    pub start_spread: Duration,
    /// How long readings of a boot that does not know the time yet wait for it before they go as unsynced.
    pub unsynced_hold: Duration,
    /// How long a stop waits for the reports of what is in flight.
    pub stop_wait: Duration,
}

/// Why the uplink was not started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting for the broker's client.
    #[error(transparent)]
    Config(#[from] kafka::ConfigError),
    /// No thread.
    #[error("no thread for the uplink: {0}")]
    Thread(#[from] io::Error),
}

/// The running drains. Dropping it stops them as [`Handle::stop`] does, without waiting for it.
#[derive(Debug)]
pub struct Handle {
    /// In [`Lane::ALL`]'s order.
    lanes: [LaneHandle; 2],
    stop: watch::Sender<bool>,
}

#[derive(Debug)]
struct LaneHandle {
    tracker: condition::Tracker,
    pulse: Pulse,
    ended: oneshot::Receiver<()>,
}

/// Starts a drain for each lane. The first connection is made later, after the configured spread.
///
/// # Errors
/// When the broker's client refuses its settings, or there is no thread to be had.
pub fn start(config: Config, outbox: &Outbox, boots: Boots, gateway: &str) -> Result<Handle, StartError> {
    config.kafka.check()?;
    let (stop, stopped) = watch::channel(false);
    let start_lane = |lane| start_lane(&config, lane, outbox, boots.clone(), gateway, stopped.clone());
    let [urgent, readings] = Lane::ALL.map(start_lane);
    Ok(Handle { lanes: [urgent?, readings?], stop })
}

fn start_lane(
    config: &Config,
    lane: Lane,
    outbox: &Outbox,
    boots: Boots,
    gateway: &str,
    stopped: watch::Receiver<bool>,
) -> io::Result<LaneHandle> {
    let tracker = condition::Tracker::new(lane);
    let pulse = Pulse::new(format!("uplink {lane}"));
    let parts = drain::Parts {
        // One reads and the other acknowledges, so that the next batch is read while this one is sent.
        source: outbox.reader(lane),
        cursor: outbox.reader(lane),
        uplink: kafka::Kafka::new(config.kafka.clone(), lane, gateway),
        gateway: gateway.to_owned(),
        hold: hold::Hold::new(boots, config.unsynced_hold),
        backoff: backoff::Backoff::new(config.backoff, fastrand::Rng::new()),
        start_spread: config.start_spread,
        stop_wait: config.stop_wait,
        tick: drain::TICK,
        pulse: pulse.clone(),
        tracker: tracker.clone(),
        stopped,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let (end, ended) = oneshot::channel();
    // Linux shows 15 characters of a thread's name.
    thread::Builder::new().name(format!("up-{lane}")).spawn(move || {
        // Inside the runtime already when it is made: it holds a timer.
        runtime.block_on(async { drain::Drain::new(parts).run().await });
        let _ = end.send(());
    })?;
    Ok(LaneHandle { tracker, pulse, ended })
}

/// How both lanes' drains are doing, always up to date.
#[derive(Clone, Debug)]
pub struct Conditions([condition::Tracker; 2]);

impl Conditions {
    /// How a lane's drain is doing.
    pub fn of(&self, lane: Lane) -> Condition {
        let [urgent, readings] = &self.0;
        match lane {
            Lane::Urgent => urgent.condition(),
            Lane::Readings => readings.condition(),
        }
    }
}

impl Handle {
    /// How a lane's drain is doing.
    pub fn condition(&self, lane: Lane) -> Condition {
        self.lane(lane).tracker.condition()
    }

    /// The same for whoever outlives or does not own the handle.
    pub fn conditions(&self) -> Conditions {
        Conditions(Lane::ALL.map(|lane| self.lane(lane).tracker.clone()))
    }

    /// The drains' pulses, for the watchdog.
    pub fn pulses(&self) -> [Pulse; 2] {
        Lane::ALL.map(|lane| self.lane(lane).pulse.clone())
    }

    /// Stops feeding, waits for outstanding reports as long as configured, gives up the rest and ends both drains.
    /// What was given up stays in the outbox.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        for lane in self.lanes {
            // An error means that the thread is gone, which is what is waited for.
            let _ = lane.ended.await;
        }
    }

    fn lane(&self, lane: Lane) -> &LaneHandle {
        let [urgent, readings] = &self.lanes;
        match lane {
            Lane::Urgent => urgent,
            Lane::Readings => readings,
        }
    }
}

#[cfg(test)]
mod month;
#[cfg(test)]
mod tests;
