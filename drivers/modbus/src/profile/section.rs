//! A walk over a spanned TOML document that notes every fault and goes on.
//!
//! serde's derive stops at the first fault and forgets places. Here each key is asked for by name and type; what was
//! never asked for is unknown. [`Section::finish`] reports that, so no key can be forgotten in a second list.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::{Range, RangeInclusive};

use toml::Spanned;
use toml::de::{DeTable, DeValue};
use weir_wire::Number;

use super::ProfileFault;

/// Where faults are noted.
#[derive(Default)]
pub(super) struct Faults(RefCell<Vec<ProfileFault>>);

impl Faults {
    pub(super) fn note(&self, span: Range<usize>, message: impl Into<String>) {
        self.push(ProfileFault { span, message: message.into(), hint: None });
    }

    pub(super) fn note_with(&self, span: Range<usize>, message: impl Into<String>, hint: impl Into<String>) {
        self.push(ProfileFault { span, message: message.into(), hint: Some(hint.into()) });
    }

    pub(super) fn push(&self, fault: ProfileFault) {
        self.0.borrow_mut().push(fault);
    }

    pub(super) fn into_sorted(self) -> Vec<ProfileFault> {
        let mut faults = self.0.into_inner();
        faults.sort_by_key(|fault| fault.span.start);
        faults
    }
}

/// A value and its place.
pub(super) type At<T> = (T, Range<usize>);

/// A table that is being read.
pub(super) struct Section<'d, 'i> {
    table: &'d DeTable<'i>,
    /// Where the table stands.
    pub(super) span: Range<usize>,
    /// What messages call it.
    name: String,
    asked: RefCell<BTreeSet<&'static str>>,
    /// Where its faults go.
    pub(super) faults: &'d Faults,
}

impl<'d, 'i> Section<'d, 'i> {
    pub(super) fn new(
        table: &'d DeTable<'i>,
        span: Range<usize>,
        name: impl Into<String>,
        faults: &'d Faults,
    ) -> Self {
        Self { table, span, name: name.into(), asked: RefCell::default(), faults }
    }

    /// The value under a key.
    pub(super) fn get(&self, key: &'static str) -> Option<&'d Spanned<DeValue<'i>>> {
        self.asked.borrow_mut().insert(key);
        self.table.get(key)
    }

    /// Notes that a key is missing.
    pub(super) fn miss(&self, key: &str, hint: &str) {
        self.faults.note_with(self.span.clone(), format!("{} has no {key:?}", self.name), hint);
    }

    pub(super) fn text(&self, key: &'static str) -> Option<At<&'d str>> {
        let value = self.get(key)?;
        let text = value.get_ref().as_str();
        if text.is_none() {
            self.wrong_type(value, key, "a text");
        }
        Some((text?, value.span()))
    }

    /// A text that is one of these names.
    pub(super) fn word<T: Clone>(&self, key: &'static str, words: &[(&str, T)]) -> Option<At<T>> {
        let (text, span) = self.text(key)?;
        let found = words.iter().find(|(name, _)| *name == text);
        if found.is_none() {
            let names: Vec<&str> = words.iter().map(|(name, _)| *name).collect();
            self.unknown_word(key, text, &span, &names);
        }
        Some((found?.1.clone(), span))
    }

    /// A text that is one of a closed vocabulary's words.
    pub(super) fn vocabulary<T: Clone>(
        &self,
        key: &'static str,
        words: &[T],
        name: fn(&T) -> &str,
    ) -> Option<T> {
        let named: Vec<(&str, &T)> = words.iter().map(|word| (name(word), word)).collect();
        self.word(key, &named).map(|(word, _)| word.clone())
    }

    pub(super) fn unknown_word(&self, key: &str, text: &str, span: &Range<usize>, known: &[&str]) {
        let hint = format!("one of: {}", known.join(", "));
        self.faults.note_with(span.clone(), format!("{key} {text:?} is not known"), hint);
    }

    pub(super) fn integer(&self, key: &'static str, within: RangeInclusive<u64>) -> Option<At<u64>> {
        let value = self.get(key)?;
        let number = integer(value.get_ref()).filter(|number| within.contains(number));
        if number.is_none() {
            let wanted = format!("a whole number from {} to {}", within.start(), within.end());
            self.wrong_type(value, key, &wanted);
        }
        Some((number?, value.span()))
    }

    /// A number with exactly the digits that were typed.
    pub(super) fn decimal(&self, key: &'static str) -> Option<At<Number>> {
        let value = self.get(key)?;
        let number = decimal(value.get_ref());
        if number.is_none() {
            self.wrong_type(value, key, "a decimal number of at most 28 digits");
        }
        Some((number?, value.span()))
    }

    pub(super) fn flag(&self, key: &'static str) -> Option<bool> {
        let value = self.get(key)?;
        let flag = value.get_ref().as_bool();
        if flag.is_none() {
            self.wrong_type(value, key, "true or false");
        }
        flag
    }

    pub(super) fn section(&self, key: &'static str) -> Option<Section<'d, 'i>> {
        let value = self.get(key)?;
        let table = value.get_ref().as_table();
        if table.is_none() {
            self.wrong_type(value, key, "a table");
        }
        Some(Section::new(table?, value.span(), format!("[{key}]"), self.faults))
    }

    pub(super) fn sections(&self, key: &'static str) -> Vec<Section<'d, 'i>> {
        let Some(value) = self.get(key) else { return Vec::new() };
        let Some(array) = value.get_ref().as_array() else {
            self.wrong_type(value, key, &format!("a list of tables: [[{key}]]"));
            return Vec::new();
        };
        let section = |item: &'d Spanned<DeValue<'i>>| {
            let table = item.get_ref().as_table();
            if table.is_none() {
                self.wrong_type(item, key, "a table");
            }
            Some(Section::new(table?, item.span(), format!("[[{key}]]"), self.faults))
        };
        array.iter().filter_map(section).collect()
    }

    /// A list of bit patterns of at most `bits` bits; negative ones are two's complement.
    pub(super) fn patterns(&self, key: &'static str, bits: u32) -> Vec<u64> {
        let Some(value) = self.get(key) else { return Vec::new() };
        let Some(array) = value.get_ref().as_array() else {
            self.wrong_type(value, key, "a list of whole numbers");
            return Vec::new();
        };
        let pattern = |item: &Spanned<DeValue<'i>>| {
            let pattern = pattern(item.get_ref(), bits);
            if pattern.is_none() {
                self.wrong_type(item, key, &format!("a whole number of at most {bits} bits"));
            }
            pattern
        };
        array.iter().filter_map(pattern).collect()
    }

    /// A list of pairs of whole numbers, the first of which is not the greater.
    pub(super) fn stretches(&self, key: &'static str, within: RangeInclusive<u64>) -> Vec<(u64, u64)> {
        let Some(value) = self.get(key) else { return Vec::new() };
        let stretch = |item: &Spanned<DeValue<'i>>| {
            let pair = item.get_ref().as_array().filter(|pair| pair.len() == 2)?;
            let (first, last) = (integer(pair.first()?.get_ref())?, integer(pair.get(1)?.get_ref())?);
            (first <= last && within.contains(&first) && within.contains(&last)).then_some((first, last))
        };
        let stretches = value.get_ref().as_array().and_then(|items| items.iter().map(stretch).collect());
        if stretches.is_none() {
            let wanted = format!(
                "a list of stretches, such as [[18, 19]], from {} to {}",
                within.start(),
                within.end()
            );
            self.wrong_type(value, key, &wanted);
        }
        stretches.unwrap_or_default()
    }

    /// A table whose keys are whole numbers (`0x1F` or `31`), and what `read` makes of its values.
    pub(super) fn codes<T>(
        &self,
        key: &'static str,
        within: RangeInclusive<u64>,
        read: impl Fn(&Spanned<DeValue<'i>>) -> Option<T>,
    ) -> Option<std::collections::BTreeMap<u64, T>> {
        let codes = self.section(key)?;
        let mut map = std::collections::BTreeMap::new();
        for (name, value) in codes.table {
            let code = parse_integer(name.get_ref()).filter(|code| within.contains(code));
            let Some(code) = code else {
                let hint = format!("a whole number from {} to {}", within.start(), within.end());
                self.faults.note_with(name.span(), format!("{key}: {:?} is no code", name.get_ref()), hint);
                continue;
            };
            let Some(read) = read(value) else { continue };
            if map.insert(code, read).is_some() {
                self.faults.note(name.span(), format!("{key}: code {code} stands there twice"));
            }
        }
        Some(map)
    }

    pub(super) fn wrong_type(&self, value: &Spanned<DeValue<'i>>, key: &str, wanted: &str) {
        self.faults.note(value.span(), format!("{key} must be {wanted}"));
    }

    /// Reports every key that nobody asked for.
    pub(super) fn finish(self) {
        let asked = self.asked.into_inner();
        for name in self.table.keys().filter(|name| !asked.contains(name.get_ref().as_ref())) {
            let known: Vec<&str> = asked.iter().copied().collect();
            let message = format!("{} has no key {:?}", self.name, name.get_ref());
            self.faults.note_with(name.span(), message, format!("known keys: {}", known.join(", ")));
        }
    }
}

pub(super) fn integer(value: &DeValue<'_>) -> Option<u64> {
    let integer = value.as_integer()?;
    u64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

fn pattern(value: &DeValue<'_>, bits: u32) -> Option<u64> {
    let integer = value.as_integer()?;
    let number = i128::from_str_radix(integer.as_str(), integer.radix()).ok()?;
    let span = 1_i128.checked_shl(bits)?;
    let pattern =
        if number < 0 { number.checked_add(span).filter(|pattern| *pattern >= span / 2)? } else { number };
    u64::try_from(pattern).ok().filter(|pattern| i128::from(*pattern) < span)
}

pub(super) fn decimal(value: &DeValue<'_>) -> Option<Number> {
    let text = match value {
        DeValue::Integer(integer) if integer.radix() == 10 => integer.as_str(),
        DeValue::Float(float) => float.as_str(),
        _ => return None,
    };
    text.strip_prefix('+').unwrap_or(text).parse().ok()
}

/// A number as a key: TOML keys are texts.
fn parse_integer(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(hex) if hex.bytes().all(|byte| byte.is_ascii_hexdigit()) => u64::from_str_radix(hex, 16).ok(),
        None if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
        _ => None,
    }
}
