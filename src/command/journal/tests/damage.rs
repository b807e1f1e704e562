//! Damage of every byte: it is found, the lines before it stand, and what they did not protect against is assumed.

use std::fs;

use super::*;
use crate::limits::JOURNAL_DAMAGED_MAX;

#[test]
fn a_torn_last_line_is_cut_off_wherever_it_is_torn() {
    let folder = tempfile::tempdir().unwrap();
    written(folder.path());
    let path = folder.path().join(files::CURRENT);
    let whole = fs::read(&path).unwrap();
    let last_line = whole[..whole.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
    for length in last_line..whole.len() {
        fs::write(&path, &whole[..length]).unwrap();
        let mut journal = open(folder.path());
        assert_eq!(journal.state().damage(), None, "{length} bytes");
        assert_eq!(journal.state().positions("weir.commands.gw-1"), None);
        assert_eq!(journal.state().unfinished().count(), 2);
        assert_eq!(fs::metadata(&path).unwrap().len(), u64::try_from(last_line).unwrap());
        journal.append(Entry::ClockTrusted, at(130)).unwrap();
        drop(journal);
        assert!(audit(folder.path()).unwrap().breaks.is_empty());
    }
}

/// What must hold of every journal that was damaged.
fn is_safe(folder: &Path, before: &State, what: &str) {
    let journal = open(folder);
    let state = journal.state();
    let Some(damage) = state.damage() else {
        panic!("{what}: not found");
    };
    assert!(damage.detail.contains("journal.jsonl"), "{what}: {damage:?}");
    assert_eq!(state.began(), Some(at(100).at), "{what}");
    assert_eq!(state.positions("weir.commands.gw-1"), None, "{what}: what was read is not known");
    for open in state.unfinished() {
        assert_eq!(open.phase, Phase::Started, "{what}: {} might be carried out again", open.command.id);
        let was = before.seen(&open.command.id).unwrap();
        assert_eq!(state.seen(&open.command.id).unwrap().digest, was.digest, "{what}");
    }
    drop(journal);
    // The next start finds it in order.
    let mut journal = open(folder);
    assert_eq!(journal.state().began(), Some(at(100).at), "{what}");
    assert!(journal.state().damage().is_some(), "{what}: until it is known to be told");
    journal.append(Entry::DamageTold, at(140)).unwrap();
    drop(journal);
    assert_eq!(open(folder).state().damage(), None);
    assert_eq!(audit(folder).unwrap().breaks, Vec::<String>::new(), "{what}");
}

#[test]
fn a_flipped_bit_in_any_byte_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let before = written(folder.path());
    let path = folder.path().join(files::CURRENT);
    let whole = fs::read(&path).unwrap();
    for index in 0..whole.len() {
        // Every byte once, with another bit each time.
        let mut damaged = whole.clone();
        damaged[index] ^= 1 << (index % 8);
        fs::write(&path, &damaged).unwrap();
        let replay = files::read(&path).unwrap().unwrap();
        assert!(replay.damage.is_some(), "bit {} of byte {index}", index % 8);
        let line = whole[..index].iter().filter(|byte| **byte == b'\n').count();
        assert_eq!(replay.lines, u64::try_from(line).unwrap(), "the lines before byte {index} stand");
        // Opening it flushes many times: a byte of every line is enough.
        if index % 67 != 0 {
            continue;
        }
        let fresh = tempfile::tempdir().unwrap();
        fs::write(fresh.path().join(files::CURRENT), &damaged).unwrap();
        is_safe(fresh.path(), &before, &format!("bit {} of byte {index}", index % 8));
        let kept = fs::read_dir(fresh.path()).unwrap().filter_map(|entry| {
            let entry = entry.unwrap();
            entry.file_name().to_str()?.starts_with("damaged-").then(|| fs::read(entry.path()).unwrap())
        });
        assert_eq!(kept.collect::<Vec<_>>(), [damaged]);
    }
}

#[test]
fn a_line_that_is_missing_doubled_or_moved_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let before = written(folder.path());
    let path = folder.path().join(files::CURRENT);
    let whole = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = whole.split_inclusive('\n').collect();
    let mut variants = Vec::new();
    for index in 0..lines.len() - 1 {
        let mut missing = lines.clone();
        missing.remove(index);
        variants.push((format!("line {index} missing"), missing));
        let mut doubled = lines.clone();
        doubled.insert(index, lines[index]);
        variants.push((format!("line {index} doubled"), doubled));
        let mut moved = lines.clone();
        moved.swap(index, index + 1);
        variants.push((format!("line {index} moved"), moved));
    }
    let zeros = "\0".repeat(512);
    let mut zeroed = lines.clone();
    zeroed.push(&zeros);
    zeroed.push("\n");
    variants.push(("zeros behind the end".into(), zeroed));
    for (what, lines) in variants {
        let fresh = tempfile::tempdir().unwrap();
        fs::write(fresh.path().join(files::CURRENT), lines.concat()).unwrap();
        is_safe(fresh.path(), &before, &what);
    }
}

#[test]
fn a_journal_that_is_gone_while_older_files_are_there_is_damage() {
    let folder = tempfile::tempdir().unwrap();
    let before = written(folder.path());
    let path = folder.path().join(files::CURRENT);
    fs::rename(&path, folder.path().join("journal-9.jsonl")).unwrap();
    is_safe(folder.path(), &before, "gone");
}

#[test]
fn an_empty_file_is_damage_and_no_first_start() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(files::CURRENT), "").unwrap();
    let journal = open(folder.path());
    assert!(journal.state().damage().is_some());
}

#[test]
fn lines_behind_the_break_are_counted_where_the_last_can_be_read() {
    let folder = tempfile::tempdir().unwrap();
    written(folder.path());
    let path = folder.path().join(files::CURRENT);
    let mut bytes = fs::read(&path).unwrap();
    let second = bytes.iter().position(|byte| *byte == b'\n').unwrap() + 100;
    bytes[second] ^= 1;
    fs::write(&path, bytes).unwrap();
    // Nine lines, the first of which is whole.
    assert_eq!(open(folder.path()).state().damage().unwrap().lost, Some(8));
}

#[test]
fn after_damage_under_a_clock_that_is_not_trusted_the_recovery_is_dated_later() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(files::CURRENT), "rubbish\n").unwrap();
    let unsynced = Stamp { at: Timestamp::UNIX_EPOCH, clock: Clock::Unsynced };
    let mut journal = Journal::open(folder.path(), unsynced).unwrap();
    assert_eq!(journal.state().began(), None);
    journal.append(Entry::ClockTrusted, at(200)).unwrap();
    assert_eq!(journal.state().began(), Some(at(200).at));
    journal.append(Entry::ClockTrusted, at(300)).unwrap();
    assert_eq!(journal.state().began(), Some(at(200).at));
}

#[test]
fn a_file_without_its_first_line_goes_on_from_the_one_before() {
    let folder = tempfile::tempdir().unwrap();
    let before = written(folder.path());
    let path = folder.path().join(files::CURRENT);
    fs::copy(&path, folder.path().join("journal-9.jsonl")).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    bytes[70] ^= 1;
    fs::write(&path, bytes).unwrap();
    let journal = open(folder.path());
    assert_eq!(journal.state().seen_count(), before.seen_count());
    assert!(journal.state().damage().is_some());
}

#[test]
fn a_command_whose_end_stands_behind_the_break_has_it_and_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(files::CURRENT);
    let mut journal = open(folder.path());
    let (first, second, third) = (
        command(1, Action::ValveClose, 1),
        command(2, Action::ValveClose, 2),
        command(3, Action::ReadNow, 3),
    );
    for entry in [
        accepted(&first),
        Entry::Started { id: first.id.clone() },
        Entry::ClockTrusted,
        finished(&first.id, CommandState::Done),
        accepted(&second),
        finished(&second.id, CommandState::Expired),
        accepted(&third),
    ] {
        journal.append(entry, at(110)).unwrap();
    }
    let (sequence, end) = (journal.sequence, journal.state().last_outcome(&first.id).unwrap());
    drop(journal);
    // The line in the middle.
    let mut bytes = fs::read(&path).unwrap();
    let lines: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] == b'\n').collect();
    bytes[lines[3] - 5] ^= 1;
    fs::write(&path, bytes).unwrap();

    let journal = open(folder.path());
    let state = journal.state();
    assert!(state.damage().unwrap().detail.contains("4 lines behind it"), "{:?}", state.damage());
    assert_eq!(state.last_outcome(&first.id), Some(end), "the same end, word for word");
    assert_eq!(state.seen(&second.id).unwrap().state(), CommandState::Expired);
    assert_eq!(state.unfinished().map(|open| &open.command.id).collect::<Vec<_>>(), [&third.id]);
    assert!(state.unfinished().all(|open| open.phase == Phase::Started));
    assert!(journal.sequence > sequence, "no number is given twice");
}

#[test]
fn of_many_damaged_files_the_latest_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let count = JOURNAL_DAMAGED_MAX + 3;
    for n in 0..count {
        fs::remove_file(folder.path().join(files::CURRENT)).unwrap_or_default();
        fs::write(folder.path().join(files::CURRENT), format!("rubbish {n}\n")).unwrap();
        drop(open(folder.path()));
    }
    let contents = fs::read_dir(folder.path()).unwrap().filter_map(|entry| {
        let entry = entry.unwrap();
        entry.file_name().to_str()?.starts_with("damaged-").then(|| fs::read_to_string(entry.path()).unwrap())
    });
    let latest = (count - JOURNAL_DAMAGED_MAX..count).map(|n| format!("rubbish {n}\n"));
    let (mut kept, mut latest): (Vec<_>, Vec<_>) = (contents.collect(), latest.collect());
    kept.sort();
    latest.sort();
    assert_eq!(kept, latest);
}
