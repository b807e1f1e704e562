//! `weir commands`: what became of commands, the audit, handing one in on the spot, and the local stop switch.
//!
//! `list`, `show` and `audit` read the journal's files and work beside the daemon and without it. `stop` and `resume` put a
//! file in its place or away, which holds over restarts. Only `submit` needs the daemon.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::PathBuf;

use clap::Subcommand;
use weir_wire::{CommandState, Raw};

use super::ask::{ask, unexpected};
use super::{Config, Exit, Failure, fail, json, load, show, start_failed, tell};
use crate::command::journal::{self, Entry, Line};
use crate::command::{self, Reception, StopSwitch};
use crate::control::{Reply, Request};
use crate::limits::COMMAND_BYTES_MAX;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the commands that the journal knows, the latest last
    List {
        /// Print a line of JSON for each
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        config: Config,
    },
    /// Show everything about one command: every step, its time, the raw frames, the key
    Show {
        /// The command's id
        id: String,
        /// Print the journal's lines as they are
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        config: Config,
    },
    /// Verify that no line of the journal was changed, lost or put elsewhere
    ///
    /// Ends with 65 when the chain does not hold.
    Audit {
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        config: Config,
    },
    /// Hand in a signed command on the spot, through the same checks as those of the topic; needs the running daemon
    Submit {
        /// The file with the JWS, or - for standard input
        file: PathBuf,
        #[command(flatten)]
        config: Config,
    },
    /// Accept and start no command until `resume`; reading on demand goes on
    Stop {
        /// Why, for whoever finds it stopped
        #[arg(long, default_value = "stopped by weir commands stop")]
        why: String,
        #[command(flatten)]
        config: Config,
    },
    /// Let commands go on
    Resume {
        #[command(flatten)]
        config: Config,
    },
}

pub(super) fn run(command: &Command) -> Exit {
    let done = match command {
        Command::List { json, config } => with(config, |_, on| list(&on, *json)),
        Command::Show { id, json, config } => with(config, |_, on| show_one(&on, id, *json)),
        Command::Audit { json, config } => with(config, |_, on| audit(&on, *json)),
        Command::Submit { file, config } => with(config, |config, _| submit(config, file)),
        Command::Stop { why, config } => with(config, |_, on| stop(&on, why)),
        Command::Resume { config } => with(config, |_, on| resume(&on)),
    };
    done.unwrap_or_else(|(exit, why)| if why.is_empty() { exit } else { fail(exit, why) })
}

/// Does something with a configuration in which commands are on.
fn with(
    config: &Config,
    act: impl FnOnce(&crate::config::Checked, command::Config) -> Result<Exit, Failure>,
) -> Result<Exit, Failure> {
    let checked = load(&config.config).map_err(|exit| (exit, String::new()))?;
    let Some(on) = checked.commands.clone() else {
        return Err((Exit::Usage, "commands are off: the configuration has no [commands]".into()));
    };
    act(&checked, on)
}

/// What the lines about one command come to.
#[derive(Default, serde::Serialize)]
struct Row {
    id: String,
    at: String,
    meter: String,
    action: String,
    kid: String,
    state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    detail: String,
}

fn list(on: &command::Config, is_json: bool) -> Result<Exit, Failure> {
    let mut rows: BTreeMap<u64, Row> = BTreeMap::new();
    let mut places = BTreeMap::<String, u64>::new();
    journal::lines(&on.directory, |line| {
        let Some(id) = line.entry.command_id() else { return };
        let place = *places.entry(id.to_owned()).or_insert(line.sequence);
        rows.entry(place).or_default().take(id, line);
    })
    .map_err(start_failed)?;
    let rows: Vec<Row> = rows.into_values().filter(|row| !row.action.is_empty()).collect();
    let text = if is_json {
        rows.iter().map(|row| serde_json::to_string(row).unwrap_or_default() + "\n").collect()
    } else {
        let header = ["at", "id", "meter", "action", "state", "reason", "key"].map(str::to_owned);
        let cells = |row: &Row| {
            let reason = row.reason.clone().unwrap_or_else(|| "-".into());
            [&row.at, &row.id, &row.meter, &row.action, &row.state, &reason, &row.kid].map(Clone::clone)
        };
        show::columns(header, &rows.iter().map(cells).collect::<Vec<_>>())
    };
    Ok(tell(&text))
}

impl Row {
    fn take(&mut self, id: &str, line: &Line) {
        id.clone_into(&mut self.id);
        match &line.entry {
            Entry::Accepted { command, kid, .. } => {
                self.begin(line, command, kid);
                self.state = CommandState::Accepted.to_string();
            }
            Entry::Rejected { command, kid, state, reason, detail, .. } => {
                self.begin(line, command, kid);
                self.state = state.to_string();
                (self.reason, self.detail) = (reason.as_ref().map(ToString::to_string), detail.clone());
            }
            Entry::Started { .. } => self.state = CommandState::Started.to_string(),
            Entry::Finished { state, reason, detail, .. } => {
                self.state = state.to_string();
                (self.reason, self.detail) = (reason.as_ref().map(ToString::to_string), detail.clone());
            }
            _ => {}
        }
    }

    fn begin(&mut self, line: &Line, command: &weir_wire::Command, kid: &str) {
        self.at = line.at.to_string();
        self.meter.clone_from(&command.meter);
        self.action = command.action.to_string();
        kid.clone_into(&mut self.kid);
    }
}

fn show_one(on: &command::Config, id: &str, is_json: bool) -> Result<Exit, Failure> {
    let history = journal::history(&on.directory, id).map_err(start_failed)?;
    if history.is_empty() {
        return Err((Exit::Data, format!("no command {id:?} in the journal's files")));
    }
    if is_json {
        let lines = history.iter().map(|line| serde_json::to_string(line).unwrap_or_default() + "\n");
        return Ok(tell(&lines.collect::<String>()));
    }
    Ok(tell(&history.iter().map(told).collect::<String>()))
}

/// A line of the journal for a person.
fn told(line: &Line) -> String {
    let mut text = format!("{}  {:>6}  ", line.at, line.sequence);
    match &line.entry {
        Entry::Accepted { command, kid, is_local, .. } => {
            let way = if *is_local { "handed in on the spot" } else { "from the topic" };
            text += &format!("accepted, {way}, signed by {kid}\n{}", ordered(command));
        }
        Entry::Rejected { command, kid, state, reason, detail, .. } => {
            let reason = reason.as_ref().map_or_else(String::new, |reason| format!(" ({reason})"));
            text += &format!("{state}{reason}, signed by {kid}: {detail}\n{}", ordered(command));
        }
        Entry::Started { .. } => text += "started\n",
        Entry::Step { what, request, answer, fault, repeats, .. } => {
            let answer = match fault {
                Some(fault) => fault.clone(),
                None => hex(answer),
            };
            text += &format!("{what}: {} -> {answer}", hex(request));
            if *repeats > 0 {
                text += &format!(" (repeated {repeats} times)");
            }
            text.push('\n');
        }
        Entry::Finished { state, reason, detail, observed, .. } => {
            let reason = reason.as_ref().map_or_else(String::new, |reason| format!(" ({reason})"));
            text += &format!("{state}{reason}: {detail}\n");
            if let Some(observed) = observed {
                text += &format!("    observed {}\n", serde_json::to_string(observed).unwrap_or_default());
            }
        }
        Entry::Duplicate { detail, .. } => text += &format!("duplicate: {detail}\n"),
        Entry::Checkpoint(_)
        | Entry::Refused { .. }
        | Entry::Positions { .. }
        | Entry::ClockTrusted
        | Entry::DamageTold => {}
    }
    text
}

fn ordered(command: &weir_wire::Command) -> String {
    format!("    {}\n", serde_json::to_string(command).unwrap_or_default())
}

fn hex(bytes: &Raw) -> String {
    bytes.0.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(" ")
}

fn audit(on: &command::Config, is_json: bool) -> Result<Exit, Failure> {
    let audit = journal::audit(&on.directory).map_err(start_failed)?;
    let exit = if audit.breaks.is_empty() { Exit::Ok } else { Exit::Data };
    let text = if is_json {
        json(&audit)
    } else {
        let [first, last] = audit.sequences.unwrap_or_default();
        let mut text = format!(
            "{} lines in {} files, {first} to {last}; recovered from damage {} times\n",
            audit.lines, audit.files, audit.recoveries
        );
        text +=
            if audit.is_torn { "the last line is being written, or was torn by a power cut\n" } else { "" };
        for found in &audit.breaks {
            text += &format!("broken: {found}\n");
        }
        text += if audit.breaks.is_empty() { "the chain holds\n" } else { "" };
        text
    };
    match tell(&text) {
        Exit::Ok => Ok(exit),
        other => Ok(other),
    }
}

fn submit(config: &crate::config::Checked, file: &PathBuf) -> Result<Exit, Failure> {
    let text = read(file).map_err(|error| (Exit::Usage, format!("{}: {error}", file.display())))?;
    if text.trim().len() > COMMAND_BYTES_MAX {
        return Err((
            Exit::Data,
            format!("{}: longer than a command may be, {COMMAND_BYTES_MAX} bytes", file.display()),
        ));
    }
    let request = Request::Submit { jws: text.trim().to_owned() };
    match ask(&config.gateway.control_socket, &request)? {
        None => Err((Exit::StartFailed, "no daemon runs here".into())),
        Some(Reply::Submitted(reception)) => {
            let exit = match &reception {
                Reception::Accepted { .. } | Reception::Known { .. } => Exit::Ok,
                Reception::Rejected { .. } | Reception::Refused { .. } => Exit::Data,
                Reception::Busy { .. } => Exit::TryAgain,
            };
            tell(&json(&reception));
            Ok(exit)
        }
        Some(Reply::Refused { detail, .. }) => Err((Exit::StartFailed, detail)),
        Some(other) => Err(unexpected(&other)),
    }
}

/// No more than is too much.
fn read(file: &PathBuf) -> std::io::Result<String> {
    let most = u64::try_from(COMMAND_BYTES_MAX).unwrap_or(u64::MAX) + 64;
    let mut text = String::new();
    if file.as_os_str() == "-" {
        std::io::stdin().lock().take(most).read_to_string(&mut text)?;
    } else {
        std::fs::File::open(file)?.take(most).read_to_string(&mut text)?;
    }
    Ok(text)
}

fn stop(on: &command::Config, why: &str) -> Result<Exit, Failure> {
    let said = |error| start_failed(format_args!("{}: {error}", on.directory.display()));
    std::fs::create_dir_all(&on.directory).map_err(said)?;
    StopSwitch::in_directory(&on.directory).set(why).map_err(said)?;
    Ok(tell("no command that writes is accepted or started until weir commands resume\n"))
}

fn resume(on: &command::Config) -> Result<Exit, Failure> {
    let said = |error| start_failed(format_args!("{}: {error}", on.directory.display()));
    let was_stopped = StopSwitch::in_directory(&on.directory).clear().map_err(said)?;
    Ok(tell(if was_stopped { "commands go on\n" } else { "commands were not stopped\n" }))
}
