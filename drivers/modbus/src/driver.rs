//! The driver: the requests of a profile, one after the other, through tokio-modbus and the line.
//!
//! For each request a client is made, used once and dropped. It costs two small buffers for the time of an exchange (a
//! kept one would cost 16 KiB a meter), and no half state can outlive a fault. A new client counts its transactions
//! from 0 again, so Modbus/TCP's transaction id is this driver's own, put in on the way out and taken out on the way
//! back: a late answer to an earlier request can then never pass for a fresh one.
//!
//! Orders (`command`) are two lines of frame and need no client.
//!
//! The client runs inside the very future that pumps its bytes; nothing is spawned.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio_modbus::client::{Context, Reader as _, rtu as rtu_client, tcp as tcp_client};
use tokio_modbus::{ExceptionCode, Slave};
use weir_meter::{
    Answer, Ask, Course, Driver, Fault, Line, Load, Observed, Order, Serial, Timing, Unsupported, async_trait,
};

use crate::evaluate::{self, Image, KeepRaw};
use crate::frame::{FunctionCode, Read, exception_name, rtu, tcp};
use crate::plan::Block;
use crate::profile::Profile;

/// More than the longest frame, 260 bytes of Modbus/TCP.
const DUPLEX_BYTES: usize = 512;

/// "Response time-out: typically from 1 s to several seconds at 9600 bps" (over Serial Line V1.02, 2.4.1) is a bound on
/// the whole answer. To its first byte, libmodbus has given every meter 500 ms by default for many years.
const RTU_ANSWER_WINDOW: Duration = Duration::from_millis(500);
/// With the answer window 2 s in all: what is not said by then was lost, not late. RTU has no transaction id.
const RTU_LATE_WINDOW: Duration = Duration::from_millis(1500);
/// A Modbus/TCP meter may itself be behind a gateway that polls a serial line.
const TCP_ANSWER_WINDOW: Duration = Duration::from_secs(1);

/// The silence between frames, in characters (over Serial Line V1.02, 2.5.1.1).
const SILENCE_CHARACTERS: f64 = 3.5;
/// A character of that standard always has 11 bits, and slaves time their silence so even where lines run with 10.
const SILENCE_BITS_PER_CHARACTER: u32 = 11;
/// Above 19,200 Bd the silence is fixed (same clause).
const SILENCE_FIXED_ABOVE_BAUD: u32 = 19_200;
const SILENCE_FIXED: Duration = Duration::from_micros(1750);

/// How frames look on the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Framing {
    /// Address and CRC: serial lines, and serial servers that pass bytes through.
    Rtu,
    /// MBAP header: Modbus/TCP.
    Tcp,
}

/// A unit id that no meter can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "unit {0}: a meter on a serial line has a unit from 1 to 247 (0 is the broadcast, 248 and up are reserved)"
)]
pub struct UnitError(pub u8);

/// A Modbus meter.
#[derive(Debug)]
pub struct Modbus {
    unit: u8,
    framing: Framing,
    profile: Arc<Profile>,
    /// Of the next Modbus/TCP request.
    transaction: u16,
}

impl Modbus {
    /// The meter at `unit`, whose registers mean what `profile` says.
    ///
    /// # Errors
    /// [`UnitError`] for an RTU unit outside 1 to 247. Modbus/TCP knows 0 to 255; 255 and 0 are the device itself.
    pub fn new(unit: u8, framing: Framing, profile: Arc<Profile>) -> Result<Self, UnitError> {
        if framing == Framing::Rtu && !(1..=247).contains(&unit) {
            return Err(UnitError(unit));
        }
        Ok(Self { unit, framing, profile, transaction: 1 })
    }

    /// Brings the registers of one block, as bytes in wire order.
    async fn fetch(&mut self, line: &mut dyn Line, block: Block) -> Result<Vec<u8>, Fault> {
        let read = Read { unit: self.unit, function: block.function, start: block.start, count: block.count };
        let (near, far) = tokio::io::duplex(DUPLEX_BYTES);
        let slave = Slave(self.unit);
        let client = match self.framing {
            Framing::Rtu => rtu_client::attach_slave(near, slave),
            Framing::Tcp => tcp_client::attach_slave(near, slave),
        };
        let transaction = self.transaction;
        self.transaction = transaction.wrapping_add(1);
        let pump = async {
            match self.framing {
                Framing::Rtu => pump_rtu(line, far, &read).await,
                Framing::Tcp => pump_tcp(line, far, &read, transaction).await,
            }
        };
        let (words, ()) = tokio::try_join!(ask(client, &read), pump)?;
        Ok(words.into_iter().flat_map(u16::to_be_bytes).collect())
    }
}

/// tokio-modbus's side of the duplex.
async fn ask(mut client: Context, read: &Read) -> Result<Vec<u16>, Fault> {
    let answer = match read.function {
        FunctionCode::ReadHoldingRegisters => client.read_holding_registers(read.start, read.count).await,
        FunctionCode::ReadInputRegisters => client.read_input_registers(read.start, read.count).await,
    };
    match answer {
        Ok(Ok(words)) => Ok(words),
        Ok(Err(exception)) => Err(refused(exception)),
        Err(error) => Err(Fault::garbled(format!("tokio-modbus does not take the answer: {error}"))),
    }
}

fn refused(exception: ExceptionCode) -> Fault {
    let code = u8::from(exception);
    Fault::refused(format!("exception {code:02X}, {}", exception_name(code)))
}

/// The line's side. It ends by dropping the duplex, so the client can never wait for more.
async fn pump_rtu(line: &mut dyn Line, mut far: DuplexStream, read: &Read) -> Result<(), Fault> {
    let mut request = [0; rtu::REQUEST_LEN];
    far.read_exact(&mut request).await.map_err(no_request)?;
    let recognise = |received: &[u8]| rtu::recognise(read, received);
    let answer = line.exchange(Ask { request: &request, recognise: &recognise }).await?;
    hand_back(far, &answer).await
}

async fn pump_tcp(
    line: &mut dyn Line,
    mut far: DuplexStream,
    read: &Read,
    transaction: u16,
) -> Result<(), Fault> {
    let mut request = [0; tcp::REQUEST_LEN];
    far.read_exact(&mut request).await.map_err(no_request)?;
    let clients = put_transaction(&mut request, transaction.to_be_bytes());
    let recognise = |received: &[u8]| tcp::recognise(read, transaction, received);
    let mut answer = line.exchange(Ask { request: &request, recognise: &recognise }).await?;
    put_transaction(&mut answer, clients);
    hand_back(far, &answer).await
}

/// Replaces the transaction id and returns the one that was there.
fn put_transaction(frame: &mut [u8], transaction: [u8; 2]) -> [u8; 2] {
    frame.first_chunk_mut().map_or(transaction, |id| std::mem::replace(id, transaction))
}

async fn hand_back(mut far: DuplexStream, answer: &[u8]) -> Result<(), Fault> {
    far.write_all(answer).await.map_err(|error| Fault::garbled(format!("tokio-modbus went away: {error}")))
}

fn no_request(error: std::io::Error) -> Fault {
    Fault::refused(format!("tokio-modbus made no request: {error}"))
}

#[async_trait]
impl Driver for Modbus {
    fn name(&self) -> &'static str {
        "modbus"
    }

    fn timing(&self, serial: &Serial) -> Timing {
        let waits = self.profile.waits;
        let (answer_window, late_window, silence) = match self.framing {
            Framing::Rtu => (
                RTU_ANSWER_WINDOW,
                waits.late_window.unwrap_or(RTU_LATE_WINDOW),
                silence(serial, waits.silence_characters.unwrap_or(SILENCE_CHARACTERS)),
            ),
            Framing::Tcp => (TCP_ANSWER_WINDOW, Duration::ZERO, Duration::ZERO),
        };
        Timing {
            answer_window: waits.answer_window.unwrap_or(answer_window),
            silence,
            silence_before_repeat: silence,
            late_window,
        }
    }

    fn load(&self) -> Vec<Load> {
        let load = |block: &Block| {
            let read =
                Read { unit: self.unit, function: block.function, start: block.start, count: block.count };
            let (request, answer) = match self.framing {
                Framing::Rtu => (rtu::REQUEST_LEN, rtu::answer_len(&read)),
                Framing::Tcp => (tcp::REQUEST_LEN, tcp::answer_len(&read)),
            };
            Load { request, shortest_answer: answer, typical_answer: answer }
        };
        self.profile.requests().iter().map(load).collect()
    }

    async fn read(&mut self, line: &mut dyn Line) -> Result<Answer, Fault> {
        let profile = Arc::clone(&self.profile);
        let mut image = Image::default();
        for &block in profile.requests() {
            image.add(block.function, block.start, self.fetch(line, block).await?);
        }
        Ok(evaluate::answer(&profile, &image, KeepRaw::Uninterpreted))
    }

    fn decode(&self, request: &[u8], answer: &[u8]) -> Option<Result<Answer, Fault>> {
        let both = [request, answer].concat();
        Some(crate::decode(&self.profile, &both, None).map_err(|error| Fault::garbled(error.to_string())))
    }

    fn course(&self, order: &Order) -> Result<Course, Unsupported> {
        self.course_of(order)
    }

    async fn carry_out(&mut self, line: &mut dyn Line, order: &Order) -> Result<Observed, Fault> {
        self.tell(line, order).await
    }

    async fn observe(&mut self, line: &mut dyn Line, order: &Order) -> Result<Observed, Fault> {
        self.look(line, order).await
    }
}

/// The silence owed before a request.
fn silence(serial: &Serial, characters: f64) -> Duration {
    if serial.baud > SILENCE_FIXED_ABOVE_BAUD {
        return SILENCE_FIXED.mul_f64(characters / SILENCE_CHARACTERS);
    }
    serial.bits(SILENCE_BITS_PER_CHARACTER.max(serial.bits_per_character())).mul_f64(characters)
}

mod command;

#[cfg(test)]
mod tests;
