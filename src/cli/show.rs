//! Answers and figures as tables for people.

use std::fmt::Write;

use weir_wire::{Answer, Content, Identity, Status, Value};

/// An answer as a table: who the meter is, how it is, and every value.
pub(super) fn answer(answer: &Answer) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "meter   {}", identity(&answer.identity));
    let _ = writeln!(text, "status  {}", status(&answer.status));
    if let Some(time) = answer.meter_time {
        let _ = writeln!(text, "clock   {time}");
    }
    let header = ["quantity", "value", "unit", "function", "storage", "tariff", "subunit", "raw"];
    let rows: Vec<[String; 8]> = answer.values.iter().map(row).collect();
    let header = header.map(str::to_owned);
    if answer.values.iter().all(|value| value.name.is_none()) {
        return text + "\n" + &columns(header, &rows);
    }
    let names = answer.values.iter().map(|value| name(value.name.as_deref()));
    let named: Vec<[String; 9]> = names.zip(rows).map(|(name, row)| in_front(name, row)).collect();
    text + "\n" + &columns(in_front("name".to_owned(), header), &named)
}

/// What the utility calls a value; what a configuration says never reaches the terminal's controls.
fn name(name: Option<&str>) -> String {
    name.map(|name| name.escape_debug().to_string()).unwrap_or_default()
}

fn in_front(name: String, row: [String; 8]) -> [String; 9] {
    let [a, b, c, d, e, f, g, h] = row;
    [name, a, b, c, d, e, f, g, h]
}

fn row(value: &Value) -> [String; 8] {
    [
        value.quantity.to_string(),
        content(&value.content),
        value.unit.as_ref().map(ToString::to_string).unwrap_or_default(),
        value.function.to_string(),
        value.storage.to_string(),
        value.tariff.to_string(),
        value.subunit.to_string(),
        value.raw.as_ref().map(ToString::to_string).unwrap_or_default(),
    ]
}

/// A value's content in one short line; control characters of a meter's texts never reach the terminal.
pub(super) fn content(content: &Content) -> String {
    match content {
        Content::Number(number) => number.to_string(),
        Content::Text(text) => format!("{text:?}"),
        Content::Date(date) => date.to_string(),
        Content::DateTime(time) => time.to_string(),
        Content::Invalid(why) => format!("invalid: {}", why.escape_debug()),
        Content::Opaque => "-".to_owned(),
    }
}

fn identity(identity: &Identity) -> String {
    let parts = [
        identity.manufacturer.clone(),
        identity.number.clone(),
        identity.medium.as_ref().map(ToString::to_string),
        identity.version.map(|version| format!("version {version}")),
    ];
    let known: Vec<String> =
        parts.into_iter().flatten().map(|part| part.escape_debug().to_string()).collect();
    if known.is_empty() { "does not say who it is".into() } else { known.join(" ") }
}

fn status(status: &Status) -> String {
    let mut parts = Vec::new();
    parts.extend(status.valve.as_ref().map(|valve| format!("valve {valve}")));
    parts.extend(status.battery_low.map(|low| if low { "battery low" } else { "battery good" }.to_owned()));
    parts.extend(status.alarms.iter().cloned());
    if parts.is_empty() { "no alarms".into() } else { parts.join(", ") }
}

/// Rows under a header, each column as wide as its widest cell.
pub(super) fn columns<const N: usize>(header: [String; N], rows: &[[String; N]]) -> String {
    let mut widths = [0; N];
    for row in std::iter::once(&header).chain(rows) {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in std::iter::once(&header).chain(rows) {
        let cells: Vec<String> =
            row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        let _ = writeln!(text, "{}", cells.join("  ").trim_end());
    }
    text
}
