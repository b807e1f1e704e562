//! Commands to M-Bus meters: a valve that the utility's own profile describes, and a meter that says who it is.

use weir_simulator::Fault;

use crate::harness::deadline::wait_until;
use crate::harness::fleet::{Fleet, Street};
use crate::harness::orders::{PATIENCE, SETTLE, Signer, quick_valves};
use crate::harness::weir::{Weir, settings};

const METERS: u8 = 7;

fn serial(number: u8) -> u32 {
    40_200_000 + 10 * u32::from(number)
}

/// Meters with valves: the last but one is a hospital's, and of the last nobody has configured the number.
fn riser() -> Fleet {
    let mut street = Street::mbus("riser", METERS).key("every = \"1m\"\nprofile = \"quick-mbus.toml\"");
    for (number, meter) in (1..).zip(&mut street.simulated.meters) {
        meter.model = Some("valve".into());
        meter.serial = Some(serial(number));
        meter.valve_travel_ms = Some(500);
        meter.slow_ms = 600;
    }
    Fleet::start(62, [street])
}

fn gateway(fleet: &Fleet, signer: &Signer) -> Weir {
    let mut weir = Weir::prepare(|folder| {
        quick_valves(folder);
        let mut lines = fleet.config();
        for number in 1..METERS {
            let id = format!("id = \"riser-{number}\"\n");
            let locked = if number == METERS - 1 { "valve = \"locked-open\"\n" } else { "" };
            let keys = format!("{id}expected_number = \"{}\"\n{locked}", serial(number));
            lines = lines.replace(&id, &keys);
        }
        let commands = signer.config("weir.commands").replace(
            "trust_clock = true\n",
            "trust_clock = true\nclosings_per_hour_max = 4\nclosings_per_day_max = 10\n",
        );
        format!("{}\n{commands}\n{lines}", settings(folder, "127.0.0.1:9", ""))
    });
    weir.start();
    weir.wait_ready(PATIENCE);
    weir
}

#[test]
fn a_valve_is_moved_where_the_right_meter_answers_and_no_lock_and_no_limit_stands_in_the_way() {
    let (fleet, signer) = (riser(), Signer::new());
    let weir = gateway(&fleet, &signer);
    fleet.meter("riser-2").set_fault(Some(Fault::StuckValve));
    fleet.meter("riser-3").set_fault(Some(Fault::OrdersUnanswered));
    // Another meter hangs at its address.
    fleet.meter("riser-4").set_fault(Some(Fault::Swapped));
    let end = |meter: &str, action: &str, valid: &str| {
        let (jws, id) = signer.sign(meter, action, &["--for", valid]);
        weir.submit(&jws);
        let row = weir.wait_command_end(&id, PATIENCE);
        let word = |name: &str| row[name].as_str().unwrap_or("-").to_owned();
        // The line is idle but for this: an end that comes too early shows.
        match (row["state"].as_str(), row["reason"].as_str()) {
            (Some("failed"), _) => weir.times_of(&id).assert_settled(SETTLE, 1),
            (Some("expired"), _) => weir.times_of(&id).assert_expired(),
            _ => {}
        }
        (word("state"), word("reason"))
    };
    for (meter, action, state, reason) in [
        ("riser-1", "valve.close", "done", "-"),
        ("riser-2", "valve.close", "failed", "valve-fault"),
        ("riser-3", "valve.close", "done", "-"),
        ("riser-4", "valve.close", "rejected", "wrong-meter"),
        ("riser-6", "valve.close", "rejected", "locked"),
        ("riser-6", "valve.open", "done", "-"),
        ("riser-7", "valve.close", "rejected", "no-identity"),
        ("riser-1", "clock.set", "done", "-"),
        // The fourth closing of the hour, and the one that is too many. What never started does not count.
        ("riser-5", "valve.close", "done", "-"),
        ("riser-1", "valve.close", "rejected", "limit-reached"),
        ("riser-1", "valve.open", "done", "-"),
    ] {
        assert_eq!(end(meter, action, "10m"), (state.into(), reason.into()), "{meter} {action}");
    }
    // An answer names its meter and not its request: one that comes late is none.
    fleet.meter("riser-2").set_fault(Some(Fault::Slow));
    assert_eq!(end("riser-2", "valve.open", "8s"), ("expired".into(), "silent".into()));
    let obeyed = [1, 2, 3, 4, 5, 6, 7].map(|number| fleet.meter(&format!("riser-{number}")).obeyed().valve);
    assert_eq!(obeyed, [2, 1, 1, 0, 1, 1, 0]);
    assert_eq!(fleet.meter("riser-1").obeyed().clock, 1);
}

#[test]
fn after_an_interruption_a_meter_that_was_exchanged_meanwhile_is_not_believed() {
    let (fleet, signer) = (riser(), Signer::new());
    let mut weir = gateway(&fleet, &signer);
    let meter = fleet.meter("riser-1");
    meter.set_fault(Some(Fault::MovingForEver));
    let (jws, id) = signer.sign("riser-1", "valve.open", &[]);
    weir.submit(&jws);
    wait_until("the order to be obeyed", PATIENCE, || meter.obeyed().valve == 1);
    weir.kill();
    // Its valve is open as well.
    meter.set_fault(Some(Fault::Swapped));
    weir.start();
    weir.wait_ready(PATIENCE);
    let row = weir.wait_command_end(&id, PATIENCE);
    assert_eq!((&row["state"], &row["reason"]), (&"unknown".into(), &"wrong-meter".into()), "{row:#}");
    assert_eq!(meter.obeyed().valve, 1);
}
