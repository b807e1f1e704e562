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
mod tests {
    use super::*;

    const DATA: [u8; 16] = [0x93, 0x92, 0x91, 0x90, 0x10, 0x00, 0x05, 0x69, 0x31, 0x65, 0, 0, 0x69, 0, 0, 0];

    fn shown(data: &[u8]) -> Vec<String> {
        let show = |value: &Value| match &value.content {
            Content::Number(number) => {
                let unit = value.unit.as_ref().map_or("", |unit| unit.as_str());
                format!("{} {number} {unit} @{}", value.quantity, value.storage)
            }
            other => format!("{} {other:?}", value.quantity),
        };
        read(data).unwrap().values.iter().map(show).collect()
    }

    fn with(changes: &[(usize, u8)]) -> Vec<u8> {
        let mut data = DATA.to_vec();
        for (at, byte) in changes {
            data[*at] = *byte;
        }
        data
    }

    #[test]
    fn two_counters_in_a_unit_each() {
        assert_eq!(shown(&DATA), ["energy 6531 kWh @0", "volume 69 l @0"]);
        let fixed = read(&DATA).unwrap();
        assert_eq!(
            (fixed.identity.number.as_deref(), fixed.identity.medium),
            (Some("90919293"), Some(Medium::Heat))
        );
    }

    #[test]
    fn status_bits_choose_binary_and_kept_counters() {
        assert_eq!(shown(&with(&[(5, 0x01)])), ["energy 25905 kWh @0", "volume 105 l @0"]);
        assert_eq!(shown(&with(&[(5, 0x02)])), ["energy 6531 kWh @1", "volume 69 l @1"]);
        assert_eq!(shown(&with(&[(7, 0x7E)])), ["energy 6531 kWh @0", "energy 69 kWh @1"]);
        assert_eq!(read(&with(&[(5, 0x04)])).unwrap().status.battery_low, Some(true));
        assert_eq!(read(&with(&[(5, 0x09)])).unwrap().status.alarms, ["permanent-error"]);
    }

    #[test]
    fn units_a_factor_of_ten_apart() {
        assert_eq!(
            shown(&with(&[(6, 0x2E), (7, 0x71)])),
            ["volume 653100 m3 @0", "volume-flow 6.9 l/h @0"][..]
        );
        assert_eq!(shown(&with(&[(6, 0x21), (7, 0x40)]))[0], "power 65310000000 J/h @0");
        assert_eq!(shown(&with(&[(6, 0x21), (7, 0x40)]))[1], "fixed-unit:00 69  @0");
    }

    #[test]
    fn digits_that_are_none_and_mode_2_and_a_wrong_length() {
        assert!(shown(&with(&[(8, 0xAB)]))[0].contains("Invalid"));
        assert!(matches!(read(&with(&[(6, 0x85), (7, 0xA9)])), Err(Fault::Refused { .. })));
        for length in 0..16 {
            assert!(matches!(read(&DATA[..length]), Err(Fault::Refused { .. })));
        }
    }
}
