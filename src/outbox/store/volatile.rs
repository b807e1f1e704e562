//! A flash in memory with a page cache in front of it: what a power cut leaves is what was synced, and of the rest whatever
//! chance decides. For tests.
//!
//! Harsher than ext4 on purpose:
//!
//! * Values that were not synced survive each for itself, whole, torn or not at all, in any order.
//! * A failed sync drops what it should have written, shows it as written until the next power cut, and tells of it once,
//!   as Linux does.
//! * An entry of a directory survives without a sync of that directory only by chance, after those before it.
//!
//! Every call that changes something is a *step*. At a chosen step the power goes, or that one call fails.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::{Key, Segment, Store, StoreError};

/// What a segment takes besides its values: much, so that a handful of small ones fills a disk.
const FIXED_BYTES: u64 = 1 << 20;

/// A handle to the flash; clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Volatile(Rc<RefCell<Flash>>);

/// What happens at a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::outbox) enum Fault {
    /// The power goes.
    Cut,
    /// This one call fails.
    Fails,
}

#[derive(Debug, Default)]
struct Flash {
    files: BTreeMap<u64, Data>,
    /// Directories and segments, by path.
    shown: BTreeMap<PathBuf, Entry>,
    durable: BTreeMap<PathBuf, Entry>,
    /// Changes of `durable` to come, in order.
    unsynced: Vec<Change>,
    next_file: u64,
    capacity: Option<u64>,
    steps: u64,
    fault: Option<(u64, Fault)>,
    is_off: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    Directory,
    Segment(u64),
    /// A file that only takes space.
    Reserve(u64),
}

/// One atomic change of the directory tree.
#[derive(Clone, Debug)]
struct Change {
    removed: Option<PathBuf>,
    made: Option<(PathBuf, Entry)>,
}

#[derive(Debug, Default)]
struct Data {
    durable: Vec<Vec<u8>>,
    unsynced: Vec<Vec<u8>>,
    /// Shown, and gone with the next power cut.
    doomed: Vec<Vec<u8>>,
    /// Of all of them.
    bytes: u64,
}

impl Volatile {
    /// Steps taken so far.
    pub(in crate::outbox) fn steps(&self) -> u64 {
        self.0.borrow().steps
    }

    /// Lets this happen at that step, counted from now, the next one being 1.
    pub(in crate::outbox) fn plan(&self, step: u64, fault: Fault) {
        let mut flash = self.0.borrow_mut();
        flash.fault = Some((flash.steps + step, fault));
    }

    /// Bytes that fit in all.
    pub(crate) fn set_capacity(&self, bytes: Option<u64>) {
        self.0.borrow_mut().capacity = bytes;
    }

    /// Bytes that are taken.
    pub(crate) fn used(&self) -> u64 {
        self.0.borrow().used()
    }

    /// The power goes and comes back.
    pub(crate) fn power_cycle(&self, chance: &mut fastrand::Rng) {
        self.0.borrow_mut().power_cycle(chance);
    }

    /// Spoils one byte of a record in a segment.
    pub(in crate::outbox) fn spoil(&self, segment: &Path, chance: &mut fastrand::Rng) {
        let mut flash = self.0.borrow_mut();
        let Some(Entry::Segment(file)) = flash.shown.get(segment).copied() else { return };
        let data = flash.files.get_mut(&file).unwrap();
        // Records are longer than marks.
        if let Some(value) = data.durable.iter_mut().max_by_key(|value| value.len()) {
            let at = chance.usize(..value.len());
            value[at] ^= 1 << chance.u8(..8);
        }
    }

    /// The segments of a lane under their final names, oldest first.
    pub(in crate::outbox) fn segments(&self, lane: &Path) -> Vec<PathBuf> {
        let is_final = |name: &String| name.bytes().all(|byte| byte.is_ascii_digit());
        let mut names = self.names(lane).unwrap();
        names.retain(is_final);
        names.sort();
        names.into_iter().map(|name| lane.join(name)).collect()
    }

    fn step(&self) -> io::Result<std::cell::RefMut<'_, Flash>> {
        let mut flash = self.0.borrow_mut();
        if flash.is_off {
            return Err(io::Error::other("the power is gone"));
        }
        flash.steps += 1;
        let now = flash.steps;
        match flash.fault.take_if(|(at, _)| *at == now) {
            None => Ok(flash),
            Some((_, Fault::Cut)) => {
                flash.is_off = true;
                Err(io::Error::other("the power goes"))
            }
            Some((_, Fault::Fails)) => Err(io::Error::from_raw_os_error(5)),
        }
    }
}

impl Flash {
    fn change(&mut self, change: Change) {
        change.apply(&mut self.shown);
        self.unsynced.push(change);
    }

    fn used(&self) -> u64 {
        self.shown.values().map(|entry| self.bytes_of(*entry)).sum()
    }

    fn bytes_of(&self, entry: Entry) -> u64 {
        match entry {
            Entry::Directory => 0,
            Entry::Segment(file) => FIXED_BYTES + self.files[&file].bytes,
            Entry::Reserve(bytes) => bytes,
        }
    }

    fn power_cycle(&mut self, chance: &mut fastrand::Rng) {
        let mut broken = BTreeSet::new();
        for change in std::mem::take(&mut self.unsynced) {
            let parents = change.parents();
            if chance.bool() || parents.iter().any(|parent| broken.contains(parent)) {
                broken.extend(parents);
            } else {
                change.apply(&mut self.durable);
            }
        }
        self.shown = self.durable.clone();
        for data in self.files.values_mut() {
            data.doomed.clear();
            chance.shuffle(&mut data.unsynced);
            for mut value in std::mem::take(&mut data.unsynced) {
                match chance.u8(..4) {
                    0 | 1 => data.durable.push(value),
                    2 => {
                        value.truncate(chance.usize(..value.len()));
                        data.durable.push(value);
                    }
                    _ => {}
                }
            }
            data.bytes = data.durable.iter().map(|value| value.len() as u64).sum();
        }
        self.is_off = false;
        self.fault = None;
    }
}

impl Change {
    fn apply(&self, tree: &mut BTreeMap<PathBuf, Entry>) {
        if let Some(path) = &self.removed {
            tree.retain(|there, _| !there.starts_with(path));
        }
        if let Some((path, entry)) = &self.made {
            tree.insert(path.clone(), *entry);
        }
    }

    fn parents(&self) -> Vec<PathBuf> {
        let paths = self.removed.iter().chain(self.made.as_ref().map(|(path, _)| path));
        paths.filter_map(|path| path.parent().map(Path::to_owned)).collect()
    }
}

impl Store for Volatile {
    type Segment = VolatileSegment;

    fn make(&self, segment: &Path) -> Result<VolatileSegment, StoreError> {
        let mut flash = self.step()?;
        let file = flash.next_file;
        flash.next_file += 1;
        flash.files.insert(file, Data::default());
        let made = Some((segment.to_owned(), Entry::Segment(file)));
        flash.change(Change { removed: None, made });
        Ok(VolatileSegment { flash: self.clone(), file })
    }

    fn open(&self, segment: &Path) -> Result<VolatileSegment, StoreError> {
        let flash = self.step()?;
        match flash.shown.get(segment) {
            Some(Entry::Segment(file)) => Ok(VolatileSegment { flash: self.clone(), file: *file }),
            _ => Err(io::Error::from(io::ErrorKind::NotFound).into()),
        }
    }

    fn raw(&self, segment: &Path) -> io::Result<Vec<u8>> {
        let flash = self.0.borrow();
        let Some(Entry::Segment(file)) = flash.shown.get(segment) else { return Ok(Vec::new()) };
        let Data { durable, unsynced, doomed, .. } = &flash.files[file];
        // Something else lies between the values, as in a database's pages.
        Ok(durable
            .iter()
            .chain(doomed)
            .chain(unsynced)
            .flat_map(|value| [b"page", value.as_slice()].concat())
            .collect())
    }

    fn names(&self, directory: &Path) -> io::Result<Vec<String>> {
        let flash = self.0.borrow();
        if let Some(Entry::Segment(_)) = flash.shown.get(directory) {
            return Ok(vec!["db".into()]);
        }
        let within = flash.shown.keys().filter(|path| path.parent() == Some(directory));
        Ok(within.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect())
    }

    fn make_directory(&self, directory: &Path) -> io::Result<()> {
        let mut flash = self.step()?;
        if !flash.shown.contains_key(directory) {
            let made = Some((directory.to_owned(), Entry::Directory));
            flash.change(Change { removed: None, made });
        }
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut flash = self.step()?;
        let entry = flash.shown.get(from).copied().ok_or(io::ErrorKind::NotFound)?;
        flash.change(Change { removed: Some(from.to_owned()), made: Some((to.to_owned(), entry)) });
        Ok(())
    }

    fn remove(&self, directory: &Path) -> io::Result<()> {
        let mut flash = self.step()?;
        flash.change(Change { removed: Some(directory.to_owned()), made: None });
        Ok(())
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        let mut flash = self.step()?;
        let (synced, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut flash.unsynced)
            .into_iter()
            .partition(|change| change.parents().iter().any(|parent| parent == directory));
        flash.unsynced = rest;
        synced.iter().for_each(|change| change.apply(&mut flash.durable));
        Ok(())
    }

    fn disk_bytes(&self, directory: &Path) -> u64 {
        let flash = self.0.borrow();
        flash.shown.get(directory).map_or(0, |entry| flash.bytes_of(*entry))
    }

    fn free_bytes(&self, _directory: &Path) -> io::Result<u64> {
        let flash = self.0.borrow();
        Ok(flash.capacity.map_or(u64::MAX, |capacity| capacity.saturating_sub(flash.used())))
    }

    fn reserve(&self, file: &Path, bytes: u64) -> io::Result<()> {
        let mut flash = self.step()?;
        if flash.capacity.is_some_and(|capacity| flash.used() + bytes > capacity) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let made = Some((file.to_owned(), Entry::Reserve(bytes)));
        flash.change(Change { removed: None, made });
        Ok(())
    }

    fn give_up(&self, file: &Path) -> io::Result<()> {
        self.remove(file)
    }
}

/// A segment of it.
#[derive(Debug)]
pub(crate) struct VolatileSegment {
    flash: Volatile,
    file: u64,
}

impl Segment for VolatileSegment {
    fn put(&mut self, values: &[(Key, Vec<u8>)], marks: &[(&str, Vec<u8>)]) -> Result<(), StoreError> {
        let mut flash = self.flash.step()?;
        let values: Vec<_> =
            values.iter().map(|(_, value)| value).chain(marks.iter().map(|(_, mark)| mark)).collect();
        let bytes: u64 = values.iter().map(|value| value.len() as u64).sum();
        if flash.capacity.is_some_and(|capacity| flash.used() + bytes > capacity) {
            return Err(io::Error::from(io::ErrorKind::StorageFull).into());
        }
        let data = flash.files.get_mut(&self.file).unwrap();
        data.unsynced.extend(values.into_iter().cloned());
        data.bytes += bytes;
        Ok(())
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        let synced = self.flash.step().map(|mut flash| {
            let data = flash.files.get_mut(&self.file).unwrap();
            let values = std::mem::take(&mut data.unsynced);
            data.durable.extend(values);
        });
        if synced.is_err() {
            let mut flash = self.flash.0.borrow_mut();
            if !flash.is_off {
                let data = flash.files.get_mut(&self.file).unwrap();
                let values = std::mem::take(&mut data.unsynced);
                data.doomed.extend(values);
            }
        }
        Ok(synced?)
    }

    fn sync_new(&mut self) -> Result<(), StoreError> {
        self.sync()
    }

    fn close(self) -> Result<(), StoreError> {
        self.flash.step()?;
        Ok(())
    }
}
