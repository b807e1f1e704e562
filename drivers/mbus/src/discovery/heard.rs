//! What a search hears, sorted: nothing, an acknowledgement, one answer, or more than one meter would say.

use weir_meter::{Fault, Line};

use super::SearchError;
use crate::frame;
use crate::link::with_bit;

/// What was heard in the window after a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    Nothing,
    Acknowledge,
    /// Exactly one sound frame of a meter, and nothing beside it.
    Answer(Vec<u8>),
    /// Anything else: damaged, doubled, cut off.
    Jumble,
}

/// Sends a request, again after silence as long as tries are left, and sorts what is heard.
pub(super) async fn hear(line: &mut dyn Line, request: &[u8], tries: u8) -> Result<Heard, SearchError> {
    for _ in 0..tries.max(1) {
        let heard = match line.hear(request).await {
            Ok(bytes) if bytes.starts_with(request) => return Err(SearchError::Echo),
            Ok(bytes) => sort(&bytes),
            Err(Fault::Garbled { .. }) => Heard::Jumble,
            Err(Fault::Silent { .. }) => return Err(SearchError::NoEcho),
            Err(fault) => return Err(fault.into()),
        };
        if heard != Heard::Nothing {
            return Ok(heard);
        }
    }
    Ok(Heard::Nothing)
}

/// Asks whoever listens at this address for its readings; once more where that gave a jumble and `is_last` says that no
/// narrower question is left. After a jumble only two answers alike are believed: noise strikes at times, a collision always.
///
/// Where the link has just begun anew the first frame count bit is 1; what is asked again here keeps it.
pub(super) async fn readings(
    line: &mut dyn Line,
    address: u8,
    frame_count: bool,
    tries: u8,
    is_last: bool,
) -> Result<Heard, SearchError> {
    let request = frame::short(with_bit(frame::REQ_UD2, frame_count), address);
    let first = hear(line, &request, tries).await?;
    if !is_last || matches!(first, Heard::Answer(_)) {
        return Ok(first);
    }
    let mut before = first;
    for _ in 0..JUMBLES_MAX {
        let heard = hear(line, &request, tries).await?;
        if heard == before && heard != Heard::Jumble {
            return Ok(heard);
        }
        before = heard;
    }
    Ok(Heard::Jumble)
}

/// How often a jumble is asked about again.
const JUMBLES_MAX: usize = 3;

fn sort(bytes: &[u8]) -> Heard {
    match bytes {
        [] => Heard::Nothing,
        [frame::ACKNOWLEDGE] => Heard::Acknowledge,
        bytes => {
            let bytes = without_idle(bytes);
            match frame::parse(bytes) {
                Ok(frame) if frame::no_answer(&frame).is_none() => Heard::Answer(bytes.to_vec()),
                _ => Heard::Jumble,
            }
        }
    }
}

/// A frame without the zero and FF bytes that converters add when the bus changes direction.
fn without_idle(bytes: &[u8]) -> &[u8] {
    let is_idle = |byte: &u8| matches!(byte, 0x00 | 0xFF);
    let start = bytes.iter().take(IDLE_BYTES_MAX).take_while(|byte| is_idle(byte)).count();
    let end = bytes.iter().rev().take(IDLE_BYTES_MAX).take_while(|byte| is_idle(byte)).count();
    bytes.get(start..bytes.len().saturating_sub(end)).unwrap_or_default()
}

/// More than one at either end is no turn of direction but somebody else's damaged answer.
const IDLE_BYTES_MAX: usize = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_sound_frame_alone_is_an_answer() {
        let frame = frame::long(0x08, 5, 0x78, &[0x01, 0x13, 7]).unwrap();
        let mut broken = frame.clone();
        broken[9] ^= 1;
        let request = frame::short(frame::SND_NKE, 5).to_vec();
        assert_eq!(sort(&[]), Heard::Nothing);
        assert_eq!(sort(&[0xE5]), Heard::Acknowledge);
        assert_eq!(sort(&frame), Heard::Answer(frame.clone()));
        assert_eq!(sort(&[&[0x00][..], &frame, &[0xFF]].concat()), Heard::Answer(frame.clone()));
        for jumble in [
            vec![0xE5, 0xE5],
            vec![0xE1],
            broken,
            [frame.clone(), frame.clone()].concat(),
            [frame.clone(), vec![0xE5]].concat(),
            frame[..8].to_vec(),
            request,
            frame::long(0x53, 5, 0x78, &[1]).unwrap(),
        ] {
            assert_eq!(sort(&jumble), Heard::Jumble, "{jumble:02X?}");
        }
    }
}
