//! Programs that stories start do not outlive them, and a story never waits for what can no longer come.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::time::Duration;

use rustix::process::{Pid, Signal, test_kill_process};

use crate::harness::deadline::wait_until;
use crate::harness::not_run::{NotRun, require_or_say};
use crate::harness::notified::Notified;
use crate::harness::process::Process;

const PATIENCE: Duration = Duration::from_secs(20);

fn shell(script: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script]);
    command
}

#[test]
fn a_process_whose_test_run_was_killed_is_killed_with_all_it_started_and_its_scratch_folder_is_removed() {
    let outer = tempfile::tempdir().unwrap();
    let scratch = outer.path().join("scratch");
    fs::create_dir(&scratch).unwrap();
    let mut command = shell("sleep 1000 & echo grandchild $! >&2; wait");
    let mut process = Process::spawn_with_scratch("leashed", &mut command, Some(&scratch));
    let line = process.wait_for_line("grandchild", PATIENCE);
    let grandchild = line.rsplit_once(' ').and_then(|(_, id)| Pid::from_raw(id.parse().ok()?)).unwrap();

    process.lose_leash();
    assert_eq!(process.wait_end(PATIENCE).signal(), Some(Signal::KILL.as_raw()));
    wait_until("the scratch folder to go", PATIENCE, || !scratch.exists());
    wait_until("the grandchild to go", PATIENCE, || is_gone(grandchild));
}

/// Also when nobody has reaped it, as in a container whose first process does not.
fn is_gone(process: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", process.as_raw_nonzero()));
    test_kill_process(process).is_err() || stat.map_or(true, |stat| stat.contains(") Z "))
}

#[test]
fn a_dropped_process_is_gone() {
    let process = Process::spawn("dropped", &mut shell("sleep 1000"));
    let id = Pid::from_raw(i32::try_from(process.id()).unwrap()).unwrap();
    assert!(test_kill_process(id).is_ok());
    drop(process);
    assert!(test_kill_process(id).is_err());
}

#[test]
fn a_process_that_ends_on_sigterm_tells_its_exit_code() {
    let mut process = Process::spawn(
        "polite",
        &mut shell("trap 'exit 75' TERM; echo set >&2; while :; do sleep 0.01; done"),
    );
    process.wait_for_line("set", PATIENCE);
    assert_eq!(process.stop(PATIENCE).code(), Some(75));
}

#[test]
#[should_panic(expected = "ended with exit status: 3 before \"ready\"")]
fn waiting_for_a_line_fails_at_once_when_the_process_has_ended_without_it() {
    Process::spawn("mute", &mut shell("echo other >&2; exit 3"))
        .wait_for_line("ready", Duration::from_secs(3600));
}

#[test]
fn a_line_still_being_written_is_not_taken_for_a_whole_one() {
    let folder = tempfile::tempdir().unwrap();
    let gate = folder.path().join("gate");
    let script =
        format!("printf 'port 19' >&2; until [ -e '{}' ]; do sleep 0.01; done; echo 092 >&2", gate.display());
    let mut process = Process::spawn("halting", &mut shell(&script));
    wait_until("the first half", PATIENCE, || process.stderr() == "port 19");
    fs::write(gate, "").unwrap();
    assert_eq!(process.wait_for_line("port", PATIENCE), "port 19092");
}

#[test]
fn what_a_daemon_tells_its_service_manager_is_kept_line_by_line() {
    let folder = tempfile::tempdir().unwrap();
    let notified = Notified::listen_in(folder.path());
    let daemon = UnixDatagram::unbound().unwrap();
    daemon.send_to(b"STATUS=8 lines\nREADY=1", notified.path()).unwrap();
    daemon.send_to(b"WATCHDOG=1", notified.path()).unwrap();
    wait_until("three lines", PATIENCE, || notified.lines().len() == 3);
    assert_eq!(notified.lines(), ["STATUS=8 lines", "READY=1", "WATCHDOG=1"]);
    notified.clear();
    assert!(notified.lines().is_empty());
}

#[test]
fn a_part_that_cannot_run_is_said_aloud() {
    let mut said = Vec::new();
    let missing = Err::<(), _>(NotRun::because("no mbpoll here"));
    assert_eq!(require_or_say("mbpoll", missing, false, &mut said), None);
    assert_eq!(String::from_utf8(said).unwrap(), "NOT RUN: mbpoll: no mbpoll here\n");
    assert_eq!(require_or_say("mbpoll", Ok(7), true, &mut std::io::sink()), Some(7));
}

#[test]
#[should_panic(expected = "WEIR_REQUIRE=all, but mbpoll cannot run: no mbpoll here")]
fn a_part_that_cannot_run_fails_when_all_is_required() {
    let missing = Err::<(), _>(NotRun::because("no mbpoll here"));
    require_or_say("mbpoll", missing, true, &mut std::io::sink());
}
