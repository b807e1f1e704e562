//! The key of a meter, which is shown to nobody.

use std::fmt;
use std::str::FromStr;

/// Bytes of an AES-128 key.
const KEY_BYTES: usize = 16;

/// The AES-128 key of one meter. Neither `Debug` nor any message of this crate shows it.
#[derive(Clone)]
pub struct Key([u8; KEY_BYTES]);

/// Why a text is no key. Says nothing of the text but its length.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Another number of characters.
    #[error("a key has 32 hex digits and not {0} characters")]
    Length(usize),
    /// The right number, and not all are hex digits.
    #[error("a key has hex digits only")]
    NoHex,
}

impl Key {
    /// The key's bytes, first digit first.
    pub fn new(bytes: [u8; KEY_BYTES]) -> Self {
        Self(bytes)
    }

    /// For the cipher.
    pub(crate) fn bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }
}

impl FromStr for Key {
    type Err = KeyError;

    /// 32 hex digits, with white space before and behind them at most.
    fn from_str(text: &str) -> Result<Self, KeyError> {
        let text = text.trim();
        let length = text.chars().count();
        if length != 2 * KEY_BYTES {
            return Err(KeyError::Length(length));
        }
        let mut digits =
            text.chars().map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok()));
        let mut bytes = [0; KEY_BYTES];
        for byte in &mut bytes {
            let mut digit = || digits.next().flatten().ok_or(KeyError::NoHex);
            *byte = digit()? << 4 | digit()?;
        }
        Ok(Self(bytes))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(not shown)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGITS: &str = "000102030405060708090A0b0c0D0E0F";

    #[test]
    fn a_key_is_its_digits_in_order_and_shows_none_of_them() {
        let key: Key = format!("\n {DIGITS}\r\n").parse().unwrap();
        assert_eq!(key.0, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
        assert_eq!(format!("{key:?}{key:#?}"), "Key(not shown)Key(not shown)");
    }

    #[test]
    fn what_is_no_key_is_refused_without_being_repeated() {
        for (text, error) in [
            ("", KeyError::Length(0)),
            (&DIGITS[1..], KeyError::Length(31)),
            (&DIGITS.repeat(2), KeyError::Length(64)),
            (&DIGITS.replace("0A", "0x"), KeyError::NoHex),
            (&DIGITS.replace("0A", "  "), KeyError::NoHex),
            (&DIGITS.replace("0A", "0Ä"), KeyError::NoHex),
        ] {
            let refused = text.parse::<Key>().unwrap_err();
            assert_eq!(refused, error, "{text}");
            assert!(text.is_empty() || !refused.to_string().contains(text));
        }
    }
}
