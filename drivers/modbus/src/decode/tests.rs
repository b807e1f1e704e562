//! Telegrams in hand: with their requests, without, damaged.

use proptest::prelude::*;
use weir_wire::Content;

use super::*;

fn framed(body: &[u8]) -> Vec<u8> {
    let mut frame = body.to_vec();
    frame.extend(rtu::crc(body).to_le_bytes());
    frame
}

fn profile() -> Profile {
    let value = |quantity, at, more| {
        format!("[[value]]\nquantity = \"{quantity}\"\nat = {at}\ntype = \"u16\"\nscale = 0.1\n{more}\n")
    };
    let text = [
        "model = \"test\"\n".into(),
        value("volume", 10, ""),
        value("pressure", 20, ""),
        value("volume-flow", 30, "function_code = 4"),
    ];
    Profile::parse(&text.concat()).unwrap()
}

fn shown(answer: &Answer) -> Vec<String> {
    let value = |value: &weir_wire::Value| match &value.content {
        Content::Number(number) => format!("{} {number} {}", value.quantity, value.raw.as_ref().unwrap()),
        other => format!("{other:?}"),
    };
    answer.values.iter().map(value).collect()
}

#[test]
fn an_answer_behind_its_request_is_placed_by_it() {
    let telegram = [framed(&[1, 3, 0, 10, 0, 1]), framed(&[1, 3, 2, 0, 42])].concat();
    let answer = decode(&profile(), &telegram, None).unwrap();
    assert_eq!(shown(&answer), ["volume 4.2 002A"]);
    assert_eq!(answer.raw, Some(Raw(telegram)));
}

#[test]
fn a_whole_reads_trace_gives_all_values() {
    let telegram = [
        framed(&[1, 3, 0, 20, 0, 1]),
        framed(&[1, 3, 2, 0, 7]),
        framed(&[1, 3, 0, 10, 0, 1]),
        framed(&[1, 3, 2, 0, 42]),
        framed(&[1, 4, 2, 0, 9]),
    ];
    let answer = decode(&profile(), &telegram.concat(), None).unwrap();
    assert_eq!(shown(&answer), ["volume 4.2 002A", "pressure 0.7 0007", "volume-flow 0.9 0009"]);
}

#[test]
fn of_two_answers_with_the_same_registers_the_later_counts() {
    let request = framed(&[1, 3, 0, 10, 0, 1]);
    let telegram = [request.clone(), framed(&[1, 3, 2, 0, 42]), request, framed(&[1, 3, 2, 0, 43])].concat();
    assert_eq!(shown(&decode(&profile(), &telegram, None).unwrap()), ["volume 4.3 002B"]);
}

#[test]
fn a_lone_answer_is_placed_by_the_address_or_by_the_only_request_that_fits() {
    let ambiguous = framed(&[1, 3, 2, 0, 42]);
    let unplaced = decode(&profile(), &ambiguous, None).unwrap_err();
    assert_eq!(unplaced.to_string().split(',').next(), Some("1 registers by function 03"));
    assert_eq!(shown(&decode(&profile(), &ambiguous, Some(20)).unwrap()), ["pressure 4.2 002A"]);
    assert_eq!(
        shown(&decode(&profile(), &framed(&[1, 4, 2, 0, 9]), None).unwrap()),
        ["volume-flow 0.9 0009"]
    );
}

#[test]
fn modbus_tcp_is_recognised_by_its_header() {
    let request = [0, 9, 0, 0, 0, 6, 1, 3, 0, 10, 0, 1];
    let answer = [0, 9, 0, 0, 0, 5, 1, 3, 2, 0, 42];
    let telegram = [&request[..], &answer].concat();
    assert_eq!(shown(&decode(&profile(), &telegram, None).unwrap()), ["volume 4.2 002A"]);
    assert_eq!(shown(&decode(&profile(), &answer, Some(10)).unwrap()), ["volume 4.2 002A"]);
    let mut other = telegram;
    other[13] = 8;
    assert_eq!(decode(&profile(), &other, None), Err(DecodeError::Mismatch { at: 12 }));
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let profile = profile();
    assert_eq!(decode(&profile, &[], None), Err(DecodeError::Empty));
    assert_eq!(decode(&profile, &framed(&[1, 0x83, 2]), None), Err(DecodeError::Exception { code: 2 }));
    assert_eq!(
        DecodeError::Exception { code: 2 }.to_string(),
        "the meter refused: exception 02, illegal data address"
    );
    let request = framed(&[1, 3, 0, 10, 0, 1]);
    assert_eq!(decode(&profile, &request, None), Err(DecodeError::NoAnswer));
    let mut damaged = [request.clone(), framed(&[1, 3, 2, 0, 42])].concat();
    damaged[11] ^= 1;
    assert_eq!(decode(&profile, &damaged, None), Err(DecodeError::NoFrame { at: 8 }));
    let short = [request, framed(&[1, 3, 4, 0, 42, 0, 0])].concat();
    assert_eq!(decode(&profile, &short, None), Err(DecodeError::Mismatch { at: 8 }));
    let half_a_register = framed(&[1, 3, 1, 42]);
    assert_eq!(decode(&profile, &half_a_register, Some(10)), Err(DecodeError::NoFrame { at: 0 }));
    let elsewhere = decode(&profile, &framed(&[1, 3, 2, 0, 42]), Some(500));
    assert_eq!(elsewhere, Err(DecodeError::Elsewhere { start: 500, end: 501 }));
}

proptest! {
    #[test]
    fn no_bytes_panic(telegram: Vec<u8>, start: Option<u16>) {
        let _ = decode(&profile(), &telegram, start);
    }

    #[test]
    fn no_good_frames_in_any_row_panic(bodies in prop::collection::vec(any::<[u8; 6]>(), 0..6), start: Option<u16>) {
        let frames = bodies.iter().flat_map(|[a, b, rest @ ..]| {
            framed(&[&[1, 3 + (a & 1) + (b & 0x80)][..], rest].concat())
        });
        let _ = decode(&profile(), &frames.collect::<Vec<u8>>(), start);
    }
}
