//! What is read from a meter, as data: one TOML file a kind of meter.
//!
//! The protocol names a value by its identifier alone; what its bytes are stands in the standard's tables. So a profile
//! lists the identifiers to ask for, each with quantity, unit, bytes and places. Unknown keys are refused, and every value
//! that cannot be is told with its place in the text.

use serde::Deserialize;
use weir_meter::ProfileFault;
use weir_wire::{Quantity, Unit};

/// What is read from a meter, and how it is woken.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Profile {
    /// For people: what it reads, and how that is known.
    pub description: String,
    /// Wake-up bytes (FE) before a request, 0 to 64. The standard says 4.
    pub wake_up_bytes: u8,
    /// What is asked for in a poll, in this order, 1 to 32 identifiers.
    pub read: Vec<Read>,
}

/// One data identifier, and what its bytes mean.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Read {
    /// The identifier in eight hex digits, DI3 first: `00010000`.
    pub di: String,
    /// What it measures.
    pub quantity: Quantity,
    /// Its unit.
    pub unit: Option<Unit>,
    /// BCD bytes of one value, 1 to 8.
    pub bytes: u8,
    /// Decimal places, 0 to 16.
    #[serde(default)]
    pub places: u8,
    /// Whether the highest bit is the sign and not a digit's.
    #[serde(default)]
    pub signed: bool,
    /// Storage number; 0 for the present.
    #[serde(default)]
    pub storage: u64,
    /// Tariff; 0 for the total.
    #[serde(default)]
    pub tariff: u32,
    /// Subunit: 1 to 3 for the phases A to C, 0 for the meter.
    #[serde(default)]
    pub subunit: u16,
    /// For an identifier that stands for several values (its FF block): what counts on from value to value.
    pub block: Option<Block>,
    /// Whether a meter that refuses it is read without it.
    #[serde(default)]
    pub optional: bool,
}

/// What differs between the values of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Block {
    /// The total first, then the tariffs.
    Tariff,
    /// Phase A, B, C.
    Subunit,
}

impl Default for Profile {
    fn default() -> Self {
        Self { description: String::new(), wake_up_bytes: 4, read: Vec::new() }
    }
}

impl Read {
    /// The identifier as a number.
    pub fn di(&self) -> u32 {
        u32::from_str_radix(&self.di, 16).unwrap_or_default()
    }
}

impl Profile {
    /// The name of the profile of a meter that names none.
    pub const DEFAULT: &'static str = "standard";

    /// Name and text of every profile that comes with the driver.
    pub const BUILT_IN: &'static [(&'static str, &'static str)] = &[
        ("standard", include_str!("../profiles/standard.toml")),
        ("electrical", include_str!("../profiles/electrical.toml")),
        ("tariffs", include_str!("../profiles/tariffs.toml")),
    ];

    /// The profile of this name that comes with the driver, if there is one.
    ///
    /// # Errors
    /// A damaged build only: the tests load them all.
    pub fn built_in(name: &str) -> Option<Result<Self, Vec<ProfileFault>>> {
        Self::BUILT_IN.iter().find(|(known, _)| *known == name).map(|(_, text)| Self::parse(text))
    }

    /// Reads a profile and checks it.
    ///
    /// # Errors
    /// Every fault with its place: the first where the text is no profile at all, or else all values that cannot be.
    pub fn parse(text: &str) -> Result<Self, Vec<ProfileFault>> {
        let profile: Self = toml::from_str(text).map_err(|error| vec![ProfileFault::of_toml(&error)])?;
        let mut faults = Vec::new();
        let mut wrong = |path: &[&str], why: String| faults.push(ProfileFault::of_value(text, path, why));
        if profile.wake_up_bytes > 64 {
            wrong(&["wake_up_bytes"], format!("{} is over 64", profile.wake_up_bytes));
        }
        if !(1..=32).contains(&profile.read.len()) {
            wrong(&["read"], format!("{} identifiers, not 1 to 32", profile.read.len()));
        }
        for (index, read) in profile.read.iter().enumerate() {
            let at = index.to_string();
            if read.di.len() != 8 || !read.di.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                wrong(&["read", &at, "di"], "an identifier is eight hex digits, DI3 first".into());
            } else if profile.read.iter().take(index).any(|other| other.di() == read.di()) {
                wrong(&["read", &at, "di"], "is read twice".into());
            }
            if !(1..=8).contains(&read.bytes) {
                wrong(&["read", &at, "bytes"], format!("{} is not within 1 to 8", read.bytes));
            }
            if read.places > 16 {
                wrong(&["read", &at, "places"], format!("{} is over 16", read.places));
            }
        }
        if !profile.read.is_empty() && profile.read.iter().all(|read| read.optional) {
            wrong(
                &["read"],
                "all of them are optional: a meter that refuses all would be one without values".into(),
            );
        }
        faults.sort_by_key(|fault| fault.span.start);
        if faults.is_empty() { Ok(profile) } else { Err(faults) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_profile_that_comes_along_loads_and_says_what_it_is_for() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|file| file.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
            .collect();
        files.sort_by_key(|name| (name != Profile::DEFAULT, name.clone()));
        let names: Vec<&str> = Profile::BUILT_IN.iter().map(|(name, _)| *name).collect();
        assert_eq!(files, names, "every file of profiles/ is built in, the default first");
        for name in names {
            let profile =
                Profile::built_in(name).unwrap().unwrap_or_else(|faults| panic!("{name}: {faults:?}"));
            assert!(!profile.description.is_empty(), "{name}");
        }
        assert!(Profile::built_in("nobody").is_none());
    }

    #[test]
    fn a_wrong_profile_says_what_is_wrong_with_it_and_where() {
        let read = "[[read]]\ndi = \"00010000\"\nquantity = \"energy\"\nbytes = 4\n";
        for (text, says, line) in [
            (
                "wake_up_bytes = 65\n[[read]]\ndi = \"00010000\"\nquantity = \"energy\"\nbytes = 4"
                    .to_owned(),
                "over 64",
                1,
            ),
            ("description = \"x\"".into(), "0 identifiers", 1),
            (format!("{read}{read}"), "is read twice", 6),
            (read.replace("0001", "01"), "eight hex digits", 2),
            (read.replace("bytes = 4", "bytes = 9"), "9 is not within 1 to 8", 4),
            (format!("{read}places = 17"), "17 is over 16", 5),
            (format!("{read}optional = true"), "all of them are optional", 1),
            (format!("{read}block = \"phase\""), "phase", 5),
            (format!("{read}place = 2"), "place", 5),
        ] {
            let faults = Profile::parse(&text).expect_err(&text);
            assert!(faults[0].to_string().contains(says), "{text:?} gave {faults:?}");
            assert_eq!(faults[0].position(&text).0, line, "{text:?} gave {faults:?}");
        }
    }

    #[test]
    fn all_faults_are_told_at_once() {
        let text =
            "wake_up_bytes = 65\n[[read]]\ndi = \"1\"\nquantity = \"energy\"\nbytes = 0\nplaces = 20\n";
        assert_eq!(Profile::parse(text).unwrap_err().len(), 4);
    }
}
