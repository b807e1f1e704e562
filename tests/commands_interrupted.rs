//! The daemon killed before each of its steps with a command, and started again: no write is made twice, and every command
//! has exactly one end.
//!
//! The steps are the journal's writes and flushes, every flush of any file, the outbox's among them, and the bytes between
//! daemon and meter. For the first, strace kills the daemon as a thread of it enters its n-th such call; for the bytes, the
//! wire does before it passes the n-th on; for every n until a command gets through (`WEIR_STORY_ROUNDS=150`; with fewer
//! rounds, not every byte), once with each kind of command; every eighth byte also of valves on Modbus and M-Bus. What happens
//! between two of them nobody outside can see, so killing before each is killing before and after each. The journal's are made once more with commands from a topic of Apache Kafka, which hands them on
//! again from the position in the journal.

mod alone {
    use std::collections::BTreeMap;
    use std::ffi::OsString;
    use std::net::Ipv4Addr;
    use std::path::Path;
    use std::time::Duration;

    use weir_simulator::{LineConfig, Protocol};

    use crate::harness::chance::rounds;
    use crate::harness::deadline::wait_for;
    use crate::harness::fleet::{Fleet, Street};
    use crate::harness::kafka::Kafka;
    use crate::harness::not_run::require;
    use crate::harness::orders::{Console, Signer, quick_valves, states_of, tomorrow, wait_inbox};
    use crate::harness::programs::program;
    use crate::harness::weir::{Weir, settings};
    use crate::harness::wire::Wire;

    const PATIENCE: Duration = Duration::from_secs(60);
    /// More than a command takes steps of all kinds together, and as many as Modbus has units.
    const METERS: u8 = 247;
    /// About as many bytes pass for a command.
    const BYTES: u32 = 150;
    const TOPIC: &str = "broken.commands";

    struct Stage {
        fleet: Fleet,
        signer: Signer,
        weir: Weir,
        strace: OsString,
        wire: Wire,
        /// Where commands come from, if not from the control socket.
        console: Option<Console>,
        next_meter: u8,
        /// Commands: id, action, and the meter each was for.
        given: Vec<(String, &'static str, String)>,
    }

    /// Where the daemon is killed.
    #[derive(Clone, Copy, Debug)]
    enum Step<'s> {
        /// Calls by name, with commas; on this file alone.
        Call(&'s str, Option<&'s Path>),
        /// Bytes on the wire, in either direction.
        Byte,
    }

    /// How a life ended.
    #[derive(PartialEq)]
    enum Life {
        Killed,
        /// The command had its end before so many steps.
        GotThrough,
    }

    impl Stage {
        fn set(strace: OsString, kafka: Option<&Kafka>, protocol: Protocol) -> Self {
            let keys = "every = \"1d\"\nadapter_allowance = \"300ms\"\nrepeats = 0\n";
            // The address of a CJ/T 188 meter is its number.
            let unchecked = if protocol == Protocol::Cjt188 { "" } else { "identity_check = \"none\"\n" };
            let (street, model, profile) = match protocol {
                Protocol::Modbus => {
                    (Street::modbus("room", METERS).key("framing = \"rtu\""), "xintai", "quick-xintai.toml")
                }
                Protocol::Mbus => (Street::mbus("room", METERS), "valve", "quick-mbus.toml"),
                _ => (Street::cjt188("room", METERS), "cold", "quick-cjt188.toml"),
            };
            let mut room = street.key(keys);
            room.simulated.meters.iter_mut().for_each(|meter| meter.model = Some(model.into()));
            let served = LineConfig::tcp("room", (Ipv4Addr::LOCALHOST, 0).into());
            room.simulated = LineConfig { paced: Some(false), ..served.with(room.simulated.meters) };
            let (fleet, signer) = (Fleet::start(61, [room]), Signer::new());
            let meters = fleet.line("room").address().unwrap();
            let wire = Wire::to(meters);
            let topics = ["readings", "events", "outcomes"].map(|topic| {
                kafka.inspect(|kafka| kafka.create_topic(&format!("broken.{topic}"), 1, &[]));
                format!("{topic}_topic = \"broken.{topic}\"\n")
            });
            kafka.inspect(|kafka| kafka.create_topic(TOPIC, 1, &[]));
            let bootstrap = kafka.map_or("127.0.0.1:9".to_owned(), Kafka::bootstrap);
            let mut weir = Weir::prepare(|folder| {
                quick_valves(folder);
                let commands = signer.config(TOPIC);
                let commands = commands
                    .replace("skew", "closings_per_hour_max = 1000\nclosings_per_day_max = 1000\nskew");
                let lines = fleet.config().replace("profile = \"xintai-valve\"\n", "");
                // Each is known by its place alone: whose valve it is, is no matter here.
                let of_each = format!("[[meters]]\nprofile = {profile:?}\n{unchecked}");
                let lines = lines.replace("[[meters]]\n", &of_each);
                let lines = lines.replace(&meters.to_string(), &wire.address.to_string());
                format!("{}\n{commands}\n{lines}", settings(folder, &bootstrap, &topics.concat()))
            });
            // The journal begins, so that what is signed from now on is to be carried out.
            weir.start();
            weir.wait_ready(PATIENCE);
            let console = kafka.map(|_| {
                wait_inbox(&weir);
                Console::new(&bootstrap, TOPIC)
            });
            weir.kill();
            Self { fleet, signer, weir, strace, wire, console, next_meter: 0, given: Vec::new() }
        }

        /// One such command for a meter that has had none.
        fn sign(&mut self, action: &'static str) -> (String, String) {
            self.next_meter += 1;
            let meter = format!("room-{}", self.next_meter);
            let (jws, id) = if action == "tariff.set" {
                let tariff = self.weir.folder().join("tariff.json");
                let tomorrow = tomorrow();
                let steps = r#"[{ "from_m3": 0, "price": 3.45 }, { "from_m3": 9, "price": 4 }, { "from_m3": 99, "price": 5 }]"#;
                std::fs::write(&tariff, format!(r#"{{ "effective_from": "{tomorrow}", "steps": {steps} }}"#))
                    .unwrap();
                self.signer.sign(&meter, action, &["--tariff", tariff.to_str().unwrap()])
            } else {
                self.signer.sign(&meter, action, &[])
            };
            self.given.push((id.clone(), action, meter));
            (jws, id)
        }

        /// Kills the daemon before the n-th such step, somewhere on its way with a command.
        fn killed_at(&mut self, action: &'static str, step: Step<'_>, n: u32) -> Life {
            let mut wrapper = Vec::new();
            if let Step::Call(calls, file) = step {
                wrapper.push(self.strace.clone());
                wrapper.extend(["-f", "-qq", "-o", "/dev/null"].map(OsString::from));
                if let Some(file) = file {
                    wrapper.extend(["-P".into(), file.into()]);
                }
                wrapper.push("-e".into());
                wrapper.push(format!("inject={calls}:signal=KILL:when={n}").into());
            }
            let (jws, id) = self.sign(action);
            if let Some(console) = &self.console {
                console.send_to(0, &jws);
                console.flush();
            }
            self.weir.run_under(wrapper);
            let daemon = self.weir.start().id();
            if matches!(step, Step::Byte) {
                self.wire.kill_before(n, daemon);
            }
            let mut is_handed_in = self.console.is_some();
            let life = wait_for(&format!("an end of the life with {n} steps"), PATIENCE, || {
                if self.weir.process().ended().is_some() {
                    return Some(Life::Killed);
                }
                if !is_handed_in {
                    if self.weir.notified().iter().any(|line| line == "READY=1") {
                        is_handed_in = true;
                        // The daemon may be killed meanwhile.
                        let file = self.weir.folder().join("command.jws");
                        std::fs::write(&file, &jws).unwrap();
                        self.weir.command(&["commands", "submit", file.to_str().unwrap()]);
                    }
                    return None;
                }
                // Said when its last line is flushed; the line can be read before.
                let said = format!("command finished command={id:?}");
                let is_over = self.weir.process().stderr().contains(&said);
                (is_over && self.is_position_journalled()).then_some(Life::GotThrough)
            });
            self.wire.disarm();
            self.weir.kill();
            self.weir.run_under(Vec::new());
            if life == Life::Killed {
                self.weir.start();
                self.weir.wait_ready(PATIENCE);
                // What is not on file a topic hands on again.
                if self.console.is_none() && self.weir.command_state(&id).is_null() {
                    self.weir.submit(&jws);
                }
                self.weir.wait_command_end(&id, PATIENCE);
                self.weir.kill();
            }
            life
        }

        /// Whether no message of the topic would be read again.
        fn is_position_journalled(&self) -> bool {
            let next = format!("\"next\":{}", self.given.len());
            self.console.is_none() || self.weir.journal().contains(&next)
        }

        /// How the commands ended, each as it should.
        fn ends(&mut self) -> BTreeMap<String, u32> {
            // Whatever a life did not get told is told now.
            self.weir.start();
            self.weir.wait_ready(PATIENCE);
            assert_eq!(self.weir.stop(PATIENCE).code(), Some(0));
            let mut outcomes = self.weir.waiting_outcomes();
            if self.console.is_some() {
                let told = Kafka::shared().unwrap().read_all("broken.outcomes");
                outcomes.extend(told.iter().map(|record| record.json()));
            }
            let mut ends = BTreeMap::<String, u32>::new();
            for (id, action, meter) in &self.given {
                let obeyed = self.fleet.meter(meter).obeyed();
                let written = obeyed.valve + obeyed.tariff + obeyed.clock;
                let states = states_of(&outcomes, id);
                let is_end = |state: &&String| !matches!(state.as_str(), "accepted" | "started");
                let end = states.iter().find(is_end).unwrap_or_else(|| panic!("{id} has no end: {states:?}"));
                let most = u64::from(*action != "read.now");
                assert!(written <= most, "{action} {id}: written {obeyed:?}, {states:?}");
                match end.as_str() {
                    // A meter's clock may be right before anybody has set it.
                    "done" if *action == "clock.set" => {}
                    "done" | "unverified" => assert_eq!(written, most, "{action} {id}: {states:?}"),
                    "unknown" => {}
                    // On a machine that is slow meanwhile a write may reach its meter in pieces, which takes none of it.
                    "failed" => assert_eq!(written, 0, "{action} {id}: {states:?}"),
                    other => panic!("{action} {id} ended {other}: {states:?}"),
                }
                *ends.entry(format!("{action} {end}")).or_default() += 1;
            }
            let audit = self.weir.command(&["commands", "audit"]);
            assert!(audit.status.success(), "{}", String::from_utf8_lossy(&audit.stdout));
            ends
        }

        /// A series of lives, each killed so many steps later than the one before, until a command gets through. Gives how
        /// many were killed.
        fn series(&mut self, action: &'static str, step: Step<'_>, by: u32) -> u32 {
            let mut killed = 0;
            while self.killed_at(action, step, 1 + killed * by) == Life::Killed {
                killed += 1;
            }
            eprintln!("{action}: {killed} lives of {step:?}");
            killed
        }
    }

    /// With the lines that each writes into the journal: accepted, identity, started, write, look, finished; a reading's is
    /// one step.
    const ACTIONS: [(&str, u32); 4] =
        [("valve.close", 6), ("tariff.set", 6), ("clock.set", 6), ("read.now", 4)];
    /// Bytes that pass for a read, of [`BYTES`] for what writes.
    const READ_BYTES: u32 = 50;

    #[test]
    fn killed_before_each_step_of_journal_wire_and_outbox_a_write_is_made_at_most_once() {
        let Some(strace) = require("kills at every step", program("strace", "strace")) else { return };
        let lives = rounds(30).min(BYTES);
        for (action, lines) in ACTIONS {
            let bytes = if action == "read.now" { READ_BYTES } else { BYTES };
            let mut stage = Stage::set(strace.clone().into(), None, Protocol::Cjt188);
            let journal = stage.weir.journal_path();
            let journal = Some(journal.as_path());
            for (step, by, least) in [
                (Step::Call("write", journal), 1, lines),
                (Step::Call("fdatasync", journal), 1, lines),
                // The outbox's are more.
                (Step::Call("fdatasync,fsync", None), 1, lines + 2),
                (Step::Byte, BYTES / lives, bytes * 2 / 3 / (BYTES / lives)),
            ] {
                let killed = stage.series(action, step, by);
                assert!(killed >= least, "{action}: {killed} lives of {step:?}");
            }
            let ends = stage.ends();
            let good = if action == "tariff.set" { "unverified" } else { "done" };
            for end in [good, "unknown"] {
                assert!(ends.contains_key(&format!("{action} {end}")), "{ends:?}");
            }
            eprintln!("{ends:?}");
        }
    }

    /// No more than a Modbus write has, so that some life ends in the middle of the write.
    const WRITE_BYTES: u32 = 8;

    fn killed_between_bytes(protocol: Protocol) {
        let mut stage = Stage::set(OsString::new(), None, protocol);
        let killed = stage.series("valve.close", Step::Byte, WRITE_BYTES);
        assert!(killed >= 6, "{killed} lives");
        let ends = stage.ends();
        for end in ["valve.close done", "valve.close unknown"] {
            assert!(ends.contains_key(end), "{ends:?}");
        }
        eprintln!("{ends:?}");
    }

    #[test]
    fn killed_between_bytes_a_modbus_valve_is_told_at_most_once() {
        killed_between_bytes(Protocol::Modbus);
    }

    #[test]
    fn killed_between_bytes_an_mbus_valve_is_told_at_most_once() {
        killed_between_bytes(Protocol::Mbus);
    }

    #[test]
    fn killed_before_each_step_of_the_journal_a_command_from_the_topic_is_neither_skipped_nor_repeated() {
        let Some(strace) = require("kills at every step", program("strace", "strace")) else { return };
        let Some(kafka) = require("Apache Kafka", Kafka::shared()) else { return };
        let mut stage = Stage::set(strace.into(), Some(kafka), Protocol::Cjt188);
        let journal = stage.weir.journal_path();
        for action in ["valve.close", "tariff.set"] {
            for calls in ["write", "fdatasync"] {
                let killed = stage.series(action, Step::Call(calls, Some(&journal)), 1);
                // The position is a line more. It can be read before it is flushed, and the life is over then.
                let least = if calls == "write" { 7 } else { 6 };
                assert!(killed >= least, "{action}: {killed} lives killed in {calls} of the journal");
            }
        }
        let ends = stage.ends();
        for end in ["valve.close done", "valve.close unknown", "tariff.set unverified"] {
            assert!(ends.contains_key(end), "{ends:?}");
        }
        eprintln!("{ends:?}");
    }
}
