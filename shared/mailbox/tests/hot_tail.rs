//! The hot tail against a naive model: everything pushed, and a rule for what must still be there.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tidings_mailbox::{HotTail, HotTailError};

#[derive(Debug, Clone)]
enum Step {
    Push { gap: u64, weight: usize },
    RetainFrom(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        9 => (1..4_u64, 0..60_usize).prop_map(|(gap, weight)| Step::Push { gap, weight }),
        1 => (0..300_u64).prop_map(Step::RetainFrom),
    ];
    proptest::collection::vec(step, 0..100)
}

/// The longest end of `pushed` above `first` that weighs at most `capacity`.
fn expected(pushed: &BTreeMap<u64, usize>, first: u64, capacity: usize) -> BTreeMap<u64, usize> {
    let mut total = 0;
    let newest_first = pushed.range(first..).rev();
    newest_first
        .take_while(|(_, weight)| {
            total += **weight;
            total <= capacity
        })
        .map(|(sequence, weight)| (*sequence, *weight))
        .collect()
}

proptest! {
    #[test]
    fn the_newest_items_are_held_and_no_others(steps in steps(), capacity in 0..400_usize) {
        let mut tail = HotTail::new(capacity, 0);
        let (mut pushed, mut last, mut first) = (BTreeMap::new(), 0, 0);
        for step in steps {
            match step {
                Step::Push { gap, weight } => {
                    last += gap;
                    tail.push(last, format!("item {last}"), weight).unwrap();
                    pushed.insert(last, weight);
                }
                Step::RetainFrom(from) => {
                    first = first.max(from);
                    tail.retain_from(from);
                }
            }
            let expected = expected(&pushed, first, capacity);
            prop_assert_eq!(tail.len(), expected.len());
            prop_assert_eq!(tail.is_empty(), expected.is_empty());
            prop_assert_eq!(tail.weight(), expected.values().sum::<usize>());
            prop_assert_eq!(tail.head(), last.max(tail.floor()));
            for sequence in 0..last + 2 {
                let item = expected.get(&sequence).map(|_| format!("item {sequence}"));
                prop_assert_eq!(tail.get(sequence), item.as_ref());
                let above = sequence > tail.floor();
                prop_assert!(!above || !pushed.contains_key(&sequence) || item.is_some());
            }
        }
    }
}

#[test]
fn a_sequence_is_taken_once_and_in_order() {
    let mut tail = HotTail::new(100, 7);
    assert_eq!(tail.push(7, (), 1), Err(HotTailError::NotAscending { sequence: 7, last: 7 }));
    assert_eq!(tail.push(9, (), 1), Ok(()));
    assert_eq!(tail.push(9, (), 1), Err(HotTailError::NotAscending { sequence: 9, last: 9 }));
    assert_eq!(tail.push(8, (), 1), Err(HotTailError::NotAscending { sequence: 8, last: 9 }));
    assert_eq!((tail.len(), tail.weight()), (1, 1));
}

#[test]
fn an_item_that_retention_has_overtaken_is_not_held() {
    let mut tail = HotTail::new(100, 0);
    tail.retain_from(10);
    assert_eq!(tail.push(5, (), 1), Ok(()));
    assert_eq!((tail.get(5), tail.floor(), tail.head()), (None, 9, 9));
    assert_eq!(tail.push(10, (), 1), Ok(()));
    assert_eq!((tail.get(10), tail.floor(), tail.head()), (Some(&()), 9, 10));
}
