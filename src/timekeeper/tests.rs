//! With a real file and a real outbox, on simulated time.

use std::time::Duration;

use tempfile::TempDir;
use weir_wire::stored::{Record, What};

use super::*;
use crate::boots::Fate;
use crate::clock::simulated;
use crate::id::Lane;
use crate::outbox::{self, Opened, WhenFull};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn open(directory: &TempDir) -> (Boots, Opened) {
    let config = outbox::Config {
        gateway: "gw".into(),
        directory: directory.path().to_owned(),
        readings_bytes_max: 64 << 20,
        urgent_bytes_max: 64 << 20,
        free_bytes_min: 0,
        commit_window: Duration::ZERO,
        when_full: WhenFull::DropOldest,
        time_zone: jiff::tz::TimeZone::UTC,
        segment_payload_bytes: crate::limits::SEGMENT_PAYLOAD_BYTES,
    };
    let opened = outbox::open(config, Pulse::new("outbox")).unwrap();
    (Boots::open(directory.path()), opened)
}

async fn until(condition: impl Fn() -> bool) {
    for _ in 0..10_000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    panic!("it never came");
}

#[tokio::test(start_paused = true)]
async fn a_boot_in_1970_learns_its_time_and_tells_it_once_it_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    simulated::boot(Timestamp::UNIX_EPOCH);
    simulated::set_synced(false);
    let (boots, Opened { outbox, .. }) = open(&directory);
    let boot = clock::boot();
    let keeper = start(boots.clone(), outbox.clone());
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert_eq!(clock::dated().clock, Clock::Unsynced);
    // The kernel's word alone is not enough.
    simulated::set_synced(true);
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert_eq!((clock::dated().clock, boots.fate(boot, 0)), (Clock::Unsynced, Fate::Undecided));

    let set_at = at("2027-03-01T12:00:00Z");
    let uptime = clock::now().since_boot();
    simulated::set_wall(set_at);
    assert_eq!(clock::dated().clock, Clock::Synced);
    let mut reader = outbox.reader(Lane::Urgent);
    let told = reader.next(1, usize::MAX).await.unwrap();
    let expected = set_at.checked_sub(uptime).unwrap();
    assert_eq!(boots.fate(boot, 0), Fate::Mended(expected), "kept before it is told");
    let Record::Event(told) = Record::decode(&told[0].bytes).unwrap() else { panic!() };
    let What::ClockSet { boot_at, step_ms: Some(_) } = told.what else { panic!() };
    assert_eq!((told.boot, boot_at, told.clock), (boot, expected, Clock::Synced));
    let by_wall_time = told.at.duration_since(boot_at).as_millis();
    assert!(by_wall_time.abs_diff(told.uptime_ms.into()) <= 1, "{by_wall_time} {}", told.uptime_ms);

    // What the clock shows for long becomes the floor, and the next boot knows a wrong time by it.
    until(|| boots.floor() > set_at).await;
    keeper.stop().await;
    outbox.close().await.unwrap();
    simulated::boot(set_at);
    let (boots, Opened { outbox, .. }) = open(&directory);
    let keeper = start(boots.clone(), outbox.clone());
    assert_eq!((boots.at(boot), clock::dated().clock), (Some(expected), Clock::Unsynced));
    keeper.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_floor_from_the_far_future_is_taken_for_none() {
    let directory = tempfile::tempdir().unwrap();
    simulated::boot(at("2027-03-01T12:00:00Z"));
    let (boots, Opened { outbox, .. }) = open(&directory);
    boots.set_floor(at("2199-01-01T00:00:00Z")).unwrap();
    let keeper = start(boots.clone(), outbox.clone());
    assert_eq!(clock::dated().clock, Clock::Synced);
    until(|| boots.floor() < CLOCK_FLOOR_LAST).await;
    keeper.stop().await;
}
