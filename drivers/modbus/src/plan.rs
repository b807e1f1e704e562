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
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Registers in one request, 1 to 125.
    pub(crate) request_registers_max: u16,
    /// Registers that nobody wants and that may be read to save a request.
    pub(crate) gap_registers_max: u16,
    /// Only even counts are answered.
    pub(crate) even_count: bool,
    /// Registers that must not be read along: first and last of each stretch.
    pub(crate) avoid: Vec<(u16, u16)>,
}

impl Limits {
    /// The most registers that one request really may ask for.
    pub(crate) fn largest(&self) -> u16 {
        if self.even_count { self.request_registers_max & !1 } else { self.request_registers_max }
    }

    /// Whether a register from `start` to before `end` must not be read along.
    pub(crate) fn avoids(&self, start: u32, end: u32) -> bool {
        self.avoid.iter().any(|&(first, last)| u32::from(first) < end && start <= u32::from(last))
    }

    /// The block to ask for: one register more at the end where only even counts are answered, or before the start
    /// where the address space ends or what follows must not be read.
    fn asked(&self, block: Block) -> Block {
        if !self.even_count || block.count.is_multiple_of(2) {
            return block;
        }
        let count = block.count + 1;
        let fits_behind = block.end() <= u32::from(u16::MAX) && !self.avoids(block.end(), block.end() + 1);
        match block.start.checked_sub(1) {
            Some(start) if !fits_behind => Block { start, count, ..block },
            _ => Block { count, ..block },
        }
    }
}

/// Covers all the `wanted` blocks, none of which is split. A wanted block over [`Limits::largest`] stands alone.
///
/// Going by ascending address and growing each request as far as it may is the least number of requests, since a
/// request can begin no later than at the first register still wanted. A test holds that against every possible plan.
///
/// Registers to avoid are in no gap that is bridged. Where a wanted block has one, or an even count leaves no other way,
/// the plan reads it all the same: the profile's check refuses such a plan.
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
        *block = limits.asked(*block);
    }
    plan
}

/// The count of a request that reads both, if there may be one.
fn joined(last: &Block, next: &Block, limits: &Limits) -> Option<u16> {
    let gap = u32::from(next.start).saturating_sub(last.end());
    let count = u16::try_from(next.end().max(last.end()) - u32::from(last.start)).ok()?;
    let fits = count <= limits.largest() || next.end() <= last.end();
    let bridged = gap <= u32::from(limits.gap_registers_max)
        && (gap == 0 || !limits.avoids(last.end(), u32::from(next.start)));
    (last.function == next.function && bridged && fits).then_some(count)
}

#[cfg(test)]
mod tests;
