//! One poll: ask the meter, and decide what its answer or its fault means for the meter, the queue and the outbox.

use std::time::Duration;

use weir_meter::{Answer, Fault};
use weir_wire::stored::{Reading, Record, Register, What};

use super::exchange::{Exchange, Exchanged, Manner};
use super::handle::{ReadError, ReadRequest};
use super::health::{Change, Seen};
use super::queue::{Cause, Pick};
use super::reading::{Origin, reading};
use super::register::Lower;
use super::status::{LastFault, LastReading};
use super::task::{Connection, Station, Task};
use super::visit::{Urgency, YieldsTo};
use crate::clock::{self, Moment};
use crate::limits::LINE_STOP_MAX;

/// What the line did for a poll.
struct Done {
    result: Result<Answer, Fault>,
    repeated: u32,
    exchanges: Vec<Exchanged>,
    began: Moment,
    /// It made room for a visit.
    yielded: bool,
}

impl Task {
    /// Makes the poll and sees to what follows from it.
    pub(super) async fn poll(&mut self, mut pick: Pick<ReadRequest>) {
        let Some(station) = self.stations.get_mut(pick.meter) else { return };
        if matches!(&pick.cause, Cause::Asked(request) if request.reply.is_closed()) {
            return;
        }
        let left = station.budget.as_mut().map_or(u32::MAX, |budget| budget.left(clock::wall()));
        if left == 0 {
            return match pick.cause {
                Cause::Slot { .. } => self.queue.miss(pick.meter),
                Cause::Asked(request) => request.answer(Err(ReadError::BudgetSpent)),
            };
        }
        let is_probe = station.health.is_probed() && matches!(pick.cause, Cause::Slot { .. });
        // While a late answer may come, a repeat is a poll put back into the queue, ahead of those that are due: a patient
        // read is not, since whoever made it tries again.
        let puts_back = !station.manner.timing.late_window.is_zero();
        let ends_here = puts_back && pick.is_patient();
        let repeats = if is_probe || ends_here { 0 } else { station.manner.repeats }.min(left - 1);
        let Some(done) = self.ask(&pick, if puts_back { 0 } else { repeats }).await else { return };
        self.count(&pick, &done);
        match &mut pick.cause {
            Cause::Asked(request) => request.passed.extend_from_slice(&done.exchanges),
            // One that made room has not had its turn.
            Cause::Slot { .. } => self.owes_poll &= done.yielded,
        }
        match done.result {
            Ok(answer) => self.answered(pick, answer, &done.exchanges).await,
            Err(_) if done.yielded => self.queue.give_way(pick),
            Err(Fault::LineDown { why }) => self.cut_short(pick, why).await,
            Err(fault) => {
                let may_repeat = puts_back && pick.requests < repeats && !*self.stopping.borrow();
                self.failed(pick, fault, done.began, may_repeat).await;
            }
        }
    }

    /// Lets the driver read its meter. `None` when the line is not up.
    async fn ask(&mut self, pick: &Pick<ReadRequest>, repeats: u32) -> Option<Done> {
        let parked_until = self.park_visits();
        let Connection::Up { wire, .. } = &mut self.connection else { return None };
        let Station { driver, manner, status, .. } = self.stations.get_mut(pick.meter)?;
        if let Some(tap) = wire.tap.as_mut().filter(|tap| tap.is_watched()) {
            tap.about = Some(status.id.as_str().into());
        }
        let (began, bytes_before) = (clock::now(), wire.bytes);
        let serial = manner.serial;
        let mut stopping = self.stopping.clone();
        let too_long = async {
            if stopping.wait_for(|stop| *stop).await.is_err() {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(LINE_STOP_MAX).await;
        };
        let mut exchange = Exchange::new(wire, Manner { repeats, ..manner.clone() }, &self.stopping);
        exchange.yields_to = Some(YieldsTo { waiters: self.waiters.clone(), parked_until });
        let result = tokio::select! {
            biased;
            result = driver.read(&mut exchange) => result,
            () = too_long => Err(Fault::LineDown { why: "line is being stopped".into() }),
        };
        let (repeated, yielded) = (exchange.repeated, exchange.yielded);
        let exchanges = std::mem::take(&mut exchange.exchanges);
        self.busy += clock::now().since(began);
        let passed = usize::try_from(wire.bytes.saturating_sub(bytes_before)).unwrap_or(usize::MAX);
        self.wire_time += serial.characters(passed);
        Some(Done { result, repeated, exchanges, began, yielded })
    }

    fn count(&mut self, pick: &Pick<ReadRequest>, done: &Done) {
        let Some(station) = self.stations.get_mut(pick.meter) else { return };
        let counters = &mut station.status.counters;
        let is_first = pick.requests == 0;
        counters.polls += u64::from(is_first);
        counters.repeats += u64::from(done.repeated) + u64::from(!is_first);
        if let Some(budget) = &mut station.budget {
            budget.spend(clock::wall(), 1 + done.repeated);
        }
    }

    /// The line went down under the poll, which says nothing about the meter: it is made again when the line is up.
    async fn cut_short(&mut self, pick: Pick<ReadRequest>, why: String) {
        if *self.stopping.borrow() {
            // Given up because the line is being stopped, or as good as that: whoever asked learns it from the end.
            return;
        }
        match pick.cause {
            Cause::Slot { slot, turn } => self.queue.postpone(pick.meter, slot, turn),
            Cause::Asked(request) => {
                request.answer(Err(ReadError::Fault(Fault::LineDown { why: why.clone() })));
            }
        }
        self.go_down(why).await;
    }

    async fn answered(&mut self, pick: Pick<ReadRequest>, answer: Answer, passed: &[Exchanged]) {
        let Some(station) = self.stations.get_mut(pick.meter) else { return };
        let seen = station.identity.see(answer.identity.number.as_deref());
        let (line, meter) = (self.name.clone(), station.status.id.clone());
        match seen {
            Seen::Same => {}
            Seen::Changed { was, now } => {
                tracing::warn!(line, meter, was, now, "another meter answers");
                station.registers.forget();
                self.report(What::MeterChanged { line, meter, was, now }).await;
            }
            Seen::Wrong { why, change } => {
                if let Some((was, now)) = change {
                    tracing::warn!(line, meter, was, now, "wrong meter answers; its readings are not stored");
                    self.report(What::MeterChanged { line, meter, was, now }).await;
                }
                return self.refused(pick, Fault::Refused { why }).await;
            }
        }
        self.compare(pick.meter, &answer).await;
        let reading = self.keep(&pick, answer, passed).await;
        self.is_alive(pick.meter).await;
        match pick.cause {
            Cause::Slot { .. } => self.queue.answered(pick.meter),
            Cause::Asked(request) => {
                self.queue.revive(pick.meter);
                if let Some(reading) = reading {
                    request.answer(Ok(reading));
                }
            }
        }
    }

    /// Tells of registers that are lower than they were, before the reading that shows it.
    async fn compare(&mut self, meter: usize, answer: &Answer) {
        let Some(station) = self.stations.get_mut(meter) else { return };
        let lower = station.registers.see(answer, clock::now());
        let id = station.status.id.clone();
        for Lower { quantity, unit, was, now, rolled_over } in lower {
            let (line, meter) = (self.name.clone(), id.clone());
            tracing::warn!(line, meter, %was, %now, rolled_over, "register is lower than it was");
            let register = Register { line, meter, quantity, unit, was, now };
            let what = if rolled_over { What::RegisterRolledOver } else { What::RegisterWentBack };
            self.report(what(register)).await;
        }
    }

    /// Makes the reading and hands it to the outbox. Returns it for whoever asked.
    async fn keep(
        &mut self,
        pick: &Pick<ReadRequest>,
        answer: Answer,
        passed: &[Exchanged],
    ) -> Option<Reading> {
        let station = self.stations.get_mut(pick.meter)?;
        let (scheduled_at, is_asked) = match &pick.cause {
            Cause::Slot { slot, .. } => (Some(*slot), false),
            Cause::Asked(_) => (None, true),
        };
        let meter = station.status.id.clone();
        let driver = station.driver.name();
        let selection = station.selection.as_deref();
        let origin = Origin { line: &self.name, meter: &meter, driver, scheduled_at, selection };
        // The gist is the meter's, also of what is not forwarded.
        let gist = LastReading::of(&answer, clock::wall());
        let reading = reading(&origin, answer, passed, self.keep_raw);
        station.status.counters.answered += 1;
        station.status.last_reading = Some(LastReading { read_at: reading.read_at, ..gist });
        let for_asker = is_asked.then(|| reading.clone());
        self.delivery.send(Record::Reading(reading)).await;
        for_asker
    }

    async fn failed(&mut self, mut pick: Pick<ReadRequest>, fault: Fault, began: Moment, may_repeat: bool) {
        if matches!(fault, Fault::Refused { .. }) {
            return self.refused(pick, fault).await;
        }
        let late_window = self.late_window(pick.meter);
        let rests_until = clock::now() + late_window;
        if may_repeat {
            pick.requests += 1;
            return self.queue.put_back(pick, rests_until);
        }
        if !late_window.is_zero() {
            self.queue.rest(pick.meter, rests_until);
        }
        let Some(station) = self.stations.get_mut(pick.meter) else { return };
        station.note(&fault);
        tracing::debug!(line = self.name, meter = station.status.id, %fault, "poll failed");
        let slot = match pick.cause {
            Cause::Slot { slot, .. } => slot,
            // What a person asks for has no part in the back-off: ten tries by hand must not cost the next hour.
            Cause::Asked(request) => return request.answer(Err(ReadError::Fault(fault))),
        };
        let Some((back_off, change)) = station.health.failed(&fault) else { return };
        self.queue.probe_later(pick.meter, slot, clock::now(), began + back_off);
        if change == Some(Change::Silent) {
            let (line, meter) = (self.name.clone(), station.status.id.clone());
            tracing::warn!(line, meter, %fault, "meter silent");
            self.report(What::MeterSilent { line, meter, detail: fault.to_string() }).await;
        }
    }

    /// The meter is there and said no, or it is the wrong one: it keeps its schedule.
    async fn refused(&mut self, pick: Pick<ReadRequest>, fault: Fault) {
        let Some(station) = self.stations.get_mut(pick.meter) else { return };
        station.note(&fault);
        tracing::info!(line = self.name, meter = station.status.id, %fault, "poll refused");
        self.is_alive(pick.meter).await;
        match pick.cause {
            Cause::Slot { .. } => self.queue.answered(pick.meter),
            Cause::Asked(request) => {
                self.queue.revive(pick.meter);
                request.answer(Err(ReadError::Fault(fault)));
            }
        }
    }

    pub(super) async fn is_alive(&mut self, meter: usize) {
        let Some(station) = self.stations.get_mut(meter) else { return };
        if station.health.answered() == Some(Change::Back) {
            let (line, meter) = (self.name.clone(), station.status.id.clone());
            tracing::info!(line, meter, "meter back");
            self.report(What::MeterBack { line, meter }).await;
        }
    }

    pub(super) fn late_window(&self, meter: usize) -> Duration {
        self.stations.get(meter).map_or(Duration::ZERO, |station| station.manner.timing.late_window)
    }
}

impl Pick<ReadRequest> {
    fn is_patient(&self) -> bool {
        matches!(&self.cause, Cause::Asked(request) if request.urgency == Urgency::Patient)
    }
}

impl Station {
    fn note(&mut self, fault: &Fault) {
        self.status.counters.count(fault);
        self.status.last_fault = Some(LastFault::of(fault, clock::wall()));
    }
}
