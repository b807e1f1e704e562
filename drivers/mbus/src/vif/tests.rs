//! Value information by its bytes: what it measures, scaled, and what must not be passed off as plain.

use super::*;
use proptest::prelude::*;

/// What a 32-bit 12345678 behind these value information bytes says.
fn shown(codes: &[u8]) -> String {
    shown_with(codes, &12_345_678_u32.to_le_bytes())
}

fn shown_with(codes: &[u8], data: &[u8]) -> String {
    let (vib, length) = split(codes, VifText::Auto).unwrap();
    assert_eq!(length, codes.len());
    let meaning = vib.meaning();
    let content = match meaning.content(&Datum::Integer(data)) {
        Content::Number(number) => number.to_string(),
        Content::Text(text) => format!("{text:?}"),
        Content::Date(date) => date.to_string(),
        Content::DateTime(moment) => moment.to_string(),
        Content::Invalid(why) => format!("invalid: {why}"),
        Content::Opaque => "opaque".into(),
    };
    let unit = meaning.unit.map(|unit| format!(" {unit}")).unwrap_or_default();
    format!("{} {content}{unit}", meaning.quantity)
}

#[test]
fn every_primary_code_has_its_quantity_scale_and_unit() {
    for (code, expected) in [
        (0x00, "energy 12345.678 Wh"),
        (0x07, "energy 123456780000 Wh"),
        (0x08, "energy 12345678 J"),
        (0x0F, "energy 123456780000000 J"),
        (0x10, "volume 12.345678 m3"),
        (0x13, "volume 12345.678 m3"),
        (0x17, "volume 123456780 m3"),
        (0x18, "mass 12345.678 kg"),
        (0x1F, "mass 123456780000 kg"),
        (0x20, "on-time 12345678 s"),
        (0x23, "on-time 12345678 d"),
        (0x25, "operating-time 12345678 min"),
        (0x26, "operating-time 12345678 h"),
        (0x28, "power 12345.678 W"),
        (0x2F, "power 123456780000 W"),
        (0x30, "power 12345678 J/h"),
        (0x37, "power 123456780000000 J/h"),
        (0x38, "volume-flow 12.345678 m3/h"),
        (0x3F, "volume-flow 123456780 m3/h"),
        (0x40, "volume-flow 1.2345678 m3/min"),
        (0x47, "volume-flow 12345678 m3/min"),
        (0x48, "volume-flow 0.012345678 m3/s"),
        (0x4F, "volume-flow 123456.78 m3/s"),
        (0x50, "mass-flow 12345.678 kg/h"),
        (0x57, "mass-flow 123456780000 kg/h"),
        (0x58, "flow-temperature 12345.678 degC"),
        (0x5B, "flow-temperature 12345678 degC"),
        (0x5D, "return-temperature 123456.78 degC"),
        (0x62, "temperature-difference 1234567.8 K"),
        (0x64, "external-temperature 12345.678 degC"),
        (0x69, "pressure 123456.78 bar"),
        (0x6E, "heat-cost-allocation 12345678"),
        (0x6F, "vif:6F 12345678"),
        (0x71, "averaging-duration 12345678 min"),
        (0x74, "actuality-duration 12345678 s"),
        (0x78, "fabrication-number \"12345678\""),
        (0x79, "enhanced-identification \"12345678\""),
        (0x7A, "bus-address 12345678"),
        (0x7B, "vif:7B 12345678"),
        (0x7D, "vif:7D 12345678"),
        (0x7E, "vif:7E 12345678"),
        (0x7F, "manufacturer-specific 12345678"),
    ] {
        assert_eq!(shown(&[code]), expected, "VIF {code:02X}");
    }
}

#[test]
fn codes_behind_fd_and_fb() {
    for (codes, expected) in [
        (&[0xFD, 0x08][..], "access-number 12345678"),
        (&[0xFD, 0x0C], "model-version \"12345678\""),
        (&[0xFD, 0x10], "customer-location \"12345678\""),
        (&[0xFD, 0x17], "error-flags 12345678"),
        (&[0xFD, 0x27], "storage-interval 12345678 d"),
        (&[0xFD, 0x28], "storage-interval 12345678 month"),
        (&[0xFD, 0x2E], "duration-since-readout 12345678 h"),
        (&[0xFD, 0x3A], "dimensionless 12345678"),
        (&[0xFD, 0x46], "voltage 12345.678 V"),
        (&[0xFD, 0x5C], "current 12345678 A"),
        (&[0xFD, 0x6D], "battery-operating-time 12345678 d"),
        (&[0xFD, 0x74], "remaining-battery-time 12345678 d"),
        (&[0xFD, 0xFD, 0x02], "remaining-battery-time 12345678 month"),
        (&[0xFD, 0xFD, 0x01], "vif:FDFD01 12345678"),
        (&[0xFD, 0x3B], "vif:FD3B 12345678"),
        (&[0xFB, 0x00], "energy 1234567.8 MWh"),
        (&[0xFB, 0x09], "energy 12345678 GJ"),
        (&[0xFB, 0x11], "volume 12345678000 m3"),
        (&[0xFB, 0x18], "mass 1234567800000 kg"),
        (&[0xFB, 0x1A], "relative-humidity 1234567.8 %"),
        (&[0xFB, 0x21], "volume 1234567.8 ft3"),
        (&[0xFB, 0x29], "power 12345678 MW"),
        (&[0xFB, 0x30], "power 1234567800000000 J/h"),
        // US gallons until 2004, reserved since.
        (&[0xFB, 0x23], "vif:FB23 12345678"),
        (&[0xEF, 0x13], "vif:EF13 12345678"),
        (&[0xFF, 0x13], "vif:FF13 12345678"),
    ] {
        assert_eq!(shown(codes), expected, "{codes:02X?}");
    }
    assert_eq!(shown_with(&[0xFD, 0x09], &[0x16]), "medium \"cold-water\"");
    assert_eq!(shown_with(&[0xFD, 0x0A], &[0x93, 0x15]), "manufacturer \"ELS\"");
    assert_eq!(shown_with(&[0xFD, 0x17], &[0xFF, 0xFF]), "error-flags 65535");
    assert_eq!(shown_with(&[0xFD, 0x70], &[0xDF, 0x1C]), "battery-change 2014-12-31");
}

#[test]
fn extensions_that_only_scale_leave_the_quantity_as_it_is() {
    assert_eq!(shown(&[0x93, 0x70]), "volume 0.012345678 m3");
    assert_eq!(shown(&[0x93, 0x77]), "volume 123456.78 m3");
    assert_eq!(shown(&[0x93, 0x7D]), "volume 12345678 m3");
    assert_eq!(shown(&[0x93, 0xF4, 0x7D]), "volume 123456.78 m3");
    assert_eq!(shown(&[0x93, 0x00]), "volume 12345.678 m3");
    assert_eq!(shown(&[0xFD, 0xC6, 0x7D]), "voltage 12345678 V");
}

#[test]
fn a_one_way_register_is_not_the_net_one() {
    assert_eq!(shown(&[0x93, 0x3B]), "forward-volume 12345.678 m3");
    assert_eq!(shown(&[0x93, 0x3C]), "reverse-volume 12345.678 m3");
    assert_eq!(shown(&[0x86, 0x3C]), "reverse-energy 12345678000 Wh");
    assert_eq!(shown(&[0xBB, 0x3C]), "vif:BB3C 12345.678 m3/h");
}

#[test]
fn extensions_that_make_another_thing_of_a_value_take_its_name_away() {
    for (codes, expected) in [
        (&[0x93, 0x40][..], "vif:9340 12345.678 m3"),
        (&[0x93, 0x68], "vif:9368 12345.678 m3"),
        (&[0x93, 0x69], "vif:9369 12345.678 m3"),
        (&[0x93, 0x7E], "vif:937E 12345.678 m3"),
        (&[0x93, 0x12], "vif:9312 12345.678 m3"),
        (&[0x93, 0x22], "vif:9322 12345.678"),
        (&[0x93, 0x28], "vif:9328 12345.678"),
        (&[0xBB, 0x49], "vif:BB49 12345678"),
        (&[0xBB, 0x5A], "vif:BB5A 12345678 h"),
        (&[0xBB, 0x67], "vif:BB67 12345678 d"),
        (&[0x93, 0x78], "vif:9378 12345678"),
        (&[0x93, 0x3D], "vif:933D 12345678"),
        (&[0x93, 0xFC, 0x74], "vif:93FC74 12345678"),
        (&[0x93, 0xFF, 0x74], "vif:93FF74 12345678"),
        // Once lost, the name does not come back.
        (&[0x93, 0xFE, 0x3B], "vif:93FE3B 12345.678 m3"),
    ] {
        assert_eq!(shown(codes), expected, "{codes:02X?}");
    }
    assert_eq!(shown_with(&[0xDA, 0x6F], &[0x32, 0x14, 0x7A, 0x18]), "vif:DA6F 2011-08-26T20:50:00");
}

#[test]
fn a_record_error_stands_in_for_the_value() {
    assert_eq!(shown(&[0x93, 0x15]), "volume invalid: no data available m3");
    assert_eq!(shown(&[0x93, 0x16]), "volume invalid: data overflow m3");
    assert_eq!(shown(&[0x93, 0xF4, 0x18]), "volume invalid: data error m3");
    for (codes, expected) in [
        (&[0x93, 0x95, 0x49][..], "vif:939549 invalid: no data available"),
        (&[0x93, 0x95, 0x5A], "vif:93955A invalid: no data available h"),
        (&[0x93, 0x95, 0xFC, 0x01], "vif:9395FC01 invalid: no data available"),
        (&[0xFD, 0xBB, 0x15], "vif:FDBB15 invalid: no data available"),
        // Behind these nothing is certain, and so no error either.
        (&[0x93, 0xFC, 0x15], "vif:93FC15 12345678"),
        (&[0x93, 0xFF, 0x15], "vif:93FF15 12345678"),
        (&[0xFF, 0x15], "vif:FF15 12345678"),
    ] {
        assert_eq!(shown(codes), expected, "{codes:02X?}");
    }
}

#[test]
fn a_plain_text_stands_where_elvaco_puts_it() {
    assert_eq!(shown(&[0xFC, 3, b'H', b'R', b'%', 0x74]), "relative-humidity 123456.78 %");
    assert_eq!(shown(&[0x7C, 3, b'c', b'b', b'a']), "text:abc 12345678");
    assert_eq!(shown(&[0x7C, 0]), "text: 12345678");
}

#[test]
fn blocks_that_break_off_or_never_end() {
    assert_eq!(split(&[], VifText::Auto), Err(Broken::EndsInVib));
    assert_eq!(split(&[0x93], VifText::Auto), Err(Broken::EndsInVib));
    assert_eq!(split(&[0x7C], VifText::Auto), Err(Broken::EndsInVib));
    assert_eq!(split(&[0x7C, 3, b'a'], VifText::Auto), Err(Broken::TextTooLong { length: 3, left: 1 }));
    let mut ten = vec![0xF4; 10];
    ten.push(0x74);
    assert_eq!(split(&ten, VifText::Auto).unwrap().1, 11);
    assert_eq!(split(&[0xF4; 12], VifText::Auto), Err(Broken::EndsInVib));
    let mut eleven = vec![0x93; 11];
    eleven.push(0x74);
    assert_eq!(shown(&eleven), "vif:9393939393939393939393 invalid: more than 10 VIFE");
}

#[test]
fn a_date_must_be_coded_as_one() {
    let (vib, _) = split(&[0x6D], VifText::Auto).unwrap();
    let bcd = Datum::Bcd { bytes: &[0x12, 0x34], negative: false };
    assert_eq!(vib.meaning().content(&bcd), Content::Invalid("no date or time is coded like this".into()));
    assert_eq!(vib.meaning().content(&Datum::Missing("no data")), Content::Invalid("no data".into()));
}

proptest! {
    /// A plain name is only given to codes whose every extension is understood as harmless.
    #[test]
    fn no_unknown_extension_leaves_a_volume_a_volume(extensions in prop::collection::vec(any::<u8>(), 1..=5)) {
        let mut codes: Vec<u8> = [0x93].into_iter().chain(extensions.iter().map(|code| code | EXTENSION)).collect();
        if let Some(last) = codes.last_mut() {
            *last &= !EXTENSION;
        }
        let (vib, _) = split(&codes, VifText::Auto).unwrap();
        let harmless = |code: &u8| matches!(
            effect(*code),
            Effect::Neutral | Effect::Scale(_) | Effect::Error(_)
        );
        prop_assert_eq!(vib.meaning().quantity == Quantity::Volume, extensions.iter().all(harmless));
    }
}
