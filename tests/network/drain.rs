//! A gateway that is asked to end moves its clients to another one, and nobody notices more than a reconnect.

use futures_util::future::join_all;
use harness::{BOUND, Dial, SECRET, Setup, System, token};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::sync::watch;

/// Devices of the one user whom everything is sent to.
const DEVICES: usize = 12;
const GOING_AWAY: Option<u16> = Some(1001);

fn dial(address: &str, device: usize) -> Dial {
    let token = token(SECRET, json!({ "tenant": "ops", "sub": "crew" }));
    let dial = Dial::new(address).bearer(&token).query("device", &format!("device-{device}"));
    if is_sequenced(device) { dial.subprotocol("tidings.v1") } else { dial }
}

/// A third of the devices speaks no subprotocol.
fn is_sequenced(device: usize) -> bool {
    !device.is_multiple_of(3)
}

async fn notify(system: &System, title: &str) {
    let data = json!({ "userId": "crew", "title": title, "message": "", "type": "info", "priority": "low" });
    system.publish("ops", "notification.created", &data).await;
}

/// What a device has heard, over all of its connections.
#[derive(Default)]
struct Story {
    titles: Vec<String>,
    closes: Vec<Option<u16>>,
    /// The times that it was given to leave, in milliseconds.
    notices: Vec<u64>,
}

/// Listens, at the first gateway until that one closes, then at the second one, until it hears the last
/// title. A client of `tidings.v1` acknowledges each message as it comes.
async fn listen(
    first: String,
    second: String,
    device: usize,
    last: &str,
    connected: watch::Sender<usize>,
) -> Story {
    let mut story = Story::default();
    for address in [first, second] {
        let mut client = dial(&address, device).open().await;
        client.send_json(&json!({ "action": "ping" })).await;
        loop {
            let message = match client.next_json_or_close(BOUND).await {
                Ok(message) => message,
                Err(code) => break story.closes.push(code),
            };
            if let Some(time) = message["reconnect_in_ms"].as_u64() {
                story.notices.push(time);
            } else if message["action"] == "pong" {
                connected.send_modify(|connected| *connected += 1);
            } else if let Some(title) = message["data"]["title"].as_str() {
                story.titles.push(title.to_owned());
                if let Some(sequence) = message["seq"].as_u64() {
                    client.send_json(&json!({ "action": "ack", "seq": sequence })).await;
                }
                if title == last {
                    return story;
                }
            }
        }
    }
    panic!("both gateways closed before the last message: {:?}", story.closes)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_load_everybody_moves_and_hears_everything_once() {
    let system = Setup::default().variable("TIDINGS_GATEWAY__DRAIN_TIME", "2s").start().await;
    let other = system.another_gateway(&[]).await;
    let connected = watch::Sender::new(0);
    let addresses = (system.address().to_owned(), other.address.clone());
    let devices: Vec<_> = (0..DEVICES)
        .map(|device| {
            let (first, second) = addresses.clone();
            tokio::spawn(listen(first, second, device, "last", connected.clone()))
        })
        .collect();
    let mut count = connected.subscribe();
    count.wait_for(|connected| *connected == DEVICES).await.unwrap();

    let mut sent = Vec::new();
    let mut tell = async |title: String| {
        notify(&system, &title).await;
        sent.push(title);
    };
    tell("first".to_owned()).await;
    system.gateway.signal(Signal::TERM);
    // Without a pause, for as long as anybody is on the way.
    let mut number = 0;
    while *count.borrow_and_update() < 2 * DEVICES {
        number += 1;
        tell(number.to_string()).await;
    }
    tell("last".to_owned()).await;

    for (device, story) in join_all(devices).await.into_iter().enumerate() {
        let story = story.unwrap();
        assert_eq!(story.titles, sent, "device {device}");
        assert_eq!(story.closes, [GOING_AWAY], "device {device}");
        let told = usize::from(is_sequenced(device));
        assert_eq!(story.notices.len(), told, "device {device}: {:?}", story.notices);
    }
    let System { gateway, projector, nats, .. } = system;
    let (status, output) = gateway.end(BOUND).await;
    assert!(status.success() && !output.contains("panicked"), "{status}:\n{output}");
    drop((other, projector, nats));
}

#[tokio::test]
async fn while_it_drains_the_open_are_served_and_the_new_are_sent_elsewhere() {
    const HOUR: u64 = 60 * 60 * 1000;
    let setup = Setup::default().variable("TIDINGS_GATEWAY__DRAIN_TIME", "1h");
    let system = setup.variable("TIDINGS_GATEWAY__WORKERS", "1").start().await;
    let mut clients = Vec::new();
    for device in (0..3 * DEVICES).filter(|device| is_sequenced(*device)).take(DEVICES) {
        let mut client = dial(system.address(), device).open().await;
        client.until(BOUND, |message| message["action"] == "caught_up").await;
        clients.push(client);
    }
    let ready = || async {
        let answer = reqwest::get(format!("{}/readyz", system.address())).await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    assert_eq!(ready().await, (200, "ready\n".to_owned()));
    system.gateway.signal(Signal::TERM);

    // Each has a part of the time to itself, and the order is not that of their coming.
    let mut moments = Vec::new();
    for client in &mut clients {
        let draining = client.next_json(BOUND).await;
        assert_eq!(draining["action"], "draining", "{draining}");
        moments.push(draining["reconnect_in_ms"].as_u64().unwrap());
    }
    let part = HOUR / DEVICES as u64;
    let mut sorted = moments.clone();
    sorted.sort_unstable();
    for (place, moment) in sorted.iter().enumerate() {
        assert_eq!(usize::try_from(moment / part).unwrap(), place, "{moments:?}");
    }
    assert_ne!(moments, sorted);

    let (status, body) = ready().await;
    assert_eq!((status, code(&body)), (503, json!("DRAINING")));
    let refusal = dial(system.address(), 1).refused().await;
    assert_eq!((refusal.status, code(&refusal.body)), (503, json!("DRAINING")));
    assert!(refusal.headers.contains_key("retry-after"), "{:?}", refusal.headers);

    notify(&system, "still served").await;
    let last = moments.iter().zip(&mut clients).max_by_key(|(moment, _)| **moment);
    let (_, last) = last.unwrap();
    assert_eq!(last.next_json(BOUND).await["data"]["title"], "still served");

    // Whoever cannot wait signals again.
    let System { gateway, projector, nats, .. } = system;
    gateway.signal(Signal::TERM);
    let (status, output) = gateway.end(BOUND).await;
    assert_eq!(status.code(), Some(128 + 15), "{output}");
    drop((projector, nats));
}

fn code(body: &str) -> Value {
    serde_json::from_str::<Value>(body).unwrap()["code"].take()
}

/// With nobody to move, nothing is waited for.
#[tokio::test]
async fn an_idle_gateway_ends_at_once() {
    let system = Setup::default().variable("TIDINGS_GATEWAY__DRAIN_TIME", "1h").start().await;
    dial(system.address(), 0).open().await.close().await;
    let System { gateway, projector, nats, .. } = system;
    gateway.signal(Signal::TERM);
    let (status, output) = gateway.end(BOUND).await;
    assert!(status.success(), "{status}:\n{output}");
    drop((projector, nats));
}
