//! Decimal digits, two to a byte: from the wire and onto it, exactly.

use weir_wire::Number;

use crate::{ByteOrder, Inexpressible};

/// The number that these BCD bytes spell, if each nibble is a digit. At most eight bytes.
pub(crate) fn bcd(bytes: &[u8], order: ByteOrder) -> Option<u64> {
    let append = |number: Option<u64>, byte: &u8| {
        let (high, low) = (byte >> 4, byte & 0x0F);
        let number = number.filter(|_| high <= 9 && low <= 9)?;
        number.checked_mul(100)?.checked_add(u64::from(high * 10 + low))
    };
    match order {
        ByteOrder::LowFirst => bytes.iter().rev().fold(Some(0), append),
        ByteOrder::HighFirst => bytes.iter().fold(Some(0), append),
    }
}

/// The BCD bytes of a number, if it has no more digits than they hold.
pub(crate) fn to_bcd<const N: usize>(mut number: u64, order: ByteOrder) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    for byte in &mut bytes {
        let pair = u8::try_from(number % 100).ok()?;
        *byte = ((pair / 10) << 4) | (pair % 10);
        number /= 100;
    }
    if order == ByteOrder::HighFirst {
        bytes.reverse();
    }
    (number == 0).then_some(bytes)
}

/// A number in BCD with a fixed count of decimal places, or why it cannot be said so. Nothing is ever rounded.
pub(crate) fn amount<const N: usize>(
    number: &Number,
    places: u8,
    order: ByteOrder,
    what: &str,
) -> Result<[u8; N], Inexpressible> {
    let wanted = u32::from(places);
    let digits = if number.places() <= wanted {
        10_i128.checked_pow(wanted - number.places()).and_then(|factor| number.digits().checked_mul(factor))
    } else {
        // More places than the meter has are no harm as long as they are zeros.
        let factor = 10_i128.checked_pow(number.places() - wanted);
        factor.filter(|factor| number.digits() % factor == 0).map(|factor| number.digits() / factor)
    };
    let digits = digits.and_then(|digits| u64::try_from(digits).ok());
    digits.and_then(|digits| to_bcd(digits, order)).ok_or_else(|| {
        Inexpressible::new(format!(
            "{what} {number}: the meter holds {} digits, {places} of them decimals",
            2 * N
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_go_onto_the_wire_as_they_come_from_it() {
        assert_eq!(to_bcd(55_667_700, ByteOrder::LowFirst), Some([0x00, 0x77, 0x66, 0x55]));
        assert_eq!(to_bcd(55_667_700, ByteOrder::HighFirst), Some([0x55, 0x66, 0x77, 0x00]));
        assert_eq!(to_bcd::<2>(10_000, ByteOrder::LowFirst), None);
        assert_eq!(bcd(&[0x1A], ByteOrder::LowFirst), None);
    }

    #[test]
    fn an_amount_is_exact_or_refused() {
        let say = |text: &str| amount::<3>(&text.parse().unwrap(), 2, ByteOrder::LowFirst, "price");
        assert_eq!(say("3.45"), Ok([0x45, 0x03, 0x00]));
        assert_eq!(say("3.4500"), Ok([0x45, 0x03, 0x00]));
        assert_eq!(say("7"), Ok([0x00, 0x07, 0x00]));
        assert_eq!(say("9999.99"), Ok([0x99, 0x99, 0x99]));
        for wrong in ["3.455", "-1", "10000"] {
            let why = say(wrong).unwrap_err().to_string();
            assert_eq!(why, format!("price {wrong}: the meter holds 6 digits, 2 of them decimals"));
        }
    }
}
