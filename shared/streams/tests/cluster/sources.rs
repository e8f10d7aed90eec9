//! Two copiers of a source without any lease, on three servers that change leaders and die: each message is copied once.

use async_nats::jetstream::{self, stream::Config};
use harness::{BOUND, eventually};
use tidings_model::{EventName, ShardNumber, Tenant};
use tidings_streams::{CopyWriter, SourceReader, SourceStream, Topology};

use crate::lab::Lab;

const ORDERS: u64 = 150;

/// Copies until it is dropped, and begins again after each refusal.
async fn copy(topology: Topology) {
    let stream = SourceStream { stream: "ORDERS".to_owned(), subjects: Vec::new(), api_prefix: None };
    let (tenant, name) = (Tenant::parse("t").unwrap(), EventName::parse("order.placed").unwrap());
    let mut own = None;
    loop {
        let opened = CopyWriter::open(&topology, "orders", "ORDERS", own.as_ref()).await;
        let Ok(mut writer) = opened else { continue };
        let opened = SourceReader::open(&topology, &stream, writer.through()).await;
        let Ok(mut reader) = opened else { continue };
        loop {
            reader.ready().await;
            let Some(message) = reader.peek() else { continue };
            if writer.store(message, &tenant, Ok(&name)).await.is_err() {
                break;
            }
            own = writer.copied();
            reader.take();
        }
    }
}

#[tokio::test]
async fn two_copiers_copy_each_message_once_and_in_order() {
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
        copiers.spawn(copy(lab.topology_of(first, ShardNumber(0)).await));
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
    let copies = eventually("everything is copied", 2 * BOUND, async || {
        let events = context.get_stream("EVENTS").await.map_err(|error| error.to_string())?;
        let mut copies = Vec::new();
        for sequence in 1..=events.cached_info().state.last_sequence {
            let message = events.get_raw_message(sequence).await.map_err(|error| error.to_string())?;
            copies.push(String::from_utf8(message.payload.to_vec()).unwrap());
        }
        if copies.last() == Some(&ORDERS.to_string()) { Ok(copies) } else { Err(format!("{copies:?}")) }
    })
    .await;
    assert_eq!(copies, (1..=ORDERS).map(|n| n.to_string()).collect::<Vec<_>>());
}
