//! The running simulation and the handles on its lines and meters.
//!
//! The only file that knows both the threads and the plan: it starts one thread for each line and stops them when
//! dropped.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::bus::{Bus, MeterControl, Obeyed};
use crate::config::{LinePlan, Place, Plan, check_faults};
use crate::line::{Commander, Counters, Line, Order};
use crate::pacing::Character;
use crate::port::Port;
use crate::{Config, Error, Fault, FaultRule, Journal, LineCounters, Said};

/// A running simulation. Dropping it stops its threads, closes its ports and removes the links to its ptys.
#[derive(Debug)]
pub struct Simulator {
    lines: HashMap<String, LineHandle>,
    meters: HashMap<String, MeterHandle>,
    journal: Journal,
}

impl Simulator {
    /// Opens all lines and starts answering on them. Every pty's link is in place and every TCP address is listened on
    /// when this returns.
    ///
    /// # Errors
    /// [`Error::Config`] before anything is opened; otherwise the first line that could not be opened. Then nothing stays open.
    pub fn start(config: Config) -> Result<Self, Error> {
        let plan = Plan::of(&config)?;
        let journal = Journal::keeping(plan.journal_entries_max);
        let mut simulator = Self { lines: HashMap::new(), meters: HashMap::new(), journal };
        for line in plan.lines {
            simulator.start_line(line, plan.seed, &plan.zone)?;
        }
        Ok(simulator)
    }

    fn start_line(&mut self, plan: LinePlan, seed: u64, zone: &jiff::tz::TimeZone) -> Result<(), Error> {
        let name = plan.name.clone();
        let port = Port::open(&name, &plan.place)?;
        let bus = Bus::new(&plan, seed);
        for meter in bus.meters() {
            let handle = MeterHandle {
                name: Arc::clone(meter.name()),
                line: name.clone(),
                latency: meter.latency(),
                control: Arc::clone(meter.control()),
                journal: self.journal.clone(),
            };
            self.meters.insert(meter.name().to_string(), handle);
        }
        let counters = Arc::new(Counters::default());
        let in_thread = |source| Error::Thread { line: name.clone(), source };
        let (commander, orders) = Commander::new().map_err(in_thread)?;
        let place = port.place();
        let character = plan.character;
        let line =
            Line::new(plan, bus, port, zone.clone(), self.journal.clone(), Arc::clone(&counters), orders);
        let thread = std::thread::Builder::new().name(format!("sim {name}"));
        let thread = thread.spawn(move || line.run()).map_err(in_thread)?;
        let handle =
            LineHandle { name: name.clone(), place, character, counters, commander, thread: Some(thread) };
        self.lines.insert(name, handle);
        Ok(())
    }

    /// The line of this name.
    ///
    /// # Errors
    /// [`Error::NoLine`].
    pub fn line(&self, name: &str) -> Result<&LineHandle, Error> {
        self.lines.get(name).ok_or_else(|| Error::NoLine(name.to_owned()))
    }

    /// The meter of this name.
    ///
    /// # Errors
    /// [`Error::NoMeter`].
    pub fn meter(&self, name: &str) -> Result<MeterHandle, Error> {
        self.meters.get(name).cloned().ok_or_else(|| Error::NoMeter(name.to_owned()))
    }

    /// All lines, ordered by name.
    #[must_use]
    pub fn lines(&self) -> Vec<&LineHandle> {
        let mut lines: Vec<_> = self.lines.values().collect();
        lines.sort_by(|a, b| a.name.cmp(&b.name));
        lines
    }

    /// All meters, ordered by name.
    #[must_use]
    pub fn meters(&self) -> Vec<MeterHandle> {
        let mut meters: Vec<_> = self.meters.values().cloned().collect();
        meters.sort_by(|a, b| a.name.cmp(&b.name));
        meters
    }

    /// What all meters said.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        &self.journal
    }
}

/// A line of a running simulation.
#[derive(Debug)]
pub struct LineHandle {
    name: String,
    place: Place,
    character: Character,
    counters: Arc<Counters>,
    commander: Commander,
    thread: Option<JoinHandle<()>>,
}

impl LineHandle {
    /// The line's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The path by which a master opens the pty; `None` if the line is none.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match &self.place {
            Place::Pty(path) => Some(path),
            Place::Tcp(_) | Place::Memory => None,
        }
    }

    /// The address a master connects to, with the port really taken; `None` if the line is not on TCP.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        match self.place {
            Place::Tcp(address) => Some(address),
            Place::Pty(_) | Place::Memory => None,
        }
    }

    /// Connects to a line in memory; blocking until the caller sets it otherwise. A former connection is closed.
    ///
    /// # Errors
    /// [`Error::NotInMemory`]; [`Error::Thread`] if the line's thread is gone or no socket pair could be made.
    pub fn connect(&self) -> Result<UnixStream, Error> {
        if !matches!(self.place, Place::Memory) {
            return Err(Error::NotInMemory(self.name.clone()));
        }
        let (ours, theirs) = UnixStream::pair().map_err(|source| self.thread_error(source))?;
        self.order(Order::Connect(ours))?;
        Ok(theirs)
    }

    /// Pulls the plug: the pty vanishes with its link, or the listener with its connections. Whatever was being said is
    /// lost. Done when this returns; no error if it was out already.
    ///
    /// # Errors
    /// [`Error::Thread`] if the line's thread is gone.
    pub fn unplug(&self) -> Result<(), Error> {
        self.order(Order::Unplug)
    }

    /// Puts the plug back: a new pty behind the same path, or the same address listened on again. No error if it was in.
    ///
    /// # Errors
    /// The port could not be opened, as on [`Simulator::start`].
    pub fn plug(&self) -> Result<(), Error> {
        self.order(Order::Plug)
    }

    /// What went over the line so far.
    #[must_use]
    pub fn counters(&self) -> LineCounters {
        self.counters.read()
    }

    /// The line's character, by which times on the wire are computed.
    #[must_use]
    pub fn character(&self) -> Character {
        self.character
    }

    fn order(&self, order: Order) -> Result<(), Error> {
        self.commander.order(order).map_err(|source| self.thread_error(source))?
    }

    fn thread_error(&self, source: std::io::Error) -> Error {
        Error::Thread { line: self.name.clone(), source }
    }
}

impl Drop for LineHandle {
    fn drop(&mut self) {
        // An error means that the thread has ended already.
        let _ = self.commander.order(Order::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A meter of a running simulation. Clones are the same meter.
#[derive(Debug, Clone)]
pub struct MeterHandle {
    name: Arc<str>,
    line: String,
    latency: Duration,
    control: Arc<MeterControl>,
    journal: Journal,
}

impl MeterHandle {
    /// The meter's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name of its line.
    #[must_use]
    pub fn line(&self) -> &str {
        &self.line
    }

    /// From the end of a request to the start of its answer on a paced line.
    #[must_use]
    pub fn latency(&self) -> Duration {
        self.latency
    }

    /// From the next request on this fault strikes always, and no other; `None`: no fault at all, not even a configured one.
    pub fn set_fault(&self, fault: Option<Fault>) {
        self.control.set_faults(fault.into_iter().map(FaultRule::from).collect());
    }

    /// From the next request on these faults strike, and no others.
    ///
    /// # Errors
    /// [`Error::Fault`] if a probability is not within 0.0 to 1.0.
    pub fn set_faults(&self, faults: Vec<FaultRule>) -> Result<(), Error> {
        check_faults(&faults).map_err(|reason| Error::Fault { meter: self.name.to_string(), reason })?;
        self.control.set_faults(faults);
        Ok(())
    }

    /// The meter goes dead: it hears nothing and says nothing. Its faults stay as they are.
    pub fn silence(&self) {
        self.control.set_dead(true);
    }

    /// The meter lives again.
    pub fn revive(&self) {
        self.control.set_dead(false);
    }

    /// Whether it was silenced.
    #[must_use]
    pub fn is_silenced(&self) -> bool {
        self.control.is_dead()
    }

    /// What it has obeyed since the start. An answer that a master has read is counted already.
    #[must_use]
    pub fn obeyed(&self) -> Obeyed {
        self.control.obeyed()
    }

    /// The kept journal entries of this meter, oldest first.
    #[must_use]
    pub fn said(&self) -> Vec<Said> {
        self.journal.of(&self.name)
    }
}
