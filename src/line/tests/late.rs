//! A meter that answers after its window, on every protocol: what it says late is never taken for another meter's, nor for its
//! own answer to a later request.

use std::collections::BTreeSet;
use std::sync::Arc;

use weir_cjt188::Cjt188;
use weir_dlt645::Dlt645;
use weir_mbus::Mbus;
use weir_modbus::{Framing, Modbus};
use weir_simulator as sim;

use super::*;

const OFTEN: Duration = Duration::from_millis(60);
/// With the line's allowance the answer is waited for 150 ms, and comes after 400 at the earliest.
const WINDOW: Duration = Duration::from_millis(100);
const SLOW_MS: u32 = 400;
/// Far longer than an answer is late on a busy machine.
const LATE_WINDOW: Duration = Duration::from_millis(1500);

fn volume(reading: &Reading) -> String {
    super::super::status::LastReading::of(&reading.answer, reading.read_at).volume.unwrap().to_string()
}

/// Two meters of one kind on one line, the first of which is late every other time.
async fn two_of_which_one_is_late(
    simulated: sim::LineConfig,
    kind: impl Fn(&str, u8) -> sim::MeterConfig,
    driver: impl Fn(u8) -> Box<dyn Driver>,
    late_window: Option<Duration>,
) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tty");
    let pty = simulated.pty.is_some().then(|| path.clone());
    let late = sim::FaultRule { fault: sim::Fault::Slow, probability: 0.5 };
    let slow = sim::MeterConfig { slow_ms: SLOW_MS, faults: vec![late], ..kind("late", 1) };
    let line_config = sim::LineConfig { paced: Some(false), pty, ..simulated }.with([slow, kind("good", 2)]);
    let simulator =
        sim::Simulator::start(sim::Config { lines: vec![line_config], ..sim::Config::default() }).unwrap();
    let port = match simulator.line("riser-1").unwrap().address() {
        Some(address) => Port::Tcp(address.to_string()),
        None => Port::Serial(path),
    };
    let (outbox, _directory) = open_outbox();
    let polled = [("late", 1), ("good", 2)].map(|(id, number)| Meter {
        answer_window: Some(WINDOW),
        late_window,
        driver: driver(number),
        ..meter(
            id,
            Mbus::new(weir_mbus::Address::primary(number).unwrap(), weir_mbus::Options::default()),
            OFTEN,
        )
    });
    // Where an answer names its request, a repeat is the same request, and a late answer to it is an answer to it.
    let repeats = if late_window.is_some() { 2 } else { 0 };
    let handle = start(Config { repeats, ..line(port, polled.into()) }, outbox.clone());
    let mut reader = outbox.reader(Lane::Readings);
    let mut readings = Vec::new();
    let late_answers = || simulator.journal().of("late").iter().filter(|said| said.spoilt.is_some()).count();
    let of = |readings: &[Reading], id: &str| readings.iter().filter(|reading| reading.meter == id).count();
    let give_up = now() + 3 * PATIENCE;
    while late_answers() < 3 || of(&readings, "late") < 3 || of(&readings, "good") < 10 {
        assert!(now() < give_up, "{} late answers, {:#?}", late_answers(), handle.status());
        for record in next(&mut reader, 1).await {
            let Record::Reading(reading) = record else { panic!("{record:?}") };
            readings.push(reading);
        }
    }
    handle.stop().await;
    for reading in &readings {
        let said = simulator.journal().of(&reading.meter).into_iter();
        let in_time: BTreeSet<_> =
            said.filter(|said| said.spoilt.is_none()).map(|said| said.volume).collect();
        assert!(
            in_time.contains(&volume(reading)),
            "{} of {} was not said in time",
            volume(reading),
            reading.meter
        );
    }
}

fn pty() -> sim::LineConfig {
    sim::LineConfig::pty("riser-1", "to be put")
}

#[tokio::test]
async fn on_mbus() {
    let kind = |id: &str, number| sim::MeterConfig::mbus(id).address(number);
    let driver = |number| -> Box<dyn Driver> {
        let address = weir_mbus::Address::primary(number).unwrap();
        Box::new(Mbus::new(address, weir_mbus::Options::default()))
    };
    two_of_which_one_is_late(pty(), kind, driver, Some(LATE_WINDOW)).await;
}

fn modbus(framing: Framing) -> impl Fn(u8) -> Box<dyn Driver> {
    let profile = Arc::new(weir_modbus::profiles::load("generic-20").unwrap().unwrap());
    move |number| Box::new(Modbus::new(number, framing, Arc::clone(&profile)).unwrap())
}

fn modbus_meter(id: &str, number: u8) -> sim::MeterConfig {
    sim::MeterConfig::modbus(id).address(number).model("bench")
}

#[tokio::test]
async fn on_modbus_rtu() {
    two_of_which_one_is_late(pty(), modbus_meter, modbus(Framing::Rtu), Some(LATE_WINDOW)).await;
}

#[tokio::test]
async fn on_modbus_tcp_where_an_answer_names_its_request() {
    let line = sim::LineConfig::tcp("riser-1", ([127, 0, 0, 1], 0).into());
    let line = sim::LineConfig { modbus: sim::ModbusFraming::Tcp, ..line };
    two_of_which_one_is_late(line, modbus_meter, modbus(Framing::Tcp), None).await;
}

#[tokio::test]
async fn on_cjt188_where_an_answer_names_its_request() {
    let address = |number: u8| format!("7833001122{number:04}");
    let kind = |id: &str, number| sim::MeterConfig::cjt188(id).address(address(number).as_str());
    let profile = Arc::new(weir_cjt188::Profile::built_in("standard").unwrap().unwrap());
    let driver = |number| -> Box<dyn Driver> {
        Box::new(Cjt188::new(format!("10:{}", address(number)).parse().unwrap(), Arc::clone(&profile)))
    };
    two_of_which_one_is_late(pty(), kind, driver, None).await;
}

/// Energy, of which an electricity meter has no other figure.
#[tokio::test]
async fn on_dlt645() {
    let address = |number: u8| format!("2021070725{number:02}");
    let kind = |id: &str, number| sim::MeterConfig::dlt645(id).address(address(number).as_str());
    let profile = Arc::new(weir_dlt645::Profile::built_in("standard").unwrap().unwrap());
    let driver = |number| -> Box<dyn Driver> {
        Box::new(Dlt645::new(address(number).parse().unwrap(), Arc::clone(&profile)))
    };
    two_of_which_one_is_late(pty(), kind, driver, Some(LATE_WINDOW)).await;
}
