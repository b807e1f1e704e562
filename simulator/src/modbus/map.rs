//! The registers of each model, filled in from what the meter knows. The tables are in the docs of `modbus`.

use super::Model;
use crate::bus::{Position, Snapshot};
use crate::mbus::bcd;

pub(super) const XINTAI_VALVE: usize = 0x1C;

/// Where the registers of model `tariff` are written; they are its last.
pub(super) const TARIFF: usize = 16;
pub(super) const TARIFF_REGISTERS: usize = 9;
/// As meters keep it that are to have a day in every month.
pub(super) const TARIFF_DAY_MAX: u16 = 28;

/// Where the volume register starts.
pub(super) fn volume_address(model: Model) -> usize {
    match model {
        Model::Ultrasonic | Model::Bench | Model::Tariff => 0,
        Model::Bove => 7,
        Model::Xintai => 0x01,
    }
}

/// The map from address 0 on; what is written, other than the valve, comes behind it.
pub(super) fn registers(model: Model, unit: u8, valve: Position, snapshot: &Snapshot) -> Vec<u16> {
    match model {
        Model::Ultrasonic => ultrasonic(unit, snapshot),
        Model::Bove => bove(unit, snapshot),
        Model::Xintai => xintai(unit, valve, snapshot),
        Model::Bench => bench(snapshot),
        Model::Tariff => tariff(snapshot),
    }
}

fn ultrasonic(unit: u8, snapshot: &Snapshot) -> Vec<u16> {
    let mut map = Map::of(18);
    map.put(0, abcd(snapshot.volume));
    map.put(2, abcd(u64::from(snapshot.flow_l_per_h)));
    map.put(4, abcd(snapshot.due_volume / 1000));
    map.put(6, [1530]);
    map.put(7, [u16::from(snapshot.low_battery)]);
    map.put(8, [if snapshot.low_battery { 2900 } else { 3600 }]);
    map.put(9, abcd(u64::from(snapshot.serial)));
    let clock = snapshot.clock;
    map.put(11, [clock.year().unsigned_abs(), small(clock.month()), small(clock.day())]);
    map.put(14, [small(clock.hour()), small(clock.minute()), small(clock.second())]);
    map.put(17, [u16::from(unit)]);
    map.registers
}

fn bove(unit: u8, snapshot: &Snapshot) -> Vec<u16> {
    let mut map = Map::of(38);
    map.put(1, cdab(u64::from(snapshot.flow_l_per_h) * 100));
    map.put(7, cdab(snapshot.volume));
    map.put(10, cdab(snapshot.due_volume / 1000));
    map.put(19, [412]);
    map.put(20, [u16::from(snapshot.low_battery)]);
    map.put(30, [1530]);
    let [b0, b1, b2, b3] = bcd(u64::from(snapshot.serial));
    map.put(33, [u16::from_le_bytes([b0, b1]), u16::from_le_bytes([b2, b3])]);
    map.put(35, [u16::from(unit)]);
    map.put(37, [1]);
    map.registers
}

fn xintai(unit: u8, valve: Position, snapshot: &Snapshot) -> Vec<u16> {
    let mut map = Map::of(0x1E);
    map.put(0x01, dcba(litres_as_float(snapshot.volume)));
    map.put(0x03, dcba(litres_as_float(snapshot.due_volume / 1000)));
    map.put(0x05, dcba(litres_as_float(u64::from(snapshot.flow_l_per_h))));
    map.put(0x07, [0x00AA]);
    map.put(0x08, dcba(0.0));
    map.put(0x0A, dcba(0.412));
    map.put(0x0C, dcba(15.3));
    map.put(0x0E, [u16::from(unit)]);
    let clock = snapshot.clock;
    map.put(0x12, bcd_registers(u64::from(snapshot.serial)));
    let date = (u64::from(clock.year().unsigned_abs()) * 100 + u64::from(small(clock.month()))) * 100
        + u64::from(small(clock.day()));
    let time = (u64::from(small(clock.hour())) * 100 + u64::from(small(clock.minute()))) * 10_000
        + u64::from(small(clock.second())) * 100;
    map.put(0x16, bcd_registers(date * 100_000_000 + time));
    map.put(0x1A, dcba(if snapshot.low_battery { 2.9 } else { 3.6 }));
    let position = match valve {
        Position::Open => 1,
        Position::Closed => 2,
        Position::Fault => 4,
        Position::Moving => 0,
    };
    map.put(XINTAI_VALVE, [position | if snapshot.low_battery { 8 } else { 0 }]);
    map.put(0x1D, [1]);
    map.registers
}

fn bench(snapshot: &Snapshot) -> Vec<u16> {
    let mut map = Map::of(40);
    map.put(0, abcd(snapshot.volume));
    map.put(2, abcd(u64::from(snapshot.flow_l_per_h)));
    map.put(4, abcd(u64::from(snapshot.serial)));
    map.put(6, abcd(u64::from(snapshot.low_battery)));
    for (address, month) in (8..40).step_by(2).zip(1..) {
        map.put(address, abcd(snapshot.due_volume / month));
    }
    map.registers
}

fn tariff(snapshot: &Snapshot) -> Vec<u16> {
    let mut map = Map::of(TARIFF);
    map.put(0, abcd(snapshot.volume));
    map.put(2, abcd(u64::from(snapshot.serial)));
    map.put(4, [u16::from(snapshot.low_battery)]);
    map.registers
}

struct Map {
    registers: Vec<u16>,
}

impl Map {
    fn of(length: usize) -> Self {
        Self { registers: vec![0; length] }
    }

    fn put<const N: usize>(&mut self, address: usize, values: [u16; N]) {
        for (register, value) in self.registers.iter_mut().skip(address).zip(values) {
            *register = value;
        }
    }
}

fn words(value: u64) -> [u16; 2] {
    let [b3, b2, b1, b0] = u32::try_from(value).unwrap_or(u32::MAX).to_be_bytes();
    [u16::from_be_bytes([b3, b2]), u16::from_be_bytes([b1, b0])]
}

fn abcd(value: u64) -> [u16; 2] {
    words(value)
}

fn cdab(value: u64) -> [u16; 2] {
    let [high, low] = words(value);
    [low, high]
}

fn dcba(value: f32) -> [u16; 2] {
    let [b0, b1, b2, b3] = value.to_le_bytes();
    [u16::from_be_bytes([b0, b1]), u16::from_be_bytes([b2, b3])]
}

/// Sixteen digits, highest first.
fn bcd_registers(number: u64) -> [u16; 4] {
    let [b0, b1, b2, b3, b4, b5, b6, b7] = bcd(number);
    [[b7, b6], [b5, b4], [b3, b2], [b1, b0]].map(u16::from_be_bytes)
}

/// Litres in m³, as the nearest float, which is what reading the decimal digits gives.
pub(crate) fn litres_as_float(litres: u64) -> f32 {
    format!("{}.{:03}", litres / 1000, litres % 1000).parse().unwrap_or(f32::NAN)
}

fn small(number: i8) -> u16 {
    u16::from(number.unsigned_abs())
}
