//! A command's envelope: a JWS in compact form (RFC 7515), signed with Ed25519 (RFC 8037), and nothing else that a JWS can be.
//!
//! Three parts in base64url without padding, each written in the one way there is; a header of exactly `alg`, `typ` and
//! `kid`, each once; `EdDSA`; a signature of 64 bytes over the ASCII of the first two parts. The signature is checked before
//! anything of the payload is looked at. Since base64url is read strictly and the signature by `verify_strict`, nobody but
//! the key's owner can make a second JWS of one that is good: its bytes are the command's fingerprint.
//!
//! **Why no general JOSE crate.** All that is needed of one is below, in fewer lines than its set-up would take, and each
//! of them can do too much. Of the most used, `jsonwebtoken` (12.0, read for this): which of its verifiers looks at a token
//! is chosen by the token's own `alg` out of a list of allowed ones; RSA, ECDSA and HMAC are linked along whatever the list
//! says; `typ` is not looked at; `jwk`, `jku`, `x5u` and members it has no name for are accepted and handed on; and its
//! Ed25519 is dalek's plain `verify`, which takes keys of small order. (It does refuse a `crit` that it does not know.) None
//! of that is a hole when it is used well. Here there is nothing to use wrongly.

use base64ct::{Base64UrlUnpadded, Encoding as _};
use serde::Deserialize;
use weir_wire::COMMAND_TYP;

use super::keys::{Key, Keys, SecretKey, is_key_id};
use super::verify::Cause;
use crate::limits::COMMAND_BYTES_MAX;

/// The one algorithm there is (RFC 8037, section 3.1; with the keys here always Ed25519).
const ALGORITHM: &str = "EdDSA";

/// An envelope whose signature is good.
pub(super) struct Opened<'k> {
    pub(super) kid: String,
    pub(super) key: &'k Key,
    /// What was signed, not yet looked at.
    pub(super) payload: Vec<u8>,
}

/// An envelope that proves nothing about its sender.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unproven {
    pub(super) cause: Cause,
    /// The key it names, where that can be a key's id.
    pub(super) kid: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: String,
    typ: String,
    kid: String,
}

/// Checks an envelope and its signature.
pub(super) fn open<'k>(jws: &[u8], keys: &'k Keys) -> Result<Opened<'k>, Unproven> {
    let unproven = |cause| Unproven { cause, kid: None };
    if jws.len() > COMMAND_BYTES_MAX {
        return Err(unproven(Cause::TooLong));
    }
    let jws = std::str::from_utf8(jws).map_err(|_| unproven(Cause::NotUtf8))?;
    let malformed = || unproven(Cause::Malformed);
    let mut parts = jws.split('.');
    let (Some(header), Some(payload), Some(signature), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(malformed());
    };
    let signed = jws.strip_suffix(signature).and_then(|rest| rest.strip_suffix('.')).ok_or_else(malformed)?;
    let header: Header = object(&decoded(header).ok_or_else(malformed)?).map_err(unproven)?;

    let unproven = |cause| Unproven { cause, kid: Some(&header.kid).filter(|kid| is_key_id(kid)).cloned() };
    if header.alg != ALGORITHM {
        return Err(unproven(Cause::WrongAlgorithm));
    }
    if header.typ != COMMAND_TYP {
        return Err(unproven(Cause::Malformed));
    }
    let key = keys.get(&header.kid).ok_or_else(|| unproven(Cause::UnknownKey))?;
    let malformed = || unproven(Cause::Malformed);
    let payload = decoded(payload).ok_or_else(malformed)?;
    let signature = decoded(signature).and_then(|bytes| bytes.try_into().ok()).ok_or_else(malformed)?;
    if !key.public.has_signed(signed.as_bytes(), &signature) {
        return Err(unproven(Cause::BadSignature));
    }
    Ok(Opened { kid: header.kid, key, payload })
}

fn decoded(part: &str) -> Option<Vec<u8>> {
    Base64UrlUnpadded::decode_vec(part).ok()
}

/// Reads one JSON object and nothing after it. Serde would take a struct from a list as well, so the brace is asked for.
pub(super) fn object<'j, T: Deserialize<'j>>(json: &'j [u8]) -> Result<T, Cause> {
    let text = std::str::from_utf8(json).map_err(|_| Cause::NotUtf8)?;
    if !text.trim_start_matches([' ', '\t', '\n', '\r']).starts_with('{') {
        return Err(Cause::Malformed);
    }
    serde_json::from_str(text).map_err(|_| Cause::Malformed)
}

/// Signs a payload, whatever it is.
pub fn sign(payload: &[u8], key: &SecretKey) -> String {
    // A key's id has no character that JSON would write otherwise.
    let header = format!(r#"{{"alg":"{ALGORITHM}","typ":"{COMMAND_TYP}","kid":"{}"}}"#, key.id());
    let encode = Base64UrlUnpadded::encode_string;
    let signed = format!("{}.{}", encode(header.as_bytes()), encode(payload));
    let signature = encode(&key.sign(signed.as_bytes()));
    format!("{signed}.{signature}")
}
