//! From the line to the outbox: hand over, remember until it is known to be stored, and keep what was refused.
//!
//! A record is handed over without waiting for its receipt, so that the line goes on while the outbox gathers a group
//! commit. Receipts are looked at once a turn. The rule for an outbox that refuses (it is full and may drop nothing, or
//! its store failed): **while a refused record is in hand, no polls are made.** Every
//! [`OFFER_AGAIN_EVERY`] the first one is offered again, and when it is taken so are the others, and the polls go on.
//! So a full outbox stops polling at once and loses none of what was read.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::time::timeout;
use weir_wire::stored::Record;

use crate::clock::{Moment, now};
use crate::limits::{LINE_TURN, OFFER_AGAIN_EVERY, REFUSED_RECORDS_MAX, UNSETTLED_RECORDS_MAX};
use crate::outbox::{AppendError, Outbox, Receipt};
use crate::pulse::Pulse;

/// The line's way into the outbox.
#[derive(Debug)]
pub(super) struct Delivery {
    outbox: Outbox,
    pulse: Pulse,
    /// Handed over, in order, and not yet known to be stored.
    unsettled: VecDeque<(Receipt, Sent)>,
    /// Refused, in order.
    /// In the order in which they were sent.
    refused: VecDeque<Sent>,
    sent: u64,
    offer_at: Moment,
    why_refused: Option<AppendError>,
    readings_lost: u64,
}

/// A record with its place among those that were sent.
#[derive(Debug)]
struct Sent {
    number: u64,
    record: Record,
}

impl Delivery {
    /// A way into this outbox.
    pub(super) fn new(outbox: Outbox, pulse: Pulse) -> Self {
        let (unsettled, refused) = (VecDeque::new(), VecDeque::new());
        Self {
            outbox,
            pulse,
            unsettled,
            refused,
            sent: 0,
            offer_at: now(),
            why_refused: None,
            readings_lost: 0,
        }
    }

    /// Why polls pause, if they do.
    pub(super) fn paused(&self) -> Option<&AppendError> {
        self.why_refused.as_ref()
    }

    /// Readings that could not be kept.
    pub(super) fn readings_lost(&self) -> u64 {
        self.readings_lost
    }

    /// Hands a record over. Waits while the outbox's queue is full, or when too many records are unsettled.
    pub(super) async fn send(&mut self, record: Record) {
        self.sent += 1;
        let record = Sent { number: self.sent, record };
        if self.why_refused.is_some() {
            // Behind the others, so that they keep their order. Only events and reads that were asked for come here.
            self.settle_some().await;
            self.keep(record);
            return;
        }
        if self.unsettled.len() >= UNSETTLED_RECORDS_MAX
            && let Some((receipt, first)) = self.unsettled.pop_front()
        {
            let result = beating(&self.pulse, receipt).await;
            self.settled(result.map(drop), first);
        }
        match beating(&self.pulse, self.outbox.append(&record.record)).await {
            Ok(receipt) => self.unsettled.push_back((receipt, record)),
            Err(closed) => self.settled(Err(closed.into()), record),
        }
    }

    /// Looks at the receipts that are there, and offers what was refused when it is time.
    pub(super) async fn turn(&mut self) {
        self.look();
        if self.why_refused.is_some() {
            self.settle_some().await;
        }
        while self.why_refused.is_some() && self.unsettled.is_empty() && now() >= self.offer_at {
            let Some(record) = self.refused.pop_front() else {
                self.why_refused = None;
                tracing::info!("outbox takes records again; polls go on");
                return;
            };
            let mut receipt = match beating(&self.pulse, self.outbox.append(&record.record)).await {
                Ok(receipt) => receipt,
                Err(closed) => return self.refuse_again(record, closed.into()),
            };
            match timeout(LINE_TURN, &mut receipt).await {
                Ok(Ok(_)) => {}
                Ok(Err(AppendError::TooLong { bytes })) => {
                    self.lose(&record.record, &AppendError::TooLong { bytes });
                }
                Ok(Err(error)) => self.refuse_again(record, error),
                Err(_) => self.unsettled.push_back((receipt, record)),
            }
        }
    }

    fn refuse_again(&mut self, record: Sent, error: AppendError) {
        self.refused.push_front(record);
        (self.why_refused, self.offer_at) = (Some(error), now() + OFFER_AGAIN_EVERY);
    }

    /// Waits until the fate of what was handed over is known, for a turn at most: on a full disk it is open until there is room
    /// again, and the line has to answer meanwhile.
    async fn settle_some(&mut self) {
        let all = async {
            while let Some((receipt, _)) = self.unsettled.front_mut() {
                let result = receipt.await;
                if let Some((_, record)) = self.unsettled.pop_front() {
                    self.settled(result.map(drop), record);
                }
            }
        };
        // Nothing is taken out before its fate is known, so nothing is lost when the time is over.
        let _ = timeout(LINE_TURN, all).await;
        self.look();
    }

    /// Ends: what is still refused is lost.
    pub(super) async fn close(mut self) {
        self.settle_all().await;
        if let Some(error) = self.why_refused.take() {
            while let Some(record) = self.refused.pop_front() {
                self.lose(&record.record, &error);
            }
        }
    }

    /// Waits until the fate of everything that was handed over is known: a commit window, or a full disk until there is room
    /// again or the outbox is closed.
    async fn settle_all(&mut self) {
        while let Some((receipt, record)) = self.unsettled.pop_front() {
            let result = beating(&self.pulse, receipt).await;
            self.settled(result.map(drop), record);
        }
    }

    fn look(&mut self) {
        let mut context = Context::from_waker(Waker::noop());
        // All of them: a later one may be refused while an earlier one waits for disk.
        for (mut receipt, record) in std::mem::take(&mut self.unsettled) {
            match Pin::new(&mut receipt).poll(&mut context) {
                Poll::Ready(result) => self.settled(result.map(drop), record),
                Poll::Pending => self.unsettled.push_back((receipt, record)),
            }
        }
    }

    fn settled(&mut self, result: Result<(), AppendError>, record: Sent) {
        match result {
            Ok(()) => {}
            Err(error @ AppendError::TooLong { .. }) => self.lose(&record.record, &error),
            Err(error) => {
                if self.why_refused.is_none() {
                    tracing::warn!(%error, "outbox refuses records; polls pause");
                    self.offer_at = now() + OFFER_AGAIN_EVERY;
                }
                self.why_refused = Some(error);
                self.keep(record);
            }
        }
    }

    /// In its place: a refusal may be seen before that of an earlier record, when both come while receipts are looked at.
    fn keep(&mut self, record: Sent) {
        if self.refused.len() < REFUSED_RECORDS_MAX {
            let place = self.refused.partition_point(|kept| kept.number < record.number);
            self.refused.insert(place, record);
        } else if let Some(error) = self.why_refused.clone() {
            self.lose(&record.record, &error);
        }
    }

    fn lose(&mut self, record: &Record, error: &AppendError) {
        self.readings_lost += u64::from(matches!(record, Record::Reading(_)));
        tracing::error!(meter = record.meter(), at = %record.at(), %error, "record lost");
    }
}

/// Waits for this and beats the pulse meanwhile: whoever waits for the outbox still turns. That the outbox itself turns
/// is for its own pulse to prove.
pub(super) async fn beating<T>(pulse: &Pulse, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    loop {
        pulse.beat();
        if let Ok(done) = tokio::time::timeout(LINE_TURN, &mut work).await {
            return done;
        }
    }
}

#[cfg(test)]
mod tests;
