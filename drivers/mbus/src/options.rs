//! What a meter's driver is told besides its address.

use std::sync::Arc;

use crate::header::MeterId;
use crate::{Key, ValveMap};

/// How one meter's telegrams are to be read. The default is right for most meters.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The key of a meter that encrypts its records.
    pub key: Option<Key>,
    /// Who the meter is, for one whose telegrams do not say it (short header, CI 7A) and whose decryption needs it.
    pub meter: Option<MeterId>,
    /// In which order the meter sends the characters of a plain-text VIF.
    pub vif_text: VifText,
    /// How its valve is moved, and what tells where it stands.
    pub valve: Option<Arc<ValveMap>>,
}

/// In which order a meter sends the characters of a plain-text VIF (7C, FC).
///
/// EN 13757-3 sends texts last character first, and most meters do. Some send a unit's name as it is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VifText {
    /// Guessed from the text; where it tells nothing, as the standard says.
    #[default]
    Auto,
    /// Last character first, as the standard says.
    Reversed,
    /// First character first.
    AsSent,
}

impl VifText {
    /// How each is written in configurations and profiles.
    pub const WORDS: [(&str, Self); 3] =
        [("auto", Self::Auto), ("reversed", Self::Reversed), ("as-sent", Self::AsSent)];
}
