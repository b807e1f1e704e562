//! The daemon's part of `weir scan`: a line is searched for meters until that is done, or whoever asked closes the
//! connection.

use std::io;

use tokio::io::BufReader;
use tokio::net::unix::OwnedReadHalf;
use tokio::sync::mpsc;
use weir_mbus::discovery::SearchError;

use super::Reply;
use super::server::{Served, Teller, gone, refused};
use crate::limits::SCAN_STEPS_MAX;
use crate::line::JobError;
use crate::scan::{Report, Scan, Wanted};

/// Searches the line and tells what it does and what comes of it.
///
/// # Errors
/// When nobody hears it.
pub(super) async fn search(
    line: &str,
    wanted: Wanted,
    served: &Served,
    asker: &mut BufReader<OwnedReadHalf>,
    teller: &mut Teller,
) -> io::Result<()> {
    let Some(line) = served.lines.iter().find(|known| known.name() == line) else {
        return teller.tell(&refused("unknown-line", format!("no line {line:?} is configured"))).await;
    };
    if let Some(why) = wanted.why_not() {
        return teller.tell(&refused("bad-request", why)).await;
    }
    let (tell, mut steps) = mpsc::channel(SCAN_STEPS_MAX);
    // Dropped with this function, which ends the job.
    let mut running = std::pin::pin!(line.run(Scan::new(wanted, tell)));
    let end = loop {
        tokio::select! {
            biased;
            () = gone(asker) => return Ok(()),
            Some(step) = steps.recv() => teller.tell(&Reply::ScanStep(step)).await?,
            end = &mut running => break end,
        }
    };
    teller.tell(&told(end)).await
}

fn told(end: Result<Result<Report, SearchError>, JobError>) -> Reply {
    match end {
        Ok(Ok(report)) => Reply::Scan(report),
        Ok(Err(SearchError::Fault(fault))) => refused(fault.name(), &fault),
        Ok(Err(error @ (SearchError::Echo | SearchError::NoEcho))) => refused("refused", &error),
        Err(error @ JobError::Lent { .. }) => refused("line-lent", &error),
        Err(error @ JobError::LineDown { .. }) => refused("line-down", &error),
        Err(error @ (JobError::Stopped | JobError::TimeUp)) => refused("closed", &error),
    }
}
