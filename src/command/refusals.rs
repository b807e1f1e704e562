//! Counts of what proves nothing about its sender: anybody could flood outcomes, so there are only counts of them.
//!
//! They are journalled with the topic's position, and told in one `commands-refused` event a minute.

use std::collections::BTreeMap;

/// Messages refused since the last event, by cause.
#[derive(Clone, Debug, Default)]
pub(super) struct Refusals {
    counts: BTreeMap<&'static str, u64>,
    last_kid: Option<String>,
}

impl Refusals {
    /// One more.
    pub(super) fn add(&mut self, cause: &'static str, kid: Option<String>) {
        *self.counts.entry(cause).or_default() += 1;
        if kid.is_some() {
            self.last_kid = kid;
        }
    }

    /// Whether there is nothing to tell.
    pub(super) fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// All of them, which are forgotten by it.
    pub(super) fn take(&mut self) -> (Vec<(String, u64)>, Option<String>) {
        let counts = std::mem::take(&mut self.counts);
        let counts = counts.into_iter().map(|(cause, count)| (cause.to_owned(), count)).collect();
        (counts, self.last_kid.take())
    }
}
