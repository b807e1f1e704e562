//! One request and its answer on an open port: the only code that waits for bytes.
//!
//! 1. Whatever has arrived unasked is read and thrown away, and the silence owed to the protocol is kept, counted from
//!    the last byte that passed in either direction.
//! 2. The port is set to the meter's serial parameters, where they differ. The request is written; it ends on the wire its bytes × character time later. Its echo is taken off.
//! 3. The answer's first byte may take the answer window and the adapter's allowance from there. After it, the frame's
//!    own length says how long to wait: for the wire time of what is missing, and a pause forgiven. So a whole frame
//!    ends the wait with its last byte, and no time-out ever stands between two good polls.
//! 4. A foreign frame is thrown away and the wait goes on. A garbled one ends the try; the line must then fall silent
//!    before it is used again.
//! 5. Repeats send the same bytes. What is reported is how the last try ended.
//!
//! Protocols are the drivers' business, and whose turn it is is the task's.

use std::io;
use std::time::Duration;

use tokio::sync::watch;
use weir_meter::{Ask, Fault, Line, Recognised, Serial, Timing, async_trait};

use super::config;
use super::config::Rs485;
use super::port::Port;
use super::trace::{FrameKind, Tap};
use super::visit::YieldsTo;
use crate::clock::{Alarm, Moment, now};
use crate::limits::{
    FRAME_BYTES_MAX, LINE_TURN, PAUSE_IN_FRAME, REPEATS_MAX, REQUEST_BYTES_HEARD_MAX, SILENCE_WAIT_MAX,
    UNSENT_LOOK_EVERY, WRITE_WAIT_MAX,
};
use crate::pulse::Pulse;

/// An open port with its clock.
#[derive(Debug)]
pub(super) struct Wire {
    port: Port,
    alarm: Alarm,
    pulse: Pulse,
    /// When the last byte passed, in either direction; for a request whose answer stays away, its end on the wire.
    last_byte: Moment,
    /// Where what passes is shown.
    pub(super) tap: Option<Tap>,
    /// Bytes that passed, in both directions.
    pub(super) bytes: u64,
}

impl Wire {
    /// Opens the port; `rs485` with whether the port hears what it sends.
    ///
    /// # Errors
    /// The operating system's reason.
    pub(super) async fn open(
        port: &config::Port,
        rs485: Option<(Rs485, bool)>,
        pulse: Pulse,
    ) -> io::Result<Self> {
        Self::over(Port::open(port, rs485).await?, pulse)
    }

    /// Uses a port that is open.
    ///
    /// # Errors
    /// When there is no descriptor left for a timer.
    pub(super) fn over(port: Port, pulse: Pulse) -> io::Result<Self> {
        Ok(Self { port, alarm: Alarm::new()?, pulse, last_byte: now(), tap: None, bytes: 0 })
    }

    /// Sets the serial parameters of what is sent next, where they differ, once what was sent before has left the port:
    /// a change of speed would spoil bytes that still wait in it.
    ///
    /// # Errors
    /// [`Fault::LineDown`].
    pub(super) async fn configure(&mut self, serial: &Serial) -> Result<(), Fault> {
        if self.port.is_set_to(serial) {
            return Ok(());
        }
        // For what the kernel cannot see: the chip's own buffer.
        self.alarm.until(self.last_byte).await;
        let give_up = now() + WRITE_WAIT_MAX;
        while self.port.has_unsent() {
            if now() > give_up {
                return Err(Fault::LineDown { why: "port does not send".into() });
            }
            self.pulse.beat();
            self.alarm.until(now() + UNSENT_LOOK_EVERY).await;
        }
        self.port.configure(serial).map_err(down)
    }

    /// Reads and throws away what comes while nothing is asked. Ends only with the port. Safe to drop.
    pub(super) async fn idle(&mut self) -> Fault {
        let mut buffer = [0; FRAME_BYTES_MAX];
        loop {
            match self.port.read(&mut buffer).await {
                Ok(count) => {
                    self.heard(count);
                    self.show(FrameKind::Unasked, buffer.get(..count).unwrap_or_default(), None);
                }
                Err(error) => return down(error),
            }
        }
    }

    /// The next bytes as they come, for somebody else. Safe to drop.
    ///
    /// # Errors
    /// [`Fault::LineDown`].
    pub(super) async fn pass_in(&mut self, buffer: &mut [u8]) -> Result<usize, Fault> {
        let count = self.port.read(buffer).await.map_err(down)?;
        self.heard(count);
        self.show(FrameKind::ToTool, buffer.get(..count).unwrap_or_default(), None);
        Ok(count)
    }

    /// Shows bytes to whoever watches the line.
    pub(super) fn show(&self, kind: FrameKind, bytes: &[u8], why: Option<&str>) {
        if let Some(tap) = &self.tap {
            tap.show(kind, bytes, why);
        }
    }

    fn heard(&mut self, count: usize) {
        self.last_byte = now();
        self.bytes = self.bytes.saturating_add(u64::try_from(count).unwrap_or_default());
    }

    /// The next bytes, or `None` when none have come by the deadline. What has come is returned even when it is read
    /// late, because it was the gateway that was slow and not the meter.
    async fn receive(&mut self, buffer: &mut [u8], deadline: Moment) -> Result<Option<usize>, Fault> {
        loop {
            self.pulse.beat();
            if let Some(count) = self.port.read_now(buffer).map_err(down)? {
                self.heard(count);
                return Ok(Some(count));
            }
            let now = now();
            if now >= deadline {
                return Ok(None);
            }
            tokio::select! {
                biased;
                read = self.port.read(buffer) => {
                    let count = read.map_err(down)?;
                    self.heard(count);
                    return Ok(Some(count));
                }
                () = self.alarm.until(deadline.min(now + LINE_TURN)) => {}
            }
        }
    }

    /// Waits. What comes meanwhile is thrown away before the next request.
    async fn rest(&mut self, delay: Duration) {
        self.pulse.beat();
        self.alarm.until(now() + delay).await;
    }

    /// Throws away what comes until nothing has passed for `owed`.
    async fn fall_silent(&mut self, owed: Duration) -> Result<(), Fault> {
        let give_up = now() + SILENCE_WAIT_MAX;
        let (mut buffer, mut heard) = ([0; FRAME_BYTES_MAX], 0_usize);
        while let Some(count) = self.receive(&mut buffer, self.last_byte + owed).await? {
            heard = heard.saturating_add(count);
            self.show(FrameKind::Unasked, buffer.get(..count).unwrap_or_default(), None);
            // Without a silence owed only the bytes bound this loop, with one only the time does.
            if now() > give_up || (owed.is_zero() && heard > REQUEST_BYTES_HEARD_MAX) {
                return Err(Fault::garbled(format!("line does not fall silent: {heard} bytes unasked")));
            }
        }
        Ok(())
    }

    /// Writes a request, with these serial parameters, and returns the moment at which it ends on the wire.
    pub(super) async fn send(&mut self, request: &[u8], serial: &Serial) -> Result<Moment, Fault> {
        self.configure(serial).await?;
        let on_wire = serial.characters(request.len());
        let begun = now();
        let give_up = begun + on_wire + WRITE_WAIT_MAX;
        tokio::select! {
            biased;
            written = self.port.write(request) => written.map_err(down)?,
            () = self.alarm.until(give_up) => return Err(Fault::LineDown { why: "port takes no bytes".into() }),
        }
        self.bytes = self.bytes.saturating_add(u64::try_from(request.len()).unwrap_or_default());
        self.last_byte = begun + on_wire;
        Ok(self.last_byte)
    }
}

fn down(error: io::Error) -> Fault {
    Fault::LineDown { why: error.to_string() }
}

/// How a meter is asked.
#[derive(Clone, Debug)]
pub(super) struct Manner {
    /// Its serial parameters.
    pub(super) serial: Serial,
    /// Its waits.
    pub(super) timing: Timing,
    /// Added to the waits for what lies between port and bus.
    pub(super) adapter_allowance: Duration,
    /// Whether every request comes back before its answer.
    pub(super) echo: bool,
    /// Repeats of each request.
    pub(super) repeats: u32,
    /// Waited before the first request.
    pub(super) request_delay: Duration,
}

impl Manner {
    /// The meter's protocol's own waits, as far as its configuration does not set others.
    pub(super) fn new(meter: &config::Meter, adapter_allowance: Duration, echo: bool, repeats: u32) -> Self {
        let mut timing = meter.driver.timing(&meter.serial);
        timing.answer_window = meter.answer_window.unwrap_or(timing.answer_window);
        timing.late_window = meter.late_window.unwrap_or(timing.late_window);
        timing.silence = meter.silence.unwrap_or(timing.silence);
        let (serial, request_delay) = (meter.serial, meter.request_delay);
        Self { serial, timing, adapter_allowance, echo, repeats, request_delay }.bounded()
    }

    /// With no more repeats than there may be.
    #[must_use]
    pub(super) fn bounded(self) -> Self {
        Self { repeats: self.repeats.min(REPEATS_MAX), ..self }
    }
}

/// One exchange, as it passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchanged {
    /// The request's bytes.
    pub request: Vec<u8>,
    /// The answer's, or why there is none.
    pub answer: Result<Vec<u8>, Fault>,
    /// How often the request was repeated.
    pub repeats: u32,
}

/// The answers' bytes, one frame after the other.
pub(super) fn frames(exchanges: &[Exchanged]) -> Vec<u8> {
    exchanges.iter().flat_map(|exchanged| exchanged.answer.iter().flatten()).copied().collect()
}

/// The line as a driver sees it for the length of one poll.
pub(super) struct Exchange<'a> {
    wire: &'a mut Wire,
    manner: Manner,
    stopping: &'a watch::Receiver<bool>,
    /// Whose turn it is as soon as no exchange is under way; `None` for those who yield to nobody.
    pub(super) yields_to: Option<YieldsTo>,
    /// It has yielded: what the driver makes of that is not the meter's fault.
    pub(super) yielded: bool,
    begun: bool,
    /// Repeats that were made.
    pub(super) repeated: u32,
    /// What has passed.
    pub(super) exchanges: Vec<Exchanged>,
}

#[async_trait]
impl Line for Exchange<'_> {
    async fn exchange(&mut self, ask: Ask<'_>) -> Result<Vec<u8>, Fault> {
        let (request, repeated) = (ask.request.to_vec(), self.repeated);
        let answer = self.exchange_repeatedly(ask).await;
        let repeats = self.repeated.saturating_sub(repeated);
        self.exchanges.push(Exchanged { request, answer: answer.clone(), repeats });
        answer
    }

    async fn hear(&mut self, request: &[u8]) -> Result<Vec<u8>, Fault> {
        let answer = self.hear_all(request).await;
        self.exchanges.push(Exchanged { request: request.to_vec(), answer: answer.clone(), repeats: 0 });
        answer
    }

    async fn tune(&mut self, serial: &Serial, timing: &Timing) -> Result<(), Fault> {
        self.wire.configure(serial).await?;
        (self.manner.serial, self.manner.timing) = (*serial, *timing);
        Ok(())
    }
}

impl<'a> Exchange<'a> {
    /// The line for one poll. No repeat is begun once `stopping` is true.
    pub(super) fn new(wire: &'a mut Wire, manner: Manner, stopping: &'a watch::Receiver<bool>) -> Self {
        Self {
            wire,
            manner,
            stopping,
            yields_to: None,
            yielded: false,
            begun: false,
            repeated: 0,
            exchanges: Vec::new(),
        }
    }

    async fn exchange_repeatedly(&mut self, ask: Ask<'_>) -> Result<Vec<u8>, Fault> {
        if std::mem::replace(&mut self.begun, true) {
            self.yield_if_wanted()?;
        }
        self.wire.rest(std::mem::take(&mut self.manner.request_delay)).await;
        let Timing { silence, silence_before_repeat, .. } = self.manner.timing;
        let mut owed = silence;
        for tries_left in (0..=self.manner.repeats).rev() {
            let fault = match self.try_once(&ask, owed).await {
                Ok(frame) => return Ok(frame),
                Err(fault) => fault,
            };
            match &fault {
                Fault::LineDown { .. } => return Err(fault),
                // Whatever still belongs to the damaged frame must not run into the next request, whosever it is.
                Fault::Garbled { .. } => self.wire.fall_silent(self.settled()).await?,
                Fault::Silent { .. } | Fault::Refused { .. } => {}
            }
            if tries_left == 0 || *self.stopping.borrow() {
                return Err(fault);
            }
            self.yield_if_wanted()?;
            owed = silence.max(silence_before_repeat);
            self.repeated += 1;
        }
        Err(Fault::garbled("no request was made"))
    }

    async fn hear_all(&mut self, request: &[u8]) -> Result<Vec<u8>, Fault> {
        self.wire.rest(std::mem::take(&mut self.manner.request_delay)).await;
        let Timing { silence, silence_before_repeat, .. } = self.manner.timing;
        let heard = self.hear_out(request, silence.max(silence_before_repeat)).await;
        if let Err(Fault::Garbled { .. }) = &heard {
            self.wire.fall_silent(self.settled()).await?;
        }
        heard
    }

    /// Between two requests of a poll, a repeat included.
    fn yield_if_wanted(&mut self) -> Result<(), Fault> {
        self.yielded = self.yields_to.as_ref().is_some_and(YieldsTo::any);
        if self.yielded {
            return Err(Fault::LineDown { why: "yields to a visit".into() });
        }
        Ok(())
    }

    /// The silence that ends a damaged frame: what the protocol calls one, and at least the 3.5 characters of Modbus,
    /// since no protocol here pauses longer inside a frame; and an adapter may hold back the rest.
    fn settled(&self) -> Duration {
        let Timing { silence, silence_before_repeat, .. } = self.manner.timing;
        let protocol = silence.max(silence_before_repeat).max(self.manner.serial.characters(4));
        protocol + self.manner.adapter_allowance
    }

    async fn hear_out(&mut self, request: &[u8], silence: Duration) -> Result<Vec<u8>, Fault> {
        self.wire.fall_silent(silence).await?;
        self.wire.show(FrameKind::Request, request, None);
        let sent = self.wire.send(request, &self.manner.serial).await?;
        let window = self.manner.timing.answer_window + self.manner.adapter_allowance;
        // As long as an exchange waits for the rest of a frame: one character, and a pause forgiven.
        let rest = self.manner.serial.characters(1) + self.manner.adapter_allowance + PAUSE_IN_FRAME;
        let mut heard = Heard::new(self.manner.echo.then_some(request));
        let mut deadline = sent + window;
        let mut buffer = [0; FRAME_BYTES_MAX];
        while let Some(count) = self.wire.receive(&mut buffer, deadline).await? {
            heard.take(buffer.get(..count).unwrap_or_default())?;
            deadline = (sent + window).max(self.wire.last_byte + rest);
        }
        if heard.echo.is_some_and(|rest| !rest.is_empty()) {
            return Err(heard.ended(window));
        }
        let kind = if heard.bytes.is_empty() { FrameKind::Silence } else { FrameKind::Answer };
        self.wire.show(kind, &heard.bytes, None);
        Ok(heard.bytes)
    }

    async fn try_once(&mut self, ask: &Ask<'_>, silence: Duration) -> Result<Vec<u8>, Fault> {
        self.wire.fall_silent(silence).await?;
        self.wire.show(FrameKind::Request, ask.request, None);
        let sent = self.wire.send(ask.request, &self.manner.serial).await?;
        let mut heard = Heard::new(self.manner.echo.then_some(ask.request));
        let result = self.await_answer(ask, sent, &mut heard).await;
        for (bytes, why) in &heard.foreign {
            self.wire.show(FrameKind::Foreign, bytes, Some(why));
        }
        match &result {
            Ok(frame) => self.wire.show(FrameKind::Answer, frame, None),
            Err(Fault::Silent { .. }) => self.wire.show(FrameKind::Silence, &[], None),
            Err(fault) => self.wire.show(FrameKind::Garbled, &heard.bytes, Some(&fault.to_string())),
        }
        result
    }

    async fn await_answer(
        &mut self,
        ask: &Ask<'_>,
        sent: Moment,
        heard: &mut Heard<'_>,
    ) -> Result<Vec<u8>, Fault> {
        let window = self.manner.timing.answer_window + self.manner.adapter_allowance;
        let mut deadline = sent + window;
        let mut buffer = [0; FRAME_BYTES_MAX];
        while let Some(count) = self.wire.receive(&mut buffer, deadline).await? {
            heard.take(buffer.get(..count).unwrap_or_default())?;
            match heard.look(ask)? {
                Progress::Answer(frame) => return Ok(frame),
                Progress::Missing(0) => deadline = sent + window,
                Progress::Missing(missing) => {
                    let rest = self.manner.serial.characters(missing) + self.manner.adapter_allowance;
                    deadline = (sent + window).max(self.wire.last_byte + rest + PAUSE_IN_FRAME);
                }
            }
        }
        Err(heard.ended(window))
    }
}

/// What has been heard since a request.
struct Heard<'a> {
    /// What of the echo is still to come; `None` when none is expected.
    echo: Option<&'a [u8]>,
    echoed: bool,
    bytes: Vec<u8>,
    total: usize,
    /// Frames that were no answer, and why. [`REQUEST_BYTES_HEARD_MAX`] bounds them.
    foreign: Vec<(Vec<u8>, String)>,
}

enum Progress {
    Answer(Vec<u8>),
    /// At least so many bytes are missing; 0 when nothing of an answer has been heard.
    Missing(usize),
}

impl<'a> Heard<'a> {
    fn new(echo: Option<&'a [u8]>) -> Self {
        Self { echo, echoed: false, bytes: Vec::new(), total: 0, foreign: Vec::new() }
    }

    /// Takes bytes in, comparing and removing the echo.
    fn take(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.total = self.total.saturating_add(bytes.len());
        if self.total > REQUEST_BYTES_HEARD_MAX {
            return Err(Fault::garbled(format!("{} bytes and no answer among them", self.total)));
        }
        let mut bytes = bytes;
        if let Some(expected) = self.echo.filter(|expected| !expected.is_empty()) {
            let (now, later) = expected.split_at(bytes.len().min(expected.len()));
            let (echo, rest) = bytes.split_at(now.len());
            if echo != now {
                self.bytes.extend_from_slice(bytes);
                return Err(Fault::garbled("echo differs from the request: collision, or no echo"));
            }
            (self.echo, self.echoed, bytes) = (Some(later), true, rest);
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn look(&mut self, ask: &Ask<'_>) -> Result<Progress, Fault> {
        while !self.bytes.is_empty() {
            match (ask.recognise)(&self.bytes) {
                Recognised::Answer { start, end } => {
                    let frame = self.bytes.get(start..end).filter(|frame| !frame.is_empty());
                    let frame =
                        frame.ok_or_else(|| Fault::garbled("driver marked an answer outside the bytes"))?;
                    return Ok(Progress::Answer(frame.to_vec()));
                }
                Recognised::Incomplete { missing } => {
                    if self.bytes.len().saturating_add(missing) > FRAME_BYTES_MAX {
                        return Err(Fault::garbled(format!(
                            "frame claims more than {FRAME_BYTES_MAX} bytes"
                        )));
                    }
                    return Ok(Progress::Missing(missing.max(1)));
                }
                Recognised::Foreign { end, why } => {
                    let frame = self.bytes.drain(..end.clamp(1, self.bytes.len())).collect();
                    self.foreign.push((frame, why));
                }
                Recognised::Garbled { why } => return Err(Fault::Garbled { why }),
            }
        }
        Ok(Progress::Missing(0))
    }

    /// How a try ended in which no more came.
    fn ended(&self, window: Duration) -> Fault {
        if !self.bytes.is_empty() {
            return Fault::garbled(format!("answer breaks off after {} bytes", self.bytes.len()));
        }
        if let Some((_, why)) = self.foreign.last() {
            return Fault::garbled(format!("no answer but a foreign frame: {why}"));
        }
        if self.echoed && self.echo.is_some_and(|rest| !rest.is_empty()) {
            return Fault::garbled("echo breaks off");
        }
        Fault::Silent { window_ms: u64::try_from(window.as_millis()).unwrap_or(u64::MAX) }
    }
}

#[cfg(test)]
mod tests;
