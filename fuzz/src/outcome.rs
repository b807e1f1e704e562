//! What holds for everything that any decoder gives.

use jiff::Timestamp;
use weir_meter::Recognised;
use weir_wire::stored::{Reading, Record};
use weir_wire::{Answer, Clock};

/// Stored bytes that one byte from a meter may become at most. A record of two bytes (DIF and VIF, no data) becomes a
/// value with its quantity, unit, place and raw bytes.
const GROWTH_MAX: usize = 64;
/// Stored bytes of an answer without values.
const FRAME_MAX: usize = 1024;

/// One input in so many is taken through the outbox and JSON: under libFuzzer that costs ten times what decoding costs.
const STORED_ONE_IN: u32 = 16;

/// An answer is bounded by its bytes, and survives the outbox and the way into JSON unchanged.
pub fn answer(answer: Answer, telegram: &[u8], values_max: usize) {
    let bytes = telegram.len();
    assert!(answer.values.len() <= values_max, "{} values of {bytes} bytes", answer.values.len());
    if !telegram.iter().copied().map(u32::from).sum::<u32>().is_multiple_of(STORED_ONE_IN) {
        return;
    }
    let record = Record::Reading(Reading {
        line: "l".into(),
        meter: "m".into(),
        driver: "d".into(),
        scheduled_at: None,
        read_at: Timestamp::UNIX_EPOCH,
        clock: Clock::Synced,
        boot: 0,
        uptime_ms: 0,
        answer,
    });
    let stored = record.encode();
    assert!(stored.len() <= FRAME_MAX + bytes * GROWTH_MAX, "{} stored bytes of {bytes}", stored.len());
    assert_eq!(Record::decode(&stored).ok().as_ref(), Some(&record), "the outbox changes it");
    self::json(&record);
}

/// A record's JSON is JSON, and a reading's is the same by both ways of writing it.
pub fn json(record: &Record) {
    let json = record.to_json("g:0:r1", "g");
    match record {
        Record::Reading(reading) => {
            let mut fast = Vec::new();
            reading.write_json("g:0:r1", "g", &mut fast);
            assert_eq!(fast, json, "two ways, two texts");
            let read: Option<weir_wire::Reading> = serde_json::from_slice(&json).ok();
            assert!(read.is_some_and(|read| read == reading.clone().named("g:0:r1", "g")), "JSON changes it");
        }
        Record::Event(_) => {
            assert!(serde_json::from_slice::<weir_wire::Event>(&json).is_ok(), "no event");
        }
        Record::Outcome(_) => {
            assert!(serde_json::from_slice::<weir_wire::Outcome>(&json).is_ok(), "no outcome");
        }
    }
}

/// A verdict stays within the bytes, what is missing is never nothing, and an answer that was recognised in a part of
/// the bytes is recognised in all of them. Returns the answer's bytes.
pub fn recognised(received: &[u8], part: usize, recognise: impl Fn(&[u8]) -> Recognised) -> Option<Vec<u8>> {
    let whole = recognise(received);
    let early = received.get(..part).map(&recognise);
    if let Some(early @ Recognised::Answer { .. }) = early {
        assert_eq!(whole, early, "more bytes make another answer");
    }
    match whole {
        Recognised::Answer { start, end } => {
            assert!(start < end && end <= received.len(), "{start}..{end} of {}", received.len());
            received.get(start..end).map(<[u8]>::to_vec)
        }
        Recognised::Foreign { end, .. } => {
            assert!((1..=received.len()).contains(&end), "foreign to {end} of {}", received.len());
            None
        }
        Recognised::Incomplete { missing } => {
            assert!(missing > 0, "nothing is missing");
            None
        }
        Recognised::Garbled { .. } => None,
    }
}
