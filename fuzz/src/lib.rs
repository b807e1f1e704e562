//! One harness a decoder: it takes any bytes, and panics where the decoder breaks what it promises.
//!
//! The same harnesses run under libFuzzer for as long as somebody has patience (`scripts/fuzz`), and in the test command
//! for a fixed number of inputs (`tests/short.rs`). What each holds stands in its file; all of them hold that nothing
//! panics or overflows, and that what comes out is bounded by what went in ([`outcome`]).
//!
//! A byte in front selects what the rest is: the bytes of a line as they came, or the inside of a frame, which is then
//! given its right length and checksum. No mutation would guess a CRC, and everything behind it would never be reached.

pub mod cjt188;
#[cfg(feature = "config")]
pub mod commands;
#[cfg(feature = "config")]
pub mod config;
pub mod dlt645;
pub mod mbus;
pub mod modbus;
pub mod mutation;
pub mod outcome;
pub mod profiles;
pub mod stored;

/// A harness with what it starts from.
pub struct Target {
    /// The name: of its module, its program and its folder in `corpus/`.
    pub name: &'static str,
    /// Looks at one input.
    pub run: fn(&[u8]),
    /// Inputs to start from: good ones, made here.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// How many mutated inputs the test command tries; so many take some seconds.
    pub short_runs: u32,
}

/// Every harness there is.
pub const TARGETS: &[Target] = &[
    Target { name: "cjt188", run: cjt188::run, seeds: cjt188::seeds, short_runs: 100_000 },
    #[cfg(feature = "config")]
    Target { name: "commands", run: commands::run, seeds: commands::seeds, short_runs: 20_000 },
    #[cfg(feature = "config")]
    Target { name: "config", run: config::run, seeds: config::seeds, short_runs: 2_000 },
    Target { name: "dlt645", run: dlt645::run, seeds: dlt645::seeds, short_runs: 100_000 },
    Target { name: "mbus", run: mbus::run, seeds: mbus::seeds, short_runs: 100_000 },
    Target { name: "modbus", run: modbus::run, seeds: modbus::seeds, short_runs: 100_000 },
    Target { name: "profiles", run: profiles::run, seeds: profiles::seeds, short_runs: 10_000 },
    Target { name: "stored", run: stored::run, seeds: stored::seeds, short_runs: 100_000 },
];

/// A selecting byte and the rest; `None` of nothing.
pub(crate) fn selected(data: &[u8]) -> Option<(u8, &[u8])> {
    data.split_first().map(|(selector, rest)| (*selector, rest))
}

/// An input under a selecting byte.
pub(crate) fn under(selector: u8, rest: &[u8]) -> Vec<u8> {
    [&[selector], rest].concat()
}
