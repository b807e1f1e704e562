//! What a meter can be asked and told beside its poll, over a line.
//!
//! None of this is part of a poll. A function that writes returns what the meter answered and nothing more: whether it
//! did what it said is told by the function that reads the same thing back, which is named there.
//!
//! A read may be asked in both byte orders. A write goes out in one only, the one that the meter has answered before:
//! where that is not known yet, the metering data are read first, and nothing is written to a meter that gave none.
//! The line repeats a request whose answer stays away, with the same serial number, as it does in a poll.

use jiff::civil::DateTime;
use weir_meter::{Answer, Fault, Line};
use weir_wire::{Number, Status};

use crate::data::decode;
use crate::{
    Address, Cjt188, Credited, Frame, Inexpressible, PriceTable, Purchase, Reply, Request, ValveOrder,
    Written,
};

/// Why an order was not carried out, or not for certain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// Nothing went on the line.
    #[error("not sent: {0}")]
    Inexpressible(#[from] Inexpressible),
    /// The exchange failed. After a write all but [`Fault::Refused`] leave open whether the meter has obeyed.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl Cjt188 {
    /// What the meter showed at the last settlement day (1) or one of the eleven before it. The value's `storage` says
    /// which.
    ///
    /// # Errors
    /// See [`OrderError`].
    pub async fn read_history(&mut self, line: &mut dyn Line, back: u8) -> Result<Answer, OrderError> {
        self.read_values(line, &Request::history(back)?).await
    }

    /// Asks for values that a poll does not ask for, such as [`Request::long_history`] or [`Request::timed_freeze`].
    ///
    /// # Errors
    /// See [`OrderError`].
    pub async fn read_values(
        &mut self,
        line: &mut dyn Line,
        request: &Request,
    ) -> Result<Answer, OrderError> {
        let telegram = self.ask(line, request).await?;
        Ok(decode(&telegram, &self.profile)?)
    }

    /// The meter's own address.
    ///
    /// # Errors
    /// A [`Fault`].
    pub async fn read_address(&mut self, line: &mut dyn Line) -> Result<Address, Fault> {
        Ok(self.reply(line, &Request::address()).await?.address)
    }

    /// The meter's clock in its local time; `None` when it has none.
    ///
    /// # Errors
    /// A [`Fault`].
    pub async fn read_clock(&mut self, line: &mut dyn Line) -> Result<Option<DateTime>, Fault> {
        Ok(self.read_either(line).await?.meter_time)
    }

    /// Sets the clock, in the meter's local time. To be read back with [`Cjt188::read_clock`].
    ///
    /// # Errors
    /// See [`OrderError`].
    pub async fn set_clock(&mut self, line: &mut dyn Line, time: DateTime) -> Result<Written, OrderError> {
        let request = Request::write_clock(time, &self.profile)?;
        self.write(line, &request).await
    }

    /// The price table.
    ///
    /// # Errors
    /// A [`Fault`].
    pub async fn read_price_table(&mut self, line: &mut dyn Line) -> Result<PriceTable, Fault> {
        let reply = self.reply(line, &Request::price_table()).await?;
        reply.price_table(&self.profile)
    }

    /// Gives the meter another price table, valid from this day of the month on. To be read back with
    /// [`Cjt188::read_price_table`], which does not tell the day.
    ///
    /// # Errors
    /// See [`OrderError`].
    pub async fn write_price_table(
        &mut self,
        line: &mut dyn Line,
        table: &PriceTable,
        start_day: u8,
    ) -> Result<Written, OrderError> {
        let request = Request::write_price_table(table, start_day, &self.profile)?;
        self.write(line, &request).await
    }

    /// The day of the month on which the meter settles.
    ///
    /// # Errors
    /// A [`Fault`].
    pub async fn read_settlement_day(&mut self, line: &mut dyn Line) -> Result<u8, Fault> {
        let request = Request::settlement_day(&self.profile);
        self.reply(line, &request).await?.day()
    }

    /// Sets the day of the month on which the meter settles. To be read back with [`Cjt188::read_settlement_day`].
    ///
    /// # Errors
    /// See [`OrderError`].
    pub async fn write_settlement_day(
        &mut self,
        line: &mut dyn Line,
        day: u8,
    ) -> Result<Written, OrderError> {
        self.write(line, &Request::write_settlement_day(day)?).await
    }

    /// The day of the month on which the meter is read.
    ///
    /// # Errors
    /// A [`Fault`].
    pub async fn read_reading_day(&mut self, line: &mut dyn Line) -> Result<u8, Fault> {
        let request = Request::reading_day(&self.profile);
        self.reply(line, &request).await?.day()
    }

    /// Sets the day of the month on which the meter is read. To be read back with [`Cjt188::read_reading_day`].
    ///
    /// # Errors
    /// See [`OrderError`].
    pub async fn write_reading_day(&mut self, line: &mut dyn Line, day: u8) -> Result<Written, OrderError> {
        self.write(line, &Request::write_reading_day(day)?).await
    }

    /// What was bought, and what of it is left.
    ///
    /// # Errors
    /// A [`Fault`].
    pub async fn read_purchase(&mut self, line: &mut dyn Line) -> Result<Purchase, Fault> {
        let reply = self.reply(line, &Request::purchase()).await?;
        reply.purchase(&self.profile)
    }

    /// Credits a purchase. To be read back with [`Cjt188::read_purchase`].
    ///
    /// # Errors
    /// See [`OrderError`].
    pub async fn write_purchase(
        &mut self,
        line: &mut dyn Line,
        sequence: u8,
        amount: &Number,
    ) -> Result<Credited, OrderError> {
        let request = Request::write_purchase(sequence, amount, &self.profile)?;
        Ok(self.written(line, &request, None).await?.credited(&self.profile)?)
    }

    /// The version of the meter's key.
    ///
    /// # Errors
    /// A [`Fault`].
    pub async fn read_key_version(&mut self, line: &mut dyn Line) -> Result<u8, Fault> {
        self.reply(line, &Request::key_version()).await?.key_version()
    }

    /// The status word, without moving anything: by the profile's own order for that (`valve.read`), or else from the
    /// metering data.
    ///
    /// # Errors
    /// A [`Fault`].
    pub async fn read_status(&mut self, line: &mut dyn Line) -> Result<Status, Fault> {
        let Ok(request) = Request::read_valve(&self.profile) else {
            return Ok(self.read_either(line).await?.status);
        };
        let written = self.reply(line, &request).await?.written(&self.profile)?;
        written.status.ok_or_else(|| Fault::refused("the answer has no status word"))
    }

    /// Opens or closes the valve. The status in the answer is often that from before the move: to be read back, after
    /// the valve has had its time, with [`Cjt188::read_status`].
    ///
    /// # Errors
    /// See [`OrderError`].
    pub async fn turn_valve(
        &mut self,
        line: &mut dyn Line,
        order: ValveOrder,
    ) -> Result<Written, OrderError> {
        let request = Request::turn_valve(order, &self.profile)?;
        self.write(line, &request).await
    }

    /// Sets what the register starts from. Only in the state of the factory, by what sources say. To be read back with
    /// a poll.
    ///
    /// # Errors
    /// See [`OrderError`].
    pub async fn write_counter_base(
        &mut self,
        line: &mut dyn Line,
        volume: &Number,
        unit_code: u8,
    ) -> Result<Written, OrderError> {
        let request = Request::write_counter_base(volume, unit_code, &self.profile)?;
        self.write(line, &request).await
    }

    /// Gives the meter another address and returns the one it answered with: the new one, or the old one when it kept
    /// it. The driver speaks to the address that was answered from then on.
    ///
    /// # Errors
    /// See [`OrderError`]. The type byte cannot be changed.
    pub async fn write_address(&mut self, line: &mut dyn Line, new: &Address) -> Result<Address, OrderError> {
        if new.meter_type() != self.address.meter_type() {
            return Err(Inexpressible::new("a meter's type cannot be changed").into());
        }
        let request = Request::write_address(new)?;
        let reply = self.written(line, &request, Some(*new)).await?;
        self.address = reply.address;
        Ok(reply.address)
    }

    async fn write(&mut self, line: &mut dyn Line, request: &Request) -> Result<Written, OrderError> {
        Ok(self.written(line, request, None).await?.written(&self.profile)?)
    }

    /// The answer to a write, which goes out once, in the byte order that the meter is known to understand.
    pub(crate) async fn written(
        &mut self,
        line: &mut dyn Line,
        request: &Request,
        renamed: Option<Address>,
    ) -> Result<Reply, Fault> {
        if self.must_find_order() {
            self.read_either(line).await?;
        }
        let (order, _) = self.orders();
        let telegram = self.exchange(line, request, order, renamed).await?;
        Reply::parse(&telegram, &self.profile)
    }

    pub(crate) async fn reply(&mut self, line: &mut dyn Line, request: &Request) -> Result<Reply, Fault> {
        let telegram = self.ask(line, request).await?;
        Reply::parse(&telegram, &self.profile)
    }

    /// The answer to a read: asked in the other byte order as well where the meter's is not known yet.
    async fn ask(&mut self, line: &mut dyn Line, request: &Request) -> Result<Vec<u8>, Fault> {
        let (first, second) = self.orders();
        let second = second.filter(|_| self.answered.is_none());
        let is_error = |telegram: &[u8]| Frame::parse(telegram).is_ok_and(|frame| frame.is_error());
        let answered = match (self.exchange(line, request, first, None).await, second) {
            (Ok(telegram), Some(_)) if is_error(&telegram) => Ok(telegram),
            (Err(silence @ Fault::Silent { .. }), Some(_)) => Err(silence),
            (result, _) => return result,
        };
        match (self.exchange(line, request, second.unwrap_or(first), None).await, answered) {
            // Silence says less than a refusal.
            (Err(Fault::Silent { .. }), Ok(refusal)) => Ok(refusal),
            (result, _) => result,
        }
    }
}
