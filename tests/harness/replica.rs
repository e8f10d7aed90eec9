//! Ways to JetStream on which servers of a cluster answer as they do for moments only, for as long as the test likes.
//!
//! Of a replica that is behind, direct gets are answered as they were the first time, and streams say that they have three
//! replicas. A leader that has just begun says that its stream is empty. Everything else goes on to JetStream.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_nats::{Client, Message};
use futures_util::StreamExt as _;
use serde_json::Value;

/// The API prefix on which [`replica_behind`] answers.
pub const BEHIND: &str = "BEHIND.API";

/// Begins to answer on [`BEHIND`], through this client's connection.
pub async fn replica_behind(client: Client) {
    let mut requests = client.subscribe(format!("{BEHIND}.>")).await.unwrap();
    client.flush().await.unwrap();
    tokio::spawn(async move {
        let mut first: HashMap<String, Message> = HashMap::new();
        while let Some(Message { subject, reply, headers, payload, .. }) = requests.next().await {
            let (rest, reply) = (subject.strip_prefix(BEHIND).unwrap(), reply.unwrap());
            let (subject, headers) = (format!("$JS.API{rest}"), headers.unwrap_or_default());
            if rest.starts_with(".STREAM.INFO.") {
                let answer = client.request_with_headers(subject, headers, payload).await.unwrap();
                let mut info: Value = serde_json::from_slice(&answer.payload).unwrap();
                if info["config"].is_object() {
                    info["config"]["num_replicas"] = 3.into();
                }
                client.publish(reply, info.to_string().into()).await.unwrap();
                continue;
            }
            let Some(read) = rest.strip_prefix(".DIRECT.GET.") else {
                client.publish_with_reply_and_headers(subject, reply, headers, payload).await.unwrap();
                continue;
            };
            let stream = read.split('.').next().unwrap();
            let asked = format!("{subject} {payload:?}");
            if !first.contains_key(&asked) {
                let answer = client.request_with_headers(subject, headers, payload).await.unwrap();
                first.insert(asked.clone(), answer);
            }
            let answer = first[&asked].clone();
            if answer.status.is_some() {
                // No client can send a status: the server says so of what is never there.
                let (subject, never) =
                    (format!("$JS.API.DIRECT.GET.{stream}"), r#"{"seq":9007199254740991}"#);
                client.publish_with_reply(subject, reply, never.into()).await.unwrap();
            } else {
                let headers = answer.headers.unwrap_or_default();
                client.publish_with_headers(reply, headers, answer.payload).await.unwrap();
            }
        }
    });
}

/// The API prefix on which [`fresh_leader`] answers.
pub const FRESH: &str = "FRESH.API";

/// Begins to answer on [`FRESH`] as the leaders of streams do, of which as many answers as the returned number says, counted
/// down, come before they have applied what they have stored.
pub async fn fresh_leader(client: Client) -> Arc<AtomicUsize> {
    let mut requests = client.subscribe(format!("{FRESH}.>")).await.unwrap();
    client.flush().await.unwrap();
    let fresh = Arc::new(AtomicUsize::new(0));
    let left = Arc::clone(&fresh);
    tokio::spawn(async move {
        while let Some(Message { subject, reply, headers, payload, .. }) = requests.next().await {
            let (rest, reply) = (subject.strip_prefix(FRESH).unwrap(), reply.unwrap());
            let (subject, headers) = (format!("$JS.API{rest}"), headers.unwrap_or_default());
            let is_asked_for_end = rest.starts_with(".STREAM.INFO.");
            let count = |left: usize| left.checked_sub(usize::from(is_asked_for_end));
            if !is_asked_for_end || left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, count).is_err() {
                client.publish_with_reply_and_headers(subject, reply, headers, payload).await.unwrap();
                continue;
            }
            let answer = client.request_with_headers(subject, headers, payload).await.unwrap();
            let mut info: Value = serde_json::from_slice(&answer.payload).unwrap();
            for member in ["messages", "bytes", "first_seq", "last_seq"] {
                info["state"][member] = 0.into();
            }
            client.publish(reply, info.to_string().into()).await.unwrap();
        }
    });
    fresh
}
