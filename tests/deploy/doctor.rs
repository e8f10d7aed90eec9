//! `tidings doctor`: a healthy deployment, and each of those that are broken.

mod proxy;

use std::fs;
use std::path::Path;

use async_nats::jetstream;
use async_nats::jetstream::stream::Config;
use futures_util::StreamExt as _;
use harness::{
    Answer, BOUND, KeyServer, Launch, SCHEMAS, SECRET, Setup, SigningKey, System, Tidings, binary,
    eventually, free_port, nats_with, old_server,
};
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};
use tidings_embedded::{Cluster, ClusterOptions};
use time::{Duration, OffsetDateTime};

use self::proxy::Crooked;

/// What the doctor says.
struct Report {
    code: Option<i32>,
    text: String,
    json: Value,
}

impl Report {
    async fn of(launch: Launch) -> Self {
        let finished = launch.finish(BOUND).await;
        let text = finished.output + &finished.errors;
        let json = serde_json::from_str(text.trim()).unwrap_or_else(|error| panic!("{error}: {text}"));
        assert!(!text.contains(SECRET), "{text}");
        Self { code: finished.code, text, json }
    }

    fn kinds(&self) -> Vec<&str> {
        let findings = self.json["findings"].as_array().unwrap();
        findings.iter().map(|finding| finding["kind"].as_str().unwrap()).collect()
    }

    /// The test fails unless this was found, with this in its text.
    #[track_caller]
    fn has(&self, kind: &str, part: &str) {
        let findings = self.json["findings"].as_array().unwrap();
        let is_it =
            |finding: &&Value| finding["kind"] == kind && finding["found"].as_str().unwrap().contains(part);
        let found =
            findings.iter().find(is_it).unwrap_or_else(|| panic!("no {kind} with {part:?}: {}", self.text));
        assert!(
            !found["means"].as_str().unwrap().is_empty() && !found["action"].as_str().unwrap().is_empty()
        );
        assert_eq!(
            self.code,
            Some(if self.json.to_string().contains("\"level\":\"error\"") { 1 } else { 3 })
        );
    }
}

/// A deployment as it should be: two projectors, a gateway, monitoring.
struct Healthy {
    system: System,
    standby: Tidings,
    url: String,
    monitor: String,
}

impl Healthy {
    async fn start() -> Self {
        let monitor = format!("127.0.0.1:{}", free_port());
        let lines = format!("jetstream {{ sync_interval: always }}\nhttp: \"{monitor}\"");
        let system = Setup::default().nats(&lines).start().await;
        let mut standby = system.command(&["projector"]).start();
        standby.line("this one stands by", BOUND).await;
        let url = format!("{}/api/ws", system.address().replace("http", "ws"));
        Self { system, standby, url, monitor: format!("http://{monitor}") }
    }

    fn doctor(&self) -> Launch {
        self.at(&self.url)
    }

    fn at(&self, url: &str) -> Launch {
        self.system.command(&["doctor", "--json", "--url", url, "--monitor", &self.monitor])
    }

    async fn with(&self, variables: &[(&str, &str)]) -> Report {
        Report::of(self.doctor().variables(variables.iter().copied())).await
    }

    /// Looks until this is found.
    async fn finds(&self, kind: &str) -> Report {
        eventually(kind, BOUND, async || {
            let report = Report::of(self.doctor()).await;
            if report.kinds() == [kind] { Ok(report) } else { Err(report.text) }
        })
        .await
    }
}

#[tokio::test]
async fn a_healthy_deployment_is_well_and_each_fault_is_named() {
    let healthy = Healthy::start().await;
    let report = Report::of(healthy.doctor()).await;
    assert_eq!((report.code, report.kinds()), (Some(0), vec![]), "{}", report.text);
    assert_eq!(report.json["not_looked_at"], json!([]), "{}", report.text);
    // What it says to people.
    let said = healthy.system.command(&["doctor", "--url", &healthy.url, "--monitor", &healthy.monitor]);
    assert_eq!(said.finish(BOUND).await.succeeded(), "nothing is wrong with what was looked at\n");

    let folder = healthy.system.nats.folder();
    tokio::join!(
        differs_from_the_configuration(&healthy),
        cannot_be_loaded(&healthy, folder),
        expires(&healthy, folder),
        keys_are_missing(&healthy, folder),
        sources_are_missing(&healthy, folder),
        proxies_are_crooked(&healthy),
        tokens_are_refused(&healthy),
        the_server_is_too_old(&healthy),
    );
    names_are_taken_twice(&healthy).await;
    streams_are_altered(&healthy).await;
    processes_end(healthy).await;
}

/// The configuration asks for what is not there.
async fn differs_from_the_configuration(healthy: &Healthy) {
    // A client whose position is kept.
    let client = healthy.system.open(json!({ "tenant": "ops", "sub": "ada" })).await;
    drop(client);
    let consumers = jetstream::new(healthy.system.client().clone()).get_stream("KV_CONSUMERS").await.unwrap();
    eventually("a device is kept", BOUND, async || {
        let info = consumers.get_info().await.unwrap();
        if info.state.messages > 0 { Ok(()) } else { Err("none is") }
    })
    .await;
    let report = healthy
        .with(&[
            ("TIDINGS_STREAMS__REPLICAS", "3"),
            ("TIDINGS_PROJECTOR__MAX_EVENT_BYTES", "2 MiB"),
            ("TIDINGS_CONSUMERS__STORE", "jetstream"),
            ("TIDINGS_STREAMS__REJECTED_MAX_AGE", "9d"),
        ])
        .await;
    report.has("too-few-replicas", "stream EVENTS has 1 of 3");
    report.has("max-payload", "2097152");
    report.has("consumer-store", "jetstream");
    report.has("limits-differ", "stream REJECTED: max_age");
}

async fn cannot_be_loaded(healthy: &Healthy, folder: &Path) {
    let schemas = folder.join("schemas");
    for (tenant, like) in [("garden", Some("uploads")), ("spoilt", None)] {
        let own = schemas.join(tenant);
        fs::create_dir_all(&own).unwrap();
        let Some(like) = like else {
            fs::write(own.join("catalog.toml"), "no = catalog").unwrap();
            continue;
        };
        for entry in fs::read_dir(Path::new(SCHEMAS).join(like)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                fs::copy(&path, own.join(path.file_name().unwrap())).unwrap();
            }
        }
    }
    let report = healthy.with(&[("TIDINGS_SCHEMAS__DIRECTORY", schemas.to_str().unwrap())]).await;
    report.has("catalog", "spoilt");
    report.has("tenant-without-projector", "garden");
    // A shell with a low limit.
    let script = format!("ulimit -n 256 && exec {} doctor --json --url {}", binary().display(), healthy.url);
    let launch = Launch::shell(&script).variable("TIDINGS_NATS__URL", healthy.system.nats.url());
    let launch = launch.variable("TIDINGS_SCHEMAS__DIRECTORY", SCHEMAS).folder(folder);
    let report = Report::of(launch).await;
    report.has("open-files", "256 files");
    // No secret is configured, so that nothing is wrong with a token that is refused.
    assert!(report.text.contains("the gateway refuses the token"), "{}", report.text);
}

async fn expires(healthy: &Healthy, folder: &Path) {
    let make = |name: &str, days| {
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.not_after = OffsetDateTime::now_utc() + Duration::days(days);
        let key = KeyPair::generate().unwrap();
        let paths =
            ["crt", "key"].map(|kind| folder.join(format!("{name}.{kind}")).to_str().unwrap().to_owned());
        fs::write(&paths[0], params.self_signed(&key).unwrap().pem()).unwrap();
        fs::write(&paths[1], key.serialize_pem()).unwrap();
        paths
    };
    let (expired, expiring) = (make("expired", -1), make("expiring", 3));
    let pair = async |certificate: &str, key: &str| {
        let variables =
            [("TIDINGS_GATEWAY__TLS_CERTIFICATE", certificate), ("TIDINGS_GATEWAY__TLS_KEY", key)];
        healthy.with(&variables).await
    };
    let alone = [("TIDINGS_GATEWAY__TLS_CERTIFICATE", &*expired[0])];
    let (gone, soon, other, alone) = tokio::join!(
        pair(&expired[0], &expired[1]),
        pair(&expiring[0], &expiring[1]),
        pair(&expired[0], &expiring[1]),
        healthy.with(&alone),
    );
    gone.has("certificate-expired", "gateway.tls_certificate");
    soon.has("certificate-expires", "gateway.tls_certificate");
    other.has("certificate", "is not that of the certificate");
    alone.has("configuration", "gateway.tls_key");
    assert_eq!(alone.kinds(), ["configuration"], "{}", alone.text);
}

async fn keys_are_missing(healthy: &Healthy, folder: &Path) {
    let (server, silent) = (KeyServer::start(&[]).await, KeyServer::start(&[]).await);
    silent.answer(Answer::Hangup);
    let other = SigningKey::new("k", jsonwebtoken::Algorithm::ES256);
    let fitting = KeyServer::start(&[&other]).await;
    let issuer = |name: &str, url: &str| {
        format!(
            "[[access.issuers]]\nissuer = \"{name}\"\njwks_url = \"{url}\"\ntenant = \"ops\"\nalgorithms = [\"ES256\"]\n"
        )
    };
    let file = folder.join("issuers.toml");
    let text =
        [issuer("empty", server.url()), issuer("away", silent.url()), issuer("well", fitting.url())].concat();
    fs::write(&file, text).unwrap();
    let launch =
        Launch::tidings(["doctor", "--json", "--config", file.to_str().unwrap(), "--url", &healthy.url]);
    let launch = launch.variable("TIDINGS_NATS__URL", healthy.system.nats.url());
    let report = Report::of(launch.variable("TIDINGS_SCHEMAS__DIRECTORY", SCHEMAS)).await;
    report.has("jwks-without-keys", "\"empty\"");
    report.has("jwks-unreachable", "\"away\"");
    assert!(!report.text.contains("\"well\""), "{}", report.text);
}

async fn sources_are_missing(healthy: &Healthy, folder: &Path) {
    let file = folder.join("sources.toml");
    let text = "[[projector.sources]]\nname = \"orders\"\nstream = \"ORDERS\"\ntenant = \"ops\"\nevent = \"order.placed\"\n";
    fs::write(&file, text).unwrap();
    let report = healthy.with(&[("TIDINGS_CONFIG", file.to_str().unwrap())]).await;
    report.has("source-unreadable", "there is no stream ORDERS");
}

async fn proxies_are_crooked(healthy: &Healthy) {
    let crooked = Crooked { strips: true, holds: true, hours_ahead: 2 }.start(healthy.system.address()).await;
    let plain = Crooked { strips: false, holds: false, hours_ahead: 0 }.start(healthy.system.address()).await;
    let (bad, plain, away) = tokio::join!(
        Report::of(healthy.at(&crooked)),
        Report::of(healthy.at(&plain)),
        Report::of(healthy.at("ws://127.0.0.1:9/api/ws")),
    );
    bad.has("proxy-strips-upgrade", "UPGRADE_REQUIRED");
    bad.has("proxy-buffers", "no event comes");
    bad.has("clock-skew", "ahead of");
    plain.has("client-address", proxy::ADDRESS);
    assert_eq!((plain.code, plain.kinds()), (Some(3), vec!["client-address"]), "{}", plain.text);
    away.has("gateway-unreachable", "127.0.0.1:9");
}

async fn tokens_are_refused(healthy: &Healthy) {
    let other = "another-secret-for-tests-of-32-or-more-bytes";
    let report = healthy.with(&[("TIDINGS_ACCESS__HS256_SECRET", other)]).await;
    report.has("token-refused", "401");
    assert!(!report.text.contains(other), "{}", report.text);
}

async fn the_server_is_too_old(healthy: &Healthy) {
    let old = old_server(healthy.system.nats.url()).await;
    let report = healthy.with(&[("TIDINGS_NATS__URL", &old)]).await;
    report.has("server-too-old", "2.10.29");
}

/// A copy of a gateway, with its name.
async fn names_are_taken_twice(healthy: &Healthy) {
    let client = healthy.system.client().clone();
    let ping = client.request("$SRV.PING.tidings-gateway", "".into()).await.unwrap();
    let mut twin: Value = serde_json::from_slice(&ping.payload).unwrap();
    twin["id"] = "twin".into();
    let mut asked = client.subscribe("$SRV.PING.tidings-gateway").await.unwrap();
    let answering = async {
        while let Some(question) = asked.next().await {
            client.publish(question.reply.unwrap(), twin.to_string().into()).await.unwrap();
        }
    };
    tokio::select! {
        report = healthy.finds("gateway-names") => {
            report.has("gateway-names", twin["metadata"]["gateway"].as_str().unwrap());
        }
        () = answering => unreachable!("the subscription lasts"),
    }
}

async fn streams_are_altered(healthy: &Healthy) {
    let context = jetstream::new(healthy.system.client().clone());
    healthy.system.publish("ops", "incident.created", &json!({ "no": "incident".repeat(1_000) })).await;
    let events = context.get_stream("EVENTS").await.unwrap();
    let bytes = i64::try_from(events.cached_info().state.bytes).unwrap();
    let events = events.cached_info().config.clone();
    context.update_stream(Config { max_bytes: bytes + 100, ..events.clone() }).await.unwrap();
    let rejected = context.get_stream("REJECTED").await.unwrap().cached_info().config.clone();
    context.update_stream(Config { allow_direct: false, ..rejected.clone() }).await.unwrap();
    let report = Report::of(healthy.doctor()).await;
    report.has("stream-nearly-full", &bytes.to_string());
    report.has("limits-differ", "max_bytes");
    report.has("stream-differs", "stream REJECTED: allow_direct is false, expected true");
    for config in [events, rejected] {
        context.update_stream(config).await.unwrap();
    }
}

async fn processes_end(healthy: Healthy) {
    let stop = async |process: Tidings| {
        process.interrupt();
        process.end(BOUND).await;
    };
    stop(healthy.standby).await;
    let Healthy { url, monitor, mut system, .. } = healthy;
    let look = async |system: &System| {
        Report::of(system.command(&["doctor", "--json", "--url", &url, "--monitor", &monitor])).await
    };
    look(&system).await.has("standby-missing", "shard 0");
    system.projector.interrupt();
    system.gateway.interrupt();
    eventually("both have ended", BOUND, async || {
        let running = (system.projector.is_running(), system.gateway.is_running());
        if running == (false, false) { Ok(()) } else { Err(format!("{running:?}")) }
    })
    .await;
    let report = look(&system).await;
    report.has("no-projector", "ops");
    report.has("no-gateway", "no gateway answers");
}

/// Users with too few rights, a store that is nearly full, and nothing that Tidings needs.
#[tokio::test]
async fn logins_and_stores_are_looked_at() {
    let monitor = format!("127.0.0.1:{}", free_port());
    let users = format!(
        r#"http: "{monitor}"
        jetstream {{ max_file_store: 100KB }}
        no_auth_user: admin
        authorization {{ users: [
            {{ user: admin, password: admin }}
            {{ user: gateway, password: gateway, permissions: {{ publish: {{ deny: ["$KV.USERS.>"] }} }} }}
            {{ user: projector, password: projector, permissions: {{ publish: {{ allow: [">"], deny: "rejected.>" }} }} }}
            {{ user: deaf, password: deaf, permissions: {{ subscribe: {{ deny: "tidings.gateway.>" }} }} }}
            {{ user: reader, password: reader, permissions: {{
                publish: {{ allow: ["$JS.API.STREAM.INFO.>", "$SYS.REQ.USER.INFO"] }}, subscribe: "_INBOX.>" }} }}
        ] }}"#
    );
    let nats = nats_with(|options| options.config(users)).await;
    let streams = jetstream::new(nats.client().await);
    streams.create_stream(Config { name: "FULL".to_owned(), ..Config::default() }).await.unwrap();
    streams.publish("FULL", vec![b'x'; 95_000].into()).await.unwrap().await.unwrap();
    let monitor = format!("http://{monitor}");
    let look = async |user: &str, role: &str| {
        let role: &[&str] = if role.is_empty() { &[] } else { &["--as", role] };
        let arguments = ["doctor", "--json", "--monitor", &monitor].into_iter().chain(role.iter().copied());
        let launch =
            Launch::tidings(arguments).variable("TIDINGS_NATS__URL", nats.url()).folder(nats.folder());
        let launch = launch.variable("TIDINGS_NATS__USER", user).variable("TIDINGS_NATS__PASSWORD", user);
        // Nobody listens there.
        let launch = launch.variable("TIDINGS_GATEWAY__LISTEN", "127.0.0.1:9");
        Report::of(launch.variable("TIDINGS_SCHEMAS__DIRECTORY", SCHEMAS)).await
    };
    let (admin, gateway, projector, deaf, reader) = tokio::join!(
        look("admin", ""),
        look("gateway", "gateway"),
        look("projector", "projector"),
        look("deaf", "gateway"),
        look("reader", ""),
    );
    admin.has("sync-interval", "does not sync");
    admin.has("disk-nearly-full", "JetStream's store has 9");
    admin.has("stream-missing", "stream EVENTS");
    admin.has("no-gateway", "no gateway");
    assert!(!admin.kinds().contains(&"permission-missing"), "{}", admin.text);
    gateway.has("permission-missing", "a gateway needs to publish to $KV.USERS.>");
    projector.has("permission-missing", "a projector needs to publish to rejected.>");
    deaf.has("permission-missing", "a gateway needs to subscribe to tidings.gateway.>");
    for report in [&gateway, &projector, &deaf] {
        let missing = report.kinds().iter().filter(|kind| **kind == "permission-missing").count();
        assert_eq!(missing, 1, "{}", report.text);
    }
    // Who may only look learns the rest.
    reader.has("stream-missing", "stream EVENTS");
    assert!(!reader.kinds().contains(&"permission-missing"), "{}", reader.text);
    assert!(reader.text.contains("this login is of no gateway, projector or dispatcher"), "{}", reader.text);
    assert!(streams.get_stream("EVENTS").await.is_err(), "the doctor creates nothing");
    let wrong = look("nobody", "").await;
    wrong.has("nats-unreachable", "refuses the login");
}

#[tokio::test]
async fn a_cluster_that_lacks_servers_is_named() {
    // Otherwise the first look builds it.
    binary();
    let folder = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::start(ClusterOptions::new(folder.path()).size(3)).await.unwrap();
    let client = async_nats::connect(cluster.servers()[0].url()).await.unwrap();
    let events = Config {
        name: "EVENTS".to_owned(),
        subjects: vec!["events.>".to_owned()],
        num_replicas: 3,
        ..Config::default()
    };
    eventually("there is a stream", BOUND, async || {
        jetstream::new(client.clone()).create_stream(events.clone()).await.map(drop)
    })
    .await;
    let url = cluster.servers()[0].url().to_owned();
    let finds = async |kind: &str, part: &str| {
        eventually(kind, BOUND, async || {
            let launch = Launch::tidings(["doctor", "--json"]).variable("TIDINGS_NATS__URL", &url);
            let launch = launch.variable("TIDINGS_GATEWAY__LISTEN", "127.0.0.1:9").folder(folder.path());
            let report = Report::of(launch.variable("TIDINGS_SCHEMAS__DIRECTORY", SCHEMAS)).await;
            let findings = report.json["findings"].as_array().unwrap();
            let is_it = |finding: &Value| {
                finding["kind"] == kind && finding["found"].as_str().unwrap().contains(part)
            };
            if findings.iter().any(is_it) { Ok(()) } else { Err(report.text) }
        })
        .await;
    };
    cluster.servers_mut()[2].kill().await.unwrap();
    finds("node-behind", "stream EVENTS on n2").await;
    cluster.servers_mut()[1].kill().await.unwrap();
    finds("no-leader", "stream EVENTS").await;
}
