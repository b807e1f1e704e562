//! The daemon with a thousand meters on eight lines: memory, processor time, threads; and how soon it polls after a
//! start with a full outbox.
//!
//! The built `weir` runs as a process of its own. The meters are simulated in this one: four M-Bus lines at 2400 Bd and
//! four Modbus RTU lines at 9600 Bd with 125 meters each, paced, on ptys; bytes are delivered 20 ms at a time, as a
//! USB adapter does, so that eight lines do not cost more of the machine than the daemon that is measured. The broker
//! is librdkafka's mock cluster, also in this process, or a real one (`--kafka`).
//!
//! *Start*: `weir run` with the same thousand meters, and a ninth line whose 40 meters fall due 25 ms one after the other, so
//! that the first poll need not wait for its slot: what is measured is up to 25 ms too long. The time runs from the
//! start of the process to the first request's bytes at the simulator. Nobody listens at the broker's address. `cold`
//! means that the outbox and the program were taken out of the page cache before, as after a reboot.
//!
//! `cargo bench --bench fleet -- --help`

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a measuring program stops at the first surprise"
)]

mod gauge;
#[path = "../tests/harness/mod.rs"]
mod harness;

use std::fmt::Write;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use clap::Parser;
use rdkafka::mocking::MockCluster;
use weir::clock;
use weir_simulator::{Config, LineConfig, MeterConfig, Parity, Simulator};

use gauge::kernel::{self, Usage};
use gauge::{Rounds, per, readings};
use harness::weir::{Weir, weir_command};

const LINES: usize = 8;
const METERS_PER_LINE: usize = 125;
/// The line whose first request ends the measurement of a start, and its meters.
const FIRST: &str = "first";
const FIRST_METERS: u8 = 40;
/// The address of a broker that nobody has started: port 1 is `tcpmux`, and no Kafka.
const UNREACHABLE: &str = "127.0.0.1:1";

#[derive(Parser)]
struct Args {
    /// Only this part: steady or start
    #[arg(long)]
    only: Option<String>,
    /// How often each meter is polled
    #[arg(long, default_value = "1m")]
    every: String,
    /// Seconds before memory and processor time are measured
    #[arg(long, default_value_t = 120)]
    settle: u64,
    /// Seconds over which they are measured
    #[arg(long, default_value_t = 120)]
    seconds: u64,
    /// A real broker (topics weir.readings and weir.events) in place of the mock cluster
    #[arg(long, value_name = "HOST:PORT")]
    kafka: Option<String>,
    /// An environment variable for the daemon, such as MALLOC_ARENA_MAX=2
    #[arg(long, value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// Readings that wait at the start
    #[arg(long, default_value_t = 2_000_000)]
    waiting: u64,
    /// Starts with an empty outbox, with a full one, and with a full one and cold
    #[arg(long, default_value_t = 5)]
    starts: usize,
    /// Where the full outbox is made
    #[arg(long, default_value = env!("CARGO_TARGET_TMPDIR"))]
    directory: PathBuf,
    /// What `cargo bench` passes
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    let args = Args::parse();
    println!("{}", kernel::machine());
    let is_wanted = |part: &str| args.only.as_deref().is_none_or(|only| only == part);
    if is_wanted("steady") {
        steady(&args);
    }
    if is_wanted("start") {
        start(&args);
    }
}

/// The fleet of eight lines, and perhaps one more.
fn simulate(folder: &Path, with_first: bool) -> Simulator {
    let mut lines: Vec<LineConfig> = (0..LINES)
        .map(|line| {
            let name = format!("line-{line}");
            let kind = if is_modbus(line) {
                MeterConfig::modbus(format!("m-{line}")).model("bench")
            } else {
                MeterConfig::mbus(format!("m-{line}")).model("typical")
            };
            let config = LineConfig { quantum_ms: 20, ..LineConfig::pty(&name, folder.join(&name)) };
            let config = if is_modbus(line) { modbus_line(config, 9600) } else { config };
            config.with([kind.count(u16::try_from(METERS_PER_LINE).unwrap())])
        })
        .collect();
    if with_first {
        let config = modbus_line(LineConfig::pty(FIRST, folder.join(FIRST)), 115_200);
        let meters = MeterConfig::modbus("f").model("bench").latency_ms(1).count(u16::from(FIRST_METERS));
        lines.push(config.with([meters]));
    }
    Simulator::start(Config { lines, ..Config::default() }).unwrap()
}

fn is_modbus(line: usize) -> bool {
    line >= LINES / 2
}

fn modbus_line(config: LineConfig, baud: u32) -> LineConfig {
    LineConfig { baud, parity: Parity::None, ..config }
}

/// The daemon's configuration for that fleet.
fn config(folder: &Path, ports: &Path, outbox: &Path, broker: &str, every: &str, with_first: bool) -> String {
    let mut text = format!(
        "[gateway]\nid = \"{}\"\ntime_zone = \"UTC\"\nstate_directory = {:?}\ncontrol_socket = {:?}\n\
         [outbox]\ndirectory = {:?}\nreadings_max = \"64 GiB\"\n\
         [uplink]\nunsynced_hold = \"0s\"\n[uplink.kafka]\nbrokers = [{broker:?}]\n",
        readings::GATEWAY,
        folder.join("state"),
        folder.join("control.sock"),
        outbox,
    );
    let modbus = "driver = \"modbus\"\nprofile = \"generic-20\"\nparity = \"none\"\n";
    for line in 0..LINES {
        let driver =
            if is_modbus(line) { format!("{modbus}baud = 9600\n") } else { "driver = \"mbus\"\n".into() };
        let port = ports.join(format!("line-{line}"));
        write!(text, "[[lines]]\nname = \"line-{line}\"\nport = {port:?}\nevery = \"{every}\"\n{driver}")
            .unwrap();
        for meter in 1..=METERS_PER_LINE {
            let id = format!("m-{line}-{meter:03}");
            write!(text, "[[meters]]\nid = \"{id}\"\nline = \"line-{line}\"\naddress = {meter}\n").unwrap();
        }
    }
    if with_first {
        let port = ports.join(FIRST);
        write!(
            text,
            "[[lines]]\nname = \"{FIRST}\"\nport = {port:?}\nevery = \"1s\"\n{modbus}baud = 115200\n"
        )
        .unwrap();
        for meter in 1..=FIRST_METERS {
            let offset_ms = u32::from(meter - 1) * 1000 / u32::from(FIRST_METERS);
            let table = format!("[[meters]]\nid = \"f-{meter:03}\"\nline = \"{FIRST}\"\naddress = {meter}\n");
            writeln!(text, "{table}offset = \"{offset_ms}ms\"").unwrap();
        }
    }
    text
}

/// Memory, processor time and threads while it polls and drains.
fn steady(args: &Args) {
    let ports = tempfile::tempdir().unwrap();
    let simulator = simulate(ports.path(), false);
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("weir.readings", 4, 1).unwrap();
    cluster.create_topic("weir.events", 1, 1).unwrap();
    let broker = args.kafka.clone().unwrap_or_else(|| cluster.bootstrap_servers());
    let mut weir = Weir::prepare(|folder| {
        config(folder, ports.path(), &folder.join("outbox"), &broker, &args.every, false)
    });
    for pair in &args.env {
        let (name, value) = pair.split_once('=').expect("NAME=VALUE");
        weir.set_environment(name, value);
    }
    weir.start();
    weir.wait_ready(Duration::from_secs(30));
    thread::sleep(Duration::from_secs(args.settle));

    let process = weir.process().id();
    let polls = || simulator.lines().iter().map(|line| line.counters().answers).sum::<u64>();
    let (begin, before, polls_before) = (clock::now(), Usage::of(process), polls());
    let mut resident = Rounds::new();
    for _ in 0..args.seconds {
        thread::sleep(Duration::from_secs(1));
        resident.add(mebibytes(Usage::of(process).resident_kib));
    }
    let (after, seconds) = (Usage::of(process), clock::now().since(begin).as_secs_f64());
    println!("steady state, {} meters on {LINES} lines every {}:", LINES * METERS_PER_LINE, args.every);
    println!("  RSS            {resident:.1} MiB, peak {:.1}", mebibytes(after.peak_kib));
    let of_files = after.resident_kib - after.anonymous_kib;
    println!(
        "    of it        {:.1} anonymous, {:.1} of files",
        mebibytes(after.anonymous_kib),
        mebibytes(of_files)
    );
    println!("  PSS            {:.1} MiB", mebibytes(after.proportional_kib));
    println!("  processor time {:.2} % of one", (after.cpu - before.cpu).as_secs_f64() / seconds * 100.0);
    println!("  threads        {}", after.threads);
    println!("  polls          {:.1} 1/s", per(polls() - polls_before, seconds));
    println!("  waiting, acknowledged: {:?}", waiting(&weir));
    tell_mappings(process);
    weir.stop(Duration::from_secs(60));
}

fn mebibytes(kib: u64) -> f64 {
    per(kib, 1024.0)
}

/// Readings that wait, and that were acknowledged, by the daemon's own account.
fn waiting(weir: &Weir) -> (u64, u64) {
    let mut command = weir_command();
    let told =
        command.args(["outbox", "stats", "--json", "--config"]).arg(weir.config_path()).output().unwrap();
    let told: serde_json::Value = serde_json::from_slice(&told.stdout).expect("the daemon tells its figures");
    let figure = |name: &str| told["outbox"]["readings"][name].as_u64().unwrap();
    (figure("waiting"), figure("acknowledged"))
}

/// The greatest parts of its resident memory, by mapping.
fn tell_mappings(process: u32) {
    let smaps = fs::read_to_string(format!("/proc/{process}/smaps")).unwrap_or_default();
    let mut parts = std::collections::BTreeMap::<String, u64>::new();
    let mut name = String::new();
    for line in smaps.lines() {
        let mut words = line.split_whitespace();
        let first = words.next().unwrap_or_default();
        if first == "Rss:" {
            *parts.entry(name.clone()).or_default() += words.next().unwrap().parse::<u64>().unwrap();
        } else if !first.ends_with(':') {
            name = words.nth(4).unwrap_or("(anonymous: arenas, stacks)").to_owned();
        }
    }
    let mut parts: Vec<_> = parts.into_iter().collect();
    parts.sort_by_key(|(_, kib)| std::cmp::Reverse(*kib));
    for (name, kib) in parts.iter().take(6) {
        let name = Path::new(name).file_name().map_or_else(|| name.into(), |name| name.to_string_lossy());
        println!("    {:>6.1} MiB {name}", mebibytes(*kib));
    }
}

/// From the start of the process to its first request.
fn start(args: &Args) {
    let folder = tempfile::tempdir_in(&args.directory).unwrap();
    let (full, empty) = (folder.path().join("full"), folder.path().join("empty"));
    let begin = clock::now();
    readings::fill(&full, args.waiting);
    let seconds = clock::now().since(begin).as_secs_f64();
    println!("{} readings put into the outbox in {seconds:.1} s", args.waiting);
    let [mut with_empty, mut with_full, mut cold] = [const { Rounds::new() }; 3];
    for _ in 0..args.starts {
        if empty.exists() {
            fs::remove_dir_all(&empty).unwrap();
        }
        with_empty.add(time_to_first_poll(&empty, args));
        with_full.add(time_to_first_poll(&full, args));
        kernel::forget(&full);
        let program = File::open(env!("CARGO_BIN_EXE_weir")).unwrap();
        rustix::fs::fadvise(&program, 0, None, rustix::fs::Advice::DontNeed).unwrap();
        cold.add(time_to_first_poll(&full, args));
    }
    println!("start to first poll, ms:");
    println!("  empty outbox            {with_empty:.0}");
    println!("  full outbox             {with_full:.0}");
    println!("  full outbox, cold       {cold:.0}");
}

/// Milliseconds.
fn time_to_first_poll(outbox: &Path, args: &Args) -> f64 {
    let ports = tempfile::tempdir().unwrap();
    let simulator = simulate(ports.path(), true);
    let mut weir =
        Weir::prepare(|folder| config(folder, ports.path(), outbox, UNREACHABLE, &args.every, true));
    let line = simulator.line(FIRST).unwrap();
    let begin = clock::now();
    weir.start();
    while line.counters().bytes_received == 0 {
        assert!(clock::now().since(begin) < Duration::from_secs(60), "{}", weir.process().tail());
        thread::sleep(Duration::from_micros(200));
    }
    let elapsed = clock::now().since(begin);
    weir.wait_ready(Duration::from_secs(30));
    weir.stop(Duration::from_secs(60));
    elapsed.as_secs_f64() * 1e3
}
