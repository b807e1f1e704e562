//! A line's way to the outside: the byte transport, and nothing about time or frames.
//!
//! Everything here is non-blocking. What cannot be written at once is lost, as on a serial port that nobody reads.

mod pty;
mod tcp;

use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use crate::Error;
use crate::config::Place;
use crate::wire::ClientId;
use pty::Pty;
use tcp::Tcp;

/// The client of a pty or of a memory line, which can have only one.
const ONLY_CLIENT: ClientId = 0;
/// Read from a client at a time.
const READ_BYTES: usize = 1024;

/// Something that came in.
#[derive(Debug)]
pub(crate) enum Event {
    Bytes(ClientId, Vec<u8>),
    Gone(ClientId),
}

#[derive(Debug)]
pub(crate) struct Port {
    line: String,
    place: Place,
    plugged: Option<Plugged>,
}

#[derive(Debug)]
enum Plugged {
    Pty(Pty),
    Tcp(Tcp),
    Memory(Option<UnixStream>),
}

impl Port {
    pub(crate) fn open(line: &str, place: &Place) -> Result<Self, Error> {
        let mut port = Self { line: line.to_owned(), place: place.clone(), plugged: None };
        port.plug()?;
        Ok(port)
    }

    /// With the TCP port that was really taken.
    pub(crate) fn place(&self) -> Place {
        self.place.clone()
    }

    pub(crate) fn plug(&mut self) -> Result<(), Error> {
        if self.plugged.is_some() {
            return Ok(());
        }
        self.plugged = Some(match &mut self.place {
            Place::Pty(path) => Plugged::Pty(Pty::open(&self.line, path)?),
            Place::Tcp(address) => {
                let wrong = |source| Error::Listen { line: self.line.clone(), address: *address, source };
                let tcp = Tcp::listen(*address).map_err(wrong)?;
                *address = tcp.address();
                Plugged::Tcp(tcp)
            }
            Place::Memory => Plugged::Memory(None),
        });
        Ok(())
    }

    pub(crate) fn unplug(&mut self) {
        self.plugged = None;
    }

    /// Takes the line's end of a memory line; ignored while unplugged.
    pub(crate) fn connect(&mut self, stream: UnixStream) {
        if let Some(Plugged::Memory(connected)) = &mut self.plugged {
            *connected = stream.set_nonblocking(true).is_ok().then_some(stream);
        }
    }

    /// Whether input that nobody takes is kept by the transport, as a serial server does, and not lost.
    pub(crate) fn keeps_input(&self) -> bool {
        matches!(self.place, Place::Tcp(_))
    }

    /// The speed a master has set, where the transport knows one.
    pub(crate) fn baud(&self) -> Option<u32> {
        match &self.plugged {
            Some(Plugged::Pty(pty)) => pty.baud(),
            _ => None,
        }
    }

    /// The descriptors that become readable when something comes in.
    pub(crate) fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        match &self.plugged {
            Some(Plugged::Pty(pty)) => vec![pty.descriptor()],
            Some(Plugged::Tcp(tcp)) => tcp.descriptors(),
            Some(Plugged::Memory(stream)) => stream.iter().map(AsFd::as_fd).collect(),
            None => Vec::new(),
        }
    }

    /// Whatever has come in, at most one buffer from each client.
    pub(crate) fn receive(&mut self) -> Vec<Event> {
        match &mut self.plugged {
            Some(Plugged::Pty(pty)) => {
                pty.read().map(|bytes| Event::Bytes(ONLY_CLIENT, bytes)).into_iter().collect()
            }
            Some(Plugged::Tcp(tcp)) => tcp.receive(),
            Some(Plugged::Memory(connected)) => {
                let Some(stream) = connected else { return Vec::new() };
                let event = read_stream(stream, ONLY_CLIENT);
                if matches!(event, Some(Event::Gone(_))) {
                    *connected = None;
                }
                event.into_iter().collect()
            }
            None => Vec::new(),
        }
    }

    /// Sends what fits and says how much that was.
    pub(crate) fn send(&mut self, client: ClientId, bytes: &[u8]) -> usize {
        match &mut self.plugged {
            Some(Plugged::Pty(pty)) => pty.write(bytes),
            Some(Plugged::Tcp(tcp)) => tcp.send(client, bytes),
            Some(Plugged::Memory(Some(stream))) => stream.write(bytes).unwrap_or(0),
            Some(Plugged::Memory(None)) | None => 0,
        }
    }
}

/// Reads what is there: `None` if nothing is.
fn read_stream(stream: &mut impl Read, client: ClientId) -> Option<Event> {
    let mut buffer = [0; READ_BYTES];
    match stream.read(&mut buffer) {
        Ok(0) => Some(Event::Gone(client)),
        Ok(len) => Some(Event::Bytes(client, buffer.get(..len).unwrap_or_default().to_vec())),
        Err(error) if is_for_now(&error) => None,
        Err(_) => Some(Event::Gone(client)),
    }
}

fn is_for_now(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::Interrupted)
}
