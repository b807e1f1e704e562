//! The application layer: what the CI field announces (EN 13757-3 and -7), and from it an [`Answer`].
//!
//! Two kinds of telegram are refused although their checksum is right: those in which the meter says no (application
//! error), and those that cannot be used (encrypted without its key, mode 2, unknown, without a header and without a
//! record of which could be told what it is). Encrypted records are never guessed
//! at: a poll of such a meter is refused with the security mode, instead of a reading that looks like one and holds nothing.

use std::borrow::Cow;

use weir_meter::{Answer, Fault, Recognised};
use weir_wire::{Content, Identity, Quantity, Raw, Status, Value};

use crate::afl::Afl;
use crate::header::{LongHeader, ShortHeader};
use crate::record::{self, Records};
use crate::security::{self, Protection};
use crate::{Options, fixed, frame};

/// One telegram's part of an answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Telegram {
    pub(crate) identity: Identity,
    pub(crate) status: Status,
    pub(crate) values: Vec<Value>,
    /// The meter has further telegrams.
    pub(crate) more_follow: bool,
}

/// Reads the frame of a RSP_UD.
///
/// # Errors
/// [`Fault::Garbled`] when the bytes are no frame, [`Fault::Refused`] when the meter reports an error or sends what
/// cannot be used.
pub(crate) fn read(bytes: &[u8], options: &Options) -> Result<Telegram, Fault> {
    let frame = frame::parse(bytes)?;
    if frame.information != 0x90 {
        return announced(frame.information, frame.data, None, options);
    }
    let afl = Afl::split(frame.data)?;
    let (information, data) = afl
        .telegram
        .split_first()
        .ok_or_else(|| Fault::refused("nothing stands behind the authentication layer (CI 90)"))?;
    announced(*information, data, Some(&afl), options)
}

/// Reads what the CI field announces.
fn announced(
    information: u8,
    data: &[u8],
    afl: Option<&Afl<'_>>,
    options: &Options,
) -> Result<Telegram, Fault> {
    let header_cut =
        || Fault::refused(format!("CI {information:02X} with a header of only {} bytes", data.len()));
    let protection = |meter| Protection { key: options.key.as_ref(), afl, meter };
    match information {
        0x72 => {
            let header = LongHeader::split(data).ok_or_else(header_cut)?;
            let telegram = with_records(&header.short, &protection(Some(header.meter)), options)?;
            Ok(Telegram { identity: header.identity, ..telegram })
        }
        0x7A => {
            let header = ShortHeader::split(data).ok_or_else(header_cut)?;
            with_records(&header, &protection(options.meter), options)
        }
        0x78 => {
            let records = record::read(data, options.vif_text);
            // Without a header there is nothing else that the telegram could tell.
            if let ([Value { quantity: Quantity::Unreadable, .. }], Some(broken)) =
                (records.values.as_slice(), &records.broken)
            {
                return Err(Fault::refused(format!("no record can be read: {broken}")));
            }
            let Records { values, more_follow, .. } = records;
            Ok(Telegram { values, more_follow, ..Telegram::default() })
        }
        0x73 => {
            let fixed::Fixed { identity, status, values } = fixed::read(data)?;
            Ok(Telegram { identity, status, values, more_follow: false })
        }
        0x70 => Err(Fault::refused(format!("application error: {}", application_error(data)))),
        0x71 => Err(Fault::refused(format!("alarm telegram {}", Raw(data.to_vec())))),
        code @ (0x76 | 0x77) => {
            Err(Fault::refused(format!("CI {code:02X}: mode 2 (most significant byte first) is not read")))
        }
        code => Err(Fault::refused(format!("CI {code:02X} is not known"))),
    }
}

fn with_records(
    header: &ShortHeader<'_>,
    protection: &Protection<'_>,
    options: &Options,
) -> Result<Telegram, Fault> {
    let opened = security::open(header, protection)?;
    let records = record::read(&opened, options.vif_text);
    // In plain, the meter's identity and state stand whatever its records are. But what was decrypted with another meter's
    // address looks right but for the first record (mode 5: the address is part of the start value alone).
    if let (Cow::Owned(_), [_], Some(broken)) = (&opened, records.values.as_slice(), &records.broken) {
        return Err(Fault::refused(format!("first record cannot be read when decrypted: {broken}")));
    }
    let Records { values, more_follow, .. } = records;
    Ok(Telegram { identity: Identity::default(), status: header.status.clone(), values, more_follow })
}

/// What an application error's code stands for (EN 13757-3, "general application errors").
fn application_error(data: &[u8]) -> String {
    let known = match data.first() {
        None | Some(0) => "unspecified error",
        Some(1) => "CI field not implemented",
        Some(2) => "buffer too long, cut off",
        Some(3) => "too many records",
        Some(4) => "premature end of record",
        Some(5) => "more than 10 DIFE",
        Some(6) => "more than 10 VIFE",
        Some(8) => "application too busy for the readout",
        Some(9) => "too many readouts",
        Some(code) => return format!("code {code:02X}"),
    };
    known.into()
}

/// Puts a meter's telegrams together.
#[derive(Debug, Default)]
pub(crate) struct Merge {
    answer: Option<Answer>,
    bytes: Vec<u8>,
}

impl Merge {
    /// Adds the next telegram.
    ///
    /// # Errors
    /// [`Fault::Garbled`] when it comes from another meter than the first.
    pub(crate) fn add(&mut self, bytes: &[u8], telegram: Telegram) -> Result<(), Fault> {
        self.bytes.extend_from_slice(bytes);
        match &mut self.answer {
            None => {
                let Telegram { identity, status, values, .. } = telegram;
                self.answer = Some(Answer { identity, status, values, ..Answer::default() });
            }
            Some(answer) if answer.identity == telegram.identity => answer.values.extend(telegram.values),
            Some(_) => return Err(Fault::garbled("telegrams of two meters")),
        }
        Ok(())
    }

    /// Notes that the meter has more to say than was read.
    pub(crate) fn incomplete(&mut self, why: impl Into<String>) {
        if let Some(answer) = &mut self.answer {
            answer.values.push(Value::new(Quantity::Unreadable, Content::Invalid(why.into())));
        }
    }

    /// The values so far.
    pub(crate) fn values(&self) -> &[Value] {
        self.answer.as_ref().map_or(&[], |answer| &answer.values)
    }

    /// The whole answer, with the meter's own clock where it tells it and with all telegrams' bytes.
    pub(crate) fn finish(self) -> Answer {
        let mut answer = self.answer.unwrap_or_default();
        answer.meter_time = answer.values.iter().find_map(clock);
        answer.raw = Some(Raw(self.bytes));
        answer
    }
}

/// The meter's clock: its current date and time.
fn clock(value: &Value) -> Option<jiff::civil::DateTime> {
    let plain = Value::new(Quantity::DateTime, Content::Opaque);
    let current = (&value.quantity, &value.function, value.storage, value.tariff, value.subunit)
        == (&plain.quantity, &plain.function, 0, 0, 0);
    match value.content {
        Content::DateTime(moment) if current => Some(moment),
        _ => None,
    }
}

/// Decodes a telegram, or all telegrams of one answer one after another, whatever address they carry.
///
/// Noise before a telegram is skipped. Every value has its record's own bytes in `raw`, and the answer has the whole.
///
/// # Errors
/// [`Fault::Garbled`] when there is no whole telegram with the right checksum or something else behind it;
/// [`Fault::Refused`] when the meter reports an error in it, or when it is of a kind that is not read (encrypted,
/// mode 2).
pub fn decode(telegram: &[u8], options: &Options) -> Result<Answer, Fault> {
    let mut merge = Merge::default();
    let mut rest = telegram;
    loop {
        match frame::recognise_response(rest, None) {
            Recognised::Answer { start, end } => {
                let bytes = rest.get(start..end).unwrap_or_default();
                merge.add(bytes, read(bytes, options)?)?;
                rest = rest.get(end..).unwrap_or_default();
            }
            Recognised::Incomplete { missing } => {
                return Err(Fault::garbled(format!(
                    "telegram breaks off: at least {missing} bytes are missing"
                )));
            }
            Recognised::Foreign { why, .. } | Recognised::Garbled { why } => {
                return Err(Fault::Garbled { why });
            }
        }
        if rest.is_empty() {
            return Ok(merge.finish());
        }
    }
}

#[cfg(test)]
mod tests;
