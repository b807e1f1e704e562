//! The search by secondary address.
//!
//! A stack of levels, each with the masks still to be asked at it, stands for the tree of masks: at most twelve levels
//! deep, of at most 255 masks each, whatever the line says.

use weir_meter::Line;

use super::heard::{self, Heard};
use super::{
    BROKEN_OFF, Discovery, Found, SELECTIONS_MAX, Search, SearchError, Step, TROUBLES_MAX, Tell, Trouble,
    begin,
};
use crate::address::{PRIMARY_MAX, SELECTED};
use crate::frame;
use crate::link::{deselect, selection};
use crate::secondary::{DIGITS, Secondary};

/// In which order the bytes behind the number are narrowed. The manufacturer's low byte comes first: equal numbers are
/// most often those of two makers, whose last letters differ.
const BYTES: [usize; 4] = [4, 6, 7, 5];
/// The hex digits that a number may have besides decimal ones; F is the wildcard.
const HEX_DIGITS: std::ops::RangeInclusive<u8> = 0xA..=0xE;

/// Finds every meter that fits the mask.
///
/// # Errors
/// See [`SearchError`].
pub async fn secondary(
    line: &mut dyn Line,
    mask: Secondary,
    search: &Search,
    tell: Tell<'_>,
) -> Result<Discovery, SearchError> {
    begin(line).await?;
    let mut searcher = Searcher { line, search, tell, discovery: Discovery::default(), selections: 0 };
    searcher.run(mask).await?;
    let Searcher { line, discovery, .. } = searcher;
    deselect(line).await?;
    Ok(discovery)
}

/// Masks that are still to be asked, the next one last.
struct Level {
    /// `None`: these are looked at for safety's sake, and nobody need be there.
    collided: Option<Secondary>,
    masks: Vec<Secondary>,
    /// The same with hex digits, once the decimal ones have not explained the collision.
    hex: Vec<Secondary>,
    meters_before: usize,
    troubles_before: usize,
}

/// What asking a mask came to.
enum Probe {
    Nobody,
    One(Found),
    Several,
}

struct Searcher<'s> {
    line: &'s mut dyn Line,
    search: &'s Search,
    tell: Tell<'s>,
    discovery: Discovery,
    selections: usize,
}

impl Searcher<'_> {
    async fn run(&mut self, mask: Secondary) -> Result<(), SearchError> {
        let mut levels = vec![self.level(None, vec![mask], Vec::new())];
        while let Some(level) = levels.last_mut() {
            let Some(mask) = level.masks.pop() else {
                if self.explains(level) {
                    levels.pop();
                }
                continue;
            };
            let given_up = if self.selections >= SELECTIONS_MAX {
                Some("too many selections")
            } else {
                (self.discovery.troubles.len() >= TROUBLES_MAX)
                    .then_some("too much that cannot be cleared up")
            };
            if let Some(why) = given_up {
                self.discovery.troubles.push(Trouble::GivenUp(why));
                return Ok(());
            }
            if (self.tell)(Step::Mask(mask)).is_break() {
                self.discovery.troubles.push(BROKEN_OFF);
                return Ok(());
            }
            let next = match self.probe(&mask).await? {
                Probe::Nobody => None,
                Probe::One(found) => {
                    let hidden = self.hidden_by(&mask, &found);
                    if self.discovery.add(found.clone()) {
                        let _ = (self.tell)(Step::Found(found));
                    }
                    Some(self.level(None, hidden, Vec::new()))
                }
                Probe::Several => self.narrowed(&mask),
            };
            levels.extend(next);
        }
        Ok(())
    }

    fn level(&self, collided: Option<Secondary>, masks: Vec<Secondary>, hex: Vec<Secondary>) -> Level {
        let Discovery { meters, troubles } = &self.discovery;
        Level { collided, masks, hex, meters_before: meters.len(), troubles_before: troubles.len() }
    }

    /// Whether a level that has been asked is done. A collision needs two; where decimal digits found fewer, the rest has a
    /// hex digit.
    fn explains(&mut self, level: &mut Level) -> bool {
        let found = self.discovery.meters.len() - level.meters_before;
        let Some(collided) = level.collided else { return true };
        if found < 2 && !level.hex.is_empty() {
            level.masks = std::mem::take(&mut level.hex);
            return false;
        }
        if found == 0 && self.discovery.troubles.len() == level.troubles_before {
            self.discovery.troubles.push(Trouble::Lost(collided));
        }
        true
    }

    /// The next level under a mask that several meters fit.
    fn narrowed(&mut self, mask: &Secondary) -> Option<Level> {
        if let Some(index) = (0..DIGITS).find(|index| mask.digit(*index).is_none()) {
            let with = |digit| mask.with_digit(index, digit);
            let hex: Vec<_> = HEX_DIGITS.rev().map(with).collect();
            let decimal = (0..=9).rev().map(with);
            let (masks, hex) = if self.search.hex_digits {
                (hex.into_iter().chain(decimal).collect(), Vec::new())
            } else {
                (decimal.collect(), hex)
            };
            return Some(self.level(Some(*mask), masks, hex));
        }
        if let Some(index) = BYTES.into_iter().find(|index| mask.byte(*index).is_none()) {
            let masks = (0..u8::MAX).rev().map(|value| mask.with_byte(index, value)).collect();
            return Some(self.level(Some(*mask), masks, Vec::new()));
        }
        self.discovery.troubles.push(Trouble::Alike(*mask));
        None
    }

    async fn probe(&mut self, mask: &Secondary) -> Result<Probe, SearchError> {
        let digits_are_set = mask.number().is_some();
        // Behind the number a level has 255 masks, of which nearly all are silent.
        let is_behind_number = digits_are_set && BYTES.into_iter().any(|index| mask.byte(index).is_some());
        let tries = if is_behind_number { 1 } else { self.search.tries };
        match self.select(mask, tries).await? {
            Heard::Nothing => return Ok(Probe::Nobody),
            Heard::Jumble if !digits_are_set => return Ok(Probe::Several),
            _ => {}
        }
        let heard = heard::readings(self.line, SELECTED, true, self.search.tries, digits_are_set).await?;
        let Heard::Answer(bytes) = heard else { return Ok(Probe::Several) };
        let frame = frame::parse(&bytes)?;
        let identity = match Secondary::of(&frame) {
            Some(identity) if mask.covers(&identity) => identity,
            // It does not say who it is, so only a whole number does.
            None if digits_are_set => *mask,
            _ => return Ok(Probe::Several),
        };
        let primary = Some(frame.address).filter(|address| *address <= PRIMARY_MAX);
        let is_confirmed =
            identity == *mask || self.select(&identity, self.search.tries).await? == Heard::Acknowledge;
        let found = Found { primary, identity: Some(identity), is_selectable: true };
        Ok(if is_confirmed || mask.is_exact() { Probe::One(found) } else { Probe::Several })
    }

    async fn select(&mut self, mask: &Secondary, tries: u8) -> Result<Heard, SearchError> {
        self.selections += 1;
        heard::hear(self.line, &selection(mask), tries).await
    }

    /// The masks under which a meter could be that this one's answer hid: where its number has a zero bit, a meter whose
    /// number has a one there is not seen while both send in step.
    fn hidden_by(&self, mask: &Secondary, found: &Found) -> Vec<Secondary> {
        let Some(identity) = found.identity.filter(|_| self.search.is_thorough) else { return Vec::new() };
        let digits = if self.search.hex_digits { 0..=*HEX_DIGITS.end() } else { 0..=9 };
        let (mut masks, mut prefix) = (Vec::new(), *mask);
        for index in (0..DIGITS).filter(|index| mask.digit(*index).is_none()) {
            let Some(own) = identity.digit(index) else { break };
            let hidden = digits.clone().filter(|digit| *digit != own && digit & own == own);
            masks.extend(hidden.map(|digit| prefix.with_digit(index, digit)));
            prefix = prefix.with_digit(index, own);
        }
        masks
    }
}
