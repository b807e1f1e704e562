//! Telegrams as people write them: hex digits with any spacing, several lines, `0x`, commas or colons between bytes.

/// Why a text is not hex.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum HexError {
    /// Something else than hex digits and spacing.
    #[error("line {line}, column {column}: {found:?} is no hex digit")]
    NotHex { line: usize, column: usize, found: char },
    /// A byte has two digits.
    #[error("line {line}, column {column}: a byte of one digit")]
    HalfByte { line: usize, column: usize },
    /// Nothing to decode.
    #[error("no bytes")]
    Empty,
}

/// The bytes that a text names. `#` begins a comment to the end of its line.
pub(super) fn parse(text: &str) -> Result<Vec<u8>, HexError> {
    let mut bytes = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line_number = number + 1;
        let line = line.split('#').next().unwrap_or_default();
        let mut high: Option<(u8, usize)> = None;
        let mut characters = line.chars().enumerate().peekable();
        while let Some((index, character)) = characters.next() {
            let column = index + 1;
            let digit = character.to_digit(16).and_then(|digit| u8::try_from(digit).ok());
            match (digit, high.take()) {
                (Some(0), None) if characters.next_if(|(_, next)| matches!(next, 'x' | 'X')).is_some() => {}
                (Some(digit), None) => high = Some((digit, column)),
                (Some(digit), Some((high, _))) => bytes.push(high << 4 | digit),
                (None, None) if is_spacing(character) => {}
                (None, Some((_, column))) if is_spacing(character) => {
                    return Err(HexError::HalfByte { line: line_number, column });
                }
                (None, _) => return Err(HexError::NotHex { line: line_number, column, found: character }),
            }
        }
        if let Some((_, column)) = high {
            return Err(HexError::HalfByte { line: line_number, column });
        }
    }
    if bytes.is_empty() { Err(HexError::Empty) } else { Ok(bytes) }
}

fn is_spacing(character: char) -> bool {
    character.is_whitespace() || matches!(character, ',' | ':' | '-' | ';')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bytes_are_read_as_people_write_them() {
        for text in ["68 16", "6816", "68:16", "0x68, 0x16", "68\n16\n", "68 # start\n16 # stop", "68-16"] {
            assert_eq!(parse(text), Ok(vec![0x68, 0x16]), "{text:?}");
        }
        assert_eq!(parse("00 0A"), Ok(vec![0, 10]));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        assert_eq!(parse("68\n1G"), Err(HexError::NotHex { line: 2, column: 2, found: 'G' }));
        assert_eq!(parse("68 1X"), Err(HexError::NotHex { line: 1, column: 5, found: 'X' }));
        assert_eq!(parse("68 G1"), Err(HexError::NotHex { line: 1, column: 4, found: 'G' }));
        assert_eq!(parse("68 1 16"), Err(HexError::HalfByte { line: 1, column: 4 }));
        assert_eq!(parse("68 1"), Err(HexError::HalfByte { line: 1, column: 4 }));
        assert_eq!(parse("68 1 # 6"), Err(HexError::HalfByte { line: 1, column: 4 }));
        let told = parse("68 1X").unwrap_err().to_string();
        assert_eq!(told, "line 1, column 5: 'X' is no hex digit");
        assert_eq!(parse(" \n # nothing"), Err(HexError::Empty));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,60}") {
            let _ = parse(&text);
        }
    }
}
