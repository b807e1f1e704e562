//! DL/T 645-2007 electricity meters, from the sheet in the project's protocol notes (the standard's text was not read).
//!
//! | request | answer |
//! |---|---|
//! | C 11, DI 00010000 | C 91, L 08: energy taken (four BCD bytes, 0.01 kWh) |
//! | C 11, DI 00020000 | C 91, L 08: energy given back: zero |
//! | C 11, DI 0001FF00 | C B1, L 0C: the total and tariff 1; further frames follow |
//! | C 12, DI 0001FF00, frame 1 | C B2, L 0D: tariffs 2 and 3, 1 |
//! | C 12, DI 0001FF00, frame 2 | C 92, L 09: tariff 4, 2 |
//! | C 11, DI 02010100, 0201FF00 | C 91: voltage of phase A, and of A, B and C, of which it has the first (two bytes, 0.1 V) |
//! | C 11, DI 0202FF00 | C 91: current of each phase (three bytes, 0.001 A) |
//! | C 11, DI 02030000 | C 91: power (three bytes, 0.0001 kW) |
//! | C 11, DI 04000503 | C 91, L 06: run status word 3, bit 4 set while the relay is open |
//! | C 13 to AA × 6 or the own address | C 93, L 06: the address |
//! | C 1C with PA, password, operator, N1, N2, expiry | C 9C, L 00: relay 1A open, 1B and 1C closed; 2A to 3B do nothing |
//! | anything else | C + 40, L 01: ERR 02 (no such data), 04 (wrong password), 01 (other: the order has expired, or is unknown) |
//!
//! Each byte of data travels with 33 added. Address bytes AA match anything; the answer has the whole address. To 99 × 6
//! nobody answers. The password is PA 02, P 000000; an expiry of zeros never passes. Before an answer stand zero to four FE.
//!
//! # Models
//!
//! One, `single-phase`. The register counts kWh; the relay takes the place of the valve and sticks with
//! any of its faults.

#[cfg(test)]
mod tests;

use jiff::civil::DateTime;

use crate::Protocol;
use crate::bus::{Answer, Obeyed, Recognition, RegisterSaid, Snapshot, by_length};
use crate::mbus::{bcd, checksum};

/// Two decimals, always.
pub(crate) const DECIMALS: u32 = 2;
/// Eight BCD digits.
pub(crate) const REGISTER_STEPS: u64 = 100_000_000;

const WAKE_UP: u8 = 0xFE;
const START: u8 = 0x68;
const STOP: u8 = 0x16;
const ANY: u8 = 0xAA;
const ALL_UNANSWERED: [u8; 6] = [0x99; 6];
const OFFSET: u8 = 0x33;
/// The most data a read may have by the standard.
const DATA_BYTES_MAX: u8 = 200;
const PASSWORD: [u8; 4] = [0x02, 0x00, 0x00, 0x00];

const OTHER_ERROR: u8 = 0x01;
const NO_SUCH_DATA: u8 = 0x02;
const NOT_AUTHORISED: u8 = 0x04;

/// Says that there is only one model.
pub(crate) fn check_model(name: Option<&str>) -> Result<(), String> {
    match name {
        None | Some("single-phase") => Ok(()),
        Some(other) => Err(format!("no DL/T 645 model {other:?}; there is single-phase")),
    }
}

/// The address bytes, lowest first, of 12 printed digits.
pub(crate) fn address_of(digits: &str) -> Option<[u8; 6]> {
    let all_digits = digits.len() == 12 && digits.bytes().all(|digit| digit.is_ascii_digit());
    digits.parse().ok().filter(|_| all_digits).map(bcd::<6>)
}

/// The 12 printed digits of an address.
pub(crate) fn digits_of(address: [u8; 6]) -> String {
    address.iter().rev().map(|byte| format!("{byte:02X}")).collect()
}

pub(crate) fn recognise(buffer: &[u8]) -> Recognition {
    let wake_up = buffer.iter().take_while(|byte| **byte == WAKE_UP).count();
    let frame = buffer.get(wake_up..).unwrap_or_default();
    match *frame {
        [] => Recognition::Incomplete,
        [start, ..] if start != START => Recognition::Garbage,
        [_, _, _, _, _, _, _, second, ..] if second != START => Recognition::Garbage,
        [_, _, _, _, _, _, _, _, _, len, ..] if len <= DATA_BYTES_MAX => {
            let total = wake_up + 12 + usize::from(len);
            by_length(
                Protocol::Dlt645,
                buffer,
                total,
                |frame| matches!(frame.get(wake_up..), Some([body @ .., sum, STOP]) if checksum(body) == *sum),
            )
        }
        [_, _, _, _, _, _, _, _, _, _, ..] => Recognition::Garbage,
        _ => Recognition::Incomplete,
    }
}

/// One slave.
#[derive(Debug)]
pub(crate) struct Slave {
    address: [u8; 6],
    preamble: u8,
    relay_open: bool,
    pub(crate) obeyed: Obeyed,
}

impl Slave {
    pub(crate) fn new(address: [u8; 6], preamble: u8) -> Self {
        Self { address, preamble, relay_open: false, obeyed: Obeyed::default() }
    }

    /// Whether a whole, valid frame is for this slave, and not the answer of another.
    pub(crate) fn concerned_by(&self, frame: &[u8]) -> bool {
        parts(frame).is_some_and(|parts| {
            let mut bytes = parts.address.iter().zip(self.address);
            let by_address = bytes.all(|(asked, own)| *asked == ANY || *asked == own);
            (by_address || parts.address == ALL_UNANSWERED) && parts.c & 0xE0 == 0
        })
    }

    /// The answer to a frame that is for this slave; `None`: it asks for no answer.
    pub(crate) fn hear(&mut self, frame: &[u8], snapshot: &Snapshot) -> Option<Answer> {
        let Parts { address, c, data } = parts(frame)?;
        let (flags, data, register) = match self.obey(c, &data, snapshot) {
            Ok((flags, data, register)) => (flags, data, register),
            Err(error) => (0x40, vec![error], RegisterSaid::No),
        };
        let answer = Answer { bytes: self.frame(c | 0x80 | flags, &data), register };
        (address != ALL_UNANSWERED).then_some(answer)
    }

    /// Further flags of C, and the data; or the error byte.
    fn obey(&mut self, c: u8, data: &[u8], snapshot: &Snapshot) -> Result<(u8, Vec<u8>, RegisterSaid), u8> {
        match (c, data) {
            (0x11, &[d0, d1, d2, d3]) => {
                let di = u32::from_le_bytes([d0, d1, d2, d3]);
                let (more, value) = self.value(di, snapshot).ok_or(NO_SUCH_DATA)?;
                let has_register = matches!(di, 0x0001_0000 | 0x0001_FF00);
                let register = if has_register { RegisterSaid::Anew } else { RegisterSaid::No };
                Ok((more, [data, &value].concat(), register))
            }
            (0x12, [di @ .., sequence]) => {
                let tariffs = match (di, *sequence) {
                    ([0x00, 0xFF, 0x01, 0x00], 1) => [tariff(snapshot, 2), tariff(snapshot, 3)].concat(),
                    ([0x00, 0xFF, 0x01, 0x00], 2) => tariff(snapshot, 4).to_vec(),
                    _ => return Err(NO_SUCH_DATA),
                };
                let more = if *sequence == 1 { 0x20 } else { 0x00 };
                Ok((more, [di, &tariffs, &[*sequence]].concat(), RegisterSaid::No))
            }
            (0x13, []) => Ok((0x00, self.address.to_vec(), RegisterSaid::No)),
            (0x1C, order) => self.switch(order, snapshot).map(|()| (0x00, Vec::new(), RegisterSaid::No)),
            _ => Err(OTHER_ERROR),
        }
    }

    fn value(&self, di: u32, snapshot: &Snapshot) -> Option<(u8, Vec<u8>)> {
        let voltage: [u8; 2] = bcd(2301);
        let current: [u8; 3] = bcd(u64::from(snapshot.flow_l_per_h));
        let power: [u8; 3] = bcd(u64::from(snapshot.flow_l_per_h) * 23 / 10);
        Some(match di {
            0x0001_0000 => (0x00, energy(snapshot.volume).to_vec()),
            0x0001_FF00 => (0x20, [energy(snapshot.volume), tariff(snapshot, 1)].concat()),
            0x0002_0000 => (0x00, vec![0x00; 4]),
            0x0201_0100 => (0x00, voltage.to_vec()),
            0x0201_FF00 => (0x00, [&voltage[..], &[0xFF; 4]].concat()),
            0x0202_FF00 => (0x00, [&current[..], &[0xFF; 6]].concat()),
            0x0203_0000 => (0x00, power.to_vec()),
            0x0400_0503 => (0x00, vec![u8::from(self.relay_open) << 4, 0x00]),
            _ => return None,
        })
    }

    fn switch(&mut self, order: &[u8], snapshot: &Snapshot) -> Result<(), u8> {
        let &[pa, p0, p1, p2, _, _, _, _, n1, _n2, ref expiry @ ..] = order else {
            return Err(OTHER_ERROR);
        };
        if [pa, p0, p1, p2] != PASSWORD {
            return Err(NOT_AUTHORISED);
        }
        let holds = *expiry == [0; 6] || moment_of(expiry).is_some_and(|expiry| expiry >= snapshot.clock);
        let open = match n1 {
            _ if !holds => return Err(OTHER_ERROR),
            0x1A => true,
            0x1B | 0x1C => false,
            0x2A | 0x2B | 0x3A | 0x3B => self.relay_open,
            _ => return Err(OTHER_ERROR),
        };
        if snapshot.valve_fault.is_none() {
            self.relay_open = open;
        }
        self.obeyed.valve += 1;
        Ok(())
    }

    fn frame(&self, c: u8, data: &[u8]) -> Vec<u8> {
        let mut frame = vec![START];
        frame.extend(self.address);
        frame.extend([START, c, u8::try_from(data.len()).unwrap_or(u8::MAX)]);
        frame.extend(data.iter().map(|byte| byte.wrapping_add(OFFSET)));
        frame.extend([checksum(&frame), STOP]);
        let mut bytes = vec![WAKE_UP; usize::from(self.preamble)];
        bytes.append(&mut frame);
        bytes
    }
}

struct Parts {
    address: [u8; 6],
    c: u8,
    /// Without the offset.
    data: Vec<u8>,
}

fn parts(frame: &[u8]) -> Option<Parts> {
    let wake_up = frame.iter().take_while(|byte| **byte == WAKE_UP).count();
    let &[_, a0, a1, a2, a3, a4, a5, _, c, _, ref data @ .., _, _] = frame.get(wake_up..)? else {
        return None;
    };
    let data = data.iter().map(|byte| byte.wrapping_sub(OFFSET)).collect();
    Some(Parts { address: [a0, a1, a2, a3, a4, a5], c, data })
}

fn energy(hundredths: u64) -> [u8; 4] {
    bcd(hundredths)
}

/// Four tariffs that add up to the total but for what a division leaves.
fn tariff(snapshot: &Snapshot, number: u64) -> [u8; 4] {
    energy(snapshot.volume * number / 10)
}

/// ss mm hh DD MM YY.
fn moment_of(bytes: &[u8]) -> Option<DateTime> {
    let two = |byte: u8| -> Option<i8> {
        let (high, low) = (byte >> 4, byte & 0x0F);
        if high > 9 || low > 9 { None } else { i8::try_from(high * 10 + low).ok() }
    };
    let &[second, minute, hour, day, month, year] = bytes else { return None };
    let year = 2000 + i16::from(two(year)?);
    DateTime::new(year, two(month)?, two(day)?, two(hour)?, two(minute)?, two(second)?, 0).ok()
}
