//! Picks the answer to one request out of whatever a line carries.
//!
//! Every 68 may start a frame, so each is followed as far as the bytes go, and the frame that *ends first* counts. That
//! makes the verdict independent of how many bytes have already arrived, and noise that happens to look like the start
//! of a long frame cannot swallow the real one. A frame counts only with both 68, length, checksum and end byte; then
//! address, control code and identifier must be those of the request, or it is somebody else's.
//!
//! The protocol numbers no requests. An answer that comes late is told from a fresh one by its identifier only, which
//! is why the driver asks for a pause after a time-out.

use weir_meter::Recognised;

use crate::Address;
use crate::frame::{
    CONTROL_AT, ERROR, FROM_METER, Frame, FrameError, MORE, READ_NEXT, SHORTEST, START, cjt188_end,
};

/// Bytes after which the oldest are given up as noise: over twice the longest frame of either protocol (212 bytes).
const NOISE_MAX: usize = 512;

/// What the answer to a request must look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    /// The address asked; wildcards in it admit any.
    pub address: Address,
    /// C of the request.
    pub control: u8,
    /// The data identifier that the answer must repeat, where it has one.
    pub di: Option<u32>,
    /// The number of a further frame, which the answer must repeat as its last byte.
    pub sequence: Option<u8>,
}

/// What stands at a 68.
enum Found {
    Frame { end: usize, frame: Frame },
    Cjt188 { end: usize },
    Growing { missing: usize, ours: bool },
    Damaged { error: FrameError, ours: bool },
}

/// What the bytes received since a request are, to somebody who expects this answer.
pub fn recognise(received: &[u8], expected: &Expected) -> Recognised {
    let mut first: Option<(usize, Recognised)> = None;
    let mut rest = Rest::default();
    for start in received.iter().enumerate().filter(|(_, byte)| **byte == START).map(|(start, _)| start) {
        let (end, verdict) = match follow(received.get(start..).unwrap_or_default(), expected) {
            Found::Frame { end, frame } => match mismatch(&frame, expected) {
                None => (start + end, Recognised::Answer { start, end: start + end }),
                Some(why) => (start + end, Recognised::Foreign { end: start + end, why }),
            },
            Found::Cjt188 { end } => {
                let why = FrameError::Cjt188.to_string();
                (start + end, Recognised::Foreign { end: start + end, why })
            }
            Found::Growing { missing, ours } => {
                rest.growing(missing, ours);
                continue;
            }
            Found::Damaged { error, ours } => {
                rest.damaged(error, ours);
                continue;
            }
        };
        if first.as_ref().is_none_or(|(earliest, _)| end < *earliest) {
            first = Some((end, verdict));
        }
    }
    match first {
        Some((_, verdict)) => verdict,
        None if received.len() > NOISE_MAX => {
            Recognised::Foreign { end: NOISE_MAX / 2, why: "noise with no frame in it".into() }
        }
        None => rest.verdict(),
    }
}

fn follow(bytes: &[u8], expected: &Expected) -> Found {
    let error = match Frame::split(bytes) {
        Ok((frame, end)) => return Found::Frame { end, frame },
        Err(error) => error,
    };
    let ours = may_be_ours(bytes, expected);
    match (error, cjt188_end(bytes)) {
        (_, Some(Ok(end))) => Found::Cjt188 { end },
        (FrameError::Short { missing }, _) => Found::Growing { missing, ours },
        (_, Some(Err(missing))) if !ours => Found::Growing { missing, ours },
        (error, _) => Found::Damaged { error, ours },
    }
}

/// Whether address, second start and control code are those of the answer, as far as they have arrived.
fn may_be_ours(bytes: &[u8], expected: &Expected) -> bool {
    let address = bytes.get(1..).unwrap_or_default();
    let control = bytes.get(CONTROL_AT).is_none_or(|control| answers(*control, expected));
    let start = bytes.get(7).is_none_or(|byte| *byte == START);
    control && start && expected.address.admits_start(address)
}

/// Whether this C answers the request's, as an error or not, with a further frame or not.
fn answers(control: u8, expected: &Expected) -> bool {
    control & !(ERROR | MORE) == expected.control | FROM_METER
}

/// What a whole frame lacks to be the answer.
fn mismatch(frame: &Frame, expected: &Expected) -> Option<String> {
    if !frame.is_answer() {
        return Some(format!("a request (C={:02X}), not an answer", frame.control));
    }
    if !expected.address.admits(&frame.address) {
        return Some(format!("answer of meter {}, asked was {}", frame.address, expected.address));
    }
    if !answers(frame.control, expected) {
        return Some(format!("answer to another request (C={:02X})", frame.control));
    }
    // An error answer has no identifier.
    let asked = expected.di.filter(|_| !frame.is_error())?;
    match di_of(&frame.data) {
        Some(found) if found == asked => {}
        Some(found) => return Some(format!("answer with DI {found:08X}, asked was {asked:08X}")),
        None => return Some("answer without DI".into()),
    }
    let sequence = expected.sequence.filter(|_| expected.control == READ_NEXT)?;
    match frame.data.get(4..).and_then(<[u8]>::last) {
        Some(found) if *found == sequence => None,
        found => Some(format!("further frame {found:02X?}, asked was {sequence:02X}")),
    }
}

/// The data identifier at the start of data.
pub(crate) fn di_of(data: &[u8]) -> Option<u32> {
    data.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

/// What is left when no frame is whole.
#[derive(Default)]
struct Rest {
    ours_growing: Option<usize>,
    ours_damaged: Option<FrameError>,
    other_growing: bool,
    other_damaged: Option<FrameError>,
}

impl Rest {
    fn growing(&mut self, missing: usize, ours: bool) {
        if ours {
            self.ours_growing = Some(self.ours_growing.map_or(missing, |least| least.min(missing)));
        } else {
            self.other_growing = true;
        }
    }

    fn damaged(&mut self, error: FrameError, ours: bool) {
        // Any 68 in noise has some wrong length. Without our header, only a frame that is right but for one byte is one.
        let almost = matches!(error, FrameError::Checksum { .. } | FrameError::End { .. });
        if ours {
            self.ours_damaged.get_or_insert(error);
        } else if almost {
            self.other_damaged.get_or_insert(error);
        }
    }

    fn verdict(self) -> Recognised {
        match self {
            Self { ours_growing: Some(missing), .. } => Recognised::Incomplete { missing: missing.max(1) },
            Self { ours_damaged: Some(error), .. } => Recognised::Garbled { why: error.to_string() },
            Self { other_growing: false, other_damaged: Some(error), .. } => {
                Recognised::Garbled { why: format!("{error}, and the address is not the one asked") }
            }
            // A frame with another header cannot become the answer; the answer has yet to begin.
            _ => Recognised::Incomplete { missing: SHORTEST },
        }
    }
}
