//! Modbus slaves: RTU ("MODBUS over serial line", V1.02) and TCP ("Messaging on TCP/IP", V1.0b), application protocol
//! V1.1b3.
//!
//! Functions 03 and 04 read, 06 and 16 write, each where the model has it; anything else gets exception 01, an address
//! outside the map or not writable 02, a count or value that cannot be 03. A broadcast (unit 0) is obeyed and not
//! answered. On Modbus/TCP unit 0 and 255 reach the meter if it is the only one. An unknown unit gets no answer.
//!
//! # Register maps
//!
//! Addresses as on the wire, from 0. `ABCD` high word first, `CDAB` low word first, `DCBA` the whole value low byte
//! first. `volume` is the register in the journal; it counts up when its first word has been read.
//!
//! **`ultrasonic`** (made up; functions 03 and 04, registers 0 to 17)
//!
//! | address | type | content |
//! |---|---|---|
//! | 0 | u32 ABCD | volume, 0.001 m³ |
//! | 2 | i32 ABCD | flow, l/h |
//! | 4 | u32 ABCD | reverse volume, 0.001 m³ |
//! | 6 | i16 | temperature, 0.01 °C |
//! | 7 | u16 | status: bit 0 low battery |
//! | 8 | u16 | battery, mV |
//! | 9 | u32 ABCD | serial number |
//! | 11 to 16 | u16 | clock: year, month, day, hour, minute, second |
//! | 17 | u16 | unit identifier |
//!
//! **`bove`** (after a BOVE simulator; functions 03 and 04, registers 0 to 37, those not named read 0)
//!
//! | address | type | content |
//! |---|---|---|
//! | 1 | u32 CDAB | flow, 0.01 l/h |
//! | 7 | u32 CDAB | volume, 0.001 m³ |
//! | 10 | u32 CDAB | reverse volume, 0.001 m³ |
//! | 19 | u16 | pressure, 0.001 MPa |
//! | 20 | u16 | status: 0 good, bit 0 low battery |
//! | 30 | u16 | temperature, 0.01 °C |
//! | 33 | BCD CDAB | serial number, eight digits |
//! | 35 | u16 | unit identifier |
//! | 37 | u16 | speed code, 1 |
//!
//! **`xintai`** (after the Kaifeng Xintai valve meter; functions 03, 06 and 16, registers 0 to 29, 0 reads 0)
//!
//! | address | type | content |
//! |---|---|---|
//! | 0x01 | f32 DCBA | volume, m³ |
//! | 0x03 | f32 DCBA | reverse volume, m³ |
//! | 0x05 | f32 DCBA | flow, m³/h |
//! | 0x07 | u16 | pipe: 0x00AA full |
//! | 0x08 | f32 DCBA | remaining, m³ |
//! | 0x0A | f32 DCBA | pressure, MPa |
//! | 0x0C | f32 DCBA | temperature, °C |
//! | 0x0E | u16 | unit identifier |
//! | 0x12 | BCD, 4 registers | meter number, 16 digits, highest first |
//! | 0x16 | BCD, 4 registers | clock: YYYY MMDD hhmm ss00 |
//! | 0x1A | f32 DCBA | battery, V |
//! | 0x1C | u16, writable | valve: reads 1 open, 2 closed, 4 faulty, 0 on its way, and 8 more with a low battery; write 1 opens, 2 closes |
//! | 0x1D | u16 | pulse coefficient, 1 |
//!
//! **`bench`** (made up; functions 03 and 04, registers 0 to 39): twenty u32 ABCD: volume 0.001 m³, flow l/h, serial
//! number, status (bit 0 low battery), and from address 8 on sixteen former volumes, 0.001 m³.
//!
//! **`tariff`** (made up; functions 03, 04 and 16, registers 0 to 24, those not named read 0)
//!
//! | address | type | content |
//! |---|---|---|
//! | 0 | u32 ABCD | volume, 0.001 m³ |
//! | 2 | u32 ABCD | serial number |
//! | 4 | u16 | status: bit 0 low battery |
//! | 16 to 24 | writable | two steps of a tariff and its day: u32 ABCD price, from, price; u16 year, month, day. Taken whole or not at all; a day after the 28th is kept as the 28th |

mod map;
pub(crate) use map::litres_as_float;
#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::bus::{Answer, Obeyed, Recognition, RegisterSaid, Snapshot, Valve, by_length};
use crate::{ModbusFraming, Protocol};

/// All models count litres.
pub(crate) const DECIMALS: u32 = 3;

const READ_HOLDING: u8 = 0x03;
const READ_INPUT: u8 = 0x04;
const WRITE_SINGLE: u8 = 0x06;
const WRITE_MULTIPLE: u8 = 0x10;

const ILLEGAL_FUNCTION: u8 = 1;
const ILLEGAL_ADDRESS: u8 = 2;
const ILLEGAL_VALUE: u8 = 3;

const BROADCAST: u8 = 0;
/// The unit identifier that Modbus/TCP recommends for a device that is no gateway.
const NO_GATEWAY: u8 = 255;

/// A register map; see the module's tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Model {
    Ultrasonic,
    Bove,
    Xintai,
    Bench,
    Tariff,
}

impl Model {
    pub(crate) fn named(name: Option<&str>) -> Result<Self, String> {
        match name {
            None | Some("ultrasonic") => Ok(Self::Ultrasonic),
            Some("bove") => Ok(Self::Bove),
            Some("xintai") => Ok(Self::Xintai),
            Some("bench") => Ok(Self::Bench),
            Some("tariff") => Ok(Self::Tariff),
            Some(other) => Err(format!(
                "no Modbus model {other:?}; there are ultrasonic, bove, xintai, bench and tariff"
            )),
        }
    }

    /// A binary float of 24 significant bits tells litres apart below 16 000 m³ only.
    pub(crate) fn register_steps(self) -> u64 {
        if self == Self::Xintai { 10_000_000 } else { 1_000_000_000 }
    }

    pub(crate) fn sends_float(self) -> bool {
        self == Self::Xintai
    }

    fn has_function(self, function: u8) -> bool {
        match function {
            READ_HOLDING => true,
            READ_INPUT => self != Self::Xintai,
            WRITE_SINGLE => self == Self::Xintai,
            WRITE_MULTIPLE => matches!(self, Self::Xintai | Self::Tariff),
            _ => false,
        }
    }
}

pub(crate) fn recognise_rtu(buffer: &[u8]) -> Recognition {
    let valid = |frame: &[u8]| frame.len() >= 4 && crc(frame) == 0;
    match *buffer {
        [_, 0x01..=0x06, ..] => by_length(Protocol::Modbus, buffer, 8, valid),
        [_, 0x0F | 0x10, _, _, _, _, data, ..] => {
            by_length(Protocol::Modbus, buffer, usize::from(data) + 9, valid)
        }
        // A function whose length is not known here: it is a frame when its CRC says so.
        _ if valid(buffer) => Recognition::Frame { protocol: Protocol::Modbus, len: buffer.len() },
        _ => Recognition::Incomplete,
    }
}

pub(crate) fn recognise_tcp(buffer: &[u8]) -> Recognition {
    match *buffer {
        [_, _, 0, 0, high, low, ..] => {
            let len = u16::from_be_bytes([high, low]);
            if !(2..=254).contains(&len) {
                return Recognition::Garbage;
            }
            by_length(Protocol::Modbus, buffer, usize::from(len) + 6, |_| true)
        }
        [_, _] | [_] | [_, _, 0] | [_, _, 0, 0] | [_, _, 0, 0, _] => Recognition::Incomplete,
        _ => Recognition::Garbage,
    }
}

/// CRC-16 of Modbus over serial line, 6.2.2; 0 over a whole frame with its CRC.
pub(crate) fn crc(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xFFFF, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xA001 } else { crc >> 1 })
    })
}

/// One slave.
#[derive(Debug)]
pub(crate) struct Slave {
    unit: u8,
    model: Model,
    framing: ModbusFraming,
    alone: bool,
    valve: Valve,
    /// Model `tariff`.
    tariff: [u16; map::TARIFF_REGISTERS],
    pub(crate) obeyed: Obeyed,
}

impl Slave {
    pub(crate) fn new(unit: u8, model: Model, framing: ModbusFraming) -> Self {
        let (valve, tariff) = (Valve::new(Duration::ZERO), Default::default());
        Self { unit, model, framing, alone: false, valve, tariff, obeyed: Obeyed::default() }
    }

    /// The same with this valve.
    pub(crate) fn with_valve(self, valve: Valve) -> Self {
        Self { valve, ..self }
    }

    /// The only meter behind its TCP address.
    pub(crate) fn set_alone(&mut self) {
        self.alone = true;
    }

    /// Whether a whole frame is for this slave.
    pub(crate) fn concerned_by(&self, frame: &[u8]) -> bool {
        self.parts(frame).is_some_and(|parts| match (self.framing, parts.unit) {
            (ModbusFraming::Rtu, BROADCAST) => true,
            (ModbusFraming::Tcp, BROADCAST | NO_GATEWAY) => self.alone,
            (_, unit) => unit == self.unit,
        })
    }

    /// The answer to a frame that is for this slave; `None`: it asks for no answer.
    pub(crate) fn hear(&mut self, frame: &[u8], snapshot: &Snapshot) -> Option<Answer> {
        let Parts { transaction, unit, pdu } = self.parts(frame)?;
        let (function, arguments) = pdu.split_first()?;
        let (pdu, register) = match self.obey(*function, arguments, snapshot) {
            Ok(done) => done,
            Err(exception) => (vec![function | 0x80, exception], RegisterSaid::No),
        };
        if transaction.is_none() && unit == BROADCAST {
            return None;
        }
        Some(Answer { bytes: frame_around(transaction, unit, &pdu), register })
    }

    fn parts<'a>(&self, frame: &'a [u8]) -> Option<Parts<'a>> {
        match (self.framing, frame) {
            (ModbusFraming::Rtu, [unit, pdu @ .., _, _]) => {
                Some(Parts { transaction: None, unit: *unit, pdu })
            }
            (ModbusFraming::Tcp, [id0, id1, _, _, _, _, unit, pdu @ ..]) => {
                Some(Parts { transaction: Some([*id0, *id1]), unit: *unit, pdu })
            }
            _ => None,
        }
    }

    fn obey(
        &mut self,
        function: u8,
        arguments: &[u8],
        snapshot: &Snapshot,
    ) -> Result<(Vec<u8>, RegisterSaid), u8> {
        if !self.model.has_function(function) {
            return Err(ILLEGAL_FUNCTION);
        }
        let [a0, a1, b0, b1, rest @ ..] = arguments else {
            return Err(ILLEGAL_VALUE);
        };
        let address = u16::from_be_bytes([*a0, *a1]);
        let second = u16::from_be_bytes([*b0, *b1]);
        match function {
            READ_HOLDING | READ_INPUT => self.read(function, address, second, snapshot),
            WRITE_SINGLE => {
                self.write(address, second, snapshot)?;
                Ok((vec![function, *a0, *a1, *b0, *b1], RegisterSaid::No))
            }
            _ => {
                let [len, values @ ..] = rest else { return Err(ILLEGAL_VALUE) };
                let fits = (1..=123).contains(&second) && u16::from(*len) == second * 2;
                if !fits || values.len() != usize::from(*len) {
                    return Err(ILLEGAL_VALUE);
                }
                let values: Vec<u16> =
                    values.as_chunks().0.iter().map(|value| u16::from_be_bytes(*value)).collect();
                match *values {
                    _ if self.model == Model::Tariff => self.keep_tariff(address, &values)?,
                    [value] => self.write(address, value, snapshot)?,
                    // The valve stands alone, so more than one cannot be written together.
                    _ => return Err(ILLEGAL_ADDRESS),
                }
                Ok((vec![function, *a0, *a1, *b0, *b1], RegisterSaid::No))
            }
        }
    }

    fn read(
        &self,
        function: u8,
        address: u16,
        count: u16,
        snapshot: &Snapshot,
    ) -> Result<(Vec<u8>, RegisterSaid), u8> {
        if !(1..=125).contains(&count) {
            return Err(ILLEGAL_VALUE);
        }
        let mut registers = map::registers(self.model, self.unit, self.valve.position(snapshot), snapshot);
        if self.model == Model::Tariff {
            registers.extend(self.tariff);
        }
        let (first, count) = (usize::from(address), usize::from(count));
        let asked = registers.get(first..first + count).ok_or(ILLEGAL_ADDRESS)?;
        // 250 bytes at most, as count is at most 125.
        let mut pdu = vec![function, u8::try_from(count * 2).unwrap_or(u8::MAX)];
        pdu.extend(asked.iter().flat_map(|register| register.to_be_bytes()));
        let has_volume = (first..first + count).contains(&map::volume_address(self.model));
        Ok((pdu, if has_volume { RegisterSaid::Anew } else { RegisterSaid::No }))
    }

    fn write(&mut self, address: u16, value: u16, snapshot: &Snapshot) -> Result<(), u8> {
        if usize::from(address) != map::XINTAI_VALVE {
            return Err(ILLEGAL_ADDRESS);
        }
        let open = match value {
            1 => true,
            2 => false,
            _ => return Err(ILLEGAL_VALUE),
        };
        self.valve.turn(open, snapshot);
        self.obeyed.valve += 1;
        Ok(())
    }

    fn keep_tariff(&mut self, address: u16, values: &[u16]) -> Result<(), u8> {
        let mut tariff: [u16; map::TARIFF_REGISTERS] = values.try_into().map_err(|_| ILLEGAL_ADDRESS)?;
        if usize::from(address) != map::TARIFF {
            return Err(ILLEGAL_ADDRESS);
        }
        if let Some(day) = tariff.last_mut() {
            *day = (*day).min(map::TARIFF_DAY_MAX);
        }
        self.tariff = tariff;
        self.obeyed.tariff += 1;
        Ok(())
    }
}

struct Parts<'a> {
    /// Modbus/TCP only.
    transaction: Option<[u8; 2]>,
    unit: u8,
    pdu: &'a [u8],
}

/// RTU without, TCP with a transaction identifier.
fn frame_around(transaction: Option<[u8; 2]>, unit: u8, pdu: &[u8]) -> Vec<u8> {
    let Some([id0, id1]) = transaction else {
        let mut frame = vec![unit];
        frame.extend_from_slice(pdu);
        frame.extend(crc(&frame).to_le_bytes());
        return frame;
    };
    let [high, low] = u16::try_from(pdu.len() + 1).unwrap_or(u16::MAX).to_be_bytes();
    let mut frame = vec![id0, id1, 0, 0, high, low, unit];
    frame.extend_from_slice(pdu);
    frame
}
