//! For what a command that was accepted waits, a clock or its meter, and when that is over.

use super::*;

#[test]
fn an_untrusted_clock_lets_only_the_right_challenge_through_and_that_once() {
    clock_is(Clock::Unsynced);
    let mut office = Office::opened();
    assert_eq!(
        rejected_for(&office.take(&issued(1, "valve.close", "A-101", 5))),
        Some(Reason::ClockNotTrusted)
    );
    let nonce = office.clerk.challenge().unwrap();
    let with = |n, nonce: &str| signed(&json!({ "id": id(n), "challenge": nonce }));
    assert_eq!(rejected_for(&office.take(&with(2, "guessed"))), Some(Reason::ClockNotTrusted));
    assert!(is_accepted(&office.take(&with(3, &nonce))));
    assert_eq!(office.clerk.may_start(&id(3), Vec::new()), Start::Now);
    assert_eq!(rejected_for(&office.take(&with(4, &nonce))), Some(Reason::ClockNotTrusted));
}

#[test]
fn a_command_that_was_accepted_waits_for_the_clock_after_a_restart_without_one() {
    clock_is(Clock::Synced);
    let mut office = Office::opened();
    office.take(&issued(1, "valve.close", "A-101", 5));
    clock_is(Clock::Unsynced);
    let mut office = office.restarted();
    assert_eq!(office.clerk.may_start(&id(1), Vec::new()), Start::NotYet);
    assert!(office.said().iter().all(|(state, _)| !state.is_final()));
}

#[test]
fn a_clock_that_is_trusted_by_configuration_is_unless_it_shows_what_is_past() {
    clock_is(Clock::Unsynced);
    let mut office = Office::opened();
    office.clerk.change(Rules { trust_clock: true, ..rules() });
    office.clerk.tick();
    clock::simulated::set_wall(now() + jiff::SignedDuration::from_secs(200));
    clock::simulated::set_synced(false);
    assert!(is_accepted(&office.take(&issued(1, "valve.close", "A-101", 5))));
    assert_eq!(office.clerk.may_start(&id(1), Vec::new()), Start::Now);
    clock::set_floor(now() + jiff::SignedDuration::from_hours(24));
    let late = office.take(&issued(2, "valve.close", "A-101", 3));
    assert_eq!(rejected_for(&late), Some(Reason::ClockNotTrusted), "{late:?}");
}

#[tokio::test(start_paused = true)]
async fn one_that_waits_for_the_clock_keeps_no_other_from_its_meter_and_has_an_end_without_it() {
    clock_is(Clock::Synced);
    let mut office = Office::opened();
    office.take(&issued(1, "clock.set", "A-101", 5));
    office.sent();
    clock_is(Clock::Unsynced);
    let mut office = office.restarted();
    let nonce = office.clerk.challenge().unwrap();
    let read = signed(&json!({ "id": id(2), "action": "read.now", "challenge": nonce }));
    assert!(is_accepted(&office.take(&read)));
    assert_eq!(office.sent(), [("carry out", id(2))]);
    office.finish(&id(2), CommandState::Done);
    office.said();
    // However wrong the clock is, after its lifetime and the skew it is over.
    for (seconds, said) in [(724, vec![]), (2, vec![(CommandState::Expired, Some(Reason::ClockNotTrusted))])]
    {
        tokio::time::advance(Duration::from_secs(seconds)).await;
        office.clerk.tick();
        assert_eq!(office.said(), said);
    }
    assert_eq!(office.sent(), []);
}

#[test]
fn one_that_waits_for_the_clock_goes_when_it_is_trusted() {
    clock_is(Clock::Synced);
    let mut office = Office::opened();
    office.take(&issued(1, "valve.close", "A-101", 5));
    clock_is(Clock::Unsynced);
    let mut office = office.restarted();
    office.clerk.tick();
    assert_eq!(office.sent(), []);
    clock_is(Clock::Synced);
    office.clerk.tick();
    assert_eq!(office.sent(), [("carry out", id(1))]);
    office.clerk.tick();
    assert_eq!(office.sent(), [], "once");
}

#[tokio::test(start_paused = true)]
async fn one_that_waits_for_its_meter_too_long_expires() {
    clock_is(Clock::Synced);
    let mut office = Office::opened();
    office.take(&issued(1, "valve.close", "A-101", 6));
    office.take(&issued(2, "clock.set", "A-101", 5));
    assert_eq!(office.clerk.may_start(&id(1), Vec::new()), Start::Now);
    office.said();
    tokio::time::advance(Duration::from_secs(601)).await;
    office.clerk.tick();
    assert_eq!(office.said(), [(CommandState::Expired, None)]);
    office.finish(&id(1), CommandState::Done);
    assert_eq!(office.sent(), [("carry out", id(1))], "the other never set out");
}

#[test]
fn a_date_in_the_future_that_a_challenge_let_in_holds_up_no_later_command() {
    clock_is(Clock::Synced);
    let mut office = Office::opened();
    clock_is(Clock::Unsynced);
    let nonce = office.clerk.challenge().unwrap();
    assert!(is_accepted(&office.take(&dated_2031(1, &nonce))));
    assert_eq!(office.clerk.may_start(&id(1), Vec::new()), Start::Now);
    office.finish(&id(1), CommandState::Done);
    clock_is(Clock::Synced);
    let second = office.take(&issued(2, "valve.open", "A-101", 5));
    assert!(is_accepted(&second), "{second:?}");
}

/// As in a command that a signer has dated years ahead, which only a challenge lets in.
fn dated_2031(n: u32, nonce: &str) -> String {
    signed(&json!({
        "id": id(n), "challenge": nonce,
        "issued_at": format!("2031-01-01T00:0{n}:00Z"), "not_after": format!("2031-01-01T00:1{n}:00Z"),
    }))
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_loses_its_clock_keeps_no_command_open_for_ever() {
    clock_is(Clock::Synced);
    let mut office = Office::opened();
    office.take(&issued(1, "valve.close", "A-101", 6));
    office.take(&issued(2, "clock.set", "A-101", 5));
    clock_is(Clock::Unsynced);
    office.said();
    tokio::time::advance(Duration::from_secs(599)).await;
    office.clerk.tick();
    assert_eq!(office.said(), []);
    assert_eq!(office.clerk.may_start(&id(1), Vec::new()), Start::NotYet);
    tokio::time::advance(Duration::from_secs(2)).await;
    office.clerk.tick();
    assert_eq!(office.said(), [(CommandState::Expired, None)], "of the one that nobody works for");
    assert_eq!(office.clerk.may_start(&id(1), Vec::new()), Start::Over);
    assert_eq!(office.said(), [(CommandState::Expired, None)]);
}

#[tokio::test(start_paused = true)]
async fn a_date_in_the_future_is_not_waited_for_after_a_restart() {
    clock_is(Clock::Synced);
    let mut office = Office::opened();
    clock_is(Clock::Unsynced);
    let nonce = office.clerk.challenge().unwrap();
    assert!(is_accepted(&office.take(&dated_2031(1, &nonce))));
    let mut office = office.restarted();
    clock_is(Clock::Synced);
    assert_eq!(office.clerk.may_start(&id(1), Vec::new()), Start::Over);
    assert_eq!(office.said().last(), Some(&(CommandState::Rejected, Some(Reason::Stale))));

    clock_is(Clock::Unsynced);
    let nonce = office.clerk.challenge().unwrap();
    assert!(is_accepted(&office.take(&dated_2031(2, &nonce))));
    let mut office = office.restarted();
    clock_is(Clock::Synced);
    tokio::time::advance(Duration::from_secs(721)).await;
    office.clerk.tick();
    assert_eq!(office.clerk.may_start(&id(2), Vec::new()), Start::Over);
    assert_eq!(office.said().last().unwrap().0, CommandState::Expired);
}
