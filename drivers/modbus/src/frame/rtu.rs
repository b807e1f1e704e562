//! RTU frames: where an answer ends is told by its function and byte count, and that it is whole by its CRC.
//!
//! Nothing marks a frame's beginning but silence, which a serial server or a USB adapter does not carry. So an answer
//! may stand behind noise, and every place where it could begin is tried in order: the earliest possible beginning is
//! ruled out (or confirmed) before a later one is looked at, so that nothing inside a frame is taken for a frame.
//!
//! What cannot be told: an answer to an *earlier* request for as many registers of the same meter, since RTU has no
//! transaction id. The line keeps such a meter's late window for that.

use weir_meter::Recognised;

use super::{EXCEPTION, FunctionCode, Read, Write};

/// Unit, function, first register, count, CRC.
pub const REQUEST_LEN: usize = 8;
/// Unit, function, exception code, CRC.
pub const EXCEPTION_LEN: usize = 5;
/// Unit, function, address, what was written or how much, CRC.
pub const WRITE_ANSWER_LEN: usize = 8;
/// "The maximum size of a MODBUS RTU frame is 256 bytes" (over Serial Line V1.02, 2.5.1.1). So much noise or so many
/// strange bytes may precede an answer before it is given up.
const FRAME_LEN_MAX: usize = 256;

const CRC: crc::Crc<u16> = crc::Crc::<u16>::new(&crc::CRC_16_MODBUS);

/// CRC-16 over a frame without its CRC; sent low byte first (over Serial Line V1.02, 6.2.2).
pub fn crc(bytes: &[u8]) -> u16 {
    CRC.checksum(bytes)
}

/// Whether a frame's last two bytes are the CRC of those before.
pub fn is_whole(frame: &[u8]) -> bool {
    frame.split_last_chunk().is_some_and(|(body, check)| crc(body) == u16::from_le_bytes(*check))
}

/// The request on the wire.
pub fn request(read: &Read) -> [u8; REQUEST_LEN] {
    let ([s1, s0], [c1, c0]) = (read.start.to_be_bytes(), read.count.to_be_bytes());
    let body = [read.unit, read.function.code(), s1, s0, c1, c0];
    let [low, high] = crc(&body).to_le_bytes();
    let [unit, function, ..] = body;
    [unit, function, s1, s0, c1, c0, low, high]
}

/// Bytes of the answer when it is no exception.
pub fn answer_len(read: &Read) -> usize {
    EXCEPTION_LEN + read.data_len()
}

/// What `received` is, after this request. See [`Recognised`].
pub fn recognise(read: &Read, received: &[u8]) -> Recognised {
    let sought = Sought { unit: read.unit, request: &request(read), answer_len: answer_len(read) };
    search(&sought, received, |rest| beginning(read, rest))
}

/// A request to write, on the wire.
pub fn write_request(write: &Write<'_>) -> Vec<u8> {
    let mut frame = vec![write.unit];
    frame.extend(write.pdu());
    frame.extend(crc(&frame).to_le_bytes());
    frame
}

/// What `received` is, after this request to write.
///
/// The answer to functions 05 and 06 *is* the request. A converter's echo that the line does not take off is therefore
/// taken for it: only reading the register back tells whether the meter has obeyed.
pub fn recognise_write(write: &Write<'_>, received: &[u8]) -> Recognised {
    let request = write_request(write);
    let sought = Sought { unit: write.unit, request: &request, answer_len: WRITE_ANSWER_LEN };
    search(&sought, received, |rest| write_beginning(write, &request, rest))
}

/// What is looked for.
struct Sought<'a> {
    unit: u8,
    request: &'a [u8],
    /// Of an answer that is no exception.
    answer_len: usize,
}

fn search(sought: &Sought<'_>, received: &[u8], beginning: impl Fn(&[u8]) -> Beginning) -> Recognised {
    let mut damage = None;
    let mut pending = None;
    for start in 0..received.len() {
        let rest = received.get(start..).unwrap_or_default();
        match beginning(rest) {
            Beginning::Not => {}
            Beginning::Other(why) => damage = damage.or((rest.len() >= sought.answer_len).then_some(why)),
            Beginning::Unsure(missing) => {
                pending = Some((start, rest.len() + missing));
                break;
            }
            Beginning::Of(len) => match rest.get(..len) {
                None => {
                    pending = Some((start, len));
                    break;
                }
                Some(frame) if is_whole(frame) => return Recognised::Answer { start, end: start + len },
                // A damaged answer can look like an exception; it is not over before its own length has come.
                Some(frame) if rest.len() >= sought.answer_len => damage = damage.or(Some(wrong_crc(frame))),
                Some(_) => {}
            },
        }
    }
    let settled = pending.map_or(received.len(), |(start, _)| start);
    if let Some(foreign) = foreign(sought, received.get(..settled).unwrap_or_default()) {
        return foreign;
    }
    // One matching byte at the very end is more likely the damaged frame's than the next one's first.
    let hopeful = pending.is_some_and(|(start, _)| received.len() - start > 1);
    match damage {
        Some(why) if !hopeful => return Recognised::Garbled { why },
        _ => {}
    }
    match pending {
        Some((start, len)) => Recognised::Incomplete { missing: start + len - received.len() },
        None if received.len() > FRAME_LEN_MAX + sought.answer_len => {
            Recognised::Garbled { why: format!("no answer among {} bytes", received.len()) }
        }
        None => Recognised::Incomplete { missing: EXCEPTION_LEN },
    }
}

/// What could begin at a place.
enum Beginning {
    /// Not the answer.
    Not,
    /// The answer, or an exception: too few bytes to know, at least so many more are needed.
    Unsure(usize),
    /// The answer or an exception of this length in all.
    Of(usize),
    /// An answer of this unit and function to another request, and what tells so.
    Other(String),
}

fn beginning(read: &Read, rest: &[u8]) -> Beginning {
    let function = read.function.code();
    match *rest {
        [unit, ..] if unit != read.unit => Beginning::Not,
        [_] => Beginning::Unsure(EXCEPTION_LEN - 1),
        [_, code, ..] if code == function | EXCEPTION => Beginning::Of(EXCEPTION_LEN),
        [_, code] if code == function => Beginning::Unsure(EXCEPTION_LEN - 2),
        [_, code, count, ..] if code == function && read.has_byte_count(count) => {
            Beginning::Of(answer_len(read))
        }
        [_, code, count, ..] if code == function => {
            Beginning::Other(format!("answer of {count} data bytes to a request for {}", read.data_len()))
        }
        _ => Beginning::Not,
    }
}

fn write_beginning(write: &Write<'_>, request: &[u8], rest: &[u8]) -> Beginning {
    let answer = write.answer_pdu();
    let [function, ..] = answer;
    let said = rest.get(1..rest.len().min(1 + answer.len())).unwrap_or_default();
    match *rest {
        [unit, ..] if unit != write.unit => Beginning::Not,
        [_] => Beginning::Unsure(EXCEPTION_LEN - 1),
        [_, code, ..] if code == function | EXCEPTION => Beginning::Of(EXCEPTION_LEN),
        [_, code, ..] if code != function => Beginning::Not,
        _ if !answer.starts_with(said) => Beginning::Other("answer to another request to write".into()),
        // The request of function 16 begins as its answer does; its echo is `foreign`.
        _ if rest.len() < WRITE_ANSWER_LEN || rest.get(..WRITE_ANSWER_LEN).is_some_and(is_whole) => {
            Beginning::Of(WRITE_ANSWER_LEN)
        }
        _ if rest.starts_with(request) => Beginning::Not,
        _ if request.starts_with(rest) => Beginning::Unsure(request.len() - rest.len()),
        _ => Beginning::Of(WRITE_ANSWER_LEN),
    }
}

fn wrong_crc(frame: &[u8]) -> String {
    let (body, check) = frame.split_last_chunk().unwrap_or((frame, &[0, 0]));
    format!("CRC {:04X} in the frame, {:04X} over its bytes", u16::from_le_bytes(*check), crc(body))
}

/// The first whole frame that is not the answer.
fn foreign(sought: &Sought<'_>, settled: &[u8]) -> Option<Recognised> {
    (0..settled.len()).find_map(|start| {
        let rest = settled.get(start..)?;
        if rest.starts_with(sought.request) {
            let why = "echo of the request: the converter echoes, the line is not set so".into();
            return Some(Recognised::Foreign { end: start + sought.request.len(), why });
        }
        let len = lengths(rest).into_iter().find(|&len| rest.get(..len).is_some_and(is_whole))?;
        let unit = rest.first()?;
        let why = if *unit == sought.unit {
            format!("frame of unit {unit} that does not answer this request")
        } else {
            format!("frame of unit {unit}, asked was unit {}", sought.unit)
        };
        Some(Recognised::Foreign { end: start + len, why })
    })
}

/// The lengths that a frame beginning so may have, of those functions that water meters are asked for; 0 for none.
fn lengths(rest: &[u8]) -> [usize; 2] {
    match *rest {
        [_, 0x01..=0x04, count, ..] => [EXCEPTION_LEN + usize::from(count), REQUEST_LEN],
        [_, 0x05 | 0x06 | 0x0F | 0x10, ..] => [REQUEST_LEN, 0],
        [_, 0x81..=0x86 | 0x8F | 0x90, ..] => [EXCEPTION_LEN, 0],
        _ => [0, 0],
    }
}

/// A frame of a trace, for decoding without knowing what was asked.
pub(crate) enum Traced<'a> {
    /// A request.
    Request(Read),
    /// An answer with its register contents.
    Answer { unit: u8, function: FunctionCode, data: &'a [u8] },
    /// An exception.
    Exception { code: u8 },
}

/// Reads the whole frame at the start of `bytes` and returns it with its length.
pub(crate) fn traced(bytes: &[u8]) -> Option<(Traced<'_>, usize)> {
    let (&unit, &code, &third) = (bytes.first()?, bytes.get(1)?, bytes.get(2)?);
    let whole = |len: usize| bytes.get(..len).is_some_and(is_whole);
    if let Some(function) = FunctionCode::from_code(code) {
        let len = EXCEPTION_LEN + usize::from(third);
        if third > 0 && third.is_multiple_of(2) && whole(len) {
            return Some((Traced::Answer { unit, function, data: bytes.get(3..len - 2)? }, len));
        }
        let [_, _, s1, s0, c1, c0, ..] = *bytes else { return None };
        let (start, count) = (u16::from_be_bytes([s1, s0]), u16::from_be_bytes([c1, c0]));
        return whole(REQUEST_LEN)
            .then_some((Traced::Request(Read { unit, function, start, count }), REQUEST_LEN));
    }
    let known = FunctionCode::from_code(code.wrapping_sub(EXCEPTION)).is_some();
    (known && whole(EXCEPTION_LEN)).then_some((Traced::Exception { code: third }, EXCEPTION_LEN))
}

#[cfg(test)]
mod tests;
