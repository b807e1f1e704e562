//! What the command line asks of a running daemon, what it does when none runs, and who cannot disturb it.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::harness::deadline::wait_until;
use crate::harness::fleet::{Fleet, Street};
use crate::harness::ledger;
use crate::harness::mock::MockBroker;
use crate::harness::weir::{Weir, settings};

const PATIENCE: Duration = Duration::from_secs(90);

/// Meters that nobody polls while a story lasts, unless asked.
fn seldom_polled() -> Fleet {
    let key = "every = \"1d\"\nrepeats = 0\nadapter_allowance = \"1s\"";
    let fleet = Fleet::start(51, [Street::mbus("m", 2).key(key), Street::cjt188("c", 1).key(key)]);
    fleet.meter("m-2").silence();
    fleet
}

/// Reads a meter by the command line, in both forms, and compares with what the meter said.
fn read_every_way(weir: &Weir, fleet: &Fleet) {
    for meter in ["m-1", "c-1"] {
        let json = weir.command(&["read", meter, "--json"]);
        assert_eq!(json.status.code(), Some(0), "{json:?}");
        let said = fleet.volumes_of(meter).pop().unwrap();
        let text = String::from_utf8(json.stdout).unwrap();
        assert!(text.contains(&format!("\"value\": {said},")), "{meter} said {said}: {text}");
        let reply: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(reply["meter"], meter);
        let table = weir.command(&["read", meter]);
        let said = fleet.volumes_of(meter).pop().unwrap();
        assert!(
            String::from_utf8(table.stdout).unwrap().contains(&format!(" {said} ")),
            "{meter} said {said}"
        );
    }
    let dead = weir.command(&["read", "m-2"]);
    assert_eq!(dead.status.code(), Some(69), "{dead:?}");
    assert!(
        dead.stdout.is_empty() && String::from_utf8_lossy(&dead.stderr).contains("no answer"),
        "{dead:?}"
    );
    let unknown = weir.command(&["read", "m-3", "--json"]);
    assert_eq!(unknown.status.code(), Some(64), "{unknown:?}");
    assert!(
        unknown.stdout.is_empty() && String::from_utf8_lossy(&unknown.stderr).contains("m-3"),
        "{unknown:?}"
    );
}

#[test]
fn a_meter_is_read_through_the_daemon_when_one_runs_and_on_the_port_when_none_does() {
    let (broker, fleet) = (MockBroker::start(), seldom_polled());
    let mut weir = Weir::for_fleet(&fleet, &broker.bootstrap(), "");
    read_every_way(&weir, &fleet);
    assert!(!weir.folder().join("state").exists(), "a look at a meter keeps nothing");

    weir.start();
    weir.wait_ready(PATIENCE);
    read_every_way(&weir, &fleet);
    let told = weir.drain_to_the_last(&fleet, PATIENCE);
    // What the daemon read for somebody is stored and sent like any other reading, without a scheduled time.
    let readings = ledger::readings(&broker.read_all("weir.readings"), &fleet);
    ledger::assert_all_there(&told, &readings, &ledger::events(&broker.read_all("weir.events")));
    let asked = readings.iter().filter(|reading| reading.scheduled_at.is_none()).count();
    assert_eq!(asked, 4, "{readings:#?}");
}

#[test]
fn a_meter_with_another_number_than_expected_is_refused_by_the_daemon_and_without_one() {
    let key = "every = \"1d\"\nrepeats = 0\nadapter_allowance = \"1s\"";
    let (broker, fleet) = (MockBroker::start(), Fleet::start(52, [Street::mbus("m", 1).key(key)]));
    let mut weir = Weir::for_fleet(&fleet, &broker.bootstrap(), "");
    let settings = settings(weir.folder(), &broker.bootstrap(), "");
    // The only meter's table is the last.
    weir.write_config(&format!("{settings}\n{}\nexpected_number = \"00000042\"\n", fleet.config()));
    let refused = |weir: &Weir| {
        let output = weir.command(&["read", "m-1"]);
        assert_eq!(output.status.code(), Some(69), "{output:?}");
        let why = String::from_utf8_lossy(&output.stderr);
        assert!(output.stdout.is_empty() && why.contains("00000042 is expected"), "{output:?}");
    };
    refused(&weir);
    weir.start();
    weir.wait_ready(PATIENCE);
    refused(&weir);
}

#[test]
fn the_outboxs_figures_are_the_same_asked_of_the_daemon_and_read_from_its_files() {
    let (broker, fleet) = (MockBroker::start(), seldom_polled());
    broker.down();
    let mut weir = Weir::for_fleet(&fleet, &broker.bootstrap(), "");
    let never_run = weir.command(&["outbox", "stats"]);
    assert_eq!(never_run.status.code(), Some(1), "{never_run:?}");
    assert!(!weir.folder().join("state").exists(), "a look at an outbox makes none");

    weir.start();
    weir.wait_ready(PATIENCE);
    for _ in 0..3 {
        assert!(weir.command(&["read", "m-1"]).status.success());
    }
    let running = weir
        .wait_stats("three readings to wait", PATIENCE, |stats| stats["outbox"]["readings"]["waiting"] == 3);
    assert!(running["readings_uplink"].is_object(), "{running:#}");
    let table = String::from_utf8(weir.command(&["outbox", "stats"]).stdout).unwrap();
    assert!(table.lines().any(|line| line.starts_with("readings") && line.contains(" 3 ")), "{table}");
    let of_first_life = weir.commits().last().unwrap().generation.clone();
    weir.kill();

    let dead = weir.stats();
    assert!(dead["readings_uplink"].is_null(), "{dead:#}");
    for figure in ["waiting", "last_sequence", "acknowledged_sequence"] {
        assert_eq!(
            dead["outbox"]["readings"][figure], running["outbox"]["readings"][figure],
            "{figure}: {dead:#}"
        );
    }
    // The look was not a life of its own: the next one still names the last that stored something.
    broker.up();
    weir.start();
    weir.wait_ready(PATIENCE);
    let told = weir.drain_to_the_last(&fleet, PATIENCE);
    let (readings, events) = ledger::at_the_broker(&broker, &fleet);
    ledger::assert_all_there(&told, &readings, &events);
    assert_eq!(ledger::of_kind(&events, "started")[1]["previous_generation"], *of_first_life, "{events:#?}");
}

fn connect(weir: &Weir) -> UnixStream {
    let stream = UnixStream::connect(weir.folder().join("control.sock")).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Sends bytes and gives the first line of the answer; empty when the daemon hangs up.
fn answer_to(weir: &Weir, bytes: &[u8]) -> String {
    let mut stream = connect(weir);
    // A daemon that has heard enough hangs up in the middle.
    let _ = stream.write_all(bytes);
    let mut line = String::new();
    let _ = BufReader::new(stream).read_line(&mut line);
    line
}

#[test]
fn no_client_of_the_control_socket_disturbs_the_daemon() {
    let broker = MockBroker::start();
    let fleet = Fleet::start(52, [Street::mbus("m", 2).key("every = \"1s\"\nadapter_allowance = \"1s\"")]);
    let mut weir = Weir::for_fleet(&fleet, &broker.bootstrap(), "");
    weir.start();
    weir.wait_ready(PATIENCE);

    let mut random = fastrand::Rng::with_seed(53);
    let noise: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(100_000).collect();
    let huge = vec![b'x'; 10_000_000];
    let deep = [b"{\"ask\":".repeat(500), b"\n".to_vec()].concat();
    let not_understood: [&[u8]; 6] = [
        b"\n",
        b"hello\n",
        b"{\"ask\":\"open-valve\"}\n",
        b"{\"ask\":\"read\"}\n",
        b"{\"ask\":\"read\",\"meter\":7}\n",
        &deep,
    ];
    for request in not_understood {
        let answer = answer_to(&weir, request);
        assert!(answer.contains("\"refused\"") && answer.contains("bad-request"), "{answer:?}");
    }
    for request in [&noise[..], &huge] {
        answer_to(&weir, request);
    }
    // The line has no end, and the client has gone.
    drop(connect(&weir));
    let mut half = connect(&weir);
    half.write_all(b"{\"ask\":\"outbox").unwrap();
    half.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = String::new();
    half.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("bad-request"), "{answer:?}");

    // More connections than are served at once, all of which say nothing, or half of something, and stay.
    let mut idle: Vec<UnixStream> = (0..40).map(|_| connect(&weir)).collect();
    for stream in idle.iter_mut().step_by(2) {
        stream.write_all(b"{\"ask\":").unwrap();
    }
    weir.wait_more_readings(4, PATIENCE);
    let stats = weir.stats();
    assert_eq!(stats["outbox"]["refused"], 0);
    drop(idle);
    assert!(weir.command(&["read", "m-1"]).status.success());
    let told = weir.drain_to_the_last(&fleet, PATIENCE);
    let readings = ledger::readings(&broker.read_all("weir.readings"), &fleet);
    ledger::assert_all_there(&told, &readings, &ledger::events(&broker.read_all("weir.events")));
}

#[test]
fn a_second_daemon_on_the_same_outbox_or_socket_does_not_start_and_says_why() {
    let (broker, fleet) = (MockBroker::start(), seldom_polled());
    let mut first = Weir::for_fleet(&fleet, &broker.bootstrap(), "");
    first.start();
    first.wait_ready(PATIENCE);

    let changed = |folder: &Path, path: PathBuf, others: PathBuf| {
        let own = settings(folder, &broker.bootstrap(), "");
        own.replace(&format!("{path:?}"), &format!("{others:?}")) + &fleet.config()
    };
    let socket = first.folder().join("control.sock");
    let mut same_socket = Weir::prepare(|folder| changed(folder, folder.join("control.sock"), socket));
    let end = same_socket.start().wait_end(PATIENCE);
    assert_eq!(end.code(), Some(1));
    let log = same_socket.process().stderr();
    assert!(log.contains("control.sock") && log.contains("another daemon is running"), "{log}");

    let state = first.folder().join("state");
    let mut same_outbox = Weir::prepare(|folder| changed(folder, folder.join("state"), state));
    let end = same_outbox.start().wait_end(PATIENCE);
    assert_eq!(end.code(), Some(1));
    let log = same_outbox.process().stderr();
    assert!(log.contains("state/outbox") && log.contains("in use by another process"), "{log}");
    for weir in [&same_socket, &same_outbox] {
        assert!(!weir.notified().iter().any(|line| line == "READY=1"), "{:?}", weir.notified());
    }

    // The first is none the worse for it, and its socket is still its own.
    assert!(first.command(&["read", "m-1"]).status.success());
    assert_eq!(first.stop(PATIENCE).code(), Some(0));
    wait_until("the socket to be removed", PATIENCE, || !first.folder().join("control.sock").exists());
}
