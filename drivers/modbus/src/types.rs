//! What registers hold: types, byte orders, and the exact value of their bytes.
//!
//! A field's bytes are first put into plain big-endian order and then read, so that orders and types do not multiply.

use weir_wire::{Content, Number};

use crate::frame::FunctionCode;
use crate::plan::Block;

/// How the bytes of a field of several registers follow each other on the wire. `A` is the most significant byte of a
/// 32-bit value; for other lengths the same two swaps apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    /// The last register is the most significant.
    reversed_registers: bool,
    /// Each register's low byte comes first, against the standard.
    swapped_bytes: bool,
}

impl Order {
    /// The standard's order.
    pub(crate) const ABCD: Self = Self { reversed_registers: false, swapped_bytes: false };

    /// All orders by their names.
    pub(crate) const NAMES: [(&str, Self); 4] = [
        ("ABCD", Self::ABCD),
        ("CDAB", Self { reversed_registers: true, swapped_bytes: false }),
        ("BADC", Self { reversed_registers: false, swapped_bytes: true }),
        ("DCBA", Self { reversed_registers: true, swapped_bytes: true }),
    ];

    /// Wire bytes to most significant byte first.
    pub(crate) fn sorted(self, wire: &[u8]) -> Vec<u8> {
        let mut registers: Vec<&[u8]> = wire.chunks(2).collect();
        if self.reversed_registers {
            registers.reverse();
        }
        let mut sorted: Vec<u8> = Vec::with_capacity(wire.len());
        for register in registers {
            if self.swapped_bytes {
                sorted.extend(register.iter().rev());
            } else {
                sorted.extend(register);
            }
        }
        sorted
    }
}

/// How a field's bits are to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Unsigned integer; also bit fields.
    Unsigned,
    /// Two's complement integer.
    Signed,
    /// IEEE 754, 32 or 64 bits by the field's length.
    Float,
    /// Decimal digits, two a byte.
    Bcd,
    /// Text, padded with NUL or blanks.
    Ascii,
}

/// The types by their names, with the registers each takes; `None` where the profile must say.
pub(crate) const TYPES: [(&str, (Kind, Option<u16>)); 11] = [
    ("u16", (Kind::Unsigned, Some(1))),
    ("i16", (Kind::Signed, Some(1))),
    ("u32", (Kind::Unsigned, Some(2))),
    ("i32", (Kind::Signed, Some(2))),
    ("u64", (Kind::Unsigned, Some(4))),
    ("i64", (Kind::Signed, Some(4))),
    ("f32", (Kind::Float, Some(2))),
    ("f64", (Kind::Float, Some(4))),
    ("bcd", (Kind::Bcd, None)),
    ("ascii", (Kind::Ascii, None)),
    ("bitfield", (Kind::Unsigned, Some(1))),
];

/// Where something stands and how it is coded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) function: FunctionCode,
    /// On the wire, from 0.
    pub(crate) address: u16,
    /// Registers, 1 to 125.
    pub(crate) length: u16,
    pub(crate) kind: Kind,
    pub(crate) order: Order,
    /// Bit patterns that mean "no value".
    pub(crate) invalid: Vec<u64>,
    /// Which bits of an unsigned field count; the lowest of them has the value 1.
    pub(crate) mask: Option<u64>,
}

impl Field {
    /// The registers it takes.
    pub(crate) fn block(&self) -> Block {
        Block { function: self.function, start: self.address, count: self.length }
    }

    /// The type as a profile names it, with its length where the name does not tell it.
    pub(crate) fn coding(&self) -> String {
        let named =
            TYPES.iter().find(|(_, (kind, length))| *kind == self.kind && *length == Some(self.length));
        let name = match (self.kind, named) {
            (_, Some((name, _))) => (*name).to_owned(),
            (Kind::Bcd, _) => format!("bcd, {} digits", u32::from(self.length) * 4),
            (Kind::Ascii, _) => format!("ascii, {} bytes", u32::from(self.length) * 2),
            _ => format!("{} bits", u32::from(self.length) * 16),
        };
        let order = Order::NAMES.iter().find(|(_, order)| *order == self.order).map(|(name, _)| *name);
        let order = order.filter(|_| self.order != Order::ABCD && self.length > 1);
        let mask = self.mask.map(|mask| format!("mask 0x{mask:X}"));
        [Some(name), order.map(str::to_owned), mask].into_iter().flatten().collect::<Vec<_>>().join(" ")
    }

    /// Bytes in big-endian order.
    pub(crate) fn sorted(&self, wire: &[u8]) -> Vec<u8> {
        self.order.sorted(wire)
    }

    /// The field as an unsigned integer, whatever its kind; `None` if it is marked as invalid or has over 64 bits.
    pub(crate) fn bits(&self, wire: &[u8]) -> Option<u64> {
        let bits = unsigned(&self.sorted(wire))?;
        (!self.invalid.contains(&bits)).then(|| self.masked(bits))
    }

    fn masked(&self, bits: u64) -> u64 {
        self.mask.map_or(bits, |mask| (bits & mask).checked_shr(mask.trailing_zeros()).unwrap_or(0))
    }

    /// What the field says: a number, a text, or why neither.
    pub(crate) fn content(&self, wire: &[u8]) -> Content {
        let sorted = self.sorted(wire);
        if let Some(bits) = unsigned(&sorted).filter(|bits| self.invalid.contains(bits)) {
            return Content::Invalid(format!("the meter marks it invalid: {bits:#X}"));
        }
        match self.kind {
            Kind::Unsigned => {
                unsigned(&sorted).map_or_else(too_long, |bits| integer(self.masked(bits).into()))
            }
            Kind::Signed => signed(&sorted).map_or_else(too_long, |bits| integer(bits.into())),
            Kind::Float => float(&sorted),
            Kind::Bcd => match digits(&sorted) {
                Some(digits) => digits.parse().map_or(Content::Text(digits), Content::Number),
                None => Content::Invalid("not decimal digits".into()),
            },
            Kind::Ascii => {
                text(&sorted).map_or_else(|| Content::Invalid("not printable ASCII".into()), Content::Text)
            }
        }
    }

    /// The field as an identification, with its leading zeros; `None` if it is invalid or empty.
    pub(crate) fn identification(&self, wire: &[u8]) -> Option<String> {
        let name = match (self.kind, self.content(wire)) {
            (Kind::Bcd, Content::Number(_) | Content::Text(_)) => digits(&self.sorted(wire))?,
            (_, Content::Number(number)) => number.to_string(),
            (_, Content::Text(text)) => text,
            _ => return None,
        };
        (!name.is_empty()).then_some(name)
    }
}

fn too_long() -> Content {
    Content::Invalid("more than 64 bits".into())
}

fn integer(digits: i128) -> Content {
    Number::scaled(digits, 0).map_or_else(|why| Content::Invalid(why.to_string()), Content::Number)
}

fn unsigned(sorted: &[u8]) -> Option<u64> {
    (sorted.len() <= 8).then(|| sorted.iter().fold(0, |bits, byte| bits << 8 | u64::from(*byte)))
}

fn signed(sorted: &[u8]) -> Option<i64> {
    let unused = 64_u32.checked_sub(u32::try_from(sorted.len()).ok()?.checked_mul(8)?)?;
    Some(unsigned(sorted)?.checked_shl(unused)?.cast_signed() >> unused)
}

/// The decimal that names the float, or why there is none. What has too many digits for a number stays as text.
fn float(sorted: &[u8]) -> Content {
    let (number, shown) = match *sorted {
        [a, b, c, d] => {
            let float = f32::from_be_bytes([a, b, c, d]);
            (Number::from_f32(float), float.to_string())
        }
        [a, b, c, d, e, f, g, h] => {
            let float = f64::from_be_bytes([a, b, c, d, e, f, g, h]);
            (Number::from_f64(float), float.to_string())
        }
        _ => return Content::Invalid("not a float of 32 or 64 bits".into()),
    };
    match number {
        Ok(number) => Content::Number(number),
        Err(weir_wire::NumberError::TooLong) => Content::Text(shown),
        Err(weir_wire::NumberError::NotANumber) => Content::Invalid(shown),
    }
}

fn digits(sorted: &[u8]) -> Option<String> {
    let nibbles = sorted.iter().flat_map(|byte| [byte >> 4, byte & 0x0F]);
    nibbles.map(|nibble| char::from_digit(nibble.into(), 10)).collect()
}

/// Two characters to a register, or one in the low byte of each: the Octave's number is read so by the program that its
/// profile follows. A high byte of 0 in every register says which, since no packed text has one.
fn text(sorted: &[u8]) -> Option<String> {
    let low_byte = |register: &[u8]| if let [0, low] = register { Some(*low) } else { None };
    let one_to_a_register: Option<Vec<u8>> = sorted.chunks(2).map(low_byte).collect();
    let sorted = one_to_a_register.as_deref().unwrap_or(sorted);
    let end = sorted.iter().position(|byte| *byte == 0).unwrap_or(sorted.len());
    let (text, padding) = sorted.split_at_checked(end)?;
    let printable = |byte: &u8| matches!(byte, b' '..=b'~');
    (text.iter().all(printable) && padding.iter().all(|byte| *byte == 0))
        .then(|| text.iter().copied().map(char::from).collect::<String>().trim().to_owned())
}

#[cfg(test)]
mod tests;
