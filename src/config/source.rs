//! The texts that a configuration was read from, places in them, and what of them must never be shown.
//!
//! A message shows the line it is about, and a line can hold a password. So a text is kept only in a form in which every
//! secret has been covered by stars of the same length: places stay right, and nothing is left that could leak.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A stretch of one of the texts, in bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Place {
    pub(super) file: usize,
    pub(super) start: usize,
    pub(super) end: usize,
}

impl Place {
    /// The top of a file, which stands for its outermost table.
    pub(super) fn top_of(file: usize) -> Self {
        Self { file, start: 0, end: 0 }
    }
}

/// The main file's place among the sources.
pub(super) const MAIN: usize = 0;

/// A value as typed, and where.
#[derive(Clone, Debug)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) place: Place,
}

impl<T> At<Vec<T>> {
    /// The same list, for many to have.
    pub(super) fn into_shared(self) -> At<Arc<[T]>> {
        At { value: self.value.into(), place: self.place }
    }
}

/// Every text that was read, in the order in which they were.
#[derive(Debug, Default)]
pub(super) struct Sources {
    files: Vec<Source>,
}

#[derive(Debug)]
struct Source {
    path: PathBuf,
    /// With its secrets covered.
    shown: String,
}

impl Sources {
    /// Adds a file of which nothing may be shown yet.
    pub(super) fn add(&mut self, path: &Path) -> usize {
        self.files.push(Source { path: path.to_owned(), shown: String::new() });
        self.files.len() - 1
    }

    /// From now on this much of a file can be shown: a text without secrets, or one that [`cover`] has been over.
    pub(super) fn show(&mut self, file: usize, shown: String) {
        if let Some(source) = self.files.get_mut(file) {
            source.shown = shown;
        }
    }

    pub(super) fn path(&self, file: usize) -> &Path {
        self.files.get(file).map_or(Path::new(""), |source| &source.path)
    }

    /// A path as typed in a file: relative ones start at the directory of the file they stand in.
    pub(super) fn resolve(&self, typed: &At<String>) -> PathBuf {
        match self.path(typed.place.file).parent() {
            Some(directory) => directory.join(&typed.value),
            None => PathBuf::from(&typed.value),
        }
    }

    /// Line and column (in characters) of a place's start, both counted from 1.
    pub(super) fn line_and_column(&self, place: &Place) -> (usize, usize) {
        let before = self.shown(place.file).get(..place.start).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        (line, column)
    }

    /// The one line in which a place begins, and where in that line it stands. A place of several lines ends with its
    /// first.
    pub(super) fn excerpt(&self, place: &Place) -> (&str, Range<usize>) {
        let text = self.shown(place.file);
        let start = place.start.min(text.len());
        let begin = text.get(..start).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1);
        let rest = text.get(begin..).unwrap_or_default();
        let line = rest.split('\n').next().unwrap_or_default();
        let line = line.strip_suffix('\r').unwrap_or(line);
        let from = (start - begin).min(line.len());
        (line, from..(place.end.max(start) - begin).clamp(from, line.len()))
    }

    fn shown(&self, file: usize) -> &str {
        self.files.get(file).map_or("", |source| &source.shown)
    }
}

/// Whether what stands under this key is nobody's business.
pub(super) fn is_secret(key: &str) -> bool {
    const SIGNS: [&str; 9] =
        ["passw", "passphrase", "secret", "token", "credential", "pem", "jaas", "private", "oauthbearer"];
    // Under which a public key stands, unless somebody has pasted the private one; and that of a private key in a JWK.
    const WORDS: [&str; 2] = ["public", "d"];
    let key = key.to_ascii_lowercase();
    SIGNS.iter().any(|sign| key.contains(sign))
        || WORDS.contains(&key.trim_matches(|c: char| !c.is_ascii_alphanumeric()))
}

/// The text with every value covered that stands, at any depth, under a key that sounds secret, wherever in the file a
/// slip of the hand has put it.
pub(super) fn cover(text: &str, document: &DeTable<'_>) -> String {
    let mut spans = Vec::new();
    find_secrets(document, false, &mut spans);
    let mut shown = text.to_owned();
    for span in spans {
        star(&mut shown, span);
    }
    cover_keys(shown)
}

/// Hex digits that a meter's key has: a run of so many, or of more, is nobody's business wherever it stands.
const KEY_DIGITS: usize = 32;

/// Whether a key stands somewhere in this text.
pub(super) fn holds_key(text: &str) -> bool {
    !keys(text).is_empty()
}

/// The text with every run covered that may be a key, typed where the name of its file belongs.
pub(super) fn cover_keys(mut text: String) -> String {
    for span in keys(&text).into_iter().chain(jwk_keys(&text)) {
        star(&mut text, span);
    }
    text
}

/// What stands under `"d"` in a JWK: a private key. Its quotes may be escaped, as in a string.
fn jwk_keys(text: &str) -> Vec<Range<usize>> {
    let is_around = |c: char| c.is_whitespace() || matches!(c, '\\' | '"' | '\'' | ':' | '=');
    let is_key = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '+' | '/');
    let mut found = Vec::new();
    for (at, sign) in text.match_indices("\"d").chain(text.match_indices("'d")) {
        let from = at + sign.len();
        let rest = text.get(from..).unwrap_or_default();
        let key = rest.trim_start_matches(is_around);
        let start = from + rest.len() - key.len();
        let length = key.find(|c| !is_key(c)).unwrap_or(key.len());
        // The word itself, and no other that begins with the letter, with something set to it.
        if text.get(from..start).is_some_and(|between| between.contains([':', '='])) {
            found.push(start..start + length);
        }
    }
    found
}

/// Runs of hex digits as long as a key, whole or with single spaces or colons in them.
fn keys(text: &str) -> Vec<Range<usize>> {
    let mut keys = Vec::new();
    let (mut start, mut end, mut digits) = (0, 0, 0);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if byte.is_ascii_hexdigit() => {
                if digits == 0 {
                    start = at;
                }
                (end, digits) = (at + 1, digits + 1);
                continue;
            }
            b' ' | b':' if digits > 0 && end == at => continue,
            _ => {}
        }
        if digits >= KEY_DIGITS {
            keys.push(start..end);
        }
        digits = 0;
    }
    if digits >= KEY_DIGITS {
        keys.push(start..end);
    }
    keys
}

fn find_secrets(table: &DeTable<'_>, secret: bool, spans: &mut Vec<Range<usize>>) {
    for (key, value) in table {
        // A scalar where the table of properties belongs may well be all of them in one string.
        let misplaced = key.get_ref() == "properties" && value.get_ref().as_str().is_some();
        find_secret_values(value, secret || misplaced || is_secret(key.get_ref()), spans);
    }
}

fn find_secret_values(value: &Spanned<DeValue<'_>>, secret: bool, spans: &mut Vec<Range<usize>>) {
    match value.get_ref() {
        // The span of a table is its header, or the whole of an inline one: its values have spans of their own.
        DeValue::Table(table) => find_secrets(table, secret, spans),
        DeValue::Array(items) => items.iter().for_each(|item| find_secret_values(item, secret, spans)),
        _ if secret => spans.push(value.span()),
        _ => {}
    }
}

/// A text that could not be parsed, with all covered that may be a secret: from a word that sounds like one to the next
/// header of a table. What a value is, and where it ends, is not known here.
pub(super) fn cover_unparsed(text: &str) -> String {
    let mut shown = text.to_owned();
    let (mut at, mut covering) = (0, false);
    for line in text.split_inclusive('\n') {
        if line.trim_start().starts_with('[') {
            covering = false;
        }
        let from = if covering { Some(0) } else { secret_word_end(line) };
        if let Some(from) = from {
            star(&mut shown, at + from..at + line.len());
            covering = true;
        }
        at += line.len();
    }
    cover_keys(shown)
}

/// Where in the line the first word that sounds secret ends.
fn secret_word_end(line: &str) -> Option<usize> {
    let is_key = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let mut at = 0;
    for word in line.split_inclusive(|c| !is_key(c)) {
        at += word.len();
        if is_secret(word) {
            return Some(at);
        }
    }
    None
}

/// Covers a stretch, byte by byte, leaving its lines as they are.
fn star(text: &mut String, span: Range<usize>) {
    if let Some(secret) = text.get(span.clone()) {
        let stars: String =
            secret.bytes().map(|b| if b == b'\n' || b == b'\r' { char::from(b) } else { '*' }).collect();
        text.replace_range(span, &stars);
    }
}
