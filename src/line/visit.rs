//! What the command path does at one meter: a visit, in the same turns as the polls.
//!
//! A visit has the meter's own driver and the line for as long as it runs, and nothing else happens on the line
//! meanwhile. It never interrupts what is on the wire, and waits for the meter's late window where that is not over.
//! [`Urgency`] says whom it goes ahead of:
//!
//! - At once: ahead of all. A poll under way makes no further request once such a visit waits, and is made again later.
//!   So it waits for one exchange at most, or for the end of a visit that is under way.
//! - Patient: no poll makes room for it, and after it one poll that is due goes first before the next patient one. Commands
//!   at meters that do not answer are tried again and again for as long as a day, and looks follow a write every few
//!   seconds: however many there are, every other turn is left to the polls.
//!
//! A command that reads is made as any read that is asked for, behind all visits; its later tries wait behind the patient
//! ones.
//!
//! It sees an [`AtMeter`]: reads are repeated as the line's are, an order goes out once. Where an answer may still come late
//! nothing is repeated, as with polls: the late one would pass for the answer to the repeat. The visit ends, and the next
//! one finds the line drained. Every exchange is kept, with its bytes, for whoever must be able to show what was done.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, oneshot, watch};
use weir_meter::{Answer, Course, Driver, Fault, Observed, Order, Unsupported, async_trait};

use super::exchange::{Exchange, Exchanged, Manner, Wire};
use super::handle::{ReadError, ReadRequest};
use super::queue::{Cause, Pick};
use super::task::{Connection, Station, Task};
use crate::clock::{self, Moment};
use crate::limits::LINE_STOP_MAX;

/// Something that is done at one meter.
///
/// [`run`](Self::run) is dropped, wherever it waits, when the line stops and it has not returned after
/// [`LINE_STOP_MAX`](crate::limits::LINE_STOP_MAX). It has to be quick: the line waits for it.
#[async_trait]
pub trait Visit: Send + 'static {
    /// What comes of it.
    type Output: Send + 'static;

    /// Does it.
    async fn run(&mut self, meter: &mut AtMeter<'_>) -> Self::Output;
}

/// Whom a visit goes ahead of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// Of all that is not on the wire: somebody waits for what it does.
    AtOnce,
    /// Of every other poll that is due: it follows an earlier one, and there may be many.
    Patient,
}

/// Why a visit was not made, or not to its end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VisitError {
    /// The meter is not on this line.
    #[error("no meter {meter:?} on line {line:?}")]
    UnknownMeter {
        /// The id that was asked for.
        meter: String,
        /// The line's name.
        line: String,
    },
    /// As many visits as may wait do so.
    #[error("line is busy with other visits")]
    Busy,
    /// Somebody has the line for a while. Nothing was done.
    #[error("line is lent: {to}")]
    Lent {
        /// What for.
        to: String,
    },
    /// The port is not open. Nothing was done.
    #[error("line down: {why}")]
    LineDown {
        /// The operating system's reason.
        why: String,
    },
    /// The line has stopped, perhaps in the middle of it.
    #[error("line has stopped")]
    Stopped,
}

/// A meter during a visit.
pub struct AtMeter<'a> {
    driver: &'a mut dyn Driver,
    wire: &'a mut Wire,
    manner: Manner,
    stopping: &'a watch::Receiver<bool>,
    exchanges: Vec<Exchanged>,
    /// How the last thing that was done ended.
    last: Option<Result<(), Fault>>,
}

impl AtMeter<'_> {
    /// Reads the meter as a poll does.
    ///
    /// # Errors
    /// A [`Fault`].
    pub async fn read(&mut self) -> Result<Answer, Fault> {
        let (driver, mut line) = self.line(self.repeats());
        let result = driver.read(&mut line).await;
        let passed = line.exchanges;
        self.ended(passed, result)
    }

    /// Whether the meter can be told this; see [`Driver::course`].
    ///
    /// # Errors
    /// [`Unsupported`].
    pub fn course(&self, order: &Order) -> Result<Course, Unsupported> {
        self.driver.course(order)
    }

    /// Whether an order fits what the meter has just said; see [`Driver::suits`].
    ///
    /// # Errors
    /// [`Unsupported`].
    pub fn suits(&self, order: &Order, shown: &Answer) -> Result<(), Unsupported> {
        self.driver.suits(order, shown)
    }

    /// Tells the meter, with no request repeated; see [`Driver::carry_out`].
    ///
    /// # Errors
    /// A [`Fault`]. Unless it is [`Fault::Refused`] the meter may have obeyed.
    pub async fn carry_out(&mut self, order: &Order) -> Result<Observed, Fault> {
        let (driver, mut line) = self.line(0);
        let result = driver.carry_out(&mut line, order).await;
        let passed = line.exchanges;
        self.ended(passed, result)
    }

    /// Looks at what the meter shows of this order; see [`Driver::observe`].
    ///
    /// # Errors
    /// A [`Fault`].
    pub async fn observe(&mut self, order: &Order) -> Result<Observed, Fault> {
        let (driver, mut line) = self.line(self.repeats());
        let result = driver.observe(&mut line, order).await;
        let passed = line.exchanges;
        self.ended(passed, result)
    }

    /// The exchanges since this was last asked.
    pub fn take_exchanges(&mut self) -> Vec<Exchanged> {
        std::mem::take(&mut self.exchanges)
    }

    /// Of what only reads.
    fn repeats(&self) -> u32 {
        if self.manner.timing.late_window.is_zero() { self.manner.repeats } else { 0 }
    }

    fn line(&mut self, repeats: u32) -> (&mut dyn Driver, Exchange<'_>) {
        let manner = Manner { repeats, ..self.manner.clone() };
        (self.driver, Exchange::new(self.wire, manner, self.stopping))
    }

    fn ended<T>(&mut self, passed: Vec<Exchanged>, result: Result<T, Fault>) -> Result<T, Fault> {
        self.exchanges.extend(passed);
        self.last = Some(result.as_ref().map(drop).map_err(Clone::clone));
        result
    }
}

/// Does nothing: a poll makes room for it, and whatever else was asked for comes next.
pub(super) struct MakeRoom;

#[async_trait]
impl Visit for MakeRoom {
    type Output = ();

    async fn run(&mut self, _: &mut AtMeter<'_>) {}
}

/// A visit on its way to the line's task.
pub(super) struct VisitRequest {
    pub(super) meter: usize,
    pub(super) work: Work,
    pub(super) urgency: Urgency,
    /// Counts among those that polls make room for; `None` for a patient one, and once it waits for its meter's late
    /// window.
    pub(super) waiting: Option<Waiting>,
}

/// What is done in a visit's turn. The permits are held until it is over, which bounds how many there are.
pub(super) enum Work {
    Visit(Box<dyn AnyVisit>, OwnedSemaphorePermit),
    Read(ReadRequest),
}

impl VisitRequest {
    /// It is not made.
    pub(super) fn fail(self, error: VisitError) {
        match self.work {
            Work::Visit(mut visit, _permit) => visit.fail(error),
            Work::Read(request) => request.answer(Err(error.into())),
        }
    }
}

impl From<VisitError> for ReadError {
    fn from(error: VisitError) -> Self {
        match error {
            VisitError::UnknownMeter { meter, line } => Self::UnknownMeter { meter, line },
            VisitError::Busy => Self::Busy,
            VisitError::Lent { to } => Self::Lent { to },
            VisitError::LineDown { why } => Self::Fault(Fault::LineDown { why }),
            VisitError::Stopped => Self::Stopped,
        }
    }
}

/// How many visits wait to be made at once: a line's polls look at it between two exchanges.
#[derive(Clone, Debug, Default)]
pub(super) struct Waiters(Arc<AtomicUsize>);

impl Waiters {
    /// One more, until what is returned is dropped.
    pub(super) fn wait(&self) -> Waiting {
        self.0.fetch_add(1, Ordering::AcqRel);
        Waiting(Arc::clone(&self.0))
    }

    /// Whether there is one.
    pub(super) fn any(&self) -> bool {
        self.0.load(Ordering::Acquire) > 0
    }
}

/// Whom a poll makes room for between two of its exchanges.
pub(super) struct YieldsTo {
    pub(super) waiters: Waiters,
    /// When the first of those may be made whose meters rest.
    pub(super) parked_until: Option<Moment>,
}

impl YieldsTo {
    /// Whether there is a visit that may be made now.
    pub(super) fn any(&self) -> bool {
        self.waiters.any() || self.parked_until.is_some_and(|at| at <= clock::now())
    }
}

pub(super) struct Waiting(Arc<AtomicUsize>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A visit together with the way back for what comes of it.
#[async_trait]
pub(super) trait AnyVisit: Send {
    async fn run(&mut self, meter: &mut AtMeter<'_>);
    /// It was not made, or not to its end.
    fn fail(&mut self, error: VisitError);
}

pub(super) struct Returning<V: Visit> {
    pub(super) visit: V,
    pub(super) reply: Option<oneshot::Sender<Result<V::Output, VisitError>>>,
}

impl<V: Visit> Returning<V> {
    /// Whoever asked may have gone.
    fn answer(&mut self, result: Result<V::Output, VisitError>) {
        if let Some(reply) = self.reply.take() {
            let _ = reply.send(result);
        }
    }
}

#[async_trait]
impl<V: Visit> AnyVisit for Returning<V> {
    async fn run(&mut self, meter: &mut AtMeter<'_>) {
        let output = self.visit.run(meter).await;
        self.answer(Ok(output));
    }

    fn fail(&mut self, error: VisitError) {
        self.answer(Err(error));
    }
}

impl Task {
    /// Makes the visit and sees to what its exchanges say about the meter and the line.
    pub(super) async fn visit(&mut self, request: VisitRequest) {
        let VisitRequest { meter: index, work, urgency, waiting } = request;
        drop(waiting);
        self.owes_poll |= urgency == Urgency::Patient;
        let (mut visit, permit) = match work {
            Work::Visit(visit, permit) => (visit, permit),
            Work::Read(request) => {
                return self.poll(Pick { meter: index, requests: 0, cause: Cause::Asked(request) }).await;
            }
        };
        let Connection::Up { wire, .. } = &mut self.connection else {
            return visit.fail(VisitError::LineDown { why: self.why_down() });
        };
        let Some(Station { driver, manner, status, budget, .. }) = self.stations.get_mut(index) else {
            return;
        };
        if let Some(tap) = wire.tap.as_mut().filter(|tap| tap.is_watched()) {
            tap.about = Some(status.id.as_str().into());
        }
        let (began, bytes_before, serial) = (clock::now(), wire.bytes, manner.serial);
        let mut stopping = self.stopping.clone();
        let too_long = async {
            if stopping.wait_for(|stop| *stop).await.is_err() {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(LINE_STOP_MAX).await;
        };
        let mut meter = AtMeter {
            driver: driver.as_mut(),
            wire,
            manner: manner.clone(),
            stopping: &self.stopping,
            exchanges: Vec::new(),
            last: None,
        };
        tokio::select! {
            biased;
            () = visit.run(&mut meter) => {}
            () = too_long => visit.fail(VisitError::Stopped),
        }
        let last = meter.last.take();
        self.busy += clock::now().since(began);
        let passed = usize::try_from(wire.bytes.saturating_sub(bytes_before)).unwrap_or(usize::MAX);
        self.wire_time += serial.characters(passed);
        if let Some(budget) = budget.as_mut().filter(|_| passed > 0) {
            budget.spend(clock::wall(), 1);
        }
        drop(permit);
        match last {
            None => {}
            Some(Ok(()) | Err(Fault::Refused { .. })) => {
                self.is_alive(index).await;
                self.queue.revive(index);
            }
            // What a visit finds has no part in the back-off, as with reads that are asked for.
            Some(Err(Fault::Silent { .. } | Fault::Garbled { .. })) => {
                self.queue.rest(index, clock::now() + self.late_window(index));
            }
            Some(Err(Fault::LineDown { .. })) if *self.stopping.borrow() => {}
            Some(Err(Fault::LineDown { why })) => self.go_down(why).await,
        }
    }

    /// The next visit whose meter may be spoken to: a patient one only when no poll is owed its turn.
    pub(super) fn next_visit(&mut self, now: Moment) -> Option<VisitRequest> {
        let rank = |visit: &VisitRequest| match (visit.urgency, &visit.work) {
            (Urgency::AtOnce, _) => 0,
            (Urgency::Patient, Work::Visit(..)) => 1,
            (Urgency::Patient, Work::Read(_)) => 2,
        };
        let may = |visit: &VisitRequest| {
            self.queue.rests_until(visit.meter) <= now && !(self.owes_poll && rank(visit) > 0)
        };
        let waiting = self.visits.iter().enumerate().filter(|(_, visit)| may(visit));
        // The first of several that are equal.
        let (at, _) = waiting.min_by_key(|(_, visit)| rank(visit))?;
        self.visits.remove(at)
    }

    /// A poll begins, and the visits that go ahead of it wait for their meters: no poll makes room for them before the
    /// moment that this gives.
    pub(super) fn park_visits(&mut self) -> Option<Moment> {
        self.visits.iter_mut().for_each(|visit| visit.waiting = None);
        let urgent = self.visits.iter().filter(|visit| visit.urgency == Urgency::AtOnce);
        urgent.map(|visit| self.queue.rests_until(visit.meter)).min()
    }

    /// When the next visit may be made, if one waits.
    pub(super) fn next_visit_at(&self) -> Option<Moment> {
        self.visits.iter().map(|visit| self.queue.rests_until(visit.meter)).min()
    }

    /// Nothing is visited for now.
    pub(super) fn refuse_visits(&mut self, error: &VisitError) {
        for request in self.visits.drain(..) {
            request.fail(error.clone());
        }
    }
}
