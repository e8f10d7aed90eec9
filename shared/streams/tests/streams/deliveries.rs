//! What waits in `DELIVERIES`.

use std::time::Duration;

use futures_util::TryStreamExt as _;
use tidings_model::{DeliveryName, Tenant};
use tidings_streams::deliveries::{Deliveries, Pending};
use time::OffsetDateTime;

use crate::support::Scene;

/// nats-server was killed when it had stored what is due, and before it had purged where that waited: it does both once more.
#[tokio::test]
async fn the_next_attempt_stays_when_nats_stores_the_last_one_as_due_again() {
    let scene = Scene::new().await;
    let deliveries = Deliveries::open(&scene.topology).await.unwrap();
    let tenant = Tenant::parse("t").unwrap();
    let event = "18f3a0c2b41-42".parse().unwrap();
    let name =
        DeliveryName { tenant: tenant.clone(), user: "ada".to_owned(), event, message: 0, fallback: 0 };
    let pending = |attempts| Pending {
        subject: "envelopes.t.1".to_owned(),
        sequence: 1,
        origin: "18f3a0c2b41-42/0/0".to_owned(),
        event: "one".to_owned(),
        source: None,
        channel: "webhook".to_owned(),
        attempts,
        retry: None,
    };
    let hours = |hours: u64| OffsetDateTime::now_utc() + Duration::from_secs(hours * 3_600);
    deliveries.schedule(&name, &pending(0), hours(1)).await.unwrap();
    let first = scene.last("DELIVERIES").await;
    // The last is held, and not attempted again.
    for (fact, attempts) in [(1, 1), (2, 2), (3, 2)] {
        // Twice, as if there had been no answer.
        for _ in 0..2 {
            deliveries.schedule_again(&name, &pending(attempts), hours(2), fact).await.unwrap();
        }
    }
    scene.store_as_due(&first).await;
    deliveries.schedule(&name, &pending(0), hours(1)).await.unwrap();
    let subjects: Vec<_> = {
        let stream = scene.stream("DELIVERIES").await;
        let info = stream.info_with_subjects(DeliveryName::all_waiting(&tenant, Some("ada"))).await.unwrap();
        info.try_collect().await.unwrap()
    };
    let mut found: Vec<_> = subjects.into_iter().map(|(subject, _)| subject).collect();
    found.sort();
    assert_eq!(found, [1, 2, 3].map(|fact| name.waiting(fact)));
    assert_eq!(scene.last("DELIVERIES").await.subject.as_str(), name.due());
    let removed = tidings_streams::deliveries::purge_user(&scene.topology, &tenant, "ada").await.unwrap();
    assert_eq!(removed, 4);
}
