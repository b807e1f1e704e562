//! One poll, or one job, without a line's task: what `weir read` and `weir scan` do when no daemon runs.

use tokio::sync::watch;
use weir_meter::{Fault, Serial};
use weir_wire::stored::Reading;

use super::config::Config;
use super::exchange::{Exchange, Manner, Wire};
use super::health::{Identity, Seen};
use super::job::{Job, JobError, Lent};
use super::reading::{Origin, reading};
use crate::limits::{LINE_LENT_MAX, LINE_STOP_MAX};
use crate::pulse::Pulse;

/// Opens the line's port, reads this one of its meters, and closes the port. Nothing is stored.
///
/// # Errors
/// The poll's fault; [`Fault::Refused`] also when the meter is not on the line, or not the one that is expected.
pub async fn read_once(config: Config, meter: &str) -> Result<Reading, Fault> {
    let Config { name, port, rs485, echo, repeats, adapter_allowance, keep_raw, meters, .. } = config;
    let wanted = meters.into_iter().find(|known| known.id == meter);
    let mut wanted = wanted.ok_or_else(|| Fault::refused(format!("no meter {meter:?} on line {name:?}")))?;
    let line_down = |error: std::io::Error| Fault::LineDown { why: format!("{port}: {error}") };
    let mut wire =
        Wire::open(&port, rs485.map(|rs485| (rs485, echo)), Pulse::new("read")).await.map_err(line_down)?;
    let manner = Manner::new(&wanted, adapter_allowance, echo, repeats);
    let (_running, stopping) = watch::channel(false);
    let mut exchange = Exchange::new(&mut wire, manner, &stopping);
    let answer = wanted.driver.read(&mut exchange).await?;
    let exchanges = std::mem::take(&mut exchange.exchanges);
    // As the daemon would answer: another meter's reading is not this one's.
    if let Seen::Wrong { why, .. } =
        Identity::new(wanted.expected_number).see(answer.identity.number.as_deref())
    {
        return Err(Fault::Refused { why });
    }
    let driver = wanted.driver.name();
    let selection = wanted.selection.as_deref();
    let origin = Origin { line: &name, meter, driver, scheduled_at: None, selection };
    Ok(reading(&origin, answer, &exchanges, keep_raw))
}

/// Opens the line's port, runs this job on it, and closes the port. The job has no other bound than its own
/// [`Job::time_max`]; dropping this ends it.
///
/// # Errors
/// [`JobError::LineDown`] when the port cannot be opened, [`JobError::TimeUp`].
pub async fn run_once<J: Job>(config: &Config, mut job: J) -> Result<J::Output, JobError> {
    let line_down = |error: std::io::Error| JobError::LineDown { why: format!("{}: {error}", config.port) };
    let mut wire =
        Wire::open(&config.port, config.rs485.map(|rs485| (rs485, config.echo)), Pulse::new("job"))
            .await
            .map_err(line_down)?;
    let (tell, ending) = watch::channel(false);
    let (adapter_allowance, echo) = (config.adapter_allowance, config.echo);
    let usual = config.meters.first().map_or(Serial::DEFAULT, |meter| meter.serial);
    let mut lent = Lent { wire: &mut wire, usual, adapter_allowance, echo, ending };
    let time_max = job.time_max().min(LINE_LENT_MAX);
    let too_long = async {
        tokio::time::sleep(time_max).await;
        let _ = tell.send(true);
        tokio::time::sleep(LINE_STOP_MAX).await;
    };
    tokio::select! {
        biased;
        output = job.run(&mut lent) => Ok(output),
        () = too_long => Err(JobError::TimeUp),
    }
}
