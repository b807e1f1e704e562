//! The wire between daemon and meters in a story's hands: each byte passes here, and one of them can be the last that the
//! daemon lives to see.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};

/// A TCP serial server in front of the simulator's.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) address: SocketAddr,
    fuse: Fuse,
}

/// Bytes that are left until this process is killed.
type Fuse = Arc<Mutex<Option<(u32, Pid)>>>;

impl Wire {
    /// Passes what comes on to this address, and what comes back.
    pub(crate) fn to(meters: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let (address, fuse) = (listener.local_addr().unwrap(), Fuse::default());
        let of_wire = Arc::clone(&fuse);
        thread::spawn(move || {
            for daemon in listener.incoming() {
                let (daemon, meters) = (daemon.unwrap(), TcpStream::connect(meters).unwrap());
                for (from, to) in [(&daemon, &meters), (&meters, &daemon)] {
                    let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    to.set_nodelay(true).unwrap();
                    let fuse = Arc::clone(&of_wire);
                    thread::spawn(move || pass(from, to, &fuse));
                }
            }
        });
        Self { address, fuse }
    }

    /// Kills the process before the n-th byte from now on is passed on, in whichever direction.
    pub(crate) fn kill_before(&self, byte: u32, process: u32) {
        let pid = Pid::from_raw(process.try_into().unwrap()).unwrap();
        *self.fuse.lock().unwrap() = Some((byte, pid));
    }

    /// Kills nobody.
    pub(crate) fn disarm(&self) {
        *self.fuse.lock().unwrap() = None;
    }
}

/// Byte by byte, until one side is gone or the fuse burns down.
fn pass(mut from: TcpStream, mut to: TcpStream, fuse: &Fuse) {
    let mut byte = [0];
    while from.read(&mut byte).is_ok_and(|read| read == 1) && is_passed(fuse) && to.write_all(&byte).is_ok() {
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}

fn is_passed(fuse: &Fuse) -> bool {
    let mut fuse = fuse.lock().unwrap();
    match &mut *fuse {
        None => true,
        Some((1, process)) => {
            // It may have ended by itself.
            let _ = kill_process(*process, Signal::KILL);
            *fuse = None;
            false
        }
        Some((left, _)) => {
            *left -= 1;
            true
        }
    }
}
