//! The relay: where it stands, and switching it.

use std::sync::Arc;

use weir_dlt645::{Authority, Dlt645, OrderError, Relay, RelayOrder};
use weir_meter::Fault;
use weir_meter::scripted::ScriptedLine;

use crate::meter::*;

const STATUS_3: u32 = 0x0400_0503;

fn authority() -> Authority {
    Authority::new(2, [0x37, 0x06, 0x02], [1, 0, 0, 0])
}

#[tokio::test]
async fn the_relays_state_is_a_bit_of_the_run_status_word() {
    for (word, stands) in
        [([0x00, 0x00], Relay::Closed), ([0xEF, 0xFF], Relay::Closed), ([0x10, 0x00], Relay::Open)]
    {
        let mut line = ScriptedLine::new().expect(&read_of(STATUS_3), &answer(STATUS_3, &word));
        assert_eq!(driver("standard").read_relay(&mut line).await, Ok(stands), "{word:02X?}");
    }
    let mut line = ScriptedLine::new().answer(&answer(STATUS_3, &[0x10]));
    assert_eq!(driver("standard").read_relay(&mut line).await.unwrap_err().name(), "refused");
}

#[tokio::test]
async fn an_order_carries_who_gives_it_and_until_when_it_holds() {
    let expires = "2026-11-25T23:05:09".parse().unwrap();
    for (order, code) in [
        (RelayOrder::Trip, 0x1A),
        (RelayOrder::AllowClose, 0x1B),
        (RelayOrder::Close, 0x1C),
        (RelayOrder::Alarm, 0x2A),
        (RelayOrder::AlarmEnd, 0x2B),
        (RelayOrder::Keep, 0x3A),
        (RelayOrder::KeepEnd, 0x3B),
    ] {
        let data = [2, 0x37, 0x06, 0x02, 1, 0, 0, 0, code, 0, 0x09, 0x05, 0x23, 0x25, 0x11, 0x26];
        let mut line = ScriptedLine::new().expect(&asked(0x1C, &data), &frame(WIRE, 0x9C, &[]));
        let switched = driver("standard").switch(&mut line, order, &authority(), expires).await.unwrap();
        assert_eq!(switched.raw.0, frame(WIRE, 0x9C, &[]));
    }
}

#[tokio::test]
async fn a_wrong_password_is_told_in_words() {
    let mut line = ScriptedLine::new().answer(&frame(WIRE, 0xDC, &[0x04]));
    let expires = "2026-11-25T23:05:09".parse().unwrap();
    let error =
        driver("standard").switch(&mut line, RelayOrder::Trip, &authority(), expires).await.unwrap_err();
    let why = "error answer to the relay order: ERR 04, wrong password or not authorised";
    assert_eq!(error, OrderError::Fault(Fault::refused(why)));
}

#[tokio::test]
async fn what_cannot_be_said_or_may_mean_two_meters_never_goes_on_the_line() {
    let mut line = ScriptedLine::new();
    let (far, soon) = ("2100-01-01T00:00:00".parse().unwrap(), "2026-11-25T23:05:09".parse().unwrap());
    let error = driver("standard").switch(&mut line, RelayOrder::Trip, &authority(), far).await.unwrap_err();
    assert!(error.to_string().starts_with("not sent: expiry 2100"), "{error}");
    let short = Dlt645::new("AAAAAAAA2529".parse().unwrap(), Arc::new(named("standard")));
    let error = short.switch(&mut line, RelayOrder::Trip, &authority(), soon).await.unwrap_err();
    assert_eq!(error.to_string(), "not sent: AAAAAAAA2529 may be more than one meter");
    assert!(line.requests.is_empty());
}

#[test]
fn a_password_is_not_shown() {
    let shown = format!("{:?}", Authority::new(2, [0x37, 0x36, 0x35], [0x41, 0x42, 0x43, 0x44]));
    assert_eq!(shown, "Authority { level: 2, .. }");
}
