//! The forecast: what fits on a line.

use super::{checked, good, told};
use crate::config::check_text;

fn line_of(meters: u32, every: &str, baud: u32) -> String {
    let meters: String = (1..=meters)
        .map(|n| format!("[[meters]]\nid = \"m{n}\"\nline = \"riser\"\naddress = {n}\n"))
        .collect();
    format!(
        "[[lines]]\nname = \"riser\"\nport = \"/dev/ttyS0\"\ndriver = \"mbus\"\nevery = \"{every}\"\nbaud = {baud}\n{meters}"
    )
}

#[test]
fn a_lines_load_is_what_goes_over_the_wire_in_an_hour() {
    let checked = good(&line_of(60, "15m", 2400));
    let load = &checked.forecast.lines[0];
    assert_eq!((load.name.as_str(), load.meters, load.reads_per_hour), ("riser", 60, 240.0));
    // A request of 5 bytes and an answer of 66, 11 bits each, at 2400 Bd; before the answer a quarter of 187.5 ms.
    let one = 71.0 * 11.0 / 2400.0 + 0.1875 / 4.0;
    assert!((load.typical - 240.0 * one / 3600.0).abs() < 1e-9, "{load:?}");
    assert!((load.round.as_secs_f64() - 60.0 * one).abs() < 1e-6, "{load:?}");
    assert!(load.shortest < load.typical && load.shortest > 0.0, "{load:?}");
    let shown = checked.forecast.to_string();
    assert_eq!(
        shown.lines().next().unwrap().split_whitespace().collect::<Vec<_>>(),
        ["line", "meters", "reads/h", "one", "round", "shortest", "typical"]
    );
    assert!(shown.contains("240.0") && shown.contains("  22s  ") && shown.contains("2.5 %"), "{shown}");
}

#[test]
fn a_generous_answer_window_does_not_count_as_a_slow_meter() {
    let text = "[[lines]]\nname = \"a\"\nport = \"/dev/ttyS0\"\nanswer_window = \"10s\"\ndriver = \"mbus\"\n\
                [[meters]]\nid = \"m\"\nline = \"a\"\naddress = 1\n";
    let round = good(text).forecast.lines[0].round;
    assert_eq!(round.as_millis(), 71 * 11 * 1000 / 2400 + 50);
}

#[test]
fn a_budget_lightens_the_load() {
    let all = good(&line_of(1, "15m", 2400)).forecast.lines[0].typical;
    let text = line_of(1, "15m", 2400) + "reads_per_day_max = 24\n";
    let few = good(&text).forecast.lines[0].typical;
    assert!((few * 4.0 - all).abs() < 1e-9);
}

#[test]
fn what_typical_answers_overfill_is_warned_of_and_what_the_shortest_overfill_is_refused() {
    let crowded = checked(&line_of(200, "1m", 2400));
    let warnings = told(&crowded.warnings);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(
        warnings[0].starts_with("4:8 the line's meters can hardly be read as often as this: typical"),
        "{warnings:?}"
    );
    // 200 reads of 0.37 s take 74 s, and with a quarter in reserve 93 s.
    assert!(warnings[0].contains("`every = \"1m 36s\"` for all of them would fit"), "{warnings:?}");
    assert!(crowded.checked.is_some());

    // The shortest answers take 15 s, typical ones over a minute.
    assert!(checked(&line_of(250, "20s", 2400)).checked.is_some());
    let impossible = checked(&line_of(250, "10s", 2400));
    let faults = told(&impossible.faults);
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(faults[0].contains("cannot be read as often as this: even the shortest"), "{faults:?}");
    assert!(impossible.checked.is_none());
}

#[test]
fn a_thousand_meters_on_eight_lines_need_not_repeat_themselves() {
    let mut text = String::from(super::HEAD);
    for line in 0..8 {
        text += &format!("[[lines]]\nname = \"l{line}\"\nport = \"/dev/ttyS{line}\"\ndriver = \"mbus\"\n");
        for meter in 1..=125 {
            text += &format!("[[meters]]\nid = \"{line}-{meter}\"\nline = \"l{line}\"\naddress = {meter}\n");
        }
    }
    let outcome = check_text(std::path::Path::new("weir.toml"), &text);
    assert_eq!(outcome.report(false), "");
    assert_eq!(outcome.checked.unwrap().lines.iter().map(|line| line.meters.len()).sum::<usize>(), 1000);
}
