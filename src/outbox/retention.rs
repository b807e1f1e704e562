//! What is told of records that a full outbox drops. Pure.

use std::collections::BTreeMap;

use weir_wire::GapOfMeter;

use super::frame::Header;
use crate::limits::GAP_METERS_MAX;

/// Counts dropped records by meter and time, in portions of one event each.
pub(super) fn gaps(headers: Vec<Header>) -> Vec<Vec<GapOfMeter>> {
    let mut by_meter = BTreeMap::<String, GapOfMeter>::new();
    for Header { meter, at, .. } in headers {
        let gap = by_meter.entry(meter.clone()).or_insert(GapOfMeter { meter, count: 0, from: at, to: at });
        gap.count += 1;
        gap.from = gap.from.min(at);
        gap.to = gap.to.max(at);
    }
    let all: Vec<GapOfMeter> = by_meter.into_values().collect();
    all.chunks(GAP_METERS_MAX).map(<[GapOfMeter]>::to_vec).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Generation;
    use crate::outbox::frame::Class;
    use jiff::Timestamp;

    #[test]
    fn every_dropped_record_is_in_one_portion_and_no_portion_is_longer_than_an_event_may_be() {
        let header = |n: u64| Header {
            class: Class::Reading,
            generation: Generation(1),
            sequence: n,
            at: Timestamp::from_second(i64::try_from(n).unwrap()).unwrap(),
            meter: format!("A-{:03}", n % 450),
        };
        let portions = gaps((0..900).map(header).collect());
        assert_eq!(portions.iter().map(Vec::len).collect::<Vec<_>>(), [200, 200, 50]);
        assert_eq!(portions.iter().flatten().map(|gap| gap.count).sum::<u64>(), 900);
        let first = &portions[0][0];
        assert_eq!((first.from.as_second(), first.to.as_second()), (0, 450));
    }
}
