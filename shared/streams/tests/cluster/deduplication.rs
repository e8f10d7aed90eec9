//! The deduplication of `EVENTS` is disabled on every replica, before and after a change of the leader.

use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream;
use harness::{BOUND, eventually};

use crate::lab::Lab;

#[tokio::test]
async fn no_replica_deduplicates_events() {
    let lab = Lab::start(1).await;
    let client = lab.client_of(0).await;
    let context = jetstream::new(client.clone());
    let leader = async || {
        let info =
            context.get_stream("EVENTS").await.map_err(|error| error.to_string())?.cached_info().clone();
        info.cluster.and_then(|cluster| cluster.leader).ok_or("nobody leads".to_owned())
    };
    let mut led = Vec::new();
    while led.len() < 3 {
        for tenant in ["one", "two", "one"] {
            let mut headers = HeaderMap::new();
            headers.insert("Nats-Msg-Id", "order-17");
            let subject = format!("events.{tenant}.order.placed");
            let sent = context.publish_with_headers(subject, headers, "{}".into()).await.unwrap();
            assert!(!sent.await.unwrap().duplicate, "{tenant}");
        }
        let former = eventually("somebody leads", 2 * BOUND, leader).await;
        led.push(former.clone());
        eventually("another one leads", 2 * BOUND, async || match leader().await? {
            leader if leader != former => Ok(()),
            leader => {
                let subject = "$JS.API.STREAM.LEADER.STEPDOWN.EVENTS";
                let asked = tokio::time::timeout(Duration::from_secs(3), client.request(subject, "".into()));
                Err(format!("{leader} leads: {:?}", asked.await.is_ok()))
            }
        })
        .await;
    }
    let last = context.get_stream("EVENTS").await.unwrap().cached_info().state.last_sequence;
    assert_eq!(last, 9);
    for server in lab.cluster.servers() {
        let log = std::fs::read_to_string(server.log()).unwrap_or_default();
        let complaints: Vec<_> = log.lines().filter(|line| line.contains("NOTHING")).collect();
        assert!(complaints.is_empty(), "{complaints:?}");
    }
}
