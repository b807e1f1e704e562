//! What goes wrong on a line stays on it: ports that are not there, adapters pulled, dead meters, garbage.

use std::collections::BTreeMap;
use std::time::Duration;

use weir_simulator::{Fault, FaultRule};

use crate::harness::consumed::Consumed;
use crate::harness::fleet::{Fleet, Street};
use crate::harness::ledger::{self, Arrived};
use crate::harness::mock::MockBroker;
use crate::harness::weir::{Weir, settings};

const PATIENCE: Duration = Duration::from_secs(120);
const EVERY: &str = "every = \"1s\"\nadapter_allowance = \"1s\"";

/// How many unspoilt answers each meter of the fleet has given.
fn answers(fleet: &Fleet, meter: &str) -> usize {
    fleet.meter(meter).said().iter().filter(|said| said.spoilt.is_none() && !said.repeated).count()
}

fn arrived_in_order(broker: &MockBroker, fleet: &Fleet) -> (Vec<Arrived>, Vec<serde_json::Value>) {
    let (readings, events) = ledger::at_the_broker(broker, fleet);
    ledger::assert_arrived_in_order(&readings, fleet);
    (readings, events)
}

fn wait_for_event(broker: &MockBroker, kind: &str, about: &str) {
    let is_it = |record: &Consumed| {
        let event = record.json();
        event["event"] == kind && (event["line"] == about || event["meter"] == about)
    };
    crate::harness::deadline::wait_until(&format!("{kind} of {about}"), PATIENCE, || {
        broker.read_all("weir.events").iter().any(is_it)
    });
}

#[test]
fn a_port_that_is_not_there_at_the_start_is_a_line_down_and_the_others_run() {
    let broker = MockBroker::start();
    let fleet = Fleet::start(31, [Street::mbus("there", 2).key(EVERY)]);
    let mut weir = Weir::prepare(|folder| {
        let missing = folder.join("no-such-port");
        format!(
            "{}\n{}\n[[lines]]\nname = \"missing\"\nport = {missing:?}\ndriver = \"mbus\"\nevery = \"1s\"\n\
             [[meters]]\nid = \"m\"\nline = \"missing\"\naddress = 1\n",
            settings(folder, &broker.bootstrap(), ""),
            fleet.config()
        )
    });
    weir.set_environment("RUST_LOG", "info,weir::outbox=debug");
    weir.start();
    weir.wait_ready(PATIENCE);
    weir.process().wait_for_line("line down", PATIENCE);
    weir.wait_more_readings(6, PATIENCE);
    wait_for_event(&broker, "line-down", "missing");

    let told = weir.drain_to_the_last(&fleet, PATIENCE);
    let (readings, events) = arrived_in_order(&broker, &fleet);
    ledger::assert_all_there(&told, &readings, &events);
    let down = ledger::of_kind(&events, "line-down");
    let of_missing = down.iter().filter(|event| event["line"] == "missing").count();
    assert!((1..=2).contains(&of_missing), "once in each life: {down:#?}");
    assert!(
        down.iter().all(|event| event["detail"].as_str().is_some_and(|why| why.contains("No such file"))),
        "{down:#?}"
    );
}

#[test]
fn an_adapter_that_is_pulled_and_put_back_resumes_by_itself() {
    let broker = MockBroker::start();
    let fleet =
        Fleet::start(32, [Street::mbus("usb", 2).key(EVERY), Street::modbus_tcp("server", 1).key(EVERY)]);
    let mut weir = Weir::for_fleet(&fleet, &broker.bootstrap(), "");
    weir.start();
    weir.wait_ready(PATIENCE);
    weir.wait_more_readings(6, PATIENCE);
    for line in ["usb", "server"] {
        fleet.line(line).unplug().unwrap();
        wait_for_event(&broker, "line-down", line);
        fleet.line(line).plug().unwrap();
        wait_for_event(&broker, "line-up", line);
        let meter = format!("{line}-1");
        let before = answers(&fleet, &meter);
        crate::harness::deadline::wait_until("polls on the line that came back", PATIENCE, || {
            answers(&fleet, &meter) > before + 1
        });
    }
    let told = weir.drain_to_the_last(&fleet, PATIENCE);
    let (readings, events) = arrived_in_order(&broker, &fleet);
    ledger::assert_all_there(&told, &readings, &events);
    assert!(
        ledger::of_kind(&events, "meter-silent").is_empty(),
        "a port that is gone says nothing about its meters"
    );
}

#[test]
fn whatever_noise_is_on_a_line_no_value_arrives_that_its_meter_did_not_say() {
    let broker = MockBroker::start();
    // Without further keys: the answer windows of the standards.
    let every = "every = \"1s\"";
    let streets = [
        Street::mbus("m", 3),
        Street::modbus("r", 3),
        Street::meter_room("c", 3, 2),
        Street::modbus_tcp("t", 2),
    ];
    let fleet = Fleet::start(33, streets.map(|street| street.key(every)));
    for meter in fleet.meters() {
        let mut faults = vec![Fault::Noise, Fault::Truncated, Fault::WrongChecksum, Fault::WrongAddress];
        // The AND of two answers passes a sum of eight bits once in 256 times, and no master can tell; a CRC is better.
        if meter.line() == "r" {
            faults.push(Fault::Collision);
        }
        let rule = |fault| FaultRule { fault, probability: 0.15 };
        meter.set_faults(faults.into_iter().map(rule).collect()).unwrap();
    }
    let mut weir = Weir::for_fleet(&fleet, &broker.bootstrap(), "");
    weir.start();
    weir.wait_ready(PATIENCE);
    let spoilt = || fleet.journal().since(0).iter().filter(|said| said.spoilt.is_some()).count();
    crate::harness::deadline::wait_until("a hundred spoilt answers", PATIENCE, || spoilt() >= 100);
    weir.wait_more_readings(10, PATIENCE);

    // And it is over as soon as it is over: no meter is given up for good.
    let good: BTreeMap<String, usize> =
        fleet.meters().iter().map(|meter| (meter.name().to_owned(), answers(&fleet, meter.name()))).collect();
    for meter in fleet.meters() {
        meter.set_fault(None);
    }
    for (meter, before) in &good {
        crate::harness::deadline::wait_until("a good answer of every meter", PATIENCE, || {
            answers(&fleet, meter) > *before
        });
    }
    let told = weir.drain_to_the_last(&fleet, PATIENCE);
    // The ledger compares every value with the journal.
    let (readings, events) = arrived_in_order(&broker, &fleet);
    ledger::assert_all_there(&told, &readings, &events);
    assert!(readings.len() > 20, "{} readings", readings.len());
    // Noise before an answer, and a collision of equal bytes, may be read past. What is damaged for sure may not, even
    // where its value happens to be whole.
    for reading in &readings {
        let said = fleet.meter(&reading.meter).said();
        let mut of_it = said.iter().filter(|said| said.volume == reading.volume);
        let is_damaged =
            |fault| matches!(fault, Some(Fault::WrongChecksum | Fault::Truncated | Fault::WrongAddress));
        assert!(of_it.any(|said| !is_damaged(said.spoilt)), "taken from a damaged answer: {reading:?}");
    }
}

mod alone {
    use super::*;

    /// Slots that the meter has kept, and the span in seconds from the first of them to the end of the last's.
    fn kept_share(readings: &[Arrived], meter: &str) -> (usize, usize) {
        let mut slots: Vec<i64> = readings
            .iter()
            .filter(|reading| reading.meter == meter)
            .filter_map(|reading| reading.scheduled_at.map(|at| at.as_second()))
            .collect();
        slots.sort_unstable();
        slots.dedup();
        let span = slots.last().zip(slots.first()).map_or(0, |(last, first)| last - first + 1);
        (slots.len(), usize::try_from(span).unwrap())
    }

    #[test]
    fn dead_meters_back_off_so_that_the_others_go_on_and_are_reported_when_they_fall_silent_and_come_back() {
        let broker = MockBroker::start();
        // Asked at every slot the two dead ones would take 4.2 s of every 3, and the others would miss half of theirs. A probe
        // takes 2.1 s, so one that begins late in a slot may still cost the next one.
        let key = "every = \"3s\"\nanswer_window = \"2s\"\nrepeats = 0";
        let fleet = Fleet::start(34, [Street::mbus("riser", 5).key(key)]);
        let dead = ["riser-3", "riser-4"];
        dead.iter().for_each(|meter| fleet.meter(meter).silence());
        let mut weir = Weir::for_fleet(&fleet, &broker.bootstrap(), "");
        weir.start();
        weir.wait_ready(PATIENCE);
        for meter in dead {
            wait_for_event(&broker, "meter-silent", meter);
        }
        weir.wait_more_readings(9, PATIENCE);
        dead.iter().for_each(|meter| fleet.meter(meter).revive());
        for meter in dead {
            wait_for_event(&broker, "meter-back", meter);
        }

        let told = weir.drain_to_the_last(&fleet, PATIENCE);
        let (readings, events) = arrived_in_order(&broker, &fleet);
        ledger::assert_all_there(&told, &readings, &events);
        for kind in ["meter-silent", "meter-back"] {
            let mut meters: Vec<&str> =
                ledger::of_kind(&events, kind).iter().filter_map(|event| event["meter"].as_str()).collect();
            meters.sort_unstable();
            assert_eq!(meters, dead, "{kind}, once each: {events:#?}");
        }
        for meter in ["riser-1", "riser-2", "riser-5"] {
            let (kept, span) = kept_share(&readings, meter);
            let slots = span.div_ceil(3);
            assert!(kept * 10 >= slots * 8, "{meter} kept {kept} of {slots} slots");
        }
    }
}
