//! `weir trace`: what passes on a line, as it passes, for the engineer at the cabinet.
//!
//! The daemon shows bytes; they are decoded here, by the driver that the configuration gives the meter that was asked. A line
//! that no daemon polls has nothing to show.

use std::collections::HashMap;
use std::fmt::Write;

use jiff::tz::TimeZone;
use weir_meter::{Driver, Fault};
use weir_wire::{Answer, Function};

use super::{Exit, Failure, Form, fail, load, show, start_failed};
use crate::control::{Client, Reply, Request};
use crate::line::{Frame, FrameKind};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The line's name
    line: String,
    /// Print a JSON object a frame
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: super::Config,
}

pub(super) fn trace(args: &Args) -> Exit {
    let config = match load(&args.config.config) {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    let zone = config.gateway.time_zone;
    let Some(line) = config.lines.into_iter().find(|line| line.name == args.line) else {
        return fail(Exit::Usage, format_args!("no line {:?} is configured", args.line));
    };
    let daemon = match Client::connect(&config.gateway.control_socket) {
        Ok(Some(daemon)) => daemon,
        Ok(None) => {
            let why = "no daemon runs, so nothing passes on the line; `weir run` polls it, `weir read` asks one meter";
            return fail(Exit::StartFailed, why);
        }
        Err(error) => return fail(Exit::StartFailed, error),
    };
    let drivers = line.meters.into_iter().map(|meter| (meter.id, meter.driver)).collect();
    let mut printer =
        Printer { form: Form::of(args.json), zone, drivers, request: Vec::new(), last_ms: None };
    match watch(daemon, &args.line, &mut printer) {
        Ok(()) => Exit::Ok,
        Err((exit, why)) => fail(exit, why),
    }
}

fn watch(mut daemon: Client, line: &str, printer: &mut Printer) -> Result<(), Failure> {
    daemon.begin(&Request::Trace { line: line.to_owned() }).map_err(start_failed)?;
    while let Some(reply) = daemon.next_reply().map_err(start_failed)? {
        let text = match reply {
            Reply::Watching { status, .. } => {
                let why = match (&status.down_reason, &status.lent_to) {
                    (Some(why), _) => format!(", which is down: {why}"),
                    (None, Some(to)) => format!(", which is lent: {to}"),
                    (None, None) => String::new(),
                };
                eprintln!("watching {line}{why}; Ctrl-C ends it");
                continue;
            }
            Reply::Frame(frame) => printer.frame(&frame),
            Reply::FramesLost { count } => printer.lost(count),
            Reply::Refused { reason, detail } => {
                let exit = if reason == "unknown-line" { Exit::Usage } else { Exit::NoReading };
                return Err((exit, detail));
            }
            other => return Err(super::ask::unexpected(&other)),
        };
        // Whoever has heard enough (`weir trace … | head`) ends it.
        use std::io::Write as _;
        let mut out = std::io::stdout().lock();
        if out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err() {
            return Ok(());
        }
    }
    eprintln!("the line has stopped");
    Ok(())
}

struct Printer {
    form: Form,
    zone: TimeZone,
    drivers: HashMap<String, Box<dyn Driver>>,
    /// The last request: a Modbus answer says nothing without it.
    request: Vec<u8>,
    last_ms: Option<u64>,
}

/// A frame and what it says.
#[derive(serde::Serialize)]
struct Decoded<'a> {
    #[serde(flatten)]
    frame: &'a Frame,
    /// Milliseconds since the frame before.
    #[serde(skip_serializing_if = "Option::is_none")]
    delta_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    decoded: Option<Answer>,
    /// Why it is not decoded.
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<String>,
}

impl Printer {
    fn frame(&mut self, frame: &Frame) -> String {
        let delta_ms = self.last_ms.replace(frame.uptime_ms).map(|last| frame.uptime_ms.saturating_sub(last));
        if frame.kind == FrameKind::Request {
            self.request.clone_from(&frame.bytes.0);
        }
        let (decoded, fault) = match self.decode(frame) {
            None => (None, None),
            Some(Ok(answer)) => (Some(answer), None),
            Some(Err(fault)) => (None, Some(fault.to_string())),
        };
        match self.form {
            Form::Json => {
                let decoded = Decoded { frame, delta_ms, decoded, fault };
                serde_json::to_string(&decoded).unwrap_or_default() + "\n"
            }
            Form::Table => self.table(frame, delta_ms, decoded.as_ref(), fault.as_deref()),
        }
    }

    fn decode(&self, frame: &Frame) -> Option<Result<Answer, Fault>> {
        if frame.kind != FrameKind::Answer {
            return None;
        }
        // A job's answers, such as a search's, are decoded as the line's meters' if there is no doubt of what they speak.
        let mut drivers = self.drivers.values();
        let asked = frame.about.as_ref().and_then(|about| self.drivers.get(about));
        let driver = asked.or_else(|| {
            let first = drivers.next()?;
            drivers.all(|other| other.name() == first.name()).then_some(first)
        })?;
        driver.decode(&self.request, &frame.bytes.0)
    }

    fn table(
        &self,
        frame: &Frame,
        delta_ms: Option<u64>,
        decoded: Option<&Answer>,
        fault: Option<&str>,
    ) -> String {
        let time = frame.at.to_zoned_datetime(self.zone.clone()).strftime("%H:%M:%S%.3f").to_string();
        let delta = delta_ms.map(|ms| format!("+{ms}")).unwrap_or_default();
        let arrow = match frame.kind {
            FrameKind::Request | FrameKind::FromTool => "→",
            _ => "←",
        };
        let kind = match frame.kind {
            FrameKind::Request => "request",
            FrameKind::Answer => "answer",
            FrameKind::Foreign => "foreign",
            FrameKind::Garbled => "garbled",
            FrameKind::Silence => "silence",
            FrameKind::Unasked => "unasked",
            FrameKind::FromTool => "tool",
            FrameKind::ToTool => "to tool",
        };
        let about = frame.about.as_deref().unwrap_or("-");
        let mut text = format!("{time} {delta:>7} {arrow} {kind:<7} {about}  {}\n", hex(&frame.bytes.0));
        for note in [frame.why.as_deref(), fault].into_iter().flatten() {
            let _ = writeln!(text, "{:>22}{}", "", note.escape_debug());
        }
        if let Some(answer) = decoded {
            values(answer, &mut text);
        }
        text
    }

    fn lost(&mut self, count: u64) -> String {
        self.last_ms = None;
        match self.form {
            Form::Json => format!("{{\"lost\":{count}}}\n"),
            Form::Table => format!("… {count} frames lost: this watcher is slower than the line\n"),
        }
    }
}

/// The gist of an answer, a value a line.
fn values(answer: &Answer, text: &mut String) {
    if let Some(number) = &answer.identity.number {
        let _ = writeln!(text, "{:>22}number {}", "", number.escape_debug());
    }
    for value in &answer.values {
        let unit = value.unit.as_ref().map(|unit| format!(" {unit}")).unwrap_or_default();
        let _ = write!(text, "{:>22}{} {}{unit}", "", value.quantity, show::content(&value.content));
        if value.function != Function::Instantaneous {
            let _ = write!(text, " {}", value.function);
        }
        for (name, number) in [
            ("storage", value.storage),
            ("tariff", u64::from(value.tariff)),
            ("subunit", u64::from(value.subunit)),
        ] {
            if number != 0 {
                let _ = write!(text, " {name} {number}");
            }
        }
        text.push('\n');
    }
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 3);
    for (index, byte) in bytes.iter().enumerate() {
        let _ = write!(text, "{}{byte:02X}", if index == 0 { "" } else { " " });
    }
    text
}
