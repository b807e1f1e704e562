//! What libmbus says of a telegram, read from its normalised XML, and how its words map to ours.
//!
//! The mapping, which is all the tolerance there is:
//! * A number is compared at libmbus's six decimals (it prints `%f`), ours rounded to them. Of a real it prints the binary
//!   float's digits: there ours is turned into the same binary float first.
//! * libmbus brings durations to seconds and all electrical energy to Wh; we keep the unit of the meter's code. Ours is
//!   multiplied before comparing.
//! * Identifications (fabrication number, versions, customer) are numbers for libmbus and digits for us: compared as
//!   numbers. Texts are compared as they are.
//! * Dates: libmbus appends a `Z` that the meter never sent, and has no type for a date alone.

use std::path::Path;

use super::{Content, Function, Number, Quantity, Value};
use weir_wire::{Answer, Medium, Unit};

pub(crate) struct Reference {
    number: String,
    manufacturer: Option<String>,
    version: Option<String>,
    medium: String,
    status: u8,
    pub(crate) records: Vec<Record>,
}

#[derive(Debug)]
pub(crate) struct Record {
    function: String,
    storage: Option<u64>,
    tariff: Option<u32>,
    device: Option<u16>,
    unit: String,
    quantity: String,
    value: String,
}

impl Reference {
    pub(crate) fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).unwrap();
        let document = roxmltree::Document::parse(&text).unwrap();
        let root = document.root_element();
        let slave = root.children().find(|node| node.has_tag_name("SlaveInformation")).unwrap();
        let records =
            root.children().filter(|node| node.has_tag_name("DataRecord")).map(Record::read).collect();
        Self {
            number: child(slave, "Id").unwrap(),
            manufacturer: child(slave, "Manufacturer"),
            version: child(slave, "Version"),
            medium: child(slave, "Medium").unwrap(),
            status: u8::from_str_radix(&child(slave, "Status").unwrap(), 16).unwrap(),
            records,
        }
    }

    pub(crate) fn check_identity(&self, name: &str, answer: &Answer) {
        let identity = &answer.identity;
        let number = identity.number.as_deref().unwrap();
        assert_eq!(number.len(), 8, "{name}");
        // libmbus drops leading zeros.
        let shortened = number.trim_start_matches('0');
        assert_eq!(if shortened.is_empty() { "0" } else { shortened }, self.number, "{name}");
        assert_eq!(identity.manufacturer, self.manufacturer, "{name}");
        assert_eq!(identity.version.map(|version| version.to_string()), self.version, "{name}");
        assert_eq!(identity.medium, Some(medium(&self.medium)), "{name}");
        assert_eq!(answer.status.battery_low, Some(self.status & 4 != 0), "{name}");
        let alarms = (self.status & 3 != 0) as u32 + (self.status & 0xF8).count_ones();
        assert_eq!(u32::try_from(answer.status.alarms.len()).unwrap(), alarms, "{name}: {:?}", answer.status);
    }
}

fn child(node: roxmltree::Node<'_, '_>, tag: &str) -> Option<String> {
    let child = node.children().find(|child| child.has_tag_name(tag))?;
    Some(child.text().unwrap_or_default().to_owned())
}

fn medium(word: &str) -> Medium {
    match word {
        "Other" => Medium::OtherMedium,
        "Oil" => Medium::Oil,
        "Electricity" => Medium::Electricity,
        "Gas" => Medium::Gas,
        "Heat" | "Heat: Outlet" => Medium::Heat,
        "Heat: Inlet" => Medium::HeatInlet,
        "Heat / Cooling load meter" => Medium::HeatCooling,
        "Heat Cost Allocator" => Medium::HeatCostAllocator,
        "Water" => Medium::Water,
        "Cold water" => Medium::ColdWater,
        "Breaker: Electricity" => Medium::from("electricity-breaker"),
        warm if warm.starts_with("Warm water") => Medium::WarmWater,
        other => panic!("medium {other} is not mapped"),
    }
}

impl Record {
    fn read(node: roxmltree::Node<'_, '_>) -> Self {
        let number = |tag| child(node, tag).map(|text| text.parse::<u64>().unwrap());
        Self {
            function: child(node, "Function").unwrap(),
            storage: number("StorageNumber"),
            tariff: number("Tariff").map(|tariff| tariff.try_into().unwrap()),
            device: number("Device").map(|device| device.try_into().unwrap()),
            unit: child(node, "Unit").unwrap(),
            quantity: child(node, "Quantity").unwrap_or_default(),
            value: child(node, "Value").unwrap_or_default(),
        }
    }

    fn is_manufacturer_block(&self) -> bool {
        matches!(self.function.as_str(), "Manufacturer specific" | "More records follow")
    }

    /// A DIF 0F or 1F with nothing behind it says nothing: no value of ours.
    pub(crate) fn is_empty_manufacturer_block(&self) -> bool {
        self.is_manufacturer_block() && self.value.trim().is_empty()
    }

    /// Function, storage, tariff and subunit, which never differ. (libmbus leaves tariff and device out when there is no
    /// DIFE: they are zero then. Its `Device` is the subunit.)
    pub(crate) fn check_place(&self, place: &str, value: &Value) {
        let function = match self.function.as_str() {
            "Maximum value" => Function::Maximum,
            "Minimum value" => Function::Minimum,
            "Value during error state" => Function::DuringError,
            _ => Function::Instantaneous,
        };
        assert_eq!(value.function, function, "{place}");
        assert_eq!(value.storage, self.storage.unwrap_or(0), "{place}");
        assert_eq!(value.tariff, self.tariff.unwrap_or(0), "{place}");
        assert_eq!(value.subunit, self.device.unwrap_or(0), "{place}");
    }

    pub(crate) fn agrees_with(&self, value: &Value) -> bool {
        if self.is_manufacturer_block() {
            let raw: Vec<String> = value
                .raw
                .iter()
                .flat_map(|raw| raw.0.iter().skip(1))
                .map(|byte| format!("{byte:02X}"))
                .collect();
            return value.quantity == Quantity::ManufacturerSpecific
                && value.content == Content::Opaque
                && raw.join(" ") == self.value;
        }
        let Some((quantity, unit)) = self.mapped() else { return false };
        value.quantity == quantity && unit.allows(value.unit.as_ref()) && self.same_content(value)
    }

    fn same_content(&self, value: &Value) -> bool {
        match &value.content {
            Content::Number(number) => {
                same_number(*number, factor(value.unit.as_ref()), &self.value, is_real(value))
            }
            Content::Text(text) => {
                *text == self.value
                    || text.parse::<Number>().is_ok_and(|number| same_number(number, 1, &self.value, false))
            }
            Content::Date(date) => date.to_string() == self.value,
            Content::DateTime(moment) => format!("{moment}Z") == self.value,
            Content::Invalid(_) | Content::Opaque => false,
        }
    }

    /// Our quantity and unit for libmbus's words.
    fn mapped(&self) -> Option<(Quantity, Units)> {
        use Units::{Durations, None as NoUnit, Only, WattHours};
        Some(match (self.quantity.as_str(), self.unit.as_str()) {
            ("Energy", "Wh") => (Quantity::Energy, WattHours),
            ("", "kWh") => (Quantity::Energy, Only(Unit::KilowattHour)),
            ("", "l") => (Quantity::Volume, Only(Unit::Litre)),
            ("Volume", "m^3") => (Quantity::Volume, Only(Unit::CubicMetre)),
            ("Volume flow", "m^3/h") => (Quantity::VolumeFlow, Only(Unit::CubicMetrePerHour)),
            ("Power", "W") => (Quantity::Power, Only(Unit::Watt)),
            ("Voltage", "V") => (Quantity::Voltage, Only(Unit::Volt)),
            ("Current", "A") => (Quantity::Current, Only(Unit::Ampere)),
            ("Flow temperature", _) => (Quantity::FlowTemperature, Only(Unit::Celsius)),
            ("Return temperature", _) => (Quantity::ReturnTemperature, Only(Unit::Celsius)),
            ("External temperature", _) => (Quantity::ExternalTemperature, Only(Unit::Celsius)),
            ("Temperature difference", "K") => (Quantity::TemperatureDifference, Only(Unit::Kelvin)),
            ("%RH", "-") => (Quantity::RelativeHumidity, Only(Unit::Percent)),
            ("On time", "s") => (Quantity::OnTime, Durations),
            ("Operating time", "s") => (Quantity::OperatingTime, Durations),
            ("Averaging Duration", "s") => (Quantity::AveragingDuration, Durations),
            ("Actuality Duration", "s") => (Quantity::ActualityDuration, Durations),
            ("H.C.A.", _) => (Quantity::HeatCostAllocation, NoUnit),
            ("Time point (date & time)", _) => (Quantity::DateTime, NoUnit),
            ("Time point (date)", _) => (Quantity::Date, NoUnit),
            ("Fabrication No", _) => (Quantity::FabricationNumber, NoUnit),
            ("Customer location", _) => (Quantity::CustomerLocation, NoUnit),
            ("Digital Input", _) => (Quantity::DigitalInput, NoUnit),
            ("Error flags", _) => (Quantity::ErrorFlags, NoUnit),
            ("Firmware version", _) => (Quantity::FirmwareVersion, NoUnit),
            ("Software version", _) => (Quantity::SoftwareVersion, NoUnit),
            ("Manufacturer specific", _) => (Quantity::ManufacturerSpecific, NoUnit),
            ("Model / Version", _) => (Quantity::ModelVersion, NoUnit),
            ("Parameter set identification", _) => (Quantity::ParameterSet, NoUnit),
            // Plain-text VIFs.
            (text @ ("C" | "c" | "cust. ID" | "bat. time"), "-") => {
                (Quantity::Other(format!("text:{text}").into()), NoUnit)
            }
            _ => return None,
        })
    }
}

enum Units {
    None,
    Only(Unit),
    /// Seconds to days.
    Durations,
    /// Wh, or MWh for the codes behind FB.
    WattHours,
}

impl Units {
    fn allows(&self, unit: Option<&Unit>) -> bool {
        match (self, unit) {
            (Self::None, None) => true,
            (Self::Only(expected), Some(unit)) => expected == unit,
            (Self::Durations, unit) => {
                matches!(unit, Some(Unit::Second | Unit::Minute | Unit::Hour | Unit::Day))
            }
            (Self::WattHours, unit) => matches!(unit, Some(Unit::WattHour | Unit::MegawattHour)),
            _ => false,
        }
    }
}

/// From our unit to libmbus's.
fn factor(unit: Option<&Unit>) -> i128 {
    match unit {
        Some(Unit::MegawattHour) => 1_000_000,
        Some(Unit::Minute) => 60,
        Some(Unit::Hour) => 3_600,
        Some(Unit::Day) => 86_400,
        _ => 1,
    }
}

/// Whether a value's data field is a 32-bit real.
fn is_real(value: &Value) -> bool {
    value.raw.as_ref().and_then(|raw| raw.0.first()).is_some_and(|dif| dif & 0x0F == 0x05)
}

fn same_number(ours: Number, factor: i128, theirs: &str, real: bool) -> bool {
    let ours = ours.times(Number::scaled(factor, 0).unwrap()).unwrap();
    if real {
        let float: f32 = ours.to_string().parse().unwrap();
        return format!("{float:.6}") == theirs;
    }
    let theirs: Number = match theirs.parse() {
        Ok(theirs) => theirs,
        Err(_) => return false,
    };
    // Every number of the corpus has at most six decimals, so libmbus has cut nothing off.
    ours == theirs
}
