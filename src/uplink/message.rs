//! What goes to the broker: a stored record as JSON, with its id, its key and the topic it belongs to.

use weir_wire::stored::{DecodeError, Record};

use crate::outbox::Stored;

/// The topic a message belongs to; what it is called at the broker is a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// Readings, keyed by meter.
    Readings,
    /// Events, keyed by gateway.
    Events,
}

/// A message for the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Where it belongs.
    pub topic: Topic,
    /// What keeps an order among itself: the meter's id for a reading, the gateway's for an event.
    pub key: String,
    /// The record's id, for the header `weir-id`.
    pub id: String,
    /// The header `weir-schema`.
    pub schema: &'static str,
    /// JSON.
    pub payload: Vec<u8>,
}

impl Message {
    /// The message for a stored record: always the same for the same record.
    pub(super) fn from_stored(stored: &Stored, gateway: &str) -> Result<Self, DecodeError> {
        let record = Record::decode(&stored.bytes)?;
        let id = stored.name.id(gateway);
        let payload = record.to_json(&id, gateway);
        let schema = record.schema();
        let (topic, key) = match record {
            Record::Reading(reading) => (Topic::Readings, reading.meter),
            Record::Event(_) => (Topic::Events, gateway.to_owned()),
        };
        Ok(Self { topic, key, id, schema, payload })
    }
}
