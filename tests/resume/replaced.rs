//! Messages that replace and retract others: who was away never has the old ones, who has them hears of it in order.

use serde_json::{Value, json};

use crate::dial::{dial, numbers};
use crate::site::Site;
use crate::wire::Wire;

async fn comment(site: &Site, what: &str, id: &str, n: u64) {
    site.publish(&format!("comment.{what}"), json!({ "user": "ada", "id": id, "n": n })).await;
}

async fn hears(wire: &mut Wire, expected: &[u64]) -> Vec<Value> {
    let last = expected[expected.len() - 1];
    let heard = wire.until(|message| message["n"] == last).await;
    assert_eq!(numbers(&heard), expected);
    heard
}

#[tokio::test]
async fn a_message_takes_the_place_of_another_for_those_who_are_there_and_those_who_were_away() {
    let (site, gateway) = Site::with_gateway().await;
    let other = site.gateway().await;
    for device in ["away", "away-longer"] {
        dial("ada").device(device).returns(&gateway).await.leave().await;
        site.left("ada", device).await;
    }
    let mut here = dial("ada").device("here").returns(&gateway).await.wire;
    let mut there = dial("ada").device("there").returns(&other).await.wire;
    let mut had = Vec::new();
    for device in ["had", "had-longer"] {
        had.push((device, dial("ada").device(device).returns(&gateway).await.wire));
    }
    comment(&site, "added", "a", 1).await;
    comment(&site, "added", "b", 2).await;
    for wire in [&mut here, &mut there] {
        hears(wire, &[1, 2]).await;
    }
    for (device, mut wire) in had {
        let heard = hears(&mut wire, &[1, 2]).await;
        wire.ack(heard[1]["seq"].as_u64().unwrap()).await;
        wire.close().await;
        site.left("ada", device).await;
    }
    comment(&site, "edited", "a", 3).await;
    comment(&site, "removed", "b", 4).await;
    comment(&site, "added", "c", 5).await;
    for wire in [&mut here, &mut there] {
        hears(wire, &[3, 4, 5]).await;
    }
    comment(&site, "edited", "c", 6).await;
    site.note("ada", 7).await;
    for wire in [&mut here, &mut there] {
        hears(wire, &[6, 7]).await;
    }
    let expected = [3, 4, 6, 7];
    site.read_by(&gateway).await;
    // From the mailbox, and from the stream itself.
    let small = site.gateway_with(&[("TIDINGS_GATEWAY__MAILBOX_REACH", "1")]).await;
    for (gateway, device) in [(&gateway, "away"), (&small, "had")] {
        let back = dial("ada").device(device).returns(gateway).await;
        assert_eq!((back.gap.clone(), back.numbers()), (None, expected.to_vec()), "{device}");
        back.wire.close().await;
    }

    site.run(&["projector", "rebuild", "--tenant", "lab"]).await;
    assert_eq!(site.count("ENVELOPES", "envelopes.lab~1.latest.user.ada.comment.>").await, 3);
    for (gateway, device) in [(&other, "away-longer"), (&gateway, "had-longer")] {
        let back = dial("ada").device(device).returns(gateway).await;
        assert_eq!((back.gap.clone(), back.numbers()), (None, expected.to_vec()), "{device}");
        back.wire.close().await;
    }
    comment(&site, "removed", "a", 8).await;
    for wire in [&mut here, &mut there] {
        hears(wire, &[8]).await;
    }
    for gateway in [gateway, other, small] {
        gateway.stop().await;
    }
}
