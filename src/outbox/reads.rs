//! Putting records together from the frames of a segment, up to a bound.

use super::frame::{self, Header};
use super::store::{Segment, StoreError};

/// A record read back.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) header: Header,
    pub(super) payload: Vec<u8>,
}

/// Records in order, as many as were asked for.
pub(super) struct Reads {
    pub(super) records: Vec<Read>,
    bytes: usize,
    records_max: usize,
    bytes_max: usize,
}

impl Reads {
    pub(super) fn new(records_max: usize, bytes_max: usize) -> Self {
        Self { records: Vec::new(), bytes: 0, records_max, bytes_max }
    }

    pub(super) fn is_full(&self) -> bool {
        self.records.len() >= self.records_max || self.bytes >= self.bytes_max
    }

    /// Takes records `from..=end` from a segment; returns the sequence to go on from.
    ///
    /// A value whose frame does not hold, or a record that lacks a part, is as good as absent: whoever compares the
    /// sequences counts what is missing.
    pub(super) fn take_from(&mut self, segment: &Segment, from: u64, end: u64) -> Result<u64, StoreError> {
        let mut begun: Option<(Read, u8)> = None;
        for value in segment.values_from((from, 0)) {
            let ((sequence, _), bytes) = value?;
            if sequence > end {
                break;
            }
            let Some(frame) = frame::parse(&bytes).filter(|frame| frame.header.sequence == sequence) else {
                continue;
            };
            let (part, parts) = (frame.part, frame.parts);
            begun = match begun.take() {
                _ if part == 0 => Some((Read { payload: frame.payload.to_vec(), header: frame.header }, 1)),
                Some((mut read, next)) if part == next && read.header == frame.header => {
                    read.payload.extend_from_slice(frame.payload);
                    Some((read, next + 1))
                }
                _ => None,
            };
            if let Some((read, _)) = begun.take_if(|(_, next)| *next == parts) {
                self.bytes += read.payload.len();
                self.records.push(read);
                if self.is_full() {
                    return Ok(sequence + 1);
                }
            }
        }
        Ok(end + 1)
    }
}
