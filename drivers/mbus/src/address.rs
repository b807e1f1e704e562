//! Addresses that a meter can be asked under.

use std::fmt;

use crate::Secondary;
use crate::frame::Frame;

/// The address byte of the meter that has been selected by its secondary address.
pub(crate) const SELECTED: u8 = 253;
/// The address byte to which every meter answers, with its own address: for a single meter on a line.
const ANY: u8 = 254;
/// The highest address a meter can be given; 251 and 252 are reserved (EN 13757-2).
pub(crate) const PRIMARY_MAX: u8 = 250;

/// Under which address a meter is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Address(Kind);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Primary(u8),
    Secondary(Secondary),
}

/// Why something is no address of a meter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// 251 and 252 are reserved, 253 means "the selected meter" and needs a selection, 255 is never answered.
    #[error("{0} is no primary address: 0 to 250, or 254 for the only meter on a line")]
    NotPrimary(u8),
    /// Not what [`Secondary`] is written like.
    #[error("{text:?} is no secondary address: {why}")]
    NotSecondary {
        /// What was given.
        text: String,
        /// What is wrong with it.
        why: String,
    },
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
            Ok(Self(Kind::Primary(address)))
        } else {
            Err(AddressError::NotPrimary(address))
        }
    }

    /// A secondary address: the meter is selected before each read. Only an answer of a meter that it covers is taken, as
    /// far as the answer says who it is from.
    pub fn secondary(address: Secondary) -> Self {
        Self(Kind::Secondary(address))
    }

    /// The secondary address, where it is one.
    pub fn as_secondary(&self) -> Option<&Secondary> {
        match &self.0 {
            Kind::Primary(_) => None,
            Kind::Secondary(secondary) => Some(secondary),
        }
    }

    /// Whether more meters than one may obey: 254, and a secondary address of which a part is open.
    pub fn is_shared(&self) -> bool {
        match &self.0 {
            Kind::Primary(address) => *address > PRIMARY_MAX,
            Kind::Secondary(secondary) => !secondary.is_exact(),
        }
    }

    /// The byte in a request's address field.
    pub(crate) fn byte(self) -> u8 {
        match self.0 {
            Kind::Primary(address) => address,
            Kind::Secondary(_) => SELECTED,
        }
    }

    /// Why this frame is another meter's.
    pub(crate) fn stranger(self, frame: &Frame<'_>) -> Option<String> {
        match self.0 {
            Kind::Primary(ANY) => None,
            Kind::Primary(own) => (frame.address != own)
                .then(|| format!("answer of address {} instead of {own}", frame.address)),
            // A selected meter answers with its primary address or with 253.
            Kind::Secondary(own) => {
                let other = Secondary::of(frame).filter(|other| !own.covers(other))?;
                Some(format!("answer of meter {other} instead of {own}"))
            }
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Primary(address) => address.fmt(f),
            Kind::Secondary(address) => address.fmt(f),
        }
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
        let frame = Frame { control: 8, address: 17, information: 0x78, data: &[] };
        let takes = |address| Address::primary(address).unwrap().stranger(&frame).is_none();
        assert_eq!([0, 17, 18, 254].map(takes), [false, true, false, true]);
    }
}
