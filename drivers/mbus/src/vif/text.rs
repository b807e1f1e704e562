//! Plain-text VIF (7C, FC): in which order its characters stand, and the few texts that say for certain what is meant.
//!
//! A text names a unit or a thing, as the manufacturer likes. Only texts that can mean nothing else get a quantity of
//! their own; the others keep their words: `text:cust. ID`.

use super::{Meaning, Quantity, Sign, Unit};
use crate::{VifText, data};

/// Words that are seen in the place of a VIF. Read backwards none of them is another one.
const WORDS: &[&str] = &[
    "%",
    "%RH",
    "A",
    "C",
    "Hz",
    "IMP",
    "J",
    "K",
    "MJ",
    "GJ",
    "MWh",
    "V",
    "VA",
    "VAh",
    "W",
    "Wh",
    "bar",
    "bat. time",
    "cust. ID",
    "gal",
    "ft3",
    "hPa",
    "kVA",
    "kVAh",
    "kVAr",
    "kVArh",
    "kW",
    "kWh",
    "kg",
    "l",
    "l/h",
    "l/min",
    "l/s",
    "lux",
    "m/s",
    "m3",
    "m3/h",
    "mA",
    "mV",
    "mbar",
    "min",
    "pH",
    "ppm",
    "pulses",
    "rpm",
    "uS/cm",
    "°C",
    "°F",
    "m³",
    "m³/h",
];
/// A capital and so many small letters behind it are the beginning of a word.
const SMALL_LETTERS_MIN: usize = 3;

/// The text as it is to be read.
pub(super) fn read(sent: &[u8], order: VifText) -> String {
    let reversed = data::text(sent);
    let as_sent: String = reversed.chars().rev().collect();
    match order {
        VifText::Reversed => reversed,
        VifText::AsSent => as_sent,
        VifText::Auto if is_as_sent(&reversed, &as_sent) => as_sent,
        VifText::Auto => reversed,
    }
}

/// Whether the standard's order makes less sense than the other one.
fn is_as_sent(reversed: &str, as_sent: &str) -> bool {
    let is_known = |text: &str| WORDS.contains(&text.trim());
    !is_known(reversed) && (is_known(as_sent) || (begins_a_word(as_sent) && !begins_a_word(reversed)))
}

fn begins_a_word(text: &str) -> bool {
    let mut letters = text.trim_start().chars();
    letters.next().is_some_and(char::is_uppercase)
        && letters.take_while(|letter| letter.is_lowercase()).count() >= SMALL_LETTERS_MIN
}

/// What a text means.
pub(super) fn meaning(text: &str) -> Meaning {
    match text {
        "%RH" => Meaning::measured(Quantity::RelativeHumidity, Unit::Percent, 0),
        other => Meaning::number(Quantity::Other(format!("text:{other}").into()), Sign::Signed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn auto(sent: &str) -> String {
        read(sent.as_bytes(), VifText::Auto)
    }

    #[test]
    fn the_order_can_be_set() {
        assert_eq!(read(b"HR%", VifText::Reversed), "%RH");
        assert_eq!(read(b"%RH", VifText::Reversed), "HR%");
        assert_eq!(read(b"%RH", VifText::AsSent), "%RH");
        assert_eq!(read(b"HR%", VifText::AsSent), "HR%");
    }

    #[test]
    fn the_order_is_guessed_where_the_text_tells_and_is_the_standards_where_it_does_not() {
        // Real meters: Elvaco CMa, and the customer's number and battery time of a Sensus PolluTherm.
        for sent in ["HR%", "DI .tsuc", "emit .tab"] {
            assert_eq!(auto(sent), sent.chars().rev().collect::<String>());
        }
        for as_sent in ["%RH", "kWh", "m3/h", "l/h", "Temperature", "Zone 1"] {
            let reversed: String = as_sent.chars().rev().collect();
            assert_eq!(auto(as_sent), as_sent, "as sent");
            assert_eq!(auto(&reversed), as_sent, "reversed");
        }
        assert_eq!(auto("cba"), "abc", "no word known here: as the standard says");
        assert_eq!(auto("IU#"), "#UI");
        assert_eq!(auto(""), "");
    }

    #[test]
    fn no_word_is_another_one_read_backwards() {
        for word in WORDS.iter().filter(|word| word.chars().count() > 1) {
            let reversed: String = word.chars().rev().collect();
            assert!(!WORDS.contains(&&*reversed), "{word}");
        }
    }
}
