//! Who is on a line: the address reading (13) to the address that every meter answers to.

use weir_meter::{Line, Presence, RollCall, RollCallError, call_roll};

use crate::frame::{FROM_METER, Frame, READ, encode};
use crate::orders::{READ_ADDRESS, address_in};
use crate::{Address, Profile};

/// The energy taken, which every meter has: a meter that is asked by its own address need not tell that again.
const ENERGY: u32 = 0x0001_0000;

struct Everybody<'p>(&'p Profile);

impl RollCall for Everybody<'_> {
    type Address = Address;

    fn to_all(&self, way: usize) -> Option<Vec<u8>> {
        (way == 0).then(|| encode(self.0.wake_up_bytes, &Address::ANY, READ_ADDRESS, &[]))
    }

    fn to_one(&self, _way: usize, address: &Address) -> Vec<u8> {
        encode(self.0.wake_up_bytes, address, READ, &ENERGY.to_le_bytes())
    }

    /// 99 six times is obeyed and not answered (cnblogs.com/windowsxpxp/p/18467018), and a read does nothing.
    fn to_nobody(&self) -> Vec<u8> {
        encode(self.0.wake_up_bytes, &Address::from_wire([0x99; 6]), READ, &ENERGY.to_le_bytes())
    }

    fn answer(&self, bytes: &[u8]) -> Option<(Address, usize)> {
        let (frame, end) = Frame::split(bytes).ok()?;
        // It says its address twice, and two answers over each other seldom agree there. An error names it once.
        let is_address = frame.control == READ_ADDRESS | FROM_METER;
        let is_sound = !is_address || bytes.get(..end).is_some_and(|telegram| address_in(telegram).is_ok());
        (frame.is_answer() && is_sound && !frame.address.is_shortened()).then_some((frame.address, end))
    }
}

/// Asks who is on the line, and each who answered whether it is there. Made for a single meter: several are a jumble, of
/// which some may be told apart.
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
