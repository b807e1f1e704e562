//! M-Bus telegrams decoded a second, beside the crate `m-bus-parser` on the same telegrams in the same run.
//!
//! Both run in one thread, in turns. Ours makes an owned answer: exact decimals, words of the contract, units, the bytes
//! of each record. Theirs is lazy, so it is driven as its own benchmark drives it: every record's value information with
//! labels, units and exponents. What each of them decodes at all is counted first, for speed at refusing is no merit.
//!
//! `cargo bench --bench decoding [-- DIRECTORY [SECONDS]]`: a directory of `.hex` files (by default the shared corpus), and
//! how long each of the five rounds of each takes (2).

#![expect(clippy::unwrap_used, reason = "a measuring program stops at the first surprise")]

mod gauge;

use std::hint::black_box;
use std::path::PathBuf;
use std::time::Duration;

use m_bus_parser::WiredFrame;
use m_bus_parser::mbus_data::MbusData;
use m_bus_parser::user_data::UserDataBlock;
use weir::clock;
use weir_mbus::Options;

use gauge::{Rounds, kernel, per};

/// Rounds of each way, in turns; the median counts.
const ROUNDS: usize = 5;

/// What came of one telegram.
#[derive(Clone, Copy, Default)]
struct Decoded {
    records: u64,
    /// Records that could not be read, or the telegram itself.
    faults: u64,
}

fn main() {
    let arguments: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let shared = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/corpus/mbus/frames");
    let directory = PathBuf::from(arguments.first().map_or(shared, String::as_str));
    let seconds = Duration::from_secs(arguments.get(1).map_or(2, |seconds| seconds.parse().unwrap()));
    println!("{}", kernel::machine());
    if !directory.is_dir() {
        println!("NOT RUN: {} is missing", directory.display());
        return;
    }
    let telegrams = telegrams(&directory);
    let bytes: usize = telegrams.iter().map(Vec::len).sum();
    println!("{} telegrams, {bytes} bytes, of {}", telegrams.len(), directory.display());
    counted("weir-mbus", &telegrams, ours);
    counted("m-bus-parser", &telegrams, theirs);
    let [mut our_rate, mut their_rate, mut ratio] = [const { Rounds::new() }; 3];
    for _ in 0..ROUNDS {
        let (our, their) = (rate(&telegrams, seconds, ours), rate(&telegrams, seconds, theirs));
        our_rate.add(our);
        their_rate.add(their);
        ratio.add(our / their);
    }
    println!("weir-mbus     {our_rate} telegrams a second");
    println!("m-bus-parser  {their_rate} telegrams a second");
    println!("ratio         {ratio:.2}");
}

fn telegrams(directory: &PathBuf) -> Vec<Vec<u8>> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "hex"));
    files.sort();
    let hex = |file: &PathBuf| {
        let text = std::fs::read_to_string(file).unwrap();
        text.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
    };
    files.iter().map(hex).collect()
}

fn counted(name: &str, telegrams: &[Vec<u8>], decode: fn(&[u8]) -> Decoded) {
    let all: Vec<Decoded> = telegrams.iter().map(|telegram| decode(telegram)).collect();
    let whole = all.iter().filter(|decoded| decoded.faults == 0).count();
    let records: u64 = all.iter().map(|decoded| decoded.records).sum();
    let faults: u64 = all.iter().map(|decoded| decoded.faults).sum();
    println!("{name}: {whole} telegrams without a fault, {records} records, {faults} faults");
}

/// Telegrams a second, over whole rounds through all of them.
fn rate(telegrams: &[Vec<u8>], time: Duration, decode: fn(&[u8]) -> Decoded) -> f64 {
    let started = clock::now();
    let mut count = 0;
    loop {
        for telegram in telegrams {
            black_box(decode(black_box(telegram)));
            count += 1;
        }
        let passed = clock::now().since(started);
        if passed >= time {
            return per(count, passed.as_secs_f64());
        }
    }
}

fn ours(telegram: &[u8]) -> Decoded {
    match weir_mbus::decode(telegram, &Options::default()) {
        Ok(answer) => {
            let records = u64::try_from(answer.values.len()).unwrap();
            black_box(answer);
            Decoded { records, faults: 0 }
        }
        Err(fault) => {
            black_box(fault);
            Decoded { records: 0, faults: 1 }
        }
    }
}

fn theirs(telegram: &[u8]) -> Decoded {
    let mut decoded = Decoded::default();
    let Ok(parsed) = MbusData::<WiredFrame<'_>>::try_from(telegram) else {
        return Decoded { records: 0, faults: 1 };
    };
    decoded.faults += u64::from(parsed.application_error.is_some());
    if matches!(parsed.user_data, Some(UserDataBlock::FixedDataStructure { .. })) {
        decoded.records += 2;
    }
    black_box(parsed.user_data);
    for record in parsed.data_records.into_iter().flatten() {
        let Ok(record) = record else {
            decoded.faults += 1;
            continue;
        };
        if let Some(information) = record.value_information() {
            for label in information.labels() {
                black_box(label);
            }
            for unit in information.units() {
                black_box(unit);
            }
            black_box((information.decimal_scale_exponent, information.decimal_offset_exponent));
        }
        black_box(record);
        decoded.records += 1;
    }
    decoded
}
