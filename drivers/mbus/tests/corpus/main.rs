//! The telegrams of real meters (from libmbus, BSD licence), each record of them compared with what libmbus makes of it.
//!
//! They are in `mbus/frames` and `mbus/errors` of the corpus: `../shared/corpus` as the repository sees it, or where
//! `WEIR_CORPUS` says. Without a corpus nothing is compared, which is said, or fails with `WEIR_REQUIRE=all`.
//!
//! libmbus is a witness, not the judge: where we differ on purpose, the record stands in [`DIFFERENCES`] with the reason
//! and with what we say. Nothing else may differ, and nothing may stand there that does not differ.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops where it fails")]

mod differences;
#[path = "../../../../tests/harness/not_run.rs"]
mod not_run;
mod reference;

use std::path::{Path, PathBuf};

use differences::DIFFERENCES;
use not_run::{NotRun, require, require_or_say};
use reference::Reference;
use weir_mbus::Options;
use weir_meter::Fault;
use weir_wire::{Answer, Content, Function, Number, Quantity, Raw, Value};

/// With the options of most meters: what is told apart by a setting must come out right without it.
fn decode(telegram: &[u8]) -> Result<Answer, Fault> {
    weir_mbus::decode(telegram, &Options::default())
}

/// A folder of the corpus, or `None` after saying that the test does not run.
fn corpus(folder: &str) -> Option<PathBuf> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let corpus = std::env::var_os("WEIR_CORPUS").unwrap_or_else(|| "../shared/corpus".into());
    require("M-Bus corpus", found(&repository, Path::new(&corpus), folder))
}

/// The folder in the corpus at this path, which is the repository's where it is not absolute.
fn found(repository: &Path, corpus: &Path, folder: &str) -> Result<PathBuf, NotRun> {
    let path = repository.join(corpus).join("mbus").join(folder);
    if path.is_dir() {
        return Ok(path);
    }
    Err(NotRun::because(format!("{} is missing (WEIR_CORPUS says where the corpus is)", path.display())))
}

#[test]
fn a_corpus_is_looked_for_where_it_is_said_to_be_and_missed_by_name() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let why = |corpus: &str| found(here, Path::new(corpus), "frames").unwrap_err().why;
    assert!(why("nowhere").starts_with(&*here.join("nowhere/mbus/frames").to_string_lossy()));
    assert!(why("/nowhere").starts_with("/nowhere/mbus/frames is missing"), "an absolute path stands alone");
    let folder = std::env::temp_dir().join(format!("weir-corpus-{}", std::process::id()));
    std::fs::create_dir_all(folder.join("mbus/frames")).unwrap();
    let there = found(here, &folder, "frames");
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!(there, Ok(folder.join("mbus/frames")));
}

#[test]
fn what_is_missing_is_said_and_fails_where_everything_is_to_run() {
    let mut said = Vec::new();
    let missing = || Err::<PathBuf, _>(NotRun::because("it is not here"));
    assert_eq!(require_or_say("M-Bus corpus", missing(), false, &mut said), None);
    assert_eq!(said, b"NOT RUN: M-Bus corpus: it is not here\n");
    let all = std::panic::catch_unwind(|| require_or_say("M-Bus corpus", missing(), true, &mut Vec::new()));
    assert!(all.is_err());
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "hex"))
        .collect();
    files.sort();
    files
}

fn name(path: &Path) -> String {
    path.file_stem().unwrap().to_str().unwrap().to_owned()
}

fn bytes(path: &Path) -> Vec<u8> {
    let text = std::fs::read_to_string(path).unwrap();
    text.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
}

/// A value in one line, the form in which differences are written down.
fn shown(value: &Value) -> String {
    let content = match &value.content {
        Content::Number(number) => number.to_string(),
        Content::Text(text) => format!("{text:?}"),
        Content::Date(date) => date.to_string(),
        Content::DateTime(moment) => moment.to_string(),
        Content::Invalid(why) => format!("invalid: {why}"),
        Content::Opaque => format!("opaque {}", value.raw.as_ref().unwrap()),
    };
    let unit = value.unit.as_ref().map(|unit| format!(" {unit}")).unwrap_or_default();
    format!("{} {content}{unit}", value.quantity)
}

#[test]
fn every_record_of_every_meter_is_what_the_reference_makes_of_it_or_a_known_difference() {
    let Some(folder) = corpus("frames") else { return };
    let (mut compared, mut differing, mut wrong) = (0, Vec::new(), Vec::new());
    for path in files(&folder) {
        let name = name(&path);
        let answer = decode(&bytes(&path)).unwrap_or_else(|fault| panic!("{name}: {fault}"));
        let reference = Reference::read(&path.with_extension("norm.xml"));
        reference.check_identity(&name, &answer);
        let mut values = answer.values.iter();
        for (index, record) in reference.records.iter().enumerate() {
            compared += 1;
            if record.is_empty_manufacturer_block() {
                continue;
            }
            let Some(value) = values.next() else {
                wrong.push(format!("{name} {index}: missing"));
                continue;
            };
            let place = format!("{name} {index}");
            record.check_place(&place, value);
            assert!(value.raw.as_ref().is_some_and(|raw| !raw.0.is_empty()), "{place}: no raw bytes");
            if record.agrees_with(value) {
                continue;
            }
            let known = DIFFERENCES.iter().find(|(at, ..)| *at == place);
            match known {
                Some((_, ours, _)) if *ours == shown(value) => differing.push(place),
                _ => wrong.push(format!("(\"{place}\", \"{}\", …), // reference: {record:?}", shown(value))),
            }
        }
        assert_eq!(values.next(), None, "{name}: more values than the reference has records");
    }
    assert!(wrong.is_empty(), "{} records differ:\n{}", wrong.len(), wrong.join("\n"));
    let unused: Vec<&str> = DIFFERENCES
        .iter()
        .map(|(at, ..)| *at)
        .filter(|at| !differing.iter().any(|place| place == at))
        .collect();
    assert_eq!(unused, [""; 0], "differences that are none");
    assert!(compared >= 447, "only {compared} records in the corpus");
    println!("{compared} records compared, {} differ on purpose", differing.len());
}

#[test]
fn the_records_bytes_make_up_the_whole_telegram() {
    let Some(folder) = corpus("frames") else { return };
    for path in files(&folder) {
        let telegram = bytes(&path);
        let answer = decode(&telegram).unwrap();
        assert_eq!(answer.raw, Some(Raw(telegram.clone())));
        let records: usize = answer.values.iter().map(|value| value.raw.as_ref().unwrap().0.len()).sum();
        let fillers = telegram.iter().filter(|byte| **byte == 0x2F).count();
        let header = if telegram[6] == 0x73 { 8 } else { 12 };
        let data = telegram.len() - 9 - header;
        assert!(
            (data.saturating_sub(1 + fillers)..=data).contains(&records),
            "{}: {records} of {data}",
            name(&path)
        );
    }
}

#[test]
fn every_telegram_that_breaks_off_is_garbled_and_every_flipped_bit_is_found() {
    let Some(folder) = corpus("frames") else { return };
    for path in files(&folder) {
        let telegram = bytes(&path);
        for length in 0..telegram.len() {
            let why = decode(&telegram[..length]).unwrap_err().to_string();
            assert!(
                why.starts_with("garbled: telegram breaks off"),
                "{}: {length} bytes: {why}",
                name(&path)
            );
        }
        for bit in 0..telegram.len() * 8 {
            let mut flipped = telegram.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&flipped).is_err(), "{}: bit {bit} flipped is an answer", name(&path));
        }
    }
}

/// What each telegram of the corpus's `errors` comes to.
const ERRORS: [(&str, Result<&[&str], &str>); 10] = [
    ("application_busy", Err("refused: application error: application too busy for the readout")),
    ("error", Err("refused: application error: unspecified error")),
    (
        "premature_end_of_data2",
        Ok(&[
            "volume 12.565 m3",
            "volume-flow 0.113 m3/h",
            "energy invalid: telegram ends 1 bytes before the data does Wh",
        ]),
    ),
    (
        "premature_end_of_dif2",
        Ok(&[
            "volume 12.565 m3",
            "volume-flow 0.113 m3/h",
            "unreadable invalid: telegram ends inside a data information block",
        ]),
    ),
    (
        "premature_end_of_var_vif1",
        Ok(&[
            "digital-input 0",
            "relative-humidity 45.64 %",
            "relative-humidity 45.52 %",
            "unreadable invalid: VIF text of 19 characters with 6 bytes left",
        ]),
    ),
    (
        "too_long_var_vif",
        Ok(&[
            "digital-input 0",
            "relative-humidity 45.64 %",
            "relative-humidity 45.52 %",
            "unreadable invalid: VIF text of 243 characters with 6 bytes left",
        ]),
    ),
    ("too_many_difes", Err("refused: application error: more than 10 DIFE")),
    ("too_many_records", Err("refused: application error: too many records")),
    ("too_many_vifes", Err("refused: application error: more than 10 VIFE")),
    ("unimplemented_ci", Err("refused: application error: CI field not implemented")),
];

#[test]
fn every_broken_telegram_gives_its_clear_fault_or_what_came_before_the_break() {
    let Some(folder) = corpus("errors") else { return };
    let files = files(&folder);
    assert_eq!(files.len(), ERRORS.len());
    for path in files {
        let name = name(&path);
        let (_, expected) = ERRORS.iter().find(|(at, _)| *at == name).unwrap();
        let got = decode(&bytes(&path)).map(|answer| answer.values.iter().map(shown).collect::<Vec<_>>());
        match expected {
            Ok(values) => assert_eq!(
                got.as_deref(),
                Ok(&*values.iter().map(|text| text.to_string()).collect::<Vec<_>>()),
                "{name}"
            ),
            Err(fault) => assert_eq!(got.unwrap_err().to_string(), *fault, "{name}"),
        }
    }
}
