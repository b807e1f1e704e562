//! Modbus/TCP frames: the MBAP header carries a transaction id and the length (Messaging on TCP/IP V1.0b, 3.1.3).
//!
//! TCP brings every byte in order, so there is no noise to skip: what stands where a header should stand is one or the
//! connection is out of step. A late answer is told by its transaction id and passed over.

use weir_meter::Recognised;

use super::{EXCEPTION, FunctionCode, Read, Write};

/// Transaction id, protocol id, length, unit.
pub(crate) const HEADER_LEN: usize = 7;
/// The header up to and with its length field.
const LENGTH_END: usize = 6;
/// Header, function, first register, count.
pub const REQUEST_LEN: usize = HEADER_LEN + 5;
/// Header, function, exception code.
pub const EXCEPTION_LEN: usize = HEADER_LEN + 2;
/// What the length field counts at most: the unit and a PDU of 253 bytes (Application Protocol V1.1b3, 4.1).
const COUNTED_MAX: u16 = 254;
/// What it counts at least: the unit and an exception.
const COUNTED_MIN: u16 = 3;

/// Bytes of the answer when it is no exception.
pub fn answer_len(read: &Read) -> usize {
    EXCEPTION_LEN + read.data_len()
}

/// What `received` is, after this request under this transaction id. See [`Recognised`].
pub fn recognise(read: &Read, transaction: u16, received: &[u8]) -> Recognised {
    recognise_pdu(read.unit, transaction, received, |pdu| match *pdu {
        [code, _] if code == read.function.code() | EXCEPTION => Ok(()),
        [code, count, ref data @ ..] if code == read.function.code() => {
            let fits = read.has_byte_count(count) && data.len() == read.data_len();
            let (found, asked) = (data.len(), read.data_len());
            fits.then_some(())
                .ok_or_else(|| format!("byte count {count} with {found} data bytes to a request for {asked}"))
        }
        _ => Err(another_function(pdu, read.function.code())),
    })
}

/// A request to write, on the wire.
pub fn write_request(write: &Write<'_>, transaction: u16) -> Vec<u8> {
    let pdu = write.pdu();
    let counted = u16::try_from(pdu.len() + 1).unwrap_or(u16::MAX);
    let mut frame = transaction.to_be_bytes().to_vec();
    frame.extend([0, 0]);
    frame.extend(counted.to_be_bytes());
    frame.push(write.unit);
    frame.extend(pdu);
    frame
}

/// What `received` is, after this request to write under this transaction id.
pub fn recognise_write(write: &Write<'_>, transaction: u16, received: &[u8]) -> Recognised {
    recognise_pdu(write.unit, transaction, received, |pdu| match *pdu {
        [code, _] if code == write.function.code() | EXCEPTION => Ok(()),
        [code, ..] if code == write.function.code() => {
            let fits = *pdu == write.answer_pdu();
            fits.then_some(()).ok_or_else(|| "answer to another request to write".into())
        }
        _ => Err(another_function(pdu, write.function.code())),
    })
}

fn another_function(pdu: &[u8], asked: u8) -> String {
    match pdu.first() {
        Some(code) => format!("function {code:02X} where {asked:02X} was asked"),
        None => "answer without a function".into(),
    }
}

fn recognise_pdu(
    unit: u8,
    transaction: u16,
    received: &[u8],
    fits: impl Fn(&[u8]) -> Result<(), String>,
) -> Recognised {
    let frame = match frame(received) {
        Ok(frame) => frame,
        Err(verdict) => return verdict,
    };
    let end = frame.len;
    if frame.transaction != transaction {
        let why = format!("answer to transaction {}, asked was {transaction}", frame.transaction);
        return Recognised::Foreign { end, why };
    }
    if frame.unit != unit {
        let why = format!("answer of unit {}, asked was unit {unit}", frame.unit);
        return Recognised::Foreign { end, why };
    }
    match fits(frame.pdu) {
        Ok(()) => Recognised::Answer { start: 0, end },
        Err(why) => Recognised::Garbled { why },
    }
}

struct Frame<'a> {
    transaction: u16,
    unit: u8,
    pdu: &'a [u8],
    len: usize,
}

/// The whole frame at the start of `bytes`.
fn frame(bytes: &[u8]) -> Result<Frame<'_>, Recognised> {
    let [t1, t0, p1, p0, l1, l0, ..] = *bytes else {
        if bytes.iter().skip(2).take(2).any(|&protocol| protocol != 0) {
            return Err(Recognised::Garbled { why: "no Modbus/TCP header: protocol id is not 0".into() });
        }
        return Err(Recognised::Incomplete { missing: EXCEPTION_LEN.saturating_sub(bytes.len()) });
    };
    if [p1, p0] != [0, 0] {
        return Err(Recognised::Garbled { why: "no Modbus/TCP header: protocol id is not 0".into() });
    }
    let counted = u16::from_be_bytes([l1, l0]);
    if !(COUNTED_MIN..=COUNTED_MAX).contains(&counted) {
        let why =
            format!("no Modbus/TCP header: length {counted} is not within {COUNTED_MIN} to {COUNTED_MAX}");
        return Err(Recognised::Garbled { why });
    }
    let len = LENGTH_END + usize::from(counted);
    match (bytes.get(HEADER_LEN - 1), bytes.get(HEADER_LEN..len)) {
        (Some(&unit), Some(pdu)) => Ok(Frame { transaction: u16::from_be_bytes([t1, t0]), unit, pdu, len }),
        _ => Err(Recognised::Incomplete { missing: len - bytes.len() }),
    }
}

/// A frame of a trace, for decoding without knowing what was asked.
pub(crate) enum Traced<'a> {
    /// A request under its transaction id.
    Request(u16, Read),
    /// An answer with its register contents.
    Answer { transaction: u16, unit: u8, function: FunctionCode, data: &'a [u8] },
    /// An exception.
    Exception { code: u8 },
}

/// Reads the whole frame at the start of `bytes` and returns it with its length.
///
/// A request has four bytes behind its function; an answer of that length would have three data bytes, and registers
/// have two each. So the two are told apart without knowing who sent them.
pub(crate) fn traced(bytes: &[u8]) -> Option<(Traced<'_>, usize)> {
    let Frame { transaction, unit, pdu, len } = frame(bytes).ok()?;
    let (&code, rest) = pdu.split_first()?;
    let Some(function) = FunctionCode::from_code(code) else {
        let known = FunctionCode::from_code(code.wrapping_sub(EXCEPTION)).is_some();
        let [code] = *rest else { return None };
        return known.then_some((Traced::Exception { code }, len));
    };
    match *rest {
        [count, ref data @ ..]
            if count > 0 && count.is_multiple_of(2) && data.len() == usize::from(count) =>
        {
            Some((Traced::Answer { transaction, unit, function, data }, len))
        }
        [s1, s0, c1, c0] => {
            let (start, count) = (u16::from_be_bytes([s1, s0]), u16::from_be_bytes([c1, c0]));
            Some((Traced::Request(transaction, Read { unit, function, start, count }), len))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
