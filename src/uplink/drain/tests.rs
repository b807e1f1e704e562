//! The drain against a scripted broker on virtual time: whatever is reported in whatever order, nothing is acknowledged
//! that was not stored, everything arrives in the end under one id with one content, and only the guilty are set aside.

use std::collections::BTreeSet;
use std::future::pending;
use std::time::Duration;

use fastrand::Rng;
use proptest::prelude::*;
use tokio::time::{sleep, timeout};

use super::super::condition::{Condition, State};
use super::super::doubles::{Running, Shared, event, run};
use super::super::message::Message;
use super::super::{Failure, FailureKind, Report, Uplink};
use crate::limits::{REFUSED_IN_A_ROW_MAX, UPLINK_START_RECORDS, UPLINK_WINDOW_RECORDS};

/// Far longer than any run takes in virtual time.
const PATIENCE: Duration = Duration::from_secs(7 * 24 * 3600);
const REPORTS_WITHIN: Duration = Duration::from_secs(20);

/// How often, in a thousand, a batch meets which fate; what is left over is delivered.
#[derive(Clone, Copy, Debug, Default)]
struct Script {
    retriable: u32,
    lost_ack: u32,
    fatal: u32,
    silent: u32,
    trouble: u32,
    /// Of the attempts to make a client.
    no_client: u32,
    /// Of the hand-overs.
    queue_full: u32,
    /// The first client gets nothing through, whatever the broker does, and says so each time.
    is_first_worn: bool,
}

struct Broker {
    shared: Shared,
    script: Script,
    random: Rng,
    outstanding: Vec<(usize, Message)>,
    ready: Vec<Report>,
    is_broken: bool,
    is_silent: bool,
}

impl Broker {
    fn new(shared: &Shared, script: Script, seed: u64) -> Self {
        Self {
            shared: shared.clone(),
            script,
            random: Rng::with_seed(seed),
            outstanding: Vec::new(),
            ready: Vec::new(),
            is_broken: true,
            is_silent: false,
        }
    }

    fn failure(kind: FailureKind) -> Box<Failure> {
        Box::new(Failure::new(kind, "scripted", ""))
    }

    /// A batch of what is outstanding, from anywhere in it, meets its fate.
    fn turn(&mut self) {
        let random = &mut self.random;
        let from = if random.bool() { 0 } else { random.usize(..self.outstanding.len()) };
        let to = random.usize(from..self.outstanding.len()) + 1;
        let mut fate = random.u32(..1000);
        let mut is = |share: u32| {
            let is = fate < share;
            fate = fate.saturating_sub(share);
            if is {
                fate = u32::MAX;
            }
            is
        };
        let script = self.script;
        if is(script.silent) {
            self.is_silent = true;
            return;
        }
        if is(script.fatal) {
            self.is_broken = true;
            self.ready.push(Report::Trouble(Self::failure(FailureKind::Fatal)));
            return;
        }
        if is(script.trouble) {
            self.ready.push(Report::Trouble(Self::failure(FailureKind::Retriable)));
        }
        let is_worn = script.is_first_worn && self.shared.world.borrow().connects == 1;
        let (is_retriable, is_lost) = (is(script.retriable) || is_worn, is(script.lost_ack));
        let batch: Vec<_> = self.outstanding.drain(from..to).collect();
        let is_refused = batch.iter().any(|(_, message)| self.is_poison(message));
        if is_refused {
            self.shared.world.borrow_mut().refusals += 1;
        }
        for (ticket, message) in batch {
            let report = if is_refused {
                Report::Failed(ticket, Self::failure(FailureKind::Refused))
            } else if is_retriable {
                Report::Failed(ticket, Self::failure(FailureKind::Retriable))
            } else {
                self.shared.store(&message);
                if is_lost {
                    Report::Failed(ticket, Self::failure(FailureKind::Retriable))
                } else {
                    Report::Delivered(ticket)
                }
            };
            self.ready.push(report);
        }
        self.random.shuffle(&mut self.ready);
    }

    fn is_poison(&self, message: &Message) -> bool {
        self.shared.world.borrow().poison.contains(&sequence_of(message))
    }
}

fn sequence_of(message: &Message) -> u64 {
    message.id.rsplit('u').next().unwrap().parse().unwrap()
}

impl Uplink for Broker {
    fn connect(&mut self) -> Result<(), Failure> {
        self.outstanding.clear();
        self.ready.clear();
        if self.random.u32(..1000) < self.script.no_client {
            return Err(*Self::failure(FailureKind::Fatal));
        }
        self.shared.world.borrow_mut().connects += 1;
        (self.is_broken, self.is_silent) = (false, false);
        Ok(())
    }

    fn send(&mut self, ticket: usize, message: &Message) -> Result<(), Failure> {
        if self.is_broken {
            return Err(*Self::failure(FailureKind::Fatal));
        }
        if self.shared.world.borrow().too_large.contains(&sequence_of(message)) {
            return Err(*Self::failure(FailureKind::Refused));
        }
        if self.random.u32(..1000) < self.script.queue_full {
            return Err(*Self::failure(FailureKind::Retriable));
        }
        self.outstanding.push((ticket, message.clone()));
        let mut world = self.shared.world.borrow_mut();
        world.handed_over += 1;
        world.outstanding_max = world.outstanding_max.max(self.outstanding.len());
        Ok(())
    }

    async fn reports(&mut self, reports: &mut Vec<Report>) {
        if self.ready.is_empty() {
            if self.outstanding.is_empty() || self.is_broken || self.is_silent {
                return pending().await;
            }
            sleep(Duration::from_millis(self.random.u64(1..40))).await;
            self.turn();
        }
        // A part of them, so that reports of one batch also arrive in several turns.
        let some = self.random.usize(..=self.ready.len());
        reports.extend(self.ready.drain(..some));
    }

    fn abandon(&mut self) {
        // A client so broken that it owes its reports for ever.
        if self.is_silent && self.random.bool() {
            return;
        }
        for (ticket, message) in std::mem::take(&mut self.outstanding) {
            // Half of what is given up had arrived.
            if self.random.bool() && !self.is_poison(&message) {
                self.shared.store(&message);
            }
            self.ready.push(Report::Failed(ticket, Self::failure(FailureKind::Retriable)));
        }
        self.is_silent = false;
    }

    fn reports_within(&self) -> Duration {
        REPORTS_WITHIN
    }
}

/// A lane with so many events, with gaps in their sequences: retention takes records out of the middle.
fn lane(records: u64) -> Shared {
    Shared::with((1..=records).map(|nth| event(nth * 2)).collect())
}

fn spawn(shared: &Shared, uplink: Broker) -> Running {
    run(shared, uplink, Duration::from_secs(30))
}

/// Drains everything and stops.
fn drain_all(shared: &Shared, script: Script, seed: u64) -> Condition {
    on_virtual_time(async {
        let running = spawn(shared, Broker::new(shared, script, seed));
        timeout(PATIENCE, shared.done()).await.expect("everything leaves the outbox in the end");
        running.stop.send_replace(true);
        timeout(PATIENCE, running.drain).await.expect("a drain that is asked to stop stops").unwrap();
        running.tracker.condition()
    })
}

fn on_virtual_time<T>(story: impl Future<Output = T>) -> T {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, story)
}

fn assert_complete(shared: &Shared, condition: &Condition) {
    let world = shared.world.borrow();
    let guilty: BTreeSet<_> =
        world.poison.iter().chain(&world.too_large).chain(&world.undecodable).copied().collect();
    let set_aside: BTreeSet<_> = world.set_aside.iter().copied().collect();
    assert_eq!(set_aside, guilty, "exactly the guilty are set aside");
    assert_eq!(world.set_aside.len(), guilty.len(), "each once");
    for stored in &world.records {
        let is_guilty = guilty.contains(&stored.name.sequence);
        assert_ne!(world.broker.contains_key(&stored.name.id("gw")), is_guilty, "{}", stored.name);
    }
    assert!(world.outstanding_max <= UPLINK_WINDOW_RECORDS);
    let acknowledged = world.records.len() - guilty.len();
    let counted = (condition.acknowledged, condition.set_aside);
    assert_eq!(counted, (acknowledged as u64, guilty.len() as u64));
}

fn script() -> impl Strategy<Value = Script> {
    let share = || prop_oneof![Just(0), 0..100_u32, Just(300)];
    let rarely = || prop_oneof![3 => Just(0), 1 => 0..60_u32];
    (share(), share(), rarely(), rarely(), share(), rarely(), rarely()).prop_map(
        |(retriable, lost_ack, fatal, silent, trouble, no_client, queue_full)| Script {
            retriable,
            lost_ack,
            fatal,
            silent,
            trouble,
            no_client,
            queue_full,
            is_first_worn: false,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_the_broker_does_all_arrives_and_nothing_leaves_too_early(
        records in 1..250_u64,
        script in script(),
        poison in proptest::collection::btree_set(1..250_u64, 0..4),
        too_large in proptest::collection::btree_set(1..250_u64, 0..3),
        undecodable in proptest::collection::btree_set(1..250_u64, 0..3),
        full_disk in 0..4_u32,
        seed: u64,
    ) {
        let shared = lane(records);
        for nth in undecodable.into_iter().filter(|&nth| nth <= records) {
            shared.spoil(nth * 2);
        }
        let mut world = shared.world.borrow_mut();
        world.full_disk = full_disk;
        world.poison = poison.into_iter().filter(|&nth| nth <= records).map(|nth| nth * 2).collect();
        world.too_large = too_large.into_iter().filter(|&nth| nth <= records).map(|nth| nth * 2).collect();
        let spoilt = world.undecodable.clone();
        world.poison.retain(|sequence| !spoilt.contains(sequence));
        world.too_large.retain(|sequence| !spoilt.contains(sequence));
        drop(world);
        let condition = drain_all(&shared, script, seed);
        assert_complete(&shared, &condition);
    }
}

#[test]
fn an_undisturbed_lane_is_sent_once_and_in_order() {
    let shared = lane(20_000);
    let condition = drain_all(&shared, Script::default(), 1);
    assert_complete(&shared, &condition);
    assert_eq!((condition.retried, condition.in_flight, condition.state), (0, 0, State::Connected));
    assert_eq!(shared.world.borrow().handed_over, 20_000);
}

#[test]
fn one_culprit_among_thousands_is_found_in_few_rounds_and_delays_few_others() {
    for culprit in [1, 777, 4000] {
        let shared = lane(4000);
        shared.world.borrow_mut().poison.insert(culprit * 2);
        let condition = drain_all(&shared, Script::default(), culprit);
        assert_complete(&shared, &condition);
        assert_eq!(shared.world.borrow().set_aside, [culprit * 2]);
        let rounds = shared.world.borrow().refusals;
        assert!(rounds <= 60, "culprit {culprit} took {rounds} refusals");
    }
}

#[test]
fn a_topic_that_refuses_one_after_the_other_does_not_empty_the_outbox() {
    let records = u64::from(REFUSED_IN_A_ROW_MAX) + 200;
    let shared = lane(records);
    shared.world.borrow_mut().poison = (1..=records).map(|nth| nth * 2).collect();
    on_virtual_time(async {
        let running = spawn(&shared, Broker::new(&shared, Script::default(), 3));
        sleep(Duration::from_secs(600)).await;
        let condition = running.tracker.condition();
        assert_eq!(condition.state, State::Waiting);
        let why = condition.why.unwrap();
        assert!(why.starts_with("one record after the other is refused"), "{why}");
        let in_ten_minutes = condition.set_aside - u64::from(REFUSED_IN_A_ROW_MAX);
        assert!((5..150).contains(&in_ten_minutes), "{in_ten_minutes}");
        running.stop.send_replace(true);
        running.drain.await.unwrap();
    });
}

#[test]
fn what_never_reports_is_given_up_and_sent_through_a_fresh_client() {
    let shared = lane(100);
    let condition = drain_all(&shared, Script { silent: 200, ..Script::default() }, 5);
    assert_complete(&shared, &condition);
    assert!(shared.world.borrow().connects > 1);
}

#[test]
fn a_client_that_fails_again_and_again_is_made_anew() {
    let shared = lane(100);
    let condition = drain_all(&shared, Script { is_first_worn: true, ..Script::default() }, 5);
    assert_complete(&shared, &condition);
    assert_eq!(shared.world.borrow().connects, 2, "and only then");
}

#[test]
fn during_an_outage_one_record_keeps_trying_and_the_reason_is_shown() {
    let shared = lane(5000);
    on_virtual_time(async {
        let down = Script { retriable: 1000, ..Script::default() };
        let running = spawn(&shared, Broker::new(&shared, down, 9));
        // What the first attempt gathered has failed by then.
        sleep(Duration::from_secs(60)).await;
        let gathered = std::mem::take(&mut shared.world.borrow_mut().handed_over);
        assert!(gathered >= UPLINK_START_RECORDS, "{gathered}");
        shared.world.borrow_mut().outstanding_max = 0;
        sleep(Duration::from_secs(3600)).await;
        let condition = running.tracker.condition();
        assert_eq!((condition.state, condition.acknowledged), (State::Waiting, 0));
        assert_eq!(condition.why.as_deref(), Some("scripted ()"));
        assert_eq!(shared.world.borrow().outstanding_max, 1);
        let attempts = shared.world.borrow().handed_over;
        assert!((60..2000).contains(&attempts), "{attempts} attempts in an hour");
        running.stop.send_replace(true);
        running.drain.await.unwrap();
        assert_eq!(shared.world.borrow().cursor, 0);
    });
}

#[test]
fn a_stop_waits_for_reports_within_its_bound_and_acknowledges_only_those() {
    for seed in 0..50 {
        let shared = lane(3000);
        on_virtual_time(async {
            let script = Script { silent: if seed % 2 == 0 { 100 } else { 0 }, ..Script::default() };
            let running = spawn(&shared, Broker::new(&shared, script, seed));
            // Sooner or later within the spread, the gentle start or the full flow.
            sleep(Duration::from_millis(700 * seed)).await;
            running.stop.send_replace(true);
            timeout(Duration::from_secs(20), running.drain).await.expect("within the bound").unwrap();
            let world = shared.world.borrow();
            let acknowledged = world.records.iter().filter(|it| it.name.sequence <= world.cursor).count();
            assert_eq!(running.tracker.condition().acknowledged, acknowledged as u64);
        });
    }
}

#[test]
fn a_handle_that_is_dropped_stops_the_drain() {
    let shared = lane(10);
    on_virtual_time(async {
        let running = spawn(&shared, Broker::new(&shared, Script::default(), 1));
        shared.done().await;
        drop(running.stop);
        timeout(Duration::from_secs(20), running.drain).await.expect("it stops").unwrap();
    });
}
