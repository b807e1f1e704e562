//! What a master may change in a meter: primary address, clock, speed, and the application's state.
//!
//! Each service begins the link anew, sends one SND_UD, and then looks at the meter: what was set is read back as far as
//! meters tell it. They are functions for the command path and the commissioning engineer; no poll comes here.
//!
//! Requests are those of EN 13757-3, as vendors' manuals show them (Badger ModMAG M2000 M-Bus protocol, 4.4 and 4.5; F&F
//! LE-03MB, 9.2 and 9.3): `51 01 7A` with the new address, `B8` to `BF` alone for a speed. The C field is 73, since the first
//! frame count bit after SND_NKE is 1. To 255, which no meter answers, nothing is written: nobody would know what came of it.

use jiff::civil::DateTime;
use weir_meter::{Answer, Fault, Line, Serial};

use crate::address::PRIMARY_MAX;
use crate::frame;
use crate::link::{Link, with_bit};
use crate::telegram::{self, Merge};
use crate::{Address, Options, timing};

/// CI field: data for the meter, lowest byte first.
pub(crate) const DATA_SEND: u8 = 0x51;
/// CI field: back to the start of the application.
const APPLICATION_RESET: u8 = 0x50;
/// Speeds by their CI field, from B8 on (EN 13757-3).
const BAUDS: [u32; 8] = [300, 600, 1200, 2400, 4800, 9600, 19_200, 38_400];
const FIRST_BAUD: u8 = 0xB8;

/// What came of setting a primary address.
#[derive(Clone, Debug, PartialEq)]
pub struct AddressSet {
    /// What the meter answered to a request at the new address.
    pub read_back: Answer,
}

/// What came of setting a clock.
#[derive(Clone, Debug, PartialEq)]
pub struct ClockSet {
    /// The clock in the meter's answer afterwards; `None` where its answer has none.
    pub read_back: Option<DateTime>,
    /// The whole answer.
    pub answer: Answer,
}

/// The form in which a clock is set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClockForm {
    /// Type F, to the minute. All meters that have a clock take it.
    #[default]
    F,
    /// Type I, to the second.
    I,
}

/// Gives a meter another primary address, 0 to 250, and reads it there.
///
/// Refused when somebody answers at the new address already: there would be two, and no way back by primary address.
///
/// # Errors
/// [`Fault::Refused`] for an address that no meter can have or that is taken, and when another meter than before answers
/// at it; otherwise what the line says. After a fault behind the request the meter may have either address.
pub async fn set_primary_address(line: &mut dyn Line, meter: Address, new: u8) -> Result<AddressSet, Fault> {
    if new > PRIMARY_MAX {
        return Err(Fault::refused(format!("{new} is no address of a meter: 0 to {PRIMARY_MAX}")));
    }
    let at_new = Address::primary(new).map_err(|error| Fault::refused(error.to_string()))?;
    let before = look(line, meter).await?;
    match line.hear(&frame::short(frame::SND_NKE, new)).await {
        Ok(heard) if heard.is_empty() || at_new == meter => {}
        Ok(_) | Err(Fault::Garbled { .. }) => {
            return Err(Fault::refused(format!("somebody answers at address {new} already")));
        }
        Err(fault) => return Err(fault),
    }
    send(line, meter, DATA_SEND, &[0x01, 0x7A, new]).await?;
    let read_back = look(line, at_new).await?;
    if read_back.identity != before.identity {
        return Err(Fault::refused(format!("another meter answers at address {new}")));
    }
    Ok(AddressSet { read_back })
}

/// Sets a meter's clock and reads the meter.
///
/// The time is the meter's own: what its display shall show, most often standard time all year.
///
/// # Errors
/// [`Fault::Refused`] for years but 2000 to 2080, which two digits of a year stand for; otherwise what the line says.
pub async fn set_clock(
    line: &mut dyn Line,
    meter: Address,
    clock: DateTime,
    form: ClockForm,
) -> Result<ClockSet, Fault> {
    let data = clock_record(clock, form)
        .ok_or_else(|| Fault::refused(format!("year {} does not fit a meter's clock", clock.year())))?;
    send(line, meter, DATA_SEND, &data).await?;
    let answer = look(line, meter).await?;
    Ok(ClockSet { read_back: answer.meter_time, answer })
}

/// Begins the meter's application anew, with a subcode for what it shall send from then on where its maker knows one.
/// Gives what it sends next.
///
/// # Errors
/// What the line says.
pub async fn reset_application(
    line: &mut dyn Line,
    meter: Address,
    subcode: Option<u8>,
) -> Result<Answer, Fault> {
    send(line, meter, APPLICATION_RESET, subcode.as_slice()).await?;
    look(line, meter).await
}

/// Switches a meter to another speed and speaks to it there at once, which most need to keep the speed (ABB A43 manual,
/// 10.5.3: within 30 s). `present` is how the line speaks now; afterwards it speaks so again. Gives what the meter sends at
/// the new speed.
///
/// Some makers give a code another meaning (Badger: BF is "any speed").
///
/// # Errors
/// [`Fault::Refused`] for a speed that M-Bus has no code for, and when the meter acknowledges and stays at its old speed;
/// otherwise what the line says.
pub async fn switch_baud(
    line: &mut dyn Line,
    meter: Address,
    present: &Serial,
    baud: u32,
) -> Result<Answer, Fault> {
    let code = BAUDS.iter().zip(FIRST_BAUD..).find(|(known, _)| **known == baud).map(|(_, code)| code);
    let code = code.ok_or_else(|| Fault::refused(format!("M-Bus has no code for {baud} Bd")))?;
    send(line, meter, code, &[]).await?;
    let new = Serial { baud, ..*present };
    line.tune(&new, &timing(&new)).await?;
    let at_new = look(line, meter).await;
    line.tune(present, &timing(present)).await?;
    match at_new {
        Ok(answer) => Ok(answer),
        Err(fault @ Fault::LineDown { .. }) => Err(fault),
        Err(fault) => match look(line, meter).await {
            Ok(_) => Err(Fault::refused(format!(
                "the meter acknowledges {baud} Bd and stays at {} Bd",
                present.baud
            ))),
            Err(_) => Err(fault),
        },
    }
}

/// Sends user data and waits for the acknowledgement.
async fn send(line: &mut dyn Line, meter: Address, information: u8, data: &[u8]) -> Result<(), Fault> {
    let mut link = Link::new(meter);
    let frame_count = link.open(line).await?;
    let control = with_bit(frame::SND_UD, frame_count);
    let request = frame::long(control, meter.byte(), information, data)
        .ok_or_else(|| Fault::refused("more data than a frame holds"))?;
    link.acknowledged(line, &request).await
}

/// What the meter sends first when its link begins anew.
async fn look(line: &mut dyn Line, meter: Address) -> Result<Answer, Fault> {
    let mut link = Link::new(meter);
    let frame_count = link.open(line).await?;
    let bytes = link.request(line, frame_count).await?;
    link.close(line, None).await;
    let mut merge = Merge::default();
    merge.add(&bytes, telegram::read(&bytes, &Options::default())?)?;
    Ok(merge.finish())
}

/// DIF, VIF and data of a clock.
pub(crate) fn clock_record(clock: DateTime, form: ClockForm) -> Option<Vec<u8>> {
    let small = |number: i8| number.unsigned_abs();
    let year = clock.year().checked_sub(2000).and_then(|year| u8::try_from(year).ok());
    let year = year.filter(|year| *year <= 80)?;
    let date = [small(clock.day()) | (year & 7) << 5, small(clock.month()) | (year >> 3) << 4];
    let (minute, hour) = (small(clock.minute()), small(clock.hour()));
    Some(match form {
        ClockForm::F => [&[0x04, 0x6D, minute, hour][..], &date].concat(),
        ClockForm::I => {
            // Monday is 1. The week is left open (0).
            let weekday = small(clock.weekday().to_monday_one_offset());
            let second = small(clock.second());
            [&[0x06, 0x6D, second, minute, hour | weekday << 5][..], &date, &[0]].concat()
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::datetime;
    use weir_meter::scripted::ScriptedLine;

    const ACK: [u8; 1] = [0xE5];
    const SECONDARY: &str = "12345678.ELS.0A.07";

    fn primary(address: u8) -> Address {
        Address::primary(address).unwrap()
    }

    fn nke(address: u8) -> [u8; 5] {
        frame::short(0x40, address)
    }

    fn ask(address: u8) -> [u8; 5] {
        frame::short(0x7B, address)
    }

    fn telegram(address: u8, serial: u8, records: &[u8]) -> Vec<u8> {
        let header = [serial, 0x56, 0x34, 0x12, 0x93, 0x15, 0x0A, 0x07, 0x55, 0x00, 0x00, 0x00];
        frame::long(0x08, address, 0x72, &[&header[..], records].concat()).unwrap()
    }

    #[tokio::test]
    async fn an_address_is_set_when_it_is_free_and_the_same_meter_is_read_there() {
        // The frame in F&F's manual but for the C field, of which it gives 53 and 73.
        let set = [0x68, 0x06, 0x06, 0x68, 0x73, 0xFE, 0x51, 0x01, 0x7A, 0x01, 0x3E, 0x16];
        let mut line = ScriptedLine::new()
            .expect(&nke(254), &ACK)
            .expect(&ask(254), &telegram(0, 0x78, &[]))
            .expect(&nke(1), &[])
            .expect(&nke(254), &ACK)
            .expect(&set, &ACK)
            .expect(&nke(1), &ACK)
            .expect(&ask(1), &telegram(1, 0x78, &[]));
        let set = set_primary_address(&mut line, primary(254), 1).await.unwrap();
        assert_eq!(set.read_back.identity.number.as_deref(), Some("12345678"));
        assert!(line.is_finished());
    }

    #[tokio::test]
    async fn an_address_that_is_taken_or_none_is_not_set() {
        let mut line = ScriptedLine::new()
            .expect(&nke(7), &ACK)
            .expect(&ask(7), &telegram(7, 0x78, &[]))
            .expect(&nke(8), &ACK);
        let fault = set_primary_address(&mut line, primary(7), 8).await.unwrap_err();
        assert!(fault.to_string().contains("somebody answers at address 8"), "{fault}");
        for nonsense in 251..=255 {
            let mut line = ScriptedLine::new();
            let fault = set_primary_address(&mut line, primary(7), nonsense).await.unwrap_err();
            assert_eq!((fault.name(), line.requests.len()), ("refused", 0));
        }
    }

    #[tokio::test]
    async fn another_meter_at_the_new_address_is_no_success() {
        let mut line = ScriptedLine::new()
            .answer(&ACK)
            .answer(&telegram(7, 0x78, &[]))
            .answer(&[])
            .answer(&ACK)
            .answer(&ACK)
            .answer(&ACK)
            .answer(&telegram(8, 0x79, &[]));
        let fault = set_primary_address(&mut line, primary(7), 8).await.unwrap_err();
        assert!(fault.to_string().contains("another meter answers"), "{fault}");
    }

    #[tokio::test]
    async fn a_clock_is_set_in_either_form_and_read_back_where_the_meter_tells_it() {
        let clock = datetime(2026, 11, 25, 22, 41, 17, 0);
        let f = [0x04, 0x6D, 41, 22, 25 | 2 << 5, 11 | 3 << 4];
        // A Wednesday.
        let i = [0x06, 0x6D, 17, 41, 22 | 3 << 5, 25 | 2 << 5, 11 | 3 << 4, 0];
        assert_eq!(clock_record(clock, ClockForm::F).unwrap(), f);
        assert_eq!(clock_record(clock, ClockForm::I).unwrap(), i);
        assert_eq!(clock_record(datetime(1999, 1, 1, 0, 0, 0, 0), ClockForm::F), None);
        for (form, record, read_back) in
            [(ClockForm::F, &f[..], datetime(2026, 11, 25, 22, 41, 0, 0)), (ClockForm::I, &i[..], clock)]
        {
            let set = frame::long(0x73, 7, 0x51, record).unwrap();
            let mut line = ScriptedLine::new()
                .expect(&nke(7), &ACK)
                .expect(&set, &ACK)
                .answer(&ACK)
                .answer(&telegram(7, 0x78, record));
            let set = set_clock(&mut line, primary(7), clock, form).await.unwrap();
            assert_eq!(set.read_back, Some(read_back));
        }
    }

    #[tokio::test]
    async fn an_application_is_reset_with_and_without_a_subcode_also_of_a_selected_meter() {
        let meter = Address::secondary(SECONDARY.parse().unwrap());
        let reset = frame::long(0x73, 253, 0x50, &[0x10]).unwrap();
        let mut line = ScriptedLine::new()
            .expect(&nke(253), &[])
            .answer(&ACK)
            .expect(&reset, &ACK)
            .expect(&nke(253), &ACK)
            .answer(&ACK)
            .expect(&ask(253), &telegram(3, 0x78, &[0x01, 0x13, 9]))
            .expect(&nke(253), &ACK);
        let answer = reset_application(&mut line, meter, Some(0x10)).await.unwrap();
        assert_eq!(answer.values.len(), 1);
        assert!(line.is_finished());

        let mut line =
            ScriptedLine::new().answer(&ACK).expect(&frame::long(0x73, 3, 0x50, &[]).unwrap(), &[]);
        assert_eq!(reset_application(&mut line, primary(3), None).await.unwrap_err().name(), "silent");
    }

    #[tokio::test]
    async fn a_speed_is_switched_and_believed_when_the_meter_answers_at_it() {
        let present = Serial::DEFAULT;
        let switch = [0x68, 0x03, 0x03, 0x68, 0x73, 0x01, 0xBD, 0x31, 0x16];
        let begun = || ScriptedLine::new().expect(&nke(1), &ACK).expect(&switch, &ACK);
        let mut line = begun().answer(&ACK).answer(&telegram(1, 0x78, &[]));
        switch_baud(&mut line, primary(1), &present, 9600).await.unwrap();
        assert_eq!(line.bauds, [9600, 2400]);

        let mut line = begun().answer(&[]).answer(&ACK).answer(&telegram(1, 0x78, &[]));
        let fault = switch_baud(&mut line, primary(1), &present, 9600).await.unwrap_err();
        assert!(fault.to_string().contains("stays at 2400 Bd"), "{fault}");
        let mut line = begun();
        assert_eq!(switch_baud(&mut line, primary(1), &present, 9600).await.unwrap_err().name(), "silent");
        let mut line = ScriptedLine::new();
        assert_eq!(
            switch_baud(&mut line, primary(1), &present, 115_200).await.unwrap_err().name(),
            "refused"
        );
    }
}
