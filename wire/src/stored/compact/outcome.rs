//! Outcomes as they lie on flash.

use serde::{Deserialize, Serialize};

use super::super::{self as stored, DecodeError};
use super::{
    LocalDate, LocalTime, Word, clock, compact_clock, compact_number, date, date_time, local_date,
    local_time, number, timestamp,
};
use crate::{Observed, Reason, TariffStep, Valve};

#[derive(Serialize, Deserialize)]
pub(in crate::stored) struct Outcome {
    command: String,
    meter: String,
    action: Word,
    state: Word,
    is_final: bool,
    at_ms: i64,
    clock: u8,
    reason: Option<Word>,
    observed: Option<CompactObserved>,
    detail: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct CompactObserved {
    valve: Option<Word>,
    meter_time: Option<LocalTime>,
    tariff: Option<Vec<CompactStep>>,
    tariff_from: Option<LocalDate>,
    number: Option<String>,
}

/// From which consumption on, and the price: digits and places of each.
type CompactStep = ((i128, u8), (i128, u8));

impl From<&stored::Outcome> for Outcome {
    fn from(outcome: &stored::Outcome) -> Self {
        Self {
            command: outcome.command.clone(),
            meter: outcome.meter.clone(),
            action: (&outcome.action).into(),
            state: (&outcome.state).into(),
            is_final: outcome.is_final,
            at_ms: outcome.at.as_millisecond(),
            clock: compact_clock(outcome.clock),
            reason: outcome.reason.as_ref().map(Word::from),
            observed: outcome.observed.as_ref().map(CompactObserved::from),
            detail: outcome.detail.clone(),
        }
    }
}

impl TryFrom<Outcome> for stored::Outcome {
    type Error = DecodeError;

    fn try_from(outcome: Outcome) -> Result<Self, DecodeError> {
        Ok(Self {
            command: outcome.command,
            meter: outcome.meter,
            action: outcome.action.try_into()?,
            state: outcome.state.try_into()?,
            is_final: outcome.is_final,
            at: timestamp(outcome.at_ms)?,
            clock: clock(outcome.clock)?,
            reason: outcome.reason.map(Reason::try_from).transpose()?,
            observed: outcome.observed.map(Observed::try_from).transpose()?,
            detail: outcome.detail,
        })
    }
}

impl From<&Observed> for CompactObserved {
    fn from(Observed { valve, meter_time, tariff, tariff_from, number }: &Observed) -> Self {
        let step = |step: &TariffStep| (compact_number(step.from_m3), compact_number(step.price));
        Self {
            valve: valve.as_ref().map(Word::from),
            meter_time: meter_time.map(local_time),
            tariff: tariff.as_ref().map(|steps| steps.iter().map(step).collect()),
            tariff_from: tariff_from.map(local_date),
            number: number.clone(),
        }
    }
}

impl TryFrom<CompactObserved> for Observed {
    type Error = DecodeError;

    fn try_from(observed: CompactObserved) -> Result<Self, DecodeError> {
        let step = |(from, price)| Ok(TariffStep { from_m3: number(from)?, price: number(price)? });
        let steps = |steps: Vec<CompactStep>| steps.into_iter().map(step).collect::<Result<_, DecodeError>>();
        Ok(Self {
            valve: observed.valve.map(Valve::try_from).transpose()?,
            meter_time: observed.meter_time.map(date_time).transpose()?,
            tariff: observed.tariff.map(steps).transpose()?,
            tariff_from: observed.tariff_from.map(date).transpose()?,
            number: observed.number,
        })
    }
}
