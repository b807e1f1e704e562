//! Orders for meters, as they come down from the utility: who may give which, whether they are fresh, what is allowed.
//!
//! [`jws`] opens the signed message, [`verify`] finds out whether it is true, for this gateway and fresh, and
//! [`authorise`] whether its sender may have this done to this meter now. All three are pure: bytes, keys, clock readings
//! and counts go in, an answer comes out.

pub mod authorise;
pub mod closings;
mod config;
pub mod jws;
pub mod keys;
mod payload;
pub mod verify;

#[cfg(test)]
mod tests;

pub use config::Config;
