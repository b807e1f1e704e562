//! What a poll's end means, poll by poll: no schedule, no waiting, and meters that say what the test tells them to.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use tokio::net::UnixStream;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use weir_meter::selection::{Keep, Selection, Which};
use weir_meter::{Answer, Ask, Fault, Line, Load, Recognised, Timing, async_trait};
use weir_wire::{Content, Function, Identity, Number, Quantity, Unit, Value};

use super::*;
use crate::line::delivery::Delivery;
use crate::line::exchange::Wire;
use crate::line::handle::{ReadError, ReadRequest};
use crate::line::port;
use crate::line::queue::{Cause, Pick};
use crate::line::task::{Connection, Request, Task, first_status};

const SILENT: Fault = Fault::Silent { window_ms: 188 };

/// A meter that says what it is told to, and silence when it is told nothing.
#[derive(Clone, Default)]
struct Puppet {
    says: Arc<Mutex<VecDeque<Result<Answer, Fault>>>>,
    late_window: Duration,
}

impl Puppet {
    fn says(&self, results: impl IntoIterator<Item = Result<Answer, Fault>>) {
        self.says.lock().unwrap().extend(results);
    }

    fn unsaid(&self) -> usize {
        self.says.lock().unwrap().len()
    }
}

#[async_trait]
impl Driver for Puppet {
    fn name(&self) -> &'static str {
        "puppet"
    }

    fn timing(&self, _: &Serial) -> Timing {
        Timing {
            answer_window: Duration::from_millis(188),
            silence: Duration::ZERO,
            silence_before_repeat: Duration::ZERO,
            late_window: self.late_window,
        }
    }

    fn load(&self) -> Vec<Load> {
        Vec::new()
    }

    async fn read(&mut self, _: &mut dyn Line) -> Result<Answer, Fault> {
        self.says.lock().unwrap().pop_front().unwrap_or(Err(SILENT))
    }
}

fn answer(number: &str) -> Answer {
    let volume = Number::scaled(123_456, -3).unwrap();
    Answer {
        identity: Identity { number: Some(number.into()), ..Identity::default() },
        values: vec![
            Value {
                storage: 1,
                ..Value::number(Quantity::Volume, Number::scaled(1, 0).unwrap(), Unit::Litre)
            },
            Value::new(Quantity::Customer, Content::Text("A".into())),
            Value::number(Quantity::Volume, volume, Unit::CubicMetre),
        ],
        ..Answer::default()
    }
}

/// A task whose line is up, and everything its loop would hold.
struct Stage {
    task: Task,
    outbox: Outbox,
    events: outbox::Reader,
    far_end: UnixStream,
    _rest: (TempDir, mpsc::Sender<Request>, watch::Sender<bool>),
}

impl Stage {
    fn set(meters: Vec<Meter>) -> Self {
        let (outbox, directory) = open_outbox();
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (requests, incoming) = mpsc::channel(1);
        let (stop, stopping) = watch::channel(false);
        let pulse = Pulse::new("test");
        let config = line(Port::Tcp("nowhere:1".into()), meters);
        let publisher = watch::channel(first_status(&config)).0;
        let delivery = Delivery::new(outbox.clone(), pulse.clone());
        let mut task = Task::new(config, delivery, pulse.clone(), incoming, stopping, publisher);
        let wire = Box::new(Wire::over(port::Port::pair(ours), pulse).unwrap());
        task.connection = Connection::Up { wire, since: now() };
        let events = outbox.reader(Lane::Urgent);
        Self { task, outbox, events, far_end: theirs, _rest: (directory, requests, stop) }
    }

    fn with(puppet: &Puppet) -> Self {
        Self::set(vec![meter("A-101", puppet.clone(), Duration::from_secs(900))])
    }

    /// Polls the first meter as if a slot had come.
    async fn slot(&mut self) {
        let slot = crate::clock::wall();
        self.task.poll(Pick { meter: 0, requests: 0, cause: Cause::Slot { slot, turn: 0 } }).await;
    }

    /// Reads the first meter as if somebody had asked.
    async fn asked(&mut self) -> Result<Reading, ReadError> {
        let (reply, answer) = oneshot::channel();
        let permit = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        let request =
            ReadRequest { meter: 0, passed: Vec::new(), reply, urgency: Urgency::AtOnce, _permit: permit };
        self.task.poll(Pick { meter: 0, requests: 0, cause: Cause::Asked(request) }).await;
        answer.await.expect("the read was put back into the queue").0
    }

    fn status(&self) -> &MeterStatus {
        &self.task.stations[0].status
    }

    /// When the first meter is polled next, from now.
    fn back_off(&self) -> Duration {
        let later = now() + Duration::from_secs(100_000);
        let wall = crate::clock::wall().checked_sub(jiff::SignedDuration::from_hours(1)).unwrap();
        self.task.queue.idle_until(wall, now(), later).since(now())
    }
}

#[tokio::test]
async fn an_answer_is_stored_with_its_slot_and_shown_with_its_current_volume() {
    let puppet = Puppet::default();
    let mut stage = Stage::with(&puppet);
    puppet.says([Ok(answer("1"))]);
    stage.slot().await;
    let reading = next_readings(&stage.outbox, 1).await.remove(0);
    assert_eq!(
        (reading.line.as_str(), reading.meter.as_str(), reading.driver.as_str()),
        ("riser-1", "A-101", "puppet")
    );
    assert!(reading.scheduled_at.is_some_and(|slot| slot <= reading.read_at));
    let last = stage.status().last_reading.clone().unwrap();
    assert_eq!(last.volume.unwrap().to_string(), "123.456");
    assert_eq!((last.unit, last.read_at), (Some(Unit::CubicMetre), reading.read_at));
    assert_eq!((stage.status().counters.polls, stage.status().counters.answered), (1, 1));
}

#[tokio::test]
async fn a_meter_is_reported_silent_at_its_third_failed_poll_and_back_at_its_first_answer() {
    let puppet = Puppet::default();
    let mut stage = Stage::with(&puppet);
    puppet.says([
        Err(SILENT),
        Err(Fault::garbled("CRC")),
        Err(SILENT),
        Err(SILENT),
        Ok(answer("1")),
        Ok(answer("1")),
    ]);
    for _ in 0..6 {
        stage.slot().await;
    }
    let (line, meter) = ("riser-1".to_owned(), "A-101".to_owned());
    let detail = SILENT.to_string();
    let silent = What::MeterSilent { line: line.clone(), meter: meter.clone(), detail };
    assert_eq!(next_events(&mut stage.events, 2).await, [silent, What::MeterBack { line, meter }]);
    assert_eq!(stage.outbox.stats().await.unwrap().urgent.stored, 2);
    let counters = stage.status().counters;
    assert_eq!((counters.polls, counters.silent, counters.garbled, counters.answered), (6, 3, 1, 2));
}

#[tokio::test]
async fn a_failed_poll_backs_off_and_an_answer_ends_that() {
    let puppet = Puppet::default();
    let mut stage = Stage::with(&puppet);
    for expected_s in [900, 1800, 3600, 3600] {
        stage.slot().await;
        let back_off = stage.back_off();
        assert!(
            back_off <= Duration::from_secs(expected_s) && back_off > Duration::from_secs(expected_s - 20)
        );
    }
    puppet.says([Ok(answer("1"))]);
    stage.slot().await;
    stage.slot().await;
    assert!(stage.back_off() <= Duration::from_secs(900), "it starts afresh");
}

#[tokio::test]
async fn a_read_by_hand_that_fails_costs_the_meter_no_back_off_and_one_that_succeeds_ends_it() {
    let puppet = Puppet::default();
    let mut stage = Stage::with(&puppet);
    for _ in 0..5 {
        assert_eq!(stage.asked().await, Err(ReadError::Fault(SILENT)));
    }
    assert!(!stage.task.stations[0].health.is_probed());
    stage.slot().await;
    assert!(stage.back_off() > Duration::from_secs(800));
    puppet.says([Ok(answer("1"))]);
    let reading = stage.asked().await.unwrap();
    assert_eq!(reading.scheduled_at, None);
    assert_eq!(stage.back_off(), Duration::ZERO, "the slot that is still open is polled at once");
    assert_eq!(next_readings(&stage.outbox, 1).await, [reading]);
}

#[tokio::test]
async fn a_refusal_is_no_back_off_and_brings_a_silent_meter_back() {
    let puppet = Puppet::default();
    let mut stage = Stage::with(&puppet);
    puppet.says([Err(SILENT), Err(SILENT), Err(SILENT), Err(Fault::refused("busy"))]);
    for _ in 0..4 {
        stage.slot().await;
    }
    assert!(matches!(next_events(&mut stage.events, 2).await[1], What::MeterBack { .. }));
    assert!(stage.back_off() > Duration::from_secs(2_000), "nothing is due before the next slot");
    assert_eq!(stage.status().counters.refused, 1);
    assert_eq!(stage.status().last_fault.as_ref().unwrap().fault, "refused");
}

#[tokio::test]
async fn a_line_that_goes_down_is_reported_once_and_not_held_against_the_meter() {
    let puppet = Puppet::default();
    let mut stage = Stage::with(&puppet);
    puppet.says([Err(Fault::LineDown { why: "EIO".into() })]);
    stage.slot().await;
    stage.slot().await;
    assert_eq!(
        next_events(&mut stage.events, 1).await,
        [What::LineDown { line: "riser-1".into(), detail: "EIO".into() }]
    );
    assert_eq!(stage.outbox.stats().await.unwrap().urgent.stored, 1);
    assert!(!stage.task.stations[0].health.is_probed());
    assert!(stage.task.queue.pick_due(now()).is_some(), "the poll is made again when the line is up");
}

#[tokio::test]
async fn an_exchanged_meter_is_reported_and_its_reading_stands_under_its_own_number() {
    let puppet = Puppet::default();
    let mut stage = Stage::with(&puppet);
    puppet.says([Ok(answer("111")), Ok(answer("222")), Ok(answer("222"))]);
    for _ in 0..3 {
        stage.slot().await;
    }
    let (line, meter) = ("riser-1".into(), "A-101".into());
    let changed = What::MeterChanged { line, meter, was: "111".into(), now: "222".into() };
    assert_eq!(next_events(&mut stage.events, 1).await, [changed]);
    assert_eq!(stage.outbox.stats().await.unwrap().urgent.stored, 1);
    assert_eq!(next_readings(&stage.outbox, 3).await.len(), 3);
}

#[tokio::test]
async fn the_wrong_meter_is_reported_and_its_reading_is_never_stored() {
    let puppet = Puppet::default();
    let expecting = Meter {
        expected_number: Some("111".into()),
        ..meter("A-101", puppet.clone(), Duration::from_secs(900))
    };
    let mut stage = Stage::set(vec![expecting]);
    puppet.says([Ok(answer("222")), Ok(answer("222")), Ok(answer("222")), Ok(answer("00111"))]);
    stage.slot().await;
    stage.slot().await;
    assert!(matches!(stage.asked().await, Err(ReadError::Fault(Fault::Refused { .. }))));
    stage.slot().await;
    let (line, meter) = ("riser-1".into(), "A-101".into());
    let changed = What::MeterChanged { line, meter, was: "111".into(), now: "222".into() };
    assert_eq!(next_events(&mut stage.events, 1).await, [changed]);
    let readings = next_readings(&stage.outbox, 1).await;
    assert_eq!(readings[0].answer.identity.number.as_deref(), Some("00111"));
    let stats = stage.outbox.stats().await.unwrap();
    assert_eq!((stats.readings.stored, stats.urgent.stored), (1, 1));
}

#[tokio::test]
async fn a_spent_budget_stops_polls_and_reads_until_midnight() {
    let puppet = Puppet::default();
    let on_battery =
        Meter { reads_per_day_max: Some(0), ..meter("A-101", puppet.clone(), Duration::from_secs(900)) };
    let mut stage = Stage::set(vec![on_battery]);
    puppet.says([Ok(answer("1"))]);
    stage.slot().await;
    assert_eq!(stage.asked().await, Err(ReadError::BudgetSpent));
    assert_eq!((puppet.unsaid(), stage.task.queue.missed(0)), (1, 1));
}

#[tokio::test]
async fn in_its_late_window_a_meter_is_left_alone_while_the_others_go_on() {
    let late_window = Duration::from_millis(30);
    let (slow, quick) = (Puppet { late_window, ..Puppet::default() }, Puppet::default());
    let every = Duration::from_secs(86_400);
    let mut stage =
        Stage::set(vec![meter("slow", slow.clone(), every), meter("quick", quick.clone(), every)]);
    slow.says([Err(SILENT), Err(Fault::garbled("CRC")), Ok(answer("1"))]);
    quick.says([Ok(answer("2"))]);
    let slot = crate::clock::wall();
    stage.task.queue.postpone(0, slot, 0);
    stage.task.queue.postpone(1, slot, 0);
    let (mut order, give_up) = (Vec::new(), now() + PATIENCE);
    let mut asked_last = None::<Moment>;
    while order.len() < 4 {
        let Some(pick) = stage.task.queue.pick_due(now()) else {
            assert!(now() < give_up);
            tokio::task::yield_now().await;
            continue;
        };
        order.push(pick.meter);
        if pick.meter == 0 {
            let rested = asked_last.is_none_or(|asked| now().since(asked) >= late_window);
            assert!(rested, "asked within its late window");
            asked_last = Some(now());
        }
        stage.task.poll(pick).await;
    }
    assert_eq!(order, [0, 1, 0, 0], "all requests of one poll, the other meter in between");
    let counters = stage.status().counters;
    assert_eq!((counters.polls, counters.repeats, counters.answered, counters.silent), (1, 2, 1, 0));
    assert!(next_readings(&stage.outbox, 2).await.iter().all(|reading| reading.scheduled_at.is_some()));
}

/// A meter that is really asked, over the line, and never answers.
struct Asked;

#[async_trait]
impl Driver for Asked {
    fn name(&self) -> &'static str {
        "asked"
    }

    fn timing(&self, _: &Serial) -> Timing {
        Timing {
            answer_window: Duration::from_millis(1),
            silence: Duration::ZERO,
            silence_before_repeat: Duration::ZERO,
            late_window: Duration::from_secs(3600),
        }
    }

    fn load(&self) -> Vec<Load> {
        Vec::new()
    }

    async fn read(&mut self, line: &mut dyn Line) -> Result<Answer, Fault> {
        let recognise = |_: &[u8]| Recognised::Incomplete { missing: 1 };
        line.exchange(Ask { request: &[7], recognise: &recognise }).await.map(|_| Answer::default())
    }
}

#[tokio::test]
async fn where_a_late_answer_may_come_nothing_is_repeated_at_once() {
    let mut stage = Stage::set(vec![meter("A-101", Asked, Duration::from_secs(900))]);
    stage.slot().await;
    let mut heard = [0; 8];
    stage.far_end.readable().await.unwrap();
    assert_eq!(stage.far_end.try_read(&mut heard).unwrap(), 1);
    assert!(stage.task.queue.pick_due(now()).is_none());
    assert_eq!(stage.status().counters.silent, 0, "the poll has not ended");
}

#[tokio::test]
async fn whoever_asked_and_went_away_costs_the_line_nothing() {
    let puppet = Puppet::default();
    let mut stage = Stage::with(&puppet);
    puppet.says([Ok(answer("1"))]);
    let (reply, gone) = oneshot::channel();
    drop(gone);
    let permit = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
    let request =
        ReadRequest { meter: 0, passed: Vec::new(), reply, urgency: Urgency::AtOnce, _permit: permit };
    stage.task.poll(Pick { meter: 0, requests: 0, cause: Cause::Asked(request) }).await;
    assert_eq!(puppet.unsaid(), 1);
}

/// A water meter's telegram as such meters send it: volume, flow, clock, and the volumes of eighteen months with their
/// dates; forty records in all.
fn forty_records() -> Vec<u8> {
    let header = [0x78, 0x56, 0x34, 0x12, 0x93, 0x15, 0x0A, 0x07, 0x55, 0x00, 0x00, 0x00];
    let mut data = [0x08, 0x01, 0x72].to_vec();
    data.extend(header);
    data.extend([0x0C, 0x13, 0x56, 0x34, 0x12, 0x00]);
    data.extend([0x0A, 0x3B, 0x25, 0x01]);
    data.extend([0x1A, 0x3B, 0x99, 0x02]);
    data.extend([0x04, 0x6D, 0x1E, 0x15, 0xA3, 0x1B]);
    for month in 1..=18_u8 {
        // Storage numbers beyond one bit are in a DIFE.
        data.extend([0x82 | (month & 1) << 6, month >> 1, 0x13, 200 - month, 0x00]);
        data.extend([0x82 | (month & 1) << 6, month >> 1, 0x6C, 0x61, 0x11]);
    }
    let length = u8::try_from(data.len()).unwrap();
    let sum = data.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
    [&[0x68, length, length, 0x68], data.as_slice(), &[sum, 0x16]].concat()
}

#[tokio::test]
async fn of_a_telegram_of_forty_records_three_named_values_go_out() {
    let all = weir_mbus::decode(&forty_records(), &weir_mbus::Options::default()).unwrap();
    assert_eq!(all.values.len(), 40);
    let named = |name: &str, keep: Keep| Keep { name: Some(name.into()), ..keep };
    let volume = || Keep::main(Quantity::Volume);
    let peak = Keep { function: Which::Only(Function::Maximum), ..Keep::main(Quantity::VolumeFlow) };
    let keep = vec![
        named("main register", volume()),
        named("last month", Keep { storage: Which::Only(1), ..volume() }),
        named("peak flow", peak),
    ];
    let puppet = Puppet::default();
    let selection = Some(Arc::new(Selection::new(keep).unwrap()));
    let selecting = Meter { selection, ..meter("A-101", puppet.clone(), Duration::from_secs(900)) };
    let everything = meter("A-102", Puppet::default(), Duration::from_secs(900));
    let mut stage = Stage::set(vec![selecting, everything]);
    puppet.says([Ok(all.clone()), Ok(Answer { values: all.values[..2].to_vec(), ..all.clone() })]);
    stage.slot().await;
    stage.slot().await;
    let kept = next_readings(&stage.outbox, 2).await;
    let shown = |reading: &Reading| -> Vec<(String, String)> {
        let json = serde_json::to_value(reading.clone().named("gw:1:r1", "gw")).unwrap();
        let values = json["values"].as_array().unwrap().iter();
        let what =
            |value: &serde_json::Value| value.get("value").or(value.get("invalid")).unwrap().to_string();
        values.map(|value| (value["name"].as_str().unwrap().to_owned(), what(value))).collect()
    };
    let pair = |name: &str, what: &str| (name.to_owned(), what.to_owned());
    assert_eq!(
        shown(&kept[0]),
        [pair("main register", "123.456"), pair("last month", "0.199"), pair("peak flow", "0.299")]
    );
    // The second answer breaks off: what is missing is said.
    let missing = "\"not in the meter's answer\"";
    assert_eq!(
        shown(&kept[1]),
        [pair("main register", "123.456"), pair("last month", missing), pair("peak flow", missing)]
    );
    let whole = Record::Reading(Reading { answer: all, ..kept[0].clone() });
    let (selected, whole) = (Record::Reading(kept[0].clone()).encode().len(), whole.encode().len());
    assert!(selected * 4 < whole, "{selected} of {whole} bytes");
}
