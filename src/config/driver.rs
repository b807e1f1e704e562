//! Makes a driver of what was typed about a meter: one function a protocol, and the profiles they share.
//!
//! The only place of this room that names the drivers' crates.

use std::collections::HashMap;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use weir_cjt188::Cjt188;
use weir_dlt645::Dlt645;
use weir_mbus::{Mbus, Options, VifText};
use weir_meter::selection::Selection;
use weir_meter::{Driver, Parity, ProfileFault, Serial, StopBits};
use weir_modbus::Modbus;

use super::file::{Framing, Protocol};
use super::key;
use super::load;
use super::notice::Findings;
use super::reader::{NumberOrText, nearest};
use super::source::{At, Place};

/// What most Modbus meters leave the factory with; the standard's 19,200 Bd 8E1 is seldom seen on them.
const MODBUS_SERIAL: Serial = Serial { baud: 9600, parity: Parity::None, stop_bits: StopBits::One };

/// What was typed about a meter that concerns its driver.
pub(super) struct Wanted<'w> {
    /// The meter's table.
    pub(super) place: &'w Place,
    pub(super) address: Option<&'w At<NumberOrText>>,
    pub(super) profile: Option<&'w At<String>>,
    pub(super) framing: Framing,
    pub(super) key_file: Option<&'w At<String>>,
    pub(super) vif_text: Option<&'w At<VifText>>,
}

/// A driver, and what follows from it.
pub(super) struct Built {
    pub(super) driver: Box<dyn Driver>,
    /// The serial parameters of a meter for which none are configured.
    pub(super) serial: Serial,
    /// Two meters of one line with the same text here cannot be told apart.
    pub(super) same_as: String,
    /// The number it must answer with, where its address says that.
    pub(super) number: Option<String>,
    /// Which of its values are forwarded, where its profile says that.
    pub(super) selection: Option<Arc<Selection>>,
}

/// Profiles that have been read, so that a thousand meters of one model read theirs once. `None`: it is faulty, and that
/// has been said.
#[derive(Default)]
pub(super) struct Profiles {
    mbus: HashMap<PathBuf, Option<Arc<weir_mbus::Profile>>>,
    modbus: HashMap<PathBuf, Option<Arc<weir_modbus::Profile>>>,
    cjt188: HashMap<PathBuf, Option<Arc<weir_cjt188::Profile>>>,
    dlt645: HashMap<PathBuf, Option<Arc<weir_dlt645::Profile>>>,
}

/// Makes the driver, or says why it cannot be made.
pub(super) fn build(
    protocol: Protocol,
    wanted: &Wanted<'_>,
    profiles: &mut Profiles,
    findings: &mut Findings,
) -> Option<Built> {
    match protocol {
        Protocol::Mbus => mbus(wanted, profiles, findings),
        Protocol::Modbus => modbus(wanted, profiles, findings),
        Protocol::Cjt188 => cjt188(wanted, profiles, findings),
        Protocol::Dlt645 => dlt645(wanted, profiles, findings),
    }
}

fn mbus(wanted: &Wanted<'_>, profiles: &mut Profiles, findings: &mut Findings) -> Option<Built> {
    let profile = match wanted.profile {
        None => None,
        Some(typed) => {
            let path = profile_key(typed, findings);
            let known = profiles.mbus.get(&path).cloned();
            // Without the profile it is not known what the meter's readings should be.
            Some(known.unwrap_or_else(|| {
                let profile = mbus_profile(typed, &path, findings).map(Arc::new);
                profiles.mbus.insert(path, profile.clone());
                profile
            })?)
        }
    };
    let vif_text =
        wanted.vif_text.map(|at| at.value).or(profile.as_ref().and_then(|profile| profile.vif_text));
    let key = wanted.key_file.and_then(|typed| key::key(typed, findings));
    let at = wanted.address?;
    let address = mbus_address(at, findings)?;
    let number = address.as_secondary().and_then(weir_mbus::Secondary::number);
    let valve = profile.as_ref().and_then(|profile| profile.valve.clone()).map(Arc::new);
    let options = Options { key, vif_text: vif_text.unwrap_or_default(), valve, ..Options::default() };
    let driver = Box::new(Mbus::new(address, options));
    let selection = profile.and_then(|profile| profile.selection.clone()).map(Arc::new);
    Some(Built { driver, serial: Serial::DEFAULT, same_as: format!("mbus {address}"), number, selection })
}

fn mbus_profile(typed: &At<String>, key: &Path, findings: &mut Findings) -> Option<weir_mbus::Profile> {
    if !is_path(&typed.value) {
        let hint = "the path of a TOML file, such as \"profiles/model.toml\"; an M-Bus meter needs none";
        findings.fault(&typed.place, "no M-Bus profile comes with Weir").hint(hint);
        return None;
    }
    let (file, text) = profile_file(typed, key, findings)?;
    match weir_mbus::Profile::parse(&text) {
        Ok(profile) => Some(profile),
        Err(faults) => tell_faults(typed, file, faults, findings),
    }
}

/// A number is a primary address, a text a secondary one.
fn mbus_address(at: &At<NumberOrText>, findings: &mut Findings) -> Option<weir_mbus::Address> {
    let NumberOrText::Text(text) = &at.value else { return mbus_primary(at, findings) };
    match text.parse::<weir_mbus::Secondary>() {
        Ok(secondary) => {
            if secondary.number().is_none() {
                let hint = "give all eight digits; `weir scan` finds them";
                findings
                    .warn(
                        &at.place,
                        "digits of the address are open: two meters that fit would answer at once",
                    )
                    .hint(hint);
            }
            Some(weir_mbus::Address::secondary(secondary))
        }
        Err(error) => {
            let hint = match text.parse::<u8>() {
                Ok(_) => "a primary address stands without quotes",
                Err(_) => {
                    "such as \"12345678\" or \"12345678.ELS.02.07\": number, manufacturer, version, medium"
                }
            };
            findings.fault(&at.place, format!("`address`: {error}")).hint(hint);
            None
        }
    }
}

fn mbus_primary(at: &At<NumberOrText>, findings: &mut Findings) -> Option<weir_mbus::Address> {
    if let NumberOrText::Number(number @ 1000..) = &at.value {
        let message = format!("`address` {number} is not a primary address, 1 to 250");
        findings.fault(&at.place, message).hint("a secondary address has eight digits and stands in quotes");
        return None;
    }
    let number = byte(at, "mbus", "a primary address, 1 to 250", findings)?;
    match weir_mbus::Address::primary(number) {
        Ok(address) => {
            if number == 0 {
                let hint =
                    "give the meter an address of its own, or be sure that no other new one is on the line";
                findings
                    .warn(&at.place, "0 is the address of every meter as it leaves the factory")
                    .hint(hint);
            } else if number == 254 {
                let hint = "two meters on the line would answer at once";
                findings
                    .warn(&at.place, "every meter answers to 254: only for a line with a single meter")
                    .hint(hint);
            }
            Some(address)
        }
        Err(error) => {
            findings.fault(&at.place, format!("`address`: {error}"));
            None
        }
    }
}

fn modbus(wanted: &Wanted<'_>, profiles: &mut Profiles, findings: &mut Findings) -> Option<Built> {
    let names = || weir_modbus::profiles::names();
    let hint = || {
        let names: Vec<_> = names().collect();
        format!("one of {}, or the path of a TOML file; here or at the line", names.join(", "))
    };
    findings.require("profile", &wanted.profile, wanted.place, &hint());
    let profile = wanted.profile.and_then(|typed| {
        let key = profile_key(typed, findings);
        if let Some(known) = profiles.modbus.get(&key) {
            return known.clone();
        }
        let profile = modbus_profile(typed, &key, &hint(), findings).map(Arc::new);
        profiles.modbus.insert(key, profile.clone());
        profile
    });
    let at = wanted.address?;
    let number = byte(at, "modbus", "a unit id, 1 to 247", findings)?;
    let (profile, typed) = (profile?, wanted.profile?);
    let framing = match wanted.framing {
        Framing::Rtu => weir_modbus::Framing::Rtu,
        Framing::Tcp => weir_modbus::Framing::Tcp,
    };
    let serial = profile.serial().unwrap_or(MODBUS_SERIAL);
    match Modbus::new(number, framing, profile) {
        // A unit that counts for several meters (pulses, say) is one meter for each of its profiles.
        Ok(driver) => {
            let same_as = format!("modbus {number} {}", typed.value);
            Some(Built { driver: Box::new(driver), serial, same_as, number: None, selection: None })
        }
        Err(error) => {
            findings.fault(&at.place, format!("`address`: {error}"));
            None
        }
    }
}

fn modbus_profile(
    typed: &At<String>,
    key: &Path,
    hint: &str,
    findings: &mut Findings,
) -> Option<weir_modbus::Profile> {
    if !is_path(&typed.value) {
        let shipped = weir_modbus::profiles::load(&typed.value);
        if shipped.is_none() {
            unknown_profile(typed, weir_modbus::profiles::names(), hint, findings);
        }
        return shipped?.ok();
    }
    let (file, text) = profile_file(typed, key, findings)?;
    match weir_modbus::Profile::parse(&text) {
        Ok(profile) => Some(profile),
        Err(faults) => tell_faults(typed, file, faults, findings),
    }
}

/// Each fault of a profile at its place in the profile's own file.
fn tell_faults<T>(
    typed: &At<String>,
    file: usize,
    faults: Vec<ProfileFault>,
    findings: &mut Findings,
) -> Option<T> {
    for fault in faults {
        let place = Place { file, start: fault.span.start, end: fault.span.end };
        let notice = findings.fault(&place, fault.message);
        notice.also(&typed.place, "the profile of this meter");
        if let Some(hint) = fault.hint {
            notice.hint(hint);
        }
    }
    None
}

fn cjt188(wanted: &Wanted<'_>, profiles: &mut Profiles, findings: &mut Findings) -> Option<Built> {
    let profile = shipped_or_file(wanted.profile, &CJT188_PROFILES, &mut profiles.cjt188, findings);
    let address: weir_cjt188::Address =
        printed(wanted.address?, "fourteen digits", "78330011223344", findings)?;
    let driver = Box::new(Cjt188::new(address, profile?));
    Some(Built {
        driver,
        serial: Serial::DEFAULT,
        same_as: format!("cjt188 {address}"),
        number: None,
        selection: None,
    })
}

fn dlt645(wanted: &Wanted<'_>, profiles: &mut Profiles, findings: &mut Findings) -> Option<Built> {
    let profile = shipped_or_file(wanted.profile, &DLT645_PROFILES, &mut profiles.dlt645, findings);
    let at = wanted.address?;
    let address: weir_dlt645::Address = printed(at, "twelve digits", "202107072529", findings)?;
    if address.is_shortened() {
        let hint = "all twelve digits, or be sure that no other meter on the line ends in the same ones";
        findings.warn(&at.place, "every meter whose number ends so answers").hint(hint);
    }
    let driver = Box::new(Dlt645::new(address, profile?));
    Some(Built {
        driver,
        serial: Serial::DEFAULT,
        same_as: format!("dlt645 {address}"),
        number: None,
        selection: None,
    })
}

/// An address that is written as it is printed on the meter.
fn printed<A>(at: &At<NumberOrText>, form: &str, example: &str, findings: &mut Findings) -> Option<A>
where
    A: FromStr<Err: Display>,
{
    match &at.value {
        NumberOrText::Number(_) => {
            let hint = format!("in quotes, or its leading zeros are lost: \"{example}\"");
            findings.fault(&at.place, format!("`address` must be a string of {form}")).hint(hint);
            None
        }
        NumberOrText::Text(text) => match text.parse() {
            Ok(address) => Some(address),
            Err(error) => {
                findings.fault(&at.place, format!("`address`: {error}"));
                None
            }
        },
    }
}

/// The profiles that come with a driver whose meters need not name one.
pub(super) struct Shipped<P> {
    default: &'static str,
    pub(super) all: &'static [(&'static str, &'static str)],
    pub(super) parse: fn(&str) -> Result<P, Vec<ProfileFault>>,
}

pub(super) const CJT188_PROFILES: Shipped<weir_cjt188::Profile> = Shipped {
    default: weir_cjt188::Profile::DEFAULT,
    all: weir_cjt188::Profile::BUILT_IN,
    parse: weir_cjt188::Profile::parse,
};

pub(super) const DLT645_PROFILES: Shipped<weir_dlt645::Profile> = Shipped {
    default: weir_dlt645::Profile::DEFAULT,
    all: weir_dlt645::Profile::BUILT_IN,
    parse: weir_dlt645::Profile::parse,
};

impl<P> Shipped<P> {
    pub(super) fn named(&self, name: &str) -> Option<P> {
        let (_, text) = self.all.iter().find(|(known, _)| *known == name)?;
        (self.parse)(text).ok()
    }

    pub(super) fn names(&self) -> Vec<&'static str> {
        self.all.iter().map(|(name, _)| *name).collect()
    }
}

fn shipped_or_file<P>(
    typed: Option<&At<String>>,
    shipped: &Shipped<P>,
    read: &mut HashMap<PathBuf, Option<Arc<P>>>,
    findings: &mut Findings,
) -> Option<Arc<P>> {
    let key = match typed {
        Some(typed) => profile_key(typed, findings),
        None => PathBuf::from(shipped.default),
    };
    if let Some(known) = read.get(&key) {
        return known.clone();
    }
    let profile = match typed {
        None => shipped.named(shipped.default),
        Some(typed) if is_path(&typed.value) => from_file(typed, &key, shipped, findings),
        Some(typed) => {
            let profile = shipped.named(&typed.value);
            if profile.is_none() {
                let hint = format!("one of {}, or the path of a TOML file", shipped.names().join(", "));
                unknown_profile(typed, shipped.names().into_iter(), &hint, findings);
            }
            profile
        }
    };
    let profile = profile.map(Arc::new);
    read.insert(key, profile.clone());
    profile
}

fn from_file<P>(typed: &At<String>, key: &Path, shipped: &Shipped<P>, findings: &mut Findings) -> Option<P> {
    let (file, text) = profile_file(typed, key, findings)?;
    match (shipped.parse)(&text) {
        Ok(profile) => Some(profile),
        Err(faults) => tell_faults(typed, file, faults, findings),
    }
}

/// A number that fits a byte; what it means is the driver's to say.
fn byte(at: &At<NumberOrText>, protocol: &str, meant: &str, findings: &mut Findings) -> Option<u8> {
    match &at.value {
        NumberOrText::Number(number) => {
            let byte = u8::try_from(*number).ok();
            if byte.is_none() {
                findings.fault(&at.place, format!("`address` {number} is not {meant}"));
            }
            byte
        }
        NumberOrText::Text(_) => {
            let message = format!("`address` must be a whole number: with {protocol} it is {meant}");
            findings.fault(&at.place, message).hint("without quotes");
            None
        }
    }
}

pub(super) fn is_path(profile: &str) -> bool {
    profile.contains('/') || profile.ends_with(".toml")
}

fn profile_key(typed: &At<String>, findings: &Findings) -> PathBuf {
    if is_path(&typed.value) { findings.sources.resolve(typed) } else { PathBuf::from(&typed.value) }
}

/// Reads a profile's text. A profile holds no secrets, so all of it may be shown.
fn profile_file(typed: &At<String>, path: &Path, findings: &mut Findings) -> Option<(usize, String)> {
    match load::text(path) {
        Ok(text) => {
            let file = findings.sources.add(path);
            findings.sources.show(file, text.clone());
            Some((file, text))
        }
        Err(error) => {
            findings.fault(&typed.place, format!("profile {}: {error}", path.display()));
            None
        }
    }
}

fn unknown_profile<'n>(
    typed: &At<String>,
    names: impl Iterator<Item = &'n str>,
    all: &str,
    findings: &mut Findings,
) {
    let near = nearest(&typed.value, names).map(|near| format!("did you mean \"{near}\"?"));
    let message = format!("there is no profile {:?}", typed.value);
    findings.fault(&typed.place, message).hint(near.unwrap_or_else(|| all.to_owned()));
}
