//! The channels that a configuration has.

use tidings_channels::{Accepted, Channels, Delivery};
use tidings_model::ChannelKind;
use tidings_runtime::config::{Config, EmailConfig, Secret, SnsConfig, WebPushConfig};

use crate::delivery;
use crate::receiver::Receiver;
use crate::webhook::{config, target};

#[tokio::test]
async fn the_channels_are_those_that_are_configured() {
    let receiver = Receiver::start().await;
    // A delivery is stored between its attempts.
    let stored = serde_json::to_vec(&delivery(target("https://shop.example/"))).unwrap();
    let read: Delivery = tidings_model::json::read(&stored).unwrap();
    assert_eq!(read, delivery(target("https://shop.example/")));

    let there = |channels: &Channels| ChannelKind::ALL.map(|kind| channels.get(kind).is_some());
    let plain = Config { webhook: config(), ..Config::default() };
    assert_eq!(there(&Channels::new(&plain, false).unwrap()), [false; 4]);
    let few = Channels::new(&plain, true).unwrap();
    assert_eq!(there(&few), [true, false, false, false]);
    let webhook = few.get(ChannelKind::Webhook).unwrap();
    let outcome = webhook.send(&delivery(target(format!("http://{}/", receiver.address)))).await;
    assert_eq!(outcome, Ok(Accepted { reference: None }));
    assert_eq!(receiver.take().len(), 1);

    let email = EmailConfig {
        server: Some("localhost".to_owned()),
        from: Some("no-reply@acme.example".to_owned()),
        ..EmailConfig::default()
    };
    let sns = SnsConfig {
        region: Some("eu-central-1".to_owned()),
        access_key_id: Some("AKIDEXAMPLE".to_owned()),
        secret_access_key: Some(Secret::new(*b"secret")),
        ..SnsConfig::default()
    };
    let web_push = WebPushConfig {
        vapid_key: Some(Secret::new(*b"yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw")),
        contact: Some("mailto:ops@acme.example".to_owned()),
        ..WebPushConfig::default()
    };
    let all = Channels::new(&Config { email, sns, web_push, ..Config::default() }, true).unwrap();
    assert_eq!(there(&all), [true; 4]);
    assert_eq!((few.web_push_key(), all.web_push_key().map(str::len)), (None, Some(87)));
}
