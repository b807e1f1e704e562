//! Which values of an answer are forwarded, and what the utility calls them.
//!
//! A telegram of forty records costs flash and traffic ninety-six times a day, and three of them are on the bill. A
//! selection names these. What it names and the meter does not send is forwarded all the same, as an invalid value: a
//! register that is gone from a telegram must not be gone without a word.

use weir_wire::{Content, Function, Quantity, Value};

/// Entries of a selection, at most. Whoever wants more wants everything.
pub const KEEP_MAX: usize = 64;
/// Characters of a value's name, at most.
pub const NAME_CHARACTERS_MAX: usize = 64;
/// The word for "whatever it is".
pub const ANY: &str = "any";
/// The highest storage number that ten DIFEs can say (EN 13757-3).
pub const STORAGE_MAX: i64 = (1 << 41) - 1;
/// The highest tariff, as with [`STORAGE_MAX`].
pub const TARIFF_MAX: i64 = (1 << 20) - 1;
/// The highest subunit, as with [`STORAGE_MAX`].
pub const SUBUNIT_MAX: i64 = (1 << 10) - 1;
/// What stands in the place of a value that the answer lacks.
pub const MISSING: &str = "not in the meter's answer";

/// Any, or only this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which<T> {
    /// All there are.
    Any,
    /// This one.
    Only(T),
}

/// How each function is written in an entry.
pub fn functions() -> [(&'static str, Which<Function>); 5] {
    [
        ("instantaneous", Which::Only(Function::Instantaneous)),
        ("maximum", Which::Only(Function::Maximum)),
        ("minimum", Which::Only(Function::Minimum)),
        ("during-error", Which::Only(Function::DuringError)),
        (ANY, Which::Any),
    ]
}

impl<T: PartialEq> Which<T> {
    fn takes(&self, other: &T) -> bool {
        match self {
            Self::Any => true,
            Self::Only(this) => this == other,
        }
    }
}

/// One entry: which values, and their name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keep {
    /// What they measure.
    pub quantity: Quantity,
    /// Over which time they were formed.
    pub function: Which<Function>,
    /// Storage number, 41 bits at most.
    pub storage: Which<u64>,
    /// Tariff register, 20 bits at most.
    pub tariff: Which<u32>,
    /// Subunit, 10 bits at most.
    pub subunit: Which<u16>,
    /// What the utility calls them.
    pub name: Option<String>,
}

impl Keep {
    /// The main register of this quantity: instantaneous, storage 0, tariff 0, subunit 0. So an entry means that names
    /// nothing but its quantity.
    pub fn main(quantity: Quantity) -> Self {
        Self {
            quantity,
            function: Which::Only(Function::Instantaneous),
            storage: Which::Only(0),
            tariff: Which::Only(0),
            subunit: Which::Only(0),
            name: None,
        }
    }

    fn takes(&self, value: &Value) -> bool {
        self.quantity == value.quantity
            && self.function.takes(&value.function)
            && self.storage.takes(&value.storage)
            && self.tariff.takes(&value.tariff)
            && self.subunit.takes(&value.subunit)
    }

    fn is_same_as(&self, other: &Self) -> bool {
        let named = |name: &Option<String>| Self { name: name.clone(), ..self.clone() };
        named(&other.name) == *other
    }

    /// What stands for the values that this entry wanted.
    fn missing(&self) -> Value {
        let main = Value::new(self.quantity.clone(), Content::Invalid(MISSING.into()));
        Value {
            name: self.name.clone(),
            function: only(&self.function).unwrap_or(main.function),
            storage: only(&self.storage).unwrap_or(0),
            tariff: only(&self.tariff).unwrap_or(0),
            subunit: only(&self.subunit).unwrap_or(0),
            ..main
        }
    }
}

fn only<T: Clone>(which: &Which<T>) -> Option<T> {
    match which {
        Which::Any => None,
        Which::Only(this) => Some(this.clone()),
    }
}

/// The values that are forwarded, in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection(Vec<Keep>);

/// What is wrong with an entry of a selection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeepFault {
    /// There would be nothing left to forward.
    #[error("`keep` keeps nothing")]
    Nothing,
    /// More than [`KEEP_MAX`].
    #[error("`keep` has more than {KEEP_MAX} entries")]
    TooMany,
    /// No word of the contract, and none of those that only a meter knows.
    #[error("there is no quantity {0:?}")]
    UnknownQuantity(String),
    /// The second of two entries that take the same values.
    #[error("these values are kept twice")]
    Twice,
    /// Empty, too long, or with characters that nobody can see.
    #[error("a name has 1 to {NAME_CHARACTERS_MAX} printable characters")]
    BadName,
}

impl KeepFault {
    /// What to do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Nothing => Some("leave it out to forward everything"),
            Self::TooMany => Some("leave it out to forward everything, or use \"any\""),
            Self::UnknownQuantity(_) => {
                Some("a word as `weir read` and `weir decode` show it, such as \"volume\" or \"vif:FD3B\"")
            }
            Self::Twice | Self::BadName => None,
        }
    }
}

impl Selection {
    /// A selection of these entries.
    ///
    /// # Errors
    /// Every fault, with the index of its entry; `None` for those of the whole list.
    pub fn new(keep: Vec<Keep>) -> Result<Self, Vec<(Option<usize>, KeepFault)>> {
        let mut faults = Vec::new();
        if keep.is_empty() {
            faults.push((None, KeepFault::Nothing));
        }
        if keep.len() > KEEP_MAX {
            return Err(vec![(None, KeepFault::TooMany)]);
        }
        for (index, entry) in keep.iter().enumerate() {
            // The words that a driver makes of a code that no table names have a colon in them.
            if let Quantity::Other(word) = &entry.quantity
                && !word.contains(':')
            {
                faults.push((Some(index), KeepFault::UnknownQuantity(word.to_string())));
            }
            if entry.name.as_deref().is_some_and(|name| !is_name(name)) {
                faults.push((Some(index), KeepFault::BadName));
            }
            if keep.iter().take(index).any(|earlier| earlier.is_same_as(entry)) {
                faults.push((Some(index), KeepFault::Twice));
            }
        }
        if faults.is_empty() { Ok(Self(keep)) } else { Err(faults) }
    }

    /// The entries, in the order in which values are forwarded.
    pub fn entries(&self) -> &[Keep] {
        &self.0
    }

    /// The values that are forwarded: entry by entry what it takes, in the meter's order, each once and with the name of
    /// the first entry that takes it.
    ///
    /// Where an entry finds nothing stands an invalid value with [`MISSING`]; then the values that say why something could
    /// not be read stay as well.
    pub fn apply(&self, values: Vec<Value>) -> Vec<Value> {
        let mut left: Vec<(Value, bool)> = values.into_iter().map(|value| (value, false)).collect();
        let mut kept = Vec::new();
        let mut is_complete = true;
        for entry in &self.0 {
            let mut found = false;
            for (value, is_taken) in left.iter_mut().filter(|(value, _)| entry.takes(value)) {
                found = true;
                if !std::mem::replace(is_taken, true) {
                    kept.push(Value { name: entry.name.clone(), ..value.clone() });
                }
            }
            if !found {
                is_complete = false;
                kept.push(entry.missing());
            }
        }
        if !is_complete {
            let unread = left
                .into_iter()
                .filter(|(value, is_taken)| !is_taken && value.quantity == Quantity::Unreadable);
            kept.extend(unread.map(|(value, _)| value));
        }
        kept
    }
}

fn is_name(name: &str) -> bool {
    let length = name.chars().count();
    (1..=NAME_CHARACTERS_MAX).contains(&length) && name.trim() == name && !name.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_wire::{Number, Unit};

    fn volume(litres: i128) -> Value {
        Value::number(Quantity::Volume, Number::scaled(litres, -3).unwrap(), Unit::CubicMetre)
    }

    /// Volumes of several places, a flow and a maximum.
    fn answer() -> Vec<Value> {
        let flow =
            Value::number(Quantity::VolumeFlow, Number::scaled(25, -1).unwrap(), Unit::CubicMetrePerHour);
        vec![
            flow.clone(),
            volume(5),
            Value { storage: 1, ..volume(4) },
            Value { storage: 2, ..volume(3) },
            Value { tariff: 1, ..volume(2) },
            Value { subunit: 1, ..volume(1) },
            Value { function: Function::Maximum, ..flow },
        ]
    }

    fn kept(entries: Vec<Keep>) -> Vec<String> {
        shown(Selection::new(entries).unwrap().apply(answer()))
    }

    fn shown(values: Vec<Value>) -> Vec<String> {
        let show = |value: Value| {
            let name = value.name.unwrap_or_default();
            let what = match value.content {
                Content::Number(number) => number.to_string(),
                Content::Invalid(why) => why,
                other => format!("{other:?}"),
            };
            format!("{name}|{} {what} @{}", value.quantity, value.storage)
        };
        values.into_iter().map(show).collect()
    }

    fn named(name: &str, keep: Keep) -> Keep {
        Keep { name: Some(name.into()), ..keep }
    }

    fn main() -> Keep {
        Keep::main(Quantity::Volume)
    }

    #[test]
    fn an_entry_that_names_nothing_but_its_quantity_is_the_main_register() {
        assert_eq!(kept(vec![main()]), ["|volume 0.005 @0"]);
        assert_eq!(kept(vec![Keep::main(Quantity::VolumeFlow)]), ["|volume-flow 2.5 @0"]);
    }

    #[test]
    fn entries_give_their_names_and_their_order() {
        let due = Keep { storage: Which::Only(1), ..main() };
        let peak = Keep { function: Which::Only(Function::Maximum), ..Keep::main(Quantity::VolumeFlow) };
        let tariff = Keep { tariff: Which::Only(1), ..main() };
        let subunit = Keep { subunit: Which::Only(1), ..main() };
        assert_eq!(
            kept(vec![
                named("peak", peak),
                named("due date", due),
                main(),
                tariff,
                named("input 1", subunit)
            ]),
            [
                "peak|volume-flow 2.5 @0",
                "due date|volume 0.004 @1",
                "|volume 0.005 @0",
                "|volume 0.002 @0",
                "input 1|volume 0.001 @0"
            ]
        );
    }

    #[test]
    fn any_takes_all_of_them_and_no_value_is_forwarded_twice() {
        let all = Keep { storage: Which::Any, ..main() };
        assert_eq!(
            kept(vec![named("now", main()), named("history", all)]),
            ["now|volume 0.005 @0", "history|volume 0.004 @1", "history|volume 0.003 @2"]
        );
        // An entry all of whose values an earlier one has taken is not missing.
        let all = Keep { storage: Which::Any, ..main() };
        assert_eq!(kept(vec![all, named("now", main())]).len(), 3);
    }

    #[test]
    fn what_the_meter_does_not_send_is_said_and_with_it_why() {
        let tenth = Keep { storage: Which::Only(10), ..main() };
        let entries = vec![main(), named("tenth", tenth)];
        let selection = Selection::new(entries).unwrap();
        assert_eq!(
            shown(selection.apply(answer())),
            ["|volume 0.005 @0", "tenth|volume not in the meter's answer @10"]
        );
        let note = Value::new(Quantity::Unreadable, Content::Invalid("telegram ends".into()));
        let with_note = |mut values: Vec<Value>| {
            values.push(note.clone());
            shown(selection.apply(values))
        };
        assert_eq!(with_note(answer())[2..], ["|unreadable telegram ends @0"]);
        let whole = [answer(), vec![Value { storage: 10, ..volume(9) }]].concat();
        assert_eq!(with_note(whole), ["|volume 0.005 @0", "tenth|volume 0.009 @10"]);
        assert_eq!(shown(selection.apply(Vec::new())).len(), 2);
    }

    #[test]
    fn a_value_that_the_meter_marks_as_invalid_is_there() {
        let invalid = Value { content: Content::Invalid("no data available".into()), ..volume(0) };
        let selection = Selection::new(vec![main()]).unwrap();
        assert_eq!(shown(selection.apply(vec![invalid])), ["|volume no data available @0"]);
    }

    #[test]
    fn every_fault_of_a_list_is_found() {
        let word = |word: &str| Keep::main(Quantity::from(word));
        let faults = Selection::new(vec![
            word("volum"),
            word("vif:FD3B"),
            named("", main()),
            named(&"x".repeat(NAME_CHARACTERS_MAX + 1), word("energy")),
            named("a\nb", word("power")),
            named("main", main()),
        ]);
        assert_eq!(
            faults.unwrap_err(),
            [
                (Some(0), KeepFault::UnknownQuantity("volum".into())),
                (Some(2), KeepFault::BadName),
                (Some(3), KeepFault::BadName),
                (Some(4), KeepFault::BadName),
                (Some(5), KeepFault::Twice),
            ]
        );
        assert_eq!(Selection::new(vec![]).unwrap_err(), [(None, KeepFault::Nothing)]);
        let many = (0..=KEEP_MAX).map(|_| main()).collect();
        assert_eq!(Selection::new(many).unwrap_err(), [(None, KeepFault::TooMany)]);
    }
}
