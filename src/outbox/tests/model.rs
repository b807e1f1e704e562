//! Random operations on the outbox and on a few lines of vectors that say what it must do.

use super::*;
use proptest::prelude::*;

/// What the outbox must look like from outside.
#[derive(Default)]
struct Model {
    /// Ids and numbers of everything told as durable, in order.
    told: Vec<(String, u64)>,
    /// How many of them are acknowledged.
    acknowledged: usize,
    /// How many the reader has handed out since it was last rewound.
    handed_out: usize,
    next_number: u64,
}

#[derive(Clone, Debug)]
enum Action {
    Append(u64),
    Read(usize),
    /// Acknowledge so many of what was handed out.
    Acknowledge(usize),
    Rewind,
    /// Close in good order and open again.
    Restart,
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let action = prop_oneof![
        4 => (1_u64..15).prop_map(Action::Append),
        4 => (1_usize..20).prop_map(Action::Read),
        3 => (0_usize..25).prop_map(Action::Acknowledge),
        1 => Just(Action::Rewind),
        1 => Just(Action::Restart),
    ];
    proptest::collection::vec(action, 1..40)
}

async fn run(actions: Vec<Action>) {
    let folder = tempfile::tempdir().unwrap();
    let mut outbox = open_small(folder.path()).outbox;
    let mut reader = outbox.reader(Lane::Readings);
    let mut model = Model::default();
    for action in actions {
        match action {
            Action::Append(count) => {
                let numbers: Vec<u64> = (model.next_number..model.next_number + count).collect();
                model.next_number += count;
                let ids = store(&outbox, numbers.clone()).await;
                model.told.extend(ids.into_iter().zip(numbers));
            }
            Action::Read(count) => {
                if model.handed_out == model.told.len() {
                    continue;
                }
                let read = reader.next(count, 1 << 20).await.unwrap();
                let expected = &model.told[model.handed_out..];
                assert!(!read.is_empty() && read.len() <= count);
                for (stored, (id, number)) in read.iter().zip(expected) {
                    assert_eq!((&stored.name.id("gw-1"), number_of(stored)), (id, *number));
                }
                model.handed_out += read.len();
            }
            Action::Acknowledge(count) => {
                let up_to = (model.acknowledged + count).min(model.handed_out);
                model.acknowledged = model.acknowledged.max(up_to);
                // Sequences are dense and begin at one, so the count is the sequence.
                reader.acknowledge(model.acknowledged.try_into().unwrap()).await.unwrap();
            }
            Action::Rewind => {
                reader.rewind();
                model.handed_out = model.acknowledged;
            }
            Action::Restart => {
                outbox.close().await.unwrap();
                outbox = open_small(folder.path()).outbox;
                reader = outbox.reader(Lane::Readings);
                model.handed_out = model.acknowledged;
            }
        }
        let stats = outbox.stats().await.unwrap();
        assert_eq!(stats.readings.waiting, u64::try_from(model.told.len() - model.acknowledged).unwrap());
        assert_eq!((stats.readings.lost, stats.readings.dropped, stats.urgent.stored), (0, 0, 0));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn the_outbox_does_what_the_model_does(actions in actions()) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(run(actions));
    }
}
