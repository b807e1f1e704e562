//! Addresses that a meter can be asked under.

use std::fmt;

/// The address byte to which every meter answers, with its own address: for a single meter on a line.
const ANY: u8 = 254;
/// The highest address a meter can be given; 251 and 252 are reserved (EN 13757-2).
const PRIMARY_MAX: u8 = 250;

/// Under which address a meter is asked. A type of its own, so that secondary addresses find their place in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Address(u8);

/// Why a number is no address of a meter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// 251 and 252 are reserved, 253 means "the selected meter" and needs a selection, 255 is never answered.
    #[error("{0} is no primary address: 0 to 250, or 254 for the only meter on a line")]
    NotPrimary(u8),
}

impl Address {
    /// A primary address.
    ///
    /// * 1 to 250: a configured meter. Only an answer that carries the same address is taken.
    /// * 0: a meter as it leaves the factory. Works while at most one such meter is on the line.
    /// * 254: whichever meter there is. Every meter answers to it with its own address in the frame, so an answer with
    ///   any address is taken, and two meters on the line collide.
    ///
    /// # Errors
    /// [`AddressError::NotPrimary`] for 251, 252, 253 and 255.
    pub fn primary(address: u8) -> Result<Self, AddressError> {
        if address <= PRIMARY_MAX || address == ANY {
            Ok(Self(address))
        } else {
            Err(AddressError::NotPrimary(address))
        }
    }

    /// The byte in a request's address field.
    pub(crate) fn byte(self) -> u8 {
        self.0
    }

    /// The address that an answer must carry; `None` when any will do.
    pub(crate) fn answers_as(self) -> Option<u8> {
        (self.0 != ANY).then_some(self.0)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_and_unanswered_addresses_are_refused() {
        for address in (0..=250).chain([254]) {
            assert_eq!(Address::primary(address).unwrap().byte(), address);
        }
        for address in [251, 252, 253, 255] {
            assert_eq!(Address::primary(address), Err(AddressError::NotPrimary(address)));
        }
    }

    #[test]
    fn only_the_test_address_takes_an_answer_from_anybody() {
        assert_eq!(Address::primary(0).unwrap().answers_as(), Some(0));
        assert_eq!(Address::primary(17).unwrap().answers_as(), Some(17));
        assert_eq!(Address::primary(254).unwrap().answers_as(), None);
    }
}
