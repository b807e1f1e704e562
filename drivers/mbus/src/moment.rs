//! Dates and times (EN 13757-3, Annex A: types F, G, I and J).
//!
//! Which type it is follows from the length of the data. A field may say "every" (every year, every day); such a
//! recurring moment is no date and comes out as text with a `*` for it, as `*-01-01 00:00`. A moment that the meter
//! itself marks as invalid, one that was never set (all zero) and one that is on no calendar are invalid.

use jiff::civil::{Date, Time};
use weir_wire::Content;

/// The fields of a moment; `None` inside a field stands for "every".
#[derive(Default)]
struct Fields {
    date: Option<DateFields>,
    time: Option<TimeFields>,
}

struct DateFields {
    year: Option<i16>,
    month: Option<i8>,
    day: Option<i8>,
}

struct TimeFields {
    hour: Option<i8>,
    minute: Option<i8>,
    /// The inner `None` stands for "every", the outer one for a type without seconds.
    second: Option<Option<i8>>,
}

/// Decodes a date (two bytes), a time (three), or both (four or six).
pub(crate) fn decode(bytes: &[u8]) -> Content {
    if !bytes.is_empty() && bytes.iter().all(|byte| *byte == 0xFF) {
        return Content::Invalid("not available".into());
    }
    match *bytes {
        [lo, hi] => type_g(lo, hi),
        [second, minute, hour] => type_j(second, minute, hour),
        [minute, hour, lo, hi] => type_f(minute, hour, lo, hi),
        [second, minute, hour, lo, hi, _week] => type_i([second, minute, hour, lo, hi]),
        _ => Content::Invalid(format!("no date or time has {} bytes", bytes.len())),
    }
}

fn type_g(lo: u8, hi: u8) -> Content {
    match date_fields(lo, hi, 0) {
        Ok(date) => Fields { date: Some(date), time: None }.content(),
        Err(why) => Content::Invalid(why),
    }
}

fn type_j(second: u8, minute: u8, hour: u8) -> Content {
    let second = Some(field(second, 0x3F, 63));
    let time = TimeFields { hour: field(hour, 0x1F, 31), minute: field(minute, 0x3F, 63), second };
    Fields { date: None, time: Some(time) }.content()
}

fn type_f(minute: u8, hour: u8, lo: u8, hi: u8) -> Content {
    if minute & 0x80 != 0 {
        return marked_invalid();
    }
    let time = TimeFields { hour: field(hour, 0x1F, 31), minute: field(minute, 0x3F, 63), second: None };
    match date_fields(lo, hi, hour >> 5 & 3) {
        Ok(date) => Fields { date: Some(date), time: Some(time) }.content(),
        Err(why) => Content::Invalid(why),
    }
}

fn type_i([second, minute, hour, lo, hi]: [u8; 5]) -> Content {
    if minute & 0x80 != 0 {
        return marked_invalid();
    }
    let second = Some(field(second, 0x3F, 63));
    let time = TimeFields { hour: field(hour, 0x1F, 31), minute: field(minute, 0x3F, 63), second };
    match date_fields(lo, hi, 0) {
        Ok(date) => Fields { date: Some(date), time: Some(time) }.content(),
        Err(why) => Content::Invalid(why),
    }
}

fn marked_invalid() -> Content {
    Content::Invalid("the meter marks this time as invalid".into())
}

/// The masked field, `None` when it is the code for "every".
fn field(byte: u8, mask: u8, every: u8) -> Option<i8> {
    let value = byte & mask;
    i8::try_from(value).ok().filter(|_| value != every)
}

/// Day, month and year, which all types pack alike into two bytes.
///
/// The year has two digits. Type F adds hundreds from 1900 on; where they are missing or zero, 00 to 80 is 2000 to 2080
/// and 81 to 99 is 1981 to 1999 (EN 13757-3, Annex A, for compatibility with meters that leave the hundreds out).
fn date_fields(lo: u8, hi: u8, hundreds: u8) -> Result<DateFields, String> {
    let (day, month) = (lo & 0x1F, hi & 0x0F);
    let year = lo >> 5 | (hi & 0xF0) >> 1;
    if day == 0 && month == 0 {
        return Err("not set".into());
    }
    let year = match (i16::from(year), i16::from(hundreds)) {
        (127, _) => None,
        (year @ 100.., _) => return Err(format!("year code {year} is reserved")),
        (year @ ..=80, 0) => Some(2000 + year),
        (year, hundreds) => Some(1900 + 100 * hundreds + year),
    };
    let month = match month {
        15 => None,
        1..=12 => i8::try_from(month).ok(),
        _ => return Err(format!("month {month}")),
    };
    Ok(DateFields { year, month, day: field(day, 0x1F, 0) })
}

impl Fields {
    fn content(&self) -> Content {
        self.recurring()
            .or_else(|| self.on_the_calendar())
            .unwrap_or_else(|| Content::Invalid(format!("{} is on no calendar", self.pattern())))
    }

    /// As text, when any field says "every", and when there is a time alone.
    fn recurring(&self) -> Option<Content> {
        let every_date = self
            .date
            .as_ref()
            .is_some_and(|date| date.year.is_none() || date.month.is_none() || date.day.is_none());
        let every_time = self
            .time
            .as_ref()
            .is_some_and(|time| time.hour.is_none() || time.minute.is_none() || time.second == Some(None));
        let time_alone = self.date.is_none() && self.time().is_some();
        (every_date || every_time || time_alone).then(|| Content::Text(self.pattern()))
    }

    fn on_the_calendar(&self) -> Option<Content> {
        let date = self.date.as_ref()?;
        let date = Date::new(date.year?, date.month?, date.day?).ok()?;
        match self.time {
            None => Some(Content::Date(date)),
            Some(_) => Some(Content::DateTime(date.to_datetime(self.time()?))),
        }
    }

    fn time(&self) -> Option<Time> {
        let time = self.time.as_ref()?;
        Time::new(time.hour?, time.minute?, time.second.unwrap_or(Some(0))?, 0).ok()
    }

    fn pattern(&self) -> String {
        let two = |field: Option<i8>| field.map_or_else(|| "*".into(), |value| format!("{value:02}"));
        let date = self.date.as_ref().map(|date| {
            let year = date.year.map_or_else(|| "*".into(), |year| year.to_string());
            format!("{year}-{}-{}", two(date.month), two(date.day))
        });
        let time = self.time.as_ref().map(|time| {
            let second = time.second.map(|second| format!(":{}", two(second))).unwrap_or_default();
            format!("{}:{}{second}", two(time.hour), two(time.minute))
        });
        [date, time].into_iter().flatten().collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(bytes: &[u8]) -> String {
        match decode(bytes) {
            Content::Date(date) => date.to_string(),
            Content::DateTime(moment) => moment.to_string(),
            Content::Text(text) => format!("text {text}"),
            Content::Invalid(why) => format!("invalid: {why}"),
            other => format!("{other:?}"),
        }
    }

    /// The first of January of this two-digit year.
    fn date(year: u8) -> [u8; 2] {
        [year << 5 | 1, year << 1 & 0xF0 | 1]
    }

    #[test]
    fn dates_of_real_meters() {
        assert_eq!(shown(&[0xDF, 0x1C]), "2014-12-31");
        assert_eq!(shown(&[0xFF, 0x0C]), "2007-12-31");
        assert_eq!(shown(&[0x0B, 0x0B, 0xCD, 0x13]), "2014-03-13T11:11:00");
        assert_eq!(shown(&[0x0C, 0x15, 0xA8, 0x22]), "2021-02-08T21:12:00");
    }

    #[test]
    fn the_century_follows_the_hundreds_or_else_the_year() {
        assert_eq!(shown(&date(80)), "2080-01-01");
        assert_eq!(shown(&date(81)), "1981-01-01");
        let with_hundreds = |hundreds: u8, year| {
            let [lo, hi] = date(year);
            shown(&[0, hundreds << 5, lo, hi])
        };
        assert_eq!(with_hundreds(0, 5), "2005-01-01T00:00:00");
        assert_eq!(with_hundreds(1, 5), "2005-01-01T00:00:00");
        assert_eq!(with_hundreds(1, 90), "2090-01-01T00:00:00");
        assert_eq!(with_hundreds(2, 5), "2105-01-01T00:00:00");
    }

    #[test]
    fn seconds_come_with_types_i_and_j() {
        assert_eq!(shown(&[0x1E, 0x0F, 0x15, 0xB2, 0x1A, 0x00]), "2013-10-18T21:15:30");
        assert_eq!(shown(&[0x1E, 0x0F, 0x15]), "text 21:15:30");
    }

    #[test]
    fn a_moment_that_is_none_is_invalid_and_never_a_made_up_date() {
        assert_eq!(shown(&[0xA1, 0x15, 0xE9, 0x17]), "invalid: the meter marks this time as invalid");
        assert_eq!(
            shown(&[0x1E, 0x8F, 0x15, 0xB2, 0x1A, 0x00]),
            "invalid: the meter marks this time as invalid"
        );
        assert_eq!(shown(&[0xFF, 0xFF]), "invalid: not available");
        assert_eq!(shown(&[0x00, 0x00]), "invalid: not set");
        assert_eq!(shown(&[0xDE, 0x12]), "invalid: 2014-02-30 is on no calendar");
        assert_eq!(shown(&[0x3C, 0x0B, 0xCD, 0x13]), "invalid: 2014-03-13 11:60 is on no calendar");
        assert_eq!(shown(&[0x01, 0x0D]), "invalid: month 13");
        assert_eq!(shown(&date(100)), "invalid: year code 100 is reserved");
        assert_eq!(shown(&[0x3D, 0x3D, 0x1E]), "invalid: 30:61:61 is on no calendar");
        assert_eq!(shown(&[]), "invalid: no date or time has 0 bytes");
    }

    #[test]
    fn summer_time_and_day_of_week_do_not_move_the_clock() {
        // Type F: bit 7 of the hour. Type I: summer time and leap year with the seconds, the day of the week with the hour.
        assert_eq!(shown(&[0x0B, 0x8B, 0xCD, 0x13]), "2014-03-13T11:11:00");
        assert_eq!(shown(&[0xDE, 0x4F, 0xB5, 0xB2, 0x1A, 0x2A]), "2013-10-18T21:15:30");
    }

    #[test]
    fn months_end_where_they_end() {
        let on = |year: u8, month: u8, day: u8| shown(&[year << 5 | day, year << 1 & 0xF0 | month]);
        assert_eq!([on(24, 2, 29), on(23, 2, 28), on(23, 4, 30)], ["2024-02-29", "2023-02-28", "2023-04-30"]);
        assert_eq!(on(23, 2, 29), "invalid: 2023-02-29 is on no calendar");
        assert_eq!(on(23, 4, 31), "invalid: 2023-04-31 is on no calendar");
    }

    #[test]
    fn a_recurring_moment_is_a_pattern() {
        assert_eq!(shown(&[0x00, 0x00, 0xE1, 0xF1]), "text *-01-01 00:00");
        assert_eq!(shown(&[0xE0, 0xFF]), "text *-*-*");
        assert_eq!(shown(&[0x3F, 0x1F, 0xC1, 0x11]), "text 2014-01-01 *:*");
    }
}
