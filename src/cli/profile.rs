//! `weir profile`: what comes along, to start from, and what is wrong or right with one of your own.

use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use clap::{Subcommand, ValueEnum};

use super::show::columns;
use super::{Exit, fail, tell};
use weir_meter::selection::{ANY, Which, functions};

use crate::config::{Profile, ProfileDriver, check_profile};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Tell everything that is wrong with a profile, or what will be read by it
    Check {
        /// The profile, a TOML file
        file: PathBuf,
        /// Which driver it is for; by default its keys tell
        #[arg(long)]
        driver: Option<Driver>,
    },
    /// List the profiles that come along
    List,
    /// Print one of them, to be looked at or copied and changed
    Show {
        /// Its name, as `weir profile list` prints it
        name: String,
        /// Which driver it is for, where two have one of this name
        #[arg(long)]
        driver: Option<Driver>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Driver {
    Mbus,
    Modbus,
    Cjt188,
    Dlt645,
}

impl From<Driver> for ProfileDriver {
    fn from(driver: Driver) -> Self {
        match driver {
            Driver::Mbus => Self::Mbus,
            Driver::Modbus => Self::Modbus,
            Driver::Cjt188 => Self::Cjt188,
            Driver::Dlt645 => Self::Dlt645,
        }
    }
}

pub(super) fn run(command: &Command) -> Exit {
    match command {
        Command::Check { file, driver } => check(file, driver.map(ProfileDriver::from)),
        Command::List => tell(&list()),
        Command::Show { name, driver } => match text(name, *driver) {
            Some(text) => tell(text),
            None => {
                fail(Exit::Usage, format_args!("no profile {name:?} comes along: see `weir profile list`"))
            }
        },
    }
}

fn check(file: &Path, driver: Option<ProfileDriver>) -> Exit {
    let outcome = check_profile(file, driver);
    match &outcome.profile {
        Some(profile) => {
            let read = match profile {
                Profile::Mbus(profile) => kept(profile),
                Profile::Modbus(profile) => registers(profile),
                Profile::Cjt188(profile) => dialect(profile),
                Profile::Dlt645(profile) => identifiers(profile),
            };
            tell(&format!("{read}\n{}: good\n", file.display()))
        }
        None => {
            eprint!("{}", outcome.report(std::io::stderr().is_terminal()));
            Exit::Usage
        }
    }
}

/// What is forwarded of what the meter sends; that it is sent, only the meter can tell.
fn kept(profile: &weir_mbus::Profile) -> String {
    let model = profile.model.escape_debug();
    let vif_text = profile.vif_text.unwrap_or_default();
    let order =
        weir_mbus::VifText::WORDS.iter().find(|(_, known)| *known == vif_text).map_or("", |(word, _)| word);
    let text = format!("driver  mbus\nmodel   {model}\ntexts   {order}\n\n");
    let Some(selection) = &profile.selection else {
        return text + "Everything that the meter sends is forwarded.\n";
    };
    let rows: Vec<[String; 6]> = selection
        .entries()
        .iter()
        .map(|keep| {
            let function = functions().into_iter().find(|(_, known)| *known == keep.function);
            let name = keep.name.as_deref().unwrap_or_default().escape_debug().to_string();
            [
                keep.quantity.to_string(),
                function.map_or("", |(word, _)| word).to_owned(),
                which(&keep.storage),
                which(&keep.tariff),
                which(&keep.subunit),
                name,
            ]
        })
        .collect();
    text + &columns(["value", "function", "storage", "tariff", "subunit", "name"].map(str::to_owned), &rows)
}

fn which(which: &Which<impl ToString>) -> String {
    match which {
        Which::Any => ANY.to_owned(),
        Which::Only(this) => this.to_string(),
    }
}

/// Who the meter is, the requests of one poll, and each value.
fn registers(profile: &weir_modbus::Profile) -> String {
    let verified = if profile.is_verified() { "verified" } else { "not verified on a meter" };
    let mut text = format!("driver  modbus\nmodel   {}, {verified}\n", profile.model().escape_debug());
    let source =
        profile.source().unwrap_or("none given: say with `source` where the registers were learnt from");
    let _ = writeln!(text, "source  {}", source.escape_debug());
    let requests: Vec<[String; 4]> = profile
        .requests()
        .iter()
        .zip(1..)
        .map(|(block, n): (_, u16)| {
            let last = u32::from(block.start) + u32::from(block.count) - 1;
            [
                n.to_string(),
                code(block.function),
                format!("{} to {last}", block.start),
                block.count.to_string(),
            ]
        })
        .collect();
    let header = ["request", "function", "addresses", "registers"].map(str::to_owned);
    let _ = write!(text, "\nAddresses as on the wire, from 0:\n\n{}", columns(header, &requests));
    let rows: Vec<[String; 6]> = profile
        .rows()
        .into_iter()
        .map(|row| {
            let (function, count) = (code(row.function), row.registers.to_string());
            [row.what, function, row.first.to_string(), count, row.coding, row.meaning]
        })
        .collect();
    let header = ["value", "function", "address", "registers", "type", "meaning"].map(str::to_owned);
    let _ = write!(text, "\n{}", columns(header, &rows));
    if let Some(valve) = profile.valve() {
        let _ = writeln!(text, "\nvalve: {valve}");
    }
    text
}

fn code(function: weir_modbus::frame::FunctionCode) -> String {
    format!("{:02}", function.code())
}

/// How a poll asks, and how what is answered is understood.
fn dialect(profile: &weir_cjt188::Profile) -> String {
    let places = |places: u8| format!("{places} places");
    let valve = match profile.status.has_valve {
        true => {
            format!("bits {} and {}", profile.status.valve_bit, profile.status.valve_bit.saturating_add(1))
        }
        false => "none".to_owned(),
    };
    let battery = match profile.status.has_battery {
        true => format!("bit {}", profile.status.battery_bit),
        false => "none".to_owned(),
    };
    let mut rows = vec![
        ["request".to_owned(), format!("901F, identifier {:?}, SER {:?}", profile.di_order, profile.ser)],
        ["wake-up bytes".to_owned(), profile.wake_up_bytes.to_string()],
        [
            "volume".to_owned(),
            format!("4 bytes BCD {:?}, {}, unit by code", profile.value_order, places(profile.places)),
        ],
        ["volume, storage 1".to_owned(), "the settlement day's, like it".to_owned()],
        ["clock".to_owned(), format!("7 bytes BCD {:?}", profile.clock_order)],
        ["valve".to_owned(), valve],
        ["battery".to_owned(), battery],
    ];
    rows.extend(profile.status.alarms.iter().map(|(name, bit)| [name.clone(), format!("bit {bit}")]));
    let units = profile.units.iter();
    rows.extend(
        units.map(|(code, unit)| [format!("unit code {code}"), format!("{} × 10^{}", unit.unit, unit.power)]),
    );
    let description = profile.description.escape_debug();
    let header = ["value", "meaning"].map(str::to_owned);
    format!("driver  cjt188\nfor     {description}\n\n{}", columns(header, &rows))
}

/// What a poll asks for, one identifier after the other.
fn identifiers(profile: &weir_dlt645::Profile) -> String {
    let rows: Vec<[String; 5]> = profile
        .read
        .iter()
        .map(|read| {
            let block = match read.block {
                Some(weir_dlt645::Block::Tariff) => ", then its tariffs",
                Some(weir_dlt645::Block::Subunit) => ", then the next phases",
                None => "",
            };
            let value = format!("{}{}{block}", read.quantity, at(read));
            let sign = if read.signed { ", highest bit is the sign" } else { "" };
            let coding = format!("{} bytes BCD, {} places{sign}", read.bytes, read.places);
            let unit = read.unit.as_ref().map(ToString::to_string).unwrap_or_default();
            let without = if read.optional { "goes on without" } else { "fails" };
            [read.di.to_uppercase(), value, coding, unit, without.to_owned()]
        })
        .collect();
    let (description, woken) = (profile.description.escape_debug(), profile.wake_up_bytes);
    let header = ["identifier", "value", "type", "unit", "a poll that is refused it"].map(str::to_owned);
    format!("driver  dlt645\nfor     {description}\nwake-up bytes  {woken}\n\n{}", columns(header, &rows))
}

/// Where a value stands, as far as that is said.
fn at(read: &weir_dlt645::Read) -> String {
    let places =
        [("storage", read.storage), ("tariff", read.tariff.into()), ("subunit", read.subunit.into())];
    places.iter().filter(|(_, n)| *n > 0).map(|(word, n)| format!(", {word} {n}")).collect()
}

fn list() -> String {
    let modbus = weir_modbus::profiles::names().filter_map(|name| {
        let profile = weir_modbus::profiles::load(name)?.ok()?;
        let verified = if profile.is_verified() { "yes" } else { "no" };
        Some(["modbus".to_owned(), name.to_owned(), verified.to_owned(), profile.model().to_owned()])
    });
    let cjt188 = weir_cjt188::Profile::BUILT_IN.iter().filter_map(|(name, text)| {
        let profile = weir_cjt188::Profile::parse(text).ok()?;
        Some(["cjt188".to_owned(), (*name).to_owned(), "-".to_owned(), profile.description])
    });
    let dlt645 = weir_dlt645::Profile::BUILT_IN.iter().filter_map(|(name, text)| {
        let profile = weir_dlt645::Profile::parse(text).ok()?;
        Some(["dlt645".to_owned(), (*name).to_owned(), "-".to_owned(), profile.description])
    });
    let rows: Vec<[String; 4]> = modbus.chain(cjt188).chain(dlt645).collect();
    columns(["driver", "name", "verified", "for"].map(str::to_owned), &rows)
}

fn text(name: &str, driver: Option<Driver>) -> Option<&'static str> {
    let is = |asked| driver.is_none_or(|driver| driver == asked);
    let modbus = || weir_modbus::profiles::text(name).filter(|_| is(Driver::Modbus));
    let cjt188 = || {
        let known = weir_cjt188::Profile::BUILT_IN.iter().find(|(known, _)| *known == name);
        known.map(|(_, text)| *text).filter(|_| is(Driver::Cjt188))
    };
    let dlt645 = || {
        let known = weir_dlt645::Profile::BUILT_IN.iter().find(|(known, _)| *known == name);
        known.map(|(_, text)| *text).filter(|_| is(Driver::Dlt645))
    };
    modbus().or_else(cjt188).or_else(dlt645)
}
