//! The driver: asks one meter for what its profile lists, one exchange for each identifier and each further frame.

use std::sync::Arc;
use std::time::Duration;

use weir_meter::{Answer, Ask, Driver, Fault, Line, Load, Serial, Timing, async_trait};

use crate::data::{identity, parse, raw, values};
use crate::frame::{READ, READ_NEXT, SHORTEST, encode};
use crate::recognise::{Expected, recognise};
use crate::{Address, Profile};

/// From the request's end to the answer's first byte: the 500 ms that open drivers wait (a public Go driver's
/// `DefaultResponseTimeout`). Other windows are set for the line or the meter.
const ANSWER_WINDOW: Duration = Duration::from_millis(500);
/// For how long an answer may come late, since nothing but its identifier tells it from a fresh one: as long again as it
/// may take in the first place, twice.
const LATE_WINDOW: Duration = Duration::from_millis(1000);
/// Bit times of silence before a repeat: three characters, in which a meter notices that the bus is free.
const SILENCE_BEFORE_REPEAT_BITS: u32 = 33;
/// Wake-up bytes before an answer, for the forecast of a line's load: meters send up to four.
const ANSWER_WAKE_UP: usize = 4;
/// Values of a block that the forecast counts with: a total and four tariffs.
const BLOCK_VALUES: usize = 5;
/// Further frames of one identifier, so that no meter keeps a line for itself: 16 of them hold 3 KB, and no identifier of
/// the standard that is read here fills two.
const FURTHER_FRAMES_MAX: u8 = 16;

/// One meter that speaks DL/T 645-2007.
#[derive(Clone, Debug)]
pub struct Dlt645 {
    pub(crate) address: Address,
    profile: Arc<Profile>,
}

impl Dlt645 {
    /// The driver of the meter at this address.
    pub fn new(address: Address, profile: Arc<Profile>) -> Self {
        Self { address, profile }
    }

    /// Reads everything the profile lists.
    async fn read_all(&self, line: &mut dyn Line) -> Result<Answer, Fault> {
        let mut answer = Answer::default();
        let (mut address, mut telegrams) = (self.address, Vec::new());
        for read in &self.profile.read {
            let reply = match self.read_identifier(line, address, read.di()).await {
                Err(Fault::Refused { .. }) if read.optional => continue,
                reply => reply?,
            };
            // From the first answer on the meter is asked by its whole address.
            address = reply.address;
            answer.values.extend(values(read, &reply.payload));
            telegrams.extend(reply.raw);
        }
        answer.identity = identity(&address);
        answer.raw = Some(weir_wire::Raw(telegrams));
        Ok(answer)
    }

    /// The bytes of one identifier, from as many frames as the meter needs.
    pub(crate) async fn read_identifier(
        &self,
        line: &mut dyn Line,
        address: Address,
        di: u32,
    ) -> Result<Reply, Fault> {
        let expected = Expected { address, control: READ, di: Some(di), sequence: None };
        let telegram = self.exchange(line, &expected, &di.to_le_bytes()).await?;
        let frame = parse(&telegram)?;
        let payload = frame.data.get(4..).unwrap_or_default().to_vec();
        let mut reply = Reply { address: frame.address, payload, raw: raw(&telegram).0 };
        let mut has_more = frame.has_more();
        for sequence in 1..=FURTHER_FRAMES_MAX {
            if !has_more {
                return Ok(reply);
            }
            let [d0, d1, d2, d3] = di.to_le_bytes();
            let expected = Expected {
                address: reply.address,
                control: READ_NEXT,
                di: Some(di),
                sequence: Some(sequence),
            };
            let telegram = self.exchange(line, &expected, &[d0, d1, d2, d3, sequence]).await?;
            let frame = parse(&telegram)?;
            if let Some([payload @ .., _sequence]) = frame.data.get(4..) {
                reply.payload.extend(payload);
            }
            reply.raw.extend(raw(&telegram).0);
            has_more = frame.has_more();
        }
        if has_more {
            let why = format!("{di:08X} does not end after {FURTHER_FRAMES_MAX} further frames");
            return Err(Fault::refused(why));
        }
        Ok(reply)
    }

    /// One request and the frame that answers it, which may be an error answer.
    pub(crate) async fn exchange(
        &self,
        line: &mut dyn Line,
        expected: &Expected,
        data: &[u8],
    ) -> Result<Vec<u8>, Fault> {
        let request = encode(self.profile.wake_up_bytes, &expected.address, expected.control, data);
        line.exchange(Ask { request: &request, recognise: &|received| recognise(received, expected) }).await
    }
}

/// What a meter answered for one identifier.
pub(crate) struct Reply {
    /// Its whole address.
    pub(crate) address: Address,
    /// What follows the identifier, of all frames.
    pub(crate) payload: Vec<u8>,
    /// The frames without wake-up bytes, one after the other.
    raw: Vec<u8>,
}

impl Reply {
    pub(crate) fn raw(&self) -> &[u8] {
        &self.raw
    }
}

#[async_trait]
impl Driver for Dlt645 {
    fn name(&self) -> &'static str {
        "dlt645"
    }

    fn address(&self) -> Option<String> {
        Some(self.address.to_string())
    }

    fn timing(&self, serial: &Serial) -> Timing {
        Timing {
            answer_window: ANSWER_WINDOW,
            silence: Duration::ZERO,
            silence_before_repeat: serial.bits(SILENCE_BEFORE_REPEAT_BITS),
            late_window: LATE_WINDOW,
        }
    }

    fn load(&self) -> Vec<Load> {
        let request = usize::from(self.profile.wake_up_bytes) + SHORTEST + 4;
        let of = |read: &crate::Read| {
            let (shortest, typical) = if read.block.is_some() { (1, BLOCK_VALUES) } else { (1, 1) };
            let answer = |values: usize| SHORTEST + 4 + values * usize::from(read.bytes);
            Load {
                request,
                // An optional value that is refused is answered with one byte and no identifier.
                shortest_answer: if read.optional { SHORTEST + 1 } else { answer(shortest) },
                typical_answer: answer(typical) + ANSWER_WAKE_UP,
            }
        };
        self.profile.read.iter().map(of).collect()
    }

    async fn read(&mut self, line: &mut dyn Line) -> Result<Answer, Fault> {
        self.read_all(line).await
    }
}
