//! From TOML text to a profile, or to the list of everything that is wrong with it.

use std::time::Duration;

use toml::Spanned;
use toml::de::DeTable;
use weir_meter::{Parity, Serial, StopBits};
use weir_wire::Medium;

use super::clock::clock;
use super::field::field;
use super::map::{Map, entries, map};
use super::section::{Faults, Section};
use super::status::status;
use super::tariff::tariff;
use super::value::values;
use super::valve::valve;
use super::{Profile, ProfileFault, Waits};
use crate::plan::plan;
use crate::types::Field;

/// A profile's text; the longest known register map fits ten times.
const TEXT_BYTES_MAX: usize = 256 * 1024;

pub(super) fn profile(text: &str) -> Result<Profile, Vec<ProfileFault>> {
    let faults = Faults::default();
    if text.len() > TEXT_BYTES_MAX {
        faults.note(0..0, format!("the profile is longer than {TEXT_BYTES_MAX} bytes"));
        return Err(faults.into_sorted());
    }
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        faults.note(error.span().unwrap_or(0..0), error.message());
    }
    let profile = if errors.is_empty() { from_document(&document, &faults) } else { None };
    let faults = faults.into_sorted();
    profile.filter(|_| faults.is_empty()).ok_or(faults)
}

fn from_document(document: &Spanned<DeTable<'_>>, faults: &Faults) -> Option<Profile> {
    let root = Section::new(document.get_ref(), 0..0, "the profile", faults);
    let model = required_text(&root, "model", "the meter's name, such as model = \"MAG 6000\"");
    let source = root.text("source").map(|(text, _)| text.to_owned());
    let verified = root.flag("verified");
    let map = map(&root);
    let identity = identity(&root, &map);
    let serial = serial(&root);
    let waits = waits(&root);
    let clock = root.section("clock").and_then(|section| clock(section, &map));
    let values = values(&root, &map);
    let status = entries(&root, "status", |section| status(section, &map));
    let valve = root.section("valve").and_then(|section| valve(section, &map, &status));
    let tariff = root.section("tariff").and_then(|section| tariff(section, &map));
    let place = root.get("map").map_or(0..0, toml::Spanned::span);
    root.finish();
    let mut profile = Profile {
        model: model?,
        source,
        verified: verified.unwrap_or(false),
        manufacturer: identity.manufacturer,
        medium: identity.medium,
        serial,
        waits,
        number: identity.number,
        clock,
        values,
        status,
        valve,
        tariff,
        plan: Vec::new(),
    };
    profile.plan = plan(profile.fields().map(Field::block), &map.limits);
    for block in profile.plan.iter().filter(|block| map.limits.avoids(block.start.into(), block.end())) {
        let (first, last) = (u64::from(block.start) + map.base, u64::from(block.end()) + map.base - 1);
        let hint = "a value stands there, or an even count leaves no other way";
        faults.note_with(
            place.clone(),
            format!("registers {first} to {last} cannot be read without one that is to be avoided"),
            hint,
        );
    }
    Some(profile)
}

fn required_text(section: &Section<'_, '_>, key: &'static str, hint: &str) -> Option<String> {
    let Some((text, span)) = section.text(key) else {
        if section.get(key).is_none() {
            section.miss(key, hint);
        }
        return None;
    };
    if text.is_empty() {
        section.faults.note(span, format!("{key} is empty"));
    }
    Some(text.to_owned())
}

/// Who the meter is, as far as the model tells, and where its own number stands.
#[derive(Default)]
struct Identity {
    manufacturer: Option<String>,
    medium: Option<Medium>,
    number: Option<Field>,
}

fn identity(root: &Section<'_, '_>, map: &Map) -> Identity {
    let Some(section) = root.section("identity") else { return Identity::default() };
    let number = section.section("number").and_then(|number| {
        let field = field(&number, map, None);
        number.finish();
        field
    });
    let identity = Identity {
        manufacturer: section.text("manufacturer").map(|(text, _)| text.to_owned()),
        medium: section.vocabulary("medium", Medium::ALL, Medium::as_str),
        number,
    };
    section.finish();
    identity
}

fn serial(root: &Section<'_, '_>) -> Option<Serial> {
    let section = root.section("serial")?;
    let baud = section.integer("baud", 300..=921_600);
    let parity =
        section.word("parity", &[("none", Parity::None), ("even", Parity::Even), ("odd", Parity::Odd)]);
    let stop_bits = section.integer("stop_bits", 1..=2);
    for key in ["baud", "parity", "stop_bits"] {
        if section.get(key).is_none() {
            section.miss(key, "baud, parity and stop_bits belong together");
        }
    }
    section.finish();
    Some(Serial {
        baud: u32::try_from(baud?.0).ok()?,
        parity: parity?.0,
        stop_bits: if stop_bits?.0 == 2 { StopBits::Two } else { StopBits::One },
    })
}

fn waits(root: &Section<'_, '_>) -> Waits {
    let Some(section) = root.section("timing") else { return Waits::default() };
    let millis = |key, within| Some(Duration::from_millis(section.integer(key, within)?.0));
    let waits = Waits {
        silence_characters: section.decimal("silence_characters").and_then(|(characters, span)| {
            let number: Option<f64> = characters.to_string().parse().ok();
            let sensible = number.filter(|number| (3.5..=100.0).contains(number));
            if sensible.is_none() {
                section.faults.note(span, "silence_characters must be from 3.5 (the standard's) to 100");
            }
            sensible
        }),
        answer_window: millis("answer_window_ms", 1..=60_000),
        late_window: millis("late_window_ms", 0..=60_000),
    };
    section.finish();
    waits
}
