//! DL/T 645-2007, the protocol of Chinese electricity meters, for the meter rooms where they share a line with water
//! meters: reading, further frames, the address of a single meter, the relay's state, and its switching.
//!
//! Bytes become a [`Frame`] (`frame`), the frame that answers our request is picked out of whatever a line carries
//! (`recognise`), its data become values (`data`) by what a [`Profile`] says about each identifier, and [`Dlt645`]
//! (`driver`) asks for them. Switching the relay is no part of a poll: [`Dlt645::switch`] (`orders`) is called by whoever
//! may. All but the driver are pure functions.
//!
//! The text of the standard was not at hand. The facts come from public pages and open implementations, named where
//! they are used, and every worked frame found there is a test.
//!
//! What this crate deliberately does not do: DL/T 645-1997, writing anything but the relay (clock, address, speed, passwords,
//! clearing), the broadcasts that nobody answers, and load records.

mod address;
mod data;
mod driver;
mod frame;
mod orders;
mod presence;
mod profile;
mod recognise;

pub use address::{Address, AddressError};
pub use data::{decode, error_in_words};
pub use driver::Dlt645;
pub use frame::{Frame, FrameError, READ, READ_NEXT, encode};
pub use orders::{Authority, Inexpressible, OrderError, Relay, RelayOrder, Switched, relay_request};
pub use presence::who_is_there;
pub use profile::{Block, Profile, Read};
pub use recognise::{Expected, recognise};
pub use weir_meter::ProfileFault;
