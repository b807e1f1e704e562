//! Whether a command is true: signed by a known key, for this gateway, fresh, and sensible in itself.
//!
//! Pure: the bytes as they came, the keys and what is known of the time go in. What is not looked at here: whether the key
//! may do it (`authorise`), and whether the command was seen before. That is the caller's, by [`Verified::digest`], and has to
//! come first: the same bytes again are the same command, also when they have since gone stale.
//!
//! Two kinds of refusal. Where nothing is proven about the sender there is no outcome, which anybody could flood, but a
//! [`Cause`] that is counted. Where the key has signed, the sender is told why.
//!
//! # Freshness
//!
//! With a trusted clock: `not_after` has not come, and the command was not issued in the future by more than the skew. How
//! long ago it was issued does not matter, for it may have waited out an outage; `not_after` bounds that, and the lifetime
//! bounds `not_after`, so that nobody can put a command in store for ever.
//!
//! Without one: the command carries a nonce that this gateway has given out and not yet taken back. It was signed after
//! that, and this is all that is known: neither of its times can be judged, only how far they are apart.
//!
//! **A key that expires is worth nothing while the clock cannot be trusted** (`clock-not-trusted`), with a challenge too.
//! Whoever holds a key that has leaked and expired can sign a fresh nonce as well as its owner, and nothing else here
//! tells the years apart. A gateway that never knows the time needs a key without `not_after`, taken out by hand.

use std::fmt;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest as _, Sha256};
use weir_wire::{Command, Reason};

use super::jws::{self, Unproven};
use super::keys::{Keys, PublicKey};
use super::payload;

/// What a command's freshness is judged by.
#[derive(Clone, Copy, Debug)]
pub struct Freshness<'f> {
    /// The gateway's own id.
    pub gateway: &'f str,
    /// The wall time.
    pub now: Timestamp,
    /// Whether that can be trusted.
    pub is_trusted: bool,
    /// The nonces that still count as fresh.
    pub challenges: &'f [String],
    /// The longest that `not_after` may lie after `issued_at`.
    pub lifetime_max: Duration,
    /// How far a signer's clock may be ahead of this one.
    pub skew: Duration,
}

/// A command whose signature is good.
#[derive(Clone, Debug, PartialEq)]
pub struct Verified {
    /// What was signed.
    pub command: Command,
    /// The id of the key that has signed it.
    pub kid: String,
    /// That key: another one may have the id tomorrow.
    pub public: PublicKey,
    /// SHA-256 of the JWS: the same command has the same one, and no other has.
    pub digest: [u8; 32],
    /// It was taken for fresh by its challenge, because the clock could not be trusted.
    pub by_challenge: bool,
}

/// Why a command is not carried out.
#[derive(Clone, Debug, PartialEq)]
pub enum Refusal {
    /// It proves nothing about its sender: counted, and nothing more.
    Unproven {
        /// What was wrong.
        cause: Cause,
        /// The key that it names, where that can be a key's id.
        kid: Option<String>,
    },
    /// Its sender is told.
    Proven {
        /// The command.
        verified: Box<Verified>,
        /// Why.
        reason: Reason,
        /// The same in words.
        detail: String,
    },
    /// Its `not_after` has passed. A state of its own, and no reason.
    Expired {
        /// The command.
        verified: Box<Verified>,
    },
}

/// Why a message proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Cause {
    /// No JWS of the one kind there is, or a payload that is no command.
    Malformed,
    /// Longer than [`crate::limits::COMMAND_BYTES_MAX`].
    TooLong,
    /// It, its header or its payload has bytes that are no text.
    NotUtf8,
    /// Signed, or not, in another way than EdDSA.
    WrongAlgorithm,
    /// No key of this id is configured.
    UnknownKey,
    /// The key has not signed this.
    BadSignature,
    /// The key has signed it, and has expired.
    KeyExpired,
}

impl Cause {
    /// All of them, in the order in which an event lists them.
    pub const ALL: [Self; 7] = [
        Self::Malformed,
        Self::TooLong,
        Self::NotUtf8,
        Self::WrongAlgorithm,
        Self::UnknownKey,
        Self::BadSignature,
        Self::KeyExpired,
    ];

    /// The word in the `commands-refused` event.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::TooLong => "too-long",
            Self::NotUtf8 => "not-utf8",
            Self::WrongAlgorithm => "wrong-algorithm",
            Self::UnknownKey => "unknown-key",
            Self::BadSignature => "bad-signature",
            Self::KeyExpired => "key-expired",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl From<Unproven> for Refusal {
    fn from(Unproven { cause, kid }: Unproven) -> Self {
        Self::Unproven { cause, kid }
    }
}

/// Finds out whether these bytes are a command to be carried out.
///
/// # Errors
/// Why they are not.
pub fn verify(bytes: &[u8], keys: &Keys, fresh: &Freshness<'_>) -> Result<Verified, Refusal> {
    let opened = jws::open(bytes, keys)?;
    let unproven = |cause| Refusal::Unproven { cause, kid: Some(opened.kid.clone()) };
    let expires = opened.key.grant.not_after.is_some();
    if fresh.is_trusted && opened.key.grant.has_expired(fresh.now) {
        return Err(unproven(Cause::KeyExpired));
    }
    let command = payload::command(&opened.payload).map_err(unproven)?;
    let verified = Verified {
        command,
        kid: opened.kid,
        public: opened.key.public.clone(),
        digest: Sha256::digest(bytes).into(),
        by_challenge: !fresh.is_trusted,
    };
    match judge(&verified.command, expires, fresh) {
        Ok(()) => Ok(verified),
        Err(Fault::Because(reason, detail)) => {
            Err(Refusal::Proven { verified: Box::new(verified), reason, detail })
        }
        Err(Fault::Late) => Err(Refusal::Expired { verified: Box::new(verified) }),
    }
}

enum Fault {
    Because(Reason, String),
    Late,
}

fn judge(command: &Command, expires: bool, fresh: &Freshness<'_>) -> Result<(), Fault> {
    let because = |reason, detail: &str| Err(Fault::Because(reason, detail.to_owned()));
    if command.gateway != fresh.gateway {
        return because(Reason::WrongGateway, &format!("this is {}", fresh.gateway));
    }
    let lifetime = command.not_after.duration_since(command.issued_at);
    if lifetime <= SignedDuration::ZERO {
        return because(Reason::Stale, "not_after does not come after issued_at");
    }
    if lifetime.unsigned_abs() > fresh.lifetime_max {
        let longest = SignedDuration::try_from(fresh.lifetime_max).unwrap_or(SignedDuration::MAX);
        return because(Reason::Stale, &format!("valid for {lifetime:#}, and {longest:#} is the longest"));
    }
    if fresh.is_trusted {
        let ahead = command.issued_at.duration_since(fresh.now);
        if ahead.is_positive() && ahead.unsigned_abs() > fresh.skew {
            return because(Reason::Stale, &format!("issued {ahead:#} in the future"));
        }
        if fresh.now >= command.not_after {
            return Err(Fault::Late);
        }
    } else {
        if expires {
            return because(
                Reason::ClockNotTrusted,
                "the key expires, and it is not known whether it has expired",
            );
        }
        match &command.challenge {
            None => return because(Reason::ClockNotTrusted, "no challenge in the command"),
            Some(nonce) if !fresh.challenges.contains(nonce) => {
                return because(
                    Reason::ClockNotTrusted,
                    "not the challenge of the gateway's latest status event",
                );
            }
            Some(_) => {}
        }
    }
    // Last, so that only the one gateway speaks of it, and only while it matters.
    payload::contradiction(command).map_or(Ok(()), |why| because(Reason::NotSupported, &why))
}

/// Whether a payload would be taken, its freshness apart: for who is about to sign it.
///
/// # Errors
/// Why it would not, for a person.
pub fn check_payload(payload: &[u8]) -> Result<(), String> {
    let command = payload::command(payload).map_err(|_| {
        "no gateway would take this: an id that is no UUID in lower case, or a text that is empty, too long or has control \
         characters"
            .to_owned()
    })?;
    payload::contradiction(&command).map_or(Ok(()), Err)
}
