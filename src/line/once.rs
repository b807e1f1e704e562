//! One poll without a line's task: what `weir read` does when no daemon runs.

use tokio::sync::watch;
use weir_meter::Fault;
use weir_wire::stored::Reading;

use super::config::Config;
use super::exchange::{Exchange, Manner, Wire};
use super::health::{Identity, Seen};
use super::reading::{Origin, reading};
use crate::pulse::Pulse;

/// Opens the line's port, reads this one of its meters, and closes the port. Nothing is stored.
///
/// # Errors
/// The poll's fault; [`Fault::Refused`] also when the meter is not on the line, or not the one that is expected.
pub async fn read_once(config: Config, meter: &str) -> Result<Reading, Fault> {
    let Config { name, port, echo, repeats, adapter_allowance, keep_raw, meters, .. } = config;
    let wanted = meters.into_iter().find(|known| known.id == meter);
    let mut wanted = wanted.ok_or_else(|| Fault::refused(format!("no meter {meter:?} on line {name:?}")))?;
    let line_down = |error: std::io::Error| Fault::LineDown { why: format!("{port}: {error}") };
    let mut wire = Wire::open(&port, Pulse::new("read")).await.map_err(line_down)?;
    wire.configure(&wanted.serial)?;
    let manner = Manner::new(&wanted, adapter_allowance, echo, repeats);
    let (_running, stopping) = watch::channel(false);
    let mut exchange = Exchange::new(&mut wire, manner, &stopping);
    let answer = wanted.driver.read(&mut exchange).await?;
    let frames = std::mem::take(&mut exchange.frames);
    // As the daemon would answer: another meter's reading is not this one's.
    if let Seen::Wrong { why, .. } =
        Identity::new(wanted.expected_number).see(answer.identity.number.as_deref())
    {
        return Err(Fault::Refused { why });
    }
    let driver = wanted.driver.name();
    let origin = Origin { line: &name, meter, driver, scheduled_at: None };
    Ok(reading(&origin, answer, frames, keep_raw))
}
