//! The keys that commands are signed with: public ones with what each may do, and the file form of a private one.
//!
//! A public key is written as base64url without padding, as in a JWK's `x` (RFC 8037); a private key's file is the whole
//! JWK. A gateway knows public keys only. The private type is here for `weir keys` and `weir command sign`, which run where
//! commands are given, and for tests.
//!
//! What is weak is refused when the configuration is read: a point of small order, under which one signature fits many
//! messages, and a point that is written in more than one way.

use std::collections::BTreeMap;
use std::fmt;

use base64ct::{Base64UrlUnpadded, Encoding as _};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use glob::Pattern;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use weir_wire::Action;

use crate::limits::KEY_ID_BYTES_MAX;

/// The public keys by their ids.
#[derive(Clone, Default)]
pub struct Keys {
    by_id: BTreeMap<String, Key>,
}

/// A public key and what it may do.
#[derive(Clone)]
pub struct Key {
    /// The key.
    pub public: PublicKey,
    /// What it may do.
    pub grant: Grant,
}

/// What a key may do. Nothing that is not in it.
#[derive(Clone, Default)]
pub struct Grant {
    /// The actions.
    pub actions: Vec<Action>,
    /// Patterns of meter ids.
    pub meters: Vec<Pattern>,
    /// From this moment on the key is worth nothing; `None` for one that does not expire.
    pub not_after: Option<Timestamp>,
}

impl Keys {
    /// Adds a key, in place of one that had this id.
    pub fn insert(&mut self, id: String, key: Key) {
        self.by_id.insert(id, key);
    }

    /// The key with this id.
    pub fn get(&self, id: &str) -> Option<&Key> {
        self.by_id.get(id)
    }

    /// All of them, by their ids.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Key)> {
        self.by_id.iter().map(|(id, key)| (id.as_str(), key))
    }
}

/// The ids alone.
impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.by_id.keys()).finish()
    }
}

impl Grant {
    /// Whether this action is among them.
    pub fn allows_action(&self, action: &Action) -> bool {
        self.actions.contains(action)
    }

    /// Whether some pattern is this meter's.
    pub fn covers_meter(&self, meter: &str) -> bool {
        self.meters.iter().any(|pattern| pattern.matches(meter))
    }

    /// Whether the key has expired at this time.
    pub fn has_expired(&self, now: Timestamp) -> bool {
        self.not_after.is_some_and(|not_after| now >= not_after)
    }
}

/// Whether a key can have this id: it stands in headers, logs and file names.
pub fn is_key_id(id: &str) -> bool {
    (1..=KEY_ID_BYTES_MAX).contains(&id.len())
        && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

/// An Ed25519 public key that can be relied on.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicKey(VerifyingKey);

/// Why a text is no public key. Never says what the text was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublicKeyError {
    /// It is a private key, or holds one.
    #[error("is a private key, which never belongs on a gateway")]
    Private,
    /// Padding, the other alphabet, spaces, or no base64 at all.
    #[error("is not base64url without padding")]
    NotBase64,
    /// A public key has 32 bytes.
    #[error("has {0} bytes, and a public key has 32")]
    Length(usize),
    /// Not a point of the curve, a point of small order, or one that is not written as the standard wants it.
    #[error("has 32 bytes that are no Ed25519 public key")]
    NoKey,
}

impl PublicKey {
    const BYTES: usize = ed25519_dalek::PUBLIC_KEY_LENGTH;

    /// Reads the text form.
    ///
    /// # Errors
    /// Why it is none. The 32 bytes of a private key alone cannot be told from a public one's.
    pub fn parse(text: &str) -> Result<Self, PublicKeyError> {
        // A JWK with its `d`, a PEM file, and NaCl's form with the public key behind the private one.
        if serde_json::from_str::<Jwk>(text).is_ok_and(|jwk| jwk.d.is_some()) || text.contains("PRIVATE KEY")
        {
            return Err(PublicKeyError::Private);
        }
        let bytes = Base64UrlUnpadded::decode_vec(text).map_err(|_| PublicKeyError::NotBase64)?;
        if bytes.len() == 2 * Self::BYTES {
            return Err(PublicKeyError::Private);
        }
        let bytes: [u8; Self::BYTES] =
            bytes.try_into().map_err(|b: Vec<u8>| PublicKeyError::Length(b.len()))?;
        let key = VerifyingKey::from_bytes(&bytes).map_err(|_| PublicKeyError::NoKey)?;
        if key.is_weak() || key.to_edwards().compress().to_bytes() != bytes {
            return Err(PublicKeyError::NoKey);
        }
        Ok(Self(key))
    }

    /// Whether this signature is this key's of this message, with everything refused that a third hand could have changed.
    pub(super) fn has_signed(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        self.0.verify_strict(message, &Signature::from_bytes(signature)).is_ok()
    }
}

/// The text form.
impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&Base64UrlUnpadded::encode_string(self.0.as_bytes()))
    }
}

impl From<PublicKey> for String {
    fn from(key: PublicKey) -> Self {
        key.to_string()
    }
}

impl TryFrom<String> for PublicKey {
    type Error = PublicKeyError;

    fn try_from(text: String) -> Result<Self, PublicKeyError> {
        Self::parse(&text)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PublicKey")
    }
}

/// A private key with its id. It has no `Debug`, and is wiped when it is dropped.
pub struct SecretKey {
    id: String,
    signing: SigningKey,
}

/// Why there is no private key. Never says anything of what stands in its file.
#[derive(Debug, thiserror::Error)]
pub enum SecretKeyError {
    /// The system gave no random numbers.
    #[error("no random numbers from the system: {0}")]
    Random(getrandom::Error),
    /// See [`is_key_id`].
    #[error("a key's id is 1 to {KEY_ID_BYTES_MAX} of the characters a-z A-Z 0-9 . _ -")]
    Id,
    /// No JSON object with the members of a JWK.
    #[error("is no JWK with kty, crv, d, x and kid")]
    NoJwk,
    /// A JWK of another kind.
    #[error("is no JWK of an Ed25519 key: kty \"OKP\", crv \"Ed25519\"")]
    OtherKind,
    /// `d` is missing or not 32 bytes of base64url.
    #[error("has no private part: d is 32 bytes in base64url")]
    NoPrivatePart,
    /// `x` is not the public key of `d`.
    #[error("is damaged: x is not the public key of d")]
    Mismatch,
}

/// As in RFC 8037, section 2, with the `kid` of RFC 7517.
#[derive(Serialize, Deserialize)]
struct Jwk {
    kty: String,
    crv: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    d: Option<String>,
    x: String,
}

impl SecretKey {
    /// A new key, from the system's random numbers.
    ///
    /// # Errors
    /// When there are none, or the id cannot be one.
    pub fn generate(id: &str) -> Result<Self, SecretKeyError> {
        let mut seed = [0; ed25519_dalek::SECRET_KEY_LENGTH];
        getrandom::fill(&mut seed).map_err(SecretKeyError::Random)?;
        Self::from_seed(id, &seed)
    }

    /// The key of these 32 bytes, which are RFC 8032's private key.
    ///
    /// # Errors
    /// When the id cannot be one.
    pub fn from_seed(id: &str, seed: &[u8; 32]) -> Result<Self, SecretKeyError> {
        if !is_key_id(id) {
            return Err(SecretKeyError::Id);
        }
        Ok(Self { id: id.to_owned(), signing: SigningKey::from_bytes(seed) })
    }

    /// Reads the file form.
    ///
    /// # Errors
    /// Why it is none.
    pub fn from_jwk(text: &str) -> Result<Self, SecretKeyError> {
        let jwk: Jwk = serde_json::from_str(text).map_err(|_| SecretKeyError::NoJwk)?;
        if (jwk.kty.as_str(), jwk.crv.as_str()) != ("OKP", "Ed25519") {
            return Err(SecretKeyError::OtherKind);
        }
        let mut seed = [0; ed25519_dalek::SECRET_KEY_LENGTH];
        let d = jwk.d.as_deref().unwrap_or_default();
        let length = Base64UrlUnpadded::decode(d, &mut seed).map(<[u8]>::len);
        if length.map_err(|_| SecretKeyError::NoPrivatePart)? != seed.len() {
            return Err(SecretKeyError::NoPrivatePart);
        }
        let key = Self::from_seed(jwk.kid.as_deref().ok_or(SecretKeyError::NoJwk)?, &seed)?;
        if key.public().to_string() != jwk.x {
            return Err(SecretKeyError::Mismatch);
        }
        Ok(key)
    }

    /// The file form, private part and all.
    pub fn to_jwk(&self) -> String {
        let jwk = Jwk {
            kty: "OKP".into(),
            crv: "Ed25519".into(),
            kid: Some(self.id.clone()),
            d: Some(Base64UrlUnpadded::encode_string(self.signing.as_bytes())),
            x: self.public().to_string(),
        };
        // Strings only: there is no error to have.
        serde_json::to_string_pretty(&jwk).unwrap_or_default() + "\n"
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its public key.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.signing.verifying_key())
    }

    pub(super) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.signing.sign(message).to_bytes()
    }
}
