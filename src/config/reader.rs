//! Reads tables of a spanned TOML document key by key: expects a kind of value, records a fault where another one
//! stands, and remembers what was asked for, so that what is left over is an unknown key.
//!
//! It knows nothing about gateways and meters; `file` says which keys there are.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

use super::notice::Findings;
use super::quantity::{DURATION_HINT, SIZE_HINT, parse_duration, parse_size};
use super::source::{At, Place};

/// The name of a table in messages: its header, `[outbox]` or `[[lines]]`. The document's top has none.
pub(super) type Section = &'static str;

/// One pass over one or more documents.
pub(super) struct Pass<'f> {
    pub(super) findings: &'f mut Findings,
    /// Every key that was asked for, in every table.
    pub(super) asked: BTreeSet<(Section, &'static str)>,
    unknown: Vec<Unknown>,
}

struct Unknown {
    section: Section,
    table: Place,
    key: At<String>,
    /// The keys that this table does have.
    known: Vec<&'static str>,
}

impl<'f> Pass<'f> {
    pub(super) fn new(findings: &'f mut Findings) -> Self {
        Self { findings, asked: BTreeSet::new(), unknown: Vec::new() }
    }

    /// Reads one table; every key in it that is not asked for is unknown.
    pub(super) fn table<T>(
        &mut self,
        section: Section,
        table: &DeTable<'_>,
        place: Place,
        read: impl FnOnce(&mut Reader<'_, '_, 'f>) -> T,
    ) -> T {
        let mut reader = Reader { pass: self, table, place, asked: Vec::new() };
        let result = read(&mut reader);
        let (asked, place) = (reader.asked, reader.place);
        for key in table.keys().filter(|key| !asked.contains(&key.get_ref().as_ref())) {
            let key = At { value: key.get_ref().to_string(), place: place_of(place.file, key) };
            self.unknown.push(Unknown { section, table: place.clone(), key, known: asked.clone() });
        }
        self.asked.extend(asked.into_iter().map(|key| (section, key)));
        result
    }

    /// Reports the unknown keys, once it is known which keys there are elsewhere.
    pub(super) fn finish(self) {
        for Unknown { section, table, key, known } in self.unknown {
            let near = nearest(&key.value, known.iter().copied());
            let elsewhere = self.asked.iter().find(|(_, name)| *name == key.value);
            let hint = match (near, elsewhere) {
                (Some(near), _) => {
                    self.findings.spoil(&table, near);
                    format!("did you mean `{near}`?")
                }
                (None, Some(("", _))) => {
                    "it belongs at the top of the main file, before the first [table]".to_owned()
                }
                (None, Some((other, _))) => format!("it belongs in {other}"),
                (None, None) => format!("known keys: {}", known.join(", ")),
            };
            let of = if section.is_empty() { String::new() } else { format!(" in {section}") };
            let message = format!("unknown key `{}`{of}", key.value.escape_debug());
            self.findings.fault(&key.place, message).hint(hint);
        }
    }
}

/// The known word that was probably meant.
pub(super) fn nearest<'w>(typed: &str, known: impl Iterator<Item = &'w str>) -> Option<&'w str> {
    // Longer than any key: no slip of the hand, and comparing takes time with the square of the length.
    if typed.len() > 64 {
        return None;
    }
    let typed = typed.to_ascii_lowercase().replace('-', "_");
    known
        .map(|word| (strsim::damerau_levenshtein(&typed, &word.replace('-', "_")), word))
        .filter(|(distance, word)| *distance <= 1 + word.len() / 5)
        .min()
        .map(|(_, word)| word)
}

/// One table while it is read.
pub(super) struct Reader<'r, 't, 'f> {
    pass: &'r mut Pass<'f>,
    table: &'r DeTable<'t>,
    /// The table's header.
    pub(super) place: Place,
    asked: Vec<&'static str>,
}

impl<'r, 't> Reader<'r, 't, '_> {
    /// A string.
    pub(super) fn text(&mut self, key: &'static str) -> Option<At<String>> {
        self.take(key, "a string", text_of)
    }

    /// A list of strings.
    pub(super) fn texts(&mut self, key: &'static str) -> Option<Vec<At<String>>> {
        let (value, file) = self.find(key)?;
        let items = value.get_ref().as_array().map(|items| {
            items
                .iter()
                .map(|item| text_of(item).map(|value| At { value, place: place_of(file, item) }))
                .collect()
        });
        let texts: Option<Vec<_>> = items.flatten();
        if texts.is_none() {
            self.mistyped(key, "a list of strings", value);
        }
        texts
    }

    /// A whole number that an `i64` can hold.
    pub(super) fn integer(&mut self, key: &'static str) -> Option<At<i64>> {
        self.take(key, "a whole number", |value| value.get_ref().as_integer().and_then(integer_of))
    }

    /// `true` or `false`.
    pub(super) fn flag(&mut self, key: &'static str) -> Option<At<bool>> {
        self.take(key, "true or false", |value| value.get_ref().as_bool())
    }

    /// A duration with its unit.
    pub(super) fn duration(&mut self, key: &'static str) -> Option<At<Duration>> {
        let hint = DURATION_HINT;
        self.take_hinted(key, "a duration", hint, |value| value.get_ref().as_str().and_then(parse_duration))
    }

    /// A point in time: RFC 3339 in quotes, or without them, as TOML has it too.
    pub(super) fn time(&mut self, key: &'static str) -> Option<At<Timestamp>> {
        let hint = "write date, time and zone: \"2027-06-30T22:00:00Z\"";
        self.take_hinted(key, "a time", hint, |value| match value.get_ref() {
            DeValue::Datetime(time) => time.to_string().parse().ok(),
            value => value.as_str()?.parse().ok(),
        })
    }

    /// A size with its unit, in bytes.
    pub(super) fn size(&mut self, key: &'static str) -> Option<At<u64>> {
        self.take_hinted(key, "a size", SIZE_HINT, |value| value.get_ref().as_str().and_then(parse_size))
    }

    /// One of a few words.
    pub(super) fn choice<T: Clone>(
        &mut self,
        key: &'static str,
        words: &[(&'static str, T)],
    ) -> Option<At<T>> {
        let typed = self.text(key)?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == typed.value) {
            return Some(At { value: value.clone(), place: typed.place });
        }
        self.pass.findings.spoil(&self.place, key);
        let hint = match nearest(&typed.value, words.iter().map(|(word, _)| *word)) {
            Some(word) => format!("did you mean \"{word}\"?"),
            None => {
                let all: Vec<_> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
                format!("write {}", all.join(" or "))
            }
        };
        self.pass.findings.fault(&typed.place, format!("`{key}` cannot be {:?}", typed.value)).hint(hint);
        None
    }

    /// A whole number or a string, told apart by how it is written.
    pub(super) fn number_or_text(&mut self, key: &'static str) -> Option<At<NumberOrText>> {
        self.take(key, "a whole number or a string", |value| match value.get_ref() {
            DeValue::Integer(integer) => integer_of(integer).map(NumberOrText::Number),
            _ => text_of(value).map(NumberOrText::Text),
        })
    }

    /// A table within this one, called `section` in messages.
    pub(super) fn table<T>(
        &mut self,
        key: &'static str,
        section: Section,
        read: impl FnOnce(&mut Reader<'_, '_, '_>) -> T,
    ) -> Option<T> {
        let (value, file) = self.find(key)?;
        let Some(table) = value.get_ref().as_table() else {
            self.mistyped(key, "a table", value);
            return None;
        };
        Some(self.pass.table(section, table, place_of(file, value), |reader| read(reader)))
    }

    /// A list of tables, each called `section` in messages.
    pub(super) fn tables<T>(
        &mut self,
        key: &'static str,
        section: Section,
        mut read: impl FnMut(&mut Reader<'_, '_, '_>) -> T,
    ) -> Vec<T> {
        self.listed(key, section, &format!("write {section}, with two brackets, once for each"), &mut read)
            .map(|listed| listed.value)
            .unwrap_or_default()
    }

    /// A list of tables, where an empty one is not the same as none.
    pub(super) fn listed<T>(
        &mut self,
        key: &'static str,
        section: Section,
        hint: &str,
        mut read: impl FnMut(&mut Reader<'_, '_, '_>) -> T,
    ) -> Option<At<Vec<T>>> {
        let (value, file) = self.find(key)?;
        let Some(items) = value.get_ref().as_array() else {
            self.mistyped(key, "a list of tables", value).hint(hint);
            return None;
        };
        let mut results = Vec::new();
        for item in items.iter() {
            match item.get_ref().as_table() {
                Some(table) => {
                    results
                        .push(self.pass.table(section, table, place_of(file, item), |reader| read(reader)));
                }
                None => drop(self.mistyped(key, "a list of tables", item)),
            }
        }
        Some(At { value: results, place: place_of(file, value) })
    }

    /// Every scalar in a table whose keys are not ours, under its whole dotted name: `a.b = 1` and `"a.b" = 1` are the
    /// same to whoever reads them. The place is the key's, since the value may be a secret.
    pub(super) fn foreign(&mut self, key: &'static str) -> Vec<(At<String>, String)> {
        let Some((value, file)) = self.find(key) else { return Vec::new() };
        let mut found = Vec::new();
        match value.get_ref().as_table() {
            Some(table) => self.flatten(file, "", table, &mut found),
            None => drop(self.mistyped(key, "a table", value)),
        }
        found
    }

    fn flatten(
        &mut self,
        file: usize,
        prefix: &str,
        table: &DeTable<'_>,
        found: &mut Vec<(At<String>, String)>,
    ) {
        for (key, value) in table {
            let name = format!("{prefix}{}", key.get_ref());
            let place = place_of(file, key);
            let scalar = match value.get_ref() {
                DeValue::Table(inner) => {
                    self.flatten(file, &format!("{name}."), inner, found);
                    continue;
                }
                DeValue::String(text) => Some(text.to_string()),
                DeValue::Integer(integer) => integer_of(integer).map(|number| number.to_string()),
                DeValue::Boolean(flag) => Some(flag.to_string()),
                _ => None,
            };
            match scalar {
                Some(scalar) => found.push((At { value: name, place }, scalar)),
                None => {
                    let message =
                        format!("`{}` must be a string, a whole number, true or false", name.escape_debug());
                    self.pass.findings.fault(&place, message);
                }
            }
        }
    }

    fn take<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        read: impl FnOnce(&Spanned<DeValue<'t>>) -> Option<T>,
    ) -> Option<At<T>> {
        let (value, file) = self.find(key)?;
        let read = read(value);
        if read.is_none() {
            self.mistyped(key, expected, value);
        }
        read.map(|read| At { value: read, place: place_of(file, value) })
    }

    fn take_hinted<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        hint: &str,
        read: impl FnOnce(&Spanned<DeValue<'t>>) -> Option<T>,
    ) -> Option<At<T>> {
        let (value, file) = self.find(key)?;
        let read = read(value);
        if read.is_none() {
            let place = place_of(file, value);
            self.pass.findings.fault(&place, format!("`{key}` must be {expected}")).hint(hint);
        }
        read.map(|read| At { value: read, place: place_of(file, value) })
    }

    fn find(&mut self, key: &'static str) -> Option<(&'r Spanned<DeValue<'t>>, usize)> {
        self.asked.push(key);
        self.table.get(key).map(|value| (value, self.place.file))
    }

    fn mistyped(
        &mut self,
        key: &str,
        expected: &str,
        value: &Spanned<DeValue<'_>>,
    ) -> &mut super::notice::Notice {
        let place = place_of(self.place.file, value);
        self.pass.findings.spoil(&self.place, key);
        let message = format!("`{key}` must be {expected}, not {}", kind_of(value.get_ref()));
        self.pass.findings.fault(&place, message)
    }
}

/// A value of which the rest of the table says what it should have been.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NumberOrText {
    Number(i64),
    Text(String),
}

fn place_of<T>(file: usize, spanned: &Spanned<T>) -> Place {
    let span = spanned.span();
    Place { file, start: span.start, end: span.end }
}

fn text_of(value: &Spanned<DeValue<'_>>) -> Option<String> {
    value.get_ref().as_str().map(str::to_owned)
}

fn integer_of(integer: &DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

fn kind_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(integer) if integer_of(integer).is_none() => "a number beyond 64 bits",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
