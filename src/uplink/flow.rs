//! The bookkeeping between a drain's loop and its uplink: what may be fed, what reports mean, how far the cursor goes.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::ahead::Ahead;
use super::backoff::Backoff;
use super::condition::Tracker;
use super::hold::Hold;
use super::message::Message;
use super::source::Cursor;
use super::window::{Settled, Window};
use super::{Failure, FailureKind, Report, Uplink};
use crate::limits::{
    REFUSED_IN_A_ROW_MAX, UPLINK_ATTEMPTS_MAX, UPLINK_FEED_RECORDS, UPLINK_QUIET, UPLINK_START_RECORDS,
    UPLINK_WINDOW_BYTES, UPLINK_WINDOW_RECORDS,
};
use crate::outbox::Closed;

pub(super) struct Flow<C, U> {
    cursor: C,
    pub(super) uplink: U,
    pub(super) gateway: Arc<str>,
    hold: Hold,
    /// The next record waits for the clock to be set; looked at again once a second.
    is_held: bool,
    pub(super) backoff: Backoff,
    pub(super) tracker: Tracker,
    pub(super) window: Window,
    /// Emptied by [`Flow::take_reports`]; kept for its memory.
    pub(super) reports: Vec<Report>,
    /// The gravest failure since the loop last looked.
    pub(super) failure: Option<Failure>,
    /// Records that may be in the window at once.
    limit: usize,
    /// Records refused in company since the last start from the cursor.
    refused_together: usize,
    /// Records set aside since the broker last accepted one.
    refused_in_a_row: u32,
    /// Attempts that failed since the broker last accepted a record, or the client was made.
    failed_in_a_row: u32,
    /// The highest sequence that was ever handed over.
    highest: u64,
    /// How long something has been in flight and nothing was heard, and at what point that was last told.
    quiet: Duration,
    quiet_told: Duration,
}

impl<C: Cursor, U: Uplink> Flow<C, U> {
    pub(super) fn new(
        cursor: C,
        uplink: U,
        gateway: Arc<str>,
        hold: Hold,
        backoff: Backoff,
        tracker: Tracker,
    ) -> Self {
        Self {
            cursor,
            uplink,
            gateway,
            hold,
            is_held: false,
            backoff,
            tracker,
            window: Window::default(),
            reports: Vec::new(),
            failure: None,
            limit: UPLINK_START_RECORDS,
            refused_together: 0,
            refused_in_a_row: 0,
            failed_in_a_row: 0,
            highest: 0,
            quiet: Duration::ZERO,
            quiet_told: Duration::ZERO,
        }
    }

    /// Records that may be in flight at once.
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// Whether one more record may be handed over.
    pub(super) fn has_room(&self) -> bool {
        self.failure.is_none()
            && !self.is_held
            && self.window.len() < self.limit
            && self.window.bytes() < UPLINK_WINDOW_BYTES
    }

    /// Hands over some of these records, as far as there is room.
    pub(super) fn feed(&mut self, pending: &mut VecDeque<Ahead>) {
        let mut retried = 0;
        for _ in 0..UPLINK_FEED_RECORDS {
            if !self.has_room() {
                break;
            }
            let Some(next) = pending.front_mut() else { break };
            let sequence = next.stored.name.sequence;
            match next.settled(&self.gateway, &mut self.hold) {
                Ok(Some(message)) => self.hand_over(sequence, &message),
                Ok(None) => {
                    self.is_held = true;
                    self.say_held();
                    break;
                }
                Err(damage) => self.window.push_refused(sequence, damage.to_string()),
            }
            pending.pop_front();
            retried += u64::from(sequence <= self.highest);
            self.highest = self.highest.max(sequence);
        }
        self.tracker.fed(retried, self.window.outstanding());
    }

    /// Where nothing else can be heard of the broker, what waits for the clock would look like an outage.
    fn say_held(&self) {
        if self.window.outstanding() == 0 {
            let detail = "readings wait for it, for unsynced_hold since the last trouble";
            let why = Failure::new(FailureKind::Retriable, "this gateway's clock is not set", detail);
            self.tracker.waiting(&why);
        }
    }

    fn hand_over(&mut self, sequence: u64, message: &Message) {
        match self.uplink.send(self.window.next_ticket(), message) {
            Ok(()) => self.window.push_outstanding(sequence, message.payload.len()),
            // The client itself will not have it, whatever else is in flight: that is as alone as can be.
            Err(failure) if failure.kind == FailureKind::Refused => {
                self.window.push_refused(sequence, failure.why());
            }
            Err(failure) => self.note(failure),
        }
    }

    /// What the new reports mean.
    pub(super) fn take_reports(&mut self) {
        let mut reports = std::mem::take(&mut self.reports);
        for report in reports.drain(..) {
            match report {
                Report::Delivered(ticket) => {
                    self.heard();
                    self.window.delivered(ticket);
                }
                Report::Failed(ticket, failure) => {
                    self.heard();
                    self.take_failed(ticket, *failure);
                }
                Report::Trouble(failure) if failure.kind == FailureKind::Fatal => self.note(*failure),
                // An idle connection that breaks costs nothing and will be made again when there is something to send.
                Report::Trouble(failure) if self.window.outstanding() > 0 => self.tracker.waiting(&failure),
                Report::Trouble(_) => {}
            }
        }
        self.reports = reports;
    }

    fn take_failed(&mut self, ticket: usize, failure: Failure) {
        if failure.kind == FailureKind::Refused {
            if self.limit == 1 {
                return self.window.refused(ticket, failure.why());
            }
            self.refused_together += 1;
        }
        self.window.failed(ticket);
        self.note(failure);
    }

    /// Keeps the gravest.
    fn note(&mut self, failure: Failure) {
        if self.failure.as_ref().is_none_or(|noted| noted.kind < failure.kind) {
            self.failure = Some(failure);
        }
    }

    /// Moves the cursor over everything whose fate lets it pass.
    pub(super) async fn settle(&mut self) -> Result<(), Closed> {
        let mut delivered = (0, 0);
        while let Some(settled) = self.window.pop_settled() {
            match settled {
                Settled::Delivered(sequence) => delivered = (sequence, delivered.1 + 1),
                Settled::Refused(sequence, why) => {
                    self.acknowledge(std::mem::take(&mut delivered)).await?;
                    self.set_aside(sequence, why).await?;
                }
            }
        }
        self.acknowledge(delivered).await
    }

    async fn acknowledge(&mut self, (up_to, records): (u64, usize)) -> Result<(), Closed> {
        if records == 0 {
            return Ok(());
        }
        self.cursor.acknowledge(up_to).await?;
        // Fourfold with every round trip: gentle on the broker, and still a matter of tenths of a second.
        self.limit = self.limit.saturating_add(3 * records).min(UPLINK_WINDOW_RECORDS);
        (self.refused_in_a_row, self.failed_in_a_row) = (0, 0);
        self.hold.acknowledged();
        self.backoff.reset();
        self.tracker.acknowledged(u64::try_from(records).unwrap_or(u64::MAX));
        self.tracker.fed(0, self.window.outstanding());
        Ok(())
    }

    async fn set_aside(&mut self, sequence: u64, why: String) -> Result<(), Closed> {
        if !self.cursor.set_aside(sequence, why.clone()).await? {
            self.window.keep_back(sequence);
            self.note(Failure::new(FailureKind::Retriable, "no disk to set a record aside", why));
            return Ok(());
        }
        self.tracker.set_aside();
        self.refused_in_a_row = self.refused_in_a_row.saturating_add(1);
        if self.refused_in_a_row >= REFUSED_IN_A_ROW_MAX {
            self.note(Failure::new(FailureKind::Retriable, "one record after the other is refused", why));
        }
        Ok(())
    }

    /// What a failure of this kind comes to: a client that fails again and again may be what is broken.
    pub(super) fn graver(&mut self, kind: FailureKind) -> FailureKind {
        self.failed_in_a_row += u32::from(kind == FailureKind::Retriable);
        let is_worn = self.failed_in_a_row >= UPLINK_ATTEMPTS_MAX;
        if is_worn || kind == FailureKind::Fatal {
            self.failed_in_a_row = 0;
            return FailureKind::Fatal;
        }
        kind
    }

    /// Some time has passed: is anything still heard of what is in flight?
    pub(super) fn tick(&mut self, passed: Duration) {
        self.is_held = false;
        if self.window.outstanding() == 0 {
            return self.heard();
        }
        self.quiet += passed;
        if self.quiet > self.uplink.reports_within() {
            self.heard();
            let detail = format!("{} records without a report", self.window.outstanding());
            self.note(Failure::new(FailureKind::Fatal, "the broker's client does not report", detail));
        } else if self.quiet >= self.quiet_told + UPLINK_QUIET {
            self.quiet_told = self.quiet;
            let failure = self.uplink.diagnose().unwrap_or_else(|| {
                let detail = format!("{} records in flight", self.window.outstanding());
                Failure::new(FailureKind::Retriable, "the broker does not acknowledge", detail)
            });
            if failure.kind == FailureKind::Fatal {
                self.note(failure.clone());
            }
            self.tracker.waiting(&failure);
        }
    }

    fn heard(&mut self) {
        (self.quiet, self.quiet_told) = (Duration::ZERO, Duration::ZERO);
    }

    /// Back to the cursor after a failure of this kind; nothing is in flight that matters.
    pub(super) fn start_again(&mut self, kind: FailureKind) {
        self.limit = match kind {
            FailureKind::Refused => (self.refused_together / 2).max(1),
            FailureKind::Retriable | FailureKind::Fatal => 1,
        };
        if kind != FailureKind::Refused {
            self.hold.begin_again();
        }
        self.is_held = false;
        self.refused_together = 0;
        self.failure = None;
        self.heard();
        self.window.clear();
        self.tracker.fed(0, 0);
    }
}
