//! All channels as one: each delivery goes by the channel of its target, if that is configured.

use tidings_channels::{
    Accepted, Channel, Channels, Delivery, Failed, SnsTarget, Subscription, SubscriptionKeys, Target,
};
use tidings_model::ChannelKind;
use tidings_runtime::config::{Config, EmailConfig, Secret, SnsConfig, WebPushConfig};

use crate::delivery;
use crate::receiver::Receiver;
use crate::webhook::{config, target};

#[tokio::test]
async fn a_delivery_goes_by_the_channel_of_its_target() {
    let receiver = Receiver::start().await;
    // A delivery is stored between its attempts.
    let stored = serde_json::to_vec(&delivery(target("https://shop.example/"))).unwrap();
    let read: Delivery = tidings_model::json::read(&stored).unwrap();
    assert_eq!(read, delivery(target("https://shop.example/")));

    let few = Channels::new(&Config { webhook: config(), ..Config::default() }).unwrap();
    let outcome = few.send(&delivery(target(format!("http://{}/", receiver.address)))).await;
    assert_eq!(outcome, Ok(Accepted { reference: None }));
    assert_eq!(receiver.take().len(), 1);
    let keys = SubscriptionKeys { p256dh: String::new(), auth: String::new() };
    let subscription = Subscription { endpoint: "https://push.example/".to_owned(), keys };
    for (target, key) in [
        (Target::Email("ada@example.com".to_owned()), "email.server"),
        (Target::Sns(SnsTarget::PhoneNumber("+4930123456".to_owned())), "sns.region"),
        (Target::WebPush(subscription), "web_push.vapid_key"),
    ] {
        let outcome = few.send(&delivery(target)).await;
        let Err(Failed::Never { reason }) = outcome else { panic!("{outcome:?}") };
        assert!(reason.ends_with(&format!("is not configured; set {key}")), "{reason}");
    }
    assert_eq!(ChannelKind::ALL.map(|kind| few.has(kind)), [true, false, false, false]);

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
    let all = Channels::new(&Config { email, sns, web_push, ..Config::default() }).unwrap();
    assert_eq!(ChannelKind::ALL.map(|kind| all.has(kind)), [true; 4]);
    assert_eq!((few.web_push_key(), all.web_push_key().map(str::len)), (None, Some(87)));
}
