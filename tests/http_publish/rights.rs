//! Who may publish what.

use harness::{SECRET, System, token};
use serde_json::{Value, json};

use crate::{Post, cloud_event, events, incident, producer};

#[tokio::test]
async fn a_token_publishes_what_its_scope_and_claims_say() {
    let mut system = System::start().await;
    let check =
        async |claims: Value, event: &str, source: Option<&str>, expected: Result<(), (u16, &str)>| {
            let post = Post::to(system.address(), &token(SECRET, claims.clone())).event(event);
            let mut structured = cloud_event("x", "1");
            structured["source"] = source.into();
            let post =
                if source.is_some() { post.cloud_event(&structured) } else { post.json(&incident("1")) };
            let answer = post.send().await;
            let found = if answer.status == 200 { Ok(()) } else { Err(answer.code()) };
            assert_eq!(found, expected, "{claims} {event} {source:?}: {}", answer.body);
        };
    let with = |more: Value| {
        let mut claims = json!({ "tenant": "ops", "sub": "p", "scope": "openid tidings:publish" });
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        claims
    };
    check(with(json!({})), "incident.created", None, Ok(())).await;
    for scope in
        [json!(null), json!("openid"), json!("tidings:admin"), json!("tidings:publisher"), json!(["x"])]
    {
        check(with(json!({ "scope": scope })), "incident.created", None, Err((403, "SCOPE_MISSING"))).await;
    }
    check(with(json!({ "tenant": "nobody" })), "incident.created", None, Err((403, "TENANT_UNKNOWN"))).await;
    let bound = || with(json!({ "tidings_events": ["incident.*"] }));
    check(bound(), "incident.created", None, Ok(())).await;
    check(bound(), "task.created", None, Err((403, "EVENT_FORBIDDEN"))).await;
    let bound = || with(json!({ "tidings_source": "/a" }));
    check(bound(), "incident.created", Some("/a"), Ok(())).await;
    check(bound(), "incident.created", Some("/b"), Err((403, "EVENT_FORBIDDEN"))).await;
    check(with(json!({ "tidings_events": 7 })), "incident.created", None, Err((403, "CLAIM_PUBLISH"))).await;
    assert_eq!(events(&system).await.len(), 3);

    let expired = token(SECRET, with(json!({ "exp": 1 })));
    let refused =
        Post::to(system.address(), &expired).event("incident.created").json(&incident("1")).send().await;
    assert_eq!(refused.code(), (401, "TOKEN_EXPIRED"));
    // A token counts in the header alone.
    let url = format!("{}/api/v1/events/incident.created?token={}", system.address(), producer(&json!({})));
    let answer = reqwest::Client::new()
        .post(url)
        .header("Content-Type", "application/json")
        .body(incident("1").to_string());
    assert_eq!(answer.send().await.unwrap().status().as_u16(), 401);
    system.check_well();
}

/// Plain JSON of a producer that is bound to a source gets that source.
#[tokio::test]
async fn plain_json_gets_the_source_that_its_producer_is_bound_to() {
    let system = System::start().await;
    let source = "/billing é \"%\"";
    let bearer = producer(&json!({ "tidings_source": source }));
    let post = || {
        Post::to(system.address(), &bearer)
            .event("incident.created")
            .json(&incident("1"))
            .header("Idempotency-Key", "k %")
    };
    let answer = post().send().await.good();
    assert_eq!((&answer["id"], &answer["source"]), (&json!("k %"), &json!(source)));
    // So nobody else's id is taken for its own.
    let other = Post::to(system.address(), &producer(&json!({}))).event("incident.created");
    let other = other.json(&incident("1")).header("Idempotency-Key", "k %").send().await.good();
    assert_eq!(other["duplicate"], false);
    assert_eq!(post().send().await.good()["duplicate"], true);
}

#[tokio::test]
async fn a_disabled_producer_is_refused() {
    let system = System::start().await;
    let post =
        || Post::to(system.address(), &producer(&json!({}))).event("incident.created").json(&incident("1"));
    post().send().await.good();
    let disable = system.command(&["users", "disable", "--tenant", "ops", "--user", "incidents"]);
    disable.finish(harness::BOUND).await.succeeded();
    harness::eventually("the gateway knows of it", harness::BOUND, async || {
        let answer = post().send().await;
        if answer.status == 200 {
            return Err(answer.body);
        }
        assert_eq!(answer.code(), (403, "USER_DISABLED"));
        Ok(())
    })
    .await;
}
