//! Events before they have an id, each kind with exactly the fields that belong to it, and how they become the flat one of
//! the topic.

use jiff::Timestamp;

use super::boot_in_hex;
use crate::{
    Clock, EventKind, GapCause, GapOfMeter, LineStatus, Number, Quantity, RefusedCount, Unit, Waiting,
};

/// An event before it has an id.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// When it happened, by the gateway's clock.
    pub at: Timestamp,
    /// How far that clock could be trusted.
    pub clock: Clock,
    /// The gateway's boot.
    pub boot: u32,
    /// Milliseconds since that boot.
    pub uptime_ms: u64,
    /// What happened.
    pub what: What,
}

/// What happened, each kind with what belongs to it.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// The daemon started.
    Started {
        /// The program's version.
        version: String,
        /// The generation before and its last sequences (readings, urgent); `None` on the first start.
        previous: Option<(u32, [u64; 2])>,
    },
    /// The daemon is stopping in good order.
    Stopping,
    /// A line's port cannot be used.
    LineDown {
        /// The line.
        line: String,
        /// The operating system's reason.
        detail: String,
    },
    /// A line's port can be used again.
    LineUp {
        /// The line.
        line: String,
    },
    /// A meter stopped answering.
    MeterSilent {
        /// The line.
        line: String,
        /// The meter.
        meter: String,
        /// The last fault.
        detail: String,
    },
    /// A silent meter answers again.
    MeterBack {
        /// The line.
        line: String,
        /// The meter.
        meter: String,
    },
    /// Another device answers at a meter's address.
    MeterChanged {
        /// The line.
        line: String,
        /// The meter.
        meter: String,
        /// The serial number seen before.
        was: String,
        /// The serial number seen now.
        now: String,
    },
    /// Readings were dropped or lost.
    Gap {
        /// Why.
        cause: GapCause,
        /// By meter; what cannot be told by meter is only in `lost`.
        meters: Vec<GapOfMeter>,
        /// Ids of the first and the last record that may be missing (damage).
        ids: Option<[String; 2]>,
        /// Records lost in all.
        lost: u64,
    },
    /// A segment of the outbox was damaged and set aside.
    OutboxDamaged {
        /// What was found.
        detail: String,
        /// Records that could be salvaged.
        salvaged: u64,
        /// Records that could not; `None` where nobody can tell how many there were.
        lost: Option<u64>,
    },
    /// The outbox is near or at its quota.
    OutboxPressure {
        /// How full it is and what happens.
        detail: String,
    },
    /// The broker refused a record for good.
    RecordRefused {
        /// Its id.
        record: String,
        /// The meter it was about.
        meter: Option<String>,
        /// The broker's reason.
        detail: String,
    },
    /// The gateway's clock became trustworthy, or jumped.
    ClockSet {
        /// The boot's wall time by the clock as it is now.
        boot_at: Timestamp,
        /// Milliseconds by which it moved since it was last told of; `None` the first time.
        step_ms: Option<i64>,
    },
    /// Somebody uses a line in place of its polls.
    LineLent {
        /// The line.
        line: String,
        /// For what and for how long at most.
        detail: String,
    },
    /// A lent line is polled again.
    LineReturned {
        /// The line.
        line: String,
        /// For what it was lent, for how long it was, and why that ended.
        detail: String,
    },
    /// A meter's register went over its last digit.
    RegisterRolledOver(Register),
    /// A meter's register is lower than it was.
    RegisterWentBack(Register),
    /// Messages on the command topic were refused that prove nothing about their sender.
    CommandsRefused {
        /// How many, by cause, since this was last told.
        refused: Vec<RefusedCount>,
        /// The key that the last of them named.
        last_kid: Option<String>,
    },
    /// The journal of commands was damaged or is gone.
    JournalLost {
        /// What was found and what follows from it.
        detail: String,
        /// Records lost; `None` where nobody can tell how many there were.
        lost: Option<u64>,
    },
    /// A changed configuration is in force.
    ConfigReloaded {
        /// What has changed.
        detail: String,
    },
    /// How the gateway does.
    Status {
        /// The nonce that a command may echo; `None` while commands are off.
        challenge: Option<String>,
        /// The program's version.
        version: String,
        /// Records that wait in the outbox.
        waiting: Waiting,
        /// When the oldest of them was read or happened.
        oldest_waiting_at: Option<Timestamp>,
        /// Bytes that the outbox takes on disk.
        disk_bytes: u64,
        /// The lines.
        lines: Vec<LineStatus>,
    },
}

/// A register of one meter that is lower than it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Register {
    /// The line.
    pub line: String,
    /// The meter.
    pub meter: String,
    /// What the register counts.
    pub quantity: Quantity,
    /// The unit of both values.
    pub unit: Option<Unit>,
    /// Its last value.
    pub was: Number,
    /// Its value now.
    pub now: Number,
}

impl Event {
    /// The event as the topic carries it.
    pub fn named(self, id: &str, gateway: &str) -> crate::Event {
        let mut event = crate::Event {
            id: id.to_owned(),
            gateway: gateway.to_owned(),
            at: self.at,
            clock: self.clock,
            boot: boot_in_hex(self.boot),
            uptime_ms: self.uptime_ms,
            event: self.what.kind(),
            line: None,
            meter: None,
            detail: None,
            cause: None,
            meters: Vec::new(),
            ids: None,
            previous_generation: None,
            previous_last: None,
            version: None,
            was: None,
            now: None,
            quantity: None,
            unit: None,
            record: None,
            salvaged: None,
            lost: None,
            boot_at: None,
            step_ms: None,
            refused: Vec::new(),
            last_kid: None,
            challenge: None,
            waiting: None,
            oldest_waiting_at: None,
            disk_bytes: None,
            lines: Vec::new(),
        };
        match self.what {
            What::Started { version, previous } => {
                event.version = Some(version);
                event.previous_generation = previous.map(|(generation, _)| format!("{generation:08x}"));
                event.previous_last = previous.map(|(_, last)| last);
            }
            What::Stopping => {}
            What::LineDown { line, detail } => (event.line, event.detail) = (Some(line), Some(detail)),
            What::LineUp { line } => event.line = Some(line),
            What::MeterSilent { line, meter, detail } => {
                (event.line, event.meter, event.detail) = (Some(line), Some(meter), Some(detail));
            }
            What::MeterBack { line, meter } => (event.line, event.meter) = (Some(line), Some(meter)),
            What::MeterChanged { line, meter, was, now } => {
                (event.line, event.meter) = (Some(line), Some(meter));
                (event.was, event.now) = (Some(was), Some(now));
            }
            What::Gap { cause, meters, ids, lost } => {
                (event.cause, event.meters, event.ids, event.lost) = (Some(cause), meters, ids, Some(lost));
            }
            What::OutboxDamaged { detail, salvaged, lost } => {
                (event.detail, event.salvaged, event.lost) = (Some(detail), Some(salvaged), lost);
            }
            What::OutboxPressure { detail } | What::ConfigReloaded { detail } => event.detail = Some(detail),
            What::RecordRefused { record, meter, detail } => {
                (event.record, event.meter, event.detail) = (Some(record), meter, Some(detail));
            }
            What::ClockSet { boot_at, step_ms } => (event.boot_at, event.step_ms) = (Some(boot_at), step_ms),
            What::LineLent { line, detail } | What::LineReturned { line, detail } => {
                (event.line, event.detail) = (Some(line), Some(detail));
            }
            What::RegisterRolledOver(register) | What::RegisterWentBack(register) => {
                let Register { line, meter, quantity, unit, was, now } = register;
                (event.line, event.meter) = (Some(line), Some(meter));
                (event.was, event.now) = (Some(was.to_string()), Some(now.to_string()));
                (event.quantity, event.unit) = (Some(quantity), unit);
            }
            What::CommandsRefused { refused, last_kid } => {
                (event.refused, event.last_kid) = (refused, last_kid);
            }
            What::JournalLost { detail, lost } => (event.detail, event.lost) = (Some(detail), lost),
            What::Status { challenge, version, waiting, oldest_waiting_at, disk_bytes, lines } => {
                (event.challenge, event.version) = (challenge, Some(version));
                (event.waiting, event.oldest_waiting_at) = (Some(waiting), oldest_waiting_at);
                (event.disk_bytes, event.lines) = (Some(disk_bytes), lines);
            }
        }
        event
    }
}

impl What {
    fn kind(&self) -> EventKind {
        match self {
            Self::Started { .. } => EventKind::Started,
            Self::Stopping => EventKind::Stopping,
            Self::LineDown { .. } => EventKind::LineDown,
            Self::LineUp { .. } => EventKind::LineUp,
            Self::MeterSilent { .. } => EventKind::MeterSilent,
            Self::MeterBack { .. } => EventKind::MeterBack,
            Self::MeterChanged { .. } => EventKind::MeterChanged,
            Self::Gap { .. } => EventKind::Gap,
            Self::OutboxDamaged { .. } => EventKind::OutboxDamaged,
            Self::OutboxPressure { .. } => EventKind::OutboxPressure,
            Self::RecordRefused { .. } => EventKind::RecordRefused,
            Self::ClockSet { .. } => EventKind::ClockSet,
            Self::LineLent { .. } => EventKind::LineLent,
            Self::LineReturned { .. } => EventKind::LineReturned,
            Self::RegisterRolledOver(_) => EventKind::RegisterRolledOver,
            Self::RegisterWentBack(_) => EventKind::RegisterWentBack,
            Self::CommandsRefused { .. } => EventKind::CommandsRefused,
            Self::JournalLost { .. } => EventKind::JournalLost,
            Self::ConfigReloaded { .. } => EventKind::ConfigReloaded,
            Self::Status { .. } => EventKind::Status,
        }
    }
}
