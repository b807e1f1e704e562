//! `kill -9` at any moment, again and again, while readings are polled and drained and the broker comes and goes.
//!
//! What this cannot show is a missing `fdatasync`: the page cache survives a kill. The power cut is a story of its own.

use std::time::Duration;

use crate::harness::fleet::{Fleet, Street};
use crate::harness::ledger;
use crate::harness::mock::MockBroker;
use crate::harness::weir::Weir;

const ROUNDS: u32 = 12;
const PATIENCE: Duration = Duration::from_secs(90);

/// The seed of this run: given, to see a failure again, or drawn.
fn seed() -> u64 {
    let given = std::env::var("WEIR_STORY_SEED").ok();
    let seed = given.map_or_else(|| fastrand::u64(..), |text| text.parse().expect("a number"));
    // Shown when the story fails.
    println!("WEIR_STORY_SEED={seed}");
    seed
}

fn milliseconds(random: &mut fastrand::Rng, most: u64) -> Duration {
    Duration::from_millis(random.u64(..most))
}

/// One life: somewhere in it the broker may come or go, and somewhere it ends. Some end while they are still starting.
fn one_life(weir: &mut Weir, broker: &MockBroker, random: &mut fastrand::Rng) {
    weir.start();
    if random.u8(..4) > 0 {
        weir.wait_ready(PATIENCE);
    }
    // The moments are the story's subject: nothing is waited for that would have to have happened.
    std::thread::sleep(milliseconds(random, 800));
    if random.bool() {
        broker.up()
    } else {
        broker.down()
    }
    std::thread::sleep(milliseconds(random, 1500));
    weir.kill();
}

#[test]
fn what_was_flushed_before_any_of_a_dozen_kills_arrives_under_its_name() {
    let seed = seed();
    let mut random = fastrand::Rng::with_seed(seed);
    let key = "every = \"1s\"\nadapter_allowance = \"1s\"";
    let streets =
        [Street::mbus("m", 4), Street::modbus("r", 4), Street::cjt188("c", 4), Street::modbus_tcp("t", 4)];
    let fleet = Fleet::start(seed, streets.map(|street| street.key(key)));
    let broker = MockBroker::start();
    let mut weir = Weir::for_fleet(&fleet, &broker.bootstrap(), "");
    for _ in 0..ROUNDS {
        one_life(&mut weir, &broker, &mut random);
    }

    broker.up();
    weir.start();
    weir.wait_ready(PATIENCE);
    weir.wait_more_readings(10, PATIENCE);
    let told = weir.drain_to_the_last(&fleet, PATIENCE);
    let readings = ledger::readings(&broker.read_all("weir.readings"), &fleet);
    let events = ledger::events(&broker.read_all("weir.events"));
    ledger::assert_all_there(&told, &readings, &events);
    let lives_that_read: std::collections::BTreeSet<&str> =
        readings.iter().filter_map(|reading| reading.id.split(':').nth(1)).collect();
    assert!(lives_that_read.len() > 2, "the kills left hardly a life that read a meter: {lives_that_read:?}");
}
