//! Data information block (EN 13757-3, DIF and DIFE): where a value belongs in the meter, and how its data is coded.

use weir_wire::Function;

use crate::record::Broken;

/// DIFEs in a block, at most (EN 13757-3): storage has then 41 bits, tariff 20, subunit 10.
const DIFE_MAX: usize = 10;
/// The bit that says another DIFE (or VIFE) follows.
pub(crate) const EXTENSION: u8 = 0x80;

/// A data information block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dib {
    pub(crate) function: Function,
    pub(crate) storage: u64,
    pub(crate) tariff: u32,
    pub(crate) subunit: u16,
    pub(crate) coding: Coding,
    /// There are more DIFEs than the standard allows, and what the further ones say is not in here. The block's length and
    /// the data's are known all the same.
    pub(crate) overlong: bool,
}

/// What a block means that says nothing.
const UNTOLD: Dib = Dib {
    function: Function::Instantaneous,
    storage: 0,
    tariff: 0,
    subunit: 0,
    coding: Coding::None,
    overlong: false,
};

/// How a record's data is coded, and with that how long it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    /// No data.
    None,
    /// Binary integer of so many bytes, least significant first.
    Integer(usize),
    /// 32-bit IEEE 754 real.
    Real,
    /// Packed decimal of so many bytes, two digits each, least significant first.
    Bcd(usize),
    /// Its first byte (LVAR) tells.
    Variable,
    /// Selection for readout: no data.
    Selection,
}

/// Reads the block at the start of `bytes`, as far as it goes; with it comes how many bytes it takes, or where it stops.
pub(crate) fn split(bytes: &[u8]) -> (Dib, Result<usize, Broken>) {
    let mut dib = UNTOLD;
    let length = dib.fill(bytes);
    (dib, length)
}

impl Dib {
    fn fill(&mut self, bytes: &[u8]) -> Result<usize, Broken> {
        let (&dif, mut rest) = bytes.split_first().ok_or(Broken::EndsInDib)?;
        // First: the upper bits of a reserved DIF stand for no function.
        self.coding = coding(dif)?;
        self.function = match dif >> 4 & 3 {
            0 => Function::Instantaneous,
            1 => Function::Maximum,
            2 => Function::Minimum,
            _ => Function::DuringError,
        };
        self.storage = u64::from(dif >> 6 & 1);
        let (mut last, mut count) = (dif, 0);
        while last & EXTENSION != 0 {
            (last, rest) = rest.split_first().map(|(dife, rest)| (*dife, rest)).ok_or(Broken::EndsInDib)?;
            self.overlong = count == DIFE_MAX;
            if !self.overlong {
                self.storage |= u64::from(last & 0x0F) << (1 + 4 * count);
                self.tariff |= u32::from(last >> 4 & 3) << (2 * count);
                self.subunit |= u16::from(last >> 6 & 1) << count;
                count += 1;
            }
        }
        Ok(bytes.len() - rest.len())
    }
}

fn coding(dif: u8) -> Result<Coding, Broken> {
    Ok(match dif & 0x0F {
        0x0 => Coding::None,
        bytes @ 0x1..=0x4 => Coding::Integer(usize::from(bytes)),
        0x5 => Coding::Real,
        0x6 => Coding::Integer(6),
        0x7 => Coding::Integer(8),
        0x8 => Coding::Selection,
        digits @ 0x9..=0xC => Coding::Bcd(usize::from(digits - 8)),
        0xD => Coding::Variable,
        0xE => Coding::Bcd(6),
        _ => return Err(Broken::ReservedDif(dif)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_data_field_has_its_length() {
        let lengths: Vec<Coding> = (0x00..=0x0E).map(|dif| split(&[dif]).0.coding).collect();
        use Coding::{Bcd, Integer, None, Real, Selection, Variable};
        assert_eq!(
            lengths,
            [
                None,
                Integer(1),
                Integer(2),
                Integer(3),
                Integer(4),
                Real,
                Integer(6),
                Integer(8),
                Selection,
                Bcd(1),
                Bcd(2),
                Bcd(3),
                Bcd(4),
                Variable,
                Bcd(6)
            ]
        );
        assert_eq!(split(&[0x7F]), (UNTOLD, Err(Broken::ReservedDif(0x7F))));
    }

    #[test]
    fn ten_dife_fill_every_bit_of_storage_tariff_and_subunit() {
        let mut block = vec![0xF4];
        block.extend([0xFF; 9]);
        block.push(0x7F);
        let (dib, length) = split(&block);
        assert_eq!((dib.storage, dib.tariff, dib.subunit), ((1 << 41) - 1, (1 << 20) - 1, (1 << 10) - 1));
        assert_eq!((dib.function, length), (Function::DuringError, Ok(11)));
    }

    #[test]
    fn a_block_that_breaks_off_keeps_what_it_has_said() {
        let (dib, length) = split(&[0x92, 0x90]);
        assert_eq!((dib.function, dib.tariff, length), (Function::Maximum, 1, Err(Broken::EndsInDib)));
        assert_eq!(split(&[]), (UNTOLD, Err(Broken::EndsInDib)));
    }

    #[test]
    fn an_eleventh_dife_changes_nothing_of_what_ten_have_said_but_is_counted() {
        let mut block = vec![0x84];
        block.extend([0x80; 9]);
        block.push(0x01);
        let (ten, length) = split(&block);
        assert_eq!((ten.storage, ten.overlong, length), (1 << 37, false, Ok(11)));
        for more in 1..=3 {
            block[9 + more] |= EXTENSION;
            block.push(0x7F);
            let (dib, length) = split(&block);
            assert_eq!((dib.storage, dib.tariff, dib.subunit), (1 << 37, 0, 0));
            assert_eq!((dib.overlong, length), (true, Ok(11 + more)));
        }
    }

    #[test]
    fn bits_of_a_dife_land_where_the_standard_puts_them() {
        // Landis+Gyr Ultraheat: the first DIFE gives tariff 1, the second adds 1 << 2.
        assert_eq!(split(&[0x8C, 0x90, 0x10]).0.tariff, 5);
        assert_eq!(split(&[0x84, 0x8F, 0x0F]).0.storage, 510);
        let (dib, _) = split(&[0x84, 0x80, 0x40]);
        assert_eq!((dib.storage, dib.tariff, dib.subunit), (0, 0, 2));
    }
}
