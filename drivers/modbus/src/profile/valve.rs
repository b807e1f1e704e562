//! The `[valve]` table of a profile: how the valve is moved, and what tells where it stands.

use std::time::Duration;

use toml::Spanned;
use toml::de::DeValue;

use super::map::Map;
use super::section::{Section, integer};
use super::status::status;
use super::{State, StatusMap};
use crate::frame::WriteFunction;

/// How a valve is moved and watched.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ValveMap {
    pub(crate) function: WriteFunction,
    /// Coil or first register, on the wire, from 0.
    pub(crate) address: u16,
    /// What is written to open it: the registers, or the coil's FF00 or 0000.
    pub(crate) open: Vec<u16>,
    /// What is written to close it.
    pub(crate) close: Vec<u16>,
    /// From the order to the first look at its state.
    pub(crate) travel: Duration,
    /// From the order to when its state must tell the end position.
    pub(crate) settle: Duration,
    /// The registers that tell its position.
    pub(crate) read_back: Vec<StatusMap>,
}

/// Registers of one order. No known meter wants more than two.
const ORDER_REGISTERS_MAX: usize = 16;
/// Ball valves take up to half a minute; ten minutes is a slip of the hand.
const SETTLE_MS_MAX: u64 = 600_000;
/// Where the profile says nothing, the first look comes after this part of the time it may take: small valves are there
/// by then, and a look moves nothing.
const TRAVEL_PART: u64 = 10;

/// `told`: the profile's `[[status]]` tables, which tell the position where the valve has no `read_back` of its own.
pub(super) fn valve(section: Section<'_, '_>, map: &Map, told: &[StatusMap]) -> Option<ValveMap> {
    let function = section.integer("function_code", 5..=16).and_then(|(code, span)| {
        let function = u8::try_from(code).ok().and_then(WriteFunction::from_code);
        if function.is_none() {
            let hint = "5 writes a coil, 6 a register, 16 several registers";
            section.faults.note_with(span, "function_code must be 5, 6 or 16", hint);
        }
        function
    });
    for (key, hint) in [
        ("function_code", "5 writes a coil, 6 a register, 16 several registers"),
        ("at", "the address of the register or coil, such as at = 0x1C"),
        ("open", "what is written to open it"),
        ("close", "what is written to close it"),
        ("settle_ms", "how long it may take until it is there, such as settle_ms = 15000"),
    ] {
        if section.get(key).is_none() {
            section.miss(key, hint);
        }
    }
    let at = section.integer("at", map.base..=map.base + 0xFFFF);
    let order = |key| function.and_then(|function| order(&section, key, function));
    let (open, close) = (order("open"), order("close"));
    let settle = section.integer("settle_ms", 1..=SETTLE_MS_MAX);
    let most = settle.as_ref().map_or(SETTLE_MS_MAX, |(settle, _)| *settle);
    let travel = section.integer("travel_ms", 0..=most);
    let own = section.section("read_back").map(|own| status(own, map));
    let read_back: Vec<StatusMap> = match own {
        Some(own) => own.into_iter().collect(),
        None => told.iter().filter(|map| tells_position(map)).cloned().collect(),
    };
    if !read_back.iter().any(tells_position) {
        let hint = "words such as \"valve:open\" in a [[status]], or in [valve.read_back]";
        section.faults.note_with(section.span.clone(), "nothing tells where the valve stands", hint);
    }
    if open.is_some() && open == close {
        section.faults.note(section.span.clone(), "the valve is opened and closed by the same order");
    }
    if let (Some((at, span)), Some(open), Some(close)) = (&at, &open, &close) {
        let longest = open.len().max(close.len());
        if usize::try_from(at - map.base).is_ok_and(|address| address + longest > 0x1_0000) {
            section
                .faults
                .note(span.clone(), format!("{longest} registers from here reach beyond the last, 65535"));
        }
    }
    section.finish();
    Some(ValveMap {
        function: function?,
        address: u16::try_from(at?.0 - map.base).ok()?,
        open: open?,
        close: close?,
        travel: Duration::from_millis(travel.map_or(most / TRAVEL_PART, |(travel, _)| travel)),
        settle: Duration::from_millis(settle?.0),
        read_back,
    })
}

fn tells_position(map: &StatusMap) -> bool {
    map.words.states().any(|state| matches!(state, State::Valve(_)))
}

fn order(section: &Section<'_, '_>, key: &'static str, function: WriteFunction) -> Option<Vec<u16>> {
    let value = section.get(key)?;
    let (order, wanted) = match function {
        WriteFunction::Coil => {
            // Application Protocol V1.1b3, 6.5: FF00 is on, 0000 is off, all else is illegal.
            (
                value.get_ref().as_bool().map(|on| vec![if on { 0xFF00 } else { 0 }]),
                "true or false: a coil is on or off",
            )
        }
        WriteFunction::Register => {
            (register(value).map(|register| vec![register]), "a number from 0 to 65535")
        }
        WriteFunction::Registers => (registers(value), "a list of 1 to 16 numbers from 0 to 65535"),
    };
    if order.is_none() {
        section.wrong_type(value, key, wanted);
    }
    order
}

fn register(value: &Spanned<DeValue<'_>>) -> Option<u16> {
    u16::try_from(integer(value.get_ref())?).ok()
}

fn registers(value: &Spanned<DeValue<'_>>) -> Option<Vec<u16>> {
    let list = value.get_ref().as_array()?;
    let sensible = (1..=ORDER_REGISTERS_MAX).contains(&list.len());
    list.iter().map(register).collect::<Option<Vec<u16>>>().filter(|_| sensible)
}
