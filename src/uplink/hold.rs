//! Readings that were taken while the clock could not be trusted: with which time they go, and how long they wait for it.
//!
//! Of their boot either the wall time is known, and they go *mended*; or it may still come, and they wait; or the wait
//! is over, and they go *unsynced*. The last is settled with a flush before the first of them is handed over, so that a
//! retry is the same after a restart and after the clock was set. It is settled for a stretch at a time, and not for
//! the boot: when the box comes up during an outage, the one record that keeps trying gives up the time of its own
//! stretch only, and what was read later is mended when the link, and with it the time server, is back.
//!
//! The wait counts from the last trouble with the broker, for the same reason: who could not reach the one could not
//! reach the other. After it only one stretch is given up until the broker has acknowledged something; then there is
//! nothing to be waited for any more.

use std::time::Duration;

use weir_wire::Clock;
use weir_wire::stored::Reading;

use crate::boots::{Boots, Fate};
use crate::clock::{self, Moment};
use crate::limits::UNSYNCED_STRETCH;

pub(super) struct Hold {
    boots: Boots,
    /// The boot that this is; only of this one the wall time may still become known.
    boot: u32,
    patience: Duration,
    /// Since when a reading waits and nothing was in the way.
    since: Option<Moment>,
    /// A stretch was given up since the last trouble.
    has_let_go: bool,
    /// And the broker has acknowledged something after it.
    is_over: bool,
    is_complaining: bool,
}

impl Hold {
    pub(super) fn new(boots: Boots, patience: Duration) -> Self {
        Self {
            boots,
            boot: clock::boot(),
            patience,
            since: None,
            has_let_go: false,
            is_over: false,
            is_complaining: false,
        }
    }

    /// The reading with the times it goes with, always the same; `None` while it has to wait.
    pub(super) fn settle(&mut self, reading: Reading) -> Option<Reading> {
        if !must_settle(&reading) {
            return Some(reading);
        }
        let (boot, uptime_ms) = (reading.boot, reading.uptime_ms);
        let fate = match self.boots.fate(boot, uptime_ms) {
            Fate::Undecided if self.may_let_go(boot) => self.let_go(boot, uptime_ms),
            settled => settled,
        };
        match fate {
            Fate::Mended(boot_at) => Some(reading.mended(boot_at)),
            Fate::Unsynced => Some(reading),
            Fate::Undecided => None,
        }
    }

    /// There was trouble with the broker.
    pub(super) fn begin_again(&mut self) {
        (self.since, self.has_let_go, self.is_over) = (None, false, false);
    }

    /// The broker has something.
    pub(super) fn acknowledged(&mut self) {
        self.is_over |= self.has_let_go;
    }

    fn may_let_go(&mut self, boot: u32) -> bool {
        if boot != self.boot || self.is_over {
            return true;
        }
        let now = clock::now();
        if self.since.is_none() && !self.patience.is_zero() {
            tracing::info!(patience_s = self.patience.as_secs(), "readings wait for the clock to be set");
        }
        now.since(*self.since.get_or_insert(now)) >= self.patience
    }

    /// Flushes that the readings of this stretch go as unsynced.
    fn let_go(&mut self, boot: u32, uptime_ms: u64) -> Fate {
        let stretch_ms = u64::try_from(UNSYNCED_STRETCH.as_millis()).unwrap_or(u64::MAX);
        let end_of_stretch = (uptime_ms / stretch_ms).saturating_add(1).saturating_mul(stretch_ms);
        // An earlier boot will never learn its time.
        let below_ms = if boot == self.boot { end_of_stretch } else { u64::MAX };
        match self.boots.let_go(boot, below_ms) {
            Ok(()) => {
                (self.since, self.has_let_go, self.is_complaining) = (None, true, false);
                tracing::info!(boot = format!("{boot:08x}"), below_ms, "readings go as unsynced");
            }
            Err(error) if !self.is_complaining => {
                self.is_complaining = true;
                tracing::error!(%error, "readings wait: it cannot be kept that they go as unsynced");
            }
            Err(_) => {}
        }
        self.boots.fate(boot, uptime_ms)
    }
}

/// Whether the time of this reading has to be settled before it goes.
pub(super) fn must_settle(reading: &Reading) -> bool {
    reading.clock == Clock::Unsynced
}

/// The reading with the times that are settled for it, if they are; nothing is settled by looking.
pub(super) fn as_settled(boots: &Boots, reading: Reading) -> Reading {
    match boots.fate(reading.boot, reading.uptime_ms) {
        Fate::Mended(boot_at) if reading.clock == Clock::Unsynced => reading.mended(boot_at),
        _ => reading,
    }
}

#[cfg(test)]
mod tests;
