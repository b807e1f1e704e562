//! No text can make the check panic, hang or grow.

use std::path::Path;

use proptest::prelude::*;

use super::{HEAD, checked};
use crate::config::{EXAMPLE, check_text};

/// Shows everything, so that rendering is tried as well.
fn survives(text: &str) {
    let outcome = check_text(Path::new("weir.toml"), text);
    assert_eq!(outcome.checked.is_some(), outcome.faults.is_empty());
    let report = outcome.report(false) + &outcome.report(true);
    assert_eq!(report.is_empty(), outcome.faults.is_empty() && outcome.warnings.is_empty());
}

/// A value of any kind, sensible ones among them.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<i64>().prop_map(|number| number.to_string()),
        any::<String>().prop_map(|text| toml::Value::String(text).to_string()),
        "[0-9]{1,20}(ns|us|ms|s|m|h|d|w|y| MiB| TiB| B)".prop_map(|text| format!("\"{text}\"")),
        prop::sample::select(vec![
            "true",
            "nan",
            "-0.0",
            "1e999",
            "[]",
            "{}",
            "[[1], {}]",
            "1979-05-27",
            "\"\"",
            "\"a\"",
            "\"mbus\"",
            "\"modbus\"",
            "\"cjt188\"",
            "\"dlt645\"",
            "\"tcp\"",
            "\"generic-20\"",
            "\"h:1\"",
            "\"/dev/ttyS0\"",
            "0xFF",
            "{ a.b.c = 1 }",
            "\"\\u0000\"",
        ])
        .prop_map(str::to_owned),
    ]
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        9 => prop::sample::select(vec![
            "include", "id", "time_zone", "state_directory", "control_socket", "directory", "readings_max", "free_min",
            "commit_window", "segment", "when_full", "brokers", "readings_topic", "message_timeout", "linger", "properties", "name",
            "port", "tcp", "echo", "repeats", "adapter_allowance", "line", "driver", "address", "profile", "framing", "every",
            "offset", "reads_per_day_max", "answer_window", "late_window", "baud", "parity", "stop_bits", "kafka",
            "expected_number",
        ])
        .prop_map(str::to_owned),
        1 => any::<String>().prop_map(|text| toml::Value::String(text).to_string().replace("\"\"\"", "\"").replace('\n', "")),
    ]
}

fn table() -> impl Strategy<Value = String> {
    let header = prop::sample::select(vec![
        "[gateway]",
        "[outbox]",
        "[uplink]",
        "[uplink.kafka]",
        "[uplink.kafka.properties]",
        "[[lines]]",
        "[[meters]]",
        "[lines]",
        "[[gateway]]",
        "[x]",
    ]);
    (header, prop::collection::btree_map(key(), value(), 0..8)).prop_map(|(header, keys)| {
        let keys: String = keys.iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
        format!("{header}\n{keys}")
    })
}

proptest! {
    #[test]
    fn any_text_is_answered(text in any::<String>()) {
        survives(&text);
    }

    #[test]
    fn any_tables_with_any_values_are_answered(tables in prop::collection::vec(table(), 0..8)) {
        survives(&tables.concat());
    }

    #[test]
    fn the_example_with_a_piece_replaced_is_answered(
        at in 0..EXAMPLE.len(), length in 0..40usize, piece in any::<String>(),
    ) {
        let mut bytes = EXAMPLE.as_bytes().to_vec();
        let end = (at + length).min(bytes.len());
        bytes.splice(at..end, piece.into_bytes());
        survives(&String::from_utf8_lossy(&bytes));
    }
}

#[test]
fn deep_nesting_and_long_lines_are_answered() {
    survives(&format!("a = {}", "[".repeat(100_000)));
    survives(&format!("a = {}", "{ a = ".repeat(100_000)));
    survives(&format!("{}1", "a.".repeat(100_000)));
    survives(&format!("a.{} = 1", "b.".repeat(100_000)));
    survives(&format!("uplink.kafka.properties.{}b = 1", "b.".repeat(70)));
    survives(&format!("{} = 1", "k".repeat(1_000_000)));
    survives(&format!("gateway = {{ id = \"{}\" }}", "ä".repeat(1_000_000)));
}

#[test]
fn of_very_many_faults_the_first_thousand_are_listed_and_the_rest_counted() {
    let text: String =
        (0..5000).map(|n| format!("[[meters]]\nid = {n}\nline = \"no-{n}\"\naddress = {n}\n")).collect();
    let outcome = checked(&text);
    assert_eq!(outcome.faults.len(), 1001);
    let report = outcome.report(false);
    assert!(report.trim_end().ends_with("more, not listed"), "{}", &report[report.len() - 200..]);
}

#[test]
fn nothing_in_a_file_commands_the_terminal() {
    for text in [
        "\"\\u001b[2J\" = 1",
        "uplink.kafka = { brokers = [\"k:1\"], properties = { \"\\u001b[2J\" = \"\\u001b[2J\" } }",
        "include = [\"\\u001b[2J\"]",
        "[[lines]]\nname = \"\\u001b[2J\"\nport = \"\\u001b[2J\"\n[[meters]]\nline = \"\\u001b[2\"\nprofile = \"\\u001b[2\"",
        "a = \"\u{1b}[2J\"",
        "# \u{1b}[2J",
    ] {
        let report = check_text(Path::new("we\u{1b}[2Jir.toml"), text).report(false);
        assert!(!report.is_empty() && !report.contains('\u{1b}'), "{report:?}");
    }
}

#[test]
fn a_text_with_carriage_returns_tabs_and_wide_characters_is_marked_where_it_should_be() {
    let text = format!("{HEAD}[outbox]\r\n\twhen_full = \"水水\" # 水\r\n");
    let outcome = check_text(Path::new("weir.toml"), &text);
    let location = outcome.faults[0].location.as_ref().unwrap();
    assert_eq!((location.line, location.column), (4, 14));
    let report = outcome.report(false);
    assert!(!report.contains('\r') && !report.contains('␍'), "{report}");
}
