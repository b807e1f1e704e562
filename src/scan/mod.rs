//! Searching a line for its M-Bus meters: the job that a line is lent to, and what comes of it.
//!
//! The search itself is the driver's (`weir_mbus::discovery`); here it is made for each speed in turn, by secondary and by
//! primary address, and its results are put together and brought into a form that crosses the control socket. Other protocols
//! have nothing of the kind: CJ/T 188 meters know an address for "whoever is there", which serves a line with one meter,
//! and Modbus units do not say who they are.

use std::ops::ControlFlow;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use weir_mbus::discovery::{self, Discovery, Found, Search, SearchError, Step};
use weir_mbus::{AddressError, Secondary, timing};
use weir_meter::{Fault, Parity, Serial, async_trait};

use crate::limits::{LINE_LENT_MAX, SCAN_BAUDS_MAX};
use crate::line::{Ending, Job, Lent, Terms};

/// What is searched for, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// The first and the last primary address to ask; `None`: no search by primary address.
    pub primary: Option<(u8, u8)>,
    /// The mask of secondary addresses, as `1234FFFF`; `None`: no search by secondary address.
    pub secondary: Option<String>,
    /// Speeds to search at, one after the other, in Bd.
    pub bauds: Vec<u32>,
    /// Whether characters go without a parity bit, which is even by the standard.
    pub without_parity: bool,
    /// How often silence is asked again before it is believed, 1 and up.
    pub tries: u8,
    /// Whether meters are looked for that a found one could hide.
    pub is_thorough: bool,
    /// Whether hex digits in numbers are always looked for.
    pub hex_digits: bool,
}

impl Wanted {
    /// Why this cannot be searched for; `None`: it can.
    pub fn why_not(&self) -> Option<String> {
        if let Some(Err(error)) = self.secondary.as_deref().map(str::parse::<Secondary>) {
            return Some(error.to_string());
        }
        let is_speed = |baud: &u32| (300..=921_600).contains(baud);
        if self.bauds.is_empty() || self.bauds.len() > SCAN_BAUDS_MAX || !self.bauds.iter().all(is_speed) {
            return Some(format!("1 to {SCAN_BAUDS_MAX} speeds of 300 to 921600 Bd, please"));
        }
        None
    }
}

/// What a search is doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Progress {
    /// At this speed.
    Baud(u32),
    /// This is asked: a primary address or a mask.
    Asking(String),
    /// This meter has been found.
    Found(Meter),
}

/// A meter that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Meter {
    /// The speed at which it answers.
    pub baud: u32,
    /// Its primary address, where it told one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub primary: Option<u8>,
    /// Its secondary address, as far as it said who it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secondary: Option<String>,
    /// Whether it can be selected by it.
    pub is_selectable: bool,
}

/// What came of a search.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// Each meter once.
    pub meters: Vec<Meter>,
    /// What could not be cleared up, for a person.
    pub troubles: Vec<String>,
}

/// The job.
#[derive(Debug)]
pub struct Scan {
    wanted: Wanted,
    progress: mpsc::Sender<Progress>,
}

impl Scan {
    /// A search that tells what it does into this channel, as far as that has room: nobody need listen.
    pub fn new(wanted: Wanted, progress: mpsc::Sender<Progress>) -> Self {
        Self { wanted, progress }
    }

    async fn at(&self, line: &mut Lent<'_>, serial: Serial) -> Result<Discovery, SearchError> {
        let Wanted { primary, secondary, tries, is_thorough, hex_digits, .. } = &self.wanted;
        let search = Search { tries: *tries, is_thorough: *is_thorough, hex_digits: *hex_digits };
        let ending = line.ending();
        let mut tell = |step| self.tell(step, serial.baud, &ending);
        // What is heard is decided by the search, so nothing is repeated beneath it.
        let mut line = line.on(&Terms { serial, timing: timing(&serial), repeats: 0 });
        let mut found = Discovery::default();
        if let Some(mask) = secondary {
            let mask = mask.parse().map_err(|error: AddressError| Fault::refused(error.to_string()))?;
            found = discovery::secondary(&mut line, mask, &search, &mut tell).await?;
        }
        if let (Some((first, last)), false) = (primary, ending.has_come()) {
            let by_primary = discovery::primary(&mut line, *first..=*last, &search, &mut tell).await?;
            found = found.merged(by_primary);
        }
        Ok(found)
    }

    fn tell(&self, step: Step, baud: u32, ending: &Ending) -> ControlFlow<()> {
        let progress = match step {
            Step::Address(address) => Progress::Asking(address.to_string()),
            Step::Mask(mask) => Progress::Asking(mask.to_string()),
            Step::Found(found) => Progress::Found(Meter::new(&found, baud)),
        };
        let _ = self.progress.try_send(progress);
        if ending.has_come() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

impl Meter {
    fn new(found: &Found, baud: u32) -> Self {
        let Found { primary, identity, is_selectable } = found;
        let secondary = identity.as_ref().map(ToString::to_string);
        Self { baud, primary: *primary, secondary, is_selectable: *is_selectable }
    }
}

impl Report {
    /// Adds what was found at another speed. A meter that answers at several is the one of the first.
    fn add(&mut self, found: &Discovery, baud: u32) {
        for found in &found.meters {
            let meter = Meter::new(found, baud);
            let is_known = meter.secondary.is_some()
                && self
                    .meters
                    .iter()
                    .any(|known| (&known.secondary, known.primary) == (&meter.secondary, meter.primary));
            if !is_known {
                self.meters.push(meter);
            }
        }
        self.troubles.extend(found.troubles.iter().map(ToString::to_string));
    }
}

#[async_trait]
impl Job for Scan {
    type Output = Result<Report, SearchError>;

    fn purpose(&self) -> String {
        "search for meters".to_owned()
    }

    fn time_max(&self) -> Duration {
        LINE_LENT_MAX
    }

    async fn run(&mut self, line: &mut Lent<'_>) -> Self::Output {
        let parity = if self.wanted.without_parity { Parity::None } else { Parity::Even };
        let mut report = Report::default();
        for baud in self.wanted.bauds.clone().into_iter().take(SCAN_BAUDS_MAX) {
            if line.is_ending() {
                break;
            }
            let _ = self.progress.try_send(Progress::Baud(baud));
            let found = self.at(line, Serial { baud, parity, ..Serial::DEFAULT }).await?;
            report.add(&found, baud);
        }
        Ok(report)
    }
}

#[cfg(test)]
mod tests;
