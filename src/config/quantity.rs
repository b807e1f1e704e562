//! Durations and sizes as people write them: `15m`, `1h 30m`, `512 MiB`. The unit stands in the value, never in the key.

use std::fmt;
use std::time::Duration;

use bytesize::ByteSize;
use jiff::{SignedDuration, Span, SpanRelativeTo};

/// How a duration is to be written.
pub(super) const DURATION_HINT: &str = "write a number and a unit: \"500ms\", \"15m\", \"1h 30m\", \"1d\"";

/// How a size is to be written.
pub(super) const SIZE_HINT: &str = "write a number and a unit: \"64 KiB\", \"512 MiB\", \"2 GiB\"";

/// A duration shown as it would be typed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Shown(pub(super) Duration);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match SignedDuration::try_from(self.0) {
            Ok(duration) => write!(f, "{duration:#}"),
            Err(_) => write!(f, "{} s", self.0.as_secs()),
        }
    }
}

/// Reads a duration. A day is 24 hours; months and years are none.
pub(super) fn parse_duration(text: &str) -> Option<Duration> {
    let span: Span = text.trim().parse().ok()?;
    let duration = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
    Duration::try_from(duration).ok()
}

/// Reads a size in bytes. A number alone is none: too easily it was meant in some other unit.
pub(super) fn parse_size(text: &str) -> Option<u64> {
    let text = text.trim();
    if !text.ends_with(|c: char| c.is_ascii_alphabetic()) {
        return None;
    }
    text.parse().ok().map(|ByteSize(bytes)| bytes)
}

/// A size shown as it would be typed.
pub(super) fn show_size(bytes: u64) -> String {
    ByteSize(bytes).display().iec().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        for (text, millis) in [
            ("15m", 900_000),
            ("1h 30m", 5_400_000),
            ("500ms", 500),
            ("1d", 86_400_000),
            (" 15 min ", 900_000),
        ] {
            assert_eq!(parse_duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "15", "15x", "-5m", "5m ago", "1mo", "1 year", "99999999999999999d", "m"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, bytes) in
            [("512 MiB", 512 << 20), ("64KiB", 64 << 10), ("1.5 GiB", 3 << 29), ("2 MB", 2_000_000)]
        {
            assert_eq!(parse_size(text), Some(bytes), "{text}");
        }
        for text in ["", "512", "-1 MiB", "MiB", "512 MiBs", "nan MiB", "1e30 GiB"] {
            assert_eq!(parse_size(text), None, "{text}");
        }
    }
}
