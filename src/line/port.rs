//! The bytes' way in and out: a serial device opened by path, or a TCP connection.
//!
//! A serial port is held exclusively (`TIOCEXCL` and `flock`, both by the serial library), so that no second program
//! mixes its bytes in. Baud, parity and stop bits change between meters, and only where they differ: on a USB adapter
//! each change is a transfer of its own.
//!
//! A port that vanished shows itself as `EIO`, `ENODEV`, a hang-up or an end of file. All of these are the same to a
//! line: the port is dropped and opened again by its path, which finds a replugged adapter wherever it now is.
//!
//! A pty carries no parity. `PARENB` is refused on it with `EINVAL`, or quietly not taken; both are said once in the log.
//!
//! RS-485 direction control by the kernel (`TIOCSRS485`) is switched on where the configuration asks for it; a port that cannot
//! do it is a line that is down, since it would hear nobody. Without the key the port is left as its driver set it.

use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_serial::{SerialPort, SerialStream};
use weir_meter::{Parity, Serial, StopBits};

use super::config::{self, Rs485};
use crate::limits::{CONNECT_WAIT_MAX, UNACKNOWLEDGED_MAX};
use crate::sys;

/// An open port.
#[derive(Debug)]
pub(super) struct Port {
    stream: Stream,
    /// What the port was last set to.
    serial: Option<Serial>,
}

#[derive(Debug)]
enum Stream {
    Serial(SerialStream),
    Tcp(TcpStream),
    /// A pair of sockets in memory, of which a test holds the other end.
    #[cfg(test)]
    Pair(tokio::net::UnixStream),
}

impl Port {
    /// Opens the port; takes [`CONNECT_WAIT_MAX`] at most. `rs485` with whether the port hears what it sends.
    ///
    /// # Errors
    /// The operating system's reason.
    pub(super) async fn open(port: &config::Port, rs485: Option<(Rs485, bool)>) -> io::Result<Self> {
        let stream = match port {
            config::Port::Serial(path) => Stream::Serial(open_serial(path, rs485)?),
            config::Port::Tcp(address) => {
                let connecting = tokio::time::timeout(CONNECT_WAIT_MAX, TcpStream::connect(address));
                let stream = connecting.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
                Stream::Tcp(set_up_tcp(stream)?)
            }
        };
        Ok(Self { stream, serial: None })
    }

    /// One end of a pair of sockets, in place of a port.
    #[cfg(test)]
    pub(super) fn pair(stream: tokio::net::UnixStream) -> Self {
        Self { stream: Stream::Pair(stream), serial: None }
    }

    /// The socket of a pair.
    #[cfg(test)]
    pub(super) fn as_pair(&self) -> &tokio::net::UnixStream {
        match &self.stream {
            Stream::Pair(stream) => stream,
            other => panic!("not a pair: {other:?}"),
        }
    }

    /// Whether these are the parameters that it was last set to.
    pub(super) fn is_set_to(&self, serial: &Serial) -> bool {
        self.serial.as_ref() == Some(serial)
    }

    /// Whether bytes wait in the kernel to be sent. A port that does not tell has none.
    pub(super) fn has_unsent(&self) -> bool {
        match &self.stream {
            Stream::Serial(stream) => stream.bytes_to_write().is_ok_and(|waiting| waiting > 0),
            _ => false,
        }
    }

    /// Sets the serial parameters, where they differ from what the port has.
    ///
    /// # Errors
    /// When the port cannot be set so, or is gone.
    pub(super) fn configure(&mut self, wanted: &Serial) -> io::Result<()> {
        if self.serial == Some(*wanted) {
            return Ok(());
        }
        if let Stream::Serial(stream) = &mut self.stream {
            let had = self.serial;
            if had.is_none_or(|had| had.baud != wanted.baud) {
                stream.set_baud_rate(wanted.baud)?;
            }
            if had.is_none_or(|had| had.stop_bits != wanted.stop_bits) {
                stream.set_stop_bits(match wanted.stop_bits {
                    StopBits::One => tokio_serial::StopBits::One,
                    StopBits::Two => tokio_serial::StopBits::Two,
                })?;
            }
            if had.is_none_or(|had| had.parity != wanted.parity) {
                // Said when a port is opened, and not again at every change between its meters.
                set_parity(stream, wanted.parity, had.is_none())?;
            }
        }
        self.serial = Some(*wanted);
        Ok(())
    }

    /// What has arrived, without waiting; `None` when nothing has.
    ///
    /// Asks the kernel and not the runtime, which learns of bytes only when its reactor turns: stale input must not be
    /// overlooked because this task did not pause since it came.
    ///
    /// # Errors
    /// When the port is gone.
    pub(super) fn read_now(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        let read = match &mut self.stream {
            Stream::Serial(stream) => stream.try_read(buffer),
            Stream::Tcp(stream) => rustix::io::read(stream, buffer).map_err(io::Error::from),
            #[cfg(test)]
            Stream::Pair(stream) => rustix::io::read(stream, buffer).map_err(io::Error::from),
        };
        match read {
            Ok(0) => Err(closed()),
            Ok(count) => Ok(Some(count)),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// The next bytes, at least one. Safe to drop half-way.
    ///
    /// # Errors
    /// When the port is gone.
    pub(super) async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = match &mut self.stream {
            Stream::Serial(stream) => stream.read(buffer).await?,
            Stream::Tcp(stream) => stream.read(buffer).await?,
            #[cfg(test)]
            Stream::Pair(stream) => stream.read(buffer).await?,
        };
        if count == 0 { Err(closed()) } else { Ok(count) }
    }

    /// Hands all bytes to the port.
    ///
    /// # Errors
    /// When the port is gone.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.stream {
            Stream::Serial(stream) => stream.write_all(bytes).await,
            Stream::Tcp(stream) => stream.write_all(bytes).await,
            #[cfg(test)]
            Stream::Pair(stream) => stream.write_all(bytes).await,
        }
    }
}

fn closed() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "port closed or hung up")
}

fn open_serial(path: &Path, rs485: Option<(Rs485, bool)>) -> io::Result<SerialStream> {
    let path = path.to_str().ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidInput, format!("path {} is not UTF-8", path.display()))
    })?;
    // Speed and parity are those of the first meter, set before it is asked; opening needs some that every port takes.
    let stream = SerialStream::open(&tokio_serial::new(path, 9600).timeout(Duration::ZERO))?;
    if let Some((rs485, hears_itself)) = rs485 {
        steer(&stream, rs485, hears_itself)?;
    }
    stream.clear(tokio_serial::ClearBuffer::All)?;
    Ok(stream)
}

fn steer(stream: &SerialStream, rs485: Rs485, hears_itself: bool) -> io::Result<()> {
    let Rs485 { rts_low_to_send, delay_before_send_ms, delay_after_send_ms } = rs485;
    let wanted = sys::Rs485::new(rts_low_to_send, hears_itself, [delay_before_send_ms, delay_after_send_ms]);
    let cannot = |why: &dyn std::fmt::Display| {
        let hint = "leave out `rs485` if the adapter switches by itself";
        io::Error::other(format!("the kernel cannot steer RS-485 on this port: {why}; {hint}"))
    };
    let taken = sys::set_rs485(stream, wanted).map_err(|error| cannot(&error))?;
    if !taken.is_on() {
        return Err(cannot(&"its driver does not take it"));
    }
    if taken != wanted {
        tracing::warn!(port = stream.name(), ?wanted, ?taken, "port takes its RS-485 settings only in part");
    }
    Ok(())
}

fn set_up_tcp(stream: TcpStream) -> io::Result<TcpStream> {
    // A request is one small write; it must not wait for an acknowledgement of the one before.
    stream.set_nodelay(true)?;
    let unacknowledged_ms = u32::try_from(UNACKNOWLEDGED_MAX.as_millis()).unwrap_or(u32::MAX);
    rustix::net::sockopt::set_tcp_user_timeout(&stream, unacknowledged_ms)?;
    Ok(stream)
}

fn set_parity(stream: &mut SerialStream, wanted: Parity, is_first: bool) -> io::Result<()> {
    let wanted = match wanted {
        Parity::None => tokio_serial::Parity::None,
        Parity::Even => tokio_serial::Parity::Even,
        Parity::Odd => tokio_serial::Parity::Odd,
    };
    let refused = match stream.set_parity(wanted).map_err(io::Error::from) {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => true,
        result => {
            result?;
            stream.parity().is_ok_and(|taken| taken != wanted)
        }
    };
    if refused && is_first {
        let port = stream.name().unwrap_or_default();
        tracing::warn!(port, parity = %wanted, "port takes no parity; going on without (a pty never does)");
    }
    Ok(())
}
