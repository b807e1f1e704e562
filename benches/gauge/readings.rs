//! Readings as a water meter gives them, and an outbox full of them.

use std::path::Path;
use std::time::Duration;

use weir::clock;
use weir::limits::SEGMENT_PAYLOAD_BYTES;
use weir::outbox::{Config, Outbox, WhenFull, open};
use weir::pulse::Pulse;
use weir_wire::stored::{Reading, Record};
use weir_wire::{Answer, Clock, Identity, Medium, Number, Quantity, Status, Unit, Value};

/// The gateway whose readings they are.
pub(crate) const GATEWAY: &str = "gw-bench";

/// A plain water reading of one of a thousand meters.
pub(crate) fn record(number: u64) -> Record {
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

/// An outbox with room for whatever is measured.
pub(crate) fn config(directory: &Path) -> Config {
    Config {
        gateway: GATEWAY.into(),
        directory: directory.to_owned(),
        readings_bytes_max: 1 << 40,
        urgent_bytes_max: 1 << 30,
        free_bytes_min: 0,
        commit_window: Duration::from_secs(1),
        when_full: WhenFull::DropOldest,
        time_zone: jiff::tz::TimeZone::UTC,
        segment_payload_bytes: SEGMENT_PAYLOAD_BYTES,
    }
}

/// Opens, or makes, the outbox in this directory.
pub(crate) fn opened(config: Config) -> Outbox {
    open(config, Pulse::new("outbox")).unwrap().outbox
}

/// Puts so many readings into an outbox that is closed again afterwards, so that they wait there.
pub(crate) fn fill(directory: &Path, count: u64) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let outbox = opened(config(directory));
        let mut receipts = Vec::new();
        for number in 0..count {
            receipts.push(outbox.append(&record(number)).await.unwrap());
            if receipts.len() == 1000 || number + 1 == count {
                for receipt in receipts.drain(..) {
                    receipt.await.unwrap();
                }
            }
        }
        outbox.close().await.unwrap();
    });
}
