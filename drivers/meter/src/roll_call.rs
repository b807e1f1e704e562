//! Who is on a line, by a protocol's address that every meter answers to.
//!
//! Such an address is made for a line with a single meter: several answer at once. So all is heard that comes, not only the
//! first frame that is whole, and a meter counts when it then answers by its own address too, as it is asked in a poll.
//! What several meters say over each other is told as a jumble, and never as nobody or as a meter that is not there.
//!
//! What stays hidden: a meter that another one drowns altogether, and one that only answers to its own address.

use crate::{Fault, Line};

/// How often a jumble is asked again: noise strikes at times, a collision always, and another time one of them may be whole.
const JUMBLES_MAX: usize = 2;

/// How a protocol asks who is there.
pub trait RollCall: Sync {
    /// A meter's address.
    type Address: Copy + PartialEq + Send;

    /// The question to everybody, in one of the ways in which meters understand it; `None` after the last.
    fn to_all(&self, way: usize) -> Option<Vec<u8>>;

    /// A question that this meter answers, in the way in which it answered [`to_all`](Self::to_all).
    fn to_one(&self, way: usize, address: &Self::Address) -> Vec<u8>;

    /// A question that nobody answers.
    fn to_nobody(&self) -> Vec<u8>;

    /// Who says the frame that begins at the first of these bytes, and where it ends, if a meter's frame begins there.
    fn answer(&self, bytes: &[u8]) -> Option<(Self::Address, usize)>;
}

/// Who was heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presence<A> {
    /// Those who answer by their own address too.
    pub meters: Vec<A>,
    /// Addresses that an answer had, and nobody answers to.
    pub unconfirmed: Vec<A>,
    /// Whether several answered at once, or something could not be read: then there may be more.
    pub is_jumbled: bool,
}

/// Why nobody could be asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RollCallError {
    /// The request itself came back.
    #[error("the line echoes what is sent")]
    Echo,
    /// The line is configured with an echo, and none came back.
    #[error("no echo came back")]
    NoEcho,
    /// The line.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Asks everybody, `tries` times before silence is believed, and then each who answered.
///
/// # Errors
/// See [`RollCallError`].
pub async fn call_roll<R: RollCall>(
    line: &mut dyn Line,
    roll: &R,
    tries: u8,
) -> Result<Presence<R::Address>, RollCallError> {
    let mut presence = Presence { meters: Vec::new(), unconfirmed: Vec::new(), is_jumbled: false };
    let (mut way, mut named) = (0, Vec::new());
    while let Some(question) = roll.to_all(way) {
        let mut heard = ask(line, roll, &question, tries).await?;
        presence.is_jumbled = heard.is_jumbled();
        named.append(&mut heard.named);
        for _ in 0..JUMBLES_MAX {
            if presence.is_jumbled {
                named.append(&mut ask(line, roll, &question, tries).await?.named);
            }
        }
        if presence.is_jumbled || !named.is_empty() {
            break;
        }
        way += 1;
    }
    let mut asked = Vec::new();
    for address in named {
        if asked.contains(&address) {
            continue;
        }
        asked.push(address);
        let heard = ask(line, roll, &roll.to_one(way, &address), tries).await?;
        let place =
            if heard.named.contains(&address) { &mut presence.meters } else { &mut presence.unconfirmed };
        place.push(address);
    }
    presence.is_jumbled |= asked.len() > 1;
    Ok(presence)
}

/// What was heard after a question.
struct Heard<A> {
    named: Vec<A>,
    /// Bytes of no frame.
    stray: usize,
}

impl<A> Heard<A> {
    fn is_jumbled(&self) -> bool {
        self.stray > 0 || self.named.len() > 1
    }
}

async fn ask<R: RollCall>(
    line: &mut dyn Line,
    roll: &R,
    question: &[u8],
    tries: u8,
) -> Result<Heard<R::Address>, RollCallError> {
    for _ in 0..tries.max(1) {
        match line.hear(question).await {
            Ok(bytes) if bytes.is_empty() => {}
            Ok(bytes) if bytes.starts_with(question) => return Err(RollCallError::Echo),
            Ok(bytes) => return Ok(sort(roll, &bytes)),
            // A jumble in the echo, or an answer where an echo is expected: where nobody answers that is told apart.
            Err(Fault::Garbled { .. }) => match line.hear(&roll.to_nobody()).await {
                Err(Fault::Silent { .. }) => return Err(RollCallError::NoEcho),
                Ok(_) | Err(Fault::Garbled { .. }) => return Ok(Heard { named: Vec::new(), stray: 1 }),
                Err(fault) => return Err(fault.into()),
            },
            // A line that hears nothing but lacks the echo it is configured with.
            Err(Fault::Silent { .. }) => return Err(RollCallError::NoEcho),
            Err(fault) => return Err(fault.into()),
        }
    }
    Ok(Heard { named: Vec::new(), stray: 0 })
}

/// Both protocols that are asked so wake each other up with FE, which says nothing.
const WAKE_UP: u8 = 0xFE;

fn sort<R: RollCall>(roll: &R, heard: &[u8]) -> Heard<R::Address> {
    let mut sorted = Heard { named: Vec::new(), stray: 0 };
    let mut rest = heard;
    while let Some((first, behind)) = rest.split_first() {
        rest = match roll.answer(rest).and_then(|(address, end)| Some((address, rest.get(end.max(1)..)?))) {
            Some((address, after)) => {
                sorted.named.push(address);
                after
            }
            None => {
                sorted.stray += usize::from(*first != WAKE_UP);
                behind
            }
        };
    }
    sorted
}
