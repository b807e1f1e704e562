//! What a CJ/T 188 meter keeps beside its register: prices, days and purchases. Written whole or not at all.

use super::is_bcd;
use crate::mbus::bcd;

/// Everything as the bytes that were written, since a meter shows them again as they were.
#[derive(Debug)]
pub(super) struct Held {
    prices: [u8; 15],
    settlement_day: u8,
    reading_day: u8,
    sequence: u8,
    last: [u8; 4],
    /// In hundredths.
    total: u64,
}

impl Default for Held {
    fn default() -> Self {
        Self { prices: [0; 15], settlement_day: 0x01, reading_day: 0x01, sequence: 0, last: [0; 4], total: 0 }
    }
}

impl Held {
    /// The payload of 8102 to 8106, but for the status word after it.
    pub(super) fn read(&self, c: u8, di: u16) -> Option<Vec<u8>> {
        Some(match (c, di) {
            (0x01, 0x8102) => self.prices.to_vec(),
            (0x01, 0x8103) => vec![self.settlement_day],
            (0x01, 0x8104) => vec![self.reading_day],
            // Nothing is ever used up here.
            (0x01, 0x8105) => {
                let total: [u8; 4] = bcd(self.total);
                [&[self.sequence][..], &self.last, &total, &total].concat()
            }
            (0x09, 0x8106) => vec![0x00],
            _ => return None,
        })
    }

    /// Obeys A010 to A013; gives what follows the serial number in the answer.
    pub(super) fn write(&mut self, di: u16, written: &[u8]) -> Option<Vec<u8>> {
        match (di, written) {
            (0xA010, [table @ .., day]) if is_bcd(table) && is_day(*day) => {
                self.prices = table.try_into().ok()?;
                Some(Vec::new())
            }
            (0xA011, [day]) if is_day(*day) => {
                self.settlement_day = *day;
                Some(Vec::new())
            }
            (0xA012, [day]) if is_day(*day) => {
                self.reading_day = *day;
                Some(Vec::new())
            }
            (0xA013, [sequence, amount @ ..]) if is_bcd(amount) => {
                let amount: [u8; 4] = amount.try_into().ok()?;
                // The same purchase a second time changes nothing.
                if *sequence != self.sequence {
                    self.total = (self.total + hundredths(amount)) % 100_000_000;
                    (self.sequence, self.last) = (*sequence, amount);
                }
                Some(written.to_vec())
            }
            _ => None,
        }
    }
}

fn is_day(byte: u8) -> bool {
    is_bcd(&[byte]) && (0x01..=0x31).contains(&byte)
}

fn hundredths(digits: [u8; 4]) -> u64 {
    digits.iter().rev().fold(0, |sum, byte| sum * 100 + u64::from(byte >> 4) * 10 + u64::from(byte & 0x0F))
}
