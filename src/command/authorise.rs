//! Whether a command's sender may have this done, to this meter, now.
//!
//! Pure, and asked twice: when the command has come, and again just before its first byte would go on the line. In between
//! the configuration may have changed, the key may have expired, somebody may have turned the stop switch, and other valves
//! may have been closed.
//!
//! Rights are asked first, so that who has none learns nothing, not even which meters there are. Then what no right
//! overrides: a meter whose valve is `locked-open` is closed by nothing that comes over the network.
//!
//! **The stop switch holds back everything that changes a meter, openings too**: who turns it wants the site to stay as it
//! is, perhaps with a hand in a pit. Reading goes on. **The limits hold back closings alone**: a key in wrong hands must not
//! dry up a street, and water that is wanted back is never the danger.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use weir_wire::{Action, Reason};

use super::closings::Closings;
use super::keys::Keys;
use super::verify::Verified;

/// What is allowed here.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Who may do what.
    pub keys: Keys,
    /// The meters there are, by their ids.
    pub meters: BTreeMap<String, MeterPolicy>,
    /// Valves that may be closed within an hour, 0 to [`crate::limits::CLOSINGS_MAX`].
    pub closings_per_hour_max: u32,
    /// Valves that may be closed within 24 hours, as many.
    pub closings_per_day_max: u32,
}

/// What of a meter matters to a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeterPolicy {
    /// The name of its line.
    pub line: String,
    /// Its valve is never closed from here: a hospital, a fire main.
    pub locked_open: bool,
    /// Who it must say it is before anything of it is changed.
    pub expected: Expected,
}

/// Who must answer at a meter's address before anything is written to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// The meter with this serial number.
    Number(String),
    /// The meter's number is its address, so no other answers: CJ/T 188, DL/T 645.
    ByAddress,
    /// Whoever is there: `identity_check = "none"`, for meters that tell no number.
    Anybody,
    /// Nobody has said, so nothing is written.
    Unknown,
}

/// Why something is not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// The code.
    pub reason: Reason,
    /// The same in words.
    pub detail: String,
}

/// Whether the action changes something at the meter.
pub fn writes(action: &Action) -> bool {
    *action != Action::ReadNow
}

/// Whether this may be done now.
///
/// # Errors
/// Why it may not.
pub fn authorise(
    verified: &Verified,
    policy: &Policy,
    closings: &Closings,
    is_stopped: bool,
    now: Timestamp,
) -> Result<(), Denial> {
    let command = &verified.command;
    let (kid, action) = (&verified.kid, &command.action);
    let deny = |reason, detail: String| Err(Denial { reason, detail });
    let key = policy.keys.get(kid).filter(|key| key.public == verified.public);
    let Some(grant) = key.map(|key| &key.grant) else {
        return deny(
            Reason::NotAuthorised,
            format!("the key {kid} that has signed it is not there any more"),
        );
    };
    if grant.has_expired(now) {
        return deny(Reason::NotAuthorised, format!("the key {kid} has expired"));
    }
    if !grant.allows_action(action) {
        return deny(Reason::NotAuthorised, format!("the key {kid} may not order {action}"));
    }
    if !grant.covers_meter(&command.meter) {
        return deny(Reason::NotAuthorised, format!("the key {kid} may not command this meter"));
    }
    let Some(meter) = policy.meters.get(&command.meter) else {
        return deny(Reason::UnknownMeter, "no such meter on this gateway".to_owned());
    };
    let closes = *action == Action::ValveClose;
    if closes && meter.locked_open {
        return deny(Reason::Locked, "the meter's valve is locked open by the configuration".to_owned());
    }
    if is_stopped && writes(action) {
        return deny(Reason::Stopped, "commands are stopped at the gateway".to_owned());
    }
    if closes {
        limits(policy, closings, now)?;
    }
    Ok(())
}

fn limits(policy: &Policy, closings: &Closings, now: Timestamp) -> Result<(), Denial> {
    for (hours, name, most) in
        [(1, "an hour", policy.closings_per_hour_max), (24, "a day", policy.closings_per_day_max)]
    {
        let count = closings.within(SignedDuration::from_hours(hours), now);
        if count >= usize::try_from(most).unwrap_or(usize::MAX) {
            let detail = format!("{count} valves were closed within {name}, and {most} may be");
            return Err(Denial { reason: Reason::LimitReached, detail });
        }
    }
    Ok(())
}
