//! The meters: last reading, its age, state; below, the last fault of the one that is chosen.

use jiff::Timestamp;
use ratatui::Frame;
use ratatui::layout::{Constraint, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::{Row, Table};

use super::{BAD, Choice, FAINT, GOOD, ODD, age, panel};
use crate::cli::demo::snapshot::Snapshot;
use crate::line::{LineStatus, MeterState, MeterStatus};

/// From this width on there is room for the line, the polls and the last fault of every meter.
const WIDE: u16 = 80;

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, snapshot: &Snapshot, choice: &mut Choice) {
    let is_wide = area.width >= WIDE;
    let rows: Vec<Row<'_>> =
        snapshot.meters().map(|(line, meter)| row(snapshot, line, meter, is_wide)).collect();
    let count = rows.len();
    choice.0.select(Some(choice.index().min(count.saturating_sub(1))));
    let chosen = snapshot.meters().nth(choice.index()).map(|(_, meter)| meter);
    let title = format!(" Meters {}/{count} ", choice.index() + 1);
    let block = panel(title).title_bottom(chosen.map_or_else(Line::default, last_fault));
    let mut widths = vec![
        Constraint::Length(6),
        Constraint::Length(6),
        Constraint::Length(14),
        Constraint::Length(4),
        Constraint::Length(8),
    ];
    if is_wide {
        widths.extend([Constraint::Length(8), Constraint::Length(9), Constraint::Fill(1)]);
    }
    let mut header = vec![" meter".into(), "driver".into(), right("reading"), right("age"), "state".into()];
    if is_wide {
        header.extend(["line", "answered", "last fault"].map(Text::from));
    }
    let table = Table::new(rows, widths)
        .column_spacing(1)
        .header(Row::new(header).style(FAINT))
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED))
        .block(block);
    frame.render_stateful_widget(table, area, &mut choice.0);
}

fn row<'a>(snapshot: &'a Snapshot, line: &'a LineStatus, meter: &'a MeterStatus, is_wide: bool) -> Row<'a> {
    let is_killed = snapshot.killed.contains(&meter.id);
    let mark = if is_killed { Span::styled("✗", BAD) } else { Span::raw(" ") };
    let reading = meter.last_reading.as_ref();
    let volume = reading.and_then(|reading| match (&reading.volume, &reading.unit) {
        (Some(volume), Some(unit)) => Some(format!("{volume} {unit}")),
        (volume, _) => volume.as_ref().map(ToString::to_string),
    });
    let seconds = reading.map(|reading| snapshot.now.as_second() - reading.read_at.as_second());
    let protocol = snapshot.protocols.get(&meter.id).copied().unwrap_or_default();
    let mut cells = vec![
        Text::from(Line::from(vec![mark, Span::raw(meter.id.as_str())])),
        Text::styled(protocol, FAINT),
        Text::from(volume.unwrap_or_else(|| "-".into())).right_aligned(),
        Text::from(seconds.map(age).unwrap_or_default()).right_aligned(),
        state(meter),
    ];
    if is_wide {
        let counters = meter.counters;
        cells.push(Text::styled(line.name.as_str(), FAINT));
        cells.push(Text::from(format!("{}/{}", counters.answered, counters.polls)));
        cells.push(Text::styled(fault(meter, snapshot.now).unwrap_or_default(), FAINT));
    }
    Row::new(cells)
}

fn right(text: &str) -> Text<'_> {
    Text::from(text).right_aligned()
}

fn state(meter: &MeterStatus) -> Text<'static> {
    match meter.state {
        MeterState::Ok if meter.last_reading.is_none() => Text::styled("waiting", FAINT),
        MeterState::Ok => Text::styled("ok", GOOD),
        MeterState::Failing => Text::styled("failing", ODD),
        MeterState::Silent => Text::styled("silent", BAD),
    }
}

/// What was wrong last, and how long ago.
fn fault(meter: &MeterStatus, now: Timestamp) -> Option<String> {
    let fault = meter.last_fault.as_ref()?;
    Some(format!("{} ago: {}", age(now.as_second() - fault.at.as_second()), fault.detail))
}

fn last_fault(meter: &MeterStatus) -> Line<'_> {
    match &meter.last_fault {
        Some(fault) => Line::from(format!(" {}: {} ", meter.id, fault.detail)),
        None => Line::from(format!(" {}: no fault so far ", meter.id)),
    }
}
