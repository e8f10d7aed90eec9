//! Records that somebody else has written over.

use async_nats::jetstream;
use harness::eventually;
use harness::{BOUND, Dial};
use serde_json::json;

use crate::scene::{Outcome, Scene, token_of};

/// Whose record cannot be read is not let in; everybody else is.
pub(crate) async fn attack(scene: &mut Scene) -> Outcome {
    let mut outcome = Outcome::of("rubbish lies in a user's record");
    let bucket = jetstream::new(scene.system.client().clone()).get_key_value("USERS").await.unwrap();
    for attempt in 0..scene.attempts.min(30) {
        let user = format!("victim{attempt}");
        // Disabled first, so that there is a record whose key is known.
        let arguments = ["users", "disable", "--tenant", "ops", "--user", &user];
        scene.system.command(&arguments).finish(BOUND).await.succeeded();
        let mut keys = std::pin::pin!(bucket.keys().await.unwrap());
        let key = loop {
            use futures_util::TryStreamExt as _;
            let key = keys.try_next().await.unwrap().expect("the record lies in the bucket");
            if key.ends_with(&user) {
                break key;
            }
        };
        let rubbish = match scene.random.u8(..4) {
            0 => br#"{"stream":"EVENTS","seq":5}"#.to_vec(),
            1 => b"{}".to_vec(),
            2 => scene.json(3).to_string().into_bytes(),
            _ => scene.bytes(60),
        };
        let shown = String::from_utf8_lossy(&rubbish).into_owned();
        bucket.put(key, rubbish.into()).await.unwrap();
        let refused = async |user: &str| {
            let dial = Dial::new(scene.system.address()).bearer(&token_of("ops", user, &json!({})));
            dial.try_open().await.err().map(|refusal| refusal.status)
        };
        // The bucket is read in order: who knows of the mark knows of the rubbish.
        let mark = format!("mark{attempt}");
        scene
            .system
            .command(&["users", "disable", "--tenant", "ops", "--user", &mark])
            .finish(BOUND)
            .await
            .succeeded();
        eventually("the gateway has read the bucket", BOUND, async || refused(&mark).await.ok_or("let in"))
            .await;
        let status = refused(&user).await;
        outcome.count(status.is_none().then(|| format!("{user} was let in with {shown}")));
        let other = format!("other{attempt}");
        eventually("others are let in", BOUND, async || refused(&other).await.map_or(Ok(()), Err)).await;
    }
    scene.check().await;
    outcome
}
