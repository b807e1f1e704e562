//! What goes to the broker: a stored record as JSON, with its id, its key and the topic it belongs to.

use serde::Serialize;
use weir_wire::stored::{DecodeError, Record};

use super::hold::{self, Hold};
use crate::boots::Boots;
use crate::outbox::Stored;

/// Room for a water meter's reading of a handful of values, so that its JSON is written without growing.
const USUAL_JSON_BYTES: usize = 1024;

/// The topic a message belongs to; what it is called at the broker is a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// Readings, keyed by meter.
    Readings,
    /// Events, keyed by gateway.
    Events,
    /// Outcomes of commands, keyed by meter.
    Outcomes,
}

/// A message for the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Where it belongs.
    pub topic: Topic,
    /// What keeps an order among itself: the meter's id for a reading or an outcome, the gateway's for an event.
    pub key: String,
    /// The record's id, for the header `weir-id`.
    pub id: String,
    /// The header `weir-schema`.
    pub schema: &'static str,
    /// JSON.
    pub payload: Vec<u8>,
}

/// Why a stored record cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum Unsendable {
    /// Its bytes are no record, or one of a newer program.
    #[error(transparent)]
    Stored(#[from] DecodeError),
    /// It has no JSON.
    #[error("no JSON for the record: {0}")]
    Json(#[from] serde_json::Error),
}

impl Message {
    /// The message for a stored record as it would be sent now. A reading that would still wait for its time has the one
    /// that the gateway believed.
    ///
    /// # Errors
    /// When the stored bytes are no record that this program knows.
    pub fn from_stored(stored: &Stored, gateway: &str, boots: &Boots) -> Result<Self, Unsendable> {
        let record = match Record::decode(&stored.bytes)? {
            Record::Reading(reading) => Record::Reading(hold::as_settled(boots, reading)),
            other @ (Record::Event(_) | Record::Outcome(_)) => other,
        };
        Self::of(record, stored, gateway)
    }

    /// The message to be sent for a stored record: always the same for the same record. `None` while it has to wait.
    pub(super) fn settled(
        stored: &Stored,
        gateway: &str,
        hold: &mut Hold,
    ) -> Result<Option<Self>, Unsendable> {
        let settled = match Record::decode(&stored.bytes)? {
            Record::Reading(reading) => hold.settle(reading).map(Record::Reading),
            other @ (Record::Event(_) | Record::Outcome(_)) => Some(other),
        };
        settled.map(|record| Self::of(record, stored, gateway)).transpose()
    }

    /// The message for a stored record that nothing has to be settled for; made ahead of time, on any thread.
    pub(super) fn ahead(stored: &Stored, gateway: &str) -> Option<Self> {
        match Record::decode(&stored.bytes) {
            Ok(Record::Reading(reading)) if hold::must_settle(&reading) => None,
            Ok(record) => Self::of(record, stored, gateway).ok(),
            // Told of where its turn comes.
            Err(_) => None,
        }
    }

    fn of(record: Record, stored: &Stored, gateway: &str) -> Result<Self, Unsendable> {
        let id = record.id(stored.name.id(gateway), gateway);
        let schema = record.schema();
        // The record is taken apart and not copied: this is the drain's hottest path.
        let (topic, key, payload) = match record {
            Record::Reading(reading) => {
                let mut payload = Vec::with_capacity(USUAL_JSON_BYTES);
                reading.write_json(&id, gateway, &mut payload);
                (Topic::Readings, reading.meter, payload)
            }
            Record::Event(event) => (Topic::Events, gateway.to_owned(), json(&event.named(&id, gateway))?),
            Record::Outcome(outcome) => {
                (Topic::Outcomes, outcome.meter.clone(), json(&outcome.named(gateway))?)
            }
        };
        Ok(Self { topic, key, id, schema, payload })
    }
}

fn json(record: &impl Serialize) -> Result<Vec<u8>, serde_json::Error> {
    let mut json = Vec::with_capacity(USUAL_JSON_BYTES);
    serde_json::to_writer(&mut json, record)?;
    Ok(json)
}

#[cfg(test)]
mod tests {
    use super::super::doubles::{event, hold, outcome, reading};
    use super::*;

    #[test]
    fn the_json_is_the_one_that_the_contract_crate_makes() {
        for stored in [event(3), reading(4, "A-1", 300), outcome(5, "A-1")] {
            let record = Record::decode(&stored.bytes).unwrap();
            let message = Message::settled(&stored, "gw", &mut hold()).unwrap().unwrap();
            let name = stored.name.id("gw");
            assert_eq!(message.payload, record.to_json(&name, "gw"));
            assert_eq!((message.schema, &message.id), (record.schema(), &record.id(name, "gw")));
            let json: serde_json::Value = serde_json::from_slice(&message.payload).unwrap();
            assert_eq!(json["id"], message.id, "the header says the same");
            assert_eq!(Message::ahead(&stored, "gw"), Some(message), "made ahead it is the same");
        }
    }

    #[test]
    fn an_outcome_goes_under_its_meter_and_is_called_by_its_command() {
        let message = Message::settled(&outcome(5, "A-1"), "gw", &mut hold()).unwrap().unwrap();
        assert_eq!((message.topic, message.key.as_str()), (Topic::Outcomes, "A-1"));
        assert_eq!((message.id.as_str(), message.schema), ("gw:command-5:accepted", "outcome/1"));
    }

    #[test]
    fn no_bytes_make_a_message_that_is_not_a_record() {
        for bytes in [vec![], vec![200, 1, 2], vec![1], vec![1, 0, 255, 255, 255, 255, 255]] {
            let stored = Stored { bytes: bytes.into(), ..event(1) };
            assert!(matches!(Message::settled(&stored, "gw", &mut hold()), Err(Unsendable::Stored(_))));
        }
    }
}
