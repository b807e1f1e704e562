//! Room: whether a further segment may begin, and what goes so that it may.
//!
//! Growth happens only here: a lane takes disk when it begins a segment, and at no other time. So the quota and the floor of
//! free space are looked at here, before, and the database never meets a full disk in ordinary operation.
//!
//! The urgent lane always gives its oldest segment, but not the outcomes in it: what has become of a command is told once, while
//! of lines and meters there is always news. They are stored again as the newest of the lane: under a new name of the
//! outbox's, but their ids are made of what they say, so for whoever reads the topic nothing has changed but the order, and
//! a crash in between repeats them. Only a lane full of outcomes alone loses the oldest of them.

use weir_wire::GapCause;
use weir_wire::stored::What;

use super::WhenFull;
use super::frame::{BESIDE_BYTES, Class, Record};
use super::keeper::Keeper;
use super::retention::{Dropped, Grain, Step};
use super::store::{Store, StoreError};
use crate::id::{Generation, Lane, RecordName};
use crate::limits;

impl<S: Store + Clone> Keeper<S> {
    /// Begins a new segment when the active one has its fill and there is room for another, or room can be made.
    pub(super) fn roll_if_full(&mut self, lane: Lane) -> Result<(), StoreError> {
        if !self.kept(lane).store.wants_roll() {
            self.kept(lane).set_full(false);
            return Ok(());
        }
        let has_room = self.make_room(lane)?;
        // Events about what was dropped may be pending by now, and a new segment begins after everything that is stored.
        let generation = self.generation;
        self.with_reserve(|keeper| keeper.kept(lane).commit(generation))?;
        if has_room {
            self.with_reserve(|keeper| keeper.kept(lane).store.roll())?;
            self.kept(lane).has_given = false;
            self.note_pressure();
        }
        self.kept(lane).set_full(!has_room);
        Ok(())
    }

    /// Whether one more segment fits into the lane's quota and onto the file system, after the policy has done its part.
    pub(super) fn make_room(&mut self, lane: Lane) -> Result<bool, StoreError> {
        let one = limits::segment_disk_bytes_max(self.config.segment_payload_bytes);
        let policy = self.policy(lane);
        // What is thinned out is written anew before the old segments go.
        let needed = if policy == WhenFull::Thin { 2 * one } else { one };
        loop {
            let free_bytes = self.store.free_bytes(&self.config.directory)?;
            let is_disk_short = free_bytes < self.config.free_bytes_min + needed;
            let kept = self.kept(lane);
            let disk_bytes = kept.store.disk_bytes();
            let is_over_quota = disk_bytes + needed > kept.disk_bytes_max;
            // Below the floor one segment goes for the one that comes: whatever fills the disk, it must not cost the
            // whole history.
            if !is_over_quota && (!is_disk_short || kept.has_given) {
                return Ok(true);
            }
            if policy == WhenFull::StopPolling || !kept.store.has_closed() {
                return Ok(false);
            }
            let share_out = disk_bytes.min(kept.disk_bytes_max.saturating_sub(needed));
            match kept.store.next_step(share_out) {
                Step::Thin { at, count_max, grain } if policy == WhenFull::Thin && free_bytes >= one => {
                    self.thin(lane, (at, count_max), grain)?;
                }
                _ => self.drop_oldest(lane)?,
            }
            let kept = self.kept(lane);
            kept.has_given |= kept.store.disk_bytes() < disk_bytes;
            self.pulse.beat();
        }
    }

    fn policy(&self, lane: Lane) -> WhenFull {
        let one = limits::segment_disk_bytes_max(self.config.segment_payload_bytes);
        let has_room_to_thin = self.config.readings_bytes_max >= limits::THIN_ROOM_SEGMENTS * one;
        match (lane, self.config.when_full) {
            (Lane::Urgent, _) => WhenFull::DropOldest,
            (Lane::Readings, WhenFull::Thin) if !has_room_to_thin => WhenFull::DropOldest,
            (Lane::Readings, policy) => policy,
        }
    }

    /// Makes closed segments into one of this grain: first what goes is flushed as a gap in the urgent lane.
    fn thin(&mut self, lane: Lane, row: (usize, usize), grain: Grain) -> Result<(), StoreError> {
        let mut damage = Vec::new();
        let zone = self.config.time_zone.clone();
        let thinner = self.kept(lane).store.thinner(row, grain, &zone, &mut damage)?;
        // The records that are missing come first, and then the same segments are due again.
        self.report(Some(lane), damage)?;
        let Some(thinner) = thinner else { return Ok(()) };
        tracing::warn!(%lane, ?grain, dropped = thinner.dropped.count(), "outbox full, the older history is thinned out");
        self.report_dropped(lane, thinner.dropped.clone(), thinner.dropped_ends)?;
        self.kept(lane).store.thin(thinner)
    }

    /// Drops the oldest segment: first its gap is flushed in the urgent lane, then it goes. Its outcomes are stored again
    /// behind all others, in the same flush as the gap, as far as they take no more than half a segment.
    pub(super) fn drop_oldest(&mut self, lane: Lane) -> Result<(), StoreError> {
        let mut damage = Vec::new();
        let (mut dropped, mut ends) = (Dropped::default(), None::<[(Generation, u64); 2]>);
        let (mut carried, mut carried_bytes) = (Vec::new(), 0);
        let most = match self.kept(lane).store.is_overfull(Class::Event) {
            true => 0,
            false => limits::carried_bytes_max(self.config.segment_payload_bytes),
        };
        for Record { header, payload } in self.kept(lane).store.waiting_in_oldest(&mut damage)? {
            let bytes = u64::try_from(header.meter.len() + payload.len() + BESIDE_BYTES).unwrap_or(u64::MAX);
            if header.class == Class::Outcome && carried_bytes + bytes <= most {
                carried_bytes += bytes;
                carried.push((header.at, header.meter.to_owned(), payload.into_owned()));
                continue;
            }
            dropped.add(&header);
            let name = (header.generation, header.sequence);
            ends = Some(ends.map_or([name; 2], |[first, _]| [first, name]));
        }
        self.report(Some(lane), damage)?;
        if dropped.count() > 0 {
            tracing::error!(%lane, dropped = dropped.count(), "outbox full, the oldest records are dropped");
        }
        for (at, meter, payload) in carried {
            self.kept(lane).store.add(Class::Outcome, at, &meter, &payload);
        }
        self.report_dropped(lane, dropped, ends)?;
        let generation = self.generation;
        self.kept(lane).store.give_up_oldest();
        self.with_reserve(|keeper| keeper.kept(lane).commit(generation))
    }

    /// Flushes the gap of what is about to go, and the outcomes that are carried over. The ids say which drop it is, should a crash before it is done make it be
    /// told twice.
    fn report_dropped(
        &mut self,
        lane: Lane,
        dropped: Dropped,
        ends: Option<[(Generation, u64); 2]>,
    ) -> Result<(), StoreError> {
        let id = |(generation, sequence)| RecordName { generation, lane, sequence }.id(&self.config.gateway);
        let ids = ends.map(|ends| ends.map(id));
        let count = dropped.count();
        for meters in dropped.portions() {
            let lost = meters.iter().map(|gap| gap.count).sum();
            let meters = if lane == Lane::Readings { meters } else { Vec::new() };
            self.add_event(What::Gap { cause: GapCause::Retention, meters, ids: ids.clone(), lost });
        }
        self.commit_urgent()?;
        self.kept(lane).counted.dropped += count;
        Ok(())
    }

    pub(super) fn note_pressure(&mut self) {
        let (used, most) = (self.readings.store.disk_bytes(), self.readings.disk_bytes_max);
        let high = used.saturating_mul(100) >= most.saturating_mul(limits::PRESSURE_PERCENT);
        if high && !self.under_pressure {
            let detail = format!("readings take {used} of {most} bytes");
            tracing::warn!(detail, "outbox under pressure");
            self.add_event(What::OutboxPressure { detail });
        }
        self.under_pressure = high;
    }

    pub(super) fn make_room_for_refused(&mut self) -> Result<(), StoreError> {
        if self.refused.wants_roll() {
            while self.refused.disk_bytes() > limits::REFUSED_LANE_BYTES && self.refused.has_closed() {
                tracing::error!("the lane of refused records is full, the oldest are dropped");
                self.refused.give_up_oldest();
                self.refused.commit()?;
                self.refused.drop_drained()?;
            }
            self.refused.roll()?;
        }
        Ok(())
    }
}
