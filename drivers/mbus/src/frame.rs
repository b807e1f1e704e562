//! The link layer of EN 13757-2 (frame format class FT 1.2 of IEC 60870-5): building frames, and finding one in what
//! a line received.
//!
//! ```text
//! acknowledgement  E5
//! short frame      10  C  A  CS  16
//! long frame       68  L  L  68  C  A  CI  data…  CS  16      L counts C to the end of the data, 3 to 255
//! ```
//!
//! The end of a frame follows from its length; nothing here knows time. A whole frame header (`68 L L 68`) commits: what
//! follows is that frame, and if its checksum is wrong the answer is garbled. Anything else before it is noise.

use weir_meter::{Fault, Recognised};

/// The single character with which a meter acknowledges SND_NKE.
pub const ACKNOWLEDGE: u8 = 0xE5;
/// C field of SND_NKE: begin the link anew, forget the frame count bit.
pub const SND_NKE: u8 = 0x40;
/// C field of REQ_UD2 (class 2 data, the readings) with the frame count bit cleared.
pub const REQ_UD2: u8 = 0x5B;
/// The frame count bit in the C field of REQ_UD2.
pub const FRAME_COUNT_BIT: u8 = 0x20;
/// C field of SND_UD (data for the meter) with the frame count bit cleared.
pub const SND_UD: u8 = 0x53;
/// CI field of a selection by secondary address.
pub(crate) const SELECT: u8 = 0x52;
/// Bytes of the shortest frame that a meter answers REQ_UD2 with: C, A and CI in a long frame.
pub const SHORTEST_RESPONSE: usize = OVERHEAD + LENGTH_MIN as usize;
/// Bytes of the longest frame there is.
pub const LONGEST: usize = OVERHEAD + 255;

const SHORT_START: u8 = 0x10;
const LONG_START: u8 = 0x68;
const STOP: u8 = 0x16;
/// C field of RSP_UD with the bits cleared that say "class 1 data waiting" (ACD) and "cannot take more" (DFC).
const RSP_UD: u8 = 0x08;
const ACD_DFC: u8 = 0x30;
/// C, A and CI are always there.
const LENGTH_MIN: u8 = 3;
/// Start, twice the length, start again, checksum and stop.
const OVERHEAD: usize = 6;

/// A long frame whose checksum was right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// C field.
    pub control: u8,
    /// A field.
    pub address: u8,
    /// CI field: what the data is.
    pub information: u8,
    /// User data, 252 bytes at most.
    pub data: &'a [u8],
}

/// The sum of the bytes modulo 256.
fn checksum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, byte| sum.wrapping_add(*byte))
}

/// A short frame.
pub fn short(control: u8, address: u8) -> [u8; 5] {
    [SHORT_START, control, address, control.wrapping_add(address), STOP]
}

/// A long frame, called a control frame when it has no data; `None` with more than 252 bytes of data.
pub fn long(control: u8, address: u8, information: u8, data: &[u8]) -> Option<Vec<u8>> {
    let length = u8::try_from(data.len() + usize::from(LENGTH_MIN)).ok()?;
    let mut frame = vec![LONG_START, length, length, LONG_START, control, address, information];
    frame.extend_from_slice(data);
    frame.push(checksum(frame.get(4..)?));
    frame.push(STOP);
    Some(frame)
}

/// Takes exactly one long frame apart.
///
/// # Errors
/// [`Fault::Garbled`] when the bytes are not one whole long frame with the right checksum.
pub fn parse(bytes: &[u8]) -> Result<Frame<'_>, Fault> {
    let Header::Whole { total } = header(bytes) else {
        return Err(Fault::garbled("no long frame starts here"));
    };
    if bytes.len() != total {
        return Err(Fault::garbled(format!("frame of {total} bytes in {} bytes", bytes.len())));
    }
    let [_, _, _, _, body @ .., sum, stop] = bytes else {
        return Err(Fault::garbled("frame too short"));
    };
    if *stop != STOP {
        return Err(Fault::garbled(format!("frame ends with {stop:02X} instead of {STOP:02X}")));
    }
    let expected = checksum(body);
    if *sum != expected {
        return Err(Fault::garbled(format!("checksum {sum:02X} instead of {expected:02X}")));
    }
    let [control, address, information, data @ ..] = body else {
        return Err(Fault::garbled("frame too short"));
    };
    Ok(Frame { control: *control, address: *address, information: *information, data })
}

/// What the first bytes say about a long frame starting with them.
#[derive(Clone, Copy)]
enum Header {
    /// None starts here.
    No,
    /// One may start here; it would need at least this many more bytes.
    Perhaps { missing: usize },
    /// One starts here, of this many bytes.
    Whole { total: usize },
}

fn header(bytes: &[u8]) -> Header {
    let total = |length: u8| usize::from(length) + OVERHEAD;
    match *bytes {
        [LONG_START] => Header::Perhaps { missing: SHORTEST_RESPONSE - 1 },
        [LONG_START, length] if length >= LENGTH_MIN => Header::Perhaps { missing: total(length) - 2 },
        [LONG_START, length, again] if length >= LENGTH_MIN && length == again => {
            Header::Perhaps { missing: total(length) - 3 }
        }
        [LONG_START, length, again, LONG_START, ..] if length >= LENGTH_MIN && length == again => {
            Header::Whole { total: total(length) }
        }
        _ => Header::No,
    }
}

/// Recognises the acknowledgement of SND_NKE.
///
/// An E5 inside a long frame (a late answer to an earlier request) is not taken for it. The character names no address:
/// whose it is follows from when it comes.
pub fn recognise_acknowledge(bytes: &[u8]) -> Recognised {
    for (start, byte) in bytes.iter().enumerate() {
        let rest = bytes.get(start..).unwrap_or_default();
        match header(rest) {
            Header::No if *byte == ACKNOWLEDGE => return Recognised::Answer { start, end: start + 1 },
            Header::No => {}
            Header::Perhaps { .. } => break,
            Header::Whole { total } => {
                return match frame_at(bytes, start, total) {
                    Err(unfinished) => unfinished,
                    Ok(frame) => Recognised::Foreign {
                        end: start + total,
                        why: format!("frame of address {} instead of an acknowledgement", frame.address),
                    },
                };
            }
        }
    }
    Recognised::Incomplete { missing: 1 }
}

/// Recognises the answer to REQ_UD2: a RSP_UD frame that carries this address (`None`: any address will do).
///
/// A meter answers the test address 254 with its own primary address or with 254, and, once selected by its secondary
/// address, a request to 253 with its primary address or with 253; so for both any address has to be taken.
pub fn recognise_response(bytes: &[u8], address: Option<u8>) -> Recognised {
    recognise_response_of(bytes, &|frame| {
        let expected = address?;
        (frame.address != expected)
            .then(|| format!("answer of address {} instead of {expected}", frame.address))
    })
}

/// Recognises the answer to REQ_UD2 of the meter to which `stranger` finds no objection.
pub(crate) fn recognise_response_of(
    bytes: &[u8],
    stranger: &dyn Fn(&Frame<'_>) -> Option<String>,
) -> Recognised {
    let mut missing_least = SHORTEST_RESPONSE;
    for start in 0..bytes.len() {
        match header(bytes.get(start..).unwrap_or_default()) {
            Header::No => {}
            Header::Perhaps { missing } => missing_least = missing_least.min(missing),
            Header::Whole { total } => {
                return match frame_at(bytes, start, total) {
                    Err(unfinished) => unfinished,
                    Ok(frame) => match no_answer(&frame).or_else(|| stranger(&frame)) {
                        Some(why) => Recognised::Foreign { end: start + total, why },
                        None => Recognised::Answer { start, end: start + total },
                    },
                };
            }
        }
    }
    Recognised::Incomplete { missing: missing_least }
}

/// The frame whose header stands at `start`, or that it is unfinished or damaged.
fn frame_at(bytes: &[u8], start: usize, total: usize) -> Result<Frame<'_>, Recognised> {
    let rest = bytes.get(start..).unwrap_or_default();
    let whole = rest
        .get(..total)
        .ok_or_else(|| Recognised::Incomplete { missing: total.saturating_sub(rest.len()) })?;
    parse(whole).map_err(|fault| match fault {
        Fault::Garbled { why } => Recognised::Garbled { why },
        other => Recognised::Garbled { why: other.to_string() },
    })
}

/// Why this frame is no answer of any meter.
pub(crate) fn no_answer(frame: &Frame<'_>) -> Option<String> {
    let is_answer = frame.control & !ACD_DFC == RSP_UD;
    (!is_answer).then(|| format!("C field {:02X} is no answer of a meter", frame.control))
}

#[cfg(test)]
mod tests;
