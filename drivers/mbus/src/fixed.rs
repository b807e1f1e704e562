//! The fixed data structure of CI 73 (EN 1434-3, EN 13757-3 before 2013): two counters in a unit each.
//!
//! ```text
//! number(4)  access(1)  status(1)  medium and units(2)  counter 1(4)  counter 2(4)
//! ```

use weir_meter::Fault;
use weir_wire::{Content, Identity, Medium, Quantity, Raw, Status, Unit, Value};

use crate::data::{self, Datum, Sign};
use crate::header;

/// Status bit: the counters are binary, otherwise decimal.
const BINARY: u8 = 0x01;
/// Status bit: the counters were kept at a due date, otherwise they are current.
const KEPT: u8 = 0x02;
/// The unit code of counter 2 that says: as counter 1, but kept at a due date.
const SAME_BUT_KEPT: u8 = 0x3E;

/// What a telegram of the fixed structure says.
pub(crate) struct Fixed {
    pub(crate) identity: Identity,
    pub(crate) status: Status,
    pub(crate) values: Vec<Value>,
}

/// Reads the structure.
///
/// # Errors
/// [`Fault::Refused`] when it is not 16 bytes long, or is of mode 2, whose counters run the other way.
pub(crate) fn read(data: &[u8]) -> Result<Fixed, Fault> {
    let [n0, n1, n2, n3, _access, status, first_unit, second_unit, counters @ ..] = data else {
        return Err(wrong_length(data.len()));
    };
    let Some((first, second)) = counters.split_at_checked(4).filter(|_| counters.len() == 8) else {
        return Err(wrong_length(data.len()));
    };
    let medium_code = second_unit >> 6 << 2 | first_unit >> 6;
    let medium = medium(medium_code).ok_or_else(|| {
        Fault::refused(format!("medium code {medium_code:X} of the fixed data structure: mode 2 is not read"))
    })?;
    let (first_unit, second_unit) = (first_unit & 0x3F, second_unit & 0x3F);
    let kept = status & KEPT != 0;
    let values = vec![
        counter(first_unit, first, *status, kept),
        match second_unit {
            SAME_BUT_KEPT => counter(first_unit, second, *status, true),
            unit => counter(unit, second, *status, kept),
        },
    ];
    Ok(Fixed {
        identity: Identity {
            number: Some(header::number([*n0, *n1, *n2, *n3])),
            medium: Some(medium),
            ..Identity::default()
        },
        status: Status {
            valve: None,
            battery_low: Some(header::battery_low(*status)),
            alarms: header::device_alarms(*status).collect(),
        },
        values,
    })
}

fn wrong_length(length: usize) -> Fault {
    Fault::refused(format!("fixed data structure of {length} bytes instead of 16"))
}

fn counter(unit_code: u8, bytes: &[u8], status: u8, kept: bool) -> Value {
    let (quantity, unit, exponent) = unit(unit_code)
        .unwrap_or_else(|| (Quantity::Other(format!("fixed-unit:{unit_code:02X}").into()), None, 0));
    let datum =
        if status & BINARY != 0 { Datum::Integer(bytes) } else { Datum::Bcd { bytes, negative: false } };
    Value {
        unit,
        storage: u64::from(kept),
        raw: Some(Raw(bytes.to_vec())),
        ..Value::new(
            quantity,
            match data::number(&datum, Sign::Signed, exponent) {
                Content::Opaque => Content::Invalid("no data".into()),
                content => content,
            },
        )
    }
}

/// Media of the fixed structure; codes A to E are those of mode 2.
fn medium(code: u8) -> Option<Medium> {
    match code {
        0x0..=0x5 | 0x7 | 0x8 => Some(header::medium(code)),
        0x6 => Some(Medium::HotWater),
        0x9 | 0xF => Some(Medium::Unknown),
        _ => None,
    }
}

/// Quantity, unit and power of ten of a unit code; three codes each, a factor of ten apart.
fn unit(code: u8) -> Option<(Quantity, Option<Unit>, i32)> {
    const STEPS: [(u8, Quantity, Unit); 18] = [
        (0x02, Quantity::Energy, Unit::WattHour),
        (0x05, Quantity::Energy, Unit::KilowattHour),
        (0x08, Quantity::Energy, Unit::MegawattHour),
        (0x0B, Quantity::Energy, Unit::Kilojoule),
        (0x0E, Quantity::Energy, Unit::Megajoule),
        (0x11, Quantity::Energy, Unit::Gigajoule),
        (0x14, Quantity::Power, Unit::Watt),
        (0x17, Quantity::Power, Unit::Kilowatt),
        (0x1A, Quantity::Power, Unit::Megawatt),
        // kJ/h, MJ/h and GJ/h, counted in J/h below.
        (0x1D, Quantity::Power, Unit::JoulePerHour),
        (0x20, Quantity::Power, Unit::JoulePerHour),
        (0x23, Quantity::Power, Unit::JoulePerHour),
        (0x26, Quantity::Volume, Unit::Millilitre),
        (0x29, Quantity::Volume, Unit::Litre),
        (0x2C, Quantity::Volume, Unit::CubicMetre),
        // ml/h, counted in l/h below.
        (0x2F, Quantity::VolumeFlow, Unit::LitrePerHour),
        (0x32, Quantity::VolumeFlow, Unit::LitrePerHour),
        (0x35, Quantity::VolumeFlow, Unit::CubicMetrePerHour),
    ];
    match code {
        0x38 => return Some((Quantity::Temperature, Some(Unit::Celsius), -3)),
        0x39 => return Some((Quantity::HeatCostAllocation, None, 0)),
        0x3F => return Some((Quantity::Dimensionless, None, 0)),
        _ => {}
    }
    let (first, quantity, unit) = STEPS.iter().find(|(first, ..)| (*first..*first + 3).contains(&code))?;
    let own = match first {
        0x1D => 3,
        0x20 => 6,
        0x23 => 9,
        0x2F => -3,
        _ => 0,
    };
    Some((quantity.clone(), Some(unit.clone()), i32::from(code - first) + own))
}

#[cfg(test)]
mod tests;
