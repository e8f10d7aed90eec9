//! What a person names at the command line and does not exist is refused, with what there is instead.

use async_nats::HeaderMap;
use harness::{BOUND, System, eventually};
use serde_json::json;

/// Each command, with each of its names misspelled in turn, and what it must say.
const MISSPELLED: [(&str, &str); 27] = [
    ("consumers ls --tenant opz", "did you mean \"ops\"?; there are cnc, documents, ops, shelter, uploads"),
    (
        "consumers ls --tenant ops --user adaa",
        "user \"adaa\" of tenant ops has no consumers; did you mean \"ada\"?",
    ),
    ("consumers show --tenant opz --user ada --device phone", "there is no tenant \"opz\""),
    ("consumers show --tenant ops --user adaa --device phone", "has no consumers; did you mean \"ada\"?"),
    (
        "consumers show --tenant ops --user ada --device phonr",
        "user \"ada\" of tenant ops has no device \"phonr\"; did you mean \"phone\"?; there are phone",
    ),
    ("consumers reset --tenant opz --user ada --device phone --to all", "there is no tenant \"opz\""),
    ("consumers reset --tenant ops --user ada --device phonr --to all", "there are phone"),
    ("consumers rm --tenant opz --user ada --device phone", "there is no tenant \"opz\""),
    ("consumers rm --tenant ops --user ada --device phonr", "there are phone"),
    ("users show --tenant opz --user ada", "there is no tenant \"opz\""),
    ("users show --tenant ops --user adaa", "nothing is known of user \"adaa\" of tenant ops"),
    (
        "users disable --tenant opz --user ada",
        "did you mean \"ops\"?; there are cnc, documents, ops, shelter, uploads",
    ),
    ("users enable --tenant opz --user ada", "there is no tenant \"opz\""),
    (
        "users enable --tenant ops --user adaa",
        "user \"adaa\" of tenant ops is not disabled, and nothing was changed",
    ),
    ("users revoke --tenant opz --user ada", "there is no tenant \"opz\""),
    ("users purge --tenant opz --user ada", "there is no tenant \"opz\""),
    ("users purge --tenant ops --user adaa", "to remove; did you mean \"ada\"?"),
    ("connections ls --tenant opz", "there is no tenant \"opz\""),
    (
        "connections ls --tenant ops --user adaa",
        "has neither connections nor consumers; did you mean \"ada\"?",
    ),
    ("connections close --tenant opz --user ada", "there is no tenant \"opz\""),
    ("connections close --tenant ops --user adaa", "user \"adaa\" of tenant ops has no connections"),
    ("rejected ls --tenant opq", "there is no tenant \"opq\""),
    (
        "rejected ls --tenant opz --event incident.explode",
        "did you mean \"incident.exploded\"?; there are incident.exploded",
    ),
    ("rejected show 18f3a0c2b41-42", "there is no rejected event 18f3a0c2b41-42"),
    ("rejected drop 18f3a0c2b41-42", "there is no rejected event 18f3a0c2b41-42"),
    ("projector rebuild --tenant opz", "there is no tenant \"opz\""),
    ("token --tenant opz --sub ada", "did you mean \"ops\"?"),
];

#[tokio::test]
async fn what_does_not_exist_is_refused_by_every_command() {
    let mut system = System::start().await;
    let ada = harness::token(harness::SECRET, json!({ "tenant": "ops", "sub": "ada" }));
    let client = harness::Dial::new(system.address()).bearer(&ada).query("device", "phone").open().await;
    eventually("the consumer is stored", BOUND, async || {
        let listed = system.command(&["consumers", "ls", "--tenant", "ops"]).finish(BOUND).await;
        if listed.output.contains("phone") { Ok(()) } else { Err(listed.output + &listed.errors) }
    })
    .await;
    let lost = system.publish("opz", "incident.exploded", &json!({})).await;
    system.rejected(lost).await;
    for (line, expected) in MISSPELLED {
        let arguments: Vec<_> = line.split(' ').collect();
        let finished = system.command(&arguments).finish(BOUND).await;
        assert_eq!((finished.code, finished.output.as_str()), (Some(1), ""), "{line}: {}", finished.errors);
        assert!(finished.errors.contains(expected), "{line}: {}", finished.errors);
    }
    // What can be told apart without asking anybody is a mistake in usage.
    let reason = ["rejected", "ls", "--reason", "schema-violatoin"];
    let finished = system.command(&reason).finish(BOUND).await;
    assert_eq!(finished.code, Some(2));
    assert!(finished.errors.contains("schema-violation"), "{}", finished.errors);
    client.close().await;
    system.check_well();
}

#[tokio::test]
async fn who_has_never_been_here_can_be_kept_out_and_it_is_said() {
    let system = System::start().await;
    let run = async |line: &str| {
        system.command(&line.split(' ').collect::<Vec<_>>()).finish(BOUND).await.succeeded()
    };
    let disabled = run("users disable --tenant ops --user ada").await;
    let expected = "user \"ada\" of tenant ops is disabled; gateways close the user's connections; \
                    no device of this user has connected lately\n";
    assert_eq!(disabled, expected);
    let again = run("users disable --tenant ops --user ada").await;
    assert!(again.starts_with("user \"ada\" of tenant ops is disabled, as it has been since 2"), "{again}");
    let enabled = run("users enable --tenant ops --user ada").await;
    assert_eq!(enabled, "user \"ada\" of tenant ops is enabled; tokens that were revoked stay revoked\n");
}

/// A producer that misspells its tenant finds out.
#[tokio::test]
async fn events_of_tenants_that_do_not_exist_are_listed_retried_and_dropped() {
    let system = System::start().await;
    for subject in
        ["events.opz.incident.created", "events.OPS.incident.created", "events.ops.incident.exploded"]
    {
        let event = system.publish_raw(subject, HeaderMap::new(), "{}").await;
        system.rejected(event).await;
    }
    let run = async |line: &str| {
        system.command(&line.split(' ').collect::<Vec<_>>()).finish(BOUND).await.succeeded()
    };
    let all = run("rejected ls").await;
    assert_eq!(all.lines().count(), 4, "{all}");
    for (tenant, reason) in [("opz", "unknown-tenant"), ("OPS", "malformed-event"), ("ops", "unknown-event")]
    {
        let listed = run(&format!("rejected ls --tenant {tenant}")).await;
        assert_eq!(listed.lines().count(), 2, "{listed}");
        let row: Vec<_> = listed.lines().nth(1).unwrap().split_whitespace().collect();
        assert_eq!((row[1], row[3]), (tenant, reason), "{listed}");
        let shown = run(&format!("rejected show --tenant {tenant} {}", row[0])).await;
        assert!(shown.contains(reason), "{shown}");
        let other = ["rejected", "drop", "--tenant", "cnc", row[0]];
        let refused = system.command(&other).finish(BOUND).await.failed();
        assert!(refused.contains("of tenant \"cnc\""), "{refused}");
    }
    let retried = run("rejected retry --tenant opz --all").await;
    assert!(retried.contains("retried 1 event;"), "{retried}");
    assert_eq!(run("rejected drop --tenant OPS --all").await, "dropped 1 event\n");
    let left = eventually("what was retried is rejected again", BOUND, async || {
        let listed = run("rejected ls --json").await;
        if listed.lines().count() == 2 && listed.contains("\"tries\":2") { Ok(listed) } else { Err(listed) }
    });
    left.await;
    assert_eq!(run("rejected drop --all").await, "dropped 2 events\n");
}
