//! Who is on a line: the address reading (810A) to the address and type that every meter answers to.

use weir_meter::{Line, Presence, RollCall, RollCallError, call_roll};

use crate::frame::Frame;
use crate::{Address, DiOrder, Profile, Request};

/// The serial number of the questions. Nothing else is asked meanwhile, and a late answer to one names its meter as well.
const SER: u8 = 0xA6;

struct Everybody<'p>(&'p Profile);

impl Everybody<'_> {
    fn order(&self, way: usize) -> Option<DiOrder> {
        let orders: &[DiOrder] = match self.0.di_order {
            DiOrder::Auto => &[DiOrder::LowFirst, DiOrder::HighFirst],
            DiOrder::LowFirst => &[DiOrder::LowFirst],
            DiOrder::HighFirst => &[DiOrder::HighFirst],
        };
        orders.get(way).copied()
    }
}

impl RollCall for Everybody<'_> {
    type Address = Address;

    fn to_all(&self, way: usize) -> Option<Vec<u8>> {
        Some(Request::address().encode(&Address::BROADCAST, self.order(way)?, SER, self.0))
    }

    /// As a poll asks it: an own address is what some meters do not tell again.
    fn to_one(&self, way: usize, address: &Address) -> Vec<u8> {
        let order = self.order(way).unwrap_or(DiOrder::LowFirst);
        Request::metering().encode(address, order, SER, self.0)
    }

    /// 99 seven times is obeyed and not answered (ng-gateway), and a read does nothing.
    fn to_nobody(&self) -> Vec<u8> {
        let nobody = Address::from_wire(Address::ANY, [0x99; 7]);
        Request::address().encode(&nobody, DiOrder::LowFirst, SER, self.0)
    }

    /// An error answer, as to the other order of the identifier's bytes, names its meter too.
    fn answer(&self, bytes: &[u8]) -> Option<(Address, usize)> {
        let (frame, end) = Frame::split(bytes).ok()?;
        let is_own =
            frame.address.meter_type() != Address::ANY && !frame.address.bytes().contains(&Address::ANY);
        (frame.is_answer() && is_own).then_some((frame.address, end))
    }
}

/// Asks who is on the line, whatever its type, and each who answered whether it is there. Made for a single meter: several
/// are a jumble, of which some may be told apart.
///
/// # Errors
/// See [`RollCallError`].
pub async fn who_is_there(
    line: &mut dyn Line,
    profile: &Profile,
    tries: u8,
) -> Result<Presence<Address>, RollCallError> {
    call_roll(line, &Everybody(profile), tries).await
}
