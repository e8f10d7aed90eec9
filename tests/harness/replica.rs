//! A way to JetStream on which a replica answers that is behind its leader, for as long as the test likes.
//!
//! On a real cluster a replica is behind for moments only. Here direct gets, which any replica may answer, are answered as
//! they were the first time; everything else goes on to JetStream.

use std::collections::HashMap;

use async_nats::{Client, Message};
use futures_util::StreamExt as _;

/// The API prefix on which it answers.
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
