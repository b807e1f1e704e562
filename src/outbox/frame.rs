//! The frame around every stored value: enough to find, name, count and check a record without anything else.
//!
//! ```text
//!  offset  bytes  field (big-endian)
//!       0      4  magic  A7 57 45 49
//!       4      1  format version, 1
//!       5      1  class: 1 reading, 2 event, 3 refused record, 4 outcome, 251 told, 252 thinned, 253 gone, 254 begun, 255 cursor
//!       6      1  part, from 0        a record longer than one value is several frames of one sequence
//!       7      1  parts, 1 and up
//!       8      4  generation
//!      12      8  sequence
//!      20      8  time of the record, milliseconds since 1970
//!      28      1  length m of the meter's id, 0 to 64
//!      29      2  length n of the payload
//!      31      m  meter's id
//!    31+m      n  payload
//!  31+m+n      4  CRC-32C of everything before
//! ```
//!
//! Retention counts by class, meter and time from the header alone. Salvage searches the raw bytes of a database for the
//! magic and believes what the CRC confirms. The first magic byte is no ASCII, so that no text ever looks like a frame.

use std::borrow::Cow;

use jiff::Timestamp;
use memchr::memmem;

use crate::id::Generation;
use crate::limits::{METER_ID_BYTES_MAX, STORED_VALUE_BYTES_MAX};

const MAGIC: [u8; 4] = [0xA7, b'W', b'E', b'I'];
const VERSION: u8 = 1;
/// Everything before the meter's id.
const FIXED_BYTES: usize = 31;
const CRC_BYTES: usize = 4;

/// Bytes of a frame beside the meter's id and the payload.
pub(super) const BESIDE_BYTES: usize = FIXED_BYTES + CRC_BYTES;

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Reading,
    Event,
    /// A record that the broker refused, in the lane of refused ones.
    Refused,
    Outcome,
    /// Not a record: everything up to this sequence was told as durable.
    Told,
    /// Not a record: a range of which records are gone for good, as it was reported; see [`Gone`].
    Gone,
    /// Not a record: how far the lane has been thinned out to each grain.
    Thinned,
    /// Not a record: what was last given before the segment was begun.
    Begun,
    /// Not a record: what the broker has acknowledged.
    Cursor,
}

impl Class {
    fn code(self) -> u8 {
        match self {
            Self::Reading => 1,
            Self::Event => 2,
            Self::Refused => 3,
            Self::Outcome => 4,
            Self::Told => 251,
            Self::Thinned => 252,
            Self::Gone => 253,
            Self::Begun => 254,
            Self::Cursor => 255,
        }
    }

    fn from_code(code: u8) -> Option<Self> {
        [
            Self::Reading,
            Self::Event,
            Self::Refused,
            Self::Outcome,
            Self::Told,
            Self::Thinned,
            Self::Gone,
            Self::Begun,
            Self::Cursor,
        ]
        .into_iter()
        .find(|class| class.code() == code)
    }
}

/// What a record's frames say about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header<'a> {
    pub(super) class: Class,
    pub(super) generation: Generation,
    pub(super) sequence: u64,
    pub(super) at: Timestamp,
    pub(super) meter: &'a str,
}

/// One frame, read and checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    pub(super) header: Header<'a>,
    pub(super) part: u8,
    pub(super) parts: u8,
    pub(super) payload: &'a [u8],
    /// The frame's own bytes.
    pub(super) bytes: &'a [u8],
}

/// A record, put together from its frames.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record<'a> {
    pub(super) header: Header<'a>,
    pub(super) payload: Cow<'a, [u8]>,
}

/// Cuts a record into frames, each no longer than a stored value may be.
pub(super) fn cut(header: &Header<'_>, payload: &[u8]) -> Vec<Vec<u8>> {
    let meter = bounded_meter(header.meter);
    let room = STORED_VALUE_BYTES_MAX - FIXED_BYTES - CRC_BYTES - METER_ID_BYTES_MAX;
    let chunks: Vec<&[u8]> = if payload.is_empty() { vec![&[]] } else { payload.chunks(room).collect() };
    // `limits.rs` asserts that the longest record has fewer than 255 parts.
    let parts = u8::try_from(chunks.len()).unwrap_or(u8::MAX);
    let framed = |(part, chunk): (u8, &&[u8])| {
        let mut frame = Vec::with_capacity(FIXED_BYTES + meter.len() + chunk.len() + CRC_BYTES);
        frame.extend(MAGIC);
        frame.extend([VERSION, header.class.code(), part, parts]);
        frame.extend(header.generation.0.to_be_bytes());
        frame.extend(header.sequence.to_be_bytes());
        frame.extend(header.at.as_millisecond().to_be_bytes());
        frame.push(u8::try_from(meter.len()).unwrap_or_default());
        frame.extend(u16::try_from(chunk.len()).unwrap_or_default().to_be_bytes());
        frame.extend(meter.as_bytes());
        frame.extend_from_slice(chunk);
        frame.extend(crc32c::crc32c(&frame).to_be_bytes());
        frame
    };
    (0..=u8::MAX).zip(&chunks).map(framed).collect()
}

/// Configuration keeps meter ids short; a frame does not rely on it.
fn bounded_meter(meter: &str) -> &str {
    let end = (0..=METER_ID_BYTES_MAX.min(meter.len())).rev().find(|&end| meter.is_char_boundary(end));
    meter.get(..end.unwrap_or_default()).unwrap_or_default()
}

/// The frame that begins with these bytes, if one does and its CRC agrees.
pub(super) fn parse(bytes: &[u8]) -> Option<Frame<'_>> {
    let (fixed, _) = bytes.split_first_chunk::<FIXED_BYTES>()?;
    let [m0, m1, m2, m3, version, class, part, parts, rest @ ..] = fixed;
    if [*m0, *m1, *m2, *m3] != MAGIC || *version != VERSION || part >= parts {
        return None;
    }
    let (generation, rest) = rest.split_first_chunk::<4>()?;
    let (sequence, rest) = rest.split_first_chunk::<8>()?;
    let (at_ms, rest) = rest.split_first_chunk::<8>()?;
    let [meter_bytes, payload_high, payload_low] = rest else { return None };
    let meter_end = FIXED_BYTES + usize::from(*meter_bytes);
    let payload_end = meter_end + usize::from(u16::from_be_bytes([*payload_high, *payload_low]));
    let covered = bytes.get(..payload_end)?;
    let crc = bytes.get(payload_end..)?.first_chunk::<CRC_BYTES>()?;
    if crc32c::crc32c(covered) != u32::from_be_bytes(*crc) {
        return None;
    }
    let header = Header {
        class: Class::from_code(*class)?,
        generation: Generation(u32::from_be_bytes(*generation)),
        sequence: u64::from_be_bytes(*sequence),
        at: Timestamp::from_millisecond(i64::from_be_bytes(*at_ms)).ok()?,
        meter: std::str::from_utf8(covered.get(FIXED_BYTES..meter_end)?).ok()?,
    };
    let (payload, bytes) = (covered.get(meter_end..)?, bytes.get(..payload_end + CRC_BYTES)?);
    Some(Frame { header, part: *part, parts: *parts, payload, bytes })
}

/// Every intact frame in raw bytes with the place where it begins.
pub(super) fn scan(bytes: &[u8]) -> impl Iterator<Item = (usize, Frame<'_>)> {
    let finder = memmem::Finder::new(&MAGIC);
    let mut from = 0;
    std::iter::from_fn(move || {
        loop {
            let rest = bytes.get(from..)?;
            let at = finder.find(rest)?;
            let found = rest.get(at..)?;
            let begin = from + at;
            match parse(found) {
                Some(frame) => {
                    from = begin + frame.bytes.len();
                    return Some((begin, frame));
                }
                None => from = begin + 1,
            }
        }
    })
}

/// The records among frames that come in the order of their sequences and parts. One that lacks a part is passed over:
/// whoever compares the sequences counts it as missing.
pub(super) fn records<'a>(frames: impl Iterator<Item = Frame<'a>>) -> impl Iterator<Item = Record<'a>> {
    let mut begun: Option<(Record<'a>, u8)> = None;
    frames.filter_map(move |frame| {
        begun = match begun.take() {
            _ if frame.part == 0 => {
                Some((Record { header: frame.header, payload: Cow::Borrowed(frame.payload) }, 1))
            }
            Some((mut record, next)) if frame.part == next && record.header == frame.header => {
                record.payload.to_mut().extend_from_slice(frame.payload);
                Some((record, next + 1))
            }
            _ => None,
        };
        begun.take_if(|(_, next)| *next == frame.parts).map(|(record, _)| record)
    })
}

/// A range of sequences of which only some are left. What is not was reported, durably, before this was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gone {
    pub(super) from: u64,
    pub(super) to: u64,
    /// Records of the range that are left.
    pub(super) left: u64,
}

impl Gone {
    /// As it lies in a segment.
    pub(super) fn frame(self) -> Vec<u8> {
        let payload = [self.to.to_be_bytes(), self.left.to_be_bytes()].concat();
        cut(&mark_header(Class::Gone, Generation(0), self.from), &payload).concat()
    }

    pub(super) fn from_frame(frame: &Frame<'_>) -> Option<Self> {
        let (to, rest) = frame.payload.split_first_chunk::<8>()?;
        let left = u64::from_be_bytes(*rest.first_chunk::<8>()?);
        Some(Self { from: frame.header.sequence, to: u64::from_be_bytes(*to), left })
    }
}

/// How far a lane has been thinned out: the first sequence of the newest segment of the hour's grain or coarser, of the day's
/// or coarser, and of the month's. 0 where there is none.
pub(super) type ThinnedTo = [u64; 3];

/// [`ThinnedTo`] as it lies in a segment.
pub(super) fn thinned_mark(to: ThinnedTo) -> Vec<u8> {
    cut(&mark_header(Class::Thinned, Generation(0), 0), to.map(u64::to_be_bytes).as_flattened()).concat()
}

/// Reads [`thinned_mark`].
pub(super) fn thinned_to(frame: &Frame<'_>) -> Option<ThinnedTo> {
    let mut to = ThinnedTo::default();
    for (to, bytes) in to.iter_mut().zip(frame.payload.chunks(8)) {
        *to = u64::from_be_bytes(*bytes.first_chunk::<8>()?);
    }
    Some(to)
}

/// The frame of a mark that is no record: a cursor, or what was given before a segment was begun.
pub(super) fn mark(class: Class, generation: Generation, sequence: u64) -> Vec<u8> {
    cut(&mark_header(class, generation, sequence), &[]).concat()
}

fn mark_header(class: Class, generation: Generation, sequence: u64) -> Header<'static> {
    Header { class, generation, sequence, at: Timestamp::UNIX_EPOCH, meter: "" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn header(sequence: u64) -> Header<'static> {
        Header {
            class: Class::Reading,
            generation: Generation(7),
            sequence,
            at: Timestamp::from_millisecond(1_790_000_000_123).unwrap(),
            meter: "A-101",
        }
    }

    #[test]
    fn a_long_record_is_cut_and_no_part_is_longer_than_a_stored_value_may_be() {
        let payload: Vec<u8> = (0..5000_u32).map(|n| n.to_le_bytes()[0]).collect();
        let frames = cut(&header(9), &payload);
        assert_eq!(frames.len(), 6);
        assert!(frames.iter().all(|frame| frame.len() <= STORED_VALUE_BYTES_MAX));
        let joined: Vec<u8> =
            frames.iter().flat_map(|frame| parse(frame).unwrap().payload.to_vec()).collect();
        assert_eq!(joined, payload);
    }

    #[test]
    fn frames_are_found_among_rubbish_and_half_frames() {
        let (one, two) = (cut(&header(1), b"one").remove(0), cut(&header(2), b"two").remove(0));
        let raw = [b"rubbish\xA7WEI".as_slice(), &one, &two[..20], &MAGIC, &two, b"tail"].concat();
        let found: Vec<u64> = scan(&raw).map(|(_, frame)| frame.header.sequence).collect();
        assert_eq!(found, [1, 2]);
    }

    proptest! {
        #[test]
        fn a_frame_reads_back_as_cut(payload in proptest::collection::vec(any::<u8>(), 0..900), sequence: u64) {
            let frames = cut(&header(sequence), &payload);
            let frame = parse(&frames[0]).unwrap();
            prop_assert_eq!(frame.header, header(sequence));
            prop_assert_eq!(frame.payload, payload);
        }

        #[test]
        fn one_flipped_bit_is_always_noticed(bit in 0_usize..(8 * 38)) {
            let mut frame = cut(&header(3), b"abc").remove(0);
            let bit = bit % (8 * frame.len());
            frame[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(parse(&frame), None);
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let with_magic = [&MAGIC[..], &bytes].concat();
            prop_assert!(scan(&bytes).count() + scan(&with_magic).count() < 100);
        }
    }
}
