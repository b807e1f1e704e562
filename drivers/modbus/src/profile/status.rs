//! The `[[status]]` tables of a profile.

use toml::Spanned;
use toml::de::DeValue;
use weir_wire::Valve;

use super::field::field;
use super::map::Map;
use super::section::Section;
use super::{State, StatusMap, Words};
use crate::types::Kind;

pub(super) fn status(section: Section<'_, '_>, map: &Map) -> Option<StatusMap> {
    let field = field(&section, map, Some("bitfield"));
    let last_bit = field.as_ref().map_or(63, |field| u64::from(field.length) * 16 - 1);
    let word = |value: &Spanned<DeValue<'_>>| state(&section, value);
    let bits = section.codes("bits", 0..=last_bit.min(63), word);
    let codes = section.codes("codes", 0..=u64::MAX, word);
    if field.as_ref().is_some_and(|field| field.kind != Kind::Unsigned || field.length > 4) {
        let hint = "one of: u16, u32, u64, bitfield";
        section.faults.note_with(section.span.clone(), "a status must be an unsigned type", hint);
    }
    if bits.is_some() && field.as_ref().is_some_and(|field| field.mask.is_some()) {
        let hint = "bits are named by their place in the whole register; \"ok\" names one that says nothing";
        section.faults.note_with(section.span.clone(), "mask goes with codes, not with bits", hint);
    }
    let words = match (bits, codes) {
        (Some(bits), None) => Some(Words::Bits(bits)),
        (None, Some(codes)) => Some(Words::Codes(codes)),
        _ => {
            let message = "[[status]] needs either \"bits\" or \"codes\"";
            let hint = "such as bits = { 3 = \"battery-low\", 0 = \"valve:open\", 5 = \"leak\" }";
            section.faults.note_with(section.span.clone(), message, hint);
            None
        }
    };
    section.finish();
    Some(StatusMap { field: field?, words: words? })
}

fn state(section: &Section<'_, '_>, value: &Spanned<DeValue<'_>>) -> Option<State> {
    let text = value.get_ref().as_str().unwrap_or_default();
    if let Some(position) = text.strip_prefix("valve:") {
        let valve = Valve::ALL.iter().find(|valve| valve.as_str() == position);
        if valve.is_none() {
            let names: Vec<&str> = Valve::ALL.iter().map(Valve::as_str).collect();
            section.unknown_word("valve", position, &value.span(), &names);
        }
        return valve.cloned().map(State::Valve);
    }
    match text {
        "ok" => Some(State::Ok),
        "battery-low" => Some(State::BatteryLow),
        alarm if is_kebab_case(alarm) => Some(State::Alarm(alarm.to_owned())),
        _ => {
            let hint = "\"ok\", \"battery-low\", \"valve:open\" and such, or an alarm in kebab-case";
            section.faults.note_with(value.span(), "no word for a state", hint);
            None
        }
    }
}

fn is_kebab_case(word: &str) -> bool {
    let plain = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    word.split('-').all(plain)
}
