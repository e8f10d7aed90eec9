//! Who may be a server of the cluster as shipped: one that has both a certificate of the cluster's authority and its
//! password.

use std::fs;

use harness::{Authority, BOUND, eventually, free_port};
use serde_json::Value;
use tidings_embedded::{NatsServer, Options};

use crate::deployment::Made;

/// A server that asks the cluster to be taken in.
struct Stranger {
    server: NatsServer,
    monitor: String,
    _folder: tempfile::TempDir,
}

impl Stranger {
    /// With the cluster's routes, changed like this, and a certificate of this authority, if it has any.
    async fn start(made: &Made, authority: Option<&Authority>, change: impl Fn(String) -> String) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let routes = change(fs::read_to_string(made.path("nats-routes.conf")).unwrap());
        let tls = authority.map_or_else(String::new, |authority| {
            let (certificate, key) = authority.identity("127.0.0.1");
            let ca = made.path("cluster-ca.crt");
            fs::write(folder.path().join("own.crt"), certificate).unwrap();
            fs::write(folder.path().join("own.key"), key).unwrap();
            let own = folder.path().display();
            format!(
                "tls {{ cert_file: \"{own}/own.crt\", key_file: \"{own}/own.key\", ca_file: \"{}\", verify: true }}",
                ca.display()
            )
        });
        let port = free_port();
        let lines = format!(
            "server_name: stranger\nhttp: \"127.0.0.1:{port}\"\n\
             cluster {{\nname: tidings\nlisten: \"127.0.0.1:-1\"\n{tls}\n{routes}\n}}\n"
        );
        let options = Options::new(folder.path().join("nats")).start_within(2 * BOUND).config(lines);
        let server = NatsServer::start(options).await.unwrap();
        Self { server, monitor: format!("http://127.0.0.1:{port}/routez"), _folder: folder }
    }

    /// How many servers have taken it in.
    async fn routes(&self) -> u64 {
        let text = reqwest::get(&self.monitor).await.unwrap().text().await.unwrap();
        serde_json::from_str::<Value>(&text).unwrap()["num_routes"].as_u64().unwrap()
    }
}

fn other_password(routes: &str) -> String {
    let password = routes.split_once("password: \"").unwrap().1.split('"').next().unwrap();
    routes.replace(password, "guessed")
}

/// What the servers of the cluster have written.
fn logs(servers: &[NatsServer]) -> String {
    servers.iter().map(|server| fs::read_to_string(server.log()).unwrap()).collect()
}

#[tokio::test]
async fn a_server_that_the_cluster_does_not_know_gets_no_route() {
    let (made, authority, foreign) = (Made::with(1), Authority::new(), Authority::new());
    let cluster = made.start_cluster_of(&authority).await;
    let handshake = "TLS route handshake error";
    for (what, authority, is_guessed, refusal) in [
        ("no certificate", None, false, handshake),
        ("a certificate of somebody else", Some(&foreign), false, handshake),
        ("a guessed password", Some(&authority), true, "authentication error"),
    ] {
        let change = |routes: String| if is_guessed { other_password(&routes) } else { routes };
        let stranger = Stranger::start(&made, authority, change).await;
        // Each attempt is refused, and it tries again all the time.
        let before = logs(&cluster.servers).matches(refusal).count();
        eventually(&format!("a server with {what} is refused twice"), 2 * BOUND, async || {
            let log = logs(&cluster.servers);
            if log.matches(refusal).count() >= before + 2 { Ok(()) } else { Err(log) }
        })
        .await;
        // It counts a route for the moment until it is refused; one that is taken in would stay.
        eventually(&format!("a server with {what} has no route"), BOUND, async || {
            match stranger.routes().await {
                0 => Ok(()),
                routes => Err(format!("{routes} routes")),
            }
        })
        .await;
        drop(stranger.server);
    }
    // What a refusal is compared with: both are right.
    let known = Stranger::start(&made, Some(&authority), |routes| routes).await;
    eventually("a server with both is taken in", 2 * BOUND, async || match known.routes().await {
        0 => Err("no routes"),
        _ => Ok(()),
    })
    .await;
}
