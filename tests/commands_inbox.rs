//! The command topic changes under a gateway: it gets more partitions, is made anew, loses its oldest messages. No command is
//! lost by it, and none is carried out twice.

use jiff::{SignedDuration, Timestamp};

use crate::harness::fleet::Fleet;
use crate::harness::kafka::Kafka;
use crate::harness::not_run::require;
use crate::harness::orders::{Console, PATIENCE, Signer, gateway, valves, wait_told};
use crate::harness::weir::Weir;

const TOPIC: &str = "moved.commands";

/// A gateway, its meters and its topic, with one command carried out that was the topic's first message.
struct Site {
    kafka: &'static Kafka,
    fleet: Fleet,
    signer: Signer,
    weir: Weir,
    first: String,
}

impl Site {
    fn start(kafka: &'static Kafka) -> Self {
        for topic in ["moved.readings", "moved.events", "moved.outcomes"] {
            kafka.create_topic(topic, 1, &[]);
        }
        let (fleet, signer) = (valves(61), Signer::new());
        let topics = "readings_topic = \"moved.readings\"\nevents_topic = \"moved.events\"\noutcomes_topic = \"moved.outcomes\"";
        let weir = gateway(&fleet, &signer, &kafka.bootstrap(), topics, TOPIC);
        // Made after the gateway, and most likely with its first command in it before the gateway sees it.
        kafka.create_topic(TOPIC, 1, &[]);
        let mut site = Self { kafka, fleet, signer, weir, first: String::new() };
        let (first, id) = site.close("room-1");
        site.put(0, &[&first]);
        site.wait_done(&id);
        site.first = first;
        site
    }

    fn close(&self, meter: &str) -> (String, String) {
        self.signer.sign(meter, "valve.close", &[])
    }

    fn put(&self, partition: i32, messages: &[&str]) {
        let console = Console::new(&self.kafka.bootstrap(), TOPIC);
        messages.iter().for_each(|message| console.send_to(partition, message));
        console.flush();
    }

    fn put_old(&self, partition: i32, message: &str) {
        let console = Console::new(&self.kafka.bootstrap(), TOPIC);
        console.send_dated(partition, message, two_days_ago());
        console.flush();
    }

    fn wait_done(&self, id: &str) {
        let outcomes =
            || self.kafka.read_all("moved.outcomes").iter().map(|outcome| outcome.json()).collect();
        assert_eq!(wait_told(outcomes, id), ["accepted", "started", "done"]);
    }

    fn make_anew(&self, partitions: i32) {
        self.kafka.delete_topic(TOPIC);
        self.kafka.create_topic(TOPIC, partitions, &[]);
    }
}

#[expect(clippy::disallowed_methods, reason = "a story lives by the machine's clock, as the daemon does")]
fn two_days_ago() -> Timestamp {
    Timestamp::now() - SignedDuration::from_hours(48)
}

#[test]
fn a_topic_with_more_partitions_one_made_anew_and_one_that_was_shortened_lose_no_command_and_repeat_none() {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else { return };
    let mut site = Site::start(kafka);

    // A partition is added, and written to before the gateway knows of it.
    kafka.add_partitions(TOPIC, 2);
    let (second, id) = site.close("room-2");
    site.put(1, &[&second]);
    site.wait_done(&id);

    // Made anew, and grown beyond the position, while the gateway was off: another message stands where its last one was.
    site.weir.kill();
    site.make_anew(2);
    let (third, id) = site.close("room-3");
    // It lies there for two days, and only a day of it is read.
    let (old, old_id) = site.close("room-6");
    site.put_old(0, &old);
    site.put(0, &[&third, &site.first, "rubbish", "rubbish"]);
    site.weir.start();
    site.weir.wait_ready(PATIENCE);
    site.wait_done(&id);

    // Made anew while it runs: its position is not there.
    site.make_anew(1);
    let (fourth, id) = site.close("room-4");
    site.put(0, &[&fourth]);
    site.wait_done(&id);

    // Shortened beyond its position while it was off.
    site.weir.kill();
    let (fifth, id) = site.close("room-5");
    site.put(0, &["rubbish", "rubbish", &fifth, &site.first]);
    kafka.delete_records(TOPIC, 0, 3);
    site.weir.start();
    site.weir.wait_ready(PATIENCE);
    site.wait_done(&id);

    assert!(site.weir.command_state(&old_id).is_null());
    assert_eq!(site.fleet.meter("room-6").obeyed().valve, 0);
    for meter in ["room-1", "room-2", "room-3", "room-4", "room-5"] {
        assert_eq!(site.fleet.meter(meter).obeyed().valve, 1, "{meter}");
    }
}
