//! A running line watched from outside: every frame with its time, its bytes and what they say.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use crate::harness::deadline::wait_for;
use crate::harness::fleet::{Fleet, Street};
use crate::harness::mock::MockBroker;
use crate::harness::process::Process;
use crate::harness::weir::{Weir, weir_command};

const PATIENCE: Duration = Duration::from_secs(60);
const EVERY: &str = "every = \"1s\"\nadapter_allowance = \"1s\"";

fn trace(weir: &Weir, arguments: &[&str]) -> Process {
    let mut command = weir_command();
    command.arg("trace").args(arguments).arg("--config").arg(weir.config_path());
    Process::spawn("weir-trace", &mut command)
}

/// The whole lines that it has printed, once there are so many.
fn lines(tracing: &mut Process, count: usize) -> Vec<String> {
    wait_for("frames to be shown", PATIENCE, || {
        assert_eq!(tracing.ended(), None, "{}", tracing.tail());
        let told = String::from_utf8(tracing.stdout()).unwrap();
        let whole = told.rsplit_once('\n')?.0;
        let lines: Vec<_> = whole.lines().map(str::to_owned).collect();
        (lines.len() >= count).then_some(lines)
    })
}

#[test]
fn what_passes_on_a_line_is_shown_with_what_it_says() {
    let broker = MockBroker::start();
    let streets = [Street::mbus("m", 1), Street::modbus("rtu", 1), Street::cjt188("c", 1)];
    let fleet = Fleet::start(91, streets.map(|street| street.key(EVERY)));
    let mut weir = Weir::for_fleet(&fleet, &broker.bootstrap(), "");
    let none = weir.command(&["trace", "m"]);
    assert_eq!(none.status.code(), Some(1), "{none:?}");
    assert!(String::from_utf8_lossy(&none.stderr).contains("no daemon runs"), "{none:?}");
    weir.start();
    weir.wait_ready(PATIENCE);
    let unknown = weir.command(&["trace", "n"]);
    assert_eq!(unknown.status.code(), Some(64), "{unknown:?}");

    for line in ["m", "rtu", "c"] {
        let meter = format!("{line}-1");
        let mut tracing = trace(&weir, &[line, "--json"]);
        let told: Vec<Value> =
            lines(&mut tracing, 8).iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(told.windows(2).all(|pair| pair[1]["delta_ms"].is_u64() && pair[0]["at"].is_string()));
        let said = fleet.volumes_of(&meter);
        let mut answers = 0;
        // On a busy machine something late may come between a request and its answer.
        let is_answered = |pair: &&[Value]| pair[0]["kind"] == "request" && pair[1]["kind"] == "answer";
        for pair in told.windows(2).filter(is_answered) {
            assert_eq!(pair[1]["about"], Value::from(meter.clone()));
            // An acknowledgement says nothing.
            if pair[1]["bytes"] != "E5" {
                let values = pair[1]["decoded"]["values"].as_array().unwrap();
                let is_said =
                    |said: &String| values.iter().any(|it| it["value"].as_f64() == said.parse().ok());
                assert!(said.iter().any(is_said), "{said:?}: {values:#?}");
                answers += 1;
            }
        }
        assert!(answers >= 2, "{told:#?}");
        tracing.signal(Signal::INT);
        tracing.wait_end(PATIENCE);
    }

    let mut tracing = trace(&weir, &["m"]);
    let table = lines(&mut tracing, 6).join("\n");
    assert!(table.contains(" → request m-1  10 ") && table.contains(" ← answer  m-1  68 "), "{table}");
    assert!(table.contains("volume "), "{table}");
    fleet.meter("m-1").silence();
    wait_for("silence to be shown", PATIENCE, || {
        String::from_utf8(tracing.stdout()).unwrap().contains(" ← silence m-1").then_some(())
    });
    // The daemon stops, and with it what is shown.
    weir.stop(PATIENCE);
    assert_eq!(tracing.wait_end(PATIENCE).code(), Some(0), "{}", tracing.tail());
}
