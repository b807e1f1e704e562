//! A secret is in no message, wherever in the file it was put and whatever is wrong with it.

use std::path::Path;

use super::{HEAD, checked};
use crate::config::check_text;

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
