//! The fewest requests, within what a meter puts up with.

use proptest::prelude::*;

use super::*;

const FREE: Limits =
    Limits { request_registers_max: 125, gap_registers_max: 0, even_count: false, avoid: Vec::new() };

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

#[test]
fn a_gap_is_not_bridged_where_a_register_must_not_be_read() {
    let limits = |avoid| Limits { gap_registers_max: 9, avoid, ..FREE };
    let wanted = [holding(0, 2), holding(5, 2)];
    assert_eq!(plan(wanted, &limits(vec![(4, 4)])), wanted);
    assert_eq!(plan(wanted, &limits(vec![(1, 1), (5, 9)])), [holding(0, 7)], "wanted is wanted");
    assert_eq!(plan(wanted, &limits(vec![(7, 20)])), [holding(0, 7)]);
}

#[test]
fn an_even_count_keeps_off_what_must_not_be_read() {
    let limits = Limits { even_count: true, avoid: vec![(9, 9)], ..FREE };
    assert_eq!(plan([holding(6, 3)], &limits), [holding(5, 4)]);
    assert_eq!(plan([holding(6, 2), holding(10, 1)], &limits), [holding(6, 2), holding(10, 2)]);
}

/// The fewest requests, by trying which fields may share one and then every way to divide them up.
fn fewest(fields: &[Block], limits: &Limits) -> usize {
    let sets = 1_usize << fields.len();
    let members = |set: usize| {
        fields.iter().enumerate().filter(move |(n, _)| set >> n & 1 == 1).map(|(_, field)| field)
    };
    let is_wanted = |register: u32| fields.iter().any(|f| (u32::from(f.start)..f.end()).contains(&register));
    let possible = |set: usize| {
        let start = members(set).map(|field| u32::from(field.start)).min().unwrap();
        let end = members(set).map(Block::end).max().unwrap();
        let mut gap = 0;
        let gaps_are_fine = (start..end).all(|register| {
            gap = if is_wanted(register) { 0 } else { gap + 1 };
            gap == 0 || gap <= limits.gap_registers_max && !limits.avoids(register, register + 1)
        });
        gaps_are_fine && end - start <= u32::from(limits.largest())
    };
    let mut best = vec![0; sets];
    for set in 1..sets {
        let mut least = usize::MAX;
        let mut part = set;
        while part > 0 {
            if possible(part) {
                least = least.min(best[set & !part] + 1);
            }
            part = (part - 1) & set;
        }
        best[set] = least;
    }
    best[sets - 1]
}

proptest! {
    #[test]
    fn every_field_is_whole_in_one_request_and_no_plan_is_shorter(
        fields in prop::collection::vec((0_u16..28, 1_u16..=5), 1..8),
        request_registers_max in 6_u16..=16, gap_registers_max in 0_u16..6, even_count: bool,
        avoid in prop::collection::vec(0_u16..32, 0..3),
    ) {
        let fields: Vec<Block> = fields.into_iter().map(|(start, count)| holding(start, count)).collect();
        let avoid = avoid.into_iter().map(|at| (at, at)).collect();
        let limits = Limits { request_registers_max, gap_registers_max, even_count, avoid };
        let plan = plan(fields.clone(), &limits);
        for field in &fields {
            prop_assert!(plan.iter().any(|block| block.start <= field.start && field.end() <= block.end()));
        }
        for block in &plan {
            prop_assert!(block.count <= limits.largest());
            prop_assert!(!even_count || block.count.is_multiple_of(2));
            let first = fields.iter().map(|field| field.start).min().unwrap();
            prop_assert!(block.start + 1 >= first);
        }
        prop_assert_eq!(plan.len(), fewest(&fields, &limits));
    }

    #[test]
    fn a_plan_stays_within_the_address_space(start in 65_500_u16..=65_535, count in 1_u16..=4, even_count: bool) {
        let count = count.min((u16::MAX - start).saturating_add(1));
        let plan = plan([holding(start, count)], &Limits { even_count, ..FREE });
        prop_assert!(plan.iter().all(|block| block.end() <= 0x1_0000));
    }
}
