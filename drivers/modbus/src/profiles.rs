//! The profiles that come with Weir: one TOML file a model, in `profiles/`, built into the program.

use crate::profile::{Profile, ProfileFault};

/// Names and texts, in alphabetical order.
const SHIPPED: [(&str, &str); 12] = [
    ("abb-aquamaster-3", include_str!("../profiles/abb-aquamaster-3.toml")),
    ("arad-octave", include_str!("../profiles/arad-octave.toml")),
    ("bove-ultrasonic", include_str!("../profiles/bove-ultrasonic.toml")),
    ("diehl-sharky-775", include_str!("../profiles/diehl-sharky-775.toml")),
    ("dynaflox-ultrad", include_str!("../profiles/dynaflox-ultrad.toml")),
    ("generic-20", include_str!("../profiles/generic-20.toml")),
    ("generic-ultrasonic", include_str!("../profiles/generic-ultrasonic.toml")),
    ("kamstrup-hc-003", include_str!("../profiles/kamstrup-hc-003.toml")),
    ("kamstrup-multical", include_str!("../profiles/kamstrup-multical.toml")),
    ("siemens-mag-6000", include_str!("../profiles/siemens-mag-6000.toml")),
    ("tuf-2000m", include_str!("../profiles/tuf-2000m.toml")),
    ("xintai-valve", include_str!("../profiles/xintai-valve.toml")),
];

/// The names of the shipped profiles.
pub fn names() -> impl Iterator<Item = &'static str> {
    SHIPPED.iter().map(|(name, _)| *name)
}

/// The text of a shipped profile, to be looked at or copied and changed.
pub fn text(name: &str) -> Option<&'static str> {
    SHIPPED.iter().find(|(shipped, _)| *shipped == name).map(|(_, text)| *text)
}

/// A shipped profile; `None` if there is none of this name.
///
/// # Errors
/// None in practice: a test loads all of them.
pub fn load(name: &str) -> Option<Result<Profile, Vec<ProfileFault>>> {
    text(name).map(Profile::parse)
}

#[cfg(test)]
mod tests;
