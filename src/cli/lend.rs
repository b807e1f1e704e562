//! `weir lend`: a line goes to a vendor's tool for a while.
//!
//! Standard output has one line: where the tool finds the meters. The rest is for people, on standard error. The line is
//! given back when this program ends, however it ends: its connection to the daemon is what holds it.

use std::time::Duration;

use clap::ValueEnum;
use jiff::SignedDuration;

use super::{Exit, Failure, fail, load, start_failed, tell};
use crate::control::{Client, Lend, Reply, Request};
use crate::limits::LINE_LENT_MAX;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The line's name
    line: String,
    /// For how long at most: 90s, 15m, 2h; up to 4h
    #[arg(long = "for", value_name = "TIME", value_parser = time, default_value = "15m")]
    time: Duration,
    /// A TCP port of this machine's loopback address in place of a pty; without a number any that is free
    #[arg(long, value_name = "PORT", num_args = 0..=1, default_missing_value = "0")]
    tcp: Option<u16>,
    /// Speed; by default the one that the tool sets on the pty, and with --tcp that of the line's first meter
    #[arg(long, value_parser = clap::value_parser!(u32).range(300..=921_600))]
    baud: Option<u32>,
    /// Parity; by default that of the line's first meter. A pty carries none, so the tool is told "none"
    #[arg(long)]
    parity: Option<Parity>,
    /// Stop bits, 1 or 2; by default as the tool sets them on the pty
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=2))]
    stop_bits: Option<u8>,
    #[command(flatten)]
    config: super::Config,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Parity {
    None,
    Even,
    Odd,
}

impl From<Parity> for crate::control::Parity {
    fn from(parity: Parity) -> Self {
        match parity {
            Parity::None => Self::None,
            Parity::Even => Self::Even,
            Parity::Odd => Self::Odd,
        }
    }
}

/// Reads `90s`, `15m`, `2h`.
fn time(text: &str) -> Result<Duration, String> {
    let time: SignedDuration = text.trim().parse().map_err(|_| format!("{text:?} is no time such as 15m"))?;
    let time = Duration::try_from(time).unwrap_or_default();
    let most = LINE_LENT_MAX.as_secs() / 3600;
    if time < Duration::from_secs(1) || time > LINE_LENT_MAX {
        return Err(format!("from 1s to {most}h, please"));
    }
    Ok(time)
}

pub(super) fn lend(args: &Args) -> Exit {
    let config = match load(&args.config.config) {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    let Some(line) = config.lines.iter().find(|line| line.name == args.line) else {
        return fail(Exit::Usage, format_args!("no line {:?} is configured", args.line));
    };
    let asked = Lend {
        line: args.line.clone(),
        seconds: args.time.as_secs(),
        tcp: args.tcp,
        baud: args.baud,
        parity: args.parity.map(Into::into),
        stop_bits: args.stop_bits,
    };
    let daemon = match Client::connect(&config.gateway.control_socket) {
        Ok(Some(daemon)) => daemon,
        Ok(None) => {
            let hint = format!("no daemon runs, so {} is free: the tool can open it itself", line.port);
            return fail(Exit::StartFailed, hint);
        }
        Err(error) => return fail(Exit::StartFailed, error),
    };
    match until_returned(daemon, asked) {
        Ok(why) => {
            eprintln!("{} is polled again: {why}", args.line);
            Exit::Ok
        }
        Err((exit, why)) => fail(exit, why),
    }
}

fn until_returned(mut daemon: Client, asked: Lend) -> Result<String, Failure> {
    let line = asked.line.clone();
    daemon.begin(&Request::Lend(asked)).map_err(start_failed)?;
    loop {
        match daemon.next_reply().map_err(start_failed)? {
            Some(Reply::Lent { place, serial, until }) => {
                eprintln!("{line} is lent until {until} ({serial}); its polls pause. Ctrl-C gives it back.");
                if tell(&format!("{place}\n")) != Exit::Ok {
                    return Err((Exit::StartFailed, "nobody hears where the line is".to_owned()));
                }
            }
            Some(Reply::Returned { why }) => return Ok(why),
            Some(Reply::Refused { reason, detail }) => {
                let exit = if reason == "unknown-line" { Exit::Usage } else { Exit::NoReading };
                return Err((exit, detail));
            }
            Some(other) => return Err(super::ask::unexpected(&other)),
            None => return Err(start_failed("the daemon has gone, and the line with it")),
        }
    }
}
