//! The far end: the uplink's condition, and what an independent consumer finds at the broker.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Stylize;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::{BAD, FAINT, GOOD, ODD, STRONG, framed, panel};
use crate::cli::demo::broker::Plug;
use crate::cli::demo::snapshot::Snapshot;
use crate::uplink::State;

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, snapshot: &Snapshot) {
    let mut title = vec![Span::raw(" Uplink "), state(snapshot), Span::raw(" ")];
    if snapshot.plug == Some(Plug::Out) {
        title.push(Span::styled(" PLUG PULLED ", BAD).reversed());
    }
    let inner = framed(frame, area, panel(title));
    let seen = &snapshot.arrivals;
    let mut rows = vec![Line::from(vec![
        Span::raw(" "),
        Span::styled(seen.readings.to_string(), STRONG),
        Span::raw(format!(" arrived, {} twice, {} events", seen.repeats, seen.events)),
    ])];
    rows.extend(snapshot.uplink.why.as_ref().map(|why| Line::styled(format!(" {why}"), ODD)));
    for reading in seen.latest.iter().take(usize::from(inner.height)) {
        rows.push(Line::from(vec![
            Span::raw(format!(" {:6}{:>14} ", reading.meter, reading.volume)),
            Span::styled(record(&reading.id), FAINT),
        ]));
    }
    frame.render_widget(Paragraph::new(rows), inner);
}

fn state(snapshot: &Snapshot) -> Span<'static> {
    match snapshot.uplink.state {
        State::Starting => Span::styled("starting", FAINT),
        State::Connected => Span::styled("connected", GOOD),
        State::Waiting => Span::styled("waiting", BAD),
    }
}

/// A record's id without the gateway, which is the same in all.
fn record(id: &str) -> String {
    id.split_once(':').map_or(id, |(_, record)| record).to_owned()
}
