//! The file: whatever is found in its place, the gateway starts, and what was flushed is there.

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use super::*;
use crate::limits::BOOTS_SLOT_BYTES;

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap()
}

fn kept() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("boots");
    (directory, path)
}

#[test]
fn what_was_settled_is_there_after_a_restart() {
    let (directory, _) = kept();
    let boots = Boots::open(directory.path());
    for boot in 1..9 {
        boots.let_go(boot, 100).unwrap();
        assert!(boots.learn(boot, at(i64::from(boot))).unwrap());
        boots.set_floor(at(i64::from(boot) * 1000)).unwrap();
        let again = Boots::open(directory.path());
        assert_eq!((again.fate(boot, 99), again.floor()), (Fate::Unsynced, boots.floor()));
        assert_eq!(again.fate(boot, 100), Fate::Mended(at(i64::from(boot))));
    }
}

#[test]
fn a_torn_write_leaves_what_was_told_before() {
    let (directory, path) = kept();
    let boots = Boots::open(directory.path());
    boots.learn(1, at(1)).unwrap();
    let before = fs::read(&path).unwrap();
    boots.learn(2, at(2)).unwrap();
    let after = fs::read(&path).unwrap();
    assert_eq!((before.len(), after.len()), (2 * BOOTS_SLOT_BYTES, 2 * BOOTS_SLOT_BYTES));
    let mut learnt = 0;
    for torn in (0..after.len()).step_by(7) {
        fs::write(&path, [&after[..torn], &before[torn..]].concat()).unwrap();
        let boots = Boots::open(directory.path());
        assert_eq!(boots.at(1), Some(at(1)), "torn at {torn}");
        learnt += usize::from(boots.at(2).is_some());
    }
    assert!(learnt > 0 && learnt < after.len());
}

#[test]
fn a_file_of_no_use_is_set_aside_and_a_new_one_begun() {
    let newer = {
        let mut bytes = Ledger::default().encode();
        bytes[4] = 2;
        bytes
    };
    for useless in [vec![], vec![0xFF; 3], vec![0xA7; 40_000], newer] {
        let (directory, path) = kept();
        fs::write(&path, &useless).unwrap();
        let boots = Boots::open(directory.path());
        assert_eq!(boots.fate(1, 0), Fate::Undecided);
        assert_eq!(fs::read(directory.path().join("boots.damaged")).unwrap(), useless);
        boots.learn(1, at(1)).unwrap();
        assert_eq!(Boots::open(directory.path()).at(1), Some(at(1)));
    }
}

#[test]
fn a_directory_in_its_place_is_set_aside_too() {
    let (directory, path) = kept();
    fs::create_dir(&path).unwrap();
    let boots = Boots::open(directory.path());
    boots.learn(1, at(1)).unwrap();
    assert_eq!(Boots::open(directory.path()).at(1), Some(at(1)));
}

#[test]
fn what_could_not_be_flushed_does_not_count() {
    let (directory, path) = kept();
    let boots = Boots::open(directory.path());
    fs::create_dir(&path).unwrap();
    assert!(boots.let_go(1, 100).is_err() && boots.learn(1, at(1)).is_err());
    assert_eq!(boots.fate(1, 0), Fate::Undecided);
    fs::remove_dir(&path).unwrap();
    boots.let_go(1, 100).unwrap();
    assert_eq!(boots.fate(1, 0), Fate::Unsynced);
}
