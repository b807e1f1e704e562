//! What is said about a configuration: faults and warnings, collected first, sorted and shown together at the end.

use std::collections::HashSet;
use std::path::PathBuf;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use super::source::{Place, Sources, cover_keys};
use crate::limits::CONFIG_NOTICES_MAX;

/// How much a notice matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Nothing is started with such a configuration.
    Fault,
    /// It works, though perhaps not as meant.
    Warning,
}

/// One thing said about a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// How much it matters.
    pub severity: Severity,
    /// What is wrong, in one sentence. Never holds a secret.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// Where; `None` when it is about no place in a file that could be read.
    pub location: Option<Location>,
    place: Option<Place>,
    /// Another place that matters, and what stands there.
    also: Option<(Place, String)>,
}

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// The file, as it was named or found.
    pub file: PathBuf,
    /// Counted from 1.
    pub line: usize,
    /// In characters, counted from 1.
    pub column: usize,
}

impl Notice {
    fn new(severity: Severity, message: impl Into<String>) -> Self {
        Self {
            severity,
            message: printable(&message.into()),
            hint: None,
            location: None,
            place: None,
            also: None,
        }
    }

    pub(super) fn hint(&mut self, hint: impl Into<String>) -> &mut Self {
        self.hint = Some(printable(&hint.into()));
        self
    }

    pub(super) fn also(&mut self, place: &Place, what: impl Into<String>) -> &mut Self {
        self.also = Some((place.clone(), what.into()));
        self
    }

    /// As a person reads it: the message, the line it is about with a mark under the text, and the hint.
    fn render(&self, sources: &Sources, renderer: &Renderer) -> String {
        let level = match self.severity {
            Severity::Fault => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let mut group = Group::with_title(level.primary_title(self.message.as_str()));
        if let Some(place) = &self.place {
            group = group.element(snippet(sources, place, AnnotationKind::Primary, None));
        }
        if let Some((place, what)) = &self.also {
            group = group.element(snippet(sources, place, AnnotationKind::Context, Some(what)));
        }
        if let Some(hint) = &self.hint {
            group = group.element(Level::HELP.message(hint.as_str()));
        }
        renderer.render(&[group])
    }
}

/// Names and paths come from the file, and a terminal obeys what is in them; and one may be a key that was typed in the place
/// of a path.
fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() && c != '\n' {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    cover_keys(shown)
}

fn snippet<'s>(
    sources: &'s Sources,
    place: &Place,
    kind: AnnotationKind,
    label: Option<&'s String>,
) -> Snippet<'s, annotate_snippets::Annotation<'s>> {
    let (line, span) = sources.excerpt(place);
    Snippet::source(line)
        .line_start(sources.line_and_column(place).0)
        .path(printable(&sources.path(place.file).to_string_lossy()))
        .annotation(kind.span(span).label(label.map(String::as_str)))
}

/// Collects notices while a configuration is read.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) sources: Sources,
    notices: Vec<Notice>,
    /// Keys, by their table, that a notice has been given for already: they are not missing as well.
    spoilt: HashSet<(Place, String)>,
}

impl Findings {
    /// A fault of this place.
    pub(super) fn fault(&mut self, place: &Place, message: impl Into<String>) -> &mut Notice {
        self.push(Severity::Fault, Some(place), message)
    }

    /// A warning about this place.
    pub(super) fn warn(&mut self, place: &Place, message: impl Into<String>) -> &mut Notice {
        self.push(Severity::Warning, Some(place), message)
    }

    /// A fault that has no place in a text.
    pub(super) fn fault_of_file(&mut self, message: impl Into<String>) -> &mut Notice {
        self.push(Severity::Fault, None, message)
    }

    /// A warning that has no place in a text.
    pub(super) fn warn_of_file(&mut self, message: impl Into<String>) -> &mut Notice {
        self.push(Severity::Warning, None, message)
    }

    /// This key of this table could not be read, or was meant by one that is not known.
    pub(super) fn spoil(&mut self, table: &Place, key: &str) {
        self.spoilt.insert((table.clone(), key.to_owned()));
    }

    /// Whether a key that is missing has been spoken of already.
    pub(super) fn is_spoilt(&self, table: &Place, key: &str) -> bool {
        self.spoilt.contains(&(table.clone(), key.to_owned()))
    }

    /// A fault of the table when a key that it needs is not there.
    pub(super) fn require<T>(&mut self, key: &str, value: &Option<T>, table: &Place, hint: &str) {
        if value.is_none() && !self.is_spoilt(table, key) {
            self.fault(table, format!("`{key}` is missing")).hint(hint);
        }
    }

    pub(super) fn has_faults(&self) -> bool {
        self.notices.iter().any(|notice| notice.severity == Severity::Fault)
    }

    fn push(&mut self, severity: Severity, place: Option<&Place>, message: impl Into<String>) -> &mut Notice {
        let mut notice = Notice::new(severity, message);
        notice.place = place.cloned();
        let index = self.notices.len();
        self.notices.push(notice);
        // Just pushed; a slice pattern would say it no better.
        #[expect(
            clippy::indexing_slicing,
            reason = "the element at the old length was pushed in the line above"
        )]
        &mut self.notices[index]
    }

    /// Everything found, in the order of the files and places, each thing once: a default of a line that is wrong is
    /// found again at every meter that uses it.
    pub(super) fn finish(mut self) -> (Sources, Vec<Notice>) {
        self.notices.sort_by(|a, b| a.place.cmp(&b.place));
        self.notices.dedup_by(|a, b| a.place.is_some() && a.place == b.place && a.message == b.message);
        let beyond = self.notices.len().saturating_sub(CONFIG_NOTICES_MAX);
        if beyond > 0 {
            // A fault that is not listed is a fault all the same.
            let severity = if self.has_faults() { Severity::Fault } else { Severity::Warning };
            self.notices.truncate(CONFIG_NOTICES_MAX);
            self.notices.push(Notice::new(severity, format!("{beyond} more, not listed")));
        }
        for notice in &mut self.notices {
            notice.location = notice.place.as_ref().map(|place| {
                let (line, column) = self.sources.line_and_column(place);
                Location { file: self.sources.path(place.file).to_owned(), line, column }
            });
        }
        (self.sources, self.notices)
    }
}

/// All notices as text, each followed by an empty line; with `colour` in the terminal's colours.
pub(super) fn render<'n>(
    notices: impl Iterator<Item = &'n Notice>,
    sources: &Sources,
    colour: bool,
) -> String {
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    notices.map(|notice| notice.render(sources, &renderer) + "\n\n").collect()
}
