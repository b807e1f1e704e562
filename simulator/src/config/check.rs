//! From a configuration as written to a plan in which every meter has its own entry and nothing is left open.
//!
//! Stops at the first fault: a simulation is a test bench's, and its writer runs it again at once.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use jiff::tz::TimeZone;
use rust_decimal::Decimal;

use super::{Address, Config, DiOrder, LineConfig, MeterConfig, ModbusFraming, Protocol};
use crate::pacing::Character;
use crate::{Fault, FaultRule, cjt188, dlt645, mbus, modbus};

/// The most meters with one `count`: M-Bus has 250 primary addresses.
const COUNT_MAX: u16 = 250;
/// The most meters on a line: CJ/T 188 would allow more, but nobody wires them.
const METERS_PER_LINE_MAX: usize = 1000;
/// Each line's default serial numbers start so far apart.
const SERIALS_PER_LINE: u32 = 10_000;
const FIRST_SERIAL: u32 = 40_000_000;
const SERIAL_MAX: u32 = 99_999_999;

/// What is wrong with a configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Not TOML, an unknown key, or a value of the wrong kind; with line and column.
    #[error("{0}")]
    Syntax(Box<toml::de::Error>),
    /// A value of the simulation as a whole is out of range.
    #[error("{key}: {reason}")]
    Simulation {
        /// The key.
        key: &'static str,
        /// What is wrong with its value.
        reason: String,
    },
    /// A line cannot be so.
    #[error("line {line:?}: {reason}")]
    Line {
        /// The line's name.
        line: String,
        /// What is wrong.
        reason: String,
    },
    /// A meter cannot be so.
    #[error("line {line:?}, meter {meter:?}: {reason}")]
    Meter {
        /// The line's name.
        line: String,
        /// The meter's name.
        meter: String,
        /// What is wrong.
        reason: String,
    },
}

#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) journal_entries_max: usize,
    pub(crate) zone: TimeZone,
    pub(crate) lines: Vec<LinePlan>,
}

#[derive(Debug)]
pub(crate) struct LinePlan {
    pub(crate) name: String,
    pub(crate) place: Place,
    pub(crate) character: Character,
    pub(crate) paced: bool,
    pub(crate) quantum_ns: u64,
    pub(crate) modbus: ModbusFraming,
    pub(crate) echo: bool,
    pub(crate) strict_baud: bool,
    pub(crate) meters: Vec<MeterPlan>,
}

#[derive(Debug, Clone)]
pub(crate) enum Place {
    Pty(PathBuf),
    Tcp(SocketAddr),
    Memory,
}

#[derive(Debug)]
pub(crate) struct MeterPlan {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) serial: u32,
    /// In the model's own steps.
    pub(crate) volume: Option<u64>,
    pub(crate) latency: Option<Duration>,
    pub(crate) slow: Duration,
    pub(crate) valve_travel: Duration,
    pub(crate) character: Character,
    pub(crate) faults: Vec<FaultRule>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Mbus { address: u8, manufacturer: [u8; 2], version: u8, model: mbus::Model },
    Modbus { unit: u8, model: modbus::Model },
    Cjt188 { address: [u8; 7], model: cjt188::Model, order: DiOrder, preamble: Option<u8> },
    Dlt645 { address: [u8; 6], preamble: Option<u8> },
}

impl Kind {
    pub(crate) fn protocol(&self) -> Protocol {
        match self {
            Self::Mbus { .. } => Protocol::Mbus,
            Self::Modbus { .. } => Protocol::Modbus,
            Self::Cjt188 { .. } => Protocol::Cjt188,
            Self::Dlt645 { .. } => Protocol::Dlt645,
        }
    }

    fn has_valve(&self) -> bool {
        match self {
            Self::Mbus { model, .. } => *model == mbus::Model::Valve,
            Self::Modbus { model, .. } => *model == modbus::Model::Xintai,
            Self::Cjt188 { .. } => true,
            Self::Dlt645 { .. } => false,
        }
    }

    /// Decimals of the register in its unit and the number of steps after which it starts again from zero.
    pub(crate) fn register(&self) -> (u32, u64) {
        match self {
            Self::Mbus { model, .. } => (model.decimals(), mbus::REGISTER_STEPS),
            Self::Modbus { model, .. } => (modbus::DECIMALS, model.register_steps()),
            Self::Cjt188 { .. } => (cjt188::DECIMALS, cjt188::REGISTER_STEPS),
            Self::Dlt645 { .. } => (dlt645::DECIMALS, dlt645::REGISTER_STEPS),
        }
    }
}

impl Plan {
    pub(crate) fn of(config: &Config) -> Result<Self, ConfigError> {
        let zone = TimeZone::get(&config.time_zone).map_err(|error| ConfigError::Simulation {
            key: "time_zone",
            reason: format!("{:?} is not a known IANA time zone: {error}", config.time_zone),
        })?;
        if !(1..=10_000_000).contains(&config.journal_entries_max) {
            return Err(ConfigError::Simulation {
                key: "journal_entries_max",
                reason: format!("{} is not within 1 to 10 000 000", config.journal_entries_max),
            });
        }
        let (mut line_names, mut meter_names) = (HashSet::new(), HashSet::new());
        let mut lines = Vec::new();
        for (index, line) in config.lines.iter().enumerate() {
            if !line_names.insert(line.name.as_str()) {
                return Err(wrong_line(line, "another line has this name"));
            }
            let plan = plan_line(line, index)?;
            for meter in &plan.meters {
                if !meter_names.insert(meter.name.clone()) {
                    return Err(wrong_meter(line, &meter.name, "another meter has this name"));
                }
            }
            lines.push(plan);
        }
        Ok(Self { seed: config.seed, journal_entries_max: config.journal_entries_max, zone, lines })
    }
}

fn plan_line(line: &LineConfig, index: usize) -> Result<LinePlan, ConfigError> {
    let place = match (&line.pty, line.tcp, line.memory) {
        (Some(path), None, false) => Place::Pty(path.clone()),
        (None, Some(address), false) => Place::Tcp(address),
        (None, None, true) => Place::Memory,
        _ => return Err(wrong_line(line, "exactly one of `pty`, `tcp` and `memory = true` must be given")),
    };
    check_line_ranges(line, &place)?;
    let mut meters = Vec::new();
    let mut next_serial = FIRST_SERIAL
        .saturating_add(u32::try_from(index).unwrap_or(u32::MAX).saturating_mul(SERIALS_PER_LINE));
    let mut used = HashSet::new();
    for meter in &line.meters {
        for number in 0..row_length(line, meter)? {
            let place_of_protocol =
                meters.iter().filter(|m: &&MeterPlan| m.kind.protocol() == meter.protocol);
            let place_of_protocol = place_of_protocol.count() + 1;
            next_serial = next_serial.saturating_add(1);
            let plan = plan_meter(line, meter, number, place_of_protocol, next_serial)?;
            let key = match plan.kind {
                Kind::Mbus { address, .. } => (Protocol::Mbus, address.to_string()),
                Kind::Modbus { unit, .. } => (Protocol::Modbus, unit.to_string()),
                Kind::Cjt188 { address, .. } => (Protocol::Cjt188, cjt188::digits_of(address)),
                Kind::Dlt645 { address, .. } => (Protocol::Dlt645, dlt645::digits_of(address)),
            };
            if !used.insert(key.clone()) && !meter.shares_address {
                return Err(wrong_meter(line, &plan.name, format!("address {} is already taken", key.1)));
            }
            meters.push(plan);
        }
    }
    if meters.len() > METERS_PER_LINE_MAX {
        return Err(wrong_line(line, format!("more than {METERS_PER_LINE_MAX} meters")));
    }
    Ok(LinePlan {
        name: line.name.clone(),
        place,
        character: Character::new(line.baud, line.parity, line.stop_bits),
        paced: line.paced.unwrap_or(line.modbus == ModbusFraming::Rtu),
        quantum_ns: u64::from(line.quantum_ms) * 1_000_000,
        modbus: line.modbus,
        echo: line.echo,
        strict_baud: line.strict_baud,
        meters,
    })
}

fn check_line_ranges(line: &LineConfig, place: &Place) -> Result<(), ConfigError> {
    if line.name.is_empty() {
        return Err(wrong_line(line, "a line needs a name"));
    }
    if !(50..=4_000_000).contains(&line.baud) {
        return Err(wrong_line(line, format!("baud {} is not within 50 to 4 000 000", line.baud)));
    }
    if !(1..=2).contains(&line.stop_bits) {
        return Err(wrong_line(line, format!("stop_bits {} is neither 1 nor 2", line.stop_bits)));
    }
    if line.quantum_ms > 1000 {
        return Err(wrong_line(line, format!("quantum_ms {} is above 1000", line.quantum_ms)));
    }
    if !(0.0..=1.0).contains(&line.noise) {
        return Err(wrong_line(line, format!("noise {} is not within 0.0 to 1.0", line.noise)));
    }
    if line.strict_baud && !matches!(place, Place::Pty(_)) {
        return Err(wrong_line(line, "strict_baud needs a pty: nothing else knows its speed"));
    }
    if line.modbus == ModbusFraming::Tcp {
        if matches!(place, Place::Pty(_)) {
            return Err(wrong_line(line, "modbus = \"tcp\" cannot be on a pty"));
        }
        if line.meters.iter().any(|meter| meter.protocol != Protocol::Modbus) {
            return Err(wrong_line(line, "a line with modbus = \"tcp\" can only have Modbus meters"));
        }
        if line.echo {
            return Err(wrong_line(line, "modbus = \"tcp\" has no converter that could echo"));
        }
    }
    Ok(())
}

fn row_length(line: &LineConfig, meter: &MeterConfig) -> Result<u16, ConfigError> {
    match meter.count {
        None => Ok(1),
        Some(count) if (1..=COUNT_MAX).contains(&count) => Ok(count),
        Some(count) => {
            Err(wrong_meter(line, &meter.name, format!("count {count} is not within 1 to {COUNT_MAX}")))
        }
    }
}

fn plan_meter(
    line: &LineConfig,
    meter: &MeterConfig,
    number: u16,
    place_of_protocol: usize,
    default_serial: u32,
) -> Result<MeterPlan, ConfigError> {
    let name = match meter.count {
        None => meter.name.clone(),
        Some(_) => format!("{}-{:03}", meter.name, u32::from(number) + 1),
    };
    let wrong = |reason: String| wrong_meter(line, &name, reason);
    if meter.name.is_empty() {
        return Err(wrong("a meter needs a name".to_owned()));
    }
    let serial = meter.serial.map_or(default_serial, |first| first.saturating_add(u32::from(number)));
    if !(1..=SERIAL_MAX).contains(&serial) {
        return Err(wrong(format!("serial {serial} is not within 1 to {SERIAL_MAX}")));
    }
    for milliseconds in [meter.latency_ms.unwrap_or(0), meter.slow_ms] {
        if milliseconds > 60_000 {
            return Err(wrong(format!("{milliseconds} ms is more than a minute")));
        }
    }
    let baud = meter.baud.unwrap_or(line.baud);
    if !(50..=4_000_000).contains(&baud) {
        return Err(wrong(format!("baud {baud} is not within 50 to 4 000 000")));
    }
    let kind = kind_of(meter, number, place_of_protocol, serial).map_err(wrong)?;
    match meter.valve_travel_ms {
        Some(_) if !kind.has_valve() => return Err(wrong("this model has no valve".to_owned())),
        Some(travel @ 600_001..) => return Err(wrong(format!("valve_travel_ms {travel} is above 600 000"))),
        _ => {}
    }
    let volume = meter.volume.as_deref().map(|text| register_of(text, &kind)).transpose().map_err(wrong)?;
    let mut faults = meter.faults.clone();
    if line.noise > 0.0 {
        faults.push(FaultRule { fault: Fault::Noise, probability: line.noise });
    }
    check_faults(&faults).map_err(wrong)?;
    Ok(MeterPlan {
        kind,
        serial,
        volume,
        latency: meter.latency_ms.map(|ms| Duration::from_millis(u64::from(ms))),
        slow: Duration::from_millis(u64::from(meter.slow_ms)),
        valve_travel: Duration::from_millis(u64::from(meter.valve_travel_ms.unwrap_or(0))),
        character: Character::new(baud, line.parity, line.stop_bits),
        faults,
        name,
    })
}

/// Says which rule cannot be, if one cannot.
pub(crate) fn check_faults(faults: &[FaultRule]) -> Result<(), String> {
    match faults.iter().find(|rule| !(0.0..=1.0).contains(&rule.probability)) {
        Some(rule) => Err(format!("probability {} is not within 0.0 to 1.0", rule.probability)),
        None => Ok(()),
    }
}

fn kind_of(meter: &MeterConfig, number: u16, place: usize, serial: u32) -> Result<Kind, String> {
    if meter.protocol != Protocol::Mbus
        && (meter.manufacturer.is_some() || meter.version.is_some() || meter.shares_address)
    {
        return Err("only an M-Bus meter has manufacturer, version and shares_address".to_owned());
    }
    if meter.protocol != Protocol::Cjt188 && meter.di_order != DiOrder::Any {
        return Err("only a CJ/T 188 meter has di_order".to_owned());
    }
    if !matches!(meter.protocol, Protocol::Cjt188 | Protocol::Dlt645) && meter.preamble_bytes.is_some() {
        return Err("only a CJ/T 188 or DL/T 645 meter has preamble_bytes".to_owned());
    }
    match meter.protocol {
        Protocol::Mbus => Ok(Kind::Mbus {
            address: number_of(meter, number, place, 250)?,
            manufacturer: mbus::manufacturer_code(meter.manufacturer.as_deref().unwrap_or("SIM"))?,
            version: match meter.version {
                Some(u8::MAX) => return Err("version 255 would be a wildcard".to_owned()),
                version => version.unwrap_or(mbus::VERSION),
            },
            model: mbus::Model::named(meter.model.as_deref())?,
        }),
        Protocol::Modbus => Ok(Kind::Modbus {
            unit: number_of(meter, number, place, 247)?,
            model: modbus::Model::named(meter.model.as_deref())?,
        }),
        Protocol::Cjt188 => Ok(Kind::Cjt188 {
            address: cjt188::address_of(&digits_of(meter, number, 14, &format!("7833{serial:010}"))?)
                .ok_or("no address")?,
            model: cjt188::Model::named(meter.model.as_deref())?,
            order: meter.di_order,
            preamble: preamble_of(meter)?,
        }),
        Protocol::Dlt645 => {
            dlt645::check_model(meter.model.as_deref())?;
            let digits = digits_of(meter, number, 12, &format!("{serial:012}"))?;
            let address = dlt645::address_of(&digits).ok_or("no address")?;
            Ok(Kind::Dlt645 { address, preamble: preamble_of(meter)? })
        }
    }
}

fn number_of(meter: &MeterConfig, number: u16, place: usize, highest: u8) -> Result<u8, String> {
    let address = match &meter.address {
        None => place,
        Some(Address::Number(first)) => usize::from(*first) + usize::from(number),
        Some(Address::Digits(text)) => {
            return Err(format!("address {text:?} must be a number from 1 to {highest}"));
        }
    };
    match u8::try_from(address) {
        Ok(address) if (1..=highest).contains(&address) => Ok(address),
        _ => Err(format!("address {address} is not within 1 to {highest}")),
    }
}

fn preamble_of(meter: &MeterConfig) -> Result<Option<u8>, String> {
    match meter.preamble_bytes {
        Some(bytes) if bytes > 4 => Err(format!("preamble_bytes {bytes} is above 4")),
        bytes => Ok(bytes),
    }
}

/// The digits of an address: those given, counted on by the meter's place in its row, or else these.
fn digits_of(meter: &MeterConfig, number: u16, count: usize, default: &str) -> Result<String, String> {
    let text = match &meter.address {
        None => return Ok(default.to_owned()),
        Some(Address::Number(first)) => {
            return Err(format!("address {first} must be a text of {count} decimal digits"));
        }
        Some(Address::Digits(text)) => text,
    };
    let wrong = || format!("address {text:?} is not {count} decimal digits");
    let all_digits = text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    let first = text.parse::<u64>().ok().filter(|_| all_digits).ok_or_else(wrong)?;
    let digits = format!("{:0count$}", first + u64::from(number));
    if digits.len() == count { Ok(digits) } else { Err(wrong()) }
}

fn register_of(text: &str, kind: &Kind) -> Result<u64, String> {
    let (decimals, steps) = kind.register();
    let volume: Decimal = text.parse().map_err(|error| format!("volume {text:?}: {error}"))?;
    if volume.normalize().scale() > decimals {
        return Err(format!("volume {text:?} has more than the {decimals} decimals this model sends"));
    }
    let in_steps = volume.checked_mul(Decimal::from(10_u64.pow(decimals)));
    let in_steps = in_steps.and_then(|steps| u64::try_from(steps).ok()).filter(|in_steps| *in_steps < steps);
    in_steps.ok_or_else(|| {
        let highest = Decimal::from_i128_with_scale(i128::from(steps - 1), decimals);
        format!("volume {text:?} is not within 0 to {highest}, which is all this model can show")
    })
}

fn wrong_line(line: &LineConfig, reason: impl Into<String>) -> ConfigError {
    ConfigError::Line { line: line.name.clone(), reason: reason.into() }
}

fn wrong_meter(line: &LineConfig, meter: &str, reason: impl Into<String>) -> ConfigError {
    ConfigError::Meter { line: line.name.clone(), meter: meter.to_owned(), reason: reason.into() }
}
