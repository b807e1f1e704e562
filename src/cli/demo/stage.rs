//! Everything that runs, built and taken down in order, and the figures gathered from it.
//!
//! The daemon is the real one, built as `weir run` builds it. What is asked of it here any command could ask over the
//! control socket: the lines' figures, the outbox's, the uplink's condition, a read.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use tempfile::TempDir;
use tokio::time::{sleep, timeout};
use weir_simulator::Simulator;

use super::arrivals::Arrivals;
use super::broker::{Broker, Plug};
use super::figures::Figures;
use super::history::History;
use super::log::Log;
use super::site::Site;
use super::snapshot::Snapshot;
use super::times::Outage;
use crate::app::App;
use crate::clock::{self, Moment};
use crate::config;
use crate::id::Lane;
use crate::outbox::{self, LaneStats};
use crate::pulse::Pulse;
use crate::{line, uplink};

/// How long the outbox may take to tell its figures before the old ones are shown again.
const STATS_WAIT: Duration = Duration::from_secs(1);
/// How long the consumer may lag behind the acknowledgements at the end.
const LAST_ARRIVALS_WAIT: Duration = Duration::from_secs(3);

/// What whoever watches may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Pull the uplink's plug, or put it back.
    TurnPlug,
    /// Kill this meter, or revive it.
    TurnMeter(String),
    /// Unplug this line's adapter, or plug it in.
    TurnLine(String),
    /// End the demo.
    Quit,
}

/// The running demo. Fields are dropped in this order: what serves others goes after them.
pub(super) struct Stage {
    app: App,
    lines: Vec<line::Handle>,
    conditions: uplink::Conditions,
    outbox: outbox::Config,
    arrivals: Arrivals,
    broker: Broker,
    simulator: Simulator,
    protocols: BTreeMap<String, &'static str>,
    unplugged: BTreeSet<String>,
    log: Log,
    started: Moment,
    run_for: Option<Duration>,
    outage: Option<Outage>,
    /// What was last made of it.
    outage_holds: bool,
    stats: LaneStats,
    history: History,
    configuration: PathBuf,
    folder: TempDir,
}

impl Stage {
    /// Starts the simulated meters, the consumer and the daemon.
    ///
    /// # Errors
    /// What could not be started, and why.
    pub(super) async fn start(
        broker: Broker,
        log: Log,
        run_for: Option<Duration>,
        outage: Option<Outage>,
    ) -> anyhow::Result<Self> {
        let folder =
            tempfile::Builder::new().prefix("weir-demo-").tempdir().context("temporary directory")?;
        let site = Site::new();
        let simulator = Simulator::start(site.simulation(folder.path())).context("simulated meters")?;
        // A name that no other demo at the same broker has.
        let gateway = format!("demo-{:08x}", fresh_number()?);
        let configuration = folder.path().join("weir.toml");
        let text = site.configuration(folder.path(), &gateway, broker.servers());
        std::fs::write(&configuration, &text).with_context(|| configuration.display().to_string())?;
        let outcome = config::check_text(&configuration, &text);
        let report = outcome.report(false);
        let Some(checked) = outcome.checked else { bail!("{report}") };
        let outbox = checked.outbox.clone();
        let arrivals = Arrivals::start(broker.servers(), &gateway).with_context(|| broker.description())?;
        let app = App::start(checked).await?;
        Ok(Self {
            lines: app.lines().to_vec(),
            conditions: app.uplink().conditions(),
            app,
            outbox,
            arrivals,
            broker,
            simulator,
            protocols: site.protocols().collect(),
            unplugged: BTreeSet::new(),
            log,
            started: clock::now(),
            run_for,
            outage,
            outage_holds: false,
            stats: LaneStats::default(),
            history: History::default(),
            configuration,
            folder,
        })
    }

    /// Waits until the daemon's store has failed for good.
    pub(super) async fn failure(&mut self) -> String {
        self.app.failure().await
    }

    /// Obeys an order, if there is one, and the outage's schedule.
    ///
    /// # Errors
    /// When the broker's or a simulated line's thread is gone.
    pub(super) async fn act(&mut self, order: Option<Order>) -> anyhow::Result<()> {
        match order {
            Some(Order::TurnPlug) => match self.broker.plug() {
                Some(plug) => self.set_plug(plug.turned())?,
                None => tracing::info!(
                    "a real broker has no plug here: stop it, or its network, to see the outbox fill"
                ),
            },
            Some(Order::TurnMeter(meter)) => self.turn_meter(&meter)?,
            Some(Order::TurnLine(line)) => self.turn_line(&line)?,
            Some(Order::Quit) | None => {}
        }
        self.follow_outage()
    }

    /// The outage begins and ends once; a key may turn the plug in between.
    fn follow_outage(&mut self) -> anyhow::Result<()> {
        let Some(outage) = self.outage else { return Ok(()) };
        let holds = outage.holds_at(self.running());
        if holds == self.outage_holds {
            return Ok(());
        }
        self.outage_holds = holds;
        self.set_plug(if holds { Plug::Out } else { Plug::In })
    }

    fn set_plug(&mut self, plug: Plug) -> anyhow::Result<()> {
        self.broker.set_plug(plug)?;
        match plug {
            Plug::Out => tracing::info!("demo: the uplink's plug is pulled"),
            Plug::In => tracing::info!("demo: the uplink's plug is back"),
        }
        Ok(())
    }

    fn turn_meter(&self, id: &str) -> anyhow::Result<()> {
        let meter = self.simulator.meter(id)?;
        if !meter.is_silenced() {
            meter.silence();
            tracing::info!(meter = id, "demo: killed");
            return Ok(());
        }
        meter.revive();
        tracing::info!(meter = id, "demo: revived; asking for a read rather than waiting for its next probe");
        if let Some(line) = self.lines.iter().find(|line| line.has(id)).cloned() {
            let id = id.to_owned();
            // On a task of its own: the line may have other things to do first, and the view goes on.
            tokio::spawn(async move {
                if let Err(error) = line.read(&id).await {
                    tracing::warn!(meter = id, %error, "read");
                }
            });
        }
        Ok(())
    }

    fn turn_line(&mut self, name: &str) -> anyhow::Result<()> {
        let line = self.simulator.line(name)?;
        if self.unplugged.remove(name) {
            line.plug()?;
            tracing::info!(line = name, "demo: adapter plugged in");
        } else {
            line.unplug()?;
            self.unplugged.insert(name.to_owned());
            tracing::info!(line = name, "demo: adapter unplugged");
        }
        Ok(())
    }

    fn running(&self) -> Duration {
        clock::now().since(self.started)
    }

    /// Everything at this moment.
    pub(super) async fn snapshot(&mut self) -> Snapshot {
        if let Ok(Ok(stats)) = timeout(STATS_WAIT, self.app.outbox().stats()).await {
            self.stats = stats.readings;
        }
        let lines: Vec<_> = self.lines.iter().map(line::Handle::status).collect();
        let running = self.running();
        self.history.sample(running, self.stats.waiting, &lines);
        let meters = self.simulator.meters();
        let killed = meters.iter().filter(|meter| meter.is_silenced()).map(|meter| meter.name().to_owned());
        Snapshot {
            now: clock::wall(),
            running,
            left: self.run_for.map(|time| time.saturating_sub(running)),
            stopping: false,
            configuration: self.configuration.clone(),
            broker: self.broker.description(),
            plug: self.broker.plug(),
            loads: self.history.loads(lines.len()),
            lines,
            protocols: self.protocols.clone(),
            killed: killed.collect(),
            unplugged: self.unplugged.clone(),
            outbox: self.stats.clone(),
            uplink: self.conditions.of(Lane::Readings),
            depths: self.history.depths.clone(),
            arrivals: self.arrivals.seen(),
            log: self.log.entries(),
        }
    }

    /// Stops the daemon in good order, then looks at what it left behind.
    ///
    /// # Errors
    /// When the outbox cannot be opened again.
    pub(super) async fn stop(self) -> anyhow::Result<Figures> {
        let Self { app, lines, conditions, outbox, arrivals, broker, simulator, folder, .. } = self;
        app.stop().await?;
        let counters = lines.iter().flat_map(|line| line.status().meters).map(|meter| meter.counters);
        let (polled, answered) = counters
            .fold((0, 0), |(polls, answered), meter| (polls + meter.polls, answered + meter.answered));
        let acknowledged = conditions.of(Lane::Readings).acknowledged;
        let (stored, waiting) = left_behind(outbox).await?;
        let plug_is_in = broker.plug() != Some(Plug::Out);
        wait_for_arrivals(&arrivals, if plug_is_in { acknowledged } else { 0 }).await;
        let seen = arrivals.seen();
        drop((arrivals, broker, simulator));
        folder.close().context("temporary directory")?;
        Ok(Figures {
            polled,
            answered,
            stored,
            acknowledged,
            waiting,
            arrived: seen.readings,
            repeats: seen.repeats,
        })
    }
}

/// Readings that the stopped daemon had stored, and those of them that wait: from the disk, as the next start finds them.
async fn left_behind(config: outbox::Config) -> anyhow::Result<(u64, u64)> {
    let opened = outbox::open(config, Pulse::new("outbox"))?;
    let waiting = opened.outbox.stats().await?.readings.waiting;
    opened.outbox.close().await?;
    let previous = opened.previous.ok_or_else(|| anyhow!("the outbox has forgotten the daemon's start"))?;
    let [readings, _] = previous.last;
    Ok((readings, waiting))
}

async fn wait_for_arrivals(arrivals: &Arrivals, wanted: u64) {
    let all = async {
        while arrivals.seen().readings < wanted {
            sleep(Duration::from_millis(20)).await;
        }
    };
    if timeout(LAST_ARRIVALS_WAIT, all).await.is_err() {
        tracing::warn!(wanted, arrived = arrivals.seen().readings, "the consumer lags behind");
    }
}

fn fresh_number() -> anyhow::Result<u32> {
    getrandom::u32().map_err(|error| anyhow!("no random number: {error}"))
}
