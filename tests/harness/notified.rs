//! Stands in for systemd: collects what a daemon tells its service manager (`sd_notify(3)`).
//!
//! A thread reads all the time, because a daemon whose messages nobody takes would block once the socket's queue
//! is full.

use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// Longer than any message: systemd itself takes 4 KiB.
const MESSAGE_BYTES_MAX: usize = 4096;

/// The socket named by `NOTIFY_SOCKET`, and every line that came through it.
#[derive(Debug)]
pub(crate) struct Notified {
    path: PathBuf,
    lines: Arc<Mutex<Vec<String>>>,
    reader: Option<JoinHandle<()>>,
}

impl Notified {
    /// Listens on a new socket in `folder`.
    pub(crate) fn listen_in(folder: &Path) -> Self {
        let path = folder.join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&lines);
        let reader = std::thread::spawn(move || read_until_empty(&socket, &kept));
        Self { path, lines, reader: Some(reader) }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// All lines so far, oldest first: `READY=1`, `WATCHDOG=1`, `STOPPING=1`, `STATUS=…`.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Forgets what came so far.
    pub(crate) fn clear(&self) {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl Drop for Notified {
    fn drop(&mut self) {
        let told = UnixDatagram::unbound().and_then(|socket| socket.send_to(b"", &self.path));
        if let (Ok(_), Some(reader)) = (told, self.reader.take()) {
            let _ = reader.join();
        }
    }
}

fn read_until_empty(socket: &UnixDatagram, lines: &Mutex<Vec<String>>) {
    let mut message = [0; MESSAGE_BYTES_MAX];
    loop {
        match socket.recv(&mut message) {
            Ok(0) => return,
            Ok(length) => {
                let text = String::from_utf8_lossy(&message[..length]);
                let mut kept = lines.lock().unwrap_or_else(PoisonError::into_inner);
                kept.extend(text.lines().map(str::to_owned));
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => panic!("the notify socket broke: {error}"),
        }
    }
}
