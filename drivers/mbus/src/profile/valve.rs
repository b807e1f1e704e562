//! From the typed `[valve]` table to a [`ValveMap`], or to what is wrong with it.

use std::time::Duration;

use serde::Deserialize;
use weir_meter::selection::Selection;
use weir_wire::Valve;

use super::{Check, TypedKeep};
use crate::valve::{ReadBack, ValveMap};

/// What a long frame holds behind its CI field (EN 13757-2).
const DATA_MAX: usize = 252;
/// CI fields that mean something else (EN 13757-3): reset, selection, and the speeds from B8 on.
const RESET: u8 = 0x50;
const SELECT: u8 = 0x52;
const SPEEDS: std::ops::RangeInclusive<u8> = 0xB8..=0xBF;
/// The bits of the status byte that are the maker's own.
const OWN_BITS: std::ops::RangeInclusive<u32> = 5..=7;
/// Ten minutes for a valve are a slip of the hand.
const SETTLE_MS_MAX: u64 = 600_000;
/// No source tells how long a valve takes: assumed are three seconds for a small one, and a minute for any.
const TRAVEL_MS: u64 = 3000;
const SETTLE_MS: u64 = 60_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Typed {
    open: String,
    close: String,
    ci: Option<u8>,
    travel_ms: Option<u64>,
    settle_ms: Option<u64>,
    read_back: TypedReadBack,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TypedReadBack {
    quantity: Option<String>,
    function: Option<String>,
    storage: Option<toml::Value>,
    tariff: Option<toml::Value>,
    subunit: Option<toml::Value>,
    open: Option<u32>,
    closed: Option<u32>,
    moving: Option<u32>,
    fault: Option<u32>,
}

impl Check<'_> {
    pub(super) fn valve(&mut self, typed: Typed) -> Option<ValveMap> {
        let (open, close) = (self.data("open", &typed.open), self.data("close", &typed.close));
        if open.is_some() && open == close {
            self.wrong(&["valve", "close"], "is the order that opens");
        }
        let information = typed.ci.unwrap_or(crate::services::DATA_SEND);
        if matches!(information, RESET | SELECT) || SPEEDS.contains(&information) {
            self.wrong(&["valve", "ci"], &format!("{information:02X} is no order to a valve"));
        }
        let settle = typed.settle_ms.unwrap_or(SETTLE_MS);
        let travel = typed.travel_ms.unwrap_or(TRAVEL_MS.min(settle));
        if !(1..=SETTLE_MS_MAX).contains(&settle) {
            self.wrong(&["valve", "settle_ms"], &format!("is not within 1 and {SETTLE_MS_MAX}"));
        } else if travel > settle {
            self.wrong(&["valve", "travel_ms"], "is longer than settle_ms");
        }
        let positions = self.positions(&typed.read_back);
        let read_back = self.read_back(typed.read_back);
        Some(ValveMap {
            information,
            open: open?,
            close: close?,
            travel: Duration::from_millis(travel),
            settle: Duration::from_millis(settle),
            read_back: read_back?,
            positions,
        })
    }

    fn data(&mut self, key: &str, hex: &str) -> Option<Vec<u8>> {
        let digits: Vec<u32> =
            hex.split_whitespace().flat_map(str::chars).map_while(|c| c.to_digit(16)).collect();
        let is_whole = digits.len() == hex.split_whitespace().map(|part| part.chars().count()).sum::<usize>();
        let byte = |pair: &[u32]| match pair {
            [high, low] => u8::try_from(high << 4 | low).ok(),
            _ => None,
        };
        let bytes: Option<Vec<u8>> = digits.chunks(2).map(byte).collect();
        let bytes = bytes.filter(|bytes| is_whole && (1..=DATA_MAX).contains(&bytes.len()));
        if bytes.is_none() {
            self.wrong(
                &["valve", key],
                &format!("must be 1 to {DATA_MAX} bytes in hex, such as \"01 FD 1A 01\""),
            );
        }
        bytes
    }

    fn positions(&mut self, typed: &TypedReadBack) -> Vec<(Valve, u32)> {
        let named = [
            ("open", Valve::Open, typed.open),
            ("closed", Valve::Closed, typed.closed),
            ("moving", Valve::Moving, typed.moving),
            ("fault", Valve::Fault, typed.fault),
        ];
        let by_record = typed.quantity.is_some();
        let mut positions: Vec<(Valve, u32)> = Vec::new();
        for (key, position, code) in named {
            let Some(code) = code else { continue };
            if positions.iter().any(|(_, other)| *other == code) {
                self.wrong(&["valve", "read_back", key], "stands for another position already");
            }
            if !by_record && !OWN_BITS.contains(&code) {
                self.wrong(&["valve", "read_back", key], "must be a bit of the status byte from 5 to 7");
            }
            positions.push((position, code));
        }
        let (open, closed) = (typed.open.is_some(), typed.closed.is_some());
        if by_record && !(open && closed) {
            self.wrong(&["valve", "read_back"], "open and closed must both have a number");
        } else if !(open || closed) {
            self.wrong(&["valve", "read_back"], "open or closed must have a bit");
        }
        positions
    }

    fn read_back(&mut self, typed: TypedReadBack) -> Option<ReadBack> {
        let TypedReadBack { quantity, function, storage, tariff, subunit, .. } = typed;
        let Some(quantity) = quantity else {
            if function.is_some() || storage.is_some() || tariff.is_some() || subunit.is_some() {
                self.wrong(
                    &["valve", "read_back"],
                    "a bit of the status byte has no function, storage, tariff or subunit",
                );
            }
            return Some(ReadBack::Status);
        };
        let keep = TypedKeep { quantity, function, storage, tariff, subunit, name: None };
        let keep = self.keep(&["valve", "read_back"], keep)?;
        match Selection::new(vec![keep]) {
            Ok(selection) => Some(ReadBack::Record(selection)),
            Err(faults) => {
                for (_, fault) in faults {
                    self.wrong(&["valve", "read_back", "quantity"], &fault.to_string());
                }
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::Profile;

    const GOOD: &str = "model = \"x\"\n[valve]\nopen = \"01 FD 1A 01\"\nclose = \"01fd1a00\"\n[valve.read_back]\nquantity = \"digital-output\"\nopen = 1\nclosed = 0\n";

    fn fault(from: &str, to: &str) -> String {
        assert!(GOOD.contains(from), "{from}");
        Profile::parse(&GOOD.replace(from, to))
            .expect_err(to)
            .iter()
            .map(|fault| format!("{fault}; "))
            .collect()
    }

    #[test]
    fn a_valve_is_read_with_its_defaults() {
        let valve = Profile::parse(GOOD).unwrap().valve.unwrap();
        assert_eq!((valve.information, &valve.close[..]), (0x51, &[0x01, 0xFD, 0x1A, 0x00][..]));
        assert_eq!((valve.travel.as_secs(), valve.settle.as_secs()), (3, 60));
        let quick = GOOD.replace("close =", "settle_ms = 1000\nci = 0xA5\nclose =");
        let valve = Profile::parse(&quick).unwrap().valve.unwrap();
        assert_eq!(
            (valve.information, valve.travel.as_secs()),
            (0xA5, 1),
            "the first look is never the later one"
        );
        let bits =
            GOOD.replace("quantity = \"digital-output\"\nopen = 1\nclosed = 0", "closed = 5\nfault = 6");
        assert!(Profile::parse(&bits).is_ok());
    }

    #[test]
    fn a_valve_that_could_not_be_moved_or_seen_is_a_fault() {
        for (from, to, says) in [
            ("01fd1a00", "01 FD 1A 01", "valve.close: is the order that opens"),
            ("01fd1a00", "01fd1a0", "valve.close: must be 1 to 252 bytes"),
            ("01fd1a00", "01fdxx00", "valve.close: must be 1 to 252 bytes"),
            ("01fd1a00", "", "valve.close: must be 1 to 252 bytes"),
            ("close =", "ci = 0x50\nclose =", "valve.ci: 50 is no order to a valve"),
            ("close =", "ci = 0xBB\nclose =", "valve.ci: BB is no order"),
            ("close =", "settle_ms = 0\nclose =", "valve.settle_ms: is not within"),
            ("close =", "travel_ms = 60001\nclose =", "valve.travel_ms: is longer"),
            ("digital-output", "digital-ouput", "valve.read_back.quantity: there is no quantity"),
            ("closed = 0", "closed = 1", "valve.read_back.closed: stands for another"),
            ("closed = 0", "fault = 2", "open and closed must both"),
            ("quantity = \"digital-output\"\n", "", "open: must be a bit of the status byte"),
            (
                "quantity = \"digital-output\"\nopen = 1\nclosed = 0",
                "fault = 5",
                "open or closed must have a bit",
            ),
            (
                "quantity = \"digital-output\"\nopen = 1\nclosed = 0",
                "storage = 1\nclosed = 5",
                "has no function",
            ),
            ("closed = 0", "closed = 0\nstorage = -1", "valve.read_back.storage: must be"),
            ("closed = 0", "closed = 0\nclossed = 1", "clossed"),
        ] {
            let told = fault(from, to);
            assert!(told.contains(says), "{to:?} gave {told}");
        }
    }
}
