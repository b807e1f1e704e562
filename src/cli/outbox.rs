//! `weir outbox`: what waits and why, whether it is whole, and getting it out by hand.
//!
//! `stats` asks the running daemon. The others look at the raw files of a stopped outbox and change nothing; beside a daemon
//! they refuse.

mod salvage;
mod stats;
mod verify;
mod waiting;

use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};

use super::{Config, Exit, Failure, fail, load, start_failed};
use crate::id::Lane;
use crate::outbox::inspect::Held;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Show what waits, what it takes, and how the uplink is doing
    ///
    /// Asks the running daemon; only when none runs are the files opened here.
    Stats {
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        config: Config,
    },
    /// Read every segment of a stopped outbox and tell what is missing; changes nothing
    ///
    /// Ends with 65 when a record that waited is missing and was not reported yet.
    Verify {
        /// Print a line of JSON for each segment
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        config: Config,
    },
    /// Print what waits in a stopped outbox as lines of JSON, as it would be sent; acknowledges nothing
    Export {
        /// Which lane
        #[arg(long, value_enum, default_value = "readings")]
        lane: LaneName,
        #[command(flatten)]
        config: Config,
    },
    /// Print every whole record below a directory as lines of JSON, acknowledged and refused ones included
    ///
    /// For a damaged segment, a lane, or a copy of a broken gateway's outbox; needs no configuration. Ends with 65 when
    /// there is none, or one that this version does not understand.
    Salvage {
        /// A segment, a lane, an outbox, or a directory with any of them in it
        directory: PathBuf,
        /// The id of the gateway whose outbox it was: it stands in every record's id, and not in the files
        #[arg(long, value_name = "ID")]
        gateway: String,
    },
}

/// A lane whose records are sent.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum LaneName {
    Readings,
    Urgent,
}

impl From<LaneName> for Lane {
    fn from(name: LaneName) -> Self {
        match name {
            LaneName::Readings => Self::Readings,
            LaneName::Urgent => Self::Urgent,
        }
    }
}

pub(super) fn run(command: &Command) -> Exit {
    let done = match command {
        Command::Stats { json, config } => with(config, |config| stats::stats(config, *json)),
        Command::Verify { json, config } => with(config, |config| verify::verify(&config, *json)),
        Command::Export { lane, config } => with(config, |config| waiting::export(&config, (*lane).into())),
        Command::Salvage { directory, gateway } => salvage::salvage(directory, gateway),
    };
    done.unwrap_or_else(|(exit, why)| if why.is_empty() { exit } else { fail(exit, why) })
}

/// Does something with the configuration, whose own faults have been told already.
fn with(
    config: &Config,
    act: impl FnOnce(crate::config::Checked) -> Result<Exit, Failure>,
) -> Result<Exit, Failure> {
    act(load(&config.config).map_err(|exit| (exit, String::new()))?)
}

/// Takes hold of the configured outbox.
fn hold(config: &crate::config::Checked) -> Result<Held, Failure> {
    Held::take(&config.outbox.directory).map_err(start_failed)
}

/// Lines for programs. A reader that has heard enough (`weir … | head`) ends the command and is no error.
struct Lines(BufWriter<io::StdoutLock<'static>>);

impl Lines {
    fn new() -> Self {
        Self(BufWriter::new(io::stdout().lock()))
    }

    fn tell(&mut self, line: &[u8]) -> io::Result<()> {
        self.0.write_all(line)?;
        self.0.write_all(b"\n")
    }

    /// How the command ended, after whatever came of it.
    fn end<T>(mut self, outcome: io::Result<T>) -> Result<Option<T>, Failure> {
        match outcome.and_then(|told| self.0.flush().map(|()| told)) {
            Ok(told) => Ok(Some(told)),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(None),
            Err(error) => Err(start_failed(error)),
        }
    }
}
