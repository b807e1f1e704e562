//! Finds out to which protocol received bytes belong and where their frame ends.
//!
//! Each protocol spoken on the line is asked. One whose length and checksum fit wins at once; as long as one could
//! still fit with more bytes, they are waited for; when none can, the line is deaf until it has been silent.

use crate::{ModbusFraming, Protocol, cjt188, dlt645, mbus, modbus};

/// Longer than any request: M-Bus 261 bytes, Modbus/TCP 260, CJ/T 188 113 and some FE before it.
pub(crate) const REQUEST_BYTES_MAX: usize = 300;

/// What a protocol makes of bytes, or what all of them do together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Recognition {
    /// The first `len` bytes are a whole frame with a right checksum.
    Frame { protocol: Protocol, len: usize },
    /// Could become a frame.
    Incomplete,
    /// Cannot become a frame.
    Garbage,
}

pub(super) fn among(protocols: &[Protocol], framing: ModbusFraming, buffer: &[u8]) -> Recognition {
    let mut result = Recognition::Garbage;
    for protocol in protocols {
        let one = match (protocol, framing) {
            (Protocol::Mbus, _) => mbus::recognise(buffer),
            (Protocol::Cjt188, _) => cjt188::recognise(buffer),
            (Protocol::Dlt645, _) => dlt645::recognise(buffer),
            (Protocol::Modbus, ModbusFraming::Rtu) => modbus::recognise_rtu(buffer),
            (Protocol::Modbus, ModbusFraming::Tcp) => modbus::recognise_tcp(buffer),
        };
        match one {
            Recognition::Frame { .. } => return one,
            Recognition::Incomplete if buffer.len() < REQUEST_BYTES_MAX => result = Recognition::Incomplete,
            Recognition::Incomplete | Recognition::Garbage => {}
        }
    }
    result
}

/// The same for one protocol with frames whose length is known from their first bytes.
pub(crate) fn by_length(
    protocol: Protocol,
    buffer: &[u8],
    len: usize,
    valid: impl FnOnce(&[u8]) -> bool,
) -> Recognition {
    match buffer.get(..len) {
        None => Recognition::Incomplete,
        Some(frame) if valid(frame) => Recognition::Frame { protocol, len },
        Some(_) => Recognition::Garbage,
    }
}
