//! Patient visits: however many wait, polls have every other turn, and none under way makes room for them.

use std::sync::{Arc, Mutex};

use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use weir_mbus::Mbus;
use weir_meter::{Fault, async_trait};
use weir_simulator as sim;

use super::visits::{Look, Unheard, frame, mbus, simulated};
use super::*;
use crate::limits::LINE_VISITS_MAX;

type Log = Arc<Mutex<Vec<&'static str>>>;

/// Reads its meter twice a poll, and in between waits to be let on.
struct Twice {
    mbus: Mbus,
    log: Log,
    between: mpsc::UnboundedSender<()>,
    goes_on: Arc<Semaphore>,
}

#[async_trait]
impl Driver for Twice {
    fn name(&self) -> &'static str {
        "twice"
    }

    fn timing(&self, serial: &Serial) -> weir_meter::Timing {
        self.mbus.timing(serial)
    }

    fn load(&self) -> Vec<weir_meter::Load> {
        self.mbus.load()
    }

    async fn read(&mut self, line: &mut dyn weir_meter::Line) -> Result<weir_meter::Answer, Fault> {
        self.mbus.read(line).await?;
        let _ = self.between.send(());
        self.goes_on.acquire().await.unwrap().forget();
        let answer = self.mbus.read(line).await?;
        self.log.lock().unwrap().push("poll");
        Ok(answer)
    }
}

/// Is written down, and reads the meter.
struct Noted(&'static str, Log);

#[async_trait]
impl Visit for Noted {
    type Output = ();

    async fn run(&mut self, meter: &mut AtMeter<'_>) {
        self.1.lock().unwrap().push(self.0);
        assert_eq!(meter.read().await.unwrap_err().name(), "silent");
    }
}

/// A line with one simulated meter, `A-1`, and `dead`, whose every request costs more time than lies between two slots
/// of `A-1`.
struct Site {
    _simulator: sim::Simulator,
    _folders: (TempDir, TempDir),
    handle: Handle,
    log: Log,
    between: mpsc::UnboundedReceiver<()>,
    goes_on: Arc<Semaphore>,
}

const OFTEN: Duration = Duration::from_millis(50);
const RARELY: Duration = Duration::from_secs(86_400);

impl Site {
    async fn new(every: Duration) -> Self {
        Self::with(every, Duration::ZERO, 0).await
    }

    async fn with(every: Duration, late_window: Duration, repeats: u32) -> Self {
        let (_simulator, folder, path) = simulated();
        let (outbox, directory) = open_outbox();
        let (log, goes_on) = (Log::default(), Arc::new(Semaphore::new(0)));
        let (sender, between) = mpsc::unbounded_channel();
        let (mbus, gate) = (mbus(1), Arc::clone(&goes_on));
        let twice = Twice { mbus, log: Arc::clone(&log), between: sender, goes_on: gate };
        let dead = Meter { late_window: Some(late_window), ..meter("dead", Unheard, RARELY) };
        let polled = vec![meter("A-1", twice, every), dead];
        let handle = start(Config { repeats, ..line(Port::Serial(path), polled) }, outbox);
        until(&handle, |status| status.up).await;
        let _folders = (folder, directory);
        Self { _simulator, _folders, handle, log, between, goes_on }
    }

    /// Waits until a poll is between its exchanges.
    async fn is_between(&mut self) {
        tokio::time::timeout(PATIENCE, self.between.recv()).await.unwrap().unwrap();
    }

    fn lets_on(&self, polls: usize) {
        self.goes_on.add_permits(polls);
    }

    /// Begins a visit to the dead meter. It waits once this has returned: the runtime has one thread.
    async fn begin(&self, name: &'static str, urgency: Urgency) -> JoinHandle<()> {
        let (handle, visit) = (self.handle.clone(), Noted(name, Arc::clone(&self.log)));
        let visit = tokio::spawn(async move { handle.visit("dead", visit, urgency).await.unwrap() });
        tokio::task::yield_now().await;
        visit
    }

    fn log(&self) -> Vec<&'static str> {
        self.log.lock().unwrap().clone()
    }

    /// Watches the line for some turns of the dead meter: between each two of its requests `A-1` is polled, to the end.
    async fn has_every_other_turn_polled(&self) {
        let mut watching = self.handle.watch().unwrap();
        let (mut turns, mut of_the_dead) = (Vec::new(), 0);
        let give_up = now() + PATIENCE;
        while of_the_dead < 10 {
            assert!(now() < give_up, "the dead meter has no turns: {:?}", self.handle.status().meters);
            let frame = frame(&mut watching).await;
            if frame.kind == FrameKind::Request {
                let is_dead = frame.about.as_deref() == Some("dead");
                of_the_dead += u32::from(is_dead);
                turns.push(is_dead);
            }
        }
        let in_a_row = turns.windows(2).filter(|pair| *pair == [true, true]).count();
        assert_eq!(in_a_row, 0, "{turns:?}");
        let counters = self.handle.status().meters[0].counters;
        assert!(counters.answered >= 9, "{counters:?}");
        assert_eq!(counters.polls, counters.answered, "a poll made room: {counters:?}");
    }
}

async fn over(visit: JoinHandle<()>) {
    tokio::time::timeout(PATIENCE, visit).await.unwrap().unwrap();
}

#[tokio::test]
async fn polls_have_every_other_turn_however_many_patient_visits_wait() {
    let site = Site::new(OFTEN).await;
    site.lets_on(100_000);
    for _ in 0..4 {
        let handle = site.handle.clone();
        tokio::spawn(async move { while handle.visit("dead", Look, Urgency::Patient).await.is_ok() {} });
    }
    site.has_every_other_turn_polled().await;
}

#[tokio::test]
async fn polls_have_every_other_turn_however_many_patient_reads_wait() {
    let site = Site::new(OFTEN).await;
    site.lets_on(100_000);
    for _ in 0..4 {
        let handle = site.handle.clone();
        tokio::spawn(async move {
            while let (Err(ReadError::Fault(Fault::Silent { .. })), _) =
                handle.read_now("dead", Urgency::Patient).await
            {}
        });
    }
    site.has_every_other_turn_polled().await;
}

#[tokio::test]
async fn a_poll_under_way_makes_no_room_for_a_patient_visit() {
    let mut site = Site::new(OFTEN).await;
    site.is_between().await;
    let patient = site.begin("patient", Urgency::Patient).await;
    site.lets_on(1);
    over(patient).await;
    assert_eq!(site.log(), ["poll", "patient"]);
}

#[tokio::test]
async fn a_visit_that_is_to_be_made_at_once_goes_before_the_patient_ones_that_wait() {
    let mut site = Site::new(OFTEN).await;
    site.is_between().await;
    let first = site.begin("patient", Urgency::Patient).await;
    let second = site.begin("patient", Urgency::Patient).await;
    let at_once = site.begin("at once", Urgency::AtOnce).await;
    // The poll makes room, and is made again in its turn.
    site.lets_on(2);
    for visit in [first, second, at_once] {
        over(visit).await;
    }
    assert_eq!(site.log(), ["at once", "patient", "poll", "patient"]);
}

#[tokio::test]
async fn a_poll_that_made_room_has_its_turn_before_the_next_patient_visit() {
    let mut site = Site::new(OFTEN).await;
    site.is_between().await;
    let first = site.begin("patient", Urgency::Patient).await;
    site.lets_on(1);
    over(first).await;
    site.is_between().await;
    let second = site.begin("patient", Urgency::Patient).await;
    let at_once = site.begin("at once", Urgency::AtOnce).await;
    site.lets_on(2);
    for visit in [second, at_once] {
        over(visit).await;
    }
    assert_eq!(site.log(), ["poll", "patient", "at once", "poll", "patient"]);
}

#[tokio::test]
async fn patient_visits_follow_one_another_where_no_poll_is_due() {
    let site = Site::new(RARELY).await;
    for _ in 0..3 {
        over(site.begin("patient", Urgency::Patient).await).await;
    }
    assert_eq!(site.log(), ["patient"; 3]);
}

#[tokio::test]
async fn a_valve_does_not_wait_for_the_reads_of_other_commands() {
    let mut site = Site::new(OFTEN).await;
    site.is_between().await;
    let reads = [(); 3].map(|()| {
        let handle = site.handle.clone();
        tokio::spawn(async move { handle.read_now("A-1", Urgency::AtOnce).await.0.unwrap() })
    });
    let patient = {
        let handle = site.handle.clone();
        tokio::spawn(async move { handle.read_now("A-1", Urgency::Patient).await.0.unwrap() })
    };
    tokio::task::yield_now().await;
    let retried = site.begin("patient", Urgency::Patient).await;
    let at_once = site.begin("at once", Urgency::AtOnce).await;
    site.lets_on(100);
    for visit in [at_once, retried] {
        over(visit).await;
    }
    // The poll that made room, and a read at most that had begun.
    assert_eq!(site.log()[0], "at once", "{:?}", site.log());
    assert_eq!(site.log()[1], "patient", "a write is looked after before reads are: {:?}", site.log());
    for read in reads.into_iter().chain([patient]) {
        tokio::time::timeout(PATIENCE, read).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn every_open_command_has_a_place_on_the_line() {
    let mut site = Site::new(OFTEN).await;
    site.is_between().await;
    let visits = LINE_VISITS_MAX - 1;
    for _ in 0..visits {
        drop(site.begin("patient", Urgency::Patient).await);
    }
    let at_once = site.begin("at once", Urgency::AtOnce).await;
    let one_more = site.handle.visit("dead", Look, Urgency::Patient).await;
    assert_eq!(one_more.unwrap_err(), VisitError::Busy);
    site.lets_on(1);
    over(at_once).await;
    assert_eq!(site.log()[0], "at once");
}

#[tokio::test]
async fn a_patient_read_whose_answer_may_come_late_is_asked_once() {
    let site = Site::with(RARELY, Duration::from_millis(50), 2).await;
    for (urgency, requests) in [(Urgency::Patient, 1), (Urgency::AtOnce, 3)] {
        let (read, passed) = site.handle.read_now("dead", urgency).await;
        assert!(matches!(read, Err(ReadError::Fault(Fault::Silent { .. }))), "{read:?}");
        assert_eq!(passed.len(), requests, "{urgency:?}");
    }
}
