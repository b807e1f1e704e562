//! The orders of the command path: a valve's, where the profile has one, and the clock's.
//!
//! An order is one SND_UD to a meter whose link was begun anew just before, so that no frame count bit left over from a
//! poll makes it a repeat that the meter acknowledges and does not do. E5 says that it came: what came of it is in the
//! answer to a read, so [`weir_meter::Driver::observe`] is the default's. Where the link cannot be begun, nothing is written,
//! and the fault is the link's: silence is no refusal.

use std::fmt::Display;
use std::time::Duration;

use jiff::Unit;
use weir_meter::{Course, Fault, Line, Observed, Order, Unsupported};

use super::Mbus;
use crate::frame;
use crate::link::with_bit;
use crate::services::{ClockForm, DATA_SEND, clock_record};

/// For how long a meter may show its old clock. Modules in front of a meter renew their telegram every minute or so; no
/// standard tells.
const CLOCK_SHOWN_WITHIN: Duration = Duration::from_secs(60);

impl Mbus {
    pub(super) fn course_of(&self, order: &Order) -> Result<Course, Unsupported> {
        if self.address.is_shared() {
            return Err(Unsupported::new(format!(
                "more meters than one may obey at {}; a secondary address in full has no part open, such as 12345678.ELS.02.07",
                self.address
            )));
        }
        self.user_data(order)?;
        let (travel, settle) = match (order, &self.options.valve) {
            (Order::Valve(_), Some(valve)) => (valve.travel, valve.settle),
            _ => (Duration::ZERO, CLOCK_SHOWN_WITHIN),
        };
        Ok(Course { travel, settle, unseen: None })
    }

    pub(super) async fn tell(&mut self, line: &mut dyn Line, order: &Order) -> Result<Observed, Fault> {
        self.course_of(order).map_err(|error| unwritten(&error))?;
        let (information, data) = self.user_data(order).map_err(|error| unwritten(&error))?;
        self.link.forget();
        let frame_count = self.link.open(line).await?;
        let control = with_bit(frame::SND_UD, frame_count);
        let request = frame::long(control, self.address.byte(), information, &data)
            .ok_or_else(|| unwritten(&"more data than a frame holds"))?;
        self.link.acknowledged(line, &request).await?;
        self.link.close(line, None).await;
        Ok(Observed::default())
    }

    /// CI field and data.
    fn user_data(&self, order: &Order) -> Result<(u8, Vec<u8>), Unsupported> {
        match (order, &self.options.valve) {
            (Order::Valve(order), Some(valve)) => Ok((valve.information, valve.data(*order).to_vec())),
            (Order::Valve(_), None) => Err(Unsupported::new("no profile says how its valve is moved")),
            (Order::Clock(time), _) => {
                // Type F, which every meter takes, has no seconds.
                let minute = time.round(Unit::Minute).unwrap_or(*time);
                let data = clock_record(minute, ClockForm::F);
                let why = || Unsupported::new(format!("year {} does not fit a meter's clock", minute.year()));
                Ok((DATA_SEND, data.ok_or_else(why)?))
            }
            (Order::Tariff(_), _) => Err(Unsupported::new("M-Bus has no prices")),
        }
    }
}

fn unwritten(why: &dyn Display) -> Fault {
    Fault::refused(format!("nothing was written: {why}"))
}

#[cfg(test)]
mod tests;
