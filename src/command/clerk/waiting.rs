//! Commands that are accepted and not started: for what they wait, and when that is over.
//!
//! A command waits for its meter, one at a time to each, one that writes and one that reads, and for a clock that can be trusted. What it waits for keeps no other
//! from its meter that waits for less; and what only reads keeps none that writes: a read that is tried again all day must
//! not hold up a valve. It is over when its `not_after` has passed by a clock that can be trusted, and at the
//! latest when so much time has passed that it must have, whatever the clock shows: a gateway that loses its clock, or is
//! started again without one, keeps no command open for ever.

use std::collections::VecDeque;
use std::time::Duration;

use weir_wire::{Action, Clock, Command, CommandState, Reason};

use super::{Clerk, Crew, writes};
use crate::clock::{self, Moment};
use crate::command::config::Rules;
use crate::command::desk::End;
use crate::command::execute::Deadline;
use crate::command::journal::Phase;

/// What of an open command only this start knows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Term {
    /// From then on it is over, whatever the clock shows.
    over_at: Moment,
    /// It was taken by its challenge: it may start under a clock that cannot be trusted, and its dates say nothing.
    by_challenge: bool,
}

impl Term {
    /// Of a command that is accepted now.
    pub(super) fn of_now(command: &Command, by_challenge: bool) -> Self {
        let left = command.not_after.duration_since(clock::wall());
        let time = if by_challenge { lifetime(command) } else { left.try_into().unwrap_or_default() };
        Self { over_at: clock::now() + time, by_challenge }
    }

    /// Of a command that was accepted before this start: it was issued no later than now, and the skew.
    pub(super) fn of_an_earlier_start(command: &Command, rules: &Rules) -> Self {
        Self { over_at: clock::now() + lifetime(command) + rules.skew, by_challenge: false }
    }
}

/// Where one command at a time is at work: a meter's writes, or its reads.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Place {
    meter: String,
    writes: bool,
}

impl Place {
    /// Of this command.
    pub(super) fn of(command: &Command) -> Self {
        Self { meter: command.meter.clone(), writes: writes(&command.action) }
    }
}

/// For how long a command is good.
fn lifetime(command: &Command) -> Duration {
    command.not_after.duration_since(command.issued_at).try_into().unwrap_or_default()
}

impl<C: Crew> Clerk<C> {
    /// Sends the crew to every meter that has a command waiting and nobody at work.
    pub(super) fn send_out(&mut self) {
        let mut still_waiting = VecDeque::new();
        while let Some(id) = self.waiting.pop_front() {
            let open = self.journal.state().open(&id).filter(|open| open.phase == Phase::Accepted);
            let Some(open) = open.filter(|_| !self.unwritten.contains_key(&id)) else { continue };
            let command = open.command.clone();
            let place = Place::of(&command);
            if self.working.contains_key(&place) || !self.is_clock_good_for(&command) {
                still_waiting.push_back(id);
                continue;
            }
            self.working.insert(place, id);
            let deadline = self.deadline(&command);
            self.crew.carry_out(command, deadline);
        }
        self.waiting = still_waiting;
    }

    /// Ends what waits and whose time is over.
    pub(super) fn expire_waiting(&mut self) {
        let state = self.journal.state();
        let open = self.waiting.iter().filter_map(|id| state.open(id));
        let late: Vec<Command> =
            open.filter(|open| self.is_over(&open.command)).map(|open| open.command.clone()).collect();
        for command in late {
            let (reason, detail) = if self.working.contains_key(&Place::of(&command)) {
                (None, "another command was at the meter all the time")
            } else {
                (Some(Reason::ClockNotTrusted), "the clock could not be trusted in time")
            };
            let detail = detail.to_owned();
            self.finish(&command.id, End { state: CommandState::Expired, reason, detail, observed: None });
        }
    }

    /// Whether somebody is to go on with this command: it has no end, and is the one at its meter.
    pub(in crate::command) fn is_under_way(&self, id: &str) -> bool {
        let open = self.journal.state().open(id).filter(|_| !self.unwritten.contains_key(id));
        open.is_some_and(|open| {
            self.working.get(&Place::of(&open.command)).is_some_and(|working| working == id)
        })
    }

    /// Whether a command may start as far as the clock goes. A meter's clock is never set to what cannot be trusted.
    pub(super) fn is_clock_good_for(&self, command: &Command) -> bool {
        let needs_none = self.is_by_challenge(&command.id) && command.action != Action::ClockSet;
        needs_none || self.now().clock == Clock::Synced
    }

    pub(super) fn is_by_challenge(&self, id: &str) -> bool {
        self.terms.get(id).is_some_and(|term| term.by_challenge)
    }

    /// Whether its time is over.
    pub(super) fn is_over(&self, command: &Command) -> bool {
        let Deadline { over_at, not_after } = self.deadline(command);
        let is_past = not_after.is_some_and(|at| self.now().clock == Clock::Synced && at <= clock::wall());
        is_past || over_at <= clock::now()
    }

    fn deadline(&self, command: &Command) -> Deadline {
        let term = self.terms.get(&command.id).copied();
        let Term { over_at, by_challenge } =
            term.unwrap_or_else(|| Term::of_an_earlier_start(command, &self.rules));
        Deadline { over_at, not_after: (!by_challenge).then_some(command.not_after) }
    }
}
