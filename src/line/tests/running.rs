//! The running line on real ptys, opened by path, against the simulator's meters.

use std::path::Path;
use std::sync::Arc;

use weir_mbus::{Mbus, Options};
use weir_meter::{Fault, Parity, StopBits, async_trait};
use weir_modbus::{Framing, Modbus};
use weir_simulator as sim;
use weir_wire::{Quantity, Unit, Value};

use super::*;
use crate::limits::{LINE_FRAMES_KEPT, LINE_REQUESTS_MAX, LINE_STOP_MAX, LINE_WATCHERS_MAX};

fn simulate(line: sim::LineConfig) -> sim::Simulator {
    sim::Simulator::start(sim::Config { lines: vec![line], ..sim::Config::default() }).unwrap()
}

fn unpaced(path: &Path) -> sim::LineConfig {
    sim::LineConfig { paced: Some(false), ..sim::LineConfig::pty("riser-1", path) }
}

fn mbus(id: &str, address: u8, every: Duration) -> Meter {
    meter(id, Mbus::new(weir_mbus::Address::primary(address).unwrap(), Options::default()), every)
}

const OFTEN: Duration = Duration::from_millis(100);
const DAILY: Duration = Duration::from_secs(86_400);

fn volume(reading: &Reading) -> String {
    super::status::LastReading::of(&reading.answer, reading.read_at).volume.unwrap().to_string()
}

#[tokio::test]
async fn what_the_meters_said_is_what_is_stored() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tty");
    let meters = (1..=3_u8).map(|n| sim::MeterConfig::mbus(format!("A-{n}")).address(n));
    let simulator = simulate(unpaced(&path).with(meters));
    let (outbox, _directory) = open_outbox();
    let polled = (1..=3).map(|n| mbus(&format!("A-{n}"), n, OFTEN)).collect();
    let handle = start(line(Port::Serial(path), polled), outbox.clone());
    let readings = next_readings(&outbox, 9).await;
    handle.stop().await;
    for id in ["A-1", "A-2", "A-3"] {
        let stored: Vec<_> = readings.iter().filter(|reading| reading.meter == id).map(volume).collect();
        let said: Vec<_> = simulator.journal().of(id).into_iter().map(|said| said.volume).collect();
        assert!(stored.len() >= 2, "{id} was polled in its turn");
        assert_eq!(stored, said[..stored.len()], "{id}");
    }
    let status = handle.status();
    assert!(status.busy_ms <= status.running_ms && status.meters.iter().all(|m| m.counters.answered >= 2));
    assert!(handle.read("A-1").await.is_err_and(|error| error == ReadError::Stopped));
}

#[tokio::test]
async fn a_port_that_vanishes_takes_the_line_down_and_its_return_brings_it_up() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tty");
    let simulator = simulate(unpaced(&path).with([sim::MeterConfig::mbus("A-1").address(1)]));
    let (outbox, _directory) = open_outbox();
    let handle = start(line(Port::Serial(path), vec![mbus("A-1", 1, DAILY)]), outbox.clone());
    handle.read("A-1").await.unwrap();
    let mut events = outbox.reader(Lane::Urgent);
    simulator.line("riser-1").unwrap().unplug().unwrap();
    // Noticed at once, although nothing is being polled.
    assert!(
        matches!(&next_events(&mut events, 1).await[0], What::LineDown { line, .. } if line == "riser-1")
    );
    assert!(matches!(handle.read("A-1").await, Err(ReadError::Fault(Fault::LineDown { .. }))));
    assert!(!until(&handle, |status| !status.up).await.down_reason.unwrap().is_empty());
    simulator.line("riser-1").unwrap().plug().unwrap();
    assert_eq!(next_events(&mut events, 1).await, [What::LineUp { line: "riser-1".into() }]);
    until(&handle, |status| status.up).await;
    handle.read("A-1").await.unwrap();
    handle.stop().await;
    assert_eq!(outbox.stats().await.unwrap().urgent.stored, 2, "one event a change");
}

#[tokio::test]
async fn an_unknown_port_is_a_line_that_is_down_and_is_said_once() {
    let (outbox, _directory) = open_outbox();
    let config = line(Port::Serial("/dev/no-such-port".into()), vec![mbus("A-1", 1, OFTEN)]);
    let handle = start(config, outbox.clone());
    let mut events = outbox.reader(Lane::Urgent);
    assert!(matches!(next_events(&mut events, 1).await[0], What::LineDown { .. }));
    assert!(matches!(handle.read("A-1").await, Err(ReadError::Fault(Fault::LineDown { .. }))));
    let unknown = ReadError::UnknownMeter { meter: "B-1".into(), line: "riser-1".into() };
    assert_eq!(handle.read("B-1").await, Err(unknown));
    until(&handle, |status| status.meters[0].counters.missed_slots > 10).await;
    handle.stop().await;
    assert_eq!(outbox.stats().await.unwrap().urgent.stored, 1);
}

#[tokio::test]
async fn meters_of_two_protocols_speeds_and_parities_share_a_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tty");
    // `strict_baud`: a meter hears only what is sent at its own speed.
    let meters = [
        sim::MeterConfig::mbus("A-1").address(1),
        sim::MeterConfig { baud: Some(9600), ..sim::MeterConfig::modbus("B-2").address(2).model("bench") },
    ];
    let simulator = simulate(sim::LineConfig { strict_baud: true, ..unpaced(&path) }.with(meters));
    let (outbox, _directory) = open_outbox();
    let profile = Arc::new(weir_modbus::profiles::load("generic-20").unwrap().unwrap());
    let fast = Serial { baud: 9600, parity: Parity::None, stop_bits: StopBits::One };
    let modbus = meter("B-2", Modbus::new(2, Framing::Rtu, profile).unwrap(), OFTEN);
    let polled = vec![mbus("A-1", 1, OFTEN), Meter { serial: fast, ..modbus }];
    let handle = start(line(Port::Serial(path), polled), outbox.clone());
    let readings = next_readings(&outbox, 6).await;
    handle.stop().await;
    for (id, driver) in [("A-1", "mbus"), ("B-2", "modbus")] {
        assert!(readings.iter().filter(|r| r.meter == id && r.driver == driver).count() >= 2, "{id}");
        assert!(simulator.journal().total_of(id) >= 2);
    }
    let faults: Vec<_> = handle.status().meters.into_iter().filter_map(|meter| meter.last_fault).collect();
    assert_eq!(faults, []);
}

#[tokio::test]
async fn a_tcp_serial_server_is_a_line_too() {
    let server = sim::LineConfig {
        paced: Some(false),
        ..sim::LineConfig::tcp("riser-1", "127.0.0.1:0".parse().unwrap())
    };
    let simulator = simulate(server.with([sim::MeterConfig::mbus("A-1").address(1)]));
    let address = simulator.line("riser-1").unwrap().address().unwrap();
    let (outbox, _directory) = open_outbox();
    let handle = start(line(Port::Tcp(address.to_string()), vec![mbus("A-1", 1, DAILY)]), outbox.clone());
    until(&handle, |status| status.up).await;
    let reading = handle.read("A-1").await.unwrap();
    assert_eq!(volume(&reading), simulator.journal().of("A-1")[0].volume);
    let mut events = outbox.reader(Lane::Urgent);
    simulator.line("riser-1").unwrap().unplug().unwrap();
    assert!(matches!(next_events(&mut events, 1).await[0], What::LineDown { .. }));
    handle.stop().await;
}

#[tokio::test]
async fn an_echoing_converter_is_no_trouble_when_it_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tty");
    let echoing = sim::LineConfig { echo: true, ..unpaced(&path) };
    let simulator = simulate(echoing.with([sim::MeterConfig::mbus("A-1").address(1)]));
    let (outbox, _directory) = open_outbox();
    let config = Config { echo: true, ..line(Port::Serial(path), vec![mbus("A-1", 1, DAILY)]) };
    let handle = start(config, outbox);
    until(&handle, |status| status.up).await;
    let reading = handle.read("A-1").await.unwrap();
    assert_eq!(volume(&reading), simulator.journal().of("A-1")[0].volume);
    handle.stop().await;
}

#[tokio::test]
async fn a_port_that_cannot_steer_rs485_is_a_line_that_is_down_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tty");
    let _simulator = simulate(unpaced(&path).with([sim::MeterConfig::mbus("A-1").address(1)]));
    let (outbox, _directory) = open_outbox();
    let config =
        Config { rs485: Some(Rs485::default()), ..line(Port::Serial(path), vec![mbus("A-1", 1, DAILY)]) };
    let handle = start(config, outbox);
    let why = until(&handle, |status| status.down_reason.is_some()).await.down_reason.unwrap();
    assert!(
        why.starts_with("the kernel cannot steer RS-485 on this port: ") && why.contains("leave out"),
        "{why}"
    );
    handle.stop().await;
}

#[tokio::test]
async fn a_register_that_rolls_over_is_told_before_the_reading_that_shows_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tty");
    let simulator = simulate(unpaced(&path).with([sim::MeterConfig::mbus("A-1").address(1)]));
    let (outbox, _directory) = open_outbox();
    let handle = start(line(Port::Serial(path), vec![mbus("A-1", 1, DAILY)]), outbox.clone());
    let mut events = outbox.reader(Lane::Urgent);
    until(&handle, |status| status.up).await;
    handle.read("A-1").await.unwrap();
    simulator.meter("A-1").unwrap().set_fault(Some(sim::Fault::RollOver));
    let before = volume(&handle.read("A-1").await.unwrap());
    let after = volume(&handle.read("A-1").await.unwrap());
    let What::RegisterRolledOver(told) = next_events(&mut events, 1).await.remove(0) else {
        panic!("no roll-over")
    };
    assert_eq!((told.line.as_str(), told.meter.as_str()), ("riser-1", "A-1"));
    assert_eq!((told.was.to_string(), told.now.to_string()), (before, after));
    handle.stop().await;
    assert_eq!(outbox.stats().await.unwrap().urgent.stored, 1, "and nothing else");
}

/// Answers without a line, each time with the next of these volumes.
struct Told(Vec<&'static str>);

#[async_trait]
impl Driver for Told {
    fn name(&self) -> &'static str {
        "told"
    }

    fn timing(&self, serial: &Serial) -> weir_meter::Timing {
        Mbus::new(weir_mbus::Address::primary(1).unwrap(), weir_mbus::Options::default()).timing(serial)
    }

    fn load(&self) -> Vec<weir_meter::Load> {
        Vec::new()
    }

    async fn read(&mut self, _: &mut dyn weir_meter::Line) -> Result<weir_meter::Answer, Fault> {
        let volume = self.0.remove(0).parse().unwrap();
        let values = vec![Value::number(Quantity::Volume, volume, Unit::CubicMetre)];
        Ok(weir_meter::Answer { values, ..weir_meter::Answer::default() })
    }
}

#[tokio::test]
async fn a_register_that_went_back_is_told_as_that_and_not_as_a_roll_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tty");
    let _simulator = simulate(unpaced(&path).with([sim::MeterConfig::mbus("other").address(9)]));
    let (outbox, _directory) = open_outbox();
    let handle = start(
        line(Port::Serial(path), vec![meter("A-1", Told(vec!["421.5", "420.0"]), DAILY)]),
        outbox.clone(),
    );
    let mut events = outbox.reader(Lane::Urgent);
    until(&handle, |status| status.up).await;
    handle.read("A-1").await.unwrap();
    handle.read("A-1").await.unwrap();
    let What::RegisterWentBack(told) = next_events(&mut events, 1).await.remove(0) else {
        panic!("it did not go back")
    };
    assert_eq!((told.was.to_string(), told.now.to_string()), ("421.5".into(), "420.0".into()));
}

#[tokio::test]
async fn a_watcher_that_does_not_look_loses_frames_and_is_told_how_many() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tty");
    let _simulator = simulate(unpaced(&path).with([sim::MeterConfig::mbus("A-1").address(1)]));
    let (outbox, _directory) = open_outbox();
    let back_to_back = mbus("A-1", 1, Duration::from_millis(1));
    let handle = start(line(Port::Serial(path), vec![back_to_back]), outbox);
    let mut watching = handle.watch().unwrap();
    let kept = u64::try_from(LINE_FRAMES_KEPT).unwrap();
    // A request and an answer each.
    until(&handle, |status| status.meters[0].counters.answered > kept).await;
    let Some(Shown::Lost(lost)) = watching.next().await else { panic!("nothing lost") };
    assert!(lost >= kept, "{lost}");
    let Some(Shown::Frame(first)) = watching.next().await else { panic!("none kept") };
    assert!(matches!(first.kind, FrameKind::Request | FrameKind::Answer) && !first.bytes.0.is_empty());
    assert_eq!(first.about.as_deref(), Some("A-1"));

    let others: Vec<_> = (1..LINE_WATCHERS_MAX).map(|_| handle.watch().unwrap()).collect();
    assert!(handle.watch().is_none(), "one too many");
    drop(others);
    assert!(handle.watch().is_some());
    handle.stop().await;
    while let Some(shown) = watching.next().await {
        assert!(matches!(shown, Shown::Frame(_)));
    }
}

/// A line whose one meter is silent and is waited for without end.
async fn stuck_line(folder: &Path) -> (sim::Simulator, Handle, Outbox, TempDir) {
    let path = folder.join("tty");
    let simulator =
        simulate(unpaced(&path).with([sim::MeterConfig::mbus("A-1").address(1).fault(sim::Fault::Silent)]));
    let (outbox, directory) = open_outbox();
    let patient = Meter { answer_window: Some(Duration::from_secs(3600)), ..mbus("A-1", 1, DAILY) };
    let handle = start(line(Port::Serial(path), vec![patient]), outbox.clone());
    until(&handle, |status| status.up).await;
    (simulator, handle, outbox, directory)
}

#[tokio::test]
async fn reads_beyond_the_bound_are_refused_as_busy_and_all_are_told_when_the_line_stops() {
    let folder = tempfile::tempdir().unwrap();
    let (_simulator, handle, outbox, _directory) = stuck_line(folder.path()).await;
    let ask = || {
        let handle = handle.clone();
        tokio::spawn(async move { handle.read("A-1").await })
    };
    let waiting: Vec<_> = (0..LINE_REQUESTS_MAX).map(|_| ask()).collect();
    while handle.permits.available_permits() > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(handle.read("A-1").await, Err(ReadError::Busy));
    let begun = now();
    handle.stop().await;
    assert!(
        now().since(begun) < LINE_STOP_MAX + Duration::from_secs(2),
        "the poll that never ends was given up"
    );
    for read in waiting {
        assert_eq!(read.await.unwrap(), Err(ReadError::Stopped));
    }
    assert_eq!(outbox.stats().await.unwrap().urgent.stored, 0, "a line that is stopped has not gone down");
}

#[tokio::test]
async fn a_line_that_waits_for_a_meter_still_has_a_pulse() {
    let folder = tempfile::tempdir().unwrap();
    let (_simulator, handle, _outbox, _directory) = stuck_line(folder.path()).await;
    let pulse = handle.pulse();
    let reading = tokio::spawn({
        let handle = handle.clone();
        async move { handle.read("A-1").await }
    });
    // A line that beats only between polls would beat once more at most.
    let beats = async {
        let (mut beats, mut age) = (0, pulse.age());
        while beats < 3 {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let before = std::mem::replace(&mut age, pulse.age());
            beats += u32::from(age < before);
        }
    };
    tokio::time::timeout(Duration::from_secs(20), beats).await.expect("it beats while it waits");
    assert!(!reading.is_finished());
    handle.stop().await;
    reading.await.unwrap().unwrap_err();
}
