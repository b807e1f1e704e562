//! The end of the daemon's log.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;
use tracing::Level;

use super::{BAD, FAINT, ODD, age, framed, panel};
use crate::cli::demo::log::Entry;
use crate::cli::demo::snapshot::Snapshot;

/// Rows of one entry. The message stands first, so that it is a list of fields that is cut off.
const ROWS_MAX: usize = 2;
/// Columns of an entry's age.
const AGE: usize = 4;

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, snapshot: &Snapshot) {
    let inner = framed(frame, area, panel(" Daemon's log, latest first "));
    let columns = usize::from(inner.width).saturating_sub(AGE + 1).max(1);
    let entries = snapshot.log.iter().rev().take(usize::from(inner.height));
    let rows: Vec<Line<'_>> = entries.flat_map(|entry| rows(snapshot, entry, columns)).collect();
    frame.render_widget(Paragraph::new(rows), inner);
}

fn rows(snapshot: &Snapshot, entry: &Entry, columns: usize) -> Vec<Line<'static>> {
    let style = match entry.level {
        Level::ERROR => BAD,
        Level::WARN => ODD,
        _ => Style::new(),
    };
    let when = age(snapshot.now.as_second() - entry.at.as_second());
    let row = |(number, text): (usize, String)| {
        let when = if number == 0 { when.as_str() } else { "" };
        Line::from(vec![Span::styled(format!("{when:>AGE$} "), FAINT), Span::styled(text, style)])
    };
    wrapped(&entry.text, columns).into_iter().enumerate().map(row).collect()
}

/// Broken at spaces where there are any; what does not fit ends in an ellipsis.
fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let mut rows = Vec::new();
    let mut rest: Vec<char> = text.trim().chars().collect();
    while rest.len() > columns && rows.len() + 1 < ROWS_MAX {
        let space = rest.iter().take(columns + 1).rposition(|letter| *letter == ' ').filter(|at| *at > 0);
        let after = rest.split_off(space.unwrap_or(columns));
        rows.push(rest.into_iter().collect());
        rest = after.into_iter().skip_while(|letter| *letter == ' ').collect();
    }
    if rest.len() > columns {
        rest.truncate(columns.saturating_sub(1));
        rest.push('…');
    }
    rows.push(rest.into_iter().collect());
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_entries_are_broken_at_spaces_and_cut_after_two_rows() {
        assert_eq!(wrapped("weir started", 20), ["weir started"]);
        assert_eq!(wrapped("weir started lines=3", 13), ["weir started", "lines=3"]);
        assert_eq!(wrapped("one two three four five six", 9), ["one two", "three fo…"]);
        assert_eq!(wrapped("/a/very/long/path", 8), ["/a/very/", "long/pa…"]);
        assert_eq!(wrapped("", 8), [""]);
        assert_eq!(wrapped("äöü äöü äöü", 1), ["ä", "…"]);
    }
}
