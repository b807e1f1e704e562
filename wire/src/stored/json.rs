//! A reading's JSON straight from its stored record: byte for byte what `serde_json` makes of [`Reading::named`], in little
//! more than half the time, because no key is searched for what to escape and no number goes through a text of its own.
//! After an outage this is the largest part of a gateway's work.
//!
//! The contract is not here but in [`crate::Reading`]; a test holds the two together.

use std::fmt::Display;
use std::io::Write;

use serde::Serialize;

use super::Reading;
use crate::{Answer, Clock, Content, Identity, Status, Value};

/// The reading as it stands in the topic, put behind what is in `json`.
pub(super) fn write(reading: &Reading, id: &str, gateway: &str, json: &mut Vec<u8>) {
    let Reading { line, meter, driver, scheduled_at, read_at, clock, boot, uptime_ms, answer } = reading;
    let Answer { identity, meter_time, values, status, raw } = answer;
    let mut json = Json(json);
    json.raw("{");
    json.text("\"id\":", id);
    json.text("\"gateway\":", gateway);
    json.text("\"line\":", line);
    json.text("\"meter\":", meter);
    json.text("\"driver\":", driver);
    json.raw("\"identity\":");
    json.identity(identity);
    json.quoted_if("\"scheduled_at\":", scheduled_at.as_ref());
    json.quoted("\"read_at\":", read_at);
    json.quoted_if("\"meter_time\":", meter_time.as_ref());
    json.raw(match clock {
        Clock::Synced => "\"clock\":\"synced\",",
        Clock::Mended => "\"clock\":\"mended\",",
        Clock::Unsynced => "\"clock\":\"unsynced\",",
    });
    json.quoted("\"boot\":", &format_args!("{boot:08x}"));
    json.integer("\"uptime_ms\":", uptime_ms);
    json.raw("\"values\":[");
    values.iter().for_each(|value| json.value(value));
    json.end("],");
    json.raw("\"status\":");
    json.status(status);
    json.quoted_if("\"raw\":", raw.as_ref());
    json.end("}");
}

/// Every member and element writes its comma behind it, and whatever ends takes the last one back.
struct Json<'a>(&'a mut Vec<u8>);

impl Json<'_> {
    fn identity(&mut self, Identity { manufacturer, number, version, medium }: &Identity) {
        self.raw("{");
        self.text_if("\"manufacturer\":", manufacturer.as_deref());
        self.text_if("\"number\":", number.as_deref());
        if let Some(version) = version {
            self.integer("\"version\":", version);
        }
        self.text_if("\"medium\":", medium.as_ref().map(|medium| medium.as_str()));
        self.end("},");
    }

    fn value(&mut self, value: &Value) {
        let Value { quantity, name, content, unit, function, storage, tariff, subunit, raw } = value;
        self.raw("{");
        self.text("\"quantity\":", quantity.as_str());
        self.text_if("\"name\":", name.as_deref());
        match content {
            Content::Number(number) => self.plain("\"value\":", number),
            Content::Text(text) => self.text("\"text\":", text),
            Content::Date(date) => self.quoted("\"date\":", date),
            Content::DateTime(date) => self.quoted("\"date\":", date),
            Content::Invalid(why) => self.text("\"invalid\":", why),
            Content::Opaque => {}
        }
        self.text_if("\"unit\":", unit.as_ref().map(|unit| unit.as_str()));
        self.text("\"function\":", function.as_str());
        self.integer("\"storage\":", storage);
        self.integer("\"tariff\":", tariff);
        self.integer("\"subunit\":", subunit);
        self.quoted_if("\"raw\":", raw.as_ref());
        self.end("},");
    }

    fn status(&mut self, Status { valve, battery_low, alarms }: &Status) {
        self.raw("{");
        self.text_if("\"valve\":", valve.as_ref().map(|valve| valve.as_str()));
        if let Some(low) = battery_low {
            self.plain("\"battery_low\":", low);
        }
        self.raw("\"alarms\":[");
        alarms.iter().for_each(|alarm| self.text("", alarm));
        self.end("],");
        self.end("},");
    }

    // Inlined, as what follows is, so that a key is a copy of known length.
    #[inline(always)]
    fn raw(&mut self, json: &str) {
        self.0.extend_from_slice(json.as_bytes());
    }

    fn end(&mut self, end: &str) {
        self.0.pop_if(|last| *last == b',');
        self.raw(end);
    }

    #[inline(always)]
    fn text(&mut self, key: &str, text: &str) {
        self.raw(key);
        let is_plain = |byte: u8| byte >= b' ' && byte != b'"' && byte != b'\\';
        if text.bytes().all(is_plain) {
            self.raw("\"");
            self.raw(text);
            self.raw("\"");
        } else {
            // A vector takes everything, here and below.
            let _ = serde_json::to_writer(&mut *self.0, text);
        }
        self.raw(",");
    }

    fn text_if(&mut self, key: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(key, text);
        }
    }

    #[inline(always)]
    fn integer(&mut self, key: &str, integer: &impl Serialize) {
        self.raw(key);
        let _ = serde_json::to_writer(&mut *self.0, integer);
        self.raw(",");
    }

    /// What never shows a character that JSON would escape: decimals and truths.
    fn plain(&mut self, key: &str, plain: &impl Display) {
        self.raw(key);
        let _ = write!(self.0, "{plain},");
    }

    /// What never shows a character that JSON would escape: times and hex.
    fn quoted(&mut self, key: &str, plain: &impl Display) {
        self.raw(key);
        let _ = write!(self.0, "\"{plain}\",");
    }

    fn quoted_if(&mut self, key: &str, plain: Option<&impl Display>) {
        if let Some(plain) = plain {
            self.quoted(key, plain);
        }
    }
}
