//! What every driver is, what it may ask of a line, and the four ways in which a poll fails.
//!
//! A [`Driver`] speaks one protocol to one meter. It owns no port and knows no clock: it hands the [`Line`] a request
//! and a function that recognises the answer by its length and contents, and gets the answer's bytes or a [`Fault`].
//! The line alone knows ports, waiting, echo, repeats and noise. So the codecs stay pure functions over bytes, meters
//! of different protocols can share a line, and a frame ends when its last byte is there and not when a time-out ran out.

mod fault;
mod framing;
mod profile;
#[cfg(feature = "scripted")]
pub mod scripted;
pub mod selection;
mod serial;

pub use async_trait::async_trait;
pub use fault::Fault;
pub use framing::{Ask, Recognised};
pub use profile::ProfileFault;
pub use serial::{Parity, Serial, StopBits, Timing};
pub use weir_wire::Answer;

/// One meter, spoken to in its protocol.
///
/// A driver value belongs to one meter for as long as the daemon runs, so it may remember what the protocol needs from
/// poll to poll (M-Bus: the frame count bit; CJ/T 188: the serial counter).
#[async_trait]
pub trait Driver: Send {
    /// The protocol's name in configuration and readings: `mbus`, `modbus`, `cjt188`.
    fn name(&self) -> &'static str;

    /// How long to wait where, by the protocol's standard, on a line with these parameters.
    fn timing(&self, serial: &Serial) -> Timing;

    /// What one read puts on the wire, for the forecast of a line's load.
    fn load(&self) -> Vec<Load>;

    /// Reads the meter once.
    ///
    /// # Errors
    /// A [`Fault`]; the next read must work whatever the fault was.
    async fn read(&mut self, line: &mut dyn Line) -> Result<Answer, Fault>;
}

/// The line as a driver sees it.
#[async_trait]
pub trait Line: Send {
    /// Puts a request on the line and returns the answer: exactly the bytes that [`Ask::recognise`] marked.
    ///
    /// The line repeats the same bytes as often as its configuration allows before it gives up.
    ///
    /// # Errors
    /// [`Fault::Silent`] when nothing came, [`Fault::Garbled`] when something came that was not the answer, or
    /// [`Fault::LineDown`] when the port cannot be used. [`Fault::Refused`] is for drivers alone.
    async fn exchange(&mut self, ask: Ask<'_>) -> Result<Vec<u8>, Fault>;
}

/// One exchange of a read, in bytes on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// Bytes of the request.
    pub request: usize,
    /// Bytes of the shortest possible answer.
    pub shortest_answer: usize,
    /// Bytes of a typical answer, where the real one is not yet known.
    pub typical_answer: usize,
}
