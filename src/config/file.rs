//! The first stage: what was typed, key by key, with its place. Says which keys there are and of what kind their values
//! are, and nothing about what is sensible: that is `check`'s.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use toml::de::DeTable;
use weir_mbus::VifText;
use weir_meter::Parity;
use weir_meter::selection::{Which, functions};
use weir_wire::Function;

use super::reader::{NumberOrText, Pass, Reader};
use super::source::{At, Place};
use crate::outbox::WhenFull;
use crate::uplink::kafka::Compression;

/// All files together.
#[derive(Default)]
pub(super) struct Typed {
    pub(super) gateway: Option<Gateway>,
    pub(super) outbox: Outbox,
    pub(super) uplink: Option<Uplink>,
    pub(super) commands: Option<Commands>,
    pub(super) lines: Vec<Line>,
    pub(super) meters: Vec<Meter>,
    /// A file of lines or meters could not be read, so what is not here may be there.
    pub(super) is_incomplete: bool,
}

/// `[gateway]`
pub(super) struct Gateway {
    pub(super) place: Place,
    pub(super) id: Option<At<String>>,
    pub(super) time_zone: Option<At<String>>,
    pub(super) state_directory: Option<At<String>>,
    pub(super) control_socket: Option<At<String>>,
}

/// `[outbox]`
#[derive(Default)]
pub(super) struct Outbox {
    pub(super) directory: Option<At<String>>,
    pub(super) readings_max: Option<At<u64>>,
    pub(super) urgent_max: Option<At<u64>>,
    pub(super) free_min: Option<At<u64>>,
    pub(super) commit_window: Option<At<Duration>>,
    pub(super) segment: Option<At<u64>>,
    pub(super) when_full: Option<At<WhenFull>>,
}

/// `[uplink]`
pub(super) struct Uplink {
    pub(super) place: Place,
    pub(super) start_spread: Option<At<Duration>>,
    pub(super) stop_wait: Option<At<Duration>>,
    pub(super) unsynced_hold: Option<At<Duration>>,
    pub(super) retry_min: Option<At<Duration>>,
    pub(super) retry_max: Option<At<Duration>>,
    pub(super) kafka: Option<Kafka>,
}

/// `[uplink.kafka]`
pub(super) struct Kafka {
    pub(super) place: Place,
    pub(super) brokers: Option<Vec<At<String>>>,
    pub(super) readings_topic: Option<At<String>>,
    pub(super) events_topic: Option<At<String>>,
    pub(super) outcomes_topic: Option<At<String>>,
    pub(super) compression: Option<At<Compression>>,
    pub(super) message_timeout: Option<At<Duration>>,
    pub(super) linger: Option<At<Duration>>,
    /// Names with their values. No `Debug`: some are secrets.
    pub(super) properties: Vec<(At<String>, String)>,
}

/// `[commands]`
pub(super) struct Commands {
    pub(super) place: Place,
    pub(super) directory: Option<At<String>>,
    pub(super) topic: Option<At<String>>,
    pub(super) lifetime_max: Option<At<Duration>>,
    pub(super) skew: Option<At<Duration>>,
    pub(super) trust_clock: Option<At<bool>>,
    pub(super) closings_per_hour_max: Option<At<i64>>,
    pub(super) closings_per_day_max: Option<At<i64>>,
    pub(super) keys: Vec<CommandKey>,
}

/// `[[commands.keys]]`
pub(super) struct CommandKey {
    pub(super) place: Place,
    pub(super) id: Option<At<String>>,
    pub(super) public: Option<At<String>>,
    pub(super) actions: Option<Vec<At<String>>>,
    pub(super) meters: Option<Vec<At<String>>>,
    pub(super) not_after: Option<At<Timestamp>>,
}

/// `[[lines]]`
pub(super) struct Line {
    pub(super) place: Place,
    pub(super) name: Option<At<String>>,
    pub(super) port: Option<At<String>>,
    pub(super) tcp: Option<At<String>>,
    pub(super) echo: Option<At<bool>>,
    pub(super) repeats: Option<At<i64>>,
    pub(super) adapter_allowance: Option<At<Duration>>,
    pub(super) keep_raw: Option<At<bool>>,
    pub(super) rs485: Option<At<bool>>,
    pub(super) rs485_delay_before_send: Option<At<Duration>>,
    pub(super) rs485_delay_after_send: Option<At<Duration>>,
    pub(super) shared: Shared,
}

/// `[[meters]]`
pub(super) struct Meter {
    pub(super) place: Place,
    pub(super) id: Option<At<String>>,
    pub(super) line: Option<At<String>>,
    pub(super) address: Option<At<NumberOrText>>,
    pub(super) expected_number: Option<At<String>>,
    pub(super) key_file: Option<At<String>>,
    /// Whether its valve is never closed from here.
    pub(super) valve: Option<At<bool>>,
    /// Whether its number is asked before a command.
    pub(super) identity_check: Option<At<bool>>,
    pub(super) shared: Shared,
}

/// What may stand at a meter, or at its line as the default for all of its meters.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) driver: Option<At<Protocol>>,
    pub(super) profile: Option<At<String>>,
    pub(super) framing: Option<At<Framing>>,
    pub(super) every: Option<At<Duration>>,
    pub(super) offset: Option<At<Duration>>,
    pub(super) reads_per_day_max: Option<At<i64>>,
    pub(super) answer_window: Option<At<Duration>>,
    pub(super) late_window: Option<At<Duration>>,
    pub(super) silence: Option<At<Duration>>,
    pub(super) request_delay: Option<At<Duration>>,
    pub(super) register_digits: Option<At<i64>>,
    pub(super) baud: Option<At<i64>>,
    pub(super) parity: Option<At<Parity>>,
    pub(super) stop_bits: Option<At<i64>>,
    pub(super) keep: Option<At<Arc<[Keep]>>>,
    pub(super) vif_text: Option<At<VifText>>,
}

/// An entry of `keep`.
pub(super) struct Keep {
    pub(super) place: Place,
    pub(super) quantity: Option<At<String>>,
    pub(super) function: Option<At<Which<Function>>>,
    pub(super) storage: Option<At<NumberOrText>>,
    pub(super) tariff: Option<At<NumberOrText>>,
    pub(super) subunit: Option<At<NumberOrText>>,
    pub(super) name: Option<At<String>>,
}

/// Which driver speaks to a meter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Protocol {
    Mbus,
    Modbus,
    Cjt188,
    Dlt645,
}

/// How Modbus frames are put on a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    Rtu,
    Tcp,
}

const PROTOCOLS: [(&str, Protocol); 4] = [
    ("mbus", Protocol::Mbus),
    ("modbus", Protocol::Modbus),
    ("cjt188", Protocol::Cjt188),
    ("dlt645", Protocol::Dlt645),
];
const FRAMINGS: [(&str, Framing); 2] = [("rtu", Framing::Rtu), ("tcp", Framing::Tcp)];
const PARITIES: [(&str, Parity); 3] = [("even", Parity::Even), ("none", Parity::None), ("odd", Parity::Odd)];
/// What RTS is while sending: whether it is low.
const DIRECTIONS: [(&str, bool); 2] = [("rts-high", false), ("rts-low", true)];
const POLICIES: [(&str, WhenFull); 3] = [
    ("thin", WhenFull::Thin),
    ("drop-oldest", WhenFull::DropOldest),
    ("stop-polling", WhenFull::StopPolling),
];

/// What is said of a meter's valve: whether it is locked open.
const VALVES: [(&str, bool); 1] = [("locked-open", true)];
const IDENTITY_CHECKS: [(&str, bool); 2] = [("number", true), ("none", false)];

const KEEP_HINT: &str =
    "write keep = [{ quantity = \"volume\" }, { quantity = \"volume\", storage = 1, name = \"due date\" }]";

impl Typed {
    /// Reads the main file and returns what it wants included.
    pub(super) fn read_main(
        &mut self,
        pass: &mut Pass<'_>,
        file: usize,
        document: &DeTable<'_>,
    ) -> Vec<At<String>> {
        pass.table("", document, Place::top_of(file), |top| {
            self.gateway = top.table("gateway", "[gateway]", Gateway::read);
            self.outbox = top.table("outbox", "[outbox]", Outbox::read).unwrap_or_default();
            self.uplink = top.table("uplink", "[uplink]", Uplink::read);
            self.commands = top.table("commands", "[commands]", Commands::read);
            self.read_line_lists(top);
            top.texts("include").unwrap_or_default()
        })
    }

    /// Reads an included file: lines and meters, nothing else.
    pub(super) fn read_included(&mut self, pass: &mut Pass<'_>, file: usize, document: &DeTable<'_>) {
        pass.table("", document, Place::top_of(file), |top| self.read_line_lists(top));
    }

    fn read_line_lists(&mut self, top: &mut Reader<'_, '_, '_>) {
        self.lines.extend(top.tables("lines", "[[lines]]", Line::read));
        self.meters.extend(top.tables("meters", "[[meters]]", Meter::read));
    }
}

impl Gateway {
    fn read(table: &mut Reader<'_, '_, '_>) -> Self {
        Self {
            place: table.place.clone(),
            id: table.text("id"),
            time_zone: table.text("time_zone"),
            state_directory: table.text("state_directory"),
            control_socket: table.text("control_socket"),
        }
    }
}

impl Outbox {
    fn read(table: &mut Reader<'_, '_, '_>) -> Self {
        Self {
            directory: table.text("directory"),
            readings_max: table.size("readings_max"),
            urgent_max: table.size("urgent_max"),
            free_min: table.size("free_min"),
            commit_window: table.duration("commit_window"),
            segment: table.size("segment"),
            when_full: table.choice("when_full", &POLICIES),
        }
    }
}

impl Uplink {
    fn read(table: &mut Reader<'_, '_, '_>) -> Self {
        Self {
            place: table.place.clone(),
            start_spread: table.duration("start_spread"),
            stop_wait: table.duration("stop_wait"),
            unsynced_hold: table.duration("unsynced_hold"),
            retry_min: table.duration("retry_min"),
            retry_max: table.duration("retry_max"),
            kafka: table.table("kafka", "[uplink.kafka]", Kafka::read),
        }
    }
}

impl Kafka {
    fn read(table: &mut Reader<'_, '_, '_>) -> Self {
        Self {
            place: table.place.clone(),
            brokers: table.texts("brokers"),
            readings_topic: table.text("readings_topic"),
            events_topic: table.text("events_topic"),
            outcomes_topic: table.text("outcomes_topic"),
            compression: table.choice("compression", &Compression::ALL.map(|known| (known.name(), known))),
            message_timeout: table.duration("message_timeout"),
            linger: table.duration("linger"),
            properties: table.foreign("properties"),
        }
    }
}

impl Commands {
    fn read(table: &mut Reader<'_, '_, '_>) -> Self {
        Self {
            place: table.place.clone(),
            directory: table.text("directory"),
            topic: table.text("topic"),
            lifetime_max: table.duration("lifetime_max"),
            skew: table.duration("skew"),
            trust_clock: table.flag("trust_clock"),
            closings_per_hour_max: table.integer("closings_per_hour_max"),
            closings_per_day_max: table.integer("closings_per_day_max"),
            keys: table.tables("keys", "[[commands.keys]]", CommandKey::read),
        }
    }
}

impl CommandKey {
    fn read(table: &mut Reader<'_, '_, '_>) -> Self {
        Self {
            place: table.place.clone(),
            id: table.text("id"),
            public: table.text("public"),
            actions: table.texts("actions"),
            meters: table.texts("meters"),
            not_after: table.time("not_after"),
        }
    }
}

impl Line {
    fn read(table: &mut Reader<'_, '_, '_>) -> Self {
        Self {
            place: table.place.clone(),
            name: table.text("name"),
            port: table.text("port"),
            tcp: table.text("tcp"),
            echo: table.flag("echo"),
            repeats: table.integer("repeats"),
            adapter_allowance: table.duration("adapter_allowance"),
            keep_raw: table.flag("keep_raw"),
            rs485: table.choice("rs485", &DIRECTIONS),
            rs485_delay_before_send: table.duration("rs485_delay_before_send"),
            rs485_delay_after_send: table.duration("rs485_delay_after_send"),
            shared: Shared::read(table),
        }
    }
}

impl Meter {
    fn read(table: &mut Reader<'_, '_, '_>) -> Self {
        Self {
            place: table.place.clone(),
            id: table.text("id"),
            line: table.text("line"),
            address: table.number_or_text("address"),
            expected_number: table.text("expected_number"),
            key_file: table.text("key_file"),
            valve: table.choice("valve", &VALVES),
            identity_check: table.choice("identity_check", &IDENTITY_CHECKS),
            shared: Shared::read(table),
        }
    }
}

impl Shared {
    fn read(table: &mut Reader<'_, '_, '_>) -> Self {
        Self {
            driver: table.choice("driver", &PROTOCOLS),
            profile: table.text("profile"),
            framing: table.choice("framing", &FRAMINGS),
            every: table.duration("every"),
            offset: table.duration("offset"),
            reads_per_day_max: table.integer("reads_per_day_max"),
            answer_window: table.duration("answer_window"),
            late_window: table.duration("late_window"),
            silence: table.duration("silence"),
            request_delay: table.duration("request_delay"),
            register_digits: table.integer("register_digits"),
            baud: table.integer("baud"),
            parity: table.choice("parity", &PARITIES),
            stop_bits: table.integer("stop_bits"),
            keep: table.listed("keep", "keep", KEEP_HINT, Keep::read).map(At::into_shared),
            vif_text: table.choice("vif_text", &VifText::WORDS),
        }
    }
}

impl Keep {
    fn read(table: &mut Reader<'_, '_, '_>) -> Self {
        Self {
            place: table.place.clone(),
            quantity: table.text("quantity"),
            function: table.choice("function", &functions()),
            storage: table.number_or_text("storage"),
            tariff: table.number_or_text("tariff"),
            subunit: table.number_or_text("subunit"),
            name: table.text("name"),
        }
    }
}

impl Protocol {
    /// Its name in the file.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Mbus => "mbus",
            Self::Modbus => "modbus",
            Self::Cjt188 => "cjt188",
            Self::Dlt645 => "dlt645",
        }
    }
}
