//! The frame: `68 A0…A5 68 C L DATA CS 16`, after any number of wake-up bytes FE.
//!
//! Each byte of DATA travels with 33H added, both ways, and the checksum is that of the bytes as they travel. Its end
//! follows from L alone, so no time-out is needed to know that a frame is whole. CJ/T 188 shares start, end and checksum,
//! has no second 68 and no offset, and turns up on the same lines.

use crate::Address;

/// Start of a frame, and of its second part.
pub(crate) const START: u8 = 0x68;
/// Last byte of a frame.
pub(crate) const END: u8 = 0x16;
/// Wake-up byte, sent before a frame so that a sleeping receiver is listening when the frame starts.
pub(crate) const WAKE_UP: u8 = 0xFE;
/// Bytes of a frame without data.
pub(crate) const SHORTEST: usize = 12;
/// What is added to each byte of DATA on its way.
const OFFSET: u8 = 0x33;
/// Most bytes of data in a frame: the limit of a read's answer (cnblogs.com/windowsxpxp/p/18467018); a write has 50.
const DATA_MAX: u8 = 200;
/// Where C stands.
pub(crate) const CONTROL_AT: usize = 8;

/// C of a read.
pub const READ: u8 = 0x11;
/// C of the request for a further frame.
pub const READ_NEXT: u8 = 0x12;
/// C of every frame from a meter has this bit.
pub(crate) const FROM_METER: u8 = 0x80;
/// C of an error answer has this bit as well.
pub(crate) const ERROR: u8 = 0x40;
/// C of an answer with a further frame behind it has this bit.
pub(crate) const MORE: u8 = 0x20;

/// A whole and undamaged frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Address of the meter it goes to or comes from.
    pub address: Address,
    /// Control code C.
    pub control: u8,
    /// DATA as they are meant, without the offset.
    pub data: Vec<u8>,
}

/// Why bytes are no frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A byte that starts the frame or its second part is another.
    #[error("byte {offset} is {found:02X}, where 68 belongs")]
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
    #[error("length {found:02X} is over the limit of C8")]
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
    /// A frame of CJ/T 188.
    #[error("a CJ/T 188 frame (no second 68)")]
    Cjt188,
}

impl Frame {
    /// Reads a telegram that is one frame, with any number of wake-up bytes in front.
    ///
    /// # Errors
    /// A [`FrameError`] with the first fault; offsets count from the telegram's first byte.
    pub fn parse(telegram: &[u8]) -> Result<Self, FrameError> {
        let woken = telegram.iter().take_while(|byte| **byte == WAKE_UP).count();
        let bytes = telegram.get(woken..).unwrap_or_default();
        match Self::split(bytes) {
            Ok((frame, end)) if end == bytes.len() => Ok(frame),
            Ok((_, end)) => Err(FrameError::Tail { count: bytes.len() - end }),
            Err(_) if cjt188_end(bytes).is_some_and(|end| end.is_ok()) => Err(FrameError::Cjt188),
            Err(FrameError::Start { offset, found }) => {
                Err(FrameError::Start { offset: offset + woken, found })
            }
            Err(error) => Err(error),
        }
    }

    /// The frame that starts at the first of these bytes, and the index after its end.
    pub(crate) fn split(bytes: &[u8]) -> Result<(Self, usize), FrameError> {
        for offset in [0, 7] {
            match bytes.get(offset) {
                Some(&START) | None => {}
                Some(&found) => return Err(FrameError::Start { offset, found }),
            }
        }
        let &[_, a0, a1, a2, a3, a4, a5, _, control, length, ref rest @ ..] = bytes else {
            return Err(FrameError::Short { missing: SHORTEST.saturating_sub(bytes.len()) });
        };
        if length > DATA_MAX {
            return Err(FrameError::Length { found: length });
        }
        let end = SHORTEST + usize::from(length);
        let Some((data, [checksum, last, ..])) = rest.split_at_checked(usize::from(length)) else {
            return Err(FrameError::Short { missing: end.saturating_sub(bytes.len()) });
        };
        let calculated = sum(bytes.get(..end - 2).unwrap_or_default());
        match (*checksum == calculated, *last == END) {
            (true, true) => {}
            (false, true) => return Err(FrameError::Checksum { found: *checksum, calculated }),
            (true, false) => return Err(FrameError::End { found: *last }),
            (false, false) => return Err(FrameError::Misplaced),
        }
        let data = data.iter().map(|byte| byte.wrapping_sub(OFFSET)).collect();
        Ok((Self { address: Address::from_wire([a0, a1, a2, a3, a4, a5]), control, data }, end))
    }

    /// Whether a meter sent it.
    pub fn is_answer(&self) -> bool {
        self.control & FROM_METER != 0
    }

    /// Whether it is a meter's error answer.
    pub fn is_error(&self) -> bool {
        self.is_answer() && self.control & ERROR != 0
    }

    /// Whether the meter has a further frame to the same request.
    pub fn has_more(&self) -> bool {
        self.is_answer() && self.control & MORE != 0
    }
}

/// Builds a frame: this many wake-up bytes, then everything from 68 to 16, with the offset added to the data.
///
/// `data` beyond 255 bytes are cut off, for L has no way to tell them; requests here have 16 at most.
pub fn encode(wake_up_bytes: u8, address: &Address, control: u8, data: &[u8]) -> Vec<u8> {
    let length = u8::try_from(data.len()).unwrap_or(u8::MAX);
    let mut telegram = vec![WAKE_UP; usize::from(wake_up_bytes)];
    let start = telegram.len();
    telegram.push(START);
    telegram.extend(address.wire());
    telegram.extend([START, control, length]);
    telegram.extend(data.iter().take(usize::from(length)).map(|byte| byte.wrapping_add(OFFSET)));
    let checksum = sum(telegram.get(start..).unwrap_or_default());
    telegram.extend([checksum, END]);
    telegram
}

/// Whether a CJ/T 188 frame starts at the first of these bytes: nothing when none does, the index after its end, or how
/// many bytes of it are missing.
pub(crate) fn cjt188_end(bytes: &[u8]) -> Option<Result<usize, usize>> {
    // CJ/T 188: 68, type, seven address bytes, C, L of 64H at most, data, CS, 16.
    const DATA_MAX: u8 = 0x64;
    if bytes.first() != Some(&START) {
        return None;
    }
    let Some(length) = bytes.get(10) else {
        return Some(Err(13_usize.saturating_sub(bytes.len())));
    };
    let end = 13 + usize::from(*length);
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
        0xFE, 0xFE, 0xFE, 0xFE, 0x68, 0x29, 0x25, 0x07, 0x07, 0x21, 0x20, 0x68, 0x11, 0x04, 0x33, 0x33, 0x33,
        0x33, 0x4E, 0x16,
    ];

    #[test]
    fn the_published_request_is_what_we_send() {
        assert_eq!(encode(4, &"202107072529".parse().unwrap(), READ, &[0; 4]), ASKED);
    }

    #[test]
    fn wake_up_bytes_in_any_number_change_nothing() {
        for telegram in [&ASKED[4..], ASKED, &[&[WAKE_UP; 60], ASKED].concat()] {
            let frame = Frame::parse(telegram).unwrap();
            assert_eq!((frame.control, frame.data), (READ, vec![0; 4]));
        }
    }

    #[test]
    fn every_fault_of_a_frame_has_its_name() {
        let broken = |at: usize, byte: u8| {
            let mut frame = ASKED.to_vec();
            frame[at] = byte;
            Frame::parse(&frame).unwrap_err()
        };
        assert_eq!(broken(4, 0x69), FrameError::Start { offset: 4, found: 0x69 });
        assert_eq!(broken(11, 0x69), FrameError::Start { offset: 11, found: 0x69 });
        assert_eq!(broken(13, 0xC9), FrameError::Length { found: 0xC9 });
        assert_eq!(broken(13, 0x06), FrameError::Short { missing: 2 });
        assert_eq!(broken(18, 0x4F), FrameError::Checksum { found: 0x4F, calculated: 0x4E });
        assert_eq!(broken(19, 0x17), FrameError::End { found: 0x17 });
        assert_eq!(broken(13, 0x03), FrameError::Misplaced);
        assert_eq!(Frame::parse(&ASKED[..17]), Err(FrameError::Short { missing: 3 }));
        assert_eq!(Frame::parse(&[]), Err(FrameError::Short { missing: 12 }));
        assert_eq!(Frame::parse(&[ASKED, &[0]].concat()), Err(FrameError::Tail { count: 1 }));
        let cjt188 =
            [0x68, 0x10, 0xAA, 0xAA, 0xAA, 0xAA, 0xAA, 0xAA, 0xAA, 0x03, 0x03, 0x0A, 0x81, 0xA7, 0x56, 0x16];
        assert_eq!(Frame::parse(&cjt188), Err(FrameError::Cjt188));
    }
}
