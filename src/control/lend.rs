//! The daemon's part of `weir lend`: a line goes to a vendor's tool until the time is up, the daemon stops, or whoever asked
//! closes the connection.

use std::io;
use std::time::Duration;

use tokio::io::BufReader;
use tokio::net::unix::OwnedReadHalf;
use tokio::sync::oneshot;
use weir_meter::{Serial, StopBits};

use super::server::{Served, Teller, gone, refused};
use super::{Lend, Parity, Reply};
use crate::clock;
use crate::limits::LINE_LENT_MAX;
use crate::line::{Fixed, JobError, PassThrough};

/// Lends the line and tells when that begins and ends.
///
/// # Errors
/// When nobody hears it.
pub(super) async fn lend(
    lend: &Lend,
    served: &Served,
    asker: &mut BufReader<OwnedReadHalf>,
    teller: &mut Teller,
) -> io::Result<()> {
    let Some(line) = served.lines.iter().find(|line| line.name() == lend.line) else {
        let why = format!("no line {:?} is configured", lend.line);
        return teller.tell(&refused("unknown-line", why)).await;
    };
    let time_max = Duration::from_secs(lend.seconds).min(LINE_LENT_MAX);
    let fixed = match fixed(lend) {
        Ok(fixed) => fixed,
        Err(why) => return teller.tell(&refused("bad-request", why)).await,
    };
    let (begin, begun) = oneshot::channel();
    let job = match lend.tcp {
        None => PassThrough::over_pty(fixed, time_max, begin),
        Some(port) => PassThrough::over_tcp(port, fixed, time_max, begin).await,
    };
    let job = match job {
        Ok(job) => job,
        Err(error) => return teller.tell(&refused("refused", error)).await,
    };
    let place = job.place();
    // Dropped with this function, which ends the job.
    let mut running = std::pin::pin!(line.run(job));
    let began = tokio::select! {
        biased;
        Ok(serial) = begun => Ok(serial),
        end = &mut running => Err(end),
        () = gone(asker) => return Ok(()),
    };
    let due = clock::now() + time_max;
    let end = match began {
        Ok(serial) => {
            let until = clock::wall().checked_add(time_max).unwrap_or(jiff::Timestamp::MAX);
            teller.tell(&Reply::Lent { place, serial: shown(&serial), until }).await?;
            tokio::select! {
                biased;
                end = &mut running => end,
                () = gone(asker) => return Ok(()),
            }
        }
        Err(end) => end,
    };
    teller.tell(&told(end, clock::now() >= due)).await
}

fn fixed(lend: &Lend) -> Result<Fixed, String> {
    let stop_bits = match lend.stop_bits {
        None => None,
        Some(1) => Some(StopBits::One),
        Some(2) => Some(StopBits::Two),
        Some(other) => return Err(format!("{other} stop bits are none: 1 or 2")),
    };
    if lend.baud.is_some_and(|baud| !(300..=921_600).contains(&baud)) {
        return Err("a speed is 300 to 921600 Bd".to_owned());
    }
    let parity = lend.parity.map(|parity| match parity {
        Parity::None => weir_meter::Parity::None,
        Parity::Even => weir_meter::Parity::Even,
        Parity::Odd => weir_meter::Parity::Odd,
    });
    Ok(Fixed { baud: lend.baud, parity, stop_bits })
}

fn told(end: Result<Result<(), weir_meter::Fault>, JobError>, is_due: bool) -> Reply {
    match end {
        Ok(Ok(())) => {
            let why = if is_due { "time is up" } else { "the daemon stops" };
            Reply::Returned { why: why.to_owned() }
        }
        Ok(Err(fault)) => refused(fault.name(), &fault),
        Err(error @ JobError::Lent { .. }) => refused("line-lent", &error),
        Err(error @ JobError::LineDown { .. }) => refused("line-down", &error),
        Err(error @ JobError::Stopped) => refused("closed", &error),
        Err(error @ JobError::TimeUp) => Reply::Returned { why: error.to_string() },
    }
}

/// `9600 8N1`
fn shown(serial: &Serial) -> String {
    let parity = match serial.parity {
        weir_meter::Parity::None => 'N',
        weir_meter::Parity::Even => 'E',
        weir_meter::Parity::Odd => 'O',
    };
    format!("{} 8{parity}{}", serial.baud, if serial.stop_bits == StopBits::Two { 2 } else { 1 })
}
