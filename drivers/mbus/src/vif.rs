//! Value information block (EN 13757-3, VIF and VIFE): what a value measures, in which unit and scale.

use weir_wire::{Content, Medium, Quantity, Unit};

use crate::data::{self, Datum, Sign};
use crate::dif::EXTENSION;
use crate::record::Broken;
use crate::vife::{Effect, duration_unit, effect, reported_error};
use crate::{VifText, header, moment};

mod table;
mod text;

/// VIFEs in a block, at most (EN 13757-3).
const VIFE_MAX: usize = 10;
/// The VIF whose meaning is a text in the block.
const PLAIN_TEXT: u8 = 0x7C;

/// A value information block as it stands in the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Vib {
    /// VIF and VIFEs, without the text that stands between them.
    codes: Vec<u8>,
    /// The text of a plain-text VIF.
    text: Option<String>,
    /// There are more VIFEs than the standard allows; the further ones are not in `codes`.
    overlong: bool,
}

/// What a block means.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Meaning {
    pub(crate) quantity: Quantity,
    pub(crate) unit: Option<Unit>,
    exponent: i32,
    reading: Reading,
    error: Option<&'static str>,
}

/// How the data is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    Number(Sign),
    Identification,
    Moment,
    Medium,
    Manufacturer,
}

/// Reads the block at the start of `bytes`; with it comes how many bytes it takes.
pub(crate) fn split(bytes: &[u8], text_order: VifText) -> Result<(Vib, usize), Broken> {
    let (&vif, mut rest) = bytes.split_first().ok_or(Broken::EndsInVib)?;
    let mut vib = Vib { codes: vec![vif], text: None, overlong: false };
    if vif & !EXTENSION == PLAIN_TEXT {
        // The text follows the VIF itself and the VIFEs follow the text: so Elvaco's meters do it.
        let (&length, after) = rest.split_first().ok_or(Broken::EndsInVib)?;
        let length = usize::from(length);
        let text = after.get(..length).ok_or(Broken::TextTooLong { length, left: after.len() })?;
        vib.text = Some(text::read(text, text_order));
        rest = after.get(length..).unwrap_or_default();
    }
    let mut last = vif;
    while last & EXTENSION != 0 {
        (last, rest) = rest.split_first().map(|(vife, rest)| (*vife, rest)).ok_or(Broken::EndsInVib)?;
        vib.overlong = vib.codes.len() > VIFE_MAX;
        if !vib.overlong {
            vib.codes.push(last);
        }
    }
    Ok((vib, bytes.len() - rest.len()))
}

impl Vib {
    /// What the block means: what its true VIF measures, changed by each VIFE in turn. An error that the meter reports
    /// stands whatever else is known or not.
    pub(crate) fn meaning(&self) -> Meaning {
        if self.overlong {
            return Meaning { error: Some("more than 10 VIFE"), ..self.unknown() };
        }
        let (known, extensions) = match (&self.text, self.codes.as_slice()) {
            (Some(text), [_, rest @ ..]) => (Some(text::meaning(text)), rest),
            (_, codes) => table::look_up(codes),
        };
        let meaning = known.and_then(|known| self.changed(known, extensions));
        Meaning { error: reported_error(extensions), ..meaning.unwrap_or_else(|| self.unknown()) }
    }

    /// The meaning after each VIFE; `None` when nothing is certain any more.
    fn changed(&self, mut meaning: Meaning, extensions: &[u8]) -> Option<Meaning> {
        let is_certain = extensions.iter().all(|vife| self.apply(&effect(*vife), &mut meaning));
        is_certain.then_some(meaning)
    }

    /// False when nothing is certain any more.
    fn apply(&self, effect: &Effect, meaning: &mut Meaning) -> bool {
        match effect {
            Effect::Neutral | Effect::Error(_) => {}
            Effect::Scale(exponent) => meaning.exponent += exponent,
            Effect::Forward => meaning.quantity = self.one_way(&meaning.quantity, true),
            Effect::Reverse => meaning.quantity = self.one_way(&meaning.quantity, false),
            Effect::Qualifies => meaning.quantity = self.raw_name(),
            Effect::ChangesUnit => {
                meaning.quantity = self.raw_name();
                meaning.unit = None;
            }
            Effect::Counts => *meaning = self.plain_number(None),
            Effect::Lasts(unit) => *meaning = self.plain_number(Some(unit.clone())),
            Effect::Moment => *meaning = Meaning { reading: Reading::Moment, ..self.plain_number(None) },
            Effect::Unknown => return false,
        }
        true
    }

    fn one_way(&self, quantity: &Quantity, forward: bool) -> Quantity {
        match (quantity, forward) {
            (Quantity::Volume, true) => Quantity::ForwardVolume,
            (Quantity::Volume, false) => Quantity::ReverseVolume,
            (Quantity::Energy, true) => Quantity::ForwardEnergy,
            (Quantity::Energy, false) => Quantity::ReverseEnergy,
            _ => self.raw_name(),
        }
    }

    fn raw_name(&self) -> Quantity {
        Quantity::vif(&self.codes)
    }

    fn plain_number(&self, unit: Option<Unit>) -> Meaning {
        Meaning { unit, ..Meaning::number(self.raw_name(), Sign::Signed) }
    }

    /// The digits as they were sent, without unit and scale, under the raw value information.
    fn unknown(&self) -> Meaning {
        self.plain_number(None)
    }
}

impl Meaning {
    fn number(quantity: Quantity, sign: Sign) -> Self {
        Self { quantity, unit: None, exponent: 0, reading: Reading::Number(sign), error: None }
    }

    fn measured(quantity: Quantity, unit: Unit, exponent: i32) -> Self {
        Self { unit: Some(unit), exponent, ..Self::number(quantity, Sign::Signed) }
    }

    fn read_as(quantity: Quantity, reading: Reading) -> Self {
        Self { reading, ..Self::number(quantity, Sign::Unsigned) }
    }

    /// The datum as this meaning reads it.
    pub(crate) fn content(&self, datum: &Datum<'_>) -> Content {
        if let Some(error) = self.error {
            return Content::Invalid(error.into());
        }
        match (self.reading, datum) {
            (Reading::Moment, Datum::Integer(bytes)) => moment::decode(bytes),
            (Reading::Moment, Datum::Missing(why)) => Content::Invalid((*why).into()),
            (Reading::Moment, _) => Content::Invalid("no date or time is coded like this".into()),
            (Reading::Medium, Datum::Integer([code])) => {
                Content::Text(Medium::as_str(&header::medium(*code)).to_owned())
            }
            (Reading::Manufacturer, Datum::Integer([lo, hi])) => {
                Content::Text(header::manufacturer(u16::from_le_bytes([*lo, *hi])))
            }
            (Reading::Identification | Reading::Medium | Reading::Manufacturer, datum) => {
                data::identification(datum)
            }
            (Reading::Number(sign), datum) => data::number(datum, sign, self.exponent),
        }
    }
}

#[cfg(test)]
mod tests;
