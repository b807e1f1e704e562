//! What the faults on the way do to an answer's bytes.
//!
//! Where a frame has a checksum, damage shows in it; Modbus/TCP has none, so there only its header is damaged: a wrong
//! value in a sound frame would be a lie that no master could find.

use fastrand::Rng;

use crate::mbus::checksum;
use crate::modbus::crc;
use crate::{Fault, ModbusFraming, Protocol};

/// How far the second of two colliding answers lags at most, in characters.
const COLLISION_LAG_MAX: usize = 3;
const NOISE_BYTES_MAX: usize = 4;
const WAKE_UP: u8 = 0xFE;

/// How an answer's frame is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Frame {
    Mbus,
    Rtu,
    Tcp,
    Cjt188,
    Dlt645,
}

pub(super) fn spoil(
    answer: Vec<u8>,
    faults: &[Fault],
    protocol: Protocol,
    framing: ModbusFraming,
    random: &mut Rng,
) -> Vec<u8> {
    let frame = match (protocol, framing) {
        (Protocol::Mbus, _) => Frame::Mbus,
        (Protocol::Modbus, ModbusFraming::Rtu) => Frame::Rtu,
        (Protocol::Modbus, ModbusFraming::Tcp) => Frame::Tcp,
        (Protocol::Cjt188, _) => Frame::Cjt188,
        (Protocol::Dlt645, _) => Frame::Dlt645,
    };
    faults.iter().fold(answer, |bytes, fault| match fault {
        Fault::WrongAddress => of_another_meter(bytes, frame),
        Fault::WrongChecksum => with_wrong_checksum(bytes, frame, random),
        Fault::Collision => collided(bytes, frame, random),
        Fault::Truncated => truncated(bytes, random),
        Fault::Noise => with_noise(bytes, frame, random),
        Fault::Silent
        | Fault::Slow
        | Fault::Echo
        | Fault::Mute
        | Fault::OrdersUnanswered
        | Fault::MuteOnceOrdered
        | Fault::Swapped
        | Fault::StuckValve
        | Fault::ValveFault
        | Fault::MovingForEver
        | Fault::LowBattery
        | Fault::ClockOff
        | Fault::RollOver => bytes,
    })
}

/// The same answer by the meter next door: the address, and where the header has it the serial number, one higher.
fn of_another_meter(mut bytes: Vec<u8>, frame: Frame) -> Vec<u8> {
    match frame {
        Frame::Mbus => {
            if let [_, _, _, _, _, address, _, id0, ..] = bytes.as_mut_slice() {
                *address = *address % 250 + 1;
                *id0 = next_digit(*id0);
            }
            sum_anew(&mut bytes, 4);
        }
        Frame::Rtu => {
            if let [unit, rest @ .., crc0, crc1] = bytes.as_mut_slice() {
                *unit = *unit % 247 + 1;
                let mut covered = vec![*unit];
                covered.extend_from_slice(rest);
                [*crc0, *crc1] = crc(&covered).to_le_bytes();
            }
        }
        Frame::Tcp => {
            if let Some(unit) = bytes.get_mut(6) {
                *unit = *unit % 247 + 1;
            }
        }
        Frame::Cjt188 => {
            let start = wake_up_of(&bytes);
            if let Some(lowest) = bytes.get_mut(start + 2) {
                *lowest = next_digit(*lowest);
            }
            sum_anew(&mut bytes, start);
        }
        Frame::Dlt645 => {
            let start = wake_up_of(&bytes);
            if let Some(lowest) = bytes.get_mut(start + 1) {
                *lowest = next_digit(*lowest);
            }
            sum_anew(&mut bytes, start);
        }
    }
    bytes
}

/// Counts the last of two BCD digits on, 9 to 0.
fn next_digit(bcd: u8) -> u8 {
    (bcd & 0xF0) | (((bcd & 0x0F) + 1) % 10)
}

/// Puts the right sum from `start` on before the stop byte.
fn sum_anew(bytes: &mut [u8], start: usize) {
    if let Some([covered @ .., sum, _stop]) = bytes.get_mut(start..) {
        *sum = checksum(covered);
    }
}

fn with_wrong_checksum(mut bytes: Vec<u8>, frame: Frame, random: &mut Rng) -> Vec<u8> {
    let wrong = random.u8(1..);
    let last = bytes.len().saturating_sub(1);
    let at = match frame {
        // A single E5 has no checksum; it arrives as something else.
        Frame::Mbus if bytes.len() == 1 => 0,
        Frame::Mbus | Frame::Cjt188 | Frame::Dlt645 => last.saturating_sub(1),
        Frame::Rtu => last,
        Frame::Tcp => 1,
    };
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= wrong;
    }
    bytes
}

fn collided(bytes: Vec<u8>, frame: Frame, random: &mut Rng) -> Vec<u8> {
    let other = of_another_meter(bytes.clone(), frame);
    if frame == Frame::Tcp {
        // Ethernet does not mix bytes: the other one is simply first.
        return [other, bytes].concat();
    }
    let mut both = bytes;
    lay_over(&mut both, random.usize(1..=COLLISION_LAG_MAX), &other);
    both
}

/// Two open-collector senders at once: a wire that one pulls to zero is zero.
pub(crate) fn lay_over(bytes: &mut Vec<u8>, at: usize, other: &[u8]) {
    for (index, byte) in other.iter().enumerate() {
        match bytes.get_mut(at + index) {
            Some(existing) => *existing &= byte,
            None => bytes.push(*byte),
        }
    }
}

fn truncated(mut bytes: Vec<u8>, random: &mut Rng) -> Vec<u8> {
    let keep = if bytes.len() < 2 { 0 } else { random.usize(1..bytes.len()) };
    bytes.truncate(keep);
    bytes
}

fn with_noise(mut bytes: Vec<u8>, frame: Frame, random: &mut Rng) -> Vec<u8> {
    if random.bool() {
        let mut noisy: Vec<u8> = (0..random.usize(1..=NOISE_BYTES_MAX)).map(|_| random.u8(..)).collect();
        noisy.append(&mut bytes);
        return noisy;
    }
    let start = wake_up_of(&bytes);
    let at = match frame {
        Frame::Tcp => random.usize(2..4), // the protocol identifier, which must be 0
        Frame::Mbus | Frame::Rtu | Frame::Cjt188 | Frame::Dlt645 => {
            random.usize(start..bytes.len().max(start + 1))
        }
    };
    let wrong = random.u8(1..);
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= wrong;
    }
    bytes
}

fn wake_up_of(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| **byte == WAKE_UP).count()
}
