//! nginx, HAProxy and Caddy with the files of `deploy/proxies`, changed in nothing but what an operator changes: addresses, paths and
//! times.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use harness::{
    Authority, BOUND, Dial, Launch, Tidings, Transport, eventually, free_port, program_or_package,
};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// From where a proxy connects to gateways, so that its address is another one than its clients'.
pub(crate) const PROXY: &str = "127.0.0.9";

/// A proxy that runs.
#[derive(Debug)]
pub(crate) struct Proxy {
    _process: Tidings,
    _folder: TempDir,
    address: String,
    road: Transport,
}

impl Proxy {
    /// nginx in front of these gateways, which gives a connection up that is quiet for so long.
    pub(crate) async fn nginx(gateways: &[String], quiet: &str) -> Option<Self> {
        let program = installed("nginx", "nginx-light")?;
        let (files, port) = (Files::new(), free_port());
        let servers = gateways.iter().map(|gateway| format!("server {gateway} max_fails=1 fail_timeout=2s;"));
        let config = files.config(
            "nginx.conf",
            &[
                ("worker_rlimit_nofile 131072;", ""),
                ("worker_connections 65536;", "worker_connections 512;"),
                ("pid /run/nginx.pid;", &format!("pid {};", files.path("pid").display())),
                ("listen 8443 ssl;", &format!("listen 127.0.0.1:{port} ssl;")),
                ("server 127.0.0.1:8080 max_fails=1 fail_timeout=2s;", &servers.collect::<String>()),
                ("proxy_read_timeout 90s;", &format!("proxy_read_timeout {quiet}; proxy_bind {PROXY};")),
            ],
        );
        let command =
            format!("exec '{}' -c '{config}' -g 'daemon off; master_process off;'", program.display());
        Some(Self::start(&command, files, port, true).await)
    }

    /// The same with HAProxy.
    pub(crate) async fn haproxy(gateways: &[String], quiet: &str) -> Option<Self> {
        let program = installed("haproxy", "haproxy")?;
        let (files, port) = (Files::new(), free_port());
        let servers = gateways
            .iter()
            .enumerate()
            .map(|(index, gateway)| format!("    server gateway-{index} {gateway}\n"));
        let config = files.config(
            "haproxy.cfg",
            &[
                ("maxconn 60000", "maxconn 512"),
                ("bind :8443", &format!("bind 127.0.0.1:{port}")),
                ("bind :9443", &format!("bind 127.0.0.1:{}", free_port())),
                ("timeout tunnel 90s", &format!("timeout tunnel {quiet}")),
                ("check inter 1s fall 1 rise 1\n", &format!("check inter 1s fall 1 rise 1 source {PROXY}\n")),
                ("    server gateway-1 127.0.0.1:8080\n", &servers.collect::<String>()),
            ],
        );
        Some(Self::start(&format!("exec '{}' -db -f '{config}'", program.display()), files, port, true).await)
    }

    /// HAProxy that passes TCP on, with PROXY headers, to a gateway whose health is asked for at another port.
    pub(crate) async fn haproxy_tcp(gateway: &str, admin: u16) -> Option<Self> {
        let program = installed("haproxy", "haproxy")?;
        let (files, port) = (Files::new(), free_port());
        let config = files.config(
            "haproxy.cfg",
            &[
                ("maxconn 60000", "maxconn 512"),
                ("bind :8443", &format!("bind 127.0.0.1:{}", free_port())),
                ("bind :9443", &format!("bind 127.0.0.1:{port}")),
                ("send-proxy-v2\n", &format!("send-proxy-v2 source {PROXY}\n")),
                (
                    "server gateway-1 127.0.0.1:8080 port 8081 no",
                    &format!("server gateway-1 {gateway} port {admin} no"),
                ),
            ],
        );
        Some(
            Self::start(&format!("exec '{}' -db -f '{config}'", program.display()), files, port, false).await,
        )
    }

    /// The same with Caddy, which gives no quiet connection up.
    pub(crate) async fn caddy(gateways: &[String]) -> Option<Self> {
        let program = caddy()?;
        let (files, port) = (Files::new(), free_port());
        let folder = files.folder.path().display();
        let config = files.config(
            "Caddyfile",
            &[
                (
                    "live.example {",
                    &format!(
                        "{{\n\tadmin off\n\tstorage file_system {folder}\n}}\n:{port} {{\n\tbind 127.0.0.1\n\t\
                         tls {folder}/tls.crt {folder}/tls.key"
                    ),
                ),
                ("10.0.0.10:8080 10.0.0.11:8080", &gateways.join(" ")),
                ("versions 1.1", &format!("versions 1.1\n\t\t\t\tlocal_address {PROXY}")),
            ],
        );
        let command = format!("exec '{}' run --config '{config}' --adapter caddyfile", program.display());
        Some(Self::start(&command, files, port, true).await)
    }

    async fn start(command: &str, files: Files, port: u16, has_tls: bool) -> Self {
        let process = Launch::shell(command).start();
        let address = format!("127.0.0.1:{port}");
        eventually("the proxy listens", BOUND, async || match TcpStream::connect(&address).await {
            Ok(_) => Ok(()),
            Err(error) => Err(format!("{error}\n{}", process.output())),
        })
        .await;
        let road = if has_tls { Transport::tls(&files.authority) } else { Transport::default() };
        Self { _process: process, _folder: files.folder, address, road }
    }

    /// A handshake through the proxy.
    pub(crate) fn dial(&self) -> Dial {
        Dial::new(&format!("http://{}", self.address)).by(&self.road)
    }

    /// The status that a path is answered with.
    pub(crate) async fn status(&self, path: &str) -> String {
        let mut stream = self.road.open(self.address.parse().unwrap()).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer).split(' ').nth(1).unwrap_or_default().to_owned()
    }
}

/// The files of a proxy: its configuration, a certificate and its key.
struct Files {
    folder: TempDir,
    authority: String,
}

impl Files {
    fn new() -> Self {
        let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new());
        let (certificate, key) = authority.identity("localhost");
        let files = Self { folder, authority: authority.certificate().to_owned() };
        fs::write(files.path("tls.pem"), format!("{certificate}{key}")).unwrap();
        fs::write(files.path("tls.crt"), certificate).unwrap();
        fs::write(files.path("tls.key"), key).unwrap();
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file of `deploy/proxies` with these changes, each of which must be one.
    fn config(&self, name: &str, changes: &[(&str, &str)]) -> String {
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/proxies").join(name);
        let mut text = fs::read_to_string(shipped).unwrap();
        for (from, to) in changes {
            assert!(text.contains(from), "{name} has no {from:?}");
            text = text.replace(from, to);
        }
        let config = self.path(name);
        fs::write(&config, text.replace("/etc/tidings/tls", self.folder.path().to_str().unwrap())).unwrap();
        config.display().to_string()
    }
}

/// Caddy, in the project's folder or on the PATH, if it knows all that the file says; Debian's does not.
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
fn caddy() -> Option<PathBuf> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let file = top.join("deploy/proxies/Caddyfile");
    let knows_all = |program: &PathBuf| {
        let mut adapted = Command::new(program);
        adapted.args(["adapt", "--adapter", "caddyfile", "--config"]).arg(&file);
        adapted.output().is_ok_and(|adapted| adapted.status.success())
    };
    let found = [top.join(".tools/bin/caddy"), PathBuf::from("caddy")].into_iter().find(knows_all);
    if found.is_none() {
        eprintln!("SKIPPED: there is no Caddy 2.8 or later, so nothing was tried behind it");
    }
    found
}

/// A program, if it is there; as root, its package is installed.
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
fn installed(name: &str, package: &str) -> Option<PathBuf> {
    let found = program_or_package(&[name], package);
    if found.is_none() {
        eprintln!("SKIPPED: there is no {name} on the PATH, so nothing was tried behind it");
    }
    found
}
