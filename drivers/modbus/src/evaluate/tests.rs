//! What a profile makes of registers.

use proptest::prelude::*;

use super::*;

fn profile(text: &str) -> Profile {
    Profile::parse(&format!("model = \"test\"\n{text}")).unwrap()
}

fn image(start: u16, registers: &[u16]) -> Image {
    let mut image = Image::default();
    let data = registers.iter().flat_map(|register| register.to_be_bytes()).collect();
    image.add(FunctionCode::ReadHoldingRegisters, start, data);
    image
}

fn first(profile: &Profile, image: &Image) -> Value {
    answer(profile, image, KeepRaw::Uninterpreted).values.remove(0)
}

fn shown(value: &Value) -> String {
    let unit = value.unit.as_ref().map(|unit| format!(" {unit}")).unwrap_or_default();
    match &value.content {
        Content::Number(number) => format!("{number}{unit}"),
        Content::Invalid(why) => format!("!{why}"),
        other => format!("{other:?}"),
    }
}

const VOLUME: &str = "[[value]]\nquantity = \"volume\"\nat = 0\ntype = \"u32\"\n";

#[test]
fn a_scale_keeps_its_places() {
    let map = profile(&format!("{VOLUME}unit = \"m3\"\nscale = 0.001\n"));
    assert_eq!(shown(&first(&map, &image(0, &[1, 0xE1DC]))), "123.356 m3");
    assert_eq!(shown(&first(&map, &image(0, &[0, 1000]))), "1.000 m3");
    let map = profile(&format!("{VOLUME}unit = \"l\"\nscale = 10\n"));
    assert_eq!(shown(&first(&map, &image(0, &[0xFFFF, 0xFFFF]))), "42949672950 l");
}

#[test]
fn whole_part_and_fraction_are_added_exactly() {
    let map =
        profile(&format!("{VOLUME}unit = \"m3\"\nplus = {{ at = 2, type = \"i32\", scale = 0.000001 }}\n"));
    assert_eq!(shown(&first(&map, &image(0, &[0, 1234, 0x0001, 0xE240]))), "1234.123456 m3");
}

#[test]
fn scale_and_unit_come_from_registers() {
    let map = profile(&format!(
        "{VOLUME}scale_from = {{ at = 2, codes = {{ 1 = 0.001, 0x08 = 10000 }} }}
         unit_from = {{ at = 3, codes = {{ 0 = \"m3\", 8 = \"l\" }} }}"
    ));
    assert_eq!(shown(&first(&map, &image(0, &[0, 5, 1, 0]))), "0.005 m3");
    assert_eq!(shown(&first(&map, &image(0, &[0, 5, 8, 8]))), "50000 l");
    assert_eq!(shown(&first(&map, &image(0, &[0, 5, 2, 0]))), "!scale code 2 is not in the profile");
    let unknown_unit = first(&map, &image(0, &[0, 5, 1, 3]));
    assert_eq!(shown(&unknown_unit), "!unit code 3 is not in the profile");
    assert_eq!(unknown_unit.raw, Some(Raw(vec![0, 0, 0, 5])));
}

#[test]
fn a_scale_register_may_hold_the_power_of_ten() {
    let map = profile(&format!("{VOLUME}scale_from = {{ at = 2, type = \"i16\" }}"));
    assert_eq!(shown(&first(&map, &image(0, &[0, 125, 0xFFFE]))), "1.25");
    assert_eq!(shown(&first(&map, &image(0, &[0, 125, 3]))), "125000");
    let absurd = shown(&first(&map, &image(0, &[0, 125, 0x7FFF])));
    assert_eq!(absurd, "!the scale register holds no power of ten");
    let map = profile(&format!("{VOLUME}scale_from = {{ at = 2, type = \"f32\" }}"));
    assert_eq!(shown(&first(&map, &image(0, &[0, 125, 0x3FC0, 0]))), absurd, "1.5 is no exponent");
}

#[test]
fn an_invalid_value_keeps_its_bytes_and_the_rest_stands() {
    let map = profile(&format!(
        "{VOLUME}unit = \"m3\"\ninvalid = [0xFFFFFFFF]
         [[value]]\nquantity = \"pressure\"\nunit = \"bar\"\nat = 2\ntype = \"f32\""
    ));
    let answer = answer(&map, &image(0, &[0xFFFF, 0xFFFF, 0x3FC0, 0]), KeepRaw::Uninterpreted);
    assert_eq!(shown(&answer.values[0]), "!the meter marks it invalid: 0xFFFFFFFF");
    assert_eq!(answer.values[0].raw, Some(Raw(vec![0xFF; 4])));
    assert_eq!(shown(&answer.values[1]), "1.5 bar");
    assert_eq!(answer.values[1].raw, None);
}

#[test]
fn values_outside_the_image_are_left_out() {
    let map = profile(&format!("{VOLUME}[[value]]\nquantity = \"pressure\"\nat = 9\ntype = \"u16\""));
    assert_eq!(answer(&map, &image(0, &[0, 1, 2]), KeepRaw::All).values.len(), 1);
    assert!(answer(&map, &image(1, &[0, 1]), KeepRaw::All).values.is_empty());
}

const VALVE: &str = "[[status]]\nat = 0x1C
    bits = { 0 = \"valve:open\", 1 = \"valve:closed\", 2 = \"valve:fault\", 3 = \"battery-low\", 4 = \"leak\", 5 = \"ok\" }\n";

#[test]
fn status_bits_become_valve_battery_and_alarms() {
    let map = profile(&format!("{VOLUME}{VALVE}"));
    let status = |bits| answer(&map, &image(0x1C, &[bits]), KeepRaw::All).status;
    let told = |bits| {
        let status = status(bits);
        (status.valve.unwrap(), status.battery_low.unwrap(), status.alarms.join(" "))
    };
    assert_eq!(told(0b1), (Valve::Open, false, String::new()));
    assert_eq!(told(0b1010), (Valve::Closed, true, String::new()));
    assert_eq!(told(0b101), (Valve::Fault, false, String::new()));
    assert_eq!(told(0b11), (Valve::Unknown, false, String::new()));
    assert_eq!(told(0), (Valve::Unknown, false, String::new()));
    assert_eq!(told(0b11_0001), (Valve::Open, false, "leak".into()));
    assert_eq!(told(0x8001), (Valve::Open, false, "bit-15".into()));
    let nothing_read = answer(&map, &image(0, &[0, 1]), KeepRaw::All).status;
    assert_eq!(nothing_read, Status::default());
}

#[test]
fn status_codes_are_looked_up_whole() {
    let map =
        profile(&format!("{VOLUME}[[status]]\nat = 7\ncodes = {{ 0x55 = \"empty-pipe\", 0xAA = \"ok\" }}"));
    let alarms = |code| answer(&map, &image(7, &[code]), KeepRaw::All).status.alarms;
    assert_eq!(alarms(0x55), ["empty-pipe"]);
    assert!(alarms(0xAA).is_empty());
    assert_eq!(alarms(0x56), ["code-86"]);
    assert_eq!(answer(&map, &image(7, &[0]), KeepRaw::All).status.valve, None);
}

#[test]
fn an_alarm_that_two_registers_tell_is_told_once() {
    let twice = "[[status]]\nat = 7\nbits = { 0 = \"leak\" }\n[[status]]\nat = 8\nbits = { 3 = \"leak\" }";
    let map = profile(&format!("{VOLUME}{twice}"));
    assert_eq!(answer(&map, &image(7, &[1, 8]), KeepRaw::All).status.alarms, ["leak"]);
}

#[test]
fn clocks_are_read_in_binary_and_in_bcd() {
    let binary = profile(&format!(
        "{VOLUME}[clock]\nat = 0\nregisters = 6\nencoding = \"binary\"\nlayout = \"--DDMMYYhhmm\""
    ));
    let time = |map: &Profile, registers: &[u16]| {
        answer(map, &image(0, registers), KeepRaw::All).meter_time.map(|time| time.to_string())
    };
    assert_eq!(time(&binary, &[2, 23, 11, 26, 3, 14]).unwrap(), "2026-11-23T03:14:00");
    assert_eq!(time(&binary, &[2, 31, 2, 26, 3, 14]), None);
    assert_eq!(time(&binary, &[2, 0xFFFF, 0xFFFF, 0xFFFF, 3, 14]), None);
    let bcd = profile(&format!(
        "{VOLUME}[clock]\nat = 0\nregisters = 4\nencoding = \"bcd\"\nlayout = \"YYMDhms-\""
    ));
    assert_eq!(time(&bcd, &[0x2026, 0x1123, 0x0314, 0x5900]).unwrap(), "2026-11-23T03:14:59");
    assert_eq!(time(&bcd, &[0x2026, 0x11A3, 0x0314, 0x5900]), None);
    assert_eq!(time(&bcd, &[0x2026, 0x111A, 0x0314, 0x5900]), None);
}

#[test]
fn the_identity_is_the_profiles_and_the_serial_number_the_meters() {
    let map = profile(&format!(
        "[identity]\nmanufacturer = \"BOVE\"\nmedium = \"cold-water\"
         number = {{ at = 0, type = \"bcd\", registers = 2 }}\n{VOLUME}"
    ));
    let identity = answer(&map, &image(0, &[0x0034, 0x5678]), KeepRaw::All).identity;
    assert_eq!(identity.number.as_deref(), Some("00345678"));
    assert_eq!(identity.manufacturer.as_deref(), Some("BOVE"));
    assert_eq!(identity.medium, Some(weir_wire::Medium::ColdWater));
    assert_eq!(answer(&map, &image(0, &[0xFFFF, 0xFFFF]), KeepRaw::All).identity.number, None);
}

proptest! {
    #[test]
    fn no_registers_panic_any_shipped_profile(seed in prop::collection::vec(any::<u16>(), 1..200)) {
        for name in crate::profiles::names() {
            let profile = crate::profiles::load(name).unwrap().unwrap();
            let mut image = Image::default();
            for block in profile.requests() {
                let registers = seed.iter().cycle().take(block.count.into());
                image.add(block.function, block.start, registers.flat_map(|r| r.to_be_bytes()).collect());
            }
            let answer = answer(&profile, &image, KeepRaw::Uninterpreted);
            prop_assert_eq!(answer.values.len(), profile.values.len());
        }
    }
}
