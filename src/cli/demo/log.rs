//! The daemon's log while the demo runs: kept for the view, or written to standard error.
//!
//! A line written to the terminal would tear the view apart, so there it goes into a bounded list. What librdkafka and
//! other crates say is left out: it is the daemon's story that is told.

use std::collections::VecDeque;
use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::{EnvFilter, Layer};

use crate::clock;

/// Lines that are kept; more than the tallest terminal shows.
const ENTRIES_MAX: usize = 100;
/// What is worth a line to whoever watches.
const KEPT: &str = "off,weir=info";
/// Standard error has the demo's own lines beside it, which tell the ordinary course of things.
const WRITTEN: &str = "off,weir=warn,weir::cli::demo=info";

/// The last lines of the log. All clones are one.
#[derive(Clone, Debug, Default)]
pub(super) struct Log(Arc<Mutex<VecDeque<Entry>>>);

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// When.
    pub(super) at: Timestamp,
    /// How grave.
    pub(super) level: Level,
    /// The message and its fields.
    pub(super) text: String,
}

impl Log {
    /// Keeps what the daemon says from now on.
    pub(super) fn kept() -> Self {
        let log = Self::default();
        install(tracing_subscriber::registry().with(log.clone().with_filter(EnvFilter::new(KEPT))));
        log
    }

    /// Writes it to standard error, as much as `RUST_LOG` says.
    pub(super) fn to_standard_error() -> Self {
        let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(WRITTEN));
        let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
        install(log.with_ansi(false).with_target(false).finish());
        Self::default()
    }

    /// The last lines, the latest last.
    pub(super) fn entries(&self) -> Vec<Entry> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

/// Without the bridge for crates that use `log`, which `init` would bring along.
fn install(subscriber: impl Subscriber + Send + Sync) {
    if tracing::subscriber::set_global_default(subscriber).is_err() {
        // Only tests start more than one demo in a process; the first one's log serves.
        tracing::debug!("there is a log already");
    }
}

impl<S: Subscriber> Layer<S> for Log {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut text = Text::default();
        event.record(&mut text);
        let entry = Entry { at: clock::wall(), level: *event.metadata().level(), text: text.finish() };
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= ENTRIES_MAX {
            entries.pop_front();
        }
        entries.push_back(entry);
    }
}

/// A log line in the making: the message first, then the fields.
#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Text {
    fn finish(self) -> String {
        // Control characters in a meter's words must not reach the terminal.
        let text = format!("{}{}", self.message, self.fields);
        text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
    }
}

impl Visit for Text {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string cannot fail.
        let _ = if field.name() == "message" {
            write!(self.message, "{value:?}")
        } else {
            write!(self.fields, " {}={value:?}", field.name())
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_daemons_lines_are_kept_in_bounds_and_others_left_out() {
        let log = Log::default();
        let layer = log.clone().with_filter(EnvFilter::new(KEPT));
        let subscriber = tracing_subscriber::registry().with(layer);
        tracing::subscriber::with_default(subscriber, || {
            for number in 0..ENTRIES_MAX {
                tracing::info!(number, "before");
            }
            tracing::debug!("too small to show");
            tracing::warn!(target: "librdkafka", "not ours");
            tracing::warn!(meter = "A\u{1b}[2J", window_ms = 188, "meter silent");
        });
        let entries = log.entries();
        assert_eq!(entries.len(), ENTRIES_MAX);
        assert_eq!(entries[0].text, "before number=1");
        let last = entries.last().unwrap();
        assert_eq!((last.level, last.text.as_str()), (Level::WARN, "meter silent meter=A [2J window_ms=188"));
    }
}
