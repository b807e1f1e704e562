//! `weir outbox verify`: whether everything that waits is there.

use std::io;

use super::{Lines, hold};
use crate::cli::{Exit, Failure, show, start_failed, tell};
use crate::config::Checked;
use crate::outbox::inspect::{self, Quarantined, Range, SegmentReport};

pub(super) fn verify(config: &Checked, is_json: bool) -> Result<Exit, Failure> {
    let held = hold(config)?;
    let mut is_whole = true;
    let mut rows = Vec::new();
    let mut lines = Lines::new();
    let outcome = inspect::verify(&held, |segment| {
        is_whole &= segment.is_whole();
        if is_json {
            lines.tell(&line(&segment)?)
        } else {
            rows.push(row(&segment));
            Ok(())
        }
    });
    let outcome = outcome.and_then(|()| {
        let quarantine = inspect::quarantine(&held)?;
        if is_json {
            quarantine.iter().try_for_each(|aside| lines.tell(&line(aside)?))?;
        }
        Ok(quarantine)
    });
    let quarantine = lines.end(outcome)?;
    let exit = if is_whole { Exit::Ok } else { Exit::Data };
    if is_json {
        return Ok(exit);
    }
    let header = ["lane", "segment", "first", "last", "records", "waiting", "cursor", "missing", "gone"];
    let table = show::columns(header.map(str::to_owned), &rows);
    match tell(&(table + &aside(&quarantine.unwrap_or_default()))) {
        Exit::Ok => Ok(exit),
        _ => Err(start_failed("standard output")),
    }
}

fn line(told: &impl serde::Serialize) -> io::Result<Vec<u8>> {
    serde_json::to_vec(told).map_err(io::Error::other)
}

fn row(segment: &SegmentReport) -> [String; 9] {
    let number = |number: Option<u64>| number.map_or_else(|| "-".into(), |number| number.to_string());
    [
        segment.lane.to_owned(),
        segment.segment.to_string(),
        number(segment.first),
        number(segment.last),
        segment.records.to_string(),
        segment.waiting.to_string(),
        number(segment.cursor),
        if segment.unreadable { "nothing can be read".into() } else { ranges(&segment.missing) },
        ranges(&segment.gone),
    ]
}

fn ranges(ranges: &[Range]) -> String {
    let told = |it: &Range| format!("{} of {}..{}", it.records, it.from, it.to);
    if ranges.is_empty() { "-".into() } else { ranges.iter().map(told).collect::<Vec<_>>().join(", ") }
}

fn aside(quarantine: &[Quarantined]) -> String {
    let told = |it: &Quarantined| format!("in quarantine: {}, {} whole records\n", it.name, it.records);
    quarantine.iter().map(told).collect()
}
