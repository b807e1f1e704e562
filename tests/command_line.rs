//! The command line as people and scripts use it: what it prints where, and how it ends.

use std::io::Write;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output, Stdio};

use crate::harness::weir::{Weir, settings, weir_command};

/// The example of the M-Bus documentation (chapter 8): meter 12345678, 12.565 m³.
const MBUS: &str = "68 1F 1F 68 08 02 72 78 56 34 12 24 40 01 07 55 00 00 00 03 13 15 31 00 DA 02 3B 13 01 8B 60 04 37 18 02 18 16";
/// Meter 0011223344 of vendor 7833 says 556677.00 m³ at 22:01:31 on 11 May 2015, valve closed.
const CJT188: &str = "68 10 44 33 22 11 00 33 78 81 16 1F 90 00 00 77 66 55 2C 00 77 66 55 2C 31 01 22 11 05 15 20 21 84 13 16";
/// Two holding registers from 0: 00 01 E2 40.
const MODBUS: &str = "01 03 00 00 00 02 C4 0B  01 03 04 00 01 E2 40 E2 A3";
const DLT645: &str = "FE FE 68 12 90 78 56 34 12 68 91 08 33 33 34 33 89 67 45 33 54 16";
const PROFILE: &str = "model = \"two registers\"\n[[value]]\nquantity = \"volume\"\nunit = \"m3\"\nat = 0\ntype = \"u32\"\nscale = 0.001\n";

fn run(arguments: &[&str], input: &str) -> Output {
    run_command(weir_command().args(arguments), input)
}

fn run_command(command: &mut Command, input: &str) -> Output {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A command that does not want its input may have ended already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[track_caller]
fn ended(output: &Output, code: i32) {
    assert_eq!(output.status.code(), Some(code), "{output:?}");
}

#[test]
fn help_and_version_are_no_errors_and_a_mistyped_command_is() {
    for arguments in [&["--help"][..], &["run", "--help"], &["outbox", "stats", "--help"], &["--version"]] {
        let output = run(arguments, "");
        ended(&output, 0);
        assert!(!output.stdout.is_empty() && output.stderr.is_empty(), "{output:?}");
    }
    let help = out(&run(&["--help"], ""));
    for word in ["run", "check", "config", "read", "decode", "outbox", "completions", "Exit codes"] {
        assert!(help.contains(word), "{word} in {help}");
    }
    for arguments in [&["rum"][..], &[], &["read"], &["decode", "dlt"], &["run", "--confg", "x"]] {
        let output = run(arguments, "");
        ended(&output, 64);
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{output:?}");
    }
}

#[test]
fn every_shell_gets_its_completions() {
    for (shell, sign) in [("bash", "complete -F"), ("zsh", "#compdef weir"), ("fish", "complete -c weir")] {
        let output = run(&["completions", shell], "");
        ended(&output, 0);
        assert!(out(&output).contains(sign), "{shell}");
    }
}

#[test]
fn the_example_configuration_is_printed_and_passes_the_check() {
    let example = run(&["config"], "");
    ended(&example, 0);
    let weir = Weir::prepare(|_| out(&example));
    let checked = weir.command(&["check"]);
    ended(&checked, 0);
    assert!(out(&checked).contains("good, 3 lines"), "{checked:?}");
}

#[test]
fn a_telegram_of_each_protocol_is_decoded_from_a_file_and_from_standard_input() {
    let folder = tempfile::tempdir().unwrap();
    let (file, profile) = (folder.path().join("telegram"), folder.path().join("two.toml"));
    std::fs::write(&profile, PROFILE).unwrap();
    let (file, profile) = (file.to_str().unwrap(), profile.to_str().unwrap());
    let modbus = ["--profile", profile];
    for (driver, hex, options, volume, sign) in [
        ("mbus", MBUS, &[][..], "12.565", "12345678"),
        ("cjt188", CJT188, &[], "556677.00", "2015-05-11"),
        ("dlt645", DLT645, &[], "1234.56", "123456789012"),
        ("modbus", MODBUS, &modbus, "123.456", "m3"),
    ] {
        std::fs::write(file, hex).unwrap();
        for (from, input) in [(file, ""), ("-", hex)] {
            let table = run(&[&["decode", driver, from], options].concat(), input);
            ended(&table, 0);
            assert!(out(&table).contains(&format!(" {volume} ")) && out(&table).contains(sign), "{table:?}");
            let json = run(&[&["decode", driver, from, "--json"], options].concat(), input);
            ended(&json, 0);
            assert!(out(&json).contains(&format!("\"value\": {volume},")), "{json:?}");
            let answer: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
            assert!(
                ["identity", "status", "values"].iter().all(|part| !answer[part].is_null()),
                "{answer:#}"
            );
            let values = answer["values"].as_array().unwrap();
            assert!(
                values.iter().all(|value| value["raw"].is_string()),
                "every record with its bytes: {answer:#}"
            );
        }
    }
}

/// OMS volume 2, annex N, N.5.4 (a wired meter; its first block is encrypted), and the key that stands beside it.
const ENCRYPTED: &str = "68 2C 2C 68 08 FD 72 88 77 66 55 93 44 55 08 00 04 10 05 00 DF E2 A7 82 14 6D 15 13 58 1C D2 \
    F8 3F 39 04 0C FD 10 78 56 34 12 0C 78 44 33 22 11 26 16";
const ITS_KEY: &str = "000102030405060708090A0B0C0D0E0F";

#[test]
fn an_encrypted_telegram_is_decoded_with_its_key_file_which_is_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let key = file("key", ITS_KEY);
    let keep =
        "model = \"x\"\n[[keep]]\nquantity = \"heat-cost-allocation\"\nstorage = 1\nname = \"Stichtag\"\n";
    let profile = file("keep.toml", keep);
    let decode = |options: &[&str]| run(&[&["decode", "mbus", "-"], options].concat(), ENCRYPTED);
    let opened = decode(&["--key-file", &key]);
    ended(&opened, 0);
    assert!(out(&opened).contains("heat-cost-allocation  1234 "), "{opened:?}");
    let kept = decode(&["--key-file", &key, "--profile", &profile]);
    ended(&kept, 0);
    let rows: Vec<String> = out(&kept).lines().skip(3).map(str::to_owned).collect();
    assert!(rows[0].starts_with("name      quantity"), "{kept:?}");
    assert!(rows.len() == 2 && rows[1].starts_with("Stichtag  heat-cost-allocation  23456"), "{kept:?}");

    let without = decode(&[]);
    ended(&without, 65);
    assert!(err(&without).contains("there is no key for them"), "{without:?}");
    let other = file("other", &ITS_KEY.replace("0F", "FF"));
    let wrong = decode(&["--key-file", &other]);
    ended(&wrong, 65);
    assert!(err(&wrong).contains("the key is wrong"), "{wrong:?}");
    let short = file("short", &ITS_KEY[1..]);
    let none = decode(&["--key-file", &short]);
    ended(&none, 64);
    assert!(err(&none).contains("not 31 characters"), "{none:?}");
    for output in [opened, kept, without, wrong, none] {
        let shown = out(&output) + &err(&output);
        assert!(!shown.contains(&ITS_KEY[1..31]) && !shown.contains("0C0D0E"), "{shown}");
    }
}

#[test]
fn a_telegram_that_is_none_ends_with_65_and_says_what_is_wrong() {
    let damaged = MBUS.replace("15 31", "15 32");
    for (driver, hex, sign) in [
        ("mbus", damaged.as_str(), "checksum"),
        ("mbus", "68 1F", ""),
        ("cjt188", "68 10 44", ""),
        ("cjt188", "68 X1", "line 1, column 4"),
        ("mbus", "", "no bytes"),
        ("mbus", "68 1", "one digit"),
    ] {
        let output = run(&["decode", driver, "-"], hex);
        ended(&output, 65);
        assert!(output.stdout.is_empty() && err(&output).contains(sign), "{hex}: {output:?}");
    }
    let no_profile = run(&["decode", "modbus", "-"], MODBUS);
    ended(&no_profile, 64);
    assert!(err(&no_profile).contains("--profile"), "{no_profile:?}");
    ended(&run(&["decode", "mbus", "/nowhere/telegram"], ""), 64);
    // What a serial port gave, kept as it came.
    let folder = tempfile::tempdir().unwrap();
    let raw = folder.path().join("telegram");
    std::fs::write(&raw, b"\x68\xff\xff\x68").unwrap();
    let output = run(&["decode", "mbus", raw.to_str().unwrap()], "");
    ended(&output, 65);
    assert!(err(&output).contains("od -An -v -tx1"), "{output:?}");
}

#[test]
fn a_contradictory_configuration_ends_every_command_with_64_names_all_faults_and_opens_nothing() {
    let weir = Weir::prepare(|folder| {
        format!(
            "{}\n[[lines]]\nname = \"a\"\nport = \"/dev/ttyUSB0\"\ntcp = \"127.0.0.1:4001\"\ndriver = \"mbus\"\nevery = \"7 parsecs\"\n\
             [[meters]]\nid = \"m\"\nline = \"b\"\naddress = 1\n[[meters]]\nid = \"m\"\nline = \"a\"\naddress = 999\n",
            settings(folder, "127.0.0.1:1", "brokrs = 1")
        )
    });
    for arguments in [&["run"][..], &["check"], &["read", "m"], &["outbox", "stats"]] {
        let output = weir.command(arguments);
        ended(&output, 64);
        let report = err(&output);
        for part in [
            "brokrs",
            "both `port` and `tcp`",
            "7 parsecs",
            "no line \"b\"",
            "two meters have this id",
            "999",
        ] {
            assert!(report.contains(part), "{arguments:?}: {part} in {report}");
        }
        assert!(report.contains("weir.toml:"), "with file and line: {report}");
    }
    let left: Vec<_> =
        std::fs::read_dir(weir.folder()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| name == "weir.toml" || name == "notify"), "nothing was made: {left:?}");
}

#[test]
fn a_configuration_that_is_not_there_or_not_toml_ends_with_64() {
    let missing = run(&["check", "--config", "/nowhere/weir.toml"], "");
    ended(&missing, 64);
    assert!(err(&missing).contains("/nowhere/weir.toml"), "{missing:?}");
    let weir = Weir::prepare(|_| "[gateway\nid = ".into());
    let broken = weir.command(&["check"]);
    ended(&broken, 64);
    assert!(err(&broken).contains("weir.toml:1"), "{broken:?}");
}

#[test]
fn the_check_forecasts_the_load_beside_a_port_that_is_not_there() {
    let weir = Weir::prepare(|folder| {
        format!(
            "{}\n[[lines]]\nname = \"riser-1\"\nport = \"/nowhere/ttyUSB0\"\ndriver = \"mbus\"\nevery = \"1m\"\n\
             [[meters]]\nid = \"m\"\nline = \"riser-1\"\naddress = 1\n",
            settings(folder, "127.0.0.1:1", "")
        )
    });
    let checked = weir.command(&["check"]);
    ended(&checked, 0);
    assert!(out(&checked).contains("riser-1") && out(&checked).contains('%'), "{checked:?}");
    assert!(!weir.folder().join("state").exists(), "it opens nothing");
}

#[test]
fn a_key_is_made_once_and_signs_what_its_public_half_proves() {
    let folder = tempfile::tempdir().unwrap();
    let weir = |arguments: &[&str], input: &str| {
        run_command(weir_command().current_dir(folder.path()).args(arguments), input)
    };
    let made = weir(&["keys", "new", "anna-2026"], "");
    ended(&made, 0);
    let file = folder.path().join("anna-2026.jwk");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let jwk: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    let private = jwk["d"].as_str().unwrap();
    assert!(out(&made).contains(&format!("public = {}", jwk["x"])), "{made:?}");
    assert!(!out(&made).contains(private) && !err(&made).contains(private));

    // Never over another key, nor under a name that leaves the directory.
    let before = std::fs::read(&file).unwrap();
    ended(&weir(&["keys", "new", "anna-2026"], ""), 1);
    assert_eq!(std::fs::read(&file).unwrap(), before);
    ended(&weir(&["keys", "new", "../anna"], ""), 64);

    // What is printed is what the configuration takes.
    let gateway = Weir::prepare(|folder| {
        let snippet = out(&made).replace("\"read.now\"]", "\"read.now\", \"valve.close\"]");
        let line = "[[lines]]\nname = \"l\"\nport = \"/dev/ttyS0\"\ndriver = \"cjt188\"\n\
                    [[meters]]\nid = \"A-1\"\nline = \"l\"\naddress = \"78330011223344\"\nvalve = \"locked-open\"\n";
        format!("{}{line}[commands]\n{snippet}", settings(folder, "127.0.0.1:9", ""))
    });
    let checked = gateway.command(&["check"]);
    ended(&checked, 0);
    for told in
        ["commands: from weir.commands.", "locked open: A-1", "anna-2026  read.now valve.close  *    1"]
    {
        assert!(out(&checked).contains(told), "{told} in {checked:?}");
    }

    let sign = ["command", "sign", "--key", "anna-2026.jwk"];
    let order = ["--gateway", "gw-1", "--meter", "A-1", "--action", "valve.close", "--reason", "leak"];
    let signed = weir(&[&sign[..], &order].concat(), "");
    ended(&signed, 0);
    assert_eq!(out(&signed).trim_end().split('.').count(), 3, "{signed:?}");
    ended(&weir(&[&sign[..], &["--payload", "-"]].concat(), "{ rubbish"), 0);
    for wrong in [&["--action", "valve.melt"][..], &["--id", "X"], &["--action", "tariff.set"]] {
        let kept = ["--gateway", "g", "--meter", "m", "--action", "read.now"].chunks(2);
        let kept: Vec<&str> = kept.filter(|pair| pair[0] != wrong[0]).flatten().copied().collect();
        let output = weir(&[&sign[..], &kept, wrong].concat(), "");
        ended(&output, 64);
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{output:?}");
    }
    std::fs::write(folder.path().join("no.jwk"), format!("{{\"d\":\"{private}\"}}")).unwrap();
    let no_key = weir(&[&["command", "sign", "--key", "no.jwk"][..], &order].concat(), "");
    ended(&no_key, 65);
    assert!(!err(&no_key).contains(private), "{no_key:?}");
}
