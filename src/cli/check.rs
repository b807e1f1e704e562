//! `weir check`: the configuration's faults, what the lines will have to carry, and who may command the meters.

use std::path::Path;

use super::show::columns;
use super::{Exit, load, tell};
use crate::clock;
use crate::command;

pub(super) fn check(path: &Path) -> Exit {
    match load(path) {
        Ok(config) => {
            let meters: usize = config.lines.iter().map(|line| line.meters.len()).sum();
            let (file, lines) = (path.display(), config.lines.len());
            let commands = config.commands.as_ref().map_or("commands: off\n\n".to_owned(), commands);
            tell(&format!("{}{commands}{file}: good, {lines} lines, {meters} meters\n", config.forecast))
        }
        Err(exit) => exit,
    }
}

/// Where commands come from, what each key may do, and what none may.
fn commands(config: &command::Config) -> String {
    let policy = &config.rules.policy;
    let rows: Vec<[String; 5]> = policy
        .keys
        .iter()
        .map(|(id, key)| {
            let grant = &key.grant;
            let actions: Vec<&str> = grant.actions.iter().map(weir_wire::Action::as_str).collect();
            let patterns: Vec<String> =
                grant.meters.iter().map(|pattern| pattern.as_str().escape_debug().to_string()).collect();
            let count = policy.meters.keys().filter(|meter| grant.covers_meter(meter)).count();
            let until = match grant.not_after {
                None => "-".to_owned(),
                Some(until) if grant.has_expired(clock::wall()) => format!("{until}, expired"),
                Some(until) => until.to_string(),
            };
            [id.to_owned(), actions.join(" "), patterns.join(" "), count.to_string(), until]
        })
        .collect();
    let header = ["key", "may", "for", "meters", "until"].map(str::to_owned);
    let locked: Vec<String> = policy
        .meters
        .iter()
        .filter(|(_, meter)| meter.locked_open)
        .map(|(id, _)| id.escape_debug().to_string())
        .collect();
    let locked = if locked.is_empty() { "none".to_owned() } else { locked.join(", ") };
    format!(
        "commands: from {}, at most {} closings an hour and {} a day; locked open: {locked}\n{}\n",
        config.topic,
        policy.closings_per_hour_max,
        policy.closings_per_day_max,
        columns(header, &rows)
    )
}
