//! What differs between meters under the same standard, as data: one TOML file a model.
//!
//! Every key has the standard's value as its default, so a profile says only what is different. Unknown keys are
//! refused, and so are settings that contradict each other.

use std::collections::BTreeMap;

use serde::Deserialize;
use weir_wire::Unit;

use crate::units::quantity_of;

/// How a meter model uses the protocol.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Profile {
    /// For people: which meters this is for, and how that is known.
    pub description: String,
    /// Wake-up bytes (FE) before a request, 0 to 64. The standard says 2 to 4.
    pub wake_up_bytes: u8,
    /// How the data identifier is asked for. Answers are understood in either order.
    pub di_order: DiOrder,
    /// What the meter does with the serial number of a request.
    pub ser: Ser,
    /// Byte order of values.
    pub value_order: ByteOrder,
    /// Byte order of the clock.
    pub clock_order: ByteOrder,
    /// Decimal places of volumes, energies, powers and temperatures, 0 to 6.
    pub places: u8,
    /// Decimal places of flows, 0 to 6.
    pub flow_places: u8,
    /// Where the status word has what.
    pub status: StatusBits,
    /// Units of codes that the standard has not, or that this model uses otherwise; the key is the code in hex.
    pub units: BTreeMap<String, UnitOfCode>,
}

/// In which order the two bytes of the data identifier are sent.
///
/// The editions differ by their text, but meters of either label are found with either order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum DiOrder {
    /// Low byte first: 1F 90.
    #[serde(rename = "2018")]
    LowFirst,
    /// High byte first: 90 1F.
    #[serde(rename = "2004")]
    HighFirst,
    /// First 1F 90, then 90 1F, from then on the one that was answered.
    #[serde(rename = "auto")]
    Auto,
}

/// What a meter does with the serial number (SER) of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ser {
    /// It repeats it, so that a late answer is told from the one asked for.
    Echoed,
    /// It answers with one, but not that of the request.
    Unchecked,
    /// Neither request nor answer have one.
    Omitted,
}

/// The order of bytes within a number or a date.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ByteOrder {
    /// Lowest digits first, seconds first: the standard.
    LowFirst,
    /// Highest digits first, century first.
    HighFirst,
}

/// Where the status word has what. Bits 0 to 7 are those of ST0, 8 to 15 those of ST1.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StatusBits {
    /// Whether the meter has a valve and tells where it stands.
    pub has_valve: bool,
    /// The lower of the valve's two bits, 0 to 14.
    pub valve_bit: u8,
    /// Whether the meter tells its battery's state.
    pub has_battery: bool,
    /// The bit that says that the battery is low, 0 to 15.
    pub battery_bit: u8,
    /// An ST1 of this value is unused: published answers of healthy meters carry FF there. Set 0 where FF has a meaning.
    pub st1_filler: u8,
    /// Names of alarms, in kebab case, with their bits. A bit without a name is reported as `bit-N`.
    pub alarms: BTreeMap<String, u8>,
}

/// What a unit code means.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnitOfCode {
    /// The unit's word, such as `m3`, `l`, `kWh`.
    pub unit: Unit,
    /// Power of ten that its numbers are to be multiplied by, -6 to 6.
    #[serde(default)]
    pub power: i8,
}

/// Why a text is no profile.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    /// Not TOML, an unknown key, or a value of the wrong kind; the message shows the line.
    #[error("{0}")]
    Toml(#[from] toml::de::Error),
    /// A value that cannot be.
    #[error("{key}: {why}")]
    Value {
        /// The key.
        key: String,
        /// What is wrong with its value.
        why: String,
    },
}

impl Default for Profile {
    fn default() -> Self {
        Self {
            description: String::new(),
            wake_up_bytes: 4,
            di_order: DiOrder::Auto,
            ser: Ser::Echoed,
            value_order: ByteOrder::LowFirst,
            clock_order: ByteOrder::LowFirst,
            places: 2,
            // The flow of the 2018 edition's instant freeze has four places (shiyuecamus/ng-gateway, a921c6dd). For
            // that of 901F no source tells.
            flow_places: 4,
            status: StatusBits::default(),
            units: BTreeMap::new(),
        }
    }
}

impl Default for StatusBits {
    fn default() -> Self {
        Self {
            has_valve: true,
            valve_bit: 0,
            has_battery: true,
            battery_bit: 2,
            st1_filler: 0xFF,
            alarms: BTreeMap::new(),
        }
    }
}

impl StatusBits {
    /// Whether valve or battery have this bit.
    pub(crate) fn is_taken(&self, bit: u8) -> bool {
        let valve = self.has_valve && (bit == self.valve_bit || bit == self.valve_bit.saturating_add(1));
        valve || (self.has_battery && bit == self.battery_bit)
    }
}

impl Profile {
    /// The name of the profile of a meter that names none.
    pub const DEFAULT: &'static str = "standard";

    /// Name and text of every profile that comes with the driver.
    pub const BUILT_IN: &'static [(&'static str, &'static str)] = &[
        ("standard", include_str!("../profiles/standard.toml")),
        ("2004", include_str!("../profiles/2004.toml")),
        ("2018", include_str!("../profiles/2018.toml")),
        ("high-first", include_str!("../profiles/high-first.toml")),
        ("no-ser", include_str!("../profiles/no-ser.toml")),
        ("no-valve", include_str!("../profiles/no-valve.toml")),
        ("status-high", include_str!("../profiles/status-high.toml")),
    ];

    /// The profile of this name that comes with the driver, if there is one.
    ///
    /// # Errors
    /// A damaged build only: the tests load them all.
    pub fn built_in(name: &str) -> Option<Result<Self, ProfileError>> {
        Self::BUILT_IN.iter().find(|(known, _)| *known == name).map(|(_, text)| Self::parse(text))
    }

    /// Reads a profile and checks it.
    ///
    /// # Errors
    /// The first fault, with its line or key.
    pub fn parse(text: &str) -> Result<Self, ProfileError> {
        let profile: Self = toml::from_str(text)?;
        at_most("wake_up_bytes", profile.wake_up_bytes, 64)?;
        at_most("places", profile.places, 6)?;
        at_most("flow_places", profile.flow_places, 6)?;
        profile.status.check()?;
        for (code, own) in &profile.units {
            own.check(code)?;
        }
        Ok(profile)
    }

    /// Bytes of a request's data: the identifier, and SER unless it is omitted.
    pub(crate) fn ser_bytes(&self) -> usize {
        usize::from(self.ser != Ser::Omitted)
    }
}

impl StatusBits {
    fn check(&self) -> Result<(), ProfileError> {
        at_most("status.valve_bit", self.valve_bit, 14)?;
        at_most("status.battery_bit", self.battery_bit, 15)?;
        let without_battery = Self { has_battery: false, ..self.clone() };
        if self.has_battery && without_battery.is_taken(self.battery_bit) {
            return Err(value("status.battery_bit", "is one of the valve's bits"));
        }
        for (name, bit) in &self.alarms {
            let key = format!("status.alarms.{name}");
            let kebab = name.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-');
            at_most(&key, *bit, 15)?;
            if !kebab || name.is_empty() {
                return Err(value(&key, "alarms are named in lower case with hyphens, such as reverse-flow"));
            }
            if self.is_taken(*bit) {
                return Err(value(&key, "is a bit of valve or battery"));
            }
            if self.alarms.values().filter(|other| *other == bit).count() > 1 {
                return Err(value(&key, "shares its bit with another alarm"));
            }
        }
        Ok(())
    }
}

impl UnitOfCode {
    fn check(&self, code: &str) -> Result<(), ProfileError> {
        let key = format!("units.{code}");
        if code.len() != 2 || !code.bytes().all(|c| matches!(c, b'0'..=b'9' | b'A'..=b'F')) {
            return Err(value(&key, "a unit code is two upper-case hex digits"));
        }
        if quantity_of(&self.unit).is_none() {
            return Err(value(&key, "is no unit of volume, flow, energy or power that this protocol has"));
        }
        if self.power.unsigned_abs() > 6 {
            return Err(value(&key, "power is not within -6 and 6"));
        }
        Ok(())
    }
}

fn at_most(key: &str, found: u8, limit: u8) -> Result<(), ProfileError> {
    if found > limit { Err(value(key, &format!("{found} is over {limit}"))) } else { Ok(()) }
}

fn value(key: &str, why: &str) -> ProfileError {
    ProfileError::Value { key: key.into(), why: why.into() }
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
            let profile = Profile::built_in(name).unwrap().unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(!profile.description.is_empty(), "{name}");
        }
        assert!(Profile::built_in("nobody").is_none());
    }

    #[test]
    fn the_standard_profile_shows_every_key_with_its_default() {
        let (_, text) = Profile::BUILT_IN[0];
        let standard = Profile::parse(text).unwrap();
        assert_eq!(Profile { description: String::new(), ..standard }, Profile::default());
        let shown: toml::Table = text.parse().unwrap();
        let keys =
            ["description", "wake_up_bytes", "di_order", "ser", "value_order", "clock_order", "places"];
        for key in keys.iter().chain(&["flow_places", "status", "units"]) {
            assert!(shown.contains_key(*key), "{key}");
        }
        let status = shown["status"].as_table().unwrap();
        for key in ["has_valve", "valve_bit", "has_battery", "battery_bit", "st1_filler", "alarms"] {
            assert!(status.contains_key(key), "{key}");
        }
    }

    #[test]
    fn a_wrong_profile_says_what_is_wrong_with_it() {
        for (text, says) in [
            ("di_ordre = \"2018\"", "di_ordre"),
            ("di_order = \"2020\"", "2020"),
            ("wake_up_bytes = 65", "wake_up_bytes: 65 is over 64"),
            ("places = 7", "places: 7 is over 6"),
            ("flow_places = 7", "flow_places: 7 is over 6"),
            ("[status]\nvalve_bit = 15", "status.valve_bit: 15 is over 14"),
            ("[status]\nbattery_bit = 16", "status.battery_bit: 16 is over 15"),
            ("[status]\nbattery_bit = 1", "one of the valve's bits"),
            ("[status]\nvalve = 1", "valve"),
            ("[status.alarms]\nleak = 16", "status.alarms.leak: 16 is over 15"),
            ("[status.alarms]\nleak = 2", "status.alarms.leak: is a bit of valve or battery"),
            ("[status.alarms]\nleak = 5\nburst = 5", "shares its bit"),
            ("[status.alarms]\nLeak = 5", "lower case"),
            ("[units]\n2c = { unit = \"m3\" }", "upper-case"),
            ("[units]\n00 = { unit = \"cubit\" }", "units.00: is no unit"),
            ("[units]\n00 = { unit = \"m3\", power = 7 }", "units.00: power"),
            ("[units]\n00 = { unit = \"m3\", places = 7 }", "places"),
        ] {
            let error = Profile::parse(text).expect_err(text).to_string();
            assert!(error.contains(says), "{text:?} gave {error:?}");
        }
    }
}
