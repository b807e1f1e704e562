//! Thinning out: some adjacent segments become one with fewer records; `retention` says which ones stay.
//!
//! In two halves, so that what goes can be reported, durably, in between. The new segment takes the place of the first one,
//! and then the others go. A crash in between leaves those whole, and the records that the first one has of theirs are not
//! looked at: the next start finds the same to do, and does and reports it again under the same ids.

use std::ops::RangeInclusive;

use jiff::tz::TimeZone;

use super::frame::{Gone, Header};
use super::lane::{Damage, SegmentedLane, closed, cursor_mark};
use super::layout::remove_segments;
use super::moving::{self, Contents, Old};
use super::retention::{Dropped, Grain, Step, next_step, staying};
use super::scanned::Scanned;
use super::store::{Key, Store, StoreError};
use crate::id::Generation;

/// Segments read one after the other, and what stays of them.
#[derive(Debug)]
pub(super) struct Thinner {
    grain: Grain,
    /// First sequences of the segments that were taken in.
    firsts: Vec<u64>,
    /// The sequences they stand for, as far as they wait.
    range: RangeInclusive<u64>,
    /// The frames that stay.
    values: Vec<(Key, Vec<u8>)>,
    left: u64,
    pub(super) dropped: Dropped,
    /// The first and the last record that goes.
    pub(super) dropped_ends: Option<[(Generation, u64); 2]>,
}

impl Thinner {
    fn new(grain: Grain, from: u64) -> Self {
        let (firsts, values) = (Vec::new(), Vec::new());
        let (dropped, dropped_ends) = (Dropped::default(), None);
        Self { grain, firsts, range: from..=from, values, left: 0, dropped, dropped_ends }
    }

    /// Takes in a segment, if what then stays is no longer than this, or it is the first.
    fn take(&mut self, (first, end): (u64, u64), scanned: &Scanned, zone: &TimeZone, bytes_max: u64) -> bool {
        let from = first.max(*self.range.start());
        let new = scanned.values_from(from).into_iter().filter(|((sequence, _), _)| *sequence <= end);
        let mut values = self.values.clone();
        values.extend(new);
        let frames = values.iter().map(|(_, frame)| frame.as_slice()).collect::<Vec<_>>();
        let together = Scanned::of(frames.concat());
        let headers: Vec<Header<'_>> = together.records_from(0).map(|record| record.header).collect();
        let staying = staying(&headers, self.grain, zone);
        values.retain(|((sequence, _), _)| staying.contains(sequence));
        let bytes: usize = values.iter().map(|(_, frame)| frame.len()).sum();
        if !self.firsts.is_empty() && u64::try_from(bytes).is_ok_and(|bytes| bytes > bytes_max) {
            return false;
        }
        for header in headers.iter().filter(|header| !staying.contains(&header.sequence)) {
            self.dropped.add(header);
            let name = (header.generation, header.sequence);
            let [earliest, latest] = self.dropped_ends.unwrap_or([name; 2]);
            let by_sequence = |name: &(Generation, u64)| name.1;
            self.dropped_ends = Some([
                std::cmp::min_by_key(earliest, name, by_sequence),
                std::cmp::max_by_key(latest, name, by_sequence),
            ]);
        }
        self.firsts.push(first);
        self.range = *self.range.start()..=end;
        self.values = values;
        self.left = u64::try_from(staying.len()).unwrap_or(u64::MAX);
        true
    }
}

impl<S: Store + Clone> SegmentedLane<S> {
    /// What goes next when room is needed and the lane has so much disk to share out.
    pub(super) fn next_step(&self, disk_bytes: u64) -> Step {
        let closed: Vec<_> = self.closed.iter().map(|segment| (segment.grain, segment.disk_bytes)).collect();
        next_step(&closed, self.active_disk_bytes(), disk_bytes)
    }

    /// Reads closed segments from this place on, at most so many, and says what would stay and what would go. `None` when
    /// there is damage to be reported first.
    pub(super) fn thinner(
        &mut self,
        (at, count_max): (usize, usize),
        grain: Grain,
        zone: &TimeZone,
        damage: &mut Vec<Damage>,
    ) -> Result<Option<Thinner>, StoreError> {
        let firsts = self.closed.iter().map(|segment| segment.first);
        let row: Vec<(u64, u64)> = firsts.zip(self.ends()).skip(at).take(count_max).collect();
        let begin = row.first().map_or(0, |(first, _)| *first).max(self.cursor + 1);
        let mut thinner = Thinner::new(grain, begin);
        let bytes_max = self.segment_payload_bytes;
        for (first, end) in row {
            let scanned = self.scanned(first, end, damage)?;
            if !damage.is_empty() {
                return Ok(None);
            }
            if !thinner.take((first, end), scanned, zone, bytes_max) {
                break;
            }
        }
        Ok(Some(thinner))
    }

    /// Puts one segment in the place of those that were read. What goes must have been reported, durably.
    pub(super) fn thin(&mut self, thinner: Thinner) -> Result<(), StoreError> {
        let Thinner { grain, firsts, range, values, left, dropped, .. } = thinner;
        let Some((&first, others)) = firsts.split_first() else { return Ok(()) };
        let is_changed = dropped.count() > 0 || !others.is_empty();
        if is_changed {
            self.draining = None;
            let gone = vec![Gone { from: *range.start(), to: *range.end(), left }];
            let marks = [cursor_mark(self.flushed_cursor)];
            let contents = Contents { values, gone, marks: &marks };
            moving::replace(&self.store, &self.directory, first, contents, Old::Removed)?;
            remove_segments(&self.store, &self.directory, others)?;
        }
        for (to, _) in self.thinned.iter_mut().zip(Grain::THINNED).filter(|(_, it)| *it <= grain) {
            *to = first.max(*to);
        }
        self.closed.retain(|segment| !others.contains(&segment.first));
        if let Some(segment) = self.closed.iter_mut().find(|segment| segment.first == first) {
            *segment = closed(&self.store, &self.directory, first, &self.thinned);
        }
        Ok(())
    }
}
