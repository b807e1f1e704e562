//! `weir outbox`: what waits, and why.

use std::os::unix::fs::MetadataExt;

use clap::Subcommand;

use super::{Exit, Form, fail, load, runtime, show, tell};
use crate::control::{Client, OutboxReport, Reply, Request};
use crate::outbox::{self, LaneStats};
use crate::pulse::Pulse;
use crate::uplink::Condition;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Show what waits, what it takes, and how the uplink is doing
    ///
    /// Asks the running daemon; only when none runs are the files opened here.
    Stats {
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        config: super::Config,
    },
}

pub(super) fn run(command: &Command) -> Exit {
    let Command::Stats { json, config } = command;
    let config = match load(&config.config) {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    let report = match Client::connect(&config.gateway.control_socket) {
        Ok(Some(mut daemon)) => match daemon.ask(&Request::OutboxStats) {
            Ok(Reply::OutboxStats(report)) => Ok(*report),
            Ok(other) => Err(format!("unexpected answer of the daemon: {other:?}")),
            Err(error) => Err(error.to_string()),
        },
        Ok(None) => look_here(config.outbox),
        Err(error) => Err(error.to_string()),
    };
    match report {
        Ok(report) => tell(&match Form::of(*json) {
            Form::Json => super::json(&report),
            Form::Table => table(&report),
        }),
        Err(why) => fail(Exit::StartFailed, why),
    }
}

/// No daemon runs. An outbox that was never made is not made for a look at it.
fn look_here(config: outbox::Config) -> Result<OutboxReport, String> {
    if !config.directory.exists() {
        return Err(format!("{}: no outbox there yet", config.directory.display()));
    }
    // Opening makes files; the daemon's user could not use those of another.
    let owner = std::fs::metadata(&config.directory).map_err(|error| error.to_string())?.uid();
    if owner != rustix::process::geteuid().as_raw() {
        return Err(format!(
            "{}: belongs to user {owner}, run this as that user",
            config.directory.display()
        ));
    }
    let opened = outbox::open(config, Pulse::new("outbox")).map_err(|error| error.to_string())?;
    let stats = runtime().map_err(|error| error.to_string())?.block_on(async {
        let stats = opened.outbox.stats().await;
        opened.outbox.close().await?;
        stats
    });
    let outbox = stats.map_err(|error| error.to_string())?;
    Ok(OutboxReport { outbox, urgent_uplink: None, readings_uplink: None })
}

fn table(report: &OutboxReport) -> String {
    let header =
        ["lane", "waiting", "oldest", "on disk", "of", "stored", "acknowledged", "dropped", "lost", "uplink"];
    let rows = [
        row("urgent", &report.outbox.urgent, report.urgent_uplink.as_ref()),
        row("readings", &report.outbox.readings, report.readings_uplink.as_ref()),
    ];
    let mut text = show::columns(header.map(str::to_owned), &rows);
    let aside = [
        (report.outbox.refused, "records refused by the broker for good, kept aside"),
        (report.outbox.quarantined_segments, "damaged segments in quarantine"),
    ];
    for (count, what) in aside.into_iter().filter(|(count, _)| *count > 0) {
        text.push_str(&format!("{count} {what}\n"));
    }
    text
}

fn row(lane: &str, stats: &LaneStats, uplink: Option<&Condition>) -> [String; 10] {
    [
        lane.to_owned(),
        stats.waiting.to_string(),
        stats.oldest_waiting_at.map_or_else(|| "-".into(), |at| at.to_string()),
        mebibytes(stats.disk_bytes),
        mebibytes(stats.disk_bytes_max),
        stats.stored.to_string(),
        stats.acknowledged.to_string(),
        stats.dropped.to_string(),
        stats.lost.to_string(),
        uplink.map_or_else(|| "no daemon runs".into(), ToString::to_string),
    ]
}

fn mebibytes(bytes: u64) -> String {
    let tenths = bytes.saturating_mul(10) / (1024 * 1024);
    format!("{}.{} MiB", tenths / 10, tenths % 10)
}
