//! CJ/T 188, the protocol of Chinese water, gas and heat meters, in its 2004 and 2018 editions: the reading path.
//!
//! Bytes become a [`Frame`] (`frame`), the frame that answers our request is picked out of whatever a line carries
//! (`recognise`), its data become values (`data`, `status`, `units`), and [`Cjt188`] (`driver`) asks for them. All but
//! the driver are pure functions. What differs between meters under the same standard is data: a [`Profile`].
//!
//! The text of the standard was not at hand. The facts come from open implementations and public pages, and every
//! worked frame found there is a test; where sources disagree, the profile has a setting and the default says why.
//!
//! What this crate deliberately does not do: write anything (valve, clock, tariff, address), decipher SM4, or read
//! more than the metering data 901F from a meter. Other answers are still decoded as far as their layout is agreed.

mod address;
mod data;
mod driver;
mod frame;
mod profile;
mod recognise;
mod status;
mod units;

pub use address::{Address, AddressError};
pub use data::{DI_METERING, decode, di_of};
pub use driver::Cjt188;
pub use frame::{Frame, FrameError, READ, encode};
pub use profile::{ByteOrder, DiOrder, Profile, ProfileError, Ser, StatusBits, UnitOfCode};
pub use recognise::{Expected, recognise};
