//! Frames on the wire: what is asked, and how its answer is recognised among whatever arrives.
//!
//! The two recognisers are pure and ask for everything that can be compared: unit, function, byte count, and CRC or
//! transaction id. What is not proven to be the answer is never taken for it.

pub mod rtu;
pub mod tcp;

/// Added to the function code in an exception answer (Application Protocol V1.1b3, 7).
const EXCEPTION: u8 = 0x80;

/// The functions that read registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FunctionCode {
    /// 03, read holding registers.
    ReadHoldingRegisters,
    /// 04, read input registers.
    ReadInputRegisters,
}

impl FunctionCode {
    /// The code on the wire.
    pub fn code(self) -> u8 {
        match self {
            Self::ReadHoldingRegisters => 3,
            Self::ReadInputRegisters => 4,
        }
    }

    /// The function with this code.
    pub fn from_code(code: u8) -> Option<Self> {
        match code {
            3 => Some(Self::ReadHoldingRegisters),
            4 => Some(Self::ReadInputRegisters),
            _ => None,
        }
    }
}

/// A request to read registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Read {
    /// Unit identifier: the slave address of RTU.
    pub unit: u8,
    /// Which registers.
    pub function: FunctionCode,
    /// Address of the first, as on the wire (from 0).
    pub start: u16,
    /// How many, 1 to 125.
    pub count: u16,
}

impl Read {
    /// Bytes of register contents in the answer.
    pub fn data_len(&self) -> usize {
        usize::from(self.count) * 2
    }

    /// Whether `count` is that of the answer's byte count field.
    fn has_byte_count(&self, count: u8) -> bool {
        usize::from(count) == self.data_len()
    }
}

/// What an exception code means, in the standard's words (Application Protocol V1.1b3, 7).
pub fn exception_name(code: u8) -> &'static str {
    match code {
        0x01 => "illegal function",
        0x02 => "illegal data address",
        0x03 => "illegal data value",
        0x04 => "server device failure",
        0x05 => "acknowledge",
        0x06 => "server device busy",
        0x08 => "memory parity error",
        0x0A => "gateway path unavailable",
        0x0B => "gateway target device failed to respond",
        _ => "not in the standard",
    }
}
