//! A drive whose power can be cut: a small ext4 of its own, on a loop device, mounted for the daemon's state.
//!
//! Two kinds of cut. [`Drive::shut_down_at_once`] asks ext4 itself to stop where it is (`EXT4_IOC_SHUTDOWN` without a
//! flush of its journal): what was in the page cache or in an uncommitted transaction is gone; what had reached the
//! device stays, although a real drive might still have held it in its write cache. [`Drive::forgetful`] puts the image
//! onto a drive with such a cache (see [`super::forgetful`]), which forgets what it was not told to flush.
//!
//! Mounts live in a namespace of the story's thread ([`in_own_mounts`]), so none outlives the test run, however that ends.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::ioctl::{Setter, ioctl, opcode};
use rustix::thread::{UnshareFlags, unshare_unsafe};
use tempfile::TempDir;

use super::deadline::wait_for;
use super::forgetful::{Forgetful, Survival};
use super::not_run::NotRun;
use super::programs::program;

/// Room for two lanes at their smallest quota, and small enough to be made in a moment.
const DRIVE_BYTES: u64 = 64 << 20;
/// The kernel lets go of a mount or a loop device a moment after the last process that used it.
const LET_GO_TIME: Duration = Duration::from_secs(60);

/// `_IOR('X', 125, __u32)` of the kernel's `fs/ext4/ext4.h`.
const EXT4_IOC_SHUTDOWN: rustix::ioctl::Opcode = opcode::read::<u32>(b'X', 125);
/// Stop, and do not write the journal first.
const EXT4_GOING_FLAGS_NOLOGFLUSH: u32 = 2;

/// Runs a story on a thread with a mount namespace of its own. `story` says itself when its drive cannot be made here.
#[track_caller]
pub(crate) fn in_own_mounts(story: impl FnOnce() + Send) {
    let run = || {
        // Without the right to do so the drive cannot be mounted either, and says why.
        let _ = own_mounts();
        story();
    };
    let ended = std::thread::scope(|scope| scope.spawn(run).join());
    if let Err(panic) = ended {
        std::panic::resume_unwind(panic);
    }
}

#[expect(unsafe_code, reason = "no crate wraps unshare(2) safely, as it can also take descriptors apart")]
fn own_mounts() -> Result<(), NotRun> {
    // SAFETY: of what is shared with other threads only the mounts (and the working directory with them) are taken
    // apart, not the descriptors.
    unsafe { unshare_unsafe(UnshareFlags::NEWNS) }
        .map_err(|error| NotRun::because(format!("no mount namespace: {error}")))?;
    run(Command::new("mount").args(["--make-rprivate", "/"]))
}

/// An ext4 on a loop device.
#[derive(Debug)]
pub(crate) struct Drive {
    // In this order: the file system, what the image lies on, the folder.
    mounted: Mounted,
    forgetful: Option<Forgetful>,
    image: PathBuf,
    _folder: TempDir,
}

impl Drive {
    /// A drive that never loses what was written to it; only the file system is stopped.
    pub(crate) fn shut_down_at_once() -> Result<Self, NotRun> {
        let (folder, image) = formatted()?;
        Self::on(folder, image, None)
    }

    /// A drive with a write cache.
    pub(crate) fn forgetful(seed: u64) -> Result<Self, NotRun> {
        let (folder, image) = formatted()?;
        let forgetful = Forgetful::serve(fs::read(&image).unwrap(), folder.path(), seed)?;
        let image = forgetful.image();
        Self::on(folder, image, Some(forgetful))
    }

    fn on(folder: TempDir, image: PathBuf, forgetful: Option<Forgetful>) -> Result<Self, NotRun> {
        let place = folder.path().join("mounted");
        fs::create_dir(&place).unwrap();
        let mounted = Mounted { place };
        mounted.mount(&image)?;
        Ok(Self { mounted, forgetful, image, _folder: folder })
    }

    /// Where it is mounted.
    pub(crate) fn path(&self) -> &Path {
        &self.mounted.place
    }

    /// The power goes, now. Says what became of the write cache, where there is one.
    pub(crate) fn cut(&self) -> Option<Survival> {
        match &self.forgetful {
            Some(forgetful) => Some(forgetful.cut()),
            None => {
                shut_down(self.path());
                None
            }
        }
    }

    /// The power is back: the file system is mounted anew. Nobody may use it any more.
    #[track_caller]
    pub(crate) fn power_on(&self) {
        self.mounted.unmount();
        if let Some(forgetful) = &self.forgetful {
            forgetful.power_on();
        }
        self.mounted.mount(&self.image).expect("what was mounted before mounts again");
    }
}

#[expect(unsafe_code, reason = "no crate knows this ioctl")]
fn shut_down(mounted: &Path) {
    let directory = File::open(mounted).unwrap();
    // SAFETY: the kernel reads one u32 from the pointer and writes nothing, as `Setter` says.
    let asked =
        unsafe { ioctl(&directory, Setter::<EXT4_IOC_SHUTDOWN, u32>::new(EXT4_GOING_FLAGS_NOLOGFLUSH)) };
    asked.expect("ext4 can be shut down");
}

/// A folder with a formatted image in it.
fn formatted() -> Result<(TempDir, PathBuf), NotRun> {
    if !rustix::process::geteuid().is_root() {
        return Err(NotRun::because("only root may mount a drive of its own"));
    }
    if !Path::new("/dev/loop-control").exists() {
        return Err(NotRun::because("no /dev/loop-control, so no loop devices"));
    }
    program("mount", "mount")?;
    let mkfs = program("mkfs.ext4", "e2fsprogs")?;
    let folder = tempfile::Builder::new().prefix("drive-").tempdir().unwrap();
    let image = folder.path().join("image");
    File::create(&image).unwrap().set_len(DRIVE_BYTES).unwrap();
    // All of it written now, so that nothing is still being made while the story runs.
    let options = "nodiscard,lazy_itable_init=0,lazy_journal_init=0";
    // Blocks as on any larger drive; one this small would get others.
    run(Command::new(mkfs).args(["-q", "-F", "-m", "0", "-b", "4096", "-E", options]).arg(&image))?;
    Ok((folder, image))
}

#[derive(Debug)]
struct Mounted {
    place: PathBuf,
}

impl Mounted {
    fn mount(&self, image: &Path) -> Result<(), NotRun> {
        // No commit of the journal but those that somebody asks for: by itself it makes one every 5 s, which would save
        // what was not synced.
        run(Command::new("mount").args(["-t", "ext4", "-o", "loop,commit=300"]).arg(image).arg(&self.place))
    }

    #[track_caller]
    fn unmount(&self) {
        wait_for("the drive to be unmounted", LET_GO_TIME, || {
            run(Command::new("umount").arg(&self.place)).ok()
        });
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = run(Command::new("umount").arg("--lazy").arg(&self.place));
    }
}

fn run(command: &mut Command) -> Result<(), NotRun> {
    let output = command.output().map_err(|error| NotRun::because(format!("{command:?}: {error}")))?;
    if output.status.success() {
        return Ok(());
    }
    let why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(NotRun::because(format!("{command:?}: {why}")))
}
