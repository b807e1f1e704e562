//! The way down: signed commands for meters, checked, journalled, carried out once, read back, answered.
//!
//! ```text
//!   topic ── inbox ──┐                             ┌── line: visit, ahead of all polls
//!                    ├─► clerk ─► journal ─► crew ─┤      who is there · may it start? · write
//!   weir commands ───┘   │  ▲  (flushed)           └── line: look, until the meter shows it
//!   submit               │  └───── started? finished ──────┘
//!                        └─► teller ─► outbox, urgent lane ─► broker
//! ```
//!
//! A command's life, of which the clerk is the one writer, each step flushed before the next is taken:
//!
//! ```text
//!   accepted ──► started ──► done · unverified · failed · unknown
//!      │  └──────────────────► rejected · expired
//!      └ (never accepted) ───► rejected · expired
//! ```
//!
//! # Promises
//!
//! 1. A write to a meter is made at most once. `started` is on flash before its first byte is on the line, and a command
//!    that is started is never carried out again, whatever happens.
//! 2. Nothing unauthenticated moves a valve: [`verify`], [`authorise`], at arrival and again before the start.
//! 3. Every command to this gateway that was proven to come from a known key ends in exactly one final outcome, and that
//!    outcome is the same however often it is told. One that cannot be remembered, or may have had its end before the
//!    journal was begun, is refused and counted, with no outcome.
//! 4. What proves nothing about its sender costs a count and no more: no outcome, no flash beyond two lines in twenty
//!    seconds, no place in memory.
//! 5. Off until configured.
//!
//! # Limits
//!
//! At most once is bought with `unknown`: after a crash between the write and its journalled end only the meter can tell,
//! and a meter that cannot be asked leaves it open. A gateway whose flash lies (takes a flush and forgets it) can repeat a
//! write. Whoever holds a key's private part can do what the key may; `docs/SECURITY.md` says what follows.

pub mod authorise;
mod challenge;
mod clerk;
pub mod closings;
mod config;
mod desk;
mod execute;
pub mod inbox;
pub mod journal;
pub mod jws;
pub mod keys;
mod payload;
mod refusals;
mod stop_switch;
mod teller;
pub mod verify;

#[cfg(test)]
mod tests;

use std::collections::HashMap;

use jiff::tz::TimeZone;
use tokio::runtime;
use tokio::sync::{mpsc, oneshot};
use weir_wire::{Command, CommandState, Reason};

pub use config::{Config, Rules};
pub use desk::{Desk, Origin, Reception};
pub use stop_switch::StopSwitch;

use self::authorise::Expected;
use self::clerk::{Clerk, Crew};
use self::desk::Ask;
use self::execute::{Deadline, Site};
use self::journal::Journal;
use crate::limits::{CLERK_ASKED_MAX, CLERK_TICK, COMMAND_STOP_MAX};
use crate::line;
use crate::outbox::Outbox;
use crate::pulse::Pulse;

/// The running command path.
#[derive(Debug)]
pub struct Handle {
    desk: Desk,
    inbox: Option<inbox::Inbox>,
    pulses: Vec<Pulse>,
}

/// Why commands could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The journal.
    #[error("journal of commands: {0}")]
    Journal(#[from] journal::OpenError),
    /// No thread.
    #[error("thread: {0}")]
    Thread(#[from] std::io::Error),
}

/// Starts the command path: takes up what an earlier start has left, and then reads the topic. Must be called inside a
/// Tokio runtime with time.
///
/// # Errors
/// See [`StartError`]. A damaged journal is none: it is set aside and reported.
pub fn start(
    config: Config,
    inbox: Option<inbox::Config>,
    zone: TimeZone,
    lines: &[line::Handle],
    outbox: &Outbox,
) -> Result<Handle, StartError> {
    let journal = Journal::open(&config.directory, clerk::stamp(&config.rules))?;
    let (asks, mut asked) = mpsc::channel(CLERK_ASKED_MAX);
    let desk = Desk(asks);
    let teller = teller::start(outbox.clone(), desk.clone());
    let crew = Lines {
        lines: lines.iter().map(|line| (line.name(), line.clone())).collect(),
        meters: config
            .rules
            .policy
            .meters
            .iter()
            .map(|(id, meter)| (id.clone(), (meter.line.clone(), meter.expected.clone())))
            .collect(),
        zone,
        desk: desk.clone(),
        runtime: runtime::Handle::current(),
    };
    let trust_clock = config.rules.trust_clock;
    let stop_switch = StopSwitch::in_directory(&config.directory);
    let clerk = Clerk::new(config.gateway, config.rules, journal, stop_switch, teller, crew);
    // Without it commands are still handed in on the spot.
    let inbox = inbox
        .map(|config| inbox::start(config, trust_clock, desk.clone()))
        .transpose()
        .unwrap_or_else(|error| {
            tracing::error!(%error, "no commands are read from Kafka until the next start");
            None
        });
    let pulse = Pulse::new("clerk of commands");
    let beating = pulse.clone();
    std::thread::Builder::new().name("clerk".into()).spawn(move || serve(clerk, &mut asked, &beating))?;
    tokio::spawn(tick(desk.clone()));
    let mut pulses = vec![pulse];
    pulses.extend(inbox.as_ref().map(inbox::Inbox::pulse));
    Ok(Handle { desk, inbox, pulses })
}

impl Handle {
    /// The clerk's desk.
    pub fn desk(&self) -> Desk {
        self.desk.clone()
    }

    /// The pulses of its loops, for the watchdog.
    pub fn pulses(&self) -> Vec<Pulse> {
        self.pulses.clone()
    }

    /// Takes no more from the topic. Commands under way are not waited for: the lines end them, or the next start does.
    pub fn stop_reading(&self) {
        if let Some(inbox) = &self.inbox {
            inbox.stop();
        }
    }

    /// Closes the journal. To be called when the lines have stopped.
    pub async fn stop(self) {
        self.stop_reading();
        let closed = self.desk.ask(|reply| Ask::Close { reply });
        if tokio::time::timeout(COMMAND_STOP_MAX, closed).await.is_err() {
            tracing::warn!("the clerk of commands did not close in time");
        }
    }
}

/// The clerk's thread.
fn serve<C: Crew>(mut clerk: Clerk<C>, asked: &mut mpsc::Receiver<Ask>, pulse: &Pulse) {
    clerk.resume();
    while let Some(ask) = asked.blocking_recv() {
        // After a failure that only a fresh start mends, the watcher and systemd see to one.
        if !clerk.is_stuck() {
            pulse.beat();
        }
        match ask {
            Ask::Take { message, origin, reply } => answer(reply, clerk.take(&message, &origin)),
            Ask::MayStart { id, asked, reply } => answer(reply, clerk.may_start(&id, asked)),
            Ask::IsUnderWay { id, reply } => answer(reply, clerk.is_under_way(&id)),
            Ask::Note { id, what, exchanges, reply } => {
                clerk.note(&id, what, exchanges);
                answer(reply, ());
            }
            Ask::Finish { id, end, reply } => {
                clerk.finish(&id, end);
                answer(reply, ());
            }
            Ask::Told { sequence } => clerk.told(sequence),
            Ask::DamageTold => clerk.damage_told(),
            Ask::Challenge { reply } => answer(reply, clerk.challenge()),
            Ask::Positions { topic, reply } => answer(reply, clerk.positions(&topic)),
            Ask::Begin { topic, positions, reply } => answer(reply, clerk.begin(&topic, &positions)),
            Ask::Change { rules } => clerk.change(rules),
            Ask::Tick => clerk.tick(),
            Ask::Close { reply } => {
                clerk.close();
                return answer(reply, ());
            }
        }
    }
}

/// Whoever asked may have gone; what was done is done.
fn answer<T>(reply: oneshot::Sender<T>, answer: T) {
    let _ = reply.send(answer);
}

async fn tick(desk: Desk) {
    let mut ticks = tokio::time::interval(CLERK_TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if desk.0.send(Ask::Tick).await.is_err() {
            return;
        }
    }
}

/// The crew that works on the lines, each command as a task of its own; the clerk lets one that writes and one that reads to a
/// meter at a time.
struct Lines {
    lines: HashMap<String, line::Handle>,
    /// By meter: its line, and who it must say it is.
    meters: HashMap<String, (String, Expected)>,
    zone: TimeZone,
    desk: Desk,
    runtime: runtime::Handle,
}

impl Lines {
    fn site(&self, meter: &str) -> Option<Site> {
        let (line, expected) = self.meters.get(meter)?;
        let line = self.lines.get(line)?.clone();
        Some(Site { line, expected: expected.clone(), zone: self.zone.clone(), desk: self.desk.clone() })
    }

    /// Meters and lines are of one configuration, and a command must not stay open should they differ.
    fn no_line(&self, id: String, state: CommandState, reason: Reason) {
        let desk = self.desk.clone();
        let detail = "the meter's line is not there".to_owned();
        let end = desk::End { state, reason: Some(reason), detail, observed: None };
        drop(self.runtime.spawn(async move { desk.finish(&id, end).await }));
    }
}

impl Crew for Lines {
    fn carry_out(&self, command: Command, deadline: Deadline) {
        match self.site(&command.meter) {
            Some(site) => drop(self.runtime.spawn(site.carry_out(command, deadline))),
            None => self.no_line(command.id, CommandState::Rejected, Reason::UnknownMeter),
        }
    }

    fn recover(&self, command: Command) {
        match self.site(&command.meter) {
            Some(site) => drop(self.runtime.spawn(site.recover(command))),
            None => self.no_line(command.id, CommandState::Unknown, Reason::Interrupted),
        }
    }
}
