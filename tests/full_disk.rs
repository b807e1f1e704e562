//! A full disk: another program fills the file system, under a daemon that polls while its broker is away. The reserve gets
//! it out, polling goes on under the policy for as long as that can make room, nothing that counted is lost unnamed, and
//! once there is space again everything goes on and drains, without a restart.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::harness::chance::seed;
use crate::harness::deadline::wait_until;
use crate::harness::drive::{Drive, in_own_mounts};
use crate::harness::fleet::{Fleet, Street};
use crate::harness::ledger;
use crate::harness::mock::MockBroker;
use crate::harness::not_run::require;
use crate::harness::weir::Weir;

const PATIENCE: Duration = Duration::from_secs(60);
const BLOCK_BYTES: usize = 4096;

/// Another program that takes all the disk it can get.
struct Hog {
    files: PathBuf,
    count: u32,
}

impl Hog {
    fn on(drive: &Path) -> Self {
        let files = drive.join("hog");
        fs::create_dir(&files).unwrap();
        Self { files, count: 0 }
    }

    /// Takes what is free, to the last block.
    fn fill(&mut self) {
        self.count += 1;
        let Ok(mut file) = File::create(self.files.join(self.count.to_string())) else { return };
        for bytes in [1 << 20, BLOCK_BYTES] {
            let blocks = vec![0x5A; bytes];
            while file.write_all(&blocks).is_ok() {}
        }
        // On ext4 what is delayed takes its blocks now.
        let _ = file.sync_all();
    }

    fn leave(&self) {
        fs::remove_dir_all(&self.files).unwrap();
        fs::create_dir(&self.files).unwrap();
    }
}

fn free_bytes(drive: &Path) -> u64 {
    let free = rustix::fs::statvfs(drive).unwrap();
    free.f_bavail * free.f_frsize
}

/// The ids inside gaps that arrived.
fn in_gaps(events: &[serde_json::Value]) -> BTreeSet<String> {
    let ids = |gap: &&serde_json::Value| {
        let id = |at: usize| gap["ids"][at].as_str().unwrap_or_else(|| panic!("no ids: {gap:#}"));
        let ((life, from), (_, to)) = (ledger::sequence_of(id(0)), ledger::sequence_of(id(1)));
        (from..=to).map(|sequence| format!("{life}{sequence}")).collect::<Vec<_>>()
    };
    ledger::of_kind(events, "gap").iter().flat_map(ids).collect()
}

fn fleet() -> Fleet {
    let streets = ["t", "u", "v", "w"].map(|name| Street::modbus_tcp(name, 10).key("every = \"1s\""));
    Fleet::start(seed(), streets)
}

/// Lives through a full disk. Gives how many readings were dropped.
fn live_through_a_full_disk(drive: &Path, policy: &str) -> u64 {
    let (fleet, broker) = (fleet(), MockBroker::start());
    let mut weir = Weir::for_fleet(&fleet, &broker.bootstrap(), "");
    std::os::unix::fs::symlink(drive, weir.folder().join("state")).unwrap();
    let config = fs::read_to_string(weir.config_path()).unwrap();
    weir.write_config(&config.replacen("[outbox]", &format!("[outbox]\nwhen_full = {policy:?}"), 1));
    let reserve = drive.join("outbox/reserve");
    weir.start();
    weir.wait_ready(PATIENCE);
    weir.wait_more_readings(40, PATIENCE);
    broker.down();
    weir.wait_more_readings(300, PATIENCE);
    assert!(reserve.exists(), "no reserve was made");

    let mut hog = Hog::on(drive);
    hog.fill();
    if policy == "stop-polling" {
        // Nothing may go, so nothing more comes: before the last block is needed, or when the reserve is used up.
        weir.wait_stats("readings to be refused", PATIENCE, |stats| {
            hog.fill();
            stats["outbox"]["readings"]["refused_appends"].as_u64() > Some(0)
        });
        // Nor does a start find room, not even for what it has to say of itself, and may not wait for it.
        weir.kill();
        hog.fill();
        weir.start();
        weir.wait_ready(PATIENCE);
        weir.wait_stats("readings to be refused again", PATIENCE, |stats| {
            hog.fill();
            stats["outbox"]["readings"]["refused_appends"].as_u64() > Some(0)
        });
    } else {
        // It lives on what the policy lets go, and on the reserve where that does not come in time.
        weir.wait_more_readings(400, PATIENCE);
        assert!(free_bytes(drive) < 3 << 20, "the disk was not full");
    }
    assert_eq!(weir.process().ended(), None, "{}", weir.process().tail());
    let full = weir.stats();
    assert!(full["outbox"]["readings"]["waiting"].as_u64() > Some(0), "{full:#}");

    hog.leave();
    weir.wait_more_readings(100, PATIENCE);
    wait_until("the reserve to be made again", PATIENCE, || reserve.exists());
    broker.up();
    weir.wait_acknowledged(PATIENCE);
    let dropped = weir.stats()["outbox"]["readings"]["dropped"].as_u64().unwrap();
    let told = weir.drain_to_the_last(&fleet, PATIENCE);
    let (readings, events) = ledger::at_the_broker(&broker, &fleet);
    let named = in_gaps(&events);
    let unnamed: Vec<_> = ledger::missing(&told, &readings, &events);
    let unnamed: Vec<_> = unnamed.into_iter().filter(|id| !named.contains(*id)).collect();
    assert!(unnamed.is_empty(), "neither arrived nor in a gap: {unnamed:?}");
    assert_eq!(ledger::of_kind(&events, "outbox-damaged").len(), 0);
    // Each start is told of, also the one on the full disk; and one more is for the last of it.
    let starts = if policy == "stop-polling" { 3 } else { 2 };
    assert_eq!(ledger::of_kind(&events, "started").len(), starts);
    println!("{policy}: {} told, {dropped} dropped, {} bytes free", told.len(), free_bytes(drive));
    dropped
}

mod alone {
    use super::*;

    #[test]
    fn on_a_full_disk_polling_goes_on_under_the_policy_and_afterwards_everything_does() {
        in_own_mounts(|| {
            let Some(drive) = require("full disk", Drive::shut_down_at_once()) else { return };
            assert!(live_through_a_full_disk(drive.path(), "thin") > 0, "nothing was dropped");
        });
    }

    #[test]
    fn on_a_full_disk_that_nothing_may_be_dropped_for_polling_pauses_and_afterwards_goes_on() {
        in_own_mounts(|| {
            let Some(drive) = require("full disk", Drive::shut_down_at_once()) else { return };
            assert_eq!(live_through_a_full_disk(drive.path(), "stop-polling"), 0);
        });
    }
}
