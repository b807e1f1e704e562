//! The `[[value]]` tables of a profile.

use std::collections::BTreeSet;

use toml::Spanned;
use toml::de::DeValue;
use weir_wire::{Function, Number, Quantity, Unit};

use super::field::field;
use super::map::{Map, entries};
use super::section::{Section, decimal};
use super::{Amount, Scale, UnitMap, ValueMap};
use crate::types::Kind;

pub(super) fn values(root: &Section<'_, '_>, map: &Map) -> Vec<ValueMap> {
    let mut seen = BTreeSet::new();
    if root.get("value").is_none() {
        root.miss("value", "at least one [[value]] must be read");
    }
    entries(root, "value", |section| {
        let span = section.span.clone();
        let value = value(section, map)?;
        let meaning = (
            value.quantity.as_str().to_owned(),
            value.function.as_str().to_owned(),
            [value.storage, value.tariff.into(), value.subunit.into()],
        );
        if !seen.insert(meaning) {
            let message = format!("a second {} that nothing tells from the first", value.quantity);
            root.faults.note_with(span, message, "give it another function, storage, tariff or subunit");
        }
        Some(value)
    })
}

fn value(section: Section<'_, '_>, map: &Map) -> Option<ValueMap> {
    let quantity = section.vocabulary("quantity", Quantity::ALL, Quantity::as_str);
    if section.get("quantity").is_none() {
        section.miss("quantity", "such as quantity = \"volume\"");
    }
    let function = section.vocabulary("function", Function::ALL, Function::as_str);
    let storage = section.integer("storage", 0..=(1 << 41) - 1);
    let tariff = section.integer("tariff", 0..=(1 << 20) - 1);
    let subunit = section.integer("subunit", 0..=(1 << 10) - 1);
    let amount = amount(&section, map);
    let unit = unit(&section, map);
    let plus = section.section("plus").map(|plus| {
        let amount = self::amount(&plus, map);
        plus.finish();
        amount
    });
    if amount.as_ref().is_some_and(|amount| amount.field.kind == Kind::Ascii) {
        for key in ["scale", "scale_from", "unit", "unit_from", "plus"] {
            if let Some(given) = section.get(key) {
                section.faults.note(given.span(), format!("{key}: a text has none"));
            }
        }
    }
    section.finish();
    Some(ValueMap {
        quantity: quantity?,
        function: function.unwrap_or(Function::Instantaneous),
        storage: storage.map_or(0, |(storage, _)| storage),
        tariff: tariff.and_then(|(tariff, _)| u32::try_from(tariff).ok()).unwrap_or(0),
        subunit: subunit.and_then(|(subunit, _)| u16::try_from(subunit).ok()).unwrap_or(0),
        amount: amount?,
        plus: match plus {
            Some(plus) => Some(plus?),
            None => None,
        },
        unit,
    })
}

fn amount(section: &Section<'_, '_>, map: &Map) -> Option<Amount> {
    let field = field(section, map, None);
    let fixed = section.decimal("scale");
    let from = section.section("scale_from").map(|from| {
        let field = self::field(&from, map, Some("u16"));
        let codes = from.codes("codes", 0..=u64::MAX, |value| number(&from, value));
        from.finish();
        Some(match codes {
            Some(codes) => Scale::Codes(field?, codes),
            None => Scale::PowerOfTen(field?),
        })
    });
    let scale = match (fixed, from) {
        (None, None) => Scale::One,
        (Some((scale, _)), None) => Scale::Fixed(scale),
        (None, Some(from)) => from?,
        (Some((_, span)), Some(_)) => {
            section.faults.note(span, "scale and scale_from exclude each other");
            return None;
        }
    };
    Some(Amount { field: field?, scale })
}

fn number(section: &Section<'_, '_>, value: &Spanned<DeValue<'_>>) -> Option<Number> {
    let number = decimal(value.get_ref());
    if number.is_none() {
        section.wrong_type(value, "codes", "decimal numbers");
    }
    number
}

fn unit(section: &Section<'_, '_>, map: &Map) -> UnitMap {
    let fixed = section.vocabulary("unit", Unit::ALL, Unit::as_str);
    let from = section.section("unit_from").and_then(|from| {
        let field = field(&from, map, Some("u16"));
        let codes = from.codes("codes", 0..=u64::MAX, |value| {
            let text = value.get_ref().as_str().unwrap_or_default();
            let unit = Unit::ALL.iter().find(|unit| unit.as_str() == text);
            if unit.is_none() {
                let names: Vec<&str> = Unit::ALL.iter().map(Unit::as_str).collect();
                from.unknown_word("unit", text, &value.span(), &names);
            }
            unit.cloned()
        });
        if codes.is_none() && from.get("codes").is_none() {
            from.miss("codes", "which code is which unit, such as codes = { 0 = \"m3\" }");
        }
        from.finish();
        Some(UnitMap::Codes(field?, codes?))
    });
    match (fixed, from) {
        (Some(_), Some(_)) => {
            section.faults.note(section.span.clone(), "unit and unit_from exclude each other");
            UnitMap::None
        }
        (Some(unit), None) => UnitMap::Fixed(unit),
        (None, from) => from.unwrap_or(UnitMap::None),
    }
}
