//! What has changed between a command's arrival and its start: keys, locks, limits, and other commands.

use super::*;
use crate::line::Exchanged;

/// One closing, accepted and sent out and not started.
fn accepted() -> Office {
    clock_is(Clock::Synced);
    let mut office = Office::opened();
    assert!(is_accepted(&office.take(&issued(1, "valve.close", "A-101", 5))));
    office.said();
    office
}

/// Asserts that the command is not started now, for this reason, and that this is its one end.
#[track_caller]
fn is_held_back(office: &mut Office, reason: Reason) {
    assert_eq!(office.clerk.may_start(&id(1), Vec::new()), Start::Over);
    assert_eq!(office.said(), [(CommandState::Rejected, Some(reason))]);
    assert_eq!(office.clerk.may_start(&id(1), Vec::new()), Start::Over);
    assert_eq!(office.said(), []);
}

fn with_policy(change: impl FnOnce(&mut Policy)) -> Rules {
    let mut rules = rules();
    change(&mut rules.policy);
    rules
}

#[test]
fn what_another_key_of_the_same_id_had_signed_is_not_started() {
    // Also over a restart, which has the key from the journal.
    for restart in [|office| office, Office::restarted] {
        let mut office = restart(accepted());
        office.said();
        let (id, next) = key("anna", Action::ALL, &["A-*"], None);
        let next = Key { public: secret("bert").public(), ..next };
        office.clerk.change(with_policy(|policy| policy.keys.insert(id, next)));
        is_held_back(&mut office, Reason::NotAuthorised);
    }
}

#[test]
fn a_key_that_was_taken_away_starts_nothing() {
    let mut office = accepted();
    office.clerk.change(with_policy(|policy| policy.keys = Keys::default()));
    is_held_back(&mut office, Reason::NotAuthorised);
}

#[test]
fn a_key_that_expires_while_its_command_waits_starts_nothing() {
    let mut office = accepted();
    let (id, expired) = key("anna", Action::ALL, &["A-*"], Some("2026-11-23T02:25:00Z"));
    office.clerk.change(with_policy(|policy| policy.keys.insert(id, expired)));
    is_held_back(&mut office, Reason::NotAuthorised);
}

#[test]
fn a_valve_that_is_locked_open_meanwhile_is_not_closed() {
    let mut office = accepted();
    office.clerk.change(with_policy(|policy| policy.meters.get_mut("A-101").unwrap().locked_open = true));
    is_held_back(&mut office, Reason::Locked);
}

#[test]
fn a_switch_that_was_turned_meanwhile_holds_back_what_was_accepted() {
    let mut office = accepted();
    StopSwitch::in_directory(office.folder.path()).set("works").unwrap();
    is_held_back(&mut office, Reason::Stopped);
}

#[test]
fn of_two_closings_that_were_accepted_the_one_beyond_the_limit_is_not_started() {
    let mut office = accepted();
    office.clerk.change(with_policy(|policy| policy.closings_per_hour_max = 1));
    let other = json!({ "id": id(2), "meter": "B-201" });
    assert!(is_accepted(&office.take(&sign(but(&other).as_bytes(), &secret("until")))));
    assert_eq!(office.clerk.may_start(&id(2), Vec::new()), Start::Now);
    office.said();
    is_held_back(&mut office, Reason::LimitReached);
}

#[test]
fn of_two_valve_commands_the_one_signed_later_stands_also_by_challenge() {
    // As a box without a battery clock shows.
    clock::simulated::set_wall(Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_hours(2));
    clock::simulated::set_synced(false);
    let mut office = Office::opened();
    let [first, second] = [(); 2].map(|()| office.clerk.challenge().unwrap());
    let with = |n: u32, action: &str, nonce: &str, minute: u32| {
        signed(&json!({
            "id": id(n), "action": action, "challenge": nonce,
            "issued_at": format!("2026-11-23T02:{minute}:00Z"), "not_after": format!("2026-11-23T02:{}:00Z", minute + 10),
        }))
    };
    assert!(is_accepted(&office.take(&with(1, "valve.open", &second, 21))));
    let older = office.take(&with(2, "valve.close", &first, 20));
    assert_eq!(rejected_for(&older), Some(Reason::Superseded));
    assert_eq!(office.clerk.may_start(&id(1), Vec::new()), Start::Now);
}

#[test]
fn what_is_valid_for_ever_is_counted_and_takes_no_place() {
    clock_is(Clock::Synced);
    let mut office = Office::opened();
    let for_ever = signed(&json!({ "not_after": "9999-12-30T00:00:00Z" }));
    assert_eq!(office.take(&for_ever), Reception::Refused { cause: "stale".into() });
    assert_eq!((office.said(), office.clerk.seen_count()), (vec![], 0));
    // Somewhat too long is told, and remembered for as long as it may come again.
    let too_long = signed(&json!({ "not_after": "2026-11-30T00:00:00Z" }));
    assert_eq!(rejected_for(&office.take(&too_long)), Some(Reason::Stale));
    assert_eq!(office.clerk.seen_count(), 1);
}

#[test]
fn of_another_gateways_command_this_one_tells_no_end() {
    clock_is(Clock::Synced);
    let mut office = Office::opened();
    office.take(&signed(&json!({ "gateway": "gw-2" })));
    let outcomes = office.outcomes();
    let told: Vec<_> =
        outcomes.iter().map(|told| (&told.state, told.reason.as_ref(), told.is_final)).collect();
    assert_eq!(told, [(&CommandState::Rejected, Some(&Reason::WrongGateway), false)]);
}

#[test]
fn a_duplicate_that_cannot_be_written_is_not_dealt_with() {
    let mut office = accepted();
    let other = issued(1, "valve.open", "A-101", 4);
    office.fails(&["flush"]);
    assert!(matches!(office.take(&other), Reception::Busy { .. }));
    assert_eq!(rejected_for(&office.take(&other)), Some(Reason::Duplicate));
    assert_eq!(office.said(), [(CommandState::Rejected, Some(Reason::Duplicate))]);
}

#[test]
fn a_read_that_is_tried_all_day_holds_up_no_valve() {
    clock_is(Clock::Synced);
    let mut office = Office::opened();
    office.take(&issued(1, "read.now", "A-101", 5));
    office.take(&issued(2, "valve.close", "A-101", 5));
    office.take(&issued(3, "read.now", "A-101", 5));
    office.take(&issued(4, "clock.set", "A-101", 5));
    assert_eq!(office.sent(), [("carry out", id(1)), ("carry out", id(2))], "one at a time of each kind");
    assert!(office.clerk.is_under_way(&id(1)) && office.clerk.is_under_way(&id(2)));
    office.finish(&id(2), CommandState::Done);
    assert_eq!(office.sent(), [("carry out", id(4))]);
    office.finish(&id(1), CommandState::Failed);
    assert_eq!(office.sent(), [("carry out", id(3))]);
}

#[tokio::test(start_paused = true)]
async fn a_clerk_whose_journal_takes_no_more_is_stuck_after_an_hour_and_not_before() {
    for (faults, is_stuck) in [(&[][..], false), (&["flush", "cut"][..], true)] {
        let mut office = accepted();
        office.fails(faults);
        let reception = office.take(&issued(2, "valve.open", "A-101", 4));
        assert_eq!(is_accepted(&reception), faults.is_empty(), "{reception:?}");
        tokio::time::advance(Duration::from_secs(3500)).await;
        assert!(!office.clerk.is_stuck());
        tokio::time::advance(Duration::from_secs(200)).await;
        assert_eq!(office.clerk.is_stuck(), is_stuck);
    }
}

#[test]
fn a_clerk_that_waits_for_the_clock_writes_nothing() {
    let mut office = accepted();
    clock::simulated::set_synced(false);
    let before = office.journal();
    let passed = vec![Exchanged { request: vec![1], answer: Ok(vec![2]), repeats: 0 }];
    assert_eq!(office.clerk.may_start(&id(1), passed.clone()), Start::NotYet);
    assert_eq!(office.journal(), before);
    clock_is(Clock::Synced);
    assert_eq!(office.clerk.may_start(&id(1), passed), Start::Now);
    assert!(office.journal().contains("identity"));
}
