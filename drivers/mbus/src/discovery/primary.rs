//! The search by primary address.

use std::ops::RangeInclusive;

use weir_meter::Line;

use super::heard::{self, Heard};
use super::{BROKEN_OFF, Discovery, Found, Search, SearchError, Step, Tell, Trouble, begin};
use crate::address::PRIMARY_MAX;
use crate::frame;
use crate::link::selection;
use crate::secondary::Secondary;

/// Asks every primary address of the range; what is above 250 is left out.
///
/// # Errors
/// See [`SearchError`].
pub async fn primary(
    line: &mut dyn Line,
    addresses: RangeInclusive<u8>,
    search: &Search,
    tell: Tell<'_>,
) -> Result<Discovery, SearchError> {
    begin(line).await?;
    let mut discovery = Discovery::default();
    for address in addresses.take_while(|address| *address <= PRIMARY_MAX) {
        if tell(Step::Address(address)).is_break() {
            discovery.troubles.push(BROKEN_OFF);
            break;
        }
        if heard::hear(line, &frame::short(frame::SND_NKE, address), search.tries).await? == Heard::Nothing {
            continue;
        }
        let trouble = match heard::readings(line, address, true, search.tries, true).await? {
            Heard::Answer(bytes) => match confirmed(line, address, &bytes, search).await? {
                Some(found) => {
                    let _ = tell(Step::Found(found.clone()));
                    discovery.meters.push(found);
                    continue;
                }
                None => Trouble::Several(address),
            },
            Heard::Nothing | Heard::Acknowledge => Trouble::Mute(address),
            Heard::Jumble => Trouble::Several(address),
        };
        discovery.troubles.push(trouble);
        if discovery.troubles.len() >= super::TROUBLES_MAX && discovery.meters.is_empty() {
            discovery.troubles.push(Trouble::GivenUp("every address answers with a jumble"));
            break;
        }
    }
    Ok(discovery)
}

/// Further readings by which a meter that cannot be selected shows that it is one.
const READINGS_MORE: usize = 6;

/// The meter whose frame this is, unless it is the product of two: laid over each other, two frames have a right sum once
/// in 256 times. Whom no such product names is there to be selected; and a meter without selection has another access number
/// in each answer, with which the sum of a product is right no more.
async fn confirmed(
    line: &mut dyn Line,
    address: u8,
    bytes: &[u8],
    search: &Search,
) -> Result<Option<Found>, SearchError> {
    let identity = Secondary::of(&frame::parse(bytes)?);
    let mut found = Found { primary: Some(address), identity, is_selectable: false };
    if let Some(identity) = &identity
        && heard::hear(line, &selection(identity), search.tries).await? == Heard::Acknowledge
    {
        found.is_selectable = true;
        return Ok(Some(found));
    }
    let mut frame_count = true;
    for _ in 0..READINGS_MORE {
        frame_count = !frame_count;
        match heard::readings(line, address, frame_count, search.tries, false).await? {
            Heard::Answer(bytes) => {
                let again = Secondary::of(&frame::parse(&bytes)?);
                if again.is_some() && again != identity {
                    return Ok(None);
                }
            }
            // It has no more telegrams to give; two would not fall silent together.
            Heard::Nothing => return Ok(Some(found)),
            Heard::Acknowledge | Heard::Jumble => return Ok(None),
        }
    }
    Ok(Some(found))
}
