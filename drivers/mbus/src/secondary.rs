//! Secondary addresses: who a meter is from the factory, used to select it on a line (EN 13757-3, CI 52).
//!
//! A secondary address is what the long header of an answer says: identification number, manufacturer, version, medium.
//! Selecting, each digit of the number and each byte of the rest may be left open with F (FF), so the same type is the
//! address of one meter and the mask of many.

use std::fmt;
use std::str::FromStr;

use crate::AddressError;
use crate::afl::Afl;
use crate::frame::Frame;
use crate::header::{self, LongHeader, MeterId};

/// A wildcard for a byte; its half is one for a digit of the number.
const ANY_BYTE: u8 = 0xFF;
const ANY_DIGIT: u8 = 0xF;
/// Digits of the identification number.
pub(crate) const DIGITS: usize = 8;

/// The secondary address of a meter, or a mask over those of many.
///
/// Written `12345678.ELS.02.07`: eight digits of the number as printed on the meter, the manufacturer's three letters
/// (or four hex digits), version and medium in two hex digits each. `F` leaves a digit of the number open, `*` any of
/// the other fields, and what is open at the end may be left out: `12345678`, `1234FFFF`, `12345678.*.*.07`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Secondary([u8; 8]);

impl Secondary {
    /// The mask that every meter fits.
    pub const ANY: Self = Self([ANY_BYTE; 8]);

    /// The address as CI 52 carries it: the number in BCD, lowest digits first; manufacturer, low byte first; version;
    /// medium.
    pub fn from_wire(bytes: [u8; 8]) -> Self {
        Self(bytes)
    }

    /// The reverse of [`Secondary::from_wire`].
    pub fn wire(&self) -> [u8; 8] {
        self.0
    }

    /// Digit `index` of the number, the leftmost being 0; `None` when it is open.
    pub(crate) fn digit(&self, index: usize) -> Option<u8> {
        let byte = self.0.get(3_usize.checked_sub(index / 2)?)?;
        let digit = if index.is_multiple_of(2) { byte >> 4 } else { byte & 0xF };
        (digit != ANY_DIGIT).then_some(digit)
    }

    /// The same with digit `index` of the number set.
    #[must_use]
    pub(crate) fn with_digit(mut self, index: usize, digit: u8) -> Self {
        if let Some(byte) = 3_usize.checked_sub(index / 2).and_then(|at| self.0.get_mut(at)) {
            *byte =
                if index.is_multiple_of(2) { *byte & 0x0F | digit << 4 } else { *byte & 0xF0 | digit & 0xF };
        }
        self
    }

    /// A byte behind the number by its place on the wire (4, 5: manufacturer, 6: version, 7: medium); `None`: open.
    pub(crate) fn byte(&self, index: usize) -> Option<u8> {
        self.0.get(index).copied().filter(|byte| *byte != ANY_BYTE)
    }

    /// The same with that byte set.
    #[must_use]
    pub(crate) fn with_byte(mut self, index: usize, value: u8) -> Self {
        if let Some(byte) = self.0.get_mut(index) {
            *byte = value;
        }
        self
    }

    /// The eight digits as an answer tells them; `None` while one is open.
    pub fn number(&self) -> Option<String> {
        let [n0, n1, n2, n3, ..] = self.0;
        (0..DIGITS).all(|index| self.digit(index).is_some()).then(|| header::number([n0, n1, n2, n3]))
    }

    /// The manufacturer's letters, or its code in hex where it is none; `None` while it is open.
    pub fn manufacturer(&self) -> Option<String> {
        let [_, _, _, _, m0, m1, ..] = self.0;
        ([m0, m1] != [ANY_BYTE; 2]).then(|| header::manufacturer(u16::from_le_bytes([m0, m1])))
    }

    /// The version; `None` while it is open.
    pub fn version(&self) -> Option<u8> {
        self.byte(6)
    }

    /// The medium's name; `None` while it is open.
    pub fn medium(&self) -> Option<weir_wire::Medium> {
        self.byte(7).map(header::medium)
    }

    /// Whether nothing is open.
    pub fn is_exact(&self) -> bool {
        self.number().is_some() && (4..8).all(|index| self.byte(index).is_some())
    }

    /// Whether a meter with this address fits the mask. What `other` leaves open fits.
    pub fn covers(&self, other: &Self) -> bool {
        let digits = (0..DIGITS).all(|index| fits(self.digit(index), other.digit(index)));
        digits && (4..8).all(|index| fits(self.byte(index), other.byte(index)))
    }

    /// Who a frame says it is from; `None` where it does not say. The fixed structure names its number alone.
    pub(crate) fn of(frame: &Frame<'_>) -> Option<Self> {
        if frame.information != 0x90 {
            return Self::announced(frame.information, frame.data);
        }
        let (information, data) = Afl::split(frame.data).ok()?.telegram.split_first()?;
        Self::announced(*information, data)
    }

    fn announced(information: u8, data: &[u8]) -> Option<Self> {
        match (information, data) {
            (0x72, data) => {
                let MeterId { number: [n0, n1, n2, n3], manufacturer: [m0, m1], version, device } =
                    LongHeader::split(data)?.meter;
                Some(Self([n0, n1, n2, n3, m0, m1, version, device]))
            }
            (0x73, [n0, n1, n2, n3, _, _, _, _, ..]) => {
                let open = ANY_BYTE;
                Some(Self([*n0, *n1, *n2, *n3, open, open, open, open]))
            }
            _ => None,
        }
    }

    /// Who a meter with this address is, when nothing is open.
    pub fn meter(&self) -> Option<MeterId> {
        let [n0, n1, n2, n3, m0, m1, version, device] = self.0;
        let meter = MeterId { number: [n0, n1, n2, n3], manufacturer: [m0, m1], version, device };
        self.is_exact().then_some(meter)
    }
}

fn fits(mask: Option<u8>, own: Option<u8>) -> bool {
    mask.is_none() || own.is_none() || mask == own
}

impl fmt::Display for Secondary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [n0, n1, n2, n3, ..] = self.0;
        f.write_str(&header::number([n0, n1, n2, n3]))?;
        let byte = |index| self.byte(index).map(|byte| format!("{byte:02X}"));
        let rest = [self.manufacturer(), byte(6), byte(7)];
        let last = rest.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
        rest.into_iter().take(last).try_for_each(|field| write!(f, ".{}", field.as_deref().unwrap_or("*")))
    }
}

impl FromStr for Secondary {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let wrong = |why: &str| AddressError::NotSecondary { text: text.to_owned(), why: why.to_owned() };
        let mut fields = text.split('.');
        let digits = fields.next().unwrap_or_default();
        let is_number = digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = u32::from_str_radix(digits, 16).ok().filter(|_| is_number);
        let number = number.ok_or_else(|| wrong("it begins with eight digits, F for one that is open"))?;
        let [n0, n1, n2, n3] = number.to_le_bytes();
        let code = match fields.next() {
            None | Some("*") => u16::MAX,
            Some(field) => manufacturer_code(field)
                .ok_or_else(|| wrong("the manufacturer is three letters, four hex digits or *"))?,
        };
        let [m0, m1] = code.to_le_bytes();
        let mut byte = |name: &str| match fields.next() {
            None | Some("*") => Ok(ANY_BYTE),
            Some(field) => {
                let is_byte = field.len() == 2 && field.bytes().all(|byte| byte.is_ascii_hexdigit());
                let byte = u8::from_str_radix(field, 16).ok().filter(|_| is_byte);
                byte.ok_or_else(|| wrong(&format!("the {name} is two hex digits or *")))
            }
        };
        let (version, medium) = (byte("version")?, byte("medium")?);
        match fields.next() {
            Some(_) => Err(wrong("nothing stands behind the medium")),
            None => Ok(Self([n0, n1, n2, n3, m0, m1, version, medium])),
        }
    }
}

/// Three letters in five bits each (EN 13757-7), or the code in hex.
fn manufacturer_code(field: &str) -> Option<u16> {
    let letters = field.to_ascii_uppercase();
    if letters.len() == 3 && letters.bytes().all(|letter| letter.is_ascii_uppercase()) {
        return Some(letters.bytes().fold(0, |code, letter| code << 5 | u16::from(letter - b'A' + 1)));
    }
    let is_code = field.len() == 4 && field.bytes().all(|byte| byte.is_ascii_hexdigit());
    u16::from_str_radix(field, 16).ok().filter(|_| is_code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parsed(text: &str) -> Secondary {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_lies_on_the_wire_as_in_the_header_of_an_answer() {
        let wire = [0x78, 0x56, 0x34, 0x12, 0x93, 0x15, 0x02, 0x07];
        assert_eq!(parsed("12345678.ELS.02.07").wire(), wire);
        assert_eq!(parsed("12345678.els.02.07").wire(), wire);
        assert_eq!(parsed("12345678.1593.02.07").wire(), wire);
        assert_eq!(parsed("12345678").wire(), [0x78, 0x56, 0x34, 0x12, 0xFF, 0xFF, 0xFF, 0xFF]);
        assert_eq!(parsed("FFFF5678.*.02").wire(), [0x78, 0x56, 0xFF, 0xFF, 0xFF, 0xFF, 0x02, 0xFF]);
    }

    #[test]
    fn what_is_no_secondary_address_says_why() {
        for (text, why) in [
            ("1234567", "eight digits"),
            ("", "eight digits"),
            ("+2345678", "eight digits"),
            ("123456789", "eight digits"),
            ("12345678.", "three letters"),
            ("12345678.EL", "three letters"),
            ("12345678.+123", "three letters"),
            ("12345678.ELS.2", "version is two hex digits"),
            ("12345678.ELS.+2", "version is two hex digits"),
            ("12345678.ELS.02.7X", "medium is two hex digits"),
            ("12345678.ELS.02.07.1", "nothing stands behind"),
        ] {
            let error = text.parse::<Secondary>().unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn open_digits_and_fields_cover_any() {
        let meter = parsed("12345678.ELS.02.07");
        for mask in
            ["FFFFFFFF", "12345678", "1FFFFFF8", "FFFFFFFF.ELS", "FFFFFFFF.*.*.07", "12345678.ELS.02.07"]
        {
            assert!(parsed(mask).covers(&meter), "{mask}");
        }
        for mask in ["2FFFFFFF", "1FFFFFF9", "FFFFFFFF.ELR", "FFFFFFFF.*.03", "12345678.ELS.02.06"] {
            assert!(!parsed(mask).covers(&meter), "{mask}");
        }
        // A meter of the fixed structure does not say who made it.
        assert!(meter.covers(&parsed("12345678")));
    }

    proptest! {
        #[test]
        fn every_address_is_read_back_as_it_is_written(wire: [u8; 8]) {
            let address = Secondary::from_wire(wire);
            prop_assert_eq!(address.to_string().parse::<Secondary>().unwrap(), address);
        }

        #[test]
        fn a_digit_is_set_alone(wire: [u8; 8], index in 0..DIGITS, digit in 0..15_u8) {
            let before = Secondary::from_wire(wire);
            let after = before.with_digit(index, digit);
            for other in 0..DIGITS {
                let expected = if other == index { Some(digit) } else { before.digit(other) };
                prop_assert_eq!(after.digit(other), expected);
            }
            prop_assert_eq!(&after.wire()[4..], &wire[4..]);
        }

        #[test]
        fn no_text_is_too_strange(text in "[0-9A-Fa-f.*+é]{0,24}") {
            let _ = text.parse::<Secondary>();
        }
    }
}
