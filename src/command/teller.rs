//! Brings outcomes into the outbox's urgent lane, one after the other, and tells the clerk which are there.
//!
//! The journal has every outcome already, so none is lost where this ends half-way: the next start tells those that are
//! not known to be in the outbox again, the same to the byte. The clerk never waits for it, because a visit may be
//! waiting for the clerk; it takes no new command while too many outcomes wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::mpsc;
use weir_wire::stored::{Event, Outcome, Record};

use super::desk::{Ask, Desk};
use crate::limits::{OUTCOME_RETRY_EVERY, OUTCOMES_WAITING_MAX};
use crate::outbox::{AppendError, Outbox};

/// Something to tell.
#[derive(Clone, Debug)]
pub(super) enum Tell {
    /// An outcome, with the sequence of the journal's entry that says so.
    Outcome { sequence: u64, outcome: Outcome },
    /// An event that is worth no waiting.
    Event(Event),
    /// The event that says that the journal was damaged.
    JournalLost(Event),
}

/// The clerk's end.
#[derive(Debug)]
pub(super) struct Teller {
    queue: mpsc::Sender<Tell>,
    waiting: Arc<AtomicUsize>,
}

impl Teller {
    /// Tells this when its turn comes.
    pub(super) fn tell(&self, tell: Tell) {
        self.waiting.fetch_add(1, Ordering::AcqRel);
        if self.queue.try_send(tell).is_err() {
            self.waiting.fetch_sub(1, Ordering::AcqRel);
            tracing::error!("an outcome is told only after the next start: too many wait");
        }
    }

    /// One whose other end is the test's.
    #[cfg(test)]
    pub(super) fn to_nobody() -> (Self, mpsc::Receiver<Tell>) {
        let (queue, told) = mpsc::channel(OUTCOMES_WAITING_MAX);
        (Self { queue, waiting: Arc::default() }, told)
    }

    /// Whether so many wait that no command may be added.
    pub(super) fn is_behind(&self) -> bool {
        self.waiting.load(Ordering::Acquire) > OUTCOMES_WAITING_MAX / 2
    }
}

/// Starts it. It ends when the teller is dropped, or the outbox is closed.
pub(super) fn start(outbox: Outbox, desk: Desk) -> Teller {
    let (queue, mut incoming) = mpsc::channel(OUTCOMES_WAITING_MAX);
    let waiting = Arc::new(AtomicUsize::new(0));
    let told = Arc::clone(&waiting);
    tokio::spawn(async move {
        while let Some(tell) = incoming.recv().await {
            let (record, then) = match tell {
                Tell::Outcome { sequence, outcome } => {
                    (Record::Outcome(outcome), Some(Ask::Told { sequence }))
                }
                Tell::Event(event) => (Record::Event(event), None),
                Tell::JournalLost(event) => (Record::Event(event), Some(Ask::DamageTold)),
            };
            if !put(&outbox, &record, then.is_some()).await {
                return;
            }
            told.fetch_sub(1, Ordering::AcqRel);
            if let Some(then) = then {
                let _ = desk.0.send(then).await;
            }
        }
    });
    Teller { queue, waiting }
}

/// Until it is stored. `false` when the outbox is closed.
async fn put(outbox: &Outbox, record: &Record, until_stored: bool) -> bool {
    loop {
        let error = match outbox.append(record).await {
            Ok(receipt) => match receipt.await {
                Ok(_) => return true,
                Err(AppendError::Closed(_)) => return false,
                Err(error) => error,
            },
            Err(_) => return false,
        };
        if !until_stored {
            // The counts in it are journalled; an outcome behind it must not wait.
            tracing::warn!(%error, "event not stored");
            return true;
        }
        tracing::warn!(%error, "outcome not stored yet");
        tokio::time::sleep(OUTCOME_RETRY_EVERY).await;
    }
}
