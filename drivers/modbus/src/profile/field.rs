//! Fields of a profile: where something stands and what it holds.

use super::map::{Map, REQUEST_REGISTERS_MAX, function_code};
use super::section::Section;
use crate::types::{Field, Kind, Order, TYPES};

/// Where a field stands and what it holds. `default_type` where `type` may be left out.
pub(super) fn field(section: &Section<'_, '_>, map: &Map, default_type: Option<&str>) -> Option<Field> {
    let at = section.integer("at", map.base..=map.base + 0xFFFF);
    if section.get("at").is_none() {
        section.miss("at", "the register's address, such as at = 0x1C");
    }
    let kind = match section.get("type") {
        Some(_) => section.word("type", &TYPES).map(|(kind, _)| kind),
        None => TYPES.iter().find(|(name, _)| Some(*name) == default_type).map(|(_, kind)| *kind),
    };
    if kind.is_none() && section.get("type").is_none() {
        section.miss("type", "such as type = \"u32\"");
    }
    let function = function_code(section).unwrap_or(map.function);
    let order = section.word("order", &Order::NAMES).map_or(map.order, |(order, _)| order);
    let length = kind.and_then(|(kind, fixed)| length(section, map, kind, fixed));
    let bits = length.map_or(64, |length| u32::from(length) * 16);
    let invalid = if bits <= 64 { section.patterns("invalid", bits) } else { Vec::new() };
    let mask = mask(section, kind.map(|(kind, _)| kind), bits);
    let (at, span) = at?;
    let address = u16::try_from(at - map.base).ok()?;
    let (kind, length) = (kind?.0, length?);
    if u32::from(address) + u32::from(length) > 0x1_0000 {
        section.faults.note(span, format!("{length} registers from here reach beyond the last, 65535"));
        return None;
    }
    Some(Field { function, address, length, kind, order, invalid, mask })
}

/// Some of an unsigned field's bits.
fn mask(section: &Section<'_, '_>, kind: Option<Kind>, bits: u32) -> Option<u64> {
    let most = u64::MAX.checked_shr(64_u32.saturating_sub(bits)).unwrap_or(0);
    let (mask, span) = section.integer("mask", 1..=most)?;
    if kind.is_some_and(|kind| kind != Kind::Unsigned) {
        let hint = "one of: u16, u32, u64, bitfield";
        section.faults.note_with(span, "mask: only an unsigned type has bits of its own", hint);
        return None;
    }
    Some(mask)
}

fn length(section: &Section<'_, '_>, map: &Map, kind: Kind, fixed: Option<u16>) -> Option<u16> {
    let most = match kind {
        Kind::Bcd | Kind::Ascii => u64::from(map.limits.largest()),
        _ => 4,
    };
    let is_bitfield = section.text("type").is_none_or(|(name, _)| name == "bitfield");
    let given = section.get("registers").is_some();
    match (fixed, given) {
        (Some(fixed), true) if !is_bitfield => {
            let (_, span) = section.integer("registers", 1..=REQUEST_REGISTERS_MAX)?;
            section.faults.note(span, format!("registers: this type always has {fixed}"));
            None
        }
        (None, false) => {
            section.miss("registers", "how many registers this type spans here");
            None
        }
        (Some(fixed), false) => {
            let fits = fixed <= map.limits.largest();
            if !fits {
                let message = format!("{fixed} registers do not fit into one request");
                section.faults.note_with(section.span.clone(), message, "see request_registers_max");
            }
            fits.then_some(fixed)
        }
        _ => u16::try_from(section.integer("registers", 1..=most)?.0).ok(),
    }
}
