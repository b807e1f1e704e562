//! `weir outbox stats`: what waits, and why.

use std::os::unix::fs::MetadataExt;

use crate::cli::ask::{ask, unexpected};
use crate::cli::{Exit, Failure, Form, json, runtime, show, start_failed, tell};
use crate::config::Checked;
use crate::control::{OutboxReport, Reply, Request};
use crate::outbox::{self, LaneStats, Stats};
use crate::pulse::Pulse;
use crate::uplink::Condition;

const SECONDS_A_DAY: u64 = 86_400;

pub(super) fn stats(config: Checked, is_json: bool) -> Result<Exit, Failure> {
    let report = match ask(&config.gateway.control_socket, &Request::OutboxStats)? {
        Some(Reply::OutboxStats(report)) => *report,
        Some(Reply::Refused { detail, .. }) => return Err(start_failed(detail)),
        Some(other) => return Err(unexpected(&other)),
        None => look_here(config.outbox)?,
    };
    Ok(tell(&match Form::of(is_json) {
        Form::Json => json(&report),
        Form::Table => table(&report),
    }))
}

/// No daemon runs. An outbox that was never made is not made for a look at it.
fn look_here(config: outbox::Config) -> Result<OutboxReport, Failure> {
    if !config.directory.exists() {
        return Err(start_failed(format_args!("{}: no outbox there yet", config.directory.display())));
    }
    // Opening makes files; the daemon's user could not use those of another.
    let owner = std::fs::metadata(&config.directory).map_err(start_failed)?.uid();
    if owner != rustix::process::geteuid().as_raw() {
        return Err(start_failed(format_args!(
            "{}: belongs to user {owner}, run this as that user",
            config.directory.display()
        )));
    }
    let opened = outbox::open(config, Pulse::new("outbox")).map_err(start_failed)?;
    let stats = runtime().map_err(start_failed)?.block_on(async {
        let stats = opened.outbox.stats().await;
        opened.outbox.close().await?;
        stats
    });
    let outbox = stats.map_err(start_failed)?;
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
    text.push_str(&flash(&report.outbox));
    for (count, what) in aside.into_iter().filter(|(count, _)| *count > 0) {
        text.push_str(&format!("{count} {what}\n"));
    }
    text
}

/// What the flash had to bear since the outbox was opened.
fn flash(stats: &Stats) -> String {
    let lanes = [&stats.urgent, &stats.readings];
    let sum = |of: fn(&LaneStats) -> u64| lanes.iter().map(|lane| of(lane)).sum::<u64>();
    let (estimate, flushes) = (sum(|lane| lane.flash_bytes_estimate), sum(|lane| lane.flushes));
    let mut text = format!(
        "flash in {} s: about {} for {flushes} flushes with {} of records",
        stats.open_s,
        mebibytes(estimate),
        mebibytes(sum(|lane| lane.frame_bytes)),
    );
    if let Some(each) = estimate.checked_div(stats.readings.stored) {
        text.push_str(&format!(", {each} B a reading"));
    }
    if let Some(a_day) = estimate.saturating_mul(SECONDS_A_DAY).checked_div(stats.open_s) {
        text.push_str(&format!(", {} a day", mebibytes(a_day)));
    }
    if let Some(written) = stats.device_written_bytes {
        text.push_str(&format!("; the device wrote {} in all, of whatever program", mebibytes(written)));
    }
    text + "\n"
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
