//! `weir demo`: the daemon at work in one process, without a broker and without hardware.
//!
//! ```text
//!   site: simulated meters ══ ptys ══ App, the real daemon ══ Kafka's protocol ══ broker (librdkafka's mock)
//!    ▲ dies, is unplugged          │ status, figures, log         ▲ plug           │ read back
//!    │                             ▼                              │                ▼
//!    └──────────── orders ──── stage ──► snapshot ──► screen ─► view        arrivals ─► stage
//!                    ▲                      └───────► plain              (an independent consumer)
//!                    └── keys ◄── screen
//! ```
//!
//! What is real: the configuration is text that `weir check` would take, the lines are opened by path, the outbox is on
//! disk, the uplink speaks to a broker over TCP. What is not: the meters, how often they are read, and the broker.
//!
//! What it deliberately does not do: keep anything. All state lies in a directory that goes with it.

mod arrivals;
mod broker;
mod figures;
mod history;
mod log;
mod plain;
mod quiet;
mod screen;
mod site;
mod snapshot;
mod stage;
mod times;
mod view;

use std::io::IsTerminal;
use std::time::Duration;

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use self::broker::Broker;
use self::figures::Figures;
use self::log::Log;
use self::plain::Plain;
use self::screen::Screen;
use self::stage::{Order, Stage};
use self::times::Outage;
use super::{Exit, fail, runtime};

/// How often figures are gathered. Twice a second is live enough for the eye and nothing for the machine.
const GATHER_EVERY: Duration = Duration::from_millis(500);

/// The daemon's own bounds for its stop add up to less; beyond this something hangs, and saying so is better.
const STOP_WAIT: Duration = Duration::from_secs(45);

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Print lines, and at the end one JSON object, in place of the live view; so without a terminal
    #[arg(long)]
    plain: bool,
    /// End by itself after this time, such as `30s` or `2m`
    #[arg(long = "for", value_name = "TIME", value_parser = times::time)]
    run_for: Option<Duration>,
    /// Pull the uplink's plug for this part of the time, such as `5s..12s` after the start
    #[arg(long, value_name = "FROM..TO", conflicts_with = "kafka")]
    outage: Option<Outage>,
    /// Use this Kafka broker in place of the embedded one; topics weir.demo.readings and weir.demo.events
    #[arg(long, value_name = "HOST:PORT")]
    kafka: Option<String>,
}

/// What the figures are shown on.
enum Show {
    Plain(Plain),
    Screen(Screen),
}

/// Why the demo ends.
enum End {
    Asked,
    Failed(anyhow::Error),
}

pub(super) fn demo(args: &Args) -> Exit {
    let is_plain = args.plain || !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal();
    let log = if is_plain { Log::to_standard_error() } else { Log::kept() };
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => return fail(Exit::StartFailed, error),
    };
    match runtime.block_on(play(args, is_plain, log)) {
        Ok(exit) => exit,
        Err(error) => fail(Exit::StartFailed, format_args!("{error:#}")),
    }
}

async fn play(args: &Args, is_plain: bool, log: Log) -> anyhow::Result<Exit> {
    // Before anything is started, so that a stop that comes early leaves nothing behind.
    let mut signals = Signals::listen().context("signals")?;
    let broker = match &args.kafka {
        None => Broker::embedded().context("the embedded broker")?,
        Some(servers) => Broker::real(servers).await?,
    };
    let mut stage = Stage::start(broker, log, args.run_for, args.outage).await?;
    let mut show = if is_plain {
        Show::Plain(Plain::start(&stage.snapshot().await)?)
    } else {
        let snapshot = stage.snapshot().await;
        let path = snapshot.configuration.display();
        tracing::info!("demo: look in from another terminal: weir read A-01 --config {path}");
        Show::Screen(Screen::open(snapshot).context("terminal")?)
    };
    let end = run(&mut stage, &mut show, &mut signals, args.run_for).await;
    if let Show::Screen(screen) = &show {
        let stopping = snapshot::Snapshot { stopping: true, ..stage.snapshot().await };
        screen.show(stopping);
    }
    let stopped = timeout(STOP_WAIT, stage.stop()).await;
    let shown = match show {
        Show::Screen(screen) => screen.close().map(|()| None),
        Show::Plain(plain) => Ok(Some(plain)),
    };
    let figures: Figures = stopped.context("the daemon did not stop in time")??;
    if let End::Failed(error) = end {
        return Err(error);
    }
    match shown.context("terminal")? {
        Some(plain) => plain.finish(&figures)?,
        None => print!("{}", figures.table()),
    }
    Ok(Exit::Ok)
}

/// Shows and obeys until somebody or the clock says that it is enough.
async fn run(stage: &mut Stage, show: &mut Show, signals: &mut Signals, run_for: Option<Duration>) -> End {
    let mut tick = interval(GATHER_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut over = std::pin::pin!(async {
        match run_for {
            Some(time) => sleep(time).await,
            None => std::future::pending().await,
        }
    });
    loop {
        let order = tokio::select! {
            biased;
            () = &mut over => return End::Asked,
            () = signals.told() => return End::Asked,
            why = stage.failure() => return End::Failed(anyhow::anyhow!("the outbox's store failed: {why}")),
            order = show.order() => match order {
                Some(Order::Quit) | None => return End::Asked,
                order => order,
            },
            _ = tick.tick() => None,
        };
        if let Err(error) = stage.act(order).await {
            return End::Failed(error);
        }
        let snapshot = stage.snapshot().await;
        match show {
            Show::Screen(screen) => screen.show(snapshot),
            Show::Plain(plain) => {
                if plain.show(&snapshot).is_err() {
                    // Nobody reads any more: no fault, and no reason to go on.
                    return End::Asked;
                }
            }
        }
    }
}

impl Show {
    /// The next order from the keyboard; `None` when the screen is gone.
    async fn order(&mut self) -> Option<Order> {
        match self {
            Self::Screen(screen) => screen.order().await,
            Self::Plain(_) => std::future::pending().await,
        }
    }
}

/// What ends a program from outside: a person, a service manager, a terminal that is closed.
struct Signals([Signal; 3]);

impl Signals {
    fn listen() -> std::io::Result<Self> {
        let [terminate, interrupt, hang_up] =
            [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()].map(signal);
        Ok(Self([terminate?, interrupt?, hang_up?]))
    }

    async fn told(&mut self) {
        let Self([terminate, interrupt, hang_up]) = self;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = hang_up.recv() => {}
        }
    }
}
