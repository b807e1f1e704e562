//! Whether a meter answers, how it is backed off from when it does not, and who it says it is.
//!
//! ```text
//!          failed poll           failed polls = FAILED_POLLS_BEFORE_SILENT
//!     ok ─────────────► failing ──────────────────────────────► silent      event meter-silent
//!      ▲                   │                                      │
//!      └───────────────────┴──────── answer or refusal ───────────┘         event meter-back, from silent
//! ```
//!
//! A poll fails when it ends silent or garbled. A meter that only garbles costs the line as much as one that keeps
//! silent, so both back off alike; the fault itself stays what it was. A refusal is an answer: the meter is alive and
//! keeps its schedule. A line that is down says nothing about a meter.
//!
//! After the n-th failed poll in a row the meter's polls wait for its interval × 2^(n-1), within
//! [`BACK_OFF_MIN`] and [`BACK_OFF_MAX`], and each is one request without repeats. So in the steady state a dead meter
//! costs its line one answer window an hour.
//!
//! Pure. What it deliberately does not keep is anything across a restart: a meter exchanged while the daemon was down
//! shows only where the configuration says which number to expect.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use weir_meter::Fault;

use crate::limits::{BACK_OFF_MAX, BACK_OFF_MIN, FAILED_POLLS_BEFORE_SILENT};

/// How a meter is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MeterState {
    /// It answers, or was not polled yet.
    #[default]
    Ok,
    /// Its last polls failed, not yet often enough to call it silent.
    Failing,
    /// It has been reported as silent.
    Silent,
}

/// What the gateway has to say about a meter, once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// It stopped answering.
    Silent,
    /// It answers again.
    Back,
}

/// One meter's health.
#[derive(Debug)]
pub(super) struct Health {
    every: Duration,
    state: MeterState,
    failed_polls: u32,
}

impl Health {
    /// A meter that is polled at this interval.
    pub(super) fn new(every: Duration) -> Self {
        Self { every, state: MeterState::Ok, failed_polls: 0 }
    }

    /// How it is.
    pub(super) fn state(&self) -> MeterState {
        self.state
    }

    /// Whether a poll of it is only a probe: one request, no repeats.
    pub(super) fn is_probed(&self) -> bool {
        self.failed_polls > 0
    }

    /// It answered, if only to refuse.
    pub(super) fn answered(&mut self) -> Option<Change> {
        let was_silent = self.state == MeterState::Silent;
        (self.state, self.failed_polls) = (MeterState::Ok, 0);
        was_silent.then_some(Change::Back)
    }

    /// A poll ended with this fault. `None` when the fault says nothing against the meter; otherwise how long to back
    /// off, counted from the poll's start, and what to report.
    pub(super) fn failed(&mut self, fault: &Fault) -> Option<(Duration, Option<Change>)> {
        match fault {
            Fault::Silent { .. } | Fault::Garbled { .. } => {}
            Fault::Refused { .. } | Fault::LineDown { .. } => return None,
        }
        self.failed_polls = self.failed_polls.saturating_add(1);
        let becomes_silent =
            self.failed_polls >= FAILED_POLLS_BEFORE_SILENT && self.state != MeterState::Silent;
        if becomes_silent {
            self.state = MeterState::Silent;
        } else if self.state == MeterState::Ok {
            self.state = MeterState::Failing;
        }
        Some((self.back_off(), becomes_silent.then_some(Change::Silent)))
    }

    fn back_off(&self) -> Duration {
        let doublings = self.failed_polls.saturating_sub(1).min(31);
        self.every.saturating_mul(1 << doublings).clamp(BACK_OFF_MIN, BACK_OFF_MAX)
    }
}

/// Who answers at a meter's address.
#[derive(Debug)]
pub(super) struct Identity {
    expected: Option<String>,
    seen: Option<String>,
}

/// What an answer's serial number means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// The meter that was there, or the first one seen.
    Same,
    /// Another meter than before; nothing was configured, so its reading stands, under its own number.
    Changed {
        /// The number before.
        was: String,
        /// The number now.
        now: String,
    },
    /// Not the meter that the configuration expects: its reading is not this meter's.
    Wrong {
        /// What is expected and what came.
        why: String,
        /// The expected and the new number, the first time it comes.
        change: Option<(String, String)>,
    },
}

impl Identity {
    /// A meter that must answer with this number, if one is given.
    pub(super) fn new(expected: Option<String>) -> Self {
        Self { expected, seen: None }
    }

    /// Looks at the serial number of an answer. Leading zeros do not matter: people leave them out.
    pub(super) fn see(&mut self, number: Option<&str>) -> Seen {
        let was = match (&self.expected, number) {
            (None, None) => return Seen::Same,
            (Some(expected), None) => {
                let why = format!("answer has no serial number, {expected} is expected");
                return Seen::Wrong { why, change: None };
            }
            (_, Some(now)) => self.seen.replace(now.to_owned()),
        };
        let now = number.unwrap_or_default();
        let is_new = was.as_deref().is_none_or(|was| !is_same(was, now));
        match &self.expected {
            Some(expected) if !is_same(expected, now) => Seen::Wrong {
                why: format!("answers as {now}, {expected} is expected"),
                change: is_new.then(|| (expected.clone(), now.to_owned())),
            },
            Some(_) => Seen::Same,
            None => match was {
                Some(was) if is_new => Seen::Changed { was, now: now.to_owned() },
                _ => Seen::Same,
            },
        }
    }
}

fn is_same(one: &str, other: &str) -> bool {
    one.trim_start_matches('0') == other.trim_start_matches('0')
}

#[cfg(test)]
mod tests {
    use super::*;

    const SILENT: Fault = Fault::Silent { window_ms: 188 };

    fn back_offs(every_s: u64, polls: usize) -> Vec<u64> {
        let mut health = Health::new(Duration::from_secs(every_s));
        (0..polls).map(|_| health.failed(&SILENT).unwrap().0.as_secs()).collect()
    }

    #[test]
    fn the_back_off_doubles_from_one_slot_to_an_hour() {
        assert_eq!(back_offs(900, 5), [900, 1800, 3600, 3600, 3600]);
        assert_eq!(back_offs(1, 11), [10, 10, 10, 10, 16, 32, 64, 128, 256, 512, 1024]);
        assert_eq!(back_offs(86_400, 2), [3600, 3600], "a daily poll is probed every hour until it is done");
        assert_eq!(back_offs(60, 100).last(), Some(&3600));
    }

    #[test]
    fn silence_is_reported_once_and_so_is_the_return() {
        let mut health = Health::new(Duration::from_secs(900));
        let reports: Vec<_> = (0..6).map(|_| health.failed(&SILENT).unwrap().1).collect();
        assert_eq!(reports, [None, None, Some(Change::Silent), None, None, None]);
        assert_eq!(health.state(), MeterState::Silent);
        assert_eq!(health.answered(), Some(Change::Back));
        assert_eq!(health.answered(), None);
        assert_eq!(health.failed(&SILENT), Some((Duration::from_secs(900), None)), "it starts afresh");
    }

    #[test]
    fn a_meter_that_only_garbles_backs_off_too() {
        let mut health = Health::new(Duration::from_secs(900));
        health.failed(&Fault::garbled("CRC")).unwrap();
        assert!(health.is_probed());
        assert_eq!(health.state(), MeterState::Failing);
    }

    #[test]
    fn refusals_and_a_line_that_is_down_are_not_held_against_a_meter() {
        let mut health = Health::new(Duration::from_secs(900));
        assert_eq!(health.failed(&Fault::refused("busy")), None);
        assert_eq!(health.failed(&Fault::LineDown { why: "EIO".into() }), None);
        assert!(!health.is_probed());
    }

    #[test]
    fn a_meter_that_was_exchanged_is_reported_once() {
        let mut identity = Identity::new(None);
        assert_eq!(identity.see(Some("0012345678")), Seen::Same);
        assert_eq!(identity.see(None), Seen::Same);
        assert_eq!(identity.see(Some("12345678")), Seen::Same);
        let (was, now) = ("12345678".to_owned(), "87654321".to_owned());
        assert_eq!(identity.see(Some("87654321")), Seen::Changed { was, now });
        assert_eq!(identity.see(Some("87654321")), Seen::Same);
    }

    #[test]
    fn the_wrong_meter_is_refused_each_time_and_reported_once() {
        let mut identity = Identity::new(Some("12345678".into()));
        assert_eq!(identity.see(Some("12345678")), Seen::Same);
        let change = |seen| match seen {
            Seen::Wrong { change, .. } => change,
            other => panic!("{other:?}"),
        };
        let expected = ("12345678".to_owned(), "87654321".to_owned());
        assert_eq!(change(identity.see(Some("87654321"))), Some(expected));
        assert_eq!(change(identity.see(Some("87654321"))), None);
        assert_eq!(identity.see(Some("12345678")), Seen::Same);
        assert!(matches!(identity.see(None), Seen::Wrong { change: None, .. }));
    }
}
