//! The driver with tokio-modbus in the loop, against scripted lines.

use weir_meter::scripted::ScriptedLine;
use weir_meter::{Parity, Recognised, StopBits};
use weir_wire::Content;

use super::*;

/// Volume at 0 and, too far away for one request, an input register at 40.
const TWO_REQUESTS: &str = r#"
model = "test"
[[value]]
quantity = "volume"
unit = "m3"
at = 0
type = "u32"
scale = 0.001
[[value]]
quantity = "pressure"
unit = "bar"
at = 40
type = "i16"
scale = 0.01
function_code = 4
"#;

fn meter(framing: Framing, profile: &str) -> Modbus {
    Modbus::new(0x11, framing, Arc::new(Profile::parse(profile).unwrap())).unwrap()
}

fn framed(body: &[u8]) -> Vec<u8> {
    let mut frame = body.to_vec();
    frame.extend(rtu::crc(body).to_le_bytes());
    frame
}

fn read(meter: &mut Modbus, line: &mut ScriptedLine) -> Result<Answer, Fault> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(meter.read(line))
}

fn numbers(answer: &Answer) -> Vec<String> {
    let number = |value: &weir_wire::Value| match &value.content {
        Content::Number(number) => number.to_string(),
        other => format!("{other:?}"),
    };
    answer.values.iter().map(number).collect()
}

const FIRST_REQUEST: [u8; 6] = [0x11, 3, 0, 0, 0, 2];
const FIRST_ANSWER: [u8; 7] = [0x11, 3, 4, 0x00, 0x01, 0xE2, 0x40];
const SECOND_REQUEST: [u8; 6] = [0x11, 4, 0, 40, 0, 1];
const SECOND_ANSWER: [u8; 5] = [0x11, 4, 2, 0xFF, 0x9C];

fn good_line() -> ScriptedLine {
    ScriptedLine::new()
        .expect(&framed(&FIRST_REQUEST), &framed(&FIRST_ANSWER))
        .expect(&framed(&SECOND_REQUEST), &framed(&SECOND_ANSWER))
}

#[test]
fn a_meter_is_read_in_the_planned_requests_and_numbers_are_exact() {
    let mut line = good_line();
    let answer = read(&mut meter(Framing::Rtu, TWO_REQUESTS), &mut line).unwrap();
    assert!(line.is_finished());
    assert_eq!(numbers(&answer), ["123.456", "-1.00"]);
    assert!(answer.values.iter().all(|value| value.raw.is_none()));
}

#[test]
fn noise_and_another_meters_answer_in_front_do_no_harm() {
    let strange = framed(&[0x12, 3, 4, 9, 9, 9, 9]);
    let mut line = ScriptedLine::new()
        .answer(&[&[0x00, 0xFE][..], &strange, &framed(&FIRST_ANSWER)].concat())
        .answer(&framed(&SECOND_ANSWER));
    let answer = read(&mut meter(Framing::Rtu, TWO_REQUESTS), &mut line).unwrap();
    assert_eq!(numbers(&answer), ["123.456", "-1.00"]);
}

#[test]
fn the_lines_faults_come_out_unchanged_and_the_next_read_works() {
    let mut meter = meter(Framing::Rtu, TWO_REQUESTS);
    let silent = read(&mut meter, &mut ScriptedLine::new());
    assert_eq!(silent, Err(Fault::Silent { window_ms: 0 }));

    let mut damaged = framed(&FIRST_ANSWER);
    damaged[4] ^= 1;
    let garbled = read(&mut meter, &mut ScriptedLine::new().answer(&damaged));
    assert!(matches!(garbled, Err(Fault::Garbled { why }) if why.contains("CRC")));

    let half = ScriptedLine::new().answer(&framed(&FIRST_ANSWER)).answer(&[0x11, 4]);
    assert!(matches!(read(&mut meter, &mut { half }), Err(Fault::Garbled { .. })));

    let strange = read(&mut meter, &mut ScriptedLine::new().answer(&framed(&[0x12, 3, 4, 9, 9, 9, 9])));
    assert!(matches!(strange, Err(Fault::Garbled { why }) if why.contains("unit 18")));

    assert_eq!(numbers(&read(&mut meter, &mut good_line()).unwrap()), ["123.456", "-1.00"]);
}

#[test]
fn an_exception_is_a_refusal_in_the_standards_words() {
    let mut meter = meter(Framing::Rtu, TWO_REQUESTS);
    for (code, why) in [
        (1, "exception 01, illegal function"),
        (2, "exception 02, illegal data address"),
        (4, "exception 04, server device failure"),
        (6, "exception 06, server device busy"),
        (0x0B, "exception 0B, gateway target device failed to respond"),
        (0x77, "exception 77, not in the standard"),
    ] {
        let answer = read(&mut meter, &mut ScriptedLine::new().answer(&framed(&[0x11, 0x83, code])));
        assert_eq!(answer, Err(Fault::refused(why)));
    }
    assert!(read(&mut meter, &mut good_line()).is_ok());
}

#[test]
fn a_full_block_of_125_registers_passes_the_duplex_in_both_framings() {
    let profile =
        "model = \"long\"\n[[value]]\nquantity = \"customer\"\nat = 0\ntype = \"ascii\"\nregisters = 125\n";
    let data = [b'w'; 250];
    let rtu = framed(&[&[0x11, 3, 250][..], &data].concat());
    let tcp = [&[0, 1, 0, 0, 0, 253, 0x11, 3, 250][..], &data].concat();
    for (framing, answer) in [(Framing::Rtu, rtu), (Framing::Tcp, tcp)] {
        let answer = read(&mut meter(framing, profile), &mut ScriptedLine::new().answer(&answer)).unwrap();
        assert_eq!(answer.values[0].content, Content::Text("w".repeat(250)));
    }
}

#[test]
fn modbus_tcp_counts_its_transactions_on_through_faults_and_reads() {
    let mut meter = meter(Framing::Tcp, TWO_REQUESTS);
    let request = |id: u8, pdu: &[u8]| [&[0, id, 0, 0, 0, 6][..], pdu].concat();
    let first = |id: u8| [&[0, id, 0, 0, 0, 7][..], &FIRST_ANSWER].concat();
    let second = |id: u8| [&[0, id, 0, 0, 0, 5][..], &SECOND_ANSWER].concat();
    let mut line = ScriptedLine::new()
        .expect(&request(1, &FIRST_REQUEST), &first(1))
        .expect(&request(2, &SECOND_REQUEST), &[]);
    assert!(matches!(read(&mut meter, &mut line), Err(Fault::Silent { .. })));

    // The late answer to transaction 2 stands in front and must not be taken for that to 3 or 4.
    let mut line = ScriptedLine::new()
        .expect(&request(3, &FIRST_REQUEST), &[second(2), first(3)].concat())
        .expect(&request(4, &SECOND_REQUEST), &[second(2), second(4)].concat());
    assert_eq!(numbers(&read(&mut meter, &mut line).unwrap()), ["123.456", "-1.00"]);
    assert!(line.is_finished());
}

#[test]
fn a_modbus_tcp_exception_is_a_refusal() {
    let mut line = ScriptedLine::new().answer(&[0, 1, 0, 0, 0, 3, 0x11, 0x83, 0x0A]);
    let answer = read(&mut meter(Framing::Tcp, TWO_REQUESTS), &mut line);
    assert_eq!(answer, Err(Fault::refused("exception 0A, gateway path unavailable")));
}

/// A line that recognises nothing and hands over whatever it is told to: what a broken line would do.
struct CarelessLine(Vec<u8>);

#[async_trait]
impl Line for CarelessLine {
    async fn exchange(&mut self, _: Ask<'_>) -> Result<Vec<u8>, Fault> {
        Ok(self.0.clone())
    }
}

#[test]
fn an_answer_that_tokio_modbus_does_not_take_ends_the_read_and_never_hangs_it() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for nonsense in
        [vec![], vec![0x11], vec![0x11, 3, 4, 0], framed(&[0x12, 3, 4, 0, 0, 0, 0]), vec![0xFF; 300]]
    {
        for framing in [Framing::Rtu, Framing::Tcp] {
            let mut line = CarelessLine(nonsense.clone());
            let answer = runtime.block_on(meter(framing, TWO_REQUESTS).read(&mut line));
            assert!(matches!(answer, Err(Fault::Garbled { .. })), "{framing:?} {nonsense:02X?} {answer:?}");
        }
    }
}

#[test]
fn what_goes_on_the_wire_is_what_the_forecast_says() {
    for framing in [Framing::Rtu, Framing::Tcp] {
        let mut meter = meter(framing, TWO_REQUESTS);
        let load = meter.load();
        let answers = match framing {
            Framing::Rtu => [framed(&FIRST_ANSWER), framed(&SECOND_ANSWER)],
            Framing::Tcp => [
                [&[0, 1, 0, 0, 0, 7][..], &FIRST_ANSWER].concat(),
                [&[0, 2, 0, 0, 0, 5][..], &SECOND_ANSWER].concat(),
            ],
        };
        let mut line = answers.iter().fold(ScriptedLine::new(), |line, answer| line.answer(answer));
        read(&mut meter, &mut line).unwrap();
        for ((load, request), answer) in load.iter().zip(&line.requests).zip(&answers) {
            assert_eq!(load.request, request.len());
            assert_eq!((load.shortest_answer, load.typical_answer), (answer.len(), answer.len()));
        }
        assert_eq!(load.len(), 2);
    }
}

#[test]
fn rtu_keeps_the_standards_silence_and_tcp_none() {
    let serial = |baud| Serial { baud, parity: Parity::None, stop_bits: StopBits::One };
    let rtu = meter(Framing::Rtu, TWO_REQUESTS);
    let micros = |baud| rtu.timing(&serial(baud)).silence.as_micros();
    assert_eq!([micros(2400), micros(9600), micros(19_200)], [16_041, 4_010, 2_005]);
    assert_eq!([micros(38_400), micros(115_200)], [1750, 1750]);
    let timing = rtu.timing(&serial(9600));
    assert_eq!(timing.silence_before_repeat, timing.silence);
    assert!(timing.late_window > Duration::ZERO);

    let tcp = meter(Framing::Tcp, TWO_REQUESTS).timing(&serial(9600));
    assert_eq!((tcp.silence, tcp.late_window), (Duration::ZERO, Duration::ZERO));
}

#[test]
fn a_profile_may_ask_for_longer_waits() {
    let slow = "[timing]\nsilence_characters = 4\nanswer_window_ms = 900\nlate_window_ms = 3000\n";
    let timing = meter(Framing::Rtu, &TWO_REQUESTS.replacen("[[value]]", &format!("{slow}[[value]]"), 1))
        .timing(&Serial { baud: 9600, parity: Parity::None, stop_bits: StopBits::One });
    assert_eq!(timing.silence.as_micros(), 4583);
    assert_eq!((timing.answer_window.as_millis(), timing.late_window.as_millis()), (900, 3000));
}

#[test]
fn a_serial_line_has_no_unit_0_and_none_above_247() {
    let profile = Arc::new(Profile::parse(TWO_REQUESTS).unwrap());
    for unit in [0, 248, 255] {
        let meter = Modbus::new(unit, Framing::Rtu, Arc::clone(&profile));
        assert_eq!(meter.err(), Some(UnitError(unit)));
        assert!(Modbus::new(unit, Framing::Tcp, Arc::clone(&profile)).is_ok());
    }
}

#[test]
fn the_request_that_tokio_modbus_writes_is_the_one_an_echo_is_known_by() {
    let mut line = ScriptedLine::new();
    let _ = read(&mut meter(Framing::Rtu, TWO_REQUESTS), &mut line);
    let own = Read { unit: 0x11, function: FunctionCode::ReadHoldingRegisters, start: 0, count: 2 };
    assert_eq!(line.requests, [rtu::request(&own).to_vec()]);
    assert!(matches!(rtu::recognise(&own, &line.requests[0]), Recognised::Foreign { .. }));
}
