//! `weir-simulator --config sim.toml`: simulated meters for people, until interrupted.
//!
//! Prints where each line is to be found and, with `--said`, every answer as it goes out. Exit codes: 0 on SIGINT or
//! SIGTERM, 1 if a line could not be opened, 64 for a bad command line or configuration.

use std::collections::HashMap;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Parser;
use signal_hook::consts::{SIGINT, SIGTERM};
use weir_simulator::{Config, Error, LineHandle, Obeyed, Simulator};

const BAD_USAGE: u8 = 64;
const FAILED_START: u8 = 1;
/// How often the journal is looked at for `--said`, and whether it is time to stop.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Simulated water meters on ptys and TCP, at the line's real speed, with seeded faults.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Arguments {
    /// What to simulate; `example.toml` in the sources shows every key.
    #[arg(short, long, value_name = "FILE")]
    config: PathBuf,
    /// Use this seed in place of the configured one.
    #[arg(long)]
    seed: Option<u64>,
    /// Only say whether the configuration could be simulated.
    #[arg(long)]
    check: bool,
    /// Print every answer that carries a meter's register, and every order to valve, tariff or clock that a meter took.
    #[arg(long)]
    said: bool,
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { BAD_USAGE.into() } else { ExitCode::SUCCESS };
        }
    };
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err((code, message)) => {
            eprintln!("weir-simulator: {message}");
            code.into()
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), (u8, String)> {
    let path = arguments.config.display();
    let bad_config = |error: &dyn std::fmt::Display| (BAD_USAGE, format!("{path}: {error}"));
    let text = std::fs::read_to_string(&arguments.config).map_err(|error| bad_config(&error))?;
    let mut config = Config::from_toml(&text).map_err(|error| bad_config(&error))?;
    config.seed = arguments.seed.unwrap_or(config.seed);
    config.check().map_err(|error| bad_config(&error))?;
    if arguments.check {
        return Ok(());
    }
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        let registered = signal_hook::flag::register(signal, Arc::clone(&stop));
        registered.map_err(|error| (FAILED_START, format!("watching for signal {signal}: {error}")))?;
    }
    let simulator = Simulator::start(config).map_err(|error: Error| (FAILED_START, error.to_string()))?;
    for line in simulator.lines() {
        let meters = simulator.meters().iter().filter(|meter| meter.line() == line.name()).count();
        print(&format!("{}: {meters} meters at {}", line.name(), place(line)));
    }
    serve(&simulator, arguments.said, &stop);
    Ok(())
}

fn place(line: &LineHandle) -> String {
    match (line.path(), line.address()) {
        (Some(path), _) => path.display().to_string(),
        (None, Some(address)) => address.to_string(),
        (None, None) => "memory, which only a test can reach".to_owned(),
    }
}

fn serve(simulator: &Simulator, print_said: bool, stop: &AtomicBool) {
    let mut position = 0;
    let mut obeyed: HashMap<String, Obeyed> = HashMap::new();
    while !stop.load(Ordering::SeqCst) {
        if print_said {
            for meter in simulator.meters() {
                let now = meter.obeyed();
                if obeyed.insert(meter.name().to_owned(), now).unwrap_or_default() != now {
                    let Obeyed { valve, tariff, clock, .. } = now;
                    print(&format!("{} obeyed: valve {valve}, tariff {tariff}, clock {clock}", meter.name()));
                }
            }
            for said in simulator.journal().since(position) {
                position = said.position + 1;
                let note = said.spoilt.map_or(String::new(), |fault| format!(" ({fault:?})"));
                let again = if said.repeated { " again" } else { "" };
                print(&format!(
                    "{} #{} {} {}{again}{note}",
                    said.meter, said.sequence, said.volume, said.unit
                ));
            }
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// A reader that has gone away is no reason to stop simulating.
fn print(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
