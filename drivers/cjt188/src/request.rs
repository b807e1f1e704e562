//! What can be asked of a meter and told to it, as control code, identifier and payload: pure, and never half a write.
//!
//! Where sources disagree (which identifier the settlement day has, which codes move the valve), the profile says.
//! A value that the meter's digits cannot hold exactly makes no request: nothing is rounded onto a meter.
//!
//! Deliberately absent: writing keys (A014, A107) and the 2018 edition's parameters (A101 to A106), of which no
//! source tells the payload, and A019, which is the factory's.

use jiff::civil::DateTime;
use weir_meter::ValveOrder;
use weir_wire::Number;

use crate::bcd::{amount, to_bcd};
use crate::data::{DI_METERING, clock};
use crate::frame::{ERROR, FROM_METER, READ, encode};
use crate::{Address, DiOrder, PriceTable, Profile, Ser};

const READ_ADDRESS: u8 = 0x03;
const WRITE: u8 = 0x04;
const READ_KEY_VERSION: u8 = 0x09;
const WRITE_ADDRESS: u8 = 0x15;
const WRITE_COUNTER_BASE: u8 = 0x16;

/// A wish that the protocol, or this meter's profile, has no bytes for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct Inexpressible {
    /// What the meter cannot be told.
    pub why: String,
}

impl Inexpressible {
    pub(crate) fn new(why: impl Into<String>) -> Self {
        Self { why: why.into() }
    }
}

/// One request to a meter, without the address, serial number and byte order it is sent with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// C.
    control: u8,
    /// The data identifier, as it reads: 901F, whatever the order on the wire.
    di: u16,
    /// What follows identifier and serial number.
    payload: Vec<u8>,
}

impl Request {
    fn new(control: u8, di: u16, payload: impl Into<Vec<u8>>) -> Self {
        Self { control, di, payload: payload.into() }
    }

    /// The metering data, 901F.
    pub fn metering() -> Self {
        Self::new(READ, DI_METERING, [])
    }

    /// What the meter showed at the last settlement day (1) or one of those before it, D120 to D12B.
    ///
    /// # Errors
    /// When `back` is not within 1 to 12.
    pub fn history(back: u8) -> Result<Self, Inexpressible> {
        past("history", back, 12).map(|index| Self::new(READ, 0xD120 + index, []))
    }

    /// The same from the longer memory of the 2018 edition, D200 onwards.
    ///
    /// # Errors
    /// When `back` is not within 1 to 128: beyond, the two bytes of the identifier no longer tell their order.
    pub fn long_history(back: u8) -> Result<Self, Inexpressible> {
        past("history", back, 128).map(|index| Self::new(READ, 0xD200 + index, []))
    }

    /// What was frozen at a set time, D300 onwards (2018): 1 is the latest.
    ///
    /// # Errors
    /// When `back` is not within 1 to 128.
    pub fn timed_freeze(back: u8) -> Result<Self, Inexpressible> {
        past("freeze", back, 128).map(|index| Self::new(READ, 0xD300 + index, []))
    }

    /// What was frozen on command, D400 onwards (2018): 1 is the latest.
    ///
    /// # Errors
    /// When `back` is not within 1 to 128.
    pub fn instant_freeze(back: u8) -> Result<Self, Inexpressible> {
        past("freeze", back, 128).map(|index| Self::new(READ, 0xD400 + index, []))
    }

    /// The address, 810A: it stands in the address field of the answer.
    pub fn address() -> Self {
        Self::new(READ_ADDRESS, 0x810A, [])
    }

    /// The price table, 8102.
    pub fn price_table() -> Self {
        Self::new(READ, 0x8102, [])
    }

    /// The day of the month on which the meter settles: 8103, or 8104 by profile.
    pub fn settlement_day(profile: &Profile) -> Self {
        Self::new(READ, profile.settlement_day_di.settlement(), [])
    }

    /// The day of the month on which the meter is read: the other one of 8103 and 8104.
    pub fn reading_day(profile: &Profile) -> Self {
        Self::new(READ, profile.settlement_day_di.reading(), [])
    }

    /// What was bought, 8105.
    pub fn purchase() -> Self {
        Self::new(READ, 0x8105, [])
    }

    /// The version of the meter's key, 8106.
    pub fn key_version() -> Self {
        Self::new(READ_KEY_VERSION, 0x8106, [])
    }

    /// A new price table from this day of the month on, A010.
    ///
    /// The start day at the end of the payload is told by no page read, only known in general; a profile can leave it
    /// out (`price_start_day`).
    ///
    /// # Errors
    /// When a number does not fit the meter's digits, the steps do not rise, or the day is not within 1 to 31.
    pub fn write_price_table(
        table: &PriceTable,
        start_day: u8,
        profile: &Profile,
    ) -> Result<Self, Inexpressible> {
        let [first, second] = table.steps;
        if first > second {
            return Err(Inexpressible::new(format!(
                "step {second} m3 lies below the step {first} m3 before it"
            )));
        }
        let price = |price: &Number| amount::<3>(price, profile.money_places, profile.value_order, "price");
        let step = |step: &Number| amount::<3>(step, profile.step_places, profile.value_order, "step");
        let [p1, p2, p3] = &table.prices;
        let [v1, v2] = &table.steps;
        let mut payload = [price(p1)?, step(v1)?, price(p2)?, step(v2)?, price(p3)?].concat();
        let start_day = day(start_day)?;
        if profile.price_start_day {
            payload.push(start_day);
        }
        Ok(Self::new(WRITE, 0xA010, payload))
    }

    /// The day of the month on which the meter settles, A011.
    ///
    /// # Errors
    /// When the day is not within 1 to 31.
    pub fn write_settlement_day(of_month: u8) -> Result<Self, Inexpressible> {
        day(of_month).map(|byte| Self::new(WRITE, 0xA011, [byte]))
    }

    /// The day of the month on which the meter is read, A012.
    ///
    /// # Errors
    /// When the day is not within 1 to 31.
    pub fn write_reading_day(of_month: u8) -> Result<Self, Inexpressible> {
        day(of_month).map(|byte| Self::new(WRITE, 0xA012, [byte]))
    }

    /// A purchase, A013: its sequence number as it stands on the wire, and its amount.
    ///
    /// Whether a meter credits a sequence number that it has already taken, no source tells: read 8105 before another try.
    ///
    /// # Errors
    /// When the amount does not fit the meter's digits.
    pub fn write_purchase(sequence: u8, bought: &Number, profile: &Profile) -> Result<Self, Inexpressible> {
        let digits = amount::<4>(bought, profile.money_places, profile.value_order, "amount")?;
        Ok(Self::new(WRITE, 0xA013, [&[sequence][..], &digits].concat()))
    }

    /// The clock, A015, in the meter's local time.
    ///
    /// # Errors
    /// When the year is not within 2000 to 2099, or the time has a fraction of a second.
    pub fn write_clock(time: DateTime, profile: &Profile) -> Result<Self, Inexpressible> {
        let bytes = clock::to_wire(time, profile.clock_order);
        let bytes =
            bytes.ok_or_else(|| Inexpressible::new(format!("clock {time}: 2000 to 2099, whole seconds")))?;
        Ok(Self::new(WRITE, 0xA015, bytes))
    }

    /// What the register starts from, A016, with this unit code; meters take it only in the state of the factory.
    ///
    /// # Errors
    /// When the volume does not fit the meter's digits.
    pub fn write_counter_base(
        volume: &Number,
        unit_code: u8,
        profile: &Profile,
    ) -> Result<Self, Inexpressible> {
        let digits = amount::<4>(volume, profile.places, profile.value_order, "volume")?;
        Ok(Self::new(WRITE_COUNTER_BASE, 0xA016, [&digits[..], &[unit_code]].concat()))
    }

    /// Opens or closes the valve, A017, with the profile's codes.
    ///
    /// # Errors
    /// When the profile says that the meter has no valve.
    pub fn turn_valve(order: ValveOrder, profile: &Profile) -> Result<Self, Inexpressible> {
        let code = match order {
            ValveOrder::Open => profile.valve.open,
            ValveOrder::Close => profile.valve.close,
        };
        Self::valve(code, profile)
    }

    /// The order that leaves the valve where it is and tells its status, where the profile has one (`valve.read`).
    ///
    /// # Errors
    /// When the profile says that the meter has no valve, or has no such order.
    pub fn read_valve(profile: &Profile) -> Result<Self, Inexpressible> {
        let none = || Inexpressible::new("the profile has no order that only reads the valve (valve.read)");
        Self::valve(profile.valve.read.ok_or_else(none)?, profile)
    }

    fn valve(code: u8, profile: &Profile) -> Result<Self, Inexpressible> {
        if !profile.status.has_valve {
            return Err(Inexpressible::new("the profile says that the meter has no valve"));
        }
        let payload = [&[code][..], &profile.valve.after].concat();
        Ok(Self::new(profile.valve.control, 0xA017, payload))
    }

    /// Another address for the meter, A018. Its type byte stays.
    ///
    /// # Errors
    /// When it is not made of decimal digits, or is one that all meters answer to.
    pub fn write_address(new: &Address) -> Result<Self, Inexpressible> {
        match new.number().parse::<Address>() {
            Ok(_) => Ok(Self::new(WRITE_ADDRESS, 0xA018, new.bytes())),
            Err(error) => Err(Inexpressible::new(error.to_string())),
        }
    }

    /// C of the request.
    pub fn control(&self) -> u8 {
        self.control
    }

    /// The data identifier, high byte first as it is written: `901F`.
    pub fn di(&self) -> u16 {
        self.di
    }

    /// Whether it changes anything in the meter.
    pub fn is_write(&self) -> bool {
        !matches!(self.control, READ | READ_ADDRESS | READ_KEY_VERSION)
    }

    /// The whole telegram, wake-up bytes included.
    pub fn encode(&self, address: &Address, order: DiOrder, ser: u8, profile: &Profile) -> Vec<u8> {
        let mut data = match order {
            DiOrder::HighFirst => self.di.to_be_bytes(),
            DiOrder::LowFirst | DiOrder::Auto => self.di.to_le_bytes(),
        }
        .to_vec();
        if profile.ser != Ser::Omitted {
            data.push(ser);
        }
        data.extend(&self.payload);
        encode(profile.wake_up_bytes, address, self.control, &data)
    }
}

/// What a request with this C was, in words for a refusal.
pub(crate) fn name_of(control: u8) -> String {
    match control & !ERROR & !FROM_METER {
        READ => "the read".into(),
        READ_ADDRESS => "the address reading".into(),
        WRITE => "the write".into(),
        READ_KEY_VERSION => "the reading of the key's version".into(),
        WRITE_ADDRESS => "the address setting".into(),
        WRITE_COUNTER_BASE => "the setting of the counter".into(),
        function => format!("function {function:02X}"),
    }
}

fn past(what: &str, back: u8, most: u8) -> Result<u16, Inexpressible> {
    if (1..=most).contains(&back) {
        return Ok(u16::from(back) - 1);
    }
    Err(Inexpressible::new(format!("{what} {back} is not within 1 to {most}")))
}

fn day(of_month: u8) -> Result<u8, Inexpressible> {
    let bytes = to_bcd::<1>(of_month.into(), crate::ByteOrder::LowFirst);
    match bytes.filter(|_| (1..=31).contains(&of_month)) {
        Some([byte]) => Ok(byte),
        None => Err(Inexpressible::new(format!("day {of_month} is not within 1 to 31"))),
    }
}
