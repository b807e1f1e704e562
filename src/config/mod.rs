//! The configuration: read whole, checked whole, every fault told at once with its place and what to do.
//!
//! ```text
//!   files ── load ──► TOML ── file (with reader) ──► what was typed ── check ──► what the rooms are made with
//!                                  │                                     │           │
//!                                  └──── notices: place, text, hint ─────┘        forecast
//! ```
//!
//! Two stages. `file` says which keys there are and refuses every other; `check` says what is sensible. Both collect
//! [`Notice`]s and go on, for who edits a file on a gateway in a cellar wants to hear everything in one go. Only a text
//! that is no TOML stops its own file.
//!
//! What is opened here: the files of the configuration and the profiles they name. No port, no directory, no connection.
//! Whether a port is there shows when the daemon runs, where it is no fault but a line that is down.

mod check;
mod driver;
mod file;
mod forecast;
mod key;
mod load;
mod notice;
mod profile;
mod profile_check;
mod quantity;
mod reader;
mod source;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;

pub use forecast::{Forecast, LineForecast, forecast};
pub use key::mbus_key;
pub use notice::{Location, Notice, Severity};
pub use profile::{cjt188_profile, dlt645_profile, mbus_profile, modbus_profile};
pub use profile_check::{Profile, ProfileDriver, ProfileOutcome, check_profile};

use notice::Findings;
use source::Sources;

/// The commented example: every key with its default and unit.
pub const EXAMPLE: &str = include_str!("../../config.example.toml");

/// What all rooms are made with.
pub struct Checked {
    /// What the daemon is and where it keeps its things.
    pub gateway: Gateway,
    /// The outbox.
    pub outbox: crate::outbox::Config,
    /// The uplink.
    pub uplink: crate::uplink::Config,
    /// Commands, when they are on.
    pub commands: Option<crate::command::Config>,
    /// The lines with their meters.
    pub lines: Vec<crate::line::Config>,
    /// The load of these lines.
    pub forecast: Forecast,
}

/// What the daemon is and where it keeps its things.
#[derive(Clone, Debug)]
pub struct Gateway {
    /// Its id, unique in the fleet.
    pub id: String,
    /// The zone whose wall clock the schedules follow.
    pub time_zone: TimeZone,
    /// Everything the daemon keeps.
    pub state_directory: PathBuf,
    /// The Unix socket over which the command line speaks with it.
    pub control_socket: PathBuf,
}

/// What came of checking a configuration.
pub struct Outcome {
    /// What keeps it from being used, in the order of the files.
    pub faults: Vec<Notice>,
    /// What may not be as meant.
    pub warnings: Vec<Notice>,
    /// The configuration, when there are no faults.
    pub checked: Option<Checked>,
    sources: Sources,
}

/// Reads and checks the configuration in this file and those it includes.
pub fn check(path: &Path) -> Outcome {
    match load::text(path) {
        Ok(text) => check_text(path, &text),
        Err(error) => {
            let mut findings = Findings::default();
            let hint = error.hint();
            let notice = findings.fault_of_file(format!("{}: {error}", path.display()));
            if let Some(hint) = hint {
                notice.hint(hint);
            }
            Outcome::new(findings, None)
        }
    }
}

/// Checks a text as if it stood in this file: relative paths in it start at the file's directory.
pub fn check_text(path: &Path, text: &str) -> Outcome {
    let mut findings = Findings::default();
    let typed = load::load(path, text, &mut findings);
    let checked = typed.and_then(|typed| check::check(&typed, &mut findings));
    Outcome::new(findings, checked)
}

impl Outcome {
    fn new(findings: Findings, checked: Option<Checked>) -> Self {
        let checked = checked.filter(|_| !findings.has_faults());
        let (sources, notices) = findings.finish();
        let (faults, warnings) = notices.into_iter().partition(|notice| notice.severity == Severity::Fault);
        Self { faults, warnings, checked, sources }
    }

    /// Faults and warnings for a person, each with the line it is about and a mark under the text; `colour` adds a
    /// terminal's. Empty when there are none. Secrets are covered by stars.
    pub fn report(&self, colour: bool) -> String {
        notice::render(self.faults.iter().chain(&self.warnings), &self.sources, colour)
    }
}
