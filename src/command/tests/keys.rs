//! The keys' forms: what is read, what is refused, what is never shown.

use base64ct::{Base64UrlUnpadded, Encoding as _};
use ed25519_dalek::{Signature, Verifier as _, VerifyingKey};

use super::*;
use crate::command::keys::{PublicKey, PublicKeyError, SecretKeyError, is_key_id};

/// RFC 8037, appendix A.1, with a `kid`.
const JWK: &str = r#"{"kty":"OKP","crv":"Ed25519","kid":"k",
    "d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
const X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

/// RFC 8037, appendix A.4: what is signed, and the signature.
const SIGNED: &str = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
const SIGNATURE: &str =
    "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";

#[test]
fn the_signature_of_the_standards_example_is_made_and_is_taken() {
    let key = SecretKey::from_jwk(JWK).unwrap();
    let signature = key.sign(SIGNED.as_bytes());
    assert_eq!(Base64UrlUnpadded::encode_string(&signature), SIGNATURE);
    let public = PublicKey::parse(X).unwrap();
    assert!(public == key.public() && public.to_string() == X);
    assert!(public.has_signed(SIGNED.as_bytes(), &signature));
    assert!(!public.has_signed(b"eyJhbGciOiJFZERTQSJ9.", &signature));
}

/// Of the same message by the same key, with a random part that is no more than the neutral point: `R || k·a`, where
/// `k = SHA-512(R || A || M)`. RFC 8032's equation holds.
const WEAK_SIGNATURE: &str =
    "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAARSB3Qh0XXPsHns-7iMllhXfpnzaMxcXb5RwiiIijrCw";

#[test]
fn a_signature_that_only_just_fits_the_equation_is_refused() {
    let signature = Base64UrlUnpadded::decode_vec(WEAK_SIGNATURE).unwrap().try_into().unwrap();
    let key =
        VerifyingKey::from_bytes(&Base64UrlUnpadded::decode_vec(X).unwrap().try_into().unwrap()).unwrap();
    assert!(key.verify(SIGNED.as_bytes(), &Signature::from_bytes(&signature)).is_ok());
    assert!(!PublicKey::parse(X).unwrap().has_signed(SIGNED.as_bytes(), &signature));
}

#[test]
fn a_new_key_is_like_no_other_and_survives_its_file() {
    let (one, other) = (SecretKey::generate("k").unwrap(), SecretKey::generate("k").unwrap());
    assert_ne!(one.public(), other.public());
    let again = SecretKey::from_jwk(&one.to_jwk()).unwrap();
    assert_eq!((again.id(), again.public()), ("k", one.public()));
}

#[test]
fn what_is_no_public_key_is_refused_without_being_repeated() {
    let encode = |bytes: &[u8]| Base64UrlUnpadded::encode_string(bytes);
    let mut identity = [0; 32];
    identity[0] = 1;
    // y = p + 1 is the identity once more (p = 2^255 - 19, which ends in ED). Of those above it the first that is a point
    // of the curve, and not weak, is found here: it could be written as 3, 4, … as well.
    let beyond = |more: u8| {
        let mut y = [0xFF; 32];
        (y[0], y[31]) = (0xED + more, 0x7F);
        y
    };
    let is_strong = |more: &u8| VerifyingKey::from_bytes(&beyond(*more)).is_ok_and(|key| !key.is_weak());
    let twice_written = (2..19).find(is_strong).unwrap();
    for (text, error) in [
        (JWK.to_owned(), PublicKeyError::Private),
        (
            "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC"
                .into(),
            PublicKeyError::Private,
        ),
        (encode(&[7; 64]), PublicKeyError::Private),
        (String::new(), PublicKeyError::Length(0)),
        (encode(&[7; 31]), PublicKeyError::Length(31)),
        (encode(&[7; 33]), PublicKeyError::Length(33)),
        (format!("{X}="), PublicKeyError::NotBase64),
        (format!(" {X}"), PublicKeyError::NotBase64),
        (X.replace('_', "/"), PublicKeyError::NotBase64),
        (encode(&[0; 32]), PublicKeyError::NoKey),
        (encode(&identity), PublicKeyError::NoKey),
        (encode(&beyond(1)), PublicKeyError::NoKey),
        (encode(&beyond(twice_written)), PublicKeyError::NoKey),
        (encode(&[2; 32]), PublicKeyError::NoKey),
    ] {
        let got = PublicKey::parse(&text).unwrap_err();
        assert_eq!(got, error, "{text}");
        assert!(text.is_empty() || !format!("{got} {got:?}").contains(&text));
    }
}

#[test]
fn a_file_that_is_no_private_key_is_refused_and_nothing_of_it_is_repeated() {
    let d = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";
    for (text, why) in [
        (String::new(), "is no JWK"),
        ("[]".into(), "is no JWK"),
        (JWK.replace("OKP", "EC"), "of an Ed25519 key"),
        (JWK.replace("\"Ed25519\"", "\"X25519\""), "of an Ed25519 key"),
        (JWK.replace("\"d\"", "\"e\""), "no private part"),
        (JWK.replace(d, &d[..42]), "no private part"),
        (JWK.replace(d, &format!("{d}AAAA")), "no private part"),
        (JWK.replace("\"kid\"", "\"key\""), "is no JWK"),
        (JWK.replace("\"k\"", "\"a key\""), "a key's id is"),
        (JWK.replace("11qY", "21qY"), "is damaged"),
    ] {
        let error = SecretKey::from_jwk(&text).err().unwrap();
        assert!(error.to_string().contains(why), "{text}: {error}");
        assert!(!format!("{error} {error:?}").contains(&d[..10]), "{error}");
    }
    assert!(matches!(SecretKey::generate("../k"), Err(SecretKeyError::Id)));
}

#[test]
fn a_keys_id_fits_into_logs_and_file_names() {
    for (id, is_one) in
        [("k", true), ("anna.2026_b-1", true), ("", false), ("a/b", false), ("a b", false), ("ä", false)]
    {
        assert_eq!(is_key_id(id), is_one, "{id}");
    }
    assert!(is_key_id(&"k".repeat(64)) && !is_key_id(&"k".repeat(65)));
}

#[test]
fn keys_show_their_ids_and_no_more() {
    assert_eq!(format!("{:?}", keys()), r#"{"anna", "old", "reader", "until"}"#);
    let shown = format!("{:?}", policy());
    assert!(!shown.contains(&secret("anna").public().to_string()), "{shown}");
    assert_eq!(format!("{:?}", secret("anna").public()), "PublicKey");
}
