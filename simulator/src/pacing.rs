//! How long characters take on a serial line, and what the best possible master would need for a poll.
//!
//! Times are computed from the start of a frame as one fraction, never by adding up a rounded character time, so a
//! frame of 261 bytes ends to the nanosecond where it should.

use std::time::Duration;

use crate::Parity;

/// The size and speed of one character on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Character {
    bits: u8,
    baud: u32,
}

impl Character {
    /// One start bit, eight data bits, and what `parity` and `stop_bits` add, at `baud` bits per second. A speed of 0
    /// counts as 1.
    #[must_use]
    pub fn new(baud: u32, parity: Parity, stop_bits: u8) -> Self {
        let parity_bits = u8::from(parity != Parity::None);
        Self { bits: 9_u8.saturating_add(parity_bits).saturating_add(stop_bits), baud: baud.max(1) }
    }

    /// The same character at another speed. A speed of 0 counts as 1.
    #[must_use]
    pub(crate) fn at(self, baud: u32) -> Self {
        Self { baud: baud.max(1), ..self }
    }

    /// Bits of one character with start, parity and stop: 10 for 8N1, 11 for 8E1 and 8N2.
    #[must_use]
    pub fn bits(self) -> u8 {
        self.bits
    }

    /// Bits per second.
    #[must_use]
    pub fn baud(self) -> u32 {
        self.baud
    }

    /// The time of `bytes` characters sent without a pause, rounded down to a nanosecond.
    #[must_use]
    pub fn time(self, bytes: usize) -> Duration {
        Duration::from_nanos(self.time_ns(bytes))
    }

    pub(crate) fn time_ns(self, bytes: usize) -> u64 {
        let bits = u128::from(self.bits) * bytes as u128;
        u64::try_from(bits * 1_000_000_000 / u128::from(self.baud)).unwrap_or(u64::MAX)
    }

    /// How many whole characters pass in `ns`.
    pub(crate) fn count_in_ns(self, ns: u64) -> usize {
        let characters = u128::from(ns) * u128::from(self.baud) / (u128::from(self.bits) * 1_000_000_000);
        usize::try_from(characters).unwrap_or(usize::MAX)
    }

    /// The least time a poll can take on the wire: request, the meter's latency, answer. Pauses that a protocol asks
    /// for between frames (3.5 characters in Modbus RTU) are not in it.
    #[must_use]
    pub fn ideal_poll(self, request_bytes: usize, latency: Duration, answer_bytes: usize) -> Duration {
        self.time(request_bytes) + latency + self.time(answer_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_take_the_times_of_the_published_table() {
        let mbus = Character::new(2400, Parity::Even, 1);
        assert_eq!(mbus.bits(), 11);
        assert_eq!(mbus.time(1), Duration::from_nanos(4_583_333));
        assert_eq!(mbus.time(261), Duration::from_micros(1_196_250));
        assert_eq!(Character::new(9600, Parity::None, 1).bits(), 10);
        assert_eq!(Character::new(9600, Parity::None, 2).time(24), Duration::from_micros(27_500));
    }

    #[test]
    fn an_ideal_poll_is_request_latency_and_answer() {
        let character = Character::new(2400, Parity::Even, 1);
        let poll = character.ideal_poll(5, Duration::from_millis(20), 66);
        assert_eq!(poll, character.time(5) + Duration::from_millis(20) + character.time(66));
    }

    #[test]
    fn counting_characters_undoes_their_time() {
        let character = Character::new(9600, Parity::Even, 1);
        for bytes in 0..300 {
            let ns = character.time_ns(bytes);
            assert!(character.count_in_ns(ns + 1) == bytes, "{bytes}");
        }
    }
}
