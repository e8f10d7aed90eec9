//! `@tidings/client` in Node, as a program of its own: `shared/client-ts/e2e/listen.ts`.

use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::time::Duration;

use harness::{BOUND, FlakyProxy, Launch, Setup, System, Tidings, eventually, free_port};
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{ada, incident, workshop};

/// Kills may meet a gateway that is just starting, on a machine that does other things, too.
pub(crate) const LONG: Duration = Duration::from_secs(90);

/// The place that a client keeps over reloads, and its token.
pub(crate) struct Page {
    folder: TempDir,
    url: String,
}

impl Page {
    pub(crate) fn new(address: &str) -> Self {
        workshop::built();
        let page = Self {
            folder: tempfile::tempdir().unwrap(),
            url: format!("{}/api/ws", address.replacen("http", "ws", 1)),
        };
        page.give(&ada(3600));
        page
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The token that the client is given when it asks next. Replaced as a whole.
    fn give(&self, token: &str) {
        std::fs::write(self.file("next"), token).unwrap();
        std::fs::rename(self.file("next"), self.file("token")).unwrap();
    }

    /// Opens the page, which publishes so many notifications.
    fn open(&self, publications: usize) -> Tidings {
        self.open_with(publications, &[])
    }

    /// The same with these variables besides.
    pub(crate) fn open_with(&self, publications: usize, variables: &[(&str, &str)]) -> Tidings {
        let program = workshop::built().join("listen.mjs");
        Launch::shell(&format!("exec node '{}'", program.display()))
            .variable("TIDINGS_URL", &self.url)
            .variable("TIDINGS_TOKEN_FILE", self.file("token"))
            .variable("TIDINGS_STORE", self.file("store"))
            .variable("TIDINGS_PUBLISH", publications.to_string())
            .variables(variables.iter().copied())
            .start()
    }
}

/// What a page has printed, as JSON.
fn lines(output: &str) -> Vec<Value> {
    output.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// The titles of the messages that a page has handled.
pub(crate) fn titles(output: &str) -> Vec<String> {
    let messages = lines(output).into_iter().filter(|line| line["message"].is_object());
    messages.map(|line| line["message"]["data"]["title"].as_str().unwrap().to_owned()).collect()
}

fn count(output: &str, member: &str) -> usize {
    lines(output).iter().filter(|line| line.get(member).is_some()).count()
}

pub(crate) async fn is_live(page: &mut Tidings) {
    page.line(r#"{"state":{"name":"live"}}"#, BOUND).await;
}

#[tokio::test]
async fn each_message_comes_once_while_gateways_are_killed_and_the_page_is_reloaded() {
    const MESSAGES: usize = 1000;
    let port = free_port();
    let listen = format!("127.0.0.1:{port}");
    let mut system = Setup::default().variable("TIDINGS_GATEWAY__LISTEN", &listen).start().await;
    let page = Page::new(&format!("http://{listen}"));
    let mut opened = page.open(0);
    is_live(&mut opened).await;
    opened.line(r#"{"state":{"name":"live"}}"#, BOUND).await;
    subscribed(&system).await;
    let mut seen = Vec::new();
    let expected: Vec<String> = (0..MESSAGES).map(|n| format!("incident {n}")).collect();
    for (n, title) in expected.iter().enumerate() {
        system.publish("ops", "incident.created", &incident(title)).await;
        if n % 50 == 25 {
            // In the middle of what is being delivered.
            opened.line(&expected[n - 5], LONG).await;
            system.gateway.signal(Signal::KILL);
            is_free(port).await;
            system.gateway = system.command(&["gateway"]).start();
        }
        if n % 300 == 150 {
            opened.signal(Signal::TERM);
            let (_, output) = opened.end(BOUND).await;
            seen.extend(titles(&output));
            opened = page.open(0);
        }
    }
    opened.line(&expected[MESSAGES - 1], LONG).await;
    seen.extend(titles(&opened.output()));
    assert_eq!(seen, expected, "each message once and in order");
    assert_eq!(count(&opened.output(), "gap"), 0);
    assert_eq!(count(&opened.output(), "error"), 0);
}

/// Waits until the killed gateway has left its address to the next.
pub(crate) async fn is_free(port: u16) {
    let bind = async || TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map(drop);
    eventually("the gateway is gone", BOUND, bind).await;
}

/// Waits until the gateway has stored the subscription.
pub(crate) async fn subscribed(system: &System) {
    let arguments = ["consumers", "ls", "--tenant", "ops", "--user", "ada", "--json"];
    eventually("the subscription is stored", BOUND, async || {
        let listed = system.command(&arguments).finish(BOUND).await.output;
        if listed.contains("incidents") { Ok(()) } else { Err(listed) }
    })
    .await;
}

#[tokio::test]
async fn a_token_is_refreshed_without_another_connection() {
    let system = System::start().await;
    let page = Page::new(system.address());
    page.give(&ada(6));
    let mut opened = page.open(0);
    is_live(&mut opened).await;
    page.give(&ada(12));
    opened.nth_line("authenticated", 1, BOUND).await;
    page.give(&ada(3600));
    opened.nth_line("authenticated", 2, BOUND).await;
    subscribed(&system).await;
    system.publish("ops", "incident.created", &incident("after the refresh")).await;
    opened.line("after the refresh", BOUND).await;
    assert_eq!(count(&opened.output(), "connects"), 1, "{}", opened.output());
}

#[tokio::test]
async fn what_was_missed_and_said_offline_arrives_once() {
    let system = System::start().await;
    let cable = FlakyProxy::to(system.address().trim_start_matches("http://")).await;
    let page = Page::new(&cable.url().replacen("nats", "http", 1));
    let mut opened = page.open(0);
    is_live(&mut opened).await;
    subscribed(&system).await;
    // Packets are dropped: nobody tells the client.
    cable.silence();
    for n in 0..20 {
        system.publish("ops", "incident.created", &incident(&format!("missed {n}"))).await;
    }
    opened.line(r#""reason":"silent""#, BOUND).await;
    cable.pull();
    opened.line(r#""reason":"refused""#, BOUND).await;
    cable.plug();
    opened.line("missed 19", BOUND).await;
    let expected: Vec<_> = (0..20).map(|n| format!("missed {n}")).collect();
    assert_eq!(titles(&opened.output()), expected);
    opened.signal(Signal::TERM);
    opened.end(BOUND).await;

    // What is published without a connection is kept until there is one.
    cable.pull();
    let mut opened = page.open(10);
    opened.line(r#""reason":"refused""#, BOUND).await;
    cable.plug();
    opened.nth_line(r#"{"published""#, 10, BOUND).await;
    opened.line("published 9\"", BOUND).await;
    let expected: Vec<_> = (0..10).map(|n| format!("published {n}")).collect();
    assert_eq!(titles(&opened.output()), expected, "in their order, and nothing again of what was missed");
}

#[tokio::test]
async fn a_disabled_user_stays_away() {
    let system = System::start().await;
    let page = Page::new(system.address());
    let mut opened = page.open(0);
    is_live(&mut opened).await;
    let disable = ["users", "disable", "--tenant", "ops", "--user", "ada"];
    system.command(&disable).finish(BOUND).await.succeeded();
    let (status, output) = opened.end(BOUND).await;
    assert!(status.success(), "{output}");
    let closed = json!({ "state": { "name": "closed", "reason": "code", "code": 4503 } });
    assert_eq!(lines(&output).last(), Some(&closed));
}

#[test]
fn what_needs_only_node_holds() {
    workshop::test();
}
