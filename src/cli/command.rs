//! `weir command sign`: a signed command from the command line, for scripts and tests.
//!
//! Prints the JWS and sends nothing. What no gateway could make sense of is refused before it is signed, unless a payload
//! is given whole: that is signed as it is, also when it is rubbish, for this is how refusals are tried.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Subcommand;
use jiff::SignedDuration;
use uuid::{Builder, Uuid};
use weir_wire::{Action, Command as Order, Tariff, Valve};

use super::{Exit, Failure, fail, start_failed, tell};
use crate::clock;
use crate::command::jws::sign;
use crate::command::keys::SecretKey;
use crate::command::verify::check_payload;
use crate::limits::COMMAND_BYTES_MAX;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Sign a command and print it, ready for the topic `weir.commands.<gateway>`
    Sign(Box<Sign>),
}

#[derive(Debug, clap::Args)]
pub(super) struct Sign {
    /// The private key, a file that `weir keys new` has made
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The gateway's id
    #[arg(long, required_unless_present = "payload")]
    gateway: Option<String>,
    /// The meter's id
    #[arg(long, required_unless_present = "payload")]
    meter: Option<String>,
    /// valve.open, valve.close, tariff.set, clock.set or read.now
    #[arg(long, required_unless_present = "payload", value_parser = action)]
    action: Option<Action>,
    /// For how long the command is valid: 90s, 10m, 2h
    #[arg(long = "for", value_name = "TIME", value_parser = time, default_value = "10m")]
    time: Duration,
    /// The tariff of a tariff.set, a file with its JSON
    #[arg(long, value_name = "FILE")]
    tariff: Option<PathBuf>,
    /// Carry it out only when the valve stands so: open, closed
    #[arg(long, value_name = "STATE", value_parser = valve)]
    if_valve: Option<Valve>,
    /// The challenge of the gateway's latest status event, where its clock is not to be trusted
    #[arg(long)]
    challenge: Option<String>,
    /// Who wants it
    #[arg(long, value_name = "WHO")]
    requested_by: Option<String>,
    /// Why
    #[arg(long)]
    reason: Option<String>,
    /// Its UUID in lower case; by default a new one
    #[arg(long, value_name = "UUID")]
    id: Option<String>,
    /// Sign the bytes of this file, or of standard input for -, as they are
    #[arg(long, value_name = "FILE", conflicts_with_all = ["gateway", "meter", "action", "tariff", "if_valve", "challenge", "requested_by", "reason", "id"])]
    payload: Option<PathBuf>,
}

fn action(text: &str) -> Result<Action, String> {
    Action::ALL.iter().find(|known| known.as_str() == text).cloned().ok_or_else(|| {
        let all: Vec<&str> = Action::ALL.iter().map(Action::as_str).collect();
        format!("one of {}, please", all.join(", "))
    })
}

fn valve(text: &str) -> Result<Valve, String> {
    Valve::ALL
        .iter()
        .find(|known| known.as_str() == text)
        .cloned()
        .ok_or_else(|| "open or closed, please".into())
}

/// Reads `90s`, `10m`, `2h`.
fn time(text: &str) -> Result<Duration, String> {
    let time: SignedDuration = text.trim().parse().map_err(|_| format!("{text:?} is no time such as 10m"))?;
    Duration::try_from(time)
        .ok()
        .filter(|time| !time.is_zero())
        .ok_or_else(|| "more than nothing, please".to_owned())
}

pub(super) fn run(command: &Command) -> Exit {
    let Command::Sign(args) = command;
    match signed(args) {
        Ok(jws) => tell(&format!("{jws}\n")),
        Err((exit, why)) => fail(exit, why),
    }
}

fn signed(args: &Sign) -> Result<String, Failure> {
    let key = SecretKey::from_jwk(&text(&args.key)?)
        .map_err(|error| (Exit::Data, format!("{}: {error}", args.key.display())))?;
    let payload = match &args.payload {
        Some(path) => bytes(path)?,
        None => payload(args)?,
    };
    Ok(sign(&payload, &key))
}

fn payload(args: &Sign) -> Result<Vec<u8>, Failure> {
    let usage = |why: String| (Exit::Usage, why);
    // The parser has seen to it that these are there.
    let given = |value: &Option<String>| value.clone().unwrap_or_default();
    let issued_at = clock::wall();
    let not_after = issued_at.checked_add(args.time).map_err(|error| usage(error.to_string()))?;
    let tariff = args.tariff.as_deref().map(tariff).transpose()?;
    let order = Order {
        id: args.id.clone().map_or_else(new_id, Ok)?,
        gateway: given(&args.gateway),
        meter: given(&args.meter),
        action: args.action.clone().unwrap_or(Action::ReadNow),
        issued_at,
        not_after,
        requested_by: args.requested_by.clone(),
        reason: args.reason.clone(),
        if_valve: args.if_valve.clone(),
        challenge: args.challenge.clone(),
        tariff,
    };
    let payload = serde_json::to_vec(&order).map_err(|error| usage(error.to_string()))?;
    check_payload(&payload).map_err(usage)?;
    Ok(payload)
}

fn tariff(path: &Path) -> Result<Tariff, Failure> {
    serde_json::from_str(&text(path)?).map_err(|error| (Exit::Data, format!("{}: {error}", path.display())))
}

/// A UUID of version 7: ids in the order in which they were made.
fn new_id() -> Result<String, Failure> {
    let mut random = [0; 10];
    getrandom::fill(&mut random).map_err(start_failed)?;
    let millis = u64::try_from(clock::wall().as_millisecond()).unwrap_or_default();
    let id: Uuid = Builder::from_unix_timestamp_millis(millis, &random).into_uuid();
    Ok(id.hyphenated().to_string())
}

fn text(path: &Path) -> Result<String, Failure> {
    String::from_utf8(bytes(path)?).map_err(|_| (Exit::Data, format!("{}: is not UTF-8", path.display())))
}

/// A file, or standard input; never more than a command can have.
fn bytes(path: &Path) -> Result<Vec<u8>, Failure> {
    let most = u64::try_from(COMMAND_BYTES_MAX).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    let read = if path == Path::new("-") {
        io::stdin().take(most + 1).read_to_end(&mut bytes)
    } else {
        File::open(path).and_then(|file| file.take(most + 1).read_to_end(&mut bytes))
    };
    read.map_err(|error| start_failed(format_args!("{}: {error}", path.display())))?;
    if bytes.len() > COMMAND_BYTES_MAX {
        return Err((Exit::Data, format!("{}: is longer than {most} bytes", path.display())));
    }
    Ok(bytes)
}
