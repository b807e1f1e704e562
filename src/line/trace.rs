//! What passes on a line, for whoever watches: every request, every answer, and whatever else is heard.
//!
//! Frames are what the exchange takes for frames, with the reason where it does not take one. Nothing is made while nobody
//! watches. A watcher that is slower than its line loses the oldest frames and is told how many: the line never waits for it.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, broadcast, watch};
use weir_wire::Raw;

use super::status::LineStatus;
use crate::clock;
use crate::limits::LINE_FRAMES_KEPT;

/// Bytes that passed on a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frame {
    /// The wall time: of a request when it was begun, otherwise of the last byte.
    pub at: Timestamp,
    /// The same in milliseconds since boot, which never jumps.
    pub uptime_ms: u64,
    /// What they are.
    pub kind: FrameKind,
    /// The meter that is asked, or what the line is lent for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// What is wrong with them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// The bytes; none where an answer stayed away.
    pub bytes: Raw,
}

/// What bytes on a line are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FrameKind {
    /// A request, sent.
    Request,
    /// The answer to it.
    Answer,
    /// A whole frame that is no answer to it: another meter's, or a late one.
    Foreign,
    /// Bytes in which no answer could be found.
    Garbled,
    /// No answer came.
    Silence,
    /// Came while nothing was asked, and was thrown away.
    Unasked,
    /// Sent by the tool to which the line is lent.
    FromTool,
    /// Passed on to the tool to which the line is lent.
    ToTool,
}

/// Where a line's frames go.
#[derive(Clone, Debug)]
pub(super) struct Tap {
    frames: broadcast::Sender<Arc<Frame>>,
    /// See [`Frame::about`].
    pub(super) about: Option<Arc<str>>,
}

impl Tap {
    pub(super) fn new() -> Self {
        Self { frames: broadcast::Sender::new(LINE_FRAMES_KEPT), about: None }
    }

    /// Whether anybody watches.
    pub(super) fn is_watched(&self) -> bool {
        self.frames.receiver_count() > 0
    }

    /// Shows bytes to whoever watches.
    pub(super) fn show(&self, kind: FrameKind, bytes: &[u8], why: Option<&str>) {
        if !self.is_watched() {
            return;
        }
        let uptime = clock::now().since_boot();
        let frame = Frame {
            at: clock::wall(),
            uptime_ms: u64::try_from(uptime.as_millis()).unwrap_or(u64::MAX),
            kind,
            about: self.about.as_deref().map(str::to_owned),
            why: why.map(str::to_owned),
            bytes: Raw(bytes.to_vec()),
        };
        let _ = self.frames.send(Arc::new(frame));
    }

    pub(super) fn watch(&self, line: watch::Receiver<LineStatus>, permit: OwnedSemaphorePermit) -> Watching {
        Watching { frames: self.frames.subscribe(), line, _permit: permit }
    }
}

/// A line that is watched. Watching ends when this is dropped.
#[derive(Debug)]
pub struct Watching {
    frames: broadcast::Receiver<Arc<Frame>>,
    line: watch::Receiver<LineStatus>,
    /// Bounds how many there are.
    _permit: OwnedSemaphorePermit,
}

/// What a watcher is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// A frame.
    Frame(Arc<Frame>),
    /// So many frames were lost because the watcher was too slow.
    Lost(u64),
}

impl Watching {
    /// The next frame; `None` when the line has stopped. Safe to drop half-way.
    pub async fn next(&mut self) -> Option<Shown> {
        loop {
            tokio::select! {
                biased;
                frame = self.frames.recv() => return match frame {
                    Ok(frame) => Some(Shown::Frame(frame)),
                    Err(broadcast::error::RecvError::Lagged(lost)) => Some(Shown::Lost(lost)),
                    Err(broadcast::error::RecvError::Closed) => None,
                },
                changed = self.line.changed() => if changed.is_err() {
                    return None;
                }
            }
        }
    }
}
