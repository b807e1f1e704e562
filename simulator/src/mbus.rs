//! Wired M-Bus slaves after EN 13757-2 (link layer) and EN 13757-3 (application layer).
//!
//! # What a slave does
//!
//! | request | answer |
//! |---|---|
//! | SND_NKE (C 40) | E5; frame count bit and telegram sequence start anew |
//! | REQ_UD2 (C 5B or 7B) | RSP_UD, CI 72. The same frame count bit as before: the same telegram again |
//! | REQ_UD1 (C 5A or 7A) | E5: no alarm |
//! | SND_UD (C 53 or 73) with CI 50, a subcode or none | E5; the telegram sequence starts anew |
//! | SND_UD with CI 51 and `01 7A` | E5; the primary address is the given one, unless it is above 250 |
//! | SND_UD with CI 51 and `04 6D` or `06 6D` | E5; the clock is set (types F and I) |
//! | SND_UD with CI 51 and `01 FD 1A`, then 01 or 00 (model `valve`) | E5; the valve opens or closes |
//! | SND_UD with CI B8 to BF | E5 at the old speed; from then on 300, 600, … 38 400 Bd |
//! | SND_UD with CI 52 to address 253 | E5 if the secondary address matches (nibble F and byte FF match anything), and the slave is selected |
//! | SND_UD with another CI, or other data | E5, otherwise ignored |
//! | the same SND_UD with the same frame count bit again | E5, and nothing is done twice |
//!
//! Addresses: its own; 253 when selected; 254 every slave answers; 255 every slave obeys and none answers. Whatever
//! the request's address was, the answer carries the slave's primary address.
//!
//! # Models
//!
//! The records in order, as DIF VIF bytes. Values are what their names say; `volume` is the register in the journal.
//!
//! | model | bytes | medium | records |
//! |---|---|---|---|
//! | `short` | 39 | cold water 16 | `0C 78` fabrication number, `04 15` volume 0.1 m³ (binary), `04 6D` clock (type F) |
//! | `typical` | 66 | cold water 16 | `0C 78`, `0C 13` volume 0.001 m³ (BCD), `04 6D`, `42 6C` due date (type G), `4C 13` volume at due date, `0B 3B` flow l/h, `02 FD 17` error flags, `0D FD 0C` model as text |
//! | `warm` | 66 | warm water 06 | as `typical` |
//! | `valve` | 70 | cold water 16 | as `typical`, then `01 FD 1A` digital output: 1 valve open, 0 closed, 2 on its way, 3 faulty (made up) |
//! | `long` | 120 | cold water 16 | `0C 78`, `0C 14` volume 0.01 m³ (BCD), `04 6D`, `42 6C`, `4C 14`, `82 01 6C` and `8C 01 14` the due date before (storage 2), `1B 3B` highest and `2B 3B` lowest flow, `8C 10 14` and `8C 20 14` volume by tariff 1 and 2, `8C 40 14` volume of subunit 1, `02 5A` flow temperature 0.1 °C, `02 FD 17`, `04 22` on time h, `02 FD 74` battery days, `0D FD 0C` |
//! | `two-telegrams` | 50 and 74 | cold water 16 | first `0C 78`, `04 13` volume 0.001 m³ (binary), `04 6D`, `42 6C`, `44 13`, `1F` more follows; then storages 2 to 5 (`82 01 6C`, `84 01 13`, `C2 01 6C`, `C4 01 13`, …), `02 FD 17` |
//!
//! Status byte: 04 with a low battery, otherwise 00; the error flags are 0 then 1. The version byte is 1 unless the
//! configuration says another, the signature 0.

mod orders;
mod telegram;
pub(crate) use telegram::bcd;
#[cfg(test)]
mod tests;

use std::time::Duration;

use jiff::SignedDuration;

use crate::Protocol;
use crate::bus::{Answer, Obeyed, Recognition, RegisterSaid, Snapshot, Valve, by_length};

const START_SHORT: u8 = 0x10;
const START_LONG: u8 = 0x68;
const STOP: u8 = 0x16;
const ACKNOWLEDGE: u8 = 0xE5;

const ADDRESS_SELECTED: u8 = 253;
const ADDRESS_ALL_ANSWER: u8 = 254;
const ADDRESS_NONE_ANSWERS: u8 = 255;

const FRAME_COUNT_BIT: u8 = 0x20;
const FRAME_COUNT_VALID: u8 = 0x10;

/// Eight BCD digits, also where the model sends the register in binary.
pub(crate) const REGISTER_STEPS: u64 = 100_000_000;

/// A telegram layout; see the module's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Model {
    Short,
    Typical,
    Warm,
    Valve,
    Long,
    TwoTelegrams,
}

impl Model {
    pub(crate) fn named(name: Option<&str>) -> Result<Self, String> {
        match name {
            Some("short") => Ok(Self::Short),
            None | Some("typical") => Ok(Self::Typical),
            Some("warm") => Ok(Self::Warm),
            Some("valve") => Ok(Self::Valve),
            Some("long") => Ok(Self::Long),
            Some("two-telegrams") => Ok(Self::TwoTelegrams),
            Some(other) => Err(format!(
                "no M-Bus model {other:?}; there are short, typical, warm, valve, long and two-telegrams"
            )),
        }
    }

    pub(crate) fn decimals(self) -> u32 {
        match self {
            Self::Short => 1,
            Self::Typical | Self::Warm | Self::Valve | Self::TwoTelegrams => 3,
            Self::Long => 2,
        }
    }
}

/// Three capital letters as EN 13757-3 packs them, low byte first.
pub(crate) fn manufacturer_code(letters: &str) -> Result<[u8; 2], String> {
    let bytes = letters.as_bytes();
    if bytes.len() != 3 || !bytes.iter().all(u8::is_ascii_uppercase) {
        return Err(format!("manufacturer {letters:?} is not three capital letters"));
    }
    Ok(bytes.iter().fold(0_u16, |code, letter| code * 32 + u16::from(letter - 64)).to_le_bytes())
}

pub(crate) fn recognise(buffer: &[u8]) -> Recognition {
    match *buffer {
        [START_SHORT, ..] => by_length(
            Protocol::Mbus,
            buffer,
            5,
            |frame| matches!(*frame, [_, c, a, sum, STOP] if c.wrapping_add(a) == sum),
        ),
        [START_LONG] | [START_LONG, _] => Recognition::Incomplete,
        [START_LONG, len, again, ..] if len != again || len < 3 => Recognition::Garbage,
        [START_LONG, _, _, third, ..] if third != START_LONG => Recognition::Garbage,
        [START_LONG, len, ..] => by_length(
            Protocol::Mbus,
            buffer,
            usize::from(len) + 6,
            |frame| matches!(*frame, [_, _, _, _, ref body @ .., sum, STOP] if checksum(body) == sum),
        ),
        _ => Recognition::Garbage,
    }
}

/// A long frame around C, A, CI and data.
fn long_frame(body: &[u8]) -> Vec<u8> {
    // No layout here comes near the 255 bytes that a length byte can say.
    let len = u8::try_from(body.len()).unwrap_or(u8::MAX);
    let mut frame = vec![START_LONG, len, len, START_LONG];
    frame.extend_from_slice(body);
    frame.extend([checksum(body), STOP]);
    frame
}

pub(crate) fn checksum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, byte| sum.wrapping_add(*byte))
}

/// One slave's link and telegram state.
#[derive(Debug)]
pub(crate) struct Slave {
    address: u8,
    manufacturer: [u8; 2],
    model: Model,
    selected: bool,
    last_frame_count_bit: Option<bool>,
    last_answer: Option<Answer>,
    next_telegram: usize,
    access: u8,
    version: u8,
    /// The last SND_UD, to know a repeat by.
    last_order: Vec<u8>,
    /// How much its clock is ahead of the one it began with.
    clock_set_by: SignedDuration,
    /// The speed that it was told to take, until somebody asks.
    new_speed: Option<u32>,
    valve: Valve,
    pub(crate) obeyed: Obeyed,
}

impl Slave {
    pub(crate) fn new(address: u8, manufacturer: [u8; 2], version: u8, model: Model) -> Self {
        Self {
            address,
            manufacturer,
            model,
            selected: false,
            last_frame_count_bit: None,
            last_answer: None,
            next_telegram: 0,
            access: 0,
            version,
            last_order: Vec::new(),
            clock_set_by: SignedDuration::ZERO,
            new_speed: None,
            valve: Valve::new(Duration::ZERO),
            obeyed: Obeyed::default(),
        }
    }

    /// The same with this valve.
    pub(crate) fn with_valve(self, valve: Valve) -> Self {
        Self { valve, ..self }
    }

    /// The speed at which it listens from now on, when that has just changed.
    pub(crate) fn take_speed(&mut self) -> Option<u32> {
        self.new_speed.take()
    }

    /// Whether a whole, valid frame is for this slave.
    pub(crate) fn concerned_by(&self, frame: &[u8]) -> bool {
        parts(frame).is_some_and(|parts| match parts.a {
            ADDRESS_SELECTED => self.selected || parts.selection().is_some(),
            ADDRESS_ALL_ANSWER | ADDRESS_NONE_ANSWERS => true,
            a => a == self.address,
        })
    }

    /// The answer to a frame that is for this slave; `None`: it asks for no answer.
    pub(crate) fn hear(&mut self, frame: &[u8], snapshot: &Snapshot) -> Option<Answer> {
        let parts = parts(frame)?;
        let answer = match parts.selection() {
            Some(mask) => self.select(mask, snapshot),
            None => self.obey(&parts, frame, snapshot),
        };
        answer.filter(|_| parts.a != ADDRESS_NONE_ANSWERS)
    }

    fn obey(&mut self, parts: &Parts<'_>, frame: &[u8], snapshot: &Snapshot) -> Option<Answer> {
        let Parts { c, a, ci, data } = *parts;
        match (c, ci) {
            (0x40, None) => {
                self.last_frame_count_bit = None;
                self.next_telegram = 0;
                self.last_order.clear();
                if a == ADDRESS_SELECTED {
                    self.selected = false;
                }
                Some(acknowledge())
            }
            (0x5A | 0x7A, None) => Some(acknowledge()),
            (0x4B | 0x5B | 0x6B | 0x7B, None) => Some(self.class_2_data(c, snapshot)),
            (c, Some(ci)) if is_send_user_data(c) => {
                if self.last_order != frame {
                    self.last_order = frame.to_vec();
                    self.carry_out(ci, data, snapshot);
                }
                Some(acknowledge())
            }
            _ => None,
        }
    }

    fn class_2_data(&mut self, c: u8, snapshot: &Snapshot) -> Answer {
        let frame_count_bit = (c & FRAME_COUNT_VALID != 0).then_some(c & FRAME_COUNT_BIT != 0);
        let repeated = frame_count_bit.is_some() && frame_count_bit == self.last_frame_count_bit;
        self.last_frame_count_bit = frame_count_bit;
        if let Some(last) = self.last_answer.as_ref().filter(|_| repeated) {
            let register =
                if last.register == RegisterSaid::No { RegisterSaid::No } else { RegisterSaid::Again };
            return Answer { bytes: last.bytes.clone(), register };
        }
        let clock = snapshot.clock.saturating_add(self.clock_set_by);
        let position = self.valve.position(snapshot);
        let telegrams = telegram::telegrams(self.model, position, &Snapshot { clock, ..snapshot.clone() });
        let records = telegrams.get(self.next_telegram).map_or(&[][..], Vec::as_slice);
        let first = self.next_telegram == 0;
        self.next_telegram = (self.next_telegram + 1) % telegrams.len().max(1);

        let mut body = vec![0x08, self.address, 0x72];
        body.extend(self.header(snapshot));
        body.extend_from_slice(records);
        self.access = self.access.wrapping_add(1);
        let register = if first { RegisterSaid::Anew } else { RegisterSaid::No };
        let answer = Answer { bytes: long_frame(&body), register };
        self.last_answer = Some(answer.clone());
        answer
    }

    /// Identification, manufacturer, version, medium, access number, status, signature (EN 13757-3, long header).
    fn header(&self, snapshot: &Snapshot) -> [u8; 12] {
        let [id0, id1, id2, id3] = telegram::bcd(u64::from(snapshot.serial));
        let [maker0, maker1] = self.manufacturer;
        let status = if snapshot.low_battery { 0x04 } else { 0x00 };
        [id0, id1, id2, id3, maker0, maker1, self.version, self.medium(), self.access, status, 0, 0]
    }

    fn medium(&self) -> u8 {
        if self.model == Model::Warm { 0x06 } else { 0x16 }
    }

    fn select(&mut self, mask: &[u8], snapshot: &Snapshot) -> Option<Answer> {
        let own = self.header(snapshot);
        let (mask_id, mask_rest) = mask.split_at_checked(4)?;
        let (own_id, own_rest) = own.split_at_checked(4)?;
        let nibble = |mask: u8, own: u8| mask == 0xF || mask == own;
        let id_fits = mask_id
            .iter()
            .zip(own_id)
            .all(|(mask, own)| nibble(mask >> 4, own >> 4) && nibble(mask & 0xF, own & 0xF));
        let rest = mask_rest.get(..4)?;
        self.selected = id_fits && rest.iter().zip(own_rest).all(|(mask, own)| *mask == 0xFF || mask == own);
        self.last_frame_count_bit = None;
        self.last_order.clear();
        self.selected.then(acknowledge)
    }
}

/// The version of a meter whose configuration gives none.
pub(crate) const VERSION: u8 = 1;

struct Parts<'a> {
    c: u8,
    a: u8,
    /// Long frames only, as `data`.
    ci: Option<u8>,
    data: &'a [u8],
}

impl Parts<'_> {
    /// The secondary address to select by (EN 13757-3, CI 52), where the frame is about that.
    fn selection(&self) -> Option<&[u8]> {
        let selects = self.a == ADDRESS_SELECTED && is_send_user_data(self.c) && self.ci == Some(0x52);
        selects.then_some(self.data)
    }
}

fn parts(frame: &[u8]) -> Option<Parts<'_>> {
    match *frame {
        [START_SHORT, c, a, ..] => Some(Parts { c, a, ci: None, data: &[] }),
        [START_LONG, _, _, _, c, a, ci, ref data @ .., _, _] => Some(Parts { c, a, ci: Some(ci), data }),
        _ => None,
    }
}

fn is_send_user_data(c: u8) -> bool {
    matches!(c, 0x53 | 0x73)
}

fn acknowledge() -> Answer {
    Answer { bytes: vec![ACKNOWLEDGE], register: RegisterSaid::No }
}
