//! What every driver is, what it may ask of a line, and the four ways in which a poll fails.
//!
//! A [`Driver`] speaks one protocol to one meter. It owns no port and knows no clock: it hands the [`Line`] a request
//! and a function that recognises the answer by its length and contents, and gets the answer's bytes or a [`Fault`].
//! The line alone knows ports, waiting, echo, repeats and noise. So the codecs stay pure functions over bytes, meters
//! of different protocols can share a line, and a frame ends when its last byte is there and not when a time-out ran out.

mod fault;
mod framing;
mod order;
mod profile;
mod roll_call;
#[cfg(feature = "scripted")]
pub mod scripted;
pub mod selection;
mod serial;

pub use async_trait::async_trait;
pub use fault::Fault;
pub use framing::{Ask, Recognised};
pub use order::{Course, Order, Unsupported, ValveOrder};
pub use profile::ProfileFault;
pub use roll_call::{Presence, RollCall, RollCallError, call_roll};
pub use serial::{Parity, Serial, StopBits, Timing};
pub use weir_wire::{Answer, Observed};

/// One meter, spoken to in its protocol.
///
/// A driver value belongs to one meter for as long as the daemon runs, so it may remember what the protocol needs from
/// poll to poll (M-Bus: the frame count bit; CJ/T 188: the serial counter).
#[async_trait]
pub trait Driver: Send {
    /// The protocol's name in configuration and readings: `mbus`, `modbus`, `cjt188`.
    fn name(&self) -> &'static str;

    /// Under which address the meter is asked, as the configuration writes it; `None` where nobody has use for it.
    fn address(&self) -> Option<String> {
        None
    }

    /// How long to wait where, by the protocol's standard, on a line with these parameters.
    fn timing(&self, serial: &Serial) -> Timing;

    /// What one read puts on the wire, for the forecast of a line's load.
    fn load(&self) -> Vec<Load>;

    /// Reads the meter once.
    ///
    /// # Errors
    /// A [`Fault`]; the next read must work whatever the fault was.
    async fn read(&mut self, line: &mut dyn Line) -> Result<Answer, Fault>;

    /// What one answer of the meter says, with the request that it answers, for a person who watches. `None` where
    /// it says nothing, like an acknowledgement.
    ///
    /// # Errors
    /// A [`Fault`], when it cannot be read.
    fn decode(&self, request: &[u8], answer: &[u8]) -> Option<Result<Answer, Fault>> {
        let _ = (request, answer);
        None
    }

    /// Whether this meter can be told this, and how it runs its course. Asks nobody.
    ///
    /// # Errors
    /// [`Unsupported`], also for what the meter's own form cannot hold exactly.
    fn course(&self, order: &Order) -> Result<Course, Unsupported> {
        let _ = order;
        Err(Unsupported::new(format!("a {} meter takes no orders here", self.name())))
    }

    /// Whether the order fits what the meter has just said of itself. Asks nobody.
    ///
    /// # Errors
    /// [`Unsupported`].
    fn suits(&self, order: &Order, shown: &Answer) -> Result<(), Unsupported> {
        let _ = (order, shown);
        Ok(())
    }

    /// Tells the meter, and gives what its answer shows, which is often still the state before.
    ///
    /// The order itself goes out in one request. The line is the caller's to set so that it repeats nothing.
    ///
    /// # Errors
    /// [`Fault::Refused`] when the meter said no, or when nothing was sent because of [`Driver::course`]. After all others
    /// nobody knows whether it has obeyed: what stays away or is spoilt before the order goes out is none the less what it
    /// is, and never a refusal.
    async fn carry_out(&mut self, line: &mut dyn Line, order: &Order) -> Result<Observed, Fault> {
        let _ = line;
        let why = self.course(order).err().map_or_else(|| "not known how".to_owned(), |error| error.why);
        Err(Fault::Refused { why })
    }

    /// Looks at what the meter shows of what this order is about. Changes nothing and may be repeated.
    ///
    /// # Errors
    /// A [`Fault`].
    async fn observe(&mut self, line: &mut dyn Line, order: &Order) -> Result<Observed, Fault> {
        let _ = order;
        let answer = self.read(line).await?;
        Ok(Observed {
            valve: answer.status.valve,
            meter_time: answer.meter_time,
            number: answer.identity.number,
            ..Observed::default()
        })
    }
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

    /// Puts a request on the line once, and returns all that is heard until the answer window is over and the line is
    /// silent; its echo is taken off. Nothing heard is an empty answer.
    ///
    /// For discovery, where several meters may answer at once or one after the other: there the first good frame is not
    /// the end.
    ///
    /// # Errors
    /// [`Fault::Garbled`] when the echo was not the request, [`Fault::Silent`] when an echo is expected and not even that
    /// came, [`Fault::LineDown`]; [`Fault::Refused`] from a line that cannot do this.
    async fn hear(&mut self, request: &[u8]) -> Result<Vec<u8>, Fault> {
        let _ = request;
        Err(Fault::refused("this line cannot listen to more than one answer"))
    }

    /// Speaks with these parameters and waits from here on, to the end of the poll or visit.
    ///
    /// # Errors
    /// [`Fault::LineDown`] when the port cannot be set so; [`Fault::Refused`] from a line whose speed is set elsewhere.
    async fn tune(&mut self, serial: &Serial, timing: &Timing) -> Result<(), Fault> {
        let _ = (serial, timing);
        Err(Fault::refused("this line has one speed"))
    }
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
