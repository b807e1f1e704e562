//! CJ/T 188 slaves, 2004 and 2018, from the sheet in the project's protocol notes (the standard's text was not read).
//!
//! | request | answer |
//! |---|---|
//! | C 01, DI 901F | C 81, L 16: volume and volume at the settlement day (each four BCD bytes, 0.01 m³, unit 2C), clock (7), ST (2) |
//! | C 01, DI D120 to D12B | C 81, L 08: volume at one of the last twelve settlements, unit 2C |
//! | C 01, DI D200 to D27F | the same, of a longer memory |
//! | C 01, DI D300 to D37F and D400 to D47F | C 81, L 1A: clock (7), volume, flow (each four BCD bytes and a unit, the flow 0.0001 m³/h), temperature and pressure (three BCD bytes each) |
//! | C 01, DI 8102 | C 81, L 12: price, step, price, step, price (three BCD bytes each) |
//! | C 01, DI 8103 and 8104 | C 81, L 04: settlement day and reading day, 01 until written |
//! | C 01, DI 8105 | C 81, L 12: sequence (1), last purchase, all, left (each four BCD bytes, 0.01), ST |
//! | C 09, DI 8106 | C 89, L 04: key version 00 |
//! | C 03, DI 810A | C 83, L 03; the address is in the address field |
//! | C 04, DI A017 with 55 or 99 | C 84, L 05: opens or closes the valve; ST after it |
//! | C 04, DI A015 with a clock | C 84, L 03: sets the clock |
//! | C 04, DI A010 with a table as in 8102, and a day | C 84, L 05: ST after it |
//! | C 04, DI A011 and A012 with a day | C 84, L 03: sets settlement day, reading day |
//! | C 04, DI A013 with sequence and amount | C 84, L 08: the same again; credited when the sequence is a new one |
//! | C 15, DI A018 with an address | C 95, L 03, from the new address |
//! | anything else | C + 40, L 03: SER and ST, no DI |
//!
//! DI goes in either byte order and comes back in the one asked (`di_order` restricts that: an order not understood
//! gets the error answer); SER comes back as sent. Address bytes AA match anything, so AA × 7 is point to point. Seven
//! times 99 is obeyed and not answered. Meter type AA matches any.
//!
//! Clock: ss mm hh DD MM YY CC. ST: bits 0 and 1 of the first byte 00 valve open, 01 closed, 10 on its way (made up: the
//! standard leaves it open), 11 faulty; bit 2 low battery; the second byte 00. Before an answer stand zero to four FE.
//!
//! # Models
//!
//! They differ in the meter type byte only: `cold` 10, `hot` 11, `drinking` 12, `reclaimed` 13.

mod held;
#[cfg(test)]
mod tests;

use std::time::Duration;

use jiff::SignedDuration;
use jiff::civil::DateTime;

use crate::bus::{Answer, Obeyed, Position, Recognition, RegisterSaid, Snapshot, Valve, by_length};
use crate::mbus::{bcd, checksum};
use crate::{DiOrder, Protocol};

use held::Held;

/// Two decimals, always.
pub(crate) const DECIMALS: u32 = 2;
/// Eight BCD digits.
pub(crate) const REGISTER_STEPS: u64 = 100_000_000;

const WAKE_UP: u8 = 0xFE;
const START: u8 = 0x68;
const STOP: u8 = 0x16;
const ANY: u8 = 0xAA;
const ALL_UNANSWERED: [u8; 7] = [0x99; 7];
const CUBIC_METRES: u8 = 0x2C;
const CUBIC_METRES_PER_HOUR: u8 = 0x35;
/// The most data a read may have by the standard.
const DATA_BYTES_MAX: u8 = 0x64;

/// A kind of water; see the module's docs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Model {
    Cold,
    Hot,
    Drinking,
    Reclaimed,
}

impl Model {
    pub(crate) fn named(name: Option<&str>) -> Result<Self, String> {
        match name {
            None | Some("cold") => Ok(Self::Cold),
            Some("hot") => Ok(Self::Hot),
            Some("drinking") => Ok(Self::Drinking),
            Some("reclaimed") => Ok(Self::Reclaimed),
            Some(other) => {
                Err(format!("no CJ/T 188 model {other:?}; there are cold, hot, drinking and reclaimed"))
            }
        }
    }

    fn meter_type(self) -> u8 {
        match self {
            Self::Cold => 0x10,
            Self::Hot => 0x11,
            Self::Drinking => 0x12,
            Self::Reclaimed => 0x13,
        }
    }
}

/// The address bytes, lowest first, of 14 printed digits.
pub(crate) fn address_of(digits: &str) -> Option<[u8; 7]> {
    let number = digits.parse::<u64>().ok().filter(|_| digits.len() == 14)?;
    Some(bcd(number))
}

/// The 14 printed digits of an address.
pub(crate) fn digits_of(address: [u8; 7]) -> String {
    address.iter().rev().map(|byte| format!("{byte:02X}")).collect()
}

pub(crate) fn recognise(buffer: &[u8]) -> Recognition {
    let wake_up = buffer.iter().take_while(|byte| **byte == WAKE_UP).count();
    let frame = buffer.get(wake_up..).unwrap_or_default();
    match *frame {
        [] => Recognition::Incomplete,
        [start, ..] if start != START => Recognition::Garbage,
        [_, _, _, _, _, _, _, _, _, _, len, ..] if len <= DATA_BYTES_MAX => {
            let total = wake_up + 13 + usize::from(len);
            by_length(
                Protocol::Cjt188,
                buffer,
                total,
                |frame| matches!(frame.get(wake_up..), Some([body @ .., sum, STOP]) if checksum(body) == *sum),
            )
        }
        [_, _, _, _, _, _, _, _, _, _, _, ..] => Recognition::Garbage,
        _ => Recognition::Incomplete,
    }
}

/// One slave.
#[derive(Debug)]
pub(crate) struct Slave {
    address: [u8; 7],
    model: Model,
    order: DiOrder,
    preamble: u8,
    valve: Valve,
    pub(crate) obeyed: Obeyed,
    clock_set_by: SignedDuration,
    held: Held,
}

impl Slave {
    pub(crate) fn new(address: [u8; 7], model: Model, order: DiOrder, preamble: u8) -> Self {
        Self {
            address,
            model,
            order,
            preamble,
            valve: Valve::new(Duration::ZERO),
            obeyed: Obeyed::default(),
            clock_set_by: SignedDuration::ZERO,
            held: Held::default(),
        }
    }

    /// The same with this valve.
    pub(crate) fn with_valve(self, valve: Valve) -> Self {
        Self { valve, ..self }
    }

    /// Whether a whole, valid frame is for this slave, and not the answer of another.
    pub(crate) fn concerned_by(&self, frame: &[u8]) -> bool {
        parts(frame).is_some_and(|parts| {
            let mut bytes = parts.address.iter().zip(self.address);
            let by_address = bytes.all(|(asked, own)| *asked == ANY || *asked == own);
            let right_type = parts.meter_type == ANY || parts.meter_type == self.model.meter_type();
            right_type && (by_address || parts.address == ALL_UNANSWERED) && parts.c & 0xC0 == 0
        })
    }

    /// The answer to a frame that is for this slave; `None`: it asks for no answer.
    pub(crate) fn hear(&mut self, frame: &[u8], snapshot: &Snapshot) -> Option<Answer> {
        let Parts { address, c, data, .. } = parts(frame)?;
        let (c, data, register) = match self.obey(c, data, snapshot) {
            Some((data, register)) => (c | 0x80, data, register),
            None => {
                let [st0, st1] = self.status(snapshot);
                (c | 0xC0, vec![data.get(2).copied().unwrap_or(0), st0, st1], RegisterSaid::No)
            }
        };
        (address != ALL_UNANSWERED).then(|| Answer { bytes: self.frame(c, &data), register })
    }

    /// The data of the answer; `None`: an error answer.
    fn obey(&mut self, c: u8, data: &[u8], snapshot: &Snapshot) -> Option<(Vec<u8>, RegisterSaid)> {
        let [di0, di1, ser, payload @ ..] = data else { return None };
        let di = self.data_identifier([*di0, *di1])?;
        let mut answer = vec![*di0, *di1, *ser];
        let mut register = RegisterSaid::No;
        match (c, di, payload) {
            (0x01, 0x901F, []) => {
                answer.extend(volume(snapshot.volume));
                answer.extend(volume(snapshot.due_volume));
                answer.extend(self.clock(snapshot.clock));
                answer.extend(self.status(snapshot));
                register = RegisterSaid::Anew;
            }
            (0x01, 0xD120..=0xD12B, []) => {
                answer.extend(volume(snapshot.due_volume / (u64::from(di - 0xD120) + 1)));
            }
            (0x01, 0xD200..=0xD27F, []) => {
                answer.extend(volume(snapshot.due_volume / (u64::from(di - 0xD200) + 1)));
            }
            (0x01, 0xD300..=0xD37F | 0xD400..=0xD47F, []) => answer.extend(self.frozen(di, snapshot)),
            (0x01 | 0x09, 0x8102..=0x8106, []) => {
                answer.extend(self.held.read(c, di)?);
                if di == 0x8105 {
                    answer.extend(self.status(snapshot));
                }
            }
            (0x04, 0xA010..=0xA013, written) => {
                answer.extend(self.held.write(di, written)?);
                if di == 0xA010 {
                    self.obeyed.tariff += 1;
                    answer.extend(self.status(snapshot));
                }
            }
            (0x15, 0xA018, address) if is_bcd(address) => self.address = address.try_into().ok()?,
            (0x03, 0x810A, []) => {}
            (0x04, 0xA017, [0x55]) => self.turn(true, snapshot, &mut answer),
            (0x04, 0xA017, [0x99]) => self.turn(false, snapshot, &mut answer),
            (0x04, 0xA015, clock) => {
                self.clock_set_by = clock_of(clock)?.duration_since(snapshot.clock);
                self.obeyed.clock += 1;
            }
            _ => return None,
        }
        Some((answer, register))
    }

    fn turn(&mut self, open: bool, snapshot: &Snapshot, answer: &mut Vec<u8>) {
        self.valve.turn(open, snapshot);
        self.obeyed.valve += 1;
        answer.extend(self.status(snapshot));
    }

    /// The identifier in reading order. The high bytes in use occur as no identifier's low byte, so the order shows.
    fn data_identifier(&self, [first, second]: [u8; 2]) -> Option<u16> {
        let is_high = |byte| matches!(byte, 0x81 | 0x90 | 0xA0 | 0xD1..=0xD4);
        if is_high(first) && self.order != DiOrder::LowFirst {
            Some(u16::from_be_bytes([first, second]))
        } else if is_high(second) && self.order != DiOrder::HighFirst {
            Some(u16::from_le_bytes([first, second]))
        } else {
            None
        }
    }

    /// A record frozen so many days ago: 18.50 °C and 0.35 of a unit that no source names.
    fn frozen(&self, di: u16, snapshot: &Snapshot) -> Vec<u8> {
        let back = u64::from(di & 0x7F) + 1;
        let days = SignedDuration::from_hours(24 * i64::from(di & 0x7F) + 24);
        let [f0, f1, f2, f3] = bcd(u64::from(snapshot.flow_l_per_h) * 10);
        let mut record = self.clock(snapshot.clock.saturating_sub(days)).to_vec();
        record.extend(volume(snapshot.due_volume / back));
        record.extend([f0, f1, f2, f3, CUBIC_METRES_PER_HOUR, 0x50, 0x18, 0x00, 0x35, 0x00, 0x00]);
        record
    }

    fn status(&self, snapshot: &Snapshot) -> [u8; 2] {
        let valve = match self.valve.position(snapshot) {
            Position::Open => 0b00,
            Position::Closed => 0b01,
            Position::Moving => 0b10,
            Position::Fault => 0b11,
        };
        [valve | u8::from(snapshot.low_battery) << 2, 0]
    }

    fn clock(&self, clock: DateTime) -> [u8; 7] {
        let clock = clock.saturating_add(self.clock_set_by);
        let two = |number: u16| -> u8 { bcd::<1>(u64::from(number)).into_iter().sum() };
        let small = |number: i8| two(u16::from(number.unsigned_abs()));
        let year = clock.year().unsigned_abs();
        [
            small(clock.second()),
            small(clock.minute()),
            small(clock.hour()),
            small(clock.day()),
            small(clock.month()),
            two(year % 100),
            two(year / 100),
        ]
    }

    fn frame(&self, c: u8, data: &[u8]) -> Vec<u8> {
        let mut frame = vec![START, self.model.meter_type()];
        frame.extend(self.address);
        frame.extend([c, u8::try_from(data.len()).unwrap_or(u8::MAX)]);
        frame.extend_from_slice(data);
        frame.extend([checksum(&frame), STOP]);
        let mut bytes = vec![WAKE_UP; usize::from(self.preamble)];
        bytes.append(&mut frame);
        bytes
    }
}

struct Parts<'a> {
    meter_type: u8,
    address: [u8; 7],
    c: u8,
    data: &'a [u8],
}

fn parts(frame: &[u8]) -> Option<Parts<'_>> {
    let wake_up = frame.iter().take_while(|byte| **byte == WAKE_UP).count();
    let &[_, meter_type, a0, a1, a2, a3, a4, a5, a6, c, _, ref data @ .., _, _] = frame.get(wake_up..)?
    else {
        return None;
    };
    Some(Parts { meter_type, address: [a0, a1, a2, a3, a4, a5, a6], c, data })
}

fn volume(hundredths: u64) -> [u8; 5] {
    let [b0, b1, b2, b3] = bcd(hundredths);
    [b0, b1, b2, b3, CUBIC_METRES]
}

fn is_bcd(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| byte >> 4 <= 9 && byte & 0x0F <= 9)
}

fn clock_of(bytes: &[u8]) -> Option<DateTime> {
    let two = |byte: u8| -> Option<i8> {
        let (high, low) = (byte >> 4, byte & 0x0F);
        if high > 9 || low > 9 { None } else { i8::try_from(high * 10 + low).ok() }
    };
    let &[second, minute, hour, day, month, year, century] = bytes else { return None };
    let year = i16::from(two(century)?) * 100 + i16::from(two(year)?);
    DateTime::new(year, two(month)?, two(day)?, two(hour)?, two(minute)?, two(second)?, 0).ok()
}
