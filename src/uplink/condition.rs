//! How a lane's drain is doing: for `outbox stats` and for the log.
//!
//! An outage lasts for days and fails every half minute. So the log hears of a condition when it changes, no more often
//! than once in [`TELL_EVERY`], and is reminded once in [`REMIND_EVERY`]; the figures are always up to date.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use super::Failure;
use crate::clock::{self, Moment};
use crate::id::Lane;

/// The shortest time between two lines about a lane whose condition keeps changing.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// The longest time without a line while nothing gets through.
const REMIND_EVERY: Duration = Duration::from_secs(15 * 60);

/// A lane's drain as it is now. Counts are since the start of the daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// In a word.
    pub state: State,
    /// Since when it is in this state, by the gateway's clock.
    pub since: Timestamp,
    /// Why it waits.
    pub why: Option<String>,
    /// Records that the broker has acknowledged.
    pub acknowledged: u64,
    /// Records that were handed over again after the first time.
    pub retried: u64,
    /// Records that were set aside as refused for good.
    pub set_aside: u64,
    /// Records handed over and not reported yet.
    pub in_flight: u64,
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.state, &self.why) {
            (State::Starting, None) => write!(f, "starting"),
            (State::Connected, _) => write!(f, "connected since {}", self.since),
            (_, Some(why)) => write!(f, "waiting since {}: {why}", self.since),
            (State::Waiting, None) => write!(f, "waiting since {}", self.since),
        }
    }
}

/// A condition in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Nothing has been acknowledged yet and nothing has failed.
    Starting,
    /// The last thing heard of the broker was an acknowledgement.
    Connected,
    /// Nothing gets through; everything waits in the outbox.
    Waiting,
}

/// The one place where a lane's condition is kept. All clones are one.
#[derive(Clone, Debug)]
pub(super) struct Tracker {
    lane: Lane,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug)]
struct Inner {
    condition: Condition,
    told: Told,
}

/// What the log was told last. Pure.
#[derive(Debug, Default)]
struct Told {
    /// The reason for waiting, `None` when it was told of a connection.
    what: Option<&'static str>,
    at: Option<Moment>,
}

impl Told {
    /// Whether the log should hear this now; if so it counts as told.
    fn worth_telling(&mut self, what: Option<&'static str>, now: Moment) -> bool {
        let silence = self.at.map(|at| now.since(at));
        let worth = match silence {
            None => true,
            Some(silence) if self.what != what => silence >= TELL_EVERY,
            Some(silence) => what.is_some() && silence >= REMIND_EVERY,
        };
        if worth {
            *self = Self { what, at: Some(now) };
        }
        worth
    }
}

impl Tracker {
    pub(super) fn new(lane: Lane) -> Self {
        let condition = Condition {
            state: State::Starting,
            since: clock::wall(),
            why: None,
            acknowledged: 0,
            retried: 0,
            set_aside: 0,
            in_flight: 0,
        };
        Self { lane, inner: Arc::new(Mutex::new(Inner { condition, told: Told::default() })) }
    }

    pub(super) fn condition(&self) -> Condition {
        self.lock().condition.clone()
    }

    /// The broker acknowledged so many records.
    pub(super) fn acknowledged(&self, records: u64) {
        let mut inner = self.lock();
        inner.condition.acknowledged += records;
        inner.enter(State::Connected, None);
        if inner.told.worth_telling(None, clock::now()) {
            info!(lane = %self.lane, acknowledged = inner.condition.acknowledged, "uplink connected");
        }
    }

    /// Nothing gets through, for this reason.
    pub(super) fn waiting(&self, failure: &Failure) {
        let mut inner = self.lock();
        inner.enter(State::Waiting, Some(failure.why()));
        if inner.told.worth_telling(Some(failure.what), clock::now()) {
            let since = inner.condition.since;
            let (why, detail) = (failure.what, failure.detail.as_str());
            warn!(lane = %self.lane, why, detail, %since, "uplink waiting; records stay in the outbox");
        }
    }

    /// A record was set aside.
    pub(super) fn set_aside(&self) {
        self.lock().condition.set_aside += 1;
    }

    /// So many records were handed over again, and so many are in flight now.
    pub(super) fn fed(&self, retried: u64, in_flight: usize) {
        let mut inner = self.lock();
        inner.condition.retried += retried;
        inner.condition.in_flight = u64::try_from(in_flight).unwrap_or(u64::MAX);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic elsewhere leaves figures, at worst one too few.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn enter(&mut self, state: State, why: Option<String>) {
        if self.condition.state != state {
            self.condition.state = state;
            self.condition.since = clock::wall();
        }
        self.condition.why = why;
    }
}

#[cfg(test)]
mod tests {
    use super::super::FailureKind;
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::from_boot(Duration::from_secs(seconds))
    }

    #[test]
    fn an_outage_of_a_day_is_told_once_and_remembered_every_quarter_of_an_hour() {
        let mut told = Told::default();
        let lines = (0..86_400).filter(|&second| told.worth_telling(Some("no broker"), at(second))).count();
        assert_eq!(lines, 96);
    }

    #[test]
    fn a_new_reason_is_told_and_so_is_the_end() {
        let mut told = Told::default();
        assert!(told.worth_telling(Some("no broker"), at(0)));
        assert!(!told.worth_telling(Some("no broker"), at(30)));
        assert!(told.worth_telling(Some("no such topic"), at(31)));
        assert!(told.worth_telling(None, at(60)));
        assert!((60..100_000).all(|second| !told.worth_telling(None, at(second))));
    }

    #[test]
    fn a_flapping_link_does_not_fill_the_log() {
        let mut told = Told::default();
        let what = |second: u64| if second.is_multiple_of(2) { None } else { Some("no broker") };
        let lines = (0..1000).filter(|&second| told.worth_telling(what(second), at(second))).count();
        assert!((50..=100).contains(&lines), "{lines}");
    }

    #[test]
    fn the_state_keeps_its_beginning_while_reasons_change() {
        let tracker = Tracker::new(Lane::Readings);
        tracker.waiting(&Failure::new(FailureKind::Retriable, "no broker", "a"));
        let first = tracker.condition();
        tracker.waiting(&Failure::new(FailureKind::Retriable, "no such topic", "b"));
        let second = tracker.condition();
        assert_eq!((second.state, second.since), (State::Waiting, first.since));
        assert_eq!(second.why.as_deref(), Some("no such topic (b)"));
        tracker.acknowledged(3);
        let third = tracker.condition();
        assert_eq!((third.state, third.why, third.acknowledged), (State::Connected, None, 3));
    }
}
