//! What is remembered, for how long, and what happens when there is no more room.

use std::time::Duration;

use jiff::SignedDuration;

use super::*;
use crate::limits::{CLOSINGS_MAX, SEEN_KEPT, SEEN_OF_ONE_KEY_MAX};

/// A state that has seen this many commands, the n-th of which was issued n seconds after this moment and valid for ten
/// minutes.
pub(super) fn seen(count: usize, since: Timestamp) -> State {
    let mut state = State::default();
    for number in 0..count {
        let mut command = command(u32::try_from(number).unwrap(), Action::ReadNow, 0);
        command.issued_at = since + SignedDuration::from_secs(number.try_into().unwrap());
        command.not_after = command.issued_at + SignedDuration::from_secs(600);
        let entry = Entry::Rejected {
            command,
            kid: "k".into(),
            digest: digest(0),
            state: CommandState::Rejected,
            reason: None,
            detail: String::new(),
        };
        state.take(&line(entry, at(0), u64::try_from(number).unwrap()));
    }
    state
}

fn line(entry: Entry, Stamp { at, clock }: Stamp, sequence: u64) -> Line {
    Line { sequence, at, clock, told: 0, entry }
}

#[test]
fn a_full_memory_refuses_and_does_not_forget_what_may_still_come() {
    let mut state = seen(SEEN_MAX, at(0).at);
    let days = |days: u32| at(i64::from(days) * 86_400);
    assert!(state.is_full(days(29), "other"));
    let kept = i64::try_from(SEEN_KEPT.as_secs()).unwrap();
    let later = at(kept + 600 + 86_400);
    assert!(!state.is_full(later, "other"));
    let unsynced = Stamp { clock: Clock::Unsynced, ..later };
    assert!(state.is_full(unsynced, "other"), "a clock that is not trusted makes nobody forget");

    let new = command(4_000_000, Action::ReadNow, 0);
    assert!(!state.has_forgotten(at(600).at));
    state.take(&line(accepted(&new), later, 1_000_000));
    assert!(state.seen(&new.id).is_some());
    assert!(state.seen_count() < SEEN_MAX);
    // The oldest went, and whatever is not younger than they were is known to be unknown.
    let oldest = command(0, Action::ReadNow, 0);
    assert!(state.seen(&oldest.id).is_none());
    assert!(state.has_forgotten(oldest.not_after));
    let youngest = at(i64::try_from(SEEN_MAX).unwrap() - 1 + 600).at;
    assert!(!state.has_forgotten(youngest));
    assert!(SEEN_KEPT > Duration::from_secs(86_400 * 7));
}

#[test]
fn one_key_takes_half_of_the_places_at_most() {
    let state = seen(SEEN_OF_ONE_KEY_MAX, at(0).at);
    let day = at(86_400);
    assert!(state.is_full(day, "k"));
    assert!(!state.is_full(day, "other"));
    let later = at(i64::try_from(SEEN_KEPT.as_secs()).unwrap() + 600 + 86_400);
    assert!(!state.is_full(later, "k"), "what can be forgotten takes none");
}

#[test]
fn a_closing_and_a_beginning_in_the_future_are_dated_again_when_the_clock_is_right() {
    let mut state = State::default();
    let wrong = at(300 * 86_400);
    state.begin(wrong);
    let closing = command(1, Action::ValveClose, 1);
    state.take(&line(accepted(&closing), wrong, 1));
    state.take(&line(Entry::Started { id: closing.id.clone() }, wrong, 2));
    state.take(&line(finished(&closing.id, CommandState::Done), at(9), 3));
    assert_eq!(state.closings().collect::<Vec<_>>(), [at(9).at]);
    assert_eq!(state.began(), Some(at(9).at));
    state.take(&line(Entry::DamageTold, at(20), 4));
    assert_eq!(state.began(), Some(at(9).at), "once");
    // A clock that is set back by an hour and on again frees no place and makes nothing younger.
    let mut state = State::default();
    state.begin(at(7200));
    state.take(&line(accepted(&closing), at(7200), 1));
    state.take(&line(Entry::Started { id: closing.id.clone() }, at(7200), 2));
    state.take(&line(Entry::ClockTrusted, at(3600), 3));
    state.take(&line(Entry::ClockTrusted, at(7200), 4));
    assert_eq!((state.began(), state.closings().next()), (Some(at(7200).at), Some(at(7200).at)));
}

#[test]
fn a_command_without_an_end_is_never_forgotten() {
    let mut state = seen(SEEN_MAX - 1, at(0).at);
    let open = command(5_000_000, Action::ValveClose, 0);
    state.take(&line(accepted(&open), at(0), 900_000));
    let far = at(10 * 365 * 86_400);
    for number in 0..3 {
        let next = command(6_000_000 + number, Action::ReadNow, 0);
        state.take(&line(accepted(&next), far, 1_000_000 + u64::from(number)));
    }
    assert!(state.seen(&open.id).is_some());
    assert!(state.open(&open.id).is_some());
}

#[test]
fn a_duplicate_is_no_end_of_the_command_whose_id_it_took() {
    let mut state = State::default();
    let first = command(1, Action::ValveClose, 1);
    state.take(&line(accepted(&first), at(1), 1));
    let duplicate =
        Entry::Duplicate { id: first.id.clone(), digest: digest(9), detail: "another command".into() };
    state.take(&line(duplicate, at(2), 2));
    assert_eq!(state.seen(&first.id).unwrap().state(), CommandState::Accepted);
    assert!(state.seen(&first.id).unwrap().is_duplicated());
    assert!(!state.outcome(&first.id, 2).unwrap().is_final);
    assert_eq!(state.last_outcome(&first.id).unwrap().0, 1);
    state.take(&line(finished(&first.id, CommandState::Done), at(3), 3));
    assert_eq!(state.seen(&first.id).unwrap().state(), CommandState::Done);
    let finals = state.untold().into_iter().filter(|(_, outcome)| outcome.is_final);
    assert_eq!(finals.count(), 1);
}

#[test]
fn only_closings_that_started_count_and_only_so_many_are_kept() {
    let mut state = State::default();
    let opening = command(1, Action::ValveOpen, 1);
    state.take(&line(accepted(&opening), at(1), 1));
    state.take(&line(Entry::Started { id: opening.id.clone() }, at(1), 2));
    assert_eq!(state.closings().count(), 0);
    for number in 2..CLOSINGS_MAX + 5 {
        let closing = command(number, Action::ValveClose, 1);
        let now = at(number.into());
        state.take(&line(accepted(&closing), now, 1));
        state.take(&line(Entry::Started { id: closing.id.clone() }, now, 2));
        state.take(&line(finished(&closing.id, CommandState::Failed), now, 3));
    }
    assert_eq!(state.closings().count(), usize::try_from(CLOSINGS_MAX).unwrap());
    assert_eq!(state.closings().last(), Some(at((CLOSINGS_MAX + 4).into()).at));
}

#[test]
fn the_latest_valve_command_of_a_meter_is_the_one_issued_last_and_not_the_one_that_came_last() {
    let mut state = State::default();
    for (number, issued) in [(3, 50), (6, 20)] {
        state.take(&line(accepted(&command(number, Action::ValveOpen, issued)), at(1), 1));
    }
    assert_eq!(state.last_valve("A-0"), Some(at(50).at));
    assert_eq!(state.last_valve("A-1"), None);
}

#[test]
fn a_closing_under_a_clock_that_showed_anything_counts_from_when_it_is_trusted() {
    let mut state = State::default();
    let closing = command(1, Action::ValveClose, 1);
    let unsynced = Stamp { at: Timestamp::UNIX_EPOCH, clock: Clock::Unsynced };
    state.take(&line(accepted(&closing), unsynced, 1));
    state.take(&line(Entry::Started { id: closing.id.clone() }, unsynced, 2));
    assert_eq!(state.closings().collect::<Vec<_>>(), [Timestamp::UNIX_EPOCH]);
    state.take(&line(Entry::ClockTrusted, at(5), 3));
    assert_eq!(state.closings().collect::<Vec<_>>(), [at(5).at]);
}

#[test]
fn commands_without_an_end_are_taken_up_in_the_order_in_which_they_came() {
    let mut state = State::default();
    for (sequence, number) in [(1, 9), (2, 3), (3, 7)] {
        state.take(&line(accepted(&command(number, Action::ReadNow, 0)), at(0), sequence));
    }
    let ids: Vec<_> = state.unfinished().map(|open| open.command.id.clone()).collect();
    assert_eq!(ids, [9, 3, 7].map(|number| command(number, Action::ReadNow, 0).id));
}
