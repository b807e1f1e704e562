//! Searching a line for its meters: the job that a line is lent to, and what comes of it.
//!
//! The searches are the drivers': by secondary and primary address on M-Bus (`weir_mbus::discovery`), and the address that
//! every meter answers to on CJ/T 188 and DL/T 645, which serves a line with one meter (`weir_meter::call_roll`). Here they
//! are made for each protocol and speed in turn, and their results are put together and brought into a form that crosses
//! the control socket. Modbus has nothing of the kind: a unit does not say who it is.

mod wildcard;

use std::ops::ControlFlow;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use weir_mbus::discovery::{self, Discovery, Found, Search, SearchError, Step};
use weir_mbus::{AddressError, Secondary, timing};
use weir_meter::{Fault, Parity, Serial, async_trait};

use crate::limits::{LINE_LENT_MAX, SCAN_BAUDS_MAX};
use crate::line::{Ending, Job, Lent, Terms};

/// A protocol whose meters can be searched for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// By secondary and primary address.
    Mbus,
    /// A meter that is alone.
    Cjt188,
    /// A meter that is alone.
    Dlt645,
}

impl Protocol {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Mbus, Self::Cjt188, Self::Dlt645];

    /// As the configuration calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mbus => "mbus",
            Self::Cjt188 => "cjt188",
            Self::Dlt645 => "dlt645",
        }
    }
}

/// A protocol, and how it is spoken on the line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spoken {
    /// The protocol.
    pub protocol: Protocol,
    /// Speeds to search at, one after the other, in Bd.
    pub bauds: Vec<u32>,
    /// Whether characters go without a parity bit, which is even by the standards.
    pub without_parity: bool,
}

/// What is searched for, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// What is spoken, one after the other.
    pub spoken: Vec<Spoken>,
    /// The first and the last primary address to ask on M-Bus; `None`: no search by primary address.
    pub primary: Option<(u8, u8)>,
    /// The mask of secondary addresses, as `1234FFFF`; `None`: no search by secondary address.
    pub secondary: Option<String>,
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
        let speeds = || self.spoken.iter().map(|spoken| &spoken.bauds);
        let count: usize = speeds().map(Vec::len).sum();
        if count > SCAN_BAUDS_MAX || speeds().any(Vec::is_empty) || !speeds().flatten().all(is_speed) {
            return Some(format!("1 to {SCAN_BAUDS_MAX} speeds of 300 to 921600 Bd, please"));
        }
        if self.spoken.is_empty() {
            return Some("no protocol to search by".to_owned());
        }
        None
    }
}

/// What a search is doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Progress {
    /// By this protocol, at this speed.
    Begun(Protocol, u32),
    /// This is asked: a primary address or a mask.
    Asking(String),
    /// This meter has been found.
    Found(Meter),
}

/// A meter that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Meter {
    /// What it speaks.
    pub protocol: Protocol,
    /// The speed at which it answers.
    pub baud: u32,
    /// Whether it does so without a parity bit.
    #[serde(default)]
    pub without_parity: bool,
    /// Its address as it is configured, of CJ/T 188 and DL/T 645.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Its primary address on M-Bus, where it told one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub primary: Option<u8>,
    /// Its secondary address, as far as it said who it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secondary: Option<String>,
    /// Whether it can be selected by its secondary address.
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

    async fn at(&self, line: &mut Lent<'_>, manner: Manner) -> Result<Report, SearchError> {
        match manner.protocol {
            Protocol::Mbus => self.on_mbus(line, manner).await,
            Protocol::Cjt188 | Protocol::Dlt645 => {
                let report = wildcard::search(line, manner, self.wanted.tries).await?;
                for meter in &report.meters {
                    let _ = self.progress.try_send(Progress::Found(meter.clone()));
                }
                Ok(report)
            }
        }
    }

    async fn on_mbus(&self, line: &mut Lent<'_>, manner: Manner) -> Result<Report, SearchError> {
        let Wanted { primary, secondary, tries, is_thorough, hex_digits, .. } = &self.wanted;
        let search = Search { tries: *tries, is_thorough: *is_thorough, hex_digits: *hex_digits };
        let ending = line.ending();
        let mut tell = |step| self.tell(step, manner, &ending);
        let serial = manner.serial();
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
        let meters = found.meters.iter().map(|found| Meter::on_mbus(found, manner)).collect();
        Ok(Report { meters, troubles: found.troubles.iter().map(ToString::to_string).collect() })
    }

    fn tell(&self, step: Step, manner: Manner, ending: &Ending) -> ControlFlow<()> {
        let progress = match step {
            Step::Address(address) => Progress::Asking(address.to_string()),
            Step::Mask(mask) => Progress::Asking(mask.to_string()),
            Step::Found(found) => Progress::Found(Meter::on_mbus(&found, manner)),
        };
        let _ = self.progress.try_send(progress);
        if ending.has_come() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

/// How one search is made.
#[derive(Clone, Copy, Debug)]
struct Manner {
    protocol: Protocol,
    baud: u32,
    without_parity: bool,
}

impl Manner {
    fn serial(self) -> Serial {
        let parity = if self.without_parity { Parity::None } else { Parity::Even };
        Serial { baud: self.baud, parity, ..Serial::DEFAULT }
    }

    fn meter(self) -> Meter {
        let Self { protocol, baud, without_parity } = self;
        Meter {
            protocol,
            baud,
            without_parity,
            address: None,
            primary: None,
            secondary: None,
            is_selectable: false,
        }
    }
}

impl Meter {
    fn on_mbus(found: &Found, manner: Manner) -> Self {
        let Found { primary, identity, is_selectable } = found;
        let secondary = identity.as_ref().map(ToString::to_string);
        Self { primary: *primary, secondary, is_selectable: *is_selectable, ..manner.meter() }
    }

    /// Under which addresses it is known; none of a meter that does not say who it is.
    fn name(&self) -> Option<(Protocol, &str, Option<u8>)> {
        let said = self.address.as_deref().or(self.secondary.as_deref())?;
        Some((self.protocol, said, self.primary))
    }
}

impl Report {
    /// Adds what was found at another speed. A meter that answers at several is the one of the first.
    fn add(&mut self, found: Self) {
        for meter in found.meters {
            let is_known =
                meter.name().is_some() && self.meters.iter().any(|known| known.name() == meter.name());
            if !is_known {
                self.meters.push(meter);
            }
        }
        self.troubles.extend(found.troubles);
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
        let mut report = Report::default();
        let spoken = self.wanted.spoken.iter().flat_map(|spoken| {
            let Spoken { protocol, bauds, without_parity } = spoken;
            bauds.iter().map(|baud| Manner {
                protocol: *protocol,
                baud: *baud,
                without_parity: *without_parity,
            })
        });
        for manner in spoken.take(SCAN_BAUDS_MAX).collect::<Vec<_>>() {
            if line.is_ending() {
                break;
            }
            let _ = self.progress.try_send(Progress::Begun(manner.protocol, manner.baud));
            report.add(self.at(line, manner).await?);
        }
        Ok(report)
    }
}

#[cfg(test)]
mod tests;
