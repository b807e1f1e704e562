//! A drive with a volatile write cache: a file served through FUSE that forgets, when its power is cut, what it was not
//! told to flush.
//!
//! A loop device on that file hands the file system's flushes down as `fsync`, as a real drive would get `FLUSH CACHE`.
//! What was written since the last one is lost at a cut, or survives in part: each sector of 512 bytes for itself,
//! because a drive writes its cache in any order and stops in the middle. From the cut until the power is back every
//! request fails.
//!
//! A flush takes its time, as on a memory card, and a cut may come in the middle of it.
//!
//! It keeps only the newest content of a cached sector; a real drive might come back with one in between.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use fuser::{
    BackgroundSession, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation,
    INodeNo, LockOwner, MountOption, OpenFlags, ReplyAttr, ReplyData, ReplyEmpty, ReplyEntry, ReplyOpen,
    ReplyWrite, Request, WriteFlags,
};

use super::not_run::NotRun;

const SECTOR_BYTES: usize = 512;
const IMAGE_NAME: &str = "image";
const IMAGE: INodeNo = INodeNo(2);
/// What a flush takes on a memory card in good health.
const FLUSH_TIME: Duration = Duration::from_millis(10);
/// Neither name nor size ever changes.
const ATTRIBUTES_TIME: Duration = Duration::from_secs(3600);

type Sector = [u8; SECTOR_BYTES];

/// What became of the sectors in the write cache at a cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Survival {
    pub(crate) lost: usize,
    pub(crate) kept: usize,
}

/// The drive itself, apart from how it is reached.
#[derive(Debug)]
struct Platter {
    /// What survives everything.
    flushed: Vec<u8>,
    /// What was written since the last flush, by the sector's number.
    cached: BTreeMap<usize, Sector>,
    has_power: bool,
    random: fastrand::Rng,
}

impl Platter {
    fn new(flushed: Vec<u8>, seed: u64) -> Self {
        let random = fastrand::Rng::with_seed(seed);
        Self { flushed, cached: BTreeMap::new(), has_power: true, random }
    }

    fn powered(&mut self) -> Result<&mut Self, Errno> {
        if self.has_power { Ok(self) } else { Err(Errno::EIO) }
    }

    /// Bytes from `offset`, fewer at the end.
    fn read(&self, offset: usize, bytes: usize) -> Vec<u8> {
        let end = (offset + bytes).min(self.flushed.len());
        let begin = offset.min(end);
        let mut read = self.flushed[begin..end].to_vec();
        for (number, sector) in self.cached.range(begin / SECTOR_BYTES..end.div_ceil(SECTOR_BYTES)) {
            let at = number * SECTOR_BYTES;
            let (from, to) = (at.max(begin), (at + SECTOR_BYTES).min(end));
            read[from - begin..to - begin].copy_from_slice(&sector[from - at..to - at]);
        }
        read
    }

    /// Takes whole sectors, as block devices write; anything else is refused.
    fn write(&mut self, offset: usize, data: &[u8]) -> Result<(), Errno> {
        let (sectors, rest) = data.as_chunks::<SECTOR_BYTES>();
        let is_inside = offset.checked_add(data.len()).is_some_and(|end| end <= self.flushed.len());
        if !rest.is_empty() || !offset.is_multiple_of(SECTOR_BYTES) || !is_inside {
            return Err(Errno::EINVAL);
        }
        self.cached.extend((offset / SECTOR_BYTES..).zip(sectors.iter().copied()));
        Ok(())
    }

    fn flush(&mut self) {
        for (number, sector) in std::mem::take(&mut self.cached) {
            self.settle(number, &sector);
        }
    }

    fn settle(&mut self, number: usize, sector: &Sector) {
        let at = number * SECTOR_BYTES;
        self.flushed[at..at + SECTOR_BYTES].copy_from_slice(sector);
    }

    /// One cut in three loses the whole cache, the others some of it.
    fn cut(&mut self) -> Survival {
        self.has_power = false;
        let kept_percent = if self.random.u8(..3) == 0 { 0 } else { self.random.u8(1..100) };
        let mut survival = Survival { lost: 0, kept: 0 };
        for (number, sector) in std::mem::take(&mut self.cached) {
            if self.random.u8(..100) < kept_percent {
                self.settle(number, &sector);
                survival.kept += 1;
            } else {
                survival.lost += 1;
            }
        }
        survival
    }
}

/// The drive as a file.
#[derive(Debug)]
pub(crate) struct Forgetful {
    platter: Arc<Mutex<Platter>>,
    image: PathBuf,
    /// `None` once it is being dropped.
    served: Option<BackgroundSession>,
}

impl Forgetful {
    /// Serves `content` as a file somewhere in `folder`.
    pub(crate) fn serve(content: Vec<u8>, folder: &Path, seed: u64) -> Result<Self, NotRun> {
        let place = folder.join("forgetful");
        fs::create_dir(&place).unwrap();
        let platter = Arc::new(Mutex::new(Platter::new(content, seed)));
        let mut config = Config::default();
        config.mount_options.push(MountOption::FSName("forgetful".into()));
        let served = fuser::spawn_mount(Served(Arc::clone(&platter)), &place, &config)
            .map_err(|error| NotRun::because(format!("no FUSE: {error}")))?;
        Ok(Self { platter, image: place.join(IMAGE_NAME), served: Some(served) })
    }

    /// The file to put a loop device on.
    pub(crate) fn image(&self) -> PathBuf {
        self.image.clone()
    }

    /// The power goes, and with it what was not flushed.
    pub(crate) fn cut(&self) -> Survival {
        locked(&self.platter).cut()
    }

    /// The power is back.
    pub(crate) fn power_on(&self) {
        locked(&self.platter).has_power = true;
    }
}

impl Drop for Forgetful {
    fn drop(&mut self) {
        let _ = self.served.take().map(BackgroundSession::umount_and_join);
    }
}

fn locked(platter: &Mutex<Platter>) -> MutexGuard<'_, Platter> {
    platter.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The drive in FUSE's words: a folder with one file.
#[derive(Debug)]
struct Served(Arc<Mutex<Platter>>);

impl Served {
    fn attributes(&self, inode: INodeNo) -> FileAttr {
        let is_image = inode == IMAGE;
        let size = if is_image { locked(&self.0).flushed.len() } else { 0 };
        FileAttr {
            ino: inode,
            size: u64::try_from(size).expect("a small image"),
            blocks: 0,
            atime: UNIX_EPOCH,
            mtime: UNIX_EPOCH,
            ctime: UNIX_EPOCH,
            crtime: UNIX_EPOCH,
            kind: if is_image { FileType::RegularFile } else { FileType::Directory },
            perm: 0o700,
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        }
    }
}

fn place(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}

impl Filesystem for Served {
    fn lookup(&self, _request: &Request, _parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        if name == IMAGE_NAME {
            reply.entry(&ATTRIBUTES_TIME, &self.attributes(IMAGE), Generation(0));
        } else {
            reply.error(Errno::ENOENT);
        }
    }

    fn getattr(&self, _request: &Request, inode: INodeNo, _handle: Option<FileHandle>, reply: ReplyAttr) {
        reply.attr(&ATTRIBUTES_TIME, &self.attributes(inode));
    }

    fn open(&self, _request: &Request, _inode: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        // Past the page cache, which would remember what the drive forgets.
        reply.opened(FileHandle(0), FopenFlags::FOPEN_DIRECT_IO);
    }

    fn read(
        &self,
        _request: &Request,
        _inode: INodeNo,
        _handle: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match locked(&self.0).powered() {
            Ok(platter) => reply.data(&platter.read(place(offset), place(size.into()))),
            Err(error) => reply.error(error),
        }
    }

    fn write(
        &self,
        _request: &Request,
        _inode: INodeNo,
        _handle: FileHandle,
        offset: u64,
        data: &[u8],
        _write_flags: WriteFlags,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match locked(&self.0).powered().and_then(|platter| platter.write(place(offset), data)) {
            Ok(()) => reply.written(u32::try_from(data.len()).expect("FUSE writes less at once")),
            Err(error) => reply.error(error),
        }
    }

    fn fsync(
        &self,
        _request: &Request,
        _inode: INodeNo,
        _handle: FileHandle,
        _datasync: bool,
        reply: ReplyEmpty,
    ) {
        std::thread::sleep(FLUSH_TIME);
        match locked(&self.0).powered().map(Platter::flush) {
            Ok(()) => reply.ok(),
            Err(error) => reply.error(error),
        }
    }
}

#[test]
fn what_was_flushed_survives_a_cut_and_what_was_not_may_not() {
    let mut platter = Platter::new(vec![0; 8 * SECTOR_BYTES], 7);
    platter.write(0, &[1; 2 * SECTOR_BYTES]).unwrap();
    platter.flush();
    platter.write(SECTOR_BYTES, &[2; 6 * SECTOR_BYTES]).unwrap();
    assert_eq!(platter.read(SECTOR_BYTES - 1, 2), [1, 2], "what is in the cache is read");
    let survival = platter.cut();
    assert_eq!(survival.lost + survival.kept, 6);
    assert!(platter.powered().is_err());
    platter.has_power = true;
    assert_eq!(platter.read(0, SECTOR_BYTES), [1; SECTOR_BYTES]);
    let whole = |number: usize| platter.read(number * SECTOR_BYTES, SECTOR_BYTES);
    let kept = (1..7).filter(|number| whole(*number) == [2; SECTOR_BYTES]).count();
    assert_eq!(kept, survival.kept, "a sector is there or not, never half");
    assert!([[1; SECTOR_BYTES], [2; SECTOR_BYTES]].iter().any(|it| whole(1) == it));
    assert!(platter.write(1, &[0; SECTOR_BYTES]).is_err());
    assert!(platter.write(8 * SECTOR_BYTES, &[0; SECTOR_BYTES]).is_err());
}
