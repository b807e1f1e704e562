//! Each thing that cannot be, or that is probably not meant, and what is said of it.

#[cfg(feature = "tls")]
use super::HEAD;
use super::{checked, good, only_fault, only_warning, told};

const LINE: &str = "[[lines]]\nname = \"a\"\nport = \"/dev/ttyS0\"\ndriver = \"mbus\"\n";

fn with_meter(line_keys: &str, meter_keys: &str) -> String {
    format!("{LINE}{line_keys}\n[[meters]]\nid = \"m\"\nline = \"a\"\naddress = 1\n{meter_keys}")
}

#[test]
fn every_fault_of_a_file_is_told_at_once_with_its_place_and_a_hint() {
    let outcome = checked(
        r#"[outbox]
readings_mx = "1 GiB"
urgent_max = 16
commit_window = "1 s and a bit"
when_full = "drop_oldest"
[[lines]]
name = "riser-1"
prot = "/dev/ttyUSB0"
baud = "2400"
repeats = 9
[[lines]]
name = "riser-1"
tcp = "10.0.0.7"
[[meters]]
id = 101
line = "riser-1"
driver = "mbus"
address = 251
[[meters]]
id = "A-102"
line = "riser-2"
driver = "mbu"
address = 2
baud = 100
"#,
    );
    assert_eq!(
        told(&outcome.faults),
        [
            "4:1 unknown key `readings_mx` in [outbox] | did you mean `readings_max`?",
            "5:14 `urgent_max` must be a size | write a number and a unit: \"64 KiB\", \"512 MiB\", \"2 GiB\"",
            "6:17 `commit_window` must be a duration | write a number and a unit: \"500ms\", \"15m\", \"1h 30m\", \"1d\"",
            "7:13 `when_full` cannot be \"drop_oldest\" | did you mean \"drop-oldest\"?",
            "10:1 unknown key `prot` in [[lines]] | did you mean `port`?",
            "11:8 `baud` must be a whole number, not a string | ",
            "12:11 `repeats` is 9, outside its range | from 0 to 5",
            "14:8 two lines have this name | ",
            "15:7 `tcp` has no port | write \"host:port\", such as \"192.0.2.7:502\", \"example.net:9092\" or \"[2001:db8::7]:502\"",
            "17:6 `id` must be a string, not a whole number | ",
            "20:11 `address`: 251 is no primary address: 0 to 250, or 254 for the only meter on a line | ",
            "23:8 there is no line \"riser-2\" | did you mean \"riser-1\"?",
            "24:10 `driver` cannot be \"mbu\" | did you mean \"mbus\"?",
            "26:8 `baud` is 100 Bd, outside its range | from 300 Bd to 921600 Bd",
        ]
    );
    assert!(outcome.checked.is_none());
}

#[test]
fn a_fault_is_shown_with_its_line_and_a_mark_under_the_text() {
    let outcome = checked("[outbox]\nwhen_ful = \"drop-oldest\" # keep the newest\n");
    assert_eq!(
        outcome.report(false).split("\n\n").next().unwrap(),
        "error: unknown key `when_ful` in [outbox]\n \
         --> /etc/weir/weir.toml:4:1\n  \
         |\n\
         4 | when_ful = \"drop-oldest\" # keep the newest\n  \
         | ^^^^^^^^\n  \
         |\n  \
         = help: did you mean `when_full`?"
    );
    assert!(outcome.report(true).contains("\u{1b}["));
}

#[test]
fn a_thing_that_is_there_twice_is_shown_in_both_places() {
    let outcome =
        checked(&format!("{LINE}{}", "[[meters]]\nid = \"m\"\nline = \"a\"\naddress = 1\n".repeat(2)));
    assert_eq!(
        told(&outcome.faults),
        ["12:6 two meters have this id | ", "14:11 two meters have this address on one line | "]
    );
    let report = outcome.report(false);
    for shown in ["12 | id = \"m\"", "8 | id = \"m\"", "14 | address = 1", "10 | address = 1", "first here"] {
        assert!(report.contains(shown), "{shown} not in:\n{report}");
    }
}

#[test]
fn a_line_has_one_port_and_a_port_one_line() {
    let both = "[[lines]]\nname = \"a\"\nport = \"/dev/ttyS0\"\ntcp = \"h:1\"\n";
    assert!(only_fault(both).starts_with("6:7 the line has both `port` and `tcp` | a line has one"));
    let neither = "[[lines]]\nname = \"a\"\n";
    assert!(only_fault(neither).starts_with("3:1 `port` is missing | port = \"/dev/ttyUSB0\""));
    let twice = format!("{LINE}{}", LINE.replace("\"a\"", "\"b\""));
    assert_eq!(only_fault(&twice), "9:8 two lines have this port | ");
    let tcp = "[[lines]]\nname = \"a\"\ntcp = \"Host:1\"\n[[lines]]\nname = \"b\"\ntcp = \"host:1\"\n";
    assert_eq!(only_fault(tcp), "8:7 two lines have this address | ");
    let relative = only_fault(&LINE.replace("/dev/ttyS0", "ttyS0"));
    assert!(
        relative.starts_with("5:8 \"ttyS0\" is no path of a serial port | write its whole path"),
        "{relative}"
    );
}

#[test]
fn addresses_and_profiles_are_those_of_the_driver() {
    let meter = |keys: &str| format!("{LINE}[[meters]]\nid = \"m\"\nline = \"a\"\n{keys}");
    let fault = |keys: &str| only_fault(&meter(keys));
    assert!(
        fault("")
            .starts_with("7:1 `address` is missing | give its primary address, 1 to 250, or its secondary")
    );
    let quoted = fault("address = \"1\"");
    assert!(
        quoted.starts_with("10:11 `address`: \"1\" is no secondary address: it begins with eight"),
        "{quoted}"
    );
    assert!(quoted.ends_with("| a primary address stands without quotes"), "{quoted}");
    let unquoted = fault("address = 12345678");
    assert!(
        unquoted.ends_with("1 to 250 | a secondary address has eight digits and stands in quotes"),
        "{unquoted}"
    );
    assert!(fault("address = \"12345678.EL\"").contains("the manufacturer is three letters"));
    let open = only_warning(&meter("address = \"1234567F.ELS\""));
    assert!(open.starts_with("10:11 digits of the address are open"), "{open}");
    let other = fault("address = \"12345678\"\nexpected_number = \"12345679\"");
    assert!(
        other.starts_with("11:19 `expected_number` is not the number in the meter's `address`, 12345678"),
        "{other}"
    );
    assert!(fault("address = 256").starts_with("10:11 `address` 256 is not a primary address"));
    assert!(fault("address = 1\nprofile = \"x\"").starts_with("11:11 no M-Bus profile comes with Weir"));
    assert!(fault("address = 1\nframing = \"rtu\"").starts_with("11:11 `framing` is for modbus"));
    assert!(fault("address = 1\ndriver = \"modbus\"").starts_with("7:1 `profile` is missing | one of abb-"));
    let modbus = "driver = \"modbus\"\nprofile = \"generic-20\"\n";
    let not_mbus = meter(&format!("address = 1\nkey_file = \"k\"\nvif_text = \"auto\"\n{modbus}"));
    assert_eq!(
        told(&checked(&not_mbus).faults),
        [
            "11:12 `key_file` is for mbus, and the meter speaks modbus | ",
            "12:12 `vif_text` is for mbus, and the meter speaks modbus | ",
        ]
    );
    assert!(fault(&format!("{modbus}address = 248")).starts_with("12:11 `address`: unit 248"));
    let mistyped = "address = 1\ndriver = \"modbus\"\nprofile = \"generic-21\"";
    assert_eq!(fault(mistyped), "12:11 there is no profile \"generic-21\" | did you mean \"generic-20\"?");
    assert!(
        fault(&format!("{modbus}address = 1\nframing = \"tcp\""))
            .starts_with("13:11 a serial line carries no")
    );
    let cjt188 = "driver = \"cjt188\"\n";
    assert!(
        fault(&format!("{cjt188}address = 78330011223344"))
            .contains("must be a string of fourteen digits | in quotes")
    );
    assert!(
        fault(&format!("{cjt188}address = \"7833\"")).contains("`address`: address has 4 digits, not 14")
    );
    assert!(
        fault(&format!("{cjt188}address = \"78330011223344\"\nprofile = \"204\""))
            .contains("did you mean \"2004\"?")
    );
    let dlt645 = "driver = \"dlt645\"\n";
    assert!(
        fault(&format!("{dlt645}address = 202107072529"))
            .contains("must be a string of twelve digits | in quotes")
    );
    assert!(
        fault(&format!("{dlt645}address = \"2529\"")).contains("`address`: address has 4 digits, not 12")
    );
    assert!(
        fault(&format!("{dlt645}address = \"202107072529\"\nprofile = \"electric\""))
            .contains("did you mean \"electrical\"?")
    );
    let short = only_warning(&meter(&format!("{dlt645}address = \"AAAAAAAA2529\"")));
    assert!(short.starts_with("11:11 every meter whose number ends so answers"), "{short}");
    assert!(
        fault("address = 1\nexpected_number = \"1234\"")
            .contains("number has 8 digits | with its leading zeros")
    );
    assert!(
        fault("address = 1\nexpected_number = 12345678").contains("must be a string, not a whole number")
    );
}

#[test]
fn framing_on_a_tcp_line_is_never_guessed_and_never_mixed() {
    let tcp = "[[lines]]\nname = \"a\"\ntcp = \"h:502\"\nprofile = \"generic-20\"\ndriver = \"modbus\"\n";
    let meter =
        |id: u8, keys: &str| format!("[[meters]]\nid = \"m{id}\"\nline = \"a\"\naddress = {id}\n{keys}\n");
    assert!(
        only_fault(&format!("{tcp}{}", meter(1, "")))
            .starts_with("8:1 `framing` is missing | \"tcp\" for a Modbus")
    );
    let mixed = format!("{tcp}{}{}", meter(1, "framing = \"tcp\""), meter(2, "driver = \"mbus\""));
    assert!(
        only_fault(&mixed).starts_with("13:1 the line carries Modbus TCP, so this meter cannot be on it")
    );
    let all_tcp = format!("{tcp}framing = \"tcp\"\n{}{}", meter(1, ""), meter(255, ""));
    let line = &good(&all_tcp).lines[0];
    assert_eq!((line.meters.len(), line.adapter_allowance.as_millis()), (2, 250));
    // A line's default for Modbus does not concern its other meters.
    good(&with_meter("framing = \"rtu\"", ""));
}

#[test]
fn speed_and_parity_come_from_the_profile_when_nobody_says_otherwise() {
    let line = "[[lines]]\nname = \"a\"\nport = \"/dev/ttyS0\"\ndriver = \"modbus\"\n";
    let meter = |id: u8, profile: &str| {
        format!("[[meters]]\nid = \"m{id}\"\nline = \"a\"\naddress = {id}\nprofile = \"{profile}\"\n")
    };
    let checked = good(&format!("{line}{}{}", meter(1, "bove-ultrasonic"), meter(2, "generic-20")));
    let shown: Vec<_> =
        checked.lines[0].meters.iter().map(|meter| (meter.serial.baud, meter.serial.parity)).collect();
    assert_eq!(shown, [(2400, weir_meter::Parity::Even), (9600, weir_meter::Parity::None)]);
}

#[test]
fn what_is_allowed_but_seldom_meant_is_warned_of() {
    let meter = |address: u8| format!("{LINE}[[meters]]\nid = \"m\"\nline = \"a\"\naddress = {address}\n");
    assert!(only_warning(&meter(254)).starts_with("10:11 every meter answers to 254"));
    assert!(
        only_warning(&meter(0)).starts_with("10:11 0 is the address of every meter as it leaves the factory")
    );
    let told_of =
        |text: &str| told(&crate::config::check_text(std::path::Path::new("weir.toml"), text).warnings);
    let topics = told_of(
        "gateway.id = \"g\"\nuplink.kafka = { brokers = [\"k:1\", \"k:1\"], events_topic = \"weir.readings\" }",
    );
    assert!(
        topics[0].contains("there are no [[lines]]") && topics[1].starts_with("2:36 the same broker twice"),
        "{topics:?}"
    );
    assert!(topics[2].starts_with("2:59 readings and events go to the same topic"), "{topics:?}");
    let topics = told_of(
        "gateway.id = \"g\"\nuplink.kafka = { brokers = [\"k:1\"], readings_topic = \"r\", outcomes_topic = \"r\" }",
    );
    assert!(topics[1].starts_with("2:76 readings and outcomes go to the same topic"), "{topics:?}");
}

#[test]
fn every_property_that_the_client_refuses_is_told() {
    let text = "gateway.id = \"g\"\n[uplink.kafka]\nbrokers = [\"k:1\"]\n[uplink.kafka.properties]\n\
                socket.timeout.ms = \"soon\"\nsokcet.keepalive.enable = true\nacks = 1\nsocket.nagle.disable = true\n";
    let faults = told(&crate::config::check_text(std::path::Path::new("weir.toml"), text).faults);
    assert_eq!(faults.len(), 3, "{faults:?}");
    assert!(faults[0].starts_with("5:16 property socket.timeout.ms: "), "{faults:?}");
    assert!(faults[1].starts_with("6:18 property sokcet.keepalive.enable: "), "{faults:?}");
    assert!(faults[2].starts_with("7:1 property acks cannot be set: "), "{faults:?}");
    let good = text
        .lines()
        .filter(|line| !["socket.timeout", "sokcet", "acks"].iter().any(|bad| line.starts_with(bad)));
    let outcome =
        crate::config::check_text(std::path::Path::new("weir.toml"), &good.collect::<Vec<_>>().join("\n"));
    assert_eq!(outcome.checked.unwrap().uplink.kafka.properties["socket.nagle.disable"], "true");
    let many: String = (0..201).map(|n| format!("p{n} = 1\n")).collect();
    let text =
        format!("gateway.id = \"g\"\n[uplink.kafka]\nbrokers = [\"k:1\"]\n[uplink.kafka.properties]\n{many}");
    let faults = told(&crate::config::check_text(std::path::Path::new("weir.toml"), &text).faults);
    assert!(faults.iter().any(|fault| fault.ends_with("more than 200 properties | ")), "{faults:?}");
}

#[test]
fn waits_of_the_uplink_that_contradict_each_other_are_refused() {
    let told_of = |keys: &str| {
        let text = format!(
            "gateway.id = \"g\"\n[uplink]\n{keys}\n[uplink.kafka]\nbrokers = [\"k:1\"]\nmessage_timeout = \"5s\"\nlinger = \"6s\""
        );
        told(&crate::config::check_text(std::path::Path::new("weir.toml"), &text).faults)
    };
    let faults = told_of("retry_min = \"1m\"");
    assert_eq!(
        faults,
        [
            "3:13 `retry_max`, 30s, is shorter than `retry_min`, 1m | ",
            "7:10 `linger` is 6s, not less than `message_timeout`, 5s | "
        ]
    );
    assert!(
        told_of("stop_wait = \"21s\"")[0]
            .starts_with("3:13 `stop_wait` is 21s, outside its range | from 0s to 20s")
    );
}

#[test]
fn hosts_and_ports_are_looked_at_closely() {
    let tcp = |address: &str| format!("[[lines]]\nname = \"a\"\ntcp = \"{address}\"\n");
    for (address, wrong) in [
        ("tcp://h:1", "names a protocol"),
        ("h", "has no port"),
        ("h:0", "has no port from"),
        ("h:65536", "has no port from"),
        ("h:+5", "has no port from"),
        (":502", "has no host"),
        ("2001:db8::7:502", "has colons in its host"),
        ("[2001:db8::g]:502", "has colons in its host"),
        ("user@h:502", "has a character in its host"),
        ("h h:502", "has a character in its host"),
    ] {
        assert!(only_fault(&tcp(address)).starts_with(&format!("5:7 `tcp` {wrong}")), "{address}");
    }
    good(&tcp("[2001:db8::7]:502"));
}

#[test]
fn a_unit_that_counts_for_several_meters_is_one_meter_for_each_profile() {
    let line = "[[lines]]\nname = \"a\"\nport = \"/dev/ttyS0\"\ndriver = \"modbus\"\n";
    let meter = |id: u8, profile: &str| {
        format!("[[meters]]\nid = \"m{id}\"\nline = \"a\"\naddress = 7\nprofile = \"{profile}\"\n")
    };
    let two = format!("{line}{}{}", meter(1, "generic-20"), meter(2, "bove-ultrasonic"));
    assert_eq!(good(&two).lines[0].meters.len(), 2);
    let same = format!("{line}{}{}", meter(1, "generic-20"), meter(2, "generic-20"));
    assert_eq!(only_fault(&same), "15:11 two meters have this address on one line | ");
}

#[test]
fn a_meter_takes_from_its_line_what_it_does_not_say_itself() {
    let text = r#"[[lines]]
name = "a"
port = "/dev/ttyS0"
driver = "modbus"
profile = "bove-ultrasonic"
every = "1h"
offset = "5m"
baud = 4800
parity = "odd"
stop_bits = 2
answer_window = "300ms"
late_window = "2s"
reads_per_day_max = 48
[[meters]]
id = "all"
line = "a"
address = 1
[[meters]]
id = "own"
line = "a"
driver = "mbus"
address = 1
every = "30m"
baud = 300
"#;
    let checked = good(text);
    let [all, own] = &checked.lines[0].meters[..] else { panic!("two meters") };
    let shown = |meter: &crate::line::Meter| {
        let serial = meter.serial;
        (meter.driver.name(), meter.every.as_secs(), meter.offset.as_secs(), serial.baud, serial.parity)
    };
    assert_eq!(shown(all), ("modbus", 3600, 300, 4800, weir_meter::Parity::Odd));
    assert_eq!(shown(own), ("mbus", 1800, 300, 300, weir_meter::Parity::Odd));
    assert_eq!(own.serial.stop_bits, weir_meter::StopBits::Two);
    assert_eq!((own.late_window, own.reads_per_day_max), (Some(std::time::Duration::from_secs(2)), Some(48)));
    assert_eq!(own.answer_window, Some(std::time::Duration::from_millis(300)));
}

#[test]
fn rs485_is_for_a_port_and_its_delays_for_it() {
    let fault = |keys: &str| only_fault(&with_meter(keys, ""));
    let lonely = fault("rs485_delay_after_send = \"1ms\"");
    assert!(lonely.contains("has no effect without `rs485`"), "{lonely}");
    let long = fault("rs485 = \"rts-high\"\nrs485_delay_before_send = \"101ms\"");
    assert!(long.contains("outside its range"), "{long}");
    let split = fault("rs485 = \"rts-high\"\nrs485_delay_before_send = \"1500us\"");
    assert!(split.contains("no whole number of milliseconds"), "{split}");
    let other = fault("rs485 = \"rts\"");
    assert!(other.contains("`rs485` cannot be \"rts\""), "{other}");
    let tcp = LINE.replace("port = \"/dev/ttyS0\"", "tcp = \"h:1\"");
    let tcp =
        only_fault(&format!("{tcp}rs485 = \"rts-low\"\n[[meters]]\nid = \"m\"\nline = \"a\"\naddress = 1\n"));
    assert!(tcp.contains("`rs485` is for a line with a `port`"), "{tcp}");
}

#[test]
fn waits_and_digits_have_their_ranges() {
    for key in ["silence = \"3s\"", "request_delay = \"6s\"", "register_digits = 3"] {
        let told = only_fault(&with_meter("", key));
        assert!(told.contains("outside its range"), "{told}");
    }
}

#[test]
fn a_default_that_is_wrong_is_told_once_however_many_meters_use_it() {
    let meters: String =
        (1..=9).map(|n| format!("[[meters]]\nid = \"m{n}\"\nline = \"a\"\naddress = {n}\n")).collect();
    assert!(
        only_fault(&format!("{LINE}every = \"2d\"\n{meters}")).starts_with("7:9 `every` is 48h, outside")
    );
    assert!(
        only_warning(&format!("{LINE}every = \"7m\"\n{meters}"))
            .starts_with("7:9 a day is no whole number of 7m")
    );
    // And one that nobody uses is told as well.
    assert!(only_fault(&format!("{LINE}every = \"2d\"\n")).starts_with("7:9 `every` is 48h"));
    assert!(only_fault(&format!("{LINE}baud = 10\n")).starts_with("7:8 `baud` is 10 Bd"));
}

#[test]
fn a_default_that_could_not_be_read_is_not_missing_at_every_meter() {
    let meter = "[[meters]]\nid = \"m\"\nline = \"a\"\naddress = 1\n";
    let line = "[[lines]]\nname = \"a\"\ntcp = \"h:502\"\ndriver = \"modbus\"\nprofile = \"generic-20\"\nframing = \"tcp\"\n";
    good(&format!("{line}{meter}"));
    for (right, wrong) in
        [("\"modbus\"", "\"modbuss\""), ("\"generic-20\"", "20"), ("\"tcp\"", "\"tpc\""), ("driver", "drivr")]
    {
        only_fault(&format!("{}{meter}", line.replace(right, wrong)));
    }
}

#[test]
fn schedules_that_do_not_go_together_are_told_with_their_numbers() {
    assert_eq!(
        only_warning(&with_meter("", "every = \"7m\"")),
        "12:9 a day is no whole number of 7m: slots begin anew at midnight, so the last one of each day is 5m long \
         | a day divides by \"6m\" and \"8m\""
    );
    assert!(
        only_fault(&with_meter("", "every = \"15m\"\noffset = \"15m\""))
            .starts_with("13:10 `offset` is 15m, not less than `every`, 15m")
    );
    assert!(
        only_fault(&with_meter("", "every = \"0s\""))
            .starts_with("12:9 `every` is 0s, outside its range | from 1s")
    );
    assert_eq!(
        only_warning(&with_meter("", "reads_per_day_max = 20")),
        "12:21 every 15m there are 96 slots a day, and 20 reads are allowed | `every = \"1h 12m\"` fits; as it is, slots \
         beyond the budget stay empty"
    );
    good(&with_meter("", "reads_per_day_max = 96"));
    assert!(
        only_warning(&with_meter("", "baud = 9660"))
            .contains("no usual speed, and many ports cannot be set to it | the nearest usual one is 9600")
    );
}

#[test]
fn names_that_would_break_an_id_a_topic_or_a_log_are_refused() {
    let gateway = |id: &str| {
        let text = format!("uplink.kafka.brokers = [\"k:1\"]\n[gateway]\nid = {id:?}\n");
        told(&crate::config::check_text(std::path::Path::new("weir.toml"), &text).faults)
    };
    for id in ["", "gw:1", "gw 1", "gw/1", "gwä", &"g".repeat(65)] {
        assert!(gateway(id)[0].starts_with("3:6 `id` cannot be a gateway's | 1 to 64 of"), "{id:?}");
    }
    assert_eq!(gateway("gw-0421.b_2"), Vec::<String>::new());
    let meter = |id: &str| only_fault(&with_meter("", "").replace("\"m\"", id));
    assert!(meter("\"\"").ends_with("`id` is empty | "));
    assert!(meter("\" m\"").ends_with("`id` begins or ends with a space | "));
    assert!(meter("\"m\\u001b[31m\"").ends_with("`id` has control characters | "));
    assert!(meter(&format!("\"{}\"", "m".repeat(65))).ends_with("`id` has 65 bytes, and may have 64 | "));
    good(&with_meter("", "").replace("\"m\"", "\"Haus 12/3 – Küche\""));
}

#[test]
fn a_gateway_that_cannot_keep_or_tell_anything_is_refused() {
    let told_of =
        |text: &str| told(&crate::config::check_text(std::path::Path::new("weir.toml"), text).faults);
    let empty = told_of("");
    assert_eq!(empty.len(), 2);
    assert!(empty[0].starts_with("- table [gateway] is missing in weir.toml"), "{empty:?}");
    assert!(empty[1].starts_with("- table [uplink.kafka] is missing in weir.toml"), "{empty:?}");
    let path = format!(
        "gateway = {{ id = \"g\", control_socket = \"/{}\" }}\nuplink.kafka.brokers = [\"k:1\"]",
        "s".repeat(107)
    );
    assert!(
        told_of(&path)[0].ends_with("`control_socket` has 108 bytes, and a socket's path may have 107 | ")
    );
    assert!(
        only_fault("[outbox]\nreadings_max = \"8 MiB\"")
            .contains("8.0 MiB, outside its range | from 12.0 MiB to 16.0 TiB")
    );
    assert!(
        only_fault("[outbox]\nsegment = \"1 KiB\"")
            .contains("1.0 KiB, outside its range | from 4.0 KiB to 2.0 MiB")
    );
    assert!(only_fault("[outbox]\nreadings_max = \"512\"").contains("`readings_max` must be a size"));
    let zone =
        told_of("gateway = { id = \"g\", time_zone = \"Europe/Berln\" }\nuplink.kafka.brokers = [\"k:1\"]");
    assert!(zone[0].contains("there is no time zone \"Europe/Berln\""), "{zone:?}");
    assert!(only_warning("").contains("no [[lines]], so nothing is polled"));
    assert!(only_warning(LINE).starts_with("4:8 the line has no meters"));
}

#[test]
fn a_key_in_the_wrong_table_is_told_where_it_belongs() {
    let text = with_meter("address = 5", "");
    assert!(only_fault(&text).ends_with("unknown key `address` in [[lines]] | it belongs in [[meters]]"));
    assert!(only_fault("[outbox]\nbrokers = [\"k:1\"]").ends_with("| it belongs in [uplink.kafka]"));
    let nonsense = only_fault("[outbox]\nfrobnicate = 1");
    assert!(nonsense.ends_with(
        "| known keys: directory, readings_max, urgent_max, free_min, commit_window, segment, when_full"
    ));
    let single = LINE.replace("[[lines]]", "[lines]");
    assert!(
        only_fault(&single)
            .contains("`lines` must be a list of tables, not a table | write [[lines]], with two")
    );
}

#[test]
fn credentials_and_certificates_that_the_connection_would_not_use_are_told() {
    let with = |properties: &str| format!("[uplink.kafka.properties]\n{properties}{}", with_meter("", ""));
    let protocol = |protocol: &str| with(&format!("{protocol}sasl.username = \"g\"\n"));
    assert_eq!(
        only_warning(&protocol("")),
        "4:6 property sasl.username has no effect: the connection gives no credentials | \
         add \"security.protocol\" = \"SASL_SSL\""
    );
    let used = "security.protocol = \"sasl_plaintext\"\nsasl.mechanism = \"PLAIN\"\nsasl.password = \"p\"\n";
    assert!(checked(&protocol(used)).warnings.is_empty());
    let outcome = checked(&with("ssl.ca.location = \"/etc/ssl/certs\"\n"));
    let warnings = told(&outcome.warnings);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("ssl.ca.location has no effect: the connection is not encrypted"));
}

#[test]
#[cfg(feature = "tls")]
fn certificates_are_found_beside_their_file_and_one_that_is_missing_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("weir.toml");
    let text = format!(
        "{HEAD}[uplink.kafka.properties]\nsecurity.protocol = \"SSL\"\nssl.ca.location = \"ca.pem\"\n"
    );
    let missing = crate::config::check_text(&path, &text);
    let ca = directory.path().join("ca.pem");
    let expected = format!("5:8 property ssl.ca.location: {}: No such file", ca.display());
    let faults = told(&missing.faults);
    assert!(faults.len() == 1 && faults[0].starts_with(&expected), "{faults:?}");

    std::fs::write(&ca, "no certificate").unwrap();
    let none = told(&crate::config::check_text(&path, &text).faults);
    assert!(
        none.len() == 1
            && none[0].starts_with("5:8 the Kafka client refuses its settings: ssl.ca.location failed"),
        "{none:?}"
    );
}
