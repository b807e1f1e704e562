//! What a full outbox lets go of, and what is told of it. Pure: it knows headers, sizes and the time zone.
//!
//! # Thinning out
//!
//! A meter's register is cumulative: with fewer readings of last week the consumption of last week is still known, only
//! not by the quarter of an hour. So the older a part of the history is, the fewer of its readings are kept. Segments come
//! in four *grains*, from the newest to the oldest:
//!
//! | grain | what it holds of each meter | share of the lane's disk |
//! |---|---|---|
//! | whole | everything | a half |
//! | hour | the last reading of every hour | a quarter |
//! | day | the last reading of every day | an eighth |
//! | month | the last reading of every month | what is left, an eighth |
//!
//! Hours, days and months are those of the configured time zone. Beside them the first reading of a meter in a segment
//! stays, so that the first, the last and the month-ends of what waits are there at every grain.
//!
//! **The rule** ([`next_step`]): when room is needed, the finest grain that has more than its share gives: the oldest of its
//! segments, at most half of them and at most [`THIN_SEGMENTS_MAX`], become one of the next grain, as many as it can take
//! in. When none but the months has more than its share, the oldest segment is dropped.
//!
//! **What it costs**: a reading is written again at most three times in its life, once a grain; as no segment is made of
//! more than one can hold, no more segments are written than were there. A segment from which nothing would go and which
//! joins no other is not written again. In memory there are one segment's bytes and the records of the one to be.
//!
//! **What it cannot do**: it tells a meter's readings apart by their time alone. Where one meter is asked for different
//! registers at different times, the last of an hour is the last of any kind. And meters so many that one round of readings
//! fills a segment (some ten thousand at 2 MiB) leave nothing to thin out within it: then the oldest go.

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use weir_wire::GapOfMeter;

use super::frame::{Class, Header};
use crate::limits::{GAP_METERS_MAX, THIN_SEGMENTS_MAX};

/// How much of the history a segment holds; finest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Grain {
    #[default]
    Whole,
    Hour,
    Day,
    Month,
}

impl Grain {
    /// Those that thinning makes.
    pub(super) const THINNED: [Self; 3] = [Self::Hour, Self::Day, Self::Month];

    /// The next one, and the part of the disk beyond which this one gives to it; `None` for the last.
    fn gives(self, disk_bytes: u64) -> Option<(Self, u64)> {
        match self {
            Self::Whole => Some((Self::Hour, disk_bytes / 2)),
            Self::Hour => Some((Self::Day, disk_bytes / 4)),
            Self::Day => Some((Self::Month, disk_bytes / 8)),
            Self::Month => None,
        }
    }
}

/// What goes next when room is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Closed segments, at most `count_max` from this one on, become one of this grain.
    Thin {
        at: usize,
        count_max: usize,
        grain: Grain,
    },
    DropOldest,
}

/// The next step for closed segments of these grains and sizes, oldest first, an active one of this size, and so much disk
/// to share out.
pub(super) fn next_step(closed: &[(Grain, u64)], active_bytes: u64, disk_bytes: u64) -> Step {
    for grain in [Grain::Whole, Grain::Hour, Grain::Day] {
        let Some((coarser, share)) = grain.gives(disk_bytes) else { continue };
        let of_it = closed.iter().filter(|(it, _)| *it == grain);
        let active_bytes = if grain == Grain::Whole { active_bytes } else { 0 };
        let taken = of_it.map(|(_, bytes)| bytes).sum::<u64>() + active_bytes;
        if let (Some(at), true) = (closed.iter().position(|(it, _)| *it == grain), taken > share) {
            let row = closed.iter().skip(at).take_while(|(it, _)| *it == grain).count();
            return Step::Thin { at, count_max: row.div_ceil(2).min(THIN_SEGMENTS_MAX), grain: coarser };
        }
    }
    Step::DropOldest
}

/// Which of these records, in the order of their sequences, stay in a segment of this grain: their sequences.
pub(super) fn staying(headers: &[Header<'_>], grain: Grain, zone: &TimeZone) -> HashSet<u64> {
    let mut firsts = HashMap::new();
    let mut lasts = HashMap::new();
    let mut staying = HashSet::new();
    for header in headers {
        match period(header.at, grain, zone) {
            Some(period) if header.class == Class::Reading => {
                firsts.entry(header.meter).or_insert(header.sequence);
                lasts.insert((header.meter, period), header.sequence);
            }
            _ => drop(staying.insert(header.sequence)),
        }
    }
    staying.extend(firsts.into_values().chain(lasts.into_values()));
    staying
}

/// The hour, day or month of a moment; what is not of the grain is 0. An hour that the clock shows twice is two.
fn period(at: Timestamp, grain: Grain, zone: &TimeZone) -> Option<(i16, i8, i8, i8, i32)> {
    let offset = zone.to_offset(at);
    let local = offset.to_datetime(at);
    let (year, month, day) = (local.year(), local.month(), local.day());
    match grain {
        Grain::Whole => None,
        Grain::Hour => Some((year, month, day, local.hour(), offset.seconds())),
        Grain::Day => Some((year, month, day, 0, 0)),
        Grain::Month => Some((year, month, 0, 0, 0)),
    }
}

/// Records that go, counted by meter and time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Dropped {
    by_meter: BTreeMap<String, GapOfMeter>,
    count: u64,
}

impl Dropped {
    pub(super) fn add(&mut self, header: &Header<'_>) {
        let &Header { meter, at, .. } = header;
        self.count += 1;
        match self.by_meter.get_mut(meter) {
            Some(gap) => {
                gap.count += 1;
                gap.from = gap.from.min(at);
                gap.to = gap.to.max(at);
            }
            None => {
                let gap = GapOfMeter { meter: meter.to_owned(), count: 1, from: at, to: at };
                self.by_meter.insert(meter.to_owned(), gap);
            }
        }
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// In portions of one event each.
    pub(super) fn portions(self) -> Vec<Vec<GapOfMeter>> {
        let all: Vec<GapOfMeter> = self.by_meter.into_values().collect();
        all.chunks(GAP_METERS_MAX).map(<[GapOfMeter]>::to_vec).collect()
    }
}

#[cfg(test)]
mod tests;
