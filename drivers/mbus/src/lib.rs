//! Wired M-Bus: reads a meter over the EN 13757-2 link layer and decodes its EN 13757-3 application layer.
//!
//! ```text
//! driver     which requests make a reading
//! services   what may be changed in a meter; discovery finds those that nobody wrote down
//! valve      what moves a valve and tells its position, by a profile
//!   link       how a meter is reached: begun anew or selected, with which frame count bit
//!   frame      link layer: frames, checksums, where an answer ends
//!   telegram   application layer: what the CI field announces; header, errors
//!     afl        CI 90: message counter and authentication code in front of the header
//!     header     who the meter is, its status byte
//!     security   checks the code, decrypts the records (modes 5 and 7)
//!     fixed      CI 73: two counters
//!     record     CI 72, 7A, 78: data records, one after another
//!       dif        where a value belongs and how it is coded
//!       vif, vife  what it measures, in which unit and scale
//!       data       digits, texts
//!       moment     dates and times
//! ```
//!
//! Everything below `driver` is a pure function over at most 261 bytes. A value whose meaning is not certain is never
//! passed off as a plain one: its quantity is then `vif:…` with the raw value information, and its bytes are with it.
//!
//! What is not here: security modes but 5 and 7, and mode 2 (most significant byte first), which the standard has given
//! up.

mod address;
mod afl;
mod data;
mod dif;
pub mod discovery;
mod driver;
mod fixed;
pub mod frame;
mod header;
mod key;
mod link;
mod moment;
mod options;
mod profile;
mod record;
mod secondary;
mod security;
pub mod services;
mod telegram;
mod valve;
mod vif;
mod vife;

pub use address::{Address, AddressError};
pub use driver::{Mbus, TELEGRAMS_MAX, timing};
pub use header::MeterId;
pub use key::{Key, KeyError};
pub use options::{Options, VifText};
pub use profile::Profile;
pub use secondary::Secondary;
pub use telegram::decode;
pub use valve::ValveMap;
