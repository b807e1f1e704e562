//! A gateway whose clock nobody can trust is commanded all the same: by the nonce that it publishes, and each nonce once.

use serde_json::Value;
use weir::boots::Boots;

use crate::harness::deadline::wait_for;
use crate::harness::kafka::Kafka;
use crate::harness::ledger::GATEWAY;
use crate::harness::not_run::require;
use crate::harness::orders::{Console, PATIENCE, Signer, unstarted, valves, wait_inbox, wait_told};
use crate::harness::weir::{Weir, settings};

/// No machine's clock has come that far, so none is trusted whatever its kernel says; a floor beyond 2080 would be taken for
/// none.
const FLOOR: &str = "2079-06-01T00:00:00Z";

/// As if it had once known a time that its clock has lost since.
fn put_floor(weir: &Weir) {
    let outbox = weir.folder().join("state/outbox");
    std::fs::create_dir_all(&outbox).unwrap();
    Boots::open(&outbox).set_floor(FLOOR.parse().unwrap()).unwrap();
}

fn events(kafka: &Kafka, topic: &str) -> Vec<Value> {
    kafka.read_all(topic).iter().map(|event| event.json()).collect()
}

fn first_status(kafka: &Kafka, topic: &str) -> Value {
    wait_for("a status event to arrive", PATIENCE, || {
        events(kafka, topic).into_iter().find(|event| event["event"] == "status")
    })
}

#[test]
fn without_a_clock_to_trust_a_command_is_carried_out_that_repeats_the_published_challenge_and_no_other() {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else { return };
    for topic in ["nonce.readings", "nonce.events", "nonce.outcomes", "nonce.commands"] {
        kafka.create_topic(topic, 1, &[]);
    }
    let (fleet, signer) = (valves(63), Signer::new());
    let topics = "readings_topic = \"nonce.readings\"\nevents_topic = \"nonce.events\"\noutcomes_topic = \"nonce.outcomes\"";
    let mut weir = unstarted(&fleet, &signer, &kafka.bootstrap(), topics, "nonce.commands");
    let config = std::fs::read_to_string(weir.config_path()).unwrap();
    weir.write_config(&config.replace("trust_clock = true\n", ""));
    put_floor(&weir);
    weir.start();
    weir.wait_ready(PATIENCE);
    wait_inbox(&weir);

    let status = first_status(kafka, "nonce.events");
    assert_eq!(status["clock"], "unsynced", "{status:#}");
    let challenge = status["challenge"].as_str().unwrap_or_else(|| panic!("no challenge in {status:#}"));
    let console = Console::new(&kafka.bootstrap(), "nonce.commands");
    let outcomes = || kafka.read_all("nonce.outcomes").iter().map(|outcome| outcome.json()).collect();
    let order = |meter: &str, challenge: Option<&str>| {
        let more: Vec<&str> = challenge.into_iter().flat_map(|nonce| ["--challenge", nonce]).collect();
        let (jws, id) = signer.sign(meter, "valve.close", &more);
        console.send(meter, &jws);
        console.flush();
        let states = wait_told(outcomes, &id);
        let all: Vec<Value> = outcomes();
        let end = all.into_iter().find(|it| it["command"] == id.as_str() && it["final"] == true).unwrap();
        (states, end["reason"].as_str().unwrap_or("-").to_owned())
    };
    let refused = (vec!["rejected".to_owned()], "clock-not-trusted".to_owned());
    assert_eq!(order("room-1", None), refused);
    assert_eq!(order("room-2", Some("00112233445566778899aabbccddeeff")), refused);
    let (states, reason) = order("room-3", Some(challenge));
    assert_eq!((states, reason.as_str()), (["accepted", "started", "done"].map(str::to_owned).into(), "-"));
    // It has served.
    assert_eq!(order("room-4", Some(challenge)), refused);
    let obeyed = ["room-1", "room-2", "room-3", "room-4"].map(|meter| fleet.meter(meter).obeyed().valve);
    assert_eq!(obeyed, [0, 0, 1, 0]);
    assert_eq!(weir.stop(PATIENCE).code(), Some(0));
}

#[test]
fn a_gateway_that_takes_no_commands_publishes_no_challenge() {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else { return };
    for topic in ["mum.readings", "mum.events"] {
        kafka.create_topic(topic, 1, &[]);
    }
    let fleet = valves(64);
    let topics = "readings_topic = \"mum.readings\"\nevents_topic = \"mum.events\"";
    let mut weir = Weir::prepare(|folder| {
        format!("{}\n{}", settings(folder, &kafka.bootstrap(), topics), fleet.config())
    });
    put_floor(&weir);
    weir.start();
    weir.wait_ready(PATIENCE);
    let status = first_status(kafka, "mum.events");
    assert_eq!((&status["gateway"], &status["clock"]), (&GATEWAY.into(), &"unsynced".into()), "{status:#}");
    assert!(status.get("challenge").is_none(), "{status:#}");
}
