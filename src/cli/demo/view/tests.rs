//! The view on invented snapshots.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use jiff::Timestamp;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use tracing::Level;
use weir_wire::Unit;

use super::*;
use crate::cli::demo::arrivals::{Arrived, Seen};
use crate::cli::demo::log::Entry;
use crate::line::{Counters, LastFault, LastReading, LineStatus, MeterState, MeterStatus};
use crate::outbox::LaneStats;
use crate::uplink::{Condition, State};

const NOW: &str = "2026-11-23T02:20:00Z";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn meter(id: String) -> MeterStatus {
    let volume = Some("1234.567".parse().unwrap());
    let last_reading =
        Some(LastReading { read_at: at("2026-11-23T02:19:57Z"), volume, unit: Some(Unit::CubicMetre) });
    let counters = Counters { polls: 12, answered: 11, silent: 1, ..Counters::default() };
    MeterStatus { id, last_reading, counters, ..MeterStatus::default() }
}

fn line(name: &str, letter: &str, meters: u32) -> LineStatus {
    LineStatus {
        name: name.into(),
        port: format!("/tmp/weir-demo-x/{name}"),
        up: true,
        down_reason: None,
        paused_reason: None,
        lent_to: None,
        readings_lost: 0,
        running_ms: 60_000,
        busy_ms: 30_000,
        wire_ms: 25_000,
        meters: (1..=meters).map(|number| meter(format!("{letter}-{number:02}"))).collect(),
    }
}

/// Three lines with 32 meters, all well.
pub(in crate::cli::demo) fn snapshot() -> Snapshot {
    let lines = vec![line("riser-1", "A", 14), line("riser-2", "B", 8), line("pumps", "P", 10)];
    let arrived = |number| Arrived {
        id: format!("demo-0badcafe:7f3a9c01:r{number}"),
        meter: "A-03".into(),
        volume: "987.654 m3".into(),
    };
    let latest = (1..=20).rev().map(arrived).collect();
    Snapshot {
        now: at(NOW),
        running: Duration::from_secs(62),
        left: None,
        stopping: false,
        configuration: "/tmp/weir-demo-x/weir.toml".into(),
        broker: "embedded broker: librdkafka's mock".into(),
        plug: Some(Plug::In),
        loads: vec![0.5, 0.42, 0.98],
        protocols: lines
            .iter()
            .flat_map(|line| &line.meters)
            .map(|it| (it.id.clone(), "modbus"))
            .collect::<BTreeMap<_, _>>(),
        lines,
        killed: BTreeSet::new(),
        unplugged: BTreeSet::new(),
        outbox: LaneStats { stored: 384, acknowledged: 381, waiting: 3, ..LaneStats::default() },
        uplink: Condition {
            state: State::Connected,
            since: at(NOW),
            why: None,
            acknowledged: 381,
            retried: 0,
            set_aside: 0,
            in_flight: 3,
        },
        depths: VecDeque::from([1, 0, 2, 3]),
        arrivals: Seen { readings: 380, events: 4, latest, ..Seen::default() },
        log: vec![Entry {
            at: at("2026-11-23T02:19:30Z"),
            level: Level::INFO,
            text: "weir started lines=3".into(),
        }],
    }
}

fn drawn_with(snapshot: &Snapshot, choice: &mut Choice, width: u16, height: u16) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, snapshot, choice)).unwrap();
    terminal.backend().buffer().clone()
}

fn text(buffer: &Buffer) -> String {
    let rows = buffer.content().chunks(usize::from(buffer.area.width));
    rows.map(|row| row.iter().map(|cell| cell.symbol()).collect::<String>() + "\n").collect()
}

fn drawn(snapshot: &Snapshot) -> String {
    text(&drawn_with(snapshot, &mut Choice::default(), 80, 24))
}

#[track_caller]
fn assert_shows(screen: &str, parts: &[&str]) {
    for part in parts {
        assert!(screen.contains(part), "no {part:?} on\n{screen}");
    }
}

#[test]
fn a_small_terminal_shows_all_that_matters() {
    let screen = drawn(&snapshot());
    assert_shows(&screen, &["weir demo", "1:02", "embedded broker: librdkafka's mock", NOTE]);
    assert_shows(&screen, &["3 lines, 32 meters", "riser-1  up", "50% busy", "pumps    up", "98% busy"]);
    assert_shows(&screen, &["waiting 3", "stored 384, acknowledged 381", "polled 384, answered 352"]);
    // The newest sample is at the right edge.
    assert_shows(&screen, &["▁ ▂▃│"]);
    assert_shows(&screen, &["A-01  modbus   1234.567 m3   3s ok", "Meters 1/32"]);
    assert_shows(
        &screen,
        &["Uplink connected", "380 arrived, 0 twice, 4 events", "A-03      987.654 m3 7f3a9c01:r20"],
    );
    assert_shows(&screen, &["30s weir started lines=3"]);
    assert_shows(&screen, &["[p] pull the plug", "[m] kill meter", "[l] unplug line", "[q] quit"]);
}

#[test]
fn an_outage_is_seen_in_words_and_as_a_rising_line() {
    let mut outage = snapshot();
    outage.plug = Some(Plug::Out);
    outage.uplink.state = State::Waiting;
    outage.uplink.why = Some("no broker (127.0.0.1:9092 refuses)".into());
    outage.outbox.waiting = 123;
    outage.outbox.oldest_waiting_at = Some(at("2026-11-23T02:18:00Z"));
    outage.depths = (0..=123).collect();
    let screen = drawn(&outage);
    assert_shows(&screen, &["Uplink waiting", "PLUG PULLED", "no broker (127.0.0.1:9092", "[p] PUT IT BACK"]);
    assert_shows(&screen, &["waiting 123, oldest 2m", "peak 123"]);
    // The last column of the graph is full from bottom to top, the first is not.
    let graph: Vec<&str> = screen.lines().skip(5).take(3).collect();
    let last = |row: &&str| row.chars().rev().nth(1);
    assert_eq!(graph.iter().map(last).collect::<Vec<_>>(), [Some('█'); 3], "{screen}");
}

#[test]
fn trouble_is_told_where_it_is() {
    let mut trouble = snapshot();
    trouble.lines[1].up = false;
    trouble.lines[1].down_reason = Some("no such file or directory".into());
    let meter = &mut trouble.lines[0].meters[0];
    meter.state = MeterState::Silent;
    let (fault, detail) = ("silent".into(), "no answer within 288 ms".into());
    meter.last_fault = Some(LastFault { at: at("2026-11-23T02:19:00Z"), fault, detail });
    trouble.killed.insert("A-01".into());
    let screen = drawn(&trouble);
    assert_shows(&screen, &["riser-2  down", "no such file or directory", "✗A-01", "silent"]);
    assert_shows(&screen, &["A-01: no answer within 288 ms", "[m] revive meter"]);
}

#[test]
fn the_chosen_meter_is_always_in_sight_and_never_beyond_the_last() {
    let mut choice = Choice::default();
    choice.down(15);
    let screen = text(&drawn_with(&snapshot(), &mut choice, 80, 24));
    assert_shows(&screen, &["Meters 16/32", " B-02  modbus"]);
    choice.down(u16::MAX);
    let screen = text(&drawn_with(&snapshot(), &mut choice, 80, 24));
    assert_shows(&screen, &["Meters 32/32", " P-10  modbus"]);
    assert_eq!(choice.index(), 31);
    choice.up(u16::MAX);
    drawn_with(&snapshot(), &mut choice, 80, 24);
    assert_eq!(choice.index(), 0);
}

#[test]
fn a_large_terminal_shows_every_meter_with_its_last_fault() {
    let mut snapshot = snapshot();
    let (fault, detail) = ("garbled".into(), "checksum 16, computed 17".into());
    snapshot.lines[2].meters[9].last_fault =
        Some(LastFault { at: at("2026-11-23T02:19:55Z"), fault, detail });
    let screen = text(&drawn_with(&snapshot, &mut Choice::default(), 180, 60));
    assert_shows(&screen, &[" A-01 ", " P-10 ", "11/12", "5s ago: checksum 16, computed 17", "last fault"]);
}

#[test]
fn no_size_and_no_snapshot_panics() {
    let mut odd = snapshot();
    odd.lines.clear();
    odd.loads.clear();
    odd.depths.clear();
    odd.now = Timestamp::UNIX_EPOCH;
    odd.loads = vec![f64::NAN, 7.0];
    for (width, height) in [(1, 1), (10, 3), (69, 20), (70, 20), (80, 24), (300, 90), (70, 90), (300, 20)] {
        for snapshot in [&snapshot(), &odd] {
            drawn_with(snapshot, &mut Choice::default(), width, height);
        }
    }
    assert_shows(&text(&drawn_with(&odd, &mut Choice::default(), 60, 10)), &["needs 70 x 20"]);
}

#[test]
fn no_colour_is_needed_and_none_hides_on_a_light_or_a_dark_ground() {
    let mut outage = snapshot();
    outage.plug = Some(Plug::Out);
    outage.uplink.state = State::Waiting;
    let buffer = drawn_with(&outage, &mut Choice::default(), 80, 24);
    let hidden = [Color::White, Color::Black, Color::Gray, Color::DarkGray, Color::Yellow];
    for cell in buffer.content() {
        assert!(!hidden.contains(&cell.fg) && cell.bg == Color::Reset, "{cell:?}");
    }
}

#[test]
fn ages_stay_short() {
    let ages: Vec<_> = [-3, 0, 99, 100, 5999, 6000, 700_000].map(age).into();
    assert_eq!(ages, ["0s", "0s", "99s", "1m", "99m", "1h", "194h"]);
    assert_eq!(
        [59, 3599, 3600].map(|seconds| clock(Duration::from_secs(seconds))),
        ["0:59", "59:59", "1:00:00"]
    );
}
