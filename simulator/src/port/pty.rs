//! A pseudo terminal that is opened through a symbolic link, in place of a serial port.
//!
//! A descriptor of the slave side stays open here: without it the master side would see a hang-up whenever nobody else
//! has the pty open. Closing both is what a master sees as the adapter being pulled.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::pty::OpenptFlags;
use rustix::termios::OptionalActions;

use super::READ_BYTES;
use crate::Error;

#[derive(Debug)]
pub(super) struct Pty {
    master: OwnedFd,
    slave: OwnedFd,
    slave_path: PathBuf,
    link: PathBuf,
}

impl Pty {
    pub(super) fn open(line: &str, link: &Path) -> Result<Self, Error> {
        let wrong = |source: io::Error| Error::Pty { line: line.to_owned(), source };
        let (master, slave, slave_path) = pair().map_err(wrong)?;
        let not_linked = |source| Error::Link { line: line.to_owned(), path: link.to_owned(), source };
        put_link(&slave_path, link).map_err(not_linked)?;
        Ok(Self { master, slave, slave_path, link: link.to_owned() })
    }

    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.master.as_fd()
    }

    pub(super) fn baud(&self) -> Option<u32> {
        rustix::termios::tcgetattr(&self.slave).ok().map(|attributes| attributes.output_speed())
    }

    pub(super) fn read(&mut self) -> Option<Vec<u8>> {
        let mut buffer = [0; READ_BYTES];
        let len = rustix::io::read(&self.master, &mut buffer).ok().filter(|len| *len > 0)?;
        buffer.get(..len).map(<[u8]>::to_vec)
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> usize {
        rustix::io::write(&self.master, bytes).unwrap_or(0)
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        // Somebody may have put another link in its place meanwhile; that one is not ours to remove.
        if fs::read_link(&self.link).is_ok_and(|target| target == self.slave_path) {
            let _ = fs::remove_file(&self.link);
        }
    }
}

fn pair() -> io::Result<(OwnedFd, OwnedFd, PathBuf)> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master = rustix::pty::openpt(flags)?;
    rustix::pty::grantpt(&master)?;
    rustix::pty::unlockpt(&master)?;
    let slave_path = rustix::pty::ptsname(&master, Vec::new())?;
    let slave_path = PathBuf::from(OsStr::from_bytes(slave_path.as_bytes()));
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let slave = rustix::fs::open(&slave_path, flags, Mode::empty())?;
    let mut attributes = rustix::termios::tcgetattr(&slave)?;
    attributes.make_raw();
    rustix::termios::tcsetattr(&slave, OptionalActions::Now, &attributes)?;
    rustix::io::ioctl_fionbio(&master, true)?;
    Ok((master, slave, slave_path))
}

/// Replaces only what a former run may have left: a link into the directory of ptys.
fn put_link(slave: &Path, link: &Path) -> io::Result<()> {
    if fs::read_link(link).is_ok_and(|old| old.parent() == slave.parent()) {
        fs::remove_file(link)?;
    }
    std::os::unix::fs::symlink(slave, link)
}
