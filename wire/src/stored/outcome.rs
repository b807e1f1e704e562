//! Outcomes before they have an id. It is made of what they say, and not of their place in the outbox: the command room may
//! tell an outcome again after a crash, and for whoever reads the topic it is still the same one.

use jiff::Timestamp;

use crate::{Action, Clock, CommandState, Observed, Reason};

/// What has become of a command, before it has an id.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The command's id.
    pub command: String,
    /// The meter's id, as the command named it.
    pub meter: String,
    /// What was ordered.
    pub action: Action,
    /// What has become of it.
    pub state: CommandState,
    /// Whether the command ends with it; false too of a [`Reason::Duplicate`].
    pub is_final: bool,
    /// When, by the gateway's clock. Kept to the millisecond.
    pub at: Timestamp,
    /// How far that clock could be trusted: `Synced` or `Unsynced`.
    pub clock: Clock,
    /// Why it did not end as ordered.
    pub reason: Option<Reason>,
    /// What the meter showed; its clock is kept to the second.
    pub observed: Option<Observed>,
    /// What happened, in words for a person.
    pub detail: Option<String>,
}

impl Outcome {
    /// `<gateway>:<command>:<state>`. What is told of another command under a known id is not told of the one that has the
    /// id: `<gateway>:<command>:duplicate`.
    pub fn id(&self, gateway: &str) -> String {
        let what = match &self.reason {
            Some(duplicate @ Reason::Duplicate) => duplicate.as_str(),
            _ => self.state.as_str(),
        };
        format!("{gateway}:{}:{what}", self.command)
    }

    /// The outcome as the topic carries it.
    pub fn named(self, gateway: &str) -> crate::Outcome {
        crate::Outcome {
            id: self.id(gateway),
            command: self.command,
            gateway: gateway.to_owned(),
            meter: self.meter,
            action: self.action,
            state: self.state,
            r#final: self.is_final,
            at: self.at,
            clock: self.clock,
            reason: self.reason,
            observed: self.observed,
            detail: self.detail,
        }
    }
}
