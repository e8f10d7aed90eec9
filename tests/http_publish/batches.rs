//! A batch is stored as a whole, in its order, or refused as a whole.

use harness::System;
use serde_json::{Value, json};

use crate::{Post, cloud_event, events, incidents_until_end, listener, producer};

fn entry(answer: &Value, index: usize) -> (Value, Value) {
    let event = &answer["events"][index];
    (event["sequence"].clone(), event["duplicate"].clone())
}

#[tokio::test]
async fn a_batch_is_stored_in_its_order() {
    let mut system = System::start().await;
    let mut ada = listener(&system).await;
    let post = || Post::to(system.address(), &producer(&json!({})));
    let ids: Vec<_> = (0..300).map(|number| number.to_string()).collect();
    let batch: Vec<_> = ids.iter().map(|id| cloud_event(id, id)).collect();
    let answer = post().batch(&batch).send().await.good();
    for index in 0..300 {
        assert_eq!(entry(&answer, index), (json!(index + 1), json!(false)));
    }
    // As a whole again, with one more, and one of them twice.
    let more: Vec<_> =
        batch.iter().cloned().chain([cloud_event("new", "new"), cloud_event("new", "new")]).collect();
    let again = post().batch(&more).send().await.good();
    for index in 0..300 {
        assert_eq!(entry(&again, index), (json!(index + 1), json!(true)));
    }
    assert_eq!(
        (entry(&again, 300), entry(&again, 301)),
        ((json!(301), json!(false)), (json!(301), json!(true)))
    );
    assert_eq!(events(&system).await.len(), 301);
    let expected: Vec<_> = ids.into_iter().chain(["new".to_owned()]).collect();
    assert_eq!(incidents_until_end(&system, &mut ada).await, expected);
    system.check_well();
}

#[tokio::test]
async fn nothing_of_a_refused_batch_is_stored() {
    let mut system = System::start().await;
    let post = |events: &[Value]| {
        Post::to(system.address(), &producer(&json!({ "tidings_events": "incident.*" }))).batch(events)
    };
    let good = cloud_event("1", "1");
    let mut wrong = cloud_event("2", "2");
    wrong["data"]["severity"] = json!("none");
    let mut forbidden = cloud_event("3", "3");
    forbidden["type"] = json!("task.created");
    let mut malformed = cloud_event("4", "4");
    malformed.as_object_mut().unwrap().remove("id");
    let mut reused = cloud_event("1", "5");
    reused["data"]["title"] = json!("other");
    let answer = post(&[good.clone(), wrong, malformed, json!(7), reused.clone()]).send().await;
    assert_eq!(answer.code(), (422, "EVENT_REJECTED"));
    let named: Vec<_> = answer.body["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| {
            (event["index"].as_u64().unwrap(), event["reason"].as_str().unwrap_or_default().to_owned())
        })
        .collect();
    let expected =
        [(1, "schema-violation"), (2, "malformed-event"), (3, "malformed-event"), (4, "id-reused")];
    assert_eq!(named, expected.map(|(index, reason)| (index, reason.to_owned())), "{}", answer.body);
    let message = answer.body["detail"].as_str().unwrap();
    assert!(
        message.contains("event 1 of the batch") && message.ends_with("none of the batch is stored"),
        "{message}"
    );

    assert_eq!(post(&[good.clone(), forbidden]).send().await.code(), (403, "EVENT_FORBIDDEN"));
    let many: Vec<_> = (0..1_001).map(|number| cloud_event(&number.to_string(), "1")).collect();
    assert_eq!(post(&many).send().await.code(), (413, "BATCH_TOO_LARGE"));
    assert_eq!(events(&system).await.len(), 0);

    // An id that was used before refuses the whole, too.
    post(&[good]).send().await.good();
    let answer = post(&[cloud_event("6", "6"), reused]).send().await;
    assert_eq!(answer.code(), (422, "EVENT_REJECTED"));
    assert_eq!(answer.body["events"][0]["index"], 1);
    assert_eq!(events(&system).await.len(), 1);
    system.check_well();
}
