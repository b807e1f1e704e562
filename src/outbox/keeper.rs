//! The keeper: the one thread that touches the store.
//!
//! sled blocks and may panic, so it gets a thread of its own with a queue in front of it. The keeper gathers appends into
//! group commits, answers reads with what is durable, moves cursors, and keeps the lanes within their quotas. When the
//! store fails twice in a row the keeper stops and says so; the daemon then leaves with exit code 75 and starts anew,
//! because a panic in one of sled's background threads may have poisoned the process.

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, mpsc as std_mpsc};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock, statvfs};
use tokio::sync::{mpsc, oneshot, watch};
use weir_wire::stored::{Event, Record, What};
use weir_wire::{GapCause, Raw};

use super::frame::{Class, Header};
use super::handle::{AppendError, Encoded, LaneStats, Outbox, Previous, Request, Stats, Stored};
use super::lane::{Findings, Missing, SegmentedLane};
use super::retention::gaps;
use super::store::{StoreError, sync_directory};
use super::{Config, WhenFull};
use crate::clock::{self, Moment};
use crate::id::{Generation, Lane, RecordName};
use crate::limits;
use crate::pulse::Pulse;

/// An open outbox.
#[derive(Debug)]
pub struct Opened {
    /// The handle for the other rooms.
    pub outbox: Outbox,
    /// This start's generation.
    pub generation: Generation,
    /// The start before; `None` in a new outbox.
    pub previous: Option<Previous>,
    /// Resolves with the reason when the store has failed for good. The daemon must then be started anew.
    pub failed: oneshot::Receiver<String>,
}

/// Why the outbox did not open. Damage is no reason: it is set aside.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("{0}: in use by another process")]
    InUse(PathBuf),
    /// The directory cannot be used.
    #[error("{path}: {source}")]
    Directory {
        /// Which one.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// The store cannot be opened, not even after setting damage aside.
    #[error("{path}: {why}")]
    Store {
        /// The outbox's directory.
        path: PathBuf,
        /// The store's reason.
        why: String,
    },
}

/// Opens the outbox, on a thread of its own that beats `pulse` at least every [`limits::OUTBOX_TICK`].
///
/// # Errors
/// When another process has it, or its directory cannot be used.
pub fn open(config: Config, pulse: Pulse) -> Result<Opened, OpenError> {
    let directory = |source| OpenError::Directory { path: config.directory.clone(), source };
    fs::create_dir_all(&config.directory).map_err(directory)?;
    let lock = File::create(config.directory.join("lock")).map_err(directory)?;
    flock(&lock, FlockOperation::NonBlockingLockExclusive)
        .map_err(|_| OpenError::InUse(config.directory.clone()))?;
    let generation = Generation(getrandom::u32().map_err(|error| directory(io::Error::other(error)))?);

    let (sender, requests) = mpsc::channel(limits::OUTBOX_QUEUE_RECORDS);
    let (told, opened) = std_mpsc::sync_channel(1);
    let (failure, failed) = oneshot::channel();
    let path = config.directory.clone();
    let store_error =
        move |error: &dyn std::fmt::Display| OpenError::Store { path: path.clone(), why: error.to_string() };
    let run = move || {
        let mut keeper = match Keeper::open(config, generation, pulse) {
            Ok((keeper, durable, previous)) => {
                let _ = told.send(Ok((durable, previous)));
                keeper
            }
            Err(error) => return drop(told.send(Err(error.to_string()))),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let served =
            runtime.map_err(StoreError::Io).and_then(|runtime| runtime.block_on(keeper.serve(requests)));
        match served.and_then(|asked_by| keeper.close().map(|()| asked_by)) {
            Ok(asked_by) => {
                // Whoever asked may open the outbox again at once.
                drop(lock);
                let _ = asked_by.map(|reply| reply.send(()));
            }
            Err(error) => {
                tracing::error!(%error, "the outbox's store failed");
                let _ = failure.send(error.to_string());
            }
        }
    };
    std::thread::Builder::new().name("outbox".into()).spawn(run).map_err(|error| store_error(&error))?;
    match opened.recv() {
        Ok(Ok((durable, previous))) => {
            let outbox = Outbox { requests: sender, durable: Arc::new(durable) };
            Ok(Opened { outbox, generation, previous, failed })
        }
        Ok(Err(why)) => Err(store_error(&why)),
        Err(_) => Err(store_error(&"its thread ended")),
    }
}

struct Keeper {
    config: Config,
    generation: Generation,
    pulse: Pulse,
    urgent: Kept,
    readings: Kept,
    /// What the broker refused for good. Never sent.
    refused: SegmentedLane,
    under_pressure: bool,
}

/// One lane with what the keeper remembers beside the store.
struct Kept {
    lane: Lane,
    store: SegmentedLane,
    disk_bytes_max: u64,
    /// Whether there is no room to begin a further segment.
    full: bool,
    /// Who waits for the commit to come.
    receipts: Vec<(u64, oneshot::Sender<Result<RecordName, AppendError>>)>,
    /// Since when the oldest of them waits.
    since: Option<Moment>,
    cursor_moved: Option<Moment>,
    durable: watch::Sender<u64>,
    counted: LaneStats,
}

impl Keeper {
    #[expect(clippy::type_complexity, reason = "used once, by the function above")]
    fn open(
        config: Config,
        generation: Generation,
        pulse: Pulse,
    ) -> Result<(Self, [watch::Receiver<u64>; 2], Option<Previous>), StoreError> {
        let quarantine = config.directory.join("quarantine");
        let mut findings = Findings::default();
        let mut open = |name: &str| {
            let directory = config.directory.join(name);
            let (lane, found) =
                SegmentedLane::open(&directory, &quarantine, generation, config.segment_payload_bytes)?;
            findings.damaged.extend(found.damaged);
            Ok::<_, StoreError>(lane)
        };
        let (urgent, readings, refused) = (open("urgent")?, open("readings")?, open("refused")?);
        // The lanes' own entries, and the outbox's.
        sync_directory(&config.directory)?;
        config.directory.parent().map_or(Ok(()), sync_directory)?;
        let (of_readings, of_urgent) = (readings.previous()?, urgent.previous()?);
        // Every start writes an event, so the urgent lane knows the last generation best.
        let previous = of_urgent.or(of_readings).map(|(generation, _)| Previous {
            generation,
            last: [of_readings, of_urgent].map(|lane| lane.map_or(0, |(_, sequence)| sequence)),
        });
        let (urgent, urgent_durable) = Kept::new(Lane::Urgent, urgent, config.urgent_bytes_max);
        let (readings, readings_durable) = Kept::new(Lane::Readings, readings, config.readings_bytes_max);
        let mut keeper = Self { config, generation, pulse, urgent, readings, refused, under_pressure: false };
        keeper.report(Lane::Readings, findings)?;
        Ok((keeper, [urgent_durable, readings_durable], previous))
    }

    /// Serves requests until somebody asks to close, who is returned to be answered, or every handle is gone.
    async fn serve(
        &mut self,
        mut requests: mpsc::Receiver<Request>,
    ) -> Result<Option<oneshot::Sender<()>>, StoreError> {
        loop {
            let mut next = match tokio::time::timeout(self.until_due(), requests.recv()).await {
                Ok(None) => return Ok(None),
                Ok(Some(request)) => Some(request),
                Err(_elapsed) => None,
            };
            // What else is waiting already shares the commit. But a read takes its time, and readers may not keep a
            // commit that is due from coming.
            while let Some(request) = next.take() {
                let takes_time = !matches!(request, Request::Append { .. } | Request::Acknowledge { .. });
                if let Request::Close { reply } = request {
                    return Ok(Some(reply));
                }
                self.handle(request)?;
                if self.is_batch_full() || takes_time && self.until_due().is_zero() {
                    break;
                }
                next = requests.try_recv().ok();
            }
            self.pulse.beat();
            self.commit_due()?;
        }
    }

    fn handle(&mut self, request: Request) -> Result<(), StoreError> {
        match request {
            Request::Append { record, receipt } => self.append(record, receipt),
            Request::Read { lane, after, records_max, bytes_max, reply } => {
                let records = self.read(lane, after, records_max, bytes_max)?;
                let _ = reply.send(records);
            }
            Request::Acknowledge { lane, up_to } => {
                self.kept(lane).acknowledge(up_to);
                if self.kept(lane).full && self.kept(lane).store.has_drained_segment() {
                    self.commit(lane)?;
                }
            }
            Request::SetAside { lane, sequence, why, reply } => {
                self.set_aside(lane, sequence, why)?;
                let _ = reply.send(());
            }
            Request::Stats { reply } => {
                let _ = reply.send(self.stats()?);
            }
            Request::Close { .. } => {}
        }
        Ok(())
    }

    fn append(&mut self, record: Encoded, receipt: oneshot::Sender<Result<RecordName, AppendError>>) {
        let Encoded { lane, class, at, meter, bytes } = record;
        let kept = self.kept(lane);
        // Events find room in a segment that is already full: they are few, and they tell of the trouble.
        let refusal = if kept.full && (lane == Lane::Readings || kept.store.is_overfull()) {
            Some(AppendError::Full)
        } else if bytes.len() > limits::RECORD_BYTES_MAX {
            Some(AppendError::TooLong { bytes: bytes.len() })
        } else {
            None
        };
        if let Some(refusal) = refusal {
            kept.counted.refused_appends += 1;
            let _ = receipt.send(Err(refusal));
            return;
        }
        let sequence = kept.store.add(class, at, &meter, &bytes);
        kept.receipts.push((sequence, receipt));
        kept.since.get_or_insert_with(clock::now);
    }

    fn read(
        &mut self,
        lane: Lane,
        after: u64,
        records_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<Stored>, StoreError> {
        let mut findings = Findings::default();
        let read = self.kept(lane).store.read(after, records_max, bytes_max, &mut findings);
        self.report(lane, findings)?;
        let stored = |header: &Header, bytes| {
            let name = RecordName { generation: header.generation, lane, sequence: header.sequence };
            Stored { name, bytes }
        };
        Ok(read?.into_iter().map(|read| stored(&read.header, read.payload)).collect())
    }

    /// Keeps a refused record in the lane of refused ones, durably, and only then moves the cursor past it.
    fn set_aside(&mut self, lane: Lane, sequence: u64, why: String) -> Result<(), StoreError> {
        let Some(stored) = self.read(lane, sequence.saturating_sub(1), 1, usize::MAX)?.pop() else {
            return Ok(());
        };
        if stored.name.sequence != sequence {
            return Ok(());
        }
        let record = stored.name.id(&self.config.gateway);
        tracing::error!(%record, why, "the broker refused a record for good, it is set aside");
        let kept =
            serde_json::json!({ "id": record, "why": why, "stored": Raw(stored.bytes.clone()).to_string() });
        self.make_room_for_refused()?;
        self.refused.add(Class::Refused, clock::wall(), "", kept.to_string().as_bytes());
        self.refused.commit()?;
        // An event about a refused event might be refused itself, and so on without an end.
        if lane == Lane::Readings {
            let meter =
                Record::decode(&stored.bytes).ok().and_then(|record| record.meter().map(ToOwned::to_owned));
            self.add_event(What::RecordRefused { record, meter, detail: why });
            self.commit(Lane::Urgent)?;
        }
        self.kept(lane).acknowledge(sequence);
        Ok(())
    }

    fn make_room_for_refused(&mut self) -> Result<(), StoreError> {
        if self.refused.wants_roll() {
            while self.refused.disk_bytes() > limits::REFUSED_LANE_BYTES && self.refused.has_closed() {
                tracing::error!("the lane of refused records is full, the oldest are dropped");
                self.refused.give_up_oldest();
                self.refused.commit()?;
                self.refused.drop_drained()?;
            }
            self.refused.roll()?;
        }
        Ok(())
    }

    /// How long nothing needs doing unless a request comes.
    fn until_due(&self) -> Duration {
        let window = |kept: &Kept| {
            kept.since.map(|since| self.config.commit_window.saturating_sub(clock::now().since(since)))
        };
        let urgent = self.urgent.since.map(|_| Duration::ZERO);
        urgent.or(window(&self.readings)).unwrap_or(limits::OUTBOX_TICK).min(limits::OUTBOX_TICK)
    }

    fn is_batch_full(&self) -> bool {
        self.urgent.is_full() || self.readings.is_full()
    }

    fn commit_due(&mut self) -> Result<(), StoreError> {
        if self.urgent.since.is_some() {
            self.commit(Lane::Urgent)?;
        }
        let waited = self.readings.since.map(|since| clock::now().since(since));
        if self.readings.is_full() || waited.is_some_and(|waited| waited >= self.config.commit_window) {
            self.commit(Lane::Readings)?;
        }
        for lane in Lane::ALL {
            if self.kept(lane).cursor_is_due() {
                self.commit(lane)?;
            }
        }
        for lane in Lane::ALL {
            if self.kept(lane).full {
                self.roll_if_full(lane)?;
            }
        }
        Ok(())
    }

    /// The group commit of one lane, and what follows from it: receipts, drained segments, a new segment.
    fn commit(&mut self, lane: Lane) -> Result<(), StoreError> {
        let generation = self.generation;
        self.kept(lane).commit(generation)?;
        self.roll_if_full(lane)
    }

    /// Begins a new segment when the active one has its fill and there is room for another, or room can be made.
    fn roll_if_full(&mut self, lane: Lane) -> Result<(), StoreError> {
        if !self.kept(lane).store.wants_roll() {
            return Ok(());
        }
        let has_room = self.make_room(lane)?;
        // Events about what was dropped may be pending by now, and a new segment begins after everything that is stored.
        let generation = self.generation;
        self.kept(lane).commit(generation)?;
        let kept = self.kept(lane);
        if kept.full == has_room {
            kept.full = !has_room;
            tracing::warn!(%lane, full = kept.full, "room for a further segment of the outbox");
        }
        if has_room {
            self.kept(lane).store.roll()?;
            self.note_pressure();
        }
        Ok(())
    }

    /// Whether one more segment fits into the lane's quota and onto the file system, after the policy has done its part.
    fn make_room(&mut self, lane: Lane) -> Result<bool, StoreError> {
        let needed = limits::segment_disk_bytes_max(self.config.segment_payload_bytes);
        let policy = if lane == Lane::Urgent { WhenFull::DropOldest } else { self.config.when_full };
        let mut made_room_on_disk = false;
        loop {
            let free = statvfs(&self.config.directory).map_err(io::Error::from)?;
            let free_bytes = free.f_bavail.saturating_mul(free.f_frsize);
            let is_disk_short = free_bytes < self.config.free_bytes_min + needed;
            let kept = self.kept(lane);
            let is_over_quota = kept.store.disk_bytes() + needed > kept.disk_bytes_max;
            // Below the floor one segment goes for the one that comes: whatever fills the disk, it must not cost the
            // whole history.
            if !is_over_quota && (!is_disk_short || made_room_on_disk) {
                return Ok(true);
            }
            if policy == WhenFull::StopPolling || !self.kept(lane).store.has_closed() {
                return Ok(false);
            }
            self.drop_oldest(lane)?;
            made_room_on_disk = true;
            self.pulse.beat();
        }
    }

    /// Drops the oldest segment: first its gap is flushed in the urgent lane, then it goes.
    fn drop_oldest(&mut self, lane: Lane) -> Result<(), StoreError> {
        let mut findings = Findings::default();
        let headers = self.kept(lane).store.waiting_in_oldest(&mut findings)?;
        self.report(lane, findings)?;
        let dropped = u64::try_from(headers.len()).unwrap_or(u64::MAX);
        if dropped > 0 {
            tracing::error!(%lane, dropped, "outbox full, the oldest records are dropped");
        }
        let id = |header: &Header| {
            let Header { generation, sequence, .. } = *header;
            RecordName { generation, lane, sequence }.id(&self.config.gateway)
        };
        // The ids say which drop this is, should a crash before it is done make it be told twice.
        let ids = headers.first().zip(headers.last()).map(|(first, last)| [id(first), id(last)]);
        for meters in gaps(headers) {
            let lost = meters.iter().map(|gap| gap.count).sum();
            let meters = if lane == Lane::Readings { meters } else { Vec::new() };
            self.add_event(What::Gap { cause: GapCause::Retention, meters, ids: ids.clone(), lost });
        }
        self.urgent.commit(self.generation)?;
        let generation = self.generation;
        let kept = self.kept(lane);
        kept.counted.dropped += dropped;
        kept.store.give_up_oldest();
        kept.commit(generation)
    }

    fn note_pressure(&mut self) {
        let (used, most) = (self.readings.store.disk_bytes(), self.readings.disk_bytes_max);
        let high = used.saturating_mul(100) >= most.saturating_mul(limits::PRESSURE_PERCENT);
        if high && !self.under_pressure {
            let detail = format!("readings take {used} of {most} bytes");
            tracing::warn!(detail, "outbox under pressure");
            self.add_event(What::OutboxPressure { detail });
        }
        self.under_pressure = high;
    }

    /// Turns what was found damaged or missing into events and counts.
    fn report(&mut self, lane: Lane, findings: Findings) -> Result<(), StoreError> {
        if findings.damaged.is_empty() && findings.missing.is_empty() {
            return Ok(());
        }
        for damage in findings.damaged {
            self.add_event(What::OutboxDamaged {
                detail: damage.detail,
                salvaged: damage.salvaged,
                lost: damage.lost,
            });
        }
        for Missing { generation, from, to } in findings.missing {
            let lost = to - from + 1;
            let id = |sequence| RecordName { generation, lane, sequence }.id(&self.config.gateway);
            let ids = [id(from), id(to)];
            tracing::error!(%lane, lost, first = %ids[0], last = %ids[1], "records lost to damage");
            self.kept(lane).counted.lost += lost;
            self.add_event(What::Gap { cause: GapCause::Damage, meters: Vec::new(), ids: Some(ids), lost });
        }
        self.urgent.commit(self.generation)
    }

    /// Takes an event of the outbox's own into the next commit of the urgent lane.
    fn add_event(&mut self, what: What) {
        let Encoded { class, at, meter, bytes, .. } =
            Encoded::from(&Record::Event(Event { at: clock::wall(), what }));
        self.urgent.store.add(class, at, &meter, &bytes);
        self.urgent.since.get_or_insert_with(clock::now);
    }

    fn stats(&mut self) -> Result<Stats, StoreError> {
        let [urgent, readings] = Lane::ALL.map(|lane| {
            let mut findings = Findings::default();
            let stats = self.kept(lane).stats(&mut findings)?;
            self.report(lane, findings)?;
            Ok::<_, StoreError>(stats)
        });
        let (urgent, readings) = (urgent?, readings?);
        let quarantined = fs::read_dir(self.config.directory.join("quarantine")).map_or(0, Iterator::count);
        Ok(Stats {
            generation: self.generation.to_string(),
            urgent,
            readings,
            refused: self.refused.waiting(),
            quarantined_segments: u64::try_from(quarantined).unwrap_or(u64::MAX),
        })
    }

    fn kept(&mut self, lane: Lane) -> &mut Kept {
        match lane {
            Lane::Urgent => &mut self.urgent,
            Lane::Readings => &mut self.readings,
        }
    }

    fn close(self) -> Result<(), StoreError> {
        let Self { mut urgent, mut readings, refused, generation, .. } = self;
        for kept in [&mut urgent, &mut readings] {
            kept.commit(generation)?;
        }
        [urgent.store, readings.store, refused].into_iter().try_for_each(SegmentedLane::close)
    }
}

impl Kept {
    fn new(lane: Lane, store: SegmentedLane, disk_bytes_max: u64) -> (Self, watch::Receiver<u64>) {
        let (durable, receiver) = watch::channel(store.durable());
        let counted = LaneStats::default();
        let (receipts, since, cursor_moved) = (Vec::new(), None, None);
        (
            Self {
                lane,
                store,
                disk_bytes_max,
                full: false,
                receipts,
                since,
                cursor_moved,
                durable,
                counted,
            },
            receiver,
        )
    }

    fn is_full(&self) -> bool {
        self.receipts.len() >= limits::COMMIT_RECORDS_MAX
            || self.store.pending_bytes() >= limits::COMMIT_BYTES_MAX
    }

    fn acknowledge(&mut self, up_to: u64) {
        let before = self.store.cursor();
        self.store.acknowledge(up_to);
        self.counted.acknowledged += self.store.cursor() - before;
        if self.store.cursor_is_unflushed() {
            self.cursor_moved.get_or_insert_with(clock::now);
        }
    }

    /// Whether the cursor should be flushed although no append does it: it frees a segment, or has waited long enough.
    fn cursor_is_due(&self) -> bool {
        let waited = self.cursor_moved.map(|since| clock::now().since(since));
        self.store.has_drained_segment() || waited.is_some_and(|waited| waited >= limits::CURSOR_FLUSH_AFTER)
    }

    fn commit(&mut self, generation: Generation) -> Result<(), StoreError> {
        let before = self.store.durable();
        if let Err(error) = self.store.commit() {
            for (_, receipt) in self.receipts.drain(..) {
                let _ = receipt.send(Err(AppendError::Store(error.to_string())));
            }
            return Err(error);
        }
        (self.since, self.cursor_moved) = (None, None);
        let durable = self.store.durable();
        if durable > before {
            // The one line that says which records count: whoever tests the promise reads it here.
            tracing::debug!(lane = %self.lane, %generation, first = before + 1, last = durable, "flushed");
            self.counted.stored += durable - before;
            self.counted.commits += 1;
            for (sequence, receipt) in self.receipts.drain(..) {
                let _ = receipt.send(Ok(RecordName { generation, lane: self.lane, sequence }));
            }
            self.durable.send_replace(durable);
        }
        self.store.drop_drained()
    }

    fn stats(&mut self, findings: &mut Findings) -> Result<LaneStats, StoreError> {
        let oldest = self.store.read(0, 1, usize::MAX, findings)?;
        Ok(LaneStats {
            waiting: self.store.waiting(),
            oldest_waiting_at: oldest.first().map(|read| read.header.at),
            last_sequence: self.store.durable(),
            acknowledged_sequence: self.store.cursor(),
            segments: self.store.segments(),
            disk_bytes: self.store.disk_bytes(),
            disk_bytes_max: self.disk_bytes_max,
            ..self.counted.clone()
        })
    }
}
