use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proptest::prelude::*;

use super::super::example;
use super::*;

const WORKERS: usize = 3;
const ADDRESSES: [&str; 5] = ["user:a", "user:b", "user:c", "role:r", "all"];

fn tenant() -> Tenant {
    Tenant::parse("ops").unwrap()
}

fn address(index: usize) -> Address {
    Address::parse(ADDRESSES[index]).unwrap()
}

/// What happens in a gateway.
#[derive(Debug, Clone)]
enum Event {
    /// The stream has these addresses' next envelopes.
    Stored(Vec<usize>),
    /// The stream has a notice for every worker.
    Announced,
    /// The worker receives the update that has waited longest.
    Received(usize),
    /// A client connects to the worker, which has received a part of what is stored.
    Connected { worker: usize, address: usize, part: prop::sample::Index },
    /// The worker's connection that was opened first ends.
    Ended(usize),
    /// The worker gives up addresses without a connection.
    Tick(usize),
    /// The worker reads for its connections from the replica.
    Replayed(usize),
}

fn event() -> impl Strategy<Value = Event> {
    let worker = 0..WORKERS;
    let address = 0..ADDRESSES.len();
    prop_oneof![
        6 => prop::collection::vec(address.clone(), 1..5).prop_map(Event::Stored),
        1 => Just(Event::Announced),
        6 => worker.clone().prop_map(Event::Received),
        4 => (worker.clone(), address, any::<prop::sample::Index>())
            .prop_map(|(worker, address, part)| Event::Connected { worker, address, part }),
        1 => worker.clone().prop_map(Event::Ended),
        2 => worker.clone().prop_map(Event::Tick),
        4 => worker.prop_map(Event::Replayed),
    ]
}

/// A connection as the worker keeps it, without its socket.
struct Client {
    address: usize,
    began_after: u64,
    /// What has been given, or looked at; live connections have no such place.
    behind: Option<u64>,
    live_from: u64,
    received: Vec<u64>,
}

impl Client {
    fn give(&mut self, sequence: u64) {
        if self.received.last().is_none_or(|last| *last < sequence) && sequence > self.began_after {
            self.received.push(sequence);
        }
    }
}

struct Worker {
    cursor: Cursor,
    /// The connections at each address.
    routes: BTreeMap<Address, BTreeSet<u64>>,
    clients: BTreeMap<u64, Client>,
    vacated: Vec<Address>,
    /// `None` is a notice.
    queue: VecDeque<Option<Envelopes>>,
}

struct Gateway {
    /// The addresses of what is stored; the first has sequence 1.
    log: Vec<usize>,
    interest: Arc<Interest>,
    workers: Vec<Worker>,
    next_id: u64,
}

impl Gateway {
    fn new() -> Self {
        let interest = Arc::new(Interest::new(WORKERS, 0));
        let worker = |index| Worker {
            cursor: Cursor::new(Arc::clone(&interest), index, 0),
            routes: BTreeMap::new(),
            clients: BTreeMap::new(),
            vacated: Vec::new(),
            queue: VecDeque::new(),
        };
        Self { log: Vec::new(), workers: (0..WORKERS).map(worker).collect(), interest, next_id: 1 }
    }

    fn handle(&mut self, event: &Event) {
        match event {
            Event::Stored(addresses) => self.store(addresses),
            Event::Announced => {
                self.log.push(usize::MAX);
                let last = self.log.len() as u64;
                for worker in self.interest.announce(|routed| routed.max(last)) {
                    self.workers[worker].queue.push_back(None);
                }
            }
            Event::Received(worker) => self.workers[*worker].receive(),
            Event::Connected { worker, address: at, part } => {
                let began_after = part.index(self.log.len() + 1) as u64;
                self.workers[*worker].connect(self.next_id, *at, began_after);
                self.next_id += 1;
            }
            Event::Ended(worker) => self.workers[*worker].end_first(),
            Event::Tick(worker) => self.workers[*worker].release_addresses(),
            Event::Replayed(worker) => self.workers[*worker].replay(&self.log),
        }
    }

    fn store(&mut self, addresses: &[usize]) {
        let next = self.log.len() as u64 + 1;
        self.log.extend(addresses);
        let framed = (next..)
            .zip(addresses)
            .map(|(sequence, at)| example::envelope((sequence, 0), &address(*at), "{}"));
        let envelopes: Envelopes = framed.collect();
        for (worker, envelopes) in self.interest.route(&envelopes) {
            let worker = &mut self.workers[worker];
            let is_held = |framed: &Arc<FramedEnvelope>| {
                let at = &framed.envelope().subject.address;
                worker.routes.contains_key(at) || worker.vacated.contains(at)
            };
            assert!(envelopes.iter().all(is_held), "a worker is woken for an address that it does not have");
            worker.queue.push_back(Some(envelopes));
        }
    }
}

impl Worker {
    fn receive(&mut self) {
        let Some(update) = self.queue.pop_front() else { return };
        for framed in update.iter().flat_map(|envelopes| envelopes.iter()) {
            for id in self.routes.get(&framed.envelope().subject.address).into_iter().flatten() {
                let Some(client) = self.clients.get_mut(id) else { continue };
                if client.behind.is_none() {
                    client.give(framed.sequence());
                }
            }
            self.cursor.advance_to(framed.sequence());
        }
        self.cursor.receive(1);
    }

    fn connect(&mut self, id: u64, at: usize, began_after: u64) {
        let members = self.routes.entry(address(at)).or_default();
        if members.is_empty() {
            self.cursor.add(&tenant(), &address(at));
        }
        members.insert(id);
        let (behind, live_from) = (Some(began_after), self.cursor.live_from());
        let client = Client { address: at, began_after, behind, live_from, received: Vec::new() };
        self.clients.insert(id, client);
    }

    fn end_first(&mut self) {
        let Some((id, client)) = self.clients.pop_first() else { return };
        let at = address(client.address);
        let Some(members) = self.routes.get_mut(&at) else { return };
        members.remove(&id);
        if members.is_empty() {
            self.routes.remove(&at);
            self.vacated.push(at);
        }
    }

    fn release_addresses(&mut self) {
        for at in std::mem::take(&mut self.vacated) {
            if !self.routes.contains_key(&at) {
                self.cursor.remove(&tenant(), &at);
            }
        }
    }

    /// Reads up to the cursor, as a replay does, and makes live what has everything.
    fn replay(&mut self, log: &[usize]) {
        let cursor = self.cursor.get();
        for client in self.clients.values_mut() {
            let Some(after) = client.behind else { continue };
            for sequence in after + 1..=cursor {
                if log[usize::try_from(sequence).unwrap() - 1] == client.address {
                    client.give(sequence);
                }
            }
            client.behind = Some(after.max(cursor));
            if cursor >= client.live_from {
                client.behind = None;
            }
        }
    }
}

/// A worker that is about to end takes no update, and its last connections end a moment later.
#[tokio::test]
async fn what_a_worker_did_not_take_is_not_behind_it() {
    let interest = Arc::new(Interest::new(1, 0));
    let cursor = Cursor::new(Arc::clone(&interest), 0, 0);
    cursor.add(&tenant(), &address(0));
    let stored =
        |sequence, at| ShardUpdate::Envelopes([example::envelope((sequence, 0), &address(at), "{}")].into());
    interest.send(&stored(1, 1), async |_, _| ()).await;
    assert_eq!(cursor.get(), 1, "that was for nobody here");
    interest.send(&stored(2, 0), async |_, _| "the queue is closed").await;
    interest.send(&stored(3, 1), async |_, _| ()).await;
    assert_eq!(cursor.get(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// However connections come and go while envelopes are routed, each has everything that was stored at its address since
    /// it began, once and in order; and a worker that was not woken is as far as the others.
    #[test]
    fn workers_that_are_not_woken_skip_and_repeat_nothing(events in prop::collection::vec(event(), 0..120)) {
        let mut gateway = Gateway::new();
        for event in &events {
            gateway.handle(event);
        }
        let Gateway { log, workers, .. } = &mut gateway;
        for worker in workers {
            while !worker.queue.is_empty() {
                worker.receive();
            }
            prop_assert_eq!(worker.cursor.get(), log.len() as u64);
            worker.replay(log);
            for client in worker.clients.values() {
                prop_assert!(client.behind.is_none(), "it is live");
                let stored = (1..).zip(log.iter()).filter(|(_, at)| **at == client.address);
                let expected: Vec<u64> = stored.map(|(sequence, _)| sequence).collect();
                let expected: Vec<_> = expected.into_iter().filter(|it| *it > client.began_after).collect();
                prop_assert_eq!(&client.received, &expected);
            }
        }
    }
}

proptest! {
    #[test]
    fn a_set_of_workers_is_like_any_set(first in 0..200usize, changes in prop::collection::vec((any::<bool>(), 0..200usize), 0..40)) {
        let (mut workers, mut expected) = (WorkerSet::of(first), BTreeSet::from([first]));
        for (is_new, worker) in changes {
            if is_new {
                workers.insert(worker);
                expected.insert(worker);
            } else {
                workers.remove(worker);
                expected.remove(&worker);
            }
            prop_assert_eq!(workers.iter().collect::<Vec<_>>(), expected.iter().copied().collect::<Vec<_>>());
            prop_assert_eq!(workers.is_empty(), expected.is_empty());
        }
    }
}
