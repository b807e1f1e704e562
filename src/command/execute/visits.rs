//! What is done at the meter, while the line is held: the first visit with the write, and the looks afterwards.

use jiff::tz::TimeZone;
use weir_meter::{Answer, Course, Fault, Order, ValveOrder, async_trait};
use weir_wire::{Action, Command, Observed, Reason};

use crate::clock::{self, Moment};
use crate::command::authorise::Expected;
use crate::command::clerk::Start;
use crate::command::desk::Desk;
use crate::line::{AtMeter, Exchanged, Visit};

/// What the command orders, as a driver understands it. `None` for what is no order to a meter.
///
/// A clock is set to what the gateway's shows when this is asked, in its time zone: most meters keep one time all year,
/// and the zone in the configuration says which.
pub(super) fn order(command: &Command, zone: &TimeZone) -> Option<Order> {
    Some(match &command.action {
        Action::ValveOpen => Order::Valve(ValveOrder::Open),
        Action::ValveClose => Order::Valve(ValveOrder::Close),
        Action::TariffSet => Order::Tariff(command.tariff.clone()?),
        // Meters count in whole seconds.
        Action::ClockSet => Order::Clock(local(zone).with().subsec_nanosecond(0).build().ok()?),
        _ => return None,
    })
}

/// What a meter's clock should show.
pub(super) fn local(zone: &TimeZone) -> jiff::civil::DateTime {
    zone.to_datetime(clock::wall())
}

/// The first visit: who is there, how does the valve stand, may it still be, and then the write.
pub(super) struct Begin {
    pub(super) command: Command,
    pub(super) expected: Expected,
    pub(super) zone: TimeZone,
    pub(super) desk: Desk,
    /// Whether what passes is journalled where nobody answers.
    pub(super) is_noted: bool,
}

/// How the first visit ended.
pub(super) enum Begun {
    /// The meter could not be asked who it is. Nothing was written.
    NotReached(Fault),
    /// The gateway is not ready: its clock, or its journal. Nothing was written.
    NotYet,
    /// It is not to be. Nothing was written.
    Rejected { reason: Reason, detail: String, observed: Option<Observed> },
    /// The desk has ended the command meanwhile. Nothing was written.
    Ended,
    /// The order went on the line, at the latest at this moment.
    Told { order: Order, course: Course, result: Result<Observed, Fault>, at: Moment },
}

#[async_trait]
impl Visit for Begin {
    type Output = Begun;

    async fn run(&mut self, meter: &mut AtMeter<'_>) -> Begun {
        let Some(order) = order(&self.command, &self.zone) else {
            let detail = format!("{} is not known here", self.command.action);
            return Begun::Rejected { reason: Reason::NotSupported, detail, observed: None };
        };
        let course = match meter.course(&order) {
            Ok(course) => course,
            Err(unsupported) => {
                let detail = unsupported.to_string();
                return Begun::Rejected { reason: Reason::NotSupported, detail, observed: None };
            }
        };
        let id = self.command.id.clone();
        let answer = match meter.read().await {
            Ok(answer) => answer,
            Err(fault) => {
                if self.is_noted {
                    self.desk.note(&id, "identity", meter.take_exchanges()).await;
                }
                return Begun::NotReached(fault);
            }
        };
        let asked = meter.take_exchanges();
        if let Err((reason, detail)) = self.is_as_expected(&answer) {
            self.desk.note(&id, "identity", asked).await;
            return Begun::Rejected { reason, detail, observed: Some(observed(&answer)) };
        }
        if let Err(unsupported) = meter.suits(&order, &answer) {
            self.desk.note(&id, "identity", asked).await;
            let (reason, detail) = (Reason::NotSupported, unsupported.to_string());
            return Begun::Rejected { reason, detail, observed: Some(observed(&answer)) };
        }
        match self.desk.may_start(&id, asked).await {
            Start::Now => {}
            Start::NotYet => return Begun::NotYet,
            Start::Over => return Begun::Ended,
        }
        // The time has moved on while the journal was flushed.
        let order = self::order(&self.command, &self.zone).unwrap_or(order);
        let result = meter.carry_out(&order).await;
        let at = clock::now();
        self.desk.note(&id, "write", meter.take_exchanges()).await;
        Begun::Told { order, course, result, at }
    }
}

impl Begin {
    fn is_as_expected(&self, answer: &Answer) -> Result<(), (Reason, String)> {
        is_expected(&self.expected, answer.identity.number.as_deref())?;
        match (&self.command.if_valve, &answer.status.valve) {
            (Some(wanted), stands) if stands.as_ref() != Some(wanted) => {
                let stands = stands.as_ref().map_or("told by nobody", |valve| valve.as_str());
                Err((Reason::Precondition, format!("the valve is {stands}, and was to be {wanted}")))
            }
            _ => Ok(()),
        }
    }
}

/// Whether the meter that says this number is the one that is meant.
fn is_expected(expected: &Expected, number: Option<&str>) -> Result<(), (Reason, String)> {
    match (expected, number) {
        (Expected::Anybody | Expected::ByAddress, _) => Ok(()),
        (Expected::Number(expected), Some(number)) if expected == number => Ok(()),
        (Expected::Number(expected), Some(number)) => {
            let detail = format!("meter {number} answers where {expected} is expected");
            Err((Reason::WrongMeter, detail))
        }
        (Expected::Number(expected), None) => {
            let detail = format!("the meter does not say its number, and {expected} is expected");
            Err((Reason::NoIdentity, detail))
        }
        (Expected::Unknown, number) => {
            let says = number.unwrap_or("none");
            let detail = format!("no expected_number is configured for this meter (it says {says})");
            Err((Reason::NoIdentity, detail))
        }
    }
}

/// What a read shows of anything that a command may be about.
pub(super) fn observed(answer: &Answer) -> Observed {
    Observed {
        valve: answer.status.valve.clone(),
        meter_time: answer.meter_time,
        number: answer.identity.number.clone(),
        ..Observed::default()
    }
}

/// A later visit: looks at what the meter shows.
pub(super) struct Look {
    pub(super) order: Order,
    /// Who it must say it is first, where this start has not asked it yet: meters are exchanged while the power is off.
    pub(super) expected: Option<Expected>,
}

/// What a look has shown.
pub(super) enum Looked {
    /// This.
    Shown(Observed),
    /// Nothing.
    Unanswered(Fault),
    /// That it is not the meter, or cannot say that it is.
    Stranger(Reason, String),
}

#[async_trait]
impl Visit for Look {
    type Output = (Looked, Vec<Exchanged>);

    async fn run(&mut self, meter: &mut AtMeter<'_>) -> Self::Output {
        (self.look(meter).await, meter.take_exchanges())
    }
}

impl Look {
    async fn look(&self, meter: &mut AtMeter<'_>) -> Looked {
        if let Some(expected) = &self.expected {
            match meter.read().await.map(|answer| is_expected(expected, answer.identity.number.as_deref())) {
                Err(fault) => return Looked::Unanswered(fault),
                Ok(Err((reason, detail))) => return Looked::Stranger(reason, detail),
                Ok(Ok(())) => {}
            }
        }
        meter.observe(&self.order).await.map_or_else(Looked::Unanswered, Looked::Shown)
    }
}

/// Asks how long an order takes; nothing goes on the line.
pub(super) struct CourseOf {
    pub(super) order: Order,
}

#[async_trait]
impl Visit for CourseOf {
    type Output = Option<Course>;

    async fn run(&mut self, meter: &mut AtMeter<'_>) -> Option<Course> {
        meter.course(&self.order).ok()
    }
}
