//! Finding the meters on a line that nobody wrote down: by primary address, one after the other, and by secondary
//! address, narrowing a mask digit by digit for as long as several meters answer at once.
//!
//! ```text
//! primary      n: SND_NKE n ── silence ──► nobody          REQ_UD2 n ── one sound frame ──► found
//!                     └────── anything ──────► asked            └────── a jumble ──────► several meters at n
//!
//! secondary    SELECT mask ── silence ──► nobody fits
//!                 │  └── a jumble ─────► several ──► the same with each digit in the place of the first open one
//!                 E5 ──► REQ_UD2 253 ── a jumble ───────► several
//!                             └── one sound frame ──► SELECT its whole address ── E5 ──► found
//! ```
//!
//! **One good frame is not one meter.** Two E5 at the same moment are one E5 on the wire, so an acknowledgement says
//! that somebody fits and never how many. One meter may answer when another has finished, so all of the answer window is
//! listened to and not only its first frame. Two frames of equal length at the same moment are laid over each other, where a
//! zero of either wins (EN 13757-2: a space draws the greater current), and the sum of the result may be right by
//! chance, or because one meter's frame has a zero wherever the other's has: two new meters with neighbouring numbers look like
//! the first of them. What is found under a mask is therefore selected by its whole address, which a chance product does not
//! answer; and then those numbers are looked for that the found one could hide ([`Search::is_thorough`]).
//!
//! **What stays hidden:** a meter that does not implement selection from the secondary search (the primary one finds it);
//! two meters with all of number, manufacturer, version and medium equal (told of, as far as their answers differ); the second
//! of two with equal numbers that answer in step and alike to the last bit but for fields that one hides.
//!
//! The procedures know requests and answers only; how long to wait is the line's business.

mod heard;
mod primary;
mod secondary;

use std::ops::ControlFlow;

use weir_meter::{Fault, Line};

use crate::Secondary;
use crate::address::SELECTED;
use crate::frame;

pub use primary::primary;
pub use secondary::secondary;

/// Selections of one search, at most: with 250 meters on a line about 8000 are needed.
pub const SELECTIONS_MAX: usize = 50_000;
/// Troubles after which a search ends: a line that talks without end would otherwise be narrowed for ever.
pub const TROUBLES_MAX: usize = 16;

/// How a search is made.
#[derive(Clone, Debug)]
pub struct Search {
    /// How often silence is believed only when it is repeated, 1 and up. A request that noise spoilt is not answered.
    pub tries: u8,
    /// Whether numbers that a found meter could hide are looked for (see the top of this module): some fifteen selections a
    /// meter. Of the secondary search alone.
    pub is_thorough: bool,
    /// Whether hex digits in numbers are always looked for. Without it they are only where a collision is not explained by
    /// what its decimal digits found. Of the secondary search alone.
    pub hex_digits: bool,
}

impl Default for Search {
    fn default() -> Self {
        Self { tries: 2, is_thorough: true, hex_digits: false }
    }
}

/// What a search is doing, for whoever watches it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// This primary address is asked.
    Address(u8),
    /// Whoever fits this mask is asked.
    Mask(Secondary),
    /// A meter has been found.
    Found(Found),
}

/// Where steps are told. It must not wait. A break ends the search with what has been found.
pub type Tell<'t> = &'t mut (dyn FnMut(Step) -> ControlFlow<()> + Send);

/// What a search that was told to break says of itself.
const BROKEN_OFF: Trouble = Trouble::GivenUp("it was told to end");

/// A meter that has been found.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Found {
    /// Its primary address, where it told one. Not unlike those of others, when it was found by its secondary address.
    pub primary: Option<u8>,
    /// Who it says it is; what it does not say is open.
    pub identity: Option<Secondary>,
    /// Whether it was found by selecting it.
    pub is_selectable: bool,
}

/// What was found, and what could not be cleared up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Discovery {
    /// Each meter once.
    pub meters: Vec<Found>,
    /// In the order in which they came up.
    pub troubles: Vec<Trouble>,
}

/// What a search could not clear up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// Every answer was a jumble.
    #[error("several meters at address {0}, or a disturbed line: search by secondary address")]
    Several(u8),
    /// The link layer is there and nothing else.
    #[error("address {0} acknowledges, but sends no readings")]
    Mute(u8),
    /// A collision remains where nothing is open any more.
    #[error("several meters with the same secondary address {0}, or one with a disturbed answer")]
    Alike(Secondary),
    /// Somebody answered to a mask and nobody to anything narrower.
    #[error("somebody answers to {0}, but to nothing narrower")]
    Lost(Secondary),
    /// The search ended early.
    #[error("the search was given up: {0}")]
    GivenUp(&'static str),
}

/// Why a search did not take place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SearchError {
    /// The request itself came back.
    #[error("the line echoes what is sent; set echo = true")]
    Echo,
    /// The line is configured with an echo, and none came back.
    #[error("no echo came back; set echo = false, or look at the converter's supply")]
    NoEcho,
    /// The line.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Adds what another search of the same line found; a meter found twice is one.
impl Discovery {
    /// Puts two searches' results together.
    #[must_use]
    pub fn merged(mut self, other: Self) -> Self {
        for found in other.meters {
            self.add(found);
        }
        self.troubles.extend(other.troubles);
        self
    }

    /// Adds a meter, or what is new about it. Gives whether it is a new one.
    pub(crate) fn add(&mut self, found: Found) -> bool {
        let known = self.meters.iter_mut().find(|known| {
            known.identity.is_some() && known.identity == found.identity
                // A meter found at two primary addresses is two meters with one identity.
                && (known.primary == found.primary || known.primary.is_none() || found.primary.is_none())
        });
        match known {
            Some(known) => {
                known.primary = known.primary.or(found.primary);
                known.is_selectable |= found.is_selectable;
                false
            }
            None => {
                self.meters.push(found);
                true
            }
        }
    }
}

/// Lets go whoever is selected, and learns whether the line's echo is as it is configured.
async fn begin(line: &mut dyn Line) -> Result<(), SearchError> {
    let request = frame::short(frame::SND_NKE, SELECTED);
    match line.hear(&request).await {
        Ok(bytes) if bytes.starts_with(&request) => Err(SearchError::Echo),
        Err(Fault::Silent { .. }) => Err(SearchError::NoEcho),
        // A meter that was still selected answers; after that nobody is, and only an echo could be heard.
        Ok(bytes) if bytes.is_empty() => Ok(()),
        Ok(_) | Err(Fault::Garbled { .. }) => match line.hear(&request).await {
            Ok(bytes) if bytes.starts_with(&request) => Err(SearchError::Echo),
            Ok(_) => Ok(()),
            Err(Fault::Silent { .. } | Fault::Garbled { .. }) => Err(SearchError::NoEcho),
            Err(fault) => Err(fault.into()),
        },
        Err(fault) => Err(fault.into()),
    }
}

#[cfg(test)]
mod tests;
