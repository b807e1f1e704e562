//! One lane: a row of segments, oldest first, of which the newest takes the appends.
//!
//! ```text
//!   acknowledged │ waiting                                    │ not yet given
//!   ─────────────┼────────────────────────────────────────────┼──────────────
//!   [ segment 1 ][ segment 2 ][ segment 3 ][ active          ]
//!                ▲ cursor                             durable ▲ ▲ next
//! ```
//!
//! Sequences are dense. What is missing between two of them when they are read was lost to damage, and is counted then,
//! at the one place where every record passes. Segments are named after their first sequence, so none has to be opened
//! to know where a record is; at most two are open at a time, the active one and the one being drained.
//!
//! Two rules keep sled's ways with damage out: **the active segment is always a file that this process has made** (a start
//! moves the newest segment's records into a fresh one, a failed commit begins a new one), and **a closed segment is
//! compared with a scan of its raw bytes before it is believed**.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::frame::{self, Class, Header};
use super::layout::{existing_segments, interrupted_moves, make_segment, remove_segment, segment_path};
use super::reads::{Read, Reads};
use super::salvage::{self, Damage, Scanned};
use super::store::{self, Key, Segment, StoreError};
use crate::id::Generation;

const CURSOR: &str = "cursor";
/// Generation and last sequence given before the segment was begun, for a start that finds it empty.
const BEGUN: &str = "begun";

/// One lane on disk. Every method blocks; all are called from the keeper's thread.
#[derive(Debug)]
pub(super) struct SegmentedLane {
    directory: PathBuf,
    quarantine: PathBuf,
    segment_payload_bytes: u64,
    generation: Generation,
    closed: VecDeque<ClosedSegment>,
    active: Active,
    /// The closed segment that is being read, by its first sequence.
    draining: Option<(u64, Segment)>,
    /// Frames of the commit to come.
    pending: Vec<(Key, Vec<u8>)>,
    pending_bytes: usize,
    next: u64,
    durable: u64,
    cursor: u64,
    flushed_cursor: u64,
    /// Missing sequences up to here have been reported in this start.
    missing_reported: u64,
}

#[derive(Debug)]
struct ClosedSegment {
    first: u64,
    disk_bytes: u64,
}

#[derive(Debug)]
struct Active {
    first: u64,
    segment: Segment,
    payload_bytes: u64,
}

/// Records that are gone: sequences `from..=to`, and the generation of the record after them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Missing {
    pub(super) generation: Generation,
    pub(super) from: u64,
    pub(super) to: u64,
}

/// What a read or an opening came across besides records.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) damaged: Vec<Damage>,
    pub(super) missing: Vec<Missing>,
}

impl SegmentedLane {
    /// Opens the lane in this directory, or makes it. Finishes what the last stop left half done, and moves the newest
    /// segment's records into a fresh file.
    pub(super) fn open(
        directory: &Path,
        quarantine: &Path,
        generation: Generation,
        segment_payload_bytes: u64,
    ) -> Result<(Self, Findings), StoreError> {
        fs::create_dir_all(directory)?;
        let mut findings = Findings::default();
        for first in interrupted_moves(directory)? {
            findings.damaged.extend(salvage::finish(directory, quarantine, first)?);
        }
        let mut firsts = existing_segments(directory)?;
        let first = match firsts.pop() {
            Some(first) => {
                findings.damaged.extend(salvage::renew(directory, quarantine, first)?);
                first
            }
            None => {
                make_segment(directory, 1, [], &[cursor_mark(0), begun_mark(generation, 0)])?;
                1
            }
        };
        let segment = Segment::open(&segment_path(directory, first))?;
        let cursor = match sequence_of(&segment, CURSOR)? {
            Some((_, cursor)) => cursor,
            None => cursor_before(directory, &firsts)?.unwrap_or(firsts.first().unwrap_or(&first) - 1),
        };
        let last = segment.last_key()?.map_or(first - 1, |(sequence, _)| sequence).max(cursor);
        let closed =
            |first| ClosedSegment { first, disk_bytes: store::disk_bytes(&segment_path(directory, first)) };
        let lane = Self {
            directory: directory.to_owned(),
            quarantine: quarantine.to_owned(),
            segment_payload_bytes,
            generation,
            closed: firsts.into_iter().map(closed).collect(),
            active: Active { first, payload_bytes: payload_bytes(&segment)?, segment },
            draining: None,
            pending: Vec::new(),
            pending_bytes: 0,
            next: last + 1,
            durable: last,
            cursor,
            flushed_cursor: cursor,
            missing_reported: 0,
        };
        Ok((lane, findings))
    }

    /// The last generation that wrote here and the last sequence it gave; `None` in a new lane.
    pub(super) fn previous(&self) -> Result<Option<(Generation, u64)>, StoreError> {
        let segment = &self.active.segment;
        let Some(key) = segment.last_key()? else {
            return Ok(sequence_of(segment, BEGUN)?.filter(|(_, sequence)| *sequence > 0));
        };
        let value = segment.values_from(key).next().transpose()?;
        let frame = value.as_ref().and_then(|(_, bytes)| frame::parse(bytes));
        Ok(Some((frame.map_or(Generation(0), |frame| frame.header.generation), key.0)))
    }

    /// Takes a record into the commit to come and gives it its sequence.
    pub(super) fn add(&mut self, class: Class, at: Timestamp, meter: &str, payload: &[u8]) -> u64 {
        let sequence = self.next;
        self.next += 1;
        let header = Header { class, generation: self.generation, sequence, at, meter: meter.to_owned() };
        for (part, frame) in (0..=u8::MAX).zip(frame::cut(&header, payload)) {
            self.pending_bytes += frame.len();
            self.pending.push(((sequence, part), frame));
        }
        sequence
    }

    /// Bytes that wait for the commit to come.
    pub(super) fn pending_bytes(&self) -> usize {
        self.pending_bytes
    }

    /// The group commit: writes what is pending and the cursor, makes both durable.
    ///
    /// After a failure nothing is written behind what may be torn: the same records, which nobody has been told of yet,
    /// go under the same names into a new segment. (Linux tells of a failed write-back once and then shows the lost
    /// pages as good, so a second sync of the same file proves nothing.)
    pub(super) fn commit(&mut self) -> Result<(), StoreError> {
        if self.pending.is_empty() && self.cursor == self.flushed_cursor {
            return Ok(());
        }
        match self.write_and_sync() {
            Ok(()) => self.active.payload_bytes += u64::try_from(self.pending_bytes).unwrap_or_default(),
            Err(error) => {
                tracing::warn!(lane = %self.directory.display(), %error, "commit failed, beginning a new segment");
                self.begin_after_failure()?;
            }
        }
        self.pending.clear();
        self.pending_bytes = 0;
        self.durable = self.next - 1;
        self.flushed_cursor = self.cursor;
        Ok(())
    }

    fn write_and_sync(&self) -> Result<(), StoreError> {
        let marks = [cursor_mark(self.cursor)];
        let marks = if self.cursor == self.flushed_cursor { &[] } else { marks.as_slice() };
        self.active.segment.put(self.pending.iter().cloned(), marks)?;
        self.active.segment.sync()
    }

    fn begin_after_failure(&mut self) -> Result<(), StoreError> {
        if let Err(error) = self.active.segment.close() {
            tracing::warn!(%error, "closing a failed segment");
        }
        let (failed, first) = (self.active.first, self.durable + 1);
        if failed == first {
            // Nothing in it was ever told.
            remove_segment(&self.directory, failed)?;
        }
        let pending = self.pending.iter().cloned();
        let marks = [cursor_mark(self.cursor), begun_mark(self.generation, self.durable)];
        make_segment(&self.directory, first, pending, &marks)?;
        self.active.segment = Segment::open(&segment_path(&self.directory, first))?;
        self.active.first = first;
        self.active.payload_bytes = u64::try_from(self.pending_bytes).unwrap_or_default();
        if failed != first {
            let disk_bytes = store::disk_bytes(&segment_path(&self.directory, failed));
            self.closed.push_back(ClosedSegment { first: failed, disk_bytes });
        }
        Ok(())
    }

    /// Whether the active segment has its fill.
    pub(super) fn wants_roll(&self) -> bool {
        self.active.payload_bytes >= self.segment_payload_bytes
    }

    /// Whether the active segment has twice its fill: there is no room to begin another, and appends must be refused.
    pub(super) fn is_overfull(&self) -> bool {
        self.active.payload_bytes >= 2 * self.segment_payload_bytes
    }

    /// Begins a new segment. Nothing may be pending.
    pub(super) fn roll(&mut self) -> Result<(), StoreError> {
        let marks = [cursor_mark(self.cursor), begun_mark(self.generation, self.next - 1)];
        make_segment(&self.directory, self.next, [], &marks)?;
        let segment = Segment::open(&segment_path(&self.directory, self.next))?;
        let new = Active { first: self.next, segment, payload_bytes: 0 };
        let mut full = std::mem::replace(&mut self.active, new);
        let disk_bytes = full.segment.disk_bytes();
        full.segment.close()?;
        self.closed.push_back(ClosedSegment { first: full.first, disk_bytes });
        self.flushed_cursor = self.cursor;
        Ok(())
    }

    /// Everything up to this sequence is with the broker. Durable with the next commit.
    pub(super) fn acknowledge(&mut self, up_to: u64) {
        self.cursor = self.cursor.max(up_to.min(self.durable));
    }

    /// Whether a commit of the cursor would free a segment.
    pub(super) fn has_drained_segment(&self) -> bool {
        self.end_of_oldest().is_some_and(|end| end <= self.cursor)
    }

    /// Removes the closed segments that lie wholly behind the flushed cursor.
    pub(super) fn drop_drained(&mut self) -> Result<(), StoreError> {
        while self.end_of_oldest().is_some_and(|end| end <= self.flushed_cursor) {
            let Some(segment) = self.closed.pop_front() else { break };
            if let Some((_, mut open)) = self.draining.take_if(|(first, _)| *first == segment.first) {
                open.close()?;
            }
            remove_segment(&self.directory, segment.first)?;
        }
        Ok(())
    }

    /// Moves the cursor over the oldest closed segment, whether its records are acknowledged or not. The next commit and
    /// [`SegmentedLane::drop_drained`] remove it.
    pub(super) fn give_up_oldest(&mut self) {
        if let Some(end) = self.end_of_oldest() {
            self.cursor = self.cursor.max(end);
        }
    }

    /// The headers of the records still waiting in the oldest closed segment.
    pub(super) fn waiting_in_oldest(&mut self, findings: &mut Findings) -> Result<Vec<Header>, StoreError> {
        let mut headers = Vec::new();
        let Some(end) = self.end_of_oldest() else { return Ok(headers) };
        let mut after = self.cursor;
        while after < end {
            let reads = self.read(after, 1000, usize::MAX, findings)?;
            let Some(last) = reads.last() else { break };
            after = last.header.sequence;
            headers.extend(reads.into_iter().map(|read| read.header).filter(|header| header.sequence <= end));
        }
        Ok(headers)
    }

    fn end_of_oldest(&self) -> Option<u64> {
        self.closed.front()?;
        Some(self.closed.get(1).map_or(self.active.first, |next| next.first) - 1)
    }

    /// Durable records after this sequence and after the cursor, in order.
    ///
    /// A closed segment that turns out to be damaged is set aside, once, and read as far as it could be salvaged.
    pub(super) fn read(
        &mut self,
        after: u64,
        records_max: usize,
        bytes_max: usize,
        findings: &mut Findings,
    ) -> Result<Vec<Read>, StoreError> {
        let mut reads = Reads::new(records_max, bytes_max);
        let expected = after.max(self.cursor) + 1;
        let mut from = expected;
        let mut mended = None;
        while from <= self.durable && !reads.is_full() {
            let (first, end) = self.segment_of(from);
            if first == self.active.first {
                from = reads.take_from(&self.active.segment, from, end)?;
                continue;
            }
            let read =
                self.draining(first, end, findings).and_then(|segment| reads.take_from(segment, from, end));
            match read {
                Ok(next) => from = next,
                Err(error) if mended != Some(first) && !error.is_the_machines() => {
                    mended = Some(first);
                    let scanned = salvage::scan(&segment_path(&self.directory, first))?;
                    self.set_aside((first, end), scanned, &error.to_string(), findings)?;
                    from = reads.records.last().map_or(from, |read| read.header.sequence + 1);
                }
                Err(error) => return Err(error),
            }
        }
        findings.missing.extend(self.missing(expected, from, &reads.records));
        Ok(reads.records)
    }

    /// What is missing among records that should be `expected..next`, as far as it was not reported before.
    fn missing(&mut self, expected: u64, next: u64, records: &[Read]) -> Vec<Missing> {
        let mut missing = Vec::new();
        let mut expected = expected.max(self.missing_reported + 1);
        let found = records.iter().map(|read| (read.header.generation, read.header.sequence));
        for (generation, sequence) in found.chain([(self.generation, next)]) {
            if sequence > expected {
                missing.push(Missing { generation, from: expected, to: sequence - 1 });
                self.missing_reported = sequence - 1;
            }
            expected = expected.max(sequence + 1);
        }
        missing
    }

    /// First and last sequence of the segment that holds this one.
    fn segment_of(&self, sequence: u64) -> (u64, u64) {
        if sequence >= self.active.first {
            return (self.active.first, self.durable);
        }
        let index = self.closed.partition_point(|segment| segment.first <= sequence).saturating_sub(1);
        let end = self.closed.get(index + 1).map_or(self.active.first, |next| next.first) - 1;
        (self.closed.get(index).map_or(sequence, |segment| segment.first), end)
    }

    /// The closed segment `first..=end`, open and compared with its raw bytes.
    fn draining(&mut self, first: u64, end: u64, findings: &mut Findings) -> Result<&Segment, StoreError> {
        if let Some((_, mut other)) = self.draining.take_if(|(open, _)| *open != first) {
            other.close()?;
        }
        let path = segment_path(&self.directory, first);
        if self.draining.is_none() {
            let scanned = salvage::scan(&path)?;
            let opened = match Segment::open(&path).and_then(|segment| compared(segment, &scanned, end)) {
                Err(error) if !error.is_the_machines() => {
                    self.set_aside((first, end), scanned, &error.to_string(), findings)?;
                    Segment::open(&path)
                }
                opened => opened,
            };
            self.draining = Some((first, opened?));
        }
        self.draining.as_ref().map(|(_, segment)| segment).ok_or(StoreError::NotOpen)
    }

    fn set_aside(
        &mut self,
        (first, end): (u64, u64),
        scanned: Scanned,
        why: &str,
        findings: &mut Findings,
    ) -> Result<(), StoreError> {
        self.draining = None;
        let damage = salvage::set_aside(&self.directory, &self.quarantine, (first, end), scanned, why)?;
        findings.damaged.extend(damage);
        Ok(())
    }

    /// Records that wait for an acknowledgement.
    pub(super) fn waiting(&self) -> u64 {
        self.durable - self.cursor.min(self.durable)
    }

    /// The last durable sequence.
    pub(super) fn durable(&self) -> u64 {
        self.durable
    }

    /// The last acknowledged sequence.
    pub(super) fn cursor(&self) -> u64 {
        self.cursor
    }

    /// Whether the cursor has moved since it was last made durable.
    pub(super) fn cursor_is_unflushed(&self) -> bool {
        self.cursor != self.flushed_cursor
    }

    /// Segments on disk, the active one included.
    pub(super) fn segments(&self) -> u64 {
        u64::try_from(self.closed.len()).unwrap_or(u64::MAX) + 1
    }

    /// Whether there is a closed segment that could be dropped.
    pub(super) fn has_closed(&self) -> bool {
        !self.closed.is_empty()
    }

    /// Bytes of disk of all segments.
    pub(super) fn disk_bytes(&self) -> u64 {
        let closed: u64 = self.closed.iter().map(|segment| segment.disk_bytes).sum();
        closed + self.active.segment.disk_bytes()
    }

    /// Closes the store in good order. Nothing may be pending.
    pub(super) fn close(mut self) -> Result<(), StoreError> {
        if let Some((_, segment)) = &mut self.draining {
            segment.close()?;
        }
        self.active.segment.close()
    }
}

/// The segment, when it shows every record up to `end` that its raw bytes hold.
fn compared(mut segment: Segment, scanned: &Scanned, end: u64) -> Result<Segment, StoreError> {
    for key in scanned.values.keys().take_while(|(sequence, _)| *sequence <= end) {
        if !segment.has(*key)? {
            let _ = segment.close();
            return Err(StoreError::Hides(key.0));
        }
    }
    Ok(segment)
}

/// The acknowledged sequence as it lies in a segment: framed, so that salvage finds it too.
pub(super) fn cursor_mark(cursor: u64) -> (&'static str, Vec<u8>) {
    (CURSOR, mark(Class::Cursor, Generation(0), cursor))
}

/// The generation and the last sequence given before a segment was begun.
pub(super) fn begun_mark(generation: Generation, last: u64) -> (&'static str, Vec<u8>) {
    (BEGUN, mark(Class::Begun, generation, last))
}

fn mark(class: Class, generation: Generation, sequence: u64) -> Vec<u8> {
    let header = Header { class, generation, sequence, at: Timestamp::UNIX_EPOCH, meter: String::new() };
    frame::cut(&header, &[]).concat()
}

fn sequence_of(segment: &Segment, mark: &str) -> Result<Option<(Generation, u64)>, StoreError> {
    let mark = segment.mark(mark)?.unwrap_or_default();
    Ok(frame::parse(&mark).map(|frame| (frame.header.generation, frame.header.sequence)))
}

/// The cursor as the newest of these closed segments knew it when it was closed.
fn cursor_before(lane: &Path, firsts: &[u64]) -> Result<Option<u64>, StoreError> {
    match firsts.last() {
        Some(first) => Ok(salvage::scan(&segment_path(lane, *first))?.cursor),
        None => Ok(None),
    }
}

fn payload_bytes(segment: &Segment) -> Result<u64, StoreError> {
    let mut bytes = 0;
    for value in segment.values_from((0, 0)) {
        bytes += u64::try_from(value?.1.len()).unwrap_or_default();
    }
    Ok(bytes)
}
