//! What is wrong with a profile, and where: the same for every driver whose meters are described in TOML.

use std::fmt;
use std::ops::Range;

use toml::de::{DeTable, DeValue};

/// One fault of a profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileFault {
    /// The offending bytes of the text; empty where something is missing at that place.
    pub span: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What would be right, where that can be said.
    pub hint: Option<String>,
}

impl ProfileFault {
    /// What a text is no profile for at all: not TOML, an unknown key, a value of the wrong kind.
    pub fn of_toml(error: &toml::de::Error) -> Self {
        let message = error.message().lines().collect::<Vec<_>>().join(", ");
        Self { span: error.span().unwrap_or_default(), message, hint: None }
    }

    /// A value that cannot be, under the key at the end of this path of tables: `["status", "valve_bit"]`. An index into
    /// a list is a number.
    pub fn of_value(text: &str, path: &[&str], why: impl fmt::Display) -> Self {
        Self { span: place_of(text, path), message: format!("{}: {why}", path.join(".")), hint: None }
    }

    /// Line and column of the fault in the text it was found in, both from 1.
    pub fn position(&self, text: &str) -> (usize, usize) {
        let before = text.get(..self.span.start).unwrap_or(text);
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        (line, column)
    }
}

impl fmt::Display for ProfileFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, " ({hint})"))
    }
}

impl std::error::Error for ProfileFault {}

/// Where the value at this path stands, or as much of the path as is there.
fn place_of(text: &str, path: &[&str]) -> Range<usize> {
    let Ok(document) = DeTable::parse(text) else { return 0..0 };
    let mut span = document.span();
    let root = DeValue::Table(document.into_inner());
    let mut at = &root;
    for key in path {
        let next = match at {
            DeValue::Table(table) => table.get(*key),
            DeValue::Array(items) => key.parse::<usize>().ok().and_then(|index| items.get(index)),
            _ => None,
        };
        let Some(next) = next else { break };
        span = next.span();
        at = next.get_ref();
    }
    span
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "a = 1\n[status]\nvalve_bit = 15\n[[read]]\ndi = 1\n[[read]]\ndi = 222\n";

    #[test]
    fn a_value_is_found_by_its_path() {
        let place = |path: &[&str]| ProfileFault::of_value(TEXT, path, "no").span;
        assert_eq!(&TEXT[place(&["status", "valve_bit"])], "15");
        assert_eq!(&TEXT[place(&["read", "1", "di"])], "222");
        assert_eq!(&TEXT[place(&["a", "b"])], "1", "as far as it goes");
        let fault = ProfileFault::of_value(TEXT, &["status", "valve_bit"], "15 is over 14");
        assert_eq!(
            (fault.position(TEXT), fault.to_string().as_str()),
            ((3, 13), "status.valve_bit: 15 is over 14")
        );
    }

    #[test]
    fn what_is_no_toml_has_its_place_too() {
        let text = "a = 1\nb = = 2\n";
        let error = toml::from_str::<toml::Table>(text).unwrap_err();
        assert_eq!(ProfileFault::of_toml(&error).position(text).0, 2);
    }
}
