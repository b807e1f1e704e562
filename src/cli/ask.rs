//! One request to the daemon that may be running.
//!
//! A command does its work itself only when no daemon runs: a running one owns ports and outbox. A daemon that is there
//! and does not answer is a failure, never a reason to go past it.

use std::path::Path;

use super::{Failure, start_failed};
use crate::control::{Client, Reply, Request};

/// What the daemon answers; `None` when none runs.
pub(super) fn ask(socket: &Path, request: &Request) -> Result<Option<Reply>, Failure> {
    let Some(mut daemon) = Client::connect(socket).map_err(start_failed)? else { return Ok(None) };
    daemon.ask(request).map(Some).map_err(start_failed)
}

/// An answer to something else than what was asked.
pub(super) fn unexpected(reply: &Reply) -> Failure {
    start_failed(format_args!("unexpected answer of the daemon: {reply:?}"))
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::os::unix::net::UnixListener;

    use super::*;
    use crate::cli::Exit;

    /// What a daemon's bytes come to at the command.
    fn told(answer: &'static [u8]) -> Result<Option<Reply>, Failure> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let daemon = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = String::new();
            BufReader::new(&stream).read_line(&mut request).unwrap();
            stream.write_all(answer).unwrap();
            request
        });
        let told = ask(&path, &Request::OutboxStats);
        assert!(daemon.join().unwrap().contains("outbox-stats"));
        told
    }

    #[test]
    fn where_no_daemon_listens_there_is_no_answer_and_no_failure() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.sock");
        assert_eq!(ask(&path, &Request::OutboxStats), Ok(None));
        drop(UnixListener::bind(&path).unwrap());
        assert_eq!(ask(&path, &Request::OutboxStats), Ok(None), "a socket left behind");
    }

    #[test]
    fn a_daemon_that_is_there_and_does_not_answer_is_a_failure_with_the_sockets_path() {
        for answer in [&b""[..], b"{\"what\": 7}\n", b"no JSON\n"] {
            let (exit, why) = told(answer).unwrap_err();
            assert_eq!(exit, Exit::StartFailed);
            assert!(why.contains("control.sock"), "{why}");
        }
    }

    #[test]
    fn a_refusal_is_an_answer() {
        let refused = Reply::Refused { reason: "closed".into(), detail: "stopping".into() };
        let json: &'static [u8] = (serde_json::to_string(&refused).unwrap() + "\n").leak().as_bytes();
        assert_eq!(told(json), Ok(Some(refused)));
    }
}
