//! The built `weir` program, with a configuration and a folder of its own.
//!
//! It is ready when it says so to its service manager (`READY=1`), as under systemd: no log line has to be guessed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;

use super::deadline::wait_for;
use super::notified::Notified;
use super::process::Process;

/// A `weir` command line for one-shot commands: `weir_command().args(["decode", "mbus"]).output()`.
pub(crate) fn weir_command() -> Command {
    Command::new(env!("CARGO_BIN_EXE_weir"))
}

/// A daemon that can be started, stopped, killed and started again on the same folder.
#[derive(Debug)]
pub(crate) struct Weir {
    // Ended before the folder goes away.
    process: Option<Process>,
    notified: Notified,
    environment: Vec<(String, String)>,
    folder: TempDir,
}

impl Weir {
    /// Writes `weir.toml` into a new folder. `config` makes its text from the folder's path, so that the outbox and
    /// the control socket can live there too. Nothing is started yet.
    pub(crate) fn prepare(config: impl FnOnce(&Path) -> String) -> Self {
        let folder = tempfile::Builder::new().prefix("weir-").tempdir().unwrap();
        let notified = Notified::listen_in(folder.path());
        let weir = Self { process: None, notified, environment: Vec::new(), folder };
        weir.write_config(&config(weir.folder()));
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

    /// Runs `weir run --config …`. Does not wait; a daemon that still runs is an error of the story.
    #[track_caller]
    pub(crate) fn start(&mut self) -> &mut Process {
        let running = self.process.as_mut().is_some_and(|process| process.ended().is_none());
        assert!(!running, "the daemon is started twice");
        // Nothing from the life before, or READY=1 would be believed too early.
        self.notified.clear();
        let mut command = weir_command();
        command.arg("run").arg("--config").arg(self.config_path());
        command.env("NOTIFY_SOCKET", self.notified.path());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        self.process.insert(Process::spawn("weir", &mut command))
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
