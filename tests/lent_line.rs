//! A running line lent to a tool that nobody here wrote: it reads the meters, the polls pause, and then they go on.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;

use crate::harness::deadline::{wait_for, wait_until};
use crate::harness::fleet::{Fleet, Street};
use crate::harness::mock::MockBroker;
use crate::harness::not_run::require;
use crate::harness::process::Process;
use crate::harness::programs::program;
use crate::harness::weir::{Weir, weir_command};

const PATIENCE: Duration = Duration::from_secs(60);
const EVERY: &str = "every = \"1s\"\nadapter_allowance = \"1s\"";

/// `weir lend …`, and where it says that the line is.
fn lend(weir: &Weir, arguments: &[&str]) -> (Process, String) {
    let mut command = weir_command();
    command.arg("lend").args(arguments).arg("--config").arg(weir.config_path());
    let mut lending = Process::spawn("weir-lend", &mut command);
    let place = wait_for("a place for the tool", PATIENCE, || {
        assert_eq!(lending.ended(), None, "{}", lending.tail());
        let told = String::from_utf8(lending.stdout()).unwrap();
        told.strip_suffix('\n').map(str::to_owned)
    });
    (lending, place)
}

fn wait_for_event(broker: &MockBroker, kind: &str, detail: &str) {
    wait_until(&format!("{kind}: {detail}"), PATIENCE, || {
        let events: Vec<_> = broker.read_all("weir.events").iter().map(|event| event.json()).collect();
        events.iter().any(|event| {
            event["event"] == kind && event["detail"].as_str().is_some_and(|told| told.contains(detail))
        })
    });
}

fn running(street: Street, seed: u64) -> (MockBroker, Fleet, Weir) {
    let (broker, fleet) = (MockBroker::start(), Fleet::start(seed, [street]));
    let mut weir = Weir::for_fleet(&fleet, &broker.bootstrap(), "");
    weir.start();
    weir.wait_ready(PATIENCE);
    weir.wait_more_readings(2, PATIENCE);
    (broker, fleet, weir)
}

#[test]
fn mbpoll_reads_a_meter_through_the_lent_line_while_its_polls_pause() {
    let Some(mbpoll) = require("mbpoll", program("mbpoll", "mbpoll")) else { return };
    let mut street = Street::modbus("rtu", 1).key(EVERY);
    street.simulated.strict_baud = true;
    let baud = street.simulated.baud.to_string();
    let (broker, fleet, mut weir) = running(street, 81);
    let (mut lending, place) = lend(&weir, &["rtu", "--for", "10m"]);
    assert!(place.starts_with("/dev/pts/"), "{place}");
    wait_for_event(&broker, "line-lent", &place);

    let before = fleet.volumes_of("rtu-1").len();
    let poll = |baud: &str| {
        let rtu = ["-m", "rtu", "-b", baud, "-P", "none", "-a", "1", "-o", "1", &place];
        let what = ["-0", "-1", "-c", "1", "-t", "4:int", "-r", "0", "-B"];
        Command::new(&mbpoll).args(what).args(rtu).output().unwrap()
    };
    let output = poll(&baud);
    assert!(output.status.success(), "{output:?}");
    let printed = String::from_utf8_lossy(&output.stdout);
    let value = printed.lines().find_map(|line| line.strip_prefix('[')?.split_once("]:"));
    let value: String = value.unwrap_or_else(|| panic!("{printed}")).1.trim().into();
    assert_eq!(value, fleet.volumes_of("rtu-1").pop().unwrap().replace('.', "").trim_start_matches('0'));
    // The line follows the speed that the tool sets, also where no meter answers to it.
    assert!(!poll("9600").status.success());
    assert!(poll(&baud).status.success());

    let refused = weir.command(&["read", "rtu-1"]);
    assert_eq!(refused.status.code(), Some(69), "{refused:?}");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("line is lent"), "{refused:?}");
    let another = weir.command(&["lend", "rtu"]);
    assert_eq!(another.status.code(), Some(69), "{another:?}");
    // Some slots' time.
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(fleet.volumes_of("rtu-1").len(), before + 2, "polled while it was lent");

    lending.signal(Signal::INT);
    lending.wait_end(PATIENCE);
    wait_for_event(&broker, "line-returned", "interrupted");
    weir.wait_more_readings(2, PATIENCE);
    assert!(!std::path::Path::new(&place).exists(), "the pty is gone");
}

#[test]
fn a_tool_on_tcp_has_the_line_until_its_time_is_up_or_the_daemon_stops() {
    let (broker, _fleet, mut weir) = running(Street::mbus("m", 1).key(EVERY), 82);
    let unknown = weir.command(&["lend", "n"]);
    assert_eq!(unknown.status.code(), Some(64), "{unknown:?}");

    let (mut lending, place) = lend(&weir, &["m", "--for", "5s", "--tcp"]);
    assert!(place.starts_with("127.0.0.1:"), "{place}");
    let mut tool = TcpStream::connect(&place).unwrap();
    tool.set_read_timeout(Some(PATIENCE)).unwrap();
    // SND_NKE to address 1 (EN 13757-2, 5.7.2), which a meter confirms with one character.
    let greet = |tool: &mut TcpStream| {
        tool.write_all(&[0x10, 0x40, 0x01, 0x41, 0x16]).unwrap();
        let mut answer = [0];
        tool.read_exact(&mut answer).unwrap();
        assert_eq!(answer, [0xE5]);
    };
    greet(&mut tool);
    // One that comes after it is served as well.
    drop(tool);
    let mut tool = TcpStream::connect(&place).unwrap();
    tool.set_read_timeout(Some(PATIENCE)).unwrap();
    greet(&mut tool);
    assert_eq!(lending.wait_end(PATIENCE).code(), Some(0), "{}", lending.tail());
    assert!(lending.stderr().contains("time is up"), "{}", lending.tail());
    assert_eq!(tool.read(&mut [0]).unwrap_or(0), 0, "the door is closed");
    wait_for_event(&broker, "line-returned", "time is up");
    weir.wait_more_readings(2, PATIENCE);

    let (mut lending, _) = lend(&weir, &["m", "--tcp"]);
    assert_eq!(weir.stop(PATIENCE).code(), Some(0));
    assert_eq!(lending.wait_end(PATIENCE).code(), Some(0), "{}", lending.tail());
    assert!(lending.stderr().contains("the daemon stops"), "{}", lending.tail());
    let none = weir.command(&["lend", "m"]);
    assert_eq!(none.status.code(), Some(1), "{none:?}");
    assert!(String::from_utf8_lossy(&none.stderr).contains("no daemon runs"), "{none:?}");
}
