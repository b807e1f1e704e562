//! From TOML text to a profile, or to the list of everything that is wrong with it.

use std::collections::BTreeSet;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};
use weir_meter::{Parity, Serial, StopBits};
use weir_wire::{Function, Medium, Number, Quantity, Unit, Valve};

use super::section::{At, Faults, Section, decimal};
use super::{
    Amount, Clock, ClockPart, Profile, ProfileFault, Scale, State, StatusMap, UnitMap, ValueMap, Waits, Words,
};
use crate::frame::FunctionCode;
use crate::plan::{Block, Limits, plan};
use crate::types::{Field, Kind, Order, TYPES};

/// A profile's text; the longest known register map fits ten times.
const TEXT_BYTES_MAX: usize = 256 * 1024;
/// Values and status registers of one profile.
const ENTRIES_MAX: usize = 256;
/// Application Protocol V1.1b3, 6.3 and 6.4.
const REQUEST_REGISTERS_MAX: u64 = 125;

pub(super) fn profile(text: &str) -> Result<Profile, Vec<ProfileFault>> {
    let faults = Faults::default();
    if text.len() > TEXT_BYTES_MAX {
        faults.note(0..0, format!("the profile is longer than {TEXT_BYTES_MAX} bytes"));
        return Err(faults.into_sorted());
    }
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        faults.note(error.span().unwrap_or(0..0), error.message());
    }
    let profile = if errors.is_empty() { from_document(&document, &faults) } else { None };
    let faults = faults.into_sorted();
    profile.filter(|_| faults.is_empty()).ok_or(faults)
}

fn from_document(document: &Spanned<DeTable<'_>>, faults: &Faults) -> Option<Profile> {
    let root = Section::new(document.get_ref(), 0..0, "the profile", faults);
    let model = required_text(&root, "model", "the meter's name, such as model = \"MAG 6000\"");
    let map = map(&root);
    let identity = root.section("identity");
    let number = identity.as_ref().and_then(|identity| {
        let number = identity.section("number")?;
        let field = field(&number, &map, None);
        number.finish();
        field
    });
    let manufacturer =
        identity.as_ref().and_then(|identity| Some(identity.text("manufacturer")?.0.to_owned()));
    let medium =
        identity.as_ref().and_then(|identity| identity.vocabulary("medium", Medium::ALL, Medium::as_str));
    if let Some(identity) = identity {
        identity.finish();
    }
    let serial = serial(&root);
    let waits = waits(&root);
    let clock = root.section("clock").and_then(|section| clock(section, &map));
    let values = values(&root, &map);
    let status = entries(&root, "status", |section| status(section, &map));
    root.finish();
    let mut profile = Profile {
        model: model?,
        manufacturer,
        medium,
        serial,
        waits,
        number,
        clock,
        values,
        status,
        plan: Vec::new(),
    };
    profile.plan = plan(profile.fields().map(Field::block), &map.limits);
    Some(profile)
}

fn required_text(section: &Section<'_, '_>, key: &'static str, hint: &str) -> Option<String> {
    let Some((text, span)) = section.text(key) else {
        if section.get(key).is_none() {
            section.miss(key, hint);
        }
        return None;
    };
    if text.is_empty() {
        section.faults.note(span, format!("{key} is empty"));
    }
    Some(text.to_owned())
}

/// What holds for all fields that do not say otherwise.
struct Map {
    function: FunctionCode,
    base: u64,
    order: Order,
    limits: Limits,
}

const FUNCTION_CODES: std::ops::RangeInclusive<u64> = 3..=4;

fn function_code(section: &Section<'_, '_>) -> Option<FunctionCode> {
    let (code, _) = section.integer("function_code", FUNCTION_CODES)?;
    FunctionCode::from_code(u8::try_from(code).ok()?)
}

fn map(root: &Section<'_, '_>) -> Map {
    let mut map = Map {
        function: FunctionCode::ReadHoldingRegisters,
        base: 0,
        order: Order::ABCD,
        limits: Limits { request_registers_max: 125, gap_registers_max: 0, even_count: false },
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
    section.finish();
    map
}

fn serial(root: &Section<'_, '_>) -> Option<Serial> {
    let section = root.section("serial")?;
    let baud = section.integer("baud", 300..=921_600);
    let parity =
        section.word("parity", &[("none", Parity::None), ("even", Parity::Even), ("odd", Parity::Odd)]);
    let stop_bits = section.integer("stop_bits", 1..=2);
    for key in ["baud", "parity", "stop_bits"] {
        if section.get(key).is_none() {
            section.miss(key, "baud, parity and stop_bits belong together");
        }
    }
    section.finish();
    Some(Serial {
        baud: u32::try_from(baud?.0).ok()?,
        parity: parity?.0,
        stop_bits: if stop_bits?.0 == 2 { StopBits::Two } else { StopBits::One },
    })
}

fn waits(root: &Section<'_, '_>) -> Waits {
    let Some(section) = root.section("timing") else { return Waits::default() };
    let millis = |key, within| Some(Duration::from_millis(section.integer(key, within)?.0));
    let waits = Waits {
        silence_characters: section.decimal("silence_characters").and_then(|(characters, span)| {
            let number: Option<f64> = characters.to_string().parse().ok();
            let sensible = number.filter(|number| (3.5..=100.0).contains(number));
            if sensible.is_none() {
                section.faults.note(span, "silence_characters must be from 3.5 (the standard's) to 100");
            }
            sensible
        }),
        answer_window: millis("answer_window_ms", 1..=60_000),
        late_window: millis("late_window_ms", 0..=60_000),
    };
    section.finish();
    waits
}

/// Where a field stands and what it holds. `default_type` where `type` may be left out.
fn field(section: &Section<'_, '_>, map: &Map, default_type: Option<&str>) -> Option<Field> {
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
    let (at, span) = at?;
    let address = u16::try_from(at - map.base).ok()?;
    let (kind, length) = (kind?.0, length?);
    if u32::from(address) + u32::from(length) > 0x1_0000 {
        section.faults.note(span, format!("{length} registers from here reach beyond the last, 65535"));
        return None;
    }
    Some(Field { function, address, length, kind, order, invalid })
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

/// All tables of a list, up to a bound.
fn entries<'d, 'i, T>(
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

fn values(root: &Section<'_, '_>, map: &Map) -> Vec<ValueMap> {
    let mut seen = BTreeSet::new();
    if root.get("value").is_none() {
        root.miss("value", "at least one [[value]] must be read");
    }
    entries(root, "value", |section| {
        let span = section.span.clone();
        let value = value(section, map)?;
        let meaning = (
            value.quantity.as_str().to_owned(),
            value.function.as_str().to_owned(),
            [value.storage, value.tariff.into(), value.subunit.into()],
        );
        if !seen.insert(meaning) {
            let message = format!("a second {} that nothing tells from the first", value.quantity);
            root.faults.note_with(span, message, "give it another function, storage, tariff or subunit");
        }
        Some(value)
    })
}

fn value(section: Section<'_, '_>, map: &Map) -> Option<ValueMap> {
    let quantity = section.vocabulary("quantity", Quantity::ALL, Quantity::as_str);
    if section.get("quantity").is_none() {
        section.miss("quantity", "such as quantity = \"volume\"");
    }
    let function = section.vocabulary("function", Function::ALL, Function::as_str);
    let storage = section.integer("storage", 0..=(1 << 41) - 1);
    let tariff = section.integer("tariff", 0..=(1 << 20) - 1);
    let subunit = section.integer("subunit", 0..=(1 << 10) - 1);
    let amount = amount(&section, map);
    let unit = unit(&section, map);
    let plus = section.section("plus").map(|plus| {
        let amount = self::amount(&plus, map);
        plus.finish();
        amount
    });
    if amount.as_ref().is_some_and(|amount| amount.field.kind == Kind::Ascii) {
        for key in ["scale", "scale_from", "unit", "unit_from", "plus"] {
            if let Some(given) = section.get(key) {
                section.faults.note(given.span(), format!("{key}: a text has none"));
            }
        }
    }
    section.finish();
    Some(ValueMap {
        quantity: quantity?,
        function: function.unwrap_or(Function::Instantaneous),
        storage: storage.map_or(0, |(storage, _)| storage),
        tariff: tariff.and_then(|(tariff, _)| u32::try_from(tariff).ok()).unwrap_or(0),
        subunit: subunit.and_then(|(subunit, _)| u16::try_from(subunit).ok()).unwrap_or(0),
        amount: amount?,
        plus: match plus {
            Some(plus) => Some(plus?),
            None => None,
        },
        unit,
    })
}

fn amount(section: &Section<'_, '_>, map: &Map) -> Option<Amount> {
    let field = field(section, map, None);
    let fixed = section.decimal("scale");
    let from = section.section("scale_from").map(|from| {
        let field = self::field(&from, map, Some("u16"));
        let codes = from.codes("codes", 0..=u64::MAX, |value| number(&from, value));
        from.finish();
        Some(match codes {
            Some(codes) => Scale::Codes(field?, codes),
            None => Scale::PowerOfTen(field?),
        })
    });
    let scale = match (fixed, from) {
        (None, None) => Scale::One,
        (Some((scale, _)), None) => Scale::Fixed(scale),
        (None, Some(from)) => from?,
        (Some((_, span)), Some(_)) => {
            section.faults.note(span, "scale and scale_from exclude each other");
            return None;
        }
    };
    Some(Amount { field: field?, scale })
}

fn number(section: &Section<'_, '_>, value: &Spanned<DeValue<'_>>) -> Option<Number> {
    let number = decimal(value.get_ref());
    if number.is_none() {
        section.wrong_type(value, "codes", "decimal numbers");
    }
    number
}

fn unit(section: &Section<'_, '_>, map: &Map) -> UnitMap {
    let fixed = section.vocabulary("unit", Unit::ALL, Unit::as_str);
    let from = section.section("unit_from").and_then(|from| {
        let field = field(&from, map, Some("u16"));
        let codes = from.codes("codes", 0..=u64::MAX, |value| {
            let text = value.get_ref().as_str().unwrap_or_default();
            let unit = Unit::ALL.iter().find(|unit| unit.as_str() == text);
            if unit.is_none() {
                let names: Vec<&str> = Unit::ALL.iter().map(Unit::as_str).collect();
                from.unknown_word("unit", text, &value.span(), &names);
            }
            unit.cloned()
        });
        if codes.is_none() && from.get("codes").is_none() {
            from.miss("codes", "which code is which unit, such as codes = { 0 = \"m3\" }");
        }
        from.finish();
        Some(UnitMap::Codes(field?, codes?))
    });
    match (fixed, from) {
        (Some(_), Some(_)) => {
            section.faults.note(section.span.clone(), "unit and unit_from exclude each other");
            UnitMap::None
        }
        (Some(unit), None) => UnitMap::Fixed(unit),
        (None, from) => from.unwrap_or(UnitMap::None),
    }
}

fn status(section: Section<'_, '_>, map: &Map) -> Option<StatusMap> {
    let field = field(&section, map, Some("bitfield"));
    let last_bit = field.as_ref().map_or(63, |field| u64::from(field.length) * 16 - 1);
    let word = |value: &Spanned<DeValue<'_>>| state(&section, value);
    let bits = section.codes("bits", 0..=last_bit.min(63), word);
    let codes = section.codes("codes", 0..=u64::MAX, word);
    if field.as_ref().is_some_and(|field| field.kind != Kind::Unsigned || field.length > 4) {
        let hint = "one of: u16, u32, u64, bitfield";
        section.faults.note_with(section.span.clone(), "a status must be an unsigned type", hint);
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

fn clock(section: Section<'_, '_>, map: &Map) -> Option<Clock> {
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

impl Field {
    /// The registers it takes.
    pub(crate) fn block(&self) -> Block {
        Block { function: self.function, start: self.address, count: self.length }
    }
}
