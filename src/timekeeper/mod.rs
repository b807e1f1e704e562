//! The keeper of the clock: sees when it can be trusted and when it jumps, keeps the floor, and tells.
//!
//! Once a second it looks at the kernel's word and the wall clock. The first trusted look of a boot settles the boot's wall
//! time in [`Boots`], flushed, and only then is it told in a `clock-set` event; later jumps are told too, and mend nothing.
//! The *floor* is a time that is certainly past: it follows the trusted clock at a distance, so that after a boot without
//! a battery clock a wrong time is known for one, even when the kernel takes it for synchronised.
//!
//! What this deliberately does not do: set the clock, which is the business of the machine's own time service.

mod judge;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};
use weir_wire::Clock;
use weir_wire::stored::{Event, Record, What};

use crate::boots::Boots;
use crate::clock;
use crate::event;
use crate::limits::{CLOCK_FLOOR_FIRST, CLOCK_FLOOR_LAST, LINE_TURN};
use crate::outbox::Outbox;
use crate::pulse::Pulse;
use judge::{ClockSet, Judge, Seen};

/// The running keeper of the clock.
#[derive(Debug)]
pub struct Handle {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
    pulse: Pulse,
}

impl Handle {
    /// Its pulse, for the watchdog.
    pub fn pulse(&self) -> Pulse {
        self.pulse.clone()
    }

    /// Keeps the floor a last time and ends.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        // An error means that the task is gone, which is what is waited for.
        let _ = self.task.await;
    }
}

/// Puts the floor in force and starts to look after the clock. Must be called inside a Tokio runtime with time.
pub fn start(boots: Boots, outbox: Outbox) -> Handle {
    let mut floor = boots.floor().max(CLOCK_FLOOR_FIRST);
    if floor > CLOCK_FLOOR_LAST {
        tracing::error!(%floor, "the clock's floor lies in the future, it is taken for none");
        floor = CLOCK_FLOOR_FIRST;
    }
    clock::set_floor(floor);
    let boot = clock::boot();
    let judge = Judge::new(floor, boots.at(boot));
    let pulse = Pulse::new("timekeeper");
    let (stop, stopped) = watch::channel(false);
    let keeper = Timekeeper { boots, outbox, boot, judge, pulse: pulse.clone(), is_complaining: false };
    Handle { stop, task: tokio::spawn(keeper.run(stopped)), pulse }
}

struct Timekeeper {
    boots: Boots,
    outbox: Outbox,
    boot: u32,
    judge: Judge,
    pulse: Pulse,
    is_complaining: bool,
}

impl Timekeeper {
    async fn run(mut self, mut stopped: watch::Receiver<bool>) {
        let mut turn = interval(LINE_TURN);
        turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = asked_to_stop(&mut stopped) => break,
                _ = turn.tick() => self.look().await,
            }
        }
        if let Some(floor) = self.judge.risen_floor(seen()) {
            self.keep_floor(floor).await;
        }
    }

    async fn look(&mut self) {
        self.pulse.beat();
        let seen = seen();
        let verdict = self.judge.look(seen);
        if verdict.is_trusted && self.boot != 0 && self.boots.at(self.boot).is_none() {
            self.learn(seen.boot_at()).await;
        }
        if let Some(event) = verdict.event {
            self.tell(event);
        }
        if let Some(floor) = verdict.floor {
            self.keep_floor(floor).await;
        }
    }

    async fn learn(&mut self, boot_at: Timestamp) {
        let (boots, boot) = (self.boots.clone(), self.boot);
        self.flush(move || boots.learn(boot, boot_at).map(drop)).await;
    }

    async fn keep_floor(&mut self, floor: Timestamp) {
        clock::set_floor(floor);
        let boots = self.boots.clone();
        self.flush(move || boots.set_floor(floor)).await;
    }

    /// Off the runtime's workers, on which the lines keep time. What fails is said once and tried again when it is due.
    async fn flush(&mut self, flush: impl FnOnce() -> std::io::Result<()> + Send + 'static) {
        let flushed = tokio::task::spawn_blocking(flush).await.map_err(std::io::Error::other);
        match flushed.and_then(|flushed| flushed) {
            Ok(()) => self.is_complaining = false,
            Err(error) if !self.is_complaining => {
                self.is_complaining = true;
                tracing::error!(%error, "the boots' times cannot be kept");
            }
            Err(_) => {}
        }
    }

    fn tell(&self, ClockSet { boot_at, is_trusted, step_ms }: ClockSet) {
        tracing::info!(%boot_at, is_trusted, step_ms, "clock set");
        // By the verdict that is told: the clock may have moved again since.
        let clock = if is_trusted { Clock::Synced } else { Clock::Unsynced };
        let event = Record::Event(Event { clock, ..event::now(What::ClockSet { boot_at, step_ms }) });
        // Not waited for: on a full disk it is stored when there is room again.
        let outbox = self.outbox.clone();
        tokio::spawn(async move { outbox.tell(&event).await });
    }
}

/// Also when nobody is left to ask.
async fn asked_to_stop(stopped: &mut watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

fn seen() -> Seen {
    // The kernel's word first: a clock that is set in between is taken for set at the next look.
    let is_synced = clock::is_synced();
    Seen { wall: clock::wall(), now: clock::now(), is_synced }
}

#[cfg(test)]
mod tests;
