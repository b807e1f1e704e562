//! A line passed through to a vendor's tool: bytes as they come, both ways, until the time is up.
//!
//! The port follows the speed and stop bits that the tool sets on its pty, looked at whenever it sends and every
//! [`FOLLOW_EVERY`]; what is set by hand stays. Nothing is understood and nothing is kept of what passes. What the tool may do to
//! a meter is the engineer's own hand: nobody here looks at it.

use std::io;
use std::time::Duration;

use tokio::sync::oneshot;
use weir_meter::{Fault, Parity, Serial, StopBits, async_trait};

use super::job::{Job, Lent};
use super::tool::Tool;
use crate::limits::FRAME_BYTES_MAX;

/// How often the pty's speed is looked at while the tool only listens.
const FOLLOW_EVERY: Duration = Duration::from_millis(200);

/// Which serial parameters hold, whatever the tool sets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fixed {
    /// Bits per second; otherwise the tool's, where it can say.
    pub baud: Option<u32>,
    /// The parity bit; otherwise that of the line's first meter.
    pub parity: Option<Parity>,
    /// Stop bits; otherwise the tool's, where it can say.
    pub stop_bits: Option<StopBits>,
}

/// A job that passes a line through to a tool.
#[derive(Debug)]
pub struct PassThrough {
    tool: Tool,
    fixed: Fixed,
    time_max: Duration,
    begun: Option<oneshot::Sender<Serial>>,
}

impl PassThrough {
    /// Through a new pty. `begun` is told when the line is the tool's, and what it is set to.
    ///
    /// # Errors
    /// The operating system's reason.
    pub fn over_pty(fixed: Fixed, time_max: Duration, begun: oneshot::Sender<Serial>) -> io::Result<Self> {
        Ok(Self { tool: Tool::pty()?, fixed, time_max, begun: Some(begun) })
    }

    /// Through a TCP port that only this machine reaches; 0 is any that is free.
    ///
    /// # Errors
    /// The operating system's reason.
    pub async fn over_tcp(
        port: u16,
        fixed: Fixed,
        time_max: Duration,
        begun: oneshot::Sender<Serial>,
    ) -> io::Result<Self> {
        Ok(Self { tool: Tool::tcp(port).await?, fixed, time_max, begun: Some(begun) })
    }

    /// Where the tool finds the line: a path, or an address.
    pub fn place(&self) -> String {
        self.tool.place()
    }

    /// What the port is to be set to now.
    fn serial(&self, before: Serial) -> Serial {
        let followed = self.tool.speed();
        Serial {
            baud: self.fixed.baud.or(followed.map(|(baud, _)| baud)).unwrap_or(before.baud),
            parity: self.fixed.parity.unwrap_or(before.parity),
            stop_bits: self.fixed.stop_bits.or(followed.map(|(_, bits)| bits)).unwrap_or(before.stop_bits),
        }
    }

    async fn pass(&mut self, line: &mut Lent<'_>) -> Result<(), Fault> {
        let mut serial = line.usual();
        let not_shown = |error: io::Error| Fault::LineDown { why: format!("pty: {error}") };
        self.tool.show_speed(self.fixed.baud.unwrap_or(serial.baud)).map_err(not_shown)?;
        serial = self.serial(serial);
        line.configure(&serial).await?;
        if let Some(begun) = self.begun.take() {
            let _ = begun.send(serial);
        }
        let mut ending = line.ending();
        let (mut from_tool, mut from_line) = ([0; FRAME_BYTES_MAX], [0; FRAME_BYTES_MAX]);
        loop {
            let wanted = self.serial(serial);
            if wanted != serial {
                match line.configure(&wanted).await {
                    Ok(()) => tracing::debug!(?wanted, "the tool sets the line"),
                    Err(error) => tracing::warn!(?wanted, %error, "the line cannot be set as the tool wants"),
                }
                serial = wanted;
            }
            tokio::select! {
                () = ending.come() => return Ok(()),
                read = self.tool.read(&mut from_tool) => {
                    let count = read.map_err(|error| Fault::LineDown { why: format!("tool: {error}") })?;
                    let bytes = from_tool.get(..count).unwrap_or_default();
                    // Set before it was written, so it holds for what was written.
                    serial = self.serial(serial);
                    line.write(bytes, &serial).await?;
                }
                read = line.read(&mut from_line) => {
                    self.tool.write(from_line.get(..read?).unwrap_or_default()).await;
                }
                () = tokio::time::sleep(FOLLOW_EVERY) => {}
            }
        }
    }
}

#[async_trait]
impl Job for PassThrough {
    type Output = Result<(), Fault>;

    fn purpose(&self) -> String {
        format!("tool on {}", self.place())
    }

    fn time_max(&self) -> Duration {
        self.time_max
    }

    async fn run(&mut self, line: &mut Lent<'_>) -> Self::Output {
        self.pass(line).await
    }
}
