//! The line's task while a job has its line.
//!
//! The job and the task's own housekeeping run side by side in the one task. So the pulse beats, receipts are looked at,
//! figures are published, and slots pass as on any busy line: a meter has one poll that is due, older ones count as
//! missed. Reads and visits that are asked for are refused: a person waits for the one, the command path tries the
//! other again. The job ends by itself, or is told to end when
//! its time is up or the line stops and is dropped if it does not within [`LINE_STOP_MAX`]; it is dropped at once when
//! nobody waits for it any more.
//!
//! Afterwards nobody knows what may still come: answers to the job's last request, or to a tool's. So every meter
//! rests for its own late window before it is polled again.

use std::time::Duration;

use tokio::sync::watch;
use weir_meter::Serial;
use weir_wire::stored::What;

use super::exchange::Wire;
use super::handle::ReadError;
use super::job::{JobError, JobRequest, Lent};
use super::task::{Connection, Request, Task};
use super::visit::VisitError;
use crate::clock;
use crate::limits::{LINE_LENT_MAX, LINE_STOP_MAX, LINE_TURN};

/// Why a line came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Done,
    TimeUp,
    Stopped,
    AskerGone,
}

impl End {
    fn why(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::TimeUp => "time is up",
            Self::Stopped => "line is being stopped",
            Self::AskerGone => "interrupted",
        }
    }
}

impl Task {
    /// Lends the line to a job until that is over, and says so before and after.
    pub(super) async fn lend(&mut self, mut request: JobRequest) {
        let is_up = matches!(self.connection, Connection::Up { .. });
        if !is_up {
            request.job.fail(JobError::LineDown { why: self.why_down() });
            return;
        }
        let (purpose, began) = (request.job.purpose(), clock::now());
        let line = self.name.clone();
        tracing::info!(line, purpose, "line lent; polls pause");
        let at_most = seconds(request.job.time_max().min(LINE_LENT_MAX));
        let detail = format!("{purpose}, for {at_most} at most");
        self.report(What::LineLent { line: line.clone(), detail }).await;
        let lent = Connection::Lent { to: purpose.clone() };
        let Connection::Up { mut wire, since } = std::mem::replace(&mut self.connection, lent) else {
            return;
        };
        if let Some(tap) = &mut wire.tap {
            tap.about = Some(purpose.as_str().into());
        }
        let end = self.while_lent(&mut wire, request).await;
        self.connection = Connection::Up { wire, since };
        for meter in 0..self.stations.len() {
            let rests_until = clock::now() + self.late_window(meter);
            self.queue.rest(meter, rests_until);
        }
        let (why, lasted) = (end.why(), clock::now().since(began));
        tracing::info!(line, purpose, why, seconds = lasted.as_secs(), "line returned");
        let detail = format!("{purpose}, after {}: {why}", seconds(lasted));
        self.report(What::LineReturned { line, detail }).await;
    }

    async fn while_lent(&mut self, wire: &mut Wire, request: JobRequest) -> End {
        let JobRequest { mut job, mut asker, _permit: permit } = request;
        let (tell, ending) = watch::channel(false);
        let (adapter_allowance, echo) = (self.adapter_allowance, self.echo);
        let time_max = job.time_max().min(LINE_LENT_MAX);
        let usual = self.stations.first().map_or(Serial::DEFAULT, |station| station.manner.serial);
        let mut lent = Lent { wire, usual, adapter_allowance, echo, ending };
        let mut stopping = self.stopping.clone();
        let over = async {
            let end = tokio::select! {
                biased;
                Ok(_) = stopping.wait_for(|stop| *stop) => End::Stopped,
                _ = &mut asker => return End::AskerGone,
                () = tokio::time::sleep(time_max) => End::TimeUp,
            };
            let _ = tell.send(true);
            tokio::select! {
                biased;
                _ = &mut asker => {}
                () = tokio::time::sleep(LINE_STOP_MAX) => {}
            }
            end
        };
        let end = tokio::select! {
            biased;
            () = job.run(&mut lent) => None,
            end = over => Some(end),
            () = self.keep_house() => None,
        };
        // Told to end, it ended: that is why, and not that it was done.
        let told = || if *self.stopping.borrow() { End::Stopped } else { End::TimeUp };
        let was_told = lent.is_ending();
        drop(lent);
        match end {
            Some(End::Stopped) => job.fail(JobError::Stopped),
            Some(_) => job.fail(JobError::TimeUp),
            None => {}
        }
        drop(permit);
        end.unwrap_or_else(|| if was_told { told() } else { End::Done })
    }

    /// All that a turn does besides polling, again and again. Never returns.
    async fn keep_house(&mut self) {
        loop {
            self.pulse.beat();
            self.delivery.turn().await;
            let (wall, now) = (clock::wall(), clock::now());
            self.queue.refresh(wall, now);
            self.publish(wall, now);
            let to = self.connection.lent_to().unwrap_or_default().to_owned();
            self.refuse_visits(&VisitError::Lent { to: to.clone() });
            for request in self.queue.take_asked() {
                request.answer(Err(ReadError::Lent { to: to.clone() }));
            }
            tokio::select! {
                biased;
                Some(request) = self.incoming.recv() => match request {
                    Request::Read(request) => request.answer(Err(ReadError::Lent { to })),
                    Request::Run(mut request) => request.job.fail(JobError::Lent { to }),
                    Request::Visit(request) => request.fail(VisitError::Lent { to }),
                },
                () = tokio::time::sleep(LINE_TURN) => {}
            }
        }
    }
}

/// A duration as people say it, to the second.
fn seconds(duration: Duration) -> String {
    let total = duration.as_secs();
    let (hours, minutes, seconds) = (total / 3600, total / 60 % 60, total % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m {seconds}s"),
        _ => format!("{hours}h {minutes}m {seconds}s"),
    }
}
