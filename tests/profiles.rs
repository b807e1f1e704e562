//! `weir profile`, for who writes one, and the list of meters in the docs, which is made of the shipped profiles.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Output;

use weir_meter::{Parity, Serial, StopBits};

use crate::harness::weir::weir_command;

fn run(arguments: &[&str]) -> Output {
    weir_command().args(arguments).output().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Checks a text as a file of this name.
fn checked(name: &str, text: &str, more: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(name);
    fs::write(&file, text).unwrap();
    run(&[&["profile", "check", file.to_str().unwrap()], more].concat())
}

#[test]
fn every_profile_that_comes_along_is_listed_shown_and_good() {
    let list = out(&run(&["profile", "list"]));
    let mut count = 0;
    for line in list.lines().skip(1) {
        let [driver, name]: [&str; 2] =
            line.split_whitespace().take(2).collect::<Vec<_>>().try_into().unwrap();
        let text = out(&run(&["profile", "show", name, "--driver", driver]));
        let output = checked("copy.toml", &text, &[]);
        assert_eq!(output.status.code(), Some(0), "{name}: {output:?}");
        assert!(out(&output).contains(&format!("driver  {driver}\n")), "{name}: its keys tell its driver");
        count += 1;
    }
    let dialects = weir_cjt188::Profile::BUILT_IN.len() + weir_dlt645::Profile::BUILT_IN.len();
    assert_eq!(count, weir_modbus::profiles::names().count() + dialects);
}

#[test]
fn a_good_register_profile_is_answered_with_what_will_be_read() {
    let text = "model = \"mine\"\nsource = \"a sheet\"\n[map]\ngap_registers_max = 2\norder = \"CDAB\"\n\
                [[value]]\nquantity = \"volume\"\nunit = \"m3\"\nat = 10\ntype = \"u32\"\nscale = 0.001\n\
                [[value]]\nquantity = \"pressure\"\nunit = \"bar\"\nat = 14\ntype = \"i16\"\n\
                [[value]]\nquantity = \"volume-flow\"\nunit = \"l/h\"\nat = 40\ntype = \"f32\"\nfunction_code = 4\n\
                [[status]]\nat = 15\nbits = { 0 = \"valve:open\" }\n\
                [valve]\nfunction_code = 6\nat = 16\nopen = 1\nclose = 2\nsettle_ms = 900\n";
    let output = checked("mine.toml", text, &[]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let flat = out(&output)
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ") + "\n")
        .collect::<String>();
    for line in [
        "model mine, not verified on a meter",
        "source a sheet",
        "1 03 10 to 15 6",
        "2 04 40 to 41 2",
        "volume 03 10 2 u32 CDAB × 0.001 m3",
        "pressure 03 14 1 i16 bar",
        "volume-flow 04 40 2 f32 CDAB l/h",
        "status 03 15 1 u16 bits 0 valve:open",
        "valve: function 06 at 16, open 0001, close 0002; read back from 15 after 90 to 900 ms",
    ] {
        assert!(flat.contains(&format!("{line}\n")), "{line:?} in {flat}");
    }
    assert!(flat.ends_with("mine.toml: good\n"));
}

#[test]
fn a_bad_profile_is_told_everything_at_once_with_its_places_and_ends_with_64() {
    let text = "model = \"mine\"\n[map]\nordr = \"CDAB\"\n[[value]]\nquantity = \"volum\"\nat = 70000\ntype = \"u32\"\n";
    let output = checked("mine.toml", text, &[]);
    assert_eq!(output.status.code(), Some(64));
    assert!(output.stdout.is_empty());
    let told = err(&output);
    for part in
        ["mine.toml:3:1", "\"ordr\"", "mine.toml:5:12", "one of: volume,", "mine.toml:6:6", "from 0 to 65535"]
    {
        assert!(told.contains(part), "{part} in {told}");
    }

    let told = err(&checked("dialect.toml", "wake_up_bytes = 65\nplaces = 7\n", &[]));
    assert!(told.contains("dialect.toml:1:17") && told.contains("dialect.toml:2:10"), "{told}");
    let told = err(&checked("dialect.toml", "places = 2\n", &["--driver", "modbus"]));
    assert!(told.contains("has no \"model\""), "{told}");

    let missing = run(&["profile", "check", "/nonexistent/profile.toml"]);
    assert_eq!(missing.status.code(), Some(64));
    assert!(err(&missing).contains("/nonexistent/profile.toml"), "{missing:?}");
    assert_eq!(run(&["profile", "show", "nobody"]).status.code(), Some(64));
}

#[test]
fn an_mbus_profile_is_answered_with_what_is_forwarded() {
    let text = "model = \"mine\"\nvif_text = \"as-sent\"\n[[keep]]\nquantity = \"volume\"\nstorage = 1\nname = \"due\"\n\
                [[keep]]\nquantity = \"volume-flow\"\nfunction = \"maximum\"\nsubunit = \"any\"\n";
    let output = checked("mine.toml", text, &[]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let flat = out(&output).split_whitespace().collect::<Vec<_>>().join(" ");
    for part in [
        "driver mbus model mine texts as-sent",
        "volume instantaneous 1 0 0 due",
        "volume-flow maximum 0 0 any",
    ] {
        assert!(flat.contains(part), "{part} in {flat}");
    }
    let output = checked("mine.toml", "model = \"mine\"\n", &["--driver", "mbus"]);
    assert!(out(&output).contains("Everything that the meter sends is forwarded."), "{output:?}");
    let wrong = checked("mine.toml", &text.replace("volume-flow", "flow"), &[]);
    assert!(wrong.status.code() == Some(64) && err(&wrong).contains("mine.toml:8:12"), "{wrong:?}");
}

#[test]
fn a_dlt645_profile_is_answered_with_the_identifiers_that_a_poll_asks_for() {
    let text = "description = \"mine\"\n[[read]]\ndi = \"0001ff00\"\nquantity = \"forward-energy\"\nunit = \"kWh\"\n\
                bytes = 4\nplaces = 2\nblock = \"tariff\"\n[[read]]\ndi = \"02030000\"\nquantity = \"power\"\n\
                unit = \"kW\"\nbytes = 3\nplaces = 4\nsigned = true\nsubunit = 1\noptional = true\n";
    let output = checked("mine.toml", text, &[]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let flat = out(&output).split_whitespace().collect::<Vec<_>>().join(" ");
    for part in [
        "driver dlt645 for mine wake-up bytes 4",
        "0001FF00 forward-energy, then its tariffs 4 bytes BCD, 2 places kWh fails",
        "02030000 power, subunit 1 3 bytes BCD, 4 places, highest bit is the sign kW goes on without",
    ] {
        assert!(flat.contains(part), "{part} in {flat}");
    }
    let wrong = checked("mine.toml", &text.replace("bytes = 3", "bytes = 9"), &[]);
    assert!(wrong.status.code() == Some(64) && err(&wrong).contains("mine.toml:13:9"), "{wrong:?}");
}

fn serial(serial: Serial) -> String {
    let parity = match serial.parity {
        Parity::None => 'N',
        Parity::Even => 'E',
        Parity::Odd => 'O',
    };
    let stop = if serial.stop_bits == StopBits::Two { 2 } else { 1 };
    format!("{} Bd 8{parity}{stop}", serial.baud)
}

/// The comment a profile opens with, as one paragraph.
fn opening(text: &str) -> String {
    let lines = text.lines().take_while(|line| line.starts_with('#'));
    let lines: Vec<&str> = lines.map(|line| line.trim_start_matches('#').trim()).collect();
    lines.join(" ").replace("  ", "\n\n").trim().to_owned()
}

/// What `docs/METERS.md` says below its line.
fn meters() -> String {
    let mut text = String::from("## Modbus\n");
    for name in weir_modbus::profiles::names() {
        let profile = weir_modbus::profiles::load(name).unwrap().unwrap();
        let rows = profile.rows().into_iter().map(|row| row.what);
        let verified = if profile.is_verified() { "**verified**" } else { "not verified on a meter" };
        let (requests, source) = (profile.requests().len(), profile.source().unwrap());
        let _ = write!(text, "\n### `{name}`: {}\n\n", profile.model());
        let _ = writeln!(text, "{}\n", opening(weir_modbus::profiles::text(name).unwrap()));
        let _ = writeln!(
            text,
            "- Reads {}; {requests} {}.",
            rows.collect::<Vec<_>>().join("; "),
            if requests == 1 { "request" } else { "requests" }
        );
        if let Some(delivered) = profile.serial() {
            let _ = writeln!(text, "- Delivered with {}.", serial(delivered));
        }
        if let Some(valve) = profile.valve() {
            let _ = writeln!(text, "- Valve: {valve}.");
        }
        let _ = writeln!(text, "- Source: {source}. State: {verified}.");
    }
    text += "\n## CJ/T 188\n\nAny meter that keeps to the standard is read without a profile; these are for those that do not.\n\n| profile | for |\n|---|---|\n";
    for (name, profile) in weir_cjt188::Profile::BUILT_IN {
        let profile = weir_cjt188::Profile::parse(profile).unwrap();
        let _ = writeln!(text, "| `{name}` | {} |", profile.description);
    }
    text += "\n## DL/T 645\n\nWhat is read of the electricity meters; without a profile the first.\n\n| profile | reads | for |\n|---|---|---|\n";
    for (name, profile) in weir_dlt645::Profile::BUILT_IN {
        let profile = weir_dlt645::Profile::parse(profile).unwrap();
        let read: Vec<String> = profile.read.iter().map(|read| read.quantity.to_string()).collect();
        let _ = writeln!(text, "| `{name}` | {} | {} |", read.join(", "), profile.description);
    }
    text
}

/// The line behind which the list begins.
const GENERATED: &str =
    "<!-- below: made by `WEIR_WRITE_DOCS=1 cargo test --release --test stories meters` -->\n";

#[test]
fn the_list_of_meters_in_the_docs_is_that_of_the_shipped_profiles() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/METERS.md");
    let page = fs::read_to_string(&file).unwrap();
    let (head, list) = page.split_once(GENERATED).expect("the page has the line");
    let wanted = format!("\n{}", meters());
    if std::env::var_os("WEIR_WRITE_DOCS").is_some() {
        fs::write(&file, format!("{head}{GENERATED}{wanted}")).unwrap();
        return;
    }
    assert!(list == wanted, "docs/METERS.md is stale: {GENERATED}");
}
