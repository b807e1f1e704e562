//! A flush that never comes back, as after a panic in one of sled's threads or on a dying card: without any service manager
//! the daemon ends with 75, and the next start is whole.

use std::time::Duration;

use crate::harness::fleet::{Fleet, Street};
use crate::harness::ledger;
use crate::harness::mock::MockBroker;
use crate::harness::not_run::require;
use crate::harness::programs::program;
use crate::harness::weir::Weir;

const PATIENCE: Duration = Duration::from_secs(90);
/// The watcher's minute and what the machine takes.
const NOTICED: Duration = Duration::from_secs(120);

#[test]
fn a_daemon_whose_flush_never_returns_ends_with_75_and_the_next_start_is_whole() {
    let Some(strace) = require("stuck flush", program("strace", "strace")) else { return };
    let broker = MockBroker::start();
    let fleet = Fleet::start(81, [Street::mbus("m", 2).key("every = \"1s\"\nadapter_allowance = \"1s\"")]);
    let mut weir = Weir::for_fleet(&fleet, &broker.bootstrap(), "");
    // From the thirtieth on each data sync takes longer than the watcher's minute. It cannot be for ever: strace would keep
    // the ended process until then.
    let inject = ["-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync", "-e"];
    let inject = inject.into_iter().chain(["inject=fdatasync:delay_enter=80s:when=30+"]);
    weir.run_under([strace.into_os_string()].into_iter().chain(inject.map(Into::into)).collect());
    weir.start();
    weir.wait_ready(PATIENCE);
    weir.wait_more_readings(5, PATIENCE);
    let status = weir.process().wait_end(NOTICED);
    assert_eq!(status.code(), Some(75), "{}", weir.process().tail());
    assert!(weir.process().stderr().contains("loop=\"outbox\""), "{}", weir.process().tail());

    weir.run_under(Vec::new());
    weir.start();
    weir.wait_ready(PATIENCE);
    let told = weir.drain_to_the_last(&fleet, PATIENCE);
    let (readings, events) = ledger::at_the_broker(&broker, &fleet);
    ledger::assert_all_there(&told, &readings, &events);
    ledger::assert_no_gap(&events);
}
