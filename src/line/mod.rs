//! A line: one serial port, level converter or TCP serial server, with every meter wired to it, and the one task that
//! owns it.
//!
//! ```text
//!   the line      down ──── port opened ────► up ──┐ one turn: a poll, or a wait of at most a second
//!                  ▲                          │ ▲──┘
//!                  └── port gone (line-down) ─┘        back: line-up
//!
//!   its polls     made ◄──── outbox took what it had refused ──── paused
//!                  │ └──────────── outbox refuses a record ──────────►
//!                  ├─── a job begins (line-lent) ───► paused
//!                  ◄─── it is over (line-returned) ──────┘
//!
//!   a meter       ok ── poll failed ──► failing ── third in a row ──► silent (meter-silent)
//!                  ▲                       │                            │
//!                  └────── it answers ─────┴────────── (meter-back) ────┘
//!
//!   its poll      slot comes ─► due ─► on the wire ─► reading │ refused: closed until the next slot
//!                                ▲          ├─ silent, garbled, requests left (late window) ─► rests ─► due
//!                                │          └─ silent, garbled for good ─► backed off ─► due, as one probe
//!                                └───────────── line went down ─┘
//! ```
//!
//! There is one writer of all of it, the task (`task`, `poll`); other rooms hold a [`Handle`], through which they ask
//! for reads, make a [`Visit`] to a meter (`visit`: the command path), run a [`Job`] on the line in place of
//! its polls (`lending`), and look at snapshots. The rules are in files that hold neither clock nor port: `schedule` (when a meter is
//! due), `queue` (whose turn it is), `health` (back-off and events), `budget` (battery). All waiting for bytes is in
//! `exchange`, all opening and setting of ports in `port`, and `delivery` hands over to the outbox.

mod budget;
mod config;
mod delivery;
mod exchange;
mod handle;
mod health;
mod job;
mod lending;
mod once;
mod pass_through;
mod poll;
mod port;
mod queue;
mod reading;
mod register;
mod schedule;
mod status;
mod task;
mod tool;
mod trace;
mod visit;

pub use config::{Config, Meter, Port, Rs485};
pub use exchange::Exchanged;
pub use handle::{Handle, ReadError};
pub use health::MeterState;
pub use job::{Ending, Job, JobError, Lent, Terms};
pub use once::{read_once, run_once};
pub use pass_through::{Fixed, PassThrough};
pub use status::{Counters, LastFault, LastReading, LineStatus, MeterStatus};
pub use task::start;
pub use trace::{Frame, FrameKind, Shown, Watching};
pub use visit::{AtMeter, Urgency, Visit, VisitError};

#[cfg(test)]
mod tests;
