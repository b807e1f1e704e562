//! An event, dated as it happens.

use weir_wire::stored::{Event, What};

use crate::clock;

/// This has just happened. The date is what the gateway believes; an event does not wait for the clock to be set.
pub fn now(what: What) -> Event {
    let clock::Dated { wall: at, clock, boot, uptime_ms } = clock::dated();
    Event { at, clock, boot, uptime_ms, what }
}
