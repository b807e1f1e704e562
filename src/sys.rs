//! The only unsafe code: system calls that no well-kept crate offers safely. Each is one function with a safe face.

#![expect(unsafe_code, reason = "system calls without a safe wrapper; each block says why it is sound")]

use std::io;
use std::os::fd::OwnedFd;

use tokio::io::unix::AsyncFd;

/// Lets the Tokio runtime wait for a descriptor to become readable.
pub(crate) fn watch_descriptor(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: the descriptor is owned by the `AsyncFd` from here on, which neither replaces it nor lets it be replaced
    // (only shared references to it are handed out), so it stays open and the same for as long as it is registered.
    unsafe { AsyncFd::register(descriptor) }.map_err(io::Error::from)
}

/// Whether the kernel holds the clock for synchronised: `adjtimex(2)` without `STA_UNSYNC`.
pub(crate) fn clock_is_synchronised() -> bool {
    // SAFETY: `timex` is a plain C struct for which all zeros is a valid value; `modes = 0` only reads.
    let (state, status) = unsafe {
        let mut timex: libc::timex = std::mem::zeroed();
        (libc::adjtimex(&raw mut timex), timex.status)
    };
    state != libc::TIME_ERROR && state >= 0 && status & libc::STA_UNSYNC == 0
}

/// Ends the process at once with this code: no destructor and no exit handler runs, for one of them may wait for a thread
/// that is stuck.
pub(crate) fn end_process(exit_code: u8) -> ! {
    // SAFETY: `_exit` takes any number, touches no memory of ours and does not return.
    unsafe { libc::_exit(exit_code.into()) }
}
