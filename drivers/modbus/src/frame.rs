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

/// The functions that write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WriteFunction {
    /// 05, write a single coil.
    Coil,
    /// 06, write a single register.
    Register,
    /// 16, write several registers.
    Registers,
}

impl WriteFunction {
    /// The code on the wire.
    pub fn code(self) -> u8 {
        match self {
            Self::Coil => 5,
            Self::Register => 6,
            Self::Registers => 16,
        }
    }

    /// The function with this code.
    pub fn from_code(code: u8) -> Option<Self> {
        match code {
            5 => Some(Self::Coil),
            6 => Some(Self::Register),
            16 => Some(Self::Registers),
            _ => None,
        }
    }
}

/// A request to write. Its answer repeats the address and, of functions 05 and 06, what was written; of function 16 how
/// many registers (Application Protocol V1.1b3, 6.5, 6.6 and 6.12).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Write<'a> {
    /// Unit identifier: the slave address of RTU.
    pub unit: u8,
    /// What is written.
    pub function: WriteFunction,
    /// Address of the coil or first register, as on the wire (from 0).
    pub start: u16,
    /// The registers, 1 to 123; of functions 05 and 06 the first alone counts. A coil is FF00 (on) or 0000 (off).
    pub registers: &'a [u16],
}

impl Write<'_> {
    /// The request without address, checksum or header.
    pub fn pdu(&self) -> Vec<u8> {
        let mut pdu = vec![self.function.code()];
        pdu.extend(self.start.to_be_bytes());
        if self.function == WriteFunction::Registers {
            let count = u8::try_from(self.registers.len()).unwrap_or(u8::MAX);
            pdu.extend([0, count, count.saturating_mul(2)]);
            pdu.extend(self.registers.iter().flat_map(|register| register.to_be_bytes()));
        } else {
            pdu.extend(self.registers.first().copied().unwrap_or_default().to_be_bytes());
        }
        pdu
    }

    /// What a meter that does it answers, of the same parts.
    pub fn answer_pdu(&self) -> [u8; WRITE_ANSWER_LEN] {
        let [s1, s0] = self.start.to_be_bytes();
        let said = match self.function {
            WriteFunction::Registers => u16::try_from(self.registers.len()).unwrap_or(u16::MAX),
            _ => self.registers.first().copied().unwrap_or_default(),
        };
        let [w1, w0] = said.to_be_bytes();
        [self.function.code(), s1, s0, w1, w0]
    }
}

/// Function, address, and what was written or how much.
const WRITE_ANSWER_LEN: usize = 5;

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
