//! The driver: asks one meter for its metering data, with one exchange a poll. What else a meter can be asked and told
//! stands in `orders` and `command`, over the exchange of this file.
//!
//! Each new request carries the next serial number, and the line repeats a request unchanged. So an answer that comes
//! after its time-out is told from the one waited for, except with meters that do not repeat the number.

use std::sync::Arc;
use std::time::Duration;

use weir_meter::{
    Answer, Ask, Course, Driver, Fault, Line, Load, Observed, Order, Serial, Timing, Unsupported, async_trait,
};

use crate::data::decode;
use crate::frame::SHORTEST;
use crate::recognise::{Expected, recognise};
use crate::{Address, DiOrder, Profile, Request, Ser};

/// From the request's end to the answer's first byte.
///
/// The standard's figure is not known here, so this is a choice: more than twice the 188 ms that M-Bus (EN 13757-2)
/// allows at 2400 Bd, the usual speed. Other windows are set for the line or the meter.
const ANSWER_WINDOW: Duration = Duration::from_millis(500);
/// For how long an answer without serial number may come late: as long again as it may take in the first place, twice.
const LATE_WINDOW: Duration = Duration::from_millis(1000);
/// Bit times of silence before a repeat: those of M-Bus, which the protocol may run over.
const SILENCE_BEFORE_REPEAT_BITS: u32 = 33;
/// Data bytes of 901F from a water or gas meter, with identifier and serial number.
const ANSWER_DATA: usize = 0x16;
/// Wake-up bytes before an answer: the standard has 2 to 4, and this counts for the forecast of a line's load.
const ANSWER_WAKE_UP: usize = 4;
/// After so many failed polls in a row a meter whose byte order was found is tried in the other one too: it may have
/// been replaced by one of another make.
const FAILURES_BEFORE_NEW_PROBE: u32 = 3;

/// One meter that speaks CJ/T 188.
#[derive(Clone, Debug)]
pub struct Cjt188 {
    pub(crate) address: Address,
    pub(crate) profile: Arc<Profile>,
    /// The serial number of the next request.
    ser: u8,
    /// With [`DiOrder::Auto`]: the order that the meter answered.
    pub(crate) answered: Option<DiOrder>,
    /// Polls without a reading since the last one with.
    failures: u32,
}

impl Cjt188 {
    /// The driver of the meter at this address.
    pub fn new(address: Address, profile: Arc<Profile>) -> Self {
        Self { address, profile, ser: 0, answered: None, failures: 0 }
    }

    /// The byte order to ask in, and the one to try when that fails.
    pub(crate) fn orders(&self) -> (DiOrder, Option<DiOrder>) {
        let first = match (self.profile.di_order, self.answered) {
            (DiOrder::Auto, Some(answered)) => answered,
            (DiOrder::Auto, None) => DiOrder::LowFirst,
            (order, _) => return (order, None),
        };
        let other = if first == DiOrder::HighFirst { DiOrder::LowFirst } else { DiOrder::HighFirst };
        let is_turn = self.failures % FAILURES_BEFORE_NEW_PROBE == FAILURES_BEFORE_NEW_PROBE - 1;
        (first, (self.answered.is_none() || is_turn).then_some(other))
    }

    /// Whether it is not known yet in which byte order the meter understands a write.
    pub(crate) fn must_find_order(&self) -> bool {
        self.profile.di_order == DiOrder::Auto && self.answered.is_none()
    }

    pub(crate) async fn read_either(&mut self, line: &mut dyn Line) -> Result<Answer, Fault> {
        let (first, second) = self.orders();
        let fault = match (self.read_as(line, first).await, second) {
            // What a meter does with an identifier it does not know: nothing, or an error answer.
            (Err(fault @ (Fault::Silent { .. } | Fault::Refused { .. })), Some(_)) => fault,
            (result, _) => return result,
        };
        match (self.read_as(line, second.unwrap_or(first)).await, &fault) {
            // Silence says less than a refusal.
            (Err(Fault::Silent { .. }), Fault::Refused { .. }) => Err(fault),
            (result, _) => result,
        }
    }

    async fn read_as(&mut self, line: &mut dyn Line, order: DiOrder) -> Result<Answer, Fault> {
        let telegram = self.exchange(line, &Request::metering(), order, None).await?;
        let answer = decode(&telegram, &self.profile)?;
        self.answered = Some(order);
        Ok(answer)
    }

    /// Sends a request in this byte order and gives the frame that answers it, which may be an error answer.
    ///
    /// `renamed` may answer as well as the meter itself.
    pub(crate) async fn exchange(
        &mut self,
        line: &mut dyn Line,
        request: &Request,
        order: DiOrder,
        renamed: Option<Address>,
    ) -> Result<Vec<u8>, Fault> {
        let ser = self.ser;
        self.ser = self.ser.wrapping_add(1);
        let telegram = request.encode(&self.address, order, ser, &self.profile);
        let expected = Expected {
            address: self.address,
            renamed,
            control: request.control(),
            di: request.di(),
            ser: (self.profile.ser == Ser::Echoed).then_some(ser),
        };
        line.exchange(Ask { request: &telegram, recognise: &|received| recognise(received, &expected) }).await
    }
}

#[async_trait]
impl Driver for Cjt188 {
    fn name(&self) -> &'static str {
        "cjt188"
    }

    fn address(&self) -> Option<String> {
        Some(self.address.to_string())
    }

    fn timing(&self, serial: &Serial) -> Timing {
        Timing {
            answer_window: ANSWER_WINDOW,
            silence: Duration::ZERO,
            silence_before_repeat: serial.bits(SILENCE_BEFORE_REPEAT_BITS),
            late_window: if self.profile.ser == Ser::Echoed { Duration::ZERO } else { LATE_WINDOW },
        }
    }

    fn load(&self) -> Vec<Load> {
        let ser_bytes = self.profile.ser_bytes();
        let answer = SHORTEST + ANSWER_DATA - 1 + ser_bytes;
        vec![Load {
            request: usize::from(self.profile.wake_up_bytes) + SHORTEST + 2 + ser_bytes,
            shortest_answer: answer,
            typical_answer: answer + ANSWER_WAKE_UP,
        }]
    }

    async fn read(&mut self, line: &mut dyn Line) -> Result<Answer, Fault> {
        let result = self.read_either(line).await;
        self.failures = if result.is_ok() { 0 } else { self.failures.saturating_add(1) };
        result
    }

    fn decode(&self, _: &[u8], answer: &[u8]) -> Option<Result<Answer, Fault>> {
        Some(decode(answer, &self.profile))
    }

    fn course(&self, order: &Order) -> Result<Course, Unsupported> {
        self.course_of(order)
    }

    fn suits(&self, order: &Order, shown: &Answer) -> Result<(), Unsupported> {
        self.fits(order, shown.meter_time)
    }

    async fn carry_out(&mut self, line: &mut dyn Line, order: &Order) -> Result<Observed, Fault> {
        self.tell(line, order).await
    }

    async fn observe(&mut self, line: &mut dyn Line, order: &Order) -> Result<Observed, Fault> {
        self.look(line, order).await
    }
}
