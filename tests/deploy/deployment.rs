//! What `deploy/` makes, on one server or on three, changed in nothing but what an operator changes: addresses, paths and
//! names.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use async_nats::jetstream::{self, Context};
use harness::{Authority, BOUND, Launch, SCHEMAS, SECRET, Tidings, free_port, token};
use serde_json::{Value, json};
use tempfile::TempDir;
use tidings_embedded::{NatsServer, Options};

const DEPLOY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy");
const INSTALL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../.tools/install");

/// The tenants that the deployment is made for.
pub(crate) const TENANTS: [&str; 2] = ["ops", "shelter"];

/// The files that an operator has: accounts, credentials and configuration.
#[derive(Debug)]
pub(crate) struct Made {
    folder: TempDir,
    shards: usize,
    routes: Vec<u16>,
}

impl Made {
    /// Runs `nats-accounts.sh` with the real nsc, for so many shards and for three servers.
    pub(crate) fn with(shards: usize) -> Self {
        let made = Self::prepared(shards);
        made.run_script(shards, &TENANTS);
        made
    }

    /// The same for a source of a team that has an account, which is the user's name, too.
    pub(crate) fn with_source(shards: usize, team: &str, stream: &str) -> Self {
        let made = Self::prepared(shards);
        made.nsc("add operator --name tidings --sys");
        made.nsc(&format!("add account --name {team}"));
        made.nsc(&format!("edit account --name {team} --js-mem-storage -1 --js-disk-storage -1"));
        made.nsc(&format!("add user --account {team} --name {team}"));
        made.nsc(&format!("generate creds --account {team} --name {team} --output-file {team}.creds"));
        made.run_script(shards, &[&["--source", &format!("{team}/{stream}")][..], &TENANTS].concat());
        made
    }

    fn prepared(shards: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for entry in fs::read_dir(DEPLOY).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                continue;
            }
            fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
        }
        Self { folder, shards, routes: (0..3).map(|_| free_port()).collect() }
    }

    /// Runs the script once more.
    pub(crate) fn run_script(&self, shards: usize, tenants: &[&str]) {
        let servers: Vec<_> = self.routes.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        let mut script = Command::new("sh");
        script.arg("nats-accounts.sh").args(["--shards", &shards.to_string()]);
        script.args(["--servers", &servers.join(" ")]).args(tenants);
        self.run_with_keys(script);
    }

    /// Runs nsc with these words; returns what it prints.
    pub(crate) fn nsc(&self, words: &str) -> String {
        let mut command = Command::new(nsc());
        command.args(words.split(' '));
        self.run_with_keys(command)
    }

    fn run_with_keys(&self, mut command: Command) -> String {
        let nsc = nsc();
        let path = format!("{}:{}", nsc.parent().unwrap().display(), std::env::var("PATH").unwrap());
        let home = self.folder.path().join("home");
        fs::create_dir_all(&home).unwrap();
        for variable in ["XDG_DATA_HOME", "XDG_CONFIG_HOME", "NSC_HOME", "NKEYS_PATH", "NSC_NO_GIT_IGNORE"] {
            command.env_remove(variable);
        }
        let ran =
            command.env("HOME", home).env("PATH", path).current_dir(self.folder.path()).output().unwrap();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8_lossy(&ran.stdout).into_owned()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn credentials(&self, user: &str) -> PathBuf {
        self.path(&format!("{user}.creds"))
    }

    /// One server.
    pub(crate) async fn start(&self) -> Deployment<'_> {
        self.start_in("single").await
    }

    /// One server, whose data is in a folder of this name.
    pub(crate) async fn start_in(&self, folder: &str) -> Deployment<'_> {
        let folder = self.path(folder);
        self.files_of_server(&folder, |text| text);
        Deployment { made: self, servers: vec![serve(&folder, "nats-1").await] }
    }

    /// Three servers, which speak TLS among themselves.
    pub(crate) async fn start_cluster(&self) -> Deployment<'_> {
        self.start_cluster_of(&Authority::new()).await
    }

    /// Three servers for which this authority vouches.
    pub(crate) async fn start_cluster_of(&self, authority: &Authority) -> Deployment<'_> {
        let ca = self.path("cluster-ca.crt");
        fs::write(&ca, authority.certificate()).unwrap();
        let mut servers = Vec::new();
        for (index, port) in self.routes.iter().enumerate() {
            let folder = self.path(&format!("member-{index}"));
            let (certificate, key) = authority.identity("127.0.0.1");
            self.files_of_server(&folder, |text| {
                text.replace("#include ./nats-cluster.conf", "include ./nats-cluster.conf")
                    .replace("0.0.0.0:6222", &format!("127.0.0.1:{port}"))
                    .replace("/etc/nats/tls/cluster-ca.crt", ca.to_str().unwrap())
                    .replace("/etc/nats/tls", folder.to_str().unwrap())
            });
            fs::write(folder.join("cluster.crt"), certificate).unwrap();
            fs::write(folder.join("cluster.key"), key).unwrap();
            servers.push(serve(&folder, &format!("nats-{index}")).await);
        }
        Deployment { made: self, servers }
    }

    /// The files that a server is given, changed like this.
    fn files_of_server(&self, folder: &Path, change: impl Fn(String) -> String) {
        let folder = folder.join("etc");
        fs::create_dir_all(&folder).unwrap();
        for name in ["nats-server.conf", "nats-cluster.conf", "nats-accounts.conf", "nats-routes.conf"] {
            let text = fs::read_to_string(self.path(name)).unwrap();
            // The harness says where data is.
            let text = text.replace("store_dir: \"/var/lib/nats\"\n", "");
            fs::write(folder.join(name), change(text)).unwrap();
        }
    }
}

/// The address and the data folder are the harness's; the rest is the file's.
async fn serve(folder: &Path, name: &str) -> NatsServer {
    let lines = format!("include ./etc/nats-server.conf\nserver_name: {name}\nhttp: \"127.0.0.1:-1\"\n");
    NatsServer::start(Options::new(folder).start_within(2 * BOUND).config(lines)).await.unwrap()
}

/// Where `.tools/install` has put it, or found it.
fn nsc() -> PathBuf {
    let found = Command::new("sh").args([INSTALL, "nsc"]).output().unwrap();
    assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stderr));
    PathBuf::from(String::from_utf8(found.stdout).unwrap().trim())
}

/// What was made, running.
#[derive(Debug)]
pub(crate) struct Deployment<'m> {
    made: &'m Made,
    pub(crate) servers: Vec<NatsServer>,
}

impl Deployment<'_> {
    pub(crate) fn url(&self) -> String {
        self.servers.iter().map(NatsServer::url).collect::<Vec<_>>().join(",")
    }

    /// `tidings` as this user, with the configuration as shipped.
    pub(crate) fn tidings(&self, user: &str, arguments: &[&str]) -> Launch {
        let file = self.made.path("tidings.toml");
        let arguments: Vec<_> =
            arguments.iter().copied().chain(["--config", file.to_str().unwrap()]).collect();
        Launch::tidings(arguments)
            .variable("TIDINGS_NATS__URL", self.url())
            .variable("TIDINGS_NATS__CREDENTIALS", self.made.credentials(user))
            .variable("TIDINGS_STREAMS__REPLICAS", self.servers.len().to_string())
            // JetStream reserves it, for each shard.
            .variable("TIDINGS_STREAMS__ENVELOPES_MAX_BYTES", "1 GiB")
            .variable("TIDINGS_SCHEMAS__DIRECTORY", SCHEMAS)
            .variable("TIDINGS_ACCESS__HS256_SECRET", SECRET)
            .variable("TIDINGS_CONTACTS__KEYS", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
            .variable("TIDINGS_GATEWAY__LISTEN", "127.0.0.1:0")
            // On the same address, so that no two tests want one port.
            .variable("TIDINGS_GATEWAY__ADMIN_LISTEN", "127.0.0.1:0")
            .variable("TIDINGS_GATEWAY__DRAIN_TIME", "0s")
            .variable("TIDINGS_TELEMETRY__LOG_FORMAT", "text")
            .folder(self.made.folder.path())
    }

    pub(crate) async fn projector(&self, shard: usize) -> Tidings {
        let launch = self.tidings("projector", &["projector"]);
        let mut projector = launch.variable("TIDINGS_PROJECTOR__SHARD", shard.to_string()).start();
        projector.line("projector runs", 2 * BOUND).await;
        projector
    }

    /// A dispatcher of a shard.
    pub(crate) async fn dispatcher(&self, shard: usize) -> Tidings {
        let launch = self.tidings("dispatcher", &["dispatcher"]);
        let mut dispatcher = launch.variable("TIDINGS_DISPATCHER__SHARD", shard.to_string()).start();
        dispatcher.line("this dispatcher leads", 2 * BOUND).await;
        dispatcher
    }

    /// A gateway, and where it listens.
    pub(crate) async fn gateway(&self) -> (Tidings, String) {
        let mut gateway = self.tidings("gateway", &["gateway"]).start();
        let line = gateway.line("gateway listens", 2 * BOUND).await;
        let (_, port) = line.rsplit_once("127.0.0.1:").unwrap();
        let address = format!("http://127.0.0.1:{}", port.trim());
        (gateway, address)
    }

    /// The last of the shards that the accounts are made for.
    pub(crate) fn last_shard(&self) -> usize {
        self.made.shards - 1
    }

    /// Runs a command as the administrator.
    pub(crate) async fn run(&self, arguments: &[&str]) -> String {
        self.tidings("admin", arguments).finish(2 * BOUND).await.succeeded()
    }

    /// A plain client of this user.
    pub(crate) async fn client(&self, user: &str) -> async_nats::Client {
        let options =
            async_nats::ConnectOptions::new().credentials_file(self.made.credentials(user)).await.unwrap();
        options.connect(self.url().split(',').collect::<Vec<_>>()).await.unwrap()
    }

    /// JetStream, as administrators have it.
    pub(crate) async fn streams(&self) -> Context {
        jetstream::with_prefix(self.client("admin").await, "TIDINGS.API")
    }

    /// Publishes an event as a producer does, and its sequence.
    pub(crate) async fn publish(&self, tenant: &str, event: &str, data: &Value) -> u64 {
        let context = jetstream::new(self.client(&format!("{tenant}-producer")).await);
        let sent =
            context.publish(format!("events.{tenant}.{event}"), data.to_string().into()).await.unwrap();
        sent.await.expect("the event is stored").sequence
    }
}

/// A token as the configuration as shipped wants it.
pub(crate) fn token_of(tenant: &str, user: &str, more: &Value) -> String {
    let mut claims =
        json!({ "tenant": tenant, "sub": user, "iss": "https://login.example", "aud": "tidings" });
    claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    token(SECRET, claims)
}
