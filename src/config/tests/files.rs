//! Several files: includes, profiles, and files that cannot be read.

use std::fs;
use std::path::Path;

use super::super::{Outcome, check};
use super::HEAD;
use super::told;

const LINE: &str = "[[lines]]\nname = \"a\"\nport = \"/dev/ttyS0\"\ndriver = \"mbus\"\n";

fn meter(n: u8) -> String {
    format!("[[meters]]\nid = \"m{n}\"\nline = \"a\"\naddress = {n}\n")
}

/// Writes files into a fresh directory and checks the main one.
fn check_files(main: &str, others: &[(&str, &str)]) -> (tempfile::TempDir, Outcome) {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in others {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let path = directory.path().join("weir.toml");
    fs::write(&path, main).unwrap();
    let outcome = check(&path);
    (directory, outcome)
}

fn ids(outcome: Outcome) -> Vec<String> {
    assert_eq!(outcome.report(false), "");
    outcome.checked.unwrap().lines[0].meters.iter().map(|meter| meter.id.clone()).collect()
}

#[test]
fn included_files_bring_meters_and_lines_in_the_order_of_their_names() {
    let main = format!("include = [\"meters.d/*.toml\", \"lines.toml\", \"*.toml\"]\n{HEAD}");
    let others = [
        ("meters.d/b.toml", meter(3)),
        ("meters.d/a.toml", meter(2) + &meter(1)),
        ("lines.toml", LINE.into()),
    ];
    let others: Vec<_> = others.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let (_directory, outcome) = check_files(&main, &others);
    assert_eq!(ids(outcome), ["m2", "m1", "m3"]);
}

#[test]
fn a_directory_with_brackets_in_its_name_is_found_all_the_same() {
    let (directory, _) = check_files("", &[("site [1]/meters.d/a.toml", &meter(1))]);
    let path = directory.path().join("site [1]/weir.toml");
    fs::write(&path, format!("include = [\"meters.d/*.toml\"]\n{HEAD}{LINE}")).unwrap();
    assert_eq!(ids(check(&path)), ["m1"]);
}

#[test]
fn a_fault_in_an_included_file_names_that_file_and_the_others_are_still_checked() {
    let main = format!("include = [\"m/*.toml\"]\n{HEAD}{LINE}every = \"soon\"\n");
    let broken = "[[meters]]\nid = \"x\"\nline = a\"\n";
    let outer = "[gateway]\nid = \"other\"\n";
    let twice = meter(1) + "adress = 5\n";
    let (_directory, outcome) = check_files(
        &main,
        &[("m/1.toml", &meter(1)), ("m/2.toml", broken), ("m/3.toml", &twice), ("m/4.toml", outer)],
    );
    let places: Vec<_> = outcome
        .faults
        .iter()
        .map(|fault| {
            let location = fault.location.as_ref().unwrap();
            (location.file.file_name().unwrap().to_str().unwrap(), location.line, fault.message.as_str())
        })
        .collect();
    assert_eq!(places[0], ("weir.toml", 8, "`every` must be a duration"));
    assert_eq!((places[1].0, places[1].1), ("2.toml", 3));
    assert!(places[1].2.starts_with("no TOML: "), "{places:?}");
    assert_eq!(
        places[2..],
        [
            ("3.toml", 2, "two meters have this id"),
            ("3.toml", 4, "two meters have this address on one line"),
            ("3.toml", 5, "unknown key `adress` in [[meters]]"),
            ("4.toml", 1, "unknown key `gateway`"),
        ]
    );
    let report = outcome.report(false);
    assert!(report.contains("m/3.toml:2:6") && report.contains("m/1.toml:2:6"), "{report}");
    assert!(report.contains("it belongs at the top of the main file"), "{report}");
}

#[test]
fn a_pattern_without_a_match_is_a_warning_and_one_that_is_none_a_fault() {
    let (_directory, outcome) =
        check_files(&format!("include = [\"m.d/*.toml\"]\n{HEAD}{LINE}{}", meter(1)), &[]);
    assert!(told(&outcome.warnings)[0].starts_with("1:12 no file matches this pattern | it stands for /"));
    assert!(outcome.checked.is_some());
    let (_directory, outcome) = check_files(&format!("include = [\"a***\"]\n{HEAD}{LINE}{}", meter(1)), &[]);
    assert!(
        told(&outcome.faults)[0].starts_with("1:12 no pattern for files: "),
        "{:?}",
        told(&outcome.faults)
    );
}

#[test]
fn what_is_no_file_of_text_is_said_and_never_waited_for() {
    let missing = check(Path::new("/nonexistent/weir.toml"));
    assert!(
        missing.report(false).starts_with("error: /nonexistent/weir.toml: No such file"),
        "{}",
        missing.report(false)
    );
    assert!(missing.report(false).contains("`weir config` prints an example"));
    assert!(missing.checked.is_none());
    let directory = tempfile::tempdir().unwrap();
    let no_file = check(directory.path()).report(false);
    assert!(no_file.contains("is no regular file") && !no_file.contains("weir config"), "{no_file}");
    assert!(told(&check(Path::new("/dev/zero")).faults)[0].contains("is no regular file"));
    let path = directory.path().join("weir.toml");
    fs::write(&path, b"# fine\n[gateway]\nid = \"\xff\"\n").unwrap();
    assert!(told(&check(&path).faults)[0].contains("is not UTF-8: line 3"));
    fs::write(&path, vec![b'\n'; 4 * 1024 * 1024 + 1]).unwrap();
    assert!(told(&check(&path).faults)[0].contains("is longer than 4 MiB"));
}

#[test]
fn a_profile_of_the_sites_own_is_found_beside_its_file_and_its_faults_are_shown_in_it() {
    let line = "[[lines]]\nname = \"a\"\nport = \"/dev/ttyS0\"\ndriver = \"modbus\"\nprofile = \"profiles/own.toml\"\n";
    let main = format!("{HEAD}{line}{}{}", meter(1), meter(2));
    let text = weir_modbus::profiles::text("generic-20").unwrap();
    let (_directory, outcome) = check_files(&main, &[("profiles/own.toml", text)]);
    assert_eq!(ids(outcome), ["m1", "m2"]);

    let (_directory, outcome) =
        check_files(&main, &[("profiles/own.toml", &format!("{text}\nfrobnicate = 1\n"))]);
    let report = outcome.report(false);
    assert_eq!(outcome.faults.len(), 1, "told once for both meters: {report}");
    assert!(report.contains("own.toml:") && report.contains("| frobnicate = 1"), "{report}");
    assert!(report.contains("7 | profile = \"profiles/own.toml\""), "{report}");

    let (_directory, outcome) = check_files(&main, &[]);
    assert!(
        told(&outcome.faults)[0].contains("profiles/own.toml: No such file"),
        "{:?}",
        told(&outcome.faults)
    );
}

#[test]
fn a_broken_file_is_all_that_is_told_of_what_it_may_have_held() {
    let main = format!("include = [\"m/*.toml\"]\n{HEAD}");
    let lines = format!("{LINE}baud 2400\n");
    let (_directory, outcome) = check_files(
        &main,
        &[("m/lines.toml", &lines), ("m/meters.toml", &(meter(1) + &meter(2) + "driver = \"modbus\"\n"))],
    );
    assert_eq!(outcome.faults.len(), 1, "{}", outcome.report(false));
    assert!(outcome.faults[0].message.starts_with("no TOML: "));

    let main = format!("{main}[outbox\n");
    let (_directory, outcome) = check_files(&main, &[("m/meters.toml", "[[meters]]\nadress = 1\n")]);
    let told = told(&outcome.faults);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(
        told[0].starts_with("4:8 no TOML: ") && told[1].starts_with("2:1 unknown key `adress`"),
        "{told:?}"
    );
}

#[test]
fn an_m_bus_profile_says_what_is_kept_and_the_configuration_goes_before_it() {
    let profile = "model = \"x\"\n[[keep]]\nquantity = \"volume\"\nname = \"main\"\n";
    let with_profile = "profile = \"p/x.toml\"\n";
    let own = format!("{}keep = [{{ quantity = \"energy\" }}]\n", meter(2));
    let main = format!("{HEAD}{LINE}{with_profile}{}{own}", meter(1));
    let (_directory, outcome) = check_files(&main, &[("p/x.toml", profile)]);
    assert_eq!(outcome.report(false), "");
    let meters = outcome.checked.unwrap().lines.remove(0).meters;
    let kept: Vec<String> = meters.iter().map(|meter| format!("{:?}", meter.selection)).collect();
    assert!(kept[0].contains("Volume") && kept[0].contains("main"), "{kept:?}");
    assert!(kept[1].contains("Energy") && !kept[1].contains("main"), "{kept:?}");
}

#[test]
fn faults_of_an_m_bus_profile_are_told_in_its_own_file() {
    let profile = "model = \"x\"\nvif_text = \"forward\"\n[[keep]]\nquantity = \"volum\"\n";
    let main = format!("{HEAD}{LINE}{}profile = \"x.toml\"\n", meter(1));
    let (_directory, outcome) = check_files(&main, &[("x.toml", profile)]);
    let places: Vec<_> = outcome
        .faults
        .iter()
        .map(|fault| {
            let location = fault.location.as_ref().unwrap();
            (location.file.file_name().unwrap().to_str().unwrap(), location.line, fault.message.as_str())
        })
        .collect();
    assert_eq!(
        places,
        [
            ("x.toml", 2, "vif_text: \"forward\" is none of auto, reversed, as-sent"),
            ("x.toml", 4, "keep.0.quantity: there is no quantity \"volum\""),
        ]
    );
}
