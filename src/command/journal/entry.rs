//! One line of the journal: what happened, when, and the chain that ties it to all lines before.
//!
//! `<64 hex digits> <JSON>\n`. The digits are SHA-256 of the hash of the line before and of the JSON's bytes, so a line
//! that is changed, missing or out of place breaks the chain. JSON, since people read it: an audit needs no program of
//! ours. Every enum is tagged from outside; with a tag inside, serde would buffer a tariff's exact numbers away.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use weir_wire::{Clock, Command, CommandState, Observed, Raw, Reason};

use super::state::State;
use crate::command::keys::PublicKey;

/// When something happened, by the gateway's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// The wall time.
    pub at: Timestamp,
    /// How far it can be trusted: `synced` or `unsynced`.
    pub clock: Clock,
}

/// A line of the journal, without its hash.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// Counts up by one from line to line, over all files.
    pub sequence: u64,
    /// When.
    pub at: Timestamp,
    /// How far that can be trusted.
    pub clock: Clock,
    /// All outcomes up to this line's sequence are known to be in the outbox.
    pub told: u64,
    /// What.
    pub entry: Entry,
}

impl Line {
    /// When it was written.
    pub fn stamp(&self) -> Stamp {
        Stamp { at: self.at, clock: self.clock }
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Entry {
    /// The first line of every file: all that the lines before it come to.
    Checkpoint(Box<Checkpoint>),
    /// A command was verified and authorised.
    Accepted {
        /// What was signed.
        command: Command,
        /// The JWS, whole, as proof.
        jws: String,
        /// The key's id.
        kid: String,
        /// The key.
        public: PublicKey,
        /// SHA-256 of the JWS.
        digest: Digest,
        /// It was handed in on the spot, and not by the topic.
        is_local: bool,
    },
    /// Its write goes on the line as soon as this is flushed.
    Started {
        /// The command's id.
        id: String,
    },
    /// One exchange with the meter for it.
    Step {
        /// The command's id.
        id: String,
        /// What for: `identity`, `write`, `look`, or `read` for `read.now`.
        what: String,
        /// The request's bytes.
        request: Raw,
        /// The answer's.
        answer: Raw,
        /// Why there is no answer.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        fault: Option<String>,
        /// How often the request was repeated.
        repeats: u32,
    },
    /// A command that was accepted has an end.
    Finished {
        /// The command's id.
        id: String,
        /// Which.
        state: CommandState,
        /// Why.
        reason: Option<Reason>,
        /// Why, for a person.
        detail: String,
        /// What the meter showed.
        observed: Option<Observed>,
    },
    /// A command of a proven sender that was not accepted. It has its end with this.
    Rejected {
        /// What was signed.
        command: Command,
        /// The key.
        kid: String,
        /// SHA-256 of the JWS.
        digest: Digest,
        /// `rejected` or `expired`.
        state: CommandState,
        /// Why.
        reason: Option<Reason>,
        /// Why, for a person.
        detail: String,
    },
    /// Another command came under an id that is taken; the first time that it did.
    Duplicate {
        /// The id.
        id: String,
        /// SHA-256 of the other JWS.
        digest: Digest,
        /// For a person.
        detail: String,
    },
    /// Messages that proved nothing about their sender.
    Refused {
        /// How many, by cause.
        counts: Vec<(String, u64)>,
        /// The key that the last of them named.
        last_kid: Option<String>,
    },
    /// A topic has been dealt with up to here.
    Positions {
        /// The topic.
        topic: String,
        /// By partition.
        partitions: Vec<(i32, Position)>,
    },
    /// The clock can be trusted for the first time since the journal was begun.
    ClockTrusted,
    /// That the journal was damaged is in the outbox.
    DamageTold,
}

/// How far a partition has been dealt with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The offset to go on from.
    pub next: i64,
    /// The broker's timestamp of the message before, in milliseconds: by it the topic is known again. `None` where no
    /// message has been read since the position was set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_ms: Option<i64>,
}

impl Position {
    /// From here, with nothing read before.
    pub fn at(next: i64) -> Self {
        Self { next, last_ms: None }
    }
}

/// All that the lines before come to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Why the file was begun.
    pub why: Why,
    /// The hash of the last line of the file before; zeros where there is none, or it is damaged.
    pub chained_to: Digest,
    /// The state.
    pub state: State,
}

/// Why a file of the journal was begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// The gateway's first start.
    FirstStart,
    /// The file before was long enough.
    Rotated,
    /// The file before was damaged, or is gone.
    Recovered,
}

/// A SHA-256 hash, in JSON as upper-case hex.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Raw", into = "Raw")]
pub struct Digest(pub [u8; 32]);

impl From<Digest> for Raw {
    fn from(digest: Digest) -> Self {
        Self(digest.0.to_vec())
    }
}

impl TryFrom<Raw> for Digest {
    type Error = String;

    fn try_from(raw: Raw) -> Result<Self, String> {
        raw.0.try_into().map(Self).map_err(|bytes: Vec<u8>| format!("a hash of {} bytes", bytes.len()))
    }
}

/// Why a line is not the next one of its chain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Break {
    /// The storage does not give it back.
    #[error("cannot be read: {0}")]
    Unreadable(String),
    /// Not a hash, a blank and text.
    #[error("not a line of the journal")]
    Form,
    /// Its content, or what is before it, is not what was written.
    #[error("the hash does not fit: this line was changed, or one before it is missing")]
    Hash,
    /// The hash fits, and yet it is not to be read; another version wrote it.
    #[error("not understood: {0}")]
    Content(String),
    /// Not the next one.
    #[error("line {found} where {expected} should be")]
    Sequence {
        /// The one that should be there.
        expected: u64,
        /// The one that is.
        found: u64,
    },
    /// A file begins with something else than a checkpoint, or has another one.
    #[error("a checkpoint is the first line of a file, and nothing else")]
    Checkpoint,
}

/// The line's bytes, its end included, and its hash.
pub(super) fn encode(line: &Line, before: Digest) -> (Vec<u8>, Digest) {
    // Maps with string keys into a vector: there is no error to have.
    let json = serde_json::to_vec(line).unwrap_or_default();
    let hash = chain(before, &json);
    let mut bytes = Vec::with_capacity(json.len() + 66);
    bytes.extend_from_slice(Raw::from(hash).to_string().as_bytes());
    bytes.push(b' ');
    bytes.extend_from_slice(&json);
    bytes.push(b'\n');
    (bytes, hash)
}

/// A line without its end, behind the line with this hash; `None` for the first line of a file, which says itself what it
/// is chained to.
pub(super) fn decode(bytes: &[u8], before: Option<Digest>) -> Result<(Line, Digest), Break> {
    let (hash, json) = claim(bytes).ok_or(Break::Form)?;
    if let Some(before) = before {
        // Before it is parsed: what is damaged is not understood by accident.
        if chain(before, json) != hash {
            return Err(Break::Hash);
        }
    }
    let parsed = serde_json::from_slice::<Line>(json);
    let line = parsed.map_err(|error| match before {
        Some(_) => Break::Content(error.to_string()),
        None => Break::Hash,
    })?;
    match (&line.entry, before) {
        (Entry::Checkpoint(checkpoint), None) if chain(checkpoint.chained_to, json) == hash => {}
        (Entry::Checkpoint(_), None) => return Err(Break::Hash),
        (Entry::Checkpoint(_), Some(_)) | (_, None) => return Err(Break::Checkpoint),
        (_, Some(_)) => {}
    }
    Ok((line, hash))
}

/// The hash that a line claims to have, and its JSON, neither of them looked at.
pub(super) fn claim(bytes: &[u8]) -> Option<(Digest, &[u8])> {
    let (hash, json) = bytes.split_at_checked(64)?;
    let hex = std::str::from_utf8(hash).ok()?;
    let is_ours = hex.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'A'..=b'F'));
    let hash = serde_json::from_value(serde_json::Value::String(hex.to_owned())).ok().filter(|_| is_ours)?;
    Some((hash, json.strip_prefix(b" ")?))
}

fn chain(before: Digest, json: &[u8]) -> Digest {
    let mut hasher = Sha256::new();
    hasher.update(before.0);
    hasher.update(json);
    Digest(hasher.finalize().into())
}
