//! The unit byte that follows a value: what it measures, in which unit, times which power of ten.
//!
//! The codes of hupengwu/fox-edge-server-protocol `CJT188Unit.java` and ng-gateway `cjt188/src/protocol/frame/defs.rs`.
//! The tenfold and hundredfold volumes and flows came with the 2018 edition and are read under either.

use weir_wire::{Quantity, Unit};

use crate::Profile;

/// A unit, and by which power of ten its numbers are to be multiplied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scaled {
    pub(crate) unit: Unit,
    pub(crate) power: i8,
}

/// The unit that a byte stands for, by the profile first and then by the standard.
pub(crate) fn unit_of(code: u8, profile: &Profile) -> Option<Scaled> {
    if let Some(own) = profile.units.get(&format!("{code:02X}")) {
        return Some(Scaled { unit: own.unit.clone(), power: own.power });
    }
    let (unit, power) = match code {
        0x01 => (Unit::Joule, 0),
        0x02 => (Unit::WattHour, 0),
        0x05 => (Unit::KilowattHour, 0),
        0x08 => (Unit::MegawattHour, 0),
        0x0A => (Unit::MegawattHour, 2),
        0x0B => (Unit::Kilojoule, 0),
        0x0E => (Unit::Megajoule, 0),
        0x11 => (Unit::Gigajoule, 0),
        0x13 => (Unit::Gigajoule, 2),
        0x14 => (Unit::Watt, 0),
        0x17 => (Unit::Kilowatt, 0),
        0x1A => (Unit::Megawatt, 0),
        0x29 => (Unit::Litre, 0),
        0x2A => (Unit::Litre, 1),
        0x2B => (Unit::Litre, 2),
        0x2C => (Unit::CubicMetre, 0),
        0x2D => (Unit::CubicMetre, 1),
        0x2E => (Unit::CubicMetre, 2),
        0x32 => (Unit::LitrePerHour, 0),
        0x33 => (Unit::LitrePerHour, 1),
        0x34 => (Unit::LitrePerHour, 2),
        0x35 => (Unit::CubicMetrePerHour, 0),
        0x36 => (Unit::CubicMetrePerHour, 1),
        0x37 => (Unit::CubicMetrePerHour, 2),
        _ => return None,
    };
    Some(Scaled { unit, power })
}

/// What a unit of the table measures.
pub(crate) fn quantity_of(unit: &Unit) -> Option<Quantity> {
    match unit {
        Unit::Litre | Unit::CubicMetre => Some(Quantity::Volume),
        Unit::LitrePerHour | Unit::CubicMetrePerHour => Some(Quantity::VolumeFlow),
        Unit::WattHour | Unit::KilowattHour | Unit::MegawattHour => Some(Quantity::Energy),
        Unit::Joule | Unit::Kilojoule | Unit::Megajoule | Unit::Gigajoule => Some(Quantity::Energy),
        Unit::Watt | Unit::Kilowatt | Unit::Megawatt => Some(Quantity::Power),
        _ => None,
    }
}
