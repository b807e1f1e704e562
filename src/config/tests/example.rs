//! The example is what an engineer starts from, so it must be complete, valid and true.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::config::file::Typed;
use crate::config::notice::Findings;
use crate::config::reader::Pass;
use crate::config::{Checked, EXAMPLE, Outcome, check_text};

/// The example with every key that is commented out put to use.
fn uncommented() -> String {
    let put_to_use = |line: &str| match line.strip_prefix('#') {
        Some(rest) if rest.starts_with(|c: char| c.is_ascii_lowercase() || c == '"' || c == '[') => {
            rest.to_owned()
        }
        _ => line.to_owned(),
    };
    EXAMPLE.lines().map(|line| put_to_use(line) + "\n").collect()
}

fn without_notices(outcome: Outcome) -> Checked {
    assert_eq!(outcome.report(false), "");
    outcome.checked.unwrap()
}

/// The text without the properties that a build without TLS refuses, and with SASL as far as it goes without. That it
/// refuses these, and says why, is checked.
fn without_tls_if_it_is_not_built_in(path: &Path, text: String) -> String {
    if cfg!(feature = "tls") {
        return text;
    }
    let faults = check_text(path, &text).faults;
    let refused: BTreeSet<_> = faults.iter().map(|fault| fault.location.as_ref().unwrap().line).collect();
    assert!(!faults.is_empty());
    for fault in &faults {
        assert!(fault.hint.as_ref().is_some_and(|hint| hint.contains("--features tls")), "{fault:?}");
    }
    let lines = text.lines().enumerate().filter(|(index, _)| !refused.contains(&(index + 1)));
    let text: String = lines.map(|(_, line)| line.to_owned() + "\n").collect();
    let plain = "\"security.protocol\" = \"SASL_PLAINTEXT\"\n\"sasl.mechanism\" = \"PLAIN\"";
    text.replace("\"sasl.mechanism\" = \"SCRAM-SHA-512\"", plain)
}

#[test]
fn the_example_is_valid_as_it_is() {
    let checked = without_notices(check_text(Path::new("/etc/weir/weir.toml"), EXAMPLE));
    assert_eq!(checked.lines.iter().map(|line| line.meters.len()).collect::<Vec<_>>(), [2, 1, 2]);
}

#[test]
fn the_example_is_valid_with_every_key_put_to_use_and_then_means_the_same() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("meters.d")).unwrap();
    let more = "[[meters]]\nid = \"A-103\"\nline = \"riser-1\"\naddress = 3\n";
    std::fs::write(directory.path().join("meters.d/riser-1.toml"), more).unwrap();
    let key_file = directory.path().join("keys/A-101.key");
    std::fs::create_dir(directory.path().join("keys")).unwrap();
    std::fs::write(&key_file, "000102030405060708090A0B0C0D0E0F\n").unwrap();
    std::fs::set_permissions(&key_file, std::fs::Permissions::from_mode(0o640)).unwrap();
    let path = directory.path().join("weir.toml");
    let all = without_notices(check_text(&path, &without_tls_if_it_is_not_built_in(&path, uncommented())));
    let some = without_notices(check_text(&path, EXAMPLE));

    // What is commented out shows the default.
    assert_eq!(format!("{:?}", all.gateway), format!("{:?}", some.gateway));
    assert_eq!(format!("{:?}", all.outbox), format!("{:?}", some.outbox));
    let with_properties = format!("{:?}", all.uplink);
    assert!(with_properties.contains("sasl.password"));
    let (before, after) = with_properties.split_once("properties").unwrap();
    let without_properties = format!("{:?}", some.uplink);
    assert!(without_properties.starts_with(before), "{without_properties}");
    assert!(without_properties.ends_with(after.split_once(']').unwrap().1), "{without_properties}");
    assert!(some.commands.is_none(), "commands are off until somebody turns them on");
    let commands = all.commands.unwrap();
    let keys: String = EXAMPLE
        .lines()
        .skip_while(|line| *line != "#[[commands.keys]]")
        .take(5)
        .fold(String::new(), |text, line| {
            text + line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or("") + "\n"
        });
    let plain = "actions = [\"valve.open\"]\nmeters = [\"B-*\"]\n";
    let without = without_notices(check_text(&path, &format!("{EXAMPLE}\n[commands]\n{keys}\n{plain}")));
    let without = without.commands.unwrap();
    assert_eq!((commands.topic, commands.gateway), (without.topic, without.gateway));
    assert_eq!(
        (commands.directory, commands.rules.lifetime_max),
        (without.directory, without.rules.lifetime_max)
    );
    assert_eq!(commands.rules.skew, without.rules.skew);
    let limits = |policy: &crate::command::authorise::Policy| {
        (policy.closings_per_hour_max, policy.closings_per_day_max)
    };
    assert_eq!(limits(&commands.rules.policy), limits(&without.rules.policy));
    assert!(
        commands.rules.policy.meters["A-101"].locked_open
            && !without.rules.policy.meters["A-101"].locked_open
    );
    let expected = |of: &crate::command::Rules| of.policy.meters["A-101"].expected.clone();
    // With every key put to use a number is expected of it.
    assert_eq!(format!("{:?}", expected(&commands.rules)), r#"Number("12345678")"#);
    assert_eq!(format!("{:?}", expected(&without.rules)), "Unknown");
    let (all, some) = (&all.lines[0], &some.lines[0]);
    assert_eq!(
        (all.echo, all.repeats, all.adapter_allowance, all.keep_raw),
        (some.echo, some.repeats, some.adapter_allowance, some.keep_raw)
    );
    assert_eq!((all.meters.len(), some.meters.len()), (3, 2));
    let (with, without) = (&all.meters[0], &some.meters[0]);
    assert_eq!((with.every, with.offset, with.serial), (without.every, without.offset, without.serial));
}

#[test]
fn the_example_has_every_key_that_is_ever_asked_for() {
    let text = uncommented();
    let document = toml::de::DeTable::parse(&text).unwrap().into_inner();
    let mut findings = Findings::default();
    let mut pass = Pass::new(&mut findings);
    Typed::default().read_main(&mut pass, 0, &document);
    let asked = std::mem::take(&mut pass.asked);
    assert!(asked.len() > 40, "{asked:?}");

    let mut written = BTreeSet::new();
    let value: toml::Table = toml::from_str(&text).unwrap();
    let mut add = |section: &str, table: &toml::Table| {
        written.extend(table.keys().map(|key| (section.to_owned(), key.clone())));
    };
    add("", &value);
    add("[gateway]", value["gateway"].as_table().unwrap());
    add("[outbox]", value["outbox"].as_table().unwrap());
    add("[uplink]", value["uplink"].as_table().unwrap());
    add("[uplink.kafka]", value["uplink"]["kafka"].as_table().unwrap());
    let commands = value["commands"].as_table().unwrap();
    add("[commands]", commands);
    add("[[commands.keys]]", commands["keys"].as_array().unwrap()[0].as_table().unwrap());
    for (list, section) in [("lines", "[[lines]]"), ("meters", "[[meters]]")] {
        value[list].as_array().unwrap().iter().for_each(|item| add(section, item.as_table().unwrap()));
    }
    let lines = value["lines"].as_array().unwrap().iter();
    let kept = lines.filter_map(|line| line.get("keep")).flat_map(|keep| keep.as_array().unwrap());
    kept.for_each(|entry| add("keep", entry.as_table().unwrap()));
    let missing: Vec<_> = asked
        .iter()
        .filter(|(section, key)| !written.contains(&(section.to_string(), key.to_string())))
        // What may stand at a line and at a meter is explained once, at the line.
        .filter(|(section, key)| {
            !(*section == "[[meters]]" && written.contains(&("[[lines]]".into(), key.to_string())))
        })
        .filter(|(section, key)| {
            !(*section == "[[lines]]" && written.contains(&("[[meters]]".into(), key.to_string())))
        })
        .collect();
    assert_eq!(missing, Vec::<&(&str, &str)>::new());
}
