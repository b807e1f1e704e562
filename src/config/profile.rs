//! A profile by its shipped name or its path, for commands that need one without a configuration.

use std::fs;

use weir_meter::ProfileFault;

use super::driver::{CJT188_PROFILES, DLT645_PROFILES, Shipped};

/// A Modbus register profile.
///
/// # Errors
/// Why there is none, in words for a person, every fault on a line of its own.
pub fn modbus_profile(name_or_path: &str) -> Result<weir_modbus::Profile, String> {
    if !super::driver::is_path(name_or_path) {
        let names: Vec<&str> = weir_modbus::profiles::names().collect();
        let shipped = weir_modbus::profiles::load(name_or_path).and_then(Result::ok);
        return shipped.ok_or_else(|| unknown(name_or_path, &names));
    }
    let text = read(name_or_path)?;
    weir_modbus::Profile::parse(&text).map_err(|faults| in_lines(name_or_path, &text, &faults))
}

/// What a utility wants of the M-Bus meters of one model. None is shipped, so this is always a path.
///
/// # Errors
/// Why there is none, in words for a person, every fault on a line of its own.
pub fn mbus_profile(path: &str) -> Result<weir_mbus::Profile, String> {
    let text = read(path)?;
    weir_mbus::Profile::parse(&text).map_err(|faults| in_lines(path, &text, &faults))
}

/// A CJ/T 188 dialect.
///
/// # Errors
/// Why there is none, in words for a person, every fault on a line of its own.
pub fn cjt188_profile(name_or_path: &str) -> Result<weir_cjt188::Profile, String> {
    shipped_or_file(name_or_path, &CJT188_PROFILES)
}

/// What is read from a DL/T 645 meter.
///
/// # Errors
/// Why there is none, in words for a person, every fault on a line of its own.
pub fn dlt645_profile(name_or_path: &str) -> Result<weir_dlt645::Profile, String> {
    shipped_or_file(name_or_path, &DLT645_PROFILES)
}

fn shipped_or_file<P>(name_or_path: &str, shipped: &Shipped<P>) -> Result<P, String> {
    if !super::driver::is_path(name_or_path) {
        return shipped.named(name_or_path).ok_or_else(|| unknown(name_or_path, &shipped.names()));
    }
    let text = read(name_or_path)?;
    (shipped.parse)(&text).map_err(|faults| in_lines(name_or_path, &text, &faults))
}

fn in_lines(path: &str, text: &str, faults: &[ProfileFault]) -> String {
    let line = |fault: &ProfileFault| {
        let (line, column) = fault.position(text);
        format!("{path}:{line}:{column}: {fault}")
    };
    faults.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn read(path: &str) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))
}

fn unknown(name: &str, names: &[&str]) -> String {
    format!("no profile {name:?} is shipped: there are {}, or give the path of a TOML file", names.join(", "))
}
