//! Nobody but the key's owner makes a good command, whatever is done to one: by chance, bit by bit.

use proptest::prelude::*;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::*;

#[test]
fn the_same_bytes_are_the_same_command_and_others_are_not() {
    let (one, other) = (signed(&json!({})), signed(&json!({ "reason": "other" })));
    let digest = |jws: &str| verified(jws).unwrap().digest;
    assert_eq!(digest(&one), digest(&one));
    assert_ne!(digest(&one), digest(&other));
    assert_eq!(digest(&one)[..], Sha256::digest(&one)[..]);
    let got = verified(&one).unwrap();
    assert_eq!(
        (got.command.id.as_str(), got.kid.as_str(), got.command.meter.as_str()),
        (ID, "anna", "A-101")
    );
}

#[test]
fn no_bit_of_a_good_command_can_be_flipped() {
    let good = signed(&json!({})).into_bytes();
    assert!(verified(&good).is_ok());
    for at in 0..good.len() {
        for bit in 0..8 {
            let mut flipped = good.clone();
            flipped[at] ^= 1 << bit;
            let result = verified(&flipped);
            assert!(matches!(result, Err(Refusal::Unproven { .. })), "byte {at}, bit {bit}: {result:?}");
        }
    }
}

proptest! {
    #[test]
    fn bytes_of_any_kind_prove_nothing(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let proves_nothing = matches!(verified(&bytes), Err(Refusal::Unproven { .. }));
        prop_assert!(proves_nothing);
    }

    #[test]
    fn a_signed_payload_of_any_kind_is_answered_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(verified(sign(&bytes, &secret("anna"))).is_err());
    }

    #[test]
    fn a_command_cut_and_pasted_is_refused(from in 0_usize..400, to in 0_usize..400, put in "[A-Za-z0-9_.=-]{0,8}") {
        let good = signed(&json!({}));
        let (from, to) = (from.min(good.len()), to.min(good.len()));
        let (from, to) = (from.min(to), from.max(to));
        let pasted = format!("{}{put}{}", &good[..from], &good[to..]);
        prop_assert!(pasted == good || verified(&pasted).is_err());
    }

    #[test]
    fn any_times_are_judged_without_a_panic(issued in any::<i32>(), lasts in any::<i32>(), trusted in any::<bool>()) {
        let issued = i64::from(issued);
        let time = |seconds: i64| Timestamp::from_second(seconds).unwrap().to_string();
        let jws = signed(&json!({
            "issued_at": time(issued), "not_after": time(issued + i64::from(lasts)), "challenge": "n",
        }));
        let challenges = ["n".to_owned()];
        let result = verify(jws.as_bytes(), &keys(), &freshness(&challenges, trusted));
        let day = 24 * 3600;
        prop_assert!(result.is_err() || (1..=day).contains(&lasts));
    }
}
