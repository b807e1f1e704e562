//! The drain: one loop that empties one lane of the outbox into the uplink.
//!
//! ```text
//!   spread ──► connect ──► stream ──(a failure)──► recover ──► stream …
//!                 ▲                                   │
//!                 └────────────(fatal)────────────────┘
//! ```
//!
//! **Stream**: records are read, made into messages and handed over, as many as the window and `limit` let in; reports
//! move the cursor over whatever is delivered without a gap. The next batch is read and made into JSON meanwhile.
//!
//! **Recover**: feeding has stopped. Every outstanding report is awaited, so that no report of an old attempt can be
//! taken for one of a new attempt; then the lane is read again from the cursor. `limit` is where the kinds differ:
//!
//! - *retriable*: after a pause one record goes first, and `limit` grows as records get through. During an outage
//!   that is one record that keeps trying, and afterwards a gentle start of a thousand gateways at once.
//! - *refused*: `limit` becomes half of what was refused together, which finds the culprit in a few rounds. Refused at
//!   a `limit` of one means refused alone: it is set aside and the ones behind it go on.
//! - *fatal*: what is in flight is given up, and after a pause a fresh client is made. So many retriable ones in a row that
//!   the client itself is the suspect are one.
//!
//! What this deliberately does not do: keep a message for the next attempt (the outbox has it), or judge an error (the
//! uplink does).

use std::collections::VecDeque;
use std::future::ready;
use std::pin::pin;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Interval, MissedTickBehavior, interval, sleep};

use super::ahead::{Ahead, Maker};
use super::backoff::Backoff;
use super::condition::Tracker;
use super::flow::Flow;
use super::hold::Hold;
use super::source::{Cursor, Source};
use super::{Failure, FailureKind, Uplink};
use crate::limits::{READ_BYTES_MAX, READ_RECORDS_MAX, UPLINK_ABANDON};
use crate::outbox::Closed;
use crate::pulse::Pulse;

/// The drain turns at least this often, so that its silence means trouble.
pub(super) const TICK: Duration = Duration::from_secs(1);

/// What a drain is made of.
pub(super) struct Parts<S, C, U> {
    pub(super) source: S,
    pub(super) cursor: C,
    pub(super) uplink: U,
    pub(super) gateway: String,
    pub(super) hold: Hold,
    pub(super) backoff: Backoff,
    pub(super) start_spread: Duration,
    pub(super) stop_wait: Duration,
    /// [`TICK`], but in tests that live through weeks.
    pub(super) tick: Duration,
    pub(super) pulse: Pulse,
    pub(super) tracker: Tracker,
    pub(super) stopped: watch::Receiver<bool>,
}

/// Why a drain ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Stopped,
    OutboxClosed,
}

impl From<Closed> for End {
    fn from(Closed: Closed) -> Self {
        Self::OutboxClosed
    }
}

pub(super) struct Drain<S, C, U> {
    source: S,
    flow: Flow<C, U>,
    /// Made and not yet handed over; at most two batches.
    pending: VecDeque<Ahead>,
    start_spread: Duration,
    stop_wait: Duration,
    pulse: Pulse,
    stopped: watch::Receiver<bool>,
    tick: Interval,
}

impl<S: Source, C: Cursor, U: Uplink> Drain<S, C, U> {
    /// To be called within the runtime that will run it.
    pub(super) fn new(parts: Parts<S, C, U>) -> Self {
        let mut tick = interval(parts.tick);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            source: parts.source,
            flow: Flow::new(
                parts.cursor,
                parts.uplink,
                parts.gateway.into(),
                parts.hold,
                parts.backoff,
                parts.tracker,
            ),
            pending: VecDeque::new(),
            start_spread: parts.start_spread,
            stop_wait: parts.stop_wait,
            pulse: parts.pulse,
            stopped: parts.stopped,
            tick,
        }
    }

    /// Runs until it is stopped or the outbox is closed.
    pub(super) async fn run(mut self) {
        let end = match self.work().await {
            Ok(never) => match never {},
            Err(end) => end,
        };
        if end == End::Stopped {
            self.finish().await;
        }
    }

    async fn work(&mut self) -> Result<std::convert::Infallible, End> {
        let spread = self.flow.backoff.part_of(self.start_spread);
        self.pause(spread).await?;
        let mut connected = false;
        loop {
            let failure = if connected {
                self.stream().await?
            } else {
                match self.flow.uplink.connect() {
                    Ok(()) => {
                        connected = true;
                        continue;
                    }
                    Err(failure) => Failure { kind: FailureKind::Fatal, ..failure },
                }
            };
            connected = self.recover(failure).await? != FailureKind::Fatal;
        }
    }

    /// Feeds and acknowledges until something fails.
    async fn stream(&mut self) -> Result<Failure, End> {
        let Self { source, flow, pending, stopped, tick, pulse, .. } = self;
        let mut maker = Maker::new(&flow.gateway);
        loop {
            // While one record keeps trying, nothing is read that would only be forgotten again.
            let wanted = flow.limit().min(READ_RECORDS_MAX);
            let mut next = pin!(source.next(wanted, READ_BYTES_MAX));
            loop {
                flow.settle().await?;
                if let Some(failure) = flow.failure.take() {
                    return Ok(failure);
                }
                let can_feed = !pending.is_empty() && flow.has_room();
                tokio::select! {
                    biased;
                    () = asked_to_stop(stopped) => return Err(End::Stopped),
                    _ = tick.tick() => { pulse.beat(); flow.tick(tick.period()); }
                    () = flow.uplink.reports(&mut flow.reports) => flow.take_reports(),
                    made = maker.made() => pending.extend(made?),
                    batch = &mut next, if !maker.is_busy() && pending.len() <= wanted => {
                        pending.extend(maker.make(batch?));
                        break;
                    }
                    // Last, so that the outbox already looks for the next batch while this one is handed over.
                    () = ready(()), if can_feed => flow.feed(pending),
                }
            }
        }
    }

    /// Awaits all reports, goes back to the cursor and makes the pause that the failure asks for. Returns the kind of
    /// the gravest failure met on the way.
    async fn recover(&mut self, mut failure: Failure) -> Result<FailureKind, End> {
        failure.kind = self.flow.graver(failure.kind);
        self.announce(&mut failure);
        self.await_reports(&mut failure).await?;
        self.flow.start_again(failure.kind);
        self.pending.clear();
        self.source.rewind();
        if failure.kind != FailureKind::Refused {
            let pause = self.flow.backoff.pause();
            self.pause(pause).await?;
        }
        Ok(failure.kind)
    }

    /// Says what is wrong, as well as the uplink can tell, and gives up what a broken client will never send.
    fn announce(&mut self, failure: &mut Failure) {
        if failure.kind == FailureKind::Refused {
            return;
        }
        if let Some(found) = self.flow.uplink.diagnose() {
            *failure = Failure { kind: failure.kind.max(found.kind), ..found };
        }
        self.flow.tracker.waiting(failure);
        if failure.kind == FailureKind::Fatal {
            self.flow.uplink.abandon();
        }
    }

    async fn await_reports(&mut self, failure: &mut Failure) -> Result<(), End> {
        let mut abandoned_for = Duration::ZERO;
        while self.flow.window.outstanding() > 0 && abandoned_for < UPLINK_ABANDON {
            tokio::select! {
                biased;
                () = asked_to_stop(&mut self.stopped) => return Err(End::Stopped),
                _ = self.tick.tick() => {
                    self.pulse.beat();
                    self.flow.tick(self.tick.period());
                    if failure.kind == FailureKind::Fatal {
                        abandoned_for += self.tick.period();
                    }
                }
                () = self.flow.uplink.reports(&mut self.flow.reports) => self.flow.take_reports(),
            }
            self.flow.settle().await?;
            if let Some(worse) = self.flow.failure.take().filter(|other| other.kind > failure.kind) {
                *failure = worse;
                self.announce(failure);
            }
        }
        Ok(())
    }

    async fn pause(&mut self, time: Duration) -> Result<(), End> {
        let mut over = pin!(sleep(time));
        loop {
            tokio::select! {
                biased;
                () = asked_to_stop(&mut self.stopped) => return Err(End::Stopped),
                () = &mut over => return Ok(()),
                _ = self.tick.tick() => self.pulse.beat(),
            }
        }
    }

    /// The orderly end: what is in flight may still arrive, for a while; the rest stays in the outbox.
    async fn finish(&mut self) {
        for wait in [self.stop_wait, UPLINK_ABANDON] {
            let mut over = pin!(sleep(wait));
            while self.flow.window.outstanding() > 0 {
                tokio::select! {
                    biased;
                    () = &mut over => break,
                    _ = self.tick.tick() => self.pulse.beat(),
                    () = self.flow.uplink.reports(&mut self.flow.reports) => self.flow.take_reports(),
                }
            }
            // The outbox is closed after the uplink; if not, what was delivered is sent again after the next start.
            if self.flow.settle().await.is_err() {
                return;
            }
            self.flow.uplink.abandon();
        }
    }
}

/// Also when nobody is left to ask.
async fn asked_to_stop(stopped: &mut watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

#[cfg(test)]
mod tests;
