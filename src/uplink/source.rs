//! What a drain needs of the outbox, and nothing else, so that its logic can be tested without one.
//!
//! Two traits, because a drain reads the next batch while it acknowledges the one before.

use std::future::Future;

use crate::outbox::{Closed, Reader, Stored};

/// Hands out one lane's records in order.
pub(super) trait Source {
    /// The next records: at least one, at most so many records and bytes. Safe to drop half-way.
    fn next(
        &mut self,
        records_max: usize,
        bytes_max: usize,
    ) -> impl Future<Output = Result<Vec<Stored>, Closed>>;

    /// Starts again after the last acknowledged record.
    fn rewind(&mut self);
}

/// Lets go of what the broker has.
pub(super) trait Cursor {
    /// The broker has everything up to and including this sequence.
    fn acknowledge(&self, up_to: u64) -> impl Future<Output = Result<(), Closed>>;

    /// This record cannot be delivered. It is the first one not acknowledged. Whether it is set aside: on a full disk it waits
    /// where it is.
    fn set_aside(&self, sequence: u64, why: String) -> impl Future<Output = Result<bool, Closed>>;
}

impl Source for Reader {
    async fn next(&mut self, records_max: usize, bytes_max: usize) -> Result<Vec<Stored>, Closed> {
        Reader::next(self, records_max, bytes_max).await
    }

    fn rewind(&mut self) {
        Reader::rewind(self);
    }
}

impl Cursor for Reader {
    async fn acknowledge(&self, up_to: u64) -> Result<(), Closed> {
        Reader::acknowledge(self, up_to).await
    }

    async fn set_aside(&self, sequence: u64, why: String) -> Result<bool, Closed> {
        Reader::set_aside(self, sequence, why).await
    }
}
