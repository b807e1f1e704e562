//! The command line: what can be asked for, and what each end means.
//!
//! Errors become text and an exit code here and nowhere else. Everything a command prints for programs goes to standard
//! output; everything for people goes to standard error when there is also something for programs.

mod ask;
mod check;
mod command;
mod commands;
mod decode;
#[cfg(feature = "demo")]
mod demo;
mod hex;
mod keys;
mod lend;
mod outbox;
mod profile;
mod read;
mod run;
mod scan;
mod show;
#[cfg(feature = "demo")]
mod simulate;
mod trace;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

/// How a command ended. The numbers are documented in `weir --help` and in the service unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done, or stopped in good order.
    Ok = 0,
    /// The daemon did not start: a socket, the outbox, or the broker's client. Of another command: the machine or a running
    /// daemon is in its way.
    StartFailed = 1,
    /// Bad usage or configuration (`EX_USAGE`). Nothing was opened.
    Usage = 64,
    /// The data given is not what it should be: a telegram that does not decode, an outbox that lacks records
    /// (`EX_DATAERR`).
    Data = 65,
    /// The meter did not give a reading, or the line cannot be had (`EX_UNAVAILABLE`).
    NoReading = 69,
    /// The outbox's store has failed and only a fresh process can open it (`EX_TEMPFAIL`): start again.
    TryAgain = 75,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        // The discriminants are the codes.
        Self::from(exit as u8)
    }
}

/// An edge gateway for water meters: polls M-Bus, Modbus and CJ/T 188 meters, keeps every reading in a durable outbox,
/// and forwards it to Kafka.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Exit codes: 0 done or stopped in good order; 1 the daemon did not start, or is in the way of this \
                  command; 64 bad usage or configuration, nothing was opened; 65 a telegram that does not decode, or \
                  an outbox that lacks records; 69 the meter gave no reading, or the line cannot be had; 75 the store failed, start again."
)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon until SIGTERM or SIGINT
    Run(Config),
    /// Check the configuration and forecast each line's load; opens no port
    Check(Config),
    /// Print the commented example configuration
    Config,
    /// Read one meter now and show what it answered
    ///
    /// Asks the running daemon; only when none runs is the port opened here.
    Read(read::Args),
    /// Lend a line to a vendor's tool for a while; its polls pause meanwhile
    ///
    /// Prints where the tool finds the meters: a pty, or with --tcp an address of this machine. Needs the running daemon.
    Lend(lend::Args),
    /// Search a line for meters and print a list to paste into the configuration
    ///
    /// On M-Bus by secondary address, narrowing where several meters answer at once, and by primary address; on CJ/T 188 and
    /// DL/T 645 a meter that is alone on the line tells its address. Modbus has no search. The polls of a running
    /// daemon pause for as long as it takes: some minutes at 2400 Bd, more on long lines.
    Scan(scan::Args),
    /// Show what passes on a line, as it passes: times, bytes, and what they say
    ///
    /// Needs the running daemon, which is not slowed by it.
    Trace(trace::Args),
    /// Decode a telegram written in hex
    Decode(decode::Args),
    /// List, show and check profiles: what a meter model's registers or answers mean
    #[command(subcommand)]
    Profile(profile::Command),
    /// Look into the outbox
    #[command(subcommand)]
    Outbox(outbox::Command),
    /// Make keys that commands are signed with
    #[command(subcommand)]
    Keys(keys::Command),
    /// Look at commands, hand one in, stop and resume them
    #[command(subcommand)]
    Commands(commands::Command),
    /// Sign commands, for scripts and tests
    #[command(subcommand, name = "command")]
    Orders(command::Command),
    /// Watch the daemon at work: simulated meters and an embedded broker, all in this process
    ///
    /// Needs no hardware and no broker, and leaves nothing behind. A live view where there is a terminal, lines and a
    /// JSON object at the end where there is none.
    #[cfg(feature = "demo")]
    Demo(demo::Args),
    /// Run simulated meters on ptys and TCP ports until SIGTERM or SIGINT
    #[cfg(feature = "demo")]
    Simulate(simulate::Args),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// Where the configuration is.
#[derive(Clone, Debug, clap::Args)]
struct Config {
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = "/etc/weir/weir.toml", env = "WEIR_CONFIG")]
    config: PathBuf,
}

/// The form of a command's result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    Table,
    Json,
}

impl Form {
    fn of(json: bool) -> Self {
        if json { Self::Json } else { Self::Table }
    }
}

/// Reads the command line, does what it says, and tells how it ended.
pub fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            let _ = error.print();
            // `--help` and `--version` come this way too.
            return if error.use_stderr() { Exit::Usage } else { Exit::Ok }.into();
        }
    };
    match args.command {
        Command::Run(config) => run::run(&config.config),
        Command::Check(config) => check::check(&config.config),
        Command::Config => tell(crate::config::EXAMPLE),
        Command::Read(args) => read::read(&args),
        Command::Lend(args) => lend::lend(&args),
        Command::Scan(args) => scan::scan(&args),
        Command::Trace(args) => trace::trace(&args),
        Command::Decode(args) => decode::decode(&args),
        Command::Profile(command) => profile::run(&command),
        Command::Outbox(command) => outbox::run(&command),
        Command::Keys(command) => keys::run(&command),
        Command::Commands(command) => commands::run(&command),
        Command::Orders(command) => command::run(&command),
        #[cfg(feature = "demo")]
        Command::Demo(args) => demo::demo(&args),
        #[cfg(feature = "demo")]
        Command::Simulate(args) => simulate::simulate(&args),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Args::command(), "weir", &mut script);
            tell(&String::from_utf8_lossy(&script))
        }
    }
    .into()
}

/// Loads the configuration, tells its faults and warnings on standard error, and returns it when it can be used.
fn load(path: &std::path::Path) -> Result<crate::config::Checked, Exit> {
    use std::io::IsTerminal;
    let outcome = crate::config::check(path);
    let report = outcome.report(std::io::stderr().is_terminal());
    if !report.is_empty() {
        eprint!("{report}");
    }
    outcome.checked.ok_or(Exit::Usage)
}

/// Prints a result. A reader that has heard enough (`weir … | head`) is no error.
fn tell(text: &str) -> Exit {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => fail(Exit::StartFailed, error),
        _ => Exit::Ok,
    }
}

/// A result as indented JSON.
fn json(result: &impl serde::Serialize) -> String {
    // Maps with string keys into a string: there is no error to have.
    serde_json::to_string_pretty(result).unwrap_or_default() + "\n"
}

/// How a command failed, and why, for a person.
type Failure = (Exit, String);

/// A failure of this machine or of the daemon: nothing that the person who typed the command did wrong.
fn start_failed(why: impl std::fmt::Display) -> Failure {
    (Exit::StartFailed, why.to_string())
}

/// Tells what went wrong and how that ends.
fn fail(exit: Exit, error: impl std::fmt::Display) -> Exit {
    eprintln!("weir: {error}");
    exit
}

/// A runtime for what a command or the daemon does.
///
/// Two workers: one may be busy with a long answer's decoding while the other keeps the silences of a fast line.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Args::command().debug_assert();
    }
}
