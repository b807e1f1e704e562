//! The status word: ST0 and ST1 to valve, battery and alarms.
//!
//! The standard places the valve in bits 1 and 0 of ST0 and the battery in bit 2, reserves bits 3 and 4 and leaves the
//! rest to the manufacturer. One public driver (`cj188.h`) finds valve and battery at the top of the byte instead, so
//! the places are the profile's. A set bit that it has no name for is reported by its number, never dropped.

use weir_wire::{Status, Valve};

use crate::StatusBits;

/// What the status word says; bit 0 is the lowest of ST0, bit 8 the lowest of ST1.
pub(crate) fn status(st: [u8; 2], bits: &StatusBits) -> Status {
    let word = u16::from_le_bytes(st);
    let is_set = |bit: u8| word.checked_shr(bit.into()).unwrap_or(0) & 1 == 1;
    let valve = bits.has_valve.then(|| match word.checked_shr(bits.valve_bit.into()).unwrap_or(0) & 0b11 {
        0b00 => Valve::Open,
        0b01 => Valve::Closed,
        0b11 => Valve::Fault,
        _ => Valve::Unknown,
    });
    let battery_low = bits.has_battery.then(|| is_set(bits.battery_bit));
    let unused_from = if st[1] == bits.st1_filler { 8 } else { 16 };
    let alarms = (0..unused_from)
        .filter(|bit| is_set(*bit) && !bits.is_taken(*bit))
        .map(|bit| {
            let name = bits.alarms.iter().find(|(_, at)| **at == bit).map(|(name, _)| name.clone());
            name.unwrap_or_else(|| format!("bit-{bit}"))
        })
        .collect();
    Status { valve, battery_low, alarms }
}

/// The status word in words, for the reason of a refusal.
pub(crate) fn in_words(st: [u8; 2], bits: &StatusBits) -> String {
    let Status { valve, battery_low, alarms } = status(st, bits);
    let mut words = vec![format!("ST {:02X} {:02X}", st[0], st[1])];
    words.extend(valve.map(|valve| format!("valve {valve}")));
    words.extend(battery_low.map(|low| format!("battery {}", if low { "low" } else { "good" })));
    words.extend(alarms);
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(st: [u8; 2], bits: &StatusBits) -> (Option<&'static str>, Option<bool>, Vec<String>) {
        let Status { valve, battery_low, alarms } = status(st, bits);
        let valve = valve.map(|valve| match valve {
            Valve::Open => "open",
            Valve::Closed => "closed",
            Valve::Fault => "fault",
            _ => "unknown",
        });
        (valve, battery_low, alarms)
    }

    #[test]
    fn the_standard_places_valve_and_battery_at_the_bottom_of_st0() {
        let bits = StatusBits::default();
        assert_eq!(says([0x00, 0x00], &bits), (Some("open"), Some(false), vec![]));
        assert_eq!(says([0x01, 0x00], &bits), (Some("closed"), Some(false), vec![]));
        assert_eq!(says([0x02, 0x00], &bits), (Some("unknown"), Some(false), vec![]));
        assert_eq!(says([0x07, 0x00], &bits), (Some("fault"), Some(true), vec![]));
        let vendor = vec!["bit-5".to_owned(), "bit-10".into(), "bit-15".into()];
        assert_eq!(says([0x21, 0x84], &bits), (Some("closed"), Some(false), vendor));
    }

    #[test]
    fn an_unused_second_byte_raises_no_alarm() {
        assert_eq!(says([0x00, 0xFF], &StatusBits::default()), (Some("open"), Some(false), vec![]));
        let telling = StatusBits { st1_filler: 0, ..StatusBits::default() };
        assert_eq!(says([0x00, 0xFF], &telling).2.len(), 8);
    }

    #[test]
    fn a_profile_moves_names_and_removes_bits() {
        let alarms = [("leak".to_owned(), 0)].into();
        let top = StatusBits { valve_bit: 6, battery_bit: 5, alarms, ..StatusBits::default() };
        assert_eq!(says([0x61, 0x00], &top), (Some("closed"), Some(true), vec!["leak".into()]));
        let bare = StatusBits { has_valve: false, has_battery: false, ..StatusBits::default() };
        assert_eq!(says([0x04, 0x00], &bare), (None, None, vec!["bit-2".into()]));
    }
}
