//! Signed commands, as whoever gives them makes them: with `weir keys new` and `weir command sign`.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde_json::Value;
use weir::limits::COMMAND_LOOK_EVERY;
use weir_simulator::MeterConfig;

use super::deadline::{wait_for, wait_until};
use super::fleet::{Fleet, Street};
use super::ledger::GATEWAY;
use super::process::next_number;
use super::weir::{Weir, settings, weir_command};

/// More than a minute: so often the inbox looks at its topic.
pub(crate) const PATIENCE: Duration = Duration::from_secs(150);

/// Of the valves in [`quick_valves`]: when the first look is due, and by when they must be there.
pub(crate) const TRAVEL: Duration = Duration::from_millis(200);
/// See [`TRAVEL`].
pub(crate) const SETTLE: Duration = Duration::from_secs(4);

/// A key that may do everything, and where it lies.
#[derive(Debug)]
pub(crate) struct Signer {
    id: &'static str,
    folder: tempfile::TempDir,
    public: String,
}

impl Signer {
    pub(crate) fn new() -> Self {
        Self::of("console")
    }

    /// With a key of this id.
    pub(crate) fn of(id: &'static str) -> Self {
        let folder = tempfile::Builder::new().prefix("keys-").tempdir().unwrap();
        let mut command = weir_command();
        command.args(["keys", "new", id, "--out"]).arg(folder.path().join("key.jwk"));
        let snippet = stdout(&command.output().unwrap());
        let public = snippet.lines().find_map(|line| line.strip_prefix("public = ")).unwrap().to_owned();
        Self { id, folder, public }
    }

    /// The `[commands]` of a gateway that this key commands. A command that was signed a moment after the first start is
    /// to be taken, so no skew is allowed for.
    pub(crate) fn config(&self, topic: &str) -> String {
        let grant = self.grant();
        format!("[commands]\ntopic = \"{topic}\"\nskew = \"0s\"\ntrust_clock = true\n{grant}")
    }

    /// The key as a gateway is told of it.
    pub(crate) fn grant(&self) -> String {
        let Self { id, public, .. } = self;
        format!(
            "[[commands.keys]]\nid = \"{id}\"\npublic = {public}\n\
             actions = [\"valve.open\", \"valve.close\", \"tariff.set\", \"clock.set\", \"read.now\"]\n\
             meters = [\"*\"]\n"
        )
    }

    pub(crate) fn key(&self) -> PathBuf {
        self.folder.path().join("key.jwk")
    }

    /// A command for this meter, and its id.
    pub(crate) fn sign(&self, meter: &str, action: &str, more: &[&str]) -> (String, String) {
        let id = format!("0192f0c1-7d1c-4a53-9f0e-{:012x}", next_number());
        let mut command = weir_command();
        command.args(["command", "sign", "--gateway", GATEWAY, "--meter", meter, "--action", action]);
        command.args(["--id", &id, "--key"]).arg(self.key()).args(more);
        (stdout(&command.output().unwrap()).trim().to_owned(), id)
    }
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

impl Weir {
    /// Hands a command in on the spot, and gives what is said to it.
    #[track_caller]
    pub(crate) fn submit(&self, jws: &str) -> Value {
        let file = self.folder().join("command.jws");
        std::fs::write(&file, jws).unwrap();
        let output = self.command(&["commands", "submit", file.to_str().unwrap()]);
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
    }

    /// The journal of commands.
    pub(crate) fn journal_path(&self) -> PathBuf {
        self.folder().join("state/commands/journal.jsonl")
    }

    /// What is in it; nothing before there is one.
    pub(crate) fn journal(&self) -> String {
        std::fs::read_to_string(self.journal_path()).unwrap_or_default()
    }

    /// What `weir commands list` says of a command; `Null` when it is not in the journal.
    #[track_caller]
    pub(crate) fn command_state(&self, id: &str) -> Value {
        let output = self.command(&["commands", "list", "--json"]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let rows = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        rows.into_iter().find(|row| row["id"] == id).unwrap_or_default()
    }

    /// Waits until the command has an end, and gives it.
    #[track_caller]
    pub(crate) fn wait_command_end(&self, id: &str, time: Duration) -> Value {
        wait_for(&format!("an end of {id}"), time, || {
            let row = self.command_state(id);
            let is_open = row.is_null() || row["state"] == "accepted" || row["state"] == "started";
            (!is_open).then_some(row)
        })
    }

    /// When what happened of a command that has an end, by the gateway's journal.
    #[track_caller]
    pub(crate) fn times_of(&self, id: &str) -> Times {
        let shown = self.command(&["commands", "show", id, "--json"]);
        let shown = String::from_utf8(shown.stdout).unwrap();
        let lines: Vec<Value> = shown.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let at = |is_it: &dyn Fn(&Value) -> bool| {
            let line = lines.iter().find(|line| is_it(&line["entry"]));
            line.map(|line| moment(&line["at"]))
        };
        let not_after = lines.iter().find_map(|line| line["entry"].get("accepted"));
        Times {
            not_after: moment(&not_after.unwrap()["command"]["not_after"]),
            started: at(&|entry| entry.get("started").is_some()),
            written: at(&|entry| entry["step"]["what"] == "write"),
            ended: at(&|entry| entry.get("finished").is_some()).unwrap(),
        }
    }

    /// Every outcome that waits in the outbox of a daemon that is stopped, in order.
    #[track_caller]
    pub(crate) fn waiting_outcomes(&self) -> Vec<Value> {
        let output = self.command(&["outbox", "export", "--lane", "urgent"]);
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        let records = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        records.filter(|record| record.get("command").is_some()).collect()
    }
}

fn moment(value: &Value) -> Timestamp {
    value.as_str().unwrap().parse().unwrap()
}

/// When what happened of a command, by the gateway's journal.
#[derive(Debug)]
pub(crate) struct Times {
    pub(crate) not_after: Timestamp,
    pub(crate) started: Option<Timestamp>,
    /// The answer to the write was in, or its time over.
    pub(crate) written: Option<Timestamp>,
    pub(crate) ended: Timestamp,
}

/// What a slow machine and the other commands of a line may add.
const SLOWER_BY: SignedDuration = SignedDuration::from_secs(20);

impl Times {
    /// It ended when the meter had had its time, and had been looked at in vain so often, and not much later.
    #[track_caller]
    pub(crate) fn assert_settled(&self, settle: Duration, looks: u32) {
        let (Some(started), Some(written)) = (self.started, self.written) else {
            panic!("never written: {self:?}")
        };
        let least = SignedDuration::try_from(settle).unwrap();
        let most = SignedDuration::try_from(settle + looks * COMMAND_LOOK_EVERY).unwrap() + SLOWER_BY;
        assert!(self.ended.duration_since(started) >= least, "ended before its time: {self:?}");
        assert!(self.ended.duration_since(written) <= most, "ended after {most:#}: {self:?}");
    }

    /// It ended, without a write, when its time was over, and not much later.
    #[track_caller]
    pub(crate) fn assert_expired(&self) {
        assert_eq!(self.started, None, "{self:?}");
        let late = self.ended.duration_since(self.not_after);
        assert!((SignedDuration::ZERO..=SLOWER_BY).contains(&late), "{late:#} after its time: {self:?}");
    }
}

/// The states of one command, in the order in which they were first told; and that it has at most one end, and that what
/// was told again was the same.
#[track_caller]
pub(crate) fn states_of(outcomes: &[Value], id: &str) -> Vec<String> {
    let mut of: Vec<&Value> = Vec::new();
    for outcome in outcomes.iter().filter(|outcome| outcome["command"] == id) {
        match of.iter().find(|known| known["id"] == outcome["id"]) {
            Some(known) => assert_eq!(*known, outcome, "one id, two contents"),
            None => of.push(outcome),
        }
    }
    let ends = of.iter().filter(|outcome| outcome["final"] == true).count();
    assert!(ends <= 1, "{ends} ends: {of:#?}");
    of.iter().map(|outcome| outcome["state"].as_str().unwrap().to_owned()).collect()
}

/// The gateway's next day: a CJ/T 188 meter keeps of the day from which a tariff counts the day of the month alone.
#[expect(clippy::disallowed_methods, reason = "a story lives by the machine's clock, as the daemon does")]
pub(crate) fn tomorrow() -> jiff::civil::Date {
    let zone = jiff::tz::TimeZone::get("Europe/Berlin").unwrap();
    zone.to_datetime(Timestamp::now()).date().tomorrow().unwrap()
}

/// Profiles whose valves are soon there, put into a folder.
pub(crate) fn quick_valves(folder: &Path) {
    let (travel, settle) = (TRAVEL.as_millis(), SETTLE.as_millis());
    let times = format!("settle_ms = {settle}\ntravel_ms = {travel}");
    let cjt188 = format!("[valve]\n{times}\n");
    let xintai = include_str!("../../drivers/modbus/profiles/xintai-valve.toml");
    let xintai = xintai.replace("settle_ms = 30000", &times);
    // That of the simulated model: a digital output.
    let mbus = format!(
        "model = \"simulated valve\"\n[valve]\nopen = \"01 FD 1A 01\"\nclose = \"01 FD 1A 00\"\n{times}\n\
         [valve.read_back]\nquantity = \"digital-output\"\nopen = 1\nclosed = 0\nmoving = 2\nfault = 3\n"
    );
    std::fs::write(folder.join("quick-cjt188.toml"), cjt188).unwrap();
    std::fs::write(folder.join("quick-mbus.toml"), mbus).unwrap();
    std::fs::write(folder.join("quick-xintai.toml"), xintai).unwrap();
}

/// CJ/T 188 meters with valves on `room`, a Modbus one on `plant`. Each takes half a second from end to end.
pub(crate) fn valves(seed: u64) -> Fleet {
    let slow = "every = \"1m\"\nadapter_allowance = \"500ms\"\nrepeats = 1\n";
    let mut room = Street::cjt188("room", 10).key(slow);
    let mut plant = Street::modbus("plant", 3).key(slow);
    // The third model has the valve.
    plant.simulated.meters.drain(..2);
    for meter in room.simulated.meters.iter_mut().chain(&mut plant.simulated.meters) {
        meter.valve_travel_ms = Some(500);
        meter.slow_ms = 1500;
    }
    room.simulated.meters.iter_mut().for_each(|meter: &mut MeterConfig| meter.model = Some("cold".into()));
    Fleet::start(seed, [room, plant])
}

/// A gateway with the meters of [`valves`], their profiles and this key. Nothing is started yet.
pub(crate) fn unstarted(
    fleet: &Fleet,
    signer: &Signer,
    bootstrap: &str,
    topics: &str,
    commands: &str,
) -> Weir {
    Weir::prepare(|folder| {
        quick_valves(folder);
        let lines = fleet
            .config()
            .replace(
                "profile = \"xintai-valve\"",
                "profile = \"quick-xintai.toml\"\nidentity_check = \"none\"",
            )
            .replace("driver = \"cjt188\"\n", "driver = \"cjt188\"\nprofile = \"quick-cjt188.toml\"\n");
        format!("{}\n{}\n{lines}", settings(folder, bootstrap, topics), signer.config(commands))
    })
}

pub(crate) fn gateway(fleet: &Fleet, signer: &Signer, bootstrap: &str, topics: &str, commands: &str) -> Weir {
    let mut weir = unstarted(fleet, signer, bootstrap, topics, commands);
    weir.start();
    weir.wait_ready(PATIENCE);
    weir
}

/// One whose broker is not there: commands are handed in on the spot.
pub(crate) fn alone(fleet: &Fleet, signer: &Signer) -> Weir {
    gateway(fleet, signer, "127.0.0.1:9", "", "weir.commands")
}

/// Puts messages into the command topic, as a console does.
pub(crate) struct Console {
    producer: BaseProducer,
    topic: String,
}

impl Console {
    pub(crate) fn new(bootstrap: &str, topic: &str) -> Self {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", bootstrap).set("queue.buffering.max.messages", "200000");
        Self { producer: config.create().unwrap(), topic: topic.into() }
    }

    pub(crate) fn send(&self, meter: &str, message: &str) {
        self.producer.send(BaseRecord::to(&self.topic).key(meter).payload(message)).unwrap();
    }

    pub(crate) fn send_to(&self, partition: i32, message: &str) {
        let record = BaseRecord::<(), _>::to(&self.topic).partition(partition).payload(message);
        self.producer.send(record).unwrap();
    }

    /// As one that lies in the topic since then.
    pub(crate) fn send_dated(&self, partition: i32, message: &str, at: Timestamp) {
        let record = BaseRecord::<(), _>::to(&self.topic).partition(partition).payload(message);
        self.producer.send(record.timestamp(at.as_millisecond())).unwrap();
    }

    pub(crate) fn flush(&self) {
        self.producer.flush(PATIENCE).unwrap();
    }
}

/// All states of a command that have arrived, once its end has.
pub(crate) fn wait_told(read: impl Fn() -> Vec<Value>, id: &str) -> Vec<String> {
    wait_for(&format!("the end of {id} to arrive"), PATIENCE, || {
        let outcomes = read();
        let is_over = outcomes.iter().any(|outcome| outcome["command"] == id && outcome["final"] == true);
        is_over.then(|| states_of(&outcomes, id))
    })
}

/// Waits until the daemon has settled from where it reads the topic.
pub(crate) fn wait_inbox(weir: &Weir) {
    wait_until("the inbox to have begun", PATIENCE, || weir.journal().contains("\"positions\":{\"topic\""));
}
