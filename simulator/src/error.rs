//! What can go wrong when a simulation is started or handled.

use std::io;
use std::path::PathBuf;

use crate::ConfigError;

/// Why a simulation, or one of its lines, did not do what it was told.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The configuration cannot be simulated.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// No pty could be made.
    #[error("line {line:?}: making a pty: {source}")]
    Pty {
        /// The line's name.
        line: String,
        /// What the system said.
        source: io::Error,
    },
    /// The link to the pty could not be put in its place.
    #[error("line {line:?}: putting a link to the pty at {}: {source}", path.display())]
    Link {
        /// The line's name.
        line: String,
        /// The link's path.
        path: PathBuf,
        /// What the system said; `AlreadyExists` if something other than a link to a pty is there.
        source: io::Error,
    },
    /// The TCP address could not be listened on.
    #[error("line {line:?}: listening on {address}: {source}")]
    Listen {
        /// The line's name.
        line: String,
        /// The address.
        address: std::net::SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The line's thread could not be started or reached.
    #[error("line {line:?}: its thread: {source}")]
    Thread {
        /// The line's name.
        line: String,
        /// What the system said.
        source: io::Error,
    },
    /// There is no line of this name.
    #[error("there is no line named {0:?}")]
    NoLine(String),
    /// There is no meter of this name.
    #[error("there is no meter named {0:?}")]
    NoMeter(String),
    /// Asked for the memory end of a line that is a pty or on TCP.
    #[error("line {0:?} is not in memory")]
    NotInMemory(String),
    /// A fault's probability is not within 0.0 to 1.0.
    #[error("meter {meter:?}: {reason}")]
    Fault {
        /// The meter's name.
        meter: String,
        /// What is wrong.
        reason: String,
    },
}
