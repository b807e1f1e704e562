//! "`started` is durable before the first byte goes on the line", seen from outside: the kernel's own record of the daemon's
//! calls.
//!
//! `kill -9` cannot show a missing sync, since the page cache survives it. A trace can. A thread that is traced stands still
//! at the beginning and at the end of each call until strace has noted it, so of two calls of which one is waited for before
//! the other is made, the trace has the end of the first before the beginning of the second, whichever threads they are of.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use crate::harness::deadline::wait_for;
use crate::harness::not_run::require;
use crate::harness::orders::{PATIENCE, Signer, unstarted, valves};
use crate::harness::programs::program;

/// What counts of the daemon's calls, each when it was noted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Noted {
    /// A line of the journal begins to be written.
    Writes(&'static str),
    /// A data sync of the journal was answered with success.
    Flushed,
    /// The first byte of the order to the valve is about to go on the line.
    Ordered,
}

/// The lines that a command begins, in the journal's words.
const LINES: [(&str, &str); 3] = [
    (r#"\"entry\":{\"accepted\""#, "accepted"),
    (r#"\"entry\":{\"started\""#, "started"),
    (r#"\"entry\":{\"finished\""#, "finished"),
];

/// The trace as beginnings and ends of calls: of one that another thread's interrupted, strace notes them apart.
fn noted(trace: &str, journal: &Path) -> Vec<Noted> {
    let journal = format!("<{}>", journal.display());
    // What each thread is in the middle of.
    let mut begun = BTreeMap::<&str, &str>::new();
    let mut noted = Vec::new();
    for line in trace.lines() {
        let Some((thread, call)) = line.split_once(' ') else { continue };
        let call = call.trim_start();
        let is_resumed = call.starts_with("<... ");
        let whole = if is_resumed { begun.remove(thread).unwrap_or_default() } else { call };
        if !is_resumed {
            noted.extend(beginning(whole, &journal));
        }
        if call.ends_with("<unfinished ...>") {
            begun.insert(thread, call);
        } else if whole.starts_with("fdatasync(") && whole.contains(&journal) && call.ends_with("= 0") {
            noted.push(Noted::Flushed);
        }
    }
    noted
}

fn beginning(call: &str, journal: &str) -> Option<Noted> {
    if call.starts_with("write") && call.contains(journal) {
        let known = LINES.iter().find(|(line, _)| call.contains(line));
        return Some(Noted::Writes(known.map_or("another line", |(_, name)| name)));
    }
    is_order(&bytes(call)).then_some(Noted::Ordered)
}

/// The bytes of a call's text; strace writes all of them in hexadecimal where one is not ASCII, as one of a frame always is.
fn bytes(call: &str) -> Vec<u8> {
    let digits = call.split("\\x").skip(1).map_while(|part| part.get(..2));
    digits.map_while(|digits| u8::from_str_radix(digits, 16).ok()).collect()
}

/// A CJ/T 188 frame with control code 04 (write) and A017 (the valve). The meter's answer has 84.
fn is_order(bytes: &[u8]) -> bool {
    let frame = bytes.iter().position(|byte| *byte == 0x68).and_then(|start| bytes.get(start..));
    matches!(
        frame,
        Some(
            [0x68, _, _, _, _, _, _, _, _, 0x04, _, 0x17, 0xA0, ..]
                | [0x68, _, _, _, _, _, _, _, _, 0x04, _, 0xA0, 0x17, ..]
        )
    )
}

#[test]
fn started_is_on_file_and_flushed_before_the_first_byte_of_the_order_goes_on_the_line() {
    let Some(strace) = require("trace of a command", program("strace", "strace")) else { return };
    let (fleet, signer) = (valves(65), Signer::new());
    let mut weir = unstarted(&fleet, &signer, "127.0.0.1:9", "", "weir.commands");
    let trace = weir.folder().join("trace");
    let mut wrapper = vec![OsString::from(strace), "-o".into(), trace.clone().into()];
    let calls = "trace=write,writev,pwrite64,sendto,sendmsg,fdatasync";
    wrapper.extend(["-f", "-y", "-x", "-s", "4000", "-e", calls].map(OsString::from));
    weir.run_under(wrapper);
    weir.start();
    weir.wait_ready(PATIENCE);
    let journal = weir.journal_path();
    let (jws, _) = signer.sign("room-1", "valve.close", &[]);
    assert!(weir.submit(&jws)["accepted"].is_object());
    let noted = wait_for("the end of the command", PATIENCE, || {
        let noted = noted(&std::fs::read_to_string(&trace).unwrap_or_default(), &journal);
        noted.contains(&Noted::Writes("finished")).then_some(noted)
    });
    // strace keeps a SIGTERM to itself; how the daemon stops is not the matter here.
    weir.kill();

    let at = |what: Noted| {
        let places: Vec<usize> = (0..noted.len()).filter(|at| noted[*at] == what).collect();
        assert_eq!(places.len(), 1, "{what:?} once: {noted:?}");
        places[0]
    };
    let [accepted, started, finished] = LINES.map(|(_, name)| at(Noted::Writes(name)));
    let ordered = at(Noted::Ordered);
    assert!(accepted < started && started < ordered && ordered < finished, "{noted:?}");
    // Each line is flushed before anything else is done.
    for pair in noted.windows(2).filter(|pair| matches!(pair[0], Noted::Writes(_))) {
        assert_eq!(pair[1], Noted::Flushed, "{noted:?}");
    }
    assert_eq!(fleet.meter("room-1").obeyed().valve, 1);
}
