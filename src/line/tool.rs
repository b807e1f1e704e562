//! The door through which a vendor's tool comes to a lent line: a pty, or a TCP port that only this machine reaches.
//!
//! A pty looks like a serial port to the tool, which sets speed and stop bits on it; they are read back here. It carries
//! no parity (the kernel clears `PARENB` on it), and neither does TCP carry anything: what a tool cannot say has to
//! be said when the line is asked for. Our own descriptor of the tool's side stays open, so that the tool may come and go.
//!
//! A tool that does not take what the line says loses it: a line is not stopped by who listens.

use std::ffi::OsStr;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::pty::OpenptFlags;
use rustix::termios::{ControlModes, OptionalActions};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use weir_meter::StopBits;

use crate::limits::LINE_TURN;

/// An open door.
#[derive(Debug)]
pub(super) enum Tool {
    Pty {
        ours: AsyncFd<OwnedFd>,
        theirs: OwnedFd,
        path: PathBuf,
    },
    /// One connection at a time; a further one is served when it has gone.
    Tcp {
        listener: TcpListener,
        stream: Option<TcpStream>,
        address: SocketAddr,
    },
}

impl Tool {
    /// A new pty. Who may open it are the daemon's user and group, like the control socket's.
    ///
    /// # Errors
    /// The operating system's reason.
    pub(super) fn pty() -> io::Result<Self> {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let ours = rustix::pty::openpt(flags)?;
        rustix::pty::grantpt(&ours)?;
        rustix::pty::unlockpt(&ours)?;
        let path = rustix::pty::ptsname(&ours, Vec::new())?;
        let path = Path::new(OsStr::from_bytes(path.as_bytes())).to_owned();
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let theirs = rustix::fs::open(&path, flags, Mode::empty())?;
        let mut attributes = rustix::termios::tcgetattr(&theirs)?;
        attributes.make_raw();
        rustix::termios::tcsetattr(&theirs, OptionalActions::Now, &attributes)?;
        rustix::fs::fchown(&theirs, None, Some(rustix::process::getegid()))?;
        rustix::fs::fchmod(&theirs, Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::WGRP)?;
        rustix::io::ioctl_fionbio(&ours, true)?;
        Ok(Self::Pty { ours: crate::sys::watch_descriptor(ours)?, theirs, path })
    }

    /// A port on the loopback address; 0 is any that is free.
    ///
    /// # Errors
    /// The operating system's reason.
    pub(super) async fn tcp(port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let address = listener.local_addr()?;
        Ok(Self::Tcp { listener, stream: None, address })
    }

    /// Where the tool finds it.
    pub(super) fn place(&self) -> String {
        match self {
            Self::Pty { path, .. } => path.display().to_string(),
            Self::Tcp { address, .. } => address.to_string(),
        }
    }

    /// Shows the tool a speed until it sets its own.
    ///
    /// # Errors
    /// The operating system's reason.
    pub(super) fn show_speed(&self, baud: u32) -> io::Result<()> {
        let Self::Pty { theirs, .. } = self else { return Ok(()) };
        let mut attributes = rustix::termios::tcgetattr(theirs)?;
        attributes.set_speed(baud)?;
        Ok(rustix::termios::tcsetattr(theirs, OptionalActions::Now, &attributes)?)
    }

    /// The speed and the stop bits that the tool has set, where it can.
    pub(super) fn speed(&self) -> Option<(u32, StopBits)> {
        let Self::Pty { theirs, .. } = self else { return None };
        let attributes = rustix::termios::tcgetattr(theirs).ok()?;
        let is_two = attributes.control_modes.contains(ControlModes::CSTOPB);
        Some((attributes.output_speed(), if is_two { StopBits::Two } else { StopBits::One }))
    }

    /// The next bytes of a tool, at least one. Safe to drop half-way.
    ///
    /// # Errors
    /// When no tool can come any more.
    pub(super) async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Pty { ours, .. } => loop {
                let mut ready = ours.readable().await?;
                match ready.try_io(|ours| Ok(rustix::io::read(ours.get_ref(), &mut *buffer)?)) {
                    Ok(Ok(0)) => return Err(io::ErrorKind::UnexpectedEof.into()),
                    Ok(read) => return read,
                    Err(_would_block) => {}
                }
            },
            Self::Tcp { listener, stream, .. } => loop {
                let Some(connected) = stream else {
                    let (connected, _) = listener.accept().await?;
                    connected.set_nodelay(true)?;
                    *stream = Some(connected);
                    continue;
                };
                match connected.read(buffer).await {
                    Ok(0) | Err(_) => *stream = None,
                    Ok(count) => return Ok(count),
                }
            },
        }
    }

    /// Hands bytes to the tool. Those that it does not take are lost; a connection that takes none for [`LINE_TURN`] is closed.
    pub(super) async fn write(&mut self, bytes: &[u8]) {
        match self {
            // A full pty has nobody who reads it.
            Self::Pty { ours, .. } => drop(rustix::io::write(ours.get_ref(), bytes)),
            Self::Tcp { stream, .. } => {
                let Some(connected) = stream else { return };
                if !matches!(timeout(LINE_TURN, connected.write_all(bytes)).await, Ok(Ok(()))) {
                    *stream = None;
                }
            }
        }
    }
}
