//! The control socket: what the command line asks of a running daemon.
//!
//! A Unix stream socket, JSON lines: one [`Request`] a line, one [`Reply`] a line, in order. Only the daemon touches
//! ports and the outbox while it runs, so `weir read` and `weir outbox stats` come here first; they open port or files
//! themselves only when nobody listens. The socket's directory decides who may connect (the unit makes it 0750).
//!
//! Some requests take a while and are told of as they go on: [`Request::Lend`] has a reply when it begins and one when it
//! ends, [`Request::Trace`] one for each frame. Such a request is over when its connection is closed, and the connection with it.
//!
//! Commands for valves come here too, signed as on the topic and through the same checks; nothing else moves one.

mod client;
mod lend;
mod search;
mod server;
mod trace;

pub use client::{AskError, Client};
pub use server::{BindError, Served, Server};

use jiff::Timestamp;
use jiff::civil::DateTime;
use serde::{Deserialize, Serialize};
use weir_wire::{Clock, Identity, Status, Value, stored};

use crate::command::Reception;
use crate::line::{Frame, LineStatus};
use crate::outbox::Stats;
use crate::scan;
use crate::uplink::Condition;

/// What may be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// Read this meter now, ahead of the polls that have not started. The reading is stored and sent like any other.
    Read {
        /// The meter's id.
        meter: String,
    },
    /// The outbox and the uplink in figures.
    OutboxStats,
    /// Lines and meters as they are now.
    Lines,
    /// Search a line for meters, until it is done or the connection is closed. Polls pause meanwhile.
    Scan {
        /// The line's name.
        line: String,
        /// What is searched for.
        wanted: scan::Wanted,
    },
    /// Lend a line to a vendor's tool until the time is up or the connection is closed. Polls pause meanwhile.
    Lend(Lend),
    /// Hand in a signed command, as if it had come by the topic.
    Submit {
        /// The JWS.
        jws: String,
    },
    /// Show what passes on a line until the connection is closed.
    Trace {
        /// The line's name.
        line: String,
    },
}

/// How a line is lent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lend {
    /// The line's name.
    pub line: String,
    /// For how many seconds at most.
    pub seconds: u64,
    /// By a TCP port of the loopback address (0: any that is free) in place of a pty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp: Option<u16>,
    /// A speed in place of the one that the tool sets on its pty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baud: Option<u32>,
    /// A parity in place of that of the line's first meter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parity: Option<Parity>,
    /// Stop bits, 1 or 2, in place of those that the tool sets on its pty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_bits: Option<u8>,
}

/// The parity bit of a character.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Parity {
    /// No parity bit.
    None,
    /// Even parity.
    Even,
    /// Odd parity.
    Odd,
}

/// What is answered. Tagged from outside, `{"read": {…}}`: with a tag inside, serde would buffer the exact numbers away.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// To [`Request::Read`].
    Read(Box<ReadReply>),
    /// To [`Request::OutboxStats`].
    OutboxStats(Box<OutboxReport>),
    /// To [`Request::Lines`].
    Lines {
        /// Every line.
        lines: Vec<LineStatus>,
    },
    /// To [`Request::Scan`], many times: what it is doing.
    ScanStep(scan::Progress),
    /// To [`Request::Scan`]: what came of it.
    Scan(scan::Report),
    /// To [`Request::Submit`].
    Submitted(Reception),
    /// To [`Request::Trace`]: it is watched from now on.
    Watching {
        /// The line's name.
        line: String,
        /// How it is.
        status: Box<LineStatus>,
    },
    /// To [`Request::Trace`].
    Frame(Frame),
    /// To [`Request::Trace`]: whoever watches is slower than the line.
    FramesLost {
        /// Frames that are not shown.
        count: u64,
    },
    /// To [`Request::Lend`]: the line is the tool's from now on.
    Lent {
        /// Where the tool finds it: the path of a pty, or an address.
        place: String,
        /// What the port is set to, such as `9600 8N1`.
        serial: String,
        /// When it is taken back.
        until: Timestamp,
    },
    /// To [`Request::Lend`]: the line is polled again.
    Returned {
        /// Why.
        why: String,
    },
    /// The request was understood and cannot be met.
    Refused {
        /// Why, as a code: `unknown-meter`, `busy`, `budget-spent`, `silent`, `garbled`, `refused`, `line-down`, `line-lent`,
        /// `unknown-line`, `bad-request`,
        /// `closed`, `commands-off`.
        reason: String,
        /// Why, for a person.
        detail: String,
    },
}

/// One poll that somebody asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReadReply {
    /// The meter's id.
    pub meter: String,
    /// Its line.
    pub line: String,
    /// Its driver.
    pub driver: String,
    /// When the answer was complete.
    pub read_at: Timestamp,
    /// How far that time can be trusted.
    pub clock: Clock,
    /// Who the meter says it is.
    pub identity: Identity,
    /// The meter's own clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meter_time: Option<DateTime>,
    /// Every value.
    pub values: Vec<Value>,
    /// Valve, battery, alarms.
    pub status: Status,
}

impl From<stored::Reading> for ReadReply {
    fn from(reading: stored::Reading) -> Self {
        let stored::Reading { line, meter, driver, read_at, clock, answer, .. } = reading;
        Self {
            meter,
            line,
            driver,
            read_at,
            clock,
            identity: answer.identity,
            meter_time: answer.meter_time,
            values: answer.values,
            status: answer.status,
        }
    }
}

/// The outbox and what drains it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutboxReport {
    /// The outbox.
    pub outbox: Stats,
    /// The urgent lane's way to the broker; absent when no daemon runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub urgent_uplink: Option<Condition>,
    /// The readings lane's way to the broker; absent when no daemon runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub readings_uplink: Option<Condition>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_wire::{Number, Quantity, Unit};

    #[test]
    fn exact_digits_cross_the_socket() {
        let value = Value::number(Quantity::Volume, Number::scaled(123_450, -3).unwrap(), Unit::CubicMetre);
        let reply = Reply::Read(Box::new(ReadReply {
            meter: "A-101".into(),
            line: "riser-1".into(),
            driver: "mbus".into(),
            read_at: Timestamp::UNIX_EPOCH,
            clock: Clock::Synced,
            identity: Identity::default(),
            meter_time: None,
            values: vec![value],
            status: Status::default(),
        }));
        let json = serde_json::to_string(&reply).unwrap();
        assert!(json.contains("123.450"), "{json}");
        assert_eq!(serde_json::from_str::<Reply>(&json).unwrap(), reply);
    }

    #[test]
    fn a_request_is_one_flat_object() {
        let json = r#"{"ask":"read","meter":"A-101"}"#;
        let request = Request::Read { meter: "A-101".into() };
        assert_eq!(serde_json::from_str::<Request>(json).unwrap(), request);
        assert_eq!(serde_json::to_string(&request).unwrap(), json);
    }
}
