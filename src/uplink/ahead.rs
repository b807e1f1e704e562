//! Messages made ahead of their turn: after an outage decoding and JSON are most of the work, and a thread beside the one that
//! sends does them, one batch at a time.
//!
//! Only what is settled already can be made ahead. A reading whose time is not known yet is made when its turn comes.

use std::future::pending;
use std::panic::resume_unwind;
use std::sync::Arc;

use tokio::task::{JoinHandle, spawn_blocking};

use super::hold::Hold;
use super::message::{Message, Unsendable};
use crate::limits::UPLINK_FEED_RECORDS;
use crate::outbox::{Closed, Stored};

/// A record that waits for its turn, with its message where that could be made ahead.
#[derive(Debug)]
pub(super) struct Ahead {
    pub(super) stored: Stored,
    message: Option<Message>,
}

impl Ahead {
    fn of(batch: Vec<Stored>, gateway: &str) -> Vec<Self> {
        let made = |stored| Self { message: Message::ahead(&stored, gateway), stored };
        batch.into_iter().map(made).collect()
    }

    /// The message to be sent: always the same for the same record. `None` while it has to wait.
    pub(super) fn settled(&mut self, gateway: &str, hold: &mut Hold) -> Result<Option<Message>, Unsendable> {
        match self.message.take() {
            Some(message) => Ok(Some(message)),
            None => Message::settled(&self.stored, gateway, hold),
        }
    }
}

/// Makes one batch at a time.
pub(super) struct Maker {
    gateway: Arc<str>,
    making: Option<JoinHandle<Vec<Ahead>>>,
}

impl Maker {
    pub(super) fn new(gateway: &Arc<str>) -> Self {
        Self { gateway: Arc::clone(gateway), making: None }
    }

    pub(super) fn is_busy(&self) -> bool {
        self.making.is_some()
    }

    /// A few records are given back at once; more come with [`Maker::made`]. It must not be busy.
    pub(super) fn make(&mut self, batch: Vec<Stored>) -> Vec<Ahead> {
        if batch.len() <= UPLINK_FEED_RECORDS {
            return Ahead::of(batch, &self.gateway);
        }
        let gateway = Arc::clone(&self.gateway);
        self.making = Some(spawn_blocking(move || Ahead::of(batch, &gateway)));
        Vec::new()
    }

    /// The batch that is being made; never, when none is. Safe to drop half-way.
    pub(super) async fn made(&mut self) -> Result<Vec<Ahead>, Closed> {
        let Some(making) = &mut self.making else { return pending().await };
        let made = making.await;
        self.making = None;
        made.map_err(|error| match error.try_into_panic() {
            // As if it had been made here.
            Ok(panic) => resume_unwind(panic),
            // The runtime ends.
            Err(_) => Closed,
        })
    }
}

#[cfg(test)]
mod tests {
    use weir_wire::stored::Record;

    use super::super::doubles::{event, hold, reading};
    use super::*;

    fn unsettled(sequence: u64) -> Stored {
        let stored = reading(sequence, "A-1", 0);
        let Ok(Record::Reading(reading)) = Record::decode(&stored.bytes) else { panic!() };
        let reading = weir_wire::stored::Reading { clock: weir_wire::Clock::Unsynced, ..reading };
        Stored { bytes: Record::Reading(reading).encode().into(), ..stored }
    }

    #[tokio::test]
    async fn what_is_made_ahead_is_what_would_be_made_in_its_turn_and_in_order() {
        for count in [1, UPLINK_FEED_RECORDS, UPLINK_FEED_RECORDS + 1, 4000] {
            let of_kind = |sequence| match sequence % 4 {
                0 => event(sequence),
                1 => unsettled(sequence),
                2 => Stored { bytes: vec![200, 1, 2].into(), ..event(sequence) },
                _ => reading(sequence, "A-1", 20),
            };
            let batch: Vec<Stored> = (1..).map(of_kind).take(count).collect();
            let mut maker = Maker::new(&"gw".into());
            let mut made = maker.make(batch.clone());
            assert_eq!(maker.is_busy(), count > UPLINK_FEED_RECORDS);
            if maker.is_busy() {
                made = maker.made().await.unwrap();
            }
            assert!(!maker.is_busy());
            assert_eq!(made.len(), count);
            for (ahead, stored) in made.iter_mut().zip(&batch) {
                assert_eq!(ahead.stored, *stored);
                assert_eq!(ahead.message.is_some(), [0, 3].contains(&(stored.name.sequence % 4)));
                let [ahead, in_turn] =
                    [ahead.settled("gw", &mut hold()), Message::settled(stored, "gw", &mut hold())];
                assert_eq!(ahead.map_err(|why| why.to_string()), in_turn.map_err(|why| why.to_string()));
            }
        }
    }
}
