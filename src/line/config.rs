//! What a line and its meters are made with.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use weir_meter::selection::Selection;
use weir_meter::{Driver, Serial};

/// One line and everything wired to it.
pub struct Config {
    /// The line's name, unique on the gateway.
    pub name: String,
    /// Where its bytes go.
    pub port: Port,
    /// Whether the converter sends every request back before the answer.
    pub echo: bool,
    /// How often a request is repeated when its answer stays away or is garbled, 0 to 5. A meter that is being backed
    /// off from is asked once.
    pub repeats: u32,
    /// Added to every answer window for what lies between the port and the bus: USB adapters hold bytes back for up to
    /// 100 ms, serial servers for a network round trip.
    pub adapter_allowance: Duration,
    /// Whether the kernel steers the direction of an RS-485 port, and how. `None` leaves the port as it is.
    pub rs485: Option<Rs485>,
    /// Whether readings carry the answer's raw bytes.
    pub keep_raw: bool,
    /// The zone whose wall clock the schedules follow.
    pub time_zone: TimeZone,
    /// The meters, in the order in which they are polled.
    pub meters: Vec<Meter>,
}

/// Where a line's bytes go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Port {
    /// A serial device, opened by path.
    Serial(PathBuf),
    /// A TCP serial server or a Modbus TCP device, `host:port`.
    Tcp(String),
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Serial(path) => path.display().fmt(f),
            Self::Tcp(address) => f.write_str(address),
        }
    }
}

/// How the kernel steers the direction of an RS-485 port (Linux, `TIOCSRS485`): by the RTS line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rs485 {
    /// RTS is low while sending and high otherwise; without it the other way round.
    pub rts_low_to_send: bool,
    /// From RTS to the first bit, in whole milliseconds.
    pub delay_before_send_ms: u32,
    /// From the last bit to RTS, in whole milliseconds.
    pub delay_after_send_ms: u32,
}

/// One meter on a line.
pub struct Meter {
    /// The utility's own id, unique in the whole fleet.
    pub id: String,
    /// Its protocol and address.
    pub driver: Box<dyn Driver>,
    /// The serial parameters it is spoken to with.
    pub serial: Serial,
    /// How often it is read, 1 ms to 24 h: slots at whole multiples of this since local midnight. Shorter than the
    /// line's cycle means that the line polls back to back.
    pub every: Duration,
    /// Shifts its slots after those multiples; less than `every`.
    pub offset: Duration,
    /// Reads a day that its battery allows, repeats included; `None` for mains-powered meters.
    pub reads_per_day_max: Option<u32>,
    /// In place of the driver's answer window (the adapter allowance is still added).
    pub answer_window: Option<Duration>,
    /// In place of the driver's late window.
    pub late_window: Option<Duration>,
    /// The serial number it must answer with, when the utility wants that checked.
    pub expected_number: Option<String>,
    /// Which of its values are forwarded; `None` for all.
    pub selection: Option<Arc<Selection>>,
    /// Digits of its register as it is sent, decimals included, for telling a roll-over; `None` where nobody says.
    pub register_digits: Option<u32>,
    /// Silence owed on the line before each of its requests, in place of the protocol's.
    pub silence: Option<Duration>,
    /// Waited before the first request of a poll, for meters that have to wake up or converters that have to turn round.
    pub request_delay: Duration,
}

impl Meter {
    /// A meter without any wish of its own: slots at the full `every`, the driver's waits, 2400 Bd 8E1.
    pub fn new(id: impl Into<String>, driver: Box<dyn Driver>, every: Duration) -> Self {
        Self {
            id: id.into(),
            driver,
            serial: Serial::DEFAULT,
            every,
            offset: Duration::ZERO,
            reads_per_day_max: None,
            answer_window: None,
            late_window: None,
            expected_number: None,
            selection: None,
            register_digits: None,
            silence: None,
            request_delay: Duration::ZERO,
        }
    }
}
