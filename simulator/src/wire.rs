//! Which byte is due when: the transmissions waiting for their time and the one on the wire.
//!
//! Pure: times are nanoseconds of one clock, given by the caller. On a shared medium a transmission that begins while
//! another is going on is laid over it; on Modbus/TCP every client's answer has its own way.

use crate::bus::lay_over;
use crate::pacing::Character;
use crate::{Fault, Said};

/// Enough for every primary address to answer to 254 at once; more are lost, as on a real line.
const TRANSMISSIONS_MAX: usize = 256;
/// What lies over each other cannot get longer than this.
const TRANSMISSION_BYTES_MAX: usize = 4096;

/// Which client of the line bytes come from or go to.
pub(crate) type ClientId = u64;

/// Bytes on their way to a client.
#[derive(Debug)]
pub(crate) struct Transmission {
    pub(crate) client: ClientId,
    pub(crate) begin_ns: u64,
    /// `None`: all at once, at the beginning.
    pub(crate) character: Option<Character>,
    pub(crate) bytes: Vec<u8>,
    pub(crate) said: Vec<Said>,
    /// What the whole exchange takes at best, if it was a good one.
    pub(crate) ideal_ns: Option<u64>,
    /// The converter's own echo, which does not disturb anything.
    pub(crate) echo: bool,
}

impl Transmission {
    /// When byte `index` has gone over the wire.
    fn deadline_ns(&self, index: usize) -> u64 {
        let after = self.character.map_or(0, |character| character.time_ns(index.saturating_add(1)));
        self.begin_ns.saturating_add(after)
    }

    fn end_ns(&self) -> u64 {
        match self.bytes.len() {
            0 => self.begin_ns,
            len => self.deadline_ns(len - 1),
        }
    }
}

#[derive(Debug)]
struct OnAir {
    transmission: Transmission,
    sent: usize,
}

/// Bytes that are due.
#[derive(Debug, PartialEq)]
pub(crate) struct Delivery {
    pub(crate) client: ClientId,
    pub(crate) bytes: Vec<u8>,
    /// Set with the last bytes of a transmission.
    pub(crate) finished: Option<Finished>,
}

/// What is to be accounted for when a transmission ends.
#[derive(Debug, PartialEq)]
pub(crate) struct Finished {
    pub(crate) said: Vec<Said>,
    pub(crate) ideal_ns: Option<u64>,
    pub(crate) echo: bool,
}

#[derive(Debug)]
pub(crate) struct Wire {
    shared: bool,
    quantum_ns: u64,
    waiting: Vec<Transmission>,
    on_air: Vec<OnAir>,
}

impl Wire {
    /// `quantum_ns`: bytes due within it are delivered together, at the time of the last of them.
    pub(crate) fn new(shared: bool, quantum_ns: u64) -> Self {
        Self { shared, quantum_ns, waiting: Vec::new(), on_air: Vec::new() }
    }

    pub(crate) fn submit(&mut self, transmission: Transmission) {
        let room = self.waiting.len() + self.on_air.len() < TRANSMISSIONS_MAX;
        if room && !transmission.bytes.is_empty() {
            self.waiting.push(transmission);
        }
    }

    pub(crate) fn clear(&mut self) {
        self.waiting.clear();
        self.on_air.clear();
    }

    /// Whether a meter is talking, so that nobody can be heard.
    pub(crate) fn is_busy(&self, now_ns: u64) -> bool {
        self.shared
            && (self.on_air.iter().any(|on_air| !on_air.transmission.echo)
                || self.waiting.iter().any(|waiting| !waiting.echo && waiting.begin_ns <= now_ns))
    }

    /// When [`due`](Self::due) should be called next.
    pub(crate) fn next_ns(&self) -> Option<u64> {
        let begins = self.waiting.iter().map(|waiting| self.batch_end_ns(waiting, 0));
        let goes_on = self.on_air.iter().map(|on_air| self.batch_end_ns(&on_air.transmission, on_air.sent));
        begins.chain(goes_on).min()
    }

    /// The deadline of the last byte that may be delivered together with byte `next`.
    fn batch_end_ns(&self, transmission: &Transmission, next: usize) -> u64 {
        let first_ns = transmission.deadline_ns(next);
        let more =
            transmission.character.map_or(usize::MAX, |character| character.count_in_ns(self.quantum_ns));
        let last = next.saturating_add(more).min(transmission.bytes.len().saturating_sub(1));
        transmission.deadline_ns(last).max(first_ns)
    }

    /// Takes what is due at `now_ns`.
    pub(crate) fn due(&mut self, now_ns: u64) -> Vec<Delivery> {
        self.begin_waiting(now_ns);
        let mut deliveries = Vec::new();
        for OnAir { transmission, sent } in &mut self.on_air {
            let mut until = *sent;
            while until < transmission.bytes.len() && transmission.deadline_ns(until) <= now_ns {
                until += 1;
            }
            if until == *sent {
                continue;
            }
            let bytes = transmission.bytes.get(*sent..until).unwrap_or_default().to_vec();
            *sent = until;
            let finished = (until == transmission.bytes.len()).then(|| Finished {
                said: std::mem::take(&mut transmission.said),
                ideal_ns: transmission.ideal_ns,
                echo: transmission.echo,
            });
            deliveries.push(Delivery { client: transmission.client, bytes, finished });
        }
        self.on_air.retain(|on_air| on_air.sent < on_air.transmission.bytes.len());
        deliveries
    }

    fn begin_waiting(&mut self, now_ns: u64) {
        self.waiting.sort_by_key(|waiting| waiting.begin_ns);
        let ready = self.waiting.partition_point(|waiting| waiting.begin_ns <= now_ns);
        for transmission in self.waiting.drain(..ready).collect::<Vec<_>>() {
            let shared = self.shared && !transmission.echo;
            let other = self.on_air.iter_mut().find(|on_air| {
                let going_on = &on_air.transmission;
                shared && !going_on.echo && going_on.end_ns() > transmission.begin_ns
            });
            match other {
                Some(going_on) => collide(going_on, transmission),
                None => self.on_air.push(OnAir { transmission, sent: 0 }),
            }
        }
    }
}

fn collide(going_on: &mut OnAir, late: Transmission) {
    let OnAir { transmission, sent } = going_on;
    let elapsed_ns = late.begin_ns.saturating_sub(transmission.begin_ns);
    let at = transmission.character.map_or(0, |character| character.count_in_ns(elapsed_ns));
    lay_over(&mut transmission.bytes, at.max(*sent), &late.bytes);
    transmission.bytes.truncate(TRANSMISSION_BYTES_MAX.max(*sent));
    transmission.said.extend(late.said);
    for said in &mut transmission.said {
        said.spoilt = Some(Fault::Collision);
    }
    transmission.ideal_ns = None;
}

#[cfg(test)]
mod tests;
