//! The line as a whole: `rules` drives the task's polls by hand with puppets for meters, `running` runs it on real ptys
//! against the simulator, `late` has a meter that answers late, `jobs` lends the line, `visits` visits a meter, and `patient` visits
//! one that does not answer again and again. All store into a real outbox.

mod jobs;
mod late;
mod patient;
mod rules;
mod running;
mod visits;

use std::time::Duration;

use jiff::tz::TimeZone;
use tempfile::TempDir;
use weir_meter::{Driver, Serial};
use weir_wire::stored::{Reading, Record, What};

use super::*;
use crate::clock::{Moment, now};
use crate::id::Lane;
use crate::outbox::{self, Opened, Outbox, WhenFull};
use crate::pulse::Pulse;

/// For whatever is waited for. Never used up by a test that passes.
const PATIENCE: Duration = Duration::from_secs(20);

fn open_outbox() -> (Outbox, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let config = outbox::Config {
        gateway: "gw-1".into(),
        directory: directory.path().join("outbox"),
        readings_bytes_max: 1 << 30,
        urgent_bytes_max: 1 << 30,
        free_bytes_min: 0,
        commit_window: Duration::ZERO,
        when_full: WhenFull::StopPolling,
        time_zone: jiff::tz::TimeZone::UTC,
        segment_payload_bytes: 1 << 20,
    };
    let Opened { outbox, .. } = outbox::open(config, Pulse::new("outbox")).unwrap();
    (outbox, directory)
}

fn meter(id: &str, driver: impl Driver + 'static, every: Duration) -> Meter {
    Meter::new(id, Box::new(driver), every)
}

fn line(port: Port, meters: Vec<Meter>) -> Config {
    Config {
        name: "riser-1".into(),
        port,
        echo: false,
        repeats: 2,
        adapter_allowance: Duration::from_millis(50),
        rs485: None,
        keep_raw: false,
        time_zone: TimeZone::UTC,
        meters,
    }
}

/// The next records of a lane.
async fn next(reader: &mut outbox::Reader, count: usize) -> Vec<Record> {
    let mut records = Vec::new();
    let reading = async {
        while records.len() < count {
            let stored = reader.next(count - records.len(), 1 << 20).await.unwrap();
            records.extend(stored.iter().map(|stored| Record::decode(&stored.bytes).unwrap()));
        }
    };
    tokio::time::timeout(PATIENCE, reading).await.expect("no such record came");
    records
}

async fn next_readings(outbox: &Outbox, count: usize) -> Vec<Reading> {
    let records = next(&mut outbox.reader(Lane::Readings), count).await;
    let reading = |record| match record {
        Record::Reading(reading) => reading,
        other => panic!("{other:?}"),
    };
    records.into_iter().map(reading).collect()
}

async fn next_events(reader: &mut outbox::Reader, count: usize) -> Vec<What> {
    let event = |record| match record {
        Record::Event(event) => event.what,
        other => panic!("{other:?}"),
    };
    next(reader, count).await.into_iter().map(event).collect()
}

/// Waits until the line's figures say so.
async fn until(handle: &Handle, what: impl Fn(&LineStatus) -> bool) -> LineStatus {
    let (mut handle, give_up) = (handle.clone(), now() + PATIENCE);
    loop {
        let status = handle.status();
        if what(&status) {
            return status;
        }
        assert!(now() < give_up, "the line never came to that: {status:#?}");
        let _ = tokio::time::timeout(Duration::from_secs(1), handle.changed()).await;
    }
}
