//! The tables of value information: primary VIF, and the extensions behind FD and FB (EN 13757-3:2018, tables 10 to 14).
//!
//! Units are the tables' own, so that a number's digits and places are the meter's. Codes that were reserved again after
//! 2004 (US gallons, Fahrenheit) are not here: two meters could mean two things by them.

use super::{Meaning, Quantity, Reading, Sign, Unit, duration_unit};
use crate::dif::EXTENSION;

/// Looks up the true VIF at the start of a block; with it come the VIFEs behind it.
pub(super) fn look_up(codes: &[u8]) -> (Option<Meaning>, &[u8]) {
    match codes {
        [0xFD, 0xFD, code, rest @ ..] => (second_level_fd(code & !EXTENSION), rest),
        [0xFD, code, rest @ ..] => (extension_fd(code & !EXTENSION), rest),
        [0xFB, code, rest @ ..] => (extension_fb(code & !EXTENSION), rest),
        // The manufacturer's own, without a word on what; what the VIFEs of FF mean is the manufacturer's own as well.
        [0x7F] => (Some(Meaning::number(Quantity::ManufacturerSpecific, Sign::Signed)), &[]),
        // Beyond the tables: EF (a third extension), FE (any VIF), FF with VIFEs.
        [0xEF | 0xFE | 0xFF, ..] => (None, &[]),
        [code, rest @ ..] => (primary(code & !EXTENSION), rest),
        [] => (None, &[]),
    }
}

fn primary(code: u8) -> Option<Meaning> {
    let low = |mask: u8| i32::from(code & mask);
    Some(match code {
        0x00..=0x07 => Meaning::measured(Quantity::Energy, Unit::WattHour, low(7) - 3),
        0x08..=0x0F => Meaning::measured(Quantity::Energy, Unit::Joule, low(7)),
        0x10..=0x17 => Meaning::measured(Quantity::Volume, Unit::CubicMetre, low(7) - 6),
        0x18..=0x1F => Meaning::measured(Quantity::Mass, Unit::Kilogram, low(7) - 3),
        0x20..=0x23 => Meaning::measured(Quantity::OnTime, duration_unit(code), 0),
        0x24..=0x27 => Meaning::measured(Quantity::OperatingTime, duration_unit(code), 0),
        0x28..=0x2F => Meaning::measured(Quantity::Power, Unit::Watt, low(7) - 3),
        0x30..=0x37 => Meaning::measured(Quantity::Power, Unit::JoulePerHour, low(7)),
        0x38..=0x3F => Meaning::measured(Quantity::VolumeFlow, Unit::CubicMetrePerHour, low(7) - 6),
        0x40..=0x47 => Meaning::measured(Quantity::VolumeFlow, Unit::CubicMetrePerMinute, low(7) - 7),
        0x48..=0x4F => Meaning::measured(Quantity::VolumeFlow, Unit::CubicMetrePerSecond, low(7) - 9),
        0x50..=0x57 => Meaning::measured(Quantity::MassFlow, Unit::KilogramPerHour, low(7) - 3),
        0x58..=0x5B => Meaning::measured(Quantity::FlowTemperature, Unit::Celsius, low(3) - 3),
        0x5C..=0x5F => Meaning::measured(Quantity::ReturnTemperature, Unit::Celsius, low(3) - 3),
        0x60..=0x63 => Meaning::measured(Quantity::TemperatureDifference, Unit::Kelvin, low(3) - 3),
        0x64..=0x67 => Meaning::measured(Quantity::ExternalTemperature, Unit::Celsius, low(3) - 3),
        0x68..=0x6B => Meaning::measured(Quantity::Pressure, Unit::Bar, low(3) - 3),
        0x6C => Meaning::read_as(Quantity::Date, Reading::Moment),
        0x6D => Meaning::read_as(Quantity::DateTime, Reading::Moment),
        0x6E => Meaning::number(Quantity::HeatCostAllocation, Sign::Signed),
        0x70..=0x73 => Meaning::measured(Quantity::AveragingDuration, duration_unit(code), 0),
        0x74..=0x77 => Meaning::measured(Quantity::ActualityDuration, duration_unit(code), 0),
        0x78 => Meaning::read_as(Quantity::FabricationNumber, Reading::Identification),
        0x79 => Meaning::read_as(Quantity::EnhancedIdentification, Reading::Identification),
        0x7A => Meaning::number(Quantity::BusAddress, Sign::Unsigned),
        _ => return None,
    })
}

fn extension_fd(code: u8) -> Option<Meaning> {
    let low = |mask: u8| i32::from(code & mask);
    let unsigned = |quantity| Meaning::number(quantity, Sign::Unsigned);
    Some(match code {
        0x08 => unsigned(Quantity::AccessNumber),
        0x09 => Meaning::read_as(Quantity::Medium, Reading::Medium),
        0x0A => Meaning::read_as(Quantity::Manufacturer, Reading::Manufacturer),
        0x0B => Meaning::read_as(Quantity::ParameterSet, Reading::Identification),
        0x0C => Meaning::read_as(Quantity::ModelVersion, Reading::Identification),
        0x0D => Meaning::read_as(Quantity::HardwareVersion, Reading::Identification),
        0x0E => Meaning::read_as(Quantity::FirmwareVersion, Reading::Identification),
        0x0F => Meaning::read_as(Quantity::SoftwareVersion, Reading::Identification),
        0x10 => Meaning::read_as(Quantity::CustomerLocation, Reading::Identification),
        0x11 => Meaning::read_as(Quantity::Customer, Reading::Identification),
        0x17 => unsigned(Quantity::ErrorFlags),
        0x18 => unsigned(Quantity::ErrorMask),
        0x1A => unsigned(Quantity::DigitalOutput),
        0x1B => unsigned(Quantity::DigitalInput),
        0x24..=0x27 => Meaning::measured(Quantity::StorageInterval, duration_unit(code), 0),
        0x28 => Meaning::measured(Quantity::StorageInterval, Unit::Month, 0),
        0x29 => Meaning::measured(Quantity::StorageInterval, Unit::Year, 0),
        0x2C..=0x2F => Meaning::measured(Quantity::DurationSinceReadout, duration_unit(code), 0),
        0x3A => Meaning::number(Quantity::Dimensionless, Sign::Signed),
        0x40..=0x4F => Meaning::measured(Quantity::Voltage, Unit::Volt, low(15) - 9),
        0x50..=0x5F => Meaning::measured(Quantity::Current, Unit::Ampere, low(15) - 12),
        0x60 => unsigned(Quantity::ResetCounter),
        0x61 => unsigned(Quantity::CumulationCounter),
        0x6C => Meaning::measured(Quantity::BatteryOperatingTime, Unit::Hour, 0),
        0x6D => Meaning::measured(Quantity::BatteryOperatingTime, Unit::Day, 0),
        0x6E => Meaning::measured(Quantity::BatteryOperatingTime, Unit::Month, 0),
        0x6F => Meaning::measured(Quantity::BatteryOperatingTime, Unit::Year, 0),
        0x70 => Meaning::read_as(Quantity::BatteryChange, Reading::Moment),
        0x74 => Meaning::measured(Quantity::RemainingBatteryTime, Unit::Day, 0),
        _ => return None,
    })
}

fn second_level_fd(code: u8) -> Option<Meaning> {
    Some(match code {
        0x02 => Meaning::measured(Quantity::RemainingBatteryTime, Unit::Month, 0),
        0x03 => Meaning::measured(Quantity::RemainingBatteryTime, Unit::Year, 0),
        _ => return None,
    })
}

fn extension_fb(code: u8) -> Option<Meaning> {
    let low = |mask: u8| i32::from(code & mask);
    Some(match code {
        0x00..=0x01 => Meaning::measured(Quantity::Energy, Unit::MegawattHour, low(1) - 1),
        0x08..=0x09 => Meaning::measured(Quantity::Energy, Unit::Gigajoule, low(1) - 1),
        0x10..=0x11 => Meaning::measured(Quantity::Volume, Unit::CubicMetre, low(1) + 2),
        // 10^2 and 10^3 t.
        0x18..=0x19 => Meaning::measured(Quantity::Mass, Unit::Kilogram, low(1) + 5),
        0x1A..=0x1B => Meaning::measured(Quantity::RelativeHumidity, Unit::Percent, low(1) - 1),
        0x20 => Meaning::measured(Quantity::Volume, Unit::CubicFoot, 0),
        0x21 => Meaning::measured(Quantity::Volume, Unit::CubicFoot, -1),
        0x28..=0x29 => Meaning::measured(Quantity::Power, Unit::Megawatt, low(1) - 1),
        // 10^-1 and 10^0 GJ/h.
        0x30..=0x31 => Meaning::measured(Quantity::Power, Unit::JoulePerHour, low(1) + 8),
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
