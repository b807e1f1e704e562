//! What other rooms hold of a line: read a meter now, run a job, watch what passes, look at the figures, stop.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use weir_meter::Fault;
use weir_wire::stored::Reading;

use super::exchange::Exchanged;
use super::job::{Job, JobError, JobRequest, Returning};
use super::status::LineStatus;
use super::task::Request;
use super::trace::{Tap, Watching};
use super::visit::{
    MakeRoom, Returning as VisitReturning, Urgency, Visit, VisitError, VisitRequest, Waiters, Work,
};
use crate::clock::{self, Moment};
use crate::limits::{LINE_REQUESTS_MAX, LINE_STOP_MAX};
use crate::pulse::Pulse;

/// A line that runs. Cheap to clone. The line runs on when all handles are gone, until the runtime ends.
#[derive(Clone, Debug)]
pub struct Handle {
    pub(super) meters: Arc<HashMap<String, usize>>,
    pub(super) requests: mpsc::Sender<Request>,
    pub(super) permits: Arc<Semaphore>,
    pub(super) job_permits: Arc<Semaphore>,
    pub(super) watch_permits: Arc<Semaphore>,
    pub(super) visit_permits: Arc<Semaphore>,
    pub(super) waiters: Waiters,
    pub(super) tap: Tap,
    pub(super) status: watch::Receiver<LineStatus>,
    pub(super) started: Moment,
    pub(super) stop: Arc<watch::Sender<bool>>,
    pub(super) pulse: Pulse,
}

/// Why a read that was asked for gave nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The meter is not on this line.
    #[error("no meter {meter:?} on line {line:?}")]
    UnknownMeter {
        /// The id that was asked for.
        meter: String,
        /// The line's name.
        line: String,
    },
    /// [`LINE_REQUESTS_MAX`] reads already wait.
    #[error("line is busy: {LINE_REQUESTS_MAX} reads are already waiting")]
    Busy,
    /// The meter's battery allows no more reads today.
    #[error("daily read budget of the meter is spent until local midnight")]
    BudgetSpent,
    /// Somebody else has the line for a while.
    #[error("line is lent: {to}")]
    Lent {
        /// What for.
        to: String,
    },
    /// The line is stopping, or has stopped.
    #[error("line has stopped")]
    Stopped,
    /// The read was made and failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// A read on its way to the line's task. Its permit is held until it is answered, which bounds how many there are.
#[derive(Debug)]
pub(super) struct ReadRequest {
    pub(super) meter: usize,
    /// What has passed for it so far.
    pub(super) passed: Vec<Exchanged>,
    pub(super) reply: oneshot::Sender<Asked>,
    pub(super) urgency: Urgency,
    pub(super) _permit: OwnedSemaphorePermit,
}

/// What came of a read that was asked for, and what passed on the line for it.
pub(super) type Asked = (Result<Reading, ReadError>, Vec<Exchanged>);

impl ReadRequest {
    /// Answers it. Whoever asked may have gone.
    pub(super) fn answer(self, result: Result<Reading, ReadError>) {
        let _ = self.reply.send((result, self.passed));
    }
}

/// What a line is lent to that is not yet.
fn soon() -> String {
    "another job, which is about to begin".to_owned()
}

impl Handle {
    /// The line's name.
    pub fn name(&self) -> String {
        self.status.borrow().name.clone()
    }

    /// Whether this meter is on the line.
    pub fn has(&self, meter: &str) -> bool {
        self.meters.contains_key(meter)
    }

    /// Reads a meter now: ahead of every poll that has not begun, with all repeats, also while the meter is backed off
    /// from. The reading goes into the outbox like any other, without a scheduled time.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn read(&self, meter: &str) -> Result<Reading, ReadError> {
        let meter = self.place(meter)?;
        let permit = Arc::clone(&self.permits).try_acquire_owned().map_err(|_| ReadError::Busy)?;
        let (reply, answer) = oneshot::channel();
        let urgency = Urgency::AtOnce;
        let request = ReadRequest { meter, passed: Vec::new(), reply, urgency, _permit: permit };
        self.requests.send(Request::Read(request)).await.map_err(|_| ReadError::Stopped)?;
        answer.await.map_err(|_| ReadError::Stopped)?.0
    }

    /// As [`Handle::read`], for a command: at once, a poll under way makes room for it between two of its exchanges; patiently,
    /// it has the turn of a patient visit. What passed on the line for it comes with what came of it.
    pub async fn read_now(
        &self,
        meter: &str,
        urgency: Urgency,
    ) -> (Result<Reading, ReadError>, Vec<Exchanged>) {
        let read = async {
            let (meter, permit) = self.admit(meter)?;
            let (reply, answer) = oneshot::channel();
            let request = ReadRequest { meter, passed: Vec::new(), reply, urgency, _permit: permit };
            let request = match urgency {
                Urgency::AtOnce => Request::Read(request),
                Urgency::Patient => {
                    let work = Work::Read(request);
                    Request::Visit(VisitRequest { meter, work, urgency, waiting: None })
                }
            };
            self.requests.send(request).await.map_err(|_| VisitError::Stopped)?;
            answer.await.map_err(|_| VisitError::Stopped)
        };
        let asked = match urgency {
            // In this order: when room has been made, the read is there.
            Urgency::AtOnce => tokio::join!(read, self.visit(meter, MakeRoom, urgency)).0,
            Urgency::Patient => read.await,
        };
        asked.unwrap_or_else(|error| (Err(error.into()), Vec::new()))
    }

    /// Runs a job on the line in place of its polls, as soon as the poll under way and the reads that wait are done.
    /// Dropping this ends the job.
    ///
    /// # Errors
    /// See [`JobError`].
    pub async fn run<J: Job>(&self, job: J) -> Result<J::Output, JobError> {
        let lent = || JobError::Lent { to: self.status.borrow().lent_to.clone().unwrap_or_else(soon) };
        let permit = Arc::clone(&self.job_permits).try_acquire_owned().map_err(|_| lent())?;
        let (reply, answer) = oneshot::channel();
        let (_asking, asker) = oneshot::channel();
        let job = Box::new(Returning { job, reply: Some(reply) });
        let request = Request::Run(JobRequest { job, asker, _permit: permit });
        self.requests.send(request).await.map_err(|_| JobError::Stopped)?;
        answer.await.unwrap_or(Err(JobError::Stopped))
    }

    /// Visits a meter.
    ///
    /// # Errors
    /// See [`VisitError`].
    pub async fn visit<V: Visit>(
        &self,
        meter: &str,
        visit: V,
        urgency: Urgency,
    ) -> Result<V::Output, VisitError> {
        let (meter, permit) = self.admit(meter)?;
        let (reply, answer) = oneshot::channel();
        let visit = Box::new(VisitReturning { visit, reply: Some(reply) });
        let waiting = (urgency == Urgency::AtOnce).then(|| self.waiters.wait());
        let request = VisitRequest { meter, work: Work::Visit(visit, permit), urgency, waiting };
        self.requests.send(Request::Visit(request)).await.map_err(|_| VisitError::Stopped)?;
        answer.await.unwrap_or(Err(VisitError::Stopped))
    }

    /// The meter's place in the configuration.
    fn place(&self, meter: &str) -> Result<usize, VisitError> {
        let unknown = || VisitError::UnknownMeter { meter: meter.to_owned(), line: self.name() };
        self.meters.get(meter).copied().ok_or_else(unknown)
    }

    fn admit(&self, meter: &str) -> Result<(usize, OwnedSemaphorePermit), VisitError> {
        let permit = Arc::clone(&self.visit_permits).try_acquire_owned().map_err(|_| VisitError::Busy);
        Ok((self.place(meter)?, permit?))
    }

    /// Watches what passes on the line; `None` when [`LINE_WATCHERS_MAX`](crate::limits::LINE_WATCHERS_MAX) do so already.
    pub fn watch(&self) -> Option<Watching> {
        let permit = Arc::clone(&self.watch_permits).try_acquire_owned().ok()?;
        Some(self.tap.watch(self.status.clone(), permit))
    }

    /// The figures as they are now.
    pub fn status(&self) -> LineStatus {
        let mut status = self.status.borrow().clone();
        let running = clock::now().since(self.started);
        status.running_ms = u64::try_from(running.as_millis()).unwrap_or(u64::MAX);
        status
    }

    /// Waits until the figures change. Returns at once when the line has stopped.
    pub async fn changed(&mut self) {
        let _ = self.status.changed().await;
    }

    /// The pulse of the line's task, for the watchdog.
    pub fn pulse(&self) -> Pulse {
        self.pulse.clone()
    }

    /// Stops the line: the poll under way is finished without further repeats, within [`LINE_STOP_MAX`]. Returns when
    /// its readings have been handed to the outbox and the port is closed.
    pub async fn stop(&self) {
        let _ = self.stop.send(true);
        let mut status = self.status.clone();
        let ended = async { while status.changed().await.is_ok() {} };
        // The task keeps to its bound by itself; this one only keeps a stop from hanging if it does not.
        if tokio::time::timeout(LINE_STOP_MAX + Duration::from_secs(3), ended).await.is_err() {
            tracing::error!(line = self.name(), "line did not stop in time");
        }
    }
}
