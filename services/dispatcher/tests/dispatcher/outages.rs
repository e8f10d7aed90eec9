//! Receivers that are down for three hours, by the clock that is passed in: of each channel, each contact has the message once
//! afterwards, under the id of the first attempt.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use harness::{Authority, Receiver};
use tidings_channels::{
    Channels, SigningKey, SnsTarget, Subscription, SubscriptionKeys, Target, WebhookTarget,
};
use tidings_dispatcher::{Destination, Targets, Unreachable};
use tidings_model::{ChannelKind, Tenant};
use tidings_runtime::config::{
    Config, EmailConfig, Secret, SmtpTls, SnsConfig, WebPushConfig, WebhookConfig,
};
use tidings_streams::deliveries::Status::{Attempted, Delayed, Sent};
use time::{Duration, OffsetDateTime};

use crate::support::{Scene, to};

/// The waits between attempts, and how many of them begin within three hours.
const WAITS: [Duration; 6] = [
    Duration::seconds(5),
    Duration::minutes(5),
    Duration::minutes(30),
    Duration::hours(2),
    Duration::hours(5),
    Duration::hours(10),
];
const DOWN: Duration = Duration::hours(3);

/// Yesterday: whatever is to wait by this clock is due at once by that of JetStream.
fn yesterday() -> OffsetDateTime {
    OffsetDateTime::now_utc() - Duration::days(1)
}

/// How a receiver answers its attempts: it is down for three hours from the first on.
fn down(
    refusal: (u16, &'static str),
    good: (u16, &'static str),
) -> impl Fn(&harness::Received) -> (u16, String) + Send + Sync {
    let attempts = AtomicU32::new(0);
    let (refusal, good) = ((refusal.0, refusal.1.to_owned()), (good.0, good.1.to_owned()));
    move |_| {
        let before = attempts.fetch_add(1, Ordering::SeqCst) as usize;
        let passed: Duration = WAITS.iter().take(before).sum();
        if passed < DOWN { refusal.clone() } else { good.clone() }
    }
}

struct Everywhere(Vec<Target>);

#[async_trait]
impl Targets for Everywhere {
    async fn targets(
        &self,
        _tenant: &Tenant,
        _user: &str,
        channel: ChannelKind,
    ) -> Result<Vec<Destination>, Unreachable> {
        let of_channel = self.0.iter().filter(|target| target.channel() == channel).cloned();
        Ok(of_channel.map(|target| Destination { id: "one".to_owned(), target }).collect())
    }

    async fn gone(&self, _tenant: &Tenant, _user: &str, id: &str, reason: &str) {
        panic!("{id} is gone: {reason}");
    }
}

#[tokio::test]
async fn a_receiver_that_was_down_for_three_hours_has_each_message_once_afterwards() {
    let (scene, authority, folder) = (Scene::new().await, Authority::new(), tempfile::tempdir().unwrap());
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, authority.certificate()).unwrap();
    let webhook = Receiver::http(None, down((503, ""), (204, ""))).await;
    let mail = Receiver::mail(down((451, "4.3.0 not now"), (250, "2.0.0 queued"))).await;
    let sns = Receiver::http(None, down((503, ""), (200, "<MessageId>m</MessageId>"))).await;
    let push = Receiver::http(Some(&authority), down((503, ""), (201, ""))).await;
    let networks = vec!["127.0.0.0/8".parse().unwrap()];
    let config = Config {
        webhook: WebhookConfig { allow_http: true, allowed_networks: networks.clone(), ..Default::default() },
        email: EmailConfig {
            server: Some("127.0.0.1".to_owned()),
            port: mail.address.port(),
            tls: SmtpTls::Off,
            from: Some("no-reply@acme.example".to_owned()),
            ..Default::default()
        },
        sns: SnsConfig {
            region: Some("eu-central-1".to_owned()),
            endpoint: Some(format!("http://{}", sns.address)),
            access_key_id: Some("A".to_owned()),
            secret_access_key: Some(Secret::new(*b"s")),
            ..Default::default()
        },
        web_push: WebPushConfig {
            vapid_key: Some(Secret::new(*b"yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw")),
            contact: Some("mailto:ops@acme.example".to_owned()),
            allowed_networks: networks,
            tls_ca: Some(ca),
            ..Default::default()
        },
        ..Default::default()
    };
    let keys = SubscriptionKeys {
        p256dh: "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
            .to_owned(),
        auth: "BTBZMqHH6r4Tts7J_aSIgg".to_owned(),
    };
    let targets = Everywhere(vec![
        Target::Webhook(WebhookTarget {
            url: format!("http://{}/", webhook.address),
            keys: vec![SigningKey::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap()],
        }),
        Target::Email("ada@example.com".to_owned()),
        Target::Sns(SnsTarget::PhoneNumber("+4930123456".to_owned())),
        Target::WebPush(Subscription { endpoint: format!("https://{}/", push.address), keys }),
    ]);
    let channels = Channels::new(&config, true).unwrap();
    let dispatcher = scene.dispatcher_with(channels, Arc::new(targets), yesterday).await;
    scene.is_read().await;
    scene.send("everywhere.added", to("ada", 1)).await;
    scene.decided("ada", 4).await;
    scene.is_done().await;
    let facts = scene.facts("ada").await;
    for (channel, receiver) in [("webhook", &webhook), ("email", &mail), ("sns", &sns), ("web_push", &push)] {
        let of_channel: Vec<_> = facts.iter().filter(|stored| stored.fact.channel == channel).collect();
        let statuses: Vec<_> = of_channel.iter().map(|stored| stored.fact.status).collect();
        let expected = [[Attempted, Delayed]; 5].into_iter().chain([[Attempted, Sent]]).flatten();
        assert_eq!(statuses, expected.collect::<Vec<_>>(), "{channel}");
        assert!(of_channel.iter().all(|stored| stored.fact.delivery == of_channel[0].fact.delivery));
        let delayed = of_channel.iter().filter_map(|stored| Some((stored.at, stored.fact.next?)));
        for ((at, next), wait) in delayed.zip(WAITS) {
            // Between the clock's time and the storing of the fact lies a moment.
            let off = at - Duration::days(1) + wait - next;
            assert!(off >= Duration::ZERO && off < Duration::minutes(1), "{channel}: {next} after {wait}");
        }
        // The last attempt alone was accepted.
        assert_eq!(receiver.received().len(), 6, "{channel}");
    }
    let ids: Vec<_> =
        webhook.received().into_iter().map(|request| request.headers["webhook-id"].clone()).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    dispatcher.stop().await;
}
