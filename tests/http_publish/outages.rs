//! What was answered is never lost, and nothing becomes two: gateways and NATS are killed while producers publish.

use std::collections::BTreeSet;
use std::time::Duration;

use async_nats::jetstream;
use harness::{BOUND, System, eventually};
use rustix::process::Signal;
use serde_json::json;
use tokio::sync::watch;

use crate::{Post, cloud_event, incidents_until_end, listener, producer};

/// Longer than a gateway waits for JetStream.
const OUTAGE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn while_nats_is_away_a_producer_is_sent_away_and_comes_again() {
    let mut system = System::start().await;
    let mut ada = listener(&system).await;
    let bearer = producer(&json!({}));
    let address = system.address().to_owned();
    let post = |id: &str| Post::to(&address, &bearer).cloud_event(&cloud_event(id, id));
    post("before").send().await.good();
    system.nats.kill().await.unwrap();
    let refused = eventually("the gateway notices", BOUND, async || {
        let answer = post("while").send().await;
        if answer.status == 503 { Ok(answer) } else { Err(answer.body) }
    })
    .await;
    assert_eq!(refused.code(), (503, "UNAVAILABLE"));
    assert!(refused.retry_after.is_some());
    system.nats.restart().await.unwrap();
    let stored = eventually("it is stored", OUTAGE, async || {
        let answer = post("while").send().await;
        if answer.status == 200 { Ok(answer.body) } else { Err(answer.body) }
    })
    .await;
    assert_eq!(stored["id"], "while");
    assert_eq!(incidents_until_end(&system, &mut ada).await, ["before", "while"]);
    system.check_well();
}

/// A gateway is killed again and again while a producer publishes through it; what gets no answer is sent to another one.
#[tokio::test]
async fn what_was_answered_is_there_once_whichever_gateway_dies() {
    let mut system = System::start().await;
    let mut ada = listener(&system).await;
    let bearer = producer(&json!({}));
    let mut answered = Vec::new();
    for round in 1..=4 {
        let gateway = system.another_gateway(&[]).await;
        let (progress, mut seen) = watch::channel(0);
        let publishing = async {
            for number in 0.. {
                let id = format!("{round}-{number}");
                let post = Post::to(&gateway.address, &bearer).cloud_event(&cloud_event(&id, &id));
                let Ok(answer) = post.try_send().await else { return id };
                answer.good();
                answered.push(id);
                progress.send_replace(number);
            }
            unreachable!("numbers do not end")
        };
        let killing = async {
            // While the next request is under way.
            seen.wait_for(|number| *number >= 5 * round).await.unwrap();
            gateway.process.signal(Signal::KILL);
        };
        let (without_answer, ()) = tokio::join!(publishing, killing);
        let again =
            Post::to(system.address(), &bearer).cloud_event(&cloud_event(&without_answer, &without_answer));
        again.send().await.good();
        answered.push(without_answer);
    }
    let received = incidents_until_end(&system, &mut ada).await;
    assert_eq!(received, answered, "each once, in the order of a producer that waits for its answers");
    system.check_well();
}

/// A batch that NATS was killed in is sent again as a whole until it is in.
#[tokio::test]
async fn a_batch_is_sent_again_until_it_is_whole() {
    let mut system = System::start().await;
    let mut ada = listener(&system).await;
    let bearer = producer(&json!({}));
    let address = system.address().to_owned();
    let ids: Vec<_> = (0..400).map(|number| number.to_string()).collect();
    let batch: Vec<_> = ids.iter().map(|id| cloud_event(id, id)).collect();
    let post = || Post::to(&address, &bearer).batch(&batch);
    let sending = async {
        eventually("the batch is whole", OUTAGE, async || {
            let answer = post().send().await;
            if answer.status == 200 { Ok(answer.body) } else { Err(answer.body) }
        })
        .await
    };
    let stream = jetstream::new(system.client().clone()).get_stream("EVENTS").await.unwrap();
    let killing = async {
        eventually("storing has begun", BOUND, async || {
            match stream.get_info().await.unwrap().state.last_sequence {
                0 => Err("nothing is stored"),
                _ => Ok(()),
            }
        })
        .await;
        system.nats.kill().await.unwrap();
        system.nats.restart().await.unwrap();
    };
    let (stored, ()) = tokio::join!(sending, killing);
    assert_eq!(stored["events"].as_array().unwrap().len(), 400);
    let received = incidents_until_end(&system, &mut ada).await;
    assert_eq!(received.len(), 400, "each once");
    assert_eq!(received.into_iter().collect::<BTreeSet<_>>(), ids.into_iter().collect());
}
