//! A line whose meters nobody has written down: it is searched while the daemon runs, what is found is pasted into the
//! configuration, and the meters are read.

use std::collections::BTreeSet;
use std::fs;
use std::process::Output;
use std::time::Duration;

use weir_simulator::MeterConfig;

use crate::harness::deadline::wait_until;
use crate::harness::fleet::{Fleet, Street};
use crate::harness::mock::MockBroker;
use crate::harness::weir::{Weir, settings};

const PATIENCE: Duration = Duration::from_secs(60);
const EVERY: &str = "every = \"1s\"\nadapter_allowance = \"300ms\"";

/// A fleet, and a daemon that knows its lines and of its meters only the first of each.
fn hardly_configured(seed: u64, streets: impl IntoIterator<Item = Street>) -> (MockBroker, Fleet, Weir) {
    let (broker, fleet) = (MockBroker::start(), Fleet::start(seed, streets));
    let all = fleet.config();
    let tables = all.split("[[").skip(1).map(|table| format!("[[{table}"));
    let known: String =
        tables.filter(|table| table.starts_with("[[lines]]") || table.contains("-1\"\n")).collect();
    let mut weir = Weir::prepare(|folder| format!("{}\n{known}", settings(folder, &broker.bootstrap(), "")));
    weir.set_environment("RUST_LOG", "info,weir::outbox=debug");
    (broker, fleet, weir)
}

fn list(scan: &Output) -> String {
    assert_eq!(scan.status.code(), Some(0), "{scan:?}");
    String::from_utf8(scan.stdout.clone()).unwrap()
}

/// Pastes what was found, and has it checked.
fn paste(weir: &Weir, found: &str) {
    let before = fs::read_to_string(weir.config_path()).unwrap();
    weir.write_config(&format!("{before}\n{found}"));
    let check = weir.command(&["check"]);
    assert_eq!(check.status.code(), Some(0), "{check:?}\n{found}");
}

/// The volumes that arrived, with the number that their meter said.
fn arrived(broker: &MockBroker) -> BTreeSet<(String, String)> {
    let readings = broker.read_all("weir.readings");
    let said = readings.iter().filter_map(|reading| {
        let text = reading.text();
        let reading = reading.json();
        let number = reading["identity"]["number"].as_str()?.to_owned();
        // The digits as they stand in the message: a float would not keep them.
        let volume =
            text.split("\"value\":").skip(1).map(|rest| rest.split([',', '}']).next().unwrap().trim());
        Some(volume.map(|volume| (number.clone(), volume.to_owned())).collect::<Vec<_>>())
    });
    said.flatten().collect()
}

#[test]
fn what_a_search_of_a_running_line_finds_is_pasted_and_read() {
    let mut street = Street::mbus("m", 4).key(EVERY);
    // Unlike from the first digit on, so that the search need not go deep.
    let numbers = [12_345_678, 23_456_789, 34_567_890, 45_678_901, 71_000_001, 82_000_002];
    for (meter, number) in street.simulated.meters.iter_mut().zip(numbers) {
        meter.serial = Some(number);
    }
    // Two new meters that were given the same primary address, which only the search by secondary address tells apart.
    street.simulated.meters.extend(numbers.into_iter().skip(4).map(|number| MeterConfig {
        serial: Some(number),
        shares_address: true,
        ..MeterConfig::mbus(format!("m-{number}")).address(9).model("typical")
    }));
    let numbers = numbers.map(|number| number.to_string());
    let (broker, fleet, mut weir) = hardly_configured(111, [street]);
    weir.start();
    weir.wait_ready(PATIENCE);
    weir.wait_more_readings(2, PATIENCE);

    let found =
        list(&weir.command(&["scan", "m", "--primary", "1-9", "--secondary", "--quick", "--tries", "1"]));
    assert!(found.starts_with("# 6 meters were found on line \"m\"\n"), "{found}");
    assert!(found.contains("several meters at address 9"), "{found}");
    assert!(found.contains("# Configured already, as \"m-1\":"), "{found}");
    assert_eq!(found.matches("\n[[meters]]\n").count(), 5, "{found}");
    // The polls go on by themselves.
    weir.wait_more_readings(2, PATIENCE);
    weir.stop(PATIENCE);

    paste(&weir, &found);
    weir.start();
    weir.wait_ready(PATIENCE);
    let id = |number: &str| if number == "12345678" { "m-1".to_owned() } else { format!("SIM-{number}") };
    wait_until("a reading of each meter that was found", PATIENCE, || {
        let readings = broker.read_all("weir.readings");
        let read: Vec<_> = readings.iter().map(|reading| reading.json()).collect();
        let is_read = |number: &String| {
            read.iter().any(|it| it["meter"] == id(number) && it["identity"]["number"] == **number)
        };
        numbers.iter().all(is_read)
    });
    weir.stop(PATIENCE);
    let arrived = arrived(&broker);
    for (meter, number) in fleet.meters().iter().zip(numbers) {
        let said = fleet.volumes_of(meter.name());
        assert!(
            said.iter().any(|volume| arrived.contains(&(number.clone(), volume.clone()))),
            "{number}: {said:?} of {arrived:?}"
        );
    }
}

#[test]
fn on_a_line_of_another_protocol_a_lone_meter_tells_its_address_and_several_are_told_as_several() {
    let mut alone = Street::cjt188("alone", 2).key(EVERY);
    alone.simulated.meters.remove(0);
    let crowd = Street::cjt188("crowd", 3).key(EVERY);
    let room = Street::meter_room("room", 1, 1).key(EVERY);
    let registers = Street::modbus("rtu", 1).key(EVERY);
    let (broker, _fleet, mut weir) = hardly_configured(112, [alone, crowd, room, registers]);
    weir.start();
    weir.wait_ready(PATIENCE);

    let found = list(&weir.command(&["scan", "alone", "--driver", "cjt188", "--baud", "38400"]));
    assert!(found.contains("\naddress = \"11:78330011220002\"\n"), "{found}");
    let both = list(&weir.command(&["scan", "room", "--driver", "cjt188,dlt645", "--baud", "38400"]));
    assert!(both.contains("# Configured already, as \"room-1\":"), "{both}");
    assert!(both.contains("\naddress = \"202107072501\"\n"), "{both}");

    let crowded = weir.command(&["scan", "crowd"]);
    let told = String::from_utf8_lossy(&crowded.stderr).into_owned();
    assert!(told.contains("several cjt188 meters answer at once"), "{told}");
    assert!(!told.contains("no meter answers"), "{told}");

    let none = weir.command(&["scan", "rtu"]);
    assert_eq!(none.status.code(), Some(64), "{none:?}");
    let told = String::from_utf8_lossy(&none.stderr).into_owned();
    assert!(told.contains("Modbus, which has no search: a unit does not say who it is"), "{told}");
    let not_here = weir.command(&["scan", "crowd", "--secondary"]);
    assert_eq!(not_here.status.code(), Some(64), "{not_here:?}");

    weir.stop(PATIENCE);
    paste(&weir, &format!("{found}\n{both}"));
    weir.start();
    weir.wait_ready(PATIENCE);
    wait_until("a reading of each meter that was found", PATIENCE, || {
        let readings = broker.read_all("weir.readings");
        let read: Vec<_> = readings.iter().map(|reading| reading.json()).collect();
        ["78330011220002", "202107072501"].iter().all(|id| read.iter().any(|it| it["meter"] == *id))
    });
}
