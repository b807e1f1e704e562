//! The invariants of `docs/ARCHITECTURE.md`: who may know whom, and what stands in one place only.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A room (or a file of its own) in `src/`, and the rooms it may use.
const ROOMS: &[(&str, &[&str])] = &[
    ("sys", &[]),
    ("limits", &[]),
    ("clock", &["sys"]),
    ("pulse", &["clock"]),
    ("id", &[]),
    ("event", &["clock"]),
    ("watcher", &["limits", "pulse", "sys"]),
    ("boots", &["limits"]),
    ("command", &["clock", "event", "limits", "line", "outbox", "pulse"]),
    ("announce", &["command", "event", "limits", "line", "outbox"]),
    ("line", &["clock", "event", "id", "limits", "outbox", "pulse", "sys"]),
    ("outbox", &["clock", "event", "id", "limits", "pulse"]),
    ("timekeeper", &["boots", "clock", "event", "id", "limits", "outbox", "pulse"]),
    ("uplink", &["boots", "clock", "id", "limits", "outbox", "pulse"]),
    ("scan", &["limits", "line"]),
    ("control", &["clock", "command", "id", "limits", "line", "outbox", "scan", "uplink"]),
    ("config", &["command", "id", "limits", "line", "outbox", "uplink"]),
    (
        "app",
        &[
            "announce",
            "boots",
            "clock",
            "command",
            "config",
            "control",
            "event",
            "id",
            "limits",
            "line",
            "outbox",
            "pulse",
            "timekeeper",
            "uplink",
        ],
    ),
    (
        "cli",
        &[
            "app", "boots", "clock", "command", "config", "control", "id", "limits", "line", "outbox",
            "pulse", "scan", "uplink", "watcher",
        ],
    ),
];

/// A crate of ours, and the crates of ours it may link.
const CRATES: &[(&str, &[&str])] = &[
    ("wire", &[]),
    ("drivers/meter", &["weir-wire"]),
    ("drivers/mbus", &["weir-meter", "weir-wire"]),
    ("drivers/modbus", &["weir-meter", "weir-wire"]),
    ("drivers/cjt188", &["weir-meter", "weir-wire"]),
    ("drivers/dlt645", &["weir-meter", "weir-wire"]),
    ("simulator", &["weir-wire"]),
    ("fuzz", &["weir-cjt188", "weir-dlt645", "weir-mbus", "weir-meter", "weir-modbus", "weir-wire"]),
];

/// Over this many lines two things live in one file.
const LINES_MAX: usize = 600;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file of the project below a folder.
fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            files.extend(rust_files(&path));
        } else if name.ends_with(".rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().display().to_string()
}

/// The code of a file: comments and string contents are not imports.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| line.split("//").next().unwrap()).collect::<Vec<_>>().join("\n")
}

/// Words after `crate::`, also inside `use crate::{…}`.
fn used_rooms(code: &str) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        let word = |text: &str| {
            text.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>()
        };
        match rest.strip_prefix('{') {
            None => drop(used.insert(word(rest))),
            Some(list) => {
                let mut depth = 0;
                let mut item = String::new();
                for character in list.chars() {
                    match character {
                        '}' if depth == 0 => break,
                        ',' if depth == 0 => {
                            used.insert(word(&item));
                            item.clear();
                            continue;
                        }
                        '{' => depth += 1,
                        '}' => depth -= 1,
                        _ => {}
                    }
                    item.push(character);
                }
                used.insert(word(&item));
            }
        }
    }
    used
}

#[test]
fn rooms_use_only_the_rooms_they_may() {
    let rooms: Vec<&str> = ROOMS.iter().map(|(room, _)| *room).collect();
    let mut broken = Vec::new();
    for path in rust_files(&root().join("src")) {
        let relative = path.strip_prefix(root().join("src")).unwrap();
        let first = relative.components().next().unwrap().as_os_str().to_string_lossy().into_owned();
        let room = first.trim_end_matches(".rs");
        if room == "lib" || room == "main" {
            continue;
        }
        let Some((_, allowed)) = ROOMS.iter().find(|(known, _)| *known == room) else {
            broken.push(format!("src/{first} is a room that tests/architecture.rs does not know"));
            continue;
        };
        for used in used_rooms(&code(&path)) {
            if used != room && rooms.contains(&used.as_str()) && !allowed.contains(&used.as_str()) {
                broken.push(format!("{} uses crate::{used}", shown(&path)));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn crates_link_only_the_crates_they_may() {
    let mut broken = Vec::new();
    for (folder, allowed) in CRATES {
        let manifest = fs::read_to_string(root().join(folder).join("Cargo.toml")).unwrap();
        let linked = manifest.lines().filter_map(|line| line.split(['.', ' ', '=']).next());
        for linked in linked.filter(|name| name.starts_with("weir-")) {
            if !allowed.contains(&linked) {
                broken.push(format!("{folder} links {linked}"));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn every_file_opens_with_what_it_is_for() {
    let silent: Vec<String> = rust_files(root())
        .iter()
        .filter(|path| !fs::read_to_string(path).unwrap().trim_start_matches("#!").starts_with("//!"))
        .map(|path| shown(path))
        .collect();
    assert!(silent.is_empty(), "no //! at the top of {silent:#?}");
}

#[test]
fn no_file_is_a_house_of_its_own() {
    let long: Vec<String> = rust_files(root())
        .iter()
        .map(|path| (shown(path), fs::read_to_string(path).unwrap().lines().count()))
        .filter(|(_, lines)| *lines > LINES_MAX)
        .map(|(path, lines)| format!("{path}: {lines} lines"))
        .collect();
    assert!(long.is_empty(), "{long:#?}");
}

fn files_whose_code_has(words: &[&str]) -> Vec<String> {
    let named = |path: &&PathBuf| {
        let code = code(path);
        words.iter().any(|word| code.contains(word))
    };
    rust_files(&root().join("src")).iter().filter(named).map(|path| shown(path)).collect()
}

#[test]
fn only_one_file_names_sled() {
    assert_eq!(files_whose_code_has(&["sled::"]), ["src/outbox/store/sled_files.rs"]);
}

#[test]
fn only_one_file_is_unsafe() {
    assert_eq!(files_whose_code_has(&["unsafe {", "unsafe fn", "unsafe impl"]), ["src/sys.rs"]);
}

#[test]
fn only_the_clock_reads_the_time() {
    let readers = ["SystemTime::now", "Instant::now", "Timestamp::now", "Zoned::now", "clock_gettime"];
    assert_eq!(files_whose_code_has(&readers), ["src/clock.rs"]);
}

#[test]
fn only_one_file_of_the_uplink_speaks_to_the_client_library() {
    let may = |file: &str| {
        let is_test = file.ends_with("/tests.rs") || file.contains("/tests/");
        let speaks = ["src/uplink/kafka", "src/command/inbox.rs", "src/cli/demo"];
        speaks.iter().any(|room| file.starts_with(room)) || is_test
    };
    let speakers = files_whose_code_has(&["rdkafka::"]);
    let outside: Vec<_> = speakers.iter().filter(|file| !may(file)).collect();
    assert!(outside.is_empty(), "{outside:#?}");
}

#[test]
fn nothing_changes_a_meter_but_the_command_path() {
    let outside_tests = |words: &[&str]| -> Vec<String> {
        let files = files_whose_code_has(words).into_iter();
        files.filter(|file| !file.ends_with("/tests.rs") && !file.contains("/tests/")).collect()
    };
    assert_eq!(outside_tests(&["driver.carry_out("]), ["src/line/visit.rs"]);
    assert_eq!(outside_tests(&["meter.carry_out("]), ["src/command/execute/visits.rs"]);
    // The drivers' own functions that write.
    let writers = ["weir_mbus::services", "weir_cjt188::Request", "weir_dlt645::Relay", "relay_request"];
    assert!(outside_tests(&writers).is_empty());
    assert!(!files_whose_code_has(&writers[..1]).is_empty(), "a test has them, under this name");
}

#[test]
fn the_test_sees_what_it_should_see() {
    let code = "use crate::{clock::now, line, outbox::{self, Stats}};\nuse crate::uplink::Handle; crate::app::run();";
    let used: Vec<String> = used_rooms(code).into_iter().collect();
    assert_eq!(used, ["app", "clock", "line", "outbox", "uplink"]);
}
