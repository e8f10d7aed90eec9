//! The mailbox against a naive model: one ordered map of every envelope, searched from end to end.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use tidings_mailbox::{AppendError, Delivery, Entry, Found, Mailbox, NotCovered, Page, Query, REACH};

/// Pairs that would be the same if they were told apart by their concatenation.
const PLACES: [(&str, &str); 7] =
    [("a", "bc"), ("ab", "c"), ("a", "b"), ("a", "all"), ("ab", "all"), ("a", "user:ada"), ("a", "")];
const KEYS: [&str; 3] = ["progress.d1", "progress.d2", ""];

#[derive(Debug, Clone, Copy)]
enum Step {
    Append {
        gap: u64,
        place: usize,
        key: Option<usize>,
        ttl: Option<u64>,
    },
    AdvanceTo {
        gap: u64,
    },
    RetainFrom(Mark),
    Remove {
        place: usize,
        back: u64,
    },
    Purge {
        place: usize,
    },
    Expire {
        seconds: u64,
    },
    /// Time passes, but nobody removes what has expired.
    Wait {
        seconds: u64,
    },
}

/// A sequence in relation to what the mailbox covers.
#[derive(Debug, Clone, Copy)]
enum Mark {
    AboveFloor(u64),
    BelowHead(u64),
    AboveHead(u64),
}

#[derive(Debug, Clone)]
struct Probe {
    tenant: &'static str,
    addresses: Vec<&'static str>,
    after: Mark,
    through: Mark,
    limit: usize,
}

fn step() -> impl Strategy<Value = Step> {
    let gap = prop_oneof![40 => 1..4_u64, 1 => (1_u64 << 29)..(3 << 30)];
    let key = proptest::option::weighted(0.4, 0..KEYS.len());
    let ttl = proptest::option::weighted(0.3, 0..30_u64);
    prop_oneof![
        30 => (gap, 0..PLACES.len(), key, ttl).prop_map(|(gap, place, key, ttl)| Step::Append { gap, place, key, ttl }),
        2 => (1..5_u64).prop_map(|gap| Step::AdvanceTo { gap }),
        3 => mark().prop_map(Step::RetainFrom),
        4 => (0..PLACES.len(), 0..30_u64).prop_map(|(place, back)| Step::Remove { place, back }),
        1 => (0..PLACES.len()).prop_map(|place| Step::Purge { place }),
        2 => (0..8_u64).prop_map(|seconds| Step::Expire { seconds }),
        3 => (0..4_u64).prop_map(|seconds| Step::Wait { seconds }),
    ]
}

fn mark() -> impl Strategy<Value = Mark> {
    prop_oneof![
        (0..40_u64).prop_map(Mark::AboveFloor),
        (0..40_u64).prop_map(Mark::BelowHead),
        (0..5_u64).prop_map(Mark::AboveHead),
    ]
}

fn probe() -> impl Strategy<Value = Probe> {
    let tenant = proptest::sample::select(vec!["a", "a", "a", "ab", "nobody"]);
    let address = proptest::sample::select(vec!["b", "bc", "c", "all", "user:ada", "", "user:eve"]);
    let addresses = proptest::collection::vec(address, 0..6);
    (tenant, addresses, mark(), mark(), 0..7_usize).prop_map(|(tenant, addresses, after, through, limit)| {
        Probe { tenant, addresses, after, through, limit }
    })
}

struct Held {
    place: usize,
    key: Option<usize>,
    expires_at: Option<u64>,
}

#[derive(Default)]
struct Naive {
    held: BTreeMap<u64, Held>,
    floor: u64,
    told: u64,
    now: u64,
}

impl Naive {
    fn head(&self) -> u64 {
        self.told.max(self.floor)
    }

    fn sequence(&self, mark: Mark) -> u64 {
        match mark {
            Mark::AboveFloor(distance) => self.floor + distance,
            Mark::BelowHead(distance) => self.head().saturating_sub(distance),
            Mark::AboveHead(distance) => self.head() + distance,
        }
    }

    fn tell(&mut self, sequence: u64) {
        self.told = sequence;
        self.retain_from((sequence + 1).saturating_sub(REACH));
    }

    fn append(&mut self, sequence: u64, held: Held) {
        if held.key.is_some() {
            self.held.retain(|_, older| (older.place, older.key) != (held.place, held.key));
        }
        if sequence > self.floor {
            self.held.insert(sequence, held);
        }
        self.tell(sequence);
    }

    fn retain_from(&mut self, first: u64) -> Option<u64> {
        let last = self.held.range(..first).next_back().map(|(sequence, _)| *sequence);
        self.floor = self.floor.max(first.saturating_sub(1));
        self.held.retain(|sequence, _| *sequence >= first);
        last
    }

    fn expire(&mut self) {
        let now = self.now;
        self.held.retain(|_, held| held.expires_at.is_none_or(|at| at > now));
    }

    fn read(&self, probe: &Probe, after: u64, through: u64) -> Vec<Found> {
        let open = |(sequence, held): (&u64, &Held)| {
            let (tenant, at) = PLACES[held.place];
            let alive = held.expires_at.is_none_or(|at| at > self.now);
            let address = probe.addresses.iter().position(|address| *address == at)?;
            (tenant == probe.tenant && alive && *sequence > after && *sequence <= through)
                .then_some(Found { sequence: *sequence, address })
        };
        self.held.iter().filter_map(open).collect()
    }
}

/// Does the same to both, and compares what they say about it.
fn apply(step: Step, mailbox: &mut Mailbox, naive: &mut Naive) -> Result<(), TestCaseError> {
    match step {
        Step::Append { gap, place, key, ttl } => {
            let (tenant, address) = PLACES[place];
            let delivery = key.map_or(Delivery::Durable, |key| Delivery::Latest { key: KEYS[key] });
            let (sequence, expires_at) = (naive.told + gap, ttl.map(|ttl| naive.now + ttl));
            let entry = Entry { tenant, address, sequence, delivery, expires_at };
            prop_assert_eq!(mailbox.append(entry), Ok(()));
            naive.append(sequence, Held { place, key, expires_at });
            let again = AppendError::NotAscending { sequence, last: sequence };
            prop_assert_eq!(mailbox.append(entry), Err(again));
        }
        Step::AdvanceTo { gap } => {
            let sequence = naive.told + gap;
            mailbox.advance_to(sequence);
            mailbox.advance_to(sequence - 1);
            naive.tell(sequence);
        }
        Step::RetainFrom(first) => {
            let first = naive.sequence(first);
            prop_assert_eq!(mailbox.retain_from(first), naive.retain_from(first));
        }
        Step::Remove { place, back } => {
            let (tenant, address) = PLACES[place];
            let sequence = naive.head().saturating_sub(back);
            let here = naive.held.get(&sequence).is_some_and(|held| held.place == place);
            prop_assert_eq!(mailbox.remove(tenant, address, sequence), here);
            if here {
                naive.held.remove(&sequence);
            }
        }
        Step::Purge { place } => {
            let (tenant, address) = PLACES[place];
            let before = naive.held.len();
            naive.held.retain(|_, held| held.place != place);
            prop_assert_eq!(mailbox.purge(tenant, address), before - naive.held.len());
        }
        Step::Expire { seconds } => {
            naive.now += seconds;
            naive.expire();
            mailbox.expire(naive.now);
        }
        Step::Wait { seconds } => naive.now += seconds,
    }
    Ok(())
}

fn compare(probe: &Probe, mailbox: &Mailbox, naive: &Naive) -> Result<(), TestCaseError> {
    prop_assert_eq!((mailbox.floor(), mailbox.head()), (naive.floor, naive.head()));
    let waiting = mailbox.len() - naive.held.len();
    prop_assert!(waiting <= PLACES.len(), "{} entries wait for removal", waiting);

    let (after, through) = (naive.sequence(probe.after), naive.sequence(probe.through));
    let query = Query { tenant: probe.tenant, addresses: &probe.addresses, after, now: naive.now };
    if after < naive.floor {
        let refused = NotCovered { after, floor: naive.floor };
        prop_assert_eq!(mailbox.merge(&query, through, probe.limit), Err(refused));
        prop_assert_eq!(mailbox.pending(&query), Err(refused));
        return Ok(());
    }
    prop_assert_eq!(mailbox.pending(&query), Ok(naive.read(probe, after, u64::MAX).len()));

    let end = through.min(naive.head()).max(after);
    let whole = Page { found: naive.read(probe, after, through), read_through: end };
    let at_once = mailbox.merge(&query, through, usize::MAX);
    prop_assert_eq!(at_once.as_ref(), Ok(&whole));

    let nothing = Page { found: Vec::new(), read_through: after };
    prop_assert_eq!(mailbox.merge(&query, through, 0), Ok(nothing));

    let (mut read, mut at) = (Vec::new(), after);
    while at < end {
        let page = mailbox.merge(&Query { after: at, ..query }, through, probe.limit + 1);
        let Page { found, read_through } =
            page.map_err(|refused| TestCaseError::fail(refused.to_string()))?;
        prop_assert!(read_through > at && found.len() <= probe.limit + 1);
        prop_assert!(found.iter().all(|found| found.sequence > at && found.sequence <= read_through));
        read.extend(found);
        at = read_through;
    }
    prop_assert_eq!(read, whole.found);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn answers_as_the_naive_model_does(
        floor in prop_oneof![Just(0_u64), 0..(1_u64 << 40)],
        steps in proptest::collection::vec((step(), probe()), 0..120),
    ) {
        let mut mailbox = Mailbox::new(floor);
        let mut naive = Naive { floor, told: floor, ..Naive::default() };
        for (step, probe) in steps {
            apply(step, &mut mailbox, &mut naive)?;
            compare(&probe, &mailbox, &naive)?;
        }
    }

    #[test]
    fn nothing_is_held_once_all_was_dropped(steps in proptest::collection::vec(step(), 0..200)) {
        let (mut mailbox, mut naive) = (Mailbox::new(0), Naive::default());
        for step in steps {
            apply(step, &mut mailbox, &mut naive)?;
        }
        // One at a time, so that only the steps of the sweep can have cleared away the rest.
        let head = mailbox.head();
        for beyond in 1..=PLACES.len() as u64 + 1 {
            mailbox.retain_from(head + beyond);
        }
        prop_assert_eq!((mailbox.len(), mailbox.addresses()), (0, 0));
        prop_assert!(mailbox.is_empty());
    }
}

/// Far more addresses and envelopes per address than the random steps reach.
#[test]
fn many_addresses_and_long_lists() {
    let mut mailbox = Mailbox::new(0);
    let mut expected: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
    let address_of =
        |sequence: u64| format!("user:{}", (sequence * sequence + sequence / 7) % 997 % (1 + sequence % 400));
    for sequence in 1..=40_000 {
        let address = address_of(sequence);
        let delivery = Delivery::Durable;
        let entry = Entry { tenant: "t", address: &address, sequence, delivery, expires_at: None };
        mailbox.append(entry).unwrap();
        expected.entry(address).or_default().insert(sequence);
        mailbox.retain_from(sequence.saturating_sub(10_000));
    }
    assert_eq!(mailbox.floor(), 29_999);
    for (address, sequences) in expected {
        let query = Query { tenant: "t", addresses: &[address], after: mailbox.floor(), now: 0 };
        let page = mailbox.merge(&query, u64::MAX, usize::MAX).unwrap();
        let found: Vec<u64> = page.found.iter().map(|found| found.sequence).collect();
        assert_eq!(found, sequences.range(30_000..).copied().collect::<Vec<_>>());
    }
}

#[test]
fn retention_may_overtake_the_follower() {
    let mut mailbox = Mailbox::new(0);
    let entry = |sequence| Entry {
        tenant: "t",
        address: "all",
        sequence,
        delivery: Delivery::Durable,
        expires_at: None,
    };
    mailbox.append(entry(1)).unwrap();
    mailbox.retain_from(100);
    assert_eq!((mailbox.floor(), mailbox.head()), (99, 99));
    mailbox.append(entry(50)).unwrap();
    assert_eq!(mailbox.len(), 0, "what retention has dropped is not held");
    mailbox.append(entry(100)).unwrap();
    let query = Query { tenant: "t", addresses: &["all"], after: 99, now: 0 };
    assert_eq!(mailbox.pending(&query), Ok(1));
    assert_eq!(mailbox.head(), 100);
}

/// Offsets are counted anew while entries that retention has dropped still wait to be cleared away.
#[test]
fn sequences_beyond_four_bytes() {
    let mut mailbox = Mailbox::new(0);
    let entry = |sequence, key| Entry {
        tenant: "t",
        address: "all",
        sequence,
        delivery: Delivery::Latest { key },
        expires_at: Some(60),
    };
    let start = 3 << 30;
    mailbox.advance_to(start);
    mailbox.retain_from(start + 1);
    for (sequence, key) in (start + 1..).zip(["a", "b", "c", "d", "e", "f", "g", "h"]) {
        mailbox.append(entry(sequence, key)).unwrap();
    }
    mailbox.retain_from(start + 4);
    let far = mailbox.floor() + REACH;
    assert!(start < u64::from(u32::MAX) && far > u64::from(u32::MAX));
    mailbox.append(entry(far, "g")).unwrap();
    let query = Query { tenant: "t", addresses: &["all"], after: start + 3, now: 59 };
    let page = mailbox.merge(&query, u64::MAX, 100).unwrap();
    let found: Vec<u64> = page.found.iter().map(|found| found.sequence).collect();
    assert_eq!(found, [start + 4, start + 5, start + 6, start + 8, far]);
    assert_eq!(mailbox.pending(&Query { now: 60, ..query }), Ok(0));
}

#[test]
fn a_sequence_from_the_future_is_not_taken_for_another() {
    let mut mailbox = Mailbox::new(0);
    let sequence = u64::from(u32::MAX);
    let (tenant, address, delivery) = ("t", "all", Delivery::Durable);
    mailbox.append(Entry { tenant, address, sequence, delivery, expires_at: None }).unwrap();
    assert!(!mailbox.remove(tenant, address, sequence + 1));
    assert!(mailbox.remove(tenant, address, sequence));
}

#[test]
fn memory_is_returned_when_envelopes_go() {
    let mut mailbox = Mailbox::new(0);
    for sequence in 1..=20_000_u64 {
        let (address, key) = (format!("user:{}", sequence % 10), sequence.to_string());
        let delivery = Delivery::Latest { key: &key };
        let entry = Entry {
            tenant: "t",
            address: &address,
            sequence,
            delivery,
            expires_at: Some(sequence + 1_000_000),
        };
        mailbox.append(entry).unwrap();
    }
    let full = mailbox.footprint();
    for first in 2..=20_001 {
        mailbox.retain_from(first);
    }
    assert!(mailbox.footprint() * 20 < full, "{} of {full} bytes are still in use", mailbox.footprint());
}
