//! The `[map]` table of a profile: what holds for every field that does not say otherwise.

use std::ops::RangeInclusive;

use super::section::Section;
use crate::frame::FunctionCode;
use crate::plan::Limits;
use crate::types::Order;

/// Values and status registers of one profile.
const ENTRIES_MAX: usize = 256;
/// Application Protocol V1.1b3, 6.3 and 6.4.
pub(super) const REQUEST_REGISTERS_MAX: u64 = 125;

/// What holds for all fields that do not say otherwise.
pub(super) struct Map {
    pub(super) function: FunctionCode,
    pub(super) base: u64,
    pub(super) order: Order,
    pub(super) limits: Limits,
}

/// Read holding registers, read input registers.
const FUNCTION_CODES: RangeInclusive<u64> = 3..=4;

pub(super) fn function_code(section: &Section<'_, '_>) -> Option<FunctionCode> {
    let (code, _) = section.integer("function_code", FUNCTION_CODES)?;
    FunctionCode::from_code(u8::try_from(code).ok()?)
}

pub(super) fn map(root: &Section<'_, '_>) -> Map {
    let mut map = Map {
        function: FunctionCode::ReadHoldingRegisters,
        base: 0,
        order: Order::ABCD,
        limits: Limits {
            request_registers_max: 125,
            gap_registers_max: 0,
            even_count: false,
            avoid: Vec::new(),
        },
    };
    let Some(section) = root.section("map") else { return map };
    let registers = |key, within| Some(u16::try_from(section.integer(key, within)?.0).unwrap_or(u16::MAX));
    map.function = function_code(&section).unwrap_or(map.function);
    map.base = section.integer("base", 0..=1).map_or(0, |(base, _)| base);
    map.order = section.word("order", &Order::NAMES).map_or(map.order, |(order, _)| order);
    let limits = &mut map.limits;
    limits.request_registers_max =
        registers("request_registers_max", 2..=REQUEST_REGISTERS_MAX).unwrap_or(limits.request_registers_max);
    limits.gap_registers_max = registers("gap_registers_max", 0..=124).unwrap_or(limits.gap_registers_max);
    limits.even_count = section.flag("even_count").unwrap_or(limits.even_count);
    let address = |at: u64| u16::try_from(at.saturating_sub(map.base)).unwrap_or(u16::MAX);
    let stretches = section.stretches("avoid", map.base..=map.base + 0xFFFF);
    limits.avoid = stretches.into_iter().map(|(first, last)| (address(first), address(last))).collect();
    section.finish();
    map
}

/// All tables of a list, up to a bound.
pub(super) fn entries<'d, 'i, T>(
    root: &Section<'d, 'i>,
    key: &'static str,
    read: impl FnMut(Section<'d, 'i>) -> Option<T>,
) -> Vec<T> {
    let sections = root.sections(key);
    if let Some(extra) = sections.get(ENTRIES_MAX) {
        root.faults.note(extra.span.clone(), format!("more than {ENTRIES_MAX} [[{key}]]"));
    }
    sections.into_iter().take(ENTRIES_MAX).filter_map(read).collect()
}
