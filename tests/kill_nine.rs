//! `kill -9` at any moment, again and again, while readings are polled and drained and the broker comes and goes.
//!
//! What arrives in the end is what had been told of as flushed: all of it, each under one name with one content, and
//! nothing else but the last commit of a life that was killed before it could tell. `WEIR_STORY_ROUNDS=1000` makes a
//! campaign of it (`docs/RELIABILITY.md`).
//!
//! What this cannot show is a missing `fdatasync`: the page cache survives a kill. The power cut is a story of its own.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::harness::chance::{rounds, seed, sleep_some};
use crate::harness::fleet::{Fleet, Street};
use crate::harness::ledger;
use crate::harness::mock::{Gathered, MockBroker};
use crate::harness::weir::Weir;

const PATIENCE: Duration = Duration::from_secs(90);
/// After so many lives what has arrived is taken from the broker, which forgets in the long run, and judged.
const LIVES_BETWEEN_LOOKS: u32 = 25;

/// One life: somewhere in it the broker may come or go, and somewhere it ends. Some end while they are still starting.
fn one_life(weir: &mut Weir, broker: &MockBroker, random: &mut fastrand::Rng) {
    weir.start();
    if random.u8(..4) > 0 {
        weir.wait_ready(PATIENCE);
    }
    // The moments are the story's subject: nothing is waited for that would have to have happened.
    sleep_some(random, 700);
    if random.bool() {
        broker.up()
    } else {
        broker.down()
    }
    sleep_some(random, 1000);
    weir.kill();
}

/// What has arrived so far, and whether it may be so.
#[derive(Debug, Default)]
struct Arrived {
    readings: Gathered,
    events: Gathered,
}

impl Arrived {
    /// Takes what has come and judges it. `told` must have arrived whole.
    fn judge(
        &mut self,
        broker: &MockBroker,
        fleet: &Fleet,
        told: &BTreeSet<String>,
        ever_told: &BTreeSet<String>,
    ) {
        self.readings.gather(broker, "weir.readings");
        self.events.gather(broker, "weir.events");
        let readings = ledger::readings(self.readings.all(), fleet);
        let events = ledger::events(self.events.all());
        ledger::assert_all_there(told, &readings, &events);
        ledger::assert_nothing_untold(ever_told, &readings, &events);
        ledger::assert_no_gap(&events);
        let came = self.readings.all().len() + self.events.all().len();
        let repeats = came - readings.len() - events.len();
        println!(
            "{} told, {} readings, {} events, {repeats} repeats",
            told.len(),
            readings.len(),
            events.len()
        );
    }
}

#[test]
fn what_was_flushed_before_any_of_fifty_kills_arrives_under_its_name_and_nothing_else() {
    let seed = seed();
    let mut random = fastrand::Rng::with_seed(seed);
    let streets =
        [Street::mbus("m", 4), Street::modbus("r", 4), Street::cjt188("c", 4), Street::modbus_tcp("t", 4)];
    let key = |offset| format!("every = \"1s\"\noffset = \"{offset}ms\"\nadapter_allowance = \"1s\"");
    let streets = (0..).step_by(250).zip(streets).map(|(offset, street)| street.key(&key(offset)));
    let fleet = Fleet::start(seed, streets);
    let broker = MockBroker::start();
    let mut weir = Weir::for_fleet(&fleet, &broker.bootstrap(), "");
    let mut arrived = Arrived::default();
    let rounds = rounds(50);
    for round in 1..=rounds {
        one_life(&mut weir, &broker, &mut random);
        if round % LIVES_BETWEEN_LOOKS == 0 {
            broker.up();
            weir.start();
            weir.wait_ready(PATIENCE);
            let told = weir.told();
            weir.wait_acknowledged(PATIENCE);
            println!("kill {round} of {rounds}");
            arrived.judge(&broker, &fleet, &told, &weir.told());
            weir.kill();
        }
    }

    broker.up();
    weir.start();
    weir.wait_ready(PATIENCE);
    weir.wait_more_readings(10, PATIENCE);
    let told = weir.drain_to_the_last(&fleet, PATIENCE);
    arrived.judge(&broker, &fleet, &told, &weir.told());
    let lives_that_read: BTreeSet<&str> =
        told.iter().filter(|id| id.contains(":r")).filter_map(|id| id.split(':').nth(1)).collect();
    assert!(lives_that_read.len() > 2, "the kills left hardly a life that read a meter: {lives_that_read:?}");
}
