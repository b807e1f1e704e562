//! What went over a line, counted by its thread and read by anybody.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What went over a line since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LineCounters {
    /// Whole frames with a right checksum, for whomever.
    pub requests: u64,
    /// Answers sent to their last byte, spoilt ones too; two that collided count as one.
    pub answers: u64,
    /// Bytes from masters.
    pub bytes_received: u64,
    /// Bytes to masters, with echoes and noise.
    pub bytes_sent: u64,
    /// Of `bytes_sent` those for which the pty or socket had no room, since nobody read, or that had no connection left.
    pub bytes_overflowed: u64,
    /// Bytes from masters that belonged to no whole frame, or came while a meter was talking.
    pub bytes_discarded: u64,
    /// Answers that went out as they should on a paced line; `ideal` is about these.
    pub ideal_answers: u64,
    /// What those exchanges would take at best, summed up: request, latency, answer. A bench divides this by what it
    /// measured. Pauses between frames are not in it.
    pub ideal: Duration,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    requests: AtomicU64,
    answers: AtomicU64,
    bytes_received: AtomicU64,
    bytes_sent: AtomicU64,
    bytes_overflowed: AtomicU64,
    bytes_discarded: AtomicU64,
    ideal_answers: AtomicU64,
    ideal_ns: AtomicU64,
}

impl Counters {
    pub(super) fn request(&self) {
        add(&self.requests, 1);
    }

    pub(super) fn received(&self, bytes: usize) {
        add(&self.bytes_received, bytes as u64);
    }

    pub(super) fn sent(&self, bytes: usize) {
        add(&self.bytes_sent, bytes as u64);
    }

    pub(super) fn overflowed(&self, bytes: usize) {
        add(&self.bytes_overflowed, bytes as u64);
    }

    pub(super) fn discarded(&self, bytes: usize) {
        add(&self.bytes_discarded, bytes as u64);
    }

    pub(super) fn answered(&self, ideal_ns: Option<u64>) {
        add(&self.answers, 1);
        if let Some(ideal_ns) = ideal_ns {
            add(&self.ideal_answers, 1);
            add(&self.ideal_ns, ideal_ns);
        }
    }

    pub(crate) fn read(&self) -> LineCounters {
        let read = |counter: &AtomicU64| counter.load(Ordering::SeqCst);
        LineCounters {
            requests: read(&self.requests),
            answers: read(&self.answers),
            bytes_received: read(&self.bytes_received),
            bytes_sent: read(&self.bytes_sent),
            bytes_overflowed: read(&self.bytes_overflowed),
            bytes_discarded: read(&self.bytes_discarded),
            ideal_answers: read(&self.ideal_answers),
            ideal: Duration::from_nanos(read(&self.ideal_ns)),
        }
    }
}

fn add(counter: &AtomicU64, number: u64) {
    counter.fetch_add(number, Ordering::SeqCst);
}
