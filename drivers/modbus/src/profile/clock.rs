//! The `[clock]` table of a profile.

use super::field::field;
use super::map::Map;
use super::section::{At, Faults, Section};
use super::{Clock, ClockPart};

pub(super) fn clock(section: Section<'_, '_>, map: &Map) -> Option<Clock> {
    let at = field(&section, map, Some("ascii"));
    if let Some(given) = section.get("type") {
        section.faults.note_with(given.span(), "a clock has no type", "it has encoding and layout");
    }
    let encoding = section.word("encoding", &[("binary", false), ("bcd", true)]);
    let layout = section.text("layout");
    for (key, hint) in [("encoding", "\"binary\" or \"bcd\""), ("layout", LAYOUT_HINT)] {
        if section.get(key).is_none() {
            section.miss(key, hint);
        }
    }
    let faults = section.faults;
    section.finish();
    let (field, (is_bcd, _), (text, span)) = (at?, encoding?, layout?);
    let layout = parts(faults, (text, span.clone()))?;
    if layout.len() != usize::from(field.length) * 2 {
        let message = format!("{} letters for {} bytes", layout.len(), u32::from(field.length) * 2);
        faults.note_with(span, message, LAYOUT_HINT);
        return None;
    }
    Some(Clock { field, is_bcd, layout })
}

const LAYOUT_HINT: &str = "one letter a byte: Y M D h m s, and - for what is ignored; such as YYMDhm";

fn parts(faults: &Faults, (text, span): At<&str>) -> Option<Vec<ClockPart>> {
    let part = |letter| match letter {
        'Y' => Some(ClockPart::Year),
        'M' => Some(ClockPart::Month),
        'D' => Some(ClockPart::Day),
        'h' => Some(ClockPart::Hour),
        'm' => Some(ClockPart::Minute),
        's' => Some(ClockPart::Second),
        '-' => Some(ClockPart::Ignored),
        _ => None,
    };
    let parts: Option<Vec<ClockPart>> = text.chars().map(part).collect();
    let dated = [ClockPart::Year, ClockPart::Month, ClockPart::Day];
    let parts = parts.filter(|parts| dated.iter().all(|part| parts.contains(part)));
    if parts.is_none() {
        faults.note_with(span, format!("layout {text:?} is no date"), LAYOUT_HINT);
    }
    parts
}
