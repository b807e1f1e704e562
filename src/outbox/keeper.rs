//! The keeper: the one thread that touches the store.
//!
//! sled blocks and may panic, so it gets a thread of its own with a queue in front of it. The keeper gathers appends into
//! group commits, answers reads with what is durable, moves cursors, and keeps the lanes within their quotas. When the
//! store fails twice in a row the keeper stops and says so; the daemon then leaves with exit code 75 and starts anew,
//! because a panic in one of sled's background threads may have poisoned the process.

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, mpsc as std_mpsc};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use tokio::sync::{mpsc, oneshot, watch};
use weir_wire::stored::{Record, What};
use weir_wire::{GapCause, Raw};

use super::Config;
use super::device;
use super::frame::Class;
use super::full_disk;
use super::handle::{AppendError, Encoded, Outbox, Previous, Request, Stats, Stored};
use super::kept::Kept;
use super::lane::{Damage, Read, SegmentedLane};
use super::scanned::Missing;
use super::store::sled_files::SledFiles;
use super::store::{Store, StoreError};
use crate::clock::{self, Moment};
use crate::event;
use crate::id::{Generation, Lane, RecordName};
use crate::limits;
use crate::pulse::{Looks, Pulse};

/// An open outbox.
#[derive(Debug)]
pub struct Opened {
    /// The handle for the other rooms.
    pub outbox: Outbox,
    /// This start's generation.
    pub generation: Generation,
    /// The start before; `None` in a new outbox.
    pub previous: Option<Previous>,
    /// Resolves with the reason when the store has failed for good, and with an error when the thread has ended otherwise: in
    /// good order, or by a panic. Unless it was asked to close, the daemon must then be started anew.
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
    /// The store does not come back from opening; its thread still waits in it, and only a fresh process can try again.
    #[error("{0}: opening does not come to an end")]
    Stuck(PathBuf),
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
/// When another process has it, its directory cannot be used, or the store does not answer.
pub fn open(config: Config, pulse: Pulse) -> Result<Opened, OpenError> {
    open_on(SledFiles, config, pulse)
}

/// [`open`] on this store.
pub(super) fn open_on<S: Store + Clone + Send + 'static>(
    store: S,
    config: Config,
    pulse: Pulse,
) -> Result<Opened, OpenError> {
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
        |error: &dyn std::fmt::Display| OpenError::Store { path: path.clone(), why: error.to_string() };
    let mut looks = Looks::at(pulse.clone());
    let run = move || {
        let mut keeper = match Keeper::open(config, store, generation, pulse) {
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
    // Opening beats the pulse after each lane.
    let opened = loop {
        match opened.recv_timeout(limits::WATCHER_TURN) {
            Err(RecvTimeoutError::Timeout) if looks.look() >= limits::WATCHER_LOOKS_MAX => {
                return Err(OpenError::Stuck(path));
            }
            Err(RecvTimeoutError::Timeout) => {}
            opened => break opened,
        }
    };
    match opened {
        Ok(Ok((durable, previous))) => {
            let outbox = Outbox { requests: sender, durable: Arc::new(durable) };
            Ok(Opened { outbox, generation, previous, failed })
        }
        Ok(Err(why)) => Err(store_error(&why)),
        Err(_) => Err(store_error(&"its thread ended")),
    }
}

pub(super) struct Keeper<S: Store> {
    pub(super) config: Config,
    pub(super) store: S,
    pub(super) generation: Generation,
    pub(super) pulse: Pulse,
    pub(super) urgent: Kept<S>,
    pub(super) readings: Kept<S>,
    /// What the broker refused for good. Never sent.
    pub(super) refused: SegmentedLane<S>,
    /// The record that is on its way into that lane, while a full disk keeps it from getting there.
    setting_aside: Option<RecordName>,
    pub(super) under_pressure: bool,
    opened: Moment,
    /// What the device had written by then.
    device_written_before: Option<u64>,
    pub(super) has_reserve: bool,
    /// When the disk was last found full.
    pub(super) found_full: Option<Moment>,
    /// [`limits::OUTBOX_TICK`], but in tests that live through weeks.
    tick: Duration,
}

impl<S: Store + Clone> Keeper<S> {
    #[expect(clippy::type_complexity, reason = "used once, by the function above")]
    pub(super) fn open(
        config: Config,
        store: S,
        generation: Generation,
        pulse: Pulse,
    ) -> Result<(Self, [watch::Receiver<u64>; 2], Option<Previous>), StoreError> {
        let quarantine = config.directory.join("quarantine");
        let mut damage = Vec::new();
        let has_reserve = full_disk::prepare(&store, &config)?;
        let mut open = |name: &str| {
            let directory = config.directory.join(name);
            let (lane, found) = SegmentedLane::open(
                &store,
                &directory,
                &quarantine,
                generation,
                config.segment_payload_bytes,
            )?;
            damage.push(found);
            pulse.beat();
            Ok::<_, StoreError>(lane)
        };
        let (urgent, readings, refused) = (open("urgent")?, open("readings")?, open("refused")?);
        // The lanes' own entries, and the outbox's.
        store.sync_directory(&config.directory)?;
        config.directory.parent().map_or(Ok(()), |parent| store.sync_directory(parent))?;
        let (of_readings, of_urgent) = (readings.previous(), urgent.previous());
        // Every start writes an event, so the urgent lane knows the last generation best.
        let previous = of_urgent.or(of_readings).map(|(generation, _)| Previous {
            generation,
            last: [of_readings, of_urgent].map(|lane| lane.map_or(0, |(_, sequence)| sequence)),
        });
        let (urgent, urgent_durable) = Kept::new(Lane::Urgent, urgent, config.urgent_bytes_max);
        let (readings, readings_durable) = Kept::new(Lane::Readings, readings, config.readings_bytes_max);
        let (opened, device_written_before) = (clock::now(), device::written_bytes(&config.directory));
        let mut keeper = Self {
            config,
            store,
            generation,
            pulse,
            urgent,
            readings,
            refused,
            setting_aside: None,
            under_pressure: false,
            opened,
            device_written_before,
            has_reserve,
            found_full: None,
            tick: limits::OUTBOX_TICK,
        };
        for (lane, damage) in [Some(Lane::Urgent), Some(Lane::Readings), None].into_iter().zip(damage) {
            let told = keeper.report(lane, damage);
            keeper.bear(told)?;
        }
        Ok((keeper, [urgent_durable, readings_durable], previous))
    }

    /// Serves requests until somebody asks to close, who is returned to be answered, or every handle is gone.
    pub(super) async fn serve(
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
                let handled = self.handle(request);
                self.bear(handled)?;
                if self.is_batch_full() || takes_time && self.until_due().is_zero() {
                    break;
                }
                next = requests.try_recv().ok();
            }
            self.pulse.beat();
            let committed = self.commit_due();
            self.bear(committed)?;
        }
    }

    pub(super) fn handle(&mut self, request: Request) -> Result<(), StoreError> {
        match request {
            Request::Append { record, receipt } => self.append(record, receipt),
            Request::Read { lane, after, records_max, bytes_max, reply } => {
                let records = self.read(lane, after, records_max, bytes_max)?;
                let _ = reply.send(records);
            }
            Request::Acknowledge { lane, up_to } => {
                self.kept(lane).acknowledge(up_to);
                if self.kept(lane).full && self.kept(lane).store.drained_segments() > 0 {
                    self.commit(lane)?;
                }
            }
            Request::SetAside { lane, sequence, why, reply } => {
                let set_aside = self.set_aside(lane, sequence, why);
                let is_kept = set_aside.is_ok();
                self.bear(set_aside)?;
                let _ = reply.send(is_kept);
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
        // Events and outcomes find room in a segment that is already full: they are few, and they tell of the trouble.
        let refusal =
            if kept.full && (lane == Lane::Readings || kept.store.is_overfull(class) || kept.is_full()) {
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
        let mut damage = Vec::new();
        let read = self.kept(lane).store.read(after, records_max, bytes_max, &mut damage);
        let told = self.report(Some(lane), damage);
        self.bear(told)?;
        let stored = |Read { generation, sequence, payload, .. }| Stored {
            name: RecordName { generation, lane, sequence },
            bytes: payload,
        };
        Ok(read?.into_iter().map(stored).collect())
    }

    /// Keeps a refused record in the lane of refused ones, durably, and only then moves the cursor past it.
    fn set_aside(&mut self, lane: Lane, sequence: u64, why: String) -> Result<(), StoreError> {
        let Some(stored) = self.read(lane, sequence.saturating_sub(1), 1, usize::MAX)?.pop() else {
            return Ok(());
        };
        if stored.name.sequence != sequence {
            return Ok(());
        }
        let decoded = Record::decode(&stored.bytes).ok();
        let name = stored.name.id(&self.config.gateway);
        let record = match &decoded {
            Some(decoded) => decoded.id(name, &self.config.gateway),
            None => name,
        };
        // A try that found the disk full has left it, and its event, in the commits to come.
        if self.setting_aside.as_ref() != Some(&stored.name) {
            self.commit_refused()?;
            self.make_room_for_refused()?;
            let stored_form = Raw(stored.bytes.to_vec()).to_string();
            let kept = serde_json::json!({ "id": record, "why": why, "stored": stored_form });
            self.refused.add(Class::Refused, clock::wall(), "", kept.to_string().as_bytes());
            // An event about a refused event might be refused itself, and so on without an end.
            if lane == Lane::Readings || matches!(decoded, Some(Record::Outcome(_))) {
                let meter = decoded.and_then(|record| record.meter().map(ToOwned::to_owned));
                self.add_event(What::RecordRefused { record: record.clone(), meter, detail: why.clone() });
            }
            self.setting_aside = Some(stored.name);
        }
        self.commit_refused()?;
        self.commit(Lane::Urgent)?;
        self.setting_aside = None;
        tracing::error!(%record, why, "a record cannot be delivered, it is set aside");
        self.kept(lane).acknowledge(sequence);
        Ok(())
    }

    fn commit_refused(&mut self) -> Result<(), StoreError> {
        self.with_reserve(|keeper| keeper.refused.commit())
    }

    /// How long nothing needs doing unless a request comes.
    fn until_due(&self) -> Duration {
        let window = |kept: &Kept<S>| {
            kept.since.map(|since| self.config.commit_window.saturating_sub(clock::now().since(since)))
        };
        if self.waits_for_disk() {
            return limits::OUTBOX_TICK;
        }
        let urgent = self.urgent.since.map(|_| Duration::ZERO);
        urgent.or(window(&self.readings)).unwrap_or(self.tick).min(self.tick)
    }

    fn is_batch_full(&self) -> bool {
        self.urgent.is_full() || self.readings.is_full()
    }

    pub(super) fn commit_due(&mut self) -> Result<(), StoreError> {
        if self.waits_for_disk() {
            return Ok(());
        }
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
                self.commit(lane)?;
            }
        }
        self.renew_reserve()
    }

    /// The group commit of one lane, and what follows from it: receipts, drained segments, a new segment.
    pub(super) fn commit(&mut self, lane: Lane) -> Result<(), StoreError> {
        let generation = self.generation;
        self.with_reserve(|keeper| keeper.kept(lane).commit(generation))?;
        self.roll_if_full(lane)
    }

    /// Reports damage of a lane (`None`: that of the refused records, which are not on their way to anywhere), durably, and
    /// then counts it as told.
    pub(super) fn report(&mut self, lane: Option<Lane>, damage: Vec<Damage>) -> Result<(), StoreError> {
        for damage in damage {
            let lost: u64 = damage.missing.iter().map(|missing| missing.lost).sum();
            tracing::error!(detail = damage.detail, damage.salvaged, lost, "outbox damaged");
            self.add_event(What::OutboxDamaged {
                detail: damage.detail.clone(),
                salvaged: damage.salvaged,
                // Where nothing can be read nobody can tell how much there was.
                lost: (lost > 0).then_some(lost),
            });
            for Missing { generation, from, to, lost } in damage.missing.iter().copied() {
                let Some(lane) = lane else { continue };
                let ids = [from, to]
                    .map(|sequence| RecordName { generation, lane, sequence }.id(&self.config.gateway));
                tracing::error!(%lane, lost, first = %ids[0], last = %ids[1], "records lost to damage");
                self.kept(lane).counted.lost += lost;
                self.add_event(What::Gap {
                    cause: GapCause::Damage,
                    meters: Vec::new(),
                    ids: Some(ids),
                    lost,
                });
            }
            self.commit_urgent()?;
            let store = match lane {
                Some(lane) => &mut self.kept(lane).store,
                None => &mut self.refused,
            };
            store.cover(&damage)?;
            store.commit()?;
        }
        Ok(())
    }

    /// Takes an event of the outbox's own into the next commit of the urgent lane.
    pub(super) fn add_event(&mut self, what: What) {
        let Encoded { class, at, meter, bytes, .. } = Encoded::from(&Record::Event(event::now(what)));
        self.urgent.store.add(class, at, &meter, &bytes);
        self.urgent.since.get_or_insert_with(clock::now);
    }

    fn stats(&mut self) -> Result<Stats, StoreError> {
        let [urgent, readings] = Lane::ALL.map(|lane| {
            let mut damage = Vec::new();
            let stats = self.kept(lane).stats(&mut damage)?;
            let told = self.report(Some(lane), damage);
            self.bear(told)?;
            Ok::<_, StoreError>(stats)
        });
        let (urgent, readings) = (urgent?, readings?);
        let quarantined = self.store.names(&self.config.directory.join("quarantine"))?.len();
        let written_now = device::written_bytes(&self.config.directory);
        let written = self.device_written_before.zip(written_now);
        Ok(Stats {
            generation: self.generation.to_string(),
            urgent,
            readings,
            refused: self.refused.waiting(),
            quarantined_segments: u64::try_from(quarantined).unwrap_or(u64::MAX),
            open_s: clock::now().since(self.opened).as_secs(),
            device_written_bytes: written.map(|(before, now)| now.saturating_sub(before)),
        })
    }

    pub(super) fn kept(&mut self, lane: Lane) -> &mut Kept<S> {
        match lane {
            Lane::Urgent => &mut self.urgent,
            Lane::Readings => &mut self.readings,
        }
    }

    pub(super) fn close(self) -> Result<(), StoreError> {
        let Self { mut urgent, mut readings, refused, generation, .. } = self;
        for kept in [&mut urgent, &mut readings] {
            kept.commit(generation)?;
        }
        [urgent.store, readings.store, refused].into_iter().try_for_each(SegmentedLane::close)
    }
}

/// A keeper on a flash in memory, without a thread of its own: the future is its life.
#[cfg(test)]
pub(crate) fn open_in_memory(
    config: Config,
    flash: &super::store::volatile::Volatile,
    generation: u32,
    tick: std::time::Duration,
) -> Result<(Outbox, impl Future<Output = Result<(), String>> + use<>), String> {
    let opened = Keeper::open(config, flash.clone(), Generation(generation), Pulse::new("outbox"));
    let (mut keeper, durable, _) = opened.map_err(|error| error.to_string())?;
    keeper.tick = tick;
    let (sender, requests) = mpsc::channel(limits::OUTBOX_QUEUE_RECORDS);
    let life = async move {
        let served = keeper.serve(requests).await;
        let asked_by = served.map_err(|error| error.to_string())?;
        keeper.close().map_err(|error| error.to_string())?;
        let _ = asked_by.map(|reply| reply.send(()));
        Ok(())
    };
    Ok((Outbox { requests: sender, durable: Arc::new(durable) }, life))
}
