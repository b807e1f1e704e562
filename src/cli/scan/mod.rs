//! `weir scan`: a line is searched for meters, and a list of them is printed that can be pasted into the configuration.
//! What is searched for is what the line's meters speak; Modbus units do not say who they are and are not searched for.
//!
//! Standard output has the list alone, which is TOML; what the search is doing goes to standard error. A running daemon
//! pauses the line's polls for the search and goes on when this program ends, however it ends; where none runs the port is
//! opened here.

mod list;

use std::io::{IsTerminal, Write};

use tokio::sync::mpsc;
use weir_meter::{Parity, Serial};

use super::{Exit, Failure, fail, load, runtime, start_failed, tell};
use crate::control::{Client, Reply, Request};
use crate::limits::SCAN_STEPS_MAX;
use crate::line;
use crate::scan::{Meter, Progress, Protocol, Report, Scan, Spoken, Wanted};

/// Every primary address that a meter can have.
const ALL_PRIMARY: &str = "0-250";
/// The mask that every meter fits.
const ALL_SECONDARY: &str = "FFFFFFFF";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The line's name
    line: String,
    /// What to search for, such as mbus or cjt188,dlt645; by default what the line's meters speak, or M-Bus
    #[arg(long, value_name = "PROTOCOLS", value_delimiter = ',', value_parser = protocol)]
    driver: Vec<Protocol>,
    /// Search M-Bus by primary address: all of them, or a range such as 1-60. Without this and --secondary both are done
    #[arg(long, value_name = "RANGE", num_args = 0..=1, default_missing_value = ALL_PRIMARY, value_parser = range)]
    primary: Option<(u8, u8)>,
    /// Search M-Bus by secondary address: all meters, or those that fit a mask such as 1234FFFF or FFFFFFFF.ELS
    #[arg(long, value_name = "MASK", num_args = 0..=1, default_missing_value = ALL_SECONDARY, value_parser = mask)]
    secondary: Option<String>,
    /// Speeds to search at, such as 300,2400; by default that of the line's meters, or 2400
    #[arg(long, value_delimiter = ',', value_parser = clap::value_parser!(u32).range(300..=921_600))]
    baud: Vec<u32>,
    /// How often silence is asked again before it is believed
    #[arg(long, default_value = "2", value_parser = clap::value_parser!(u8).range(1..=5))]
    tries: u8,
    /// Do not look for meters whose answer another one could hide: fewer requests, and two new meters with neighbouring
    /// numbers may be taken for one
    #[arg(long)]
    quick: bool,
    /// Always look for hex digits in numbers too
    #[arg(long)]
    hex_digits: bool,
    #[command(flatten)]
    config: super::Config,
}

fn range(text: &str) -> Result<(u8, u8), String> {
    let wrong = || format!("{text:?} is no range of addresses such as 1-60, within {ALL_PRIMARY}");
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last): (u8, u8) =
        (first.trim().parse().map_err(|_| wrong())?, last.trim().parse().map_err(|_| wrong())?);
    if first <= last && last <= 250 { Ok((first, last)) } else { Err(wrong()) }
}

fn protocol(text: &str) -> Result<Protocol, String> {
    let known = Protocol::ALL.into_iter().find(|known| known.name() == text);
    known.ok_or_else(|| match text {
        "modbus" => "Modbus has no search: a unit does not say who it is".to_owned(),
        _ => format!("one of {}", Protocol::ALL.map(Protocol::name).join(", ")),
    })
}

fn mask(text: &str) -> Result<String, String> {
    let mask: weir_mbus::Secondary =
        text.parse().map_err(|error: weir_mbus::AddressError| error.to_string())?;
    Ok(mask.to_string())
}

pub(super) fn scan(args: &Args) -> Exit {
    let config = match load(&args.config.config) {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    let Some(line) = config.lines.iter().find(|line| line.name == args.line) else {
        return fail(Exit::Usage, format_args!("no line {:?} is configured", args.line));
    };
    let wanted = match wanted(args, line) {
        Ok(wanted) => wanted,
        Err(why) => return fail(Exit::Usage, why),
    };
    let mut watcher = Watcher::new();
    let report = match Client::connect(&config.gateway.control_socket) {
        Ok(Some(daemon)) => by_daemon(daemon, &line.name, wanted, &mut watcher),
        Ok(None) => here(line, wanted, &mut watcher),
        Err(error) => Err(start_failed(error)),
    };
    watcher.end();
    match report {
        Ok(report) => {
            for trouble in &report.troubles {
                eprintln!("weir: {trouble}");
            }
            let taken = config.lines.iter().flat_map(|line| &line.meters).map(|meter| meter.id.as_str());
            let exit = tell(&list::list(&report, line, taken));
            let found_none = exit == Exit::Ok && report.meters.is_empty();
            let why = if report.troubles.is_empty() { "no meter answers" } else { "no meter can be told" };
            if found_none { fail(Exit::NoReading, why) } else { exit }
        }
        Err((exit, why)) => fail(exit, why),
    }
}

fn wanted(args: &Args, line: &line::Config) -> Result<Wanted, String> {
    let protocols = protocols(args, line)?;
    if !args.baud.is_empty() && matches!(line.port, line::Port::Tcp(_)) {
        return Err(format!("the speed of {:?} is set in its serial server, not here", line.name));
    }
    let by_address = args.primary.is_some() || args.secondary.is_some();
    if !protocols.contains(&Protocol::Mbus) && (by_address || args.quick || args.hex_digits) {
        let why = "--primary, --secondary, --quick and --hex-digits are for M-Bus, which is not searched for";
        return Err(why.to_owned());
    }
    let spoken = protocols.into_iter().map(|protocol| {
        let known = line.meters.iter().find(|meter| meter.driver.name() == protocol.name());
        let serial = known.map_or(Serial::DEFAULT, |meter| meter.serial);
        Spoken {
            protocol,
            bauds: if args.baud.is_empty() { vec![serial.baud] } else { args.baud.clone() },
            without_parity: serial.parity == Parity::None,
        }
    });
    Ok(Wanted {
        spoken: spoken.collect(),
        primary: args.primary.or((!by_address).then_some((0, 250))),
        secondary: args.secondary.clone().or((!by_address).then(|| ALL_SECONDARY.to_owned())),
        tries: args.tries,
        is_thorough: !args.quick,
        hex_digits: args.hex_digits,
    })
}

/// What is asked for, or else what the line's meters speak, or on a line without meters M-Bus.
fn protocols(args: &Args, line: &line::Config) -> Result<Vec<Protocol>, String> {
    let mut wanted = args.driver.clone();
    if wanted.is_empty() {
        let all = Protocol::ALL.iter();
        let is_spoken = |it: &&Protocol| line.meters.iter().any(|meter| meter.driver.name() == it.name());
        wanted = all.filter(is_spoken).copied().collect();
    }
    wanted.sort_unstable();
    wanted.dedup();
    match (wanted.is_empty(), line.meters.is_empty()) {
        (true, true) => Ok(vec![Protocol::Mbus]),
        (true, false) => Err(format!(
            "the meters of {:?} speak Modbus, which has no search: a unit does not say who it is. --driver searches for \
             meters of another protocol",
            line.name
        )),
        (false, _) => Ok(wanted),
    }
}

fn by_daemon(
    mut daemon: Client,
    line: &str,
    wanted: Wanted,
    watcher: &mut Watcher,
) -> Result<Report, Failure> {
    let request = Request::Scan { line: line.to_owned(), wanted };
    daemon.begin(&request).map_err(start_failed)?;
    loop {
        match daemon.next_reply().map_err(start_failed)? {
            Some(Reply::ScanStep(step)) => watcher.tell(&step),
            Some(Reply::Scan(report)) => return Ok(report),
            Some(Reply::Refused { reason, detail }) => {
                let exit = if reason == "unknown-line" { Exit::Usage } else { Exit::NoReading };
                return Err((exit, detail));
            }
            Some(other) => return Err(super::ask::unexpected(&other)),
            None => return Err(start_failed("the daemon has gone, and the search with it")),
        }
    }
}

/// No daemon runs, so the port is free to be opened here.
fn here(line: &line::Config, wanted: Wanted, watcher: &mut Watcher) -> Result<Report, Failure> {
    let runtime = runtime().map_err(start_failed)?;
    let (tell, mut steps) = mpsc::channel(SCAN_STEPS_MAX);
    let end = runtime.block_on(async {
        let mut running = std::pin::pin!(line::run_once(line, Scan::new(wanted, tell)));
        loop {
            tokio::select! {
                biased;
                Some(step) = steps.recv() => watcher.tell(&step),
                end = &mut running => return end,
            }
        }
    });
    let no_reading = |error: &dyn std::fmt::Display| (Exit::NoReading, error.to_string());
    end.map_err(|error| no_reading(&error))?.map_err(|error| no_reading(&error))
}

/// Tells a person what a search is doing: on a terminal in one line that is written over, elsewhere only what is found.
struct Watcher {
    is_terminal: bool,
    asked: usize,
    found: usize,
}

impl Watcher {
    fn new() -> Self {
        Self { is_terminal: std::io::stderr().is_terminal(), asked: 0, found: 0 }
    }

    fn tell(&mut self, step: &Progress) {
        let mut out = std::io::stderr().lock();
        // A person who does not look any more is no reason to end.
        let _ = match step {
            Progress::Begun(protocol, baud) => {
                self.clear(&mut out);
                writeln!(out, "searching for {} at {baud} Bd", protocol.name())
            }
            Progress::Found(meter) => {
                self.found += 1;
                self.clear(&mut out);
                writeln!(out, "found {}", named(meter))
            }
            Progress::Asking(whom) if self.is_terminal => {
                self.asked += 1;
                write!(out, "\r\x1b[K{whom}  ({} asked, {} found)", self.asked, self.found)
                    .and_then(|()| out.flush())
            }
            Progress::Asking(_) => Ok(()),
        };
    }

    fn clear(&self, out: &mut impl Write) {
        if self.is_terminal {
            let _ = write!(out, "\r\x1b[K");
        }
    }

    fn end(&self) {
        self.clear(&mut std::io::stderr().lock());
    }
}

fn named(meter: &Meter) -> String {
    if let Some(address) = &meter.address {
        return address.clone();
    }
    let secondary = meter.secondary.as_deref().unwrap_or("a meter that does not say who it is");
    match meter.primary {
        Some(primary) => format!("{secondary} at primary address {primary}"),
        None => secondary.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_and_masks_are_read_or_refused() {
        assert_eq!(range("0-250"), Ok((0, 250)));
        assert_eq!(range("7"), Ok((7, 7)));
        for wrong in ["", "5-1", "1-251", "a-b", "-3"] {
            assert!(range(wrong).is_err(), "{wrong}");
        }
        assert_eq!(mask("1234ffff").as_deref(), Ok("1234FFFF"));
        assert!(mask("1234").unwrap_err().contains("eight digits"));
    }
}
