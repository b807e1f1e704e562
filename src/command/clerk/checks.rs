//! What may hold a command back besides its freshness: asked at its arrival, and again when it is about to start.

use jiff::Timestamp;
use weir_wire::{Clock, Reason};

use super::{Clerk, Crew, moves_valve};
use crate::clock;
use crate::command::authorise::{Denial, authorise, writes};
use crate::command::closings::Closings;
use crate::command::verify::Verified;
use crate::limits::{COMMANDS_OPEN_MAX, READS_OPEN_MAX};

impl<C: Crew> Clerk<C> {
    /// Whether what became of it must be in the journal, if anything did. Of one that is older nothing is known, not even
    /// whether it has an end, so it gets none here.
    pub(super) fn is_younger_than_the_journal(&self, verified: &Verified, is_good: bool) -> bool {
        // A challenge of this start is younger than the journal. The signer's clock may be ahead.
        let is_proven = verified.by_challenge && is_good;
        let began = self.journal.state().began().and_then(|at| at.checked_add(self.rules.skew).ok());
        is_proven || began.map_or(!is_good, |at| verified.command.issued_at > at)
    }

    /// Everything that may hold a command back besides its freshness.
    pub(super) fn may(&self, verified: &Verified) -> Result<(), Denial> {
        let state = self.journal.state();
        let command = &verified.command;
        let too_many =
            |what| Err(Denial { reason: Reason::LimitReached, detail: format!("{what} are open") });
        if state.unfinished().count() >= COMMANDS_OPEN_MAX {
            return too_many(format!("{COMMANDS_OPEN_MAX} commands"));
        }
        let reads = state.unfinished().filter(|open| !writes(&open.command.action)).count();
        if !writes(&command.action) && reads >= READS_OPEN_MAX {
            return too_many(format!("{READS_OPEN_MAX} commands that read"));
        }
        self.authorised(verified)?;
        match self.last_valve(verified) {
            Some(last) if command.issued_at <= last => Err(superseded()),
            _ => Ok(()),
        }
    }

    /// What is asked once more of a command that was accepted.
    pub(super) fn may_still(&self, verified: &Verified) -> Result<(), Denial> {
        let issued_at = verified.command.issued_at;
        // A challenge let it in, and an earlier start knew that.
        if !verified.by_challenge && issued_at > self.latest() {
            let detail = format!("issued in the future, at {issued_at}");
            return Err(Denial { reason: Reason::Stale, detail });
        }
        self.authorised(verified)?;
        // One that is superseded is over, unless a crash came between.
        match self.last_valve(verified) {
            Some(last) if issued_at < last => Err(superseded()),
            _ => Ok(()),
        }
    }

    /// The latest that a signer's clock may show.
    fn latest(&self) -> Timestamp {
        self.now().at.checked_add(self.rules.skew).unwrap_or(Timestamp::MAX)
    }

    /// When the valve command of the same meter was issued that was issued last; `None` where that does not matter. A date
    /// that is known to lie in the future, which only a challenge lets in, holds back nothing.
    fn last_valve(&self, verified: &Verified) -> Option<Timestamp> {
        let command = &verified.command;
        let (latest, is_trusted) = (self.latest(), self.now().clock == Clock::Synced);
        let last = self.journal.state().last_valve(&command.meter);
        last.filter(|last| moves_valve(&command.action) && (!is_trusted || *last <= latest))
    }

    pub(super) fn authorised(&self, verified: &Verified) -> Result<(), Denial> {
        let closings: Closings = self.journal.state().closings().collect();
        authorise(verified, &self.rules.policy, &closings, self.stop_switch.is_set(), clock::wall())
    }
}

fn superseded() -> Denial {
    Denial {
        reason: Reason::Superseded,
        detail: "a valve command for this meter was issued later".to_owned(),
    }
}
