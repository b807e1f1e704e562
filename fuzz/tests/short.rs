//! Every harness for a short while: its seeds, the kept corpus, and mutations of both, the same ones at every run.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test stops where it fails")]

use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use weir_fuzz::mutation::mutated;
use weir_fuzz::{TARGETS, Target};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// Runs one input and says which one it was when the harness panics.
fn tried(target: &Target, input: &[u8]) {
    if catch_unwind(AssertUnwindSafe(|| (target.run)(input))).is_err() {
        let hex: String = input.iter().map(|byte| format!("{byte:02X}")).collect();
        panic!("{} breaks on {hex}", target.name);
    }
}

fn for_a_short_while(name: &str, more: Vec<Vec<u8>>) {
    let target = TARGETS.iter().find(|target| target.name == name).unwrap();
    let kept = files(&folder("corpus").join(name)).into_iter().map(|file| std::fs::read(file).unwrap());
    let seeds: Vec<Vec<u8>> = (target.seeds)().into_iter().chain(kept).chain(more).collect();
    for seed in &seeds {
        tried(target, seed);
    }
    let mut rng = fastrand::Rng::with_seed(13757);
    for _ in 0..target.short_runs {
        tried(target, &mutated(&seeds, &mut rng));
    }
}

/// Telegrams of real meters, which stay outside of this repository; none after saying that they are not there.
fn real_telegrams() -> Vec<Vec<u8>> {
    // From where the conformance test has them; a relative path is the repository's.
    let corpus = std::env::var_os("WEIR_CORPUS").unwrap_or_else(|| "../shared/corpus".into());
    let shared = folder("..").join(corpus).join("mbus");
    let folders = [shared.join("frames"), shared.join("errors")];
    if !folders.iter().all(|folder| folder.is_dir()) {
        let required = std::env::var("WEIR_REQUIRE").is_ok_and(|asked| asked == "all");
        assert!(!required, "WEIR_REQUIRE=all, but {} is missing", shared.display());
        let said = writeln!(
            std::io::stderr(),
            "NOT RUN: fuzzing from real telegrams: {} is missing",
            shared.display()
        );
        said.unwrap();
        return Vec::new();
    }
    let hex = folders
        .iter()
        .flat_map(|folder| files(folder))
        .filter(|file| file.extension().is_some_and(|x| x == "hex"));
    let telegrams = hex.map(|file| {
        let text = std::fs::read_to_string(file).unwrap();
        let telegram = text.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap());
        // As it came, and its inside, which gets a right checksum however it is changed.
        telegram.collect::<Vec<u8>>()
    });
    telegrams
        .flat_map(|whole| {
            let inside: Vec<u8> = whole.iter().skip(6).take(whole.len().saturating_sub(8)).copied().collect();
            [[&[0], &whole[..]].concat(), [&[2], &inside[..]].concat()]
        })
        .collect()
}

#[test]
fn cjt188() {
    for_a_short_while("cjt188", Vec::new());
}

#[cfg(feature = "config")]
#[test]
fn commands() {
    for_a_short_while("commands", Vec::new());
}

#[cfg(feature = "config")]
#[test]
fn config() {
    for_a_short_while("config", Vec::new());
}

#[test]
fn dlt645() {
    for_a_short_while("dlt645", Vec::new());
}

#[test]
fn mbus() {
    for_a_short_while("mbus", real_telegrams());
}

#[test]
fn modbus() {
    for_a_short_while("modbus", Vec::new());
}

#[test]
fn profiles() {
    for_a_short_while("profiles", Vec::new());
}

#[test]
fn stored() {
    for_a_short_while("stored", Vec::new());
}

#[cfg(feature = "config")]
#[test]
fn every_harness_has_its_program_its_corpus_and_its_test() {
    let names: std::collections::BTreeSet<String> =
        TARGETS.iter().map(|target| target.name.to_owned()).collect();
    let stems = |folder: &Path| {
        let stems =
            files(folder).into_iter().map(|file| file.file_stem().unwrap().to_str().unwrap().to_owned());
        stems.collect::<std::collections::BTreeSet<String>>()
    };
    assert_eq!(stems(&folder("fuzz_targets")), names);
    assert_eq!(stems(&folder("corpus")), names);
    let this = include_str!("short.rs");
    for name in names {
        assert!(this.contains(&format!("for_a_short_while({name:?}")), "{name} is not tried");
    }
}

#[test]
fn an_overflow_would_be_seen() {
    assert!(catch_unwind(|| std::hint::black_box(u8::MAX) + std::hint::black_box(1)).is_err());
}
