//! Tells every few minutes how the gateway does, in a `status` event: what waits, the lines' load, and the nonce with
//! which a command can prove that it is fresh.
//!
//! The nonce must go up in time to be of use to a gateway whose clock is wrong, so the first event comes with the start.

use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};
use weir_wire::stored::{Record, What};
use weir_wire::{LineStatus, Waiting};

use crate::command::Desk;
use crate::event;
use crate::limits::STATUS_EVERY;
use crate::line;
use crate::outbox::Outbox;

/// Starts to announce. Ends when the outbox is closed, or the task is aborted.
pub fn start(outbox: Outbox, lines: Vec<line::Handle>, desk: Option<Desk>) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut ticks = interval(STATUS_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let Ok(stats) = outbox.stats().await else { return };
            let challenge = match &desk {
                Some(desk) => desk.challenge().await,
                None => None,
            };
            let oldest = [&stats.urgent, &stats.readings].map(|lane| lane.oldest_waiting_at);
            let status = What::Status {
                challenge,
                version: env!("CARGO_PKG_VERSION").to_owned(),
                waiting: Waiting { urgent: stats.urgent.waiting, readings: stats.readings.waiting },
                oldest_waiting_at: oldest.into_iter().flatten().min(),
                disk_bytes: stats.urgent.disk_bytes + stats.readings.disk_bytes,
                lines: lines.iter().map(status).collect(),
            };
            outbox.tell(&Record::Event(event::now(status))).await;
        }
    })
}

fn status(line: &line::Handle) -> LineStatus {
    let line::LineStatus { name, up, busy_ms, running_ms, .. } = line.status();
    let load = u8::try_from(busy_ms.saturating_mul(100) / running_ms.max(1)).unwrap_or(100).min(100);
    LineStatus { line: name, up, load }
}
