//! The one task that owns a line: its port, its queue, and what is known of its meters.
//!
//! A turn takes in what was asked for, looks at receipts, lets polls fall due, opens the port if it is down, and then
//! makes one visit or one poll, or waits at most [`LINE_TURN`]. The order is: a visit that is to be made at once; a patient
//! one, unless the last one still owes a poll its turn; a read that was asked for; a job; a poll that is due. The waiting
//! for bytes is in `exchange`, the rules are in the pure `queue`, `health` and `budget`; what a poll's end means is decided
//! in `poll`.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Semaphore, mpsc, watch};
use weir_meter::selection::Selection;
use weir_meter::{Driver, Fault};
use weir_wire::stored::{Record, What};

use super::budget::Budget;
use super::config::{self, Config};
use super::delivery::{Delivery, beating};
use super::exchange::{Manner, Wire};
use super::handle::{Handle, ReadError, ReadRequest};
use super::health::{Health, Identity};
use super::job::{JobError, JobRequest};
use super::queue::Queue;
use super::register::Registers;
use super::schedule::Schedule;
use super::status::{LineStatus, MeterStatus};
use super::trace::Tap;
use super::visit::{VisitError, VisitRequest, Waiters};
use crate::clock::{self, Moment};
use crate::event;
use crate::limits::{
    LINE_REQUESTS_MAX, LINE_TURN, LINE_VISITS_MAX, LINE_WATCHERS_MAX, REOPEN_WAIT_MAX, REOPEN_WAIT_MIN,
};
use crate::outbox::Outbox;
use crate::pulse::Pulse;

/// Starts a line on the current runtime. Its port is opened by its task: one that cannot be opened is a line that is
/// down, and is tried again.
pub fn start(config: Config, outbox: Outbox) -> Handle {
    let pulse = Pulse::new(format!("line {}", config.name));
    // Places for the reads and visits that may wait, and for a job.
    let (requests, incoming) = mpsc::channel(LINE_REQUESTS_MAX + LINE_VISITS_MAX + 1);
    let (stop, stopping) = watch::channel(false);
    let (publisher, status) = watch::channel(first_status(&config));
    let meters = config.meters.iter().enumerate().map(|(index, meter)| (meter.id.clone(), index)).collect();
    let task =
        Task::new(config, Delivery::new(outbox, pulse.clone()), pulse.clone(), incoming, stopping, publisher);
    let handle = Handle {
        meters: Arc::<HashMap<_, _>>::new(meters),
        requests,
        permits: Arc::new(Semaphore::new(LINE_REQUESTS_MAX)),
        job_permits: Arc::new(Semaphore::new(1)),
        watch_permits: Arc::new(Semaphore::new(LINE_WATCHERS_MAX)),
        visit_permits: Arc::new(Semaphore::new(LINE_VISITS_MAX)),
        waiters: task.waiters.clone(),
        tap: task.tap.clone(),
        status,
        started: clock::now(),
        stop: Arc::new(stop),
        pulse,
    };
    tokio::spawn(task.run());
    handle
}

pub(super) fn first_status(config: &Config) -> LineStatus {
    let meter = |meter: &config::Meter| MeterStatus { id: meter.id.clone(), ..MeterStatus::default() };
    LineStatus {
        name: config.name.clone(),
        port: config.port.to_string(),
        up: false,
        down_reason: None,
        paused_reason: None,
        lent_to: None,
        readings_lost: 0,
        running_ms: 0,
        busy_ms: 0,
        wire_ms: 0,
        meters: config.meters.iter().map(meter).collect(),
    }
}

/// A meter as the task knows it.
pub(super) struct Station {
    pub(super) driver: Box<dyn Driver>,
    pub(super) manner: Manner,
    pub(super) health: Health,
    pub(super) identity: Identity,
    pub(super) selection: Option<Arc<Selection>>,
    pub(super) registers: Registers,
    pub(super) budget: Option<Budget>,
    pub(super) status: MeterStatus,
}

pub(super) struct Task {
    pub(super) name: String,
    pub(super) port: config::Port,
    rs485: Option<(config::Rs485, bool)>,
    pub(super) keep_raw: bool,
    pub(super) echo: bool,
    pub(super) adapter_allowance: Duration,
    pub(super) stations: Vec<Station>,
    pub(super) queue: Queue<ReadRequest>,
    pub(super) connection: Connection,
    pub(super) delivery: Delivery,
    pub(super) stopping: watch::Receiver<bool>,
    pub(super) busy: Duration,
    pub(super) wire_time: Duration,
    pub(super) incoming: mpsc::Receiver<Request>,
    publisher: watch::Sender<LineStatus>,
    pub(super) pulse: Pulse,
    tap: Tap,
    /// Waits for its turn. There is one at a time.
    job: Option<JobRequest>,
    /// Wait for their turn, in the order in which they came.
    pub(super) visits: VecDeque<VisitRequest>,
    /// A patient visit has been made, and no poll since: one that is due goes first before the next.
    pub(super) owes_poll: bool,
    pub(super) waiters: Waiters,
}

/// What other rooms want of a line.
pub(super) enum Request {
    Read(ReadRequest),
    Run(JobRequest),
    Visit(VisitRequest),
}

/// The port, or the wait for it.
pub(super) enum Connection {
    Up {
        wire: Box<Wire>,
        since: Moment,
    },
    Down {
        /// Absent before the first try.
        why: Option<String>,
        open_at: Moment,
        wait: Duration,
    },
    /// A job has it.
    Lent {
        /// What for.
        to: String,
    },
}

impl Connection {
    pub(super) fn lent_to(&self) -> Option<&str> {
        match self {
            Self::Lent { to } => Some(to),
            Self::Up { .. } | Self::Down { .. } => None,
        }
    }
}

impl Task {
    pub(super) fn new(
        config: Config,
        delivery: Delivery,
        pulse: Pulse,
        incoming: mpsc::Receiver<Request>,
        stopping: watch::Receiver<bool>,
        publisher: watch::Sender<LineStatus>,
    ) -> Self {
        let zone = config.time_zone;
        let schedules =
            config.meters.iter().map(|meter| Schedule::new(meter.every, meter.offset, zone.clone()));
        let queue = Queue::new(schedules, clock::wall());
        let station = |meter: config::Meter| Station {
            manner: Manner::new(&meter, config.adapter_allowance, config.echo, config.repeats),
            driver: meter.driver,
            health: Health::new(meter.every),
            identity: Identity::new(meter.expected_number),
            selection: meter.selection,
            registers: Registers::new(meter.register_digits),
            budget: meter.reads_per_day_max.map(|max| Budget::new(max, zone.clone())),
            status: MeterStatus { id: meter.id, ..MeterStatus::default() },
        };
        Self {
            name: config.name,
            port: config.port,
            rs485: config.rs485.map(|rs485| (rs485, config.echo)),
            keep_raw: config.keep_raw,
            echo: config.echo,
            adapter_allowance: config.adapter_allowance,
            stations: config.meters.into_iter().map(station).collect(),
            queue,
            connection: Connection::Down { why: None, open_at: clock::now(), wait: REOPEN_WAIT_MIN },
            delivery,
            stopping,
            busy: Duration::ZERO,
            wire_time: Duration::ZERO,
            incoming,
            publisher,
            pulse,
            tap: Tap::new(),
            job: None,
            visits: VecDeque::new(),
            owes_poll: false,
            waiters: Waiters::default(),
        }
    }

    async fn run(mut self) {
        while !*self.stopping.borrow() {
            self.pulse.beat();
            self.take_requests();
            self.delivery.turn().await;
            let (wall, now) = (clock::wall(), clock::now());
            self.queue.refresh(wall, now);
            self.open_if_due(now).await;
            self.publish(wall, now);
            if matches!(self.connection, Connection::Down { .. }) {
                self.refuse_requests();
                self.idle(self.opens_at().min(now + LINE_TURN)).await;
                continue;
            }
            if let Some(visit) = self.next_visit(now) {
                self.visit(visit).await;
                continue;
            }
            let is_paused = self.delivery.paused().is_some();
            let asked = self.queue.pick_asked(now);
            if asked.is_none()
                && let Some(job) = self.job.take()
            {
                self.lend(job).await;
                continue;
            }
            match asked.or_else(|| if is_paused { None } else { self.queue.pick_due(now) }) {
                Some(pick) => self.poll(pick).await,
                // None is due: the next patient visit has its turn.
                None if std::mem::take(&mut self.owes_poll) => {}
                None if is_paused => self.idle(now + LINE_TURN).await,
                None => {
                    let latest = self.next_visit_at().map_or(now + LINE_TURN, |at| at.min(now + LINE_TURN));
                    self.idle(self.queue.idle_until(wall, now, latest)).await;
                }
            }
        }
        self.publish(clock::wall(), clock::now());
        self.delivery.close().await;
        tracing::info!(line = self.name, "line stopped");
    }

    fn take_requests(&mut self) {
        while let Ok(request) = self.incoming.try_recv() {
            self.take(request);
        }
    }

    fn take(&mut self, request: Request) {
        match request {
            Request::Read(request) => self.queue.ask(request.meter, request),
            Request::Run(request) => self.job = Some(request),
            Request::Visit(request) => self.visits.push_back(request),
        }
    }

    pub(super) fn why_down(&self) -> String {
        match &self.connection {
            Connection::Down { why: Some(why), .. } => why.clone(),
            _ => "port not open yet".into(),
        }
    }

    /// What was asked for is not kept waiting for a port that may be gone for long.
    fn refuse_requests(&mut self) {
        let why = self.why_down();
        self.refuse_visits(&VisitError::LineDown { why: why.clone() });
        if let Some(mut request) = self.job.take() {
            request.job.fail(JobError::LineDown { why: why.clone() });
        }
        for request in self.queue.take_asked() {
            request.answer(Err(ReadError::Fault(Fault::LineDown { why: why.clone() })));
        }
    }

    fn opens_at(&self) -> Moment {
        match &self.connection {
            Connection::Up { since, .. } => *since,
            Connection::Down { open_at, .. } => *open_at,
            Connection::Lent { .. } => clock::now(),
        }
    }

    async fn open_if_due(&mut self, now: Moment) {
        let Connection::Down { why, open_at, wait } = &self.connection else { return };
        if *open_at > now {
            return;
        }
        let (was_reported, wait) = (why.is_some(), *wait);
        match beating(&self.pulse, Wire::open(&self.port, self.rs485, self.pulse.clone())).await {
            Ok(mut wire) => {
                wire.tap = Some(self.tap.clone());
                tracing::info!(line = self.name, port = %self.port, "line up");
                self.connection = Connection::Up { wire: Box::new(wire), since: clock::now() };
                if was_reported {
                    self.report(What::LineUp { line: self.name.clone() }).await;
                }
            }
            Err(error) => {
                let why = error.to_string();
                self.connection = Connection::Down {
                    why: Some(why.clone()),
                    open_at: clock::now() + wait,
                    wait: (wait * 2).min(REOPEN_WAIT_MAX),
                };
                if !was_reported {
                    tracing::warn!(line = self.name, port = %self.port, why, "line down");
                    self.report(What::LineDown { line: self.name.clone(), detail: why }).await;
                }
            }
        }
    }

    /// The port has gone: it is closed, and opened again after a wait. A port that goes as soon as it has come is not
    /// opened at the pace at which it fails.
    pub(super) async fn go_down(&mut self, why: String) {
        let Connection::Up { since, .. } = &self.connection else { return };
        let now = clock::now();
        let was_stable = now.since(*since) >= REOPEN_WAIT_MAX;
        let wait = if was_stable { REOPEN_WAIT_MIN } else { REOPEN_WAIT_MAX / 4 };
        self.connection = Connection::Down {
            why: Some(why.clone()),
            open_at: now + wait,
            wait: (wait * 2).min(REOPEN_WAIT_MAX),
        };
        tracing::warn!(line = self.name, port = %self.port, why, "line down");
        self.report(What::LineDown { line: self.name.clone(), detail: why }).await;
    }

    /// Waits for a request, the stop, trouble on the port, or this moment.
    async fn idle(&mut self, until: Moment) {
        let wait = tokio::time::sleep(until.since(clock::now()));
        let trouble = async {
            match &mut self.connection {
                Connection::Up { wire, .. } => wire.idle().await,
                Connection::Down { .. } | Connection::Lent { .. } => std::future::pending().await,
            }
        };
        let (mut fault, mut request) = (None, None);
        tokio::select! {
            biased;
            Ok(_) = self.stopping.wait_for(|stop| *stop) => {}
            Some(asked) = self.incoming.recv() => request = Some(asked),
            trouble = trouble => fault = Some(trouble),
            () = wait => {}
        }
        if let Some(request) = request {
            self.take(request);
        }
        if let Some(Fault::LineDown { why }) = fault {
            self.go_down(why).await;
        }
    }

    /// Puts an event into the outbox.
    pub(super) async fn report(&mut self, what: What) {
        self.delivery.send(Record::Event(event::now(what))).await;
    }

    pub(super) fn publish(&mut self, wall: Timestamp, now: Moment) {
        for (index, station) in self.stations.iter_mut().enumerate() {
            station.status.state = station.health.state();
            station.status.next_due = self.queue.next_due(index, wall, now);
            station.status.counters.missed_slots = self.queue.missed(index);
        }
        self.publisher.send_modify(|status| {
            (status.up, status.down_reason) = match &self.connection {
                Connection::Up { .. } | Connection::Lent { .. } => (true, None),
                Connection::Down { why, .. } => (false, why.clone()),
            };
            status.paused_reason = self.delivery.paused().map(ToString::to_string);
            status.lent_to = self.connection.lent_to().map(str::to_owned);
            status.readings_lost = self.delivery.readings_lost();
            status.busy_ms = u64::try_from(self.busy.as_millis()).unwrap_or(u64::MAX);
            status.wire_ms = u64::try_from(self.wire_time.as_millis()).unwrap_or(u64::MAX);
            for (published, station) in status.meters.iter_mut().zip(&self.stations) {
                published.clone_from(&station.status);
            }
        });
    }
}
