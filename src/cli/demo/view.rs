//! The view: a snapshot in, a picture out. Nothing here asks, waits or remembers, but for which meter is chosen.
//!
//! Every state has its word beside its colour, and colours are the terminal's own eight on its own background, so that
//! it reads on dark and on light, and without any.

mod broker;
mod lines;
mod log;
mod meters;
mod outbox;
#[cfg(test)]
pub(super) mod tests;

use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, BorderType, Paragraph, TableState};

use super::broker::Plug;
use super::snapshot::Snapshot;

/// Below this the panels would have no room for their figures.
const SMALLEST: (u16, u16) = (70, 20);

/// From this width on both halves have room to grow.
const ROOMY: u16 = 110;

/// All is well.
const GOOD: Style = Style::new().fg(Color::Green);
/// Something is wrong.
const BAD: Style = Style::new().fg(Color::Red).add_modifier(Modifier::BOLD);
/// Worth a look.
const ODD: Style = Style::new().fg(Color::Magenta);
/// Beside the point.
const FAINT: Style = Style::new().add_modifier(Modifier::DIM);
/// A figure that matters.
const STRONG: Style = Style::new().add_modifier(Modifier::BOLD);

/// Which meter is chosen.
#[derive(Debug)]
pub(super) struct Choice(TableState);

impl Default for Choice {
    fn default() -> Self {
        Self(TableState::new().with_selected(0))
    }
}

impl Choice {
    /// Its place among all meters. The view keeps it within them.
    pub(super) fn index(&self) -> usize {
        self.0.selected().unwrap_or_default()
    }

    /// Moves up by so many rows.
    pub(super) fn up(&mut self, rows: u16) {
        self.0.scroll_up_by(rows);
    }

    /// Moves down by so many rows.
    pub(super) fn down(&mut self, rows: u16) {
        self.0.scroll_down_by(rows);
    }
}

/// Draws everything.
pub(super) fn draw(frame: &mut Frame<'_>, snapshot: &Snapshot, choice: &mut Choice) {
    let area = frame.area();
    if area.width < SMALLEST.0 || area.height < SMALLEST.1 {
        let (width, height) = SMALLEST;
        let text = format!("weir demo runs; its view needs {width} x {height} characters. q quits.");
        return frame.render_widget(Paragraph::new(text).wrap(ratatui::widgets::Wrap { trim: true }), area);
    }
    // The panels above grow with the terminal, slowly: most of a tall one is for the meters.
    let upper = Constraint::Length((area.height / 4).clamp(7, 14));
    let [top, note, upper, lower, keys] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        upper,
        Constraint::Fill(1),
        Constraint::Length(1),
    ])
    .areas(area);
    frame.render_widget(title(snapshot), top);
    frame.render_widget(Line::styled(NOTE, FAINT), note);
    // The left half has what is counted in columns, the right half what is read as text.
    let left = if area.width < ROOMY { Constraint::Length(43) } else { Constraint::Percentage(60) };
    let columns = Layout::horizontal([left, Constraint::Fill(1)]);
    let [lines, outbox] = columns.areas(upper);
    let [meters, right] = columns.areas(lower);
    let [broker, log] = Layout::vertical([Constraint::Percentage(45), Constraint::Fill(1)]).areas(right);
    lines::draw(frame, lines, snapshot);
    outbox::draw(frame, outbox, snapshot);
    meters::draw(frame, meters, snapshot, choice);
    broker::draw(frame, broker, snapshot);
    log::draw(frame, log, snapshot);
    frame.render_widget(self::keys(snapshot, choice), keys);
}

const NOTE: &str = " Meters are read every few seconds here; a real gateway polls each quarter hour.";

fn title(snapshot: &Snapshot) -> Line<'static> {
    let mut spans = vec![" weir demo ".bold().reversed(), Span::raw(format!(" {}", clock(snapshot.running)))];
    if let Some(left) = snapshot.left {
        spans.push(Span::raw(format!(", {} left", clock(left))));
    }
    spans.push(Span::raw(format!("  {}  ", snapshot.broker)));
    if snapshot.stopping {
        spans.push(" stopping ".reversed());
    }
    spans.into()
}

fn keys(snapshot: &Snapshot, choice: &Choice) -> Line<'static> {
    let plug = match snapshot.plug {
        Some(Plug::In) => "pull the plug",
        Some(Plug::Out) => "PUT IT BACK",
        None => "(real broker)",
    };
    let chosen = snapshot.meters().nth(choice.index());
    let is_killed = chosen.is_some_and(|(_, meter)| snapshot.killed.contains(&meter.id));
    let is_unplugged = chosen.is_some_and(|(line, _)| snapshot.unplugged.contains(&line.name));
    let keys = [
        ("p", plug),
        ("↑↓", "choose"),
        ("m", if is_killed { "revive meter" } else { "kill meter" }),
        ("l", if is_unplugged { "plug in line" } else { "unplug line" }),
        ("q", "quit"),
    ];
    let key = |(key, does): (&'static str, &'static str)| {
        [Span::raw(" "), Span::styled(format!("[{key}]"), STRONG), Span::raw(format!(" {does}"))]
    };
    keys.into_iter().flat_map(key).collect()
}

/// A panel's frame. Its title is a list of words, so that some can have a colour.
fn panel<'a>(title: impl Into<Line<'a>>) -> Block<'a> {
    Block::bordered().border_type(BorderType::Rounded).border_style(FAINT).title(title.into())
}

/// The inner area of a panel, after its frame has been drawn.
fn framed(frame: &mut Frame<'_>, area: Rect, block: Block<'_>) -> Rect {
    let inner = block.inner(area);
    frame.render_widget(block, area);
    inner
}

/// `1:02`, `1:02:03`.
fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

/// An age in at most four characters: `7s`, `12m`, `3h`.
fn age(seconds: i64) -> String {
    match seconds.max(0) {
        seconds @ 0..100 => format!("{seconds}s"),
        seconds @ 100..6000 => format!("{}m", seconds / 60),
        seconds => format!("{}h", seconds / 3600),
    }
}
