//! Authentication and fragmentation layer (CI 90, EN 13757-7:2018, clause 6): what stands before the header of a telegram
//! that is protected against changes.
//!
//! ```text
//! AFLL(1)  FCL(2)  MCL(1)?  KI(2)?  MCR(4)?  MAC(2 to 16)?  ML(2)?   then a whole telegram, from its CI field on
//! ```
//!
//! Not here: fragments. A wired meter has telegrams after telegrams instead.

use weir_meter::Fault;

/// Bits of FCL.
const MORE_FRAGMENTS: u16 = 0x4000;
const HAS_MCL: u16 = 0x2000;
const HAS_LENGTH: u16 = 0x1000;
const HAS_COUNTER: u16 = 0x0800;
const HAS_MAC: u16 = 0x0400;
const HAS_KEY: u16 = 0x0200;
/// FCL's fragment number; 0 and 1 are the first.
const FRAGMENT: u16 = 0x00FF;

/// The layer, with the bytes that its code was made over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Afl<'a> {
    /// MCL, KI, MCR and ML as they stand, which is what the code covers before the telegram.
    covered: Vec<u8>,
    /// The message counter, least significant byte first.
    pub(crate) counter: Option<[u8; 4]>,
    /// KDF selection out of the key information.
    pub(crate) derivation: Option<u8>,
    pub(crate) code: Option<Code<'a>>,
    /// The telegram behind it, from its CI field on.
    pub(crate) telegram: &'a [u8],
}

/// A message authentication code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Code<'a> {
    /// AT of MCL: 3 to 7 are CMAC.
    pub(crate) kind: u8,
    pub(crate) bytes: &'a [u8],
}

impl<'a> Afl<'a> {
    /// Reads the layer behind CI 90.
    ///
    /// # Errors
    /// [`Fault::Refused`] when it breaks off, or is one of several fragments.
    pub(crate) fn split(data: &'a [u8]) -> Result<Self, Fault> {
        let cut = || Fault::refused("authentication layer (CI 90) breaks off");
        let (length, rest) = data.split_first().ok_or_else(cut)?;
        let (fields, telegram) = rest.split_at_checked(usize::from(*length)).ok_or_else(cut)?;
        let mut fields = Fields(fields);
        let control = u16::from_le_bytes(fields.array().ok_or_else(cut)?);
        if control & MORE_FRAGMENTS != 0 || control & FRAGMENT > 1 {
            return Err(Fault::refused("telegram comes in fragments (CI 90), which are not put together"));
        }
        let has = |bit: u16| control & bit != 0;
        let mut afl = Self { telegram, ..Self::default() };
        let mut kind = 0;
        if has(HAS_MCL) {
            let [mcl] = fields.array().ok_or_else(cut)?;
            kind = mcl & 0x0F;
            afl.covered.push(mcl);
        }
        if has(HAS_KEY) {
            let key: [u8; 2] = fields.array().ok_or_else(cut)?;
            let [low, _version] = key;
            afl.derivation = Some(low >> 4 & 3);
            afl.covered.extend(key);
        }
        if has(HAS_COUNTER) {
            let counter = fields.array().ok_or_else(cut)?;
            afl.covered.extend(counter);
            afl.counter = Some(counter);
        }
        if has(HAS_MAC) {
            let bytes = fields.take(code_length(kind)).ok_or_else(cut)?;
            afl.code = Some(Code { kind, bytes });
        }
        if has(HAS_LENGTH) {
            let length: [u8; 2] = fields.array().ok_or_else(cut)?;
            afl.covered.extend(length);
        }
        Ok(afl)
    }

    /// What the code was made over.
    pub(crate) fn covered(&self) -> impl Iterator<Item = &[u8]> {
        [self.covered.as_slice(), self.telegram].into_iter()
    }
}

/// Bytes of the code, by its kind (EN 13757-7:2018, table 6).
fn code_length(kind: u8) -> usize {
    match kind {
        3 => 2,
        4 => 4,
        5 => 8,
        6 | 8 => 12,
        7 => 16,
        _ => 0,
    }
}

struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_that_are_announced_are_read_in_their_order() {
        let data = [0x0D, 0x01, 0x3E, 0x63, 0x12, 0x05, 1, 2, 3, 4, 0xAA, 0xBB, 0x34, 0x12, 0x78, 0x99];
        let afl = Afl::split(&data).unwrap();
        assert_eq!(afl.counter, Some([1, 2, 3, 4]));
        assert_eq!(afl.derivation, Some(1));
        assert_eq!(afl.code, Some(Code { kind: 3, bytes: &[0xAA, 0xBB] }));
        let covered: Vec<u8> = afl.covered().flatten().copied().collect();
        assert_eq!(covered, [0x63, 0x12, 0x05, 1, 2, 3, 4, 0x34, 0x12, 0x78, 0x99]);
    }

    #[test]
    fn a_layer_of_nothing_but_its_control_field() {
        let afl = Afl::split(&[2, 0, 0, 0x78]).unwrap();
        assert_eq!(afl, Afl { telegram: &[0x78], ..Afl::default() });
    }

    #[test]
    fn layers_that_break_off_and_fragments_are_refused() {
        let whole = [0x0D, 0x01, 0x3E, 0x63, 0x12, 0x05, 1, 2, 3, 4, 0xAA, 0xBB, 0x34, 0x12];
        for length in 0..whole.len() {
            let why = Afl::split(&whole[..length]).unwrap_err().to_string();
            assert_eq!(why, "refused: authentication layer (CI 90) breaks off", "{length}");
        }
        for length in 0..0x0D {
            let mut short = whole;
            short[0] = length;
            assert!(Afl::split(&short).is_err(), "{length}");
        }
        for control in [[0x01, 0x40], [0x02, 0x00]] {
            let why = Afl::split(&[2, control[0], control[1], 0x78]).unwrap_err().to_string();
            assert_eq!(why, "refused: telegram comes in fragments (CI 90), which are not put together");
        }
    }
}
