//! What the raw bytes of a segment hold: every whole frame, wherever it stands, and what is missing between them.
//!
//! Pure. The database's own structures are not looked at: a frame is believed because its CRC agrees.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::Bytes;

use super::frame::{self, Class, Frame, Gone, Header, Record, ThinnedTo};
use super::store::Key;
use crate::id::Generation;

/// The frames of a segment.
#[derive(Debug, Default)]
pub(super) struct Scanned {
    raw: Bytes,
    /// Where each record's frames begin. A frame may lie there several times, each time the same: sled rewrites its
    /// pages, and a sequence is never given twice within one segment.
    places: BTreeMap<Key, usize>,
    gone: BTreeMap<u64, Gone>,
    /// The furthest cursor.
    pub(super) cursor: Option<u64>,
    /// Up to where everything was told as durable when the last commit began.
    pub(super) told: u64,
    /// The generation and last sequence before it was begun.
    pub(super) begun: Option<(Generation, u64)>,
    /// How far the lane was thinned out, the furthest of each.
    pub(super) thinned: ThinnedTo,
}

/// Records that are gone and were not reported yet: so many of the sequences `from..=to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Missing {
    /// That of the record behind them, as far as there is one.
    pub(super) generation: Generation,
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) lost: u64,
}

impl Scanned {
    /// Finds all frames in these bytes.
    pub(super) fn of(raw: Vec<u8>) -> Self {
        let raw = Bytes::from(raw);
        let mut scanned = Self::default();
        for (place, frame) in frame::scan(&raw) {
            let Header { class, generation, sequence, .. } = frame.header;
            match class {
                Class::Cursor => scanned.cursor = scanned.cursor.max(Some(sequence)),
                Class::Told => scanned.told = scanned.told.max(sequence),
                Class::Begun => scanned.begun = Some((generation, sequence)),
                Class::Thinned => {
                    let to = frame::thinned_to(&frame).unwrap_or_default();
                    scanned.thinned.iter_mut().zip(to).for_each(|(known, to)| *known = to.max(*known));
                }
                Class::Gone => scanned.gone.extend(Gone::from_frame(&frame).map(|gone| (gone.from, gone))),
                Class::Reading | Class::Event | Class::Refused | Class::Outcome => {
                    scanned.places.insert((sequence, frame.part), place);
                }
            }
        }
        Self { raw, ..scanned }
    }

    fn frames_from(&self, sequence: u64) -> impl Iterator<Item = Frame<'_>> {
        let places = self.places.range((sequence, 0)..);
        places.filter_map(|(_, place)| self.raw.get(*place..).and_then(frame::parse))
    }

    /// The whole records from this sequence on, in order.
    pub(super) fn records_from(&self, sequence: u64) -> impl Iterator<Item = Record<'_>> {
        frame::records(self.frames_from(sequence))
    }

    /// A record's payload, shared where it lies in one piece.
    pub(super) fn share(&self, payload: Cow<'_, [u8]>) -> Bytes {
        match payload {
            Cow::Borrowed(slice) => self.raw.slice_ref(slice),
            Cow::Owned(bytes) => bytes.into(),
        }
    }

    /// The frames from this sequence on, as they go into another segment.
    pub(super) fn values_from(&self, sequence: u64) -> Vec<(Key, Vec<u8>)> {
        let key = |frame: &Frame<'_>| (frame.header.sequence, frame.part);
        self.frames_from(sequence).map(|frame| (key(&frame), frame.bytes.to_vec())).collect()
    }

    /// The ranges of which records are gone and were reported, as far as they reach beyond this sequence.
    pub(super) fn gone_after(&self, sequence: u64) -> Vec<Gone> {
        self.gone.values().filter(|gone| gone.to > sequence).copied().collect()
    }

    /// The last sequence that is known to have been given, and its generation.
    pub(super) fn last(&self) -> Option<(Generation, u64)> {
        let (&(sequence, _), place) = self.places.last_key_value()?;
        let frame = self.raw.get(*place..).and_then(frame::parse)?;
        Some((frame.header.generation, sequence))
    }

    /// What is missing among the sequences `from..=to`.
    pub(super) fn missing(&self, from: u64, to: u64) -> Vec<Missing> {
        let mut missing = Vec::new();
        let mut short = |from: u64, to: u64, lost: u64| {
            let behind = self.frames_from(to + 1).next().map(|frame| frame.header.generation);
            let generation = behind.or(self.last().map(|(generation, _)| generation));
            let generation =
                generation.or(self.begun.map(|(generation, _)| generation)).unwrap_or(Generation(0));
            missing.push(Missing { generation, from, to, lost });
        };
        let there: Vec<u64> =
            self.records_from(from).map(|record| record.header.sequence).take_while(|it| *it <= to).collect();
        let mut expected = from;
        for sequence in there.iter().copied().chain([to.saturating_add(1)]) {
            for (from, to) in self.not_told(expected, sequence) {
                short(from, to, to - from + 1);
            }
            expected = sequence.saturating_add(1);
        }
        // Of a range that was thinned out it is known how many are left.
        for gone in self.gone.values().filter(|gone| gone.from >= from && gone.to <= to) {
            let left =
                there.partition_point(|it| *it <= gone.to) - there.partition_point(|it| *it < gone.from);
            let left = u64::try_from(left).unwrap_or(u64::MAX);
            if left < gone.left {
                short(gone.from, gone.to, gone.left - left);
            }
        }
        missing
    }

    /// The parts of `from..before` that lie in no range that was reported as gone.
    fn not_told(&self, from: u64, before: u64) -> Vec<(u64, u64)> {
        let mut parts = Vec::new();
        let mut expected = from;
        for gone in self.gone.values().filter(|gone| gone.to >= from && gone.from < before) {
            if gone.from > expected {
                parts.push((expected, gone.from - 1));
            }
            expected = expected.max(gone.to.saturating_add(1));
        }
        if expected < before {
            parts.push((expected, before - 1));
        }
        parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use proptest::prelude::*;

    fn record(sequence: u64) -> Vec<u8> {
        let header = Header {
            class: Class::Reading,
            generation: Generation(7),
            sequence,
            at: Timestamp::UNIX_EPOCH,
            meter: "A-1",
        };
        frame::cut(&header, &[0; 2000]).concat()
    }

    fn scanned(sequences: &[u64], gone: &[Gone]) -> Scanned {
        let frames = sequences.iter().map(|it| record(*it)).chain(gone.iter().map(|gone| gone.frame()));
        Scanned::of(frames.collect::<Vec<_>>().concat())
    }

    fn ranges(missing: Vec<Missing>) -> Vec<(u64, u64, u64)> {
        missing.into_iter().map(|missing| (missing.from, missing.to, missing.lost)).collect()
    }

    #[test]
    fn what_is_missing_is_told_with_its_range_unless_it_was_told_before() {
        assert_eq!(ranges(scanned(&[3, 4, 5], &[]).missing(3, 5)), []);
        assert_eq!(
            ranges(scanned(&[2, 4, 5, 9], &[]).missing(1, 10)),
            [(1, 1, 1), (3, 3, 1), (6, 8, 3), (10, 10, 1)]
        );
        let told = [Gone { from: 6, to: 8, left: 0 }];
        assert_eq!(ranges(scanned(&[2, 4, 5, 9], &told).missing(1, 10)), [(1, 1, 1), (3, 3, 1), (10, 10, 1)]);
        assert_eq!(ranges(scanned(&[], &[]).missing(4, 6)), [(4, 6, 3)]);
        let wider = [Gone { from: 4, to: 6, left: 0 }];
        assert_eq!(ranges(scanned(&[], &wider).missing(1, 9)), [(1, 3, 3), (7, 9, 3)]);
    }

    #[test]
    fn of_a_thinned_range_it_is_noticed_when_fewer_are_there_than_were_left() {
        let thinned = [Gone { from: 1, to: 10, left: 3 }];
        assert_eq!(ranges(scanned(&[1, 5, 10], &thinned).missing(1, 10)), []);
        assert_eq!(ranges(scanned(&[1, 10], &thinned).missing(1, 10)), [(1, 10, 1)]);
        // Once the cursor is inside nobody can count any more.
        assert_eq!(ranges(scanned(&[10], &thinned).missing(6, 10)), []);
    }

    #[test]
    fn a_record_that_lacks_a_part_is_missing() {
        let mut raw = [record(1), record(2), record(3)].concat();
        let middle = raw.len() / 2;
        raw[middle] ^= 1;
        let scanned = Scanned::of(raw);
        assert_eq!(ranges(scanned.missing(1, 3)), [(2, 2, 1)]);
        assert_eq!(scanned.records_from(1).map(|it| it.header.sequence).collect::<Vec<_>>(), [1, 3]);
    }

    proptest! {
        #[test]
        fn what_is_there_and_what_is_missing_add_up(
            there in proptest::collection::btree_set(1_u64..60, 0..40),
            gone in (1_u64..60, 0_u64..20),
            window in (1_u64..60, 0_u64..60),
        ) {
            let gone = Gone { from: gone.0, to: gone.0 + gone.1, left: 0 };
            let (from, to) = (window.0, window.0 + window.1);
            let sequences: Vec<u64> = there.iter().copied().collect();
            let missing = scanned(&sequences, &[gone]).missing(from, to);
            for sequence in from..=to {
                let told = missing.iter().filter(|it| (it.from..=it.to).contains(&sequence)).count();
                let is_known = there.contains(&sequence) || (gone.from..=gone.to).contains(&sequence);
                prop_assert_eq!(told, usize::from(!is_known), "{}", sequence);
            }
        }
    }
}
