//! What a person with a faulty file is told, that all of it is told, and that the example is whole.

mod arrives;
mod commands;
mod contradictions;
mod example;
mod files;
mod hostile;
mod load;
mod options;
mod secrets;
mod selection;

use std::path::Path;

use super::{Checked, Notice, Outcome, check_text};

/// A gateway and an uplink, on the first lines, so that a test can be about the rest.
const HEAD: &str = "gateway = { id = \"gw-1\" }\nuplink.kafka.brokers = [\"k:9092\"]\n";

/// Checks a text after [`HEAD`].
fn checked(rest: &str) -> Outcome {
    check_text(Path::new("/etc/weir/weir.toml"), &format!("{HEAD}{rest}"))
}

/// The configuration, which must be good.
fn good(rest: &str) -> Checked {
    let outcome = checked(rest);
    let report = outcome.report(false);
    outcome.checked.unwrap_or_else(|| panic!("{report}"))
}

/// Each notice in one line: place, message, hint.
fn told(notices: &[Notice]) -> Vec<String> {
    let place = |notice: &Notice| match &notice.location {
        Some(location) => format!("{}:{}", location.line, location.column),
        None => "-".to_owned(),
    };
    let hint = |notice: &Notice| notice.hint.clone().unwrap_or_default();
    notices.iter().map(|notice| format!("{} {} | {}", place(notice), notice.message, hint(notice))).collect()
}

/// The one fault there must be.
#[track_caller]
fn only_fault(rest: &str) -> String {
    let outcome = checked(rest);
    assert_eq!(outcome.faults.len(), 1, "{}", outcome.report(false));
    assert!(outcome.checked.is_none());
    told(&outcome.faults).remove(0)
}

/// The one warning there must be, of a configuration that is good.
#[track_caller]
fn only_warning(rest: &str) -> String {
    let outcome = checked(rest);
    assert!(outcome.checked.is_some(), "{}", outcome.report(false));
    assert_eq!(outcome.warnings.len(), 1, "{}", outcome.report(false));
    told(&outcome.warnings).remove(0)
}
