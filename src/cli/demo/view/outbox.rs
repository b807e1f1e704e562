//! The outbox: how many readings wait, and how that came about over the last seconds.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::Sparkline;

use super::{GOOD, ODD, STRONG, age, framed, panel};
use crate::cli::demo::snapshot::Snapshot;

/// A depth below this is the ordinary coming and going: it is not drawn as high as the panel.
const SCALE_MIN: u64 = 20;

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, snapshot: &Snapshot) {
    let outbox = &snapshot.outbox;
    let inner = framed(frame, area, panel(" Outbox (on disk) "));
    let [waiting, passed, graph] =
        Layout::vertical([Constraint::Length(1), Constraint::Length(1), Constraint::Fill(1)]).areas(inner);
    let style = if outbox.waiting > SCALE_MIN { ODD.patch(STRONG) } else { GOOD.patch(STRONG) };
    let mut spans = vec![Span::raw(" waiting "), Span::styled(outbox.waiting.to_string(), style)];
    if let Some(oldest) = outbox.oldest_waiting_at {
        spans.push(Span::raw(format!(", oldest {}", age(snapshot.now.as_second() - oldest.as_second()))));
    }
    frame.render_widget(Line::from(spans), waiting);
    let text = format!(" stored {}, acknowledged {}", outbox.stored, outbox.acknowledged);
    frame.render_widget(Line::from(text), passed);
    sparkline(frame, graph, snapshot);
}

/// The newest sample at the right edge.
fn sparkline(frame: &mut Frame<'_>, area: Rect, snapshot: &Snapshot) {
    let depths = &snapshot.depths;
    let columns = usize::from(area.width);
    let shown = depths.len().min(columns);
    let old = depths.iter().skip(depths.len() - shown);
    let samples: Vec<u64> = std::iter::repeat_n(&0, columns - shown).chain(old).copied().collect();
    let highest = samples.iter().copied().max().unwrap_or_default();
    let line =
        Sparkline::default().data(samples).max(highest.max(SCALE_MIN)).style(Style::new().fg(Color::Cyan));
    frame.render_widget(line, area);
    if highest > SCALE_MIN {
        let label = format!(" peak {highest}");
        frame.render_widget(Line::from(label), Rect { height: 1, ..area });
    }
}
