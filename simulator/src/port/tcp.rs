//! A TCP serial server, or a Modbus/TCP device: listens and serves several clients.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};

use super::{Event, read_stream};
use crate::wire::ClientId;

/// More than this many at once are turned away.
const CLIENTS_MAX: usize = 32;

#[derive(Debug)]
pub(super) struct Tcp {
    listener: TcpListener,
    address: SocketAddr,
    clients: Vec<(ClientId, TcpStream)>,
    next_client: ClientId,
}

impl Tcp {
    pub(super) fn listen(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address, clients: Vec::new(), next_client: 0 })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        let clients = self.clients.iter().map(|(_, stream)| stream.as_fd());
        std::iter::once(self.listener.as_fd()).chain(clients).collect()
    }

    pub(super) fn receive(&mut self) -> Vec<Event> {
        self.accept();
        let mut events = Vec::new();
        self.clients.retain_mut(|(client, stream)| {
            let event = read_stream(stream, *client);
            let gone = matches!(event, Some(Event::Gone(_)));
            events.extend(event);
            !gone
        });
        events
    }

    pub(super) fn send(&mut self, client: ClientId, bytes: &[u8]) -> usize {
        let stream = self.clients.iter_mut().find(|(id, _)| *id == client);
        stream.map_or(0, |(_, stream)| stream.write(bytes).unwrap_or(0))
    }

    fn accept(&mut self) {
        while let Ok((stream, _)) = self.listener.accept() {
            // Without this the kernel gathers paced bytes into packets of its own.
            let ready = stream.set_nonblocking(true).and_then(|()| stream.set_nodelay(true));
            if ready.is_ok() && self.clients.len() < CLIENTS_MAX {
                self.clients.push((self.next_client, stream));
                self.next_client = self.next_client.wrapping_add(1);
            }
        }
    }
}
