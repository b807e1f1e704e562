//! What a topic holds, read by clients that nobody here wrote.
//!
//! [`Kafka::read_all`] asks Kafka's own console consumer, which shares no line with librdkafka or with Weir: it is
//! the judge of what arrived. [`read_all_quickly`] uses librdkafka's consumer and costs no JVM: for the many
//! looks while something is still under way. Both start at the beginning, commit nothing, and end at the end.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::{Offset, Timestamp, TopicPartitionList};

use super::deadline::Deadline;
use super::kafka::{Kafka, run};

const READ_TIME: Duration = Duration::from_secs(60);

/// One record as it lies in a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Consumed {
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) payload: Option<Vec<u8>>,
    /// In the order in which the producer put them.
    pub(crate) headers: Vec<(String, Option<Vec<u8>>)>,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    /// Milliseconds since 1970, and whether the producer or the broker said so.
    pub(crate) timestamp: Timestamp,
}

impl Consumed {
    /// The first header of this name that has a value.
    pub(crate) fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers.iter().find(|(key, _)| key == name).and_then(|(_, value)| value.as_deref())
    }

    /// The payload as text. Panics when it is missing or not UTF-8.
    #[track_caller]
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(self.payload.as_deref().expect("a payload")).expect("UTF-8")
    }

    /// The payload as JSON. Panics when it is not.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(self.text()).expect("JSON")
    }
}

impl Kafka {
    /// Every record of the topic by Kafka's console consumer, ordered by partition and offset. Takes about 2 s.
    ///
    /// Keys, values and headers may be any bytes but [`RECORD_END`] and the two separators, which JSON text never
    /// holds; a transaction's markers or a compacted topic would make offsets sparse and are refused.
    #[track_caller]
    pub(crate) fn read_all(&self, topic: &str) -> Vec<Consumed> {
        let ends = self.offsets(topic, "latest");
        let beginnings = self.offsets(topic, "earliest");
        let expected: i64 = ends.values().sum::<i64>() - beginnings.values().sum::<i64>();
        if expected == 0 {
            return Vec::new();
        }
        let mut command = self.tools().command("org.apache.kafka.tools.consumer.ConsoleConsumer");
        command.args(["--bootstrap-server", &self.bootstrap(), "--topic", topic, "--from-beginning"]);
        command.args(["--max-messages", &expected.to_string()]);
        command.args(["--timeout-ms", &READ_TIME.as_millis().to_string()]);
        for part in ["timestamp", "partition", "offset", "headers", "key"] {
            command.args(["--property", &format!("print.{part}=true")]);
        }
        command.arg("--property").arg(format!("key.separator={}", char::from(FIELD_END)));
        command.arg("--property").arg(format!("headers.separator={}", char::from(HEADER_END)));
        command.arg("--property").arg(format!("line.separator={}", char::from(RECORD_END)));
        command.arg("--property").arg(format!("null.literal={}", char::from(NULL)));
        let printed = run("kafka-console-consumer", &mut command);

        let printed = printed.strip_suffix(&[RECORD_END]).expect("the last record is whole");
        let mut all: Vec<Consumed> = printed.split(|byte| *byte == RECORD_END).map(parse_record).collect();
        all.sort_by_key(|record| (record.partition, record.offset));
        let is_dense = all.chunk_by(|a, b| a.partition == b.partition).all(|of_one| {
            let first = beginnings.get(&of_one[0].partition).copied();
            let offsets = of_one.iter().map(|record| Some(record.offset));
            first.is_some() && offsets.eq((first.unwrap_or(0)..).take(of_one.len()).map(Some))
        });
        assert!(is_dense, "{topic} has gaps in its offsets");
        assert_eq!(i64::try_from(all.len()), Ok(expected), "{topic} was not read whole");
        all
    }

    /// Every record of the topic by librdkafka's consumer, ordered by partition and offset.
    #[track_caller]
    pub(crate) fn read_all_quickly(&self, topic: &str) -> Vec<Consumed> {
        read_all_quickly(self.client_config(), topic)
    }

    /// The `earliest` or `latest` offset of each partition, by Kafka's own tool.
    #[track_caller]
    fn offsets(&self, topic: &str, which: &str) -> BTreeMap<i32, i64> {
        let mut command = self.tools().command("org.apache.kafka.tools.GetOffsetShell");
        command.args(["--bootstrap-server", &self.bootstrap(), "--topic", topic, "--time", which]);
        let printed = String::from_utf8(run("kafka-get-offsets", &mut command)).unwrap();
        let parse = |line: &str| -> Option<(i32, i64)> {
            // topic:partition:offset
            let (rest, offset) = line.rsplit_once(':')?;
            let (_, partition) = rest.rsplit_once(':')?;
            Some((partition.parse().ok()?, offset.parse().ok()?))
        };
        printed.lines().map(|line| parse(line).unwrap_or_else(|| panic!("an offset? {line:?}"))).collect()
    }
}

/// Every record of a topic by librdkafka's consumer, ordered by partition and offset. `config` names the broker.
#[track_caller]
pub(crate) fn read_all_quickly(mut config: ClientConfig, topic: &str) -> Vec<Consumed> {
    let consumer: BaseConsumer = config
        .set("group.id", "weir-stories")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("fetch.wait.max.ms", "10")
        .create()
        .unwrap();
    let metadata = consumer.fetch_metadata(Some(topic), READ_TIME).unwrap();
    let mut open: Vec<i32> = metadata.topics()[0].partitions().iter().map(|it| it.id()).collect();
    assert!(!open.is_empty(), "the broker does not know {topic}");
    let mut list = TopicPartitionList::new();
    for partition in &open {
        list.add_partition_offset(topic, *partition, Offset::Beginning).unwrap();
    }
    consumer.assign(&list).unwrap();

    let deadline = Deadline::within(READ_TIME);
    let mut all = Vec::new();
    while !open.is_empty() {
        match consumer.poll(deadline.left()) {
            Some(Ok(message)) => all.push(copy_message(&message)),
            Some(Err(KafkaError::PartitionEOF(partition))) => open.retain(|it| *it != partition),
            Some(Err(error)) => panic!("reading {topic} failed: {error}"),
            None => panic!("{topic} was not read to its end within {READ_TIME:?}"),
        }
    }
    all.sort_by_key(|record| (record.partition, record.offset));
    all
}

/// ASCII's own separators, which JSON text escapes and no id contains.
const NULL: u8 = 0x1c;
const HEADER_END: u8 = 0x1d;
const RECORD_END: u8 = 0x1e;
const FIELD_END: u8 = 0x1f;

/// Takes apart what the console consumer prints: time, partition, offset, headers, key, value.
#[track_caller]
fn parse_record(printed: &[u8]) -> Consumed {
    let whole = || String::from_utf8_lossy(printed).into_owned();
    let fields: Vec<&[u8]> = printed.splitn(6, |byte| *byte == FIELD_END).collect();
    let [time, partition, offset, headers, key, value] = fields[..] else {
        panic!("a record? {:?}", whole())
    };
    let number = |field: &[u8], name: &str| -> i64 {
        let text = std::str::from_utf8(field).ok().and_then(|text| text.strip_prefix(name));
        text.and_then(|digits| digits.parse().ok()).unwrap_or_else(|| panic!("{name}? {:?}", whole()))
    };
    let timestamp = match time {
        b"NO_TIMESTAMP" => Timestamp::NotAvailable,
        it if it.starts_with(b"LogAppendTime:") => Timestamp::LogAppendTime(number(it, "LogAppendTime:")),
        it => Timestamp::CreateTime(number(it, "CreateTime:")),
    };
    let headers = match headers {
        b"NO_HEADERS" => Vec::new(),
        some => some.split(|byte| *byte == HEADER_END).map(parse_header).collect(),
    };
    Consumed {
        key: not_null(key),
        payload: not_null(value),
        headers,
        partition: i32::try_from(number(partition, "Partition:")).unwrap(),
        offset: number(offset, "Offset:"),
        timestamp,
    }
}

fn parse_header(printed: &[u8]) -> (String, Option<Vec<u8>>) {
    let colon = printed.iter().position(|byte| *byte == b':').expect("a header is key:value");
    let (key, value) = printed.split_at(colon);
    (String::from_utf8(key.to_vec()).unwrap(), not_null(&value[1..]))
}

fn not_null(field: &[u8]) -> Option<Vec<u8>> {
    (field != [NULL]).then(|| field.to_vec())
}

fn copy_message(message: &BorrowedMessage<'_>) -> Consumed {
    let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
    Consumed {
        key: message.key().map(<[u8]>::to_vec),
        payload: message.payload().map(<[u8]>::to_vec),
        headers: headers.map(|it| (it.key.to_owned(), it.value.map(<[u8]>::to_vec))).collect(),
        partition: message.partition(),
        offset: message.offset(),
        timestamp: message.timestamp(),
    }
}
