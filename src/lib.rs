//! Weir: an edge gateway for water meters.
//!
//! Two flows, one path. Up: bytes come from a [`line`], a driver makes an answer of them, the answer becomes a reading
//! that the [`outbox`] flushes and names, the [`uplink`] hands it to the broker, and the broker's acknowledgement lets
//! it leave the outbox. Down: a signed [`command`] is checked, journalled, carried out ahead of the polls on the same
//! [`line`] by the same driver, and its outcome goes up through the same outbox.
//!
//! ```text
//!   meters ══ line ── driver ── reading ──► outbox (flushed, named) ──► uplink ──► broker
//!                                             ▲                           │
//!                                             └────── acknowledged ───────┘
//! ```
//!
//! Rooms know only what lies in their flow: `line` knows drivers and the outbox's handle, `uplink` knows the outbox,
//! `outbox` knows nobody. `tests/architecture.rs` holds that.

pub mod announce;
pub mod app;
pub mod boots;
pub mod cli;
pub mod clock;
pub mod command;
pub mod config;
pub mod control;
pub mod event;
pub mod id;
pub mod limits;
pub mod line;
pub mod outbox;
pub mod pulse;
pub mod scan;
mod sys;
pub mod timekeeper;
pub mod uplink;
pub mod watcher;
