//! The four ways in which a poll fails. They are never merged: each points at something else to repair.

/// Why a poll gave no reading.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Not one byte came within the answer window: dead meter, wrong address, cut wire.
    #[error("silent: no answer within {window_ms} ms")]
    Silent {
        /// The window that passed, in milliseconds.
        window_ms: u64,
    },
    /// Bytes came, but no valid answer of this meter: noise, collision, wrong speed or parity, another meter's answer.
    #[error("garbled: {why}")]
    Garbled {
        /// What was wrong with them.
        why: String,
    },
    /// The meter answered well and said no: exception, error flag, busy, or an answer that this driver cannot use.
    #[error("refused: {why}")]
    Refused {
        /// What the meter said.
        why: String,
    },
    /// The port is gone or would not open; no meter is to blame.
    #[error("line down: {why}")]
    LineDown {
        /// The operating system's reason.
        why: String,
    },
}

impl Fault {
    /// [`Fault::Garbled`] with this reason.
    pub fn garbled(why: impl Into<String>) -> Self {
        Self::Garbled { why: why.into() }
    }

    /// [`Fault::Refused`] with this reason.
    pub fn refused(why: impl Into<String>) -> Self {
        Self::Refused { why: why.into() }
    }

    /// The fault's name in reports and counters: `silent`, `garbled`, `refused`, `line-down`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Silent { .. } => "silent",
            Self::Garbled { .. } => "garbled",
            Self::Refused { .. } => "refused",
            Self::LineDown { .. } => "line-down",
        }
    }
}
