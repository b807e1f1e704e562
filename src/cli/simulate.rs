//! `weir simulate`: the simulated meters, for people.

use std::path::PathBuf;

use tokio::signal::unix::{SignalKind, signal};
use weir_simulator::{Config, LineHandle, Simulator};

use super::{Exit, fail, runtime, tell};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// What to simulate; see simulator/example.toml
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

pub(super) fn simulate(args: &Args) -> Exit {
    let path = args.config.display();
    let config = std::fs::read_to_string(&args.config).map_err(|error| error.to_string());
    let config = match config.and_then(|text| Config::from_toml(&text).map_err(|error| error.to_string())) {
        Ok(config) => config,
        Err(error) => return fail(Exit::Usage, format_args!("{path}: {error}")),
    };
    let simulator = match Simulator::start(config) {
        Ok(simulator) => simulator,
        Err(error) => return fail(Exit::StartFailed, error),
    };
    let place = |line: &&LineHandle| match (line.path(), line.address()) {
        (Some(path), _) => format!("{} on {}\n", line.name(), path.display()),
        (None, Some(address)) => format!("{} on {address}\n", line.name()),
        (None, None) => format!("{} in memory\n", line.name()),
    };
    tell(&simulator.lines().iter().map(place).collect::<String>());
    let ended = runtime().and_then(|runtime| runtime.block_on(until_told()));
    match ended {
        Ok(()) => Exit::Ok,
        Err(error) => fail(Exit::StartFailed, error),
    }
}

async fn until_told() -> std::io::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
