//! An administrator saves everything and restores it with the credentials that `nats-accounts.sh` makes.

use harness::{BOUND, eventually};
use rustix::process::Signal;
use serde_json::json;

use crate::deployment::{Deployment, Made};
use crate::duties::incident;

/// The ids of the envelopes in the first shard.
async fn envelopes(deployment: &Deployment<'_>) -> Vec<String> {
    let envelopes = deployment.streams().await.get_stream("ENVELOPES").await.unwrap();
    let mut found = Vec::new();
    for sequence in 1..=envelopes.cached_info().state.last_sequence {
        let Ok(message) = envelopes.get_raw_message(sequence).await else { continue };
        let body: serde_json::Value = serde_json::from_slice(&message.payload).unwrap_or_default();
        found.extend(body["data"]["id"].as_str().map(str::to_owned));
    }
    found
}

async fn until_delivered(deployment: &Deployment<'_>, expected: &[&str]) {
    eventually("all is delivered", BOUND, async || {
        let found = envelopes(deployment).await;
        if found == expected { Ok(()) } else { Err(format!("{found:?}, expected {expected:?}")) }
    })
    .await;
}

#[tokio::test]
async fn administrators_restore_through_the_accounts() {
    let made = Made::with(2);
    let (folder, credentials) = (made.path("backup"), made.credentials("restore"));
    let (folder, credentials) = (folder.to_str().unwrap(), credentials.to_str().unwrap());
    {
        let deployment = made.start().await;
        let projector = deployment.projector(0).await;
        let (gateway, _) = deployment.gateway().await;
        let dispatcher = deployment.dispatcher(0).await;
        for id in ["a", "b"] {
            deployment.publish("ops", "incident.created", &incident(id)).await;
        }
        until_delivered(&deployment, &["a", "b"]).await;
        deployment.publish("ops", "incident.created", &json!({ "no": "incident" })).await;
        let saved = deployment.run(&["backup", folder]).await;
        assert!(saved.contains("streams with"), "{saved}");
        for process in [projector, gateway, dispatcher] {
            process.signal(Signal::KILL);
        }
    }
    let deployment = made.start_in("without-credentials").await;
    let refused = deployment.tidings("admin", &["restore", folder]).finish(2 * BOUND).await.failed();
    assert!(refused.contains("--restore-credentials"), "{refused}");
    for (place, until) in [("restored", None), ("restored-until", Some("2300-01-01T00:00:00Z"))] {
        let deployment = made.start_in(place).await;
        let restore = ["restore", folder, "--restore-credentials", credentials];
        let until = until.into_iter().flat_map(|until| ["--until", until]);
        let said = deployment.run(&restore.into_iter().chain(until).collect::<Vec<_>>()).await;
        assert!(said.contains("restored"), "{said}");
        let projector = deployment.projector(0).await;
        deployment.publish("ops", "incident.created", &incident("c")).await;
        until_delivered(&deployment, &["a", "b", "c"]).await;
        projector.signal(Signal::KILL);
    }
}
