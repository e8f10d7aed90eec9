//! What users want decides: switches, mute, quiet hours, and whether they are disabled.

use std::time::Duration;

use futures_util::TryStreamExt as _;
use harness::{BOUND, eventually};
use tidings_model::ChannelKind;
use tidings_preferences::{Category, ClockTime, Preferences, QuietHours};
use tidings_streams::deliveries::Status::{self, Attempted, Delayed, Sent, Skipped};
use tidings_streams::users::{Mark, UserName};
use time::OffsetDateTime;

use crate::support::{Scene, tenant, to};

fn name(user: &str) -> UserName {
    UserName::new(tenant(), user).unwrap()
}

async fn set(scene: &Scene, user: &str, change: impl Fn(&mut Preferences)) {
    scene.preferences.change(&name(user), change).await.unwrap();
}

fn category(name: &str) -> Category {
    Category::parse(name).unwrap()
}

/// Quiet hours of an hour that end within 20 to 80 seconds.
fn almost_over() -> QuietHours {
    let shown =
        |at: OffsetDateTime| -> ClockTime { format!("{:02}:{:02}", at.hour(), at.minute()).parse().unwrap() };
    let end = OffsetDateTime::now_utc() + time::Duration::seconds(80);
    QuietHours::new(shown(end - time::Duration::hours(1)), shown(end), "UTC").unwrap()
}

#[tokio::test]
async fn what_is_switched_off_or_muted_is_skipped_and_what_is_critical_is_not() {
    let scene = Scene::new().await;
    let dispatcher = scene.leading().await;
    let now = OffsetDateTime::now_utc();
    set(&scene, "off", |wants| wants.switch(category("note"), ChannelKind::Webhook, false)).await;
    set(&scene, "on", |wants| wants.switch(category("offers"), ChannelKind::Webhook, true)).await;
    set(&scene, "mute", |wants| wants.muted_until = Some(now + time::Duration::HOUR)).await;
    set(&scene, "loud", |wants| wants.muted_until = Some(now)).await;
    let mark = Mark { since: 1, by: "root".to_owned(), reason: None };
    scene.users.disable(&name("gone"), &mark).await.unwrap();
    let bucket = scene.topology.context().get_key_value("PREFERENCES").await.unwrap();
    bucket.put("t.broken", "nothing, please".into()).await.unwrap();
    for user in ["off", "on", "mute", "loud", "gone", "broken"] {
        for (n, event) in (0..).zip(["note.added", "offer.made", "alarm.raised"]) {
            scene.send(event, to(user, n)).await;
        }
    }
    let is_off = "the user has switched off webhook for note";
    let by_catalog = "webhook is off for offers by the catalog, and the user has not switched it on";
    for (user, skipped, sent) in [
        ("off", &[is_off, by_catalog][..], &[2][..]),
        ("on", &[], &[0, 1, 2]),
        ("mute", &[by_catalog, "the user is muted until"], &[2]),
        ("loud", &[by_catalog], &[0, 2]),
        ("gone", &["the user is disabled"; 3], &[]),
        ("broken", &["cannot be read, and the user receives by channels only what is critical"; 2], &[2]),
    ] {
        let decided = scene.decided(user, 3).await;
        let reasons: Vec<_> = decided.iter().filter(|(status, _)| *status == Skipped).collect();
        assert_eq!(reasons.len(), skipped.len(), "{user}: {decided:?}");
        for expected in skipped {
            assert!(reasons.iter().any(|(_, reason)| reason.contains(expected)), "{user}: {reasons:?}");
        }
        let mut found: Vec<_> =
            scene.receiver.sent_to(user).into_iter().map(|(_, _, n)| n["n"].as_u64().unwrap()).collect();
        found.sort_unstable();
        assert_eq!(found, sent, "{user}");
    }
    scene.is_done().await;
    dispatcher.stop().await;
}

/// It waits until the hours are over, over the end of its dispatcher, and everything is looked at again then.
#[tokio::test]
async fn what_is_due_in_quiet_hours_waits_and_is_looked_at_again() {
    let scene = Scene::new().await;
    let first = scene.leading().await;
    let start = scene.start().await;
    let hours = almost_over();
    let users = ["ada", "bob", "carl", "dan"];
    for user in users {
        set(&scene, user, |wants| wants.quiet_hours = Some(hours.clone())).await;
        scene.stands(user, "phone", start, &[&format!("user:{user}")]).await;
    }
    let mut at = start;
    for (n, user) in (0..).zip(users) {
        at = scene.send("note.added", to(user, n)).await;
    }
    scene.send("alarm.raised", to("dan", 9)).await;
    for user in users {
        eventually("it is held", BOUND, async || {
            let facts = scene.facts(user).await;
            let held = facts.iter().find(|stored| stored.fact.status == Delayed);
            held.map(|held| held.fact.clone()).ok_or(format!("{facts:?}"))
        })
        .await;
    }
    assert_eq!(scene.decided("dan", 1).await.last().unwrap().0, Sent, "what is critical is not held");
    first.kill().await;
    let second = scene.dispatcher().await;
    let waiting = eventually("all of it waits", BOUND, async || {
        let waiting: Vec<_> = scene.deliveries.waiting(&tenant(), None).try_collect().await.unwrap();
        if waiting.len() == users.len() { Ok(waiting) } else { Err(format!("{waiting:?}")) }
    })
    .await;
    let facts = scene.facts("ada").await;
    assert_eq!(facts[0].fact.next, Some(waiting[0].due));
    assert_eq!(facts[0].fact.reason.as_deref(), Some(format!("quiet hours, {hours}").as_str()));
    // Meanwhile bob's phone receives it, and carl switches it off.
    scene.stands("bob", "phone", at, &["user:bob"]).await;
    set(&scene, "carl", |wants| wants.switch(category("note"), ChannelKind::Webhook, false)).await;
    let decided = async |user: &str, count: usize| {
        let minute = BOUND + Duration::from_secs(90);
        let ended = async || {
            let facts = scene.facts(user).await;
            let ended = facts.iter().filter(|stored| stored.fact.status.is_final()).count() == count;
            let statuses = facts.iter().map(|stored| stored.fact.status);
            if ended { Ok(statuses.collect::<Vec<Status>>()) } else { Err(format!("{facts:?}")) }
        };
        eventually("it is decided after the quiet hours", minute, ended).await
    };
    assert_eq!(decided("ada", 1).await, [Delayed, Attempted, Sent]);
    assert_eq!(decided("bob", 1).await, [Delayed, Skipped]);
    assert_eq!(decided("carl", 1).await, [Delayed, Skipped]);
    assert_eq!(decided("dan", 2).await.len(), 5);
    scene.is_done().await;
    second.stop().await;
    let sent: Vec<_> = scene.receiver.sent().into_iter().map(|(user, ..)| user).collect();
    assert_eq!(sent.iter().filter(|user| *user == "ada").count(), 1);
    assert!(!sent.iter().any(|user| user == "bob" || user == "carl"), "{sent:?}");
}
