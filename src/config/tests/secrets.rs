//! A secret is in no message, wherever in the file it was put and whatever is wrong with it.

use std::fs::{Permissions, set_permissions, write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::{HEAD, checked, told};
use crate::config::{Outcome, check_text};

const SECRET: &str = "hunter2-and-more";

/// Everything that is ever shown of a configuration.
fn shown(text: &str) -> String {
    let outcome = check_text(Path::new("weir.toml"), text);
    let uplink = outcome.checked.as_ref().map(|checked| format!("{:?}", checked.uplink));
    let notices = format!("{:?}{:?}{uplink:?}", outcome.faults, outcome.warnings);
    outcome.report(false) + &outcome.report(true) + &notices
}

#[test]
fn a_fault_beside_a_secret_shows_its_line_with_the_secret_covered() {
    let text = format!("[outbox]\nwhen = {{ \"sasl.password\" = \"{SECRET}\" }}\n");
    let report = checked(&text).report(false);
    assert!(report.contains("when = { \"sasl.password\" = ****************** }"), "{report}");
}

#[test]
fn a_secret_is_covered_wherever_it_stands() {
    let kafka = "brokers = [\"k:1\"]\n";
    for wrong in [
        format!("[uplink.kafka]\n{kafka}properties = {{ \"sasl.password\" = \"{SECRET}\", acks = 1 }}"),
        format!("[uplink.kafka]\n{kafka}properties = {{ sasl.password = \"{SECRET}\", acks = 1 }}"),
        format!("[uplink.kafka]\n{kafka}properties = \"sasl.password={SECRET}\""),
        format!("[uplink.kafka]\n{kafka}sasl.password = \"{SECRET}\""),
        format!("[uplink.kafka]\n{kafka}\"sasl.password\" = \"{SECRET}\""),
        format!("[uplink.kafka]\n{kafka}propertys = {{ \"ssl.key.password\" = [\"{SECRET}\"] }}"),
        format!("[uplink.kafka]\n{kafka}properties = {{ \"ssl.key.pem\" = [\"{SECRET}\"] }}"),
        format!(
            "[uplink.kafka]\n{kafka}properties = {{ \"sasl.password\" = \"\"\"\n{SECRET}\n\"\"\", acks = 1 }}"
        ),
        format!("password = \"{SECRET}\""),
    ] {
        let text = format!("gateway.id = \"g\"\n{wrong}\n");
        let shown = shown(&text);
        assert!(shown.contains("error"), "{wrong} is no fault");
        assert!(!shown.contains(SECRET), "{shown}");
    }
}

#[test]
fn a_secret_is_covered_in_a_file_that_cannot_be_parsed() {
    for broken in [
        format!("\"sasl.password\" = \"{SECRET}"),
        format!("sasl.password = {SECRET}"),
        format!("properties = {{ \"sasl.password\" = \"{SECRET}\", x }}"),
        format!("\"ssl.key.pem\" = \"\"\"\n-----BEGIN\n{SECRET}\n"),
        format!("\"ssl.key.pem\" = \"\"\"\n{SECRET}\n\"\"\"\n{SECRET}\n"),
    ] {
        let text = format!("{HEAD}[uplink.kafka.properties]\n{broken}");
        let shown = shown(&text);
        assert!(shown.contains("no TOML"), "{shown}");
        assert!(!shown.contains(SECRET), "{shown}");
    }
}

#[test]
fn a_good_configuration_keeps_its_secret_and_does_not_tell_it() {
    let text = format!(
        "gateway.id = \"g\"\n[uplink.kafka]\nbrokers = [\"k:1\"]\n[uplink.kafka.properties]\nsasl.password = \"{SECRET}\"\n"
    );
    let outcome = check_text(Path::new("weir.toml"), &text);
    assert_eq!(outcome.checked.unwrap().uplink.kafka.properties["sasl.password"], SECRET);
    assert!(!shown(&text).contains(SECRET));
}

#[test]
fn properties_of_weirs_own_are_refused_with_the_reason() {
    let outcome = checked("[uplink.kafka.properties]\nacks = 1\n");
    assert!(outcome.checked.is_none());
    let text = "gateway.id = \"g\"\n[uplink.kafka]\nbrokers = [\"k:1\"]\nproperties = { acks = 1, \"linger.ms\" = 5 }\n";
    let faults = super::told(&check_text(Path::new("weir.toml"), text).faults);
    assert_eq!(faults.len(), 2, "{faults:?}");
    assert!(faults[0].starts_with("4:16 property acks cannot be set"), "{faults:?}");
    assert!(faults[1].starts_with("4:26 property linger.ms cannot be set"), "{faults:?}");
}

/// A meter's key, as digits and as they may be typed.
const KEY: &str = "00112233445566778899aAbBcCdDeEfF";
const KEY_APART: &str = "00 11 22 33 44 55 66 77 88 99 aA bB cC dD eE fF";

const METER: &str = "[[lines]]\nname = \"a\"\nport = \"/dev/ttyS0\"\ndriver = \"mbus\"\n\
                     [[meters]]\nid = \"m\"\nline = \"a\"\naddress = 1\n";

#[test]
fn a_key_that_was_typed_where_its_files_path_belongs_is_covered() {
    for wrong in [
        format!("key_file = \"{KEY}\""),
        format!("key_file = \"{KEY_APART}\""),
        format!("key_file = \"keys/{KEY}.key\""),
        format!("key = \"{KEY}\""),
        format!("key_flie = \"x\" # {KEY_APART}"),
        format!("key_file = 5 # was {KEY}"),
        format!("profile = \"{KEY}\""),
        format!("key_file = \"{KEY}"),
        format!("expected_number = \"{}\"", KEY_APART.replace(' ', ":")),
    ] {
        let text = format!("{HEAD}{METER}{wrong}\n");
        let shown = shown(&text);
        assert!(shown.contains("error"), "{wrong} is no fault");
        for (key, name) in [(KEY, "key"), (&KEY[1..], "most of the key"), (KEY_APART, "key in pairs")] {
            assert!(!shown.contains(key), "{name} in: {shown}");
        }
        assert!(!shown.contains("aA") && !shown.contains("eEfF"), "{shown}");
    }
    let fault = told(&checked(&format!("{METER}key_file = \"{KEY}\"\n")).faults);
    let hint = "write the key into a file that only the daemon may read, and its path here";
    let message = "`key_file` is the path of a file, and not the key itself";
    assert_eq!(fault, [format!("11:12 {message} | {hint}")]);
    // What is shorter than a key is no key, and a path is shown.
    assert!(shown(&format!("{HEAD}{METER}key_file = \"{}\"\n", &KEY[..30])).contains(&KEY[..30]));
}

/// Checks a meter whose key lies in a file of this text and mode.
fn with_key_file(text: &[u8], mode: u32) -> (String, Outcome) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("m.key");
    write(&path, text).unwrap();
    set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    let main = format!("{HEAD}{METER}key_file = \"m.key\"\n");
    let outcome = check_text(&directory.path().join("weir.toml"), &main);
    let shown = outcome.report(false) + &format!("{:?}{:?}", outcome.faults, outcome.warnings);
    (shown, outcome)
}

#[test]
fn a_key_in_its_file_is_taken_and_one_that_everybody_may_read_is_warned_of() {
    let (_, outcome) = with_key_file(format!("{KEY}\n").as_bytes(), 0o640);
    assert_eq!(outcome.report(false), "");
    assert!(outcome.checked.is_some());
    let (shown, outcome) = with_key_file(KEY.as_bytes(), 0o644);
    assert!(outcome.checked.is_some());
    assert!(shown.contains("everybody on this machine may read the key"), "{shown}");
    assert!(!shown.contains(KEY), "{shown}");
}

#[test]
fn a_file_that_holds_no_key_is_refused_and_nothing_of_it_is_shown() {
    for (text, why) in [
        (&KEY.as_bytes()[1..], "a key has 32 hex digits and not 31 characters"),
        (KEY_APART.as_bytes(), "a key has 32 hex digits and not 47 characters"),
        (b"g0112233445566778899aAbBcCdDeEfF", "a key has hex digits only"),
        (&[0xFF; 16], "is not UTF-8: line 1 has a byte that cannot be there"),
        (b"", "a key has 32 hex digits and not 0 characters"),
    ] {
        let (shown, outcome) = with_key_file(text, 0o640);
        assert!(outcome.checked.is_none());
        assert!(shown.contains(why), "{why} not in {shown}");
        assert!(!shown.contains("aAbB") && !shown.contains("aA bB"), "{shown}");
    }
    let missing = told(&checked(&format!("{METER}key_file = \"no.key\"\n")).faults);
    assert_eq!(missing.len(), 1, "{missing:?}");
    assert!(missing[0].starts_with("11:12 `key_file`: /etc/weir/no.key: No such file"), "{missing:?}");
}

#[test]
fn a_credential_that_is_not_here_is_a_warning_for_it_is_there_for_the_service() {
    // `cargo test` runs under no service manager that hands out credentials.
    let outcome = checked(&format!("{METER}key_file = \"$CREDENTIALS_DIRECTORY/m\"\n"));
    assert!(outcome.checked.is_some());
    let warnings = told(&outcome.warnings);
    assert!(warnings[0].starts_with("11:12 $CREDENTIALS_DIRECTORY is not set here"), "{warnings:?}");
}
