//! "Flushed before it counts", seen from outside: the kernel's own record of the daemon's calls.
//!
//! `kill -9` cannot show a missing sync, since the page cache survives it. A trace can: before the outbox's thread says
//! that records count, it must have had an `fdatasync` answered since it last said so.

use std::process::Command;
use std::time::Duration;

use weir_simulator::{Config, LineConfig, MeterConfig, Simulator};

use crate::harness::deadline::wait_until;
use crate::harness::not_run::require;
use crate::harness::process::Process;
use crate::harness::programs::program;

#[test]
fn nothing_is_told_as_stored_without_a_data_sync_before_it() {
    let Some(strace) = require("trace of the flushes", program("strace", "strace")) else { return };
    let folder = tempfile::tempdir().unwrap();
    let port = folder.path().join("riser");
    let line = LineConfig { paced: Some(false), ..LineConfig::pty("riser", &port) };
    let meters = [MeterConfig::mbus("A").count(5)];
    let _simulator =
        Simulator::start(Config { lines: vec![line.with(meters)], ..Config::default() }).unwrap();
    let config = folder.path().join("weir.toml");
    std::fs::write(&config, configuration(folder.path())).unwrap();

    let trace = folder.path().join("trace");
    let mut command = Command::new(strace);
    command.args(["-f", "-s", "200", "-e", "trace=fdatasync,fsync,write", "-o"]).arg(&trace);
    command.arg(env!("CARGO_BIN_EXE_weir")).arg("run").arg("--config").arg(&config);
    command.env("RUST_LOG", "info,weir::outbox=debug");
    let mut daemon = Process::spawn("weir-traced", &mut command);
    wait_until("twenty group commits of readings", Duration::from_secs(90), || {
        let traced = std::fs::read_to_string(&trace).unwrap_or_default();
        traced.lines().filter(|line| is_told(line) && line.contains("lane=readings")).count() >= 20
    });
    // strace keeps a SIGTERM to itself; how the daemon stops is not the matter here.
    daemon.kill();

    let mut synced = false;
    let mut told = 0;
    for call in std::fs::read_to_string(&trace).unwrap().lines() {
        // A call that another thread's interrupted in the trace ends on a line of its own.
        let is_sync = call.contains("fdatasync(") || call.contains("fdatasync resumed");
        if is_sync && call.trim_end().ends_with("= 0") {
            synced = true;
        } else if is_told(call) {
            assert!(synced, "told without a sync since the last time: {call}");
            (synced, told) = (false, told + 1);
        }
    }
    assert!(told >= 20, "{told} commits seen");
}

/// Whether this call writes the log line that says which records count.
fn is_told(call: &str) -> bool {
    call.contains("write(2,") && call.contains("flushed")
}

fn configuration(folder: &std::path::Path) -> String {
    let path = folder.display();
    let mut text = format!(
        r#"
[gateway]
id = "gw-trace"
time_zone = "UTC"
state_directory = "{path}/state"
control_socket = "{path}/control.sock"
[outbox]
commit_window = "10ms"
[uplink.kafka]
brokers = ["127.0.0.1:9"]
[[lines]]
name = "riser"
port = "{path}/riser"
"#
    );
    for address in 1..=5 {
        text += &format!(
            "[[meters]]\nid = \"A-{address:03}\"\nline = \"riser\"\ndriver = \"mbus\"\naddress = {address}\nevery = \"1s\"\n"
        );
    }
    text
}
