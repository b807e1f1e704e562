//! Who is on a line, on a scripted one.

use weir_cjt188::{Profile, who_is_there};
use weir_meter::scripted::ScriptedLine;
use weir_meter::{Presence, RollCallError};

use crate::meter::*;

const LOW_FIRST: [u8; 3] = [0x0A, 0x81, 0xA6];
const HIGH_FIRST: [u8; 3] = [0x81, 0x0A, 0xA6];

fn to_all(data: &[u8]) -> Vec<u8> {
    [&[0xFE; 4][..], &frame([0xAA; 8], 0x03, data)].concat()
}

/// The metering data, as a poll asks for them.
fn to_one(wire: [u8; 8], di: [u8; 2]) -> Vec<u8> {
    [&[0xFE; 4][..], &frame(wire, 0x01, &[di[0], di[1], 0xA6])].concat()
}

fn said(wire: [u8; 8], control: u8, data: &[u8]) -> Vec<u8> {
    [&[0xFE, 0xFE][..], &frame(wire, control, data)].concat()
}

async fn heard(line: &mut ScriptedLine) -> Presence<weir_cjt188::Address> {
    let presence = who_is_there(line, &Profile::default(), 1).await.unwrap();
    assert!(line.is_finished(), "{:02X?}", line.requests);
    presence
}

#[tokio::test]
async fn whoever_is_alone_on_a_line_is_found_in_either_order() {
    let found = Presence { meters: vec![address()], unconfirmed: Vec::new(), is_jumbled: false };
    let mut line = ScriptedLine::new()
        .expect(&to_all(&LOW_FIRST), &[])
        .expect(&to_all(&HIGH_FIRST), &said(WIRE, 0x83, &HIGH_FIRST))
        .expect(&to_one(WIRE, [0x90, 0x1F]), &said(WIRE, 0x81, &[0x90, 0x1F, 0xA6]));
    assert_eq!(heard(&mut line).await, found);
    // An order that it does not understand is refused, and that has its address too.
    let refusal = said(WIRE, 0xC3, &[0xA6, 0x00, 0x00]);
    let mut line = ScriptedLine::new()
        .expect(&to_all(&LOW_FIRST), &refusal)
        .expect(&to_one(WIRE, [0x1F, 0x90]), &said(WIRE, 0xC1, &[0xA6, 0x00, 0x00]));
    assert_eq!(heard(&mut line).await, found);
}

#[tokio::test]
async fn nobody_is_nobody_after_both_orders() {
    let mut line = ScriptedLine::new();
    let nobody = Presence { meters: Vec::new(), unconfirmed: Vec::new(), is_jumbled: false };
    assert_eq!(heard(&mut line).await, nobody);
    assert_eq!(line.requests, [to_all(&LOW_FIRST), to_all(&HIGH_FIRST)]);
}

#[tokio::test]
async fn two_who_answer_at_once_are_a_jumble_and_neither_nobody_nor_a_meter_that_is_not_there() {
    let whole = said(WIRE, 0x83, &LOW_FIRST);
    let mut laid_over = whole.clone();
    laid_over[5] &= 0x40;
    let mut line = ScriptedLine::new().answer(&laid_over).answer(&laid_over).answer(&laid_over);
    let jumble = Presence { meters: Vec::new(), unconfirmed: Vec::new(), is_jumbled: true };
    assert_eq!(heard(&mut line).await, jumble);

    // What is laid over may have a right checksum: then nobody has that address.
    let phantom = WIRE.map(|byte| byte & 0x70);
    let mut line = ScriptedLine::new()
        .answer(&said(phantom, 0x83, &LOW_FIRST))
        .expect(&to_one(phantom, [0x1F, 0x90]), &[]);
    let presence = heard(&mut line).await;
    assert!(presence.meters.is_empty() && presence.unconfirmed.len() == 1, "{presence:?}");

    // One after the other they are known, and that there may be more.
    let mut other = WIRE;
    other[1] = 0x45;
    let both = [whole, said(other, 0x83, &LOW_FIRST)].concat();
    let mut line = ScriptedLine::new()
        .answer(&both)
        .answer(&both)
        .answer(&both)
        .expect(&to_one(WIRE, [0x1F, 0x90]), &said(WIRE, 0x81, &[0x1F, 0x90, 0xA6]))
        .expect(&to_one(other, [0x1F, 0x90]), &said(other, 0x81, &[0x1F, 0x90, 0xA6]));
    let presence = heard(&mut line).await;
    assert_eq!((presence.meters.len(), presence.is_jumbled), (2, true), "{presence:?}");
}

#[tokio::test]
async fn an_answer_without_an_address_of_its_own_is_none() {
    let any = said([0xAA; 8], 0x83, &LOW_FIRST);
    let mut line = ScriptedLine::new().answer(&any).answer(&any).answer(&any);
    let presence = heard(&mut line).await;
    assert!(presence.meters.is_empty() && presence.is_jumbled, "{presence:?}");
}

#[tokio::test]
async fn an_echo_that_is_not_configured_is_named() {
    let mut line = ScriptedLine::new().answer(&to_all(&LOW_FIRST));
    let echo = who_is_there(&mut line, &Profile::default(), 1).await;
    assert_eq!(echo, Err(RollCallError::Echo));
}
