//! Everybody, and everything that is published.

use harness::{BOUND, Client, SECRET, Setup, System, token};
use serde_json::{Value, json};

use crate::listeners::{Listener, heard, heard_live, listeners};
use crate::publications::{Publication, publications};

/// Publishes, and returns when the gateway has delivered all of it to whoever is live: one shard delivers in the
/// order of the stream, and the witness is told last.
async fn publish(system: &System, witness: &mut Client, publications: &[Publication]) {
    for Publication { tenant, event, data, .. } in publications {
        // Without awaiting each one's answer; what is lost, somebody misses.
        let subject = format!("events.{tenant}.{event}");
        system.client().publish(subject, data.to_string().into()).await.unwrap();
    }
    let last =
        json!({ "userId": "the witness", "title": "last", "message": "", "type": "info", "priority": "low" });
    system.publish("ops", "notification.created", &last).await;
    witness.until(BOUND, |message| message["data"]["title"] == "last").await;
}

/// Compares what everybody has heard live with what they should, by these of their claims.
async fn check_live(
    round: &str,
    listeners: &[Listener],
    clients: &mut [Client],
    claims: impl Fn(&Listener) -> &Value,
    published: &[Publication],
) {
    for (listener, client) in listeners.iter().zip(clients) {
        let expected = listener.expected(claims(listener), published);
        assert_eq!(heard_live(client).await, expected, "{round}: {listener:?}");
    }
}

/// Everybody leaves, all is published, and everybody who can tell when they have caught up comes back with these claims.
async fn check_return(
    round: &str,
    system: &System,
    witness: &mut Client,
    listeners: &[Listener],
    clients: Vec<Client>,
    claims: impl Fn(&Listener) -> &Value,
) -> Vec<Client> {
    for client in clients {
        client.close().await;
    }
    let published = publications(round);
    publish(system, witness, &published).await;
    let mut returned = Vec::new();
    for listener in listeners {
        let mut client = listener.open(system, claims(listener)).await;
        let expected = listener.expected(claims(listener), &published);
        assert_eq!(heard(&mut client, "caught_up").await, expected, "{round}: {listener:?}");
        assert!(heard_live(&mut client).await.is_empty(), "{round}: {listener:?}");
        returned.push(client);
    }
    returned
}

#[tokio::test]
async fn everyone_hears_exactly_what_they_may() {
    let mut system = Setup::default().variable("TIDINGS_GATEWAY__WORKERS", "1").start().await;
    let mut witness = system.open(json!({ "tenant": "ops", "sub": "the witness" })).await;
    let mut listeners = listeners();
    let mut clients = Vec::new();
    for listener in &listeners {
        let mut client = listener.open(&system, &listener.claims).await;
        listener.subscribe(&mut client).await;
        assert!(heard_live(&mut client).await.is_empty());
        clients.push(client);
    }

    let published = publications("live");
    let heard_by_somebody = |publication: &&Publication| {
        listeners.iter().any(|listener| listener.hears(&listener.claims, publication))
    };
    assert_eq!(published.iter().filter(heard_by_somebody).count(), published.len(), "each is for somebody");
    publish(&system, &mut witness, &published).await;
    check_live("live", &listeners, &mut clients, |listener| &listener.claims, &published).await;

    for (round, claims) in [("less", later as fn(&Listener) -> &Value), ("again", full)] {
        for (listener, client) in listeners.iter().zip(&mut clients) {
            let token = token(SECRET, claims(listener).clone());
            client.send_json(&json!({ "action": "authenticate", "token": token })).await;
            assert!(heard_live(client).await.is_empty(), "{listener:?}");
        }
        let published = publications(round);
        publish(&system, &mut witness, &published).await;
        check_live(round, &listeners, &mut clients, claims, &published).await;
    }

    // A plain client cannot tell when it has caught up.
    let mut is_sequenced = listeners.iter().map(|listener| listener.is_sequenced);
    clients.retain(|_| is_sequenced.next().unwrap());
    listeners.retain(|listener| listener.is_sequenced);
    let clients = check_return("away", &system, &mut witness, &listeners, clients, full).await;
    let clients = check_return("away, and less", &system, &mut witness, &listeners, clients, later).await;
    drop(clients);
    system.check_well();
}

fn full(listener: &Listener) -> &Value {
    &listener.claims
}

fn later(listener: &Listener) -> &Value {
    &listener.later
}
