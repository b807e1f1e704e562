//! The clerk: the one writer of the journal, and the one who says what may be.
//!
//! ```text
//!   message ─► verified? ─ no ─► counted (nothing is known of its sender)
//!                 │ yes
//!                 ├─ seen before ─► its state is told again; other content under its id: duplicate
//!                 ├─ not fresh, not authorised, older than the meter's last ─► rejected, expired
//!                 └─► accepted ─ flushed ─► waits for its meter ─► crew ─ may it start? ─ flushed ─► first byte
//! ```
//!
//! It works on a thread of its own, one request after the other, and each answer means that what it says is on flash.
//! It never waits for a line or for the outbox: a line may be waiting for it.
//!
//! The checks are made twice, at arrival and immediately before the start, by the same functions: what was allowed an hour
//! ago need not be now. Nothing in memory decides whether a write is made: that is the journal's state, and what is
//! kept here beside it (who works at which meter, how long a challenge holds) can only hold a command back.

mod checks;
mod topic;
mod waiting;

use std::collections::{HashMap, VecDeque};

use jiff::Timestamp;
use weir_wire::stored::What;
use weir_wire::{Action, Clock, Command, CommandState, Raw, Reason};

use self::topic::Unjournalled;
use self::waiting::{Place, Term};
use super::authorise::{Denial, writes};
use super::challenge::Challenges;
use super::config::Rules;
use super::desk::{End, Origin, Reception};
use super::execute::Deadline;
use super::journal::{Digest, Entry, Journal, Phase, Stamp};
use super::refusals::Refusals;
use super::stop_switch::StopSwitch;
use super::teller::{Tell, Teller};
use super::verify::{Freshness, Refusal, Verified, verify};
use crate::clock::{self, Moment};
use crate::event;
use crate::limits::{
    CLERK_STUCK_AFTER, COMMANDS_OPEN_MAX, REFUSALS_TOLD_EVERY, REPEATS_TOLD_EVERY, SEEN_KEPT,
    SEEN_OF_OTHERS_MAX,
};
use crate::line::Exchanged;

/// Those who go to the meters.
pub(super) trait Crew: Send {
    /// Carries out a command that was accepted.
    fn carry_out(&self, command: Command, deadline: Deadline);
    /// Finds out what became of one that was started before this start.
    fn recover(&self, command: Command);
}

/// The clerk's desk, with everything on it.
pub(super) struct Clerk<C> {
    gateway: String,
    /// When this start began.
    began: Moment,
    rules: Rules,
    journal: Journal,
    stop_switch: StopSwitch,
    challenges: Challenges,
    /// Since the last event.
    refusals: Refusals,
    refusals_told: Moment,
    /// Dealt with and not journalled.
    unjournalled: Unjournalled,
    /// Accepted, and nobody works at their meters.
    waiting: VecDeque<String>,
    /// For which command somebody is at work, by its place.
    working: HashMap<Place, String>,
    /// What of the open commands this start alone knows.
    terms: HashMap<String, Term>,
    /// Ends that could not be written yet.
    unwritten: HashMap<String, End>,
    /// When the state of a command was last told again.
    repeated: HashMap<String, Moment>,
    teller: Teller,
    crew: C,
}

impl<C: Crew> Clerk<C> {
    pub(super) fn new(
        gateway: String,
        rules: Rules,
        journal: Journal,
        stop_switch: StopSwitch,
        teller: Teller,
        crew: C,
    ) -> Self {
        Self {
            gateway,
            began: clock::now(),
            rules,
            journal,
            stop_switch,
            challenges: Challenges::default(),
            refusals: Refusals::default(),
            refusals_told: clock::now(),
            unjournalled: Unjournalled::new(),
            waiting: VecDeque::new(),
            working: HashMap::new(),
            terms: HashMap::new(),
            unwritten: HashMap::new(),
            repeated: HashMap::new(),
            teller,
            crew,
        }
    }

    /// Takes up what an earlier start has left: outcomes that are not known to be told, commands without an end.
    pub(super) fn resume(&mut self) {
        if let Some(damage) = self.journal.state().damage().cloned() {
            tracing::error!(detail = damage.detail, "the journal of commands was damaged");
            let what = What::JournalLost { detail: damage.detail, lost: damage.lost };
            self.teller.tell(Tell::JournalLost(event::now(what)));
        }
        for (sequence, outcome) in self.journal.state().untold() {
            self.teller.tell(Tell::Outcome { sequence, outcome });
        }
        let unfinished: Vec<(Command, Phase)> =
            self.journal.state().unfinished().map(|open| (open.command.clone(), open.phase)).collect();
        for (command, phase) in unfinished {
            let (id, meter) = (command.id.clone(), command.meter.clone());
            if !self.rules.policy.meters.contains_key(&meter) {
                let detail = "the meter is not on this gateway any more".to_owned();
                let (state, reason) = match phase {
                    Phase::Accepted => (CommandState::Rejected, Reason::UnknownMeter),
                    _ => (CommandState::Unknown, Reason::Interrupted),
                };
                self.finish(&id, End { state, reason: Some(reason), detail, observed: None });
            } else if phase == Phase::Accepted {
                self.terms.insert(id.clone(), Term::of_an_earlier_start(&command, &self.rules));
                self.waiting.push_back(id);
            } else {
                tracing::warn!(command = id, meter, "interrupted; the meter is asked what became of it");
                self.working.insert(Place::of(&command), id);
                self.crew.recover(command);
            }
        }
        self.send_out();
    }

    /// Whether nothing can be written any more until the next start, and it is time for one. Not at once after the last: a
    /// drive that is failing must not keep the gateway from reading meters.
    pub(super) fn is_stuck(&self) -> bool {
        self.journal.poisoned().is_some() && clock::now().since(self.began) >= CLERK_STUCK_AFTER
    }

    /// How many ids are remembered.
    #[cfg(test)]
    pub(super) fn seen_count(&self) -> usize {
        self.journal.state().seen_count()
    }

    /// Deals with a message that was handed in.
    pub(super) fn take(&mut self, message: &[u8], origin: &Origin) -> Reception {
        let reception = self.consider(message, origin);
        if let (Origin::Topic { topic, partition, position }, false) =
            (origin, matches!(reception, Reception::Busy { .. }))
        {
            self.unjournalled.read(topic, *partition, *position);
        }
        reception
    }

    fn consider(&mut self, message: &[u8], origin: &Origin) -> Reception {
        if let Some(why) = self.journal.poisoned() {
            return Reception::Busy { why: format!("journal: {why}") };
        }
        if self.teller.is_behind() {
            return Reception::Busy { why: "too many outcomes wait for the outbox".into() };
        }
        let now = self.now();
        let challenges = self.challenges.good();
        let fresh = Freshness {
            gateway: &self.gateway,
            now: now.at,
            is_trusted: now.clock == Clock::Synced,
            challenges: &challenges,
            lifetime_max: self.rules.lifetime_max,
            skew: self.rules.skew,
        };
        let (verified, refused) = match verify(message, &self.rules.policy.keys, &fresh) {
            Ok(verified) => (verified, None),
            Err(Refusal::Unproven { cause, kid }) => return self.count(cause.as_str(), kid),
            Err(Refusal::Proven { verified, reason, detail }) => {
                (*verified, Some((CommandState::Rejected, Some(reason), detail)))
            }
            Err(Refusal::Expired { verified }) => {
                let detail = format!("not_after was {}", verified.command.not_after);
                (*verified, Some((CommandState::Expired, None, detail)))
            }
        };
        if let Some(known) = self.known(&verified) {
            return known;
        }
        let command = &verified.command;
        if self.journal.state().has_forgotten(command.not_after) {
            return self.count("stale", Some(verified.kid));
        }
        if self.journal.state().is_full(now, &verified.kid) {
            let kid = verified.kid;
            tracing::error!(
                kid,
                "a command is not taken: as many as can be remembered are still valid or young"
            );
            return self.count("full", Some(kid));
        }
        // One that is not known and may have been, or had been before the damage, has no end here, whatever is wrong with it.
        if !self.is_younger_than_the_journal(&verified, refused.is_none()) {
            return self.count("stale", Some(verified.kid));
        }
        if let Some((state, reason, detail)) = refused {
            // To be remembered for longer than any that could be carried out: its key could fill the memory for ever.
            let latest = now.at.checked_add(SEEN_KEPT).unwrap_or(Timestamp::MAX);
            if now.clock == Clock::Synced && command.not_after > latest {
                return self.count("stale", Some(verified.kid));
            }
            // Whoever can write to the topic can bring genuine commands of every other gateway's.
            if reason == Some(Reason::WrongGateway)
                && self.journal.state().seen_of_others() >= SEEN_OF_OTHERS_MAX
            {
                return self.count("wrong-gateway", Some(verified.kid));
            }
            return self.reject(&verified, state, reason, detail);
        }
        if let Err(Denial { reason, detail }) = self.may(&verified) {
            return self.reject(&verified, CommandState::Rejected, Some(reason), detail);
        }
        self.accept(verified, message, origin)
    }

    fn count(&mut self, cause: &'static str, kid: Option<String>) -> Reception {
        self.refusals.add(cause, kid.clone());
        self.unjournalled.refused(cause, kid);
        Reception::Refused { cause: cause.to_owned() }
    }

    /// What is to be said to a command whose id has been seen.
    fn known(&mut self, verified: &Verified) -> Option<Reception> {
        let id = &verified.command.id;
        let seen = self.journal.state().seen(id)?;
        let state = seen.state();
        if seen.digest.0 == verified.digest {
            let now = clock::now();
            let told = self.repeated.get(id).copied();
            self.repeated.retain(|_, at| now.since(*at) < REPEATS_TOLD_EVERY);
            if told.is_none_or(|at| now.since(at) >= REPEATS_TOLD_EVERY)
                && self.repeated.len() < COMMANDS_OPEN_MAX
            {
                self.repeated.insert(id.clone(), now);
                self.tell_last(id);
            } else {
                self.count("repeated", Some(verified.kid.clone()));
            }
            return Some(Reception::Known { id: id.clone(), state });
        }
        let detail = "another command under an id that is taken".to_owned();
        if seen.is_duplicated() {
            self.count("duplicate", Some(verified.kid.clone()));
        } else {
            let entry =
                Entry::Duplicate { id: id.clone(), digest: Digest(verified.digest), detail: detail.clone() };
            if !self.write_and_tell(id, entry) {
                return Some(Reception::Busy { why: "journal failed".into() });
            }
        }
        Some(Reception::Rejected {
            id: id.clone(),
            state: CommandState::Rejected,
            reason: Some(Reason::Duplicate),
            detail,
        })
    }

    fn reject(
        &mut self,
        verified: &Verified,
        state: CommandState,
        reason: Option<Reason>,
        detail: String,
    ) -> Reception {
        let entry = Entry::Rejected {
            command: verified.command.clone(),
            kid: verified.kid.clone(),
            digest: Digest(verified.digest),
            state: state.clone(),
            reason: reason.clone(),
            detail: detail.clone(),
        };
        let id = verified.command.id.clone();
        if !self.write_and_tell(&id, entry) {
            return Reception::Busy { why: "journal failed".into() };
        }
        tracing::info!(command = id, meter = verified.command.meter, kid = verified.kid, %state, detail, "command refused");
        Reception::Rejected { id, state, reason, detail }
    }

    fn accept(&mut self, verified: Verified, message: &[u8], origin: &Origin) -> Reception {
        let Verified { command, kid, public, digest, by_challenge } = verified;
        let entry = Entry::Accepted {
            command: command.clone(),
            jws: String::from_utf8_lossy(message).into_owned(),
            kid: kid.clone(),
            public,
            digest: Digest(digest),
            is_local: *origin == Origin::Local,
        };
        if !self.write_and_tell(&command.id, entry) {
            return Reception::Busy { why: "journal failed".into() };
        }
        let Command { id, meter, action, .. } = &command;
        tracing::info!(command = id, meter, %action, kid, "command accepted");
        if let Some(nonce) = command.challenge.as_deref().filter(|_| by_challenge) {
            self.challenges.spend(nonce);
        }
        self.terms.insert(id.clone(), Term::of_now(&command, by_challenge));
        if moves_valve(action) {
            self.supersede(&command);
        }
        self.waiting.push_back(id.clone());
        self.send_out();
        Reception::Accepted { id: command.id }
    }

    /// Ends the valve commands of the same meter that have not started: this one was issued later.
    fn supersede(&mut self, by: &Command) {
        let older: Vec<String> = self
            .journal
            .state()
            .unfinished()
            .filter(|open| open.phase == Phase::Accepted && open.command.meter == by.meter)
            .filter(|open| moves_valve(&open.command.action) && open.command.id != by.id)
            .map(|open| open.command.id.clone())
            .collect();
        for id in older {
            let detail = format!("by {}, issued later", by.id);
            let reason = Some(Reason::Superseded);
            self.finish(&id, End { state: CommandState::Rejected, reason, detail, observed: None });
        }
    }

    /// Whether this command may start now. If so, it has, as far as the journal is concerned.
    pub(super) fn may_start(&mut self, id: &str, asked: Vec<Exchanged>) -> Start {
        let open = self.journal.state().open(id).filter(|open| open.phase == Phase::Accepted);
        let Some(open) = open.filter(|_| !self.unwritten.contains_key(id)) else {
            return Start::Over;
        };
        // Signature and digest were checked at arrival, and the journal is whole.
        let verified = Verified {
            command: open.command.clone(),
            kid: open.kid.clone(),
            public: open.public.clone(),
            digest: [0; 32],
            by_challenge: self.is_by_challenge(id),
        };
        if !self.is_over(&verified.command) && !self.is_clock_good_for(&verified.command) {
            return Start::NotYet;
        }
        // Before the checks: each flush takes its time, and what they say has to hold when the start is written.
        self.note(id, "identity", asked);
        let end = if self.is_over(&verified.command) {
            let detail = format!("not_after was {}", verified.command.not_after);
            Some(End { state: CommandState::Expired, reason: None, detail, observed: None })
        } else {
            let denied = self.may_still(&verified).err();
            denied.map(|Denial { reason, detail }| End {
                state: CommandState::Rejected,
                reason: Some(reason),
                detail,
                observed: None,
            })
        };
        if let Some(end) = end {
            self.finish(id, end);
            return Start::Over;
        }
        if !self.write_and_tell(id, Entry::Started { id: id.to_owned() }) {
            return Start::NotYet;
        }
        tracing::info!(command = id, meter = verified.command.meter, "command started");
        Start::Now
    }

    /// Keeps what passed between gateway and meter.
    pub(super) fn note(&mut self, id: &str, what: &str, exchanges: Vec<Exchanged>) {
        for Exchanged { request, answer, repeats } in exchanges {
            let (answer, fault) = match answer {
                Ok(answer) => (answer, None),
                Err(fault) => (Vec::new(), Some(fault.to_string())),
            };
            let (id, what) = (id.to_owned(), what.to_owned());
            self.write(Entry::Step { id, what, request: Raw(request), answer: Raw(answer), fault, repeats });
        }
    }

    /// A command is over. Said a second time it changes nothing.
    pub(super) fn finish(&mut self, id: &str, end: End) {
        let Some(open) = self.journal.state().open(id) else { return };
        let (meter, place) = (open.command.meter.clone(), Place::of(&open.command));
        // The first end is the one that holds, also while it is not written.
        let end = self.unwritten.remove(id).unwrap_or(end);
        let End { state, reason, detail, observed } = end.clone();
        let entry = Entry::Finished {
            id: id.to_owned(),
            state: state.clone(),
            reason,
            detail: detail.clone(),
            observed,
        };
        if !self.write_and_tell(id, entry) {
            // Tried again every second; over a crash before that the meter is asked what became of it.
            self.unwritten.insert(id.to_owned(), end);
            return;
        }
        tracing::info!(command = id, meter, %state, detail, "command finished");
        self.terms.remove(id);
        if self.working.get(&place).is_some_and(|working| working == id) {
            self.working.remove(&place);
        }
        self.send_out();
    }

    /// An outcome is in the outbox, with all before it.
    pub(super) fn told(&mut self, sequence: u64) {
        self.journal.told(sequence);
    }

    /// That the journal was damaged is in the outbox.
    pub(super) fn damage_told(&mut self) {
        self.write(Entry::DamageTold);
    }

    /// A nonce for publication.
    pub(super) fn challenge(&mut self) -> Option<String> {
        self.challenges.renew()
    }

    /// Other keys and rules. The meters stay those of the start, which the crew knows; whether one is locked open changes.
    pub(super) fn change(&mut self, mut rules: Rules) {
        let meters = std::mem::take(&mut rules.policy.meters);
        for (id, meter) in &mut self.rules.policy.meters {
            meter.locked_open = meters.get(id).map_or(meter.locked_open, |now| now.locked_open);
        }
        rules.policy.meters = std::mem::take(&mut self.rules.policy.meters);
        self.rules = rules;
    }

    /// Nothing is asked any more.
    pub(super) fn close(&mut self) {
        self.tick();
        self.journal_topics();
    }

    /// A second has passed.
    pub(super) fn tick(&mut self) {
        for (id, end) in std::mem::take(&mut self.unwritten) {
            self.finish(&id, end);
        }
        self.expire_waiting();
        if self.journal.state().began().is_none() && self.now().clock == Clock::Synced {
            self.write(Entry::ClockTrusted);
        }
        self.send_out();
        if self.unjournalled.is_due() {
            self.journal_topics();
        }
        if !self.refusals.is_empty() && clock::now().since(self.refusals_told) >= REFUSALS_TOLD_EVERY {
            self.refusals_told = clock::now();
            let (counts, last_kid) = self.refusals.take();
            let refused = counts
                .into_iter()
                .map(|(cause, count)| weir_wire::RefusedCount { cause: cause.as_str().into(), count })
                .collect();
            self.teller.tell(Tell::Event(event::now(What::CommandsRefused { refused, last_kid })));
        }
    }

    /// The outcome of a line is told when the line is on flash, and not before.
    fn write_and_tell(&mut self, id: &str, entry: Entry) -> bool {
        let Some(sequence) = self.append(entry) else { return false };
        self.unjournalled.hurry();
        if let Some(outcome) = self.journal.state().outcome(id, sequence) {
            self.teller.tell(Tell::Outcome { sequence, outcome });
        }
        true
    }

    fn tell_last(&self, id: &str) {
        if let Some((sequence, outcome)) = self.journal.state().last_outcome(id) {
            self.teller.tell(Tell::Outcome { sequence, outcome });
        }
    }

    /// Whether it is on flash.
    fn write(&mut self, entry: Entry) -> bool {
        self.append(entry).is_some()
    }

    fn now(&self) -> Stamp {
        stamp(&self.rules)
    }

    fn append(&mut self, entry: Entry) -> Option<u64> {
        let now = self.now();
        self.journal
            .append(entry, now)
            .inspect_err(|error| {
                tracing::error!(%error, "the journal of commands cannot be written; none is carried out");
            })
            .ok()
    }
}

/// Whether a command may start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// Yes, and the journal says that it has.
    Now,
    /// Not now: the clock is not to be trusted, or the journal cannot be written.
    NotYet,
    /// Never: it has an end.
    Over,
}

fn moves_valve(action: &Action) -> bool {
    matches!(action, Action::ValveOpen | Action::ValveClose)
}

/// What time it is, and how far that can be trusted where these rules hold.
pub(super) fn stamp(rules: &Rules) -> Stamp {
    stamp_by(rules.trust_clock)
}

/// The same, where this alone is known of the rules.
pub(super) fn stamp_by(trust_clock: bool) -> Stamp {
    let now = clock::dated();
    let is_assumed = trust_clock && now.wall >= clock::floor();
    Stamp { at: now.wall, clock: if is_assumed { Clock::Synced } else { now.clock } }
}
