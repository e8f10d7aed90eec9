//! Saves that come late: from a gateway that was cut off while its tenant moved, or onto a state that NATS came back with.

use harness::{FlakyProxy, eventually};

use super::*;
use crate::dial::Return;

/// Ada, as soon as this gateway serves her where the tenant's envelopes are in this epoch.
async fn returns_to(gateway: &Gateway, epoch: &str) -> Return {
    eventually("the gateway serves the tenant where it is", BOUND, async || {
        let mut wire =
            dial("ada").sequenced().try_open(gateway).await.map_err(|error| format!("{error:?}"))?;
        let welcome = wire.message().await;
        wire.close().await;
        let is_there = epoch_of(welcome["position"].as_str().unwrap()) == epoch;
        if is_there { Ok(()) } else { Err(welcome.to_string()) }
    })
    .await;
    dial("ada").returns(gateway).await
}

#[tokio::test]
async fn no_late_save_leads_back_to_what_a_device_has_left() {
    let mut site = Site::setup().start().await;
    let cable = FlakyProxy::to(site.url()).await;
    let late = site.gateway_with(&[("TIDINGS_NATS__URL", cable.url())]).await;
    let other = site.gateway().await;
    let maker = Maker::instead_of_the_projector(&mut site).await;
    maker.second_shard(&site).await;
    let mut ada = dial("ada").returns(&late).await.wire;
    let older = site.consumer("ada", "d").await.unwrap();
    for making in [FIRST, ELSEWHERE] {
        for n in 1..=3 {
            maker.write(making, "ada", n).await;
        }
    }
    let heard = hear(&mut ada, 3).await;
    cable.pull();
    ada.ack(heard[1]["seq"].as_u64().unwrap()).await;
    ada.say(&json!({ "action": "ping" })).await;
    ada.until(|message| message["action"] == "pong").await;
    ada.close().await;

    // Elsewhere the tenant moves, and Ada with it; that gateway is killed once it has stored where she is.
    let since = maker.change_over("ENVELOPES_1", "places_1.lab", 1).await;
    let epoch = epoch_of(&since);
    let mut ada = returns_to(&other, epoch).await;
    assert_eq!(told(&ada.missed), [(1, "elsewhere"), (2, "elsewhere"), (3, "elsewhere")]);
    maker.write(ELSEWHERE, "ada", 4).await;
    let fourth = hear(&mut ada.wire, 4).await[0]["seq"].as_u64().unwrap();
    ada.wire.ack(fourth).await;
    site.acknowledged("ada", "d", fourth).await;
    let stored = site.consumer("ada", "d").await.unwrap();
    assert_eq!(epoch_of(stored["position"].as_str().unwrap()), epoch);
    other.kill().await;

    // The first one saves what it heard in the old shard.
    cable.plug();
    let mut back = returns_to(&late, epoch).await;
    assert_eq!((back.numbers(), &back.gap), (vec![], &None));

    // The bucket comes back with what was stored before all of this.
    maker.publish("$KV.CONSUMERS.lab.ada.d".to_owned(), HeaderMap::new(), older.to_string()).await;
    maker.write(ELSEWHERE, "ada", 5).await;
    let fifth = hear(&mut back.wire, 5).await[0]["seq"].as_u64().unwrap();
    back.wire.ack(fifth).await;
    site.acknowledged("ada", "d", fifth).await;
    back.wire.close().await;
    site.left("ada", "d").await;
    let back = returns_to(&late, epoch).await;
    assert_eq!((back.numbers(), &back.gap), (vec![], &None));
    back.leave().await;
    site.left("ada", "d").await;
    late.stop().await;

    // The placements, too: there is less than the device has been told of, which it is told once. What it acknowledges then
    // counts, though it is of an older generation.
    site.stream("KV_PLACEMENTS").await.purge().filter("$KV.PLACEMENTS.lab").await.unwrap();
    let gateway = site.gateway().await;
    let back = dial("ada").returns(&gateway).await;
    assert_eq!(told(&back.missed), [(1, "first"), (2, "first"), (3, "first")]);
    assert_eq!(back.gap.as_ref().unwrap()["reason"], "epoch");
    back.leave().await;
    site.left("ada", "d").await;
    let back = dial("ada").returns(&gateway).await;
    assert_eq!((back.numbers(), back.gap), (vec![], None));
    gateway.stop().await;
}
