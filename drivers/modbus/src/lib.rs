//! Modbus RTU and TCP water meters, read by what a register profile says about their model.
//!
//! ```text
//!   profile (TOML) ──► Profile ──► plan: the fewest requests
//!                                   │
//!   Modbus::read ── each request ──►│ tokio-modbus ◄─ duplex ─► line.exchange(frame::rtu | frame::tcp recognises)
//!                                   ▼
//!                        image: registers by address ──► evaluate ──► Answer
//!   decode (weir decode) ──────────►┘
//! ```
//!
//! tokio-modbus makes the requests and reads the answers, but it never sees a port: it wants to own a `'static`
//! transport, knows no time-outs and takes a frame with a wrong CRC for silence. So it sits on an in-memory duplex, and
//! the line alone knows lengths, checksums, echo, time and faults.
//!
//! Everything but [`Modbus`] is pure. Sources: "MODBUS Application Protocol Specification" V1.1b3, "MODBUS over Serial
//! Line" V1.02, "MODBUS Messaging on TCP/IP Implementation Guide" V1.0b (modbus.org).
//!
//! Deliberately absent: reading coils and discrete inputs, writing anything but a valve's orders and a tariff, Modbus ASCII, and
//! guessing of addresses or word orders.

mod decode;
mod driver;
mod evaluate;
pub mod frame;
mod plan;
mod profile;
pub mod profiles;
mod types;

pub use decode::{DecodeError, decode};
pub use driver::{Framing, Modbus, UnitError};
pub use plan::Block;
pub use profile::{Profile, ProfileFault, Row};
