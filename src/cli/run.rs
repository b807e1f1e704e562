//! `weir run`: the daemon as its service manager sees it.

use std::path::Path;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use super::{Exit, fail, load, runtime};
use crate::app::{App, StartError};
use crate::config::Checked;
use crate::outbox::OpenError;
use crate::watcher;

pub(super) fn run(path: &Path) -> Exit {
    let config = match load(path) {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    start_log();
    match runtime() {
        Ok(runtime) => runtime.block_on(serve(config, path)),
        Err(error) => fail(Exit::StartFailed, error),
    }
}

/// The log goes to standard error; under systemd that is the journal, which stamps the time itself.
fn start_log() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false);
    if std::env::var_os("JOURNAL_STREAM").is_some() { log.without_time().init() } else { log.init() }
}

async fn serve(config: Checked, path: &Path) -> Exit {
    // Before anything is opened, so that a stop that comes early is not lost.
    let signals = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()].map(signal);
    let [Ok(mut terminate), Ok(mut interrupt), Ok(mut hangup)] = signals else {
        return fail(Exit::StartFailed, "no signals can be had");
    };
    let mut app = match App::start(config).await {
        Ok(app) => app,
        Err(error @ StartError::Outbox(OpenError::Stuck(_))) => return fail(Exit::TryAgain, error),
        Err(error) => return fail(Exit::StartFailed, error),
    };
    if let Err(error) = watcher::start(app.pulses().to_vec(), Exit::TryAgain as u8) {
        return fail(Exit::StartFailed, error);
    }
    notify(&[NotifyState::Ready]);
    let watchdog = feed_watchdog(&app);
    let exit = loop {
        tokio::select! {
            _ = terminate.recv() => break Exit::Ok,
            _ = interrupt.recv() => break Exit::Ok,
            _ = hangup.recv() => reload(&app, path).await,
            why = app.failure() => break fail(Exit::TryAgain, format_args!("the outbox's store failed: {why}")),
        }
    };
    notify(&[NotifyState::Stopping]);
    watchdog.abort();
    match app.stop().await {
        Ok(()) => exit,
        Err(_) => Exit::TryAgain,
    }
}

/// Reads the configuration anew and puts in force what may change while the daemon runs: who may command what. A
/// configuration with a fault changes nothing.
async fn reload(app: &App, path: &Path) {
    let outcome = crate::config::check(path);
    match outcome.checked {
        Some(config) => app.reload(config).await,
        None => {
            let report = outcome.report(false);
            tracing::error!(report, "configuration not reloaded: the one before stays in force");
        }
    }
}

/// Feeds the service manager's watchdog for as long as every loop turns.
fn feed_watchdog(app: &App) -> tokio::task::JoinHandle<()> {
    let pulses = app.pulses().to_vec();
    let period = sd_notify::watchdog_enabled().map(|timeout| timeout / 3);
    tokio::spawn(async move {
        let Some(period) = period else { return };
        let mut tick = tokio::time::interval(period.max(Duration::from_millis(10)));
        loop {
            tick.tick().await;
            match crate::app::stuck(&pulses) {
                None => notify(&[NotifyState::Watchdog]),
                Some(pulse) => {
                    tracing::error!(r#loop = pulse.name(), age = ?pulse.age(), "stuck, the watchdog is not fed");
                }
            }
        }
    })
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "service manager not notified");
    }
}
