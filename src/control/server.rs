//! The daemon's end of the control socket.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::{OutboxReport, Reply, Request, lend, search, trace};
use crate::command::{Desk, Origin};
use crate::id::Lane;
use crate::limits::{CONTROL_CONNECTIONS_MAX, CONTROL_IDLE_MAX, CONTROL_REQUEST_BYTES_MAX};
use crate::line::{self, ReadError};
use crate::outbox::Outbox;
use crate::uplink;

/// What requests are answered from.
#[derive(Debug)]
pub struct Served {
    /// Every line.
    pub lines: Vec<line::Handle>,
    /// The outbox.
    pub outbox: Outbox,
    /// The uplink's conditions.
    pub uplink: uplink::Conditions,
    /// Where commands are handed in, when they are on.
    pub commands: Option<Desk>,
}

/// A bound socket that nobody serves yet: whoever starts the daemon binds first, and fails first.
#[derive(Debug)]
pub struct Server {
    path: PathBuf,
    listener: UnixListener,
}

/// Why the socket could not be bound.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another daemon answers there.
    #[error("{0}: another daemon is running")]
    InUse(PathBuf),
    /// The operating system refused.
    #[error("{path}: {source}")]
    Io {
        /// The socket's path.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
}

impl Server {
    /// Binds the socket, taking the place of one that a killed daemon left behind.
    ///
    /// # Errors
    /// When another daemon answers there, or the path cannot be used.
    pub fn bind(path: &Path) -> Result<Self, BindError> {
        let io_error = |source| BindError::Io { path: path.to_owned(), source };
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory).map_err(io_error)?;
        }
        match std::os::unix::net::UnixStream::connect(path) {
            Ok(_) => return Err(BindError::InUse(path.to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            // Only a socket that nobody listens on is a leftover; anything else at that path is somebody's.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused && is_socket(path) => {
                std::fs::remove_file(path).map_err(io_error)?;
            }
            Err(error) => return Err(io_error(error)),
        }
        let listener = UnixListener::bind(path).map_err(io_error)?;
        Ok(Self { path: path.to_owned(), listener })
    }

    /// Answers requests until it is dropped. At most [`CONTROL_CONNECTIONS_MAX`] connections are served at once; further
    /// ones wait to be accepted.
    pub async fn serve(self, served: Arc<Served>) {
        let places = Arc::new(Semaphore::new(CONTROL_CONNECTIONS_MAX));
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let served = Arc::clone(&served);
                    tokio::spawn(async move {
                        if let Err(error) = converse(stream, &served).await {
                            tracing::debug!(%error, "control connection ended");
                        }
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(path = %self.path.display(), %error, "control socket");
                    // Out of descriptors, most likely: trying again at once would only spin.
                    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
                }
            }
        }
    }
}

fn is_socket(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket())
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// The daemon's way to say something on a connection.
pub(super) struct Teller(OwnedWriteHalf);

impl Teller {
    /// Says it, within [`CONTROL_IDLE_MAX`].
    ///
    /// # Errors
    /// When nobody takes it.
    pub(super) async fn tell(&mut self, reply: &Reply) -> io::Result<()> {
        timeout(CONTROL_IDLE_MAX, self.tell_patiently(reply)).await?
    }

    /// Says it, however long it takes to be taken.
    ///
    /// # Errors
    /// When nobody takes it any more.
    pub(super) async fn tell_patiently(&mut self, reply: &Reply) -> io::Result<()> {
        let mut bytes = serde_json::to_vec(reply)?;
        bytes.push(b'\n');
        self.0.write_all(&bytes).await
    }
}

/// Waits until nobody is at the other end any more; a request that goes on is given up by closing its connection. Whatever is
/// said meanwhile ends it as well.
pub(super) async fn gone(stream: &mut BufReader<OwnedReadHalf>) {
    let _ = stream.fill_buf().await;
}

async fn converse(stream: UnixStream, served: &Served) -> io::Result<()> {
    let (heard, told) = stream.into_split();
    let (mut stream, mut teller) = (BufReader::new(heard), Teller(told));
    let mut line = Vec::new();
    loop {
        line.clear();
        let most = u64::try_from(CONTROL_REQUEST_BYTES_MAX).unwrap_or(u64::MAX);
        timeout(CONTROL_IDLE_MAX, (&mut stream).take(most).read_until(b'\n', &mut line)).await??;
        if line.is_empty() {
            return Ok(());
        }
        let is_whole = line.ends_with(b"\n");
        let reply = match serde_json::from_slice(&line) {
            Ok(Request::Lend(lend)) if is_whole => {
                return lend::lend(&lend, served, &mut stream, &mut teller).await;
            }
            Ok(Request::Scan { line, wanted }) if is_whole => {
                return search::search(&line, wanted, served, &mut stream, &mut teller).await;
            }
            Ok(Request::Trace { line }) if is_whole => {
                return trace::trace(&line, served, &mut stream, &mut teller).await;
            }
            Ok(request) if is_whole => answer(request, served).await,
            Ok(_) => refused("bad-request", "the request's line has no end"),
            Err(error) => refused("bad-request", error),
        };
        teller.tell(&reply).await?;
        if !is_whole {
            return Ok(());
        }
    }
}

async fn answer(request: Request, served: &Served) -> Reply {
    match request {
        Request::Read { meter } => read(&meter, served).await,
        Request::OutboxStats => match served.outbox.stats().await {
            Ok(outbox) => Reply::OutboxStats(Box::new(OutboxReport {
                outbox,
                urgent_uplink: Some(served.uplink.of(Lane::Urgent)),
                readings_uplink: Some(served.uplink.of(Lane::Readings)),
            })),
            Err(closed) => refused("closed", closed),
        },
        Request::Lend(_) | Request::Scan { .. } | Request::Trace { .. } => refused("bad-request", "not here"),
        Request::Submit { jws } => match &served.commands {
            Some(desk) => Reply::Submitted(desk.take(jws.into_bytes(), Origin::Local).await),
            None => refused("commands-off", "commands are off"),
        },
        Request::Lines => Reply::Lines { lines: served.lines.iter().map(line::Handle::status).collect() },
    }
}

async fn read(meter: &str, served: &Served) -> Reply {
    let Some(line) = served.lines.iter().find(|line| line.has(meter)) else {
        return refused("unknown-meter", format!("no meter {meter:?} is configured"));
    };
    match line.read(meter).await {
        Ok(reading) => Reply::Read(Box::new(reading.into())),
        Err(error) => refused(reason(&error), &error),
    }
}

fn reason(error: &ReadError) -> &'static str {
    match error {
        ReadError::UnknownMeter { .. } => "unknown-meter",
        ReadError::Busy => "busy",
        ReadError::BudgetSpent => "budget-spent",
        ReadError::Lent { .. } => "line-lent",
        ReadError::Stopped => "closed",
        ReadError::Fault(fault) => fault.name(),
    }
}

pub(super) fn refused(reason: &str, detail: impl ToString) -> Reply {
    Reply::Refused { reason: reason.to_owned(), detail: detail.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_leftover_socket_is_replaced_and_nothing_else_is() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("control.sock");
        drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
        let server = Server::bind(&socket).unwrap();
        assert!(matches!(Server::bind(&socket), Err(BindError::InUse(_))));
        drop(server);
        assert!(!socket.exists());

        let precious = folder.path().join("weir.toml");
        std::fs::write(&precious, "precious").unwrap();
        assert!(matches!(Server::bind(&precious), Err(BindError::Io { .. })));
        assert_eq!(std::fs::read_to_string(&precious).unwrap(), "precious");
    }
}
