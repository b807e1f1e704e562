//! Power cuts while the daemon polls, drains, and begins and drops segments: what it had told of as flushed is with the
//! broker or still there, in order and intact, and the daemon opens and goes on.
//!
//! The daemon's state lies on a drive of its own; its log, which says what counts, does not. A line of it is a promise
//! whenever it comes, also after the cut: what is told then must have been flushed before. See [`Drive`] for the two
//! kinds of cut. `WEIR_STORY_ROUNDS=100` makes a campaign of it (`docs/RELIABILITY.md`).

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use crate::harness::chance::{rounds, seed, sleep_some};
use crate::harness::consumed::Consumed;
use crate::harness::deadline::Deadline;
use crate::harness::drive::{Drive, in_own_mounts};
use crate::harness::fleet::{Fleet, Street};
use crate::harness::ledger;
use crate::harness::mock::{Gathered, MockBroker};
use crate::harness::not_run::{NotRun, require};
use crate::harness::programs::program;
use crate::harness::weir::Weir;

const PATIENCE: Duration = Duration::from_secs(90);
/// How long a story waits for a segment to be begun or dropped before it cuts the power all the same.
const HALF_DONE_TIME: Duration = Duration::from_secs(2);
/// A story that came upon too little gives up after so many times the usual cuts.
const MORE_CUTS: u32 = 4;

/// How the daemon may be set up in a life. Without a window each reading is flushed alone, which makes sled's file grow
/// fastest; the smallest segments are begun and dropped most often.
const WINDOWS: [&str; 3] = ["0s", "20ms", "200ms"];
const SEGMENTS: [&str; 3] = ["4 KiB", "8 KiB", "64 KiB"];

/// Some fifty readings a second of all protocols, spread over it.
fn fleet(seed: u64) -> Fleet {
    let streets = [
        Street::mbus("m", 4),
        Street::modbus("r", 4),
        Street::cjt188("c", 4),
        Street::modbus_tcp("t", 10),
        Street::modbus_tcp("u", 10),
        Street::modbus_tcp("v", 10),
        Street::modbus_tcp("w", 10),
    ];
    let keys = |offset| format!("every = \"1s\"\noffset = \"{offset}ms\"\nadapter_allowance = \"1s\"");
    let streets = (0..).step_by(130).zip(streets).map(|(offset, street)| street.key(&keys(offset)));
    Fleet::start(seed, streets)
}

/// What the cuts came upon, to see that they were worth their name.
#[derive(Debug, Default)]
struct Seen {
    /// Segments of readings that were there after a cut.
    segments: usize,
    /// Cuts at which segments were being made, moved or removed at the cut.
    half_done: u32,
    settled: u32,
    /// Cuts at which the drive had something to forget, and what it then forgot or kept.
    forgetful_cuts: u32,
    forgotten_sectors: usize,
    kept_sectors: usize,
    /// Segments that were set aside; their records were all salvaged.
    damaged_segments: usize,
}

/// A gateway on a drive that loses its power, its meters, and its broker.
struct Cabinet<'d> {
    drive: &'d Drive,
    fleet: Fleet,
    broker: MockBroker,
    weir: Weir,
    /// Its configuration as the harness made it.
    config: String,
    random: fastrand::Rng,
    readings: Gathered,
    events: Gathered,
    /// Segments of readings, by the names of their directories.
    segments: BTreeSet<String>,
    seen: Seen,
}

impl<'d> Cabinet<'d> {
    fn on(drive: &'d Drive, seed: u64) -> Self {
        let (fleet, broker) = (fleet(seed), MockBroker::start());
        let weir = Weir::for_fleet(&fleet, &broker.bootstrap(), "");
        std::os::unix::fs::symlink(drive.path(), weir.folder().join("state")).unwrap();
        let config = fs::read_to_string(weir.config_path()).unwrap();
        let random = fastrand::Rng::with_seed(seed);
        let (readings, events) = (Gathered::default(), Gathered::default());
        let (segments, seen) = (BTreeSet::new(), Seen::default());
        Self { drive, fleet, broker, weir, config, random, readings, events, segments, seen }
    }

    /// Takes what has arrived; gives what is new of each topic. The broker must be up.
    fn gather(&mut self) -> [&[Consumed]; 2] {
        let readings = self.readings.gather(&self.broker, "weir.readings");
        [readings, self.events.gather(&self.broker, "weir.events")]
    }

    /// The next life has this commit window and this size of a segment.
    fn set_up(&self, window: &str, segment: &str) {
        let mut config = self.config.clone();
        for (key, value) in [("commit_window", window), ("segment", segment)] {
            let line = config.lines().find(|line| line.trim_start().starts_with(key)).unwrap().to_owned();
            config = config.replacen(&line, &format!("{key} = {value:?}"), 1);
        }
        self.weir.write_config(&config);
    }

    /// One life, from the power's return to its end. In some the broker is up and what was left has to arrive.
    fn one_life(&mut self, has_to_settle: bool) {
        let settles = has_to_settle || self.random.u8(..3) == 0;
        if settles {
            self.broker.up();
            self.gather();
        }
        let [window, segment] = [WINDOWS, SEGMENTS].map(|all| all[self.random.usize(..all.len())]);
        self.set_up(window, segment);
        self.weir.start();
        if !settles && self.random.u8(..4) == 0 {
            sleep_some(&mut self.random, 200);
        } else {
            self.weir.wait_ready(PATIENCE);
            self.assert_nothing_is_forgotten();
            if settles {
                self.settle();
            }
            self.live_on();
        }
        self.cut();
    }

    /// The broker comes or goes at some moment, or does neither.
    fn live_on(&mut self) {
        sleep_some(&mut self.random, 1200);
        match self.random.u8(..3) {
            0 => self.broker.up(),
            1 => self.broker.down(),
            _ => {}
        }
        sleep_some(&mut self.random, 1200);
        if self.random.bool() {
            self.wait_half_done();
            sleep_some(&mut self.random, 20);
        }
    }

    fn cut(&mut self) {
        if let Some(survival) = self.drive.cut() {
            self.seen.forgetful_cuts += u32::from(survival.lost > 0);
            self.seen.forgotten_sectors += survival.lost;
            self.seen.kept_sectors += survival.kept;
        }
        if self.random.bool() {
            // A machine may run on for a moment; whatever it then tells of has to be true as well.
            sleep_some(&mut self.random, 300);
        }
        self.weir.kill();
        self.drive.power_on();
        let (whole, half_done) = self.segments_now();
        self.seen.half_done += u32::from(!half_done.is_empty());
        self.segments.extend(whole);
        self.seen.segments = self.segments.len();
    }

    /// Names in the readings' lane: whole segments, and those that are being made, moved or removed.
    fn segments_now(&self) -> (Vec<String>, Vec<String>) {
        let lane = fs::read_dir(self.drive.path().join("outbox/readings"));
        let entries = lane.into_iter().flatten().flatten();
        entries
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .partition(|name| !name.contains('-'))
    }

    /// Waits for a segment to be begun, moved or dropped, so that the cut comes into the middle of that. It need not come.
    fn wait_half_done(&self) {
        let deadline = Deadline::within(HALF_DONE_TIME);
        while self.segments_now().1.is_empty() && !deadline.is_over() {
            // A step takes milliseconds.
            std::thread::yield_now();
        }
    }

    /// The lanes go on after the last sequence that was told.
    #[track_caller]
    fn assert_nothing_is_forgotten(&self) {
        let told = self.weir.told();
        let stats = self.weir.stats();
        for (lane, letter) in [("readings", 'r'), ("urgent", 'u')] {
            let sequences = told.iter().map(|id| (id, ledger::sequence_of(id)));
            let of_lane = sequences.filter(|(_, (life, _))| life.ends_with(letter));
            let last_told = of_lane.max_by_key(|(_, (_, sequence))| *sequence);
            let last = stats["outbox"][lane]["last_sequence"].as_u64();
            let is_there = last_told.is_none_or(|(_, (_, sequence))| last >= Some(sequence));
            assert!(is_there, "{lane} ends at {last:?}, and {last_told:?} had been told");
        }
    }

    /// What had been told arrives, and this time in order, as the broker fails nothing.
    #[track_caller]
    fn settle(&mut self) {
        let told = self.weir.told();
        self.weir.wait_acknowledged(PATIENCE);
        let sequence_of = |it: &Consumed| {
            let id = String::from_utf8(it.header("weir-id").unwrap().to_vec()).unwrap();
            ledger::sequence_of(&id).1
        };
        for new in self.gather() {
            for of_one in new.chunk_by(|a, b| a.partition == b.partition) {
                let sequences: Vec<u64> = of_one.iter().map(sequence_of).collect();
                assert!(is_in_order(&sequences), "not in order: {sequences:?}");
            }
        }
        let readings = ledger::readings(self.readings.all(), &self.fleet);
        let events = ledger::events(self.events.all());
        ledger::assert_all_there(&told, &readings, &events);
        ledger::assert_nothing_untold(&self.weir.told(), &readings, &events);
        ledger::assert_no_gap(&events);
        self.seen.damaged_segments = ledger::of_kind(&events, "outbox-damaged").len();
        self.seen.settled += 1;
    }
}

/// Whether one life sent these in order. Ahead of what it sent may be the last requests of the life before it, which the
/// broker took from that life's connection late: nobody lived to hear of it, so each of them comes again.
fn is_in_order(sequences: &[u64]) -> bool {
    let runs: Vec<&[u64]> = sequences.chunk_by(|a, b| a < b).collect();
    match runs[..] {
        [] | [_] => true,
        [late, sent] => late.iter().all(|it| sent.binary_search(it).is_ok()),
        _ => false,
    }
}

/// Cuts the power again and again, and judges. Goes on beyond the usual cuts until what they came upon is `enough`: what a
/// moment by chance comes upon depends on the machine.
fn live_through_power_cuts(drive: &Drive, seed: u64, enough: fn(&Seen) -> bool) {
    let mut cabinet = Cabinet::on(drive, seed);
    let cuts = rounds(10);
    let mut cut = 0;
    while cut < cuts || (!enough(&cabinet.seen) && cut < cuts * MORE_CUTS) {
        cut += 1;
        cabinet.one_life(false);
        println!("cut {cut} of {cuts}: {} records told", cabinet.weir.told().len());
    }
    // Once more, so that what the last cut left is seen to arrive.
    cabinet.one_life(true);
    let seen = cabinet.seen;
    println!("{cut} cuts: {seen:?}");
    assert!(enough(&seen), "the cuts came upon too little to be worth their name: {seen:?}");
}

/// Segments were begun, and a cut came into the middle of that.
fn segments_were_cut(seen: &Seen) -> bool {
    seen.segments >= 5 && seen.half_done > 0 && seen.settled > 0
}

mod alone {
    use super::*;

    #[test]
    fn what_was_flushed_before_a_power_cut_arrives_and_the_daemon_goes_on() {
        in_own_mounts(|| {
            let Some(drive) = require("power cuts", Drive::shut_down_at_once()) else { return };
            live_through_power_cuts(&drive, seed(), segments_were_cut);
        });
    }

    #[test]
    fn nor_does_a_drive_lose_it_that_forgets_its_write_cache() {
        in_own_mounts(|| {
            let seed = seed();
            let Some(drive) = require("power cuts with a write cache", Drive::forgetful(seed)) else {
                return;
            };
            live_through_power_cuts(&drive, seed, |seen| {
                segments_were_cut(seen) && seen.forgotten_sectors > 0
            });
        });
    }

    /// How often a daemon without syncs may be lucky in a row.
    const LUCK_MAX: u32 = 12;

    /// The stories above would fail: a daemon for which these system calls do nothing and claim success loses records.
    fn is_found_out_without(calls: &str, part: &str, drive: Result<Drive, NotRun>, seed: u64) {
        let both = program("strace", "strace").and_then(|strace| Ok((strace, drive?)));
        let Some((strace, drive)) = require(part, both) else { return };
        let mut cabinet = Cabinet::on(&drive, seed);
        let (trace, inject) = (format!("trace={calls}"), format!("inject={calls}:retval=0"));
        let inject = ["-f", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject];
        let strace: Vec<_> = [strace.into_os_string()].into_iter().chain(inject.map(Into::into)).collect();
        cabinet.set_up("0s", "64 KiB");
        for life in 1..=LUCK_MAX {
            cabinet.broker.down();
            cabinet.weir.run_under(strace.clone());
            cabinet.weir.start();
            cabinet.weir.wait_ready(PATIENCE);
            cabinet.weir.wait_more_readings(60, PATIENCE);
            cabinet.cut();
            let told = cabinet.weir.told();
            cabinet.broker.up();
            cabinet.weir.run_under(Vec::new());
            cabinet.weir.start();
            cabinet.weir.wait_ready(PATIENCE);
            cabinet.weir.wait_acknowledged(PATIENCE);
            cabinet.gather();
            cabinet.weir.kill();
            let readings = ledger::readings(cabinet.readings.all(), &cabinet.fleet);
            let events = ledger::events(cabinet.events.all());
            let missing = ledger::missing(&told, &readings, &events).len();
            println!("life {life} without syncs: {missing} of {} records lost", told.len());
            if missing > 0 {
                return;
            }
        }
        panic!("{LUCK_MAX} cuts without syncs lost nothing: the story cannot fail");
    }

    /// sled's own `sync_file_range` brings data to the drive as long as the file does not grow, so it goes as well.
    #[test]
    fn a_daemon_without_syncs_is_found_out_by_a_power_cut() {
        in_own_mounts(|| {
            let calls = "fdatasync,sync_file_range";
            is_found_out_without(calls, "power cuts without syncs", Drive::shut_down_at_once(), seed());
        });
    }

    #[test]
    fn a_daemon_without_its_own_syncs_is_found_out_by_a_forgetful_drive() {
        in_own_mounts(|| {
            let seed = seed();
            is_found_out_without("fdatasync", "forgetful drive without syncs", Drive::forgetful(seed), seed);
        });
    }
}
