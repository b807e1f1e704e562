//! Power cuts and failing calls at every single step of short scripts, on a flash that forgets what was not synced.
//!
//! The keeper runs as it is, only its thread is missing. After whatever happened it is opened again, the script goes on,
//! and at the end every record that was told is accounted for.

use std::collections::{BTreeMap, BTreeSet};

use tokio::sync::oneshot;
use weir_wire::GapCause;

use super::*;
use crate::id::Generation;
use crate::outbox::handle::{Encoded, Request};
use crate::outbox::keeper::Keeper;
use crate::outbox::store::StoreError;
use crate::outbox::store::volatile::{Fault, Volatile};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Action {
    /// So many readings in one commit.
    Append(u64),
    /// So many readings reach the broker.
    Deliver(usize),
    /// The cursor is flushed.
    Flush,
    /// The broker refuses the next reading for good.
    Refuse,
    /// A closed segment is damaged.
    Spoil,
    /// A stop in good order, and a start.
    Restart,
    /// Somebody else takes what is left of the disk, and gives it back.
    DiskFills,
    DiskClears,
}

use Action::{Append, Deliver, DiskClears, DiskFills, Flush, Refuse, Restart, Spoil};

/// Segments of a few records, so that a handful of appends rolls, and a quota of some segments.
const SEGMENT: u64 = 500;

/// What of it all is told in a gap.
const NEVER: Rules = Rules { quota: 1 << 30, when_full: WhenFull::DropOldest, may_lose: false };
const DAMAGED: Rules = Rules { may_lose: true, ..NEVER };
const DROPPING: Rules = Rules { quota: 6 << 20, may_lose: true, ..NEVER };
const STOPPING: Rules = Rules { when_full: WhenFull::StopPolling, ..NEVER };
const THINNING: Rules = Rules { quota: 14 << 20, when_full: WhenFull::Thin, may_lose: true };

#[derive(Clone, Copy, Debug)]
struct Rules {
    quota: u64,
    when_full: WhenFull,
    /// Whether what was told may end in a gap.
    may_lose: bool,
}

const SCRIPTS: [(&str, Rules, &[Action]); 9] = [
    ("append and roll", NEVER, &[Append(3), Append(1), Append(4), Append(4), Append(2)]),
    (
        "acknowledge and drop",
        NEVER,
        &[
            Append(6),
            Append(6),
            Deliver(5),
            Flush,
            Append(6),
            Deliver(9),
            Flush,
            Append(1),
            Deliver(20),
            Flush,
        ],
    ),
    (
        "restarts",
        NEVER,
        &[Append(5), Restart, Append(5), Deliver(7), Restart, Restart, Append(2), Deliver(3)],
    ),
    ("a refused record", NEVER, &[Append(3), Deliver(1), Refuse, Append(3), Deliver(1), Refuse, Flush]),
    (
        "quarantine",
        DAMAGED,
        &[
            Append(6),
            Append(6),
            Append(6),
            Spoil,
            Deliver(2),
            Deliver(9),
            Flush,
            Restart,
            Append(3),
            Deliver(9),
        ],
    ),
    ("the quota", DROPPING, &[Append(8), Append(8), Append(8), Append(8), Append(8), Deliver(4), Append(8)]),
    (
        "thinning out",
        THINNING,
        &[
            Append(8),
            Append(8),
            Append(8),
            Append(8),
            Append(8),
            Append(8),
            Append(8),
            Append(8),
            Append(8),
            Append(8),
            Append(8),
            Append(8),
            Append(8),
            Restart,
            Append(8),
            Deliver(4),
            Append(8),
            Append(8),
        ],
    ),
    (
        "records refused on a full disk",
        STOPPING,
        &[
            Append(8),
            DiskFills,
            Refuse,
            DiskFills,
            Refuse,
            DiskFills,
            Refuse,
            Refuse,
            DiskClears,
            Refuse,
            Append(2),
            Deliver(4),
        ],
    ),
    (
        "a full disk and its reserve",
        DROPPING,
        &[
            Append(8),
            Append(8),
            DiskFills,
            Append(8),
            Append(8),
            Append(8),
            Deliver(6),
            DiskClears,
            Append(8),
        ],
    ),
];

/// The outbox and what the world outside knows of it.
struct World {
    flash: Volatile,
    config: Config,
    keeper: Option<Keeper<Volatile>>,
    chance: fastrand::Rng,
    generation: u32,
    number: u64,
    /// Readings that were told as durable: id and number, by sequence.
    told: BTreeMap<u64, (String, u64)>,
    /// Sequences that the broker has, or that were set aside.
    left: BTreeSet<u64>,
}

impl World {
    fn new(rules: Rules, seed: u64) -> Self {
        let directory = Path::new("/weir/outbox");
        let config = Config {
            readings_bytes_max: rules.quota,
            when_full: rules.when_full,
            segment_payload_bytes: SEGMENT,
            ..config(directory)
        };
        let (flash, chance) = (Volatile::default(), fastrand::Rng::with_seed(seed));
        let (told, left) = (BTreeMap::new(), BTreeSet::new());
        Self { flash, config, keeper: None, chance, generation: 0, number: 0, told, left }
    }

    fn keeper(&mut self) -> Result<&mut Keeper<Volatile>, StoreError> {
        if self.keeper.is_none() {
            self.generation += 1;
            let generation = Generation(self.generation);
            let opened =
                Keeper::open(self.config.clone(), self.flash.clone(), generation, Pulse::new("outbox"))?;
            self.keeper = Some(opened.0);
        }
        Ok(self.keeper.as_mut().unwrap())
    }

    fn act(&mut self, action: Action) -> Result<(), StoreError> {
        match action {
            Append(count) => self.append(count)?,
            Deliver(count) => {
                let read = self.read(Lane::Readings, count)?;
                if let Some(last) = read.last() {
                    let up_to = last.name.sequence;
                    self.keeper()?.handle(Request::Acknowledge { lane: Lane::Readings, up_to })?;
                }
                self.left.extend(read.iter().map(|stored| stored.name.sequence));
            }
            Flush => self.keeper()?.commit(Lane::Readings)?,
            Refuse => {
                let Some(next) = self.read(Lane::Readings, 1)?.pop() else { return Ok(()) };
                let (reply, mut done) = oneshot::channel();
                let sequence = next.name.sequence;
                let why = "too large".to_owned();
                self.keeper()?.handle(Request::SetAside { lane: Lane::Readings, sequence, why, reply })?;
                if done.try_recv().expect("an answer") {
                    self.left.insert(sequence);
                }
            }
            Spoil => {
                let segments = self.flash.segments(&self.config.directory.join("readings"));
                let closed = &segments[..segments.len().saturating_sub(1)];
                if let Some(segment) = self.chance.choice(closed) {
                    self.flash.spoil(segment, &mut self.chance.clone());
                }
            }
            DiskFills => self.flash.set_capacity(Some(self.flash.used())),
            DiskClears => self.flash.set_capacity(None),
            Restart => {
                self.keeper()?;
                self.keeper.take().unwrap().close()?;
                self.keeper()?;
            }
        }
        Ok(())
    }

    fn append(&mut self, count: u64) -> Result<(), StoreError> {
        let mut receipts = Vec::new();
        for _ in 0..count {
            self.number += 1;
            let record = Encoded::from(&reading(self.number));
            let (receipt, promise) = oneshot::channel();
            receipts.push((self.number, promise));
            self.keeper()?.handle(Request::Append { record, receipt })?;
        }
        let committed = self.keeper()?.commit_due();
        for (number, mut promise) in receipts {
            if let Ok(Ok(name)) = promise.try_recv() {
                let before = self.told.insert(name.sequence, (name.id("gw-1"), number));
                assert_eq!(before, None, "a sequence that was told is given again");
            }
        }
        committed
    }

    fn read(&mut self, lane: Lane, records_max: usize) -> Result<Vec<Stored>, StoreError> {
        let (reply, mut answer) = oneshot::channel();
        self.keeper()?.handle(Request::Read { lane, after: 0, records_max, bytes_max: usize::MAX, reply })?;
        Ok(answer.try_recv().expect("answered"))
    }

    /// Everything that was told is there, unchanged and in order, or at the broker, or in a gap that was reported.
    fn settle_accounts(&mut self, may_lose: bool) {
        self.keeper.take();
        self.flash.set_capacity(None);
        let waiting = self.read(Lane::Readings, usize::MAX).unwrap();
        let found: BTreeMap<u64, (String, u64)> = waiting
            .iter()
            .map(|stored| (stored.name.sequence, (stored.name.id("gw-1"), number_of(stored))))
            .collect();
        assert!(waiting.is_sorted_by_key(|stored| stored.name.sequence));
        let gaps = self.gaps();
        assert!(may_lose || gaps.is_empty(), "{gaps:?} are reported as lost, and nothing was damaged");
        for (sequence, told) in &self.told {
            let is_in_gap = gaps.iter().any(|(from, to)| (from..=to).contains(&sequence));
            match found.get(sequence) {
                Some(found) => assert_eq!(found, told, "one name, one content"),
                None => {
                    assert!(self.left.contains(sequence) || is_in_gap, "{sequence} is lost without a word")
                }
            }
        }
    }

    fn gaps(&mut self) -> Vec<(u64, u64)> {
        let sequence = |id: &str| id.rsplit_once(":r").and_then(|(_, sequence)| sequence.parse().ok());
        let events = self.read(Lane::Urgent, usize::MAX).unwrap();
        let gap = |stored: &Stored| match Record::decode(&stored.bytes).unwrap() {
            Record::Event(Event { what: What::Gap { ids: Some([from, to]), cause, .. }, .. }) => {
                assert!(matches!(cause, GapCause::Damage | GapCause::Retention));
                Some((sequence(&from)?, sequence(&to)?))
            }
            _ => None,
        };
        events.iter().filter_map(gap).collect()
    }

    /// Whatever happened, it goes on: new readings are stored, everything can leave, and then nothing is left on disk.
    fn goes_on(&mut self) {
        let before = self.told.len();
        self.append(3).unwrap();
        assert_eq!(self.told.len(), before + 3, "readings are stored again");
        self.act(Deliver(usize::MAX)).unwrap();
        self.act(Flush).unwrap();
        self.act(Restart).unwrap();
        assert!(self.read(Lane::Readings, usize::MAX).unwrap().is_empty());
        assert_eq!(self.flash.segments(&self.config.directory.join("readings")).len(), 1);
    }
}

/// Plays a script with a fault at a step; returns how many steps there were, and how many gaps were reported.
fn play(rules: Rules, script: &[Action], fault: Option<(u64, Fault)>, seed: u64) -> (u64, usize) {
    let mut world = World::new(rules, seed);
    if let Some((step, fault)) = fault {
        world.flash.plan(step, fault);
    }
    for action in script {
        if world.act(*action).is_err() {
            // What a keeper that fails does: it ends, and is started anew, after a power cut or without one.
            world.keeper = None;
            if matches!(fault, Some((_, Fault::Cut))) || world.chance.bool() {
                world.flash.power_cycle(&mut world.chance.fork());
            }
        }
    }
    let steps = world.flash.steps();
    world.flash.power_cycle(&mut world.chance.fork());
    world.settle_accounts(rules.may_lose);
    let gaps = world.gaps().len();
    world.goes_on();
    (steps, gaps)
}

/// Named when the test fails in it.
struct Case(String);

impl Drop for Case {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("{}", self.0);
        }
    }
}

fn at_every_step(fault: Fault, seeds: u64) {
    for (name, rules, script) in SCRIPTS {
        let (steps, gaps) = play(rules, script, None, 0);
        assert!(steps > 20, "{name}: {steps} steps");
        assert_eq!(gaps > 0, rules.may_lose, "{name}: what is to be tried here does happen");
        for step in 1..=steps {
            for seed in 0..seeds {
                let _case = Case(format!("{name}: {fault:?} at step {step} of {steps}, seed {seed}"));
                play(rules, script, Some((step, fault)), seed);
            }
        }
    }
}

#[test]
fn a_power_cut_at_any_step_loses_nothing_that_was_told() {
    at_every_step(Fault::Cut, 16);
}

#[test]
fn a_call_that_fails_at_any_step_loses_nothing_that_was_told() {
    at_every_step(Fault::Fails, 8);
}

#[test]
fn two_faults_in_a_row_lose_nothing_that_was_told() {
    let (_, rules, script) = SCRIPTS[2];
    let (steps, _) = play(rules, script, None, 0);
    for first in 1..steps {
        for second in 1..=30 {
            let mut world = World::new(rules, first * 100 + second);
            world.flash.plan(first, Fault::Cut);
            for action in script {
                while world.act(*action).is_err() {
                    world.keeper = None;
                    world.flash.power_cycle(&mut world.chance.fork());
                    // The second cut falls into the start after the first.
                    world.flash.plan(second, Fault::Cut);
                    if world.keeper().is_err() {
                        world.flash.power_cycle(&mut world.chance.fork());
                    }
                    world.flash.plan(u64::MAX / 2, Fault::Cut);
                }
            }
            world.flash.power_cycle(&mut world.chance.fork());
            world.settle_accounts(false);
            world.goes_on();
        }
    }
}

#[test]
fn on_a_disk_filled_to_the_last_byte_the_next_readings_are_stored_on_the_reserve() {
    let mut world = World::new(NEVER, 1);
    world.act(Append(2)).unwrap();
    world.act(DiskFills).unwrap();
    world.act(Append(2)).unwrap();
    assert_eq!(world.told.len(), 4);
    world.settle_accounts(false);
}

#[test]
fn a_record_that_cannot_be_set_aside_on_a_full_disk_stays_and_is_later_kept_once() {
    let mut world = World::new(STOPPING, 1);
    world.append(8).unwrap();
    // The reserve makes room for the first of them.
    let mut kept = 0;
    loop {
        world.act(DiskFills).unwrap();
        world.act(Refuse).unwrap();
        if world.left.len() == kept {
            break;
        }
        kept += 1;
    }
    for _ in 0..5 {
        world.act(Refuse).unwrap();
        assert_eq!(world.left.len(), kept);
        assert_eq!(world.read(Lane::Readings, 1).unwrap()[0].name.sequence, kept as u64 + 1);
    }
    world.act(DiskClears).unwrap();
    world.act(Refuse).unwrap();
    kept += 1;
    assert_eq!(world.left.len(), kept);
    assert_eq!(world.keeper().unwrap().refused.waiting(), kept as u64);
    let events = world.read(Lane::Urgent, usize::MAX).unwrap();
    let is_refusal = |stored: &&Stored| {
        let record = Record::decode(&stored.bytes).unwrap();
        matches!(record, Record::Event(Event { what: What::RecordRefused { .. }, .. }))
    };
    assert_eq!(events.iter().filter(is_refusal).count(), kept);
    world.settle_accounts(false);
    world.goes_on();
}
