//! What the projector would reject is refused with its reason and pointer; what is not understood is answered.

use harness::System;
use serde_json::{Value, json};

use crate::{Post, cloud_event, events, incident, producer};

/// What the projector says of an event that came over NATS: reason and pointer.
async fn rejection(system: &System, name: &str, data: &Value) -> (String, Option<String>) {
    let sequence = system.publish("ops", name, data).await;
    let rejected = system.rejected(sequence).await;
    let header = |name| rejected.header(name).map(str::to_owned);
    (header("Tidings-Reason").unwrap(), header("Tidings-Reason-Pointer"))
}

#[tokio::test]
async fn what_would_be_rejected_is_refused_with_the_same_reason() {
    let mut system = System::start().await;
    let bearer = producer(&json!({}));
    let mut without_id = incident("1");
    without_id.as_object_mut().unwrap().remove("id");
    let mut wrong = incident("2");
    wrong["severity"] = json!("none");
    for (name, data) in [
        ("incident.created", &without_id),
        ("incident.created", &wrong),
        ("incident.created", &json!("text")),
        ("incident.vanished", &incident("3")),
    ] {
        let (reason, pointer) = rejection(&system, name, data).await;
        let answer = Post::to(system.address(), &bearer).event(name).json(data).send().await;
        assert_eq!(answer.code(), (422, "EVENT_REJECTED"), "{data}");
        let error = &answer.body;
        assert_eq!(
            (error["reason"].as_str(), error["pointer"].as_str()),
            (Some(&*reason), pointer.as_deref()),
            "{error}"
        );
    }
    assert_eq!(events(&system).await.len(), 4, "nothing that is refused is stored");
    system.check_well();
}

#[tokio::test]
async fn what_is_not_understood_is_answered() {
    let mut system = System::start().await;
    let bearer = producer(&json!({}));
    let post = || Post::to(system.address(), &bearer);
    let check = async |post: Post<'_>, status: u16, code: &str| {
        let answer = post.send().await;
        assert_eq!(answer.code(), (status, code), "{post:?}: {}", answer.body);
    };
    let good = incident("1");
    // Neither path nor type names an event.
    check(post().json(&good), 400, "EVENT_NAME").await;
    check(post().event("incident").json(&good), 400, "EVENT_NAME").await;
    let mut typed = cloud_event("1", "1");
    typed["type"] = json!("com.example.incident.created");
    check(post().cloud_event(&typed), 400, "EVENT_NAME").await;
    // The type of the body.
    let event = cloud_event("1", "1").to_string();
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/cloudevents+xml",
        "application/cloudevents-batch+xml",
    ] {
        check(post().event("incident.created").body(kind, event.clone()), 415, "CONTENT_TYPE").await;
    }
    // The body.
    for body in ["", "{", "not json"] {
        let refused = post().event("incident.created").body("application/json", body).send().await;
        assert_eq!(refused.code(), (422, "EVENT_REJECTED"), "{body}");
        assert_eq!(refused.body["reason"], "malformed-event", "{body}");
    }
    for missing in ["id", "source", "type", "specversion"] {
        let mut event = cloud_event("1", "1");
        event.as_object_mut().unwrap().remove(missing);
        check(post().cloud_event(&event), 422, "EVENT_REJECTED").await;
    }
    check(post().cloud_event(&cloud_event("", "1")), 422, "EVENT_REJECTED").await;
    check(post().body("application/cloudevents-batch+json", "{}"), 400, "BODY").await;
    check(post().body("application/cloudevents-batch+json", "["), 400, "BODY").await;
    // Headers.
    let named = || post().event("incident.created").json(&good);
    for key in ["\"\"", &"k".repeat(257)] {
        check(named().header("Idempotency-Key", key), 400, "IDEMPOTENCY_KEY").await;
    }
    check(named().header("Idempotency-Key", "a").header("Idempotency-Key", "b"), 400, "HEADER_REPEATED")
        .await;
    check(named().header("ce-id", "a").header("ce-id", "b"), 400, "HEADER_REPEATED").await;
    check(post().cloud_event(&cloud_event("1", "1")).header("Idempotency-Key", "2"), 400, "IDEMPOTENCY_KEY")
        .await;
    check(post().batch(&[]).header("Idempotency-Key", "2"), 400, "IDEMPOTENCY_KEY").await;
    check(post().event("/api/v1/events/incident.created/x").json(&good), 404, "NOT_FOUND").await;
    let get = reqwest::get(format!("{}/api/v1/events", system.address())).await.unwrap();
    assert_eq!(get.status().as_u16(), 405);
    assert_eq!(events(&system).await.len(), 0);
    system.check_well();
}

/// Headers that NATS understands, and those of the projector, do not come through.
#[tokio::test]
async fn only_headers_of_the_event_go_along() {
    let system = System::start().await;
    let post =
        Post::to(system.address(), &producer(&json!({}))).event("incident.created").json(&incident("1"));
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    post.header("traceparent", trace)
        .header("Nats-Expected-Last-Msg-Id", "x")
        .header("Nats-Rollup", "all")
        .header("Tidings-Tries", "7")
        .header("Tidings-Event-Id", "forged")
        .header("Idempotency-Key", "\"own\"")
        .send()
        .await
        .good();
    let stored = events(&system).await;
    let headers: Vec<_> =
        stored[0].headers.iter().map(|(name, values)| (name.to_string(), values[0].to_string())).collect();
    let mut names: Vec<_> =
        headers.iter().map(|(name, value)| (name.to_lowercase(), value.as_str())).collect();
    names.sort_unstable();
    let expected =
        [("content-type", "application/json"), ("tidings-event-id", "own"), ("traceparent", trace)];
    assert_eq!(names, expected.map(|(name, value)| (name.to_owned(), value)));
}
