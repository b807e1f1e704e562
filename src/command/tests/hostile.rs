//! A table of hostile and broken commands, each with the word it is refused with, by the pure checks and by the clerk, who
//! sends nobody to a meter for it.

use base64ct::{Base64Url, Base64UrlUnpadded, Encoding as _};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use weir_wire::{COMMAND_TYP, Clock, CommandState};

use super::super::stop_switch::StopSwitch;
use super::office::*;
use super::*;
use crate::clock;
use crate::command::authorise::{Denial, authorise};
use crate::command::clerk::Start;
use crate::command::closings::Closings;
use crate::command::config::Rules;
use crate::command::desk::{Origin, Reception};
use crate::limits::{COMMAND_BYTES_MAX, TARIFF_STEPS_MAX};

fn b64(bytes: impl AsRef<[u8]>) -> String {
    Base64UrlUnpadded::encode_string(bytes.as_ref())
}

/// A JWS with a header of any kind, rightly signed by anna.
fn with_header(header: &str) -> String {
    let signed = format!("{}.{}", b64(header), b64(payload().to_string()));
    format!("{signed}.{}", b64(secret("anna").sign(signed.as_bytes())))
}

fn header(alg: &str) -> String {
    format!(r#"{{"alg":"{alg}","typ":"{COMMAND_TYP}","kid":"anna"}}"#)
}

/// HMAC with SHA-256 (RFC 2104) under anna's public key, which anybody knows.
fn hs256_with_the_public_key() -> String {
    let signed = format!("{}.{}", b64(header("HS256")), b64(payload().to_string()));
    let mut block = [0; 64];
    let key = Base64UrlUnpadded::decode_vec(&secret("anna").public().to_string()).unwrap();
    block[..32].copy_from_slice(&key);
    let inner = Sha256::digest([&block.map(|b| b ^ 0x36)[..], signed.as_bytes()].concat());
    let mac = Sha256::digest([&block.map(|b| b ^ 0x5C)[..], &inner[..]].concat());
    format!("{signed}.{}", b64(mac))
}

fn parts(jws: &str) -> [&str; 3] {
    jws.split('.').collect::<Vec<_>>().try_into().unwrap()
}

/// The JWS with another signature.
fn signature(change: impl FnOnce(&mut Vec<u8>)) -> String {
    let jws = signed(&json!({}));
    let [header, payload, signature] = parts(&jws);
    let mut signature = Base64UrlUnpadded::decode_vec(signature).unwrap();
    change(&mut signature);
    format!("{header}.{payload}.{}", b64(signature))
}

/// Adds the order of the group to the scalar in a signature (RFC 8032, section 5.1): the same in all arithmetic.
fn add_order(signature: &mut [u8]) {
    const ORDER: [u8; 32] = [
        0xED, 0xD3, 0xF5, 0x5C, 0x1A, 0x63, 0x12, 0x58, 0xD6, 0x9C, 0xF7, 0xA2, 0xDE, 0xF9, 0xDE, 0x14, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let mut carry = 0;
    for (byte, order) in signature[32..].iter_mut().zip(ORDER) {
        let sum = u16::from(*byte) + u16::from(order) + carry;
        (*byte, carry) = (sum.to_le_bytes()[0], sum >> 8);
    }
}

fn by(kid: &str, changes: &Value) -> String {
    sign(but(changes).as_bytes(), &secret(kid))
}

fn raw(payload: impl AsRef<[u8]>) -> String {
    sign(payload.as_ref(), &secret("anna"))
}

fn tariff(steps: &Value) -> String {
    signed(&json!({ "action": "tariff.set", "tariff": { "effective_from": "2027-01-01", "steps": steps } }))
}

fn steps(count: usize) -> Value {
    (0..count).map(|n| json!({ "from_m3": n, "price": 1.5 })).collect()
}

/// The text of a good payload with one piece of it replaced.
fn replaced(piece: &str, with: &str) -> String {
    let text = payload().to_string();
    assert!(text.contains(piece), "{piece}");
    raw(text.replacen(piece, with, 1))
}

/// Asserts what the checks have to say to a message, and that the clerk says the same; of what is not good, that nobody is
/// sent to a meter, and that who has signed it gets one outcome, and who has not, none.
#[track_caller]
fn is_told(what: &str, message: impl AsRef<[u8]>, word_of_it: &str) {
    assert_eq!(word(&verified(&message)), word_of_it, "{what}");
    clock_is(Clock::Synced);
    // Commissioned before anything here was signed.
    let told = handed_in(&mut Office::since(72), what, message);
    assert_eq!(told, word_of_it, "{what}, at the clerk's");
}

/// What the clerk says to a message, as [`word`] has it, with all that follows from it.
#[track_caller]
fn handed_in(office: &mut Office, what: &str, message: impl AsRef<[u8]>) -> String {
    let before = office.journal();
    let reception = office.clerk.take(message.as_ref(), &Origin::Local);
    let sent = office.sent();
    let ends: Vec<CommandState> = office.said().into_iter().map(|(state, _)| state).collect();
    let word = match reception {
        Reception::Accepted { .. } => {
            assert_eq!((sent.len(), &ends), (1, &vec![CommandState::Accepted]), "{what}");
            return "good".to_owned();
        }
        Reception::Refused { cause } => {
            assert_eq!((&ends, office.journal()), (&Vec::new(), before), "{what}: no outcome, no line");
            cause
        }
        Reception::Rejected { state, reason, .. } => {
            assert_eq!(ends, [state], "{what}: one end");
            reason.map_or("expired".to_owned(), |reason| format!("proven {reason}"))
        }
        other => panic!("{what}: {other:?}"),
    };
    assert_eq!(sent, [], "{what}: nobody goes to a meter");
    word
}

#[test]
fn what_is_no_envelope_of_the_one_kind_proves_nothing() {
    let good = signed(&json!({}));
    let [h, p, s] = parts(&good);
    let padded = |part: &str| Base64Url::encode_string(&Base64UrlUnpadded::decode_vec(part).unwrap());
    let standard = base64ct::Base64Unpadded::encode_string(&Base64UrlUnpadded::decode_vec(s).unwrap());
    // The last character of 64 bytes in base64 has four bits that mean nothing.
    let mut loose = good.clone();
    let last = loose.pop().unwrap();
    loose.push(char::from(u8::try_from(last).unwrap() + 1));
    let alg_first = |rest: &str| with_header(&format!(r#"{{"alg":"EdDSA",{rest}}}"#));
    let typ = format!(r#""typ":"{COMMAND_TYP}""#);
    let table: Vec<(&str, Vec<u8>, &str)> = vec![
        ("empty", Vec::new(), "malformed"),
        ("one dot", b".".into(), "malformed"),
        ("two dots", b"..".into(), "malformed"),
        ("two parts", format!("{h}.{p}").into(), "malformed"),
        ("four parts", format!("{good}.").into(), "malformed"),
        ("five parts, as a JWE", format!("{h}.{p}.{s}.{p}.{s}").into(), "malformed"),
        ("no signature", format!("{h}.{p}.").into(), "malformed"),
        ("a space before", format!(" {good}").into(), "malformed"),
        ("a line's end after", format!("{good}\n").into(), "malformed"),
        ("NUL after", format!("{good}\0").into(), "malformed"),
        ("NUL within", format!("{h}.\0{p}.{s}").into(), "malformed"),
        ("not UTF-8", [good.as_bytes(), &[0xFF]].concat(), "not-utf8"),
        ("other letters", format!("{h}.{p}.{s}é").into(), "malformed"),
        ("padding", format!("{h}.{}.{s}", padded("YQ")).into(), "malformed"),
        ("padded signature", format!("{h}.{p}.{}", padded(s)).into(), "malformed"),
        (
            "the standard alphabet",
            format!("{h}.{p}.{}", standard.replace('_', "/") + "+/").into(),
            "malformed",
        ),
        ("bits left over", loose.into(), "malformed"),
        ("as JSON", json!({ "protected": h, "payload": p, "signature": s }).to_string().into(), "malformed"),
        ("huge", "A".repeat(COMMAND_BYTES_MAX + 1).into(), "too-long"),
        ("huge and good", raw(but(&json!({ "more": "x".repeat(COMMAND_BYTES_MAX) }))).into(), "too-long"),
        ("alg none", format!("{}.{p}.", b64(header("none"))).into(), "wrong-algorithm"),
        ("alg none with a signature", with_header(&header("none")).into(), "wrong-algorithm"),
        ("alg nOnE", with_header(&header("nOnE")).into(), "wrong-algorithm"),
        ("HS256 with the public key", hs256_with_the_public_key().into(), "wrong-algorithm"),
        ("HS256 rightly signed", with_header(&header("HS256")).into(), "wrong-algorithm"),
        ("ES256", with_header(&header("ES256")).into(), "wrong-algorithm"),
        ("RS256", with_header(&header("RS256")).into(), "wrong-algorithm"),
        ("alg in lower case", with_header(&header("eddsa")).into(), "wrong-algorithm"),
        ("alg missing", with_header(&format!(r#"{{{typ},"kid":"anna"}}"#)).into(), "malformed"),
        (
            "alg a list",
            with_header(&format!(r#"{{"alg":["EdDSA"],{typ},"kid":"anna"}}"#)).into(),
            "malformed",
        ),
        ("typ missing", alg_first(r#""kid":"anna""#).into(), "malformed"),
        ("typ JWT", alg_first(r#""typ":"JWT","kid":"anna""#).into(), "malformed"),
        ("kid missing", alg_first(&typ).into(), "malformed"),
        ("kid null", alg_first(&format!(r#"{typ},"kid":null"#)).into(), "malformed"),
        ("crit", alg_first(&format!(r#"{typ},"kid":"anna","crit":["b64"],"b64":true"#)).into(), "malformed"),
        ("jwk", alg_first(&format!(r#"{typ},"kid":"anna","jwk":{{"kty":"OKP"}}"#)).into(), "malformed"),
        ("jku", alg_first(&format!(r#"{typ},"kid":"anna","jku":"http://a/""#)).into(), "malformed"),
        ("any other member", alg_first(&format!(r#"{typ},"kid":"anna","x":1"#)).into(), "malformed"),
        ("alg twice", alg_first(&format!(r#"{typ},"kid":"anna","alg":"EdDSA""#)).into(), "malformed"),
        ("kid twice", alg_first(&format!(r#"{typ},"kid":"anna","kid":"anna""#)).into(), "malformed"),
        (
            "kid twice, once escaped",
            alg_first(&format!(r#"{typ},"kid":"a","k\u0069d":"anna""#)).into(),
            "malformed",
        ),
        (
            "a list for a header",
            with_header(&format!(r#"["EdDSA","{COMMAND_TYP}","anna"]"#)).into(),
            "malformed",
        ),
        ("two headers", with_header(&(header("EdDSA") + "{}")).into(), "malformed"),
        (
            "a header in Latin-1",
            {
                let bytes = [br#"{"alg":"EdDSA","kid":"J"#, &[0xFC][..], br#"rg"}"#].concat();
                format!("{}.{p}.{s}", b64(bytes)).into()
            },
            "not-utf8",
        ),
        ("no JSON", format!("{}.{p}.{s}", b64("{")).into(), "malformed"),
    ];
    for (what, jws, word_of_it) in table {
        is_told(what, &jws, word_of_it);
    }
    // The header that all of these were made from is good.
    assert_eq!(word(&verified(with_header(&header("EdDSA")))), "good");
    assert_eq!(word(&verified(with_header(&format!(" {} ", header("EdDSA"))))), "good");
}

#[test]
fn who_has_not_signed_proves_nothing() {
    let good = signed(&json!({}));
    let other = signed(&json!({ "action": "valve.open" }));
    let [h, p, _] = parts(&good);
    let by_reader_as_anna = {
        let signed = format!("{h}.{p}");
        format!("{signed}.{}", b64(secret("reader").sign(signed.as_bytes())))
    };
    let small_order = |signature: &mut Vec<u8>| {
        signature.fill(0);
        signature[0] = 1;
    };
    for (what, jws, word_of_it) in [
        ("a key nobody knows", sign(but(&json!({})).as_bytes(), &secret("mallory")), "unknown-key"),
        ("a key's id in capitals", sign(but(&json!({})).as_bytes(), &secret("Anna")), "unknown-key"),
        ("another's key under anna's id", by_reader_as_anna, "bad-signature"),
        ("the signature of another payload", format!("{h}.{p}.{}", parts(&other)[2]), "bad-signature"),
        (
            "another payload under the signature",
            format!("{h}.{}.{}", parts(&other)[1], parts(&good)[2]),
            "bad-signature",
        ),
        ("63 bytes", signature(|it| it.truncate(63)), "malformed"),
        ("65 bytes", signature(|it| it.push(0)), "malformed"),
        ("nothing but zeros", signature(|it| it.fill(0)), "bad-signature"),
        ("nothing but ones", signature(|it| it.fill(0xFF)), "bad-signature"),
        ("a scalar beyond the order", signature(|it| add_order(it)), "bad-signature"),
        ("a point of small order", signature(small_order), "bad-signature"),
        ("a key that has expired", by("old", &json!({})), "key-expired"),
        ("an expired key that also signed rubbish", sign(b"{", &secret("old")), "key-expired"),
    ] {
        is_told(what, jws, word_of_it);
    }
    let named = |jws: String| match verified(jws) {
        Err(Refusal::Unproven { kid, .. }) => kid,
        other => panic!("{other:?}"),
    };
    assert_eq!(named(sign(b"", &secret("mallory"))), Some("mallory".to_owned()));
    let odd = format!(r#"{{"alg":"EdDSA","typ":"{COMMAND_TYP}","kid":"a\u001b[2Jb"}}"#);
    assert_eq!(named(with_header(&odd)), None, "what can be no key's id is not passed on");
}

#[test]
fn what_was_signed_and_is_no_command_has_nothing_to_answer_to() {
    let deep_in_a_good_one = |levels: usize| {
        let more = format!(r#""more":{}{},"meter":"#, "[".repeat(levels), "]".repeat(levels));
        replaced(r#""meter":"#, &more)
    };
    for levels in [100, 5000] {
        is_told("what is not known is passed over, however deep", deep_in_a_good_one(levels), "good");
    }
    let deep = |open: &str, close: &str, levels: usize| {
        format!(r#"{{"more":{}{}}}"#, open.repeat(levels), close.repeat(levels))
    };
    for (what, jws, word_of_it) in [
        ("nothing", raw(""), "malformed"),
        ("null", raw("null"), "malformed"),
        ("a list", raw(json!([ID, GATEWAY, "A-101"]).to_string()), "malformed"),
        ("not UTF-8", raw([0x7B, 0xFF, 0x7D]), "not-utf8"),
        ("UTF-16", raw([0xFF, 0xFE, 0x7B, 0, 0x7D, 0]), "not-utf8"),
        ("a mark of byte order", raw(format!("\u{FEFF}{}", payload())), "malformed"),
        ("something behind it", raw(format!("{}{{}}", payload())), "malformed"),
        ("NUL behind it", raw(format!("{}\0", payload())), "malformed"),
        ("deep lists", raw(deep("[", "]", 5000)), "malformed"),
        ("deep objects", raw(deep(r#"{"a":"#, "}", 1000).replace(":}", ":0}")), "malformed"),
        ("the meter twice", replaced(r#""meter":"#, r#""meter":"B-201","meter":"#), "malformed"),
        ("the reason twice", replaced(r#""reason":"#, r#""reason":"x","reason":"#), "malformed"),
        ("no id", signed(&json!({ "id": null })), "malformed"),
        ("no gateway", signed(&json!({ "gateway": null })), "malformed"),
        ("no meter", signed(&json!({ "meter": null })), "malformed"),
        ("no action", signed(&json!({ "action": null })), "malformed"),
        ("no issued_at", signed(&json!({ "issued_at": null })), "malformed"),
        ("no not_after", signed(&json!({ "not_after": null })), "malformed"),
        ("an id that is no UUID", signed(&json!({ "id": "close-12" })), "malformed"),
        ("a UUID in capitals", signed(&json!({ "id": ID.to_uppercase() })), "malformed"),
        ("a UUID without hyphens", signed(&json!({ "id": ID.replace('-', "") })), "malformed"),
        ("a UUID in braces", signed(&json!({ "id": format!("{{{ID}}}") })), "malformed"),
        ("a UUID as URN", signed(&json!({ "id": format!("urn:uuid:{ID}") })), "malformed"),
        ("a number for an id", signed(&json!({ "id": 7 })), "malformed"),
        ("an empty meter", signed(&json!({ "meter": "" })), "malformed"),
        ("a long meter", signed(&json!({ "meter": "A".repeat(65) })), "malformed"),
        ("NUL in the meter", signed(&json!({ "meter": "A-101\0" })), "malformed"),
        ("a long action", signed(&json!({ "action": "a".repeat(65) })), "malformed"),
        ("a long challenge", signed(&json!({ "challenge": "a".repeat(65) })), "malformed"),
        ("a long reason", signed(&json!({ "reason": "a".repeat(513) })), "malformed"),
        ("NUL in the reason", signed(&json!({ "reason": "a\0" })), "malformed"),
        ("an escape in a name", signed(&json!({ "requested_by": "\u{1b}[2J" })), "malformed"),
        ("a time without a zone", signed(&json!({ "not_after": "2026-11-23T02:30:00" })), "malformed"),
        ("a time as a number", signed(&json!({ "issued_at": 1_795_400_000 })), "malformed"),
        ("a time beyond the calendar", signed(&json!({ "not_after": "99999-01-01T00:00:00Z" })), "malformed"),
        ("too many steps", tariff(&steps(TARIFF_STEPS_MAX + 1)), "malformed"),
        ("a price that is a word", tariff(&json!([{ "from_m3": 0, "price": "3.45" }])), "malformed"),
        (
            "a price of many digits",
            replaced(
                r#""reason""#,
                &format!(
                    r#""tariff":{{"effective_from":"2027-01-01","steps":[{{"from_m3":0,"price":{}}}]}},"reason""#,
                    "9".repeat(4000)
                ),
            ),
            "malformed",
        ),
    ] {
        is_told(what, jws, word_of_it);
    }
}

#[test]
fn who_has_signed_is_told_what_is_wrong() {
    for (what, jws, word_of_it) in [
        ("as it should be", signed(&json!({})), "good"),
        ("members that nobody knows", signed(&json!({ "x": [1, { "y": 2 }] })), "good"),
        ("a reason in two lines", signed(&json!({ "reason": "burst pipe\nflat 12" })), "good"),
        ("a key that expires next year", by("until", &json!({})), "good"),
        ("issued long before an outage", signed(&json!({ "issued_at": "2026-11-22T02:31:00Z" })), "good"),
        ("a signer's clock that is ahead", signed(&json!({ "issued_at": "2026-11-23T02:27:00Z" })), "good"),
        ("in another zone", signed(&json!({ "not_after": "2026-11-23T03:26:00+01:00" })), "good"),
        ("a challenge that nobody needs", signed(&json!({ "challenge": "any" })), "good"),
        ("for another gateway", signed(&json!({ "gateway": "gw-2" })), "proven wrong-gateway"),
        ("for this gateway in capitals", signed(&json!({ "gateway": "GW-1" })), "proven wrong-gateway"),
        (
            "for another gateway, and late",
            signed(&json!({ "gateway": "gw-2", "not_after": "2026-11-23T02:21:00Z" })),
            "proven wrong-gateway",
        ),
        ("too late", signed(&json!({ "not_after": "2026-11-23T02:24:59Z" })), "expired"),
        ("too late by nothing", signed(&json!({ "not_after": "2026-11-23T02:25:00Z" })), "expired"),
        ("valid for too long", signed(&json!({ "not_after": "2026-11-24T02:20:01Z" })), "proven stale"),
        ("valid for weeks", signed(&json!({ "not_after": "2026-12-20T00:00:00Z" })), "proven stale"),
        ("as long as it may be", signed(&json!({ "not_after": "2026-11-24T02:20:00Z" })), "good"),
        (
            "over before it was issued",
            signed(&json!({ "issued_at": "2026-11-23T02:26:00Z", "not_after": "2026-11-23T02:25:30Z" })),
            "proven stale",
        ),
        ("issued in the future", signed(&json!({ "issued_at": "2026-11-23T02:27:01Z" })), "proven stale"),
        ("an action that nobody knows", signed(&json!({ "action": "valve.melt" })), "proven not-supported"),
        ("tariff.set without a tariff", signed(&json!({ "action": "tariff.set" })), "proven not-supported"),
        ("a tariff", tariff(&steps(TARIFF_STEPS_MAX)), "good"),
        ("a tariff without steps", tariff(&json!([])), "proven not-supported"),
        (
            "a tariff that does not begin at 0",
            tariff(&json!([{ "from_m3": 1, "price": 1 }])),
            "proven not-supported",
        ),
        (
            "a tariff that does not rise",
            tariff(&json!([{ "from_m3": 0, "price": 1 }, { "from_m3": 0.0, "price": 2 }])),
            "proven not-supported",
        ),
        ("a price below 0", tariff(&json!([{ "from_m3": 0, "price": -1 }])), "proven not-supported"),
    ] {
        is_told(what, jws, word_of_it);
    }
}

#[test]
fn without_a_trusted_clock_only_the_right_challenge_tells_that_a_command_is_fresh() {
    clock_is(Clock::Unsynced);
    let mut office = Office::since(72);
    let given_out = [(); 2].map(|()| office.clerk.challenge().unwrap());
    let [nonce, other] = &given_out;
    let untrusted = |jws: &str, now| {
        let fresh = Freshness { now, ..freshness(&given_out, false) };
        word(&verify(jws.as_bytes(), &keys(), &fresh))
    };
    let right = signed(&json!({ "challenge": nonce }));
    let table = [
        ("none", "anna", json!({}), "proven clock-not-trusted"),
        ("a wrong one", "anna", json!({ "challenge": "n-3" }), "proven clock-not-trusted"),
        ("in capitals", "anna", json!({ "challenge": nonce.to_uppercase() }), "proven clock-not-trusted"),
        (
            "valid for too long",
            "anna",
            json!({ "challenge": nonce, "not_after": "2026-11-24T02:20:01Z" }),
            "proven stale",
        ),
        (
            "another gateway's",
            "anna",
            json!({ "challenge": nonce, "gateway": "gw-2" }),
            "proven wrong-gateway",
        ),
        ("a key that may have expired", "until", json!({ "challenge": other }), "proven clock-not-trusted"),
        ("a key that has expired", "old", json!({ "challenge": other }), "proven clock-not-trusted"),
    ];
    for now in [Timestamp::UNIX_EPOCH, now(), at("2099-01-01T00:00:00Z"), Timestamp::MIN, Timestamp::MAX] {
        assert_eq!(untrusted(&right, now), "good", "at {now} nothing can be said of the command's times");
        for (what, kid, changes, word_of_it) in &table {
            assert_eq!(untrusted(&by(kid, changes), now), *word_of_it, "{what}");
        }
    }
    for (n, (what, kid, changes, word_of_it)) in (1..).zip(table) {
        let mut changes = changes;
        changes["id"] = id(n).into();
        assert_eq!(handed_in(&mut office, what, by(kid, &changes)), word_of_it, "{what}, at the clerk's");
    }
    assert_eq!(handed_in(&mut office, "the right one", &right), "good");
    assert!(verify(right.as_bytes(), &keys(), &freshness(&given_out, false)).unwrap().by_challenge);
    assert!(!verify(right.as_bytes(), &keys(), &freshness(&given_out, true)).unwrap().by_challenge);
    assert_eq!(word(&verify(right.as_bytes(), &keys(), &freshness(&[], false))), "proven clock-not-trusted");
}

/// Minutes before [`now`] at which valves were closed.
fn closed(minutes_ago: &[i64]) -> Closings {
    minutes_ago.iter().map(|minutes| now() - SignedDuration::from_mins(*minutes)).collect()
}

fn asked(kid: &str, meter: &str, action: &str, minutes_ago: &[i64], is_stopped: bool) -> String {
    let verified = verified(by(kid, &json!({ "meter": meter, "action": action }))).unwrap();
    match authorise(&verified, &policy(), &closed(minutes_ago), is_stopped, now()) {
        Ok(()) => "good".to_owned(),
        Err(Denial { reason, .. }) => format!("proven {reason}"),
    }
}

/// The same of a clerk, who has let valves be closed so many minutes ago, while the limits were wide.
fn asked_of_the_clerk(kid: &str, meter: &str, action: &str, minutes_ago: &[i64], is_stopped: bool) -> String {
    clock_is(Clock::Synced);
    let mut office = Office::since(72);
    let wide = Policy { closings_per_hour_max: 100, closings_per_day_max: 100, ..policy() };
    office.clerk.change(Rules { policy: wide, ..rules() });
    let mut minutes_ago = minutes_ago.to_vec();
    minutes_ago.sort_unstable_by_key(|minutes| std::cmp::Reverse(*minutes));
    for (n, minutes) in (1..).zip(minutes_ago) {
        // And some seconds: each is signed after the one before, and the clock goes on meanwhile.
        let then = now() - SignedDuration::from_mins(minutes) - SignedDuration::from_secs(30 - i64::from(n));
        clock::simulated::set_wall(then);
        clock::simulated::set_synced(true);
        let not_after = (then + SignedDuration::from_mins(1)).to_string();
        let changes =
            json!({ "id": id(n), "meter": "B-201", "issued_at": then.to_string(), "not_after": not_after });
        assert_eq!(handed_in(&mut office, "a closing", by("until", &changes)), "good");
        assert_eq!(office.clerk.may_start(&id(n), Vec::new()), Start::Now);
        office.finish(&id(n), CommandState::Done);
        office.said();
    }
    clock_is(Clock::Synced);
    office.clerk.change(rules());
    if is_stopped {
        StopSwitch::in_directory(office.folder.path()).set("works on the main").unwrap();
    }
    let what = format!("{kid} {action} {meter}");
    handed_in(&mut office, &what, by(kid, &json!({ "meter": meter, "action": action })))
}

#[test]
fn a_sender_may_what_the_key_the_meter_the_switch_and_the_limits_allow() {
    let none: &[i64] = &[];
    for (kid, meter, action, closings, is_stopped, word_of_it) in [
        ("anna", "A-101", "valve.close", none, false, "good"),
        ("anna", "A-101", "valve.open", none, false, "good"),
        ("until", "B-201", "valve.close", none, false, "good"),
        // Not his action, not her meter; and who may not, does not learn whether there is such a meter.
        ("reader", "A-101", "valve.close", none, false, "proven not-authorised"),
        ("reader", "A-101", "read.now", none, false, "good"),
        ("anna", "B-201", "valve.open", none, false, "proven not-authorised"),
        ("anna", "B-999", "valve.open", none, false, "proven not-authorised"),
        ("anna", "a-101", "valve.open", none, false, "proven not-authorised"),
        ("anna", "A-102", "valve.open", none, false, "proven unknown-meter"),
        ("anna", "A-102", "valve.close", none, true, "proven unknown-meter"),
        // A hospital: its valve is opened and read, and never closed.
        ("anna", "A-999", "valve.close", none, false, "proven locked"),
        ("anna", "A-999", "valve.close", none, true, "proven locked"),
        ("anna", "A-999", "valve.open", none, false, "good"),
        ("anna", "A-999", "clock.set", none, false, "good"),
        ("anna", "A-999", "read.now", none, false, "good"),
        // The stop switch.
        ("anna", "A-101", "valve.close", none, true, "proven stopped"),
        ("anna", "A-101", "valve.open", none, true, "proven stopped"),
        ("anna", "A-101", "clock.set", none, true, "proven stopped"),
        ("anna", "A-101", "read.now", none, true, "good"),
        ("reader", "A-101", "valve.open", none, true, "proven not-authorised"),
        // Three closings an hour and five a day; openings never count and are never held back.
        ("anna", "A-101", "valve.close", &[1, 2], false, "good"),
        ("anna", "A-101", "valve.close", &[1, 2, 59], false, "proven limit-reached"),
        ("anna", "A-101", "valve.close", &[1, 2, 60], false, "good"),
        ("anna", "A-101", "valve.close", &[90, 100, 200, 300], false, "good"),
        ("anna", "A-101", "valve.close", &[90, 100, 200, 300, 24 * 60 - 1], false, "proven limit-reached"),
        ("anna", "A-101", "valve.close", &[90, 100, 200, 300, 24 * 60], false, "good"),
        ("anna", "A-101", "valve.close", &[-600, -6000, -60000], false, "proven limit-reached"),
        ("anna", "A-101", "valve.open", &[1, 1, 1, 1, 1, 1, 1], false, "good"),
        ("anna", "A-101", "read.now", &[1, 1, 1, 1, 1, 1, 1], false, "good"),
    ] {
        let what = format!("{kid} {action} {meter}, stopped: {is_stopped}, closed {closings:?} minutes ago");
        assert_eq!(asked(kid, meter, action, closings, is_stopped), word_of_it, "{what}");
        let told = asked_of_the_clerk(kid, meter, action, closings, is_stopped);
        assert_eq!(told, word_of_it, "{what}, at the clerk's");
    }
}

#[test]
fn what_has_changed_since_a_command_came_counts_when_it_is_about_to_start() {
    let again = |kid: &str, policy: &Policy, now| {
        let verified = verified(by(kid, &json!({}))).unwrap();
        authorise(&verified, policy, &Closings::default(), false, now)
            .map_err(|denial| denial.reason.to_string())
    };
    assert_eq!(again("until", &policy(), now()), Ok(()));
    let denied = Err("not-authorised".to_owned());
    assert_eq!(again("until", &policy(), at("2027-07-01T00:00:00Z")), denied, "the key has expired");
    let mut without = policy();
    without.keys = Keys::default();
    assert_eq!(again("until", &without, now()), denied, "the key was taken away");
    let none_an_hour = Policy { closings_per_hour_max: 0, ..policy() };
    assert_eq!(again("anna", &none_an_hour, now()), Err("limit-reached".to_owned()));
}

#[test]
fn of_many_closings_the_latest_are_remembered() {
    let mut closings = closed(&[100; 2 * crate::limits::CLOSINGS_MAX as usize]);
    closings.note(now());
    assert_eq!(closings.within(SignedDuration::from_hours(1), now()), 1);
    assert_eq!(closings.within(SignedDuration::from_hours(24), now()), crate::limits::CLOSINGS_MAX as usize);
}
