//! From a command's arrival to its first byte on a line that always has something due.
//!
//! The whole way in this process: a signed command is handed to the clerk's desk, verified, authorised, journalled and
//! flushed, its task visits the meter, and the line, polled back to back at 2400 Bd by a paced simulator, turns to it. The
//! clock stops at the first request about the commanded meter, which is never polled itself. Beside it stands the longest
//! exchange of the polls of the same run, request to last byte of the answer: what a command has to wait for at most, with
//! what the way costs on top.
//!
//! The second case has a tenth of the meters dead, whose exchange is an answer window.
//!
//! `cargo bench --bench command_latency -- --help`

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a measuring program stops at the first surprise"
)]

mod gauge;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Parser;
use glob::Pattern;
use jiff::tz::TimeZone;
use weir::clock::{self, Moment};
use weir::command::authorise::{Expected, MeterPolicy, Policy};
use weir::command::keys::{Grant, Key, Keys, SecretKey};
use weir::command::{self, Origin, Reception, Rules, jws};
use weir::line::{self, FrameKind, Shown};
use weir_mbus::{Address, Mbus, Options};
use weir_simulator::{Config, LineConfig, MeterConfig, Simulator};
use weir_wire::Action;

use gauge::{kernel, readings};

const LINE: &str = "bench";
const METERS: u8 = 20;
/// The one that is commanded.
const COMMANDED: &str = "commanded";

#[derive(Parser)]
struct Args {
    /// Commands of each case
    #[arg(long, default_value_t = 200)]
    commands: u32,
    /// Where outbox and journal are made
    #[arg(long, default_value = env!("CARGO_TARGET_TMPDIR"))]
    directory: PathBuf,
    /// What `cargo bench` passes
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    let args = Args::parse();
    println!("{}", kernel::machine());
    println!(
        "{:<12} {:>9} {:>8} {:>8} {:>8} {:>22} {:>14}",
        "case", "commands", "p50 ms", "p99 ms", "most ms", "longest exchange ms", "p99, share"
    );
    for (name, is_tenth_dead) in [("mbus", false), ("mbus-dead", true)] {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let folder = tempfile::tempdir_in(&args.directory).unwrap();
        let (mut waits, longest) = runtime.block_on(measure(folder.path(), args.commands, is_tenth_dead));
        waits.sort_unstable();
        let at = |share: usize| waits[(waits.len() - 1) * share / 100];
        let ms = |time: Duration| time.as_secs_f64() * 1000.0;
        println!(
            "{name:<12} {:>9} {:>8.0} {:>8.0} {:>8.0} {:>22.0} {:>14.2}",
            waits.len(),
            ms(at(50)),
            ms(at(99)),
            ms(at(100)),
            ms(longest),
            ms(at(99)) / ms(longest)
        );
    }
}

async fn measure(folder: &Path, commands: u32, is_tenth_dead: bool) -> (Vec<Duration>, Duration) {
    let port = folder.join("tty");
    let meters = (1..=METERS).map(|n| MeterConfig::mbus(format!("A-{n}")).address(n));
    let commanded = MeterConfig::mbus(COMMANDED).address(METERS + 1);
    let simulated = LineConfig::pty(LINE, &port).with(meters).with([commanded]);
    let simulator = Simulator::start(Config { lines: vec![simulated], ..Config::default() }).unwrap();
    if is_tenth_dead {
        (1..=METERS).step_by(10).for_each(|n| simulator.meter(&format!("A-{n}")).unwrap().silence());
    }
    let outbox = readings::opened(readings::config(&folder.join("outbox")));
    let line = line::start(line_config(&port), outbox.clone());
    let secret = SecretKey::generate("bench").unwrap();
    let config = command_config(folder, &secret);
    let running = command::start(config, None, TimeZone::UTC, std::slice::from_ref(&line), &outbox).unwrap();
    let desk = running.desk();
    let mut watching = line.watch().unwrap();

    let (mut waits, mut longest) = (Vec::new(), Duration::ZERO);
    let mut begun: Option<Moment> = None;
    let mut asked: Option<Moment> = None;
    for n in 0..commands {
        // Anywhere within an exchange.
        let until = clock::now() + Duration::from_millis(fastrand::u64(2000..4000));
        loop {
            let left = until.since(clock::now());
            if asked.is_none() && left.is_zero() {
                let command = sign(n, &secret);
                asked = Some(clock::now());
                let desk = desk.clone();
                tokio::spawn(async move {
                    let said = desk.take(command.into_bytes(), Origin::Local).await;
                    assert!(matches!(said, Reception::Accepted { .. }), "{said:?}");
                });
            }
            let wait = if asked.is_some() { Duration::from_secs(60) } else { left };
            let Ok(shown) = tokio::time::timeout(wait, watching.next()).await else { continue };
            let Some(Shown::Frame(frame)) = shown else { panic!("the line has stopped, or is not followed") };
            let at = Moment::from_boot(Duration::from_millis(frame.uptime_ms));
            if frame.about.as_deref() == Some(COMMANDED) {
                if frame.kind == FrameKind::Request
                    && let Some(asked) = asked.take()
                {
                    waits.push(at.since(asked));
                    break;
                }
                continue;
            }
            match frame.kind {
                FrameKind::Request => begun = Some(at),
                FrameKind::Answer | FrameKind::Silence => {
                    longest = longest.max(begun.take().map_or(Duration::ZERO, |begun| at.since(begun)));
                }
                _ => {}
            }
        }
    }
    line.stop().await;
    running.stop().await;
    outbox.close().await.unwrap();
    (waits, longest)
}

fn line_config(port: &Path) -> line::Config {
    let meter = |id: String, address: u8, every| {
        let driver = Mbus::new(Address::primary(address).unwrap(), Options::default());
        line::Meter::new(id, Box::new(driver), every)
    };
    // Shorter than any cycle here: the line polls back to back.
    let mut meters: Vec<line::Meter> =
        (1..=METERS).map(|n| meter(format!("A-{n}"), n, Duration::from_secs(2))).collect();
    meters.push(meter(COMMANDED.into(), METERS + 1, Duration::from_secs(86_400)));
    line::Config {
        name: LINE.into(),
        port: line::Port::Serial(port.into()),
        echo: false,
        repeats: 2,
        adapter_allowance: Duration::from_millis(100),
        rs485: None,
        keep_raw: false,
        time_zone: TimeZone::UTC,
        meters,
    }
}

fn command_config(folder: &Path, secret: &SecretKey) -> command::Config {
    let mut keys = Keys::default();
    let meters = vec![Pattern::new("*").unwrap()];
    let grant = Grant { actions: vec![Action::ClockSet], meters, not_after: None };
    keys.insert(secret.id().into(), Key { public: secret.public(), grant });
    let policy = MeterPolicy { line: LINE.into(), locked_open: false, expected: Expected::Anybody };
    command::Config {
        gateway: "gw-1".into(),
        directory: folder.join("commands"),
        topic: "none".into(),
        rules: Rules {
            lifetime_max: Duration::from_secs(3600),
            skew: Duration::ZERO,
            trust_clock: true,
            policy: Policy {
                keys,
                meters: BTreeMap::from([(COMMANDED.to_owned(), policy)]),
                closings_per_hour_max: 0,
                closings_per_day_max: 0,
            },
        },
    }
}

fn sign(n: u32, secret: &SecretKey) -> String {
    let now = clock::wall();
    let later = now + jiff::SignedDuration::from_secs(600);
    let payload = format!(
        r#"{{"id":"0192f0c1-7d1c-7a53-9f0e-{n:012}","gateway":"gw-1","meter":"{COMMANDED}","action":"clock.set","issued_at":"{now}","not_after":"{later}"}}"#
    );
    jws::sign(payload.as_bytes(), secret)
}
