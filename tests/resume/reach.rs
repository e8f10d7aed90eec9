//! What a gateway does before it knows what lies where, and for those who stand further back than it knows.

use harness::{BOUND, eventually};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::dial::{Gateway, dial};
use crate::site::Site;
use crate::wire::Refused;

#[tokio::test]
async fn who_stands_before_the_mailbox_is_served_from_the_stream() {
    let (site, gateway) = Site::with_gateway().await;
    let users: Vec<String> = (0..12).map(|user| format!("user-{user}")).collect();
    for user in &users {
        dial(user).returns(&gateway).await.leave().await;
        site.left(user, "d").await;
    }
    let padding = "x".repeat(4096);
    for n in 1..=60 {
        for user in &users {
            site.publish("note.sent", json!({ "user": user, "n": n, "padding": padding })).await;
        }
        site.publish("gauge.read", json!({ "user": "user-0", "n": 1000 })).await;
    }
    site.read_by(&gateway).await;
    gateway.stop().await;
    // Most of it lies before the mailbox, and a window holds a part of it only.
    let small = [("TIDINGS_GATEWAY__MAILBOX_REACH", "100"), ("TIDINGS_GATEWAY__WINDOW_MESSAGES", "16")];
    let gateway = site.gateway_with(&small).await;
    // More clients that take nothing than may read from the stream at once keep nobody from it.
    let mut stalled = Vec::new();
    for user in &users[..6] {
        stalled.push(dial(user).sequenced().receive_buffer(4096).open(&gateway).await);
    }
    for user in &users[6..] {
        let back = dial(user).returns(&gateway).await;
        assert_eq!((back.gap.clone(), back.numbers()), (None, (1..=60).collect()), "{user}");
        back.leave().await;
        site.left(user, "d").await;
        assert_eq!(dial(user).returns(&gateway).await.missed.len(), 0, "{user}");
    }
    for wire in &mut stalled {
        let heard = wire.until(|message| message["action"] == "caught_up").await;
        assert_eq!(crate::dial::numbers(&heard[1..heard.len() - 1]), (1..=60).collect::<Vec<_>>());
    }
    gateway.stop().await;
}

#[tokio::test]
async fn retention_below_the_mailbox_is_told() {
    let (site, gateway) = Site::with_gateway().await;
    dial("ada").returns(&gateway).await.leave().await;
    site.left("ada", "d").await;
    for n in 1..=50 {
        site.note("ada", n).await;
    }
    let last = site.projected().await;
    gateway.stop().await;
    let gateway = site.gateway_with(&[("TIDINGS_GATEWAY__MAILBOX_REACH", "10")]).await;
    site.remove_through(last - 20).await;
    let back = eventually("the gateway sees what was removed", BOUND, async || {
        let back = dial("ada").returns(&gateway).await;
        if back.gap.is_some() { Ok(back) } else { Err("no gap") }
    })
    .await;
    assert_eq!(back.numbers(), (31..=50).collect::<Vec<_>>());
    assert_eq!(back.gap.unwrap()["reason"], "retention");
    gateway.stop().await;
}

#[tokio::test]
async fn who_comes_before_the_gateway_is_ready_waits() {
    let (site, gateway) = Site::with_gateway().await;
    dial("ada").returns(&gateway).await.leave().await;
    site.left("ada", "d").await;
    site.note("ada", 1).await;
    site.projected().await;
    gateway.stop().await;

    let (patient, impatient) = (Gate::before(site.url()).await, Gate::before(site.url()).await);
    let mut starting = site.unready_gateway(&[("TIDINGS_NATS__URL", &patient.url)]).await;
    let hasty =
        [("TIDINGS_NATS__URL", impatient.url.as_str()), ("TIDINGS_GATEWAY__HANDSHAKE_TIMEOUT", "100ms")];
    let hasty = site.unready_gateway(&hasty).await;
    for gateway in [&starting, &hasty] {
        assert_eq!((status(gateway, "readyz").await, status(gateway, "healthz").await), (503, 200));
    }
    let refused = dial("ada").try_open(&hasty).await.unwrap_err();
    assert_eq!(refused, Refused::Status(503));

    let waiting = dial("ada").returns(&starting);
    let (back, ()) = tokio::join!(waiting, async {
        assert_eq!(status(&starting, "readyz").await, 503);
        patient.open();
    });
    assert_eq!((back.gap.clone(), back.numbers()), (None, vec![1]));
    starting.process.line("the gateway is ready", BOUND).await;
    assert_eq!(status(&starting, "readyz").await, 200);
    impatient.open();
    starting.stop().await;
    hasty.stop().await;
}

async fn status(gateway: &Gateway, path: &str) -> u16 {
    reqwest::get(format!("http://{}/{path}", gateway.address)).await.unwrap().status().as_u16()
}

/// Stands between a gateway and its nats-server, and lets nothing pass from the moment on that it begins to read
/// the stream, until it is opened.
struct Gate {
    url: String,
    is_open: watch::Sender<bool>,
}

impl Gate {
    async fn before(nats: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("nats://{}", listener.local_addr().unwrap());
        let is_open = watch::Sender::new(false);
        let (server, mut opened) = (nats.trim_start_matches("nats://").to_owned(), is_open.subscribe());
        tokio::spawn(async move {
            let (client, _) = listener.accept().await.unwrap();
            let server = TcpStream::connect(server).await.unwrap();
            let ((mut said, mut heard), (mut answers, mut asked)) =
                (client.into_split(), server.into_split());
            tokio::spawn(async move { tokio::io::copy(&mut answers, &mut heard).await });
            let (mut buffer, mut recent) = ([0; 4096], Vec::new());
            while let Ok(count @ 1..) = said.read(&mut buffer).await {
                recent.extend_from_slice(&buffer[..count]);
                if recent.windows(READING.len()).any(|bytes| bytes == READING) {
                    _ = opened.wait_for(|is_open| *is_open).await;
                }
                recent.drain(..recent.len().saturating_sub(READING.len()));
                if asked.write_all(&buffer[..count]).await.is_err() {
                    return;
                }
            }
        });
        Self { url, is_open }
    }

    fn open(&self) {
        self.is_open.send_replace(true);
    }
}

/// How the API of JetStream is asked for a consumer of the stream.
const READING: &[u8] = b"CONSUMER.CREATE.ENVELOPES";
