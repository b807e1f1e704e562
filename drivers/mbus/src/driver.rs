//! Reads one meter: the requests that make a reading of it. How it is reached is in `link`.

use weir_meter::{
    Answer, Course, Driver, Fault, Line, Load, Observed, Order, Serial, Timing, Unsupported, async_trait,
};

use std::time::Duration;

use crate::frame;
use crate::link::{Link, selection};
use crate::telegram::{self, Merge};
use crate::{Address, Options, Secondary};

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
    link: Link,
    /// The last read ended in silence after a telegram that had announced another one.
    broke_off: bool,
}

impl Mbus {
    /// A meter that has not been spoken to yet.
    pub fn new(address: Address, options: Options) -> Self {
        let by_address = address.as_secondary().and_then(Secondary::meter);
        let options = Options { meter: options.meter.or(by_address), ..options };
        Self { address, options, link: Link::new(address), broke_off: false }
    }

    /// Reads the telegrams behind the first, which announced them.
    ///
    /// A meter that announces another telegram and then says no has given what it has: the values stand, with a note. One
    /// that says nothing may only have lost a request: the read fails, and is made again when the meter has been left alone for
    /// its late window. If it ends so once more, the values stand as well. One that starts over is done.
    async fn read_on(
        &mut self,
        line: &mut dyn Line,
        merge: &mut Merge,
        mut frame_count: bool,
    ) -> Result<(), Fault> {
        let first = merge.values().to_vec();
        let broke_off = std::mem::take(&mut self.broke_off);
        for _ in 1..TELEGRAMS_MAX {
            let next = match self.link.request(line, frame_count).await {
                Ok(bytes) => telegram::read(&bytes, &self.options).map(|telegram| (bytes, telegram)),
                Err(fault) => Err(fault),
            };
            let (bytes, telegram) = match next {
                Ok(next) => next,
                Err(fault @ (Fault::Silent { .. } | Fault::Refused { .. })) => {
                    if let Fault::Silent { .. } = fault {
                        self.broke_off = true;
                        if !broke_off {
                            return Err(fault);
                        }
                    }
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

/// The waits of EN 13757-2 at this speed.
pub fn timing(serial: &Serial) -> Timing {
    Timing {
        // EN 13757-2: a meter answers 11 to 330 bit times + 50 ms after the end of the request.
        answer_window: serial.bits(330) + Duration::from_millis(50),
        // A frame says itself where it ends.
        silence: Duration::ZERO,
        // EN 13757-2: the line rests for 33 bit times before a repeat, so that every meter drops what it has half received.
        silence_before_repeat: serial.bits(33),
        // See "Late answers" in `link`: the standard's time to answer once more, and a second for what holds bytes back between
        // meter and port.
        late_window: serial.bits(330) + Duration::from_secs(1),
    }
}

#[async_trait]
impl Driver for Mbus {
    fn name(&self) -> &'static str {
        "mbus"
    }

    fn address(&self) -> Option<String> {
        Some(self.address.to_string())
    }

    fn timing(&self, serial: &Serial) -> Timing {
        timing(serial)
    }

    fn load(&self) -> Vec<Load> {
        let read = Load {
            request: frame::short(frame::REQ_UD2, 0).len(),
            shortest_answer: frame::SHORTEST_RESPONSE,
            typical_answer: TYPICAL_ANSWER,
        };
        let acknowledged = |request: usize| Load { request, shortest_answer: 1, typical_answer: 1 };
        match self.address.as_secondary() {
            None => vec![read],
            Some(address) => vec![acknowledged(selection(address).len()), read, acknowledged(read.request)],
        }
    }

    async fn read(&mut self, line: &mut dyn Line) -> Result<Answer, Fault> {
        let frame_count = self.link.open(line).await?;
        let bytes = self.link.request(line, frame_count).await?;
        let telegram = telegram::read(&bytes, &self.options)?;
        let more_follow = telegram.more_follow;
        let mut merge = Merge::default();
        merge.add(&bytes, telegram)?;
        if more_follow {
            // The next poll begins with SND_NKE again: only that brings every meter back to its first telegram.
            self.read_on(line, &mut merge, !frame_count).await?;
        }
        self.link.close(line, (!more_follow).then_some(!frame_count)).await;
        let mut answer = merge.finish();
        if let Some(valve) = &self.options.valve {
            valve.place(&mut answer);
        }
        Ok(answer)
    }

    fn decode(&self, _: &[u8], answer: &[u8]) -> Option<Result<Answer, Fault>> {
        (answer.len() > 1).then(|| crate::decode(answer, &self.options))
    }

    fn course(&self, order: &Order) -> Result<Course, Unsupported> {
        self.course_of(order)
    }

    async fn carry_out(&mut self, line: &mut dyn Line, order: &Order) -> Result<Observed, Fault> {
        self.tell(line, order).await
    }
}

mod command;

#[cfg(test)]
mod tests;
