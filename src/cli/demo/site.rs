//! The simulated site: three lines with meters of four protocols, told once to the simulator and once to the daemon.
//!
//! The daemon gets its half as the text of a configuration file, as from a person. One table makes both, so that they
//! cannot drift apart.

use std::fmt::Write as _;
use std::path::Path;

use weir_simulator::{Config, Fault, FaultRule, LineConfig, MeterConfig, Parity};

use super::broker::{EVENTS_TOPIC, READINGS_TOPIC};

/// All lines.
#[derive(Debug)]
pub(super) struct Site {
    lines: Vec<Line>,
}

#[derive(Debug)]
struct Line {
    name: &'static str,
    baud: u32,
    parity: Parity,
    /// So that the line is a third to two thirds busy: a share that a real one has in its busiest quarter of an hour.
    every_s: u32,
    meters: Vec<Meter>,
}

#[derive(Clone, Debug)]
struct Meter {
    id: String,
    kind: Kind,
    number: u8,
    /// A bad contact: so many of its answers are spoilt.
    noise: f64,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Mbus { model: &'static str },
    Modbus { model: &'static str, profile: &'static str },
    Cjt188,
    Dlt645,
}

const TYPICAL: Kind = Kind::Mbus { model: "typical" };
const WARM: Kind = Kind::Mbus { model: "warm" };
const ULTRASONIC: Kind = Kind::Modbus { model: "ultrasonic", profile: "generic-ultrasonic" };
const VALVE: Kind = Kind::Modbus { model: "xintai", profile: "xintai-valve" };

impl Site {
    /// The demo's site.
    pub(super) fn new() -> Self {
        let mut riser = [Meter::row("A", 1, 11, TYPICAL), Meter::row("A", 12, 3, WARM)].concat();
        if let Some(old) = riser.last_mut() {
            old.noise = 0.3;
        }
        let pump_house = [
            Meter::row("P", 1, 6, ULTRASONIC),
            Meter::row("P", 7, 2, VALVE),
            Meter::row("P", 9, 2, Kind::Cjt188),
        ]
        .concat();
        let lines = vec![
            Line { name: "riser-1", baud: 2400, parity: Parity::Even, every_s: 10, meters: riser },
            Line {
                name: "riser-2",
                baud: 2400,
                parity: Parity::Even,
                every_s: 5,
                meters: [Meter::row("B", 1, 7, Kind::Cjt188), Meter::row("B", 8, 1, Kind::Dlt645)].concat(),
            },
            Line { name: "pumps", baud: 9600, parity: Parity::None, every_s: 5, meters: pump_house },
        ];
        Self { lines }
    }

    /// Each meter's id with its protocol.
    pub(super) fn protocols(&self) -> impl Iterator<Item = (String, &'static str)> + '_ {
        self.lines.iter().flat_map(|line| &line.meters).map(|meter| (meter.id.clone(), meter.kind.driver()))
    }

    /// What the simulator is to be started with; the ptys' links go into this directory.
    pub(super) fn simulation(&self, directory: &Path) -> Config {
        let line = |line: &Line| {
            let made = LineConfig::pty(line.name, directory.join(line.name));
            LineConfig { baud: line.baud, parity: line.parity, ..made }
                .with(line.meters.iter().map(simulated))
        };
        // The house's history: other numbers at every start would only be confusing.
        Config { seed: 1, lines: self.lines.iter().map(line).collect(), ..Config::default() }
    }

    /// The daemon's configuration, as text. Everything it keeps goes below this directory.
    pub(super) fn configuration(&self, directory: &Path, gateway: &str, servers: &str) -> String {
        let quoted = |path: &Path| toml::Value::from(path.display().to_string()).to_string();
        let brokers: Vec<_> =
            servers.split(',').map(|server| toml::Value::from(server.trim()).to_string()).collect();
        let mut text = format!(
            "# Written by `weir demo`.\n\
             [gateway]\n\
             id = \"{gateway}\"\n\
             time_zone = \"UTC\"\n\
             state_directory = {state}\n\
             control_socket = {socket}\n\n\
             [outbox]\n\
             commit_window = \"500ms\"\n\n\
             [uplink]\n\
             # A city's gateways come back at random moments; this one is alone and is being watched.\n\
             start_spread = \"0s\"\n\
             unsynced_hold = \"0s\"\n\
             retry_max = \"2s\"\n\n\
             [uplink.kafka]\n\
             brokers = [{brokers}]\n\
             readings_topic = \"{READINGS_TOPIC}\"\n\
             events_topic = \"{EVENTS_TOPIC}\"\n\
             # Longer than most people leave the plug out: what is in flight then goes on as soon as it is back.\n\
             message_timeout = \"5m\"\n\n\
             [uplink.kafka.properties]\n\
             # Back soon after the plug is.\n\
             \"reconnect.backoff.max.ms\" = \"1000\"\n",
            state = quoted(&directory.join("state")),
            socket = quoted(&directory.join("control.sock")),
            brokers = brokers.join(", "),
        );
        for line in &self.lines {
            line.configure(&mut text, &quoted(&directory.join(line.name)));
        }
        text
    }
}

impl Line {
    fn configure(&self, text: &mut String, port: &str) {
        let Self { name, baud, every_s, .. } = self;
        let parity = match self.parity {
            Parity::Even => "even",
            Parity::Odd => "odd",
            Parity::None => "none",
        };
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "\n[[lines]]\nname = \"{name}\"\nport = {port}\nbaud = {baud}\nparity = \"{parity}\"\nstop_bits = 1\n\
             every = \"{every_s}s\"\nadapter_allowance = \"20ms\"\n"
        );
        for meter in &self.meters {
            let _ = writeln!(
                text,
                "\n[[meters]]\nid = \"{}\"\nline = \"{name}\"\n{}",
                meter.id,
                meter.settings()
            );
        }
    }
}

impl Meter {
    /// Meters with numbers from `first` on.
    fn row(letter: &str, first: u8, count: u8, kind: Kind) -> Vec<Self> {
        let meter = |number| Self { id: format!("{letter}-{number:02}"), kind, number, noise: 0.0 };
        (first..first.saturating_add(count)).map(meter).collect()
    }

    /// CJ/T 188: manufacturer code 7833, then the number. DL/T 645: twelve digits.
    fn digits(&self) -> String {
        let line = self.id.bytes().next().unwrap_or_default();
        match self.kind {
            Kind::Dlt645 => format!("20{line:05}{:05}", self.number),
            _ => format!("7833{line:05}{:05}", self.number),
        }
    }

    fn settings(&self) -> String {
        let driver = self.kind.driver();
        match self.kind {
            Kind::Mbus { .. } => format!("driver = \"{driver}\"\naddress = {}", self.number),
            Kind::Modbus { profile, .. } => {
                format!("driver = \"{driver}\"\nprofile = \"{profile}\"\naddress = {}", self.number)
            }
            Kind::Cjt188 | Kind::Dlt645 => format!("driver = \"{driver}\"\naddress = \"{}\"", self.digits()),
        }
    }
}

impl Kind {
    fn driver(self) -> &'static str {
        match self {
            Self::Mbus { .. } => "mbus",
            Self::Modbus { .. } => "modbus",
            Self::Cjt188 => "cjt188",
            Self::Dlt645 => "dlt645",
        }
    }
}

fn simulated(meter: &Meter) -> MeterConfig {
    let made = match meter.kind {
        Kind::Mbus { model } => MeterConfig::mbus(&meter.id).model(model).address(meter.number),
        Kind::Modbus { model, .. } => MeterConfig::modbus(&meter.id).model(model).address(meter.number),
        Kind::Cjt188 => MeterConfig::cjt188(&meter.id).address(meter.digits().as_str()),
        Kind::Dlt645 => MeterConfig::dlt645(&meter.id).address(meter.digits().as_str()),
    };
    let faults = (meter.noise > 0.0).then(|| FaultRule { probability: meter.noise, ..Fault::Noise.into() });
    MeterConfig { faults: faults.into_iter().collect(), ..made }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config;

    #[test]
    fn the_daemon_takes_its_half_without_a_word_and_sends_without_delay() {
        let site = Site::new();
        let folder = Path::new("/tmp/weir-demo-\"odd\" name");
        let text = site.configuration(folder, "demo-0badcafe", "127.0.0.1:9092,127.0.0.1:9093");
        let outcome = config::check_text(&folder.join("weir.toml"), &text);
        assert_eq!(outcome.report(false), "");
        let checked = outcome.checked.unwrap();
        assert_eq!(checked.uplink.start_spread, Duration::ZERO);
        assert_eq!(checked.lines.len(), 3);
        let ids =
            |line: &crate::line::Config| line.meters.iter().map(|meter| meter.id.clone()).collect::<Vec<_>>();
        let known: Vec<String> = site.protocols().map(|(id, _)| id).collect();
        assert_eq!(checked.lines.iter().flat_map(ids).collect::<Vec<_>>(), known);
        assert_eq!(known.len(), 32);
    }

    #[test]
    fn the_simulator_takes_the_other_half_with_the_same_meters() {
        let site = Site::new();
        let simulation = site.simulation(Path::new("/tmp/weir-demo-x"));
        simulation.check().unwrap();
        let names = simulation.lines.iter().flat_map(|line| &line.meters).map(|meter| meter.name.clone());
        assert_eq!(names.collect::<Vec<_>>(), site.protocols().map(|(id, _)| id).collect::<Vec<_>>());
    }
}
