//! What a meter answers to the functions beside the poll, as typed values.
//!
//! A whole frame whose payload has another length than the layout, or something else than digits where digits
//! belong, is refused with its bytes: it is an answer that this driver cannot use, and no guess stands in for it.

use weir_meter::Fault;
use weir_wire::{Number, Raw, Status};

use crate::bcd::bcd;
use crate::data::refusal;
use crate::frame::WAKE_UP;
use crate::status::status;
use crate::{Address, ByteOrder, Frame, Profile};

/// Prices by consumption: the first up to the first step, the second up to the second, the third beyond.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriceTable {
    /// Price of a cubic metre, in the utility's currency.
    pub prices: [Number; 3],
    /// Where the next price begins, in cubic metres.
    pub steps: [Number; 2],
}

/// What was bought of a prepaid meter, in the utility's currency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Purchase {
    /// Sequence number of the last purchase, as it stands on the wire.
    pub sequence: u8,
    /// Amount of the last purchase.
    pub last: Number,
    /// All purchases together.
    pub total: Number,
    /// What is left.
    pub remaining: Number,
    /// The meter's status word.
    pub status: Status,
}

/// What the meter says that it has credited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credited {
    /// Sequence number of the purchase, as it stands on the wire.
    pub sequence: u8,
    /// Its amount.
    pub amount: Number,
}

/// What a meter answered to a write. That it took it is all it says: read back what is there now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The status word, where the answer has one.
    pub status: Option<Status>,
    /// The answer's frame.
    pub raw: Raw,
}

/// A meter's positive answer, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Who answered.
    pub address: Address,
    /// What follows identifier and serial number.
    pub payload: Vec<u8>,
    /// The frame without wake-up bytes.
    pub raw: Raw,
}

impl Reply {
    /// Takes a positive answer apart, with any number of wake-up bytes in front.
    ///
    /// # Errors
    /// [`Fault::Garbled`] when it is no whole and undamaged answer, [`Fault::Refused`] when it is an error answer.
    pub fn parse(telegram: &[u8], profile: &Profile) -> Result<Self, Fault> {
        let frame = Frame::parse(telegram).map_err(|error| Fault::garbled(error.to_string()))?;
        if frame.is_error() {
            return Err(refusal(&frame, profile));
        }
        if !frame.is_answer() {
            return Err(Fault::garbled(format!("a request (C={:02X}), not an answer", frame.control)));
        }
        let payload = frame.data.get(2 + profile.ser_bytes()..).unwrap_or_default().to_vec();
        let raw = telegram.iter().copied().skip_while(|byte| *byte == WAKE_UP).collect();
        Ok(Self { address: frame.address, payload, raw: Raw(raw) })
    }

    /// The price table of 8102: 15 bytes.
    ///
    /// # Errors
    /// [`Fault::Refused`] for any other payload.
    pub fn price_table(&self, profile: &Profile) -> Result<PriceTable, Fault> {
        let [p1, v1, p2, v2, p3] = self.split([3; 5])?;
        let price = |bytes| self.number(bytes, profile.money_places, profile);
        let step = |bytes| self.number(bytes, profile.step_places, profile);
        Ok(PriceTable { prices: [price(p1)?, price(p2)?, price(p3)?], steps: [step(v1)?, step(v2)?] })
    }

    /// The day of the month of 8103 or 8104.
    ///
    /// # Errors
    /// [`Fault::Refused`] for any other payload, and for a day that no month has.
    pub fn day(&self) -> Result<u8, Fault> {
        let [byte] = self.split([1])?;
        let day = bcd(byte, ByteOrder::LowFirst).and_then(|day| u8::try_from(day).ok());
        day.filter(|day| (1..=31).contains(day)).ok_or_else(|| self.unusable("no day of a month"))
    }

    /// The purchases of 8105.
    ///
    /// # Errors
    /// [`Fault::Refused`] for any other payload.
    pub fn purchase(&self, profile: &Profile) -> Result<Purchase, Fault> {
        let [sequence, last, total, remaining, st] = self.split([1, 4, 4, 4, 2])?;
        let money = |bytes| self.number(bytes, profile.money_places, profile);
        Ok(Purchase {
            sequence: sequence.first().copied().unwrap_or_default(),
            last: money(last)?,
            total: money(total)?,
            remaining: money(remaining)?,
            status: self.status_of(st, profile)?,
        })
    }

    /// The echo of A013.
    ///
    /// # Errors
    /// [`Fault::Refused`] for any other payload.
    pub fn credited(&self, profile: &Profile) -> Result<Credited, Fault> {
        let [sequence, amount] = self.split([1, 4])?;
        let amount = self.number(amount, profile.money_places, profile)?;
        Ok(Credited { sequence: sequence.first().copied().unwrap_or_default(), amount })
    }

    /// The key version of 8106.
    ///
    /// # Errors
    /// [`Fault::Refused`] for any other payload.
    pub fn key_version(&self) -> Result<u8, Fault> {
        let [version] = self.split([1])?;
        Ok(version.first().copied().unwrap_or_default())
    }

    /// What a write was answered with: nothing, or the status word.
    ///
    /// # Errors
    /// [`Fault::Refused`] for any other payload.
    pub fn written(&self, profile: &Profile) -> Result<Written, Fault> {
        let status = match self.payload.as_slice() {
            [] => None,
            st => Some(self.status_of(st, profile)?),
        };
        Ok(Written { status, raw: self.raw.clone() })
    }

    fn status_of(&self, st: &[u8], profile: &Profile) -> Result<Status, Fault> {
        match st {
            [st0, st1] => Ok(status([*st0, *st1], &profile.status)),
            _ => Err(self.unusable("no status word")),
        }
    }

    fn number(&self, digits: &[u8], places: u8, profile: &Profile) -> Result<Number, Fault> {
        let number = bcd(digits, profile.value_order);
        let number = number.and_then(|digits| Number::scaled(digits.into(), -i32::from(places)).ok());
        number.ok_or_else(|| self.unusable(&format!("{} are no decimal digits", Raw(digits.to_vec()))))
    }

    /// The payload in pieces of these lengths, if together they are all of it.
    fn split<const N: usize>(&self, lengths: [usize; N]) -> Result<[&[u8]; N], Fault> {
        let whole = lengths.iter().sum::<usize>();
        if self.payload.len() != whole {
            return Err(self.unusable(&format!("{} bytes, {whole} belong there", self.payload.len())));
        }
        let mut rest = self.payload.as_slice();
        Ok(lengths.map(|length| {
            let (piece, after) = rest.split_at_checked(length).unwrap_or((rest, &[]));
            rest = after;
            piece
        }))
    }

    fn unusable(&self, why: &str) -> Fault {
        Fault::refused(format!("answer {} cannot be used: {why}", self.raw))
    }
}
