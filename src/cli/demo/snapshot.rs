//! Everything the demo shows, at one moment. Plain data: what gathers it does not draw, what draws it asks nobody.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;

use super::arrivals::Seen;
use super::broker::Plug;
use super::log::Entry;
use crate::line::{LineStatus, MeterStatus};
use crate::outbox::LaneStats;
use crate::uplink::Condition;

/// The demo at one moment.
#[derive(Clone, Debug)]
pub(super) struct Snapshot {
    /// When.
    pub(super) now: Timestamp,
    /// Since the start.
    pub(super) running: Duration,
    /// Until it ends by itself.
    pub(super) left: Option<Duration>,
    /// Whether it is ending.
    pub(super) stopping: bool,
    /// The daemon's configuration file, with which other commands find it.
    pub(super) configuration: PathBuf,
    /// What a person should know about the broker.
    pub(super) broker: String,
    /// The uplink's plug; `None` where there is none to pull.
    pub(super) plug: Option<Plug>,
    /// The lines with their meters, as the daemon sees them.
    pub(super) lines: Vec<LineStatus>,
    /// How busy each line was of late, 0 to 1.
    pub(super) loads: Vec<f64>,
    /// Each meter's protocol.
    pub(super) protocols: BTreeMap<String, &'static str>,
    /// The meters that were killed here.
    pub(super) killed: BTreeSet<String>,
    /// The lines that were unplugged here.
    pub(super) unplugged: BTreeSet<String>,
    /// The outbox's lane of readings.
    pub(super) outbox: LaneStats,
    /// Its way to the broker.
    pub(super) uplink: Condition,
    /// How many readings waited, a sample a second, the latest last.
    pub(super) depths: VecDeque<u64>,
    /// What arrived at the broker.
    pub(super) arrivals: Seen,
    /// The daemon's log, the latest last.
    pub(super) log: Vec<Entry>,
}

impl Snapshot {
    /// Every meter with its line, in the order of the lines.
    pub(super) fn meters(&self) -> impl Iterator<Item = (&LineStatus, &MeterStatus)> {
        self.lines.iter().flat_map(|line| line.meters.iter().map(move |meter| (line, meter)))
    }

    /// Polls made, and those of them that gave a reading.
    pub(super) fn polls(&self) -> (u64, u64) {
        let counters = self.meters().map(|(_, meter)| meter.counters);
        counters.fold((0, 0), |(polls, answered), meter| (polls + meter.polls, answered + meter.answered))
    }
}
