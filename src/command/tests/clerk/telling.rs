//! What is told of commands that get no outcome, and of a journal that was lost.

use weir_wire::stored::What;

use super::super::super::journal::tests::leave_full;
use super::*;
use crate::limits::{SEEN_KEPT, SEEN_MAX};

impl Office {
    /// Every event since this was last asked; `JournalLost` has a way of its own.
    fn events(&mut self) -> Vec<What> {
        let mut events = Vec::new();
        while let Ok(tell) = self.told.try_recv() {
            match tell {
                Tell::Event(event) | Tell::JournalLost(event) => events.push(event.what),
                Tell::Outcome { .. } => {}
            }
        }
        events
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_refused_is_told_once_a_minute_with_counts_by_cause_and_the_last_key() {
    clock_is(Clock::Synced);
    let mut office = Office::opened();
    let forged = sign(but(&json!({})).as_bytes(), &secret("stranger"));
    for _ in 0..3 {
        office.take(&forged);
    }
    office.clerk.take(b"rubbish", &Origin::Local);
    office.clerk.tick();
    assert_eq!(office.events(), [], "not before a minute is over");
    tokio::time::advance(Duration::from_secs(60)).await;
    office.clerk.tick();
    let events = office.events();
    let [What::CommandsRefused { refused, last_kid }] = events.as_slice() else { panic!("{events:?}") };
    let counts: Vec<(&str, u64)> = refused.iter().map(|of| (of.cause.as_str(), of.count)).collect();
    assert_eq!(counts, [("malformed", 1), ("unknown-key", 3)]);
    assert_eq!(last_kid.as_deref(), Some("stranger"));
    tokio::time::advance(Duration::from_secs(60)).await;
    office.clerk.tick();
    assert_eq!(office.events(), [], "nothing was refused since");
}

#[test]
fn a_lost_journal_is_told_until_that_is_in_the_outbox() {
    clock_is(Clock::Synced);
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("journal.jsonl"), "rubbish\n").unwrap();
    let mut office = Office::in_folder(folder);
    for _ in 0..2 {
        let events = office.events();
        assert!(matches!(events.as_slice(), [What::JournalLost { .. }]), "{events:?}");
        office = office.restarted();
    }
    office.clerk.damage_told();
    let mut office = office.restarted();
    assert_eq!(office.events(), []);
}

#[test]
fn where_no_place_is_left_a_command_is_counted_and_neither_answered_nor_carried_out() {
    clock_is(Clock::Synced);
    let folder = tempfile::tempdir().unwrap();
    leave_full(folder.path(), now() - jiff::SignedDuration::from_hours(3));
    let mut office = Office::in_folder(folder);
    office.said();
    let new = issued(4_000_000, "valve.close", "A-101", 5);
    assert_eq!(office.take(&new), Reception::Refused { cause: "full".into() });
    assert_eq!((office.said(), office.sent()), (vec![], vec![]));
    // A month later the oldest are forgotten, and whatever may have been one of them is refused.
    let long_after =
        jiff::SignedDuration::try_from(SEEN_KEPT).unwrap() + jiff::SignedDuration::from_hours(24);
    clock::simulated::set_wall(now() + long_after);
    assert!(is_accepted(&office.take(&issued(4_000_001, "valve.close", "A-101", 5))));
    assert!(office.clerk.seen_count() < SEEN_MAX);
    let old = signed(&json!({
        "id": id(4_000_002),
        "issued_at": (now() - jiff::SignedDuration::from_hours(3)).to_string(),
        "not_after": (now() - jiff::SignedDuration::from_mins(170)).to_string(),
    }));
    office.said();
    assert_eq!(office.take(&old), Reception::Refused { cause: "stale".into() });
    assert_eq!(office.said(), []);
}
