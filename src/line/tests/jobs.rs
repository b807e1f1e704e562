//! A running line that is lent to a job: what the job can do, what becomes of the polls, and how it ends.

use std::path::{Path, PathBuf};

use tokio::sync::{mpsc, oneshot};
use weir_mbus::Mbus;
use weir_meter::{Fault, async_trait};
use weir_simulator as sim;

use super::*;
use crate::limits::LINE_STOP_MAX;
use crate::pulse::Looks;

/// Begins, reads the meter with this address when it is told to, and ends when it is told no more.
struct Search {
    begun: Option<oneshot::Sender<()>>,
    orders: mpsc::Receiver<u8>,
    found: Vec<Result<Answer, Fault>>,
    time_max: Duration,
    minds_the_end: bool,
}

use weir_wire::Answer;

#[async_trait]
impl Job for Search {
    type Output = Vec<Result<Answer, Fault>>;

    fn purpose(&self) -> String {
        "search".into()
    }

    fn time_max(&self) -> Duration {
        self.time_max
    }

    async fn run(&mut self, line: &mut Lent<'_>) -> Self::Output {
        let _ = self.begun.take().unwrap().send(());
        let mut ending = line.ending();
        loop {
            let address = tokio::select! {
                biased;
                () = ending.come(), if self.minds_the_end => None,
                order = self.orders.recv() => order,
            };
            let Some(address) = address else { return std::mem::take(&mut self.found) };
            let mut driver =
                Mbus::new(weir_mbus::Address::primary(address).unwrap(), weir_mbus::Options::default());
            let timing = driver.timing(&Serial::DEFAULT);
            let terms = Terms { serial: Serial::DEFAULT, timing, repeats: 0 };
            let mut line = line.on(&terms);
            self.found.push(driver.read(&mut line).await);
        }
    }
}

/// A search, what tells that it has begun, and its orders.
fn search(time_max: Duration) -> (Search, oneshot::Receiver<()>, mpsc::Sender<u8>) {
    let (begun, begins) = oneshot::channel();
    let (order, orders) = mpsc::channel(1);
    (Search { begun: Some(begun), orders, found: Vec::new(), time_max, minds_the_end: true }, begins, order)
}

const LONG: Duration = Duration::from_secs(600);

struct Site {
    _simulator: sim::Simulator,
    _folders: (TempDir, TempDir),
    path: PathBuf,
    handle: Handle,
    outbox: Outbox,
}

/// A line with two meters, of which the first is configured.
fn site(every: Duration) -> Site {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tty");
    let meters = (1..=2_u8).map(|n| sim::MeterConfig::mbus(format!("A-{n}")).address(n));
    let line_config = sim::LineConfig { paced: Some(false), ..sim::LineConfig::pty("riser-1", &path) };
    let simulator = sim::Simulator::start(sim::Config {
        lines: vec![line_config.with(meters)],
        ..sim::Config::default()
    });
    let (outbox, directory) = open_outbox();
    let handle = start(config(&path, every), outbox.clone());
    Site { _simulator: simulator.unwrap(), _folders: (folder, directory), path, handle, outbox }
}

fn config(path: &Path, every: Duration) -> Config {
    let driver = Mbus::new(weir_mbus::Address::primary(1).unwrap(), weir_mbus::Options::default());
    line(Port::Serial(path.into()), vec![meter("A-1", driver, every)])
}

fn said(event: &What) -> (&'static str, &str) {
    match event {
        What::LineLent { detail, .. } => ("lent", detail),
        What::LineReturned { detail, .. } => ("returned", detail),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_job_asks_in_place_of_the_polls_which_go_on_afterwards() {
    let site = site(Duration::from_millis(100));
    let mut events = site.outbox.reader(Lane::Urgent);
    until(&site.handle, |status| status.meters[0].counters.answered >= 1).await;
    let (job, begins, orders) = search(LONG);
    let handle = site.handle.clone();
    let job = tokio::spawn(async move { handle.run(job).await });
    begins.await.unwrap();
    assert_eq!(said(&next_events(&mut events, 1).await[0]), ("lent", "search, for 10m 0s at most"));

    let polls = site.handle.status().meters[0].counters.polls;
    let lent = ReadError::Lent { to: "search".into() };
    assert_eq!(site.handle.read("A-1").await, Err(lent));
    let another = site.handle.run(search(LONG).0).await.unwrap_err();
    assert_eq!(another, JobError::Lent { to: "search".into() });
    let mut looks = Looks::at(site.handle.pulse());
    for address in [2, 9, 1] {
        orders.send(address).await.unwrap();
    }
    // It turns although the job does nothing, and counts what it does not poll.
    let missed = until(&site.handle, |status| status.meters[0].counters.missed_slots >= 3).await;
    assert_eq!((missed.up, missed.lent_to.as_deref()), (true, Some("search")));
    assert_eq!(looks.look(), 0, "the pulse beats");

    drop(orders);
    let found = job.await.unwrap().unwrap();
    let numbers: Vec<_> = found.iter().map(|found| found.as_ref().ok()?.identity.number.clone()).collect();
    assert!(numbers[0].is_some() && numbers[1].is_none() && numbers[2].is_some(), "{found:?}");
    assert!(matches!(found[1], Err(Fault::Silent { .. })), "{found:?}");
    let back = until(&site.handle, |status| status.meters[0].counters.polls > polls).await;
    assert_eq!(back.lent_to, None);
    let event = &next_events(&mut events, 1).await[0];
    let (kind, detail) = said(event);
    assert!(
        kind == "returned" && detail.starts_with("search, after ") && detail.ends_with(": done"),
        "{detail}"
    );
    site.handle.stop().await;
}

#[tokio::test]
async fn a_job_whose_asker_is_gone_leaves_the_line_at_once() {
    let site = site(Duration::from_secs(86_400));
    let mut events = site.outbox.reader(Lane::Urgent);
    let (mut job, begins, _orders) = search(LONG);
    job.minds_the_end = false;
    let handle = site.handle.clone();
    let job = tokio::spawn(async move { handle.run(job).await });
    begins.await.unwrap();
    job.abort();
    let events = next_events(&mut events, 2).await;
    assert!(said(&events[1]).1.ends_with(": interrupted"), "{events:?}");
    site.handle.read("A-1").await.unwrap();
    site.handle.stop().await;
}

#[tokio::test]
async fn a_job_whose_time_is_up_ends_or_is_ended() {
    let site = site(Duration::from_secs(86_400));
    let mut events = site.outbox.reader(Lane::Urgent);
    let (job, _begins, _orders) = search(Duration::from_millis(20));
    assert_eq!(site.handle.run(job).await, Ok(Vec::new()), "it was told and ended");
    let (mut job, _begins, _orders) = search(Duration::from_millis(20));
    job.minds_the_end = false;
    let began = now();
    assert_eq!(site.handle.run(job).await, Err(JobError::TimeUp), "it did not end");
    assert!(now().since(began) >= LINE_STOP_MAX);
    for event in next_events(&mut events, 4).await.iter().skip(1).step_by(2) {
        assert!(said(event).1.ends_with(": time is up"), "{event:?}");
    }
    site.handle.read("A-1").await.unwrap();
    site.handle.stop().await;
}

#[tokio::test]
async fn a_line_that_stops_takes_its_job_with_it() {
    let site = site(Duration::from_secs(86_400));
    for minds_the_end in [true, false] {
        let (mut job, begins, _orders) = search(LONG);
        job.minds_the_end = minds_the_end;
        let (path, outbox) = (site.path.clone(), site.outbox.clone());
        let handle = if minds_the_end {
            site.handle.clone()
        } else {
            start(config(&path, Duration::from_secs(86_400)), outbox)
        };
        let lent_to = handle.clone();
        let job = tokio::spawn(async move { lent_to.run(job).await });
        begins.await.unwrap();
        handle.stop().await;
        let end = job.await.unwrap();
        assert_eq!(end, if minds_the_end { Ok(Vec::new()) } else { Err(JobError::Stopped) });
        assert_eq!(handle.run(search(LONG).0).await, Err(JobError::Stopped));
    }
}

#[tokio::test]
async fn a_line_that_is_down_is_not_lent() {
    let (outbox, _directory) = open_outbox();
    let handle = start(config(Path::new("/dev/no-such-port"), LONG), outbox);
    assert!(matches!(handle.run(search(LONG).0).await, Err(JobError::LineDown { .. })));
    assert!(matches!(handle.run(search(LONG).0).await, Err(JobError::LineDown { .. })));
    handle.stop().await;
}

#[tokio::test]
async fn without_a_daemon_the_same_job_runs_on_a_port_of_its_own() {
    let site = site(LONG);
    site.handle.stop().await;
    let (job, _begins, orders) = search(LONG);
    orders.send(2).await.unwrap();
    drop(orders);
    let found = run_once(&config(&site.path, LONG), job).await.unwrap();
    assert!(found[0].as_ref().unwrap().identity.number.is_some());
    let missing = run_once(&config(Path::new("/dev/no-such-port"), LONG), search(LONG).0).await;
    assert!(matches!(missing, Err(JobError::LineDown { why }) if why.starts_with("/dev/no-such-port: ")));
}
