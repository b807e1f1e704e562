//! The daemon's part of `weir trace`: frames of a line as they pass, until whoever watches closes the connection or the line
//! stops.

use std::io;

use tokio::io::BufReader;
use tokio::net::unix::OwnedReadHalf;

use super::Reply;
use super::server::{Served, Teller, gone, refused};
use crate::limits::LINE_WATCHERS_MAX;
use crate::line::Shown;

/// Shows the line's frames.
///
/// # Errors
/// When nobody hears it.
pub(super) async fn trace(
    line: &str,
    served: &Served,
    asker: &mut BufReader<OwnedReadHalf>,
    teller: &mut Teller,
) -> io::Result<()> {
    let Some(handle) = served.lines.iter().find(|handle| handle.name() == line) else {
        return teller.tell(&refused("unknown-line", format!("no line {line:?} is configured"))).await;
    };
    let Some(mut watching) = handle.watch() else {
        let why = format!("{LINE_WATCHERS_MAX} are watching this line already");
        return teller.tell(&refused("busy", why)).await;
    };
    teller.tell(&Reply::Watching { line: line.to_owned(), status: Box::new(handle.status()) }).await?;
    let show = async {
        while let Some(shown) = watching.next().await {
            let reply = match shown {
                Shown::Frame(frame) => Reply::Frame(frame.as_ref().clone()),
                Shown::Lost(count) => Reply::FramesLost { count },
            };
            // However long it takes: what a watcher does not take in time it loses, and nobody else waits for it.
            teller.tell_patiently(&reply).await?;
        }
        Ok(())
    };
    tokio::select! {
        shown = show => shown,
        () = gone(asker) => Ok(()),
    }
}
