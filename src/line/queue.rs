//! Which meter is next.
//!
//! 1. Reads that somebody asked for, in the order they came.
//! 2. One probe, when probes have yielded for too long.
//! 3. Due polls of the meters that answer: the ones that have waited longest, by slot, then as configured. A meter has
//!    one pending poll at most: a newer slot takes the place of an older one (which counts as missed) but not its place
//!    in the queue, so a line with more work than time still serves every meter in turn.
//! 4. Probes, the one that has waited longest first.
//!
//! A *probe* is a poll of a meter that did not answer its last one. It costs a whole answer window and most likely
//! yields nothing, so it is made when no other meter is due. A line that always has something due would never find out
//! that a meter was repaired, so a probe that could have been made for [`PROBE_YIELDS_MAX`] goes ahead, and after one
//! that failed, none goes ahead for as long: however many meters are dead, their probes take a busy line one answer
//! window in that time, and with `n` of them each is probed within `n` times it. A probe that is answered holds up
//! none: when the power is back on a riser, its meters are found one right after the other.
//!
//! Two things hold a meter back. While it *rests*, an answer to its last request may still come, so nobody asks it.
//! While it is *backed off* from, only its polls wait; whoever asks for a read gets one.
//!
//! Slots are wall time, waits are moments. The wall clock may jump: real time is what tells a slot that was missed from
//! one that a jump passed over.
//!
//! Pure; holds no clock and no port. The caller bounds the reads asked for.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;

use super::schedule::Schedule;
use crate::clock::Moment;
use crate::limits::PROBE_YIELDS_MAX;

/// The polls of one line. `T` is what comes back with a read that was asked for.
#[derive(Debug)]
pub(super) struct Queue<T> {
    meters: Vec<Entry>,
    asked: VecDeque<Asked<T>>,
    /// Counts refreshes that made a poll due: the order of arrival.
    turn: u64,
    refreshed: Option<Moment>,
    /// When a probe last failed.
    probed_in_vain: Option<Moment>,
}

#[derive(Debug)]
struct Entry {
    schedule: Schedule,
    next_slot: Timestamp,
    due: Option<Due>,
    rests_until: Moment,
    /// It did not answer its last poll, and the next is a probe: not before this.
    backed_off_until: Option<Moment>,
    missed: u64,
}

#[derive(Clone, Copy, Debug)]
struct Due {
    slot: Timestamp,
    turn: u64,
    requests: u32,
    /// It was polled for this slot and failed.
    was_polled: bool,
}

#[derive(Debug)]
struct Asked<T> {
    meter: usize,
    requests: u32,
    by: T,
}

/// A poll to be made now. It is no longer in the queue.
#[derive(Debug, PartialEq)]
pub(super) struct Pick<T> {
    /// The meter's place in the configuration.
    pub(super) meter: usize,
    /// Requests already made in vain for this poll.
    pub(super) requests: u32,
    /// For whom or for when.
    pub(super) cause: Cause<T>,
}

/// Why a meter is polled.
#[derive(Debug, PartialEq)]
pub(super) enum Cause<T> {
    /// It was due.
    Slot {
        /// When.
        slot: Timestamp,
        /// Its place in the order of arrival.
        turn: u64,
    },
    /// Somebody asked.
    Asked(T),
}

impl<T> Queue<T> {
    /// A queue in which every meter's next slot is the first one after now.
    pub(super) fn new(schedules: impl IntoIterator<Item = Schedule>, now: Timestamp) -> Self {
        let meters = schedules.into_iter().map(|schedule| Entry {
            next_slot: schedule.next(now),
            schedule,
            due: None,
            rests_until: Moment::from_boot(Duration::ZERO),
            backed_off_until: None,
            missed: 0,
        });
        Self {
            meters: meters.collect(),
            asked: VecDeque::new(),
            turn: 0,
            refreshed: None,
            probed_in_vain: None,
        }
    }

    /// Makes polls due whose slot has come, and follows the wall clock where it jumped.
    pub(super) fn refresh(&mut self, wall: Timestamp, now: Moment) {
        let passed = self.refreshed.map_or(Duration::ZERO, |then| now.since(then));
        self.refreshed = Some(now);
        self.turn += 1;
        for meter in &mut self.meters {
            meter.follow_back(wall);
            if meter.next_slot <= wall {
                meter.fall_due(wall, passed, self.turn);
            }
        }
    }

    /// Somebody asks for a read.
    pub(super) fn ask(&mut self, meter: usize, by: T) {
        self.asked.push_back(Asked { meter, requests: 0, by });
    }

    /// The next read that was asked for and may be made now.
    pub(super) fn pick_asked(&mut self, now: Moment) -> Option<Pick<T>> {
        let may =
            |asked: &Asked<T>| self.meters.get(asked.meter).is_none_or(|meter| meter.rests_until <= now);
        let at = self.asked.iter().position(may)?;
        let Asked { meter, requests, by } = self.asked.remove(at)?;
        Some(Pick { meter, requests, cause: Cause::Asked(by) })
    }

    /// The next poll of the schedule that may be made now.
    pub(super) fn pick_due(&mut self, now: Moment) -> Option<Pick<T>> {
        let index = match (self.longest_due(now), self.longest_waiting_probe(now)) {
            (Some(_), Some((since, probe))) if self.goes_ahead(since, now) => probe,
            (Some(poll), _) => poll,
            (None, probe) => probe?.1,
        };
        let due = self.meters.get_mut(index)?.due.take()?;
        Some(Pick {
            meter: index,
            requests: due.requests,
            cause: Cause::Slot { slot: due.slot, turn: due.turn },
        })
    }

    /// Of the meters that answer, the one whose poll is next.
    fn longest_due(&self, now: Moment) -> Option<usize> {
        let polls = self.ready(now).filter(|(_, meter, _)| meter.backed_off_until.is_none());
        polls.map(|(index, _, due)| (due.turn, due.slot, index)).min().map(|(_, _, index)| index)
    }

    /// Of the meters that do not answer, the one whose probe is next, and since when that could have been made.
    fn longest_waiting_probe(&self, now: Moment) -> Option<(Moment, usize)> {
        let probes = self.ready(now).filter(|(_, meter, _)| meter.backed_off_until.is_some());
        probes.map(|(index, meter, _)| (meter.polled_from(), index)).min()
    }

    fn ready(&self, now: Moment) -> impl Iterator<Item = (usize, &Entry, Due)> {
        let held_back = move |meter: &Entry| meter.polled_from() > now;
        let due =
            self.meters.iter().enumerate().filter_map(|(index, meter)| Some((index, meter, meter.due?)));
        due.filter(move |(_, meter, _)| !held_back(meter))
    }

    /// Whether a probe that could have been made since then has yielded for long enough.
    fn goes_ahead(&self, since: Moment, now: Moment) -> bool {
        now.since(self.probed_in_vain.map_or(since, |failed| since.max(failed))) >= PROBE_YIELDS_MAX
    }

    /// Puts a poll back of which requests are left, to be made once the meter has rested.
    pub(super) fn put_back(&mut self, pick: Pick<T>, rests_until: Moment) {
        let Some(meter) = self.meters.get_mut(pick.meter) else { return };
        meter.rests_until = rests_until;
        match pick.cause {
            Cause::Asked(by) => {
                self.asked.push_front(Asked { meter: pick.meter, requests: pick.requests, by });
            }
            Cause::Slot { slot, turn } => {
                meter.due = Some(Due { slot, turn, requests: pick.requests, was_polled: true });
            }
        }
    }

    /// A poll of the schedule failed for good. The slot stays open until the next one comes, and is tried again when
    /// the back-off is over: a meter that is due once a day is not given up for the day.
    pub(super) fn probe_later(
        &mut self,
        meter: usize,
        slot: Timestamp,
        now: Moment,
        backed_off_until: Moment,
    ) {
        self.turn += 1;
        let Some(meter) = self.meters.get_mut(meter) else { return };
        if meter.backed_off_until.replace(backed_off_until).is_some() {
            self.probed_in_vain = Some(now);
        }
        meter.due = Some(Due { slot, turn: self.turn, requests: 0, was_polled: true });
    }

    /// Puts back a poll that was not the meter's fault, to be made as soon as it can be.
    pub(super) fn postpone(&mut self, meter: usize, slot: Timestamp, turn: u64) {
        let Some(meter) = self.meters.get_mut(meter) else { return };
        meter.due = Some(Due { slot, turn, requests: 0, was_polled: false });
    }

    /// Puts back a poll that made room for something more urgent.
    pub(super) fn give_way(&mut self, pick: Pick<T>) {
        let Pick { meter, requests, cause } = pick;
        match cause {
            Cause::Asked(by) => self.asked.push_front(Asked { meter, requests, by }),
            Cause::Slot { slot, turn } => self.postpone(meter, slot, turn),
        }
    }

    /// Nobody may ask this meter before that.
    pub(super) fn rest(&mut self, meter: usize, until: Moment) {
        if let Some(meter) = self.meters.get_mut(meter) {
            meter.rests_until = until;
        }
    }

    /// Until when nobody may ask this meter.
    pub(super) fn rests_until(&self, meter: usize) -> Moment {
        self.meters.get(meter).map_or(Moment::from_boot(Duration::ZERO), |meter| meter.rests_until)
    }

    /// The meter answered: it is polled at its slots again, and a slot that was kept open for a probe is closed.
    pub(super) fn answered(&mut self, meter: usize) {
        if let Some(meter) = self.meters.get_mut(meter) {
            meter.backed_off_until = None;
            meter.due = meter.due.filter(|due| !due.was_polled);
        }
    }

    /// The meter answered a read that was asked for: its polls wait no longer, and an open slot is polled in its turn.
    pub(super) fn revive(&mut self, meter: usize) {
        if let Some(meter) = self.meters.get_mut(meter) {
            meter.backed_off_until = None;
        }
    }

    /// A poll that was picked is not made.
    pub(super) fn miss(&mut self, meter: usize) {
        if let Some(meter) = self.meters.get_mut(meter) {
            meter.missed += 1;
        }
    }

    /// Until when there is nothing to do, at most until `latest`.
    pub(super) fn idle_until(&self, wall: Timestamp, now: Moment, latest: Moment) -> Moment {
        let asked = self.asked.iter().filter_map(|asked| self.meters.get(asked.meter));
        let asked = asked.map(|meter| meter.rests_until);
        let polls = self.meters.iter().flat_map(|meter| {
            let slot = now + until(wall, meter.next_slot);
            meter.due.map(|_| meter.polled_from()).into_iter().chain([slot.max(meter.polled_from())])
        });
        asked.chain(polls).fold(latest, Moment::min)
    }

    /// When the meter is polled next, by the wall clock.
    pub(super) fn next_due(&self, meter: usize, wall: Timestamp, now: Moment) -> Option<Timestamp> {
        let meter = self.meters.get(meter)?;
        let slot = meter.due.map_or(meter.next_slot, |due| due.slot);
        let held_back = meter.polled_from().since(now);
        let earliest = wall.checked_add(jiff::SignedDuration::try_from(held_back).ok()?).ok()?;
        Some(if held_back.is_zero() { slot } else { slot.max(earliest) })
    }

    /// Slots in which the meter was not polled: the line was busy or down, the meter backed off from, its budget spent.
    pub(super) fn missed(&self, meter: usize) -> u64 {
        self.meters.get(meter).map_or(0, |meter| meter.missed)
    }

    /// Takes out every read that was asked for.
    pub(super) fn take_asked(&mut self) -> impl Iterator<Item = T> {
        self.asked.drain(..).map(|asked| asked.by)
    }
}

impl Entry {
    fn polled_from(&self) -> Moment {
        self.backed_off_until.map_or(self.rests_until, |until| self.rests_until.max(until))
    }

    /// The newest slot becomes due; older ones are missed.
    fn fall_due(&mut self, wall: Timestamp, passed: Duration, turn: u64) {
        let newest = self.schedule.latest(wall).max(self.next_slot);
        // A jump of the clock passes over slots that nobody missed: no more are counted than real time had room for.
        let room = passed.as_millis() / self.schedule.every().as_millis().max(1);
        let skipped = u128::from(self.schedule.count(self.next_slot, newest)).min(room);
        self.missed += u64::try_from(skipped).unwrap_or(u64::MAX);
        self.due = Some(match self.due {
            None => Due { slot: newest, turn, requests: 0, was_polled: false },
            Some(due) => {
                self.missed += u64::from(!due.was_polled);
                // Its place in the queue stays, and so do the requests it has already used.
                Due { slot: newest, was_polled: false, ..due }
            }
        });
        self.next_slot = self.schedule.next(wall);
    }

    /// Where the clock went back, slots that were polled already are not polled again, unless it went back so far that
    /// waiting for it would lose whole slots.
    fn follow_back(&mut self, wall: Timestamp) {
        if until(wall, self.next_slot) <= self.schedule.every() {
            return;
        }
        let next = self.schedule.next(wall);
        if until(next, self.next_slot) > self.schedule.every() {
            self.next_slot = next;
        }
    }
}

/// Time from one wall time to a later one; zero when it is not later.
fn until(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}

#[cfg(test)]
mod tests;
