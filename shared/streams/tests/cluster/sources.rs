//! Two copiers of a source without any lease, on three servers that change leaders and die: each message is copied once, or,
//! in batches, at first in order.

use std::collections::BTreeSet;

use async_nats::jetstream::{self, Context, stream::Config};
use harness::{BOUND, eventually};
use tidings_model::{EventName, ShardNumber, Tenant};
use tidings_streams::{CopyWriter, NewCopy, SourceReader, SourceStream, Topology};

use crate::lab::Lab;

const ORDERS: u64 = 150;

/// Copies at most so many messages at once, until it is dropped; begins again after each refusal.
async fn copy(topology: Topology, source: &str, most: usize) {
    let stream = SourceStream { stream: "ORDERS".to_owned(), subjects: Vec::new(), api_prefix: None };
    let (tenant, name) = (Tenant::parse("t").unwrap(), EventName::parse("order.placed").unwrap());
    let mut own = None;
    loop {
        let opened = CopyWriter::open(&topology, source, "ORDERS", own.as_ref()).await;
        let Ok(mut writer) = opened else { continue };
        let opened = SourceReader::open(&topology, &stream, writer.through()).await;
        let Ok(mut reader) = opened else { continue };
        loop {
            reader.ready().await;
            let copies = reader.next().take(most.min(writer.most_at_once()));
            let copies: Vec<_> = copies.map(|message| NewCopy { message, name: Ok(&name) }).collect();
            let count = copies.len();
            if writer.store_all(&tenant, &copies).await.is_err() {
                break;
            }
            own = writer.copied();
            reader.take(count);
        }
    }
}

/// The orders that were copied, in the order of `EVENTS`.
async fn copies(context: &Context, source: &str) -> Result<Vec<u64>, String> {
    let events = context.get_stream("EVENTS").await.map_err(|error| error.to_string())?;
    let mut copies = Vec::new();
    for sequence in 1..=events.cached_info().state.last_sequence {
        let message = events.get_raw_message(sequence).await.map_err(|error| error.to_string())?;
        if message.subject.ends_with(source) {
            copies.push(String::from_utf8(message.payload.to_vec()).unwrap().parse().unwrap());
        }
    }
    if copies.contains(&ORDERS) { Ok(copies) } else { Err(format!("{copies:?}")) }
}

#[tokio::test]
async fn two_copiers_lose_repeat_and_reorder_nothing() {
    let mut lab = Lab::start(1).await;
    let client = lab.client_of(0).await;
    let context = jetstream::new(client.clone());
    let config = Config {
        name: "ORDERS".to_owned(),
        subjects: vec!["orders".to_owned()],
        num_replicas: 3,
        ..Config::default()
    };
    context.create_stream(config).await.unwrap();
    let mut copiers = tokio::task::JoinSet::new();
    for first in [1, 2] {
        copiers.spawn(copy(lab.topology_of(first, ShardNumber(0)).await, "single", 1));
        copiers.spawn(copy(lab.topology_of(first, ShardNumber(0)).await, "batches", 5));
    }
    for n in 1..=ORDERS {
        eventually("the order is stored", 2 * BOUND, async || {
            let mut headers = async_nats::HeaderMap::new();
            headers.insert("Nats-Msg-Id", n.to_string().as_str());
            let sent = context.publish_with_headers("orders", headers, n.to_string().into()).await;
            sent.map_err(|error| error.to_string())?.await.map_err(|error| error.to_string())
        })
        .await;
        if n % 30 == 0 {
            // If it is refused or unanswered, another fault will do.
            _ = client.request("$JS.API.STREAM.LEADER.STEPDOWN.EVENTS", "".into()).await;
        }
        if n == 100 {
            lab.cluster.servers_mut()[2].kill().await.unwrap();
            lab.cluster.servers_mut()[2].restart().await.unwrap();
        }
    }
    let all: Vec<_> = (1..=ORDERS).collect();
    let single = eventually("everything is copied", 2 * BOUND, async || copies(&context, "single").await);
    assert_eq!(single.await, all);
    // A batch of one copier may go on behind copies of the other, which come again then. What is first in order counts.
    let batches = eventually("everything is copied", 2 * BOUND, async || copies(&context, "batches").await);
    let mut known = BTreeSet::new();
    let first: Vec<_> = batches.await.into_iter().filter(|order| known.insert(*order)).collect();
    assert_eq!(first, all);
}
