use serde_json::{Value, json};
use tidings_catalog::{Catalog, Files};
use tidings_model::Tenant;
use tidings_streams::consumers::ConsumerName;
use time::macros::datetime;

use super::*;

/// The conversations of `tests/fuzz` have the same.
const CATALOG: &str = include_str!("catalog.toml");

fn session(claims: &Value, form: Form) -> Session {
    let tenant = Tenant::parse("ops").unwrap();
    let files = [("catalog.toml", CATALOG), ("any.json", "{}")];
    let files: Files = files.map(|(name, text)| (name.to_owned(), text.to_owned())).into();
    let catalog = Catalog::parse(&tenant, &files).unwrap();
    let principal = principal(&catalog, claims);
    Session::new(Arc::new([(tenant, catalog)].into()), principal, form)
}

fn principal(catalog: &Catalog, claims: &Value) -> Principal {
    let user = claims.get("sub").and_then(Value::as_str).unwrap();
    let claims = claims.as_object().unwrap();
    let grants = catalog.grants(claims);
    Principal {
        publish_claims: catalog.publish_claims(claims, &grants),
        consumer: ConsumerName::new(catalog.tenant().clone(), user, "default").unwrap(),
        grants,
        expires_at: datetime!(2030-01-01 00:00 UTC),
        issued_at: None,
    }
}

fn moment() -> Moment {
    Moment { now: datetime!(2025-01-17 16:00 UTC), sequence: 40, sent: 30, max_topics: 2 }
}

fn receive(session: &mut Session, message: &Value) -> Vec<Effect> {
    session.receive(moment().read(&message.to_string()), moment())
}

fn topic(name: &str) -> Address {
    Address::topic(name).unwrap()
}

fn squad(name: &str) -> Filter {
    [("squad".to_owned(), [name.to_owned()].into())].into_iter().collect()
}

/// The code of the only effect, an error.
#[track_caller]
fn refusal(effects: &[Effect]) -> String {
    let [Effect::Refuse(error)] = effects else { panic!("{effects:?}") };
    error.code().to_string()
}

#[test]
fn a_subscription_opens_its_topic_from_now_on() {
    let mut session = session(&json!({ "sub": "ada" }), Form::Plain);
    let effects = receive(&mut session, &json!({ "action": "subscribe", "topics": ["incidents"] }));
    let remembered = consumers::Subscription { filter: Filter::default().into(), since: 40 };
    let expected = [
        Effect::Remember { topic: "incidents".to_owned(), edit: Edit::Subscribe(remembered) },
        Effect::OpenAddress(topic("incidents"), Filter::default()),
    ];
    assert_eq!(effects, expected);
}

#[test]
fn another_filter_replaces_the_first_and_keeps_the_beginning() {
    let mut session = session(&json!({ "sub": "ada" }), Form::Plain);
    receive(&mut session, &json!({ "action": "subscribe", "topics": ["tasks"] }));
    let again = json!({ "action": "subscribe", "topics": ["tasks"], "filters": { "squad": "red" } });
    let later = Moment { sequence: 50, ..moment() };
    let effects = session.receive(later.read(&again.to_string()), later);
    let remembered = consumers::Subscription { filter: squad("red").into(), since: 40 };
    let expected = [
        Effect::Remember { topic: "tasks".to_owned(), edit: Edit::Subscribe(remembered) },
        Effect::CloseAddress(topic("tasks"), Filter::default()),
        Effect::OpenAddress(topic("tasks"), squad("red")),
    ];
    assert_eq!(effects, expected);

    let effects =
        receive(&mut session, &json!({ "action": "unsubscribe", "topics": ["tasks", "incidents"] }));
    let expected = [
        Effect::Remember { topic: "tasks".to_owned(), edit: Edit::Unsubscribe },
        Effect::CloseAddress(topic("tasks"), squad("red")),
    ];
    assert_eq!(effects, expected);
}

#[test]
fn a_subscription_is_taken_whole_or_not_at_all() {
    let mut session = session(&json!({ "sub": "ada" }), Form::Plain);
    for (topics, code) in [
        (json!(["incidents", "nothing"]), "UNKNOWN_TOPIC"),
        (json!(["incidents", "metrics"]), "FORBIDDEN"),
        (json!(["incidents", 7]), "INVALID_MESSAGE"),
        (json!(["a", "b", "c"]), "TOO_MANY_TOPICS"),
    ] {
        let effects = receive(&mut session, &json!({ "action": "subscribe", "topics": topics }));
        assert_eq!(refusal(&effects), code);
        assert_eq!(session.open_addresses().filter(|(_, topic)| topic.is_some()).count(), 0);
    }
}

#[test]
fn a_connection_has_so_many_topics() {
    let mut session = session(&json!({ "sub": "ada", "role": "sre" }), Form::Plain);
    receive(&mut session, &json!({ "action": "subscribe", "topics": ["incidents", "tasks"] }));
    let third = receive(&mut session, &json!({ "action": "subscribe", "topics": ["metrics"] }));
    assert_eq!(refusal(&third), "TOO_MANY_TOPICS");
    let again = receive(&mut session, &json!({ "action": "subscribe", "topics": ["tasks"] }));
    assert!(matches!(
        again.as_slice(),
        [Effect::Remember { .. }, Effect::CloseAddress(..), Effect::OpenAddress(..)]
    ));
}

#[test]
fn only_what_was_sent_can_be_acknowledged() {
    let mut session = session(&json!({ "sub": "ada" }), Form::Sequenced);
    assert_eq!(receive(&mut session, &json!({ "action": "ack", "seq": 30 })), [Effect::Acknowledge(30)]);
    assert_eq!(refusal(&receive(&mut session, &json!({ "action": "ack", "seq": 31 }))), "INVALID_MESSAGE");
}

#[test]
fn a_route_looks_at_what_the_keys_open() {
    let mut session = session(&json!({ "sub": "ada", "role": "sre" }), Form::Plain);
    let effects = receive(&mut session, &json!({ "action": "progress", "docId": "d.1", "message_id": "m" }));
    let [Effect::Latest(LatestRequest { subjects, id, .. })] = effects.as_slice() else {
        panic!("{effects:?}")
    };
    let subjects: Vec<_> =
        subjects.iter().map(|subject| subject.written_in(tidings_model::Place::default())).collect();
    assert_eq!(subjects, ["envelopes.ops.latest.user.ada.processing.d=2E1"]);
    assert_eq!(*id, Some(MessageId::Text("m".to_owned())));

    assert_eq!(refusal(&receive(&mut session, &json!({ "action": "progress" }))), "INVALID_MESSAGE");
    assert_eq!(refusal(&receive(&mut session, &json!({ "action": "dance" }))), "UNKNOWN_ACTION");
}

#[test]
fn a_fresh_token_changes_what_is_heard() {
    let mut session = session(&json!({ "sub": "ada", "role": "sre" }), Form::Plain);
    receive(&mut session, &json!({ "action": "subscribe", "topics": ["metrics", "tasks"] }));
    let tenant = Tenant::parse("ops").unwrap();
    let fresh = |claims| principal(&session.catalogs[&tenant], &claims);
    let (other, changed) = (fresh(json!({ "sub": "bob" })), fresh(json!({ "sub": "ada", "role": "dev" })));

    assert_eq!(session.renew(other).unwrap_err().code(), ErrorCode::Forbidden);
    let effects = session.renew(changed).unwrap();
    let key = |text| Address::parse(text).unwrap();
    let expected = [
        Effect::CloseAddress(key("role:sre"), Filter::default()),
        Effect::OpenAddress(key("role:dev"), Filter::default()),
        Effect::CloseAddress(topic("metrics"), Filter::default()),
    ];
    assert_eq!(effects, expected);
}

#[test]
fn the_consumers_subscriptions_are_restored_as_far_as_they_are_open() {
    let mut session = session(&json!({ "sub": "ada" }), Form::Plain);
    let remembered = |since| consumers::Subscription { filter: squad("red").into(), since };
    let topics = [("tasks", 7), ("metrics", 8), ("gone", 9)];
    session.restore(topics.map(|(topic, since)| (topic.to_owned(), remembered(since))).into_iter().collect());
    let open: Vec<_> =
        session.subscriptions.values().map(|topic| (topic.address.to_string(), topic.since)).collect();
    assert_eq!(open, [("topic:tasks".to_owned(), 7)]);
}

#[test]
fn clients_of_the_subprotocol_get_confirmations() {
    let mut session = session(&json!({ "sub": "ada" }), Form::Sequenced);
    let subscribe = json!({ "action": "subscribe", "topics": ["tasks"], "id": "m-1" });
    let effects = receive(&mut session, &subscribe);
    let id = Some(MessageId::Text("m-1".to_owned()));
    let confirmed = Effect::Confirm(SubscriptionChange::Subscribed, id);
    assert_eq!(effects.last(), Some(&confirmed));
    // Confirmed when it is stored, hence behind what is to be stored.
    assert!(matches!(effects.first(), Some(Effect::Remember { .. })), "{effects:?}");
    let effects = receive(&mut session, &json!({ "action": "unsubscribe", "topics": ["tasks"], "id": null }));
    let confirmed = Effect::Confirm(SubscriptionChange::Unsubscribed, None);
    assert_eq!(effects.last(), Some(&confirmed));
}

#[test]
fn a_filter_that_would_filter_nothing_is_refused() {
    let check = |topics: &[&str], filters: Value, known: Option<&str>| {
        let mut session = session(&json!({ "sub": "ada" }), Form::Plain);
        let effects =
            receive(&mut session, &json!({ "action": "subscribe", "topics": topics, "filters": filters }));
        let Some(known) = known else {
            assert!(matches!(effects.last(), Some(Effect::OpenAddress(..))), "{filters}: {effects:?}");
            return;
        };
        assert_eq!(refusal(&effects), "UNKNOWN_ATTRIBUTE", "{filters}");
        let [Effect::Refuse(error)] = effects.as_slice() else { panic!("{effects:?}") };
        assert!(error.message().ends_with(&format!("they have: {known}")), "{error:?}");
        assert_eq!(session.topics().count(), 0);
    };
    check(&["tasks"], json!({ "squad": "red" }), None);
    check(&["tasks", "incidents"], json!({ "squad": "red", "site": "s9" }), None);
    check(&["tasks"], json!({ "enviroment": ["production"] }), Some("environment, squad"));
    check(&["tasks"], json!({ "squad": "red", "site": "s9" }), Some("environment, squad"));
    check(&["incidents"], json!({ "Site": "s9" }), Some("site"));
    check(&["tasks", "incidents"], json!({ "id": "7" }), Some("environment, site, squad"));
    check(&["tasks"], json!({ "enviroment": null }), None);
    check(&[], json!({ "squad": "red" }), Some("none"));
}

/// Whatever a client asks with an id is answered with it, be the answer good or bad.
#[test]
fn every_answer_names_the_message_that_it_answers() {
    let ids = [("id", json!("m-1")), ("message_id", json!(17)), ("messageId", json!("m-3"))];
    for form in [Form::Plain, Form::Sequenced] {
        for (member, id) in &ids {
            for message in [
                json!({ "action": "ping" }),
                json!({ "action": "subscribe", "topics": ["nothing"] }),
                json!({ "action": "subscribe", "topics": ["metrics"] }),
                json!({ "action": "subscribe" }),
                json!({ "action": "subscribe", "topics": ["tasks"], "filter": {} }),
                json!({ "action": "subscribe", "topics": ["tasks"], "filters": { "x": 1 } }),
                json!({ "action": "unsubscribe", "topics": 7 }),
                json!({ "action": "ack" }),
                json!({ "action": "ack", "seq": 99 }),
                json!({ "action": "authenticate" }),
                json!({ "action": "progress" }),
                json!({ "action": "report", "data": {} }),
                json!({ "action": "dance" }),
                json!({}),
            ] {
                let mut message = message;
                message[*member] = id.clone();
                let mut session = session(&json!({ "sub": "ada" }), form);
                let effects = receive(&mut session, &message);
                let json = match effects.as_slice() {
                    [Effect::Reply(json)] => json.clone(),
                    [Effect::Refuse(error)] => error.to_json(moment().now),
                    _ => panic!("{message}: {effects:?}"),
                };
                let answer: Value = serde_json::from_str(&json).unwrap();
                let named = answer.get("original_message_id").or(answer.pointer("/data/original_message_id"));
                assert_eq!(named, Some(id), "{message}: {answer}");
            }
        }
    }
}

#[test]
fn a_client_says_what_its_token_lets_it_say() {
    let worker = json!({ "sub": "ada", "role": "worker", "site": "s9" });
    let mut session = session(&worker, Form::Plain);
    let report = |site: &str| json!({ "action": "report", "id": 7, "data": { "docId": "d", "user": "u", "site": site } });
    let effects = receive(&mut session, &report("s9"));
    let [Effect::Publish { said, id: Some(id) }] = effects.as_slice() else { panic!("{effects:?}") };
    assert_eq!((said.event.to_string().as_str(), id.to_string().as_str()), ("processing.progressed", "7"));
    assert_eq!(said.data.get("site"), Some(&json!("s9")));
    assert_eq!(refusal(&receive(&mut session, &report("s4"))), "FORBIDDEN");
    assert_eq!(refusal(&receive(&mut session, &json!({ "action": "report" }))), "INVALID_MESSAGE");
    assert_eq!(refusal(&receive(&mut session, &json!({ "action": "reports" }))), "UNKNOWN_ACTION");
    assert_eq!(refusal(&receive(&mut session, &json!({ "action": "progress" }))), "INVALID_MESSAGE");

    // What a fresh token says is what counts, whether it lets its holder say less or something else.
    let catalogs = Arc::clone(&session.catalogs);
    let catalog = catalogs.get(session.principal().tenant()).unwrap();
    for (claims, own, code) in [
        (json!({ "sub": "ada", "role": "worker", "site": ["s4"] }), "s4", None),
        (json!({ "sub": "ada", "role": "worker", "site": ["s4"] }), "s9", Some("FORBIDDEN")),
        (json!({ "sub": "ada", "role": "worker" }), "s9", Some("FORBIDDEN")),
        (json!({ "sub": "ada", "site": "s9" }), "s9", Some("FORBIDDEN")),
    ] {
        session.renew(principal(catalog, &claims)).unwrap();
        let effects = receive(&mut session, &report(own));
        match code {
            Some(code) => assert_eq!(refusal(&effects), code, "{claims}"),
            None => assert!(matches!(effects.as_slice(), [Effect::Publish { .. }]), "{effects:?}"),
        }
    }
}
