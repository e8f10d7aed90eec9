//! Checks the proof of the module `writer` on a model: whatever writers do, and in whatever order their publications
//! arrive, an envelope is stored right after the one that its writer sent before it.
//!
//! The model has few consecutive fences, so that every way around them is short.

use std::collections::VecDeque;

use proptest::prelude::*;

const ZONE: usize = 3;
const WRITERS: usize = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// One of the fences of a term.
    Fence,
    /// An envelope of a term, by its number.
    Envelope(usize),
}

#[derive(Debug, Clone, Copy)]
struct Publication {
    term: usize,
    what: What,
    expected: usize,
    /// Whether the message right before it must not be a fence.
    guarded: bool,
}

/// The checks of a stream's leader before it proposes a message.
fn accepts(stream: &[(usize, What)], publication: Publication) -> bool {
    let follows_fence = stream.last().is_some_and(|(_, what)| *what == What::Fence);
    stream.len() == publication.expected && !(publication.guarded && follows_fence)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// It has read the end, and sent nothing.
    Opened,
    /// The first fence is in flight.
    First,
    /// The other fences are in flight.
    Fencing,
    Writing,
    /// Fences are in flight that expect consecutive sequences, wherever the stream ends.
    Seizing,
    /// A publication was refused.
    Refused,
}

#[derive(Debug)]
struct Writer {
    term: usize,
    stage: Stage,
    end: usize,
    sent: usize,
    /// How many of the sent publications it knows to be stored.
    confirmed: usize,
    fences: usize,
    /// Publications in flight, also of earlier terms: a connection delivers in order.
    under_way: VecDeque<Publication>,
    /// The sequences at which arrived publications of this term were stored, in order.
    answers: VecDeque<Option<usize>>,
    /// The number of unread answers to the fences that seize the end of the stream.
    unread: usize,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    /// The writer sends what it may send next.
    Send(usize),
    /// The first publication in flight arrives.
    Arrive(usize),
    /// So many of the publications in flight never arrive.
    Lose(usize, usize),
    /// The writer reads an answer.
    Read(usize),
    /// The writer opens again, whatever is in flight.
    Open(usize),
    /// The writer opens again and seizes the end of the stream.
    Seize(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let writer = 0..WRITERS;
    let step = prop_oneof![
        6 => writer.clone().prop_map(Step::Send),
        8 => writer.clone().prop_map(Step::Arrive),
        6 => writer.clone().prop_map(Step::Read),
        1 => writer.clone().prop_map(Step::Open),
        1 => writer.clone().prop_map(Step::Seize),
        1 => (writer, 1..3_usize).prop_map(|(writer, count)| Step::Lose(writer, count)),
    ];
    prop::collection::vec(step, 0..400)
}

impl Writer {
    fn open(&mut self, term: usize, end: usize) {
        let under_way = std::mem::take(&mut self.under_way);
        *self = Self {
            term,
            stage: Stage::Opened,
            end,
            sent: 0,
            confirmed: 0,
            fences: 0,
            under_way,
            answers: VecDeque::new(),
            unread: 0,
        };
    }

    fn seize(&mut self) {
        (self.stage, self.unread) = (Stage::Seizing, ZONE);
        for expected in self.end..self.end + ZONE {
            let fence = Publication { term: self.term, what: What::Fence, expected, guarded: false };
            self.under_way.push_back(fence);
        }
    }

    /// Like the rounds of `fence::seize`.
    fn read_seized(&mut self, stored: Option<usize>) {
        match stored {
            Some(sequence) if self.fences > 0 && sequence == self.end + 1 => self.fences += 1,
            Some(_) => self.fences = 1,
            None => self.fences = 0,
        }
        self.end = stored.unwrap_or(self.end);
        self.unread -= 1;
        if self.fences >= ZONE && self.unread == 0 {
            self.stage = Stage::Writing;
        } else if self.unread == 0 {
            self.seize();
        }
    }

    fn publish(&mut self, what: What, guarded: bool) {
        self.under_way.push_back(Publication { term: self.term, what, expected: self.end, guarded });
        self.end += 1;
    }

    fn send(&mut self) {
        match self.stage {
            Stage::Opened if self.end == 0 => {
                // The first envelope of a stream is its own fence.
                self.publish(What::Envelope(0), false);
                (self.stage, self.sent) = (Stage::First, 1);
            }
            Stage::Opened => {
                self.publish(What::Fence, false);
                self.stage = Stage::First;
            }
            Stage::Writing if self.sent - self.confirmed < ZONE => {
                self.publish(What::Envelope(self.sent), self.sent > 0);
                self.sent += 1;
            }
            _ => {}
        }
    }

    fn read(&mut self) {
        let Some(stored) = self.answers.pop_front() else { return };
        match self.stage {
            Stage::Seizing => self.read_seized(stored),
            _ if stored.is_none() => self.stage = Stage::Refused,
            Stage::First if self.sent == 1 => (self.stage, self.confirmed) = (Stage::Writing, 1),
            Stage::First => {
                (1..ZONE).for_each(|_| self.publish(What::Fence, false));
                (self.stage, self.fences) = (Stage::Fencing, 1);
            }
            Stage::Fencing => {
                self.fences += 1;
                if self.fences == ZONE {
                    self.stage = Stage::Writing;
                }
            }
            Stage::Writing => self.confirmed += 1,
            Stage::Opened | Stage::Refused => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn an_envelope_follows_the_one_before_it(steps in steps()) {
        let mut stream: Vec<(usize, What)> = Vec::new();
        let mut writers: Vec<Writer> = Vec::new();
        for term in 0..WRITERS {
            let mut writer = Writer {
                term, stage: Stage::Opened, end: 0, sent: 0, confirmed: 0, fences: 0,
                under_way: VecDeque::new(), answers: VecDeque::new(), unread: 0,
            };
            writer.open(term, 0);
            writers.push(writer);
        }
        let mut terms = WRITERS;
        for step in steps {
            match step {
                Step::Send(writer) => writers[writer].send(),
                Step::Read(writer) => writers[writer].read(),
                Step::Open(writer) => {
                    writers[writer].open(terms, stream.len());
                    terms += 1;
                }
                Step::Seize(writer) => {
                    writers[writer].open(terms, stream.len());
                    writers[writer].seize();
                    terms += 1;
                }
                Step::Lose(writer, count) => {
                    let under_way = &mut writers[writer].under_way;
                    under_way.drain(..count.min(under_way.len()));
                }
                Step::Arrive(writer) => {
                    let writer = &mut writers[writer];
                    let Some(publication) = writer.under_way.pop_front() else { continue };
                    let is_stored = accepts(&stream, publication);
                    if publication.term == writer.term {
                        writer.answers.push_back(is_stored.then_some(stream.len() + 1));
                    }
                    if !is_stored {
                        continue;
                    }
                    let before = stream.last().copied();
                    stream.push((publication.term, publication.what));
                    if let What::Envelope(number) = publication.what {
                        let expected = match number {
                            0 if publication.expected == 0 => None,
                            0 => Some((publication.term, What::Fence)),
                            _ => Some((publication.term, What::Envelope(number - 1))),
                        };
                        prop_assert_eq!(before, expected, "before {:?}", publication);
                    }
                }
            }
        }
    }
}
