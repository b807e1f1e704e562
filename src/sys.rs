//! The only unsafe code: system calls that no well-kept crate offers safely. Each is one function with a safe face.

#![expect(unsafe_code, reason = "system calls without a safe wrapper; each block says why it is sound")]

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

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

/// How the kernel steers the direction of an RS-485 port: `struct serial_rs485` of Linux's `<linux/serial.h>`, 32 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rs485 {
    flags: u32,
    delay_rts_before_send_ms: u32,
    delay_rts_after_send_ms: u32,
    /// Addresses and padding.
    rest: [u32; 5],
}

impl Rs485 {
    const ENABLED: u32 = 1;
    const RTS_ON_SEND: u32 = 1 << 1;
    const RTS_AFTER_SEND: u32 = 1 << 2;
    const RX_DURING_TX: u32 = 1 << 4;

    /// Switched on. `delays_ms` are those before the first and after the last bit.
    pub(crate) fn new(rts_low_to_send: bool, hears_itself: bool, delays_ms: [u32; 2]) -> Self {
        let rts = if rts_low_to_send { Self::RTS_AFTER_SEND } else { Self::RTS_ON_SEND };
        let heard = if hears_itself { Self::RX_DURING_TX } else { 0 };
        let [delay_rts_before_send_ms, delay_rts_after_send_ms] = delays_ms;
        let flags = Self::ENABLED | rts | heard;
        Self { flags, delay_rts_before_send_ms, delay_rts_after_send_ms, rest: [0; 5] }
    }

    /// Whether it is switched on.
    pub(crate) fn is_on(self) -> bool {
        self.flags & Self::ENABLED != 0
    }
}

/// Has the kernel steer a port's direction, and returns what its driver took of it.
pub(crate) fn set_rs485(port: &impl AsRawFd, wanted: Rs485) -> io::Result<Rs485> {
    let mut taken = wanted;
    // SAFETY: the descriptor is open as long as `port` is borrowed; the kernel reads and writes one `serial_rs485`, which this
    // type is, and keeps no pointer to it.
    let set = unsafe { libc::ioctl(port.as_raw_fd(), libc::TIOCSRS485, &raw mut taken) };
    if set != 0 {
        return Err(io::Error::last_os_error());
    }
    // Drivers drop what they cannot do without a word. Older kernels do not write back, so it is asked for.
    // SAFETY: as above.
    let got = unsafe { libc::ioctl(port.as_raw_fd(), libc::TIOCGRS485, &raw mut taken) };
    if got == 0 { Ok(taken) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn rs485_is_laid_out_as_the_kernel_has_it() {
        assert_eq!(size_of::<Rs485>(), 32);
        assert_eq!(std::mem::offset_of!(Rs485, delay_rts_before_send_ms), 4);
        assert_eq!(std::mem::offset_of!(Rs485, delay_rts_after_send_ms), 8);
        let high = Rs485::new(false, false, [1, 2]);
        assert_eq!(
            (high.flags, high.delay_rts_before_send_ms, high.delay_rts_after_send_ms),
            (0b0_0011, 1, 2)
        );
        assert_eq!(Rs485::new(true, true, [0, 0]).flags, 0b1_0101);
        assert!(high.is_on() && !Rs485::default().is_on());
    }

    #[test]
    fn a_port_that_cannot_refuses() {
        let pty =
            rustix::pty::openpt(rustix::pty::OpenptFlags::RDWR | rustix::pty::OpenptFlags::NOCTTY).unwrap();
        let error = set_rs485(&pty.as_fd(), Rs485::new(false, false, [0, 0])).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOTTY), "{error}");
    }
}
