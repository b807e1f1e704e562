//! What differs between meters under the same standard, as data: one TOML file a model.
//!
//! Every key has the standard's value as its default, so a profile says only what is different. Unknown keys are
//! refused, and so are settings that contradict each other: all of those at once, each with its place in the text.

use std::collections::BTreeMap;

use serde::Deserialize;
use weir_meter::ProfileFault;
use weir_wire::Unit;

use crate::units::quantity_of;

/// Ten minutes for a valve are a slip of the hand.
const SETTLE_MS_MAX: u32 = 600_000;

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
    /// Decimal places of prices and purchases, 0 to 6.
    pub money_places: u8,
    /// Decimal places of the price table's steps in cubic metres, 0 to 6.
    pub step_places: u8,
    /// Whether a new price table ends with the day of the month from which it is valid.
    pub price_start_day: bool,
    /// Under which identifier the settlement day is read; the other one is the reading day's.
    pub settlement_day_di: DayIdentifier,
    /// Where the status word has what.
    pub status: StatusBits,
    /// What moves the valve.
    pub valve: ValveCodes,
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

/// Which of two identifiers is the settlement day's. Sources disagree: cnblogs.com/flyingcloude/p/8136593.html has it at
/// 8103, the test file of linqiu126/mfunhcu at 8104.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum DayIdentifier {
    /// 8103 is the settlement day, 8104 the reading day.
    #[serde(rename = "8103")]
    First,
    /// The other way round.
    #[serde(rename = "8104")]
    Second,
}

impl DayIdentifier {
    pub(crate) fn settlement(self) -> u16 {
        if self == Self::First { 0x8103 } else { 0x8104 }
    }

    pub(crate) fn reading(self) -> u16 {
        if self == Self::First { 0x8104 } else { 0x8103 }
    }
}

/// The order that moves the valve, A017. Meters differ in all of it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ValveCodes {
    /// C of the order: 04, or a manufacturer's own (2A), 00 to 3F.
    pub control: u8,
    /// The code that opens.
    pub open: u8,
    /// The code that closes.
    pub close: u8,
    /// A code that moves nothing and is answered with the status word, where the meter has one.
    pub read: Option<u8>,
    /// Bytes that follow the code, at most eight.
    pub after: Vec<u8>,
    /// From the order to the first look at the status, in milliseconds, at most `settle_ms`.
    pub travel_ms: u32,
    /// From the order to when the valve must stand where it was sent, in milliseconds, 1 to 600,000.
    pub settle_ms: u32,
}

impl Default for ValveCodes {
    fn default() -> Self {
        Self {
            control: 0x04,
            open: 0x55,
            close: 0x99,
            read: None,
            after: Vec::new(),
            // No source tells how long a valve takes. Assumed: a small one is there after three seconds, and none
            // needs more than a minute.
            travel_ms: 3000,
            settle_ms: 60_000,
        }
    }
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
            money_places: 2,
            step_places: 0,
            price_start_day: true,
            settlement_day_di: DayIdentifier::First,
            status: StatusBits::default(),
            valve: ValveCodes::default(),
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
        ("settlement-8104", include_str!("../profiles/settlement-8104.toml")),
        ("status-high", include_str!("../profiles/status-high.toml")),
        ("valve-2a", include_str!("../profiles/valve-2a.toml")),
        ("valve-free", include_str!("../profiles/valve-free.toml")),
        ("valve-reversed", include_str!("../profiles/valve-reversed.toml")),
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
        let mut check = Check { text, faults: Vec::new() };
        check.at_most(&["wake_up_bytes"], profile.wake_up_bytes, 64);
        check.at_most(&["places"], profile.places, 6);
        check.at_most(&["flow_places"], profile.flow_places, 6);
        check.at_most(&["money_places"], profile.money_places, 6);
        check.at_most(&["step_places"], profile.step_places, 6);
        profile.status.check(&mut check);
        profile.valve.check(&mut check);
        for (code, own) in &profile.units {
            own.check(code, &mut check);
        }
        check.faults.sort_by_key(|fault| fault.span.start);
        if check.faults.is_empty() { Ok(profile) } else { Err(check.faults) }
    }

    /// Bytes of a request's data: the identifier, and SER unless it is omitted.
    pub(crate) fn ser_bytes(&self) -> usize {
        usize::from(self.ser != Ser::Omitted)
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

    fn at_most(&mut self, path: &[&str], found: u8, limit: u8) {
        if found > limit {
            self.wrong(path, &format!("{found} is over {limit}"));
        }
    }
}

impl StatusBits {
    fn check(&self, check: &mut Check<'_>) {
        check.at_most(&["status", "valve_bit"], self.valve_bit, 14);
        check.at_most(&["status", "battery_bit"], self.battery_bit, 15);
        let without_battery = Self { has_battery: false, ..self.clone() };
        if self.has_battery && without_battery.is_taken(self.battery_bit) {
            check.wrong(&["status", "battery_bit"], "is one of the valve's bits");
        }
        for (name, bit) in &self.alarms {
            let path = ["status", "alarms", name];
            let kebab = name.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-');
            check.at_most(&path, *bit, 15);
            if !kebab || name.is_empty() {
                check.wrong(&path, "alarms are named in lower case with hyphens, such as reverse-flow");
            }
            if self.is_taken(*bit) {
                check.wrong(&path, "is a bit of valve or battery");
            }
            if self.alarms.values().filter(|other| *other == bit).count() > 1 {
                check.wrong(&path, "shares its bit with another alarm");
            }
        }
    }
}

impl ValveCodes {
    fn check(&self, check: &mut Check<'_>) {
        check.at_most(&["valve", "control"], self.control, 0x3F);
        if self.open == self.close {
            check.wrong(&["valve", "close"], "is the code that opens");
        }
        if self.read.is_some_and(|read| read == self.open || read == self.close) {
            check.wrong(&["valve", "read"], "is a code that moves the valve");
        }
        if self.after.len() > 8 {
            check.wrong(&["valve", "after"], "has more than eight bytes");
        }
        if !(1..=SETTLE_MS_MAX).contains(&self.settle_ms) {
            check.wrong(&["valve", "settle_ms"], &format!("is not within 1 and {SETTLE_MS_MAX}"));
        } else if self.travel_ms > self.settle_ms {
            check.wrong(&["valve", "travel_ms"], "is longer than settle_ms");
        }
    }
}

impl UnitOfCode {
    fn check(&self, code: &str, check: &mut Check<'_>) {
        let path = ["units", code];
        if code.len() != 2 || !code.bytes().all(|c| matches!(c, b'0'..=b'9' | b'A'..=b'F')) {
            check.wrong(&path, "a unit code is two upper-case hex digits");
        }
        if quantity_of(&self.unit).is_none() {
            check.wrong(&path, "is no unit of volume, flow, energy or power that this protocol has");
        }
        if self.power.unsigned_abs() > 6 {
            check.wrong(&path, "power is not within -6 and 6");
        }
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
    fn the_standard_profile_shows_every_key_with_its_default() {
        let (_, text) = Profile::BUILT_IN[0];
        let standard = Profile::parse(text).unwrap();
        assert_eq!(Profile { description: String::new(), ..standard }, Profile::default());
        let shown: toml::Table = text.parse().unwrap();
        let keys =
            ["description", "wake_up_bytes", "di_order", "ser", "value_order", "clock_order", "places"];
        let more = ["flow_places", "money_places", "step_places", "price_start_day", "settlement_day_di"];
        for key in keys.iter().chain(&more).chain(&["status", "valve", "units"]) {
            assert!(shown.contains_key(*key), "{key}");
        }
        let status = shown["status"].as_table().unwrap();
        for key in ["has_valve", "valve_bit", "has_battery", "battery_bit", "st1_filler", "alarms"] {
            assert!(status.contains_key(key), "{key}");
        }
        let valve = shown["valve"].as_table().unwrap();
        for key in ["control", "open", "close", "after", "travel_ms", "settle_ms"] {
            assert!(valve.contains_key(key), "{key}");
        }
        assert!(text.contains("# read = "), "has no default, so it is shown as a comment");
    }

    #[test]
    fn every_fault_of_a_profile_is_told_at_its_place() {
        let text = "places = 7\n[valve]\nopen = 0x99\nread = 0x99\n[status]\nbattery_bit = 1\n";
        let faults = Profile::parse(text).unwrap_err();
        let told: Vec<_> =
            faults.iter().map(|fault| (&text[fault.span.clone()], fault.position(text).0)).collect();
        assert_eq!(told.len(), 4, "{faults:?}");
        assert!(
            told.contains(&("7", 1)) && told.contains(&("0x99", 4)) && told.contains(&("1", 6)),
            "{told:?}"
        );
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
            ("[valve]\ncontrol = 0x40", "valve.control: 64 is over 63"),
            ("[valve]\nclose = 0x55", "valve.close: is the code that opens"),
            ("[valve]\nread = 0x55", "valve.read: is a code that moves"),
            ("[valve]\nafter = [0,0,0,0,0,0,0,0,0]", "valve.after: has more than eight"),
            ("[valve]\nsettle_ms = 0", "valve.settle_ms: is not within"),
            ("[valve]\nsettle_ms = 600001", "valve.settle_ms: is not within"),
            ("[valve]\ntravel_ms = 60001", "valve.travel_ms: is longer than settle_ms"),
            ("settlement_day_di = \"8105\"", "8105"),
            ("[units]\n2c = { unit = \"m3\" }", "upper-case"),
            ("[units]\n00 = { unit = \"cubit\" }", "units.00: is no unit"),
            ("[units]\n00 = { unit = \"m3\", power = 7 }", "units.00: power"),
            ("[units]\n00 = { unit = \"m3\", places = 7 }", "places"),
        ] {
            let faults = Profile::parse(text).expect_err(text);
            assert!(faults.iter().any(|fault| fault.to_string().contains(says)), "{text:?} gave {faults:?}");
        }
    }
}
