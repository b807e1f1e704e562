//! What arrived, held against what the meters said and what the daemon had flushed.
//!
//! It reads the records with a parser of its own, so that numbers are compared digit by digit, and knows of the daemon
//! only the contract of the topics.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::consumed::Consumed;
use super::fleet::Fleet;
use super::mock::MockBroker;

/// The gateway's id in every story.
pub(crate) const GATEWAY: &str = "gw-story";
/// A commit has no more records (`docs/ARCHITECTURE.md`).
const COMMIT_RECORDS_MAX: usize = 100;

/// What of a reading the ledger looks at.
#[derive(Debug, Deserialize)]
struct Reading<'a> {
    id: String,
    gateway: String,
    meter: String,
    read_at: jiff::Timestamp,
    scheduled_at: Option<jiff::Timestamp>,
    #[serde(borrow)]
    values: Vec<Value<'a>>,
}

#[derive(Debug, Deserialize)]
struct Value<'a> {
    quantity: String,
    function: String,
    storage: u64,
    tariff: u64,
    subunit: u64,
    unit: Option<String>,
    #[serde(borrow)]
    value: Option<&'a RawValue>,
}

/// One reading that arrived, once however often it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Arrived {
    pub(crate) id: String,
    pub(crate) meter: String,
    /// Its register, digit by digit.
    pub(crate) volume: String,
    pub(crate) read_at: jiff::Timestamp,
    pub(crate) scheduled_at: Option<jiff::Timestamp>,
}

/// Sorts out repeats, and panics when what the contract promises of every record does not hold: key, headers, id, the
/// same content under the same id, and one partition for a key.
#[track_caller]
fn once_each<'c>(
    read: &'c [Consumed],
    schema: &str,
    key_of: impl Fn(&str) -> String,
) -> Vec<(String, &'c Consumed)> {
    let mut first = BTreeMap::<String, &Consumed>::new();
    let mut partitions = BTreeMap::<&[u8], i32>::new();
    let mut order = Vec::new();
    for record in read {
        let text = |name| record.header(name).map(|value| String::from_utf8_lossy(value).into_owned());
        let id = text("weir-id").unwrap_or_else(|| panic!("no weir-id: {record:?}"));
        assert_eq!(text("weir-schema").as_deref(), Some(schema), "{id}");
        assert_eq!(record.headers.len(), 2, "{id}: {:?}", record.headers);
        let key = record.key.as_deref().unwrap_or_else(|| panic!("{id} has no key"));
        assert_eq!(String::from_utf8_lossy(key), key_of(record.text()), "{id}");
        assert_eq!(*partitions.entry(key).or_insert(record.partition), record.partition, "{id}");
        match first.get(&id) {
            Some(before) => {
                assert_eq!(before.payload, record.payload, "{id} came twice and differs");
                assert_eq!(before.key, record.key, "{id} came twice and differs");
            }
            None => {
                first.insert(id.clone(), record);
                order.push((id, record));
            }
        }
    }
    order
}

/// The readings and the events that the broker has.
#[track_caller]
pub(crate) fn at_the_broker(broker: &MockBroker, fleet: &Fleet) -> (Vec<Arrived>, Vec<serde_json::Value>) {
    (readings(&broker.read_all("weir.readings"), fleet), events(&broker.read_all("weir.events")))
}

/// Every reading of the topic once, in the order of its first arrival by partition.
///
/// Panics unless each is one that its meter said, to the last digit, no two readings are of the same answer, and by
/// their times each meter's readings are in the order in which it said them.
#[track_caller]
pub(crate) fn readings(read: &[Consumed], fleet: &Fleet) -> Vec<Arrived> {
    let meter_of = |text: &str| serde_json::from_str::<Reading<'_>>(text).unwrap().meter;
    let arrived: Vec<Arrived> =
        once_each(read, "reading/1", meter_of).into_iter().map(|(id, record)| arrived(id, record)).collect();
    for (meter, mut of_meter) in by_meter(&arrived) {
        // As a consumer has to: after a failure a younger record may have come before an older one.
        of_meter.sort_by_key(|it| it.read_at);
        assert_in_order(meter, &of_meter, fleet);
    }
    arrived
}

/// Panics unless each meter's readings arrived in the order in which the meter said them. So it has to be as long as
/// the broker fails nothing.
#[track_caller]
pub(crate) fn assert_arrived_in_order(arrived: &[Arrived], fleet: &Fleet) {
    for (meter, of_meter) in by_meter(arrived) {
        assert_in_order(meter, &of_meter, fleet);
    }
}

#[track_caller]
fn assert_in_order(meter: &str, readings: &[&Arrived], fleet: &Fleet) {
    let said = fleet.volumes_of(meter);
    let place = |it: &&Arrived| {
        let place = said.iter().position(|volume| *volume == it.volume);
        place.unwrap_or_else(|| panic!("{meter} never said {}: {it:?}", it.volume))
    };
    let places: Vec<usize> = readings.iter().map(place).collect();
    let is_ordered = places.is_sorted_by(|a, b| a < b);
    assert!(is_ordered, "{meter}: an answer makes one reading, in its order: {places:?}, {readings:?}");
}

fn by_meter(arrived: &[Arrived]) -> BTreeMap<&str, Vec<&Arrived>> {
    let mut by_meter = BTreeMap::<&str, Vec<&Arrived>>::new();
    for it in arrived {
        by_meter.entry(&it.meter).or_default().push(it);
    }
    by_meter
}

#[track_caller]
fn arrived(id: String, record: &Consumed) -> Arrived {
    let text = record.text();
    let reading: Reading<'_> = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert_eq!(reading.id, id);
    assert_eq!(reading.gateway, GATEWAY);
    let is_register = |value: &&Value<'_>| {
        matches!(value.quantity.as_str(), "volume" | "forward-energy")
            && value.function == "instantaneous"
            && (value.storage, value.tariff, value.subunit) == (0, 0, 0)
    };
    let registers: Vec<&Value<'_>> = reading.values.iter().filter(is_register).collect();
    let [register] = registers[..] else { panic!("one register? {text}") };
    let unit = if register.quantity == "volume" { "m3" } else { "kWh" };
    assert_eq!(register.unit.as_deref(), Some(unit), "{text}");
    let volume = register.value.unwrap_or_else(|| panic!("no number: {text}")).get().to_owned();
    Arrived { id, meter: reading.meter, volume, read_at: reading.read_at, scheduled_at: reading.scheduled_at }
}

/// Every event of the topic once, in order.
#[track_caller]
pub(crate) fn events(read: &[Consumed]) -> Vec<serde_json::Value> {
    let events = once_each(read, "event/1", |_| GATEWAY.to_owned()).into_iter();
    events
        .map(|(id, record)| {
            let event = record.json();
            assert_eq!((event["id"].as_str(), event["gateway"].as_str()), (Some(id.as_str()), Some(GATEWAY)));
            event
        })
        .collect()
}

/// The events of one kind.
pub(crate) fn of_kind<'e>(events: &'e [serde_json::Value], kind: &str) -> Vec<&'e serde_json::Value> {
    events.iter().filter(|event| event["event"] == kind).collect()
}

/// Panics unless everything that arrived had been told of as flushed, but for the last commit of a life that ended
/// between the flush and the line that tells of it.
#[track_caller]
pub(crate) fn assert_nothing_untold(
    told: &BTreeSet<String>,
    readings: &[Arrived],
    events: &[serde_json::Value],
) {
    let mut last_told = BTreeMap::<&str, u64>::new();
    for (life, sequence) in told.iter().map(|id| sequence_of(id)) {
        let last = last_told.entry(life).or_default();
        *last = sequence.max(*last);
    }
    let ids = readings.iter().map(|it| it.id.as_str());
    let ids = ids.chain(events.iter().map(|event| event["id"].as_str().unwrap()));
    let mut untold = BTreeMap::<&str, usize>::new();
    for id in ids.filter(|id| !told.contains(*id)) {
        let (life, sequence) = sequence_of(id);
        assert!(last_told.get(life).is_none_or(|last| sequence > *last), "{id} came without a word");
        *untold.entry(life).or_default() += 1;
    }
    let most = untold.iter().max_by_key(|(_, count)| **count);
    assert!(
        most.is_none_or(|(_, count)| *count <= COMMIT_RECORDS_MAX),
        "more than a commit, untold: {most:?}"
    );
}

/// An id's gateway, generation and lane, and its sequence.
#[track_caller]
pub(crate) fn sequence_of(id: &str) -> (&str, u64) {
    let digits = id.rfind(|character: char| !character.is_ascii_digit()).expect("a lane") + 1;
    (&id[..digits], id[digits..].parse().unwrap())
}

/// Panics when a gap was reported. A cut in the middle of a commit may leave any of its records; nobody had been told of
/// those, so none of them is a loss.
#[track_caller]
pub(crate) fn assert_no_gap(events: &[serde_json::Value]) {
    let gaps = of_kind(events, "gap");
    assert!(gaps.is_empty(), "reported as lost: {gaps:#?}");
}

/// Panics, naming them, when ids that the daemon had flushed are not among those that arrived.
#[track_caller]
pub(crate) fn assert_all_there(told: &BTreeSet<String>, readings: &[Arrived], events: &[serde_json::Value]) {
    let missing = missing(told, readings, events);
    assert!(
        missing.is_empty(),
        "{} of {} flushed records never arrived: {missing:?}",
        missing.len(),
        told.len()
    );
}

/// The ids that the daemon had flushed and that have not arrived.
pub(crate) fn missing<'t>(
    told: &'t BTreeSet<String>,
    readings: &[Arrived],
    events: &[serde_json::Value],
) -> Vec<&'t str> {
    let arrived: BTreeSet<&str> = readings
        .iter()
        .map(|it| it.id.as_str())
        .chain(events.iter().map(|event| event["id"].as_str().unwrap()))
        .collect();
    told.iter().map(String::as_str).filter(|id| !arrived.contains(id)).collect()
}
