//! What the stories stand on: programs started and ended for sure, Apache Kafka, waiting without luck.
//!
//! - [`deadline`]: waits for a condition, and says what it waited for when it does not come.
//! - [`process`]: a child process in a group of its own that never outlives the test run.
//! - [`weir`]: the built daemon with a configuration of its own; ready when it tells systemd so.
//! - [`kafka`]: one Apache Kafka node on loopback; [`consumed`]: what a topic holds, read by clients that are not ours.
//! - [`terminal`]: a program in a terminal of its own, with keys to press and a screen to look at.
//! - [`drive`]: a file system whose power can be cut; [`forgetful`]: a drive that then loses its write cache.
//! - [`chance`]: lots that can be drawn again, and how long a campaign shall be.
//! - [`mock`]: librdkafka's mock cluster, for stories that need no Java.
//! - [`fleet`]: simulated lines, and the same lines in the daemon's words.
//! - [`orders`]: signed commands, and what became of them.
//! - [`ledger`]: what arrived, held against what the meters said and what had been flushed.
//! - [`not_run`]: how a story says that it cannot run here; [`programs`]: programs that may be missing.
//!
//! It deliberately knows nothing of what a single story expects.
#![allow(dead_code, reason = "the harness is whole before every story that will use it is written")]

pub(crate) mod chance;
pub(crate) mod consumed;
pub(crate) mod deadline;
pub(crate) mod drive;
pub(crate) mod fleet;
pub(crate) mod forgetful;
pub(crate) mod kafka;
pub(crate) mod ledger;
pub(crate) mod mock;
pub(crate) mod not_run;
pub(crate) mod notified;
pub(crate) mod orders;
pub(crate) mod process;
pub(crate) mod programs;
pub(crate) mod terminal;
pub(crate) mod weir;
pub(crate) mod wire;
