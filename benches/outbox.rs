//! Durable appends per second and bytes written per reading, beside a bare log file that is synced as often.
//!
//! The bare log is the floor that any durable store stands on: the same bytes appended to one file, one `fdatasync` where
//! the outbox makes one commit. Both run in the same process on the same file system, in turns, so that the ratio says
//! something on a noisy machine. Bytes are those that reach the block layer (`write_bytes` of `/proc/self/io`).
//!
//! `cargo bench --bench outbox [-- DIRECTORY]`; a directory on the flash in question gives its figures.

#![expect(clippy::unwrap_used, reason = "a measuring program stops at the first surprise")]

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use weir::clock;
use weir::limits::SEGMENT_PAYLOAD_BYTES;
use weir::outbox::{Config, Outbox, WhenFull, open};
use weir::pulse::Pulse;
use weir_wire::stored::{Reading, Record};
use weir_wire::{Answer, Clock, Identity, Medium, Number, Quantity, Status, Unit, Value};

/// Rounds of each way, in turns; the median counts.
const ROUNDS: usize = 5;

struct Figures {
    per_second: f64,
    bytes_written: f64,
}

fn main() {
    let directory = std::env::args().nth(1).filter(|argument| !argument.starts_with("--"));
    let directory = directory.map_or_else(|| PathBuf::from("target/bench-outbox"), PathBuf::from);
    let payload = record(0).encode().len();
    println!("a plain water reading: {payload} bytes encoded");
    println!(
        "{:<12} {:>14} {:>14} {:>8} {:>12} {:>12}",
        "per flush", "outbox 1/s", "bare log 1/s", "ratio", "outbox B", "bare log B"
    );
    for (per_flush, flushes) in [(1, 300), (10, 300), (100, 300)] {
        let (mut ours, mut bare) = (Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            let folder = directory.join(format!("{per_flush}-{round}"));
            fs::create_dir_all(&folder).unwrap();
            ours.push(outbox(&folder, per_flush, flushes));
            bare.push(bare_log(&folder.join("log"), per_flush, flushes));
            fs::remove_dir_all(&folder).unwrap();
        }
        let (ours, bare) = (median(ours), median(bare));
        println!(
            "{per_flush:<12} {:>14.0} {:>14.0} {:>8.2} {:>12.0} {:>12.0}",
            ours.per_second,
            bare.per_second,
            ours.per_second / bare.per_second,
            ours.bytes_written,
            bare.bytes_written
        );
    }
}

/// Appends to an outbox, each group awaited before the next is begun.
fn outbox(folder: &Path, per_flush: u64, flushes: u64) -> Figures {
    let config = Config {
        gateway: "gw-bench".into(),
        directory: folder.join("outbox"),
        readings_bytes_max: 1 << 32,
        urgent_bytes_max: 1 << 30,
        free_bytes_min: 0,
        // Never due by time: the hundredth record or, for smaller groups, the closing of the group decides.
        commit_window: if per_flush >= 100 { Duration::from_secs(3600) } else { Duration::ZERO },
        when_full: WhenFull::DropOldest,
        segment_payload_bytes: SEGMENT_PAYLOAD_BYTES,
    };
    let outbox = open(config, Pulse::new("outbox")).unwrap().outbox;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let figures = measure(per_flush * flushes, || runtime.block_on(append(&outbox, per_flush, flushes)));
    runtime.block_on(outbox.close());
    figures
}

async fn append(outbox: &Outbox, per_flush: u64, flushes: u64) {
    for flush in 0..flushes {
        let mut receipts = Vec::new();
        for number in 0..per_flush {
            receipts.push(outbox.append(&record(flush * per_flush + number)).await.unwrap());
        }
        for receipt in receipts {
            receipt.await.unwrap();
        }
    }
}

fn bare_log(path: &Path, per_flush: u64, flushes: u64) -> Figures {
    let mut file = File::create(path).unwrap();
    measure(per_flush * flushes, || {
        for flush in 0..flushes {
            for number in 0..per_flush {
                file.write_all(&record(flush * per_flush + number).encode()).unwrap();
            }
            file.sync_data().unwrap();
        }
    })
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn measure(records: u64, work: impl FnOnce()) -> Figures {
    let (bytes, begin) = (bytes_written(), clock::now());
    work();
    let seconds = clock::now().since(begin).as_secs_f64();
    Figures {
        per_second: records as f64 / seconds,
        bytes_written: (bytes_written() - bytes) as f64 / records as f64,
    }
}

fn bytes_written() -> u64 {
    let io = fs::read_to_string("/proc/self/io").unwrap();
    io.lines().find_map(|line| line.strip_prefix("write_bytes: ")).unwrap().parse().unwrap()
}

fn median(mut figures: Vec<Figures>) -> Figures {
    figures.sort_by(|a, b| a.per_second.total_cmp(&b.per_second));
    figures.swap_remove(ROUNDS / 2)
}

fn record(number: u64) -> Record {
    let at = clock::wall();
    Record::Reading(Reading {
        line: "riser-1".into(),
        meter: format!("A-{:04}", number % 1000),
        driver: "mbus".into(),
        scheduled_at: Some(at),
        read_at: at,
        clock: Clock::Synced,
        boot: clock::boot(),
        uptime_ms: number,
        answer: Answer {
            identity: Identity {
                manufacturer: Some("ELS".into()),
                number: Some("12345678".into()),
                version: Some(2),
                medium: Some(Medium::ColdWater),
            },
            values: vec![Value::number(
                Quantity::Volume,
                Number::scaled(i128::from(number), -3).unwrap(),
                Unit::CubicMetre,
            )],
            status: Status { battery_low: Some(false), ..Status::default() },
            ..Answer::default()
        },
    })
}
