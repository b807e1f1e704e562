//! Every key reaches the room it is for: each is set to something that is no default.

use std::path::{Path, PathBuf};
use std::time::Duration;

use weir_meter::{Parity, Serial, StopBits};

use super::{good, told};
use crate::config::{Checked, check_text};
use crate::line::{Port, Rs485};
use crate::outbox::WhenFull;
use crate::uplink::backoff::Bounds;
use crate::uplink::kafka::Compression;

const ALL: &str = r#"
[gateway]
id = "gw-9"
time_zone = "America/Lima"
state_directory = "state"
control_socket = "/c.sock"
[outbox]
directory = "/o"
readings_max = "100 MiB"
urgent_max = "20 MiB"
free_min = "30 MiB"
commit_window = "2s"
segment = "1 MiB"
when_full = "stop-polling"
[uplink]
start_spread = "3s"
stop_wait = "4s"
unsynced_hold = "20m"
retry_min = "1s"
retry_max = "2s"
[uplink.kafka]
brokers = ["a:1", "b:2"]
readings_topic = "r"
events_topic = "e"
outcomes_topic = "o"
compression = "lz4"
message_timeout = "60s"
linger = "70ms"
properties = { "socket.timeout.ms" = 5000 }
[[lines]]
name = "serial"
port = "/dev/ttyS7"
echo = true
repeats = 4
adapter_allowance = "80ms"
keep_raw = true
rs485 = "rts-low"
rs485_delay_before_send = "2ms"
rs485_delay_after_send = "3ms"
[[lines]]
name = "network"
tcp = "h:502"
[[meters]]
id = "m"
line = "serial"
driver = "mbus"
address = 9
expected_number = "00001234"
every = "30m"
offset = "90s"
reads_per_day_max = 48
answer_window = "100ms"
late_window = "200ms"
silence = "30ms"
request_delay = "40ms"
register_digits = 9
baud = 9600
parity = "none"
stop_bits = 2
[[meters]]
id = "n"
line = "network"
driver = "modbus"
profile = "generic-20"
framing = "tcp"
address = 0
"#;

fn all() -> Checked {
    let outcome = check_text(Path::new("/etc/weir/weir.toml"), ALL);
    assert_eq!(outcome.report(false), "");
    outcome.checked.unwrap()
}

#[test]
fn every_key_of_gateway_and_outbox_arrives() {
    let Checked { gateway, outbox, .. } = all();
    assert_eq!((gateway.id.as_str(), gateway.time_zone.iana_name()), ("gw-9", Some("America/Lima")));
    assert_eq!(gateway.state_directory, PathBuf::from("/etc/weir/state"));
    assert_eq!(gateway.control_socket, PathBuf::from("/c.sock"));
    assert_eq!((outbox.gateway.as_str(), outbox.directory), ("gw-9", PathBuf::from("/o")));
    let sizes = (outbox.readings_bytes_max, outbox.urgent_bytes_max, outbox.free_bytes_min);
    assert_eq!(sizes, (100 << 20, 20 << 20, 30 << 20));
    assert_eq!(outbox.segment_payload_bytes, 1 << 20);
    assert_eq!((outbox.commit_window, outbox.when_full), (Duration::from_secs(2), WhenFull::StopPolling));
}

#[test]
fn every_key_of_the_uplink_arrives() {
    let uplink = all().uplink;
    assert_eq!((uplink.start_spread, uplink.stop_wait), (Duration::from_secs(3), Duration::from_secs(4)));
    assert_eq!(uplink.unsynced_hold, Duration::from_secs(1200));
    assert_eq!(uplink.backoff, Bounds::new(Duration::from_secs(1), Duration::from_secs(2)));
    let kafka = uplink.kafka;
    assert_eq!(kafka.bootstrap, "a:1,b:2");
    let topics = [&kafka.readings_topic, &kafka.events_topic, &kafka.outcomes_topic];
    assert_eq!(topics, ["r", "e", "o"]);
    assert_eq!((kafka.compression, kafka.message_timeout), (Compression::Lz4, Duration::from_secs(60)));
    assert_eq!(kafka.linger, Duration::from_millis(70));
    assert_eq!(kafka.properties["socket.timeout.ms"], "5000");
}

#[test]
fn every_key_of_a_line_and_a_meter_arrives() {
    let lines = all().lines;
    let [line, network] = &lines[..] else { panic!("two lines") };
    assert_eq!((line.name.as_str(), &line.port), ("serial", &Port::Serial("/dev/ttyS7".into())));
    assert_eq!((line.echo, line.repeats, line.keep_raw), (true, 4, true));
    assert_eq!(line.adapter_allowance, Duration::from_millis(80));
    assert_eq!(line.time_zone.iana_name(), Some("America/Lima"));
    let meter = &line.meters[0];
    assert_eq!((meter.id.as_str(), meter.driver.name()), ("m", "mbus"));
    assert_eq!(meter.serial, Serial { baud: 9600, parity: Parity::None, stop_bits: StopBits::Two });
    assert_eq!((meter.every, meter.offset), (Duration::from_secs(1800), Duration::from_secs(90)));
    assert_eq!((meter.reads_per_day_max, meter.expected_number.as_deref()), (Some(48), Some("00001234")));
    assert_eq!(meter.answer_window, Some(Duration::from_millis(100)));
    assert_eq!(meter.late_window, Some(Duration::from_millis(200)));
    assert_eq!(
        (meter.silence, meter.request_delay),
        (Some(Duration::from_millis(30)), Duration::from_millis(40))
    );
    assert_eq!(meter.register_digits, Some(9));
    let rs485 = Rs485 { rts_low_to_send: true, delay_before_send_ms: 2, delay_after_send_ms: 3 };
    assert_eq!((line.rs485, network.rs485), (Some(rs485), None));
    assert_eq!((network.name.as_str(), &network.port), ("network", &Port::Tcp("h:502".into())));
    // Modbus TCP owes the line no silence.
    let tcp = &network.meters[0];
    assert_eq!((tcp.id.as_str(), tcp.driver.timing(&tcp.serial).silence), ("n", Duration::ZERO));
}

#[test]
fn an_outbox_in_the_state_directory_itself_is_refused() {
    let text = ALL.replace("\"/o\"", "\"state\"");
    let faults = told(&check_text(Path::new("/etc/weir/weir.toml"), &text).faults);
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(faults[0].starts_with("8:13 `directory` is the state directory"), "{faults:?}");
}

#[test]
fn a_secondary_address_says_which_number_must_answer() {
    let text = |address: &str| {
        format!(
            "[[lines]]\nname = \"a\"\nport = \"/dev/ttyS0\"\ndriver = \"mbus\"\n\
             [[meters]]\nid = \"m\"\nline = \"a\"\naddress = \"{address}\"\n"
        )
    };
    let number = |address: &str| good(&text(address)).lines[0].meters[0].expected_number.clone();
    assert_eq!(number("0012345A.ELS.02.07").as_deref(), Some("0012345A"));
    assert_eq!(number("FFFFFFFF.ELS"), None);
}
