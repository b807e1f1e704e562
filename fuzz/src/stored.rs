//! Stored records: any bytes that the outbox may find on a worn flash.
//!
//! Holds also: what decodes is the same after it has been stored again, and makes JSON.

use weir_wire::stored::Record;

use crate::outcome;

/// Looks at one input.
pub fn run(data: &[u8]) {
    if let Ok(record) = Record::decode(data) {
        assert_eq!(Record::decode(&record.encode()).ok().as_ref(), Some(&record), "storing it changes it");
        outcome::json(&record);
    }
}

/// The record of every shape that `wire/golden` keeps.
pub fn seeds() -> Vec<Vec<u8>> {
    let golden = include_str!("../../wire/golden/stored-v1.txt");
    golden.lines().filter_map(|line| line.split_once(' ')).filter_map(|(_, hex)| bytes(hex)).collect()
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok()).collect()
}
