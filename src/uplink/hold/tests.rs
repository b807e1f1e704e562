//! One id, one content: whatever is settled in which order, a reading that was handed over once is the same again.

use std::cell::Cell;
use std::future::pending;
use std::rc::Rc;

use jiff::Timestamp;
use tokio::task::LocalSet;
use weir_wire::stored::Record;

use super::super::doubles::{Shared, reading, run_with};
use super::super::{Failure, FailureKind, Message, Report, Uplink};
use super::*;
use crate::clock::simulated;

const PATIENCE: Duration = Duration::from_secs(900);

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A reading of this boot in 1970, at this uptime.
fn taken(boot: u32, uptime_s: u64) -> Reading {
    let Record::Reading(reading) = Record::decode(&reading(1, "A-1", 0).bytes).unwrap() else { panic!() };
    let believed = Timestamp::UNIX_EPOCH.checked_add(Duration::from_secs(uptime_s)).unwrap();
    let (scheduled_at, uptime_ms) = (Some(believed), uptime_s * 1000);
    Reading { clock: Clock::Unsynced, boot, uptime_ms, read_at: believed, scheduled_at, ..reading }
}

async fn pass(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

/// A box in 1970 and its hold, as after a start of the daemon.
fn booted() -> (tempfile::TempDir, Boots, Hold) {
    simulated::boot(Timestamp::UNIX_EPOCH);
    simulated::set_synced(false);
    let directory = tempfile::tempdir().unwrap();
    let boots = Boots::open(directory.path());
    let hold = Hold::new(boots.clone(), PATIENCE);
    (directory, boots, hold)
}

fn restarted(directory: &tempfile::TempDir) -> Hold {
    Hold::new(Boots::open(directory.path()), PATIENCE)
}

#[tokio::test(start_paused = true)]
async fn a_clock_set_in_time_mends_what_waited_and_every_retry_is_the_same() {
    let (directory, boots, mut hold) = booted();
    let boot = clock::boot();
    assert_eq!(hold.settle(taken(boot, 5)), None);
    pass(800).await;
    assert_eq!(hold.settle(taken(boot, 5)), None);
    boots.learn(boot, at("2027-03-01T12:00:00Z")).unwrap();
    let sent = hold.settle(taken(boot, 5)).unwrap();
    assert_eq!((sent.read_at, sent.clock), (at("2027-03-01T12:00:05Z"), Clock::Mended));
    assert_eq!(sent.scheduled_at, Some(at("2027-03-01T12:00:05Z")));

    // A retry, a later jump, a restart, the next boot.
    hold.begin_again();
    boots.learn(boot, at("2027-03-01T13:00:00Z")).unwrap();
    pass(10_000).await;
    assert_eq!(hold.settle(taken(boot, 5)), Some(sent.clone()));
    assert_eq!(restarted(&directory).settle(taken(boot, 5)), Some(sent.clone()));
    simulated::boot(Timestamp::UNIX_EPOCH);
    assert_eq!(restarted(&directory).settle(taken(boot, 5)), Some(sent));
}

#[tokio::test(start_paused = true)]
async fn what_went_as_unsynced_stays_so_when_the_clock_is_set_and_what_came_later_is_mended() {
    let (directory, boots, mut hold) = booted();
    let boot = clock::boot();
    assert_eq!(hold.settle(taken(boot, 5)), None);
    pass(PATIENCE.as_secs()).await;
    assert_eq!(hold.settle(taken(boot, 5)), Some(taken(boot, 5)));
    // One stretch is given up; what comes after it waits too, until the broker is seen to be there.
    assert_eq!(hold.settle(taken(boot, 1_000)), None);
    hold.acknowledged();
    assert_eq!(hold.settle(taken(boot, 1_000)), Some(taken(boot, 1_000)));
    hold.begin_again();
    assert_eq!(hold.settle(taken(boot, 5)), Some(taken(boot, 5)), "what is settled does not wait again");
    assert_eq!(hold.settle(taken(boot, 2_000)), None);

    let mut early = restarted(&directory);
    assert_eq!(early.settle(taken(boot, 1_000)), Some(taken(boot, 1_000)));
    boots.learn(boot, at("2027-03-01T12:00:00Z")).unwrap();
    for mut hold in [hold, restarted(&directory)] {
        assert_eq!(hold.settle(taken(boot, 5)), Some(taken(boot, 5)));
        assert_eq!(hold.settle(taken(boot, 1_000)), Some(taken(boot, 1_000)));
        assert_eq!(hold.settle(taken(boot, 2_000)).unwrap().clock, Clock::Mended);
    }
}

#[tokio::test(start_paused = true)]
async fn looking_shows_the_settled_time_and_settles_nothing() {
    let (directory, boots, mut hold) = booted();
    assert_eq!(as_settled(&boots, taken(clock::boot(), 60)), taken(clock::boot(), 60));
    assert_eq!(hold.settle(taken(clock::boot(), 60)), None, "still undecided");
    boots.learn(clock::boot(), at("2026-11-20T10:00:00Z")).unwrap();
    let shown = as_settled(&boots, taken(clock::boot(), 60));
    assert_eq!(shown.clock, Clock::Mended);
    assert_eq!(hold.settle(taken(clock::boot(), 60)), Some(shown));
    drop(directory);
}

#[tokio::test(start_paused = true)]
async fn an_earlier_boot_that_never_knew_its_time_is_not_waited_for() {
    let (directory, _boots, mut hold) = booted();
    let earlier = clock::boot() + 1;
    assert_eq!(hold.settle(taken(earlier, 5)), Some(taken(earlier, 5)));
    assert_eq!(restarted(&directory).boots.fate(earlier, u64::MAX), Fate::Unsynced);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_handed_over_before_that_is_flushed() {
    let (directory, boots, mut hold) = booted();
    let boot = clock::boot();
    hold.settle(taken(boot, 5));
    pass(PATIENCE.as_secs()).await;
    let in_the_way = directory.path().join("boots");
    std::fs::create_dir(&in_the_way).unwrap();
    assert_eq!(hold.settle(taken(boot, 5)), None);
    std::fs::remove_dir(&in_the_way).unwrap();
    assert_eq!(hold.settle(taken(boot, 5)), Some(taken(boot, 5)));
    assert_eq!(Boots::open(directory.path()).fate(boot, 5_000), boots.fate(boot, 5_000));
}

#[tokio::test(start_paused = true)]
async fn a_reading_of_a_clock_that_was_trusted_is_never_touched() {
    let (_directory, boots, mut hold) = booted();
    let synced = Reading { clock: Clock::Synced, ..taken(clock::boot(), 5) };
    assert_eq!(hold.settle(synced.clone()), Some(synced.clone()));
    boots.learn(clock::boot(), at("2027-03-01T12:00:00Z")).unwrap();
    assert_eq!(hold.settle(synced.clone()), Some(synced));
}

/// A broker that stores everything it is sent; its word comes through only when the link is good.
struct Link {
    shared: Shared,
    is_good: Rc<Cell<bool>>,
    ready: Vec<Report>,
}

impl Uplink for Link {
    fn connect(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    fn send(&mut self, ticket: usize, message: &Message) -> Result<(), Failure> {
        // Refuses the test if the same id ever has another content.
        self.shared.store(message);
        let lost = || Box::new(Failure::new(FailureKind::Retriable, "no answer", ""));
        let report =
            if self.is_good.get() { Report::Delivered(ticket) } else { Report::Failed(ticket, lost()) };
        self.ready.push(report);
        Ok(())
    }

    async fn reports(&mut self, reports: &mut Vec<Report>) {
        if self.ready.is_empty() {
            pending::<()>().await;
        }
        reports.append(&mut self.ready);
    }

    fn abandon(&mut self) {}

    fn reports_within(&self) -> Duration {
        Duration::from_secs(60)
    }
}

/// Fifty readings of the first fifty minutes of a boot in 1970, sent over a link that loses every acknowledgement; the
/// clock is set so long after; the daemon starts anew; the box starts anew; the link is good. Returns how many arrived
/// as mended, and how often the first was sent.
async fn arrivals(set_after_s: u64) -> (usize, usize) {
    let (directory, boots, hold) = booted();
    let boot = clock::boot();
    let stored = |minute| {
        let bytes = Record::Reading(taken(boot, minute * 60)).encode().into();
        crate::outbox::Stored { bytes, ..reading(minute, "A-1", 0) }
    };
    let shared = Shared::with((1..=50).map(stored).collect());
    let is_good = Rc::new(Cell::new(false));
    let run = |hold| {
        let link = Link { shared: shared.clone(), is_good: is_good.clone(), ready: Vec::new() };
        run_with(&shared, link, Duration::ZERO, hold)
    };
    let first = run(hold);
    pass(60).await;
    let condition = first.tracker.condition().to_string();
    assert!(condition.contains("clock is not set"), "{condition}");
    pass(set_after_s - 60).await;
    boots.learn(boot, at("2027-03-01T12:00:00Z")).unwrap();
    pass(600).await;
    first.drain.abort();
    let second = run(restarted(&directory));
    pass(600).await;
    second.drain.abort();
    simulated::boot(Timestamp::UNIX_EPOCH);
    is_good.set(true);
    let _third = run(restarted(&directory));
    shared.done().await;

    let world = shared.world.borrow();
    let is_mended = |message: &Message| {
        let reading: weir_wire::Reading = serde_json::from_slice(&message.payload).unwrap();
        reading.clock == Clock::Mended
    };
    let mended = world.broker.values().filter(|(_, message)| is_mended(message)).count();
    (mended, world.broker.values().next().unwrap().0)
}

#[tokio::test(start_paused = true)]
async fn no_retry_differs_over_restarts_when_the_clock_is_set_before_the_first_hand_over() {
    let (mended, sent) = LocalSet::new().run_until(arrivals(PATIENCE.as_secs() - 100)).await;
    assert_eq!(mended, 50);
    assert!(sent > 3, "{sent}");
}

#[tokio::test(start_paused = true)]
async fn no_retry_differs_over_restarts_when_the_clock_is_set_after_it() {
    let (mended, sent) = LocalSet::new().run_until(arrivals(PATIENCE.as_secs() + 3_000)).await;
    // The first quarter of an hour was given up, and nothing more.
    assert_eq!(mended, 50 - 14);
    assert!(sent > 3, "{sent}");
}
