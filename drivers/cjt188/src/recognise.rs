//! Picks the answer to one request out of whatever a line carries.
//!
//! Every 68 may start a frame, so each is followed as far as the bytes go, and the frame that *ends first* counts. That
//! makes the verdict independent of how many bytes have already arrived, and noise that happens to look like the start
//! of a long frame cannot swallow the real one. A frame counts only with length, checksum and end byte; then type,
//! address, control code, identifier and serial number must be those of the request, or it is somebody else's.

use weir_meter::Recognised;

use crate::Address;
use crate::data::{DI_METERING, di_of};
use crate::frame::{ERROR, FROM_METER, Frame, FrameError, READ, SHORTEST, START, dlt645_end};

/// Bytes after which the oldest are given up as noise: over twice the longest frame of either protocol (212 bytes).
const NOISE_MAX: usize = 512;

/// What the answer to a request must look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    /// The address asked; wildcards in it admit any.
    pub address: Address,
    /// A second address that may answer as well: the one that a meter has just been given.
    pub renamed: Option<Address>,
    /// C of the request.
    pub control: u8,
    /// Its data identifier, such as 901F.
    pub di: u16,
    /// The serial number (SER) that the answer must repeat; `None` where it is not to be checked.
    pub ser: Option<u8>,
}

impl Expected {
    /// The answer to a read of the metering data.
    pub fn metering(address: Address, ser: Option<u8>) -> Self {
        Self { address, renamed: None, control: READ, di: DI_METERING, ser }
    }

    fn admits(&self, found: &Address) -> bool {
        self.address.admits(found) || self.renamed.is_some_and(|renamed| renamed.admits(found))
    }

    /// C of the answer when it is no error.
    fn answer(&self) -> u8 {
        self.control | FROM_METER
    }
}

/// What stands at a 68.
enum Found<'a> {
    Frame { end: usize, frame: Frame<'a> },
    Dlt645 { end: usize },
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
            Found::Dlt645 { end } => {
                let why = FrameError::Dlt645.to_string();
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

fn follow<'a>(bytes: &'a [u8], expected: &Expected) -> Found<'a> {
    let error = match Frame::split(bytes) {
        Ok((frame, end)) => return Found::Frame { end, frame },
        Err(error) => error,
    };
    let ours = may_be_ours(bytes, expected);
    match (error, dlt645_end(bytes)) {
        (_, Some(Ok(end))) => Found::Dlt645 { end },
        (FrameError::Short { missing }, _) => Found::Growing { missing, ours },
        (_, Some(Err(missing))) if !ours => Found::Growing { missing, ours },
        (error, _) => Found::Damaged { error, ours },
    }
}

/// Whether type, address and control code are those of the answer, as far as they have arrived.
fn may_be_ours(bytes: &[u8], expected: &Expected) -> bool {
    let found = bytes.get(1..).unwrap_or_default();
    let control = bytes.get(9).is_none_or(|control| control & !ERROR == expected.answer() & !ERROR);
    let mut addresses = [Some(expected.address), expected.renamed].into_iter().flatten();
    control
        && addresses.any(|address| {
            address.wire().iter().zip(found).all(|(asked, found)| asked == found || *asked == Address::ANY)
        })
}

/// What a whole frame lacks to be the answer.
fn mismatch(frame: &Frame<'_>, expected: &Expected) -> Option<String> {
    if !frame.is_answer() {
        return Some(format!("a request (C={:02X}), not an answer", frame.control));
    }
    if !expected.admits(&frame.address) {
        return Some(format!("answer of meter {}, asked was {}", frame.address, expected.address));
    }
    if frame.control & !ERROR != expected.answer() & !ERROR {
        return Some(format!("answer to another request (C={:02X})", frame.control));
    }
    let ser = match (frame.is_error(), frame.data) {
        // An error answer has no identifier: SER, ST0, ST1. Without SER there is nothing to compare.
        (true, [ser, _, _]) => Some(*ser),
        (true, _) => None,
        (false, data) => match di_of(data) {
            Some(di) if di == expected.di => data.get(2).copied(),
            Some(di) => return Some(format!("answer with DI {di:04X}, asked was {:04X}", expected.di)),
            None => return Some("answer without DI".into()),
        },
    };
    match (expected.ser, ser) {
        (Some(asked), Some(found)) if asked != found => Some(format!(
            "answer with SER {found:02X}, asked was {asked:02X}: late, or a meter that repeats no SER (profile: ser)"
        )),
        _ => None,
    }
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
