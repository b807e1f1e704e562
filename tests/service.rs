//! The daemon and its service manager: ready when it runs, watched while it turns, and ended in good order.

use std::time::Duration;

use rustix::process::Signal;

use crate::harness::deadline::wait_until;
use crate::harness::fleet::{Fleet, Street};
use crate::harness::ledger;
use crate::harness::mock::MockBroker;
use crate::harness::weir::Weir;

const PATIENCE: Duration = Duration::from_secs(90);
/// The unit's `TimeoutStopSec` is 30 s; a stop that needs more is a kill.
const STOP_TIME: Duration = Duration::from_secs(30);

#[test]
fn the_daemon_is_ready_when_it_answers_and_feeds_the_watchdog_until_it_stops() {
    let broker = MockBroker::start();
    let fleet = Fleet::start(61, [Street::mbus("m", 1).key("every = \"1s\"")]);
    let mut weir = Weir::for_fleet(&fleet, &broker.bootstrap(), "");
    weir.set_environment("WATCHDOG_USEC", "600000");
    weir.start();
    weir.wait_ready(PATIENCE);
    // At that moment the control socket answers and the life has its name on flash.
    assert!(weir.stats()["readings_uplink"].is_object(), "asked of the daemon");
    assert!(weir.commits().iter().any(|it| it.lane == 'u'), "the started event is flushed before");

    let fed = |weir: &Weir| weir.notified().iter().filter(|line| *line == "WATCHDOG=1").count();
    wait_until("the watchdog to be fed", PATIENCE, || fed(&weir) >= 5);
    assert_eq!(weir.stop(STOP_TIME).code(), Some(0));
    let told = weir.notified();
    let place = |wanted: &str| told.iter().position(|line| line == wanted);
    let (ready, stopping) = (place("READY=1"), place("STOPPING=1"));
    assert!(ready.is_some() && ready < stopping, "{told:?}");
    assert_eq!(told.iter().filter(|line| *line == "READY=1").count(), 1, "{told:?}");
    assert!(ready < place("WATCHDOG=1"), "{told:?}");
}

#[test]
fn without_a_watchdog_none_is_fed() {
    let broker = MockBroker::start();
    let fleet = Fleet::start(62, [Street::mbus("m", 1).key("every = \"1s\"")]);
    let mut weir = Weir::for_fleet(&fleet, &broker.bootstrap(), "");
    weir.start();
    weir.wait_ready(PATIENCE);
    weir.wait_more_readings(2, PATIENCE);
    assert_eq!(weir.stop(STOP_TIME).code(), Some(0));
    assert!(!weir.notified().iter().any(|line| line.starts_with("WATCHDOG")), "{:?}", weir.notified());
}

/// Starts the slowest of answers, sends `signal` while it is on the wire, and looks for its reading after the next start.
fn stopped_in_the_middle_of_an_answer(signal: Signal) {
    let broker = MockBroker::start();
    // The broker is away: a stop has to give up on it as well.
    broker.down();
    let mut street = Street::mbus("slow", 1);
    // 120 bytes at 600 Bd are 2.2 s on the wire.
    street.simulated.baud = 600;
    street.simulated.meters[0].model = Some("long".into());
    street.keys = "baud = 600\nevery = \"5s\"\nadapter_allowance = \"1s\"\n".into();
    let fleet = Fleet::start(63, [street]);
    let mut weir = Weir::for_fleet(&fleet, &broker.bootstrap(), "");
    weir.start();
    weir.wait_ready(PATIENCE);
    // SND_NKE's answer is one byte; the next that is sent belongs to the reading.
    wait_until("the answer to begin", PATIENCE, || fleet.line("slow").counters().bytes_sent > 4);
    assert_eq!(fleet.volumes_of("slow-1").len(), 0, "it is not over yet");
    weir.process().signal(signal);
    assert_eq!(weir.process().wait_end(STOP_TIME).code(), Some(0), "{}", weir.process().tail());
    assert!(weir.notified().iter().any(|line| line == "STOPPING=1"));
    let said = fleet.volumes_of("slow-1");
    assert_eq!(said.len(), 1, "the exchange on the wire was finished, and no other was begun");

    fleet.silence();
    broker.up();
    weir.start();
    weir.wait_ready(PATIENCE);
    let told = weir.drain_to_the_last(&fleet, PATIENCE);
    let (readings, events) = ledger::at_the_broker(&broker, &fleet);
    ledger::assert_all_there(&told, &readings, &events);
    let volumes: Vec<&String> = readings.iter().map(|reading| &reading.volume).collect();
    assert_eq!(volumes, [&said[0]]);
    let kinds = events.iter().filter_map(|event| event["event"].as_str()).filter(|kind| *kind != "status");
    let kinds: Vec<&str> = kinds.take(3).collect();
    assert_eq!(kinds, ["started", "stopping", "started"]);
}

#[test]
fn a_stop_while_an_answer_is_on_the_wire_keeps_its_reading() {
    stopped_in_the_middle_of_an_answer(Signal::TERM);
}

#[test]
fn the_keyboards_interrupt_is_a_stop_too() {
    stopped_in_the_middle_of_an_answer(Signal::INT);
}
