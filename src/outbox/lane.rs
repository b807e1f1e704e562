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

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::frame::{self, Class, Header};
use super::salvage::{self, Damage};
use super::store::{self, Key, Segment, StoreError};
use crate::id::Generation;

const CURSOR: &str = "cursor";
/// Generation and last sequence given before the segment was begun, for a start that finds it empty.
const BEGUN: &str = "begun";

/// One lane on disk. Every method blocks; all are called from the keeper's thread.
#[derive(Debug)]
pub(super) struct Lane {
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

/// A record read back.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) header: Header,
    pub(super) payload: Vec<u8>,
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

impl Lane {
    /// Opens the lane in this directory, or makes it. Finishes what the last stop left half done; sets a damaged newest
    /// segment aside.
    pub(super) fn open(
        directory: &Path,
        quarantine: &Path,
        generation: Generation,
        segment_payload_bytes: u64,
    ) -> Result<(Self, Findings), StoreError> {
        fs::create_dir_all(directory)?;
        let mut findings = Findings::default();
        findings.damaged.extend(salvage::finish(directory, quarantine)?);
        let mut firsts = existing_segments(directory)?;
        let (first, segment) = match firsts.pop() {
            None => (1, make_segment(directory, 1, 0, (generation, 0))?),
            Some(first) => match Segment::open(&segment_path(directory, first)) {
                Ok(segment) => (first, segment),
                Err(error) => {
                    findings.damaged.push(salvage::set_aside(directory, quarantine, first, &error)?);
                    (first, Segment::open(&segment_path(directory, first))?)
                }
            },
        };
        let cursor = cursor_of(&segment)?.unwrap_or_else(|| firsts.first().map_or(first, |first| *first) - 1);
        let last = last_of(&segment)?.map_or(first - 1, |(_, sequence)| sequence.max(first - 1)).max(cursor);
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
        Ok(last_of(&self.active.segment)?.filter(|(_, sequence)| *sequence > 0))
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
    /// When the store fails, it is opened anew and the same records are written again under the same names, once; they
    /// have not been told to anybody yet.
    pub(super) fn commit(&mut self) -> Result<(), StoreError> {
        if self.pending.is_empty() && self.cursor == self.flushed_cursor {
            return Ok(());
        }
        if let Err(error) = self.write_and_sync() {
            tracing::warn!(lane = %self.directory.display(), %error, "commit failed, opening the segment anew");
            self.active.segment.reopen()?;
            self.write_and_sync()?;
        }
        self.active.payload_bytes += u64::try_from(self.pending_bytes).unwrap_or_default();
        self.pending.clear();
        self.pending_bytes = 0;
        self.durable = self.next - 1;
        self.flushed_cursor = self.cursor;
        Ok(())
    }

    fn write_and_sync(&self) -> Result<(), StoreError> {
        let marks = [(CURSOR, cursor_frame(self.cursor))];
        let marks = if self.cursor == self.flushed_cursor { &[] } else { marks.as_slice() };
        self.active.segment.put(self.pending.iter().cloned(), marks)?;
        self.active.segment.sync()
    }

    /// Whether the active segment has its fill.
    pub(super) fn wants_roll(&self) -> bool {
        self.active.payload_bytes >= self.segment_payload_bytes
    }

    /// Begins a new segment. Nothing may be pending.
    pub(super) fn roll(&mut self) -> Result<(), StoreError> {
        let segment =
            make_segment(&self.directory, self.next, self.cursor, (self.generation, self.next - 1))?;
        let new = Active { first: self.next, segment, payload_bytes: 0 };
        let full = std::mem::replace(&mut self.active, new);
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

    /// Removes the closed segments that lie wholly behind the flushed cursor; returns how many.
    pub(super) fn drop_drained(&mut self) -> Result<u64, StoreError> {
        let mut dropped = 0;
        while self.end_of_oldest().is_some_and(|end| end <= self.flushed_cursor) {
            let Some(segment) = self.closed.pop_front() else { break };
            if let Some((_, open)) = self.draining.take_if(|(first, _)| *first == segment.first) {
                open.close()?;
            }
            remove_segment(&self.directory, segment.first)?;
            dropped += 1;
        }
        Ok(dropped)
    }

    /// Moves the cursor over the oldest closed segment, whether its records are acknowledged or not. The next commit and
    /// [`Lane::drop_drained`] remove it.
    pub(super) fn give_up_oldest(&mut self) {
        if let Some(end) = self.end_of_oldest() {
            self.cursor = self.cursor.max(end);
        }
    }

    /// The headers of the records still waiting in the oldest closed segment.
    pub(super) fn waiting_in_oldest(&mut self) -> Result<(Vec<Header>, Findings), StoreError> {
        let Some(end) = self.end_of_oldest() else { return Ok(Default::default()) };
        let mut findings = Findings::default();
        let mut headers = Vec::new();
        let mut after = self.cursor;
        while after < end {
            let reads = self.read(after, 1000, usize::MAX, &mut findings)?;
            let Some(last) = reads.last() else { break };
            after = last.header.sequence;
            headers.extend(reads.into_iter().map(|read| read.header).filter(|header| header.sequence <= end));
        }
        Ok((headers, findings))
    }

    fn end_of_oldest(&self) -> Option<u64> {
        self.closed.front()?;
        Some(self.closed.get(1).map_or(self.active.first, |next| next.first) - 1)
    }

    /// Durable records after this sequence and after the cursor, in order.
    ///
    /// A closed segment that turns out to be damaged is set aside and read as far as it could be salvaged.
    pub(super) fn read(
        &mut self,
        after: u64,
        records_max: usize,
        bytes_max: usize,
        findings: &mut Findings,
    ) -> Result<Vec<Read>, StoreError> {
        let mut reads = Reads { records: Vec::new(), bytes: 0, records_max, bytes_max };
        let mut from = after.max(self.cursor) + 1;
        while from <= self.durable && !reads.is_full() {
            let (first, end) = self.segment_of(from);
            let read = if first == self.active.first {
                reads.take_from(&self.active.segment, from, end)
            } else {
                self.draining(first).and_then(|segment| reads.take_from(segment, from, end))
            };
            match read {
                Ok(next) => from = next,
                Err(error) if first != self.active.first => {
                    self.draining = None;
                    findings.damaged.push(salvage::set_aside(
                        &self.directory,
                        &self.quarantine,
                        first,
                        &error,
                    )?);
                }
                Err(error) => return Err(error),
            }
        }
        let expected = after.max(self.cursor) + 1;
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

    fn draining(&mut self, first: u64) -> Result<&Segment, StoreError> {
        if let Some((_, other)) = self.draining.take_if(|(open, _)| *open != first) {
            other.close()?;
        }
        let path = segment_path(&self.directory, first);
        match self.draining {
            Some((_, ref segment)) => Ok(segment),
            None => Ok(&self.draining.insert((first, Segment::open(&path)?)).1),
        }
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

    /// Bytes of disk of the closed segments.
    pub(super) fn closed_disk_bytes(&self) -> u64 {
        self.closed.iter().map(|segment| segment.disk_bytes).sum()
    }

    /// Bytes of disk of all segments.
    pub(super) fn disk_bytes(&self) -> u64 {
        self.closed_disk_bytes() + self.active.segment.disk_bytes()
    }

    /// Closes the store in good order. Nothing may be pending.
    pub(super) fn close(self) -> Result<(), StoreError> {
        if let Some((_, segment)) = self.draining {
            segment.close()?;
        }
        self.active.segment.close()
    }
}

/// Records as they are put together from frames, up to a bound.
struct Reads {
    records: Vec<Read>,
    bytes: usize,
    records_max: usize,
    bytes_max: usize,
}

impl Reads {
    fn is_full(&self) -> bool {
        self.records.len() >= self.records_max || self.bytes >= self.bytes_max
    }

    /// Takes records `from..=end` from a segment; returns the sequence to go on from.
    fn take_from(&mut self, segment: &Segment, from: u64, end: u64) -> Result<u64, StoreError> {
        let mut parts: Vec<(u8, u8, Read)> = Vec::new();
        for value in segment.values_from((from, 0)) {
            let ((sequence, _), bytes) = value?;
            if sequence > end {
                break;
            }
            // A value whose frame does not hold is as good as absent: the caller counts what is missing.
            let Some(frame) = frame::parse(&bytes).filter(|frame| frame.header.sequence == sequence) else {
                continue;
            };
            if parts.first().is_some_and(|(_, _, read)| read.header.sequence != sequence) {
                parts.clear();
            }
            parts.push((
                frame.part,
                frame.parts,
                Read { payload: frame.payload.to_vec(), header: frame.header },
            ));
            if parts.len() == usize::from(frame.parts) {
                self.finish(&mut parts);
                if self.is_full() {
                    return Ok(sequence + 1);
                }
            }
        }
        Ok(end + 1)
    }

    fn finish(&mut self, parts: &mut Vec<(u8, u8, Read)>) {
        let mut whole = parts.drain(..).map(|(_, _, read)| read);
        let Some(mut record) = whole.next() else { return };
        for part in whole {
            record.payload.extend(part.payload);
        }
        self.bytes += record.payload.len();
        self.records.push(record);
    }
}

/// Makes a durable, empty segment under its final name.
///
/// It is made under another name, closed, and renamed, so that a segment with its final name was whole once.
fn make_segment(
    directory: &Path,
    first: u64,
    cursor: u64,
    (generation, last): (Generation, u64),
) -> Result<Segment, StoreError> {
    let begun = [&generation.0.to_be_bytes()[..], &last.to_be_bytes()].concat();
    fill_segment(directory, first, [], &[(CURSOR, cursor_frame(cursor)), (BEGUN, begun)])?;
    Segment::open(&segment_path(directory, first))
}

/// Makes a durable, closed segment with these contents under its final name.
pub(super) fn fill_segment(
    directory: &Path,
    first: u64,
    values: impl IntoIterator<Item = (Key, Vec<u8>)>,
    marks: &[(&str, Vec<u8>)],
) -> Result<(), StoreError> {
    let making = directory.join(format!("new-{first:020}"));
    if making.exists() {
        fs::remove_dir_all(&making)?;
    }
    let segment = Segment::open(&making)?;
    segment.put(values, marks)?;
    segment.sync_new()?;
    segment.close()?;
    fs::rename(&making, segment_path(directory, first))?;
    Ok(store::sync_directory(directory)?)
}

/// The cursor as it lies in a segment.
pub(super) fn cursor_mark(cursor: u64) -> (&'static str, Vec<u8>) {
    (CURSOR, cursor_frame(cursor))
}

fn cursor_frame(cursor: u64) -> Vec<u8> {
    let header = Header {
        class: Class::Cursor,
        generation: Generation(0),
        sequence: cursor,
        at: Timestamp::UNIX_EPOCH,
        meter: String::new(),
    };
    frame::cut(&header, &[]).concat()
}

fn cursor_of(segment: &Segment) -> Result<Option<u64>, StoreError> {
    let mark = segment.mark(CURSOR)?.unwrap_or_default();
    Ok(frame::parse(&mark).map(|frame| frame.header.sequence))
}

/// The generation and sequence of the last record of a segment, or of the last before it when it is empty.
fn last_of(segment: &Segment) -> Result<Option<(Generation, u64)>, StoreError> {
    if let Some(key) = segment.last_key()? {
        let value = segment.values_from(key).next().transpose()?;
        let frame = value.as_ref().and_then(|(_, bytes)| frame::parse(bytes));
        return Ok(Some((frame.map_or(Generation(0), |frame| frame.header.generation), key.0)));
    }
    let begun = segment.mark(BEGUN)?.unwrap_or_default();
    let Some((generation, last)) = begun.split_first_chunk::<4>() else { return Ok(None) };
    let Some(last) = last.first_chunk::<8>() else { return Ok(None) };
    Ok(Some((Generation(u32::from_be_bytes(*generation)), u64::from_be_bytes(*last))))
}

fn payload_bytes(segment: &Segment) -> Result<u64, StoreError> {
    let mut bytes = 0;
    for value in segment.values_from((0, 0)) {
        bytes += u64::try_from(value?.1.len()).unwrap_or_default();
    }
    Ok(bytes)
}

/// The path of the segment with this first sequence.
pub(super) fn segment_path(directory: &Path, first: u64) -> PathBuf {
    directory.join(format!("{first:020}"))
}

fn remove_segment(directory: &Path, first: u64) -> io::Result<()> {
    let dead = directory.join(format!("dead-{first:020}"));
    fs::rename(segment_path(directory, first), &dead)?;
    store::sync_directory(directory)?;
    fs::remove_dir_all(dead)
}

/// First sequences of the segments in a lane's directory, ascending. Removes what was half made or half removed.
fn existing_segments(directory: &Path) -> io::Result<Vec<u64>> {
    let mut firsts = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("new-") || name.starts_with("dead-") {
            fs::remove_dir_all(entry.path())?;
        } else if let Some(first) = name.parse().ok().filter(|first| *first > 0) {
            firsts.push(first);
        } else {
            tracing::warn!(path = %entry.path().display(), "not part of the outbox, left alone");
        }
    }
    firsts.sort_unstable();
    Ok(firsts)
}
