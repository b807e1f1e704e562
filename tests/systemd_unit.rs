//! The systemd unit is one that systemd understands whole, and its sandbox stays shut.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::harness::not_run::{NotRun, require};
use crate::harness::programs::program;

const PART: &str = "systemd unit";

/// systemd's exposure score times ten, where 100 is no sandbox at all. What is left of it is what the daemon needs:
/// the network, the serial ports and their group, and asking whether the clock is set.
const EXPOSURE_MAX: u32 = 20;

fn unit() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/systemd/weir.service");
    fs::read_to_string(path).unwrap()
}

/// Runs `systemd-analyze` on a copy of the unit that names the built program instead of the installed one.
fn analyze(unit: &str, arguments: &[&str]) -> Result<Output, NotRun> {
    let systemd_analyze = program("systemd-analyze", "systemd")?;
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("weir.service");
    fs::write(&copy, unit.replace("/usr/bin/weir", env!("CARGO_BIN_EXE_weir"))).unwrap();
    Ok(Command::new(systemd_analyze).args(arguments).arg(&copy).env("LC_ALL", "C").output().unwrap())
}

/// What `systemd-analyze verify` finds wrong. It ends with 0 on unknown keys and bad values, so its words count.
fn complaints(unit: &str) -> Result<String, NotRun> {
    let output = analyze(unit, &["verify", "--man=no"])?;
    let mut found = String::from_utf8_lossy(&output.stderr).into_owned();
    if !output.status.success() {
        found.push_str(&format!("ended with {}", output.status));
    }
    Ok(found)
}

fn is_shut(unit: &str) -> Result<bool, NotRun> {
    let threshold = format!("--threshold={EXPOSURE_MAX}");
    Ok(analyze(unit, &["security", "--offline=true", "--no-pager", &threshold])?.status.success())
}

#[test]
fn systemd_understands_every_line_of_the_unit() {
    let Some(found) = require(PART, complaints(&unit())) else { return };
    assert_eq!(found, "");
}

#[test]
fn a_misspelt_key_or_a_missing_program_in_the_unit_is_seen() {
    let misspelt = unit().replace("WatchdogSec=", "WatchdogSecs=");
    let Some(found) = require(PART, complaints(&misspelt)) else { return };
    assert!(found.contains("WatchdogSecs"), "{found}");
    let missing = unit().replace("ExecStart=/usr/bin/weir", "ExecStart=/nowhere/weir");
    let Some(found) = require(PART, complaints(&missing)) else { return };
    assert!(found.contains("/nowhere/weir"), "{found}");
}

#[test]
fn the_units_sandbox_stays_shut() {
    let Some(shut) = require(PART, is_shut(&unit())) else { return };
    assert!(shut, "systemd-analyze security scores the unit above {EXPOSURE_MAX}");
    let opened = unit().replace("CapabilityBoundingSet=\n", "");
    assert_eq!(
        is_shut(&opened),
        Ok(false),
        "without the capability bound it must score above {EXPOSURE_MAX}"
    );
}

#[test]
fn the_unit_starts_what_it_has_checked() {
    let unit = unit();
    let arguments = |key: &str, subcommand: &str| -> String {
        let line = unit.lines().find_map(|line| line.strip_prefix(key)).unwrap();
        line.strip_prefix("/usr/bin/weir ").and_then(|rest| rest.strip_prefix(subcommand)).unwrap().to_owned()
    };
    assert_eq!(arguments("ExecStartPre=", "check"), arguments("ExecStart=", "run"));
}

#[test]
fn the_user_that_the_unit_names_is_made_with_the_group_that_owns_the_serial_ports() {
    let Some(sysusers) = require(PART, program("systemd-sysusers", "systemd")) else { return };
    let machine = tempfile::tempdir().unwrap();
    fs::create_dir(machine.path().join("etc")).unwrap();
    let mut root = OsString::from("--root=");
    root.push(machine.path());
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/systemd/weir.sysusers");
    let made = Command::new(sysusers).arg(root).arg(file).output().unwrap();
    assert!(made.status.success(), "{made:?}");

    let read = |name| fs::read_to_string(machine.path().join("etc").join(name)).unwrap();
    let unit = unit();
    let named = |key| unit.lines().find_map(|line| line.strip_prefix(key)).unwrap();
    let (user, group) = (named("User="), named("SupplementaryGroups="));
    assert!(read("passwd").lines().any(|line| line.starts_with(&format!("{user}:"))));
    let is_member =
        |line: &str| line.starts_with(&format!("{group}:")) && line.ends_with(&format!(":{user}"));
    assert!(read("group").lines().any(is_member), "{}", read("group"));
}
