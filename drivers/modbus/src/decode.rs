//! Telegrams that somebody has in hand: `weir decode modbus`.
//!
//! An answer does not say which registers it holds. They are known from the request where it stands before its answer,
//! else from the address that the caller gives, else when only one request of the profile asks for so many.

use weir_wire::{Answer, Raw};

use crate::evaluate::{self, Image, KeepRaw};
use crate::frame::{FunctionCode, Read, exception_name, rtu, tcp};
use crate::plan::Block;
use crate::profile::Profile;

/// Why a telegram could not be decoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// There is nothing.
    #[error("no bytes")]
    Empty,
    /// Not a whole Modbus frame that reads registers.
    #[error("no whole Modbus RTU frame (function 03 or 04, good CRC) and no Modbus/TCP frame at byte {at}")]
    NoFrame {
        /// Index of the first byte that fits nothing.
        at: usize,
    },
    /// There are requests only.
    #[error("a request, and no answer to it")]
    NoAnswer,
    /// An answer that does not belong to the request before it.
    #[error("the answer at byte {at} does not fit the request before it")]
    Mismatch {
        /// Index of its first byte.
        at: usize,
    },
    /// The meter refused.
    #[error("the meter refused: exception {code:02X}, {}", exception_name(*code))]
    Exception {
        /// The exception code.
        code: u8,
    },
    /// It is not known which registers these are.
    #[error(
        "{count} registers by function {:02}, and no way to know which: put the request in front, or give the first register's address",
        function.code()
    )]
    Unplaced {
        /// By which function they were read.
        function: FunctionCode,
        /// How many there are.
        count: u16,
    },
    /// None of the profile's registers are among them.
    #[error("the profile has nothing at registers {start} to {end}")]
    Elsewhere {
        /// The first register of the last answer, on the wire (from 0).
        start: u16,
        /// The register after its last.
        end: u32,
    },
}

/// Decodes RTU or Modbus/TCP frames: one answer, or several requests each with its answer behind it. Each value comes
/// with its bytes; values whose registers are not among them are left out.
///
/// `start`: address of the first register, as on the wire (from 0), for an answer without its request.
///
/// # Errors
/// [`DecodeError`], with the place.
pub fn decode(profile: &Profile, telegram: &[u8], start: Option<u16>) -> Result<Answer, DecodeError> {
    if telegram.is_empty() {
        return Err(DecodeError::Empty);
    }
    let mut image = Image::default();
    let mut asked: Option<Asked> = None;
    let mut last = None;
    let mut at = 0;
    while let Some(rest) = telegram.get(at..).filter(|rest| !rest.is_empty()) {
        let (frame, len) = frame(rest).ok_or(DecodeError::NoFrame { at })?;
        match frame {
            Frame::Exception(code) => return Err(DecodeError::Exception { code }),
            Frame::Request(request) => asked = Some(request),
            Frame::Answer(answer) => {
                let block = place(profile, &answer, asked.take(), start).map_err(|why| why.at(at))?;
                image.add(block.function, block.start, answer.data.to_vec());
                last = Some(block);
            }
        }
        at += len;
    }
    let last = last.ok_or(DecodeError::NoAnswer)?;
    let answer = evaluate::answer(profile, &image, KeepRaw::All);
    let is_empty = answer.values.is_empty()
        && answer.meter_time.is_none()
        && answer.identity.number.is_none()
        && answer.status == weir_wire::Status::default();
    if is_empty {
        return Err(DecodeError::Elsewhere { start: last.start, end: last.end() });
    }
    Ok(Answer { raw: Some(Raw(telegram.to_vec())), ..answer })
}

/// A request, and its transaction id where it has one.
struct Asked {
    transaction: Option<u16>,
    read: Read,
}

struct Answered<'a> {
    transaction: Option<u16>,
    unit: u8,
    function: FunctionCode,
    data: &'a [u8],
}

enum Frame<'a> {
    Request(Asked),
    Answer(Answered<'a>),
    Exception(u8),
}

/// The whole frame at the start of `bytes`, by its CRC or else by its header.
fn frame(bytes: &[u8]) -> Option<(Frame<'_>, usize)> {
    if let Some((traced, len)) = rtu::traced(bytes) {
        let frame = match traced {
            rtu::Traced::Request(read) => Frame::Request(Asked { transaction: None, read }),
            rtu::Traced::Answer { unit, function, data } => {
                Frame::Answer(Answered { transaction: None, unit, function, data })
            }
            rtu::Traced::Exception { code } => Frame::Exception(code),
        };
        return Some((frame, len));
    }
    let (traced, len) = tcp::traced(bytes)?;
    let frame = match traced {
        tcp::Traced::Request(transaction, read) => {
            Frame::Request(Asked { transaction: Some(transaction), read })
        }
        tcp::Traced::Answer { transaction, unit, function, data } => {
            Frame::Answer(Answered { transaction: Some(transaction), unit, function, data })
        }
        tcp::Traced::Exception { code } => Frame::Exception(code),
    };
    Some((frame, len))
}

enum Misplaced {
    Mismatch,
    Unplaced { function: FunctionCode, count: u16 },
}

impl Misplaced {
    fn at(self, at: usize) -> DecodeError {
        match self {
            Self::Mismatch => DecodeError::Mismatch { at },
            Self::Unplaced { function, count } => DecodeError::Unplaced { function, count },
        }
    }
}

fn place(
    profile: &Profile,
    answer: &Answered<'_>,
    asked: Option<Asked>,
    start: Option<u16>,
) -> Result<Block, Misplaced> {
    // A byte count is one byte, so there are at most 127.
    let count = u16::try_from(answer.data.len() / 2).unwrap_or(u16::MAX);
    let function = answer.function;
    if let Some(Asked { transaction, read }) = asked {
        let fits = transaction == answer.transaction
            && (read.unit, read.function, read.count) == (answer.unit, function, count);
        return fits.then_some(Block { function, start: read.start, count }).ok_or(Misplaced::Mismatch);
    }
    if let Some(start) = start {
        return Ok(Block { function, start, count });
    }
    let mut fitting =
        profile.requests().iter().filter(|block| block.function == function && block.count == count);
    match (fitting.next(), fitting.next()) {
        (Some(block), None) => Ok(*block),
        _ => Err(Misplaced::Unplaced { function, count }),
    }
}

#[cfg(test)]
mod tests;
