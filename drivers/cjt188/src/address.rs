//! A meter's address: the fourteen digits on its face, and the type byte that goes before them on the wire.
//!
//! A wildcard address makes every meter of a line answer at once, so no text gives one: only [`Address::BROADCAST`]
//! does, for tools that have a single meter in front of them.

use std::fmt;
use std::str::FromStr;

use weir_wire::Medium;

use crate::data::medium;

/// Cold water, the type of an address that names none.
const COLD_WATER: u8 = 0x10;
/// Type and address of a meter.
///
/// As text: the fourteen digits as printed, manufacturer code first (`78330011223344`), for any other meter than a
/// cold water meter after its type in hex and a colon (`11:78330011223344` is hot water).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    meter_type: u8,
    /// A0 to A6, the order of the wire: the last two printed digits come first.
    bytes: [u8; 7],
}

/// Why a text is no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Too few or too many digits.
    #[error("address has {found} digits, not 14: write it as printed on the meter, manufacturer code first")]
    Length {
        /// How many there were.
        found: usize,
    },
    /// Something else than a decimal digit.
    #[error("character {position} of the address is {found:?}, not a digit")]
    Digit {
        /// Its place, counted from 1.
        position: usize,
        /// The character.
        found: char,
    },
    /// The type before the colon is not two hex digits.
    #[error("meter type {found:?} is not two hex digits, such as 10 (cold water) or 11 (hot water)")]
    Type {
        /// What stood before the colon.
        found: String,
    },
    /// An address that every meter answers to.
    #[error("{found} addresses every meter on the line at once; give the meter's own address")]
    Broadcast {
        /// The address or type.
        found: String,
    },
}

impl Address {
    /// The wildcard, in the type as in each byte of the address.
    pub(crate) const ANY: u8 = 0xAA;

    /// Any type and any address. Only for a point-to-point connection: on a bus all meters answer at once.
    pub const BROADCAST: Self = Self { meter_type: Self::ANY, bytes: [Self::ANY; 7] };

    /// An address as it stands on the wire: type byte T, then A0 to A6.
    pub fn from_wire(meter_type: u8, bytes: [u8; 7]) -> Self {
        Self { meter_type, bytes }
    }

    /// The type byte T: 10H cold water, 11H hot water, 20H heat, 30H gas, AAH any.
    pub fn meter_type(&self) -> u8 {
        self.meter_type
    }

    /// What the meter measures, by its type.
    pub fn medium(&self) -> Medium {
        medium(self.meter_type)
    }

    /// A0 to A6, as on the wire.
    pub fn bytes(&self) -> [u8; 7] {
        self.bytes
    }

    /// T, then A0 to A6.
    pub(crate) fn wire(&self) -> [u8; 8] {
        let [a0, a1, a2, a3, a4, a5, a6] = self.bytes;
        [self.meter_type, a0, a1, a2, a3, a4, a5, a6]
    }

    /// The fourteen digits as printed on the meter, A6 first.
    pub fn number(&self) -> String {
        self.bytes.iter().rev().map(|byte| format!("{byte:02X}")).collect()
    }

    /// The manufacturer code A6 A5: the first four printed digits.
    pub fn manufacturer(&self) -> String {
        self.number().chars().take(4).collect()
    }

    /// Whether more meters than one obey it: it has a wildcard, or is 99 × 7, a second broadcast address by one source
    /// (ng-gateway).
    pub fn is_shared(&self) -> bool {
        self.wire().contains(&Self::ANY) || self.bytes == [0x99; 7]
    }

    /// Whether a meter that answers with `answer` may have been meant by this address.
    pub fn admits(&self, answer: &Self) -> bool {
        self.wire().into_iter().zip(answer.wire()).all(|(asked, found)| asked == found || asked == Self::ANY)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.meter_type != COLD_WATER {
            write!(f, "{:02X}:", self.meter_type)?;
        }
        f.write_str(&self.number())
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (meter_type, digits) = match text.split_once(':') {
            Some((meter_type, digits)) => (type_of(meter_type)?, digits),
            None => (COLD_WATER, text),
        };
        let broadcast = |digit: char| !digits.is_empty() && digits.chars().all(|found| found == digit);
        // 99×7 is a second broadcast address in one public driver (ng-gateway).
        if broadcast('A') || broadcast('a') || (broadcast('9') && digits.len() == 14) {
            return Err(AddressError::Broadcast { found: digits.into() });
        }
        let skipped = text.chars().count() - digits.chars().count();
        if let Some((index, found)) = digits.chars().enumerate().find(|(_, digit)| !digit.is_ascii_digit()) {
            return Err(AddressError::Digit { position: skipped + index + 1, found });
        }
        let printed: Vec<u8> = digits
            .as_bytes()
            .chunks(2)
            .map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | (digit & 0x0F)))
            .collect();
        let mut bytes: [u8; 7] = match (digits.len(), printed.try_into()) {
            (14, Ok(bytes)) => bytes,
            (found, _) => return Err(AddressError::Length { found }),
        };
        bytes.reverse();
        Ok(Self { meter_type, bytes })
    }
}

fn type_of(text: &str) -> Result<u8, AddressError> {
    let two_hex = text.len() == 2 && text.bytes().all(|digit| digit.is_ascii_hexdigit());
    match u8::from_str_radix(text, 16) {
        Ok(Address::ANY) if two_hex => Err(AddressError::Broadcast { found: format!("type {text}") }),
        Ok(meter_type) if two_hex => Ok(meter_type),
        _ => Err(AddressError::Type { found: text.into() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_printed_digits_go_on_the_wire_backwards() {
        let address: Address = "78330011223344".parse().unwrap();
        assert_eq!(address.bytes(), [0x44, 0x33, 0x22, 0x11, 0x00, 0x33, 0x78]);
        assert_eq!((address.meter_type(), address.manufacturer().as_str()), (0x10, "7833"));
        assert_eq!(address.to_string(), "78330011223344");
        let hot: Address = "11:00000000000012".parse().unwrap();
        assert_eq!((hot.meter_type(), hot.to_string().as_str()), (0x11, "11:00000000000012"));
    }

    #[test]
    fn a_wrong_address_says_what_is_wrong_with_it_and_where() {
        let fails = |text: &str| text.parse::<Address>().unwrap_err();
        assert_eq!(fails("783300112233"), AddressError::Length { found: 12 });
        assert_eq!(fails("7833001122334455"), AddressError::Length { found: 16 });
        assert_eq!(fails(""), AddressError::Length { found: 0 });
        assert_eq!(fails("7833001122334"), AddressError::Length { found: 13 });
        assert_eq!(fails("7833O011223344"), AddressError::Digit { position: 5, found: 'O' });
        assert_eq!(fails("11:7833O011223344"), AddressError::Digit { position: 8, found: 'O' });
        assert_eq!(fails("水330011223344"), AddressError::Digit { position: 1, found: '水' });
        assert_eq!(fails("1:78330011223344"), AddressError::Type { found: "1".into() });
        assert_eq!(fails("+1:78330011223344"), AddressError::Type { found: "+1".into() });
    }

    #[test]
    fn a_wildcard_anywhere_makes_an_address_of_many() {
        let own: Address = "78330011223344".parse().unwrap();
        assert!(!own.is_shared() && Address::BROADCAST.is_shared());
        assert!(Address::from_wire(0x10, [0x99; 7]).is_shared());
        assert!(Address::from_wire(Address::ANY, own.bytes()).is_shared());
        for place in 0..7 {
            let mut bytes = own.bytes();
            bytes[place] = 0xAA;
            assert!(Address::from_wire(0x10, bytes).is_shared(), "byte {place}");
        }
    }

    #[test]
    fn no_text_addresses_every_meter_at_once() {
        for text in ["AAAAAAAAAAAAAA", "aaaaaaaaaaaaaa", "99999999999999", "AA:78330011223344"] {
            assert!(matches!(text.parse::<Address>(), Err(AddressError::Broadcast { .. })), "{text}");
        }
    }
}
