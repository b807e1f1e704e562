//! The records of each model's telegrams: DIF, VIF and data after EN 13757-3.
//!
//! Written out record by record, so that the bytes can be compared with the standard by eye.

use jiff::ToSpan;
use jiff::civil::{Date, DateTime};

use super::Model;
use crate::bus::{Position, Snapshot};

/// The record bytes of the model's telegrams, in the order in which they are sent.
pub(super) fn telegrams(model: Model, valve: Position, snapshot: &Snapshot) -> Vec<Vec<u8>> {
    match model {
        Model::Short => vec![short(snapshot)],
        Model::Typical => vec![typical(snapshot, b"SIM")],
        Model::Warm => vec![typical(snapshot, b"WRM")],
        Model::Valve => vec![with_valve(valve, snapshot)],
        Model::Long => vec![long(snapshot)],
        Model::TwoTelegrams => two(snapshot),
    }
}

fn short(snapshot: &Snapshot) -> Vec<u8> {
    let mut records = Records::default();
    records.put(&[0x0C, 0x78], &bcd::<4>(u64::from(snapshot.serial)));
    records.put(&[0x04, 0x15], &binary(snapshot.volume));
    records.put(&[0x04, 0x6D], &type_f(snapshot.clock));
    records.bytes
}

fn typical(snapshot: &Snapshot, model: &[u8]) -> Vec<u8> {
    let mut records = Records::default();
    records.put(&[0x0C, 0x78], &bcd::<4>(u64::from(snapshot.serial)));
    records.put(&[0x0C, 0x13], &bcd::<4>(snapshot.volume));
    records.put(&[0x04, 0x6D], &type_f(snapshot.clock));
    records.put(&[0x42, 0x6C], &type_g(due_date(snapshot.clock, 0)));
    records.put(&[0x4C, 0x13], &bcd::<4>(snapshot.due_volume));
    records.put(&[0x0B, 0x3B], &bcd::<3>(u64::from(snapshot.flow_l_per_h)));
    records.put(&[0x02, 0xFD, 0x17], &error_flags(snapshot));
    records.put_text(&[0x0D, 0xFD, 0x0C], model);
    records.bytes
}

fn with_valve(valve: Position, snapshot: &Snapshot) -> Vec<u8> {
    let mut records = Records { bytes: typical(snapshot, b"SIM") };
    let output = match valve {
        Position::Closed => 0,
        Position::Open => 1,
        Position::Moving => 2,
        Position::Fault => 3,
    };
    records.put(&[0x01, 0xFD, 0x1A], &[output]);
    records.bytes
}

fn long(snapshot: &Snapshot) -> Vec<u8> {
    let flow = u64::from(snapshot.flow_l_per_h);
    let by_day = snapshot.volume / 3 * 2;
    let mut records = Records::default();
    records.put(&[0x0C, 0x78], &bcd::<4>(u64::from(snapshot.serial)));
    records.put(&[0x0C, 0x14], &bcd::<4>(snapshot.volume));
    records.put(&[0x04, 0x6D], &type_f(snapshot.clock));
    records.put(&[0x42, 0x6C], &type_g(due_date(snapshot.clock, 0)));
    records.put(&[0x4C, 0x14], &bcd::<4>(snapshot.due_volume));
    records.put(&[0x82, 0x01, 0x6C], &type_g(due_date(snapshot.clock, 1)));
    records.put(&[0x8C, 0x01, 0x14], &bcd::<4>(snapshot.due_volume / 2));
    records.put(&[0x1B, 0x3B], &bcd::<3>(flow + 1000));
    records.put(&[0x2B, 0x3B], &bcd::<3>(flow / 100));
    records.put(&[0x8C, 0x10, 0x14], &bcd::<4>(by_day));
    records.put(&[0x8C, 0x20, 0x14], &bcd::<4>(snapshot.volume - by_day));
    records.put(&[0x8C, 0x40, 0x14], &bcd::<4>(snapshot.volume / 10));
    records.put(&[0x02, 0x5A], &153_u16.to_le_bytes());
    records.put(&[0x02, 0xFD, 0x17], &error_flags(snapshot));
    records.put(&[0x04, 0x22], &26_304_u32.to_le_bytes());
    records.put(&[0x02, 0xFD, 0x74], &3_650_u16.to_le_bytes());
    records.put_text(&[0x0D, 0xFD, 0x0C], b"LONG");
    records.bytes
}

fn two(snapshot: &Snapshot) -> Vec<Vec<u8>> {
    let mut first = Records::default();
    first.put(&[0x0C, 0x78], &bcd::<4>(u64::from(snapshot.serial)));
    first.put(&[0x04, 0x13], &binary(snapshot.volume));
    first.put(&[0x04, 0x6D], &type_f(snapshot.clock));
    first.put(&[0x42, 0x6C], &type_g(due_date(snapshot.clock, 0)));
    first.put(&[0x44, 0x13], &binary(snapshot.due_volume));
    first.put(&[0x1F], &[]);

    let mut second = Records::default();
    // Storage numbers 2 to 5: the lowest bit in the DIF (0x40), the next four in the DIFE.
    for (storage_bit, dife, years) in [(0x00, 0x01, 1), (0x40, 0x01, 2), (0x00, 0x02, 3), (0x40, 0x02, 4)] {
        second.put(&[0x82 | storage_bit, dife, 0x6C], &type_g(due_date(snapshot.clock, years)));
        let volume = snapshot.due_volume / (u64::from(years.unsigned_abs()) + 1);
        second.put(&[0x84 | storage_bit, dife, 0x13], &binary(volume));
    }
    second.put(&[0x02, 0xFD, 0x17], &error_flags(snapshot));
    vec![first.bytes, second.bytes]
}

#[derive(Default)]
struct Records {
    bytes: Vec<u8>,
}

impl Records {
    fn put(&mut self, code: &[u8], data: &[u8]) {
        self.bytes.extend_from_slice(code);
        self.bytes.extend_from_slice(data);
    }

    /// Variable length text: a length byte, then the characters, last one first.
    fn put_text(&mut self, code: &[u8], text: &[u8]) {
        self.bytes.extend_from_slice(code);
        self.bytes.push(u8::try_from(text.len()).unwrap_or(0));
        self.bytes.extend(text.iter().rev());
    }
}

/// `N` bytes of BCD, lowest digits first (type A).
pub(crate) fn bcd<const N: usize>(mut number: u64) -> [u8; N] {
    let mut digits = || {
        let digit = u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
        digit
    };
    std::array::from_fn(|_| digits() | digits() << 4)
}

/// Four bytes of binary, lowest first (type B). The register has eight decimal digits and always fits.
fn binary(number: u64) -> [u8; 4] {
    u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes()
}

fn error_flags(snapshot: &Snapshot) -> [u8; 2] {
    u16::from(snapshot.low_battery).to_le_bytes()
}

/// Date and time, type F: minute, hour, day, month, and a year of two digits in what bits are left.
fn type_f(at: DateTime) -> [u8; 4] {
    let [day_year, month_year] = type_g(at.date());
    [small(at.minute()), small(at.hour()), day_year, month_year]
}

/// Date, type G.
fn type_g(on: Date) -> [u8; 2] {
    let year = u8::try_from(on.year().rem_euclid(100)).unwrap_or(0);
    [small(on.day()) | (year & 0x07) << 5, small(on.month()) | (year >> 3) << 4]
}

fn small(number: i8) -> u8 {
    number.unsigned_abs()
}

/// The last day of the year before the clock's, and `years` before that.
fn due_date(clock: DateTime, years: i32) -> Date {
    let last = clock.date().first_of_year().yesterday().unwrap_or(Date::MIN);
    last.checked_sub(years.years()).unwrap_or(Date::MIN)
}
