//! What is to be simulated, as written in TOML or built in code; `check.rs` turns it into a plan or says what is wrong.
//!
//! Only `name` and where the line is to be found must be given; everything else has a default that is drawn from the
//! seed or is what such meters usually do.

mod check;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use check::ConfigError;
pub(crate) use check::{Kind, LinePlan, MeterPlan, Place, Plan, check_faults};

use crate::{Fault, FaultRule};

/// A whole simulation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// All chance comes from this number. Default 1.
    pub seed: u64,
    /// How many answers the journal keeps, 1 to 10 million. Default 100 000.
    pub journal_entries_max: usize,
    /// The IANA time zone that the meters' clocks show. Default `UTC`.
    pub time_zone: String,
    /// The lines, each with its meters.
    pub lines: Vec<LineConfig>,
}

impl Default for Config {
    fn default() -> Self {
        Self { seed: 1, journal_entries_max: 100_000, time_zone: "UTC".to_owned(), lines: Vec::new() }
    }
}

impl Config {
    /// Reads a configuration from TOML text. Unknown keys are errors.
    ///
    /// # Errors
    /// [`ConfigError::Syntax`] with line and column. What only shows when all is known together (a name used twice, an
    /// address too high) is found by [`Simulator::start`](crate::Simulator::start) or [`Config::check`].
    pub fn from_toml(text: &str) -> Result<Self, ConfigError> {
        toml::from_str(text).map_err(|error| ConfigError::Syntax(Box::new(error)))
    }

    /// Whether this could be simulated, without opening anything.
    ///
    /// # Errors
    /// The first fault found, with the name of the line and meter.
    pub fn check(&self) -> Result<(), ConfigError> {
        Plan::of(self).map(|_| ())
    }
}

/// A line: a pty, a TCP address or a byte pair in memory, with the meters wired to it. Exactly one of `pty`, `tcp`
/// and `memory` must be given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LineConfig {
    /// Unique among the lines.
    pub name: String,
    /// Where to put the symbolic link to the pty, the path a master opens. A link to a pty left over there is replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pty: Option<PathBuf>,
    /// Where to listen; port 0 takes a free one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp: Option<SocketAddr>,
    /// A socket pair within the process, see [`LineHandle::connect`](crate::LineHandle::connect). Default false.
    #[serde(default)]
    pub memory: bool,
    /// Speed in bits per second, 50 to 4 000 000. Default 2400.
    #[serde(default = "default_baud")]
    pub baud: u32,
    /// Default even, which together with one stop bit makes 11 bits a character.
    #[serde(default)]
    pub parity: Parity,
    /// 1 or 2. Default 1.
    #[serde(default = "default_stop_bits")]
    pub stop_bits: u8,
    /// Whether bytes take the time they would take on the wire and meters their latency. Default true; on a line with
    /// `modbus = "tcp"` false, since Ethernet has no such speed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paced: Option<bool>,
    /// Bytes due within this time are delivered together, as a UART's FIFO does, 0 to 1000 ms. A byte never comes
    /// before its time, and an answer's last byte comes exactly at its time. Default 2.
    #[serde(default = "default_quantum_ms")]
    pub quantum_ms: u32,
    /// How Modbus frames look on this line. Default `rtu`.
    #[serde(default)]
    pub modbus: ModbusFraming,
    /// Whether the line's converter echoes what the master sends. Default false.
    #[serde(default)]
    pub echo: bool,
    /// The share of answers that line noise strikes, 0.0 to 1.0, as [`Fault::Noise`]. Default 0.
    #[serde(default)]
    pub noise: f64,
    /// Not heard are requests sent while the pty is set to another speed than the meter's. Default false. Only on a pty;
    /// a pty knows speeds, but no parity.
    #[serde(default)]
    pub strict_baud: bool,
    /// The meters on this line.
    #[serde(default)]
    pub meters: Vec<MeterConfig>,
}

impl LineConfig {
    /// A line on a pty that is opened through the link at `path`: 2400 8E1, paced.
    pub fn pty(name: impl Into<String>, path: impl Into<PathBuf>) -> Self {
        Self { pty: Some(path.into()), ..Self::unplaced(name) }
    }

    /// A line behind a TCP serial server at `address`: 2400 8E1, paced. With [`ModbusFraming::Tcp`]: Modbus/TCP, unpaced.
    pub fn tcp(name: impl Into<String>, address: SocketAddr) -> Self {
        Self { tcp: Some(address), ..Self::unplaced(name) }
    }

    /// A line within the process: 2400 8E1, paced.
    pub fn memory(name: impl Into<String>) -> Self {
        Self { memory: true, ..Self::unplaced(name) }
    }

    /// The same line with these meters added.
    #[must_use]
    pub fn with(mut self, meters: impl IntoIterator<Item = MeterConfig>) -> Self {
        self.meters.extend(meters);
        self
    }

    fn unplaced(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            pty: None,
            tcp: None,
            memory: false,
            baud: default_baud(),
            parity: Parity::default(),
            stop_bits: default_stop_bits(),
            paced: None,
            quantum_ms: default_quantum_ms(),
            modbus: ModbusFraming::default(),
            echo: false,
            noise: 0.0,
            strict_baud: false,
            meters: Vec::new(),
        }
    }
}

/// A meter, or with `count` a row of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeterConfig {
    /// Unique in the whole simulation. With `count` the meters are called `<name>-001`, `<name>-002`, …
    pub name: String,
    /// Makes so many meters, 1 to 250, with addresses and serial numbers counting up from the ones given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u16>,
    /// Which language it speaks.
    pub protocol: Protocol,
    /// Which telegram or register map it has; the names are in the docs of [`mbus`](crate::mbus),
    /// [`modbus`](crate::modbus), [`cjt188`](crate::cjt188) and [`dlt645`](crate::dlt645). Default `typical`, `ultrasonic`, `cold`
    /// and `single-phase`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// M-Bus 1 to 250 or Modbus 1 to 247 as a number; default: its place among the line's meters of that protocol, from 1.
    /// CJ/T 188: text of 14 decimal digits, manufacturer code first; default `7833` and the serial number. DL/T 645: text of
    /// 12 decimal digits; default the serial number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Address>,
    /// 1 to 99 999 999, sent as eight digits. Default: from 40 000 001 on, 10 000 for each line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<u32>,
    /// Three capital letters (M-Bus). Default `SIM`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manufacturer: Option<String>,
    /// The version in its secondary address, 0 to 254 (M-Bus). Default 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u8>,
    /// Whether another M-Bus meter on the line may have the same primary address: then both answer to it, at once. Default
    /// false.
    #[serde(default)]
    pub shares_address: bool,
    /// The register at the first answer, in m³ (DL/T 645: kWh), with no more decimals than the model sends. Default: drawn
    /// from the seed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume: Option<String>,
    /// From the end of a request to the start of the answer, 0 to 60 000 ms. Default: drawn from the seed, 11 to 30 ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<u32>,
    /// How much longer an answer struck by [`Fault::Slow`] takes, 0 to 60 000 ms. Default 2000.
    #[serde(default = "default_slow_ms")]
    pub slow_ms: u32,
    /// How long its valve takes from end to end, 0 to 600 000 ms; while it moves the meter says so. Only a meter with a
    /// valve: CJ/T 188, Modbus model `xintai`, M-Bus model `valve`. Default 0: it is there at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valve_travel_ms: Option<u32>,
    /// The meter's own speed where it differs from the line's; it then only hears requests at that speed where the line
    /// has `strict_baud`. Default: the line's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baud: Option<u32>,
    /// Which order of the data identifier's bytes it understands (CJ/T 188). Default `any`: it answers in the order asked.
    #[serde(default)]
    pub di_order: DiOrder,
    /// How many FE bytes go before an answer, 0 to 4 (CJ/T 188 and DL/T 645). Default: drawn from the seed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preamble_bytes: Option<u8>,
    /// What is wrong with it from the start.
    #[serde(default)]
    pub faults: Vec<FaultRule>,
}

impl MeterConfig {
    /// A meter with everything else by default.
    pub fn new(name: impl Into<String>, protocol: Protocol) -> Self {
        Self {
            name: name.into(),
            count: None,
            protocol,
            model: None,
            address: None,
            serial: None,
            manufacturer: None,
            version: None,
            shares_address: false,
            volume: None,
            latency_ms: None,
            slow_ms: default_slow_ms(),
            valve_travel_ms: None,
            baud: None,
            di_order: DiOrder::default(),
            preamble_bytes: None,
            faults: Vec::new(),
        }
    }

    /// An M-Bus meter.
    pub fn mbus(name: impl Into<String>) -> Self {
        Self::new(name, Protocol::Mbus)
    }

    /// A Modbus meter.
    pub fn modbus(name: impl Into<String>) -> Self {
        Self::new(name, Protocol::Modbus)
    }

    /// A CJ/T 188 meter.
    pub fn cjt188(name: impl Into<String>) -> Self {
        Self::new(name, Protocol::Cjt188)
    }

    /// A DL/T 645 meter.
    pub fn dlt645(name: impl Into<String>) -> Self {
        Self::new(name, Protocol::Dlt645)
    }

    /// A row of `count` such meters.
    #[must_use]
    pub fn count(self, count: u16) -> Self {
        Self { count: Some(count), ..self }
    }

    /// The same with another model.
    #[must_use]
    pub fn model(self, model: impl Into<String>) -> Self {
        Self { model: Some(model.into()), ..self }
    }

    /// The same with an address: a number for M-Bus and Modbus, 14 digits for CJ/T 188, 12 for DL/T 645.
    #[must_use]
    pub fn address(self, address: impl Into<Address>) -> Self {
        Self { address: Some(address.into()), ..self }
    }

    /// The same with an exact latency.
    #[must_use]
    pub fn latency_ms(self, latency_ms: u32) -> Self {
        Self { latency_ms: Some(latency_ms), ..self }
    }

    /// The same with a valve that takes so long.
    #[must_use]
    pub fn valve_travel_ms(self, valve_travel_ms: u32) -> Self {
        Self { valve_travel_ms: Some(valve_travel_ms), ..self }
    }

    /// The same with a fault that is always there.
    #[must_use]
    pub fn fault(mut self, fault: Fault) -> Self {
        self.faults.push(fault.into());
        self
    }
}

/// The languages meters speak here. Meters of different protocols may share a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// Wired M-Bus, EN 13757-2 and -3.
    Mbus,
    /// Modbus RTU or Modbus/TCP, as the line says.
    Modbus,
    /// CJ/T 188-2004 and -2018.
    Cjt188,
    /// DL/T 645-2007: electricity meters.
    Dlt645,
}

/// A meter's address on its line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Address {
    /// M-Bus primary address or Modbus unit identifier.
    Number(u8),
    /// CJ/T 188: 14 decimal digits, as printed, manufacturer code first. DL/T 645: 12.
    Digits(String),
}

impl From<u8> for Address {
    fn from(number: u8) -> Self {
        Self::Number(number)
    }
}

impl From<&str> for Address {
    fn from(digits: &str) -> Self {
        Self::Digits(digits.to_owned())
    }
}

/// The order of the two bytes of a CJ/T 188 data identifier on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum DiOrder {
    /// Understands both.
    #[default]
    #[serde(rename = "any")]
    Any,
    /// High byte first, `90 1F`.
    #[serde(rename = "2004")]
    HighFirst,
    /// Low byte first, `1F 90`.
    #[serde(rename = "2018")]
    LowFirst,
}

/// Parity bit of a character. It costs time here and is not checked: neither a pty nor TCP carries one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Parity {
    /// Even, what M-Bus and CJ/T 188 prescribe.
    #[default]
    Even,
    /// Odd.
    Odd,
    /// No parity bit.
    None,
}

/// How Modbus frames look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ModbusFraming {
    /// Unit identifier and CRC, as on RS-485, also behind a serial server.
    #[default]
    Rtu,
    /// The MBAP header of Modbus/TCP. Such a line has no other meters and is on TCP or in memory.
    Tcp,
}

fn default_baud() -> u32 {
    2400
}

fn default_stop_bits() -> u8 {
    1
}

fn default_quantum_ms() -> u32 {
    2
}

fn default_slow_ms() -> u32 {
    2000
}
