//! The command line's end of the control socket.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use super::{Reply, Request};
use crate::limits::CONTROL_ANSWER_MAX;

/// A connection to a running daemon. Blocks: a command line asks one thing and waits for it.
#[derive(Debug)]
pub struct Client {
    path: PathBuf,
    stream: BufReader<UnixStream>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The socket is there and cannot be used.
    #[error("{path}: {source}")]
    Socket {
        /// The socket's path.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// The daemon's answer is not understood: another version runs.
    #[error("{path}: the daemon's answer is not understood: {source}")]
    Answer {
        /// The socket's path.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

impl Client {
    /// Connects to the daemon; `None` when none listens there.
    ///
    /// # Errors
    /// When the socket is there but may not be used, for example for want of rights.
    pub fn connect(path: &Path) -> Result<Option<Self>, AskError> {
        use io::ErrorKind::{ConnectionRefused, NotFound};
        match UnixStream::connect(path) {
            Ok(stream) => {
                // A read may wait for its turn on a slow line; a daemon that says nothing for so long is not well.
                let bounded = stream.set_read_timeout(Some(CONTROL_ANSWER_MAX));
                let bounded = bounded.and_then(|()| stream.set_write_timeout(Some(CONTROL_ANSWER_MAX)));
                bounded.map_err(|source| AskError::Socket { path: path.to_owned(), source })?;
                Ok(Some(Self { path: path.to_owned(), stream: BufReader::new(stream) }))
            }
            Err(error) if matches!(error.kind(), NotFound | ConnectionRefused) => Ok(None),
            Err(source) => Err(AskError::Socket { path: path.to_owned(), source }),
        }
    }

    /// Asks one thing and waits for the answer.
    ///
    /// # Errors
    /// When the connection breaks or the answer is not understood.
    pub fn ask(&mut self, request: &Request) -> Result<Reply, AskError> {
        self.send(request)?;
        self.answer()
    }

    /// Asks for something that takes a while; its replies come by [`Client::next_reply`].
    ///
    /// # Errors
    /// When the connection breaks.
    pub fn begin(&mut self, request: &Request) -> Result<(), AskError> {
        self.send(request)?;
        self.stream.get_ref().set_read_timeout(None).map_err(|source| self.socket_error(source))
    }

    /// The next reply, however long it takes; `None` when there are no more.
    ///
    /// # Errors
    /// When the connection breaks or the answer is not understood.
    pub fn next_reply(&mut self) -> Result<Option<Reply>, AskError> {
        match self.stream.fill_buf().map(<[u8]>::is_empty) {
            Ok(true) => Ok(None),
            Ok(false) => self.answer().map(Some),
            Err(source) => Err(self.socket_error(source)),
        }
    }

    fn send(&mut self, request: &Request) -> Result<(), AskError> {
        let mut line = serde_json::to_vec(request).map_err(|source| self.answer_error(source))?;
        line.push(b'\n');
        self.stream.get_mut().write_all(&line).map_err(|source| self.socket_error(source))
    }

    fn answer(&mut self) -> Result<Reply, AskError> {
        let mut answer = String::new();
        self.stream.read_line(&mut answer).map_err(|source| self.socket_error(source))?;
        if answer.is_empty() {
            return Err(self.socket_error(io::ErrorKind::UnexpectedEof.into()));
        }
        serde_json::from_str(&answer).map_err(|source| self.answer_error(source))
    }

    fn socket_error(&self, source: io::Error) -> AskError {
        AskError::Socket { path: self.path.clone(), source }
    }

    fn answer_error(&self, source: serde_json::Error) -> AskError {
        AskError::Answer { path: self.path.clone(), source }
    }
}
