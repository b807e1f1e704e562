//! A story that cannot run on this machine says so; it never passes in silence.

use std::env;
use std::io::{self, Write};

/// Why a part cannot run here: something is not installed, or not allowed. A part that *fails* is not this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NotRun {
    pub(crate) why: String,
}

impl NotRun {
    pub(crate) fn because(why: impl Into<String>) -> Self {
        Self { why: why.into() }
    }
}

/// Unwraps what a story needs, or prints `NOT RUN: <part>: <why>` and gives `None`, on which the story returns.
///
/// # Panics
/// When the environment has `WEIR_REQUIRE=all`: then every part has to run.
#[track_caller]
pub(crate) fn require<T>(part: &str, needed: Result<T, NotRun>) -> Option<T> {
    let all = env::var_os("WEIR_REQUIRE").is_some_and(|asked| asked == "all");
    // Past `eprintln!`, whose output the test runner hides when a test passes.
    require_or_say(part, needed, all, &mut io::stderr())
}

/// [`require`] without the environment.
#[track_caller]
pub(crate) fn require_or_say<T>(
    part: &str,
    needed: Result<T, NotRun>,
    all: bool,
    out: &mut impl Write,
) -> Option<T> {
    match needed {
        Ok(it) => Some(it),
        Err(NotRun { why }) => {
            assert!(!all, "WEIR_REQUIRE=all, but {part} cannot run: {why}");
            writeln!(out, "NOT RUN: {part}: {why}").expect("the output is open");
            None
        }
    }
}
