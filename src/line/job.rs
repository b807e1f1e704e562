//! What somebody may do with a running line in place of its polls: a job, such as a search for meters or a vendor's tool.
//!
//! A job is handed the line for a limited time and then gives it back, whatever happens. It never owns the port: it sees a
//! [`Lent`], on which it exchanges requests and answers as a driver does, or passes bytes as they come. How the line's
//! task goes on meanwhile is in `lending`; without a daemon [`run_once`](super::run_once) runs the same job on a port of
//! its own. What a job finds on its way it tells through a channel of its own: the line carries only its end.

use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, oneshot, watch};
use weir_meter::{Fault, Line, Serial, Timing, async_trait};

use super::exchange::{Exchange, Manner, Wire};
use super::trace::FrameKind;

/// Something that is done with a line in place of its polls.
///
/// [`run`](Self::run) is dropped, wherever it waits, when whoever asked for the job is gone, and when it has not returned
/// [`LINE_STOP_MAX`](crate::limits::LINE_STOP_MAX) after it was to end. It need not leave the line in any state.
#[async_trait]
pub trait Job: Send + 'static {
    /// What comes of it.
    type Output: Send + 'static;

    /// What it is, in a few words: stands in events, in the log, and in the refusal of others.
    fn purpose(&self) -> String;

    /// For how long it may have the line; more than [`LINE_LENT_MAX`](crate::limits::LINE_LENT_MAX) is not given.
    fn time_max(&self) -> Duration;

    /// Does it. Should look at [`Lent::is_ending`] between requests.
    async fn run(&mut self, line: &mut Lent<'_>) -> Self::Output;
}

/// How a job's requests are put on the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The serial parameters.
    pub serial: Serial,
    /// The waits, without what the line's adapter needs, which is added.
    pub timing: Timing,
    /// Repeats of each request, 0 to 5.
    pub repeats: u32,
}

/// A line in the hands of a job.
pub struct Lent<'a> {
    pub(super) wire: &'a mut Wire,
    pub(super) usual: Serial,
    pub(super) adapter_allowance: Duration,
    pub(super) echo: bool,
    pub(super) ending: watch::Receiver<bool>,
}

impl Lent<'_> {
    /// The line as a driver sees it, on these terms. Requests whose answer stays away are repeated until the job is to end.
    pub fn on(&mut self, terms: &Terms) -> impl Line + '_ {
        let Terms { serial, timing, repeats } = *terms;
        let (adapter_allowance, echo) = (self.adapter_allowance, self.echo);
        let manner =
            Manner { serial, timing, adapter_allowance, echo, repeats, request_delay: Duration::ZERO };
        Exchange::new(self.wire, manner.bounded(), &self.ending)
    }

    /// The serial parameters of the line's first meter, or those that most meters have.
    pub fn usual(&self) -> Serial {
        self.usual
    }

    /// Sets the port's serial parameters, for bytes that are listened to. Writing sets them as well.
    ///
    /// # Errors
    /// [`Fault::LineDown`] when the port cannot be set so.
    pub async fn configure(&mut self, serial: &Serial) -> Result<(), Fault> {
        self.wire.configure(serial).await
    }

    /// The next bytes as they come, at least one. Safe to drop half-way.
    ///
    /// # Errors
    /// [`Fault::LineDown`].
    pub async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Fault> {
        self.wire.pass_in(buffer).await
    }

    /// Writes bytes as they are, with these serial parameters, and returns when the port has taken them.
    ///
    /// # Errors
    /// [`Fault::LineDown`], also when the port takes no bytes.
    pub async fn write(&mut self, bytes: &[u8], serial: &Serial) -> Result<(), Fault> {
        self.wire.show(FrameKind::FromTool, bytes, None);
        self.wire.send(bytes, serial).await.map(drop)
    }

    /// Whether the job is to end: its time is up, or the line is being stopped.
    pub fn is_ending(&self) -> bool {
        *self.ending.borrow()
    }

    /// A signal for when the job is to end, for those who wait for other things as well.
    pub fn ending(&self) -> Ending {
        Ending(self.ending.clone())
    }
}

/// Resolves when a job is to end.
#[derive(Clone, Debug)]
pub struct Ending(watch::Receiver<bool>);

impl Ending {
    /// Whether the job is to end.
    pub fn has_come(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until the job is to end. Safe to drop and to call again.
    pub async fn come(&mut self) {
        if self.0.wait_for(|is_ending| *is_ending).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Why a job was not done, or not to its end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JobError {
    /// Another job has the line.
    #[error("line is lent: {to}")]
    Lent {
        /// What for.
        to: String,
    },
    /// The line's port cannot be used.
    #[error("line is down: {why}")]
    LineDown {
        /// The operating system's reason.
        why: String,
    },
    /// Its time was up and it did not end by itself.
    #[error("time is up")]
    TimeUp,
    /// The line is stopping, or has stopped.
    #[error("line has stopped")]
    Stopped,
}

/// A job on its way to the line's task, whatever comes of it.
pub(super) struct JobRequest {
    pub(super) job: Box<dyn AnyJob>,
    /// Resolves when whoever asked is gone.
    pub(super) asker: oneshot::Receiver<()>,
    /// Held until the job is over: there is one at a time.
    pub(super) _permit: OwnedSemaphorePermit,
}

/// A job together with the way back for what comes of it.
#[async_trait]
pub(super) trait AnyJob: Send {
    fn purpose(&self) -> String;
    fn time_max(&self) -> Duration;
    async fn run(&mut self, line: &mut Lent<'_>);
    /// It was not done, or not to its end.
    fn fail(&mut self, error: JobError);
}

pub(super) struct Returning<J: Job> {
    pub(super) job: J,
    pub(super) reply: Option<oneshot::Sender<Result<J::Output, JobError>>>,
}

impl<J: Job> Returning<J> {
    /// Whoever asked may have gone.
    fn answer(&mut self, result: Result<J::Output, JobError>) {
        if let Some(reply) = self.reply.take() {
            let _ = reply.send(result);
        }
    }
}

#[async_trait]
impl<J: Job> AnyJob for Returning<J> {
    fn purpose(&self) -> String {
        self.job.purpose()
    }

    fn time_max(&self) -> Duration {
        self.job.time_max()
    }

    async fn run(&mut self, line: &mut Lent<'_>) {
        let output = self.job.run(line).await;
        self.answer(Ok(output));
    }

    fn fail(&mut self, error: JobError) {
        self.answer(Err(error));
    }
}
