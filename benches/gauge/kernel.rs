//! What the kernel counts of a process: memory, processor time, threads, and files dropped from its page cache.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

/// A process at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    /// Resident memory, in KiB: all of it, its greatest value so far, and what is not backed by files.
    pub(crate) resident_kib: u64,
    pub(crate) peak_kib: u64,
    pub(crate) anonymous_kib: u64,
    /// Shared pages counted by their share, from `smaps_rollup`.
    pub(crate) proportional_kib: u64,
    pub(crate) threads: u64,
    /// User and system time of all its threads, ended ones too.
    pub(crate) cpu: Duration,
}

impl Usage {
    pub(crate) fn of(process: u32) -> Self {
        let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
        let rollup = fs::read_to_string(format!("/proc/{process}/smaps_rollup")).unwrap_or_default();
        Self {
            resident_kib: field(&status, "VmRSS:"),
            peak_kib: field(&status, "VmHWM:"),
            anonymous_kib: field(&status, "RssAnon:"),
            proportional_kib: field(&rollup, "Pss:"),
            threads: field(&status, "Threads:"),
            cpu: cpu(&format!("/proc/{process}/stat")),
        }
    }
}

fn field(text: &str, name: &str) -> u64 {
    let value = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    value.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or_default()
}

/// `utime` and `stime`, in ticks of 10 ms on every Linux of today (`USER_HZ`).
fn cpu(stat: &str) -> Duration {
    let stat = fs::read_to_string(stat).unwrap_or_default();
    // The name before it may hold spaces and brackets.
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = after_name.split_whitespace().skip(11).take(2).filter_map(|it| it.parse::<u64>().ok());
    Duration::from_millis(10 * ticks.sum::<u64>())
}

/// Processor time of this process's threads, summed up by name. Only of those that still live.
pub(crate) fn threads() -> BTreeMap<String, Duration> {
    let mut all = BTreeMap::new();
    for task in fs::read_dir("/proc/self/task").unwrap().flatten() {
        let name = fs::read_to_string(task.path().join("comm")).unwrap_or_default();
        let time = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        let ns = time.split_whitespace().next().and_then(|ns| ns.parse().ok()).unwrap_or_default();
        *all.entry(name.trim().to_owned()).or_default() += Duration::from_nanos(ns);
    }
    all
}

/// The child of this process that runs a program of this name.
pub(crate) fn child(program: &str) -> Option<u32> {
    let own = std::process::id().to_string();
    fs::read_dir("/proc").unwrap().flatten().find_map(|entry| {
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        let (name, rest) = stat.rsplit_once(')')?;
        let is_it = name.ends_with(&format!("({program}")) && rest.split_whitespace().nth(1) == Some(&own);
        if is_it { entry.file_name().to_str()?.parse().ok() } else { None }
    })
}

/// Takes a folder's files out of the page cache, as after a restart of the machine. They must have been written back.
pub(crate) fn forget(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            forget(&path);
        } else if let Ok(file) = File::open(&path) {
            file.sync_all().unwrap();
            rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
        }
    }
}

/// What the block device under this path has written so far, in bytes, for whomever; `None` if it is on none.
pub(crate) fn bytes_written(path: &Path) -> Option<u64> {
    let device = rustix::fs::stat(path).unwrap().st_dev;
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let stat = fs::read_to_string(format!("/sys/dev/block/{major}:{minor}/stat")).ok()?;
    // The seventh figure, in units of 512 bytes whatever the device's own are.
    stat.split_whitespace().nth(6)?.parse::<u64>().ok().map(|sectors| sectors * 512)
}

/// Copies a folder and all that is in it.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

/// The machine in a line: what figures without it are worth is little.
pub(crate) fn machine() -> String {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let cpus = cpuinfo.lines().filter(|line| line.starts_with("processor")).count();
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split_whitespace().next().unwrap_or_default();
    let model = model.trim_start_matches([' ', '\t', ':']);
    format!("{cpus} x {model}, Linux {}, load before {load}", release.trim())
}
