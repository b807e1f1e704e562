//! A line's serial parameters, and the waits that follow from them.

use std::time::Duration;

/// Serial parameters. On a TCP line they are those of the bus behind the serial server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Serial {
    /// Bits per second, 300 to 921,600.
    pub baud: u32,
    /// The parity bit. Characters always have eight data bits: all protocols here need them.
    pub parity: Parity,
    /// Stop bits.
    pub stop_bits: StopBits,
}

/// The parity bit of a character.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Parity {
    /// No parity bit.
    None,
    /// Even parity: M-Bus, CJ/T 188, and Modbus by its standard.
    Even,
    /// Odd parity.
    Odd,
}

/// Stop bits of a character.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StopBits {
    /// One.
    One,
    /// Two.
    Two,
}

impl Serial {
    /// 2400 Bd 8E1, the default of M-Bus and CJ/T 188.
    pub const DEFAULT: Self = Self { baud: 2400, parity: Parity::Even, stop_bits: StopBits::One };

    /// Bits of one character on the wire: start, eight data bits, parity if any, stop.
    pub fn bits_per_character(&self) -> u32 {
        let parity = u32::from(self.parity != Parity::None);
        let stop = if self.stop_bits == StopBits::Two { 2 } else { 1 };
        1 + 8 + parity + stop
    }

    /// How long this many bits take.
    pub fn bits(&self, bits: u32) -> Duration {
        Duration::from_nanos(u64::from(bits) * 1_000_000_000 / u64::from(self.baud.max(1)))
    }

    /// How long this many characters take.
    pub fn characters(&self, count: usize) -> Duration {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        let bits = count.saturating_mul(u64::from(self.bits_per_character()));
        Duration::from_nanos(bits.saturating_mul(1_000_000_000) / u64::from(self.baud.max(1)))
    }
}

/// How long to wait where. Each protocol's standard gives the defaults; lines and meters may set their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// From the end of the request to the first byte of the answer.
    pub answer_window: Duration,
    /// Silence owed on the line before any request (Modbus RTU: 3.5 characters). Zero where none is.
    pub silence: Duration,
    /// Silence owed before a request is repeated (M-Bus: 33 bit times).
    pub silence_before_repeat: Duration,
    /// For how long after a time-out an answer may still come that nothing would tell from a fresh one.
    ///
    /// A protocol whose answers name their request has none (zero): it may repeat at once. Otherwise the meter is left
    /// alone until this has passed (Modbus RTU, M-Bus).
    pub late_window: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wire_times_are_those_of_the_timing_sheet() {
        let at_2400 = Serial::DEFAULT;
        assert_eq!(at_2400.bits_per_character(), 11);
        assert_eq!(at_2400.characters(60), Duration::from_millis(275));
        assert_eq!(at_2400.bits(330), Duration::from_micros(137_500));
        let modbus = Serial { baud: 9600, parity: Parity::None, stop_bits: StopBits::One };
        assert_eq!(modbus.bits_per_character(), 10);
    }
}
