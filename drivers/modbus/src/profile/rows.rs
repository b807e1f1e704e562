//! What a profile reads, a row each: for people who write one, and for the list of meters in the docs.

use weir_wire::Function;

use super::{Amount, Profile, Scale, State, UnitMap, ValueMap, Words};
use crate::frame::FunctionCode;
use crate::types::Field;

/// One thing that a profile reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// What it is: `number`, `clock`, `status`, or the value's quantity and its place.
    pub what: String,
    /// By which function it is read.
    pub function: FunctionCode,
    /// Its first register, as on the wire (from 0).
    pub first: u16,
    /// Its registers, 1 to 125.
    pub registers: u16,
    /// Its type, with the order of its bytes where that is not the standard's.
    pub coding: String,
    /// What becomes of its number: scale, unit, sum; of a status the words; empty where nothing does.
    pub meaning: String,
}

impl Row {
    fn of(what: impl Into<String>, field: &Field, coding: String, meaning: String) -> Self {
        let Field { function, address, length, .. } = *field;
        Self { what: what.into(), function, first: address, registers: length, coding, meaning }
    }
}

impl Profile {
    /// Everything that a poll reads: the values in their order, then number, clock and states.
    pub fn rows(&self) -> Vec<Row> {
        let values = self.values.iter().map(value);
        let number = self.number.iter().map(|field| Row::of("number", field, field.coding(), String::new()));
        let clock = self.clock.iter().map(|clock| {
            let coding = if clock.is_bcd { "bcd" } else { "binary" };
            let bytes = format!("{coding}, {} bytes", clock.layout.len());
            Row::of("clock", &clock.field, bytes, String::new())
        });
        let status = self
            .status
            .iter()
            .map(|map| Row::of("status", &map.field, map.field.coding(), words(&map.words)));
        values.chain(number).chain(clock).chain(status).collect()
    }

    /// How the valve is moved, in a sentence; `None` where the profile has none.
    pub fn valve(&self) -> Option<String> {
        let valve = self.valve.as_ref()?;
        let order =
            |registers: &[u16]| registers.iter().map(|r| format!("{r:04X}")).collect::<Vec<_>>().join(" ");
        let told: Vec<String> = valve.read_back.iter().map(|map| map.field.address.to_string()).collect();
        Some(format!(
            "function {:02} at {}, open {}, close {}; read back from {} after {} to {} ms",
            valve.function.code(),
            valve.address,
            order(&valve.open),
            order(&valve.close),
            told.join(" and "),
            valve.travel.as_millis(),
            valve.settle.as_millis()
        ))
    }
}

fn value(value: &ValueMap) -> Row {
    let mut what = value.quantity.to_string();
    if value.function != Function::Instantaneous {
        what = format!("{what}, {}", value.function);
    }
    let places =
        [("storage", value.storage), ("tariff", value.tariff.into()), ("subunit", value.subunit.into())];
    for (name, number) in places.into_iter().filter(|(_, number)| *number > 0) {
        what = format!("{what}, {name} {number}");
    }
    let unit = match &value.unit {
        UnitMap::None => None,
        UnitMap::Fixed(unit) => Some(unit.to_string()),
        UnitMap::Codes(field, _) => Some(format!("unit by register {}", field.address)),
    };
    let plus = value.plus.as_ref().map(|plus| {
        let scale = scale(plus).map(|scale| format!(" {scale}")).unwrap_or_default();
        format!("+ {} at {}{scale}", plus.field.coding(), plus.field.address)
    });
    let meaning: Vec<String> = [scale(&value.amount), plus, unit].into_iter().flatten().collect();
    Row::of(what, &value.amount.field, value.amount.field.coding(), meaning.join(" "))
}

fn scale(amount: &Amount) -> Option<String> {
    match &amount.scale {
        Scale::One => None,
        Scale::Fixed(factor) => Some(format!("× {factor}")),
        Scale::Codes(field, _) => Some(format!("× factor by register {}", field.address)),
        Scale::PowerOfTen(field) => Some(format!("× 10^register {}", field.address)),
    }
}

fn words(words: &Words) -> String {
    let (kind, states) = match words {
        Words::Bits(states) => ("bit", states),
        Words::Codes(states) => ("code", states),
    };
    let named = states.iter().map(|(code, state)| format!("{code} {}", word(state)));
    let named: Vec<String> = named.collect();
    if named.is_empty() {
        format!("{kind}s by their numbers")
    } else {
        format!("{kind}s {}", named.join(", "))
    }
}

fn word(state: &State) -> String {
    match state {
        State::Ok => "ok".into(),
        State::BatteryLow => "battery-low".into(),
        State::Valve(valve) => format!("valve:{valve}"),
        State::Alarm(alarm) => alarm.clone(),
    }
}
