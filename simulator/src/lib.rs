//! Simulated water meters (M-Bus, Modbus and CJ/T 188) and electricity meters (DL/T 645), on real ptys, on TCP and in memory, at the line's real speed,
//! with seeded faults.
//!
//! ```text
//!            config ──► Plan                    journal ◄── what was said
//!              │                                    ▲
//!   port ──► line (one thread, absolute deadlines) ─┤
//!    ▲         │ bytes, when they end               │
//!    │         ▼                                    │
//!    │       bus: recognise ─► meters ─► mbus │ modbus │ cjt188 │ dlt645 ─► spoil
//!    │         │ replies, when they begin
//!    └───── wire: which byte is due when
//! ```
//!
//! `bus`, `wire` and the protocols are pure: bytes and times go in, bytes and times come out. `line` and `port`
//! are the only ones that wait or touch a descriptor.
//!
//! Everything here is written from the standards, and nothing of the drivers is used, so that a misreading in a driver
//! is not answered by the same misreading here.
//!
//! Deliberately absent: wireless M-Bus, encryption, parity errors (no pty and no TCP carries a parity bit), and any
//! judging of the master's silences between frames.
//!
//! # Example
//!
//! ```
//! use std::io::{Read, Write};
//! use weir_simulator::{Config, LineConfig, MeterConfig, Simulator};
//!
//! let line = LineConfig { paced: Some(false), ..LineConfig::memory("riser-1") };
//! let line = line.with([MeterConfig::mbus("A-101").address(5)]);
//! let simulator = Simulator::start(Config { lines: vec![line], ..Config::default() })?;
//! let mut stream = simulator.line("riser-1")?.connect()?;
//! stream.write_all(&[0x10, 0x40, 0x05, 0x45, 0x16])?;
//! let mut answer = [0];
//! stream.read_exact(&mut answer)?;
//! assert_eq!(answer, [0xE5]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod bus;
pub mod cjt188;
mod clock;
mod config;
pub mod dlt645;
mod error;
mod fault;
mod journal;
mod line;
pub mod mbus;
pub mod modbus;
mod pacing;
mod port;
mod simulator;
mod wire;

pub use bus::{CLOCK_OFF_S, Obeyed};
pub use config::{
    Address, Config, ConfigError, DiOrder, LineConfig, MeterConfig, ModbusFraming, Parity, Protocol,
};
pub use error::Error;
pub use fault::{Fault, FaultRule};
pub use journal::{Journal, Said};
pub use line::LineCounters;
pub use pacing::Character;
pub use simulator::{LineHandle, MeterHandle, Simulator};
