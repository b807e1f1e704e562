//! How a meter is reached: the link begun anew or the meter selected, and the frame count bit.
//!
//! ```text
//! primary      first contact, or          REQ_UD2, FCB as it stands
//!              after any fault            ┌─────────────────────────┐
//!   unsure ── SND_NKE → E5 ──► in step ─┴─► good answer: FCB toggles ──► in step
//!     ▲                           │
//!     └────────── any fault ──────┘
//!
//! secondary    SND_NKE 253 ──► SELECT → E5 ──► REQ_UD2 253, FCB 1 ──► SND_NKE 253 → E5
//!              unsure alone                                            not of a meter that leaves it unanswered
//! ```
//!
//! **Why the frame count bit matters.** A meter that sees the same FCB twice takes the second request for a repeat and may
//! send its last telegram again. That is wanted inside an exchange (the line repeats the same bytes) and wrong across
//! polls: after a fault or a restart nobody knows which FCB the meter saw last, and the "repeat" could be a reading of
//! hours ago that looks fresh. SND_NKE makes the meter forget the bit (EN 13757-2), so the next request is new to it
//! whatever its FCB. It costs one short exchange, and only then: on the healthy path a poll is one exchange.
//!
//! **Several secondary meters on a line** share the address byte 253. A selection makes the meter that it fits forget its
//! bit and all others forget that they were selected (EN 13757-3), so each read selects anew and begins with FCB 1. Afterwards
//! the meter is let go, so that a broken selection of the next one cannot find two. A meter still selected from before
//! lets itself be told (SND_NKE to 253) after any fault; nobody answers where nobody was.
//!
//! **Late answers.** RSP_UD names its meter but not its request, and E5 names nobody. A late one of another meter is foreign,
//! or behind a selection is found out by the identity in its header. (A late E5 taken for another meter's only means that its
//! REQ_UD2 follows early.) One of the same meter, taken for the answer to a repeat, would leave the answer to the repeat itself to be
//! taken for the next telegram, and so on: each telegram one too late. So a meter that was silent is left alone for its late
//! window, while others are asked, and what comes in it is thrown away. Then SND_NKE comes first, during which a long
//! frame is foreign. An answer that is later than all this, and meets a REQ_UD2, is an older reading of the same meter.

use weir_meter::{Ask, Fault, Line};

use crate::Address;
use crate::address::SELECTED;
use crate::frame;
use crate::secondary::Secondary;

/// One meter's link.
#[derive(Debug)]
pub(crate) struct Link {
    address: Address,
    /// The FCB of the next REQ_UD2; `None` while it is not known what the meter expects. A selected meter expects 1.
    frame_count: Option<bool>,
    /// Whether the meter answers when it is let go.
    answers_farewell: bool,
}

impl Link {
    /// The link to a meter that has not been spoken to yet.
    pub(crate) fn new(address: Address) -> Self {
        Self { address, frame_count: None, answers_farewell: true }
    }

    /// What the meter expects counts as unknown: the next exchange begins anew.
    pub(crate) fn forget(&mut self) {
        self.frame_count = None;
    }

    /// Gets the meter to listen, and gives the frame count bit with which it is asked.
    ///
    /// Until [`Link::close`] says that all went well, the meter's state counts as unknown.
    pub(crate) async fn open(&mut self, line: &mut dyn Line) -> Result<bool, Fault> {
        let known = self.frame_count.take();
        let Some(secondary) = self.address.as_secondary() else {
            if let Some(frame_count) = known {
                return Ok(frame_count);
            }
            self.acknowledged(line, &frame::short(frame::SND_NKE, self.address.byte())).await?;
            // The first frame count bit after it is 1 (EN 13757-2).
            return Ok(true);
        };
        if known.is_none() {
            deselect(line).await?;
        }
        self.acknowledged(line, &selection(secondary)).await?;
        Ok(true)
    }

    /// All went well; with `next` the meter is asked the next time. `None`: it has to begin anew.
    pub(crate) async fn close(&mut self, line: &mut dyn Line, next: Option<bool>) {
        if self.address.as_secondary().is_none() {
            self.frame_count = next;
            return;
        }
        // The reading is made. If the farewell fails, the next read begins with one that nobody has to answer.
        self.frame_count = Some(true);
        if self.answers_farewell {
            match self.acknowledged(line, &frame::short(frame::SND_NKE, SELECTED)).await {
                Ok(()) => {}
                // The next selection lets it go as well, and a window of waiting a read is too much for good manners.
                Err(Fault::Silent { .. }) => self.answers_farewell = false,
                Err(_) => self.frame_count = None,
            }
        }
    }

    /// Asks for class 2 data, the readings.
    pub(crate) async fn request(&self, line: &mut dyn Line, frame_count: bool) -> Result<Vec<u8>, Fault> {
        let request = frame::short(with_bit(frame::REQ_UD2, frame_count), self.address.byte());
        let address = self.address;
        let stranger = move |frame: &frame::Frame<'_>| address.stranger(frame);
        let recognise = move |bytes: &[u8]| frame::recognise_response_of(bytes, &stranger);
        line.exchange(Ask { request: &request, recognise: &recognise }).await
    }

    /// Sends what is only acknowledged.
    pub(crate) async fn acknowledged(&self, line: &mut dyn Line, request: &[u8]) -> Result<(), Fault> {
        line.exchange(Ask { request, recognise: &frame::recognise_acknowledge }).await.map(drop)
    }
}

/// A C field with its frame count bit.
pub(crate) fn with_bit(control: u8, frame_count: bool) -> u8 {
    control | if frame_count { frame::FRAME_COUNT_BIT } else { 0 }
}

/// The request that selects every meter which fits.
pub(crate) fn selection(address: &Secondary) -> Vec<u8> {
    // Eight bytes of data fit any frame.
    frame::long(frame::SND_UD, SELECTED, frame::SELECT, &address.wire()).unwrap_or_default()
}

/// Lets go whichever meters are selected. Those answer, others do not, and what they say is of no matter.
pub(crate) async fn deselect(line: &mut dyn Line) -> Result<(), Fault> {
    match line.hear(&frame::short(frame::SND_NKE, SELECTED)).await {
        Err(fault @ Fault::LineDown { .. }) => Err(fault),
        _ => Ok(()),
    }
}
