//! `weir demo`: the whole daemon in one process, as lines and on a screen.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::harness::kafka::Kafka;
use crate::harness::not_run::require;
use crate::harness::process::Process;
use crate::harness::terminal::Terminal;
use crate::harness::weir::weir_command;

/// A loaded machine may take its time; a good one does not.
const PATIENCE: Duration = Duration::from_secs(60);

/// The demo, with a directory for temporary files of its own, so that it can be seen what it leaves there.
fn demo(arguments: &[&str]) -> (Command, TempDir) {
    let folder = tempfile::Builder::new().prefix("weir-").tempdir().unwrap();
    let mut command = weir_command();
    command.arg("demo").args(arguments).env("TMPDIR", folder.path()).env_remove("RUST_LOG");
    (command, folder)
}

#[track_caller]
fn assert_left_nothing(folder: &Path) {
    let left: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(left.is_empty(), "{left:?}");
}

/// The JSON object on the last line.
#[track_caller]
fn figures(stdout: &[u8]) -> serde_json::Value {
    let text = std::str::from_utf8(stdout).unwrap();
    let last = text.trim_end().lines().last().unwrap_or_default();
    serde_json::from_str(last)
        .unwrap_or_else(|error| panic!("{error}: no JSON object on the last line of\n{text}"))
}

fn run_plain(arguments: &[&str]) -> serde_json::Value {
    let (mut command, folder) = demo(&[&["--plain"], arguments].concat());
    let mut process = Process::spawn("demo", &mut command);
    let end = process.wait_end(PATIENCE);
    assert!(end.success(), "{end}: {}", process.tail());
    assert_left_nothing(folder.path());
    figures(&process.stdout())
}

#[track_caller]
fn count(figures: &serde_json::Value, name: &str) -> u64 {
    figures[name].as_u64().unwrap_or_else(|| panic!("no count {name:?} in {figures}"))
}

#[track_caller]
fn assert_no_reading_is_missing(figures: &serde_json::Value) {
    let [polled, answered, stored, acknowledged, waiting] =
        ["polled", "answered", "stored", "acknowledged", "waiting"].map(|name| count(figures, name));
    assert!(polled >= answered && answered > 0, "{figures}");
    assert_eq!(answered, stored, "every reading is stored: {figures}");
    assert_eq!(stored, acknowledged + waiting, "a stored reading is acknowledged or waits: {figures}");
}

#[test]
fn without_a_terminal_the_demo_polls_stores_and_delivers_and_tells_it_as_json() {
    let figures = run_plain(&["--for", "12s"]);
    assert_no_reading_is_missing(&figures);
    // In twelve seconds each of 32 meters had its turn at least once.
    assert!(count(&figures, "polled") >= 32, "{figures}");
    assert!(count(&figures, "acknowledged") > 0, "{figures}");
    assert!(count(&figures, "arrived") >= count(&figures, "acknowledged"), "{figures}");
}

#[test]
fn a_demo_that_ends_in_an_outage_leaves_readings_waiting_and_loses_none() {
    let figures = run_plain(&["--for", "16s", "--outage", "8s..1h"]);
    assert_no_reading_is_missing(&figures);
    assert!(count(&figures, "acknowledged") > 0, "{figures}");
    assert!(count(&figures, "waiting") > 0, "{figures}");
}

#[test]
fn a_scheduled_outage_is_over_when_it_is_over() {
    let figures = run_plain(&["--for", "20s", "--outage", "4s..10s"]);
    assert_no_reading_is_missing(&figures);
    assert!(count(&figures, "acknowledged") > count(&figures, "waiting"), "{figures}");
}

#[test]
fn a_bad_time_or_an_outage_of_a_real_broker_is_refused_before_anything_starts() {
    for arguments in
        [&["--for", "soon"][..], &["--outage", "9s..3s"], &["--kafka", "127.0.0.1:1", "--outage", "1s..2s"]]
    {
        let (mut command, folder) = demo(arguments);
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(64), "{arguments:?}: {output:?}");
        assert_left_nothing(folder.path());
    }
}

#[test]
fn a_real_broker_that_does_not_answer_is_told_and_nothing_is_left_behind() {
    // Port 1 of loopback: nobody listens there.
    let (mut command, folder) = demo(&["--plain", "--kafka", "127.0.0.1:1"]);
    let mut process = Process::spawn("demo", &mut command);
    let end = process.wait_end(PATIENCE);
    assert_eq!(end.code(), Some(1));
    assert!(process.stderr().contains("127.0.0.1:1"), "{}", process.tail());
    assert_left_nothing(folder.path());
}

#[test]
fn at_a_real_broker_topics_are_made_and_only_this_demos_records_are_counted() {
    let Some(kafka) = require("Apache Kafka", Kafka::start()) else { return };
    let bootstrap = kafka.bootstrap();
    let runs = [(); 2].map(|()| run_plain(&["--kafka", &bootstrap, "--for", "11s"]));
    for figures in &runs {
        assert_no_reading_is_missing(figures);
        assert!(count(figures, "acknowledged") > 0, "{figures}");
        assert_eq!(count(figures, "arrived"), count(figures, "acknowledged"), "{figures}");
    }
    let acknowledged: u64 = runs.iter().map(|figures| count(figures, "acknowledged")).sum();
    assert_eq!(u64::try_from(kafka.read_all("weir.demo.readings").len()), Ok(acknowledged));
}

/// The number after the word, such as the 12 of `waiting 12`.
fn number_after(screen: &str, word: &str) -> Option<u64> {
    let rest = screen.split(word).nth(1)?.trim_start();
    rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok()
}

#[test]
fn on_the_screen_the_outbox_fills_while_the_plug_is_out_and_drains_when_it_is_back() {
    let (mut command, folder) = demo(&["--for", "5m"]);
    let mut terminal = Terminal::spawn("demo", &mut command, 80, 24);
    terminal.wait_text("librdkafka's mock", PATIENCE);
    terminal.wait_text("Uplink connected", PATIENCE);

    terminal.press("p");
    terminal.wait_text("PLUG PULLED", PATIENCE);
    let deep = terminal.wait("a deep outbox", PATIENCE, |screen| {
        number_after(screen, " waiting ").filter(|waiting| *waiting >= 20)
    });
    let arrived = |screen: &str| {
        let line = screen.lines().find(|line| line.contains(" arrived, "))?;
        line.split(" arrived, ").next()?.rsplit(' ').next()?.parse::<u64>().ok()
    };
    let arrived_before = terminal.wait("the broker's figures", PATIENCE, arrived);

    terminal.press("p");
    terminal.wait("an empty outbox", PATIENCE, |screen| {
        let is_empty = number_after(screen, " waiting ") == Some(0);
        let all_came = arrived(screen)? >= arrived_before + deep;
        (is_empty && all_came && screen.contains("Uplink connected")).then_some(())
    });

    terminal.press("q");
    assert!(terminal.wait_end(PATIENCE).success());
    terminal.wait_text("acknowledged  ", PATIENCE);
    assert!(!terminal.is_taken_over() && terminal.is_as_a_shell_leaves_it(), "{}", terminal.screen());
    assert_left_nothing(folder.path());
}

#[test]
fn a_meter_that_is_killed_fails_alone_and_comes_back() {
    let (mut command, _folder) = demo(&["--for", "5m"]);
    let mut terminal = Terminal::spawn("demo", &mut command, 140, 50);
    let row = |screen: &str, mark: &str| screen.lines().find(|line| line.contains(mark)).map(str::to_owned);
    // B-01, which is read each five seconds.
    terminal.wait_text("Uplink connected", PATIENCE);
    terminal.press(&"j".repeat(14));
    terminal.press("m");
    terminal.wait("a failing meter", PATIENCE, |screen| {
        row(screen, "✗B-01").filter(|row| row.contains("failing") || row.contains("silent"))
    });
    terminal.wait("its neighbour, as ever", PATIENCE, |screen| {
        row(screen, " B-02 ").filter(|row| row.contains(" ok "))
    });
    terminal.press("m");
    terminal
        .wait("the meter back", PATIENCE, |screen| row(screen, " B-01 ").filter(|row| row.contains(" ok ")));
}

#[test]
fn a_signal_gives_the_terminal_back() {
    let (mut command, folder) = demo(&[]);
    let mut terminal = Terminal::spawn("demo", &mut command, 80, 24);
    terminal.wait_text("weir demo", PATIENCE);
    assert!(terminal.is_taken_over() && !terminal.is_as_a_shell_leaves_it());
    terminal.signal(Signal::TERM);
    assert!(terminal.wait_end(PATIENCE).success());
    terminal.wait_text("acknowledged  ", PATIENCE);
    assert!(!terminal.is_taken_over() && terminal.is_as_a_shell_leaves_it(), "{}", terminal.screen());
    assert_left_nothing(folder.path());
}
