//! What the journal's lines come to: a fold, without files and without a clock.
//!
//! Whoever replays the lines has the state that the clerk had when it wrote them. Everything that must survive a crash
//! or a rotation is in here, and nothing else is.

use std::collections::{BTreeMap, HashMap, VecDeque};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use weir_wire::stored::Outcome;
use weir_wire::{Action, Clock, Command, CommandState, Observed, Reason};

use super::Damage;
use super::entry::{Digest, Entry, Line, Position, Stamp};
use crate::command::keys::PublicKey;
use crate::limits::{
    CLOCK_FLOOR_EVERY, CLOCK_FLOOR_MARGIN, CLOSINGS_MAX, SEEN_KEPT, SEEN_MAX, SEEN_OF_ONE_KEY_MAX,
};

/// The commands, as far as they matter for what comes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Every command of a proven sender, by its id.
    seen: HashMap<String, Seen>,
    /// Those without an end.
    open: BTreeMap<String, Open>,
    /// By meter, when the latest valve command that was accepted was issued.
    last_valve: BTreeMap<String, Timestamp>,
    /// When valves were closed, or were to be, of the last day.
    closings: VecDeque<Stamp>,
    /// By topic and partition.
    positions: BTreeMap<String, BTreeMap<i32, Position>>,
    /// When the journal was begun, or begun anew after damage: what was issued before may have been carried out.
    began: Option<Stamp>,
    /// Damage that is not known to have been told.
    damage: Option<Damage>,
    /// Ids have been forgotten of commands that were valid up to here.
    forgotten_before: Option<Timestamp>,
    told: u64,
}

/// A command that was seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// SHA-256 of its JWS.
    pub digest: Digest,
    /// The id of the key that has signed it.
    kid: String,
    /// The meter.
    pub meter: String,
    /// What was ordered.
    pub action: Action,
    /// Until when it was valid.
    pub not_after: Timestamp,
    /// What was said of it, in order.
    said: Vec<Said>,
    /// A duplicate of it was said.
    #[serde(default, skip_serializing_if = "is_false")]
    duplicated: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
fn is_false(is: &bool) -> bool {
    !is
}

/// An outcome, in the words of the line that says it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Said {
    sequence: u64,
    stamp: Stamp,
    state: CommandState,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<Reason>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    observed: Option<Observed>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

/// How far a command without an end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Nothing was written to its meter.
    Accepted,
    /// Something may have been. It is never carried out again.
    Started,
}

/// A command without an end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Open {
    /// What was signed.
    pub command: Command,
    /// The key's id.
    pub kid: String,
    /// The key.
    pub public: PublicKey,
    /// How far it has come.
    pub phase: Phase,
    /// The sequence of the line that accepted it.
    sequence: u64,
}

impl Seen {
    /// What has become of it.
    pub fn state(&self) -> CommandState {
        let own = self.said.iter().rev().find(|said| said.reason != Some(Reason::Duplicate));
        own.map_or(CommandState::Unknown, |said| said.state.clone())
    }

    /// Whether it has been said that there is another command under its id.
    pub fn is_duplicated(&self) -> bool {
        self.duplicated
    }

    fn outcome(&self, id: &str, said: &Said) -> Outcome {
        Outcome {
            command: id.to_owned(),
            meter: self.meter.clone(),
            action: self.action.clone(),
            state: said.state.clone(),
            // Of a duplicate the other one has the end, and of another gateway's command that gateway.
            is_final: said.state.is_final()
                && !matches!(said.reason, Some(Reason::Duplicate | Reason::WrongGateway)),
            at: said.stamp.at,
            clock: said.stamp.clock,
            reason: said.reason.clone(),
            observed: said.observed.clone(),
            detail: said.detail.clone(),
        }
    }
}

impl State {
    /// What it comes to with this line.
    pub(super) fn take(&mut self, line: &Line) {
        self.told = self.told.max(line.told);
        let stamp = line.stamp();
        if stamp.clock == Clock::Synced {
            // What was dated by a clock that showed anything was no later than now; so was what is dated further ahead than
            // a clock that can be trusted is set back.
            let latest =
                stamp.at.checked_add(CLOCK_FLOOR_EVERY + CLOCK_FLOOR_MARGIN).unwrap_or(Timestamp::MAX);
            let is_misdated = |was: &&mut Stamp| was.clock != Clock::Synced || was.at > latest;
            let misdated = self.closings.iter_mut().chain(&mut self.began).filter(is_misdated);
            misdated.for_each(|was| *was = stamp);
        }
        match &line.entry {
            Entry::Checkpoint(checkpoint) => *self = checkpoint.state.clone(),
            Entry::Accepted { command, kid, public, digest, .. } => {
                self.see(command, kid, *digest, stamp);
                if matches!(command.action, Action::ValveOpen | Action::ValveClose) {
                    let last = self.last_valve.entry(command.meter.clone()).or_insert(command.issued_at);
                    *last = command.issued_at.max(*last);
                }
                let open = Open {
                    command: command.clone(),
                    kid: kid.clone(),
                    public: public.clone(),
                    phase: Phase::Accepted,
                    sequence: line.sequence,
                };
                self.open.insert(command.id.clone(), open);
                self.say(&command.id, line.sequence, stamp, CommandState::Accepted, None, None, None);
            }
            Entry::Started { id } => {
                if let Some(open) = self.open.get_mut(id) {
                    open.phase = Phase::Started;
                    if open.command.action == Action::ValveClose {
                        self.note_closing(stamp);
                    }
                }
                self.say(id, line.sequence, stamp, CommandState::Started, None, None, None);
            }
            Entry::Finished { id, state, reason, detail, observed } => {
                self.open.remove(id);
                let (reason, observed) = (reason.clone(), observed.clone());
                self.say(id, line.sequence, stamp, state.clone(), reason, observed, Some(detail.clone()));
            }
            Entry::Rejected { command, kid, digest, state, reason, detail } => {
                self.see(command, kid, *digest, stamp);
                let (state, reason) = (state.clone(), reason.clone());
                self.say(&command.id, line.sequence, stamp, state, reason, None, Some(detail.clone()));
            }
            Entry::Duplicate { id, detail, .. } => {
                if let Some(seen) = self.seen.get_mut(id) {
                    seen.duplicated = true;
                }
                let reason = Some(Reason::Duplicate);
                let state = CommandState::Rejected;
                self.say(id, line.sequence, stamp, state, reason, None, Some(detail.clone()));
            }
            Entry::Positions { topic, partitions } => {
                self.positions.entry(topic.clone()).or_default().extend(partitions.iter().copied());
            }
            Entry::DamageTold => self.damage = None,
            Entry::ClockTrusted => {}
            Entry::Step { .. } | Entry::Refused { .. } => {}
        }
    }

    fn see(&mut self, command: &Command, kid: &str, digest: Digest, stamp: Stamp) {
        self.make_room(stamp);
        let Command { id, meter, action, not_after, .. } = command.clone();
        let kid = kid.to_owned();
        let seen = Seen { digest, kid, meter, action, not_after, said: Vec::new(), duplicated: false };
        self.seen.insert(id, seen);
    }

    /// Where a new id has no room, the oldest of those that can be forgotten go, a tenth at a time.
    fn make_room(&mut self, stamp: Stamp) {
        if self.seen.len() < SEEN_MAX {
            return;
        }
        let mut old = self.forgettable(stamp);
        old.sort_unstable();
        old.truncate(SEEN_MAX / 10);
        for (not_after, id) in old {
            self.seen.remove(&id);
            self.forgotten_before = Some(self.forgotten_before.map_or(not_after, |was| was.max(not_after)));
        }
    }

    /// Ids of commands that ended and whose time is long over, by a clock that can be trusted.
    fn forgettable(&self, stamp: Stamp) -> Vec<(Timestamp, String)> {
        let candidates = self.seen.iter().filter(|(id, seen)| self.is_forgettable(id, seen, stamp));
        candidates.map(|(id, seen)| (seen.not_after, id.clone())).collect()
    }

    fn is_forgettable(&self, id: &str, seen: &Seen, stamp: Stamp) -> bool {
        let kept = SignedDuration::try_from(SEEN_KEPT).unwrap_or(SignedDuration::MAX);
        let is_old = stamp.at.duration_since(seen.not_after) > kept;
        stamp.clock == Clock::Synced && is_old && !self.open.contains_key(id)
    }

    fn note_closing(&mut self, stamp: Stamp) {
        if self.closings.len() >= usize::try_from(CLOSINGS_MAX).unwrap_or(usize::MAX) {
            self.closings.pop_front();
        }
        self.closings.push_back(stamp);
    }

    #[expect(clippy::too_many_arguments, reason = "an outcome's fields, once")]
    fn say(
        &mut self,
        id: &str,
        sequence: u64,
        stamp: Stamp,
        state: CommandState,
        reason: Option<Reason>,
        observed: Option<Observed>,
        detail: Option<String>,
    ) {
        if let Some(seen) = self.seen.get_mut(id) {
            seen.said.push(Said { sequence, stamp, state, reason, observed, detail });
        }
    }

    /// A journal begins, and nothing is known of what was carried out before.
    pub(super) fn begin(&mut self, stamp: Stamp) {
        self.began = Some(stamp);
    }

    /// After damage: what the lost lines may have said is assumed where that is the safe side. A command that was accepted
    /// may have been started, and what a topic has been read up to is not known.
    pub(super) fn recover(&mut self, stamp: Stamp, damage: Damage) {
        for open in self.open.values_mut() {
            open.phase = Phase::Started;
        }
        self.positions.clear();
        self.damage = Some(damage);
        self.begin(stamp);
    }

    /// The command with this id, if it was seen.
    pub fn seen(&self, id: &str) -> Option<&Seen> {
        self.seen.get(id)
    }

    /// How many are remembered.
    pub fn seen_count(&self) -> usize {
        self.seen.len()
    }

    /// How many of them were for other gateways.
    pub fn seen_of_others(&self) -> usize {
        let is_other =
            |seen: &&Seen| seen.said.first().is_some_and(|said| said.reason == Some(Reason::WrongGateway));
        self.seen.values().filter(is_other).count()
    }

    /// Whether a further id has no room: at all, or among those of this key.
    pub fn is_full(&self, stamp: Stamp, kid: &str) -> bool {
        let is_kept =
            |(id, seen): &(&String, &Seen)| seen.kid == kid && !self.is_forgettable(id, seen, stamp);
        (self.seen.len() >= SEEN_MAX && self.forgettable(stamp).is_empty())
            || (self.seen.len() >= SEEN_OF_ONE_KEY_MAX
                && self.seen.iter().filter(is_kept).count() >= SEEN_OF_ONE_KEY_MAX)
    }

    /// Whether a command that is valid up to then may be one that was forgotten.
    pub fn has_forgotten(&self, not_after: Timestamp) -> bool {
        self.forgotten_before.is_some_and(|before| not_after <= before)
    }

    /// The command with this id, if it has no end.
    pub fn open(&self, id: &str) -> Option<&Open> {
        self.open.get(id)
    }

    /// Every command without an end, in the order in which they were accepted.
    pub fn unfinished(&self) -> impl Iterator<Item = &Open> {
        let mut open: Vec<&Open> = self.open.values().collect();
        open.sort_unstable_by_key(|open| open.sequence);
        open.into_iter()
    }

    /// Damage that is not known to have been told.
    pub fn damage(&self) -> Option<&Damage> {
        self.damage.as_ref()
    }

    /// When the latest accepted valve command for this meter was issued, whatever became of it.
    pub fn last_valve(&self, meter: &str) -> Option<Timestamp> {
        self.last_valve.get(meter).copied()
    }

    /// When closings were started, the latest of them.
    pub fn closings(&self) -> impl Iterator<Item = Timestamp> {
        self.closings.iter().map(|closing| closing.at)
    }

    /// From where the partitions of this topic are read; `None` when it was never read, or that is not known any more.
    pub fn positions(&self, topic: &str) -> Option<Vec<(i32, Position)>> {
        self.positions.get(topic).map(|partitions| partitions.iter().map(|(id, at)| (*id, *at)).collect())
    }

    /// When the journal was begun, or begun anew after damage. `None`: the clock has not been trusted since.
    pub fn began(&self) -> Option<Timestamp> {
        self.began.filter(|began| began.clock == Clock::Synced).map(|began| began.at)
    }

    /// The last thing that was said of a command, and not of another one under its id, with the sequence of the line that
    /// says it.
    pub fn last_outcome(&self, id: &str) -> Option<(u64, Outcome)> {
        let seen = self.seen.get(id)?;
        let own = seen.said.iter().rev().find(|said| said.reason != Some(Reason::Duplicate))?;
        Some((own.sequence, seen.outcome(id, own)))
    }

    /// What the line with this sequence says of a command.
    pub fn outcome(&self, id: &str, sequence: u64) -> Option<Outcome> {
        let seen = self.seen.get(id)?;
        let said = seen.said.iter().find(|said| said.sequence == sequence)?;
        Some(seen.outcome(id, said))
    }

    /// Outcomes that are not known to be in the outbox, in order.
    pub fn untold(&self) -> Vec<(u64, Outcome)> {
        let untold = self.seen.iter().flat_map(|(id, seen)| {
            let said = seen.said.iter().filter(|said| said.sequence > self.told);
            said.map(move |said| (said.sequence, seen.outcome(id, said)))
        });
        let mut untold: Vec<_> = untold.collect();
        untold.sort_unstable_by_key(|(sequence, _)| *sequence);
        untold
    }

    pub(super) fn told(&self) -> u64 {
        self.told
    }

    pub(super) fn note_told(&mut self, sequence: u64) {
        self.told = self.told.max(sequence);
    }
}
