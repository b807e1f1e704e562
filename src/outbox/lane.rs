//! One lane: a row of segments, oldest first, of which the newest takes the appends.
//!
//! ```text
//!   acknowledged │ waiting                                    │ not yet given
//!   ─────────────┼────────────────────────────────────────────┼──────────────
//!   [ segment 1 ][ segment 2 ][ segment 3 ][ active          ]
//!                ▲ cursor                             durable ▲ ▲ next
//! ```
//!
//! Sequences are dense: each one between the cursor and the last durable one is a record, or lies in a range that was
//! reported as gone. What is neither was lost to damage. It is found when a segment's raw bytes are scanned, reported by
//! the keeper, and then [covered](SegmentedLane::cover), so that it is told once.
//!
//! Segments are named after their first sequence. A closed one is read by its raw bytes, one at a time, when the reader
//! comes to it. Of the active one what waits is in memory too, at most [`SegmentedLane::is_overfull`]'s bytes, so that
//! nothing is ever read through the database. The active segment is always a file that this process has made.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use jiff::Timestamp;

use super::frame::{self, Class, Gone, Header, Record, ThinnedTo};
use super::layout::{self, make_segment, moving_path, remove_segments, segment_path};
use super::moving::{self, Contents, Old};
use super::renewed::Renewed;
use super::retention::Grain;
use super::scanned::{Missing, Scanned};
use super::store::{Key, Segment, Store, StoreError};
use crate::id::Generation;
use crate::limits::{overfull_bytes, segment_disk_bytes_max};

const CURSOR: &str = "cursor";
/// What had been told when the last commit began. Of what is missing beyond it nobody was ever told: a power cut tears the
/// commit that it hits.
const TOLD: &str = "told";
/// Generation and last sequence given before the segment was begun, for a start that finds it empty.
const BEGUN: &str = "begun";
/// How far the lane has been thinned out.
const THINNED: &str = "thinned";

/// One lane on disk. Every method blocks; all are called from the keeper's thread.
#[derive(Debug)]
pub(super) struct SegmentedLane<S: Store> {
    pub(super) store: S,
    pub(super) directory: PathBuf,
    quarantine: PathBuf,
    pub(super) segment_payload_bytes: u64,
    generation: Generation,
    /// The last generation before this start that wrote here and the last sequence it gave.
    previous: Option<(Generation, u64)>,
    pub(super) closed: VecDeque<ClosedSegment>,
    active: Active<S::Segment>,
    /// The closed segment that is being read, by its first sequence.
    pub(super) draining: Option<(u64, Scanned)>,
    /// How far it has been thinned out; goes to disk with the next commit of the cursor or the next segment. A start that
    /// does not know thins out what is thin already, which changes nothing.
    pub(super) thinned: ThinnedTo,
    /// Frames of the commit to come.
    pending: Vec<(Key, Vec<u8>)>,
    pending_bytes: usize,
    pending_gone: Vec<Gone>,
    next: u64,
    durable: u64,
    pub(super) cursor: u64,
    pub(super) flushed_cursor: u64,
    written: Written,
}

/// What group commits have handed to the store since the lane was opened.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Written {
    /// Group commits, those that only moved the cursor included.
    pub(super) flushes: u64,
    /// Bytes of frames.
    pub(super) frame_bytes: u64,
}

#[derive(Debug)]
pub(super) struct ClosedSegment {
    pub(super) first: u64,
    pub(super) disk_bytes: u64,
    pub(super) grain: Grain,
}

#[derive(Debug)]
struct Active<S> {
    first: u64,
    /// Missing only while a failed commit is being mended.
    segment: Option<S>,
    payload_bytes: u64,
    /// The frames in it that wait.
    waiting: VecDeque<(Key, Vec<u8>)>,
}

/// A record read back.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) generation: Generation,
    pub(super) sequence: u64,
    pub(super) at: Timestamp,
    pub(super) payload: Bytes,
}

/// Records read so far, up to a bound.
struct Reads {
    records: Vec<Read>,
    bytes: usize,
    records_max: usize,
    bytes_max: usize,
}

impl Reads {
    fn are_full(&self) -> bool {
        self.records.len() >= self.records_max || self.bytes >= self.bytes_max
    }

    fn push(&mut self, header: &Header<'_>, payload: Bytes) {
        let Header { generation, sequence, at, .. } = *header;
        self.bytes += payload.len();
        self.records.push(Read { generation, sequence, at, payload });
    }
}

/// A segment of which records are missing that nobody was told of yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Damage {
    /// Its first sequence.
    pub(super) segment: u64,
    /// What was found, with the lane and the segment.
    pub(super) detail: String,
    /// Records that wait in it and are whole.
    pub(super) salvaged: u64,
    /// The rest; empty where nobody can tell how many there were.
    pub(super) missing: Vec<Missing>,
}

impl<S: Store + Clone> SegmentedLane<S> {
    /// Opens the lane in this directory, or makes it. Finishes what the last stop left half done, and moves the newest
    /// segment's records into a fresh file.
    pub(super) fn open(
        store: &S,
        directory: &Path,
        quarantine: &Path,
        generation: Generation,
        segment_payload_bytes: u64,
    ) -> Result<(Self, Vec<Damage>), StoreError> {
        store.make_directory(directory)?;
        settle_moves(store, directory, quarantine)?;
        let mut firsts = layout::list(store, directory)?.firsts;
        let (renewed, damage) = match firsts.pop() {
            Some(first) => {
                let needed = segment_disk_bytes_max(segment_payload_bytes);
                Renewed::of(store, directory, quarantine, first, firsts.last().copied(), needed)?
            }
            None => {
                let marks = [cursor_mark(0), begun_mark(generation, 0)];
                make_segment(store, directory, 1, &[], &marks)?;
                (Renewed { first: 1, is_renewed: true, ..Renewed::default() }, None)
            }
        };
        let Renewed { first, cursor, last, previous, waiting, thinned, is_renewed } = renewed;
        let payload_bytes = waiting.iter().map(|(_, frame)| bytes(frame)).sum();
        // Where there was no room for a fresh file the first commit tries again, and begins the next one.
        let segment = is_renewed.then(|| store.open(&segment_path(directory, first))).transpose()?;
        let lane = Self {
            store: store.clone(),
            directory: directory.to_owned(),
            quarantine: quarantine.to_owned(),
            segment_payload_bytes,
            generation,
            previous,
            closed: firsts.into_iter().map(|first| closed(store, directory, first, &thinned)).collect(),
            active: Active { first, payload_bytes, segment, waiting },
            draining: None,
            thinned,
            pending: Vec::new(),
            pending_bytes: 0,
            pending_gone: Vec::new(),
            next: last + 1,
            durable: last,
            cursor,
            flushed_cursor: cursor,
            written: Written::default(),
        };
        Ok((lane, damage.into_iter().collect()))
    }

    /// The last generation that wrote here before this start and the last sequence it gave; `None` in a new lane.
    pub(super) fn previous(&self) -> Option<(Generation, u64)> {
        self.previous
    }

    /// Takes a record into the commit to come and gives it its sequence.
    pub(super) fn add(&mut self, class: Class, at: Timestamp, meter: &str, payload: &[u8]) -> u64 {
        let sequence = self.next;
        self.next += 1;
        let header = Header { class, generation: self.generation, sequence, at, meter };
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
        if self.pending.is_empty() && self.pending_gone.is_empty() && self.cursor == self.flushed_cursor {
            return Ok(());
        }
        match self.write_and_sync() {
            Ok(()) => self.active.payload_bytes += u64::try_from(self.pending_bytes).unwrap_or_default(),
            Err(error) => {
                // On a full disk each further try has none, and the keeper has said why.
                if self.active.segment.is_some() {
                    tracing::warn!(lane = %self.directory.display(), %error, "commit failed, beginning a new segment");
                }
                self.begin_after_failure()?;
            }
        }
        self.written.flushes += 1;
        self.written.frame_bytes += u64::try_from(self.pending_bytes).unwrap_or_default();
        self.active.waiting.extend(self.pending.drain(..));
        self.pending_gone.clear();
        self.pending_bytes = 0;
        self.durable = self.next - 1;
        self.flushed_cursor = self.cursor;
        Ok(())
    }

    fn write_and_sync(&mut self) -> Result<(), StoreError> {
        let marks = [told_mark(self.durable), cursor_mark(self.cursor), thinned_mark(self.thinned)];
        let marks = if self.cursor == self.flushed_cursor {
            marks.get(..1).unwrap_or_default()
        } else {
            marks.as_slice()
        };
        let Some(segment) = &mut self.active.segment else {
            return Err(StoreError::Database("there is no active segment".into()));
        };
        segment.put(&self.pending, marks)?;
        if !self.pending_gone.is_empty() {
            segment.put(&values_of(&self.pending_gone), &[])?;
        }
        segment.sync()
    }

    fn begin_after_failure(&mut self) -> Result<(), StoreError> {
        if let Some(Err(error)) = self.active.segment.take().map(Segment::close) {
            tracing::warn!(%error, "closing a failed segment");
        }
        let (failed, first) = (self.active.first, self.durable + 1);
        let values = [self.pending.as_slice(), &values_of(&self.pending_gone)].concat();
        let marks = self.marks_of_new(self.durable);
        let segment = Some(self.begin(first, &values, &marks)?);
        let payload_bytes = u64::try_from(self.pending_bytes).unwrap_or_default();
        self.active = Active { first, segment, payload_bytes, waiting: VecDeque::new() };
        if failed != first {
            self.closed.push_back(closed(&self.store, &self.directory, failed, &self.thinned));
        }
        Ok(())
    }

    /// Whether the active segment has its fill.
    pub(super) fn wants_roll(&self) -> bool {
        self.active.payload_bytes >= self.segment_payload_bytes
    }

    /// Whether the active segment takes no more of this class when there is no room to begin another.
    pub(super) fn is_overfull(&self, class: Class) -> bool {
        self.active.payload_bytes >= overfull_bytes(self.segment_payload_bytes, class == Class::Outcome)
    }

    /// Begins a new segment. Nothing may be pending.
    pub(super) fn roll(&mut self) -> Result<(), StoreError> {
        let marks = self.marks_of_new(self.next - 1);
        let segment = Some(self.begin(self.next, &[], &marks)?);
        let new = Active { first: self.next, segment, payload_bytes: 0, waiting: VecDeque::new() };
        let full = std::mem::replace(&mut self.active, new);
        // What it writes on closing nobody reads: all that was told of is durable.
        if let Some(Err(error)) = full.segment.map(Segment::close) {
            tracing::warn!(lane = %self.directory.display(), %error, "closing a full segment");
        }
        self.closed.push_back(closed(&self.store, &self.directory, full.first, &self.thinned));
        self.flushed_cursor = self.cursor;
        Ok(())
    }

    /// Makes the segment that is to be the active one.
    fn begin(
        &self,
        first: u64,
        values: &[(Key, Vec<u8>)],
        marks: &[(&str, Vec<u8>)],
    ) -> Result<S::Segment, StoreError> {
        // One is there when an attempt failed. Nothing in it was ever told.
        remove_segments(&self.store, &self.directory, &[first])?;
        make_segment(&self.store, &self.directory, first, values, marks)?;
        self.store.open(&segment_path(&self.directory, first))
    }

    /// What a segment says that begins after this sequence.
    fn marks_of_new(&self, last: u64) -> [(&'static str, Vec<u8>); 4] {
        let begun = begun_mark(self.generation, last);
        [told_mark(last), cursor_mark(self.cursor), begun, thinned_mark(self.thinned)]
    }

    /// Everything up to this sequence is with the broker. Durable with the next commit.
    pub(super) fn acknowledge(&mut self, up_to: u64) {
        self.cursor = self.cursor.max(up_to.min(self.durable));
        while self.active.waiting.front().is_some_and(|((sequence, _), _)| *sequence <= self.cursor) {
            self.active.waiting.pop_front();
        }
    }

    /// Closed segments that a commit of the cursor would free.
    pub(super) fn drained_segments(&self) -> usize {
        self.ends().take_while(|end| *end <= self.cursor).count()
    }

    /// Removes the closed segments that lie wholly behind the flushed cursor.
    pub(super) fn drop_drained(&mut self) -> Result<(), StoreError> {
        let drained = self.ends().take_while(|end| *end <= self.flushed_cursor).count();
        let firsts: Vec<u64> = self.closed.drain(..drained).map(|segment| segment.first).collect();
        self.draining.take_if(|(first, _)| firsts.contains(first));
        remove_segments(&self.store, &self.directory, &firsts)
    }

    /// Moves the cursor over the oldest closed segment, whether its records are acknowledged or not. The next commit and
    /// [`SegmentedLane::drop_drained`] remove it.
    pub(super) fn give_up_oldest(&mut self) {
        if let Some(end) = self.end_of_oldest() {
            self.cursor = self.cursor.max(end);
        }
    }

    /// The records still waiting in the oldest closed segment.
    pub(super) fn waiting_in_oldest(
        &mut self,
        damage: &mut Vec<Damage>,
    ) -> Result<impl Iterator<Item = Record<'_>>, StoreError> {
        let range = self.closed.front().map(|oldest| oldest.first).zip(self.end_of_oldest());
        let from = self.cursor + 1;
        let scanned = match range {
            Some((first, end)) => Some(self.scanned(first, end, damage)?),
            None => None,
        };
        let end = range.map_or(0, |(_, end)| end);
        let records = scanned.into_iter().flat_map(move |scanned| scanned.records_from(from));
        Ok(records.take_while(move |record| record.header.sequence <= end))
    }

    fn end_of_oldest(&self) -> Option<u64> {
        self.ends().next()
    }

    /// The last sequences of the closed segments.
    pub(super) fn ends(&self) -> impl Iterator<Item = u64> {
        let begins = self.closed.iter().map(|segment| segment.first).chain([self.active.first]);
        begins.skip(1).map(|next| next - 1)
    }

    /// Durable records after this sequence and after the cursor, in order. Damage that is met is to be reported and
    /// [covered](Self::cover).
    pub(super) fn read(
        &mut self,
        after: u64,
        records_max: usize,
        bytes_max: usize,
        damage: &mut Vec<Damage>,
    ) -> Result<Vec<Read>, StoreError> {
        let mut reads = Reads { records: Vec::new(), bytes: 0, records_max, bytes_max };
        let mut from = after.max(self.cursor) + 1;
        while from < self.active.first && !reads.are_full() {
            let (first, end) = self.closed_segment_of(from);
            let scanned = self.scanned(first, end, damage)?;
            for Record { header, payload } in scanned.records_from(from) {
                if header.sequence > end || reads.are_full() {
                    break;
                }
                reads.push(&header, scanned.share(payload));
            }
            from = end + 1;
        }
        let begin = self.active.waiting.partition_point(|((sequence, _), _)| *sequence < from);
        let frames = self.active.waiting.iter().skip(begin).filter_map(|(_, bytes)| frame::parse(bytes));
        for Record { header, payload } in frame::records(frames) {
            if reads.are_full() {
                break;
            }
            reads.push(&header, payload.into_owned().into());
        }
        Ok(reads.records)
    }

    /// First and last sequence of the closed segment in which this one lies, or should.
    fn closed_segment_of(&self, sequence: u64) -> (u64, u64) {
        let index = self.closed.partition_point(|segment| segment.first <= sequence).saturating_sub(1);
        let end = self.closed.get(index + 1).map_or(self.active.first, |next| next.first) - 1;
        (self.closed.get(index).map_or(sequence, |segment| segment.first), end)
    }

    /// What the closed segment `first..=end` holds.
    pub(super) fn scanned(
        &mut self,
        first: u64,
        end: u64,
        damage: &mut Vec<Damage>,
    ) -> Result<&Scanned, StoreError> {
        let kept = self.draining.take_if(|(kept, _)| *kept == first);
        let scanned = match kept {
            Some((_, scanned)) => scanned,
            None => {
                let scanned = Scanned::of(self.store.raw(&segment_path(&self.directory, first))?);
                // Before the oldest one there should be nothing: what is missing there was a segment once.
                let is_oldest = self.closed.front().is_none_or(|oldest| oldest.first >= first);
                let from = if is_oldest { self.cursor + 1 } else { first.max(self.cursor + 1) };
                let missing = scanned.missing(from, end);
                if !missing.is_empty() {
                    let salvaged = scanned.records_from(self.cursor + 1).count();
                    let detail = describe(&self.directory, first, "records are missing");
                    let salvaged = u64::try_from(salvaged).unwrap_or(u64::MAX);
                    damage.push(Damage { segment: first, detail, salvaged, missing });
                }
                scanned
            }
        };
        let (_, scanned) = self.draining.insert((first, scanned));
        Ok(scanned)
    }

    /// Damage was reported, durably: what is missing now counts as gone. A closed segment moves into a fresh file, and
    /// its old one is kept aside; what is missing in the active one is noted with the next commit, and what is missing
    /// before all of them is passed by the cursor.
    pub(super) fn cover(&mut self, damage: &Damage) -> Result<(), StoreError> {
        let covered = damage.missing.iter();
        let covered =
            covered.map(|it| Gone { from: it.from, to: it.to, left: it.to + 1 - it.from - it.lost });
        let Some(at) = self.closed.iter().position(|segment| segment.first == damage.segment) else {
            if damage.segment < self.active.first {
                self.cursor = self.cursor.max(self.active.first - 1);
            } else {
                self.pending_gone.extend(covered);
            }
            return Ok(());
        };
        let first = damage.segment;
        let scanned = Scanned::of(self.store.raw(&segment_path(&self.directory, first))?);
        let gone = scanned.gone_after(self.cursor).into_iter();
        let gone =
            gone.filter(|old| !damage.missing.iter().any(|it| it.from == old.from)).chain(covered).collect();
        let marks = marks_of(scanned.cursor, scanned.begun);
        let contents = Contents { values: scanned.values_from(self.cursor + 1), gone, marks: &marks };
        moving::replace(&self.store, &self.directory, first, contents, Old::Kept(&self.quarantine))?;
        self.draining = None;
        if let Some(segment) = self.closed.get_mut(at) {
            *segment = closed(&self.store, &self.directory, first, &self.thinned);
        }
        Ok(())
    }

    /// Records that wait for an acknowledgement.
    pub(super) fn waiting(&self) -> u64 {
        self.durable - self.cursor.min(self.durable)
    }

    /// What was handed to the store.
    pub(super) fn written(&self) -> Written {
        self.written
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
        self.closed.iter().map(|segment| segment.disk_bytes).sum::<u64>() + self.active_disk_bytes()
    }

    /// Bytes of disk of the active segment.
    pub(super) fn active_disk_bytes(&self) -> u64 {
        self.store.disk_bytes(&segment_path(&self.directory, self.active.first))
    }

    /// Closes the store in good order. Nothing may be pending.
    pub(super) fn close(self) -> Result<(), StoreError> {
        self.active.segment.map_or(Ok(()), Segment::close)
    }
}

/// Finishes or takes back the moves that the last stop interrupted. An old file with holes in it is kept.
fn settle_moves(store: &impl Store, directory: &Path, quarantine: &Path) -> Result<(), StoreError> {
    for first in layout::list(store, directory)?.moving {
        let scanned = Scanned::of(store.raw(&moving_path(directory, first))?);
        let begin = scanned.records_from(0).next().map_or(first, |record| record.header.sequence);
        let has_holes = scanned.last().is_none_or(|(_, last)| !scanned.missing(begin, last).is_empty());
        let old = if has_holes { Old::Kept(quarantine) } else { Old::Removed };
        moving::settle(store, directory, first, old)?;
    }
    Ok(())
}

pub(super) fn closed(store: &impl Store, directory: &Path, first: u64, thinned: &ThinnedTo) -> ClosedSegment {
    let disk_bytes = store.disk_bytes(&segment_path(directory, first));
    let thinned_to = Grain::THINNED.into_iter().zip(thinned).rev().find(|(_, to)| **to >= first);
    ClosedSegment { first, disk_bytes, grain: thinned_to.map_or(Grain::Whole, |(grain, _)| grain) }
}

pub(super) fn describe(directory: &Path, first: u64, what: &str) -> String {
    let lane = directory.file_name().unwrap_or_default().to_string_lossy();
    format!("{lane} segment {first}: {what}")
}

fn values_of(gone: &[Gone]) -> Vec<(Key, Vec<u8>)> {
    gone.iter().map(|gone| ((gone.from, u8::MAX), gone.frame())).collect()
}

pub(super) fn marks_of(
    cursor: Option<u64>,
    begun: Option<(Generation, u64)>,
) -> Vec<(&'static str, Vec<u8>)> {
    let begun = begun.map(|(generation, last)| begun_mark(generation, last));
    cursor.map(cursor_mark).into_iter().chain(begun).collect()
}

pub(super) fn thinned_mark(to: ThinnedTo) -> (&'static str, Vec<u8>) {
    (THINNED, frame::thinned_mark(to))
}

/// The acknowledged sequence as it lies in a segment.
pub(super) fn cursor_mark(cursor: u64) -> (&'static str, Vec<u8>) {
    (CURSOR, frame::mark(Class::Cursor, Generation(0), cursor))
}

pub(super) fn told_mark(up_to: u64) -> (&'static str, Vec<u8>) {
    (TOLD, frame::mark(Class::Told, Generation(0), up_to))
}

/// The generation and the last sequence given before a segment was begun.
fn begun_mark(generation: Generation, last: u64) -> (&'static str, Vec<u8>) {
    (BEGUN, frame::mark(Class::Begun, generation, last))
}

fn bytes(frame: &[u8]) -> u64 {
    u64::try_from(frame.len()).unwrap_or(u64::MAX)
}
