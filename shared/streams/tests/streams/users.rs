//! The bucket of disabled users, and the watch over it.

use async_nats::jetstream;
use tidings_model::Tenant;
use tidings_streams::BucketSettings;
use tidings_streams::users::{Mark, Revocation, UserName, UserNews, UserState, UserWatch, Users};

use crate::support::SOON;

const SETTINGS: BucketSettings = BucketSettings { replicas: 1, in_memory: false };

fn name(user: &str) -> UserName {
    UserName::new(Tenant::parse("ops").unwrap(), user).unwrap()
}

fn mark() -> Mark {
    Mark { since: 7, by: "root".to_owned(), reason: None }
}

fn disabled() -> UserState {
    UserState { disabled: Some(mark()), revoked: None }
}

async fn next(watch: &mut UserWatch) -> UserNews {
    tokio::time::timeout(SOON, watch.next()).await.unwrap()
}

async fn all(watch: &mut UserWatch) -> Vec<UserName> {
    match next(watch).await {
        UserNews::All(_, all) => {
            let mut names: Vec<_> = all.into_keys().collect();
            names.sort();
            names
        }
        one @ UserNews::One(..) => panic!("expected everything, got {one:?}"),
    }
}

async fn one(watch: &mut UserWatch) -> (UserName, UserState) {
    match next(watch).await {
        UserNews::One(name, state) => (name, state.unwrap()),
        all @ UserNews::All(..) => panic!("expected one change, got {all:?}"),
    }
}

#[tokio::test]
async fn a_watch_tells_everything_and_then_each_change() {
    let nats = harness::nats().await;
    let users = Users::open(&jetstream::new(nats.client().await), SETTINGS).await.unwrap();
    assert_eq!(all(&mut users.watch()).await, []);
    for user in ["ada", "b.o *", "cy"] {
        users.disable(&name(user), &mark()).await.unwrap();
    }
    users.enable(&name("cy")).await.unwrap();
    let mut watch = users.watch();
    assert_eq!(all(&mut watch).await, [name("ada"), name("b.o *")]);
    users.enable(&name("ada")).await.unwrap();
    users.disable(&name("cy"), &mark()).await.unwrap();
    assert_eq!(one(&mut watch).await, (name("ada"), UserState::default()));
    assert_eq!(one(&mut watch).await, (name("cy"), disabled()));
}

#[tokio::test]
async fn after_a_crash_of_nats_everything_is_told_anew() {
    let mut nats = harness::nats().await;
    let users = Users::open(&jetstream::new(nats.client().await), SETTINGS).await.unwrap();
    users.disable(&name("ada"), &mark()).await.unwrap();
    let mut watch = users.watch();
    assert_eq!(all(&mut watch).await, [name("ada")]);
    nats.kill().await.unwrap();
    nats.restart().await.unwrap();
    let other = Users::open(&jetstream::new(nats.client().await), SETTINGS).await.unwrap();
    other.disable(&name("bo"), &mark()).await.unwrap();
    // The single change may arrive first, if the consumer was recreated in between.
    let told = harness::eventually("everything is told", SOON, async || match next(&mut watch).await {
        UserNews::All(_, all) if all.len() == 2 => Ok(all),
        other => Err(format!("{other:?}")),
    });
    assert_eq!(told.await[&name("bo")], Some(disabled()));
}

#[tokio::test]
async fn administrators_do_not_undo_each_other() {
    let nats = harness::nats().await;
    let users = Users::open(&jetstream::new(nats.client().await), SETTINGS).await.unwrap();
    let ada = name("ada");
    let revocation = |before| Revocation { before, by: "root".to_owned(), reason: None };
    let (earlier, later, mark) = (revocation(5), revocation(9), mark());
    let (disabled, ..) = tokio::join!(
        users.disable(&ada, &mark),
        users.revoke(&ada, &later),
        users.revoke(&ada, &earlier),
        users.revoke(&ada, &later),
    );
    disabled.unwrap();
    let both = UserState { disabled: Some(mark.clone()), revoked: Some(later.clone()) };
    assert_eq!(users.load(&ada).await.unwrap(), both);
    users.enable(&ada).await.unwrap();
    assert_eq!(users.load(&ada).await.unwrap(), UserState { disabled: None, revoked: Some(later) });
    assert_eq!(users.load(&name("bo")).await.unwrap(), UserState::default());
}

/// Other tools write and remove entries, too.
#[tokio::test]
async fn others_write_into_the_bucket() {
    let nats = harness::nats().await;
    let client = nats.client().await;
    let users = Users::open(&jetstream::new(client.clone()), SETTINGS).await.unwrap();
    let bucket = jetstream::new(client).get_key_value("USERS").await.unwrap();
    let mut watch = users.watch();
    assert_eq!(all(&mut watch).await, []);
    let entry = r#"{"version":1,"disabled":{"since":7,"by":"root","reason":null},"revoked":null}"#;
    bucket.put("ops.ada", entry.into()).await.unwrap();
    assert_eq!(one(&mut watch).await, (name("ada"), disabled()));
    bucket.delete("ops.ada").await.unwrap();
    assert_eq!(one(&mut watch).await, (name("ada"), UserState::default()));
    bucket.put("nobody", "{}".into()).await.unwrap();
    bucket.put("ops.bo", entry.into()).await.unwrap();
    assert_eq!(one(&mut watch).await, (name("bo"), disabled()));
}
