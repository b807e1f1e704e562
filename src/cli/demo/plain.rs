//! The demo as lines: one a second, and one JSON object as the last. For pipes, logs and tests.

use std::io::{self, Write as _};
use std::time::Duration;

use super::broker::Plug;
use super::figures::Figures;
use super::snapshot::Snapshot;
use crate::uplink;

/// A line no more often than this, except when something changes.
const LINE_EVERY: Duration = Duration::from_secs(1);

/// Where the lines stand.
#[derive(Debug)]
pub(super) struct Plain {
    /// Since the start, when the next line is due.
    due: Duration,
    last: Option<(Option<Plug>, uplink::State)>,
}

impl Plain {
    /// Says what this is.
    ///
    /// # Errors
    /// When standard output is closed.
    pub(super) fn start(snapshot: &Snapshot) -> io::Result<Self> {
        let mut out = io::stdout().lock();
        let (lines, meters) = (snapshot.lines.len(), snapshot.meters().count());
        writeln!(out, "weir demo: {lines} simulated lines, {meters} meters; {}", snapshot.broker)?;
        writeln!(
            out,
            "Meters are read every few seconds here; a real gateway polls each quarter of an hour."
        )?;
        writeln!(
            out,
            "Look in from another terminal: {} outbox stats --config {}",
            // From a fresh build it is not on the path.
            std::env::args_os().next().unwrap_or_else(|| "weir".into()).display(),
            snapshot.configuration.display()
        )?;
        out.flush()?;
        Ok(Self { due: Duration::ZERO, last: None })
    }

    /// Prints a line when it is time.
    ///
    /// # Errors
    /// When standard output is closed.
    pub(super) fn show(&mut self, snapshot: &Snapshot) -> io::Result<()> {
        let now = Some((snapshot.plug, snapshot.uplink.state));
        if snapshot.running < self.due && now == self.last {
            return Ok(());
        }
        (self.due, self.last) = (snapshot.running + LINE_EVERY, now);
        let mut out = io::stdout().lock();
        writeln!(out, "{}", line(snapshot))?;
        out.flush()
    }

    /// Prints the JSON object.
    ///
    /// # Errors
    /// When standard output is closed.
    pub(super) fn finish(self, figures: &Figures) -> io::Result<()> {
        let mut out = io::stdout().lock();
        writeln!(out, "{}", figures.json()?)?;
        out.flush()
    }
}

fn line(snapshot: &Snapshot) -> String {
    let (polled, answered) = snapshot.polls();
    let plug = match snapshot.plug {
        Some(Plug::Out) => ", plug out",
        Some(Plug::In) | None => "",
    };
    format!(
        "{:5.1} s  polled {polled}  answered {answered}  stored {}  acknowledged {}  waiting {}  arrived {}  uplink {}{plug}",
        snapshot.running.as_secs_f64(),
        snapshot.outbox.stored,
        snapshot.outbox.acknowledged,
        snapshot.outbox.waiting,
        snapshot.arrivals.readings,
        state(snapshot.uplink.state),
    )
}

/// The uplink's state in a word.
pub(super) fn state(state: uplink::State) -> &'static str {
    match state {
        uplink::State::Starting => "starting",
        uplink::State::Connected => "connected",
        uplink::State::Waiting => "waiting",
    }
}
