//! The clerk, with a crew that goes nowhere: who is let through, in which order, and what is on file when.

mod changing;
mod telling;
mod waiting;

use serde_json::json;
use weir_wire::{Clock, CommandState, Reason};

use super::super::clerk::{Start, stamp};
use super::super::config::Rules;
use super::super::desk::{Origin, Positions, Reception};
use super::super::journal::{Journal, Position};
use super::super::stop_switch::StopSwitch;
use super::super::teller::Tell;
use super::office::*;
use super::*;
use crate::clock;
use crate::limits::{COMMANDS_OPEN_MAX, READS_OPEN_MAX, SEEN_OF_OTHERS_MAX, TOPICS_JOURNALLED_EVERY};

#[test]
fn a_command_goes_its_way_and_says_each_step_once() {
    clock_is(Clock::Synced);
    let mut office = Office::opened();
    assert!(is_accepted(&office.take(&issued(1, "valve.close", "A-101", 5))));
    assert_eq!(office.sent(), [("carry out", id(1))]);
    assert_eq!(office.clerk.may_start(&id(1), Vec::new()), Start::Now);
    office.finish(&id(1), CommandState::Done);
    office.finish(&id(1), CommandState::Failed);
    assert_eq!(office.clerk.may_start(&id(1), Vec::new()), Start::Over);
    let states: Vec<_> = office.said().into_iter().map(|(state, _)| state).collect();
    assert_eq!(states, [CommandState::Accepted, CommandState::Started, CommandState::Done]);
}

#[test]
fn a_second_start_of_a_command_is_never_given() {
    clock_is(Clock::Synced);
    let mut office = Office::opened();
    office.take(&issued(1, "valve.close", "A-101", 5));
    assert_eq!(office.clerk.may_start(&id(1), Vec::new()), Start::Now);
    assert_eq!(office.clerk.may_start(&id(1), Vec::new()), Start::Over);
    let mut office = office.restarted();
    assert_eq!(office.sent(), [("recover", id(1))]);
    assert_eq!(office.clerk.may_start(&id(1), Vec::new()), Start::Over);
}

#[test]
fn a_restart_takes_up_what_was_accepted_and_tells_what_may_not_have_been_told() {
    clock_is(Clock::Synced);
    let mut office = Office::opened();
    office.take(&issued(1, "valve.close", "A-101", 5));
    let before = office.outcomes();
    let mut office = office.restarted();
    assert_eq!(office.outcomes(), before, "the same, to the letter");
    assert_eq!(office.sent(), [("carry out", id(1))]);
    assert_eq!(office.clerk.may_start(&id(1), Vec::new()), Start::Now);
}

#[test]
fn the_same_command_again_is_the_same_and_another_under_its_id_is_a_duplicate() {
    clock_is(Clock::Synced);
    let mut office = Office::opened();
    let first = issued(1, "valve.close", "A-101", 5);
    office.take(&first);
    assert_eq!(office.take(&first), Reception::Known { id: id(1), state: CommandState::Accepted });
    office.said();
    office.sent();

    let other = issued(1, "valve.open", "A-101", 3);
    for _ in 0..5 {
        assert_eq!(rejected_for(&office.take(&other)), Some(Reason::Duplicate));
    }
    let outcomes = office.outcomes();
    assert_eq!(outcomes.len(), 1, "the first one is answered, the others are counted");
    assert!(!outcomes[0].is_final, "the command of that id has an end of its own");
    assert_eq!(office.sent(), []);
    assert_eq!(office.clerk.may_start(&id(1), Vec::new()), Start::Now);
    office.finish(&id(1), CommandState::Done);
    let mut office = office.restarted();
    assert_eq!(office.take(&first), Reception::Known { id: id(1), state: CommandState::Done });
    assert_eq!(rejected_for(&office.take(&other)), Some(Reason::Duplicate));
}

#[test]
fn a_command_that_is_repeated_without_end_is_told_of_once_a_minute() {
    clock_is(Clock::Synced);
    let mut office = Office::opened();
    let first = issued(1, "valve.close", "A-101", 5);
    office.take(&first);
    office.said();
    for _ in 0..1000 {
        office.take(&first);
    }
    assert_eq!(office.said().len(), 1);
}

#[test]
fn one_command_a_meter_at_a_time_and_others_meanwhile() {
    clock_is(Clock::Synced);
    let mut office = Office::opened();
    office.take(&issued(1, "valve.close", "A-101", 9));
    office.take(&issued(2, "clock.set", "A-101", 8));
    office.take(&issued(3, "valve.open", "A-999", 7));
    assert_eq!(office.sent(), [("carry out", id(1)), ("carry out", id(3))]);
    office.clerk.may_start(&id(1), Vec::new());
    office.finish(&id(1), CommandState::Done);
    assert_eq!(office.sent(), [("carry out", id(2))]);
}

#[test]
fn of_two_valve_commands_the_one_issued_later_stands_whichever_comes_first() {
    clock_is(Clock::Synced);
    let mut office = Office::opened();
    office.take(&issued(1, "valve.close", "A-101", 60));
    office.said();
    assert!(is_accepted(&office.take(&issued(2, "valve.open", "A-101", 30))));
    let said = office.said();
    assert!(said.contains(&(CommandState::Rejected, Some(Reason::Superseded))), "{said:?}");
    assert_eq!(office.clerk.may_start(&id(1), Vec::new()), Start::Over);
    // The one that comes late was issued before.
    assert_eq!(rejected_for(&office.take(&issued(3, "valve.close", "A-101", 45))), Some(Reason::Superseded));
    assert_eq!(office.clerk.may_start(&id(2), Vec::new()), Start::Now);
    office.finish(&id(2), CommandState::Done);
    let mut office = office.restarted();
    assert_eq!(rejected_for(&office.take(&issued(4, "valve.close", "A-101", 45))), Some(Reason::Superseded));
    // Another meter's are none of their business.
    assert!(is_accepted(&office.take(&issued(5, "valve.open", "A-999", 100))));
}

#[test]
fn only_so_many_valves_are_closed_within_the_hour_and_any_number_opened() {
    clock_is(Clock::Synced);
    let mut office = Office::opened();
    for n in 0..3 {
        assert!(is_accepted(&office.take(&issued(n, "valve.close", "A-101", 100 - i64::from(n)))));
        assert_eq!(office.clerk.may_start(&id(n), Vec::new()), Start::Now);
        office.finish(&id(n), CommandState::Failed);
    }
    let mut office = office.restarted();
    let fourth = office.take(&issued(10, "valve.close", "A-101", 50));
    assert_eq!(rejected_for(&fourth), Some(Reason::LimitReached), "{fourth:?}");
    for n in 20..30 {
        assert!(is_accepted(&office.take(&issued(n, "valve.open", "A-101", 40 - i64::from(n)))));
        assert_eq!(office.clerk.may_start(&id(n), Vec::new()), Start::Now);
        office.finish(&id(n), CommandState::Done);
    }
}

#[test]
fn a_flood_of_what_proves_nothing_leaves_a_count_and_no_outcome() {
    clock_is(Clock::Synced);
    let mut office = Office::opened();
    let length = || std::fs::metadata(office.folder.path().join("journal.jsonl")).unwrap().len();
    let before = length();
    for n in 0..10_000_u32 {
        let reception = office.clerk.take(format!("rubbish {n}").as_bytes(), &Origin::Local);
        assert_eq!(reception, Reception::Refused { cause: "malformed".into() });
    }
    assert_eq!(std::fs::metadata(office.folder.path().join("journal.jsonl")).unwrap().len(), before);
    office.clerk.tick();
    let after = std::fs::metadata(office.folder.path().join("journal.jsonl")).unwrap().len();
    assert!(after - before < 400, "one line: {} bytes", after - before);
    assert_eq!(office.said(), []);
}

#[test]
fn positions_are_kept_behind_the_commands_they_stand_for() {
    clock_is(Clock::Synced);
    let mut office = Office::opened();
    let hour_ago = now() - jiff::SignedDuration::from_hours(1);
    let since = Positions::Since(Some(hour_ago));
    assert_eq!(office.clerk.positions("t"), since, "a new gateway reads nothing old");
    let positions = |first, second| vec![(0, Position::at(first)), (1, Position::at(second))];
    assert!(office.clerk.begin("t", &positions(40, 7)));
    let from = |partition, next| Origin::Topic { topic: "t".into(), partition, position: Position::at(next) };
    let jws = issued(1, "valve.close", "A-101", 5);
    office.clerk.take(jws.as_bytes(), &from(0, 41));
    office.clerk.take(b"rubbish", &from(1, 8));
    // Killed before the position was written: the command comes again, and is known.
    let mut office = office.restarted();
    assert_eq!(office.clerk.positions("t"), Positions::From(positions(40, 7)));
    let again = office.clerk.take(jws.as_bytes(), &from(0, 41));
    assert_eq!(again, Reception::Known { id: id(1), state: CommandState::Accepted });
    office.clerk.close();
    let mut office = office.restarted();
    assert_eq!(office.clerk.positions("t"), Positions::From(positions(41, 7)));
}

#[test]
fn nothing_issued_before_the_journal_was_recovered_is_carried_out() {
    clock_is(Clock::Synced);
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("journal.jsonl"), "rubbish\n").unwrap();
    drop(Journal::open(folder.path(), stamp(&rules())).unwrap());
    let mut office = Office::in_folder(folder);
    assert!(matches!(office.clerk.positions("t"), Positions::Since(Some(recovered)) if recovered >= now()));
    // Also what a signer whose clock is ahead may have issued before. What became of it nobody knows: it has no end here, and
    // does not get one by being late, or wrong.
    let [five_ago, in_a_minute] = [-5, 60].map(|ahead| issued(1, "valve.close", "A-101", -ahead));
    let late = signed(&json!({ "issued_at": "2026-11-23T02:10:00Z", "not_after": "2026-11-23T02:20:00Z" }));
    let wrong = signed(&json!({ "action": "valve.melt" }));
    for old in [five_ago, in_a_minute, late, wrong] {
        assert_eq!(office.take(&old), Reception::Refused { cause: "stale".into() });
    }
    assert_eq!((office.said(), office.sent()), (vec![], vec![]));
    clock::simulated::set_wall(now() + jiff::SignedDuration::from_secs(200));
    assert!(is_accepted(&office.take(&issued(3, "valve.close", "A-101", 5))));
}

#[test]
fn only_so_many_commands_are_open_at_once() {
    clock_is(Clock::Synced);
    let mut office = Office::opened();
    for n in 0..u32::try_from(READS_OPEN_MAX).unwrap() {
        assert!(is_accepted(&office.take(&issued(n, "read.now", "A-101", 5))), "{n}");
    }
    let one_more = office.take(&issued(9999, "read.now", "A-101", 5));
    assert_eq!(rejected_for(&one_more), Some(Reason::LimitReached));
    assert_eq!(office.sent().len(), 1);
    // What only reads leaves room for what does not.
    for n in 1000..1000 + u32::try_from(COMMANDS_OPEN_MAX - READS_OPEN_MAX).unwrap() {
        assert!(is_accepted(&office.take(&issued(n, "clock.set", "A-101", 5))), "{n}");
    }
    assert_eq!(office.sent().len(), 1, "and a read that is under way holds up no write");
    let one_more = office.take(&issued(9998, "valve.open", "A-101", 5));
    assert_eq!(rejected_for(&one_more), Some(Reason::LimitReached));
}

#[tokio::test(start_paused = true)]
async fn a_flood_costs_the_journal_two_lines_in_a_while_and_a_command_in_it_its_own() {
    clock_is(Clock::Synced);
    let mut office = Office::opened();
    assert!(office.clerk.begin("t", &[(0, Position::at(0))]));
    let from = |next| Origin::Topic { topic: "t".into(), partition: 0, position: Position::at(next) };
    let before = office.journal().lines().count();
    for second in 0..100 {
        for n in 0..10 {
            office.clerk.take(b"rubbish", &from(second * 10 + n + 1));
        }
        office.clerk.tick();
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    let intervals = 100 / usize::try_from(TOPICS_JOURNALLED_EVERY.as_secs()).unwrap();
    assert_eq!(office.journal().lines().count() - before, 2 * intervals);
    office.clerk.tick();
    office.clerk.take(issued(1, "valve.close", "A-101", 5).as_bytes(), &from(1001));
    office.clerk.tick();
    let mut office = office.restarted();
    assert_eq!(office.clerk.positions("t"), Positions::From(vec![(0, Position::at(1001))]));
    // An orderly stop leaves nothing to be read again.
    office.clerk.take(b"rubbish", &from(1002));
    office.clerk.close();
    let mut office = office.restarted();
    assert_eq!(office.clerk.positions("t"), Positions::From(vec![(0, Position::at(1002))]));
}

#[test]
fn genuine_commands_of_other_gateways_take_only_so_many_of_the_places() {
    clock_is(Clock::Synced);
    let mut office = Office::opened();
    let other = |n| signed(&json!({ "id": id(n), "gateway": "gw-2" }));
    let most = u32::try_from(SEEN_OF_OTHERS_MAX).unwrap();
    for n in 0..most {
        assert_eq!(rejected_for(&office.take(&other(n))), Some(Reason::WrongGateway), "{n}");
    }
    for n in most..most + 5 {
        assert_eq!(office.take(&other(n)), Reception::Refused { cause: "wrong-gateway".into() });
    }
    let known = Reception::Known { id: id(7), state: CommandState::Rejected };
    assert_eq!(office.take(&other(7)), known, "those that were answered stay so");
    assert!(is_accepted(&office.take(&issued(9999, "valve.close", "A-101", 5))));
}

#[test]
fn who_works_for_a_command_that_was_superseded_is_told_to_leave_it() {
    clock_is(Clock::Synced);
    let mut office = Office::opened();
    office.take(&issued(1, "valve.close", "A-101", 6));
    assert!(office.clerk.is_under_way(&id(1)));
    office.take(&issued(2, "valve.open", "A-101", 5));
    assert!(!office.clerk.is_under_way(&id(1)));
    assert!(office.clerk.is_under_way(&id(2)));
    office.take(&issued(3, "clock.set", "A-101", 4));
    assert!(!office.clerk.is_under_way(&id(3)), "it waits");
}

#[test]
fn an_end_that_could_not_be_written_is_written_later_and_told_then() {
    clock_is(Clock::Synced);
    let mut office = Office::opened();
    office.take(&issued(1, "valve.close", "A-101", 5));
    assert_eq!(office.clerk.may_start(&id(1), Vec::new()), Start::Now);
    office.said();
    office.fails(&["flush", "flush"]);
    office.finish(&id(1), CommandState::Done);
    office.finish(&id(1), CommandState::Failed);
    assert_eq!(office.said(), [], "not on flash, so not told");
    office.clerk.tick();
    assert_eq!(office.said(), [(CommandState::Done, None)]);
    assert_eq!(office.restarted().sent(), []);
}

#[test]
fn a_reload_changes_keys_and_locks_and_leaves_the_meters_of_the_start() {
    clock_is(Clock::Synced);
    let mut office = Office::opened();
    let mut reloaded = policy();
    reloaded.meters.retain(|id, _| id == "A-101");
    reloaded.meters.values_mut().for_each(|meter| meter.locked_open = true);
    office.clerk.change(Rules { policy: reloaded, ..rules() });
    let locked = office.take(&issued(1, "valve.close", "A-101", 5));
    assert_eq!(rejected_for(&locked), Some(Reason::Locked));
    assert!(is_accepted(&office.take(&issued(2, "valve.open", "A-999", 4))));
}

#[test]
fn one_whose_end_could_not_be_written_is_not_started_meanwhile() {
    clock_is(Clock::Synced);
    let mut office = Office::opened();
    office.take(&issued(1, "valve.close", "A-101", 5));
    office.fails(&["flush"]);
    office.finish(&id(1), CommandState::Rejected);
    assert!(!office.clerk.is_under_way(&id(1)));
    assert_eq!(office.clerk.may_start(&id(1), Vec::new()), Start::Over);
    office.clerk.tick();
    assert_eq!(office.said(), [(CommandState::Accepted, None), (CommandState::Rejected, None)]);
}

#[test]
fn what_was_refused_is_on_record_before_the_topic_is_read_on() {
    clock_is(Clock::Synced);
    let mut office = Office::opened();
    assert!(office.clerk.begin("t", &[(0, Position::at(0))]));
    let origin = Origin::Topic { topic: "t".into(), partition: 0, position: Position::at(1) };
    office.clerk.take(b"rubbish", &origin);
    office.fails(&["flush"]);
    office.clerk.tick();
    assert!(office.faults.lock().unwrap().is_empty());
    assert!(!office.journal().contains("malformed"));
    office.clerk.tick();
    let journal = office.journal();
    assert!(journal.find("malformed").unwrap() < journal.find("\"next\":1").unwrap(), "{journal}");
}

#[test]
fn a_topic_that_has_lost_a_partition_is_begun_once() {
    clock_is(Clock::Synced);
    let mut office = Office::opened();
    assert!(office.clerk.begin("t", &[(0, Position::at(5)), (1, Position::at(6))]));
    let before = office.journal();
    assert!(office.clerk.begin("t", &[(0, Position::at(5))]));
    assert_eq!(office.journal(), before);
}
