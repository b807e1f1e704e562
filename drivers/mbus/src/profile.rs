//! A profile: what holds for every meter of one model, and what a utility wants of it.
//!
//! An M-Bus meter says itself what its values are, so a profile is short and none comes with Weir: which values are on a
//! bill is the utility's to say. The format is described in `profiles/README.md`.

mod valve;

use serde::Deserialize;
use weir_meter::ProfileFault;
use weir_meter::selection::{self, Keep, KeepFault, Selection, Which};
use weir_wire::{Function, Quantity};

use crate::{ValveMap, VifText};

/// Longer than any profile; a file that is none is not read to its end.
const TEXT_BYTES_MAX: usize = 256 * 1024;

/// What holds for every meter of one model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// The model's name.
    pub model: String,
    /// In which order it sends the characters of a plain-text VIF, where that is known.
    pub vif_text: Option<VifText>,
    /// Which of its values are forwarded; `None` for all.
    pub selection: Option<Selection>,
    /// How its valve is moved, where it has one.
    pub valve: Option<ValveMap>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Typed {
    model: String,
    vif_text: Option<String>,
    keep: Option<Vec<TypedKeep>>,
    valve: Option<valve::Typed>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TypedKeep {
    quantity: String,
    function: Option<String>,
    storage: Option<toml::Value>,
    tariff: Option<toml::Value>,
    subunit: Option<toml::Value>,
    name: Option<String>,
}

impl Profile {
    /// Reads a profile and checks it.
    ///
    /// # Errors
    /// Every fault with its place: the first where the text is no profile at all, or else all values that cannot be.
    pub fn parse(text: &str) -> Result<Self, Vec<ProfileFault>> {
        if text.len() > TEXT_BYTES_MAX {
            let message = format!("the profile is longer than {TEXT_BYTES_MAX} bytes");
            return Err(vec![ProfileFault { span: 0..0, message, hint: None }]);
        }
        let typed: Typed = toml::from_str(text).map_err(|error| vec![ProfileFault::of_toml(&error)])?;
        let mut check = Check { text, faults: Vec::new() };
        if typed.model.trim().is_empty() {
            check.wrong(&["model"], "is empty");
        }
        let vif_text = typed.vif_text.and_then(|word| {
            let found = VifText::WORDS.into_iter().find(|(known, _)| *known == word);
            if found.is_none() {
                let known = VifText::WORDS.map(|(known, _)| known).join(", ");
                check.wrong(&["vif_text"], &format!("{word:?} is none of {known}"));
            }
            found.map(|(_, order)| order)
        });
        let selection = typed.keep.and_then(|keep| check.selection(keep));
        let valve = typed.valve.and_then(|valve| check.valve(valve));
        check.faults.sort_by_key(|fault| fault.span.start);
        if check.faults.is_empty() {
            Ok(Self { model: typed.model, vif_text, selection, valve })
        } else {
            Err(check.faults)
        }
    }
}

/// Notes the values that cannot be.
struct Check<'t> {
    text: &'t str,
    faults: Vec<ProfileFault>,
}

impl Check<'_> {
    fn wrong(&mut self, path: &[&str], why: &str) {
        self.faults.push(ProfileFault::of_value(self.text, path, why));
    }

    fn selection(&mut self, typed: Vec<TypedKeep>) -> Option<Selection> {
        let entries: Vec<Option<Keep>> = typed
            .into_iter()
            .enumerate()
            .map(|(index, entry)| self.keep(&["keep", &index.to_string()], entry))
            .collect();
        let entries = entries.into_iter().collect::<Option<_>>()?;
        let faults = match Selection::new(entries) {
            Ok(selection) => return Some(selection),
            Err(faults) => faults,
        };
        for (index, fault) in faults {
            let index = index.map(|index| index.to_string());
            let key = match fault {
                KeepFault::UnknownQuantity(_) => Some("quantity"),
                KeepFault::BadName => Some("name"),
                _ => None,
            };
            let path: Vec<&str> = [Some("keep"), index.as_deref(), key].into_iter().flatten().collect();
            self.wrong(&path, &fault.to_string());
            if let Some(last) = self.faults.last_mut() {
                last.hint = fault.hint().map(str::to_owned);
            }
        }
        None
    }

    fn keep(&mut self, path: &[&str], entry: TypedKeep) -> Option<Keep> {
        let main = Keep::main(Quantity::from(entry.quantity.as_str()));
        let function = match &entry.function {
            None => Some(main.function.clone()),
            Some(word) => self.function(path, word),
        };
        let storage = self.place(path, "storage", entry.storage, selection::STORAGE_MAX);
        let tariff = self.place(path, "tariff", entry.tariff, selection::TARIFF_MAX);
        let subunit = self.place(path, "subunit", entry.subunit, selection::SUBUNIT_MAX);
        Some(Keep {
            function: function?,
            storage: storage?,
            tariff: tariff?,
            subunit: subunit?,
            name: entry.name,
            ..main
        })
    }

    fn function(&mut self, path: &[&str], word: &str) -> Option<Which<Function>> {
        let words = selection::functions();
        let found = words.iter().find(|(known, _)| *known == word).map(|(_, function)| function.clone());
        if found.is_none() {
            let known = words.map(|(known, _)| known).join(", ");
            self.wrong(&[path, &["function"]].concat(), &format!("{word:?} is none of {known}"));
        }
        found
    }

    /// A number up to this one, or any; 0 when nothing was typed.
    fn place<T: TryFrom<i64> + Default>(
        &mut self,
        path: &[&str],
        key: &str,
        typed: Option<toml::Value>,
        max: i64,
    ) -> Option<Which<T>> {
        let found = match typed {
            None => return Some(Which::Only(T::default())),
            Some(toml::Value::String(word)) if word == selection::ANY => return Some(Which::Any),
            Some(toml::Value::Integer(number)) if number <= max => T::try_from(number).ok(),
            Some(_) => None,
        };
        if found.is_none() {
            let why = format!("must be a whole number from 0 to {max}, or \"{}\"", selection::ANY);
            self.wrong(&[path, &[key]].concat(), &why);
        }
        found.map(Which::Only)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the description, which is all there is to try the format on.
    const README: &str = include_str!("../profiles/README.md");

    fn example() -> &'static str {
        README.split("```toml\n").nth(1).unwrap().split("```").next().unwrap()
    }

    #[test]
    fn the_example_of_the_description_is_a_profile() {
        let profile = Profile::parse(example()).unwrap();
        assert_eq!((profile.model.as_str(), profile.vif_text), ("Example 25", Some(VifText::AsSent)));
        let main = Keep::main(Quantity::Volume);
        let due = Keep { storage: Which::Only(1), name: Some("due date".into()), ..main.clone() };
        let peak = Keep {
            function: Which::Only(Function::Maximum),
            storage: Which::Any,
            ..Keep::main(Quantity::VolumeFlow)
        };
        assert_eq!(profile.selection, Some(Selection::new(vec![main, due, peak]).unwrap()));
    }

    #[test]
    fn a_profile_needs_nothing_but_its_model() {
        let profile = Profile::parse("model = \"x\"\n").unwrap();
        assert_eq!(profile, Profile { model: "x".into(), vif_text: None, selection: None, valve: None });
    }

    fn faults(text: &str) -> Vec<String> {
        let faults = Profile::parse(text).unwrap_err();
        let shown = |fault: &ProfileFault| {
            let (line, column) = fault.position(text);
            format!("{line}:{column} {}", fault.message)
        };
        faults.iter().map(shown).collect()
    }

    #[test]
    fn every_value_that_cannot_be_is_told_with_its_place() {
        let text = "model = \"\"\nvif_text = \"forward\"\n[[keep]]\nquantity = \"volume\"\nfunction = \"max\"\n\
                    storage = -1\ntariff = \"all\"\nsubunit = 1024\n";
        assert_eq!(
            faults(text),
            [
                "1:9 model: is empty",
                "2:12 vif_text: \"forward\" is none of auto, reversed, as-sent",
                "5:12 keep.0.function: \"max\" is none of instantaneous, maximum, minimum, during-error, any",
                "6:11 keep.0.storage: must be a whole number from 0 to 2199023255551, or \"any\"",
                "7:10 keep.0.tariff: must be a whole number from 0 to 1048575, or \"any\"",
                "8:11 keep.0.subunit: must be a whole number from 0 to 1023, or \"any\"",
            ]
        );
        let text =
            "model = \"x\"\n[[keep]]\nquantity = \"volum\"\n[[keep]]\nquantity = \"volume\"\nname = \" \"\n";
        assert_eq!(
            faults(text),
            [
                "3:12 keep.0.quantity: there is no quantity \"volum\"",
                "6:8 keep.1.name: a name has 1 to 64 printable characters"
            ]
        );
        assert_eq!(faults("model = \"x\"\nkeep = []\n"), ["2:8 keep: `keep` keeps nothing"]);
        assert!(faults("modell = \"x\"\n")[0].starts_with("1:1 unknown field `modell`"));
        assert!(faults("model = 5\n")[0].starts_with("1:9 invalid type"));
        assert_eq!(faults(&"#".repeat(TEXT_BYTES_MAX + 1)).len(), 1);
    }
}
