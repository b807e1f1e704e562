//! From a driver's answer to the reading that is stored: times, boot, and only the values and raw bytes that are wanted.

use jiff::Timestamp;
use weir_meter::Answer;
use weir_meter::selection::Selection;
use weir_wire::stored::Reading;
use weir_wire::{Content, Raw};

use super::exchange::{Exchanged, frames};
use crate::clock;

/// Whose reading it is and what it was made for.
pub(super) struct Origin<'a> {
    pub(super) line: &'a str,
    pub(super) meter: &'a str,
    pub(super) driver: &'a str,
    pub(super) scheduled_at: Option<Timestamp>,
    /// Which of the values are wanted; `None` for all.
    pub(super) selection: Option<&'a Selection>,
}

/// The reading of an answer that has just come.
///
/// The answer's own raw bytes are the whole frame's, whatever was selected. Raw bytes stay only on request, except on
/// values that say nothing without them. What passed stands in for a driver that gives no raw bytes itself.
pub(super) fn reading(
    origin: &Origin<'_>,
    mut answer: Answer,
    passed: &[Exchanged],
    keep_raw: bool,
) -> Reading {
    let clock::Dated { wall, clock, boot, uptime_ms } = clock::dated();
    if let Some(selection) = origin.selection {
        answer.values = selection.apply(answer.values);
    }
    if keep_raw {
        answer.raw = answer.raw.or_else(|| Some(Raw(frames(passed))));
    } else {
        answer.raw = None;
        let mut values = answer.values.iter_mut();
        values.by_ref().filter(|value| !says_nothing(&value.content)).for_each(|value| value.raw = None);
    }
    Reading {
        line: origin.line.to_owned(),
        meter: origin.meter.to_owned(),
        driver: origin.driver.to_owned(),
        scheduled_at: origin.scheduled_at,
        read_at: wall,
        clock,
        boot,
        uptime_ms,
        answer,
    }
}

fn says_nothing(content: &Content) -> bool {
    matches!(content, Content::Opaque | Content::Invalid(_))
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_meter::selection::{Keep, MISSING};
    use weir_wire::{Quantity, Value};

    fn answer() -> Answer {
        let with_raw = |content| Value { raw: Some(Raw(vec![7])), ..Value::new(Quantity::Volume, content) };
        let contents = [Content::Text("x".into()), Content::Opaque, Content::Invalid("BCD digit A".into())];
        Answer { values: contents.map(with_raw).into(), ..Answer::default() }
    }

    /// Two frames, and one try between them that was not answered.
    fn passed() -> [Exchanged; 3] {
        [Ok(vec![1]), Err(weir_meter::Fault::garbled("x")), Ok(vec![2])].map(|answer| Exchanged {
            request: vec![8],
            answer,
            repeats: 0,
        })
    }

    #[test]
    fn raw_bytes_stay_where_they_are_all_there_is_and_elsewhere_only_on_request() {
        let origin = Origin { line: "l", meter: "m", driver: "d", scheduled_at: None, selection: None };
        let raws =
            |reading: &Reading| reading.answer.values.iter().map(|v| v.raw.is_some()).collect::<Vec<_>>();
        let plain = reading(&origin, answer(), &passed(), false);
        assert_eq!((raws(&plain), plain.answer.raw), (vec![false, true, true], None));
        let kept = reading(&origin, answer(), &passed(), true);
        assert_eq!((raws(&kept), kept.answer.raw), (vec![true; 3], Some(Raw(vec![1, 2]))));
        let own = Answer { raw: Some(Raw(vec![9])), ..answer() };
        assert_eq!(reading(&origin, own, &passed(), true).answer.raw, Some(Raw(vec![9])));
    }

    #[test]
    fn only_selected_values_stay_with_their_names_and_the_frame_as_a_whole() {
        let keep = Keep { name: Some("flat".into()), ..Keep::main(Quantity::Customer) };
        let selection = Selection::new(vec![keep, Keep::main(Quantity::Energy)]).unwrap();
        let origin =
            Origin { line: "l", meter: "m", driver: "d", scheduled_at: None, selection: Some(&selection) };
        let customer = Value::new(Quantity::Customer, Content::Text("x".into()));
        let answer = Answer { values: [answer().values, vec![customer]].concat(), ..answer() };
        let kept = reading(&origin, answer, &passed(), true).answer;
        let names: Vec<_> =
            kept.values.iter().map(|value| (value.name.as_deref(), value.quantity.as_str())).collect();
        assert_eq!(names, [(Some("flat"), "customer"), (None, "energy")]);
        assert_eq!(kept.values[1].content, Content::Invalid(MISSING.into()));
        assert_eq!(kept.raw, Some(Raw(vec![1, 2])));
    }
}
