//! The closing figures: what was polled, kept, delivered and left, after the daemon has stopped.

use serde::Serialize;

/// What became of everything that was polled.
///
/// Once the daemon has stopped, `answered` = `stored` = `acknowledged` + `waiting`: no reading is anywhere else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Figures {
    /// Polls made.
    pub(super) polled: u64,
    /// Polls that gave a reading.
    pub(super) answered: u64,
    /// Readings that the outbox has made durable.
    pub(super) stored: u64,
    /// Readings that the broker has acknowledged, which let them leave the outbox.
    pub(super) acknowledged: u64,
    /// Readings that wait in the outbox, as the next start would find them.
    pub(super) waiting: u64,
    /// Readings that an independent consumer found at the broker, each counted once.
    pub(super) arrived: u64,
    /// Readings that it found there again.
    pub(super) repeats: u64,
}

impl Figures {
    /// For a person.
    pub(super) fn table(&self) -> String {
        let Self { polled, answered, stored, acknowledged, waiting, arrived, repeats } = self;
        format!(
            "polled        {polled:>8}  polls, {answered} of them answered\n\
             stored        {stored:>8}  readings made durable in the outbox\n\
             acknowledged  {acknowledged:>8}  by the broker, and so released\n\
             waiting       {waiting:>8}  in the outbox; the next start would send them\n\
             arrived       {arrived:>8}  as an independent consumer counts, {repeats} came twice\n"
        )
    }

    /// For a program: one line.
    pub(super) fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_find_the_figures_under_their_names() {
        let figures =
            Figures { polled: 9, answered: 8, stored: 8, acknowledged: 5, waiting: 3, ..Default::default() };
        let expected =
            r#"{"polled":9,"answered":8,"stored":8,"acknowledged":5,"waiting":3,"arrived":0,"repeats":0}"#;
        assert_eq!(figures.json().unwrap(), expected);
    }
}
