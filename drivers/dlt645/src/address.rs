//! A meter's address: the twelve digits on its face.
//!
//! High digits that nobody knows can be left to the meter as AA (shortened address); it answers with all of them. An address
//! of nothing but AA makes every meter of a line answer at once, so no text gives it: only [`Address::ANY`] does, for
//! tools that have a single meter in front of them.

use std::fmt;
use std::str::FromStr;

/// Stands for any two digits.
const WILDCARD: u8 = 0xAA;

/// Six bytes of two digits each. As text: twelve digits as printed, the highest first; unknown ones at the front as `AA`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Address([u8; 6]);

/// Why a text is no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Too few or too many digits.
    #[error("address has {found} digits, not 12: write it as printed on the meter, with its leading zeros")]
    Length {
        /// How many there were.
        found: usize,
    },
    /// Something else than a decimal digit, or AA elsewhere than in front.
    #[error("character {position} of the address is {found:?}, not a digit")]
    Digit {
        /// Its place, counted from 1.
        position: usize,
        /// The character.
        found: char,
    },
    /// An address that every meter answers to, or none.
    #[error("{found} addresses every meter on the line at once; give the meter's own address")]
    Broadcast {
        /// The address.
        found: String,
    },
}

impl Address {
    /// Any meter. Only for a point-to-point connection: on a bus all meters answer at once.
    pub const ANY: Self = Self([WILDCARD; 6]);

    /// An address as it stands on the wire: A0 to A5, the last two printed digits first.
    pub fn from_wire(bytes: [u8; 6]) -> Self {
        Self(bytes)
    }

    /// A0 to A5, as on the wire.
    pub fn wire(&self) -> [u8; 6] {
        self.0
    }

    /// Whether some digits are left to the meter.
    pub fn is_shortened(&self) -> bool {
        self.0.contains(&WILDCARD)
    }

    /// Whether a meter that answers with `answer` may have been meant by this address.
    pub fn admits(&self, answer: &Self) -> bool {
        self.0.iter().zip(answer.0).all(|(asked, found)| *asked == found || *asked == WILDCARD)
    }

    /// The same for the bytes of the address that have arrived so far.
    pub(crate) fn admits_start(&self, found: &[u8]) -> bool {
        self.0.iter().zip(found).all(|(asked, found)| asked == found || *asked == WILDCARD)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().rev().try_for_each(|byte| write!(f, "{byte:02X}"))
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let known = text.trim_start_matches("AA");
        let skipped = text.chars().count() - known.chars().count();
        if let Some((index, found)) = known.chars().enumerate().find(|(_, digit)| !digit.is_ascii_digit()) {
            return Err(AddressError::Digit { position: skipped + index + 1, found });
        }
        if text.len() != 12 {
            return Err(AddressError::Length { found: text.len() });
        }
        // 99×6 is the broadcast that nobody answers (cnblogs.com/windowsxpxp/p/18467018).
        if known.is_empty() || known == "999999999999" {
            return Err(AddressError::Broadcast { found: text.into() });
        }
        let mut bytes = [WILDCARD; 6];
        for (byte, pair) in bytes.iter_mut().zip(known.as_bytes().rchunks(2)) {
            *byte = pair.iter().fold(0, |byte, digit| byte << 4 | (digit & 0x0F));
        }
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_printed_digits_go_on_the_wire_backwards() {
        let address: Address = "202107072529".parse().unwrap();
        assert_eq!(address.wire(), [0x29, 0x25, 0x07, 0x07, 0x21, 0x20]);
        assert_eq!((address.to_string().as_str(), address.is_shortened()), ("202107072529", false));
    }

    #[test]
    fn a_shortened_address_admits_whatever_ends_so() {
        let short: Address = "AAAAAAAA2529".parse().unwrap();
        assert_eq!(short.wire(), [0x29, 0x25, 0xAA, 0xAA, 0xAA, 0xAA]);
        assert!(short.is_shortened() && short.admits(&"202107072529".parse().unwrap()));
        assert!(!short.admits(&"202107072530".parse().unwrap()));
        assert_eq!(short.to_string(), "AAAAAAAA2529");
    }

    #[test]
    fn a_wrong_address_says_what_is_wrong_with_it_and_where() {
        let fails = |text: &str| text.parse::<Address>().unwrap_err();
        assert_eq!(fails("20210707252"), AddressError::Length { found: 11 });
        assert_eq!(fails(""), AddressError::Length { found: 0 });
        assert_eq!(fails("20210707252O"), AddressError::Digit { position: 12, found: 'O' });
        assert_eq!(fails("2021AA072529"), AddressError::Digit { position: 5, found: 'A' });
        assert_eq!(fails("AAA107072529"), AddressError::Digit { position: 3, found: 'A' });
        assert_eq!(fails("电2107072529"), AddressError::Digit { position: 1, found: '电' });
        for text in ["AAAAAAAAAAAA", "999999999999"] {
            assert_eq!(fails(text), AddressError::Broadcast { found: text.into() });
        }
    }
}
