//! Two writers that both believe to lead write the same envelopes, while servers freeze, change leaders, catch up and
//! die. Afterwards the stream accepts new messages, all replicas have the same content, and everything confirmed is
//! stored once and in order.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use tidings_model::{EnvelopeSubject, ShardNumber};
use tidings_streams::{EnvelopeWriter, Outgoing, StoredEnvelope, Topology, WriteError, WriteMarkers, fetch};
use time::OffsetDateTime;
use tokio::task::JoinHandle;

use crate::faults::{Dice, Fault};
use crate::lab::{Lab, Stored, complaints, envelope};

/// The number of faults in `just test`, from a fixed seed, and for each seed of a longer run.
const FAULTS: u64 = 12;
/// Shards with two writers each in a longer run, so that each fault hits many interleavings.
const SHARDS: u16 = 12;

/// Counts the interleavings.
#[derive(Default)]
struct Tally {
    terms: AtomicU64,
    refused: AtomicU64,
    highest: AtomicU64,
}

/// Writes one envelope after the other, after the content of the stream, until `stop` is set.
async fn write(topology: Topology, mut dice: Dice, stop: Arc<AtomicBool>, tally: Arc<Tally>) {
    while !stop.load(Ordering::Relaxed) {
        let confirmed = tally.highest.load(Ordering::Relaxed);
        let Ok((mut writer, resume)) = EnvelopeWriter::open(&topology).await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let term = tally.terms.fetch_add(1, Ordering::Relaxed);
        // With the smaller window, one answer often confirms several.
        let window = if dice.below(2) == 0 { 64 } else { EnvelopeWriter::MAX_PENDING };
        writer = writer.led_in(Some(term)).with_window(window);
        let first = resume.after.map_or(0, |after| after.event.sequence) + 1;
        // Everything confirmed before is stored.
        assert!(first > confirmed, "{first} is to be written again, {confirmed} was confirmed");
        if let Err(WriteError::LostPlace) = one_term(&mut writer, first, &mut dice, &stop, &tally).await {
            tally.refused.fetch_add(1, Ordering::Relaxed);
        }
        tokio::time::sleep(dice.millis(0, 100)).await;
    }
}

async fn one_term(
    writer: &mut EnvelopeWriter,
    first: u64,
    dice: &mut Dice,
    stop: &AtomicBool,
    tally: &Tally,
) -> Result<(), WriteError> {
    // Each message says with which one its term began.
    let trail = WriteMarkers { through: None, held_from: Some(first) };
    let (mut next, mut confirmed) = (first, first - 1);
    // Some terms end abruptly, like a killed process, with publications in flight.
    let rounds = if dice.below(4) == 0 { u64::MAX } else { dice.below(12) };
    for _ in 0..rounds {
        if stop.load(Ordering::Relaxed) {
            return Ok(());
        }
        for _ in 0..dice.below(200) {
            if writer.has_room() {
                let envelope = envelope(next);
                let outgoing = Outgoing { trail, ..Outgoing::from(&envelope) };
                writer.send(outgoing, OffsetDateTime::now_utc()).await?;
                next += 1;
            }
        }
        if dice.below(3) == 0 {
            writer.ask().await?;
        }
        // Now and then the writer pauses with publications in flight.
        let pause = if dice.below(10) == 0 { dice.millis(200, 1_500) } else { dice.millis(5, 40) };
        tokio::time::sleep(pause).await;
        let open = dice.below(200);
        while next - 1 - confirmed > open {
            confirmed += u64::try_from(writer.stored().await?.count()).unwrap();
            tally.highest.fetch_max(confirmed, Ordering::Relaxed);
        }
    }
    Ok(())
}

/// Checks that each number is stored once and in order.
fn is_whole(messages: &[Stored], highest: u64) {
    let envelopes = messages.iter().filter(|(_, subject, ..)| EnvelopeSubject::parse(subject).is_some());
    let numbers: Vec<u64> = envelopes
        .map(|(.., body)| serde_json::from_slice::<serde_json::Value>(body).unwrap()["n"].as_u64().unwrap())
        .collect();
    let wrong = numbers.iter().zip(1..).find(|(found, expected)| **found != *expected);
    assert_eq!(wrong, None, "of {} envelopes", numbers.len());
    assert!(numbers.len() as u64 >= highest, "{highest} was confirmed, {} are there", numbers.len());
}

/// Checks that each envelope follows the one that its writer sent before it, whatever others wrote.
fn follows(messages: &[Stored]) {
    let term = |(_, subject, headers, _): &Stored| {
        let of = |name: &str| {
            let header = headers.iter().find(|header| header.starts_with(name))?;
            let digits: String = header.chars().filter(char::is_ascii_digit).collect();
            Some(digits.parse::<u64>().unwrap())
        };
        EnvelopeSubject::parse(subject)?;
        Some((of("Tidings-Term:")?, of("Tidings-Held-From:")?))
    };
    let number = |(.., body): &Stored| -> u64 {
        serde_json::from_slice::<serde_json::Value>(body).unwrap()["n"].as_u64().unwrap()
    };
    let mut before = None;
    for message in messages {
        if let Some((term, first)) = term(message) {
            let (sequence, number) = (message.0, number(message));
            if number != first {
                assert_eq!(before, Some((sequence - 1, term, number - 1)), "{number} of term {term}");
            }
            before = Some((sequence, term, number));
        } else {
            before = None;
        }
    }
}

/// Two writers of one shard's envelopes.
struct Rivals {
    observer: Topology,
    tally: Arc<Tally>,
    writers: Vec<JoinHandle<()>>,
}

impl Rivals {
    async fn start(lab: &Lab, shard: ShardNumber, seed: u64, stop: &Arc<AtomicBool>) -> Self {
        let (tally, mut writers) = (Arc::new(Tally::default()), Vec::new());
        for first in 0..2 {
            let topology = lab.topology_of(first, shard).await;
            let number = u64::from(first == 1);
            let own = Dice::new(seed.wrapping_add(1_000 * (1 + u64::from(shard.0)) + number));
            let written = write(topology, own, Arc::clone(stop), Arc::clone(&tally));
            writers.push(tokio::spawn(written));
        }
        Self { observer: lab.topology_of(2, shard).await, tally, writers }
    }

    fn written(&self) -> u64 {
        self.tally.highest.load(Ordering::Relaxed)
    }

    /// Waits until both have ended, and compares the replicas. Returns how many terms began after another writer's, and
    /// how many ended by a refusal.
    async fn end(self, lab: &Lab) -> (u64, u64) {
        for writer in self.writers {
            writer.await.unwrap();
        }
        let shard = self.observer.shard();
        let last = goes_on(lab, shard).await;
        let replicas = lab.replicas(shard).await;
        for (node, replica) in replicas.iter().enumerate() {
            is_whole(replica, last);
            follows(replica);
            let parts = replica.iter().zip(&replicas[0]).find(|(one, first)| one != first);
            assert_eq!(parts, None, "n{node} holds something else than n0");
            assert_eq!(replica.len(), replicas[0].len());
        }
        (self.tally.terms.load(Ordering::Relaxed), self.tally.refused.load(Ordering::Relaxed))
    }
}

/// Lets two writers write in each of so many shards, all on the same servers.
async fn run(seed: u64, shards: u16, faults: u64) -> (u64, u64) {
    let mut lab = Lab::start(shards).await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut dice = Dice::new(seed);
    let mut rivals = Vec::new();
    for shard in lab.shards() {
        rivals.push(Rivals::start(&lab, shard, seed, &stop).await);
    }
    for n in 0..faults {
        let fault = Fault::of(&mut dice);
        let hit = &rivals[usize::try_from(dice.below(u64::from(shards))).unwrap()].observer;
        let written: u64 = rivals.iter().map(Rivals::written).sum();
        eprintln!("seed {seed}: {n}. {fault:?} of shard {}, {written} written", hit.shard());
        fault.happen(&mut lab, hit, &mut dice).await;
        for one in &rivals {
            assert!(one.writers.iter().all(|writer| !writer.is_finished()), "a writer has failed");
        }
        tokio::time::sleep(dice.millis(0, 1_000)).await;
    }
    stop.store(true, Ordering::Relaxed);
    let ended = join_all(rivals.into_iter().map(|one| one.end(&lab))).await;
    let (terms, refused) = ended.into_iter().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    assert_eq!(complaints(lab.cluster.servers()), Vec::<String>::new());
    eprintln!("seed {seed}: {faults} faults, {terms} terms, {refused} ended by a refusal");
    assert!(refused > 0, "nobody stood in anybody's way");
    (terms, refused)
}

/// Checks that the shard's stream accepts an envelope after all confirmed ones.
async fn goes_on(lab: &Lab, shard: ShardNumber) -> u64 {
    lab.settle().await;
    let topology = lab.topology_of(0, shard).await;
    let mut last = 0;
    harness::eventually("the stream goes on", 2 * harness::BOUND, async || {
        let (mut writer, resume) =
            EnvelopeWriter::open(&topology).await.map_err(|error| format!("{error:?}"))?;
        let next = resume.after.map_or(0, |after| after.event.sequence) + 1;
        let sent = writer.send(&envelope(next), OffsetDateTime::now_utc()).await;
        let stored = sent.map_err(|error| format!("{error:?}"))?;
        writer.confirm().await.map_err(|error| format!("{error:?}"))?;
        let found: Option<StoredEnvelope> =
            fetch(&topology, stored).await.map_err(|error| error.to_string())?;
        last = next;
        found.map(drop).ok_or_else(|| "not to be found".to_owned())
    })
    .await;
    last
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_writers_on_three_servers_lose_nothing_and_split_nothing() {
    run(1, 1, FAULTS).await;
}

/// `just interleavings 2000 7`: runs from this seed on until so many terms have begun after another writer's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "for as long as one likes"]
async fn two_writers_on_three_servers_from_more_seeds() {
    let number = |name: &str, default| std::env::var(name).ok().map_or(default, |text| text.parse().unwrap());
    let (wanted, first) = (number("TIDINGS_INTERLEAVINGS", 1_000), number("TIDINGS_SEED", 2));
    let (mut terms, mut refused, mut seed) = (0, 0, first);
    while terms < wanted {
        let more = run(seed, SHARDS, FAULTS).await;
        (terms, refused, seed) = (terms + more.0, refused + more.1, seed + 1);
        eprintln!("seeds {first} to {}: {terms} terms, {refused} ended by a refusal", seed - 1);
    }
}
