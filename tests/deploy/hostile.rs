//! A stolen credential writes what its process may write, and nothing else, whatever it asks nats-server to answer where.
//!
//! JetStream answers on the reply subject of a publication, and delivers a consumer's messages to the subject that its maker
//! named, with rights of its own. Each real credential tries both, from every subject that it may publish to, towards
//! every subject that somebody would miss.

use std::collections::BTreeMap;

use async_nats::jetstream::Context;
use async_nats::jetstream::consumer::PullConsumer;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::{StreamExt as _, TryStreamExt as _};
use harness::BOUND;
use serde_json::{Value, json};

use crate::deployment::{Deployment, Made};

const STREAMS: [&str; 14] = [
    "EVENTS",
    "REJECTED",
    "ENVELOPES",
    "ENVELOPES_1",
    "KV_PLACEMENTS",
    "KV_PROJECTORS",
    "KV_CATALOGS",
    "KV_CONSUMERS",
    "KV_USERS",
    "KV_KEYS",
    "KV_PREFERENCES",
    "KV_CONTACTS",
    "KV_RECEIPTS",
    "DELIVERIES",
];

/// Where somebody would like an answer to be stored, or obeyed.
fn targets() -> Vec<String> {
    let stored = [
        "events.shelter.shelter.updated",
        "events.ops.incident.created.client",
        "rejected.shelter.1.1",
        "envelopes.shelter.durable.all.-.note.-",
        "envelopes_1.shelter.durable.all.-.note.-",
        "places.shelter",
        "places_1.shelter",
        "purges.shelter.user.bert",
        "purges_1.shelter.user.bert",
        "$KV.PLACEMENTS.shelter",
        "$KV.PROJECTORS.shard",
        "$KV.CATALOGS.shelter",
        "TIDINGS.API.$KV.CATALOGS.shelter",
        "$KV.CONSUMERS.shelter.mallory.default",
        "$KV.USERS.shelter.mallory",
        "$KV.KEYS.shelter.0123456789abcdef",
        "$KV.PREFERENCES.shelter.mallory",
        "$KV.CONTACTS.shelter.mallory",
        "$KV.RECEIPTS.shelter.0123456789abcdef0123456789abcdef",
        "deliveries.facts.shelter.mallory.1-1-0-0",
        "deliveries.through.0",
        "$JS.ACK.EVENTS.projector.1.1.1.1.0",
        "tidings.gateway.close.x.shelter",
    ];
    let asked = STREAMS.iter().flat_map(|stream| {
        ["$JS.API", "TIDINGS.API"].into_iter().flat_map(move |prefix| {
            ["DELETE", "PURGE", "UPDATE"].map(|verb| format!("{prefix}.STREAM.{verb}.{stream}"))
        })
    });
    stored.map(str::to_owned).into_iter().chain(asked).collect()
}

/// The accounts' imports by the account's name: the subjects that they may publish to, and where these lead.
pub(crate) fn imports(made: &Made) -> BTreeMap<String, Vec<(String, String)>> {
    let config = std::fs::read_to_string(made.path("nats-accounts.conf")).unwrap();
    let tokens = config.split_whitespace().filter(|word| word.starts_with("eyJ"));
    let claims = tokens.filter_map(|token| {
        let claims = URL_SAFE_NO_PAD.decode(token.trim_end_matches(',').split('.').nth(1)?).ok()?;
        serde_json::from_slice::<Value>(&claims).ok()
    });
    let of_account = claims.filter(|claims| claims["nats"]["type"] == "account").map(|claims| {
        let imports = claims["nats"]["imports"].as_array().cloned().unwrap_or_default();
        let pair = |import: &Value| {
            let subject = import["subject"].as_str().unwrap();
            let local = import["local_subject"].as_str().filter(|local| !local.is_empty());
            (local.unwrap_or(subject).to_owned(), subject.to_owned())
        };
        (claims["name"].as_str().unwrap().to_owned(), imports.iter().map(pair).collect())
    });
    of_account.collect()
}

/// A subject that the pattern has in it.
fn literal(pattern: &str) -> String {
    pattern.replace('*', "x").replace('>', "x.y")
}

/// Whether a pattern has this subject in it.
fn holds(pattern: &str, subject: &str) -> bool {
    let mut tokens = subject.split('.');
    for part in pattern.split('.') {
        match (part, tokens.next()) {
            (">", Some(_)) => return true,
            ("*", Some(_)) => {}
            (part, token) if token == Some(part) => {}
            _ => return false,
        }
    }
    tokens.next().is_none()
}

/// What is in a stream: for each subject how many messages and the sequence of the last one, which also tells a message
/// that has taken another's place, and the durable consumers' places.
type Content = (BTreeMap<String, (usize, u64)>, Vec<String>);

async fn contents(streams: &Context) -> BTreeMap<&'static str, Content> {
    let mut contents = BTreeMap::new();
    for name in STREAMS {
        let stream = streams.get_stream(name).await.unwrap();
        let counts = stream.info_with_subjects(">").await.unwrap();
        let mut subjects = BTreeMap::new();
        for (subject, count) in counts.try_collect::<Vec<_>>().await.unwrap() {
            // Removed since it was counted: another one than before in any case.
            let last = stream.get_last_raw_message_by_subject(&subject).await;
            subjects.insert(subject, (count, last.map_or(0, |last| last.sequence)));
        }
        let mut consumers = Vec::new();
        for durable in ["projector", "projector_1"] {
            if let Ok(consumer) =
                stream.get_consumer::<async_nats::jetstream::consumer::pull::Config>(durable).await
            {
                let consumer: PullConsumer = consumer;
                let info = consumer.cached_info();
                consumers.push(format!(
                    "{durable} {} {}",
                    info.ack_floor.stream_sequence, info.delivered.stream_sequence
                ));
            }
        }
        contents.insert(name, (subjects, consumers));
    }
    contents
}

/// Streams and buckets with something in them, and none of the processes that made it, so that all stands still.
async fn filled(deployment: &Deployment<'_>) {
    let projectors = [deployment.projector(0).await, deployment.projector(1).await];
    let (gateway, _) = deployment.gateway().await;
    let dispatcher = deployment.dispatcher(0).await;
    let update = json!({ "shelterId": "s1", "name": "n", "status": "open", "capacity": 2, "occupancy": 1 });
    deployment.publish("shelter", "shelter.updated", &update).await;
    let last = deployment.publish("shelter", "shelter.updated", &json!({ "no": "update" })).await;
    let streams = deployment.streams().await;
    harness::eventually("all is projected", BOUND, async || {
        let rejected = streams.get_stream("REJECTED").await.unwrap().cached_info().state.messages;
        let events = streams.get_stream("EVENTS").await.unwrap();
        let consumer = events.consumer_info("projector").await.unwrap();
        if rejected == 1 && consumer.ack_floor.stream_sequence >= last { Ok(()) } else { Err(rejected) }
    })
    .await;
    deployment.run(&["users", "disable", "--tenant", "shelter", "--user", "mallory"]).await;
    for process in projectors.into_iter().chain([gateway, dispatcher]) {
        process.signal(rustix::process::Signal::KILL);
        _ = process.end(BOUND).await;
    }
    // What a killed projector has asked for would still be handed out to it, and move its consumer.
    harness::eventually("what was asked for has lapsed", 4 * BOUND, async || {
        let events = streams.get_stream("EVENTS").await.unwrap();
        for durable in ["projector", "projector_1"] {
            let waiting = events.consumer_info(durable).await.unwrap().num_waiting;
            if waiting > 0 {
                return Err(format!("{durable} has {waiting} requests"));
            }
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn each_credential_reaches_what_is_its_own_and_nothing_else() {
    let made = Made::with(2);
    let imports = imports(&made);
    let deployment = made.start().await;
    filled(&deployment).await;
    let streams = deployment.streams().await;
    for (user, account, writes) in [
        ("ops-producer", "PRODUCERS_ops", &["EVENTS events.ops.*.*"][..]),
        (
            "gateway",
            "GATEWAY",
            &[
                "EVENTS events.>",
                "KV_CONSUMERS $KV.CONSUMERS.>",
                "KV_USERS $KV.USERS.>",
                "KV_KEYS $KV.KEYS.>",
                "KV_PREFERENCES $KV.PREFERENCES.>",
                "KV_CONTACTS $KV.CONTACTS.>",
                "KV_RECEIPTS $KV.RECEIPTS.>",
                "DELIVERIES deliveries.due.>",
                "DELIVERIES deliveries.gateways.*",
                "ENVELOPES purges.>",
                "ENVELOPES_1 purges_1.>",
            ],
        ),
        (
            "projector",
            "PROJECTOR",
            &[
                "EVENTS events.*.*.*.source.>",
                "REJECTED rejected.>",
                "KV_PLACEMENTS $KV.PLACEMENTS.>",
                "KV_PROJECTORS $KV.PROJECTORS.>",
                "KV_CATALOGS $KV.CATALOGS.>",
                "ENVELOPES envelopes.>",
                "ENVELOPES places.>",
                "ENVELOPES_1 envelopes_1.>",
                "ENVELOPES_1 places_1.>",
            ],
        ),
        (
            "dispatcher",
            "DISPATCHER",
            &[
                "DELIVERIES deliveries.>",
                "KV_CONTACTS $KV.CONTACTS.>",
                "KV_PROJECTORS $KV.PROJECTORS.dispatcher",
                "KV_PROJECTORS $KV.PROJECTORS.dispatcher_1",
            ],
        ),
    ] {
        let mut others = Vec::new();
        for other in ["shelter-producer", "gateway", "projector"].into_iter().filter(|other| *other != user) {
            let client = deployment.client(other).await;
            let heard = client.subscribe(">").await.unwrap();
            client.flush().await.unwrap();
            others.push((other, client, heard));
        }
        let before = contents(&streams).await;
        attack(&deployment, user, &imports[account]).await;
        let after = contents(&streams).await;

        let may_write = |stream: &str, subject: &str| {
            writes.iter().any(|write| {
                let (own, pattern) = write.split_once(' ').unwrap();
                own == stream && holds(pattern, subject)
            })
        };
        for (stream, (subjects, consumers)) in &after {
            let (before_subjects, before_consumers) = &before[stream];
            let all: std::collections::BTreeSet<_> = subjects.keys().chain(before_subjects.keys()).collect();
            for subject in all.into_iter().filter(|subject| !may_write(stream, subject)) {
                let (before, after) = (before_subjects.get(subject), subjects.get(subject));
                assert_eq!(before, after, "{user} changed {subject} in {stream}");
            }
            assert_eq!(before_consumers, consumers, "{user} moved a consumer of {stream}");
        }
        for (other, client, mut heard) in others {
            client.publish("end", "".into()).await.unwrap();
            client.flush().await.unwrap();
            // A dispatcher asks gateways to save where a device stands, and nothing else.
            let may_ask = |subject: &str| {
                (user, other) == ("dispatcher", "gateway") && holds("tidings.gateway.*.save.*", subject)
            };
            let first = loop {
                let message = tokio::time::timeout(BOUND, heard.next()).await.unwrap().unwrap();
                if !may_ask(message.subject.as_str()) {
                    break message;
                }
            };
            assert_eq!(first.subject.as_str(), "end", "{other} heard {user}");
        }
    }
}

/// Publishes to all that may be published to, with an answer to each target, and has a consumer deliver to each target.
async fn attack(deployment: &Deployment<'_>, user: &str, imports: &[(String, String)]) {
    let client = deployment.client(user).await;
    // Removing what one may remove proves nothing of answers.
    let is_removal = |remote: &str| {
        let removals = [".PURGE.", ".MSG.DELETE.", ".STREAM.CREATE.", ".CONSUMER.DELETE.EVENTS."];
        removals.iter().any(|removal| remote.contains(removal))
    };
    let subjects: Vec<_> = imports.iter().filter(|(_, remote)| !is_removal(remote)).collect();
    assert!(!subjects.is_empty());
    let may_remove =
        |target: &String| imports.iter().any(|(local, remote)| is_removal(remote) && holds(local, target));
    let targets: Vec<_> = targets().into_iter().filter(|target| !may_remove(target)).collect();
    for target in &targets {
        for (local, _) in &subjects {
            for payload in ["", "{}", "+ACK"] {
                client.publish_with_reply(literal(local), target.clone(), payload.into()).await.unwrap();
            }
        }
        // Subjects that nobody was meant to have.
        client.publish(target.clone(), "{}".into()).await.unwrap();
        client.flush().await.unwrap();
    }
    for stream in STREAMS {
        let create = format!("TIDINGS.API.CONSUMER.CREATE.{stream}");
        if !imports.iter().any(|(local, _)| *local == create) {
            continue;
        }
        for target in &targets {
            let config = json!({ "deliver_subject": target, "ack_policy": "none", "inactive_threshold": 5_000_000_000_u64 });
            let request = json!({ "stream_name": stream, "config": config }).to_string();
            let answer = client.request(create.clone(), request.into()).await;
            assert!(answer.is_ok(), "{create} is answered: {answer:?}");
        }
    }
    // Answered after all before it.
    client.flush().await.unwrap();
    settled(deployment).await;
}

/// What was under way has arrived: nothing changes between two looks.
async fn settled(deployment: &Deployment<'_>) {
    let streams = deployment.streams().await;
    let mut last = String::new();
    harness::eventually("the streams stand still", BOUND, async || {
        let found = format!("{:?}", contents(&streams).await);
        let stands = found == last;
        last = found;
        if stands { Ok(()) } else { Err("they change") }
    })
    .await;
}
