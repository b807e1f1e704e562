//! The exchange against peers written here: one answers a script over a socket pair, byte for byte and wait for wait.
//!
//! The toy protocol: a request is `[meter, 1]`, an answer `[0x68, meter, n, n bytes, sum]`. It has what the exchange
//! must cope with (a length, an address, a checksum) and nothing else.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use weir_meter::{Parity, StopBits};

use super::*;

const FAST: Serial = Serial { baud: 115_200, parity: Parity::None, stop_bits: StopBits::One };
const REQUEST: [u8; 2] = [7, 1];
const WINDOW: Duration = Duration::from_millis(40);

fn answer(meter: u8, data: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x68, meter, u8::try_from(data.len()).unwrap()];
    frame.extend_from_slice(data);
    frame.push(data.iter().fold(meter, |sum, byte| sum.wrapping_add(*byte)));
    frame
}

fn recognise(bytes: &[u8]) -> Recognised {
    let Some(start) = bytes.iter().position(|byte| *byte == 0x68) else {
        return Recognised::Incomplete { missing: 4 };
    };
    let frame = &bytes[start..];
    let Some(length) = frame.get(2) else { return Recognised::Incomplete { missing: 4 - frame.len() } };
    let length = usize::from(*length) + 4;
    if frame.len() < length {
        return Recognised::Incomplete { missing: length - frame.len() };
    }
    let end = start + length;
    if answer(frame[1], &frame[3..length - 1]) != frame[..length] {
        return Recognised::Garbled { why: "checksum".into() };
    }
    if frame[1] == 7 {
        Recognised::Answer { start, end }
    } else {
        Recognised::Foreign { end, why: format!("answer of meter {}", frame[1]) }
    }
}

fn manner() -> Manner {
    let timing = Timing {
        answer_window: WINDOW,
        silence: Duration::ZERO,
        silence_before_repeat: Duration::ZERO,
        late_window: Duration::ZERO,
    };
    Manner {
        serial: FAST,
        timing,
        adapter_allowance: Duration::ZERO,
        echo: false,
        repeats: 0,
        request_delay: Duration::ZERO,
    }
}

/// What a peer does after it has received a request.
#[derive(Clone)]
enum Act {
    Say(Vec<u8>),
    Pause(Duration),
    /// Waits for the next request.
    Listen,
    HangUp,
}
use Act::{HangUp, Listen, Pause, Say};

/// The other end of a line; ends with what it heard, and when.
type Peer = tokio::task::JoinHandle<Vec<(Moment, Vec<u8>)>>;

/// A line whose other end acts this script; returns the line and what the peer heard.
fn scripted(script: Vec<Act>) -> (Wire, Peer) {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let peer = tokio::spawn(async move {
        let (mut heard, mut buffer, mut alarm) = (Vec::new(), [0; 64], Alarm::new().unwrap());
        for act in script {
            match act {
                Say(bytes) => theirs.write_all(&bytes).await.unwrap(),
                Pause(pause) => alarm.until(now() + pause).await,
                Listen => match theirs.read(&mut buffer).await.unwrap() {
                    0 => break,
                    count => heard.push((now(), buffer[..count].to_vec())),
                },
                HangUp => return heard,
            }
        }
        // Stays on the line until the other end goes.
        while let Ok(count @ 1..) = theirs.read(&mut buffer).await {
            heard.push((now(), buffer[..count].to_vec()));
        }
        heard
    });
    (Wire::over(Port::pair(ours), Pulse::new("test")).unwrap(), peer)
}

async fn exchange(wire: &mut Wire, manner: &Manner) -> Result<Vec<u8>, Fault> {
    let (_go_on, stopping) = watch::channel(false);
    let mut exchange = Exchange::new(wire, manner.clone(), &stopping);
    exchange.exchange(Ask { request: &REQUEST, recognise: &recognise }).await
}

fn why(result: Result<Vec<u8>, Fault>) -> String {
    match result.unwrap_err() {
        Fault::Garbled { why } => why,
        other => panic!("not garbled: {other:?}"),
    }
}

#[tokio::test]
async fn a_frame_ends_with_its_last_byte_and_not_with_a_time_out() {
    let good = answer(7, &[1, 2, 3]);
    let (mut wire, _peer) = scripted(vec![Listen, Say(good.clone())]);
    let patient = Manner {
        timing: Timing { answer_window: Duration::from_secs(3600), ..manner().timing },
        adapter_allowance: Duration::from_secs(3600),
        ..manner()
    };
    // Would wait for hours if it waited for any time-out.
    assert_eq!(exchange(&mut wire, &patient).await, Ok(good));
}

#[tokio::test]
async fn an_answer_in_pieces_is_one_answer() {
    let good = answer(7, &[9; 20]);
    let (first, second) = good.split_at(5);
    let pause = Pause(Duration::from_millis(3));
    let (mut wire, _peer) = scripted(vec![Listen, Say(first.into()), pause, Say(second.into())]);
    assert_eq!(exchange(&mut wire, &manner()).await, Ok(good));
}

#[tokio::test]
async fn the_first_byte_has_the_window_and_the_rest_has_its_time_on_the_wire() {
    // The last byte comes after the window is over, as it does for every long frame on a slow line.
    let good = answer(7, &[9; 20]);
    let (first, second) = good.split_at(5);
    let late = Pause(WINDOW + Duration::from_millis(5));
    let (mut wire, _peer) = scripted(vec![Listen, Say(first.into()), late, Say(second.into())]);
    let slow = Manner { serial: Serial { baud: 1200, ..FAST }, ..manner() };
    assert_eq!(exchange(&mut wire, &slow).await, Ok(good));
}

#[tokio::test]
async fn silence_is_silence_and_takes_the_window_from_the_end_of_the_request() {
    let (mut wire, peer) = scripted(vec![]);
    let slow = Manner { serial: Serial { baud: 300, ..FAST }, adapter_allowance: WINDOW, ..manner() };
    let begun = now();
    let window_ms = u64::try_from((2 * WINDOW).as_millis()).unwrap();
    assert_eq!(exchange(&mut wire, &slow).await, Err(Fault::Silent { window_ms }));
    assert!(now().since(begun) >= 2 * WINDOW + slow.serial.characters(REQUEST.len()));
    drop(wire);
    assert_eq!(peer.await.unwrap().len(), 1);
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_garbled() {
    let (mut wire, _peer) = scripted(vec![Listen, Say(answer(7, &[1, 2, 3])[..4].to_vec())]);
    assert_eq!(why(exchange(&mut wire, &manner()).await), "answer breaks off after 4 bytes");
}

#[tokio::test]
async fn a_damaged_answer_is_asked_for_again_with_the_same_bytes() {
    let good = answer(7, &[1, 2, 3]);
    let mut bad = good.clone();
    bad[4] ^= 1;
    let (mut wire, peer) = scripted(vec![Listen, Say(bad), Listen, Say(good.clone())]);
    let silence_before_repeat = Duration::from_millis(15);
    let repeating =
        Manner { repeats: 2, timing: Timing { silence_before_repeat, ..manner().timing }, ..manner() };
    assert_eq!(exchange(&mut wire, &repeating).await, Ok(good));
    drop(wire);
    let heard = peer.await.unwrap();
    assert_eq!([&heard[0].1, &heard[1].1], [&REQUEST, &REQUEST]);
    assert!(heard[1].0.since(heard[0].0) >= silence_before_repeat);
}

#[tokio::test]
async fn repeats_end_and_the_last_fault_is_told() {
    let mut bad = answer(7, &[1]);
    bad[3] ^= 1;
    let (mut wire, peer) =
        scripted(vec![Listen, Say(bad.clone()), Listen, Say(bad.clone()), Listen, Say(bad)]);
    let repeating = Manner { repeats: 2, ..manner() };
    assert_eq!(why(exchange(&mut wire, &repeating).await), "checksum");
    drop(wire);
    assert_eq!(peer.await.unwrap().len(), 3);
}

#[tokio::test]
async fn no_repeat_is_begun_once_the_line_is_stopping() {
    let (mut wire, peer) = scripted(vec![]);
    let (_stop, stopping) = watch::channel(true);
    let mut exchange = Exchange::new(&mut wire, Manner { repeats: 3, ..manner() }, &stopping);
    let result = exchange.exchange(Ask { request: &REQUEST, recognise: &recognise }).await;
    assert!(matches!(result, Err(Fault::Silent { .. })));
    drop(wire);
    assert_eq!(peer.await.unwrap().len(), 1);
}

#[tokio::test]
async fn another_meters_answer_is_thrown_away_and_ours_is_waited_for() {
    let good = answer(7, &[1, 2, 3]);
    let both = [answer(8, &[4, 4]), good.clone()].concat();
    let (mut wire, _peer) = scripted(vec![Listen, Say(both)]);
    assert_eq!(exchange(&mut wire, &manner()).await, Ok(good));
}

#[tokio::test]
async fn only_another_meters_answer_is_garbled_and_not_silent() {
    let (mut wire, _peer) = scripted(vec![Listen, Say(answer(8, &[4, 4]))]);
    assert_eq!(why(exchange(&mut wire, &manner()).await), "no answer but a foreign frame: answer of meter 8");
}

#[tokio::test]
async fn a_late_answer_is_not_taken_for_the_next_one() {
    let (stale, fresh) = (answer(7, &[1]), answer(7, &[2]));
    // The late answer comes after the time-out and before the next request.
    let late =
        vec![Listen, Pause(WINDOW + Duration::from_millis(20)), Say(stale), Listen, Say(fresh.clone())];
    let (mut wire, _peer) = scripted(late);
    assert!(matches!(exchange(&mut wire, &manner()).await, Err(Fault::Silent { .. })));
    let mut arrived = [0; 1];
    while rustix::net::recv(peek(&wire), &mut arrived, rustix::net::RecvFlags::PEEK).is_err() {
        tokio::task::yield_now().await;
    }
    assert_eq!(exchange(&mut wire, &manner()).await, Ok(fresh));
}

/// The test's view of the socket under a line, to wait until something has arrived without reading it.
fn peek(wire: &Wire) -> &UnixStream {
    wire.port.as_pair()
}

#[tokio::test]
async fn noise_before_an_answer_neither_hides_it_nor_shortens_its_window() {
    let good = answer(7, &[1, 2, 3]);
    // Longer than a pause inside a frame is forgiven.
    let pause = Pause(PAUSE_IN_FRAME + Duration::from_millis(30));
    let (mut wire, _peer) = scripted(vec![Listen, Say(vec![0, 0xFF]), pause, Say(good.clone())]);
    let timing = Timing { answer_window: Duration::from_secs(3600), ..manner().timing };
    assert_eq!(exchange(&mut wire, &Manner { timing, ..manner() }).await, Ok(good));
}

#[tokio::test]
async fn the_silence_before_a_repeat_is_kept_after_silence_too() {
    let good = answer(7, &[1]);
    let (mut wire, peer) = scripted(vec![Listen, Listen, Say(good.clone())]);
    let silence_before_repeat = 2 * WINDOW;
    let timing = Timing { silence_before_repeat, ..manner().timing };
    assert_eq!(exchange(&mut wire, &Manner { repeats: 1, timing, ..manner() }).await, Ok(good));
    drop(wire);
    let heard = peer.await.unwrap();
    assert!(heard[1].0.since(heard[0].0) >= silence_before_repeat);
}

#[tokio::test]
async fn a_line_that_talks_without_end_is_garbled_and_bounded() {
    let flood = vec![Listen, Say(vec![0x55; 64 * 1024])];
    let (mut wire, _peer) = scripted(flood);
    let said = why(exchange(&mut wire, &manner()).await);
    assert!(said.contains("bytes"), "{said}");
}

#[tokio::test]
async fn a_frame_that_claims_too_much_is_not_waited_for() {
    let (mut wire, _peer) = scripted(vec![Listen, Say(vec![0x68])]);
    let (_go_on, stopping) = watch::channel(false);
    let greedy = |_: &[u8]| Recognised::Incomplete { missing: usize::MAX };
    let mut exchange = Exchange::new(&mut wire, manner(), &stopping);
    let result = exchange.exchange(Ask { request: &REQUEST, recognise: &greedy }).await;
    assert_eq!(why(result), "frame claims more than 512 bytes");
}

#[tokio::test]
async fn an_echo_is_taken_off_also_when_it_comes_in_pieces() {
    let good = answer(7, &[1, 2, 3]);
    let rest = [&REQUEST[1..], &good[..2]].concat();
    let echo = vec![
        Listen,
        Say(REQUEST[..1].into()),
        Pause(Duration::from_millis(2)),
        Say(rest),
        Say(good[2..].into()),
    ];
    let (mut wire, _peer) = scripted(echo);
    let echoing = Manner { echo: true, ..manner() };
    assert_eq!(exchange(&mut wire, &echoing).await, Ok(good));
}

#[tokio::test]
async fn an_echo_that_differs_is_a_collision() {
    let (mut wire, _peer) = scripted(vec![Listen, Say(vec![REQUEST[0], 0]), Say(answer(7, &[1]))]);
    let echoing = Manner { echo: true, ..manner() };
    let said = why(exchange(&mut wire, &echoing).await);
    assert!(said.starts_with("echo differs"), "{said}");
}

#[tokio::test]
async fn an_echo_alone_is_no_sign_of_the_meter() {
    let (mut wire, _peer) = scripted(vec![Listen, Say(REQUEST.into())]);
    let echoing = Manner { echo: true, ..manner() };
    assert!(matches!(exchange(&mut wire, &echoing).await, Err(Fault::Silent { .. })));
}

#[tokio::test]
async fn the_silence_that_is_owed_counts_from_the_last_byte_on_the_line() {
    let (good, silence) = (answer(7, &[1]), Duration::from_millis(12));
    let script = vec![Listen, Say(good.clone()), Listen, Say(good.clone()), Listen, Say(good)];
    let (mut wire, peer) = scripted(script);
    let silent = Manner { timing: Timing { silence, ..manner().timing }, ..manner() };
    for _ in 0..3 {
        exchange(&mut wire, &silent).await.unwrap();
    }
    drop(wire);
    let heard = peer.await.unwrap();
    for pair in heard.windows(2) {
        assert!(pair[1].0.since(pair[0].0) >= silence);
    }
}

#[tokio::test]
async fn a_peer_that_hangs_up_takes_the_line_down() {
    let (mut wire, _peer) = scripted(vec![Listen, HangUp]);
    let repeating = Manner { repeats: 5, ..manner() };
    assert!(matches!(exchange(&mut wire, &repeating).await, Err(Fault::LineDown { .. })));
    assert!(matches!(wire.idle().await, Fault::LineDown { .. }));
}

#[tokio::test]
async fn nonsense_from_a_driver_ends_the_try() {
    let (_go_on, stopping) = watch::channel(false);
    for nonsense in [
        Recognised::Answer { start: 2, end: 1 },
        Recognised::Answer { start: 0, end: 99 },
        Recognised::Foreign { end: 0, why: "nothing".into() },
        Recognised::Foreign { end: usize::MAX, why: "everything".into() },
    ] {
        let recognise = move |_: &[u8]| nonsense.clone();
        let (mut wire, _peer) = scripted(vec![Listen, Say(vec![1, 2, 3])]);
        let mut exchange = Exchange::new(&mut wire, manner(), &stopping);
        let result = exchange.exchange(Ask { request: &REQUEST, recognise: &recognise }).await;
        assert!(matches!(result, Err(Fault::Garbled { .. })));
    }
}

/// With a window in which also a loaded machine gets its answers out.
fn unhurried() -> Manner {
    Manner { timing: Timing { answer_window: Duration::from_millis(700), ..manner().timing }, ..manner() }
}

#[tokio::test]
async fn all_that_is_heard_in_the_window_is_told_also_what_comes_behind_a_whole_frame() {
    let late = Pause(Duration::from_millis(20));
    let (mut wire, _peer) =
        scripted(vec![Listen, Say(answer(7, &[1])), late, Say(answer(8, &[2, 3])), Listen]);
    let (_go_on, stopping) = watch::channel(false);
    let mut line = Exchange::new(&mut wire, unhurried(), &stopping);
    let heard = line.hear(&REQUEST).await.unwrap();
    assert_eq!(heard, [answer(7, &[1]), answer(8, &[2, 3])].concat());
    assert_eq!(line.hear(&REQUEST).await, Ok(Vec::new()));
    assert_eq!(line.repeated, 0);
}

#[tokio::test]
async fn an_echo_is_no_part_of_what_is_heard_and_one_that_stays_away_is_told_of() {
    let echo = || Say(REQUEST.to_vec());
    let (mut wire, _peer) =
        scripted(vec![Listen, echo(), Listen, echo(), Say(vec![0xE5]), Listen, Listen, Say(vec![0xE5])]);
    let (_go_on, stopping) = watch::channel(false);
    let mut line = Exchange::new(&mut wire, Manner { echo: true, ..unhurried() }, &stopping);
    assert_eq!(line.hear(&REQUEST).await, Ok(Vec::new()));
    assert_eq!(line.hear(&REQUEST).await, Ok(vec![0xE5]));
    assert_eq!(line.hear(&REQUEST).await.unwrap_err().name(), "silent");
    assert_eq!(line.hear(&REQUEST).await.unwrap_err().name(), "garbled");
}

#[tokio::test]
async fn the_speed_is_changed_only_when_what_was_sent_has_left_and_a_delay_is_kept_once() {
    let (ours, _theirs) = UnixStream::pair().unwrap();
    let mut wire = Wire::over(Port::pair(ours), Pulse::new("test")).unwrap();
    let slow = Serial { baud: 300, ..FAST };
    let sent = wire.send(&REQUEST, &slow).await.unwrap();
    assert!(sent > now(), "it takes its time on the wire");
    wire.configure(&FAST).await.unwrap();
    assert!(now() >= sent);

    let request_delay = Duration::from_millis(30);
    let patient = Manner { request_delay, ..manner() };
    let (_running, stopping) = watch::channel(false);
    let began = now();
    let mut exchange = Exchange::new(&mut wire, patient, &stopping);
    for _ in 0..2 {
        exchange.exchange(Ask { request: &REQUEST, recognise: &recognise }).await.unwrap_err();
        assert!(now().since(began) >= request_delay + WINDOW);
    }
    assert_eq!(exchange.manner.request_delay, Duration::ZERO, "before the first request only");
}
