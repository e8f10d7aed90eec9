//! The formats of `/metrics`, where it is served, and that it says no more than it may.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use harness::{BOUND, Launch, Nats, SCHEMAS, SECRET, Tidings, nats};
use tokio::io::AsyncWriteExt as _;

use crate::figures::{Page, listed, taken_apart};
use crate::scene::{LISTEN, Scene, address_of};

const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PROTOBUF: &str =
    "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";

#[tokio::test]
async fn figures_come_in_the_format_that_is_asked_for() {
    let scene = Scene::start(|setup| setup).await;
    let client = Scene::sequenced(scene.system.address(), "a\"d\na", "one").await;
    for address in scene.addresses() {
        for path in ["/metrics", "/metrics/tenants"] {
            for (accept, content_type) in [
                ("*/*", TEXT),
                ("application/openmetrics-text;version=1.0.0,text/plain;q=0.5", OPEN_METRICS),
                (PROTOBUF, PROTOBUF),
            ] {
                let page = Page::get(address, path, accept).await;
                assert_eq!(page.content_type, content_type);
                assert!(!page.body.is_empty(), "{path} {accept}");
            }
            check_text(Page::get(address, path, "text/plain").await.text());
            let open_metrics = Page::get(address, path, OPEN_METRICS).await;
            check_text(open_metrics.text());
            assert!(open_metrics.text().ends_with("# EOF\n"));
            promtool(Page::get(address, path, "text/plain").await.text()).await;
        }
    }
    let nothing = reqwest::get(format!("{}/api/v1/connections", scene.gateway)).await.unwrap();
    assert_eq!(nothing.status(), 404, "figures are all that is there");
    let nothing = reqwest::get(format!("{}/metrics", scene.system.address())).await.unwrap();
    assert_eq!(nothing.status(), 404, "figures are nowhere else");
    client.close().await;
}

/// Each series belongs to a metric that was declared before it, has the labels that the documents list, and is there once.
fn check_text(text: &str) {
    let listed = listed();
    let (mut family, mut seen) = (String::new(), std::collections::BTreeSet::new());
    for line in text.lines().filter(|line| *line != "# EOF") {
        if let Some(rest) = line.strip_prefix("# ") {
            let mut words = rest.splitn(3, ' ');
            let (keyword, name, rest) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
            assert!(["HELP", "TYPE", "UNIT"].contains(&keyword) && !rest.is_empty(), "{line}");
            name.clone_into(&mut family);
            continue;
        }
        let series = line.rsplit_once(' ').unwrap().0;
        assert!(seen.insert(series), "{series} is there twice");
        let (name, labels) = taken_apart(series);
        assert!(name.starts_with(&family), "{name} comes after {family}");
        let metric = listed.iter().find(|metric| {
            name == metric.name || metric.kind == "histogram" && name.starts_with(&metric.name)
        });
        let metric = metric.unwrap_or_else(|| panic!("{name} is not documented"));
        let named = labels.keys().filter(|label| **label != "le").map(|label| (*label).to_owned());
        assert_eq!(named.collect::<std::collections::BTreeSet<_>>(), metric.labels, "{series}");
        for value in labels.values() {
            assert!(!value.contains("a\\\"d"), "{series} names a user");
        }
    }
}

/// What `promtool check metrics` says, where it is installed.
async fn promtool(text: &str) {
    let Some(program) = tokio::task::spawn_blocking(promtool_program).await.unwrap() else { return };
    let mut command = tokio::process::Command::new(program);
    command.args(["check", "metrics"]).stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).await.unwrap();
    let output = child.wait_with_output().await.unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && complaints.is_empty(), "{complaints}");
}

/// Where `sh .tools/install promtool` has put it, or the path has it; to build it takes minutes.
#[expect(clippy::print_stdout, reason = "a test that is left out says so")]
pub(crate) fn promtool_program() -> Option<PathBuf> {
    let built = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.tools/bin/promtool"));
    let runs = |program: &PathBuf| Command::new(program).arg("--version").output().is_ok();
    let found = [built, PathBuf::from("promtool")].into_iter().find(runs);
    if found.is_none() {
        println!("promtool is not installed and checks nothing; `sh .tools/install promtool` builds it");
    }
    found
}

fn launch(command: &str, nats: &Nats, variables: &[(&str, &str)]) -> Tidings {
    let launch = Launch::tidings([command]).folder(nats.folder()).variables(variables.iter().copied());
    launch
        .variable("TIDINGS_NATS__URL", nats.url())
        .variable("TIDINGS_SCHEMAS__DIRECTORY", SCHEMAS)
        .variable("TIDINGS_ACCESS__HS256_SECRET", SECRET)
        .variable("TIDINGS_GATEWAY__LISTEN", "127.0.0.1:0")
        .start()
}

#[tokio::test]
async fn without_an_address_there_are_none_and_a_process_that_waits_has_them() {
    let nats = nats().await;
    let mut silent = launch("gateway", &nats, &[]);
    silent.line("gateway listens", BOUND).await;
    // No projector has made the streams that it waits for.
    let mut waiting = launch("gateway", &nats, &[LISTEN]);
    waiting.line("the gateway waits", BOUND).await;
    let address = address_of(&mut waiting).await;
    let text = Page::get(&address, "/metrics", "").await;
    assert!(text.text().contains("\ntidings_nats_connected 1\n"), "{}", text.text());
    assert!(!silent.output().contains("metrics are served"), "{}", silent.output());
}
