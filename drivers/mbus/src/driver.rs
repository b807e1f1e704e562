//! Reads one meter: which requests, in which order, with which frame count bit.
//!
//! ```text
//!            first contact, or          REQ_UD2, FCB as it stands
//!            after any fault            ┌─────────────────────────┐
//!   unsure ── SND_NKE → E5 ──► in step ─┴─► good answer: FCB toggles ──► in step
//!     ▲                           │
//!     └────────── any fault ──────┘
//! ```
//!
//! **Why the frame count bit matters.** A meter that sees the same FCB twice takes the second request for a repeat and may
//! send its last telegram again. That is wanted inside an exchange (the line repeats the same bytes) and wrong across
//! polls: after a fault or a restart nobody knows which FCB the meter saw last, and the "repeat" could be a reading of
//! hours ago that looks fresh. SND_NKE makes the meter forget the bit (EN 13757-2), so the next request is new to it
//! whatever its FCB. It costs one short exchange, and only then: on the healthy path a poll is one exchange.
//!
//! **Late answers.** RSP_UD names its meter but not its request. A late one can only meet a request to the same meter
//! after that meter was silent; then SND_NKE comes first, during which a long frame is foreign and is thrown away. So no
//! late window is owed. (E5 names nobody: a late one taken for another meter's only means that its REQ_UD2 follows early.)

use weir_meter::{Answer, Ask, Driver, Fault, Line, Load, Serial, Timing, async_trait};

use std::time::Duration;

use crate::frame;
use crate::telegram::{self, Merge};
use crate::{Address, Options};

/// Telegrams of one answer, at most.
///
/// A meter announces each next one itself (DIF 1F), and some announce one for ever. Sixteen telegrams are 4 KiB of
/// records, more than any meter here sends, and take 20 s at 2400 Bd: longer, one meter would hold up its line.
pub const TELEGRAMS_MAX: usize = 16;

/// Bytes of a common water meter's answer: the median of the corpus.
const TYPICAL_ANSWER: usize = 66;

/// One M-Bus meter.
#[derive(Debug)]
pub struct Mbus {
    address: Address,
    options: Options,
    /// The FCB of the next REQ_UD2; `None` while it is not known what the meter expects.
    frame_count: Option<bool>,
}

impl Mbus {
    /// A meter that has not been spoken to yet.
    pub fn new(address: Address, options: Options) -> Self {
        Self { address, options, frame_count: None }
    }

    /// Begins the link anew; the first frame count bit after it is 1 (EN 13757-2).
    async fn reset(&self, line: &mut dyn Line) -> Result<bool, Fault> {
        let request = frame::short(frame::SND_NKE, self.address.byte());
        line.exchange(Ask { request: &request, recognise: &frame::recognise_acknowledge }).await?;
        Ok(true)
    }

    async fn request(&self, line: &mut dyn Line, frame_count: bool) -> Result<Vec<u8>, Fault> {
        let bit = if frame_count { frame::FRAME_COUNT_BIT } else { 0 };
        let request = frame::short(frame::REQ_UD2 | bit, self.address.byte());
        let expected = self.address.answers_as();
        let recognise = move |bytes: &[u8]| frame::recognise_response(bytes, expected);
        line.exchange(Ask { request: &request, recognise: &recognise }).await
    }

    /// Reads the telegrams behind the first, which announced them.
    ///
    /// A meter that announces another telegram and then says nothing, or says no, has given what it has: the values stand,
    /// with a note. One that starts over is done.
    async fn read_on(
        &self,
        line: &mut dyn Line,
        merge: &mut Merge,
        mut frame_count: bool,
    ) -> Result<(), Fault> {
        let first = merge.values().to_vec();
        for _ in 1..TELEGRAMS_MAX {
            let next = match self.request(line, frame_count).await {
                Ok(bytes) => telegram::read(&bytes, &self.options).map(|telegram| (bytes, telegram)),
                Err(fault) => Err(fault),
            };
            let (bytes, telegram) = match next {
                Ok(next) => next,
                Err(fault @ (Fault::Silent { .. } | Fault::Refused { .. })) => {
                    merge.incomplete(format!("the meter announced a further telegram, then: {fault}"));
                    return Ok(());
                }
                Err(fault) => return Err(fault),
            };
            let more_follow = telegram.more_follow;
            if telegram.values == first {
                return Ok(());
            }
            merge.add(&bytes, telegram)?;
            if !more_follow {
                return Ok(());
            }
            frame_count = !frame_count;
        }
        merge.incomplete(format!("the meter announces more than {TELEGRAMS_MAX} telegrams"));
        Ok(())
    }
}

#[async_trait]
impl Driver for Mbus {
    fn name(&self) -> &'static str {
        "mbus"
    }

    fn timing(&self, serial: &Serial) -> Timing {
        Timing {
            // EN 13757-2: a meter answers 11 to 330 bit times + 50 ms after the end of the request.
            answer_window: serial.bits(330) + Duration::from_millis(50),
            // A frame says itself where it ends.
            silence: Duration::ZERO,
            // EN 13757-2: the line rests for 33 bit times before a repeat, so that every meter drops what it has half received.
            silence_before_repeat: serial.bits(33),
            // See "Late answers" at the top of this file.
            late_window: Duration::ZERO,
        }
    }

    fn load(&self) -> Vec<Load> {
        vec![Load {
            request: frame::short(frame::REQ_UD2, 0).len(),
            shortest_answer: frame::SHORTEST_RESPONSE,
            typical_answer: TYPICAL_ANSWER,
        }]
    }

    async fn read(&mut self, line: &mut dyn Line) -> Result<Answer, Fault> {
        // Taken out first: whatever way this ends, unless it ends well, the meter's state is not known.
        let frame_count = match self.frame_count.take() {
            Some(known) => known,
            None => self.reset(line).await?,
        };
        let bytes = self.request(line, frame_count).await?;
        let telegram = telegram::read(&bytes, &self.options)?;
        let more_follow = telegram.more_follow;
        let mut merge = Merge::default();
        merge.add(&bytes, telegram)?;
        if more_follow {
            // The next poll begins with SND_NKE again: only that brings every meter back to its first telegram.
            self.read_on(line, &mut merge, !frame_count).await?;
        } else {
            self.frame_count = Some(!frame_count);
        }
        Ok(merge.finish())
    }
}

#[cfg(test)]
mod tests;
