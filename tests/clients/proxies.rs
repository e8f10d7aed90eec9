//! Networks without WebSockets: behind proxies as Debian installs them, which pass none, everything arrives by HTTP; and behind one
//! that holds event streams back.

use std::net::TcpStream;

use harness::{BOUND, Launch, System, Tidings, eventually, free_port, program_or_package};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::node::{Page, is_live, subscribed, titles};
use crate::{incident, workshop};

/// A proxy in front of a gateway.
struct Proxy {
    folder: TempDir,
    program: &'static str,
    port: u16,
}

impl Proxy {
    /// With this line where nginx passes requests on.
    fn new(program: &'static str, line: &str, gateway: &str) -> Self {
        let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
        let gateway = gateway.strip_prefix("http://").unwrap();
        let at = folder.path().display();
        let file = if program == "nginx" {
            let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
            let temporary = temporary.map(|name| format!("{name}_temp_path {at}/{name};")).join("\n");
            format!(
                "pid {at}/pid;\nerror_log {at}/errors;\ndaemon off;\nmaster_process off;\nevents {{}}\nhttp {{\naccess_log off;\n\
                 {temporary}\nserver {{\nlisten 127.0.0.1:{port};\nlocation / {{ {line} proxy_pass http://{gateway}; }}\n}}\n}}\n"
            )
        } else {
            format!(
                "defaults\nmode http\ntimeout connect 5000\ntimeout client 50000\ntimeout server 50000\n\
                 listen gateway\nbind 127.0.0.1:{port}\nserver one {gateway}\n"
            )
        };
        std::fs::write(folder.path().join("file"), file).unwrap();
        Self { folder, program, port }
    }

    async fn start(&self) -> Tidings {
        let file = self.folder.path().join("file");
        let command = match self.program {
            "nginx" => format!("exec nginx -c '{}'", file.display()),
            _ => format!("exec haproxy -db -f '{}'", file.display()),
        };
        let process = Launch::shell(&command).start();
        eventually("the proxy listens", BOUND, async || {
            TcpStream::connect(("127.0.0.1", self.port)).map_err(|error| error.to_string())
        })
        .await;
        process
    }
}

#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
async fn check(program: &'static str, line: &str) {
    if program_or_package(&[program], program).is_none() {
        eprintln!(
            "SKIPPED: {program} is neither there nor to be installed, so event streams behind it are not tested"
        );
        return;
    }
    workshop::built();
    let mut system = System::start().await;
    let proxy = Proxy::new(program, line, system.address());
    let running = proxy.start().await;
    let page = Page::new(&format!("http://127.0.0.1:{}", proxy.port));
    // haproxy passes WebSockets; the page is in a network that does not.
    let mut opened =
        page.open_with(3, &[("TIDINGS_HTTP", if program == "nginx" { "fallback" } else { "only" })]);
    is_live(&mut opened).await;
    subscribed(&system).await;
    for number in 0..20 {
        system.publish("ops", "incident.created", &incident(&format!("before {number}"))).await;
    }
    opened.line("before 19", BOUND).await;
    opened.line("published 2", BOUND).await;
    // The proxy dies in the middle of it.
    running.signal(Signal::KILL);
    running.end(BOUND).await;
    for number in 0..20 {
        system.publish("ops", "incident.created", &incident(&format!("after {number}"))).await;
    }
    let _running = proxy.start().await;
    opened.line("after 19", BOUND).await;
    let incidents = |when: &'static str| (0..20).map(move |number| format!("{when} {number}"));
    let titles: Vec<_> =
        titles(&opened.output()).into_iter().filter(|title| !title.starts_with("published")).collect();
    assert_eq!(titles, incidents("before").chain(incidents("after")).collect::<Vec<_>>());
    system.check_well();
}

#[tokio::test]
async fn behind_nginx_as_it_comes_everything_arrives_by_http() {
    check("nginx", "").await;
}

#[tokio::test]
async fn behind_a_proxy_that_holds_event_streams_back_everything_arrives_by_requests() {
    check("nginx", "proxy_ignore_headers X-Accel-Buffering;").await;
}

#[tokio::test]
async fn behind_haproxy_as_it_comes_everything_arrives_by_http() {
    check("haproxy", "").await;
}
