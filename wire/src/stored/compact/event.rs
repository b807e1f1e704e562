//! Events as they lie on flash.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::super::{self as stored, DecodeError, Register, What};
use super::{Word, clock, compact_clock, compact_number, number, timestamp};
use crate::{GapCause, GapOfMeter, LineStatus, RefusalCause, RefusedCount, Unit, Waiting};

#[derive(Serialize, Deserialize)]
pub(in crate::stored) struct Event {
    at_ms: i64,
    clock: u8,
    boot: u32,
    uptime_ms: u64,
    what: CompactWhat,
}

#[derive(Serialize, Deserialize)]
enum CompactWhat {
    Started { version: String, previous: Option<(u32, [u64; 2])> },
    Stopping,
    LineDown { line: String, detail: String },
    LineUp { line: String },
    MeterSilent { line: String, meter: String, detail: String },
    MeterBack { line: String, meter: String },
    MeterChanged { line: String, meter: String, was: String, now: String },
    Gap { damage: bool, meters: Vec<(String, u64, i64, i64)>, ids: Option<[String; 2]>, lost: u64 },
    OutboxDamaged { detail: String, salvaged: u64, lost: Option<u64> },
    OutboxPressure { detail: String },
    RecordRefused { record: String, meter: Option<String>, detail: String },
    ClockSet { boot_ms: i64, step_ms: Option<i64> },
    LineLent { line: String, detail: String },
    LineReturned { line: String, detail: String },
    RegisterRolledOver(CompactRegister),
    RegisterWentBack(CompactRegister),
    CommandsRefused { refused: Vec<(Word, u64)>, last_kid: Option<String> },
    JournalLost { detail: String, lost: Option<u64> },
    ConfigReloaded { detail: String },
    Status(CompactStatus),
}

#[derive(Serialize, Deserialize)]
struct CompactStatus {
    challenge: Option<String>,
    version: String,
    waiting_urgent: u64,
    waiting_readings: u64,
    oldest_waiting_ms: Option<i64>,
    disk_bytes: u64,
    /// Name, whether it is up, load.
    lines: Vec<(String, bool, u8)>,
}

#[derive(Serialize, Deserialize)]
struct CompactRegister {
    line: String,
    meter: String,
    quantity: Word,
    unit: Option<Word>,
    /// Digits and places.
    was: (i128, u8),
    now: (i128, u8),
}

impl From<&stored::Event> for Event {
    fn from(event: &stored::Event) -> Self {
        let what = match event.what.clone() {
            What::Started { version, previous } => CompactWhat::Started { version, previous },
            What::Stopping => CompactWhat::Stopping,
            What::LineDown { line, detail } => CompactWhat::LineDown { line, detail },
            What::LineUp { line } => CompactWhat::LineUp { line },
            What::MeterSilent { line, meter, detail } => CompactWhat::MeterSilent { line, meter, detail },
            What::MeterBack { line, meter } => CompactWhat::MeterBack { line, meter },
            What::MeterChanged { line, meter, was, now } => {
                CompactWhat::MeterChanged { line, meter, was, now }
            }
            What::Gap { cause, meters, ids, lost } => CompactWhat::Gap {
                damage: cause == GapCause::Damage,
                meters: meters.into_iter().map(compact_gap).collect(),
                ids,
                lost,
            },
            What::OutboxDamaged { detail, salvaged, lost } => {
                CompactWhat::OutboxDamaged { detail, salvaged, lost }
            }
            What::OutboxPressure { detail } => CompactWhat::OutboxPressure { detail },
            What::RecordRefused { record, meter, detail } => {
                CompactWhat::RecordRefused { record, meter, detail }
            }
            What::ClockSet { boot_at, step_ms } => {
                CompactWhat::ClockSet { boot_ms: boot_at.as_millisecond(), step_ms }
            }
            What::LineLent { line, detail } => CompactWhat::LineLent { line, detail },
            What::LineReturned { line, detail } => CompactWhat::LineReturned { line, detail },
            What::RegisterRolledOver(register) => CompactWhat::RegisterRolledOver(register.into()),
            What::RegisterWentBack(register) => CompactWhat::RegisterWentBack(register.into()),
            What::CommandsRefused { refused, last_kid } => CompactWhat::CommandsRefused {
                refused: refused.into_iter().map(|it| ((&it.cause).into(), it.count)).collect(),
                last_kid,
            },
            What::JournalLost { detail, lost } => CompactWhat::JournalLost { detail, lost },
            What::ConfigReloaded { detail } => CompactWhat::ConfigReloaded { detail },
            What::Status { challenge, version, waiting, oldest_waiting_at, disk_bytes, lines } => {
                CompactWhat::Status(CompactStatus {
                    challenge,
                    version,
                    waiting_urgent: waiting.urgent,
                    waiting_readings: waiting.readings,
                    oldest_waiting_ms: oldest_waiting_at.map(Timestamp::as_millisecond),
                    disk_bytes,
                    lines: lines.into_iter().map(|it| (it.line, it.up, it.load)).collect(),
                })
            }
        };
        Self {
            at_ms: event.at.as_millisecond(),
            clock: compact_clock(event.clock),
            boot: event.boot,
            uptime_ms: event.uptime_ms,
            what,
        }
    }
}

impl TryFrom<Event> for stored::Event {
    type Error = DecodeError;

    fn try_from(event: Event) -> Result<Self, DecodeError> {
        let what = match event.what {
            CompactWhat::Started { version, previous } => What::Started { version, previous },
            CompactWhat::Stopping => What::Stopping,
            CompactWhat::LineDown { line, detail } => What::LineDown { line, detail },
            CompactWhat::LineUp { line } => What::LineUp { line },
            CompactWhat::MeterSilent { line, meter, detail } => What::MeterSilent { line, meter, detail },
            CompactWhat::MeterBack { line, meter } => What::MeterBack { line, meter },
            CompactWhat::MeterChanged { line, meter, was, now } => {
                What::MeterChanged { line, meter, was, now }
            }
            CompactWhat::Gap { damage, meters, ids, lost } => What::Gap {
                cause: if damage { GapCause::Damage } else { GapCause::Retention },
                meters: meters.into_iter().map(gap).collect::<Result<_, _>>()?,
                ids,
                lost,
            },
            CompactWhat::OutboxDamaged { detail, salvaged, lost } => {
                What::OutboxDamaged { detail, salvaged, lost }
            }
            CompactWhat::OutboxPressure { detail } => What::OutboxPressure { detail },
            CompactWhat::RecordRefused { record, meter, detail } => {
                What::RecordRefused { record, meter, detail }
            }
            CompactWhat::ClockSet { boot_ms, step_ms } => {
                What::ClockSet { boot_at: timestamp(boot_ms)?, step_ms }
            }
            CompactWhat::LineLent { line, detail } => What::LineLent { line, detail },
            CompactWhat::LineReturned { line, detail } => What::LineReturned { line, detail },
            CompactWhat::RegisterRolledOver(register) => What::RegisterRolledOver(register.try_into()?),
            CompactWhat::RegisterWentBack(register) => What::RegisterWentBack(register.try_into()?),
            CompactWhat::CommandsRefused { refused, last_kid } => What::CommandsRefused {
                refused: refused.into_iter().map(refused_count).collect::<Result<_, _>>()?,
                last_kid,
            },
            CompactWhat::JournalLost { detail, lost } => What::JournalLost { detail, lost },
            CompactWhat::ConfigReloaded { detail } => What::ConfigReloaded { detail },
            CompactWhat::Status(status) => What::Status {
                challenge: status.challenge,
                version: status.version,
                waiting: Waiting { urgent: status.waiting_urgent, readings: status.waiting_readings },
                oldest_waiting_at: status.oldest_waiting_ms.map(timestamp).transpose()?,
                disk_bytes: status.disk_bytes,
                lines: status
                    .lines
                    .into_iter()
                    .map(|(line, up, load)| LineStatus { line, up, load })
                    .collect(),
            },
        };
        Ok(Self {
            at: timestamp(event.at_ms)?,
            clock: clock(event.clock)?,
            boot: event.boot,
            uptime_ms: event.uptime_ms,
            what,
        })
    }
}

impl From<Register> for CompactRegister {
    fn from(register: Register) -> Self {
        let Register { line, meter, quantity, unit, was, now } = register;
        let (was, now) = (compact_number(was), compact_number(now));
        Self { line, meter, quantity: (&quantity).into(), unit: unit.as_ref().map(Word::from), was, now }
    }
}

impl TryFrom<CompactRegister> for Register {
    type Error = DecodeError;

    fn try_from(register: CompactRegister) -> Result<Self, DecodeError> {
        let CompactRegister { line, meter, quantity, unit, was, now } = register;
        let (quantity, unit) = (quantity.try_into()?, unit.map(Unit::try_from).transpose()?);
        Ok(Self { line, meter, quantity, unit, was: number(was)?, now: number(now)? })
    }
}

fn refused_count((cause, count): (Word, u64)) -> Result<RefusedCount, DecodeError> {
    Ok(RefusedCount { cause: RefusalCause::try_from(cause)?, count })
}

fn compact_gap(gap: GapOfMeter) -> (String, u64, i64, i64) {
    (gap.meter, gap.count, gap.from.as_millisecond(), gap.to.as_millisecond())
}

fn gap((meter, count, from, to): (String, u64, i64, i64)) -> Result<GapOfMeter, DecodeError> {
    Ok(GapOfMeter { meter, count, from: timestamp(from)?, to: timestamp(to)? })
}
