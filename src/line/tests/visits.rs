//! Visits to a meter: ahead of every poll, never inside an exchange, with orders that go out once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::task::JoinHandle;
use weir_mbus::Mbus;
use weir_meter::{Fault, Order, ValveOrder, async_trait};
use weir_simulator as sim;

use super::*;

/// Reads the meter, and says with how many exchanges.
pub(super) struct Look;

#[async_trait]
impl Visit for Look {
    type Output = (Result<weir_meter::Answer, Fault>, Vec<Exchanged>);

    async fn run(&mut self, meter: &mut AtMeter<'_>) -> Self::Output {
        (meter.read().await, meter.take_exchanges())
    }
}

/// A driver whose every read and order is one request that nobody answers.
pub(super) struct Unheard;

#[async_trait]
impl Driver for Unheard {
    fn name(&self) -> &'static str {
        "unheard"
    }

    fn timing(&self, _: &Serial) -> weir_meter::Timing {
        weir_meter::Timing {
            answer_window: Duration::from_millis(50),
            silence: Duration::ZERO,
            silence_before_repeat: Duration::ZERO,
            late_window: Duration::ZERO,
        }
    }

    fn load(&self) -> Vec<weir_meter::Load> {
        Vec::new()
    }

    async fn read(&mut self, line: &mut dyn weir_meter::Line) -> Result<weir_meter::Answer, Fault> {
        let recognise = |_: &[u8]| weir_meter::Recognised::Garbled { why: "noise".into() };
        line.exchange(weir_meter::Ask { request: b"read", recognise: &recognise }).await?;
        Ok(weir_meter::Answer::default())
    }

    async fn carry_out(
        &mut self,
        line: &mut dyn weir_meter::Line,
        _: &Order,
    ) -> Result<weir_meter::Observed, Fault> {
        self.read(line).await?;
        Ok(weir_meter::Observed::default())
    }
}

/// Gives an order, and then reads.
struct TellAndRead;

#[async_trait]
impl Visit for TellAndRead {
    type Output = Vec<Exchanged>;

    async fn run(&mut self, meter: &mut AtMeter<'_>) -> Self::Output {
        let order = Order::Valve(ValveOrder::Close);
        assert_eq!(meter.carry_out(&order).await.unwrap_err().name(), "silent");
        assert_eq!(meter.read().await.unwrap_err().name(), "silent");
        meter.take_exchanges()
    }
}

struct Site {
    _simulator: sim::Simulator,
    _folders: (TempDir, TempDir),
    handle: Handle,
}

/// A port with one simulated meter, `A-1`, as fast as it can be.
pub(super) fn simulated() -> (sim::Simulator, TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tty");
    let line_config = sim::LineConfig { paced: Some(false), ..sim::LineConfig::pty("riser-1", &path) };
    let meters = [sim::MeterConfig::mbus("A-1").address(1)];
    let config = sim::Config { lines: vec![line_config.with(meters)], ..sim::Config::default() };
    (sim::Simulator::start(config).unwrap(), folder, path)
}

/// A line with one simulated meter, `A-1`, and one that is not there, `dead`.
fn site(every: Duration, dead: impl Driver + 'static) -> Site {
    // So that its repeats are made within its poll.
    site_with(Duration::ZERO, every, dead)
}

fn site_with(late_window: Duration, every: Duration, dead: impl Driver + 'static) -> Site {
    let (_simulator, folder, path) = simulated();
    let (outbox, directory) = open_outbox();
    let dead = Meter { late_window: Some(late_window), ..meter("dead", dead, every) };
    let polled = vec![meter("A-1", mbus(1), Duration::from_secs(86_400)), dead];
    let config = Config { repeats: 3, ..line(Port::Serial(path), polled) };
    let handle = start(config, outbox);
    Site { _simulator, _folders: (folder, directory), handle }
}

pub(super) fn mbus(address: u8) -> Mbus {
    Mbus::new(weir_mbus::Address::primary(address).unwrap(), weir_mbus::Options::default())
}

pub(super) async fn frame(watching: &mut Watching) -> std::sync::Arc<Frame> {
    match tokio::time::timeout(PATIENCE, watching.next()).await.unwrap().unwrap() {
        Shown::Frame(frame) => frame,
        Shown::Lost(lost) => panic!("{lost} frames lost"),
    }
}

#[tokio::test]
async fn a_visit_goes_ahead_of_the_repeats_of_a_poll_which_is_made_again() {
    // One exchange of the dead meter takes 200 ms of waiting, its poll four of them.
    let site = site(Duration::from_millis(100), mbus(9));
    until(&site.handle, |status| status.up).await;
    let mut watching = site.handle.watch().unwrap();
    while frame(&mut watching).await.kind != FrameKind::Request {}

    let handle = site.handle.clone();
    let visit: JoinHandle<_> =
        tokio::spawn(async move { handle.visit("A-1", Look, Urgency::AtOnce).await.unwrap() });
    // The runtime has one thread: once it has been given a turn, the visit waits.
    tokio::task::yield_now().await;
    let (mut of_the_dead, mut frames) = (0, Vec::new());
    loop {
        let frame = frame(&mut watching).await;
        frames.push((frame.about.clone(), frame.kind));
        match (frame.about.as_deref(), frame.kind) {
            (Some("A-1"), FrameKind::Request) => break,
            (_, FrameKind::Request) => of_the_dead += 1,
            _ => {}
        }
    }
    assert_eq!(of_the_dead, 0, "{frames:?}");
    let (answer, exchanges) = visit.await.unwrap();
    assert!(answer.is_ok(), "{answer:?}");
    assert!(!exchanges.is_empty());
    assert!(exchanges.iter().all(|exchanged| exchanged.answer.is_ok()), "{exchanges:?}");
    // The poll that gave way is no failed one, and is made afterwards.
    let dead = |status: &LineStatus| status.meters[1].clone();
    let status = until(&site.handle, |status| dead(status).counters.silent > 0).await;
    assert_eq!((dead(&status).counters.polls, dead(&status).counters.silent), (2, 1), "{status:#?}");
}

#[tokio::test]
async fn an_order_goes_out_once_and_a_read_as_often_as_the_line_repeats() {
    let site = site(Duration::from_secs(86_400), Unheard);
    until(&site.handle, |status| status.up).await;
    let exchanges = site.handle.visit("dead", TellAndRead, Urgency::AtOnce).await.unwrap();
    let repeats: Vec<u32> = exchanges.iter().map(|exchanged| exchanged.repeats).collect();
    assert_eq!(repeats, [0, 3]);
    // What a visit finds has no part in the back-off.
    assert_eq!(site.handle.status().meters[1].state, MeterState::Ok);
}

#[tokio::test]
async fn a_read_whose_answer_may_come_late_is_not_repeated_within_the_visit() {
    let site = site_with(Duration::from_millis(200), Duration::from_secs(86_400), Unheard);
    until(&site.handle, |status| status.up).await;
    let (answer, exchanges) = site.handle.visit("dead", Look, Urgency::AtOnce).await.unwrap();
    assert_eq!(answer.unwrap_err().name(), "silent");
    assert_eq!(exchanges.iter().map(|exchanged| exchanged.repeats).collect::<Vec<_>>(), [0]);
}

#[tokio::test]
async fn a_line_that_is_down_or_has_stopped_says_so_to_a_visit() {
    let (outbox, _directory) = open_outbox();
    let polled = vec![meter("A-1", mbus(1), Duration::from_secs(86_400))];
    let handle = start(line(Port::Serial("/nowhere/tty".into()), polled), outbox);
    let error = handle.visit("A-1", Look, Urgency::AtOnce).await.unwrap_err();
    assert!(matches!(error, VisitError::LineDown { .. }), "{error:?}");
    let error = handle.visit("B-1", Look, Urgency::AtOnce).await.unwrap_err();
    assert!(matches!(error, VisitError::UnknownMeter { .. }), "{error:?}");
    handle.stop().await;
    assert_eq!(handle.visit("A-1", Look, Urgency::AtOnce).await.unwrap_err(), VisitError::Stopped);
}

/// Reads its meter again and again until it is stopped, and counts how often in one go.
struct Endless(Mbus, Arc<AtomicU32>);

#[async_trait]
impl Driver for Endless {
    fn name(&self) -> &'static str {
        "endless"
    }

    fn timing(&self, serial: &Serial) -> weir_meter::Timing {
        self.0.timing(serial)
    }

    fn load(&self) -> Vec<weir_meter::Load> {
        self.0.load()
    }

    async fn read(&mut self, line: &mut dyn weir_meter::Line) -> Result<weir_meter::Answer, Fault> {
        self.1.store(0, Ordering::Relaxed);
        loop {
            self.0.read(line).await?;
            self.1.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[tokio::test]
async fn a_poll_goes_on_while_a_visit_waits_for_its_meters_late_window_and_makes_room_when_it_is_over() {
    let (_simulator, _folder, path) = simulated();
    let (outbox, _directory) = open_outbox();
    let in_one_go = Arc::new(AtomicU32::new(0));
    let endless = Endless(mbus(1), Arc::clone(&in_one_go));
    let late_window = Some(Duration::from_secs(5));
    let dead = Meter { late_window, ..meter("dead", mbus(9), Duration::from_secs(86_400)) };
    let polled = vec![meter("A-1", endless, Duration::from_millis(50)), dead];
    let handle = start(Config { repeats: 0, ..line(Port::Serial(path), polled) }, outbox);
    until(&handle, |status| status.up).await;

    // The poll never ends by itself, and makes room for whoever comes.
    let is_under_way = async {
        while in_one_go.load(Ordering::Relaxed) < 3 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(PATIENCE, is_under_way).await.unwrap();
    let read = tokio::time::timeout(PATIENCE, handle.read_now("dead", Urgency::AtOnce));
    let (read, passed) = read.await.unwrap();
    assert!(matches!(read, Err(ReadError::Fault(Fault::Silent { .. }))));
    let unanswered = passed.iter().map(|exchanged| exchanged.answer.as_ref().unwrap_err().name());
    assert_eq!(unanswered.collect::<Vec<_>>(), ["silent"]);
    // The meter rests since; the next visit waits for that.
    let waiting = tokio::spawn({
        let handle = handle.clone();
        async move { handle.visit("dead", Look, Urgency::AtOnce).await.unwrap() }
    });
    tokio::task::yield_now().await;
    in_one_go.store(0, Ordering::Relaxed);
    let goes_on = async {
        while in_one_go.load(Ordering::Relaxed) < 10 {
            assert!(!waiting.is_finished(), "the poll gave way to a visit that could not be made");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(PATIENCE, goes_on).await.unwrap();
    let visited = tokio::time::timeout(PATIENCE, waiting).await.unwrap().unwrap();
    assert!(visited.0.is_err());
}
