//! A line that answers from a script: the test bench of the drivers.
//!
//! It runs the driver's own `recognise` over the scripted bytes exactly as a real line does, byte by byte, so a driver
//! that ends a frame too early or never is found out without a port.

use std::collections::VecDeque;

use crate::{Ask, Fault, Line, Recognised, Serial, Timing, async_trait};

/// A line whose answers are written down beforehand.
#[derive(Debug, Default)]
pub struct ScriptedLine {
    script: VecDeque<(Option<Vec<u8>>, Vec<u8>)>,
    /// Every request that was made, in order.
    pub requests: Vec<Vec<u8>>,
    /// Every speed that was set, in order.
    pub bauds: Vec<u32>,
}

impl ScriptedLine {
    /// An empty script: every request meets silence.
    pub fn new() -> Self {
        Self::default()
    }

    /// The next request must be exactly this, and is answered so (no bytes: silence).
    #[must_use]
    pub fn expect(mut self, request: &[u8], answer: &[u8]) -> Self {
        self.script.push_back((Some(request.to_vec()), answer.to_vec()));
        self
    }

    /// The next request, whatever it is, is answered so.
    #[must_use]
    pub fn answer(mut self, answer: &[u8]) -> Self {
        self.script.push_back((None, answer.to_vec()));
        self
    }

    /// Whether every scripted exchange took place.
    pub fn is_finished(&self) -> bool {
        self.script.is_empty()
    }

    fn next(&mut self, request: &[u8]) -> Vec<u8> {
        self.requests.push(request.to_vec());
        let (expected, answer) = self.script.pop_front().unwrap_or_default();
        if let Some(expected) = expected {
            assert_eq!(request, expected, "request does not follow the script");
        }
        answer
    }
}

#[async_trait]
impl Line for ScriptedLine {
    async fn hear(&mut self, request: &[u8]) -> Result<Vec<u8>, Fault> {
        Ok(self.next(request))
    }

    async fn tune(&mut self, serial: &Serial, _timing: &Timing) -> Result<(), Fault> {
        self.bauds.push(serial.baud);
        Ok(())
    }

    async fn exchange(&mut self, ask: Ask<'_>) -> Result<Vec<u8>, Fault> {
        let answer = self.next(ask.request);
        if answer.is_empty() {
            return Err(Fault::Silent { window_ms: 0 });
        }
        let (mut received, mut foreign) = (Vec::new(), None);
        for byte in answer {
            received.push(byte);
            match (ask.recognise)(&received) {
                Recognised::Incomplete { missing } => assert!(missing > 0, "incomplete with nothing missing"),
                Recognised::Answer { start, end } => {
                    return Ok(received.get(start..end).unwrap_or_default().to_vec());
                }
                Recognised::Foreign { end, why } => {
                    received.drain(..end);
                    foreign = Some(why);
                }
                Recognised::Garbled { why } => return Err(Fault::Garbled { why }),
            }
        }
        Err(Fault::Garbled { why: foreign.unwrap_or_else(|| "answer breaks off".into()) })
    }
}
