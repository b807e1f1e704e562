//! The journal on real files: what is written is there, what is damaged is found, and nothing that was known to be
//! dangerous is forgotten over it.

mod damage;
pub(in crate::command) mod failing;
mod remembering;

use std::path::Path;

use jiff::Timestamp;
use weir_wire::{Action, Clock, Command, CommandState, Observed, Raw, Valve};

use super::*;
use crate::limits::SEEN_MAX;

fn at(second: i64) -> Stamp {
    Stamp { at: Timestamp::from_second(1_764_000_000 + second).unwrap(), clock: Clock::Synced }
}

/// The command with this number, issued in this second and valid for ten minutes.
fn command(number: u32, action: Action, issued: i64) -> Command {
    Command {
        id: format!("0192f0c1-7d1c-7a53-9f0e-{number:012}"),
        gateway: "gw-1".into(),
        meter: format!("A-{}", number % 3),
        action,
        issued_at: at(issued).at,
        not_after: at(issued + 600).at,
        requested_by: Some("anna".into()),
        reason: None,
        if_valve: None,
        challenge: None,
        tariff: Some(weir_wire::Tariff {
            effective_from: jiff::civil::date(2027, 1, 1),
            steps: vec![weir_wire::TariffStep {
                from_m3: "0".parse().unwrap(),
                price: "3.450".parse().unwrap(),
            }],
        }),
    }
}

fn digest(number: u8) -> Digest {
    Digest([number; 32])
}

fn accepted(command: &Command) -> Entry {
    Entry::Accepted {
        command: command.clone(),
        jws: "a.b.c".into(),
        kid: "console-1".into(),
        public: crate::command::keys::SecretKey::from_seed("console-1", &[7; 32]).unwrap().public(),
        digest: digest(1),
        is_local: false,
    }
}

fn finished(id: &str, state: CommandState) -> Entry {
    Entry::Finished {
        id: id.into(),
        state,
        reason: None,
        detail: "read back 4.1 s after the write".into(),
        observed: Some(Observed { valve: Some(Valve::Closed), ..Observed::default() }),
    }
}

fn positions() -> Vec<(i32, Position)> {
    vec![(0, Position { next: 7, last_ms: Some(1_764_000_000_000) }), (2, Position::at(1))]
}

/// Leaves a journal that remembers as many commands as it may, the n-th of which was valid until n + 600 seconds after this
/// moment, and was refused.
pub(in crate::command) fn leave_full(directory: &Path, began: Timestamp) {
    let began = Stamp { at: began, clock: Clock::Synced };
    let mut journal = Journal::open(directory, began).unwrap();
    let mut state = remembering::seen(SEEN_MAX, began.at);
    state.begin(began);
    state.note_told(SEEN_MAX.try_into().unwrap());
    journal.state = state;
    journal.rotate(began).unwrap();
}

fn open(directory: &Path) -> Journal {
    Journal::open(directory, at(100)).unwrap()
}

/// A journal with a command that is done, one that is started, one that is accepted, and a position.
fn written(directory: &Path) -> State {
    let mut journal = open(directory);
    assert_eq!(journal.state().damage(), None);
    let [done, started, waiting] = [1, 2, 3].map(|number| command(number, Action::ValveClose, number.into()));
    for entry in [
        accepted(&done),
        Entry::Started { id: done.id.clone() },
        Entry::Step {
            id: done.id.clone(),
            what: "write".into(),
            request: Raw(vec![0x68, 0x10]),
            answer: Raw(Vec::new()),
            fault: Some("silent".into()),
            repeats: 0,
        },
        finished(&done.id, CommandState::Done),
        accepted(&started),
        Entry::Started { id: started.id.clone() },
        accepted(&waiting),
        Entry::Positions { topic: "weir.commands.gw-1".into(), partitions: positions() },
    ] {
        journal.append(entry, at(110)).unwrap();
    }
    journal.state().clone()
}

#[test]
fn what_was_written_is_there_after_a_start_word_for_word() {
    let folder = tempfile::tempdir().unwrap();
    let before = written(folder.path());
    let journal = open(folder.path());
    assert_eq!(journal.state().damage(), None);
    assert_eq!(journal.state(), &before);

    let state = journal.state();
    let id = |number| command(number, Action::ReadNow, 0).id;
    assert_eq!(state.seen(&id(1)).unwrap().state(), CommandState::Done);
    assert_eq!(state.open(&id(1)), None);
    assert_eq!(state.open(&id(2)).unwrap().phase, Phase::Started);
    let waiting = state.open(&id(3)).unwrap();
    assert_eq!(waiting.phase, Phase::Accepted);
    assert_eq!(waiting.command, command(3, Action::ValveClose, 3));
    let price = &waiting.command.tariff.as_ref().unwrap().steps[0].price;
    assert_eq!(price.to_string(), "3.450", "exact digits");
    assert_eq!(state.positions("weir.commands.gw-1"), Some(positions()));
    assert_eq!(state.positions("another"), None);
    assert_eq!(state.closings().count(), 2);
    assert_eq!(state.last_valve("A-1"), Some(at(1).at));
    assert_eq!(state.began(), Some(at(100).at));
    let (_, outcome) = state.last_outcome(&id(1)).unwrap();
    assert_eq!((outcome.state, outcome.is_final), (CommandState::Done, true));
    assert_eq!(outcome.detail.as_deref(), Some("read back 4.1 s after the write"));
}

#[test]
fn outcomes_that_are_not_known_to_be_told_are_told_again_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let before = written(folder.path());
    let untold = before.untold();
    assert_eq!(untold.len(), 6, "{untold:#?}");
    assert!(untold.is_sorted_by_key(|(sequence, _)| *sequence));

    let mut journal = open(folder.path());
    assert_eq!(journal.state().untold(), untold);
    journal.told(untold[3].0);
    assert_eq!(journal.state().untold(), untold[4..]);
    // It is written down with the next line.
    drop(journal);
    let mut journal = open(folder.path());
    assert_eq!(journal.state().untold(), untold);
    journal.told(untold[3].0);
    journal.append(Entry::ClockTrusted, at(120)).unwrap();
    drop(journal);
    assert_eq!(open(folder.path()).state().untold(), untold[4..]);
}

#[test]
fn two_processes_do_not_write_one_journal() {
    let folder = tempfile::tempdir().unwrap();
    let first = open(folder.path());
    let second = Journal::open(folder.path(), at(0));
    assert!(matches!(second, Err(OpenError::InUse(_))), "{second:?}");
    drop(first);
    open(folder.path());
}

#[test]
fn a_long_journal_goes_on_in_a_new_file_and_the_chain_over_both() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = open(folder.path());
    let long = "x".repeat(64 * 1024);
    let first = command(1, Action::ValveOpen, 1);
    journal.append(accepted(&first), at(1)).unwrap();
    let mut written = 0;
    while files::older(folder.path()).unwrap().len() < 3 {
        let step = Entry::Step {
            id: first.id.clone(),
            what: "look".into(),
            request: Raw(Vec::new()),
            answer: Raw(Vec::new()),
            fault: Some(long.clone()),
            repeats: 0,
        };
        journal.append(step, at(2)).unwrap();
        written += 1;
        assert!(written < 1000);
    }
    let state = journal.state().clone();
    assert_eq!(state.open(&first.id).unwrap().phase, Phase::Accepted);
    drop(journal);
    assert_eq!(open(folder.path()).state(), &state);

    let audit = audit(folder.path()).unwrap();
    assert_eq!((audit.files, audit.breaks.len(), audit.recoveries), (4, 0, 0), "{audit:?}");
    assert_eq!(history(folder.path(), &first.id).unwrap().len(), written + 1);

    // A file whose predecessor was exchanged for another journal's is found out.
    let oldest = files::older(folder.path()).unwrap().remove(0);
    let text = std::fs::read_to_string(&oldest).unwrap();
    let cut: String = text.split_inclusive('\n').take(3).collect();
    std::fs::write(&oldest, cut).unwrap();
    let audit = super::audit(folder.path()).unwrap();
    assert_eq!(audit.breaks.len(), 1, "{audit:?}");
}

#[test]
fn a_rotation_that_got_half_way_is_no_break_of_the_chain() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = open(folder.path());
    let first = command(1, Action::ValveOpen, 1);
    journal.append(accepted(&first), at(1)).unwrap();
    // The power goes between the second name and the new file.
    files::keep(folder.path(), journal.sequence).unwrap();
    drop(journal);
    let mut journal = open(folder.path());
    journal.append(finished(&first.id, CommandState::Done), at(2)).unwrap();
    journal.rotate(at(3)).unwrap();
    journal.append(Entry::ClockTrusted, at(4)).unwrap();
    drop(journal);
    let audit = audit(folder.path()).unwrap();
    assert_eq!((audit.files, audit.breaks.as_slice()), (2, &[][..]), "{audit:?}");
}

#[test]
fn only_so_many_old_files_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    for sequence in 1..=40 {
        std::fs::write(folder.path().join(format!("journal-{sequence}.jsonl")), "").unwrap();
    }
    files::drop_oldest(folder.path(), 3).unwrap();
    let left = files::older(folder.path()).unwrap();
    let names: Vec<_> = left.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ["journal-38.jsonl", "journal-39.jsonl", "journal-40.jsonl"]);
}
