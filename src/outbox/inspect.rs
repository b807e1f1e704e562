//! A stopped outbox as its raw bytes tell it: what is whole, what is missing, what waits, what can be salvaged.
//!
//! Opening an outbox moves and mends. Here nothing is opened and nothing is written, so a copy, a broken outbox and one of
//! another user can be looked at, and looking twice tells the same. One segment is in memory at a time.
//!
//! What a running daemon writes is not looked at: the end of its newest file is torn at any moment, and what is torn there
//! would look like loss. [`Held`] refuses it, and keeps a daemon from starting meanwhile.
//!
//! What it deliberately does not do: judge the database's own structures, or repair. The next start repairs.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use weir_wire::Raw;

use super::frame::{Class, Record};
use super::keeper::OpenError;
use super::layout::{self, Entry};
use super::scanned::Scanned;
use super::store::Store;
use super::store::sled_files::SledFiles;
use crate::id::{Lane, RecordName};

/// The lanes' directories, that of the refused records included.
const LANES: [&str; 3] = ["urgent", "readings", "refused"];
const QUARANTINE: &str = "quarantine";
/// How deep below a directory segments are looked for: that of an outbox's parent has them at depth 3.
const SALVAGE_DEPTH_MAX: u32 = 6;

/// A stopped outbox. As long as this lives no daemon opens it.
#[derive(Debug)]
pub struct Held {
    directory: PathBuf,
    /// `None` where there is no lock file: a copy that nobody has opened.
    _lock: Option<File>,
}

impl Held {
    /// Takes hold of the outbox in this directory, without writing to it.
    ///
    /// # Errors
    /// When a daemon has it, or there is no outbox.
    pub fn take(directory: &Path) -> Result<Self, OpenError> {
        let error = |source| OpenError::Directory { path: directory.to_owned(), source };
        if !LANES.iter().any(|lane| directory.join(lane).is_dir()) {
            return Err(error(io::Error::new(io::ErrorKind::NotFound, "no outbox there")));
        }
        Ok(Self { directory: directory.to_owned(), _lock: share_lock(directory)? })
    }
}

/// Shares the lock of an outbox with other lookers, but with no daemon.
fn share_lock(directory: &Path) -> Result<Option<File>, OpenError> {
    let lock = match File::open(directory.join("lock")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        lock => lock.map_err(|source| OpenError::Directory { path: directory.to_owned(), source })?,
    };
    flock(&lock, FlockOperation::NonBlockingLockShared)
        .map_err(|_| OpenError::InUse(directory.to_owned()))?;
    Ok(Some(lock))
}

/// Sequences of which some are missing or gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Range {
    /// The first of them.
    pub from: u64,
    /// The last of them.
    pub to: u64,
    /// How many records of the range are not there.
    pub records: u64,
}

/// One segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SegmentReport {
    /// The directory of its lane: `urgent`, `readings`, `refused`.
    pub lane: &'static str,
    /// The sequence it is named after.
    pub segment: u64,
    /// The first and last sequence among its whole records.
    pub first: Option<u64>,
    /// See [`SegmentReport::first`].
    pub last: Option<u64>,
    /// Whole records, acknowledged ones included.
    pub records: u64,
    /// Whole records that wait for an acknowledgement.
    pub waiting: u64,
    /// What waited and is neither there nor was it reported as gone: lost. The next start reports it.
    pub missing: Vec<Range>,
    /// What the policy or damage took and was reported.
    pub gone: Vec<Range>,
    /// The last acknowledged sequence that is noted here.
    pub cursor: Option<u64>,
    /// Length of its data file.
    pub bytes: u64,
    /// It is the newest, and nothing in it can be read, so nobody can tell what it held.
    pub unreadable: bool,
}

impl SegmentReport {
    /// Whether everything that waited is there, or was reported.
    pub fn is_whole(&self) -> bool {
        self.missing.is_empty() && !self.unreadable
    }
}

/// A damaged segment that was set aside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Quarantined {
    /// Its name in the quarantine.
    pub name: String,
    /// Whole records in it. What waited of them was taken over when it was set aside.
    pub records: u64,
    /// Length of its data file.
    pub bytes: u64,
}

/// A segment's place.
struct Place {
    first: u64,
    path: PathBuf,
}

impl Place {
    fn scan(&self) -> io::Result<Scanned> {
        Ok(Scanned::of(SledFiles.raw(&self.path)?))
    }
}

/// One lane's segments, oldest first, and its cursor, as a start would find them.
struct LanePlaces {
    places: Vec<Place>,
    cursor: u64,
}

impl LanePlaces {
    fn of(directory: &Path) -> io::Result<Self> {
        let mut places = places(directory)?;
        places.sort_unstable_by_key(|place| place.first);
        let mut from_newest = places.iter().rev();
        let newest = from_newest.next();
        // Where the newest does not know the cursor, the one before knew it when it was closed.
        let cursor = match newest.map(Place::scan).transpose()?.and_then(|scanned| scanned.cursor) {
            Some(cursor) => cursor,
            None => match from_newest.next() {
                Some(before) => before.scan()?.cursor.unwrap_or(before.first - 1),
                None => newest.map_or(0, |newest| newest.first - 1),
            },
        };
        Ok(Self { places, cursor })
    }

    /// The segments, each with the last sequence that may lie in it; open for the newest.
    fn with_ends(&self) -> impl Iterator<Item = (&Place, Option<u64>)> {
        let ends = self.places.iter().skip(1).map(|next| Some(next.first - 1)).chain([None]);
        self.places.iter().zip(ends)
    }
}

/// The segments of a lane, in no order. One that is being moved counts where its successor is not there yet.
fn places(directory: &Path) -> io::Result<Vec<Place>> {
    let (mut places, mut moving) = (Vec::new(), Vec::new());
    for name in SledFiles.names(directory)? {
        let path = directory.join(&name);
        match layout::entry(&name) {
            Entry::Segment(first) => places.push(Place { first, path }),
            Entry::Moving(first) => moving.push(Place { first, path }),
            Entry::Leftover | Entry::Foreign => {}
        }
    }
    moving.retain(|moving| places.iter().all(|place| place.first != moving.first));
    places.extend(moving);
    Ok(places)
}

/// Looks through every segment of every lane, oldest first.
///
/// # Errors
/// When a directory or file cannot be read, or `each` fails.
pub fn verify(held: &Held, mut each: impl FnMut(SegmentReport) -> io::Result<()>) -> io::Result<()> {
    for lane in LANES {
        let found = LanePlaces::of(&held.directory.join(lane))?;
        for (index, (place, end)) in found.with_ends().enumerate() {
            let is_oldest = index == 0;
            each(report(lane, place, end, is_oldest, found.cursor)?)?;
        }
    }
    Ok(())
}

fn report(
    lane: &'static str,
    place: &Place,
    end: Option<u64>,
    is_oldest: bool,
    cursor: u64,
) -> io::Result<SegmentReport> {
    let raw = SledFiles.raw(&place.path)?;
    let bytes = count(raw.len());
    let scanned = Scanned::of(raw);
    // In the newest segment nobody was told of what a power cut tore.
    let given = scanned.last().or(scanned.begun).map_or(0, |(_, sequence)| sequence);
    let to = end.unwrap_or(given.max(cursor).min(scanned.told));
    // Before the oldest one there should be nothing: what is missing there was a segment once.
    let from = if is_oldest { cursor + 1 } else { place.first.max(cursor + 1) };
    let missing = if from <= to { scanned.missing(from, to) } else { Vec::new() };
    let sequences = || scanned.records_from(0).map(|record| record.header.sequence);
    Ok(SegmentReport {
        lane,
        segment: place.first,
        first: sequences().next(),
        last: sequences().last(),
        records: count(sequences().count()),
        waiting: count(sequences().filter(|sequence| *sequence > cursor).count()),
        missing: missing.iter().map(|it| Range { from: it.from, to: it.to, records: it.lost }).collect(),
        gone: scanned
            .gone_after(0)
            .iter()
            .map(|it| Range { from: it.from, to: it.to, records: it.to + 1 - it.from - it.left })
            .collect(),
        cursor: scanned.cursor,
        bytes,
        // Of any other the next one tells what must be there.
        unreadable: end.is_none() && scanned.cursor.is_none() && scanned.last().is_none(),
    })
}

/// The damaged segments that were set aside, oldest first.
///
/// # Errors
/// When the quarantine cannot be read.
pub fn quarantine(held: &Held) -> io::Result<Vec<Quarantined>> {
    let directory = held.directory.join(QUARANTINE);
    let mut names = SledFiles.names(&directory)?;
    names.sort_unstable();
    let look = |name: String| {
        let raw = SledFiles.raw(&directory.join(&name))?;
        let bytes = count(raw.len());
        Ok(Quarantined { name, records: count(Scanned::of(raw).records_from(0).count()), bytes })
    };
    names.into_iter().map(look).collect()
}

/// Hands out what waits in a lane, in order, as the uplink would read it. Acknowledges nothing.
///
/// # Errors
/// When a file cannot be read, or `each` fails.
pub fn waiting(
    held: &Held,
    lane: Lane,
    mut each: impl FnMut(super::Stored) -> io::Result<()>,
) -> io::Result<()> {
    let found = LanePlaces::of(&held.directory.join(lane.name()))?;
    for (place, end) in found.with_ends() {
        if end.is_some_and(|end| end <= found.cursor) {
            continue;
        }
        let scanned = place.scan()?;
        for Record { header, payload } in scanned.records_from(found.cursor + 1) {
            if end.is_some_and(|end| header.sequence > end) {
                break;
            }
            let name = RecordName { generation: header.generation, lane, sequence: header.sequence };
            each(super::Stored { name, bytes: scanned.share(payload) })?;
        }
    }
    Ok(())
}

/// A record found by [`salvage`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Salvaged {
    /// What the outbox calls it; of a record that was refused, its id. See [`weir_wire::stored::Record::id`].
    pub id: String,
    /// Its stored form; see [`weir_wire::stored::Record::decode`].
    pub bytes: Bytes,
}

/// What [`salvage`] looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Salvage {
    /// Data files of segments.
    pub segments: u64,
    /// Records handed out.
    pub records: u64,
}

/// A refused record as it lies in its lane.
#[derive(Deserialize)]
struct Refused {
    id: String,
    stored: Raw,
}

/// Whatever is left of an outbox: a segment, a lane, an outbox, a quarantine, a directory with any of them in it.
#[derive(Debug)]
pub struct Remains {
    directory: PathBuf,
    _locks: Vec<Option<File>>,
}

impl Remains {
    /// Takes hold of them, without writing to them.
    ///
    /// # Errors
    /// When a daemon writes there, or the directory cannot be read.
    pub fn take(directory: &Path) -> Result<Self, OpenError> {
        let error = |source| OpenError::Directory { path: directory.to_owned(), source };
        let directory = fs::canonicalize(directory).map_err(error)?;
        let locks = locks_around(&directory)?;
        Ok(Self { directory, _locks: locks })
    }
}

/// Hands out every whole record of them, in the order of the files' names. Acknowledged ones are among them, and a record
/// that lies in two files comes twice, under one id.
///
/// The gateway's id is the first part of every record's id; it does not stand in the files.
///
/// # Errors
/// When a file cannot be read, or `each` fails.
pub fn salvage(
    remains: &Remains,
    gateway: &str,
    mut each: impl FnMut(Salvaged) -> io::Result<()>,
) -> io::Result<Salvage> {
    let mut salvage = Salvage::default();
    salvage_below(&remains.directory, 0, gateway, &mut salvage, &mut each)?;
    Ok(salvage)
}

/// The locks of the outbox at, around and directly below this directory. What is in quarantine no daemon writes to.
fn locks_around(directory: &Path) -> Result<Vec<Option<File>>, OpenError> {
    let name = |path: &Path| path.file_name().is_some_and(|name| name == QUARANTINE);
    let above = directory.ancestors().take(3).take_while(|path| !name(path)).map(Path::to_owned);
    let below = SledFiles.names(directory).unwrap_or_default().into_iter().map(|name| directory.join(name));
    above.chain(below).filter(|path| path.is_dir()).map(|path| share_lock(&path)).collect()
}

fn salvage_below(
    directory: &Path,
    depth: u32,
    gateway: &str,
    salvage: &mut Salvage,
    each: &mut impl FnMut(Salvaged) -> io::Result<()>,
) -> io::Result<()> {
    let raw = SledFiles.raw(directory)?;
    if !raw.is_empty() {
        salvage.segments += 1;
        let scanned = Scanned::of(raw);
        for record in scanned.records_from(0) {
            let class = record.header.class;
            let name = |lane| RecordName {
                generation: record.header.generation,
                lane,
                sequence: record.header.sequence,
            };
            let bytes = scanned.share(record.payload);
            let salvaged = match class {
                Class::Reading => Salvaged { id: name(Lane::Readings).id(gateway), bytes },
                Class::Event | Class::Outcome => Salvaged { id: name(Lane::Urgent).id(gateway), bytes },
                _ => match serde_json::from_slice(&bytes) {
                    Ok(Refused { id, stored: Raw(stored) }) => Salvaged { id, bytes: stored.into() },
                    Err(_) => continue,
                },
            };
            salvage.records += 1;
            each(salvaged)?;
        }
    }
    if depth < SALVAGE_DEPTH_MAX {
        let mut names = SledFiles.names(directory)?;
        names.sort_unstable();
        for path in names.into_iter().map(|name| directory.join(name)) {
            // A link may lead anywhere, also back.
            if fs::symlink_metadata(&path)?.is_dir() {
                salvage_below(&path, depth + 1, gateway, salvage, each)?;
            }
        }
    }
    Ok(())
}

fn count(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
