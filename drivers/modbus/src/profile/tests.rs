//! Bad profiles: every fault at once, each at its place.

use proptest::prelude::*;

use super::*;

/// The faults as `line:column message (hint)`.
fn faults(text: &str) -> Vec<String> {
    let faults = Profile::parse(text).expect_err("the profile is good");
    let shown = |fault: &ProfileFault| {
        let (line, column) = fault.position(text);
        format!("{line}:{column} {fault}")
    };
    faults.iter().map(shown).collect()
}

/// Asserts that there is exactly this fault, by how it begins.
fn fault(text: &str, expected: &str) {
    let faults = faults(text);
    assert_eq!(faults.len(), 1, "{faults:#?}");
    assert!(faults[0].starts_with(expected), "{:?} instead of {expected:?}", faults[0]);
}

const MODEL: &str = "model = \"m\"\n";
const VALUE: &str = "[[value]]\nquantity = \"volume\"\nat = 1\ntype = \"u32\"\n";

fn value(more: &str) -> String {
    format!("{MODEL}{VALUE}{more}\n")
}

#[test]
fn the_format_as_documented_is_good() {
    let readme = include_str!("../../profiles/README.md");
    let example = readme.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let profile = Profile::parse(example).unwrap();
    assert_eq!(profile.model(), "BOVE ultrasonic");
    assert_eq!(profile.serial(), Some(Serial::DEFAULT));
}

#[test]
fn all_faults_are_reported_at_once_and_in_order() {
    let text = "modle = \"x\"\n\n[map]\nbase = 2\n\n[[value]]\nquantity = \"volum\"\nat = \"7\"\ntype = \"u33\"\nscale = true\n";
    let faults = faults(text);
    let starts = [
        "1:1 the profile has no \"model\"",
        "1:1 the profile has no key \"modle\" (known keys: clock, identity, map, model",
        "4:8 base must be a whole number from 0 to 1",
        "7:12 quantity \"volum\" is not known (one of: volume,",
        "8:6 at must be a whole number from 0 to 65535",
        "9:8 type \"u33\" is not known (one of: u16, i16",
        "10:9 scale must be a decimal number",
    ];
    assert_eq!(faults.len(), starts.len(), "{faults:#?}");
    for (fault, start) in faults.iter().zip(starts) {
        assert!(fault.starts_with(start), "{fault:?} instead of {start:?}");
    }
}

#[test]
fn syntax_errors_have_places_too() {
    let faults = faults("model = \"m\"\nat = = 3\n[x\n");
    assert!(faults.iter().any(|fault| fault.starts_with("2:")), "{faults:?}");
    assert!(faults.iter().any(|fault| fault.starts_with("3:")), "{faults:?}");
}

#[test]
fn unknown_keys_are_refused_in_every_table() {
    for text in [
        value("x = 1"),
        value("plus = { at = 3, type = \"i32\", x = 1 }"),
        value("scale_from = { at = 3, x = 1 }"),
        value("unit_from = { at = 3, codes = { 0 = \"m3\" }, x = 1 }"),
        value("[[status]]\nat = 1\nbits = {}\nx = 1"),
        value("[map]\nx = 1"),
        value("[timing]\nx = 1"),
        value("[serial]\nbaud = 2400\nparity = \"even\"\nstop_bits = 1\nx = 1"),
        value("[identity]\nx = 1"),
        value("[identity]\nnumber = { at = 1, type = \"u32\", x = 1 }"),
        value("[clock]\nat = 1\nregisters = 2\nencoding = \"bcd\"\nlayout = \"YMDh\"\nx = 1"),
    ] {
        let faults = faults(&text);
        assert!(faults.len() == 1 && faults[0].contains("no key \"x\""), "{text}\n{faults:?}");
    }
}

#[test]
fn what_belongs_together_is_missed() {
    fault(MODEL, "1:1 the profile has no \"value\"");
    fault(&value("[serial]\nbaud = 2400\nparity = \"even\""), "6:1 [serial] has no \"stop_bits\"");
    fault(&value("[[status]]\nat = 1"), "6:1 [[status]] needs either");
    fault(&value("unit_from = { at = 3 }"), "6:13 [unit_from] has no \"codes\"");
    fault(&format!("{MODEL}[[value]]\nquantity = \"volume\"\nat = 1\n"), "2:1 [[value]] has no \"type\"");
    fault(
        &format!("{MODEL}[[value]]\nquantity = \"volume\"\nat = 1\ntype = \"bcd\"\n"),
        "2:1 [[value]] has no \"registers\"",
    );
}

#[test]
fn contradictions_are_found() {
    fault(&value("scale = 1\nscale_from = { at = 3 }"), "6:9 scale and scale_from exclude");
    fault(
        &value("unit = \"m3\"\nunit_from = { at = 3, codes = { 0 = \"l\" } }"),
        "2:1 unit and unit_from exclude",
    );
    fault(&value("registers = 3"), "6:13 registers: this type always has 2");
    fault(&value(VALUE), "6:1 a second volume that nothing tells from the first");
    assert!(Profile::parse(&value(&format!("{VALUE}storage = 1"))).is_ok());
    fault(
        &format!(
            "{MODEL}[[value]]\nquantity = \"customer\"\nat = 1\ntype = \"ascii\"\nregisters = 2\nunit = \"m3\""
        ),
        "7:8 unit: a text has none",
    );
    fault(&value("[[status]]\nat = 1\ntype = \"f32\"\ncodes = {}"), "6:1 a status must be an unsigned type");
    fault(
        &value("[clock]\nat = 1\nregisters = 2\nencoding = \"bcd\"\nlayout = \"YMD\""),
        "10:10 3 letters for 4 bytes",
    );
    fault(&value("[clock]\nat = 1\nregisters = 2\nencoding = \"bcd\"\nlayout = \"hmsh\""), "10:10 layout");
    fault(
        &value("[map]\nrequest_registers_max = 3\n[[status]]\nat = 9\ntype = \"u64\"\nbits = {}"),
        "8:1 4 registers do not fit",
    );
}

#[test]
fn addresses_stay_within_the_space_and_follow_the_base() {
    fault(
        &format!("{MODEL}[[value]]\nquantity = \"volume\"\nat = 65535\ntype = \"u32\""),
        "4:6 2 registers from here",
    );
    fault(
        &format!("{MODEL}[map]\nbase = 1\n[[value]]\nquantity = \"volume\"\nat = 0\ntype = \"u32\""),
        "6:6 at must be",
    );
    let printed = Profile::parse(&format!("{MODEL}[map]\nbase = 1\n{VALUE}")).unwrap();
    assert_eq!(printed.requests()[0].start, 0);
}

#[test]
fn sentinels_are_bit_patterns_of_the_fields_width() {
    let marked = Profile::parse(&value("invalid = [0xFFFF_FFFF, -1, -2147483648]")).unwrap();
    assert_eq!(marked.values[0].amount.field.invalid, [0xFFFF_FFFF, 0xFFFF_FFFF, 0x8000_0000]);
    let faults = faults(&value("invalid = [0x1_0000_0000, -2147483649, \"x\"]"));
    assert_eq!(faults.len(), 3, "{faults:?}");
    let wide = value("invalid = [0x8000_0000_0000_0000]").replace("u32", "i64");
    assert_eq!(Profile::parse(&wide).unwrap().values[0].amount.field.invalid, [1 << 63]);
}

#[test]
fn bits_codes_and_words_are_checked() {
    fault(&value("[[status]]\nat = 1\nbits = { 16 = \"leak\" }"), "8:10 bits: \"16\" is no code");
    fault(&value("[[status]]\nat = 1\nbits = { 1 = \"Leak!\" }"), "8:14 no word for a state");
    fault(&value("[[status]]\nat = 1\nbits = { 1 = \"valve:ajar\" }"), "8:14 valve \"ajar\" is not known");
    fault(&value("[[status]]\nat = 1\ncodes = { 0x0A = \"ok\", 10 = \"leak\" }"), "8:");
    fault(&value("scale_from = { at = 3, codes = { 1 = \"x\" } }"), "6:38 codes must be decimal numbers");
}

#[test]
fn a_mask_is_for_unsigned_types_and_for_codes() {
    let masked =
        value("[[status]]\nat = 1\nmask = 0xC0\ncodes = { 0 = \"valve:open\", 3 = \"valve:fault\" }");
    assert_eq!(Profile::parse(&masked).unwrap().status[0].field.mask, Some(0xC0));
    fault(&value("mask = 0x1_0000_0000"), "6:8 mask must be a whole number from 1 to 4294967295");
    fault(&value("mask = 0"), "6:8 mask must be");
    fault(&value("mask = 1").replace("u32", "f32"), "6:8 mask: only an unsigned type");
    fault(&value("[[status]]\nat = 1\nmask = 1\nbits = {}"), "6:1 mask goes with codes");
}

#[test]
fn registers_to_avoid_are_stretches_by_the_base_and_no_value_may_need_them() {
    let avoid = |stretches: &str, value: &str| {
        format!("{MODEL}[map]\ngap_registers_max = 9\n{stretches}\n{VALUE}{value}")
    };
    let far = "[[value]]\nquantity = \"pressure\"\nat = 9\ntype = \"u16\"";
    assert_eq!(Profile::parse(&avoid("", far)).unwrap().requests().len(), 1);
    assert_eq!(Profile::parse(&avoid("avoid = [[5, 5]]", far)).unwrap().requests().len(), 2);
    assert_eq!(Profile::parse(&avoid("base = 1\navoid = [[10, 20]]", far)).unwrap().requests().len(), 1);
    fault(&avoid("avoid = [[9, 9]]", far), "2:1 registers 1 to 9 cannot be read");
    for wrong in ["avoid = [5]", "avoid = [[5]]", "avoid = [[6, 5]]", "avoid = [[0, 65536]]", "avoid = 3"] {
        fault(&avoid(wrong, far), "4:9 avoid must be a list of stretches");
    }
}

const ORDERS: &str = "[valve]\nfunction_code = 6\nat = 28\nopen = 1\nclose = 2\nsettle_ms = 15000\n";
const POSITION: &str = "[[status]]\nat = 28\nbits = { 0 = \"valve:open\" }\n";

#[test]
fn a_valve_is_described_whole() {
    let whole = Profile::parse(&value(&format!("{POSITION}{ORDERS}"))).unwrap();
    let told = "function 06 at 28, open 0001, close 0002; read back from 28 after 1500 to 15000 ms";
    assert_eq!(whole.valve().as_deref(), Some(told));
    let own =
        format!("{ORDERS}read_back = {{ at = 30, codes = {{ 1 = \"valve:open\", 2 = \"valve:closed\" }} }}");
    let own = Profile::parse(&value(&own.replace("at = 28", "at = 65535"))).unwrap();
    assert!(own.valve().unwrap().contains("at 65535") && own.valve().unwrap().contains("from 30"));
    let coil = format!("{POSITION}{ORDERS}")
        .replace("code = 6", "code = 5")
        .replace("open = 1", "open = true")
        .replace("close = 2", "close = false");
    assert!(Profile::parse(&value(&coil)).unwrap().valve().unwrap().contains("open FF00, close 0000"));
}

#[test]
fn a_valve_that_could_not_be_moved_or_seen_is_a_fault() {
    let with = |from: &str, to: &str| value(&format!("{POSITION}{ORDERS}").replace(from, to));
    fault(&value(ORDERS), "6:1 nothing tells where the valve stands");
    fault(&with("valve:open", "leak"), "9:1 nothing tells where the valve stands");
    fault(&with("code = 6", "code = 7"), "10:17 function_code must be 5, 6 or 16");
    fault(&with("open = 1", "open = 2"), "9:1 the valve is opened and closed by the same order");
    fault(&with("open = 1", "open = 65536"), "12:8 open must be a number from 0 to 65535");
    fault(&with("open = 1", "open = true"), "12:8 open must be a number");
    for (code, wanted) in [("code = 5", "true or false"), ("code = 16", "a list of 1 to 16")] {
        let faults = faults(&with("code = 6", code));
        assert!(faults.len() == 2 && faults.iter().all(|fault| fault.contains(wanted)), "{faults:?}");
    }
    fault(&with("settle_ms = 15000\n", ""), "9:1 [valve] has no \"settle_ms\"");
    fault(&with("settle_ms = 15000", "settle_ms = 15000\ntravel_ms = 15001"), "15:13 travel_ms must be");
    fault(&with("settle_ms", "settle_ms = 1\nsettle"), "15:1 [valve] has no key \"settle\"");
    fault(&with("at = 28\nopen", "at = 65536\nopen"), "11:6 at must be");
    let long = with("code = 6", "code = 16")
        .replace("open = 1", "open = [1, 1]")
        .replace("close = 2", "close = [2, 2]");
    fault(&long.replace("at = 28\nopen", "at = 65535\nopen"), "11:6 2 registers from here");
}

#[test]
fn scales_are_taken_digit_by_digit() {
    let scale = |text: &str| match Profile::parse(&value(&format!("scale = {text}")))
        .unwrap()
        .values
        .remove(0)
        .amount
        .scale
    {
        Scale::Fixed(number) => number.to_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!(scale("0.001"), "0.001");
    assert_eq!(scale("0.1000000000000000055511151231"), "0.1000000000000000055511151231");
    assert_eq!(scale("1e-3"), "0.001");
    assert_eq!(scale("+1_000"), "1000");
    fault(&value("scale = nan"), "6:9 scale must be a decimal number");
    fault(&value("scale = 0x10"), "6:9 scale must be a decimal number");
}

#[test]
fn a_profile_has_bounds() {
    fault(&" ".repeat(300_000), "1:1 the profile is longer than");
    let many: String = (0..257).map(|n| format!("{VALUE}storage = {n}\n")).collect();
    fault(&format!("{MODEL}{many}"), "1282:1 more than 256 [[value]]");
}

#[test]
fn deep_nesting_is_a_fault_and_no_overflow() {
    let deep = format!("model = {}1{}", "[".repeat(50_000), "]".repeat(50_000));
    assert!(Profile::parse(&deep).is_err());
}

proptest! {
    #[test]
    fn no_text_panics(text in ".{0,200}") {
        let _ = Profile::parse(&text);
    }

    #[test]
    fn no_damage_to_a_good_profile_panics_and_every_fault_has_a_place(
        which in 0_usize..12, at in 0_usize..2000, length in 0_usize..12, put in "[a-z0-9=\"{}\\[\\]\\n.#-]{0,6}",
    ) {
        let name = crate::profiles::names().nth(which).unwrap();
        let text: Vec<char> = crate::profiles::text(name).unwrap().chars().collect();
        let at = at % text.len();
        let end = (at + length).min(text.len());
        let damaged: String = text[..at].iter().copied().chain(put.chars()).chain(text[end..].iter().copied()).collect();
        if let Err(faults) = Profile::parse(&damaged) {
            prop_assert!(!faults.is_empty());
            for fault in faults {
                prop_assert!(damaged.get(fault.span.clone()).is_some(), "{:?}", fault);
            }
        }
    }
}
