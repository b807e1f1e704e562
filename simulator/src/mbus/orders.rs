//! What a slave does with the user data that a master sends it (EN 13757-3, CI 50, 51 and B8 to BF).

use jiff::civil::DateTime;

use super::{Model, Slave};
use crate::bus::Snapshot;

/// The highest address that a slave may be given.
const ADDRESS_MAX: u8 = 250;

impl Slave {
    /// Does what it is told, as far as it knows that.
    pub(super) fn carry_out(&mut self, ci: u8, data: &[u8], snapshot: &Snapshot) {
        match (ci, data) {
            (0x50, _) => {
                self.next_telegram = 0;
                self.last_frame_count_bit = None;
            }
            (0x51, [0x01, 0x7A, address @ 0..=ADDRESS_MAX]) => self.address = *address,
            (0x51, [0x04, 0x6D, minute, hour, day, month]) => {
                self.set_clock(at([0, *minute, *hour, *day, *month]), snapshot);
            }
            (0x51, [0x06, 0x6D, second, minute, hour, day, month, _week]) => {
                self.set_clock(at([*second, *minute, *hour, *day, *month]), snapshot);
            }
            (0x51, [0x01, 0xFD, 0x1A, output @ 0..=1]) if self.model == Model::Valve => {
                self.valve.turn(*output == 1, snapshot);
                self.obeyed.valve += 1;
            }
            (0xB8..=0xBF, []) => self.new_speed = Some(300 << (ci - 0xB8)),
            _ => {}
        }
    }

    fn set_clock(&mut self, to: Option<DateTime>, snapshot: &Snapshot) {
        if let Some(to) = to {
            self.clock_set_by = snapshot.clock.duration_until(to);
            self.obeyed.clock += 1;
        }
    }
}

/// Seconds, minutes, hours, day with the year's low bits, month with its high ones. A year is of this century.
fn at([second, minute, hour, day, month]: [u8; 5]) -> Option<DateTime> {
    let year = i16::from(day >> 5 | month >> 4 << 3) + 2000;
    let small = |byte: u8, bits: u8| i8::try_from(byte & bits).ok();
    DateTime::new(
        year,
        small(month, 0x0F)?,
        small(day, 0x1F)?,
        small(hour, 0x1F)?,
        small(minute, 0x3F)?,
        small(second, 0x3F)?,
        0,
    )
    .ok()
}
