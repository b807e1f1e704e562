//! One command, from accepted to its end.
//!
//! ```text
//!                  not reached: waits, tries again
//!                    ┌───────┐            ┌───────┐ not yet: looks again
//!   accepted ─► first visit ─┴─► started ─► look ─┴─► done, unverified
//!      │          │                │        │ settle is over
//!      │          └─► rejected     │        └─► failed, unknown
//!      └─ not_after ─► expired     └─ crash ─► (next start) who is there, look ─► done, unverified, unknown
//! ```
//!
//! The first visit reads who is there, asks the desk once more whether it may still be (which makes `started` durable),
//! and writes, all in one turn on the line. The looks are turns of their own, so that the line polls on while a valve
//! travels. A write is made once in the life of a command and never again; whatever is repeated here is a read.
//!
//! What an end is called follows from what was seen alone:
//!
//! | the meter | shows what was ordered | shows something else when `settle` is over | cannot be asked |
//! |---|---|---|---|
//! | took the order | `done`; `unverified` where it shows only a part | `failed` | `unknown` |
//! | refused it | – | `failed` | `failed` |
//! | did not answer | `done`; `unverified` where it shows only a part | `failed` | `unknown` |
//! | was written to before a crash | `done`; `unverified` where it shows only a part | `unknown` | `unknown` |

mod judge;
mod visits;

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use weir_meter::{Course, Fault, Order};
use weir_wire::{Action, Command, CommandState, Observed, Reason};

use self::judge::{Seen, judge};
use self::visits::{Begin, Begun, CourseOf, Look, Looked, local, order};
use super::authorise::Expected;
use super::clerk::Start;
use super::desk::{Desk, End};
use crate::clock::{self, Moment};
use crate::limits::{
    COMMAND_LOOK_EVERY, COMMAND_LOOKS_WITHOUT_ANSWER, COMMAND_RECOVERY_MAX, COMMAND_TRY_MAX, COMMAND_TRY_MIN,
};
use crate::line::{self, ReadError, Urgency, VisitError};

/// What is needed to carry out commands for one meter.
#[derive(Clone)]
pub(super) struct Site {
    pub(super) line: line::Handle,
    pub(super) expected: Expected,
    pub(super) zone: TimeZone,
    pub(super) desk: Desk,
}

/// A write that is waited on.
struct Written {
    order: Order,
    at: Moment,
    course: Course,
    /// How the meter answered to it: `None` when a crash lies in between.
    answered: Option<Result<Observed, Fault>>,
}

impl Site {
    /// Carries out a command that was accepted and not started.
    pub(super) async fn carry_out(self, command: Command, deadline: Deadline) {
        if command.action == Action::ReadNow {
            return self.read_now(command, deadline).await;
        }
        let (mut wait, mut urgency) = (COMMAND_TRY_MIN, Urgency::AtOnce);
        let mut tries = 0_u32;
        while self.desk.is_under_way(&command.id).await {
            let visit = Begin {
                command: command.clone(),
                expected: self.expected.clone(),
                zone: self.zone.clone(),
                desk: self.desk.clone(),
                is_noted: is_noted(tries + 1),
            };
            let begun = self.line.visit(&command.meter, visit, urgency).await;
            // A visit that was made and reached nobody has had its turn before all others.
            if begun.is_ok() {
                (urgency, tries) = (Urgency::Patient, tries + 1);
            }
            let (reason, detail) = match begun {
                Ok(Begun::Told { order, course, result, at }) => {
                    let written = Written { order, at, course, answered: Some(result) };
                    return self.see_it_through(&command, written).await;
                }
                Ok(Begun::Ended) => return,
                Ok(Begun::Rejected { reason, detail, observed }) => {
                    let end = End { state: CommandState::Rejected, reason: Some(reason), detail, observed };
                    return self.desk.finish(&command.id, end).await;
                }
                Ok(Begun::NotReached(fault)) => why(&fault),
                Ok(Begun::NotYet) => not_ready(),
                // Perhaps in the middle of it: the next start finds out what became of it.
                Err(VisitError::Stopped) => return,
                Err(error) => not_visited(&error),
            };
            if !deadline.wait(wait).await {
                let detail = format!("{detail}; tried {tries} times");
                let end = End { state: CommandState::Expired, reason: Some(reason), detail, observed: None };
                return self.desk.finish(&command.id, end).await;
            }
            wait = (wait * 2).min(COMMAND_TRY_MAX);
        }
    }

    /// Sees to a command that was started before this start of the daemon. It is never carried out again.
    pub(super) async fn recover(self, command: Command) {
        let Some(order) = order(&command, &self.zone) else {
            let detail = "interrupted; reading again is harmless, and for whoever asked to order".to_owned();
            return self.desk.finish(&command.id, End::unknown(detail, None)).await;
        };
        let course_of = CourseOf { order: order.clone() };
        let asked = self.line.visit(&command.meter, course_of, Urgency::Patient).await;
        // The valve may have set out a moment ago.
        let course = match asked.ok().flatten() {
            Some(course) => Course { travel: Duration::ZERO, ..course },
            None => Course { travel: Duration::ZERO, settle: COMMAND_RECOVERY_MAX, unseen: None },
        };
        let written = Written { order, at: clock::now(), course, answered: None };
        self.see_it_through(&command, written).await;
    }

    /// Looks at the meter until it shows what was ordered, or for as long as it may take.
    async fn see_it_through(&self, command: &Command, written: Written) {
        if let Some(Err(fault @ Fault::Refused { .. })) = &written.answered {
            let (reason, detail) = why(fault);
            let end = End { state: CommandState::Failed, reason: Some(reason), detail, observed: None };
            return self.desk.finish(&command.id, end).await;
        }
        let settled = written.at + written.course.settle.max(written.course.travel);
        let mut next_look = written.at + written.course.travel;
        let mut last: Option<(Seen, Observed)> = None;
        // Looks in a row that were not answered, and why the latest was not.
        let (mut unanswered, mut unreached) = (0, (Reason::Silent, String::new()));
        let mut expected = written.answered.is_none().then(|| self.expected.clone());
        loop {
            sleep_until(next_look).await;
            let look = Look { order: written.order.clone(), expected: expected.clone() };
            match self.line.visit(&command.meter, look, Urgency::Patient).await {
                Ok((Looked::Shown(observed), exchanges)) => {
                    self.desk.note(&command.id, "look", exchanges).await;
                    (unanswered, expected) = (0, None);
                    match judge(&written.order, &observed, local(&self.zone)) {
                        Seen::Done => return self.desk.finish(&command.id, written.seen(observed)).await,
                        Seen::ValveFault => {
                            let end =
                                written.not_seen(Some(Reason::ValveFault), "valve fault", Some(observed));
                            return self.desk.finish(&command.id, end).await;
                        }
                        // A valve on its way may show neither end.
                        seen @ (Seen::NotYet | Seen::Nothing) => last = Some((seen, observed)),
                    }
                }
                Ok((Looked::Unanswered(fault), exchanges)) => {
                    self.desk.note(&command.id, "look", exchanges).await;
                    (unanswered, unreached) = (unanswered + 1, why(&fault));
                }
                Ok((Looked::Stranger(reason, detail), exchanges)) => {
                    self.desk.note(&command.id, "look", exchanges).await;
                    let detail = format!("{detail}, {}", written.after());
                    let end =
                        End { state: CommandState::Unknown, reason: Some(reason), detail, observed: None };
                    return self.desk.finish(&command.id, end).await;
                }
                Err(VisitError::Stopped) => return,
                Err(error) => (unanswered, unreached) = (unanswered + 1, not_visited(&error)),
            }
            // After `settle` one answer is enough; without any, some more looks are made.
            let is_over =
                clock::now() >= settled && (unanswered == 0 || unanswered >= COMMAND_LOOKS_WITHOUT_ANSWER);
            if is_over {
                let end = match last {
                    // What was seen on the way is not where it came to rest.
                    Some((_, observed)) if unanswered > 0 => {
                        End { observed: Some(observed), ..written.out_of_reach(unreached) }
                    }
                    Some((Seen::Nothing, observed)) => written.not_told(observed),
                    Some((_, observed)) => written.not_seen(None, "not in the ordered state", Some(observed)),
                    None => written.out_of_reach(unreached),
                };
                return self.desk.finish(&command.id, end).await;
            }
            next_look = clock::now() + COMMAND_LOOK_EVERY;
        }
    }

    async fn read_now(&self, command: Command, deadline: Deadline) {
        let mut wait = COMMAND_TRY_MIN;
        loop {
            match self.desk.may_start(&command.id, Vec::new()).await {
                Start::Now => break,
                Start::Over => return,
                Start::NotYet => {}
            }
            if !deadline.wait(wait).await {
                let (reason, detail) = not_ready();
                let end = End { state: CommandState::Expired, reason: Some(reason), detail, observed: None };
                return self.desk.finish(&command.id, end).await;
            }
        }
        let (mut urgency, mut tries) = (Urgency::AtOnce, 0_u32);
        loop {
            let (read, passed) = self.line.read_now(&command.meter, urgency).await;
            if !passed.is_empty() {
                (urgency, tries) = (Urgency::Patient, tries + 1);
            }
            if read.is_ok() || is_noted(tries) || deadline.left() <= wait {
                self.desk.note(&command.id, "read", passed).await;
            }
            let (reason, detail) = match read {
                Ok(reading) => {
                    let observed = Some(visits::observed(&reading.answer));
                    let end = End {
                        state: CommandState::Done,
                        reason: None,
                        detail: format!("read at {}", reading.read_at),
                        observed,
                    };
                    return self.desk.finish(&command.id, end).await;
                }
                Err(ReadError::Stopped) => return,
                Err(ReadError::Fault(fault)) => why(&fault),
                Err(error @ ReadError::Lent { .. }) => (Reason::LineLent, error.to_string()),
                Err(error) => (Reason::Refused, error.to_string()),
            };
            if !deadline.wait(wait).await {
                let detail = format!("{detail}; tried {tries} times");
                let end = End { state: CommandState::Failed, reason: Some(reason), detail, observed: None };
                return self.desk.finish(&command.id, end).await;
            }
            wait = (wait * 2).min(COMMAND_TRY_MAX);
        }
    }
}

impl Written {
    fn after(&self) -> String {
        let seconds = clock::now().since(self.at).as_secs_f32();
        match &self.answered {
            Some(Ok(_)) => format!("{seconds:.1} s after the write"),
            Some(Err(fault)) => {
                format!("{seconds:.1} s after the order, to which came no good answer ({fault})")
            }
            None => "after an interruption".to_owned(),
        }
    }

    /// It shows what was ordered.
    fn seen(&self, observed: Observed) -> End {
        let after = self.after();
        match self.course.unseen {
            Some(unseen) => End {
                state: CommandState::Unverified,
                reason: None,
                detail: format!("read back {after}, but not {unseen}"),
                observed: Some(observed),
            },
            None => End {
                state: CommandState::Done,
                reason: None,
                detail: format!("read back {after}"),
                observed: Some(observed),
            },
        }
    }

    /// It shows something else.
    fn not_seen(&self, reason: Option<Reason>, what: &str, observed: Option<Observed>) -> End {
        let detail = format!("{what} {}", self.after());
        match &self.answered {
            None => End::unknown(detail, observed),
            Some(result) => {
                let silence = result.as_ref().err().map(|fault| why(fault).0);
                let is_valve = matches!(self.order, Order::Valve(_)).then_some(Reason::ValveFault);
                let reason = reason.or(silence).or(is_valve);
                End { state: CommandState::Failed, reason, detail, observed }
            }
        }
    }

    /// It cannot show it.
    fn not_told(&self, observed: Observed) -> End {
        let detail = format!("the meter does not tell {}", self.after());
        match &self.answered {
            Some(Ok(_)) => {
                End { state: CommandState::Unverified, reason: None, detail, observed: Some(observed) }
            }
            Some(Err(fault)) => {
                let reason = Some(why(fault).0);
                End { state: CommandState::Unknown, reason, detail, observed: Some(observed) }
            }
            None => End::unknown(detail, Some(observed)),
        }
    }

    /// It cannot be asked.
    fn out_of_reach(&self, (reason, detail): (Reason, String)) -> End {
        let detail = format!("no look at the meter was answered {}: {detail}", self.after());
        let reason = if self.answered.is_none() { Reason::Interrupted } else { reason };
        End { state: CommandState::Unknown, reason: Some(reason), detail, observed: None }
    }
}

impl End {
    fn unknown(detail: String, observed: Option<Observed>) -> Self {
        Self { state: CommandState::Unknown, reason: Some(Reason::Interrupted), detail, observed }
    }
}

/// Until when a command may be begun.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline {
    /// By the time since boot, whatever the wall clock shows.
    pub(super) over_at: Moment,
    /// By the wall clock; `None` where the command's dates say nothing.
    pub(super) not_after: Option<Timestamp>,
}

impl Deadline {
    /// Time that is left; zero when it is over.
    fn left(self) -> Duration {
        let left = |at: Timestamp| Duration::try_from(at.duration_since(clock::wall())).unwrap_or_default();
        self.not_after.map_or(Duration::MAX, left).min(self.over_at.since(clock::now()))
    }

    /// Waits this long, and says whether there is time left then. Returns at once when there is none.
    async fn wait(self, wait: Duration) -> bool {
        let left = self.left();
        tokio::time::sleep(wait.min(left)).await;
        !self.left().is_zero()
    }
}

/// Whether the n-th try in vain is journalled: the first few, and then ever fewer, or a riser that is dead all day would
/// push the audit of years out. The end says how many there were.
fn is_noted(tries: u32) -> bool {
    tries.is_power_of_two()
}

async fn sleep_until(at: Moment) {
    tokio::time::sleep(at.since(clock::now())).await;
}

fn why(fault: &Fault) -> (Reason, String) {
    let reason = match fault {
        Fault::Silent { .. } => Reason::Silent,
        Fault::Garbled { .. } => Reason::Garbled,
        Fault::Refused { .. } => Reason::Refused,
        Fault::LineDown { .. } => Reason::LineDown,
    };
    (reason, fault.to_string())
}

fn not_ready() -> (Reason, String) {
    (
        Reason::ClockNotTrusted,
        "the gateway's clock cannot be trusted, or its journal not be written".to_owned(),
    )
}

fn not_visited(error: &VisitError) -> (Reason, String) {
    let reason = match error {
        VisitError::Lent { .. } => Reason::LineLent,
        VisitError::LineDown { .. } | VisitError::Busy | VisitError::Stopped => Reason::LineDown,
        VisitError::UnknownMeter { .. } => Reason::UnknownMeter,
    };
    (reason, error.to_string())
}
