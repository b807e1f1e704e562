//! The built `weir` program, with a configuration and a folder of its own.
//!
//! It is ready when it says so to its service manager (`READY=1`), as under systemd: no log line has to be guessed.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output};
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;

use super::deadline::{Deadline, wait_for};
use super::fleet::Fleet;
use super::ledger::GATEWAY;
use super::notified::Notified;
use super::process::Process;

/// A `weir` command line for one-shot commands: `weir_command().args(["decode", "mbus"]).output()`.
pub(crate) fn weir_command() -> Command {
    Command::new(env!("CARGO_BIN_EXE_weir"))
}

/// Far longer than any command takes.
const COMMAND_TIME: Duration = Duration::from_secs(60);
const STATS_EVERY: Duration = Duration::from_millis(200);

/// Everything of a configuration but lines and meters. The folder holds what the daemon keeps.
pub(crate) fn settings(folder: &Path, bootstrap: &str, keys: &str) -> String {
    let (state, socket) = (folder.join("state"), folder.join("control.sock"));
    format!(
        r#"
        [gateway]
        id = "{GATEWAY}"
        time_zone = "Europe/Berlin"
        state_directory = {state:?}
        control_socket = {socket:?}

        [outbox]
        commit_window = "200ms"
        free_min = "0 B"
        # Small, so that files are begun and dropped in a test's time.
        segment = "8 KiB"

        [uplink]
        start_spread = "0s"
        # Whether this machine is told the time is no matter of these tests.
        unsynced_hold = "0s"
        retry_max = "2s"

        [uplink.kafka]
        brokers = ["{bootstrap}"]
        message_timeout = "1s"
        {keys}

        [uplink.kafka.properties]
        # A topic that was missing is found, and a broker that was away is called again, in a test's time.
        "topic.metadata.refresh.interval.ms" = "1000"
        "reconnect.backoff.max.ms" = "500"
        "#
    )
}

/// The lines `flushed lane=… generation=… first=… last=…` of a log. A line cut short by a kill says nothing.
fn parse_commits(log: &str) -> Vec<Flushed> {
    let whole = log.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let parse = |line: &str| {
        let (_, fields) = line.split_once(" flushed ")?;
        let field =
            |name: &str| fields.split_whitespace().find_map(|it| it.strip_prefix(name)?.strip_prefix('='));
        let lane = match field("lane")? {
            "readings" => 'r',
            "urgent" => 'u',
            other => panic!("a lane? {other}"),
        };
        let (first, last) = (field("first")?.parse().ok()?, field("last")?.parse().ok()?);
        Some(Flushed { generation: field("generation")?.to_owned(), lane, first, last })
    };
    whole.lines().filter_map(parse).collect()
}

/// A daemon that can be started, stopped, killed and started again on the same folder.
#[derive(Debug)]
pub(crate) struct Weir {
    // Ended before the folder goes away.
    process: Option<Process>,
    notified: Notified,
    environment: Vec<(String, String)>,
    /// A program, with its arguments, that runs the daemon.
    wrapper: Vec<OsString>,
    /// What was told of as flushed in the lives before this one, oldest first.
    told_before: Vec<Flushed>,
    folder: TempDir,
}

/// One group commit that the daemon has told of: everything in it counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Flushed {
    pub(crate) generation: String,
    /// `r` for readings, `u` for events.
    pub(crate) lane: char,
    pub(crate) first: u64,
    pub(crate) last: u64,
}

impl Weir {
    /// Writes `weir.toml` into a new folder. `config` makes its text from the folder's path, so that the outbox and
    /// the control socket can live there too. Nothing is started yet.
    pub(crate) fn prepare(config: impl FnOnce(&Path) -> String) -> Self {
        let folder = tempfile::Builder::new().prefix("weir-").tempdir().unwrap();
        let notified = Notified::listen_in(folder.path());
        let weir = Self {
            process: None,
            notified,
            environment: Vec::new(),
            wrapper: Vec::new(),
            told_before: Vec::new(),
            folder,
        };
        weir.write_config(&config(weir.folder()));
        weir
    }

    /// A daemon for these meters and this broker, with all that stories want to see in its log.
    ///
    /// `keys` are further keys of `[uplink.kafka]`. The time-out for a message is the shortest there is, so that an
    /// outage is soon longer than it.
    pub(crate) fn for_fleet(fleet: &Fleet, bootstrap: &str, keys: &str) -> Self {
        let mut weir = Self::prepare(|folder| {
            let settings = settings(folder, bootstrap, keys);
            format!("{settings}\n{}", fleet.config())
        });
        weir.set_environment("RUST_LOG", "info,weir::outbox=debug");
        weir
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn config_path(&self) -> PathBuf {
        self.folder().join("weir.toml")
    }

    pub(crate) fn write_config(&self, text: &str) {
        fs::write(self.config_path(), text).unwrap();
    }

    /// An environment variable for every start from now on, such as `WATCHDOG_USEC` or `RUST_LOG`.
    pub(crate) fn set_environment(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// Every start from now on is by this program, such as `strace`; none of it: by itself again.
    pub(crate) fn run_under(&mut self, wrapper: Vec<OsString>) {
        self.wrapper = wrapper;
    }

    /// Runs `weir run --config …`. Does not wait; a daemon that still runs is an error of the story.
    #[track_caller]
    pub(crate) fn start(&mut self) -> &mut Process {
        let running = self.process.as_mut().is_some_and(|process| process.ended().is_none());
        assert!(!running, "the daemon is started twice");
        // Nothing from the life before, or READY=1 would be believed too early.
        self.notified.clear();
        self.told_before = self.commits();
        let mut command = match self.wrapper.split_first() {
            None => weir_command(),
            Some((program, arguments)) => {
                let mut command = Command::new(program);
                command.args(arguments).arg(weir_command().get_program());
                command
            }
        };
        command.arg("run").arg("--config").arg(self.config_path());
        command.env("NOTIFY_SOCKET", self.notified.path());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        self.process.insert(Process::spawn("weir", &mut command))
    }

    /// Runs another `weir` command on the same configuration. Panics when it has no end.
    #[track_caller]
    pub(crate) fn command(&self, arguments: &[&str]) -> Output {
        let mut command = weir_command();
        command.args(arguments).arg("--config").arg(self.config_path());
        let mut process = Process::spawn("weir-command", &mut command);
        let status = process.wait_end(COMMAND_TIME);
        Output { status, stdout: process.stdout(), stderr: process.stderr().into_bytes() }
    }

    /// `weir outbox stats --json`.
    #[track_caller]
    pub(crate) fn stats(&self) -> serde_json::Value {
        let output = self.command(&["outbox", "stats", "--json"]);
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Waits until `is_so` of the outbox's figures. Panics with the last ones when it does not become so in `time`.
    #[track_caller]
    pub(crate) fn wait_stats(
        &self,
        what: &str,
        time: Duration,
        mut is_so: impl FnMut(&serde_json::Value) -> bool,
    ) -> serde_json::Value {
        let deadline = Deadline::within(time);
        loop {
            let stats = self.stats();
            if is_so(&stats) {
                return stats;
            }
            assert!(!deadline.is_over(), "waited {time:?} in vain for {what}: {stats:#}");
            // Each look is a process; the machine has other things to do as well.
            std::thread::sleep(STATS_EVERY);
        }
    }

    /// Waits until the broker has acknowledged all that is stored now.
    #[track_caller]
    pub(crate) fn wait_acknowledged(&self, time: Duration) {
        let then = self.stats();
        self.wait_stats("all that was stored to be acknowledged", time, |now| {
            ["urgent", "readings"].iter().all(|lane| {
                let [now, then] = [now, &then].map(|stats| &stats["outbox"][lane]);
                now["acknowledged_sequence"].as_u64() >= then["last_sequence"].as_u64()
            })
        });
    }

    /// What the daemon has told of as flushed, in all its lives, oldest first.
    pub(crate) fn commits(&self) -> Vec<Flushed> {
        let now = self.process.as_ref().map(|process| parse_commits(&process.stderr()));
        self.told_before.iter().cloned().chain(now.into_iter().flatten()).collect()
    }

    /// The ids of all records that the daemon has told of as flushed, in all its lives.
    pub(crate) fn told(&self) -> BTreeSet<String> {
        let ids = |it: Flushed| {
            (it.first..=it.last)
                .map(move |sequence| format!("{GATEWAY}:{}:{}{sequence}", it.generation, it.lane))
        };
        self.commits().into_iter().flat_map(ids).collect()
    }

    /// How many readings it has told of as flushed.
    pub(crate) fn readings_told(&self) -> u64 {
        self.commits().iter().filter(|it| it.lane == 'r').map(|it| it.last - it.first + 1).sum()
    }

    /// Waits until it has told of so many more readings than now.
    #[track_caller]
    pub(crate) fn wait_more_readings(&mut self, more: u64, time: Duration) {
        let enough = self.readings_told() + more;
        wait_for(&format!("{more} more readings to be flushed"), time, || {
            let end = self.process().ended();
            assert_eq!(end, None, "the daemon ended: {}", self.process().tail());
            (self.readings_told() >= enough).then_some(())
        });
    }

    /// The end of a story: the daemon stops in good order, no meter says anything any more, and a last life of it sends
    /// all that still waits. Gives the ids of everything that had been flushed when that began.
    #[track_caller]
    pub(crate) fn drain_to_the_last(&mut self, fleet: &Fleet, time: Duration) -> BTreeSet<String> {
        assert_eq!(self.stop(time).code(), Some(0), "{}", self.process().tail());
        fleet.silence();
        self.start();
        self.wait_ready(time);
        let told = self.told();
        self.wait_stats("nothing to wait any more", time, |stats| {
            ["urgent", "readings"].iter().all(|lane| stats["outbox"][lane]["waiting"] == 0)
        });
        self.kill();
        told
    }

    /// The daemon's process: its log, its signals, its end.
    #[track_caller]
    pub(crate) fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("the daemon was started")
    }

    /// Waits for `READY=1`. Panics with the end of its log when it ends before.
    #[track_caller]
    pub(crate) fn wait_ready(&mut self, time: Duration) {
        self.wait_notified("READY=1", time);
    }

    /// Waits until the daemon has told its service manager `line` since it was started.
    #[track_caller]
    pub(crate) fn wait_notified(&mut self, line: &str, time: Duration) {
        wait_for(&format!("the daemon to notify {line}"), time, || {
            let process = self.process.as_mut().expect("the daemon was started");
            let end = process.ended();
            let told = self.notified.lines().iter().any(|it| it == line);
            if let (false, Some(status)) = (told, end) {
                panic!("the daemon ended with {status} before {line}:\n{}", process.tail());
            }
            told.then_some(())
        });
    }

    /// What it has told its service manager since it was started.
    pub(crate) fn notified(&self) -> Vec<String> {
        self.notified.lines()
    }

    /// SIGTERM, and waits for the end.
    #[track_caller]
    pub(crate) fn stop(&mut self, time: Duration) -> ExitStatus {
        self.process().stop(time)
    }

    /// `kill -9`.
    #[track_caller]
    pub(crate) fn kill(&mut self) {
        self.process().kill();
    }

    /// Stops it where it is, without its knowledge (SIGSTOP), until [`Weir::thaw`].
    #[track_caller]
    pub(crate) fn freeze(&mut self) {
        self.process().signal(Signal::STOP);
    }

    /// Lets it run again after [`Weir::freeze`].
    #[track_caller]
    pub(crate) fn thaw(&mut self) {
        self.process().signal(Signal::CONT);
    }
}
