//! What a configuration may say, and what is said about one that may not.

use super::*;

fn plan(text: &str) -> Result<Plan, ConfigError> {
    Config::from_toml(text).and_then(|config| Plan::of(&config))
}

fn refusal(text: &str) -> String {
    plan(text).unwrap_err().to_string()
}

/// A line in memory with these keys for its only meter.
fn refused_meter(keys: &str) -> String {
    refusal(&format!("[[lines]]\nname = \"L\"\nmemory = true\n[[lines.meters]]\nname = \"A\"\n{keys}"))
}

#[test]
fn the_example_can_be_simulated_and_shows_every_key() {
    let text = include_str!("../../example.toml");
    let plan = plan(text).unwrap();
    assert_eq!(plan.lines.iter().map(|line| line.meters.len()).sum::<usize>(), 42 + 10 + 3 + 2);
    for key in [
        "seed",
        "journal_entries_max",
        "time_zone",
        "name",
        "pty",
        "tcp",
        "baud",
        "parity",
        "stop_bits",
        "paced",
        "quantum_ms",
        "modbus",
        "echo",
        "noise",
        "strict_baud",
        "version",
        "shares_address",
        "count",
        "protocol",
        "model",
        "address",
        "serial",
        "manufacturer",
        "volume",
        "latency_ms",
        "slow_ms",
        "di_order",
        "preamble_bytes",
        "faults",
    ] {
        assert!(text.contains(&format!("{key} = ")), "{key} is not shown");
    }
}

#[test]
fn what_is_built_in_code_survives_being_written_and_read() {
    let line = LineConfig::pty("L", "/run/L").with([MeterConfig::mbus("A").count(3).fault(Fault::Slow)]);
    let config = Config { lines: vec![line], ..Config::default() };
    assert_eq!(Config::from_toml(&toml::to_string(&config).unwrap()).unwrap(), config);
}

#[test]
fn a_row_of_meters_is_numbered_from_one_with_addresses_and_serials_counting_up() {
    let row =
        MeterConfig { serial: Some(500), ..MeterConfig::cjt188("C").count(12).address("78330000000099") };
    let line = LineConfig::memory("L").with([MeterConfig::mbus("A").count(2), MeterConfig::mbus("B"), row]);
    let plan = Plan::of(&Config { lines: vec![line], ..Config::default() }).unwrap();
    let meters = &plan.lines[0].meters;
    let names: Vec<_> = meters.iter().map(|meter| meter.name.as_str()).take(4).collect();
    assert_eq!(names, ["A-001", "A-002", "B", "C-001"]);
    assert!(matches!(meters[2].kind, Kind::Mbus { address: 3, .. }));
    let Kind::Cjt188 { address, .. } = meters[4].kind else { panic!() };
    assert_eq!(cjt188_digits(address), "78330000000100");
    assert_eq!((meters[0].serial, meters[2].serial, meters[14].serial), (40_000_001, 40_000_003, 511));
}

fn cjt188_digits(address: [u8; 7]) -> String {
    crate::cjt188::digits_of(address)
}

#[test]
fn a_start_volume_is_taken_exactly_or_refused() {
    let ok = "[[lines]]\nname = \"L\"\nmemory = true\n[[lines.meters]]\nname = \"A\"\nprotocol = \"mbus\"\nvolume = \"12.3\"";
    assert_eq!(plan(ok).unwrap().lines[0].meters[0].volume, Some(12_300));
    for (volume, why) in [
        ("12.3456", "more than the 3 decimals"),
        ("-1", "not within 0 to 99999.999"),
        ("100000", "not within 0 to 99999.999"),
        ("much", "\"much\""),
    ] {
        let refusal = refused_meter(&format!("protocol = \"mbus\"\nvolume = \"{volume}\""));
        assert!(refusal.contains(why), "{refusal}");
    }
}

#[test]
fn a_refusal_says_which_line_and_meter_and_what_is_wrong() {
    for (keys, why) in [
        ("protocol = \"mbus\"\naddress = 251", "line \"L\", meter \"A\": address 251 is not within 1 to 250"),
        ("protocol = \"modbus\"\naddress = 248", "address 248 is not within 1 to 247"),
        ("protocol = \"mbus\"\naddress = \"5\"", "must be a number"),
        ("protocol = \"cjt188\"\naddress = 5", "must be a text of 14 decimal digits"),
        ("protocol = \"cjt188\"\naddress = \"7833001122330A\"", "is not 14 decimal digits"),
        (
            "protocol = \"mbus\"\nmodel = \"tall\"",
            "there are short, typical, warm, valve, long and two-telegrams",
        ),
        ("protocol = \"modbus\"\nmodel = \"tall\"", "there are ultrasonic, bove, xintai, bench and tariff"),
        ("protocol = \"cjt188\"\nmodel = \"tall\"", "there are cold, hot, drinking and reclaimed"),
        ("protocol = \"mbus\"\nmanufacturer = \"si\"", "three capital letters"),
        ("protocol = \"modbus\"\nmanufacturer = \"SIM\"", "only an M-Bus meter"),
        ("protocol = \"modbus\"\npreamble_bytes = 1", "only a CJ/T 188 or DL/T 645 meter"),
        ("protocol = \"cjt188\"\npreamble_bytes = 5", "above 4"),
        ("protocol = \"mbus\"\ncount = 0", "count 0"),
        ("protocol = \"mbus\"\naddress = 200\ncount = 60", "meter \"A-052\": address 251"),
        ("protocol = \"mbus\"\nserial = 100000000", "serial 100000000"),
        ("protocol = \"mbus\"\nlatency_ms = 60001", "more than a minute"),
        ("protocol = \"mbus\"\nfaults = [{ fault = \"noise\", probability = 1.5 }]", "probability 1.5"),
        ("protocol = \"mbus\"\nfaults = [{ fault = \"loud\" }]", "loud"),
        ("protocol = \"mbus\"\ncolour = 1", "colour"),
        ("protocol = \"dlms\"", "dlms"),
        ("protocol = \"mbus\"\nvalve_travel_ms = 1", "this model has no valve"),
        ("protocol = \"cjt188\"\nvalve_travel_ms = 600001", "valve_travel_ms 600001"),
        ("protocol = \"dlt645\"\naddress = \"20210707252\"", "is not 12 decimal digits"),
        ("protocol = \"dlt645\"\nmodel = \"tall\"", "there is single-phase"),
        ("protocol = \"dlt645\"\ndi_order = \"2004\"", "only a CJ/T 188 meter has di_order"),
        ("protocol = \"dlt645\"\naddress = \"999999999999\"\ncount = 2", "is not 12 decimal digits"),
    ] {
        let refusal = refused_meter(keys);
        assert!(refusal.contains(why), "{keys}: {refusal}");
    }
}

#[test]
fn a_line_that_cannot_be_is_refused() {
    let meter = "\n[[lines.meters]]\nname = \"A\"\nprotocol = \"mbus\"";
    for (keys, why) in [
        ("pty = \"/run/a\"\nmemory = true", "exactly one of"),
        ("", "exactly one of"),
        ("memory = true\nbaud = 49", "baud 49"),
        ("memory = true\nstop_bits = 3", "stop_bits 3"),
        ("memory = true\nnoise = -0.1", "noise -0.1"),
        ("memory = true\nquantum_ms = 1001", "quantum_ms 1001"),
        ("memory = true\nstrict_baud = true", "strict_baud needs a pty"),
        ("memory = true\nmodbus = \"tcp\"", "only have Modbus meters"),
        ("pty = \"/run/a\"\nmodbus = \"tcp\"", "cannot be on a pty"),
    ] {
        let refusal = refusal(&format!("[[lines]]\nname = \"L\"\n{keys}{meter}"));
        assert!(refusal.contains("line \"L\"") && refusal.contains(why), "{keys}: {refusal}");
    }
    assert!(refusal("time_zone = \"Mars/Base\"").contains("Mars/Base"));
    assert!(refusal("journal_entries_max = 0").contains("journal_entries_max"));
    assert!(refusal("[[lines]]\nnmae = \"L\"").contains("line 2"), "says where in the text");
}

#[test]
fn names_and_addresses_are_used_once() {
    let two_meters = "[[lines]]\nname = \"L\"\nmemory = true\n[[lines.meters]]\nname = \"A\"\nprotocol = \"mbus\"\naddress = 7\n[[lines.meters]]\nname = \"B\"\nprotocol = \"mbus\"\naddress = 7";
    assert!(refusal(two_meters).contains("meter \"B\": address 7 is already taken"));
    assert!(plan(&format!("{two_meters}\nshares_address = true")).is_ok());
    assert!(plan(&two_meters.replace("\"B\"\nprotocol = \"mbus\"", "\"B\"\nprotocol = \"modbus\"")).is_ok());
    let same_name = two_meters.replace("\"B\"", "\"A\"").replacen("address = 7", "address = 8", 1);
    assert!(refusal(&same_name).contains("another meter has this name"));
    let line = "[[lines]]\nname = \"L\"\nmemory = true\n";
    assert!(refusal(&line.repeat(2)).contains("another line has this name"));
}
