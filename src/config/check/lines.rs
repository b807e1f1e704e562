//! `[[lines]]`: where they are, and what must not be said of two of them.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use jiff::tz::TimeZone;

use super::super::file::{self, Framing};
use super::super::forecast::Forecast;
use super::super::notice::Findings;
use super::super::quantity::Shown;
use super::super::source::{At, Place};
use super::{duration_within, meters, names, number_within, schedule, selection};
use crate::line::{self, Port, Rs485};

const REPEATS: u32 = 2;
/// USB adapters hold bytes back for up to 100 ms (libmbus allows for as much).
const ALLOWANCE_SERIAL: Duration = Duration::from_millis(100);
/// A serial server has its own packing delay, and behind it may lie a mobile network.
const ALLOWANCE_TCP: Duration = Duration::from_millis(250);
/// What the kernel's drivers take (`serial_core.c` has 100 ms as the most).
const RS485_DELAYS: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_millis(100);
const ALLOWANCES: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(10);

/// A line on its way to being whole.
pub(super) struct Draft<'t> {
    pub(super) config: line::Config,
    pub(super) typed: &'t file::Line,
    /// The framing of each Modbus meter, and of none of the others.
    pub(super) framings: Vec<(Option<Framing>, Place)>,
}

/// Checks the lines, their meters apart.
pub(super) fn lines<'t>(typed: &'t [file::Line], zone: &TimeZone, findings: &mut Findings) -> Vec<Draft<'t>> {
    let (mut names, mut ports) = (HashMap::new(), HashMap::new());
    let mut drafts = Vec::new();
    for line in typed {
        findings.require("name", &line.name, &line.place, "give the line a name, such as \"riser-1\"");
        if let Some(name) = &line.name {
            names::is_name("name", name, findings);
            unique(&mut names, name.value.clone(), &name.place, "two lines have this name", findings);
        }
        let port = port(line, &mut ports, findings);
        // Checked here as well as with each meter: a default that no meter uses can be wrong too.
        schedule::schedule(&line.shared, findings);
        meters::waits(&line.shared, findings);
        meters::register_digits(&line.shared, findings);
        meters::serial(&line.shared, weir_meter::Serial::DEFAULT, findings);
        selection::selection(line.shared.keep.as_ref(), findings);
        drafts.push(Draft { config: config(line, port, zone, findings), typed: line, framings: Vec::new() });
    }
    drafts
}

fn config(line: &file::Line, port: Port, zone: &TimeZone, findings: &mut Findings) -> line::Config {
    let allowance =
        duration_within("adapter_allowance", line.adapter_allowance.as_ref(), ALLOWANCES, findings);
    let default = match port {
        Port::Serial(_) => ALLOWANCE_SERIAL,
        Port::Tcp(_) => ALLOWANCE_TCP,
    };
    line::Config {
        name: line.name.as_ref().map(|name| name.value.clone()).unwrap_or_default(),
        port,
        echo: line.echo.as_ref().is_some_and(|echo| echo.value),
        repeats: number_within("repeats", line.repeats.as_ref(), 0..=5, "", findings).unwrap_or(REPEATS),
        adapter_allowance: allowance.unwrap_or(default),
        rs485: rs485(line, findings),
        keep_raw: line.keep_raw.as_ref().is_some_and(|keep_raw| keep_raw.value),
        time_zone: zone.clone(),
        meters: Vec::new(),
    }
}

fn rs485(line: &file::Line, findings: &mut Findings) -> Option<Rs485> {
    let mut delay = |key, typed: &Option<At<Duration>>| {
        let wait = duration_within(key, typed.as_ref(), RS485_DELAYS, findings).unwrap_or_default();
        if let (Some(at), true) = (typed, !wait.subsec_nanos().is_multiple_of(1_000_000)) {
            findings.fault(&at.place, format!("`{key}` is no whole number of milliseconds"));
        } else if let (Some(at), None) = (typed, &line.rs485) {
            let hint = "say with `rs485` what RTS is while sending, or leave this out";
            findings.fault(&at.place, format!("`{key}` has no effect without `rs485`")).hint(hint);
        }
        u32::try_from(wait.as_millis()).unwrap_or(u32::MAX)
    };
    let delay_before_send_ms = delay("rs485_delay_before_send", &line.rs485_delay_before_send);
    let delay_after_send_ms = delay("rs485_delay_after_send", &line.rs485_delay_after_send);
    let rts_low_to_send = line.rs485.as_ref()?;
    if line.tcp.is_some() {
        let hint = "leave it out: a serial server steers its own port";
        findings.fault(&rts_low_to_send.place, "`rs485` is for a line with a `port`").hint(hint);
    }
    Some(Rs485 { rts_low_to_send: rts_low_to_send.value, delay_before_send_ms, delay_after_send_ms })
}

fn port(line: &file::Line, ports: &mut HashMap<String, Place>, findings: &mut Findings) -> Port {
    const HINT: &str = "port = \"/dev/ttyUSB0\" for a serial port, tcp = \"host:port\" for a serial server";
    match (&line.port, &line.tcp) {
        (Some(port), Some(tcp)) => {
            let hint = "a line has one of them; make two lines of it if there are two";
            let notice = findings.fault(&tcp.place, "the line has both `port` and `tcp`");
            notice.also(&port.place, "and this port").hint(hint);
        }
        (None, None) => findings.require("port", &None::<()>, &line.place, HINT),
        _ => {}
    }
    if let Some(port) = &line.port {
        if !port.value.starts_with('/') || port.value.contains('\0') {
            let hint = "write its whole path, best one that stays the same: \"/dev/serial/by-id/…\"";
            findings.fault(&port.place, format!("{:?} is no path of a serial port", port.value)).hint(hint);
        }
        unique(ports, port.value.clone(), &port.place, "two lines have this port", findings);
    }
    match &line.tcp {
        Some(tcp) => {
            names::is_host_and_port("tcp", tcp, findings);
            let same = tcp.value.to_ascii_lowercase();
            unique(ports, same, &tcp.place, "two lines have this address", findings);
            Port::Tcp(tcp.value.clone())
        }
        None => Port::Serial(PathBuf::from(line.port.as_ref().map_or("", |port| &port.value))),
    }
}

/// A fault when something of which there may be one comes a second time.
pub(super) fn unique(
    seen: &mut HashMap<String, Place>,
    what: String,
    place: &Place,
    message: &str,
    findings: &mut Findings,
) {
    match seen.entry(what) {
        Entry::Occupied(first) => {
            findings.fault(place, message).also(first.get(), "first here");
        }
        Entry::Vacant(entry) => {
            entry.insert(place.clone());
        }
    }
}

/// Checks what only shows when the meters are known.
pub(super) fn finish(drafts: &[Draft<'_>], findings: &mut Findings) {
    if drafts.is_empty() && !findings.has_faults() {
        let message =
            format!("there are no [[lines]], so nothing is polled ({})", findings.sources.path(0).display());
        findings.warn_of_file(message);
    }
    for draft in drafts {
        let is_tcp = |(framing, _): &&(Option<Framing>, Place)| *framing == Some(Framing::Tcp);
        let gateway = draft.framings.iter().find(is_tcp);
        let other = draft.framings.iter().find(|framing| !is_tcp(framing));
        if let (Some((_, gateway)), Some((_, other))) = (gateway, other) {
            let message = "the line carries Modbus TCP, so this meter cannot be on it";
            let hint =
                "what speaks Modbus TCP passes nothing else through; put the meter on a line of its own";
            findings.fault(other, message).also(gateway, "this one speaks Modbus TCP").hint(hint);
        }
        if let (true, Some(name)) =
            (draft.config.meters.is_empty() && !findings.has_faults(), &draft.typed.name)
        {
            findings.warn(&name.place, "the line has no meters");
        }
    }
}

/// Says what does not fit on its line.
pub(super) fn judge(forecast: &Forecast, typed: &[file::Line], findings: &mut Findings) {
    for (load, line) in forecast.lines.iter().zip(typed) {
        let Some(name) = &line.name else { continue };
        let advice = || {
            let all_fit = schedule::dividing_from(load.round.mul_f64(1.25));
            let slower = all_fit.map(|every| format!("`every = \"{}\"` for all of them", Shown(every)));
            let slower = slower.unwrap_or_else(|| "fewer meters".to_owned());
            format!("{slower} would fit, or a higher `baud`, or a second line")
        };
        if load.shortest > 1.0 {
            let message = format!(
                "the line's meters cannot be read as often as this: even the shortest answers take {} of the time",
                load.shortest_percent()
            );
            findings.fault(&name.place, message).hint(advice());
        } else if load.typical > 1.0 {
            let message = format!(
                "the line's meters can hardly be read as often as this: typical answers take {} of the time",
                load.typical_percent()
            );
            findings.warn(&name.place, message).hint(advice());
        }
    }
}
