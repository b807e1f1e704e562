//! What is in flight: a window over the lane from the cursor on. Pure.
//!
//! Reports arrive in any order, the cursor moves only in sequence, so a record's fate is kept here until everything
//! before it is settled. It holds no payloads: what must be sent again is read again from the outbox.

use std::collections::VecDeque;

/// The records between the cursor and the last one handed over.
#[derive(Debug, Default)]
pub(super) struct Window {
    slots: VecDeque<Slot>,
    /// The ticket of the first slot. Tickets wrap around; the window is far smaller than their range.
    first: usize,
    bytes: usize,
    outstanding: usize,
}

#[derive(Debug)]
struct Slot {
    sequence: u64,
    bytes: usize,
    fate: Fate,
}

#[derive(Debug)]
enum Fate {
    Outstanding,
    Delivered,
    Refused(String),
    Failed,
}

/// The first record of the window, whose fate is known.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Settled {
    /// The broker has it.
    Delivered(u64),
    /// The broker will never take it, for this reason.
    Refused(u64, String),
}

impl Window {
    /// Records in the window, settled or not.
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// The bytes of those without a report.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Records without a report.
    pub(super) fn outstanding(&self) -> usize {
        self.outstanding
    }

    /// The ticket that the next record will have.
    pub(super) fn next_ticket(&self) -> usize {
        self.first.wrapping_add(self.slots.len())
    }

    /// A record was handed over.
    pub(super) fn push_outstanding(&mut self, sequence: u64, bytes: usize) {
        self.outstanding += 1;
        self.bytes += bytes;
        self.slots.push_back(Slot { sequence, bytes, fate: Fate::Outstanding });
    }

    /// A record was found to be impossible to hand over.
    pub(super) fn push_refused(&mut self, sequence: u64, why: String) {
        self.slots.push_back(Slot { sequence, bytes: 0, fate: Fate::Refused(why) });
    }

    /// The broker has the record with this ticket.
    pub(super) fn delivered(&mut self, ticket: usize) {
        self.report(ticket, Fate::Delivered);
    }

    /// The broker will never take the record with this ticket.
    pub(super) fn refused(&mut self, ticket: usize, why: String) {
        self.report(ticket, Fate::Refused(why));
    }

    /// The record with this ticket must be sent again.
    pub(super) fn failed(&mut self, ticket: usize) {
        self.report(ticket, Fate::Failed);
    }

    /// A second report, or one for a ticket that is not in the window, changes nothing.
    fn report(&mut self, ticket: usize, fate: Fate) {
        let Some(slot) = self.slots.get_mut(ticket.wrapping_sub(self.first)) else { return };
        if matches!(slot.fate, Fate::Outstanding) {
            self.outstanding -= 1;
            self.bytes -= slot.bytes;
            slot.fate = fate;
        }
    }

    /// Takes the first record out, if its fate lets the cursor pass.
    pub(super) fn pop_settled(&mut self) -> Option<Settled> {
        let front = self.slots.front()?;
        if matches!(front.fate, Fate::Outstanding | Fate::Failed) {
            return None;
        }
        let slot = self.slots.pop_front()?;
        self.first = self.first.wrapping_add(1);
        match slot.fate {
            Fate::Refused(why) => Some(Settled::Refused(slot.sequence, why)),
            _ => Some(Settled::Delivered(slot.sequence)),
        }
    }

    /// The record that was taken out last stays after all: until everything is forgotten the cursor does not pass it.
    pub(super) fn keep_back(&mut self, sequence: u64) {
        self.slots.push_front(Slot { sequence, bytes: 0, fate: Fate::Failed });
        self.first = self.first.wrapping_sub(1);
    }

    /// Forgets everything: the lane is read again from the cursor. Reports still to come find no slot.
    pub(super) fn clear(&mut self) {
        self.first = self.next_ticket();
        self.slots.clear();
        self.bytes = 0;
        self.outstanding = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(sequences: &[u64]) -> Window {
        let mut window = Window { first: usize::MAX - 1, ..Window::default() };
        for &sequence in sequences {
            window.push_outstanding(sequence, 10);
        }
        window
    }

    fn ticket(nth: usize) -> usize {
        (usize::MAX - 1).wrapping_add(nth)
    }

    #[test]
    fn the_cursor_waits_for_the_first_one_whatever_comes_behind_it() {
        let mut window = window(&[5, 7, 8]);
        window.delivered(ticket(2));
        window.delivered(ticket(1));
        assert_eq!((window.pop_settled(), window.outstanding(), window.bytes()), (None, 1, 10));
        window.delivered(ticket(0));
        assert_eq!(window.pop_settled(), Some(Settled::Delivered(5)));
        assert_eq!(window.pop_settled(), Some(Settled::Delivered(7)));
        assert_eq!(window.pop_settled(), Some(Settled::Delivered(8)));
        assert_eq!((window.pop_settled(), window.len(), window.bytes()), (None, 0, 0));
    }

    #[test]
    fn a_failed_one_is_never_passed() {
        let mut window = window(&[1, 2, 3]);
        window.delivered(ticket(0));
        window.failed(ticket(1));
        window.delivered(ticket(2));
        assert_eq!(window.pop_settled(), Some(Settled::Delivered(1)));
        assert_eq!((window.pop_settled(), window.outstanding()), (None, 0));
    }

    #[test]
    fn a_refused_one_comes_out_at_its_turn_with_its_reason() {
        let mut window = window(&[1, 2]);
        window.refused(ticket(1), "too large".into());
        window.push_refused(3, "unknown version".into());
        assert_eq!(window.pop_settled(), None);
        window.delivered(ticket(0));
        assert_eq!(window.pop_settled(), Some(Settled::Delivered(1)));
        assert_eq!(window.pop_settled(), Some(Settled::Refused(2, "too large".into())));
        assert_eq!(window.pop_settled(), Some(Settled::Refused(3, "unknown version".into())));
    }

    #[test]
    fn a_report_from_before_the_window_was_cleared_or_for_nobody_changes_nothing() {
        let mut window = window(&[1, 2]);
        window.clear();
        window.push_outstanding(1, 10);
        window.delivered(ticket(0));
        window.delivered(ticket(1));
        window.delivered(ticket(77));
        assert_eq!((window.pop_settled(), window.outstanding()), (None, 1));
        window.failed(ticket(2));
        window.delivered(ticket(2));
        assert_eq!((window.pop_settled(), window.outstanding()), (None, 0));
    }
}
