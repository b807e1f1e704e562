//! The ledger itself and its bytes. Pure.
//!
//! ```text
//!  offset  bytes  field (big-endian)
//!       0      4  magic  A7 42 4F 4F
//!       4      1  format, 1
//!       5      8  version of the contents: of two slots the one with the greater counts
//!      13      8  floor of the clock, milliseconds since 1970
//!      21      1  boots, n
//!      22   21 n  boot (4), 1 where its wall time is known (1), that in milliseconds since 1970 (8), the uptime in
//!                 milliseconds below which its readings go as unsynced (8)
//! 22+21n      4  CRC-32C of everything before
//! ```

use jiff::Timestamp;

use crate::limits::{BOOTS_MAX, BOOTS_SLOT_BYTES};

const MAGIC: [u8; 4] = [0xA7, b'B', b'O', b'O'];
const FORMAT: u8 = 1;
const FIXED_BYTES: usize = 22;
const BOOT_BYTES: usize = 21;
const CRC_BYTES: usize = 4;
const _: () = assert!(FIXED_BYTES + BOOTS_MAX * BOOT_BYTES + CRC_BYTES <= BOOTS_SLOT_BYTES, "fits a slot");
const _: () = assert!(BOOTS_MAX <= 255, "their number is one byte");

/// What becomes of a reading that was taken while the clock could not be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Its times are worked out from this wall time of its boot.
    Mended(Timestamp),
    /// It goes with the time that the gateway believed it was.
    Unsynced,
    /// Neither is settled; it has to wait.
    Undecided,
}

/// One boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Boot {
    boot: u32,
    at: Option<Timestamp>,
    unsynced_below_ms: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ledger {
    version: u64,
    floor: Timestamp,
    /// Oldest first.
    boots: Vec<Boot>,
}

impl Ledger {
    pub(super) fn fate(&self, boot: u32, uptime_ms: u64) -> Fate {
        // A kernel that tells no boot id has every boot look the same.
        if boot == 0 {
            return Fate::Unsynced;
        }
        match self.boots.iter().find(|known| known.boot == boot) {
            Some(known) if uptime_ms < known.unsynced_below_ms => Fate::Unsynced,
            Some(Boot { at: Some(at), .. }) => Fate::Mended(*at),
            Some(Boot { unsynced_below_ms: u64::MAX, .. }) => Fate::Unsynced,
            _ => Fate::Undecided,
        }
    }

    pub(super) fn at(&self, boot: u32) -> Option<Timestamp> {
        self.boots.iter().find(|known| known.boot == boot)?.at
    }

    pub(super) fn floor(&self) -> Timestamp {
        self.floor
    }

    pub(super) fn set_floor(&mut self, floor: Timestamp) -> bool {
        std::mem::replace(&mut self.floor, floor) != floor
    }

    /// Whether anything changed.
    pub(super) fn learn(&mut self, boot: u32, at: Timestamp) -> bool {
        if boot == 0 {
            return false;
        }
        let known = self.entry(boot);
        let is_news = known.at.is_none();
        known.at.get_or_insert(at);
        is_news
    }

    /// Whether anything changed.
    pub(super) fn let_go(&mut self, boot: u32, below_ms: u64) -> bool {
        if boot == 0 {
            return false;
        }
        let known = self.entry(boot);
        let is_news = known.at.is_none() && known.unsynced_below_ms < below_ms;
        if is_news {
            known.unsynced_below_ms = below_ms;
        }
        is_news
    }

    pub(super) fn version(&self) -> u64 {
        self.version
    }

    pub(super) fn next_version(&mut self) {
        self.version = self.version.wrapping_add(1);
    }

    #[expect(clippy::indexing_slicing, reason = "the index was found or has just been pushed")]
    fn entry(&mut self, boot: u32) -> &mut Boot {
        let found = self.boots.iter().position(|known| known.boot == boot);
        let index = found.unwrap_or_else(|| {
            if self.boots.len() >= BOOTS_MAX {
                self.boots.remove(0);
            }
            self.boots.push(Boot { boot, at: None, unsynced_below_ms: 0 });
            self.boots.len() - 1
        });
        &mut self.boots[index]
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(FIXED_BYTES + self.boots.len() * BOOT_BYTES + CRC_BYTES);
        bytes.extend(MAGIC);
        bytes.push(FORMAT);
        bytes.extend(self.version.to_be_bytes());
        bytes.extend(self.floor.as_millisecond().to_be_bytes());
        bytes.push(u8::try_from(self.boots.len()).unwrap_or(u8::MAX));
        for Boot { boot, at, unsynced_below_ms } in &self.boots {
            bytes.extend(boot.to_be_bytes());
            bytes.push(u8::from(at.is_some()));
            bytes.extend(at.map_or(0, Timestamp::as_millisecond).to_be_bytes());
            bytes.extend(unsynced_below_ms.to_be_bytes());
        }
        bytes.extend(crc32c::crc32c(&bytes).to_be_bytes());
        bytes
    }

    /// The ledger at the beginning of these bytes, if it is whole and of this format.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (fixed, rest) = bytes.split_first_chunk::<FIXED_BYTES>()?;
        let boots_bytes = usize::from(*fixed.last()?) * BOOT_BYTES;
        let (boots, crc) = rest.split_at_checked(boots_bytes)?;
        let covered = bytes.get(..FIXED_BYTES + boots_bytes)?;
        if crc32c::crc32c(covered) != u32::from_be_bytes(*crc.first_chunk()?) {
            return None;
        }
        let fixed = fixed.strip_prefix(&MAGIC)?.strip_prefix(&[FORMAT])?;
        let (version, fixed) = fixed.split_first_chunk()?;
        let (floor, _) = fixed.split_first_chunk()?;
        Some(Self {
            version: u64::from_be_bytes(*version),
            floor: Timestamp::from_millisecond(i64::from_be_bytes(*floor)).ok()?,
            boots: boots.chunks_exact(BOOT_BYTES).map(Boot::decode).collect::<Option<_>>()?,
        })
    }
}

impl Boot {
    fn decode(bytes: &[u8]) -> Option<Self> {
        let (boot, rest) = bytes.split_first_chunk()?;
        let ([is_known], rest) = rest.split_first_chunk::<1>()?;
        let (at_ms, rest) = rest.split_first_chunk()?;
        let at = Timestamp::from_millisecond(i64::from_be_bytes(*at_ms)).ok()?;
        Some(Self {
            boot: u32::from_be_bytes(*boot),
            at: (*is_known == 1).then_some(at),
            unsynced_below_ms: u64::from_be_bytes(*rest.first_chunk()?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millisecond(ms).unwrap()
    }

    #[test]
    fn what_is_settled_of_a_boot_stays_so_whatever_comes_later() {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.fate(7, 10), Fate::Undecided);
        assert!(ledger.let_go(7, 1000));
        assert_eq!((ledger.fate(7, 999), ledger.fate(7, 1000)), (Fate::Unsynced, Fate::Undecided));
        assert!(!ledger.let_go(7, 500));
        assert!(ledger.learn(7, at(5)));
        assert!(!ledger.learn(7, at(6)) && !ledger.let_go(7, 5000));
        assert_eq!((ledger.fate(7, 999), ledger.fate(7, 1000)), (Fate::Unsynced, Fate::Mended(at(5))));
        assert_eq!(ledger.fate(8, 0), Fate::Undecided);
    }

    #[test]
    fn a_boot_given_up_whole_is_unsynced_to_its_last_millisecond() {
        let mut ledger = Ledger::default();
        assert!(ledger.let_go(7, u64::MAX));
        assert_eq!((ledger.fate(7, 0), ledger.fate(7, u64::MAX)), (Fate::Unsynced, Fate::Unsynced));
    }

    #[test]
    fn where_the_kernel_tells_no_boot_nothing_is_ever_mended() {
        let mut ledger = Ledger::default();
        assert!(!ledger.learn(0, at(5)) && !ledger.let_go(0, 9));
        assert_eq!((ledger.fate(0, 0), ledger), (Fate::Unsynced, Ledger::default()));
    }

    #[test]
    fn of_one_boot_too_many_the_oldest_is_forgotten_and_what_is_left_fits_its_slot() {
        let mut ledger = Ledger::default();
        for boot in 1..=u32::try_from(BOOTS_MAX).unwrap() + 1 {
            ledger.learn(boot, at(boot.into()));
        }
        assert_eq!((ledger.at(1), ledger.at(2)), (None, Some(at(2))));
        assert!(ledger.encode().len() <= BOOTS_SLOT_BYTES);
        assert_eq!(Ledger::decode(&ledger.encode()), Some(ledger));
    }

    proptest! {
        #[test]
        fn it_reads_back_as_written_and_no_flipped_bit_goes_unnoticed(
            boots in proptest::collection::vec((1_u32.., any::<Option<u32>>(), any::<u64>()), 0..9),
            floor: u32,
            bit: usize,
        ) {
            let mut ledger = Ledger::default();
            for (boot, known, below_ms) in boots {
                ledger.let_go(boot, below_ms);
                known.map(|ms| ledger.learn(boot, at(ms.into())));
            }
            ledger.set_floor(at(floor.into()));
            ledger.next_version();
            let mut bytes = ledger.encode();
            prop_assert_eq!(Ledger::decode(&bytes), Some(ledger));
            let bit = bit % (8 * bytes.len());
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(Ledger::decode(&bytes), None);
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Ledger::decode(&bytes);
            let _ = Ledger::decode(&[&MAGIC[..], &[FORMAT], &bytes].concat());
        }
    }
}
