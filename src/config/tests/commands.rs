//! `[commands]`: who may order what; what is wrong with a key is told, and never what the key is.

use std::path::Path;
use std::time::Duration;

use weir_wire::Action;

use super::{HEAD, checked, good, only_fault, only_warning, told};
use crate::command::authorise::{Expected, MeterPolicy};
use crate::command::keys::SecretKey;
use crate::config::check_text;

/// Of RFC 8037, appendix A.2; its private half is `D`, appendix A.1.
const PUBLIC: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
const D: &str = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";

const METERS: &str = "[[lines]]\nname = \"a\"\nport = \"/dev/ttyS0\"\ndriver = \"cjt188\"\n\
                      [[meters]]\nid = \"A-1\"\nline = \"a\"\naddress = \"78330011223344\"\nvalve = \"locked-open\"\n\
                      [[meters]]\nid = \"B-1\"\nline = \"a\"\naddress = \"78330011223345\"\nidentity_check = \"none\"\n";

/// A key with these lines besides, or in place of, those that it needs; a name alone takes that line away.
fn key(changes: &str) -> String {
    let public = format!("\"{PUBLIC}\"");
    let needed = [("id", "\"k\""), ("public", &public), ("actions", "[\"read.now\"]"), ("meters", "[\"*\"]")];
    let is_changed = |name: &str| changes.lines().any(|line| line.split(' ').next() == Some(name));
    let kept = needed
        .iter()
        .filter(|(name, _)| !is_changed(name))
        .map(|(name, value)| format!("{name} = {value}\n"));
    let is_name = |line: &&str| needed.iter().any(|(name, _)| name == line);
    let changed = changes.lines().filter(|line| !is_name(line)).map(|line| format!("{line}\n"));
    format!("[[commands.keys]]\n{}", kept.chain(changed).collect::<String>())
}

fn with_key(changes: &str) -> String {
    format!("{METERS}[commands]\n{}", key(changes))
}

#[test]
fn commands_are_off_until_they_are_configured() {
    assert!(good(METERS).commands.is_none());
    let commands = good(&with_key("")).commands.unwrap();
    assert_eq!(commands.topic, "weir.commands.gw-1");
    assert_eq!(commands.directory, Path::new("/var/lib/weir/commands"));
    assert_eq!(
        (commands.rules.lifetime_max, commands.rules.skew),
        (Duration::from_secs(86_400), Duration::from_secs(120))
    );
    assert_eq!(
        (commands.rules.policy.closings_per_hour_max, commands.rules.policy.closings_per_day_max),
        (10, 50)
    );
}

#[test]
fn every_key_reaches_the_room_it_is_for() {
    let other = SecretKey::generate("x").unwrap().public();
    let two = key(&format!(
        "id = \"second\"\npublic = \"{other}\"\nactions = [\"valve.open\", \"valve.close\"]\nmeters = [\"A-*\", \"B-1\"]\nnot_after = 2027-06-30T22:00:00+02:00\n"
    ));
    let commands = "[commands]\ndirectory = \"journal\"\ntopic = \"t\"\nlifetime_max = \"1h\"\nskew = \"0s\"\n\
                    closings_per_hour_max = 0\nclosings_per_day_max = 7\n";
    let text = format!("outbox.directory = \"/o/box\"\n{METERS}{commands}{}{two}", key(""));
    let commands = good(&text).commands.unwrap();
    assert_eq!((commands.gateway.as_str(), commands.topic.as_str()), ("gw-1", "t"));
    assert_eq!(commands.directory, Path::new("/etc/weir/journal"));
    assert_eq!(
        (commands.rules.lifetime_max, commands.rules.skew),
        (Duration::from_secs(3600), Duration::ZERO)
    );
    let policy = commands.rules.policy;
    assert_eq!((policy.closings_per_hour_max, policy.closings_per_day_max), (0, 7));
    assert_eq!(format!("{:?}", policy.keys), r#"{"k", "second"}"#);
    let second = policy.keys.get("second").unwrap();
    assert!(second.public == other);
    assert_eq!(second.grant.actions, [Action::ValveOpen, Action::ValveClose]);
    assert!(
        second.grant.covers_meter("A-77")
            && second.grant.covers_meter("B-1")
            && !second.grant.covers_meter("B-10")
    );
    assert_eq!(second.grant.not_after, Some("2027-06-30T20:00:00Z".parse().unwrap()));
    assert_eq!(policy.keys.get("k").unwrap().grant.not_after, None);
    let meter = |locked_open, expected| MeterPolicy { line: "a".into(), locked_open, expected };
    assert_eq!(policy.meters["A-1"], meter(true, Expected::ByAddress));
    assert_eq!(policy.meters["B-1"], meter(false, Expected::Anybody));
    let beside = format!("outbox.directory = \"/o/box\"\n{}", with_key(""));
    assert_eq!(good(&beside).commands.unwrap().directory, Path::new("/o/commands"));
}

#[test]
fn what_is_wrong_with_a_key_is_told_with_what_to_do() {
    for (changes, fault) in [
        ("id = \"a b\"", "`id` cannot be a key's | 1 to 64 of"),
        ("id = 5", "`id` must be a string"),
        ("actions = []", "`actions` is empty, so the key may do nothing | some of \"valve.open\", "),
        ("actions = [\"valve.opne\"]", "there is no action \"valve.opne\" | did you mean \"valve.open\"?"),
        ("actions = [\"*\"]", "there is no action \"*\" | some of \"valve.open\", "),
        ("actions = \"valve.open\"", "`actions` must be a list of strings, not a string"),
        ("meters = []", "`meters` is empty, so the key may do nothing | patterns of meter ids"),
        ("meters = [\"A[\"]", "no pattern for meters: "),
        ("meters = [\"A***\"]", "no pattern for meters: "),
        ("not_after = \"2027-06-30\"", "`not_after` must be a time | write date, time and zone"),
        ("not_after = 2027-06-30", "`not_after` must be a time | write date, time and zone"),
        ("not_after = 2027-06-30T22:00:00", "`not_after` must be a time | write date, time and zone"),
        ("may = [\"*\"]", "unknown key `may` in [[commands.keys]]"),
    ] {
        let told = only_fault(&with_key(changes));
        assert!(told.contains(fault), "{changes}: {told}");
    }
    for (missing, hint) in
        [("id", "kid"), ("public", "weir keys new"), ("actions", "valve.open"), ("meters", "patterns")]
    {
        let told = only_fault(&with_key(missing));
        assert!(told.contains(&format!("`{missing}` is missing")) && told.contains(hint), "{told}");
    }
    let twice = only_fault(&format!(
        "{}{}",
        with_key(""),
        key(&format!("public = \"{}\"", SecretKey::generate("x").unwrap().public()))
    ));
    assert!(twice.contains("two keys have this id"), "{twice}");
}

#[test]
fn what_is_wrong_with_the_rest_is_told_all_at_once() {
    let wrong = "[commands]\ndirectory = \"/var/lib/weir/outbox/commands\"\ntopic = \"weir.events\"\nlifetime_max = \"8d\"\nskew = \"1h\"\n\
                 closings_per_hour_max = -1\nclosings_per_day_max = 1001\nlifetime = 1\n";
    let told = told(&checked(&format!("{METERS}{wrong}{}", key(""))).faults);
    let expected = [
        "`directory` of commands holds other things too",
        "commands cannot come from a topic that this gateway writes to",
        "`lifetime_max` is 8d",
        "`skew` is 1h",
        "`closings_per_hour_max` is -1",
        "`closings_per_day_max` is 1001",
        "unknown key `lifetime` in [commands]",
    ];
    let expected = expected.map(|it| it.replace("8d", "192h"));
    assert_eq!(told.len(), expected.len(), "{told:?}");
    for (told, expected) in told.iter().zip(&expected) {
        assert!(told.contains(expected.as_str()), "{expected} in {told}");
    }
    for (meter, fault) in [
        ("valve = \"locked-closed\"", "`valve` cannot be \"locked-closed\" | write \"locked-open\""),
        ("identity_check = false", "`identity_check` must be a string"),
        ("identity_check = \"no\"", "`identity_check` cannot be \"no\""),
    ] {
        let told = only_fault(&format!("{}{meter}\n", METERS.replace("identity_check = \"none\"\n", "")));
        assert!(told.contains(fault), "{told}");
    }
    let state = only_fault(&format!("{METERS}[commands]\ndirectory = \"/var/lib/weir\"\n{}", key("")));
    assert!(state.contains("holds other things too"), "{state}");
    let many: String = (0..65)
        .map(|n| key(&format!("id = \"k{n}\"\npublic = \"{}\"", SecretKey::generate("x").unwrap().public())))
        .collect();
    assert!(only_fault(&format!("{METERS}[commands]\n{many}")).contains("more than 64 keys"));
}

#[test]
fn what_may_not_be_as_meant_is_a_warning() {
    let none = only_warning(&format!("{METERS}[commands]\n"));
    assert!(
        none.contains("[commands] has no keys, so no command is ever taken | make one with `weir keys new`"),
        "{none}"
    );
    let unmatched = only_warning(&with_key("meters = [\"A-*\", \"C-*\"]"));
    assert!(unmatched.contains("no meter on this gateway has an id like this"), "{unmatched}");
    let again = only_warning(&format!("{}{}", with_key(""), key("id = \"k2\"")));
    assert!(again.contains("this key is here under two ids"), "{again}");
}

#[test]
fn meters_that_could_be_taken_for_another_are_named_once_for_all() {
    let meters = "[[lines]]\nname = \"a\"\nport = \"/dev/ttyS0\"\ndriver = \"mbus\"\n\
        [[meters]]\nid = \"primary\"\nline = \"a\"\naddress = 1\n\
        [[meters]]\nid = \"expected\"\nline = \"a\"\naddress = 2\nexpected_number = \"12345678\"\n\
        [[meters]]\nid = \"secondary\"\nline = \"a\"\naddress = \"12345679\"\n\
        [[meters]]\nid = \"unchecked\"\nline = \"a\"\naddress = 3\nidentity_check = \"none\"\n\
        [[meters]]\nid = \"other\"\nline = \"a\"\naddress = 4\n\
        [[meters]]\nid = \"modbus\"\nline = \"a\"\naddress = 5\ndriver = \"modbus\"\nprofile = \"generic-20\"\n\
        [[meters]]\nid = \"cjt188\"\nline = \"a\"\naddress = \"78330011223344\"\ndriver = \"cjt188\"\n";
    let with = |key: String| format!("{meters}[commands]\n{key}");
    let told = only_warning(&with(key("actions = [\"valve.open\"]\nmeters = [\"[!o]*\"]")));
    assert!(
        told.starts_with("7:1 commands that change 2 of the meters are refused as no-identity"),
        "{told}"
    );
    assert!(
        told.contains(": primary, modbus | give each its `expected_number`, or `identity_check"),
        "{told}"
    );
    // A key that may only read changes nothing, and without keys nobody does.
    assert_eq!(checked(&with(key("actions = [\"read.now\"]"))).report(false), "");
    assert_eq!(checked(meters).report(false), "");
}

/// Everything that is ever shown of a configuration.
fn shown(text: &str) -> String {
    let outcome = check_text(Path::new("weir.toml"), text);
    let commands = outcome.checked.as_ref().map(|checked| format!("{:?}", checked.commands));
    let notices = format!("{:?}{:?}{commands:?}", outcome.faults, outcome.warnings);
    outcome.report(false) + &outcome.report(true) + &notices
}

#[test]
fn a_private_key_where_the_public_one_belongs_is_told_and_never_shown() {
    let jwk = format!(r#"{{"kty":"OKP","crv":"Ed25519","kid":"k","d":"{D}","x":"{PUBLIC}"}}"#);
    let escaped = jwk.replace('"', "\\\"");
    let both = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2DXWpgBgrEKt9VL_tPJZAc6DuFy89qmIyWvAhpo9wdRGg";
    for private in [
        format!("public = '{jwk}'"),
        format!("public = \"{escaped}\""),
        format!("public = '''\n{}\n'''", jwk.replace(',', ",\n  ")),
        format!("public = \"{both}\""),
        format!(
            "public = '''\n-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEI{D}\n-----END PRIVATE KEY-----\n'''"
        ),
    ] {
        let text = format!("{HEAD}{}", with_key(&private));
        let shown = shown(&text);
        let told = "`public` is a private key, which never belongs on a gateway";
        assert!(
            shown.contains(told) && shown.contains("make a new one with `weir keys new`"),
            "{private}: {shown}"
        );
        assert!(!shown.contains(&D[..8]) && !shown.contains(&D[30..]), "{shown}");
    }
    for misplaced in [
        format!("private = \"{D}\""),
        format!("d = \"{D}\""),
        format!("key = '{jwk}'"),
        format!("key = \"{escaped}\""),
        format!("id = '{jwk}'"),
        format!("public = {{ kty = \"OKP\", d = \"{D}\" }}"),
        format!("public = {{ \"d\" = '{D}' }}"),
        format!("publik = '{jwk}'"),
        format!("meters = ['{jwk}']"),
        format!("actions = ['{jwk}']"),
        format!("not_after = '{jwk}'"),
        format!("not_after = 5 # {jwk}"),
        format!("public = '{jwk}"),
        format!("d = {D}"),
        format!("key = {jwk}"),
    ] {
        let shown = shown(&format!("{HEAD}{}", with_key(&misplaced)));
        assert!(shown.contains("error") || shown.contains("warning"), "{misplaced} is no fault");
        assert!(!shown.contains(&D[..8]) && !shown.contains(&D[30..]), "{misplaced}: {shown}");
    }
}
