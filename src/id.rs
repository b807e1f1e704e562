//! Names that are unique for ever: gateway, generation, lane, sequence, and the id made of them.

use std::fmt;

/// A queue of its own in the outbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Lane {
    /// What must overtake readings and outlive them: events and the outcomes of commands.
    Urgent,
    /// Readings.
    Readings,
}

impl Lane {
    /// Both lanes.
    pub const ALL: [Self; 2] = [Self::Urgent, Self::Readings];

    /// The letter in a record's id.
    pub fn letter(self) -> char {
        match self {
            Self::Urgent => 'u',
            Self::Readings => 'r',
        }
    }

    /// The lane's name in the outbox's directory and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Urgent => "urgent",
            Self::Readings => "readings",
        }
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A start of the daemon. Random, because after damage a sequence may be given again, and an id never may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Generation(pub u32);

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

/// A record's name within its gateway; with the gateway's id in front it is unique for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RecordName {
    /// The start of the daemon under which it was stored.
    pub generation: Generation,
    /// Its lane.
    pub lane: Lane,
    /// Its place in the lane, 1 and up.
    pub sequence: u64,
}

impl RecordName {
    /// `<gateway>:<generation>:<lane><sequence>`: the id of a reading or an event. An outcome has one of its own; see
    /// [`Record::id`](weir_wire::stored::Record::id).
    pub fn id(&self, gateway: &str) -> String {
        format!("{gateway}:{self}")
    }
}

impl fmt::Display for RecordName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}{}", self.generation, self.lane.letter(), self.sequence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_written_as_the_contract_says() {
        let name = RecordName { generation: Generation(0x7f3a_9c01), lane: Lane::Readings, sequence: 18273 };
        assert_eq!(name.id("gw-0421"), "gw-0421:7f3a9c01:r18273");
    }
}
