//! What a meter can be asked and told beside its poll: who it is, where its relay stands, and to switch it.
//!
//! None of this is part of a poll. Switching returns that the meter took the order and nothing more: whether the relay
//! moved is told by [`Dlt645::read_relay`], some seconds later. The order carries a time after which the meter must not obey
//! it any more; a meter whose clock is past that refuses, so the gateway's clock must be right.

use std::fmt;

use jiff::civil::DateTime;
use weir_meter::{Fault, Line};
use weir_wire::Raw;

use crate::data::{parse, raw};
use crate::recognise::Expected;
use crate::{Address, Dlt645};

/// C of the address reading.
pub(crate) const READ_ADDRESS: u8 = 0x13;
const RELAY: u8 = 0x1C;
/// Run status word 3, of two bytes.
const RUN_STATUS_3: u32 = 0x0400_0503;
/// Its bit that is set while the relay is open (renrendoc.com/p-25811601.html).
const RELAY_BIT: u16 = 1 << 4;

/// A wish that the protocol has no bytes for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct Inexpressible {
    /// What the meter cannot be told.
    pub why: String,
}

/// Why an order was not carried out, or not for certain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// Nothing went on the line.
    #[error("not sent: {0}")]
    Inexpressible(#[from] Inexpressible),
    /// The exchange failed. All but [`Fault::Refused`] leave open whether the meter has obeyed.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// What the relay is told (N1). 1A and 1B are seen in published frames; the others are known in general only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelayOrder {
    /// 1A: switch off.
    Trip,
    /// 1B: let it be switched on, by the button on the meter.
    AllowClose,
    /// 1C: switch on.
    Close,
    /// 2A: warn the customer.
    Alarm,
    /// 2B: the warning is over.
    AlarmEnd,
    /// 3A: keep it on whatever the tariff says.
    Keep,
    /// 3B: that is over.
    KeepEnd,
}

impl RelayOrder {
    fn code(self) -> u8 {
        match self {
            Self::Trip => 0x1A,
            Self::AllowClose => 0x1B,
            Self::Close => 0x1C,
            Self::Alarm => 0x2A,
            Self::AlarmEnd => 0x2B,
            Self::Keep => 0x3A,
            Self::KeepEnd => 0x3B,
        }
    }
}

/// Who may switch: a password with its level, and the operator that the meter notes. Shown nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct Authority {
    level: u8,
    password: [u8; 3],
    operator: [u8; 4],
}

impl Authority {
    /// Level PA (00 is the highest), password P0 to P2 and operator C0 to C3, in the order of the wire.
    pub fn new(level: u8, password: [u8; 3], operator: [u8; 4]) -> Self {
        Self { level, password, operator }
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").field("level", &self.level).finish_non_exhaustive()
    }
}

/// Where the relay stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relay {
    /// Current flows.
    Closed,
    /// It is cut off.
    Open,
}

/// That the meter took a relay order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Switched {
    /// The answer's frame.
    pub raw: Raw,
}

/// The data of a relay order, without offset.
///
/// `expires` is in the meter's local time. Without it the six bytes are zero, as in some published requests; what a meter
/// makes of that is its own affair.
///
/// # Errors
/// When the year is not within 2000 to 2099, or the time has a fraction of a second.
pub fn relay_request(
    order: RelayOrder,
    authority: &Authority,
    expires: Option<DateTime>,
) -> Result<[u8; 16], Inexpressible> {
    let [n3, n4, n5, n6, n7, n8] = match expires {
        None => [0; 6],
        Some(time) => expiry(time)
            .ok_or_else(|| Inexpressible { why: format!("expiry {time}: 2000 to 2099, whole seconds") })?,
    };
    let [p0, p1, p2] = authority.password;
    let [c0, c1, c2, c3] = authority.operator;
    Ok([authority.level, p0, p1, p2, c0, c1, c2, c3, order.code(), 0, n3, n4, n5, n6, n7, n8])
}

/// ss mm hh DD MM YY.
fn expiry(time: DateTime) -> Option<[u8; 6]> {
    if !(2000..2100).contains(&time.year()) || time.subsec_nanosecond() != 0 {
        return None;
    }
    let pair = |number: i16| {
        let number = u8::try_from(number).ok()?;
        Some(((number / 10) << 4) | (number % 10))
    };
    Some([
        pair(time.second().into())?,
        pair(time.minute().into())?,
        pair(time.hour().into())?,
        pair(time.day().into())?,
        pair(time.month().into())?,
        pair(time.year() % 100)?,
    ])
}

/// The address in the data, which must be that of the address field: two answers over each other seldom agree there.
pub(crate) fn address_in(telegram: &[u8]) -> Result<Address, Fault> {
    let frame = parse(telegram)?;
    match <[u8; 6]>::try_from(frame.data.as_slice()) {
        Ok(bytes) if Address::from_wire(bytes) == frame.address => Ok(frame.address),
        _ => Err(Fault::garbled(format!("address {} and data [{}] differ", frame.address, Raw(frame.data)))),
    }
}

impl Dlt645 {
    /// The meter's own address, in full where the driver's is shortened.
    ///
    /// # Errors
    /// A [`Fault`].
    pub async fn read_address(&self, line: &mut dyn Line) -> Result<Address, Fault> {
        let expected = Expected { address: self.address, control: READ_ADDRESS, di: None, sequence: None };
        let telegram = self.exchange(line, &expected, &[]).await?;
        address_in(&telegram)
    }

    /// Where the relay stands, by the run status word.
    ///
    /// # Errors
    /// A [`Fault`].
    pub async fn read_relay(&self, line: &mut dyn Line) -> Result<Relay, Fault> {
        let reply = self.read_identifier(line, self.address, RUN_STATUS_3).await?;
        match <[u8; 2]>::try_from(reply.payload.as_slice()) {
            Ok(word) if u16::from_le_bytes(word) & RELAY_BIT == 0 => Ok(Relay::Closed),
            Ok(_) => Ok(Relay::Open),
            Err(_) => {
                let answer = Raw(reply.raw().to_vec());
                Err(Fault::refused(format!("answer {answer} has no status word of two bytes")))
            }
        }
    }

    /// Tells the relay to move, unless the meter's clock is past `expires` (its local time). To be read back with
    /// [`Dlt645::read_relay`].
    ///
    /// A shortened address is refused: it may be more than one meter's.
    ///
    /// # Errors
    /// See [`OrderError`].
    pub async fn switch(
        &self,
        line: &mut dyn Line,
        order: RelayOrder,
        authority: &Authority,
        expires: DateTime,
    ) -> Result<Switched, OrderError> {
        if self.address.is_shortened() {
            let why = format!("{} may be more than one meter", self.address);
            return Err(Inexpressible { why }.into());
        }
        let data = relay_request(order, authority, Some(expires))?;
        let expected = Expected { address: self.address, control: RELAY, di: None, sequence: None };
        let telegram = self.exchange(line, &expected, &data).await?;
        parse(&telegram)?;
        Ok(Switched { raw: raw(&telegram) })
    }
}
