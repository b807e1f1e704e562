//! The words that every part of Weir shares, and the two forms they travel in.
//!
//! * **On the network** a [`Reading`], an [`Event`] and an [`Outcome`] are JSON, and so is the [`Command`] under a signature.
//!   The public types *are* that contract: `serde_json` on them gives and takes exactly what the topics carry. `golden/`
//!   holds one file for every shape.
//! * **On flash** a [`stored::Record`] is a compact binary mirror of the same, a few tens of bytes for a plain water
//!   reading. It is a mirror, and not a second derive on the same types, so that a change of the JSON cannot silently
//!   change what a running gateway finds in its outbox after an upgrade.
//!
//! Numbers are decimals from the meter's digits to the consumer ([`Number`]); no binary float is ever in between.
//!
//! What this crate deliberately does not do: talk to anything, read a clock, or know how an id is made, but an outcome's,
//! which says no more than the outcome itself.

mod command;
mod event;
mod names;
mod number;
mod outcome;
mod reading;
pub mod stored;
mod value;

pub use command::{Command, Tariff, TariffStep};
pub use event::{Event, EventKind, GapCause, GapOfMeter, LineStatus, RefusedCount, Waiting};
pub use names::{Action, CommandState, Function, Medium, Quantity, Reason, RefusalCause, Unit, Valve};
pub use number::{Number, NumberError};
pub use outcome::{Observed, Outcome};
pub use reading::{Answer, Clock, Identity, Reading, Status};
pub use value::{Content, Raw, Value};

/// The `weir-schema` header of a reading.
pub const SCHEMA_READING: &str = "reading/1";
/// The `weir-schema` header of an event.
pub const SCHEMA_EVENT: &str = "event/1";
/// The `weir-schema` header of a command.
pub const SCHEMA_COMMAND: &str = "command/1";
/// The `weir-schema` header of an outcome.
pub const SCHEMA_OUTCOME: &str = "outcome/1";
/// The `typ` of a command's JWS header.
pub const COMMAND_TYP: &str = "weir-command+jws";
