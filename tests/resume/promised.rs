//! What a message to a client may be: never longer than is promised, in whatever form, and nothing behind it waits in vain.

use serde_json::json;

use crate::dial::dial;
use crate::site::Site;
use crate::wire::Wire;

/// `gateway.max_message_bytes`, and what a client reads at most that believes it.
const MOST: usize = 4096;

/// A note whose plain body has exactly so many bytes.
async fn note_of(site: &Site, n: u64, length: usize) {
    let empty = json!({ "n": n, "padding": "" }).to_string().len();
    let padding = "x".repeat(length - empty);
    site.publish("note.sent", json!({ "user": "ada", "n": n, "padding": padding })).await;
}

#[tokio::test]
async fn nothing_longer_than_promised_is_sent_and_what_follows_arrives() {
    let site = Site::setup().variable("TIDINGS_GATEWAY__MAX_MESSAGE_BYTES", &MOST.to_string()).start().await;
    let gateway = site.gateway().await;
    let mut plain = dial("ada").device("plain").open(&gateway).await;
    plain.silence().await;
    let mut live = dial("ada").device("live").returns(&gateway).await.wire;
    dial("ada").device("away").returns(&gateway).await.leave().await;
    note_of(&site, 1, MOST).await;
    note_of(&site, 2, MOST + 1).await;
    note_of(&site, 3, MOST - 100).await;

    assert_eq!(plain.message().await["n"], 1, "as it is, it is no longer than promised");
    let told = plain.message().await;
    assert_eq!(told["data"]["code"], "MESSAGE_TOO_LARGE", "{told}");
    assert_eq!(plain.message().await["n"], 3);

    // With `seq` and `id` in front the first is too long, too. Each is told of once, in its place.
    let check = async |wire: &mut Wire| {
        let mut last = 0;
        for expected in [None, None, Some(3)] {
            let message = wire.message().await;
            assert!(message.to_string().len() <= MOST, "{} bytes", message.to_string().len());
            if let Some(n) = expected {
                assert_eq!(message["n"], n);
            } else {
                assert_eq!(message["data"]["code"], "MESSAGE_TOO_LARGE", "{message}");
                assert_eq!(message["data"]["event_id"], message["id"]);
            }
            let sequence = message["seq"].as_u64().unwrap();
            assert!(sequence > last);
            last = sequence;
        }
        wire.ack(last).await;
    };
    check(&mut live).await;
    let mut away = dial("ada").device("away").sequenced().open(&gateway).await;
    assert_eq!(away.message().await["action"], "welcome");
    check(&mut away).await;
    away.until(|message| message["action"] == "caught_up").await;
    away.close().await;
    site.left("ada", "away").await;
    assert!(dial("ada").device("away").returns(&gateway).await.missed.is_empty(), "once");
    gateway.stop().await;
}
