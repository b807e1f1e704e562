//! VIF extensions that combine with any value information (EN 13757-3, "combinable (orthogonal) VIFE").
//!
//! Only a few leave a value what it was: a scale, a note that the content is standard, an error. All others make another
//! thing of it: a limit, an average, the date of a maximum. Such a value keeps number and unit where they are certain,
//! but not the plain quantity's name.

use weir_wire::Unit;

/// What a VIFE does to the value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Nothing that a reader must know.
    Neutral,
    /// Multiplies by ten to this power.
    Scale(i32),
    /// The meter reports an error in place of the value.
    Error(&'static str),
    /// Only what flows forward is counted.
    Forward,
    /// Only what flows backward is counted.
    Reverse,
    /// Another thing in the same unit: a limit, an average, a leakage.
    Qualifies,
    /// The unit is another one: per hour, per pulse, times seconds.
    ChangesUnit,
    /// The value is a count.
    Counts,
    /// The value is a duration.
    Lasts(Unit),
    /// The value is a date or time.
    Moment,
    /// Not known here, and with it the meaning of all that follows.
    Unknown,
}

/// Looks a VIFE up; the extension bit does not matter.
pub(crate) fn effect(vife: u8) -> Effect {
    let code = vife & 0x7F;
    if let Some(error) = error(code) {
        return Effect::Error(error);
    }
    match code {
        0x00 | 0x1D => Effect::Neutral,
        0x12 | 0x3A | 0x3E | 0x40 | 0x48 | 0x68 | 0x69 | 0x6C | 0x6D | 0x7E => Effect::Qualifies,
        0x20..=0x38 => Effect::ChangesUnit,
        0x3B => Effect::Forward,
        0x3C => Effect::Reverse,
        0x41 | 0x49 => Effect::Counts,
        0x39 | 0x42 | 0x43 | 0x46 | 0x47 | 0x4A | 0x4B | 0x4E | 0x4F | 0x6A | 0x6B | 0x6E | 0x6F => {
            Effect::Moment
        }
        0x50..=0x67 => Effect::Lasts(duration_unit(code)),
        0x70..=0x77 => Effect::Scale(i32::from(code & 7) - 6),
        0x7D => Effect::Scale(3),
        // Among them: 3D (another system of units), 3F (OBIS), 78-7B (a constant to be added, not a value), 7C (a further
        // table), 7F (the manufacturer's own), and compact profiles.
        _ => Effect::Unknown,
    }
}

/// The error that the meter reports in these VIFEs, as far as their meaning is certain.
pub(crate) fn reported_error(extensions: &[u8]) -> Option<&'static str> {
    let effects = extensions.iter().map(|vife| effect(*vife));
    effects.take_while(|effect| *effect != Effect::Unknown).find_map(|effect| match effect {
        Effect::Error(error) => Some(error),
        _ => None,
    })
}

/// The unit that the two low bits of a code for a duration stand for.
pub(crate) fn duration_unit(code: u8) -> Unit {
    match code & 3 {
        0 => Unit::Second,
        1 => Unit::Minute,
        2 => Unit::Hour,
        _ => Unit::Day,
    }
}

/// Record errors that a meter reports in a VIFE (EN 13757-3, "codes for record errors").
fn error(code: u8) -> Option<&'static str> {
    Some(match code {
        0x01 => "too many DIFE",
        0x02 => "storage number not implemented",
        0x03 => "unit number not implemented",
        0x04 => "tariff number not implemented",
        0x05 => "function not implemented",
        0x06 => "data class not implemented",
        0x07 => "data size not implemented",
        0x0B => "too many VIFE",
        0x0C => "illegal VIF group",
        0x0D => "illegal VIF exponent",
        0x0E => "VIF and DIF do not match",
        0x0F => "action not implemented",
        0x15 => "no data available",
        0x16 => "data overflow",
        0x17 => "data underflow",
        0x18 => "data error",
        0x1C => "premature end of record",
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
