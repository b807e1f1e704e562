//! What the room is made with.

use std::path::PathBuf;
use std::time::Duration;

use super::authorise::Policy;

/// Commands that are on. Without a `[commands]` table there is none of this.
#[derive(Clone, Debug)]
pub struct Config {
    /// The gateway's id.
    pub gateway: String,
    /// Where the journal lies.
    pub directory: PathBuf,
    /// The topic that the commands come from.
    pub topic: String,
    /// What is allowed.
    pub rules: Rules,
}

/// What is allowed here. Can change while the daemon runs.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The longest that a command may be valid.
    pub lifetime_max: Duration,
    /// How far a signer's clock may be ahead.
    pub skew: Duration,
    /// The clock is right although the kernel does not hold it for synchronised. One that shows a time which is certainly
    /// past is not trusted all the same.
    pub trust_clock: bool,
    /// Who may do what to which meter.
    pub policy: Policy,
}
