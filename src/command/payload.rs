//! What was signed: JSON that becomes a [`Command`].
//!
//! Only ever read once the signature is good, and still as if anybody had written it: a key may be in wrong hands, and a
//! console has its own faults. Members that are not known are ignored, known ones that come twice are refused, nesting is
//! bounded by `serde_json` (128 deep), texts and lists by `limits`.

use uuid::Uuid;
use weir_wire::{Action, Command, Tariff, Valve};

use super::jws::object;
use super::verify::Cause;
use crate::limits::{COMMAND_TEXT_BYTES_MAX, COMMAND_WORD_BYTES_MAX, METER_ID_BYTES_MAX, TARIFF_STEPS_MAX};

/// Reads a payload.
pub(super) fn command(payload: &[u8]) -> Result<Command, Cause> {
    let command: Command = object(payload)?;
    let is_sound = is_uuid(&command.id)
        && is_word(&command.gateway, METER_ID_BYTES_MAX)
        && is_word(&command.meter, METER_ID_BYTES_MAX)
        && is_word(command.action.as_str(), COMMAND_WORD_BYTES_MAX)
        && command.if_valve.as_ref().map(Valve::as_str).is_none_or(|it| is_word(it, COMMAND_WORD_BYTES_MAX))
        && command.challenge.as_deref().is_none_or(|it| is_word(it, COMMAND_WORD_BYTES_MAX))
        && [&command.requested_by, &command.reason].into_iter().flatten().all(|text| is_text(text))
        && command.tariff.as_ref().is_none_or(|tariff| tariff.steps.len() <= TARIFF_STEPS_MAX);
    if is_sound { Ok(command) } else { Err(Cause::Malformed) }
}

/// A UUID as RFC 9562 writes it, in lower case: an id that could be written in two ways would be two commands.
fn is_uuid(text: &str) -> bool {
    let mut buffer = Uuid::encode_buffer();
    Uuid::try_parse(text).is_ok_and(|uuid| uuid.hyphenated().encode_lower(&mut buffer) == text)
}

/// An id or a word of ours: it goes into keys of records and into names.
fn is_word(text: &str, bytes_max: usize) -> bool {
    (1..=bytes_max).contains(&text.len()) && !text.chars().any(char::is_control)
}

/// A sentence of somebody's. It may have lines; other controls are for a terminal to obey, and a database takes no NUL.
fn is_text(text: &str) -> bool {
    text.len() <= COMMAND_TEXT_BYTES_MAX && !text.chars().any(|c| c.is_control() && !c.is_whitespace())
}

/// Why what is ordered makes no sense, in words for its sender; `None` when it does.
pub(super) fn contradiction(command: &Command) -> Option<String> {
    match (&command.action, &command.tariff) {
        (Action::Other(action), _) => Some(format!("no action is called {action:?}")),
        (Action::TariffSet, None) => Some("tariff.set has no tariff".to_owned()),
        (Action::TariffSet, Some(tariff)) => contradiction_of(tariff).map(str::to_owned),
        _ => None,
    }
}

fn contradiction_of(tariff: &Tariff) -> Option<&'static str> {
    let steps = &tariff.steps;
    if steps.first().is_none_or(|first| first.from_m3.digits() != 0) {
        Some("the first step of the tariff does not begin at 0")
    } else if steps.iter().zip(steps.iter().skip(1)).any(|(lower, upper)| upper.from_m3 <= lower.from_m3) {
        Some("the steps of the tariff do not rise")
    } else if steps.iter().any(|step| step.price.digits() < 0) {
        Some("a price of the tariff is below 0")
    } else {
        None
    }
}
