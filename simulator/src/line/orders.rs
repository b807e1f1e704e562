//! How a handle reaches its line's thread: a short queue, and a descriptor that wakes the thread from its poll.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use rustix::event::EventfdFlags;

use crate::Error;

/// Whoever gives an order waits until it is obeyed, so this many threads can give one at once before one waits longer.
const ORDERS_MAX: usize = 8;

#[derive(Debug)]
pub(crate) enum Order {
    Unplug,
    Plug,
    Connect(UnixStream),
    Stop,
}

/// The giving end.
#[derive(Debug)]
pub(crate) struct Commander {
    queue: SyncSender<(Order, Done)>,
    bell: Arc<OwnedFd>,
}

/// The obeying end.
#[derive(Debug)]
pub(crate) struct Orders {
    queue: Receiver<(Order, Done)>,
    bell: Arc<OwnedFd>,
}

/// Where the result of an order goes.
#[derive(Debug)]
pub(crate) struct Done(SyncSender<Result<(), Error>>);

impl Done {
    pub(crate) fn report(self, result: Result<(), Error>) {
        // Nobody waits any more: then nobody wants to know.
        let _ = self.0.send(result);
    }
}

impl Commander {
    pub(crate) fn new() -> io::Result<(Self, Orders)> {
        let bell = rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let bell = Arc::new(bell);
        let (give, take) = sync_channel(ORDERS_MAX);
        let orders = Orders { queue: take, bell: Arc::clone(&bell) };
        Ok((Self { queue: give, bell }, orders))
    }

    /// Gives an order and waits until it has been obeyed. The outer error: the thread is gone.
    pub(crate) fn order(&self, order: Order) -> io::Result<Result<(), Error>> {
        let gone = || io::Error::new(io::ErrorKind::BrokenPipe, "it has ended");
        let (done, result) = sync_channel(1);
        self.queue.send((order, Done(done))).map_err(|_| gone())?;
        self.ring();
        result.recv().map_err(|_| gone())
    }

    fn ring(&self) {
        // Full means that the bell is ringing already.
        let _ = rustix::io::write(&*self.bell, &1_u64.to_ne_bytes());
    }
}

impl Orders {
    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }

    pub(crate) fn next(&self) -> Option<(Order, Done)> {
        let mut rung = [0; 8];
        let _ = rustix::io::read(&*self.bell, &mut rung);
        // A handle tells its thread to stop before it goes, so a broken queue needs no answer of its own.
        self.queue.try_recv().ok()
    }
}
