//! Deadlines on a virtual clock.

use super::*;
use crate::Parity;

fn character() -> Character {
    Character::new(2400, Parity::Even, 1)
}

fn transmission(begin_ns: u64, bytes: &[u8]) -> Transmission {
    Transmission {
        client: 0,
        begin_ns,
        character: Some(character()),
        bytes: bytes.to_vec(),
        said: Vec::new(),
        ideal_ns: Some(1),
        echo: false,
    }
}

/// Every delivery with its time, by waking exactly when asked to.
fn run(wire: &mut Wire) -> Vec<(u64, Delivery)> {
    let mut deliveries = Vec::new();
    while let Some(now_ns) = wire.next_ns() {
        deliveries.extend(wire.due(now_ns).into_iter().map(|delivery| (now_ns, delivery)));
    }
    deliveries
}

#[test]
fn without_a_quantum_every_byte_comes_alone_at_its_own_deadline() {
    let mut wire = Wire::new(true, 0);
    wire.submit(transmission(1000, &[1, 2, 3]));
    let times: Vec<_> = run(&mut wire).into_iter().map(|(at, delivery)| (at, delivery.bytes)).collect();
    let expected = [1, 2, 3].map(|n: u8| (1000 + character().time_ns(usize::from(n)), vec![n]));
    assert_eq!(times, expected);
}

#[test]
fn with_a_quantum_no_byte_comes_early_and_the_last_exactly_at_its_deadline() {
    for quantum_ms in [1, 5, 12, 20, 1000] {
        let mut wire = Wire::new(true, quantum_ms * 1_000_000);
        let bytes: Vec<u8> = (0..66).collect();
        wire.submit(transmission(7, &bytes));
        let mut delivered = 0;
        let deliveries = run(&mut wire);
        for (at, delivery) in &deliveries {
            delivered += delivery.bytes.len();
            let last_due = 7 + character().time_ns(delivered);
            assert_eq!(*at, last_due, "exactly with the last of its bytes");
            let span = character().time_ns(delivery.bytes.len() - 1);
            assert!(span <= quantum_ms * 1_000_000, "no byte waits longer than the quantum");
        }
        assert_eq!(delivered, 66);
        assert_eq!(deliveries.last().unwrap().0, 7 + character().time_ns(66));
        assert!(deliveries.last().unwrap().1.finished.is_some());
        assert_eq!(deliveries.iter().filter(|(_, delivery)| delivery.finished.is_some()).count(), 1);
    }
}

#[test]
fn a_late_wake_up_delivers_everything_that_is_due_and_shifts_nothing() {
    let mut wire = Wire::new(true, 0);
    wire.submit(transmission(0, &[1, 2, 3, 4]));
    assert!(wire.due(character().time_ns(1) - 1).is_empty());
    assert_eq!(wire.due(character().time_ns(3))[0].bytes, [1, 2, 3]);
    assert_eq!(wire.next_ns(), Some(character().time_ns(4)));
}

#[test]
fn unpaced_everything_comes_at_the_beginning() {
    let mut wire = Wire::new(true, 2_000_000);
    wire.submit(Transmission { character: None, ..transmission(50, &[1, 2, 3]) });
    assert_eq!(wire.next_ns(), Some(50));
    assert!(wire.due(49).is_empty());
    assert_eq!(wire.due(50)[0].bytes, [1, 2, 3]);
    assert_eq!(wire.next_ns(), None);
}

#[test]
fn an_answer_that_begins_during_another_is_laid_over_it() {
    let mut wire = Wire::new(true, 0);
    wire.submit(transmission(0, &[0xFF, 0xF0, 0x3C]));
    wire.submit(transmission(character().time_ns(1) + 1, &[0x3C, 0xFF, 0x55]));
    let deliveries = run(&mut wire);
    let bytes: Vec<u8> = deliveries.iter().flat_map(|(_, delivery)| delivery.bytes.clone()).collect();
    assert_eq!(bytes, [0xFF, 0xF0 & 0x3C, 0x3C, 0x55]);
    let finished = deliveries.into_iter().filter_map(|(_, delivery)| delivery.finished).collect::<Vec<_>>();
    assert_eq!(finished.len(), 1);
    assert_eq!(finished[0].ideal_ns, None, "nobody got what he asked for");
}

#[test]
fn an_echo_disturbs_nobody_and_does_not_make_the_line_busy() {
    let mut wire = Wire::new(true, 0);
    wire.submit(Transmission { echo: true, ..transmission(0, &[1, 2, 3]) });
    wire.due(0);
    assert!(!wire.is_busy(character().time_ns(1)));
    wire.submit(transmission(character().time_ns(1), &[9]));
    assert!(wire.is_busy(character().time_ns(1)));
    let bytes: Vec<u8> = run(&mut wire).into_iter().flat_map(|(_, delivery)| delivery.bytes).collect();
    assert_eq!(bytes.len(), 4);
    assert!([1, 2, 3, 9].iter().all(|byte| bytes.contains(byte)), "{bytes:?}");
}

#[test]
fn modbus_tcp_answers_do_not_meet_on_a_wire() {
    let mut wire = Wire::new(false, 0);
    wire.submit(transmission(0, &[1, 2]));
    wire.submit(Transmission { client: 1, ..transmission(1, &[3, 4]) });
    assert!(!wire.is_busy(character().time_ns(1)));
    let deliveries = run(&mut wire);
    let of = |client| -> Vec<u8> {
        deliveries.iter().filter(|(_, d)| d.client == client).flat_map(|(_, d)| d.bytes.clone()).collect()
    };
    assert_eq!((of(0), of(1)), (vec![1, 2], vec![3, 4]));
}

#[test]
fn what_waits_is_bounded() {
    let mut wire = Wire::new(true, 0);
    for _ in 0..10_000 {
        wire.submit(transmission(u64::MAX / 2, &[1]));
    }
    assert_eq!(wire.waiting.len(), TRANSMISSIONS_MAX);
    let mut wire = Wire::new(true, 0);
    for begin_ns in 0..200 {
        wire.submit(transmission(begin_ns * character().time_ns(100), &[1; 250]));
    }
    while let Some(now_ns) = wire.next_ns() {
        wire.due(now_ns);
        for on_air in &wire.on_air {
            assert!(on_air.transmission.bytes.len() <= TRANSMISSION_BYTES_MAX);
        }
    }
}
