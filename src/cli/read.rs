//! `weir read`: one poll, shown.

use super::ask::{ask, unexpected};
use super::{Exit, Failure, Form, fail, json, load, runtime, show, start_failed, tell};
use crate::control::{ReadReply, Reply, Request};
use crate::line;
use weir_wire::Answer;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The meter's id
    meter: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: super::Config,
}

pub(super) fn read(args: &Args) -> Exit {
    let config = match load(&args.config.config) {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    let reply = match ask(&config.gateway.control_socket, &Request::Read { meter: args.meter.clone() }) {
        Ok(Some(Reply::Read(reply))) => Ok(*reply),
        Ok(Some(Reply::Refused { reason, detail })) => {
            let exit = if reason == "unknown-meter" { Exit::Usage } else { Exit::NoReading };
            Err((exit, detail))
        }
        Ok(Some(other)) => Err(unexpected(&other)),
        Ok(None) => read_here(config.lines, &args.meter),
        Err(failure) => Err(failure),
    };
    match reply {
        Ok(reply) => tell(&match Form::of(args.json) {
            Form::Json => json(&reply),
            Form::Table => table(reply),
        }),
        Err((exit, why)) => fail(exit, why),
    }
}

/// No daemon runs, so the port is free to be opened here. Nothing is stored.
fn read_here(lines: Vec<line::Config>, meter: &str) -> Result<ReadReply, Failure> {
    let line = lines.into_iter().find(|line| line.meters.iter().any(|known| known.id == meter));
    let line = line.ok_or_else(|| (Exit::Usage, format!("no meter {meter:?} is configured")))?;
    let runtime = runtime().map_err(start_failed)?;
    let reading = runtime.block_on(line::read_once(line, meter));
    reading.map(ReadReply::from).map_err(|error| (Exit::NoReading, error.to_string()))
}

fn table(reply: ReadReply) -> String {
    let ReadReply { meter, line, driver, read_at, identity, meter_time, values, status, .. } = reply;
    let answer = Answer { identity, meter_time, values, status, raw: None };
    format!("{meter} on {line} by {driver} at {read_at}\n{}", show::answer(&answer))
}
