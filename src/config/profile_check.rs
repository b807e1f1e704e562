//! A profile by itself, for who writes one: every fault at once with its place, as `weir check` tells those of a
//! configuration.

use std::path::Path;

use toml::de::DeTable;
use weir_meter::ProfileFault;

use super::load;
use super::notice::{Findings, Notice, render};
use super::source::{Place, Sources};

/// The drivers that have profiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProfileDriver {
    /// What a utility wants of the meters of one model.
    Mbus,
    /// Register profiles.
    Modbus,
    /// Dialects.
    Cjt188,
    /// What is read.
    Dlt645,
}

/// A good profile.
#[derive(Clone, Debug)]
pub enum Profile {
    /// Of an M-Bus meter.
    Mbus(Box<weir_mbus::Profile>),
    /// Of the registers of a Modbus meter.
    Modbus(Box<weir_modbus::Profile>),
    /// Of a CJ/T 188 dialect.
    Cjt188(Box<weir_cjt188::Profile>),
    /// Of what is read of a DL/T 645 meter.
    Dlt645(Box<weir_dlt645::Profile>),
}

/// What came of checking a profile.
pub struct ProfileOutcome {
    /// The profile, when there are no faults.
    pub profile: Option<Profile>,
    /// What is wrong with it, in the order of the text.
    pub faults: Vec<Notice>,
    sources: Sources,
}

/// Checks the profile in this file. Without a driver its keys tell which one it is for.
pub fn check_profile(path: &Path, driver: Option<ProfileDriver>) -> ProfileOutcome {
    let mut findings = Findings::default();
    let profile = match load::text(path) {
        Ok(text) => of_text(path, &text, driver, &mut findings),
        Err(error) => {
            findings.fault_of_file(format!("{}: {error}", path.display()));
            None
        }
    };
    let (sources, faults) = findings.finish();
    ProfileOutcome { profile, faults, sources }
}

impl ProfileOutcome {
    /// The faults for a person, each with its line and a mark under the text; `colour` adds a terminal's.
    pub fn report(&self, colour: bool) -> String {
        render(self.faults.iter(), &self.sources, colour)
    }
}

fn of_text(
    path: &Path,
    text: &str,
    driver: Option<ProfileDriver>,
    findings: &mut Findings,
) -> Option<Profile> {
    let file = findings.sources.add(path);
    // A profile holds no secrets, so all of it may be shown.
    findings.sources.show(file, text.to_owned());
    let parsed = match driver.unwrap_or_else(|| told_by_its_keys(text)) {
        ProfileDriver::Mbus => {
            weir_mbus::Profile::parse(text).map(|profile| Profile::Mbus(Box::new(profile)))
        }
        ProfileDriver::Modbus => {
            weir_modbus::Profile::parse(text).map(|profile| Profile::Modbus(Box::new(profile)))
        }
        ProfileDriver::Cjt188 => {
            weir_cjt188::Profile::parse(text).map(|profile| Profile::Cjt188(Box::new(profile)))
        }
        ProfileDriver::Dlt645 => {
            weir_dlt645::Profile::parse(text).map(|profile| Profile::Dlt645(Box::new(profile)))
        }
    };
    parsed.map_err(|faults| note(&faults, file, findings)).ok()
}

fn note(faults: &[ProfileFault], file: usize, findings: &mut Findings) {
    for fault in faults {
        let place = Place { file, start: fault.span.start, end: fault.span.end };
        let notice = findings.fault(&place, fault.message.as_str());
        if let Some(hint) = &fault.hint {
            notice.hint(hint.as_str());
        }
    }
}

/// Each has keys that no other has; a model by itself is more likely the beginning of a register profile.
fn told_by_its_keys(text: &str) -> ProfileDriver {
    let (document, _) = DeTable::parse_recoverable(text);
    let has = |keys: &[&str]| keys.iter().any(|key| document.get_ref().contains_key(*key));
    if has(&["keep", "vif_text"]) {
        ProfileDriver::Mbus
    } else if has(&["model", "value", "map", "identity", "serial", "timing"]) {
        ProfileDriver::Modbus
    } else if has(&["read"]) {
        ProfileDriver::Dlt645
    } else {
        ProfileDriver::Cjt188
    }
}
