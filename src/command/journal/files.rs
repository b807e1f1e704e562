//! The journal's files: reading one with all its lines checked, putting a new one in place, keeping the old ones.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::entry::{Break, Digest, Entry, Line, claim, decode};
use super::state::State;

/// The file that is written.
pub(super) const CURRENT: &str = "journal.jsonl";
const NEXT: &str = "journal.next";
const DAMAGED: &str = "damaged-";

/// What the lines of one file come to, as far as they are whole.
#[derive(Debug, Default)]
pub(super) struct Replay {
    pub(super) state: State,
    /// Of the last whole line.
    pub(super) sequence: u64,
    /// Of the last whole line.
    pub(super) hash: Digest,
    /// Bytes of whole lines, and of the first one.
    pub(super) length: u64,
    pub(super) began_at: u64,
    /// Whole lines.
    pub(super) lines: u64,
    /// What is behind them, unless it is the torn end of a write.
    pub(super) damage: Option<Break>,
    /// Lines behind the break, where the last of them can be read.
    pub(super) lost: Option<u64>,
}

/// Reads a file of the journal; `None` where there is none.
///
/// # Errors
/// The operating system's.
pub(super) fn read(path: &Path) -> io::Result<Option<Replay>> {
    let mut replay = Replay::default();
    let found = each_line(path, |result| {
        if let Ok((line, hash, length)) = result {
            replay.state.take(line);
            (replay.sequence, replay.hash) = (line.sequence, hash);
            replay.lines += 1;
            replay.length += length;
            if replay.lines == 1 {
                replay.began_at = length;
            }
        }
    })?;
    let Some(end) = found else { return Ok(None) };
    match end {
        End::Whole => {}
        // The first line was there whole before the file had its name.
        End::Torn if replay.lines > 0 => {}
        End::Torn => replay.damage = Some(Break::Form),
        End::Broken(why) => replay.damage = Some(why),
    }
    if replay.damage.is_some() {
        replay.lost = last_sequence(path).and_then(|last| last.checked_sub(replay.sequence));
    }
    if replay.lines == 0 && replay.damage.is_none() {
        replay.damage = Some(Break::Checkpoint);
    }
    Ok(Some(replay))
}

/// How a file ends.
#[derive(Debug)]
pub(super) enum End {
    /// With a whole line.
    Whole,
    /// In the middle of a line.
    Torn,
    /// With something that is not the next line.
    Broken(Break),
}

/// Shows every whole line of a file up to the first break, with its hash and its length in bytes. `None` where there is no
/// file.
pub(super) fn each_line(
    path: &Path,
    mut show: impl FnMut(Result<(&Line, Digest, u64), &Break>),
) -> io::Result<Option<End>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut reader = BufReader::new(file);
    let (mut bytes, mut before, mut last) = (Vec::new(), None, None);
    loop {
        bytes.clear();
        let length = match reader.read_until(b'\n', &mut bytes) {
            // A bad sector is damage as any other; it must not keep commands off for good.
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) => {
                let why = Break::Unreadable(error.to_string());
                show(Err(&why));
                return Ok(Some(End::Broken(why)));
            }
            result => result?,
        };
        if length == 0 {
            return Ok(Some(End::Whole));
        }
        let Some(text) = bytes.strip_suffix(b"\n") else {
            // A write is torn in front of its end. A whole line whose end is spoilt was flushed, and somebody acted on it.
            let is_spoilt = bytes.split_last().is_some_and(|(_, line)| decode(line, before).is_ok());
            let end = if is_spoilt { End::Broken(Break::Form) } else { End::Torn };
            return Ok(Some(end));
        };
        let expected = last.map(|last: u64| last + 1);
        let line = decode(text, before).and_then(|(line, hash)| match expected {
            Some(expected) if expected != line.sequence => {
                Err(Break::Sequence { expected, found: line.sequence })
            }
            _ => Ok((line, hash)),
        });
        match line {
            Ok((line, hash)) => {
                show(Ok((&line, hash, u64::try_from(length).unwrap_or_default())));
                (before, last) = (Some(hash), Some(line.sequence));
            }
            Err(why) => {
                show(Err(&why));
                return Ok(Some(End::Broken(why)));
            }
        }
    }
}

/// The sequence that the last line of a damaged file claims, if it can be read.
fn last_sequence(path: &Path) -> Option<u64> {
    let bytes = fs::read(path).ok()?;
    let lines = bytes.rsplit(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines
        .filter_map(|line| serde_json::from_slice::<Line>(line.get(65..)?).ok())
        .map(|line| line.sequence)
        .next()
}

/// Takes into a replay what the lines of a damaged file say of commands that stand behind its break, from this byte on: that
/// they were seen, and how they ended. That can only hold a command back, and keeps one that has had its end from having
/// another. A line counts that fits the hash which the line before it claims. Gives how many there were.
pub(super) fn salvage(path: &Path, from: u64, replay: &mut Replay) -> u64 {
    let bytes = fs::read(path).unwrap_or_default();
    let behind = usize::try_from(from).ok().and_then(|from| bytes.get(from..)).unwrap_or_default();
    let (mut before, mut count) = (None, 0);
    for text in behind.split(|byte| *byte == b'\n') {
        let line = before.and_then(|before| decode(text, Some(before)).ok());
        if let Some((line, _)) = line.filter(|(line, _)| line.sequence > replay.sequence) {
            replay.sequence = line.sequence;
            if is_of_a_command(&line.entry) {
                replay.state.take(&line);
                count += 1;
            }
        }
        before = claim(text).map(|(hash, _)| hash);
    }
    count
}

fn is_of_a_command(entry: &Entry) -> bool {
    match entry {
        Entry::Accepted { .. }
        | Entry::Started { .. }
        | Entry::Finished { .. }
        | Entry::Rejected { .. }
        | Entry::Duplicate { .. } => true,
        Entry::Checkpoint(_)
        | Entry::Step { .. }
        | Entry::Refused { .. }
        | Entry::Positions { .. }
        | Entry::ClockTrusted
        | Entry::DamageTold => false,
    }
}

/// The older files, oldest first.
pub(super) fn older(directory: &Path) -> io::Result<Vec<PathBuf>> {
    Ok(numbered(directory, "journal-")?.into_iter().map(|(_, path)| path).collect())
}

/// The files whose names are this, numbers with hyphens, and `.jsonl`, with and in the order of the numbers.
fn numbered(directory: &Path, prefix: &str) -> io::Result<Vec<(Vec<u64>, PathBuf)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let numbers = name.strip_prefix(prefix).and_then(|rest| rest.strip_suffix(".jsonl"));
        let numbers = numbers.and_then(|it| it.split('-').map(|digits| digits.parse::<u64>().ok()).collect());
        if let Some::<Vec<u64>>(numbers) = numbers {
            files.push((numbers, path));
        }
    }
    files.sort();
    Ok(files)
}

/// Gives the current file another name, under which nobody looks for a journal. Gives that name.
pub(super) fn set_aside(directory: &Path, sequence: u64) -> io::Result<String> {
    let current = fs::metadata(directory.join(CURRENT))?;
    let damaged_before = numbered(directory, DAMAGED)?;
    for (_, path) in &damaged_before {
        // An earlier start got no further than this.
        if is_same(&fs::metadata(path)?, &current) {
            return Ok(path.file_name().unwrap_or_default().to_string_lossy().into_owned());
        }
    }
    // Behind all others of its sequence, also where the first of them have been removed.
    let others = damaged_before.iter().filter(|(numbers, _)| numbers.first() == Some(&sequence));
    let last = others.map(|(numbers, _)| numbers.get(1).copied().unwrap_or_default()).max();
    let name = damaged(sequence, last.map_or(0, |last| last + 1));
    // A second name first: whatever happens in between, it is one of the two.
    fs::hard_link(directory.join(CURRENT), directory.join(&name))?;
    sync(directory)?;
    Ok(name)
}

fn damaged(sequence: u64, n: u64) -> String {
    if n == 0 { format!("{DAMAGED}{sequence}.jsonl") } else { format!("{DAMAGED}{sequence}-{n}.jsonl") }
}

/// Writes the file that is to be the next one, whole and flushed, under another name.
pub(super) fn prepare(directory: &Path, bytes: &[u8]) -> io::Result<File> {
    let next = directory.join(NEXT);
    match fs::remove_file(&next) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = File::options().append(true).create_new(true).open(&next)?;
    if let Err(error) = file.write_all(bytes).and_then(|()| file.sync_all()) {
        // On a full disk the lines of commands need the room.
        let _ = fs::remove_file(&next);
        return Err(error);
    }
    Ok(file)
}

/// Gives the current file a second name, by its last line's sequence.
pub(super) fn keep(directory: &Path, sequence: u64) -> io::Result<()> {
    fs::hard_link(directory.join(CURRENT), directory.join(format!("journal-{sequence}.jsonl")))
}

/// Takes the second name from the current file that a rotation has left which got no further.
pub(super) fn undo_keep(directory: &Path) -> io::Result<()> {
    let current = match fs::metadata(directory.join(CURRENT)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        result => result?,
    };
    for path in older(directory)? {
        if is_same(&fs::metadata(&path)?, &current) {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

/// Puts what was prepared in the place of the current file.
pub(super) fn put_in_place(directory: &Path) -> io::Result<()> {
    fs::rename(directory.join(NEXT), directory.join(CURRENT))?;
    sync(directory)
}

/// Removes the oldest of the older files until so many are left.
pub(super) fn drop_oldest(directory: &Path, kept: usize) -> io::Result<()> {
    drop_first(&older(directory)?, kept)
}

/// Removes the oldest of the damaged files until so many are left.
pub(super) fn drop_damaged(directory: &Path, kept: usize) -> io::Result<()> {
    let damaged: Vec<PathBuf> = numbered(directory, DAMAGED)?.into_iter().map(|(_, path)| path).collect();
    drop_first(&damaged, kept)
}

fn drop_first(files: &[PathBuf], kept: usize) -> io::Result<()> {
    let surplus = files.len().saturating_sub(kept);
    files.iter().take(surplus).try_for_each(fs::remove_file)
}

fn is_same(one: &fs::Metadata, other: &fs::Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}
