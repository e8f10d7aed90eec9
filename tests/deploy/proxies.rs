//! Gateways behind nginx, HAProxy and Caddy as `deploy/proxies` configures them: WebSockets pass, clients keep their addresses, quiet
//! connections stay, and gateways are replaced one after another while events are published, and nothing is lost.

mod process;

use futures_util::future::join_all;
use harness::{BOUND, Client, Dial, Gateway, SECRET, Setup, System, eventually, free_port, token};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::sync::watch;

use self::process::{PROXY, Proxy};

const DEVICES: usize = 6;
const GOING_AWAY: Option<u16> = Some(1001);

/// A gateway at this port, which trusts the proxy.
async fn gateway(system: &System, port: u16, more: &[(&str, &str)]) -> Gateway {
    let listen = format!("127.0.0.1:{port}");
    let variables =
        [("TIDINGS_GATEWAY__LISTEN", listen.as_str()), ("TIDINGS_GATEWAY__TRUSTED_PROXIES", PROXY)];
    system.another_gateway(&[&variables, more].concat()).await
}

fn as_user(dial: Dial, user: &str, device: &str) -> Dial {
    let token = token(SECRET, json!({ "tenant": "ops", "sub": user }));
    dial.bearer(&token).query("device", device)
}

async fn notify(system: &System, user: &str, title: &str) {
    let data = json!({ "userId": user, "title": title, "message": "", "type": "info", "priority": "low" });
    system.publish("ops", "notification.created", &data).await;
}

/// The addresses that gateways know a user's connections by.
async fn addresses(system: &System, user: &str) -> Vec<String> {
    let arguments = ["connections", "ls", "--tenant", "ops", "--user", user, "--json"];
    let listed = system.command(&arguments).finish(BOUND).await.succeeded();
    let address = |line| {
        let connection: Value = serde_json::from_str(line).unwrap();
        connection["address"].as_str().unwrap().to_owned()
    };
    listed.lines().map(address).collect()
}

/// A client through the proxy that claims to be somebody else, and that is known by its own address.
async fn keeps_its_address(system: &System, proxy: &Proxy, user: &str) -> Client {
    let dial = as_user(proxy.dial(), user, "d");
    let claims = reqwest::header::HeaderName::from_static("x-forwarded-for");
    let mut client = dial.header(claims, "203.0.113.9").open().await;
    client.expect_nothing_before_pong(BOUND).await;
    let known = addresses(system, user).await;
    assert!(known.len() == 1 && known[0].starts_with("127.0.0.1"), "{known:?}");
    client
}

/// The proxy gives quiet connections up, and none is quiet whose gateway sends heartbeats.
async fn heartbeats_keep_a_connection(system: &System, often: &Proxy, never: &Proxy) {
    let mut kept = keeps_its_address(system, often, "kept").await;
    let mut quiet = as_user(never.dial(), "quiet", "d").open().await;
    // Without a Close: the proxy has given it up.
    assert_eq!(quiet.close_code(BOUND).await, None);
    notify(system, "kept", "still there").await;
    assert_eq!(kept.next_json(BOUND).await["data"]["title"], "still there");
}

/// What a device has received, over all of its connections.
#[derive(Default)]
struct Story {
    titles: Vec<String>,
    closes: Vec<Option<u16>>,
}

/// Connects through the proxy, again and again, until it receives the last title.
async fn listen(dial: Dial, device: usize, connected: watch::Sender<usize>) -> Story {
    let mut story = Story::default();
    let dial = as_user(dial, "crew", &format!("device-{device}"));
    let dial = if device.is_multiple_of(3) { dial } else { dial.subprotocol("tidings.v1") };
    loop {
        // While a gateway is replaced, the proxy may have none for a moment.
        let opened = eventually("the proxy has a gateway", BOUND, async || {
            dial.clone().try_open().await.map_err(|refusal| format!("{} {}", refusal.status, refusal.body))
        });
        let mut client = opened.await;
        if story.closes.is_empty() {
            client.send_json(&json!({ "action": "ping" })).await;
        }
        loop {
            let message = match client.next_json_or_close(BOUND).await {
                Ok(message) => message,
                Err(code) => break story.closes.push(code),
            };
            if message["action"] == "pong" {
                connected.send_modify(|connected| *connected += 1);
            }
            let Some(title) = message["data"]["title"].as_str() else { continue };
            story.titles.push(title.to_owned());
            if let Some(sequence) = message["seq"].as_u64() {
                client.send_json(&json!({ "action": "ack", "seq": sequence })).await;
            }
            if title == "last" {
                return story;
            }
        }
    }
}

/// Replaces each gateway by a new one at the same address, as an orchestrator does: SIGTERM, its end in order, a new one, ready.
async fn replace_all(system: &System, gateways: Vec<(u16, Gateway)>, more: &[(&str, &str)]) -> Vec<Gateway> {
    let mut replaced = Vec::new();
    for (port, old) in gateways {
        old.process.signal(Signal::TERM);
        let (status, output) = old.process.end(BOUND).await;
        assert!(status.success() && !output.contains("panicked"), "{status}:\n{output}");
        replaced.push(gateway(system, port, more).await);
    }
    replaced
}

async fn replacing_gateways_loses_nothing(system: &System, proxy: &Proxy, gateways: Vec<(u16, Gateway)>) {
    let more = [("TIDINGS_GATEWAY__DRAIN_TIME", "1s")];
    let connected = watch::Sender::new(0);
    let devices = join_all((0..DEVICES).map(|device| listen(proxy.dial(), device, connected.clone())));
    let all_listen = async || {
        connected.subscribe().wait_for(|connected| *connected == DEVICES).await.unwrap();
    };
    let is_done = watch::Sender::new(false);
    let publishing = async {
        all_listen().await;
        let (mut sent, done) = (Vec::new(), is_done.subscribe());
        let mut pace = tokio::time::interval(std::time::Duration::from_millis(5));
        while !*done.borrow() {
            pace.tick().await;
            let title = sent.len().to_string();
            notify(system, "crew", &title).await;
            sent.push(title);
        }
        notify(system, "crew", "last").await;
        sent.push("last".to_owned());
        sent
    };
    let replacing = async {
        all_listen().await;
        let replaced = replace_all(system, gateways, &more).await;
        is_done.send_replace(true);
        replaced
    };
    let (sent, _replaced, stories) = tokio::join!(publishing, replacing, devices);
    for (device, story) in stories.into_iter().enumerate() {
        assert_eq!(story.titles, sent, "device {device}");
        // At least once; no proxy has cut it.
        assert!(!story.closes.is_empty(), "device {device} was never moved");
        assert!(story.closes.iter().all(|code| *code == GOING_AWAY), "device {device}: {:?}", story.closes);
    }
}

/// What is for clients reaches a gateway, which asks for a token; the rest does not.
async fn forwards_what_clients_need(proxy: &Proxy) {
    for (path, status) in [
        ("/api/ws", "426"),
        ("/api/sse", "401"),
        ("/api/messages", "401"),
        ("/api/v1/connections", "404"),
        ("/readyz", "404"),
        ("/metrics", "404"),
        ("/", "404"),
    ] {
        assert_eq!(proxy.status(path).await, status, "{path}");
    }
}

/// Two gateways with heartbeats, and where they are.
async fn two_gateways(system: &System) -> (Vec<(u16, Gateway)>, Vec<String>) {
    let more = [("TIDINGS_GATEWAY__HEARTBEAT", "300ms"), ("TIDINGS_GATEWAY__DRAIN_TIME", "1s")];
    let mut gateways = Vec::new();
    for _ in 0..2 {
        let port = free_port();
        gateways.push((port, gateway(system, port, &more).await));
    }
    let addresses = gateways.iter().map(|(port, _)| format!("127.0.0.1:{port}")).collect();
    (gateways, addresses)
}

/// The first gateway of a system, whose heartbeats are an hour apart.
fn without_heartbeats(system: &System) -> [String; 1] {
    [system.address().strip_prefix("http://").unwrap().to_owned()]
}

fn setup() -> Setup {
    Setup::default()
        .variable("TIDINGS_GATEWAY__HEARTBEAT", "1h")
        .variable("TIDINGS_GATEWAY__IDLE_TIMEOUT", "2h")
        .variable("TIDINGS_GATEWAY__TRUSTED_PROXIES", PROXY)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_nginx_clients_keep_addresses_and_connections_and_lose_nothing() {
    let system = setup().start().await;
    let (gateways, addresses) = two_gateways(&system).await;
    let Some(never) = Proxy::nginx(&without_heartbeats(&system), "2s").await else { return };
    let Some(often) = Proxy::nginx(&addresses, "2s").await else { return };
    forwards_what_clients_need(&often).await;
    heartbeats_keep_a_connection(&system, &often, &never).await;
    replacing_gateways_loses_nothing(&system, &often, gateways).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_haproxy_clients_keep_addresses_and_connections_and_lose_nothing() {
    let system = setup().start().await;
    let (gateways, addresses) = two_gateways(&system).await;
    let Some(never) = Proxy::haproxy(&without_heartbeats(&system), "2s").await else { return };
    let Some(often) = Proxy::haproxy(&addresses, "2s").await else { return };
    forwards_what_clients_need(&often).await;
    heartbeats_keep_a_connection(&system, &often, &never).await;
    replacing_gateways_loses_nothing(&system, &often, gateways).await;

    let (port, admin) = (free_port(), free_port());
    let listen = format!("127.0.0.1:{admin}");
    let more =
        [("TIDINGS_GATEWAY__PROXY_PROTOCOL", "true"), ("TIDINGS_GATEWAY__ADMIN_LISTEN", listen.as_str())];
    let _gateway = gateway(&system, port, &more).await;
    let Some(tcp) = Proxy::haproxy_tcp(&format!("127.0.0.1:{port}"), admin).await else { return };
    let mut client = keeps_its_address(&system, &tcp, "tcp").await;
    notify(&system, "tcp", "by TCP").await;
    assert_eq!(client.next_json(BOUND).await["data"]["title"], "by TCP");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_caddy_clients_keep_addresses_and_lose_nothing() {
    let system = setup().start().await;
    let (gateways, addresses) = two_gateways(&system).await;
    let Some(proxy) = Proxy::caddy(&addresses).await else { return };
    forwards_what_clients_need(&proxy).await;
    let mut client = keeps_its_address(&system, &proxy, "kept").await;
    notify(&system, "kept", "it arrives").await;
    assert_eq!(client.next_json(BOUND).await["data"]["title"], "it arrives");
    replacing_gateways_loses_nothing(&system, &proxy, gateways).await;
}
