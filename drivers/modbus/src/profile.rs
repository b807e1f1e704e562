//! A register profile: what the registers of one meter model mean.
//!
//! `read.rs` makes it of TOML and reports every fault with its place; this file says what it is once it is good.
//! The format is described in `profiles/README.md`.

mod clock;
mod field;
mod map;
mod read;
mod rows;
mod section;
mod status;
mod tariff;
mod value;
mod valve;

use std::collections::BTreeMap;
use std::time::Duration;

use weir_meter::Serial;
use weir_wire::{Function, Medium, Number, Quantity, Unit, Valve};

use crate::plan::Block;
use crate::types::Field;

pub use rows::Row;
pub(crate) use tariff::TariffMap;
pub(crate) use valve::ValveMap;
pub use weir_meter::ProfileFault;

/// What the registers of one meter model mean, and how they are read in the fewest requests.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    pub(crate) model: String,
    pub(crate) source: Option<String>,
    pub(crate) verified: bool,
    pub(crate) manufacturer: Option<String>,
    pub(crate) medium: Option<Medium>,
    pub(crate) serial: Option<Serial>,
    pub(crate) waits: Waits,
    pub(crate) number: Option<Field>,
    pub(crate) clock: Option<Clock>,
    pub(crate) values: Vec<ValueMap>,
    pub(crate) status: Vec<StatusMap>,
    pub(crate) valve: Option<ValveMap>,
    pub(crate) tariff: Option<TariffMap>,
    pub(crate) plan: Vec<Block>,
}

impl Profile {
    /// Reads a profile from TOML text.
    ///
    /// # Errors
    /// Every fault there is, in the order of the text.
    pub fn parse(text: &str) -> Result<Self, Vec<ProfileFault>> {
        read::profile(text)
    }

    /// The model's name.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Where its registers were learnt from.
    pub fn source(&self) -> Option<&str> {
        self.source.as_deref()
    }

    /// Whether somebody has read such a meter with it and compared the display.
    pub fn is_verified(&self) -> bool {
        self.verified
    }

    /// Who makes it.
    pub fn manufacturer(&self) -> Option<&str> {
        self.manufacturer.as_deref()
    }

    /// What it measures.
    pub fn medium(&self) -> Option<&Medium> {
        self.medium.as_ref()
    }

    /// The serial parameters such meters leave the factory with; `None` where the source does not tell.
    pub fn serial(&self) -> Option<Serial> {
        self.serial
    }

    /// The requests of one read, in order.
    pub fn requests(&self) -> &[Block] {
        &self.plan
    }
}

/// Waits that the model needs in place of the standard's.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Waits {
    pub(crate) silence_characters: Option<f64>,
    pub(crate) answer_window: Option<Duration>,
    pub(crate) late_window: Option<Duration>,
}

/// One value of the reading.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ValueMap {
    pub(crate) quantity: Quantity,
    pub(crate) function: Function,
    pub(crate) storage: u64,
    pub(crate) tariff: u32,
    pub(crate) subunit: u16,
    pub(crate) amount: Amount,
    /// Added to `amount`: meters that keep whole units and fractions apart.
    pub(crate) plus: Option<Amount>,
    pub(crate) unit: UnitMap,
}

/// A field and what its number is multiplied by.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Amount {
    pub(crate) field: Field,
    pub(crate) scale: Scale,
}

/// What a number is multiplied by.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Scale {
    /// Nothing.
    One,
    /// Always this.
    Fixed(Number),
    /// What a register's code stands for.
    Codes(Field, BTreeMap<u64, Number>),
    /// Ten to the power that a register holds.
    PowerOfTen(Field),
}

/// A number's unit.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum UnitMap {
    /// It has none.
    None,
    /// Always this.
    Fixed(Unit),
    /// What a register's code stands for.
    Codes(Field, BTreeMap<u64, Unit>),
}

/// A register that tells states.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StatusMap {
    pub(crate) field: Field,
    pub(crate) words: Words,
}

/// How a status register speaks.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Words {
    /// Each bit, from 0, is a state of its own.
    Bits(BTreeMap<u64, State>),
    /// The whole number is one state.
    Codes(BTreeMap<u64, State>),
}

impl Words {
    pub(crate) fn states(&self) -> impl Iterator<Item = &State> {
        let (Self::Bits(states) | Self::Codes(states)) = self;
        states.values()
    }
}

/// What a bit or code says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Nothing worth reporting: `ok`.
    Ok,
    /// `battery-low`.
    BatteryLow,
    /// `valve:open` and so on.
    Valve(Valve),
    /// Any other word is an alarm.
    Alarm(String),
}

/// Where the meter's clock stands.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Clock {
    pub(crate) field: Field,
    pub(crate) is_bcd: bool,
    /// What each byte is; as many as the field has bytes.
    pub(crate) layout: Vec<ClockPart>,
}

/// What a byte of a clock is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ClockPart {
    Year,
    Month,
    Day,
    Hour,
    Minute,
    Second,
    Ignored,
}

impl Profile {
    /// Every field that must be read.
    pub(crate) fn fields(&self) -> impl Iterator<Item = &Field> {
        let amounts =
            self.values.iter().flat_map(|value| [Some(&value.amount), value.plus.as_ref()]).flatten();
        let amounts = amounts.flat_map(|amount| [Some(&amount.field), amount.scale.field()]).flatten();
        let units = self.values.iter().filter_map(|value| value.unit.field());
        let others = self.number.iter().chain(self.clock.iter().map(|clock| &clock.field));
        amounts.chain(units).chain(others).chain(self.status.iter().map(|status| &status.field))
    }
}

impl Scale {
    fn field(&self) -> Option<&Field> {
        match self {
            Self::Codes(field, _) | Self::PowerOfTen(field) => Some(field),
            Self::One | Self::Fixed(_) => None,
        }
    }
}

impl UnitMap {
    fn field(&self) -> Option<&Field> {
        match self {
            Self::Codes(field, _) => Some(field),
            Self::None | Self::Fixed(_) => None,
        }
    }
}

#[cfg(test)]
mod tests;
