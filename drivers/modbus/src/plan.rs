//! Which requests read all the registers a profile needs: the fewest that its meter allows.

use std::collections::BTreeSet;

use crate::frame::FunctionCode;

/// Adjacent registers that one request reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Block {
    /// By which function.
    pub function: FunctionCode,
    /// Address of the first register, as on the wire (from 0).
    pub start: u16,
    /// How many, 1 to 125.
    pub count: u16,
}

impl Block {
    /// Address after the last register, up to 65 536.
    pub(crate) fn end(&self) -> u32 {
        u32::from(self.start) + u32::from(self.count)
    }
}

/// What a meter puts up with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Registers in one request, 1 to 125.
    pub(crate) request_registers_max: u16,
    /// Registers that nobody wants and that may be read to save a request.
    pub(crate) gap_registers_max: u16,
    /// Only even counts are answered.
    pub(crate) even_count: bool,
}

impl Limits {
    /// The most registers that one request really may ask for.
    pub(crate) fn largest(&self) -> u16 {
        if self.even_count { self.request_registers_max & !1 } else { self.request_registers_max }
    }

    /// The count asked for to get `count`.
    fn asked(&self, count: u16) -> u16 {
        if self.even_count { count.next_multiple_of(2) } else { count }
    }
}

/// Covers all the `wanted` blocks, none of which is split. A wanted block over [`Limits::largest`] stands alone.
///
/// Going by ascending address and growing each request as far as it may is the least number of requests, since a
/// request can begin no later than at the first register still wanted.
pub(crate) fn plan(wanted: impl IntoIterator<Item = Block>, limits: &Limits) -> Vec<Block> {
    let wanted: BTreeSet<Block> = wanted.into_iter().collect();
    let mut plan: Vec<Block> = Vec::new();
    for block in wanted {
        match plan.last_mut().and_then(|last| Some((joined(last, &block, limits)?, last))) {
            Some((count, last)) => last.count = count,
            None => plan.push(block),
        }
    }
    for block in &mut plan {
        let asked = limits.asked(block.count);
        // One register more at the end, or before the start where the address space ends.
        block.start = block.start.min(u16::MAX - (asked - 1));
        block.count = asked;
    }
    plan
}

/// The count of a request that reads both, if there may be one.
fn joined(last: &Block, next: &Block, limits: &Limits) -> Option<u16> {
    let gap = u32::from(next.start).saturating_sub(last.end());
    let count = u16::try_from(next.end().max(last.end()) - u32::from(last.start)).ok()?;
    let fits = count <= limits.largest() || next.end() <= last.end();
    (last.function == next.function && gap <= u32::from(limits.gap_registers_max) && fits).then_some(count)
}

#[cfg(test)]
mod tests;
