//! The frame: `68 T A0…A6 C L DATA CS 16`, after any number of wake-up bytes FE.
//!
//! Its end follows from L alone, so the length is checked before the checksum and no time-out is needed to know that
//! a frame is whole. The data are as they stand: the offset of 33H belongs to DL/T 645, whose frames share start, end
//! and checksum, have a second 68 at offset 7, and turn up on the same lines.

use crate::Address;

/// Start of a frame.
pub(crate) const START: u8 = 0x68;
/// Last byte of a frame.
pub(crate) const END: u8 = 0x16;
/// Wake-up byte, sent before a frame so that a sleeping receiver is listening when the frame starts.
pub(crate) const WAKE_UP: u8 = 0xFE;
/// Bytes of a frame without data.
pub(crate) const SHORTEST: usize = 13;
/// Most bytes of data in a frame: the limit of a read's answer; a write has 32H at most.
const DATA_MAX: u8 = 0x64;
/// Where T, the address and C end and L stands.
const LENGTH_AT: usize = 10;

/// C of a read request.
pub const READ: u8 = 0x01;
/// C of every frame from a meter has this bit.
pub(crate) const FROM_METER: u8 = 0x80;
/// C of an error answer has this bit as well.
pub(crate) const ERROR: u8 = 0x40;

/// A whole and undamaged frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Type and address of the meter it goes to or comes from.
    pub address: Address,
    /// Control code C.
    pub control: u8,
    /// DATA, L bytes.
    pub data: &'a [u8],
}

/// Why bytes are no frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The first byte after the wake-up bytes does not start a frame.
    #[error("byte {offset} is {found:02X}, where 68 starts a frame")]
    Start {
        /// Index of the byte.
        offset: usize,
        /// The byte.
        found: u8,
    },
    /// The frame breaks off.
    #[error("frame breaks off, at least {missing} more bytes belong to it")]
    Short {
        /// How many bytes are missing at least.
        missing: usize,
    },
    /// L is larger than any answer's.
    #[error("length {found:02X} is over the limit of 64")]
    Length {
        /// L.
        found: u8,
    },
    /// The checksum does not fit, but the frame ends where its length says.
    #[error("checksum is {found:02X}, the bytes give {calculated:02X}")]
    Checksum {
        /// The checksum of the frame.
        found: u8,
        /// What its bytes add up to.
        calculated: u8,
    },
    /// The checksum fits, but the end byte is another.
    #[error("frame ends in {found:02X}, not 16")]
    End {
        /// The byte at the end.
        found: u8,
    },
    /// Neither checksum nor end byte fit: the length is damaged, or this is no frame.
    #[error("neither checksum nor end byte are where the length says")]
    Misplaced,
    /// Bytes follow the frame.
    #[error("{count} bytes follow the end of the frame")]
    Tail {
        /// How many.
        count: usize,
    },
    /// A frame of DL/T 645.
    #[error("a DL/T 645 frame (second 68 at offset 7)")]
    Dlt645,
}

impl<'a> Frame<'a> {
    /// Reads a telegram that is one frame, with any number of wake-up bytes in front.
    ///
    /// # Errors
    /// A [`FrameError`] with the first fault; offsets count from the telegram's first byte.
    pub fn parse(telegram: &'a [u8]) -> Result<Self, FrameError> {
        let offset = telegram.iter().take_while(|byte| **byte == WAKE_UP).count();
        let bytes = telegram.get(offset..).unwrap_or_default();
        match bytes.first() {
            Some(&START) | None => {}
            Some(&found) => return Err(FrameError::Start { offset, found }),
        }
        match Self::split(bytes) {
            Ok((frame, end)) if end == bytes.len() => Ok(frame),
            Ok((_, end)) => Err(FrameError::Tail { count: bytes.len() - end }),
            Err(_) if dlt645_end(bytes).is_some_and(|end| end.is_ok()) => Err(FrameError::Dlt645),
            Err(error) => Err(error),
        }
    }

    /// The frame that starts at the first of these bytes, and the index after its end.
    pub(crate) fn split(bytes: &'a [u8]) -> Result<(Self, usize), FrameError> {
        let Some((head, [length, rest @ ..])) = bytes.split_at_checked(LENGTH_AT) else {
            return Err(FrameError::Short { missing: SHORTEST.saturating_sub(bytes.len()) });
        };
        let &[_, meter_type, ref address @ .., control] = head else {
            return Err(FrameError::Short { missing: SHORTEST });
        };
        if *length > DATA_MAX {
            return Err(FrameError::Length { found: *length });
        }
        let end = SHORTEST + usize::from(*length);
        let Some((data, [checksum, last, ..])) = rest.split_at_checked(usize::from(*length)) else {
            return Err(FrameError::Short { missing: end.saturating_sub(bytes.len()) });
        };
        let calculated = sum(head).wrapping_add(*length).wrapping_add(sum(data));
        match (*checksum == calculated, *last == END) {
            (true, true) => {}
            (false, true) => return Err(FrameError::Checksum { found: *checksum, calculated }),
            (true, false) => return Err(FrameError::End { found: *last }),
            (false, false) => return Err(FrameError::Misplaced),
        }
        let mut wire = [0; 7];
        wire.copy_from_slice(address);
        Ok((Self { address: Address::from_wire(meter_type, wire), control, data }, end))
    }

    /// Whether a meter sent it.
    pub fn is_answer(&self) -> bool {
        self.control & FROM_METER != 0
    }

    /// Whether it is a meter's error answer.
    pub fn is_error(&self) -> bool {
        self.is_answer() && self.control & ERROR != 0
    }
}

/// Builds a frame: this many wake-up bytes, then everything from 68 to 16.
///
/// `data` beyond 255 bytes are cut off, for L has no way to tell them; requests here have three bytes.
pub fn encode(wake_up_bytes: u8, address: &Address, control: u8, data: &[u8]) -> Vec<u8> {
    let length = u8::try_from(data.len()).unwrap_or(u8::MAX);
    let mut telegram = vec![WAKE_UP; usize::from(wake_up_bytes)];
    let start = telegram.len();
    telegram.push(START);
    telegram.extend(address.wire());
    telegram.extend([control, length]);
    telegram.extend(data.iter().take(usize::from(length)));
    let checksum = sum(telegram.get(start..).unwrap_or_default());
    telegram.extend([checksum, END]);
    telegram
}

/// Whether a DL/T 645 frame starts at the first of these bytes: nothing when none does, the index after its end, or
/// how many bytes of it are missing.
pub(crate) fn dlt645_end(bytes: &[u8]) -> Option<Result<usize, usize>> {
    // DL/T 645-2007: at most 200 bytes of data (read). 68, six address bytes, 68, C, L, data, CS, 16.
    const DATA_MAX: u8 = 200;
    if bytes.get(7) != Some(&START) {
        return None;
    }
    let Some(length) = bytes.get(9) else {
        return Some(Err(12_usize.saturating_sub(bytes.len())));
    };
    let end = 12 + usize::from(*length);
    let whole = match bytes.get(..end) {
        _ if *length > DATA_MAX => return None,
        Some(whole) => whole,
        None => return Some(Err(end.saturating_sub(bytes.len()))),
    };
    match whole {
        [summed @ .., checksum, END] if sum(summed) == *checksum => Some(Ok(end)),
        _ => None,
    }
}

fn sum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, byte| sum.wrapping_add(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKED: &[u8] = &[
        0xFE, 0xFE, 0xFE, 0xFE, 0x68, 0x10, 0x44, 0x33, 0x22, 0x11, 0x00, 0x33, 0x78, 0x01, 0x03, 0x1F, 0x90,
        0x00, 0x80, 0x16,
    ];

    #[test]
    fn the_published_request_is_what_we_send() {
        let address = "78330011223344".parse().unwrap();
        assert_eq!(encode(4, &address, READ, &[0x1F, 0x90, 0x00]), ASKED);
    }

    #[test]
    fn wake_up_bytes_in_any_number_change_nothing() {
        for strip in 0..=4 {
            let frame = Frame::parse(&ASKED[strip..]).unwrap();
            assert_eq!((frame.control, frame.data), (READ, &[0x1F, 0x90, 0x00][..]));
        }
        let long = [&[WAKE_UP; 60][..], ASKED].concat();
        assert!(Frame::parse(&long).is_ok());
    }

    #[test]
    fn every_fault_of_a_frame_has_its_name() {
        let broken = |at: usize, byte: u8| {
            let mut frame = ASKED.to_vec();
            frame[at] = byte;
            Frame::parse(&frame).map(|_| ()).unwrap_err()
        };
        assert_eq!(broken(4, 0x69), FrameError::Start { offset: 4, found: 0x69 });
        assert_eq!(broken(14, 0x65), FrameError::Length { found: 0x65 });
        assert_eq!(broken(14, 0x05), FrameError::Short { missing: 2 });
        assert_eq!(broken(18, 0x81), FrameError::Checksum { found: 0x81, calculated: 0x80 });
        assert_eq!(broken(19, 0x17), FrameError::End { found: 0x17 });
        assert_eq!(broken(14, 0x02), FrameError::Misplaced);
        assert_eq!(Frame::parse(&ASKED[..17]), Err(FrameError::Short { missing: 3 }));
        assert_eq!(Frame::parse(&[]), Err(FrameError::Short { missing: 13 }));
        assert_eq!(Frame::parse(&[ASKED, &[0]].concat()), Err(FrameError::Tail { count: 1 }));
    }
}
