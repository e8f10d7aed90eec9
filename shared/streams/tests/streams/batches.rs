//! Checks the proof of the module `writer` on a model: whatever writers and servers do, and in whatever order
//! publications arrive, an envelope is stored right after the one that its writer sent before it.

use std::collections::{BTreeMap, VecDeque};

use proptest::prelude::*;

const SERVERS: usize = 3;
const WRITERS: usize = 3;
/// The maximum number of unconfirmed publications.
const WINDOW: usize = 4;

/// A batch: the writer that has begun it, and its number.
type BatchId = (usize, usize);

/// A publication of a batch, the `index`th envelope of its writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Publication {
    batch: BatchId,
    number: usize,
    index: usize,
    expected: usize,
}

/// A message of the stream; `None` if nobody who writes batches has published it.
type Stored = Option<Publication>;

/// What a server knows of a batch.
#[derive(Debug, Clone, Copy, Default)]
struct Known {
    counted: usize,
    applied: usize,
    has_ended: bool,
}

#[derive(Debug, Default)]
struct Server {
    batches: BTreeMap<BatchId, Known>,
    /// How many messages of the log it has applied.
    applied: usize,
}

impl Server {
    fn apply(&mut self, log: &[Stored], through: usize) {
        let unapplied = log.get(self.applied..through).unwrap_or_default();
        for publication in unapplied.iter().flatten() {
            let known = self.batches.entry(publication.batch).or_default();
            (known.applied, known.counted) = (publication.number, publication.number.max(known.counted));
        }
        self.applied = self.applied.max(through);
    }

    /// Begins a term, with everything applied.
    fn lead(&mut self, log: &[Stored]) {
        self.apply(log, log.len());
        for known in self.batches.values_mut() {
            (known.counted, known.has_ended) = (known.applied, false);
        }
    }

    /// The checks of the stream's leader before it proposes a message.
    fn accepts(&mut self, end: usize, publication: Publication) -> bool {
        let Publication { batch, number, expected, .. } = publication;
        if number > 1 && !self.batches.contains_key(&batch) {
            return false;
        }
        let known = self.batches.entry(batch).or_default();
        if known.has_ended {
            return false;
        }
        if number != known.counted + 1 {
            known.has_ended = true;
            return false;
        }
        if expected != end {
            known.has_ended = true;
            if number == 1 {
                self.batches.remove(&batch);
            }
            return false;
        }
        known.counted = number;
        true
    }
}

/// The stream: the first `committed` messages of the log are stored for good, the others proposed.
#[derive(Debug, Default)]
struct Stream {
    log: Vec<Stored>,
    committed: usize,
    leader: usize,
    servers: [Server; SERVERS],
}

impl Stream {
    fn receive(&mut self, publication: Publication) {
        if self.servers[self.leader].accepts(self.log.len(), publication) {
            self.log.push(Some(publication));
        }
    }

    fn commit(&mut self, count: usize) {
        self.committed = (self.committed + count).min(self.log.len());
        self.servers[self.leader].apply(&self.log, self.committed);
    }

    /// Another server leads, or the same again; of what is only proposed, so much survives.
    fn change_leader(&mut self, leader: usize, surviving: usize) {
        self.log.truncate(self.committed + surviving);
        self.committed = self.log.len();
        self.leader = leader;
        self.servers[leader].lead(&self.log);
    }
}

#[derive(Debug, Default)]
struct Writer {
    id: usize,
    batches: usize,
    end: usize,
    sent: usize,
    number: usize,
    /// Publications in flight, also of writers before it: a connection delivers in order.
    under_way: VecDeque<Publication>,
}

impl Writer {
    fn open(&mut self, id: usize, end: usize) {
        let under_way = std::mem::take(&mut self.under_way);
        *self = Self { id, end, under_way, ..Self::default() };
    }

    /// How many publications are not stored for good. The writer may know less, and then sends less.
    fn unconfirmed(&self, stream: &Stream) -> usize {
        let own = |stored: &&Publication| stored.batch.0 == self.id;
        self.sent - stream.log[..stream.committed].iter().flatten().filter(own).count()
    }

    fn send(&mut self, stream: &Stream, begins: bool) {
        let unconfirmed = self.unconfirmed(stream);
        if unconfirmed >= WINDOW {
            return;
        }
        if self.number == 0 || (begins && unconfirmed == 0) {
            (self.batches, self.number) = (self.batches + 1, 0);
        }
        self.number += 1;
        let (batch, number) = ((self.id, self.batches), self.number);
        self.under_way.push_back(Publication { batch, number, index: self.sent, expected: self.end });
        (self.sent, self.end) = (self.sent + 1, self.end + 1);
    }
}

#[derive(Debug, Clone, Copy)]
enum Step {
    /// The writer sends an envelope; it begins a batch with it if it may, or not.
    Send(usize, bool),
    /// The first publication in flight arrives at the leader, once or twice.
    Arrive(usize, bool),
    /// So many of the publications in flight never arrive.
    Lose(usize, usize),
    /// Another writer opens, whatever is in flight.
    Open(usize),
    /// A message is published that expects nothing.
    ByHand,
    /// So many proposed messages are stored for good.
    Commit(usize),
    /// A follower applies so many messages.
    Apply(usize, usize),
    /// A follower catches up by a snapshot, and applies none of them.
    CatchUp(usize),
    /// A server forgets a batch, or all after a restart.
    Forget(usize, bool),
    ChangeLeader(usize, usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let (writer, server) = (0..WRITERS, 0..SERVERS);
    let step = prop_oneof![
        12 => (writer.clone(), any::<bool>()).prop_map(|(writer, begins)| Step::Send(writer, begins)),
        12 => (writer.clone(), prop::bool::weighted(0.1)).prop_map(|(writer, twice)| Step::Arrive(writer, twice)),
        2 => (writer.clone(), 1..3_usize).prop_map(|(writer, count)| Step::Lose(writer, count)),
        2 => writer.prop_map(Step::Open),
        1 => Just(Step::ByHand),
        6 => (1..4_usize).prop_map(Step::Commit),
        4 => (server.clone(), 1..4_usize).prop_map(|(server, count)| Step::Apply(server, count)),
        1 => server.clone().prop_map(Step::CatchUp),
        1 => (server.clone(), any::<bool>()).prop_map(|(server, all)| Step::Forget(server, all)),
        2 => (server, 0..3_usize).prop_map(|(server, surviving)| Step::ChangeLeader(server, surviving)),
    ];
    prop::collection::vec(step, 0..300)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn an_envelope_follows_the_one_before_it(steps in steps()) {
        let mut stream = Stream::default();
        let mut writers: [Writer; WRITERS] = Default::default();
        let mut opened = 0;
        for writer in &mut writers {
            writer.open(opened, 0);
            opened += 1;
        }
        for step in steps {
            match step {
                Step::Send(writer, begins) => writers[writer].send(&stream, begins),
                Step::Arrive(writer, twice) => {
                    let Some(publication) = writers[writer].under_way.pop_front() else { continue };
                    (0..=usize::from(twice)).for_each(|_| stream.receive(publication));
                }
                Step::Lose(writer, count) => {
                    let under_way = &mut writers[writer].under_way;
                    under_way.drain(..count.min(under_way.len()));
                }
                Step::Open(writer) => {
                    writers[writer].open(opened, stream.committed);
                    opened += 1;
                }
                Step::ByHand => stream.log.push(None),
                Step::Commit(count) => stream.commit(count),
                Step::Apply(server, count) => {
                    let through = (stream.servers[server].applied + count).min(stream.committed);
                    stream.servers[server].apply(&stream.log, through);
                }
                Step::CatchUp(server) if server != stream.leader => {
                    stream.servers[server].applied = stream.committed;
                }
                Step::CatchUp(_) => {}
                Step::Forget(server, all) => {
                    let batches = &mut stream.servers[server].batches;
                    if all { batches.clear() } else { _ = batches.pop_first() }
                }
                Step::ChangeLeader(leader, surviving) => stream.change_leader(leader, surviving),
            }
        }
        for (place, stored) in stream.log.iter().enumerate() {
            let Some(publication) = stored else { continue };
            if publication.index > 0 {
                let before = stream.log.get(place.wrapping_sub(1)).copied().flatten();
                let before = before.map(|before| (before.batch.0, before.index + 1));
                prop_assert_eq!(before, Some((publication.batch.0, publication.index)), "at {}", place);
            }
        }
    }
}
