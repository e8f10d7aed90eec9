//! Devices change the gateway as fast as they can, as a load balancer has them do: what was acknowledged at one does not
//! come again at the other.

use futures_util::future::join_all;
use harness::BOUND;

use crate::dial::dial;
use crate::site::Site;
use crate::wire::Heard;

const DEVICES: usize = 8;
/// How often each device changes the gateway.
const CHANGES: usize = 16;

fn user(number: usize) -> String {
    format!("u{number}")
}

/// Reads a few messages at one gateway, acknowledges them, and goes on at the other. The number of the next message.
async fn change_gateways(gateways: [&str; 2], user: String) -> u64 {
    let mut next = 1;
    for change in 0..CHANGES {
        let opened = dial(&user).sequenced().try_open_at(gateways[change % 2]).await;
        let mut wire = opened.unwrap_or_else(|refused| panic!("{user} is refused: {refused:?}"));
        let mut last = None;
        for _ in 0..=change % 3 {
            let (n, sequence) = loop {
                let message = wire.message().await;
                if let (Some(n), Some(sequence)) = (message["n"].as_u64(), message["seq"].as_u64()) {
                    break (n, sequence);
                }
            };
            assert_eq!(n, next, "{user} after {change} changes");
            (next, last) = (next + 1, Some(sequence));
        }
        wire.ack(last.unwrap()).await;
        wire.close().await;
    }
    next
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_at_one_gateway_does_not_come_again_at_the_other() {
    let site = Site::setup().start().await;
    let gateways = [site.gateway().await, site.gateway().await];
    for number in 0..DEVICES {
        dial(&user(number)).returns(&gateways[0]).await.leave().await;
    }
    let addresses = [gateways[0].address.as_str(), gateways[1].address.as_str()];
    let changing = join_all((0..DEVICES).map(|number| change_gateways(addresses, user(number))));
    let mut told = 0;
    let telling = async {
        loop {
            told += 1;
            for number in 0..DEVICES {
                site.note(&user(number), told).await;
            }
        }
    };
    let next = tokio::select! {
        next = changing => next,
        () = telling => unreachable!("it goes on until everybody has changed often enough"),
    };
    // Whoever leaves a gateway that dies receives everything at least once.
    let [former, other] = gateways;
    let mut wires = Vec::new();
    for number in 0..DEVICES {
        let mut wire = dial(&user(number)).returns(&former).await.wire;
        wire.say(&serde_json::json!({ "action": "ping" })).await;
        wires.push(wire);
    }
    former.kill().await;
    for (number, (mut wire, next)) in wires.into_iter().zip(next).enumerate() {
        while wire.next(BOUND).await != Heard::End {}
        site.note(&user(number), 1_000_000).await;
        let mut back = dial(&user(number)).sequenced().open(&other).await;
        let heard = back.until(|message| message["n"] == 1_000_000).await;
        let numbers: Vec<_> = heard.iter().filter_map(|message| message["n"].as_u64()).collect();
        assert!(
            numbers[0] <= next || numbers == [1_000_000],
            "{}: {numbers:?}, expected {next}",
            user(number)
        );
        assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1 || pair[1] == 1_000_000), "{numbers:?}");
    }
    other.stop().await;
}
