//! Times as they are typed on the demo's command line.

use std::str::FromStr;
use std::time::Duration;

use jiff::SignedDuration;

/// Longest time that may be typed: a demo is not a service.
const TIME_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

/// Reads `30s`, `2m`, `1h 30m`.
///
/// # Errors
/// In words, when it is no time, or not within a second and a week.
pub(super) fn time(text: &str) -> Result<Duration, String> {
    let time = moment(text)?;
    if time < Duration::from_secs(1) { Err("at least 1s, please".into()) } else { Ok(time) }
}

/// The same from zero on.
fn moment(text: &str) -> Result<Duration, String> {
    let bad = || format!("{:?} is no time such as 30s, 2m or 1h 30m", text.trim());
    let time: SignedDuration = text.trim().parse().map_err(|_| bad())?;
    let time = Duration::try_from(time).map_err(|_| bad())?;
    if time > TIME_MAX { Err("at most 7 days, please".into()) } else { Ok(time) }
}

/// A part of the demo, counted from its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Outage {
    from: Duration,
    to: Duration,
}

impl Outage {
    /// Whether the plug is out at this time after the start.
    pub(super) fn holds_at(self, running: Duration) -> bool {
        (self.from..self.to).contains(&running)
    }
}

impl FromStr for Outage {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (from, to) =
            text.split_once("..").ok_or_else(|| format!("{text:?} is no FROM..TO such as 5s..12s"))?;
        let outage = Self { from: moment(from)?, to: moment(to)? };
        if outage.from < outage.to { Ok(outage) } else { Err(format!("{text:?} ends before it begins")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        assert_eq!(time("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(time(" 1h 30m"), Ok(Duration::from_secs(5400)));
        for bad in ["", "30", "-5s", "soon", "0s", "8d", "999999999999999h"] {
            assert!(time(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_outage_has_a_beginning_and_an_end() {
        let outage: Outage = "5s..1m".parse().unwrap();
        let holds = |seconds| outage.holds_at(Duration::from_secs(seconds));
        assert_eq!([4, 5, 59, 60].map(holds), [false, true, true, false]);
        for bad in ["5s", "5s..", "12s..5s", "5s..5s", "a..b"] {
            assert!(bad.parse::<Outage>().is_err(), "{bad}");
        }
        assert_eq!("0s..3s".parse::<Outage>().map(|outage| outage.holds_at(Duration::ZERO)), Ok(true));
    }
}
