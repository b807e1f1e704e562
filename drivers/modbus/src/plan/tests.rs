//! The fewest requests, within what a meter puts up with.

use proptest::prelude::*;

use super::*;

const FREE: Limits = Limits { request_registers_max: 125, gap_registers_max: 0, even_count: false };

fn holding(start: u16, count: u16) -> Block {
    Block { function: FunctionCode::ReadHoldingRegisters, start, count }
}

#[test]
fn neighbours_and_overlaps_become_one_request() {
    assert_eq!(plan([holding(2, 2), holding(0, 2), holding(4, 1), holding(0, 2)], &FREE), [holding(0, 5)]);
    assert_eq!(plan([holding(0, 10), holding(2, 2)], &FREE), [holding(0, 10)]);
}

#[test]
fn a_gap_is_bridged_only_as_far_as_the_profile_allows() {
    let wanted = [holding(0, 2), holding(5, 2)];
    assert_eq!(plan(wanted, &Limits { gap_registers_max: 2, ..FREE }), wanted);
    assert_eq!(plan(wanted, &Limits { gap_registers_max: 3, ..FREE }), [holding(0, 7)]);
}

#[test]
fn functions_are_never_mixed() {
    let input = Block { function: FunctionCode::ReadInputRegisters, ..holding(2, 2) };
    assert_eq!(plan([holding(0, 2), input, holding(4, 2)], &FREE), [holding(0, 2), holding(4, 2), input]);
}

#[test]
fn a_value_is_never_split_at_the_limit() {
    let limits = Limits { request_registers_max: 5, ..FREE };
    assert_eq!(plan([holding(0, 2), holding(2, 2), holding(4, 2)], &limits), [holding(0, 4), holding(4, 2)]);
}

#[test]
fn an_even_count_is_asked_for_and_never_beyond_the_last_register() {
    let limits = Limits { even_count: true, request_registers_max: 5, ..FREE };
    assert_eq!(plan([holding(0, 3)], &limits), [holding(0, 4)]);
    assert_eq!(plan([holding(65_535, 1)], &limits), [holding(65_534, 2)]);
    // Five would be asked for as six, over the limit.
    assert_eq!(plan([holding(0, 4), holding(4, 1)], &limits), [holding(0, 4), holding(4, 2)]);
}

#[test]
fn the_last_register_of_all_is_reached() {
    assert_eq!(plan([holding(65_534, 2)], &FREE), [holding(65_534, 2)]);
}

/// The fewest requests by trying every division of the sorted fields.
fn fewest(fields: &[Block], limits: &Limits) -> usize {
    let mut best = vec![0; fields.len() + 1];
    for last in 0..fields.len() {
        let possible = (0..=last).filter(|&first| {
            let run = &fields[first..=last];
            let gaps = run
                .windows(2)
                .all(|pair| u32::from(pair[1].start) <= pair[0].end() + u32::from(limits.gap_registers_max));
            gaps && run[run.len() - 1].end() - u32::from(run[0].start) <= u32::from(limits.largest())
        });
        best[last + 1] = possible.map(|first| best[first] + 1).min().unwrap();
    }
    best[fields.len()]
}

proptest! {
    #[test]
    fn every_field_is_whole_in_one_request_and_no_plan_is_shorter(
        steps in prop::collection::vec((0_u16..12, 1_u16..=4), 1..40),
        request_registers_max in 8_u16..=125, gap_registers_max in 0_u16..10, even_count: bool,
    ) {
        let limits = Limits { request_registers_max, gap_registers_max, even_count };
        let mut next = 0;
        let fields: Vec<Block> = steps.iter().map(|(gap, count)| {
            let field = holding(next + gap, *count);
            next += gap + count;
            field
        }).collect();
        let plan = plan(fields.clone(), &limits);
        for field in &fields {
            prop_assert!(plan.iter().any(|block| block.start <= field.start && field.end() <= block.end()));
        }
        for block in &plan {
            prop_assert!(block.count <= limits.largest() && block.end() <= 0x1_0000);
            prop_assert!(!even_count || block.count.is_multiple_of(2));
        }
        prop_assert_eq!(plan.len(), fewest(&fields, &limits));
    }
}
