//! What everybody else holds of the clerk: a way to hand commands in, to ask whether one may start, to end one.
//!
//! The clerk works on a thread of its own, because each of its steps ends with a flush to flash. Its queue is bounded, so
//! whoever hands in a flood waits.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};
use weir_wire::{CommandState, Observed, Reason};

use super::clerk::Start;
use super::config::Rules;
use super::journal::Position;
use crate::line::Exchanged;

/// A handle to the clerk. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Desk(pub(super) mpsc::Sender<Ask>);

/// What the clerk is asked.
#[derive(Debug)]
pub(super) enum Ask {
    /// Somebody hands a message in.
    Take { message: Vec<u8>, origin: Origin, reply: oneshot::Sender<Reception> },
    /// A command's first byte could go on the line now.
    MayStart { id: String, asked: Vec<Exchanged>, reply: oneshot::Sender<Start> },
    /// Whether somebody is to go on with a command.
    IsUnderWay { id: String, reply: oneshot::Sender<bool> },
    /// This passed between gateway and meter.
    Note { id: String, what: &'static str, exchanges: Vec<Exchanged>, reply: oneshot::Sender<()> },
    /// A command is over.
    Finish { id: String, end: End, reply: oneshot::Sender<()> },
    /// An outcome is in the outbox.
    Told { sequence: u64 },
    /// That the journal was damaged is in the outbox.
    DamageTold,
    /// A new nonce is to be published.
    Challenge { reply: oneshot::Sender<Option<String>> },
    /// From where a topic is read.
    Positions { topic: String, reply: oneshot::Sender<Positions> },
    /// These partitions of a topic are read from here on, whatever lies before.
    Begin { topic: String, positions: Vec<(i32, Position)>, reply: oneshot::Sender<bool> },
    /// Other keys, other rules.
    Change { rules: Rules },
    /// A second has passed.
    Tick,
    /// Nothing is asked any more.
    Close { reply: oneshot::Sender<()> },
}

/// Where a message came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The control socket.
    Local,
    /// A topic; it is read from `position` on once this message has been dealt with.
    Topic {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// Behind the message.
        position: Position,
    },
}

/// From where a topic is to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Positions {
    /// From the messages of this time on; `None` when it is not known, and then from behind what is there now. Nothing
    /// that was issued before is meant for this gateway, or it is not known whether it was carried out.
    Since(Option<Timestamp>),
    /// From here; partitions that are not named, from their beginning.
    From(Vec<(i32, Position)>),
}

/// What became of a message that was handed in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reception {
    /// It is a command, and will be carried out.
    Accepted {
        /// The command's id.
        id: String,
    },
    /// It is a command, and will not.
    Rejected {
        /// The command's id.
        id: String,
        /// `rejected` or `expired`.
        state: CommandState,
        /// Why.
        reason: Option<Reason>,
        /// Why, for a person.
        detail: String,
    },
    /// It is a command that is known already.
    Known {
        /// The command's id.
        id: String,
        /// What has become of it.
        state: CommandState,
    },
    /// It proves nothing about its sender, and is only counted.
    Refused {
        /// Why, in a word.
        cause: String,
    },
    /// It cannot be dealt with now, and was not: to be handed in again.
    Busy {
        /// What stands in the way.
        why: String,
    },
}

/// How a command ends.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct End {
    pub(super) state: CommandState,
    pub(super) reason: Option<Reason>,
    pub(super) detail: String,
    pub(super) observed: Option<Observed>,
}

impl Desk {
    /// Hands a message in and waits until it has been dealt with.
    pub async fn take(&self, message: Vec<u8>, origin: Origin) -> Reception {
        let gone = || Reception::Busy { why: "the daemon is stopping".into() };
        self.ask(|reply| Ask::Take { message, origin, reply }).await.unwrap_or_else(gone)
    }

    /// A new nonce, for publication. It and the one before it are good for one command each.
    pub async fn challenge(&self) -> Option<String> {
        self.ask(|reply| Ask::Challenge { reply }).await.flatten()
    }

    /// From now on these keys and rules are in force, also for commands that were accepted and not started.
    pub async fn change(&self, rules: Rules) {
        let _ = self.0.send(Ask::Change { rules }).await;
    }

    /// Whether this command may be started, and if so, that it is: the journal says so when this returns.
    pub(super) async fn may_start(&self, id: &str, asked: Vec<Exchanged>) -> Start {
        self.ask(|reply| Ask::MayStart { id: id.to_owned(), asked, reply }).await.unwrap_or(Start::Over)
    }

    /// Whether somebody is to go on with this command; not when it was superseded meanwhile.
    pub(super) async fn is_under_way(&self, id: &str) -> bool {
        self.ask(|reply| Ask::IsUnderWay { id: id.to_owned(), reply }).await.unwrap_or(false)
    }

    pub(super) async fn note(&self, id: &str, what: &'static str, exchanges: Vec<Exchanged>) {
        let _ = self.ask(|reply| Ask::Note { id: id.to_owned(), what, exchanges, reply }).await;
    }

    pub(super) async fn finish(&self, id: &str, end: End) {
        let _ = self.ask(|reply| Ask::Finish { id: id.to_owned(), end, reply }).await;
    }

    /// `None` when the clerk is gone.
    pub(super) async fn ask<T>(&self, ask: impl FnOnce(oneshot::Sender<T>) -> Ask) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.0.send(ask(reply)).await.ok()?;
        answer.await.ok()
    }
}
