//! CJ/T 188, the protocol of Chinese water, gas and heat meters, in its 2004 and 2018 editions.
//!
//! Bytes become a [`Frame`] (`frame`), the frame that answers our request is picked out of whatever a line carries
//! (`recognise`), its data become values (`data`, `status`, `units`), and [`Cjt188`] (`driver`) asks for them. All but
//! the driver are pure functions. What differs between meters under the same standard is data: a [`Profile`].
//!
//! The text of the standard was not at hand. The facts come from open implementations and public pages, and every
//! worked frame found there is a test; where sources disagree, the profile has a setting and the default says why.
//!
//! Beside the poll, a meter can be asked for its history, address, price table, days and purchases, and told to move its
//! valve, set its clock, prices, days, purchases and address: [`Request`] has the bytes, [`Reply`] reads the answers, and
//! the functions of [`Cjt188`] carry them out over a line. Nothing of that is part of a poll. Valve, prices and clock are also
//! orders of the command path (`command`).
//!
//! What this crate deliberately does not do: decipher SM4, write keys, the parameters of the 2018 edition (A101 to A106) or
//! the factory's switch (A019), ask for heat and cold together (911F), or guess at a layout that no source tells. Such
//! answers keep their bytes.

mod address;
mod bcd;
mod command;
mod data;
mod driver;
mod frame;
mod orders;
mod presence;
mod profile;
mod recognise;
mod reply;
mod request;
mod status;
mod units;

pub use address::{Address, AddressError};
pub use data::{DI_METERING, decode, di_of};
pub use driver::Cjt188;
pub use frame::{Frame, FrameError, READ, encode};
pub use orders::OrderError;
pub use presence::who_is_there;
pub use profile::{ByteOrder, DayIdentifier, DiOrder, Profile, Ser, StatusBits, UnitOfCode, ValveCodes};
pub use recognise::{Expected, recognise};
pub use reply::{Credited, PriceTable, Purchase, Reply, Written};
pub use request::{Inexpressible, Request};
pub use weir_meter::{ProfileFault, ValveOrder};
