//! Commands: a message from the topic, or a payload under a good signature, which no mutation would come by.
//!
//! Holds also: what is taken is signed with the key that it names, is fresh, and is for this gateway; and the rights of the
//! key bound what is allowed.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use jiff::Timestamp;
use weir::command::authorise::{Expected, MeterPolicy, Policy, authorise};
use weir::command::closings::Closings;
use weir::command::jws::sign;
use weir::command::keys::{Grant, Key, Keys, SecretKey};
use weir::command::verify::{Freshness, Refusal, Verified, verify};
use weir_wire::Action;

use crate::{selected, under};

const MESSAGE: u8 = 0;
const PAYLOAD: u8 = 1;
/// The same two under a clock that is not trusted.
const UNTRUSTED: u8 = 2;

const GATEWAY: &str = "g";
const CHALLENGE: &str = "n";
const METERS: [&str; 2] = ["A-1", "B-1"];

struct Gateway {
    secret: Option<SecretKey>,
    policy: Policy,
    challenges: [String; 1],
}

static GATEWAY_AND_KEY: LazyLock<Gateway> = LazyLock::new(|| {
    let secret = SecretKey::from_seed("k", &[7; 32]).ok();
    let mut keys = Keys::default();
    if let Some(secret) = &secret {
        let meters = glob::Pattern::new("A-*").into_iter().collect();
        let grant = Grant { actions: vec![Action::ValveOpen, Action::ReadNow], meters, not_after: None };
        keys.insert("k".to_owned(), Key { public: secret.public(), grant });
    }
    let meter = || MeterPolicy { line: "l".to_owned(), locked_open: false, expected: Expected::Unknown };
    let meters: BTreeMap<String, MeterPolicy> = METERS.map(|id| (id.to_owned(), meter())).into();
    let policy = Policy { keys, meters, closings_per_hour_max: 1, closings_per_day_max: 1 };
    Gateway { secret, policy, challenges: [CHALLENGE.to_owned()] }
});

/// 2026-11-23T02:25:00Z
const NOW: Timestamp = Timestamp::constant(1_795_400_700, 0);

/// Looks at one input.
pub fn run(data: &[u8]) {
    let Some((selector, rest)) = selected(data) else { return };
    let gateway = &*GATEWAY_AND_KEY;
    let is_signed = selector & PAYLOAD != 0;
    let message = match &gateway.secret {
        Some(secret) if is_signed => sign(rest, secret).into_bytes(),
        _ => rest.to_vec(),
    };
    let fresh = Freshness {
        gateway: GATEWAY,
        now: NOW,
        is_trusted: selector & UNTRUSTED == 0,
        challenges: &gateway.challenges,
        lifetime_max: Duration::from_secs(3600),
        skew: Duration::from_secs(60),
    };
    match verify(&message, &gateway.policy.keys, &fresh) {
        Ok(verified) => is_good(&verified, &fresh, &gateway.policy),
        Err(Refusal::Unproven { kid, .. }) => assert!(kid.is_none_or(|kid| kid.len() <= 64)),
        Err(Refusal::Proven { verified, .. } | Refusal::Expired { verified }) => {
            assert_eq!(verified.kid, "k", "proven by somebody else");
        }
    }
}

fn is_good(verified: &Verified, fresh: &Freshness<'_>, policy: &Policy) {
    let command = &verified.command;
    assert_eq!((verified.kid.as_str(), command.gateway.as_str()), ("k", GATEWAY));
    assert_eq!(verified.by_challenge, !fresh.is_trusted);
    let lifetime = command.not_after.duration_since(command.issued_at);
    assert!(lifetime.is_positive() && lifetime.unsigned_abs() <= fresh.lifetime_max);
    if fresh.is_trusted {
        assert!(command.not_after > NOW && command.issued_at.duration_since(NOW).as_secs() <= 60);
    } else {
        assert_eq!(command.challenge.as_deref(), Some(CHALLENGE));
    }
    assert_eq!(command.id.len(), 36);
    assert!(!command.id.bytes().any(|b| b.is_ascii_uppercase()));
    if authorise(verified, policy, &Closings::default(), false, NOW).is_ok() {
        assert!(matches!(command.action, Action::ValveOpen | Action::ReadNow) && command.meter == "A-1");
    }
    if authorise(verified, policy, &Closings::default(), true, NOW).is_ok() {
        assert_eq!(command.action, Action::ReadNow, "the stop switch was on");
    }
}

/// Each action, signed and as it lies in the topic, with all that a command can have.
pub fn seeds() -> Vec<Vec<u8>> {
    let payload = |action: &str, more: &str| {
        format!(
            r#"{{"id":"0192f0c1-7d1c-7a53-9f0e-2b1d7c0a4e11","gateway":"g","meter":"A-1","action":"{action}","issued_at":"2026-11-23T02:20:00Z","not_after":"2026-11-23T02:30:00Z"{more}}}"#
        )
    };
    let payloads = [
        payload("valve.open", r#","requested_by":"anna","reason":"why","if_valve":"closed","challenge":"n""#),
        payload("valve.close", r#","challenge":"n""#),
        payload("read.now", ""),
        payload("clock.set", ""),
        payload(
            "tariff.set",
            r#","tariff":{"effective_from":"2027-01-01","steps":[{"from_m3":0,"price":3.45},{"from_m3":220,"price":4.83}]}"#,
        ),
    ];
    let signed = payloads.iter().flat_map(|payload| {
        [under(PAYLOAD, payload.as_bytes()), under(PAYLOAD | UNTRUSTED, payload.as_bytes())]
    });
    let secret = GATEWAY_AND_KEY.secret.as_ref();
    let messages = payloads.iter().zip(secret.iter().cycle()).flat_map(|(payload, secret)| {
        let message = sign(payload.as_bytes(), secret);
        [under(MESSAGE, message.as_bytes()), under(UNTRUSTED, message.as_bytes())]
    });
    signed.chain(messages).collect()
}
