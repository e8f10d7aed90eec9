//! What a producer's NATS user must be permitted, and what it hears if it asks for more.

use harness::nats_with;
use tidings_producer::{ConnectOptions, Event, Producer, PublishError, Settings};
use tidings_streams::{Topology, topology::Settings as StreamSettings};

use crate::support::{numbered, stream_settings};

/// A producer that may hear nothing but answers of its own, and a user who makes the streams.
const USERS: &str = r#"
authorization {
  users = [
    { user: admin, password: a }
    { user: producer, password: p, permissions: {
        publish: ["events.ops.>"], subscribe: ["_INBOX_ops_producer.>"]
    } }
  ]
}
"#;

#[tokio::test]
async fn publishing_and_an_inbox_are_enough() {
    let nats = nats_with(|options| options.config(USERS)).await;
    let admin = ConnectOptions::with_user_and_password("admin".to_owned(), "a".to_owned());
    let wanted: StreamSettings = stream_settings();
    Topology::ensure(&admin.connect(nats.url()).await.unwrap(), &wanted).await.unwrap();
    let settings = || {
        let user = ConnectOptions::with_user_and_password("producer".to_owned(), "p".to_owned());
        Settings::new(nats.url(), "/test").options(user).patience(std::time::Duration::from_secs(1))
    };

    let producer = Producer::connect("ops", settings()).await.unwrap();
    assert_eq!(producer.publish(numbered(1)).await.unwrap().sequence, 1);

    // Another tenant's events are refused, each of them, and nothing waits behind them for ever.
    let foreign = Producer::connect("shelter", settings().inbox_prefix("_INBOX_ops_producer")).await.unwrap();
    for n in 0..2 {
        let refused = foreign.publish(Event { id: n.to_string(), ..numbered(n) }).await.unwrap_err();
        let PublishError::Refused { reason, .. } = refused else { panic!("{refused}") };
        assert!(reason.contains("events.shelter.note.added"), "{reason}");
    }
    let wrong = ConnectOptions::with_user_and_password("producer".to_owned(), "wrong".to_owned());
    let error =
        Producer::connect("ops", Settings::new(nats.url(), "/test").options(wrong)).await.unwrap_err();
    assert!(error.to_string().contains(nats.url()), "{error}");
}
