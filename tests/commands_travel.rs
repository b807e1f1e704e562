//! A valve takes its time, and its line has other meters.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

use crate::harness::fleet::{Fleet, Street};
use crate::harness::orders::{PATIENCE, Signer};
use crate::harness::weir::{Weir, settings};

/// So many seconds the valve travels; its profile gives it more than twice as many.
const TRAVEL_S: u32 = 8;

#[test]
fn the_line_polls_on_while_a_valve_travels() {
    let mut street = Street::cjt188("room", 4).key("every = \"1s\"\nadapter_allowance = \"500ms\"");
    street.simulated.meters[0].valve_travel_ms = Some(TRAVEL_S * 1000);
    let (fleet, signer) = (Fleet::start(66, [street]), Signer::new());
    let mut weir = Weir::prepare(|folder| {
        std::fs::write(folder.join("valve.toml"), "[valve]\ntravel_ms = 200\nsettle_ms = 20000\n").unwrap();
        let lines = fleet.config().replace("\"cjt188\"\n", "\"cjt188\"\nprofile = \"valve.toml\"\n");
        format!("{}\n{}\n{lines}", settings(folder, "127.0.0.1:9", ""), signer.config("weir.commands"))
    });
    weir.start();
    weir.wait_ready(PATIENCE);
    let (jws, id) = signer.sign("room-1", "valve.close", &[]);
    weir.submit(&jws);
    let row = weir.wait_command_end(&id, PATIENCE);
    assert_eq!(row["state"], "done", "{row:#}");
    let times = weir.times_of(&id);
    let travelling = times.written.unwrap()..times.ended;
    assert_eq!(weir.stop(PATIENCE).code(), Some(0));

    let stored = weir.command(&["outbox", "export", "--lane", "readings"]);
    let stored = String::from_utf8(stored.stdout).unwrap();
    let mut readings = BTreeMap::<String, u32>::new();
    for reading in stored.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
        let read_at: Timestamp = reading["read_at"].as_str().unwrap().parse().unwrap();
        if travelling.contains(&read_at) {
            *readings.entry(reading["meter"].as_str().unwrap().to_owned()).or_default() += 1;
        }
    }
    // One a second is due; a slow machine has at least some.
    for meter in ["room-2", "room-3", "room-4"] {
        let grown = readings.get(meter).copied().unwrap_or_default();
        assert!(grown >= TRAVEL_S / 3, "{meter} has {grown} readings of {travelling:?}: {readings:?}");
    }
}
