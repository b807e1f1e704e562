//! Running simulations from outside: real ptys opened by path, TCP, memory, plugs pulled, and time on the wire.
//!
//! Nothing here asserts that something happens fast enough; what is asserted about time is that nothing comes early.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, in its helpers too"
)]

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};
use rustix::time::{ClockId, Timespec, clock_gettime};
use weir_simulator::{Config, Error, Fault, LineConfig, MeterConfig, ModbusFraming, Simulator};

const REQ_UD2: [u8; 5] = [0x10, 0x7B, 0x01, 0x7C, 0x16];
const REQ_UD2_TOGGLED: [u8; 5] = [0x10, 0x5B, 0x01, 0x5C, 0x16];
const READ_MODBUS: [u8; 8] = [0x01, 0x03, 0x00, 0x00, 0x00, 0x02, 0xC4, 0x0B];
const READ_CJT188: [u8; 16] =
    [0x68, 0x10, 0x44, 0x33, 0x22, 0x11, 0x00, 0x33, 0x78, 0x01, 0x03, 0x1F, 0x90, 0x00, 0x80, 0x16];
const TYPICAL_BYTES: usize = 66;
/// No test waits longer for something that has to come.
const PATIENCE: Timespec = Timespec { tv_sec: 30, tv_nsec: 0 };

fn start(line: LineConfig) -> Simulator {
    Simulator::start(Config { lines: vec![line], ..Config::default() }).unwrap()
}

fn fast(line: LineConfig) -> LineConfig {
    LineConfig { paced: Some(false), ..line }
}

fn localhost() -> SocketAddr {
    ([127, 0, 0, 1], 0).into()
}

fn open(path: &Path) -> File {
    let flags = rustix::fs::OFlags::NOCTTY.bits().try_into().unwrap();
    OpenOptions::new().read(true).write(true).custom_flags(flags).open(path).unwrap()
}

fn now() -> Duration {
    clock_gettime(ClockId::Monotonic).try_into().unwrap()
}

/// Whether the descriptor becomes readable or hangs up within `timeout`.
fn something_comes(stream: &impl std::os::fd::AsFd, timeout: &Timespec) -> bool {
    rustix::event::poll(&mut [PollFd::new(stream, PollFlags::IN)], Some(timeout)).unwrap() > 0
}

fn read_exactly(stream: &mut (impl Read + std::os::fd::AsFd), len: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() < len {
        assert!(something_comes(stream, &PATIENCE), "{} of {len} bytes came", bytes.len());
        let mut buffer = vec![0; len - bytes.len()];
        let came = stream.read(&mut buffer).unwrap();
        assert!(came > 0, "the end after {} of {len} bytes", bytes.len());
        bytes.extend_from_slice(&buffer[..came]);
    }
    bytes
}

fn ask(stream: &mut (impl Read + Write + std::os::fd::AsFd), request: &[u8], len: usize) -> Vec<u8> {
    stream.write_all(request).unwrap();
    read_exactly(stream, len)
}

fn three_meters() -> [MeterConfig; 3] {
    [
        MeterConfig::mbus("m").address(1),
        MeterConfig::modbus("r").address(1),
        MeterConfig { preamble_bytes: Some(2), ..MeterConfig::cjt188("c").address("78330011223344") },
    ]
}

#[test]
fn three_protocols_answer_on_one_pty_opened_by_path_and_the_journal_has_it_all() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("riser");
    let simulator = start(fast(LineConfig::pty("riser", &path).with(three_meters())));
    assert_eq!(simulator.line("riser").unwrap().path(), Some(path.as_path()));
    let mut port = open(&path);
    for round in 1..=20 {
        let request = if round % 2 == 1 { REQ_UD2 } else { REQ_UD2_TOGGLED };
        ask(&mut port, &request, TYPICAL_BYTES);
        ask(&mut port, &READ_CJT188, 2 + 35);
        let answer = ask(&mut port, &READ_MODBUS, 9);

        let said = simulator.meter("r").unwrap().said();
        let last = said.last().unwrap();
        assert_eq!((last.sequence, said.len()), (round, usize::try_from(round).unwrap()));
        let litres = u32::from_be_bytes(answer[3..7].try_into().unwrap());
        assert_eq!(last.volume, format!("{}.{:03}", litres / 1000, litres % 1000));
    }
    assert_eq!(simulator.journal().total(), 60);
    let counters = simulator.line("riser").unwrap().counters();
    assert_eq!((counters.requests, counters.answers, counters.bytes_discarded), (60, 60, 0));
    assert_eq!(counters.bytes_received, 20 * (5 + 16 + 8));
    assert_eq!(counters.bytes_sent, 20 * (66 + 37 + 9));
}

#[test]
fn on_a_paced_line_nothing_comes_before_its_time() {
    let line = LineConfig { baud: 9600, ..LineConfig::memory("L") };
    let simulator = start(line.with([MeterConfig::mbus("m").address(1).latency_ms(25)]));
    let line = simulator.line("L").unwrap();
    let mut stream = line.connect().unwrap();
    let begin = now();
    stream.write_all(&REQ_UD2).unwrap();
    for count in 1..=TYPICAL_BYTES {
        read_exactly(&mut stream, 1);
        let earliest = line.character().ideal_poll(REQ_UD2.len(), Duration::from_millis(25), count);
        // One nanosecond for each of the two times that were rounded down.
        assert!(now() - begin + Duration::from_nanos(2) >= earliest, "byte {count}");
    }
    let counters = line.counters();
    assert_eq!(counters.ideal_answers, 1);
    assert_eq!(counters.ideal, line.character().ideal_poll(5, Duration::from_millis(25), TYPICAL_BYTES));
}

#[test]
fn a_request_that_arrives_in_pieces_is_still_one() {
    // So slow that a machine under load does not look like a silence.
    let simulator = start(LineConfig { baud: 110, ..LineConfig::memory("L") }.with(three_meters()));
    let line = simulator.line("L").unwrap();
    let mut stream = line.connect().unwrap();
    stream.write_all(&READ_MODBUS[..3]).unwrap();
    wait_until(|| line.counters().bytes_received == 3);
    assert_eq!(ask(&mut stream, &READ_MODBUS[3..], 9)[..3], [1, 3, 4]);
    assert_eq!(line.counters().bytes_discarded, 0);
}

fn wait_until(condition: impl Fn() -> bool) {
    let deadline = now() + Duration::from_secs(30);
    while !condition() {
        assert!(now() < deadline, "it never came");
        std::thread::yield_now();
    }
}

#[test]
fn after_garbage_and_a_silence_the_line_hears_again() {
    let simulator = start(fast(LineConfig::memory("L").with([MeterConfig::mbus("m").address(1)])));
    let line = simulator.line("L").unwrap();
    let mut stream = line.connect().unwrap();
    for garbage in [&[0x55; 40][..], &REQ_UD2[..3], &[0x68; 1000]] {
        let discarded = line.counters().bytes_discarded;
        stream.write_all(garbage).unwrap();
        wait_until(|| line.counters().bytes_discarded == discarded + garbage.len() as u64);
        // Deaf until it has been silent: ask until it hears.
        let mut heard = false;
        for _ in 0..300 {
            stream.write_all(&REQ_UD2).unwrap();
            heard = something_comes(&stream, &Timespec { tv_sec: 0, tv_nsec: 100_000_000 });
            if heard {
                break;
            }
        }
        assert!(heard);
        read_exactly(&mut stream, TYPICAL_BYTES);
    }
}

#[test]
fn a_pulled_pty_is_seen_to_vanish_and_comes_back_under_the_same_path() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("riser");
    let simulator = start(fast(LineConfig::pty("riser", &path).with(three_meters())));
    let line = simulator.line("riser").unwrap();
    let mut port = open(&path);
    ask(&mut port, &READ_MODBUS, 9);

    line.unplug().unwrap();
    line.unplug().unwrap();
    assert!(std::fs::symlink_metadata(&path).is_err(), "the link is gone");
    assert!(something_comes(&port, &PATIENCE), "a hang-up");
    assert!(!matches!(port.read(&mut [0; 8]), Ok(1..)), "and nothing to read");
    assert!(port.write_all(&READ_MODBUS).is_err());

    line.plug().unwrap();
    line.plug().unwrap();
    ask(&mut open(&path), &READ_MODBUS, 9);
    assert_eq!(simulator.meter("r").unwrap().said().len(), 2);
    drop(simulator);
    assert!(std::fs::symlink_metadata(&path).is_err(), "cleaned up");
}

#[test]
fn an_answer_cut_off_by_the_plug_is_not_in_the_journal() {
    let simulator = start(LineConfig { baud: 110, ..LineConfig::memory("L") }.with(three_meters()));
    let line = simulator.line("L").unwrap();
    let mut stream = line.connect().unwrap();
    ask(&mut stream, &READ_MODBUS, 2);
    line.unplug().unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    assert!(rest.len() < 7, "cut off");
    assert_eq!(simulator.journal().total(), 0);
    line.plug().unwrap();
    ask(&mut line.connect().unwrap(), &READ_MODBUS, 9);
    let said = simulator.meter("r").unwrap().said();
    assert_eq!((said.len(), said[0].sequence), (1, 2), "the first was never heard whole");
}

#[test]
fn a_pulled_tcp_line_closes_its_connections_and_comes_back_at_the_same_address() {
    let simulator = start(fast(LineConfig::tcp("server", localhost()).with(three_meters())));
    let line = simulator.line("server").unwrap();
    let address = line.address().unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    ask(&mut stream, &READ_MODBUS, 9);
    line.unplug().unwrap();
    assert!(matches!(stream.read(&mut [0; 8]), Ok(0) | Err(_)));
    assert!(TcpStream::connect(address).is_err());
    line.plug().unwrap();
    assert_eq!(line.address(), Some(address));
    ask(&mut TcpStream::connect(address).unwrap(), &READ_MODBUS, 9);
}

#[test]
fn modbus_tcp_serves_several_clients_at_once() {
    let line = LineConfig { modbus: ModbusFraming::Tcp, ..LineConfig::tcp("plant", localhost()) };
    let simulator = start(line.with([MeterConfig::modbus("P").count(2)]));
    let address = simulator.line("plant").unwrap().address().unwrap();
    let mut clients = [1, 2].map(|unit| (unit, TcpStream::connect(address).unwrap()));
    for round in 0..10 {
        for (unit, stream) in &mut clients {
            stream.write_all(&[0, round, 0, 0, 0, 6, *unit, 4, 0, 0, 0, 2]).unwrap();
        }
        for (unit, stream) in &mut clients {
            let answer = read_exactly(stream, 13);
            assert_eq!(answer[..9], [0, round, 0, 0, 0, 7, *unit, 4, 4]);
        }
    }
    assert_eq!(simulator.journal().total(), 20);
}

#[test]
fn a_meter_is_killed_and_revived_and_given_faults_live() {
    let simulator = start(fast(LineConfig::memory("L").with(three_meters())));
    let mut stream = simulator.line("L").unwrap().connect().unwrap();
    let (dead, alive) = (simulator.meter("m").unwrap(), simulator.meter("r").unwrap());
    dead.silence();
    assert!(dead.is_silenced());
    stream.write_all(&REQ_UD2).unwrap();
    wait_until(|| simulator.line("L").unwrap().counters().requests == 1);
    assert_eq!(ask(&mut stream, &READ_MODBUS, 9)[0], 1, "the other one answers");
    dead.revive();
    ask(&mut stream, &REQ_UD2, TYPICAL_BYTES);

    alive.set_fault(Some(Fault::WrongChecksum));
    let wrong = ask(&mut stream, &READ_MODBUS, 9);
    alive.set_fault(None);
    let right = ask(&mut stream, &READ_MODBUS, 9);
    assert_ne!(wrong[3..7], right[3..7]);
    let spoilt: Vec<_> = alive.said().iter().map(|said| said.spoilt).collect();
    assert_eq!(spoilt, [None, Some(Fault::WrongChecksum), None]);
    assert!(
        alive.set_faults(vec![weir_simulator::FaultRule { fault: Fault::Slow, probability: 2.0 }]).is_err()
    );
}

#[test]
fn an_echoing_line_sends_every_request_back_first() {
    let line = LineConfig { echo: true, baud: 38_400, ..LineConfig::memory("L") };
    let simulator = start(line.with(three_meters()));
    let mut stream = simulator.line("L").unwrap().connect().unwrap();
    let answer = ask(&mut stream, &READ_MODBUS, 8 + 9);
    assert_eq!(answer[..8], READ_MODBUS);
    assert_eq!(answer[8..11], [1, 3, 4]);
    stream.write_all(&[0x55]).unwrap();
    assert_eq!(read_exactly(&mut stream, 1), [0x55], "whatever it is");
}

#[test]
fn a_slow_answer_may_meet_the_next_one_on_the_wire() {
    let slow = MeterConfig { slow_ms: 40, ..MeterConfig::mbus("slow").address(1).latency_ms(0) };
    let meters = [slow.fault(Fault::Slow), MeterConfig::modbus("next").address(1).latency_ms(0)];
    let simulator = start(LineConfig { baud: 1200, ..LineConfig::memory("L") }.with(meters));
    let mut stream = simulator.line("L").unwrap().connect().unwrap();
    stream.write_all(&[&REQ_UD2[..], &READ_MODBUS].concat()).unwrap();
    // The slow one begins 40 ms after the end of the first request, the other 73 ms after it.
    let bytes = read_exactly(&mut stream, TYPICAL_BYTES);
    assert_eq!(bytes[..3], [0x68, 0x3C, 0x3C], "three characters alone");
    assert_eq!(bytes[3], 0x68 & 0x01, "then both");
    let said = simulator.journal().since(0);
    assert_eq!(said.len(), 2);
    assert!(said.iter().all(|said| said.spoilt == Some(Fault::Collision)));
}

#[test]
fn what_is_asked_while_a_meter_talks_is_lost() {
    let simulator = start(LineConfig { baud: 600, ..LineConfig::memory("L") }.with(three_meters()));
    let line = simulator.line("L").unwrap();
    let mut stream = line.connect().unwrap();
    ask(&mut stream, &REQ_UD2, 1);
    stream.write_all(&READ_MODBUS).unwrap();
    read_exactly(&mut stream, TYPICAL_BYTES - 1);
    assert_eq!(line.counters().bytes_discarded, 8);
    assert_eq!(ask(&mut stream, &READ_MODBUS, 9)[0], 1);
    assert_eq!(simulator.meter("r").unwrap().said().len(), 1);
}

#[test]
fn answers_that_nobody_reads_overflow_and_stop_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("riser");
    let simulator = start(fast(LineConfig::pty("riser", &path).with(three_meters())));
    let line = simulator.line("riser").unwrap();
    let mut port = open(&path);
    let mut asked = 0;
    while line.counters().bytes_overflowed == 0 {
        assert!(asked < 10_000, "more than any pty holds");
        port.write_all(&READ_MODBUS).unwrap();
        asked += 1;
        wait_until(|| line.counters().requests == asked);
    }
    rustix::termios::tcflush(&port, rustix::termios::QueueSelector::IFlush).unwrap();
    wait_until(|| line.counters().answers == asked);
    rustix::termios::tcflush(&port, rustix::termios::QueueSelector::IFlush).unwrap();
    assert_eq!(ask(&mut port, &READ_MODBUS, 9)[..3], [1, 3, 4]);
}

#[test]
fn a_strict_meter_hears_only_at_its_own_speed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("riser");
    let line = LineConfig { strict_baud: true, ..LineConfig::pty("riser", &path) };
    let simulator = start(fast(line.with([MeterConfig::modbus("r").address(1)])));
    let line = simulator.line("riser").unwrap();
    let mut port = open(&path);
    let set_speed = |port: &File, baud| {
        let mut attributes = rustix::termios::tcgetattr(port).unwrap();
        attributes.set_speed(baud).unwrap();
        rustix::termios::tcsetattr(port, rustix::termios::OptionalActions::Now, &attributes).unwrap();
    };
    set_speed(&port, 9600);
    port.write_all(&READ_MODBUS).unwrap();
    wait_until(|| line.counters().requests == 1);
    set_speed(&port, 2400);
    ask(&mut port, &READ_MODBUS, 9);
    assert_eq!(line.counters().answers, 1);
}

#[test]
fn what_cannot_be_opened_is_said_with_its_line_and_place() {
    let folder = tempfile::tempdir().unwrap();
    let occupied = folder.path().join("file");
    std::fs::write(&occupied, "not a link").unwrap();
    let error = |line| Simulator::start(Config { lines: vec![line], ..Config::default() }).unwrap_err();
    let link = error(LineConfig::pty("riser", &occupied));
    assert!(matches!(link, Error::Link { .. }), "{link}");
    assert!(link.to_string().contains("riser") && link.to_string().contains("file"));
    assert_eq!(std::fs::read(&occupied).unwrap(), b"not a link", "untouched");
    let nowhere = error(LineConfig::pty("riser", folder.path().join("no/such")));
    assert!(matches!(nowhere, Error::Link { .. }), "{nowhere}");

    let first = start(LineConfig::tcp("one", localhost()));
    let address = first.line("one").unwrap().address().unwrap();
    let taken = error(LineConfig::tcp("two", address));
    assert!(taken.to_string().contains(&address.to_string()), "{taken}");
    assert!(matches!(first.line("two"), Err(Error::NoLine(_))));
    assert!(matches!(first.meter("two"), Err(Error::NoMeter(_))));
    assert!(matches!(first.line("one").unwrap().connect(), Err(Error::NotInMemory(_))));
}

#[test]
fn a_link_left_over_by_a_killed_run_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("riser");
    std::os::unix::fs::symlink("/dev/pts/999999", &path).unwrap();
    let simulator = start(fast(LineConfig::pty("riser", &path).with(three_meters())));
    ask(&mut open(&path), &READ_MODBUS, 9);
    drop(simulator);
}

#[test]
fn what_a_meter_has_obeyed_can_be_looked_up_as_soon_as_its_answer_is_read() {
    let meter = MeterConfig { serial: Some(7), ..MeterConfig::modbus("v").model("xintai").address(1) };
    let simulator = start(fast(LineConfig::memory("L").with([meter.valve_travel_ms(600_000)])));
    let mut stream = simulator.line("L").unwrap().connect().unwrap();
    let close = [0x01, 0x06, 0x00, 0x1C, 0x00, 0x02, 0xC9, 0xCD];
    let read_back = [0x01, 0x03, 0x00, 0x1C, 0x00, 0x01, 0x45, 0xCC];
    assert_eq!(simulator.meter("v").unwrap().obeyed().valve, 0);
    assert_eq!(ask(&mut stream, &close, 8), close);
    assert_eq!(simulator.meter("v").unwrap().obeyed().valve, 1);
    assert_eq!(ask(&mut stream, &read_back, 7)[3..5], [0, 0], "on its way for ten minutes");
}
