//! A month of a concentrator with 200 meters, in a second, from a seed: outages of minutes to ten days, restarts, power
//! cuts, a clock that starts in 1970 or steps back, a disk that somebody else fills.
//!
//! Keeper, lanes and drains are the real ones, on virtual time; the flash is the one in memory that forgets what was not
//! synced, and the broker a map. At the end:
//!
//! * *conservation*: every reading that was told as durable has arrived, or lies in a gap that was reported;
//! * *integrity*: one id has one content, however often it arrived, and it is the one that was stored;
//! * *liveness*: once nothing stands in the way any more, everything leaves and new readings pass.
//!
//! A failing seed is printed; `WEIR_MONTH_SEED=<seed>` plays that one alone, `WEIR_MONTH_SEEDS=<count>` so many.

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::pending;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;
use tokio::task::{JoinHandle, spawn_local};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use weir_wire::stored::{Reading, Record};
use weir_wire::{Answer, Clock, Number, Quantity, Unit, Value};

use super::backoff::{Backoff, Bounds};
use super::condition::Tracker;
use super::doubles::hold;
use super::drain::{Drain, Parts};
use super::message::{Message, Topic};
use super::{Failure, FailureKind, Report, Uplink};
use crate::clock::{self, simulated};
use crate::id::Lane;
use crate::outbox::in_memory::{self, Flash};
use crate::outbox::{self, Outbox, WhenFull};
use crate::pulse::Pulse;

const METERS: u64 = 200;
const EVERY: Duration = Duration::from_secs(3600);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
const MONTH: Duration = Duration::from_secs(30 * 24 * 3600);
/// How often an idle loop turns; once a second as in the daemon would be most of the work.
const TICK: Duration = Duration::from_secs(60);
const SEEDS: u64 = 100;
const GATEWAY: &str = "gw";
/// How long a message waits for the broker before the client gives up on it.
const MESSAGE_TIMEOUT: Duration = Duration::from_secs(120);
/// Room for about a week of readings in segments of 256 KiB.
const QUOTA: u64 = 24 << 20;

/// What happens to the world around the gateway.
#[derive(Clone, Copy, Debug)]
enum Event {
    BrokerGoes,
    BrokerComes,
    /// Somebody else fills the disk.
    DiskFills,
    DiskClears,
    ClockIsSet,
    ClockStepsBack(Duration),
}

/// How one life of the daemon ends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Stop,
    PowerCut,
}

/// The broker's side, and what the line was told.
#[derive(Default)]
struct World {
    is_up: bool,
    /// By id: the reading's number and a hash of the whole message.
    arrived: HashMap<String, (u64, u64)>,
    repeats: u64,
    gaps: Vec<(u64, u64)>,
    /// By id, as told by the outbox.
    told: HashMap<String, u64>,
    refused: u64,
}

type Shared = Rc<RefCell<World>>;

/// A client of the broker: in flight for 30 ms, or until the message's time-out while the broker is away.
struct Client {
    world: Shared,
    chance: Rng,
    in_flight: Vec<(usize, Message)>,
}

impl Uplink for Client {
    fn connect(&mut self) -> Result<(), Failure> {
        self.in_flight.clear();
        Ok(())
    }

    fn send(&mut self, ticket: usize, message: &Message) -> Result<(), Failure> {
        self.in_flight.push((ticket, message.clone()));
        Ok(())
    }

    async fn reports(&mut self, reports: &mut Vec<Report>) {
        if self.in_flight.is_empty() {
            return pending().await;
        }
        sleep(Duration::from_millis(30)).await;
        if !self.world.borrow().is_up {
            sleep(MESSAGE_TIMEOUT).await;
        }
        let failure = || Box::new(Failure::new(FailureKind::Retriable, "the broker is away", ""));
        let is_up = self.world.borrow().is_up;
        // Now and then an acknowledgement is lost on its way.
        let is_lost = self.chance.u8(..50) == 0;
        for (ticket, message) in self.in_flight.drain(..) {
            if is_up {
                self.world.borrow_mut().take(&message);
            }
            let is_told = is_up && !is_lost;
            reports.push(if is_told { Report::Delivered(ticket) } else { Report::Failed(ticket, failure()) });
        }
    }

    fn abandon(&mut self) {
        self.in_flight.clear();
    }

    fn reports_within(&self) -> Duration {
        MESSAGE_TIMEOUT + Duration::from_secs(60)
    }
}

impl World {
    fn take(&mut self, message: &Message) {
        let mut hasher = DefaultHasher::new();
        (&message.key, &message.payload).hash(&mut hasher);
        let content = hasher.finish();
        if let Some((_, before)) = self.arrived.get(&message.id) {
            assert_eq!(*before, content, "{}: one name, two contents", message.id);
            self.repeats += 1;
            return;
        }
        let number = match message.topic {
            Topic::Readings => number_of(&message.payload),
            Topic::Events => {
                self.gaps.extend(gap_of(&message.payload));
                0
            }
            Topic::Outcomes => unreachable!("nobody commands anything here"),
        };
        self.arrived.insert(message.id.clone(), (number, content));
    }
}

/// The reading's number, which it carries as its uptime.
fn number_of(json: &[u8]) -> u64 {
    #[derive(serde::Deserialize)]
    struct Brief {
        uptime_ms: u64,
    }
    serde_json::from_slice::<Brief>(json).unwrap().uptime_ms
}

/// The sequences of a gap in the readings lane.
fn gap_of(json: &[u8]) -> Option<(u64, u64)> {
    let event: serde_json::Value = serde_json::from_slice(json).unwrap();
    let sequence = |id: &serde_json::Value| id.as_str()?.rsplit_once(":r")?.1.parse().ok();
    let ids = event.get("ids").filter(|_| event["kind"] == "gap" || event["event"] == "gap")?;
    Some((sequence(ids.get(0)?)?, sequence(ids.get(1)?)?))
}

fn reading(meter: u64, number: u64) -> Record {
    let at = clock::wall();
    let volume = Number::scaled(i128::from(number), -3).unwrap();
    Record::Reading(Reading {
        line: "riser-1".into(),
        meter: format!("A-{meter}"),
        driver: "mbus".into(),
        scheduled_at: Some(at),
        read_at: at,
        clock: Clock::Synced,
        boot: 1,
        uptime_ms: number,
        answer: Answer {
            values: vec![Value::number(Quantity::Volume, volume, Unit::CubicMetre)],
            ..Answer::default()
        },
    })
}

/// What the world has in store, in order.
fn events(chance: &mut Rng) -> Vec<(Duration, Event)> {
    let mut events = Vec::new();
    let within = |chance: &mut Rng, span: Duration| Duration::from_secs(chance.u64(1..span.as_secs()));
    for _ in 0..chance.u32(2..7) {
        // Most are short, some last for days.
        let longest = *chance.choice(&[HOUR, HOUR, 6 * HOUR, DAY, 10 * DAY]).unwrap();
        let at = within(chance, MONTH);
        let length = within(chance, longest);
        events.extend([(at, Event::BrokerGoes), (at + length, Event::BrokerComes)]);
    }
    for _ in 0..chance.u32(..3) {
        let at = within(chance, MONTH);
        events.extend([(at, Event::DiskFills), (at + within(chance, DAY), Event::DiskClears)]);
    }
    for _ in 0..chance.u32(..3) {
        events.push((within(chance, MONTH), Event::ClockStepsBack(within(chance, 2 * DAY))));
    }
    for _ in 0..chance.u32(..4) {
        events.push((within(chance, MONTH), Event::ClockIsSet));
    }
    events.sort_by_key(|(at, _)| *at);
    events
}

struct Month {
    world: Shared,
    flash: Flash,
    chance: Rng,
    begin: Instant,
    number: Rc<RefCell<u64>>,
    generation: u32,
    when_full: WhenFull,
}

/// A running daemon: its outbox and its tasks.
struct Life {
    outbox: Outbox,
    keeper: JoinHandle<Result<(), String>>,
    drains: Vec<JoinHandle<()>>,
    stop: watch::Sender<bool>,
}

impl Month {
    fn config(&self) -> outbox::Config {
        outbox::Config {
            gateway: GATEWAY.into(),
            directory: Path::new("/weir/outbox").into(),
            readings_bytes_max: QUOTA,
            urgent_bytes_max: QUOTA,
            free_bytes_min: 1 << 20,
            commit_window: Duration::from_secs(1),
            when_full: self.when_full,
            time_zone: jiff::tz::TimeZone::get("Europe/Berlin").unwrap(),
            segment_payload_bytes: 256 << 10,
        }
    }

    fn live(&mut self) -> Life {
        self.generation += 1;
        let (outbox, keeper) = in_memory::open(self.config(), &self.flash, self.generation, TICK).unwrap();
        let keeper = spawn_local(keeper);
        let (stop, stopped) = watch::channel(false);
        let drains = Lane::ALL.map(|lane| {
            let parts = Parts {
                source: outbox.reader(lane),
                cursor: outbox.reader(lane),
                uplink: Client {
                    world: Rc::clone(&self.world),
                    chance: self.chance.fork(),
                    in_flight: Vec::new(),
                },
                gateway: GATEWAY.to_owned(),
                backoff: Backoff::new(Bounds::default(), self.chance.fork()),
                start_spread: Duration::from_secs(10),
                stop_wait: Duration::from_secs(5),
                tick: TICK,
                hold: hold(),
                pulse: Pulse::new("drain"),
                tracker: Tracker::new(lane),
                stopped: stopped.clone(),
            };
            spawn_local(async move { Drain::new(parts).run().await })
        });
        Life { outbox, keeper, drains: drains.into(), stop }
    }

    /// Polls every meter at every slot, until it is dropped or the outbox is gone.
    async fn poll(&self, outbox: &Outbox) {
        let mut slot = self.begin + EVERY;
        loop {
            while slot <= simulated::instant() {
                slot += EVERY;
            }
            sleep_until(slot).await;
            for meter in 0..METERS {
                let number = {
                    let mut number = self.number.borrow_mut();
                    *number += 1;
                    *number
                };
                let Ok(receipt) = outbox.append(&reading(meter, number)).await else { return };
                let world = Rc::clone(&self.world);
                spawn_local(async move {
                    match receipt.await {
                        Ok(name) => drop(world.borrow_mut().told.insert(name.id(GATEWAY), number)),
                        Err(_) => world.borrow_mut().refused += 1,
                    }
                });
            }
        }
    }

    /// One life of the daemon, of at most this length.
    async fn pass(&mut self, length: Duration, end: End) {
        let Life { outbox, mut keeper, drains, stop } = self.live();
        let has_failed = tokio::select! {
            () = sleep(length) => false,
            () = self.poll(&outbox) => true,
            _ = &mut keeper => true,
        };
        if end == End::PowerCut || has_failed {
            keeper.abort();
            drains.iter().for_each(JoinHandle::abort);
            let _ = keeper.await;
            for drain in drains {
                let _ = drain.await;
            }
            if end == End::PowerCut {
                self.flash.power_cycle(&mut self.chance);
                sleep(Duration::from_secs(self.chance.u64(1..HOUR.as_secs()))).await;
                // Half the boxes have no clock that runs on.
                let wall = if self.chance.bool() { Timestamp::UNIX_EPOCH } else { self.true_time() };
                simulated::boot(wall);
            }
        } else {
            stop.send_replace(true);
            for drain in drains {
                drain.await.unwrap();
            }
            outbox.close().await.unwrap();
            keeper.await.unwrap().unwrap();
        }
        sleep(Duration::from_secs(5)).await;
    }

    fn true_time(&self) -> Timestamp {
        true_time(self.begin)
    }

    /// Nothing stands in the way any more: everything leaves, and a new reading passes.
    async fn last_days(&mut self) {
        self.world.borrow_mut().is_up = true;
        self.flash.set_capacity(None);
        let Life { outbox, keeper, drains, stop } = self.live();
        let emptied = timeout(2 * DAY, async {
            while outbox.stats().await.unwrap().readings.waiting > 0
                || outbox.stats().await.unwrap().urgent.waiting > 0
            {
                sleep(Duration::from_secs(60)).await;
            }
        });
        emptied.await.expect("everything leaves");
        let name = outbox.append(&reading(0, u64::MAX)).await.unwrap().await.unwrap();
        sleep(HOUR).await;
        assert!(self.world.borrow().arrived.contains_key(&name.id(GATEWAY)), "a new reading passes");
        stop.send_replace(true);
        for drain in drains {
            drain.await.unwrap();
        }
        outbox.close().await.unwrap();
        keeper.await.unwrap().unwrap();
    }
}

fn true_time(begin: Instant) -> Timestamp {
    let start: Timestamp = "2026-03-01T00:00:00Z".parse().unwrap();
    start + SignedDuration::try_from(begin.elapsed()).unwrap()
}

async fn happen(events: Vec<(Duration, Event)>, begin: Instant, world: Shared, flash: Flash) {
    for (at, event) in events {
        sleep_until(begin + at).await;
        match event {
            Event::BrokerGoes => world.borrow_mut().is_up = false,
            Event::BrokerComes => world.borrow_mut().is_up = true,
            Event::DiskFills => flash.set_capacity(Some(flash.used() + (600 << 10))),
            Event::DiskClears => flash.set_capacity(None),
            Event::ClockIsSet => simulated::set_wall(true_time(begin)),
            Event::ClockStepsBack(by) => {
                simulated::set_wall(clock::wall() - SignedDuration::try_from(by).unwrap());
            }
        }
    }
}

async fn play(seed: u64) {
    let mut chance = Rng::with_seed(seed);
    let begin = simulated::instant();
    simulated::boot(true_time(begin));
    let world = Shared::default();
    world.borrow_mut().is_up = true;
    let flash = Flash::default();
    let around = spawn_local(happen(events(&mut chance), begin, Rc::clone(&world), flash.clone()));
    let when_full = *chance.choice(&[WhenFull::Thin, WhenFull::Thin, WhenFull::DropOldest]).unwrap();
    let (chance, number) = (chance.fork(), Rc::default());
    let mut month =
        Month { world: Rc::clone(&world), flash, chance, begin, number, generation: 0, when_full };
    while begin.elapsed() < MONTH {
        let longest = *month.chance.choice(&[HOUR, DAY, DAY, 10 * DAY]).unwrap();
        let length = Duration::from_secs(month.chance.u64(1..longest.as_secs())).min(MONTH);
        let end = if month.chance.bool() { End::PowerCut } else { End::Stop };
        month.pass(length, end).await;
    }
    around.abort();
    month.last_days().await;

    let World { arrived, gaps, told, repeats, refused, .. } = &*world.borrow();
    let mut in_gaps = 0;
    for (id, number) in told {
        let sequence: u64 = id.rsplit_once(":r").unwrap().1.parse().unwrap();
        match arrived.get(id) {
            Some((arrived, _)) => assert_eq!(arrived, number, "{id} is another reading"),
            None if gaps.iter().any(|(from, to)| (*from..=*to).contains(&sequence)) => in_gaps += 1,
            None => panic!("{id} was told as durable and is neither at the broker nor in a gap"),
        }
    }
    assert!(told.len() > 10_000, "{} readings in a month are too few for a story", told.len());
    println!(
        "seed {seed}: {} told, {in_gaps} in {} gaps, {repeats} repeats, {refused} refused, {} lives",
        told.len(),
        gaps.len(),
        month.generation
    );
}

fn on_virtual_time(seed: u64) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, play(seed));
}

#[test]
fn a_month_of_trouble_loses_no_reading_without_a_word() {
    let number = |name| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    if let Some(seed) = number("WEIR_MONTH_SEED") {
        return on_virtual_time(seed);
    }
    let seeds = number("WEIR_MONTH_SEEDS").unwrap_or(SEEDS);
    let next = std::sync::atomic::AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    if seed >= seeds {
                        return;
                    }
                    let played = std::panic::catch_unwind(|| on_virtual_time(seed));
                    if let Err(panic) = played {
                        println!("WEIR_MONTH_SEED={seed} plays the month that failed");
                        std::panic::resume_unwind(panic);
                    }
                }
            });
        }
    });
}
