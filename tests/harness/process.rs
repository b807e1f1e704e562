//! A child process that a story can wait for, signal and kill, and that never outlives the test run.
//!
//! Two things end it for sure. Dropping a [`Process`] kills its whole process group. And each one is on a leash: a
//! shell that waits for the end of a pipe held by this test run. When the run itself is killed, or ends with a
//! process in a `static`, which is never dropped, the pipe closes and the shell kills the group. (The kernel's
//! parent-death signal would fire when the starting *thread* ends, which for a shared process is the first test.)
//!
//! Output goes to files in `target/tmp/logs`, which stay for a look afterwards.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use super::deadline::wait_for;
use super::programs::target_tmp;

/// How many lines of a log a failing test shows.
const TAIL_LINES: usize = 20;

/// A number that no other process or folder of this test run has.
pub(crate) fn next_number() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// A running, or ended, child process.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    child: Child,
    leash: Child,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Process {
    /// Starts `command`. `name` is for messages and log files.
    #[track_caller]
    pub(crate) fn spawn(name: &str, command: &mut Command) -> Self {
        Self::spawn_with_scratch(name, command, None)
    }

    /// The same; `scratch` is a folder to be removed when this test run is killed before it can do so itself.
    #[track_caller]
    pub(crate) fn spawn_with_scratch(name: &str, command: &mut Command, scratch: Option<&Path>) -> Self {
        let logs = target_tmp().join("logs");
        fs::create_dir_all(&logs).unwrap();
        let stem = format!("{name}-{}-{}", std::process::id(), next_number());
        let [stdout, stderr] = ["out", "err"].map(|ending| logs.join(format!("{stem}.{ending}")));
        let child = command
            .stdin(Stdio::null())
            .stdout(File::create(&stdout).unwrap())
            .stderr(File::create(&stderr).unwrap())
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {name} ({command:?}): {error}"));
        let leash = leash(Pid::from_child(&child), scratch);
        Self { name: name.to_owned(), child, leash, stdout, stderr }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be waited for")
    }

    /// Waits until it has ended. Panics when it does not within `time`.
    #[track_caller]
    pub(crate) fn wait_end(&mut self, time: Duration) -> ExitStatus {
        let what = format!("the end of {}", self.name);
        wait_for(&what, time, || self.ended())
    }

    /// Sends a signal to the process itself, as a service manager does. Nothing happens when it has ended.
    pub(crate) fn signal(&mut self, signal: Signal) {
        if self.ended().is_none() {
            kill_process(Pid::from_child(&self.child), signal).expect("a child can be signalled");
        }
    }

    /// SIGTERM, and waits for the end.
    #[track_caller]
    pub(crate) fn stop(&mut self, time: Duration) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait_end(time)
    }

    /// SIGKILL for it and all its children, and waits until the process is gone.
    pub(crate) fn kill(&mut self) {
        if self.ended().is_none() {
            kill_process_group(Pid::from_child(&self.child), Signal::KILL).expect("a group can be killed");
            self.child.wait().expect("a child can be waited for");
        }
    }

    /// What it has written to standard output so far, byte for byte.
    pub(crate) fn stdout(&self) -> Vec<u8> {
        fs::read(&self.stdout).unwrap()
    }

    /// Where its standard error goes; the file outlives the process.
    pub(crate) fn stderr_path(&self) -> &Path {
        &self.stderr
    }

    /// What it has written to standard error so far.
    pub(crate) fn stderr(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.stderr).unwrap()).into_owned()
    }

    /// Waits until a whole line of standard error contains `part`, and gives that line. Panics with the end of the
    /// log when it does not come within `time`, at once when the process has ended without it.
    #[track_caller]
    pub(crate) fn wait_for_line(&mut self, part: &str, time: Duration) -> String {
        let what = format!("{} to write {part:?} into {}", self.name, self.stderr.display());
        wait_for(&what, time, || {
            // In this order: what a process wrote before it ended is in the file when its end is seen.
            let end = self.ended();
            let log = self.stderr();
            let whole = log.rsplit_once('\n').map_or("", |(whole, _)| whole);
            let line = whole.lines().find(|line| line.contains(part)).map(str::to_owned);
            if let (None, Some(status)) = (&line, end) {
                panic!("{} ended with {status} before {part:?}:\n{}", self.name, self.tail());
            }
            line
        })
    }

    /// The last lines of standard error.
    pub(crate) fn tail(&self) -> String {
        let log = self.stderr();
        let lines: Vec<&str> = log.lines().collect();
        let from = lines.len().saturating_sub(TAIL_LINES);
        format!("[{}]\n{}", self.stderr.display(), lines[from..].join("\n"))
    }

    /// Lets go of the leash as the end of the test run would.
    pub(crate) fn lose_leash(&mut self) {
        drop(self.leash.stdin.take());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        // Once the group is gone its number may be given to others, so the leash must not act any more.
        let _ = self.leash.kill();
        let _ = self.leash.wait();
        if std::thread::panicking() {
            eprintln!("the end of what {} wrote: {}", self.name, self.tail());
        }
    }
}

/// Starts the shell that kills `group`, then removes `scratch`, when our end of its standard input is closed.
fn leash(group: Pid, scratch: Option<&Path>) -> Child {
    const SCRIPT: &str = r#"
        cat >/dev/null
        kill -s KILL -- "-$1"
        [ -n "$2" ] || exit
        # A killed process may still be writing for a moment; a zombie that nobody reaps must not keep us.
        for _ in 1 2 3 4 5 6 7 8 9 10; do kill -s 0 -- "-$1" || break; sleep 0.1; done
        rm -rf -- "$2"
    "#;
    Command::new("/bin/sh")
        .args(["-c", SCRIPT, "leash"])
        .arg(group.as_raw_nonzero().to_string())
        .arg(scratch.unwrap_or(Path::new("")))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .expect("/bin/sh starts")
}
