//! The closed vocabularies of the contract: each word once, with the code under which it lies on flash.
//!
//! Words are the EN 13757-3 names in kebab case; every driver uses the same ones. A word that this version does not
//! know (from a newer producer, or a VIF no table has) is kept as it came in `Other`.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Declares an enum of words. The number is the word's code in the stored form and is never given to another word.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($code:literal $variant:ident $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $(#[doc = concat!("`", $word, "`")] $variant,)*
            /// A word that this version has no name for, as it came.
            Other(Box<str>),
        }

        impl $name {
            /// The word as it stands in JSON.
            pub fn as_str(&self) -> &str {
                match self { $(Self::$variant => $word,)* Self::Other(word) => word }
            }

            /// The code of a known word in the stored form, 1 to 255; `None` for `Other`.
            pub fn code(&self) -> Option<u8> {
                match self { $(Self::$variant => Some($code),)* Self::Other(_) => None }
            }

            /// The word with this code.
            pub fn from_code(code: u8) -> Option<Self> {
                match code { $($code => Some(Self::$variant),)* _ => None }
            }

            /// Every known word.
            pub const ALL: &[Self] = &[$(Self::$variant),*];
        }

        impl From<&str> for $name {
            fn from(word: &str) -> Self {
                match word { $($word => Self::$variant,)* other => Self::Other(other.into()) }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Ok(Self::from(String::deserialize(deserializer)?.as_str()))
            }
        }
    };
}

words! {
    /// What a value measures.
    Quantity {
        1 Volume "volume",
        2 VolumeFlow "volume-flow",
        3 Energy "energy",
        4 Power "power",
        5 Mass "mass",
        6 MassFlow "mass-flow",
        7 Pressure "pressure",
        8 FlowTemperature "flow-temperature",
        9 ReturnTemperature "return-temperature",
        10 ExternalTemperature "external-temperature",
        11 TemperatureDifference "temperature-difference",
        12 OnTime "on-time",
        13 OperatingTime "operating-time",
        14 AveragingDuration "averaging-duration",
        15 ActualityDuration "actuality-duration",
        16 Date "date",
        17 DateTime "date-time",
        18 FabricationNumber "fabrication-number",
        19 EnhancedIdentification "enhanced-identification",
        20 BusAddress "bus-address",
        21 HeatCostAllocation "heat-cost-allocation",
        22 Voltage "voltage",
        23 BatteryVoltage "battery-voltage",
        24 Current "current",
        25 ErrorFlags "error-flags",
        26 AccessNumber "access-number",
        27 Medium "medium",
        28 Manufacturer "manufacturer",
        29 ModelVersion "model-version",
        30 HardwareVersion "hardware-version",
        31 FirmwareVersion "firmware-version",
        32 SoftwareVersion "software-version",
        33 CustomerLocation "customer-location",
        34 Customer "customer",
        35 DigitalInput "digital-input",
        36 DigitalOutput "digital-output",
        37 RemainingBatteryTime "remaining-battery-time",
        38 ManufacturerSpecific "manufacturer-specific",
        39 ParameterSet "parameter-set",
        40 ResetCounter "reset-counter",
        41 CumulationCounter "cumulation-counter",
        42 Dimensionless "dimensionless",
        43 ReverseVolume "reverse-volume",
        44 RelativeHumidity "relative-humidity",
        45 ForwardVolume "forward-volume",
        46 ForwardEnergy "forward-energy",
        47 ReverseEnergy "reverse-energy",
        48 ErrorMask "error-mask",
        49 StorageInterval "storage-interval",
        50 DurationSinceReadout "duration-since-readout",
        51 BatteryOperatingTime "battery-operating-time",
        52 BatteryChange "battery-change",
        53 Unreadable "unreadable",
        54 RemainingVolume "remaining-volume",
        55 Temperature "temperature",
    }
}

impl Quantity {
    /// A quantity that no table names, by its raw value information bytes: `vif:FD3B`.
    pub fn vif(bytes: &[u8]) -> Self {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
        Self::Other(format!("vif:{hex}").into())
    }
}

words! {
    /// The unit of a number, as the meter coded it.
    Unit {
        1 CubicMetre "m3",
        2 Litre "l",
        3 Millilitre "ml",
        4 CubicMetrePerHour "m3/h",
        5 CubicMetrePerMinute "m3/min",
        6 CubicMetrePerSecond "m3/s",
        7 LitrePerHour "l/h",
        8 WattHour "Wh",
        9 KilowattHour "kWh",
        10 MegawattHour "MWh",
        11 Joule "J",
        12 Kilojoule "kJ",
        13 Megajoule "MJ",
        14 Gigajoule "GJ",
        15 Watt "W",
        16 Kilowatt "kW",
        17 Megawatt "MW",
        18 JoulePerHour "J/h",
        19 Celsius "degC",
        20 Kelvin "K",
        21 Bar "bar",
        22 Megapascal "MPa",
        23 Kilogram "kg",
        24 KilogramPerHour "kg/h",
        25 Second "s",
        26 Minute "min",
        27 Hour "h",
        28 Day "d",
        29 Volt "V",
        30 Ampere "A",
        31 Percent "%",
        32 Month "month",
        33 Year "year",
        34 Fahrenheit "degF",
        35 CubicFoot "ft3",
        36 UsGallon "US-gal",
        37 LitrePerSecond "l/s",
        38 LitrePerMinute "l/min",
        39 UsGallonPerMinute "US-gal/min",
    }
}

words! {
    /// Over which time a value was formed.
    Function {
        1 Instantaneous "instantaneous",
        2 Maximum "maximum",
        3 Minimum "minimum",
        4 DuringError "during-error",
    }
}

words! {
    /// What a meter measures in (EN 13757-3, device types).
    Medium {
        1 OtherMedium "other",
        2 Oil "oil",
        3 Electricity "electricity",
        4 Gas "gas",
        5 Heat "heat",
        6 Steam "steam",
        7 WarmWater "warm-water",
        8 Water "water",
        9 HeatCostAllocator "heat-cost-allocator",
        10 CompressedAir "compressed-air",
        11 CoolingOutlet "cooling-outlet",
        12 CoolingInlet "cooling-inlet",
        13 HeatInlet "heat-inlet",
        14 HeatCooling "heat-cooling",
        15 BusSystem "bus-system",
        16 Unknown "unknown",
        17 HotWater "hot-water",
        18 ColdWater "cold-water",
        19 DualWater "dual-water",
        20 Pressure "pressure",
        21 AdConverter "ad-converter",
        22 DrinkingWater "drinking-water",
        23 ReclaimedWater "reclaimed-water",
        24 RoomSensor "room-sensor",
        25 GasValve "gas-valve",
        26 WaterValve "water-valve",
        27 WasteWater "waste-water",
        28 Garbage "garbage",
    }
}

words! {
    /// Where a meter's valve stands, as the meter tells it.
    Valve {
        1 Open "open",
        2 Closed "closed",
        3 Moving "moving",
        4 Fault "fault",
        5 Unknown "unknown",
    }
}

words! {
    /// What a command orders.
    Action {
        1 ValveOpen "valve.open",
        2 ValveClose "valve.close",
        3 TariffSet "tariff.set",
        4 ClockSet "clock.set",
        5 ReadNow "read.now",
    }
}

words! {
    /// What has become of a command.
    CommandState {
        1 Accepted "accepted",
        2 Started "started",
        3 Done "done",
        4 Unverified "unverified",
        5 Failed "failed",
        6 Unknown "unknown",
        7 Rejected "rejected",
        8 Expired "expired",
    }
}

words! {
    /// Why a message on the command topic was counted and nothing else: it proves nothing about its sender, or what it
    /// says was answered before, or is one of too many.
    RefusalCause {
        1 Malformed "malformed",
        2 UnknownKey "unknown-key",
        3 BadSignature "bad-signature",
        4 Off "off",
        5 TooLong "too-long",
        6 NotUtf8 "not-utf8",
        7 WrongAlgorithm "wrong-algorithm",
        8 KeyExpired "key-expired",
        9 Stale "stale",
        10 Full "full",
        11 Repeated "repeated",
        12 Duplicate "duplicate",
        13 WrongGateway "wrong-gateway",
    }
}

impl CommandState {
    /// Whether nothing comes after it.
    pub fn is_final(&self) -> bool {
        !matches!(self, Self::Accepted | Self::Started)
    }
}

words! {
    /// Why a command did not end as it was ordered.
    Reason {
        1 NotAuthorised "not-authorised",
        2 WrongGateway "wrong-gateway",
        3 UnknownMeter "unknown-meter",
        4 NotSupported "not-supported",
        5 Duplicate "duplicate",
        6 Superseded "superseded",
        7 ClockNotTrusted "clock-not-trusted",
        8 Stale "stale",
        9 Precondition "precondition",
        10 LimitReached "limit-reached",
        11 Locked "locked",
        12 Stopped "stopped",
        13 WrongMeter "wrong-meter",
        14 NoIdentity "no-identity",
        15 LineLent "line-lent",
        16 Silent "silent",
        17 Garbled "garbled",
        18 Refused "refused",
        19 LineDown "line-down",
        20 ValveFault "valve-fault",
        21 Interrupted "interrupted",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Checks one vocabulary: no code and no text stands for two words, and each leads back to its own.
    macro_rules! assert_sound {
        ($($name:ident),*) => {$({
            let (mut codes, mut texts) = (BTreeSet::new(), BTreeSet::new());
            for word in $name::ALL {
                let (code, text) = (word.code().unwrap(), word.as_str());
                assert!(code > 0, "{text} has code 0");
                assert!(codes.insert(code), "{}: code {code} stands for two words", stringify!($name));
                assert!(texts.insert(text), "{}: {text} is there twice", stringify!($name));
                assert_eq!($name::from_code(code).as_ref(), Some(word));
                assert_eq!(&$name::from(text), word);
            }
            // Every code there is leads to a word that has it.
            for code in 0..=u8::MAX {
                assert_eq!($name::from_code(code).map(|word| word.code()), codes.get(&code).map(|c| Some(*c)));
            }
        })*};
    }

    #[test]
    fn every_word_is_found_by_its_code_and_by_its_text_and_shares_neither() {
        assert_sound!(Quantity, Unit, Function, Medium, Valve, Action, CommandState, Reason, RefusalCause);
    }

    #[test]
    fn an_unknown_vif_keeps_its_bytes() {
        let quantity = Quantity::vif(&[0xFD, 0x3B]);
        let json = serde_json::to_string(&quantity).unwrap();
        assert_eq!(json, "\"vif:FD3B\"");
        assert_eq!(serde_json::from_str::<Quantity>(&json).unwrap(), quantity);
    }
}
