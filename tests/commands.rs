//! Signed commands from the topic to the meter and back: carried out once, read back, and answered whatever goes wrong.

use std::path::Path;
use std::process::Command;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use weir::limits::COMMAND_LOOKS_WITHOUT_ANSWER;
use weir_simulator::Fault;

use crate::harness::deadline::wait_until;
use crate::harness::fleet::{Fleet, Street};
use crate::harness::kafka::Kafka;
use crate::harness::ledger::GATEWAY;
use crate::harness::not_run::{NotRun, require};
use crate::harness::orders::{
    Console, PATIENCE, SETTLE, Signer, TRAVEL, alone, gateway, states_of, tomorrow, valves, wait_inbox,
    wait_told,
};
use crate::harness::weir::Weir;

#[test]
fn a_signed_command_from_apache_kafka_closes_a_valve_once_and_is_answered_from_the_meter() {
    let Some(kafka) = require("Apache Kafka", Kafka::shared()) else { return };
    for topic in ["cmd.readings", "cmd.events", "cmd.outcomes", "cmd.commands"] {
        kafka.create_topic(topic, 2, &[]);
    }
    let (fleet, signer) = (valves(51), Signer::new());
    let topics =
        "readings_topic = \"cmd.readings\"\nevents_topic = \"cmd.events\"\noutcomes_topic = \"cmd.outcomes\"";
    let console = Console::new(&kafka.bootstrap(), "cmd.commands");
    // What lay in the topic before the gateway was commissioned is none of its business.
    let (old, old_id) = signer.sign("room-4", "valve.close", &[]);
    console.send("room-4", &old);
    console.flush();
    let mut weir = gateway(&fleet, &signer, &kafka.bootstrap(), topics, "cmd.commands");
    wait_inbox(&weir);

    let (close, id) = signer.sign("room-1", "valve.close", &["--if-valve", "open", "--requested-by", "anna"]);
    let (modbus, modbus_id) = signer.sign("plant-3", "valve.close", &[]);
    console.send("room-1", &close);
    console.send("plant-3", &modbus);
    console.send("room-1", "rubbish");
    // The broker may hand on what it likes as often as it likes.
    console.send("room-1", &close);
    console.flush();
    let outcomes = || kafka.read_all("cmd.outcomes").iter().map(|outcome| outcome.json()).collect();
    for id in [&id, &modbus_id] {
        assert_eq!(wait_told(outcomes, id), ["accepted", "started", "done"]);
    }
    for record in kafka.read_all("cmd.outcomes") {
        let outcome = record.json();
        assert_eq!(record.header("weir-id"), Some(outcome["id"].as_str().unwrap().as_bytes()));
        assert_eq!(record.header("weir-schema"), Some(&b"outcome/1"[..]));
        assert_eq!(record.key.as_deref(), Some(outcome["meter"].as_str().unwrap().as_bytes()));
        if outcome["state"] == "done" {
            assert_eq!(outcome["observed"]["valve"], "closed", "{outcome:#}");
        }
    }
    for meter in ["room-1", "plant-3"] {
        assert_eq!(fleet.meter(meter).obeyed().valve, 1, "{meter}");
    }

    // A restart neither skips nor repeats.
    weir.kill();
    let (open, open_id) = signer.sign("room-1", "valve.open", &[]);
    console.send("room-1", &open);
    console.flush();
    weir.start();
    weir.wait_ready(PATIENCE);
    assert_eq!(wait_told(outcomes, &open_id), ["accepted", "started", "done"]);
    assert_eq!(fleet.meter("room-1").obeyed().valve, 2);
    assert_eq!(fleet.meter("room-4").obeyed().valve, 0);
    assert!(states_of(&outcomes(), &old_id).is_empty());
    let audit = weir.command(&["commands", "audit"]);
    assert!(audit.status.success(), "{audit:?}");
}

#[test]
fn whatever_is_wrong_with_meter_or_line_a_command_ends_as_it_should_and_is_carried_out_at_most_once() {
    let (fleet, signer) = (valves(52), Signer::new());
    let mut weir = alone(&fleet, &signer);
    let fault = |meter: &str, fault| fleet.meter(meter).set_fault(Some(fault));
    fault("room-2", Fault::StuckValve);
    fault("room-3", Fault::MovingForEver);
    fault("room-4", Fault::ValveFault);
    fault("room-5", Fault::WrongAddress);
    fleet.meter("room-6").silence();
    fault("room-8", Fault::Slow);
    fault("room-9", Fault::OrdersUnanswered);
    fault("room-10", Fault::MuteOnceOrdered);
    let order = |meter: &str, more: &[&str]| {
        let (jws, id) = signer.sign(meter, "valve.close", more);
        let said = weir.submit(&jws);
        assert_eq!(said["accepted"]["id"], id.as_str(), "{said:#}");
        id
    };
    let good = order("room-1", &[]);
    let stuck = order("room-2", &[]);
    let moving = order("room-3", &[]);
    let faulty = order("room-4", &[]);
    let swapped = order("room-5", &["--for", "6s"]);
    let silent = order("room-6", &["--for", "6s"]);
    let precondition = order("room-7", &["--if-valve", "closed"]);
    let late = order("room-8", &[]);
    let unanswered = order("room-9", &[]);
    let mute_since = order("room-10", &[]);
    let end = |id: &str| {
        let row = weir.wait_command_end(id, PATIENCE);
        let word = |name: &str| row[name].as_str().unwrap_or("-").to_owned();
        (word("state"), word("reason"))
    };
    let is = |state: &str, reason: &str| (state.to_owned(), reason.to_owned());
    assert_eq!(end(&good), is("done", "-"));
    assert_eq!(end(&stuck), is("failed", "valve-fault"));
    assert_eq!(end(&moving), is("failed", "valve-fault"));
    assert_eq!(end(&faulty), is("failed", "valve-fault"));
    // Whoever answers from another address is not the meter: it counts as not reached.
    assert_eq!(end(&swapped), is("expired", "garbled"));
    assert_eq!(end(&silent), is("expired", "silent"));
    assert_eq!(end(&precondition), is("rejected", "precondition"));
    // An answer of CJ/T 188 names its request, so a late one is one.
    assert_eq!(end(&late), is("done", "-"));
    assert_eq!(end(&unanswered), is("done", "-"));
    assert_eq!(end(&mute_since), is("unknown", "silent"));
    for in_vain in [&stuck, &moving] {
        weir.times_of(in_vain).assert_settled(SETTLE, 1);
    }
    weir.times_of(&mute_since).assert_settled(SETTLE, COMMAND_LOOKS_WITHOUT_ANSWER);
    // What the first look shows is enough.
    for seen in [&good, &faulty, &late, &unanswered] {
        weir.times_of(seen).assert_settled(TRAVEL, 1);
    }
    for too_late in [&swapped, &silent] {
        weir.times_of(too_late).assert_expired();
    }
    for (meter, orders) in [
        ("room-1", 1),
        ("room-2", 1),
        ("room-3", 1),
        ("room-4", 1),
        ("room-5", 0),
        ("room-6", 0),
        ("room-7", 0),
        ("room-8", 1),
        ("room-9", 1),
        ("room-10", 1),
    ] {
        assert_eq!(fleet.meter(meter).obeyed().valve, orders, "{meter}");
    }
    assert_eq!(weir.stop(PATIENCE).code(), Some(0));
    let outcomes = weir.waiting_outcomes();
    assert_eq!(states_of(&outcomes, &stuck), ["accepted", "started", "failed"]);
    assert_eq!(states_of(&outcomes, &silent), ["accepted", "expired"]);
    let shown = outcomes.iter().find(|it| it["command"] == moving.as_str() && it["final"] == true).unwrap();
    assert_eq!(shown["state"], "failed", "{shown:#}");
}

#[test]
fn a_mute_meter_is_not_written_to_until_it_says_who_it_is() {
    let (fleet, signer) = (valves(53), Signer::new());
    let weir = alone(&fleet, &signer);
    // It hears everything, and none of its answers comes; then it talks again.
    let meter = fleet.meter("room-1");
    meter.set_fault(Some(Fault::Mute));
    let (jws, id) = signer.sign("room-1", "valve.close", &["--for", "5m"]);
    weir.submit(&jws);
    // A mute meter cannot be asked who it is, so nothing is written to it.
    wait_until("some tries to reach it", PATIENCE, || {
        let shown = weir.command(&["commands", "show", &id]);
        String::from_utf8_lossy(&shown.stdout).matches("identity:").count() >= 2
    });
    assert_eq!(meter.obeyed().valve, 0);
    meter.set_fault(None);
    let row = weir.wait_command_end(&id, PATIENCE);
    assert_eq!(row["state"], "done", "{row:#}");
    assert_eq!(meter.obeyed().valve, 1);
}

#[test]
fn a_command_waits_for_a_line_that_is_down_or_lent_and_expires_there() {
    let (fleet, signer) = (valves(54), Signer::new());
    let weir = alone(&fleet, &signer);
    fleet.line("plant").unplug().unwrap();
    wait_until("the line to be down", PATIENCE, || {
        let (jws, id) = signer.sign("plant-3", "read.now", &["--for", "1s"]);
        weir.submit(&jws);
        weir.wait_command_end(&id, PATIENCE)["reason"] == "line-down"
    });
    let (jws, waits) = signer.sign("plant-3", "valve.close", &["--for", "5m"]);
    let (short, expires) = signer.sign("room-1", "valve.close", &["--for", "3s"]);
    weir.submit(&jws);
    let mut lend = crate::harness::weir::weir_command();
    lend.args(["lend", "room", "--for", "5m", "--config"]).arg(weir.config_path());
    let mut lending = crate::harness::process::Process::spawn("weir-lend", &mut lend);
    wait_until("the line to be lent", PATIENCE, || !lending.stdout().is_empty());
    weir.submit(&short);
    let row = weir.wait_command_end(&expires, PATIENCE);
    assert_eq!(
        (row["state"].as_str(), row["reason"].as_str()),
        (Some("expired"), Some("line-lent")),
        "{row:#}"
    );
    weir.times_of(&expires).assert_expired();
    lending.stop(PATIENCE);
    fleet.line("plant").plug().unwrap();
    let row = weir.wait_command_end(&waits, PATIENCE);
    assert_eq!(row["state"], "done", "{row:#}");
    assert_eq!((fleet.meter("plant-3").obeyed().valve, fleet.meter("room-1").obeyed().valve), (1, 0));

    // One that goes down after the write leaves open what became of it.
    fleet.meter("plant-3").set_fault(Some(Fault::MovingForEver));
    let (jws, id) = signer.sign("plant-3", "valve.open", &[]);
    weir.submit(&jws);
    wait_until("the write", PATIENCE, || fleet.meter("plant-3").obeyed().valve == 2);
    fleet.line("plant").unplug().unwrap();
    let row = weir.wait_command_end(&id, PATIENCE);
    assert_eq!(
        (row["state"].as_str(), row["reason"].as_str()),
        (Some("unknown"), Some("line-down")),
        "{row:#}"
    );
    weir.times_of(&id).assert_settled(SETTLE, COMMAND_LOOKS_WITHOUT_ANSWER);
    assert_eq!(fleet.meter("plant-3").obeyed().valve, 2);
}

#[test]
fn the_stop_switch_holds_over_a_restart_and_lets_reading_through() {
    let (fleet, signer) = (valves(55), Signer::new());
    let mut weir = alone(&fleet, &signer);
    assert!(weir.command(&["commands", "stop", "--why", "works on the main"]).status.success());
    let close = || signer.sign("room-1", "valve.close", &[]);
    assert_eq!(weir.submit(&close().0)["rejected"]["reason"], "stopped");
    weir.kill();
    weir.start();
    weir.wait_ready(PATIENCE);
    assert_eq!(weir.submit(&close().0)["rejected"]["reason"], "stopped");
    let (read, read_id) = signer.sign("room-1", "read.now", &[]);
    weir.submit(&read);
    assert_eq!(weir.wait_command_end(&read_id, PATIENCE)["state"], "done");
    assert!(weir.command(&["commands", "resume"]).status.success());
    let (jws, id) = close();
    weir.submit(&jws);
    assert_eq!(weir.wait_command_end(&id, PATIENCE)["state"], "done");
    assert_eq!(fleet.meter("room-1").obeyed().valve, 1);
}

#[test]
fn clock_and_tariff_are_set_and_read_back_as_far_as_the_meter_tells_them() {
    let (fleet, signer) = (valves(56), Signer::new());
    let mut weir = alone(&fleet, &signer);
    let (clock, clock_id) = signer.sign("room-1", "clock.set", &[]);
    weir.submit(&clock);
    let row = weir.wait_command_end(&clock_id, PATIENCE);
    assert_eq!(row["state"], "done", "{row:#}");
    assert_eq!(fleet.meter("room-1").obeyed().clock, 1);

    let tomorrow = tomorrow();
    let in_two_months = tomorrow.saturating_add(jiff::Span::new().months(2));
    let tariff = weir.folder().join("tariff.json");
    let steps = r#"[{ "from_m3": 0, "price": 3.45 }, { "from_m3": 220, "price": 4.83 }, { "from_m3": 300, "price": 5.00 }]"#;
    std::fs::write(&tariff, format!(r#"{{ "effective_from": "{tomorrow}", "steps": {steps} }}"#)).unwrap();
    let (jws, id) = signer.sign("room-2", "tariff.set", &["--tariff", tariff.to_str().unwrap()]);
    weir.submit(&jws);
    let row = weir.wait_command_end(&id, PATIENCE);
    assert_eq!(row["state"], "unverified", "{row:#}");
    assert_eq!(fleet.meter("room-2").obeyed().tariff, 1);

    // More steps than the meter has, a day that it cannot mean, and a meter without a tariff.
    let four = steps.replace("] ", "").replace(']', r#", { "from_m3": 400, "price": 6 }]"#);
    for (meter, from, steps) in
        [("room-3", tomorrow, four.as_str()), ("room-4", in_two_months, steps), ("plant-3", tomorrow, steps)]
    {
        std::fs::write(&tariff, format!(r#"{{ "effective_from": "{from}", "steps": {steps} }}"#)).unwrap();
        let (jws, id) = signer.sign(meter, "tariff.set", &["--tariff", tariff.to_str().unwrap()]);
        weir.submit(&jws);
        let row = weir.wait_command_end(&id, PATIENCE);
        let end = (row["state"].as_str(), row["reason"].as_str());
        assert_eq!(end, (Some("rejected"), Some("not-supported")), "{meter}: {row:#}");
        assert_eq!(fleet.meter(meter).obeyed().tariff, 0);
    }
    assert_eq!(weir.stop(PATIENCE).code(), Some(0));
    let outcomes = weir.waiting_outcomes();
    let end = outcomes.iter().find(|it| it["command"] == id.as_str() && it["final"] == true).unwrap();
    assert_eq!(end["observed"]["tariff"][1]["price"].to_string(), "4.83", "{end:#}");
}

/// The script of docs/COMMANDS.md, for this key and meter.
fn documented_script(key: &Path, meter: &str) -> String {
    let lines = include_str!("../docs/COMMANDS.md").lines();
    let lines = lines.skip_while(|line| *line != "    import base64, datetime, json, uuid");
    let script: Vec<&str> = lines.map_while(|line| line.strip_prefix("    ")).collect();
    let script = script.join("\n").replace("console-2026.jwk", key.to_str().unwrap());
    script.replace("gw-0421", GATEWAY).replace("A-101", meter)
}

#[test]
fn the_script_in_the_documentation_gives_a_command_that_is_carried_out() {
    let Some(python) = require("commands signed in Python", python()) else { return };
    let (fleet, signer) = (valves(59), Signer::new());
    let weir = alone(&fleet, &signer);
    let script = documented_script(&signer.key(), "room-1");
    let output = Command::new(python).args(["-c", &script]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let said = weir.submit(std::str::from_utf8(&output.stdout).unwrap().trim());
    let id = said["accepted"]["id"].as_str().unwrap_or_else(|| panic!("{said:#}")).to_owned();
    assert_eq!(weir.wait_command_end(&id, PATIENCE)["state"], "done");
    assert_eq!(fleet.meter("room-1").obeyed().valve, 1);
}

#[test]
fn each_step_of_a_command_is_shown_and_a_changed_journal_is_found_out() {
    let (fleet, signer) = (valves(60), Signer::new());
    let mut weir = alone(&fleet, &signer);
    let (jws, id) = signer.sign("room-1", "valve.close", &[]);
    weir.submit(&jws);
    weir.wait_command_end(&id, PATIENCE);
    let shown = weir.command(&["commands", "show", &id]);
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    let mut rest = shown.as_str();
    for part in [
        "accepted, handed in on the spot, signed by console",
        "identity: FE",
        "68",
        "started",
        "write: FE",
        "17 A0",
        "-> ",
        "68",
        "look: FE",
        "done: read back",
        r#"observed {"valve":"closed""#,
    ] {
        let at = rest.find(part).unwrap_or_else(|| panic!("no {part:?} there:\n{shown}"));
        rest = &rest[at + part.len()..];
    }
    assert!(shown.lines().filter(|line| line.contains("Z  ")).count() >= 6, "each with its time:\n{shown}");

    // The valve is given its time before anybody looks.
    let lines = weir.command(&["commands", "show", &id, "--json"]);
    let lines = String::from_utf8(lines.stdout).unwrap();
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let at = |what: &str| -> Timestamp {
        let step = lines.iter().find(|line| line["entry"]["step"]["what"] == what).unwrap();
        step["at"].as_str().unwrap().parse().unwrap()
    };
    let travelled = at("look").duration_since(at("write"));
    assert!(travelled >= SignedDuration::from_millis(200), "{travelled:#}");

    let (jws, id) = signer.sign("room-2", "read.now", &[]);
    weir.submit(&jws);
    weir.wait_command_end(&id, PATIENCE);
    let shown = weir.command(&["commands", "show", &id, "--json"]);
    let shown = String::from_utf8(shown.stdout).unwrap();
    let shown: Vec<Value> = shown.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let read = &shown.iter().find(|line| line["entry"]["step"]["what"] == "read").unwrap()["entry"]["step"];
    for part in ["request", "answer"] {
        assert!(read[part].as_str().unwrap().contains("68"), "{read:#}");
    }

    assert_eq!(weir.stop(PATIENCE).code(), Some(0));
    assert_eq!(weir.command(&["commands", "audit"]).status.code(), Some(0));
    let journal = weir.journal();
    std::fs::write(weir.journal_path(), journal.replacen("room-1", "room-2", 1)).unwrap();
    let audit = weir.command(&["commands", "audit"]);
    assert_eq!(audit.status.code(), Some(65), "{audit:?}");
    assert!(String::from_utf8_lossy(&audit.stdout).contains("hash does not fit"), "{audit:?}");
}

/// Debian's Python, with `cryptography`.
fn python() -> Result<&'static str, NotRun> {
    let python = "/usr/bin/python3";
    let imports = Command::new(python).args(["-c", "import cryptography"]).output();
    match imports {
        Ok(output) if output.status.success() => Ok(python),
        _ => Err(NotRun::because("no cryptography for /usr/bin/python3: python3-cryptography")),
    }
}

#[test]
fn a_key_is_exchanged_without_a_restart() {
    let (fleet, signer) = (valves(57), Signer::new());
    let mut weir = alone(&fleet, &signer);
    let next = Signer::of("console-2");
    let is_in_force = |weir: &Weir, signer: &Signer| {
        let (jws, id) = signer.sign("room-1", "read.now", &[]);
        weir.submit(&jws)["accepted"]["id"] == id.as_str()
    };
    let (early, _) = next.sign("room-1", "valve.close", &[]);
    assert_eq!(weir.submit(&early)["refused"]["cause"], "unknown-key");
    let text = std::fs::read_to_string(weir.config_path()).unwrap();
    // The new one beside the old one, and then alone.
    weir.write_config(&text.replace(&signer.grant(), &(signer.grant() + &next.grant())));
    weir.process().signal(rustix::process::Signal::HUP);
    wait_until("the other key to be in force", PATIENCE, || is_in_force(&weir, &next));
    assert!(is_in_force(&weir, &signer));
    let text = text.replace(&signer.grant(), &next.grant());
    weir.write_config(&text);
    weir.process().signal(rustix::process::Signal::HUP);
    wait_until("the first key to be out of force", PATIENCE, || {
        let (old, _) = signer.sign("room-1", "read.now", &[]);
        weir.submit(&old)["refused"]["cause"] == "unknown-key"
    });
    // A configuration with a fault changes nothing.
    weir.write_config("nonsense");
    weir.process().signal(rustix::process::Signal::HUP);
    weir.process().wait_for_line("configuration not reloaded", PATIENCE);
    weir.write_config(&text);
    let (jws, id) = next.sign("room-1", "read.now", &[]);
    assert_eq!(weir.submit(&jws)["accepted"]["id"], id.as_str());
}

mod alone {
    use super::*;

    /// Kilobytes of memory that the process has in use.
    fn resident_kb(pid: u32) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// How many messages the journal says were refused.
    fn counted(weir: &Weir) -> u64 {
        let journal = weir.journal();
        let lines = journal.lines().filter_map(|line| serde_json::from_str::<Value>(line.get(65..)?).ok());
        lines
            .filter_map(|line| line["entry"]["refused"]["counts"].as_array().cloned())
            .flatten()
            .map(|count| count[1].as_u64().unwrap())
            .sum()
    }

    #[test]
    fn a_flood_of_a_hundred_thousand_forged_commands_costs_counts_and_neither_memory_nor_polls() {
        const FIRST: u64 = 25_000;
        const FLOOD: u64 = 100_000;
        let Some(kafka) = require("Apache Kafka", Kafka::shared()) else { return };
        for topic in ["flood.readings", "flood.events", "flood.outcomes", "flood.commands"] {
            kafka.create_topic(topic, 2, &[]);
        }
        let topics = "readings_topic = \"flood.readings\"\nevents_topic = \"flood.events\"\noutcomes_topic = \"flood.outcomes\"";
        let (signer, stranger) = (Signer::new(), Signer::new());
        let street = Street::cjt188("room", 4).key("every = \"2s\"\nadapter_allowance = \"500ms\"");
        let fleet = Fleet::start(58, [street]);
        let mut weir = gateway(&fleet, &signer, &kafka.bootstrap(), topics, "flood.commands");
        let console = Console::new(&kafka.bootstrap(), "flood.commands");
        wait_inbox(&weir);
        let (forged, _) = stranger.sign("room-1", "valve.close", &[]);
        let flood = |count: u64| {
            for n in 0..count {
                let message = if n % 2 == 0 { forged.clone() } else { format!("{forged}{n}") };
                // Both partitions have some.
                console.send(if n % 3 == 0 { "room-1" } else { "room-2" }, &message);
            }
            console.flush();
        };
        let told = || -> Vec<Value> {
            let events = kafka.read_all("flood.events").into_iter().map(|event| event.json());
            events.filter(|event| event["event"] == "commands-refused").collect()
        };
        // The first ones, until they are told and the topic has been looked at once more: everything that grows once has
        // grown then.
        flood(FIRST);
        wait_until("the first ones to be told", PATIENCE, || !told().is_empty());
        flood(FIRST);
        wait_until("the first ones to be counted", PATIENCE, || counted(&weir) >= 2 * FIRST);
        let before = resident_kb(weir.process().id());
        flood(FLOOD);
        wait_until("the flood to be counted", 2 * PATIENCE, || counted(&weir) >= 2 * FIRST + FLOOD);
        let grown = resident_kb(weir.process().id()).saturating_sub(before);
        assert!(grown < 8 * 1024, "grown by {grown} kB");
        assert_eq!(counted(&weir), 2 * FIRST + FLOOD, "each counted once");

        let journal = weir.journal();
        let lines = journal.lines().filter_map(|line| serde_json::from_str::<Value>(line.get(65..)?).ok());
        let refused = lines.filter(|line| line["entry"]["refused"].is_object());
        let at: Vec<Timestamp> = refused.map(|line| line["at"].as_str().unwrap().parse().unwrap()).collect();
        let lasted = at.last().unwrap().duration_since(at[0]).as_secs();
        // One in twenty seconds, and one whenever the inbox looks at its topic.
        assert!(at.len() <= 3 + usize::try_from(lasted / 10).unwrap(), "{} in {lasted} s", at.len());
        assert!(kafka.read_all("flood.outcomes").is_empty());
        assert!(told().len() < 10, "{:#?}", told());
        assert_eq!(told()[0]["last_kid"], "console", "the one that the stranger's key named");
        // No poll was left out or late meanwhile: one every two seconds.
        let until = *at.last().unwrap() - SignedDuration::from_secs(5);
        let readings = kafka.read_all("flood.readings").into_iter().map(|reading| reading.json());
        let polls: Vec<(Timestamp, Timestamp)> = readings
            .filter(|reading| reading["meter"] == "room-1")
            .map(|reading| {
                let at = |name: &str| reading[name].as_str().unwrap().parse::<Timestamp>().unwrap();
                (at("scheduled_at"), at("read_at"))
            })
            .filter(|(slot, _)| (at[0]..until).contains(slot))
            .collect();
        let slots = usize::try_from(until.duration_since(at[0]).as_secs() / 2).unwrap();
        assert!(polls.len() + 1 >= slots, "{} polls in {slots} slots", polls.len());
        let latest = polls.iter().map(|(slot, read)| read.duration_since(*slot)).max();
        assert!(latest < Some(SignedDuration::from_secs(2)), "{latest:?} late");
        assert_eq!(fleet.meter("room-1").obeyed().valve, 0);
        // Polls went on, and so do commands.
        let stored = weir.stats()["outbox"]["readings"]["stored"].as_u64();
        weir.wait_stats("polls to go on", PATIENCE, |stats| {
            stats["outbox"]["readings"]["stored"].as_u64() >= stored.map(|stored| stored + 4)
        });
        let (good, id) = signer.sign("room-1", "read.now", &[]);
        console.send("room-1", &good);
        console.flush();
        assert_eq!(weir.wait_command_end(&id, PATIENCE)["state"], "done");
    }
}
