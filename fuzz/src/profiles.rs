//! Profiles: any text, and where it is a good profile, registers read by it.
//!
//! Holds also: a text that is refused has a fault, and every fault a place in the text.

use weir_meter::ProfileFault;
use weir_modbus::Profile;

use crate::{modbus, selected, under};

const MODBUS: u8 = 0;
const CJT188: u8 = 1;
const MBUS: u8 = 2;

/// With every key there is.
const OF_MBUS: &str = "model = \"m\"\nvif_text = \"as-sent\"\n[[keep]]\nquantity = \"volume\"\nstorage = 1\nname = \"n\"\n\
                       [[keep]]\nquantity = \"volume-flow\"\nfunction = \"maximum\"\ntariff = \"any\"\nsubunit = 2\n";

/// Looks at one input.
pub fn run(data: &[u8]) {
    let Some((selector, rest)) = selected(data) else { return };
    let Ok(text) = std::str::from_utf8(rest) else { return };
    match selector % 3 {
        MODBUS => of_modbus(text),
        MBUS => weir_mbus::Profile::parse(text).err().iter().for_each(|faults| have_places(faults, text)),
        _ => weir_cjt188::Profile::parse(text).err().iter().for_each(|faults| have_places(faults, text)),
    }
}

fn of_modbus(text: &str) {
    match Profile::parse(text) {
        Ok(profile) => {
            // All registers alike, in one of the ways that matter to some type; and all different.
            let pattern = [0x00, 0x01, 0x45, 0x7F, 0x80, 0x99, 0xFF].get(text.len() % 8);
            match pattern {
                Some(pattern) => modbus::registers(&profile, &[*pattern; 250]),
                None => modbus::registers(&profile, text.as_bytes()),
            }
            assert!(!profile.rows().is_empty());
            let _ = profile.valve();
        }
        Err(faults) => have_places(&faults, text),
    }
}

pub(crate) fn have_places(faults: &[ProfileFault], text: &str) {
    assert!(!faults.is_empty(), "refused without a fault");
    for fault in faults {
        assert!(text.get(fault.span.clone()).is_some(), "{fault} stands nowhere");
        let (line, column) = fault.position(text);
        assert!(line > 0 && column > 0 && !fault.to_string().is_empty());
    }
}

/// The shipped profiles, without their comments, and a few lines by themselves.
pub fn seeds() -> Vec<Vec<u8>> {
    let shipped = weir_modbus::profiles::names().filter_map(weir_modbus::profiles::text);
    let dialects = weir_cjt188::Profile::BUILT_IN.iter().map(|(_, text)| *text);
    let modbus = shipped.map(|text| under(MODBUS, &bare(text)));
    let dialects = dialects.map(|text| under(CJT188, &bare(text)));
    modbus.chain(dialects).chain([under(MBUS, OF_MBUS.as_bytes())]).collect()
}

fn bare(text: &str) -> Vec<u8> {
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines.flat_map(|line| [line, "\n"]).collect::<String>().into_bytes()
}
