//! When a meter is due: slots on the wall clock of a time zone.
//!
//! A day's slots are local midnight plus the offset plus whole multiples of the interval, as far as the day goes; the
//! next midnight starts afresh. Where the zone changes its clocks:
//!
//! * **Clocks go forward.** Slots whose wall time does not exist become one slot at the moment of the change.
//! * **Clocks go back.** Wall times of the repeated hour are slots the first time. The second time they are slots only
//!   when a whole interval has passed since the slot before: a daily slot comes once, a quarter-hourly one goes on.
//!
//! Pure: it is asked with times and never reads a clock. All arithmetic is in milliseconds, because readings keep no
//! more, and between two changes of the zone's offset local time is a straight line.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

const DAY_MS: i64 = 86_400_000;

/// A search crosses at most this many changes of the zone's offset. Two lie within any day at the very worst; a zone
/// file that claims more must not hold up the line.
const OFFSET_CHANGES_MAX: u32 = 8;

/// One meter's slots.
#[derive(Clone, Debug)]
pub(super) struct Schedule {
    every_ms: i64,
    offset_ms: i64,
    zone: TimeZone,
}

impl Schedule {
    /// Slots every `every` (1 ms to 24 h; brought into that range), shifted by `offset` (taken modulo `every`).
    pub(super) fn new(every: Duration, offset: Duration, zone: TimeZone) -> Self {
        let every_ms = milliseconds(every).clamp(1, DAY_MS);
        Self { every_ms, offset_ms: milliseconds(offset).rem_euclid(every_ms), zone }
    }

    /// The interval.
    pub(super) fn every(&self) -> Duration {
        Duration::from_millis(self.every_ms.unsigned_abs())
    }

    /// The first slot after this time.
    pub(super) fn next(&self, after: Timestamp) -> Timestamp {
        timestamp(self.first_from(after.as_millisecond().saturating_add(1)))
    }

    /// The last slot at or before this time.
    pub(super) fn latest(&self, at: Timestamp) -> Timestamp {
        let at = at.as_millisecond();
        let local = at.saturating_add(self.shift(at));
        let mut from = self.aligned_until(local).saturating_sub(self.shift(at));
        // Near a change of the clocks the aligned time may not be a slot; one a little earlier is.
        for _ in 0..OFFSET_CHANGES_MAX {
            if self.first_from(from) <= at {
                break;
            }
            from = from.saturating_sub(self.every_ms);
        }
        let mut slot = self.first_from(from);
        for _ in 0..OFFSET_CHANGES_MAX {
            match self.first_from(slot.saturating_add(1)) {
                next if next <= at => slot = next,
                _ => break,
            }
        }
        timestamp(slot)
    }

    /// How many slots lie after `from` up to `to`, give or take those that a change of the clocks adds or takes.
    pub(super) fn count(&self, from: Timestamp, to: Timestamp) -> u64 {
        let span_ms = to.as_millisecond().saturating_sub(from.as_millisecond()).max(0);
        // A short last interval before midnight still holds a slot.
        span_ms.unsigned_abs().div_ceil(self.every_ms.unsigned_abs())
    }

    fn first_from(&self, from: i64) -> i64 {
        let mut from = from;
        for _ in 0..OFFSET_CHANGES_MAX {
            let shift = self.shift(from);
            let change = self.change_until(from);
            if change == Some(from) && self.is_slot_skipped_at(from, shift) {
                return from;
            }
            let slot = self.aligned_from(from.saturating_add(shift)) - shift;
            let slot = change.map_or(slot, |change| self.not_repeated(slot, change, shift));
            match self.change_after(from) {
                Some(change) if change <= slot => from = change,
                _ => return slot,
            }
        }
        from.saturating_add(self.every_ms)
    }

    /// Whether a slot's wall time was skipped by the clocks going forward at `change`.
    fn is_slot_skipped_at(&self, change: i64, shift: i64) -> bool {
        self.aligned_from(change + self.shift(change - 1)) < change + shift
    }

    /// Moves a slot on that would repeat one from before the clocks went back at `change`.
    fn not_repeated(&self, slot: i64, change: i64, shift: i64) -> i64 {
        let shift_before = self.shift(change - 1);
        let repeated_until = change + (shift_before - shift);
        let last_before = self.aligned_until(change - 1 + shift_before) - shift_before;
        if slot >= repeated_until || slot - last_before >= self.every_ms {
            return slot;
        }
        self.aligned_from(repeated_until.min(last_before + self.every_ms) + shift) - shift
    }

    /// The first multiple at or after this local time.
    fn aligned_from(&self, local: i64) -> i64 {
        let midnight = local.div_euclid(DAY_MS) * DAY_MS;
        let past = local - midnight - self.offset_ms;
        if past <= 0 {
            return midnight + self.offset_ms;
        }
        let in_day = self.offset_ms + ceil_div(past, self.every_ms) * self.every_ms;
        if in_day < DAY_MS { midnight + in_day } else { midnight + DAY_MS + self.offset_ms }
    }

    /// The last multiple at or before this local time.
    fn aligned_until(&self, local: i64) -> i64 {
        let midnight = local.div_euclid(DAY_MS) * DAY_MS;
        let floor = |past: i64| self.offset_ms + past.div_euclid(self.every_ms) * self.every_ms;
        let past = local - midnight - self.offset_ms;
        if past >= 0 {
            midnight + floor(past)
        } else {
            midnight - DAY_MS + floor(DAY_MS - 1 - self.offset_ms)
        }
    }

    /// The zone's offset from UTC at this time.
    fn shift(&self, at: i64) -> i64 {
        i64::from(self.zone.to_offset(timestamp(at)).seconds()) * 1000
    }

    /// The first time after this at which the offset is another one.
    fn change_after(&self, at: i64) -> Option<i64> {
        let shift = self.shift(at);
        let mut changes = self.zone.following(timestamp(at));
        changes.next().map(|change| change.timestamp().as_millisecond()).filter(|t| self.shift(*t) != shift)
    }

    /// The last time at or before this at which the offset changed.
    fn change_until(&self, at: i64) -> Option<i64> {
        let mut changes = self.zone.preceding(timestamp(at.saturating_add(1)));
        changes.next().map(|change| change.timestamp().as_millisecond())
    }
}

fn ceil_div(a: i64, b: i64) -> i64 {
    a.div_euclid(b) + i64::from(a.rem_euclid(b) != 0)
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn timestamp(ms: i64) -> Timestamp {
    let bounded = ms.clamp(Timestamp::MIN.as_millisecond(), Timestamp::MAX.as_millisecond());
    Timestamp::from_millisecond(bounded).unwrap_or_default()
}

#[cfg(test)]
mod tests;
