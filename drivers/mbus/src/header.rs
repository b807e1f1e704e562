//! What the header of a telegram says: who the meter is, how it is, and whether its records are encrypted.

use weir_wire::{Identity, Medium, Status};

/// Names the medium of a variable data structure (EN 13757-7, device types).
pub(crate) fn medium(code: u8) -> Medium {
    match code {
        0x00 => Medium::OtherMedium,
        0x01 => Medium::Oil,
        0x02 => Medium::Electricity,
        0x03 => Medium::Gas,
        0x04 => Medium::Heat,
        0x05 => Medium::Steam,
        0x06 => Medium::WarmWater,
        0x07 => Medium::Water,
        0x08 => Medium::HeatCostAllocator,
        0x09 => Medium::CompressedAir,
        0x0A => Medium::CoolingOutlet,
        0x0B => Medium::CoolingInlet,
        0x0C => Medium::HeatInlet,
        0x0D => Medium::HeatCooling,
        0x0E => Medium::BusSystem,
        0x0F => Medium::Unknown,
        0x15 => Medium::HotWater,
        0x16 => Medium::ColdWater,
        0x17 => Medium::DualWater,
        0x18 => Medium::Pressure,
        0x19 => Medium::AdConverter,
        0x1A => Medium::from("smoke-detector"),
        0x1B => Medium::RoomSensor,
        0x1C => Medium::from("gas-detector"),
        0x20 => Medium::from("electricity-breaker"),
        0x21 => Medium::from("valve"),
        0x25 => Medium::from("customer-display"),
        0x28 => Medium::WasteWater,
        0x29 => Medium::Garbage,
        other => Medium::Other(format!("device-type-{other:02X}").into()),
    }
}

/// Three letters packed in five bits each (EN 13757-7, FLAG manufacturer id); the four hex digits when they are none.
pub(crate) fn manufacturer(code: u16) -> String {
    let letters: Option<String> = [10, 5, 0]
        .into_iter()
        .map(|shift| match (code >> shift) & 0x1F {
            letter @ 1..=26 => u8::try_from(letter).ok().map(|letter| char::from(b'A' - 1 + letter)),
            _ => None,
        })
        .collect();
    // The top bit belongs to wireless M-Bus.
    letters.filter(|_| code & 0x8000 == 0).unwrap_or_else(|| format!("{code:04X}"))
}

/// Eight digits, least significant byte first, with leading zeros. Digits above nine are kept as hex.
pub(crate) fn number(bytes: [u8; 4]) -> String {
    format!("{:08X}", u32::from_le_bytes(bytes))
}

/// The status byte of a variable data structure (EN 13757-7). Bits 5 to 7 are each manufacturer's own.
pub(crate) fn status(byte: u8) -> Status {
    let application = match byte & 0x03 {
        1 => Some("application-busy"),
        2 => Some("any-error"),
        3 => Some("abnormal-condition"),
        _ => None,
    };
    let mut alarms: Vec<String> = application.into_iter().map(String::from).collect();
    alarms.extend(device_alarms(byte));
    Status { valve: None, battery_low: Some(battery_low(byte)), alarms }
}

/// The bit that both status bytes, of fixed and of variable data structures, have for a low supply.
pub(crate) fn battery_low(status: u8) -> bool {
    status & 0x04 != 0
}

/// The alarms that both status bytes code alike: bits 3 to 7.
pub(crate) fn device_alarms(status: u8) -> impl Iterator<Item = String> {
    [(3, "permanent-error"), (4, "temporary-error"), (5, "bit-5"), (6, "bit-6"), (7, "bit-7")]
        .into_iter()
        .filter(move |(bit, _)| status >> bit & 1 == 1)
        .map(|(_, name)| name.to_owned())
}

/// Who a meter is, byte for byte as a long header says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MeterId {
    /// Identification number, least significant byte first.
    pub number: [u8; 4],
    /// Manufacturer, least significant byte first.
    pub manufacturer: [u8; 2],
    /// Version (generation) of the device.
    pub version: u8,
    /// Device type (medium).
    pub device: u8,
}

impl MeterId {
    fn identity(&self) -> Identity {
        Identity {
            manufacturer: Some(manufacturer(u16::from_le_bytes(self.manufacturer))),
            number: Some(number(self.number)),
            version: Some(self.version),
            medium: Some(medium(self.device)),
        }
    }
}

/// The long header of CI 72: who the meter is, then the short header's four bytes.
pub(crate) struct LongHeader<'a> {
    pub(crate) identity: Identity,
    pub(crate) meter: MeterId,
    pub(crate) short: ShortHeader<'a>,
}

/// The header of CI 7A: access number, status, configuration word.
pub(crate) struct ShortHeader<'a> {
    pub(crate) access: u8,
    pub(crate) status: Status,
    pub(crate) configuration: u16,
    pub(crate) records: &'a [u8],
}

impl<'a> LongHeader<'a> {
    /// `None` when the data is shorter than the header's twelve bytes.
    pub(crate) fn split(data: &'a [u8]) -> Option<Self> {
        let [n0, n1, n2, n3, m0, m1, version, device, short @ ..] = data else { return None };
        let meter = MeterId {
            number: [*n0, *n1, *n2, *n3],
            manufacturer: [*m0, *m1],
            version: *version,
            device: *device,
        };
        Some(Self { identity: meter.identity(), meter, short: ShortHeader::split(short)? })
    }
}

impl<'a> ShortHeader<'a> {
    /// `None` when the data is shorter than the header's four bytes.
    pub(crate) fn split(data: &'a [u8]) -> Option<Self> {
        let [access, state, c0, c1, records @ ..] = data else { return None };
        let configuration = u16::from_le_bytes([*c0, *c1]);
        Some(Self { access: *access, status: status(*state), configuration, records })
    }

    /// The security mode under which the records are encrypted (EN 13757-7), or `None`.
    ///
    /// Meters from before encryption put a signature of their own where the configuration word is now (the corpus has
    /// one: `B627`, mode 22). So a mode that the standard gives to nobody does not make a telegram unreadable.
    pub(crate) fn encrypted(&self) -> Option<u16> {
        let mode = self.configuration >> 8 & 0x1F;
        matches!(mode, 1..=5 | 7..=10 | 13).then_some(mode)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// EN 13757-7, device types, written down anew. What is not in here is reserved, or something that no reading of a
    /// meter comes from (loggers, converters, repeaters, controllers), and keeps its code.
    const MEDIA: [(u8, &str); 29] = [
        (0x00, "other"),
        (0x01, "oil"),
        (0x02, "electricity"),
        (0x03, "gas"),
        (0x04, "heat"),
        (0x05, "steam"),
        // 30 to 90 degC.
        (0x06, "warm-water"),
        (0x07, "water"),
        (0x08, "heat-cost-allocator"),
        (0x09, "compressed-air"),
        (0x0A, "cooling-outlet"),
        (0x0B, "cooling-inlet"),
        (0x0C, "heat-inlet"),
        (0x0D, "heat-cooling"),
        (0x0E, "bus-system"),
        (0x0F, "unknown"),
        // From 90 degC on.
        (0x15, "hot-water"),
        (0x16, "cold-water"),
        (0x17, "dual-water"),
        (0x18, "pressure"),
        (0x19, "ad-converter"),
        (0x1A, "smoke-detector"),
        (0x1B, "room-sensor"),
        (0x1C, "gas-detector"),
        (0x20, "electricity-breaker"),
        (0x21, "valve"),
        (0x25, "customer-display"),
        (0x28, "waste-water"),
        (0x29, "garbage"),
    ];

    #[test]
    fn every_device_type_is_named_or_keeps_its_code() {
        for code in 0x00..=0xFF {
            let named = MEDIA.iter().find(|(listed, _)| *listed == code).map(|(_, name)| (*name).to_owned());
            let expected = named.unwrap_or_else(|| format!("device-type-{code:02X}"));
            assert_eq!(medium(code).as_str(), expected, "{code:02X}");
        }
    }

    #[test]
    fn letters_come_out_of_their_five_bits() {
        assert_eq!(manufacturer(0x1593), "ELS");
        assert_eq!(manufacturer(0x4024), "PAD");
        assert_eq!(manufacturer(0x0000), "0000");
        assert_eq!(manufacturer(0xFFFF), "FFFF");
        assert_eq!(manufacturer(0x9593), "9593");
    }

    #[test]
    fn every_status_bit_has_its_word() {
        assert_eq!(status(0), Status { battery_low: Some(false), ..Status::default() });
        assert_eq!(status(0x04).battery_low, Some(true));
        assert_eq!(
            status(0xF9).alarms,
            ["application-busy", "permanent-error", "temporary-error", "bit-5", "bit-6", "bit-7"]
        );
        assert_eq!(status(0x02).alarms, ["any-error"]);
        assert_eq!(status(0x03).alarms, ["abnormal-condition"]);
    }

    #[test]
    fn a_serial_number_keeps_zeros_and_odd_digits() {
        assert_eq!(number([0x3E, 0x02, 0x00, 0x05]), "0500023E");
    }
}
