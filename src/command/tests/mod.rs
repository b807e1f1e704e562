//! What is refused, and with which word; that only one hand can make a good command; the keys.

mod clerk;
mod forged;
mod hostile;
mod keys;
mod office;

use std::collections::BTreeMap;
use std::time::Duration;

use glob::Pattern;
use jiff::Timestamp;
use serde_json::{Value, json};
use weir_wire::Action;

use super::authorise::{Expected, MeterPolicy, Policy};
use super::jws::sign;
use super::keys::{Grant, Key, Keys, SecretKey};
use super::verify::{Freshness, Refusal, Verified, verify};

const GATEWAY: &str = "gw-1";
const ID: &str = "0192f0c1-7d1c-7a53-9f0e-2b1d7c0a4e11";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn now() -> Timestamp {
    at("2026-11-23T02:25:00Z")
}

/// The private key of this id, always the same.
fn secret(id: &str) -> SecretKey {
    let mut seed = [7; 32];
    seed.iter_mut().zip(id.bytes()).for_each(|(seed, byte)| *seed = byte);
    SecretKey::from_seed(id, &seed).unwrap()
}

fn key(id: &str, actions: &[Action], meters: &[&str], not_after: Option<&str>) -> (String, Key) {
    let grant = Grant {
        actions: actions.to_vec(),
        meters: meters.iter().map(|pattern| Pattern::new(pattern).unwrap()).collect(),
        not_after: not_after.map(at),
    };
    (id.to_owned(), Key { public: secret(id).public(), grant })
}

/// `anna` may do everything to A-…, `reader` only read, `old` expired in summer, `until` expires next year.
fn keys() -> Keys {
    let mut keys = Keys::default();
    for (id, key) in [
        key("anna", Action::ALL, &["A-*"], None),
        key("reader", &[Action::ReadNow], &["*"], None),
        key("old", Action::ALL, &["*"], Some("2026-07-01T00:00:00Z")),
        key("until", Action::ALL, &["*"], Some("2027-07-01T00:00:00Z")),
    ] {
        keys.insert(id, key);
    }
    keys
}

fn policy() -> Policy {
    let meter = |locked_open| MeterPolicy {
        line: "riser-1".into(),
        locked_open,
        expected: Expected::Number("12345678".into()),
    };
    let meters = BTreeMap::from([
        ("A-101".to_owned(), meter(false)),
        ("A-999".to_owned(), meter(true)),
        ("B-201".to_owned(), meter(false)),
    ]);
    Policy { keys: keys(), meters, closings_per_hour_max: 3, closings_per_day_max: 5 }
}

fn freshness<'f>(challenges: &'f [String], is_trusted: bool) -> Freshness<'f> {
    Freshness {
        gateway: GATEWAY,
        now: now(),
        is_trusted,
        challenges,
        lifetime_max: Duration::from_secs(24 * 3600),
        skew: Duration::from_secs(120),
    }
}

/// A good payload, closing the valve of A-101.
fn payload() -> Value {
    json!({
        "id": ID, "gateway": GATEWAY, "meter": "A-101", "action": "valve.close",
        "issued_at": "2026-11-23T02:20:00Z", "not_after": "2026-11-23T02:30:00Z",
        "requested_by": "anna", "reason": "burst pipe, flat 12",
    })
}

/// [`payload`] with some members set, and those that are null taken away.
fn but(changes: &Value) -> String {
    let mut payload = payload();
    let object = payload.as_object_mut().unwrap();
    for (name, value) in changes.as_object().unwrap() {
        object.insert(name.clone(), value.clone());
    }
    object.retain(|_, value| !value.is_null());
    payload.to_string()
}

/// [`but`], signed by anna.
fn signed(changes: &Value) -> String {
    sign(but(changes).as_bytes(), &secret("anna"))
}

/// The result as one word or two.
fn word(result: &Result<Verified, Refusal>) -> String {
    match result {
        Ok(_) => "good".to_owned(),
        Err(Refusal::Unproven { cause, .. }) => cause.to_string(),
        Err(Refusal::Proven { reason, .. }) => format!("proven {reason}"),
        Err(Refusal::Expired { .. }) => "expired".to_owned(),
    }
}

/// What a gateway with a trusted clock says.
fn verified(jws: impl AsRef<[u8]>) -> Result<Verified, Refusal> {
    verify(jws.as_ref(), &keys(), &freshness(&[], true))
}
