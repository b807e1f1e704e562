//! `weir keys`: a new key to sign commands with.
//!
//! Meant for where commands are given, never for a gateway: the private key goes into a file that only its owner may read,
//! and what the gateway's configuration needs is printed.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use clap::Subcommand;

use super::{Exit, fail, tell};
use crate::command::keys::{SecretKey, SecretKeyError};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make a new key: the private one into a file, what the gateways need of the public one to standard output
    ///
    /// Not on a gateway: whoever has the file can give the commands that the key is allowed.
    New {
        /// The key's id, 1 to 64 of a-z A-Z 0-9 . _ -; best with whose it is and since when: anna-2026-11
        kid: String,
        /// The file for the private key, which must not be there yet; by default the id with `.jwk`
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
}

pub(super) fn run(command: &Command) -> Exit {
    let Command::New { kid, out } = command;
    let key = match SecretKey::generate(kid) {
        Ok(key) => key,
        Err(error @ SecretKeyError::Id) => return fail(Exit::Usage, error),
        Err(error) => return fail(Exit::StartFailed, error),
    };
    let path = out.clone().unwrap_or_else(|| PathBuf::from(format!("{kid}.jwk")));
    if let Err(error) = write_new(&path, &key.to_jwk()) {
        return fail(Exit::StartFailed, format_args!("{}: {error}", path.display()));
    }
    eprintln!(
        "{}: the private key, for whoever gives commands; it never belongs on a gateway",
        path.display()
    );
    tell(&snippet(&key))
}

/// Never over another key, and never readable by anybody else, not even for a moment.
fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// For the configuration: who pastes it and leaves it so has given away nothing that moves a valve.
fn snippet(key: &SecretKey) -> String {
    format!(
        "[[commands.keys]]\nid = \"{}\"\npublic = \"{}\"\n\
         # What it may do: \"valve.open\", \"valve.close\", \"tariff.set\", \"clock.set\", \"read.now\".\n\
         actions = [\"read.now\"]\n\
         # Which meters: patterns of their ids.\n\
         meters = [\"*\"]\n",
        key.id(),
        key.public()
    )
}
