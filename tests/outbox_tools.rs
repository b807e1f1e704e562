//! `weir outbox verify`, `export` and `salvage` as somebody in a cellar uses them: beside the daemon they refuse, of a stopped
//! outbox they tell what is there, and what they print is what arrives afterwards.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use serde_json::Value;

use crate::harness::fleet::{Fleet, Street};
use crate::harness::ledger::GATEWAY;
use crate::harness::mock::MockBroker;
use crate::harness::weir::{Weir, weir_command};

const PATIENCE: Duration = Duration::from_secs(90);

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The lines by their records' ids.
fn by_id(lines: &str) -> BTreeMap<String, String> {
    let id = |line: &str| {
        let record: Value = serde_json::from_str(line).unwrap();
        record["id"].as_str().unwrap().to_owned()
    };
    lines.lines().map(|line| (id(line), line.to_owned())).collect()
}

fn salvage(directory: &Path) -> Output {
    weir_command().args(["outbox", "salvage", "--gateway", GATEWAY]).arg(directory).output().unwrap()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let copied = to.join(path.file_name().unwrap());
        match path.is_dir() {
            true => copy(&path, &copied),
            false => assert!(fs::copy(&path, &copied).is_ok()),
        }
    }
}

/// The data file of the segment with the most in it.
fn fullest(lane: &Path) -> PathBuf {
    let files = fs::read_dir(lane).unwrap().map(|entry| entry.unwrap().path().join("db"));
    files.max_by_key(|file| fs::read(file).unwrap().iter().filter(|byte| **byte != 0).count()).unwrap()
}

#[test]
fn a_stopped_outbox_tells_what_waits_a_damaged_one_what_is_missing_and_its_copy_gives_up_the_rest() {
    let broker = MockBroker::start();
    broker.down();
    let fleet = Fleet::start(71, [Street::mbus("m", 3).key("every = \"1s\"\nadapter_allowance = \"1s\"")]);
    let mut weir = Weir::for_fleet(&fleet, &broker.bootstrap(), "");
    weir.start();
    weir.wait_ready(PATIENCE);
    weir.wait_more_readings(12, PATIENCE);
    let outbox = weir.folder().join("state").join("outbox");

    let stats = weir.stats();
    assert!(stats["outbox"]["readings"]["flash_bytes_estimate"].as_u64() > Some(8000), "{stats:#}");
    let table = out(&weir.command(&["outbox", "stats"]));
    assert!(table.contains("B a reading") && table.contains("a day"), "{table}");
    for refused in
        [weir.command(&["outbox", "verify"]), weir.command(&["outbox", "export"]), salvage(&outbox)]
    {
        assert_eq!(refused.status.code(), Some(1), "{refused:?}");
        assert!(refused.stdout.is_empty() && err(&refused).contains("in use"), "{refused:?}");
    }
    assert_eq!(weir.stop(PATIENCE).code(), Some(0));
    let told = weir.told();

    let verified = weir.command(&["outbox", "verify"]);
    assert_eq!(verified.status.code(), Some(0), "{verified:?}");
    let json = weir.command(&["outbox", "verify", "--json"]);
    let waiting = |line: &str| serde_json::from_str::<Value>(line).unwrap()["waiting"].as_u64().unwrap();
    assert_eq!(out(&json).lines().map(waiting).sum::<u64>(), u64::try_from(told.len()).unwrap());
    let lanes = [["outbox", "export", "--lane", "urgent"], ["outbox", "export", "--lane", "readings"]];
    let exported = by_id(&lanes.map(|lane| out(&weir.command(&lane))).concat());
    assert!(told.iter().all(|id| exported.contains_key(id)), "{told:?} in {exported:?}");
    assert_eq!(weir.command(&["outbox", "export"]).stdout, weir.command(&["outbox", "export"]).stdout);

    // What it would send is what it sends.
    let copied = weir.folder().join("copy");
    copy(&outbox, &copied);
    fleet.silence();
    broker.up();
    weir.start();
    weir.wait_ready(PATIENCE);
    weir.drain_to_the_last(&fleet, PATIENCE);
    let sent = ["weir.readings", "weir.events"].into_iter().flat_map(|topic| broker.read_all(topic));
    let sent: Vec<String> = sent.map(|it| String::from_utf8(it.payload.unwrap()).unwrap()).collect();
    for (id, line) in &exported {
        assert!(sent.contains(line), "{id}: {line} in {sent:#?}");
    }

    let salvaged = salvage(&copied);
    assert_eq!(salvaged.status.code(), Some(0), "{salvaged:?}");
    assert_eq!(by_id(&out(&salvaged)), exported);
    let damaged = fullest(&copied.join("readings"));
    let mut bytes = fs::read(&damaged).unwrap();
    // The second record, as often as the database has written it: a frame begins with its magic, has its class after 5 bytes
    // and its sequence after 12.
    for at in 0..bytes.len() - 20 {
        let frame = &bytes[at..at + 20];
        if frame.starts_with(b"\xA7WEI") && frame[5] == 1 && frame[12..] == 2_u64.to_be_bytes() {
            bytes[at] = 0;
        }
    }
    fs::write(&damaged, bytes).unwrap();
    let rest = by_id(&out(&salvage(&copied)));
    assert!(
        rest.len() == exported.len() - 1 && rest.iter().all(|(id, line)| exported[id] == *line),
        "{rest:?}"
    );
    fs::remove_dir_all(&outbox).unwrap();
    fs::rename(&copied, &outbox).unwrap();
    let verified = weir.command(&["outbox", "verify"]);
    assert_eq!(verified.status.code(), Some(65), "{verified:?}");
    assert!(out(&verified).contains(" of "), "{verified:?}");
}

#[test]
fn where_there_is_no_outbox_the_tools_say_so() {
    let fleet = Fleet::start(72, [Street::mbus("m", 1)]);
    let weir = Weir::for_fleet(&fleet, "127.0.0.1:1", "");
    for arguments in [["outbox", "verify"], ["outbox", "export"]] {
        let output = weir.command(&arguments);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(err(&output).contains("no outbox there"), "{output:?}");
    }
    assert_eq!(salvage(&weir.folder().join("nowhere")).status.code(), Some(1));
    assert_eq!(salvage(weir.folder()).status.code(), Some(65), "nothing to salvage there");
}
