//! The one file that knows every room: it builds the daemon, starts it, and stops it in order.
//!
//! Start: the outbox is opened first, since its lock says whether another daemon runs; then the control socket is bound, then
//! come the clock's keeper, the uplink and the lines. Stop: the lines first (each finishes the exchange on its wire), then the `stopping` event,
//! the uplink, and the outbox last, so that everything polled is flushed. Each step has a bound of its own.

use std::sync::Arc;

use jiff::tz::TimeZone;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use weir_wire::stored::{Record, What};

use crate::boots::Boots;
use crate::config::Checked;
use crate::control::{self, Served};
use crate::id::Generation;
use crate::limits::{OUTBOX_STOP_WAIT, PULSE_AGE_MAX};
use crate::outbox::{Opened, Outbox};
use crate::pulse::Pulse;
use crate::{announce, command, event, line, outbox, timekeeper, uplink};

/// A running daemon.
#[derive(Debug)]
pub struct App {
    served: Arc<Served>,
    uplink: uplink::Handle,
    control: JoinHandle<()>,
    timekeeper: timekeeper::Handle,
    commands: Option<command::Handle>,
    announcer: JoinHandle<()>,
    pulses: Vec<Pulse>,
    generation: Generation,
    /// Resolves when the outbox's store has failed for good.
    failed: oneshot::Receiver<String>,
}

/// Why the daemon did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The control socket.
    #[error("control socket: {0}")]
    Control(#[from] control::BindError),
    /// The outbox.
    #[error("outbox: {0}")]
    Outbox(#[from] outbox::OpenError),
    /// The uplink.
    #[error("uplink: {0}")]
    Uplink(#[from] uplink::StartError),
    /// The outbox closed while the daemon was starting.
    #[error("outbox: {0}")]
    Closed(#[from] outbox::Closed),
}

impl App {
    /// Builds and starts everything. Must be called inside a Tokio runtime with time and I/O.
    ///
    /// A port that cannot be opened is no error: its line is reported down and tried again.
    ///
    /// # Errors
    /// When the control socket, the outbox or the broker's client cannot be had.
    pub async fn start(config: Checked) -> Result<Self, StartError> {
        let outbox_pulse = Pulse::new("outbox");
        let outbox_directory = config.outbox.directory.clone();
        let Opened { outbox, generation, previous, failed } =
            outbox::open(config.outbox, outbox_pulse.clone())?;
        let server = control::Server::bind(&config.gateway.control_socket)?;
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let previous = previous.map(|previous| (previous.generation.0, previous.last));
        // After the outbox, whose lock this rests on, and before anything is dated.
        let boots = Boots::open(&outbox_directory);
        let inbox = config.commands.as_ref().map(|on| command::inbox::Config {
            bootstrap: config.uplink.kafka.bootstrap.clone(),
            properties: config.uplink.kafka.properties.clone(),
            topic: on.topic.clone(),
            gateway: on.gateway.clone(),
        });
        let timekeeper = timekeeper::start(boots.clone(), outbox.clone());
        let started = Record::Event(event::now(What::Started { version, previous }));
        // Not waited for: on a full disk it is stored when there is room again, and until then meters can be looked at.
        tokio::spawn(outbox.append(&started).await?.or_said());
        let uplink = uplink::start(config.uplink, &outbox, boots, &config.gateway.id)?;
        let lines: Vec<line::Handle> =
            config.lines.into_iter().map(|config| line::start(config, outbox.clone())).collect();

        let mut pulses = vec![outbox_pulse, timekeeper.pulse()];
        pulses.extend(uplink.pulses());
        pulses.extend(lines.iter().map(line::Handle::pulse));
        let commands = match config.commands {
            Some(on) => start_commands(on, inbox, config.gateway.time_zone, &lines, &outbox),
            None => None,
        };
        pulses.extend(commands.iter().flat_map(command::Handle::pulses));
        let desk = commands.as_ref().map(command::Handle::desk);
        let announcer = announce::start(outbox.clone(), lines.clone(), desk.clone());
        tracing::info!(%generation, gateway = config.gateway.id, lines = lines.len(), "weir started");
        let served = Arc::new(Served { lines, outbox, uplink: uplink.conditions(), commands: desk });
        let control = tokio::spawn(server.serve(Arc::clone(&served)));
        Ok(Self { served, uplink, control, timekeeper, commands, announcer, pulses, generation, failed })
    }

    /// The lines.
    pub fn lines(&self) -> &[line::Handle] {
        &self.served.lines
    }

    /// The outbox.
    pub fn outbox(&self) -> &Outbox {
        &self.served.outbox
    }

    /// The uplink.
    pub fn uplink(&self) -> &uplink::Handle {
        &self.uplink
    }

    /// This start's generation.
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// Waits until the outbox's store has failed for good; the daemon must then be stopped and started anew.
    pub async fn failure(&mut self) -> String {
        match (&mut self.failed).await {
            Ok(why) => why,
            // Nobody has asked it to close: it panicked.
            Err(_) => "its thread ended".to_owned(),
        }
    }

    /// The loops that must turn; see [`stuck`].
    pub fn pulses(&self) -> &[Pulse] {
        &self.pulses
    }

    /// Puts in force what may change while the daemon runs: the keys, limits and locks of commands. All else waits for the
    /// next start.
    pub async fn reload(&self, config: Checked) {
        let detail = match (&self.commands, config.commands) {
            (Some(running), Some(on)) => {
                let keys = on.rules.policy.keys.iter().map(|(id, _)| id).collect::<Vec<_>>().join(", ");
                running.desk().change(on.rules).await;
                format!("keys of commands: {keys}")
            }
            (Some(_), None) => {
                "commands are off only after a restart; weir commands stop is at once".to_owned()
            }
            (None, Some(_)) => "commands are on only after a restart".to_owned(),
            (None, None) => "nothing that can change without a restart".to_owned(),
        };
        tracing::info!(detail, "configuration reloaded");
        let reloaded = Record::Event(event::now(What::ConfigReloaded { detail }));
        self.served.outbox.tell(&reloaded).await;
    }

    /// Stops everything in order; what is polled is flushed, what is not acknowledged stays in the outbox.
    ///
    /// # Errors
    /// When the outbox did not close in good order; what was told as stored is there all the same.
    pub async fn stop(self) -> Result<(), outbox::Closed> {
        let Self { served, uplink, control, timekeeper, commands, announcer, .. } = self;
        announcer.abort();
        if let Some(commands) = &commands {
            commands.stop_reading();
        }
        let stops = served.lines.iter().cloned().map(|line| tokio::spawn(async move { line.stop().await }));
        for stop in stops.collect::<Vec<_>>() {
            let _ = stop.await;
        }
        if let Some(commands) = commands {
            commands.stop().await;
        }
        let stopping = Record::Event(event::now(What::Stopping));
        if timeout(OUTBOX_STOP_WAIT, served.outbox.tell(&stopping)).await.is_err() {
            tracing::warn!("no stopping event");
        }
        uplink.stop().await;
        let _ = timeout(OUTBOX_STOP_WAIT, timekeeper.stop()).await;
        control.abort();
        let closed = timeout(OUTBOX_STOP_WAIT, served.outbox.close()).await.unwrap_or(Err(outbox::Closed));
        tracing::info!(in_good_order = closed.is_ok(), "weir stopped");
        closed
    }
}

/// Meters are read also where commands cannot be had: what is wrong with them is said, loudly.
fn start_commands(
    config: command::Config,
    inbox: Option<command::inbox::Config>,
    zone: TimeZone,
    lines: &[line::Handle],
    outbox: &Outbox,
) -> Option<command::Handle> {
    match command::start(config, inbox, zone, lines, outbox) {
        Ok(commands) => Some(commands),
        Err(error) => {
            tracing::error!(%error, "no commands are taken until the next start");
            let detail = format!("no commands are taken until the next start: {error}");
            let lost = Record::Event(event::now(What::JournalLost { detail, lost: None }));
            let outbox = outbox.clone();
            tokio::spawn(async move { outbox.tell(&lost).await });
            None
        }
    }
}

/// A loop that has not turned for longer than [`PULSE_AGE_MAX`]. While there is one, the watchdog is not fed.
pub fn stuck(pulses: &[Pulse]) -> Option<&Pulse> {
    pulses.iter().find(|pulse| pulse.age() > PULSE_AGE_MAX)
}
