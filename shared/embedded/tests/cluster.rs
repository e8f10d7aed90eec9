//! Several servers as one cluster.

#![expect(clippy::expect_used, clippy::unwrap_used, reason = "helpers fail a test by panicking")]

use async_nats::jetstream::{self, stream::Config};
use tidings_embedded::{Cluster, ClusterOptions};

async fn stream(cluster: &Cluster) -> jetstream::Context {
    let servers: Vec<&str> = cluster.servers().iter().map(tidings_embedded::NatsServer::url).collect();
    jetstream::new(async_nats::connect(servers).await.unwrap())
}

async fn publish(context: &jetstream::Context) -> u64 {
    loop {
        // A stream without a leader answers nothing.
        if let Ok(sent) = context.publish("s", "x".into()).await
            && let Ok(stored) = sent.await
        {
            return stored.sequence;
        }
    }
}

#[tokio::test]
async fn a_cluster_stores_three_copies_and_survives_the_loss_of_one() {
    let folder = tempfile::tempdir().unwrap();
    let options = ClusterOptions::new(folder.path()).config("jetstream { sync_interval: always }");
    let mut cluster = Cluster::start(options).await.unwrap();
    let context = stream(&cluster).await;
    let config = Config { name: "s".into(), num_replicas: 3, ..Config::default() };
    let info = context.create_stream(config).await.unwrap().cached_info().clone();
    assert_eq!(info.cluster.unwrap().replicas.len(), 2);
    assert_eq!(publish(&context).await, 1);

    // Killed, wiped and started again: stored messages remain.
    cluster.servers_mut()[0].kill().await.unwrap();
    let stored = publish(&context).await;
    cluster.servers_mut()[0].wipe().await.unwrap();
    cluster.servers_mut()[0].restart().await.unwrap();
    cluster.is_led().await;
    assert!(publish(&context).await > stored);
    is_current(&context).await;

    cluster.servers()[0].pause().unwrap();
    cluster.servers()[0].resume().unwrap();
    publish(&context).await;
}

/// Waits until every replica is current: only then may another one be lost.
async fn is_current(context: &jetstream::Context) {
    let waiting = async {
        loop {
            let info = match context.get_stream("s").await {
                Ok(mut stream) => stream.info().await.ok().cloned(),
                Err(_) => None,
            };
            let replicas =
                info.and_then(|info| info.cluster).map(|cluster| cluster.replicas).unwrap_or_default();
            if replicas.len() == 2 && replicas.iter().all(|replica| replica.current && !replica.offline) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), waiting).await.expect("the replicas catch up");
}
