//! Line efficiency: what the exchanges need on the wire at best, divided by the time they took.
//!
//! A paced simulator answers on a real pty, and the whole line reads it back to back into a real outbox, on a runtime
//! like the daemon's. The ideal counts request, the meter's latency and answer at wire speed, of good exchanges only;
//! the simulator adds it up (`LineCounters::ideal`). Both ends of a measurement are taken at the end of an answer, so
//! that no part of a poll is counted.
//!
//! *The bare master* is the reference: a blocking thread that writes the same requests, knows the answers' lengths and
//! keeps the same silence, and does nothing else. What it loses is lost by the simulator, the kernel and the machine.
//!
//! *Dead meters*, one in ten, are silent from the start. The measurement begins when each has failed once. From then on
//! this line, which always has something due, makes one probe in two minutes (`weir::limits::PROBE_YIELDS_MAX`): the most
//! that dead meters ever cost it, and three to five times what they cost once each of them is probed once an hour. The
//! probes that were met are told, and so is what they will cost in the end.
//!
//! The simulator lives in this process, on a thread of its own with absolute deadlines. A process of its own would
//! run the same thread on the same processors, and its counters would have to be asked for over a socket.
//!
//! *On a busy machine* `--real-time 20` (as root) lets the threads that keep time go before all other work: the
//! runtime's workers, the simulated line, the bare master. Never give the whole program such a priority: sled's threads
//! spin while they wait for each other, and at a real-time priority nothing else would ever run.
//!
//! `cargo bench --bench line_efficiency -- --help`

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a measuring program stops at the first surprise"
)]

mod gauge;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use clap::Parser;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Mode, OFlags};
use weir::clock::{self, Moment};
use weir::line;
use weir_mbus::{Address, Mbus, Options};
use weir_meter::{Driver, Serial, StopBits};
use weir_modbus::{Framing, Modbus, profiles};
use weir_simulator::{Config, LineConfig, LineHandle, MeterConfig, Parity, Simulator};

use gauge::{Rounds, kernel, per, readings};

/// Shorter than any cycle here: the line polls back to back.
const EVERY: Duration = Duration::from_secs(5);
/// Probes of a dead meter, once it is backed off from for good.
const PROBES_PER_SECOND: f64 = 1.0 / 3600.0;
/// The measurement is cut into so many parts, to show its spread.
const PARTS: u32 = 5;
const LINE: &str = "bench";
const BARE: &str = "bare master";
/// The threads that keep time, by the names the kernel shows.
const KEEP_TIME: [&str; 3] = ["tokio-rt-worker", "sim bench", BARE];

#[derive(Parser)]
struct Args {
    /// Only this case: mbus, modbus, mbus-dead or modbus-dead
    #[arg(long)]
    only: Option<String>,
    /// Seconds of each measurement
    #[arg(long, default_value_t = 120.0)]
    seconds: f64,
    /// Seconds before a measurement with all meters alive
    #[arg(long, default_value_t = 30.0)]
    warm_up: f64,
    /// Seconds before a measurement with dead meters
    #[arg(long, default_value_t = 150.0)]
    warm_up_dead: f64,
    /// Real-time priority (SCHED_FIFO, 1 to 99) of the threads that keep time; needs root
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=99))]
    real_time: Option<u8>,
    /// Worker threads of the runtime; the daemon has 2
    #[arg(long, default_value_t = 2)]
    workers: usize,
    /// Where the outbox is made
    #[arg(long, default_value = env!("CARGO_TARGET_TMPDIR"))]
    directory: PathBuf,
    /// What `cargo bench` passes
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy)]
struct Case {
    name: &'static str,
    meters: u8,
    is_modbus: bool,
    is_tenth_dead: bool,
}

const CASES: [Case; 4] = [
    Case { name: "mbus", meters: 60, is_modbus: false, is_tenth_dead: false },
    Case { name: "modbus", meters: 100, is_modbus: true, is_tenth_dead: false },
    Case { name: "mbus-dead", meters: 60, is_modbus: false, is_tenth_dead: true },
    Case { name: "modbus-dead", meters: 100, is_modbus: true, is_tenth_dead: true },
];

fn main() {
    let args = Args::parse();
    println!("{}", kernel::machine());
    if let Some(priority) = args.real_time {
        println!("threads that keep time: real-time priority {priority}");
    }
    println!(
        "{:<12} {:>26} {:>26} {:>8} {:>20} {:>9} {:>7}",
        "case", "efficiency (parts)", "bare master (parts)", "share", "limit, gap of", "polls/min", "probes"
    );
    for case in CASES.iter().filter(|case| args.only.as_deref().is_none_or(|only| only == case.name)) {
        measure(case, &args);
    }
}

fn measure(case: &Case, args: &Args) {
    let folder = tempfile::tempdir_in(&args.directory).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = { runtime }.worker_threads(args.workers).enable_all().build().unwrap();

    let simulator = case.simulator(folder.path());
    let outbox = readings::opened(readings::config(&folder.path().join("outbox")));
    let config = case.line(simulator.line(LINE).unwrap().path().unwrap());
    let running = runtime.block_on(async { line::start(config, outbox.clone()) });
    args.hurry();
    thread::sleep(Duration::from_secs_f64(if case.is_tenth_dead { args.warm_up_dead } else { args.warm_up }));
    let (silent, seconds) = (silent_polls(&running), args.seconds);
    let ours = watch(simulator.line(LINE).unwrap(), seconds);
    let probes = silent_polls(&running) - silent;
    runtime.block_on(async {
        running.stop().await;
        outbox.close().await.unwrap();
    });
    drop(simulator);

    let simulator = case.simulator(folder.path());
    let bare = Bare::start(case, simulator.line(LINE).unwrap().path().unwrap());
    args.hurry();
    thread::sleep(Duration::from_secs_f64(args.warm_up.min(5.0)));
    let reference = watch(simulator.line(LINE).unwrap(), seconds);
    drop(bare);
    case.tell(&ours, &reference, probes);
}

impl Args {
    /// Gives the threads that keep time their priority. What they start later does not inherit it.
    fn hurry(&self) {
        let Some(priority) = self.real_time else { return };
        for thread in std::fs::read_dir("/proc/self/task").unwrap() {
            let thread = thread.unwrap();
            let name = std::fs::read_to_string(thread.path().join("comm")).unwrap();
            if !KEEP_TIME.contains(&name.trim_end()) {
                continue;
            }
            let mut chrt = std::process::Command::new("chrt");
            chrt.args(["--reset-on-fork", "--fifo", "--pid", &priority.to_string()]).arg(thread.file_name());
            assert!(chrt.status().unwrap().success(), "real-time priority needs root");
        }
    }
}

/// Polls that met silence, of all meters.
fn silent_polls(line: &line::Handle) -> u64 {
    line.status().meters.iter().map(|meter| meter.counters.silent).sum()
}

/// What was seen of a line.
struct Watched {
    efficiency: f64,
    parts: Rounds,
    ideal: Duration,
    answers: u64,
    elapsed: Duration,
}

fn watch(line: &LineHandle, seconds: f64) -> Watched {
    let mut parts = Rounds::new();
    let begin = next_answer(line);
    let mut last = begin;
    for part in 1..=PARTS {
        let until = begin.at + Duration::from_secs_f64(seconds) * part / PARTS;
        thread::sleep(until.since(clock::now()));
        let now = next_answer(line);
        parts.add((now.ideal - last.ideal).as_secs_f64() / now.at.since(last.at).as_secs_f64());
        last = now;
    }
    let (ideal, elapsed) = (last.ideal - begin.ideal, last.at.since(begin.at));
    let efficiency = ideal.as_secs_f64() / elapsed.as_secs_f64();
    Watched { efficiency, parts, ideal, answers: last.answers - begin.answers, elapsed }
}

#[derive(Clone, Copy)]
struct Edge {
    at: Moment,
    ideal: Duration,
    answers: u64,
}

/// Waits for the end of the next good answer. A millisecond late at most, of seconds that are measured.
fn next_answer(line: &LineHandle) -> Edge {
    let before = line.counters().ideal_answers;
    let give_up = clock::now() + Duration::from_secs(30);
    loop {
        let counters = line.counters();
        if counters.ideal_answers > before {
            return Edge { at: clock::now(), ideal: counters.ideal, answers: counters.ideal_answers };
        }
        assert!(clock::now() < give_up, "no answer for 30 s");
        thread::sleep(Duration::from_millis(1));
    }
}

impl Case {
    fn is_dead(&self, meter: u8) -> bool {
        self.is_tenth_dead && meter % 10 == 5
    }

    fn alive(&self) -> impl Iterator<Item = u8> {
        let case = *self;
        (1..=self.meters).filter(move |meter| !case.is_dead(*meter))
    }

    /// A fresh simulator with the same seed, and so the same meters with the same latencies.
    fn simulator(&self, folder: &Path) -> Simulator {
        let line = LineConfig::pty(LINE, folder.join("line"));
        let meters = |kind: MeterConfig| (1..=self.meters).map(move |meter| kind.clone().address(meter));
        let named = |meters: &mut dyn Iterator<Item = MeterConfig>| {
            let mut named = Vec::new();
            for (index, meter) in meters.enumerate() {
                named.push(MeterConfig { name: format!("m-{}", index + 1), ..meter });
            }
            named
        };
        let line = if self.is_modbus {
            LineConfig { baud: 9600, parity: Parity::None, ..line }
                .with(named(&mut meters(MeterConfig::modbus("m").model("bench"))))
        } else {
            line.with(named(&mut meters(MeterConfig::mbus("m").model("typical"))))
        };
        let simulator = Simulator::start(Config { lines: vec![line], ..Config::default() }).unwrap();
        for dead in (1..=self.meters).filter(|meter| self.is_dead(*meter)) {
            simulator.meter(&format!("m-{dead}")).unwrap().silence();
        }
        simulator
    }

    fn serial(&self) -> Serial {
        if self.is_modbus {
            Serial { baud: 9600, parity: weir_meter::Parity::None, stop_bits: StopBits::One }
        } else {
            Serial::DEFAULT
        }
    }

    fn driver(&self, meter: u8) -> Box<dyn Driver> {
        if !self.is_modbus {
            return Box::new(Mbus::new(Address::primary(meter).unwrap(), Options::default()));
        }
        let profile = Arc::new(profiles::load("generic-20").unwrap().unwrap());
        Box::new(Modbus::new(meter, Framing::Rtu, profile).unwrap())
    }

    /// The line as the daemon would make it; the adapter's allowance is the default for ports.
    fn line(&self, port: &Path) -> line::Config {
        let meter = |meter: u8| line::Meter {
            serial: self.serial(),
            ..line::Meter::new(format!("m-{meter}"), self.driver(meter), EVERY)
        };
        line::Config {
            name: LINE.into(),
            port: line::Port::Serial(port.to_owned()),
            echo: false,
            repeats: 2,
            adapter_allowance: Duration::from_millis(100),
            rs485: None,
            keep_raw: false,
            time_zone: jiff::tz::TimeZone::UTC,
            meters: (1..=self.meters).map(meter).collect(),
        }
    }

    /// The silence that the driver owes before each request.
    fn gap(&self) -> Duration {
        self.driver(1).timing(&self.serial()).silence
    }

    fn tell(&self, ours: &Watched, reference: &Watched, probes: u64) {
        let shown = |watched: &Watched| {
            let parts = &watched.parts;
            format!("{:.4} ({:.4} to {:.4})", watched.efficiency, parts.least(), parts.greatest())
        };
        let limit = |gap: Duration| {
            let gaps = gap.mul_f64(per(ours.answers, 1.0));
            ours.ideal.as_secs_f64() / (ours.ideal + gaps).as_secs_f64()
        };
        let gap = self.gap();
        println!(
            "{:<12} {:>26} {:>26} {:>8.4} {:>20} {:>9.1} {probes:>7}",
            self.name,
            shown(ours),
            shown(reference),
            ours.efficiency / reference.efficiency,
            format!("{:.2} ms: {:.4}", gap.as_secs_f64() * 1e3, limit(gap)),
            per(ours.answers, ours.elapsed.as_secs_f64()) * 60.0,
        );
        if self.is_modbus {
            // 3.5 characters of this line, which has no parity bit and so 10 bits a character.
            let shortest = self.serial().bits(35);
            println!("    limit with 3.5 x 10 bits: {:.4}", limit(shortest));
        }
        let lost =
            (ours.elapsed.mul_f64(ours.efficiency) + gap.mul_f64(per(ours.answers, 1.0))).as_secs_f64();
        let idle_us = (ours.elapsed.as_secs_f64() - lost) / per(ours.answers, 1.0) * 1e6;
        println!("    beyond ideal and gap: {idle_us:.0} us a poll");
        if self.is_tenth_dead {
            let dead = u64::from(self.meters) - u64::try_from(self.alive().count()).unwrap();
            let timing = self.driver(1).timing(&self.serial());
            let probe = timing.answer_window + Duration::from_millis(100);
            let cost = per(dead, 1.0) * PROBES_PER_SECOND * probe.as_secs_f64();
            println!("    one probe an hour of each of {dead} dead meters costs {cost:.4} in the long run");
        }
    }
}

/// The reference master. It asks only the meters that live.
struct Bare {
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Bare {
    fn start(case: &Case, port: &Path) -> Self {
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK;
        let port = rustix::fs::open(port, flags, Mode::empty()).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, case) = (Arc::clone(&stop), *case);
        let thread = thread::Builder::new().name(BARE.into()).spawn(move || {
            // Without it a wait would end up to 50 us late.
            rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1)).unwrap();
            let meters: Vec<u8> = case.alive().collect();
            let mut frame_count = false;
            while !stopped.load(Ordering::Relaxed) {
                frame_count = !frame_count;
                for meter in &meters {
                    bare_poll(&port, &case.request(*meter, frame_count), case.is_modbus, case.gap());
                    if stopped.load(Ordering::Relaxed) {
                        return;
                    }
                }
            }
        });
        Self { stop, thread: Some(thread.unwrap()) }
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn bare_poll(port: &std::os::fd::OwnedFd, request: &[u8], is_modbus: bool, gap: Duration) {
    assert_eq!(rustix::io::write(port, request), Ok(request.len()), "port takes the whole request");
    let (mut answer, mut buffer) = (Vec::new(), [0; 512]);
    let patience = rustix::time::Timespec { tv_sec: 5, tv_nsec: 0 };
    let is_whole = |answer: &[u8]| match answer {
        // Function, count of bytes, and in the end the CRC.
        [_, _, count, ..] if is_modbus => answer.len() >= usize::from(*count) + 5,
        // 68 L L 68 … checksum 16.
        [_, count, ..] if !is_modbus => answer.len() >= usize::from(*count) + 6,
        _ => false,
    };
    while !is_whole(&answer) {
        let ready = poll(&mut [PollFd::new(port, PollFlags::IN)], Some(&patience)).unwrap();
        assert!(ready > 0, "a living meter answers");
        let count = rustix::io::read(port, &mut buffer).unwrap();
        answer.extend_from_slice(&buffer[..count]);
    }
    if !gap.is_zero() {
        thread::sleep(gap);
    }
}

impl Case {
    fn request(&self, meter: u8, frame_count: bool) -> Vec<u8> {
        if !self.is_modbus {
            let control = if frame_count { 0x7B } else { 0x5B };
            return vec![0x10, control, meter, meter.wrapping_add(control), 0x16];
        }
        let mut request = vec![meter, 3, 0, 0, 0, 20];
        let crc = request.iter().fold(0xFFFF_u16, |crc, byte| {
            (0..8).fold(crc ^ u16::from(*byte), |crc, _| (crc >> 1) ^ if crc & 1 == 1 { 0xA001 } else { 0 })
        });
        request.extend(crc.to_le_bytes());
        request
    }
}
