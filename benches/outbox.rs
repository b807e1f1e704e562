//! Durable appends per second and bytes written per reading, beside a bare log file that is synced as often.
//!
//! The bare log is the floor that any durable store stands on: the same bytes appended to one file, one `fdatasync` where
//! the outbox makes one commit. Both run in the same process on the same file system, in turns, so that the ratio says
//! something on a noisy machine.
//!
//! Bytes are those that the block device wrote, the file system's journal included. The device's count holds what
//! others write, too, so the least of the rounds is told. The process's own count (`write_bytes` of `/proc/self/io`) will
//! not do: since ext4 keeps large folios (Linux 6.16) it counts up to 2 MiB for a change of 24 bytes.
//!
//! `cargo bench --bench outbox [-- DIRECTORY]`; a directory on the flash in question gives its figures. A second
//! argument sets the flushes of each round (300), to shorten the run.

#![expect(clippy::unwrap_used, reason = "a measuring program stops at the first surprise")]

mod gauge;

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use weir::clock;
use weir::outbox::{Config, Outbox};

use gauge::readings::{self, record};
use gauge::{Rounds, kernel, per, ratio};

/// Rounds of each way, in turns; the median counts.
const ROUNDS: usize = 5;

struct Figures {
    per_second: f64,
    /// `None` where no block device is behind the directory.
    bytes_written: Option<f64>,
    /// Records that shared a commit on the average; the outbox decides when a group is whole.
    per_commit: f64,
}

fn main() {
    let arguments: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let directory = arguments.first().map_or_else(|| PathBuf::from("target/bench-outbox"), PathBuf::from);
    let flushes = arguments.get(1).map_or(300, |flushes| flushes.parse().unwrap());
    println!("{}", kernel::machine());
    println!("a plain water reading: {} bytes encoded", record(0).encode().len());
    println!(
        "{:>9} {:>10} {:>26} {:>26} {:>20} {:>9} {:>9}",
        "per flush", "per commit", "outbox 1/s", "bare log 1/s", "ratio", "outbox B", "bare B"
    );
    for per_flush in [1, 10, 100] {
        let [mut ours, mut bare, mut ratio] = [const { Rounds::new() }; 3];
        let [mut our_bytes, mut bare_bytes, mut per_commit] = [const { Rounds::new() }; 3];
        for round in 0..ROUNDS {
            let folder = directory.join(format!("{per_flush}-{round}"));
            fs::create_dir_all(&folder).unwrap();
            let outbox = outbox(&folder, per_flush, flushes);
            let log = bare_log(&folder.join("log"), per_flush, flushes);
            fs::remove_dir_all(&folder).unwrap();
            ours.add(outbox.per_second);
            bare.add(log.per_second);
            ratio.add(outbox.per_second / log.per_second);
            outbox.bytes_written.inspect(|bytes| our_bytes.add(*bytes));
            log.bytes_written.inspect(|bytes| bare_bytes.add(*bytes));
            per_commit.add(outbox.per_commit);
        }
        println!(
            "{per_flush:>9} {:>10.1} {:>26} {:>26} {:>20} {:>9.0} {:>9.0}",
            per_commit.median(),
            format!("{ours:.0}"),
            format!("{bare:.0}"),
            format!("{ratio:.2}"),
            our_bytes.least(),
            bare_bytes.least()
        );
    }
}

/// Appends to an outbox, each group awaited before the next is begun.
fn outbox(folder: &Path, per_flush: u64, flushes: u64) -> Figures {
    // Never due by time: the hundredth record or, for smaller groups, the closing of the group decides.
    let commit_window = if per_flush >= 100 { Duration::from_secs(3600) } else { Duration::ZERO };
    let config = Config { commit_window, ..readings::config(&folder.join("outbox")) };
    let outbox = readings::opened(config);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let figures =
        measure(folder, per_flush * flushes, || runtime.block_on(append(&outbox, per_flush, flushes)));
    let stats = runtime.block_on(outbox.stats()).unwrap().readings;
    runtime.block_on(outbox.close()).unwrap();
    Figures { per_commit: ratio(stats.stored, stats.commits), ..figures }
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
    measure(path, per_flush * flushes, || {
        for flush in 0..flushes {
            for number in 0..per_flush {
                file.write_all(&record(flush * per_flush + number).encode()).unwrap();
            }
            file.sync_data().unwrap();
        }
    })
}

fn measure(on: &Path, records: u64, work: impl FnOnce()) -> Figures {
    let (bytes, begin) = (kernel::bytes_written(on), clock::now());
    work();
    let seconds = clock::now().since(begin).as_secs_f64();
    let bytes_written =
        bytes.zip(kernel::bytes_written(on)).map(|(before, after)| ratio(after - before, records));
    Figures { per_second: per(records, seconds), bytes_written, per_commit: f64::NAN }
}
