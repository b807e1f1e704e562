//! The thread of one line: takes bytes from the port, lets the bus answer, and delivers each byte at its time.
//!
//! A pty and a socket hand over a whole request in an instant. On a wire it would still be on its way: its end is
//! reckoned from the arrival of its first byte and the character time, and the meter's latency starts there.
//!
//! While a meter talks nobody can be heard: what comes in then is lost on a pty and in memory, and waits in the
//! socket on TCP, as in a serial server.

mod counters;
mod orders;

use std::collections::HashMap;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use rustix::event::{PollFd, PollFlags};

use crate::bus::{Bus, REQUEST_BYTES_MAX, Recognition, Reply};
use crate::clock;
use crate::config::LinePlan;
use crate::pacing::Character;
use crate::port::{Event, Port};
use crate::wire::{ClientId, Delivery, Transmission, Wire};
use crate::{Journal, ModbusFraming, Protocol};

pub(crate) use counters::Counters;
pub use counters::LineCounters;
pub(crate) use orders::{Commander, Order, Orders};

/// An unfinished frame is given up after so many characters of silence, and this time besides: a master's process may
/// be held up by its system between two writes, where its UART would not be.
const SILENCE_CHARACTERS: usize = 10;
const SILENCE_NS: u64 = 30_000_000;

/// Sleeps shorter than this end by the exact clock alone; longer ones also end when something comes in.
const EXACT_NS: u64 = 6_000_000;

pub(crate) struct Line {
    port: Port,
    bus: Bus,
    wire: Wire,
    inboxes: HashMap<ClientId, Inbox>,
    character: Character,
    paced: bool,
    echo: bool,
    zone: TimeZone,
    journal: Journal,
    counters: Arc<Counters>,
    orders: Orders,
}

/// What a client has sent of a request that is not whole yet.
#[derive(Debug, Default)]
struct Inbox {
    bytes: Vec<u8>,
    /// When the last of the bytes will have gone over the wire.
    wire_end_ns: u64,
    /// Garbage has come: nothing is understood before a silence.
    deaf: bool,
}

impl Line {
    pub(crate) fn new(
        plan: LinePlan,
        bus: Bus,
        port: Port,
        zone: TimeZone,
        journal: Journal,
        counters: Arc<Counters>,
        orders: Orders,
    ) -> Self {
        let wire = Wire::new(plan.modbus == ModbusFraming::Rtu, plan.quantum_ns);
        Self {
            port,
            bus,
            wire,
            inboxes: HashMap::new(),
            character: plan.character,
            paced: plan.paced,
            echo: plan.echo,
            zone,
            journal,
            counters,
            orders,
        }
    }

    /// Runs until told to stop or until nobody is left to tell.
    pub(crate) fn run(mut self) {
        // The default slack of 50 µs would make every byte late by so much. It stays if the system refuses.
        let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
        while self.obey() {
            self.take_input();
            self.deliver();
            self.give_up_unfinished();
            self.wait();
        }
    }

    /// False: stop.
    fn obey(&mut self) -> bool {
        while let Some((order, done)) = self.orders.next() {
            let result = match order {
                Order::Unplug => {
                    self.reset();
                    self.port.unplug();
                    Ok(())
                }
                Order::Plug => self.port.plug(),
                Order::Connect(stream) => {
                    self.reset();
                    self.port.connect(stream);
                    Ok(())
                }
                Order::Stop => return false,
            };
            done.report(result);
        }
        true
    }

    fn reset(&mut self) {
        self.wire.clear();
        self.inboxes.clear();
    }

    fn take_input(&mut self) {
        let now_ns = clock::monotonic_ns();
        let busy = self.wire.is_busy(now_ns);
        if busy && self.port.keeps_input() {
            return;
        }
        for event in self.port.receive() {
            match event {
                Event::Gone(client) => {
                    self.inboxes.remove(&client);
                }
                Event::Bytes(client, bytes) => {
                    self.counters.received(bytes.len());
                    if busy {
                        self.counters.discarded(bytes.len());
                    } else {
                        self.take_bytes(client, &bytes, now_ns);
                    }
                }
            }
        }
    }

    fn take_bytes(&mut self, client: ClientId, bytes: &[u8], now_ns: u64) {
        let inbox = self.inboxes.entry(client).or_default();
        let begin_ns = inbox.wire_end_ns.max(now_ns);
        let wire_ns = if self.paced { self.character.time_ns(bytes.len()) } else { 0 };
        inbox.wire_end_ns = begin_ns.saturating_add(wire_ns);
        if inbox.deaf {
            self.counters.discarded(bytes.len());
        } else {
            inbox.bytes.extend_from_slice(bytes);
        }
        if self.echo {
            self.echo(client, bytes.to_vec(), begin_ns, self.character);
        }
        self.recognise(client);
    }

    fn echo(&mut self, client: ClientId, bytes: Vec<u8>, begin_ns: u64, character: Character) {
        let character = self.paced.then_some(character);
        let echo =
            Transmission { client, begin_ns, character, bytes, said: Vec::new(), ideal_ns: None, echo: true };
        self.wire.submit(echo);
    }

    /// Takes all whole frames out of a client's inbox.
    fn recognise(&mut self, client: ClientId) {
        while let Some(inbox) = self.inboxes.get_mut(&client).filter(|inbox| !inbox.bytes.is_empty()) {
            match self.bus.recognise(&inbox.bytes) {
                Recognition::Frame { protocol, len } => {
                    let frame: Vec<u8> = inbox.bytes.drain(..len).collect();
                    let begin_ns = if self.paced {
                        let still_to_come = self.character.time_ns(inbox.bytes.len() + len);
                        inbox.wire_end_ns.saturating_sub(still_to_come)
                    } else {
                        inbox.wire_end_ns
                    };
                    self.answer(client, protocol, &frame, begin_ns);
                }
                Recognition::Incomplete if inbox.bytes.len() < REQUEST_BYTES_MAX => return,
                Recognition::Incomplete | Recognition::Garbage => {
                    self.counters.discarded(inbox.bytes.len());
                    inbox.bytes.clear();
                    inbox.deaf = true;
                }
            }
        }
    }

    fn answer(&mut self, client: ClientId, protocol: Protocol, frame: &[u8], begin_ns: u64) {
        let now = clock::civil(clock::wall(), &self.zone);
        let replies = self.bus.hear(protocol, frame, now, self.port.baud());
        // Counted when it has been heard: what is changed in a meter after that does not touch this request.
        self.counters.request();
        for reply in replies {
            let Reply { after, bytes, character, said, spoilt, echoed } = reply;
            if echoed {
                self.echo(client, frame.to_vec(), begin_ns, character);
            }
            let request_ns = if self.paced { character.time_ns(frame.len()) } else { 0 };
            let after_ns = u64::try_from(after.as_nanos()).unwrap_or(u64::MAX);
            let ideal = self.paced && spoilt.is_none();
            let ideal_ns = ideal.then(|| request_ns + after_ns + character.time_ns(bytes.len()));
            self.wire.submit(Transmission {
                client,
                begin_ns: begin_ns.saturating_add(request_ns).saturating_add(after_ns),
                character: self.paced.then_some(character),
                bytes,
                said: said.into_iter().collect(),
                ideal_ns,
                echo: false,
            });
        }
    }

    fn deliver(&mut self) {
        for Delivery { client, bytes, finished } in self.wire.due(clock::monotonic_ns()) {
            // First the books, then the bytes: what a master has read can be looked up at once.
            self.counters.sent(bytes.len());
            if let Some(finished) = finished.filter(|finished| !finished.echo) {
                let at = clock::wall();
                for mut said in finished.said {
                    said.at = at;
                    self.journal.enter(said);
                }
                self.counters.answered(finished.ideal_ns);
            }
            let sent = self.port.send(client, &bytes);
            self.counters.overflowed(bytes.len() - sent);
        }
    }

    /// A silence ends whatever was begun and makes the line hear again.
    fn give_up_unfinished(&mut self) {
        let now_ns = clock::monotonic_ns();
        let silence_ns = self.silence_ns();
        for inbox in self.inboxes.values_mut() {
            if inbox.is_open() && inbox.wire_end_ns.saturating_add(silence_ns) <= now_ns {
                self.counters.discarded(inbox.bytes.len());
                inbox.bytes.clear();
                inbox.deaf = false;
            }
        }
    }

    fn silence_ns(&self) -> u64 {
        SILENCE_NS + if self.paced { self.character.time_ns(SILENCE_CHARACTERS) } else { 0 }
    }

    /// Until a byte is due, an order is given, something comes in, or a silence has lasted.
    fn wait(&mut self) {
        let now_ns = clock::monotonic_ns();
        let due_ns = self.wire.next_ns();
        if let Some(due_ns) = due_ns.filter(|due_ns| due_ns.saturating_sub(now_ns) <= EXACT_NS) {
            clock::sleep_until_ns(due_ns);
            return;
        }
        // A poll may overshoot by a thousandth of its time: the last bit is slept by the exact clock.
        let early_ns = due_ns.map(|due_ns| due_ns - EXACT_NS / 2 - (due_ns - now_ns) / 500);
        let silence_ns = self.silence_ns();
        let open = self.inboxes.values().filter(|inbox| inbox.is_open());
        let given_up_ns = open.map(|inbox| inbox.wire_end_ns.saturating_add(silence_ns)).min();
        let until_ns = [early_ns, given_up_ns].into_iter().flatten().min();
        let timeout =
            until_ns.map(|until_ns| clock::timespec(Duration::from_nanos(until_ns.saturating_sub(now_ns))));

        let takes_input = !(self.wire.is_busy(now_ns) && self.port.keeps_input());
        let mut descriptors = vec![PollFd::from_borrowed_fd(self.orders.descriptor(), PollFlags::IN)];
        if takes_input {
            let port = self.port.descriptors();
            descriptors.extend(port.into_iter().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        }
        // Interrupted or not: the loop looks at everything again.
        let _ = rustix::event::poll(&mut descriptors, timeout.as_ref());
    }
}

impl Inbox {
    fn is_open(&self) -> bool {
        self.deaf || !self.bytes.is_empty()
    }
}
