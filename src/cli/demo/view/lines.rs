//! The lines: whether each is up, and how busy.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Color;
use ratatui::text::{Line, Span};

use super::{BAD, FAINT, GOOD, STRONG, framed, panel};
use crate::cli::demo::snapshot::Snapshot;
use crate::line::LineStatus;

/// Characters of a load's bar.
const BAR: usize = 10;

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, snapshot: &Snapshot) {
    let meters = snapshot.meters().count();
    let (polled, answered) = snapshot.polls();
    let block = panel(format!(" {} lines, {meters} meters ", snapshot.lines.len()))
        .title_bottom(format!(" polled {polled}, answered {answered} "));
    let inner = framed(frame, area, block);
    let mut rows: Vec<Line<'_>> = Vec::new();
    for (line, load) in snapshot.lines.iter().zip(&snapshot.loads) {
        rows.push(row(line, *load));
        rows.extend(trouble(line));
    }
    frame.render_widget(ratatui::widgets::Paragraph::new(rows), inner);
}

fn row(line: &LineStatus, load: f64) -> Line<'_> {
    let state = if line.up { Span::styled("up  ", GOOD) } else { Span::styled("down", BAD) };
    // Tenths of a line are few enough to be counted.
    let filled = (0..BAR)
        .filter(|&tenth| f64::from(u8::try_from(tenth).unwrap_or(u8::MAX)) + 0.5 <= load * 10.0)
        .count();
    let bar = Span::styled("█".repeat(filled), Color::Cyan);
    let rest = Span::styled("░".repeat(BAR - filled), FAINT);
    let name = Span::styled(format!(" {:8} ", line.name), STRONG);
    let percent = format!(" {:3.0}% busy", load * 100.0);
    vec![name, state, Span::raw("  "), bar, rest, Span::raw(percent)].into()
}

/// Why a line is down, or pauses.
fn trouble(line: &LineStatus) -> Option<Line<'_>> {
    let why = line.down_reason.as_deref().filter(|_| !line.up).or(line.paused_reason.as_deref())?;
    Some(Line::styled(format!("   {why}"), BAD))
}
