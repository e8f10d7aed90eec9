//! Tenants whose envelopes are rebuilt while a fallback waits.

use tidings_model::{Place, Placement, ShardNumber};
use tidings_streams::deliveries::Status::{Sent, Skipped};
use tidings_streams::{EnvelopeWriter, WriteMarkers};

use crate::support::{Scene, tenant, to};

#[tokio::test]
async fn a_rebuild_neither_repeats_nor_loses_what_waits() {
    let scene = Scene::new().await;
    let dispatcher = scene.leading().await;
    let start = scene.start().await;
    scene.stands("ada", "phone", start, &["user:ada"]).await;
    scene.stands("bob", "phone", start, &["user:bob"]).await;
    // Ada receives hers before the rebuild, bob neither then nor after it.
    let envelopes: Vec<_> =
        ["ada", "bob"].iter().flat_map(|user| scene.envelopes("wait.added", to(user, 1))).collect();
    let at = scene.write(&envelopes, 0, WriteMarkers::default()).await;
    scene.stands("ada", "phone", at, &[]).await;

    let shard = ShardNumber(0);
    let (topology, place) = (&scene.topology, Place { shard, generation: 1 });
    let request = |placement: &mut Placement| _ = placement.request(shard, None, 0);
    topology.placements().change(&tenant(), shard, request).await.unwrap();
    let through = WriteMarkers { through: Some(envelopes[1].origin.event), held_from: None };
    scene.write(&envelopes, 1, through).await;
    let (mut writer, _) = EnvelopeWriter::open(topology).await.unwrap();
    writer.announce(&tenant(), place, through).await.unwrap();
    writer.confirm().await.unwrap();
    let extent = topology.extent().await.unwrap();
    let since = tidings_model::Position { epoch: place.epoch(extent.epoch), sequence: extent.last };
    topology.placements().change(&tenant(), shard, |placement| placement.switch(place, since)).await.unwrap();
    let new = scene.envelopes("note.added", to("carl", 2));
    scene.write(&new, 1, WriteMarkers::default()).await;

    assert_eq!(scene.decided("carl", 1).await.last().unwrap().0, Sent, "what comes after the rebuild");
    assert_eq!(scene.decided("ada", 1).await, [(Skipped, "received on device \"phone\"".to_owned())]);
    assert_eq!(scene.decided("bob", 1).await.last().unwrap().0, Sent);
    scene.is_done().await;
    dispatcher.stop().await;
    assert_eq!(scene.receiver.sent().len(), 2);
}
