use proptest::prelude::*;
use tidings_model::Address;

use super::*;
use crate::worker::example;

/// Everything as it is, but the longest bodies.
const SHAPE: Shape = Shape { form: Form::Plain, is_compressed: false, most: 1_100 };

/// An envelope for all users: this part of a message of its own event.
fn envelope(sequence: u64, part: u32, body: &str) -> Arc<FramedEnvelope> {
    example::envelope((sequence, part), &Address::all(), body)
}

fn batch(framed: &[Arc<FramedEnvelope>]) -> Rc<Batch> {
    Batch::new(framed, &Rc::new(Deflate::new(usize::MAX)))
}

fn frame(framed: &FramedEnvelope) -> Bytes {
    SHAPE.frame(framed, &Deflate::new(usize::MAX)).into_owned()
}

/// What is put into a queue: a frame, or some envelopes of a batch.
#[derive(Debug, Clone)]
enum Put {
    Frame(Vec<u8>),
    Share(Vec<(bool, usize)>),
}

fn put() -> impl Strategy<Value = Put> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 1..20).prop_map(Put::Frame),
        prop::collection::vec((any::<bool>(), 1..1_200usize), 1..=Batch::MAX).prop_map(Put::Share),
    ]
}

/// Puts it there; what must arrive because of it.
fn put_into(send_queue: &mut SendQueue, put: &Put) -> Vec<u8> {
    match put {
        Put::Frame(frame) => {
            send_queue.push(Bytes::copy_from_slice(frame));
            frame.clone()
        }
        Put::Share(envelopes) => {
            let framed = |(index, (_, length)): (usize, &(bool, usize))| {
                envelope(index as u64 + 1, 0, &"x".repeat(*length))
            };
            let framed: Vec<_> = envelopes.iter().enumerate().map(framed).collect();
            let batch = batch(&framed);
            let given = (0..envelopes.len()).filter(|index| envelopes[*index].0);
            given
                .flat_map(|index| {
                    send_queue.give(&batch, index, SHAPE);
                    frame(&framed[index]).to_vec()
                })
                .collect()
        }
    }
}

proptest! {
    /// However little the socket takes at a time, what arrives is what was put there.
    #[test]
    fn nothing_is_lost_or_reordered(
        puts in prop::collection::vec(put(), 0..8),
        takes in prop::collection::vec(0usize..3_000, 1..50),
    ) {
        let mut send_queue = SendQueue::default();
        let (mut due, mut arrived) = (Vec::new(), Vec::new());
        let mut takes = takes.into_iter().chain(std::iter::repeat_n(3_000, 2_000));
        let mut flush = |send_queue: &mut SendQueue, arrived: &mut Vec<u8>| {
            send_queue.flush(|slices| match takes.next() {
                Some(0) | None => Err(io::ErrorKind::WouldBlock.into()),
                Some(room) => {
                    let offered: Vec<u8> = slices.iter().flat_map(|slice| slice.to_vec()).collect();
                    let taken = room.min(offered.len());
                    arrived.extend_from_slice(&offered[..taken]);
                    Ok(taken)
                }
            })
        };
        for put in &puts {
            due.extend(put_into(&mut send_queue, put));
            prop_assert_eq!(send_queue.bytes() + arrived.len(), due.len());
            if due.len() % 3 == 0 {
                flush(&mut send_queue, &mut arrived).unwrap();
                prop_assert_eq!(send_queue.bytes() + arrived.len(), due.len());
            }
            prop_assert_eq!(send_queue.is_empty(), send_queue.bytes() == 0);
            prop_assert_eq!(send_queue.is_empty(), send_queue.messages() == 0);
        }
        while flush(&mut send_queue, &mut arrived).unwrap() == Flushed::Blocked {}
        prop_assert!(send_queue.is_empty());
        prop_assert_eq!(send_queue.frames.capacity(), 0, "an idle queue costs nothing");
        prop_assert_eq!(arrived, due);
    }
}

#[test]
fn a_blocked_connection_does_not_hold_the_others_envelopes() {
    let framed = [1, 2].map(|sequence| envelope(sequence, 0, "{}"));
    let batch = batch(&framed);
    let mut send_queue = SendQueue::default();
    send_queue.give(&batch, 1, SHAPE);
    let flushed = send_queue.flush(|_| Err(io::ErrorKind::WouldBlock.into()));
    assert_eq!(flushed.unwrap(), Flushed::Blocked);
    assert_eq!(Rc::strong_count(&batch), 1);
    assert_eq!((send_queue.messages(), send_queue.bytes()), (1, frame(&framed[1]).len()));
}

#[test]
fn parts_of_a_message_are_looked_at_one_by_one() {
    let shape = Shape { form: Form::Plain, is_compressed: false, most: 100 };
    let deflate = Rc::new(Deflate::new(usize::MAX));
    let length = |examples: [(u64, u32); 2]| {
        let framed = examples.map(|(event, part)| envelope(event, part, "{}"));
        let batch = Batch::new(&framed, &deflate);
        BatchRun::new(&batch, 0..2, None).unwrap().whole_length(shape)
    };
    assert_eq!(length([(1, 0), (2, 0)]), Some(2 * 4));
    assert_eq!(length([(1, 0), (1, 0)]), None, "one message twice");
    assert_eq!(length([(1, 0), (2, 1)]), None, "a part that may have come before");
}

#[test]
fn a_run_lies_within_its_batch() {
    let framed = [1, 2, 3].map(|sequence| envelope(sequence, 0, "{}"));
    let batch = Batch::new(&framed, &Rc::new(Deflate::new(usize::MAX)));
    let run = BatchRun::new(&batch, 1..3, None).unwrap();
    assert_eq!((run.first.sequence(), run.last.sequence(), run.share.count()), (2, 3, 2));
    assert!(!run.share.has(0));
    assert!(BatchRun::new(&batch, 1..1, None).is_none() && BatchRun::new(&batch, 2..4, None).is_none());
}
