//! What a meter can be asked and told beside its poll, on a scripted line.

use std::sync::Arc;

use proptest::prelude::*;
use weir_cjt188::{Address, Cjt188, DiOrder, OrderError, PriceTable, Profile, Request, Ser, ValveOrder};
use weir_meter::Fault;
use weir_meter::scripted::ScriptedLine;
use weir_wire::{Content, Number, Valve};

use crate::meter::*;

const SETTLEMENT_DAY: [u8; 2] = [0x81, 0x03];

fn named(profile: &str) -> Profile {
    Profile::built_in(profile).unwrap().unwrap()
}

fn driver(profile: Profile) -> Cjt188 {
    Cjt188::new(address(), Arc::new(profile))
}

/// A driver that asks in the order of 2004, high byte first, so that identifiers are written as they read.
fn of_2004() -> Cjt188 {
    driver(named("2004"))
}

fn number(text: &str) -> Number {
    text.parse().unwrap()
}

fn asked(control: u8, data: &[u8]) -> Vec<u8> {
    [&[0xFE; 4][..], &frame(WIRE, control, data)].concat()
}

fn refused(error: OrderError) -> String {
    match error {
        OrderError::Fault(Fault::Refused { why }) => why,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_month_of_the_history_is_told_by_its_storage_number() {
    for (back, low) in [(1, 0x20), (12, 0x2B)] {
        let data = [0xD1, low, 0, 0x13, 0x23, 0x33, 0x43, 0x2C];
        let mut line = ScriptedLine::new().expect(&asked(0x01, &data[..3]), &frame(WIRE, 0x81, &data));
        let answer = of_2004().read_history(&mut line, back).await.unwrap();
        let [value] = &answer.values[..] else { panic!("{answer:?}") };
        assert_eq!(value.storage, u64::from(back));
        assert!(matches!(&value.content, Content::Number(number) if number.to_string() == "433323.13"));
    }
    let mut line = ScriptedLine::new();
    assert!(matches!(of_2004().read_history(&mut line, 13).await, Err(OrderError::Inexpressible(_))));
    assert!(line.requests.is_empty());
}

#[tokio::test]
async fn a_frozen_record_of_2018_is_read_value_by_value() {
    let record = [
        0x31, 0x01, 0x22, 0x11, 0x05, 0x15, 0x20, 0x00, 0x77, 0x66, 0x55, 0x2C, 0x56, 0x34, 0x12, 0x00, 0x35,
        0x50, 0x18, 0x00, 0x35, 0x00, 0x00,
    ];
    let data = [&[0x02, 0xD3, 0][..], &record].concat();
    assert_eq!(data.len(), 0x1A);
    let mut line = ScriptedLine::new().expect(&asked(0x01, &data[..3]), &frame(WIRE, 0x81, &data));
    let request = Request::timed_freeze(3).unwrap();
    let answer = driver(named("2018")).read_values(&mut line, &request).await.unwrap();
    let told: Vec<String> = answer
        .values
        .iter()
        .map(|value| match &value.content {
            Content::Number(number) => {
                format!("{} {number} {}", value.quantity, value.unit.as_ref().unwrap())
            }
            Content::DateTime(time) => format!("{} {time}", value.quantity),
            _ => format!("{} {}", value.quantity, value.raw.as_ref().unwrap()),
        })
        .collect();
    assert_eq!(
        told,
        [
            "date-time 2015-05-11T22:01:31",
            "volume 556677.00 m3",
            "volume-flow 12.3456 m3/h",
            "flow-temperature 18.50 degC",
            "pressure 350000",
        ]
    );
    assert!(answer.values.iter().all(|value| value.storage == 3));
}

#[tokio::test]
async fn a_meter_tells_its_address_in_the_address_field() {
    let mut line =
        ScriptedLine::new().expect(&asked(0x03, &[0x81, 0x0A, 0]), &frame(WIRE, 0x83, &[0x81, 0x0A, 0]));
    assert_eq!(of_2004().read_address(&mut line).await.unwrap(), address());
}

#[tokio::test]
async fn the_clock_is_set_in_local_time_and_read_back() {
    let time = "2026-11-25T22:14:05".parse().unwrap();
    let mut driver = of_2004();
    let written = [0xA0, 0x15, 0, 0x05, 0x14, 0x22, 0x25, 0x11, 0x26, 0x20];
    let mut payload = PAYLOAD;
    payload[10..17].copy_from_slice(&written[3..]);
    let shown = frame(WIRE, 0x81, &[&HIGH_FIRST[..], &[1], &payload].concat());
    let mut line = ScriptedLine::new()
        .expect(&asked(0x04, &written), &frame(WIRE, 0x84, &[0xA0, 0x15, 0]))
        .expect(&request(HIGH_FIRST, 1), &shown);
    assert_eq!(driver.set_clock(&mut line, time).await.unwrap().status, None);
    assert_eq!(driver.read_clock(&mut line).await, Ok(Some(time)));
    let century = driver.set_clock(&mut line, "2100-01-01T00:00:00".parse().unwrap()).await;
    assert!(matches!(century, Err(OrderError::Inexpressible(_))));
    assert!(line.is_finished());
}

#[tokio::test]
async fn a_clock_with_its_century_first_is_set_so_too() {
    let mut driver = driver(named("high-first"));
    let data = [0xA0, 0x15, 0, 0x20, 0x26, 0x11, 0x25, 0x22, 0x14, 0x05];
    let mut line = ScriptedLine::new().expect(&asked(0x04, &data), &frame(WIRE, 0x84, &data[..3]));
    driver.set_clock(&mut line, "2026-11-25T22:14:05".parse().unwrap()).await.unwrap();
}

#[tokio::test]
async fn a_price_table_goes_to_the_meter_and_comes_back_to_the_digit() {
    let table = PriceTable {
        prices: [number("3.45"), number("4.83"), number("5.83")],
        steps: [number("220"), number("300")],
    };
    let digits = [0x45, 0x03, 0, 0x20, 0x02, 0, 0x83, 0x04, 0, 0x00, 0x03, 0, 0x83, 0x05, 0];
    let write = [&[0xA0, 0x10, 0][..], &digits, &[0x01]].concat();
    let read = [&[0x81, 0x02, 1][..], &digits].concat();
    assert_eq!(read.len(), 0x12);
    let mut line = ScriptedLine::new()
        .expect(&asked(0x04, &write), &frame(WIRE, 0x84, &[0xA0, 0x10, 0, 0x00, 0xFF]))
        .expect(&asked(0x01, &read[..3]), &frame(WIRE, 0x81, &read));
    let mut driver = of_2004();
    let written = driver.write_price_table(&mut line, &table, 1).await.unwrap();
    assert_eq!(written.status.unwrap().valve, Some(Valve::Open));
    let back = driver.read_price_table(&mut line).await.unwrap();
    assert_eq!(back, table);
    assert_eq!((back.prices[0].to_string(), back.steps[0].to_string()), ("3.45".into(), "220".into()));
}

#[tokio::test]
async fn what_a_meters_digits_cannot_hold_never_goes_on_the_line() {
    let good = PriceTable { prices: [number("1"); 3], steps: [number("2"), number("3")] };
    let fine = PriceTable { prices: [number("3.455"), number("1"), number("1")], ..good.clone() };
    let half = PriceTable { steps: [number("2.5"), number("3")], ..good.clone() };
    let falling = PriceTable { steps: [number("3"), number("2")], ..good.clone() };
    let mut line = ScriptedLine::new();
    let mut driver = of_2004();
    for (table, day) in [(&fine, 1), (&half, 1), (&falling, 1), (&good, 0), (&good, 32)] {
        let error = driver.write_price_table(&mut line, table, day).await.unwrap_err();
        assert!(matches!(error, OrderError::Inexpressible(_)), "{error}");
    }
    for amount in ["-1", "1000000", "0.001"] {
        let error = driver.write_purchase(&mut line, 1, &number(amount)).await.unwrap_err();
        assert!(matches!(error, OrderError::Inexpressible(_)), "{error}");
    }
    assert!(driver.write_settlement_day(&mut line, 0).await.is_err());
    assert!(line.requests.is_empty());
}

#[tokio::test]
async fn the_settlement_day_is_where_the_profile_says() {
    for (profile, settlement, reading) in [("2004", 0x03, 0x04), ("settlement-8104", 0x04, 0x03)] {
        let mut driver = driver(Profile { di_order: DiOrder::HighFirst, ..named(profile) });
        let day = |low, ser, day| frame(WIRE, 0x81, &[0x81, low, ser, day]);
        let mut line = ScriptedLine::new()
            .expect(&asked(0x01, &[0x81, settlement, 0]), &day(settlement, 0, 0x28))
            .expect(&asked(0x01, &[0x81, reading, 1]), &day(reading, 1, 0x05))
            .expect(&asked(0x04, &[0xA0, 0x11, 2, 0x31]), &frame(WIRE, 0x84, &[0xA0, 0x11, 2]))
            .expect(&asked(0x04, &[0xA0, 0x12, 3, 0x10]), &frame(WIRE, 0x84, &[0xA0, 0x12, 3]));
        assert_eq!(driver.read_settlement_day(&mut line).await, Ok(28));
        assert_eq!(driver.read_reading_day(&mut line).await, Ok(5));
        driver.write_settlement_day(&mut line, 31).await.unwrap();
        driver.write_reading_day(&mut line, 10).await.unwrap();
        assert!(line.is_finished());
    }
}

#[tokio::test]
async fn a_day_that_no_month_has_is_no_day() {
    for byte in [0x00, 0x32, 0x1A] {
        let answer = frame(WIRE, 0x81, &[&SETTLEMENT_DAY[..], &[0, byte]].concat());
        let fault =
            of_2004().read_settlement_day(&mut ScriptedLine::new().answer(&answer)).await.unwrap_err();
        assert!(fault.to_string().contains("no day of a month"), "{fault}");
    }
}

#[tokio::test]
async fn a_purchase_is_echoed_and_read_back_with_what_is_left() {
    let mut driver = of_2004();
    let credit = [0xA0, 0x13, 0, 0x07, 0x50, 0x12, 0x00, 0x00];
    let held = [0x81, 0x05, 1, 0x07, 0x50, 0x12, 0, 0, 0x50, 0x62, 0x01, 0, 0x25, 0x03, 0, 0, 0x04, 0x00];
    assert_eq!((credit.len(), held.len()), (8, 0x12));
    let mut line = ScriptedLine::new()
        .expect(&asked(0x04, &credit), &frame(WIRE, 0x84, &credit))
        .expect(&asked(0x01, &held[..3]), &frame(WIRE, 0x81, &held));
    let credited = driver.write_purchase(&mut line, 7, &number("12.50")).await.unwrap();
    assert_eq!((credited.sequence, credited.amount.to_string()), (7, "12.50".into()));
    let purchase = driver.read_purchase(&mut line).await.unwrap();
    let told = [purchase.last, purchase.total, purchase.remaining].map(|amount| amount.to_string());
    assert_eq!((purchase.sequence, told), (7, ["12.50".into(), "162.50".into(), "3.25".into()]));
    assert_eq!(purchase.status.battery_low, Some(true));
}

#[tokio::test]
async fn the_valve_moves_by_the_profiles_codes_and_its_status_is_read_back() {
    let answer = |control, st| frame(WIRE, control, &[0xA0, 0x17, 0, st, 0xFF]);
    for (profile, order, control, code) in [
        ("2004", ValveOrder::Open, 0x04, 0x55),
        ("2004", ValveOrder::Close, 0x04, 0x99),
        ("valve-2a", ValveOrder::Open, 0x2A, 0x55),
        ("valve-2a", ValveOrder::Close, 0x2A, 0x99),
        ("valve-free", ValveOrder::Open, 0x04, 0x55),
        ("valve-free", ValveOrder::Close, 0x04, 0x99),
    ] {
        let closed = order == ValveOrder::Close;
        let st = u8::from(closed);
        let mut driver = driver(named(profile));
        let mut line =
            ScriptedLine::new().expect(&asked(control, &[0xA0, 0x17, 0, code]), &answer(control | 0x80, st));
        let written = driver.turn_valve(&mut line, order).await.unwrap();
        let stands = if closed { Valve::Closed } else { Valve::Open };
        assert_eq!(written.status.unwrap().valve, Some(stands), "{profile} {order:?}");
        assert!(line.is_finished());
    }
    let mut reversed = driver(Profile { di_order: DiOrder::HighFirst, ..named("valve-reversed") });
    for (order, code, st) in [(ValveOrder::Open, 0x99, 0x00), (ValveOrder::Close, 0x55, 0x01)] {
        let mut line = ScriptedLine::new()
            .expect(&asked(0x04, &[0xA0, 0x17, code]), &frame(WIRE, 0x84, &[0xA0, 0x17, st, 0x00]));
        let status = reversed.turn_valve(&mut line, order).await.unwrap().status.unwrap();
        assert_eq!(status.valve == Some(Valve::Closed), order == ValveOrder::Close);
    }
}

#[tokio::test]
async fn a_valve_that_wants_more_bytes_behind_its_code_gets_them_and_answers_as_any_other() {
    let text = "di_order = \"2004\"\n[valve]\ncontrol = 0x24\nafter = [0x00, 0x5A]\n";
    let mut driver = driver(Profile::parse(text).unwrap());
    let mut line = ScriptedLine::new().expect(
        &asked(0x24, &[0xA0, 0x17, 0, 0x99, 0x00, 0x5A]),
        &frame(WIRE, 0xA4, &[0xA0, 0x17, 0, 0x01, 0x00]),
    );
    let written = driver.turn_valve(&mut line, ValveOrder::Close).await.unwrap();
    assert_eq!(written.status.unwrap().valve, Some(Valve::Closed));
    assert!(line.is_finished());
}

#[tokio::test]
async fn the_status_is_read_without_a_move_by_the_valves_own_order_or_from_the_metering_data() {
    let mut own = driver(named("valve-free"));
    let mut line = ScriptedLine::new()
        .expect(&asked(0x04, &[0xA0, 0x17, 0, 0x00]), &frame(WIRE, 0x84, &[0xA0, 0x17, 0, 0x01, 0x00]));
    assert_eq!(own.read_status(&mut line).await.unwrap().valve, Some(Valve::Closed));
    let mut line = ScriptedLine::new().expect(&request(HIGH_FIRST, 0), &answer(HIGH_FIRST, 0));
    assert_eq!(of_2004().read_status(&mut line).await.unwrap().valve, Some(Valve::Closed));
}

#[tokio::test]
async fn a_meter_without_a_valve_is_told_nothing_of_one() {
    let mut line = ScriptedLine::new();
    let error = driver(named("no-valve")).turn_valve(&mut line, ValveOrder::Close).await.unwrap_err();
    assert_eq!(error.to_string(), "not sent: the profile says that the meter has no valve");
    assert!(line.requests.is_empty());
}

#[tokio::test]
async fn nothing_is_written_before_the_byte_order_is_known_from_a_read() {
    let mut known = driver(Profile::default());
    let mut line = ScriptedLine::new()
        .expect(&request(LOW_FIRST, 0), &[])
        .expect(&request(HIGH_FIRST, 1), &answer(HIGH_FIRST, 1))
        .expect(&asked(0x04, &[0xA0, 0x17, 2, 0x99]), &frame(WIRE, 0x84, &[0xA0, 0x17, 2, 1, 0]));
    known.turn_valve(&mut line, ValveOrder::Close).await.unwrap();
    assert!(line.is_finished());

    let mut silent = ScriptedLine::new().answer(&[]).answer(&[]);
    let error = driver(Profile::default()).turn_valve(&mut silent, ValveOrder::Close).await.unwrap_err();
    assert!(matches!(error, OrderError::Fault(Fault::Silent { .. })));
    assert!(silent.requests.iter().all(|sent| sent[13] == 0x01), "only reads: {:02X?}", silent.requests);
}

#[tokio::test]
async fn a_write_that_meets_silence_is_not_tried_in_the_other_order() {
    let mut driver = driver(Profile::default());
    let mut line = ScriptedLine::new().answer(&answer(LOW_FIRST, 0)).answer(&[]);
    let error = driver.turn_valve(&mut line, ValveOrder::Close).await.unwrap_err();
    assert!(matches!(error, OrderError::Fault(Fault::Silent { .. })));
    assert_eq!(line.requests.len(), 2);
}

#[tokio::test]
async fn a_refused_write_tells_the_status_word() {
    let mut line = ScriptedLine::new().answer(&frame(WIRE, 0xC4, &[0, 0x03, 0x00]));
    let why = refused(of_2004().turn_valve(&mut line, ValveOrder::Open).await.unwrap_err());
    assert_eq!(why, "error answer to the write: ST 03 00, valve fault, battery good");
    let mut line = ScriptedLine::new().answer(&frame(WIRE, 0xC9, &[0, 0x00, 0x00]));
    let fault = of_2004().read_key_version(&mut line).await.unwrap_err();
    assert!(
        fault.to_string().starts_with("refused: error answer to the reading of the key's version"),
        "{fault}"
    );
}

#[tokio::test]
async fn the_answer_to_one_order_is_not_taken_for_the_answer_to_another() {
    for wrong in [
        frame(WIRE, 0x84, &[0xA0, 0x15, 0]),
        frame(WIRE, 0x84, &[0xA0, 0x17, 9, 0, 0]),
        frame(WIRE, 0x81, &[0xA0, 0x17, 0, 0, 0]),
        frame(WIRE, 0x04, &[0xA0, 0x17, 0, 0, 0]),
    ] {
        let mut line = ScriptedLine::new().answer(&wrong);
        let error = of_2004().turn_valve(&mut line, ValveOrder::Open).await.unwrap_err();
        assert!(matches!(error, OrderError::Fault(Fault::Garbled { .. })), "{wrong:02X?}: {error}");
    }
}

#[tokio::test]
async fn an_answer_of_the_wrong_length_is_not_used() {
    for short in [&[0x81, 0x02, 0][..], &[0x81, 0x02, 0, 0x45, 0x03]] {
        let fault = of_2004()
            .read_price_table(&mut ScriptedLine::new().answer(&frame(WIRE, 0x81, short)))
            .await
            .unwrap_err();
        assert!(fault.to_string().contains("15 belong there"), "{fault}");
    }
    let fault = of_2004()
        .turn_valve(
            &mut ScriptedLine::new().answer(&frame(WIRE, 0x84, &[0xA0, 0x17, 0, 1])),
            ValveOrder::Open,
        )
        .await
        .unwrap_err();
    assert!(fault.to_string().contains("no status word"), "{fault}");
}

#[tokio::test]
async fn a_new_address_is_the_one_that_the_meter_answers_with() {
    let new: Address = "78330011223399".parse().unwrap();
    let asked = asked(0x15, &[0xA0, 0x18, 0, 0x99, 0x33, 0x22, 0x11, 0x00, 0x33, 0x78]);
    let mut wire = WIRE;
    wire[1] = 0x99;
    for (answering, taken) in [(wire, new), (WIRE, address())] {
        let mut driver = of_2004();
        let mut line = ScriptedLine::new().expect(&asked, &frame(answering, 0x95, &[0xA0, 0x18, 0])).expect(
            &[&[0xFE; 4][..], &frame(answering, 0x03, &[0x81, 0x0A, 1])].concat(),
            &frame(answering, 0x83, &[0x81, 0x0A, 1]),
        );
        assert_eq!(driver.write_address(&mut line, &new).await.unwrap(), taken);
        assert_eq!(
            driver.read_address(&mut line).await,
            Ok(taken),
            "asked under the address it answered with"
        );
    }
    let hot: Address = "11:78330011223399".parse().unwrap();
    let mut line = ScriptedLine::new();
    assert!(of_2004().write_address(&mut line, &hot).await.is_err());
    assert!(of_2004().write_address(&mut line, &Address::from_wire(0x10, [0xAA; 7])).await.is_err());
    assert!(line.requests.is_empty());
}

#[tokio::test]
async fn the_key_version_and_the_counter_base_have_control_codes_of_their_own() {
    let mut driver = of_2004();
    let mut line = ScriptedLine::new()
        .expect(&asked(0x09, &[0x81, 0x06, 0]), &frame(WIRE, 0x89, &[0x81, 0x06, 0, 0x11]))
        .expect(
            &asked(0x16, &[0xA0, 0x16, 1, 0x78, 0x56, 0x34, 0x12, 0x2C]),
            &frame(WIRE, 0x96, &[0xA0, 0x16, 1, 0x00, 0x00]),
        );
    assert_eq!(driver.read_key_version(&mut line).await, Ok(0x11));
    let written = driver.write_counter_base(&mut line, &number("123456.78"), 0x2C).await.unwrap();
    assert_eq!(written.status.unwrap().valve, Some(Valve::Open));
}

fn digits(number: u64, places: i32) -> Number {
    Number::scaled(number.into(), -places).unwrap()
}

fn blocking<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_price_table_is_read_as_it_was_written(
        prices in any::<[u32; 3]>(), steps in any::<[u32; 2]>(), low_first in any::<bool>(), omitted in any::<bool>(),
    ) {
        let mut steps = steps.map(|step| u64::from(step) % 1_000_000);
        steps.sort_unstable();
        let table = PriceTable {
            prices: prices.map(|price| digits(u64::from(price) % 1_000_000, 2)),
            steps: steps.map(|step| digits(step, 0)),
        };
        let profile = Profile {
            di_order: if low_first { DiOrder::LowFirst } else { DiOrder::HighFirst },
            ser: if omitted { Ser::Omitted } else { Ser::Echoed },
            ..Profile::default()
        };
        let request = Request::write_price_table(&table, 1, &profile).unwrap();
        let sent = request.encode(&address(), profile.di_order, 0, &profile);
        let payload = &sent[sent.len() - 18..sent.len() - 3];
        let di = if low_first { [0x02, 0x81] } else { [0x81, 0x02] };
        let ser = if omitted { &[][..] } else { &[0] };
        let answer = frame(WIRE, 0x81, &[&di[..], ser, payload].concat());
        let read = blocking(driver(profile).read_price_table(&mut ScriptedLine::new().answer(&answer)));
        prop_assert_eq!(read.unwrap(), table);
    }

    #[test]
    fn any_time_of_the_century_is_read_as_it_was_written(
        year in 2000_i16..2100, month in 1_i8..=12, day in 1_i8..=28, second in 0_i32..86_400, high in any::<bool>(),
    ) {
        let midnight = jiff::civil::date(year, month, day).at(0, 0, 0, 0);
        let time = midnight.saturating_add(jiff::SignedDuration::from_secs(second.into()));
        let profile = named(if high { "high-first" } else { "2004" });
        let sent = Request::write_clock(time, &profile).unwrap().encode(&address(), DiOrder::HighFirst, 0, &profile);
        let mut payload = PAYLOAD;
        payload[10..17].copy_from_slice(&sent[sent.len() - 9..sent.len() - 2]);
        let shown = frame(WIRE, 0x81, &[&HIGH_FIRST[..], &[0], &payload].concat());
        let read = blocking(driver(profile).read_clock(&mut ScriptedLine::new().answer(&shown)));
        prop_assert_eq!(read, Ok(Some(time)));
    }

    #[test]
    fn no_bytes_in_a_good_frame_panic_or_pass_for_more_than_they_are(
        function in 0_usize..7, payload in prop::collection::vec(any::<u8>(), 0..24),
    ) {
        let (control, di) =
            [(0x81, [0x81, 0x02]), (0x81, [0x81, 0x03]), (0x81, [0x81, 0x05]), (0x89, [0x81, 0x06]),
             (0x84, [0xA0, 0x13]), (0x84, [0xA0, 0x17]), (0x81, [0xD3, 0x00])][function];
        let answer = frame(WIRE, control, &[&di[..], &[0], &payload].concat());
        let (mut driver, mut line) = (of_2004(), ScriptedLine::new().answer(&answer));
        let length = payload.len();
        let ok = blocking(async {
            match function {
                0 => driver.read_price_table(&mut line).await.is_ok().then_some(15),
                1 => driver.read_settlement_day(&mut line).await.is_ok().then_some(1),
                2 => driver.read_purchase(&mut line).await.is_ok().then_some(15),
                3 => driver.read_key_version(&mut line).await.is_ok().then_some(1),
                4 => driver.write_purchase(&mut line, 1, &number("1")).await.is_ok().then_some(5),
                5 => {
                    let written = driver.turn_valve(&mut line, ValveOrder::Open).await;
                    written.is_ok_and(|written| written.status.is_some()).then_some(2)
                }
                _ => {
                    let request = Request::timed_freeze(1).unwrap();
                    driver.read_values(&mut line, &request).await.is_ok().then_some(length)
                }
            }
        });
        prop_assert!(ok.is_none_or(|needed| needed == length), "{} bytes were enough", length);
    }

    #[test]
    fn an_order_behind_noise_finds_its_answer_and_a_damaged_one_never_does(
        noise in prop::collection::vec(0_u8..0x68, 0..20), flipped in 0_usize..(18 * 8),
    ) {
        let good = frame(WIRE, 0x84, &[0xA0, 0x17, 0, 0x00, 0x00]);
        let mut line = ScriptedLine::new().answer(&[&noise[..], &good].concat());
        prop_assert!(blocking(of_2004().turn_valve(&mut line, ValveOrder::Open)).is_ok());
        let mut bad = good;
        bad[flipped / 8] ^= 1 << (flipped % 8);
        let mut line = ScriptedLine::new().answer(&bad);
        prop_assert!(blocking(of_2004().turn_valve(&mut line, ValveOrder::Open)).is_err());
    }
}
