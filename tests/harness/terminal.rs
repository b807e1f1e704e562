//! A program in a terminal of its own: a real pty, and a screen as a terminal emulator draws it.
//!
//! The program is ended when this is dropped. Were the test run killed, the pty would go with it, and the program
//! meets a terminal that is gone.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use rustix::pty::OpenptFlags;
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use super::deadline::{Deadline, wait_for};

/// A running program and what it has drawn.
pub(crate) struct Terminal {
    name: String,
    child: Child,
    ours: Arc<OwnedFd>,
    /// Kept open, so that what was drawn last can still be read when the program has ended.
    theirs: OwnedFd,
    screen: Arc<Mutex<vt100::Parser>>,
    reader: Option<JoinHandle<()>>,
}

impl Terminal {
    /// Starts `command` in a terminal of so many columns and rows.
    #[track_caller]
    pub(crate) fn spawn(name: &str, command: &mut Command, columns: u16, rows: u16) -> Self {
        let ours =
            rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        rustix::pty::grantpt(&ours).unwrap();
        rustix::pty::unlockpt(&ours).unwrap();
        let path = rustix::pty::ptsname(&ours, Vec::new()).unwrap();
        let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY | rustix::fs::OFlags::CLOEXEC;
        let theirs = rustix::fs::open(path, flags, rustix::fs::Mode::empty()).unwrap();
        tcsetwinsize(&theirs, Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
        let stdio = || Stdio::from(theirs.try_clone().unwrap());
        command.stdin(stdio()).stdout(stdio()).stderr(stdio()).env("TERM", "xterm-256color").process_group(0);
        let child =
            command.spawn().unwrap_or_else(|error| panic!("cannot start {name} ({command:?}): {error}"));
        // The command keeps its own copies for another start.
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let ours = Arc::new(ours);
        let screen = Arc::new(Mutex::new(emulator(columns, rows)));
        let (from, into) = (Arc::clone(&ours), Arc::clone(&screen));
        let reader = std::thread::spawn(move || draw(&from, &into));
        Self { name: name.to_owned(), child, ours, theirs, screen, reader: Some(reader) }
    }

    /// What stands on the screen now.
    pub(crate) fn screen(&self) -> String {
        self.screen.lock().unwrap_or_else(PoisonError::into_inner).screen().contents()
    }

    /// Whether a program has the whole screen for itself, rather than writing below what was there.
    pub(crate) fn is_taken_over(&self) -> bool {
        self.screen.lock().unwrap_or_else(PoisonError::into_inner).screen().alternate_screen()
    }

    /// Whether keys are echoed and come in lines, as a shell leaves it.
    pub(crate) fn is_as_a_shell_leaves_it(&self) -> bool {
        tcgetattr(&self.theirs).unwrap().local_modes.contains(LocalModes::ICANON | LocalModes::ECHO)
    }

    /// Presses these keys.
    pub(crate) fn press(&self, keys: &str) {
        assert_eq!(rustix::io::write(&*self.ours, keys.as_bytes()).unwrap(), keys.len());
    }

    /// Sends a signal to the program.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits until the screen shows what `look` looks for. Panics with the screen when it does not within `time`, at
    /// once when the program has ended without it.
    #[track_caller]
    pub(crate) fn wait<T>(&mut self, what: &str, time: Duration, look: impl Fn(&str) -> Option<T>) -> T {
        let deadline = Deadline::within(time);
        loop {
            let end = self.child.try_wait().unwrap();
            if end.is_some() {
                self.finish();
            }
            let screen = self.screen();
            if let Some(found) = look(&screen) {
                return found;
            }
            let name = &self.name;
            assert!(end.is_none(), "{name} ended with {end:?} before {what} was on the screen:\n{screen}");
            assert!(
                !deadline.is_over(),
                "waited {time:?} in vain for {what} on the screen of {name}:\n{screen}"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// [`Terminal::wait`] for a text.
    #[track_caller]
    pub(crate) fn wait_text(&mut self, text: &str, time: Duration) {
        self.wait(&format!("{text:?}"), time, |screen| screen.contains(text).then_some(()));
    }

    /// Waits until the program has ended.
    #[track_caller]
    pub(crate) fn wait_end(&mut self, time: Duration) -> ExitStatus {
        let end = wait_for(&format!("the end of {}", self.name), time, || self.child.try_wait().unwrap());
        self.finish();
        end
    }

    /// Waits until all that was written is on the screen. A last character, which no screen shows, marks the end.
    fn finish(&mut self) {
        if let Some(reader) = self.reader.take() {
            let _ = rustix::io::write(&self.theirs, &[END]);
            let _ = reader.join();
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|end| end.is_none()) {
            let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
            let _ = self.child.wait();
        }
        self.finish();
    }
}

/// End of transmission: no program here writes it.
const END: u8 = 4;

fn emulator(columns: u16, rows: u16) -> vt100::Parser {
    let [columns, rows] = [columns, rows].map(|count| count.try_into().expect("a terminal has a size"));
    vt100::Parser::new(rows, columns, 0)
}

fn draw(from: &OwnedFd, into: &Mutex<vt100::Parser>) {
    let mut bytes = [0; 4096];
    loop {
        match rustix::io::read(from, &mut bytes) {
            Ok(0) => return,
            Ok(read) => {
                into.lock().unwrap_or_else(PoisonError::into_inner).process(&bytes[..read]);
                if bytes[..read].contains(&END) {
                    return;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}
