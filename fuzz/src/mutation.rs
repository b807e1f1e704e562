//! A plain mutator for the test command, which has no libFuzzer: the same from the same number on every machine.

use fastrand::Rng;

/// Bytes that decoders treat in a way of their own.
const TELLING: [u8; 16] =
    [0x00, 0x01, 0x04, 0x0D, 0x0F, 0x10, 0x16, 0x1F, 0x68, 0x72, 0x7F, 0x80, 0x8F, 0xE5, 0xFD, 0xFF];

/// One of the seeds, changed in one to eight places.
pub fn mutated(seeds: &[Vec<u8>], rng: &mut Rng) -> Vec<u8> {
    let mut bytes = rng.choice(seeds).cloned().unwrap_or_default();
    for _ in 0..rng.u8(1..=8) {
        change(&mut bytes, seeds, rng);
    }
    bytes
}

fn change(bytes: &mut Vec<u8>, seeds: &[Vec<u8>], rng: &mut Rng) {
    let at = rng.usize(0..=bytes.len());
    let end = (at + rng.usize(1..=8)).min(bytes.len());
    let put = rng.choice(TELLING).unwrap_or(0);
    match rng.u8(0..8) {
        0 => flip(bytes, at, 1 << rng.u8(0..8)),
        1 => flip(bytes, at, rng.u8(1..)),
        2 => set(bytes, at, put),
        3 => bytes.insert(at, put),
        4 => drop(bytes.drain(at..end)),
        5 => bytes.truncate(at),
        6 => {
            let piece: Vec<u8> = bytes.get(at..end).unwrap_or_default().to_vec();
            let to = rng.usize(0..=bytes.len());
            drop(bytes.splice(to..to, piece));
        }
        _ => {
            let other = rng.choice(seeds).map(Vec::as_slice).unwrap_or_default();
            let from = rng.usize(0..=other.len());
            let piece = other.iter().skip(from).take(rng.usize(1..=32)).copied();
            drop(bytes.splice(at..end, piece));
        }
    }
}

fn flip(bytes: &mut [u8], at: usize, bits: u8) {
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= bits;
    }
}

fn set(bytes: &mut [u8], at: usize, to: u8) {
    if let Some(byte) = bytes.get_mut(at) {
        *byte = to;
    }
}
